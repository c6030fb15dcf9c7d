//! Batch normalisation by the running statistics, and activation. Twin of
//! `shaders/batch_norm_inference.wgsl`.

use crate::step::memory::Context;
use crate::step::real::Real;
use crate::with_activation;

use super::activation::Function;

#[inline(always)]
pub fn cpu<R: Real>(c: &mut Context<R>, layer: usize) {
    with_activation!(c.member.layers[layer].activation, F => normalize::<R, F>(c, layer));
}

#[inline(always)]
fn normalize<R: Real, F: Function>(c: &mut Context<R>, layer: usize) {
    let l = c.member.layers[layer];
    let o = l.outputs as usize;
    let rows = c.rows();
    let m = &mut *c.memory;
    let z = &mut m.z[l.z as usize..][..rows * o];
    let a = &mut m.acts[l.a as usize..][..rows * o];
    if !l.is_normalized() {
        // A rectifier may hide what is not finite in Z.
        let mut finite = true;
        for (a, &mut z) in a.iter_mut().zip(z) {
            finite &= z.is_finite();
            *a = F::value(z);
        }
        return c.check(finite);
    }
    let eps = R::from_f64(c.member.training.network.batch_norm.unwrap_or_default().eps);
    let running = &m.stats[l.stats as usize..][..3 * o];
    let (gamma, beta) = (&m.params[l.b as usize..][..o], &m.params[l.beta as usize..][..o]);
    let rstd = &mut m.columns[..o];
    rstd.iter_mut().zip(&running[2 * o..]).for_each(|(rstd, &var)| *rstd = R::ONE / (var + eps).sqrt());
    // An infinite variance would make zeros of everything.
    let mut finite = running.iter().fold(true, |finite, r| finite & r.is_finite());
    for (a, z) in a.chunks_exact_mut(o).zip(z.chunks_exact_mut(o)) {
        for f in 0..o {
            z[f] = ((z[f] - running[f]) - running[o + f]) * rstd[f];
            finite &= z[f].is_finite();
            a[f] = F::value(gamma[f] * z[f] + beta[f]);
        }
    }
    c.check(finite);
}
