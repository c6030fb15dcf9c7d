//! Ctrl-C and SIGTERM.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A shared flag that requests a stop.
///
/// ```
/// let stop = bngpu::train::Stop::default();
/// let same = stop.clone();
/// same.ask();
/// assert!(stop.asked());
/// ```
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<AtomicUsize>);

impl Stop {
    /// A flag set by the first SIGINT, SIGTERM or SIGHUP (Ctrl-C, Ctrl-Break or closing the console on Windows). The
    /// second ends the process at once, with exit code `at_once`.
    ///
    /// Call it once per process. If the handler cannot be installed, a warning says so, and signals end the process.
    #[cfg(feature = "cli")]
    pub fn on_signals(at_once: u8) -> Stop {
        Stop::on_signals_after(at_once, || {})
    }

    /// As [`Stop::on_signals`], but `leave` runs before the second signal ends the process (to restore the terminal,
    /// for example).
    #[cfg(feature = "cli")]
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
        #[cfg(windows)]
        closing::delay_for(&stop);
        stop
    }

    /// Requests a stop.
    pub fn ask(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }

    /// Whether a stop was requested.
    pub fn asked(&self) -> bool {
        self.0.load(Ordering::SeqCst) > 0
    }
}

/// Windows ends a process as soon as its handler for closing the console returns, and after 5 s in any case. ctrlc's
/// handler returns at once, so this one waits in front of it until the process ends by itself, after its checkpoint.
#[cfg(all(windows, feature = "cli"))]
mod closing {
    use std::sync::OnceLock;
    use std::thread;

    use super::Stop;

    #[link(name = "kernel32")]
    unsafe extern "system" {
        fn SetConsoleCtrlHandler(handler: Option<unsafe extern "system" fn(u32) -> i32>, add: i32) -> i32;
    }

    static STOP: OnceLock<Stop> = OnceLock::new();

    /// `CTRL_CLOSE_EVENT`, `CTRL_LOGOFF_EVENT`, `CTRL_SHUTDOWN_EVENT`.
    const LAST_WARNINGS: [u32; 3] = [2, 5, 6];

    unsafe extern "system" fn handle(event: u32) -> i32 {
        match STOP.get() {
            Some(stop) if LAST_WARNINGS.contains(&event) => {
                stop.ask();
                loop {
                    thread::park();
                }
            }
            // Ctrl-C and Ctrl-Break go on to ctrlc's handler.
            _ => 0,
        }
    }

    pub(super) fn delay_for(stop: &Stop) {
        // SAFETY: the handler has the signature that Windows calls, on a thread of its own.
        if STOP.set(stop.clone()).is_ok() && unsafe { SetConsoleCtrlHandler(Some(handle), 1) } == 0 {
            log::warn!("closing the console will end the program without a checkpoint");
        }
    }

    #[cfg(test)]
    mod tests {
        use std::time::Duration;

        use super::*;

        #[test]
        fn closing_the_console_requests_a_stop_and_waits_for_the_process() {
            let stop = STOP.get_or_init(Stop::default).clone();
            // SAFETY: the handler may be called with any event.
            assert_eq!(unsafe { handle(0) }, 0);
            assert!(!stop.asked());
            // SAFETY: as above.
            let handler = thread::spawn(|| unsafe { handle(2) });
            while !stop.asked() {
                thread::yield_now();
            }
            thread::sleep(Duration::from_millis(100));
            assert!(!handler.is_finished());
        }
    }
}
