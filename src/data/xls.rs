//! How many cells a workbook in the format of Excel 97 claims.
//!
//! The reader allocates the smallest rectangle that has all cells of a sheet. A file of a few bytes can name cells in
//! opposite corners, so the rectangles are foreseen from the records of the file, which begin with a row and a column
//! (MS-XLS 2.4 and 2.5.13).

use std::io::{self, Read, Seek};

const END: u16 = 0x000a;
const BOUND_SHEET: u16 = 0x0085;
const MULTIPLE: u16 = 0x00bd;
const DIMENSIONS: u16 = 0x0200;
const BEGIN: u16 = 0x0809;
/// Records of one cell: formula, text, text of the shared table, number, label, truth or error, small number.
const CELLS: [u16; 7] = [0x0006, 0x00d6, 0x00fd, 0x0203, 0x0204, 0x0205, 0x027e];

/// Cells that reading a workbook takes memory for.
pub(super) fn claimed(file: impl Read + Seek) -> io::Result<u64> {
    let mut container = cfb::CompoundFile::open(file)?;
    let stream = if container.is_stream("/Workbook") { "/Workbook" } else { "/Book" };
    let mut bytes = Vec::new();
    container.open_stream(stream)?.read_to_end(&mut bytes)?;
    Ok(cells_of(&bytes))
}

/// Cells of the rectangles of all sheets, where they are more than were written down.
fn cells_of(book: &[u8]) -> u64 {
    let sheets = Records(book).take_while(|(kind, _)| *kind != END).filter(|(kind, _)| *kind == BOUND_SHEET);
    let starts = sheets.filter_map(|(_, data)| Some(u32::from_le_bytes(data.get(..4)?.try_into().ok()?)));
    starts
        .map(|start| cells_of_sheet(book.get(start as usize..).unwrap_or_default()))
        .fold(0, u64::saturating_add)
}

fn cells_of_sheet(sheet: &[u8]) -> u64 {
    // (first row, last row), (first column, last column) of the cells, and what the sheet says of itself.
    let (mut rows, mut columns, mut claimed) = ((u16::MAX, 0), (u16::MAX, 0), 0u64);
    // A chart within the sheet has records of its own.
    let mut depth = 0;
    for (kind, data) in Records(sheet) {
        let number = |at: usize| number(data, at);
        match kind {
            BEGIN => depth += 1,
            END if depth <= 1 => break,
            END => depth -= 1,
            DIMENSIONS => claimed = claimed.max(claim(data)),
            _ if CELLS.contains(&kind) || kind == MULTIPLE => {
                let (Some(row), Some(column)) = (number(0), number(2)) else { continue };
                let last = if kind == MULTIPLE {
                    number(data.len().saturating_sub(2)).unwrap_or(column)
                } else {
                    column
                };
                rows = (rows.0.min(row), rows.1.max(row));
                columns = (columns.0.min(column), columns.1.max(column).max(last));
            }
            _ => {}
        }
    }
    let length = |(first, last): (u16, u16)| u64::from(last.saturating_sub(first)) + 1;
    (length(rows) * length(columns)).max(claimed)
}

/// The number of two bytes at `at`.
fn number(data: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(data.get(at..at + 2)?.try_into().ok()?))
}

/// Cells of the rectangle that a `DIMENSIONS` record claims, from its first row and column to those after its last.
fn claim(data: &[u8]) -> u64 {
    let short = |at: usize| number(data, at).map_or(0, u64::from);
    let long = |at: usize| short(at) | short(at + 2) << 16;
    let (rows, columns) = match data.len() {
        10 => ((short(0), short(2)), (short(4), short(6))),
        _ => ((long(0), long(4)), (short(8), short(10))),
    };
    rows.1.saturating_sub(rows.0).saturating_mul(columns.1.max(1))
}

/// The kind and the data of each record.
struct Records<'a>(&'a [u8]);

impl<'a> Iterator for Records<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (head, rest) = self.0.split_first_chunk::<4>()?;
        let length = usize::from(u16::from_le_bytes([head[2], head[3]]));
        let (data, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((u16::from_le_bytes([head[0], head[1]]), data))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u16, data: &[u16]) -> Vec<u8> {
        let data: Vec<u8> = data.iter().flat_map(|word| word.to_le_bytes()).collect();
        [&kind.to_le_bytes()[..], &(data.len() as u16).to_le_bytes(), &data].concat()
    }

    /// A book of these sheets.
    fn book(sheets: &[Vec<u8>]) -> Vec<u8> {
        // Each sheet's record has 8 bytes of data here.
        let mut start = 4 + 12 * sheets.len() + 4;
        let mut globals = record(BEGIN, &[]);
        for sheet in sheets {
            globals.extend(record(BOUND_SHEET, &[start as u16, (start >> 16) as u16, 0, 0]));
            start += sheet.len();
        }
        globals.extend(record(END, &[]));
        globals.extend(sheets.concat());
        globals
    }

    #[test]
    fn the_cells_of_all_rectangles_are_counted() {
        let number = |row: u16, column: u16| record(0x0203, &[row, column, 0, 0, 0, 0, 0]);
        let chart = [record(BEGIN, &[]), number(9_000, 9_000), record(END, &[])].concat();
        let small =
            [record(BEGIN, &[]), number(2, 3), number(5, 4), record(END, &[]), number(60_000, 60_000)]
                .concat();
        let several = [
            record(BEGIN, &[]),
            record(MULTIPLE, &[7, 10, 0, 0, 0, 0, 0, 0, 11]),
            number(7, 2),
            record(END, &[]),
        ]
        .concat();
        let corners =
            [record(BEGIN, &[]), number(0, 0), chart, number(u16::MAX, u16::MAX), record(END, &[])].concat();
        let claims =
            [record(BEGIN, &[]), record(DIMENSIONS, &[0, 0, 1000, 1, 0, 200, 0]), record(END, &[])].concat();
        for (sheets, expected) in [
            (vec![small.clone()], 4 * 2),
            (vec![several.clone()], 10),
            (vec![corners.clone()], 1 << 32),
            (vec![claims.clone()], (65_536 + 1000) * 200),
            (vec![small, several, corners, claims], 8 + 10 + (1 << 32) + 66_536 * 200),
            (vec![], 0),
        ] {
            assert_eq!(cells_of(&book(&sheets)), expected);
        }
    }

    #[test]
    fn any_bytes_have_a_number_of_cells() {
        for length in 0..64 {
            for kind in [BOUND_SHEET, DIMENSIONS, MULTIPLE, BEGIN, END, 0x0203] {
                let mut bytes = record(kind, &[u16::MAX; 16]);
                bytes.truncate(length);
                let _ = (cells_of(&bytes), cells_of_sheet(&bytes));
                bytes.iter_mut().for_each(|byte| *byte = 0xff);
                let _ = (cells_of(&bytes), cells_of_sheet(&bytes));
            }
        }
    }
}
