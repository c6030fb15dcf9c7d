//! Training speed of a device: the networks of [`Case`], many at once and one at a time, against the device's limits;
//! the operations of a step; the cost of batch normalisation.
//!
//! Before a network is timed, the engine's first losses are compared with those of the f64 engine.

mod cases;
pub mod threads;

use std::sync::Arc;
use std::time::Instant;

use serde::Serialize;

pub use cases::{CASES, Case, FEATURES, ROWS, table};

use crate::base::quantile;
use crate::engine::cpu::CpuEngine;
use crate::engine::{Ceilings, Engine, EngineError, EngineFactory};
use crate::population::Population;
use crate::step::cost::Cost;
use crate::step::memory::Table;
use crate::step::{Op, StepKind, plan};

/// Time of a step of one network on one device.
#[derive(Clone, Debug, Serialize)]
pub struct StepTime {
    pub case: &'static str,
    pub network: String,
    pub members: usize,
    pub batch_norm: bool,
    /// Time of a step of all members: median and quartiles of the repetitions.
    pub ms: f64,
    pub ms_quartiles: [f64; 2],
    pub samples_per_s: f64,
    /// Minimum work of a step: 10^9 floating-point operations (a multiply-add counts as two), 10^9 bytes (each operand
    /// and result once), and the number of operations in sequence.
    pub gflop: f64,
    pub gbyte: f64,
    pub operations: usize,
    pub gflops: f64,
    /// Share of the device's maximum `flops`.
    pub of_flops: f64,
}

/// Time of operations that run together.
#[derive(Clone, Debug, Serialize)]
pub struct OperationTime {
    pub case: &'static str,
    pub network: String,
    pub name: String,
    pub ms: f64,
    pub gflops: f64,
    pub gbytes_per_s: f64,
    /// Share of the device's maximum `flops`.
    pub of_flops: f64,
    /// Share of the device's memory bandwidth; more than 1 if caches hold the operands.
    pub of_bytes: f64,
}

/// Measures one device.
pub struct Bench<'a> {
    factory: &'a dyn EngineFactory,
    table: Arc<Table>,
    pub ceilings: Ceilings,
    /// Seconds to measure each network.
    seconds: f64,
}

impl<'a> Bench<'a> {
    /// Measures the device's ceilings.
    ///
    /// # Errors
    /// Errors of the device.
    pub fn new(factory: &'a dyn EngineFactory, seconds: f64) -> Result<Bench<'a>, EngineError> {
        let table = Arc::new(table());
        let ceilings = factory.build(&CASES[0].population(1, true), &table)?.ceilings()?;
        Ok(Bench { factory, table, ceilings, seconds })
    }

    /// The same with measured ceilings, on `table`.
    pub fn with(
        factory: &'a dyn EngineFactory,
        table: Arc<Table>,
        ceilings: Ceilings,
        seconds: f64,
    ) -> Bench<'a> {
        Bench { factory, table, ceilings, seconds }
    }

    fn engine(&self, population: &Arc<Population>) -> Result<Box<dyn Engine>, EngineError> {
        let mut engine = self.factory.build(population, &self.table)?;
        engine.initialize()?;
        Ok(engine)
    }

    /// Times steps of a case.
    ///
    /// # Errors
    /// Errors of the device; [`EngineError::Wrong`] if the losses are wrong.
    pub fn step(&self, case: &Case, members: usize, batch_norm: bool) -> Result<StepTime, EngineError> {
        let population = case.population(members, batch_norm);
        let mut engine = self.engine(&population)?;
        validate(&mut *engine, &population, &self.table)?;
        let mut at = 2;
        let mut run = |engine: &mut dyn Engine, count: u64| -> Result<f64, EngineError> {
            let rows = Case::steps(&population, at, count);
            let start = Instant::now();
            engine.run_checked(StepKind::Train, &rows)?;
            at += count;
            Ok(start.elapsed().as_secs_f64() / count as f64)
        };
        // Finds the pace, and warms up caches and clocks.
        let start = Instant::now();
        let mut times = Vec::new();
        while times.is_empty() || start.elapsed().as_secs_f64() < 0.3 * self.seconds {
            let count = engine.pace(StepKind::Train) as u64;
            times = vec![run(&mut *engine, count)?];
        }
        times.clear();
        let start = Instant::now();
        while times.len() < 3 || start.elapsed().as_secs_f64() < self.seconds {
            let count = engine.pace(StepKind::Train) as u64;
            times.push(run(&mut *engine, count)?);
        }
        let mut quantile = |q: f64| quantile(&mut times, q);
        let step = plan(&population, StepKind::Train);
        let (median, cost) = (quantile(0.5), cost(&population, &step, &self.table));
        Ok(StepTime {
            case: case.name,
            network: case.describe(),
            members,
            batch_norm,
            ms: 1e3 * median,
            ms_quartiles: [1e3 * quantile(0.25), 1e3 * quantile(0.75)],
            samples_per_s: (members * case.batch) as f64 / median,
            gflop: cost.flops / 1e9,
            gbyte: cost.bytes / 1e9,
            operations: step.len(),
            gflops: cost.flops / median / 1e9,
            of_flops: cost.flops / median / self.ceilings.flops,
        })
    }

    /// Lets the device tune itself on the small networks, one and many at once. Returns what it chose, if there was a
    /// choice.
    ///
    /// # Errors
    /// Errors of the device.
    pub fn tune(factory: &dyn EngineFactory, seconds: f64) -> Result<Option<String>, EngineError> {
        let table = Arc::new(table());
        factory.tune(&mut |factory| {
            let bench = Bench { factory, table: table.clone(), ceilings: Ceilings::default(), seconds };
            // The geometric mean gives each case the same weight.
            let mut logarithms = 0.0;
            for (case, members) in [(&CASES[0], 1), (&CASES[0], 8), (&CASES[1], 1)] {
                logarithms += bench.step(case, members, true)?.ms.ln();
            }
            Ok((logarithms / 3.0).exp())
        })
    }

    /// Times the operations of a step of one member.
    ///
    /// # Errors
    /// Errors of the device.
    pub fn operations(&self, case: &Case) -> Result<Vec<OperationTime>, EngineError> {
        let population = case.population(1, true);
        let mut engine = self.engine(&population)?;
        engine.run_checked(StepKind::Train, &Case::steps(&population, 0, 2))?;
        let parts = engine.profile(&Case::steps(&population, 2, 1), self.seconds)?;
        let of = |(ops, seconds): (Vec<Op>, f64)| {
            let cost = cost(&population, &ops, &self.table);
            OperationTime {
                case: case.name,
                network: case.describe(),
                name: name(&ops),
                ms: 1e3 * seconds,
                gflops: cost.flops / seconds / 1e9,
                gbytes_per_s: cost.bytes / seconds / 1e9,
                of_flops: cost.flops / seconds / self.ceilings.flops,
                of_bytes: cost.bytes / seconds / self.ceilings.bytes,
            }
        };
        Ok(parts.into_iter().map(of).collect())
    }
}

/// Minimum work of `ops` in a step of all members.
pub fn cost(population: &Population, ops: &[Op], table: &Table) -> Cost {
    let value = table.values.size();
    let of = |op: &Op| -> Cost {
        population.members.iter().map(|member| op.cost(member, member.walk.batch, value)).sum()
    };
    ops.iter().map(of).sum()
}

/// Runs the first two steps, and compares their losses with those of the f64 engine.
///
/// # Errors
/// [`EngineError::Wrong`] if they differ, and errors of the engine.
pub fn validate(
    engine: &mut dyn Engine,
    population: &Population,
    table: &Arc<Table>,
) -> Result<(), EngineError> {
    // One member is enough: all differ only in their seeds, and large ones take long.
    let alone = Arc::new(Population::new(vec![population.members[0].clone()]));
    let mut truth = CpuEngine::<f64>::new(alone.clone(), table.clone());
    truth.initialize()?;
    let got = engine.run_checked(StepKind::Train, &Case::steps(population, 0, 2))?;
    let expected = truth.run_checked(StepKind::Train, &Case::steps(&alone, 0, 2))?;
    let growth = 1.2f32.powi(alone.layers as i32);
    for (got, expected) in got.iter().step_by(population.len()).zip(&expected) {
        // At best, a row's loss is the logarithm of a sum near 1, off by some units of f32. Each following layer
        // amplifies rounding errors, by 1.1 to 1.2 in deep networks with batch norm.
        let allowed = 1e-3 * growth * expected.loss + 1e-6 * expected.rows as f32;
        let close = (got.loss - expected.loss).abs() <= allowed;
        if !close {
            return Err(EngineError::Wrong {
                device: engine.info().device.clone(),
                what: format!("a loss of {} where {} was expected", got.loss, expected.loss),
            });
        }
    }
    Ok(())
}

/// The name of a group of operations.
pub fn name(ops: &[Op]) -> String {
    ops.iter().map(|op| op.name()).collect::<Vec<_>>().join(" + ")
}
