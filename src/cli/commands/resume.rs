//! `bngpu resume`.

use crate::base::text::count;
use crate::cli::{Exit, ResumeArgs};
use crate::run::{RunDir, RunError, RunFile};
use crate::spec::{PartialConfig, RunRequest, resolve};
use crate::train::{Session, Stored};

use super::session::{self, Folder, Held, about};
use super::{Failure, device_of_run, load_data, refuse_ensemble_of_sweep, say, start_log, sweep, tell};

pub fn run(args: ResumeArgs) -> Result<Exit, Failure> {
    let reporting = &args.common.reporting;
    start_log(reporting.log, reporting.quiet);
    let given = args.common.device.clone();
    refuse_ensemble_of_sweep(&args.run)?;
    let dir = RunDir::open_to_write(&args.run)?;
    if sweep::is_sweep(&dir)? {
        return sweep::resume(dir, args);
    }
    let request = request(&dir, args)?;
    let stored = match dir.file(RunFile::Last).exists() {
        true => Some(Stored::load(&dir, RunFile::Last)?),
        false => None,
    };
    let Some(stored) = stored else {
        if had_checkpoint(&dir) {
            let what = "is missing, though the run has been trained".into();
            let remedy = "restore it from a copy, or train again in another folder with `bngpu train --config` of \
                          the run's config.toml; `bngpu eval` and `predict` still take its best weights";
            return Err(RunError::Content { path: dir.file(RunFile::Last), what, remedy }.into());
        }
        say("no checkpoint yet: training starts from the beginning");
        let factory = device_of_run(&dir, given.as_deref(), &request, request.device_use())?;
        let dataset = load_data(&request, &request.data.source)?;
        let about = about(&dataset, Held::of(&request));
        let session = Session::new(request, dataset, factory)?;
        session::introduce(&session, &about);
        return session::train(&session, || Ok(Folder::New(dir)), None);
    };
    let settings = |request: &RunRequest| (request.training.clone(), request.precision, request.ensemble);
    if settings(&stored.request) != settings(&request) {
        return Err(foreign(
            &dir,
            RunFile::Config,
            "does not hold the settings that the run was trained with",
        ));
    }
    let source = stored.preprocessing.source();
    let dataset = load_data(&request, source)?;
    let env = dir.read_env()?;
    for then in [env.data_fingerprint.as_str(), stored.fingerprint()] {
        if then != dataset.fingerprint {
            return Err(Failure::OtherData {
                run: dir.path().display().to_string(),
                source_name: source.to_owned(),
                then: then.to_owned(),
                now: dataset.fingerprint,
            });
        }
    }
    let factory = device_of_run(&dir, given.as_deref(), &request, request.device_use())?;
    let about = about(&dataset, Held::of(&request));
    let session = Session::new(request, dataset, factory)?;
    let checkpoint = stored.checkpoint(&dir, &session.members())?;
    let first = &checkpoint[0];
    if first.state.best.is_some() || !session.has_val() {
        let best = Stored::load(&dir, RunFile::Best)?;
        if settings(&best.request) != settings(&stored.request) || best.fingerprint() != stored.fingerprint()
        {
            return Err(foreign(&dir, RunFile::Best, "is a model of another run"));
        }
    }
    let (recorded, epochs) = (first.history.len() as u64, first.state.epochs);
    if recorded != epochs {
        let name = RunFile::MetricsJsonl.name();
        tell("note", &format!("{name} holds {} of the {} epochs done", count(recorded), count(epochs)));
    }
    session::introduce(&session, &about);
    let device = env.engine.get("device").and_then(|device| device.as_str()).unwrap_or("another device");
    let folder = Folder::Begun { dir, device: device.to_owned() };
    session::train(&session, || Ok(folder), Some(checkpoint))
}

/// Whether a run without `last.safetensors` had one: a training writes it before any other file, except a best model
/// of no epoch.
fn had_checkpoint(dir: &RunDir) -> bool {
    let best = dir.file(RunFile::Best).exists().then(|| Stored::load(dir, RunFile::Best)?.best());
    let trained = !matches!(best, None | Some(Ok((0, _))));
    trained || dir.file(RunFile::MetricsJsonl).exists()
}

/// The error for a file that belongs to another run.
fn foreign(dir: &RunDir, file: RunFile, what: &str) -> Failure {
    let remedy = "restore the file, or train again";
    RunError::Content { path: dir.file(file), what: what.into(), remedy }.into()
}

/// The run's own configuration, with the device and the reporting of this call.
fn request(dir: &RunDir, args: ResumeArgs) -> Result<RunRequest, Failure> {
    let path = dir.file(RunFile::Config);
    let config = PartialConfig::from_toml(&dir.read_config()?, &path)?.of_run();
    let mut request = resolve(PartialConfig::default(), Some((path, config)))?;
    if let Some(device) = args.common.device {
        request.device = device;
    }
    let reporting = args.common.reporting;
    (request.json, request.quiet, request.log) = (reporting.json, reporting.quiet, reporting.log);
    Ok(request)
}
