//! Takes the terminal for the view, and restores it however the view ends.

use std::fs;
use std::io::{self, BufWriter, Stderr};
use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, Once, PoisonError, TryLockError};
use std::thread;
use std::time::Duration;

use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::event::{self, Event, KeyEvent};
use ratatui::crossterm::{cursor, execute, terminal};
use ratatui::layout::Rect;
use ratatui::{Frame, Terminal};

/// Whether a view has the terminal.
static TAKEN: AtomicBool = AtomicBool::new(false);
/// Held while the terminal is drawn on.
static DRAWING: Mutex<()> = Mutex::new(());

/// The terminal behind stderr while the view has it: alternate screen, no cursor, keys read one by one.
pub struct Screen {
    terminal: Terminal<CrosstermBackend<BufWriter<Stderr>>>,
    keys: bool,
}

impl Screen {
    /// Takes the terminal. If keys cannot be read, it stays in line mode, where Ctrl-C is a signal.
    ///
    /// # Errors
    /// If the terminal cannot be taken; it is unchanged then.
    pub fn take() -> io::Result<Screen> {
        give_back_at_panic();
        if !in_foreground() {
            return Err(io::Error::other("in the background"));
        }
        terminal::size()?;
        if TAKEN.load(Ordering::SeqCst) {
            return Err(io::Error::other("another view has the terminal"));
        }
        terminal::enable_raw_mode()?;
        TAKEN.store(true, Ordering::SeqCst);
        let keys = event::poll(Duration::ZERO).is_ok();
        let shown = (|| {
            if !keys {
                terminal::disable_raw_mode()?;
            }
            execute!(io::stderr(), terminal::EnterAlternateScreen, cursor::Hide)?;
            Terminal::new(CrosstermBackend::new(BufWriter::with_capacity(1 << 16, io::stderr())))
        })();
        match shown {
            Ok(terminal) => Ok(Screen { terminal, keys }),
            Err(error) => {
                give_back();
                Err(error)
            }
        }
    }

    /// Whether keys are read.
    pub fn keys(&self) -> bool {
        self.keys
    }

    /// Draws a frame. Returns false if the terminal was given back meanwhile or cannot be written to.
    pub fn draw(&mut self, content: impl FnOnce(&mut Frame)) -> bool {
        let _drawing = DRAWING.lock().unwrap_or_else(PoisonError::into_inner);
        TAKEN.load(Ordering::SeqCst) && self.terminal.draw(content).is_ok()
    }

    /// Discards the drawn frame, so that the next one is drawn in full.
    pub fn repaint(&mut self) {
        // `clear` would query the cursor position on stdout.
        if let Ok(size) = self.terminal.size() {
            let _ = self.terminal.resize(Rect::from((ratatui::layout::Position::ORIGIN, size)));
        }
    }

    /// The next key, if there is one within `wait`.
    pub fn key(&mut self, wait: Duration) -> Option<KeyEvent> {
        if !self.keys {
            thread::sleep(wait);
            return None;
        }
        match event::poll(wait).and_then(|there| if there { event::read().map(Some) } else { Ok(None) }) {
            Ok(Some(Event::Key(key))) => Some(key),
            Ok(_) => None,
            Err(error) => {
                log::debug!("no more keys: {error}");
                self.keys = false;
                let _ = terminal::disable_raw_mode();
                None
            }
        }
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        give_back();
    }
}

/// Restores the terminal if a view has it. Call it before the process ends in any way but [`super::Live::finish`].
pub fn give_back() {
    if !TAKEN.swap(false, Ordering::SeqCst) {
        return;
    }
    // The panicking or exiting thread may itself be drawing, or another may draw for long: the wait is bounded.
    for _ in 0..20 {
        match DRAWING.try_lock() {
            Err(TryLockError::WouldBlock) => thread::sleep(Duration::from_millis(5)),
            _ => break,
        }
    }
    // There is nothing to do about a failed write.
    let _ = execute!(io::stderr(), terminal::LeaveAlternateScreen, cursor::Show);
    let _ = terminal::disable_raw_mode();
}

/// Restores the terminal before a panic is printed, so that the message is readable. Panics that are caught and
/// reported as errors leave the view alone.
fn give_back_at_panic() {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !crate::base::panics::quiet() {
                give_back();
            }
            before(info);
        }));
    });
}

/// Whether the process may change the terminal: a background process would be stopped for it. True if this cannot be
/// determined.
fn in_foreground() -> bool {
    let groups = |stat: &str| {
        // pid (name) state ppid pgrp session tty_nr tpgid: see proc(5); a name may hold spaces and brackets.
        let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(2);
        let group: i64 = fields.next()?.parse().ok()?;
        let foreground: i64 = fields.nth(2)?.parse().ok()?;
        Some((group, foreground))
    };
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    groups(&stat).is_none_or(|(group, foreground)| foreground < 0 || group == foreground)
}
