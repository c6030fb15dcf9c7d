//! An engine with scheduled faults.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use crate::engine::{CpuFactory, Engine, EngineError, EngineFactory, EngineInfo};
use crate::population::tables::{Record, StepRow};
use crate::population::{Buffer, Population};
use crate::step::memory::Table;
use crate::step::{Op, StepKind};

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    Lost,
    Timeout,
    OutOfMemory,
    /// The call succeeds, but returns the records of another call.
    Stale,
    /// A permanent fault.
    Refused,
}

/// Number of calls and the scheduled faults, shared by a factory and its engines.
#[derive(Default)]
pub struct Script {
    pub calls: Cell<usize>,
    pub faults: RefCell<BTreeMap<usize, Fault>>,
    /// Faults that happened.
    pub met: Cell<usize>,
    /// Every call from this one on fails.
    pub dead_from: Cell<Option<usize>>,
    pub softened: Cell<usize>,
}

impl Script {
    /// Counts a call; returns whether its records should be stale.
    fn call(&self) -> Result<bool, EngineError> {
        let call = self.calls.get();
        self.calls.set(call + 1);
        let dead = self.dead_from.get().is_some_and(|from| call >= from);
        let fault = self.faults.borrow_mut().remove(&call).or(dead.then_some(Fault::Lost));
        let Some(fault) = fault else { return Ok(false) };
        self.met.set(self.met.get() + 1);
        let device = "a faulty device".to_owned();
        Err(match fault {
            Fault::Stale => return Ok(true),
            Fault::Lost => EngineError::Lost { device, reason: "scheduled".into() },
            Fault::Timeout => EngineError::Timeout { device, what: "a submit".into(), seconds: 1.0 },
            Fault::OutOfMemory => EngineError::OutOfMemory { device, what: "scheduled".into() },
            Fault::Refused => {
                EngineError::Refused { device, what: "a shader".into(), reason: "scheduled".into() }
            }
        })
    }
}

#[derive(Default)]
pub struct FaultyFactory {
    pub script: Rc<Script>,
    inner: CpuFactory,
}

impl EngineFactory for FaultyFactory {
    fn build(
        &self,
        population: &Arc<Population>,
        table: &Arc<Table>,
    ) -> Result<Box<dyn Engine>, EngineError> {
        self.script.call()?;
        let inner = self.inner.build(population, table)?;
        Ok(Box::new(Faulty { inner, script: self.script.clone(), lost: false }))
    }
    fn soften(&self) {
        self.script.softened.set(self.script.softened.get() + 1);
    }
    fn name(&self) -> &str {
        "scheduled to fail"
    }

    fn why(&self) -> &str {
        "scheduled to fail"
    }
}

/// A CPU engine that loses its memory at its first fault, as a lost device does.
struct Faulty {
    inner: Box<dyn Engine>,
    script: Rc<Script>,
    lost: bool,
}

impl Faulty {
    fn call(&mut self) -> Result<bool, EngineError> {
        assert!(!self.lost, "a lost device was used again");
        let call = self.script.call();
        self.lost = call.is_err();
        call
    }
}

impl Engine for Faulty {
    fn info(&self) -> &EngineInfo {
        self.inner.info()
    }
    fn population(&self) -> &Arc<Population> {
        self.inner.population()
    }
    fn initialize(&mut self) -> Result<(), EngineError> {
        self.call()?;
        self.inner.initialize()
    }
    fn run(&mut self, kind: StepKind, steps: &[StepRow]) -> Result<Vec<Record>, EngineError> {
        let stale = self.call();
        // The work may be done before the fault.
        let mut records = self.inner.run(kind, steps)?;
        if stale? {
            records.iter_mut().for_each(|record| record.step = record.step.wrapping_sub(1));
        }
        Ok(records)
    }
    /// Number of steps: 1, 2, 3, 1, ...
    fn pace(&self, _: StepKind) -> usize {
        1 + self.script.calls.get() % 3
    }
    fn run_op(&mut self, op: Op, steps: &[StepRow]) -> Result<(), EngineError> {
        self.inner.run_op(op, steps)
    }
    fn refill(&mut self, population: &Arc<Population>, slots: &[usize]) -> Result<(), EngineError> {
        self.call()?;
        self.inner.refill(population, slots)
    }
    /// Each region counts as a call.
    fn read_regions(&mut self, regions: &[(Buffer, Range<usize>)]) -> Result<Vec<Vec<f32>>, EngineError> {
        for _ in regions {
            self.call()?;
        }
        self.inner.read_regions(regions)
    }
    fn write_region(&mut self, buffer: Buffer, start: usize, values: &[f32]) -> Result<(), EngineError> {
        self.call()?;
        self.inner.write_region(buffer, start, values)
    }
}
