//! Tables of the same columns joined one below the other.

use std::collections::HashMap;

use super::table::{Cell, Column, ColumnBuilder, Dialect, MISSING, ReadOptions, Table, Texts};

/// A table of a file that names its columns.
pub(super) fn table(file: &str, names: Vec<String>, columns: Vec<Column>, rows: usize) -> Table {
    Table {
        file: file.into(),
        names,
        named: true,
        columns,
        rows,
        lines: None,
        dialect: Dialect::default(),
        how: String::new(),
    }
}

/// The cell of a column whose cells are of one type.
fn cell(column: &Column, row: usize) -> Cell<'_> {
    match column {
        _ if column.is_missing(row) => Cell::Missing,
        Column::Number(values) => Cell::Number(values[row]),
        Column::Time(values) => Cell::Time(values[row]),
        Column::Text { levels, codes } => Cell::Text(&levels[codes[row] as usize]),
        Column::Other { what, .. } => Cell::Other(what),
    }
}

/// Applies what the user says of cells to a table whose cells have types: texts that stand for missing values, and columns
/// that are wanted as text.
pub(super) fn as_asked(table: &mut Table, options: &ReadOptions) {
    for column in table.columns.iter_mut().filter(|_| !options.missing.is_empty()) {
        let Column::Text { levels, codes } = column else { continue };
        let mut kept = 0;
        let codes_of: Vec<u32> = levels
            .iter()
            .map(|level| match options.is_missing(level) {
                true => MISSING,
                false => {
                    kept += 1;
                    kept - 1
                }
            })
            .collect();
        if kept as usize == levels.len() {
            continue;
        }
        levels.retain(|level| !options.is_missing(level));
        codes.iter_mut().filter(|code| **code != MISSING).for_each(|code| *code = codes_of[*code as usize]);
    }
    let Some(texts) = options.texts else { return };
    let wanted = texts(&table.names, table.named);
    for (column, _) in table.columns.iter_mut().zip(wanted).filter(|(_, wanted)| *wanted == Texts::All) {
        if let Column::Number(_) | Column::Time(_) = column {
            let mut builder = ColumnBuilder::text();
            (0..column.len()).for_each(|row| builder.push(cell(column, row)));
            *column = builder.finish();
        }
    }
}

/// What a column holds, in words; none if it is empty.
pub(super) fn kind(column: &Column) -> Option<&'static str> {
    let is_empty = (0..column.len()).all(|row| column.is_missing(row));
    match column {
        _ if is_empty => None,
        Column::Number(_) => Some("numbers"),
        Column::Text { .. } => Some("text"),
        Column::Time(_) => Some("times"),
        Column::Other { what, .. } => Some(what),
    }
}

/// Columns joined one below the other. Where types are mixed, the result is text, as in one column of such cells.
#[derive(Default)]
pub(super) struct Joining {
    column: Option<Column>,
    /// The code of each level.
    codes: HashMap<String, u32>,
}

impl Joining {
    pub fn push(&mut self, more: Column) {
        let Some(column) = &mut self.column else {
            self.column = Some(more);
            return;
        };
        let kinds = (kind(column), kind(&more));
        match (&mut *column, more) {
            (Column::Number(values), Column::Number(more)) | (Column::Time(values), Column::Time(more)) => {
                values.extend(more);
            }
            (Column::Text { levels, codes }, Column::Text { levels: new, codes: more }) => {
                if self.codes.is_empty() {
                    self.codes = levels.iter().cloned().zip(0..).collect();
                }
                let code_of = |level: String| match self.codes.get(&level) {
                    Some(code) => *code,
                    None => {
                        let code = levels.len() as u32;
                        self.codes.insert(level.clone(), code);
                        levels.push(level);
                        code
                    }
                };
                let new: Vec<u32> = new.into_iter().map(code_of).collect();
                codes.extend(more.into_iter().map(|code| match code {
                    MISSING => MISSING,
                    code => new[code as usize],
                }));
            }
            (Column::Other { missing, .. }, Column::Other { missing: more, .. }) => missing.extend(more),
            // An empty column has no type: it takes that of the other.
            (column, more) if kinds.0.is_none() => {
                let rows = column.len();
                *column = missing_as(&more, rows);
                self.codes.clear();
                self.push(more);
            }
            (column, more) if kinds.1.is_none() => {
                let more = missing_as(column, more.len());
                self.push(more);
            }
            (column, more) => {
                let mut builder = ColumnBuilder::default();
                for part in [&*column, &more] {
                    (0..part.len()).for_each(|row| builder.push(cell(part, row)));
                }
                *column = builder.finish();
                self.codes.clear();
            }
        }
    }

    /// Adds rows without a value.
    pub fn push_missing(&mut self, rows: usize) {
        self.push(Column::Number(vec![f64::NAN; rows]));
    }

    pub fn finish(self) -> Column {
        self.column.unwrap_or(Column::Number(Vec::new()))
    }
}

/// A column of missing cells of the type of `like`.
fn missing_as(like: &Column, rows: usize) -> Column {
    match like {
        Column::Number(_) => Column::Number(vec![f64::NAN; rows]),
        Column::Time(_) => Column::Time(vec![f64::NAN; rows]),
        Column::Text { .. } => Column::Text { levels: Vec::new(), codes: vec![MISSING; rows] },
        Column::Other { what, .. } => Column::Other { what, missing: vec![true; rows] },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(cells: &[Cell]) -> Column {
        let mut builder = ColumnBuilder::default();
        cells.iter().for_each(|cell| builder.push(*cell));
        builder.finish()
    }

    /// Joined, the halves of any column are that column.
    #[test]
    fn joined_columns_are_as_one_column_of_their_cells() {
        let mixed = [
            Cell::Missing,
            Cell::Number(1.5),
            Cell::Integer(7),
            Cell::Integer(1 << 60),
            Cell::Text("b"),
            Cell::Boolean(true),
            Cell::Missing,
            Cell::Text("b"),
            Cell::Time(86_400.0),
            Cell::Other("lists"),
        ];
        for first in 0..mixed.len() {
            for end in first..=mixed.len() {
                for middle in first..=end {
                    let mut joining = Joining::default();
                    joining.push(column(&mixed[first..middle]));
                    joining.push(column(&mixed[middle..end]));
                    let whole = column(&mixed[first..end]);
                    assert_eq!(
                        format!("{:?}", joining.finish()),
                        format!("{whole:?}"),
                        "{first} {middle} {end}"
                    );
                }
            }
        }
    }
}
