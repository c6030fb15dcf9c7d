//! How a sweep chooses, compares and stops its trials.

use serde::{Deserialize, Serialize};

use super::named::named;

named! {
    /// How the values of the trials are chosen.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    #[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
    pub enum Strategy {
        /// Every combination of the sets
        Grid = "grid",
        /// Independent draws
        Random = "random",
        /// Owen-scrambled Sobol sequence
        Sobol = "sobol",
        /// Tree-structured Parzen estimator
        Tpe = "tpe",
    }
}

/// What makes one trial better than another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// Lowest validation loss
    #[cfg_attr(feature = "cli", value(name = "val_loss"))]
    ValLoss,
    /// Highest validation accuracy (R² for numbers)
    #[cfg_attr(feature = "cli", value(name = "val_acc"))]
    ValAcc,
}

/// Successive halving: one in `eta` trials of a rung is promoted to the next rung, which is `eta` times as long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Halving {
    /// η, 2 or more.
    pub eta: u32,
    /// Epochs of the first rung.
    pub min_epochs: u64,
}
