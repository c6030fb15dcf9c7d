//! What `sweep`, `resume` of a sweep and `lr-find` share: from devices and data to lanes that train.

use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use crate::base::text::{count, counted, duration};
use crate::data::{Dataset, Preprocessing};
use crate::engine::DeviceRequest;
use crate::engine::lanes::{self, DeviceSource};
use crate::population::Member;
use crate::run::{RunDir, RunFile};
use crate::spec::{Dimension, Domain, Params, Scale, SweepRequest};
use crate::sweep::lane::{Desk, Shared, Sink};
use crate::sweep::schedule::{Proposals, Scheduler, TrainingId};
use crate::sweep::search::{self, LanePlan, StageEnd};
use crate::sweep::{LaneInfo, Stage, Study, SweepEvent, Told, plan};
use crate::train::{MemberCheckpoint, Pace, Problem, Stop, Stored, TrainError, member};

use super::session::about;
use super::{Failure, anchored, load_data, say, tell, warn};

/// Trials that stand for all in planning.
const SAMPLE: usize = 64;
/// Names a time, for machines that may be taken away.
const CHECKPOINT_EVERY: &str = "BNGPU_CHECKPOINT_EVERY";
/// Share of a limited time that is planned with.
const TIME_TO_USE: f64 = 0.85;
/// Trainings that wait, for each slot, before no new ones start.
const WAITING: usize = 4;

/// A search that is known to be possible.
pub struct Search {
    pub request: SweepRequest,
    pub problem: Problem,
    pub preprocessing: Preprocessing,
    pub fingerprint: String,
    /// Name of the data, for the run's folder.
    pub name: String,
    pub lanes: Vec<LanePlan>,
    /// Seconds that everything will take, about.
    pub seconds: f64,
    /// Those of the final comparison.
    finals_s: f64,
    about: Vec<(&'static str, String)>,
}

/// The devices that a sweep asks for.
///
/// # Errors
/// If there is no such device.
pub fn devices(request: &SweepRequest) -> Result<Vec<DeviceSource>, Failure> {
    let using = request.base.device_use();
    if request.all_devices {
        return Ok(lanes::all_sources(using)?);
    }
    Ok(vec![lanes::source(&DeviceRequest { device: &request.base.device, using })?])
}

/// Loads the data, and anchors their place for the record.
///
/// # Errors
/// If they cannot be used.
pub fn data(request: &mut SweepRequest) -> Result<Dataset, Failure> {
    let base = &mut request.base;
    let dataset = load_data(base, &base.data.source)?;
    base.data.source = anchored(&base.data.source);
    let absolute = |dir: PathBuf| std::path::absolute(&dir).unwrap_or(dir);
    base.data.data_dir = base.data.data_dir.take().map(absolute);
    Ok(dataset)
}

impl Search {
    /// Checks what can be checked before there is a folder, and plans.
    ///
    /// # Errors
    /// If there is nothing to choose by, or no room for one member.
    pub fn new(
        request: SweepRequest,
        dataset: Dataset,
        sources: Vec<DeviceSource>,
    ) -> Result<Search, Failure> {
        let about = about(&dataset);
        let (preprocessing, fingerprint) = (dataset.preprocessing.clone(), dataset.fingerprint.clone());
        let name = request.base.name.clone().unwrap_or_else(|| dataset.name.clone());
        let problem = Problem::new(dataset);
        if problem.split.val == 0 {
            let text = "a sweep compares its trials on validation rows, and there are none; use a --val-split above 0";
            return Err(Failure::Usage(text.into()));
        }
        let mut search = Search {
            request,
            problem,
            preprocessing,
            fingerprint,
            name,
            lanes: Vec::new(),
            seconds: 0.0,
            finals_s: 0.0,
            about,
        };
        search.plan(sources)?;
        Ok(search)
    }

    /// Trainings of the search.
    pub fn trainings(&self) -> u64 {
        self.trials().count() as u64 * u64::from(self.request.seeds)
    }

    /// Numbers of the trials that are trained here.
    pub fn trials(&self) -> impl Iterator<Item = u64> + use<> {
        let shard = self.request.shard;
        (0..self.request.trials)
            .filter(move |trial| shard.is_none_or(|s| trial % u64::from(s.count) == u64::from(s.index)))
    }

    /// The seeds of the search, or of the final comparison.
    pub fn seeds(&self, stage: Stage) -> Vec<u64> {
        let SweepRequest { base, seeds, final_seeds, .. } = &self.request;
        let (skipped, taken) = match stage {
            Stage::Search => (0, *seeds),
            Stage::Final => (*seeds, *final_seeds),
        };
        (0..taken).map(|s| base.training.seed.wrapping_add((skipped + s).into())).collect()
    }

    /// Decides how many slots each lane's population has.
    fn plan(&mut self, sources: Vec<DeviceSource>) -> Result<(), Failure> {
        let request = &self.request;
        let study = Study::new(request)?;
        let mut members = Vec::new();
        for params in study.estimate(SAMPLE) {
            let of = request.run_request(&params, request.base.training.seed)?;
            let member = member(&of.training, &self.problem)
                .map_err(|error| Failure::Usage(format!("{}: {error}", params_text(&params))))?;
            members.push(Arc::new(member));
        }
        let queues = request.queues.unwrap_or(1) as usize;
        let trainings = self.trainings().max(1) as usize;
        let largest = self.largest(&study);
        let all: Vec<&Member> = members.iter().map(Arc::as_ref).chain(&largest).collect();
        let lanes = queues * sources.len();
        // Trainings per second of all lanes.
        let mut rate = 0.0;
        for mut source in sources {
            let wanted = request.population.map_or(plan::MOST_SLOTS, |k| k as usize);
            let most = wanted.min(trainings.div_ceil(lanes)).max(1);
            let (slots, speed) = loop {
                let Some(slots) = plan::fit(&source, &all, most, queues) else {
                    return Err(Failure::Usage(no_room(&source, &all)));
                };
                let factory = source.factory_of_it_alone();
                match plan::measure(factory.as_ref(), &self.problem, &members, slots.slots) {
                    Ok(speed) => break (slots, speed),
                    Err(error) => source = source.after(error)?,
                }
            };
            let mean = members.iter().map(|member| speed.seconds(member)).sum::<f64>() / members.len() as f64;
            // Lanes of the processor share its cores.
            let lanes = if source.is_processor() { 1.0 } else { queues as f64 };
            rate += lanes / mean;
            self.lanes.extend((0..queues).map(|_| LanePlan { source: source.clone(), slots }));
        }
        let epochs = members.first().map_or(0, |m| m.total_steps().div_ceil(m.walk.steps_per_epoch));
        let share = plan::halving_share(self.request.halving, self.request.trials, epochs);
        self.finals_s = self.finals() as f64 / rate;
        self.seconds = trainings as f64 * share / rate + self.finals_s;
        Ok(())
    }

    /// The members with the largest batch, one for each architecture of a set, which the sample may have missed.
    fn largest(&self, study: &Study) -> Vec<Member> {
        let request = &self.request;
        let (hidden, batch) = (request.space.get("hidden"), request.space.get("batch-size"));
        let Some(usual) = study.estimate(1).pop().filter(|_| hidden.is_some() || batch.is_some()) else {
            return Vec::new();
        };
        let architectures = match hidden.map(|dimension| &dimension.domain) {
            Some(Domain::Set(values)) => values.iter().map(Some).collect(),
            _ => vec![None],
        };
        let most = batch.and_then(|dimension| match &dimension.domain {
            Domain::Set(values) => values.iter().max_by_key(|value| value.as_u64()).cloned(),
            Domain::Range { high, .. } => Some((*high as u64).into()),
        });
        let member = |architecture: Option<&serde_json::Value>| {
            let mut params = usual.clone();
            params.extend(architecture.map(|value| ("hidden".to_owned(), value.clone())));
            params.extend(most.clone().map(|value| ("batch-size".to_owned(), value)));
            let of = request.run_request(&params, request.base.training.seed).ok()?;
            member(&of.training, &self.problem).ok()
        };
        architectures.into_iter().filter_map(member).collect()
    }

    /// Leaves as many trials and finalists as `--max-time` is expected to have time for, a third of it for the final
    /// comparison: none that is begun need then be cut short.
    pub fn fit_time(&mut self) {
        let (Some(limit), None) = (self.request.max_time, self.request.shard) else { return };
        let limit = TIME_TO_USE * limit.as_secs_f64();
        let asked = (self.request.trials, self.request.finalists);
        let one_trial = (self.seconds - self.finals_s) / asked.0 as f64;
        let one_finalist = self.finals_s / asked.1.clamp(1, asked.0.min(u32::MAX.into()) as u32) as f64;
        let fits = |time: f64, one: f64| if one > 0.0 { (time / one) as u64 } else { u64::MAX };
        let finalists = fits(limit / 3.0, one_finalist).min(asked.1.into()) as u32;
        // One alone has nobody to be compared with.
        self.request.finalists = if finalists < asked.1.min(2) { 0 } else { finalists };
        self.finals_s = one_finalist * f64::from(self.request.finalists);
        self.request.trials = fits(limit - self.finals_s, one_trial).clamp(1, asked.0);
        self.seconds = self.finals_s + one_trial * self.request.trials as f64;
        // Slots that are never filled cost a little in every step.
        let most = self.trainings().max(self.finals()).div_ceil(self.lanes.len().max(1) as u64).max(1);
        self.lanes.iter_mut().for_each(|lane| lane.slots.slots = lane.slots.slots.min(most as usize));
        if asked != (self.request.trials, self.request.finalists) {
            let (trials, finalists) = (self.request.trials, u64::from(self.request.finalists));
            let (of, finalists) = (counted(asked.0, "trial"), counted(finalists, "finalist"));
            self.about.push((
                "note",
                format!(
                    "--max-time has time for {} of {of} and for {finalists}; the others are left out",
                    count(trials)
                ),
            ));
        }
    }

    /// Trainings of the final comparison, at most.
    fn finals(&self) -> u64 {
        let SweepRequest { finalists, final_seeds, trials, shard, .. } = &self.request;
        match shard {
            None => trials.min(&u64::from(*finalists)) * u64::from(*final_seeds),
            Some(_) => 0,
        }
    }

    /// Time that the final comparison needs, about, with a little to spare; at most half of the limit.
    pub fn finals_time(&self) -> Duration {
        let half = self.request.max_time.unwrap_or_default() / 2;
        Duration::try_from_secs_f64(1.2 * self.finals_s).unwrap_or(half).min(half)
    }

    /// The point that a training's files hold, if they are of this training.
    pub fn checkpoint(
        &self,
        id: TrainingId,
        params: &Params,
        dir: &RunDir,
        stored: &Stored,
    ) -> Option<MemberCheckpoint> {
        let request = self.request.run_request(params, id.seed).ok()?;
        let member = member(&request.training, &self.problem).ok()?;
        let same = stored.request.training == request.training && stored.fingerprint() == self.fingerprint;
        let mut at = stored.checkpoint(dir, &member).ok().filter(|at| same && at.state.ended.is_none())?;
        if at.history.len() as u64 != at.state.epochs {
            return None;
        }
        if let Some(best) = at.state.best {
            // The best model may be newer than the state; then this training begins anew.
            let file = Stored::load(dir, RunFile::Best).ok()?;
            if file.best().ok()? != (best.epoch, best.step) {
                return None;
            }
            at.best = Some(Arc::new(file.file.layers));
        }
        Some(at)
    }

    /// Says what is going to be done: devices, data, space, plan.
    pub fn introduce(&self) {
        let mut devices: Vec<&str> = self.lanes.iter().map(|lane| lane.source.why()).collect();
        devices.dedup();
        devices.into_iter().for_each(|why| tell("device", why));
        if self.request.base.quiet {
            return;
        }
        self.about.iter().for_each(|(heading, text)| tell(heading, text));
        let request = &self.request;
        let dimensions = request.space.dimensions.iter().map(dimension).collect::<Vec<_>>().join("  ");
        if !dimensions.is_empty() {
            tell("space", &dimensions);
        }
        tell("plan", &self.plan_text());
        let missing = self.request.trials.saturating_sub(self.trials().count() as u64);
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

    /// "64 members in one population of 48 slots on 2 queues, about 40 s".
    fn plan_text(&self) -> String {
        let request = &self.request;
        let slots: Vec<String> = self.lanes.iter().map(|lane| lane.slots.slots.to_string()).collect();
        let same = slots.iter().all(|s| *s == slots[0]);
        let where_ = match (self.lanes.len(), same) {
            (1, _) => format!("one population of {} on one queue", counted_slots(&slots[0])),
            (lanes, true) => format!("populations of {} on {lanes} queues", counted_slots(&slots[0])),
            (lanes, false) => format!("populations of {} slots on {lanes} queues", slots.join(", ")),
        };
        let seeds = match request.seeds {
            1 => String::new(),
            seeds => format!(" ({} x {seeds} seeds)", counted(self.trials().count() as u64, "trial")),
        };
        let halving = match (request.halving, self.rungs()) {
            (Some(halving), rungs) if !rungs.is_empty() => {
                let at = rungs.iter().map(u64::to_string).collect::<Vec<_>>().join(", ");
                format!(", halving at epochs {at} (1 of {} goes on)", halving.eta)
            }
            _ => String::new(),
        };
        let finals = match self.finals() {
            0 => String::new(),
            _ => format!(
                ", then the best {} x {} new seeds",
                request.trials.min(request.finalists.into()),
                request.final_seeds
            ),
        };
        let (members, time) = (count(self.trainings()), duration(self.seconds));
        format!("{members} members{seeds} in {where_}{halving}{finals}, about {time}")
    }

    fn rungs(&self) -> Vec<u64> {
        match self.request.base.training.length {
            crate::spec::Length::Epochs(epochs) => {
                crate::sweep::schedule::rungs(self.request.halving, epochs)
            }
            crate::spec::Length::Steps(_) => Vec::new(),
        }
    }

    /// The schedule of a stage over `trials`.
    pub fn scheduler(
        &self,
        stage: Stage,
        trials: Vec<u64>,
        proposals: Box<dyn Proposals>,
    ) -> Scheduler<MemberCheckpoint> {
        let halving = self.request.halving.filter(|_| stage == Stage::Search);
        let epochs = match self.request.base.training.length {
            crate::spec::Length::Epochs(epochs) => epochs,
            crate::spec::Length::Steps(_) => u64::MAX,
        };
        let slots: usize = self.lanes.iter().map(|lane| lane.slots.slots).sum();
        Scheduler::new(proposals, trials, self.seeds(stage), halving, epochs, WAITING * slots)
    }

    /// Lanes, for those who watch.
    pub fn lane_infos(&self) -> Vec<LaneInfo> {
        let info = |(at, lane): (usize, &LanePlan)| LaneInfo {
            name: at.to_string(),
            device: lane.source.name().into(),
            slots: lane.slots.slots as u32,
        };
        self.lanes.iter().enumerate().map(info).collect()
    }

    /// What the lanes of a stage have in common.
    pub fn shared<'a>(
        &'a self,
        stage: Stage,
        scheduler: Scheduler<MemberCheckpoint>,
        sink: &'a Mutex<dyn Sink>,
        tell: &'a (dyn Fn(SweepEvent) + Sync),
        stop: &'a Stop,
        deadline: Option<Instant>,
    ) -> Shared<'a> {
        Shared {
            request: &self.request,
            problem: &self.problem,
            stage,
            desk: Mutex::new(Desk::new(scheduler)),
            changed: Condvar::new(),
            sink,
            tell,
            stop,
            deadline,
            pace: pace(),
        }
    }

    /// Trains a stage.
    ///
    /// # Errors
    /// Of the files and of the devices.
    pub fn run(&self, shared: &Shared) -> Result<StageEnd, TrainError> {
        search::run(shared, &self.lanes)
    }
}

/// "lr 1e-4..1e-1:log", "beta1 0.8,0.9".
fn dimension(dimension: &Dimension) -> String {
    let values = match &dimension.domain {
        Domain::Set(values) => values.iter().map(value_text).collect::<Vec<_>>().join(","),
        Domain::Range { low, high, scale, .. } => {
            let scale = match scale {
                Scale::Linear => "",
                Scale::Log => ":log",
                Scale::Ema => ":ema",
            };
            format!("{}..{}{scale}", value_text(&(*low).into()), value_text(&(*high).into()))
        }
    };
    format!("{} {values}", dimension.key)
}

/// A value as it is typed.
fn value_text(value: &serde_json::Value) -> String {
    match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Bool(on) => if *on { "on" } else { "off" }.into(),
        serde_json::Value::Number(number) => match number.as_f64() {
            Some(number) if number != 0.0 && !(1e-3..1e5).contains(&number.abs()) => format!("{number:e}"),
            Some(number) => format!("{number}"),
            None => number.to_string(),
        },
        other => other.to_string(),
    }
}

/// The values of a trial as they are typed: "lr 0.01, hidden 64x2".
pub fn params_text(params: &Params) -> String {
    let one = |(key, value): (&String, &serde_json::Value)| format!("{key} {}", value_text(value));
    let all: Vec<String> = params.iter().map(one).collect();
    if all.is_empty() { "the settings of all".into() } else { all.join(", ") }
}

fn counted_slots(slots: &str) -> String {
    if slots == "1" { "1 slot".into() } else { format!("{slots} slots") }
}

fn no_room(source: &DeviceSource, members: &[&Member]) -> String {
    let largest =
        members.iter().map(|m| m.sizes.iter().map(|&s| 4 * s as u64).sum::<u64>()).max().unwrap_or(0);
    let bytes = crate::base::text::bytes;
    let limit = [source.memory().map(|m| m / 2), source.largest_role()].into_iter().flatten().min();
    format!(
        "there is no memory for one member: the largest of the space needs {}, and {} has {} for it; use fewer hidden \
         units or a smaller --batch-size",
        bytes(largest),
        source.name(),
        limit.map_or("less".into(), bytes)
    )
}

/// Settings that are given, for trials whose settings are known.
pub struct Known(pub Vec<(u64, Params)>);

impl Proposals for Known {
    fn params(&self, trial: u64, _: &[Told]) -> Params {
        self.0
            .iter()
            .find(|(number, _)| *number == trial)
            .map(|(_, params)| params.clone())
            .unwrap_or_default()
    }
    fn window(&self) -> Option<u64> {
        None
    }
}

/// A limit of time from now on.
pub fn deadline(limit: Option<Duration>) -> Option<Instant> {
    limit.and_then(|limit| Instant::now().checked_add(limit))
}

/// How often checkpoints are taken.
fn pace() -> Pace {
    let every = checkpoint_every();
    // A fault of a device loses a third of what a kill of the process does.
    Pace { store_every: every, read_every: every / 3, epoch_every: every / 3, ..Pace::default() }
}

/// How often what is under way is stored: `$BNGPU_CHECKPOINT_EVERY`, a time as `10s`, or half a minute.
fn checkpoint_every() -> Duration {
    let asked = std::env::var(CHECKPOINT_EVERY).ok();
    let time = asked.as_deref().map(|text| (text, humantime::parse_duration(text)));
    match time {
        Some((_, Ok(time))) => time,
        Some((text, Err(_))) => {
            warn(format!("note    {CHECKPOINT_EVERY}={text} is no time, as 10s or 5m: 30s is taken"));
            Duration::from_secs(30)
        }
        None => Duration::from_secs(30),
    }
}

/// The identity of a training.
pub fn id(trial: u64, seed: u64) -> TrainingId {
    TrainingId { trial, seed }
}
