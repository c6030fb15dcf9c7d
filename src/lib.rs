//! bngpu trains batch-normalised neural networks, many at once, on any GPU or natively on the CPU.

pub mod bench;
pub mod cli;
pub mod data;
pub mod demo;
pub mod engine;
mod panics;
pub mod population;
pub mod report;
pub mod run;
pub mod spec;
pub mod step;
pub mod sweep;
pub mod train;
