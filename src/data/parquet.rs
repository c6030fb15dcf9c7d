//! Parquet tables: numbers, booleans, strings, dates and times; no nested columns.

use std::path::Path;

use ::bytes::Bytes;
use ::parquet::file::reader::{FileReader, SerializedFileReader};
use ::parquet::record::Field;

use super::csv::Expect;
use super::raw::{Raw, digest};
use super::table::{Column, Table, TextBuilder};
use super::{DataError, file};
use crate::base::panics;

/// Reads a whole table. Booleans become the texts `false` and `true`; dates and times become numbers.
pub(crate) fn read(path: &Path, expect: &Expect) -> Result<Raw, DataError> {
    let name = path.display().to_string();
    let bytes = file::read(path)?;
    if !bytes.starts_with(b"PAR1") || !bytes.ends_with(b"PAR1") || bytes.len() < 12 {
        return Err(DataError::file(
            &name,
            "is not a Parquet file, or is cut off: it does not begin and end with PAR1",
            "write or copy it again",
        ));
    }
    let content = digest(&[&bytes]);
    // The decoder panics on some damaged files; turn that into an error that names the file.
    let table = panics::caught(|| read_table(&name, Bytes::from(bytes), expect)).unwrap_or_else(|_| {
        Err(DataError::file(&name, "is damaged: its pages cannot be decoded", "write or copy it again"))
    })?;
    Ok(Raw::from_table(table, content))
}

fn read_table(name: &str, bytes: Bytes, expect: &Expect) -> Result<Table, DataError> {
    let damaged = |e: ::parquet::errors::ParquetError| {
        DataError::file(name, format!("cannot be decoded ({e})"), "write or copy it again")
    };
    let reader = SerializedFileReader::new(bytes).map_err(damaged)?;
    let schema = reader.metadata().file_metadata().schema_descr();
    let fields = schema.root_schema().get_fields();
    let names: Vec<String> = fields.iter().map(|f| f.name().to_owned()).collect();
    if names.is_empty() {
        return Err(DataError::file(name, "has no columns", "expected inputs and a target column"));
    }
    Table::check_names(name, &names)?;
    for field in fields {
        if field.is_group() {
            return Err(DataError::column(
                name,
                field.name(),
                "holds lists or nested values",
                "flatten it into plain columns first",
            ));
        }
    }
    let force = expect.text.map_or_else(|| vec![false; names.len()], |text| text(&names, true));
    let mut builders: Vec<Builder> = force
        .iter()
        .map(|text| if *text { Builder::Text(TextBuilder::default()) } else { Builder::Unknown(0) })
        .collect();
    let mut rows = 0;
    for row in reader.get_row_iter(None).map_err(damaged)? {
        let row = row.map_err(damaged)?;
        for ((builder, (column, field)), name_of) in
            builders.iter_mut().zip(row.get_column_iter()).zip(&names)
        {
            debug_assert_eq!(column, name_of);
            builder.push(field).map_err(|(what, remedy)| {
                DataError::cell(name, format!("row {rows}"), column, what, remedy)
            })?;
        }
        rows += 1;
    }
    if rows == 0 {
        return Err(DataError::file(name, "holds no rows", "expected a table with rows"));
    }
    let columns = builders.into_iter().map(Builder::finish).collect();
    Ok(Table { file: name.into(), names, named: true, columns, rows, lines: None })
}

/// A column, typed by its first value.
enum Builder {
    /// Nulls so far.
    Unknown(usize),
    Numbers(Vec<f64>),
    Text(TextBuilder),
}

impl Builder {
    fn push(&mut self, field: &Field) -> Result<(), (String, &'static str)> {
        let value = match field {
            Field::Null => None,
            Field::Bool(v) => Some(Err(v.to_string())),
            Field::Byte(v) => Some(Ok(f64::from(*v))),
            Field::Short(v) => Some(Ok(f64::from(*v))),
            Field::Int(v) | Field::Date(v) | Field::TimeMillis(v) => Some(Ok(f64::from(*v))),
            Field::Long(v) | Field::TimeMicros(v) | Field::TimestampMillis(v) | Field::TimestampMicros(v) => {
                Some(Ok(*v as f64))
            }
            Field::UByte(v) => Some(Ok(f64::from(*v))),
            Field::UShort(v) => Some(Ok(f64::from(*v))),
            Field::UInt(v) => Some(Ok(f64::from(*v))),
            Field::ULong(v) => Some(Ok(*v as f64)),
            Field::Float(v) => Some(Ok(f64::from(*v))),
            Field::Double(v) => Some(Ok(*v)),
            Field::Str(v) => Some(Err(v.clone())),
            Field::Bytes(v) => match v.as_utf8() {
                Ok(text) => Some(Err(text.to_owned())),
                Err(_) => {
                    let remedy = "write text as UTF-8 strings; leave out binary columns";
                    return Err(("binary values".into(), remedy));
                }
            },
            other => {
                let text = other.to_string();
                let text = text.trim_matches('"');
                Some(text.parse::<f64>().map_err(|_| text.to_owned()))
            }
        };
        match (&mut *self, value) {
            (Builder::Unknown(n), None) => *n += 1,
            (Builder::Unknown(n), Some(value)) => {
                let nulls = *n;
                *self = match value {
                    Ok(_) => Builder::Numbers(vec![f64::NAN; nulls]),
                    Err(_) => {
                        let mut builder = TextBuilder::default();
                        (0..nulls).for_each(|_| builder.push(None));
                        Builder::Text(builder)
                    }
                };
                return self.push(field);
            }
            (Builder::Numbers(numbers), None) => numbers.push(f64::NAN),
            (Builder::Numbers(_), Some(Ok(v))) if v.is_infinite() => {
                let remedy = "expected finite numbers; use null for a missing value";
                return Err(("an infinite number".into(), remedy));
            }
            (Builder::Numbers(numbers), Some(Ok(v))) => numbers.push(v),
            (Builder::Numbers(_), Some(Err(text))) => {
                return Err((format!("the text {text:?} among numbers"), "write the column as one type"));
            }
            (Builder::Text(text), None) => text.push(None),
            (Builder::Text(text), Some(Ok(v))) => text.push(Some(&v.to_string())),
            (Builder::Text(builder), Some(Err(text))) => builder.push((!text.is_empty()).then_some(&text)),
        }
        Ok(())
    }

    fn finish(self) -> Column {
        match self {
            Builder::Unknown(n) => Column::Number(vec![f64::NAN; n]),
            Builder::Numbers(numbers) => Column::Number(numbers),
            Builder::Text(text) => text.finish(),
        }
    }
}
