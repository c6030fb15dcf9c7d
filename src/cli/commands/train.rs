//! `bngpu train`.

use crate::cli::{Exit, TrainArgs};
use crate::engine::{DeviceRequest, choose};
use crate::run::RunDir;
use crate::spec::RunRequest;
use crate::spec::preset::Preset;
use crate::train::Session;

use super::session::{self, Folder, about};
use super::{Failure, load_and_anchor, start_log, tell};

pub fn run(args: TrainArgs) -> Result<Exit, Failure> {
    let preset = args.preset;
    // The data decide the rest of the request.
    let mut request = args.clone().request()?;
    start_log(request.log, request.quiet, request.json);
    if let Some(output) = &request.output {
        RunDir::check_free(output)?;
    }
    let factory = choose(&DeviceRequest { device: &request.device, using: request.device_use() })?;
    let dataset = load_and_anchor(&mut request)?;
    let usual = if dataset.preprocessing.is_table() { Preset::Default } else { Preset::Plain };
    let preset = preset.unwrap_or(usual);
    let request = RunRequest { data: request.data, ..args.request_over(&preset.train(dataset.split.train))? };
    let name = request.name.clone().unwrap_or_else(|| dataset.name.clone());
    let output = request.output.clone();
    let about = about(&dataset);
    let session = Session::new(request, dataset, factory)?;
    tell("preset", preset.name());
    session::introduce(&session, &about);
    session::train(&session, || Ok(Folder::New(RunDir::create(output.as_deref(), &name)?)), None)
}
