//! The commands, one file each.

mod bench;
mod bench_threads;
mod columns;
mod completions;
mod demo;
mod describe;
mod devices;
mod eval;
mod failure;
mod lr_find;
mod merge;
mod predict;
mod report;
mod repro;
mod resume;
mod session;
mod sweep;
mod train;

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

pub use failure::Failure;

use super::args::WeightsArg;
use super::{Cli, Command, Exit};
use crate::base::text::{SHOWN, count, counted, printable, wrapped};
use crate::data::{Dataset, LoadRequest, Task, load};
use crate::engine::cpu::threads::{self, Threads};
use crate::engine::{DeviceRequest, EngineFactory, choose, choose_again};
use crate::report::live::{LogOnScreen, say_on_screen};
use crate::report::stdout;
use crate::run::{RunDir, RunError, RunFile};
use crate::spec::{DeviceUse, LogLevel, Precision, RunRequest, preset};
use crate::sweep::analysis::Analysis;
use crate::sweep::files::{ENSEMBLE, best_model};
use crate::sweep::{TRIALS, read_trials};
use crate::train::Stored;

/// Runs the command.
///
/// # Errors
/// [`Failure`], with its message and its exit code.
pub fn run(cli: Cli) -> Result<Exit, Failure> {
    let several = matches!(cli.command, Command::Bench(_));
    if cli.threads.len() > 1 && !several {
        return Err(Failure::Usage("--threads: only `bench` compares several numbers; write one".into()));
    }
    if !matches!(cli.command, Command::Completions(_)) {
        // Where `bench` compares several numbers, each has threads of its own.
        let asked = if let [threads] = cli.threads[..] { Some(threads as usize) } else { None };
        threads::start(Threads::find(asked))?;
    }
    match cli.command {
        Command::Train(args) => train::run(*args),
        Command::Sweep(args) => sweep::run(*args),
        Command::Resume(args) => resume::run(args),
        Command::Eval(args) => eval::run(args),
        Command::Auto(args) => sweep::auto(*args),
        Command::Predict(args) => predict::run(args),
        Command::Describe(args) => describe::run(args),
        Command::Repro(args) => repro::run(args),
        Command::LrFind(args) => lr_find::run(*args),
        Command::Demo(args) => demo::run(args),
        Command::Report(args) => report::run(args),
        Command::Merge(args) => merge::run(args),
        Command::Devices(args) => devices::run(args),
        Command::Bench(args) => bench::run(args, &cli.threads),
        Command::Completions(args) => completions::run(args),
    }
}

/// Whether results are printed alone, with warnings and errors: `--quiet`.
static QUIET: AtomicBool = AtomicBool::new(false);
/// Whether warnings are left out, too: `--log off` and `--log error`.
static UNWARNED: AtomicBool = AtomicBool::new(false);

/// Prints a result for people: on stdout, or with `--json`, whose object is the result there, as a note.
///
/// # Errors
/// [`Failure::Stdout`].
fn result(text: impl AsRef<str>, json: bool) -> Result<(), Failure> {
    if json {
        say(text);
        return Ok(());
    }
    stdout::show(&format!("{}\n", text.as_ref().trim_end())).map_err(Failure::Stdout)
}

/// Writes a note to stderr, unless `--quiet`.
fn say(text: impl AsRef<str>) {
    if !QUIET.load(Ordering::Relaxed) {
        put(text.as_ref());
    }
}

/// Writes a warning to stderr, unless `--log off`.
fn warn(text: impl AsRef<str>) {
    if !UNWARNED.load(Ordering::Relaxed) {
        put(text.as_ref());
    }
}

/// Writes notes to stderr: the first and last few, and how many more there are.
fn tell_notes(notes: &[String]) {
    few(notes).iter().for_each(|note| tell("note", note));
}

/// The first and last few of `notes`, and how many more there are.
fn few(notes: &[String]) -> Vec<String> {
    let more = notes.len().saturating_sub(SHOWN);
    if more == 0 {
        return notes.to_vec();
    }
    let (first, last) = (&notes[..SHOWN / 2], &notes[notes.len() - SHOWN / 2..]);
    let between = [format!("{} like this one and the next", counted(more as u64, "more note"))];
    [first, &between, last].concat()
}

/// Writes `text` after a heading of eight columns, wrapped to the terminal.
fn tell(heading: &str, text: &str) {
    say(wrapped(&format!("{heading:<8}"), text, terminal_width()));
}

/// Columns of the terminal on stderr, 80 if there is none.
fn terminal_width() -> usize {
    let size = terminal_size::terminal_size_of(std::io::stderr());
    size.map_or(80, |(width, _)| usize::from(width.0)).max(20)
}

/// Writes a line to stderr, or into the live view if it is shown. A closed stderr is no error.
fn put(text: &str) {
    if say_on_screen(text) {
        return;
    }
    let _ = std::io::stderr().write_all(format!("{}\n", printable(text.trim_end())).as_bytes());
}

/// Messages of the libraries and of `log`, on stderr.
fn start_log(level: LogLevel, quiet: bool) {
    QUIET.store(quiet, Ordering::Relaxed);
    UNWARNED.store(matches!(level, LogLevel::Off | LogLevel::Error), Ordering::Relaxed);
    let mut builder = env_logger::Builder::new();
    // The graphics libraries log much that is irrelevant to the user.
    let others = log::LevelFilter::from(level).min(log::LevelFilter::Warn);
    builder.filter_level(others).filter_module("bngpu", level.into()).format_timestamp(None);
    // These warn about font fallbacks and lines of zero length.
    for drawing in ["usvg", "tiny_skia"] {
        builder.filter_module(drawing, log::LevelFilter::Error);
    }
    let logger = builder.build();
    let level = logger.filter();
    // A program that embeds bngpu may have its own logger.
    if log::set_boxed_logger(Box::new(LogOnScreen(logger))).is_ok() {
        log::set_max_level(level);
    }
}

fn stderr_is_terminal() -> bool {
    std::io::stderr().is_terminal()
}

/// Loads the data of a run; `source` is where they are.
fn load_data(request: &RunRequest, source: &str) -> Result<Dataset, Failure> {
    loaded(LoadRequest { source: source.to_owned(), ..LoadRequest::from(&request.data) })
}

fn loaded(request: LoadRequest) -> Result<Dataset, Failure> {
    let start = Instant::now();
    let dataset = load(&request)?;
    let split = &dataset.split;
    let (ms, features) = (1e3 * start.elapsed().as_secs_f64(), dataset.n_features);
    log::info!("{} loaded in {ms:.0} ms: {} rows", dataset.source, split.train + split.val + split.test);
    log::debug!("train {}, val {}, test {} rows; {features} features", split.train, split.val, split.test);
    Ok(dataset)
}

/// What the data ask of a network, for presets.
fn problem_of(dataset: &Dataset) -> preset::Problem {
    let target = match dataset.task {
        Task::Regress => preset::Target::Value,
        Task::Classify { .. } if dataset.task.n_outputs() == 2 => preset::Target::TwoClasses,
        Task::Classify { .. } => preset::Target::Classes,
    };
    preset::Problem { rows: dataset.split.train, target, is_table: dataset.preprocessing.is_table() }
}

/// The device that `--device` names, else the one that the run `dir` was trained on, else, with a note, that of
/// `auto`.
fn device_of_run(
    dir: &RunDir,
    given: Option<&str>,
    request: &RunRequest,
    using: DeviceUse,
) -> Result<Box<dyn EngineFactory>, Failure> {
    let named = |device: &str| choose(&DeviceRequest { device, using });
    if let Some(device) = given {
        return Ok(named(device)?);
    }
    let env = dir.read_env().ok();
    let trained_on = env.as_ref().and_then(|env| env.engine.get("device")?.as_str());
    let (wanted, found) = match trained_on {
        Some(name) => (name, choose_again(name, using)?),
        None => (request.device.as_str(), named(&request.device).ok()),
    };
    match found {
        Some(factory) => Ok(factory),
        None => {
            tell(
                "note",
                &format!("this machine has no {wanted}, the device of the run: using --device auto"),
            );
            Ok(named("auto")?)
        }
    }
}

/// How a device is used for a trained model: in single precision, whatever the precision of its training.
fn in_single(request: &RunRequest) -> DeviceUse {
    DeviceUse { precision: Precision::F32, ..request.device_use() }
}

/// Opens a run to use its model; for a sweep, its ensemble, or else the model of the winner, with a note.
fn open_model(path: &Path) -> Result<RunDir, Failure> {
    let dir = RunDir::open(path)?;
    let trials = path.join(TRIALS);
    if !trials.is_file() {
        return Ok(dir);
    }
    let ensemble = path.join(ENSEMBLE);
    if ensemble.is_dir() {
        tell("note", &format!("{} is a sweep: using its ensemble, {}", path.display(), ensemble.display()));
        return Ok(RunDir::open(&ensemble)?);
    }
    let (request, records) = (sweep::request_of(&dir)?, read_trials(&trials)?);
    let analysis = Analysis::new(&request, &records);
    let best = best_model(path, &records, request.objective, analysis.winner.as_ref());
    let Some(best) = best else {
        let remedy = "continue it with `bngpu resume`, or give a folder in its models/";
        return Err(RunError::Missing { run: path.to_owned(), file: "model of a winner", remedy }.into());
    };
    tell("note", &format!("{} is a sweep: using the winning model, {}", path.display(), best.display()));
    Ok(RunDir::open(&best)?)
}

/// Refuses the ensemble of a sweep, which was not trained by itself.
fn refuse_ensemble_of_sweep(path: &Path) -> Result<(), Failure> {
    let sweep = path.parent().filter(|sweep| path.ends_with(ENSEMBLE) && sweep.join(TRIALS).is_file());
    let Some(sweep) = sweep else { return Ok(()) };
    let text = format!(
        "{} is the ensemble at the end of a sweep, which has no epochs of its own; give the folder of the sweep, {}",
        path.display(),
        Path::new(".").join(sweep).display()
    );
    Err(Failure::Usage(text))
}

/// The requested weights of a run; the latest, with a note, if there are no best ones.
fn weights(dir: &RunDir, asked: Option<WeightsArg>) -> Result<Stored, Failure> {
    match asked {
        Some(WeightsArg::Best) => return Ok(Stored::load(dir, RunFile::Best)?),
        Some(WeightsArg::Last) => return Ok(Stored::load(dir, RunFile::Last)?),
        None => {}
    }
    if dir.file(RunFile::Best).exists() || !dir.file(RunFile::Last).exists() {
        return Ok(Stored::load(dir, RunFile::Best)?);
    }
    let stored = Stored::load(dir, RunFile::Last)?;
    let (best, last) = (RunFile::Best.name(), RunFile::Last.name());
    let at = count(stored.state()?.step);
    warn(format!(
        "note    the run has no {best} (no epoch had a finite validation loss): using {last} of step {at}"
    ));
    Ok(stored)
}

/// Loads the data of a new run, and makes their paths absolute for its record.
fn load_and_anchor(request: &mut RunRequest, folds_of_tables: bool) -> Result<Dataset, Failure> {
    let dataset = loaded(LoadRequest { folds_of_tables, ..LoadRequest::from(&request.data) })?;
    request.data.source = anchored(&request.data.source);
    let absolute = |dir: PathBuf| std::path::absolute(&dir).unwrap_or(dir);
    request.data.data_dir = request.data.data_dir.take().map(absolute);
    Ok(dataset)
}

/// The absolute path of a source, so that it is found from any folder; names stay.
fn anchored(source: &str) -> String {
    let path = Path::new(source);
    let is_path = source != "digits" && path.exists();
    let absolute = std::path::absolute(path).ok().filter(|_| is_path);
    absolute.and_then(|path| path.into_os_string().into_string().ok()).unwrap_or_else(|| source.to_owned())
}
