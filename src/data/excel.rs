//! Spreadsheets: Excel's .xlsx, .xlsm, .xlsb and .xls, and OpenDocument's .ods.
//!
//! One sheet is read: the first that is visible, or the one named after the path. Its first row names the columns if all
//! its cells are text. Empty rows, and empty columns at the sides, are left out.

use std::collections::BTreeMap;
use std::io::{BufReader, Read, Seek};
use std::path::Path;

use calamine::{Data, ExcelDateTime, Ods, Reader, Sheet, SheetType, SheetVisible, Xls, Xlsb, Xlsx};
use jiff::SignedDuration;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::DataError;
use super::binary::{Binary, Seekable, check_memory};
use super::error::{list, nearest};
use super::join::{as_asked, table};
use super::raw::{Raw, digest};
use super::table::{Cell, Column, ColumnBuilder, ReadOptions, Table, positions};
use super::{memory, times, xls};
use crate::base::panics;
use crate::base::text::{bytes, counted};
use crate::spec::DateOrder;

/// First bytes of a zip archive, which all formats but .xls are.
const ZIP: &[u8] = b"PK\x03\x04";
/// Memory that the cells of an .xls may claim for each byte of the file: a cell of a full sheet takes 6 bytes or more.
const CLAIM_PER_BYTE: u64 = 64;
/// First bytes of the container of .xls, and of workbooks with a password.
pub(crate) const COMPOUND: &[u8] = &[0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1];

/// The cells of a spreadsheet after which its memory is looked at again.
const LOOK_AFTER: u64 = 1 << 22;

const REMEDY: &str = "open it in the spreadsheet program and save it again, or save the sheet as CSV";

/// Reads one sheet.
pub(crate) fn read(path: &Path, sheet: Option<&str>, options: &ReadOptions) -> Result<Raw, DataError> {
    let binary = Binary::open(path)?;
    let name = binary.name().to_owned();
    let content = binary.digest()?;
    let content = sheet.map_or(content, |sheet| digest(&[&content, sheet.as_bytes()]));
    let read = panics::caught(|| read_sheet(&name, path, &binary, sheet, options));
    let (mut table, notes) =
        read.unwrap_or_else(|_| Err(DataError::file(&name, "is damaged: it cannot be decoded", REMEDY)))?;
    as_asked(&mut table, options);
    Ok(Raw { notes, ..Raw::from_table(table, content) })
}

fn read_sheet(
    name: &str,
    path: &Path,
    binary: &Binary,
    sheet: Option<&str>,
    options: &ReadOptions,
) -> Result<(Table, Vec<String>), DataError> {
    let io = |e| DataError::io(path, e);
    let (first, _, length) = binary.ends::<8>()?;
    let mut reader = BufReader::with_capacity(1 << 16, binary.reader().map_err(io)?);
    let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
    let failed = |e: &dyn std::fmt::Display| {
        let what = match is_protected(binary) {
            true => "is protected by a password".to_owned(),
            false => format!("cannot be read ({e})"),
        };
        DataError::file(name, what, REMEDY)
    };
    let mut cells = Cells::new(name, options);
    // A sheet that uses its last cell would fill the memory with empty ones, if it were read as a whole.
    macro_rules! cell_by_cell {
        ($book:ident) => {{
            let (sheet, notes) = choose(name, $book.sheets_metadata(), sheet)?;
            let failed = |e| DataError::file(name, format!("sheet {sheet:?} cannot be read ({e})"), REMEDY);
            let mut reader = $book.worksheet_cells_reader(&sheet).map_err(failed)?;
            while let Some(cell) = reader.next_cell().map_err(failed)? {
                let (row, column) = cell.get_position();
                cells.push(row, column, cell.get_value().clone().into())?;
            }
            Ok(notes)
        }};
    }
    let notes = if first == COMPOUND {
        let claimed = xls::claimed(binary.reader().map_err(io)?).map_err(|e| failed(&e))?;
        let needed = claimed.saturating_mul(size_of::<Data>() as u64);
        if !memory::is_plausible(needed, length, CLAIM_PER_BYTE) {
            let (claimed, length) = (counted(claimed, "cell"), bytes(length));
            let what = format!("has sheets of {claimed}, nearly all of them empty, as it has only {length}");
            return Err(DataError::file(name, what, "delete the cells that stand far from the table"));
        }
        memory::check(name, needed)?;
        let mut book = Xls::new(reader).map_err(|e| failed(&e))?;
        whole_sheet(name, &mut book, sheet, &mut cells)
    } else if !first.starts_with(ZIP) {
        return Err(DataError::file(name, "is not a spreadsheet", REMEDY));
    } else if extension == "ods" {
        let mut book = Ods::new(reader).map_err(|e| failed(&e))?;
        whole_sheet(name, &mut book, sheet, &mut cells)
    } else if extension == "xlsb" {
        let mut book = Xlsb::new(reader).map_err(|e| failed(&e))?;
        cell_by_cell!(book)
    } else {
        reader.rewind().map_err(io)?;
        let mut book = Xlsx::new(reader).map_err(|e| failed(&e))?;
        cell_by_cell!(book)
    };
    let mut notes = notes?;
    let (table, errors) = cells.finish()?;
    if !errors.is_empty() {
        let total = errors.values().sum();
        let kinds: Vec<&str> = errors.keys().map(String::as_str).collect();
        notes.push(format!("{} ({}) read as missing", counted(total, "error cell"), kinds.join(", ")));
    }
    Ok((table, notes))
}

/// Whether a file is a workbook in the container of a password.
fn is_protected(binary: &Binary) -> bool {
    let name: Vec<u8> = "EncryptedPackage".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let mut bytes = Vec::new();
    let read = binary.reader().and_then(|reader| reader.take(1 << 26).read_to_end(&mut bytes));
    read.is_ok() && bytes.starts_with(COMPOUND) && bytes.windows(name.len()).any(|window| window == name)
}

/// Reads a sheet of a format whose reader gives whole sheets.
fn whole_sheet<'a, B>(
    name: &str,
    book: &mut B,
    sheet: Option<&str>,
    cells: &mut Cells,
) -> Result<Vec<String>, DataError>
where
    B: Reader<BufReader<Box<dyn Seekable + 'a>>>,
    B::Error: std::fmt::Display,
{
    let (sheet, notes) = choose(name, book.sheets_metadata(), sheet)?;
    let range = book.worksheet_range(&sheet);
    let range =
        range.map_err(|e| DataError::file(name, format!("sheet {sheet:?} cannot be read ({e})"), REMEDY))?;
    let (first_row, first_column) = range.start().unwrap_or_default();
    for (row, column, cell) in range.used_cells() {
        cells.push(first_row + row as u32, first_column + column as u32, cell.clone())?;
    }
    Ok(notes)
}

/// The sheet to read, and a note on the others.
fn choose(file: &str, sheets: &[Sheet], wanted: Option<&str>) -> Result<(String, Vec<String>), DataError> {
    let tables: Vec<&Sheet> = sheets.iter().filter(|sheet| sheet.typ == SheetType::WorkSheet).collect();
    let names: Vec<&str> = tables.iter().map(|sheet| sheet.name.as_str()).collect();
    if let Some(wanted) = wanted {
        let found = names.iter().find(|name| name.to_lowercase() == wanted.to_lowercase());
        return found.map(|name| ((*name).to_owned(), Vec::new())).ok_or_else(|| {
            let remedy = match nearest(wanted, &names) {
                Some(near) => format!("did you mean {file}::{near}?"),
                None => "name one of them after ::".to_owned(),
            };
            DataError::file(file, format!("has no sheet {wanted:?}; it has {}", list(&names)), remedy)
        });
    }
    let visible = tables.iter().find(|sheet| sheet.visible == SheetVisible::Visible).or(tables.first());
    let Some(sheet) = visible else {
        return Err(DataError::file(file, "has no sheet of cells", REMEDY));
    };
    let others: Vec<&str> = names.iter().copied().filter(|name| *name != sheet.name).collect();
    let note = (!others.is_empty()).then(|| {
        format!("sheet {:?} of {file} read, not {}; FILE::SHEET names another", sheet.name, list(&others))
    });
    Ok((sheet.name.clone(), note.into_iter().collect()))
}

/// Cells as they come, row by row.
struct Cells<'a> {
    file: &'a str,
    options: &'a ReadOptions<'a>,
    /// The first row, until the next one begins.
    first: Vec<(usize, Data)>,
    first_line: Option<u64>,
    header: Option<BTreeMap<usize, String>>,
    columns: Vec<ColumnBuilder>,
    /// Rows of each column so far: the last ones may lack.
    lengths: Vec<usize>,
    /// The number of each row in the sheet, from 1.
    lines: Vec<u64>,
    pushed: u64,
    look_at: u64,
    /// Error cells by what they show.
    errors: BTreeMap<String, u64>,
}

impl<'a> Cells<'a> {
    fn new(file: &'a str, options: &'a ReadOptions<'a>) -> Cells<'a> {
        Cells {
            file,
            options,
            first: Vec::new(),
            first_line: None,
            header: None,
            columns: Vec::new(),
            lengths: Vec::new(),
            lines: Vec::new(),
            pushed: 0,
            look_at: LOOK_AFTER,
            errors: BTreeMap::new(),
        }
    }

    fn push(&mut self, row: u32, column: u32, value: Data) -> Result<(), DataError> {
        if matches!(&value, Data::Empty) || matches!(&value, Data::String(text) if text.trim().is_empty()) {
            return Ok(());
        }
        let (line, column) = (u64::from(row) + 1, column as usize);
        match self.first_line {
            None => self.first_line = Some(line),
            Some(first) if first == line => {}
            Some(_) => self.end_first_row(),
        }
        if self.first_line == Some(line) {
            self.first.push((column, value));
            return Ok(());
        }
        self.add(line, column, value)
    }

    /// Decides whether the first row names the columns.
    fn end_first_row(&mut self) {
        let Some(first_line) = self.first_line.filter(|_| !self.first.is_empty()) else { return };
        let first = std::mem::take(&mut self.first);
        let text = |(_, value): &(usize, Data)| matches!(value, Data::String(_));
        let is_named = |(_, value): &(usize, Data)| {
            self.options.names.iter().any(|name| value.to_string().trim() == *name)
        };
        // Years may be names: country, 2019, 2020.
        let mut years = std::collections::BTreeSet::new();
        let mut is_year = |(_, value): &(usize, Data)| match value {
            Data::Int(year) => (1900..=2100).contains(year) && years.insert(*year),
            Data::Float(year) => {
                year.fract() == 0.0 && (1900.0..=2100.0).contains(year) && years.insert(*year as i64)
            }
            _ => false,
        };
        let names = first.iter().any(text) && first.iter().all(|cell| text(cell) || is_year(cell));
        let header = self.options.header.unwrap_or(names || first.iter().any(is_named));
        if header {
            let names =
                first.into_iter().map(|(column, value)| (column, value.to_string().trim().to_owned()));
            self.header = Some(names.collect());
        } else {
            for (column, value) in first {
                // Cells of one row in order cannot fail.
                let _ = self.add(first_line, column, value);
            }
        }
    }

    fn add(&mut self, line: u64, column: usize, value: Data) -> Result<(), DataError> {
        if self.lines.last() != Some(&line) {
            self.lines.push(line);
        }
        let row = self.lines.len() - 1;
        if self.columns.len() <= column {
            self.columns.resize_with(column + 1, ColumnBuilder::default);
            self.lengths.resize(column + 1, 0);
        }
        let (builder, length) = (&mut self.columns[column], &mut self.lengths[column]);
        if *length > row || self.lines.iter().rev().nth(1).is_some_and(|before| *before > line) {
            let place = format!("row {line}");
            return Err(DataError::row(self.file, place, "its cells are not in order", REMEDY));
        }
        self.pushed += (row - *length) as u64 + 1;
        if self.pushed > self.look_at {
            self.look_at = self.pushed + LOOK_AFTER;
            check_memory(self.file, self.pushed, 1)?;
        }
        (*length..row).for_each(|_| builder.push(Cell::Missing));
        *length = row + 1;
        match &value {
            Data::Int(i) => builder.push(Cell::Integer((*i).into())),
            Data::Float(v) => builder.push(Cell::Number(*v)),
            Data::String(text) => builder.push(Cell::Text(text)),
            Data::Bool(v) => builder.push(Cell::Boolean(*v)),
            // As everywhere, a length of time is a number: it has no place in a week or a day.
            Data::DateTime(time) if time.is_duration() => builder.push(Cell::Number(seconds(time))),
            Data::DateTime(time) => builder.push(Cell::Time(seconds(time))),
            Data::DateTimeIso(text) => builder.push(match times::parse(text, DateOrder::Ymd) {
                Some(moment) => Cell::Time(moment.seconds),
                None => Cell::Text(text),
            }),
            Data::DurationIso(text) => builder.push(match text.parse::<SignedDuration>() {
                Ok(duration) => Cell::Number(duration.as_secs_f64()),
                Err(_) => Cell::Text(text),
            }),
            Data::Error(error) => {
                *self.errors.entry(error.to_string()).or_default() += 1;
                builder.push(Cell::Missing);
            }
            Data::Empty => builder.push(Cell::Missing),
        }
        Ok(())
    }

    /// The table, and the error cells by what they show.
    fn finish(mut self) -> Result<(Table, BTreeMap<String, u64>), DataError> {
        self.end_first_row();
        let header = self.header.unwrap_or_default();
        let named = !header.is_empty();
        let rows = self.lines.len();
        let used =
            |column: &usize| header.contains_key(column) || self.lengths.get(*column).is_some_and(|n| *n > 0);
        let width = self.columns.len().max(header.keys().next_back().map_or(0, |last| last + 1));
        let Some(start) = (0..width).find(used) else {
            return Err(DataError::file(self.file, "holds no cells", "expected a table with rows"));
        };
        let end = (0..width).rev().find(used).map_or(width, |last| last + 1);
        let width = (start..end).filter(used).count();
        if named && 2 * header.len() < width {
            let what = format!("has names for {} of its {width} columns, like a title", header.len());
            let place = format!("row {}", self.first_line.unwrap_or(1));
            return Err(DataError::row(
                self.file,
                place,
                what,
                "delete the rows above the names of the columns",
            ));
        }
        check_memory(self.file, rows as u64, end - start)?;
        let mut columns: Vec<Column> = Vec::with_capacity(end - start);
        let lengths = self.lengths.into_iter().chain(std::iter::repeat(0));
        let builders = self.columns.into_iter().chain(std::iter::repeat_with(ColumnBuilder::default));
        for (mut builder, length) in builders.zip(lengths).take(end).skip(start) {
            (length..rows).for_each(|_| builder.push(Cell::Missing));
            columns.push(builder.finish());
        }
        let names = match named {
            true => (start..end)
                .map(|column| header.get(&column).cloned().unwrap_or(format!("Unnamed: {}", column - start)))
                .collect(),
            false => positions(end - start),
        };
        let how = if named { "the first row names the columns" } else { "no row names the columns" }.into();
        let table = Table { named, how, lines: Some(self.lines), ..table(self.file, names, columns, rows) };
        Ok((table, self.errors))
    }
}

/// Seconds since 1970, or of the day, or of a duration. Spreadsheets keep times as days, exact to a millisecond.
fn seconds(time: &ExcelDateTime) -> f64 {
    let days = time.as_f64();
    let plain = (days * times::DAY * 1e3).round() / 1e3;
    // A time of day has no date.
    if time.is_duration() || (0.0..1.0).contains(&days) {
        return plain;
    }
    let (year, month, day, hour, minute, second, milli) = time.to_ymd_hms_milli();
    let date = Date::new(year as i16, month as i8, day as i8).and_then(|date| date.to_zoned(TimeZone::UTC));
    match date {
        Ok(date) => {
            let of_day = u32::from(hour) * 3600 + u32::from(minute) * 60 + u32::from(second);
            date.timestamp().as_second() as f64 + f64::from(of_day) + f64::from(milli) / 1e3
        }
        // The 29th of February 1900, which there was not.
        Err(_) => plain - 25_568.0 * times::DAY,
    }
}
