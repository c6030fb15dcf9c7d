//! Error bounds of operations against f64. The bounds of each operation are beside it in [`super::ops`];
//! `engine::compare` applies them.

use std::ops::Range;

use super::memory::Memory;
use crate::population::tables::{LayerRow, StepRow};
use crate::population::{Buffer, Member, Sizes};
use crate::spec::Precision;

/// Unit roundoff of f32.
pub const U: f64 = 1.0 / (1u64 << 24) as f64;

/// A range of memory that an operation writes, and its error bound.
pub struct Output {
    pub buffer: Buffer,
    /// Within the member's region.
    pub range: Range<usize>,
    pub bound: Bound,
}

impl Output {
    /// `len` elements from `start` on.
    pub fn new(buffer: Buffer, start: usize, len: usize, bound: Bound) -> Output {
        Output { buffer, range: start..start + len, bound }
    }
}

/// Error bound of an element.
pub enum Bound {
    /// No error: the bits are equal.
    Exact,
    /// The same absolute error for all elements.
    Absolute(f64),
    /// (a, b): a times the operation's result on absolute values, plus b.
    OfAbsoluteValues(f64, f64),
}

/// One member before and after an operation, from which bounds are derived.
pub struct Observed<'a> {
    pub member: &'a Member,
    pub step: &'a StepRow,
    /// The member's memory after the operation, in f64.
    pub after: &'a Memory<f64>,
    /// All members' memory before the operation, by role.
    pub before: &'a [Vec<f32>],
    /// Offsets of the member's regions in `before`.
    pub bases: &'a Sizes,
    /// Precision of the operands of matrix products.
    pub precision: Precision,
}

impl Observed<'_> {
    /// Rows of the batch.
    pub fn rows(&self) -> usize {
        self.step.rows as usize
    }

    /// The index of the output layer.
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

/// Inputs and outputs of a layer, and the start of its Z.
pub fn sizes(layer: &LayerRow) -> (usize, usize, usize) {
    (layer.inputs as usize, layer.outputs as usize, layer.z as usize)
}
