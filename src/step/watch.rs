//! Watching a member's layers: percentiles of the inputs of their activations, and norms of their gradients.
//!
//! Ioffe & Szegedy 2015 (arXiv 1502.03167), figure 1b, c, shows such percentiles of one unit.

use serde::{Deserialize, Serialize};

use crate::population::tables::LayerRow;
use crate::population::{BlockSize, LOOK, Member, PERCENTS};

/// Most values of a layer that are watched; in larger layers and batches only the batch's first rows are.
///
/// A software adapter ends an invocation's loops after 65,535 iterations; these take 49,152, in four passes of 256 lanes.
pub const MOST_VALUES: usize = 3 << 20;

/// Start of the percentiles of `layer` in a member's looks.
pub fn place(layer: usize, normalized: bool, of_unit: bool) -> usize {
    layer * LOOK + (2 * usize::from(normalized) + usize::from(of_unit)) * PERCENTS.len()
}

/// Number of watched rows of a batch with `width` values per row.
pub fn rows(rows: usize, width: usize) -> usize {
    rows.min((MOST_VALUES / width.max(1)).max(1))
}

/// Index of a percentile in `n` sorted values by nearest rank: the ⌈percent n / 100⌉-th, counted from 0.
pub fn rank(percent: usize, n: usize) -> usize {
    (percent * n).div_ceil(100).max(1) - 1
}

/// Looks per decade of steps.
const LOOKS: f64 = 12.0;

/// The next watched step, `from` or later, of `total`: all steps at first, then log-spaced, and the last.
pub fn next_look(from: u64, total: u64) -> u64 {
    if from == 0 {
        return 0;
    }
    let mut spaced = (0..).map(|nth| libm::pow(10.0, f64::from(nth) / LOOKS).round() as u64);
    let next = spaced.find(|&step| step >= from).unwrap_or(u64::MAX);
    next.min(from.max(total.saturating_sub(1)))
}

/// The [`PERCENTS`] of some values; each is one of the values. JSON stores non-finite numbers as null, read back as
/// NaN.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "[Option<f32>; PERCENTS.len()]")]
pub struct Percentiles(pub [f32; PERCENTS.len()]);

impl From<[Option<f32>; PERCENTS.len()]> for Percentiles {
    fn from(values: [Option<f32>; PERCENTS.len()]) -> Percentiles {
        Percentiles(values.map(|value| value.unwrap_or(f32::NAN)))
    }
}

/// One layer in one step of training.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LayerWatch {
    /// Percentiles of Z `[B, O]`.
    pub before: Percentiles,
    /// Percentiles of the activation's inputs: γ x̂ + β after batch normalisation, Z without it.
    pub after: Percentiles,
    /// The same for the layer's first unit, `[B]`.
    pub unit_before: Percentiles,
    pub unit_after: Percentiles,
    /// ‖dW‖₂, including the gradient of λ/2 ‖W‖², before clipping; 0 for a layer that only scales.
    pub weight_grad_norm: f32,
    /// ‖(dγ, dβ)‖₂ or ‖db‖₂, or that of the factors, before clipping.
    pub vector_grad_norm: f32,
}

/// Reads a member's layers from its regions of `Looks` and `Partials`.
pub fn layers(member: &Member, looks: &[f32], partials: &[f32]) -> Vec<LayerWatch> {
    let of_layer = |(layer, row): (usize, &LayerRow)| {
        let look = |normalized, of_unit| {
            let at = place(layer, normalized && row.is_normalized(), of_unit);
            Percentiles(std::array::from_fn(|p| looks[at + p]))
        };
        let norm = |of_matrix| {
            let blocks = member.blocks.iter().zip(partials);
            let own = blocks.filter(|(block, _)| {
                block.layer == layer && matches!(block.size, BlockSize::Matrix { .. }) == of_matrix
            });
            own.fold(0.0, |sum, (_, &squares)| sum + f64::from(squares)).sqrt() as f32
        };
        LayerWatch {
            before: look(false, false),
            after: look(true, false),
            unit_before: look(false, true),
            unit_after: look(true, true),
            weight_grad_norm: norm(true),
            vector_grad_norm: norm(false),
        }
    };
    member.layers.iter().enumerate().map(of_layer).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_match_the_definition() {
        for n in 1..2000 {
            for percent in PERCENTS {
                // The smallest value with at least that percentage of all values at or below it.
                let expected = (1..=n).find(|at| 100 * at >= percent * n).expect("all are");
                assert_eq!(rank(percent, n), expected - 1, "{percent} of {n}");
            }
        }
    }

    #[test]
    fn looks_are_evenly_spaced_in_the_logarithm_and_end_with_the_last_step() {
        let looks = |total: u64| -> Vec<u64> {
            let next = |step: &u64| Some(next_look(step + 1, total)).filter(|&step| step < total);
            std::iter::successors(Some(next_look(0, total)), next).collect()
        };
        assert_eq!(looks(1), [0]);
        assert_eq!(looks(2), [0, 1]);
        assert_eq!(looks(33), [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 18, 22, 26, 32]);
        let long = looks(50_000);
        assert_eq!(long[long.len() - 4..], [31_623, 38_312, 46_416, 49_999]);
        assert_eq!(long.iter().filter(|&&step| (1000..10_000).contains(&step)).count(), 12);
    }

    #[test]
    fn watched_rows_fit_a_software_adapter() {
        assert_eq!(rows(1024, 2048), 1024);
        assert_eq!(rows(4096, 1024), 3072);
        assert_eq!(rows(7, 4 << 20), 1);
    }
}
