//! The optimisers. Twin of `shaders/update.wgsl`; [`crate::spec::Optimizer`] has the sources.

use crate::population::Chunk;
use crate::population::tables::{ChunkKind, StepRow};
use crate::spec::Optimizer;
use crate::step::memory::Context;
use crate::step::real::{Kernel, Real, vectorised};

/// Chunks that one core updates at a time.
const PIECE: usize = 32;

/// What is the same for all parameters of a member in one step.
struct Rates<R> {
    optimizer: Optimizer,
    lr: R,
    correction1: R,
    correction2: R,
    /// 1 - lr · weight decay
    keep: R,
    scale: R,
}

pub fn cpu<R: Real>(c: &mut Context<R>) {
    let StepRow { lr, correction1, correction2, keep, .. } = c.step;
    let rates = Rates {
        optimizer: c.member.training.optimizer,
        lr: R::from_f32(lr),
        correction1: R::from_f32(correction1),
        correction2: R::from_f32(correction2),
        keep: R::from_f32(keep),
        scale: c.memory.scale,
    };
    let m = &mut *c.memory;
    let finite = chunks(&rates, &c.member.chunks, 0, &mut m.params, &mut m.moments, &m.grads);
    if !finite {
        // Those who may run before what reports of this step (`shaders/descent.wgsl`) are to report alike.
        c.memory.first_bad = c.memory.first_bad.min(c.step.step + 1);
    }
}

/// Updates chunks, which lie in slices that start at parameter `first`; halves go to other cores.
fn chunks<R: Real>(
    rates: &Rates<R>,
    todo: &[Chunk],
    first: usize,
    params: &mut [R],
    moments: &mut [R],
    grads: &[R],
) -> bool {
    if todo.len() <= PIECE {
        return vectorised(Piece { rates, todo, first, params, moments, grads });
    }
    let (left, right) = todo.split_at(todo.len() / 2);
    let at = right[0].start;
    let (params, params_right) = params.split_at_mut(at - first);
    let (moments, moments_right) = moments.split_at_mut(2 * (at - first));
    let (grads, grads_right) = grads.split_at(at - first);
    let (a, b) = rayon::join(
        || chunks(rates, left, first, params, moments, grads),
        || chunks(rates, right, at, params_right, moments_right, grads_right),
    );
    a & b
}

/// Chunks that are updated one after the other.
struct Piece<'a, R> {
    rates: &'a Rates<R>,
    todo: &'a [Chunk],
    first: usize,
    params: &'a mut [R],
    moments: &'a mut [R],
    grads: &'a [R],
}

impl<R: Real> Kernel for Piece<'_, R> {
    type Output = bool;

    #[inline(always)]
    fn call(self) -> bool {
        let Piece { rates, todo, first, params, moments, grads } = self;
        let mut finite = true;
        for chunk in todo {
            let (from, to) = (chunk.start - first, chunk.start - first + chunk.len);
            let params = &mut params[from..to];
            if chunk.kind == ChunkKind::Weight && rates.keep != R::ONE {
                params.iter_mut().for_each(|w| *w *= rates.keep);
            }
            finite &= update(rates, params, &mut moments[2 * from..2 * to], &grads[from..to]);
        }
        finite
    }
}

/// Updates a run of parameters; whether all that was read and written is finite.
#[inline(always)]
fn update<R: Real>(rates: &Rates<R>, params: &mut [R], moments: &mut [R], grads: &[R]) -> bool {
    let real = R::from_f64;
    match rates.optimizer {
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
