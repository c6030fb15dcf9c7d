//! Whole files: a reader sees the old content or the new one, never a part.

use std::io::Write;
use std::path::Path;

use super::RunError;

/// Ends the names of files that are being written; [`super::RunDir`] clears away those that a killed process left.
pub(super) const TEMPORARY_SUFFIX: &str = ".bngpu-tmp";

/// Writes `bytes` to `path` as a whole: temporary file in the same folder, flush to disk, rename, flush of the
/// folder. If it is interrupted at any moment, `path` holds the old content or the new one.
///
/// Errors: [`RunError::Io`] with the path and the cause; the old content then stands.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), RunError> {
    let fail = |source| RunError::io("write", path, source);
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut prefix = std::ffi::OsString::from(".");
    prefix.push(path.file_name().unwrap_or_default());
    prefix.push(".");

    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(TEMPORARY_SUFFIX);
    #[cfg(unix)]
    {
        // A temporary file is private by default; a result is as readable as the user's umask says.
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.tempfile_in(folder).map_err(fail)?;
    file.write_all(bytes).map_err(fail)?;
    file.as_file().sync_all().map_err(fail)?;
    file.persist(path).map_err(|refused| fail(refused.error))?;
    sync_folder(folder).map_err(fail)
}

/// Makes a rename in `folder` last through a power cut.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> std::io::Result<()> {
    use std::io::ErrorKind;
    match std::fs::File::open(folder)?.sync_all() {
        // Some network file systems cannot flush a folder.
        Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
        result => result,
    }
}

#[cfg(not(unix))]
fn sync_folder(_: &Path) -> std::io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn replaces_the_old_content_and_leaves_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.txt");
        write_whole(&path, b"old").unwrap();
        write_whole(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_killed_writer_leaves_touches_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.txt");
        write_whole(&path, b"old").unwrap();
        fs::write(dir.path().join(format!(".a.txt.x1{TEMPORARY_SUFFIX}")), b"ne").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"old");
        write_whole(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
    }

    #[test]
    fn a_failure_names_path_and_cause_and_keeps_the_old_content() {
        let dir = tempfile::tempdir().unwrap();
        let missing = dir.path().join("none/a.txt");
        let text = write_whole(&missing, b"x").unwrap_err().to_string();
        assert!(text.contains("a.txt") && text.contains("check the path"), "{text}");

        // The rename onto a folder fails after everything was written: no temporary file stays behind.
        let folder = dir.path().join("folder");
        fs::create_dir(&folder).unwrap();
        fs::write(folder.join("inside"), b"x").unwrap();
        assert!(write_whole(&folder, b"x").is_err());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn a_result_is_as_readable_as_the_umask_says() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let (ours, plain) = (dir.path().join("ours"), dir.path().join("plain"));
        write_whole(&ours, b"x").unwrap();
        fs::write(&plain, b"x").unwrap();
        let mode = |path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&ours), mode(&plain));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_named() {
        let error = RunError::io("write", Path::new("a"), std::io::Error::from_raw_os_error(28));
        assert!(error.to_string().contains("free some space"), "{error}");
    }
}
