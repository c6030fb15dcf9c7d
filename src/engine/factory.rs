//! Makes engines, and makes them again after a fault.

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

/// The native CPU engine in f32.
#[derive(Clone, Debug, Default)]
pub struct CpuFactory {
    pub(super) why: String,
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
