//! Runs steps of a population on an engine, and sets up a new engine after a fault of the device.
//!
//! [`super::Trainer`], [`super::Inference`], the demonstrations and the planner of sweeps all run their steps here. A
//! stepper keeps no weights on the host: the caller reads and saves them, and passes them to [`Stepper::recover`].

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::engine::{Engine, EngineError, EngineFactory, EngineInfo};
use crate::population::tables::Record;
use crate::population::{Buffer, Member, Population};
use crate::run::LayerTensors;
use crate::step::StepKind;
use crate::step::memory::Table;
use crate::step::watch::LayerWatch;

use super::TrainError;
use super::model::{self, Weights};

/// Faults in a row without progress after which a training gives up.
pub(crate) const TRIES: u32 = 3;

/// The roles that outlive a step, as in [`Weights`]. (`State` lasts for one step only, except the first bad step, which
/// a fresh slot does not have.)
const LASTING: [Buffer; 3] = [Buffer::Params, Buffer::Moments, Buffer::Stats];

/// A population on one engine at a time.
pub(crate) struct Stepper<'a> {
    factory: &'a dyn EngineFactory,
    table: Arc<Table>,
    population: Arc<Population>,
    /// None before set-up, and after a fault.
    engine: Option<Box<dyn Engine>>,
    info: EngineInfo,
    /// Evaluation steps so far: each has its own number, so that a stale record is detected.
    pub(super) evaluations: u32,
    /// Wait before a retry, times the number of the try.
    backoff: Duration,
    /// Faults since the last progress.
    tries: u32,
}

/// Result of one call of [`Stepper::train`].
pub(crate) struct Submit {
    slots: usize,
    /// `[S, K]`
    records: Vec<Record>,
    /// Time spent in the engine.
    pub took: Duration,
}

impl Submit {
    /// The records of the member in `slot`, step by step.
    pub fn records(&self, slot: usize) -> impl Iterator<Item = &Record> {
        self.records.iter().skip(slot).step_by(self.slots)
    }

    /// The first step (from 1) with NaN or infinity in the member of `slot`.
    pub fn diverged(&self, slot: usize) -> Option<u64> {
        let bad = |record: &Record| {
            let finite = record.loss.is_finite() && record.grad_norm.is_finite();
            record.first_bad.min(if finite { Record::FINITE } else { record.step })
        };
        let first = self.records(slot).map(bad).min().filter(|&bad| bad != Record::FINITE);
        first.map(|step| u64::from(step) + 1)
    }
}

impl<'a> Stepper<'a> {
    /// Without an engine; [`Stepper::set_up`] makes it.
    pub fn new(
        factory: &'a dyn EngineFactory,
        population: Arc<Population>,
        table: Arc<Table>,
        backoff: Duration,
    ) -> Stepper<'a> {
        let details = serde_json::Value::Null;
        let info = EngineInfo { engine: "none", device: "the device".into(), details };
        Stepper { factory, table, population, engine: None, info, evaluations: 0, backoff, tries: 0 }
    }

    /// Makes a new engine. The member of each slot `[K]` starts at its saved weights, or at its initial weights if
    /// there are none.
    ///
    /// # Errors
    /// The device's.
    pub fn set_up(&mut self, saved: &[Option<&Weights>]) -> Result<(), EngineError> {
        // Frees the old engine's memory first.
        self.engine = None;
        let mut engine = self.factory.build(&self.population, &self.table)?;
        engine.initialize()?;
        self.take_over(engine, saved)
    }

    /// Uses an engine of this population that is already initialised.
    ///
    /// # Errors
    /// The device's.
    pub fn take_over(
        &mut self,
        engine: Box<dyn Engine>,
        saved: &[Option<&Weights>],
    ) -> Result<(), EngineError> {
        self.info = engine.info().clone();
        log::info!("engine on {}, population of {}", self.info.device, self.population.len());
        self.engine = Some(engine);
        for (slot, weights) in saved.iter().enumerate() {
            if let Some(weights) = weights {
                self.put(slot, weights)?;
            }
        }
        Ok(())
    }

    /// After a fault: makes a new engine at the saved weights, with shorter submits. `announce` gets each fault and the
    /// number of the try before the retry.
    ///
    /// # Errors
    /// [`TrainError::Engine`] for a fault that a retry cannot fix; [`TrainError::GaveUp`], without a checkpoint, after
    /// [`TRIES`] faults without [`Stepper::progressed`].
    pub fn recover(
        &mut self,
        error: EngineError,
        saved: &[Option<&Weights>],
        announce: &mut dyn FnMut(&EngineError, u32),
    ) -> Result<(), TrainError> {
        let mut fault = error;
        loop {
            if !fault.is_transient() {
                return Err(fault.into());
            }
            if self.tries == TRIES {
                return Err(TrainError::GaveUp { cause: fault, tries: TRIES, checkpoint: None });
            }
            self.tries += 1;
            announce(&fault, self.tries);
            log::info!("recovery: a new engine with shorter submits and smaller windows");
            self.factory.soften();
            std::thread::sleep(self.backoff * self.tries);
            match self.set_up(saved) {
                Ok(()) => return Ok(()),
                Err(again) => fault = again,
            }
        }
    }

    /// Whether a fault occurred since the last progress.
    pub fn is_recovering(&self) -> bool {
        self.tries > 0
    }

    /// Progress was saved beyond the last fault: resets the count of faults.
    pub fn progressed(&mut self) {
        self.tries = 0;
    }

    /// The engine's device.
    pub fn info(&self) -> &EngineInfo {
        &self.info
    }

    /// The slots and their members.
    pub fn population(&self) -> &Arc<Population> {
        &self.population
    }

    pub fn into_engine(self) -> Option<Box<dyn Engine>> {
        self.engine
    }

    pub(super) fn engine(&mut self) -> Result<&mut dyn Engine, EngineError> {
        match &mut self.engine {
            Some(engine) => Ok(engine.as_mut()),
            None => Err(EngineError::Lost {
                device: "the device".into(),
                reason: "it could not be set up again".into(),
            }),
        }
    }

    /// Whether the device can train `member`.
    ///
    /// # Errors
    /// [`EngineError::Unsupported`] if not.
    pub fn supports(&self, member: &Member) -> Result<(), EngineError> {
        self.engine.as_ref().map_or(Ok(()), |engine| engine.supports(member))
    }

    /// Number of steps for one call of [`Stepper::train`]: at least one, at most `nearest`.
    ///
    /// # Errors
    /// Without an engine.
    pub fn pace(&mut self, nearest: u64) -> Result<usize, EngineError> {
        Ok((self.engine()?.pace(StepKind::Train) as u64).clamp(1, nearest.max(1)) as usize)
    }

    /// Does `count` training steps of some members, each given as its slot and its next step; the others stay idle.
    ///
    /// # Errors
    /// The device's; [`EngineError::Canary`] if a record does not belong to its step.
    pub fn train(&mut self, starts: &[(usize, u64)], count: usize) -> Result<Submit, EngineError> {
        let steps = self.population.training_steps(starts, count);
        let slots = self.population.len();
        let engine = self.engine()?;
        let start = Instant::now();
        let records = engine.run_checked(StepKind::Train, &steps)?;
        let took = start.elapsed();
        log::debug!("{count} steps in {:.1} ms", 1e3 * took.as_secs_f64());
        Ok(Submit { slots, records, took })
    }

    /// Watches some members at one step each, given as in [`Stepper::train`]: `[K]`.
    ///
    /// # Errors
    /// As [`Engine::watch`].
    pub fn watch(&mut self, at: &[(usize, u64)]) -> Result<Vec<Option<Vec<LayerWatch>>>, EngineError> {
        let steps = self.population.training_steps(at, 1);
        self.engine()?.watch(&steps)
    }

    /// The current weights of the members in `slots`, in one read.
    ///
    /// # Errors
    /// The device's.
    pub fn read(&mut self, slots: &[usize]) -> Result<Vec<Weights>, EngineError> {
        let mut read = self.read_roles(slots, &LASTING)?.into_iter();
        let mut weights = Vec::with_capacity(slots.len());
        while let (Some(params), Some(moments), Some(stats)) = (read.next(), read.next(), read.next()) {
            weights.push(Weights { params, moments, stats });
        }
        Ok(weights)
    }

    /// The current models of the members in `slots`, in one read.
    ///
    /// # Errors
    /// The device's.
    pub fn read_models(&mut self, slots: &[usize]) -> Result<Vec<Vec<LayerTensors>>, EngineError> {
        let read = self.read_roles(slots, &[Buffer::Params, Buffer::Stats])?;
        let models = slots.iter().zip(read.chunks_exact(2)).map(|(&slot, read)| {
            model::layers(&self.population.members[slot], &model::ALONE, &read[0], &read[1])
        });
        Ok(models.collect())
    }

    /// The regions of `roles` of each of `slots`, slot by slot.
    fn read_roles(&mut self, slots: &[usize], roles: &[Buffer]) -> Result<Vec<Vec<f32>>, EngineError> {
        let regions: Vec<_> = (slots.iter())
            .flat_map(|&slot| roles.iter().map(move |&role| (slot, role)))
            .map(|(slot, role)| (role, self.population.region(slot, role)))
            .collect();
        if regions.is_empty() { Ok(Vec::new()) } else { self.engine()?.read_regions(&regions) }
    }

    /// Overwrites the weights of the member in `slot`.
    ///
    /// # Errors
    /// The device's.
    pub fn put(&mut self, slot: usize, weights: &Weights) -> Result<(), EngineError> {
        let Weights { params, moments, stats } = weights;
        for (role, values) in LASTING.into_iter().zip([params, moments, stats]) {
            let start = self.population.region(slot, role).start;
            self.engine()?.write_region(role, start, values)?;
        }
        Ok(())
    }

    /// Switches to `population`, in which the members of `slots` were added or removed; new members with saved weights
    /// (`[K]`) start at those.
    ///
    /// # Errors
    /// As [`Engine::refill`]; the new population applies to the next engine, too.
    pub fn refill(
        &mut self,
        population: Arc<Population>,
        slots: &[usize],
        saved: &[Option<&Weights>],
    ) -> Result<(), EngineError> {
        self.population = population.clone();
        self.engine()?.refill(&population, slots)?;
        for &slot in slots {
            if let Some(weights) = saved[slot] {
                self.put(slot, weights)?;
            }
        }
        Ok(())
    }
}
