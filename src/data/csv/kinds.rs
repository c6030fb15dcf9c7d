//! What a cell looks like, to tell names of columns from values.

use crate::data::numbers::is_number_like;
use crate::data::table::plain_number;
use crate::data::times;
use crate::data::types::{is_marker, truth};
use crate::spec::DateOrder;

/// What a cell, or most cells of a column, look like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Missing,
    /// Also with a unit, a currency sign or separated thousands.
    Number,
    Date,
    Boolean,
    Text,
}

/// The kind of a trimmed cell.
pub(super) fn kind_of(cell: &str) -> Kind {
    let is_date = || DateOrder::ALL.iter().any(|order| times::parse(cell, *order).is_some());
    match cell {
        _ if is_marker(cell) => Kind::Missing,
        _ if plain_number(cell).is_some() => Kind::Number,
        _ if truth(cell).is_some() => Kind::Boolean,
        _ if is_date() => Kind::Date,
        _ if is_number_like(cell) => Kind::Number,
        _ => Kind::Text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_have_kinds() {
        for (kind, cells) in [
            (Kind::Missing, &["", "NA", "?", "-", "--", "$", ",", "unknown", "None"][..]),
            (
                Kind::Number,
                &[
                    "1",
                    "-2.5e3",
                    "inf",
                    "007",
                    "$1,200.50",
                    "1.234,5",
                    "(12.5)",
                    "70 kg",
                    "15%",
                    "€ 3",
                    "1 234,5 €",
                    "1\u{a0}234\u{a0}567",
                    "12345678901234567890",
                ],
            ),
            (Kind::Date, &["2024-03-31", "31/03/2024", "03/31/2024", "9:05", "31 Mar 2024"]),
            (Kind::Boolean, &["True", "no", "Y"]),
            (Kind::Text, &["x", "x1", "size", "kg", "new york", "A-1"]),
        ] {
            for cell in cells {
                assert_eq!(kind_of(cell), kind, "{cell}");
            }
        }
    }
}
