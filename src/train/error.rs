//! Why a training cannot start or continue.

use std::path::PathBuf;

use crate::engine::EngineError;
use crate::population::TooLarge;
use crate::run::RunError;

/// An error of a training.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// A device error that a retry cannot fix.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The device failed repeatedly without progress.
    #[error("{cause}; gave up after {tries} tries in a row; {}", remedy(checkpoint))]
    GaveUp { cause: EngineError, tries: u32, checkpoint: Option<PathBuf> },
    /// The files of the run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The data and settings allow no step at all.
    #[error(
        "{rows} training rows in batches of {batch} leave no batch of two rows, which batch normalisation needs; \
         use more rows, a larger --batch-size, or --no-bn"
    )]
    NoStep { rows: usize, batch: usize },
    /// More steps than a 32-bit counter holds.
    #[error(
        "{steps} steps are too many; the limit is {}: use fewer --epochs or a larger --batch-size",
        u32::MAX
    )]
    TooLong { steps: u64 },
    /// The network does not fit 32-bit offsets.
    #[error(transparent)]
    TooLarge(#[from] TooLarge),
}

fn remedy(checkpoint: &Option<PathBuf>) -> String {
    match checkpoint {
        Some(path) => format!(
            "the checkpoint {} is intact: continue with `bngpu resume`, and --device cpu if the device keeps failing",
            path.display()
        ),
        None => "try again, with --device cpu if the device keeps failing".into(),
    }
}
