//! An engine whose memory tests read and write as f64, whatever the engine's own precision.

use std::ops::Range;
use std::sync::Arc;

use bngpu::engine::Engine;
use bngpu::engine::cpu::CpuEngine;
use bngpu::population::tables::StepRow;
use bngpu::population::{Buffer, Population};
use bngpu::step::memory::Table;
use bngpu::step::{Op, StepKind, plan};

/// Makes the engine of a suite.
pub type Make = dyn Fn(Arc<Population>, Arc<Table>) -> Box<dyn Engine>;
/// Makes the probe of a suite.
pub type MakeProbe = dyn Fn(Arc<Population>, Arc<Table>) -> Box<dyn Probe>;

/// An engine and its population, with memory access in f64.
pub trait Probe {
    fn population(&self) -> Arc<Population>;
    fn engine(&mut self) -> &mut dyn Engine;
    /// A range of a member's region of a float role.
    fn get(&mut self, member: usize, buffer: Buffer, range: Range<usize>) -> Vec<f64>;
    /// Overwrites part of a member's region of a float role, from `start` on.
    fn set(&mut self, member: usize, buffer: Buffer, start: usize, values: &[f64]);

    /// Runs one operation.
    fn op(&mut self, op: Op, steps: &[StepRow]) {
        self.engine().run_op(op, steps).unwrap_or_else(|e| panic!("{op:?}: {e}"));
    }
    /// Runs a step's operations one by one, except those selected by `leave_out`.
    fn ops(&mut self, kind: StepKind, steps: &[StepRow], leave_out: fn(&Op) -> bool) {
        let ops = plan(&self.population(), kind);
        ops.into_iter().filter(|op| !leave_out(op)).for_each(|op| self.op(op, steps));
    }
}

/// The f64 CPU engine, which needs no rounding.
pub struct Exact {
    pub engine: CpuEngine<f64>,
    population: Arc<Population>,
}

impl Exact {
    pub fn new(population: Arc<Population>, table: Arc<Table>) -> Exact {
        Exact { engine: CpuEngine::new(population.clone(), table), population }
    }
    /// For suites that take a [`MakeProbe`].
    pub fn boxed(population: Arc<Population>, table: Arc<Table>) -> Box<dyn Probe> {
        Box::new(Exact::new(population, table))
    }
}

impl Probe for Exact {
    fn population(&self) -> Arc<Population> {
        self.population.clone()
    }
    fn engine(&mut self) -> &mut dyn Engine {
        &mut self.engine
    }
    fn get(&mut self, member: usize, buffer: Buffer, range: Range<usize>) -> Vec<f64> {
        self.engine.memory(member).floats(buffer).expect("a float role")[range].to_vec()
    }
    fn set(&mut self, member: usize, buffer: Buffer, start: usize, values: &[f64]) {
        let to = self.engine.memory_mut(member).floats_mut(buffer).expect("a float role");
        to[start..start + values.len()].copy_from_slice(values);
    }
}

/// Any engine in f32, through [`Engine::read`] and [`Engine::write`].
pub struct Single {
    engine: Box<dyn Engine>,
    population: Arc<Population>,
}

impl Single {
    pub fn new(engine: Box<dyn Engine>, population: Arc<Population>) -> Single {
        Single { engine, population }
    }
    /// The f32 CPU engine, for suites that take a [`MakeProbe`].
    pub fn cpu(population: Arc<Population>, table: Arc<Table>) -> Box<dyn Probe> {
        let engine: CpuEngine<f32> = CpuEngine::new(population.clone(), table);
        Box::new(Single::new(Box::new(engine), population))
    }
}

impl Probe for Single {
    fn population(&self) -> Arc<Population> {
        self.population.clone()
    }
    fn engine(&mut self) -> &mut dyn Engine {
        &mut *self.engine
    }
    fn get(&mut self, member: usize, buffer: Buffer, range: Range<usize>) -> Vec<f64> {
        let base = self.population.bases[member][buffer as usize];
        let all = self.engine.read(buffer).unwrap_or_else(|e| panic!("read {buffer:?}: {e}"));
        all[base + range.start..base + range.end].iter().map(|&v| f64::from(v)).collect()
    }
    fn set(&mut self, member: usize, buffer: Buffer, start: usize, values: &[f64]) {
        let base = self.population.bases[member][buffer as usize];
        let mut all = self.engine.read(buffer).unwrap_or_else(|e| panic!("read {buffer:?}: {e}"));
        all[base + start..].iter_mut().zip(values).for_each(|(to, &v)| *to = v as f32);
        self.engine.write(buffer, &all).unwrap_or_else(|e| panic!("write {buffer:?}: {e}"));
    }
}
