//! Whole files: a reader sees the old content or the new one, never a part.

use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use super::RunError;

/// Ends the names of files that are being written; [`super::RunDir`] clears away those that a killed process left.
pub(super) const TEMPORARY_SUFFIX: &str = ".bngpu-tmp";

/// Most links that are followed, as many as Linux follows.
const MOST_LINKS: usize = 40;

/// Writes `bytes` to `path` as a whole: temporary file in the same folder, flush to disk, rename, flush of the
/// folder. If it is interrupted at any moment, `path` holds the old content or the new one.
///
/// A link stays and what it points to is written. What is neither absent nor a regular file (a device, a pipe) is
/// never replaced: the bytes go into it.
///
/// Errors: [`RunError::Io`] with the path and the cause; the old content then stands.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), RunError> {
    let fail = |cause| RunError::io("write", path, without_temporary_path(cause));
    let target = resolved(path).map_err(fail)?;
    match fs::metadata(&target) {
        Ok(there) if there.is_file() => replace(&target, bytes, Some(there.permissions())).map_err(fail),
        Ok(_) => {
            fs::File::options().write(true).open(&target).and_then(|mut f| f.write_all(bytes)).map_err(fail)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => replace(&target, bytes, None).map_err(fail),
        Err(error) => Err(fail(error)),
    }
}

/// Where the links that begin at `path` end; there need be nothing.
fn resolved(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MOST_LINKS {
        match fs::symlink_metadata(&path) {
            Ok(link) if link.is_symlink() => {
                let to = fs::read_link(&path)?;
                path = path.parent().unwrap_or(Path::new("")).join(to);
            }
            _ => return Ok(path),
        }
    }
    Err(io::Error::other("too many links"))
}

/// What the operating system said, without the name of a file that the user never named.
fn without_temporary_path(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::Other => error,
        kind if error.raw_os_error().is_none() => kind.into(),
        _ => error,
    }
}

/// Puts a file of `bytes` at `path`, where a regular file with these permissions is, or nothing.
fn replace(path: &Path, bytes: &[u8], permissions: Option<fs::Permissions>) -> io::Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut prefix = OsString::from(".");
    // A name of the greatest length has no room for more.
    if let Some(name) = path.file_name().filter(|name| name.len() < 200) {
        prefix.push(name);
        prefix.push(".");
    }

    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(TEMPORARY_SUFFIX);
    #[cfg(unix)]
    {
        // A temporary file is private by default; a result is as readable as the user's umask says.
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    let mut file = builder.tempfile_in(folder)?;
    if let Some(permissions) = permissions {
        file.as_file().set_permissions(permissions)?;
    }
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|refused| refused.error)?;
    sync_folder(folder)
}

/// Makes a rename in `folder` last through a power cut.
#[cfg(unix)]
fn sync_folder(folder: &Path) -> std::io::Result<()> {
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
        assert!(text.contains("none/a.txt: ") && text.contains("check the path"), "{text}");
        assert!(!text.contains(TEMPORARY_SUFFIX), "{text}");

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

    #[cfg(unix)]
    #[test]
    fn pipes_and_links_stay_and_permissions_too() {
        use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        assert!(std::process::Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
        symlink("pipe", at("to-pipe")).unwrap();
        for name in ["pipe", "to-pipe"] {
            let pipe = at("pipe");
            let reader = std::thread::spawn(move || fs::read(pipe).unwrap());
            write_whole(&at(name), b"rows").unwrap();
            // If the pipe was replaced, its reader would wait for ever.
            assert!(fs::symlink_metadata(at("pipe")).unwrap().file_type().is_fifo());
            assert_eq!(reader.join().unwrap(), b"rows");
        }
        fs::create_dir(at("sub")).unwrap();
        fs::write(at("sub/old"), "old").unwrap();
        fs::set_permissions(at("sub/old"), fs::Permissions::from_mode(0o600)).unwrap();
        symlink("sub/old", at("to-old")).unwrap();
        symlink("sub/new", at("to-new")).unwrap();
        symlink("round", at("round")).unwrap();
        for (link, file) in [("to-old", "sub/old"), ("to-new", "sub/new")] {
            write_whole(&at(link), b"new").unwrap();
            assert!(fs::symlink_metadata(at(link)).unwrap().is_symlink());
            assert_eq!(fs::read(at(file)).unwrap(), b"new");
        }
        assert_eq!(fs::metadata(at("sub/old")).unwrap().permissions().mode() & 0o777, 0o600);
        let text = write_whole(&at("round"), b"x").unwrap_err().to_string();
        assert!(text.contains("too many links"), "{text}");
    }

    #[test]
    fn the_longest_name_can_be_written() {
        let dir = tempfile::tempdir().unwrap();
        write_whole(&dir.path().join("n".repeat(255)), b"x").unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_named() {
        let error = RunError::io("write", Path::new("a"), std::io::Error::from_raw_os_error(28));
        assert!(error.to_string().contains("free some space"), "{error}");
    }
}
