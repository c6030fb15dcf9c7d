//! What a sweep tries: the values of each hyperparameter that is not fixed.

use serde_json::{Map, Value};

/// The values of one trial: each searched hyperparameter's key (the flag without `--`) with a number, a switch or a
/// text. An architecture is a text that joins its layers by `-`: `256-128`, `100x3`.
pub type Params = Map<String, Value>;

/// How the numbers of a range lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Uniform.
    Linear,
    /// Uniform in ln x.
    Log,
    /// Uniform in ln 1/(1 - β): the logarithm of the number of steps that a moving average remembers.
    Ema,
}

/// The values that one hyperparameter can have.
#[derive(Clone, Debug, PartialEq)]
pub enum Domain {
    /// Any of these, in the order as given.
    Set(Vec<Value>),
    /// low ≤ x ≤ high; whole numbers only where `integer`.
    Range { low: f64, high: f64, scale: Scale, integer: bool },
}

/// One searched hyperparameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Dimension {
    /// The flag without `--`.
    pub key: String,
    pub domain: Domain,
}

/// All searched hyperparameters, in the order of the flags of `train`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Space {
    pub dimensions: Vec<Dimension>,
}
