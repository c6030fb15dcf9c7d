//! `bngpu train`.

use crate::cli::{Exit, TrainArgs};
use crate::engine::{DeviceRequest, choose};
use crate::run::RunDir;
use crate::train::Session;

use super::session::{self, Folder, about};
use super::{Failure, load_and_anchor, start_log};

pub fn run(args: TrainArgs) -> Result<Exit, Failure> {
    let mut request = args.request()?;
    start_log(request.log, request.quiet, request.json);
    if let Some(output) = &request.output {
        RunDir::check_free(output)?;
    }
    let (device, using) = (request.device.as_str(), request.device_use());
    let factory = choose(&DeviceRequest { device, using })?;
    let dataset = load_and_anchor(&mut request)?;
    let name = request.name.clone().unwrap_or_else(|| dataset.name.clone());
    let output = request.output.clone();
    let about = about(&dataset);
    let session = Session::new(request, dataset, factory)?;
    session::introduce(&session, &about);
    session::train(&session, || Ok(Folder::New(RunDir::create(output.as_deref(), &name)?)), None)
}
