//! Many trainings: which, in which order, on which lanes, and what came out.

pub mod record;
pub mod schedule;

pub use record::{CurvePoint, Stage, TrialRecord, TrialStatus};
