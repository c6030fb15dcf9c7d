//! Batch normalisation with the running statistics, and activation. Twin of `shaders/batch_norm_inference.wgsl`.

use crate::population::{Buffer, Member};
use crate::step::bounds::{Bound, Observed, Output, U, sizes};
use crate::step::cost::Cost;
use crate::step::memory::View;
use crate::step::real::Real;
use crate::with_activation;

use super::activation::Function;
use super::batch_norm;

#[inline(always)]
pub fn cpu<R: Real>(view: &View<R>, layer: usize) {
    if view.member.layers[layer].scales() {
        return batch_norm::scale(view, layer);
    }
    with_activation!(view.member.layers[layer].activation, F => normalize::<R, F>(view, layer));
}

/// Normalises and activates this thread's rows.
#[inline(always)]
fn normalize<R: Real, F: Function>(view: &View<R>, layer: usize) {
    let layer_row = view.member.layers[layer];
    let outputs = layer_row.outputs as usize;
    let (blocks, own) = (view.rank.blocks(view.rows()), view.rank.rows(view.rows()));
    if blocks.is_empty() {
        return;
    }
    let memory = view.memory;
    // SAFETY: these rows are this thread's.
    let (z, a) = unsafe {
        let (at, len) = (own.start * outputs, own.len() * outputs);
        (
            memory.z.part_mut(layer_row.z as usize + at, len),
            memory.acts.part_mut(layer_row.a as usize + at, len),
        )
    };
    if !layer_row.is_normalized() {
        // A rectifier may hide non-finite values of Z.
        let mut finite = true;
        for (a, &mut z) in a.iter_mut().zip(z) {
            finite &= z.is_finite();
            *a = F::value(z);
        }
        return view.check(finite);
    }
    let eps = R::from_f64(view.member.training.network.batch_norm.unwrap_or_default().eps);
    // SAFETY: no thread writes parameters or running statistics now; the block is this thread's.
    let (running, gamma, beta, rstd) = unsafe {
        let vector = |at: u32| memory.params.part(at as usize, outputs);
        let running = memory.stats.part(layer_row.stats as usize, 3 * outputs);
        (running, vector(layer_row.b), vector(layer_row.beta), view.scratch(blocks.start, 0, outputs))
    };
    rstd.iter_mut().zip(&running[2 * outputs..]).for_each(|(rstd, &var)| *rstd = R::ONE / (var + eps).sqrt());
    // An infinite variance would turn everything into zeros.
    let mut finite = running.iter().fold(true, |finite, r| finite & r.is_finite());
    for (a, z) in a.chunks_exact_mut(outputs).zip(z.chunks_exact_mut(outputs)) {
        for f in 0..outputs {
            z[f] = ((z[f] - running[f]) - running[outputs + f]) * rstd[f];
            finite &= z[f].is_finite();
            a[f] = F::value(gamma[f] * z[f] + beta[f]);
        }
    }
    view.check(finite);
}

/// Name in reports.
pub fn name(layer: usize) -> String {
    format!("batch norm inference {}", layer + 1)
}

/// Cost for `rows` rows.
pub fn cost(member: &Member, rows: f64, layer: usize) -> Cost {
    let row = member.layers.get(layer).filter(|row| row.is_hidden());
    row.map_or_else(Cost::default, |row| Cost::of_layer(row, rows, 6.0, 3.0))
}

/// As in [`super::batch_norm`], with given statistics.
pub fn bounds(observed: &Observed, layer: usize) -> Vec<Output> {
    let Some(row) = observed.member.layers.get(layer).filter(|row| row.is_hidden()) else {
        return Vec::new();
    };
    if row.scales() {
        return batch_norm::scaled(observed, row);
    }
    let (_, outputs, z) = sizes(row);
    let count = observed.rows() * outputs;
    let a = observed.largest(Buffer::Acts, row.a as usize, count);
    let xhat = observed.largest(Buffer::Z, z, count);
    let affine = match row.is_normalized() {
        true => 1.0 + observed.largest(Buffer::Params, row.b as usize, outputs),
        false => 1.0,
    };
    let bound = Bound::Absolute(256.0 * U * (1.0 + a + affine * xhat));
    let mut all = vec![Output::new(Buffer::Acts, row.a as usize, count, bound)];
    if row.is_normalized() {
        all.push(Output::new(Buffer::Z, z, count, Bound::Absolute(256.0 * U * (1.0 + xhat))));
    }
    all
}
