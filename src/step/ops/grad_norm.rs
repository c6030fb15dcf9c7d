//! Sum of squares of each chunk of the gradients. Twin of `shaders/grad_norm.wgsl`.

use crate::step::memory::Context;
use crate::step::real::Real;

#[inline(always)]
pub fn cpu<R: Real>(c: &mut Context<R>) {
    let m = &mut *c.memory;
    for (partial, chunk) in m.partials.iter_mut().zip(&c.member.chunks) {
        *partial = sum_of_squares(&m.grads[chunk.start..][..chunk.len]);
    }
}

/// Σ v², in eight interleaved sums so that it becomes vector instructions.
#[inline(always)]
fn sum_of_squares<R: Real>(values: &[R]) -> R {
    const LANES: usize = 16;
    let mut sums = [R::ZERO; LANES];
    let (whole, rest) = values.as_chunks::<LANES>();
    for lane in whole {
        sums.iter_mut().zip(lane).for_each(|(s, &v)| *s += v * v);
    }
    let mut total = R::ZERO;
    rest.iter().for_each(|&v| total += v * v);
    sums.into_iter().for_each(|s| total += s);
    total
}
