//! The network to train: layers, activation, batch normalisation, dropout, initial weights.

use super::named::named;

named! {
    /// The non-linearity after each hidden layer, in the order of its number on the device.
    ///
    /// To add one: a row here; the compiler then requires its initialisation below and its formula in
    /// `step/ops/activation.rs`, and a test requires its branch in `shaders/activation.wgsl`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    #[repr(u32)]
    pub enum Activation {
        /// max(y, 0)
        Relu = "relu",
        /// 1 / (1 + e^-y)
        Sigmoid = "sigmoid",
        /// tanh y
        Tanh = "tanh",
        /// y where y > 0, 0.01 y elsewhere
        LeakyRelu = "leaky-relu",
        /// y where y > 0, e^y - 1 elsewhere (Clevert et al. 2015, arXiv 1511.07289)
        Elu = "elu",
        /// y Φ(y), the exact form with erf (Hendrycks & Gimpel 2016, arXiv 1606.08415)
        Gelu = "gelu",
        /// y sigmoid(y) (Elfwing et al. 2017, arXiv 1702.03118)
        Silu = "silu",
        /// y
        Identity = "identity",
    }
}

impl Activation {
    /// The default of `--init`: He's for the rectifier family, Xavier's for the others.
    pub fn default_init(self) -> Init {
        use Activation::*;
        match self {
            Relu | LeakyRelu | Elu | Gelu | Silu => Init::He,
            Sigmoid | Tanh | Identity => Init::Xavier,
        }
    }
}

/// How the weights W `[I, O]` of a layer are drawn; biases start at 0, γ at 1, β at 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// Normal, standard deviation √(2 / I) (He et al. 2015, arXiv 1502.01852, eq. 10).
    He,
    /// Normal, standard deviation √(2 / (I + O)) (Glorot & Bengio 2010, eq. 12).
    Xavier,
    /// Normal with this standard deviation.
    Normal(f64),
}

impl Init {
    /// Standard deviation of the weights of a layer with `inputs` and `outputs` units.
    pub fn std(self, inputs: usize, outputs: usize) -> f64 {
        match self {
            Init::He => (2.0 / inputs as f64).sqrt(),
            Init::Xavier => (2.0 / (inputs + outputs) as f64).sqrt(),
            Init::Normal(std) => std,
        }
    }
}

/// How the numbers of a table enter the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Embed {
    /// As they are.
    #[default]
    None,
    /// Each with its piecewise-linear encoding in this many bins between quantiles of the training rows beside it
    /// (Gorishniy et al. 2022, arXiv 2203.05556, eq. 1, limited to 0..1).
    Ple(usize),
}

impl Embed {
    /// Most bins of a number.
    pub const MAX_BINS: usize = 64;

    /// Quantiles that are kept of a number: of the shares 0, 1/64, ..., 1.
    pub const QUANTILES: usize = Embed::MAX_BINS + 1;
}

/// Most sub-models of a network.
pub const MAX_SUB_MODELS: usize = 64;

/// Batch normalisation of every hidden Z (Ioffe & Szegedy 2015, arXiv 1502.03167).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchNorm {
    /// ε, added to the variance.
    pub eps: f64,
    /// Weight of the new batch in the running statistics (PyTorch's convention).
    pub momentum: f64,
    /// Whether γ and β are trained; else they stay at 1 and 0 (PyTorch's `affine=False`).
    pub affine: bool,
}

impl Default for BatchNorm {
    fn default() -> Self {
        BatchNorm { eps: 1e-8, momentum: 0.1, affine: true }
    }
}

/// A multi-layer perceptron; features and outputs come from the data.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// How the numbers of a table enter.
    pub embed: Embed,
    /// S, sub-models that share the hidden weights; they differ by a factor of each input and by a head each, and have
    /// statistics, γ and β of their own. The prediction is their mean (TabM-mini: Gorishniy et al. 2024, arXiv 2410.24210,
    /// section 3.3; there γ and β, or biases, are shared, too).
    pub sub_models: usize,
    /// Units of each hidden layer, first to last; empty is a linear model.
    pub hidden: Vec<usize>,
    /// Non-linearity of every hidden layer.
    pub activation: Activation,
    /// Batch normalisation of every hidden layer, or none.
    pub batch_norm: Option<BatchNorm>,
    /// Probability that a hidden unit is dropped in training.
    pub dropout: f64,
    /// Initial weights of every layer.
    pub init: Init,
}
