//! Which engine a command gets, and how to make it again after a fault.

use std::cell::{Cell, OnceCell};
use std::sync::Arc;

use super::cpu::{self, CpuEngine};
use super::gpu::adapters::ChooseError;
use super::lanes::{self, DeviceSource};
use super::{Engine, EngineError};
use crate::population::Population;
use crate::spec::DeviceUse;
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

/// The device that a command asks for.
#[derive(Clone, Debug)]
pub struct DeviceRequest<'a> {
    /// `auto`, `gpu`, `cpu`, an index or a part of a name.
    pub device: &'a str,
    pub using: DeviceUse,
}

/// The factory of the device that is asked for.
///
/// # Errors
/// [`ChooseError`] if there is none. The program exits with 5.
pub fn choose(request: &DeviceRequest) -> Result<Box<dyn EngineFactory>, ChooseError> {
    Ok(lanes::source(request)?.factory())
}

/// The factory of the device that a run was trained on, `name` as the run's record has it; none if this machine has
/// it no more.
///
/// # Errors
/// [`ChooseError`] if it has it, and it cannot be used so.
pub fn choose_again(name: &str, using: DeviceUse) -> Result<Option<Box<dyn EngineFactory>>, ChooseError> {
    Ok(lanes::source_again(name, using)?.map(|source| source.factory()))
}

/// Makes engines of the device that `auto` took. Where that refuses a kernel before there was an engine, makes engines of
/// the next device: at last of the CPU.
pub(super) struct AutoFactory {
    source: DeviceSource,
    own: Box<dyn EngineFactory>,
    next: OnceCell<Box<AutoFactory>>,
    /// Whether an engine was made: a training or a benchmark does not change its device halfway.
    used: Cell<bool>,
}

impl AutoFactory {
    pub(super) fn new(source: DeviceSource) -> AutoFactory {
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

    /// Calls `what` with the factory in use; after a refusal with the next one.
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
