//! Many trainings: which, in which order, on which lanes, and what came out.

mod draw;
pub mod record;
mod study;
#[cfg(test)]
mod study_tests;
mod tpe;

pub use record::{CurvePoint, Stage, TrialRecord, TrialStatus};
pub use study::Study;
pub use tpe::Told;
