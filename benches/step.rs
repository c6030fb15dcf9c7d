//! Whole training steps: the networks a, b and c (MNIST's shape, batch norm, Adam) at K = 1, 8 and 64, on the CPU engine
//! and on each adapter. `cargo bench --bench step -- cpu/a` runs some of them.
//!
//! | | network | batch |
//! |---|---|---|
//! | a | 784-100-100-100-10, sigmoid | 60 |
//! | b | 784-512-512-10, ReLU | 256 |
//! | c | 784-2048-2048-10, ReLU | 1024 |
//!
//! The steps of K members count as one. Before timing, the engine's first losses are compared with those of the f64
//! engine; a difference panics.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bngpu::bench::{CASES, Case, cost, table, validate};
use bngpu::engine::cpu::CpuEngine;
use bngpu::engine::gpu::{Device, GpuEngine, GpuOptions, adapters};
use bngpu::engine::{Engine, EngineError};
use bngpu::population::Population;
use bngpu::step::memory::Table;
use bngpu::step::{StepKind, plan};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

type Make<'a> = dyn Fn(&Arc<Population>) -> Result<Box<dyn Engine>, EngineError> + 'a;

fn time(criterion: &mut Criterion, name: &str, table: &Arc<Table>, make: &Make) {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10).warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(5));
    let largest = |case: &Case| if case.batch < 1000 { 64 } else { 8 };
    for (case, members) in CASES.iter().flat_map(|case| [1, 8, 64].map(|k| (case, k))) {
        if members > largest(case) {
            continue;
        }
        let population = case.population(members, true);
        let step = plan(&population, StepKind::Train);
        group.throughput(Throughput::Elements(cost(&population, &step, table).flops as u64));
        group.bench_function(format!("{}/K={members}", case.name), |bencher| {
            let mut engine = make(&population).unwrap_or_else(|e| panic!("{e}"));
            engine.initialize().unwrap_or_else(|e| panic!("{e}"));
            validate(&mut *engine, &population, table).unwrap_or_else(|e| panic!("{e}"));
            let mut at = 2;
            bencher.iter_custom(|iterations| {
                let (mut left, mut spent) = (iterations, Duration::ZERO);
                while left > 0 {
                    let count = left.min(engine.pace(StepKind::Train) as u64);
                    let rows = Case::steps(&population, at, count);
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
    // SAFETY: this program has no other thread yet.
    unsafe { adapters::without_device_select() };
    let table = Arc::new(table());
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
