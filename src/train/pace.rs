//! When checkpoints are taken, and how long members train.

use std::time::{Duration, Instant};

/// Timing of checkpoints and retries.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Shortest time between stored checkpoints within an epoch; the end of every epoch is stored if that costs little
    /// (see `share`).
    pub store_every: Duration,
    /// Shortest time between checkpoints read back to the host within an epoch, which limit what a fault loses.
    pub read_every: Duration,
    /// Shortest time between the checkpoints at the ends of epochs, read back and stored.
    pub epoch_every: Duration,
    /// Largest share of the time that checkpoints may take.
    pub share: f64,
    /// Wait before a retry, times the number of the try.
    pub backoff: Duration,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            store_every: Duration::from_secs(30),
            read_every: Duration::from_secs(3),
            epoch_every: Duration::ZERO,
            share: 0.1,
            backoff: Duration::from_millis(500),
        }
    }
}

/// When a task was last done, and how long it took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cost {
    at: Instant,
    pub(super) took: Duration,
}

impl Cost {
    pub(crate) fn now() -> Cost {
        Cost { at: Instant::now(), took: Duration::ZERO }
    }
    /// Whether the task is due: at least `every` after the last one, and below `share` of the time.
    pub(crate) fn is_due(&self, every: Duration, share: f64) -> bool {
        self.at.elapsed() >= every.max(self.took.mul_f64(1.0 / share - 1.0))
    }
    pub(super) fn measure<T>(&mut self, what: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = what();
        *self = Cost::since(start);
        result
    }
    /// Cost of a task that began at `start` and ends now.
    pub(crate) fn since(start: Instant) -> Cost {
        Cost { at: Instant::now(), took: start.elapsed() }
    }
}

/// Training time of a member.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    /// Seconds before the member entered this slot.
    before: f64,
    started: Instant,
}

impl Clock {
    /// Starts at `now`, with `before` seconds already spent.
    pub(super) fn after(before: f64, now: Instant) -> Clock {
        Clock { before, started: now }
    }
    /// Seconds until `now`. Clocks that start together stay equal, so that the members of an ensemble end together.
    pub(super) fn wall_s(&self, now: Instant) -> f64 {
        self.before + now.duration_since(self.started).as_secs_f64()
    }
}
