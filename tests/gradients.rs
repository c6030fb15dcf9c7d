//! Compares gradients of the f64 engine with central differences, on random networks in ragged populations.

use bngpu::engine::cpu::CpuEngine;
use bngpu::population::tables::{ChunkKind, StepRow};
use bngpu::population::{Loss, Member};
use bngpu::spec::Activation;
use bngpu::step::memory::{Context, Memory};
use bngpu::step::{Op, StepKind, ops, plan};

use crate::common::close::assert_close;
use crate::common::random_population::{Case, Rng, Space};
use crate::common::tolerances::{DIFFERENCE_LEFT_OUT, DIFFERENCE_SPREAD, DIFFERENCE_STEP as H, differences};

/// Mean loss of the batch + λ/2·‖W‖²: the function that is differentiated.
fn objective(case: &Case, member: &Member, memory: &mut Memory<f64>, step: StepRow) -> f64 {
    for op in plan(&case.population, StepKind::Train) {
        ops::run(op, &mut Context { member, step, table: &case.table, memory });
        if op == Op::Loss {
            break;
        }
    }
    let losses = match member.sub_models() {
        1 => memory.row_loss[..2 * step.rows as usize].chunks_exact(2).map(|pair| pair[0]).collect(),
        _ => losses_of_sub_models(case, member, memory, step),
    };
    let weights = member.chunks.iter().filter(|c| c.kind == ChunkKind::Weight);
    let squares: f64 = weights.flat_map(|c| &memory.params[c.start..][..c.len]).map(|w| w * w).sum();
    losses.iter().sum::<f64>() / step.rows as f64 + member.training.l2 / 2.0 * squares
}

/// For each row of the batch, the mean of the losses of all sub-models, from their Z.
fn losses_of_sub_models(case: &Case, member: &Member, memory: &Memory<f64>, step: StepRow) -> Vec<f64> {
    let (s, o) = (member.sub_models(), member.outputs());
    let z = &memory.z[member.layers.last().expect("an output layer").z as usize..];
    let of_row = |b: usize| {
        let target = case.table.targets[memory.index[b] as usize];
        let loss = |z: &[f64]| match member.loss {
            Loss::SquaredError => (z[0] - f64::from(f32::from_bits(target))).powi(2),
            Loss::CrossEntropy { .. } => z.iter().map(|z| z.exp()).sum::<f64>().ln() - z[target as usize],
        };
        z[b * s * o..][..s * o].chunks_exact(o).map(loss).sum::<f64>() / s as f64
    };
    (0..step.rows as usize).map(of_row).collect()
}

/// Returns the numbers of parameters (compared, left out).
fn check(case: &Case) -> (usize, usize) {
    let mut engine: CpuEngine<f64> = CpuEngine::new(case.population.clone(), case.table.clone());
    let rng = &mut Rng(!case.seed);
    for (k, member) in case.population.members.iter().enumerate() {
        let memory = engine.memory_mut(k);
        for chunk in &member.chunks {
            let (mean, std) = match chunk.kind {
                ChunkKind::Weight => (0.0, 1.2 / (member.layers[chunk.layer].inputs as f64).sqrt()),
                ChunkKind::Gamma | ChunkKind::Factor => (1.0, 0.3),
                ChunkKind::Bias | ChunkKind::Beta => (0.0, 0.3),
            };
            memory.params[chunk.start..][..chunk.len].iter_mut().for_each(|p| *p = mean + std * rng.normal());
        }
    }
    let number = rng.between(0, 7) as u64;
    let steps = case.training_steps(number, number + 1);
    for op in plan(&case.population, StepKind::Train) {
        if op != Op::Update {
            bngpu::engine::Engine::run_op(&mut engine, op, &steps)
                .expect("the CPU engine runs every operation");
        }
    }
    let (mut compared, mut left_out) = (0, 0);
    for (k, (member, &step)) in case.population.members.iter().zip(&steps).enumerate() {
        let mut memory = engine.memory(k).clone();
        let loss = objective(case, member, &mut memory, step);
        for chunk in &member.chunks {
            if matches!(chunk.kind, ChunkKind::Gamma | ChunkKind::Beta)
                && member.training.network.batch_norm.is_some_and(|bn| !bn.affine)
            {
                // Parameters that are not trained have no gradient, whatever the loss.
                let grads = &engine.memory(k).grads[chunk.start..][..chunk.len];
                assert!(grads.iter().all(|&g| g == 0.0), "case {}, member {k}: {grads:?}", case.seed);
                continue;
            }
            for at in chunk.start..chunk.start + chunk.len {
                let value = memory.params[at];
                let mut difference = |h: f64| {
                    let mut side = |p: f64| {
                        memory.params[at] = p;
                        objective(case, member, &mut memory, step)
                    };
                    let difference = (side(value + h) - side(value - h)) / (2.0 * h);
                    memory.params[at] = value;
                    difference
                };
                let (whole, half) = (difference(H), difference(H / 2.0));
                let (gradient, spread) = (engine.memory(k).grads[at], (whole - half).abs());
                if spread > DIFFERENCE_SPREAD * (1.0 + gradient.abs()) {
                    left_out += 1;
                    continue;
                }
                compared += 1;
                let what = format!(
                    "case {}, member {k}, layer {}, {:?} {}: {:?}",
                    case.seed,
                    chunk.layer,
                    chunk.kind,
                    at - chunk.start,
                    member.training
                );
                let expected = (4.0 * half - whole) / 3.0;
                assert_close(&[gradient], &[expected], differences(spread, loss), &what);
            }
        }
    }
    (compared, left_out)
}

#[test]
fn gradients_agree_with_central_differences_on_random_networks() {
    let (mut networks, mut compared, mut left_out) = (0, 0, 0);
    let mut seen = Seen::default();
    for seed in 0.. {
        if networks >= 300 {
            break;
        }
        let case = Case::random(seed, &Space::TINY);
        networks += case.population.len();
        case.population.members.iter().for_each(|m| seen.note(m));
        let (c, l) = check(&case);
        compared += c;
        left_out += l;
    }
    eprintln!("{networks} networks, {compared} derivatives compared, {left_out} left out at kinks");
    seen.assert_everything();
    assert!((left_out as f64) < DIFFERENCE_LEFT_OUT * compared as f64, "{left_out} of {compared} left out");
}

/// The settings that the random networks covered.
#[derive(Default)]
struct Seen {
    activations: [bool; Activation::ALL.len()],
    depths: [bool; 5],
    /// BN, BN with γ and β fixed, no BN, dropout, λ, squared error, cross-entropy, batch of two, sub-models of each loss
    others: [bool; 10],
}

impl Seen {
    fn note(&mut self, member: &Member) {
        let network = &member.training.network;
        let depth = network.hidden.len();
        self.depths[depth] = true;
        if depth > 0 {
            self.activations[network.activation as usize] = true;
        }
        let others = [
            depth > 0 && network.batch_norm.is_some_and(|bn| bn.affine),
            depth > 0 && network.batch_norm.is_some_and(|bn| !bn.affine),
            network.batch_norm.is_none(),
            depth > 0 && network.dropout > 0.0,
            member.training.l2 > 0.0,
            member.loss == Loss::SquaredError,
            member.loss != Loss::SquaredError,
            member.walk.batch == 2,
            member.sub_models() > 1 && member.loss == Loss::SquaredError,
            member.sub_models() > 1 && member.loss != Loss::SquaredError,
        ];
        self.others.iter_mut().zip(others).for_each(|(seen, now)| *seen |= now);
    }

    fn assert_everything(&self) {
        for activation in Activation::ALL {
            assert!(self.activations[activation as usize], "{} did not occur", activation.name());
        }
        assert!(self.depths.iter().chain(&self.others).all(|&seen| seen), "something did not occur");
    }
}

/// The negative control: a gradient that is off by one part in a million is rejected.
#[test]
#[should_panic(expected = "1 of 1 elements are off")]
fn a_corrupted_gradient_is_rejected() {
    assert_close(&[0.5 + 5e-7], &[0.5], differences(0.0, 1.0), "dw");
}
