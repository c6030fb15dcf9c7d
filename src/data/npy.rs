//! Single `.npy` files. One of two dimensions is a table whose columns are named by position.

use std::path::Path;

use super::array::{Values, parse_npy};
use super::raw::{Raw, digest};
use super::{DataError, file};

/// A `.npy`: `[rows, columns]` is a table that includes the target, more dimensions are images without labels.
pub(crate) fn read(path: &Path) -> Result<Raw, DataError> {
    let name = path.display().to_string();
    let bytes = file::read(path)?;
    let mut array = parse_npy(&name, &bytes)?;
    let content = digest(&[&bytes]);
    if array.shape.len() != 2 {
        return Raw::from_arrays(&name, array, None, None, content);
    }
    array.values = match array.values {
        Values::Bytes(bytes) => Values::Numbers(bytes.into_iter().map(f64::from).collect()),
        other => other,
    };
    Ok(Raw { holds_target: true, ..Raw::from_arrays(&name, array, None, None, content)? })
}
