//! The optimisers. Twin of `shaders/update.wgsl`; sources are at [`crate::spec::Optimizer`].

use std::ops::Range;

use crate::population::tables::{ChunkKind, StepRow};
use crate::population::{Buffer, Member};
use crate::spec::{Optimizer, Products};
use crate::step::bounds::{Bound, Observed, Output, U};
use crate::step::cost::{Cost, NUMBER};
use crate::step::memory::View;
use crate::step::real::Real;

/// The values that all parameters of a member share in one step.
struct Rates<R> {
    optimizer: Optimizer,
    lr: R,
    correction1: R,
    correction2: R,
    /// 1 - lr · weight decay
    keep: R,
    /// Scale of the clipped gradients.
    scale: R,
}

impl<R: Real> Rates<R> {
    fn new(view: &View<R>, scale: R) -> Rates<R> {
        let StepRow { lr, correction1, correction2, keep, .. } = view.step;
        Rates {
            optimizer: view.member.training.optimizer,
            lr: R::from_f32(lr),
            correction1: R::from_f32(correction1),
            correction2: R::from_f32(correction2),
            keep: R::from_f32(keep),
            scale,
        }
    }
}

#[inline(always)]
pub fn cpu<R: Real>(view: &View<R>) {
    // SAFETY: no thread writes it now.
    let rates = Rates::new(view, unsafe { view.memory.scale.part(0, 1)[0] });
    let mut finite = true;
    for (layer_row, products) in
        view.member.layers.iter().filter_map(|layer| Some((layer, layer.products()?)))
    {
        let Products { inputs, outputs, count, .. } = products;
        // Only rows whose gradients this thread has computed.
        let rows = view.rank.some_rows(inputs);
        for nth in 0..count {
            let w = layer_row.w as usize + nth * inputs * outputs;
            finite &= run(view, &rates, ChunkKind::Weight, w + rows.start * outputs..w + rows.end * outputs);
        }
    }
    for chunk in
        view.member.chunks.iter().filter(|chunk| chunk.kind != ChunkKind::Weight && view.rank.is_first())
    {
        finite &= run(view, &rates, chunk.kind, chunk.start..chunk.start + chunk.len);
    }
    // Blame step + 1: the fused kernel (`shaders/descent.wgsl`) may run before `Record`.
    view.check_at(finite, view.step.step + 1);
}

/// Updates this thread's parameters `which`, all of one kind; returns whether all values read and written are finite.
#[inline(always)]
fn run<R: Real>(view: &View<R>, rates: &Rates<R>, kind: ChunkKind, which: Range<usize>) -> bool {
    let (memory, at, len) = (view.memory, which.start, which.len());
    // SAFETY: these parameters are this thread's.
    let (params, moments, grads) = unsafe {
        (
            memory.params.part_mut(at, len),
            memory.moments.part_mut(2 * at, 2 * len),
            memory.grads.part(at, len),
        )
    };
    if kind == ChunkKind::Weight && rates.keep != R::ONE {
        params.iter_mut().for_each(|w| *w *= rates.keep);
    }
    update(rates, params, moments, grads)
}

/// Updates a run of parameters; returns whether all values read and written are finite.
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

/// p -= rule(g · scale, m, v) for every parameter; returns whether all of p, m and v are finite.
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

/// Name in reports.
pub const NAME: &str = "optimiser";

/// Cost of Adam: reads gradient, parameter and two moments, and writes the last three.
pub fn cost(member: &Member) -> Cost {
    let parameters = member.parameters() as f64;
    Cost { flops: 13.0 * parameters, bytes: 7.0 * NUMBER * parameters }
}

/// Few operations on each element. m may cancel, so its error is relative to its terms; it enters p through the rate
/// dp/dm. So do v's relative error and the roundings of the step itself.
pub fn bounds(observed: &Observed) -> Vec<Output> {
    let step = observed.step;
    let (lr, tiny) = (step.lr as f64, f32::MIN_POSITIVE as f64);
    let mut all = Vec::new();
    for at in observed.member.chunks.iter().flat_map(|chunk| chunk.start..chunk.start + chunk.len) {
        let p = observed.largest(Buffer::Params, at, 1) + observed.largest_before(Buffer::Params, at, 1);
        let g = observed.largest(Buffer::Grads, at, 1) * observed.after.scale.abs();
        let m = observed.largest_before(Buffer::Moments, 2 * at, 1) + g;
        let v = observed.largest(Buffer::Moments, 2 * at + 1, 1);
        let rate = match observed.member.training.optimizer {
            Optimizer::Adam { eps, .. } => {
                lr * step.correction1 as f64 / ((v * step.correction2 as f64).sqrt() + eps)
            }
            Optimizer::Sgd { .. } => 2.0 * lr,
            Optimizer::RmsProp { eps, .. } => lr / (v.sqrt() + eps),
        };
        let p = 4.0 * U * p + 64.0 * U * rate * m + tiny;
        all.push(Output::new(Buffer::Params, at, 1, Bound::Absolute(p)));
        all.push(Output::new(Buffer::Moments, 2 * at, 1, Bound::Absolute(8.0 * U * m + tiny)));
        all.push(Output::new(Buffer::Moments, 2 * at + 1, 1, Bound::Absolute(8.0 * U * v + tiny)));
    }
    all
}
