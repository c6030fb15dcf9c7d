//! Parquet tables: numbers, booleans, strings, dates and times; no nested columns.

use std::path::Path;

use ::bytes::Bytes;
use ::parquet::file::reader::{FileReader, SerializedFileReader};
use ::parquet::record::Field;

use super::raw::{Raw, digest};
use super::table::{Cell, ColumnBuilder, ReadOptions, Table};
use super::{DataError, file};
use crate::base::panics;

/// Reads a whole table. Booleans become the texts `false` and `true`; dates and times become numbers.
pub(crate) fn read(path: &Path, options: &ReadOptions) -> Result<Raw, DataError> {
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
    let table = panics::caught(|| read_table(&name, Bytes::from(bytes), options)).unwrap_or_else(|_| {
        Err(DataError::file(&name, "is damaged: its pages cannot be decoded", "write or copy it again"))
    })?;
    Ok(Raw::from_table(table, content))
}

fn read_table(name: &str, bytes: Bytes, options: &ReadOptions) -> Result<Table, DataError> {
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
    let force = options.text.map_or_else(|| vec![false; names.len()], |text| text(&names, true));
    let builder = |text: &bool| if *text { ColumnBuilder::text() } else { ColumnBuilder::default() };
    let mut builders: Vec<ColumnBuilder> = force.iter().map(builder).collect();
    let mut rows = 0;
    for row in reader.get_row_iter(None).map_err(damaged)? {
        let row = row.map_err(damaged)?;
        for (builder, (_, field)) in builders.iter_mut().zip(row.get_column_iter()) {
            push(builder, field);
        }
        rows += 1;
    }
    if rows == 0 {
        return Err(DataError::file(name, "holds no rows", "expected a table with rows"));
    }
    let columns = builders.into_iter().map(ColumnBuilder::finish).collect();
    Ok(Table {
        file: name.into(),
        names,
        named: true,
        columns,
        rows,
        lines: None,
        semicolons: false,
        how: String::new(),
    })
}

fn push(builder: &mut ColumnBuilder, field: &Field) {
    const DAY: f64 = 86_400.0;
    match field {
        Field::Null => builder.push(Cell::Missing),
        Field::Bool(v) => builder.push(Cell::Boolean(*v)),
        Field::Byte(v) => builder.push(Cell::Number(f64::from(*v))),
        Field::Short(v) => builder.push(Cell::Number(f64::from(*v))),
        Field::Int(v) => builder.push(Cell::Number(f64::from(*v))),
        Field::Long(v) => builder.push(Cell::Integer(i128::from(*v))),
        Field::UByte(v) => builder.push(Cell::Number(f64::from(*v))),
        Field::UShort(v) => builder.push(Cell::Number(f64::from(*v))),
        Field::UInt(v) => builder.push(Cell::Number(f64::from(*v))),
        Field::ULong(v) => builder.push(Cell::Integer(i128::from(*v))),
        Field::Float(v) => builder.push(Cell::Number(f64::from(*v))),
        Field::Double(v) => builder.push(Cell::Number(*v)),
        Field::Date(v) => builder.push(Cell::Time(f64::from(*v) * DAY)),
        Field::TimeMillis(v) => builder.push(Cell::Time(f64::from(*v) / 1e3)),
        Field::TimeMicros(v) => builder.push(Cell::Time(*v as f64 / 1e6)),
        Field::TimestampMillis(v) => builder.push(Cell::Time(*v as f64 / 1e3)),
        Field::TimestampMicros(v) => builder.push(Cell::Time(*v as f64 / 1e6)),
        Field::Str(v) => builder.push(Cell::Text(v)),
        Field::Bytes(v) => builder.push(v.as_utf8().map_or(Cell::Other("binary values"), Cell::Text)),
        Field::Group(_) | Field::ListInternal(_) | Field::MapInternal(_) => {
            builder.push(Cell::Other("lists or nested values"));
        }
        other => {
            let text = other.to_string();
            let text = text.trim_matches('"');
            builder.push(text.parse().map_or(Cell::Text(text), Cell::Number));
        }
    }
}
