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
use super::real::{Kernel, Real, vectorised};
use super::{Layers, Op};

/// Runs one operation on one member.
pub fn run<R: Real>(op: Op, context: &mut Context<R>) {
    if context.rows() == 0 {
        return;
    }
    let layers = context.member.layers.len();
    match op {
        Op::Matmul { product, layer: Layers::One(layer) } if layer < layers => {
            matmul::cpu(context, product, layer)
        }
        Op::Matmul { layer: Layers::One(_), .. } => {}
        Op::Matmul { product, layer: Layers::All } => {
            (0..layers).for_each(|layer| matmul::cpu(context, product, layer))
        }
        Op::Record { kind } => record::cpu(context, kind),
        Op::Update => update::cpu(context),
        Op::Gather
        | Op::BatchNorm { .. }
        | Op::BatchNormInference { .. }
        | Op::Loss
        | Op::BatchNormBackward { .. }
        | Op::GradNorm => vectorised(Elementwise { op, context }),
    }
}

/// The operations that are loops over elements.
struct Elementwise<'a, 'b, R> {
    op: Op,
    context: &'a mut Context<'b, R>,
}

impl<R: Real> Kernel for Elementwise<'_, '_, R> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Elementwise { op, context } = self;
        let layers = context.member.layers.len();
        match op {
            Op::Gather => gather::cpu(context),
            Op::BatchNorm { layer } if layer + 1 < layers => batch_norm::cpu(context, layer),
            Op::BatchNormInference { layer } if layer + 1 < layers => {
                batch_norm_inference::cpu(context, layer)
            }
            Op::Loss => loss::cpu(context),
            Op::BatchNormBackward { layer } if layer < layers => batch_norm_backward::cpu(context, layer),
            Op::GradNorm => grad_norm::cpu(context),
            // Layers that the member does not have.
            Op::BatchNorm { .. } | Op::BatchNormInference { .. } | Op::BatchNormBackward { .. } => {}
            // Not loops over elements: `run` has done them.
            Op::Matmul { .. } | Op::Record { .. } | Op::Update => {}
        }
    }
}
