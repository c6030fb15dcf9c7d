//! Single `.npy` files. One of two dimensions is a table whose columns are named by position.

use std::path::Path;

use super::DataError;
use super::array::{Values, read_npy};
use super::file::Source;
use super::raw::Raw;

/// A `.npy`: `[rows, columns]` is a table that includes the target, more dimensions are images without labels.
pub(crate) fn read(path: &Path) -> Result<Raw, DataError> {
    let source = Source::open(path)?;
    let name = source.name.clone();
    let length = source.length.filter(|_| !source.is_packed());
    let mut array = read_npy(&name, &mut source.reader()?, length, &|e| source.error(e, 0))?;
    let content = source.digest()?;
    if array.shape.len() != 2 {
        return Raw::from_arrays(&name, array, None, None, content);
    }
    array.values = match array.values {
        Values::Bytes(bytes) => Values::Numbers(bytes.into_iter().map(f64::from).collect()),
        other => other,
    };
    Ok(Raw { holds_target: true, ..Raw::from_arrays(&name, array, None, None, content)? })
}
