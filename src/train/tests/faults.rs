//! Training through device faults ends in the same weights, or in a clear error.

use super::faulty::{Fault, FaultyFactory};
use super::*;
use crate::population::random::pcg4d;
use crate::train::TrainError;

fn run(factory: &FaultyFactory, problem: &Problem, pace: Pace) -> (Result<bool, TrainError>, Told) {
    let mut told = Told::default();
    let population = population_of(&[training()], problem);
    let trainer = Trainer::new(factory, population, problem, Vec::new(), pace, &mut told);
    let result = trainer.and_then(|mut trainer| trainer.run(&mut told, &Stop::default()));
    (result, told)
}

/// Checkpoints only at the end, so that much is replayed.
const LAZY: Pace = Pace {
    epoch_every: Duration::ZERO,
    store_every: Duration::from_secs(3600),
    read_every: Duration::from_secs(3600),
    share: 1.0,
    backoff: Duration::ZERO,
};

#[test]
fn fifty_faults_at_random_points_end_in_identical_weights() {
    let problem = problem();
    let (expected, _) = train(&[training()], &problem);
    let mut met = 0;
    for (round, pace) in [(0, EAGER), (1, LAZY)] {
        let clean = FaultyFactory::default();
        run(&clean, &problem, pace).0.unwrap();
        let calls = clean.script.calls.get();
        for nth in 0..50 {
            let factory = FaultyFactory::default();
            let kinds = [Fault::Lost, Fault::Timeout, Fault::OutOfMemory, Fault::Stale];
            let word = pcg4d([nth, round, 1, 2])[0] as usize;
            let (at, fault) = (word % calls, kinds[nth as usize % 4]);
            // Only training and evaluation steps return records that can be stale.
            factory.script.faults.borrow_mut().insert(at, fault);
            let (result, told) = run(&factory, &problem, pace);
            result.unwrap();
            assert_same(told.checkpoints.last().unwrap(), &expected, &format!("{fault:?} at call {at}"));
            met += factory.script.met.get();
        }
    }
    assert_eq!(met, 100);
}

#[test]
fn a_training_survives_many_faults() {
    let problem = problem();
    let (expected, _) = train(&[training()], &problem);
    let factory = FaultyFactory::default();
    // Far enough apart for one step between two faults.
    factory.script.faults.borrow_mut().extend((0..50).map(|nth| (7 + 23 * nth, Fault::Lost)));
    let (result, told) = run(&factory, &problem, EAGER);
    result.unwrap();
    assert!(factory.script.met.get() >= 5, "{}", factory.script.met.get());
    assert_eq!(factory.script.softened.get(), factory.script.met.get());
    assert_same(told.checkpoints.last().unwrap(), &expected, "many faults");
}

#[test]
fn three_faults_without_progress_end_the_training() {
    let problem = problem();
    let factory = FaultyFactory::default();
    factory.script.dead_from.set(Some(40));
    let (result, told) = run(&factory, &problem, EAGER);
    let Err(error @ TrainError::GaveUp { tries: 3, .. }) = result else { panic!("{result:?}") };
    assert!(error.to_string().contains("3 tries"), "{error}");
    assert_eq!(told.messages.len(), 3, "{:?}", told.messages);
    assert_eq!(factory.script.met.get(), 4);
    // The progress is stored.
    assert!(one(told.checkpoints.last().unwrap()).state.step > 0);
}

#[test]
fn a_device_that_never_comes_up_is_tried_three_times() {
    let problem = problem();
    let factory = FaultyFactory::default();
    factory.script.dead_from.set(Some(0));
    let (result, _) = run(&factory, &problem, EAGER);
    assert!(matches!(result, Err(TrainError::GaveUp { .. })), "{result:?}");
}

#[test]
fn a_permanent_fault_is_not_retried() {
    let problem = problem();
    let factory = FaultyFactory::default();
    factory.script.faults.borrow_mut().insert(20, Fault::Refused);
    let (result, told) = run(&factory, &problem, EAGER);
    assert!(matches!(result, Err(TrainError::Engine(_))), "{result:?}");
    assert!(told.messages.is_empty());
}
