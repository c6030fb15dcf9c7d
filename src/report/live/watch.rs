//! The thread that shows a sweep, and the handle through which lanes report events.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::board::{Aim, Board};
use super::event::{Request, SweepEvent};
use super::lines::{self, Lines};
use super::screen;
use super::terminal::{Screen, give_back};
use super::theme::Theme;
use super::ui::{Press, Ui};

/// Time of a frame.
const FRAME: Duration = Duration::from_millis(100);
/// The end of the sweep is noticed within this time.
const SLICE: Duration = Duration::from_millis(25);

/// How a sweep is shown.
#[derive(Clone, Copy, Debug)]
pub struct LiveOptions {
    pub aim: Aim,
    /// Whether stderr is a terminal for the view; false if log lines also go there.
    pub is_terminal: bool,
    /// Show nothing.
    pub quiet: bool,
    /// Exit code if a second Ctrl-C ends the process at once.
    pub at_once: u8,
}

/// Shows a running sweep on stderr: a full-screen view if possible, else lines.
///
/// The view needs a terminal that can draw it: it is off with `TERM=dumb`, in a CI job (`CI`) and in the background.
/// `NO_COLOR` turns its colours off. While the view is shown, Ctrl-C is a key: it arrives as [`Request::Interrupt`],
/// not as a signal.
pub struct Live {
    shared: Option<Arc<LiveState>>,
    thread: Option<JoinHandle<()>>,
}

/// Reports events to a [`Live`]. A report only updates the board and never waits for the terminal.
#[derive(Clone)]
pub struct Handle(Option<Arc<LiveState>>);

struct LiveState {
    board: Mutex<Board>,
    over: AtomicBool,
}

impl LiveState {
    fn board(&self) -> MutexGuard<'_, Board> {
        // A half-applied event does no harm.
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::Acquire)
    }
}

/// The view that has the screen, to show messages from elsewhere.
static ON_SCREEN: Mutex<Weak<LiveState>> = Mutex::new(Weak::new());

impl Live {
    /// Starts to show a sweep; `wants` receives the requests of the user.
    pub fn start(options: LiveOptions, wants: Sender<Request>) -> Live {
        if options.quiet {
            return Live { shared: None, thread: None };
        }
        let board = Mutex::new(Board::new(options.aim, Instant::now()));
        let shared = Arc::new(LiveState { board, over: AtomicBool::new(false) });
        let variable = |name: &str| std::env::var(name).unwrap_or_default();
        let term = variable("TERM");
        let ci = !matches!(variable("CI").as_str(), "" | "0" | "false");
        let screen = (options.is_terminal && term != "dumb" && !ci).then(Screen::take);
        let screen = screen.and_then(|taken| {
            taken.inspect_err(|error| log::debug!("lines instead of the live view: {error}")).ok()
        });
        if screen.is_some() {
            *ON_SCREEN.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&shared);
        }
        // Windows Terminal has braille in its fonts, the old console has not.
        let braille = if cfg!(windows) { !variable("WT_SESSION").is_empty() } else { term != "linux" };
        let theme = Theme { colours: variable("NO_COLOR").is_empty(), braille };
        let theirs = shared.clone();
        let thread = thread::Builder::new().name("live".into()).spawn(move || {
            let mut lines = Lines::default();
            if let Some(screen) = screen {
                // A panic while drawing ends the view, and lines follow; the panic hook has printed it.
                let drawn = AssertUnwindSafe(|| view(&theirs, screen, &wants, theme, options.at_once));
                let whole = catch_unwind(drawn).unwrap_or(false);
                let said = lines.messages(&theirs.board());
                lines::write(&mut io::stderr(), &said);
                if whole {
                    return;
                }
            }
            tell_in_lines(&theirs, lines);
        });
        if thread.is_err() {
            give_back();
        }
        Live { shared: Some(shared), thread: thread.ok() }
    }

    /// A handle to report events.
    pub fn handle(&self) -> Handle {
        Handle(self.shared.clone())
    }

    /// Restores the terminal, then prints the messages of the view again as lines.
    pub fn finish(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if let Some(shared) = &self.shared {
            shared.over.store(true, Ordering::Release);
        }
        if let Some(thread) = self.thread.take() {
            // A panic of the thread was printed already.
            let _ = thread.join();
        }
    }
}

impl Drop for Live {
    /// Removes the view when an error ends the sweep.
    fn drop(&mut self) {
        self.end();
    }
}

impl Handle {
    /// Reports an event.
    pub fn tell(&self, event: SweepEvent) {
        if let Some(shared) = &self.0 {
            shared.board().apply(&event, Instant::now());
        }
    }
}

/// Shows `text` in the view that has the screen. Returns false if there is none: stderr is free.
pub fn say_on_screen(text: &str) -> bool {
    let shared = ON_SCREEN.lock().unwrap_or_else(PoisonError::into_inner).upgrade();
    let Some(shared) = shared.filter(|shared| !shared.is_over()) else { return false };
    shared.board().apply(&SweepEvent::Message(text.trim_end().to_owned()), Instant::now());
    true
}

/// Draws until the sweep is over. Returns false if the terminal was lost before.
fn view(shared: &LiveState, mut screen: Screen, wants: &Sender<Request>, theme: Theme, at_once: u8) -> bool {
    let mut ui = Ui::default();
    while !shared.is_over() {
        let next = Instant::now() + FRAME;
        let keys = screen.keys();
        // The board is unlocked before the frame is written.
        if !screen.draw(|frame| {
            let now = Instant::now();
            screen::draw(frame, &shared.board(), &mut ui, theme, keys, now);
        }) {
            break;
        }
        while !shared.is_over()
            && let left = next.saturating_duration_since(Instant::now())
            && !left.is_zero()
        {
            let Some(key) = screen.key(left.min(SLICE)) else { continue };
            let press = ui.press(key, &mut shared.board(), Instant::now());
            match press {
                // Sending fails only when the sweep is ending.
                Some(Press::Ask(request)) => drop(wants.send(request)),
                Some(Press::ExitNow) => {
                    give_back();
                    std::process::exit(at_once.into());
                }
                Some(Press::Repaint) => screen.repaint(),
                None => {}
            }
        }
    }
    drop(screen);
    *ON_SCREEN.lock().unwrap_or_else(PoisonError::into_inner) = Weak::new();
    shared.is_over()
}

/// Prints lines until the sweep is over.
fn tell_in_lines(shared: &LiveState, mut lines: Lines) {
    let mut err = io::stderr();
    while !shared.is_over() {
        let due = lines.due(&shared.board(), Instant::now());
        lines::write(&mut err, &due);
        thread::sleep(SLICE);
    }
    let due = lines.finish(&shared.board(), Instant::now());
    lines::write(&mut err, &due);
}
