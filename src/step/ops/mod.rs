//! Each operation: what it computes, its grid on the GPU, its twin on the CPU.

pub mod activation;
pub mod batch_norm;
pub mod batch_norm_backward;
pub mod batch_norm_inference;
pub mod gather;
pub mod grad_norm;
pub mod initialize;
pub mod loss;
pub mod matmul;
pub mod record;
pub mod update;

use super::memory::Context;
use super::real::{Real, vectorised};
use super::{Layers, Op};

/// Runs one operation on one member.
pub fn run<R: Real>(op: Op, context: &mut Context<R>) {
    if context.rows() == 0 {
        return;
    }
    let layers = context.member.layers.len();
    match op {
        Op::Gather => vectorised(|| gather::cpu(context)),
        Op::Matmul { product, layer: Layers::One(layer) } if layer < layers => {
            matmul::cpu(context, product, layer)
        }
        Op::Matmul { product, layer: Layers::All } => {
            (0..layers).for_each(|layer| matmul::cpu(context, product, layer))
        }
        Op::BatchNorm { layer } if layer + 1 < layers => vectorised(|| batch_norm::cpu(context, layer)),
        Op::BatchNormInference { layer } if layer + 1 < layers => {
            vectorised(|| batch_norm_inference::cpu(context, layer))
        }
        Op::Loss => vectorised(|| loss::cpu(context)),
        Op::BatchNormBackward { layer } if layer < layers => {
            vectorised(|| batch_norm_backward::cpu(context, layer))
        }
        Op::GradNorm => vectorised(|| grad_norm::cpu(context)),
        Op::Record { kind } => record::cpu(context, kind),
        Op::Update => update::cpu(context),
        Op::Matmul { .. }
        | Op::BatchNorm { .. }
        | Op::BatchNormInference { .. }
        | Op::BatchNormBackward { .. } => {}
    }
}
