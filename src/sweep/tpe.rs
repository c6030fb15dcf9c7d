//! The tree-structured Parzen estimator (Bergstra et al. 2011, "Algorithms for Hyper-Parameter Optimization"), joint in
//! all dimensions.
//!
//! The best ⌈n/10⌉ of n known trials, at most 25, are good and have the density l; the others have the density g
//! ([`super::parzen`]). The estimator draws 32 settings from l and proposes those with the greatest l/g, which have the
//! greatest expected improvement. The k good trials weigh 2k/(k + 1), 2(k - 1)/(k + 1), ..., 2/(k + 1) from the best on,
//! 1 on average; Watanabe (2023, arXiv 2304.11127) compares such weights. The prior weighs 1 in l and 3 in g.
//! docs/samplers.md has the measurements that these numbers come from.
//!
//! Trials that still run count as bad, so that trials which run together differ. A proposal is a function of its
//! arguments alone, the same on every system.

use std::cmp::Ordering;

use super::draw::{Purpose, generator};
use super::parzen::Mixture;
use crate::spec::{Params, Space};

/// Trials drawn at random before the first estimate.
pub const STARTUP: usize = 10;
const CANDIDATES: usize = 32;
const MOST_GOOD: usize = 25;
/// Weights of the prior among good and among bad trials, which weigh 1 on average.
const PRIOR_OF_GOOD: f64 = 1.0;
const PRIOR_OF_BAD: f64 = 3.0;
/// Most rounds of candidates while all repeat known trials, and most draws from the prior after those.
const ROUNDS: usize = 4;
const DRAWS: usize = 32;

/// A trial that has ended, as the estimator sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Told {
    /// Its number in the study.
    pub trial: u64,
    pub params: Params,
    /// Lower is better; None if the trial diverged or failed.
    pub value: Option<f64>,
    /// Epochs of the last rung that it reached, or of a whole training if nothing cut it short. A trial that went
    /// further is better than one that was stopped earlier.
    pub rung: u64,
}

/// Orders trials from the best to the worst.
fn by_quality(a: &Told, b: &Told) -> Ordering {
    let value = |told: &Told| told.value.filter(|value| !value.is_nan());
    let last = |told: &Told| value(told).is_none();
    let (x, y) = (value(a).unwrap_or(0.0), value(b).unwrap_or(0.0));
    last(a).cmp(&last(b)).then(b.rung.cmp(&a.rung)).then(x.total_cmp(&y)).then(a.trial.cmp(&b.trial))
}

/// The settings of the next trial: `told` are the trials that have ended, in any order, `running` the settings of those
/// that have not.
pub fn propose(space: &Space, seed: u64, trial: u64, told: &[Told], running: &[Params]) -> Params {
    let mut ranked: Vec<&Told> = told.iter().collect();
    ranked.sort_by(|a, b| by_quality(a, b));
    let (good, bad) = ranked.split_at(told.len().div_ceil(10).min(MOST_GOOD));
    let k = good.len();
    let weights = (1..=k).rev().map(|place| 2.0 * place as f64 / (k + 1) as f64);
    let good: Vec<(f64, &Params)> = weights.zip(good.iter().map(|told| &told.params)).collect();
    let bad = bad.iter().map(|told| &told.params).chain(running);
    let bad: Vec<(f64, &Params)> = bad.map(|params| (1.0, params)).collect();
    let (l, g) = (Mixture::new(space, &good, PRIOR_OF_GOOD), Mixture::new(space, &bad, PRIOR_OF_BAD));
    let random = &mut generator(seed, Purpose::Tpe, trial, 0);
    // A repeated training would say nothing new.
    let is_new =
        |params: &Params| !told.iter().any(|told| told.params == *params) && !running.contains(params);
    for _ in 0..ROUNDS {
        let candidates: Vec<Params> = (0..CANDIDATES).map(|_| l.draw(random)).collect();
        let rated = candidates.into_iter().filter(is_new).map(|x| (l.density(&x) / g.density(&x), x));
        if let Some((_, best)) = rated.max_by(|a, b| a.0.total_cmp(&b.0)) {
            return best;
        }
    }
    let prior = Mixture::new(space, &[], 1.0);
    let drawn = (0..DRAWS).map(|_| prior.draw(random)).find(is_new);
    drawn.unwrap_or_else(|| l.draw(random))
}
