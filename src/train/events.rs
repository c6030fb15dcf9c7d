//! What a training tells, and what a call of it did.

use std::path::PathBuf;

use crate::population::Population;
use crate::run::{EpochMetrics, Look, RunError};

use super::MemberCheckpoint;

/// What a training tells while it goes on. After a fault of the device, steps, looks and epochs since the last checkpoint
/// are told again, with the same numbers.
pub trait Events {
    /// A member has done `step` steps; `loss` is the mean of the latest submit.
    fn step(&mut self, _member: usize, _step: u64, _loss: f64, _samples_per_s: f64) {}
    /// A member has closed an epoch.
    fn epoch(&mut self, _member: usize, _metrics: &EpochMetrics) {}
    /// A member's layers have been looked at.
    fn look(&mut self, _member: usize, _look: &Look) {}
    /// Something that a person should know.
    fn message(&mut self, _text: &str) {}
    /// A point from which training can go on, to be stored: of each slot the latest that there is.
    ///
    /// # Errors
    /// If it cannot be; the training then ends.
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

/// Listens to nothing.
impl Events for () {}

/// What a call of [`super::Trainer::advance`] did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Advance {
    /// Some steps, or the end of some epochs.
    Went {
        /// Slots whose members have closed an epoch or ended in this call, ascending.
        closed: Vec<usize>,
    },
    /// Nothing: no slot has a member that goes on.
    Idle,
    /// Asked to stop: the present state is stored.
    Interrupted,
}
