//! What a user says of the columns of a table.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::values::ImageSize;

/// Order of day, month and year in dates whose month is a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DateOrder {
    /// 2024-03-31
    Ymd,
    /// 31/03/2024
    Dmy,
    /// 03/31/2024
    Mdy,
}

impl DateOrder {
    pub const ALL: [DateOrder; 3] = [DateOrder::Ymd, DateOrder::Dmy, DateOrder::Mdy];
}

/// The type of a column that can be an input, as asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AskedType {
    /// Numbers; `comma` tells the decimal sign.
    Number {
        comma: Option<bool>,
    },
    Boolean,
    Category,
    /// Dates; `order` tells which of the numbers is the day.
    Date {
        order: Option<DateOrder>,
    },
}

/// `--column NAME=TYPE`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct AskedColumn {
    /// Name of the column, or its position from 0.
    pub name: String,
    pub asked: AskedType,
}

/// Every type with its details, as `--column` has it.
const TYPES: [(&str, AskedType); 8] = [
    ("number", AskedType::Number { comma: None }),
    ("number:point", AskedType::Number { comma: Some(false) }),
    ("number:comma", AskedType::Number { comma: Some(true) }),
    ("boolean", AskedType::Boolean),
    ("category", AskedType::Category),
    ("date", AskedType::Date { order: None }),
    ("date:dmy", AskedType::Date { order: Some(DateOrder::Dmy) }),
    ("date:mdy", AskedType::Date { order: Some(DateOrder::Mdy) }),
];

impl FromStr for AskedColumn {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = text.rsplit_once('=').and_then(|(name, kind)| {
            let (_, asked) = TYPES.iter().find(|(name, _)| name.eq_ignore_ascii_case(kind.trim()))?;
            (!name.trim().is_empty()).then(|| AskedColumn { name: name.trim().to_owned(), asked: *asked })
        });
        found.ok_or_else(|| {
            let types = TYPES.map(|(name, _)| name).join(", ");
            format!("expected NAME=TYPE, for example zip=category, with a type of {types}")
        })
    }
}

impl TryFrom<String> for AskedColumn {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<AskedColumn> for String {
    fn from(column: AskedColumn) -> String {
        column.to_string()
    }
}

impl fmt::Display for AskedColumn {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let name = TYPES.iter().find(|(_, asked)| *asked == self.asked).map_or("", |(name, _)| name);
        write!(f, "{}={name}", self.name)
    }
}

/// How the table or the images of a run are read, where the user says so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableRequest {
    /// Types of columns; those of the others are decided from their values.
    pub columns: Vec<AskedColumn>,
    /// Columns that are left out.
    pub drop: Vec<String>,
    /// Columns that are left out, and carried into the predictions.
    pub keep: Vec<String>,
    /// Further texts that stand for missing values.
    pub missing: Vec<String>,
    /// Whether the first line of a text file names the columns; decided from the file if none.
    pub header: Option<bool>,
    /// Whether missing numbers have an indicator; those of which more than 1 % are missing if none.
    pub missing_indicator: Option<bool>,
    /// Size to which images in files are brought; their own if none.
    pub image_size: Option<ImageSize>,
}
