//! The layers of a network: their sizes and products.

use super::Network;

/// The place of a layer in its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayerKind {
    /// Multiplies each input by a factor of each sub-model; a network without sub-models has none.
    Scaling,
    Hidden,
    Output,
}

/// One layer, with the units of all its sub-models side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerShape {
    pub kind: LayerKind,
    /// S, at least 1.
    pub sub_models: usize,
    /// I: S times those of one sub-model, except for the features, which all share.
    pub inputs: usize,
    /// O: S times those of one sub-model.
    pub outputs: usize,
    /// Whether it is batch-normalised.
    pub normalized: bool,
}

impl LayerShape {
    /// The layers, first to last, of a network with these sizes.
    pub fn all(
        inputs: usize,
        hidden: &[usize],
        outputs: usize,
        sub_models: usize,
        batch_norm: bool,
    ) -> Vec<LayerShape> {
        let layer = |kind, inputs, outputs, normalized| LayerShape {
            kind,
            sub_models,
            inputs,
            outputs: sub_models * outputs,
            normalized,
        };
        let mut layers = Vec::with_capacity(hidden.len() + 2);
        let mut before = inputs;
        if sub_models > 1 {
            layers.push(layer(LayerKind::Scaling, inputs, inputs, false));
            before *= sub_models;
        }
        for &units in hidden {
            layers.push(layer(LayerKind::Hidden, before, units, batch_norm));
            before = sub_models * units;
        }
        layers.push(layer(LayerKind::Output, before, outputs, false));
        layers
    }

    /// Its matrix products; none if it only scales.
    pub fn products(&self) -> Option<Products> {
        let (count, rows) = match self.kind {
            LayerKind::Scaling => return None,
            LayerKind::Hidden => (1, self.sub_models),
            LayerKind::Output => (self.sub_models, 1),
        };
        let (inputs, outputs) = (self.inputs / self.sub_models, self.outputs / self.sub_models);
        Some(Products { inputs, outputs, count, rows })
    }

    /// The shape of its weight in a file, PyTorch's layout: `[O, I]` of each product, one below the other; or the factors
    /// `[S, I]`.
    pub fn weight(&self) -> [usize; 2] {
        match self.products() {
            Some(products) => [products.count * products.outputs, products.inputs],
            None => [self.sub_models, self.inputs],
        }
    }

    /// Whether it has a bias: all have that are neither normalised nor only scale.
    pub fn has_bias(&self) -> bool {
        !self.normalized && self.kind != LayerKind::Scaling
    }
}

impl Network {
    /// The layers of this network, first to last.
    pub fn layers(&self, inputs: usize, outputs: usize) -> Vec<LayerShape> {
        LayerShape::all(inputs, &self.hidden, outputs, self.sub_models, self.batch_norm.is_some())
    }
}

/// The matrix products of a layer: [`Products::count`] of them, one after another in W, side by side in X and Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Products {
    /// I of one product.
    pub inputs: usize,
    /// O of one product.
    pub outputs: usize,
    /// How many there are: the sub-models, if these have weights of their own.
    pub count: usize,
    /// Rows of X for each row of the batch: the sub-models, if these share their weights.
    pub rows: usize,
}

impl Products {
    /// Numbers from a row of X to the next.
    pub fn x_stride(&self) -> usize {
        self.count * self.inputs
    }
    /// Numbers from a row of Z to the next.
    pub fn z_stride(&self) -> usize {
        self.count * self.outputs
    }
    /// Elements of W.
    pub fn weights(&self) -> usize {
        self.count * self.inputs * self.outputs
    }
}
