//! x `[B, F]` = scaled rows of the data; their numbers into `index`. Twin of `shaders/gather.wgsl`.

use crate::population::random::{permuted, shuffle_keys};
use crate::population::tables::StepRow;
use crate::step::memory::{Values, View};
use crate::step::real::Real;

#[inline(always)]
pub fn cpu<R: Real>(c: &View<R>) {
    let features = c.table.features;
    let keys = shuffle_keys(c.seed(), c.step.epoch);
    let row_of = |b: usize| {
        let position = c.step.first + b as u32;
        match c.step.flags & StepRow::SHUFFLED {
            0 => position,
            _ => permuted(keys, c.row().train_rows, position),
        }
    };
    let own = c.rank.rows(c.rows());
    let mut next = if own.is_empty() { 0 } else { row_of(own.start) };
    for b in own.clone() {
        let row = next;
        if b + 1 < own.end {
            // Rows lie anywhere: the next is fetched while this one is read.
            next = row_of(b + 1);
            c.table.prefetch(next as usize);
        }
        // SAFETY: row b is this thread's.
        let (index, x) =
            unsafe { (c.memory.index.part_mut(b, 1), c.memory.acts.part_mut(b * features, features)) };
        index[0] = row;
        let from = row as usize * features;
        match &c.table.values {
            Values::Bytes { values, shift, factor } => {
                let bytes = &values[from..from + features];
                for (((x, &byte), &shift), &factor) in x.iter_mut().zip(bytes).zip(shift).zip(factor) {
                    *x = R::from_f32((byte as f32 - shift) * factor);
                }
            }
            Values::Floats(values) => {
                for (x, &value) in x.iter_mut().zip(&values[from..from + features]) {
                    *x = R::from_f32(value);
                }
            }
        }
    }
}
