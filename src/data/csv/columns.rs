//! Joins the columns of blocks, in order.

use rayon::prelude::*;

use super::cells::{Cells, Mode, Numbers, Parsed, Rules, is_grouped, parse, text_of};
use super::levels::Levels;
use crate::data::table::{Column, MISSING, plain_number};
use crate::data::{DataError, memory};

/// A column of the blocks so far.
#[derive(Debug)]
pub(super) enum Joined {
    Number(Numbers),
    Text {
        levels: Levels,
        codes: Vec<u32>,
    },
    /// Text turned up after numbers, whose exact texts are gone: the file must be read again for this column.
    Late,
    Skipped,
}

impl Joined {
    /// A column that is read as `mode`, with room for `rows`.
    pub fn new(mode: Mode, rows: usize) -> Joined {
        // `rows` is an estimate: if there is no room for so many, there may be for those that come.
        match mode {
            Mode::Number => {
                let mut values = Vec::new();
                _ = values.try_reserve_exact(rows);
                Joined::Number(Numbers { values, ..Numbers::default() })
            }
            Mode::Text => {
                let mut codes = Vec::new();
                _ = codes.try_reserve_exact(rows);
                Joined::Text { levels: Levels::default(), codes }
            }
            Mode::Skip => Joined::Skipped,
        }
    }

    /// What later blocks are read as.
    pub fn mode(&self) -> Mode {
        match self {
            Joined::Number(_) => Mode::Number,
            Joined::Text { .. } => Mode::Text,
            Joined::Late | Joined::Skipped => Mode::Skip,
        }
    }

    /// Whether it holds a number; true for a column of numbers with late text.
    pub fn has_numbers(&self) -> bool {
        match self {
            Joined::Number(numbers) => numbers.values.iter().any(|v| !v.is_nan()),
            Joined::Late => true,
            Joined::Text { .. } | Joined::Skipped => false,
        }
    }

    /// Whether all cells are missing.
    pub fn is_empty(&self) -> bool {
        match self {
            Joined::Text { codes, .. } => codes.iter().all(|code| *code == MISSING),
            column => !column.has_numbers(),
        }
    }

    /// Whether each row has a name of its own, or the rows are counted from 1.
    pub fn names_rows(&self) -> bool {
        match self {
            Joined::Number(numbers) => numbers.values.iter().enumerate().all(|(i, v)| *v == (i + 1) as f64),
            Joined::Text { levels, codes } => levels.texts.len() == codes.len(),
            Joined::Late | Joined::Skipped => false,
        }
    }

    /// Whether a cell can be added without the column becoming text.
    pub fn fits(&self, cell: &str, is_missing: bool) -> bool {
        !matches!(self, Joined::Number(_)) || is_missing || plain_number(cell).is_some()
    }

    /// Bytes for each row.
    pub fn width(&self) -> u64 {
        match self {
            Joined::Number(_) => 8,
            Joined::Text { .. } => 4,
            Joined::Late | Joined::Skipped => 0,
        }
    }

    /// Appends the cells of a block; `block` is its text, if it must be read again.
    fn append(
        &mut self,
        file: &str,
        cells: Cells,
        again: impl Fn() -> Result<Cells, DataError>,
    ) -> Result<(), DataError> {
        let cells = match (&self, cells) {
            // The column became text in an earlier block of the same batch.
            (Joined::Text { .. }, Cells::Number(_)) => again()?,
            (_, cells) => cells,
        };
        if let (Joined::Number(numbers), Cells::Text { .. }) = (&*self, &cells) {
            *self = match self.has_numbers() {
                true => Joined::Late,
                false => {
                    let mut codes = Vec::new();
                    memory::reserve(file, &mut codes, numbers.values.capacity())?;
                    codes.resize(numbers.values.len(), MISSING);
                    Joined::Text { levels: Levels::default(), codes }
                }
            };
        }
        match (self, cells) {
            (Joined::Number(all), Cells::Number(more)) => {
                memory::grow(file, &mut all.values, more.values.len())?;
                all.values.extend_from_slice(&more.values);
                all.pointed += more.pointed;
                all.grouped += more.grouped;
            }
            (Joined::Text { levels, codes }, Cells::Text { levels: new, codes: more }) => {
                let new: Vec<u32> = new.texts.iter().map(|text| levels.code(text)).collect();
                memory::grow(file, codes, more.len())?;
                codes.extend(more.iter().map(|code| new.get(*code as usize).copied().unwrap_or(MISSING)));
            }
            _ => {}
        }
        Ok(())
    }

    /// Whether it is to be text though all cells are plain numbers: some have points, and each may separate thousands.
    pub fn may_be_grouped(&self) -> bool {
        match self {
            Joined::Number(numbers) => numbers.pointed > 0 && numbers.pointed == numbers.grouped,
            Joined::Text { levels, .. } => {
                let mut pointed = levels.texts.iter().filter(|text| text.contains('.')).peekable();
                pointed.peek().is_some() && pointed.all(|text| is_grouped(text))
            }
            Joined::Late | Joined::Skipped => false,
        }
    }

    /// The numbers of a text column in which every level is a plain number.
    pub fn into_numbers(self) -> Joined {
        let Joined::Text { levels, codes } = &self else { return self };
        let Some(values) = levels.texts.iter().map(|text| plain_number(text)).collect::<Option<Vec<f64>>>()
        else {
            return self;
        };
        let values =
            codes.iter().map(|code| values.get(*code as usize).copied().unwrap_or(f64::NAN)).collect();
        Joined::Number(Numbers { values, ..Numbers::default() })
    }

    /// A text column without any text.
    pub fn all_missing(rows: usize) -> Joined {
        Joined::Text { levels: Levels::default(), codes: vec![MISSING; rows] }
    }

    /// Puts the cell of the first line, which fits, before all others.
    pub fn insert_first(&mut self, cell: &str, is_missing: bool) {
        match self {
            Joined::Number(numbers) if is_missing => numbers.values.insert(0, f64::NAN),
            Joined::Number(numbers) => {
                numbers.values.insert(0, plain_number(cell).unwrap_or(f64::NAN));
                numbers.pointed += u64::from(cell.contains('.'));
                numbers.grouped += u64::from(is_grouped(cell));
            }
            Joined::Text { codes, .. } if is_missing => codes.insert(0, MISSING),
            Joined::Text { levels, codes } => {
                // Its level comes first, as levels are in order of appearance.
                let found = levels.find(cell).map_or(levels.texts.len(), |code| code as usize);
                let mut texts = std::mem::take(levels).texts;
                if found < texts.len() {
                    texts[..=found].rotate_right(1);
                } else {
                    texts.insert(0, cell.to_owned());
                }
                texts.iter().for_each(|text| _ = levels.code(text));
                for code in codes.iter_mut().filter(|code| **code != MISSING) {
                    *code = match (*code as usize).cmp(&found) {
                        std::cmp::Ordering::Less => *code + 1,
                        std::cmp::Ordering::Equal => 0,
                        std::cmp::Ordering::Greater => *code,
                    };
                }
                codes.insert(0, 0);
            }
            Joined::Late | Joined::Skipped => {}
        }
    }

    pub fn finish(self) -> Column {
        match self {
            Joined::Number(mut numbers) => {
                shrink(&mut numbers.values);
                Column::Number(numbers.values)
            }
            Joined::Text { levels, mut codes } => {
                shrink(&mut codes);
                Column::Text { levels: levels.texts, codes }
            }
            Joined::Late | Joined::Skipped => Column::Number(Vec::new()),
        }
    }
}

impl From<Cells> for Joined {
    fn from(cells: Cells) -> Joined {
        match cells {
            Cells::Number(numbers) => Joined::Number(numbers),
            Cells::Text { levels, codes } => Joined::Text { levels, codes },
            Cells::Skipped => Joined::Skipped,
        }
    }
}

/// Gives memory back if much is unused.
fn shrink<T>(vector: &mut Vec<T>) {
    if vector.capacity() / 8 * 7 > vector.len() {
        vector.shrink_to_fit();
    }
}

/// Appends a batch of blocks to their columns, all columns at once.
pub(super) fn append(
    file: &str,
    joined: &mut [Joined],
    batch: &[Vec<u8>],
    parsed: Vec<Parsed>,
    rules: &Rules,
) -> Result<(), DataError> {
    let mut of_column: Vec<Vec<Cells>> = joined.iter().map(|_| Vec::with_capacity(parsed.len())).collect();
    for block in parsed {
        of_column.iter_mut().zip(block.columns).for_each(|(all, cells)| all.push(cells));
    }
    let width = joined.len();
    joined.par_iter_mut().zip(of_column).enumerate().try_for_each(|(c, (column, blocks))| {
        for (block, cells) in batch.iter().zip(blocks) {
            column.append(file, cells, || {
                let mut modes = vec![Mode::Skip; width];
                modes[c] = Mode::Text;
                // It has been read before without a fault.
                let columns = text_of(block).and_then(|text| parse(text, rules, &modes)).map(|p| p.columns);
                Ok(columns.unwrap_or_default().swap_remove(c))
            })?;
        }
        Ok(())
    })
}
