//! From settings as typed to a request: flags over file over defaults, then every check.

use std::path::{Path, PathBuf};

use toml::Value;

use super::column::TableRequest;
use super::config::PartialConfig;
use super::config_error::ConfigError;
use super::given::Given;
use super::network::{BatchNorm, Network};
use super::range::Invalid;
use super::request::{DataRequest, Folds, RunRequest};
use super::text::{text, written};
use super::training::{Length, Optimizer, OptimizerKind, Training};
use super::values::{Bytes, Count, FoldOf, Hidden, Real, Seed, Time};

/// The run that flags and a file (with its path) describe: flags over the file over the defaults.
///
/// A choice among the flags (`--optimizer`, `--no-bn`, `--steps`) replaces the file's choice
/// together with the settings that belong to it.
///
/// # Errors
/// If a value is out of its range, or a setting belongs to a choice that was not made; the
/// message names the flag or the file's key.
pub fn resolve(
    flags: PartialConfig,
    file: Option<(PathBuf, PartialConfig)>,
) -> Result<RunRequest, ConfigError> {
    resolve_over(flags, file, PartialConfig::default())
}

/// As [`resolve`], with the defaults of `preset` in place of the usual ones.
///
/// # Errors
/// As [`resolve`].
pub fn resolve_over(
    flags: PartialConfig,
    file: Option<(PathBuf, PartialConfig)>,
    preset: PartialConfig,
) -> Result<RunRequest, ConfigError> {
    let (path, file) = file.unwrap_or_default();
    let defaults = preset.over(PartialConfig::defaults()).table()?;
    Given::new(flags.table()?, file.table()?, path, defaults).run_request()
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

impl Given {
    /// The run that these values describe.
    ///
    /// # Errors
    /// As [`resolve`].
    pub fn run_request(&self) -> Result<RunRequest, ConfigError> {
        self.check_choices()?;
        let request = request(self.config()?);
        if !request.data.standardize && self.flags.get("clip-inputs").and_then(Value::as_bool) == Some(true) {
            let expected = "but only standardised inputs are clipped: drop it, or --no-standardize";
            return Err(self.invalid("clip-inputs", true, expected));
        }
        let each = self.value("val-each").filter(|share| share.as_float().is_some_and(|share| share != 0.0));
        if let (Some(share), Some(_)) = (each, request.data.fold) {
            let expected = "but with --folds, all models hold out the same rows: drop one of them";
            return Err(self.invalid("val-each", text(share), expected));
        }
        match request.check() {
            Ok(()) => Ok(request),
            Err(Invalid { key, value, expected }) => Err(self.invalid(key, value, expected)),
        }
    }
}

/// A value that has a default, so it is always present.
fn set<T>(value: Option<T>, key: &str) -> T {
    value.unwrap_or_else(|| unreachable!("PartialConfig::defaults() has no `{key}`"))
}

/// The request of a complete configuration. Every field is listed, so that the compiler requires the use of a new one.
fn request(config: PartialConfig) -> RunRequest {
    let PartialConfig {
        data,
        target,
        column,
        drop,
        keep,
        missing,
        header,
        missing_indicator,
        image_size,
        task,
        val_split,
        test_split,
        split_seed,
        standardize,
        clip_inputs,
        clamp,
        data_memory,
        data_dir,
        hidden,
        activation,
        bn,
        bn_eps,
        bn_momentum,
        dropout,
        init,
        optimizer,
        lr,
        beta1,
        beta2,
        eps,
        momentum,
        nesterov,
        rms_alpha,
        l2,
        weight_decay,
        schedule,
        warmup,
        clip_norm,
        batch_size,
        bn_affine,
        embed,
        epochs,
        sub_models,
        steps,
        patience,
        max_time,
        best_epoch,
        seed,
        ensemble,
        val_each,
        folds,
        device,
        precision,
        output,
        name,
        watch,
        json,
        quiet,
        log,
        // `PartialConfig::table` has merged the negations into their switches.
        no_standardize: _,
        no_clip_inputs: _,
        no_clamp: _,
        no_header: _,
        no_missing_indicator: _,
        no_bn: _,
        no_nesterov: _,
        no_bn_affine: _,
    } = config;
    let real = |value: Option<Real>, key| set(value, key).0;
    let activation = set(activation, "activation");
    let batch_norm = BatchNorm {
        eps: real(bn_eps, "bn-eps"),
        momentum: real(bn_momentum, "bn-momentum"),
        affine: set(bn_affine, "bn-affine"),
    };
    let eps = real(eps, "eps");
    let optimizer = match set(optimizer, "optimizer") {
        OptimizerKind::Adam => {
            Optimizer::Adam { beta1: real(beta1, "beta1"), beta2: real(beta2, "beta2"), eps }
        }
        OptimizerKind::Sgd => {
            Optimizer::Sgd { momentum: real(momentum, "momentum"), nesterov: set(nesterov, "nesterov") }
        }
        OptimizerKind::Rmsprop => Optimizer::RmsProp { alpha: real(rms_alpha, "rms-alpha"), eps },
    };
    let length = match steps {
        Some(steps) => Length::Steps(steps.0.into()),
        None => Length::Epochs(set(epochs, "epochs").0.into()),
    };
    let ensemble = set(ensemble, "ensemble").0 as usize;
    let folds = set(folds, "folds");
    let mut watch: Vec<_> = watch.unwrap_or_default();
    watch.sort();
    watch.dedup();
    RunRequest {
        data: DataRequest {
            source: set(data, "data"),
            target,
            table: TableRequest {
                columns: column.unwrap_or_default(),
                drop: drop.unwrap_or_default(),
                keep: keep.unwrap_or_default(),
                missing: missing.unwrap_or_default(),
                header,
                missing_indicator,
                image_size,
            },
            task,
            val_split: real(val_split, "val-split"),
            folds: match folds.of {
                0 => Some(Folds { count: ensemble, share: real(val_each, "val-each") })
                    .filter(|folds| folds.share != 0.0),
                of => Some(Folds::of_all(of as usize)),
            },
            fold: (folds.of > 0).then_some(folds.nth as usize),
            test_split: real(test_split, "test-split"),
            split_seed: split_seed.or(seed).map_or(0, |seed| seed.0),
            standardize: set(standardize, "standardize"),
            clip_inputs: set(clip_inputs, "clip-inputs"),
            clamp,
            data_memory: data_memory.map(|bytes| bytes.0),
            data_dir,
        },
        training: Training {
            network: Network {
                embed: set(embed, "embed"),
                sub_models: set(sub_models, "sub-models").0 as usize,
                hidden: set(hidden, "hidden").0,
                activation,
                batch_norm: set(bn, "bn").then_some(batch_norm),
                dropout: real(dropout, "dropout"),
                init: init.unwrap_or(activation.default_init()),
            },
            optimizer,
            lr: real(lr, "lr"),
            l2: real(l2, "l2"),
            weight_decay: real(weight_decay, "weight-decay"),
            schedule: set(schedule, "schedule"),
            warmup: set(warmup, "warmup").0.into(),
            clip_norm: clip_norm.map(|norm| norm.0),
            batch_size: set(batch_size, "batch-size").0 as usize,
            length,
            patience: patience.map(|epochs| epochs.0.into()),
            max_time: max_time.map(|time| time.0),
            best_epoch: set(best_epoch, "best-epoch"),
            seed: set(seed, "seed").0,
        },
        ensemble,
        device: set(device, "device"),
        precision: set(precision, "precision"),
        output,
        name,
        watch,
        json: set(json, "json"),
        quiet: set(quiet, "quiet"),
        log: set(log, "log"),
    }
}

impl RunRequest {
    /// `config.toml` of the run: `bngpu train --config` of it repeats the training.
    ///
    /// It leaves out where results go and how they are reported (`output`, `json`, `quiet`, `log`): a repetition must
    /// not write into the folder of the first run.
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

impl From<&RunRequest> for PartialConfig {
    /// The values that `to_toml` writes: only the settings that the choices use.
    fn from(run: &RunRequest) -> Self {
        let RunRequest { data, training, .. } = run;
        let Network { embed, sub_models, hidden, activation, batch_norm, dropout, init } = &training.network;
        let count = |n: u64| Count(u32::try_from(n).unwrap_or(u32::MAX));
        let (epochs, steps) = match training.length {
            Length::Epochs(epochs) => (Some(count(epochs)), None),
            Length::Steps(steps) => (None, Some(count(steps))),
        };
        // Every field is listed, so that the compiler requires the value of a new one.
        let config = PartialConfig {
            data: Some(data.source.clone()),
            target: data.target.clone(),
            column: given(&data.table.columns),
            drop: given(&data.table.drop),
            keep: given(&data.table.keep),
            missing: given(&data.table.missing),
            header: data.table.header,
            no_header: false,
            missing_indicator: data.table.missing_indicator,
            no_missing_indicator: false,
            image_size: data.table.image_size,
            task: data.task,
            val_split: Some(Real(data.val_split)),
            test_split: Some(Real(data.test_split)),
            split_seed: (data.split_seed != training.seed).then_some(Seed(data.split_seed)),
            standardize: Some(data.standardize),
            no_standardize: false,
            clip_inputs: Some(data.clip_inputs),
            no_clip_inputs: false,
            clamp: data.clamp,
            no_clamp: false,
            data_memory: data.data_memory.map(Bytes),
            data_dir: data.data_dir.as_ref().map(|dir| dir.to_string_lossy().into_owned().into()),
            hidden: Some(Hidden(hidden.clone())),
            activation: Some(*activation),
            bn: Some(batch_norm.is_some()),
            no_bn: false,
            bn_eps: batch_norm.map(|bn| Real(bn.eps)),
            bn_momentum: batch_norm.map(|bn| Real(bn.momentum)),
            bn_affine: batch_norm.map(|bn| bn.affine),
            no_bn_affine: false,
            embed: Some(*embed),
            sub_models: Some(count(*sub_models as u64)),
            dropout: Some(Real(*dropout)),
            init: Some(*init),
            lr: Some(Real(training.lr)),
            optimizer: None,
            beta1: None,
            beta2: None,
            eps: None,
            momentum: None,
            nesterov: None,
            no_nesterov: false,
            rms_alpha: None,
            l2: Some(Real(training.l2)),
            weight_decay: Some(Real(training.weight_decay)),
            schedule: Some(training.schedule),
            warmup: Some(count(training.warmup)),
            clip_norm: training.clip_norm.map(Real),
            batch_size: Some(count(training.batch_size as u64)),
            epochs,
            steps,
            patience: training.patience.map(count),
            max_time: training.max_time.map(Time),
            best_epoch: Some(training.best_epoch),
            seed: Some(Seed(training.seed)),
            ensemble: (run.ensemble > 1).then(|| count(run.ensemble as u64)),
            val_each: data.each_fold().filter(Folds::is_used).map(|folds| Real(folds.share)),
            folds: data.folds.zip(data.fold).map(|(folds, nth)| FoldOf {
                nth: u32::try_from(nth).unwrap_or(0),
                of: u32::try_from(folds.count).unwrap_or(0),
            }),
            device: Some(run.device.clone()),
            precision: Some(run.precision),
            output: None,
            name: run.name.clone(),
            watch: given(&run.watch),
            json: None,
            quiet: None,
            log: None,
        };
        match training.optimizer {
            Optimizer::Adam { beta1, beta2, eps } => PartialConfig {
                optimizer: Some(OptimizerKind::Adam),
                beta1: Some(Real(beta1)),
                beta2: Some(Real(beta2)),
                eps: Some(Real(eps)),
                ..config
            },
            Optimizer::Sgd { momentum, nesterov } => PartialConfig {
                optimizer: Some(OptimizerKind::Sgd),
                momentum: Some(Real(momentum)),
                nesterov: Some(nesterov),
                ..config
            },
            Optimizer::RmsProp { alpha, eps } => PartialConfig {
                optimizer: Some(OptimizerKind::Rmsprop),
                rms_alpha: Some(Real(alpha)),
                eps: Some(Real(eps)),
                ..config
            },
        }
    }
}

/// A list as a setting: not given if it is empty.
fn given<T: Clone>(list: &[T]) -> Option<Vec<T>> {
    (!list.is_empty()).then(|| list.to_vec())
}
