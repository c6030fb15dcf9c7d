//! SQLite databases: a table, a view, or the rows of a query.
//!
//! The database is opened for reading alone. `FILE::NAME` reads a table, `FILE::SELECT ...` a query; a database of one
//! table needs neither.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};

use super::DataError;
use super::binary::check_memory;
use super::error::{list, nearest, shorten};
use super::file::{Source, name_of};
use super::join::{as_asked, table};
use super::raw::{Raw, digest};
use super::table::{Cell, ColumnBuilder, ReadOptions, Table};
use crate::base::panics;

/// First bytes of a database.
pub(crate) const MAGIC: &[u8] = b"SQLite format 3\0";

/// Rows after which the memory is looked at again.
const LOOK_AFTER: u64 = 1 << 16;

/// Reads a table, or the rows of a query.
pub(crate) fn read(path: &Path, selection: Option<&str>, options: &ReadOptions) -> Result<Raw, DataError> {
    let name = name_of(path);
    if Source::open(path)?.is_packed() {
        return Err(DataError::file(&name, "is a packed database", "unpack it first"));
    }
    if super::file::first_bytes(path, 16)? != MAGIC {
        let what = "is not an SQLite database: it does not begin with \"SQLite format 3\"";
        return Err(DataError::file(&name, what, "check how it was written or copied"));
    }
    let failed = |e: rusqlite::Error| {
        DataError::file(&name, format!("cannot be read ({e})"), "check it with `sqlite3 FILE .schema`")
    };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let database = Connection::open_with_flags(path, flags).map_err(failed)?;
    let query = match selection.map(str::trim) {
        Some(query) if is_query(query) => query.to_owned(),
        wanted => {
            let table = choose(&name, &tables(&database).map_err(failed)?, wanted)?;
            format!("SELECT * FROM \"{}\"", table.replace('"', "\"\""))
        }
    };
    let mut table = read_rows(&name, &database, &query)?;
    as_asked(&mut table, options);
    let mut content = vec![Source::open(path)?.digest()?.to_vec()];
    // Changes that are not yet in the file itself.
    let log = PathBuf::from(format!("{}-wal", path.display()));
    if log.metadata().is_ok_and(|log| log.len() > 0) {
        content.push(Source::open(&log)?.digest()?.to_vec());
    }
    content.push(query.into_bytes());
    Ok(Raw::from_table(table, digest(&content.iter().map(Vec::as_slice).collect::<Vec<_>>())))
}

/// Whether what follows `::` is a query, not the name of a table.
fn is_query(text: &str) -> bool {
    let word = text.split_whitespace().next().unwrap_or_default();
    text.contains(char::is_whitespace)
        && ["select", "with", "values"].iter().any(|w| word.eq_ignore_ascii_case(w))
}

/// Names of tables and views, in the order of their making.
fn tables(database: &Connection) -> rusqlite::Result<Vec<String>> {
    let query = "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' \
                 ESCAPE '\\' ORDER BY rowid";
    let mut statement = database.prepare(query)?;
    statement.query_map((), |row| row.get(0))?.collect()
}

fn choose(file: &str, tables: &[String], wanted: Option<&str>) -> Result<String, DataError> {
    match (wanted, tables) {
        (Some(wanted), _) => {
            if let Some(table) = tables.iter().find(|table| table.eq_ignore_ascii_case(wanted)) {
                return Ok(table.clone());
            }
            let remedy = match nearest(wanted, tables) {
                Some(near) => format!("did you mean {file}::{near}?"),
                None => "name one of them after ::, or give a query: FILE::SELECT ...".into(),
            };
            let what = format!("has no table {wanted:?}; it has {}", list(tables));
            Err(DataError::file(file, what, remedy))
        }
        (None, []) => Err(DataError::file(file, "has no tables", "expected a table with rows")),
        (None, [table]) => Ok(table.clone()),
        (None, tables) => {
            let what = format!("has {} tables: {}", tables.len(), list(tables));
            let remedy =
                format!("name one, as in {file}::{}, or give a query: {file}::SELECT ...", tables[0]);
            Err(DataError::file(file, what, remedy))
        }
    }
}

fn read_rows(file: &str, database: &Connection, query: &str) -> Result<Table, DataError> {
    let failed = |e: rusqlite::Error| {
        let mut what = format!("{:?} fails", shorten(query));
        let _ = write!(what, " ({e})");
        DataError::file(file, what, "check the query with the program sqlite3")
    };
    let mut statement = database.prepare(query).map_err(failed)?;
    if !statement.readonly() {
        return Err(DataError::file(file, "the query would change the database", "give one that only reads"));
    }
    // It panics at a name that is not UTF-8.
    let names = panics::caught(|| statement.column_names().map(str::to_owned).collect::<Vec<String>>());
    let names = names.map_err(|_| {
        let remedy = "rename it with ALTER TABLE, or write the table again";
        DataError::file(file, "has a column whose name is not UTF-8", remedy)
    })?;
    if names.is_empty() {
        return Err(DataError::file(file, "the query has no columns", "give one that selects some"));
    }
    let mut columns: Vec<ColumnBuilder> = names.iter().map(|_| ColumnBuilder::default()).collect();
    let mut rows = 0u64;
    let mut found = statement.query(()).map_err(failed)?;
    while let Some(row) = found.next().map_err(failed)? {
        for (i, (builder, column)) in columns.iter_mut().zip(&names).enumerate() {
            builder.push(match row.get_ref(i).map_err(failed)? {
                ValueRef::Null => Cell::Missing,
                ValueRef::Integer(v) => Cell::Integer(v.into()),
                ValueRef::Real(v) => Cell::Number(v),
                ValueRef::Blob(_) => Cell::Other("binary values"),
                ValueRef::Text(text) => Cell::Text(std::str::from_utf8(text).map_err(|_| {
                    let place = format!("row {rows}");
                    let remedy = "write it again as UTF-8, or leave the column out by a query";
                    DataError::cell(file, place, column, "text that is not UTF-8", remedy)
                })?),
            });
        }
        rows += 1;
        if rows.is_multiple_of(LOOK_AFTER) {
            // The rows so far are in memory already, so as many again.
            check_memory(file, LOOK_AFTER, names.len())?;
        }
    }
    let columns = columns.into_iter().map(ColumnBuilder::finish).collect();
    Ok(table(file, names, columns, rows as usize))
}
