//! Sum of squares of each block of the gradients. Twin of `shaders/grad_norm.wgsl`.

use crate::step::memory::Context;
use crate::step::real::Real;

/// Interleaved sums, so that they become vector instructions.
const LANES: usize = 16;

#[inline(always)]
pub fn cpu<R: Real>(c: &mut Context<R>) {
    let m = &mut *c.memory;
    for (partial, block) in m.partials.iter_mut().zip(&c.member.blocks) {
        let mut sums = [R::ZERO; LANES];
        let mut total = R::ZERO;
        for run in block.runs() {
            let (whole, rest) = m.grads[run].as_chunks::<LANES>();
            for lane in whole {
                sums.iter_mut().zip(lane).for_each(|(s, &v)| *s += v * v);
            }
            rest.iter().for_each(|&v| total += v * v);
        }
        sums.into_iter().for_each(|s| total += s);
        *partial = total;
    }
}
