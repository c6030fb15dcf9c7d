//! Arrays of Arrow as columns, for the formats that are read by way of them.

use ::arrow_array::cast::AsArray;
use ::arrow_array::types::*;
use ::arrow_array::{Array, ArrowPrimitiveType, PrimitiveArray};
use ::arrow_schema::{DataType, Field, TimeUnit};

use super::table::{Cell, Column, ColumnBuilder};

/// Largest whole number up to which all are different as f64.
const MAX_EXACT: u64 = 1 << 53;

/// What a column of this type holds if it cannot be an input: its cells need not be decoded.
pub(super) fn unusable(kind: &DataType) -> Option<&'static str> {
    match kind {
        DataType::List(_)
        | DataType::LargeList(_)
        | DataType::FixedSizeList(..)
        | DataType::ListView(_)
        | DataType::LargeListView(_) => Some("lists"),
        DataType::Struct(_) | DataType::Union(..) => Some("nested values"),
        DataType::Map(..) => Some("maps"),
        DataType::Interval(_) => Some("calendar intervals"),
        DataType::Dictionary(_, values) => unusable(values),
        DataType::RunEndEncoded(_, values) => unusable(values.data_type()),
        _ => None,
    }
}

/// Joins the arrays of a column, one for each batch of rows.
pub(super) struct Joined {
    /// A column of nothing but numbers so far.
    numbers: Option<Vec<f64>>,
    builder: ColumnBuilder,
    /// A type whose cells are not decoded, and the rows so far.
    unusable: Option<(&'static str, Vec<bool>)>,
}

impl Joined {
    /// A column of `rows` rows.
    pub fn new(field: &Field, rows: usize) -> Joined {
        let kind = field.data_type();
        let number = matches!(kind, DataType::Int64 | DataType::UInt64) || is_small_number(kind);
        Joined {
            numbers: number.then(|| Vec::with_capacity(rows)),
            builder: ColumnBuilder::default(),
            unusable: unusable(kind).map(|what| (what, Vec::with_capacity(rows))),
        }
    }

    /// Whether the cells can be inputs.
    pub fn is_usable(&self) -> bool {
        self.unusable.is_none()
    }

    pub fn push(&mut self, array: &dyn Array) {
        if let Some((_, missing)) = &mut self.unusable {
            missing.extend((0..array.len()).map(|row| array.is_null(row)));
            return;
        }
        if let Some(numbers) = &mut self.numbers {
            if push_numbers(numbers, array) {
                return;
            }
            numbers.iter().for_each(|v| self.builder.push(Cell::Number(*v)));
            self.numbers = None;
        }
        let cell = cells(array);
        (0..array.len()).for_each(|row| self.builder.push(cell(row)));
    }

    pub fn finish(self) -> Column {
        match (self.numbers, self.unusable) {
            (_, Some((what, missing))) => Column::Other { what, missing },
            (Some(numbers), _) => Column::Number(numbers),
            (None, None) => self.builder.finish(),
        }
    }
}

/// Whether f64 has every number of the type.
fn is_small_number(kind: &DataType) -> bool {
    use DataType::*;
    matches!(kind, Int8 | Int16 | Int32 | UInt8 | UInt16 | UInt32 | Float16 | Float32 | Float64)
}

/// Adds numbers that f64 can represent; false, and nothing is added, if it cannot represent all.
fn push_numbers(numbers: &mut Vec<f64>, array: &dyn Array) -> bool {
    fn push<T: ArrowPrimitiveType>(numbers: &mut Vec<f64>, array: &dyn Array, f: impl Fn(T::Native) -> f64) {
        let array = array.as_primitive::<T>();
        match array.nulls() {
            None => numbers.extend(array.values().iter().map(|v| f(*v))),
            Some(_) => numbers.extend(array.iter().map(|v| v.map_or(f64::NAN, &f))),
        }
    }
    match array.data_type() {
        DataType::Int8 => push::<Int8Type>(numbers, array, f64::from),
        DataType::Int16 => push::<Int16Type>(numbers, array, f64::from),
        DataType::Int32 => push::<Int32Type>(numbers, array, f64::from),
        DataType::UInt8 => push::<UInt8Type>(numbers, array, f64::from),
        DataType::UInt16 => push::<UInt16Type>(numbers, array, f64::from),
        DataType::UInt32 => push::<UInt32Type>(numbers, array, f64::from),
        DataType::Float16 => push::<Float16Type>(numbers, array, f64::from),
        DataType::Float32 => push::<Float32Type>(numbers, array, f64::from),
        DataType::Float64 => push::<Float64Type>(numbers, array, |v| v),
        DataType::Int64 => {
            if !array.as_primitive::<Int64Type>().iter().flatten().all(|v| v.unsigned_abs() <= MAX_EXACT) {
                return false;
            }
            push::<Int64Type>(numbers, array, |v| v as f64);
        }
        DataType::UInt64 => {
            if !array.as_primitive::<UInt64Type>().iter().flatten().all(|v| v <= MAX_EXACT) {
                return false;
            }
            push::<UInt64Type>(numbers, array, |v| v as f64);
        }
        _ => return false,
    }
    true
}

type CellOf<'a> = Box<dyn Fn(usize) -> Cell<'a> + 'a>;

/// The cells of an array by row.
fn cells(array: &dyn Array) -> CellOf<'_> {
    use DataType::*;
    match array.data_type() {
        Boolean => {
            let values = array.as_boolean();
            present(array, move |row| Cell::Boolean(values.value(row)))
        }
        Int8 => of::<Int8Type>(array, |v| Cell::Integer(v.into())),
        Int16 => of::<Int16Type>(array, |v| Cell::Integer(v.into())),
        Int32 => of::<Int32Type>(array, |v| Cell::Integer(v.into())),
        Int64 => of::<Int64Type>(array, |v| Cell::Integer(v.into())),
        UInt8 => of::<UInt8Type>(array, |v| Cell::Integer(v.into())),
        UInt16 => of::<UInt16Type>(array, |v| Cell::Integer(v.into())),
        UInt32 => of::<UInt32Type>(array, |v| Cell::Integer(v.into())),
        UInt64 => of::<UInt64Type>(array, |v| Cell::Integer(v.into())),
        Float16 => of::<Float16Type>(array, |v| Cell::Number(v.into())),
        Float32 => of::<Float32Type>(array, |v| Cell::Number(v.into())),
        Float64 => of::<Float64Type>(array, Cell::Number),
        Decimal32(_, scale) => {
            let scale = *scale;
            of::<Decimal32Type>(array, move |v| decimal(v.into(), scale))
        }
        Decimal64(_, scale) => {
            let scale = *scale;
            of::<Decimal64Type>(array, move |v| decimal(v.into(), scale))
        }
        Decimal128(_, scale) => {
            let scale = *scale;
            of::<Decimal128Type>(array, move |v| decimal(v, scale))
        }
        Decimal256(_, scale) => {
            let scale = *scale;
            of::<Decimal256Type>(array, move |v| match v.to_i128() {
                Some(v) => decimal(v, scale),
                None => Cell::Number(scaled(&v.to_string(), scale)),
            })
        }
        Date32 => of::<Date32Type>(array, |days| Cell::Time(f64::from(days) * super::times::DAY)),
        Date64 => of::<Date64Type>(array, |v| seconds(v, TimeUnit::Millisecond)),
        Time32(TimeUnit::Second) => of::<Time32SecondType>(array, |v| Cell::Time(v.into())),
        Time32(_) => of::<Time32MillisecondType>(array, |v| seconds(v.into(), TimeUnit::Millisecond)),
        Time64(TimeUnit::Nanosecond) => {
            of::<Time64NanosecondType>(array, |v| seconds(v, TimeUnit::Nanosecond))
        }
        Time64(_) => of::<Time64MicrosecondType>(array, |v| seconds(v, TimeUnit::Microsecond)),
        Timestamp(TimeUnit::Second, _) => of::<TimestampSecondType>(array, |v| seconds(v, TimeUnit::Second)),
        Timestamp(TimeUnit::Millisecond, _) => {
            of::<TimestampMillisecondType>(array, |v| seconds(v, TimeUnit::Millisecond))
        }
        Timestamp(TimeUnit::Microsecond, _) => {
            of::<TimestampMicrosecondType>(array, |v| seconds(v, TimeUnit::Microsecond))
        }
        Timestamp(TimeUnit::Nanosecond, _) => {
            of::<TimestampNanosecondType>(array, |v| seconds(v, TimeUnit::Nanosecond))
        }
        // A length of time is a number, in seconds; it has no place in a week or a day.
        Duration(TimeUnit::Second) => of::<DurationSecondType>(array, |v| Cell::Number(v as f64)),
        Duration(TimeUnit::Millisecond) => {
            of::<DurationMillisecondType>(array, |v| Cell::Number(v as f64 / 1e3))
        }
        Duration(TimeUnit::Microsecond) => {
            of::<DurationMicrosecondType>(array, |v| Cell::Number(v as f64 / 1e6))
        }
        Duration(TimeUnit::Nanosecond) => {
            of::<DurationNanosecondType>(array, |v| Cell::Number(v as f64 / 1e9))
        }
        Utf8 => {
            let texts = array.as_string::<i32>();
            present(array, move |row| Cell::Text(texts.value(row)))
        }
        LargeUtf8 => {
            let texts = array.as_string::<i64>();
            present(array, move |row| Cell::Text(texts.value(row)))
        }
        Utf8View => {
            let texts = array.as_string_view();
            present(array, move |row| Cell::Text(texts.value(row)))
        }
        Binary => {
            let bytes = array.as_binary::<i32>();
            present(array, move |row| text(bytes.value(row)))
        }
        LargeBinary => {
            let bytes = array.as_binary::<i64>();
            present(array, move |row| text(bytes.value(row)))
        }
        BinaryView => {
            let bytes = array.as_binary_view();
            present(array, move |row| text(bytes.value(row)))
        }
        FixedSizeBinary(_) => {
            let bytes = array.as_fixed_size_binary();
            present(array, move |row| text(bytes.value(row)))
        }
        Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            if dictionary.values().is_empty() {
                return Box::new(|_| Cell::Missing);
            }
            let (values, keys) = (cells(dictionary.values().as_ref()), dictionary.normalized_keys());
            let nulls = dictionary.keys().nulls();
            Box::new(move |row| match nulls.is_some_and(|nulls| nulls.is_null(row)) {
                true => Cell::Missing,
                false => values(keys[row]),
            })
        }
        RunEndEncoded(ends, _) => match ends.data_type() {
            Int16 => runs::<Int16Type>(array),
            Int32 => runs::<Int32Type>(array),
            _ => runs::<Int64Type>(array),
        },
        Null => Box::new(|_| Cell::Missing),
        kind => {
            let what = unusable(kind).unwrap_or("values of an unknown type");
            present(array, move |_| Cell::Other(what))
        }
    }
}

/// The cells of an array without those that are null.
fn present<'a>(array: &'a dyn Array, cell: impl Fn(usize) -> Cell<'a> + 'a) -> CellOf<'a> {
    match array.nulls() {
        None => Box::new(cell),
        Some(nulls) => Box::new(move |row| if nulls.is_null(row) { Cell::Missing } else { cell(row) }),
    }
}

fn of<'a, T: ArrowPrimitiveType>(
    array: &'a dyn Array,
    cell: impl Fn(T::Native) -> Cell<'a> + 'a,
) -> CellOf<'a> {
    let values: &PrimitiveArray<T> = array.as_primitive();
    present(array, move |row| cell(values.value(row)))
}

fn runs<T: RunEndIndexType>(array: &dyn Array) -> CellOf<'_> {
    let runs = array.as_run::<T>();
    let values = cells(runs.values().as_ref());
    Box::new(move |row| values(runs.get_physical_index(row)))
}

/// Bytes that are text, as older writers store it.
fn text(bytes: &[u8]) -> Cell<'_> {
    std::str::from_utf8(bytes).map_or(Cell::Other("binary values"), Cell::Text)
}

/// `value` / 10^`scale`, as near as f64 has it; a whole number stays exact.
fn decimal(value: i128, scale: i8) -> Cell<'static> {
    if scale <= 0 {
        let whole = 10i128.checked_pow(scale.unsigned_abs().into()).and_then(|p| value.checked_mul(p));
        return whole.map_or_else(|| Cell::Number(scaled(&value.to_string(), scale)), Cell::Integer);
    }
    // Both are exact as f64, so the quotient is rounded once.
    if value.unsigned_abs() <= MAX_EXACT.into() && scale <= 22 {
        let power = (0..scale).fold(1.0, |power, _| power * 10.0);
        return Cell::Number(value as f64 / power);
    }
    Cell::Number(scaled(&value.to_string(), scale))
}

fn scaled(digits: &str, scale: i8) -> f64 {
    format!("{digits}e{}", -i32::from(scale)).parse().unwrap_or(f64::NAN)
}

/// A count of units as seconds. The same instant gives the same number in every unit.
fn seconds(value: i64, unit: TimeUnit) -> Cell<'static> {
    let per_second: i64 = match unit {
        TimeUnit::Second => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Microsecond => 1_000_000,
        TimeUnit::Nanosecond => 1_000_000_000,
    };
    Cell::Time((value / per_second) as f64 + (value % per_second) as f64 / per_second as f64)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::data::raw::{Raw, RawFeatures};
    use crate::data::table::ReadOptions;
    use crate::data::{ipc, parquet};

    #[test]
    fn decimals_are_the_nearest_numbers() {
        for (digits, scale) in
            [(1i128, 1i8), (123_456_789, 9), (-7, 3), (i128::MAX, 38), ((1 << 60) + 1, 5), (5, 30)]
        {
            let nearest: f64 = format!("{digits}e-{scale}").parse().unwrap();
            assert_eq!(decimal(digits, scale), Cell::Number(nearest), "{digits} {scale}");
        }
        assert_eq!(decimal(12, 0), Cell::Integer(12));
        assert_eq!(decimal(12, -2), Cell::Integer(1200));
    }

    #[test]
    fn an_instant_is_the_same_number_in_every_unit() {
        for seconds_since in [0i64, 1, -1, 1_700_000_000, -2_000_000_000] {
            for milli in [0i64, 1, 123, 999] {
                let ms = seconds_since * 1000 + milli;
                let expected = seconds(ms, TimeUnit::Millisecond);
                assert_eq!(seconds(ms * 1_000, TimeUnit::Microsecond), expected);
                assert_eq!(seconds(ms * 1_000_000, TimeUnit::Nanosecond), expected);
            }
        }
        assert_eq!(seconds(-1, TimeUnit::Nanosecond), Cell::Time(-1e-9));
    }

    /// What pyarrow wrote: `tests/foreign/make.py`.
    #[test]
    fn every_type_is_read_in_every_format() {
        let all = [
            ("half", "Number([0.5, NaN, -2.0])"),
            ("decimal", "Number([1.0, NaN, -7.0])"),
            ("wide", "Number([1.2345678901234567e19, NaN, -0.5])"),
            ("date32", "Time([0.0, NaN, 1704067200.0])"),
            ("date64", "Time([0.0, NaN, 86400.0])"),
            ("time32", "Time([1.5, NaN, 0.0])"),
            ("time64", "Time([1.500000001, NaN, 0.0])"),
            ("stamp", "Time([1700000000.1234567, NaN, -1e-9])"),
            ("lasted", "Number([90.0, NaN, -5.0])"),
            ("bytes", "Text { levels: [\"text\", \"more\"], codes: [0, 4294967295, 1] }"),
            ("blob", "Other { what: \"binary values\", missing: [false, true, false] }"),
            ("code", "Text { levels: [\"ab\", \"cd\"], codes: [0, 4294967295, 1] }"),
            ("nothing", "Number([NaN, NaN, NaN])"),
            ("list", "Other { what: \"lists\", missing: [false, false, false] }"),
            ("map", "Other { what: \"maps\", missing: [false, false, false] }"),
            ("struct", "Other { what: \"nested values\", missing: [false, false, false] }"),
            ("ids", "Text { levels: [\"1\", \"9223372036854775808\"], codes: [0, 4294967295, 1] }"),
        ];
        type Read = fn(&Path, &ReadOptions) -> Result<Raw, crate::data::DataError>;
        let files: [(&str, Read); 3] =
            [("odd.feather", ipc::read), ("odd.arrows", ipc::read), ("odd.parquet", parquet::read)];
        for (file, read) in files {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign").join(file);
            let RawFeatures::Table(table) = read(&path, &ReadOptions::default()).unwrap().features else {
                panic!("not a table")
            };
            let got: Vec<String> =
                table.names.iter().zip(&table.columns).map(|(n, c)| format!("{n}: {c:?}")).collect();
            let expected = all.iter().map(|(name, column)| format!("{name}: {column}"));
            // Parquet has no numbers of half precision in pyarrow.
            let expected: Vec<String> = expected.skip(usize::from(file.ends_with("parquet"))).collect();
            assert_eq!(got, expected, "{file}");
        }
    }
}
