//! The training loop: epochs, evaluation, early stopping, checkpoints, recovery from device faults.
//!
//! [`Trainer`] trains the members of a population on one engine, while members come and go, and reports to [`Events`];
//! it uses no files. [`RunFiles`] writes the files of a run of one member or of an ensemble. [`model`] converts between
//! both layouts of the weights.

mod ensemble;
mod error;
mod evaluate;
mod events;
mod files;
mod infer;
mod member;
mod mixture;
pub mod model;
mod pace;
mod problem;
mod recovery;
mod session;
mod slots;
mod state;
mod stepper;
mod stop;
mod stop_reason;
#[cfg(test)]
pub(crate) mod tests;
mod trainer;

pub use error::TrainError;
pub use events::{Advance, Events};
pub use files::{Origin, RunFiles, Stored};
pub use infer::Inference;
pub use member::{member, member_of_fold, member_of_run};
pub(crate) use mixture::{largest, softmax};
pub(crate) use pace::Cost;
pub use pace::Pace;
pub use problem::{Problem, Sums};
pub use session::{Outcome, Session, Started};
pub use slots::Arrival;
pub use state::{Best, Checkpoint, Ended, EpochSums, MemberCheckpoint, MemberState, TrainingState};
pub(crate) use stepper::Stepper;
pub use stop::Stop;
pub use stop_reason::StopReason;
pub use trainer::Trainer;
