//! dA -> dZ of a layer: dropout, activation, batch normalisation; dγ and dβ, or db. Twin of
//! `shaders/batch_norm_backward.wgsl`.
//!
//! With dy the gradient at γ x̂ + β: dβ = Σ dy, dγ = Σ dy·x̂, and in one centred form
//! dz = γ/√(σ² + ε) · (dy - mean(dy) - x̂ · mean(dy·x̂)) (Ioffe & Szegedy 2015, section 3, simplified).

use crate::population::random::{Purpose, key, words};
use crate::step::memory::Context;
use crate::step::real::Real;
use crate::with_activation;

use super::activation::{Function, Identity};

#[inline(always)]
pub fn cpu<R: Real>(c: &mut Context<R>, layer: usize) {
    let l = c.member.layers[layer];
    if l.is_hidden() {
        with_activation!(l.activation, F => through_activation::<R, F>(c, layer));
    } else {
        through_activation::<R, Identity>(c, layer);
    }
    sums(c, layer);
}

/// dA -> dy, in place.
#[inline(always)]
fn through_activation<R: Real, F: Function>(c: &mut Context<R>, layer: usize) {
    let l = c.member.layers[layer];
    let o = l.outputs as usize;
    let count = c.rows() * o;
    let below = if l.is_hidden() { c.row().drop_below } else { 0 };
    let seed = c.seed();
    let m = &mut *c.memory;
    let z = &m.z[l.z as usize..][..count];
    let dz = &mut m.dz[l.z as usize..][..count];
    if l.is_normalized() {
        let (gamma, beta) = (&m.params[l.b as usize..][..o], &m.params[l.beta as usize..][..o]);
        for (dz, z) in dz.chunks_exact_mut(o).zip(z.chunks_exact(o)) {
            for (((dz, &z), &gamma), &beta) in dz.iter_mut().zip(z).zip(gamma).zip(beta) {
                *dz *= F::derivative(gamma * z + beta);
            }
        }
    } else {
        for (dz, &z) in dz.iter_mut().zip(z) {
            *dz *= F::derivative(z);
        }
    }
    if below != 0 {
        let key = key(seed, Purpose::Dropout, layer as u32, c.step.step);
        let scale = R::from_f64(1.0 / (1.0 - c.member.training.network.dropout));
        for (index, dz) in dz.iter_mut().enumerate() {
            *dz = if words(key, index as u32)[0] < below { R::ZERO } else { *dz * scale };
        }
    }
}

/// The sums over the batch, and dz through the normalisation.
#[inline(always)]
fn sums<R: Real>(c: &mut Context<R>, layer: usize) {
    let l = c.member.layers[layer];
    let o = l.outputs as usize;
    let rows = c.rows();
    let m = &mut *c.memory;
    let dz = &mut m.dz[l.z as usize..][..rows * o];
    let db = &mut m.columns[..2 * o];
    db.fill(R::ZERO);
    let (sum, sum_xhat) = db.split_at_mut(o);
    if !l.is_normalized() {
        for row in dz.chunks_exact(o) {
            sum.iter_mut().zip(row).for_each(|(sum, &dy)| *sum += dy);
        }
        m.grads[l.b as usize..][..o].copy_from_slice(sum);
        return;
    }
    let xhat = &m.z[l.z as usize..][..rows * o];
    for (dy, xhat) in dz.chunks_exact(o).zip(xhat.chunks_exact(o)) {
        for (((sum, sum_xhat), &dy), &xhat) in sum.iter_mut().zip(&mut *sum_xhat).zip(dy).zip(xhat) {
            *sum += dy;
            *sum_xhat += dy * xhat;
        }
    }
    m.grads[l.b as usize..][..o].copy_from_slice(sum_xhat);
    m.grads[l.beta as usize..][..o].copy_from_slice(sum);
    let gamma = &m.params[l.b as usize..][..o];
    let rstd = &m.stats[l.stats as usize + 4 * o..][..o];
    let n = R::from_f64(rows as f64);
    sum.iter_mut().chain(&mut *sum_xhat).for_each(|s| *s = *s / n);
    for (dz, xhat) in dz.chunks_exact_mut(o).zip(xhat.chunks_exact(o)) {
        for f in 0..o {
            dz[f] = gamma[f] * rstd[f] * ((dz[f] - sum[f]) - xhat[f] * sum_xhat[f]);
        }
    }
}
