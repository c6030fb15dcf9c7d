//! Whole training steps: the networks a, b and c (MNIST's shape, batch norm, Adam) at K = 1 and 8, on the CPU engine
//! and on each adapter. `cargo bench -- cpu/a` runs some of them.
//!
//! | | network | batch |
//! |---|---|---|
//! | a | 784-100-100-100-10, sigmoid | 60 |
//! | b | 784-512-512-10, ReLU | 256 |
//! | c | 784-2048-2048-10, ReLU | 1024 |
//!
//! A result counts the K members' steps as one; before anything is timed the engine's first losses are compared with
//! those of the f64 engine.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bngpu::engine::cpu::CpuEngine;
use bngpu::engine::gpu::{Device, GpuEngine, GpuOptions, adapters};
use bngpu::engine::{Engine, EngineError};
use bngpu::population::random::pcg4d;
use bngpu::population::tables::StepRow;
use bngpu::population::{Loss, Member, Population, training_step};
use bngpu::spec::{Activation, BatchNorm, Init, Length, Network, Optimizer, Schedule, Training};
use bngpu::step::StepKind;
use bngpu::step::memory::{Table, Values};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

const ROWS: usize = 10_000;
const FEATURES: usize = 784;
const TOTAL: u64 = 1 << 30;

struct Case {
    name: &'static str,
    hidden: &'static [usize],
    activation: Activation,
    batch: usize,
}

const CASES: [Case; 3] = [
    Case { name: "a", hidden: &[100, 100, 100], activation: Activation::Sigmoid, batch: 60 },
    Case { name: "b", hidden: &[512, 512], activation: Activation::Relu, batch: 256 },
    Case { name: "c", hidden: &[2048, 2048], activation: Activation::Relu, batch: 1024 },
];

impl Case {
    fn population(&self, members: u64) -> Arc<Population> {
        let member = |seed| {
            let training = Training {
                network: Network {
                    hidden: self.hidden.to_vec(),
                    activation: self.activation,
                    batch_norm: Some(BatchNorm::default()),
                    dropout: 0.0,
                    init: Init::Xavier,
                },
                optimizer: Optimizer::Adam { beta1: 0.9, beta2: 0.999, eps: 1e-8 },
                lr: 1e-3,
                l2: 0.0,
                weight_decay: 0.0,
                schedule: Schedule::Constant,
                warmup: 0,
                clip_norm: None,
                batch_size: self.batch,
                length: Length::Steps(TOTAL),
                patience: None,
                max_time: None,
                seed,
            };
            Member::new(&training, Loss::CrossEntropy { classes: 10 }, FEATURES, ROWS)
                .expect("a step is possible")
        };
        Arc::new(Population::new((0..members).map(member).collect()))
    }

    /// Multiply-adds of one member's step, twice: forward, weights' gradient, and all but the first layer's input.
    fn flops(&self) -> u64 {
        let widths: Vec<usize> = [&[FEATURES], self.hidden, &[10]].concat();
        let products = |skip: usize| widths.windows(2).skip(skip).map(|w| w[0] * w[1]).sum::<usize>();
        (2 * self.batch * (2 * products(0) + products(1))) as u64
    }
}

/// Bytes that lean towards their class, so that there is something to learn.
fn table() -> Arc<Table> {
    let class = |row: usize| (row % 10) as u32;
    let byte = |i: usize| {
        let noise = pcg4d([i as u32, 1, 2, 3])[0] >> 25;
        (noise + (pcg4d([class(i / FEATURES), (i % FEATURES) as u32, 4, 5])[0] >> 25)) as u8
    };
    Arc::new(Table {
        values: Values::Bytes {
            values: (0..ROWS * FEATURES).map(byte).collect(),
            shift: vec![127.0; FEATURES],
            factor: vec![1.0 / 52.0; FEATURES],
        },
        features: FEATURES,
        targets: (0..ROWS).map(class).collect(),
    })
}

fn steps(population: &Population, from: u64, count: u64) -> Vec<StepRow> {
    let row = |s: u64| population.members.iter().map(move |m| training_step(&m.training, &m.walk, s, TOTAL));
    (from..from + count).flat_map(row).collect()
}

/// Panics where the engine's first losses are not those of the f64 engine.
fn validate(
    engine: &mut dyn Engine,
    population: &Arc<Population>,
    table: &Arc<Table>,
) -> Result<(), EngineError> {
    let mut truth = CpuEngine::<f64>::new(population.clone(), table.clone());
    truth.initialize()?;
    let first = steps(population, 0, 2);
    let (got, expected) = (engine.run(StepKind::Train, &first)?, truth.run(StepKind::Train, &first)?);
    for (g, e) in got.iter().zip(&expected) {
        // A row's loss is the logarithm of a sum near 1 at best: off by some units of f32 each.
        let allowed = 1e-3 * e.loss + 1e-6 * e.rows as f32;
        assert!((g.loss - e.loss).abs() <= allowed, "loss {} where {} was expected", g.loss, e.loss);
    }
    Ok(())
}

type Make<'a> = dyn Fn(&Arc<Population>) -> Result<Box<dyn Engine>, EngineError> + 'a;

fn time(criterion: &mut Criterion, name: &str, table: &Arc<Table>, make: &Make) {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(5));
    for (case, members) in CASES.iter().flat_map(|case| [1, 8].map(|k| (case, k))) {
        group.throughput(Throughput::Elements(case.flops() * members));
        group.bench_function(format!("{}/K={members}", case.name), |bencher| {
            let population = case.population(members);
            let mut engine = make(&population).unwrap_or_else(|e| panic!("{e}"));
            engine.initialize().unwrap_or_else(|e| panic!("{e}"));
            validate(&mut *engine, &population, table).unwrap_or_else(|e| panic!("{e}"));
            let mut at = 2;
            bencher.iter_custom(|iterations| {
                let (mut left, mut spent) = (iterations, Duration::ZERO);
                while left > 0 {
                    let count = left.min(engine.pace(StepKind::Train) as u64);
                    let rows = steps(&population, at, count);
                    let start = Instant::now();
                    engine.run(StepKind::Train, &rows).unwrap_or_else(|e| panic!("{e}"));
                    spent += start.elapsed();
                    (at, left) = (at + count, left - count);
                }
                spent
            });
        });
    }
    group.finish();
}

fn benchmarks(criterion: &mut Criterion) {
    // SAFETY: no other thread of this program exists yet.
    unsafe { adapters::without_device_select() };
    let table = table();
    time(criterion, "cpu", &table, &|population| {
        Ok(Box::new(CpuEngine::<f32>::new(population.clone(), table.clone())))
    });
    for (summary, adapter) in adapters::list().unwrap_or_default() {
        let options = GpuOptions { checked: false, ..GpuOptions::default() };
        let device = match Device::open(&adapter, options) {
            Ok(device) => Arc::new(device),
            Err(error) => {
                eprintln!("{error}");
                continue;
            }
        };
        time(criterion, &summary.name, &table, &|population| {
            Ok(Box::new(GpuEngine::new(device.clone(), population.clone(), table.clone())?))
        });
    }
}

criterion_group!(steps_of_populations, benchmarks);
criterion_main!(steps_of_populations);
