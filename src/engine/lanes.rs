//! Which device a command uses: `--device`, the adapters of the machine, and what `auto` takes after a refusal.

use std::cell::{Cell, OnceCell};
use std::sync::Arc;
use std::time::Instant;

use super::cpu;
use super::gpu::adapters::{self, AdapterKind, AdapterSummary, Choice, ChooseError, NoAdapter};
use super::gpu::{GpuFactory, GpuOptions, brief};
use super::{CpuFactory, DeviceSource, Engine, EngineError, EngineFactory};
use crate::population::Population;
use crate::spec::{DeviceUse, Precision};
use crate::step::memory::Table;

/// The requested device.
#[derive(Clone, Debug)]
pub struct DeviceRequest<'a> {
    /// `auto`, `gpu`, `cpu`, an index or a part of a name.
    pub device: &'a str,
    pub using: DeviceUse,
}

/// An adapter, chosen, not yet open.
#[derive(Clone, Debug)]
struct AdapterSource {
    adapter: AdapterSummary,
    why: String,
    options: GpuOptions,
    /// All adapters of the machine, if `auto` chose: it chooses again if the device refuses a kernel.
    others: Option<Vec<AdapterSummary>>,
}

impl DeviceSource for AdapterSource {
    fn name(&self) -> &str {
        &self.adapter.name
    }

    fn why(&self) -> &str {
        &self.why
    }

    fn memory(&self) -> Option<u64> {
        // A software adapter's memory is the processor's.
        if self.is_processor() { cpu::available() } else { self.adapter.limits.memory }
    }

    fn largest_role(&self) -> Option<u64> {
        Some(self.adapter.limits.max_binding.min(self.adapter.limits.max_buffer))
    }

    fn is_processor(&self) -> bool {
        self.adapter.kind == AdapterKind::Software
    }

    fn factory(&self) -> Box<dyn EngineFactory> {
        match self.others {
            Some(_) => Box::new(AutoFactory::new(Arc::new(self.clone()))),
            None => self.factory_of_it_alone(),
        }
    }

    fn factory_of_it_alone(&self) -> Box<dyn EngineFactory> {
        Box::new(GpuFactory::new(self.adapter.clone(), self.why.clone(), self.options))
    }

    fn after(&self, error: EngineError) -> Result<Arc<dyn DeviceSource>, EngineError> {
        let Some(others) = &self.others else { return Err(error) };
        let EngineError::Refused { what, reason, .. } = &error else { return Err(error) };
        let problem = format!("refused {what}: {}", brief(reason));
        let mut others = others.clone();
        for adapter in others.iter_mut().filter(|adapter| adapter.index == self.adapter.index) {
            adapter.problem = Some(format!("it {problem}"));
        }
        let next = among(Ok(others), "auto", self.options).map_err(|_| error)?;
        log::warn!("{} {problem}; --device auto switches to {}", self.name(), next.why());
        Ok(next)
    }
}

/// The CPU engine, which multiplies in f32 alone.
fn cpu_source(why: String, options: GpuOptions) -> Result<Arc<dyn DeviceSource>, ChooseError> {
    match options.precision {
        Precision::F32 => Ok(Arc::new(CpuFactory { why })),
        _ => Err(ChooseError::NoHalves { name: cpu::NAME.into() }),
    }
}

fn adapter_source(
    adapter: &AdapterSummary,
    why: String,
    options: GpuOptions,
    others: Option<Vec<AdapterSummary>>,
) -> Result<Arc<dyn DeviceSource>, ChooseError> {
    if options.precision != Precision::F32 && !adapter.features.precision_f16 {
        return Err(ChooseError::NoHalves { name: adapter.name.clone() });
    }
    Ok(Arc::new(AdapterSource { adapter: adapter.clone(), why, options, others }))
}

/// How a device is opened for `using`.
fn options(DeviceUse { data_memory, precision }: DeviceUse) -> GpuOptions {
    GpuOptions { data_memory, precision, ..GpuOptions::default() }
}

/// The requested device.
///
/// # Errors
/// [`ChooseError`] if there is none. The program exits with 5.
pub fn source(request: &DeviceRequest) -> Result<Arc<dyn DeviceSource>, ChooseError> {
    // For the CPU engine, drivers are not loaded.
    let start = Instant::now();
    let found =
        if request.device.trim().eq_ignore_ascii_case("cpu") { Ok(Vec::new()) } else { adapters::list() };
    let summaries = found.map(|found| found.into_iter().map(|(summary, _)| summary).collect::<Vec<_>>());
    for adapter in summaries.iter().flatten() {
        let problem = adapter.problem.as_deref().map_or(String::new(), |p| format!(", cannot be used: {p}"));
        log::info!("adapter {}: {} ({}){problem}", adapter.index, adapter.name, adapter.kind);
    }
    if let Err(none) = &summaries {
        log::info!("no adapter: {none}");
    }
    let source = among(summaries, request.device, options(request.using))?;
    let ms = 1e3 * start.elapsed().as_secs_f64();
    log::info!("--device {}: {} ({ms:.0} ms)", request.device, source.why());
    Ok(source)
}

/// The device `wanted` among the adapters `found`, to be opened with `options`.
///
/// # Errors
/// [`ChooseError`] if there is none.
pub fn among(
    found: Result<Vec<AdapterSummary>, NoAdapter>,
    wanted: &str,
    options: GpuOptions,
) -> Result<Arc<dyn DeviceSource>, ChooseError> {
    let chosen = adapters::choose(found.as_deref(), wanted)?;
    let why = format!("{}, because {}", chosen.name, chosen.reason);
    let adapters = found.unwrap_or_default();
    let Choice::Adapter(index) = chosen.choice else { return cpu_source(why, options) };
    match adapters.get(index).cloned() {
        Some(adapter) => {
            let others = wanted.trim().eq_ignore_ascii_case("auto").then_some(adapters);
            adapter_source(&adapter, why, options, others)
        }
        None => cpu_source(why, options),
    }
}

/// The device that a run was trained on, with the `name` in the run's record; none if this machine does not have it.
///
/// # Errors
/// [`ChooseError`] if the device is here but cannot be used as requested.
pub fn source_again(name: &str, using: DeviceUse) -> Result<Option<Arc<dyn DeviceSource>>, ChooseError> {
    let why = format!("{} (as in training)", name.trim());
    let (name, options) = (name.trim(), options(using));
    if name == cpu::NAME {
        log::info!("{why}");
        return cpu_source(why, options).map(Some);
    }
    let mut found = adapters::list().unwrap_or_default().into_iter().map(|(summary, _)| summary);
    match found.find(|adapter| adapter.name == name && adapter.problem.is_none()) {
        Some(adapter) => {
            log::info!("{why}");
            adapter_source(&adapter, why, options, None).map(Some)
        }
        None => Ok(None),
    }
}

/// Every usable hardware adapter (software adapters would share the processor with the CPU engine), and the CPU engine.
///
/// # Errors
/// [`ChooseError`] if none of them supports the precision.
pub fn all_sources(using: DeviceUse) -> Result<Vec<Arc<dyn DeviceSource>>, ChooseError> {
    let why = |name: &str| format!("{name}, because --devices all takes every device");
    let options = options(using);
    let found = adapters::list().unwrap_or_default().into_iter().map(|(adapter, _)| adapter);
    let hardware = found.filter(|a| a.problem.is_none() && a.kind != AdapterKind::Software);
    let adapters = hardware.map(|adapter| adapter_source(&adapter, why(&adapter.name), options, None));
    let able: Vec<_> = adapters.chain([cpu_source(why(cpu::NAME), options)]).flatten().collect();
    let none = || ChooseError::NoHalves { name: "this machine".into() };
    if able.is_empty() { Err(none()) } else { Ok(able) }
}

/// The factory of the requested device.
///
/// # Errors
/// [`ChooseError`] if there is none. The program exits with 5.
pub fn choose(request: &DeviceRequest) -> Result<Box<dyn EngineFactory>, ChooseError> {
    Ok(source(request)?.factory())
}

/// The factory of the device that a run was trained on, with the `name` in the run's record; none if this machine does
/// not have it.
///
/// # Errors
/// [`ChooseError`] if the device is here but cannot be used as requested.
pub fn choose_again(name: &str, using: DeviceUse) -> Result<Option<Box<dyn EngineFactory>>, ChooseError> {
    Ok(source_again(name, using)?.map(|source| source.factory()))
}

/// Makes engines of the device that `auto` chose. If that refuses a kernel before its first engine was made, makes
/// engines of the next device, and finally of the CPU.
struct AutoFactory {
    source: Arc<dyn DeviceSource>,
    own: Box<dyn EngineFactory>,
    next: OnceCell<Box<AutoFactory>>,
    /// Whether an engine was made: a training or a benchmark does not change its device halfway.
    used: Cell<bool>,
}

impl AutoFactory {
    fn new(source: Arc<dyn DeviceSource>) -> AutoFactory {
        let own = source.factory_of_it_alone();
        AutoFactory { source, own, next: OnceCell::new(), used: Cell::new(false) }
    }

    /// The factory in use.
    fn current(&self) -> &dyn EngineFactory {
        match self.next.get() {
            Some(next) => next.current(),
            None => self.own.as_ref(),
        }
    }

    /// Calls `what` with the factory in use, and after a refusal with the next one.
    fn attempt<T>(
        &self,
        what: &mut dyn FnMut(&dyn EngineFactory) -> Result<T, EngineError>,
    ) -> Result<T, EngineError> {
        if let Some(next) = self.next.get() {
            return next.attempt(what);
        }
        match what(self.own.as_ref()) {
            Err(error) if !self.used.get() => {
                let next = AutoFactory::new(self.source.after(error)?);
                self.next.get_or_init(|| Box::new(next)).attempt(what)
            }
            result => {
                self.used.set(self.used.get() || result.is_ok());
                result
            }
        }
    }
}

impl EngineFactory for AutoFactory {
    fn build(
        &self,
        population: &Arc<Population>,
        table: &Arc<Table>,
    ) -> Result<Box<dyn Engine>, EngineError> {
        self.attempt(&mut |factory| factory.build(population, table))
    }

    fn soften(&self) {
        self.current().soften();
    }

    fn tune(
        &self,
        measure: &mut dyn FnMut(&dyn EngineFactory) -> Result<f64, EngineError>,
    ) -> Result<Option<String>, EngineError> {
        self.attempt(&mut |factory| factory.tune(measure))
    }

    fn name(&self) -> &str {
        self.current().name()
    }

    fn why(&self) -> &str {
        self.current().why()
    }
}
