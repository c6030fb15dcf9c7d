//! One step of a population as a list of operations: the whole algorithm on one page, [`plan`].
//!
//! Both engines run this list: the GPU engine records a dispatch for each operation, or for several that it fuses, and the
//! CPU engine calls its twin in [`ops`]. An operation covers all members at once; members without the layer are skipped.
//!
//! # Dimensions
//! Shapes are in brackets, slowest first. Shaders, twins and tables use the same letters.
//!
//! | letter | dimension | name in code |
//! |---|---|---|
//! | K | members of a population | `members` |
//! | B | rows of a batch | `rows`, `batch` |
//! | I | inputs of a layer | `inputs` |
//! | O | outputs of a layer, its units | `outputs` |
//! | S | sub-models of a network, whose units stand side by side: `[B, S·O]` | `sub_models` |
//! | F | features of the data, the inputs of the first layer | `features` |
//! | M, N, K | rows, columns and terms of a matrix product C `[M, N]` = A `[M, K]` · B `[K, N]` | `m`, `n`, `k` |

pub mod bounds;
pub mod cost;
pub mod meeting;
pub mod memory;
pub mod ops;
pub mod real;
pub mod team;
pub mod watch;

use crate::population::Population;

/// The purpose of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StepKind {
    /// One mini-batch of training.
    Train,
    /// Loss and hits of some rows, with the running statistics.
    Evaluate,
    /// Watches the next mini-batch of training, without changing the state of the training.
    Watch,
}

impl StepKind {
    /// Every kind.
    pub const ALL: [StepKind; StepKind::COUNT] = [StepKind::Train, StepKind::Evaluate, StepKind::Watch];
    /// Number of kinds.
    pub const COUNT: usize = 3;
}

/// The product that a matrix multiplication computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Product {
    /// Z `[B, O]` = X `[B, I]` · W `[I, O]` (+ b)
    Forward,
    /// dA `[B, I]` = dZ `[B, O]` · Wᵀ, into the `dz` of the layer before
    BackwardInput,
    /// dW `[I, O]` = Xᵀ · dZ (+ λ W)
    BackwardWeight,
}

/// One operation on all members. `layer` counts from the first hidden layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Copies the batch's rows, scaled, into x, and their numbers into `index`.
    Gather,
    Matmul {
        product: Product,
        layer: Layers,
    },
    /// Batch mean and variance, x̂, γ x̂ + β, activation, dropout.
    BatchNorm {
        layer: usize,
        /// Whether the running statistics are updated.
        tracks: bool,
    },
    /// The same with the running statistics, without dropout.
    BatchNormInference {
        layer: usize,
    },
    /// Loss and hit of each row, and the gradient at the output.
    Loss,
    /// dA -> dZ through dropout, activation and batch normalisation; dγ and dβ, or db.
    BatchNormBackward {
        layer: usize,
    },
    /// Sum of squares of each chunk of the gradients.
    GradNorm,
    /// Percentiles of a layer's Z, or, where it is `normalized` and Z has become x̂, of γ x̂ + β.
    Percentiles {
        layer: usize,
        normalized: bool,
    },
    /// Each member's loss and hits; in training also its gradient norm and clipping scale.
    Record {
        kind: StepKind,
    },
    /// The optimiser step.
    Update,
}

/// The layers that an operation covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layers {
    One(usize),
    All,
}

impl Layers {
    /// Whether `layer` is covered.
    pub fn contains(self, layer: usize) -> bool {
        match self {
            Layers::One(one) => one == layer,
            Layers::All => true,
        }
    }
}

/// The operations of one step, in order; empty for watching a population that is not [watched](Population::watched).
///
/// The output layer's index differs from member to member: a member's hidden layers are those below its output layer.
/// `BatchNorm` skips output layers, and `BatchNormBackward` only computes dZ = dA and db there.
///
/// ```
/// use bngpu::bench::CASES;
/// use bngpu::step::{Op, StepKind, plan};
///
/// let population = CASES[0].population(1, true);
/// let ops = plan(&population, StepKind::Train);
/// assert_eq!((ops.first(), ops.last()), (Some(&Op::Gather), Some(&Op::Update)));
/// ```
pub fn plan(population: &Population, kind: StepKind) -> Vec<Op> {
    if kind == StepKind::Watch && !population.is_watched() {
        return Vec::new();
    }
    // Depth is fixed, so refills never change the plan.
    let depth = population.layers;
    let watches = kind == StepKind::Watch;
    let mut ops = vec![Op::Gather];
    for layer in 0..depth {
        ops.push(Op::Matmul { product: Product::Forward, layer: Layers::One(layer) });
        if watches {
            ops.push(Op::Percentiles { layer, normalized: false });
        }
        if layer + 1 < depth {
            ops.push(match kind {
                StepKind::Train | StepKind::Watch => Op::BatchNorm { layer, tracks: !watches },
                StepKind::Evaluate => Op::BatchNormInference { layer },
            });
            if watches {
                ops.push(Op::Percentiles { layer, normalized: true });
            }
        }
    }
    ops.push(Op::Loss);
    if kind != StepKind::Evaluate {
        for layer in (0..depth).rev() {
            ops.push(Op::BatchNormBackward { layer });
            if layer > 0 {
                ops.push(Op::Matmul { product: Product::BackwardInput, layer: Layers::One(layer) });
            }
        }
        ops.push(Op::Matmul { product: Product::BackwardWeight, layer: Layers::All });
        ops.push(Op::GradNorm);
    }
    ops.push(Op::Record { kind });
    if kind == StepKind::Train {
        ops.push(Op::Update);
    }
    ops
}
