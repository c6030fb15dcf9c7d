//! How far the results of an operation may be from those in f64: each operation's bounds stand with it, in
//! [`super::ops`], and `engine::compare` applies them.

use std::ops::Range;

use super::memory::Memory;
use crate::population::tables::{LayerRow, StepRow};
use crate::population::{Buffer, Member, Sizes};
use crate::spec::Precision;

/// Unit roundoff of f32.
pub const U: f64 = 1.0 / (1u64 << 24) as f64;

/// What an operation writes, and how far each element may be off.
pub struct Output {
    pub buffer: Buffer,
    /// In the member's region.
    pub range: Range<usize>,
    pub bound: Bound,
}

impl Output {
    /// `len` elements from `start` on.
    pub fn new(buffer: Buffer, start: usize, len: usize, bound: Bound) -> Output {
        Output { buffer, range: start..start + len, bound }
    }
}

/// How far an element may be off.
pub enum Bound {
    /// Not at all.
    Exact,
    /// This much.
    Absolute(f64),
    /// (a, b): a of each element's own, as the operation gives it on absolute values, and b.
    OfAbsoluteValues(f64, f64),
}

/// One member before and after an operation: what its bounds are derived from.
pub struct Observed<'a> {
    pub member: &'a Member,
    pub step: &'a StepRow,
    /// Its memory after the operation, in f64.
    pub after: &'a Memory<f64>,
    /// All members' memory before the operation, by role.
    pub before: &'a [Vec<f32>],
    /// Where the member's regions begin there.
    pub bases: &'a Sizes,
    /// Of the operands of matrix products.
    pub precision: Precision,
}

impl Observed<'_> {
    /// Rows of the batch.
    pub fn rows(&self) -> usize {
        self.step.rows as usize
    }

    /// Its output layer.
    pub fn last(&self) -> usize {
        self.member.layers.len() - 1
    }

    /// A role after the operation; empty where it holds integers.
    pub fn floats(&self, buffer: Buffer) -> &[f64] {
        self.after.floats(buffer).map_or(&[], |values| &values[..])
    }

    /// Largest absolute value of `len` elements from `start` on, after the operation.
    pub fn largest(&self, buffer: Buffer, start: usize, len: usize) -> f64 {
        self.floats(buffer)[start..][..len].iter().fold(0.0, |most, value| most.max(value.abs()))
    }

    /// Largest absolute value of `len` elements from `start` on, before the operation.
    pub fn largest_before(&self, buffer: Buffer, start: usize, len: usize) -> f64 {
        let start = self.bases[buffer as usize] + start;
        let values = &self.before[buffer as usize][start..start + len];
        values.iter().fold(0.0, |most, value| most.max(f64::from(value.abs())))
    }
}

/// Inputs and outputs of a layer, and where its Z begins.
pub fn sizes(layer: &LayerRow) -> (usize, usize, usize) {
    (layer.inputs as usize, layer.outputs as usize, layer.z as usize)
}
