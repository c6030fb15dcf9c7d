//! A sweep as it is asked for.

use std::time::Duration;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::{RunRequest, Space};

/// How the values of the trials are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Strategy {
    /// Every combination of the sets
    Grid,
    /// Independent draws
    Random,
    /// Owen-scrambled Sobol sequence
    Sobol,
    /// Tree-structured Parzen estimator
    Tpe,
}

/// What makes one trial better than another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum Objective {
    /// Lowest validation loss
    #[value(name = "val_loss")]
    ValLoss,
    /// Highest validation accuracy (R² for numbers)
    #[value(name = "val_acc")]
    ValAcc,
}

/// Successive halving: of the trials at a rung, one in `eta` goes on to the next, `eta` times as far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Halving {
    /// η, 2 or more.
    pub eta: u32,
    /// Epochs of the first rung.
    pub min_epochs: u64,
}

/// A part of the trials: those whose number leaves the remainder `index` when divided by `count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    pub index: u32,
    pub count: u32,
}

/// A sweep, complete and validated.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepRequest {
    /// What is the same in all trials; a searched hyperparameter has any one of its values here. `training.max_time`
    /// is none: `--max-time` of a sweep is [`SweepRequest::max_time`].
    pub base: RunRequest,
    pub space: Space,
    pub strategy: Strategy,
    /// Number of different settings. The whole grid where it is not given and the strategy is `grid`.
    pub trials: u64,
    /// Each trial is trained with this many seeds: `base.training.seed`, and those that follow it.
    pub seeds: u32,
    pub halving: Option<Halving>,
    pub objective: Objective,
    /// Trials that the final comparison trains again with new seeds, at most; 0 leaves it out.
    pub finalists: u32,
    /// Seeds of each finalist.
    pub final_seeds: u32,
    /// Queues of each adapter; none is what was measured to be best.
    pub queues: Option<u32>,
    /// All adapters of the machine and the CPU engine, instead of `base.device`.
    pub all_devices: bool,
    /// Most models in one population; none is as many as memory and speed allow.
    pub population: Option<u32>,
    /// Wall-clock limit of the whole sweep.
    pub max_time: Option<Duration>,
    pub shard: Option<Shard>,
    /// Trials whose weights are kept.
    pub keep: u32,
    /// TensorBoard event files of the trials that are kept.
    pub tensorboard: bool,
}
