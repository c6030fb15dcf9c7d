//! The networks of most demonstrations, in pairs with and without batch normalisation.

use crate::report::figure::{Colour, Shape};
use crate::report::language::Text;
use crate::spec::{
    Activation, BatchNorm, BestEpoch, Embed, Init, Length, Network, Optimizer, Schedule, Training,
};
use crate::text;

/// Plain stochastic gradient descent.
pub const SGD: Optimizer = Optimizer::Sgd { momentum: 0.0, nesterov: false };
/// Adam with its authors' constants.
pub const ADAM: Optimizer = Optimizer::Adam { beta1: 0.9, beta2: 0.999, eps: 1e-8 };

/// [`super::Lab::training`] with these hidden layers.
pub fn training(hidden: &[usize], batch_norm: bool, lr: f64, seed: u64) -> Training {
    Training {
        network: Network {
            embed: Embed::None,
            sub_models: 1,
            hidden: hidden.to_vec(),
            activation: Activation::Sigmoid,
            batch_norm: batch_norm.then(BatchNorm::default),
            dropout: 0.0,
            init: Init::Xavier,
        },
        optimizer: SGD,
        lr,
        l2: 0.0,
        weight_decay: 0.0,
        schedule: Schedule::Constant,
        warmup: 0,
        clip_norm: None,
        batch_size: 60,
        // The lab sets the length.
        length: Length::Steps(0),
        patience: None,
        max_time: None,
        best_epoch: BestEpoch::Lowest,
        seed,
    }
}

/// The number of hidden layers in words.
pub fn layers(n: usize) -> Text {
    match n {
        1 => text!("One hidden layer", "一个隐藏层"),
        2 => text!("Two hidden layers", "两个隐藏层"),
        3 => text!("Three hidden layers", "三个隐藏层"),
        _ => text!("{n} hidden layers", "{n} 个隐藏层"),
    }
}

/// Name of a network in a figure.
pub fn name(batch_norm: bool) -> Text {
    if batch_norm { text!("with BN", "有 BN") } else { text!("without BN", "无 BN") }
}

/// Colour of a network in a figure.
pub fn colour(batch_norm: bool) -> Colour {
    if batch_norm { Colour::Blue } else { Colour::Vermillion }
}

/// Points of a network in a figure: filled with batch normalisation, hollow without.
pub fn dots(batch_norm: bool, points: Vec<(f64, f64)>) -> Shape {
    if batch_norm { Shape::Dots(points) } else { Shape::Circles(points) }
}

/// Both networks, without batch normalisation first.
pub const BOTH: [bool; 2] = [false, true];

/// `training` with this activation and its default initialisation.
pub fn with_activation(training: Training, activation: Activation) -> Training {
    let init = activation.default_init();
    let network = Network { activation, init, ..training.network };
    Training { network, ..training }
}

/// `training` by gradient descent with rate `lr`, and with weights from N(0, std²) if `std` is given.
pub fn by_sgd(training: Training, lr: f64, std: Option<f64>) -> Training {
    let init = std.map_or(training.network.init, Init::Normal);
    let network = Network { init, ..training.network };
    Training { network, optimizer: SGD, lr, ..training }
}

/// Steps of `epochs` epochs over `rows` rows in batches of `size`. The last batch of an epoch has the remaining rows;
/// a single remaining row is dropped.
pub fn steps_of(epochs: usize, rows: usize, size: usize) -> u64 {
    let size = size.min(rows).max(1);
    (epochs * (rows / size + usize::from(rows % size > 1))) as u64
}
