//! `bngpu sweep`, and `bngpu resume` of a sweep.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

use crate::base::text::{count, counted};
use crate::cli::{Exit, ResumeArgs, SweepArgs};
use crate::engine::lanes::{self, DeviceSource};
use crate::report::live::{Aim, Live, LiveOptions, give_back};
use crate::report::{Status, SweepResult, SweepSummary, stdout};

use crate::data::Dataset;
use crate::run::{Environment, RunDir, RunFile};
use crate::spec::{Params, SweepRequest};
use crate::sweep::analysis::{Analysis, finalists};
use crate::sweep::files::{SweepFiles, best_model};
use crate::sweep::lane::{Shared, Sink, lock};
use crate::sweep::schedule::{Scheduler, TrainingId};
use crate::sweep::search::StageEnd;
use crate::sweep::{Request, Stage, Study, SweepEvent, TrialRecord, TrialStatus, outcome, tensorboard};
use crate::train::{MemberCheckpoint, Stop};

use super::search::{Known, Search, data, deadline, devices, id};
use super::{Failure, load_data, report, say, start_log, stderr_is_terminal, tell};

/// Event files, in the folder of the sweep.
const TENSORBOARD: &str = "tensorboard";

pub fn run(args: SweepArgs) -> Result<Exit, Failure> {
    let mut request = args.request()?;
    let base = &request.base;
    start_log(base.log, base.quiet, base.json);
    if let Some(output) = &base.output {
        RunDir::check_free(output)?;
    }
    let sources = devices(&request)?;
    let dataset = data(&mut request)?;
    let mut search = Search::new(request, dataset, sources)?;
    search.fit_time();
    search.introduce();
    // The folder is made when nothing else can be wrong any more.
    let dir = RunDir::create(search.request.base.output.as_deref(), &search.name)?;
    let devices: Vec<_> = search.lane_infos().iter().map(|lane| lane.device.clone()).collect();
    let engine = serde_json::json!({
        "engine": if search.lanes.iter().all(|lane| lane.source.largest_role().is_none()) { "cpu" } else { "gpu" },
        "device": devices.first(),
        "lanes": devices,
        "slots": search.lanes.iter().map(|lane| lane.slots.slots).collect::<Vec<_>>(),
    });
    let env = Environment::now(engine, &search.fingerprint);
    let files = SweepFiles::create(dir, &search.request, &search.preprocessing, env)?;
    finish(search, files)
}

/// Whether a folder is that of a sweep: its configuration has what no training has.
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
            "{} is the run of one training, no sweep; give the folder that `bngpu sweep` printed",
            dir.path().display()
        );
        return Err(Failure::Usage(text));
    }
    Ok(SweepRequest::from_toml(&dir.read_config()?, &dir.file(RunFile::Config))?)
}

/// Whether the data are those of the sweep in `dir`.
///
/// # Errors
/// If they are not.
pub fn check_data(dir: &RunDir, dataset: &Dataset) -> Result<(), Failure> {
    let then = dir.read_env()?.data_fingerprint;
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

/// Goes on with the sweep in `dir`, which is locked.
///
/// # Errors
/// As [`run`].
pub fn resume(dir: RunDir, args: ResumeArgs) -> Result<Exit, Failure> {
    let mut request = request_of(&dir)?;
    let reporting = args.common.reporting;
    (request.base.json, request.base.quiet, request.base.log) =
        (reporting.json, reporting.quiet, reporting.log);
    let as_begun = request.clone();
    let env = dir.read_env()?;
    let sources = match &args.common.device {
        Some(device) => {
            (request.base.device, request.all_devices) = (device.clone(), false);
            devices(&request)?
        }
        None => devices_again(&request, &env)?,
    };
    let dataset = load_data(&request.base, &request.base.data.source)?;
    check_data(&dir, &dataset)?;
    let search = Search::new(request, dataset, sources)?;
    search.introduce();
    let files = SweepFiles::open(dir, &as_begun, &search.preprocessing, env)?;
    let (ended, unfinished) = (files.records().len() as u64, files.unfinished().len() as u64);
    tell("resume", &format!("{} ended, {} under way", counted(ended, "training"), count(unfinished)));
    finish(search, files)
}

/// The devices that a sweep began on, as far as this machine has them.
fn devices_again(request: &SweepRequest, env: &Environment) -> Result<Vec<DeviceSource>, Failure> {
    if request.all_devices {
        return devices(request);
    }
    let name = env.engine.get("device").and_then(|name| name.as_str()).unwrap_or("auto");
    match lanes::source_again(name, request.base.device_use())? {
        Some(source) => Ok(vec![source]),
        None => {
            tell("note", &format!("this machine has no {name}, which the sweep began on: --device decides"));
            devices(request)
        }
    }
}

/// Trains what is left of a sweep, and sums up.
pub fn finish(search: Search, files: SweepFiles) -> Result<Exit, Failure> {
    let start = Instant::now();
    let run = files.dir().path().display().to_string();
    let deadline = deadline(search.request.max_time);
    let stop = Stop::on_signals_after(Exit::Interrupted.code(), give_back);
    let before = files.records().to_vec();
    let files = Mutex::new(files);
    let watch = Watch::start(&search, &stop, &before);
    let result = stages(&search, &files, &watch, &stop, deadline);
    watch.finish();
    let end = result?;
    let files = files.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let records = files.records().to_vec();
    let analysis = Analysis::new(&search.request, &records);
    let status = match end {
        StageEnd::Interrupted => Status::Interrupted,
        StageEnd::Done if watch.cut_short.load(Ordering::SeqCst) => Status::Stopped,
        StageEnd::Done => Status::Completed,
    };
    let objective = search.request.objective;
    let best = best_model(files.dir().path(), &records, objective, analysis.winner.as_ref());
    if status != Status::Interrupted && search.request.tensorboard {
        tensorboard::write(
            &files.dir().path().join(TENSORBOARD),
            &search.request.space,
            &files.kept_records(),
        )?;
    }
    let dir = if status == Status::Interrupted { files.into_dir() } else { files.close()? };
    report::write(&dir)?;
    let wall_s = start.elapsed().as_secs_f64();
    let summary = SweepSummary {
        analysis: &analysis,
        status,
        run: &run,
        wall_s,
        earlier: before.len() as u64,
        model: best.as_deref(),
        finalists: search.request.finalists,
        shard: search.request.shard.is_some(),
    };
    say(summary.to_string());
    if search.request.base.json {
        let device = search.lanes.first().map_or("none", |lane| lane.source.name());
        let result = SweepResult::new(&analysis, status, &run, device, wall_s);
        let json = serde_json::to_string(&result).unwrap_or_default();
        stdout::print(&(json + "\n")).map_err(Failure::Stdout)?;
    }
    Ok(exit(status, &records))
}

/// All that diverged: 4; some that could not be trained: 3.
fn exit(status: Status, records: &[TrialRecord]) -> Exit {
    let count = |status| records.iter().filter(|record| record.status == status).count();
    match () {
        () if status == Status::Interrupted => Exit::Interrupted,
        () if count(TrialStatus::Failed) > 0 => Exit::SomeTrialsFailed,
        () if !records.is_empty() && count(TrialStatus::Diverged) == records.len() => Exit::Diverged,
        () => Exit::Done,
    }
}

/// The search, then the final comparison of those that cannot be told apart.
fn stages(
    search: &Search,
    files: &Mutex<SweepFiles>,
    watch: &Watch,
    stop: &Stop,
    deadline: Option<Instant>,
) -> Result<StageEnd, Failure> {
    let study = Study::new(&search.request)?;
    let scheduler = search.scheduler(Stage::Search, search.trials().collect(), Box::new(study));
    // Of a limited time, the final comparison is left its part.
    let limit = deadline.map(|deadline| deadline.checked_sub(search.finals_time()).unwrap_or(deadline));
    let end = stage(search, Stage::Search, scheduler, files, watch, stop, limit)?;
    if end == StageEnd::Interrupted || search.request.shard.is_some() || watch.ended_early() {
        return Ok(end);
    }
    let records = lock(files).records().to_vec();
    let params = |trial: u64| records.iter().find(|r| r.trial == trial).map(|r| r.params.clone());
    let mut known: Vec<(u64, Params)> =
        finalists(&records, &search.request).into_iter().filter_map(|t| Some((t, params(t)?))).collect();
    if known.is_empty() {
        return Ok(end);
    }
    known.sort_unstable_by_key(|(trial, _)| *trial);
    let trials: Vec<u64> = known.iter().map(|(trial, _)| *trial).collect();
    watch.plan_finals(search, trials.len());
    let scheduler = search.scheduler(Stage::Final, trials, Box::new(Known(known)));
    stage(search, Stage::Final, scheduler, files, watch, stop, deadline)
}

/// Trains one stage from where the files have it.
fn stage(
    search: &Search,
    stage: Stage,
    mut scheduler: Scheduler<MemberCheckpoint>,
    files: &Mutex<SweepFiles>,
    watch: &Watch,
    stop: &Stop,
    deadline: Option<Instant>,
) -> Result<StageEnd, Failure> {
    restore(search, stage, &mut scheduler, &lock(files));
    let tell = |event| watch.tell(event);
    let shared = search.shared(stage, scheduler, files, &tell, stop, deadline);
    let over = AtomicBool::new(false);
    let end = std::thread::scope(|scope| {
        scope.spawn(|| watch.heed(&shared, &over));
        let end = search.run(&shared);
        over.store(true, Ordering::SeqCst);
        end
    })?;
    if end == StageEnd::Interrupted {
        let mut desk = lock(&shared.desk);
        let waiting: Vec<(TrainingId, MemberCheckpoint)> =
            desk.scheduler.waiting().map(|(id, at)| (id, at.clone())).collect();
        for (id, at) in waiting {
            let params = desk.scheduler.params_of(id.trial).unwrap_or_default();
            if let Ok((request, member)) = shared.training(id, &params) {
                lock(files).progress(id, &request, &member, &at)?;
            }
        }
    }
    if lock(&shared.desk).finish.is_some() {
        watch.cut_short.store(true, Ordering::SeqCst);
    }
    Ok(end)
}

/// Enters what earlier processes did into the schedule.
fn restore(search: &Search, stage: Stage, scheduler: &mut Scheduler<MemberCheckpoint>, files: &SweepFiles) {
    let objective = search.request.objective;
    for record in files.records().iter().filter(|record| record.stage == stage) {
        let value = record.value(objective);
        scheduler.restore_ended(id(record.trial, record.seed), &record.rungs, value);
    }
    let seeds = search.seeds(stage);
    for (id, dir, stored) in files.unfinished() {
        let Some(params) = scheduler.params_of(id.trial).filter(|_| seeds.contains(&id.seed)) else {
            continue;
        };
        let Some(at) = search.checkpoint(id, &params, &dir, &stored) else { continue };
        let rungs = scheduler.rungs().to_vec();
        let values = outcome::values_at(objective, &at.history, &rungs);
        let values: Vec<f64> = values.into_iter().map(|value| value.unwrap_or(f64::INFINITY)).collect();
        let at_rung = rungs.contains(&at.state.epochs) && at.state.open.steps == 0;
        scheduler.restore_begun(id, &values, at_rung, at);
    }
}

/// Those who watch: the live view, or lines; and what they ask for.
struct Watch {
    live: Mutex<Option<Live>>,
    tell: crate::report::live::Handle,
    asked: Mutex<mpsc::Receiver<Request>>,
    stop: Stop,
    /// A person wants no more of it, the final comparison neither.
    early: AtomicBool,
    /// Something ended before its time, by a person or by the clock.
    cut_short: AtomicBool,
}

impl Watch {
    fn start(search: &Search, stop: &Stop, before: &[TrialRecord]) -> Watch {
        let base = &search.request.base;
        let (ask, asked) = mpsc::channel();
        let options = LiveOptions {
            aim: Aim { objective: search.request.objective, regression: search.problem.is_regression() },
            // Log lines would tear the view apart.
            is_terminal: stderr_is_terminal() && log::max_level() <= log::LevelFilter::Warn,
            quiet: base.quiet,
            at_once: Exit::Interrupted.code(),
        };
        let live = Live::start(options, ask);
        let watch = Watch {
            tell: live.handle(),
            live: Mutex::new(Some(live)),
            asked: Mutex::new(asked),
            stop: stop.clone(),
            early: AtomicBool::new(false),
            cut_short: AtomicBool::new(false),
        };
        watch.tell(SweepEvent::Planned {
            trials: search.trials().count() as u64,
            trainings: search.trainings(),
            lanes: search.lane_infos(),
        });
        for record in before {
            watch.tell(SweepEvent::Ended { lane: 0, slot: record.slot, record: Box::new(record.clone()) });
        }
        watch
    }

    /// The final comparison comes on top.
    fn plan_finals(&self, search: &Search, finalists: usize) {
        let finals = (finalists * search.request.final_seeds as usize) as u64;
        self.tell(SweepEvent::Planned {
            trials: search.trials().count() as u64,
            trainings: search.trainings() + finals,
            lanes: search.lane_infos(),
        });
    }

    fn tell(&self, event: SweepEvent) {
        self.tell.tell(event);
    }

    /// Passes on what is asked for until the stage is over.
    fn heed(&self, shared: &Shared, over: &AtomicBool) {
        let asked = lock(&self.asked);
        while !over.load(Ordering::SeqCst) {
            match asked.recv_timeout(Duration::from_millis(50)) {
                Ok(Request::StopTrial { trial, seed }) => {
                    lock(&shared.desk).stops.insert(id(trial, seed));
                }
                Ok(Request::FinishEarly) => {
                    lock(&shared.desk).finish.get_or_insert_with(|| "the sweep was finished early".into());
                    self.early.store(true, Ordering::SeqCst);
                }
                Ok(Request::Interrupt) => self.stop.ask(),
                Err(mpsc::RecvTimeoutError::Timeout) => {}
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Whether a person ended the search.
    fn ended_early(&self) -> bool {
        self.early.load(Ordering::SeqCst)
    }

    /// Leaves the terminal as it was.
    fn finish(&self) {
        if let Some(live) = lock(&self.live).take() {
            live.finish();
        }
    }
}
