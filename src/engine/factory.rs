//! Makes engines, and makes them again after a fault.

use std::fmt::Debug;
use std::sync::Arc;

use super::cpu::{self, CpuEngine};
use super::{Engine, EngineError};
use crate::population::Population;
use crate::step::memory::Table;

/// Makes engines for a population on the chosen device, also again after a transient fault.
pub trait EngineFactory {
    /// An engine whose memory is not initialised yet.
    ///
    /// # Errors
    /// [`EngineError`]; a transient one may be retried.
    fn build(&self, population: &Arc<Population>, table: &Arc<Table>)
    -> Result<Box<dyn Engine>, EngineError>;

    /// After a fault: engines built from now on use shorter submits and smaller windows.
    fn soften(&self);

    /// Finds the fastest ways of a device by `measure`, which returns seconds, and stores them for later use of the
    /// device. Returns a description, or None if there is nothing to choose.
    ///
    /// # Errors
    /// An error of the device, or the reason why the ways cannot be stored.
    fn tune(
        &self,
        _measure: &mut dyn FnMut(&dyn EngineFactory) -> Result<f64, EngineError>,
    ) -> Result<Option<String>, EngineError> {
        Ok(None)
    }

    /// The chosen device.
    fn name(&self) -> &str;

    /// The chosen device and the reason, in one line: "NAME, because REASON".
    fn why(&self) -> &str;

    /// The reason alone.
    fn reason(&self) -> &str {
        let reason = self.why().strip_prefix(self.name()).and_then(|rest| rest.strip_prefix(", because "));
        reason.unwrap_or(self.why())
    }
}

/// A device, chosen, not open: each lane of a sweep makes its own engines from it, on its own thread.
pub trait DeviceSource: Debug + Send + Sync {
    /// Name of the adapter, or of the CPU engine.
    fn name(&self) -> &str;

    /// The device, and why it was chosen: "NAME, because REASON".
    fn why(&self) -> &str;

    /// Bytes for a population, as far as is known.
    fn memory(&self) -> Option<u64>;

    /// Bytes of the largest role of memory; none where there is no limit.
    fn largest_role(&self) -> Option<u64> {
        None
    }

    /// Whether it computes on the processor's cores, so that several lanes of it share them.
    fn is_processor(&self) -> bool;

    /// Makes its engines, each with a device and a queue of its own. Where `auto` chose a device that refuses a kernel,
    /// it makes engines of the next one.
    fn factory(&self) -> Box<dyn EngineFactory>;

    /// Makes engines of this device and of no other.
    fn factory_of_it_alone(&self) -> Box<dyn EngineFactory> {
        self.factory()
    }

    /// The device that `auto` takes after `error`.
    ///
    /// # Errors
    /// `error`, if it is not a refusal, the device was named or is the CPU, or no other device supports the precision.
    fn after(&self, error: EngineError) -> Result<Arc<dyn DeviceSource>, EngineError> {
        Err(error)
    }
}

/// The native CPU engine in f32.
#[derive(Clone, Debug)]
pub struct CpuFactory {
    pub(super) why: String,
}

impl Default for CpuFactory {
    fn default() -> CpuFactory {
        CpuFactory { why: cpu::NAME.into() }
    }
}

impl DeviceSource for CpuFactory {
    fn name(&self) -> &str {
        cpu::NAME
    }

    fn why(&self) -> &str {
        &self.why
    }

    fn memory(&self) -> Option<u64> {
        cpu::available()
    }

    fn is_processor(&self) -> bool {
        true
    }

    fn factory(&self) -> Box<dyn EngineFactory> {
        Box::new(self.clone())
    }
}

impl EngineFactory for CpuFactory {
    fn build(
        &self,
        population: &Arc<Population>,
        table: &Arc<Table>,
    ) -> Result<Box<dyn Engine>, EngineError> {
        cpu::check_room(population.bytes())?;
        Ok(Box::new(CpuEngine::<f32>::new(population.clone(), table.clone())))
    }

    fn soften(&self) {}

    fn name(&self) -> &str {
        cpu::NAME
    }

    fn why(&self) -> &str {
        &self.why
    }
}
