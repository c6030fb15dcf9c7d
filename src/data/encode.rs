//! Encodes table columns as network inputs, fitted on the training rows alone.
//!
//! | column | inputs |
//! |---|---|
//! | numbers | the value, or the training median if missing; if training rows lack values, also an indicator of missing |
//! | text | one indicator for each category (at most [`MAX_LEVELS`], the most frequent in the training rows), one for "other" and one for missing if training rows have any; a category that is not in the training rows counts as "other", or is all zeros if there is no "other" |
//!
//! With `--standardize`, the numbers then get mean 0 and variance 1 over the training rows; indicators stay 0 and 1
//! (standardised, a rare category would be a huge number, and the tables of docs/quality.md lose by it). A constant
//! input becomes 0. With `--clip-inputs`, the numbers are then limited smoothly to ±[`CLIP`].

use serde::{Deserialize, Serialize};

use super::DataError;
use super::scale::{Moments, Scale, smooth_clip};
use crate::spec::Embed;

use super::table::{Column, MISSING, Table, first_text, number};

/// Limit of standardised numbers under smooth clipping.
pub(crate) const CLIP: f64 = 3.0;
/// Maximum number of indicators for the categories of a text column.
pub const MAX_LEVELS: usize = 64;
/// Most training rows that quantiles are taken of.
const QUANTILE_ROWS: usize = 1 << 16;
/// A category of fewer training rows has no indicator of its own.
const FEWEST: usize = 2;
/// A text column with at least this share of distinct values is treated as an id and left out.
const ID_SHARE: f64 = 0.9;
/// A column with at most this many categories is never treated as an id.
const MIN_ID_LEVELS: usize = 8;

/// A column and its encoding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ColumnEncoding {
    pub name: String,
    /// Position among the source's columns, not counting the target.
    pub position: usize,
    #[serde(flatten)]
    pub kind: Kind,
    /// One for each input.
    pub scales: Vec<Scale>,
    /// Of a number that varies: its [`Embed::QUANTILES`] over the training rows that have it, scaled and clipped.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quantiles: Vec<f32>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// The value; then whether it is missing, if `missing`.
    Number {
        median: f64,
        missing: bool,
        /// Limit of smooth clipping; none leaves the value as it is, as do models of versions without this field.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        clip: Option<f64>,
    },
    /// One indicator for each level; then "other", if `other`; then missing, if `missing`.
    Category { levels: Vec<String>, other: bool, missing: bool },
}

/// How the inputs of a column are scaled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scaling {
    None,
    /// To mean 0 and variance 1.
    Standard,
    /// The same, then numbers limited smoothly to ±[`CLIP`].
    Clipped,
}

/// Result of fitting a column.
pub(crate) enum Fitted {
    Kept {
        encoding: ColumnEncoding,
        /// Training rows without a number.
        imputed: usize,
        /// Categories without an indicator.
        folded: usize,
    },
    /// The reason for leaving it out.
    Dropped(&'static str),
}

impl ColumnEncoding {
    pub fn inputs(&self) -> usize {
        self.scales.len()
    }

    /// Fits column `position` on the rows `train` alone.
    pub fn fit(
        file: &str,
        name: &str,
        position: usize,
        column: &Column,
        train: &[usize],
        scaling: Scaling,
    ) -> Result<Fitted, DataError> {
        let n_missing = train.iter().filter(|row| column.is_missing(**row)).count();
        if n_missing == train.len() {
            return Ok(Fitted::Dropped("it is empty in the training rows"));
        }
        if is_counter(name, column) {
            return Ok(Fitted::Dropped("it numbers the rows"));
        }
        let (kind, moments, folded) = match column {
            Column::Number(values) => {
                let (kind, moments) = fit_numbers(values, train, n_missing, scaling);
                if !moments[0].std.is_finite() || !moments[0].mean.is_finite() {
                    return Err(DataError::column(
                        file,
                        name,
                        "its numbers are too large to be standardised",
                        "rescale or leave out the column",
                    ));
                }
                (kind, moments, 0)
            }
            Column::Text { levels, codes } => match fit_categories(levels, codes, train, n_missing) {
                Ok(fitted) => fitted,
                Err(_) if are_numbers_with_commas(levels) => {
                    return Err(DataError::column(
                        file,
                        name,
                        format!("{:?} and similar cells are numbers except for their commas", levels[0]),
                        "write 1,000.5 as 1000.5; a decimal comma needs semicolons between the cells",
                    ));
                }
                Err(why) => return Ok(Fitted::Dropped(why)),
            },
        };
        let is_number = |input: usize| input == 0 && matches!(kind, Kind::Number { .. });
        let scale = |(input, m): (usize, &Moments)| match scaling {
            Scaling::Standard | Scaling::Clipped if is_number(input) || m.is_constant() => m.scale(),
            _ => Scale::IDENTITY,
        };
        let scales: Vec<Scale> = moments.iter().enumerate().map(scale).collect();
        let quantiles = match (column, &kind) {
            (Column::Number(values), Kind::Number { clip, .. }) if !moments[0].is_constant() => {
                // Enough rows for quantiles, evenly spaced.
                let some = train.iter().step_by(train.len().div_ceil(QUANTILE_ROWS));
                let known = some.map(|row| values[*row]).filter(|v| !v.is_nan());
                quantiles(known.map(|v| scaled(v, scales[0], *clip) as f32).collect())
            }
            _ => Vec::new(),
        };
        let imputed = if matches!(kind, Kind::Number { .. }) { n_missing } else { 0 };
        let encoding = ColumnEncoding { name: name.into(), position, kind, scales, quantiles };
        Ok(Fitted::Kept { encoding, imputed, folded })
    }

    /// Writes the inputs of this column for the rows `order` into `out` `[order.len(), width]`, from input
    /// `offset` on. Returns the number of cells with a new category.
    pub fn write(
        &self,
        table: &Table,
        column: usize,
        order: &[usize],
        out: &mut [f32],
        width: usize,
        offset: usize,
    ) -> Result<usize, DataError> {
        let rows = out.chunks_exact_mut(width).map(|row| &mut row[offset..offset + self.scales.len()]);
        match (&self.kind, &table.columns[column]) {
            (Kind::Number { median, missing, clip }, Column::Number(values)) => {
                for (out, row) in rows.zip(order) {
                    let value = values[*row];
                    let value = if value.is_nan() { *median } else { value };
                    if !(self.scales[0].apply(value) as f32).is_finite() {
                        return Err(DataError::cell(
                            &table.file,
                            table.place(*row),
                            &self.name,
                            format!("{value:e} is out of range for the network's 32-bit numbers"),
                            "rescale the column",
                        ));
                    }
                    out[0] = scaled(value, self.scales[0], *clip) as f32;
                    if *missing {
                        out[1] = self.scales[1].apply(f64::from(u8::from(values[*row].is_nan()))) as f32;
                    }
                }
                Ok(0)
            }
            (Kind::Category { levels, other, missing }, Column::Text { levels: found, codes }) => {
                let hot: Vec<Option<usize>> = {
                    let known: std::collections::HashMap<&str, usize> =
                        levels.iter().enumerate().map(|(i, l)| (l.as_str(), i)).collect();
                    let of = |l: &String| known.get(l.as_str()).copied().or(other.then_some(levels.len()));
                    found.iter().map(of).collect()
                };
                let missing_input = missing.then_some(levels.len() + usize::from(*other));
                let zeros: Vec<f32> = self.scales.iter().map(|s| s.apply(0.0) as f32).collect();
                let mut unknown = 0;
                for (out, row) in rows.zip(order) {
                    out.copy_from_slice(&zeros);
                    let input = match codes[*row] {
                        MISSING => missing_input,
                        code => {
                            unknown += usize::from(hot[code as usize].is_none());
                            hot[code as usize]
                        }
                    };
                    if let Some(input) = input {
                        out[input] = self.scales[input].apply(1.0) as f32;
                    }
                }
                Ok(unknown)
            }
            (Kind::Number { .. }, Column::Text { levels, codes }) => {
                let (row, text) = first_text(levels, codes).unwrap_or_default();
                Err(DataError::cell(
                    &table.file,
                    table.place(row),
                    &self.name,
                    format!(
                        "{:?} is not a number, but the column was numeric in training",
                        super::error::shorten(text)
                    ),
                    "correct the cell, or leave it empty",
                ))
            }
            (Kind::Category { .. }, Column::Number(values)) => {
                if values.iter().all(|v| v.is_nan()) {
                    let empty = Column::Text { levels: Vec::new(), codes: vec![MISSING; values.len()] };
                    let table = Table { columns: vec![empty], ..table.clone_without_columns() };
                    return self.write(&table, 0, order, out, width, offset);
                }
                Err(DataError::column(
                    &table.file,
                    &self.name,
                    "holds numbers, but held text in training",
                    "give the column as text (CSV or Parquet)",
                ))
            }
        }
    }
}

/// A number as the network's input.
fn scaled(value: f64, scale: Scale, clip: Option<f64>) -> f64 {
    let x = scale.apply(value);
    clip.map_or(x, |limit| smooth_clip(x, limit))
}

/// The [`Embed::QUANTILES`] of `values`, interpolated linearly between neighbours in order, as NumPy does.
fn quantiles(mut values: Vec<f32>) -> Vec<f32> {
    if values.is_empty() {
        return Vec::new();
    }
    values.sort_unstable_by(f32::total_cmp);
    let quantile = |at: usize| {
        let place = at as f64 / (Embed::QUANTILES - 1) as f64 * (values.len() - 1) as f64;
        let (low, high) = (values[place.floor() as usize], values[place.ceil() as usize]);
        (f64::from(low) + place.fract() * (f64::from(high) - f64::from(low))) as f32
    };
    (0..Embed::QUANTILES).map(quantile).collect()
}

/// Whether nearly all texts are numbers except for commas, and most have one: `1,024`, `-3,5`.
fn are_numbers_with_commas(levels: &[String]) -> bool {
    let share = |is: &dyn Fn(&String) -> bool| {
        levels.iter().filter(|l| is(l)).count() as f64 / levels.len().max(1) as f64
    };
    share(&|l| number(&l.replace(',', "")).is_some()) >= 0.9 && share(&|l| l.contains(',')) >= 0.5
}

/// An unnamed column that holds 0, 1, 2, … or 1, 2, 3, …: the row numbers that pandas and R write.
fn is_counter(name: &str, column: &Column) -> bool {
    let Column::Number(values) = column else { return false };
    let first = values.first().copied().unwrap_or(f64::NAN);
    name.starts_with("Unnamed: ")
        && (first == 0.0 || first == 1.0)
        && values.iter().zip(0u32..).all(|(v, i)| *v == first + f64::from(i))
}

fn fit_numbers(values: &[f64], train: &[usize], n_missing: usize, scaling: Scaling) -> (Kind, Vec<Moments>) {
    let mut known: Vec<f64> = train.iter().map(|row| values[*row]).filter(|v| !v.is_nan()).collect();
    let middle = known.len() / 2;
    let median = if n_missing == 0 {
        0.0
    } else {
        let (below, upper, _) = known.select_nth_unstable_by(middle, f64::total_cmp);
        let upper = *upper;
        match below.iter().copied().max_by(f64::total_cmp) {
            Some(lower) if (train.len() - n_missing).is_multiple_of(2) => lower / 2.0 + upper / 2.0,
            _ => upper,
        }
    };
    let filled = |row: &usize| if values[*row].is_nan() { median } else { values[*row] };
    let mut moments = vec![Moments::of(train.iter().map(filled))];
    let missing = n_missing > 0;
    if missing {
        moments.push(Moments::binary(n_missing, train.len()));
    }
    let clip = (scaling == Scaling::Clipped).then_some(CLIP);
    (Kind::Number { median, missing, clip }, moments)
}

/// Also returns the number of levels in "other", or the reason for leaving the column out.
fn fit_categories(
    levels: &[String],
    codes: &[u32],
    train: &[usize],
    n_missing: usize,
) -> Result<(Kind, Vec<Moments>, usize), &'static str> {
    let mut counts = vec![0usize; levels.len()];
    train.iter().map(|row| codes[*row]).filter(|c| *c != MISSING).for_each(|c| counts[c as usize] += 1);
    let mut seen: Vec<usize> = (0..levels.len()).filter(|l| counts[*l] > 0).collect();
    let known = train.len() - n_missing;
    if seen.len() > MIN_ID_LEVELS && seen.len() as f64 >= ID_SHARE * known as f64 {
        return Err("nearly every row has a different text, like a name or an id");
    }
    seen.sort_by(|a, b| counts[*b].cmp(&counts[*a]).then(levels[*a].cmp(&levels[*b])));
    let has_input = |l: &usize| counts[*l] >= FEWEST;
    let kept = seen.iter().filter(|l| has_input(l)).count().min(MAX_LEVELS);
    if kept == 0 {
        return Err("each of its texts is too rare to learn from");
    }
    let folded = seen.split_off(kept);
    seen.sort_by(|a, b| levels[*a].cmp(&levels[*b]));
    let mut ones: Vec<usize> = seen.iter().map(|l| counts[*l]).collect();
    let n_other: usize = folded.iter().map(|l| counts[*l]).sum();
    let (other, missing) = (n_other > 0, n_missing > 0);
    ones.extend(other.then_some(n_other));
    ones.extend(missing.then_some(n_missing));
    let kind = Kind::Category { levels: seen.iter().map(|l| levels[*l].clone()).collect(), other, missing };
    Ok((kind, ones.iter().map(|n| Moments::binary(*n, train.len())).collect(), folded.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fit(column: &Column, train: &[usize]) -> ColumnEncoding {
        fit_scaled(column, train, Scaling::None)
    }

    fn fit_scaled(column: &Column, train: &[usize], scaling: Scaling) -> ColumnEncoding {
        match ColumnEncoding::fit("t.csv", "c", 0, column, train, scaling).unwrap() {
            Fitted::Kept { encoding, .. } => encoding,
            Fitted::Dropped(why) => panic!("{why}"),
        }
    }

    fn text(cells: &[Option<&str>]) -> Column {
        let mut builder = super::super::table::TextBuilder::default();
        cells.iter().for_each(|c| builder.push(*c));
        builder.finish()
    }

    fn write(encoding: &ColumnEncoding, column: Column) -> Vec<Vec<f32>> {
        let rows = match &column {
            Column::Number(values) => values.len(),
            Column::Text { codes, .. } => codes.len(),
        };
        let table = Table {
            file: "t.csv".into(),
            names: vec!["c".into()],
            named: true,
            columns: vec![column],
            rows,
            lines: None,
        };
        let (width, order) = (encoding.inputs(), (0..rows).collect::<Vec<_>>());
        let mut out = vec![9.0; rows * width];
        encoding.write(&table, 0, &order, &mut out, width, 0).unwrap();
        out.chunks(width).map(<[f32]>::to_vec).collect()
    }

    #[test]
    fn missing_numbers_get_the_training_median_and_an_indicator() {
        let nan = f64::NAN;
        let column = Column::Number(vec![1.0, 5.0, nan, 2.0, 4.0, 1e9]);
        let encoding = fit(&column, &[0, 1, 2, 3, 4]);
        assert_eq!(encoding.kind, Kind::Number { median: 3.0, missing: true, clip: None });
        assert_eq!(write(&encoding, column)[2], [3.0, 1.0]);
        let odd = fit(&Column::Number(vec![nan, 7.0, 1.0, 3.0]), &[0, 1, 2, 3]);
        assert_eq!(odd.kind, Kind::Number { median: 3.0, missing: true, clip: None });
        // No value is missing in training: there is no indicator, but later missing values are still imputed.
        let complete = fit(&Column::Number(vec![1.0, 2.0]), &[0, 1]);
        assert_eq!(complete.inputs(), 1);
    }

    #[test]
    fn categories_are_those_of_the_training_rows() {
        let column = text(&[Some("b"), Some("a"), None, Some("a"), Some("b"), Some("late")]);
        let encoding = fit(&column, &[0, 1, 2, 3, 4]);
        let levels = vec!["a".to_owned(), "b".into()];
        assert_eq!(encoding.kind, Kind::Category { levels, other: false, missing: true });
        let out = write(&encoding, column);
        assert_eq!(out[0], [0.0, 1.0, 0.0]);
        assert_eq!(out[1], [1.0, 0.0, 0.0]);
        assert_eq!(out[2], [0.0, 0.0, 1.0]);
        assert_eq!(out[5], [0.0, 0.0, 0.0], "a category that is not in the training rows");
    }

    #[test]
    fn many_categories_are_capped_and_ids_dropped() {
        let names: Vec<String> = (0..1000).map(|i| format!("c{}", (i * i) % 211)).collect();
        let column = text(&names.iter().map(|n| Some(n.as_str())).collect::<Vec<_>>());
        let encoding = fit(&column, &(0..1000).collect::<Vec<_>>());
        assert_eq!(encoding.inputs(), MAX_LEVELS + 1);
        for (rows, different, expected) in [(100, 100, "a name or an id"), (8, 8, "too rare")] {
            let names: Vec<String> = (0..rows).map(|i| format!("id{}", i % different)).collect();
            let column = text(&names.iter().map(|n| Some(n.as_str())).collect::<Vec<_>>());
            let train: Vec<usize> = (0..rows).collect();
            let fitted = ColumnEncoding::fit("t.csv", "c", 0, &column, &train, Scaling::Standard).unwrap();
            assert!(matches!(fitted, Fitted::Dropped(why) if why.contains(expected)), "{expected}");
        }
    }

    #[test]
    fn clipped_numbers_stay_within_the_limit_and_keep_their_order() {
        let nan = f64::NAN;
        // Mean 0 and variance 1 over the first eight, then values that training did not see.
        let seen = [1.0, -1.0, 1.0, -1.0, 1.0, -1.0, 1.0, -1.0];
        let far = [-1e38, -1e6, -7.0, -0.01, 0.01, 7.0, 1e6, 1e38, nan];
        let column = Column::Number(seen.into_iter().chain(far).collect());
        let encoding = fit_scaled(&column, &(0..8).collect::<Vec<_>>(), Scaling::Clipped);
        let out: Vec<f32> = write(&encoding, column.clone())[8..].iter().map(|row| row[0]).collect();
        assert!(out.iter().all(|x| x.abs() <= 3.0), "{out:?}");
        assert!(out[..8].is_sorted(), "{out:?}");
        for (x, value) in out.iter().zip(far).filter(|(_, value)| !value.is_nan()) {
            let expected = value / (1.0 + (value / 3.0).powi(2)).sqrt();
            assert!(
                (f64::from(*x) - expected).abs() <= 1e-7 * expected.abs(),
                "{value}: {x}, not {expected}"
            );
        }
        // A model of a version without clipping has no such field and clips nothing.
        let plain = fit_scaled(&column, &(0..8).collect::<Vec<_>>(), Scaling::Standard);
        let json = serde_json::to_string(&plain).unwrap();
        assert!(!json.contains("clip"), "{json}");
        let back: ColumnEncoding = serde_json::from_str(&json).unwrap();
        assert_eq!(back, plain);
        let finite = Column::Number(vec![100.0]);
        assert_eq!(write(&back, finite), [[100.0]]);
        let json = serde_json::to_string(&encoding).unwrap();
        assert_eq!(serde_json::from_str::<ColumnEncoding>(&json).unwrap(), encoding);
    }

    #[test]
    fn indicators_stay_0_and_1_and_constant_ones_become_0() {
        let column =
            text(&[Some("x"), Some("y"), Some("x"), Some("y"), None, Some("x"), Some("z"), None, Some("z")]);
        let rows: Vec<usize> = (0..9).collect();
        let encoding = fit_scaled(&column, &rows, Scaling::Clipped);
        let out = write(&encoding, column);
        assert_eq!(out[0], [1.0, 0.0, 0.0, 0.0]);
        assert_eq!(out[4], [0.0, 0.0, 0.0, 1.0]);
        assert_eq!(out[6], [0.0, 0.0, 1.0, 0.0]);
        let alike = text(&[Some("x"); 9]);
        let encoding = fit_scaled(&alike, &rows, Scaling::Clipped);
        assert_eq!(write(&encoding, alike), vec![vec![0.0]; 9]);
        let column = Column::Number(vec![1.0, f64::NAN, 3.0, f64::NAN, 5.0, 7.0, 7.0, 7.0, 5.0]);
        let encoding = fit_scaled(&column, &rows, Scaling::Clipped);
        let missing: Vec<f32> = write(&encoding, column).iter().map(|row| row[1]).collect();
        assert_eq!(missing, [0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn quantiles_are_those_of_the_inputs_of_known_training_numbers() {
        // 0, 1, ..., 128 shuffled, with gaps and rows outside of training: every 64th quantile is every second number.
        let mut values: Vec<f64> = (0..129).map(|i| f64::from(i * 37 % 129)).collect();
        values.extend([f64::NAN, f64::NAN, 1e9]);
        let column = Column::Number(values);
        let train: Vec<usize> = (0..131).collect();
        for scaling in [Scaling::None, Scaling::Standard, Scaling::Clipped] {
            let encoding = fit_scaled(&column, &train, scaling);
            let wanted = Column::Number((0..Embed::QUANTILES).map(|i| 2.0 * i as f64).collect());
            let inputs: Vec<f32> = write(&encoding, wanted).iter().map(|row| row[0]).collect();
            assert_eq!(encoding.quantiles, inputs, "{scaling:?}");
        }
        // Between two numbers, as numpy.quantile([1, 2, 4], [0.25, 0.5, 0.75]) = [1.5, 2, 3].
        let three = fit(&Column::Number(vec![4.0, 1.0, 2.0]), &[0, 1, 2]).quantiles;
        assert_eq!([three[0], three[16], three[32], three[48], three[64]], [1.0, 1.5, 2.0, 3.0, 4.0]);
        assert!(fit(&Column::Number(vec![4.0; 9]), &[0, 1, 2]).quantiles.is_empty());
    }
}
