//! Members come and go on a faulty device.

use std::collections::VecDeque;

use super::faulty::{Fault, FaultyFactory};
use super::*;
use crate::data::Part;
use crate::population::Room;
use crate::population::random::pcg4d;
use crate::train::{Advance, StopReason, TrainError};

const LAZY: Pace = Pace {
    epoch_every: Duration::ZERO,
    store_every: Duration::from_secs(3600),
    read_every: Duration::from_secs(3600),
    share: 1.0,
    backoff: Duration::ZERO,
};

/// Trainings that end at different steps, with different shapes.
fn trainings() -> Vec<Training> {
    let of = |nth: usize| {
        let mut training = Training { seed: nth as u64, batch_size: 20 + 9 * nth, ..training() };
        training.length = Length::Steps(9 + 5 * (nth as u64 * 3 % 7));
        training.network.hidden = [vec![9, 7], vec![4], vec![], vec![12, 5, 3]][nth % 4].clone();
        training
    };
    (0..6).map(of).collect()
}

/// Streams the trainings through two slots. Each member is taken out once, at its seventh step or later, and resumes in
/// any vacant slot. Returns the final checkpoints.
fn stream(
    factory: &FaultyFactory,
    problem: &Problem,
    pace: Pace,
) -> Result<Vec<MemberCheckpoint>, TrainError> {
    let members: Vec<Arc<Member>> =
        trainings().iter().map(|training| Arc::new(member(training, problem).unwrap().watched())).collect();
    let all: Vec<&Member> = members.iter().map(|member| &**member).collect();
    let mut told = Told::default();
    let population = Population::with_room(2, Room::for_members(&all, 2));
    let mut trainer = Trainer::new(factory, population, problem, Vec::new(), pace, &mut told)?;
    let mut waiting: VecDeque<(usize, Option<MemberCheckpoint>)> =
        (0..members.len()).map(|nth| (nth, None)).collect();
    let mut done = vec![None; members.len()];
    let (mut inside, mut moved) = ([None; 2], vec![false; members.len()]);
    while done.iter().any(Option::is_none) {
        for (slot, inside) in inside.iter_mut().enumerate() {
            if inside.is_none()
                && let Some((nth, from)) = waiting.pop_front()
            {
                // A member waits while there is no room beside the other.
                match trainer.put(slot, members[nth].clone(), from.clone(), &mut told)? {
                    true => *inside = Some(nth),
                    false => waiting.push_front((nth, from)),
                }
            }
        }
        let went = trainer.advance(&mut told, &Stop::default())?;
        assert!(matches!(went, Advance::Went { .. }), "{went:?}");
        for (slot, inside) in inside.iter_mut().enumerate() {
            let Some(nth) = *inside else { continue };
            let state = trainer.members()[slot].state.clone();
            if state.ended.is_some() {
                let found = trainer.evaluate_best(&[slot], Part::Val, &mut told)?[0].unwrap().0;
                assert_eq!(Some(found), state.best.map(|best| best.val_loss));
                done[nth] = trainer.take(slot, &mut told)?;
                *inside = None;
            } else if state.step >= 7 && !std::mem::replace(&mut moved[nth], true) {
                let taken = trainer.take(slot, &mut told)?;
                let now = taken.as_ref().map(|taken| (taken.state.step, taken.state.epochs));
                assert_eq!(now, Some((state.step, state.epochs)), "taken at another step");
                waiting.push_back((nth, taken));
                *inside = None;
            }
        }
    }
    assert!(moved.iter().all(|moved| *moved));
    assert_eq!(trainer.advance(&mut told, &Stop::default())?, Advance::Idle);
    Ok(done.into_iter().flatten().collect())
}

fn assert_as_alone(found: &[MemberCheckpoint], problem: &Problem, what: &str) {
    for (training, found) in trainings().iter().zip(found) {
        let (alone, _) = train(std::slice::from_ref(training), problem);
        assert_same_member(found, one(&alone), what);
    }
}

#[test]
fn faults_do_not_change_members_that_come_and_go() {
    let problem = problem();
    let mut met = 0;
    for (round, pace) in [(0, EAGER), (1, LAZY)] {
        let clean = FaultyFactory::default();
        assert_as_alone(&stream(&clean, &problem, pace).unwrap(), &problem, "without a fault");
        let calls = clean.script.calls.get();
        for nth in 0..50 {
            let factory = FaultyFactory::default();
            let at = pcg4d([nth, round, 3, 4])[0] as usize % calls;
            let fault = [Fault::Lost, Fault::Timeout, Fault::OutOfMemory, Fault::Stale][nth as usize % 4];
            factory.script.faults.borrow_mut().insert(at, fault);
            let found = stream(&factory, &problem, pace).unwrap();
            assert_as_alone(&found, &problem, &format!("{fault:?} at call {at} of {calls}"));
            met += factory.script.met.get();
        }
    }
    assert_eq!(met, 100);
}

#[test]
fn members_report_in_slot_order_at_any_pace() {
    let problem = problem();
    // Two members end their epochs at the same steps.
    let trainings = [training(), Training { batch_size: 64, ..training() }, training()];
    let mut orders = Vec::new();
    for before in 0..3 {
        let factory = FaultyFactory::default();
        // Another number of steps per call.
        factory.script.calls.set(before);
        let mut told = Told::default();
        let population = population_of(&trainings, &problem);
        let mut trainer = Trainer::new(&factory, population, &problem, Vec::new(), LAZY, &mut told).unwrap();
        let mut closed = Vec::new();
        while let Advance::Went { closed: now } = trainer.advance(&mut told, &Stop::default()).unwrap() {
            closed.extend(now);
        }
        assert_eq!(closed, told.epochs.iter().map(|(slot, _)| *slot).collect::<Vec<_>>());
        orders.push(told.epochs.iter().map(|(slot, m)| (*slot, m.step)).collect::<Vec<_>>());
    }
    assert!(orders[0].contains(&(0, 11)) && orders[0].len() > 10, "{:?}", orders[0]);
    assert!(orders.iter().all(|order| *order == orders[0]), "{orders:?}");
}

#[test]
fn a_member_that_diverges_before_a_checkpoint_keeps_its_initial_weights() {
    let problem = problem();
    let mut wild = Training { lr: 1e25, warmup: 0, clip_norm: None, ..training() };
    wild.network.batch_norm = None;
    wild.optimizer = Optimizer::Sgd { momentum: 0.0, nesterov: false };
    let wild = Arc::new(member(&wild, &problem).unwrap());
    let (factory, mut told) = (CpuFactory::default(), Told::default());
    let population = Population::with_room(1, Room::for_members(&[&wild], 1));
    let mut trainer = Trainer::new(&factory, population, &problem, Vec::new(), LAZY, &mut told).unwrap();
    assert!(trainer.put(0, wild.clone(), None, &mut told).unwrap());
    let mut closed = Vec::new();
    while let Advance::Went { closed: now } = trainer.advance(&mut told, &Stop::default()).unwrap() {
        closed.extend(now);
    }
    assert_eq!(closed, [0]);
    let taken = trainer.take(0, &mut told).unwrap().unwrap();
    assert!(matches!(taken.state.ended, Some(Ended::Diverged { .. })), "{:?}", taken.state);
    assert_eq!(taken.weights, Weights::initial(&wild));
    assert!(trainer.take(0, &mut told).unwrap().is_none());
}

#[test]
fn a_stopped_member_keeps_its_state_and_frees_its_slot() {
    let problem = problem();
    let (factory, mut told) = (CpuFactory::default(), Told::default());
    let one = Arc::new(member(&training(), &problem).unwrap());
    let population = Population::with_room(1, Room::for_members(&[&one], 1));
    let mut trainer = Trainer::new(&factory, population, &problem, Vec::new(), LAZY, &mut told).unwrap();
    assert!(trainer.put(0, one.clone(), None, &mut told).unwrap());
    while trainer.members()[0].state.epochs < 2 {
        trainer.advance(&mut told, &Stop::default()).unwrap();
    }
    trainer.stop(0, StopReason::ByHand);
    assert_eq!(trainer.advance(&mut told, &Stop::default()).unwrap(), Advance::Idle);
    let taken = trainer.take(0, &mut told).unwrap().unwrap();
    assert_eq!((taken.state.step, taken.state.epochs, taken.history.len()), (22, 2, 2));
    assert_eq!(taken.state.ended, Some(Ended::Stopped { reason: StopReason::ByHand }));
    // A member larger than the room is rejected.
    let mut wide = training();
    wide.network.hidden = vec![50, 50];
    let wide = member(&wide, &problem).unwrap();
    assert!(!trainer.put(0, wide, None, &mut told).unwrap());
    assert!(trainer.put(0, one, None, &mut told).unwrap());
}
