//! JSON: an object on each line (JSON Lines), or one array of objects (as pandas writes with orient="records").
//!
//! The keys are the columns, in the order in which they first appear; a row without a key has no value in its column.
//! Lines are read in blocks, as many at a time as there are cores.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use rayon::prelude::*;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::DataError;
use super::binary::check_memory;
use super::error::shorten;
use super::file::Source;
use super::join::{Joining, as_asked, table};
use super::memory;
use super::raw::{Raw, digest};
use super::table::{Cell, Column, ColumnBuilder, ReadOptions, Table};

/// Least bytes of a block of lines.
const BLOCK: usize = 1 << 20;

/// Maximum number of columns; a file with more is not a table.
const MAX_COLUMNS: usize = 1 << 20;

/// Most bytes of a table for each byte of its file: a row of a hundred bytes may lack eight hundred keys of others.
const TABLE_PER_BYTE: u64 = 64;

const TOO_WIDE: &str = "too many different keys: nearly all cells of the table would be empty";

/// Whether a file of `length` bytes can be such a table. Missing cells take memory, but no bytes of the file.
fn is_plausible(rows: usize, columns: usize, length: u64) -> bool {
    let cells = (rows as u64 + 1).saturating_mul(columns as u64);
    columns <= MAX_COLUMNS && memory::is_plausible(cells.saturating_mul(8), length, TABLE_PER_BYTE)
}

/// Refuses a table that is nearly empty, or does not fit into the free memory.
fn check_size(file: &str, rows: usize, columns: usize, length: usize) -> Result<(), DataError> {
    if !is_plausible(rows, columns, length as u64) {
        return Err(DataError::file(file, format!("has {TOO_WIDE}"), WRITE));
    }
    check_memory(file, rows as u64, columns)
}

/// Reads a whole table.
pub(crate) fn read(path: &Path, options: &ReadOptions) -> Result<Raw, DataError> {
    let source = Source::open_table(path)?;
    let (name, bytes) = (source.name.clone(), source.read()?);
    let mut table = parse(&name, &bytes)?;
    as_asked(&mut table, options);
    Ok(Raw::from_table(table, digest(&[&bytes])))
}

fn parse(file: &str, bytes: &[u8]) -> Result<Table, DataError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let table = match bytes.trim_ascii_start().first() {
        Some(b'[') => parse_array(file, bytes),
        Some(b'{') => parse_lines(file, bytes),
        Some(_) => return Err(DataError::file(file, "is not JSON: it begins with neither { nor [", WRITE)),
        None => return Err(DataError::file(file, "holds no rows", WRITE)),
    }?;
    let nested = |column: &Column| matches!(column, Column::Other { .. });
    if table.rows == 1 && table.columns.iter().all(nested) {
        return Err(DataError::file(file, "holds one object of whole columns", WRITE));
    }
    if table.names.is_empty() {
        return Err(DataError::file(file, "has no columns: its objects are empty", WRITE));
    }
    Ok(table)
}

const WRITE: &str = "expected an object on each line, or one array of objects: in pandas, \
                     to_json(FILE, orient=\"records\", lines=True)";

/// Rows of a block.
#[derive(Default)]
struct Rows {
    names: Vec<String>,
    places: HashMap<String, usize>,
    columns: Vec<ColumnBuilder>,
    /// Rows of each column so far: the last ones may lack.
    lengths: Vec<usize>,
    rows: usize,
    /// The column after that of the last key: rows have the same order of keys as a rule.
    next: usize,
    /// Bytes of the file.
    length: u64,
}

impl Rows {
    fn of(length: usize) -> Rows {
        Rows { length: length as u64, ..Rows::default() }
    }

    /// The column of a key, new or not; none if the table becomes too large.
    fn place(&mut self, key: &str) -> Option<usize> {
        let place = match self.names.get(self.next) {
            Some(name) if name == key => self.next,
            _ => match self.places.get(key) {
                Some(place) => *place,
                None if !is_plausible(self.rows, self.names.len() + 1, self.length) => return None,
                None => {
                    self.names.push(key.to_owned());
                    self.places.insert(key.to_owned(), self.names.len() - 1);
                    self.columns.push(ColumnBuilder::default());
                    self.lengths.push(0);
                    self.names.len() - 1
                }
            },
        };
        self.next = place + 1;
        Some(place)
    }

    /// The builder of a column, up to the current row; none if the row already has a cell there.
    fn column(&mut self, place: usize) -> Option<&mut ColumnBuilder> {
        let (column, length) = (&mut self.columns[place], &mut self.lengths[place]);
        if *length > self.rows {
            return None;
        }
        (*length..self.rows).for_each(|_| column.push(Cell::Missing));
        *length = self.rows + 1;
        Some(column)
    }

    fn end_row(&mut self) {
        self.rows += 1;
        self.next = 0;
    }

    fn finish(self) -> (Vec<String>, Vec<Column>) {
        let rows = self.rows;
        let columns = self.columns.into_iter().zip(self.lengths).map(|(mut column, length)| {
            (length..rows).for_each(|_| column.push(Cell::Missing));
            column.finish()
        });
        (self.names, columns.collect())
    }
}

/// Reads an object as a row.
impl<'de> DeserializeSeed<'de> for &mut Rows {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &mut Rows {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object of columns")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(place) = map.next_key_seed(Key(self))? {
            let twice = || A::Error::custom("a key stands twice in one object");
            let column = self.column(place).ok_or_else(twice)?;
            map.next_value_seed(Value(column))?;
        }
        self.end_row();
        Ok(())
    }
}

/// Reads a key as the place of its column.
struct Key<'a>(&'a mut Rows);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = usize;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<usize, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = usize;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<usize, E> {
        self.0.place(key).ok_or_else(|| E::custom(TOO_WIDE))
    }
}

/// Reads a value as a cell.
struct Value<'a>(&'a mut ColumnBuilder);

impl<'de> DeserializeSeed<'de> for Value<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.0.push(Cell::Missing);
        Ok(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.0.push(Cell::Boolean(value));
        Ok(())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.0.push(Cell::Integer(value.into()));
        Ok(())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.0.push(Cell::Integer(value.into()));
        Ok(())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.0.push(Cell::Number(value));
        Ok(())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.0.push(Cell::Text(value));
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        self.0.push(Cell::Other("lists"));
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        self.0.push(Cell::Other("nested values"));
        Ok(())
    }
}

/// Reads an array of objects as rows.
struct Array<'a>(&'a mut Rows);

impl<'de> Visitor<'de> for Array<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an array of objects")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(&mut *self.0)?.is_some() {}
        Ok(())
    }
}

fn parse_array(file: &str, bytes: &[u8]) -> Result<Table, DataError> {
    let mut rows = Rows::of(bytes.len());
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let read = deserializer.deserialize_seq(Array(&mut rows)).and_then(|()| deserializer.end());
    read.map_err(|e| bad_line(file, e.line() as u64, &e, bytes))?;
    let n_rows = rows.rows;
    check_size(file, n_rows, rows.names.len(), bytes.len())?;
    let (names, columns) = rows.finish();
    Ok(table(file, names, columns, n_rows))
}

/// The rows of a block of lines, and the line of each, from 1 in the block.
fn parse_block(block: &[u8], length: usize) -> Result<(Rows, Vec<u64>, u64), (u64, serde_json::Error)> {
    let (mut rows, mut lines, mut line_number) = (Rows::of(length), Vec::new(), 0);
    for line in block.split_inclusive(|byte| *byte == b'\n') {
        line_number += 1;
        let line = line.trim_ascii();
        if line.is_empty() {
            continue;
        }
        let mut deserializer = serde_json::Deserializer::from_slice(line);
        let read = (&mut rows).deserialize(&mut deserializer).and_then(|()| deserializer.end());
        read.map_err(|e| (line_number, e))?;
        lines.push(line_number);
    }
    Ok((rows, lines, line_number))
}

fn parse_lines(file: &str, bytes: &[u8]) -> Result<Table, DataError> {
    let size = BLOCK.max(bytes.len().div_ceil(8 * rayon::current_num_threads()));
    let mut blocks = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let end = size.min(rest.len());
        let end =
            rest[end..].iter().position(|byte| *byte == b'\n').map_or(rest.len(), |more| end + more + 1);
        let (block, after) = rest.split_at(end);
        blocks.push(block);
        rest = after;
    }
    let parsed: Vec<_> =
        blocks.into_par_iter().map(|block| (block, parse_block(block, bytes.len()))).collect();

    let (mut names, mut places) = (Vec::<String>::new(), HashMap::<String, usize>::new());
    let mut columns: Vec<(Joining, usize)> = Vec::new();
    let (mut lines, mut rows, mut first_line) = (Vec::new(), 0, 0);
    for (block, parsed) in parsed {
        let (block_rows, block_lines, n_lines) = parsed.map_err(|(line, e)| {
            let text = block.split(|byte| *byte == b'\n').nth(line as usize - 1).unwrap_or_default();
            bad_line(file, first_line + line, &e, text)
        })?;
        lines.extend(block_lines.iter().map(|line| first_line + line));
        first_line += n_lines;
        let n_rows = block_rows.rows;
        check_size(file, rows + n_rows, names.len().max(block_rows.names.len()), bytes.len())?;
        let (block_names, block_columns) = block_rows.finish();
        for (name, column) in block_names.into_iter().zip(block_columns) {
            let place = *places.entry(name).or_insert_with_key(|name| {
                names.push(name.clone());
                columns.push((Joining::default(), 0));
                names.len() - 1
            });
            let (joining, length) = &mut columns[place];
            if *length < rows {
                joining.push_missing(rows - *length);
            }
            joining.push(column);
            *length = rows + n_rows;
        }
        rows += n_rows;
        check_size(file, rows, names.len(), bytes.len())?;
    }
    let columns = columns.into_iter().map(|(mut joining, length)| {
        if length < rows {
            joining.push_missing(rows - length);
        }
        joining.finish()
    });
    Ok(Table { lines: Some(lines), ..table(file, names, columns.collect(), rows) })
}

/// An error that names the line, and says what to do about the commonest mistake.
fn bad_line(file: &str, line: u64, error: &serde_json::Error, text: &[u8]) -> DataError {
    let what = error.to_string();
    let what = what.split(" at line ").next().unwrap_or(&what);
    let has = |word: &str| text.windows(word.len()).any(|window| window == word.as_bytes());
    let remedy = match ["NaN", "Infinity"].into_iter().find(|word| error.is_syntax() && has(word)) {
        Some(word) => format!("JSON has no {word}: write null for a missing value"),
        None => WRITE.to_owned(),
    };
    DataError::row(file, format!("line {line}, character {}", error.column()), shorten(what), remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Table {
        parse("a.jsonl", text.as_bytes()).unwrap()
    }

    fn error(text: &str) -> String {
        parse("a.jsonl", text.as_bytes()).unwrap_err().to_string()
    }

    #[test]
    fn keys_are_columns_in_order_of_appearance() {
        let rows =
            [r#"{"b": 1, "a": "x"}"#, r#"{"a": "y", "c": null}"#, r#"{"c": true, "b": 2.5, "d": [1]}"#];
        let lines = table(&format!("{}\n\n{}\r\n{}", rows[0], rows[1], rows[2]));
        assert_eq!(lines.names, ["b", "a", "c", "d"]);
        assert_eq!(lines.lines, Some(vec![1, 3, 4]));
        let array = table(&format!("[{}]", rows.join(",\n")));
        assert_eq!(format!("{:?}", lines.columns), format!("{:?}", array.columns));
        let Column::Number(b) = &lines.columns[0] else { panic!("not numbers") };
        assert!(b[0] == 1.0 && b[1].is_nan() && b[2] == 2.5, "{b:?}");
        let Column::Text { levels, codes } = &lines.columns[2] else { panic!("not text") };
        assert_eq!((levels[0].as_str(), codes[2]), ("true", 0));
        assert!(
            matches!(&lines.columns[3], Column::Other { what: "lists", missing } if *missing == [true, true, false])
        );
    }

    #[test]
    fn numbers_are_exact() {
        let read =
            table("{\"a\": 9007199254740993, \"b\": 0.1}\n{\"a\": 18446744073709551615, \"b\": -1e-7}");
        let Column::Text { levels, .. } = &read.columns[0] else { panic!("not text") };
        assert_eq!(levels, &["9007199254740993", "18446744073709551615"]);
        assert!(matches!(&read.columns[1], Column::Number(b) if *b == [0.1, -1e-7]));
    }

    #[test]
    fn blocks_are_joined_as_if_read_at_once() {
        let row = |i: usize| match i % 3 {
            0 => format!("{{\"i\": {i}, \"text\": \"{}\"}}\n", i % 7),
            1 => format!("{{\"text\": \"{:200}\", \"late{}\": {i}}}\n", i, i / 5_000),
            _ => format!(
                "\n{{\"i\": {}, \"mixed\": {}}}\n",
                -(i as i64),
                if i < 20_000 { "1" } else { "\"x\"" }
            ),
        };
        let text: String = (0..30_000).map(row).collect();
        assert!(text.len() > 2 * BLOCK, "{}", text.len());
        let lines = table(&text);
        let (rows, numbers, _) = parse_block(text.as_bytes(), text.len()).unwrap();
        let (names, columns) = rows.finish();
        assert_eq!((&names, Some(&numbers)), (&lines.names, lines.lines.as_ref()));
        assert!(names.len() > 6 && format!("{columns:?}") == format!("{:?}", lines.columns));
    }

    #[test]
    fn errors_name_the_line() {
        let long = "{\"a\": 1}\n".repeat(300_000);
        for (text, expected) in [
            ("{\"a\": 1}\n{\"a\": 1\n".to_owned(), "line 2"),
            ("{\"a\": 1}\n\n[1, 2]\n".to_owned(), "line 3"),
            ("{\"a\": NaN}\n".to_owned(), "JSON has no NaN"),
            ("[{\"a\": 1},\n {\"a\": Infinity}]".to_owned(), "line 2"),
            ("{\"a\": 1, \"a\": 2}\n".to_owned(), "twice"),
            ("[[1, 2], [3, 4]]".to_owned(), "an object of columns"),
            ("{\"a\": {\"0\": 1}, \"b\": {\"0\": 2}}".to_owned(), "orient=\"records\""),
            ("{\"a\": \"\\ud800\"}".to_owned(), "line 1"),
            ("hello".to_owned(), "neither { nor ["),
            ("{}\n{}\n".to_owned(), "no columns"),
            (format!("{long}{{\"a\" 1}}\n"), "line 300001"),
        ] {
            let error = error(&text);
            assert!(error.contains(expected), "{error}");
        }
    }
}
