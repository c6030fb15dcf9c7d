//! x `[B, F]` = scaled rows of the data; their numbers into `index`. Twin of `shaders/gather.wgsl`.

use crate::population::random::{permuted, shuffle_keys};
use crate::population::tables::StepRow;
use crate::step::memory::{Context, Values};
use crate::step::real::Real;

#[inline(always)]
pub fn cpu<R: Real>(c: &mut Context<R>) {
    let features = c.table.features;
    let keys = shuffle_keys(c.seed(), c.step.epoch);
    for b in 0..c.rows() {
        let position = c.step.first + b as u32;
        let row = match c.step.flags & StepRow::SHUFFLED {
            0 => position,
            _ => permuted(keys, c.row().train_rows, position),
        };
        c.memory.index[b] = row;
        let from = row as usize * features;
        let x = &mut c.memory.acts[b * features..][..features];
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
