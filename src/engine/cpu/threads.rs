//! How many threads the program computes with, and why.

use std::fmt::{self, Display, Formatter};
use std::sync::OnceLock;

use crate::base::text::counted;
use crate::engine::EngineError;

/// Environment variable with the number of threads, as of other programs that use rayon.
const VARIABLE: &str = "RAYON_NUM_THREADS";
/// Maximum number of threads.
pub const MOST: usize = 1024;

/// Why there are so many threads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// `--threads`
    Asked,
    /// `$RAYON_NUM_THREADS`
    Variable,
    /// The quota of a cgroup, on this many cores.
    Quota { cores: usize },
    /// The affinity of this process, on a machine of this many cores.
    Affinity { cores: usize },
    /// All cores.
    Cores,
}

/// A number of threads, and the reason for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Threads {
    pub count: usize,
    pub why: Why,
}

impl Threads {
    /// The number `asked` for; or that of `$RAYON_NUM_THREADS`, at most [`MOST`]; or one for each core that affinity and the quota of a
    /// cgroup (a container's) allow, rounded up.
    pub fn find(asked: Option<usize>) -> Threads {
        let variable = || {
            let count: usize = std::env::var(VARIABLE).ok()?.trim().parse().ok()?;
            (count > 0).then_some(count.min(MOST))
        };
        if let Some(count) = asked {
            return Threads { count, why: Why::Asked };
        }
        if let Some(count) = variable() {
            return Threads { count, why: Why::Variable };
        }
        let read = |path: &str, key: &str| {
            let text = std::fs::read_to_string(path).ok()?;
            count_cores(text.lines().find_map(|line| line.strip_prefix(key))?)
        };
        let (allowed, all) =
            (read("/proc/self/status", "Cpus_allowed_list:"), read("/sys/devices/system/cpu/online", ""));
        let count = cores();
        let why = match (allowed, all) {
            (Some(cores), _) if count < cores => Why::Quota { cores },
            (Some(allowed), Some(cores)) if allowed < cores => Why::Affinity { cores },
            _ => Why::Cores,
        };
        Threads { count, why }
    }
}

/// The cores that this process may use.
pub fn cores() -> usize {
    num_cpus::get().max(1)
}

/// The threads that the program started.
static STARTED: OnceLock<Threads> = OnceLock::new();

/// Starts the process's threads; later calls change nothing.
///
/// # Errors
/// [`EngineError::Refused`] if the system does not start them all, or the process has a pool of rayon's already.
pub fn start(threads: Threads) -> Result<(), EngineError> {
    let mut result = Ok(());
    STARTED.get_or_init(|| {
        let name = |thread: usize| format!("worker {thread}");
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.count).thread_name(name);
        result = pool.build_global().map_err(|error| EngineError::Refused {
            device: super::NAME.into(),
            what: format!("{} threads", threads.count),
            reason: error.to_string(),
        });
        threads
    });
    result
}

/// The threads that [`start`] started, or else the pool's.
pub fn in_use() -> Threads {
    STARTED.get().cloned().unwrap_or_else(|| Threads { count: count(), ..Threads::find(None) })
}

/// The number of threads in use.
pub fn count() -> usize {
    rayon::current_num_threads()
}

/// Number of cores in a list as Linux writes it: `0-3,8`.
fn count_cores(list: &str) -> Option<usize> {
    let one = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        Some(last.checked_sub(first)? + 1)
    };
    list.trim().split(',').map(one).sum()
}

impl Display for Why {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Why::Asked => write!(f, "as --threads says"),
            Why::Variable => write!(f, "as ${VARIABLE} says"),
            Why::Quota { cores } => {
                write!(f, "as many as the CPU quota of its cgroup (its container) allows, on {cores} cores")
            }
            Why::Affinity { cores } => {
                write!(f, "one for each core that its affinity allows, of {cores}")
            }
            Why::Cores => write!(f, "one for each core"),
        }
    }
}

/// "2 threads, one for each core"
impl Display for Threads {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", counted(self.count as u64, "thread"), self.why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cores_are_counted() {
        for (list, count) in [
            ("0", Some(1)),
            ("\t0-1\n", Some(2)),
            ("0-3,8,10-11", Some(7)),
            ("", None),
            ("3-1", None),
            ("a", None),
        ] {
            assert_eq!(count_cores(list), count, "{list:?}");
        }
    }

    #[test]
    fn the_reason_is_told() {
        let text = |count, why| Threads { count, why }.to_string();
        assert_eq!(text(4, Why::Asked), "4 threads, as --threads says");
        assert_eq!(
            text(1, Why::Affinity { cores: 8 }),
            "1 thread, one for each core that its affinity allows, of 8"
        );
    }

    #[test]
    fn what_is_asked_for_counts_first() {
        assert_eq!(Threads::find(Some(3)), Threads { count: 3, why: Why::Asked });
        assert!(Threads::find(None).count >= 1);
    }
}
