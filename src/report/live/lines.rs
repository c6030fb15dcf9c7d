//! What is told where there is no terminal: a line now and then, and one for each new best.

use std::io::Write;
use std::time::{Duration, Instant};

use super::board::{Best, Board};
use super::member::{Key, Standing};
use super::words;
use crate::base::text::{count, rate};

/// Lines of progress are at least this far apart; further in a long sweep, whose log would be long otherwise.
const SHORTEST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(60);

/// Remembers what has been told.
#[derive(Debug, Default)]
pub struct Lines {
    /// Messages that were told.
    messages: u64,
    best: Option<Key>,
    /// When a line of progress was due last, and what it said.
    last: Option<(Instant, String)>,
}

impl Lines {
    /// What is to be told at `now`.
    pub fn due(&mut self, board: &Board, now: Instant) -> Vec<String> {
        let mut lines = self.messages(board);
        let best = board.leaders().find(|best| matches!(best.standing, Standing::Ended(_)));
        if let Some(best) = best.filter(|best| self.best != Some(best.key)) {
            self.best = Some(best.key);
            lines.push(best_line(board, &best));
        }
        let interval = (board.elapsed(now) / 30).clamp(SHORTEST, LONGEST);
        match &self.last {
            None => self.last = Some((now, String::new())),
            Some((last, said)) if now.saturating_duration_since(*last) >= interval => {
                let line = progress(board, now);
                // Before the first training there is nothing to be told.
                if line != *said && board.share() + board.counts().running as f64 > 0.0 {
                    lines.push(line.clone());
                }
                self.last = Some((now, line));
            }
            Some(_) => {}
        }
        lines
    }

    /// Messages that were not told yet.
    pub fn messages(&mut self, board: &Board) -> Vec<String> {
        let (told, kept) = board.messages();
        let new = told - self.messages;
        self.messages = told;
        let there = new.min(kept.len() as u64);
        let mut lines = Vec::new();
        if there < new {
            lines.push(format!("({} earlier messages are left out)", count(new - there)));
        }
        lines.extend(kept.iter().skip(kept.len() - there as usize).cloned());
        lines
    }

    /// What is still owed at the end.
    pub fn finish(&mut self, board: &Board, now: Instant) -> Vec<String> {
        let mut lines = self.due(board, now);
        let line = progress(board, now);
        let said = self.last.as_ref().is_some_and(|(_, said)| *said == line);
        if !said && board.counts().ended() > 0 {
            lines.push(line);
        }
        lines
    }
}

/// Writes each line at once, so that lines of several processes do not mix; nobody reading is no error.
pub fn write(out: &mut dyn Write, lines: &[String]) {
    for line in lines {
        let _ = out.write_all(format!("{line}\n").as_bytes());
    }
}

/// "best   trial 12 seed 0  val loss 0.0812  acc 97.51%  lr 0.00123  hidden 100x3"
fn best_line(board: &Board, best: &Best) -> String {
    let (name, value) = (words::name(best.key), words::reached(board.aim, &best.reached));
    format!("best   {name}  {value}  {}", words::params(best.params)).trim_end().to_owned()
}

/// "sweep  12 of 64 trained  48 running  1 diverged  1.20M samples/s  0.3 models/s  3m 12s left"
fn progress(board: &Board, now: Instant) -> String {
    let counts = board.counts();
    let mut line = format!("sweep  {} of {} trained", count(counts.ended()), count(board.trainings));
    let states = [
        ("running", counts.running),
        ("stopped", counts.stopped),
        ("diverged", counts.diverged),
        ("failed", counts.failed),
    ];
    for (name, n) in states.into_iter().filter(|&(_, n)| n > 0) {
        line += &format!("  {} {name}", count(n));
    }
    if counts.running > 0 {
        line += &format!("  {} samples/s", rate(board.samples_per_s()));
    }
    if board.models_per_s(now).is_some() {
        line += &format!("  {}", words::models(board.models_per_s(now)));
    }
    if let Some(left) = words::left(board, now).filter(|_| counts.running > 0) {
        line += &format!("  {left}");
    }
    line
}
