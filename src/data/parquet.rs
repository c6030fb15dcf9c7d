//! Parquet tables, read column by column.
//!
//! Each column is decoded by itself, as many at a time as there are cores, so that no more than a batch of rows is held
//! beside the columns.

use std::fs::File;
use std::path::Path;

use ::bytes::Bytes;
use ::parquet::arrow::ProjectionMask;
use ::parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use ::parquet::errors::ParquetError;
use ::parquet::file::reader::ChunkReader;
use rayon::prelude::*;

use super::DataError;
use super::arrow::{Joined, unusable};
use super::binary::{Binary, check_memory};
use super::join::{as_asked, table};
use super::raw::{Raw, digest};
use super::table::{Column, ReadOptions, Table};
use crate::base::panics;

const MAGIC: &[u8] = b"PAR1";

/// Rows that are decoded at a time.
const BATCH: usize = 1 << 13;

/// Tasks for each thread, so that all end at about the same time.
const TASKS_A_THREAD: usize = 8;

/// Reads a whole table.
pub(crate) fn read(path: &Path, options: &ReadOptions) -> Result<Raw, DataError> {
    let mut binary = Binary::open(path)?;
    let name = binary.name().to_owned();
    check_magic(&name, &binary)?;
    let unpacked = binary.take_unpacked().map(Bytes::from);
    let (content, decoded) = match &unpacked {
        None => rayon::join(
            || binary.digest(),
            || decode(&name, || File::open(path).map_err(|e| DataError::io(path, e))),
        ),
        Some(bytes) => rayon::join(|| Ok(digest(&[bytes])), || decode(&name, || Ok(bytes.clone()))),
    };
    let mut table = decoded?;
    as_asked(&mut table, options);
    Ok(Raw::from_table(table, content?))
}

fn check_magic(name: &str, binary: &Binary) -> Result<(), DataError> {
    let (first, last, length) = binary.ends::<4>()?;
    if &last == b"PARE" {
        let remedy = "write it without encryption";
        return Err(DataError::file(name, "is an encrypted Parquet file", remedy));
    }
    if first != MAGIC || last != MAGIC || length < 12 {
        let what = "is not a Parquet file, or is cut off: it does not begin and end with PAR1";
        return Err(DataError::file(name, what, "write or copy it again"));
    }
    Ok(())
}

/// Decodes the file that `open` opens.
fn decode<R: ChunkReader + 'static>(
    name: &str,
    open: impl Fn() -> Result<R, DataError> + Sync,
) -> Result<Table, DataError> {
    let failed =
        |e: ParquetError| DataError::file(name, format!("cannot be decoded ({e})"), "write or copy it again");
    let metadata =
        careful(name, || ArrowReaderMetadata::load(&open()?, ArrowReaderOptions::new()).map_err(failed))?;
    let fields = metadata.schema().fields();
    let names: Vec<String> = fields.iter().map(|f| f.name().to_owned()).collect();
    if names.is_empty() {
        return Err(DataError::file(name, "has no columns", "expected inputs and a target column"));
    }
    let claimed = metadata.metadata().row_groups().iter().try_fold(0u64, |all, group| {
        u64::try_from(group.num_rows()).ok().and_then(|rows| all.checked_add(rows))
    });
    let Some(rows) = claimed.and_then(|rows| usize::try_from(rows).ok()) else {
        let what = "is damaged: it claims an impossible number of rows";
        return Err(DataError::file(name, what, "write or copy it again"));
    };
    check_memory(name, rows as u64, names.len())?;

    let tasks = (TASKS_A_THREAD * rayon::current_num_threads()).max(1);
    let positions: Vec<usize> = (0..names.len()).collect();
    let decode_some = |positions: &[usize]| {
        careful(name, || {
            let mut columns: Vec<Joined> = positions.iter().map(|i| Joined::new(&fields[*i], rows)).collect();
            let decoded: Vec<usize> =
                positions.iter().copied().filter(|i| unusable(fields[*i].data_type()).is_none()).collect();
            if !decoded.is_empty() {
                let roots = ProjectionMask::roots(metadata.parquet_schema(), decoded.iter().copied());
                let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(open()?, metadata.clone());
                let batches =
                    builder.with_projection(roots).with_batch_size(BATCH).build().map_err(failed)?;
                for batch in batches {
                    let batch = batch.map_err(|e| failed(e.into()))?;
                    let mut arrays = batch.columns().iter();
                    for column in columns.iter_mut().filter(|column| column.is_usable()) {
                        arrays.next().into_iter().for_each(|array| column.push(array));
                    }
                }
            }
            Ok(columns.into_iter().map(Joined::finish).collect::<Vec<Column>>())
        })
    };
    let columns: Vec<Vec<Column>> = positions
        .par_chunks(names.len().div_ceil(tasks))
        .map(decode_some)
        .collect::<Result<_, DataError>>()?;
    let mut columns: Vec<Column> = columns.into_iter().flatten().collect();
    for (column, field) in columns.iter_mut().zip(fields) {
        match column {
            Column::Other { what, missing } if unusable(field.data_type()) == Some(what) => {
                missing.resize(rows, false);
            }
            column if column.len() != rows => {
                let what = format!("is damaged: it has {} of {rows} rows", column.len());
                return Err(DataError::column(name, field.name(), what, "write or copy it again"));
            }
            _ => {}
        }
    }
    Ok(table(name, names, columns, rows))
}

/// The decoder panics on some damaged files; that becomes an error that names the file.
fn careful<T>(name: &str, f: impl FnOnce() -> Result<T, DataError>) -> Result<T, DataError> {
    panics::caught(f).unwrap_or_else(|_| {
        Err(DataError::file(name, "is damaged: its pages cannot be decoded", "write or copy it again"))
    })
}
