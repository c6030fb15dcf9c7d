//! One training: loss terms, optimiser, schedule, length, seed.

use std::time::Duration;

use super::named::named;
use super::network::Network;

/// The update rule with its settings. All of them update W, b, γ and β alike.
///
/// To add one: a variant here and a row in [`OptimizerKind`]; the compiler then names every place that must follow.
/// Its hyperparameters go to `hyperparameter.rs` with the optimiser as their owner.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Optimizer {
    /// Kingma & Ba 2014 (arXiv 1412.6980), algorithm 1.
    Adam { beta1: f64, beta2: f64, eps: f64 },
    /// buffer ← momentum · buffer + g, as PyTorch; Nesterov steps along g + momentum · buffer.
    Sgd { momentum: f64, nesterov: bool },
    /// v ← α v + (1 - α) g², step g / (√v + ε) (Hinton, lecture 6e), as PyTorch.
    RmsProp { alpha: f64, eps: f64 },
}

named! {
    /// The update rule by name; [`Optimizer`] holds its settings too.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    #[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
    pub enum OptimizerKind {
        /// Adam, with beta1, beta2, eps
        Adam = "adam",
        /// stochastic gradient descent, with momentum, nesterov
        Sgd = "sgd",
        /// RMSprop, with rms-alpha, eps
        Rmsprop = "rmsprop",
    }
}

named! {
    /// How the learning rate changes over the T steps of a training; t = 0 is the first step.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Schedule {
        /// lr
        Constant = "constant",
        /// lr, a tenth from T/2 on, a hundredth from 3T/4 on
        Step = "step",
        /// lr · 0.01^(t/T)
        Exponential = "exponential",
        /// lr · (1 + cos(π t/T)) / 2 (Loshchilov & Hutter 2016, arXiv 1608.03983)
        Cosine = "cosine",
        /// lr/25 up to lr over the first 30 %, then down to lr/250,000, along cosines
        /// (Smith & Topin 2017, arXiv 1708.07120, with PyTorch's constants)
        OneCycle = "one-cycle",
    }
}

named! {
    /// The epoch whose weights are the best of a training.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    #[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
    pub enum BestEpoch {
        /// the one with the lowest validation loss
        #[default]
        Lowest = "lowest",
        /// the last, if the training reaches its end; otherwise the one with the lowest validation loss
        Last = "last",
    }
}

/// How long a training lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// Passes over the training rows.
    Epochs(u64),
    /// Mini-batches.
    Steps(u64),
}

/// The training of one model, complete and validated: a run of `train`, or one trial of a sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct Training {
    /// The model.
    pub network: Network,
    /// The update rule.
    pub optimizer: Optimizer,
    /// α, the learning rate before its schedule.
    pub lr: f64,
    /// λ: adds λ/2·‖W‖² to the loss (weights only).
    pub l2: f64,
    /// Decoupled weight decay (Loshchilov & Hutter 2017, arXiv 1711.05101): W ← W - lr·decay·W, weights only.
    pub weight_decay: f64,
    /// How the learning rate changes.
    pub schedule: Schedule,
    /// Steps over which the learning rate rises linearly from lr/warmup to its schedule.
    pub warmup: u64,
    /// Largest allowed ‖gradient‖₂ over all parameters of the member; longer ones are scaled down.
    pub clip_norm: Option<f64>,
    /// Rows of a mini-batch.
    pub batch_size: usize,
    /// When the training ends.
    pub length: Length,
    /// Epochs without an improvement of the validation loss after which training stops.
    pub patience: Option<u64>,
    /// Wall-clock limit.
    pub max_time: Option<Duration>,
    /// Which epoch's weights are the best.
    pub best_epoch: BestEpoch,
    /// Seed of everything random.
    pub seed: u64,
}

impl Training {
    /// Seed of the `n`-th of several trainings that differ by their seeds alone: this training's own for 0, then those
    /// that follow it.
    pub fn nth_seed(&self, n: u64) -> u64 {
        self.seed.wrapping_add(n)
    }
}
