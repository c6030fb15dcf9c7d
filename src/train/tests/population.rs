//! Members of a population do not affect each other.

use super::*;

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

fn assert_alone(all: &[Option<MemberCheckpoint>], training: &Training, at: usize, problem: &Problem) {
    let (alone, _) = train(std::slice::from_ref(training), problem);
    assert_same(&all[at..=at], &alone, &format!("member {at}"));
}

#[test]
fn a_member_trains_as_if_alone() {
    let problem = problem();
    let (all, _) = train(&ragged(), &problem);
    (0..3).for_each(|at| assert_alone(&all, &ragged()[at], at, &problem));
}

#[test]
fn each_member_is_watched_at_its_own_steps() {
    let problem = problem();
    let (all, told) = train(&ragged(), &problem);
    let expected: [&[u64]; 3] = [
        &[0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 18, 22, 26, 32, 37],
        &[0, 1, 2, 3, 4],
        &[0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11],
    ];
    for (at, (member, expected)) in all.iter().zip(expected).enumerate() {
        let looks = &member.as_ref().unwrap().looks;
        assert_eq!(looks.iter().map(|look| look.step).collect::<Vec<_>>(), expected);
        assert!(looks.iter().all(|look| look.watch.len() == ragged()[at].network.hidden.len() + 1));
        assert_eq!(
            told.looks.iter().filter(|(of, _)| *of == at).map(|(_, look)| look).collect::<Vec<_>>(),
            looks.iter().collect::<Vec<_>>()
        );
    }
}

#[test]
fn a_member_that_diverges_keeps_its_last_good_weights_and_affects_no_other() {
    let problem = problem();
    let mut trainings = ragged();
    trainings[1].network.batch_norm = None;
    trainings[1].clip_norm = None;
    trainings[1].optimizer = Optimizer::Sgd { momentum: 0.0, nesterov: false };
    trainings[1].lr = 1e25;
    trainings[1].warmup = 0;
    trainings[1].length = Length::Epochs(9);
    let (all, _) = train(&trainings, &problem);
    assert_alone(&all, &trainings[0], 0, &problem);
    assert_alone(&all, &trainings[2], 2, &problem);
    let MemberCheckpoint { state, weights, .. } = all[1].as_ref().unwrap();
    let Some(Ended::Diverged { step, member: None }) = state.ended else { panic!("{state:?}") };
    assert!(step > state.step && step <= 4, "{state:?}");
    assert!(weights.params.iter().chain(&weights.moments).all(|v| v.is_finite()));
}
