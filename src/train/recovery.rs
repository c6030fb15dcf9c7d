//! Checkpoints, and the way back to them after a fault of the device.

use std::time::{Duration, Instant};

use crate::engine::{Engine, EngineError};
use crate::population::{Buffer, Population};

use super::model::Weights;
use super::{Ended, Events, MemberCheckpoint, MemberState, TrainError, Trainer, TrainingState};

/// Most faults in a row without progress.
pub(super) const TRIES: u32 = 3;

/// How often checkpoints are taken, and how patient faults are met.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Stored within an epoch at most this often; at the end of every epoch if it costs little (see `share`).
    pub store_every: Duration,
    /// Read back to the host within an epoch at most this often, so that a fault loses little.
    pub read_every: Duration,
    /// Both at the end of an epoch at most this often.
    pub epoch_every: Duration,
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
            epoch_every: Duration::ZERO,
            share: 0.1,
            backoff: Duration::from_millis(500),
        }
    }
}

/// When something was done last, and how long it took.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cost {
    at: Instant,
    took: Duration,
}

impl Cost {
    pub(super) fn now() -> Cost {
        Cost { at: Instant::now(), took: Duration::ZERO }
    }
    /// Whether doing it again now keeps it below `share` of the time, `every` apart.
    fn is_due(&self, every: Duration, share: f64) -> bool {
        self.at.elapsed() >= every.max(self.took.mul_f64(1.0 / share - 1.0))
    }
    fn measure<T>(&mut self, what: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let result = what();
        *self = Cost::since(start);
        result
    }
    /// Of what began at `start` and is done now.
    fn since(start: Instant) -> Cost {
        Cost { at: Instant::now(), took: start.elapsed() }
    }
}

impl Trainer<'_> {
    /// Takes a checkpoint, whatever tries it needs.
    pub(super) fn keep(&mut self, events: &mut dyn Events) -> Result<(), TrainError> {
        while let Err(error) = self.take_checkpoint() {
            self.recover(error, events)?;
        }
        Ok(())
    }

    pub(super) fn checkpoint_within_epoch(&mut self, events: &mut dyn Events) -> Result<(), TrainError> {
        let store = self.stored.is_due(self.pace.store_every, self.pace.share);
        // After a fault, whatever goes well is kept at once.
        if store || self.tries > 0 || self.read.is_due(self.pace.read_every, self.pace.share) {
            self.take_checkpoint()?;
        }
        if store { self.store_checkpoint(events) } else { Ok(()) }
    }

    pub(super) fn checkpoint_after_epoch(&mut self, events: &mut dyn Events) -> Result<(), TrainError> {
        let store = self.stored.is_due(self.pace.epoch_every, self.pace.share);
        if store || self.tries > 0 || self.read.is_due(self.pace.epoch_every, self.pace.share) {
            self.take_checkpoint()?;
        }
        if store { self.store_checkpoint(events) } else { Ok(()) }
    }

    /// Takes a checkpoint of every member.
    pub(super) fn take_checkpoint(&mut self) -> Result<(), EngineError> {
        let slots: Vec<usize> =
            (0..self.population.len()).filter(|&k| !self.population.is_vacant(k)).collect();
        self.take_checkpoint_of(&slots)
    }

    /// Reads what outlives a step of the members in `slots` back to the host. Diverged members keep the weights that
    /// the checkpoint before had of them.
    pub(super) fn take_checkpoint_of(&mut self, slots: &[usize]) -> Result<(), EngineError> {
        let start = Instant::now();
        let has_diverged = |k: usize| matches!(self.members[k].state.ended, Some(Ended::Diverged { .. }));
        let before = |k: usize| self.checkpoint[k].as_ref().map(|good| good.state.step);
        let stale = |&k: &usize| before(k) != Some(self.members[k].state.step) && !has_diverged(k);
        let stale: Vec<usize> = slots.iter().copied().filter(stale).collect();
        let regions: Vec<_> = stale
            .iter()
            .flat_map(|&k| LASTING.map(|buffer| (buffer, self.population.region(k, buffer))))
            .collect();
        let mut read = match regions.is_empty() {
            true => Vec::new(),
            false => engine(&mut self.engine)?.read_regions(&regions)?,
        }
        .into_iter();
        if slots.iter().any(|&k| before(k).is_none_or(|before| self.members[k].state.step > before)) {
            self.tries = 0;
        }
        for &k in slots {
            let weights = if stale.contains(&k)
                && let (Some(params), Some(moments), Some(stats)) = (read.next(), read.next(), read.next())
            {
                Some(Weights { params, moments, stats })
            } else {
                None
            };
            let MemberState { state, history, looks, best } = &self.members[k];
            let member = &self.population.members[k];
            let good = self.checkpoint[k].get_or_insert_with(|| MemberCheckpoint {
                state: TrainingState::default(),
                history: Vec::new(),
                looks: Vec::new(),
                best: None,
                // A member that diverged before there was a checkpoint of it.
                weights: if weights.is_none() { Weights::initial(member) } else { Weights::default() },
            });
            good.state.clone_from(state);
            // A record only grows, and that of a long training costs more to copy than a small network's weights.
            good.history.extend_from_slice(history.get(good.history.len()..).unwrap_or_default());
            good.looks.extend_from_slice(looks.get(good.looks.len()..).unwrap_or_default());
            good.best.clone_from(best);
            if let Some(weights) = weights {
                good.weights = weights;
            }
        }
        self.read = Cost::since(start);
        Ok(())
    }

    pub(super) fn store_checkpoint(&mut self, events: &mut dyn Events) -> Result<(), TrainError> {
        let steps = self.checkpoint.iter().flatten().map(|good| good.state.step);
        if let Some(step) = steps.max() {
            self.stored.measure(|| events.checkpoint(&self.population, &self.checkpoint))?;
            log::info!("checkpoint of step {step} in {:.0} ms", 1e3 * self.stored.took.as_secs_f64());
        }
        Ok(())
    }

    /// After a fault: a new engine, gentler, at the last checkpoint.
    pub(super) fn recover(&mut self, error: EngineError, events: &mut dyn Events) -> Result<(), TrainError> {
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
            let going_on = (0..self.population.len()).filter(|&k| self.is_active(k));
            let step = going_on.map(|k| self.checkpoint[k].as_ref().map_or(0, |good| good.state.step)).min();
            let step = step.unwrap_or(0);
            events.message(&format!("{error}; going on from step {step}, try {} of {TRIES}", self.tries));
            log::info!("recovery: a new engine with shorter submits and smaller windows");
            self.factory.soften();
            std::thread::sleep(self.pace.backoff * self.tries);
            match self.rebuild() {
                Ok(()) => return Ok(()),
                Err(again) => error = again,
            }
        }
    }

    /// A new engine at the last checkpoint, or at the beginning.
    pub(super) fn rebuild(&mut self) -> Result<(), EngineError> {
        // Its memory is free before the next one asks for it.
        self.engine = None;
        let mut engine = self.factory.build(&self.population, &self.problem.table)?;
        self.info = engine.info().clone();
        log::info!("engine on {}, population of {}", self.info.device, self.population.len());
        engine.initialize()?;
        for (k, (good, member)) in self.checkpoint.iter().zip(&mut self.members).enumerate() {
            match good {
                Some(good) => {
                    put(engine.as_mut(), &self.population, k, &good.weights)?;
                    *member = good.member();
                }
                None => *member = MemberState::default(),
            }
        }
        self.engine = Some(engine);
        Ok(())
    }
}

/// The engine, which is missing only if building it failed.
pub(super) fn engine(engine: &mut Option<Box<dyn Engine>>) -> Result<&mut Box<dyn Engine>, EngineError> {
    engine.as_mut().ok_or_else(|| EngineError::Lost {
        device: "the device".into(),
        reason: "it could not be set up again".into(),
    })
}

/// The roles that outlive a step, as [`Weights`] has them. (What a step leaves in `State` counts for that step alone,
/// apart from the first bad step, which a freshly initialised slot has not.)
const LASTING: [Buffer; 3] = [Buffer::Params, Buffer::Moments, Buffer::Stats];

/// Overwrites what outlives a step of the member in a slot.
pub(super) fn put(
    engine: &mut dyn Engine,
    population: &Population,
    slot: usize,
    weights: &Weights,
) -> Result<(), EngineError> {
    let Weights { params, moments, stats } = weights;
    for (buffer, values) in LASTING.into_iter().zip([params, moments, stats]) {
        engine.write_region(buffer, population.region(slot, buffer).start, values)?;
    }
    Ok(())
}
