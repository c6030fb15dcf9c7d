//! `bngpu train`.

use crate::cli::{Exit, TrainArgs};
use crate::engine::{DeviceRequest, choose};
use crate::run::RunDir;
use crate::spec::preset::{Preset, Problem};
use crate::spec::{DataRequest, RunRequest};
use crate::train::Session;

use super::session::{self, Folder, Held, about};
use super::{Failure, load_and_anchor, problem_of, start_log};

pub fn run(args: TrainArgs) -> Result<Exit, Failure> {
    // A file describes the whole training.
    let given = args.preset.or(args.config.is_some().then_some(Preset::Plain));
    let typed = args.typed()?;
    let over = |preset: Preset, problem| typed.request_over(&preset.train(problem));
    // The data decide the preset and its values.
    let mut request = match given {
        Some(preset) => over(preset, Problem::default())?,
        None => {
            let early = |preset| over(preset, Problem::default());
            early(Preset::Plain).or_else(|error| early(Preset::Default).map_err(|_| error))?
        }
    };
    start_log(request.log, request.quiet);
    if let Some(output) = &request.output {
        RunDir::check_free(output)?;
    }
    let factory = choose(&DeviceRequest { device: &request.device, using: request.device_use() })?;
    // Whether there is a table, and thus the preset of tables, is known when the rows have been divided.
    let is_used = |request: &RunRequest| request.data.folds.is_some_and(|folds| folds.is_used());
    let folds_of_tables = given.is_none() && !is_used(&request);
    if folds_of_tables && let Ok(usual) = over(Preset::Default, Problem::default()) {
        request.data.folds = usual.data.folds;
    }
    let dataset = load_and_anchor(&mut request, folds_of_tables)?;
    let usual = if dataset.preprocessing.is_table() { Preset::Default } else { Preset::Plain };
    let preset = given.unwrap_or(usual);
    let run = over(preset, problem_of(&dataset))?;
    let data = DataRequest { folds: run.data.folds, ..request.data };
    let request = RunRequest { data, ..run };
    let name = request.name.clone().unwrap_or_else(|| dataset.name.clone());
    let output = request.output.clone();
    let mut about = about(&dataset, Held::of(&request));
    if typed.any(|config| config.val_each.is_some_and(|share| share.0 != 0.0)) && request.ensemble == 1 {
        about
            .lines
            .push(("note", "--val-each has no effect on a single model; --ensemble K trains several".into()));
    } else if typed.flags.val_split.is_some() && is_used(&request) {
        let other = if request.data.fold.is_some() { "--folds" } else { "--val-each" };
        about.lines.push(("note", format!("--val-split has no effect beside {other}")));
    }
    if given.is_none() && preset == Preset::Default {
        about.lines.push((
            "preset",
            "default, as for every table; --preset plain trains a single small network".into(),
        ));
    }
    let session = Session::new(request, dataset, factory)?;
    session::introduce(&session, &about);
    session::train(&session, || Ok(Folder::New(RunDir::create(output.as_deref(), &name)?)), None)
}
