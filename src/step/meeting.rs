//! Where the threads of a team wait for each other.
//!
//! An operation takes microseconds, so a thread that waits looks again and again for a while. After that the thread it
//! waits for is probably one that the system has put aside, and the waiting thread sleeps: on a busy machine a thread
//! that spins takes the very core that the other one needs.

use std::hint::spin_loop;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Looks before the clock is read: most threads arrive within these.
const LOOKS: usize = 64;
/// How long a thread looks before it sleeps: a few times what waking it costs.
const PATIENCE: Duration = Duration::from_micros(50);

/// The round of a meeting that a thread will never come to again.
const BROKEN: usize = usize::MAX;

/// A number that one thread changes and others wait for.
#[derive(Debug, Default)]
pub struct Bell {
    value: AtomicUsize,
    asleep: AtomicUsize,
    lock: Mutex<()>,
    rung: Condvar,
}

impl Bell {
    /// The number.
    #[inline(always)]
    pub fn value(&self) -> usize {
        self.value.load(Ordering::Acquire)
    }

    /// Changes the number and wakes all who wait.
    #[inline(always)]
    pub fn ring(&self, value: usize) {
        // In one order with `asleep`: either this thread sees who sleeps, or they see the new value.
        self.value.store(value, Ordering::SeqCst);
        self.wake();
    }

    /// Changes the number from `old` to `new`, if it is still `old`, and wakes all who wait.
    #[inline(always)]
    fn change(&self, old: usize, new: usize) {
        if self.value.compare_exchange(old, new, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            self.wake();
        }
    }

    #[inline(always)]
    fn wake(&self) {
        if self.asleep.load(Ordering::SeqCst) > 0 {
            drop(self.lock.lock().unwrap_or_else(PoisonError::into_inner));
            self.rung.notify_all();
        }
    }

    /// Waits until the number differs from `old`. Returns how long that took, zero if it was a moment.
    #[inline(always)]
    pub fn wait(&self, old: usize) -> Duration {
        for _ in 0..LOOKS {
            if self.value() != old {
                return Duration::ZERO;
            }
            spin_loop();
        }
        self.wait_long(old)
    }

    #[cold]
    fn wait_long(&self, old: usize) -> Duration {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            for _ in 0..LOOKS {
                if self.value() != old {
                    return start.elapsed();
                }
                spin_loop();
            }
        }
        let mut guard = self.lock.lock().unwrap_or_else(PoisonError::into_inner);
        self.asleep.fetch_add(1, Ordering::SeqCst);
        while self.value.load(Ordering::SeqCst) == old {
            guard = self.rung.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
        self.asleep.fetch_sub(1, Ordering::SeqCst);
        start.elapsed()
    }
}

/// A barrier for the threads of a team.
#[derive(Debug)]
pub struct Meeting {
    of: usize,
    come: AtomicUsize,
    /// Number of meetings so far, or [`BROKEN`].
    round: Bell,
    /// Nanoseconds that the first thread has waited, short waits not counted.
    waited: AtomicU64,
}

impl Meeting {
    /// A barrier for `of` threads.
    pub fn new(of: usize) -> Meeting {
        Meeting { of, come: AtomicUsize::new(0), round: Bell::default(), waited: AtomicU64::new(0) }
    }

    /// Number of threads.
    pub fn of(&self) -> usize {
        self.of
    }

    /// Waits, as thread `rank`, until all threads have arrived.
    ///
    /// # Panics
    /// If another thread of the team has panicked.
    #[inline(always)]
    pub fn wait(&self, rank: usize) {
        if self.of == 1 {
            return;
        }
        let round = self.round.value();
        if self.come.fetch_add(1, Ordering::AcqRel) + 1 == self.of {
            self.come.store(0, Ordering::Relaxed);
            self.round.change(round, round + 1);
            return;
        }
        let waited = if round == BROKEN { Duration::ZERO } else { self.round.wait(round) };
        if rank == 0 && !waited.is_zero() {
            self.waited.fetch_add(waited.as_nanos() as u64, Ordering::Relaxed);
        }
        assert!(self.round.value() != BROKEN, "another thread of the team has panicked");
    }

    /// How long the first thread has waited for the others, short waits not counted.
    pub fn waited(&self) -> Duration {
        Duration::from_nanos(self.waited.load(Ordering::Relaxed))
    }

    /// A guard that makes the other threads panic if this one does.
    pub fn attend(&self) -> impl Drop + '_ {
        struct Attendance<'a>(&'a Meeting);
        impl Drop for Attendance<'_> {
            fn drop(&mut self) {
                if std::thread::panicking() {
                    self.0.round.ring(BROKEN);
                }
            }
        }
        Attendance(self)
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::thread;

    use super::*;

    /// With more threads than any machine here has cores, so that some always sleep.
    #[test]
    fn no_thread_leaves_before_all_arrive() {
        for of in [3, 64] {
            let (meeting, count) = (Meeting::new(of), AtomicUsize::new(0));
            let (meeting, count) = (&meeting, &count);
            let rounds = 6000 / of;
            thread::scope(|scope| {
                for rank in 0..of {
                    scope.spawn(move || {
                        for round in 1..rounds {
                            count.fetch_add(1, Ordering::Relaxed);
                            meeting.wait(rank);
                            assert_eq!(count.load(Ordering::Relaxed), of * round);
                            meeting.wait(rank);
                        }
                    });
                }
            });
        }
    }

    #[test]
    fn who_sleeps_is_woken_and_the_wait_is_measured() {
        let (meeting, is_there) = (Meeting::new(2), Bell::default());
        let late = Duration::from_millis(20);
        thread::scope(|scope| {
            scope.spawn(|| {
                is_there.wait(0);
                thread::sleep(late);
                meeting.wait(1);
            });
            is_there.ring(1);
            meeting.wait(0);
        });
        assert!(meeting.waited() >= late / 2, "{:?}", meeting.waited());
    }

    #[test]
    fn waiting_for_a_panicked_thread_panics() {
        let meeting = Meeting::new(2);
        thread::scope(|scope| {
            let other = scope.spawn(|| {
                let _attendance = meeting.attend();
                let fails = || panic!("on purpose");
                fails()
            });
            let waited = catch_unwind(AssertUnwindSafe(|| meeting.wait(0)));
            assert!(waited.is_err() && other.join().is_err());
        });
    }
}
