//! Text tables: cells separated by commas, semicolons, tabs, bars or spaces.
//!
//! The file is read once, in blocks of whole records ([`blocks`]), and all cores take blocks. A column is numbers as long
//! as each of its cells is a plain number or missing ([`cells`]); the columns of the blocks are joined in order
//! ([`columns`]). Where a text turns up late, the exact texts of the earlier numbers are needed, so the file is read
//! again for that column. Which separator and which encoding is found from the first lines ([`layout`]), whether the
//! first line names the columns from all of them ([`header`]).

use std::path::Path;

use rayon::prelude::*;
use sha2::Digest;

use super::file::{Source, begin_hash};
use super::raw::Raw;
use super::table::{Dialect, ReadOptions, Table, Texts, positions};
use super::{DataError, memory};
use crate::base::text::{count, counted};

mod blocks;
mod cells;
mod columns;
mod header;
mod kinds;
mod layout;
mod levels;

use blocks::{Blocks, Encoding, Input};
use cells::{Fault, Mode, Rules, parse, text_of};
use columns::Joined;
use header::Clues;
use layout::Layout;

/// Maximum number of columns; a file with more is not a table.
const MAX_COLUMNS: usize = 1 << 20;
/// Bytes of a block: few enough for the cores' caches.
const BLOCK: usize = 1 << 18;
/// Blocks for each thread between two meetings.
const BLOCKS_A_THREAD: usize = 4;
/// Memory is compared with what is left after so many bytes of text; so much must be left for what is not counted.
const WATCHED: u64 = 16 << 20;
const SPARE: u64 = 64 << 20;

/// Reads a file, packed or not.
pub(crate) fn read_file(path: &Path, options: &ReadOptions) -> Result<Raw, DataError> {
    let input = Input::File(Source::open_table(path)?);
    let read = Reader { input: &input, options, block: BLOCK }.read()?;
    let mut raw = Raw::from_table(read.table, read.content);
    raw.notes = read.notes;
    Ok(raw)
}

/// A table, the SHA-256 of the file, and notes for the user.
struct Read {
    table: Table,
    content: [u8; 32],
    notes: Vec<String>,
}

struct Reader<'a> {
    input: &'a Input<'a>,
    options: &'a ReadOptions<'a>,
    /// Bytes of a block.
    block: usize,
}

/// All columns of a file below its first record.
struct Scan {
    columns: Vec<Joined>,
    /// The line of each row.
    lines: Vec<u64>,
    /// None if it was not asked for.
    content: Option<[u8; 32]>,
}

enum Problem {
    /// UTF-8 was expected, and all text so far is ASCII.
    OtherEncoding,
    Data(DataError),
}

impl From<DataError> for Problem {
    fn from(error: DataError) -> Problem {
        Problem::Data(error)
    }
}

impl Reader<'_> {
    fn read(&self) -> Result<Read, DataError> {
        let mut encoding = None;
        loop {
            let layout = Layout::find(self.input, encoding)?;
            match self.read_as(&layout) {
                Ok(read) => return Ok(read),
                Err(Problem::OtherEncoding) => encoding = Some(Encoding::Windows1252),
                Err(Problem::Data(error)) => return Err(error),
            }
        }
    }

    fn read_as(&self, layout: &Layout) -> Result<Read, Problem> {
        let file = self.input.name();
        if layout.width > MAX_COLUMNS {
            let what = format!("line {} has {} columns", layout.first_line, layout.width);
            return Err(DataError::file(file, what, "check the separator").into());
        }
        let rules = Rules { separator: layout.separator, width: layout.width, missing: self.options.missing };
        let scan = self.scan(layout, &rules, &self.expected(layout, &rules), true)?;
        let Scan { mut columns, mut lines, content } = scan;
        let late: Vec<bool> = columns.iter().map(|c| matches!(c, Joined::Late)).collect();
        self.reread(layout, &rules, &late, lines.len(), &mut columns)?;

        let mut notes = Vec::new();
        if layout.encoding == Encoding::Windows1252 {
            notes.push("read as Windows-1252, since it is not UTF-8".to_owned());
        }
        let mut first = layout.first.clone();
        let mut names_rows = false;
        if first.len() < layout.width {
            if columns.last().is_some_and(Joined::is_empty) {
                columns.truncate(first.len());
                notes.push(TRAILING.into());
            } else if self.options.header != Some(false) && columns.first().is_some_and(|c| c.names_rows()) {
                // R writes row names without a name for their column.
                first.insert(0, String::new());
                names_rows = true;
            } else {
                let fault = Fault::Width { line: 0, cells: layout.width };
                let line = lines.first().copied().unwrap_or(layout.next_line);
                return Err(refuse(file, fault, line, Some((first.len(), layout.first_line))).into());
            }
        }
        let names = self.options.names;
        let clues = Clues { first: &first, columns: &columns, rows: lines.len(), names };
        let header = self.options.header.unwrap_or_else(|| names_rows || clues.is_header());
        let width = first.len();
        // Without a header, an empty last column may be one whose values are missing.
        while header
            && first.len() > 1
            && first.last().is_some_and(String::is_empty)
            && columns.last().is_some_and(Joined::is_empty)
        {
            first.pop();
            columns.pop();
        }
        if first.len() < width {
            notes.push(TRAILING.into());
        }
        if header && lines.is_empty() {
            return Err(
                DataError::file(file, "holds a header but no rows", "expected a table with rows").into()
            );
        }
        if !header {
            self.insert_first(layout, &rules, &first, lines.len(), &mut columns)?;
            lines.insert(0, layout.first_line);
        }
        let names = if header { header_names(&first) } else { positions(first.len()) };
        let wanted = self
            .options
            .texts
            .map_or_else(|| vec![Texts::NoNumbers; names.len()], |texts| texts(&names, header));
        let is_text = |(column, wanted): (&Joined, &Texts)| {
            *wanted != Texts::NoNumbers || layout.separator == b';' && column.may_be_grouped()
        };
        let text: Vec<bool> = columns.iter().zip(&wanted).map(is_text).collect();
        self.reread_as_text(layout, &rules, (!header).then_some(&first), &text, lines.len(), &mut columns)?;
        let columns: Vec<_> = columns
            .into_iter()
            .zip(&text)
            .map(|(column, text)| if *text { column } else { column.into_numbers() }.finish())
            .collect();
        let how = format!(
            "{}{}, {}",
            layout.described(),
            if layout.names_separator { " (as its first line says)" } else { "" },
            match (header, names_rows) {
                (true, true) => "the first line names the columns, except for the first",
                (true, false) => "the first line names the columns",
                (false, _) => "no line names the columns",
            }
        );
        let table = Table {
            file: file.into(),
            rows: lines.len(),
            names,
            named: header,
            columns,
            lines: Some(lines),
            dialect: Dialect {
                may_have_commas: layout.separator == b';',
                has_commas_between: layout.separator == b',',
            },
            how,
        };
        Ok(Read { table, content: content.unwrap_or_default(), notes })
    }

    /// What the columns are to be read as, guessed from the first rows.
    fn expected(&self, layout: &Layout, rules: &Rules) -> Vec<Mode> {
        let numbers = vec![Mode::Number; layout.width];
        let Ok(parsed) = parse(&layout.sample, rules, &numbers) else { return numbers };
        let rows = parsed.lines.len();
        let mut columns: Vec<Joined> = parsed.columns.into_iter().map(Joined::from).collect();
        let (mut wanted, first) = (vec![Texts::NoNumbers; layout.width], &layout.first);
        if let (Some(texts), true) = (self.options.texts, first.len() == layout.width) {
            let clues = Clues { first, columns: &columns, rows, names: self.options.names };
            let header = self.options.header.unwrap_or_else(|| clues.is_header());
            let names = if header { header_names(first) } else { positions(first.len()) };
            wanted = texts(&names, header);
        }
        let is_text = |(column, wanted): (&mut Joined, Texts)| {
            let is_text = wanted != Texts::NoNumbers
                || matches!(column, Joined::Text { .. } | Joined::Late)
                || column.may_be_grouped() && layout.separator == b';';
            if is_text { Mode::Text } else { Mode::Number }
        };
        columns.iter_mut().zip(wanted).map(is_text).collect()
    }

    /// Reads all records below the first.
    fn scan(&self, layout: &Layout, rules: &Rules, modes: &[Mode], with_hash: bool) -> Result<Scan, Problem> {
        let (input, file) = (self.input, self.input.name());
        // A block holds many rows, however long they are.
        let (bytes, rows) = (layout.sample.len(), cells::n_lines(layout.sample.as_bytes()).max(1));
        let row = bytes.div_ceil(rows as usize);
        let size = self.block.max(if self.block == BLOCK { (64 * row).min(8 << 20) } else { 1 });
        let mut blocks = Blocks::new(input, layout.encoding, layout.separator, size, layout.skip)?;
        let is_utf8 = layout.encoding == Encoding::Utf8;
        let mut hash = (with_hash && is_utf8).then(|| begin_hash(input.length()));
        if let Some(hash) = &mut hash {
            hash.update(&blocks.skipped);
        }
        let n_rows = match input.length().filter(|_| is_utf8 && !input.is_packed() && bytes > 0) {
            Some(length) => (length as f64 / bytes as f64 * rows as f64 * 1.03) as usize + 64,
            None => 0,
        };
        let mut columns: Vec<Joined> = modes.iter().map(|mode| Joined::new(*mode, 0)).collect();
        let bytes_a_row = 8 + columns.iter().map(Joined::width).sum::<u64>();
        // The first rows may be shorter than others, so the estimate is not taken at its word.
        memory::check(file, (n_rows as u64).saturating_mul(bytes_a_row) / 4 * 3)?;
        columns = modes.iter().map(|mode| Joined::new(*mode, n_rows)).collect();

        let mut lines = Vec::new();
        memory::grow(file, &mut lines, n_rows)?;
        let (mut line, mut all_ascii, mut unwatched) = (layout.next_line, true, 0);
        let n = BLOCKS_A_THREAD * rayon::current_num_threads();
        let mut batch = blocks.batch(n)?;
        while !batch.is_empty() {
            unwatched += batch.iter().map(|block| block.len() as u64).sum::<u64>();
            if unwatched >= WATCHED {
                memory::check(file, SPARE)?;
                unwatched = 0;
            }
            let modes: Vec<Mode> = columns.iter().map(Joined::mode).collect();
            let read = |block: &Vec<u8>| {
                let parsed = text_of(block).and_then(|text| parse(text, rules, &modes));
                (parsed, is_utf8 && block.is_ascii())
            };
            let (next, ((), parsed)) = rayon::join(
                || blocks.batch(n),
                || {
                    rayon::join(
                        || hash.iter_mut().for_each(|hash| batch.iter().for_each(|block| hash.update(block))),
                        || batch.par_iter().map(read).collect::<Vec<_>>(),
                    )
                },
            );
            let mut whole = Vec::with_capacity(parsed.len());
            for ((parsed, is_ascii), block) in parsed.into_iter().zip(&batch) {
                match parsed {
                    Ok(parsed) => {
                        memory::grow(file, &mut lines, parsed.lines.len())?;
                        lines.extend(parsed.lines.iter().map(|at| line + at));
                        line += parsed.n_lines;
                        all_ascii &= is_ascii;
                        whole.push(parsed);
                    }
                    Err(fault) => return Err(self.fault(layout, fault, line, all_ascii, block)),
                }
            }
            columns::append(file, &mut columns, &batch, whole, rules)?;
            batch = next?;
        }
        let (n_bytes, other_hash) = blocks.finish();
        let content = match hash.or(other_hash).filter(|_| with_hash) {
            Some(hash) if Some(n_bytes) == input.length() => Some(hash.finalize().into()),
            // Its length was not known before.
            Some(_) => Some(input.digest()?),
            None => None,
        };
        Ok(Scan { columns, lines, content })
    }

    /// The error for a fault in a block that starts at `line`.
    fn fault(&self, layout: &Layout, fault: Fault, line: u64, all_ascii: bool, block: &[u8]) -> Problem {
        if let (Fault::NotUtf8 { .. }, Encoding::Utf8) = (&fault, layout.encoding) {
            let valid = str::from_utf8(block).map_or_else(|e| e.valid_up_to(), str::len);
            if all_ascii && layout.first.iter().all(|cell| cell.is_ascii()) && block[..valid].is_ascii() {
                return Problem::OtherEncoding;
            }
        }
        // What is packed may be damaged, and that is then the reason.
        if self.input.is_packed()
            && let Err(error) = self.input.digest()
        {
            return Problem::Data(error);
        }
        let with_width =
            if layout.width == layout.first.len() { layout.first_line } else { layout.next_line };
        refuse(self.input.name(), fault, line, Some((layout.width, with_width))).into()
    }

    /// Reads the `wanted` columns again, as text.
    fn reread(
        &self,
        layout: &Layout,
        rules: &Rules,
        wanted: &[bool],
        rows: usize,
        columns: &mut [Joined],
    ) -> Result<(), Problem> {
        if !wanted.contains(&true) {
            return Ok(());
        }
        let mut modes: Vec<Mode> =
            wanted.iter().map(|wanted| if *wanted { Mode::Text } else { Mode::Skip }).collect();
        modes.resize(layout.width, Mode::Skip);
        let scan = self.scan(layout, rules, &modes, false)?;
        if scan.lines.len() != rows {
            let what = "changed while it was read";
            return Err(DataError::file(self.input.name(), what, "read it again when it is complete").into());
        }
        for ((column, again), wanted) in columns.iter_mut().zip(scan.columns).zip(wanted) {
            if *wanted {
                *column = again;
            }
        }
        Ok(())
    }

    /// Puts the first line before the others, as a row of data.
    fn insert_first(
        &self,
        layout: &Layout,
        rules: &Rules,
        first: &[String],
        rows: usize,
        columns: &mut [Joined],
    ) -> Result<(), Problem> {
        let fits = |(column, cell): (&Joined, &String)| column.fits(cell, self.options.is_missing(cell));
        let wanted: Vec<bool> = columns.iter().zip(first).map(|pair| !fits(pair)).collect();
        let numbers: Vec<bool> =
            columns.iter().zip(&wanted).map(|(c, wanted)| *wanted && c.has_numbers()).collect();
        self.reread(layout, rules, &numbers, rows, columns)?;
        for ((column, wanted), cell) in columns.iter_mut().zip(wanted).zip(first) {
            if wanted && !matches!(column, Joined::Text { .. }) {
                *column = Joined::all_missing(rows);
            }
            column.insert_first(cell, self.options.is_missing(cell));
        }
        Ok(())
    }

    /// Turns columns of numbers into text where `text` has it. `first` is the first row, if the first line is one.
    fn reread_as_text(
        &self,
        layout: &Layout,
        rules: &Rules,
        first: Option<&Vec<String>>,
        text: &[bool],
        rows: usize,
        columns: &mut [Joined],
    ) -> Result<(), Problem> {
        let is_number = |(column, text): (&Joined, &bool)| *text && !matches!(column, Joined::Text { .. });
        let numbers: Vec<bool> = columns.iter().zip(text).map(is_number).collect();
        let below = rows - usize::from(first.is_some());
        for (column, number) in columns.iter_mut().zip(&numbers) {
            if *number && !column.has_numbers() {
                *column = Joined::all_missing(rows);
            }
        }
        let numbers: Vec<bool> = columns.iter().zip(&numbers).map(|(c, n)| *n && c.has_numbers()).collect();
        self.reread(layout, rules, &numbers, below, columns)?;
        for (c, _) in numbers.iter().enumerate().filter(|(_, number)| **number) {
            if let Some(cell) = first.and_then(|first| first.get(c)) {
                columns[c].insert_first(cell, self.options.is_missing(cell));
            }
        }
        Ok(())
    }
}

const TRAILING: &str = "the empty column at the end is left out: every line ends in a separator";

/// Names of the columns; an unnamed one becomes `Unnamed: 3`, as in pandas.
fn header_names(first: &[String]) -> Vec<String> {
    let name = |(i, cell): (usize, &String)| match cell.as_str() {
        "" => format!("Unnamed: {i}"),
        name => name.to_owned(),
    };
    first.iter().enumerate().map(name).collect()
}

/// The error for what is wrong with a line; `line` is that of the block's start. `expected` is the number of cells, and
/// the line that has so many.
fn refuse(file: &str, fault: Fault, line: u64, expected: Option<(usize, u64)>) -> DataError {
    let (at, what, remedy) = match fault {
        Fault::Width { line, cells } => {
            let (width, first_line) = expected.unwrap_or_default();
            let what = format!(
                "{}, but line {first_line} has {}",
                counted(cells as u64, "cell"),
                count(width as u64)
            );
            let remedy = if first_line <= 1 && width < cells {
                "begin with the names of the columns: delete a title above them; or quote cells that hold the separator"
            } else {
                "give every line the same number of cells; quote cells that hold the separator"
            };
            (line, what, remedy)
        }
        Fault::Open { line } => {
            let remedy = "close it, or double a quote that belongs to the cell";
            (line, "a quote is opened but not closed".into(), remedy)
        }
        Fault::Continued { line } => {
            let what = "a quoted cell continues after its closing quote";
            (line, what.into(), "double a quote that belongs to the cell")
        }
        Fault::Nul { line } => (
            line,
            "holds a NUL byte, which is not text".into(),
            "write it again, or delete the byte: tr -d '\\0'",
        ),
        Fault::NotUtf8 { line } => {
            let what = "is not UTF-8, though there are other characters in UTF-8 before";
            (line, what.into(), "save the whole file as UTF-8")
        }
    };
    DataError::row(file, format!("line {}", line + at), what, remedy)
}

#[cfg(test)]
mod tests;
