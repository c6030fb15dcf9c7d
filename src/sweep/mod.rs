//! Many trainings: which, in which order, on which lanes, and what came out.

pub mod analysis;
pub mod record;

pub use record::{CurvePoint, Stage, TrialRecord, TrialStatus};
