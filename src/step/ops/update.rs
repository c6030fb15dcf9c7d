//! The optimisers. Twin of `shaders/update.wgsl`; [`crate::spec::Optimizer`] has the sources.

use rayon::prelude::*;

use crate::population::tables::{ChunkKind, StepRow};
use crate::spec::Optimizer;
use crate::step::memory::Context;
use crate::step::real::{Real, vectorised};

/// Parameters that one core updates at a time.
const PIECE: usize = 1 << 15;

/// The constants of one step.
struct Rates<R> {
    lr: R,
    correction1: R,
    correction2: R,
    scale: R,
}

#[inline(always)]
pub fn cpu<R: Real>(c: &mut Context<R>) {
    let StepRow { lr, correction1, correction2, keep, .. } = c.step;
    let rates = Rates {
        lr: R::from_f32(lr),
        correction1: R::from_f32(correction1),
        correction2: R::from_f32(correction2),
        scale: c.memory.scale,
    };
    let m = &mut *c.memory;
    if keep != 1.0 {
        let keep = R::from_f32(keep);
        for chunk in c.member.chunks.iter().filter(|c| c.kind == ChunkKind::Weight) {
            m.params[chunk.start..][..chunk.len].iter_mut().for_each(|w| *w *= keep);
        }
    }
    let optimizer = c.member.training.optimizer;
    let pieces = (m.params.par_chunks_mut(PIECE))
        .zip(m.moments.par_chunks_mut(2 * PIECE))
        .zip(m.grads.par_chunks(PIECE));
    let finite = pieces
        .map(|((params, moments), grads)| vectorised(|| update(optimizer, &rates, params, moments, grads)))
        .reduce(|| true, |a, b| a && b);
    c.check(finite);
}

/// Updates a run of parameters; whether all that was read and written is finite.
#[inline(always)]
fn update<R: Real>(
    optimizer: Optimizer,
    rates: &Rates<R>,
    params: &mut [R],
    moments: &mut [R],
    grads: &[R],
) -> bool {
    let real = R::from_f64;
    match optimizer {
        Optimizer::Adam { beta1, beta2, eps } => {
            let (b1, b2, r1, r2, eps) =
                (real(beta1), real(beta2), real(1.0 - beta1), real(1.0 - beta2), real(eps));
            each(rates.scale, params, moments, grads, |g, m, v| {
                *m = b1 * *m + r1 * g;
                *v = b2 * *v + r2 * (g * g);
                rates.lr * (*m * rates.correction1) / ((*v * rates.correction2).sqrt() + eps)
            })
        }
        Optimizer::Sgd { momentum, nesterov } => {
            let momentum = real(momentum);
            each(rates.scale, params, moments, grads, |g, m, _| {
                *m = momentum * *m + g;
                rates.lr * if nesterov { g + momentum * *m } else { *m }
            })
        }
        Optimizer::RmsProp { alpha, eps } => {
            let (alpha, rest, eps) = (real(alpha), real(1.0 - alpha), real(eps));
            each(rates.scale, params, moments, grads, |g, _, v| {
                *v = alpha * *v + rest * (g * g);
                rates.lr * g / (v.sqrt() + eps)
            })
        }
    }
}

/// p -= rule(g · scale, m, v) for every parameter; whether all of p, m and v are finite.
#[inline(always)]
fn each<R: Real>(
    scale: R,
    params: &mut [R],
    moments: &mut [R],
    grads: &[R],
    rule: impl Fn(R, &mut R, &mut R) -> R,
) -> bool {
    let mut finite = true;
    let (moments, _) = moments.as_chunks_mut::<2>();
    for ((p, [m, v]), &g) in params.iter_mut().zip(moments).zip(grads) {
        *p -= rule(g * scale, m, v);
        finite &= p.is_finite() & m.is_finite() & v.is_finite();
    }
    finite
}
