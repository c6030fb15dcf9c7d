//! Engines run the operations of [`crate::step`] on a population: [`cpu`] natively, [`gpu`] in shaders.

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

/// Why an engine failed.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The device was lost, or its driver reset it.
    #[error("the device {device} was lost: {reason}")]
    Lost { device: String, reason: String },
    /// A submit did not finish in time.
    #[error("the device {device} did not finish {what} within {seconds} s")]
    Timeout { device: String, what: String, seconds: f64 },
    /// Not enough memory on the device.
    #[error("out of memory on {device}: {what}")]
    OutOfMemory { device: String, what: String },
    /// The device returned records of another step.
    #[error("{device} returned a stale result: step {got} instead of step {expected}")]
    Canary { device: String, expected: u32, got: u32 },
    /// The population cannot run on this device at all.
    #[error("{device} cannot run this model: {what}")]
    Unsupported { device: String, what: String },
    /// The results are wrong.
    #[error("{device} computes wrong results: {what}; `bngpu devices --self-test` shows which kernel")]
    Wrong { device: String, what: String },
    /// The device or its driver refused a shader, a pipeline, a buffer, or to open.
    #[error(
        "{device} refused {what}: {reason}; update its driver, or use another --device (cpu always works)"
    )]
    Refused { device: String, what: String, reason: String },
    /// The tuned ways could not be stored.
    #[error("cannot store the best kernel sizes for {device}: {reason}")]
    NotKept { device: String, reason: String },
}

impl EngineError {
    /// Whether a new engine may continue where this one stopped.
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

/// Measured peak rates of a device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Ceilings {
    /// Operations per second of multiply-adds in registers; each counts as two.
    pub flops: f64,
    /// Bytes read and written by a copy per second.
    pub bytes: f64,
    /// Seconds of an empty dispatch; 0 for the CPU.
    pub dispatch_s: f64,
}

/// A description of an engine, for messages and for `env.json`.
#[derive(Clone, Debug, Serialize)]
pub struct EngineInfo {
    /// `cpu` or `gpu`.
    pub engine: &'static str,
    /// Name of the processor or the adapter.
    pub device: String,
    /// For an adapter: backend, driver, kind, limits. For a processor: threads and instruction set.
    pub details: serde_json::Value,
}

/// Runs steps of one population on one device.
pub trait Engine {
    /// The engine's description.
    fn info(&self) -> &EngineInfo;

    /// The population that it runs.
    fn population(&self) -> &Arc<Population>;

    /// Number of slots, including vacant ones.
    fn members(&self) -> usize {
        self.population().len()
    }

    /// Precision of its matrix products.
    fn precision(&self) -> Precision {
        Precision::F32
    }

    /// Whether it can run `member` in a slot.
    ///
    /// # Errors
    /// [`EngineError::Unsupported`] if the device cannot run it in any population.
    fn supports(&self, _member: &Member) -> Result<(), EngineError> {
        Ok(())
    }

    /// Fills parameters, moments and running statistics of all members from their seeds.
    fn initialize(&mut self) -> Result<(), EngineError>;

    /// Runs steps in sequence: `steps` is `[S, K]`, the result `[S, K]`. A member's result does not depend on how steps
    /// are divided into calls.
    fn run(&mut self, kind: StepKind, steps: &[StepRow]) -> Result<Vec<Record>, EngineError>;

    /// As [`Engine::run`], and checks that each record belongs to its step.
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

    /// The best number of steps for one call of `run`: about a tenth of a second of work.
    fn pace(&self, kind: StepKind) -> usize;

    /// For tests: runs one operation of one step (`[K]`) on the present memory.
    fn run_op(&mut self, op: Op, steps: &[StepRow]) -> Result<(), EngineError>;

    /// Watches each member in its step of `steps` (`[K]`, as for training): `[K]`, `None` for idle members. Training
    /// then continues from the same bits as without it.
    ///
    /// # Errors
    /// [`EngineError::Unsupported`] if the population is not [watched](Population::watched), and any error of the
    /// device.
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

    /// Measured peak rates; zeros if the engine cannot measure them.
    fn ceilings(&mut self) -> Result<Ceilings, EngineError> {
        Ok(Ceilings::default())
    }

    /// Seconds of each part of a training step, (operations that run together, seconds), measured for about `seconds`
    /// on steps like `steps` (`[K]`); empty if the engine cannot measure them.
    fn profile(&mut self, _steps: &[StepRow], _seconds: f64) -> Result<Vec<(Vec<Op>, f64)>, EngineError> {
        Ok(Vec::new())
    }

    /// Switches to `population`, which differs from the present one in the members of `slots` only. New members are
    /// initialised as by [`Engine::initialize`]; the memory of the others is not touched.
    ///
    /// # Errors
    /// As [`Engine::supports`], and any error of the device.
    fn refill(&mut self, population: &Arc<Population>, slots: &[usize]) -> Result<(), EngineError>;

    /// Elements of some roles, in one read; integers as their bits. Elements that belong to no member are arbitrary.
    fn read_regions(&mut self, regions: &[(Buffer, Range<usize>)]) -> Result<Vec<Vec<f32>>, EngineError>;

    /// Overwrites elements of a role from `start` on.
    fn write_region(&mut self, buffer: Buffer, start: usize, values: &[f32]) -> Result<(), EngineError>;

    /// A whole role, with all members' regions at [`Population::bases`].
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

/// Adjusts the length of submits to a target time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pacer {
    target_s: f64,
    longest: usize,
    pace: usize,
    /// Seconds of one step, as last measured.
    work: f64,
}

impl Pacer {
    /// Starts with one step; never exceeds `longest` steps.
    pub(crate) fn new(target_s: f64, longest: usize) -> Pacer {
        Pacer { target_s, longest, pace: 1, work: 0.0 }
    }
    pub(crate) fn pace(&self) -> usize {
        self.pace
    }
    /// Records that steps of `work` each (in any unit) took `seconds`; grows by at most four times, shrinks at once.
    pub(crate) fn learn(&mut self, steps: usize, work: f64, seconds: f64) {
        let fits = steps as f64 * self.target_s / seconds.max(1e-6);
        self.pace = (fits as usize).clamp(1, (4 * self.pace.max(steps)).min(self.longest));
        self.work = work;
    }
    /// Halves the target time, to 5 ms at least, and the number of steps at once.
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
