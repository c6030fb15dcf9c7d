//! The stages of a sweep: the search, then the final comparison of the trials that are too close to call.

use std::collections::BTreeSet;
use std::sync::{Condvar, Mutex};

use crate::population::Member;
use crate::run::{RunDir, RunError};
use crate::spec::{Params, RunRequest};
use crate::train::{MemberCheckpoint, MemberState, Pace, Stop, Stored};

use super::analysis::{Ranked, finalists, ranking};
use super::budget::Budget;
use super::lane::{Desk, Sink, StageContext, lock};
use super::schedule::{Scheduler, TrainingId};
use super::search::{Known, Search, SweepError};
use super::stage::{self, StageEnd};
use super::{Observer, Stage, Study, SweepEvent, TrialRecord, outcome};

/// How many further trials may become finalists if there is no time for the best.
const SHORTER: usize = 20;

/// Keeps the records and unfinished trainings of a sweep: [`super::files::SweepFiles`] in a folder, [`Memory`]
/// without one.
pub trait Store: Sink {
    /// All records so far, in the order in which the trainings ended.
    fn records(&self) -> &[TrialRecord];

    /// The trainings that an earlier process left unfinished.
    fn unfinished(&self) -> Vec<(TrainingId, RunDir, Stored)>;
}

/// Records in memory; weights are not kept. [`super::train_again`] reproduces them, bit for bit.
#[derive(Debug, Default)]
pub struct Memory(pub Vec<TrialRecord>);

impl Sink for Memory {
    fn progress(
        &mut self,
        _: TrainingId,
        _: &RunRequest,
        _: &Member,
        _: &MemberCheckpoint,
    ) -> Result<(), RunError> {
        Ok(())
    }

    fn ended(
        &mut self,
        record: TrialRecord,
        _: Option<(&RunRequest, &Member, &MemberState)>,
    ) -> Result<(), RunError> {
        self.0.push(record);
        Ok(())
    }
}

impl Store for Memory {
    fn records(&self) -> &[TrialRecord] {
        &self.0
    }

    fn unfinished(&self) -> Vec<(TrainingId, RunDir, Stored)> {
        Vec::new()
    }
}

/// How a sweep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SweepEnd {
    /// Every training has ended by itself.
    Completed,
    /// `--max-time` or the user ended some trainings early.
    Stopped,
    /// Ended by [`Stop`]; running trainings are stored.
    Interrupted,
}

impl Search {
    /// Trains what `store` does not hold yet: the search, then the final comparison.
    ///
    /// # Errors
    /// [`SweepError`] of the files and of the devices.
    pub fn run<S: Store + 'static>(
        &self,
        store: &Mutex<S>,
        observer: &dyn Observer,
        stop: &Stop,
    ) -> Result<SweepEnd, SweepError> {
        let stages = Stages { search: self, store, observer, stop };
        observer.event(self.planned(self.expected_trials(), self.finals()));
        // The store is not borrowed while the observer is called, which may read it.
        let earlier = lock(store).records().to_vec();
        let known = earlier.len() as u64;
        for record in earlier {
            observer.event(SweepEvent::Ended { lane: 0, slot: record.slot, record: Box::new(record) });
        }
        let study = Study::new(&self.request)?;
        let scheduler = self.scheduler(Stage::Search, self.trials().collect(), Box::new(study));
        let budget = self.terms(Stage::Search, None, known).map(Budget::new);
        let end = stages.run(Stage::Search, scheduler, budget, Vec::new())?;
        if end.end == StageEnd::Interrupted || self.request.shard.is_some() || end.by_hand {
            return Ok(end.of_sweep(false));
        }
        let records = lock(store).records().to_vec();
        let params = |trial: u64| records.iter().find(|r| r.trial == trial).map(|r| r.params.clone());
        let mut trials = finalists(&records, &self.request);
        let wanted = trials.len();
        let budget = self.terms(Stage::Final, end.rate, records.len() as u64).map(Budget::new);
        if budget.is_some() && wanted > 0 {
            // If there is no time for the best, shorter trainings are compared.
            let ranked = ranking(&records, &self.request).into_iter().filter(Ranked::is_ranked);
            let others: Vec<u64> = ranked.map(|trial| trial.trial).filter(|t| !trials.contains(t)).collect();
            trials.extend(others.into_iter().take(SHORTER));
        }
        let mut known: Vec<(u64, Params)> =
            trials.into_iter().filter_map(|trial| Some((trial, params(trial)?))).collect();
        let mut round = Vec::new();
        if let Some(budget) = &budget {
            let costs: Vec<f64> = known.iter().map(|(_, params)| self.cost(params)).collect();
            let places = budget.finalists(&costs, wanted, budget.now());
            round = places.iter().map(|&place| costs[place]).collect();
            known = places.into_iter().map(|place| known[place].clone()).collect();
        }
        if known.is_empty() {
            return Ok(end.of_sweep(false));
        }
        known.sort_unstable_by_key(|(trial, _)| *trial);
        let finals = known.len() * self.request.final_seeds as usize;
        let trials = records.iter().filter(|r| r.stage == Stage::Search).map(|r| r.trial);
        let trials = trials.collect::<BTreeSet<u64>>().len() as u64;
        observer.event(self.planned(trials, finals as u64));
        // Seed by seed, so that less time costs seeds, not the comparison.
        let scheduler = self.known(Stage::Final, known).by_seed();
        let finals = stages.run(Stage::Final, scheduler, budget, round)?;
        Ok(finals.of_sweep(end.cut_short))
    }

    /// Trains each of `settings` with the seeds of the search, and compares nothing.
    ///
    /// # Errors
    /// As [`Search::run`].
    pub fn train_all<S: Store + 'static>(
        &self,
        settings: Vec<(u64, Params)>,
        store: &Mutex<S>,
        observer: &dyn Observer,
        stop: &Stop,
    ) -> Result<SweepEnd, SweepError> {
        let stages = Stages { search: self, store, observer, stop };
        let scheduler = self.known(Stage::Search, settings);
        Ok(stages.run(Stage::Search, scheduler, None, Vec::new())?.of_sweep(false))
    }

    fn known(&self, stage: Stage, settings: Vec<(u64, Params)>) -> Scheduler<MemberCheckpoint> {
        let trials = settings.iter().map(|(trial, _)| *trial).collect();
        self.scheduler(stage, trials, Box::new(Known(settings)))
    }

    fn planned(&self, trials: u64, finals: u64) -> SweepEvent {
        SweepEvent::Planned {
            trials,
            trainings: trials * u64::from(self.request.seeds) + finals,
            finals,
            lanes: self.lane_infos(),
        }
    }
}

/// State that the stages of a sweep share.
struct Stages<'a, S> {
    search: &'a Search,
    store: &'a Mutex<S>,
    observer: &'a dyn Observer,
    stop: &'a Stop,
}

/// How a stage ended.
struct End {
    end: StageEnd,
    /// Some trainings ended early.
    cut_short: bool,
    /// The user finished the sweep early, so there is no final comparison.
    by_hand: bool,
    /// Planned seconds per second at its end, with a time limit.
    rate: Option<f64>,
}

impl End {
    fn of_sweep(&self, cut_short_before: bool) -> SweepEnd {
        match self.end {
            StageEnd::Interrupted => SweepEnd::Interrupted,
            StageEnd::Done if self.cut_short || cut_short_before => SweepEnd::Stopped,
            StageEnd::Done => SweepEnd::Completed,
        }
    }
}

impl<S: Store + 'static> Stages<'_, S> {
    /// Trains one stage, continuing from the store.
    fn run(
        &self,
        stage: Stage,
        mut scheduler: Scheduler<MemberCheckpoint>,
        mut budget: Option<Budget>,
        round: Vec<f64>,
    ) -> Result<End, SweepError> {
        self.restore(stage, &mut scheduler);
        let search = self.search;
        if let Some(budget) = &mut budget {
            let records = lock(self.store).records().to_vec();
            for record in records.iter().filter(|record| record.stage == stage) {
                budget.known(TrainingId { trial: record.trial, seed: record.seed });
            }
            let waiting: Vec<(TrainingId, u64)> =
                scheduler.waiting().map(|(id, at)| (id, at.state.step)).collect();
            for (id, step) in waiting {
                let params = scheduler.params_of(id.trial).unwrap_or_default();
                if let Some((cost, steps)) = search.cost_and_steps(&params) {
                    let rungs = scheduler.rung_values(id);
                    budget.resume(id, cost, step as f64 / steps.max(1) as f64, rungs);
                }
            }
        }
        let trials = scheduler.begun_or_left();
        // A device fault loses a third of the progress that a killed process loses.
        let every = search.checkpoint_every;
        let pace =
            Pace { store_every: every, read_every: every / 3, epoch_every: every / 3, ..Pace::default() };
        let context = StageContext {
            request: &search.request,
            problem: &search.problem,
            stage,
            desk: Mutex::new(Desk::new(scheduler, budget)),
            changed: Condvar::new(),
            sink: self.store,
            observer: self.observer,
            stop: self.stop,
            speed: search.request.max_time.and(search.speed),
            round,
            lanes: search.lane_infos(),
            finals: search.finals(),
            pace,
        };
        let end = stage::run(&context, &search.lanes)?;
        let mut desk = lock(&context.desk);
        if end == StageEnd::Interrupted {
            let waiting: Vec<(TrainingId, MemberCheckpoint)> =
                desk.scheduler.waiting().map(|(id, at)| (id, at.clone())).collect();
            for (id, at) in waiting {
                let params = desk.scheduler.params_of(id.trial).unwrap_or_default();
                if let Ok((request, member)) = context.training(id, &params) {
                    lock(self.store).progress(id, &request, &member, &at)?;
                }
            }
        }
        let cut_short = desk.finish.is_some() || desk.cut || desk.scheduler.begun_or_left() < trials;
        let rate = desk.budget.as_ref().map(Budget::rate);
        Ok(End { end, cut_short, by_hand: desk.by_hand, rate })
    }

    /// Restores the progress of earlier processes into the schedule.
    fn restore(&self, stage: Stage, scheduler: &mut Scheduler<MemberCheckpoint>) {
        let (search, store) = (self.search, lock(self.store));
        let objective = search.request.objective;
        for record in store.records().iter().filter(|record| record.stage == stage) {
            let id = TrainingId { trial: record.trial, seed: record.seed };
            scheduler.restore_ended(id, &record.params, &record.rungs, record.value(objective));
        }
        let seeds = search.seeds(stage);
        for (id, dir, stored) in store.unfinished() {
            let Some(params) = scheduler.params_of(id.trial).filter(|_| seeds.contains(&id.seed)) else {
                continue;
            };
            let Some(at) = search.checkpoint(id, &params, &dir, &stored) else { continue };
            let rungs = scheduler.rungs().to_vec();
            let values = outcome::values_at(objective, &at.history, &rungs);
            let values: Vec<f64> = values.into_iter().map(|value| value.unwrap_or(f64::INFINITY)).collect();
            let at_rung = rungs.contains(&at.state.epochs) && at.state.open.steps == 0;
            scheduler.restore_begun(id, &params, &values, at_rung, at);
        }
    }
}
