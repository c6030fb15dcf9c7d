//! Many trainings: which, in which order, on which lanes, and what came out.

mod event;
pub mod outcome;
pub mod analysis;
pub mod record;
pub mod schedule;
pub mod trials;

pub use event::{LaneInfo, Request, SweepEvent};
pub use record::{CurvePoint, Stage, TrialRecord, TrialStatus};
pub use trials::{TRIALS, read_trials};
