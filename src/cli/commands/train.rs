//! `bngpu train`.

use crate::cli::{Exit, TrainArgs};
use crate::engine::{DeviceRequest, choose};
use crate::run::RunDir;
use crate::spec::RunRequest;
use crate::spec::preset::Preset;
use crate::train::Session;

use super::session::{self, Folder, about};
use super::{Failure, load_and_anchor, start_log};

pub fn run(args: TrainArgs) -> Result<Exit, Failure> {
    // A file describes the whole training.
    let given = args.preset.or(args.config.is_some().then_some(Preset::Plain));
    let over = |preset: Preset, rows: usize| args.clone().request_over(&preset.train(rows));
    // The data decide the preset and its values.
    let mut request = match given {
        Some(preset) => over(preset, 0)?,
        None => over(Preset::Plain, 0).or_else(|error| over(Preset::Default, 0).map_err(|_| error))?,
    };
    start_log(request.log, request.quiet, request.json);
    if let Some(output) = &request.output {
        RunDir::check_free(output)?;
    }
    let factory = choose(&DeviceRequest { device: &request.device, using: request.device_use() })?;
    let dataset = load_and_anchor(&mut request)?;
    let usual = if dataset.preprocessing.is_table() { Preset::Default } else { Preset::Plain };
    let preset = given.unwrap_or(usual);
    let request = RunRequest { data: request.data, ..over(preset, dataset.split.train)? };
    let name = request.name.clone().unwrap_or_else(|| dataset.name.clone());
    let output = request.output.clone();
    let mut about = about(&dataset);
    if given.is_none() && preset == Preset::Default {
        about.push((
            "preset",
            "default, as for every table; --preset plain trains a single small network".into(),
        ));
    }
    let session = Session::new(request, dataset, factory)?;
    session::introduce(&session, &about);
    session::train(&session, || Ok(Folder::New(RunDir::create(output.as_deref(), &name)?)), None)
}
