//! A table as read: named columns of numbers or text, before any encoding.

use std::borrow::Cow;
use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::numbers::is_ambiguous;
use super::raw::ImageShape;
use crate::spec::ImageSize;

/// The code of a missing cell in a text column.
pub(crate) const MISSING: u32 = u32::MAX;

/// One column as read, `[rows]`.
#[derive(Clone, Debug)]
pub(crate) enum Column {
    /// NaN is missing; infinite numbers stay, and are refused where they are used.
    Number(Vec<f64>),
    /// `levels[codes[row]]`, or [`MISSING`]. Levels are exact texts, trimmed, each of them once.
    Text { levels: Vec<String>, codes: Vec<u32> },
    /// Seconds since 1970-01-01 00:00 UTC, or of a day or a duration; NaN is missing.
    Time(Vec<f64>),
    /// Values that cannot be inputs, such as lists, and what they are. A row is missing where `missing` has it.
    Other { what: &'static str, missing: Vec<bool> },
}

impl Column {
    /// Makes numbers missing that one of `markers` says.
    pub fn without(&mut self, markers: &[f64]) {
        if let Column::Number(values) = self {
            values.iter_mut().filter(|v| markers.contains(v)).for_each(|v| *v = f64::NAN);
        }
    }

    /// Rows.
    pub fn len(&self) -> usize {
        match self {
            Column::Number(values) | Column::Time(values) => values.len(),
            Column::Text { codes, .. } => codes.len(),
            Column::Other { missing, .. } => missing.len(),
        }
    }

    /// Rows without a value.
    pub fn n_missing(&self) -> usize {
        match self {
            Column::Number(values) | Column::Time(values) => values.iter().filter(|v| v.is_nan()).count(),
            Column::Text { codes, .. } => codes.iter().filter(|code| **code == MISSING).count(),
            Column::Other { missing, .. } => missing.iter().filter(|missing| **missing).count(),
        }
    }

    pub fn is_missing(&self, row: usize) -> bool {
        match self {
            Column::Number(values) | Column::Time(values) => values[row].is_nan(),
            Column::Text { codes, .. } => codes[row] == MISSING,
            Column::Other { missing, .. } => missing[row],
        }
    }
}

/// A cell of a format whose cells have types.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Cell<'a> {
    Missing,
    Number(f64),
    /// Whole numbers beyond 2^53 are not rounded: their column becomes text.
    Integer(i128),
    Boolean(bool),
    Text(&'a str),
    /// Seconds since 1970-01-01 00:00 UTC, or of a day or a duration.
    Time(f64),
    /// What cannot be an input, such as a list.
    Other(&'static str),
}

/// Builds a column of typed cells. Where types are mixed, it becomes text: numbers as they are written shortest.
#[derive(Debug, Default)]
pub(crate) struct ColumnBuilder {
    column: Option<Column>,
    /// Rows so far.
    rows: usize,
    seen: HashMap<String, u32>,
}

impl ColumnBuilder {
    /// A column that holds text whatever its cells are.
    pub fn text() -> ColumnBuilder {
        let column = Some(Column::Text { levels: Vec::new(), codes: Vec::new() });
        ColumnBuilder { column, ..ColumnBuilder::default() }
    }

    /// Adds a cell. Texts are trimmed, and missing if they say so: see [`is_missing`].
    pub fn push(&mut self, cell: Cell) {
        let cell = match cell {
            Cell::Text(text) if is_missing(text.trim()) => Cell::Missing,
            Cell::Text(text) => Cell::Text(text.trim()),
            Cell::Number(v) | Cell::Time(v) if v.is_nan() => Cell::Missing,
            Cell::Integer(i) if i.unsigned_abs() <= MAX_EXACT => Cell::Number(i as f64),
            cell => cell,
        };
        let fits = match (&self.column, cell) {
            (_, Cell::Missing) | (None, _) => true,
            (Some(Column::Number(_)), Cell::Number(_)) => true,
            (Some(Column::Time(_)), Cell::Time(_)) => true,
            (Some(Column::Text { .. }), Cell::Other(_)) => false,
            (Some(Column::Text { .. } | Column::Other { .. }), _) => true,
            _ => false,
        };
        if !fits {
            self.mix(cell);
        }
        if self.column.is_none() {
            self.column = match cell {
                Cell::Missing => None,
                Cell::Number(_) => Some(Column::Number(vec![f64::NAN; self.rows])),
                Cell::Time(_) => Some(Column::Time(vec![f64::NAN; self.rows])),
                Cell::Other(what) => Some(Column::Other { what, missing: vec![true; self.rows] }),
                _ => Some(Column::Text { levels: Vec::new(), codes: vec![MISSING; self.rows] }),
            };
        }
        self.rows += 1;
        match &mut self.column {
            None => {}
            Some(Column::Number(values) | Column::Time(values)) => values.push(match cell {
                Cell::Number(v) | Cell::Time(v) => v,
                _ => f64::NAN,
            }),
            Some(Column::Other { missing, .. }) => missing.push(cell == Cell::Missing),
            Some(Column::Text { levels, codes }) => codes.push(match cell {
                Cell::Missing => MISSING,
                Cell::Text(text) => level(levels, &mut self.seen, text),
                cell => level(levels, &mut self.seen, &text_of(cell)),
            }),
        }
    }

    /// Turns the column so far into one that can hold `cell`.
    fn mix(&mut self, cell: Cell) {
        let rows = self.rows;
        let Some(column) = self.column.take() else { return };
        if let Cell::Other(what) = cell {
            let missing = (0..rows).map(|row| column.is_missing(row)).collect();
            self.column = Some(Column::Other { what, missing });
            return;
        }
        let (mut levels, mut codes) = (Vec::new(), Vec::with_capacity(rows));
        let (values, time) = match &column {
            Column::Number(values) => (values.as_slice(), false),
            Column::Time(values) => (values.as_slice(), true),
            _ => (&[][..], false),
        };
        for value in values {
            let cell = if time { Cell::Time(*value) } else { Cell::Number(*value) };
            codes.push(match value.is_nan() {
                true => MISSING,
                false => level(&mut levels, &mut self.seen, &text_of(cell)),
            });
        }
        self.column = Some(Column::Text { levels, codes });
    }

    pub fn finish(self) -> Column {
        self.column.unwrap_or_else(|| Column::Number(vec![f64::NAN; self.rows]))
    }
}

/// The code of a text, added to `levels` if it is new.
fn level(levels: &mut Vec<String>, seen: &mut HashMap<String, u32>, text: &str) -> u32 {
    if let Some(code) = seen.get(text) {
        return *code;
    }
    let code = levels.len() as u32;
    seen.insert(text.to_owned(), code);
    levels.push(text.to_owned());
    code
}

/// The text that stands for a category, as its cell is written in another way by formats with types, by those without, and
/// by pandas in a column with gaps: `1` for `1.0`, `true` for `True`. Texts that only look alike stay different: `1.10`, `007`.
pub(crate) fn category(text: &str) -> Cow<'_, str> {
    let is_whole = |digits: &str| digits.parse::<i64>().is_ok_and(|whole| whole.to_string() == digits);
    if let Some(whole) = text.strip_suffix(".0").filter(|whole| is_whole(whole)) {
        return whole.into();
    }
    // As `text_of` writes it.
    if let Some(number) = text.strip_suffix('0').filter(|number| is_ambiguous(number, '.')) {
        return number.into();
    }
    match ["true", "false"].into_iter().find(|word| text.eq_ignore_ascii_case(word)) {
        Some(word) => word.into(),
        None => text.into(),
    }
}

/// A typed cell as the text that a CSV file would hold. The number 1.234 becomes 1.2340, which nobody can take for 1234.
fn text_of(cell: Cell) -> String {
    match cell {
        Cell::Missing | Cell::Other(_) => String::new(),
        Cell::Number(v) => {
            let text = v.to_string();
            if is_ambiguous(&text, '.') { text + "0" } else { text }
        }
        Cell::Integer(i) => i.to_string(),
        Cell::Boolean(v) => v.to_string(),
        Cell::Text(text) => text.to_owned(),
        Cell::Time(seconds) => super::times::written(seconds),
    }
}

/// What a table tells of the decimal signs of its numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(crate) struct Dialect {
    /// Numbers may have decimal commas: semicolons separate its cells, or another column has them.
    pub may_have_commas: bool,
    /// Commas separate its cells, so that numbers hardly have decimal commas.
    pub has_commas_between: bool,
}

/// Columns of equal length.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    /// The file, for messages.
    pub file: String,
    pub names: Vec<String>,
    /// Whether the names come from the file, or are positions ("0", "1", …).
    pub named: bool,
    pub columns: Vec<Column>,
    pub rows: usize,
    /// Line of each row in a text file.
    pub lines: Option<Vec<u64>>,
    pub dialect: Dialect,
    /// How the file was read, in words.
    pub how: String,
}

/// Texts in the last row of a table that sums up the others.
const TOTALS: [&str; 9] =
    ["total", "totals", "grand total", "sum", "subtotal", "average", "mean", "summe", "gesamt"];

impl Table {
    /// A note on a last row that may sum up the others, as reports and spreadsheets have it.
    pub fn totals(&self) -> Option<String> {
        let last = self.rows.checked_sub(1).filter(|last| *last > 1)?;
        let (name, text) = self.names.iter().zip(&self.columns).find_map(|(name, column)| {
            let Column::Text { levels, codes } = column else { return None };
            let (code, before) = codes.split_last()?;
            let text = levels.get(*code as usize)?;
            let word = text.trim_end_matches(':').to_lowercase();
            (TOTALS.contains(&word.as_str()) && !before.contains(code)).then_some((name, text))
        })?;
        let place = self.place(last);
        Some(format!("{place} may be totals of the others ({text:?} in column {name:?}): if so, delete it"))
    }

    /// "line 17" of a text file, "row 16" (from 0) elsewhere.
    pub fn place(&self, row: usize) -> String {
        match self.lines.as_ref().and_then(|lines| lines.get(row)) {
            Some(line) => format!("line {line}"),
            None => format!("row {row}"),
        }
    }

    /// A table of a matrix `[rows, columns]`, row-major, whose columns are named by their positions.
    pub fn from_matrix(file: &str, values: &[f64], n_columns: usize) -> Table {
        let rows = values.len().checked_div(n_columns).unwrap_or(0);
        let column = |c: usize| Column::Number(values.iter().skip(c).step_by(n_columns).copied().collect());
        Table {
            file: file.into(),
            names: positions(n_columns),
            named: false,
            columns: (0..n_columns).map(column).collect(),
            rows,
            lines: None,
            dialect: Dialect::default(),
            how: String::new(),
        }
    }
}

/// "0", "1", …: the names of columns that have none.
pub(crate) fn positions(n: usize) -> Vec<String> {
    (0..n).map(|i| i.to_string()).collect()
}

/// Largest whole number up to which all are different as f64.
const MAX_EXACT: u128 = 1 << 53;

/// Whether a text means "no value", in any column.
pub(crate) fn is_missing(cell: &str) -> bool {
    let markers = ["?", "na", "n/a", "n.a.", "#n/a", "<na>", "nan", "-nan", "null", "nat"];
    cell.is_empty() || cell.len() <= 4 && markers.iter().any(|marker| cell.eq_ignore_ascii_case(marker))
}

/// The number in a cell that is plainly a number: `-1`, `2.5e3`, `inf`. Not so `007` (a code), nor whole numbers that
/// f64 would round (identifiers).
pub(crate) fn plain_number(cell: &str) -> Option<f64> {
    let value = cell.parse::<f64>().ok().filter(|v| !v.is_nan())?;
    let digits = cell.strip_prefix(['-', '+']).unwrap_or(cell).as_bytes();
    let is_whole = digits.iter().all(u8::is_ascii_digit);
    let is_code = matches!(digits, [b'0', next, ..] if next.is_ascii_digit());
    let is_rounded = is_whole && digits.len() > 15 && value.abs() >= MAX_EXACT as f64;
    (!is_code && !is_rounded).then_some(value)
}

/// How a reader is to read a source.
#[derive(Clone, Copy, Default)]
pub(crate) struct ReadOptions<'a> {
    /// Whether the first line of a text file names the columns; decided by its content if none.
    pub header: Option<bool>,
    /// The first line of a text file names the columns if it holds one of these.
    pub names: &'a [&'a str],
    /// Selects the cells to give as texts, given (names, whether the file has them).
    pub texts: Option<&'a WhichTexts<'a>>,
    /// Further markers of missing cells, in any column; case does not matter.
    pub missing: &'a [String],
    /// Size to which images in files are brought.
    pub image_size: Option<ImageSize>,
    /// Shape of the images that a model takes.
    pub image_shape: Option<ImageShape>,
}

pub(crate) type WhichTexts<'a> = dyn Fn(&[String], bool) -> Vec<Texts> + 'a;

/// Which cells of a column a reader must give as texts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Texts {
    /// None, if all are plain numbers.
    #[default]
    NoNumbers,
    /// All of a text file, where 1.234 may be 1234. Numbers of formats whose cells have types are numbers.
    Written,
    /// All.
    All,
}

impl ReadOptions<'_> {
    /// Whether a text means "no value".
    pub fn is_missing(&self, cell: &str) -> bool {
        is_missing(cell) || self.missing.iter().any(|marker| cell.eq_ignore_ascii_case(marker))
    }
}
