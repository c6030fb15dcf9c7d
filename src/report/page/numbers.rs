//! Numbers and curves, shortened to what a chart can show.

use serde_json::Value;

use crate::sweep::CurvePoint;

/// Significant digits of a measured number in a chart.
const DIGITS: usize = 5;
/// Significant digits of a hyperparameter's value, which tables also show.
const PARAM_DIGITS: usize = 9;

/// `x` with five significant digits; null if it is none or not finite.
pub(super) fn short(x: Option<f64>) -> Value {
    rounded(x, DIGITS)
}

/// A hyperparameter's number with nine significant digits.
pub(super) fn exact(x: f64) -> Value {
    rounded(Some(x), PARAM_DIGITS)
}

/// Seconds to the millisecond.
pub(super) fn seconds(s: f64) -> Value {
    whole_or_real((s * 1e3).round() / 1e3)
}

fn rounded(x: Option<f64>, digits: usize) -> Value {
    let Some(x) = x.filter(|x| x.is_finite()) else { return Value::Null };
    whole_or_real(format!("{x:.*e}", digits - 1).parse().unwrap_or(x))
}

/// Without the `.0` of whole numbers.
fn whole_or_real(x: f64) -> Value {
    if x.fract() == 0.0 && x.abs() < 1e15 { Value::from(x as i64) } else { Value::from(x) }
}

/// Which of a curve's points to keep, at most `most` (3 or more): the first, the last, the one with the lowest
/// validation loss, and others evenly among them.
pub(super) fn thinned(curve: &[CurvePoint], most: usize) -> Vec<usize> {
    let n = curve.len();
    if n <= most {
        return (0..n).collect();
    }
    let loss = |at: &usize| curve[*at].val_loss.filter(|loss| loss.is_finite());
    let best = (0..n)
        .filter(|at| loss(at).is_some())
        .min_by(|a, b| loss(a).partial_cmp(&loss(b)).unwrap_or(std::cmp::Ordering::Equal));
    let even = most - 1;
    let mut kept: Vec<usize> = (0..even).map(|i| i * (n - 1) / (even - 1)).chain(best).collect();
    kept.sort_unstable();
    kept.dedup();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_keep_five_digits_and_non_finite_ones_are_null() {
        for (x, text) in [
            (0.123_456_789, "0.12346"),
            (1.234_567e-7, "1.2346e-7"),
            (-98_765.432, "-98765"),
            (3.0, "3"),
            (0.0, "0"),
            (1e300, "1e+300"),
            (f64::NAN, "null"),
            (f64::INFINITY, "null"),
        ] {
            assert_eq!(short(Some(x)).to_string(), text);
        }
        assert_eq!(short(None), Value::Null);
        assert_eq!(exact(0.999_512_345).to_string(), "0.999512345");
        assert_eq!(seconds(12.345_678).to_string(), "12.346");
    }

    #[test]
    fn a_thinned_curve_keeps_its_first_last_and_best_point() {
        let point = |epoch: u64| CurvePoint {
            epoch,
            step: epoch,
            train_loss: None,
            val_loss: (epoch != 7).then_some(if epoch == 338 { 0.1 } else { 1.0 }),
            val_score: None,
        };
        let curve: Vec<_> = (1..=1000).map(point).collect();
        for most in [3, 10, 60] {
            let kept = thinned(&curve, most);
            assert!(kept.len() <= most, "{} of {most}", kept.len());
            assert!(kept.windows(2).all(|pair| pair[0] < pair[1]));
            assert!([0, 337, 999].iter().all(|at| kept.contains(at)), "{kept:?}");
        }
        assert_eq!(thinned(&curve[..5], 5), [0, 1, 2, 3, 4]);
    }
}
