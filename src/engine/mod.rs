//! Engines run the operations of [`crate::step`] on a population. [`cpu`] natively, [`gpu`] in shaders.

pub mod compare;
pub mod cpu;
mod factory;
#[cfg(feature = "gpu")]
pub mod gpu;
#[cfg(feature = "gpu")]
pub mod lanes;
pub mod self_test;

pub use factory::{CpuFactory, DeviceSource, EngineFactory};
#[cfg(feature = "gpu")]
pub use lanes::{DeviceRequest, choose, choose_again};

use std::ops::Range;
use std::sync::Arc;

use serde::Serialize;

use crate::population::tables::{Record, StepRow};
use crate::population::{Buffer, Member, Population};
use crate::spec::Precision;
use crate::step::watch::{self, LayerWatch};
use crate::step::{Op, StepKind};

/// Why an engine could not go on.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The device was lost, or its driver reset it.
    #[error("the device {device} was lost: {reason}")]
    Lost { device: String, reason: String },
    /// A submit did not end in time.
    #[error("the device {device} did not finish {what} within {seconds} s")]
    Timeout { device: String, what: String, seconds: f64 },
    /// Not enough memory on the device.
    #[error("out of memory on {device}: {what}")]
    OutOfMemory { device: String, what: String },
    /// What came back was not what was asked for.
    #[error("{device} returned a stale result: step {got} where step {expected} was asked for")]
    Canary { device: String, expected: u32, got: u32 },
    /// The population cannot run on this device at all.
    #[error("{device} cannot run this model: {what}")]
    Unsupported { device: String, what: String },
    /// Results are not what they must be.
    #[error("{device} computes wrong results: {what}; `bngpu devices --self-test` tells which kernel")]
    Wrong { device: String, what: String },
    /// The device or its driver refused a shader, a pipeline, a buffer, or to open.
    #[error(
        "{device} refused {what}: {reason}; update its driver, or use another --device (cpu is always possible)"
    )]
    Refused { device: String, what: String, reason: String },
    /// What tuning found could not be stored.
    #[error("the best sizes of kernels for {device} cannot be kept: {reason}")]
    NotKept { device: String, reason: String },
}

impl EngineError {
    /// Whether a rebuilt engine may go on where this one stopped.
    pub fn is_transient(&self) -> bool {
        !matches!(
            self,
            EngineError::Unsupported { .. }
                | EngineError::Refused { .. }
                | EngineError::NotKept { .. }
                | EngineError::Wrong { .. }
        )
    }
}

/// What a device can do at most, measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Ceilings {
    /// Multiply-adds in registers, each two operations, a second.
    pub flops: f64,
    /// Bytes read and written by a copy, a second.
    pub bytes: f64,
    /// Seconds of a dispatch that does nothing; 0 where there are none.
    pub dispatch_s: f64,
}

/// What runs the steps, for people and for `env.json`.
#[derive(Clone, Debug, Serialize)]
pub struct EngineInfo {
    /// `cpu` or `gpu`.
    pub engine: &'static str,
    /// Name of the processor or the adapter.
    pub device: String,
    /// Backend, driver, kind of adapter, limits; threads and instruction set of a processor.
    pub details: serde_json::Value,
}

/// Runs steps of one population on one device.
pub trait Engine {
    /// What it is.
    fn info(&self) -> &EngineInfo;

    /// The members that it runs.
    fn population(&self) -> &Arc<Population>;

    /// Slots of its population, vacant ones too.
    fn members(&self) -> usize {
        self.population().len()
    }

    /// In what its matrix products multiply.
    fn precision(&self) -> Precision {
        Precision::F32
    }

    /// Whether it can run `member` in a slot.
    ///
    /// # Errors
    /// [`EngineError::Unsupported`] if the device cannot, in any population.
    fn supports(&self, _member: &Member) -> Result<(), EngineError> {
        Ok(())
    }

    /// Fills parameters, moments and running statistics of all members from their seeds.
    fn initialize(&mut self) -> Result<(), EngineError>;

    /// Runs steps one after the other: `steps` is `[S, K]`, the result `[S, K]`. The result of a member does
    /// not depend on how steps are divided into calls.
    fn run(&mut self, kind: StepKind, steps: &[StepRow]) -> Result<Vec<Record>, EngineError>;

    /// As [`Engine::run`], and each record is seen to belong to its step.
    ///
    /// # Errors
    /// As [`Engine::run`]; [`EngineError::Canary`].
    fn run_checked(&mut self, kind: StepKind, steps: &[StepRow]) -> Result<Vec<Record>, EngineError> {
        let records = self.run(kind, steps)?;
        let mut pairs = steps.iter().zip(&records);
        match pairs.find(|(step, got)| step.rows > 0 && (got.step, got.rows) != (step.step, step.rows)) {
            None => Ok(records),
            Some((step, got)) => Err(EngineError::Canary {
                device: self.info().device.clone(),
                expected: step.step,
                got: got.step,
            }),
        }
    }

    /// How many steps are best given to one call of `run`: about a tenth of a second of work.
    fn pace(&self, kind: StepKind) -> usize;

    /// Runs one operation of one step (`[K]`) on what stands in memory: for tests of single operations.
    fn run_op(&mut self, op: Op, steps: &[StepRow]) -> Result<(), EngineError>;

    /// What each member would see in its step of `steps` (`[K]`, as of training): `[K]`, `None` of those that do nothing
    /// in it. Training goes on from the same bits as without.
    ///
    /// # Errors
    /// [`EngineError::Unsupported`] where the population is not [watched](Population::watched), and whatever the device
    /// may fail at.
    fn watch(&mut self, steps: &[StepRow]) -> Result<Vec<Option<Vec<LayerWatch>>>, EngineError> {
        let population = self.population().clone();
        if !population.is_watched() {
            return Err(EngineError::Unsupported {
                device: self.info().device.clone(),
                what: "its population is not watched".into(),
            });
        }
        self.run_checked(StepKind::Watch, steps)?;
        let roles = [Buffer::Looks, Buffer::Partials].map(|role| (role, 0..population.sizes[role as usize]));
        let found = self.read_regions(&roles)?;
        let of = |slot: usize| {
            let own = |role: usize| &found[role][population.region(slot, roles[role].0)];
            watch::layers(&population.members[slot], own(0), own(1))
        };
        Ok(steps.iter().enumerate().map(|(slot, step)| (step.rows > 0).then(|| of(slot))).collect())
    }

    /// What it can do at most; zeros of an engine that cannot tell.
    fn ceilings(&mut self) -> Result<Ceilings, EngineError> {
        Ok(Ceilings::default())
    }

    /// Seconds of each part of a training step, (operations that run together, seconds), measured for about `seconds` on
    /// steps like `steps` (`[K]`); nothing of an engine that cannot tell.
    fn profile(&mut self, _steps: &[StepRow], _seconds: f64) -> Result<Vec<(Vec<Op>, f64)>, EngineError> {
        Ok(Vec::new())
    }

    /// Goes on with `population`: the present one, but for the members of `slots`, which have come or gone. Those that
    /// have come are initialised as by [`Engine::initialize`]; nothing of the others is touched.
    ///
    /// # Errors
    /// As [`Engine::supports`], and whatever the device may fail at.
    fn refill(&mut self, population: &Arc<Population>, slots: &[usize]) -> Result<(), EngineError>;

    /// Elements of some roles, in one go; integers as their bits. What belongs to no member may be anything.
    fn read_regions(&mut self, regions: &[(Buffer, Range<usize>)]) -> Result<Vec<Vec<f32>>, EngineError>;

    /// Overwrites elements of a role from `start` on.
    fn write_region(&mut self, buffer: Buffer, start: usize, values: &[f32]) -> Result<(), EngineError>;

    /// A whole role, all members' regions as [`Population::bases`] says.
    fn read(&mut self, buffer: Buffer) -> Result<Vec<f32>, EngineError> {
        let all = 0..self.population().sizes[buffer as usize];
        self.read_region(buffer, all)
    }

    /// Elements `range` of a role.
    fn read_region(&mut self, buffer: Buffer, range: Range<usize>) -> Result<Vec<f32>, EngineError> {
        Ok(self.read_regions(&[(buffer, range)])?.swap_remove(0))
    }

    /// Overwrites a role.
    fn write(&mut self, buffer: Buffer, values: &[f32]) -> Result<(), EngineError> {
        self.write_region(buffer, 0, values)
    }
}

/// Steers the length of submits towards a given time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pacer {
    target_s: f64,
    longest: usize,
    pace: usize,
    /// Of one step, as last measured.
    work: f64,
}

impl Pacer {
    /// Starts with one step; never more than `longest` steps.
    pub(crate) fn new(target_s: f64, longest: usize) -> Pacer {
        Pacer { target_s, longest, pace: 1, work: 0.0 }
    }
    pub(crate) fn pace(&self) -> usize {
        self.pace
    }
    /// Learns that `steps` of `work` each (in any unit) took `seconds`; grows by at most four times, shrinks at once.
    pub(crate) fn learn(&mut self, steps: usize, work: f64, seconds: f64) {
        let fits = steps as f64 * self.target_s / seconds.max(1e-6);
        self.pace = (fits as usize).clamp(1, (4 * self.pace.max(steps)).min(self.longest));
        self.work = work;
    }
    /// Steers towards half of the time, 5 ms at least, and by half of the steps at once.
    pub(crate) fn shorten(&mut self) {
        self.target_s = (self.target_s / 2.0).max(0.005).min(self.target_s);
        self.pace = (self.pace / 2).max(1);
    }
    /// Shrinks before steps of more `work` than the last.
    pub(crate) fn expect(&mut self, work: f64) {
        if work > self.work {
            self.pace = ((self.pace as f64 * self.work / work) as usize).max(1);
            self.work = work;
        }
    }
}
