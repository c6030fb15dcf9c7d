//! bngpu trains batch-normalised neural networks, many at once, on any GPU or natively on the CPU.
//!
//! For `wasm32` there is the core alone: data, training, and the CPU engine.

// Parts of the core have no user but the rest of the program.
#![cfg_attr(target_family = "wasm", allow(dead_code, unused_imports))]

pub mod base;
pub mod bench;
#[cfg(all(feature = "cli", not(target_family = "wasm")))]
pub mod cli;
pub mod data;
#[cfg(not(target_family = "wasm"))]
pub mod demo;
pub mod engine;
pub mod population;
#[cfg(not(target_family = "wasm"))]
pub mod report;
pub mod run;
pub mod spec;
pub mod step;
#[cfg(not(target_family = "wasm"))]
pub mod sweep;
pub mod train;
