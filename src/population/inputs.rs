//! The network's inputs, computed from the features of the data when a batch is gathered.
//!
//! A piecewise-linear encoding turns a number x into one input for each bin [a, b) between quantiles of the training
//! rows: (x - a) / (b - a), limited to 0..1. So below its bin an input is 0, above it 1, and a linear function of all is
//! any function that is linear in each bin (Gorishniy et al. 2022, arXiv 2203.05556, eq. 1; there the outermost bins
//! are not limited). The number itself stays an input, too. Only features are stored; the inputs of a member exist in
//! its batch alone.

use super::tables::{InputKind, InputRow};
use crate::spec::Embed;

/// What a member knows of the data's features.
#[derive(Clone, Copy, Debug)]
pub struct Features<'a> {
    /// F
    pub count: usize,
    /// For each feature, its [`Embed::QUANTILES`] over the training rows; empty for one that is not encoded. May be shorter
    /// than [`Features::count`].
    pub quantiles: &'a [Vec<f32>],
}

impl From<usize> for Features<'static> {
    /// This many features, none of which is encoded.
    fn from(count: usize) -> Self {
        Features { count, quantiles: &[] }
    }
}

impl Features<'_> {
    /// I, the inputs of a network with `embed`.
    pub fn inputs(self, embed: Embed) -> usize {
        count(&rows(embed, self), self)
    }
}

/// I, where these are the [`rows`] of the inputs.
pub(super) fn count(rows: &[InputRow], features: Features) -> usize {
    if rows.is_empty() { features.count } else { rows.len() }
}

/// The inputs of a network with `embed`, `[I]`, feature by feature; empty if they are the features as they are.
pub(super) fn rows(embed: Embed, features: Features) -> Vec<InputRow> {
    let Embed::Ple(bins) = embed else { return Vec::new() };
    let mut rows = Vec::with_capacity(features.count);
    for feature in 0..features.count {
        let own = |kind: InputKind, low: f32, factor: f32| InputRow {
            feature: feature as u32,
            kind: kind as u32,
            low,
            factor,
        };
        rows.push(own(InputKind::Same, 0.0, 1.0));
        let edges = features.quantiles.get(feature).map(|all| edges(all, bins)).unwrap_or_default();
        // A single bin is a linear function of the number.
        if edges.len() > 2 {
            let bins = edges.windows(2).map(|pair| own(InputKind::Bin, pair[0], 1.0 / (pair[1] - pair[0])));
            rows.extend(bins);
        }
    }
    if rows.len() == features.count { Vec::new() } else { rows }
}

/// The edges of at most `bins` bins between `quantiles`, ascending; equal ones become one.
fn edges(quantiles: &[f32], bins: usize) -> Vec<f32> {
    let Some(last) = quantiles.len().checked_sub(1) else { return Vec::new() };
    let mut edges: Vec<f32> = Vec::with_capacity(bins + 1);
    for at in 0..=bins {
        let edge = quantiles[(2 * at * last + bins) / (2 * bins)];
        // Bins of less than a few rounding errors would divide by almost nothing.
        let is_next = edges.last().is_none_or(|&low| {
            let width = edge - low;
            width > 1e-30 && width > 8.0 * f32::EPSILON * edge.abs().max(low.abs())
        });
        if is_next {
            edges.push(edge);
        }
    }
    edges
}

/// An input of a row whose feature is `value`. The GPU does the same operations, with the same bits.
#[inline(always)]
pub fn input(row: &InputRow, value: f32) -> f32 {
    let share = ((value - row.low) * row.factor).clamp(0.0, 1.0);
    if row.kind == InputKind::Bin as u32 { share } else { value }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUANTILES: usize = Embed::QUANTILES;

    fn of(quantiles: &[Vec<f32>], bins: usize) -> Vec<InputRow> {
        rows(Embed::Ple(bins), Features { count: quantiles.len(), quantiles })
    }

    /// 65 quantiles of the uniform distribution on low..low + 64 · step.
    fn uniform(low: f32, step: f32) -> Vec<f32> {
        (0..QUANTILES).map(|at| low + step * at as f32).collect()
    }

    #[test]
    fn an_encoding_is_that_of_the_paper_within_the_training_range() {
        // Eq. 1 of the paper, in f64.
        let paper = |edges: &[f64], x: f64| -> Vec<f64> {
            let bin = |t: usize| {
                let (low, high) = (edges[t], edges[t + 1]);
                if x < low && t > 0 {
                    0.0
                } else if x >= high && t + 2 < edges.len() {
                    1.0
                } else {
                    (x - low) / (high - low)
                }
            };
            (0..edges.len() - 1).map(bin).collect()
        };
        for bins in [2, 4, 16, 64] {
            let rows = of(&[uniform(-3.0, 0.25)], bins);
            assert_eq!(rows.len(), 1 + bins);
            let edges: Vec<f64> = (0..=bins).map(|at| -3.0 + 16.0 * at as f64 / bins as f64).collect();
            for x in [-3.0f32, -2.9, -1.0, 0.0, 0.3, 7.77, 12.9, 13.0] {
                assert_eq!(input(&rows[0], x), x);
                for (row, expected) in rows[1..].iter().zip(paper(&edges, x.into())) {
                    assert!(
                        (f64::from(input(row, x)) - expected).abs() < 1e-5,
                        "{bins} bins at {x}: {row:?}"
                    );
                }
            }
            // Beyond the training range nothing grows but the number itself.
            let all = |x: f32| rows[1..].iter().map(|row| input(row, x)).collect::<Vec<_>>();
            assert_eq!((all(-1e30), all(1e30)), (vec![0.0; bins], vec![1.0; bins]));
        }
    }

    #[test]
    fn bins_are_as_many_as_there_are_different_quantiles() {
        // 0, 1, 2 with a third of the rows each; a switch; a constant; a feature that is not encoded.
        let thirds: Vec<f32> = (0..QUANTILES).map(|at| (3 * at / QUANTILES) as f32).collect();
        let switch: Vec<f32> = (0..QUANTILES).map(|at| (2 * at / QUANTILES) as f32).collect();
        let rows = of(&[thirds, switch, vec![5.0; QUANTILES], vec![]], 16);
        let features: Vec<u32> = rows.iter().map(|row| row.feature).collect();
        assert_eq!(features, [0, 0, 0, 1, 2, 3]);
        assert_eq!((rows[1].low, rows[2].low), (0.0, 1.0));
        // Nothing is encoded: the inputs are the features.
        assert!(of(&[vec![5.0; QUANTILES], vec![]], 16).is_empty());
        assert!(super::rows(Embed::None, Features { count: 1, quantiles: &[uniform(0.0, 1.0)] }).is_empty());
    }

    #[test]
    fn neighbouring_numbers_make_no_bin() {
        let mut quantiles = uniform(1e6, 1.0);
        quantiles[32] = quantiles[31].next_up();
        for row in of(&[quantiles], 64) {
            assert!(row.factor.is_finite() && row.factor < 10.0, "{row:?}");
        }
    }
}
