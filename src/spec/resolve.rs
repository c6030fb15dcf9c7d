//! From what was typed to what is meant: flags over file over defaults, then every check.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::check::Problem;
use super::config_error::{ConfigError, Place};
use super::values::{Bytes, Count, Hidden, LogLevel, OptimizerKind, Precision, Real, Seed, Time, Watched};
use super::{BatchNorm, Init, Length, Network, Optimizer, PartialConfig, TaskKind, Training};

/// The data that are asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct DataRequest {
    /// `digits`, a path, or a name in the data folder.
    pub source: String,
    /// Label column; none is the last.
    pub target: Option<String>,
    /// None is decided by the target.
    pub task: Option<TaskKind>,
    /// Share of the rows outside the test set that validate, 0 ≤ share < 1.
    pub val_split: f64,
    /// Share of all rows that test, 0 ≤ share < 1, where the source has no test set.
    pub test_split: f64,
    /// The rows are split by it.
    pub split_seed: u64,
    /// Scale features to mean 0 and variance 1.
    pub standardize: bool,
    /// Bytes for data on the device; none is what the device allows.
    pub data_memory: Option<u64>,
    /// Folder of named data sets; none is `$BNGPU_DATA`, else the platform's data folder.
    pub data_dir: Option<PathBuf>,
}

/// A run of `train`, complete and validated.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRequest {
    pub data: DataRequest,
    pub training: Training,
    /// `auto`, `gpu`, `cpu`, an index or a part of a name.
    pub device: String,
    /// Of the operands of matrix products.
    pub precision: Precision,
    /// Folder of the run; none is `runs/<date>-<name>`.
    pub output: Option<PathBuf>,
    /// Name of the run; none is named after the data.
    pub name: Option<String>,
    /// What is watched of each layer, each once.
    pub watch: Vec<Watched>,
    /// Results as JSON on stdout.
    pub json: bool,
    /// No progress on stderr.
    pub quiet: bool,
    /// Messages on stderr.
    pub log: LogLevel,
}

/// How a device is used, whichever it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceUse {
    /// Bytes for data on it; none is what it allows.
    pub data_memory: Option<u64>,
    pub precision: Precision,
}

impl RunRequest {
    /// How the run uses its device.
    pub fn device_use(&self) -> DeviceUse {
        DeviceUse { data_memory: self.data.data_memory, precision: self.precision }
    }
}

/// Settings that mean something only with a choice: (setting, choice, choices that have it).
pub(super) const BELONGS: [(&str, &str, &[&str]); 9] = [
    ("beta1", "optimizer", &["adam"]),
    ("beta2", "optimizer", &["adam"]),
    ("eps", "optimizer", &["adam", "rmsprop"]),
    ("momentum", "optimizer", &["sgd"]),
    ("nesterov", "optimizer", &["sgd"]),
    ("rms-alpha", "optimizer", &["rmsprop"]),
    ("bn-eps", "bn", &["on"]),
    ("bn-momentum", "bn", &["on"]),
    ("bn-affine", "bn", &["on"]),
];

/// What is asked for: flags over the file (and its path) over the defaults.
///
/// A choice among the flags (`--optimizer`, `--no-bn`, `--steps`) replaces the file's choice
/// together with the settings that only that had.
///
/// # Errors
/// If a value is out of its range, or a setting belongs to something that was not chosen; the
/// message names the flag or the file's key.
pub fn resolve(
    flags: PartialConfig,
    file: Option<(PathBuf, PartialConfig)>,
) -> Result<RunRequest, ConfigError> {
    let (path, file) = file.unwrap_or_default();
    let given = Given::new(flags.table()?, file.table()?, path, PartialConfig::defaults().table()?);
    given.run_request()
}

impl RunRequest {
    /// Reads what [`RunRequest::to_toml`] writes, or any configuration file of a training; `path` names it in errors.
    ///
    /// # Errors
    /// As [`resolve`].
    pub fn from_toml(text: &str, path: &Path) -> Result<RunRequest, ConfigError> {
        resolve(PartialConfig::default(), Some((path.to_owned(), PartialConfig::from_toml(text, path)?)))
    }
}

/// The values that were given, by key, and where.
pub(super) struct Given {
    pub flags: Table,
    pub file: Table,
    pub path: PathBuf,
    pub defaults: Table,
}

impl Given {
    /// `path` is the file's; a choice among the flags replaces the file's together with its settings.
    pub fn new(flags: Table, mut file: Table, path: PathBuf, defaults: Table) -> Self {
        if flags.contains_key("epochs") || flags.contains_key("steps") {
            file.remove("epochs");
            file.remove("steps");
        }
        for (setting, choice, owners) in BELONGS {
            if flags.get(choice).is_some_and(|chosen| !owners.contains(&text(chosen).as_str())) {
                file.remove(setting);
            }
        }
        Given { flags, file, path, defaults }
    }

    /// The run that is asked for.
    ///
    /// # Errors
    /// As [`resolve`].
    pub fn run_request(&self) -> Result<RunRequest, ConfigError> {
        self.check_choices()?;
        let request = request(self.config()?);
        match request.check() {
            Ok(()) => Ok(request),
            Err(Problem { key, value, expected }) => Err(self.invalid(key, value, expected)),
        }
    }

    /// That a value is out of its range.
    pub fn invalid(&self, key: &str, value: impl ToString, expected: impl ToString) -> ConfigError {
        let (value, expected) = (value.to_string(), expected.to_string());
        ConfigError::Invalid { place: self.place(key), value, expected }
    }

    pub fn place(&self, key: &str) -> Place {
        let (name, key) = (key, key.to_string());
        if self.flags.contains_key(name) {
            Place::Flag { key }
        } else if self.file.contains_key(name) {
            Place::File { key, path: self.path.clone() }
        } else {
            Place::Default { key }
        }
    }

    pub fn is_given(&self, key: &str) -> bool {
        self.flags.contains_key(key) || self.file.contains_key(key)
    }

    pub fn value(&self, key: &str) -> Option<&Value> {
        self.flags.get(key).or_else(|| self.file.get(key)).or_else(|| self.defaults.get(key))
    }

    fn check_choices(&self) -> Result<(), ConfigError> {
        if self.is_given("epochs") && self.is_given("steps") {
            return Err(ConfigError::TwoLengths { epochs: self.place("epochs"), steps: self.place("steps") });
        }
        for (setting, choice, owners) in BELONGS {
            let chosen = self.value(choice).map(text).unwrap_or_default();
            if self.is_given(setting) && !owners.contains(&chosen.as_str()) {
                let place = self.place(setting);
                return Err(ConfigError::Misplaced { place, choice, owners, chosen });
            }
        }
        Ok(())
    }

    /// All values, defaults included.
    ///
    /// # Errors
    /// If a value is of another type than `T` wants.
    pub fn config<T: DeserializeOwned>(&self) -> Result<T, ConfigError> {
        let mut all = self.defaults.clone();
        all.extend(self.file.clone());
        all.extend(self.flags.clone());
        all.try_into().map_err(|e: toml::de::Error| ConfigError::NotText { problem: e.message().into() })
    }
}

/// A value as help and messages show it.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Boolean(on) => if *on { "on" } else { "off" }.into(),
        Value::Float(number) if *number == 0.0 => "0".into(),
        Value::Float(number) => format!("{number:?}"),
        Value::Array(items) => items.iter().map(text).collect::<Vec<_>>().join(","),
        other => other.to_string(),
    }
}

/// A value as configuration files have it: 1e-8, not 0.00000001.
pub(super) fn written(value: &Value) -> String {
    match value {
        Value::Float(number) => format!("{number:?}"),
        other => other.to_string(),
    }
}

/// A value that has a default and is therefore there.
fn set<T>(value: Option<T>, key: &str) -> T {
    value.unwrap_or_else(|| unreachable!("PartialConfig::defaults() has no `{key}`"))
}

fn request(config: PartialConfig) -> RunRequest {
    let real = |value: Option<Real>, key| set(value, key).0;
    let activation = set(config.activation, "activation");
    let default_init = if activation.is_relu_like() { Init::He } else { Init::Xavier };
    let batch_norm = BatchNorm {
        eps: real(config.bn_eps, "bn-eps"),
        momentum: real(config.bn_momentum, "bn-momentum"),
        affine: set(config.bn_affine, "bn-affine"),
    };
    let eps = real(config.eps, "eps");
    let optimizer = match set(config.optimizer, "optimizer") {
        OptimizerKind::Adam => {
            Optimizer::Adam { beta1: real(config.beta1, "beta1"), beta2: real(config.beta2, "beta2"), eps }
        }
        OptimizerKind::Sgd => Optimizer::Sgd {
            momentum: real(config.momentum, "momentum"),
            nesterov: set(config.nesterov, "nesterov"),
        },
        OptimizerKind::Rmsprop => Optimizer::RmsProp { alpha: real(config.rms_alpha, "rms-alpha"), eps },
    };
    let length = match config.steps {
        Some(steps) => Length::Steps(steps.0.into()),
        None => Length::Epochs(set(config.epochs, "epochs").0.into()),
    };
    let mut watch = config.watch.unwrap_or_default();
    watch.sort();
    watch.dedup();
    RunRequest {
        data: DataRequest {
            source: set(config.data, "data"),
            target: config.target,
            task: config.task,
            val_split: real(config.val_split, "val-split"),
            test_split: real(config.test_split, "test-split"),
            split_seed: config.split_seed.or(config.seed).map_or(0, |seed| seed.0),
            standardize: set(config.standardize, "standardize"),
            data_memory: config.data_memory.map(|bytes| bytes.0),
            data_dir: config.data_dir,
        },
        training: Training {
            network: Network {
                hidden: set(config.hidden, "hidden").0,
                activation,
                batch_norm: set(config.bn, "bn").then_some(batch_norm),
                dropout: real(config.dropout, "dropout"),
                init: config.init.unwrap_or(default_init),
            },
            optimizer,
            lr: real(config.lr, "lr"),
            l2: real(config.l2, "l2"),
            weight_decay: real(config.weight_decay, "weight-decay"),
            schedule: set(config.schedule, "schedule"),
            warmup: set(config.warmup, "warmup").0.into(),
            clip_norm: config.clip_norm.map(|norm| norm.0),
            batch_size: set(config.batch_size, "batch-size").0 as usize,
            length,
            patience: config.patience.map(|epochs| epochs.0.into()),
            max_time: config.max_time.map(|time| time.0),
            seed: set(config.seed, "seed").0,
        },
        device: set(config.device, "device"),
        precision: set(config.precision, "precision"),
        output: config.output,
        name: config.name,
        watch,
        json: set(config.json, "json"),
        quiet: set(config.quiet, "quiet"),
        log: set(config.log, "log"),
    }
}

impl RunRequest {
    /// Whether every value is in its range.
    ///
    /// # Errors
    /// The first value that is not.
    pub fn check(&self) -> Result<(), Problem> {
        self.data.check()?;
        self.training.check()?;
        let problem = |key, value: &str, expected: &str| {
            Err(Problem { key, value: value.into(), expected: expected.into() })
        };
        if self.device.trim().is_empty() {
            return problem("device", "empty", "write auto, gpu, cpu, or what `bngpu devices` prints");
        }
        match &self.name {
            Some(name) if !is_file_name(name) => problem(
                "name",
                &format!("{name:?}"),
                "use letters, digits and - _ . only, a letter or digit first",
            ),
            _ => Ok(()),
        }
    }

    /// `config.toml` of the run: `bngpu train --config` of it repeats the training.
    ///
    /// Where the results go and how they are told (`output`, `json`, `quiet`, `log`) is not in
    /// it: a repetition must not write into the folder of the first run.
    pub fn to_toml(&self) -> String {
        let table = PartialConfig::from(self).table();
        let table = table.unwrap_or_else(|e| unreachable!("numbers and UTF-8 text are valid TOML: {e}"));
        let mut toml = String::from("# `bngpu train --config` of this file repeats the training.\n");
        for (key, value) in &table {
            toml += &format!("{key} = {}\n", written(value));
        }
        toml
    }
}

/// Whether a name is one component of a path on every system.
fn is_file_name(name: &str) -> bool {
    name.starts_with(char::is_alphanumeric)
        && name.ends_with(|c: char| c.is_alphanumeric() || "-_".contains(c))
        && name.chars().all(|c| c.is_alphanumeric() || "-_.".contains(c))
}

impl From<&RunRequest> for PartialConfig {
    /// What `to_toml` writes: only the settings that the choices use.
    fn from(run: &RunRequest) -> Self {
        let RunRequest { data, training, .. } = run;
        let network = &training.network;
        let count = |n: u64| Count(u32::try_from(n).unwrap_or(u32::MAX));
        let mut config = PartialConfig {
            data: Some(data.source.clone()),
            target: data.target.clone(),
            task: data.task,
            val_split: Some(Real(data.val_split)),
            test_split: Some(Real(data.test_split)),
            split_seed: (data.split_seed != training.seed).then_some(Seed(data.split_seed)),
            standardize: Some(data.standardize),
            data_memory: data.data_memory.map(Bytes),
            data_dir: data.data_dir.as_ref().map(|dir| dir.to_string_lossy().into_owned().into()),
            hidden: Some(Hidden(network.hidden.clone())),
            activation: Some(network.activation),
            bn: Some(network.batch_norm.is_some()),
            bn_eps: network.batch_norm.map(|bn| Real(bn.eps)),
            bn_momentum: network.batch_norm.map(|bn| Real(bn.momentum)),
            bn_affine: network.batch_norm.map(|bn| bn.affine),
            dropout: Some(Real(network.dropout)),
            init: Some(network.init),
            lr: Some(Real(training.lr)),
            l2: Some(Real(training.l2)),
            weight_decay: Some(Real(training.weight_decay)),
            schedule: Some(training.schedule),
            warmup: Some(count(training.warmup)),
            clip_norm: training.clip_norm.map(Real),
            batch_size: Some(count(training.batch_size as u64)),
            patience: training.patience.map(count),
            max_time: training.max_time.map(Time),
            seed: Some(Seed(training.seed)),
            device: Some(run.device.clone()),
            precision: Some(run.precision),
            name: run.name.clone(),
            watch: (!run.watch.is_empty()).then(|| run.watch.clone()),
            ..Default::default()
        };
        match training.length {
            Length::Epochs(epochs) => config.epochs = Some(count(epochs)),
            Length::Steps(steps) => config.steps = Some(count(steps)),
        }
        match training.optimizer {
            Optimizer::Adam { beta1, beta2, eps } => {
                config.optimizer = Some(OptimizerKind::Adam);
                (config.beta1, config.beta2) = (Some(Real(beta1)), Some(Real(beta2)));
                config.eps = Some(Real(eps));
            }
            Optimizer::Sgd { momentum, nesterov } => {
                config.optimizer = Some(OptimizerKind::Sgd);
                (config.momentum, config.nesterov) = (Some(Real(momentum)), Some(nesterov));
            }
            Optimizer::RmsProp { alpha, eps } => {
                config.optimizer = Some(OptimizerKind::Rmsprop);
                (config.rms_alpha, config.eps) = (Some(Real(alpha)), Some(Real(eps)));
            }
        }
        config
    }
}
