//! Many trainings: which, in which order, on which lanes, and what came out.

pub mod analysis;
mod event;
pub mod files;
pub mod journal;
pub mod lane;
pub mod merge;
pub mod outcome;
pub mod plan;
pub mod record;
pub mod schedule;
pub mod search;
pub mod study;
pub mod tensorboard;
mod tpe;
pub mod trials;

pub use event::{LaneInfo, Request, SweepEvent};
pub use record::{CurvePoint, Stage, TrialRecord, TrialStatus};
pub use study::Study;
pub use trials::{TRIALS, read_trials};
