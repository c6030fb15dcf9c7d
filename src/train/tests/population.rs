//! Members of a population do not see each other.

use super::*;
use crate::population::Buffer;

/// Members that differ in shape, length, batch and rate.
fn ragged() -> Vec<Training> {
    let mut third = Training { batch_size: 64, lr: 3e-3, length: Length::Epochs(2), ..training() };
    third.network.hidden = vec![12];
    third.network.batch_norm = None;
    vec![
        training(),
        Training {
            length: Length::Steps(5),
            optimizer: Optimizer::RmsProp { alpha: 0.9, eps: 1e-8 },
            ..training()
        },
        third,
    ]
}

fn assert_alone(all: &Checkpoint, population: &Population, at: usize, problem: &Problem) {
    let (alone, _) = train(
        &population.members[at..=at].iter().map(|m| m.training.clone()).collect::<Vec<_>>(),
        problem,
        None,
    );
    assert_eq!(timeless(&all.members[at]), timeless(&alone.members[0]), "member {at}");
    let (own, base) = (&population.members[at].sizes, &population.bases[at]);
    for (all, alone, role) in [
        (&all.weights.params, &alone.weights.params, Buffer::Params as usize),
        (&all.weights.moments, &alone.weights.moments, Buffer::Moments as usize),
    ] {
        assert_eq!(all[base[role]..][..own[role]], alone[..own[role]], "member {at}");
    }
}

#[test]
fn a_member_trains_as_if_alone() {
    let problem = problem();
    let (all, _) = train(&ragged(), &problem, None);
    let population = population_of(&ragged(), &problem);
    (0..3).for_each(|at| assert_alone(&all, &population, at, &problem));
}

#[test]
fn a_member_that_diverges_keeps_its_last_good_weights_and_harms_no_other() {
    let problem = problem();
    let mut trainings = ragged();
    trainings[1].network.batch_norm = None;
    trainings[1].clip_norm = None;
    trainings[1].optimizer = Optimizer::Sgd { momentum: 0.0, nesterov: false };
    trainings[1].lr = 1e25;
    trainings[1].warmup = 0;
    trainings[1].length = Length::Epochs(9);
    let (all, _) = train(&trainings, &problem, None);
    let population = population_of(&trainings, &problem);
    assert_alone(&all, &population, 0, &problem);
    assert_alone(&all, &population, 2, &problem);
    let state = &all.members[1].state;
    let Some(Ended::Diverged { step }) = state.ended else { panic!("{state:?}") };
    assert!(step > state.step && step <= 4, "{state:?}");
    assert!(all.weights.params.iter().chain(&all.weights.moments).all(|v| v.is_finite()));
}
