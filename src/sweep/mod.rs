//! Sweeps: which trainings run, in which order, on which lanes, and their results.

mod again;
pub mod analysis;
mod budget;
mod draw;
mod ensemble;
mod event;
pub mod export;
pub mod files;
pub mod journal;
pub mod lane;
#[cfg(test)]
mod lane_tests;
pub mod merge;
pub mod outcome;
mod parzen;
pub mod plan;
pub mod record;
mod run;
pub mod schedule;
mod search;
pub mod selection;
mod stage;
mod study;
#[cfg(test)]
mod study_tests;
#[cfg(feature = "tensorboard")]
pub mod tensorboard;
#[cfg(test)]
mod test_study;
mod text;
mod tpe;
#[cfg(test)]
mod tpe_tests;
pub mod trials;

pub use again::{Again, train_again};
pub use ensemble::{Ensemble, Share};
pub use event::{LaneInfo, Observer, Request, SweepEvent};
pub use record::{CurvePoint, Stage, TrialRecord, TrialStatus};
pub use run::{Memory, Store, SweepEnd};
pub use search::{Search, SweepError};
pub use study::Study;
pub use text::{dimension_text, params_text};
pub use tpe::Told;
pub use trials::{TRIALS, read_trials};

/// All exporters.
pub static EXPORTERS: &[&dyn export::Exporter] = &[
    &journal::Optuna,
    #[cfg(feature = "tensorboard")]
    &tensorboard::TensorBoard,
];
