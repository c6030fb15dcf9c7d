//! Comma, semicolon or tab separated text.
//!
//! The separator is the most frequent of `, ; tab` in the first line. [`is_missing`] lists the markers of missing
//! cells, [`is_missing_number`] more for numeric columns. A column is numeric if every other cell is a number; if the
//! separator is a semicolon, decimal commas are allowed. A numeric column with a few texts is an error that shows
//! them: read as text, the column would be useless without any message. The first line is a header if `--target`
//! names one of its cells, or if a column has a text there and numbers below; in a file without any number, if none
//! of its cells occurs again in its column.

use std::collections::HashSet;
use std::path::Path;

use ::csv::{ByteRecord, ReaderBuilder, StringRecord};

use super::raw::{Raw, digest};
use super::table::{Cell, Column, ColumnBuilder, ReadOptions, Table, is_missing, plain_number, positions};
use super::{DataError, file};
use crate::base::text::{count, counted};

/// Maximum number of columns; a file with more is not a table.
const MAX_COLUMNS: usize = 1 << 20;
/// Reads a file, gzipped or not.
pub(crate) fn read_file(path: &Path, options: &ReadOptions) -> Result<Raw, DataError> {
    let bytes = file::read(path)?;
    let table = read(&path.display().to_string(), &bytes, options)?;
    Ok(Raw::from_table(table, digest(&[&bytes])))
}

/// Reads the table in `bytes`; `file` is for messages.
pub(crate) fn read(file: &str, bytes: &[u8], options: &ReadOptions) -> Result<Table, DataError> {
    let bytes = text_of(file, bytes)?;
    let separator = separator(bytes);
    check_quotes(file, bytes, separator)?;
    let mut records = Records::new(file, bytes, separator);
    let Some((first, first_line)) = records.next()? else {
        return Err(DataError::file(file, "holds no rows", "expected a table with rows"));
    };
    let width = first.len();
    if width > MAX_COLUMNS {
        return Err(DataError::file(
            file,
            format!("line {first_line} has {width} columns"),
            "check the separator",
        ));
    }
    let mut columns: Vec<Scan> = vec![Scan::default(); width];
    let mut lines = Vec::new();
    while let Some((record, line)) = records.next()? {
        if record.len() != width {
            let cells = counted(record.len() as u64, "cell");
            let what = format!("{cells}, but line {first_line} has {}", count(width as u64));
            let remedy = "give every line the same number of cells; quote cells that hold the separator";
            return Err(DataError::row(file, format!("line {line}"), what, remedy));
        }
        for ((column, cell), first) in columns.iter_mut().zip(record.iter()).zip(first.iter()) {
            column.push(cell.trim(), first, options);
        }
        lines.push(line);
    }
    let first = first.clone();
    let header = options.header.unwrap_or_else(|| {
        is_header(&first, &columns, options) || lines.is_empty() && is_lone_header(&first)
    });
    let names = if header { header_names(&first) } else { positions(width) };
    if !header {
        for (column, cell) in columns.iter_mut().zip(first.iter()) {
            column.push_first(cell.trim(), options);
        }
        lines.insert(0, first_line);
    }
    if lines.is_empty() {
        return Err(DataError::file(file, "holds a header but no rows", "expected a table with rows"));
    }
    let force = options.text.map_or_else(|| vec![false; width], |text| text(&names, header));
    let is_text: Vec<bool> = columns.iter().zip(&force).map(|(c, force)| c.n_texts > 0 || *force).collect();
    let mut texts = read_texts(file, bytes, separator, header, &is_text, options)?.into_iter();
    let columns = columns
        .into_iter()
        .zip(is_text)
        .map(|(c, text)| text.then(|| texts.next()).flatten().unwrap_or(Column::Number(c.numbers)))
        .collect();
    let how = format!(
        "{} separated, {}",
        match separator {
            b';' => "semicolon",
            b'\t' => "tab",
            _ => "comma",
        },
        if header { "the first line names the columns" } else { "no line of names" }
    );
    Ok(Table {
        file: file.into(),
        rows: lines.len(),
        names,
        named: header,
        columns,
        lines: Some(lines),
        semicolons: separator == b';',
        how,
    })
}

/// Results of the first pass over a column.
#[derive(Clone, Default)]
struct Scan {
    /// Up to the first text.
    numbers: Vec<f64>,
    n_numbers: u64,
    n_texts: u64,
    first_recurs: bool,
}

impl Scan {
    fn push(&mut self, cell: &str, first: &str, options: &ReadOptions) {
        self.first_recurs |= cell == first;
        let number = if options.is_missing(cell) { Some(f64::NAN) } else { plain_number(cell) };
        match number {
            None => {
                self.n_texts += 1;
                self.numbers = Vec::new();
            }
            Some(value) => {
                self.n_numbers += u64::from(!value.is_nan());
                if self.n_texts == 0 {
                    self.numbers.push(value);
                }
            }
        }
    }

    /// Adds the first line, after all others: only then is it clear that it is not a header.
    fn push_first(&mut self, cell: &str, options: &ReadOptions) {
        self.push(cell, "", options);
        if self.n_texts == 0 {
            self.numbers.rotate_right(1);
        }
    }

    fn is_numeric(&self) -> bool {
        self.n_numbers > 0 && self.n_numbers >= self.n_texts
    }
}

fn is_header(first: &StringRecord, columns: &[Scan], options: &ReadOptions) -> bool {
    let cells: Vec<&str> = first.iter().map(str::trim).collect();
    let is_number = |cell: &str| plain_number(cell).is_some();
    let is_text = |cell: &str| !is_missing(cell) && !is_number(cell);
    let wanted: HashSet<&str> = options.names.iter().copied().collect();
    if cells.iter().any(|cell| is_text(cell) && wanted.contains(cell)) {
        return true;
    }
    let distinct = |cells: &[&str]| cells.iter().collect::<HashSet<_>>().len() == cells.len();
    // Numbers are accepted as names only if they can be positions: pandas writes 0, 1, 2, …
    let numbers: Vec<&str> = cells.iter().copied().filter(|cell| is_number(cell)).collect();
    let positions = numbers.iter().all(|n| n.parse::<u32>().is_ok()) && distinct(&numbers);
    let over_numbers = cells.iter().zip(columns).any(|(cell, c)| is_text(cell) && c.is_numeric());
    let all_text = columns.iter().all(|c| !c.is_numeric());
    let unlike_its_rows = all_text
        && columns.iter().any(|c| c.n_texts > 0)
        && cells.iter().all(|cell| is_text(cell))
        && distinct(&cells)
        && !columns.iter().any(|c| c.first_recurs);
    (over_numbers && positions) || unlike_its_rows
}

/// Whether a file's only line is a header: its texts are all different.
fn is_lone_header(first: &StringRecord) -> bool {
    let is_name = |cell: &str| !is_missing(cell) && plain_number(cell).is_none();
    let cells: HashSet<&str> = first.iter().map(str::trim).collect();
    cells.len() == first.len() && cells.into_iter().all(is_name)
}

/// Names of the columns; an unnamed one becomes `Unnamed: 3`, as in pandas.
fn header_names(first: &StringRecord) -> Vec<String> {
    let name = |(i, cell): (usize, &str)| match cell.trim() {
        "" => format!("Unnamed: {i}"),
        name => name.to_owned(),
    };
    first.iter().enumerate().map(name).collect()
}

/// Reads the text columns in a second pass, because column types are known only after the last line.
fn read_texts(
    file: &str,
    bytes: &[u8],
    separator: u8,
    header: bool,
    is_text: &[bool],
    options: &ReadOptions,
) -> Result<Vec<Column>, DataError> {
    let wanted: Vec<usize> = (0..is_text.len()).filter(|c| is_text[*c]).collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let mut builders: Vec<ColumnBuilder> = wanted.iter().map(|_| ColumnBuilder::text()).collect();
    let mut records = Records::new(file, bytes, separator);
    if header {
        records.next()?;
    }
    while let Some((record, _)) = records.next()? {
        for (builder, c) in builders.iter_mut().zip(&wanted) {
            let cell = record.get(*c).unwrap_or_default().trim();
            builder.push(if options.is_missing(cell) { Cell::Missing } else { Cell::Text(cell) });
        }
    }
    Ok(builders.into_iter().map(ColumnBuilder::finish).collect())
}

/// Reads records one by one and checks that each is UTF-8.
struct Records<'a> {
    file: &'a str,
    bytes: &'a [u8],
    reader: ::csv::Reader<&'a [u8]>,
    /// Line of the byte `counted`.
    line: u64,
    counted: usize,
}

impl<'a> Records<'a> {
    fn new(file: &'a str, bytes: &'a [u8], separator: u8) -> Self {
        let mut builder = ReaderBuilder::new();
        builder.has_headers(false).flexible(true).delimiter(separator);
        Records { file, bytes, reader: builder.from_reader(bytes), line: 1, counted: 0 }
    }

    fn next(&mut self) -> Result<Option<(StringRecord, u64)>, DataError> {
        let mut record = ByteRecord::new();
        let start = self.reader.position().byte() as usize;
        let more = self.reader.read_byte_record(&mut record);
        let line = self.line_of(start);
        let row = |what: String, remedy| DataError::row(self.file, format!("line {line}"), what, remedy);
        if !more.map_err(|e| row(e.to_string(), "check the file around it"))? {
            return Ok(None);
        }
        match StringRecord::from_byte_record(record) {
            Ok(record) => Ok(Some((record, line))),
            Err(e) => {
                let what = format!("cell {} (from 0) is not UTF-8 text", e.utf8_error().field());
                Err(row(what, "save the file as UTF-8, e.g. iconv -f latin1 -t utf8"))
            }
        }
    }

    /// The line of the record that follows byte `start`. (The csv crate's own count is one behind after CRLF.)
    fn line_of(&mut self, start: usize) -> u64 {
        let is_end = |b: &u8| matches!(b, b'\r' | b'\n');
        let rest = self.bytes.get(start..).unwrap_or_default();
        let start = start + rest.iter().take_while(|b| is_end(b)).count();
        let passed = self.bytes.get(self.counted..start).unwrap_or_default();
        self.line += passed.iter().filter(|b| **b == b'\n').count() as u64;
        self.counted = start.max(self.counted);
        self.line
    }
}

/// `bytes` without a byte order mark; refuses files that are not text.
fn text_of<'a>(file: &str, bytes: &'a [u8]) -> Result<&'a [u8], DataError> {
    let bytes = bytes.strip_prefix(&[0xef, 0xbb, 0xbf]).unwrap_or(bytes);
    let is = match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "UTF-16 text",
        [b'P', b'K', 3, 4, ..] => "a zip archive or a spreadsheet",
        [b'P', b'A', b'R', b'1', ..] => "Parquet",
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => "a NumPy array",
        _ if bytes.iter().take(1 << 16).any(|b| *b == 0) => "binary",
        _ => return Ok(bytes),
    };
    Err(DataError::file(
        file,
        format!("is {is}, not comma separated text"),
        "rename it, or save it as UTF-8 CSV",
    ))
}

/// Refuses a quote that is not closed (the csv crate would read the rest of the file as one cell), and a quote that
/// closes within a cell (the csv crate would ignore it).
fn check_quotes(file: &str, bytes: &[u8], separator: u8) -> Result<(), DataError> {
    let bad = |line: u64, what, remedy| Err(DataError::row(file, format!("line {line}"), what, remedy));
    let double = "double a quote that belongs to the cell";
    let (mut open, mut at_start, mut line, mut i) = (None, true, 1, 0);
    while let Some(byte) = bytes.get(i) {
        match (open, byte) {
            (None, b'"') if at_start => open = Some(line),
            (Some(_), b'"') if bytes.get(i + 1) == Some(&b'"') => i += 1,
            (Some(_), b'"') => {
                open = None;
                let next = bytes[i + 1..].iter().find(|b| **b != b' ');
                if next.is_some_and(|next| ![separator, b'\r', b'\n'].contains(next)) {
                    return bad(line, "a quoted cell continues after its closing quote", double);
                }
            }
            _ => {}
        }
        line += u64::from(*byte == b'\n');
        at_start = open.is_none() && (*byte == separator || matches!(byte, b'\n' | b'\r'));
        i += 1;
    }
    match open {
        Some(line) => bad(
            line,
            "a quote is opened but not closed",
            "close it, or double a quote that belongs to the cell",
        ),
        None => Ok(()),
    }
}

/// The most frequent of `, ; tab` in the first line, outside quotes.
fn separator(bytes: &[u8]) -> u8 {
    let mut counts = [(b',', 0), (b';', 0), (b'\t', 0)];
    let mut quoted = false;
    for byte in bytes.iter().skip_while(|b| matches!(b, b'\r' | b'\n')) {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' | b'\r' if !quoted => break,
            _ if !quoted => counts.iter_mut().filter(|(s, _)| s == byte).for_each(|(_, n)| *n += 1),
            _ => {}
        }
    }
    let most = counts.iter().map(|(_, n)| *n).max().unwrap_or(0);
    counts.iter().find(|(_, n)| *n == most).map_or(b',', |(s, _)| *s)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(text: &str) -> Table {
        read("t.csv", text.as_bytes(), &ReadOptions::default()).unwrap()
    }

    fn numbers(table: &Table, c: usize) -> &[f64] {
        match &table.columns[c] {
            Column::Number(values) => values,
            _ => panic!("column {c} is text"),
        }
    }

    #[test]
    fn quotes_crlf_bom_and_missing_cells() {
        let t = table("\u{feff}a,\"b,c\",d\r\n1,\"x \"\"y\"\"\nz\",?\r\n-2.5e3,,NA\r\n,w,7\r\n");
        assert_eq!(t.names, ["a", "b,c", "d"]);
        assert_eq!((t.rows, t.named), (3, true));
        assert_eq!(t.lines.as_deref(), Some(&[2, 4, 5][..]));
        assert_eq!(&numbers(&t, 0)[..2], &[1.0, -2500.0]);
        assert!(numbers(&t, 0)[2].is_nan() && numbers(&t, 2)[0].is_nan());
        let Column::Text { levels, codes } = &t.columns[1] else { panic!("not text") };
        assert_eq!(levels, &["x \"y\"\nz", "w"]);
        assert_eq!(codes, &[0, super::super::table::MISSING, 1]);
    }

    #[test]
    fn headers_are_detected() {
        for (text, header) in [
            ("a,b\n1,2\n3,4\n", true),
            ("1,2\n3,4\n", false),
            ("5.1,3.5,setosa\n4.9,3.0,setosa\n", false),
            ("red,1\nblue,2\n", false),
            ("colour,1\nred,2\n", false),
            ("label,0,1\n3,10,20\n4,30,40\n", true),
            ("colour,size\nred,big\nblue,big\n", true),
            ("red,big\nblue,big\nred,small\n", false),
            ("a;b\n1;2\n", true),
            ("a\tb\n1\t2\n", true),
        ] {
            assert_eq!(table(text).named, header, "{text:?}");
        }
        let named = ReadOptions { names: &["colour"], ..ReadOptions::default() };
        assert!(read("t.csv", b"colour,size\nred,size\nblue,big\n", &named).unwrap().named);
        assert_eq!(table("red,1\nblue,2\n").rows, 2);
        assert_eq!(numbers(&table("red,1\nblue,2\n"), 1), &[1.0, 2.0]);
    }

    #[test]
    fn a_column_can_be_forced_to_text() {
        let force = |names: &[String], _| names.iter().map(|n| n == "zip").collect();
        let options = ReadOptions { text: Some(&force), ..ReadOptions::default() };
        let t = read("t.csv", b"zip,x\n007,1\n010,2\n", &options).unwrap();
        assert!(matches!(&t.columns[0], Column::Text { levels, .. } if levels == &["007", "010"]));
        assert!(matches!(t.columns[1], Column::Number(_)));
    }
}
