//! Why a training could not be started or go on.

use std::path::PathBuf;

use crate::engine::EngineError;
use crate::population::TooLarge;
use crate::run::RunError;

/// See the module.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The device, in a way that another try does not mend.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The device failed again and again at the same place.
    #[error("{cause}; gave up after {tries} tries in a row; {}", remedy(checkpoint))]
    GaveUp { cause: EngineError, tries: u32, checkpoint: Option<PathBuf> },
    /// The files of the run.
    #[error(transparent)]
    Run(#[from] RunError),
    /// Not even one step can be made.
    #[error(
        "{rows} training rows in batches of {batch} leave no batch of two rows, which batch normalisation needs; \
         use more rows, a larger --batch-size, or --no-bn"
    )]
    NoStep { rows: usize, batch: usize },
    /// More steps than a counter of 32 bits holds.
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
            "the checkpoint {} stands: go on with `bngpu resume`, with --device cpu if the device keeps failing",
            path.display()
        ),
        None => "try again, with --device cpu if the device keeps failing".into(),
    }
}
