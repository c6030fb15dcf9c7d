//! Measures the processor's peak rates, on all threads that engines use.

use std::hint::black_box;
use std::time::Instant;

use pulp::{Simd, WithSimd};
use rayon::prelude::*;

use crate::engine::Ceilings;

/// Accumulators per thread: enough to hide the latency of a multiply-add.
const SUMS: usize = 12;
/// Multiply-adds of each accumulator in one go.
const TURNS: usize = 1 << 20;
/// Numbers copied: more than caches hold.
const COPIED: usize = 32 << 20;

/// Runs multiply-adds in registers.
struct MultiplyAdds;

impl WithSimd for MultiplyAdds {
    /// Operations of one run.
    type Output = f64;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> f64 {
        let (factor, term) = (simd.splat_f32s(black_box(0.999_999)), simd.splat_f32s(black_box(1e-6)));
        let mut sums = [simd.splat_f32s(1.0); SUMS];
        for _ in 0..TURNS {
            for sum in &mut sums {
                *sum = simd.mul_add_f32s(*sum, factor, term);
            }
        }
        black_box(sums);
        (2 * SUMS * TURNS * S::F32_LANES) as f64
    }
}

/// Measures the ceilings, best of a few.
pub fn measure() -> Ceilings {
    let mut best = Ceilings::default();
    let source = vec![1.0f32; COPIED];
    let mut target = vec![0.0f32; COPIED];
    let pieces = COPIED.div_ceil(4 * rayon::current_num_threads());
    for _ in 0..5 {
        let start = Instant::now();
        let flops: f64 = rayon::broadcast(|_| pulp::Arch::new().dispatch(MultiplyAdds)).into_iter().sum();
        best.flops = best.flops.max(flops / start.elapsed().as_secs_f64());
        let start = Instant::now();
        let parts = target.par_chunks_mut(pieces).zip(source.par_chunks(pieces));
        parts.for_each(|(target, source)| target.copy_from_slice(source));
        black_box(&target);
        best.bytes = best.bytes.max((8 * COPIED) as f64 / start.elapsed().as_secs_f64());
    }
    best
}
