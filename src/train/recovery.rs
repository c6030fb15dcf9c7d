//! Checkpoints, and the way back to them after a fault of the device.

use std::time::{Duration, Instant};

use crate::engine::EngineError;

use super::model::Weights;
use super::stepper::TRIES;
use super::{Ended, Events, MemberCheckpoint, MemberState, TrainError, Trainer, TrainingState};

/// How often checkpoints are taken, and how patient faults are met.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Stored within an epoch at most this often; at the end of every epoch if it costs little (see `share`).
    pub store_every: Duration,
    /// Read back to the host within an epoch at most this often, so that a fault loses little.
    pub read_every: Duration,
    /// Both at the end of an epoch at most this often.
    pub epoch_every: Duration,
    /// Largest share of the time that checkpoints may take.
    pub share: f64,
    /// Wait before a device is tried again, times the number of the try.
    pub backoff: Duration,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            store_every: Duration::from_secs(30),
            read_every: Duration::from_secs(3),
            epoch_every: Duration::ZERO,
            share: 0.1,
            backoff: Duration::from_millis(500),
        }
    }
}

/// When something was done last, and how long it took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    at: Instant,
    took: Duration,
}

impl Cost {
    pub(crate) fn now() -> Cost {
        Cost { at: Instant::now(), took: Duration::ZERO }
    }
    /// Whether doing it again now keeps it below `share` of the time, `every` apart.
    pub(crate) fn is_due(&self, every: Duration, share: f64) -> bool {
        self.at.elapsed() >= every.max(self.took.mul_f64(1.0 / share - 1.0))
    }
    fn measure<T>(&mut self, what: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = what();
        *self = Cost::since(start);
        result
    }
    /// Of what began at `start` and is done now.
    pub(crate) fn since(start: Instant) -> Cost {
        Cost { at: Instant::now(), took: start.elapsed() }
    }
}

impl Trainer<'_> {
    /// Takes a checkpoint, whatever tries it needs.
    pub(super) fn keep(&mut self, events: &mut dyn Events) -> Result<(), TrainError> {
        while let Err(error) = self.take_checkpoint() {
            self.recover(error, events)?;
        }
        Ok(())
    }

    pub(super) fn checkpoint_within_epoch(&mut self, events: &mut dyn Events) -> Result<(), TrainError> {
        let store = self.stored.is_due(self.pace.store_every, self.pace.share);
        // After a fault, whatever goes well is kept at once.
        if store || self.stepper.is_recovering() || self.read.is_due(self.pace.read_every, self.pace.share) {
            self.take_checkpoint()?;
        }
        if store { self.store_checkpoint(events) } else { Ok(()) }
    }

    pub(super) fn checkpoint_after_epoch(&mut self, events: &mut dyn Events) -> Result<(), TrainError> {
        let store = self.stored.is_due(self.pace.epoch_every, self.pace.share);
        if store || self.stepper.is_recovering() || self.read.is_due(self.pace.epoch_every, self.pace.share) {
            self.take_checkpoint()?;
        }
        if store { self.store_checkpoint(events) } else { Ok(()) }
    }

    /// Takes a checkpoint of every member.
    pub(super) fn take_checkpoint(&mut self) -> Result<(), EngineError> {
        let slots: Vec<usize> =
            (0..self.members.len()).filter(|&k| !self.population().is_vacant(k)).collect();
        self.take_checkpoint_of(&slots)
    }

    /// Reads what outlives a step of the members in `slots` back to the host. Diverged members keep the weights that
    /// the checkpoint before had of them.
    pub(super) fn take_checkpoint_of(&mut self, slots: &[usize]) -> Result<(), EngineError> {
        let start = Instant::now();
        let has_diverged = |k: usize| matches!(self.members[k].state.ended, Some(Ended::Diverged { .. }));
        let before = |k: usize| self.checkpoint[k].as_ref().map(|good| good.state.step);
        let stale = |&k: &usize| before(k) != Some(self.members[k].state.step) && !has_diverged(k);
        let stale: Vec<usize> = slots.iter().copied().filter(stale).collect();
        let mut read = self.stepper.read(&stale)?.into_iter();
        if slots.iter().any(|&k| before(k).is_none_or(|before| self.members[k].state.step > before)) {
            self.stepper.progressed();
        }
        for &k in slots {
            let weights = if stale.contains(&k) { read.next() } else { None };
            let MemberState { state, history, looks, best } = &self.members[k];
            let member = &self.stepper.population().members[k];
            let good = self.checkpoint[k].get_or_insert_with(|| MemberCheckpoint {
                state: TrainingState::default(),
                history: Vec::new(),
                looks: Vec::new(),
                best: None,
                // A member that diverged before there was a checkpoint of it.
                weights: if weights.is_none() { Weights::initial(member) } else { Weights::default() },
            });
            good.state.clone_from(state);
            // A record only grows, and that of a long training costs more to copy than a small network's weights.
            good.history.extend_from_slice(history.get(good.history.len()..).unwrap_or_default());
            good.looks.extend_from_slice(looks.get(good.looks.len()..).unwrap_or_default());
            good.best.clone_from(best);
            if let Some(weights) = weights {
                good.weights = weights;
            }
        }
        self.read = Cost::since(start);
        Ok(())
    }

    pub(super) fn store_checkpoint(&mut self, events: &mut dyn Events) -> Result<(), TrainError> {
        let steps = self.checkpoint.iter().flatten().map(|good| good.state.step);
        if let Some(step) = steps.max() {
            self.stored.measure(|| events.checkpoint(self.stepper.population(), &self.checkpoint))?;
            log::info!("checkpoint of step {step} in {:.0} ms", 1e3 * self.stored.took.as_secs_f64());
        }
        Ok(())
    }

    /// After a fault: a new engine at the last checkpoint.
    pub(super) fn recover(&mut self, error: EngineError, events: &mut dyn Events) -> Result<(), TrainError> {
        let going_on = (0..self.members.len()).filter(|&k| self.is_active(k));
        let step = going_on.map(|k| self.checkpoint[k].as_ref().map_or(0, |good| good.state.step)).min();
        let step = step.unwrap_or(0);
        let announce = &mut |error: &EngineError, nth: u32| {
            events.message(&format!("{error}; going on from step {step}, try {nth} of {TRIES}"));
        };
        match self.stepper.recover(error, &saved(&self.checkpoint), announce) {
            Ok(()) => {
                for (good, member) in self.checkpoint.iter().zip(&mut self.members) {
                    *member = good.as_ref().map(MemberCheckpoint::member).unwrap_or_default();
                }
                Ok(())
            }
            Err(TrainError::GaveUp { cause, tries, .. }) => {
                // What the host has may be newer than what is stored.
                self.store_checkpoint(events)?;
                Err(TrainError::GaveUp { cause, tries, checkpoint: events.checkpoint_path() })
            }
            Err(error) => Err(error),
        }
    }
}

/// The weights of each slot's checkpoint, `[K]`.
pub(super) fn saved(checkpoint: &[Option<MemberCheckpoint>]) -> Vec<Option<&Weights>> {
    checkpoint.iter().map(|good| good.as_ref().map(|good| &good.weights)).collect()
}
