//! Checkpoints, and the way back to them after a fault of the device.

use std::time::{Duration, Instant};

use crate::engine::{Engine, EngineError};
use crate::population::Buffer;

use super::model::Weights;
use super::trainer::{Events, Trainer};
use super::{Checkpoint, Ended, MemberState, TrainError};

/// Most faults in a row without progress.
pub(super) const TRIES: u32 = 3;

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
        let store = self.stored.is_due(Duration::ZERO, self.pace.share);
        if store || self.tries > 0 || self.read.is_due(Duration::ZERO, self.pace.share) {
            self.take_checkpoint()?;
        }
        if store { self.store_checkpoint(events) } else { Ok(()) }
    }

    /// Reads what outlives a step back to the host. Diverged members keep what the checkpoint before had of them.
    pub(super) fn take_checkpoint(&mut self) -> Result<(), EngineError> {
        let start = Instant::now();
        let engine = engine(&mut self.engine)?;
        let mut weights = Weights {
            params: engine.read(Buffer::Params)?,
            moments: engine.read(Buffer::Moments)?,
            stats: engine.read(Buffer::Stats)?,
        };
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
        // The record of a long training costs more to copy than the weights of a small network.
        self.read = Cost::since(start);
        Ok(())
    }

    pub(super) fn store_checkpoint(&mut self, events: &mut dyn Events) -> Result<(), TrainError> {
        if let Some(checkpoint) = &self.checkpoint {
            self.stored.measure(|| events.checkpoint(&self.population, checkpoint))?;
            let step = checkpoint.members.iter().map(|m| m.state.step).max().unwrap_or(0);
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
            let step = self.checkpoint.as_ref().map_or(0, |good| good.members[0].state.step);
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
pub(super) fn engine(engine: &mut Option<Box<dyn Engine>>) -> Result<&mut Box<dyn Engine>, EngineError> {
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
