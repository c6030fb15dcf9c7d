//! Encodes table columns as network inputs, fitted on the training rows alone.
//!
//! | column | inputs |
//! |---|---|
//! | numbers | the value, or the training median if missing; if more than 1 % of the training rows lack it, also an indicator of missing |
//! | dates | the seconds since 1970; sine and cosine of the place in the year, the week and the day, each where it varies; the indicator as for numbers |
//! | text | one indicator for each category; of more than 128 categories, for the [`MAX_LEVELS`] most frequent in the training rows, and the others share [`CODE`] inputs: a code of ±[`SIGN`], random but the same for the same text; one indicator for "other", the categories of one training row, and one for missing, if training rows have any; a category that is not in the training rows counts as "other", or is all zeros if there is no "other" |
//!
//! With `--standardize`, the numbers then get mean 0 and variance 1 over the training rows; indicators stay 0 and 1
//! (standardised, a rare category would be a huge number, and the tables of docs/quality.md lose by it), as do numbers
//! that are all 0 or 1. A constant input becomes 0. With `--clip-inputs`, the numbers are then limited smoothly to ±[`CLIP`].

use std::borrow::Cow;
use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::DataError;
use super::columns::ends;
use super::scale::{Moments, Scale, smooth_clip};
use crate::base::text::{count, shorten};
use crate::spec::Embed;

use super::table::{Column, MISSING, Table, category};
use super::times::Cycle;
use super::types::Reading;

/// Limit of standardised numbers under smooth clipping.
pub(crate) const CLIP: f64 = 3.0;
/// Categories of a text column that have an indicator each, where it has more than [`MAX_LEVELS`] + [`CODE`]; up to
/// there, all have one.
pub const MAX_LEVELS: usize = 64;
/// Inputs of the code of a category without an indicator: different categories have different codes, nearly
/// orthogonal to each other, so a layer tells them apart as it tells indicators (Weinberger et al., 2009,
/// "Feature hashing for large scale multitask learning").
const CODE: usize = 64;
/// Size of a code's inputs: a code is as long as an indicator.
const SIGN: f32 = 0.125;
/// Most training rows that quantiles, and the median of a column without gaps, are taken of.
const QUANTILE_ROWS: usize = 1 << 16;
/// Rows that are encoded at a time.
const ROWS_IN_CACHE: usize = 1 << 10;
/// A category of fewer training rows has no indicator of its own.
const FEWEST: usize = 2;
/// Share of training rows without a number from which an indicator tells them apart.
const MISSING_SHARE: f64 = 0.01;

/// A column and its encoding.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ColumnEncoding {
    pub name: String,
    /// Position among the source's columns, not counting the target.
    pub position: usize,
    /// How its cells are read; none in models of versions without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reading: Option<Reading>,
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
    /// The value; then whether it is missing, if [`Numbers::missing`].
    Number(Numbers),
    /// The time elapsed, as a number; sine and cosine of its place in each cycle; then whether it is missing, if
    /// [`Numbers::missing`].
    Date {
        #[serde(flatten)]
        elapsed: Numbers,
        cycles: Vec<Cycle>,
    },
    /// One indicator for each level; then the code of those in `coded`, if there are any; then "other", if `other`; then
    /// missing, if `missing`.
    Category {
        levels: Vec<String>,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        coded: Vec<String>,
        other: bool,
        missing: bool,
    },
}

/// What the training rows say of a number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Numbers {
    /// Taken where it is missing.
    pub median: f64,
    /// Whether an input tells where it is missing.
    pub missing: bool,
    /// Limit of smooth clipping; none leaves the value as it is, as do models of versions without this field.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clip: Option<f64>,
    /// The least and the largest value of the training rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<[f64; 2]>,
}

impl Kind {
    /// Of a number or a date: the number, and the cycles of a date.
    pub fn numbers(&self) -> Option<(&Numbers, &[Cycle])> {
        match self {
            Kind::Number(numbers) => Some((numbers, &[])),
            Kind::Date { elapsed, cycles } => Some((elapsed, cycles)),
            Kind::Category { .. } => None,
        }
    }
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

/// A column to be encoded, as its reading gives it.
#[derive(Clone, Copy)]
pub(crate) struct Source<'a> {
    /// For messages.
    pub table: &'a Table,
    pub name: &'a str,
    /// Position among the source's columns, not counting the target.
    pub position: usize,
    pub reading: &'a Reading,
    pub column: &'a Column,
}

/// Settings of the encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub scaling: Scaling,
    /// Whether missing numbers have an indicator; by their share if none.
    pub missing_indicator: Option<bool>,
}

/// Result of fitting a column.
pub(crate) enum Fitted {
    Kept {
        encoding: Box<ColumnEncoding>,
        /// Training rows without a number.
        imputed: usize,
        /// Categories without an indicator.
        folded: usize,
    },
    /// The reason for leaving it out.
    Dropped(&'static str),
}

/// What an encoding met in the rows that it wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Met {
    /// Cells without a value.
    pub missing: usize,
    /// Categories without an indicator.
    pub unknown: usize,
    /// Numbers that lie further outside of the training's range than this is wide.
    pub far: usize,
}

impl ColumnEncoding {
    pub fn inputs(&self) -> usize {
        self.scales.len()
    }

    /// How its cells are read.
    pub fn reading(&self) -> Reading {
        match (&self.reading, &self.kind) {
            (Some(reading), _) => reading.clone(),
            (None, Kind::Category { .. }) => Reading::Text,
            (None, _) => Reading::default(),
        }
    }

    /// In words, for the table of columns.
    pub fn describe(&self) -> String {
        let (what, missing) = match &self.kind {
            Kind::Number(numbers) if self.quantiles.is_empty() => ("0 or 1".to_owned(), numbers.missing),
            Kind::Number(numbers) => ("number".to_owned(), numbers.missing),
            Kind::Date { elapsed, cycles } => {
                let cycles: Vec<&str> = cycles.iter().map(|cycle| cycle.name()).collect();
                (["time elapsed"].into_iter().chain(cycles).collect::<Vec<_>>().join(", "), elapsed.missing)
            }
            Kind::Category { levels, coded, other, missing } => {
                let coded = match coded.len() {
                    0 => String::new(),
                    n => format!(", {} more in {CODE} hashed inputs", count(n as u64)),
                };
                let other = if *other { " and \"other\"" } else { "" };
                (format!("{} indicators{coded}{other}", levels.len()), *missing)
            }
        };
        if missing { format!("{what}, is missing") } else { what }
    }

    /// Fits a column on the rows `train` alone.
    pub fn fit(source: Source, train: &[usize], settings: Settings) -> Result<Fitted, DataError> {
        let Source { table, name, position, column, reading } = source;
        // Of a column of numbers, one copy in the order of the rows is faster than many looks at the rows.
        let (seen, n_missing) = match column {
            Column::Number(values) | Column::Time(values) => {
                let seen: Vec<f64> = train.iter().map(|row| values[*row]).collect();
                let n_missing = seen.iter().filter(|v| v.is_nan()).count();
                (seen, n_missing)
            }
            Column::Text { .. } | Column::Other { .. } => {
                (Vec::new(), train.iter().filter(|row| column.is_missing(**row)).count())
            }
        };
        if n_missing == train.len() {
            return Ok(Fitted::Dropped("it is empty in the training rows"));
        }
        let (kind, moments, folded) = match column {
            Column::Other { what, .. } => return Ok(Fitted::Dropped(what)),
            Column::Number(_) | Column::Time(_) => {
                let is_date = matches!(column, Column::Time(_));
                let (kind, moments) = fit_numbers(&seen, is_date, n_missing, settings);
                if !moments[0].std.is_finite() || !moments[0].mean.is_finite() {
                    return Err(match train.iter().zip(&seen).find(|(_, v)| v.is_infinite()) {
                        Some((row, _)) => DataError::cell(
                            &table.file,
                            table.place(*row),
                            name,
                            "an infinite number, or one too large",
                            "expected a finite number; leave the cell empty if the value is missing",
                        ),
                        None => DataError::column(
                            &table.file,
                            name,
                            "its numbers are too large to be standardised",
                            "rescale or leave out the column",
                        ),
                    });
                }
                (kind, moments, 0)
            }
            Column::Text { levels, codes } => {
                let (levels, codes) = merged(levels, codes);
                match fit_categories(&levels, &codes, train, n_missing) {
                    Ok(fitted) => fitted,
                    Err(why) => return Ok(Fitted::Dropped(why)),
                }
            }
        };
        // Truth values stay 0 and 1, as all indicators do.
        let is_truth = matches!(&kind, Kind::Number(Numbers { range: Some([low, high]), .. }) if *low == 0.0 && *high == 1.0)
            && seen.iter().all(|v| !(0.0 < *v && *v < 1.0));
        let numbers = kind.numbers().map(|(numbers, _)| numbers);
        let is_number = |input: usize| input == 0 && !is_truth && numbers.is_some();
        let scale = |(input, m): (usize, &Moments)| match settings.scaling {
            Scaling::Standard | Scaling::Clipped if is_number(input) || m.is_constant() => m.scale(),
            _ => Scale::IDENTITY,
        };
        let scales: Vec<Scale> = moments.iter().enumerate().map(scale).collect();
        let quantiles = match numbers {
            Some(numbers) if !moments[0].is_constant() && !is_truth => {
                let known = sample(&seen, QUANTILE_ROWS).copied().filter(|v| !v.is_nan());
                quantiles(known.map(|v| scaled(v, scales[0], numbers.clip) as f32).collect())
            }
            _ => Vec::new(),
        };
        let imputed = if numbers.is_some() { n_missing } else { 0 };
        let reading = Some(reading.clone());
        let encoding = ColumnEncoding { name: name.into(), position, reading, kind, scales, quantiles };
        Ok(Fitted::Kept { encoding: Box::new(encoding), imputed, folded })
    }

    /// The inputs of this column for the rows `order` of `column`, to be put into rows by [`Prepared::write`]. `table` is
    /// for messages.
    pub fn prepare(
        &self,
        table: &Table,
        column: &Column,
        order: &[usize],
    ) -> Result<(Prepared, Met), DataError> {
        match (&self.kind, column) {
            (Kind::Number(numbers), Column::Number(values)) => {
                self.encode(table, numbers, &[], values, order)
            }
            (Kind::Date { elapsed, cycles }, Column::Time(values)) => {
                self.encode(table, elapsed, cycles, values, order)
            }
            (Kind::Category { levels, coded, other, missing }, Column::Text { levels: found, codes }) => {
                let code_inputs = code_inputs(coded);
                let other_input = other.then_some(levels.len() + code_inputs);
                let missing_input = missing.then_some(levels.len() + code_inputs + usize::from(*other));
                let (found, codes) = merged(found, codes);
                let all: Vec<&String> = levels.iter().chain(coded).collect();
                // Models of earlier versions have `1.0`, and may have `1`, too.
                let known: HashMap<Cow<str>, usize> =
                    all.iter().enumerate().rev().map(|(at, level)| (category(level), at)).collect();
                let one = |input: usize| Written::One(input, self.scales[input].apply(1.0) as f32);
                let of = |level: &String| match (known.get(level.as_str()), other_input) {
                    (Some(at), _) if *at < levels.len() => one(*at),
                    (Some(at), _) => Written::Code(Box::new(code(all[*at]))),
                    (None, Some(at)) => one(at),
                    (None, None) => Written::Nothing,
                };
                let mut written: Vec<Written> = found.iter().map(of).collect();
                let codes: Vec<u32> = order.iter().map(|row| codes[*row]).collect();
                let met = Met {
                    missing: codes.iter().filter(|code| **code == MISSING).count(),
                    unknown: codes
                        .iter()
                        .filter(|code| matches!(written.get(**code as usize), Some(Written::Nothing)))
                        .count(),
                    far: 0,
                };
                // MISSING is no level's code.
                written.push(missing_input.map_or(Written::Nothing, one));
                let zeros = self.scales.iter().map(|s| s.apply(0.0) as f32).collect();
                Ok((Prepared::Category { zeros, coded_from: levels.len(), written, codes }, met))
            }
            // A column that is empty in a file has no type there.
            (_, column) if (0..column.len()).all(|row| column.is_missing(row)) => {
                let rows = column.len();
                let empty = match self.kind {
                    Kind::Number(_) => Column::Number(vec![f64::NAN; rows]),
                    Kind::Date { .. } => Column::Time(vec![f64::NAN; rows]),
                    Kind::Category { .. } => Column::Text { levels: Vec::new(), codes: vec![MISSING; rows] },
                };
                self.prepare(table, &empty, order)
            }
            (_, column) => {
                let holds = match column {
                    Column::Number(_) => "numbers",
                    Column::Text { .. } => "texts",
                    Column::Time(_) => "dates",
                    Column::Other { what, .. } => what,
                };
                let what = format!("holds {holds}, but was of another type in training");
                Err(DataError::column(&table.file, &self.name, what, "give the column as in training"))
            }
        }
    }

    /// Numbers or seconds: the value; sine and cosine of the cycles; whether it is missing.
    fn encode(
        &self,
        table: &Table,
        numbers: &Numbers,
        cycles: &[Cycle],
        values: &[f64],
        order: &[usize],
    ) -> Result<(Prepared, Met), DataError> {
        let Numbers { median, missing, clip, range } = *numbers;
        let [low, high] = range.map_or([f64::NEG_INFINITY, f64::INFINITY], |[low, high]| {
            [low - (high - low), high + (high - low)]
        });
        let scale = self.scales[0];
        let mut met = Met::default();
        let mut first = Vec::with_capacity(order.len());
        let mut block = [0.0; ROWS_IN_CACHE];
        // One simple loop after the other over a few rows: the compiler takes several numbers at a time.
        for rows in order.chunks(ROWS_IN_CACHE) {
            let block = &mut block[..rows.len()];
            block.iter_mut().zip(rows).for_each(|(v, row)| *v = values[*row]);
            met.missing += block.iter().filter(|v| v.is_nan()).count();
            block.iter_mut().for_each(|v| *v = if v.is_nan() { median } else { *v });
            met.far += block.iter().filter(|v| (**v < low) | (**v > high)).count();
            block.iter_mut().for_each(|v| *v = scale.apply(*v));
            if !block.iter().fold(true, |all, x| all & (*x as f32).is_finite()) {
                return Err(self.too_large(table, values, median, rows));
            }
            match clip {
                Some(limit) => first.extend(block.iter().map(|x| smooth_clip(*x, limit) as f32)),
                None => first.extend(block.iter().map(|x| *x as f32)),
            }
        }
        let mut inputs = vec![first];
        for cycle in cycles {
            let (mut sines, mut cosines) = (Vec::with_capacity(order.len()), Vec::with_capacity(order.len()));
            for value in order.iter().map(|row| values[*row]) {
                let (sin, cos) = libm::sincos(std::f64::consts::TAU * cycle.phase(value));
                // A missing date is nowhere in a cycle.
                sines.push(if value.is_nan() { 0.0 } else { sin as f32 });
                cosines.push(if value.is_nan() { 0.0 } else { cos as f32 });
            }
            inputs.extend([sines, cosines]);
        }
        if missing {
            let [no, yes] = [0.0, 1.0].map(|x| self.scales[inputs.len()].apply(x) as f32);
            inputs.push(order.iter().map(|row| if values[*row].is_nan() { yes } else { no }).collect());
        }
        Ok((Prepared::Numbers(inputs), met))
    }

    /// The error of the first of `rows` whose number f32 does not have.
    fn too_large(&self, table: &Table, values: &[f64], median: f64, rows: &[usize]) -> DataError {
        let filled = |row: usize| if values[row].is_nan() { median } else { values[row] };
        let is_large = |row: &usize| !(self.scales[0].apply(filled(*row)) as f32).is_finite();
        let row = rows.iter().copied().find(is_large).unwrap_or(0);
        let value = shorten(&format!("{:e}", filled(row))).to_owned();
        DataError::cell(
            &table.file,
            table.place(row),
            &self.name,
            format!("{value} is out of range for the network's 32-bit numbers"),
            "rescale the column, or leave the cell empty if the value is missing",
        )
    }
}

/// The inputs of a column, in the order of the rows to be written, smaller than the column was.
pub(crate) enum Prepared {
    /// The values of each input.
    Numbers(Vec<Vec<f32>>),
    Category {
        /// A row without a category.
        zeros: Vec<f32>,
        /// The first input of codes.
        coded_from: usize,
        /// How each level is written; the last is how a missing one is.
        written: Vec<Written>,
        codes: Vec<u32>,
    },
}

impl Prepared {
    /// Writes the rows from `first` on, into the inputs from `offset` on of `out` `[rows, width]`.
    pub fn write(&self, first: usize, out: &mut [f32], width: usize, offset: usize) {
        let rows = out.chunks_exact_mut(width).map(|row| &mut row[offset..]).zip(first..);
        match self {
            Prepared::Numbers(inputs) => {
                for (out, row) in rows {
                    out.iter_mut().zip(inputs).for_each(|(out, input)| *out = input[row]);
                }
            }
            Prepared::Category { zeros, coded_from, written, codes } => {
                for (out, row) in rows {
                    out[..zeros.len()].copy_from_slice(zeros);
                    match &written[(codes[row] as usize).min(written.len() - 1)] {
                        Written::One(input, value) => out[*input] = *value,
                        Written::Code(code) => out[*coded_from..][..CODE].copy_from_slice(&**code),
                        Written::Nothing => {}
                    }
                }
            }
        }
    }
}

/// How a category is written.
pub(crate) enum Written {
    /// As this value, 1 scaled, at this input.
    One(usize, f32),
    /// As signs from the first input of codes on.
    Code(Box<[f32; CODE]>),
    Nothing,
}

/// Inputs that the categories `coded` share.
pub(crate) fn code_inputs(coded: &[String]) -> usize {
    if coded.is_empty() { 0 } else { CODE }
}

/// The code of a category: the first bits of the SHA-256 of its text as signs.
fn code(level: &str) -> [f32; CODE] {
    let digest = Sha256::digest(level.as_bytes());
    std::array::from_fn(|at| if digest[at / 8] >> (at % 8) & 1 == 1 { SIGN } else { -SIGN })
}

/// At most `most` of the training rows, evenly spaced.
pub(crate) fn sample<T>(train: &[T], most: usize) -> impl Iterator<Item = &T> {
    train.iter().step_by(train.len().div_ceil(most).max(1))
}

/// A number as the network's input.
fn scaled(value: f64, scale: Scale, clip: Option<f64>) -> f64 {
    clipped(scale.apply(value), clip)
}

fn clipped(x: f64, clip: Option<f64>) -> f64 {
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

/// Fits the numbers of the training rows, NaN where they are missing.
fn fit_numbers(seen: &[f64], is_date: bool, n_missing: usize, settings: Settings) -> (Kind, Vec<Moments>) {
    let known = || seen.iter().copied().filter(|v| !v.is_nan());
    // A column without gaps needs its median at predict, where a sample is good enough.
    let median = median(if n_missing > 0 {
        known().collect()
    } else {
        sample(seen, QUANTILE_ROWS).copied().collect()
    });
    let filled = seen.iter().map(|v| if v.is_nan() { median } else { *v });
    let mut moments = vec![Moments::of(filled)];
    let range = Some(ends(seen));
    let cycles: Vec<Cycle> =
        Cycle::ALL.into_iter().filter(|cycle| is_date && varies(*cycle, known())).collect();
    // Sine and cosine are of the size of standardised numbers as they are.
    moments.extend(std::iter::repeat_n(Moments { mean: 0.0, std: 1.0 }, 2 * cycles.len()));
    let by_share = n_missing as f64 > MISSING_SHARE * seen.len() as f64;
    let missing = settings.missing_indicator.map_or(by_share, |asked| asked && n_missing > 0);
    if missing {
        moments.push(Moments::binary(n_missing, seen.len()));
    }
    let clip = (settings.scaling == Scaling::Clipped).then_some(CLIP);
    let numbers = Numbers { median, missing, clip, range };
    let kind = match is_date {
        true => Kind::Date { elapsed: numbers, cycles },
        false => Kind::Number(numbers),
    };
    (kind, moments)
}

/// The median of numbers; there is at least one.
fn median(mut values: Vec<f64>) -> f64 {
    let (middle, is_even) = (values.len() / 2, values.len().is_multiple_of(2));
    let (below, upper, _) = values.select_nth_unstable_by(middle, f64::total_cmp);
    let upper = *upper;
    match below.iter().copied().max_by(f64::total_cmp) {
        Some(lower) if is_even => lower / 2.0 + upper / 2.0,
        _ => upper,
    }
}

/// Whether the places in a cycle differ.
fn varies(cycle: Cycle, mut seconds: impl Iterator<Item = f64>) -> bool {
    let first = seconds.next().map(|s| cycle.phase(s));
    seconds.any(|s| Some(cycle.phase(s)) != first)
}

/// Levels and codes of a column in which texts that are the same [`category`] are one.
fn merged<'a>(levels: &'a [String], codes: &'a [u32]) -> (Cow<'a, [String]>, Cow<'a, [u32]>) {
    if levels.iter().all(|level| category(level) == level.as_str()) {
        return (levels.into(), codes.into());
    }
    let (mut names, mut places) = (Vec::new(), HashMap::new());
    let mut place = |level| {
        *places.entry(category(level)).or_insert_with_key(|name| {
            names.push(name.clone().into_owned());
            names.len() as u32 - 1
        })
    };
    let codes_of: Vec<u32> = levels.iter().map(|level| place(level)).collect();
    let codes = codes.iter().map(|code| codes_of.get(*code as usize).copied().unwrap_or(MISSING)).collect();
    (names.into(), codes)
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
    seen.sort_by(|a, b| counts[*b].cmp(&counts[*a]).then(levels[*a].cmp(&levels[*b])));
    let has_input = |l: &usize| counts[*l] >= FEWEST;
    let kept = seen.iter().filter(|l| has_input(l)).count();
    if kept == 0 {
        return Err("each of its texts is too rare to learn from");
    }
    let folded = seen.split_off(kept);
    // Codes pay only where they are fewer inputs than indicators would be.
    let mut coded = seen.split_off(if kept > MAX_LEVELS + CODE { MAX_LEVELS } else { kept });
    for some in [&mut seen, &mut coded] {
        some.sort_by(|a, b| levels[*a].cmp(&levels[*b]));
    }
    let moments = |rows: usize| Moments::binary(rows, train.len());
    let mut inputs: Vec<Moments> = seen.iter().map(|l| moments(counts[*l])).collect();
    if !coded.is_empty() {
        inputs.extend([Moments { mean: 0.0, std: 1.0 }; CODE]);
    }
    let n_other: usize = folded.iter().map(|l| counts[*l]).sum();
    let (other, missing) = (n_other > 0, n_missing > 0);
    inputs.extend(other.then(|| moments(n_other)));
    inputs.extend(missing.then(|| moments(n_missing)));
    let texts = |some: &[usize]| some.iter().map(|l| levels[*l].clone()).collect();
    Ok((Kind::Category { levels: texts(&seen), coded: texts(&coded), other, missing }, inputs, folded.len()))
}

#[cfg(test)]
mod tests {
    use super::super::table::Cell;
    use super::*;

    fn fit(column: &Column, train: &[usize]) -> ColumnEncoding {
        fit_scaled(column, train, Scaling::None)
    }

    fn fit_scaled(column: &Column, train: &[usize], scaling: Scaling) -> ColumnEncoding {
        match fitted(column, train, scaling) {
            Fitted::Kept { encoding, .. } => *encoding,
            Fitted::Dropped(why) => panic!("{why}"),
        }
    }

    fn fitted(column: &Column, train: &[usize], scaling: Scaling) -> Fitted {
        let reading = match column {
            Column::Text { .. } => Reading::Text,
            _ => Reading::default(),
        };
        let table = Table::from_matrix("t.csv", &[], 0);
        let source = Source { table: &table, name: "c", position: 0, reading: &reading, column };
        ColumnEncoding::fit(source, train, Settings { scaling, missing_indicator: None }).unwrap()
    }

    fn text(cells: &[Option<&str>]) -> Column {
        let mut builder = super::super::table::ColumnBuilder::text();
        cells.iter().for_each(|c| builder.push(c.map_or(Cell::Missing, Cell::Text)));
        builder.finish()
    }

    fn write(encoding: &ColumnEncoding, column: Column) -> Vec<Vec<f32>> {
        let table = Table::from_matrix("t.csv", &[], 0);
        let (width, order) = (encoding.inputs(), (0..column.len()).collect::<Vec<_>>());
        let mut out = vec![9.0; order.len() * width];
        let (prepared, _) = encoding.prepare(&table, &column, &order).unwrap();
        let half = order.len() / 2;
        prepared.write(0, &mut out[..half * width], width, 0);
        prepared.write(half, &mut out[half * width..], width, 0);
        out.chunks(width).map(<[f32]>::to_vec).collect()
    }

    #[test]
    fn a_category_is_the_same_however_its_format_writes_it() {
        let written = |training: &[&str], cell: &str| {
            let cells: Vec<Option<&str>> = [training, training].concat().into_iter().map(Some).collect();
            let encoding = fit(&text(&cells), &(0..cells.len()).collect::<Vec<_>>());
            write(&encoding, text(&[Some(cell)])).remove(0).iter().position(|v| *v == 1.0)
        };
        for training in [["-1.0", "2.0", "3.5", "TRUE", "x"], ["-1", "2", "3.5", "true", "x"]] {
            for (cell, expected) in [
                ("2", Some(1)),
                ("2.0", Some(1)),
                ("-1", Some(0)),
                ("-1.0", Some(0)),
                ("3.5", Some(2)),
                ("True", Some(3)),
                ("x", Some(4)),
                ("2.00", None),
                ("3.50", None),
                ("02", None),
                ("X", None),
                ("x.0", None),
            ] {
                assert_eq!(written(&training, cell), expected, "{training:?}, {cell}");
            }
        }
        // Codes and versions stay what they are.
        assert_eq!(
            ["007", "7", "3.1", "3.10"].map(|c| written(&["007", "3.1", "3.10", "7"], c)),
            [0, 3, 1, 2].map(Some)
        );
        // A rare one is no more than another spelling of the usual one.
        let cells: Vec<Option<&str>> = ["3", "3", "a", "a", "3.0"].into_iter().map(Some).collect();
        let encoding = fit(&text(&cells), &[0, 1, 2, 3, 4]);
        let expected = Kind::Category {
            levels: vec!["3".into(), "a".into()],
            coded: vec![],
            other: false,
            missing: false,
        };
        assert_eq!(encoding.kind, expected);
        assert_eq!(write(&encoding, text(&[Some("3.0"), Some("b")])), [[1.0, 0.0], [0.0, 0.0]]);
    }

    #[test]
    fn missing_numbers_get_the_training_median_and_an_indicator() {
        let nan = f64::NAN;
        let column = Column::Number(vec![1.0, 5.0, nan, 2.0, 4.0, 1e9]);
        let encoding = fit(&column, &[0, 1, 2, 3, 4]);
        assert_eq!(
            encoding.kind,
            Kind::Number(Numbers { median: 3.0, missing: true, clip: None, range: Some([1.0, 5.0]) })
        );
        assert_eq!(write(&encoding, column)[2], [3.0, 1.0]);
        let odd = fit(&Column::Number(vec![nan, 7.0, 1.0, 3.0]), &[0, 1, 2, 3]);
        assert_eq!(
            odd.kind,
            Kind::Number(Numbers { median: 3.0, missing: true, clip: None, range: Some([1.0, 7.0]) })
        );
        // No value is missing in training: there is no indicator, but later missing values are still imputed.
        let complete = fit(&Column::Number(vec![1.0, 2.0, 9.0]), &[0, 1, 2]);
        assert_eq!(write(&complete, Column::Number(vec![nan])), [[2.0]]);
    }

    #[test]
    fn categories_are_those_of_the_training_rows() {
        let column = text(&[Some("b"), Some("a"), None, Some("a"), Some("b"), Some("late")]);
        let encoding = fit(&column, &[0, 1, 2, 3, 4]);
        let levels = vec!["a".to_owned(), "b".into()];
        assert_eq!(encoding.kind, Kind::Category { levels, coded: Vec::new(), other: false, missing: true });
        let out = write(&encoding, column);
        assert_eq!(out[0], [0.0, 1.0, 0.0]);
        assert_eq!(out[1], [1.0, 0.0, 0.0]);
        assert_eq!(out[2], [0.0, 0.0, 1.0]);
        assert_eq!(out[5], [0.0, 0.0, 0.0], "a category that is not in the training rows");
    }

    #[test]
    fn many_categories_have_codes_and_ids_are_dropped() {
        // 138 different names, and one that is in one row.
        let mut names: Vec<String> = (0..1000).map(|i| format!("c{}", (i * i) % 411)).collect();
        names.push("once".into());
        let column = text(&names.iter().map(|n| Some(n.as_str())).collect::<Vec<_>>());
        let encoding = fit_scaled(&column, &(0..1001).collect::<Vec<_>>(), Scaling::Clipped);
        assert_eq!(encoding.inputs(), MAX_LEVELS + CODE + 1);
        let mut seen = std::collections::HashMap::new();
        for (name, out) in names.iter().zip(write(&encoding, column)) {
            let length: f32 = out.iter().map(|x| x * x).sum();
            assert_eq!(length, 1.0, "{name}");
            // An indicator, or a code.
            assert!(
                out[..MAX_LEVELS].contains(&1.0) != out[MAX_LEVELS..][..CODE].iter().any(|x| *x != 0.0)
                    || name == "once"
            );
            assert_eq!(out[MAX_LEVELS + CODE] == 1.0, name == "once");
            assert_eq!(seen.entry(name).or_insert(out.clone()), &out);
        }
        let different: std::collections::HashSet<_> = seen.values().map(|out| format!("{out:?}")).collect();
        assert_eq!(different.len(), 139);
        // `printf c1 | sha256sum` begins with d0; its bits from the lowest are 0 0 0 0 1 0 1 1.
        let signs: Vec<bool> = code("c1")[..8].iter().map(|x| *x > 0.0).collect();
        assert_eq!(signs, [false, false, false, false, true, false, true, true]);
        let unknown = write(&encoding, text(&[Some("new"), None]));
        assert_eq!(unknown[0][MAX_LEVELS + CODE], 1.0);
        assert!(unknown[1].iter().all(|x| *x == 0.0));
        let names: Vec<String> = (0..8).map(|i| format!("id{i}")).collect();
        let column = text(&names.iter().map(|n| Some(n.as_str())).collect::<Vec<_>>());
        let fitted = fitted(&column, &[0, 1, 2, 3, 4, 5, 6, 7], Scaling::Standard);
        assert!(matches!(fitted, Fitted::Dropped(why) if why.contains("too rare")));
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
