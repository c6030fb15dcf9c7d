//! Watching of training, on both engines; the suites are in `common/watch.rs`.

use std::sync::Arc;

use bngpu::engine::Engine;
use bngpu::engine::cpu::CpuEngine;
use bngpu::engine::gpu::GpuOptions;
use bngpu::population::Population;
use bngpu::step::memory::Table;

use crate::common::probe::Make;
use crate::common::{gpu, watch};

/// (rows, units): the smallest batch, odd sizes, a large layer, and one with only some rows watched.
const SIZES: [(usize, usize); 6] = [(2, 1), (2, 3), (19, 1), (61, 100), (1024, 2048), (1500, 2500)];

fn single(population: Arc<Population>, table: Arc<Table>) -> Box<dyn Engine> {
    Box::new(CpuEngine::<f32>::new(population, table))
}

fn double(population: Arc<Population>, table: Arc<Table>) -> Box<dyn Engine> {
    Box::new(CpuEngine::<f64>::new(population, table))
}

/// A GPU engine whose data stream through a window.
fn streaming(population: Arc<Population>, table: Arc<Table>) -> Box<dyn Engine> {
    let options = GpuOptions { data_memory: Some(20_000), ..gpu::strict() };
    Box::new(gpu::engine(&population, &table, options).expect("an adapter"))
}

/// Runs a suite on each engine of this machine.
fn on_each(suite: impl Fn(&Make)) {
    suite(&single);
    suite(&double);
    if gpu::adapter().is_some() {
        suite(&gpu::make);
        suite(&streaming);
    }
}

#[test]
fn percentiles_are_those_of_sorted_values() {
    on_each(|make| watch::percentiles_are_those_of_sorted_values(make, &SIZES));
}

#[test]
fn watching_does_not_change_training() {
    on_each(|make| (0..6).for_each(|seed| watch::watching_does_not_change_training(make, seed)));
}

#[test]
fn slots_do_not_matter() {
    on_each(|make| (0..3).for_each(|seed| watch::slots_do_not_matter(make, seed)));
}

#[test]
fn looks_agree_with_the_memory() {
    on_each(|make| (0..6).for_each(|seed| watch::looks_agree_with_the_memory(make, seed)));
}
