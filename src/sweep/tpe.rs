//! The tree-structured Parzen estimator (Bergstra et al. 2011, "Algorithms for Hyper-Parameter Optimization"), on the
//! densities of the crate `tpe`.
//!
//! Each dimension is estimated independently: a set by counts, a range by normal kernels where its scale is uniform. A
//! trial without a setting does not count in that dimension. The best min(⌈n/10⌉, 25) of n known trials are good, with
//! density l; the others have density g. The estimator draws 24 candidates from l and takes the one with the greatest
//! l/g (the defaults of Optuna and of the crate). It uses the system's logarithms, so the last bits of a proposal may
//! differ between systems.

use std::cmp::Ordering;

use serde_json::Value;
use tpe::{TpeOptimizerBuilder, categorical_range, histogram_estimator, parzen_estimator, range};

use super::draw::{Purpose, generator, uniform};
use crate::spec::{Dimension, Domain, Params, Space};

/// Trials drawn at random before the first estimate.
pub const STARTUP: usize = 10;
const CANDIDATES: usize = 24;
const MOST_GOOD: usize = 25;
/// Most proposals for a trial while they repeat known trials, and most independent draws after those.
const PROPOSALS: u64 = 4;
const DRAWS: u64 = 32;

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

/// The values of the next trial, a function of its arguments alone; `number` gives the number of a dimension's stream.
pub fn propose(
    space: &Space,
    seed: u64,
    trial: u64,
    told: &[Told],
    number: impl Fn(&Dimension) -> u64,
) -> Params {
    let mut ranked: Vec<&Told> = told.iter().collect();
    ranked.sort_by(|a, b| by_quality(a, b));
    let proposal = |attempt: u64| {
        space.params(|_, dimension| {
            let mut random = generator(seed, Purpose::Tpe, trial, number(dimension) << 8 | attempt);
            match attempt < PROPOSALS {
                true => candidate(dimension, &ranked, &mut random),
                false => dimension.domain.at(uniform(&mut random)),
            }
        })
    };
    // A repeated training would say nothing new.
    let is_new = |params: &Params| !told.iter().any(|told| told.params == *params);
    (0..PROPOSALS + DRAWS).map(&proposal).find(is_new).unwrap_or_else(|| proposal(0))
}

fn candidate(dimension: &Dimension, ranked: &[&Told], random: &mut rand::rngs::ChaCha8Rng) -> Value {
    let domain = &dimension.domain;
    let (range, estimator, scale) = match domain {
        Domain::Set(values) => (categorical_range(values.len()), histogram_estimator(), values.len() as f64),
        Domain::Range { .. } => (range(0.0, 1.0), parzen_estimator(), 1.0),
    };
    let good = ranked.len().div_ceil(10).min(MOST_GOOD);
    // The crate rounds the share up to a number: half a trial less than `good` becomes `good`.
    let share = (good as f64 - 0.5) / ranked.len().max(1) as f64;
    let built = range.ok().and_then(|range| {
        TpeOptimizerBuilder::new().gamma(share.max(0.0)).candidates(CANDIDATES).build(estimator, range).ok()
    });
    let mut optimizer =
        built.unwrap_or_else(|| unreachable!("a domain has values, and shares are in [0, 1]"));
    for (rank, told) in ranked.iter().enumerate() {
        let value = told.params.get(&dimension.key).and_then(|value| domain.position(value));
        let x = value.map_or(f64::NAN, |position| position * scale);
        let _ = optimizer.tell(x, rank as f64); // cannot fail: the position is in range, the rank a number
    }
    let Ok(x) = optimizer.ask(random);
    domain.at((x / scale).clamp(0.0, 1.0 - f64::EPSILON))
}
