//! Checks that a population fits the machine's memory before anything is allocated: systems promise more memory than
//! they have, and kill the process when it is used.

use super::NAME;
use crate::engine::EngineError;

/// Refuses a population that needs more `bytes` than are free.
///
/// # Errors
/// [`EngineError::Unsupported`], with both sizes.
pub(crate) fn check_room(bytes: u64) -> Result<(), EngineError> {
    check(bytes, available())
}

fn check(bytes: u64, available: Option<u64>) -> Result<(), EngineError> {
    let fits = available.is_none_or(|available| bytes <= available) && can_be_reserved(bytes);
    if fits {
        return Ok(());
    }
    let gigabytes = |bytes: u64| format!("{:.1} GB", bytes as f64 / 1e9);
    let free = available.map_or_else(String::new, |available| format!(" ({} free)", gigabytes(available)));
    let what = format!(
        "it needs {} of memory{free}; use fewer hidden units or a smaller --batch-size",
        gigabytes(bytes)
    );
    Err(EngineError::Unsupported { device: NAME.into(), what })
}

/// Whether the system would reserve that many bytes, within the limits of the process. Nothing is touched.
fn can_be_reserved(bytes: u64) -> bool {
    usize::try_from(bytes).is_ok_and(|bytes| Vec::<u8>::new().try_reserve_exact(bytes).is_ok())
}

/// Bytes available without swapping, within the limit of the control group; None if unknown (other than Linux).
pub(crate) fn available() -> Option<u64> {
    let meminfo = std::fs::read_to_string("/proc/meminfo").ok()?;
    let limit = std::fs::read_to_string("/sys/fs/cgroup/memory.max").unwrap_or_default();
    let free = mem_available(&meminfo)?;
    Some(limit.trim().parse().map_or(free, |limit: u64| free.min(limit)))
}

/// The line `MemAvailable: 16384 kB`, in bytes.
fn mem_available(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lack_of_memory_is_an_error_with_both_sizes() {
        check(1000, Some(1000)).unwrap();
        check(1000, None).unwrap();
        let text = check(26_000_000_000, Some(8_000_000_000)).unwrap_err().to_string();
        assert!(text.contains("needs 26.0 GB of memory (8.0 GB free)"), "{text}");
        // More than any address space: refused even if the free memory is unknown.
        let text = check(u64::MAX, None).unwrap_err().to_string();
        assert!(text.contains("use fewer hidden units"), "{text}");
    }

    #[test]
    fn free_memory_is_read_from_linux_meminfo() {
        let text = "MemTotal:       24684180 kB\nMemAvailable:    2048 kB\n";
        assert_eq!(mem_available(text), Some(2048 * 1024));
        assert_eq!(mem_available("MemTotal: 1 kB\n"), None);
    }
}
