//! Which engine a command gets, and how to make it again after a fault.

use std::sync::Arc;
use std::time::Instant;

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
    let start = Instant::now();
    let found =
        if request.device.trim().eq_ignore_ascii_case("cpu") { Ok(Vec::new()) } else { adapters::list() };
    let summaries = found.as_ref().map(|found| found.iter().map(|(a, _)| a.clone()).collect::<Vec<_>>());
    let chosen = adapters::choose(summaries.as_deref().map_err(|none| *none), request.device)?;
    for adapter in summaries.iter().flatten() {
        let problem = adapter.problem.as_deref().map_or(String::new(), |p| format!(", cannot be used: {p}"));
        log::info!("adapter {}: {} ({}){problem}", adapter.index, adapter.name, adapter.kind);
    }
    if let Err(none) = &summaries {
        log::info!("no adapter: {none}");
    }
    let why = format!("{}, because {}", chosen.name, chosen.reason);
    log::info!("--device {}: {why} ({:.0} ms)", request.device, 1e3 * start.elapsed().as_secs_f64());
    match (chosen.choice, summaries) {
        (Choice::Adapter(index), Ok(mut summaries)) => {
            let adapter = summaries.swap_remove(index);
            let options = GpuOptions { data_memory: request.data_memory, ..GpuOptions::default() };
            Ok(Box::new(GpuFactory::new(adapter, why, options)))
        }
        _ => Ok(Box::new(CpuFactory { why })),
    }
}

/// The factory of the device that a run was trained on, `name` as the run's record has it; none if this machine has
/// it no more.
pub fn choose_again(name: &str, data_memory: Option<u64>) -> Option<Box<dyn EngineFactory>> {
    let why = |name: &str| format!("{name}, because the run was trained on it");
    if name == cpu::NAME {
        return Some(Box::new(CpuFactory { why: why(cpu::NAME) }));
    }
    let mut found = adapters::list().ok()?.into_iter().map(|(summary, _)| summary);
    let adapter = found.find(|a| a.name == name.trim() && a.problem.is_none())?;
    let options = GpuOptions { data_memory, ..GpuOptions::default() };
    let why = why(&adapter.name);
    log::info!("{why}");
    Some(Box::new(GpuFactory::new(adapter, why, options)))
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
