//! Many trainings: which, in which order, on which lanes, and what came out.

pub mod analysis;
mod event;
pub mod journal;
pub mod merge;
pub mod outcome;
pub mod record;
pub mod schedule;
pub mod tensorboard;
#[cfg(test)]
mod test_study;
pub mod trials;

pub use event::{LaneInfo, Request, SweepEvent};
pub use record::{CurvePoint, Stage, TrialRecord, TrialStatus};
pub use trials::{TRIALS, read_trials};
