//! `bngpu report`.

use std::path::Path;

use crate::base::text::in_line;
use crate::base::write_whole;
use crate::cli::{Exit, ReportArgs};
use crate::report::page::{Findings, SweepPage, TrainingPage};
use crate::run::{Environment, ModelFile, RunDir, RunError, RunFile};
use crate::spec::SweepRequest;
use crate::sweep::analysis::Analysis;
use crate::sweep::{TRIALS, read_trials};

use super::{Failure, refuse_ensemble_of_sweep, say, start_log, tell};

pub fn run(args: ReportArgs) -> Result<Exit, Failure> {
    start_log(args.log, args.quiet);
    refuse_ensemble_of_sweep(&args.run)?;
    let dir = RunDir::open(&args.run)?;
    let html = if dir.path().join(TRIALS).is_file() { sweep(&dir)? } else { training(&dir)? };
    let output = args.output.unwrap_or_else(|| dir.file(RunFile::Report));
    write_whole(&output, html.as_bytes())?;
    say(format!("page    {}", in_line(&output.display().to_string())));
    Ok(Exit::Done)
}

/// Writes the page of a sweep into its folder.
///
/// # Errors
/// If it cannot be written.
pub fn write(dir: &RunDir) -> Result<(), Failure> {
    Ok(write_whole(&dir.file(RunFile::Report), sweep(dir)?.as_bytes())?)
}

fn sweep(dir: &RunDir) -> Result<String, Failure> {
    let records = read_trials(&dir.path().join(TRIALS))?;
    let (config, env) = (dir.read_config()?, env(dir)?);
    let request = SweepRequest::of_run(&config, &dir.file(RunFile::Config))?;
    let findings = Findings::from(&Analysis::new(&request, &records));
    let page = SweepPage {
        name: &name(dir.path()),
        config: &config,
        env: env.as_ref(),
        records: &records,
        findings: &findings,
    };
    Ok(page.to_html())
}

fn training(dir: &RunDir) -> Result<String, Failure> {
    let config = dir.read_config()?;
    // Only a sweep has this table.
    if config.parse::<toml::Table>().is_ok_and(|config| config.contains_key("space")) {
        let remedy = "no trial has ended yet: continue the sweep with `bngpu resume`";
        return Err(RunError::Missing { run: dir.path().to_owned(), file: TRIALS, remedy }.into());
    }
    dir.existing(RunFile::MetricsJsonl)?;
    let ((epochs, looks), env) = (dir.read_metrics()?, env(dir)?);
    // Without weights the page has no table of layers.
    let weights = [RunFile::Best, RunFile::Last].into_iter().find(|file| dir.file(*file).is_file());
    let model = weights.and_then(|file| match ModelFile::load(&dir.file(file)) {
        Ok(model) => Some(model),
        Err(error) => {
            tell("note", &format!("the page shows no layers: {error}"));
            None
        }
    });
    let members = model.map(|model| model.members).unwrap_or_default();
    // The table shows one network: none if those of the members differ.
    let alike = members.windows(2).all(|pair| pair[0].architecture == pair[1].architecture);
    let architecture = members.first().map(|member| &member.architecture).filter(|_| alike);
    let page = TrainingPage {
        name: &name(dir.path()),
        config: &config,
        env: env.as_ref(),
        epochs: &epochs,
        looks: &looks,
        architecture,
        members: members.len().max(1),
    };
    Ok(page.to_html())
}

/// The recorded environment, if there is one.
fn env(dir: &RunDir) -> Result<Option<Environment>, RunError> {
    match dir.file(RunFile::Env).is_file() {
        true => dir.read_env().map(Some),
        false => Ok(None),
    }
}

/// The folder's own name, even if it was given as `.`.
fn name(path: &Path) -> String {
    let whole = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    whole.file_name().map_or_else(|| whole.display().to_string(), |name| name.to_string_lossy().into_owned())
}
