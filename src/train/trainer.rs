//! The loop over steps, epochs and faults, for all members of a population at once.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use crate::data::Part;
use crate::engine::{Engine, EngineFactory, EngineInfo};
use crate::population::tables::{Record, StepRow};
use crate::population::{Buffer, Population, learning_rate, training_step};
use crate::run::{EpochMetrics, RunError};
use crate::step::StepKind;

use super::evaluate::{self, Canary, evaluate};
use super::model;
use super::recovery::{Cost, engine};
use super::{Best, Checkpoint, Ended, EpochSums, MemberState, Pace, Problem, Stop, Sums, TrainError};

/// What a training tells while it goes on.
pub trait Events {
    /// A member has done `step` steps; `loss` is the mean of the latest submit.
    fn step(&mut self, _member: usize, _step: u64, _loss: f64, _samples_per_s: f64) {}
    /// A member has closed an epoch.
    fn epoch(&mut self, _member: usize, _metrics: &EpochMetrics) {}
    /// Something that a person should know.
    fn message(&mut self, _text: &str) {}
    /// A point from which training can go on, to be stored.
    ///
    /// # Errors
    /// If it cannot be; the training then ends.
    fn checkpoint(&mut self, _population: &Population, _checkpoint: &Checkpoint) -> Result<(), RunError> {
        Ok(())
    }
    /// Where checkpoints are stored.
    fn checkpoint_path(&self) -> Option<PathBuf> {
        None
    }
}

/// Trains a population on one engine at a time.
pub struct Trainer<'a> {
    pub(super) factory: &'a dyn EngineFactory,
    pub(super) population: Arc<Population>,
    pub(super) problem: &'a Problem,
    pub(super) pace: Pace,
    /// None only while it is rebuilt.
    pub(super) engine: Option<Box<dyn Engine>>,
    pub(super) info: EngineInfo,
    pub(super) members: Vec<MemberState>,
    /// Seconds that each member had trained before this process.
    pub(super) wall_before: Vec<f64>,
    pub(super) started: Instant,
    pub(super) canary: Canary,
    /// The latest point from which training can go on; none, the initial state.
    pub(super) checkpoint: Option<Checkpoint>,
    pub(super) read: Cost,
    pub(super) stored: Cost,
    /// Faults since the last progress.
    pub(super) tries: u32,
}

enum Next {
    More,
    End,
    Interrupted,
}

impl<'a> Trainer<'a> {
    /// Builds the engine and brings it to where `from` stands, or to the beginning.
    ///
    /// # Errors
    /// [`TrainError::Engine`] or [`TrainError::GaveUp`].
    pub fn new(
        factory: &'a dyn EngineFactory,
        population: Arc<Population>,
        problem: &'a Problem,
        from: Option<Checkpoint>,
        pace: Pace,
        events: &mut dyn Events,
    ) -> Result<Trainer<'a>, TrainError> {
        let members = match &from {
            Some(checkpoint) => checkpoint.members.clone(),
            None => vec![MemberState::default(); population.len()],
        };
        let details = serde_json::Value::Null;
        let mut trainer = Trainer {
            factory,
            problem,
            pace,
            engine: None,
            info: EngineInfo { engine: "none", device: "the device".into(), details },
            wall_before: members.iter().map(|m| m.state.wall_s).collect(),
            members,
            started: Instant::now(),
            canary: Canary::default(),
            checkpoint: from,
            read: Cost::now(),
            stored: Cost::now(),
            tries: 0,
            population,
        };
        if let Err(error) = trainer.rebuild() {
            trainer.recover(error, events)?;
        }
        Ok(trainer)
    }

    /// What runs the steps.
    pub fn info(&self) -> &EngineInfo {
        &self.info
    }

    /// Where every member stands, `[K]`.
    pub fn members(&self) -> &[MemberState] {
        &self.members
    }

    /// Gives the engine on, for [`super::Stored::inference`].
    pub fn into_engine(self) -> Option<Box<dyn Engine>> {
        self.engine
    }

    /// Stores the present state, so that a process killed from now on can be resumed.
    ///
    /// # Errors
    /// As [`Trainer::run`].
    pub fn store(&mut self, events: &mut dyn Events) -> Result<(), TrainError> {
        self.keep(events)?;
        self.store_checkpoint(events)
    }

    /// Trains until every member has ended, or until asked to stop; false is the latter. The last state is stored
    /// either way.
    ///
    /// # Errors
    /// [`TrainError::Engine`] or [`TrainError::GaveUp`] of the device, after the last good state was stored;
    /// [`TrainError::Run`] if a file could not be written.
    pub fn run(&mut self, events: &mut dyn Events, stop: &Stop) -> Result<bool, TrainError> {
        if self.checkpoint.is_none() {
            self.keep(events)?;
        }
        loop {
            match self.advance(events, stop) {
                Ok(Next::More) => {}
                Ok(Next::End) => return Ok(true),
                Ok(Next::Interrupted) => return Ok(false),
                Err(TrainError::Engine(error)) => self.recover(error, events)?,
                Err(error) => return Err(error),
            }
        }
    }

    /// One submit, or the end of some members' epochs.
    fn advance(&mut self, events: &mut dyn Events, stop: &Stop) -> Result<Next, TrainError> {
        if stop.asked() {
            events.message("stopping as asked, with a checkpoint; once more to stop at once");
            self.take_checkpoint()?;
            self.store_checkpoint(events)?;
            return Ok(Next::Interrupted);
        }
        let active: Vec<usize> =
            (0..self.members.len()).filter(|&k| self.members[k].state.ended.is_none()).collect();
        if active.is_empty() {
            self.take_checkpoint()?;
            self.store_checkpoint(events)?;
            return Ok(Next::End);
        }
        let closing: Vec<usize> = active.iter().copied().filter(|&k| self.must_close(k)).collect();
        if closing.is_empty() {
            self.train(&active, events)?;
            self.checkpoint_within_epoch(events)?;
        } else if self.close_epochs(&closing, events, stop)? {
            self.checkpoint_after_epoch(events)?;
        }
        Ok(Next::More)
    }

    /// Whether a member's open epoch is over: all its batches are done, or all steps, or the time is up.
    fn must_close(&self, k: usize) -> bool {
        let (member, state) = (&self.population.members[k], &self.members[k].state);
        let at_end = state.step.is_multiple_of(member.walk.steps_per_epoch);
        let all = state.step >= member.total_steps();
        all || (state.open.steps > 0 && at_end) || self.time_is_up(k)
    }

    fn time_is_up(&self, k: usize) -> bool {
        let limit = self.population.members[k].training.max_time;
        limit.is_some_and(|limit| self.members[k].state.wall_s >= limit.as_secs_f64())
    }

    /// Trains `active` members up to the first end of an epoch among them, or as far as one submit reaches.
    fn train(&mut self, active: &[usize], events: &mut dyn Events) -> Result<(), TrainError> {
        let k = self.population.len();
        let to_boundary = |&at: &usize| {
            let (member, step) = (&self.population.members[at], self.members[at].state.step);
            let per_epoch = member.walk.steps_per_epoch;
            (per_epoch - step % per_epoch).min(member.total_steps() - step)
        };
        let nearest = active.iter().map(to_boundary).min().unwrap_or(0);
        let engine = engine(&mut self.engine)?;
        let count = (engine.pace(StepKind::Train) as u64).clamp(1, nearest.max(1)) as usize;
        let mut steps = vec![StepRow::IDLE; count * k];
        for &at in active {
            let (member, first) = (&self.population.members[at], self.members[at].state.step);
            let total = member.total_steps();
            for (s, steps) in (first..).zip(steps.chunks_exact_mut(k)) {
                steps[at] = training_step(&member.training, &member.walk, s, total);
            }
        }
        let start = Instant::now();
        let records = engine.run(StepKind::Train, &steps)?;
        let seconds = start.elapsed().as_secs_f64();
        log::debug!("{count} steps in {:.1} ms", 1e3 * seconds);
        for &at in active {
            let (mut loss, mut rows) = (0.0, 0);
            let state = &mut self.members[at].state;
            let open = &mut state.open;
            let mut bad = Record::FINITE;
            for (asked, got) in steps.chunks_exact(k).zip(records.chunks_exact(k)) {
                let (asked, got) = (&asked[at], &got[at]);
                evaluate::check(&self.info.device, asked, got)?;
                let finite = got.loss.is_finite() && got.grad_norm.is_finite();
                bad = bad.min(got.first_bad).min(if finite { Record::FINITE } else { got.step });
                loss += f64::from(got.loss);
                rows += u64::from(got.rows);
                open.loss += f64::from(got.loss);
                open.hits += u64::from(got.hits);
                open.grad_norm += f64::from(got.grad_norm);
            }
            if bad != Record::FINITE {
                self.diverge(at, u64::from(bad) + 1);
                continue;
            }
            open.steps += count as u64;
            open.rows += rows;
            open.train_s += seconds;
            state.rows += rows;
            state.step += count as u64;
            state.train_s += seconds;
            state.wall_s = self.wall_before[at] + self.started.elapsed().as_secs_f64();
            events.step(at, state.step, loss / rows as f64, rows as f64 / seconds.max(1e-9));
        }
        Ok(())
    }

    /// Evaluates `closing` on the validation rows and enters their epochs into the record; false if it was asked
    /// to stop on the way, and nothing was entered.
    fn close_epochs(
        &mut self,
        closing: &[usize],
        events: &mut dyn Events,
        stop: &Stop,
    ) -> Result<bool, TrainError> {
        let rows = self.problem.split.range(Part::Val);
        let engine = engine(&mut self.engine)?;
        let has_val = !rows.is_empty();
        let canary = &mut self.canary;
        let Some(sums) = evaluate(engine.as_mut(), &self.population, closing, rows, canary, stop)? else {
            return Ok(false);
        };
        let improves = |at: usize, sums: &Sums| {
            let best = self.members[at].state.best;
            let loss = sums.loss / sums.rows as f64;
            has_val && loss.is_finite() && best.is_none_or(|best| loss < best.val_loss)
        };
        // Read once for all that improved.
        let weights = if closing.iter().zip(&sums).any(|(&at, sums)| improves(at, sums)) {
            Some((engine.read(Buffer::Params)?, engine.read(Buffer::Stats)?))
        } else {
            None
        };
        let improved: Vec<bool> = closing.iter().zip(&sums).map(|(&at, sums)| improves(at, sums)).collect();
        for ((&at, sums), improved) in closing.iter().zip(&sums).zip(improved) {
            if self.members[at].state.open.steps > 0 {
                if !sums.loss.is_finite() {
                    self.diverge(at, self.members[at].state.step);
                    continue;
                }
                let metrics = self.close_epoch(at, has_val.then_some(sums));
                events.epoch(at, &metrics);
                if improved && let Some((params, stats)) = &weights {
                    let (member, base) = (&self.population.members[at], &self.population.bases[at]);
                    self.members[at].best = Some(Arc::new(model::layers(member, base, params, stats)));
                }
            }
            self.members[at].state.ended = self.end(at, has_val);
        }
        Ok(true)
    }

    /// Enters a member's open epoch into its record.
    fn close_epoch(&mut self, at: usize, val: Option<&Sums>) -> EpochMetrics {
        let member = &self.population.members[at];
        let MemberState { state, history, .. } = &mut self.members[at];
        let open = std::mem::take(&mut state.open);
        let train = Sums { loss: open.loss, hits: open.hits, rows: open.rows };
        let (train_loss, train_score) = self.problem.evaluation(Part::Train, &train);
        let val = val.map(|sums| self.problem.evaluation(Part::Val, sums));
        state.epochs += 1;
        state.epochs_since_best += 1;
        if let Some((val_loss, _)) = val
            && state.best.is_none_or(|best| val_loss < best.val_loss)
        {
            state.best = Some(Best { epoch: state.epochs, step: state.step, val_loss });
            state.epochs_since_best = 0;
        }
        state.wall_s = self.wall_before[at] + self.started.elapsed().as_secs_f64();
        let metrics = EpochMetrics {
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
        };
        history.push(metrics);
        metrics
    }

    /// Whether a member's training is over, and why.
    fn end(&self, at: usize, has_val: bool) -> Option<Ended> {
        let (member, state) = (&self.population.members[at], &self.members[at].state);
        let stopped = |reason: String| Some(Ended::Stopped { reason });
        if state.step >= member.total_steps() {
            return Some(Ended::Completed);
        }
        match member.training.patience {
            Some(patience) if has_val && state.epochs_since_best >= patience => {
                return stopped(format!("the validation loss has not improved for {patience} epochs"));
            }
            _ => {}
        }
        if self.time_is_up(at) { stopped("the time of --max-time is up".into()) } else { None }
    }

    /// Ends a member at step `step` (from 1). Its weights go back to the last checkpoint; what it recorded stays.
    fn diverge(&mut self, at: usize, step: u64) {
        let good = self.checkpoint.as_ref().map_or(0, |good| good.members[at].state.step);
        let state = &mut self.members[at].state;
        state.ended = Some(Ended::Diverged { step });
        state.step = good;
        state.open = EpochSums::default();
    }
}
