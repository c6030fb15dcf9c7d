//! The target column: classes or numbers, and their encoding for the network.

use serde::{Deserialize, Serialize};

use super::numbers::is_number_like;
use super::raw::{Raw, TargetColumn};
use super::scale::{Moments, Scale};
use super::table::{Column, Texts};
use super::types::{Reading, truth};
use super::{DataError, Targets, Task, TaskKind};
use crate::base::text::{count, shorten};

/// Integers with at most this many different values are classes.
const MAX_INTEGER_CLASSES: usize = 20;
/// The same for the labels of images.
const MAX_IMAGE_CLASSES: usize = 1000;
/// More classes than this are an error.
const MAX_CLASSES: usize = 65_536;

/// How the target of a source is read; stored with the model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct TargetEncoding {
    pub name: String,
    /// Position among the source's columns.
    pub index: usize,
    /// Whether classes are texts, so that a column of digits must be read as text.
    pub text: bool,
    /// How its cells are read, if they are not plain.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reading: Option<Reading>,
    /// Regression: the network learns (value - shift) · factor; 0 and 1 without `--standardize`.
    pub scale: Scale,
    /// Regression: the range of the training targets, if predictions are limited to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clamp: Option<[f64; 2]>,
    /// The best prediction without inputs: the index of the training rows' most frequent class, or their mean. None in
    /// models of versions without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constant: Option<f64>,
}

impl TargetEncoding {
    /// Which cells it needs as texts.
    pub fn texts(&self) -> Texts {
        match &self.reading {
            _ if self.text => Texts::All,
            Some(reading) => reading.texts(),
            None => Texts::NoNumbers,
        }
    }
}

/// Classes or numbers, from the values or as forced; integers that are not forced get a note.
pub(crate) fn decide(
    raw: &Raw,
    target: &TargetColumn,
    images: bool,
    force: Option<TaskKind>,
) -> Result<(TaskKind, Option<String>), DataError> {
    let values = match &target.column {
        Column::Text { codes, levels } => {
            if force != Some(TaskKind::Regress) {
                return Ok((TaskKind::Classify, None));
            }
            let (row, text) = first_text(levels, codes);
            return Err(DataError::cell(
                &raw.file,
                raw.place(row),
                &target.name,
                format!("{:?} is not a number, but --task regress needs numbers", shorten(text)),
                "correct the cell, or use --task classify",
            ));
        }
        Column::Number(values) => values,
        Column::Time(_) | Column::Other { .. } => return Err(no_target(raw, target)),
    };
    if let Some(row) = values.iter().position(|v| v.is_infinite()) {
        let remedy = "expected a finite number";
        return Err(DataError::cell(
            &raw.file,
            raw.place(row),
            &target.name,
            "an infinite number, or one too large, as the target",
            remedy,
        ));
    }
    if let Some(kind) = force {
        return Ok((kind, None));
    }
    let integers = values.iter().all(|v| v.is_nan() || v.fract() == 0.0);
    let distinct = if integers { distinct(values).len() } else { values.len() };
    let limit = if images { MAX_IMAGE_CLASSES } else { MAX_INTEGER_CLASSES };
    let name = &target.name;
    // Of a few rows that all differ, none would be of a class that another teaches.
    let known = values.iter().filter(|v| !v.is_nan()).count();
    let any_returns = images || distinct < known || distinct <= 2;
    Ok(match integers && distinct <= limit && any_returns {
        true if images => (TaskKind::Classify, None),
        true => (
            TaskKind::Classify,
            Some(format!(
                "target {name:?}: {} different integers, treated as classes (use --task regress for numbers)",
                count(distinct as u64)
            )),
        ),
        false if integers => (
            TaskKind::Regress,
            Some(format!(
                "target {name:?}: {} different integers, treated as numbers (use --task classify for classes)",
                count(distinct as u64)
            )),
        ),
        false => (TaskKind::Regress, None),
    })
}

/// Up to so many different values, it is quicker to look each one up than to sort all.
const FEW_DIFFERENT: usize = 64;

/// Sorted, without NaN.
fn distinct(values: &[f64]) -> Vec<f64> {
    let mut found: Vec<f64> = Vec::new();
    // -0 is 0: one class.
    let known = || values.iter().filter(|v| !v.is_nan()).map(|v| v + 0.0);
    for value in known() {
        if let Err(at) = found.binary_search_by(|f| f.total_cmp(&value)) {
            found.insert(at, value);
        }
        if found.len() > FEW_DIFFERENT {
            found = known().collect();
            found.sort_unstable_by(f64::total_cmp);
            found.dedup();
            break;
        }
    }
    found
}

/// The classes of the rows that are kept, sorted: numbers by size, texts by their bytes.
pub(crate) fn classes(raw: &Raw, target: &TargetColumn) -> Result<Vec<String>, DataError> {
    let classes: Vec<String> = match &target.column {
        Column::Number(values) => distinct(values).iter().map(f64::to_string).collect(),
        Column::Text { levels, .. } => {
            let mut levels = levels.clone();
            levels.sort();
            levels
        }
        Column::Time(_) | Column::Other { .. } => return Err(no_target(raw, target)),
    };
    let column = |what: String, remedy: &str| DataError::column(&raw.file, &target.name, what, remedy);
    match classes.as_slice() {
        [] => Err(column("no row has a target".into(), "check the column, or choose another with --target")),
        [one] => Err(column(
            format!("all rows are of one class, {:?}", shorten(one)),
            "classification needs two classes or more; choose another column with --target",
        )),
        _ if classes.len() > MAX_CLASSES => Err(column(
            format!("{} different classes, more than {MAX_CLASSES}", classes.len()),
            "use --task regress if these are numbers, or choose another column with --target",
        )),
        _ => Ok(classes),
    }
}

/// Class of each row as an index into `classes`; None where missing. A class that is not in `classes` is an
/// error that names its row.
pub(crate) fn class_indices(
    raw: &Raw,
    target: &TargetColumn,
    classes: &[String],
) -> Result<Vec<Option<u32>>, DataError> {
    let by_name: std::collections::HashMap<&str, u32> =
        classes.iter().zip(0..).map(|(name, i)| (name.as_str(), i)).collect();
    // Two classes that are a word for true and one for false are these, however they are written: True, true, 1.
    let truths: Vec<Option<bool>> = classes.iter().map(|class| truth(class)).collect();
    let by_truth = |text: &str| match truths.as_slice() {
        [Some(a), Some(b)] if a != b => truth(text).map(|is| u32::from(is != *a)),
        _ => None,
    };
    let class_of = |text: &str| by_name.get(text).copied().or_else(|| by_truth(text));
    let unknown = |row: usize, name: &str| {
        let near =
            super::error::nearest(name, classes).map_or(String::new(), |n| format!(" (nearest: {n:?})"));
        DataError::cell(
            &raw.file,
            raw.place(row),
            &target.name,
            format!("the class {:?} is not one of the model's {}{near}", shorten(name), classes.len()),
            "correct it, or train again with data that has this class",
        )
    };
    match &target.column {
        Column::Text { levels, codes } => {
            let of_level: Vec<Option<u32>> = levels.iter().map(|level| class_of(level)).collect();
            let of_row = |(row, code): (usize, &u32)| match of_level.get(*code as usize) {
                None => Ok(None),
                Some(None) => Err(unknown(row, &levels[*code as usize])),
                Some(known) => Ok(*known),
            };
            codes.iter().enumerate().map(of_row).collect()
        }
        Column::Number(values) => {
            let found = distinct(values);
            let of_value: Vec<Option<u32>> = found.iter().map(|value| class_of(&value.to_string())).collect();
            let of_row = |(row, value): (usize, &f64)| {
                // NaN is not among those found.
                match found.binary_search_by(|f| f.total_cmp(&(value + 0.0))) {
                    Err(_) => Ok(None),
                    Ok(at) => of_value[at].map(Some).ok_or_else(|| unknown(row, &value.to_string())),
                }
            };
            values.iter().enumerate().map(of_row).collect()
        }
        Column::Time(_) | Column::Other { .. } => Err(no_target(raw, target)),
    }
}

fn no_target(raw: &Raw, target: &TargetColumn) -> DataError {
    let what = match &target.column {
        Column::Other { what, .. } => what,
        _ => "dates",
    };
    let remedy = "expected classes or numbers; choose another column with --target";
    DataError::column(&raw.file, &target.name, format!("the target holds {what}"), remedy)
}

/// The first row whose text is not a number, and that text.
fn first_text<'a>(levels: &'a [String], codes: &[u32]) -> (usize, &'a str) {
    let is_text: Vec<bool> = levels.iter().map(|level| !is_number_like(level)).collect();
    let first = codes.iter().enumerate().find(|(_, code)| is_text.get(**code as usize) == Some(&true));
    first
        .or(codes.iter().enumerate().find(|(_, code)| (**code as usize) < levels.len()))
        .map_or((0, ""), |(row, code)| (row, levels[*code as usize].as_str()))
}

/// Class of each row for the split: 0 where missing, and for a regression.
pub(crate) fn class_of_rows(raw: &Raw, target: &TargetColumn, task: &Task) -> Result<Vec<usize>, DataError> {
    let Task::Classify { classes } = task else { return Ok(vec![0; raw.rows]) };
    let indices = class_indices(raw, target, classes)?;
    Ok(indices.into_iter().map(|class| class.unwrap_or(0) as usize).collect())
}

/// The values of a numeric target, NaN where missing.
pub(crate) fn values<'a>(raw: &Raw, target: &'a TargetColumn) -> Result<&'a [f64], DataError> {
    match &target.column {
        Column::Number(values) => match values.iter().position(|v| v.is_infinite()) {
            None => Ok(values),
            Some(row) => {
                let remedy = "expected a finite number";
                Err(DataError::cell(
                    &raw.file,
                    raw.place(row),
                    &target.name,
                    "an infinite number, or one too large, as the target",
                    remedy,
                ))
            }
        },
        Column::Text { levels, codes } => {
            let (row, text) = first_text(levels, codes);
            let what = format!("{:?} is not a number, but the model predicts numbers", shorten(text));
            Err(DataError::cell(&raw.file, raw.place(row), &target.name, what, "correct the cell"))
        }
        Column::Time(_) | Column::Other { .. } => Err(no_target(raw, target)),
    }
}

/// The range that predictions are limited to: that of the training targets, as asked, else where none is negative.
pub(crate) fn fit_range(values: &[f64], train: &[usize], asked: Option<bool>) -> Option<[f64; 2]> {
    let train = || train.iter().map(|row| values[*row]);
    let range = [train().fold(f64::INFINITY, f64::min), train().fold(f64::NEG_INFINITY, f64::max)];
    asked.unwrap_or(range[0] >= 0.0).then_some(range)
}

/// The index of the most frequent class of the training rows, the first of equals.
pub(crate) fn majority(class: &[usize], train: &[usize], n_classes: usize) -> Option<usize> {
    let mut counts = vec![0usize; n_classes];
    train.iter().for_each(|row| counts[class[*row]] += 1);
    (0..counts.len()).rev().max_by_key(|c| counts[*c])
}

/// Moments and scale of the training targets; refuses a constant one.
pub(crate) fn fit_values(
    raw: &Raw,
    target: &TargetColumn,
    values: &[f64],
    train: &[usize],
    standardize: bool,
) -> Result<(Moments, Scale), DataError> {
    let moments = Moments::of(train.iter().map(|row| values[*row]));
    let column = |what: &str, remedy: &str| DataError::column(&raw.file, &target.name, what, remedy);
    if moments.is_constant() {
        return Err(column(
            "the target is the same number in every training row",
            "there is nothing to predict; choose another column with --target",
        ));
    }
    if !moments.std.is_finite() {
        return Err(column("its numbers are too large", "rescale the column"));
    }
    Ok((moments, if standardize { moments.scale() } else { Scale::IDENTITY }))
}

/// Encodes the targets of the rows in `order`, all of which have one.
pub(crate) fn encode(
    raw: &Raw,
    target: &TargetColumn,
    task: &Task,
    scale: Scale,
    order: &[usize],
) -> Result<Targets, DataError> {
    Ok(match task {
        Task::Classify { classes } => {
            let indices = class_indices(raw, target, classes)?;
            Targets::Classes(order.iter().filter_map(|row| indices[*row]).collect())
        }
        Task::Regress => {
            let values = values(raw, target)?;
            let scaled = |row: &usize| {
                let value = scale.apply(values[*row]) as f32;
                if value.is_finite() {
                    return Ok(value);
                }
                let what = format!("{:e} is out of range for the network's 32-bit numbers", values[*row]);
                let place = raw.place(*row);
                Err(DataError::cell(&raw.file, place, &target.name, what, "rescale the column"))
            };
            Targets::Values(order.iter().map(scaled).collect::<Result<_, _>>()?)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::distinct;

    #[test]
    fn few_and_many_different_numbers_are_found_alike() {
        for n in [1, 2, 63, 64, 65, 66, 1000] {
            // Each three times, in no order, with both zeros.
            let values: Vec<f64> =
                (0..3 * n).map(|i| -f64::from((i * 7919) % n)).chain([0.0, f64::NAN]).collect();
            let expected: Vec<f64> = (0..n).rev().map(|i| 0.0 - f64::from(i)).collect();
            let found = distinct(&values);
            assert_eq!(found, expected);
            assert!(found.iter().all(|v| v.to_bits() != (-0.0f64).to_bits()));
        }
    }
}
