//! Many trainings: which, in which order, on which lanes, and what came out.

pub mod journal;
pub mod merge;
pub mod record;
pub mod tensorboard;
#[cfg(test)]
mod test_study;

pub use record::{CurvePoint, Stage, TrialRecord, TrialStatus};
