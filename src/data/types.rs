//! What a column holds: decided once for all formats, from the values of all rows.
//!
//! | type | a column whose values are | becomes |
//! |---|---|---|
//! | number | numbers, however written; a few texts are taken as missing | its number |
//! | boolean | `true`/`false`, `yes`/`no`, `1`/`0` and the like | 0 or 1 |
//! | date | dates, with or without a time, or times of day | seconds since 1970 and places in the year, the week and the day |
//! | category | texts that return | an indicator for each |
//! | text | sentences that do not return | left out |
//! | identifier | names or numbers that are different in every row | left out |
//! | index | the number of the row | left out |
//! | constant | one value | left out |
//! | empty | nothing | left out |
//! | other | lists, binary values | left out |
//!
//! What cannot be known is an error that shows the possible readings; `--column NAME=TYPE` answers it.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::DataError;
use super::numbers::{self, Ambiguity, Inferred, NumberFormat, is_bare, is_number_like};
use super::table::{Column, Dialect, MISSING, Texts, is_missing};
use super::times;
use crate::base::shell_word;
use crate::base::text::{count, counted, listed, shorten};
use crate::spec::{AskedType, DateOrder};

/// Most different texts among numbers that are taken for markers of missing values.
const MAX_MARKERS: usize = 3;
/// With at most this many different numbers beside it, a text may as well be one more code.
const FEW_CODES: usize = 20;
/// A text column with at least this share of different values is names, identifiers or sentences.
const UNIQUE_SHARE: f64 = 0.9;
/// A column with at most this many different values is never taken for identifiers.
const MIN_UNIQUE: usize = 8;
/// Fewer rows than this do not show that a column numbers them.
const MIN_INDEX_ROWS: usize = 10;
/// Words of a text, on average, from which it is sentences.
const SENTENCE: f64 = 4.0;

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColumnType {
    Number,
    Boolean,
    Date,
    Category,
    Text,
    Identifier,
    Index,
    Constant,
    Empty,
    Other,
}

impl ColumnType {
    /// As it is printed, and as `--column` has it.
    pub fn name(self) -> &'static str {
        match self {
            ColumnType::Number => "number",
            ColumnType::Boolean => "boolean",
            ColumnType::Date => "date",
            ColumnType::Category => "category",
            ColumnType::Text => "text",
            ColumnType::Identifier => "identifier",
            ColumnType::Index => "index",
            ColumnType::Constant => "constant",
            ColumnType::Empty => "empty",
            ColumnType::Other => "other",
        }
    }

    /// Whether its columns can be inputs.
    pub fn is_input(self) -> bool {
        use ColumnType::{Boolean, Category, Date, Number};
        matches!(self, Number | Boolean | Date | Category)
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.pad(self.name())
    }
}

/// How the values of a column are read, in training and for every prediction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "as", rename_all = "kebab-case")]
pub(crate) enum Reading {
    /// Texts that are none of its numbers are missing values; `markers` are those that training saw.
    Number {
        #[serde(flatten)]
        format: NumberFormat,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        markers: Vec<String>,
    },
    /// Words for true and false.
    Boolean,
    Date {
        order: DateOrder,
        /// Whether numbers of eight digits are dates.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        digits: bool,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        markers: Vec<String>,
    },
    /// The texts themselves.
    Text,
}

impl Default for Reading {
    /// Plain numbers, which is what models of versions without readings have.
    fn default() -> Reading {
        Reading::Number { format: NumberFormat::default(), markers: Vec::new() }
    }
}

/// What was decided for a column.
#[derive(Clone, Debug)]
pub(crate) struct Decided {
    pub kind: ColumnType,
    pub reading: Reading,
    /// The values as they were read.
    pub column: Column,
    /// What a user should know: which texts count as missing, why a column is left out.
    pub notes: Vec<String>,
}

/// Where a column is, and what is known besides its values.
#[derive(Clone, Copy)]
pub(crate) struct Context<'a> {
    /// For messages.
    pub file: &'a str,
    pub name: &'a str,
    /// See [`Dialect::may_have_commas`].
    pub may_have_commas: bool,
    /// Whether it is the target.
    pub is_target: bool,
    pub asked: Option<AskedType>,
    /// Where a row is: `line 17` or `row 16`.
    pub place: &'a dyn Fn(usize) -> String,
}

impl Context<'_> {
    fn error(&self, what: impl Into<String>, remedy: impl Into<String>) -> DataError {
        DataError::column(self.file, self.name, what, remedy)
    }

    /// `--column NAME=...`, quoted for a shell where it must be.
    fn flag(&self, kind: &str) -> String {
        format!("--column {}", shell_word(&format!("{}={kind}", self.name)))
    }
}

/// Decides what a column holds, and reads it.
///
/// # Errors
/// Values that can be read in two ways, or not in the way that the user asked for.
pub(crate) fn decide(column: Column, context: &Context) -> Result<Decided, DataError> {
    let known = column.len() - column.n_missing();
    let plain = |kind, column, reading| Decided { kind, reading, column, notes: Vec::new() };
    if known == 0 {
        return Ok(plain(ColumnType::Empty, column, Reading::default()));
    }
    if let Some(asked) = context.asked {
        return as_asked(column, asked, context);
    }
    match column {
        Column::Other { .. } => Ok(plain(ColumnType::Other, column, Reading::Text)),
        Column::Time(_) => {
            let reading = Reading::Date { order: DateOrder::Ymd, digits: false, markers: Vec::new() };
            Ok(finish(plain(ColumnType::Date, column, reading), context))
        }
        Column::Number(values) => Ok(finish(of_numbers(values, context), context)),
        Column::Text { levels, codes } => Ok(finish(of_texts(levels, codes, context)?, context)),
    }
}

/// A column that is not looked at.
pub(crate) fn undecided(column: Column) -> Decided {
    Decided { kind: ColumnType::Other, reading: Reading::Text, column, notes: Vec::new() }
}

/// Plain numbers: also truth values and dates of eight digits.
fn of_numbers(values: Vec<f64>, context: &Context) -> Decided {
    let known = || values.iter().copied().filter(|v| !v.is_nan());
    if known().all(|v| v == 0.0 || v == 1.0) {
        return Decided {
            kind: ColumnType::Boolean,
            reading: Reading::Boolean,
            column: Column::Number(values),
            notes: Vec::new(),
        };
    }
    let is_date = |v: f64| times::of_digits(v).is_some();
    if known().all(|v| is_date(v) || times::is_no_date(v)) && known().any(is_date) {
        let notes = note_of_no_dates(known().filter(|v| times::is_no_date(*v)).count(), context);
        let column = Column::Time(values.iter().map(|v| times::of_digits(*v).unwrap_or(f64::NAN)).collect());
        let reading = Reading::Date { order: DateOrder::Ymd, digits: true, markers: Vec::new() };
        return Decided { kind: ColumnType::Date, reading, column, notes };
    }
    let column = Column::Number(values);
    Decided { kind: ColumnType::Number, reading: Reading::default(), column, notes: Vec::new() }
}

fn of_texts(levels: Vec<String>, codes: Vec<u32>, context: &Context) -> Result<Decided, DataError> {
    let counts = counts(&levels, &codes);
    let known: usize = counts.iter().sum();
    let texts = || levels.iter().map(String::as_str);
    if texts().all(|text| truth(text).is_some()) && are_of_one_pair(texts()) {
        return Ok(read_as(ColumnType::Boolean, Reading::Boolean, levels, codes));
    }
    // More than a half makes a column of numbers or dates with some faults; below that, texts that may be both.
    let rows_of = |is: &dyn Fn(&str) -> bool| -> usize {
        levels.iter().zip(&counts).filter(|(text, _)| is(text)).map(|(_, n)| n).sum()
    };
    // Marks of missing values say nothing of the type.
    let unmarked = known - rows_of(&|text| is_marker(text) && !is_number_like(text));
    let share = |is: &dyn Fn(&str) -> bool| {
        let good: Vec<usize> =
            levels.iter().zip(&counts).filter(|(text, _)| is(text)).map(|(_, n)| *n).collect();
        let (rows, others) = (good.iter().sum::<usize>(), levels.len() - good.len());
        rows > 0 && (2 * rows > unmarked || good.len() > FEW_CODES && others <= MAX_MARKERS)
    };
    // One 05 among ages is a number; a tenth of such cells makes codes, and so does a whole number that f64 would round.
    let is_code = 10 * rows_of(&is_code) > known || texts().any(is_rounded);
    let all_unmarked =
        |is: &dyn Fn(&str) -> bool| rows_of(is) > 0 && rows_of(&|text| is(text) || is_marker(text)) == known;
    if all_unmarked(&is_date_of_digits) {
        let no_dates = rows_of(&|text| text.parse().is_ok_and(times::is_no_date));
        let reading = Reading::Date { order: DateOrder::Ymd, digits: true, markers: Vec::new() };
        let (column, _) = reading.dates(&levels, &codes);
        let notes = note_of_no_dates(no_dates, context);
        return Ok(Decided { kind: ColumnType::Date, reading, column, notes });
    }
    if all_unmarked(&times::is_month_of_year)
        && let Some(decided) = dates_with_faults(&levels, &codes, &counts, context)?
    {
        return Ok(decided);
    }
    if !is_code && share(&is_number_like) {
        if let Some(decided) = numbers_with_faults(&levels, &codes, &counts, context)? {
            return Ok(decided);
        }
    } else if !is_code
        && share(&is_date_like)
        && let Some(decided) = dates_with_faults(&levels, &codes, &counts, context)?
    {
        return Ok(decided);
    }
    Ok(read_as(ColumnType::Category, Reading::Text, levels, codes))
}

/// Whether a text is a date of eight digits, or one that stands for none.
fn is_date_of_digits(text: &str) -> bool {
    text.len() == 8 && text.parse().is_ok_and(|v| times::of_digits(v).is_some() || times::is_no_date(v))
}

fn note_of_no_dates(rows: usize, context: &Context) -> Vec<String> {
    let cells = counted(rows as u64, "row");
    let note = format!(
        "column {:?} holds dates; 00000000 and 99991231, in {cells}, are taken as missing",
        context.name
    );
    (rows > 0).then_some(note).into_iter().collect()
}

/// Whether only decimal commas explain the numbers of a column.
pub(crate) fn has_decimal_commas(column: &Column) -> bool {
    let Column::Text { levels, .. } = column else { return false };
    let numbers = || levels.iter().map(String::as_str).filter(|text| is_number_like(text));
    2 * numbers().count() > levels.len()
        && matches!(numbers::infer(numbers(), false, None), Inferred::Numbers(format) if format.comma)
}

/// Reads texts that are mostly numbers; none if they are rather codes.
fn numbers_with_faults(
    levels: &[String],
    codes: &[u32],
    counts: &[usize],
    context: &Context,
) -> Result<Option<Decided>, DataError> {
    let good = || levels.iter().map(String::as_str).filter(|text| is_number_like(text));
    let bare = || good().filter(|text| is_bare(text));
    let mut inferred = numbers::infer(good(), context.may_have_commas, None);
    if let Inferred::Ambiguous(Ambiguity::Units { .. }) = inferred
        && good().count() - bare().count() <= MAX_MARKERS
        && bare().count() > FEW_CODES
    {
        // 12x among hundreds of bare numbers is a fault.
        inferred = numbers::infer(bare(), context.may_have_commas, None);
    }
    let format = match inferred {
        Inferred::Numbers(format) => format,
        Inferred::No => return Ok(None),
        // A few texts that return, such as "2 rooms" and "1 flat", are categories.
        Inferred::Ambiguous(Ambiguity::Units { .. }) if levels.len() <= FEW_CODES => return Ok(None),
        Inferred::Ambiguous(ambiguity) => return Err(ambiguous(&ambiguity, context)),
    };
    let faults = faults(levels, counts, |text| format.parse(text).is_some());
    let distinct_numbers = levels.len() - faults.len();
    let whole = good().all(|text| format.parse(text).is_none_or(|v| v.fract() == 0.0));
    let unknown: Vec<&Fault> = faults.iter().filter(|fault| !is_marker(fault.text)).collect();
    let rows: usize = unknown.iter().map(|fault| fault.rows).sum();
    if unknown.len() > MAX_MARKERS {
        let known: usize = counts.iter().sum();
        if whole && 10 * rows >= known {
            // 12, 12A, 7B: codes.
            return Ok(None);
        }
        return Err(too_many_faults(levels, codes, counts, &faults, "number", context));
    }
    if let (Some(fault), true) = (unknown.first(), distinct_numbers <= FEW_CODES) {
        let what = format!(
            "{} different numbers, and {}: they may be numbers and a missing value, or codes",
            count(distinct_numbers as u64),
            shown(fault, levels, codes, context)
        );
        return Err(context.error(what, either(&[&context.flag("number"), &context.flag("category")])));
    }
    let notes = note_of(&faults, "numbers", context);
    let markers = faults.iter().map(|fault| fault.text.to_owned()).collect();
    let reading = Reading::Number { format, markers };
    let (column, _) = reading.numbers(levels, codes);
    Ok(Some(Decided { kind: ColumnType::Number, reading, column, notes }))
}

/// Reads texts that are mostly dates; none if they are rather codes.
fn dates_with_faults(
    levels: &[String],
    codes: &[u32],
    counts: &[usize],
    context: &Context,
) -> Result<Option<Decided>, DataError> {
    let good: Vec<&str> = levels.iter().map(String::as_str).filter(|text| is_date_like(text)).collect();
    let order = match order_of(&good, context)? {
        Some(order) => order,
        None => return Ok(None),
    };
    let faults = faults(levels, counts, |text| times::parse(text, order).is_some());
    let unknown: Vec<&Fault> = faults.iter().filter(|fault| !is_marker(fault.text)).collect();
    if unknown.len() > MAX_MARKERS {
        return Err(too_many_faults(levels, codes, counts, &faults, "date", context));
    }
    let mut notes = note_of(&faults, "dates", context);
    if let Some(text) = good.iter().find(|text| times::has_short_year(text)) {
        let name = context.name;
        notes.push(format!(
            "column {name:?}: years of two digits ({:?}) are taken as 1969 to 2068",
            shorten(text)
        ));
    }
    let markers = faults.iter().map(|fault| fault.text.to_owned()).collect();
    let reading = Reading::Date { order, digits: false, markers };
    let (column, _) = reading.dates(levels, codes);
    Ok(Some(Decided { kind: ColumnType::Date, reading, column, notes }))
}

/// A date and a time of day, if a column has both.
fn date_and_time<'a>(dates: &[&'a str]) -> Option<(&'a str, &'a str)> {
    let has_date =
        |text: &&str| DateOrder::ALL.iter().any(|o| times::parse(text, *o).is_some_and(|m| m.has_date));
    let mut texts = dates.iter().copied();
    Some((texts.clone().find(has_date)?, texts.find(|text| !has_date(text))?))
}

/// The order of day, month and year that reads all dates; the user is asked where two orders do.
fn order_of(dates: &[&str], context: &Context) -> Result<Option<DateOrder>, DataError> {
    let reads_all = |order| dates.iter().all(|text| times::parse(text, order).is_some());
    if let Some((date, time)) = date_and_time(dates) {
        let what = format!("{:?} is a date, {:?} a time of day", shorten(date), shorten(time));
        let remedy = format!("give all cells of the column one of them, or {}", context.flag("category"));
        return Err(context.error(what, remedy));
    }
    if let Some(text) =
        dates.first().filter(|_| dates.iter().all(|text| times::may_begin_with_short_year(text)))
    {
        let what = format!("{:?} may begin with a year or end with one", shorten(text));
        let remedy = "write years with four digits, or say that it ends with one: ";
        return Err(context.error(what, remedy.to_owned() + &context.flag("date:dmy")));
    }
    if reads_all(DateOrder::Ymd) {
        return Ok(Some(DateOrder::Ymd));
    }
    Ok(match (reads_all(DateOrder::Dmy), reads_all(DateOrder::Mdy)) {
        (true, false) => Some(DateOrder::Dmy),
        (false, true) => Some(DateOrder::Mdy),
        (false, false) => {
            let only = |order, other| {
                let reads =
                    |text: &&&str| times::parse(text, order).is_some() && times::parse(text, other).is_none();
                dates.iter().find(reads)
            };
            let (day, month) = (only(DateOrder::Dmy, DateOrder::Mdy), only(DateOrder::Mdy, DateOrder::Dmy));
            let (Some(day), Some(month)) = (day, month) else { return Ok(None) };
            let what = format!("{:?} has the day first, {:?} the month", shorten(day), shorten(month));
            let remedy = format!("write all dates in one order, or {}", context.flag("category"));
            return Err(context.error(what, remedy));
        }
        (true, true) => {
            let reading = |text: &str, order| times::parse(text, order).map(|m| times::written(m.seconds));
            let different = |text: &&&str| reading(text, DateOrder::Dmy) != reading(text, DateOrder::Mdy);
            let Some(text) = dates.iter().find(different) else { return Ok(Some(DateOrder::Dmy)) };
            let [day, month] =
                [DateOrder::Dmy, DateOrder::Mdy].map(|order| reading(text, order).unwrap_or_default());
            let what = format!(
                "{:?} may be {day} or {month}, and no other date of the column decides it",
                shorten(text)
            );
            return Err(context.error(what, either(&[&context.flag("date:dmy"), &context.flag("date:mdy")])));
        }
    })
}

/// A text that the reading of its column cannot read, and the rows that have it.
struct Fault<'a> {
    text: &'a str,
    rows: usize,
}

/// The texts that cannot be read, the most frequent first.
fn faults<'a>(levels: &'a [String], counts: &[usize], reads: impl Fn(&str) -> bool) -> Vec<Fault<'a>> {
    let faults = levels.iter().zip(counts).filter(|(text, rows)| **rows > 0 && !reads(text));
    let mut faults: Vec<Fault> = faults.map(|(text, rows)| Fault { text, rows: *rows }).collect();
    faults.sort_by(|a, b| b.rows.cmp(&a.rows).then(a.text.cmp(b.text)));
    faults
}

fn note_of(faults: &[Fault], what: &str, context: &Context) -> Vec<String> {
    if faults.is_empty() {
        return Vec::new();
    }
    let shown: Vec<String> = faults
        .iter()
        .map(|fault| format!("{:?} in {}", shorten(fault.text), counted(fault.rows as u64, "row")))
        .collect();
    let role = if context.is_target { "target" } else { "column" };
    vec![format!("{role} {:?} holds {what}; taken as missing: {}", context.name, listed(&shown))]
}

/// A fault with the first row that has it: `line 17 "x4"`.
fn shown(fault: &Fault, levels: &[String], codes: &[u32], context: &Context) -> String {
    let level = levels.iter().position(|text| text == fault.text).unwrap_or(0) as u32;
    let row = codes.iter().position(|code| *code == level).unwrap_or(0);
    format!("{} {:?}", (context.place)(row), shorten(fault.text))
}

fn too_many_faults(
    levels: &[String],
    codes: &[u32],
    counts: &[usize],
    faults: &[Fault],
    kind: &str,
    context: &Context,
) -> DataError {
    let unknown: Vec<&Fault> = faults.iter().filter(|fault| !is_marker(fault.text)).collect();
    let good = counts.iter().sum::<usize>() - faults.iter().map(|fault| fault.rows).sum::<usize>();
    let rows: usize = unknown.iter().map(|fault| fault.rows).sum();
    let shown: Vec<String> =
        unknown.iter().take(MAX_MARKERS).map(|fault| shown(fault, levels, codes, context)).collect();
    let more = match unknown.len() - shown.len() {
        0 => String::new(),
        more => format!(" and {}", counted(more as u64, "other text")),
    };
    let what = format!(
        "{} of {} cells are {kind}s, but not {}{more}",
        count(good as u64),
        count((good + rows) as u64),
        shown.join(", ")
    );
    let as_missing = format!("{} to take them as missing", context.flag(kind));
    let remedy =
        format!("correct them, or say {as_missing}, or {} if these are codes", context.flag("category"));
    context.error(what, remedy)
}

fn ambiguous(ambiguity: &Ambiguity, context: &Context) -> DataError {
    match ambiguity {
        Ambiguity::Sign { text, as_point, as_comma } => {
            let reading =
                |value: &Option<f64>, otherwise: &str| value.map_or(otherwise.to_owned(), |v| v.to_string());
            let what = match (as_point, as_comma) {
                (Some(point), Some(comma)) => format!(
                    "{:?} may be {point} or {comma}, and nothing in the column decides it",
                    shorten(text)
                ),
                _ => format!(
                    "its numbers have decimal points and commas: {:?} is {} with a decimal point, and {} with a decimal comma",
                    shorten(text),
                    reading(as_point, "no number"),
                    reading(as_comma, "no number")
                ),
            };
            context.error(what, either(&[&context.flag("number:point"), &context.flag("number:comma")]))
        }
        Ambiguity::Units { a, b } => {
            let what = format!("{:?} and {:?} have different units", shorten(a), shorten(b));
            context.error(
                what,
                format!("write the column in one unit, or {} if these are names", context.flag("category")),
            )
        }
    }
}

fn either(flags: &[&str]) -> String {
    format!("say which: {}", flags.join(" or "))
}

/// Reads a column as the user asks. What cannot be read is missing, said, unless nothing can.
fn as_asked(column: Column, asked: AskedType, context: &Context) -> Result<Decided, DataError> {
    let dates = |order, digits| Reading::Date { order, digits, markers: Vec::new() };
    let (kind, reading) = match (asked, &column) {
        (_, Column::Other { what, .. }) => {
            return Err(context.error(format!("holds {what}"), "leave it out with --drop"));
        }
        (AskedType::Number { comma }, Column::Text { levels, .. }) => {
            let good = levels.iter().map(String::as_str).filter(|text| is_number_like(text));
            let reading = match numbers::infer(good, context.may_have_commas, comma) {
                Inferred::Numbers(format) => Reading::Number { format, markers: Vec::new() },
                Inferred::No => Reading::default(),
                Inferred::Ambiguous(ambiguity) => return Err(ambiguous(&ambiguity, context)),
            };
            (ColumnType::Number, reading)
        }
        (AskedType::Number { .. }, _) => (ColumnType::Number, Reading::default()),
        (AskedType::Boolean, _) => (ColumnType::Boolean, Reading::Boolean),
        (AskedType::Date { order }, Column::Text { levels, .. }) => {
            let good: Vec<&str> =
                levels.iter().map(String::as_str).filter(|text| is_date_like(text)).collect();
            let order = match order {
                Some(order) => order,
                None => order_of(&good, context)?.unwrap_or(DateOrder::Ymd),
            };
            (ColumnType::Date, dates(order, false))
        }
        (AskedType::Date { .. }, column) => {
            (ColumnType::Date, dates(DateOrder::Ymd, matches!(column, Column::Number(_))))
        }
        (AskedType::Category, _) => (ColumnType::Category, Reading::Text),
    };
    let (read, unread) = reading.apply(column).map_err(|what| context.error(what, "choose another type"))?;
    if !unread.any_read {
        let what = format!("none of its values is a {kind}: {:?}", shorten(&unread.example));
        return Err(context.error(what, "choose another type"));
    }
    let note = |unread: &Unread| {
        format!(
            "column {:?}: values in {} are not {} (such as {:?}) and count as missing",
            context.name,
            counted(unread.rows as u64, "row"),
            reading.plural(),
            shorten(&unread.example)
        )
    };
    let notes = (unread.rows > 0).then(|| note(&unread)).into_iter().collect();
    Ok(Decided { kind, reading, column: read, notes })
}

fn read_as(kind: ColumnType, reading: Reading, levels: Vec<String>, codes: Vec<u32>) -> Decided {
    let column = match reading {
        Reading::Text => Column::Text { levels, codes },
        _ => reading.numbers(&levels, &codes).0,
    };
    Decided { kind, reading, column, notes: Vec::new() }
}

/// Columns that say nothing about other rows: constants, indices, identifiers, sentences.
fn finish(mut decided: Decided, context: &Context) -> Decided {
    if context.is_target {
        return decided;
    }
    let name = context.name;
    let found = match &decided.column {
        Column::Number(values) if is_constant(values) => Some(ColumnType::Constant),
        Column::Time(values) if is_constant(values) => Some(ColumnType::Constant),
        Column::Text { codes, .. } if is_constant(codes) => Some(ColumnType::Constant),
        Column::Number(values) if is_index(name, values) => Some(ColumnType::Index),
        Column::Number(values) if is_named_as_id(name) && are_different_integers(values) => {
            Some(ColumnType::Identifier)
        }
        Column::Text { levels, codes } => unique_texts(levels, codes),
        _ => None,
    };
    let Some(kind) = found else { return decided };
    let why = match kind {
        ColumnType::Constant => "all its values are the same",
        ColumnType::Index => "it numbers the rows",
        ColumnType::Identifier => "its values are different in nearly every row, like a name or an id",
        _ => "it holds sentences",
    };
    decided.kind = kind;
    // Constants are usual and harmless.
    if kind != ColumnType::Constant {
        decided.notes.push(format!("column {name:?} left out: {why}"));
    }
    decided
}

fn is_constant<T: PartialEq>(values: &[T]) -> bool {
    // A NaN is not equal to itself: a column with gaps is not constant.
    values.iter().all(|value| *value == values[0])
}

/// Whether a column is the number of the row: 0, 1, 2, … or 1, 2, 3, …, or an index that pandas wrote, of which rows
/// may have been taken out.
fn is_index(name: &str, values: &[f64]) -> bool {
    let first = values.first().copied().unwrap_or(f64::NAN);
    let counts = || values.iter().zip(0u32..).all(|(v, i)| *v == first + f64::from(i));
    let starts = first == 0.0 || first == 1.0;
    if is_named_as_index(name) {
        return (starts && counts()) || are_different_integers(values);
    }
    values.len() >= MIN_INDEX_ROWS && starts && counts()
}

/// Names that pandas and R give to the row's number.
fn is_named_as_index(name: &str) -> bool {
    name.starts_with("Unnamed: ") || (name.starts_with("__index_level_") && name.ends_with("__"))
}

/// Whether a column's name says that it names rows.
fn is_named_as_id(name: &str) -> bool {
    let lower = name.to_lowercase();
    let whole = [
        "id",
        "uuid",
        "guid",
        "key",
        "index",
        "idx",
        "rownum",
        "row_number",
        "rowid",
        "no",
        "nr",
        "no.",
        "#",
    ];
    let ends = ["_id", " id", "-id", ".id", "_uuid", "_key", "_no", "_idx", "_index"];
    whole.contains(&lower.as_str())
        || ends.iter().any(|end| lower.ends_with(end))
        // PassengerId, customerID
        || (name.ends_with("Id") && name.len() > 2)
        || name.strip_suffix("ID").is_some_and(|rest| rest.ends_with(|c: char| !c.is_uppercase()))
}

fn are_different_integers(values: &[f64]) -> bool {
    let mut sorted: Vec<f64> = values.iter().copied().filter(|v| !v.is_nan()).collect();
    if sorted.is_empty() || !sorted.iter().all(|v| v.fract() == 0.0) {
        return false;
    }
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.windows(2).all(|pair| pair[0] != pair[1])
}

fn unique_texts(levels: &[String], codes: &[u32]) -> Option<ColumnType> {
    let counts = counts(levels, codes);
    let seen = counts.iter().filter(|n| **n > 0).count();
    let known: usize = counts.iter().sum();
    if seen <= MIN_UNIQUE || (seen as f64) < UNIQUE_SHARE * known as f64 {
        return None;
    }
    let words: usize = levels.iter().map(|text| text.split_whitespace().count()).sum();
    Some(if words as f64 >= SENTENCE * levels.len() as f64 {
        ColumnType::Text
    } else {
        ColumnType::Identifier
    })
}

/// Whether a column can be the row's number, by its name or its values: it is no target unless asked for.
pub(crate) fn numbers_the_rows(name: &str, column: &Column) -> bool {
    matches!(column, Column::Number(values) if is_index(name, values))
}

/// Rows of each level.
pub(crate) fn counts(levels: &[String], codes: &[u32]) -> Vec<usize> {
    let mut counts = vec![0; levels.len()];
    codes.iter().filter(|code| **code != MISSING).for_each(|code| counts[*code as usize] += 1);
    counts
}

/// A whole number with zeros in front, such as 007 of a postcode; 00 is as good as 0.
fn is_code(text: &str) -> bool {
    let bytes = text.as_bytes();
    bytes.len() >= 2
        && bytes[0] == b'0'
        && bytes.iter().all(u8::is_ascii_digit)
        && bytes.iter().any(|b| *b != b'0')
}

/// A whole number that f64 rounds: an identifier.
fn is_rounded(text: &str) -> bool {
    text.len() > 15 && text.bytes().all(|b| b.is_ascii_digit()) && super::table::plain_number(text).is_none()
}

fn is_date_like(text: &str) -> bool {
    DateOrder::ALL.iter().any(|order| times::parse(text, *order).is_some())
}

/// Whether a text says of itself that a value is missing, in a column of numbers or dates.
pub(crate) fn is_marker(text: &str) -> bool {
    let words = [
        "none",
        "missing",
        "unknown",
        "unk",
        "nil",
        "tbd",
        "tba",
        "n.d.",
        "n.a",
        "not available",
        "not applicable",
        "\\n",
        "undefined",
        "empty",
        "blank",
        "invalid",
        "error",
        "not known",
        "no data",
        "nd",
    ];
    let has_letters = text.chars().any(char::is_alphanumeric);
    is_missing(text)
        || !has_letters
        || text.starts_with('#')
        || words.iter().any(|word| text.eq_ignore_ascii_case(word))
}

/// The truth of a word: the same whichever program wrote it.
pub(crate) fn truth(text: &str) -> Option<bool> {
    let is_one_of = |words: &[&str]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    if is_one_of(&["true", "yes", "t", "y", "on", "1", "1.0"]) {
        return Some(true);
    }
    is_one_of(&["false", "no", "f", "n", "off", "0", "0.0"]).then_some(false)
}

/// Gives all words for true one code, that of the first, and so for false.
pub(crate) fn merge_truths(column: &mut Column) {
    let Column::Text { levels, codes } = column else { return };
    let truths: Vec<Option<bool>> = levels.iter().map(|level| truth(level)).collect();
    let first = |of: &Option<bool>| truths.iter().position(|truth| truth == of).unwrap_or(0);
    let mut kept: Vec<usize> = truths.iter().map(first).collect();
    kept.sort_unstable();
    kept.dedup();
    let code = |at: usize| kept.iter().position(|kept| *kept == first(&truths[at])).unwrap_or(0) as u32;
    let new: Vec<u32> = (0..levels.len()).map(code).collect();
    codes.iter_mut().filter(|code| **code != MISSING).for_each(|code| *code = new[*code as usize]);
    *levels = kept.iter().map(|at| levels[*at].clone()).collect();
}

/// Whether words for true and false belong together: `y` and `no` do, `n` and `f` (normal and fusion, say) do not.
fn are_of_one_pair<'a>(words: impl Iterator<Item = &'a str>) -> bool {
    let group = |word: &str| match word.to_ascii_lowercase().as_str() {
        "true" | "false" => [true, true, false, false],
        "t" | "f" => [true, false, false, false],
        "yes" | "no" => [false, false, true, true],
        "y" | "n" => [false, false, true, false],
        _ => [true, false, true, false],
    };
    let all = words.map(group).fold([true; 4], |all, own| std::array::from_fn(|at| all[at] && own[at]));
    all.contains(&true)
}

/// Cells that a reading could not read.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Unread {
    pub rows: usize,
    /// Whether any cell could be read.
    pub any_read: bool,
    pub example: String,
}

impl Reading {
    /// Whether its cells stay texts.
    pub fn is_text(&self) -> bool {
        matches!(self, Reading::Text)
    }

    /// Which cells it needs as texts: 1.234 may not be read as a plain number if points separate thousands.
    pub fn texts(&self) -> Texts {
        match self {
            Reading::Text => Texts::All,
            Reading::Number { format, .. } if format.comma => Texts::Written,
            _ => Texts::NoNumbers,
        }
    }

    /// Whether its numbers have a unit, and no number of `column` has one.
    pub fn lacks_unit(&self, column: &Column) -> bool {
        if self.unit().is_none() {
            return false;
        }
        match column {
            Column::Number(_) => true,
            Column::Text { levels, .. } => {
                let numbers = || levels.iter().filter(|text| is_number_like(text));
                numbers().count() > 0 && numbers().all(|text| is_bare(text))
            }
            Column::Time(_) | Column::Other { .. } => false,
        }
    }

    /// What makes the numbers of `column` doubtful, if they look as if a file had written them that writes numbers
    /// otherwise than the training file did: `dialect` is that of its table, `training` that of the training table.
    pub fn doubt(&self, column: &Column, dialect: Dialect, training: Dialect) -> Option<String> {
        let (Reading::Number { format, .. }, Column::Text { levels, .. }) = (self, column) else {
            return None;
        };
        let texts = || levels.iter().map(String::as_str).filter(|text| is_number_like(text));
        let is_other = match format.comma {
            true => dialect.has_commas_between && !training.has_commas_between,
            false => dialect.may_have_commas && !training.may_have_commas,
        };
        let both = |text: &str| {
            let [point, comma] =
                [false, true].map(|comma| NumberFormat { comma, ..format.clone() }.parse(text));
            Some((point?, comma?)).filter(|(point, comma)| point != comma)
        };
        let sign = |text: &str| {
            let (point, comma) = both(text)?;
            let training = if format.comma { "decimal commas" } else { "decimal points" };
            let text = shorten(text);
            Some(format!(
                "{text:?} may be {point} or {comma}: training had {training}, but this file may not"
            ))
        };
        match numbers::infer(texts(), dialect.may_have_commas, None) {
            Inferred::Ambiguous(Ambiguity::Sign { text, .. }) if is_other => sign(&text),
            Inferred::Ambiguous(Ambiguity::Units { a, b }) if self.unit().is_some() => {
                Some(format!("{:?} and {:?} have different units", shorten(&a), shorten(&b)))
            }
            Inferred::Numbers(found)
                if is_other
                    && found.comma != format.comma
                    && texts().all(|text| format.parse(text).is_some()) =>
            {
                texts().find_map(sign)
            }
            _ => None,
        }
    }

    /// The unit of its numbers.
    pub fn unit(&self) -> Option<&str> {
        match self {
            Reading::Number { format, .. } => format.unit.as_deref(),
            _ => None,
        }
    }

    /// Reads a column: what cannot be read is missing, and counted unless training saw it, too.
    ///
    /// # Errors
    /// What the column holds, if it is of another type altogether.
    pub fn apply(&self, column: Column) -> Result<(Column, Unread), String> {
        let nothing = Unread { any_read: true, ..Unread::default() };
        Ok(match (self, column) {
            (_, Column::Other { what, .. }) => return Err(format!("holds {what}")),
            (Reading::Text, column @ Column::Text { .. }) => (column, nothing),
            (Reading::Text, Column::Number(values)) => (as_texts(&values, |v| v.to_string()), nothing),
            (Reading::Text, Column::Time(values)) => (as_texts(&values, times::written), nothing),
            (Reading::Number { .. }, column @ Column::Number(_)) => (column, nothing),
            (Reading::Boolean, Column::Number(values)) => {
                let unread = |v: &&f64| !(v.is_nan() || **v == 0.0 || **v == 1.0);
                let example = values.iter().find(unread).map(f64::to_string).unwrap_or_default();
                let rows = values.iter().filter(unread).count();
                let any_read = values.iter().any(|v| *v == 0.0 || *v == 1.0);
                let read = |v: &f64| if unread(&v) { f64::NAN } else { *v };
                (Column::Number(values.iter().map(read).collect()), Unread { rows, any_read, example })
            }
            (Reading::Number { .. } | Reading::Boolean, Column::Text { levels, codes }) => {
                self.for_texts(&levels).numbers(&levels, &codes)
            }
            (Reading::Number { .. } | Reading::Boolean, Column::Time(_)) => {
                return Err(format!("holds dates, not {}", self.plural()));
            }
            (Reading::Date { .. }, column @ Column::Time(_)) => (column, nothing),
            (Reading::Date { .. }, Column::Text { levels, codes }) => {
                self.for_dates(&levels)?.dates(&levels, &codes)
            }
            (Reading::Date { digits, .. }, Column::Number(values)) => {
                if values.iter().all(|v| v.is_nan()) {
                    return Ok((Column::Time(values), nothing));
                }
                let read = |v: &f64| times::of_digits(*v).unwrap_or(f64::NAN);
                let read: Vec<f64> = values.iter().map(read).collect();
                if !digits || read.iter().all(|v| v.is_nan()) {
                    return Err("holds numbers, not dates".into());
                }
                let unread = || {
                    let pairs = values.iter().zip(&read);
                    pairs.filter(|(v, read)| read.is_nan() && !v.is_nan() && !times::is_no_date(**v))
                };
                let example = unread().next().map(|(v, _)| v.to_string()).unwrap_or_default();
                let (rows, any_read) = (unread().count(), true);
                (Column::Time(read), Unread { rows, any_read, example })
            }
        })
    }

    /// In words, for the table of columns; empty if cells are read as they are.
    pub fn describe(&self) -> String {
        match self {
            Reading::Number { format, .. } => format.describe(),
            Reading::Date { order: DateOrder::Dmy, .. } => "day first".into(),
            Reading::Date { order: DateOrder::Mdy, .. } => "month first".into(),
            Reading::Date { digits: true, .. } => "of eight digits".into(),
            _ => String::new(),
        }
    }

    /// This reading, or that of the same numbers with the other decimal sign, if only that reads the texts: a file to
    /// predict may come from another country than the training file.
    fn for_texts(&self, levels: &[String]) -> Reading {
        let Reading::Number { format, markers } = self else { return self.clone() };
        let numbers = || levels.iter().map(String::as_str).filter(|text| is_number_like(text));
        if numbers().all(|text| format.parse(text).is_some()) {
            return self.clone();
        }
        match numbers::infer(numbers(), true, None) {
            Inferred::Numbers(other) if NumberFormat { comma: format.comma, ..other.clone() } == *format => {
                Reading::Number { format: other, markers: markers.clone() }
            }
            _ => self.clone(),
        }
    }

    /// This reading, or that of the same dates in another order, if training had only dates like 2024-12-31, which say
    /// nothing of the order of others.
    ///
    /// # Errors
    /// Dates and times of day in one column, and dates that two orders read.
    fn for_dates(&self, levels: &[String]) -> Result<Reading, String> {
        let Reading::Date { order, digits: false, markers } = self else { return Ok(self.clone()) };
        let dates: Vec<&str> = levels.iter().map(String::as_str).filter(|text| is_date_like(text)).collect();
        if let Some((date, time)) = date_and_time(&dates) {
            return Err(format!("holds dates ({:?}) and times of day ({:?})", shorten(date), shorten(time)));
        }
        let reads = |order| move |text: &&str| times::parse(text, order).is_some();
        let reads_all = |order| dates.iter().all(reads(order));
        if *order != DateOrder::Ymd || reads_all(DateOrder::Ymd) {
            return Ok(self.clone());
        }
        let order = match (reads_all(DateOrder::Dmy), reads_all(DateOrder::Mdy)) {
            (true, true) => {
                let text =
                    dates.iter().find(|text| !reads(DateOrder::Ymd)(text)).copied().unwrap_or_default();
                let what = "holds dates that may have the day or the month first";
                return Err(format!("{what} ({:?})", shorten(text)));
            }
            (true, false) => DateOrder::Dmy,
            (false, true) => DateOrder::Mdy,
            (false, false) => *order,
        };
        Ok(Reading::Date { order, digits: false, markers: markers.clone() })
    }

    /// With its article: what a cell is not that cannot be read.
    pub fn singular(&self) -> &'static str {
        match self {
            Reading::Number { .. } => "a number",
            Reading::Boolean => "true or false",
            Reading::Date { .. } => "a date",
            Reading::Text => "a text",
        }
    }

    fn plural(&self) -> &'static str {
        match self {
            Reading::Number { .. } => "numbers",
            Reading::Boolean => "truth values",
            Reading::Date { .. } => "dates",
            Reading::Text => "texts",
        }
    }

    fn numbers(&self, levels: &[String], codes: &[u32]) -> (Column, Unread) {
        let (values, unread) = self.of_levels(levels, codes, |text| match self {
            Reading::Number { format, .. } => format.parse(text),
            _ => truth(text).map(|is| f64::from(u8::from(is))),
        });
        (Column::Number(values), unread)
    }

    fn dates(&self, levels: &[String], codes: &[u32]) -> (Column, Unread) {
        let (values, unread) = self.of_levels(levels, codes, |text| match self {
            Reading::Date { digits: true, .. } => text.parse().ok().and_then(times::of_digits),
            Reading::Date { order, .. } => times::parse(text, *order).map(|moment| moment.seconds),
            _ => None,
        });
        (Column::Time(values), unread)
    }

    /// Each text is read once, however many rows have it.
    fn of_levels(
        &self,
        levels: &[String],
        codes: &[u32],
        read: impl Fn(&str) -> Option<f64>,
    ) -> (Vec<f64>, Unread) {
        let markers = match self {
            Reading::Number { markers, .. } | Reading::Date { markers, .. } => markers.as_slice(),
            _ => &[],
        };
        let values: Vec<f64> = levels.iter().map(|text| read(text).unwrap_or(f64::NAN)).collect();
        let is_fault = |at: usize| {
            let text = &levels[at];
            let is_no_date = || {
                matches!(self, Reading::Date { digits: true, .. })
                    && text.parse().is_ok_and(times::is_no_date)
            };
            values[at].is_nan() && !is_marker(text) && !markers.contains(text) && !is_no_date()
        };
        let faults: Vec<bool> = (0..levels.len()).map(is_fault).collect();
        let mut unread = Unread::default();
        let value = |code: &u32| {
            let Some(value) = values.get(*code as usize) else { return f64::NAN };
            if faults[*code as usize] {
                if unread.rows == 0 {
                    unread.example.clone_from(&levels[*code as usize]);
                }
                unread.rows += 1;
            }
            *value
        };
        let values: Vec<f64> = codes.iter().map(value).collect();
        unread.any_read = values.iter().any(|v| !v.is_nan());
        (values, unread)
    }
}

fn as_texts(values: &[f64], written: impl Fn(f64) -> String) -> Column {
    let mut builder = super::table::ColumnBuilder::text();
    for value in values {
        let text = written(*value);
        builder.push(if value.is_nan() {
            super::table::Cell::Missing
        } else {
            super::table::Cell::Text(&text)
        });
    }
    builder.finish()
}
