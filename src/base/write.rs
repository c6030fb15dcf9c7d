//! Whole files: a reader sees the old content or the new one, never a part.

use std::ffi::OsString;
use std::fs;
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::FileError;
use super::error::is_held;

/// Suffix of files while they are written. `run::RunDir` removes the leftovers of killed processes.
pub(crate) const TEMPORARY_SUFFIX: &str = ".bngpu-tmp";

/// Maximum number of links to follow, as in Linux.
const MOST_LINKS: usize = 40;

/// Milliseconds between the attempts of [`patiently`].
const WAITS: [u64; 8] = [5, 10, 20, 40, 80, 160, 320, 640];

/// Writes `bytes` to `path` as a whole: temporary file in the same folder, flush to disk, rename, flush of the
/// folder. If it is interrupted at any moment, `path` holds the old content or the new one.
///
/// A link stays, and its target is written. A device or a pipe is never replaced: the bytes are written into it.
///
/// # Errors
/// [`FileError`] with the path and the cause; the old content then stays.
///
/// ```
/// let folder = tempfile::tempdir()?;
/// let path = folder.path().join("numbers.txt");
/// bngpu::base::write_whole(&path, b"1 2 3")?;
/// assert_eq!(std::fs::read(&path)?, b"1 2 3");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), FileError> {
    let fail = |cause| FileError::new("write", path, without_temporary_path(cause));
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

/// The end of the links that begin at `path`, which need not exist.
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

/// The error without the name of the temporary file, which means nothing to the user.
fn without_temporary_path(error: io::Error) -> io::Error {
    match error.kind() {
        ErrorKind::Other => error,
        kind if error.raw_os_error().is_none() => kind.into(),
        _ => error,
    }
}

/// Writes `bytes` as a new file at `path`, in place of a regular file with these permissions, if any.
fn replace(path: &Path, bytes: &[u8], permissions: Option<fs::Permissions>) -> io::Result<()> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut prefix = OsString::from(".");
    // A very long name leaves no room for the suffix.
    if let Some(name) = path.file_name().filter(|name| name.len() < 200) {
        prefix.push(name);
        prefix.push(".");
    }

    // Use the mode of a new file, not tempfile's private one: the umask decides who can read a result.
    let mut builder = tempfile::Builder::new();
    let builder = builder.prefix(&prefix).suffix(TEMPORARY_SUFFIX);
    let mut file = builder.make_in(folder, |path| fs::File::create_new(path))?;
    if let Some(permissions) = permissions {
        keep_permissions(file.as_file(), permissions)?;
    }
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    let (_, mut temporary) = file.into_parts();
    // Not tempfile's `persist`: on Windows, `rename` accepts longer paths and, where possible, files open for reading.
    patiently(|| fs::rename(&temporary, path))?;
    temporary.disable_cleanup(true);
    sync_folder(folder)
}

/// Gives the new file the permissions of the one that it replaces.
#[cfg(not(windows))]
fn keep_permissions(file: &fs::File, permissions: fs::Permissions) -> io::Result<()> {
    file.set_permissions(permissions)
}

/// Windows refuses to replace a read-only file. Refusing it here leaves no read-only temporary file behind.
#[cfg(windows)]
fn keep_permissions(_: &fs::File, permissions: fs::Permissions) -> io::Result<()> {
    if permissions.readonly() { Err(ErrorKind::PermissionDenied.into()) } else { Ok(()) }
}

/// Repeats `action` for up to 1.3 s while another program holds the file. On Windows, virus scanners, indexers and
/// backups open new files for a moment, and such a file can be neither replaced nor removed.
pub(crate) fn patiently<T>(action: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    repeated(action, is_held)
}

fn repeated<T>(
    mut action: impl FnMut() -> io::Result<T>,
    is_held: impl Fn(&io::Error) -> bool,
) -> io::Result<T> {
    for wait in WAITS {
        match action() {
            Err(error) if is_held(&error) => thread::sleep(Duration::from_millis(wait)),
            result => return result,
        }
    }
    action()
}

/// Flushes `folder`, so that a rename in it survives a power cut.
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
    fn leftovers_of_a_killed_writer_are_harmless() {
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
    fn the_umask_decides_the_permissions_of_a_result() {
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
    fn pipes_links_and_permissions_are_kept() {
        use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        assert!(std::process::Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
        symlink("pipe", at("to-pipe")).unwrap();
        for name in ["pipe", "to-pipe"] {
            let pipe = at("pipe");
            let reader = std::thread::spawn(move || fs::read(pipe).unwrap());
            write_whole(&at(name), b"rows").unwrap();
            // If the pipe were replaced, its reader would wait for ever.
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
    fn a_file_held_for_a_moment_is_tried_again() {
        let held = || io::Error::from_raw_os_error(32);
        let is_held = |error: &io::Error| error.raw_os_error() == Some(32);
        let mut left = 3;
        let mut action = || {
            left -= 1;
            if left > 0 { Err(held()) } else { Ok(left) }
        };
        assert_eq!(repeated(&mut action, is_held).unwrap(), 0);

        let mut attempts = 0;
        let other = repeated::<()>(
            || {
                attempts += 1;
                Err(ErrorKind::NotFound.into())
            },
            is_held,
        );
        assert_eq!((other.unwrap_err().kind(), attempts), (ErrorKind::NotFound, 1));

        let mut attempts = 0;
        let always = repeated::<()>(
            || {
                attempts += 1;
                Err(held())
            },
            is_held,
        );
        assert_eq!((always.unwrap_err().raw_os_error(), attempts), (Some(32), WAITS.len() + 1));
    }

    // Windows 10 does so too, Wine does not.
    #[cfg(unix)]
    #[test]
    fn a_reader_of_the_old_file_keeps_it() {
        use std::io::Read;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.txt");
        write_whole(&path, b"old").unwrap();
        let mut reader = fs::File::open(&path).unwrap();
        write_whole(&path, b"new").unwrap();
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        assert_eq!((text.as_str(), fs::read(&path).unwrap().as_slice()), ("old", b"new".as_slice()));
    }

    #[cfg(windows)]
    #[test]
    fn a_file_held_by_another_program_is_awaited_then_named() {
        use std::os::windows::fs::OpenOptionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.txt");
        write_whole(&path, b"old").unwrap();
        // As a spreadsheet opens a table: others may only read it.
        let hold = || fs::File::options().read(true).share_mode(1).open(&path).unwrap();
        let held = hold();
        let waiter = thread::spawn(move || {
            thread::sleep(Duration::from_millis(100));
            drop(held);
        });
        write_whole(&path, b"new").unwrap();
        waiter.join().unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");

        let held = hold();
        let text = write_whole(&path, b"newer").unwrap_err().to_string();
        assert!(text.contains("another program"), "{text}");
        drop(held);
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[cfg(windows)]
    #[test]
    fn a_read_only_file_stays_and_nothing_is_left_beside_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.txt");
        write_whole(&path, b"old").unwrap();
        let mut permissions = fs::metadata(&path).unwrap().permissions();
        permissions.set_readonly(true);
        fs::set_permissions(&path, permissions.clone()).unwrap();
        assert!(write_whole(&path, b"new").unwrap_err().to_string().contains("check the permissions"));
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        #[expect(clippy::permissions_set_readonly_false)]
        permissions.set_readonly(false);
        fs::set_permissions(&path, permissions).unwrap();
    }

    #[test]
    fn the_longest_name_can_be_written() {
        let dir = tempfile::tempdir().unwrap();
        write_whole(&dir.path().join("n".repeat(255)), b"x").unwrap();
    }
}
