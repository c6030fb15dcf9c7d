//! Layouts: engine to file and back, bit for bit.

use super::*;
use crate::run::{Architecture, ModelFile};
use crate::train::model::{layers, optimizer, put_layers, put_optimizer};

/// Fills with arbitrary finite bit patterns: a hashed counter.
fn fill(values: &mut [f32], seed: u32) {
    for (i, value) in values.iter_mut().enumerate() {
        let bits = (i as u32 + seed).wrapping_mul(0x9e37_79b1) ^ seed;
        *value = f32::from_bits(bits & 0xbfff_ffff);
    }
}

#[test]
fn a_round_trip_keeps_every_bit() {
    let problem = problem();
    let optimizers = [
        Optimizer::Adam { beta1: 0.9, beta2: 0.999, eps: 1e-8 },
        Optimizer::Sgd { momentum: 0.9, nesterov: true },
        Optimizer::RmsProp { alpha: 0.99, eps: 1e-8 },
    ];
    let mut cases = 0;
    for optimizer_ in optimizers {
        for batch_norm in [None, Some(BatchNorm::default())] {
            let shapes = [vec![], vec![1], vec![5, 3], vec![31, 1, 17]];
            let shapes =
                shapes.into_iter().flat_map(|hidden| [1, 3].map(|sub_models| (hidden.clone(), sub_models)));
            for (hidden, sub_models) in shapes {
                let network = Network { hidden, sub_models, batch_norm, ..training().network };
                let one = Training { network, optimizer: optimizer_, ..training() };
                // As the second member of a population, so that its regions do not start at 0.
                let population = population_of(&[training(), one], &problem);
                let (member, base) = (&population.members[1], &population.bases[1]);
                let mut before = Weights::zeros(&population.sizes);
                fill(&mut before.params, 1);
                fill(&mut before.moments, 2);
                fill(&mut before.stats, 3);

                let architecture =
                    Architecture::new(&member.training.network, member.inputs(), member.outputs());
                let tensors = layers(member, base, &before.params, &before.stats);
                let mut file = ModelFile::new(&architecture, tensors);
                file.members[0].optimizer = Some(optimizer(member, base, &before.moments));
                let mut file = ModelFile::from_bytes(&file.to_bytes().unwrap()).unwrap();
                let file = file.members.pop().unwrap();

                let mut after = Weights::zeros(&population.sizes);
                assert!(put_layers(member, base, &file.layers, &mut after));
                let state = file.optimizer.unwrap_or_default();
                assert!(put_optimizer(member, base, &state, &mut after));
                assert_eq!(layers(member, base, &after.params, &after.stats), file.layers);
                assert_eq!(optimizer(member, base, &after.moments), state);
                for chunk in &member.chunks {
                    let at = base[0] + chunk.start;
                    let bits = |weights: &Weights| -> Vec<u32> {
                        weights.params[at..at + chunk.len].iter().map(|v| v.to_bits()).collect()
                    };
                    assert_eq!(bits(&before), bits(&after));
                }
                cases += 1;
            }
        }
    }
    assert_eq!(cases, 48);
}

#[test]
fn other_shapes_do_not_fit() {
    let problem = problem();
    let other = Training { network: Network { hidden: vec![9], ..training().network }, ..training() };
    let plain = Training { network: Network { batch_norm: None, ..training().network }, ..training() };
    let sgd = Training { optimizer: Optimizer::Sgd { momentum: 0.0, nesterov: false }, ..training() };
    let own = population_of(&[training()], &problem);
    let (member, base) = (&own.members[0], &own.bases[0]);
    for other in [other, plain] {
        let other = population_of(&[other], &problem);
        let weights = Weights::zeros(&other.sizes);
        let tensors = layers(&other.members[0], &other.bases[0], &weights.params, &weights.stats);
        assert!(!put_layers(member, base, &tensors, &mut Weights::zeros(&own.sizes)));
    }
    let moments = Weights::zeros(&own.sizes).moments;
    let sgd = population_of(&[sgd], &problem);
    let state = optimizer(&sgd.members[0], &sgd.bases[0], &moments);
    assert!(!put_optimizer(member, base, &state, &mut Weights::zeros(&own.sizes)));
}
