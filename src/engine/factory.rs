//! Which engine a command gets, and how to make it again after a fault.

use std::sync::Arc;

use super::cpu::CpuEngine;
use super::{Engine, EngineError};
use crate::population::Population;
use crate::step::memory::Table;

/// Makes an engine for a population: called again after a transient fault. The one place that knows which device
/// was chosen.
pub trait EngineFactory {
    /// An engine whose memory is not initialised yet.
    ///
    /// # Errors
    /// [`EngineError`]; a transient one may be tried again.
    fn build(&self, population: &Arc<Population>, table: &Arc<Table>)
    -> Result<Box<dyn Engine>, EngineError>;

    /// After a fault: engines built from now on use shorter submits and smaller windows.
    fn soften(&self);

    /// What was taken, and why, in one line.
    fn why(&self) -> &str;
}

/// The device that a command asks for.
#[derive(Clone, Debug)]
pub struct DeviceRequest<'a> {
    /// `auto`, `gpu`, `cpu`, an index or a part of a name.
    pub device: &'a str,
    /// Bytes for data on the device; none is what the device allows.
    pub data_memory: Option<u64>,
}

/// There is no such device. The program exits with 5.
#[derive(Debug, thiserror::Error)]
#[error("no device {asked:?}: {reason}; {remedy}")]
pub struct NoDevice {
    pub asked: String,
    pub reason: String,
    pub remedy: String,
}

/// The factory of the device that is asked for.
///
/// # Errors
/// [`NoDevice`] if there is none.
pub fn choose(request: &DeviceRequest) -> Result<Box<dyn EngineFactory>, NoDevice> {
    let why = match request.device.trim() {
        "cpu" => "native CPU engine, as asked",
        "auto" => "native CPU engine (auto: no GPU engine is built in)",
        other => {
            return Err(NoDevice {
                asked: other.into(),
                reason: "no GPU engine is built in".into(),
                remedy: "use --device cpu".into(),
            });
        }
    };
    Ok(Box::new(CpuFactory { why: why.into() }))
}

/// The native CPU engine in f32.
#[derive(Clone, Debug, Default)]
pub struct CpuFactory {
    why: String,
}

impl EngineFactory for CpuFactory {
    fn build(
        &self,
        population: &Arc<Population>,
        table: &Arc<Table>,
    ) -> Result<Box<dyn Engine>, EngineError> {
        Ok(Box::new(CpuEngine::<f32>::new(population.clone(), table.clone())))
    }

    fn soften(&self) {}

    fn why(&self) -> &str {
        &self.why
    }
}
