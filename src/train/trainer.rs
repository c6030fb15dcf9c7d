//! The loop over steps, epochs and faults, for all members of a population at once.
//!
//! Members advance in lock-step until the first of them ends an epoch. Members whose epochs end at the same step are
//! evaluated together and reported in slot order, whatever the number of steps per submit.

use std::sync::Arc;
use std::time::Instant;

use crate::data::Part;
use crate::engine::{Engine, EngineFactory, EngineInfo};
use crate::population::{Member, Population, learning_rate};
use crate::run::{EpochMetrics, Look, Score};
use crate::spec::BestEpoch;
use crate::step::watch::next_look;

use super::ensemble::Means;
use super::pace::{Clock, Cost};
use super::state::saved;
use super::stepper::Stepper;
use super::{
    Advance, Best, Checkpoint, Ended, EpochSums, Events, MemberCheckpoint, MemberState, Pace, Problem, Stop,
    StopReason, Sums, TrainError,
};

/// Trains a population on one engine at a time.
pub struct Trainer<'a> {
    pub(super) stepper: Stepper<'a>,
    pub(super) problem: &'a Problem,
    pub(super) pace: Pace,
    pub(super) members: Vec<MemberState>,
    pub(super) clocks: Vec<Clock>,
    /// Whether the members are one ensemble: see [`Trainer::as_ensemble`].
    pub(super) is_ensemble: bool,
    /// The latest checkpoints.
    pub(super) checkpoint: Checkpoint,
    pub(super) read: Cost,
    pub(super) stored: Cost,
}

impl<'a> Trainer<'a> {
    /// Builds the engine and sets every member to `from` (`[K]`, or shorter), or to its initial weights.
    ///
    /// # Errors
    /// [`TrainError::Engine`] or [`TrainError::GaveUp`].
    pub fn new(
        factory: &'a dyn EngineFactory,
        population: impl Into<Arc<Population>>,
        problem: &'a Problem,
        from: Checkpoint,
        pace: Pace,
        events: &mut dyn Events,
    ) -> Result<Trainer<'a>, TrainError> {
        let population = population.into();
        let mut checkpoint = from;
        checkpoint.resize(population.len(), None);
        let member = |from: &Option<MemberCheckpoint>| from.as_ref().map(MemberCheckpoint::member);
        let members: Vec<MemberState> =
            checkpoint.iter().map(|from| member(from).unwrap_or_default()).collect();
        let now = Instant::now();
        let mut trainer = Trainer {
            stepper: Stepper::new(factory, population, problem.table.clone(), pace.backoff),
            problem,
            pace,
            clocks: members.iter().map(|member| Clock::after(member.state.wall_s, now)).collect(),
            members,
            is_ensemble: false,
            checkpoint,
            read: Cost::now(),
            stored: Cost::now(),
        };
        if let Err(error) = trainer.stepper.set_up(&saved(&trainer.checkpoint)) {
            trainer.recover(error, events)?;
        }
        Ok(trainer)
    }

    /// The engine's device.
    pub fn info(&self) -> &EngineInfo {
        self.stepper.info()
    }

    /// The slots and their members.
    pub fn population(&self) -> &Arc<Population> {
        self.stepper.population()
    }

    /// State of every member, `[K]`; empty for a vacant slot.
    pub fn members(&self) -> &[MemberState] {
        &self.members
    }

    /// Returns the engine, for [`super::Stored::inference`].
    pub fn into_engine(self) -> Option<Box<dyn Engine>> {
        self.stepper.into_engine()
    }

    /// Stores the current state, so that a process killed later can be resumed.
    ///
    /// # Errors
    /// As [`Trainer::run`].
    pub fn store(&mut self, events: &mut dyn Events) -> Result<(), TrainError> {
        self.keep(events)?;
        self.store_checkpoint(events)
    }

    /// Trains until every member has ended (true) or a stop is requested (false). The last state is stored either way.
    ///
    /// # Errors
    /// [`TrainError::Engine`] or [`TrainError::GaveUp`] for the device, after the last good state was stored;
    /// [`TrainError::Run`] if a file could not be written.
    pub fn run(&mut self, events: &mut dyn Events, stop: &Stop) -> Result<bool, TrainError> {
        if self.checkpoint.iter().all(Option::is_none) {
            self.keep(events)?;
        }
        loop {
            let asked = stop.asked();
            if asked {
                events.message("stopping after a checkpoint; interrupt again to stop at once");
            }
            let went = match self.advance_or_stop(asked, events, stop) {
                Ok(Advance::Went { .. }) => Ok(()),
                Ok(Advance::Interrupted) => return Ok(false),
                Ok(Advance::Idle) => match self.take_checkpoint() {
                    Ok(()) => return self.store_checkpoint(events).map(|()| true),
                    Err(error) => Err(error.into()),
                },
                Err(error) => Err(error),
            };
            match went {
                Ok(()) => {}
                Err(TrainError::Engine(error)) => self.recover(error, events)?,
                Err(error) => return Err(error),
            }
        }
    }

    /// Runs one submit, or evaluates members at the end of their epochs; after a device fault, returns to the last
    /// checkpoints.
    ///
    /// # Errors
    /// As [`Trainer::run`].
    pub fn advance(&mut self, events: &mut dyn Events, stop: &Stop) -> Result<Advance, TrainError> {
        match self.advance_or_stop(stop.asked(), events, stop) {
            Err(TrainError::Engine(error)) => {
                self.recover(error, events)?;
                Ok(Advance::Went { closed: Vec::new() })
            }
            went => went,
        }
    }

    fn advance_or_stop(
        &mut self,
        asked: bool,
        events: &mut dyn Events,
        stop: &Stop,
    ) -> Result<Advance, TrainError> {
        if asked {
            self.take_checkpoint()?;
            self.store_checkpoint(events)?;
            return Ok(Advance::Interrupted);
        }
        let active: Vec<usize> = (0..self.members.len()).filter(|&k| self.is_active(k)).collect();
        if active.is_empty() {
            return Ok(Advance::Idle);
        }
        let closing: Vec<usize> = active.iter().copied().filter(|&k| self.must_close(k)).collect();
        if closing.is_empty() {
            self.train(&active, u64::MAX, events)?;
            self.checkpoint_within_epoch(events)?;
            let closed = active.into_iter().filter(|&k| !self.is_active(k)).collect();
            return Ok(Advance::Went { closed });
        }
        if !self.close_epochs(&closing, events, stop)? {
            return Ok(Advance::Went { closed: Vec::new() });
        }
        self.checkpoint_after_epoch(events)?;
        Ok(Advance::Went { closed: closing })
    }

    pub(super) fn member(&self, k: usize) -> &Member {
        &self.population().members[k]
    }

    /// Whether the member of a slot continues.
    pub(super) fn is_active(&self, k: usize) -> bool {
        !self.population().is_vacant(k) && self.members[k].state.ended.is_none()
    }

    /// Whether a member's current epoch is over: all its batches are done, or all steps, or time has run out.
    pub(super) fn must_close(&self, k: usize) -> bool {
        let (member, state) = (self.member(k), &self.members[k].state);
        let at_end = state.step.is_multiple_of(member.walk.steps_per_epoch);
        let all = state.step >= member.total_steps();
        all || (state.open.steps > 0 && at_end) || self.time_is_up(k)
    }

    fn time_is_up(&self, k: usize) -> bool {
        let limit = self.member(k).training.max_time;
        limit.is_some_and(|limit| self.members[k].state.wall_s >= limit.as_secs_f64())
    }

    /// Trains the `active` members until the first of them ends an epoch, for at most one submit and at most `most`
    /// steps.
    pub(super) fn train(
        &mut self,
        active: &[usize],
        most: u64,
        events: &mut dyn Events,
    ) -> Result<(), TrainError> {
        self.look(active, events)?;
        let watched = self.population().is_watched();
        let to_boundary = |&at: &usize| {
            let (member, step) = (self.member(at), self.members[at].state.step);
            let per_epoch = member.walk.steps_per_epoch;
            let end = (per_epoch - step % per_epoch).min(member.total_steps() - step);
            if watched { end.min(next_look(step + 1, member.total_steps()) - step) } else { end }
        };
        let nearest = active.iter().map(to_boundary).min().unwrap_or(0).min(most);
        let count = self.stepper.pace(nearest)?;
        let starts: Vec<_> = active.iter().map(|&at| (at, self.members[at].state.step)).collect();
        let submit = self.stepper.train(&starts, count)?;
        let (seconds, now) = (submit.took.as_secs_f64(), Instant::now());
        if self.is_ensemble {
            let diverged = active.iter().filter_map(|&at| Some((submit.diverged(at)?, at)));
            if let Some((step, at)) = diverged.min() {
                self.diverge_together(at, step);
                return Ok(());
            }
        }
        let mut means = Means::default();
        for &at in active {
            if let Some(step) = submit.diverged(at) {
                self.diverge(at, step, None);
                continue;
            }
            let (mut loss, mut rows) = (0.0, 0);
            let state = &mut self.members[at].state;
            let open = &mut state.open;
            for record in submit.records(at) {
                loss += f64::from(record.loss);
                rows += u64::from(record.rows);
                open.loss += f64::from(record.loss);
                open.hits += u64::from(record.hits);
                open.grad_norm += f64::from(record.grad_norm);
            }
            open.steps += count as u64;
            open.rows += rows;
            open.train_s += seconds;
            state.rows += rows;
            state.step += count as u64;
            state.train_s += seconds;
            state.wall_s = self.clocks[at].wall_s(now);
            let (loss, samples_per_s) = (loss / rows as f64, rows as f64 / seconds.max(1e-9));
            means.add(loss, samples_per_s);
            if !self.is_ensemble {
                events.step(at, state.step, loss, samples_per_s);
            }
        }
        if let (true, Some(&first)) = (self.is_ensemble, active.first()) {
            events.step(first, self.members[first].state.step, means.loss(), means.samples_per_s);
        }
        Ok(())
    }

    /// Watches those `active` members whose next step is to be watched.
    fn look(&mut self, active: &[usize], events: &mut dyn Events) -> Result<(), TrainError> {
        if !self.population().is_watched() {
            return Ok(());
        }
        let next = active.iter().map(|&at| (at, self.members[at].state.step));
        let is_due = |&(at, step): &(usize, u64)| next_look(step, self.member(at).total_steps()) == step;
        let due: Vec<_> = next.filter(is_due).collect();
        if due.is_empty() {
            return Ok(());
        }
        for (at, seen) in self.stepper.watch(&due)?.into_iter().enumerate() {
            let Some(layers) = seen else { continue };
            let look = Look::new(self.members[at].state.step, &layers);
            events.look(at, &look);
            self.members[at].looks.push(look);
        }
        Ok(())
    }

    /// Evaluates `closing` on the validation rows and adds their epochs to the record; false if a stop was requested on
    /// the way, and nothing was added.
    pub(super) fn close_epochs(
        &mut self,
        closing: &[usize],
        events: &mut dyn Events,
        stop: &Stop,
    ) -> Result<bool, TrainError> {
        if self.is_ensemble {
            return self.close_epoch_together(events, stop);
        }
        let has_val = self.problem.split.val > 0;
        let rows = closing.iter().map(|&at| self.stepper.rows_of(at, Part::Val, self.problem)).collect();
        let Some(sums) = self.stepper.evaluate_each(closing, rows, stop)? else { return Ok(false) };
        let improves = |at: usize, sums: &Sums| has_val && self.improves(at, sums.loss / sums.rows as f64);
        let improved: Vec<bool> = closing.iter().zip(&sums).map(|(&at, sums)| improves(at, sums)).collect();
        let better = closing.iter().zip(&improved).filter(|(_, improved)| **improved).map(|(&at, _)| at);
        let mut models = self.stepper.read_models(&better.collect::<Vec<_>>())?.into_iter();
        let now = Instant::now();
        for ((&at, sums), improved) in closing.iter().zip(&sums).zip(improved) {
            let model = if improved { models.next() } else { None };
            if self.members[at].state.open.steps > 0 {
                if !sums.loss.is_finite() {
                    self.diverge(at, self.members[at].state.step, None);
                    continue;
                }
                let val = has_val.then(|| self.problem.evaluation(Part::Val, sums));
                let metrics = self.close_epoch(at, val, now);
                self.members[at].history.push(metrics);
                events.epoch(at, &metrics);
                if let Some(model) = model {
                    self.members[at].best = Some(Arc::new(model));
                }
            }
            self.members[at].state.ended = self.end(at, has_val);
        }
        Ok(true)
    }

    /// Whether the current epoch, with this validation loss, is the best so far: see [`BestEpoch`].
    pub(super) fn improves(&self, at: usize, val_loss: f64) -> bool {
        let (member, state) = (self.member(at), &self.members[at].state);
        let is_last = member.training.best_epoch == BestEpoch::Last && state.step >= member.total_steps();
        val_loss.is_finite() && (is_last || state.best.is_none_or(|best| val_loss < best.val_loss))
    }

    /// Ends a member's current epoch, with these loss and score on the validation rows, if there are any.
    pub(super) fn close_epoch(&mut self, at: usize, val: Option<(f64, Score)>, now: Instant) -> EpochMetrics {
        let improves = val.is_some_and(|(val_loss, _)| self.improves(at, val_loss));
        let member = &self.stepper.population().members[at];
        let state = &mut self.members[at].state;
        let open = std::mem::take(&mut state.open);
        let train = Sums { loss: open.loss, hits: open.hits, rows: open.rows };
        let (train_loss, train_score) = self.problem.evaluation(Part::Train, &train);
        state.epochs += 1;
        state.epochs_since_best += 1;
        if let (Some((val_loss, _)), true) = (val, improves) {
            state.best = Some(Best { epoch: state.epochs, step: state.step, val_loss });
            state.epochs_since_best = 0;
        }
        state.wall_s = self.clocks[at].wall_s(now);
        EpochMetrics {
            epoch: state.epochs,
            step: state.step,
            lr: learning_rate(&member.training, state.step - 1, member.total_steps()),
            train_loss,
            train_score,
            val_loss: val.map(|(loss, _)| loss),
            val_score: val.map(|(_, score)| score),
            grad_norm: open.grad_norm / open.steps as f64,
            samples_per_s: open.rows as f64 / open.train_s.max(1e-9),
            wall_s: state.wall_s,
        }
    }

    /// Whether a member's training is over, and why.
    pub(super) fn end(&self, at: usize, has_val: bool) -> Option<Ended> {
        let (member, state) = (self.member(at), &self.members[at].state);
        let stopped = |reason| Some(Ended::Stopped { reason });
        if state.step >= member.total_steps() {
            return Some(Ended::Completed);
        }
        match member.training.patience {
            Some(patience) if has_val && state.epochs_since_best >= patience => {
                return stopped(StopReason::Patience { epochs: patience });
            }
            _ => {}
        }
        if self.time_is_up(at) { stopped(StopReason::MaxTime) } else { None }
    }

    /// Ends a member at step `step` (from 1). Its weights return to the last checkpoint; its record stays. `member` is
    /// that of an ensemble which diverged.
    pub(super) fn diverge(&mut self, at: usize, step: u64, member: Option<usize>) {
        let good = self.checkpoint[at].as_ref().map_or(0, |good| good.state.step);
        let state = &mut self.members[at].state;
        state.ended = Some(Ended::Diverged { step, member });
        state.step = good;
        state.open = EpochSums::default();
    }
}
