//! Engines run the operations of [`crate::step`] on a population. [`cpu`] natively, [`gpu`] in shaders.

pub mod compare;
pub mod cpu;
mod factory;
pub mod gpu;
pub mod lanes;
pub mod self_test;

pub use factory::{CpuFactory, DeviceRequest, EngineFactory, choose, choose_again};
use serde::Serialize;

use crate::population::Buffer;
use crate::population::tables::{Record, StepRow};
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
    /// A shader or pipeline was refused.
    #[error("{device} refused {what}: {reason}")]
    Refused { device: String, what: String, reason: String },
}

impl EngineError {
    /// Whether a rebuilt engine may go on where this one stopped.
    pub fn is_transient(&self) -> bool {
        !matches!(self, EngineError::Unsupported { .. } | EngineError::Refused { .. })
    }
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

    /// Members.
    fn members(&self) -> usize;

    /// Fills parameters, moments and running statistics of all members from their seeds.
    fn initialize(&mut self) -> Result<(), EngineError>;

    /// Runs steps one after the other: `steps` is `[S, K]`, the result `[S, K]`. The result of a member does
    /// not depend on how steps are divided into calls.
    fn run(&mut self, kind: StepKind, steps: &[StepRow]) -> Result<Vec<Record>, EngineError>;

    /// How many steps are best given to one call of `run`: about a tenth of a second of work.
    fn pace(&self, kind: StepKind) -> usize;

    /// Runs one operation of one step (`[K]`) on what stands in memory: for tests of single operations.
    fn run_op(&mut self, op: Op, steps: &[StepRow]) -> Result<(), EngineError>;

    /// All members' regions of a role, one after the other, as [`crate::population::Population::bases`] says;
    /// integers as their bits.
    fn read(&mut self, buffer: Buffer) -> Result<Vec<f32>, EngineError>;

    /// Overwrites a role.
    fn write(&mut self, buffer: Buffer, values: &[f32]) -> Result<(), EngineError>;
}

/// Steers the length of submits towards a given time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pacer {
    target_s: f64,
    longest: usize,
    pace: usize,
}

impl Pacer {
    /// Starts with one step; never more than `longest` steps.
    pub(crate) fn new(target_s: f64, longest: usize) -> Pacer {
        Pacer { target_s, longest, pace: 1 }
    }
    pub(crate) fn pace(&self) -> usize {
        self.pace
    }
    /// Learns that `steps` took `seconds`; grows by at most four times, shrinks at once.
    pub(crate) fn learn(&mut self, steps: usize, seconds: f64) {
        let fits = steps as f64 * self.target_s / seconds.max(1e-6);
        self.pace = (fits as usize).clamp(1, (4 * self.pace.max(steps)).min(self.longest));
    }
}
