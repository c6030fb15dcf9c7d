//! A lane: one device with its queue and a population whose slots it keeps filled. Each lane is a thread.

use std::collections::{HashMap, HashSet};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::data::Part;
use crate::engine::EngineFactory;
use crate::population::{Member, Population};
use crate::run::{EpochMetrics, RunError};
use crate::spec::{Params, RunRequest, SweepRequest};
use crate::train::{
    Advance, Arrival, Ended, Events, MemberCheckpoint, MemberState, Pace, Problem, Stop, StopReason,
    TrainError, Trainer, member_of_run,
};

use super::budget::Budget;
use super::event::{LaneInfo, Observer, Request, SweepEvent};
use super::outcome::{self, score_value};
use super::plan::{Slots, Speed};
use super::record::{Stage, TrialRecord, TrialStatus};
use super::schedule::{Decision, Next, Scheduler, TrainingId};

/// Lane failures during a training before the training counts as failed.
const MOST_RETURNS: u32 = 3;
/// How often an idle lane checks for work.
const LOOK: Duration = Duration::from_millis(50);
/// Shortest time between two plans that observers see.
const PLANNED_S: f64 = 0.5;

/// Stores progress and results, usually in files.
pub trait Sink: Send {
    /// A training has reached `at`.
    ///
    /// # Errors
    /// If it cannot be stored; the sweep then ends, to be resumed.
    fn progress(
        &mut self,
        id: TrainingId,
        request: &RunRequest,
        member: &Member,
        at: &MemberCheckpoint,
    ) -> Result<(), RunError>;

    /// A training has ended. `trained` is None if it never started.
    ///
    /// # Errors
    /// As [`Sink::progress`].
    fn ended(
        &mut self,
        record: TrialRecord,
        trained: Option<(&RunRequest, &Member, &MemberState)>,
    ) -> Result<(), RunError>;
}

/// State that the lanes of a stage share.
pub struct StageContext<'a> {
    pub request: &'a SweepRequest,
    pub problem: &'a Problem,
    pub stage: Stage,
    pub desk: Mutex<Desk>,
    /// Wakes waiting lanes after a change.
    pub changed: Condvar,
    pub sink: &'a Mutex<dyn Sink>,
    pub observer: &'a dyn Observer,
    /// Ctrl-C: write checkpoints, then end.
    pub stop: &'a Stop,
    /// What the costs of trainings are predicted from, with a time limit.
    pub speed: Option<Speed>,
    /// Predicted costs of the finalists, with a time limit.
    pub round: Vec<f64>,
    /// The lanes, and trainings of the final comparison, for the plans that observers see.
    pub lanes: Vec<LaneInfo>,
    pub finals: u64,
    /// How often running trainings are stored, and how faults are retried.
    pub pace: Pace,
}

/// State for the decisions of the lanes, one lane at a time.
pub struct Desk {
    pub scheduler: Scheduler<MemberCheckpoint>,
    /// What fits into a limited time.
    pub budget: Option<Budget>,
    /// Trainings that the user wants to end.
    pub stops: HashSet<TrainingId>,
    /// Trainings that would not end in time.
    late: HashSet<TrainingId>,
    /// Whether there were any.
    pub cut: bool,
    /// Predicted costs of trials, which are asked for again and again.
    costs: HashMap<u64, f64>,
    /// Why everything ends now.
    pub finish: Option<StopReason>,
    /// Whether the user ended it.
    pub by_hand: bool,
    /// How often each training's lane failed.
    returns: HashMap<TrainingId, u32>,
    /// Where each waiting training was trained last, and when it left (Unix time in seconds).
    left: HashMap<TrainingId, (Place, f64)>,
    /// Number of trials of the last plan that observers saw, and when.
    planned: (u64, f64),
}

impl Desk {
    pub fn new(scheduler: Scheduler<MemberCheckpoint>, budget: Option<Budget>) -> Desk {
        Desk {
            scheduler,
            budget,
            stops: HashSet::new(),
            late: HashSet::new(),
            cut: false,
            costs: HashMap::new(),
            planned: (0, 0.0),
            finish: None,
            by_hand: false,
            returns: HashMap::new(),
            left: HashMap::new(),
        }
    }

    /// Ends what the time limit ends: the search starts no more trials, the least promising of them stop, or everything
    /// does. Returns waiting trainings that stop.
    fn heed_time(&mut self, stage: Stage) -> Vec<(TrainingId, MemberCheckpoint)> {
        let Desk { scheduler, budget: Some(budget), late, cut, finish, .. } = self else { return Vec::new() };
        let now = budget.now();
        let (starts_end, end) = match stage {
            Stage::Search => budget.search_ends(),
            Stage::Final => (f64::INFINITY, budget.end()),
        };
        if now >= end {
            finish.get_or_insert(StopReason::MaxTime);
        }
        // Until something has begun, it may still be tried.
        if now >= starts_end && (budget.has_begun() || now >= end) {
            scheduler.close();
        }
        let mut waiting = Vec::new();
        if finish.is_some() {
            return waiting;
        }
        let stops = match stage {
            Stage::Search => budget.too_late(now).map_or(Vec::new(), |trial| budget.of_trial(trial)),
            Stage::Final => budget.too_late_round(now),
        };
        *cut |= !stops.is_empty();
        for id in stops {
            match scheduler.withdraw(id) {
                Some(at) => waiting.push((id, at)),
                None => drop(late.insert(id)),
            }
        }
        waiting
    }
}

/// Locks even after another lane's thread has panicked: the locked state only changes in single calls.
pub fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}

impl StageContext<'_> {
    /// The complete request of a training and its member.
    ///
    /// # Errors
    /// Why it cannot be trained.
    pub fn training(&self, id: TrainingId, params: &Params) -> Result<(RunRequest, Member), String> {
        let request = self.request.run_request(params, id.seed).map_err(|error| error.to_string())?;
        let member = member_of_run(&request, self.problem).map_err(|error| error.to_string())?;
        Ok((request, member))
    }

    /// Predicted seconds of a training; 0 if it cannot be trained, which is found out when it begins.
    pub fn cost(&self, id: TrainingId, params: &Params) -> f64 {
        let Some(speed) = self.speed else { return 0.0 };
        self.training(id, params).map_or(0.0, |(_, member)| speed.seconds(&member))
    }

    /// The training for a free slot that fits into the time.
    fn next_training(&self) -> Next<MemberCheckpoint> {
        let mut desk = lock(&self.desk);
        let Desk { scheduler, budget, costs, .. } = &mut *desk;
        let Some(budget) = budget else { return scheduler.next_training() };
        let now = budget.now();
        if self.stage == Stage::Search && !budget.has_begun() {
            let ahead: Vec<(TrainingId, f64)> = scheduler
                .ahead()
                .into_iter()
                .map(|(id, params)| (id, *costs.entry(id.trial).or_insert_with(|| self.cost(id, &params))))
                .collect();
            budget.force(&ahead, now);
        }
        scheduler.next_admitted(&mut |id, params| {
            let cost = *costs.entry(id.trial).or_insert_with(|| self.cost(id, params));
            match self.stage {
                Stage::Search => budget.admits(id, cost, now),
                Stage::Final => budget.admits_final(id, cost, &self.round, now),
            }
        })
    }

    /// The record of a training, not filled in yet.
    fn record(&self, id: TrainingId, params: &Params, place: &Place) -> TrialRecord {
        TrialRecord {
            trial: id.trial,
            params: params.clone(),
            seed: id.seed,
            stage: self.stage,
            queue: place.lane.to_string(),
            device: place.device.clone(),
            slot: place.slot as u32,
            started: place.started,
            ended: now(),
            ..TrialRecord::default()
        }
    }

    /// Records the end of a training in the files, then in the schedule.
    fn enter(
        &self,
        id: TrainingId,
        record: TrialRecord,
        trained: Option<(&RunRequest, &Member, &MemberState)>,
        lane: usize,
    ) -> Result<(), RunError> {
        let (value, slot) = (record.value(self.request.objective), record.slot);
        lock(self.sink).ended(record.clone(), trained)?;
        let mut desk = lock(&self.desk);
        desk.scheduler.ended(id, value);
        if let Some(budget) = &mut desk.budget {
            budget.ended(id, record.is_finished(), value);
        }
        drop(desk);
        self.changed.notify_all();
        self.observer.event(SweepEvent::Ended { lane, slot, record: Box::new(record) });
        Ok(())
    }

    /// Records a training that could not start.
    fn fail(&self, id: TrainingId, params: &Params, place: &Place, reason: String) -> Result<(), RunError> {
        let mut record = self.record(id, params, place);
        (record.status, record.reason) = (TrialStatus::Failed, Some(reason));
        self.enter(id, record, None, place.lane)
    }

    /// Records trainings that ended outside of a slot: `at` is where they stand, ended or not.
    fn enter_waiting(
        &self,
        ended: Vec<(TrainingId, MemberCheckpoint)>,
        reason: &StopReason,
        lane: usize,
        device: &str,
    ) -> Result<(), TrainError> {
        for (id, at) in ended {
            let params = lock(&self.desk).scheduler.params_of(id.trial).unwrap_or_default();
            let before = lock(&self.desk).left.remove(&id);
            let (place, left) = before.unwrap_or_else(|| {
                // An earlier process trained it.
                let started = now() - at.state.wall_s;
                (Place { lane, device: device.into(), slot: 0, started }, now())
            });
            let mut record = TrialRecord { ended: left, ..self.record(id, &params, &place) };
            let mut state = at.member();
            state.state.ended.get_or_insert(Ended::Stopped { reason: reason.clone() });
            let rungs = lock(&self.desk).scheduler.rungs().to_vec();
            outcome::fill(&mut record, &state, self.request.objective, &rungs);
            match self.training(id, &params) {
                Ok((request, member)) => {
                    record.parameters = member.parameters() as u64;
                    self.enter(id, record, Some((&request, &member, &state)), lane)?;
                }
                Err(reason) => self.fail(id, &params, &place, reason)?,
            }
        }
        Ok(())
    }
}

/// The place of a training.
#[derive(Clone, Debug)]
struct Place {
    lane: usize,
    device: String,
    slot: usize,
    /// Unix time in seconds.
    started: f64,
}

/// The training in a slot.
struct Running {
    id: TrainingId,
    /// Steps of the whole training.
    steps: u64,
    params: Params,
    request: RunRequest,
    started: f64,
}

/// How a lane ended.
#[derive(Debug, PartialEq, Eq)]
pub enum LaneEnd {
    /// There is nothing left to do.
    Done,
    /// Stopped by the user; its trainings are stored.
    Interrupted,
}

/// Trains until there is nothing left, or until stopped.
///
/// # Errors
/// [`TrainError`] of the device, after its trainings were given back, or of the files.
pub fn run(
    shared: &StageContext,
    lane: usize,
    factory: &dyn EngineFactory,
    slots: Slots,
) -> Result<LaneEnd, TrainError> {
    let population = Population::with_room(slots.slots, slots.room);
    let mut running: Vec<Option<Running>> = (0..slots.slots).map(|_| None).collect();
    let mut events = LaneEvents { shared, lane, running: &mut running };
    let from = vec![None; slots.slots];
    let mut trainer = Trainer::new(factory, population, shared.problem, from, shared.pace, &mut events)?;
    let mut lane = Lane { shared, lane, device: trainer.info().device.clone(), running };
    let result = lane.work(&mut trainer);
    if result.is_err() {
        lane.give_all_back(&trainer)?;
    }
    result
}

struct Lane<'a, 'b> {
    shared: &'a StageContext<'b>,
    lane: usize,
    device: String,
    /// `[slots]`
    running: Vec<Option<Running>>,
}

impl Lane<'_, '_> {
    fn work(&mut self, trainer: &mut Trainer) -> Result<LaneEnd, TrainError> {
        let shared = self.shared;
        loop {
            self.heed(trainer)?;
            self.fill(trainer)?;
            let mut events = LaneEvents { shared, lane: self.lane, running: &mut self.running };
            match trainer.advance(&mut events, shared.stop)? {
                Advance::Went { closed } => {
                    self.measure(trainer);
                    for slot in closed {
                        self.closed(trainer, slot)?;
                    }
                }
                Advance::Idle => {
                    let desk = lock(&shared.desk);
                    if desk.scheduler.is_done() {
                        shared.changed.notify_all();
                        return Ok(LaneEnd::Done);
                    }
                    if shared.stop.asked() {
                        return Ok(LaneEnd::Interrupted);
                    }
                    drop(shared.changed.wait_timeout(desk, LOOK));
                }
                Advance::Interrupted => return Ok(LaneEnd::Interrupted),
            }
            let dropped = lock(&shared.desk).scheduler.dropped();
            for (id, at) in dropped {
                let reason = StopReason::Halving { epochs: at.state.epochs };
                shared.enter_waiting(vec![(id, at)], &reason, self.lane, &self.device)?;
            }
        }
    }

    /// Applies the user's commands and the time limit.
    fn heed(&mut self, trainer: &mut Trainer) -> Result<(), TrainError> {
        let shared = self.shared;
        let mut desk = lock(&shared.desk);
        while let Some(request) = shared.observer.request() {
            match request {
                Request::StopTrial { trial, seed } => drop(desk.stops.insert(TrainingId { trial, seed })),
                Request::FinishEarly => {
                    desk.finish.get_or_insert(StopReason::FinishedEarly);
                    desk.by_hand = true;
                }
                Request::Interrupt => shared.stop.ask(),
            }
        }
        let mut waiting = desk.heed_time(shared.stage);
        let finish = desk.finish.clone();
        // What the user leaves of a final comparison stays unfinished, to be resumed: it would be no finalist.
        let leaves = desk.by_hand && shared.stage == Stage::Final;
        let mut left = Vec::new();
        if finish.is_some() {
            desk.scheduler.close();
            let drained = desk.scheduler.drain();
            if leaves {
                left = drained
            } else {
                waiting.extend(drained)
            };
        }
        let mut meant = Vec::new();
        for (slot, running) in self.running.iter().enumerate() {
            let Some(id) = running.as_ref().map(|running| running.id) else { continue };
            let (by_hand, late) = (desk.stops.remove(&id), desk.late.remove(&id));
            let own = late.then_some(StopReason::MaxTime).or(by_hand.then_some(StopReason::ByHand));
            meant.extend(finish.clone().or(own).map(|reason| (slot, reason)));
        }
        drop(desk);
        for (slot, reason) in meant {
            if leaves && trainer.members()[slot].state.ended.is_none() {
                left.extend(self.leave(trainer, slot)?);
                continue;
            }
            trainer.stop(slot, reason);
            self.finish(trainer, slot)?;
        }
        for (id, at) in left {
            let params = lock(&shared.desk).scheduler.params_of(id.trial).unwrap_or_default();
            if let Ok((request, member)) = shared.training(id, &params) {
                lock(shared.sink).progress(id, &request, &member, &at)?;
            }
        }
        let reason = finish.unwrap_or(StopReason::MaxTime);
        shared.enter_waiting(waiting, &reason, self.lane, &self.device)
    }

    /// Takes the training out of a slot, to be continued by another process.
    fn leave(
        &mut self,
        trainer: &mut Trainer,
        slot: usize,
    ) -> Result<Option<(TrainingId, MemberCheckpoint)>, TrainError> {
        let shared = self.shared;
        let mut events = LaneEvents { shared, lane: self.lane, running: &mut self.running };
        let at = trainer.take(slot, &mut events)?;
        let Some(Running { id, .. }) = self.running[slot].take() else { return Ok(None) };
        lock(&shared.desk).scheduler.leave(id);
        shared.changed.notify_all();
        shared.observer.event(SweepEvent::Parked { trial: id.trial, seed: id.seed });
        Ok(at.map(|at| (id, at)))
    }

    /// Reports the progress of this lane to the budget, and a changed plan to the observer.
    fn measure(&self, trainer: &Trainer) {
        let shared = self.shared;
        if shared.speed.is_none() {
            return;
        }
        let mut desk = lock(&shared.desk);
        let Desk { budget: Some(budget), scheduler, planned, .. } = &mut *desk else { return };
        for (running, member) in self.running.iter().zip(trainer.members()) {
            if let Some(running) = running {
                budget.progress(running.id, member.state.step as f64 / running.steps.max(1) as f64);
            }
        }
        let now = budget.now();
        budget.tick(now);
        if shared.stage != Stage::Search || now - planned.1 < PLANNED_S {
            return;
        }
        let trials = budget.expected_trials(now).min(scheduler.begun_or_left());
        if trials.abs_diff(planned.0) <= planned.0 / 50 {
            return;
        }
        *planned = (trials, now);
        drop(desk);
        let finals = shared.finals;
        let trainings = trials * u64::from(shared.request.seeds) + finals;
        shared.observer.event(SweepEvent::Planned { trials, trainings, finals, lanes: shared.lanes.clone() });
    }

    /// Fills vacant slots as long as there is something to train and room for it.
    fn fill(&mut self, trainer: &mut Trainer) -> Result<(), TrainError> {
        if self.shared.stop.asked() {
            return Ok(());
        }
        let (mut puts, mut coming) = (Vec::new(), HashMap::new());
        for slot in (0..self.running.len()).filter(|&slot| self.running[slot].is_none()).collect::<Vec<_>>() {
            // A training that cannot start is recorded, and the slot stays free.
            while let Next::Train { id, params, from } = self.shared.next_training() {
                let place = Place { lane: self.lane, device: self.device.clone(), slot, started: now() };
                let training = self.shared.training(id, &params).and_then(|(request, member)| {
                    trainer.supports(&member).map_err(|error| error.to_string())?;
                    if !trainer.population().room().holds(&member) {
                        return Err(
                            "it is larger than the members planned for; use a smaller --population".into()
                        );
                    }
                    Ok((request, member))
                });
                match training {
                    Ok((request, member)) => {
                        let wall = from.as_ref().map_or(0.0, |at| at.state.wall_s);
                        let (steps, started) = (member.total_steps(), now() - wall);
                        coming.insert(slot, Running { id, steps, params, request, started });
                        puts.push(Arrival { slot, member: member.into(), from });
                        break;
                    }
                    Err(reason) => self.shared.fail(id, &params, &place, reason)?,
                }
            }
        }
        if puts.is_empty() {
            return Ok(());
        }
        let epochs: HashMap<usize, u64> = puts
            .iter()
            .map(|put| (put.slot, put.member.total_steps().div_ceil(put.member.walk.steps_per_epoch)))
            .collect();
        let histories: HashMap<usize, Vec<EpochMetrics>> =
            puts.iter().filter_map(|put| Some((put.slot, put.from.as_ref()?.history.clone()))).collect();
        let mut events = LaneEvents { shared: self.shared, lane: self.lane, running: &mut self.running };
        let refused = trainer.put_all(puts, &mut events)?;
        for Arrival { slot, from, .. } in refused {
            if let Some(running) = coming.remove(&slot) {
                lock(&self.shared.desk).scheduler.give_back(running.id, from);
            }
        }
        let mut coming: Vec<_> = coming.into_iter().collect();
        coming.sort_unstable_by_key(|(slot, _)| *slot);
        for (slot, running) in coming {
            self.shared.observer.event(SweepEvent::Started {
                lane: self.lane,
                slot: slot as u32,
                trial: running.id.trial,
                seed: running.id.seed,
                stage: self.shared.stage,
                params: running.params.clone(),
                epochs: epochs[&slot],
                at: running.started,
            });
            self.running[slot] = Some(running);
            // Observers have not seen what an earlier process trained.
            let mut events = LaneEvents { shared: self.shared, lane: self.lane, running: &mut self.running };
            histories.get(&slot).into_iter().flatten().for_each(|epoch| events.epoch(slot, epoch));
        }
        Ok(())
    }

    /// A slot's member has closed an epoch or ended.
    fn closed(&mut self, trainer: &mut Trainer, slot: usize) -> Result<(), TrainError> {
        let Some(id) = self.running[slot].as_ref().map(|running| running.id) else { return Ok(()) };
        let MemberState { state, history, .. } = &trainer.members()[slot];
        if state.ended.is_some() {
            return self.finish(trainer, slot);
        }
        let epochs = state.epochs;
        let value = outcome::value_at(self.shared.request.objective, history, epochs);
        let value = value.unwrap_or(f64::INFINITY);
        let mut desk = lock(&self.shared.desk);
        let verdict = desk.scheduler.epoch(id, epochs, value);
        let rung = desk.scheduler.rungs().iter().position(|&rung| rung == epochs);
        if let (Some(budget), Some(rung)) = (&mut desk.budget, rung) {
            budget.reached(id, rung + 1, value);
        }
        drop(desk);
        match verdict {
            Decision::GoOn => Ok(()),
            Decision::Stop => {
                trainer.stop(slot, StopReason::Halving { epochs });
                self.finish(trainer, slot)
            }
            Decision::Park => {
                let mut events =
                    LaneEvents { shared: self.shared, lane: self.lane, running: &mut self.running };
                let at = trainer.take(slot, &mut events)?;
                let started = self.running[slot].take().map_or_else(now, |running| running.started);
                let place = Place { lane: self.lane, device: self.device.clone(), slot, started };
                self.shared.observer.event(SweepEvent::Parked { trial: id.trial, seed: id.seed });
                if let Some(at) = at {
                    let mut desk = lock(&self.shared.desk);
                    desk.left.insert(id, (place, now()));
                    if let Some(budget) = &mut desk.budget {
                        budget.park(id);
                    }
                    desk.scheduler.park(id, at);
                }
                self.shared.changed.notify_all();
                Ok(())
            }
        }
    }

    /// Records the training of a slot, which has ended, and vacates the slot.
    fn finish(&mut self, trainer: &mut Trainer, slot: usize) -> Result<(), TrainError> {
        let Some(running) = self.running[slot].as_ref() else { return Ok(()) };
        let (id, shared) = (running.id, self.shared);
        let place = Place { lane: self.lane, device: self.device.clone(), slot, started: running.started };
        let mut record = shared.record(id, &running.params, &place);
        let rungs = lock(&shared.desk).scheduler.rungs().to_vec();
        let state = trainer.members()[slot].clone();
        outcome::fill(&mut record, &state, shared.request.objective, &rungs);
        let member = trainer.population().members[slot].clone();
        record.parameters = member.parameters() as u64;
        if shared.stage == Stage::Final && state.best.is_some() {
            let mut events = LaneEvents { shared, lane: self.lane, running: &mut self.running };
            let found = trainer.evaluate_best(&[slot], Part::Test, &mut events)?;
            if let Some(Some((loss, score))) = found.first() {
                outcome::fill_test(&mut record, *loss, *score);
            }
        }
        let Some(running) = self.running[slot].take() else { return Ok(()) };
        shared.enter(id, record, Some((&running.request, &member, &state)), self.lane)?;
        let mut events = LaneEvents { shared, lane: self.lane, running: &mut self.running };
        trainer.vacate(slot, &mut events)
    }

    /// Gives what this lane trained back to the schedule, each at its last checkpoint, so that another lane may
    /// continue it.
    fn give_all_back(&mut self, trainer: &Trainer) -> Result<(), TrainError> {
        for slot in 0..self.running.len() {
            let Some(running) = self.running[slot].take() else { continue };
            let at = trainer.checkpoint(slot).filter(|at| at.state.ended.is_none()).cloned();
            let mut desk = lock(&self.shared.desk);
            let returns = desk.returns.entry(running.id).or_default();
            *returns += 1;
            if *returns <= MOST_RETURNS {
                desk.scheduler.give_back(running.id, at);
                continue;
            }
            drop(desk);
            let place =
                Place { lane: self.lane, device: self.device.clone(), slot, started: running.started };
            let reason = format!("its device failed {MOST_RETURNS} times while training it");
            self.shared.fail(running.id, &running.params, &place, reason)?;
        }
        self.shared.changed.notify_all();
        Ok(())
    }
}

/// Events of a lane's trainer.
struct LaneEvents<'a, 'b> {
    shared: &'a StageContext<'b>,
    lane: usize,
    running: &'a mut Vec<Option<Running>>,
}

impl Events for LaneEvents<'_, '_> {
    fn step(&mut self, slot: usize, step: u64, loss: f64, samples_per_s: f64) {
        self.shared.observer.event(SweepEvent::Step {
            lane: self.lane,
            slot: slot as u32,
            step,
            loss,
            samples_per_s,
        });
    }

    fn epoch(&mut self, slot: usize, metrics: &EpochMetrics) {
        if let Some(running) = &self.running[slot] {
            self.shared.observer.event(SweepEvent::Epoch {
                lane: self.lane,
                slot: slot as u32,
                trial: running.id.trial,
                seed: running.id.seed,
                epoch: metrics.epoch,
                train_loss: metrics.train_loss,
                val_loss: metrics.val_loss,
                val_score: metrics.val_score.map(score_value),
            });
        }
    }

    fn message(&mut self, text: &str) {
        self.shared.observer.event(SweepEvent::Message(text.into()));
    }

    fn checkpoint(
        &mut self,
        population: &Population,
        checkpoint: &[Option<MemberCheckpoint>],
    ) -> Result<(), RunError> {
        let mut sink = lock(self.shared.sink);
        for (slot, at) in checkpoint.iter().enumerate() {
            if let (Some(at), Some(running)) = (at, &self.running[slot])
                && at.state.ended.is_none()
            {
                sink.progress(running.id, &running.request, &population.members[slot], at)?;
            }
        }
        Ok(())
    }
}
