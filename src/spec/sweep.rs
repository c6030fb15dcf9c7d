//! A sweep, complete and validated.

use std::path::PathBuf;
use std::time::Duration;

use toml::Table;

use super::asked::drop_unowned;
use super::config::PartialConfig;
use super::config_error::ConfigError;
use super::given::Given;
use super::hyperparameter::{is_searchable, owned};
use super::request::RunRequest;
use super::shard::Shard;
use super::space::{Dimension, Params, Space};
use super::space_text::to_toml;
use super::strategy::{Halving, Objective, Strategy};
use super::sweep_config::{Devices, SweepOptions};
use super::sweep_own::OPEN_TRIALS;
use super::text::written;
use super::training::Training;
use super::values::Count;

/// A sweep, complete and validated.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepRequest {
    /// The settings that all trials share; a searched hyperparameter has any one of its values here. `training.max_time`
    /// is none: `--max-time` of a sweep is [`SweepRequest::max_time`].
    pub base: RunRequest,
    /// The values to try.
    pub space: Space,
    /// Values, given or by default, of settings that only some of the trials have because their choice is searched:
    /// β1 of `--optimizer adam,sgd`. Also `init`, if it is given and the activation is searched, because its default
    /// depends on the activation.
    pub settings: Params,
    /// How the trials choose their values.
    pub strategy: Strategy,
    /// Number of different settings, at most with a time limit. By default the whole grid if the strategy is `grid`,
    /// and 10,000 with a time limit.
    pub trials: u64,
    /// Each trial is trained with this many seeds: `base.training.seed`, and those that follow it.
    pub seeds: u32,
    /// Early stopping; none trains every trial to its end.
    pub halving: Option<Halving>,
    /// The value by which trials are compared.
    pub objective: Objective,
    /// Trials that the final comparison trains again with new seeds, at most; 0 leaves it out.
    pub finalists: u32,
    /// Seeds of each finalist.
    pub final_seeds: u32,
    /// Finalists may have more seeds while a time limit leaves time: `--final-seeds` is not given.
    pub more_seeds: bool,
    /// Queues of each device; none is one.
    pub queues: Option<u32>,
    /// All adapters of the machine and the CPU engine, instead of `base.device`.
    pub all_devices: bool,
    /// Most models in one population; none is as many as memory and speed allow.
    pub population: Option<u32>,
    /// Wall-clock limit of the whole sweep, reading the data and writing the report included.
    pub max_time: Option<Duration>,
    /// The part of the trials to train; none is all.
    pub shard: Option<Shard>,
    /// Number of trials whose weights are kept.
    pub keep: u32,
    /// Whether to write TensorBoard event files of the kept trials.
    pub tensorboard: bool,
}

impl SweepRequest {
    /// The complete, validated request of one training: these values beside the settings that all trials share. Where there
    /// are folds, each seed holds out the next.
    ///
    /// # Errors
    /// If a value is of a wrong type or out of its range, which the sweep's own trials never have.
    pub fn run_request(&self, params: &Params, seed: u64) -> Result<RunRequest, ConfigError> {
        let defaults = PartialConfig::defaults().table()?;
        let mut base = self.base.clone();
        base.training.seed = seed;
        if let (Some(folds), Some(first)) = (base.data.folds, base.data.fold) {
            let further = seed.wrapping_sub(self.base.training.seed) % folds.count.max(1) as u64;
            base.data.fold = Some((first + further as usize) % folds.count.max(1));
        }
        let mut table = self.shared_table(&base)?;
        for (key, value) in self.settings.iter().chain(params).filter(|(key, _)| is_searchable(key)) {
            table.extend(to_toml(key, value).map(|value| (key.clone(), value)));
        }
        drop_unowned(&mut [&mut table], &defaults);
        let request = Given::new(table, Table::new(), PathBuf::new(), defaults).run_request()?;
        let RunRequest { json, quiet, log, .. } = self.base;
        Ok(RunRequest { json, quiet, log, ..request })
    }

    /// The settings of `base` that all trials share: without the searched ones and the settings that depend on them.
    fn shared_table(&self, base: &RunRequest) -> Result<Table, ConfigError> {
        let mut table = PartialConfig::from(base).table()?;
        table.retain(|key, _| {
            let depends = owned()
                .any(|(setting, choice, _)| setting == key && self.space.get(choice).is_some())
                || (key == "init" && self.space.get("activation").is_some());
            !depends && self.space.get(key).is_none()
        });
        Ok(table)
    }

    /// `config.toml` of the sweep: `bngpu sweep --config` of it repeats the study.
    ///
    /// It leaves out where results go and how they are reported (`output`, `json`, `quiet`, `log`).
    pub fn to_toml(&self) -> String {
        let base = RunRequest {
            training: Training { max_time: self.max_time, ..self.base.training.clone() },
            ..self.base.clone()
        };
        let shared = self.shared_table(&base);
        let mut table = shared.unwrap_or_else(|e| unreachable!("numbers and UTF-8 text are valid TOML: {e}"));
        for (key, value) in &self.settings {
            table.extend(to_toml(key, value).map(|value| (key.clone(), value)));
        }
        if self.all_devices {
            table.remove("device");
        }
        table.extend(self.options().table());
        let mut toml = String::from("# `bngpu sweep --config` of this file repeats the study.\n");
        for (key, value) in &table {
            toml += &format!("{key} = {}\n", written(value));
        }
        if !self.space.dimensions.is_empty() {
            toml += "\n[space]\n";
        }
        for Dimension { key, domain } in &self.space.dimensions {
            toml += &format!("{key} = {}\n", domain.to_toml());
        }
        toml
    }

    /// Whether a time limit alone decides the number of trials.
    pub fn is_open(&self) -> bool {
        self.max_time.is_some() && self.trials == OPEN_TRIALS && self.strategy != Strategy::Grid
    }

    /// The whole study of which this is a part.
    pub fn without_shard(&self) -> Self {
        SweepRequest { shard: None, ..self.clone() }
    }

    fn options(&self) -> SweepOptions {
        let with_finals = self.finalists > 0;
        SweepOptions {
            strategy: Some(self.strategy),
            trials: u32::try_from(self.trials).ok().filter(|_| !self.is_open()).map(Count),
            seeds: Some(Count(self.seeds)),
            halving: Some(self.halving.is_some()),
            eta: self.halving.map(|halving| Count(halving.eta)),
            min_epochs: self.halving.and_then(|halving| u32::try_from(halving.min_epochs).ok()).map(Count),
            objective: Some(self.objective),
            finalists: Some(Count(self.finalists)),
            final_seeds: (with_finals && !self.more_seeds).then_some(Count(self.final_seeds)),
            queues: self.queues.map(Count),
            devices: self.all_devices.then_some(Devices::All),
            population: self.population.map(Count),
            shard: self.shard,
            keep_models: Some(Count(self.keep)),
            tensorboard: Some(self.tensorboard),
        }
    }
}
