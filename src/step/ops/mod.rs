//! Each operation: what it computes, its twin on the CPU.

pub mod activation;
pub mod batch_norm;
pub mod batch_norm_backward;
pub mod batch_norm_inference;
pub mod gather;
pub mod grad_norm;
pub mod initialize;
pub mod loss;
pub mod matmul;
pub mod percentiles;
pub mod record;
pub mod update;

use super::memory::{Context, Slabs, View};
use super::real::{Kernel, Real, vectorised};
use super::team::Rank;
use super::{Layers, Op};

/// Runs one operation on one member.
pub fn run<R: Real>(op: Op, context: &mut Context<R>) {
    let slabs = Slabs::new(context.memory);
    let Context { member, step, table, .. } = *context;
    run_part(op, &View { member, step, table, memory: &slabs, rank: Rank::ALONE });
}

/// Runs one thread's part of an operation. All threads of its team must run it, and have done with the one before it.
pub fn run_part<R: Real>(op: Op, view: &View<R>) {
    if view.rows() == 0 {
        return;
    }
    let layers = view.member.layers.len();
    match op {
        Op::Matmul { product, layer: Layers::One(layer) } if layer < layers => {
            matmul::cpu(view, product, layer)
        }
        Op::Matmul { layer: Layers::One(_), .. } => {}
        Op::Matmul { product, layer: Layers::All } => {
            (0..layers).for_each(|layer| matmul::cpu(view, product, layer))
        }
        Op::Percentiles { layer, normalized } if layer < layers => percentiles::cpu(view, layer, normalized),
        Op::Percentiles { .. } => {}
        Op::Record { kind } => record::cpu(view, kind),
        Op::Gather
        | Op::BatchNorm { .. }
        | Op::BatchNormInference { .. }
        | Op::Loss
        | Op::BatchNormBackward { .. }
        | Op::GradNorm
        | Op::Update => vectorised(Elementwise { op, view }),
    }
}

/// The operations that are loops over elements.
struct Elementwise<'a, 'b, R> {
    op: Op,
    view: &'a View<'b, R>,
}

impl<R: Real> Kernel for Elementwise<'_, '_, R> {
    type Output = ();

    #[inline(always)]
    fn call(self) {
        let Elementwise { op, view } = self;
        let layers = view.member.layers.len();
        match op {
            Op::Gather => gather::cpu(view),
            Op::BatchNorm { layer, tracks } if layer + 1 < layers => batch_norm::cpu(view, layer, tracks),
            Op::BatchNormInference { layer } if layer + 1 < layers => batch_norm_inference::cpu(view, layer),
            Op::Loss => loss::cpu(view),
            Op::BatchNormBackward { layer } if layer < layers => batch_norm_backward::cpu(view, layer),
            Op::GradNorm => grad_norm::cpu(view),
            Op::Update => update::cpu(view),
            // Layers that the member does not have.
            Op::BatchNorm { .. } | Op::BatchNormInference { .. } | Op::BatchNormBackward { .. } => {}
            // Not loops over elements: `run_part` has done them.
            Op::Matmul { .. } | Op::Percentiles { .. } | Op::Record { .. } => {}
        }
    }
}
