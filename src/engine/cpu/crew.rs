//! Help from the pool's threads, without waiting for them: a thread that has not started by the end of the work is not
//! used.
//!
//! On a busy machine a thread may start many milliseconds after it is woken. Meanwhile the caller works, and at the end
//! it waits only for threads that have started.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Calls of [`share_of_threads`] that last.
static SHARERS: AtomicUsize = AtomicUsize::new(0);

/// A caller's share of the threads, until it is dropped.
pub struct Share(usize);

impl Share {
    /// Number of threads, the caller's own included.
    pub fn threads(&self) -> usize {
        (rayon::current_num_threads() / self.0).max(1)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        SHARERS.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The share of all threads that a caller gets, as the lanes of a sweep work at the same time.
pub fn share_of_threads() -> Share {
    Share(SHARERS.fetch_add(1, Ordering::Relaxed) + 1)
}

/// Runs `own` here, and `help` on up to `helpers` threads of the pool, once on each that comes before `own` returns.
/// Returns when all of them have left.
///
/// # Panics
/// If `own` or a helper panics.
pub fn with_help<T>(helpers: usize, help: &(dyn Fn() + Sync), own: impl FnOnce() -> T) -> T {
    if helpers == 0 {
        return own();
    }
    // The pointer has no lifetime, so that threads which come too late may still hold it.
    // SAFETY: only the lifetime changes; `Call` says who may follow the pointer.
    let help = unsafe { std::mem::transmute::<*const (dyn Fn() + Sync), *const (dyn Fn() + Sync)>(help) };
    let call = Arc::new(Call { help, door: Mutex::default(), left: Condvar::new() });
    call.door().open = true;
    for _ in 0..helpers {
        let call = call.clone();
        rayon::spawn(move || call.answer());
    }
    let result = {
        let _closing = Closing(&call);
        own()
    };
    let panic = call.door().panic.take();
    match panic {
        Some(panic) => resume_unwind(panic),
        None => result,
    }
}

/// A call for help.
struct Call {
    /// Valid while the door is open or somebody is inside.
    help: *const (dyn Fn() + Sync + 'static),
    door: Mutex<Door>,
    left: Condvar,
}

// SAFETY: what `help` points to is `Sync`, and is only used while it is valid.
unsafe impl Send for Call {}
// SAFETY: as above.
unsafe impl Sync for Call {}

#[derive(Default)]
struct Door {
    open: bool,
    inside: usize,
    panic: Option<Box<dyn Any + Send>>,
}

impl Call {
    fn door(&self) -> MutexGuard<'_, Door> {
        self.door.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Helps, if it is not too late.
    fn answer(&self) {
        {
            let mut door = self.door();
            if !door.open {
                return;
            }
            door.inside += 1;
        }
        // SAFETY: the door was open and this thread is inside, so the caller waits for it.
        let result = catch_unwind(AssertUnwindSafe(|| unsafe { (*self.help)() }));
        let mut door = self.door();
        door.inside -= 1;
        if let Err(panic) = result {
            door.panic.get_or_insert(panic);
        }
        if door.inside == 0 {
            self.left.notify_all();
        }
    }
}

/// Closes the door and waits until all have left, also if the caller panics.
struct Closing<'a>(&'a Call);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        let mut door = self.0.door();
        door.open = false;
        while door.inside > 0 {
            door = self.0.left.wait(door).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn nobody_waits_for_a_thread_that_does_not_come() {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        let (came, free) = (AtomicUsize::new(0), Arc::new(AtomicBool::new(false)));
        // The pool's only thread is busy, as on a machine that does other things.
        let busy = free.clone();
        pool.spawn(move || {
            while !busy.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
        });
        let help = || {
            came.fetch_add(1, Ordering::SeqCst);
        };
        let start = Instant::now();
        let call = Arc::new(Call {
            // SAFETY: as in `with_help`.
            help: unsafe { std::mem::transmute::<*const (dyn Fn() + Sync), *const (dyn Fn() + Sync)>(&help) },
            door: Mutex::new(Door { open: true, ..Door::default() }),
            left: Condvar::new(),
        });
        let late = call.clone();
        pool.spawn(move || late.answer());
        drop(Closing(&call));
        free.store(true, Ordering::SeqCst);
        assert!(start.elapsed() < Duration::from_secs(5));
        pool.install(|| ());
        drop(pool);
        assert_eq!(came.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn helpers_who_are_at_work_are_waited_for_and_their_panics_arrive() {
        let (begun, ended) = (AtomicBool::new(false), AtomicBool::new(false));
        let help = || {
            begun.store(true, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(20));
            ended.store(true, Ordering::SeqCst);
        };
        with_help(1, &help, || {
            while !begun.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
        });
        assert!(ended.load(Ordering::SeqCst));
        let begun = AtomicBool::new(false);
        let fails = || {
            begun.store(true, Ordering::SeqCst);
            panic!("on purpose")
        };
        let caught = catch_unwind(AssertUnwindSafe(|| {
            with_help(1, &fails, || {
                while !begun.load(Ordering::SeqCst) {
                    std::thread::yield_now();
                }
            });
        }));
        assert!(caught.is_err());
    }
}
