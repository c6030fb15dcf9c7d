//! What an operation takes at least: arithmetic, and bytes between the arithmetic and memory.

use std::ops::{Add, AddAssign};

use super::{Layers, Op, Product};
use crate::population::{Buffer, Member};

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
const NUMBER: f64 = 4.0;

impl Cost {
    /// Of `op` for one member and `rows` rows; `value` bytes hold a feature of the data.
    ///
    /// Elements count as the kernels' text has them, an activation and its derivative as one operation each.
    pub fn of(op: Op, member: &Member, rows: usize, value: usize) -> Cost {
        let n = rows as f64;
        let parameters = member.parameters() as f64;
        let last = member.layers.len().saturating_sub(1);
        // (flops, numbers) of each element of a layer.
        let elements = |layer: usize, flops: f64, numbers: f64| {
            let count = member.layers.get(layer).map_or(0.0, |l| n * l.outputs as f64);
            Cost { flops: count * flops, bytes: count * numbers * NUMBER }
        };
        match op {
            Op::Gather => {
                let features = n * member.inputs as f64;
                Cost { flops: 2.0 * features, bytes: features * (value as f64 + NUMBER) }
            }
            Op::Matmul { product, layer } => {
                let layers = member.layers.iter().enumerate().filter(|(at, _)| match layer {
                    Layers::One(one) => one == *at,
                    Layers::All => true,
                });
                let product = layers.filter(|(at, _)| product != Product::BackwardInput || *at > 0);
                product
                    .map(|(_, l)| {
                        let (i, o) = (l.inputs as f64, l.outputs as f64);
                        Cost { flops: 2.0 * n * i * o, bytes: NUMBER * (n * i + i * o + n * o) }
                    })
                    .sum()
            }
            // Shifted, centred, squared, summed; normalised, scaled and shifted.
            Op::BatchNorm { layer, .. } if layer < last => match member.layers[layer].is_normalized() {
                true => elements(layer, 11.0, 3.0),
                false => elements(layer, 1.0, 2.0),
            },
            Op::BatchNormInference { layer } if layer < last => elements(layer, 6.0, 3.0),
            Op::BatchNormBackward { layer } if layer <= last => match member.layers[layer].is_normalized() {
                true => elements(layer, 12.0, 3.0),
                false => elements(layer, 2.0, 3.0),
            },
            Op::BatchNorm { .. } | Op::BatchNormInference { .. } | Op::BatchNormBackward { .. } => {
                Cost::default()
            }
            Op::Loss => elements(last, 6.0, 2.0),
            Op::GradNorm => Cost { flops: 2.0 * parameters, bytes: NUMBER * parameters },
            // Read once for each 8 bits of a number.
            Op::Percentiles { layer, .. } => elements(layer, 0.0, 4.0),
            Op::Record { .. } => {
                let partials = member.sizes[Buffer::Partials as usize] as f64;
                Cost { flops: 2.0 * n + partials, bytes: NUMBER * (2.0 * n + partials) }
            }
            // Of Adam; gradient, parameter and two moments read, three of them written.
            Op::Update => Cost { flops: 13.0 * parameters, bytes: 7.0 * NUMBER * parameters },
        }
    }
}
