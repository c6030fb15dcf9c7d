//! Percentiles of an activation's inputs, by nearest rank. Twin of `shaders/percentiles.wgsl`.
//!
//! The shader counts digits of the numbers' bits, from the highest down; here the standard library selects. Both give
//! the element at the same rank in the total order of IEEE 754, so the same bits.

use crate::population::tables::LayerRow;
use crate::population::{Buffer, Member, PERCENTS};
use crate::step::bounds::{Bound, Observed, Output, U, sizes};
use crate::step::cost::Cost;
use crate::step::memory::View;
use crate::step::real::Real;
use crate::step::watch;

pub fn cpu<R: Real>(view: &View<R>, layer: usize, normalized: bool) {
    let layer_row = view.member.layers[layer];
    if !view.rank.is_first() || !looks_at(&layer_row, normalized) {
        return;
    }
    let (outputs, memory) = (layer_row.outputs as usize, view.memory);
    // SAFETY: no thread writes Z or parameters now.
    let (z, gamma, beta) = unsafe {
        let vector = |at: u32| if normalized { memory.params.part(at as usize, outputs) } else { &[] };
        (
            memory.z.part(layer_row.z as usize, view.rows() * outputs),
            vector(layer_row.b),
            vector(layer_row.beta),
        )
    };
    for (of_unit, width) in [(false, outputs), (true, 1)] {
        let of_row = |z: &[R], f: usize| if normalized { gamma[f] * z[f] + beta[f] } else { z[f] };
        let rows = z.chunks_exact(outputs).take(watch::rows(view.rows(), width));
        let mut values: Vec<R> = rows.flat_map(|z| (0..width).map(move |f| of_row(z, f))).collect();
        let place = watch::place(layer, normalized, of_unit);
        // SAFETY: only the first thread does this operation.
        let looks = unsafe { memory.looks.part_mut(place, PERCENTS.len()) };
        for (look, percent) in looks.iter_mut().zip(PERCENTS) {
            let rank = watch::rank(percent, values.len());
            let by_value = |a: &R, b: &R| a.to_f64().total_cmp(&b.to_f64());
            *look = *values.select_nth_unstable_by(rank, by_value).1;
        }
    }
}

/// Whether a layer is looked at, before normalisation or after it. One that only scales is not: it has no Z of its own.
pub fn looks_at(layer: &LayerRow, normalized: bool) -> bool {
    !layer.scales() && (!normalized || layer.is_normalized())
}

/// Name in reports.
pub fn name(layer: usize) -> String {
    format!("percentiles {}", layer + 1)
}

/// Cost for `rows` rows: each number is read once for each 8 of its bits.
pub fn cost(member: &Member, rows: f64, layer: usize) -> Cost {
    member.layers.get(layer).map_or_else(Cost::default, |row| Cost::of_layer(row, rows, 0.0, 4.0))
}

/// Percentiles are elements of the data. Values of γ x̂ + β are rounded twice, and no percentile moves further than its
/// data.
pub fn bounds(observed: &Observed, layer: usize, normalized: bool) -> Vec<Output> {
    let Some(row) = observed.member.layers.get(layer) else { return Vec::new() };
    if !looks_at(row, normalized) {
        return Vec::new();
    }
    let bound = if normalized {
        let (_, outputs, z) = sizes(row);
        let params = |at: u32| observed.largest_before(Buffer::Params, at as usize, outputs);
        let xhat = observed.largest_before(Buffer::Z, z, observed.rows() * outputs);
        2.0 * U * (params(row.b) * xhat + params(row.beta))
    } else {
        0.0
    };
    let looks = [false, true].map(|of_unit| watch::place(layer, normalized, of_unit));
    let output = |at| Output::new(Buffer::Looks, at, PERCENTS.len(), Bound::Absolute(bound));
    looks.into_iter().map(output).collect()
}
