//! How much memory is left, and vectors that are refused before they would end the program.

use std::fs;
use std::path::{Path, PathBuf};

use super::DataError;
use crate::base::text::bytes;

/// Smaller requests are not compared with what is left: that takes longer than they are worth.
const COMPARED: u64 = 16 << 20;

/// Bytes that this process can still get: the least of what the machine, its control group and `ulimit -v` leave.
/// None where the system does not say (only Linux does).
pub(crate) fn available() -> Option<u64> {
    [machine(), cgroup(), address_space()].into_iter().flatten().min()
}

/// Refuses a request of `needed` bytes that is larger than what is left.
pub(crate) fn check(file: &str, needed: u64) -> Result<(), DataError> {
    match available() {
        Some(left) if needed >= COMPARED && needed > left => Err(too_much(file, needed, Some(left))),
        _ => Ok(()),
    }
}

/// What any file may claim, however short it is: the pixels of an image of 4,096 x 4,096.
const CLAIM: u64 = 64 << 20;

/// Whether a file of `length` bytes can hold what takes `claimed` bytes of memory, at most `per_byte` for each of its own.
pub(crate) fn is_plausible(claimed: u64, length: u64, per_byte: u64) -> bool {
    claimed <= CLAIM.saturating_add(length.saturating_mul(per_byte))
}

/// Makes room for `additional` elements, and no more.
pub(crate) fn reserve<T>(file: &str, vector: &mut Vec<T>, additional: usize) -> Result<(), DataError> {
    if vector.capacity() - vector.len() >= additional {
        return Ok(());
    }
    let needed = (additional as u64).saturating_mul(size_of::<T>() as u64);
    check(file, needed)?;
    vector.try_reserve_exact(additional).map_err(|_| too_much(file, needed, None))
}

/// Makes room for `additional` elements; doubles the vector, so that many small steps take linear time.
pub(crate) fn grow<T>(file: &str, vector: &mut Vec<T>, additional: usize) -> Result<(), DataError> {
    if vector.capacity() - vector.len() >= additional {
        return Ok(());
    }
    // If there is no room for twice as much, there may be for what is needed now.
    let doubled = additional.max(vector.len());
    reserve(file, vector, doubled).or_else(|_| reserve(file, vector, additional))
}

fn too_much(file: &str, needed: u64, left: Option<u64>) -> DataError {
    let left = left.map_or("that much is not available".to_owned(), |n| format!("{} is available", bytes(n)));
    let what = format!("needs {} of memory, but {left}", bytes(needed));
    DataError::file(file, what, "use fewer rows or columns, free memory, or raise its limit")
}

/// Memory that the kernel can give without swapping.
fn machine() -> Option<u64> {
    field(&fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable:")
}

/// What `ulimit -v` leaves.
fn address_space() -> Option<u64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let limit = limits.lines().find_map(|line| line.strip_prefix("Max address space"))?;
    let limit: u64 = limit.split_whitespace().next()?.parse().ok()?;
    let used = field(&fs::read_to_string("/proc/self/status").ok()?, "VmSize:")?;
    Some(limit.saturating_sub(used))
}

/// Bytes in a line such as `VmSize:   12345 kB`.
fn field(text: &str, name: &str) -> Option<u64> {
    let value = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(value.split_whitespace().next()?.parse::<u64>().ok()? << 10)
}

/// What the control groups of this process leave; a container is one.
fn cgroup() -> Option<u64> {
    let groups = fs::read_to_string("/proc/self/cgroup").ok()?;
    let of = |line: &str| -> Option<u64> {
        let (controllers, group) = line.split_once(':')?.1.split_once(':')?;
        let group = group.trim_start_matches('/');
        match controllers {
            "" => left(
                "/sys/fs/cgroup",
                group,
                ["memory.max", "memory.current", "inactive_file", "active_file"],
            ),
            _ if controllers.split(',').any(|c| c == "memory") => left(
                "/sys/fs/cgroup/memory",
                group,
                [
                    "memory.limit_in_bytes",
                    "memory.usage_in_bytes",
                    "total_inactive_file",
                    "total_active_file",
                ],
            ),
            _ => None,
        }
    };
    groups.lines().filter_map(of).min()
}

/// The least that `group` and the groups around it leave. Pages of files count as used, but can be dropped.
fn left(root: &str, group: &str, [max, current, inactive, active]: [&str; 4]) -> Option<u64> {
    let mut folder = Some(PathBuf::from(root).join(group));
    let mut least = None;
    while let Some(at) = folder.filter(|at| at.starts_with(root)) {
        let number = |name: &str| fs::read_to_string(at.join(name)).ok()?.trim().parse::<u64>().ok();
        if let (Some(max), Some(current)) = (number(max), number(current)) {
            let stat = fs::read_to_string(at.join("memory.stat")).unwrap_or_default();
            let of = |name: &str| {
                let value = stat.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
                value.and_then(|v| v.parse::<u64>().ok()).unwrap_or(0)
            };
            let used = current.saturating_sub(of(inactive)).saturating_sub(of(active));
            let left = max.saturating_sub(used);
            least = Some(least.map_or(left, |least: u64| least.min(left)));
        }
        folder = at.parent().map(Path::to_path_buf);
    }
    least
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_an_error_with_its_size() {
        let mut numbers: Vec<f64> = Vec::new();
        reserve("a.csv", &mut numbers, 1000).unwrap();
        grow("a.csv", &mut numbers, 2000).unwrap();
        assert!(numbers.capacity() >= 2000);
        for huge in [1 << 50, usize::MAX] {
            let error = reserve("a.csv", &mut numbers, huge).unwrap_err().to_string();
            assert!(error.starts_with("a.csv: needs ") && error.contains("of memory"), "{error}");
            assert!(grow("a.csv", &mut numbers, huge).is_err());
        }
        if cfg!(target_os = "linux") {
            assert!(available().is_some_and(|left| left > 1 << 20));
        }
    }
}
