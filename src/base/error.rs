//! Errors of the operating system, with remedies.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// A file or folder that cannot be read or written. (The message includes the cause, so the cause is not a `source`.)
#[derive(Debug, thiserror::Error)]
#[error("cannot {doing} {}: {cause}{}", path.display(), remedy(cause))]
pub struct FileError {
    /// A verb: "write", "create the folder".
    pub doing: &'static str,
    pub path: PathBuf,
    pub cause: io::Error,
}

impl FileError {
    /// `doing` is a verb ("write", "create the folder").
    pub fn new(doing: &'static str, path: &Path, cause: io::Error) -> FileError {
        FileError { doing, path: path.to_owned(), cause }
    }
}

/// The remedy for an error of the operating system, to follow its message; empty if there is none.
fn remedy(cause: &io::Error) -> &'static str {
    match cause.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "; free some space, or use another disk (--output)"
        }
        ErrorKind::PermissionDenied if cfg!(windows) => {
            "; check the permissions of the file and its folder, and whether another program has it open"
        }
        ErrorKind::PermissionDenied => "; check the permissions of the file and its folder",
        ErrorKind::ReadOnlyFilesystem => "; use a folder that can be written to (--output)",
        ErrorKind::NotFound => "; check the path",
        ErrorKind::InvalidData => "; the file is damaged: restore it",
        ErrorKind::AlreadyExists => "; a file of that name is in the way: give another name (--output)",
        ErrorKind::NotADirectory => "; a part of the path is a file, not a folder",
        ErrorKind::IsADirectory => "; it is a folder, not a file",
        _ if is_held(cause) => "; another program has it open: close it there",
        _ => "",
    }
}

/// Whether the error may mean that another program has the file open. Windows only: other systems replace and
/// remove open files.
pub(crate) fn is_held(error: &io::Error) -> bool {
    // Access denied, sharing violation, lock violation, folder not empty, delete pending, file mapped.
    cfg!(windows) && matches!(error.raw_os_error(), Some(5 | 32 | 33 | 145 | 303 | 1224))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_named() {
        let error = FileError::new("write", Path::new("a"), io::Error::from_raw_os_error(28));
        assert!(error.to_string().contains("free some space"), "{error}");
    }
}
