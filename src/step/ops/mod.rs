//! Each operation: what it computes, its twin on the CPU, its name, its cost, its error bounds.
//!
//! To add an operation, add a variant of [`Op`], a file here and a shader; the compiler reports the other places.

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

use super::bounds::{Observed, Output};
use super::cost::Cost;
use super::memory::{Context, Slabs, View};
use super::real::{Kernel, Real};
use super::team::Rank;
use super::{Layers, Op};
use crate::population::Member;

/// Runs one operation on one member.
pub fn run<R: Real>(op: Op, context: &mut Context<R>) {
    let slabs = Slabs::new(context.memory);
    let Context { member, step, table, .. } = *context;
    run_part(op, &View { member, step, table, memory: &slabs, rank: Rank::ALONE });
}

/// Runs one thread's part of an operation. All threads of the team must run it, after they have finished the one
/// before.
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
        | Op::Update => R::run(Elementwise { op, view }),
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
            // The member has no such layers.
            Op::BatchNorm { .. } | Op::BatchNormInference { .. } | Op::BatchNormBackward { .. } => {}
            // `run_part` has handled the other operations.
            Op::Matmul { .. } | Op::Percentiles { .. } | Op::Record { .. } => {}
        }
    }
}

impl Op {
    /// Name in reports.
    pub fn name(self) -> String {
        match self {
            Op::Gather => gather::NAME.into(),
            Op::Matmul { product, layer } => matmul::name(product, layer),
            Op::BatchNorm { layer, .. } => batch_norm::name(layer),
            Op::BatchNormInference { layer } => batch_norm_inference::name(layer),
            Op::Loss => loss::NAME.into(),
            Op::BatchNormBackward { layer } => batch_norm_backward::name(layer),
            Op::GradNorm => grad_norm::NAME.into(),
            Op::Percentiles { layer, .. } => percentiles::name(layer),
            Op::Record { .. } => record::NAME.into(),
            Op::Update => update::NAME.into(),
        }
    }

    /// The minimum cost for one member and `rows` rows; `value` bytes hold a feature of the data.
    ///
    /// Elements count as in the kernels' text; an activation and its derivative count as one operation each.
    pub fn cost(self, member: &Member, rows: usize, value: usize) -> Cost {
        let rows = rows as f64;
        match self {
            Op::Gather => gather::cost(member, rows, value),
            Op::Matmul { product, layer } => matmul::cost(member, rows, product, layer),
            Op::BatchNorm { layer, .. } => batch_norm::cost(member, rows, layer),
            Op::BatchNormInference { layer } => batch_norm_inference::cost(member, rows, layer),
            Op::Loss => loss::cost(member, rows),
            Op::BatchNormBackward { layer } => batch_norm_backward::cost(member, rows, layer),
            Op::GradNorm => grad_norm::cost(member),
            Op::Percentiles { layer, .. } => percentiles::cost(member, rows, layer),
            Op::Record { .. } => record::cost(member, rows),
            Op::Update => update::cost(member),
        }
    }

    /// The memory that the operation writes for one member, with the derivation of each bound.
    pub fn bounds(self, observed: &Observed) -> Vec<Output> {
        if observed.rows() == 0 {
            return Vec::new();
        }
        match self {
            Op::Gather => gather::bounds(observed),
            Op::Matmul { product, layer } => matmul::bounds(observed, product, layer),
            Op::BatchNorm { layer, tracks } => batch_norm::bounds(observed, layer, tracks),
            Op::BatchNormInference { layer } => batch_norm_inference::bounds(observed, layer),
            Op::Loss => loss::bounds(observed),
            Op::BatchNormBackward { layer } => batch_norm_backward::bounds(observed, layer),
            Op::GradNorm => grad_norm::bounds(observed),
            Op::Percentiles { layer, normalized } => percentiles::bounds(observed, layer, normalized),
            Op::Record { .. } => record::bounds(observed),
            Op::Update => update::bounds(observed),
        }
    }
}
