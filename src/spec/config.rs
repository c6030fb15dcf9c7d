//! The configuration of a training as typed: flags and the keys of a file are one struct.
//!
//! To add a flag: a field in [`PartialConfig`] (its doc comment is the help text), its default in
//! [`PartialConfig::defaults`], its use in `resolve.rs`. Help, file keys, defaults in the help,
//! the nearest-key hint and `config.toml` follow from these.

use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use serde::{Deserialize, Serialize};

use super::config_error::ConfigError;
use super::document::{Document, read_file};
use super::values::{
    Bytes, Count, Hidden, LogLevel, OptimizerKind, Precision, Real, Seed, TaskKind, Time, Watched,
};
use super::{Activation, BatchNorm, Init, Schedule};

const DATA: &str = "Data";
const NETWORK: &str = "Network";
const TRAINING: &str = "Training";
const DEVICE: &str = "Device";
const OUTPUT: &str = "Output";

/// Everything `train` can be told, each value given or not. A field is the flag `--its-name` and
/// the key `its-name` of a configuration file alike.
#[derive(Args, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct PartialConfig {
    /// What to train on: `digits` (built in), a folder of IDX files, a .csv[.gz], .npz, .npy or .parquet file, or a name in the data folder
    #[arg(long, value_name = "SRC", help_heading = DATA, value_hint = ValueHint::AnyPath)]
    pub data: Option<String>,
    /// Label column of a table, by name or index [default: the last column]
    #[arg(long, value_name = "COL", help_heading = DATA)]
    pub target: Option<String>,
    /// Predict a class or a number [default: from the target]
    #[arg(long, value_name = "TASK", help_heading = DATA)]
    pub task: Option<TaskKind>,
    /// Share of the training rows, 0 to 1, held out for validation
    #[arg(long, value_name = "SHARE", help_heading = DATA)]
    pub val_split: Option<Real>,
    /// Share of all rows, 0 to 1, held out for the test where the source has no test set
    #[arg(long, value_name = "SHARE", help_heading = DATA)]
    pub test_split: Option<Real>,
    /// The rows are split by this number [default: --seed]
    #[arg(long, value_name = "N", help_heading = DATA)]
    pub split_seed: Option<Seed>,
    /// Scale each feature to mean 0 and variance 1, fitted on the training rows
    #[arg(long, help_heading = DATA, num_args = 0, default_missing_value = "true", overrides_with = "no_standardize")]
    pub standardize: Option<bool>,
    /// Take the features as they are
    #[arg(long, help_heading = DATA, overrides_with = "standardize")]
    #[serde(skip)]
    pub no_standardize: bool,
    /// Memory for data on the device, in bytes or as 512M, 2G; larger data stream through it [default: what the device allows]
    #[arg(long, value_name = "BYTES", help_heading = DATA)]
    pub data_memory: Option<Bytes>,
    /// Folder in which data sets are found by name [default: $BNGPU_DATA, else the platform's data folder]
    #[arg(long, value_name = "DIR", help_heading = DATA, value_parser = path, value_hint = ValueHint::DirPath)]
    pub data_dir: Option<PathBuf>,

    /// Hidden units of each layer: 128,64, or 100x3 for three layers of 100, or none for a linear model
    #[arg(long, value_name = "UNITS", help_heading = NETWORK)]
    pub hidden: Option<Hidden>,
    /// Non-linearity of the hidden layers
    #[arg(long, value_name = "NAME", help_heading = NETWORK)]
    pub activation: Option<Activation>,
    /// Batch normalisation of each hidden layer before its activation
    #[arg(long, help_heading = NETWORK, num_args = 0, default_missing_value = "true", overrides_with = "no_bn")]
    pub bn: Option<bool>,
    /// No batch normalisation
    #[arg(long, help_heading = NETWORK, overrides_with = "bn")]
    #[serde(skip)]
    pub no_bn: bool,
    /// Epsilon of batch normalisation, added to the variance
    #[arg(long, value_name = "EPS", help_heading = NETWORK)]
    pub bn_eps: Option<Real>,
    /// Weight, 0 to 1, of the new batch in the running statistics
    #[arg(long, value_name = "WEIGHT", help_heading = NETWORK)]
    pub bn_momentum: Option<Real>,
    /// Probability, 0 to 1, that a hidden unit is dropped in a training step
    #[arg(long, value_name = "P", help_heading = NETWORK)]
    pub dropout: Option<Real>,
    /// Initial weights: he, xavier or normal:STD [default: he for relu-like activations, xavier for the others]
    #[arg(long, value_name = "INIT", help_heading = NETWORK)]
    pub init: Option<Init>,

    /// Update rule
    #[arg(long, value_name = "NAME", help_heading = TRAINING)]
    pub optimizer: Option<OptimizerKind>,
    /// Learning rate
    #[arg(long, value_name = "LR", help_heading = TRAINING)]
    pub lr: Option<Real>,
    /// Adam: decay of the mean of the gradients, 0 to 1
    #[arg(long, value_name = "BETA", help_heading = TRAINING)]
    pub beta1: Option<Real>,
    /// Adam: decay of the mean of their squares, 0 to 1
    #[arg(long, value_name = "BETA", help_heading = TRAINING)]
    pub beta2: Option<Real>,
    /// Adam, RMSprop: added to the root of the mean square
    #[arg(long, value_name = "EPS", help_heading = TRAINING)]
    pub eps: Option<Real>,
    /// SGD: momentum, 0 to 1
    #[arg(long, value_name = "M", help_heading = TRAINING)]
    pub momentum: Option<Real>,
    /// SGD: Nesterov's form of momentum
    #[arg(long, help_heading = TRAINING, num_args = 0, default_missing_value = "true", overrides_with = "no_nesterov")]
    pub nesterov: Option<bool>,
    /// SGD: the plain form of momentum
    #[arg(long, help_heading = TRAINING, overrides_with = "nesterov")]
    #[serde(skip)]
    pub no_nesterov: bool,
    /// RMSprop: decay of the mean square, 0 to 1
    #[arg(long, value_name = "ALPHA", help_heading = TRAINING)]
    pub rms_alpha: Option<Real>,
    /// L2 penalty: adds L2/2 times the squared weights to the loss
    #[arg(long, value_name = "L2", help_heading = TRAINING)]
    pub l2: Option<Real>,
    /// Decoupled weight decay (AdamW), a fraction of lr
    #[arg(long, value_name = "DECAY", help_heading = TRAINING)]
    pub weight_decay: Option<Real>,
    /// How the learning rate runs over the training: step, x0.1 from half, x0.01 from three quarters; exponential, down to 1 % at the end; cosine, down to 0; one-cycle, up and down
    #[arg(long, value_name = "NAME", help_heading = TRAINING)]
    pub schedule: Option<Schedule>,
    /// Steps over which the learning rate rises at the start
    #[arg(long, value_name = "STEPS", help_heading = TRAINING)]
    pub warmup: Option<Count>,
    /// Largest norm of the whole gradient; longer ones are scaled down [default: no limit]
    #[arg(long, value_name = "NORM", help_heading = TRAINING)]
    pub clip_norm: Option<Real>,
    /// Rows of a mini-batch
    #[arg(long, value_name = "ROWS", help_heading = TRAINING)]
    pub batch_size: Option<Count>,
    // Behind all others that a sweep can vary: a random sweep draws by their order, and keeps its draws.
    /// Gamma and beta of batch normalisation are trained
    #[arg(long, help_heading = NETWORK, num_args = 0, default_missing_value = "true", overrides_with = "no_bn_affine")]
    pub bn_affine: Option<bool>,
    /// Gamma stays 1 and beta 0
    #[arg(long, help_heading = NETWORK, overrides_with = "bn_affine")]
    #[serde(skip)]
    pub no_bn_affine: bool,
    /// Passes over the training rows
    #[arg(long, value_name = "N", help_heading = TRAINING)]
    pub epochs: Option<Count>,
    /// Mini-batches to train, instead of --epochs
    #[arg(long, value_name = "N", help_heading = TRAINING)]
    pub steps: Option<Count>,
    /// Stop after N epochs without a better validation loss [default: never]
    #[arg(long, value_name = "N", help_heading = TRAINING)]
    pub patience: Option<Count>,
    /// Stop after this time, as 30s, 10m or 1h30m [default: no limit]
    #[arg(long, value_name = "TIME", help_heading = TRAINING)]
    pub max_time: Option<Time>,
    /// Everything random comes from this number
    #[arg(long, value_name = "N", help_heading = TRAINING)]
    pub seed: Option<Seed>,

    /// auto, gpu, cpu, or an index or a part of a name as `bngpu devices` prints it
    #[arg(long, value_name = "DEVICE", help_heading = DEVICE)]
    pub device: Option<String>,
    /// In what matrix products multiply
    #[arg(long, value_name = "NAME", help_heading = DEVICE)]
    pub precision: Option<Precision>,

    /// Folder of the run [default: runs/DATE-NAME]
    #[arg(long, short, value_name = "DIR", help_heading = OUTPUT, value_parser = path, value_hint = ValueHint::DirPath)]
    pub output: Option<PathBuf>,
    /// Name of the run [default: from the data]
    #[arg(long, value_name = "NAME", help_heading = OUTPUT)]
    pub name: Option<String>,
    /// Watch each layer at steps evenly spaced in the logarithm, for `bngpu report` and metrics.jsonl
    #[arg(long, value_name = "LIST", help_heading = OUTPUT, value_delimiter = ',')]
    pub watch: Option<Vec<Watched>>,
    /// Print the result as JSON on stdout
    #[arg(long, help_heading = OUTPUT, num_args = 0, default_missing_value = "true")]
    pub json: Option<bool>,
    /// No progress on stderr
    #[arg(long, short, help_heading = OUTPUT, num_args = 0, default_missing_value = "true")]
    pub quiet: Option<bool>,
    /// Messages on stderr up to this level
    #[arg(long, value_name = "LEVEL", help_heading = OUTPUT)]
    pub log: Option<LogLevel>,
}

/// A path that a TOML file can hold: UTF-8, which clap checks, and not empty.
fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("expected a path".into()) } else { Ok(text.into()) }
}

impl PartialConfig {
    /// Every default that does not depend on other values or on the data; each stands here alone.
    pub fn defaults() -> Self {
        let batch_norm = BatchNorm::default();
        PartialConfig {
            data: Some("digits".into()),
            val_split: Some(Real(0.1)),
            test_split: Some(Real(0.1)),
            standardize: Some(true),
            hidden: Some(Hidden(vec![128, 128])),
            activation: Some(Activation::Relu),
            bn: Some(false),
            bn_eps: Some(Real(batch_norm.eps)),
            bn_momentum: Some(Real(batch_norm.momentum)),
            dropout: Some(Real(0.0)),
            optimizer: Some(OptimizerKind::Adam),
            lr: Some(Real(1e-3)),
            beta1: Some(Real(0.9)),
            beta2: Some(Real(0.999)),
            eps: Some(Real(1e-8)),
            momentum: Some(Real(0.0)),
            nesterov: Some(false),
            rms_alpha: Some(Real(0.99)),
            l2: Some(Real(0.0)),
            weight_decay: Some(Real(0.0)),
            schedule: Some(Schedule::Constant),
            warmup: Some(Count(0)),
            batch_size: Some(Count(64)),
            bn_affine: Some(batch_norm.affine),
            epochs: Some(Count(20)),
            seed: Some(Seed(0)),
            device: Some("auto".into()),
            precision: Some(Precision::default()),
            json: Some(false),
            quiet: Some(false),
            log: Some(LogLevel::default()),
            ..Default::default()
        }
    }

    /// The given values by key.
    ///
    /// # Errors
    /// [`ConfigError::NotText`] if a path is not UTF-8, which neither flags nor files let through.
    pub fn table(&self) -> Result<toml::Table, ConfigError> {
        let negated = |on: Option<bool>, off: bool| if off { Some(false) } else { on };
        let config = PartialConfig {
            standardize: negated(self.standardize, self.no_standardize),
            bn: negated(self.bn, self.no_bn),
            bn_affine: negated(self.bn_affine, self.no_bn_affine),
            nesterov: negated(self.nesterov, self.no_nesterov),
            ..self.clone()
        };
        toml::Table::try_from(&config).map_err(|e| ConfigError::NotText { problem: e.to_string() })
    }

    /// Reads a configuration file.
    ///
    /// # Errors
    /// If the file cannot be read, is not TOML, or has an unknown key or a value of a wrong type;
    /// all of them name the file, the latter three the line.
    pub fn from_file(path: &Path) -> Result<Self, ConfigError> {
        Self::from_toml(&read_file(path)?, path)
    }

    /// Reads the text of a configuration file; `path` names it in errors.
    ///
    /// # Errors
    /// As [`PartialConfig::from_file`], except that nothing is read.
    pub fn from_toml(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let document = Document::parse(text, path)?;
        let table = document.root().clone();
        let otherwise = "the keys are the flags of `bngpu train --help` without --, at the top level";
        document.check_keys(&table, &Self::keys(), otherwise)?;
        document.read(table)
    }

    /// Every key of a configuration file: the long flags, except the negations `--no-…`.
    pub fn keys() -> Vec<String> {
        let command = Self::augment_args(clap::Command::new("keys"));
        let longs = command.get_arguments().filter_map(|arg| arg.get_long());
        longs.filter(|long| !long.starts_with("no-")).map(String::from).collect()
    }
}

/// Names of a list are taken in any case.
pub(crate) fn any_case(arg: clap::Arg) -> clap::Arg {
    let takes_value =
        arg.get_action().takes_values() && arg.get_num_args().is_none_or(|n| n.max_values() > 0);
    let listed = takes_value && arg.get_value_parser().possible_values().is_some();
    if listed { arg.ignore_case(true) } else { arg }
}
