//! Loads a data source as numbers for training.
//!
//! A source (embedded digits, a table, a spreadsheet, a database, arrays, images) is read as it is (`raw`), its target is
//! interpreted (`target`), its rows are split (`split`), and its columns are encoded and scaled (`encode`, `scale`),
//! fitted on the training rows alone. The fitted [`Preprocessing`] is stored with the model, and `eval` and `predict`
//! apply it to raw rows.
//!
//! A format is one file with a function that returns a `raw::Raw`; `ARCHITECTURE.md` lists where it is entered.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

mod array;
#[cfg(feature = "parquet")]
mod arrow;
mod binary;
mod check;
mod columns;
mod csv;
mod digits;
mod encode;
mod error;
#[cfg(feature = "excel")]
mod excel;
mod file;
mod idx;
#[cfg(feature = "images")]
mod images;
#[cfg(feature = "parquet")]
mod ipc;
mod join;
mod jsonl;
mod load;
mod locate;
mod memory;
mod npy;
#[cfg(feature = "npz")]
mod npz;
mod numbers;
#[cfg(feature = "parquet")]
mod parquet;
mod parts;
#[cfg(feature = "postgres")]
mod postgres;
mod preprocessing;
mod raw;
mod scale;
mod split;
#[cfg(feature = "sqlite")]
mod sqlite;
mod table;
mod target;
mod times;
mod types;
#[cfg(feature = "excel")]
mod xls;

pub use crate::spec::TaskKind;
use crate::spec::{DataRequest, Folds, TableRequest};
pub use columns::{ColumnReport, Role, Values};
pub use error::DataError;
pub use load::{Description, describe, load};
pub use preprocessing::Preprocessing;
pub(crate) use preprocessing::within;
pub use times::written as time_text;
pub use types::ColumnType;

use locate::{Format, Located};
use raw::{Raw, RawFeatures};
use table::ReadOptions;

/// Classification or regression.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// Classification into these classes, in the order of the network's outputs.
    Classify { classes: Vec<String> },
    /// Regression of one number.
    Regress,
}

impl Task {
    /// Number of network outputs: one for each class, or 1 for a regression.
    pub fn n_outputs(&self) -> usize {
        match self {
            Task::Classify { classes } => classes.len(),
            Task::Regress => 1,
        }
    }
}

/// Inputs `[N, F]`, row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum Features {
    /// Images as stored; [`Preprocessing::byte_scaling`] is applied when they are read.
    Bytes(Vec<u8>),
    /// Encoded and scaled for the network.
    Floats(Vec<f32>),
}

/// Targets `[N]`.
#[derive(Clone, Debug, PartialEq)]
pub enum Targets {
    /// Indices into the task's classes.
    Classes(Vec<u32>),
    /// Standardised if requested; [`Preprocessing::target_to_units`] converts them back.
    Values(Vec<f32>),
}

impl Targets {
    /// Rows.
    pub fn len(&self) -> usize {
        match self {
            Targets::Classes(classes) => classes.len(),
            Targets::Values(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Rows of each part; a [`Dataset`]'s rows are ordered train | val | test.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    pub train: usize,
    pub val: usize,
    pub test: usize,
    /// Folds that models hold out for validation; 0 where all hold out the same rows. Each fold has `val` rows, and a model
    /// trains on the `train` others: see [`Split::held_out`].
    #[serde(default, skip_serializing_if = "is_zero")]
    pub folds: usize,
}

fn is_zero(n: &usize) -> bool {
    *n == 0
}

impl Split {
    /// The rows outside the test part that a model which holds out fold `nth`, from 0, does not train on. The first fold has
    /// the last rows, each further one those before; after the last fold comes the first again.
    pub fn held_out(&self, nth: usize) -> std::ops::Range<usize> {
        let back = nth.checked_rem(self.folds).unwrap_or(0) * self.val;
        self.train - back..self.train + self.val - back
    }

    /// The rows of all folds, or those of the validation part.
    pub fn validated(&self) -> std::ops::Range<usize> {
        let all = self.train + self.val;
        all - self.folds.max(1) * self.val..all
    }

    /// The rows of a part.
    pub fn range(&self, part: Part) -> std::ops::Range<usize> {
        let (val, test) = (self.train, self.train + self.val);
        match part {
            Part::All => 0..test + self.test,
            Part::Train => 0..val,
            Part::Val => val..test,
            Part::Test => test..test + self.test,
        }
    }
}

/// A part of a source's rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Part {
    All,
    Train,
    Val,
    Test,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Part::All => "whole",
            Part::Train => "training",
            Part::Val => "validation",
            Part::Test => "test",
        })
    }
}

/// Data ready to be trained on.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// Short name, for the run's folder.
    pub name: String,
    /// As the user gave it.
    pub source: String,
    pub task: Task,
    /// `[N, F]`
    pub features: Features,
    /// F
    pub n_features: usize,
    /// `[N]`
    pub targets: Targets,
    pub split: Split,
    pub preprocessing: Preprocessing,
    /// SHA-256, hexadecimal, over content, split and encoding: equal if and only if the network gets the same data.
    pub fingerprint: String,
    /// How a text file was read, in words.
    pub how: String,
    /// Each column of a table, and what was decided for it; none for images.
    pub columns: Vec<ColumnReport>,
    /// Notes for the user: rows and columns left out, values imputed, how the target was read.
    pub notes: Vec<String>,
    /// Notes on the split: parts without rows, flags that are ignored.
    pub split_notes: Vec<String>,
}

impl Dataset {
    /// [`Dataset::columns`] as the record of a run has them; null for images.
    pub fn columns_record(&self) -> serde_json::Value {
        match self.columns.as_slice() {
            [] => serde_json::Value::Null,
            columns => serde_json::to_value(columns).unwrap_or_default(),
        }
    }

    /// Baseline on `part`: the accuracy of always predicting the training rows' most frequent class, or the root
    /// mean squared error, in the user's units, of always predicting their mean. None if the part has no rows.
    pub fn baseline(&self, part: Part) -> Option<f64> {
        let rows = if part == Part::Val { self.split.validated() } else { self.split.range(part) };
        self.preprocessing.baseline(&self.targets, rows)
    }
}

/// Raw rows encoded for the network.
#[derive(Clone, Debug)]
pub struct Rows {
    /// `[rows, F]`
    pub features: Vec<f32>,
    pub rows: usize,
    /// `[rows]`, if every row has one.
    pub targets: Option<Targets>,
    /// Columns that are carried into the predictions: the name, and the text of each row.
    pub kept: Vec<(String, Vec<String>)>,
    /// Notes for the user.
    pub notes: Vec<String>,
}

/// A data source and how to load it.
#[derive(Clone, Debug)]
pub struct LoadRequest {
    /// `digits`, a path, or a name in the data folder.
    pub source: String,
    /// Name of the target column, or its position from 0; the last by default.
    pub target: Option<String>,
    /// What the user says of the columns of a table.
    pub table: TableRequest,
    /// Classes or a number; from the target by default.
    pub task: Option<TaskKind>,
    /// Fraction of the rows outside the test part.
    pub val_split: f64,
    /// Fraction of all rows, where the source has no test part.
    pub test_split: f64,
    /// Folds for validation, where the source has no validation part.
    pub folds: Option<Folds>,
    /// Whether `folds` is for tables alone, not for images.
    pub folds_of_tables: bool,
    pub standardize: bool,
    /// Limit the standardised numbers of a table smoothly; no effect without `standardize`.
    pub clip_inputs: bool,
    /// Limit the predictions of a regression to the range of the training targets; by default where none of these is
    /// negative.
    pub clamp: Option<bool>,
    pub seed: u64,
    /// Folder to search for names; `$BNGPU_DATA` by default.
    pub data_dir: Option<PathBuf>,
}

impl From<&DataRequest> for LoadRequest {
    fn from(data: &DataRequest) -> LoadRequest {
        LoadRequest {
            source: data.source.clone(),
            target: data.target.clone(),
            table: data.table.clone(),
            task: data.task,
            val_split: data.val_split,
            test_split: data.test_split,
            folds: data.folds,
            folds_of_tables: false,
            standardize: data.standardize,
            clip_inputs: data.clip_inputs,
            clamp: data.clamp,
            seed: data.split_seed,
            data_dir: data.data_dir.clone(),
        }
    }
}

/// Where `source` is on disk, as [`load`] finds it; none if it is built in.
///
/// # Errors
/// As those of [`load`] for a source that cannot be found.
pub fn path_of(source: &str, data_dir: Option<&Path>) -> Result<Option<PathBuf>, DataError> {
    let path = locate::locate(source, data_dir)?.path;
    Ok(Some(path).filter(|path| !path.as_os_str().is_empty()))
}

/// Reads a source as it is. `target` is the user's name for it, for formats with named arrays.
fn read_raw(located: &Located, options: &ReadOptions, target: Option<&str>) -> Result<Raw, DataError> {
    let mut raw = match located.format {
        Format::Parts => parts::read(located, options, |part, options| read_file(part, options, target)),
        _ => read_file(located, options, target),
    }?;
    if raw.rows == 0 {
        return Err(DataError::file(&raw.file, "holds no rows", "expected a table with rows"));
    }
    if let RawFeatures::Table(table) = &mut raw.features {
        // The target is still one of its columns, and says as much as any other.
        table.dialect.may_have_commas |= table.columns.iter().any(types::has_decimal_commas);
        let markers: Vec<f64> = options.missing.iter().filter_map(|text| table::plain_number(text)).collect();
        if !markers.is_empty() {
            table.columns.iter_mut().for_each(|column| column.without(&markers));
        }
        raw.notes.extend(table.totals());
    }
    Ok(raw)
}

#[cfg_attr(not(feature = "npz"), expect(unused_variables))]
fn read_file(located: &Located, options: &ReadOptions, target: Option<&str>) -> Result<Raw, DataError> {
    let path: &Path = &located.path;
    match located.format {
        Format::Digits => digits::read(),
        Format::IdxFolder | Format::Parts => idx::read_folder(path),
        Format::IdxFile => idx::read_file(path),
        Format::Csv if located.spooled.as_ref().is_some_and(|spooled| spooled.has_header()) => {
            csv::read_file(path, &ReadOptions { header: Some(true), ..*options })
        }
        Format::Csv => csv::read_file(path, options),
        Format::Json => jsonl::read(path, options),
        #[cfg(feature = "npz")]
        Format::Npz => npz::read(path, target),
        #[cfg(not(feature = "npz"))]
        Format::Npz => Err(not_built(path, "npz")),
        Format::Npy => npy::read(path),
        #[cfg(feature = "parquet")]
        Format::Parquet => parquet::read(path, options),
        #[cfg(feature = "parquet")]
        Format::Arrow => ipc::read(path, options),
        #[cfg(not(feature = "parquet"))]
        Format::Parquet | Format::Arrow => Err(not_built(path, "parquet")),
        #[cfg(feature = "excel")]
        Format::Excel => excel::read(path, located.selection.as_deref(), options),
        #[cfg(not(feature = "excel"))]
        Format::Excel => Err(not_built(path, "excel")),
        #[cfg(feature = "sqlite")]
        Format::Sqlite => sqlite::read(path, located.selection.as_deref(), options),
        #[cfg(not(feature = "sqlite"))]
        Format::Sqlite => Err(not_built(path, "sqlite")),
        #[cfg(feature = "images")]
        Format::Images => images::read(located, options),
        #[cfg(not(feature = "images"))]
        Format::Images => Err(not_built(path, "images")),
    }
}

#[cfg(not(all(
    feature = "excel",
    feature = "images",
    feature = "npz",
    feature = "parquet",
    feature = "sqlite"
)))]
fn not_built(path: &Path, feature: &str) -> DataError {
    let what = format!("this build does not read {feature}");
    let remedy = format!("build bngpu with its feature `{feature}`, or convert the file to CSV");
    DataError::file(&path.display().to_string(), what, remedy)
}
