//! Statistics over seeds, and their formatting.

use std::ops::RangeInclusive;

use super::{Course, Outcome};
use crate::base::text::number;
use crate::sweep::analysis::Estimate;

/// Mean of the finite values; NaN if there are none.
pub fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let finite: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
    finite.iter().sum::<f64>() / finite.len() as f64
}

/// Final scores on the test rows; a diverged network scores `chance`.
pub fn final_scores(courses: &[Course], chance: f64) -> Vec<f64> {
    let of = |course: &Course| Some(course.final_score()).filter(|score| score.is_finite()).unwrap_or(chance);
    courses.iter().map(of).collect()
}

/// Each seed's score at value `at`, from `scores` of `width` values per seed; a diverged network scores 0.
pub fn scores_at(scores: &[f64], width: usize, at: usize) -> impl Iterator<Item = f64> {
    scores.iter().skip(at).step_by(width).map(|&score| if score.is_finite() { score } else { 0.0 })
}

/// The mean of `b - a`, pair by pair, with its 95 % interval.
pub fn difference(a: &[f64], b: &[f64]) -> Option<Estimate> {
    difference_of_rounded(a, b, 0.0)
}

/// [`difference`] of multiples of `step`, such as scores ([`super::Lab::score_step`]) and [`decades`].
pub fn difference_of_rounded(a: &[f64], b: &[f64], step: f64) -> Option<Estimate> {
    let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| b - a).collect();
    Estimate::of_rounded(&differences, step)
}

/// Holds if every interval is above 0, fails if one is below 0.
pub fn all_above_zero(estimates: &[Option<Estimate>]) -> Outcome {
    match () {
        () if estimates.iter().flatten().any(Estimate::is_below_zero) => Outcome::Fails,
        () if estimates.iter().all(|e| e.is_some_and(|e| e.is_above_zero())) => Outcome::Holds,
        () => Outcome::Unclear,
    }
}

/// Shares as "97.53 ± 0.08 %"; "-" if one diverged, here and below.
pub fn percent_pm(values: &[f64]) -> String {
    match Estimate::of(values).filter(|estimate| estimate.mean.is_finite()) {
        Some(Estimate { mean, ci95: Some(half) }) => format!("{:.2} ± {:.2} %", 100.0 * mean, 100.0 * half),
        Some(Estimate { mean, ci95: None }) => format!("{:.2} %", 100.0 * mean),
        None => "-".into(),
    }
}

/// A difference of shares in percentage points: "+1.23 ± 0.08".
pub fn points_pm(difference: &Estimate) -> String {
    if !difference.mean.is_finite() {
        return "-".into();
    }
    let half = difference.ci95.map_or_else(String::new, |half| format!(" ± {:.2}", 100.0 * half));
    format!("{:+.2}{half}", 100.0 * difference.mean)
}

/// Numbers as "3.21 ± 0.15".
pub fn number_pm(values: &[f64]) -> String {
    Estimate::of(values).as_ref().map_or("-".into(), estimate_pm)
}

/// [`number_pm`] of an estimate.
pub fn estimate_pm(estimate: &Estimate) -> String {
    if !estimate.mean.is_finite() {
        return "-".into();
    }
    let half = estimate.ci95.map_or_else(String::new, |half| format!(" ± {}", number(half)));
    format!("{}{half}", number(estimate.mean))
}

/// The step at which a curve (step, score) first reaches `level`, by linear interpolation; None if it never does.
pub fn first_reaches(curve: &[(f64, f64)], level: f64) -> Option<f64> {
    let at = curve.iter().position(|&(_, y)| y >= level)?;
    if at == 0 {
        return Some(curve[0].0);
    }
    let ((x0, y0), (x1, y1)) = (curve[at - 1], curve[at]);
    let share = if y0.is_finite() { (level - y0) / (y1 - y0) } else { 1.0 };
    Some(x0 + share * (x1 - x0))
}

/// 10 to the mean of some decimal logarithms, with its 95 % interval: "3.2 (2.9–3.5)".
pub fn times_pm(logs: &[f64]) -> String {
    let times = |log: f64| number(10f64.powf(log));
    match Estimate::of(logs).filter(|estimate| estimate.mean.is_finite()) {
        Some(Estimate { mean, ci95: Some(half) }) => {
            format!("{} ({}–{})", times(mean), times(mean - half), times(mean + half))
        }
        Some(Estimate { mean, ci95: None }) => times(mean),
        None => "-".into(),
    }
}

/// Powers of ten that `range` spans, 0 without one. Its ends are two of the `values`, which are those of
/// [`crate::base::geomspace`]; steps are counted, so that ranges of equally many values are exactly equal.
pub fn decades(values: &[f64], range: Option<(f64, f64)>) -> f64 {
    let Some((low, high)) = range else { return 0.0 };
    let step = (values[values.len() - 1] / values[0]).log10() / (values.len() - 1) as f64;
    ((high / low).log10() / step).round() * step
}

/// Powers of ten from one value to the next: the unit of [`decades`].
pub fn decades_step(values: &[f64]) -> f64 {
    decades(values, Some((values[0], values[1])))
}

/// Ends of the unbroken run of values around the best score that reach `level`; None if the best does not.
pub fn usable(values: &[f64], scores: &[f64], level: f64) -> Option<(f64, f64)> {
    let finite = (0..values.len()).filter(|&at| scores[at].is_finite());
    let best = finite.max_by(|&a, &b| scores[a].total_cmp(&scores[b])).filter(|&at| scores[at] >= level)?;
    let run = run_around(best, values.len(), |at| scores[at] >= level);
    Some((values[*run.start()], values[*run.end()]))
}

/// The unbroken run around index `best` of `n` whose members are `in_run`, as `best` is.
pub fn run_around(best: usize, n: usize, in_run: impl Fn(usize) -> bool) -> RangeInclusive<usize> {
    let in_run = |at: &usize| in_run(*at);
    let first = (0..best).rev().take_while(in_run).last().unwrap_or(best);
    let last = (best + 1..n).take_while(in_run).last().unwrap_or(best);
    first..=last
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::geomspace;

    #[test]
    fn means_skip_values_that_are_not_finite() {
        assert_eq!(mean([1.0, f64::NAN, 3.0]), 2.0);
        assert!(mean([]).is_nan());
    }

    #[test]
    fn scores_at_a_value_are_one_per_seed() {
        let scores = [0.1, 0.2, 0.3, 0.4, f64::NAN, 0.6];
        assert_eq!(scores_at(&scores, 3, 1).collect::<Vec<f64>>(), [0.2, 0.0]);
        assert_eq!(scores_at(&scores, 3, 2).collect::<Vec<f64>>(), [0.3, 0.6]);
    }

    #[test]
    fn differences_have_a_paired_interval() {
        // Differences 0.01, 0.02, 0.03: mean 0.02, s = 0.01, t(0.975, 2) = 4.302653, half 0.0248414.
        let found = difference(&[0.90, 0.90, 0.90], &[0.91, 0.92, 0.93]).unwrap();
        assert!((found.mean - 0.02).abs() < 1e-12 && (found.ci95.unwrap() - 0.024_841_4).abs() < 1e-6);
        assert_eq!(points_pm(&found), "+2.00 ± 2.48");
        assert_eq!(percent_pm(&[0.975]), "97.50 %");
        let diverged = difference(&[0.9, 0.9], &[f64::NAN, 0.9]).unwrap();
        let told = [points_pm(&diverged), estimate_pm(&diverged), percent_pm(&[0.9, f64::NAN])];
        assert_eq!(told, ["-"; 3]);
    }

    #[test]
    fn a_claim_holds_only_if_every_interval_is_above_zero() {
        let sure = |mean: f64| Some(Estimate { mean, ci95: Some(0.01) });
        assert_eq!(all_above_zero(&[sure(0.2), sure(0.1)]), Outcome::Holds);
        assert_eq!(all_above_zero(&[sure(0.2), sure(-0.1)]), Outcome::Fails);
        assert_eq!(all_above_zero(&[sure(0.2), sure(0.001)]), Outcome::Unclear);
        assert_eq!(all_above_zero(&[sure(-0.2), sure(0.001)]), Outcome::Fails);
        assert_eq!(all_above_zero(&[sure(0.2), None]), Outcome::Unclear);
        assert_eq!(all_above_zero(&[sure(f64::NAN), None]), Outcome::Unclear);
        assert_eq!(all_above_zero(&[Some(Estimate { mean: 0.2, ci95: None })]), Outcome::Unclear);
    }

    #[test]
    fn ranges_of_equally_many_values_span_equal_decades() {
        let values = geomspace(1e-4, 1e3, 40);
        let of = |low: usize, high: usize| decades(&values, Some((values[low], values[high])));
        assert_eq!(of(3, 20), of(22, 39));
        assert!((of(0, 39) - 7.0).abs() < 1e-12);
        assert_eq!(of(5, 5), 0.0);
        assert_eq!(decades(&values, None), 0.0);
    }

    #[test]
    fn the_usable_values_are_the_unbroken_run_around_the_best() {
        let values = [1.0, 2.0, 4.0, 8.0, 16.0];
        assert_eq!(usable(&values, &[0.9, 0.2, 0.8, 0.95, 0.9], 0.7), Some((4.0, 16.0)));
        assert_eq!(usable(&values, &[f64::NAN, 0.2, 0.3, f64::NAN, 0.1], 0.7), None);
        assert_eq!(usable(&values, &[0.1, 0.2, 0.8, f64::NAN, 0.9], 0.7), Some((16.0, 16.0)));
        let values = geomspace(0.01, 100.0, 5);
        assert!(
            values
                .iter()
                .zip([0.01, 0.1, 1.0, 10.0, 100.0])
                .all(|(a, b): (&f64, f64)| (a / b - 1.0).abs() < 1e-12)
        );
    }

    #[test]
    fn a_level_is_reached_by_interpolation() {
        let curve = [(0.0, 0.1), (100.0, 0.5), (200.0, 0.9)];
        assert_eq!(first_reaches(&curve, 0.7), Some(150.0));
        assert_eq!(first_reaches(&curve, 0.05), Some(0.0));
        assert_eq!(first_reaches(&curve, 0.95), None);
        assert_eq!(first_reaches(&[(0.0, f64::NAN), (9.0, 0.8)], 0.7), Some(9.0));
    }
}
