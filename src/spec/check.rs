//! The ranges: what a training and its data may ask for, wherever the values come from.
//!
//! Devices compute in 32 bits, so ranges are checked on the value that is left in 32 bits:
//! an ε of 1e-60 is a zero there, and an α of 1e39 an infinity.

use super::values::{MAX_LAYERS, MAX_UNITS};
use super::{DataRequest, Init, Length, Optimizer, Training};

/// A value out of range: which one (as the flag without `--`), what it is, what it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub key: &'static str,
    pub value: String,
    pub expected: String,
}

type Check = Result<(), Problem>;

fn ensure(holds: bool, key: &'static str, value: impl ToString, expected: &str) -> Check {
    let problem = || Problem { key, value: value.to_string(), expected: expected.to_string() };
    if holds { Ok(()) } else { Err(problem()) }
}

/// 0 < value < ∞
fn positive(key: &'static str, value: f64, example: &str) -> Check {
    let narrow = value as f32;
    let expected =
        format!("write a number greater than 0 within the range of 32-bit floats, for example {example}");
    ensure(narrow.is_normal() && narrow > 0.0, key, value, &expected)
}

/// 0 ≤ value < ∞
fn not_negative(key: &'static str, value: f64, example: &str) -> Check {
    let narrow = value as f32;
    let expected =
        format!("write 0 or a greater number within the range of 32-bit floats, for example {example}");
    ensure(narrow.is_finite() && value >= 0.0, key, value, &expected)
}

/// 0 ≤ value < 1
fn below_one(key: &'static str, value: f64, example: &str) -> Check {
    let expected = format!("write a number from 0 to below 1, for example {example}");
    ensure(value >= 0.0 && (value as f32) < 1.0, key, value, &expected)
}

/// 1 ≤ value < 2³², as counters on the device
fn count(key: &'static str, value: u64, example: &str) -> Check {
    let expected = format!("write 1 or more, at most {}, for example {example}", u32::MAX);
    ensure((1..=u32::MAX.into()).contains(&value), key, value, &expected)
}

impl Training {
    /// Whether every value is in its range, alone and beside the others.
    ///
    /// # Errors
    /// The first value that is not.
    pub fn check(&self) -> Result<(), Problem> {
        self.check_network()?;
        self.check_optimizer()?;
        not_negative("l2", self.l2, "1e-4")?;
        not_negative("weight-decay", self.weight_decay, "0.01")?;
        if let Some(norm) = self.clip_norm {
            positive("clip-norm", norm, "1")?;
        }
        count("batch-size", self.batch_size as u64, "64")?;
        let normalisable = self.network.batch_norm.is_none() || self.batch_size >= 2;
        let expected = "write 2 or more with --bn (one row has no variance), or use --no-bn";
        ensure(normalisable, "batch-size", self.batch_size, expected)?;
        self.check_length()
    }

    fn check_network(&self) -> Check {
        let network = &self.network;
        let hidden = format!("{:?}", network.hidden);
        let expected = format!("write at most {MAX_LAYERS} layers, for example 128,64");
        ensure(network.hidden.len() <= MAX_LAYERS, "hidden", &hidden, &expected)?;
        let fits = network.hidden.iter().all(|units| (1..=MAX_UNITS).contains(units));
        ensure(fits, "hidden", &hidden, &format!("write 1 to {MAX_UNITS} units for each layer"))?;
        if let Some(batch_norm) = network.batch_norm {
            positive("bn-eps", batch_norm.eps, "1e-5")?;
            let momentum = batch_norm.momentum;
            let fits = momentum as f32 > 0.0 && momentum <= 1.0;
            ensure(fits, "bn-momentum", momentum, "write a number above 0, at most 1, for example 0.1")?;
        }
        below_one("dropout", network.dropout, "0.2")?;
        if let Init::Normal(std) = network.init {
            positive("init", std, "normal:0.01")
                .map_err(|p| Problem { value: network.init.to_string(), ..p })?;
        }
        Ok(())
    }

    fn check_optimizer(&self) -> Check {
        positive("lr", self.lr, "1e-3")?;
        match self.optimizer {
            Optimizer::Adam { beta1, beta2, eps } => {
                below_one("beta1", beta1, "0.9")?;
                below_one("beta2", beta2, "0.999")?;
                positive("eps", eps, "1e-8")
            }
            Optimizer::Sgd { momentum, nesterov } => {
                below_one("momentum", momentum, "0.9")?;
                let holds = !nesterov || momentum > 0.0;
                ensure(holds, "nesterov", nesterov, "it needs a momentum above 0, for example --momentum 0.9")
            }
            Optimizer::RmsProp { alpha, eps } => {
                below_one("rms-alpha", alpha, "0.99")?;
                positive("eps", eps, "1e-8")
            }
        }
    }

    fn check_length(&self) -> Check {
        match self.length {
            Length::Epochs(epochs) => count("epochs", epochs, "20")?,
            Length::Steps(steps) => {
                count("steps", steps, "10000")?;
                let expected = format!("write less than the {steps} steps of the training");
                ensure(self.warmup < steps, "warmup", self.warmup, &expected)?;
            }
        }
        if let Some(patience) = self.patience {
            count("patience", patience, "10")?;
        }
        match self.max_time {
            // A deadline must be a time that clocks can hold.
            Some(time) if time.is_zero() || time.as_secs() > u32::MAX.into() => {
                let expected = "write a time above 0, at most 136 years, for example 10m";
                ensure(false, "max-time", humantime::format_duration(time), expected)
            }
            _ => Ok(()),
        }
    }
}

impl DataRequest {
    /// Whether every value is in its range, alone and beside the others.
    ///
    /// # Errors
    /// The first value that is not.
    pub fn check(&self) -> Result<(), Problem> {
        let expected = "name a file, a folder or a data set, for example digits";
        ensure(!self.source.trim().is_empty(), "data", "empty", expected)?;
        let named = self.target.as_ref().is_none_or(|target| !target.is_empty());
        ensure(named, "target", "empty", "name a column of the table, or give its index from 0")?;
        below_one("val-split", self.val_split, "0.1")?;
        below_one("test-split", self.test_split, "0.1")?;
        let sum = format!("{} beside --val-split {}", self.test_split, self.val_split);
        let expected = "their sum must be below 1, so that rows are left for training";
        ensure(self.val_split + self.test_split < 1.0, "test-split", sum, expected)?;
        let memory = self.data_memory.unwrap_or(1);
        ensure(memory >= 1, "data-memory", memory, "write an amount above 0, for example 512M")
    }
}
