//! The seal of a model file: format version and a checksum over all of its bytes.
//!
//! The header of a safetensors file is JSON, preceded by its length (8 bytes). Here it always begins with [`START`],
//! followed by the SHA-256 of the whole file in 64 hexadecimal digits, computed with zeros in their place. The digest's
//! position is therefore fixed, and any changed bit is detected.

use std::fmt::Write;

use safetensors::SafeTensors;
use sha2::{Digest, Sha256};

use super::ModelFault;

/// Version of the layout of names and metadata.
pub(super) const FORMAT: &str = "1";
pub(super) const FORMAT_KEY: &str = "bngpu_format";
pub(super) const DIGEST_KEY: &str = "sha256";
/// Placeholder while the digest is computed.
pub(super) const ZEROS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

const START: &[u8] = br#"{"__metadata__":{"bngpu_format":"1","sha256":""#;
/// Bytes of the header's length.
const LENGTH: usize = 8;
const AT: usize = LENGTH + START.len();
const END: usize = AT + ZEROS.len();

/// Writes the digest of `bytes` into its place. The header must begin with [`START`], followed by [`ZEROS`].
pub(super) fn seal(bytes: &mut [u8]) -> Result<(), ModelFault> {
    if bytes.get(LENGTH..AT) != Some(START) || bytes.len() < END {
        return Err(ModelFault::Inconsistent("the header has no place for the checksum".into()));
    }
    let digest = digest(bytes);
    bytes[AT..END].copy_from_slice(digest.as_bytes());
    Ok(())
}

/// Refuses `bytes` unless they are exactly as [`seal`] wrote them.
pub(super) fn check(bytes: &[u8]) -> Result<(), ModelFault> {
    let start = bytes.get(LENGTH..).unwrap_or_default();
    if !start.starts_with(START) {
        return Err(if bytes.len() < LENGTH || START.starts_with(start) {
            ModelFault::Truncated { bytes: bytes.len() }
        } else {
            name_the_stranger(bytes)
        });
    }
    if bytes.len() < END {
        return Err(ModelFault::Truncated { bytes: bytes.len() });
    }
    if bytes[AT..END] == *digest(bytes).as_bytes() { Ok(()) } else { Err(ModelFault::Damaged) }
}

/// SHA-256 of `bytes` with zeros in the digest's place, in lower-case hexadecimal digits.
fn digest(bytes: &[u8]) -> String {
    let mut hash = Sha256::new();
    hash.update(&bytes[..AT]);
    hash.update(ZEROS);
    hash.update(&bytes[END..]);
    hash.finalize().iter().fold(String::with_capacity(ZEROS.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}"); // writing to a String cannot fail
        text
    })
}

/// The fault of a file whose header does not begin with [`START`].
fn name_the_stranger(bytes: &[u8]) -> ModelFault {
    let Ok((_, header)) = SafeTensors::read_metadata(bytes) else {
        return ModelFault::Foreign("not a safetensors file, or damaged at its beginning");
    };
    match header.metadata().as_ref().and_then(|metadata| metadata.get(FORMAT_KEY)) {
        None => ModelFault::Foreign("a safetensors file of another program"),
        Some(found) if found == FORMAT => ModelFault::Damaged,
        Some(found) => ModelFault::Format { found: found.clone(), expected: FORMAT },
    }
}
