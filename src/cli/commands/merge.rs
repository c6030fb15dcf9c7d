//! `bngpu merge`.

use serde_json::{Map, Value};

use crate::base::text::{count, counted, wrapped};
use crate::cli::{Exit, MergeArgs};
use crate::report::stdout;
use crate::run::{RunDir, RunFile};
use crate::spec::SweepRequest;
use crate::sweep::merge::{Merged, merge};

use super::{Failure, report, result, start_log, tell, tell_notes, terminal_width, warn};

pub fn run(args: MergeArgs) -> Result<Exit, Failure> {
    let reporting = &args.reporting;
    start_log(reporting.log, reporting.quiet);
    let merged = merge(&args.sweeps, &args.output, args.partial, SweepRequest::of_run)?;
    tell_notes(&merged.notes);
    if !merged.missing.is_empty() {
        warn(format!("warning {}", merged.missing));
    }
    let Merged { trials, trainings, models, .. } = merged;
    let folders = args.sweeps.len() as u64;
    let output = args.output.display();
    let text = format!(
        "{}: {} ({}), {}, the weights of {}, in {output}",
        counted(folders, "folder"),
        counted(trials, "trial"),
        ends(&merged),
        counted(trainings, "training"),
        counted(models, "model"),
    );
    result(wrapped("merged  ", &text, terminal_width()), reporting.json)?;
    let dir = RunDir::open(&args.output)?;
    report::write(&dir)?;
    tell("page", &dir.file(RunFile::Report).display().to_string());
    let left = match (merged.missing.is_empty(), merged.no_finals) {
        (true, false) => None,
        (true, true) => Some("the finalists"),
        (false, false) => Some("the missing trainings"),
        (false, true) => Some("the missing trainings and the finalists"),
    };
    if let Some(left) = left {
        tell("next", &format!("bngpu resume {output} trains {left}"));
    }
    if reporting.json {
        let mut json = Map::new();
        let mut put = |key: &str, value: Value| drop(json.insert(key.into(), value));
        put("status", if merged.missing.is_empty() { "complete" } else { "partial" }.into());
        put("run", output.to_string().into());
        put("trials", trials.into());
        put("completed", merged.completed.into());
        put("stopped", merged.stopped.into());
        put("diverged", merged.diverged.into());
        put("failed", merged.failed.into());
        put("trainings", trainings.into());
        put("models", models.into());
        put("missing", Some(merged.missing).filter(|missing| !missing.is_empty()).into());
        stdout::print(&format!("{}\n", Value::Object(json))).map_err(Failure::Stdout)?;
    }
    Ok(Exit::Done)
}

/// How many trials ended in each way, without zeros.
fn ends(merged: &Merged) -> String {
    let ends = [
        (merged.completed, "completed"),
        (merged.stopped, "stopped"),
        (merged.diverged, "diverged"),
        (merged.failed, "failed"),
    ];
    let ends = ends.into_iter().filter(|&(n, _)| n > 0).map(|(n, end)| format!("{} {end}", count(n)));
    let ends: Vec<_> = ends.collect();
    if ends.is_empty() { "none ended".into() } else { ends.join(", ") }
}
