//! Reads a file as bytes: unpacked if gzipped, with a limit on the size.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::DataError;

/// Maximum size, packed and unpacked: more would not fit into a usual machine's memory.
const MAX_BYTES: u64 = 1 << 36;

/// The whole content of `path`, unpacked if it starts with gzip's magic bytes, whatever its name.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, DataError> {
    let name = path.display().to_string();
    let io = |e| DataError::io(path, e);
    let length = fs::metadata(path).map_err(io).and_then(|meta| {
        if meta.is_dir() {
            Err(DataError::file(&name, "is a folder, expected a file", "give the file inside it"))
        } else if !meta.is_file() {
            // Some formats are read more than once, and a pipe may never end.
            Err(DataError::file(&name, "is a pipe or a device, expected a file", "write it to a file first"))
        } else {
            Ok(meta.len())
        }
    })?;
    too_large(&name, length)?;
    let mut packed = Vec::new();
    File::open(path).map_err(io)?.take(MAX_BYTES).read_to_end(&mut packed).map_err(io)?;
    if packed.is_empty() {
        return Err(DataError::file(&name, "is empty", "check how it was written or copied"));
    }
    if !packed.starts_with(&[0x1f, 0x8b]) {
        if name.ends_with(".gz") {
            return Err(DataError::file(
                &name,
                "is not gzip, though its name ends in .gz",
                "rename it, or copy it again",
            ));
        }
        return Ok(packed);
    }
    let mut bytes = Vec::new();
    MultiGzDecoder::new(packed.as_slice()).take(MAX_BYTES + 1).read_to_end(&mut bytes).map_err(|e| {
        DataError::file(
            &name,
            format!("is damaged gzip ({e} after {} bytes of content)", bytes_so_far(&packed)),
            "copy or download it again",
        )
    })?;
    too_large(&name, bytes.len() as u64)?;
    if bytes.is_empty() {
        return Err(DataError::file(&name, "is empty after unpacking", "check how it was written"));
    }
    Ok(bytes)
}

fn too_large(name: &str, length: u64) -> Result<(), DataError> {
    if length <= MAX_BYTES {
        return Ok(());
    }
    Err(DataError::file(
        name,
        format!("is larger than {} GiB", MAX_BYTES >> 30),
        "split it, or use fewer rows",
    ))
}

/// Number of bytes that can be unpacked from a damaged file.
fn bytes_so_far(packed: &[u8]) -> usize {
    let (mut total, mut buffer) = (0, vec![0; 1 << 16]);
    let mut decoder = MultiGzDecoder::new(packed).take(MAX_BYTES);
    while let Ok(n @ 1..) = decoder.read(&mut buffer) {
        total += n;
    }
    total
}
