//! Shared by `train` and `resume`: prints the plan, the progress and the summary.

use crate::base::shell_word;
use crate::base::text::{count, counted, counted_as, in_line, name};
use crate::cli::Exit;
use crate::data::{Dataset, Task};
use crate::report::{
    EndSummary, Evaluation, ModelSummary, Progress, SplitSummary, Status, TrainResult, stdout,
};
use crate::run::{EpochMetrics, RunDir, RunError};
use crate::spec::RunRequest;
use crate::train::{Ended, Events, MemberCheckpoint, Outcome, Session, Stop};

use super::{Failure, columns, few, say, stderr_is_terminal, tell, terminal_width, warn};

/// The folder of a run.
pub enum Folder {
    New(RunDir),
    /// Begun by an earlier process, on `device`.
    Begun {
        dir: RunDir,
        device: String,
    },
}

impl Folder {
    fn path(&self) -> String {
        let (Folder::New(dir) | Folder::Begun { dir, .. }) = self;
        dir.path().display().to_string()
    }
}

/// Prints device, data and model; `about` describes the data.
pub fn introduce(session: &Session, about: &About) {
    tell("device", session.device());
    if session.request.quiet {
        return;
    }
    about.tell();
    let (training, member) = (&session.request.training, session.member());
    let summary = ModelSummary::new(training, member.inputs(), member.outputs());
    say(format!("model\n{}", summary.in_ensemble(session.request.ensemble)));
    if member.walk.drops_single_row {
        let dropped = "dropped the last batch of each epoch: it has one row, too few for batch normalisation";
        tell("note", dropped);
    }
    if training.patience.is_some() && !session.has_val() {
        tell("note", "--patience has no effect without validation rows");
    }
}

/// Trains from a checkpoint or from the beginning, and prints the result. `folder` is called after all other checks.
///
/// # Errors
/// Errors of the device and of the files.
pub fn train(
    session: &Session,
    folder: impl FnOnce() -> Result<Folder, RunError>,
    from: Option<Vec<MemberCheckpoint>>,
) -> Result<Exit, Failure> {
    let member = session.member();
    let epochs = member.total_steps().div_ceil(member.walk.steps_per_epoch);
    // Log lines would break up a progress bar.
    let bar = stderr_is_terminal() && log::max_level() <= log::LevelFilter::Warn;
    let mut console =
        Console(Progress::new(member.total_steps(), epochs, bar, session.request.quiet, terminal_width));
    if let Some([from, ..]) = from.as_deref() {
        console.0.resume_at(from.state.step, from.history.last());
    }
    let stop = Stop::on_signals(Exit::Interrupted.code());
    let mut training = session.start(from, &mut console)?;
    let folder = folder()?;
    let run = folder.path();
    match folder {
        Folder::New(dir) => training.keep_in(dir)?,
        Folder::Begun { dir, device } => {
            let now = &training.info().device;
            if device != *now {
                tell(
                    "note",
                    &format!(
                        "the run began on {device} and continues on {now}: the last bits may differ from an \
                         uninterrupted run's"
                    ),
                );
            }
            training.go_on_in(dir);
        }
    }
    let outcome = training.run(&mut console, &stop)?;
    console.0.finish();
    sum_up(session, &outcome, run)
}

fn sum_up(session: &Session, outcome: &Outcome, run: String) -> Result<Exit, Failure> {
    let state = &outcome.state;
    if outcome.was_over {
        say(format!("the run {} has already ended: nothing to resume", in_line(&run)));
    }
    let stopped = match &state.ended {
        Some(Ended::Stopped { reason }) => format!("stopped: {reason}\n"),
        _ => String::new(),
    };
    let mut result = result(session, outcome, run);
    if let Some(Ended::Diverged { step, member }) = state.ended {
        result.steps = step;
        let member = member.map(|member| {
            let seed = session.request.training.nth_seed(member as u64);
            format!(" in member {member} of the ensemble, which has seed {seed}")
        });
        warn(format!("diverged: NaN or infinity at step {}{}", count(step), member.unwrap_or_default()));
        if let Some(last) = &outcome.last {
            let last = last.display().to_string();
            warn(format!("the last good checkpoint is {} (step {})", in_line(&last), count(state.step)));
        }
    }
    let summary = EndSummary {
        result: &result,
        splits: &splits(session, outcome),
        best_epoch: outcome.best_epoch.filter(|&epoch| epoch != state.epochs),
        target: Some(session.target_name()),
    };
    super::result(format!("{stopped}{summary}"), session.request.json)?;
    if session.request.json {
        let json = serde_json::to_string(&result).unwrap_or_default();
        stdout::print(&(json + "\n")).map_err(Failure::Stdout)?;
    }
    Ok(match result.status {
        Status::Completed | Status::Stopped => Exit::Done,
        Status::Diverged => Exit::Diverged,
        Status::Interrupted => Exit::Interrupted,
    })
}

fn splits(session: &Session, outcome: &Outcome) -> Vec<SplitSummary> {
    let [val, test] = outcome.evaluations;
    let split = &session.problem.split;
    let parts = [("val", split.validated().len(), val), ("test", split.test, test)];
    let of = |((name, rows, evaluation), baseline): ((_, _, Option<_>), Option<f64>)| {
        let (loss, score) = evaluation?;
        Some(SplitSummary { name, rows, loss, score, baseline: baseline.unwrap_or(f64::NAN) })
    };
    parts.into_iter().zip(session.baselines).filter_map(of).collect()
}

fn result(session: &Session, outcome: &Outcome, run: String) -> TrainResult {
    let (state, info) = (&outcome.state, &outcome.info);
    let [val, test] = outcome.evaluations.map(|e| e.map(|(loss, score)| Evaluation { loss, score }));
    let [val_baseline, test_baseline] = session.baselines;
    TrainResult {
        status: match &state.ended {
            Some(Ended::Completed) => Status::Completed,
            Some(Ended::Stopped { .. }) => Status::Stopped,
            Some(Ended::Diverged { .. }) => Status::Diverged,
            None => Status::Interrupted,
        },
        run,
        device: info.device.clone(),
        engine: info.engine.into(),
        seed: session.request.training.seed,
        members: session.request.ensemble as u64,
        params: session.parameters() as u64,
        epochs: state.epochs,
        steps: state.step,
        train_s: state.train_s,
        samples_per_s: (state.rows * session.request.ensemble as u64) as f64 / state.train_s.max(1e-9),
        regression: session.problem.is_regression(),
        val,
        test,
        baseline: test_baseline.or(val_baseline),
    }
}

/// What a user should know of the data.
pub(super) struct About {
    /// Headings and texts.
    pub lines: Vec<(&'static str, String)>,
    /// A line for each column of a table.
    columns: String,
}

/// Most columns that are printed before a training.
const SHOWN_COLUMNS: usize = 40;

impl About {
    /// Prints it.
    pub fn tell(&self) {
        let (data, notes): (Vec<_>, Vec<_>) = self.lines.iter().partition(|(heading, _)| *heading != "note");
        data.iter().for_each(|(heading, text)| tell(heading, text));
        if !self.columns.is_empty() {
            say(&self.columns);
        }
        notes.iter().for_each(|(heading, text)| tell(heading, text));
    }
}

/// Which models hold out which fold, where there are folds.
#[derive(Clone, Copy, Debug)]
pub(super) enum Held {
    /// Each model of an ensemble another.
    ByModel,
    /// All models this one.
    One(usize),
    /// The trainings of each seed of a sweep another.
    BySeed,
}

impl Held {
    /// Of a run.
    pub fn of(request: &RunRequest) -> Held {
        request.data.fold.map_or(Held::ByModel, Held::One)
    }
}

/// Summary of the data.
pub(super) fn about(dataset: &Dataset, held: Held) -> About {
    let split = &dataset.split;
    let rows = |n: usize| count(n as u64);
    let what = match &dataset.task {
        Task::Classify { classes } => counted_as(classes.len() as u64, "class", "classes"),
        Task::Regress => format!("regression of {}", name(dataset.preprocessing.target_name())),
    };
    let all = split.train + split.val + split.test;
    let text = format!(
        "{}: {} rows of {}, {what}; train {}, val {}, test {}",
        dataset.source,
        rows(all),
        counted(dataset.n_features as u64, "feature"),
        rows(split.train),
        rows(split.val),
        rows(split.test)
    );
    let mut lines = vec![("data", text)];
    if split.folds > 0 {
        let (folds, of) = (split.folds, rows(split.val));
        let text = match held {
            Held::ByModel => format!(
                "each of the {folds} models holds out {of} validation rows of its own and trains on the others; \
                 --val-each 0 gives all models the same validation rows"
            ),
            Held::One(nth) => {
                format!("{folds} folds of {of} rows; fold {nth}, from 0, is held out for validation")
            }
            Held::BySeed => format!(
                "{folds} folds of {of} rows; the trainings of each seed hold out the next one for validation; --folds 0 \
                 gives all the same validation rows"
            ),
        };
        lines.push(("folds", text));
    }
    if let Some([low, high]) = dataset.preprocessing.prediction_range() {
        let why = if low >= 0.0 { " (none is negative)" } else { "" };
        let (low, high) = (exactly(low), exactly(high));
        let text = format!(
            "predictions stay within {low} and {high}, the range of the training targets{why}; --no-clamp turns \
             this off"
        );
        lines.push(("clamp", text));
    }
    if !dataset.how.is_empty() {
        lines.push(("read", dataset.how.clone()));
    }
    lines.extend(
        few(&dataset.notes).into_iter().chain(dataset.split_notes.clone()).map(|note| ("note", note)),
    );
    let shown = &dataset.columns[..dataset.columns.len().min(SHOWN_COLUMNS)];
    let mut columns = if shown.is_empty() { String::new() } else { columns::table(shown) };
    if dataset.columns.len() > shown.len() {
        let more = count((dataset.columns.len() - shown.len()) as u64);
        columns +=
            &format!("  and {more} more: `bngpu describe {}` shows all\n", shell_word(&dataset.source));
    }
    About { lines, columns }
}

/// A number as the source has it: "12.5", "755,000".
fn exactly(x: f64) -> String {
    let sign = if x < 0.0 { "-" } else { "" };
    if x.fract() == 0.0 && x.abs() < 1e15 {
        format!("{sign}{}", count(x.abs() as u64))
    } else {
        format!("{x:?}")
    }
}

/// Events of a run, on stderr.
struct Console(Progress);

impl Events for Console {
    fn step(&mut self, _: usize, step: u64, loss: f64, samples_per_s: f64) {
        self.0.step(step, loss, samples_per_s);
    }

    fn epoch(&mut self, _: usize, metrics: &EpochMetrics) {
        self.0.epoch(metrics);
    }

    fn message(&mut self, text: &str) {
        self.0.message(text);
    }
}
