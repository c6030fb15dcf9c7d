//! Decides whether the first line of a table names its columns, from all lines below it.

use std::collections::HashSet;

use super::columns::Joined;
use super::kinds::{Kind, kind_of};
use crate::data::table::{MISSING, is_missing};
use crate::data::types::is_marker;

/// Maximum number of levels of a column that are looked at.
const LOOKED_AT: usize = 1000;
/// Rows from which the frequencies of texts say something.
const MANY_ROWS: usize = 20;

/// What the decision is based on.
pub(super) struct Clues<'a> {
    /// Cells of the first line, trimmed.
    pub first: &'a [String],
    /// All lines below.
    pub columns: &'a [Joined],
    pub rows: usize,
    /// Names that are looked for.
    pub names: &'a [&'a str],
}

impl Clues<'_> {
    /// Whether the first line names the columns.
    pub fn is_header(&self) -> bool {
        if self.rows == 0 {
            // One line for a trained model, without any of its names, is a row to predict.
            return self.is_named() || self.names.len() < 2 && self.all_names_differ();
        }
        self.is_named()
            || self.is_text_over_values()
            || self.is_unlike_its_rows()
            || self.is_new_text_over_classes()
            || self.is_count() && !self.continues_as_data()
    }

    /// Whether it has the names that are looked for. One that is a number may as well be a value, or the position of a
    /// target.
    fn is_named(&self) -> bool {
        let cells: HashSet<&str> = self.first.iter().map(String::as_str).collect();
        let has = |name: &&str| cells.contains(name);
        let is_name = |name: &&str| !is_missing(name) && kind_of(name) != Kind::Number;
        self.names.iter().any(|name| is_name(name) && has(name))
            || self.names.len() > 1 && self.names.iter().all(has)
    }

    /// Whether a column has a name where the lines below have values of another kind.
    fn is_text_over_values(&self) -> bool {
        let any_number = self.first.iter().any(|cell| kind_of(cell) == Kind::Number);
        let is_name_over = |(cell, column): (&String, &Joined)| {
            let (above, below) = (kind_of(cell), kind_of_column(column));
            let is_name = above == Kind::Date || is_named_by(cell);
            match below {
                Kind::Number | Kind::Date => is_name && above != below,
                // In a row of data, `maybe` can come before yes and no.
                Kind::Boolean => is_name && above != below && !any_number,
                Kind::Missing | Kind::Text => false,
            }
        };
        self.numbers_may_be_names() && self.pairs().any(is_name_over)
    }

    /// In a table of texts alone: whether none of the first line's cells turns up again in its column.
    fn is_unlike_its_rows(&self) -> bool {
        let all_text = self.columns.iter().all(|c| matches!(kind_of_column(c), Kind::Text | Kind::Missing));
        all_text
            && self.columns.iter().any(|c| matches!(c, Joined::Text { .. }))
            && self.all_names_differ()
            && self.pairs().all(|(cell, column)| !recurs(cell, column))
    }

    /// Beside numbers that may be names: whether the first line has new texts where the lines below repeat a few.
    fn is_new_text_over_classes(&self) -> bool {
        let texts: Vec<_> = self.pairs().filter(|(_, column)| kind_of_column(column) == Kind::Text).collect();
        let is_wanted = |cell: &String| self.names.contains(&cell.as_str());
        let is_value = |(cell, column): (&String, &Joined)| {
            let below = kind_of_column(column);
            matches!(below, Kind::Date | Kind::Boolean) && kind_of(cell) == below
        };
        !texts.is_empty()
            && !self.pairs().any(is_value)
            && self.numbers_may_be_names()
            && texts.iter().all(|(cell, column)| is_named_by(cell) && !recurs(cell, column))
            && (self.first.iter().any(is_wanted)
                || self.rows >= MANY_ROWS && texts.iter().all(|(_, column)| repeats(column)))
    }

    /// Whether the first line counts: 0, 1, 2 or 1, 2, 3, perhaps after an empty cell, as pandas writes arrays.
    fn is_count(&self) -> bool {
        let cells = match self.first {
            [empty, rest @ ..] if empty.is_empty() => rest,
            all => all,
        };
        let counts = |from: usize| cells.iter().enumerate().all(|(i, cell)| *cell == (i + from).to_string());
        self.first.len() >= 2 && cells.len() >= 2 && (counts(0) || counts(1))
    }

    /// Whether a first line that counts may be a row like those below.
    fn continues_as_data(&self) -> bool {
        let numbers: Vec<(f64, &[f64])> = self
            .pairs()
            .filter_map(|(cell, column)| match column {
                Joined::Number(numbers) if column.has_numbers() => {
                    Some((cell.parse().unwrap_or(f64::NAN), numbers.values.as_slice()))
                }
                _ => None,
            })
            .collect();
        let over_text = self.pairs().any(|(cell, column)| {
            !cell.is_empty() && matches!(kind_of_column(column), Kind::Text | Kind::Date | Kind::Boolean)
        });
        let has_fractions = |values: &[f64]| {
            let known = values.iter().take(LOOKED_AT).filter(|v| !v.is_nan());
            known.clone().filter(|v| v.fract() != 0.0).count() * 2 > known.count()
        };
        let n_fractions = numbers.iter().filter(|(_, values)| has_fractions(values)).count();
        if over_text || n_fractions >= 2 || self.first.first().is_some_and(String::is_empty) {
            return false;
        }
        // 0 above 1, 2, 3
        let counts_on = |(first, values): &(f64, &[f64])| match values {
            [a, b, ..] => {
                let step = a - first;
                step != 0.0 && b - a == step && values.get(2).is_none_or(|c| c - b == step)
            }
            _ => false,
        };
        // Four whole numbers may be so by chance, but names from 1 are rare.
        let recurs = |(first, values): &(f64, &[f64])| values.contains(first);
        numbers.iter().any(counts_on)
            || n_fractions == 0
                && self.first.len() <= 4
                && (self.first[0] == "1" || numbers.iter().all(recurs))
    }

    fn pairs(&self) -> impl Iterator<Item = (&String, &Joined)> {
        self.first.iter().zip(self.columns)
    }

    /// Whether the first line's numbers, if any, are positions, years or other different whole numbers, or rise.
    fn numbers_may_be_names(&self) -> bool {
        let numbers: Vec<&str> =
            self.first.iter().map(String::as_str).filter(|cell| kind_of(cell) == Kind::Number).collect();
        let differ = numbers.iter().collect::<HashSet<_>>().len() == numbers.len();
        let values: Vec<f64> = numbers.iter().filter_map(|n| n.parse().ok()).collect();
        let rise = values.len() > 2 && values.len() == numbers.len() && values.is_sorted_by(|a, b| a < b);
        differ && numbers.iter().all(|n| n.parse::<u32>().is_ok()) || rise
    }

    /// Whether all cells are texts and differ.
    fn all_names_differ(&self) -> bool {
        let cells: HashSet<&String> = self.first.iter().collect();
        let is_text = |cell: &&String| !is_missing(cell) && kind_of(cell) != Kind::Number;
        cells.len() == self.first.len() && cells.iter().all(is_text)
    }
}

/// Whether a cell can only be a name, not a marker of a missing value.
fn is_named_by(cell: &str) -> bool {
    !is_marker(cell) && cell.chars().any(char::is_alphabetic) && kind_of(cell) != Kind::Number
}

/// The kind of nine in ten different cells of a column.
fn kind_of_column(column: &Joined) -> Kind {
    let levels = match column {
        Joined::Text { levels, .. } => &levels.texts,
        column => return if column.has_numbers() { Kind::Number } else { Kind::Missing },
    };
    let looked_at = levels.iter().step_by(levels.len().div_ceil(LOOKED_AT).max(1));
    let kinds: Vec<Kind> =
        looked_at.map(|text| kind_of(text)).filter(|kind| *kind != Kind::Missing).collect();
    let is_most = |kind: &Kind| kinds.iter().filter(|k| *k == kind).count() * 10 >= kinds.len() * 9;
    match kinds.is_empty() {
        true => Kind::Missing,
        false => [Kind::Number, Kind::Date, Kind::Boolean].into_iter().find(is_most).unwrap_or(Kind::Text),
    }
}

fn recurs(cell: &str, column: &Joined) -> bool {
    matches!(column, Joined::Text { levels, .. } if levels.find(cell).is_some())
}

/// Whether each text of a column turns up at least twice, and four times on average.
fn repeats(column: &Joined) -> bool {
    let Joined::Text { levels, codes } = column else { return false };
    let mut counts = vec![0u32; levels.texts.len()];
    codes.iter().filter(|code| **code != MISSING).for_each(|code| counts[*code as usize] += 1);
    counts.len() * 4 <= codes.len() && counts.iter().all(|n| *n >= 2)
}
