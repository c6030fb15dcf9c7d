//! Output without a terminal: a progress line from time to time, and one line for each new best.

use std::io::Write;
use std::time::{Duration, Instant};

use super::board::{Best, Board};
use super::member::{Key, Standing};
use super::words;
use crate::base::text::{count, printable, rate};

/// Limits of the time between progress lines, which grows with the sweep to keep the log short.
const SHORTEST: Duration = Duration::from_secs(2);
const LONGEST: Duration = Duration::from_secs(60);

/// What has been printed so far.
#[derive(Debug, Default)]
pub struct Lines {
    /// Number of messages printed.
    messages: u64,
    best: Option<Key>,
    /// When a progress line was last due, and its text.
    last: Option<(Instant, String)>,
}

impl Lines {
    /// The lines due at `now`.
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
                // Before the first training there is no progress.
                if line != *said && board.share() + board.counts().running as f64 > 0.0 {
                    lines.push(line.clone());
                }
                self.last = Some((now, line));
            }
            Some(_) => {}
        }
        lines
    }

    /// The messages not printed yet.
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

    /// The remaining lines at the end.
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

/// Writes each line in one call, so that lines of several processes do not mix. Failed writes are ignored.
pub fn write(out: &mut dyn Write, lines: &[String]) {
    for line in lines {
        let _ = out.write_all(format!("{}\n", printable(line)).as_bytes());
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
