//! The columns of a table for training: which of them is the target, which are inputs, and what each holds.

use std::collections::HashSet;

use rayon::prelude::*;
use serde::Serialize;

use super::DataError;
use super::error::{list, nearest};
use super::raw::{Raw, RawFeatures, TargetColumn};
use super::table::{Column, Table, Texts};
use super::types::{self, ColumnType, Context, Decided, counts, numbers_the_rows};
use crate::base::text::{count, shorten};
use crate::spec::{AskedType, TableRequest};

/// What a column is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    Input,
    Target,
    /// Left out of the inputs.
    LeftOut,
    /// Left out of the inputs, and carried into the predictions.
    Kept,
}

/// What was decided for a column, and what it holds.
#[derive(Clone, Debug, Serialize)]
pub struct ColumnReport {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: ColumnType,
    pub role: Role,
    /// How its cells are read, if not as they are: `in kg`, `with decimal commas`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reading: String,
    /// The inputs that it becomes.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub encoding: String,
    /// Rows without a value.
    pub missing: usize,
    /// Different values among the first 65,536 rows that have one.
    pub distinct: usize,
    /// The first value.
    pub example: String,
    /// What it holds, in short.
    pub values: Values,
}

/// Rows whose different values are counted.
const DISTINCT_ROWS: usize = 1 << 16;
/// Bins of a histogram.
const BINS: usize = 16;
/// Most values that are listed.
const COMMONEST: usize = 5;

/// The values of a column in short.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Values {
    /// Rows in each of equal parts of the range from the least to the largest value.
    Histogram {
        least: f64,
        largest: f64,
        rows: Vec<usize>,
    },
    /// The most frequent texts and their rows.
    Commonest(Vec<(String, usize)>),
    None,
}

/// Positions of the columns that the user named, and what is asked of each column.
pub(crate) struct Named {
    pub asked: Vec<Option<AskedType>>,
    /// [`Role::Input`], [`Role::LeftOut`] or [`Role::Kept`].
    pub roles: Vec<Role>,
}

/// Finds the columns that a request names.
///
/// # Errors
/// A name that no column has, or that two have, and a column that is asked to be two things.
pub(crate) fn named(table: &Table, request: &TableRequest) -> Result<Named, DataError> {
    let n = table.names.len();
    let mut named = Named { asked: vec![None; n], roles: vec![Role::Input; n] };
    for column in &request.columns {
        let at = find(table, "--column", &column.name)?;
        if named.asked[at].replace(column.asked).is_some() {
            return Err(twice(table, at, "--column"));
        }
    }
    let lists = [("--drop", &request.drop, Role::LeftOut), ("--keep", &request.keep, Role::Kept)];
    for (flag, names, role) in lists {
        for name in names {
            let at = find(table, flag, name)?;
            if named.roles[at] != Role::Input && named.roles[at] != role || named.asked[at].is_some() {
                return Err(twice(table, at, flag));
            }
            named.roles[at] = role;
        }
    }
    Ok(named)
}

fn twice(table: &Table, at: usize, flag: &str) -> DataError {
    let what = format!("{flag} names it, though another flag already says what it is");
    DataError::column(&table.file, &table.names[at], what, "name it once")
}

/// The position of the column that `flag` names: a name, or else a position from 0.
pub(crate) fn find(table: &Table, flag: &str, wanted: &str) -> Result<usize, DataError> {
    let mut places = (0..table.names.len()).filter(|at| table.names[*at] == wanted);
    if let Some(at) = places.next() {
        return match places.next() {
            None => Ok(at),
            Some(other) => {
                let what = format!("columns {at} and {other} (from 0) have the same name");
                let remedy = format!("rename one of them, or give {flag} the position");
                Err(DataError::column(&table.file, wanted, what, remedy))
            }
        };
    }
    if let Some(at) = wanted.parse().ok().filter(|at| *at < table.names.len()) {
        return Ok(at);
    }
    let near = nearest(wanted, &table.names).filter(|_| table.named);
    let remedy = match near {
        Some(near) => format!("did you mean {flag} {near:?}?"),
        None => format!("set {flag} to a column's name or its position from 0"),
    };
    let what = match flag {
        "--target" => format!("no such target column; there are {}", columns_of(table)),
        _ => format!("{flag} names it, but there are {}", columns_of(table)),
    };
    Err(DataError::column(&table.file, wanted, what, remedy))
}

/// The column names, for a message about an unknown column.
fn columns_of(table: &Table) -> String {
    if table.named {
        list(&table.names)
    } else {
        format!("0 to {} (it has no header)", table.names.len().saturating_sub(1))
    }
}

/// The target if none is named: the last column that has a name, is not left out and does not number the rows.
pub(crate) fn default_target(table: &Table, roles: &[Role]) -> Option<usize> {
    let usable = |at: &usize| {
        let (name, column) = (&table.names[*at], &table.columns[*at]);
        roles[*at] == Role::Input && !name.starts_with("Unnamed: ") && !numbers_the_rows(name, column)
    };
    (0..table.names.len()).rev().find(usable)
}

/// Which columns a reader must give as texts, whatever is in them.
pub(crate) fn as_text(request: &TableRequest, names: &[String]) -> Vec<Texts> {
    let asked = |at: usize, wanted: &str| wanted == names[at] || wanted.parse() == Ok(at);
    let is_text = |at: usize| {
        request.columns.iter().any(|c| c.asked == AskedType::Category && asked(at, &c.name))
            || request.keep.iter().any(|name| asked(at, name))
    };
    (0..names.len()).map(|at| if is_text(at) { Texts::All } else { Texts::NoNumbers }).collect()
}

/// Refuses two inputs, or an input and the target, with one name.
pub(crate) fn check_names(table: &Table, used: impl Iterator<Item = usize>) -> Result<(), DataError> {
    let mut seen = std::collections::HashMap::new();
    for at in used {
        if let Some(first) = seen.insert(&table.names[at], at) {
            let what = format!("columns {first} and {at} (from 0) have the same name");
            let remedy = "rename one of them, or leave one out by its position, with --drop";
            return Err(DataError::column(&table.file, &table.names[at], what, remedy));
        }
    }
    Ok(())
}

/// Decides what the target holds.
pub(crate) fn decide_target(
    raw: &Raw,
    target: &TargetColumn,
    asked: Option<AskedType>,
) -> Result<Decided, DataError> {
    let place = |row: usize| raw.place(row);
    let context = Context {
        file: &raw.file,
        name: &target.name,
        may_have_commas: matches!(&raw.features, RawFeatures::Table(table) if table.dialect.may_have_commas),
        is_target: true,
        asked,
        place: &place,
    };
    types::decide(target.column.clone(), &context)
}

/// Decides what `columns`, all of the table but the target, hold. What is no input may hold anything.
pub(crate) fn decide_all(
    table: &Table,
    columns: Vec<Column>,
    named: &Named,
) -> Result<Vec<(Decided, ColumnReport)>, DataError> {
    let decided: Vec<Result<_, DataError>> = columns
        .into_par_iter()
        .enumerate()
        .map(|(at, column)| {
            let role = named.roles[at];
            let decided = match role {
                Role::Input => decide(table, at, column, named.asked[at])?,
                // Its type is shown, but nothing depends on it.
                _ => decide(table, at, column.clone(), None).unwrap_or_else(|_| types::undecided(column)),
            };
            let report = report(&table.names[at], &decided, role);
            Ok((decided, report))
        })
        .collect();
    // The first error in the order of the columns, whichever was found first.
    decided.into_iter().collect()
}

/// Decides what the column at `at` holds.
fn decide(table: &Table, at: usize, column: Column, asked: Option<AskedType>) -> Result<Decided, DataError> {
    let place = |row: usize| table.place(row);
    let context = Context {
        file: &table.file,
        name: &table.names[at],
        may_have_commas: table.dialect.may_have_commas,
        is_target: false,
        asked,
        place: &place,
    };
    types::decide(column, &context)
}

/// Describes a column that was decided.
pub(crate) fn report(name: &str, decided: &Decided, role: Role) -> ColumnReport {
    let column = &decided.column;
    let known = || (0..column.len()).filter(|row| !column.is_missing(*row));
    let first = known().next();
    let text = |row: usize| match column {
        Column::Number(values) => values[row].to_string(),
        Column::Time(values) => super::times::written(values[row]),
        Column::Text { levels, codes } => levels[codes[row] as usize].clone(),
        Column::Other { what, .. } => (*what).to_owned(),
    };
    let mut some: Vec<u64> = match column {
        Column::Number(values) | Column::Time(values) => {
            known().take(DISTINCT_ROWS).map(|row| (values[row] + 0.0).to_bits()).collect()
        }
        Column::Text { codes, .. } => known().take(DISTINCT_ROWS).map(|row| codes[row].into()).collect(),
        Column::Other { .. } => Vec::new(),
    };
    some.sort_unstable();
    some.dedup();
    ColumnReport {
        name: name.to_owned(),
        kind: decided.kind,
        role,
        reading: decided.reading.describe(),
        encoding: String::new(),
        missing: column.n_missing(),
        distinct: some.len(),
        example: first.map(text).unwrap_or_default(),
        values: values_of(column),
    }
}

/// The least and the largest of numbers that are not NaN; if there are none, the first is larger than the second.
pub(crate) fn ends(values: &[f64]) -> [f64; 2] {
    // Comparisons with NaN are false. Several at a time, as the compiler does not reorder them by itself.
    let mut lanes = [[f64::INFINITY; LANES], [f64::NEG_INFINITY; LANES]];
    let narrow = |[low, high]: &mut [[f64; LANES]; 2], at: usize, v: f64| {
        low[at] = if v < low[at] { v } else { low[at] };
        high[at] = if v > high[at] { v } else { high[at] };
    };
    let chunks = values.chunks_exact(LANES);
    chunks.remainder().iter().for_each(|v| narrow(&mut lanes, 0, *v));
    chunks.for_each(|chunk| (0..LANES).for_each(|at| narrow(&mut lanes, at, chunk[at])));
    let [low, high] = lanes;
    [low.into_iter().fold(f64::INFINITY, f64::min), high.into_iter().fold(f64::NEG_INFINITY, f64::max)]
}

const LANES: usize = 8;

/// Rows in each of [`BINS`] equal parts from `least` to `largest`, without infinite numbers and NaN.
fn histogram(values: &[f64], least: f64, largest: f64) -> Vec<usize> {
    let width = (largest - least) / BINS as f64;
    // One more bin takes what is not finite; a constant column has a width of 0, and all is in the first.
    let mut rows = [[0usize; BINS + 1]; 2];
    let mut bins = [0; 1 << 10];
    for values in values.chunks(bins.len()) {
        let last = (BINS - 1) as f64;
        for (bin, v) in bins.iter_mut().zip(values) {
            let place = if width > 0.0 { (v - least) / width } else { 0.0 };
            let place = if place < last { place } else { last };
            *bin = if v.is_finite() { place as i32 } else { BINS as i32 };
        }
        // Two counters, so that two equal bins in a row need not wait for each other.
        for pair in bins[..values.len()].chunks(2) {
            pair.iter().zip(&mut rows).for_each(|(bin, rows)| rows[*bin as usize] += 1);
        }
    }
    (0..BINS).map(|bin| rows[0][bin] + rows[1][bin]).collect()
}

fn values_of(column: &Column) -> Values {
    match column {
        Column::Number(values) | Column::Time(values) => {
            let mut found = ends(values);
            if found[0].is_infinite() || found[1].is_infinite() {
                let finite: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
                found = ends(&finite);
            }
            let [least, largest] = found;
            if least > largest {
                return Values::None;
            }
            Values::Histogram { least, largest, rows: histogram(values, least, largest) }
        }
        Column::Text { levels, codes } => {
            let mut common: Vec<(&String, usize)> = levels.iter().zip(counts(levels, codes)).collect();
            common.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
            common.truncate(COMMONEST);
            Values::Commonest(common.into_iter().map(|(text, rows)| (shorten(text), rows)).collect())
        }
        Column::Other { .. } => Values::None,
    }
}

/// A column that alone tells the target nearly always is rarely known when a prediction is needed.
const LEAK: f64 = 0.999;
/// Fewer rows than this show nothing.
const LEAK_ROWS: usize = 50;
/// So many tell a share of 99.9 % from less.
pub(crate) const MAX_LEAK_ROWS: usize = 1 << 14;

/// A warning if `column` alone tells the target of the rows `rows`: `target` holds classes or values, and `is_class`
/// says which.
pub(crate) fn leak(
    name: &str,
    column: &Column,
    target: &[f64],
    is_class: bool,
    rows: &[usize],
) -> Option<String> {
    if rows.len() < LEAK_ROWS {
        return None;
    }
    let told = match (column, is_class) {
        (Column::Number(values) | Column::Time(values), true) => told_by_order(values, target, rows),
        (Column::Number(values) | Column::Time(values), false) => correlation(values, target, rows).abs(),
        (Column::Text { levels, codes }, true) => told_by_level(levels.len(), codes, target, rows),
        _ => 0.0,
    };
    (told >= LEAK).then(|| {
        let how = if is_class {
            format!("alone tells the class of {:.1} % of the rows", 100.0 * told)
        } else {
            format!("is nearly the target itself (correlation {told:.4})")
        };
        format!("column {name:?} {how}: is it known when you predict? If not, --drop it")
    })
}

/// Share of the rows whose class follows from a few limits of the number: as many runs of one class as there are
/// classes, but for some rows.
fn told_by_order(values: &[f64], target: &[f64], rows: &[usize]) -> f64 {
    let mut known: Vec<(f64, f64)> =
        rows.iter().map(|row| (values[*row], target[*row])).filter(|(v, _)| !v.is_nan()).collect();
    let n_classes = known.iter().map(|(_, class)| class.to_bits()).collect::<HashSet<_>>().len();
    if n_classes < 2 || known.len() < LEAK_ROWS {
        return 0.0;
    }
    known.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let changes = known.windows(2).filter(|pair| pair[0].1 != pair[1].1).count();
    // Each row in a wrong place makes up to two changes.
    1.0 - (changes.saturating_sub(n_classes - 1)) as f64 / (2 * known.len()) as f64
}

/// Share of the rows that have the commonest class of their text, if texts return often enough.
fn told_by_level(n_levels: usize, codes: &[u32], target: &[f64], rows: &[usize]) -> f64 {
    if n_levels * 5 > rows.len() {
        return 0.0;
    }
    let mut of_level: Vec<std::collections::HashMap<u64, usize>> = vec![Default::default(); n_levels];
    let mut classes = std::collections::HashMap::<u64, usize>::new();
    let mut known = 0;
    for row in rows {
        if let Some(level) = of_level.get_mut(codes[*row] as usize) {
            *level.entry(target[*row].to_bits()).or_default() += 1;
            *classes.entry(target[*row].to_bits()).or_default() += 1;
            known += 1;
        }
    }
    let hits: usize = of_level.iter().filter_map(|level| level.values().max()).sum();
    let without = classes.values().max().copied().unwrap_or(0);
    // Where one class is nearly everything, every column tells it.
    if known < LEAK_ROWS || (known - hits) * 20 > known - without { 0.0 } else { hits as f64 / known as f64 }
}

fn correlation(values: &[f64], target: &[f64], rows: &[usize]) -> f64 {
    let known = || rows.iter().map(|row| (values[*row], target[*row])).filter(|(v, _)| v.is_finite());
    let n = known().count() as f64;
    if n < LEAK_ROWS as f64 {
        return 0.0;
    }
    let (a, b) = known().fold((0.0, 0.0), |(a, b), (x, y)| (a + x / n, b + y / n));
    let (xy, xx, yy) = known().fold((0.0, 0.0, 0.0), |(xy, xx, yy), (x, y)| {
        (xy + (x - a) * (y - b), xx + (x - a) * (x - a), yy + (y - b) * (y - b))
    });
    if xx > 0.0 && yy > 0.0 { xy / (xx * yy).sqrt() } else { 0.0 }
}

/// A note that rows are sorted by class, if they are: such an order says nothing, but often goes with a leak.
pub(crate) fn sorted_by_class(name: &str, classes: &[usize], rows: &[usize]) -> Option<String> {
    let changes = rows.windows(2).filter(|pair| classes[pair[0]] != classes[pair[1]]).count();
    // Sorted rows change class less often than there are classes.
    if changes > rows.iter().map(|row| classes[*row]).max()? {
        return None;
    }
    let runs = rows.chunk_by(|a, b| classes[*a] == classes[*b]);
    let n_classes = runs.map(|run| classes[run[0]]).collect::<HashSet<_>>().len();
    (n_classes >= 2 && rows.len() >= LEAK_ROWS && changes == n_classes - 1).then(|| {
        format!(
            "the {} rows are sorted by {name:?}: a column that grows from row to row would tell it",
            count(rows.len() as u64)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::ChaCha8Rng;
    use rand::{RngExt, SeedableRng};

    #[test]
    fn histograms_count_every_finite_number_once() {
        let mut random = ChaCha8Rng::seed_from_u64(4);
        for n in [1, 2, 7, 8, 9, 1023, 1024, 1025, 5000] {
            let mut values: Vec<f64> = (0..n).map(|_| random.random_range(-3.0..5.0)).collect();
            for (at, odd) in [(3, f64::NAN), (5, f64::INFINITY), (n / 2, f64::NEG_INFINITY)] {
                if at > 0 && at < n {
                    values[at] = odd;
                }
            }
            let finite: Vec<f64> = values.iter().copied().filter(|v| v.is_finite()).collect();
            let mut sorted = finite.clone();
            sorted.sort_by(f64::total_cmp);
            let (low, high) = (sorted[0], sorted[sorted.len() - 1]);
            let mut expected = vec![0; BINS];
            for v in &finite {
                let at =
                    (0..BINS).filter(|bin| (v - low) * BINS as f64 >= (high - low) * *bin as f64).count();
                expected[at.max(1) - 1] += 1;
            }
            let Values::Histogram { least, largest, rows } = values_of(&Column::Number(values)) else {
                panic!("{n} numbers have no histogram");
            };
            assert_eq!((least, largest, rows.iter().sum::<usize>()), (low, high, finite.len()), "{n}");
            let moved: usize = rows.iter().zip(&expected).map(|(a, b)| a.abs_diff(*b)).sum();
            // One number may be at an edge.
            assert!(
                if low < high { moved <= 2 } else { rows[0] == finite.len() },
                "{n}: {rows:?} {expected:?}"
            );
        }
        assert_eq!(values_of(&Column::Number(vec![f64::NAN, f64::INFINITY])), Values::None);
    }
}
