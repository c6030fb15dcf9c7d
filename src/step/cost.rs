//! What an operation takes at least: arithmetic, and bytes between the arithmetic and memory. Each operation's cost stands
//! with it, in [`super::ops`].

use std::ops::{Add, AddAssign};

use crate::population::tables::LayerRow;

/// Operations on numbers, a multiply-add being two, and bytes, each operand and result once.
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
    /// Of the elements `[rows, O]` of a layer: `flops` operations and `numbers` numbers each.
    pub fn of_layer(layer: &LayerRow, rows: f64, flops: f64, numbers: f64) -> Cost {
        let count = rows * layer.outputs as f64;
        Cost { flops: count * flops, bytes: count * numbers * NUMBER }
    }
}
