//! Which engine a command gets.

use std::cell::{Cell, OnceCell};
use std::sync::Arc;

use super::gpu::adapters::ChooseError;
use super::lanes::{self, DeviceSource};
use super::{Engine, EngineError, EngineFactory};
use crate::population::Population;
use crate::spec::DeviceUse;
use crate::step::memory::Table;

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
