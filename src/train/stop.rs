//! Ctrl-C and SIGTERM.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Whether somebody asked the training to stop.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicUsize>);

impl Stop {
    /// Asked for by the first SIGINT, SIGTERM or SIGHUP (Ctrl-C, Ctrl-Break or the closing of the console on
    /// Windows); the second ends the process at once, with exit code `at_once`.
    ///
    /// To be called once in a process; where it cannot be set up, a warning says so and signals end the process.
    pub fn on_signals(at_once: u8) -> Stop {
        Stop::on_signals_after(at_once, || {})
    }

    /// The same; `leave` is called before the second signal ends the process (a terminal is given back, for one).
    pub fn on_signals_after(at_once: u8, leave: fn()) -> Stop {
        let stop = Stop::default();
        let count = stop.0.clone();
        let handler = move || {
            if count.fetch_add(1, Ordering::SeqCst) > 0 {
                leave();
                std::process::exit(at_once.into());
            }
        };
        if let Err(error) = ctrlc::set_handler(handler) {
            log::warn!("Ctrl-C will end the program without a checkpoint: {error}");
        }
        stop
    }

    /// Asks to stop.
    pub fn ask(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    /// Whether it was asked for.
    pub fn asked(&self) -> bool {
        self.0.load(Ordering::SeqCst) > 0
    }
}
