//! The loop over steps, epochs and faults, for all members of a population at once.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::data::Part;
use crate::engine::{Engine, EngineError, EngineFactory, EngineInfo};
use crate::population::tables::{Record, StepRow};
use crate::population::{Buffer, Loss, Member, Population, learning_rate, training_step};
use crate::run::{EpochMetrics, RunError};
use crate::spec::Training;
use crate::step::StepKind;

use super::evaluate::{self, Canary, evaluate};
use super::model::{self, Weights};
use super::{Best, Checkpoint, Ended, EpochSums, MemberState, Problem, Stop, Sums, TrainError};

/// Most faults in a row without progress.
const TRIES: u32 = 3;

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

/// How often checkpoints are taken, and how patient faults are met.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Stored within an epoch at most this often; at the end of every epoch if it costs little (see `share`).
    pub store_every: Duration,
    /// Read back to the host within an epoch at most this often, so that a fault loses little.
    pub read_every: Duration,
    /// Largest share of the time that checkpoints may take.
    pub share: f64,
    /// Wait before a device is tried again, times the number of the try.
    pub backoff: Duration,
}

impl Default for Pace {
    fn default() -> Pace {
        Pace {
            store_every: Duration::from_secs(30),
            read_every: Duration::from_secs(3),
            share: 0.1,
            backoff: Duration::from_millis(500),
        }
    }
}

/// Lays out a member for `problem`.
///
/// # Errors
/// [`TrainError::NoStep`], [`TrainError::TooLong`], [`TrainError::TooLarge`].
pub fn member(training: &Training, problem: &Problem) -> Result<Member, TrainError> {
    let (rows, inputs) = (problem.split.train, problem.table.features);
    check_size(training, problem.loss, inputs, rows)?;
    let member = Member::new(training, problem.loss, inputs, rows)
        .ok_or(TrainError::NoStep { rows, batch: training.batch_size.min(rows) })?;
    match member.total_steps() {
        steps if steps > u64::from(u32::MAX) => Err(TrainError::TooLong { steps }),
        _ => Ok(member),
    }
}

/// Offsets into a role of memory are 32-bit numbers.
fn check_size(training: &Training, loss: Loss, inputs: usize, rows: usize) -> Result<(), TrainError> {
    let widths: Vec<u128> = ([inputs].iter().chain(&training.network.hidden).chain(&[loss.outputs()]))
        .map(|&units| units as u128)
        .collect();
    let weights: u128 = widths.windows(2).map(|pair| (pair[0] + 3) * (pair[1] + 4)).sum();
    let batch = training.batch_size.min(rows).max(256) as u128;
    for (what, elements) in
        [("weights and moments", 2 * weights), ("activations", batch * widths.iter().sum::<u128>())]
    {
        if elements > u128::from(u32::MAX) {
            return Err(TrainError::TooLarge { what, elements });
        }
    }
    Ok(())
}

/// Trains a population on one engine at a time.
pub struct Trainer<'a> {
    factory: &'a dyn EngineFactory,
    population: Arc<Population>,
    problem: &'a Problem,
    pace: Pace,
    /// None only while it is rebuilt.
    engine: Option<Box<dyn Engine>>,
    info: EngineInfo,
    members: Vec<MemberState>,
    /// Seconds that each member had trained before this process.
    wall_before: Vec<f64>,
    started: Instant,
    canary: Canary,
    /// The latest point from which training can go on; none, the initial state.
    checkpoint: Option<Checkpoint>,
    read: Cost,
    stored: Cost,
    /// Faults since the last progress.
    tries: u32,
}

/// When something was done last, and how long it took.
#[derive(Clone, Copy, Debug)]
struct Cost {
    at: Instant,
    took: Duration,
}

impl Cost {
    fn now() -> Cost {
        Cost { at: Instant::now(), took: Duration::ZERO }
    }
    /// Whether doing it again now keeps it below `share` of the time, `every` apart.
    fn is_due(&self, every: Duration, share: f64) -> bool {
        self.at.elapsed() >= every.max(self.took.mul_f64(1.0 / share - 1.0))
    }
    fn measure<T>(&mut self, what: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = what();
        *self = Cost { at: Instant::now(), took: start.elapsed() };
        result
    }
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

    /// Stores the present state, so that a process killed from now on can be resumed.
    ///
    /// # Errors
    /// As [`Trainer::run`].
    pub fn store(&mut self, events: &mut dyn Events) -> Result<(), TrainError> {
        self.keep(events)?;
        self.store_checkpoint(events)
    }

    /// Takes a checkpoint, whatever tries it needs.
    fn keep(&mut self, events: &mut dyn Events) -> Result<(), TrainError> {
        while let Err(error) = self.take_checkpoint() {
            self.recover(error, events)?;
        }
        Ok(())
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
        (state.open.steps > 0 && (at_end || all)) || all || self.time_is_up(k)
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
        let open = std::mem::replace(&mut state.open, EpochSums::default());
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

    fn checkpoint_within_epoch(&mut self, events: &mut dyn Events) -> Result<(), TrainError> {
        let store = self.stored.is_due(self.pace.store_every, self.pace.share);
        // After a fault, whatever goes well is kept at once.
        if store || self.tries > 0 || self.read.is_due(self.pace.read_every, self.pace.share) {
            self.take_checkpoint()?;
        }
        if store { self.store_checkpoint(events) } else { Ok(()) }
    }

    fn checkpoint_after_epoch(&mut self, events: &mut dyn Events) -> Result<(), TrainError> {
        let store = self.stored.is_due(Duration::ZERO, self.pace.share);
        if store || self.tries > 0 || self.read.is_due(Duration::ZERO, self.pace.share) {
            self.take_checkpoint()?;
        }
        if store { self.store_checkpoint(events) } else { Ok(()) }
    }

    /// Reads what outlives a step back to the host. Diverged members keep what the checkpoint before had of them.
    fn take_checkpoint(&mut self) -> Result<(), EngineError> {
        let engine = engine(&mut self.engine)?;
        let mut read = || -> Result<Weights, EngineError> {
            Ok(Weights {
                params: engine.read(Buffer::Params)?,
                moments: engine.read(Buffer::Moments)?,
                stats: engine.read(Buffer::Stats)?,
            })
        };
        let mut weights = self.read.measure(&mut read)?;
        for (at, member) in self.members.iter().enumerate() {
            if let (Some(Ended::Diverged { .. }), Some(good)) = (&member.state.ended, &self.checkpoint) {
                let (own, base) = (&self.population.members[at].sizes, &self.population.bases[at]);
                for (to, from, role) in [
                    (&mut weights.params, &good.weights.params, Buffer::Params as usize),
                    (&mut weights.moments, &good.weights.moments, Buffer::Moments as usize),
                    (&mut weights.stats, &good.weights.stats, Buffer::Stats as usize),
                ] {
                    let region = base[role]..base[role] + own[role];
                    to[region.clone()].copy_from_slice(&from[region]);
                }
            }
        }
        let steps = |members: &[MemberState]| members.iter().map(|m| m.state.step).sum::<u64>();
        let before = self.checkpoint.as_ref().map(|checkpoint| steps(&checkpoint.members));
        if before.is_none_or(|before| steps(&self.members) > before) {
            self.tries = 0;
        }
        self.checkpoint = Some(Checkpoint { weights, members: self.members.clone() });
        Ok(())
    }

    fn store_checkpoint(&mut self, events: &mut dyn Events) -> Result<(), TrainError> {
        if let Some(checkpoint) = &self.checkpoint {
            self.stored.measure(|| events.checkpoint(&self.population, checkpoint))?;
        }
        Ok(())
    }

    /// After a fault: a new engine, gentler, at the last checkpoint.
    fn recover(&mut self, error: EngineError, events: &mut dyn Events) -> Result<(), TrainError> {
        let mut error = error;
        loop {
            if !error.is_transient() {
                return Err(error.into());
            }
            self.tries += 1;
            if self.tries > TRIES {
                let tries = TRIES;
                // What the host has may be newer than what is stored.
                self.store_checkpoint(events)?;
                return Err(TrainError::GaveUp { cause: error, tries, checkpoint: events.checkpoint_path() });
            }
            let step = self.checkpoint.as_ref().map_or(0, |good| good.members[0].state.step);
            events.message(&format!("{error}; going on from step {step}, try {} of {TRIES}", self.tries));
            self.factory.soften();
            std::thread::sleep(self.pace.backoff * self.tries);
            match self.rebuild() {
                Ok(()) => return Ok(()),
                Err(again) => error = again,
            }
        }
    }

    /// A new engine at the last checkpoint, or at the beginning.
    fn rebuild(&mut self) -> Result<(), EngineError> {
        // Its memory is free before the next one asks for it.
        self.engine = None;
        let mut engine = self.factory.build(&self.population, &self.problem.table)?;
        self.info = engine.info().clone();
        engine.initialize()?;
        match &self.checkpoint {
            Some(Checkpoint { weights, members }) => {
                put(engine.as_mut(), weights)?;
                self.members.clone_from(members);
            }
            None => self.members.iter_mut().for_each(|member| *member = MemberState::default()),
        }
        self.engine = Some(engine);
        Ok(())
    }
}

/// The engine, which is missing only if building it failed.
fn engine(engine: &mut Option<Box<dyn Engine>>) -> Result<&mut Box<dyn Engine>, EngineError> {
    engine.as_mut().ok_or_else(|| EngineError::Lost {
        device: "the device".into(),
        reason: "it could not be set up again".into(),
    })
}

/// Overwrites what outlives a step. (What a step leaves in `State` counts for that step alone, apart from the first
/// bad step, which a freshly initialised engine has not.)
pub(super) fn put(engine: &mut dyn Engine, weights: &Weights) -> Result<(), EngineError> {
    engine.write(Buffer::Params, &weights.params)?;
    engine.write(Buffer::Moments, &weights.moments)?;
    engine.write(Buffer::Stats, &weights.stats)
}
