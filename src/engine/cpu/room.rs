//! Whether the machine has room for a population, asked before anything is allocated: systems promise more memory
//! than they have, and end the process without a word when it is used.

use super::NAME;
use crate::engine::EngineError;

/// Refuses a population that needs more `bytes` than there are.
///
/// # Errors
/// [`EngineError::Unsupported`], which tells both.
pub(crate) fn check_room(bytes: u64) -> Result<(), EngineError> {
    check(bytes, available())
}

fn check(bytes: u64, available: Option<u64>) -> Result<(), EngineError> {
    let fits = available.is_none_or(|available| bytes <= available) && can_be_reserved(bytes);
    if fits {
        return Ok(());
    }
    let gigabytes = |bytes: u64| format!("{:.1} GB", bytes as f64 / 1e9);
    let free = available.map_or_else(String::new, |available| format!(", {} are free", gigabytes(available)));
    let what = format!(
        "it needs {} of memory{free}; use fewer hidden units or a smaller --batch-size",
        gigabytes(bytes)
    );
    Err(EngineError::Unsupported { device: NAME.into(), what })
}

/// Whether the system would promise as much, within the limits of the process. Nothing is touched.
fn can_be_reserved(bytes: u64) -> bool {
    usize::try_from(bytes).is_ok_and(|bytes| Vec::<u8>::new().try_reserve_exact(bytes).is_ok())
}

/// Bytes that can be used without swapping, within the limit of the control group; unknown off Linux.
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
    fn what_does_not_fit_is_told_with_what_there_is() {
        check(1000, Some(1000)).unwrap();
        check(1000, None).unwrap();
        let text = check(26_000_000_000, Some(8_000_000_000)).unwrap_err().to_string();
        assert!(text.contains("needs 26.0 GB of memory, 8.0 GB are free"), "{text}");
        // More than any address space: refused also where nothing is known of the memory.
        let text = check(u64::MAX, None).unwrap_err().to_string();
        assert!(text.contains("use fewer hidden units"), "{text}");
    }

    #[test]
    fn the_free_memory_is_read_as_linux_writes_it() {
        let text = "MemTotal:       24684180 kB\nMemAvailable:    2048 kB\n";
        assert_eq!(mem_available(text), Some(2048 * 1024));
        assert_eq!(mem_available("MemTotal: 1 kB\n"), None);
    }
}
