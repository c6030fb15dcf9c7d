//! A table as read: named columns of numbers or text, before any encoding.

use std::collections::HashMap;

use super::DataError;

/// The code of a missing cell in a text column.
pub(crate) const MISSING: u32 = u32::MAX;

/// One column, `[rows]`.
#[derive(Clone, Debug)]
pub(crate) enum Column {
    /// NaN is missing; there is no infinity.
    Number(Vec<f64>),
    /// `levels[codes[row]]`, or [`MISSING`].
    Text { levels: Vec<String>, codes: Vec<u32> },
}

impl Column {
    pub fn is_missing(&self, row: usize) -> bool {
        match self {
            Column::Number(values) => values[row].is_nan(),
            Column::Text { codes, .. } => codes[row] == MISSING,
        }
    }
}

/// Builds a text column, each different text stored once.
#[derive(Default)]
pub(crate) struct TextBuilder {
    levels: Vec<String>,
    codes: Vec<u32>,
    seen: HashMap<String, u32>,
}

impl TextBuilder {
    pub fn push(&mut self, cell: Option<&str>) {
        let code = match cell {
            None => MISSING,
            Some(text) => match self.seen.get(text) {
                Some(code) => *code,
                None => {
                    let code = self.levels.len() as u32;
                    self.seen.insert(text.to_owned(), code);
                    self.levels.push(text.to_owned());
                    code
                }
            },
        };
        self.codes.push(code);
    }

    pub fn finish(self) -> Column {
        Column::Text { levels: self.levels, codes: self.codes }
    }
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
}

impl Table {
    /// "line 17" of a text file, "row 16" (from 0) elsewhere.
    pub fn place(&self, row: usize) -> String {
        match self.lines.as_ref().and_then(|lines| lines.get(row)) {
            Some(line) => format!("line {line}"),
            None => format!("row {row}"),
        }
    }

    /// The same file and rows, without columns.
    pub fn clone_without_columns(&self) -> Table {
        Table {
            file: self.file.clone(),
            names: Vec::new(),
            named: self.named,
            columns: Vec::new(),
            rows: self.rows,
            lines: self.lines.clone(),
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
        }
    }

    /// Refuses two columns with the same name.
    pub fn check_names(file: &str, names: &[String]) -> Result<(), DataError> {
        let mut seen = HashMap::new();
        for (i, name) in names.iter().enumerate() {
            if let Some(first) = seen.insert(name, i) {
                return Err(DataError::column(
                    file,
                    name,
                    format!("columns {first} and {i} (from 0) have the same name"),
                    "rename or delete one of them",
                ));
            }
        }
        Ok(())
    }
}

/// "0", "1", …: the names of columns that have none.
pub(crate) fn positions(n: usize) -> Vec<String> {
    (0..n).map(|i| i.to_string()).collect()
}

/// Whether a cell of a text file means "no value", in any column.
pub(crate) fn is_missing(cell: &str) -> bool {
    let markers = ["?", "na", "n/a", "n.a.", "#n/a", "<na>", "nan", "-nan", "null"];
    cell.is_empty() || markers.iter().any(|marker| cell.eq_ignore_ascii_case(marker))
}

/// Whether a cell means "no value" in a numeric column; in a text column these may be classes.
pub(crate) fn is_missing_number(cell: &str) -> bool {
    ["-", ".", "none", "missing"].iter().any(|marker| cell.eq_ignore_ascii_case(marker))
}

/// The number in a cell; infinite if written so or too large for f64.
pub(crate) fn number(cell: &str) -> Option<f64> {
    cell.parse::<f64>().ok().filter(|v| !v.is_nan())
}

/// The number in a cell with a decimal comma, as `-1,5` or `2,5e3`.
pub(crate) fn decimal_comma(cell: &str) -> Option<f64> {
    let (whole, fraction) = cell.split_once(',')?;
    if whole.contains('.') || fraction.contains([',', '.']) {
        return None;
    }
    number(&format!("{whole}.{fraction}"))
}

/// The first row with a text that makes the column non-numeric, and that text.
pub(crate) fn first_text<'a>(levels: &'a [String], codes: &[u32]) -> Option<(usize, &'a str)> {
    let at = |is_text: &dyn Fn(&String) -> bool| {
        let texts: Vec<bool> = levels.iter().map(is_text).collect();
        let row = codes.iter().position(|c| texts.get(*c as usize) == Some(&true))?;
        Some((row, levels[codes[row] as usize].as_str()))
    };
    // Prefer a text that can be read neither as a number nor as missing.
    at(&|l| number(l).is_none() && decimal_comma(l).is_none() && !is_missing_number(l))
        .or_else(|| at(&|l| number(l).is_none()))
        .or_else(|| at(&|_| true))
}
