//! Arrow's own format, as a file (Feather version 2) or a stream, its buffers compressed or not.
//!
//! What its messages claim is checked before anything of that size is allocated:
//! <https://arrow.apache.org/docs/format/Columnar.html>.

use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use ::arrow_array::RecordBatchReader;
use ::arrow_ipc::reader::{FileReader, StreamReader};
use ::arrow_ipc::{RecordBatch, Schema, root_as_footer, root_as_message};
use ::arrow_schema::ArrowError;

use super::arrow::{Joined, unusable};
use super::binary::{Binary, Seekable, check_memory};
use super::join::{as_asked, table};
use super::raw::Raw;
use super::table::{Column, ReadOptions, Table};
use super::{DataError, memory};
use crate::base::panics;

/// First and last bytes of a file.
pub(crate) const MAGIC: &[u8] = b"ARROW1";
/// First bytes of a stream.
pub(crate) const STREAM: &[u8] = &[0xff; 4];
/// First bytes of Feather's version 1.
pub(crate) const FEATHER_1: &[u8] = b"FEA1";

/// Maximum length of the description of a message.
const MAX_DESCRIPTION: u64 = 1 << 28;

/// Reads a whole table.
pub(crate) fn read(path: &Path, options: &ReadOptions) -> Result<Raw, DataError> {
    let binary = Binary::open(path)?;
    let name = binary.name().to_owned();
    let (first, last, length) = binary.ends::<6>()?;
    if first.starts_with(FEATHER_1) {
        let remedy = "write it again with pandas.DataFrame.to_feather or pyarrow.feather.write_feather";
        return Err(DataError::file(&name, "is Feather version 1, expected version 2 (Arrow IPC)", remedy));
    }
    let is_file = first == MAGIC;
    if is_file && (last != MAGIC || length < 20) {
        return Err(DataError::file(&name, "is cut off: it does not end with ARROW1", "copy it again"));
    }
    let content = binary.digest()?;
    let table = panics::caught(|| {
        let rows = check_claims(&name, &binary, is_file)?;
        decode(&name, &binary, is_file, rows)
    });
    let mut table = table.unwrap_or_else(|_| {
        Err(DataError::file(&name, "is damaged: its columns cannot be decoded", "write or copy it again"))
    })?;
    as_asked(&mut table, options);
    Ok(Raw::from_table(table, content))
}

fn damaged(name: &str, what: impl std::fmt::Display) -> DataError {
    DataError::file(name, format!("cannot be decoded ({what})"), "write or copy it again")
}

/// The rows of all batches, after checking that no message is longer than the file and that no buffer claims to unpack
/// to more than the free memory.
fn check_claims(name: &str, binary: &Binary, is_file: bool) -> Result<u64, DataError> {
    let io = |e| DataError::io(name.as_ref(), e);
    let mut reader = binary.reader().map_err(io)?;
    let length = reader.seek(SeekFrom::End(0)).map_err(io)?;
    let mut claims = Claims { name, length, rows: 0, columns: 0 };
    if !is_file {
        let mut at = reader.rewind().map(|()| 0).map_err(io)?;
        while let Some(next) = claims.message(&mut reader, at)? {
            at = next;
        }
    } else {
        let mut end = [0; 4];
        reader.seek(SeekFrom::Start(length.saturating_sub(10))).map_err(io)?;
        reader.read_exact(&mut end).map_err(io)?;
        let size = u64::from(u32::from_le_bytes(end));
        if size > MAX_DESCRIPTION.min(length - 10) {
            return Err(damaged(name, "its table of contents is cut off"));
        }
        reader.seek(SeekFrom::Start(length - 10 - size)).map_err(io)?;
        let mut bytes = Vec::new();
        (&mut reader).take(size).read_to_end(&mut bytes).map_err(io)?;
        let footer = root_as_footer(&bytes).map_err(|e| damaged(name, e))?;
        claims.schema(footer.schema())?;
        for block in footer.dictionaries().into_iter().chain(footer.recordBatches()).flatten() {
            let at = u64::try_from(block.offset()).unwrap_or(length);
            let end =
                [block.metaDataLength().into(), block.bodyLength()].into_iter().try_fold(at, |at, size| {
                    at.checked_add(u64::try_from(size).ok()?).filter(|end| *end <= length)
                });
            end.ok_or_else(|| damaged(name, "its table of contents names places beyond its end"))?;
            claims.message(&mut reader, at)?;
        }
    }
    check_memory(name, claims.rows, claims.columns)?;
    Ok(claims.rows)
}

/// What the messages of a file claim.
struct Claims<'a> {
    name: &'a str,
    /// Of the file.
    length: u64,
    rows: u64,
    columns: usize,
}

impl Claims<'_> {
    /// Checks the message at `at`, and gives the place after it; none at the end of a stream.
    fn message(
        &mut self,
        reader: &mut Box<dyn Seekable + '_>,
        mut at: u64,
    ) -> Result<Option<u64>, DataError> {
        let (name, length) = (self.name, self.length);
        let io = |e| DataError::io(name.as_ref(), e);
        if at + 4 > length {
            return Ok(None);
        }
        reader.seek(SeekFrom::Start(at)).map_err(io)?;
        let mut size = [0; 4];
        // Before the size stands the marker of a stream, except in files of old writers.
        loop {
            reader.read_exact(&mut size).map_err(io)?;
            at += 4;
            if size != STREAM || at + 4 > length {
                break;
            }
        }
        let size = u64::from(u32::from_le_bytes(size));
        if size == 0 {
            return Ok(None);
        }
        if size > MAX_DESCRIPTION.min(length - at) {
            return Err(damaged(name, "it is cut off, or is not Arrow's format"));
        }
        let mut bytes = Vec::new();
        reader.take(size).read_to_end(&mut bytes).map_err(io)?;
        at += size;
        let message = root_as_message(&bytes).map_err(|e| damaged(name, e))?;
        let body = u64::try_from(message.bodyLength()).ok().filter(|body| *body <= length - at);
        let body = body.ok_or_else(|| damaged(name, "it is cut off within a batch of rows"))?;
        if let Some(schema) = message.header_as_schema() {
            self.schema(Some(schema))?;
        } else if let Some(batch) = message.header_as_record_batch() {
            let more = u64::try_from(batch.length()).ok().and_then(|more| self.rows.checked_add(more));
            self.rows = more.ok_or_else(|| damaged(name, "it claims an impossible number of rows"))?;
            check_buffers(name, reader, at, body, batch)?;
        } else if let Some(batch) = message.header_as_dictionary_batch().and_then(|batch| batch.data()) {
            check_buffers(name, reader, at, body, batch)?;
        }
        Ok(Some(at + body))
    }

    fn schema(&mut self, schema: Option<Schema>) -> Result<(), DataError> {
        let schema = schema.ok_or_else(|| damaged(self.name, "it does not name its columns"))?;
        self.columns = schema.fields().map_or(0, |fields| fields.len());
        if !schema.endianness().equals_to_target_endianness() {
            return Err(damaged(self.name, "its numbers are big-endian"));
        }
        Ok(())
    }
}

/// Checks what the packed buffers of a batch, whose body is at `at`, claim to unpack to.
fn check_buffers(
    name: &str,
    reader: &mut Box<dyn Seekable + '_>,
    at: u64,
    body: u64,
    batch: RecordBatch,
) -> Result<(), DataError> {
    let (Some(_), Some(buffers)) = (batch.compression(), batch.buffers()) else { return Ok(()) };
    let free = memory::available().unwrap_or(1 << 46);
    let mut total = 0u64;
    for buffer in buffers {
        let (offset, length) = (u64::try_from(buffer.offset()), u64::try_from(buffer.length()));
        let (Ok(offset), Ok(length)) = (offset, length) else {
            return Err(damaged(name, "a buffer has a negative length"));
        };
        if offset.checked_add(length).is_none_or(|end| end > body) {
            return Err(damaged(name, "a buffer is longer than its batch of rows"));
        }
        if length >= 8 {
            let mut bytes = [0; 8];
            let read = reader.seek(SeekFrom::Start(at + offset)).and_then(|_| reader.read_exact(&mut bytes));
            read.map_err(|e| DataError::io(name.as_ref(), e))?;
            // -1 marks a buffer that is not packed.
            total = total.saturating_add(u64::try_from(i64::from_le_bytes(bytes)).unwrap_or(length));
        }
        if total > free {
            return Err(damaged(name, "a batch of rows unpacks to more than the free memory"));
        }
    }
    Ok(())
}

/// The batches of a file or a stream: of the columns at `columns`, or of all.
type Batches<'a> = Box<dyn RecordBatchReader + 'a>;

fn batches<'a>(
    binary: &'a Binary,
    is_file: bool,
    columns: Option<Vec<usize>>,
) -> Result<Batches<'a>, ArrowError> {
    let reader = BufReader::with_capacity(1 << 16, binary.reader()?);
    Ok(match is_file {
        true => Box::new(FileReader::try_new(reader, columns)?),
        false => Box::new(StreamReader::try_new(reader, columns)?),
    })
}

fn decode(name: &str, binary: &Binary, is_file: bool, rows: u64) -> Result<Table, DataError> {
    let failed = |e: ArrowError| damaged(name, e);
    let schema = batches(binary, is_file, None).map_err(failed)?.schema();
    let fields = schema.fields();
    let names: Vec<String> = fields.iter().map(|f| f.name().to_owned()).collect();
    if names.is_empty() {
        return Err(DataError::file(name, "has no columns", "expected inputs and a target column"));
    }
    let rows = rows as usize;
    let mut columns: Vec<Joined> = fields.iter().map(|field| Joined::new(field, rows)).collect();
    let usable = (0..names.len()).filter(|i| unusable(fields[*i].data_type()).is_none()).collect();
    let mut read = 0;
    for batch in batches(binary, is_file, Some(usable)).map_err(failed)? {
        let batch = batch.map_err(failed)?;
        read += batch.num_rows();
        let usable = columns.iter_mut().filter(|column| column.is_usable());
        usable.zip(batch.columns()).for_each(|(column, array)| column.push(array));
    }
    if read != rows {
        return Err(damaged(name, format_args!("it has {read} of {rows} rows")));
    }
    let columns = columns.into_iter().map(|column| match column.finish() {
        Column::Other { what, mut missing } => {
            missing.resize(rows, false);
            Column::Other { what, missing }
        }
        column => column,
    });
    Ok(table(name, names, columns.collect(), rows))
}
