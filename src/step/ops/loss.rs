//! Loss and hit of each row, and the gradient of the batch's mean loss at the output. Twin of
//! `shaders/loss.wgsl`.
//!
//! Cross-entropy: loss = ln Σ e^(z - max) - (z_y - max), da = (softmax(z) - onehot(y)) / B.
//! Squared error: loss = (z - t)², da = 2 (z - t) / B.

use crate::population::{Buffer, Loss, Member};
use crate::step::bounds::{Bound, Observed, Output, U, sizes};
use crate::step::cost::Cost;
use crate::step::memory::View;
use crate::step::real::Real;

#[inline(always)]
pub fn cpu<R: Real>(view: &View<R>) {
    let layer_row = view.member.layers[view.member.layers.len() - 1];
    let (rows, outputs) = (view.rows(), layer_row.outputs as usize);
    let over_rows = R::ONE / R::from_f64(rows as f64);
    let mut finite = true;
    for b in view.rank.rows(rows) {
        let (memory, at) = (view.memory, layer_row.z as usize + b * outputs);
        // SAFETY: row b is this thread's.
        let (index, z, da, report) = unsafe {
            (
                memory.index.part(b, 1),
                memory.z.part(at, outputs),
                memory.dz.part_mut(at, outputs),
                memory.row_loss.part_mut(2 * b, 2),
            )
        };
        let target = view.table.targets[index[0] as usize];
        let (loss, hit) = match view.member.loss {
            Loss::CrossEntropy { .. } => cross_entropy(z, da, target as usize, over_rows),
            Loss::SquaredError => {
                let error = z[0] - R::from_f32(f32::from_bits(target));
                da[0] = (error + error) * over_rows;
                (error * error, false)
            }
        };
        finite &= loss.is_finite();
        report[0] = loss;
        report[1] = if hit { R::ONE } else { R::ZERO };
    }
    view.check(finite);
}

/// (loss, whether the largest output, the first of equals, is the correct class).
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
    da[class] -= over_rows;
    (sum.ln() - (z[class] - z[best]), best == class)
}

/// Name in reports.
pub const NAME: &str = "loss";

/// Cost for `rows` rows.
pub fn cost(member: &Member, rows: f64) -> Cost {
    member.layers.last().map_or_else(Cost::default, |row| Cost::of_layer(row, rows, 6.0, 2.0))
}

/// The exponential and the logarithm are off by a few units of the largest difference of outputs (Vulkan: 3 + 2|x| units
/// for exp, 2^-21 for log near 1); probabilities are at most 1 over the rows.
pub fn bounds(observed: &Observed) -> Vec<Output> {
    let rows = observed.rows();
    let (_, outputs, z) = sizes(&observed.member.layers[observed.last()]);
    let reach = 1.0 + observed.largest(Buffer::RowLoss, 0, 2 * rows);
    let dz = observed.largest(Buffer::Dz, z, rows * outputs).max(1.0 / rows as f64);
    vec![
        Output::new(Buffer::RowLoss, 0, 2 * rows, Bound::Absolute(64.0 * U * reach)),
        Output::new(Buffer::Dz, z, rows * outputs, Bound::Absolute(64.0 * U * (1.0 + reach) * dz)),
    ]
}
