//! Batch normalisation in training, activation and dropout of a hidden layer; or the inputs of the sub-models, scaled.
//! Twin of `shaders/batch_norm.wgsl`.
//!
//! Ioffe & Szegedy 2015 (arXiv 1502.03167), algorithm 1: μ and σ² over the batch, x̂ = (z - μ)/√(σ² + ε),
//! y = γ x̂ + β. Values are shifted by the batch's first row before they are summed, and the variance is
//! centred, so that columns far from zero keep their digits.

use crate::population::random::{Purpose, key, words};
use crate::population::tables::{LayerRow, Statistic};
use crate::population::{Buffer, Member};
use crate::step::bounds::{Bound, Observed, Output, U, sizes};
use crate::step::cost::Cost;
use crate::step::memory::View;
use crate::step::real::Real;
use crate::step::team::{self, BLOCKS};
use crate::with_activation;

use super::activation::Function;

#[inline(always)]
pub fn cpu<R: Real>(view: &View<R>, layer: usize, tracks: bool) {
    let layer_row = view.member.layers[layer];
    if layer_row.scales() {
        return scale(view, layer);
    }
    if layer_row.is_normalized() {
        normalize(view, layer, tracks);
    }
    with_activation!(view.member.layers[layer].activation, F => activate::<R, F>(view, layer));
    dropout(view, layer);
}

/// Scratch vectors of a block: its sums, and, in a thread's first block, the vectors of that thread alone.
const SUM: usize = 0;
const LEFT: usize = 1;
const SQUARES: usize = 2;
const SHIFT: usize = 3;
const MEAN: usize = 4;
const ALL_LEFT: usize = 5;
const ALL_SQUARES: usize = 6;
const RSTD: usize = 7;

/// z -> x̂ in place, for this thread's rows; updates the batch statistics and, if `tracks`, the running ones.
#[inline(always)]
fn normalize<R: Real>(view: &View<R>, layer: usize, tracks: bool) {
    let layer_row = view.member.layers[layer];
    let outputs = layer_row.outputs as usize;
    let rows = view.rows();
    let count = R::from_f64(rows as f64);
    let blocks = view.rank.blocks(view.rows());
    let memory = view.memory;
    // SAFETY: no thread writes Z before all have met.
    let before = |b: usize| unsafe { memory.z.part(layer_row.z as usize + b * outputs, outputs) };
    // SAFETY: only called for this thread's rows.
    let row = |b: usize| unsafe { memory.z.part_mut(layer_row.z as usize + b * outputs, outputs) };
    // SAFETY: this thread's block, or a sum that its thread has finished.
    let scratch = |block: usize, slot: usize| unsafe { view.scratch(block, slot, outputs) };
    let works = !blocks.is_empty();
    if works {
        let shift = scratch(blocks.start, SHIFT);
        shift.copy_from_slice(before(0));
        for block in blocks.clone() {
            let sum = scratch(block, SUM);
            sum.fill(R::ZERO);
            for b in team::block(rows, block) {
                for ((sum, &z), &shift) in sum.iter_mut().zip(before(b)).zip(&*shift) {
                    *sum += z - shift;
                }
            }
        }
        fold(view, SUM, outputs);
    }
    view.rank.meet();
    if works {
        let (shift, mean) = (scratch(blocks.start, SHIFT), scratch(blocks.start, MEAN));
        total(view, SUM, mean);
        mean.iter_mut().for_each(|mean| *mean = *mean / count);
        // The mean of the centred values is the rounding error of the mean (the corrected two-pass algorithm: Chan,
        // Golub & LeVeque 1983).
        for block in blocks.clone() {
            let (left, squares) = (scratch(block, LEFT), scratch(block, SQUARES));
            left.fill(R::ZERO);
            squares.fill(R::ZERO);
            for b in team::block(rows, block) {
                let sums = squares.iter_mut().zip(&mut *left).zip(&*shift).zip(&*mean);
                for ((((squares, left), &shift), &mean), z) in sums.zip(row(b)) {
                    *z = (*z - shift) - mean;
                    *left += *z;
                    *squares += *z * *z;
                }
            }
        }
        fold(view, LEFT, outputs);
        fold(view, SQUARES, outputs);
    }
    view.rank.meet();
    if !works {
        return;
    }
    let first = blocks.start;
    let (shift, mean) = (scratch(first, SHIFT), scratch(first, MEAN));
    let (left, squares, rstd) = (scratch(first, ALL_LEFT), scratch(first, ALL_SQUARES), scratch(first, RSTD));
    total(view, LEFT, left);
    total(view, SQUARES, squares);
    let batch_norm = view.member.training.network.batch_norm.unwrap_or_default();
    let (eps, momentum) = (R::from_f64(batch_norm.eps), R::from_f64(batch_norm.momentum));
    for ((left, squares), rstd) in left.iter_mut().zip(&mut *squares).zip(&mut *rstd) {
        let sum = *left;
        *left = sum / count;
        let corrected = *squares - *left * sum;
        // Rounding may make the sum of a constant column negative; NaN stays NaN.
        *squares = if corrected < R::ZERO { R::ZERO } else { corrected };
        *rstd = R::ONE / (*squares / count + eps).sqrt();
    }
    // Each thread needs all features for its rows, and stores some of them.
    let own = view.rank.notes(rows, outputs);
    // SAFETY: only this thread stores these features.
    let stats = |row: Statistic| unsafe {
        memory.stats.part_mut(layer_row.stats as usize + row.start(outputs) + own.start, own.len())
    };
    let (running_mean, running_rest) = (stats(Statistic::RunningMean), stats(Statistic::RunningMeanRest));
    let running_var = stats(Statistic::RunningVar);
    let (mean_out, rstd_out) = (stats(Statistic::BatchMean), stats(Statistic::BatchRstd));
    let mut finite = true;
    for (at, f) in own.enumerate() {
        let new = mean[f] + left[f];
        mean_out[at] = shift[f] + new;
        rstd_out[at] = rstd[f];
        if !tracks {
            continue;
        }
        // r <- r + m (new - r), the mean as a sum of two numbers (Fast2Sum).
        let delta = ((shift[f] - running_mean[at]) - running_rest[at]) + new;
        let low = running_rest[at] + momentum * delta;
        let high = running_mean[at] + low;
        running_rest[at] = low - (high - running_mean[at]);
        running_mean[at] = high;
        running_var[at] += momentum * (squares[f] / (count - R::ONE) - running_var[at]);
        finite &= high.is_finite() && running_var[at].is_finite();
    }
    for b in view.rank.rows(rows) {
        for ((z, &left), &rstd) in row(b).iter_mut().zip(&*left).zip(&*rstd) {
            *z = (*z - left) * rstd;
        }
    }
    view.check(finite);
}

/// The inputs of each sub-model: z = x, a = x times the sub-model's factors, for this thread's rows.
#[inline(always)]
pub(super) fn scale<R: Real>(view: &View<R>, layer: usize) {
    let layer_row = view.member.layers[layer];
    let (inputs, outputs) = (layer_row.inputs as usize, layer_row.outputs as usize);
    let memory = view.memory;
    let mut finite = true;
    for b in view.rank.rows(view.rows()) {
        // SAFETY: this row is this thread's, and no thread writes x or parameters now.
        let (x, factors, z, a) = unsafe {
            (
                memory.acts.part(layer_row.x as usize + b * inputs, inputs),
                memory.params.part(layer_row.b as usize, outputs),
                memory.z.part_mut(layer_row.z as usize + b * outputs, outputs),
                memory.acts.part_mut(layer_row.a as usize + b * outputs, outputs),
            )
        };
        let of_sub_models = z.chunks_exact_mut(inputs).zip(a.chunks_exact_mut(inputs));
        for ((z, a), factors) in of_sub_models.zip(factors.chunks_exact(inputs)) {
            for (((z, a), &x), &factor) in z.iter_mut().zip(a).zip(x).zip(factors) {
                *z = x;
                *a = factor * x;
                finite &= a.is_finite();
            }
        }
    }
    view.check(finite);
}

/// Adds up this thread's part of a vector of its blocks.
#[inline(always)]
pub(super) fn fold<R: Real>(view: &View<R>, slot: usize, width: usize) {
    for (left, right) in team::tree(view.rank.blocks(view.rows()), 1) {
        // SAFETY: both blocks are this thread's.
        let (into, part) = unsafe { (view.scratch(left, slot, width), &*view.scratch(right, slot, width)) };
        into.iter_mut().zip(part).for_each(|(sum, &part)| *sum += part);
    }
}

/// The sum of a vector over all blocks, after each thread has folded its own and all have met.
#[inline(always)]
pub(super) fn total<R: Real>(view: &View<R>, slot: usize, into: &mut [R]) {
    const LANES: usize = 16;
    let (width, branch) = (into.len(), view.rank.branch(view.rows()));
    for from in (0..width).step_by(LANES) {
        let lanes = LANES.min(width - from);
        let mut sums = [[R::ZERO; LANES]; BLOCKS];
        for block in (0..BLOCKS).step_by(branch) {
            // SAFETY: its thread has finished it.
            let part = unsafe { &view.scratch(block, slot, width)[from..from + lanes] };
            sums[block][..lanes].copy_from_slice(part);
        }
        for (left, right) in team::tree(0..BLOCKS, branch) {
            let part = sums[right];
            sums[left].iter_mut().zip(part).for_each(|(sum, part)| *sum += part);
        }
        into[from..from + lanes].copy_from_slice(&sums[0][..lanes]);
    }
}

/// a = f(γ x̂ + β), or f(z) if the layer is not normalised, for this thread's rows.
#[inline(always)]
fn activate<R: Real, F: Function>(view: &View<R>, layer: usize) {
    let layer_row = view.member.layers[layer];
    let outputs = layer_row.outputs as usize;
    let own = view.rank.rows(view.rows());
    let memory = view.memory;
    // SAFETY: these rows are this thread's.
    let (z, a) = unsafe {
        let (at, len) = (own.start * outputs, own.len() * outputs);
        (memory.z.part(layer_row.z as usize + at, len), memory.acts.part_mut(layer_row.a as usize + at, len))
    };
    if layer_row.is_normalized() {
        // SAFETY: no thread writes parameters now.
        let (gamma, beta) = unsafe {
            (
                memory.params.part(layer_row.b as usize, outputs),
                memory.params.part(layer_row.beta as usize, outputs),
            )
        };
        for (a, z) in a.chunks_exact_mut(outputs).zip(z.chunks_exact(outputs)) {
            for (((a, &z), &gamma), &beta) in a.iter_mut().zip(z).zip(gamma).zip(beta) {
                *a = F::value(gamma * z + beta);
            }
        }
    } else {
        a.iter_mut().zip(z).for_each(|(a, &z)| *a = F::value(z));
        // A rectifier may hide non-finite values of Z.
        let finite = z.iter().fold(true, |finite, z| finite & z.is_finite());
        view.check(finite);
    }
}

/// Applies dropout to this thread's rows.
#[inline(always)]
fn dropout<R: Real>(view: &View<R>, layer: usize) {
    let below = view.row().drop_below;
    if below == 0 {
        return;
    }
    let layer_row = view.member.layers[layer];
    let outputs = layer_row.outputs as usize;
    let own = view.rank.rows(view.rows());
    let key = key(view.seed(), Purpose::Dropout, layer as u32, view.step.step);
    let scale = R::from_f64(1.0 / (1.0 - view.member.training.network.dropout));
    // SAFETY: these rows are this thread's.
    let a =
        unsafe { view.memory.acts.part_mut(layer_row.a as usize + own.start * outputs, own.len() * outputs) };
    for (index, a) in ((own.start * outputs) as u32..).zip(a) {
        *a = if words(key, index)[0] < below { R::ZERO } else { *a * scale };
    }
}

/// Name in reports.
pub fn name(layer: usize) -> String {
    format!("batch norm {}", layer + 1)
}

/// Cost for `rows` rows: shift, centre, square, sum; normalise, scale and shift.
pub fn cost(member: &Member, rows: f64, layer: usize) -> Cost {
    match member.layers.get(layer) {
        Some(row) if row.scales() => Cost::of_layer(row, rows, 1.0, 3.0),
        Some(row) if row.is_hidden() && row.is_normalized() => Cost::of_layer(row, rows, 11.0, 3.0),
        Some(row) if row.is_hidden() => Cost::of_layer(row, rows, 1.0, 2.0),
        _ => Cost::default(),
    }
}

/// A layer that scales: one product.
pub(super) fn scaled(observed: &Observed, row: &LayerRow) -> Vec<Output> {
    let (_, outputs, z) = sizes(row);
    let count = observed.rows() * outputs;
    let a = observed.largest(Buffer::Acts, row.a as usize, count);
    vec![
        Output::new(Buffer::Z, z, count, Bound::Exact),
        Output::new(
            Buffer::Acts,
            row.a as usize,
            count,
            Bound::Absolute(2.0 * U * a + f64::from(f32::MIN_POSITIVE)),
        ),
    ]
}

/// Sums of n differences from the first row are off by about √n u of the largest, which is at most 2√n σ; x̂ by as much
/// over σ: 2 n u at worst, corrected in the second pass: 64 u (1 + |x̂|). The activation's exponential may be off by
/// 3 + 2|y| units (Vulkan, precision of exp): 64 u (1 + |y|) more. γ and β scale both.
pub fn bounds(observed: &Observed, layer: usize, tracks: bool) -> Vec<Output> {
    let Some(row) = observed.member.layers.get(layer).filter(|row| row.is_hidden()) else {
        return Vec::new();
    };
    let (_, outputs, z) = sizes(row);
    let count = observed.rows() * outputs;
    if row.scales() {
        return scaled(observed, row);
    }
    let scale = |bound: f64| 256.0 * U * (1.0 + bound);
    let a = observed.largest(Buffer::Acts, row.a as usize, count);
    let xhat = observed.largest(Buffer::Z, z, count);
    let affine = if row.is_normalized() {
        let params = |at: u32| observed.largest(Buffer::Params, at as usize, outputs);
        1.0 + params(row.b) + params(row.beta)
    } else {
        1.0
    };
    let reach = observed.member.row.drop_scale as f64 * affine * (1.0 + xhat);
    let mut all = vec![Output::new(Buffer::Acts, row.a as usize, count, Bound::Absolute(scale(a + reach)))];
    if !row.is_normalized() {
        return all;
    }
    all.push(Output::new(Buffer::Z, z, count, Bound::Absolute(scale(xhat))));
    let stats = |row_of: Statistic| row.stats as usize + row_of.start(outputs);
    // The remainder of the running mean is a rounding error, bounded by the mean's own.
    let means = observed.largest(Buffer::Stats, stats(Statistic::RunningMean), 2 * outputs);
    let spread = observed.largest_before(Buffer::Z, z, count);
    let batch = [Statistic::BatchMean, Statistic::BatchRstd];
    let running = [Statistic::RunningMean, Statistic::RunningMeanRest, Statistic::RunningVar];
    for statistic in running.into_iter().filter(|_| tracks).chain(batch) {
        for at in stats(statistic)..stats(statistic) + outputs {
            let value = observed.largest(Buffer::Stats, at, 1);
            let size = match statistic {
                Statistic::RunningMean | Statistic::RunningMeanRest | Statistic::BatchMean => means + spread,
                // r + m (new - r): each operation is rounded at the size of the old value.
                Statistic::RunningVar => value + observed.largest_before(Buffer::Stats, at, 1),
                Statistic::BatchRstd => value,
            };
            all.push(Output::new(Buffer::Stats, at, 1, Bound::Absolute(64.0 * U * size)));
        }
    }
    all
}
