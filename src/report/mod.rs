//! User-facing output: progress and summaries on stderr, results on stdout.
//!
//! Nothing here computes or decides; this module only reads events and the files of a run.

pub mod figure;
pub mod language;
pub mod live;
pub mod page;
mod progress;
mod result;
pub mod stdout;
mod summary;
mod sweep_result;
mod sweep_summary;

pub use page::escape;
pub use progress::Progress;
pub use result::{Evaluation, Status, TrainResult};
pub use summary::{EndSummary, Memory, ModelSummary, SplitSummary, worse_than_constant};
pub use sweep_result::SweepResult;
pub use sweep_summary::SweepSummary;
