//! A run of `train`, complete and validated.

use std::path::PathBuf;

use super::column::TableRequest;
use super::training::Training;
use super::values::{LogLevel, Precision, TaskKind, Watched};

/// The data to train on.
#[derive(Clone, Debug, PartialEq)]
pub struct DataRequest {
    /// `digits`, a path, or a name in the data folder.
    pub source: String,
    /// Label column, by name or index; none is the last.
    pub target: Option<String>,
    /// What the user says of the columns of a table.
    pub table: TableRequest,
    /// The task; none is derived from the target column.
    pub task: Option<TaskKind>,
    /// Share of the rows outside the test set for validation, 0 ≤ share < 1.
    pub val_split: f64,
    /// Folds of the rows outside the test part that are held out instead of `val_split`.
    pub folds: Option<Folds>,
    /// The fold that is held out, from 0; none if model n of an ensemble holds out fold n.
    pub fold: Option<usize>,
    /// Share of all rows for testing, 0 ≤ share < 1, if the source has no test set.
    pub test_split: f64,
    /// Seed of the split of the rows.
    pub split_seed: u64,
    /// Scale features to mean 0 and variance 1.
    pub standardize: bool,
    /// Smoothly limit standardised numbers of tables.
    pub clip_inputs: bool,
    /// Limit the predictions of a regression to the range of the training targets; none is decided by the targets.
    pub clamp: Option<bool>,
    /// Bytes for data on the device; none is what the device allows.
    pub data_memory: Option<u64>,
    /// Folder of named data sets; none is `$BNGPU_DATA`, else the platform's data folder.
    pub data_dir: Option<PathBuf>,
}

impl DataRequest {
    /// The folds of an ensemble each model of which holds out another.
    pub fn each_fold(&self) -> Option<Folds> {
        self.folds.filter(|_| self.fold.is_none())
    }
}

/// Folds of rows for validation, instead of the rows of `val_split`: models that hold out different ones are validated on
/// rows of their own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Folds {
    pub count: usize,
    /// Share of the rows outside the test part in each.
    pub share: f64,
}

impl Folds {
    /// All rows outside the test part, give or take fewer than `count`.
    pub fn of_all(count: usize) -> Folds {
        Folds { count, share: 1.0 / count as f64 }
    }

    /// Whether there is more than one, and each has rows.
    pub fn is_used(&self) -> bool {
        self.count > 1 && self.share > 0.0
    }
}

/// Most models of an ensemble.
pub const MAX_ENSEMBLE: usize = 64;

/// A run of `train`, complete and validated.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRequest {
    /// The data.
    pub data: DataRequest,
    /// The network, its optimiser and its length.
    pub training: Training,
    /// Models that train together and whose predictions are averaged, at most [`MAX_ENSEMBLE`].
    pub ensemble: usize,
    /// `auto`, `gpu`, `cpu`, an index or a part of a name.
    pub device: String,
    /// Precision of the operands of matrix products.
    pub precision: Precision,
    /// Folder of the run; none is `runs/<date>-<name>`.
    pub output: Option<PathBuf>,
    /// Name of the run; none is named after the data.
    pub name: Option<String>,
    /// What is recorded for each layer, without repeats.
    pub watch: Vec<Watched>,
    /// Results as JSON on stdout.
    pub json: bool,
    /// No progress and no notes on stderr.
    pub quiet: bool,
    /// Messages on stderr.
    pub log: LogLevel,
}

/// How a device is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DeviceUse {
    /// Bytes for data on it; none is what it allows.
    pub data_memory: Option<u64>,
    /// Precision of the operands of matrix products.
    pub precision: Precision,
}

impl RunRequest {
    /// The runs of one model each that train the members of the ensemble; on the same rows, unless each holds out another
    /// fold. The first has the run's seed; each further one has the next seed.
    pub fn members(&self) -> Vec<RunRequest> {
        let member = |n: usize| {
            let mut request = RunRequest { ensemble: 1, ..self.clone() };
            if request.data.each_fold().is_some() {
                request.data.folds = None;
            }
            request.training.seed = self.training.nth_seed(n as u64);
            request
        };
        (0..self.ensemble).map(member).collect()
    }

    /// The fold that model `nth` of the ensemble holds out, if there are folds.
    pub fn fold_of(&self, nth: usize) -> usize {
        self.data.fold.unwrap_or(nth)
    }

    /// How the run uses its device.
    pub fn device_use(&self) -> DeviceUse {
        DeviceUse { data_memory: self.data.data_memory, precision: self.precision }
    }
}
