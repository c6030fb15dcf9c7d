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
    Box::new(gpu::engine(&population, &table, options))
}

/// Each suite on both CPU engines, and on the GPU engine.
macro_rules! on_each {
    ($($name:ident: $suite:expr;)*) => {
        $(#[test]
        fn $name() {
            let suite: &dyn Fn(&Make) = &$suite;
            suite(&single);
            suite(&double);
        })*

        mod gpu_engine {
            use super::*;

            $(#[test]
            #[ignore = "needs a GPU; scripts/test includes it"]
            fn $name() {
                let suite: &dyn Fn(&Make) = &$suite;
                suite(&gpu::make);
                suite(&streaming);
            })*
        }
    };
}

on_each! {
    percentiles_are_those_of_sorted_values:
        |make| watch::percentiles_are_those_of_sorted_values(make, &SIZES);
    watching_does_not_change_training:
        |make| (0..6).for_each(|seed| watch::watching_does_not_change_training(make, seed));
    slots_do_not_matter: |make| (0..3).for_each(|seed| watch::slots_do_not_matter(make, seed));
    looks_agree_with_the_memory:
        |make| (0..6).for_each(|seed| watch::looks_agree_with_the_memory(make, seed));
}
