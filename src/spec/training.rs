//! The training that is asked for: loss terms, optimiser, schedule, length, seed.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Network;

/// The update rule. All of them update W, b, γ and β alike.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Optimizer {
    /// Kingma & Ba 2014 (arXiv 1412.6980), algorithm 1.
    Adam { beta1: f64, beta2: f64, eps: f64 },
    /// buffer ← momentum · buffer + g, as PyTorch; Nesterov steps along g + momentum · buffer.
    Sgd { momentum: f64, nesterov: bool },
    /// v ← α v + (1 - α) g², step g / (√v + ε) (Hinton, lecture 6e), as PyTorch.
    RmsProp { alpha: f64, eps: f64 },
}

/// How the learning rate runs over T steps in all (t = 0 is the first).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Schedule {
    /// lr
    Constant,
    /// lr, a tenth from T/2 on, a hundredth from 3T/4 on
    Step,
    /// lr · 0.01^(t/T)
    Exponential,
    /// lr · (1 + cos(π t/T)) / 2 (Loshchilov & Hutter 2016, arXiv 1608.03983)
    Cosine,
    /// lr/25 up to lr over the first 30 %, then down to lr/250,000, along cosines
    /// (Smith & Topin 2017, arXiv 1708.07120, with PyTorch's constants)
    OneCycle,
}

impl Schedule {
    /// Every schedule, for lists and help texts.
    pub const ALL: [Schedule; 5] =
        [Schedule::Constant, Schedule::Step, Schedule::Exponential, Schedule::Cosine, Schedule::OneCycle];

    /// The name on the command line and in files.
    pub fn name(self) -> &'static str {
        match self {
            Schedule::Constant => "constant",
            Schedule::Step => "step",
            Schedule::Exponential => "exponential",
            Schedule::Cosine => "cosine",
            Schedule::OneCycle => "one-cycle",
        }
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

/// One model's training, complete and validated: what `train` is given and a trial of a sweep is.
#[derive(Clone, Debug, PartialEq)]
pub struct Training {
    pub network: Network,
    pub optimizer: Optimizer,
    /// α, the learning rate before its schedule.
    pub lr: f64,
    /// λ: adds λ/2·‖W‖² to the loss (weights only).
    pub l2: f64,
    /// Decoupled weight decay (Loshchilov & Hutter 2017, arXiv 1711.05101): W ← W - lr·decay·W, weights only.
    pub weight_decay: f64,
    pub schedule: Schedule,
    /// Steps over which the learning rate rises linearly from lr/warmup to its schedule.
    pub warmup: u64,
    /// Largest allowed ‖gradient‖₂ over all parameters of the member; longer ones are scaled down.
    pub clip_norm: Option<f64>,
    /// Rows of a mini-batch.
    pub batch_size: usize,
    pub length: Length,
    /// Epochs without an improvement of the validation loss after which training stops.
    pub patience: Option<u64>,
    /// Wall-clock limit.
    pub max_time: Option<Duration>,
    /// Everything random comes from it.
    pub seed: u64,
}
