//! x `[B, I]` = scaled rows of the data, embedded; their numbers into `index`. Twin of `shaders/gather.wgsl`.

use crate::population::inputs::input;
use crate::population::random::shuffle_keys;
use crate::population::tables::StepRow;
use crate::population::{Buffer, Member};
use crate::step::bounds::{Bound, Observed, Output};
use crate::step::cost::{Cost, NUMBER};
use crate::step::memory::{Values, View};
use crate::step::real::Real;

use super::matmul;

#[inline(always)]
pub fn cpu<R: Real>(view: &View<R>) {
    let (features, inputs) = (view.table.features, view.member.inputs());
    let embeds = !view.member.inputs.is_empty();
    let keys = shuffle_keys(view.seed(), view.step.epoch);
    let row_of = |b: usize| {
        let position = view.step.first + b as u32;
        match view.step.flags & StepRow::SHUFFLED {
            0 => position,
            _ => view.row().training_row(keys, position),
        }
    };
    // Rows; or, if a product's sums are cut in halves, some inputs of all rows, so that they are in the cache of the
    // thread that needs them.
    let (rows, own) = match matmul::half(view, &view.member.layers[0]) {
        Some(_) => (0..view.rows(), view.rank.some_rows(inputs)),
        None => (view.rank.rows(view.rows()), 0..inputs),
    };
    let needed = if embeds { 0..features } else { own.clone() };
    let noted = view.rank.rows(view.rows());
    let mut next = if rows.is_empty() { 0 } else { row_of(rows.start) };
    for b in rows.clone() {
        let row = next;
        if b + 1 < rows.end {
            // Rows are in random order: the next one is fetched while this one is read.
            next = row_of(b + 1);
            view.table.prefetch(next as usize, &needed);
        }
        if noted.contains(&b) {
            // SAFETY: only this thread stores row b's number.
            unsafe { view.memory.index.part_mut(b, 1)[0] = row };
        }
        // SAFETY: these inputs of row b are this thread's.
        let x = unsafe { view.memory.acts.part_mut(b * inputs + own.start, own.len()) };
        let from = row as usize * features + needed.start;
        match &view.table.values {
            Values::Bytes { values, shift, factor } => {
                // Bytes are not embedded: they have no quantiles.
                let bytes = &values[from..from + own.len()];
                let scaling = shift[own.clone()].iter().zip(&factor[own.clone()]);
                for ((x, &byte), (&shift, &factor)) in x.iter_mut().zip(bytes).zip(scaling) {
                    *x = R::from_f32((byte as f32 - shift) * factor);
                }
            }
            Values::Floats(values) if embeds => {
                let values = &values[from..from + features];
                for (x, row) in x.iter_mut().zip(&view.member.inputs[own.clone()]) {
                    *x = R::from_f32(input(row, values[row.feature as usize]));
                }
            }
            Values::Floats(values) => {
                for (x, &value) in x.iter_mut().zip(&values[from..from + own.len()]) {
                    *x = R::from_f32(value);
                }
            }
        }
    }
}

/// Name in reports.
pub const NAME: &str = "gather";

/// Cost for `rows` rows; `value` bytes hold a feature of the data.
pub fn cost(member: &Member, rows: f64, value: usize) -> Cost {
    let (features, inputs) = (rows * member.features as f64, rows * member.inputs() as f64);
    Cost { flops: 2.0 * inputs, bytes: features * value as f64 + inputs * NUMBER }
}

/// No error: the GPU does the same few f32 operations.
pub fn bounds(observed: &Observed) -> Vec<Output> {
    let rows = observed.rows();
    vec![
        Output::new(Buffer::Acts, 0, rows * observed.member.inputs(), Bound::Exact),
        Output::new(Buffer::Index, 0, rows, Bound::Exact),
    ]
}
