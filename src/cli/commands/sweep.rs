//! `bngpu sweep`, and `bngpu resume` of a sweep.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use crate::base::text::{count, counted, duration, listed};
use crate::cli::{Exit, ResumeArgs, SweepArgs};
use crate::data::Dataset;
use crate::engine::{DeviceRequest, DeviceSource, lanes};
use crate::report::live::{self, Aim, Live, LiveOptions, give_back};
use crate::report::{Status, SweepResult, SweepSummary, stdout};
use crate::run::{Environment, RunDir, RunError, RunFile};
use crate::spec::{SweepRequest, preset};
use crate::sweep::analysis::Analysis;
use crate::sweep::files::{SweepFiles, best_model};
use crate::sweep::{
    Observer, Request, Search, Stage, Store, SweepEnd, SweepEvent, TRIALS, TrialRecord, TrialStatus,
    dimension_text,
};
use crate::train::{Stop, StopReason};

use super::session::{About, Held, about};
use super::{
    Failure, load_and_anchor, load_data, problem_of, report, result, say, start_log, stderr_is_terminal,
    tell, warn,
};

/// Interval between checkpoints, for preemptible machines.
const CHECKPOINT_EVERY: &str = "BNGPU_CHECKPOINT_EVERY";

pub fn run(args: SweepArgs) -> Result<Exit, Failure> {
    start(args, |_| String::new())
}

/// `bngpu auto`.
///
/// # Errors
/// As [`run`].
pub fn auto(args: SweepArgs) -> Result<Exit, Failure> {
    start(args, preset::auto)
}

/// Plans a sweep with the defaults of `preset`, and trains it in a new folder.
fn start(args: SweepArgs, preset: impl Fn(preset::Problem) -> String) -> Result<Exit, Failure> {
    let started = Instant::now();
    let typed = args.typed()?;
    // The data decide the rest of the request.
    let mut early = typed.request_over(&preset(preset::Problem::default()))?;
    let base = &early.base;
    start_log(base.log, base.quiet);
    if let Some(output) = &base.output {
        RunDir::check_free(output)?;
    }
    let sources = devices(&early)?;
    let dataset = load_and_anchor(&mut early.base, false)?;
    let mut request = typed.request_over(&preset(problem_of(&dataset)))?;
    request.base.data = early.base.data;
    let about = about(&dataset, Held::BySeed);
    let mut search = plan(request, dataset, sources)?;
    search.started = started;
    introduce(&search, &about);
    // Create the folder after all other checks.
    let dir = RunDir::create(search.request.base.output.as_deref(), &search.name)?;
    let env = search.environment();
    let files = SweepFiles::create(dir, &search.request, &search.preprocessing, env)?;
    finish(search, files)
}

/// The devices of a sweep.
///
/// # Errors
/// If there is no such device.
pub fn devices(request: &SweepRequest) -> Result<Vec<Arc<dyn DeviceSource>>, Failure> {
    let using = request.base.device_use();
    if request.all_devices {
        return Ok(lanes::all_sources(using)?);
    }
    Ok(vec![lanes::source(&DeviceRequest { device: &request.base.device, using })?])
}

/// Plans the sweep, with `$BNGPU_CHECKPOINT_EVERY` for its checkpoints.
///
/// # Errors
/// If it cannot be trained.
pub fn plan(
    request: SweepRequest,
    dataset: Dataset,
    sources: Vec<Arc<dyn DeviceSource>>,
) -> Result<Search, Failure> {
    let mut search = Search::new(request, dataset, sources)?;
    if let Ok(text) = std::env::var(CHECKPOINT_EVERY) {
        match humantime::parse_duration(&text) {
            Ok(every) => search.checkpoint_every = every,
            Err(_) => {
                warn(format!("note    {CHECKPOINT_EVERY}={text} is not a time such as 10s or 5m: using 30s"))
            }
        }
    }
    Ok(search)
}

/// Prints devices, data, space and plan; `about` describes the data.
pub fn introduce(search: &Search, about: &About) {
    let mut devices: Vec<&str> = search.lanes.iter().map(|lane| lane.source.why()).collect();
    devices.dedup();
    devices.into_iter().for_each(|why| tell("device", why));
    if search.request.base.quiet {
        return;
    }
    about.tell();
    let request = &search.request;
    let dimensions = request.space.dimensions.iter().map(dimension_text).collect::<Vec<_>>().join("  ");
    if !dimensions.is_empty() {
        tell("space", &dimensions);
    }
    tell("plan", &plan_text(search));
    let missing = search.request.trials.saturating_sub(search.trials().count() as u64);
    if let Some(shard) = request.shard {
        let others = counted(missing, "trial");
        tell(
            "note",
            &format!(
                "shard {}/{}: {others} belong to other shards; `bngpu merge` joins them",
                shard.index, shard.count
            ),
        );
    }
    say("");
}

/// "64 members in one population of 48 slots on 2 queues, about 40 s", or "about 412 trials fit into 2m, in one ...".
fn plan_text(search: &Search) -> String {
    let request = &search.request;
    let slots: Vec<String> = search.lanes.iter().map(|lane| lane.slots.slots.to_string()).collect();
    let same = slots.iter().all(|s| *s == slots[0]);
    let where_ = match (search.lanes.len(), same) {
        (1, _) => format!("one population of {} on one queue", counted_slots(&slots[0])),
        (lanes, true) => format!("populations of {} on {lanes} queues", counted_slots(&slots[0])),
        (lanes, false) => format!("populations of {} slots on {lanes} queues", listed(&slots)),
    };
    let seeds = match request.seeds {
        1 => String::new(),
        seeds => format!(" ({} x {seeds} seeds)", counted(search.trials().count() as u64, "trial")),
    };
    let halving = match (request.halving, search.rungs()) {
        (Some(halving), rungs) if !rungs.is_empty() => {
            let at = rungs.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
            format!(", halving at epochs {at} (1 of {} goes on)", halving.eta)
        }
        _ => String::new(),
    };
    let finals = match search.finals() {
        0 => String::new(),
        _ => format!(
            ", then the best {} x {} new seeds",
            request.trials.min(request.finalists.into()),
            request.final_seeds
        ),
    };
    if let Some(limit) = request.max_time {
        let trials = match (search.expected_trials(), search.trials().count() as u64) {
            (trials, all) if trials >= all => format!("all {} fit", counted(all, "trial")),
            (1, _) => "about 1 trial fits".into(),
            (trials, all) if !request.is_open() => {
                format!("about {} of {} trials fit", count(trials), count(all))
            }
            (trials, _) => format!("about {} trials fit", count(trials)),
        };
        let seeds = if request.seeds == 1 { String::new() } else { format!(" with {} seeds", request.seeds) };
        let limit = humantime::format_duration(limit);
        return format!("{trials}{seeds} into {limit}, in {where_}{halving}{finals} as far as time allows");
    }
    let (members, time) = (count(search.trainings()), duration(search.seconds));
    format!("{members} members{seeds} in {where_}{halving}{finals}, about {time}")
}

fn counted_slots(slots: &str) -> String {
    if slots == "1" { "1 slot".into() } else { format!("{slots} slots") }
}

/// Whether a folder holds a sweep: its configuration has a key that no training has.
///
/// # Errors
/// If it has no configuration.
pub fn is_sweep(dir: &RunDir) -> Result<bool, Failure> {
    let config = dir.read_config()?.parse::<toml::Table>();
    Ok(config.is_ok_and(|config| config.contains_key("strategy")))
}

/// The study of the sweep in `dir`.
///
/// # Errors
/// If it is not a sweep, or its configuration is damaged.
pub fn request_of(dir: &RunDir) -> Result<SweepRequest, Failure> {
    if !is_sweep(dir)? {
        let text = format!(
            "{} is the run of one training, not a sweep; give the folder that `bngpu sweep` printed",
            dir.path().display()
        );
        return Err(Failure::Usage(text));
    }
    Ok(SweepRequest::of_run(&dir.read_config()?, &dir.file(RunFile::Config))?)
}

/// Checks that the data are those of the sweep in `dir`.
///
/// # Errors
/// If they are not.
pub fn check_data(dir: &RunDir, env: &Environment, dataset: &Dataset) -> Result<(), Failure> {
    let then = env.data_fingerprint.clone();
    if then == dataset.fingerprint {
        return Ok(());
    }
    Err(Failure::OtherData {
        run: dir.path().display().to_string(),
        source_name: dataset.source.clone(),
        then,
        now: dataset.fingerprint.clone(),
    })
}

/// Continues the sweep in `dir`, which is locked.
///
/// # Errors
/// As [`run`].
pub fn resume(dir: RunDir, args: ResumeArgs) -> Result<Exit, Failure> {
    let started = Instant::now();
    let mut request = request_of(&dir)?;
    let reporting = args.common.reporting;
    (request.base.json, request.base.quiet, request.base.log) =
        (reporting.json, reporting.quiet, reporting.log);
    let as_begun = request.clone();
    let env = match dir.read_env() {
        Ok(env) => Some(env),
        // A sweep that was killed between its first two files has trained nothing.
        Err(RunError::Missing { .. }) if !dir.path().join(TRIALS).exists() => None,
        Err(error) => return Err(error.into()),
    };
    let sources = match (&args.common.device, &env) {
        (Some(device), _) => {
            (request.base.device, request.all_devices) = (device.clone(), false);
            devices(&request)?
        }
        (None, Some(env)) => devices_again(&request, env)?,
        (None, None) => devices(&request)?,
    };
    let dataset = load_data(&request.base, &request.base.data.source)?;
    if let Some(env) = &env {
        check_data(&dir, env, &dataset)?;
    }
    let about = about(&dataset, Held::BySeed);
    let mut search = plan(request, dataset, sources)?;
    search.started = started;
    introduce(&search, &about);
    let files = match env {
        Some(env) => SweepFiles::open(dir, &as_begun, &search.preprocessing, env)?,
        None => SweepFiles::create(dir, &as_begun, &search.preprocessing, search.environment())?,
    };
    let (ended, unfinished) = (files.records().len() as u64, files.unfinished().len() as u64);
    tell("resume", &format!("{} ended, {} under way", counted(ended, "training"), count(unfinished)));
    finish(search, files)
}

/// The devices that a sweep began on, as far as this machine has them.
fn devices_again(request: &SweepRequest, env: &Environment) -> Result<Vec<Arc<dyn DeviceSource>>, Failure> {
    if request.all_devices {
        return devices(request);
    }
    let name = env.engine.get("device").and_then(|name| name.as_str()).unwrap_or("auto");
    match lanes::source_again(name, request.base.device_use())? {
        Some(source) => Ok(vec![source]),
        None => {
            tell("note", &format!("this machine has no {name}, which the sweep began on: using --device"));
            devices(request)
        }
    }
}

/// Trains what is left of a sweep, and sums up.
pub fn finish(search: Search, files: SweepFiles) -> Result<Exit, Failure> {
    let start = Instant::now();
    let run = files.dir().path().display().to_string();
    let stop = Stop::on_signals_after(Exit::Interrupted.code(), give_back);
    let earlier = files.records().len() as u64;
    let files = Mutex::new(files);
    let view = View::start(&search);
    let end = search.run(&files, &view, &stop);
    let finals_left = view.finals_left();
    view.finish();
    let status = match end? {
        SweepEnd::Completed => Status::Completed,
        SweepEnd::Stopped => Status::Stopped,
        SweepEnd::Interrupted => Status::Interrupted,
    };
    let files = files.into_inner().unwrap_or_else(PoisonError::into_inner);
    let records = files.records().to_vec();
    let analysis = Analysis::new(&search.request, &records);
    let objective = search.request.objective;
    let best = best_model(files.dir().path(), &records, objective, analysis.winner.as_ref());
    let mut ensemble = None;
    if status != Status::Interrupted {
        files.export_end()?;
        match search.ensemble(&files) {
            Ok(found) => ensemble = found,
            Err(error) => warn(format!("note    the kept models could not be combined: {error}")),
        }
    }
    let dir = if status == Status::Completed { files.close()? } else { files.into_dir() };
    report::write(&dir)?;
    let wall_s = start.elapsed().as_secs_f64();
    let summary = SweepSummary {
        analysis: &analysis,
        status,
        run: &run,
        wall_s,
        earlier,
        model: best.as_deref(),
        ensemble: ensemble.as_ref(),
        finalists: search.request.finalists,
        shard: search.request.shard.is_some(),
        finals_left,
        limit: left_out(&search, status, &records),
    };
    result(summary.to_string(), search.request.base.json)?;
    if search.request.base.json {
        let device = search.lanes.first().map_or("none", |lane| lane.source.name());
        let result = SweepResult { ensemble, ..SweepResult::new(&analysis, status, &run, device, wall_s) };
        let json = serde_json::to_string(&result).unwrap_or_default();
        stdout::print(&(json + "\n")).map_err(Failure::Stdout)?;
    }
    Ok(exit(status, &records))
}

/// The time limit, if it left out trials, and the number that was asked for.
fn left_out(search: &Search, status: Status, records: &[TrialRecord]) -> Option<(Duration, Option<u64>)> {
    let all = search.trials().count() as u64;
    let trials: BTreeSet<u64> = records.iter().map(|record| record.trial).collect();
    let by_hand = records.iter().any(|record| record.stop_reason() == Some(StopReason::FinishedEarly));
    let limit = search.request.max_time.filter(|_| status == Status::Stopped && !by_hand)?;
    (trials.len() < all as usize).then_some((limit, Some(all).filter(|_| !search.request.is_open())))
}

/// `Diverged` if all trials diverged, `SomeTrialsFailed` if some could not be trained, `Error` if there was no time to
/// train anything.
fn exit(status: Status, records: &[TrialRecord]) -> Exit {
    let count = |status| records.iter().filter(|record| record.status == status).count();
    match () {
        () if status == Status::Interrupted => Exit::Interrupted,
        () if count(TrialStatus::Failed) > 0 => Exit::SomeTrialsFailed,
        () if records.is_empty() && status == Status::Stopped => Exit::Error,
        () if !records.is_empty() && count(TrialStatus::Diverged) == records.len() => Exit::Diverged,
        () => Exit::Done,
    }
}

/// Shows a running sweep, and passes on the user's requests.
struct View {
    live: Live,
    handle: live::Handle,
    requests: Mutex<mpsc::Receiver<Request>>,
    finals: Mutex<Finals>,
}

/// The final comparison, as far as the summary needs it.
#[derive(Clone, Copy, Debug, Default)]
struct Finals {
    /// Trainings of it that have begun or ended here.
    began: bool,
    planned: u64,
    ended: u64,
    /// The user finished the sweep early.
    finished_early: bool,
}

impl View {
    fn start(search: &Search) -> View {
        let (ask, requests) = mpsc::channel();
        let options = LiveOptions {
            aim: Aim { objective: search.request.objective, regression: search.problem.is_regression() },
            // Log lines would break up the view.
            is_terminal: stderr_is_terminal() && log::max_level() <= log::LevelFilter::Warn,
            quiet: search.request.base.quiet,
            at_once: Exit::Interrupted.code(),
        };
        let live = Live::start(options, ask);
        View { handle: live.handle(), live, requests: Mutex::new(requests), finals: Mutex::default() }
    }

    fn finals(&self) -> MutexGuard<'_, Finals> {
        self.finals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Trainings of the final comparison that ended, and all of them, if the user ended it before.
    fn finals_left(&self) -> Option<(u64, u64)> {
        let Finals { began, planned, ended, finished_early } = *self.finals();
        (began && finished_early && ended < planned).then_some((ended, planned))
    }

    /// Restores the terminal.
    fn finish(self) {
        self.live.finish();
    }
}

impl Observer for View {
    fn event(&self, event: SweepEvent) {
        match &event {
            SweepEvent::Planned { finals, .. } => self.finals().planned = *finals,
            SweepEvent::Started { stage: Stage::Final, .. } => self.finals().began = true,
            SweepEvent::Ended { record, .. } if record.stage == Stage::Final => self.finals().ended += 1,
            _ => {}
        }
        self.handle.tell(event);
    }

    fn request(&self) -> Option<Request> {
        let request = self.requests.lock().unwrap_or_else(PoisonError::into_inner).try_recv().ok();
        self.finals().finished_early |= request == Some(Request::FinishEarly);
        request
    }
}
