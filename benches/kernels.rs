//! Each operation of a training step of the networks a and b, on the CPU engine, and each kernel on each adapter,
//! labelled with the adapter's name. `cargo bench --bench kernels -- cpu/a` runs some of them.
//!
//! Throughput counts arithmetic operations (a multiply-add is two) if there are many per byte, else bytes. Before a
//! network's kernels are timed, the engine's first losses are compared with those of the f64 engine.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bngpu::bench::{CASES, Case, cost, name, table, validate};
use bngpu::engine::Engine;
use bngpu::engine::cpu::CpuEngine;
use bngpu::engine::gpu::{Device, GpuEngine, GpuOptions, adapters};
use bngpu::population::Population;
use bngpu::step::memory::Table;
use bngpu::step::{Op, StepKind, plan};
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};

/// Dispatches of one submit.
const SUBMIT: u64 = 64;

/// Seconds of a number of rounds of an operation.
type Rounds<'a> = &'a mut dyn FnMut(u64) -> f64;

fn time(
    group: &mut BenchmarkGroup<WallTime>,
    case: &Case,
    population: &Population,
    table: &Table,
    ops: &[Op],
    rounds: Rounds,
) {
    let cost = cost(population, ops, table);
    group.throughput(match cost.flops > 4.0 * cost.bytes {
        true => Throughput::Elements(cost.flops as u64),
        false => Throughput::Bytes(cost.bytes as u64),
    });
    group.bench_function(format!("{}/{}", case.name, name(ops)), |bencher| {
        bencher.iter_custom(|iterations| Duration::from_secs_f64(rounds(iterations)));
    });
}

fn benchmarks(criterion: &mut Criterion) {
    // SAFETY: this program has no other thread yet.
    unsafe { adapters::without_device_select() };
    let table = Arc::new(table());
    let mut devices = Vec::new();
    for (summary, adapter) in adapters::list().unwrap_or_default() {
        match Device::open(&adapter, GpuOptions { checked: false, ..GpuOptions::default() }) {
            Ok(device) => devices.push((summary.name, Arc::new(device))),
            Err(error) => eprintln!("{error}"),
        }
    }
    for case in &CASES[..2] {
        let population = case.population(1, true);
        let step = Case::steps(&population, 2, 1);
        {
            let mut engine = CpuEngine::<f32>::new(population.clone(), table.clone());
            ready(&mut engine, &population, &table);
            let mut group = settings(criterion, "cpu");
            for op in plan(&population, StepKind::Train) {
                time(&mut group, case, &population, &table, &[op], &mut |rounds| {
                    let start = Instant::now();
                    (0..rounds).for_each(|_| engine.run_op(op, &step).unwrap_or_else(|e| panic!("{e}")));
                    start.elapsed().as_secs_f64()
                });
            }
        }
        for (name, device) in &devices {
            let made = GpuEngine::new(device.clone(), population.clone(), table.clone());
            let mut engine = made.unwrap_or_else(|e| panic!("{e}"));
            ready(&mut engine, &population, &table);
            let mut group = settings(criterion, name);
            for pass in engine.passes(StepKind::Train) {
                let ops = pass.ops(population.layers);
                time(&mut group, case, &population, &table, &ops, &mut |rounds| {
                    let (mut left, mut seconds) = (rounds, 0.0);
                    while left > 0 {
                        let now = left.min(SUBMIT);
                        let took = engine.time(StepKind::Train, pass, &step, now as usize);
                        seconds += took.unwrap_or_else(|e| panic!("{e}"));
                        left -= now;
                    }
                    seconds
                });
            }
        }
    }
}

fn ready(engine: &mut dyn Engine, population: &Population, table: &Arc<Table>) {
    engine.initialize().unwrap_or_else(|e| panic!("{e}"));
    validate(engine, population, table).unwrap_or_else(|e| panic!("{e}"));
}

fn settings<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    group
}

criterion_group!(kernels, benchmarks);
criterion_main!(kernels);
