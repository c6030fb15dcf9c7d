//! Many trainings: which, in which order, on which lanes, and what came out.

pub mod record;
pub mod trials;

pub use record::{CurvePoint, Stage, TrialRecord, TrialStatus};
pub use trials::{TRIALS, read_trials};
