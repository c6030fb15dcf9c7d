use super::*;
use crate::sweep::analysis::budget::expected_least;
use crate::sweep::analysis::{BudgetKind, budget, ranking};

/// The mean of the least of every subset of `n` values, one by one.
fn by_enumeration(values: &[f64], n: usize) -> f64 {
    let subsets = (0_u32..1 << values.len()).filter(|subset| subset.count_ones() as usize == n);
    let least = subsets.map(|subset| {
        let chosen =
            values.iter().enumerate().filter(|(at, _)| subset >> at & 1 == 1).map(|(_, value)| *value);
        chosen.fold(f64::INFINITY, f64::min)
    });
    let all: Vec<f64> = least.collect();
    all.iter().sum::<f64>() / all.len() as f64
}

#[test]
fn the_expected_least_is_that_of_all_subsets() {
    let mut uniform = Uniform(3);
    for total in 1..=10 {
        let mut values: Vec<f64> = (0..total).map(|_| (10.0 * uniform.next()).round()).collect();
        values.sort_by(f64::total_cmp);
        for n in 1..=total {
            close(expected_least(&values, n), by_enumeration(&values, n), 1e-12);
        }
    }
}

#[test]
fn the_expected_least_of_ranks_matches_the_formula() {
    // E[least of n of 1..N] = (N + 1)/(n + 1).
    for (total, n) in [(1000, 1), (1000, 10), (1000, 500), (1000, 999), (1000, 1000), (100_000, 7)] {
        let values: Vec<f64> = (1..=total).map(f64::from).collect();
        let expected = (f64::from(total) + 1.0) / (n as f64 + 1.0);
        close(expected_least(&values, n), expected, 1e-9 * expected);
    }
}

fn search(costs: &[f64]) -> Vec<TrialRecord> {
    costs.iter().enumerate().map(|(trial, &cost)| record(trial as u64, 0, cost)).collect()
}

#[test]
fn gains_of_doublings_continue_as_a_series() {
    // Ranks 1 to 16: expected least of 4, 8 and 16 are 17/5, 17/9 and 1.
    let costs: Vec<f64> = (1..=16).map(f64::from).collect();
    let request = request(16, 1);
    let found = budget(&ranking(&search(&costs), &request), &request);
    assert_eq!((found.kind, found.points.len(), found.without_value), (BudgetKind::Expected, 16, 0));
    let worth = found.worth.unwrap();
    let (before, gain) = (17.0 / 5.0 - 17.0 / 9.0, 17.0 / 9.0 - 1.0);
    assert_eq!((worth.from, worth.to), (8, 16));
    close(worth.gain, gain, 1e-12);
    close(worth.next_gain.unwrap(), gain * gain / before, 1e-12);
    let [low, high] = worth.gain_ci95.unwrap();
    assert!(low < gain && gain < high, "{low} {high}");
    for point in &found.points {
        let [low, high] = point.band.unwrap();
        assert!(low <= point.best && point.best <= high, "{point:?}");
    }
    assert!(found.points.windows(2).all(|pair| pair[1].best <= pair[0].best));
}

#[test]
fn the_forecast_holds_for_values_with_a_limit() {
    // Quantiles of F(x) = √x: the expected least of n is 2/((n + 1)(n + 2)), a known series of gains.
    let total = 4096_u32;
    let costs: Vec<f64> = (0..total).map(|k| ((f64::from(k) + 0.5) / f64::from(total)).powi(2)).collect();
    let request = request(total.into(), 1);
    let worth = budget(&ranking(&search(&costs), &request), &request).worth.unwrap();
    let least = |n: f64| 2.0 / ((n + 1.0) * (n + 2.0));
    let truth = least(4096.0) - least(8192.0);
    let found = worth.next_gain.unwrap();
    assert!(found > 0.0 && (found / truth - 1.0).abs() < 0.5, "{found} {truth}");
}

#[test]
fn lost_trials_use_budget_and_win_nothing() {
    let mut records = search(&[0.1, 0.5]);
    records.push(diverged(2, 0));
    let request = request(3, 1);
    let found = budget(&ranking(&records, &request), &request);
    assert_eq!(found.without_value, 1);
    close(found.points[0].best, (0.1 + 0.5 + 0.5) / 3.0, 1e-12);
    close(found.points[2].best, 0.1, 1e-12);
    assert_eq!(found.worth, None);
    let none = budget(&ranking(&[diverged(0, 0)], &request), &request);
    assert!(none.points.is_empty() && none.worth.is_none());
}

#[test]
fn the_trials_of_a_tpe_keep_their_order() {
    let mut request = request(4, 1);
    request.strategy = Strategy::Tpe;
    request.objective = Objective::ValAcc;
    let found = budget(&ranking(&search(&[0.5, 0.6, 0.2, 0.3]), &request), &request);
    assert_eq!(found.kind, BudgetKind::Observed);
    let best: Vec<f64> = found.points.iter().map(|point| point.best).collect();
    assert_eq!(best, [0.75, 0.75, 0.9, 0.9]);
    let worth = found.worth.unwrap();
    close(worth.gain, 0.15, 1e-12);
    assert_eq!(worth.next_gain, None);
}

#[test]
fn long_searches_are_thinned() {
    let costs: Vec<f64> = (1..=1000).map(f64::from).collect();
    let request = request(1000, 1);
    let found = budget(&ranking(&search(&costs), &request), &request);
    assert!(found.points.len() <= 60);
    assert_eq!((found.points[0].trials, found.points.last().unwrap().trials), (1, 1000));
    assert!(found.points.windows(2).all(|pair| pair[0].trials < pair[1].trials));
}
