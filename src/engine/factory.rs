//! How an engine is made, and made again after a fault.

use std::sync::Arc;

use super::cpu::{self, CpuEngine};
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

    /// Finds which of a device's ways takes the least of the seconds that `measure` gives, and keeps it for all that use
    /// the device later; what was found, for people. None where there is nothing to choose.
    ///
    /// # Errors
    /// The device's, and why it cannot be kept.
    fn tune(
        &self,
        _measure: &mut dyn FnMut(&dyn EngineFactory) -> Result<f64, EngineError>,
    ) -> Result<Option<String>, EngineError> {
        Ok(None)
    }

    /// What was taken.
    fn name(&self) -> &str;

    /// What was taken, and why, in one line: "NAME, because REASON".
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
