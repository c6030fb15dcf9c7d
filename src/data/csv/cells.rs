//! Cells of a block of whole records, as columns of numbers or of text.
//!
//! Numbers are read while their cell is looked for, so that each byte is visited once. What is not plainly written
//! (quoted, or not a number) takes a slower way with the same result.

use std::borrow::Cow;

use super::levels::Levels;
use crate::data::table::{MISSING, is_missing, plain_number};

/// The separator of tables in which any number of spaces separates two cells.
pub(super) const SPACES: u8 = b' ';

/// How cells are told apart and understood.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules<'a> {
    pub separator: u8,
    /// Cells of each record.
    pub width: usize,
    /// Further markers of missing cells.
    pub missing: &'a [String],
}

impl Rules<'_> {
    fn is_missing(&self, cell: &str) -> bool {
        is_missing(cell) || self.missing.iter().any(|marker| cell.eq_ignore_ascii_case(marker))
    }

    /// Whether points may be thousands separators: decimal signs are then commas, so another separator is needed.
    fn may_group(&self) -> bool {
        self.separator == b';'
    }
}

/// What to read a column as.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Mode {
    /// Numbers, or text where a cell is not a plain number.
    Number,
    Text,
    /// Not at all.
    Skip,
}

/// Rows of a block.
#[derive(Debug)]
pub(super) struct Parsed {
    pub columns: Vec<Cells>,
    /// The line of each row, from 0.
    pub lines: Vec<u64>,
    /// Lines of the block.
    pub n_lines: u64,
}

/// Cells of a column in a block.
#[derive(Debug)]
pub(super) enum Cells {
    Number(Numbers),
    Text { levels: Levels, codes: Vec<u32> },
    Skipped,
}

#[derive(Debug, Default)]
pub(super) struct Numbers {
    /// NaN is missing.
    pub values: Vec<f64>,
    /// Cells with a point, and those of them in which it may separate thousands.
    pub pointed: u64,
    pub grouped: u64,
}

/// Why a block cannot be read, with the line from 0.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Fault {
    Width {
        line: u64,
        cells: usize,
    },
    /// A quote that is not closed.
    Open {
        line: u64,
    },
    /// A cell that continues after its closing quote.
    Continued {
        line: u64,
    },
    Nul {
        line: u64,
    },
    NotUtf8 {
        line: u64,
    },
}

/// The text of a block, if it is text.
pub(super) fn text_of(block: &[u8]) -> Result<&str, Fault> {
    if let Some(at) = memchr::memchr(0, block) {
        return Err(Fault::Nul { line: n_lines(&block[..at]) });
    }
    str::from_utf8(block).map_err(|e| Fault::NotUtf8 { line: n_lines(&block[..e.valid_up_to()]) })
}

/// Line ends, of Unix, Windows or of old Macs.
pub(super) fn n_lines(bytes: &[u8]) -> u64 {
    let lone = |at: usize| bytes.get(at + 1) != Some(&b'\n');
    let carriage_returns = memchr::memchr_iter(b'\r', bytes).filter(|at| lone(*at)).count();
    (carriage_returns + memchr::memchr_iter(b'\n', bytes).count()) as u64
}

/// Reads all records of `text`. A column in which something else than numbers turns up is read again as text.
pub(super) fn parse(text: &str, rules: &Rules, modes: &[Mode]) -> Result<Parsed, Fault> {
    let (mut parsed, mixed) = once(text, rules, modes)?;
    if mixed.contains(&true) {
        let modes: Vec<Mode> =
            mixed.iter().map(|mixed| if *mixed { Mode::Text } else { Mode::Skip }).collect();
        let (again, _) = once(text, rules, &modes)?;
        for ((column, again), mixed) in parsed.columns.iter_mut().zip(again.columns).zip(mixed) {
            if mixed {
                *column = again;
            }
        }
    }
    Ok(parsed)
}

/// One pass; also returns which columns had to be given up because they are not numbers.
fn once(text: &str, rules: &Rules, modes: &[Mode]) -> Result<(Parsed, Vec<bool>), Fault> {
    let text: Cow<str> =
        if rules.separator == SPACES { Cow::Owned(collapse(text)) } else { Cow::Borrowed(text) };
    let (text, bytes) = (&*text, text.as_bytes());
    let rows = memchr::memchr_iter(b'\n', bytes).count() + 1;
    let column = |mode: &Mode| match mode {
        Mode::Number => Cells::Number(Numbers { values: Vec::with_capacity(rows), ..Numbers::default() }),
        Mode::Text => Cells::Text { levels: Levels::default(), codes: Vec::with_capacity(rows) },
        Mode::Skip => Cells::Skipped,
    };
    let mut columns: Vec<Cells> = modes.iter().map(column).collect();
    let mut mixed = vec![false; modes.len()];
    let mut lines = Vec::with_capacity(rows);
    let (mut at, mut line) = (0, 0);
    while at < bytes.len() {
        if let Some(next) = after_blank_line(bytes, at, rules.width) {
            (at, line) = (next, line + 1);
            continue;
        }
        let mut c = 0;
        let first_line = line;
        loop {
            let end = match columns.get_mut(c) {
                Some(Cells::Number(numbers)) => match numbers.push(text, at, rules, &mut line)? {
                    Some(end) => end,
                    None => {
                        columns[c] = Cells::Skipped;
                        mixed[c] = true;
                        continue;
                    }
                },
                Some(Cells::Text { levels, codes }) => {
                    let (cell, end) = cell(text, at, rules.separator, &mut line)?;
                    let cell = cell.trim();
                    codes.push(if rules.is_missing(cell) { MISSING } else { levels.code(cell) });
                    end
                }
                Some(Cells::Skipped) | None => cell(text, at, rules.separator, &mut line)?.1,
            };
            c += 1;
            match after_line_end(bytes, end) {
                Some(next) => at = next,
                // The separator.
                None => {
                    at = end + 1;
                    continue;
                }
            }
            break;
        }
        line += 1;
        if c != rules.width {
            return Err(Fault::Width { line: first_line, cells: c });
        }
        lines.push(first_line);
    }
    Ok((Parsed { columns, lines, n_lines: line }, mixed))
}

/// The first record of `text` from `at`, its cells trimmed, and where the next one starts. `line` counts line ends.
pub(super) fn record<'t>(
    text: &'t str,
    mut at: usize,
    separator: u8,
    line: &mut u64,
) -> Result<(Vec<Cow<'t, str>>, usize), Fault> {
    let mut cells = Vec::new();
    loop {
        let (found, end) = cell(text, at, separator, line)?;
        cells.push(match found {
            Cow::Borrowed(cell) => Cow::Borrowed(cell.trim()),
            Cow::Owned(cell) => Cow::Owned(cell.trim().to_owned()),
        });
        match after_line_end(text.as_bytes(), end) {
            Some(next) => {
                *line += 1;
                return Ok((cells, next));
            }
            None => at = end + 1,
        }
    }
}

impl Numbers {
    /// Reads the cell at `at` and returns its end; none if it is text.
    #[inline]
    fn push(&mut self, text: &str, at: usize, rules: &Rules, line: &mut u64) -> Result<Option<usize>, Fault> {
        if let Some((value, end)) = quick_number(text, at, rules.separator) {
            if rules.may_group() && !value.is_nan() {
                self.count_points(text[at..end].trim());
            }
            self.values.push(value);
            return Ok(Some(end));
        }
        let mut end_line = *line;
        let (cell, end) = cell(text, at, rules.separator, &mut end_line)?;
        let cell = cell.trim();
        if rules.is_missing(cell) {
            self.values.push(f64::NAN);
        } else if let Some(value) = plain_number(cell) {
            self.values.push(value);
            if rules.may_group() {
                self.count_points(cell);
            }
        } else {
            return Ok(None);
        }
        *line = end_line;
        Ok(Some(end))
    }

    fn count_points(&mut self, cell: &str) {
        if cell.contains('.') {
            self.pointed += 1;
            self.grouped += u64::from(is_grouped(cell));
        }
    }
}

/// Whether each point may separate thousands: 1.234, 12.345.678.
pub(super) fn is_grouped(cell: &str) -> bool {
    let mut groups = cell.strip_prefix(['-', '+']).unwrap_or(cell).split('.');
    let first = groups.next().unwrap_or_default();
    let digits = |group: &str| group.bytes().all(|b| b.is_ascii_digit());
    (1..=3).contains(&first.len()) && digits(first) && !first.starts_with('0') && {
        let mut more = groups.peekable();
        more.peek().is_some() && more.all(|group| group.len() == 3 && digits(group))
    }
}

/// Powers of ten that f64 holds exactly.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18,
    1e19, 1e20, 1e21, 1e22,
];
/// Whole numbers up to this are exact.
const MAX_EXACT: u64 = 1 << 53;

/// The number in the cell at `at` (NaN if the cell is empty) and the cell's end, where that is quickly found: digits,
/// perhaps a sign before, a point among them and an exponent after. Few digits and 10^n are both exact, so their quotient
/// is rounded once, as by `str::parse` (Clinger 1990), which reads the others.
#[inline]
fn quick_number(text: &str, at: usize, separator: u8) -> Option<(f64, usize)> {
    let bytes = text.as_bytes();
    let is_end = |at: usize| match bytes.get(at) {
        None | Some(b'\n' | b'\r') => true,
        Some(b) => *b == separator,
    };
    let spaces = |mut at: usize| {
        while separator != SPACES && bytes.get(at) == Some(&b' ') {
            at += 1;
        }
        at
    };
    let start = spaces(at);
    if is_end(start) {
        return Some((f64::NAN, start));
    }
    let negative = bytes.get(start) == Some(&b'-');
    let first = start + usize::from(negative);
    let mut digits = 0u64;
    let mut take = |at: &mut usize| {
        let start = *at;
        while let Some(digit) = bytes.get(*at).map(|b| b.wrapping_sub(b'0')).filter(|digit| *digit < 10) {
            digits = digits.wrapping_mul(10).wrapping_add(u64::from(digit));
            *at += 1;
        }
        *at - start
    };
    let mut at = first;
    let whole = take(&mut at);
    // A code such as 007.
    if whole > 1 && bytes[first] == b'0' {
        return None;
    }
    let has_point = bytes.get(at) == Some(&b'.');
    at += usize::from(has_point);
    let fraction = if has_point { take(&mut at) } else { 0 };
    let has_exponent = matches!(bytes.get(at), Some(b'e' | b'E'));
    if has_exponent {
        at += 1;
        at += usize::from(matches!(bytes.get(at), Some(b'-' | b'+')));
        at += bytes[at..].iter().take_while(|b| b.is_ascii_digit()).count();
    }
    let end = spaces(at);
    if whole + fraction == 0 || !is_end(end) {
        return None;
    }
    // 19 digits cannot overflow.
    if whole + fraction <= 19 && digits <= MAX_EXACT && !has_exponent {
        let value = if fraction == 0 { digits as f64 } else { digits as f64 / POWERS[fraction] };
        return Some((if negative { -value } else { value }, end));
    }
    // A long whole number may be an identifier.
    let is_number = has_point || has_exponent;
    is_number.then(|| text[start..at].parse().ok()).flatten().map(|value| (value, end))
}

/// The cell at `at`, not trimmed, and its end: the place of a separator or of a line end. A quote opens a cell only at
/// its start. Line ends within it are added to `line`.
fn cell<'t>(text: &'t str, at: usize, separator: u8, line: &mut u64) -> Result<(Cow<'t, str>, usize), Fault> {
    let bytes = text.as_bytes();
    let mut start = at;
    while separator != SPACES && bytes.get(start) == Some(&b' ') {
        start += 1;
    }
    if bytes.get(start) != Some(&b'"') {
        let is_end = |b: &u8| *b == separator || matches!(b, b'\n' | b'\r');
        let end = bytes[start..].iter().position(is_end).map_or(bytes.len(), |n| start + n);
        return Ok((Cow::Borrowed(&text[start..end]), end));
    }
    let (start, mut end, mut doubled) = (start + 1, start + 1, false);
    loop {
        let Some(quote) = memchr::memchr(b'"', &bytes[end..]) else {
            return Err(Fault::Open { line: *line });
        };
        end += quote;
        if bytes.get(end + 1) != Some(&b'"') {
            break;
        }
        doubled = true;
        end += 2;
    }
    let inner = &text[start..end];
    *line += n_lines(inner.as_bytes());
    end += 1;
    while separator != SPACES && bytes.get(end) == Some(&b' ') {
        end += 1;
    }
    if bytes.get(end).is_some_and(|b| *b != separator && !matches!(b, b'\n' | b'\r')) {
        return Err(Fault::Continued { line: *line });
    }
    let cell = if doubled { Cow::Owned(inner.replace("\"\"", "\"")) } else { Cow::Borrowed(inner) };
    Ok((cell, end))
}

/// Where the next line starts, if there is a line end at `at`, or the end of the text.
fn after_line_end(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at) {
        None => Some(at),
        Some(b'\n') => Some(at + 1),
        Some(b'\r') => Some(at + 1 + usize::from(bytes.get(at + 1) == Some(&b'\n'))),
        Some(_) => None,
    }
}

/// Where the next line starts, if the one at `at` is blank. In a table of one column, spaces are a missing cell.
pub(super) fn after_blank_line(bytes: &[u8], at: usize, width: usize) -> Option<usize> {
    let spaces = bytes[at..].iter().take_while(|b| **b == b' ').count();
    if spaces > 0 && width == 1 {
        return None;
    }
    after_line_end(bytes, at + spaces)
}

/// `text` with one space between cells, and none around a record. Quoted cells stay.
pub(super) fn collapse(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(|c: char| c != ' ' && c != '\t') {
        let gap = start > 0;
        rest = &rest[start..];
        let at_start = out.is_empty() || out.ends_with(['\n', '\r']);
        let at_line_end = rest.starts_with(['\n', '\r']);
        if gap && !at_start && !at_line_end {
            out.push(' ');
        }
        let length = if at_line_end {
            1
        } else if rest.starts_with('"') && (gap || at_start) {
            after_quoted(rest.as_bytes())
        } else {
            rest.find([' ', '\t', '\n', '\r']).unwrap_or(rest.len())
        };
        out.push_str(&rest[..length]);
        rest = &rest[length..];
    }
    out
}

/// The length of the quoted cell at the start of `bytes`, or of all if it is not closed.
fn after_quoted(bytes: &[u8]) -> usize {
    let mut end = 1;
    while let Some(quote) = memchr::memchr(b'"', &bytes[end..]) {
        end += quote + 1;
        if bytes.get(end) != Some(&b'"') {
            return end;
        }
        end += 1;
    }
    bytes.len()
}

/// The end of the last whole record in `bytes`, which start with a record; and the place of the last quote, if it is not
/// closed.
pub(super) fn last_record_end(bytes: &[u8], separator: u8) -> (Option<usize>, Option<usize>) {
    let (mut end, mut at) = (None, 0);
    loop {
        let quote = memchr::memchr(b'"', &bytes[at..]).map(|quote| at + quote);
        let plain = &bytes[at..quote.unwrap_or(bytes.len())];
        end = memchr::memrchr2(b'\n', b'\r', plain).map(|last| at + last + 1).or(end);
        let Some(quote) = quote else { return (end, None) };
        at = quote + 1;
        if opens(bytes, quote, separator) {
            let length = after_quoted(&bytes[quote..]);
            at = quote + length;
            if at == bytes.len() && (length == 1 || bytes[at - 1] != b'"') {
                return (end, Some(quote));
            }
        }
    }
}

/// Whether the quote at `at` is at the start of a cell.
fn opens(bytes: &[u8], at: usize, separator: u8) -> bool {
    let spaces = match separator {
        SPACES => 0,
        _ => bytes[..at].iter().rev().take_while(|b| **b == b' ').count(),
    };
    match bytes[..at - spaces].last() {
        None | Some(b'\n' | b'\r') => true,
        Some(b'\t') if separator == SPACES => true,
        Some(b) => *b == separator,
    }
}
