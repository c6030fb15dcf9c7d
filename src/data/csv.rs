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

use super::error::shorten;
use super::raw::{Raw, digest};
use super::table::{
    Column, Table, TextBuilder, decimal_comma, is_missing, is_missing_number, number, positions,
};
use super::{DataError, file};
use crate::base::text::{count, counted};

/// Maximum number of columns; a file with more is not a table.
const MAX_COLUMNS: usize = 1 << 20;
/// A column with at least this many numbers, and this many for each text, is numeric with typos.
const MIN_NUMBERS: u64 = 10;
const NUMBERS_A_TEXT: u64 = 9;
/// Maximum number of typos shown.
const SHOWN_SLIPS: usize = 3;

/// Expectations about a file, set before it is read.
#[derive(Default)]
pub(crate) struct Expect<'a> {
    /// The first line is a header if it contains one of these.
    pub names: Vec<&'a str>,
    /// Selects columns to read as text even if all cells are numbers, given (names, whether the file has them).
    pub text: Option<&'a WhichText<'a>>,
}

type WhichText<'a> = dyn Fn(&[String], bool) -> Vec<bool> + 'a;

/// Reads a file, gzipped or not.
pub(crate) fn read_file(path: &Path, expect: &Expect) -> Result<Raw, DataError> {
    let bytes = file::read(path)?;
    let table = read(&path.display().to_string(), &bytes, expect)?;
    Ok(Raw::from_table(table, digest(&[&bytes])))
}

/// Reads the table in `bytes`; `file` is for messages.
pub(crate) fn read(file: &str, bytes: &[u8], expect: &Expect) -> Result<Table, DataError> {
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
    let mut columns: Vec<Scan> =
        (0..width).map(|_| Scan { comma: separator == b';', ..Scan::default() }).collect();
    let mut lines = Vec::new();
    while let Some((record, line)) = records.next()? {
        if record.len() != width {
            let cells = counted(record.len() as u64, "cell");
            let what = format!("{cells}, but line {first_line} has {}", count(width as u64));
            let remedy = "give every line the same number of cells; quote cells that hold the separator";
            return Err(DataError::row(file, format!("line {line}"), what, remedy));
        }
        for ((column, cell), first) in columns.iter_mut().zip(record.iter()).zip(first.iter()) {
            column.push(cell.trim(), line, first);
        }
        lines.push(line);
    }
    let first = first.clone();
    let header = is_header(&first, &columns, expect) || lines.is_empty() && is_lone_header(&first, expect);
    let names = if header { header_names(file, &first)? } else { positions(width) };
    if !header {
        for (column, cell) in columns.iter_mut().zip(first.iter()) {
            column.push_first(cell.trim(), first_line);
        }
        lines.insert(0, first_line);
    }
    if lines.is_empty() {
        return Err(DataError::file(file, "holds a header but no rows", "expected a table with rows"));
    }
    let force = expect.text.map_or_else(|| vec![false; width], |text| text(&names, header));
    // A trained model fixes the types of its columns and reports bad cells itself.
    let training = expect.text.is_none();
    let is_text: Vec<bool> =
        columns.iter().zip(&force).map(|(c, force)| c.reads_as_text(*force, training)).collect();
    if training {
        columns.iter().zip(&names).try_for_each(|(column, name)| column.check_slips(file, name))?;
    }
    check_decimals(file, &names, &columns, &is_text)?;
    for (c, column) in columns.iter().enumerate() {
        if let (false, Some(line)) = (is_text[c], column.infinite) {
            return Err(DataError::cell(
                file,
                format!("line {line}"),
                &names[c],
                "an infinite number, or one too large",
                "expected a finite number; leave the cell empty if the value is missing",
            ));
        }
    }
    let mut texts = read_texts(file, bytes, separator, header, &is_text)?.into_iter();
    let columns = columns
        .into_iter()
        .zip(is_text)
        .map(|(c, text)| text.then(|| texts.next()).flatten().unwrap_or(Column::Number(c.numbers)))
        .collect();
    Ok(Table { file: file.into(), rows: lines.len(), names, named: header, columns, lines: Some(lines) })
}

/// Results of the first pass over a column.
#[derive(Default)]
struct Scan {
    /// Whether decimal commas are allowed.
    comma: bool,
    numbers: Vec<f64>,
    /// Number of cells that are numbers, and of those that are neither numbers nor missing.
    n_numbers: u64,
    n_texts: u64,
    /// The first texts, with their lines.
    slips: Vec<(u64, String)>,
    /// Whether some cells are missing if the others are numbers.
    perhaps_missing: bool,
    /// Lines of the first number with a decimal comma and of the first with a point.
    comma_at: Option<u64>,
    point_at: Option<u64>,
    first_recurs: bool,
    infinite: Option<u64>,
}

impl Scan {
    fn push(&mut self, cell: &str, line: u64, first: &str) {
        self.first_recurs |= cell == first;
        if is_missing(cell) {
            return self.push_number(f64::NAN);
        }
        if let Some(value) = number(cell) {
            if cell.contains('.') {
                self.point_at.get_or_insert(line);
            }
            return self.count_number(value, line);
        }
        if let (true, Some(value)) = (self.comma, decimal_comma(cell)) {
            self.comma_at.get_or_insert(line);
            return self.count_number(value, line);
        }
        if is_missing_number(cell) {
            self.perhaps_missing = true;
            return self.push_number(f64::NAN);
        }
        self.n_texts += 1;
        self.numbers = Vec::new();
        if self.slips.len() < SHOWN_SLIPS {
            self.slips.push((line, shorten(cell)));
        }
    }

    fn count_number(&mut self, value: f64, line: u64) {
        self.n_numbers += 1;
        if value.is_infinite() {
            self.infinite.get_or_insert(line);
        }
        self.push_number(value);
    }

    fn push_number(&mut self, value: f64) {
        if self.n_texts == 0 {
            self.numbers.push(value);
        }
    }

    /// Adds the first line, after all others: only then is it clear that it is not a header.
    fn push_first(&mut self, cell: &str, line: u64) {
        let slips = self.slips.len();
        self.push(cell, line, "");
        if self.n_texts == 0 {
            self.numbers.rotate_right(1);
        }
        if self.slips.len() > slips {
            self.slips.rotate_right(1);
        }
    }

    fn reads_as_text(&self, force: bool, training: bool) -> bool {
        let no_number = self.n_numbers == 0 && self.perhaps_missing;
        self.n_texts > 0 || (force && (self.n_numbers > 0 || self.perhaps_missing)) || (training && no_number)
    }

    /// Whether the column is numeric, perhaps with a few typos.
    fn is_numeric(&self) -> bool {
        self.n_numbers > 0 && (self.n_texts == 0 || self.has_slips())
    }

    fn has_slips(&self) -> bool {
        self.n_texts > 0 && self.n_numbers >= MIN_NUMBERS && self.n_numbers >= NUMBERS_A_TEXT * self.n_texts
    }

    fn check_slips(&self, file: &str, name: &str) -> Result<(), DataError> {
        if !self.has_slips() {
            return Ok(());
        }
        let shown: Vec<String> =
            self.slips.iter().map(|(line, cell)| format!("line {line} {cell:?}")).collect();
        let more = match self.n_texts - self.slips.len() as u64 {
            0 => String::new(),
            more => format!(" and {} more", count(more)),
        };
        let what = format!(
            "{} of {} cells are numbers, {}{more} {} not",
            count(self.n_numbers),
            count(self.n_numbers + self.n_texts),
            shown.join(", "),
            if self.n_texts == 1 { "is" } else { "are" },
        );
        let remedy = "correct it or leave it empty; in a column of codes, add a letter to every cell";
        Err(DataError::column(file, name, what, remedy))
    }
}

/// Refuses a file with both 1,5 and 1.5: one of the two is not a decimal sign.
fn check_decimals(file: &str, names: &[String], columns: &[Scan], is_text: &[bool]) -> Result<(), DataError> {
    let numeric =
        || columns.iter().zip(names).zip(is_text).filter(|(_, text)| !**text).map(|(column, _)| column);
    let comma = numeric().find_map(|(c, name)| Some((c.comma_at?, name)));
    let point = numeric().find_map(|(c, name)| Some((c.point_at?, name)));
    let (Some((line, name)), Some((other, other_name))) = (comma, point) else { return Ok(()) };
    Err(DataError::column(
        file,
        name,
        format!("line {line} has a decimal comma, line {other} a point in column {other_name:?}"),
        "use one decimal sign in the whole file, and no thousands separator",
    ))
}

fn is_header(first: &StringRecord, columns: &[Scan], expect: &Expect) -> bool {
    let cells: Vec<&str> = first.iter().map(str::trim).collect();
    let comma = columns.iter().any(|c| c.comma);
    let is_number = |cell: &str| number(cell).is_some() || (comma && decimal_comma(cell).is_some());
    let is_text = |cell: &str| !is_missing(cell) && !is_number(cell);
    let wanted: HashSet<&str> = expect.names.iter().copied().collect();
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
        && columns.iter().any(|c| c.n_texts > 0 || c.perhaps_missing)
        && cells.iter().all(|cell| is_text(cell))
        && distinct(&cells)
        && !columns.iter().any(|c| c.first_recurs);
    (over_numbers && positions) || unlike_its_rows
}

/// Whether a file's only line is a header: its texts are all different.
fn is_lone_header(first: &StringRecord, expect: &Expect) -> bool {
    let is_name = |cell: &str| !is_missing(cell) && number(cell).is_none();
    let cells: HashSet<&str> = first.iter().map(str::trim).collect();
    expect.text.is_none() && cells.len() == first.len() && cells.into_iter().all(is_name)
}

/// Names of the columns; an unnamed one becomes `Unnamed: 3`, as in pandas.
fn header_names(file: &str, first: &StringRecord) -> Result<Vec<String>, DataError> {
    let name = |(i, cell): (usize, &str)| match cell.trim() {
        "" => format!("Unnamed: {i}"),
        name => name.to_owned(),
    };
    let names: Vec<String> = first.iter().enumerate().map(name).collect();
    Table::check_names(file, &names)?;
    Ok(names)
}

/// Reads the text columns in a second pass, because column types are known only after the last line.
fn read_texts(
    file: &str,
    bytes: &[u8],
    separator: u8,
    header: bool,
    is_text: &[bool],
) -> Result<Vec<Column>, DataError> {
    let wanted: Vec<usize> = (0..is_text.len()).filter(|c| is_text[*c]).collect();
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let mut builders: Vec<TextBuilder> = wanted.iter().map(|_| TextBuilder::default()).collect();
    let mut records = Records::new(file, bytes, separator);
    if header {
        records.next()?;
    }
    while let Some((record, _)) = records.next()? {
        for (builder, c) in builders.iter_mut().zip(&wanted) {
            let cell = record.get(*c).unwrap_or_default().trim();
            builder.push((!is_missing(cell)).then_some(cell));
        }
    }
    Ok(builders.into_iter().map(TextBuilder::finish).collect())
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
        read("t.csv", text.as_bytes(), &Expect::default()).unwrap()
    }

    fn numbers(table: &Table, c: usize) -> &[f64] {
        match &table.columns[c] {
            Column::Number(values) => values,
            Column::Text { .. } => panic!("column {c} is text"),
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
        let named = Expect { names: vec!["colour"], text: None };
        assert!(read("t.csv", b"colour,size\nred,size\nblue,big\n", &named).unwrap().named);
        assert_eq!(table("red,1\nblue,2\n").rows, 2);
        assert_eq!(numbers(&table("red,1\nblue,2\n"), 1), &[1.0, 2.0]);
    }

    #[test]
    fn a_column_can_be_forced_to_text() {
        let force = |names: &[String], _| names.iter().map(|n| n == "zip").collect();
        let expect = Expect { names: vec![], text: Some(&force) };
        let t = read("t.csv", b"zip,x\n007,1\n010,2\n", &expect).unwrap();
        assert!(matches!(&t.columns[0], Column::Text { levels, .. } if levels == &["007", "010"]));
        assert!(matches!(t.columns[1], Column::Number(_)));
    }
}
