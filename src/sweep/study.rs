//! The values of each trial of a study.
//!
//! To add a strategy, add its name in `spec/sweep.rs`; the compiler then requires its trials here.

use std::collections::HashMap;
use std::ops::Range;

use super::draw::{Purpose, below, generator, uniform};
use super::tpe::{self, STARTUP, Told};
use crate::spec::{ConfigError, Dimension, Params, SEARCHABLE, Space, Strategy, SweepRequest};

/// Trials that may still be running when the Parzen estimator proposes one, where the request does not say how many
/// train at once.
const WINDOW: u64 = 24;

/// The trials of a sweep, by number from 0.
#[derive(Clone, Debug)]
pub struct Study {
    space: Space,
    strategy: Strategy,
    seed: u64,
    trials: u64,
    window: u64,
    /// Indices into the grid, if the study uses only a part of it.
    part: Option<Vec<u64>>,
}

impl Study {
    /// The study of a request.
    ///
    /// # Errors
    /// [`ConfigError::Grid`] if the space is not a grid that the strategy can walk; that of a resolved request always
    /// is.
    pub fn new(request: &SweepRequest) -> Result<Study, ConfigError> {
        let (seed, trials) = (request.base.training.seed, request.trials);
        let part = match request.strategy {
            Strategy::Grid => {
                let unknown =
                    || ConfigError::Grid { size: "more combinations than 64 bits can count".into() };
                let grid = request.space.grid_len().ok_or_else(unknown)?;
                if trials > grid {
                    return Err(ConfigError::Grid {
                        size: format!("{grid} combinations, fewer than {trials}"),
                    });
                }
                (trials < grid).then(|| without_replacement(seed, trials, grid))
            }
            Strategy::Random | Strategy::Sobol | Strategy::Tpe => None,
        };
        let window = match (request.strategy, request.population) {
            (Strategy::Tpe, Some(models)) => {
                // One at a time, all trials before have ended. Otherwise, one more than run may be unknown, so that
                // trials of different length need not wait for each other.
                let most = u64::from(models) * u64::from(request.queues.unwrap_or(1));
                if most == 1 { 0 } else { most }
            }
            (Strategy::Tpe, None) => WINDOW,
            _ => 0,
        };
        let space = request.space.clone();
        Ok(Study { space, strategy: request.strategy, seed, trials, window, part })
    }

    /// Number of trials, seeds not counted.
    pub fn len(&self) -> u64 {
        self.trials
    }

    pub fn is_empty(&self) -> bool {
        self.trials == 0
    }

    /// How the values are chosen.
    pub fn strategy(&self) -> Strategy {
        self.strategy
    }

    /// How many of the trials before a trial may still be running when its values are chosen; 0 if one trial runs at a
    /// time, or if values do not depend on results. It depends on the request alone, so that a resumed study makes the
    /// same proposals.
    pub fn window(&self) -> u64 {
        self.window
    }

    /// The trials that must have ended before trial `i` has values: [`Study::params`] takes their results, and the
    /// settings of those from there to `i`.
    pub fn wants(&self, i: u64) -> Range<u64> {
        match self.strategy {
            Strategy::Tpe => 0..i.saturating_sub(self.window),
            Strategy::Grid | Strategy::Random | Strategy::Sobol => 0..0,
        }
    }

    /// The values of trial `i`.
    ///
    /// For grid, random and Sobol they depend on (study seed, i) alone, whatever the number of trials (a whole grid is
    /// walked in order, the last dimension fastest; a part of it is drawn without replacement). For the Parzen
    /// estimator they also depend on `told`, the trials of [`Study::wants`] in any order, and on `running`, the
    /// settings of the trials from there to `i`.
    ///
    /// # Panics
    /// If the study has no trial `i`.
    pub fn params(&self, i: u64, told: &[Told], running: &[Params]) -> Params {
        assert!(i < self.trials, "trial {i} of {}", self.trials);
        match self.strategy {
            Strategy::Grid => {
                let point = self.part.as_ref().map_or(i, |part| part[i as usize]);
                self.space.grid_point(point).unwrap_or_default()
            }
            Strategy::Random => self.drawn(i),
            Strategy::Sobol => {
                let seed = generator_word(self.seed);
                self.space.params(|number, dimension| {
                    let u = sobol_burley::sample(i as u32, number as u32, seed);
                    dimension.domain.at(f64::from(u))
                })
            }
            Strategy::Tpe if told.len() < STARTUP => self.drawn(i),
            Strategy::Tpe => tpe::propose(&self.space, self.seed, i, told, running),
        }
    }

    /// Values of up to `n` trials, spread over the space, to plan with.
    pub fn estimate(&self, n: usize) -> Vec<Params> {
        let n = self.trials.min(n as u64);
        let at = |k: u64| match self.strategy {
            // The first points of a grid are alike; the other strategies spread theirs.
            Strategy::Grid => (u128::from(k) * u128::from(self.trials) / u128::from(n)) as u64,
            Strategy::Random | Strategy::Sobol | Strategy::Tpe => k,
        };
        (0..n).map(|k| self.params(at(k), &[], &[])).collect()
    }

    /// Independent draws, one for each dimension.
    fn drawn(&self, i: u64) -> Params {
        self.space.params(|_, dimension| {
            let u = uniform(&mut generator(self.seed, Purpose::Random, i, stream(dimension)));
            dimension.domain.at(u)
        })
    }
}

/// Number of a dimension's stream; it does not depend on the other dimensions.
fn stream(dimension: &Dimension) -> u64 {
    SEARCHABLE.iter().position(|key| *key == dimension.key).map_or(u64::MAX >> 8, |index| index as u64)
}

/// The seed of a Sobol sequence's scrambling.
fn generator_word(seed: u64) -> u32 {
    below(&mut generator(seed, Purpose::Sobol, 0, 0), 1 << 32) as u32
}

/// The first `count` places of a random order of `0..end` (Fisher & Yates, with only the moved places kept).
fn without_replacement(seed: u64, count: u64, end: u64) -> Vec<u64> {
    let mut random = generator(seed, Purpose::Grid, 0, 0);
    let mut moved = HashMap::new();
    (0..count)
        .map(|i| {
            let j = i + below(&mut random, end - i);
            let taken = moved.get(&j).copied().unwrap_or(j);
            let here = moved.get(&i).copied().unwrap_or(i);
            moved.insert(j, here);
            taken
        })
        .collect()
}
