//! THE page: what one step of a population is, as a list of operations.
//!
//! Both engines run this list: the GPU engine records one dispatch for each operation, the CPU engine calls
//! its twin in [`ops`]. All members take part in each operation at once; one that has no such layer is
//! left out of it.

pub mod cost;
pub mod memory;
pub mod ops;
pub mod real;
pub mod team;

use crate::population::Population;

/// What a step is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StepKind {
    /// One mini-batch of training.
    Train,
    /// Loss and hits of some rows, by the running statistics.
    Evaluate,
}

impl StepKind {
    /// Every kind.
    pub const ALL: [StepKind; 2] = [StepKind::Train, StepKind::Evaluate];
}

/// Which product a matrix multiplication is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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
    /// Rows of the batch from the data, scaled, into x; their numbers into `index`.
    Gather,
    Matmul {
        product: Product,
        layer: Layers,
    },
    /// Batch mean and variance, x̂, γ x̂ + β, activation, dropout; running statistics.
    BatchNorm {
        layer: usize,
    },
    /// The same by the running statistics, without dropout.
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
    /// Each member's loss, hits, gradient norm and clipping scale.
    Record {
        kind: StepKind,
    },
    /// The optimiser.
    Update,
}

/// The layers that an operation covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Layers {
    One(usize),
    All,
}

impl Layers {
    /// Whether `layer` is among them.
    pub fn contains(self, layer: usize) -> bool {
        match self {
            Layers::One(one) => one == layer,
            Layers::All => true,
        }
    }
}

/// The operations of one step, in order.
///
/// The output layer differs in depth from member to member: hidden layers of a member are those below its own
/// last; `BatchNorm` skips output layers, and `BatchNormBackward` gives them dZ = dA and db.
pub fn plan(population: &Population, kind: StepKind) -> Vec<Op> {
    // Whoever comes into a slot later, the list stays.
    let depth = population.layers;
    let mut ops = vec![Op::Gather];
    for layer in 0..depth {
        ops.push(Op::Matmul { product: Product::Forward, layer: Layers::One(layer) });
        if layer + 1 < depth {
            ops.push(match kind {
                StepKind::Train => Op::BatchNorm { layer },
                StepKind::Evaluate => Op::BatchNormInference { layer },
            });
        }
    }
    ops.push(Op::Loss);
    if kind == StepKind::Train {
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
