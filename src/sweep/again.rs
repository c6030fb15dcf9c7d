//! Repeats one training of a sweep, alone.

use crate::engine::EngineFactory;
use crate::population::{Population, Room};
use crate::spec::RunRequest;
use crate::train::{
    Advance, Events, MemberState, Pace, Problem, Stop, StopReason, TrainError, Trainer, member_of_run,
};

use super::outcome::digest;
use super::record::{TrialRecord, TrialStatus};

/// A repeated training.
#[derive(Clone, Debug)]
pub struct Again {
    pub state: MemberState,
    /// SHA-256 of its weights, as in [`TrialRecord::weights`]; empty without a best model.
    pub weights: String,
    /// Whether weights and epochs equal those of the record.
    pub same: bool,
}

/// Trains the member of `record` in a population of one, as far as it went in the sweep. None if `stop` ended it
/// early.
///
/// # Errors
/// [`TrainError`] of the device.
pub fn train_again(
    factory: &dyn EngineFactory,
    problem: &Problem,
    request: &RunRequest,
    record: &TrialRecord,
    events: &mut dyn Events,
    stop: &Stop,
) -> Result<Option<Again>, TrainError> {
    let member = member_of_run(request, problem)?;
    let room = Room::for_members(&[&member], 1);
    let population = Population::with_room(1, room);
    let mut trainer = Trainer::new(factory, population, problem, vec![None], Pace::default(), events)?;
    trainer.put(0, member, None, events)?;
    loop {
        match trainer.advance(events, stop)? {
            Advance::Went { .. } => {}
            Advance::Idle => break,
            Advance::Interrupted => return Ok(None),
        }
        let state = &trainer.members()[0].state;
        if state.ended.is_none() && state.epochs >= record.epochs && record.status == TrialStatus::Stopped {
            trainer.stop(0, StopReason::Other("as in the sweep".into()));
        }
    }
    let state = trainer.members()[0].clone();
    let weights = state.best.as_ref().map(|layers| digest(layers)).unwrap_or_default();
    let same = record.weights.as_ref() == Some(&weights) && state.state.epochs == record.epochs;
    Ok(Some(Again { state, weights, same }))
}
