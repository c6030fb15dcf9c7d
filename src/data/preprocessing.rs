//! Turns raw rows into the network's inputs; stored in the model file.

use std::collections::HashMap;
use std::ops::Range;
use std::path::Path;

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::encode::{ColumnEncoding, Kind, Met, Prepared, code_inputs};
use super::locate::{Located, locate};
use super::raw::{Raw, RawFeatures, hex};
use super::scale::ByteScaling;
use super::split::{Fractions, assign};
use super::table::{Column, Dialect, ReadOptions, Table, Texts};
use super::target::TargetEncoding;
use super::times::Cycle;
use super::types::{Reading, Unread};
use super::{DataError, Part, Rows, Split, Targets, Task, read_raw, target};
use crate::base::text::{count, counted, listed, shorten};
use crate::spec::Folds;

/// Rows of a block of inputs that one thread puts together, small enough for its cache.
const ROWS_AT_ONCE: usize = 512;
/// The remedy where pixels were expected.
const PIXELS: &str = "give images like those in training, as numbers from 0 to 255";

/// Turns the raw rows of a source into the network's inputs `[N, F]`, and its outputs into classes or values. Fitted
/// on the training rows alone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Preprocessing {
    pub(crate) task: Task,
    pub(crate) inputs: Inputs,
    pub(crate) target: TargetEncoding,
    pub(crate) trained_on: TrainedOn,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Inputs {
    /// Images as bytes, scaled when they are read.
    Bytes(ByteScaling),
    Columns {
        columns: Vec<ColumnEncoding>,
        /// Columns of the source, not counting the target.
        source_columns: usize,
        /// Whether the source names its columns.
        named: bool,
        #[serde(flatten)]
        reading: TableReading,
    },
}

/// How a table is read, as the user said in training.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct TableReading {
    /// Whether the first line of a text file names the columns; decided from the file if none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<bool>,
    /// Further texts that stand for missing values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// How the training table writes numbers; none in models of earlier versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dialect: Option<Dialect>,
    /// Columns that are carried into the predictions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keep: Vec<String>,
}

/// The training source, so that `eval` finds its validation and test rows again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct TrainedOn {
    pub source: String,
    /// SHA-256 of its content, hexadecimal.
    pub content: String,
    pub val_split: f64,
    pub test_split: f64,
    /// The share of each fold, where models held out folds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub val_each: Option<f64>,
    /// The fold that this model held out, from 0; none for models that held out different ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fold: Option<usize>,
    pub seed: u64,
    pub split: Split,
}

impl Preprocessing {
    /// F, the number of features; without an embedding, the network's inputs.
    pub fn n_features(&self) -> usize {
        match &self.inputs {
            Inputs::Bytes(scaling) => scaling.shift.len(),
            Inputs::Columns { columns, .. } => columns.iter().map(ColumnEncoding::inputs).sum(),
        }
    }

    /// Whether its features are columns, not the bytes of images.
    pub fn is_table(&self) -> bool {
        matches!(self.inputs, Inputs::Columns { .. })
    }

    /// Classification or regression.
    pub fn task(&self) -> &Task {
        &self.task
    }

    /// The training source: an absolute path, or `digits`.
    pub fn source(&self) -> &str {
        &self.trained_on.source
    }

    /// The number of training rows.
    pub fn train_rows(&self) -> usize {
        self.trained_on.split.train
    }

    /// Name of the target column.
    pub fn target_name(&self) -> &str {
        &self.target.name
    }

    /// (shift `[F]`, factor `[F]`) of images kept as bytes: the device reads x = (byte - shift) · factor. None if
    /// the inputs are scaled on the host.
    pub fn byte_scaling(&self) -> Option<(&[f32], &[f32])> {
        match &self.inputs {
            Inputs::Bytes(scaling) => Some((&scaling.shift, &scaling.factor)),
            Inputs::Columns { .. } => None,
        }
    }

    /// For each feature, the quantiles that embeddings start from: see [`crate::population::Features`].
    pub fn quantiles(&self) -> Vec<Vec<f32>> {
        let Inputs::Columns { columns, .. } = &self.inputs else { return Vec::new() };
        let mut quantiles = Vec::with_capacity(self.n_features());
        for column in columns {
            quantiles.push(column.quantiles.clone());
            quantiles.resize(quantiles.len() + column.inputs() - 1, Vec::new());
        }
        quantiles
    }

    /// A name for each feature `[F]`: `age`, `age is missing`, `city=Rome`, `city is other`, `pixel 12`.
    pub fn input_names(&self) -> Vec<String> {
        let columns = match &self.inputs {
            Inputs::Bytes(scaling) => {
                return (0..scaling.shift.len()).map(|i| format!("pixel {i}")).collect();
            }
            Inputs::Columns { columns, .. } => columns,
        };
        let names = |c: &ColumnEncoding| {
            let name = &c.name;
            let (mut names, missing) = match &c.kind {
                Kind::Number(numbers) => (vec![name.clone()], numbers.missing),
                Kind::Date { elapsed, cycles } => {
                    let pair = |c: &Cycle| ["sin", "cos"].map(|part| format!("{name}: {part} {}", c.name()));
                    let names = [format!("{name}: time elapsed")];
                    (names.into_iter().chain(cycles.iter().flat_map(pair)).collect(), elapsed.missing)
                }
                Kind::Category { levels, coded, other, missing } => {
                    let levels = levels.iter().map(|l| format!("{name}={l}"));
                    let codes = (1..=code_inputs(coded)).map(|i| format!("{name}: code {i}"));
                    (levels.chain(codes).chain(other.then(|| format!("{name} is other"))).collect(), *missing)
                }
            };
            names.extend(missing.then(|| format!("{name} is missing")));
            names
        };
        columns.iter().flat_map(names).collect()
    }

    /// A prediction of the network in the user's units (regression).
    pub fn target_to_units(&self, v: f64) -> f64 {
        v * self.target_scale() + self.target.scale.shift
    }

    /// The prediction for the output `z` of the network, in the user's units (regression): limited to
    /// [`Preprocessing::prediction_range`].
    pub fn prediction(&self, z: f32) -> f64 {
        let value = self.target_to_units(f64::from(z));
        self.target.clamp.map_or(value, |range| within(value, range))
    }

    /// The range that predictions are limited to, in the user's units, if they are: that of the training targets.
    pub fn prediction_range(&self) -> Option<[f64; 2]> {
        self.target.clamp
    }

    /// The same for outputs of the network.
    pub(crate) fn output_range(&self) -> Option<[f64; 2]> {
        self.target.clamp.map(|range| range.map(|v| self.target.scale.apply(v)))
    }

    /// Score of the constant prediction that needs no inputs, on the rows `range` of `targets`: the accuracy of the
    /// training rows' most frequent class, or the root mean squared error, in the user's units, of their mean. None
    /// without rows, and for a model of a version that did not store it.
    pub fn baseline(&self, targets: &Targets, range: Range<usize>) -> Option<f64> {
        let n = range.len() as f64;
        let constant = self.target.constant.filter(|_| !range.is_empty())?;
        Some(match targets {
            Targets::Classes(classes) => {
                classes[range].iter().filter(|c| f64::from(**c) == constant).count() as f64 / n
            }
            Targets::Values(values) => {
                let mean = self.target.scale.apply(constant);
                let squares = values[range].iter().map(|v| (f64::from(*v) - mean).powi(2)).sum::<f64>();
                (squares / n).sqrt() * self.target_scale()
            }
        })
    }

    /// One unit of the network's output in the user's units (regression).
    pub fn target_scale(&self) -> f64 {
        1.0 / self.target.scale.factor
    }

    /// Says whether the first line of text files names their columns; none leaves it as in training.
    pub fn expect_header(&mut self, header: Option<bool>) {
        if let (Inputs::Columns { reading, .. }, Some(header)) = (&mut self.inputs, header) {
            reading.header = Some(header);
        }
    }

    /// Reads all rows of `part` from `source` as inputs `[N, F]`, with targets if every row has one. Keeps rows
    /// without a target, for `predict`.
    ///
    /// A `part` other than [`Part::All`] is a part of the training's split if `source` is the training source;
    /// otherwise it is the source's own part.
    ///
    /// # Errors
    /// The errors of [`super::load`], columns that are missing or have another type than in training, and a `part` of a
    /// source that is not the training source and has no parts.
    pub fn read(&self, source: &str, data_dir: Option<&Path>, part: Part) -> Result<Rows, DataError> {
        self.rows(source, data_dir, part, false)
    }

    /// Like [`Preprocessing::read`], but the source must have the target, and rows without one are left out, for
    /// `eval`.
    pub fn read_labelled(
        &self,
        source: &str,
        data_dir: Option<&Path>,
        part: Part,
    ) -> Result<Rows, DataError> {
        self.rows(source, data_dir, part, true)
    }

    fn rows(
        &self,
        source: &str,
        data_dir: Option<&Path>,
        part: Part,
        labelled: bool,
    ) -> Result<Rows, DataError> {
        let located = locate(source, data_dir)?;
        let mut raw = self.read_aligned(&located)?;
        let mut notes = std::mem::take(&mut raw.notes);
        let kept = std::mem::take(&mut raw.kept);
        let has_target: Vec<bool> = match &raw.target {
            Some(target) => (0..raw.rows).map(|row| !target.column.is_missing(row)).collect(),
            None if labelled => {
                return Err(DataError::column(
                    &raw.file,
                    &self.target.name,
                    "the source lacks the target column",
                    "evaluation needs it; `predict` does not",
                ));
            }
            None => vec![false; raw.rows],
        };
        let mut order = self.rows_of(&raw, &located, part, labelled, &has_target, &mut notes)?;
        if labelled {
            let before = order.len();
            order.retain(|row| has_target[*row]);
            if order.len() < before {
                notes.push(format!(
                    "{} without a target left out",
                    counted((before - order.len()) as u64, "row")
                ));
            }
        }
        if order.is_empty() {
            return Err(DataError::file(
                &raw.file,
                format!("has no rows in its {part} part"),
                "choose another --split",
            ));
        }
        let mut targets = None;
        if let (Some(target), true) = (&raw.target, order.iter().all(|row| has_target[*row])) {
            match target::encode(&raw, target, &self.task, self.target.scale, &order) {
                Ok(found) => targets = Some(found),
                Err(error) if labelled => return Err(error),
                Err(error) => notes.push(format!("the target column is not used: {error}")),
            }
        }
        let features = self.encode(&mut raw, &order, &mut notes)?;
        let kept = kept.into_iter().map(|(name, column)| {
            let text = |row: &usize| match &column {
                Column::Text { levels, codes } => {
                    levels.get(codes[*row] as usize).cloned().unwrap_or_default()
                }
                _ => String::new(),
            };
            (name, order.iter().map(text).collect())
        });
        Ok(Rows { features, rows: order.len(), targets, kept: kept.collect(), notes })
    }

    /// Reads a source and orders its columns as in training.
    fn read_aligned(&self, located: &Located) -> Result<Raw, DataError> {
        let texts = |names: &[String], named: bool| {
            let mut texts = vec![Texts::NoNumbers; names.len()];
            if let Ok(places) = self.align("", names, named) {
                if let Inputs::Columns { columns, .. } = &self.inputs {
                    for (column, at) in columns.iter().zip(&places.inputs) {
                        texts[*at] = column.reading().texts();
                    }
                }
                if let Some(target) = places.target {
                    texts[target] = self.target.texts();
                }
                places.kept.iter().for_each(|at| texts[*at] = Texts::All);
            }
            texts
        };
        let mut options = ReadOptions { texts: Some(&texts), ..ReadOptions::default() };
        let mut names = vec![];
        if let Inputs::Bytes(scaling) = &self.inputs {
            options.image_shape = scaling.shape;
        }
        if let Inputs::Columns { columns, named, reading, .. } = &self.inputs {
            if *named {
                names.extend(columns.iter().map(|c| c.name.as_str()));
            }
            (options.header, options.missing) = (reading.header, &reading.missing);
        }
        options.names = &names;
        let mut raw = read_raw(located, &options, None)?;
        if let (RawFeatures::Bytes { data, n_features, .. }, Inputs::Columns { .. }) =
            (&raw.features, &self.inputs)
        {
            raw.features = RawFeatures::Table(bytes_as_table(&raw.file, data, *n_features));
        }
        match &mut raw.features {
            RawFeatures::Bytes { n_features, .. } => {
                if *n_features != self.n_features() {
                    return Err(DataError::file(
                        &raw.file,
                        format!(
                            "has {n_features} pixels per image, but the model takes {}",
                            self.n_features()
                        ),
                        "give images of the same size as in training",
                    ));
                }
            }
            RawFeatures::Table(table) => {
                let places = self.align(&raw.file, &table.names, table.named)?;
                let mut columns: Vec<Option<Column>> =
                    std::mem::take(&mut table.columns).into_iter().map(Some).collect();
                let names = std::mem::take(&mut table.names);
                // A column may be both an input and kept.
                for at in places.kept {
                    let column = columns[at].clone().unwrap_or(Column::Number(Vec::new()));
                    let column =
                        Reading::Text.apply(column).map_or(Column::Number(Vec::new()), |(column, _)| column);
                    raw.kept.push((names[at].clone(), column));
                }
                if let (Some(index), None) = (places.target, &raw.target) {
                    let column = columns[index].clone().unwrap_or(Column::Number(Vec::new()));
                    raw.target = Some(super::raw::TargetColumn { name: names[index].clone(), index, column });
                }
                if let Inputs::Columns { columns, named: true, .. } = &self.inputs
                    && !table.named
                {
                    let names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
                    let names = super::error::list(&names);
                    raw.notes
                        .push(format!("no header: columns are taken in the order of training ({names})"));
                }
                table.columns = places.inputs.iter().filter_map(|at| columns[*at].take()).collect();
                table.names = places.inputs.iter().map(|at| names[*at].clone()).collect();
            }
        }
        self.read_cells(&mut raw)?;
        Ok(raw)
    }

    /// Reads the cells of each input and of the target as in training.
    fn read_cells(&self, raw: &mut Raw) -> Result<(), DataError> {
        let Raw { file, features, target, notes, .. } = raw;
        let dialects = match (&*features, &self.inputs) {
            (RawFeatures::Table(table), Inputs::Columns { reading, .. }) => {
                reading.dialect.map(|training| (table.dialect, training))
            }
            _ => None,
        };
        let mut read = |name: &str, role: &str, reading: &Reading, column: &mut Column| {
            let before = std::mem::replace(column, Column::Number(Vec::new()));
            let rows = before.len();
            let known = (0..rows).filter(|row| !before.is_missing(*row)).count();
            if known == 0 {
                *column = before;
                return Ok(());
            }
            let fault = |what: String| DataError::column(file, name, what, "give the column as in training");
            if let Some(unit) = reading.unit().filter(|_| reading.lacks_unit(&before)) {
                // A spreadsheet gives 45 % as 0.45; other units do not change the number.
                if unit == "%" {
                    let what = "training had its numbers in %, this file has none: 45 may be 45 % or 4500 %";
                    let remedy = "write the numbers with %, as in training";
                    return Err(DataError::column(file, name, what, remedy));
                }
                let text = format!(
                    "{role} {name:?}: training had its numbers in {unit}, this file has none: taken as in {unit}"
                );
                notes.push(text);
            }
            if let Some(what) = dialects.and_then(|(found, training)| reading.doubt(&before, found, training))
            {
                return Err(DataError::column(file, name, what, "write the numbers as in training"));
            }
            let (after, unread) = reading.apply(before).map_err(fault)?;
            if unread.rows > 0 && !unread.any_read {
                let example = shorten(&unread.example);
                return Err(fault(format!(
                    "{example:?} is not {}, nor is any other cell",
                    reading.singular()
                )));
            }
            notes.extend(unread_note(name, role, reading, &unread));
            *column = after;
            Ok(())
        };
        if let (RawFeatures::Table(table), Inputs::Columns { columns, .. }) = (features, &self.inputs) {
            for (encoding, column) in columns.iter().zip(&mut table.columns) {
                read(&encoding.name, "column", &encoding.reading(), column)?;
            }
        }
        if let (Some(target), Some(reading)) = (target, &self.target.reading) {
            read(&target.name.clone(), "target", reading, &mut target.column)?;
        }
        Ok(())
    }

    /// Where the wanted columns are in a file of columns `names`.
    fn align(&self, file: &str, names: &[String], named: bool) -> Result<Places, DataError> {
        let mut places: HashMap<&str, usize> = HashMap::new();
        let mut doubled = Vec::new();
        for (at, name) in names.iter().enumerate() {
            if places.insert(name, at).is_some() {
                doubled.push(name.as_str());
            }
        }
        let by_name = |name: &str| places.get(name).copied();
        let target_by_name = named.then(|| by_name(&self.target.name)).flatten();
        let (source_columns, wanted, keep) = match &self.inputs {
            Inputs::Bytes(scaling) => {
                (scaling.shift.len(), (0..scaling.shift.len()).collect::<Vec<_>>(), &[][..])
            }
            Inputs::Columns { columns, source_columns, named: trained_named, reading } => {
                if named && *trained_named {
                    let lacking: Vec<&str> =
                        columns.iter().map(|c| c.name.as_str()).filter(|n| by_name(n).is_none()).collect();
                    if !lacking.is_empty() {
                        return Err(DataError::file(
                            file,
                            match lacking.as_slice() {
                                [one] => format!("lacks the column {one:?}"),
                                several => format!("lacks the columns {}", super::error::list(several)),
                            },
                            format!("add them; it has {}", super::error::list(names)),
                        ));
                    }
                    if let Some(name) =
                        columns.iter().map(|c| c.name.as_str()).find(|name| doubled.contains(name))
                    {
                        let what = "two columns of the file have this name, which the model needs";
                        return Err(DataError::column(file, name, what, "rename one of them"));
                    }
                    return Ok(Places {
                        inputs: columns.iter().filter_map(|c| by_name(&c.name)).collect(),
                        target: target_by_name,
                        kept: reading.keep.iter().filter_map(|name| by_name(name)).collect(),
                    });
                }
                (*source_columns, columns.iter().map(|c| c.position).collect(), reading.keep.as_slice())
            }
        };
        let target = match names.len() {
            n if n == source_columns => None,
            n if n == source_columns + 1 => {
                Some(target_by_name.unwrap_or(self.target.index.min(source_columns)))
            }
            n => {
                return Err(DataError::file(
                    file,
                    format!(
                        "has {n} columns, but the model was trained with {source_columns} and the target"
                    ),
                    "give the same columns, with or without the target",
                ));
            }
        };
        let shifted = |at: usize| at + usize::from(target.is_some_and(|t| at >= t));
        let kept = keep.iter().filter_map(|name| by_name(name)).collect();
        Ok(Places { inputs: wanted.into_iter().map(shifted).collect(), target, kept })
    }

    /// The same for a model that held out the fold `nth` where there are folds; none for models that held out different ones.
    #[must_use]
    pub(crate) fn of_fold(mut self, nth: Option<usize>) -> Preprocessing {
        self.trained_on.fold = nth.filter(|_| self.trained_on.split.folds > 0);
        self
    }

    /// Whether it is of several models that held out different rows.
    fn holds_out_several(&self) -> bool {
        self.trained_on.split.folds > 0 && self.trained_on.fold.is_none()
    }

    /// The rows of `part`.
    fn rows_of(
        &self,
        raw: &Raw,
        located: &Located,
        part: Part,
        labelled: bool,
        has_target: &[bool],
        notes: &mut Vec<String>,
    ) -> Result<Vec<usize>, DataError> {
        let all = || (0..raw.rows).collect::<Vec<_>>();
        if part == Part::All {
            if labelled && hex(&raw.content) == self.trained_on.content {
                let Split { train, val, .. } = self.trained_on.split;
                let rows = counted((train + if self.holds_out_several() { val } else { 0 }) as u64, "row");
                notes.push(format!(
                    "the model was trained on {rows} of these data, so the result is too good: --split test takes only \
                     rows that it has not seen"
                ));
            }
            return Ok(all());
        }
        if located.source() != self.trained_on.source && hex(&raw.content) != self.trained_on.content {
            // A copy of the training file with other line ends, one more column or one more row is not recognised.
            let Some([train, val, test]) = raw.given else {
                let what = format!(
                    "is not the file that the model was trained on and has no parts of its own, so its {part} rows are \
                     not known; the model may have been trained on some of its rows"
                );
                let remedy = "evaluate all of its rows (--split all), or leave out --data for the parts of the training";
                return Err(DataError::file(&raw.file, what, remedy));
            };
            return Ok(match part {
                Part::Train | Part::All => (0..train).collect(),
                Part::Val => (train..train + val).collect(),
                Part::Test => (train + val..train + val + test).collect(),
            });
        }
        if hex(&raw.content) != self.trained_on.content {
            return Err(DataError::file(
                &raw.file,
                "has changed since the model was trained on it, so its parts are no longer known",
                "evaluate all of its rows (--split all), or give other data",
            ));
        }
        let fractions = Fractions { val: self.trained_on.val_split, test: self.trained_on.test_split };
        let kept: Vec<usize> = all().into_iter().filter(|row| has_target[*row]).collect();
        let target = raw.target.as_ref().map(|t| target::class_of_rows(raw, t, &self.task)).transpose()?;
        let class = |row: usize| target.as_ref().map_or(0, |classes| classes[row]);
        let several = self.holds_out_several();
        if part == Part::Val && several {
            let what = "each model of this ensemble held out other rows, so none is new to all of them; the training told \
                        the validation score";
            let remedy = "evaluate the test rows (--split test)";
            return Err(DataError::file(&raw.file, what, remedy));
        }
        let split = self.trained_on.split;
        let asked = self.trained_on.val_each.map(|share| Folds { count: split.folds, share });
        let mut parts = assign(raw, &kept, class, fractions, asked, self.trained_on.seed);
        if several {
            // Each of them trained some model.
            parts.train.append(&mut parts.val);
        } else if let Some(nth) = self.trained_on.fold {
            // The folds but the first are the last training rows.
            let mut outside = std::mem::take(&mut parts.train);
            outside.append(&mut parts.val);
            parts.val = outside.drain(split.held_out(nth)).collect();
            parts.train = outside;
        }
        Ok(match part {
            Part::Train | Part::All => parts.train,
            Part::Val => parts.val,
            Part::Test => parts.test,
        })
    }

    /// Inputs `[order.len(), F]` of the rows `order`. Takes the columns out of a table, so that they are in memory once.
    pub(crate) fn encode(
        &self,
        raw: &mut Raw,
        order: &[usize],
        notes: &mut Vec<String>,
    ) -> Result<Vec<f32>, DataError> {
        match (&self.inputs, &mut raw.features) {
            (Inputs::Bytes(scaling), RawFeatures::Bytes { data, .. }) => Ok(scaling.rows(data, order)),
            (Inputs::Bytes(scaling), RawFeatures::Table(table)) => encode_pixels(scaling, table, order),
            (Inputs::Columns { columns, .. }, RawFeatures::Table(table)) => {
                let found = std::mem::take(&mut table.columns);
                let (inputs, met): (Vec<Prepared>, Vec<Met>) = columns
                    .par_iter()
                    .zip(found)
                    .map(|(encoding, column)| encoding.prepare(table, &column, order))
                    .collect::<Result<Vec<_>, _>>()?
                    .into_iter()
                    .unzip();
                let mut missing = Vec::new();
                for (column, met) in columns.iter().zip(met) {
                    notes.extend(met_note(column, met, order.len()));
                    if met.missing > 0 {
                        missing.push(format!("{:?} ({})", column.name, count(met.missing as u64)));
                    }
                }
                if !missing.is_empty() {
                    notes.push(format!("missing values, filled as in training: {}", listed(&missing)));
                }
                let width = self.n_features();
                let mut out = vec![0.0; order.len() * width];
                out.par_chunks_mut(ROWS_AT_ONCE * width).enumerate().for_each(|(block, out)| {
                    let mut offset = 0;
                    for (encoding, inputs) in columns.iter().zip(&inputs) {
                        inputs.write(block * ROWS_AT_ONCE, out, width, offset);
                        offset += encoding.inputs();
                    }
                });
                Ok(out)
            }
            (Inputs::Columns { .. }, RawFeatures::Bytes { .. }) => {
                Err(DataError::file(&raw.file, "holds images, but the model takes a table", "give a table"))
            }
        }
    }
}

/// Positions of columns in a file.
struct Places {
    inputs: Vec<usize>,
    target: Option<usize>,
    /// Those that are carried into the predictions.
    kept: Vec<usize>,
}

fn unread_note(name: &str, role: &str, reading: &Reading, unread: &Unread) -> Option<String> {
    (unread.rows > 0).then(|| {
        format!(
            "{role} {name:?}: {} not {} (as {:?}), taken as missing",
            counted(unread.rows as u64, "cell"),
            reading.singular(),
            shorten(&unread.example)
        )
    })
}

/// What a user should know of the rows of a column besides gaps: unknown categories, and numbers of another scale.
fn met_note(column: &ColumnEncoding, met: Met, rows: usize) -> Option<String> {
    let name = &column.name;
    if met.unknown > 0 {
        let cells = counted(met.unknown as u64, "cell");
        return Some(format!(
            "column {name:?}: {cells} with a category that is new or was too rare in training"
        ));
    }
    let [low, high] = column.kind.numbers()?.0.range?;
    // A few outliers are usual.
    (met.far * 2 > rows).then(|| {
        let written = |v: f64| match column.kind {
            Kind::Date { .. } => super::times::written(v),
            _ => v.to_string(),
        };
        format!(
            "column {name:?}: {} of {} rows lie far outside of what training saw, {} to {}: is it in another unit?",
            count(met.far as u64),
            count(rows as u64),
            written(low),
            written(high)
        )
    })
}

/// The value of `range` that is nearest to `value`; NaN stays.
pub(crate) fn within(value: f64, [low, high]: [f64; 2]) -> f64 {
    if value < low {
        low
    } else if value > high {
        high
    } else {
        value
    }
}

/// Encodes pixels from a table of numbers.
fn encode_pixels(scaling: &ByteScaling, table: &Table, order: &[usize]) -> Result<Vec<f32>, DataError> {
    let width = scaling.shift.len();
    let mut out = vec![0.0; order.len() * width];
    let values = table.columns.iter().filter_map(|column| match column {
        Column::Number(values) => Some(values),
        _ => None,
    });
    let (mut largest, mut whole) = (0f64, true);
    for value in values.flatten() {
        largest = largest.max(*value);
        whole &= value.fract() == 0.0;
    }
    if largest <= 1.0 && !whole {
        return Err(DataError::file(
            &table.file,
            "has pixels from 0 to 1, but the model was trained on pixels from 0 to 255",
            "multiply them by 255",
        ));
    }
    for (f, column) in table.columns.iter().enumerate() {
        let Column::Number(values) = column else {
            return Err(DataError::column(&table.file, &table.names[f], "is text, expected pixels", PIXELS));
        };
        for (out, row) in out.iter_mut().skip(f).step_by(width).zip(order) {
            let value = values[*row];
            if !(0.0..=255.0).contains(&value) {
                return Err(DataError::cell(
                    &table.file,
                    table.place(*row),
                    &table.names[f],
                    format!("{value} is not a pixel from 0 to 255"),
                    PIXELS,
                ));
            }
            *out = scaling.apply(f, value as f32);
        }
    }
    Ok(out)
}

/// Bytes `[rows, n]` as a table of numbers.
fn bytes_as_table(file: &str, data: &[u8], n_features: usize) -> Table {
    let numbers: Vec<f64> = data.iter().map(|b| f64::from(*b)).collect();
    Table::from_matrix(file, &numbers, n_features)
}
