//! Batch normalisation in training, activation and dropout of a hidden layer. Twin of
//! `shaders/batch_norm.wgsl`.
//!
//! Ioffe & Szegedy 2015 (arXiv 1502.03167), algorithm 1: μ and σ² over the batch, x̂ = (z - μ)/√(σ² + ε),
//! y = γ x̂ + β. Values are shifted by the batch's first row before they are summed, and the variance is
//! centred, so that columns far from zero keep their digits.

use crate::population::random::{Purpose, key, words};
use crate::step::memory::Context;
use crate::step::real::Real;
use crate::with_activation;

use super::activation::Function;

#[inline(always)]
pub fn cpu<R: Real>(c: &mut Context<R>, layer: usize) {
    if c.member.layers[layer].is_normalized() {
        normalize(c, layer);
    }
    with_activation!(c.member.layers[layer].activation, F => activate::<R, F>(c, layer));
    dropout(c, layer);
}

/// z -> x̂ in place; batch and running statistics.
#[inline(always)]
fn normalize<R: Real>(c: &mut Context<R>, layer: usize) {
    let l = c.member.layers[layer];
    let o = l.outputs as usize;
    let rows = c.rows();
    let n = R::from_f64(rows as f64);
    let m = &mut *c.memory;
    let z = &mut m.z[l.z as usize..][..rows * o];
    let (shift, rest) = m.columns.split_at_mut(o);
    let (mean, var) = rest.split_at_mut(o);
    let var = &mut var[..o];
    shift.copy_from_slice(&z[..o]);
    mean.fill(R::ZERO);
    for row in z.chunks_exact(o) {
        for ((mean, &z), &shift) in mean.iter_mut().zip(row).zip(&*shift) {
            *mean += z - shift;
        }
    }
    mean.iter_mut().for_each(|mean| *mean = *mean / n);
    let (running_mean, rest) = m.stats[l.stats as usize..][..5 * o].split_at_mut(o);
    let (running_rest, rest) = rest.split_at_mut(o);
    let (running_var, rest) = rest.split_at_mut(o);
    let (mean_out, rstd_out) = rest.split_at_mut(o);
    // What rounding left out of the mean shows as the mean of the centred values (the corrected two-pass
    // algorithm: Chan, Golub & LeVeque 1983); it stands in `mean_out` for now.
    let left = &mut *mean_out;
    left.fill(R::ZERO);
    var.fill(R::ZERO);
    for row in z.chunks_exact_mut(o) {
        let sums = var.iter_mut().zip(&mut *left).zip(&*shift).zip(&*mean);
        for ((((var, left), &shift), &mean), z) in sums.zip(row) {
            *z = (*z - shift) - mean;
            *left += *z;
            *var += *z * *z;
        }
    }
    let eps = R::from_f64(c.member.training.network.batch_norm.unwrap_or_default().eps);
    let momentum = R::from_f64(c.member.training.network.batch_norm.unwrap_or_default().momentum);
    let mut finite = true;
    for f in 0..o {
        let left = mean_out[f] / n;
        let squares = var[f] - left * mean_out[f];
        // Rounding may leave less than nothing of a constant column; NaN stays NaN.
        let squares = if squares < R::ZERO { R::ZERO } else { squares };
        mean[f] += left;
        let unbiased = squares / (n - R::ONE);
        let biased = squares / n;
        // r <- r + m (new - r), the mean as a sum of two numbers (Fast2Sum).
        let delta = ((shift[f] - running_mean[f]) - running_rest[f]) + mean[f];
        let low = running_rest[f] + momentum * delta;
        let high = running_mean[f] + low;
        running_rest[f] = low - (high - running_mean[f]);
        running_mean[f] = high;
        running_var[f] += momentum * (unbiased - running_var[f]);
        finite &= high.is_finite() && running_var[f].is_finite();
        mean_out[f] = shift[f] + mean[f];
        rstd_out[f] = R::ONE / (biased + eps).sqrt();
        shift[f] = left;
    }
    for row in z.chunks_exact_mut(o) {
        for ((z, &left), &rstd) in row.iter_mut().zip(&*shift).zip(&*rstd_out) {
            *z = (*z - left) * rstd;
        }
    }
    c.check(finite);
}

/// a = f(γ x̂ + β), or f(z) where the layer is not normalised.
#[inline(always)]
fn activate<R: Real, F: Function>(c: &mut Context<R>, layer: usize) {
    let l = c.member.layers[layer];
    let o = l.outputs as usize;
    let rows = c.rows();
    let m = &mut *c.memory;
    let z = &m.z[l.z as usize..][..rows * o];
    let a = &mut m.acts[l.a as usize..][..rows * o];
    if l.is_normalized() {
        let (gamma, beta) = (&m.params[l.b as usize..][..o], &m.params[l.beta as usize..][..o]);
        for (a, z) in a.chunks_exact_mut(o).zip(z.chunks_exact(o)) {
            for (((a, &z), &gamma), &beta) in a.iter_mut().zip(z).zip(gamma).zip(beta) {
                *a = F::value(gamma * z + beta);
            }
        }
    } else {
        a.iter_mut().zip(z).for_each(|(a, &z)| *a = F::value(z));
        // A rectifier may hide what is not finite in Z.
        let finite = z.iter().fold(true, |finite, z| finite & z.is_finite());
        c.check(finite);
    }
}

#[inline(always)]
fn dropout<R: Real>(c: &mut Context<R>, layer: usize) {
    let below = c.row().drop_below;
    if below == 0 {
        return;
    }
    let l = c.member.layers[layer];
    let count = c.rows() * l.outputs as usize;
    let key = key(c.seed(), Purpose::Dropout, layer as u32, c.step.step);
    let scale = R::from_f64(1.0 / (1.0 - c.member.training.network.dropout));
    for (index, a) in c.memory.acts[l.a as usize..][..count].iter_mut().enumerate() {
        *a = if words(key, index as u32)[0] < below { R::ZERO } else { *a * scale };
    }
}
