//! Makes GPU engines on one adapter, and makes them again after a fault.

use std::cell::{Cell, RefCell};
use std::sync::Arc;

use super::adapters::{self, AdapterSummary};
use super::refused::Refused;
use super::tiles::Ways;
use super::{Device, GpuEngine, GpuOptions, tune};
use crate::engine::{Engine, EngineError, EngineFactory};
use crate::population::Population;
use crate::step::memory::Table;

/// A factory of GPU engines.
pub struct GpuFactory {
    adapter: AdapterSummary,
    why: String,
    options: Cell<GpuOptions>,
    /// The open device with its compiled kernels, kept from engine to engine until it fails.
    device: RefCell<Option<Arc<Device>>>,
    /// Whether a device was ever opened.
    opened: Cell<bool>,
    /// Kernels that any of the factory's devices refused.
    refused: Refused,
}

impl GpuFactory {
    /// Makes engines on `adapter`, which was chosen because of `why`.
    pub fn new(adapter: AdapterSummary, why: String, options: GpuOptions) -> GpuFactory {
        GpuFactory {
            adapter,
            why,
            options: Cell::new(options),
            device: RefCell::new(None),
            opened: Cell::new(false),
            refused: Refused::default(),
        }
    }

    /// For tests: loses the open device, as a driver's reset would.
    pub fn lose_device(&self) {
        if let Some(device) = self.device.borrow().as_ref() {
            device.device.destroy();
        }
    }

    /// The open device, or a new one of the same adapter.
    fn device(&self) -> Result<Arc<Device>, EngineError> {
        if let Some(device) = self.device.borrow().as_ref().filter(|d| d.check().is_ok()) {
            return Ok(device.clone());
        }
        let lost = |reason: String| EngineError::Lost { device: self.adapter.name.clone(), reason };
        let found = adapters::list().map_err(|none| lost(none.to_string()))?;
        let mut same = found.into_iter().filter(|(a, _)| {
            (&a.name, a.vendor, a.device) == (&self.adapter.name, self.adapter.vendor, self.adapter.device)
        });
        let (_, adapter) = same.next().ok_or_else(|| lost("the adapter is gone".into()))?;
        let mut device = Device::open(&adapter, self.options.get()).map_err(|error| match error {
            // The device worked before; a driver that is still resetting may refuse for a while.
            EngineError::Refused { reason, .. } if self.opened.get() => lost(reason),
            error => error,
        })?;
        device.refused = self.refused.clone();
        self.opened.set(true);
        let device = Arc::new(device);
        *self.device.borrow_mut() = Some(device.clone());
        Ok(device)
    }
}

impl EngineFactory for GpuFactory {
    fn build(
        &self,
        population: &Arc<Population>,
        table: &Arc<Table>,
    ) -> Result<Box<dyn Engine>, EngineError> {
        Ok(Box::new(GpuEngine::new(self.device()?, population.clone(), table.clone())?))
    }

    fn tune(
        &self,
        measure: &mut dyn FnMut(&dyn EngineFactory) -> Result<f64, EngineError>,
    ) -> Result<Option<String>, EngineError> {
        let before = self.options.get();
        let device = self.device()?;
        let go = |ways: Ways| {
            self.options.set(GpuOptions { ways: Some(ways), ..before });
            *self.device.borrow_mut() = None;
        };
        let best = tune::search(&device.can, &mut |ways| {
            go(ways);
            let seconds = measure(self)?;
            // The device may have refused a kernel of these ways and used others.
            Ok((self.refused.around(ways, &device.can).unwrap_or(ways), seconds))
        })?;
        go(best);
        let kept = tune::keep(&device.info.device, &device.driver, &device.can, best)
            .map_err(|error| EngineError::NotKept { device: device.name(), reason: error.to_string() })?;
        let place = kept.map_or_else(String::new, |path| format!(", kept in {}", path.display()));
        Ok(Some(format!("{best}{place}")))
    }

    fn soften(&self) {
        let mut options = self.options.get();
        options.submit /= 4;
        // Half of the largest buffer, then half again.
        options.data_memory = Some(options.data_memory.unwrap_or(self.adapter.limits.max_binding) / 2);
        self.options.set(options);
        *self.device.borrow_mut() = None;
    }

    fn name(&self) -> &str {
        &self.adapter.name
    }

    fn why(&self) -> &str {
        &self.why
    }
}
