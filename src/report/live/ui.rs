//! The keys, and the state that they change.

use std::time::{Duration, Instant};

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

use super::board::Board;
use super::event::Request;
use super::member::Key;

/// How long an answer to a key is shown.
const ANSWER: Duration = Duration::from_secs(4);

/// Which table is shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum List {
    #[default]
    Running,
    Best,
}

/// An action of a key beyond the view itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Press {
    Ask(Request),
    /// End the process at once.
    ExitNow,
    Repaint,
}

/// The selection, and the parts shown.
#[derive(Clone, Debug, Default)]
pub struct Ui {
    pub list: List,
    pub help: bool,
    /// First visible row, and number of visible rows, as last drawn.
    pub first: usize,
    pub page: usize,
    /// Lane and slot; none before the first selection.
    selected: Option<(usize, u32)>,
    best: usize,
    /// The training in the selected slot when it was last drawn: the one that the user means.
    seen: Option<Key>,
    answer: Option<(String, Instant)>,
}

impl Ui {
    /// Row, lane and slot of the selected member; if its slot is empty, of the next one in use, else of the last.
    pub fn find(&self, board: &Board) -> Option<(usize, (usize, u32))> {
        let mut last = None;
        for (row, (place, _)) in board.members().enumerate() {
            last = Some((row, place));
            if self.selected.is_none_or(|selected| selected <= place) {
                break;
            }
        }
        last
    }

    /// [`Ui::find`] for drawing; also records the training there.
    pub fn resolve(&mut self, board: &Board) -> Option<(usize, (usize, u32))> {
        let found = self.find(board);
        self.seen = found.and_then(|(_, place)| board.member(place)).map(|member| member.key);
        found
    }

    /// The selected row of `rows` best trainings.
    pub fn best_row(&self, rows: usize) -> Option<usize> {
        (rows > 0).then(|| self.best.min(rows - 1))
    }

    /// The answer to the latest key, for a while.
    pub fn answer(&self, now: Instant) -> Option<&str> {
        let (text, at) = self.answer.as_ref()?;
        (now.saturating_duration_since(*at) < ANSWER).then_some(text)
    }

    /// Handles a key; a request is also recorded on the board.
    pub fn press(&mut self, key: KeyEvent, board: &mut Board, now: Instant) -> Option<Press> {
        if key.kind == KeyEventKind::Release {
            return None;
        }
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return match key.code {
                KeyCode::Char('c') if board.asked() == Some(Request::Interrupt) => Some(Press::ExitNow),
                KeyCode::Char('c') => Some(self.ask(Request::Interrupt, board)),
                KeyCode::Char('l') => Some(Press::Repaint),
                _ => None,
            };
        }
        if self.help {
            self.help = false;
            if matches!(key.code, KeyCode::Esc | KeyCode::Enter | KeyCode::Char('?' | 'h' | 'q')) {
                return None;
            }
        }
        let page = self.page.max(1) as isize;
        match key.code {
            KeyCode::Up | KeyCode::Char('k') => self.step(-1, board),
            KeyCode::Down | KeyCode::Char('j') => self.step(1, board),
            KeyCode::PageUp => self.step(-page, board),
            KeyCode::PageDown | KeyCode::Char(' ') => self.step(page, board),
            KeyCode::Home | KeyCode::Char('g') => self.step(isize::MIN, board),
            KeyCode::End | KeyCode::Char('G') => self.step(isize::MAX, board),
            KeyCode::Tab | KeyCode::BackTab => {
                self.list = if self.list == List::Running { List::Best } else { List::Running };
                self.first = 0;
            }
            KeyCode::Char('?' | 'h') => self.help = true,
            KeyCode::Char('x') => return self.stop(board, now),
            KeyCode::Char('f') => match board.asked() {
                None => return Some(self.ask(Request::FinishEarly, board)),
                Some(_) => self.say("the sweep is already ending".into(), now),
            },
            KeyCode::Char('q') => match board.asked() {
                Some(Request::Interrupt) => self.say("a checkpoint is being written".into(), now),
                _ => return Some(self.ask(Request::Interrupt, board)),
            },
            _ => {}
        }
        None
    }

    fn ask(&mut self, request: Request, board: &mut Board) -> Press {
        board.ask(request);
        Press::Ask(request)
    }

    fn stop(&mut self, board: &mut Board, now: Instant) -> Option<Press> {
        if self.list == List::Best {
            self.say("x stops a running training: press Tab to select one".into(), now);
            return None;
        }
        let Key { trial, seed, .. } = self.seen?;
        let place = self.find(board).and_then(|(_, place)| board.member(place));
        let Some(member) = place.filter(|member| Some(member.key) == self.seen) else {
            self.say(format!("trial {trial} seed {seed} has left its slot"), now);
            return None;
        };
        if member.stopping {
            self.say(format!("trial {trial} seed {seed} is already stopping"), now);
            return None;
        }
        self.say(format!("stopping trial {trial} seed {seed}"), now);
        Some(self.ask(Request::StopTrial { trial, seed }, board))
    }

    fn say(&mut self, text: String, now: Instant) {
        self.answer = Some((text, now));
    }

    fn step(&mut self, by: isize, board: &Board) {
        match self.list {
            List::Best => {
                let rows = board.ranking().len();
                let at = self.best_row(rows).unwrap_or(0);
                self.best = at.saturating_add_signed(by).min(rows.saturating_sub(1));
            }
            List::Running => {
                let places: Vec<(usize, u32)> = board.members().map(|(place, _)| place).collect();
                let Some((row, _)) = self.find(board) else { return };
                let to = row.saturating_add_signed(by).min(places.len() - 1);
                self.selected = Some(places[to]);
            }
        }
    }
}
