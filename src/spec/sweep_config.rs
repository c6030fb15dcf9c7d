//! The configuration of a sweep as typed: the settings of `train`, where each hyperparameter takes a set or a range,
//! and the sweep's own.

use std::path::Path;

use serde::{Deserialize, Serialize};
use toml::Table;
use toml::de::{DeTable, DeValue};

use super::config::PartialConfig;
use super::config_error::ConfigError;
use super::document::{Document, read_file};
use super::hyperparameter::{SEARCHABLE, is_searchable};
use super::settings::settings;
use super::shard::Shard;
use super::strategy::{Objective, Strategy};
use super::values::Count;

/// `--devices`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "lowercase")]
pub enum Devices {
    /// every adapter and the CPU engine
    All,
}

settings! {
    /// The flags that `sweep` has beside those of `train`, each given or not; they are keys of a file too.
    pub struct SweepOptions {
        /// How the values of the trials are chosen: every combination of sets, independent draws, a Sobol sequence, or a tree-structured Parzen estimator [default: grid if every space is a set, else random]
        #[arg(long, value_name = "NAME", help_heading = "Sweep")]
        strategy: Strategy;
        /// Number of settings to try; fewer than a whole grid are drawn from it by --seed [default: the whole grid; with --max-time as many as fit]
        #[arg(long, value_name = "N", help_heading = "Sweep")]
        trials: Count;
        /// Train each setting with this many seeds, from --seed on
        #[arg(long, value_name = "S", help_heading = "Sweep")]
        seeds: Count = Count(1);
        /// Stop trials early by successive halving: each rung promotes one trial in --eta
        #[arg(long, help_heading = "Sweep", num_args = 0, default_missing_value = "true")]
        halving: bool = false;
        /// Halving: one trial in this many is promoted, to a rung this many times as long
        #[arg(long, value_name = "ETA", help_heading = "Sweep")]
        eta: Count = Count(3);
        /// Halving: epochs of the first rung
        #[arg(long, value_name = "N", help_heading = "Sweep")]
        min_epochs: Count = Count(1);
        /// What makes one trial better than another
        #[arg(long, value_name = "NAME", help_heading = "Sweep")]
        objective: Objective = Objective::ValLoss;
        /// At most this many trials are compared at the end, with new seeds and on the test rows; 0 skips the comparison
        #[arg(long, value_name = "N", help_heading = "Sweep")]
        finalists: Count = Count(3);
        /// New seeds of each finalist
        #[arg(long, value_name = "R", help_heading = "Sweep")]
        final_seeds: Count = Count(5);
        /// Queues of each device, each with its own population [default: 1]
        #[arg(long, value_name = "Q", help_heading = "Sweep")]
        queues: Count;
        /// Train on every adapter of the machine and on the CPU, instead of --device
        #[arg(long, value_name = "WHICH", help_heading = "Sweep")]
        devices: Devices;
        /// Most models that train at once on a queue [default: as many as memory and speed allow]
        #[arg(long, value_name = "K", help_heading = "Sweep")]
        population: Count;
        /// Keep the weights of this many best trials
        #[arg(long, value_name = "N", help_heading = "Sweep")]
        keep_models: Count = Count(10);
        /// Write TensorBoard event files of the trials that are kept
        #[arg(long, help_heading = "Sweep", num_args = 0, default_missing_value = "true")]
        tensorboard: bool = false;
        /// Only part I of N of the trials, from 0/N; read from the environment in a Slurm job array or an indexed Kubernetes job (with BNGPU_SHARDS) [default: all]
        #[arg(long, value_name = "I/N", help_heading = "Sweep")]
        shard: Shard;
    }
}

impl SweepOptions {
    /// The given values by key.
    pub fn table(&self) -> Table {
        Table::try_from(self.negated())
            .unwrap_or_else(|e| unreachable!("numbers and names are valid TOML: {e}"))
    }
}

/// Everything that `sweep` accepts, each value given or not.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PartialSweep {
    /// The settings that are not searched; in a file also the single values of hyperparameters.
    pub(super) fixed: PartialConfig,
    /// Values of hyperparameters by key, as typed.
    pub(super) space: Table,
    pub(super) options: SweepOptions,
}

impl PartialSweep {
    /// `space` holds the text of each hyperparameter by its key.
    pub fn new(fixed: PartialConfig, space: Table, options: SweepOptions) -> Self {
        PartialSweep { fixed, space, options }
    }

    /// Whether a shard is given.
    pub fn has_shard(&self) -> bool {
        self.options.shard.is_some()
    }

    /// Whether a share of validation rows is given.
    pub fn has_val_split(&self) -> bool {
        self.fixed.val_split.is_some()
    }

    /// Takes the folds out.
    pub fn drop_folds(&mut self) {
        self.fixed.folds = None;
    }

    /// Reads a configuration file.
    ///
    /// # Errors
    /// If the file cannot be read, is not TOML, or has an unknown key or a value of a wrong type;
    /// all errors name the file, the last three also the line.
    pub fn from_file(path: &Path) -> Result<Self, ConfigError> {
        Self::from_toml(&read_file(path)?, path)
    }

    /// Reads the text of a configuration file; `path` names it in errors.
    ///
    /// # Errors
    /// As [`PartialSweep::from_file`], except for unreadable files.
    pub fn from_toml(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let document = Document::parse(text, path)?;
        let (train, own) = (PartialConfig::keys(), SweepOptions::keys());
        let known: Vec<String> = train.iter().chain(&own).cloned().chain(["space".into()]).collect();
        let otherwise = "the keys are the flags of `bngpu sweep --help` without --, at the top level or, with sets \
                         and ranges, under [space]";
        document.check_keys(document.root(), &known, otherwise)?;
        let (mut fixed, mut options, mut space) = (DeTable::new(), DeTable::new(), DeTable::new());
        for (key, value) in document.root() {
            let name = key.get_ref().as_ref();
            let (key, entry) = (key.clone(), value.clone());
            match value.get_ref() {
                DeValue::Table(table) if name == "space" => space = table.clone(),
                _ if name == "space" => {
                    drop(document.read::<SpaceTable>(DeTable::from_iter([(key, entry)]))?)
                }
                _ if own.iter().any(|own| own == name) => drop(options.insert(key, entry)),
                _ => drop(fixed.insert(key, entry)),
            }
        }
        let known = SEARCHABLE.map(String::from);
        let otherwise = "the keys of [space] are the hyperparameters of `bngpu sweep --help` without --; others take \
                         one value, at the top level";
        document.check_keys(&space, &known, otherwise)?;
        let fixed = document.read(fixed).map_err(|error| match error {
            ConfigError::WrongType { path, line, key, problem } if is_searchable(&key) => {
                let problem = format!("{problem}; sets and ranges belong under [space]");
                ConfigError::WrongType { path, line, key, problem }
            }
            other => other,
        })?;
        Ok(PartialSweep { fixed, space: document.read(space)?, options: document.read(options)? })
    }
}

/// The expected type of the key `space`.
#[derive(Deserialize)]
struct SpaceTable {
    #[expect(dead_code, reason = "read for its error alone")]
    space: Table,
}
