//! Which engine a command gets, and how to make it again after a fault.

use std::sync::Arc;

use super::cpu::{self, CpuEngine};
use super::gpu::adapters::{self, Choice, ChooseError};
use super::gpu::{GpuFactory, GpuOptions};
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

/// The factory of the device that is asked for.
///
/// # Errors
/// [`ChooseError`] if there is none. The program exits with 5.
pub fn choose(request: &DeviceRequest) -> Result<Box<dyn EngineFactory>, ChooseError> {
    // Asked for the CPU engine, no driver is touched.
    let found =
        if request.device.trim().eq_ignore_ascii_case("cpu") { Ok(Vec::new()) } else { adapters::list() };
    let summaries = found.as_ref().map(|found| found.iter().map(|(a, _)| a.clone()).collect::<Vec<_>>());
    let chosen = adapters::choose(summaries.as_deref().map_err(|none| *none), request.device)?;
    let why = format!("{}, because {}", chosen.name, chosen.reason);
    match (chosen.choice, summaries) {
        (Choice::Adapter(index), Ok(mut summaries)) => {
            let adapter = summaries.swap_remove(index);
            let options = GpuOptions { data_memory: request.data_memory, ..GpuOptions::default() };
            Ok(Box::new(GpuFactory::new(adapter, why, options)))
        }
        _ => Ok(Box::new(CpuFactory { why })),
    }
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
        cpu::check_room(4 * population.sizes.iter().map(|&elements| elements as u64).sum::<u64>())?;
        Ok(Box::new(CpuEngine::<f32>::new(population.clone(), table.clone())))
    }

    fn soften(&self) {}

    fn why(&self) -> &str {
        &self.why
    }
}
