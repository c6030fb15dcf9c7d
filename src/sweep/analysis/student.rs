//! Means with Student's interval, alone and of paired differences.

use std::cmp::Ordering;
use std::ops::Neg;

use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};

/// A mean and the half width of its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    pub mean: f64,
    /// None for fewer than two values.
    pub ci95: Option<f64>,
}

impl Estimate {
    /// The mean of `values` ± t(0.975, n - 1)·s/√n, with s² = Σ(x - mean)²/(n - 1). None without values.
    pub fn of(values: &[f64]) -> Option<Estimate> {
        Estimate::of_rounded(values, 0.0)
    }

    /// The same of values that are multiples of `step`. A few may coincide by chance without being more certain, so
    /// s² is at least the variance of a rounding error, step²/12 (Sheppard 1898).
    pub fn of_rounded(values: &[f64], step: f64) -> Option<Estimate> {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|x| (x - mean).powi(2)).sum();
        match values.len() {
            0 => None,
            1 => Some(Estimate { mean, ci95: None }),
            _ => {
                let variance = (squares / (n - 1.0)).max(step * step / 12.0);
                Some(Estimate { mean, ci95: Some(t95(n - 1.0) * (variance / n).sqrt()) })
            }
        }
    }

    /// Whether the interval contains 0, or the interval or the mean is missing.
    pub fn may_be_zero(&self) -> bool {
        self.ci95.is_none_or(|half| self.mean.abs().partial_cmp(&half) != Some(Ordering::Greater))
    }

    /// Whether the whole interval is above 0.
    pub fn is_above_zero(&self) -> bool {
        self.mean > 0.0 && !self.may_be_zero()
    }

    /// Whether the whole interval is below 0.
    pub fn is_below_zero(&self) -> bool {
        self.mean < 0.0 && !self.may_be_zero()
    }
}

/// The negated estimate.
impl Neg for Estimate {
    type Output = Estimate;

    fn neg(self) -> Estimate {
        Estimate { mean: -self.mean, ..self }
    }
}

/// The 97.5 % point of Student's t distribution: 95 % of it lie within ± this.
fn t95(degrees_of_freedom: f64) -> f64 {
    StudentsT::new(0.0, 1.0, degrees_of_freedom).map_or(f64::NAN, |t| t.inverse_cdf(0.975))
}

/// The mean of `b - a` over the seeds that both have. None if they share none.
pub(super) fn paired(a: &[(u64, f64)], b: &[(u64, f64)]) -> Option<Estimate> {
    let of = |seed: u64| b.iter().find(|(other, _)| *other == seed).map(|(_, value)| *value);
    let differences: Vec<f64> =
        a.iter().filter_map(|&(seed, value)| of(seed).map(|other| other - value)).collect();
    Estimate::of(&differences)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_that_is_not_finite_may_be_zero() {
        let of = |mean, half| Estimate { mean, ci95: half };
        assert!(of(f64::NAN, Some(f64::NAN)).may_be_zero() && of(1.0, Some(f64::NAN)).may_be_zero());
        assert!(of(f64::INFINITY, Some(f64::INFINITY)).may_be_zero() && of(1.0, None).may_be_zero());
        assert!(of(1.0, Some(0.5)).is_above_zero() && of(-1.0, Some(0.5)).is_below_zero());
    }

    #[test]
    fn quantiles_match_scipy() {
        // scipy.stats.t.ppf(0.975, [1, 2, 4, 9, 99])
        let expected = [
            12.706204736174694,
            4.302652729749462,
            2.7764451051977934,
            2.262157162798205,
            1.9842169515864174,
        ];
        for (df, expected) in [1.0, 2.0, 4.0, 9.0, 99.0].into_iter().zip(expected) {
            assert!((t95(df) - expected).abs() < 1e-8 * expected, "{df}: {} {expected}", t95(df));
        }
    }

    #[test]
    fn intervals_match_scipy() {
        // x = [0.31, 0.29, 0.35, 0.30]; scipy.stats.t.interval(0.95, 3, np.mean(x), scipy.stats.sem(x))
        // is (0.270651536957256, 0.354348463042744)
        let found = Estimate::of(&[0.31, 0.29, 0.35, 0.30]).unwrap();
        assert!((found.mean - 0.3125).abs() < 1e-12);
        assert!((found.ci95.unwrap() - 0.04184846304274398).abs() < 1e-8, "{found:?}");
        assert_eq!(Estimate::of(&[]), None);
        assert_eq!(Estimate::of(&[2.0]), Some(Estimate { mean: 2.0, ci95: None }));
    }

    #[test]
    fn coinciding_values_keep_the_interval_of_their_rounding() {
        // t(0.975, 2) √(0.1²/12/3)
        let found = Estimate::of_rounded(&[0.2, 0.2, 0.2], 0.1).unwrap();
        assert!((found.mean - 0.2).abs() < 1e-12 && (found.ci95.unwrap() - 0.071_710_878).abs() < 1e-8);
        let two = Estimate::of_rounded(&[0.1, 0.1], 0.1).unwrap();
        assert!(two.may_be_zero(), "{two:?}");
        let wide = [0.31, 0.29, 0.35, 0.30];
        assert_eq!(Estimate::of_rounded(&wide, 0.01), Estimate::of(&wide));
    }

    #[test]
    fn pairs_are_made_by_seed() {
        let a = [(0, 1.0), (1, 2.0), (2, 3.0)];
        let b = [(2, 3.5), (1, 2.5), (7, 100.0)];
        let found = paired(&a, &b).unwrap();
        assert_eq!(found, Estimate { mean: 0.5, ci95: Some(0.0) });
        assert!(!found.may_be_zero());
        assert_eq!(paired(&a, &[(9, 1.0)]), None);
    }
}
