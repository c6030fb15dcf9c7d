//! The configuration of a training as typed: the flags of `train`, which are also the keys of its file.
//!
//! To add a setting: a row in [`PartialConfig`] (its doc comment is the help text; the default follows its type). The
//! compiler then requires its use in `resolve.rs`. Help, file keys, defaults in the help, the nearest-key hint and
//! `config.toml` follow from the row. A hyperparameter, which a sweep can vary, also needs an entry in
//! `hyperparameter.rs`.

use std::path::{Path, PathBuf};

use super::column::AskedColumn;
use super::config_error::ConfigError;
use super::document::{Document, read_file};
use super::network::{Activation, BatchNorm, Embed, Init};
use super::settings::settings;
use super::training::{BestEpoch, OptimizerKind, Schedule};
use super::values::{
    Bytes, Count, FoldOf, Hidden, ImageSize, LogLevel, Precision, Real, Seed, TaskKind, Time, Watched,
};

settings! {
    /// Everything that `train` accepts, each value given or not. A field is both the flag `--its-name` and the key
    /// `its-name` of a configuration file.
    pub struct PartialConfig {
        /// What to train on: `digits` (built in); a table (CSV, Parquet, Arrow, JSON Lines, Excel, SQLite, NumPy); a folder or 'pattern*' of such files; a folder of images for each class, or of IDX files; or a name in the data folder
        #[arg(long, value_name = "SRC", help_heading = "Data", value_hint = clap::ValueHint::AnyPath)]
        data: String = "digits".into();
        /// Label column of a table, by name or index [default: the last column]
        #[arg(long, value_name = "COL", help_heading = "Data")]
        target: String;
        /// Type of a column: number, boolean, category or date; with number:comma, number:point, date:dmy, date:mdy where there are two readings [default: from its values]
        #[arg(long, value_name = "NAME=TYPE", help_heading = "Data")]
        column: Vec<AskedColumn>;
        /// Columns to leave out, by name or index
        #[arg(long, value_name = "COL,...", help_heading = "Data", value_delimiter = ',')]
        drop: Vec<String>;
        /// Columns to leave out of the inputs and to carry into the predictions, such as an id
        #[arg(long, value_name = "COL,...", help_heading = "Data", value_delimiter = ',')]
        keep: Vec<String>;
        /// Further texts that stand for a missing value, such as unknown
        #[arg(long, value_name = "TEXT,...", help_heading = "Data", value_delimiter = ',', allow_hyphen_values = true)]
        missing: Vec<String>;
        /// The first line of a text file names the columns [default: decided from the file]
        #[arg(long, help_heading = "Data", num_args = 0, default_missing_value = "true", overrides_with = "no_header")]
        header: bool, or
            /// The first line of a text file is data
            #[arg(long, help_heading = "Data", overrides_with = "header")]
            no_header;
        /// Tell the network which numbers were missing, by an input of its own [default: where more than 1 % are]
        #[arg(long, help_heading = "Data", num_args = 0, default_missing_value = "true", overrides_with = "no_missing_indicator")]
        missing_indicator: bool, or
            /// Only fill missing numbers with the median
            #[arg(long, help_heading = "Data", overrides_with = "missing_indicator")]
            no_missing_indicator;
        /// Size to which images in files are brought: 32, or 32x24 for width and height [default: their own size]
        #[arg(long, value_name = "SIZE", help_heading = "Data")]
        image_size: ImageSize;
        /// Predict a class or a number [default: from the target]
        #[arg(long, value_name = "TASK", help_heading = "Data")]
        task: TaskKind;
        /// Share of the training rows, 0 to 1, held out for validation
        #[arg(long, value_name = "SHARE", help_heading = "Data")]
        val_split: Real = Real(0.1);
        /// Share of the training rows, 0 to 1, that each model of an ensemble holds out for validation, different rows for each, in place of --val-split; at 0, all share those of --val-split
        #[arg(long, value_name = "SHARE", help_heading = "Data")]
        val_each: Real = Real(0.0);
        /// Divide the rows outside the test part into N folds, and hold out the first for validation, in place of --val-split; I/N holds out fold I, from 0; 0 has no folds
        #[arg(long, value_name = "N", help_heading = "Data")]
        folds: FoldOf = FoldOf { nth: 0, of: 0 };
        /// Share of all rows, 0 to 1, held out for testing if the source has no test set
        #[arg(long, value_name = "SHARE", help_heading = "Data")]
        test_split: Real = Real(0.1);
        /// Seed of the split of the rows [default: --seed]
        #[arg(long, value_name = "N", help_heading = "Data")]
        split_seed: Seed;
        /// Scale each feature to mean 0 and variance 1, fitted on the training rows
        #[arg(long, help_heading = "Data", num_args = 0, default_missing_value = "true", overrides_with = "no_standardize")]
        standardize: bool = true, or
            /// Use the features unscaled
            #[arg(long, help_heading = "Data", overrides_with = "standardize")]
            no_standardize;
        /// Smoothly limit the standardised numbers of a table to 3 deviations from the mean
        #[arg(long, help_heading = "Data", num_args = 0, default_missing_value = "true", overrides_with = "no_clip_inputs")]
        clip_inputs: bool = true, or
            /// Let standardised numbers be of any size
            #[arg(long, help_heading = "Data", overrides_with = "clip_inputs")]
            no_clip_inputs;
        /// Regression: limit predictions to the range of the training targets [default: where none of these is negative]
        #[arg(long, help_heading = "Data", num_args = 0, default_missing_value = "true", overrides_with = "no_clamp")]
        clamp: bool, or
            /// Regression: let predictions leave the range of the training targets
            #[arg(long, help_heading = "Data", overrides_with = "clamp")]
            no_clamp;
        /// Memory for data on the device, in bytes or as 512M, 2G; larger data are streamed [default: the device's limit]
        #[arg(long, value_name = "BYTES", help_heading = "Data")]
        data_memory: Bytes;
        /// Folder to search for data sets by name [default: $BNGPU_DATA, else the platform's data folder]
        #[arg(long, value_name = "DIR", help_heading = "Data", value_parser = path, value_hint = clap::ValueHint::DirPath)]
        data_dir: PathBuf;

        /// Hidden units of each layer: 128,64, or 100x3 for three layers of 100, or none for a linear model
        #[arg(long, value_name = "UNITS", help_heading = "Network")]
        hidden: Hidden = Hidden(vec![128, 128]);
        /// Non-linearity of the hidden layers
        #[arg(long, value_name = "NAME", help_heading = "Network")]
        activation: Activation = Activation::Relu;
        /// Batch normalisation of each hidden layer before its activation
        #[arg(long, help_heading = "Network", num_args = 0, default_missing_value = "true", overrides_with = "no_bn")]
        bn: bool = false, or
            /// No batch normalisation
            #[arg(long, help_heading = "Network", overrides_with = "bn")]
            no_bn;
        /// Epsilon of batch normalisation, added to the variance
        #[arg(long, value_name = "EPS", help_heading = "Network")]
        bn_eps: Real = Real(BatchNorm::default().eps);
        /// Weight, 0 to 1, of the new batch in the running statistics
        #[arg(long, value_name = "WEIGHT", help_heading = "Network")]
        bn_momentum: Real = Real(BatchNorm::default().momentum);
        /// Probability, 0 to 1, that a hidden unit is dropped in a training step
        #[arg(long, value_name = "P", help_heading = "Network")]
        dropout: Real = Real(0.0);
        /// Initial weights: he, xavier or normal:STD [default: he for relu-like activations, xavier for the others]
        #[arg(long, value_name = "INIT", help_heading = "Network")]
        init: Init;

        /// Update rule
        #[arg(long, value_name = "NAME", help_heading = "Training")]
        optimizer: OptimizerKind = OptimizerKind::Adam;
        /// Learning rate
        #[arg(long, value_name = "LR", help_heading = "Training")]
        lr: Real = Real(1e-3);
        /// Adam: decay of the mean of the gradients, 0 to 1
        #[arg(long, value_name = "BETA", help_heading = "Training")]
        beta1: Real = Real(0.9);
        /// Adam: decay of the mean of their squares, 0 to 1
        #[arg(long, value_name = "BETA", help_heading = "Training")]
        beta2: Real = Real(0.999);
        /// Adam, RMSprop: added to the root of the mean square
        #[arg(long, value_name = "EPS", help_heading = "Training")]
        eps: Real = Real(1e-8);
        /// SGD: momentum, 0 to 1
        #[arg(long, value_name = "M", help_heading = "Training")]
        momentum: Real = Real(0.0);
        /// SGD: Nesterov's form of momentum
        #[arg(long, help_heading = "Training", num_args = 0, default_missing_value = "true", overrides_with = "no_nesterov")]
        nesterov: bool = false, or
            /// SGD: the plain form of momentum
            #[arg(long, help_heading = "Training", overrides_with = "nesterov")]
            no_nesterov;
        /// RMSprop: decay of the mean square, 0 to 1
        #[arg(long, value_name = "ALPHA", help_heading = "Training")]
        rms_alpha: Real = Real(0.99);
        /// L2 penalty: adds L2/2 times the squared weights to the loss
        #[arg(long, value_name = "L2", help_heading = "Training")]
        l2: Real = Real(0.0);
        /// Decoupled weight decay (AdamW), a fraction of lr
        #[arg(long, value_name = "DECAY", help_heading = "Training")]
        weight_decay: Real = Real(0.0);
        /// How the learning rate changes over the training: step, x0.1 from half, x0.01 from three quarters; exponential, down to 1 % at the end; cosine, down to 0; one-cycle, up and down
        #[arg(long, value_name = "NAME", help_heading = "Training")]
        schedule: Schedule = Schedule::Constant;
        /// Steps over which the learning rate rises at the start
        #[arg(long, value_name = "STEPS", help_heading = "Training")]
        warmup: Count = Count(0);
        /// Largest norm of the whole gradient; longer ones are scaled down [default: no limit]
        #[arg(long, value_name = "NORM", help_heading = "Training")]
        clip_norm: Real;
        /// Rows of a mini-batch
        #[arg(long, value_name = "ROWS", help_heading = "Training")]
        batch_size: Count = Count(64);
        // After the other hyperparameters: a random sweep draws by their order, so the draws of the others stay.
        /// Gamma and beta of batch normalisation are trained
        #[arg(long, help_heading = "Network", num_args = 0, default_missing_value = "true", overrides_with = "no_bn_affine")]
        bn_affine: bool = BatchNorm::default().affine, or
            /// Gamma stays 1 and beta 0
            #[arg(long, help_heading = "Network", overrides_with = "bn_affine")]
            no_bn_affine;
        /// How the numbers of a table enter: none, or ple:BINS, with a piecewise-linear encoding of each beside it
        #[arg(long, value_name = "EMBED", help_heading = "Network")]
        embed: Embed = Embed::None;
        /// Passes over the training rows
        #[arg(long, value_name = "N", help_heading = "Training")]
        epochs: Count = Count(20);
        /// Sub-models, 1 to 64, that share the hidden weights of a network; their predictions are averaged
        #[arg(long, value_name = "S", help_heading = "Network")]
        sub_models: Count = Count(1);
        /// Mini-batches to train, instead of --epochs
        #[arg(long, value_name = "N", help_heading = "Training")]
        steps: Count;
        /// Stop after N epochs without a better validation loss [default: never]
        #[arg(long, value_name = "N", help_heading = "Training")]
        patience: Count;
        /// Stop after this time, as 30s, 10m or 1h30m [default: no limit]
        #[arg(long, value_name = "TIME", help_heading = "Training")]
        max_time: Time;
        /// The epoch whose weights are kept as the best: with the lowest validation loss, or the last of a training that reaches its end
        #[arg(long, value_name = "WHICH", help_heading = "Training")]
        best_epoch: BestEpoch = BestEpoch::Lowest;
        /// Seed of everything random
        #[arg(long, value_name = "N", help_heading = "Training")]
        seed: Seed = Seed(0);
        /// Train K models that differ by their seeds, 1 to 64, and average their predictions
        #[arg(long, value_name = "K", help_heading = "Training")]
        ensemble: Count = Count(1);

        /// auto, gpu, cpu, or an index or a part of a name as `bngpu devices` prints it
        #[arg(long, value_name = "DEVICE", help_heading = "Device")]
        device: String = "auto".into();
        /// Precision of matrix products
        #[arg(long, value_name = "NAME", help_heading = "Device")]
        precision: Precision = Precision::default();

        /// Folder of the run [default: runs/DATE-NAME]
        #[arg(long, short, value_name = "DIR", help_heading = "Output", value_parser = path, value_hint = clap::ValueHint::DirPath)]
        output: PathBuf;
        /// Name of the run [default: from the data]
        #[arg(long, value_name = "NAME", help_heading = "Output")]
        name: String;
        /// Record each layer at log-spaced steps, for `bngpu report` and metrics.jsonl
        #[arg(long, value_name = "LIST", help_heading = "Output", value_delimiter = ',')]
        watch: Vec<Watched>;
        /// Print the result as JSON on stdout
        #[arg(long, help_heading = "Output", num_args = 0, default_missing_value = "true")]
        json: bool = false;
        /// Results alone: no progress and no notes on stderr
        #[arg(long, short, help_heading = "Output", num_args = 0, default_missing_value = "true")]
        quiet: bool = false;
        /// Warnings and details on stderr up to this level; off leaves errors that end the command
        #[arg(long, value_name = "LEVEL", help_heading = "Output")]
        log: LogLevel = LogLevel::default();
    }
}

/// A path that a TOML file can hold: UTF-8, which clap checks, and not empty.
#[cfg(feature = "cli")]
fn path(text: &str) -> Result<PathBuf, String> {
    if text.is_empty() { Err("expected a path".into()) } else { Ok(text.into()) }
}

impl PartialConfig {
    /// The given values by key.
    ///
    /// # Errors
    /// [`ConfigError::NotText`] if a path is not UTF-8, which flags and files already refuse.
    pub fn table(&self) -> Result<toml::Table, ConfigError> {
        toml::Table::try_from(self.negated()).map_err(|e| ConfigError::NotText { problem: e.to_string() })
    }

    /// For the `config.toml` of a run's folder, which names every setting that has a default: one without
    /// `clip-inputs` is of a version that neither clipped inputs nor limited predictions, and continues like that.
    pub fn of_run(mut self) -> Self {
        if self.clip_inputs.is_none() {
            (self.clip_inputs, self.clamp) = (Some(false), Some(false));
        }
        self
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
    /// As [`PartialConfig::from_file`], except for unreadable files.
    pub fn from_toml(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let document = Document::parse(text, path)?;
        let table = document.root().clone();
        let otherwise = "the keys are the flags of `bngpu train --help` without --, at the top level";
        document.check_keys(&table, &Self::keys(), otherwise)?;
        document.read(table)
    }
}
