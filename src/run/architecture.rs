//! The architecture of a stored model, as in its metadata.

use serde::{Deserialize, Serialize};

use super::ModelFault;
use crate::spec::{Activation, BatchNorm, LayerShape, MAX_SUB_MODELS, Network};

/// Everything besides the tensors that a forward pass needs; stored as JSON under [`Architecture::KEY`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Architecture {
    /// Features of a row after preprocessing.
    pub inputs: usize,
    /// Units of each hidden layer.
    pub hidden: Vec<usize>,
    /// Classes, or 1 for a regression.
    pub outputs: usize,
    /// Sub-models, if there are several.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub sub_models: usize,
    /// Activation after every hidden layer.
    pub activation: Activation,
    /// ε added to the variance, if hidden layers are batch-normalised.
    pub bn_eps: Option<f64>,
    /// Weight of a new batch in the running statistics, if hidden layers are batch-normalised.
    pub bn_momentum: Option<f64>,
    /// Probability that a hidden unit was dropped in training.
    pub dropout: f64,
}

impl Architecture {
    /// The metadata key.
    pub const KEY: &'static str = "architecture";

    /// The architecture of `network` with `inputs` features and `outputs` output units.
    pub fn new(network: &Network, inputs: usize, outputs: usize) -> Architecture {
        Architecture {
            inputs,
            hidden: network.hidden.clone(),
            outputs,
            sub_models: network.sub_models,
            activation: network.activation,
            bn_eps: network.batch_norm.map(|bn| bn.eps),
            bn_momentum: network.batch_norm.map(|bn| bn.momentum),
            dropout: network.dropout,
        }
    }

    /// Batch normalisation of the hidden layers, or none. The file always holds γ and β, trained or not.
    pub fn batch_norm(&self) -> Option<BatchNorm> {
        self.bn_eps.zip(self.bn_momentum).map(|(eps, momentum)| BatchNorm { eps, momentum, affine: true })
    }

    /// Every layer, first to last.
    pub fn layers(&self) -> Vec<LayerShape> {
        LayerShape::all(self.inputs, &self.hidden, self.outputs, self.sub_models, self.bn_eps.is_some())
    }

    /// Reads and checks what [`Architecture::to_json`] wrote.
    pub(super) fn from_json(text: &str) -> Result<Architecture, ModelFault> {
        let architecture: Architecture =
            serde_json::from_str(text).map_err(|error| unusable(&error.to_string()))?;
        architecture.check()?;
        Ok(architecture)
    }

    /// Refuses an architecture that no network has.
    pub(super) fn check(&self) -> Result<(), ModelFault> {
        let units = || self.hidden.iter().chain([&self.inputs, &self.outputs]);
        if units().any(|units| *units == 0) {
            return Err(unusable("a layer without units"));
        }
        // So that the units of all sub-models can be counted.
        if units().any(|units| *units > u32::MAX as usize) || !(1..=MAX_SUB_MODELS).contains(&self.sub_models)
        {
            return Err(unusable("sizes that no network has"));
        }
        let in_unit = |x: f64| (0.0..=1.0).contains(&x);
        let is_eps = |eps: f64| eps > 0.0 && eps.is_finite();
        if !(self.bn_eps.is_none_or(is_eps) && self.bn_momentum.is_none_or(in_unit) && in_unit(self.dropout))
        {
            return Err(unusable("bn_eps, bn_momentum or dropout is out of its range"));
        }
        if self.bn_eps.is_some() != self.bn_momentum.is_some() {
            return Err(unusable("batch normalisation needs both bn_eps and bn_momentum"));
        }
        Ok(())
    }

    /// One line of JSON.
    pub fn to_json(&self) -> String {
        // Strings, numbers and lists only, so this cannot fail.
        serde_json::to_string(self).unwrap_or_default()
    }
}

fn one() -> usize {
    1
}

fn is_one(sub_models: &usize) -> bool {
    *sub_models == 1
}

fn unusable(what: &str) -> ModelFault {
    ModelFault::Inconsistent(format!("its architecture is unusable: {what}"))
}
