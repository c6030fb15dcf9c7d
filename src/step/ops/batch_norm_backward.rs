//! dA -> dZ of a layer: dropout, activation, batch normalisation; dγ and dβ, or db. Twin of
//! `shaders/batch_norm_backward.wgsl`.
//!
//! With dy the gradient at γ x̂ + β: dβ = Σ dy, dγ = Σ dy·x̂, and in one centred form
//! dz = γ/√(σ² + ε) · (dy - mean(dy) - x̂ · mean(dy·x̂)) (Ioffe & Szegedy 2015, section 3, simplified).
//! If γ and β are not trained, their gradients are 0, and dz is the same.

use crate::population::random::{Purpose, key, words};
use crate::population::tables::Statistic;
use crate::population::{Buffer, Member};
use crate::step::bounds::{Bound, Observed, Output, U, sizes};
use crate::step::cost::Cost;
use crate::step::memory::View;
use crate::step::real::Real;
use crate::step::team;
use crate::with_activation;

use super::activation::{Function, Identity};
use super::batch_norm::{fold, total};

#[inline(always)]
pub fn cpu<R: Real>(view: &View<R>, layer: usize) {
    let layer_row = view.member.layers[layer];
    if layer_row.is_hidden() {
        with_activation!(layer_row.activation, F => through_activation::<R, F>(view, layer));
    } else {
        through_activation::<R, Identity>(view, layer);
    }
    view.rank.meet();
    through_normalization(view, layer);
}

/// Scratch vectors of a block: its sums, and, in a thread's first block, the total sums.
const SUM: usize = 0;
const SUM_XHAT: usize = 1;
const ALL: usize = 2;
const ALL_XHAT: usize = 3;

/// dA -> dy, in place, for this thread's rows, and the sums of its blocks.
#[inline(always)]
fn through_activation<R: Real, F: Function>(view: &View<R>, layer: usize) {
    let layer_row = view.member.layers[layer];
    let outputs = layer_row.outputs as usize;
    let below = if layer_row.is_hidden() && !layer_row.scales() { view.row().drop_below } else { 0 };
    let dropout = key(view.seed(), Purpose::Dropout, layer as u32, view.step.step);
    let drop_scale = R::from_f64(1.0 / (1.0 - view.member.training.network.dropout));
    let memory = view.memory;
    for block in view.rank.blocks(view.rows()) {
        // SAFETY: this block is this thread's.
        let (sum, sum_xhat) =
            unsafe { (view.scratch(block, SUM, outputs), view.scratch(block, SUM_XHAT, outputs)) };
        sum.fill(R::ZERO);
        sum_xhat.fill(R::ZERO);
        for b in team::block(view.rows(), block) {
            let at = layer_row.z as usize + b * outputs;
            // SAFETY: this row is this thread's.
            let (z, dz) = unsafe { (memory.z.part(at, outputs), memory.dz.part_mut(at, outputs)) };
            if layer_row.is_normalized() {
                // SAFETY: no thread writes parameters now.
                let (gamma, beta) = unsafe {
                    (
                        memory.params.part(layer_row.b as usize, outputs),
                        memory.params.part(layer_row.beta as usize, outputs),
                    )
                };
                for (((dz, &z), &gamma), &beta) in dz.iter_mut().zip(z).zip(gamma).zip(beta) {
                    *dz *= F::derivative(gamma * z + beta);
                }
            } else {
                for (dz, &z) in dz.iter_mut().zip(z) {
                    *dz *= F::derivative(z);
                }
            }
            if below != 0 {
                for (index, dz) in ((b * outputs) as u32..).zip(&mut *dz) {
                    *dz = if words(dropout, index)[0] < below { R::ZERO } else { *dz * drop_scale };
                }
            }
            for (((sum, sum_xhat), &dy), &xhat) in sum.iter_mut().zip(&mut *sum_xhat).zip(&*dz).zip(z) {
                *sum += dy;
                *sum_xhat += dy * xhat;
            }
        }
    }
    fold(view, SUM, outputs);
    fold(view, SUM_XHAT, outputs);
}

/// dγ and dβ, or db, or the gradient of the factors; dy -> dz, in place, for this thread's rows.
#[inline(always)]
fn through_normalization<R: Real>(view: &View<R>, layer: usize) {
    let layer_row = view.member.layers[layer];
    let outputs = layer_row.outputs as usize;
    let blocks = view.rank.blocks(view.rows());
    if blocks.is_empty() {
        return;
    }
    let memory = view.memory;
    // SAFETY: this block is this thread's.
    let (sum, sum_xhat) =
        unsafe { (view.scratch(blocks.start, ALL, outputs), view.scratch(blocks.start, ALL_XHAT, outputs)) };
    total(view, SUM, sum);
    total(view, SUM_XHAT, sum_xhat);
    // Each thread needs all features for its rows, and stores some of them.
    let own = view.rank.notes(view.rows(), outputs);
    // SAFETY: only this thread stores these features.
    let note = |at: u32, sum: &[R]| unsafe {
        memory.grads.part_mut(at as usize + own.start, own.len()).copy_from_slice(&sum[own.clone()]);
    };
    if layer_row.scales() {
        // z holds x.
        return note(layer_row.b, sum_xhat);
    }
    if !layer_row.is_normalized() {
        return note(layer_row.b, sum);
    }
    if layer_row.is_affine() {
        note(layer_row.b, sum_xhat);
        note(layer_row.beta, sum);
    } else {
        // SAFETY: as in `note`.
        let fill =
            |at: u32| unsafe { memory.grads.part_mut(at as usize + own.start, own.len()).fill(R::ZERO) };
        fill(layer_row.b);
        fill(layer_row.beta);
    }
    let count = R::from_f64(view.rows() as f64);
    sum.iter_mut().chain(&mut *sum_xhat).for_each(|s| *s = *s / count);
    // SAFETY: no thread writes them now.
    let (gamma, rstd) = unsafe {
        (
            memory.params.part(layer_row.b as usize, outputs),
            memory.stats.part(layer_row.stats as usize + Statistic::BatchRstd.start(outputs), outputs),
        )
    };
    for b in view.rank.rows(view.rows()) {
        let at = layer_row.z as usize + b * outputs;
        // SAFETY: this row is this thread's.
        let (xhat, dz) = unsafe { (memory.z.part(at, outputs), memory.dz.part_mut(at, outputs)) };
        for f in 0..outputs {
            dz[f] = gamma[f] * rstd[f] * ((dz[f] - sum[f]) - xhat[f] * sum_xhat[f]);
        }
    }
}

/// Name in reports.
pub fn name(layer: usize) -> String {
    format!("batch norm backward {}", layer + 1)
}

/// Cost for `rows` rows.
pub fn cost(member: &Member, rows: f64, layer: usize) -> Cost {
    match member.layers.get(layer) {
        Some(row) if row.is_normalized() => Cost::of_layer(row, rows, 12.0, 3.0),
        Some(row) => Cost::of_layer(row, rows, 2.0, 3.0),
        None => Cost::default(),
    }
}

/// dy is dA times a slope (off by 64 u, as the activation); the two sums have n terms of at most max|dy| · max(1, |x̂|):
/// √n u each; dz is γ rstd times a difference of such means.
pub fn bounds(observed: &Observed, layer: usize) -> Vec<Output> {
    let Some(row) = observed.member.layers.get(layer) else { return Vec::new() };
    let rows = observed.rows();
    let (_, outputs, z) = sizes(row);
    let xhat = 1.0 + observed.largest_before(Buffer::Z, z, rows * outputs);
    let dy =
        observed.largest_before(Buffer::Dz, z, rows * outputs) * 2.0 * observed.member.row.drop_scale as f64;
    let sum = 256.0 * U * dy * xhat * rows as f64;
    let scale = if row.is_normalized() {
        let at = row.stats as usize + Statistic::BatchRstd.start(outputs);
        let rstd = observed.largest(Buffer::Stats, at, outputs);
        observed.largest(Buffer::Params, row.b as usize, outputs) * rstd * xhat
    } else {
        1.0
    };
    let dz = Bound::Absolute(256.0 * U * dy * scale * xhat);
    let mut all = vec![
        Output::new(Buffer::Dz, z, rows * outputs, dz),
        Output::new(Buffer::Grads, row.b as usize, outputs, Bound::Absolute(sum)),
    ];
    if row.is_normalized() {
        all.push(Output::new(Buffer::Grads, row.beta as usize, outputs, Bound::Absolute(sum)));
    }
    all
}
