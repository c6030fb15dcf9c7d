//! Events of a training, and the result of one call of it.

use std::path::PathBuf;

use crate::population::Population;
use crate::run::{EpochMetrics, Look, RunError};

use super::MemberCheckpoint;

/// Callbacks of a training. After a device fault, the steps, looks and epochs since the last checkpoint are reported
/// again, with the same numbers.
pub trait Events {
    /// A member has done `step` steps; `loss` is the mean of the latest submit.
    fn step(&mut self, _member: usize, _step: u64, _loss: f64, _samples_per_s: f64) {}
    /// A member has completed an epoch.
    fn epoch(&mut self, _member: usize, _metrics: &EpochMetrics) {}
    /// A look at a member's layers.
    fn look(&mut self, _member: usize, _look: &Look) {}
    /// A message for the user.
    fn message(&mut self, _text: &str) {}
    /// A checkpoint to store: the latest one of each slot, where there is one.
    ///
    /// # Errors
    /// If it cannot be stored; the training then ends.
    fn checkpoint(
        &mut self,
        _population: &Population,
        _checkpoint: &[Option<MemberCheckpoint>],
    ) -> Result<(), RunError> {
        Ok(())
    }
    /// Where checkpoints are stored.
    fn checkpoint_path(&self) -> Option<PathBuf> {
        None
    }
}

/// Ignores all events.
impl Events for () {}

/// Result of a call of [`super::Trainer::advance`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advance {
    /// Some steps or evaluations.
    Went {
        /// Slots whose members have completed an epoch or ended in this call, ascending.
        closed: Vec<usize>,
    },
    /// Nothing: no slot has a member left to train.
    Idle,
    /// Stopped on request: the current state is stored.
    Interrupted,
}
