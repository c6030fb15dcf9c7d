//! Sum of squares of each block of the gradients. Twin of `shaders/grad_norm.wgsl`.

use crate::population::{Block, BlockSize, Buffer, Member};
use crate::step::bounds::{Bound, Observed, Output, U};
use crate::step::cost::{Cost, NUMBER};
use crate::step::memory::View;
use crate::step::real::Real;

/// Interleaved sums, for vector instructions.
const LANES: usize = Block::SIDE;

#[inline(always)]
pub fn cpu<R: Real>(view: &View<R>) {
    for (at, block) in view.member.blocks.iter().enumerate() {
        let layer_row = view.member.layers[block.layer];
        let (rows, columns, stride) = match block.size {
            BlockSize::Matrix { rows, columns, stride } => {
                // Only rows whose gradients this thread has computed.
                let inputs = layer_row.products().map_or(1, |products| products.inputs);
                let row = (block.start - layer_row.w as usize) / stride % inputs;
                if !view.rank.some_rows(inputs).contains(&row) {
                    continue;
                }
                (rows, columns, stride)
            }
            BlockSize::Vector(_) if !view.rank.is_first() => continue,
            BlockSize::Vector(len) => (1, len, len),
        };
        let span = (rows - 1) * stride + columns;
        // SAFETY: no thread writes gradients now.
        let grads = unsafe { view.memory.grads.part(block.start, span) };
        let mut sums = [R::ZERO; LANES];
        let mut total = R::ZERO;
        for row in grads.chunks(stride) {
            let (whole, rest) = row[..columns].as_chunks::<LANES>();
            for lane in whole {
                sums.iter_mut().zip(lane).for_each(|(s, &v)| *s += v * v);
            }
            rest.iter().for_each(|&v| total += v * v);
        }
        sums.into_iter().for_each(|s| total += s);
        // SAFETY: this block is this thread's.
        unsafe { view.memory.partials.part_mut(at, 1)[0] = total };
    }
}

/// Name in reports.
pub const NAME: &str = "gradient norm";

/// Cost: each gradient is squared and added.
pub fn cost(member: &Member) -> Cost {
    let parameters = member.parameters() as f64;
    Cost { flops: 2.0 * parameters, bytes: NUMBER * parameters }
}

/// At most 1,024 squares, all positive, in sums of 4, then 8, then 32.
pub fn bounds(observed: &Observed) -> Vec<Output> {
    let one = |at: usize| {
        let value = observed.floats(Buffer::Partials)[at];
        let bound = Bound::Absolute(46.0 * U * value + f32::MIN_POSITIVE as f64);
        Output::new(Buffer::Partials, at, 1, bound)
    };
    (0..observed.member.blocks.len()).map(one).collect()
}
