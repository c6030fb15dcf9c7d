//! The gain of the search for its budget, and the expected gain of a larger one.

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use serde::Serialize;

use super::ranking::{Ranked, as_shown};
use crate::spec::{Objective, Strategy, SweepRequest};

/// Most points of a curve.
const POINTS: usize = 60;
/// Resamples of the bootstrap; its seed is fixed.
const RESAMPLES: usize = 500;

/// The kind of curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BudgetKind {
    /// The expected best of n trials drawn from those observed, whatever their order: grid, random, Sobol.
    Expected,
    /// The best of the first n trials, as observed: a TPE's later trials depend on its earlier ones, so their order
    /// cannot be changed.
    Observed,
}

/// The best value that a budget of `trials` finds, in the objective's own direction.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct BudgetPoint {
    pub trials: u64,
    pub best: f64,
    /// Pointwise 95 % band of the bootstrap over trials, lower end first. It is too narrow near the last point, where
    /// almost all resamples hold the same few best trials. None where the curve is as observed.
    pub band: Option<[f64; 2]>,
}

/// The gain of doubling the budget, as an improvement of the objective (positive is better).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Worth {
    /// The last doubling: from this many trials ...
    pub from: u64,
    /// ... to this many.
    pub to: u64,
    pub gain: f64,
    /// Its 95 % interval by bootstrap over trials; none where the curve is as observed.
    pub gain_ci95: Option<[f64; 2]>,
    /// A cautious estimate of the gain of doubling once more; None where there is none.
    ///
    /// With g₁ and g₂ the gains of the last doubling but one and of the last, it is g₂·min(1, g₂/g₁). Where the
    /// chance to come within d of the best possible value grows as dᵏ, which the theory of extreme values gives for
    /// values with a limit (Gumbel 1958; de Haan & Ferreira 2006, theorem 1.1.3), the expected distance of the best
    /// of n from the limit falls as n^(-1/k): gains of doublings are then a geometric series, and the estimate is its
    /// next term. The minimum keeps it from promising more than the last doubling brought.
    pub next_gain: Option<f64>,
}

/// "Expected best against budget" (Dodge et al. 2019, arXiv 1909.03004).
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Budget {
    pub kind: BudgetKind,
    pub points: Vec<BudgetPoint>,
    /// Trials that diverged or failed. They used budget, so each counts as the worst value seen.
    pub without_value: u64,
    /// None for fewer than eight trials (two, as observed).
    pub worth: Option<Worth>,
}

/// The curve of `ranked`. A trial that halving stopped counts with its last value.
pub fn budget(ranked: &[Ranked], request: &SweepRequest) -> Budget {
    let mut trials: Vec<&Ranked> = ranked.iter().collect();
    trials.sort_by_key(|trial| trial.trial);
    let worst = trials.iter().filter(|trial| trial.is_ranked()).map(|trial| trial.cost()).reduce(f64::max);
    let without_value = trials.iter().filter(|trial| !trial.is_ranked()).count() as u64;
    let kind = match request.strategy {
        Strategy::Grid | Strategy::Random | Strategy::Sobol => BudgetKind::Expected,
        Strategy::Tpe => BudgetKind::Observed,
    };
    let Some(worst) = worst else { return Budget { kind, points: Vec::new(), without_value, worth: None } };
    let costs: Vec<f64> =
        trials.iter().map(|trial| if trial.is_ranked() { trial.cost() } else { worst }).collect();
    let (points, worth) = match kind {
        BudgetKind::Expected => expected(costs, request),
        BudgetKind::Observed => observed(&costs, request.objective),
    };
    Budget { kind, points, without_value, worth }
}

/// The mean of the least of n values over all C(N, n) subsets of the N `sorted` ones (1 ≤ n ≤ N, ascending): the
/// unbiased form, without replacement.
///
/// The i-th smallest value (i from 1) is the least of C(N - i, n - 1) subsets. The shares w_i = C(N - i, n - 1)/C(N, n)
/// follow from w_1 = n/N and w_{i+1}/w_i = (N - i - n + 1)/(N - i), so that no factorial is ever formed.
pub(super) fn expected_least(sorted: &[f64], n: usize) -> f64 {
    let total = sorted.len();
    let mut share = n as f64 / total as f64;
    let mut sum = 0.0;
    for (place, value) in sorted.iter().enumerate().take(total + 1 - n) {
        sum += share * value;
        let left = (total - 1 - place) as f64;
        share *= (left - (n - 1) as f64) / left.max(1.0);
    }
    sum
}

/// The numbers from 1 to `last`, at most [`POINTS`] of them: evenly spaced in the logarithm where thinned.
fn budgets(last: usize) -> Vec<usize> {
    if last <= POINTS {
        return (1..=last).collect();
    }
    let at = |k: usize| ((last as f64).ln() * k as f64 / (POINTS - 1) as f64).exp().round() as usize;
    let mut all: Vec<usize> = (0..POINTS).map(at).collect();
    all.dedup();
    all
}

/// The 2.5 % and 97.5 % points of `values` (linear interpolation), which it sorts.
pub(super) fn middle_95(values: &mut [f64]) -> [f64; 2] {
    values.sort_by(f64::total_cmp);
    [0.025, 0.975].map(|share| {
        let place = share * (values.len() - 1) as f64;
        let (low, high) = (values[place.floor() as usize], values[place.ceil() as usize]);
        low + (high - low) * place.fract()
    })
}

fn expected(mut costs: Vec<f64>, request: &SweepRequest) -> (Vec<BudgetPoint>, Option<Worth>) {
    costs.sort_by(f64::total_cmp);
    let total = costs.len();
    let at = budgets(total);
    let quarter = total / 4;
    let doublings = [quarter, 2 * quarter, 4 * quarter];
    let gains = |sorted: &[f64]| {
        let [a, b, c] = doublings.map(|n| expected_least(sorted, n));
        [a - b, b - c]
    };
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut curves = vec![Vec::with_capacity(RESAMPLES); at.len()];
    let mut last_gains = Vec::with_capacity(RESAMPLES);
    let mut resample = Vec::with_capacity(total);
    for _ in 0..RESAMPLES {
        let mut times = vec![0_u32; total];
        for _ in 0..total {
            times[rng.random_range(0..total)] += 1;
        }
        resample.clear();
        for (&cost, &times) in costs.iter().zip(&times) {
            resample.extend((0..times).map(|_| cost));
        }
        for (curve, &n) in curves.iter_mut().zip(&at) {
            curve.push(expected_least(&resample, n));
        }
        if quarter >= 2 {
            last_gains.push(gains(&resample)[1]);
        }
    }
    let points = at.iter().zip(&mut curves).map(|(&n, curve)| {
        let mut band = middle_95(curve).map(|cost| as_shown(cost, request.objective));
        band.sort_by(f64::total_cmp);
        BudgetPoint {
            trials: n as u64,
            best: as_shown(expected_least(&costs, n), request.objective),
            band: Some(band),
        }
    });
    let points = points.collect();
    if quarter < 2 {
        return (points, None);
    }
    let [before, gain] = gains(&costs);
    // A grid has no more trials; other values make another space.
    let more = request.strategy != Strategy::Grid;
    let worth = Worth {
        from: 2 * quarter as u64,
        to: 4 * quarter as u64,
        gain,
        gain_ci95: Some(middle_95(&mut last_gains)),
        next_gain: more.then(|| if before > 0.0 { gain * (gain / before).min(1.0) } else { 0.0 }),
    };
    (points, Some(worth))
}

fn observed(costs: &[f64], objective: Objective) -> (Vec<BudgetPoint>, Option<Worth>) {
    let least = |n: usize| costs[..n].iter().copied().fold(f64::INFINITY, f64::min);
    let point = |n| BudgetPoint { trials: n as u64, best: as_shown(least(n), objective), band: None };
    let points = budgets(costs.len()).into_iter().map(point).collect();
    let half = costs.len() / 2;
    let worth = (half > 0).then(|| Worth {
        from: half as u64,
        to: 2 * half as u64,
        gain: least(half) - least(2 * half),
        gain_ci95: None,
        next_gain: None,
    });
    (points, worth)
}
