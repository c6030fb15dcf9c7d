//! Checkpoints, and recovery from device faults.

use std::time::Instant;

use crate::engine::EngineError;

use super::model::Weights;
use super::pace::Cost;
use super::state::saved;
use super::stepper::TRIES;
use super::{Ended, Events, MemberCheckpoint, MemberState, TrainError, Trainer, TrainingState};

impl Trainer<'_> {
    /// Takes a checkpoint, recovering from faults as often as needed.
    pub(super) fn keep(&mut self, events: &mut dyn Events) -> Result<(), TrainError> {
        while let Err(error) = self.take_checkpoint() {
            self.recover(error, events)?;
        }
        Ok(())
    }

    pub(super) fn checkpoint_within_epoch(&mut self, events: &mut dyn Events) -> Result<(), TrainError> {
        let store = self.stored.is_due(self.pace.store_every, self.pace.share);
        // After a fault, checkpoints the first progress at once.
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

    /// Reads the lasting state of the members in `slots` back to the host. Diverged members keep the weights of the
    /// checkpoint before.
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
                // The member diverged before its first checkpoint.
                weights: if weights.is_none() { Weights::initial(member) } else { Weights::default() },
            });
            good.state.clone_from(state);
            // Appends only the new entries: copying the whole record of a long training costs more than a small
            // network's weights.
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

    /// After a fault: makes a new engine at the last checkpoint.
    pub(super) fn recover(&mut self, error: EngineError, events: &mut dyn Events) -> Result<(), TrainError> {
        let going_on = (0..self.members.len()).filter(|&k| self.is_active(k));
        let step = going_on.map(|k| self.checkpoint[k].as_ref().map_or(0, |good| good.state.step)).min();
        let step = step.unwrap_or(0);
        let announce = &mut |error: &EngineError, nth: u32| {
            events.message(&format!("{error}; resuming from step {step}, try {nth} of {TRIES}"));
        };
        match self.stepper.recover(error, &saved(&self.checkpoint), announce) {
            Ok(()) => {
                for (good, member) in self.checkpoint.iter().zip(&mut self.members) {
                    *member = good.as_ref().map(MemberCheckpoint::member).unwrap_or_default();
                }
                Ok(())
            }
            Err(TrainError::GaveUp { cause, tries, .. }) => {
                // The host's checkpoint may be newer than the stored one.
                self.store_checkpoint(events)?;
                Err(TrainError::GaveUp { cause, tries, checkpoint: events.checkpoint_path() })
            }
            Err(error) => Err(error),
        }
    }
}
