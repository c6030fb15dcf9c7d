//! Plans a sweep before anything is written: devices, data and slots.

use std::sync::Arc;
use std::time::{Duration, Instant};

use thiserror::Error;

use crate::base::text::bytes;
use crate::data::{Dataset, Preprocessing};
use crate::engine::DeviceSource;
use crate::engine::EngineError;
use crate::population::Member;
use crate::run::{Environment, RunDir, RunError, RunFile};
use crate::spec::{ConfigError, Dimension, Domain, Length, Params, SweepRequest};
use crate::train::{MemberCheckpoint, Problem, Stored, TrainError, member_of_run};

use super::budget::{Budget, Terms};
use super::plan::Speed;
use super::schedule::{Proposals, Scheduler, TrainingId, rungs};
use super::stage::LanePlan;
use super::text::params_text;
use super::{LaneInfo, Stage, Study, Told, plan};

/// Trials in the sample used for planning.
const SAMPLE: usize = 64;
/// With a time limit, a whole training of a full population should take at most this share of it.
const TRAINING_SHARE: f64 = 0.25;
/// With a time limit, most members to time: the time is needed for the search.
const TIMED: usize = 16;
/// With a time limit, slots for each thread of a processor, and the least: trainings end one after another, not all
/// at the end.
const SLOTS_PER_THREAD: usize = 2;
const LEAST_SLOTS: usize = 4;
/// Finalists may have this many times their seeds while a time limit leaves time.
const MORE_SEEDS: u32 = 4;
/// A prediction's share of the time of a training step with the same rows.
const FORWARD: f64 = 1.0 / 3.0;
/// Largest share of a time limit that is kept for the final comparison; with folds, its models are the ensemble.
const FINALS: f64 = 1.0 / 3.0;
const FINALS_OF_FOLDS: f64 = 0.5;
/// How often running trainings are stored, by default.
const CHECKPOINT_EVERY: Duration = Duration::from_secs(30);
/// With this many waiting trainings per slot, no new ones start.
const WAITING: usize = 4;

/// Why a sweep cannot be planned or cannot continue.
#[derive(Debug, Error)]
pub enum SweepError {
    #[error("a sweep compares its trials on validation rows, but there are none; use a --val-split above 0")]
    NoValidation,
    /// A setting of the space cannot be trained.
    #[error("{setting}: {cause}")]
    Setting { setting: String, cause: Box<TrainError> },
    /// The largest member of the space does not fit the device.
    #[error(
        "not enough memory for one member: the largest in the space needs {}, but {device} has {} for it; use fewer \
         hidden units or a smaller --batch-size",
        bytes(*needed), limit.map_or("less".into(), bytes)
    )]
    NoRoom { device: String, needed: u64, limit: Option<u64> },
    #[error(transparent)]
    Config(Box<ConfigError>),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Train(Box<TrainError>),
    #[error(transparent)]
    Run(#[from] RunError),
}

impl From<ConfigError> for SweepError {
    fn from(error: ConfigError) -> Self {
        SweepError::Config(Box::new(error))
    }
}

impl From<TrainError> for SweepError {
    fn from(error: TrainError) -> Self {
        SweepError::Train(Box::new(error))
    }
}

/// A search that has been checked and planned.
pub struct Search {
    pub request: SweepRequest,
    pub problem: Problem,
    pub preprocessing: Preprocessing,
    pub fingerprint: String,
    /// What each column was taken for, for the record.
    columns: serde_json::Value,
    /// Name of the data, for the run's folder.
    pub name: String,
    pub lanes: Vec<LanePlan>,
    /// Estimated seconds for everything.
    pub seconds: f64,
    /// How often running trainings are stored.
    pub checkpoint_every: Duration,
    /// When `--max-time` began to count; until it is set, when the search was planned.
    pub started: Instant,
    /// Speed of the first device, by which the costs of trainings are predicted.
    pub(super) speed: Option<Speed>,
    /// Predicted seconds of trainings, done in a second by all lanes.
    rate: f64,
    /// How many times its predicted seconds a training takes alone on a device.
    parallel: usize,
    /// Predicted seconds of a training, on average.
    mean_s: f64,
    /// The same of the ensemble's predictions for the validation and test rows.
    ensemble_s: f64,
}

impl Search {
    /// Checks the sweep and plans it, before there is a folder.
    ///
    /// # Errors
    /// If there are no validation rows, or no memory for one member.
    pub fn new(
        request: SweepRequest,
        dataset: Dataset,
        sources: Vec<Arc<dyn DeviceSource>>,
    ) -> Result<Search, SweepError> {
        let (preprocessing, fingerprint) = (dataset.preprocessing.clone(), dataset.fingerprint.clone());
        let columns = dataset.columns_record();
        let name = request.base.name.clone().unwrap_or_else(|| dataset.name.clone());
        let problem = Problem::new(dataset);
        if problem.split.val == 0 {
            return Err(SweepError::NoValidation);
        }
        let mut search = Search {
            request,
            problem,
            preprocessing,
            fingerprint,
            columns,
            name,
            lanes: Vec::new(),
            seconds: 0.0,
            checkpoint_every: CHECKPOINT_EVERY,
            started: Instant::now(),
            speed: None,
            rate: 1.0,
            parallel: 1,
            mean_s: 0.0,
            ensemble_s: 0.0,
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
    pub(super) fn seeds(&self, stage: Stage) -> Vec<u64> {
        let SweepRequest { base, seeds, final_seeds, more_seeds, .. } = &self.request;
        let (skipped, taken) = match stage {
            Stage::Search => (0, *seeds),
            Stage::Final if *more_seeds => (*seeds, MORE_SEEDS * *final_seeds),
            Stage::Final => (*seeds, *final_seeds),
        };
        (0..taken).map(|s| base.training.nth_seed((skipped + s).into())).collect()
    }

    /// Decides how many slots each lane's population has.
    fn plan(&mut self, sources: Vec<Arc<dyn DeviceSource>>) -> Result<(), SweepError> {
        let request = &self.request;
        let study = Study::new(request)?;
        let mut members = Vec::new();
        for params in study.estimate(SAMPLE) {
            let of = request.run_request(&params, request.base.training.seed)?;
            let member = member_of_run(&of, &self.problem).map_err(|cause| SweepError::Setting {
                setting: params_text(&params),
                cause: Box::new(cause),
            })?;
            members.push(Arc::new(member));
        }
        let queues = request.queues.unwrap_or(1) as usize;
        let trainings = self.trainings().max(1) as usize;
        let largest = self.largest(&study);
        let all: Vec<&Member> = members.iter().map(Arc::as_ref).chain(&largest).collect();
        let lanes = queues * sources.len();
        let limit = request.max_time.map(|limit| limit.as_secs_f64());
        let threads = rayon::current_num_threads();
        // Trainings per second of all lanes.
        let mut rate = 0.0;
        for mut source in sources {
            let wanted = request.population.map_or(plan::MOST_SLOTS, |k| k as usize);
            let most = wanted.min(trainings.div_ceil(lanes)).max(1);
            let (slots, speed) = loop {
                let Some(slots) = plan::fit(source.as_ref(), &all, most, queues) else {
                    return Err(no_room(source.as_ref(), &all));
                };
                let factory = source.factory_of_it_alone();
                let timed = limit.map_or(slots.slots, |_| slots.slots.min(TIMED));
                match plan::measure(factory.as_ref(), &self.problem, &members, timed) {
                    Ok(speed) => break (slots, speed),
                    Err(error) => source = source.after(error)?,
                }
            };
            let mean = members.iter().map(|member| speed.seconds(member)).sum::<f64>() / members.len() as f64;
            // Lanes of the processor share its cores.
            let lanes = if source.is_processor() { 1.0 } else { queues as f64 };
            rate += lanes / mean;
            let slots = match (limit, request.population) {
                (Some(limit), None) => {
                    let few = match source.is_processor() {
                        true => (SLOTS_PER_THREAD * threads).max(LEAST_SLOTS),
                        false => ((TRAINING_SHARE * limit / mean) as usize).max(LEAST_SLOTS),
                    };
                    plan::fit(source.as_ref(), &all, few.min(slots.slots), queues).unwrap_or(slots)
                }
                _ => slots,
            };
            let alone = if source.is_processor() { threads.min(slots.slots) } else { slots.slots };
            self.parallel = self.parallel.max(alone);
            if self.speed.is_none() {
                (self.speed, self.mean_s) = (Some(speed), mean);
            }
            self.lanes.extend((0..queues).map(|_| LanePlan { source: source.clone(), slots }));
        }
        let trained: f64 = members.iter().map(|m| m.total_steps() as f64 * m.walk.batch as f64).sum();
        let predicted = (self.problem.split.val + self.problem.split.test) as f64;
        let share = FORWARD * predicted * members.len() as f64 / trained;
        let models = u64::from(self.request.keep).min(trainings as u64) + self.finals();
        self.ensemble_s = models as f64 * self.mean_s * share;
        let epochs = members.iter().map(|m| m.total_steps().div_ceil(m.walk.steps_per_epoch));
        let epochs = epochs.max().unwrap_or(0);
        let share = plan::halving_share(self.request.halving, self.request.trials, epochs);
        self.seconds = (trainings as f64 * share + self.finals() as f64) / rate;
        self.rate = rate * self.mean_s;
        Ok(())
    }

    /// The members with the largest batch and the most sub-models, one for each architecture of a set, which the sample may
    /// have missed.
    fn largest(&self, study: &Study) -> Vec<Member> {
        let request = &self.request;
        let hidden = request.space.get("hidden");
        let counts = ["batch-size", "sub-models"].into_iter().filter_map(|key| request.space.get(key));
        let counts: Vec<_> = counts.collect();
        let Some(usual) = study.estimate(1).pop().filter(|_| hidden.is_some() || !counts.is_empty()) else {
            return Vec::new();
        };
        let architectures = match hidden.map(|dimension| &dimension.domain) {
            Some(Domain::Set(values)) => values.iter().map(Some).collect(),
            _ => vec![None],
        };
        let most = |dimension: &Dimension| match &dimension.domain {
            Domain::Set(values) => values.iter().max_by_key(|value| value.as_u64()).cloned(),
            Domain::Range { high, .. } => Some((*high as u64).into()),
        };
        let member = |architecture: Option<&serde_json::Value>| {
            let mut params = usual.clone();
            params.extend(architecture.map(|value| ("hidden".to_owned(), value.clone())));
            params.extend(counts.iter().filter_map(|count| Some((count.key.clone(), most(count)?))));
            let of = request.run_request(&params, request.base.training.seed).ok()?;
            member_of_run(&of, &self.problem).ok()
        };
        architectures.into_iter().filter_map(member).collect()
    }

    /// The terms of a limited time for a stage that begins now, after `trials` records. `rate` is that of the stage
    /// before. None without a limit.
    pub(super) fn terms(&self, stage: Stage, rate: Option<f64>, trials: u64) -> Option<Terms> {
        let limit = self.request.max_time?;
        let slots: usize = self.lanes.iter().map(|lane| lane.slots.slots).sum();
        let processor = self.lanes.iter().all(|lane| lane.source.is_processor());
        let full = if processor { self.parallel } else { slots.div_ceil(2) };
        let search = stage == Stage::Search;
        let epochs = self.epochs() as f64;
        let finals = (u64::from(self.request.finalists), u64::from(self.request.final_seeds));
        Some(Terms {
            start: self.started,
            limit,
            rate: rate.unwrap_or(self.rate),
            parallel: self.parallel as f64,
            full: full.max(1),
            mean_s: self.mean_s,
            rungs: self.rungs().into_iter().filter(|_| search).map(|rung| rung as f64 / epochs).collect(),
            eta: self.request.halving.map_or(1.0, |halving| halving.eta.into()),
            seeds: self.request.seeds.into(),
            by_seed: !search,
            trials,
            finals: Some(finals).filter(|_| search && finals.0 > 0 && self.request.shard.is_none()),
            finals_share: if self.problem.split.folds > 0 { FINALS_OF_FOLDS } else { FINALS },
            after_s: if self.request.shard.is_none() { self.ensemble_s } else { 0.0 },
        })
    }

    /// Predicted seconds of a training with these settings, and its steps; None if it cannot be trained.
    pub(super) fn cost_and_steps(&self, params: &Params) -> Option<(f64, u64)> {
        let request = self.request.run_request(params, self.request.base.training.seed).ok()?;
        let member = member_of_run(&request, &self.problem).ok()?;
        Some((self.speed?.seconds(&member), member.total_steps()))
    }

    /// Predicted seconds of a training with these settings; 0 if it cannot be trained.
    pub(super) fn cost(&self, params: &Params) -> f64 {
        self.cost_and_steps(params).map_or(0.0, |(cost, _)| cost)
    }

    /// About how many trials will be trained: all of them without a time limit.
    pub fn expected_trials(&self) -> u64 {
        let all = self.trials().count() as u64;
        let budget = self.terms(Stage::Search, None, 0).map(Budget::new);
        budget.map_or(all, |budget| budget.expected_trials(budget.now()).clamp(1, all))
    }

    /// Epochs of a whole training, at most.
    fn epochs(&self) -> u64 {
        match self.request.base.training.length {
            Length::Epochs(epochs) => epochs,
            Length::Steps(_) => u64::MAX,
        }
    }

    /// Trainings of the final comparison, at most.
    pub fn finals(&self) -> u64 {
        let SweepRequest { finalists, final_seeds, trials, shard, .. } = &self.request;
        match shard {
            None => trials.min(&u64::from(*finalists)) * u64::from(*final_seeds),
            Some(_) => 0,
        }
    }

    /// The point that a training's files hold, if they are of this training.
    pub(super) fn checkpoint(
        &self,
        id: TrainingId,
        params: &Params,
        dir: &RunDir,
        stored: &Stored,
    ) -> Option<MemberCheckpoint> {
        let request = self.request.run_request(params, id.seed).ok()?;
        let member = member_of_run(&request, &self.problem).ok()?;
        let same = stored.request.training == request.training && stored.fingerprint() == self.fingerprint;
        let mut at = stored.checkpoint(dir, &[&member]).ok()?.pop()?;
        if !same || at.state.ended.is_some() {
            return None;
        }
        if at.history.len() as u64 != at.state.epochs {
            return None;
        }
        if let Some(best) = at.state.best {
            // The best model may be newer than the state; then this training starts over.
            let mut stored = Stored::load(dir, RunFile::Best).ok()?;
            if stored.best().ok()? != (best.epoch, best.step) {
                return None;
            }
            at.best = Some(Arc::new(stored.file.members.pop()?.layers));
        }
        Some(at)
    }

    /// Epochs after which halving ends trials that are behind.
    pub fn rungs(&self) -> Vec<u64> {
        match self.request.base.training.length {
            Length::Epochs(epochs) => rungs(self.request.halving, epochs),
            Length::Steps(_) => Vec::new(),
        }
    }

    /// The schedule of a stage over `trials`.
    pub(super) fn scheduler(
        &self,
        stage: Stage,
        trials: Vec<u64>,
        proposals: Box<dyn Proposals>,
    ) -> Scheduler<MemberCheckpoint> {
        let halving = self.request.halving.filter(|_| stage == Stage::Search);
        let epochs = self.epochs();
        let slots: usize = self.lanes.iter().map(|lane| lane.slots.slots).sum();
        Scheduler::new(proposals, trials, self.seeds(stage), halving, epochs, WAITING * slots)
    }

    /// The lanes, for observers.
    pub fn lane_infos(&self) -> Vec<LaneInfo> {
        let info = |(at, lane): (usize, &LanePlan)| LaneInfo {
            name: at.to_string(),
            device: lane.source.name().into(),
            slots: lane.slots.slots as u32,
        };
        self.lanes.iter().enumerate().map(info).collect()
    }

    /// Version, devices, slots and data for the run's record.
    pub fn environment(&self) -> Environment {
        let devices: Vec<_> = self.lane_infos().into_iter().map(|lane| lane.device).collect();
        let engine = serde_json::json!({
            "engine": if self.lanes.iter().all(|lane| lane.source.largest_role().is_none()) { "cpu" } else { "gpu" },
            "device": devices.first(),
            "lanes": devices,
            "slots": self.lanes.iter().map(|lane| lane.slots.slots).collect::<Vec<_>>(),
        });
        Environment { columns: self.columns.clone(), ..Environment::now(engine, &self.fingerprint) }
    }
}

fn no_room(source: &dyn DeviceSource, members: &[&Member]) -> SweepError {
    let bytes_of = |member: &&Member| member.sizes.iter().map(|&size| 4 * size as u64).sum::<u64>();
    SweepError::NoRoom {
        device: source.name().into(),
        needed: members.iter().map(bytes_of).max().unwrap_or(0),
        limit: [source.memory().map(|m| m / 2), source.largest_role()].into_iter().flatten().min(),
    }
}

/// Proposals from given settings.
pub(super) struct Known(pub Vec<(u64, Params)>);

impl Proposals for Known {
    fn params(&self, trial: u64, _: &[Told], _: &[Params]) -> Params {
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
