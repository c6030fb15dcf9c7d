//! Loss and hit of each row, and the gradient of the batch's mean loss at the output. Twin of
//! `shaders/loss.wgsl`.
//!
//! Cross-entropy: loss = ln Σ e^(z - max) - (z_y - max), da = (softmax(z) - onehot(y)) / B.
//! Squared error: loss = (z - t)², da = 2 (z - t) / B.

use crate::step::memory::Context;
use crate::step::real::Real;

#[inline(always)]
pub fn cpu<R: Real>(c: &mut Context<R>) {
    let l = c.member.layers[c.member.layers.len() - 1];
    let (rows, o) = (c.rows(), l.outputs as usize);
    let over_rows = R::ONE / R::from_f64(rows as f64);
    let mut finite = true;
    for b in 0..rows {
        let m = &mut *c.memory;
        let target = c.table.targets[m.index[b] as usize];
        let at = l.z as usize + b * o;
        let (z, da) = (&m.z[at..][..o], &mut m.dz[at..][..o]);
        let (loss, hit) = if c.member.row.loss == 0 {
            cross_entropy(z, da, target as usize, over_rows)
        } else {
            let error = z[0] - R::from_f32(f32::from_bits(target));
            da[0] = (error + error) * over_rows;
            (error * error, false)
        };
        finite &= loss.is_finite();
        m.row_loss[2 * b] = loss;
        m.row_loss[2 * b + 1] = if hit { R::ONE } else { R::ZERO };
    }
    c.check(finite);
}

/// (loss, whether the largest output, the first of equals, is the class's).
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
