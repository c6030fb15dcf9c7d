//! Tables whose cells have types.

use super::table::{Cell, Column, ColumnBuilder, MISSING, ReadOptions, Table};

/// A table of a file that names its columns.
pub(super) fn table(file: &str, names: Vec<String>, columns: Vec<Column>, rows: usize) -> Table {
    Table {
        file: file.into(),
        names,
        named: true,
        columns,
        rows,
        lines: None,
        semicolons: false,
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
    let Some(text) = options.text else { return };
    let wanted = text(&table.names, table.named);
    for (column, _) in table.columns.iter_mut().zip(wanted).filter(|(_, wanted)| *wanted) {
        if let Column::Number(_) | Column::Time(_) = column {
            let mut builder = ColumnBuilder::text();
            (0..column.len()).for_each(|row| builder.push(cell(column, row)));
            *column = builder.finish();
        }
    }
}
