//! Files in the cache folder, kept for later processes, such as the driver's compiled pipelines.
//!
//! Losing such a file costs only time. An unusable file is ignored and replaced. Several processes may write at once:
//! files are replaced as a whole, and the last one wins.

use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::{env, fs};

use super::adapters::driver;
use crate::base::write_whole;

/// A device's file with the extension `.kind`; none if the system has no cache folder.
pub(super) fn place(adapter: &str, driver: &str, kind: &str) -> Option<PathBuf> {
    let folder = match env::var_os("BNGPU_CACHE").filter(|folder| !folder.is_empty()) {
        Some(folder) => PathBuf::from(folder),
        None => directories::ProjectDirs::from("", "", "bngpu")?.cache_dir().to_path_buf(),
    };
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let name: String = format!("{adapter} {driver}").chars().map(plain).take(120).collect();
    Some(folder.join(format!("{name}.{kind}")))
}

/// Writes a file of the cache folder as a whole, and makes the folder if needed.
///
/// # Errors
/// Errors of the file system.
pub(super) fn keep(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    write_whole(path, bytes).map_err(io::Error::other)
}

/// The driver's pipeline cache, and its file.
pub(super) struct PipelineCache {
    pub raw: wgpu::PipelineCache,
    path: PathBuf,
    owner: String,
    /// The last known contents of the file.
    kept: Mutex<Vec<u8>>,
}

impl PipelineCache {
    /// The cache of a device of the adapter `about`, which must be opened with [`wgpu::Features::PIPELINE_CACHE`]. It
    /// starts from its file if that is usable; none if there is no cache folder.
    pub fn open(device: &wgpu::Device, about: &wgpu::AdapterInfo) -> Option<PipelineCache> {
        let path = place(&about.name, &driver(about), "pipelines")?;
        let owner = owner(about);
        let kept = read(&path, &owner).unwrap_or_else(|error| {
            if error.kind() != ErrorKind::NotFound {
                log::warn!("{}: {error}; ignored and rebuilt", path.display());
            }
            Vec::new()
        });
        let refused = device.push_error_scope(wgpu::ErrorFilter::Validation);
        // SAFETY: the data must come from `get_data` of such a cache. The file names its program version, adapter and
        // driver and has a checksum, so damaged or foreign data are rejected; wgpu and the driver check their own
        // headers, too. An attacker who can forge the file already has this user's rights.
        let raw = unsafe {
            device.create_pipeline_cache(&wgpu::PipelineCacheDescriptor {
                label: Some("bngpu"),
                data: (!kept.is_empty()).then_some(&kept),
                fallback: true,
            })
        };
        match pollster::block_on(refused.pop()) {
            None => Some(PipelineCache { raw, path, owner, kept: Mutex::new(kept) }),
            Some(error) => {
                log::warn!("pipelines are not kept for the next start: {error}");
                None
            }
        }
    }

    /// Writes the file if the cache has grown. A failure costs only time at the next start.
    pub fn save(&self) {
        let Some(data) = self.raw.get_data() else { return };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if *kept == data {
            return;
        }
        match keep(&self.path, &sealed(&self.owner, &data)) {
            Ok(()) => log::debug!("{}: {} bytes of pipelines kept", self.path.display(), data.len()),
            Err(error) => log::warn!("compiled pipelines are not kept: {error}"),
        }
        *kept = data;
    }
}

/// The first line of an adapter's file.
fn owner(about: &wgpu::AdapterInfo) -> String {
    let (version, name, driver) = (env!("CARGO_PKG_VERSION"), &about.name, driver(about));
    let line =
        format!("bngpu {version}, pipelines of {name} ({:04x}:{:04x}), {driver}", about.vendor, about.device);
    line.replace(char::is_control, " ")
}

/// A file: a line that names its owner, a line with length and checksum of the data, the data.
fn sealed(owner: &str, data: &[u8]) -> Vec<u8> {
    let head = format!("{owner}\n{} bytes, CRC-32C {:08x}\n", data.len(), crc32c::crc32c(data));
    [head.as_bytes(), data].concat()
}

/// The data of `owner`'s file.
fn read(path: &Path, owner: &str) -> io::Result<Vec<u8>> {
    let bad = |what: &str| io::Error::new(ErrorKind::InvalidData, what);
    let file = fs::read(path)?;
    let lines: Vec<&[u8]> = file.splitn(3, |&byte| byte == b'\n').collect();
    match lines[..] {
        [first, _, data] if first == owner.as_bytes() && sealed(owner, data) == file => Ok(data.to_vec()),
        [first, ..] if first != owner.as_bytes() => Err(bad("is of another version, adapter or driver")),
        _ => Err(bad("is damaged")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_or_foreign_files_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("sub/a.pipelines");
        assert_eq!(read(&path, "me").expect_err("no file").kind(), ErrorKind::NotFound);
        let data = b"driver's\n\ndata\0\xff";
        let whole = sealed("me", data);
        keep(&path, &whole).expect("writes");
        assert_eq!(read(&path, "me").expect("is whole"), data);
        assert!(read(&path, "you").expect_err("foreign").to_string().contains("another"));
        let refused = |bytes: &[u8]| {
            fs::write(&path, bytes).expect("writes");
            assert_eq!(read(&path, "me").expect_err("damaged").kind(), ErrorKind::InvalidData);
        };
        for at in 0..whole.len() {
            refused(&whole[..at]);
            for bit in 0..8 {
                let mut bytes = whole.clone();
                bytes[at] ^= 1 << bit;
                refused(&bytes);
            }
        }
        refused(&[&whole[..], b"x"].concat());
    }
}
