//! Loss and hit of each row, and the gradient of the batch's mean loss at the output. Twin of
//! `shaders/loss.wgsl`.
//!
//! Cross-entropy: loss = ln Σ e^(z - max) - (z_y - max), da = (softmax(z) - onehot(y)) / B.
//! Squared error: loss = (z - t)², da = 2 (z - t) / B.
//! Each of S sub-models is trained by its own loss, da / S; the loss and the hit that are reported are those of their mean
//! probability or value.

use crate::population::{Buffer, Loss, Member};
use crate::step::bounds::{Bound, Observed, Output, U, sizes};
use crate::step::cost::Cost;
use crate::step::memory::View;
use crate::step::real::Real;

#[inline(always)]
pub fn cpu<R: Real>(view: &View<R>) {
    let layer_row = view.member.layers[view.member.layers.len() - 1];
    let (rows, units, outputs) = (view.rows(), layer_row.outputs as usize, view.member.outputs());
    let sub_models = view.member.sub_models();
    let over_rows = R::ONE / R::from_f64(rows as f64 * sub_models as f64);
    let mut finite = true;
    for b in view.rank.rows(rows) {
        let (memory, at) = (view.memory, layer_row.z as usize + b * units);
        // SAFETY: row b is this thread's.
        let (index, z, da, report) = unsafe {
            (
                memory.index.part(b, 1),
                memory.z.part(at, units),
                memory.dz.part_mut(at, units),
                memory.row_loss.part_mut(2 * b, 2),
            )
        };
        let target = view.table.targets[index[0] as usize];
        let (loss, hit) = match view.member.loss {
            Loss::CrossEntropy { .. } if sub_models == 1 => {
                let report = cross_entropy(z, da, target as usize, over_rows);
                da[target as usize] -= over_rows;
                report
            }
            Loss::CrossEntropy { .. } => mean_cross_entropy(z, da, target as usize, outputs, over_rows),
            Loss::SquaredError => {
                let target = R::from_f32(f32::from_bits(target));
                let mut sum = R::ZERO;
                for (da, &z) in da.iter_mut().zip(z) {
                    let error = z - target;
                    *da = (error + error) * over_rows;
                    sum += error;
                }
                let error = sum / R::from_f64(sub_models as f64);
                (error * error, false)
            }
        };
        finite &= loss.is_finite();
        report[0] = loss;
        report[1] = if hit { R::ONE } else { R::ZERO };
    }
    view.check(finite);
}

/// [`cross_entropy`] of each sub-model's outputs for its gradient; the loss and the hit are those of the mean of their
/// probabilities.
#[inline(always)]
fn mean_cross_entropy<R: Real>(
    z: &[R],
    da: &mut [R],
    class: usize,
    outputs: usize,
    over_rows: R,
) -> (R, bool) {
    // -ln Σ p over the sub-models: the least loss, less the logarithm of all p as shares of the largest.
    let (mut least, mut sum, mut finite) = (R::ZERO, R::ZERO, true);
    for (at, (z, da)) in z.chunks_exact(outputs).zip(da.chunks_exact_mut(outputs)).enumerate() {
        let (loss, _) = cross_entropy(z, da, class, over_rows);
        // The other sub-models may hide it.
        finite &= loss.is_finite();
        if at == 0 || loss < least {
            sum = if at == 0 { R::ONE } else { sum * (loss - least).exp() + R::ONE };
            least = loss;
        } else {
            // NaN stays NaN.
            sum += (least - loss).exp();
        }
    }
    let sub_models = R::from_f64((z.len() / outputs) as f64);
    let probability = |of: usize| {
        let mut sum = R::ZERO;
        da.chunks_exact(outputs).for_each(|da| sum += da[of]);
        sum
    };
    let (mut best, mut most) = (0, probability(0));
    for of in 1..outputs {
        let value = probability(of);
        if value > most {
            (best, most) = (of, value);
        }
    }
    da.chunks_exact_mut(outputs).for_each(|da| da[class] -= over_rows);
    let loss = least - (sum / sub_models).ln();
    (if finite { loss } else { R::from_f64(f64::NAN) }, best == class)
}

/// (loss, whether the largest output, the first of equals, is the correct class); da becomes the probabilities, divided by
/// the rows.
#[inline(always)]
fn cross_entropy<R: Real>(z: &[R], da: &mut [R], class: usize, over_rows: R) -> (R, bool) {
    let mut best = 0;
    for (i, &v) in z.iter().enumerate() {
        if v > z[best] {
            best = i;
        }
    }
    let mut sum = R::ZERO;
    for (da, &z_) in da.iter_mut().zip(z) {
        *da = (z_ - z[best]).exp();
        sum += *da;
    }
    let scale = over_rows / sum;
    da.iter_mut().for_each(|da| *da *= scale);
    (sum.ln() - (z[class] - z[best]), best == class)
}

/// Name in reports.
pub const NAME: &str = "loss";

/// Cost for `rows` rows.
pub fn cost(member: &Member, rows: f64) -> Cost {
    member.layers.last().map_or_else(Cost::default, |row| Cost::of_layer(row, rows, 6.0, 2.0))
}

/// Rows whose two largest mean probabilities are as good as equal: rounding decides which of them is the larger.
fn undecided(observed: &Observed) -> Vec<usize> {
    let member = observed.member;
    let (s, o, layer) = (member.sub_models(), member.outputs(), member.layers[observed.last()]);
    if s == 1 || o == 1 {
        return Vec::new();
    }
    let z = &observed.floats(Buffer::Z)[layer.z as usize..][..observed.rows() * s * o];
    let is_undecided = |row: &[f64]| {
        let mut mean = vec![0.0; o];
        for z in row.chunks_exact(o) {
            let most = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = z.iter().map(|z| (z - most).exp()).sum();
            mean.iter_mut().zip(z).for_each(|(mean, z)| *mean += (z - most).exp() / sum / s as f64);
        }
        mean.sort_by(|a, b| b.total_cmp(a));
        let reach = row.iter().fold(1.0, |most: f64, z| most.max(z.abs()));
        mean[0] - mean[1] <= 64.0 * U * reach
    };
    (0..observed.rows()).filter(|b| is_undecided(&z[b * s * o..][..s * o])).collect()
}

/// The exponential and the logarithm are off by a few units of the largest difference of outputs (Vulkan: 3 + 2|x| units
/// for exp, 2^-21 for log near 1); probabilities are at most 1 over the rows.
pub fn bounds(observed: &Observed) -> Vec<Output> {
    let rows = observed.rows();
    let (_, outputs, z) = sizes(&observed.member.layers[observed.last()]);
    let reach = 1.0 + observed.largest(Buffer::RowLoss, 0, 2 * rows);
    let dz = observed.largest(Buffer::Dz, z, rows * outputs).max(1.0 / rows as f64);
    let mut all = vec![
        Output::new(Buffer::RowLoss, 0, 2 * rows, Bound::Absolute(64.0 * U * reach)),
        Output::new(Buffer::Dz, z, rows * outputs, Bound::Absolute(64.0 * U * (1.0 + reach) * dz)),
    ];
    let hit = |b: usize| Output::new(Buffer::RowLoss, 2 * b + 1, 1, Bound::Absolute(1.0));
    all.extend(undecided(observed).into_iter().map(hit));
    all
}
