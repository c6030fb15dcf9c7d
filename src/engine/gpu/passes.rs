//! The passes of a step on a GPU: its operations, and kernels that fuse several of them.
//!
//! [`super::work`] assigns each member to one or the other; both give the same bits.

use crate::step::{Layers, Op, Product, StepKind};

/// One dispatch of a step, for the members that use it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pass {
    /// One operation.
    One(Op),
    /// Matmul forward and batch norm of a hidden layer.
    Hidden { layer: usize, kind: StepKind },
    /// Matmul forward, loss and batch norm backward of each member's output layer.
    Output,
    /// Matmul backward of the layer after it, and batch norm backward of a hidden layer.
    HiddenBackward { layer: usize },
    /// Matmul backward weight, gradient norm and update.
    Descent,
}

impl Pass {
    /// The operations that it covers, if members have `layers` layers.
    pub fn ops(self, layers: usize) -> Vec<Op> {
        let product = |product, layer| Op::Matmul { product, layer: Layers::One(layer) };
        match self {
            Pass::One(op) => vec![op],
            Pass::Hidden { layer, kind } => {
                let norm = match kind {
                    StepKind::Train | StepKind::Watch => Op::BatchNorm { layer, tracks: true },
                    StepKind::Evaluate => Op::BatchNormInference { layer },
                };
                vec![product(Product::Forward, layer), norm]
            }
            Pass::Output => {
                let layer = layers.saturating_sub(1);
                vec![product(Product::Forward, layer), Op::Loss, Op::BatchNormBackward { layer }]
            }
            Pass::HiddenBackward { layer } => {
                vec![product(Product::BackwardInput, layer + 1), Op::BatchNormBackward { layer }]
            }
            Pass::Descent => {
                let all = Op::Matmul { product: Product::BackwardWeight, layer: Layers::All };
                vec![all, Op::GradNorm, Op::Update]
            }
        }
    }
}

/// The dispatches of a list of operations, in order. A fused dispatch comes before the last of its operations, whose
/// own dispatches stay in the list.
pub fn passes(ops: &[Op]) -> Vec<Pass> {
    let mut passes = Vec::with_capacity(2 * ops.len());
    for &op in ops {
        match op {
            Op::BatchNorm { layer, .. } => passes.push(Pass::Hidden { layer, kind: StepKind::Train }),
            Op::BatchNormInference { layer } => passes.push(Pass::Hidden { layer, kind: StepKind::Evaluate }),
            Op::Loss => passes.push(Pass::Output),
            Op::BatchNormBackward { layer } => passes.push(Pass::HiddenBackward { layer }),
            Op::Matmul { product: Product::BackwardWeight, layer: Layers::All } => passes.push(Pass::Descent),
            _ => {}
        }
        passes.push(Pass::One(op));
    }
    passes
}
