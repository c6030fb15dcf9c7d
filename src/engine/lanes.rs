//! The device of a command, as plain data, from which each thread makes its own engine factory.

use std::cell::{Cell, OnceCell};
use std::sync::Arc;
use std::time::Instant;

use super::cpu;
use super::factory::CpuFactory;
use super::gpu::adapters::{self, AdapterKind, AdapterSummary, Choice, ChooseError, NoAdapter};
use super::gpu::{GpuFactory, GpuOptions, brief};
use super::{Engine, EngineError, EngineFactory};
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

/// One chosen device, not yet open.
#[derive(Clone, Debug)]
pub struct DeviceSource {
    what: What,
    why: String,
    options: GpuOptions,
    /// All adapters of the machine, if `auto` chose: it chooses again if the device refuses a kernel.
    others: Option<Vec<AdapterSummary>>,
}

#[derive(Clone, Debug)]
enum What {
    Cpu,
    Adapter(Box<AdapterSummary>),
}

impl What {
    fn multiplies_in(&self, precision: Precision) -> bool {
        precision == Precision::F32
            || matches!(self, What::Adapter(adapter) if adapter.features.precision_f16)
    }
}

impl DeviceSource {
    /// Name of the adapter, or of the CPU engine.
    pub fn name(&self) -> &str {
        match &self.what {
            What::Cpu => cpu::NAME,
            What::Adapter(adapter) => &adapter.name,
        }
    }

    /// The chosen device and the reason: "NAME, because REASON".
    pub fn why(&self) -> &str {
        &self.why
    }

    /// Bytes available for a population, if known.
    pub fn memory(&self) -> Option<u64> {
        match &self.what {
            What::Cpu => cpu::available(),
            // A software adapter uses the processor's memory.
            What::Adapter(adapter) if adapter.kind == AdapterKind::Software => cpu::available(),
            What::Adapter(adapter) => adapter.limits.memory,
        }
    }

    /// Most bytes of a role of memory; none without a limit.
    pub fn largest_role(&self) -> Option<u64> {
        match &self.what {
            What::Cpu => None,
            What::Adapter(adapter) => Some(adapter.limits.max_binding.min(adapter.limits.max_buffer)),
        }
    }

    /// Whether it computes on the processor's cores, which its lanes then share.
    pub fn is_processor(&self) -> bool {
        match &self.what {
            What::Cpu => true,
            What::Adapter(adapter) => adapter.kind == AdapterKind::Software,
        }
    }

    /// A factory of its engines, with a device and a queue of its own. If `auto` chose a device that refuses a kernel,
    /// the factory makes engines of the next one.
    pub fn factory(&self) -> Box<dyn EngineFactory> {
        match self.others {
            Some(_) => Box::new(AutoFactory::new(self.clone())),
            None => self.factory_of_it_alone(),
        }
    }

    /// A factory for this device only.
    pub fn factory_of_it_alone(&self) -> Box<dyn EngineFactory> {
        match &self.what {
            What::Cpu => Box::new(CpuFactory { why: self.why.clone() }),
            What::Adapter(adapter) => {
                Box::new(GpuFactory::new((**adapter).clone(), self.why.clone(), self.options))
            }
        }
    }

    /// After `error`: the next choice of `auto`.
    ///
    /// # Errors
    /// `error`, if the device did not refuse anything, was named by the user, or no other device supports the
    /// precision.
    pub fn after(&self, error: EngineError) -> Result<DeviceSource, EngineError> {
        let (Some(others), What::Adapter(refusing)) = (&self.others, &self.what) else { return Err(error) };
        let EngineError::Refused { what, reason, .. } = &error else { return Err(error) };
        let problem = format!("refused {what}: {}", brief(reason));
        let mut others = others.clone();
        for adapter in others.iter_mut().filter(|adapter| adapter.index == refusing.index) {
            adapter.problem = Some(format!("it {problem}"));
        }
        let next = among(Ok(others), "auto", self.options).map_err(|_| error)?;
        log::warn!("{} {problem}; --device auto switches to {}", self.name(), next.why);
        Ok(next)
    }
}

/// How a device is opened for `using`.
fn options(DeviceUse { data_memory, precision }: DeviceUse) -> GpuOptions {
    GpuOptions { data_memory, precision, ..GpuOptions::default() }
}

/// The requested device.
///
/// # Errors
/// [`ChooseError`] if there is none. The program exits with 5.
pub fn source(request: &DeviceRequest) -> Result<DeviceSource, ChooseError> {
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
    log::info!("--device {}: {} ({ms:.0} ms)", request.device, source.why);
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
) -> Result<DeviceSource, ChooseError> {
    let chosen = adapters::choose(found.as_deref(), wanted)?;
    let why = format!("{}, because {}", chosen.name, chosen.reason);
    let adapters = found.unwrap_or_default();
    let what = match chosen.choice {
        Choice::Cpu => What::Cpu,
        Choice::Adapter(index) => match adapters.get(index) {
            Some(adapter) => What::Adapter(Box::new(adapter.clone())),
            None => What::Cpu,
        },
    };
    if !what.multiplies_in(options.precision) {
        return Err(ChooseError::NoHalves { name: chosen.name });
    }
    let others = wanted.trim().eq_ignore_ascii_case("auto").then_some(adapters);
    Ok(DeviceSource { what, why, options, others })
}

/// The device that a run was trained on, with the `name` in the run's record; none if this machine does not have it.
///
/// # Errors
/// [`ChooseError`] if the device is here but cannot be used as requested.
pub fn source_again(name: &str, using: DeviceUse) -> Result<Option<DeviceSource>, ChooseError> {
    let why = format!("{}, because the run was trained on it", name.trim());
    let what = if name == cpu::NAME {
        What::Cpu
    } else {
        let mut found = adapters::list().unwrap_or_default().into_iter().map(|(summary, _)| summary);
        match found.find(|a| a.name == name.trim() && a.problem.is_none()) {
            Some(adapter) => What::Adapter(Box::new(adapter)),
            None => return Ok(None),
        }
    };
    log::info!("{why}");
    match what.multiplies_in(using.precision) {
        true => Ok(Some(DeviceSource { what, why, options: options(using), others: None })),
        false => Err(ChooseError::NoHalves { name: name.trim().into() }),
    }
}

/// Every usable hardware adapter (software adapters would share the processor with the CPU engine), and the CPU engine.
///
/// # Errors
/// [`ChooseError`] if none of them supports the precision.
pub fn all_sources(using: DeviceUse) -> Result<Vec<DeviceSource>, ChooseError> {
    let why = |name: &str| format!("{name}, because --devices all takes every device");
    let found = adapters::list().unwrap_or_default().into_iter().map(|(adapter, _)| adapter);
    let usable: Vec<_> = found.filter(|adapter| adapter.problem.is_none()).collect();
    let hardware = usable.iter().filter(|adapter| adapter.kind != AdapterKind::Software).cloned();
    let adapters = hardware.map(|adapter| {
        let why = why(&adapter.name);
        DeviceSource { what: What::Adapter(Box::new(adapter)), why, options: options(using), others: None }
    });
    let cpu = DeviceSource { what: What::Cpu, why: why(cpu::NAME), options: options(using), others: None };
    let all = adapters.chain([cpu]);
    let able: Vec<_> = all.filter(|source| source.what.multiplies_in(using.precision)).collect();
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
    source: DeviceSource,
    own: Box<dyn EngineFactory>,
    next: OnceCell<Box<AutoFactory>>,
    /// Whether an engine was made: a training or a benchmark does not change its device halfway.
    used: Cell<bool>,
}

impl AutoFactory {
    fn new(source: DeviceSource) -> AutoFactory {
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
