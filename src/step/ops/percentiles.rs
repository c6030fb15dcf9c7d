//! Percentiles of what a layer's activation takes, by nearest rank. Twin of `shaders/percentiles.wgsl`.
//!
//! The shader counts digits of the numbers' bits, from the highest down; here the standard library selects. Both give
//! the element at the same rank in the total order of IEEE 754, so the same bits.

use crate::population::PERCENTS;
use crate::step::memory::View;
use crate::step::real::Real;
use crate::step::watch;

pub fn cpu<R: Real>(c: &View<R>, layer: usize, normalized: bool) {
    let l = c.member.layers[layer];
    if !c.rank.is_first() || normalized && !l.is_normalized() {
        return;
    }
    let (o, m) = (l.outputs as usize, c.memory);
    // SAFETY: nobody writes Z or parameters now.
    let (z, gamma, beta) = unsafe {
        let vector = |at: u32| if normalized { m.params.part(at as usize, o) } else { &[] };
        (m.z.part(l.z as usize, c.rows() * o), vector(l.b), vector(l.beta))
    };
    for (of_unit, width) in [(false, o), (true, 1)] {
        let of_row = |z: &[R], f: usize| if normalized { gamma[f] * z[f] + beta[f] } else { z[f] };
        let rows = z.chunks_exact(o).take(watch::rows(c.rows(), width));
        let mut values: Vec<R> = rows.flat_map(|z| (0..width).map(move |f| of_row(z, f))).collect();
        let place = watch::place(layer, normalized, of_unit);
        // SAFETY: the first thread alone does this operation.
        let looks = unsafe { m.looks.part_mut(place, PERCENTS.len()) };
        for (look, percent) in looks.iter_mut().zip(PERCENTS) {
            let rank = watch::rank(percent, values.len());
            let by_value = |a: &R, b: &R| a.to_f64().total_cmp(&b.to_f64());
            *look = *values.select_nth_unstable_by(rank, by_value).1;
        }
    }
}
