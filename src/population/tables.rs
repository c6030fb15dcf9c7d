//! Members as data: the tables that both engines read. `#[repr(C)]` twins of `shaders/tables.wgsl`; a test checks by
//! reflection that they are equal.

use bytemuck::{Pod, Zeroable};

use super::random::permuted;
use crate::spec::{LayerKind, LayerShape, Products};

/// One member: the values that do not change from step to step.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct MemberRow {
    pub seed_lo: u32,
    pub seed_hi: u32,
    /// Index of its first layer in the layer table.
    pub first_layer: u32,
    /// Layers, the output layer included.
    pub layers: u32,
    /// First of its rows in `index` and `row_loss`, and their number.
    pub first_row: u32,
    pub capacity: u32,
    /// First of its blocks in `partials`, and their number.
    pub first_partial: u32,
    pub partials: u32,
    /// Training rows of its data.
    pub train_rows: u32,
    /// Outputs of the network.
    pub outputs: u32,
    /// A number of [`LossKind`].
    pub loss: u32,
    /// A number of [`OptimizerKind`].
    pub optimizer: u32,
    /// β1 (Adam), momentum (SGD), α (RMSprop).
    pub decay1: f32,
    /// β2 (Adam).
    pub decay2: f32,
    /// 1 - decay1, 1 - decay2, rounded once from f64.
    pub rest1: f32,
    pub rest2: f32,
    /// ε of the optimiser.
    pub eps: f32,
    /// λ of the L2 penalty.
    pub l2: f32,
    /// Largest gradient norm; 0 for no clipping.
    pub clip_norm: f32,
    /// A unit is dropped if its random word is below this.
    pub drop_below: u32,
    /// 1 / (1 - dropout)
    pub drop_scale: f32,
    pub bn_eps: f32,
    pub bn_momentum: f32,
    /// Its position in the population.
    pub id: u32,
    /// F, features of a row of the data.
    pub features: u32,
    /// First of its rows in `inputs`, and whether there are any: if not, its inputs are the features.
    pub first_input: u32,
    pub embeds: u32,
    /// First of the stored rows that it holds out, where these lie among its training rows, and their number.
    pub held_out: u32,
    pub held_out_rows: u32,
}

impl MemberRow {
    /// The stored row at `position` of the epoch with these keys: all training rows in a random order, without those
    /// that are held out.
    pub fn training_row(&self, keys: [u32; 8], position: u32) -> u32 {
        let row = permuted(keys, self.train_rows, position);
        if row < self.held_out { row } else { row + self.held_out_rows }
    }
}

/// One input of a member's network.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct InputRow {
    /// The feature that it comes from.
    pub feature: u32,
    /// A number of [`InputKind`].
    pub kind: u32,
    /// Lower edge of the bin, in the feature's unit.
    pub low: f32,
    /// 1 / width of the bin.
    pub factor: f32,
}

impl InputRow {
    /// Elements of a row in [`super::Buffer::Inputs`].
    pub const WORDS: usize = size_of::<InputRow>() / 4;
}

/// One layer of one member, with the units of all its sub-models. Offsets count elements of the buffer they belong to.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct LayerRow {
    pub inputs: u32,
    pub outputs: u32,
    pub flags: u32,
    /// A number of [`crate::spec::Activation`].
    pub activation: u32,
    /// `params`: W `[I, O]`
    pub w: u32,
    /// `params`: b `[O]`, or γ `[O]` where the layer is normalised, or the factors `[O]` where it only scales
    pub b: u32,
    /// `params`: β `[O]` where the layer is normalised
    pub beta: u32,
    /// `stats` `[Statistic::COUNT, O]`: the rows of [`Statistic`]
    pub stats: u32,
    /// `acts`: the layer's input `[B, I]`
    pub x: u32,
    /// `acts`: the layer's activated output `[B, O]`, the next layer's input (hidden layers)
    pub a: u32,
    /// `z` and `dz`: `[B, O]`
    pub z: u32,
    /// Standard deviation of the initial weights.
    pub init_std: f32,
    /// Position of the layer in its member, from 0.
    pub depth: u32,
    /// S, the sub-models whose units stand side by side: `[B, S·O]` is `[B·S, O]`.
    pub sub_models: u32,
    pub _pad: [u32; 2],
}

impl LayerRow {
    /// The layer is batch-normalised.
    pub const NORMALIZED: u32 = 1;
    /// The layer is hidden: activation and dropout apply.
    pub const HIDDEN: u32 = 2;
    /// The layer's γ and β are not trained: their gradients are 0.
    pub const NOT_AFFINE: u32 = 4;
    /// The layer has no product: unit (s, i) is input i times a factor of sub-model s, `b` `[S·I]`.
    pub const SCALES: u32 = 8;

    pub fn is_normalized(&self) -> bool {
        self.flags & Self::NORMALIZED != 0
    }
    pub fn is_hidden(&self) -> bool {
        self.flags & Self::HIDDEN != 0
    }
    pub fn is_affine(&self) -> bool {
        self.flags & Self::NOT_AFFINE == 0
    }
    pub fn scales(&self) -> bool {
        self.flags & Self::SCALES != 0
    }

    /// Its sizes.
    pub fn shape(&self) -> LayerShape {
        let kind = match (self.scales(), self.is_hidden()) {
            (true, _) => LayerKind::Scaling,
            (false, true) => LayerKind::Hidden,
            (false, false) => LayerKind::Output,
        };
        let [sub_models, inputs, outputs] = [self.sub_models, self.inputs, self.outputs].map(|n| n as usize);
        LayerShape { kind, sub_models, inputs, outputs, normalized: self.is_normalized() }
    }

    /// Its products; none of a layer that only scales.
    pub fn products(&self) -> Option<Products> {
        self.shape().products()
    }
}

/// One member in one step of a submit.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct StepRow {
    /// Number of the step in the member's training, from 0.
    pub step: u32,
    /// Rows of the batch; 0 leaves the member idle.
    pub rows: u32,
    /// First position, in the epoch's order (shuffled) or among the stored rows.
    pub first: u32,
    pub epoch: u32,
    pub flags: u32,
    pub lr: f32,
    /// 1 / (1 - β1^t), 1 / (1 - β2^t)
    pub correction1: f32,
    pub correction2: f32,
    /// 1 - lr · weight decay
    pub keep: f32,
    /// Canary: the engine writes the number of the submit here, and checks it in the record.
    pub nonce: u32,
    pub _pad: [u32; 2],
}

impl StepRow {
    /// Rows come in the order of the epoch's permutation of the training rows.
    pub const SHUFFLED: u32 = 1;

    /// A member that is idle in this step.
    pub const IDLE: StepRow = StepRow {
        step: 0,
        rows: 0,
        first: 0,
        epoch: 0,
        flags: 0,
        lr: 0.0,
        correction1: 1.0,
        correction2: 1.0,
        keep: 1.0,
        nonce: 0,
        _pad: [0; 2],
    };
}

/// The record of one member in one step.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Pod, Zeroable)]
pub struct Record {
    /// Sum of the losses of the batch's rows.
    pub loss: f32,
    /// Rows with the correct class.
    pub hits: u32,
    /// ‖gradient‖₂ over all parameters, before clipping; 0 in evaluation.
    pub grad_norm: f32,
    /// First step with a non-finite number in the member, or [`Record::FINITE`].
    pub first_bad: u32,
    /// Canary: the step's number, its number of rows, and the submit's number.
    pub step: u32,
    pub rows: u32,
    pub nonce: u32,
    pub _pad: u32,
}

impl Record {
    /// `first_bad` of a member without NaN or infinity.
    pub const FINITE: u32 = u32::MAX;
}

/// The loss of a member, in [`MemberRow::loss`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum LossKind {
    /// Softmax cross-entropy.
    CrossEntropy = 0,
    /// Mean squared error.
    SquaredError = 1,
}

/// The optimiser of a member, in [`MemberRow::optimizer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum OptimizerKind {
    Adam = 0,
    Sgd = 1,
    /// SGD with Nesterov's momentum.
    Nesterov = 2,
    RmsProp = 3,
}

impl OptimizerKind {
    pub const ALL: [OptimizerKind; 4] =
        [OptimizerKind::Adam, OptimizerKind::Sgd, OptimizerKind::Nesterov, OptimizerKind::RmsProp];
}

/// A row `[O]` of a normalised layer's statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Statistic {
    RunningMean = 0,
    /// Remainder of the running mean, which is the sum of two numbers.
    RunningMeanRest = 1,
    RunningVar = 2,
    BatchMean = 3,
    /// 1 / √(σ² + ε) of the batch.
    BatchRstd = 4,
}

impl Statistic {
    /// Number of rows.
    pub const COUNT: usize = 5;

    /// The row's first element in the statistics of a layer of `outputs` units.
    pub fn start(self, outputs: usize) -> usize {
        self as usize * outputs
    }
}

/// How an input comes from its feature x, in [`InputRow::kind`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum InputKind {
    /// x
    Same = 0,
    /// (x - low) · factor, limited to 0..1
    Bin = 1,
}

/// The kind of parameters in a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum ChunkKind {
    Weight = 0,
    Bias = 1,
    Gamma = 2,
    Beta = 3,
    /// The factors of a layer that scales.
    Factor = 4,
}
