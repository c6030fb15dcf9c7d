//! What the commands do, one file a command.

mod completions;
mod devices;
mod eval;
mod failure;
mod predict;
mod resume;
mod session;
mod train;

use std::io::{IsTerminal, Write};

pub use failure::Failure;

use super::{Cli, Command, Exit};
use crate::data::{Dataset, LoadRequest, load};
use crate::spec::{LogLevel, RunRequest};

/// Does what was asked for.
///
/// # Errors
/// [`Failure`], which knows its message and its exit code.
pub fn run(cli: Cli) -> Result<Exit, Failure> {
    match cli.command {
        Command::Train(args) => train::run(*args),
        Command::Resume(args) => resume::run(args),
        Command::Eval(args) => eval::run(args),
        Command::Predict(args) => predict::run(args),
        Command::Devices(args) => devices::run(args),
        Command::Completions(args) => completions::run(args),
    }
}

/// Writes a line to stderr; nobody reading is no error.
fn say(text: impl AsRef<str>) {
    let _ = std::io::stderr().write_all(format!("{}\n", text.as_ref().trim_end()).as_bytes());
}

/// Messages of the libraries and of `log`, on stderr.
fn start_log(level: LogLevel) {
    let mut builder = env_logger::Builder::new();
    // The graphics libraries tell much that is none of the user's business.
    let others = log::LevelFilter::from(level).min(log::LevelFilter::Warn);
    builder.filter_level(others).filter_module("bngpu", level.into()).format_timestamp(None);
    let _ = builder.try_init();
}

fn stderr_is_terminal() -> bool {
    std::io::stderr().is_terminal()
}

/// Loads the data of a run; `source` is where they are.
fn load_data(request: &RunRequest, source: &str) -> Result<Dataset, Failure> {
    let data = &request.data;
    let dataset = load(&LoadRequest {
        source: source.to_owned(),
        target: data.target.clone(),
        task: data.task,
        val_split: data.val_split,
        test_split: data.test_split,
        standardize: data.standardize,
        seed: request.training.seed,
        data_dir: data.data_dir.clone(),
    })?;
    Ok(dataset)
}
