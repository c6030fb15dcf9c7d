//! Many trainings: which, in which order, on which lanes, and what came out.

pub mod analysis;
mod draw;
mod event;
pub mod files;
pub mod journal;
pub mod lane;
#[cfg(test)]
mod lane_tests;
pub mod merge;
pub mod outcome;
pub mod plan;
pub mod record;
pub mod schedule;
pub mod search;
mod study;
#[cfg(test)]
mod study_tests;
pub mod tensorboard;
#[cfg(test)]
mod test_study;
mod tpe;
pub mod trials;

pub use event::{LaneInfo, Request, SweepEvent};
pub use record::{CurvePoint, Stage, TrialRecord, TrialStatus};
pub use study::Study;
pub use tpe::Told;
pub use trials::{TRIALS, read_trials};
