//! Binary files of a table, which are read from the disk piece by piece.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::file::Source;
use super::{DataError, memory};

/// A binary file, on the disk or unpacked in memory.
pub(crate) struct Binary {
    source: Source,
    path: PathBuf,
    unpacked: Option<Vec<u8>>,
}

/// What the readers of formats need of a file.
pub(crate) trait Seekable: Read + Seek {}

impl<T: Read + Seek> Seekable for T {}

impl Binary {
    pub fn open(path: &Path) -> Result<Binary, DataError> {
        let source = Source::open(path)?;
        let unpacked = if source.is_packed() { Some(source.read()?) } else { None };
        Ok(Binary { source, path: path.to_owned(), unpacked })
    }

    /// For messages.
    pub fn name(&self) -> &str {
        &self.source.name
    }

    /// The content, if it had to be unpacked.
    pub fn take_unpacked(&mut self) -> Option<Vec<u8>> {
        self.unpacked.take()
    }

    /// The content, from its beginning, not buffered.
    pub fn reader(&self) -> io::Result<Box<dyn Seekable + '_>> {
        Ok(match &self.unpacked {
            None => Box::new(File::open(&self.path)?),
            Some(bytes) => Box::new(Cursor::new(bytes)),
        })
    }

    /// The first and last N bytes (zeros if there are fewer), and the length.
    pub fn ends<const N: usize>(&self) -> Result<([u8; N], [u8; N], u64), DataError> {
        let read = || {
            let mut reader = self.reader()?;
            let length = reader.seek(SeekFrom::End(0))?;
            let (mut first, mut last) = ([0; N], [0; N]);
            if length >= N as u64 {
                reader.seek(SeekFrom::End(-(N as i64)))?;
                reader.read_exact(&mut last)?;
                reader.rewind()?;
                reader.read_exact(&mut first)?;
            }
            Ok((first, last, length))
        };
        read().map_err(|e| DataError::io(&self.path, e))
    }

    /// SHA-256 of the content, as [`super::raw::digest`] of one part.
    pub fn digest(&self) -> Result<[u8; 32], DataError> {
        match &self.unpacked {
            None => self.source.digest(),
            Some(bytes) => Ok(super::raw::digest(&[bytes])),
        }
    }
}

/// Refuses a table that does not fit into the free memory as numbers, by what its header claims.
pub(crate) fn check_memory(file: &str, rows: u64, columns: usize) -> Result<(), DataError> {
    memory::check(file, rows.saturating_mul(columns as u64).saturating_mul(size_of::<f64>() as u64))
}
