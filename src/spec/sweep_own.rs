//! The sweep's own settings, checked against each other and the search space.

use std::time::Duration;

use super::asked::Asked;
use super::config_error::{ConfigError, Place};
use super::given::Given;
use super::request::RunRequest;
use super::shard::Shard;
use super::space::{Domain, MAX_TRIALS, Space};
use super::strategy::{Halving, Objective, Strategy};
use super::sweep::SweepRequest;
use super::sweep_config::SweepOptions;
use super::training::Length;
use super::values::Count;

/// Maximum number of points of a Sobol sequence.
const MAX_SOBOL: u64 = 65_536;
/// Number of trials if only a time limit is given: more than anyone compares.
pub const OPEN_TRIALS: u64 = 10_000;
/// Maximum number of seeds of a trial, in the search and in the final comparison.
const MAX_SEEDS: u64 = 1000;
/// Maximum number of finalists.
const MAX_FINALISTS: u64 = 1000;
/// Largest η. More trials than these are never compared at once.
const MAX_ETA: u64 = 1000;
/// Maximum number of queues of a device; each has threads and memory of its own.
const MAX_QUEUES: u64 = 64;
/// Maximum number of models in a population, where memory allows as many.
const MAX_POPULATION: u64 = 65_536;
/// Maximum number of trainings of a stage: the schedule holds each of them in memory.
const MAX_TRAININGS: u64 = 1_000_000;

/// The sweep's own settings beside the rest.
pub(super) struct Own<'a> {
    pub given: &'a Given,
    pub options: SweepOptions,
    pub asked: &'a Asked,
    pub base: &'a RunRequest,
}

impl Own<'_> {
    /// The whole request, with the time limit of the sweep and the shard that the environment names.
    ///
    /// # Errors
    /// The first invalid setting.
    pub fn request(
        &self,
        max_time: Option<Duration>,
        shard: Option<Shard>,
    ) -> Result<SweepRequest, ConfigError> {
        let options = &self.options;
        let space = Space { dimensions: self.asked.dimensions.iter().map(|(d, _)| d.clone()).collect() };
        let strategy = self.strategy(&space)?;
        let trials = self.trials(&space, strategy, max_time.is_some())?;
        let count = |value: Option<Count>| value.map_or(0, |count| count.0);
        self.check_counts()?;
        let (seed, seeds) = (self.base.training.seed, u64::from(count(options.seeds)));
        if seed.checked_add(seeds).is_none() {
            let expected =
                format!("write at most {}, so that --seeds {seeds} fit into 64 bits", u64::MAX - seeds);
            return Err(self.asked_invalid("seed", seed, &expected));
        }
        let (finalists, final_seeds) = (count(options.finalists), count(options.final_seeds));
        if finalists == 0 && self.given.is_given("final-seeds") {
            let expected = "but --finalists 0 has no final comparison; drop one of them";
            return Err(self.given.invalid("final-seeds", final_seeds, expected));
        }
        self.check_trainings(trials, u64::from(count(options.seeds)))?;
        if options.devices.is_some() && !matches!(self.asked.place("device"), Place::Default { .. }) {
            let expected = "but --devices all takes every device; drop one of them";
            return Err(self.asked_invalid("device", &self.base.device, expected));
        }
        if self.base.data.val_split == 0.0 && self.base.data.folds.is_none() {
            let expected =
                "a sweep compares its trials on the validation rows: write a share above 0, for example 0.1";
            return Err(self.asked_invalid("val-split", 0, expected));
        }
        let shard = options.shard.or(shard).filter(|shard| shard.count > 1);
        if let (Strategy::Tpe, Some(shard)) = (strategy, shard) {
            let expected = "but tpe needs the results of all trials, not of a part; write --strategy random or sobol, \
                            or drop the shard";
            return Err(match self.given.is_given("shard") {
                true => self.given.invalid("shard", shard, expected),
                false => ConfigError::NoShard {
                    problem: format!("the environment sets it to {shard}, {expected}"),
                },
            });
        }
        Ok(SweepRequest {
            base: self.base.clone(),
            space,
            settings: self.asked.settings(),
            strategy,
            trials,
            seeds: count(options.seeds),
            halving: self.halving()?,
            objective: options.objective.unwrap_or(Objective::ValLoss),
            finalists,
            final_seeds,
            more_seeds: finalists > 0 && max_time.is_some() && !self.given.is_given("final-seeds"),
            queues: options.queues.map(|queues| queues.0),
            all_devices: options.devices.is_some(),
            population: options.population.map(|models| models.0),
            max_time,
            shard,
            keep: count(options.keep_models),
            tensorboard: options.tensorboard == Some(true),
        })
    }

    /// Checks that each count is within its limits.
    fn check_counts(&self) -> Result<(), ConfigError> {
        let options = &self.options;
        for (key, value, least, most, example) in [
            ("seeds", options.seeds, 1, MAX_SEEDS, 5),
            ("final-seeds", options.final_seeds, 1, MAX_SEEDS, 5),
            ("finalists", options.finalists, 0, MAX_FINALISTS, 3),
            ("queues", options.queues, 1, MAX_QUEUES, 2),
            ("population", options.population, 1, MAX_POPULATION, 64),
            ("keep-models", options.keep_models, 0, MAX_TRIALS, 10),
        ] {
            let Some(Count(value)) = value else { continue };
            if !(least..=most).contains(&u64::from(value)) {
                let expected = format!("write {least} or more, at most {most}, for example {example}");
                return Err(self.given.invalid(key, value, expected));
            }
        }
        Ok(())
    }

    /// Checks that the trials with all their seeds are not too many.
    fn check_trainings(&self, trials: u64, seeds: u64) -> Result<(), ConfigError> {
        if trials * seeds <= MAX_TRAININGS {
            return Ok(());
        }
        let seeds_that_fit = MAX_TRAININGS / trials;
        let expected = format!(
            "with {trials} trials these are {} trainings: write {seeds_that_fit} or fewer, or fewer --trials",
            trials * seeds
        );
        Err(self.given.invalid("seeds", seeds, expected))
    }

    fn asked_invalid(&self, key: &str, value: impl ToString, expected: &str) -> ConfigError {
        let (place, value) = (self.asked.place(key), value.to_string());
        ConfigError::Invalid { place, value, expected: expected.into() }
    }

    fn strategy(&self, space: &Space) -> Result<Strategy, ConfigError> {
        let range = space.dimensions.iter().find(|d| matches!(d.domain, Domain::Range { .. }));
        match (self.options.strategy, range) {
            (Some(Strategy::Grid), Some(range)) => Err(self.asked_invalid(
                &range.key,
                "a range",
                "a grid takes sets only: write its values, for example 0.1,0.2, or use --strategy random, sobol or tpe",
            )),
            (Some(strategy), _) => Ok(strategy),
            (None, Some(_)) => Ok(Strategy::Random),
            (None, None) => Ok(Strategy::Grid),
        }
    }

    fn trials(&self, space: &Space, strategy: Strategy, limited: bool) -> Result<u64, ConfigError> {
        let given = self.options.trials.map(|trials| u64::from(trials.0));
        let invalid = |expected: String| Err(self.given.invalid("trials", given.unwrap_or(0), expected));
        if given == Some(0) {
            return invalid("write 1 or more, for example 64".into());
        }
        if strategy == Strategy::Grid {
            let grid = space.grid_len();
            return match (given, grid) {
                (Some(_), Some(1)) if given > grid && space.dimensions.is_empty() => invalid(
                    "no flag has a set or a range to try: write for example --lr 1e-4..1e-1:log; --seeds repeats one \
                     setting"
                        .into(),
                ),
                (Some(trials), Some(grid)) if trials > grid => invalid(format!(
                    "the grid has {grid}: write {grid} or fewer, or leave it out; --seeds repeats trials"
                )),
                (Some(trials), Some(_)) if trials <= MAX_TRIALS => Ok(trials),
                (None, Some(grid)) if grid <= MAX_TRIALS => Ok(grid),
                (Some(trials), Some(_)) => Err(self.given.invalid("trials", trials, at_most(MAX_TRIALS))),
                (_, None) => {
                    Err(ConfigError::Grid { size: "more combinations than 64 bits can count".into() })
                }
                (None, Some(grid)) => Err(ConfigError::Grid { size: format!("{grid} combinations") }),
            };
        }
        let limit = if strategy == Strategy::Sobol { MAX_SOBOL } else { MAX_TRIALS };
        match given {
            None if limited => Ok(OPEN_TRIALS),
            None => Err(ConfigError::NoTrials { strategy }),
            Some(trials) if trials > limit => invalid(at_most(limit)),
            Some(trials) => Ok(trials),
        }
    }

    fn halving(&self) -> Result<Option<Halving>, ConfigError> {
        let options = &self.options;
        let (eta, mut min_epochs) = (options.eta.map_or(0, |n| n.0), options.min_epochs.map_or(0, |n| n.0));
        let length = self.base.training.length;
        // Halving by default gives way to steps, and its first rung to shorter trainings.
        let counts_steps = matches!(length, Length::Steps(_)) && !self.given.is_given("halving");
        if let Length::Epochs(epochs) = length
            && !self.given.is_given("min-epochs")
        {
            min_epochs = min_epochs.min(u32::try_from(epochs).unwrap_or(u32::MAX));
        }
        if options.halving != Some(true) || counts_steps {
            for key in ["eta", "min-epochs"] {
                if self.given.is_given(key) {
                    let (place, chosen) = (self.given.place(key), "off".into());
                    return Err(ConfigError::Misplaced { place, choice: "halving", owners: &["on"], chosen });
                }
            }
            return Ok(None);
        }
        if !(2..=MAX_ETA).contains(&u64::from(eta)) {
            let expected = format!(
                "one trial in this many is promoted: write 2 or more, at most {MAX_ETA}, for example 3"
            );
            return Err(self.given.invalid("eta", eta, expected));
        }
        match length {
            Length::Steps(steps) => {
                let expected = "but --halving counts epochs: write --epochs instead, or drop --halving";
                Err(self.asked_invalid("steps", steps, expected))
            }
            Length::Epochs(epochs) if min_epochs == 0 || u64::from(min_epochs) > epochs => {
                let expected =
                    format!("write 1 to {epochs}, the epochs of a whole training, or raise --epochs");
                Err(self.given.invalid("min-epochs", min_epochs, expected))
            }
            Length::Epochs(_) => Ok(Some(Halving { eta, min_epochs: min_epochs.into() })),
        }
    }
}

fn at_most(limit: u64) -> String {
    format!("write {limit} or fewer")
}
