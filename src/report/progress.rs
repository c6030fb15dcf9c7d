//! Progress of a training on stderr: a bar in a terminal, with a line for some epochs above it; plain lines elsewhere.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

use crate::base::geomspace;
use crate::base::text::{count, duration, number, printable, rate};
use crate::run::{EpochMetrics, Score};

/// Most epochs that leave a line above the bar.
const MOST_LINES: u64 = 20;
/// Minimum time between two epoch lines.
const BETWEEN_EPOCHS: Duration = Duration::from_secs(1);
/// Columns left free to the right of the bar.
const MARGIN: usize = 4;
/// Minimum width of the bar itself, in columns.
const SHORTEST_BAR: usize = 6;
/// Minimum time between step lines within a long epoch.
const BETWEEN_STEPS: Duration = Duration::from_secs(10);

/// Shows the progress of a training. Failed writes to stderr (a closed pipe) are ignored.
pub struct Progress {
    epochs: u64,
    total_steps: u64,
    /// The last complete epoch.
    latest: Option<EpochMetrics>,
    view: View,
}

enum View {
    Hidden,
    Bar {
        bar: ProgressBar,
        width: fn() -> usize,
        /// Epochs that leave a line above the bar.
        milestones: Vec<u64>,
        /// The latest epoch's line, if it left none.
        owed: Option<String>,
    },
    Lines(Lines),
}

impl Progress {
    /// Progress of `total_steps` steps in `epochs` epochs. `is_terminal`: whether stderr is a terminal; `quiet`: show
    /// nothing; `width`: the terminal's columns.
    ///
    /// The bar needs a terminal that can draw it: it is off with `TERM=dumb` and in a CI job (`CI`). `NO_COLOR` turns
    /// its colours off.
    pub fn new(
        total_steps: u64,
        epochs: u64,
        is_terminal: bool,
        quiet: bool,
        width: fn() -> usize,
    ) -> Progress {
        let variable = |name: &str| std::env::var(name).unwrap_or_default();
        let dumb = variable("TERM") == "dumb" || !takes_escapes();
        let ci = !matches!(variable("CI").as_str(), "" | "0" | "false");
        let view = if quiet {
            View::Hidden
        } else if is_terminal && !dumb && !ci {
            View::Bar {
                bar: bar(total_steps, variable("NO_COLOR").is_empty(), width),
                width,
                milestones: milestones(epochs),
                owed: None,
            }
        } else {
            View::Lines(Lines::new(Box::new(io::stderr())))
        };
        let progress = Progress { epochs, total_steps, latest: None, view };
        if let View::Bar { bar, .. } = &progress.view {
            bar.set_prefix(progress.epoch_text(1));
        }
        progress
    }

    /// Starts at `step` in a resumed training, so that the time left is right; `latest` is its last complete epoch.
    pub fn resume_at(&mut self, step: u64, latest: Option<&EpochMetrics>) {
        self.latest = latest.copied();
        match &mut self.view {
            View::Hidden => {}
            View::Bar { bar, .. } => {
                bar.set_position(step);
                bar.reset_eta();
            }
            View::Lines(lines) => lines.first_step = step,
        }
    }

    /// `step` steps are done; `loss` is the mean of the latest interval.
    pub fn step(&mut self, step: u64, loss: f64, samples_per_s: f64) {
        let epoch = self.epoch_text(self.latest.map_or(1, |latest| latest.epoch + 1));
        let (loss, speed) = (number(loss), rate(samples_per_s));
        match &mut self.view {
            View::Hidden => {}
            View::Bar { bar, width, .. } => {
                bar.set_position(step);
                let total = count(self.total_steps);
                let step = format!(" step {:>width$}", count(step), width = total.len());
                let val = self.latest.and_then(|latest| latest.val_score).map(short_score);
                let val = val.map_or(String::new(), |score| format!(" val {score}"));
                let left = time_left(bar.eta().as_secs_f64());
                let parts =
                    [(loss_text(&loss), 0), (val, 1), (format!(" {speed}/s"), 3), (format!(" {left}"), 2)];
                let (prefix, message) = fit(epoch, step, parts, width().saturating_sub(MARGIN));
                bar.set_prefix(prefix);
                bar.set_message(message);
            }
            View::Lines(lines) => {
                let now = Instant::now();
                let total = self.total_steps;
                let left = lines.left(step, total, now);
                let (step, total) = (count(step), count(total));
                let line = format!("{epoch}  step {step}/{total}  loss {loss}  {speed}/s{left}");
                lines.step(line, now);
            }
        }
    }

    /// An epoch is complete.
    pub fn epoch(&mut self, metrics: &EpochMetrics) {
        self.latest = Some(*metrics);
        let line = epoch_line(&self.epoch_text(metrics.epoch), metrics);
        match &mut self.view {
            View::Hidden => {}
            View::Bar { bar, milestones, owed, .. } => {
                match milestones.contains(&metrics.epoch) {
                    true => {
                        *owed = None;
                        bar.suspend(|| write_line(&mut io::stderr(), &line));
                    }
                    false => *owed = Some(line),
                }
                self.step(metrics.step, metrics.train_loss, metrics.samples_per_s);
            }
            View::Lines(lines) => lines.epoch(line, Instant::now()),
        }
    }

    /// Prints a message above the bar.
    pub fn message(&mut self, text: &str) {
        match &mut self.view {
            View::Hidden => {}
            View::Bar { bar, .. } => bar.suspend(|| write_line(&mut io::stderr(), text)),
            View::Lines(lines) => write_line(&mut lines.out, text),
        }
    }

    /// Removes the bar, and writes the last epoch's line if it is still pending.
    pub fn finish(&mut self) {
        match &mut self.view {
            View::Hidden => {}
            View::Bar { bar, owed, .. } => {
                bar.finish_and_clear();
                if let Some(line) = owed.take() {
                    write_line(&mut io::stderr(), &line);
                }
            }
            View::Lines(lines) => lines.finish(),
        }
    }

    /// "epoch  3/20"
    fn epoch_text(&self, epoch: u64) -> String {
        let epochs = count(self.epochs.max(1));
        let epoch = count(epoch.min(self.epochs.max(1)));
        format!("epoch {epoch:>width$}/{epochs}", width = epochs.len())
    }
}

impl Drop for Progress {
    /// Removes the bar when an error ends the training.
    fn drop(&mut self) {
        self.finish();
    }
}

/// Whether the terminal supports escape sequences. On Windows, the check also enables them.
fn takes_escapes() -> bool {
    #[cfg(windows)]
    return ratatui::crossterm::ansi_support::supports_ansi();
    #[cfg(not(windows))]
    true
}

fn loss_text(loss: &str) -> String {
    format!("loss {loss}")
}

/// The texts before and after the bar in a line of `width` columns. If the shortest bar does not fit, the step is left
/// out first, then the parts, the highest number first.
fn fit(epoch: String, step: String, parts: [(String, u8); 4], width: usize) -> (String, String) {
    let columns = |text: &str| text.chars().count();
    let mut parts: Vec<(String, u8)> = parts.into();
    let mut prefix = epoch.clone() + &step;
    let line = |prefix: &str, parts: &[(String, u8)]| {
        columns(prefix) + parts.iter().map(|(part, _)| columns(part)).sum::<usize>() + 2 + SHORTEST_BAR
    };
    if line(&prefix, &parts) > width {
        prefix = epoch;
    }
    while line(&prefix, &parts) > width && parts.len() > 1 {
        let least = parts.iter().map(|&(_, rank)| rank).max();
        parts.retain(|&(_, rank)| Some(rank) != least);
    }
    let room = width.saturating_sub(columns(&prefix) + 2);
    let message: String = parts.into_iter().map(|(part, _)| part).collect();
    (prefix, message.chars().take(room).collect())
}

/// Stderr, reported a few columns narrower than it is. A terminal that echoes Ctrl-C as `^C` then writes it in the
/// bar's line, which is cleared, and not in the next line.
#[derive(Debug)]
struct Narrow(fn() -> usize);

impl Narrow {
    fn put(&self, text: &str) -> io::Result<()> {
        io::stderr().write_all(text.as_bytes())
    }
    fn moved(&self, n: usize, to: char) -> io::Result<()> {
        if n == 0 { Ok(()) } else { self.put(&format!("\x1b[{n}{to}")) }
    }
}

impl TermLike for Narrow {
    fn width(&self) -> u16 {
        u16::try_from((self.0)().saturating_sub(MARGIN)).unwrap_or(u16::MAX)
    }
    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.moved(n, 'A')
    }
    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.moved(n, 'B')
    }
    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.moved(n, 'C')
    }
    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.moved(n, 'D')
    }
    fn write_line(&self, text: &str) -> io::Result<()> {
        self.put(&format!("{text}\n"))
    }
    fn write_str(&self, text: &str) -> io::Result<()> {
        self.put(text)
    }
    fn clear_line(&self) -> io::Result<()> {
        self.put("\r\x1b[2K")
    }
    fn flush(&self) -> io::Result<()> {
        io::stderr().flush()
    }
}

fn bar(total_steps: u64, colours: bool, width: fn() -> usize) -> ProgressBar {
    let template = if colours { "{prefix} {wide_bar:.cyan/dim} {msg}" } else { "{prefix} {wide_bar} {msg}" };
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::with_draw_target(
        Some(total_steps),
        ProgressDrawTarget::term_like_with_hz(Box::new(Narrow(width)), 20),
    );
    bar.with_style(style.progress_chars("━╸─")).with_message("starting")
}

/// Plain lines with their rate limits.
struct Lines {
    out: Box<dyn Write + Send>,
    started: Instant,
    first_step: u64,
    last_line: Option<Instant>,
    /// The latest epoch's line, held back by the rate limit.
    owed: Option<String>,
}

impl Lines {
    fn new(out: Box<dyn Write + Send>) -> Lines {
        Lines { out, started: Instant::now(), first_step: 0, last_line: None, owed: None }
    }

    fn epoch(&mut self, line: String, now: Instant) {
        if self.last_line.is_none_or(|last| now - last >= BETWEEN_EPOCHS) {
            self.write(&line, now);
        } else {
            self.owed = Some(line);
        }
    }

    fn step(&mut self, line: String, now: Instant) {
        if now - self.last_line.unwrap_or(self.started) >= BETWEEN_STEPS {
            self.write(&line, now);
        }
    }

    fn finish(&mut self) {
        if let Some(line) = self.owed.take() {
            self.write(&line, Instant::now());
        }
    }

    fn write(&mut self, line: &str, now: Instant) {
        self.owed = None;
        self.last_line = Some(now);
        write_line(&mut self.out, line);
    }

    /// "  1m 05s left", from the mean speed since the beginning.
    fn left(&self, step: u64, total: u64, now: Instant) -> String {
        let done = step.saturating_sub(self.first_step);
        if done == 0 {
            return String::new();
        }
        let seconds = (now - self.started).as_secs_f64() / done as f64 * total.saturating_sub(step) as f64;
        format!("  {}", time_left(seconds))
    }
}

/// The epochs of `epochs` that leave a line: at most [`MOST_LINES`]; the first ten, and from there on log-spaced ones,
/// since a training may end early.
fn milestones(epochs: u64) -> Vec<u64> {
    if epochs <= MOST_LINES {
        return (1..=epochs).collect();
    }
    let half = MOST_LINES / 2;
    let later = geomspace(half as f64, epochs as f64, MOST_LINES as usize - half as usize + 1);
    (1..=half).chain(later.into_iter().skip(1).map(|epoch| epoch.round() as u64)).collect()
}

/// "1m 05s left", in whole seconds.
fn time_left(seconds: f64) -> String {
    if seconds < 9.0 { format!("{:.0} s left", seconds.ceil()) } else { duration(seconds.ceil()) + " left" }
}

/// Writes the line in one call, so that lines of several processes do not mix. Failed writes are ignored.
fn write_line(out: &mut dyn Write, line: &str) {
    let _ = out.write_all(format!("{}\n", printable(line)).as_bytes());
}

/// "epoch  3/20  train loss 0.1234 acc 96.10%  val loss 0.1450 acc 95.56%  21.3k/s"
fn epoch_line(epoch: &str, metrics: &EpochMetrics) -> String {
    let part = |split: &str, loss: f64, score: Score| {
        let name = if matches!(score, Score::Accuracy(_)) { "acc" } else { "rmse" };
        format!("  {split} loss {} {name} {}", number(loss), short_score(score))
    };
    let val = metrics.val_loss.zip(metrics.val_score);
    let val = val.map_or(String::new(), |(loss, score)| part("val", loss, score));
    let train = part("train", metrics.train_loss, metrics.train_score);
    format!("{epoch}{train}{val}  {}/s", rate(metrics.samples_per_s))
}

/// "96.10%" or the rmse.
fn short_score(score: Score) -> String {
    match score {
        Score::Accuracy(share) if share.is_finite() => format!("{:5.2}%", 100.0 * share),
        Score::Accuracy(share) => number(share),
        Score::Regression { rmse, .. } => number(rmse),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// Captures what is written.
    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Page {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    fn epoch(n: u64) -> EpochMetrics {
        EpochMetrics {
            epoch: n,
            step: 23 * n,
            lr: 1e-3,
            train_loss: 0.1234,
            train_score: Score::Accuracy(0.961),
            val_loss: Some(0.145),
            val_score: Some(Score::Accuracy(0.95556)),
            grad_norm: 1.0,
            samples_per_s: 21_345.0,
            wall_s: 1.0,
        }
    }

    fn progress(page: &Page) -> Progress {
        let view = View::Lines(Lines::new(Box::new(page.clone())));
        Progress { epochs: 20, total_steps: 460, latest: None, view }
    }

    #[test]
    fn an_epoch_is_one_line_of_eighty_columns() {
        let line = epoch_line("epoch  3/20", &epoch(3));
        assert_eq!(line, "epoch  3/20  train loss 0.1234 acc 96.10%  val loss 0.1450 acc 95.56%  21.3k/s");
        let score = Score::Regression { rmse: 0.3513, r2: 0.9 };
        let metrics = EpochMetrics { train_score: score, val_score: Some(score), ..epoch(3) };
        let line = epoch_line("epoch  3/20", &metrics);
        assert_eq!(line, "epoch  3/20  train loss 0.1234 rmse 0.3513  val loss 0.1450 rmse 0.3513  21.3k/s");
        assert_eq!(line.len(), 80);
        let alone = EpochMetrics { val_loss: None, val_score: None, train_loss: f64::NAN, ..epoch(3) };
        assert_eq!(epoch_line("epoch  3/20", &alone), "epoch  3/20  train loss nan acc 96.10%  21.3k/s");
    }

    #[test]
    fn the_bar_fits_any_terminal() {
        let parts = || {
            let texts = ["loss 0.1234", " val 96.10%", " 21.3k/s", " 1m 05s left"];
            let [a, b, c, d] = texts.map(String::from);
            [(a, 0), (b, 1), (c, 3), (d, 2)]
        };
        for width in 0..120 {
            let (prefix, message) = fit("epoch  3/20".into(), " step 120".into(), parts(), width);
            assert!(width < 15 || prefix.len() + message.len() + 2 <= width, "{width}: {prefix}|{message}");
        }
        let (prefix, message) = fit("epoch  3/20".into(), " step 120".into(), parts(), 46);
        assert_eq!((prefix.as_str(), message.as_str()), ("epoch  3/20", "loss 0.1234 val 96.10%"));
        let (prefix, message) = fit("epoch  3/20".into(), " step 120".into(), parts(), 76);
        assert_eq!(prefix, "epoch  3/20 step 120");
        assert_eq!(message, "loss 0.1234 val 96.10% 21.3k/s 1m 05s left");
    }

    #[test]
    fn fast_epochs_print_the_first_and_the_last_line() {
        let page = Page::default();
        let mut progress = progress(&page);
        (1..=20).for_each(|n| progress.epoch(&epoch(n)));
        progress.finish();
        progress.finish();
        let text = page.text();
        assert!(text.lines().count() < 20, "{text}");
        assert!(text.starts_with("epoch  1/20") && text.trim_end().contains("\nepoch 20/20"), "{text}");
        assert_eq!(text.matches("epoch 20/20").count(), 1);
    }

    #[test]
    fn some_epochs_leave_a_line_above_the_bar() {
        assert_eq!(milestones(3), [1, 2, 3]);
        assert_eq!(milestones(20), (1..=20).collect::<Vec<_>>());
        assert_eq!(milestones(100), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 13, 16, 20, 25, 32, 40, 50, 63, 79, 100]);
        for epochs in [0, 1, 21, 22, 57, 1000, u64::from(u32::MAX)] {
            let found = milestones(epochs);
            assert!(
                found.len() <= 20 && found.is_sorted() && found.last().is_none_or(|&last| last == epochs)
            );
        }
    }

    #[test]
    fn lines_are_rate_limited() {
        let page = Page::default();
        let mut lines = Lines::new(Box::new(page.clone()));
        let start = lines.started;
        for tenth in 0..100 {
            lines.epoch(format!("epoch at {tenth}"), start + Duration::from_millis(100 * tenth));
        }
        assert_eq!(page.text().lines().count(), 10);
        // A slow epoch shows its steps.
        lines.step("early".into(), start + Duration::from_secs(15));
        lines.step("late".into(), start + Duration::from_secs(25));
        assert!(page.text().ends_with("\nlate\n") && !page.text().contains("early"));
        let left = lines.left(100, 460, start + Duration::from_secs(10));
        assert_eq!(left, "  36 s left");
    }

    #[test]
    fn a_closed_pipe_is_no_error_and_quiet_prints_nothing() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
        }
        let mut closed =
            Progress { view: View::Lines(Lines::new(Box::new(Closed))), ..progress(&Page::default()) };
        let mut quiet = Progress::new(460, 20, true, true, || 80);
        for progress in [&mut closed, &mut quiet] {
            progress.message("hello");
            progress.step(1, 0.5, 100.0);
            progress.epoch(&epoch(1));
            progress.finish();
        }
    }

    #[test]
    fn messages_are_lines_of_their_own() {
        let page = Page::default();
        let mut progress = progress(&page);
        progress.message("the last batch of one row is dropped");
        assert_eq!(page.text(), "the last batch of one row is dropped\n");
    }
}
