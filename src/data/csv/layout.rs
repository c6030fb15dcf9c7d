//! How a text file is written: its encoding, its separator, its first line.

use std::borrow::Cow;

use super::blocks::{Encoding, Input, Text};
use super::cells::{Fault, SPACES, after_blank_line, collapse, last_record_end, n_lines, record, text_of};
use super::kinds::{Kind, kind_of};
use crate::data::DataError;

/// Bytes at the start that are looked at; more only if they have less than two lines.
const SAMPLE: usize = 1 << 18;
/// Records that are looked at to find the separator.
const RECORDS: usize = 100;
const MAX_SAMPLE: usize = 64 << 20;
const BOM: &str = "\u{feff}";

#[derive(Debug)]
pub(super) struct Layout {
    pub encoding: Encoding,
    pub separator: u8,
    /// Whether the file names its separator in a line of its own.
    pub names_separator: bool,
    /// Cells of the first record, trimmed.
    pub first: Vec<String>,
    /// Its line, from 1.
    pub first_line: u64,
    /// Where the second record starts in the text: bytes, and the line from 1.
    pub skip: usize,
    pub next_line: u64,
    /// Cells of the other records: one more than the first has, where the first leaves out a name or they all end in
    /// a separator.
    pub width: usize,
    /// The start of the text after the first record, whole lines.
    pub sample: String,
}

impl Layout {
    /// Looks at the start of a file. Its encoding is found if it is not given.
    pub fn find(input: &Input, encoding: Option<Encoding>) -> Result<Layout, DataError> {
        let name = input.name();
        let encoding = match encoding {
            Some(encoding) => encoding,
            None => find_encoding(input)?,
        };
        let mut size = SAMPLE;
        loop {
            let mut bytes = Vec::new();
            let mut start = Text::new(input, encoding)?;
            start.read(&mut bytes, size)?;
            let whole = start.has_ended() || size >= MAX_SAMPLE;
            if !start.has_ended() {
                // A character may be cut, and a line end.
                let end = memchr::memrchr2(b'\n', b'\r', &bytes).unwrap_or(0);
                bytes.truncate(if bytes.get(end) == Some(&b'\n') { end + 1 } else { end });
            }
            let layout = text_of(&bytes).and_then(|text| Layout::of(text, encoding, start.has_ended()));
            match layout {
                Ok(Some(layout)) if whole || !layout.sample.is_empty() => return Ok(layout),
                Ok(None) if whole && !start.has_ended() => {
                    let what = "has a first line of more than 64 MiB";
                    return Err(DataError::file(name, what, "check that it is a table"));
                }
                Ok(None) if whole => {
                    return Err(DataError::file(name, "holds no rows", "expected a table with rows"));
                }
                Err(Fault::NotUtf8 { line }) if encoding == Encoding::Utf8 => {
                    let valid = str::from_utf8(&bytes).map_or_else(|e| e.valid_up_to(), str::len);
                    if bytes[..valid].is_ascii() {
                        return Layout::find(input, Some(Encoding::Windows1252));
                    }
                    return Err(super::refuse(name, Fault::NotUtf8 { line }, 1, None));
                }
                Err(fault @ (Fault::Nul { .. } | Fault::NotUtf8 { .. })) => {
                    return Err(super::refuse(name, fault, 1, None));
                }
                Err(fault) if whole => return Err(super::refuse(name, fault, 1, None)),
                _ => size *= 4,
            }
        }
    }

    /// None if all lines are blank.
    fn of(text: &str, encoding: Encoding, ended: bool) -> Result<Option<Layout>, Fault> {
        let mut start = if text.starts_with(BOM) { BOM.len() } else { 0 };
        let mut line = 0;
        let named = named_separator(&text[start..]);
        if let Some((_, length)) = named {
            (start, line) = (start + length, 1);
        }
        while start < text.len()
            && let Some(next) = after_blank_line(text.as_bytes(), start, 2)
        {
            (start, line) = (next, line + 1);
        }
        if start == text.len() {
            return Ok(None);
        }
        let separator = match named {
            Some((separator, _)) => separator,
            None => find_separator(&text[start..]),
        };
        let first_line = line + 1;
        let (first, next, width) = {
            // With spaces between cells, lengths differ from the file's; a record ends where its line does.
            let rest: Cow<str> = match separator {
                SPACES => Cow::Owned(collapse(&text[start..])),
                _ => Cow::Borrowed(&text[start..]),
            };
            let (first, after_first) = record(&rest, 0, separator, &mut line)?;
            let mut after = after_first;
            while after < rest.len()
                && let Some(next) = after_blank_line(rest.as_bytes(), after, 2)
            {
                after = next;
            }
            let second = match after < rest.len() {
                true => record(&rest, after, separator, &mut 0).map_or(first.len(), |(cells, _)| cells.len()),
                false => first.len(),
            };
            let width = if second == first.len() + 1 && second > 2 { second } else { first.len() };
            let next = match separator {
                SPACES => after_records_of_spaces(&text[start..], &rest[..after_first]),
                _ => after_first,
            };
            (first.into_iter().map(Cow::into_owned).collect(), start + next, width)
        };
        let sample = &text[next..];
        let end =
            if ended { sample.len() } else { last_record_end(sample.as_bytes(), separator).0.unwrap_or(0) };
        Ok(Some(Layout {
            encoding,
            separator,
            names_separator: named.is_some(),
            first,
            first_line,
            skip: next,
            next_line: line + 1,
            width,
            sample: sample[..end].to_owned(),
        }))
    }

    /// For a note: how it is written.
    pub fn described(&self) -> String {
        let separator = match self.separator {
            b',' => "comma separated",
            b';' => "semicolon separated",
            b'\t' => "tab separated",
            b'|' => "separated by |",
            _ => "separated by spaces",
        };
        match self.encoding {
            Encoding::Utf8 => separator.into(),
            encoding => format!("{separator}, {}", encoding.name()),
        }
    }
}

/// The number of bytes of `text` from which `collapsed`, its first record, came: as many line ends.
fn after_records_of_spaces(text: &str, collapsed: &str) -> usize {
    let lines = n_lines(collapsed.as_bytes());
    let (mut at, bytes) = (0, text.as_bytes());
    for _ in 0..lines {
        let Some(end) = memchr::memchr2(b'\n', b'\r', &bytes[at..]) else { return text.len() };
        at += end + 1;
        at += usize::from(bytes[at - 1] == b'\r' && bytes.get(at) == Some(&b'\n'));
    }
    if lines == 0 { text.len() } else { at }
}

/// The separator in a first line such as `sep=;`, which Excel reads, and the length of the line.
fn named_separator(text: &str) -> Option<(u8, usize)> {
    let end = text.find(['\n', '\r'])?;
    let line = text[..end].trim().trim_matches('"');
    let separator = match line.strip_prefix("sep=").or(line.strip_prefix("SEP="))?.as_bytes() {
        [separator @ (b',' | b';' | b'|' | b'\t')] => *separator,
        // A tab at the end was trimmed.
        [] if text[..end].contains('\t') => b'\t',
        _ => return None,
    };
    let length = if text[end..].starts_with("\r\n") { end + 2 } else { end + 1 };
    Some((separator, length))
}

/// Records of a text as a separator cuts it: cells, trimmed, and whether they are quoted.
struct Cut<'t> {
    separator: u8,
    records: Vec<Vec<Cow<'t, str>>>,
    /// The most frequent number of cells.
    width: usize,
    /// Share of the records with that number.
    share: f64,
}

impl<'t> Cut<'t> {
    fn of(text: &'t str, separator: u8) -> Cut<'t> {
        let (mut at, mut records) = (0, Vec::new());
        while at < text.len() && records.len() < RECORDS {
            if let Some(next) = after_blank_line(text.as_bytes(), at, 2) {
                at = next;
                continue;
            }
            let Ok((cells, next)) = record(text, at, separator, &mut 0) else { break };
            records.push(cells);
            at = next;
        }
        let count = |width: usize| records.iter().filter(|record| record.len() == width).count();
        let width = records.iter().map(Vec::len).max_by_key(|width| (count(*width), *width)).unwrap_or(0);
        let mut fitting = count(width);
        // The first line may lack the name of the first column.
        if records.len() > 2 && width > 2 && records[0].len() + 1 == width {
            fitting += 1;
        }
        let share = fitting as f64 / records.len().max(1) as f64;
        Cut { separator, records, width, share }
    }

    fn is_consistent(&self) -> bool {
        self.width > 1 && self.share >= 0.9
    }

    /// How much the cells look like cells: 1 if all are numbers, dates or booleans, less for text, and least for text
    /// that another consistent separator would cut.
    fn quality(&self, rivals: &[u8]) -> f64 {
        let of = |cell: &Cow<str>| match kind_of(cell) {
            Kind::Text if cell.bytes().any(|b| b != self.separator && rivals.contains(&b)) => 0.3,
            Kind::Text => 0.6,
            _ => 1.0,
        };
        let cells = || self.records.iter().flatten();
        cells().map(of).sum::<f64>() / cells().count().max(1) as f64
    }

    /// Whether a column has numbers alone below the first line.
    fn has_numbers(&self) -> bool {
        let rows = || self.records.iter().skip(1);
        let is_number = |c: usize| rows().all(|r| r.get(c).is_some_and(|cell| kind_of(cell) == Kind::Number));
        rows().next().is_some() && (0..self.width).any(is_number)
    }
}

/// The separator that cuts the first records most evenly, and into cells that look most like cells.
fn find_separator(text: &str) -> u8 {
    let spaced = memchr::memchr(b' ', text.as_bytes()).map(|_| collapse(first_lines(text)));
    let mut cuts: Vec<Cut> = [b',', b';', b'\t', b'|'].into_iter().map(|s| Cut::of(text, s)).collect();
    if let Some(spaced) = &spaced {
        let cut = Cut::of(spaced, SPACES);
        // Texts of several words are not cells.
        if cut.share >= 0.95 && cut.has_numbers() {
            cuts.push(cut);
        }
    }
    cuts.retain(|cut| cut.width > 1);
    // Spaces are usual in texts.
    let is_rival = |cut: &&Cut| cut.is_consistent() && cut.separator != SPACES;
    let rivals: Vec<u8> = cuts.iter().filter(is_rival).map(|cut| cut.separator).collect();
    let score = |cut: &Cut| {
        let preferred = if cut.separator == SPACES { 0.95 } else { 1.0 };
        cut.share * (0.5 + cut.quality(&rivals) / 2.0) * preferred
    };
    let mut best: Option<(f64, &Cut)> = None;
    for cut in &cuts {
        let score = score(cut);
        let better = |(other, than): (f64, &Cut)| {
            score > other + 1e-9 || (score - other).abs() <= 1e-9 && cut.width > than.width
        };
        if best.is_none_or(better) {
            best = Some((score, cut));
        }
    }
    best.map_or(b',', |(_, cut)| cut.separator)
}

/// Enough of `text` for the records that are looked at.
fn first_lines(text: &str) -> &str {
    let mut ends = memchr::memchr2_iter(b'\n', b'\r', text.as_bytes());
    ends.nth(4 * RECORDS).map_or(text, |end| &text[..end])
}

/// The encoding of a file, from its first bytes; refuses what is not text.
fn find_encoding(input: &Input) -> Result<Encoding, DataError> {
    let name = input.name();
    let mut bytes = Vec::new();
    let mut text = Text::new(input, Encoding::Utf8)?;
    text.read(&mut bytes, 1 << 16)?;
    if bytes.is_empty() {
        return Err(match input {
            Input::File(source) => source.is_empty(),
            Input::Bytes(name, _) => DataError::file(name, "is empty", "check how it was written"),
        });
    }
    let is = match bytes.as_slice() {
        [b'P', b'K', 3, 4, ..] => "a zip archive or a spreadsheet",
        [b'P', b'A', b'R', b'1', ..] => "Parquet",
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => "a NumPy array",
        [0xff, 0xfe, ..] => return Ok(Encoding::Utf16Le),
        [0xfe, 0xff, ..] => return Ok(Encoding::Utf16Be),
        _ => match without_mark(&bytes) {
            Ok(encoding) => return Ok(encoding),
            Err(is) => is,
        },
    };
    Err(DataError::file(
        name,
        format!("is {is}, not comma separated text"),
        "rename it, or save it as UTF-8 CSV",
    ))
}

/// The encoding of bytes without a byte order mark, or what they are instead. UTF-8 is not checked.
fn without_mark(bytes: &[u8]) -> Result<Encoding, &'static str> {
    // Texts in European languages have a zero in every second byte of UTF-16.
    let pairs = bytes.as_chunks::<2>().0;
    let zeros = |at: usize| pairs.iter().filter(|pair| pair[at] == 0 && pair[1 - at] != 0).count();
    let (first, second) = (zeros(0), zeros(1));
    let most = pairs.len() / 2;
    if pairs.len() >= 4 && second > most && first == 0 {
        return Ok(Encoding::Utf16Le);
    }
    if pairs.len() >= 4 && first > most && second == 0 {
        return Ok(Encoding::Utf16Be);
    }
    let is_control = |b: &u8| matches!(b, 0..=8 | 14..=26 | 28..=31);
    if bytes.iter().filter(|b| is_control(b)).count() * 10 > bytes.len() {
        return Err("binary");
    }
    Ok(Encoding::Utf8)
}
