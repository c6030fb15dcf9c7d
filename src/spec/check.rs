//! Checks of a request: whether every value is valid, alone and together with the others.

use super::hyperparameter::{Kind, hyperparameter};
use super::network::{BatchNorm, Init, MAX_SUB_MODELS, Network};
use super::range::{Check, Invalid, Range, ensure};
use super::request::{DataRequest, MAX_ENSEMBLE, RunRequest};
use super::training::{Length, Optimizer, Training};
use super::values::{MAX_LAYERS, MAX_UNITS};

/// Checks that a number is in the range of its hyperparameter.
fn number(key: &'static str, value: f64) -> Check {
    match hyperparameter(key).map(|of| (of.kind, of.example)) {
        Some((Kind::Real(range) | Kind::Whole(Some(range)), example)) => range.check(key, value, example),
        _ => unreachable!("{key} has no range in HYPERPARAMETERS"),
    }
}

/// Checks that a count is 1 or more.
fn count(key: &'static str, value: u64, example: &str) -> Check {
    Range::Count.check(key, value as f64, example)
}

impl Training {
    /// Checks that every value is valid, alone and together with the others.
    ///
    /// # Errors
    /// The first invalid value.
    pub fn check(&self) -> Result<(), Invalid> {
        let Training {
            network,
            optimizer,
            lr,
            l2,
            weight_decay,
            schedule: _,
            warmup,
            clip_norm,
            batch_size,
            length,
            patience,
            max_time,
            best_epoch: _,
            seed: _,
        } = self;
        network.check()?;
        number("lr", *lr)?;
        optimizer.check()?;
        number("l2", *l2)?;
        number("weight-decay", *weight_decay)?;
        if let Some(norm) = clip_norm {
            number("clip-norm", *norm)?;
        }
        number("batch-size", *batch_size as f64)?;
        let normalisable = network.batch_norm.is_none() || *batch_size >= 2;
        let expected = "write 2 or more with --bn (one row has no variance), or use --no-bn";
        ensure(normalisable, "batch-size", batch_size, expected)?;
        match *length {
            Length::Epochs(epochs) => count("epochs", epochs, "20")?,
            Length::Steps(steps) => {
                count("steps", steps, "10000")?;
                let expected = format!("write less than the {steps} steps of the training");
                ensure(*warmup < steps, "warmup", warmup, &expected)?;
            }
        }
        if let Some(patience) = *patience {
            count("patience", patience, "10")?;
        }
        match *max_time {
            // Clocks must be able to represent the deadline.
            Some(time) if time.is_zero() || time.as_secs() > u32::MAX.into() => {
                let expected = "write a time above 0, at most 136 years, for example 10m";
                ensure(false, "max-time", humantime::format_duration(time), expected)
            }
            _ => Ok(()),
        }
    }
}

impl Network {
    fn check(&self) -> Check {
        let Network { embed: _, sub_models, hidden, activation: _, batch_norm, dropout, init } = self;
        let expected = format!("write 1 to {MAX_SUB_MODELS}, for example 8");
        ensure((1..=MAX_SUB_MODELS).contains(sub_models), "sub-models", sub_models, &expected)?;
        let units = format!("{hidden:?}");
        let expected = format!("write at most {MAX_LAYERS} layers, for example 128,64");
        ensure(hidden.len() <= MAX_LAYERS, "hidden", &units, &expected)?;
        let fits = hidden.iter().all(|units| (1..=MAX_UNITS).contains(units));
        ensure(fits, "hidden", &units, &format!("write 1 to {MAX_UNITS} units for each layer"))?;
        if let Some(BatchNorm { eps, momentum, affine: _ }) = *batch_norm {
            number("bn-eps", eps)?;
            number("bn-momentum", momentum)?;
        }
        number("dropout", *dropout)?;
        match *init {
            Init::Normal(std) => Range::Positive
                .check("init", std, "normal:0.01")
                .map_err(|invalid| Invalid { value: init.to_string(), ..invalid }),
            Init::He | Init::Xavier => Ok(()),
        }
    }
}

impl Optimizer {
    fn check(&self) -> Check {
        match *self {
            Optimizer::Adam { beta1, beta2, eps } => {
                number("beta1", beta1)?;
                number("beta2", beta2)?;
                number("eps", eps)
            }
            Optimizer::Sgd { momentum, nesterov } => {
                number("momentum", momentum)?;
                let holds = !nesterov || momentum > 0.0;
                ensure(holds, "nesterov", nesterov, "it needs a momentum above 0, for example --momentum 0.9")
            }
            Optimizer::RmsProp { alpha, eps } => {
                number("rms-alpha", alpha)?;
                number("eps", eps)
            }
        }
    }
}

impl DataRequest {
    /// Checks that every value is valid, alone and together with the others.
    ///
    /// # Errors
    /// The first invalid value.
    pub fn check(&self) -> Result<(), Invalid> {
        let expected = "name a file, a folder or a data set, for example digits";
        ensure(!self.source.trim().is_empty(), "data", "empty", expected)?;
        let named = self.target.as_ref().is_none_or(|target| !target.is_empty());
        ensure(named, "target", "empty", "name a column of the table, or give its index from 0")?;
        Range::BelowOne.check("val-split", self.val_split, "0.1")?;
        Range::BelowOne.check("test-split", self.test_split, "0.1")?;
        if let (Some(folds), Some(_)) = (self.folds, self.fold) {
            let expected = format!("write 2 to {MAX_ENSEMBLE}, for example 10, or 0 for none");
            ensure((2..=MAX_ENSEMBLE).contains(&folds.count), "folds", folds.count, &expected)?;
        }
        let each = self.each_fold().map_or(0.0, |folds| folds.share);
        Range::BelowOne.check("val-each", each, "0.05")?;
        let expected = "their sum must be below 1, so that rows are left for training";
        if !self.folds.is_some_and(|folds| folds.is_used()) {
            let sum = format!("{} with --val-split {}", self.test_split, self.val_split);
            ensure(self.val_split + self.test_split < 1.0, "test-split", sum, expected)?;
        }
        let sum = format!("{each} with --test-split {}", self.test_split);
        ensure(each + self.test_split < 1.0, "val-each", sum, expected)?;
        let memory = self.data_memory.unwrap_or(1);
        ensure(memory >= 1, "data-memory", memory, "write an amount above 0, for example 512M")
    }
}

impl RunRequest {
    /// Checks that every value is valid.
    ///
    /// # Errors
    /// The first invalid value.
    pub fn check(&self) -> Result<(), Invalid> {
        self.data.check()?;
        self.training.check()?;
        let expected = format!("write 1 to {MAX_ENSEMBLE}, for example 8");
        ensure((1..=MAX_ENSEMBLE).contains(&self.ensemble), "ensemble", self.ensemble, &expected)?;
        let sub_models = self.training.network.sub_models;
        let expected = "but --watch records the layers of one model: drop one of them";
        for (key, count) in [("ensemble", self.ensemble), ("sub-models", sub_models)] {
            ensure(count == 1 || self.watch.is_empty(), key, count, expected)?;
        }
        let problem = |key, value: &str, expected: &str| {
            Err(Invalid { key, value: value.into(), expected: expected.into() })
        };
        if self.device.trim().is_empty() {
            return problem(
                "device",
                "empty",
                "write auto, gpu, cpu, or an index or name from `bngpu devices`",
            );
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
}

/// Whether a name is one component of a path on every system.
fn is_file_name(name: &str) -> bool {
    name.starts_with(char::is_alphanumeric)
        && name.ends_with(|c: char| c.is_alphanumeric() || "-_".contains(c))
        && name.chars().all(|c| c.is_alphanumeric() || "-_.".contains(c))
}
