//! Lower bounds on the work of an operation: arithmetic, and bytes moved to and from memory. The cost of each operation
//! is beside it in [`super::ops`].

use std::ops::{Add, AddAssign};

use crate::population::tables::LayerRow;

/// Arithmetic operations, where a multiply-add counts as two, and bytes, where each operand and result counts once.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Cost {
    pub flops: f64,
    pub bytes: f64,
}

impl Add for Cost {
    type Output = Cost;
    fn add(self, other: Cost) -> Cost {
        Cost { flops: self.flops + other.flops, bytes: self.bytes + other.bytes }
    }
}

impl AddAssign for Cost {
    fn add_assign(&mut self, other: Cost) {
        *self = *self + other;
    }
}

impl std::iter::Sum for Cost {
    fn sum<I: Iterator<Item = Cost>>(costs: I) -> Cost {
        costs.fold(Cost::default(), Add::add)
    }
}

/// Bytes of a number.
pub const NUMBER: f64 = 4.0;

impl Cost {
    /// Cost of `flops` operations and `numbers` numbers for each element of `[rows, O]` of a layer.
    pub fn of_layer(layer: &LayerRow, rows: f64, flops: f64, numbers: f64) -> Cost {
        let count = rows * layer.outputs as f64;
        Cost { flops: count * flops, bytes: count * numbers * NUMBER }
    }
}
