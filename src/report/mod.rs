//! What a person sees: progress and summaries on stderr, results on stdout.
//!
//! Nothing here computes or decides; it reads events and the files of a run.

#[cfg(not(target_family = "wasm"))]
pub mod figure;
#[cfg(not(target_family = "wasm"))]
pub mod language;
#[cfg(not(target_family = "wasm"))]
pub mod live;
#[cfg(not(target_family = "wasm"))]
pub mod page;
#[cfg(not(target_family = "wasm"))]
mod progress;
#[cfg(not(target_family = "wasm"))]
mod result;
#[cfg(not(target_family = "wasm"))]
pub mod stdout;
#[cfg(not(target_family = "wasm"))]
mod summary;
#[cfg(not(target_family = "wasm"))]
mod sweep_result;
#[cfg(not(target_family = "wasm"))]
mod sweep_summary;
pub mod text;

#[cfg(not(target_family = "wasm"))]
pub use page::escape;
#[cfg(not(target_family = "wasm"))]
pub use progress::Progress;
#[cfg(not(target_family = "wasm"))]
pub use result::{Evaluation, Status, TrainResult};
#[cfg(not(target_family = "wasm"))]
pub use summary::{EndSummary, Memory, ModelSummary, SplitSummary, shell_word};
#[cfg(not(target_family = "wasm"))]
pub use sweep_result::SweepResult;
#[cfg(not(target_family = "wasm"))]
pub use sweep_summary::SweepSummary;
