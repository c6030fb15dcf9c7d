//! All integration tests: one program, which links once and shares its helpers.
#![allow(clippy::expect_used, clippy::unwrap_used)]

mod common;

mod arrows;
mod bad_input;
mod bench;
mod bits;
mod cli;
mod close;
mod data;
mod demo;
mod ensemble;
mod examples;
mod folds;
mod formats;
mod gpu_invariance;
mod gpu_kernels;
mod gpu_recovery;
mod gpu_refused;
mod gpu_start;
mod gpu_trace;
mod gpu_training;
mod gradients;
mod guards;
#[cfg(unix)]
mod interrupted;
mod invariance;
mod lying_models;
mod manners;
mod messy;
mod presets;
mod pytorch;
mod random_tables;
mod refill;
mod report_page;
mod sub_models;
mod sweep;
#[cfg(unix)]
mod sweep_interrupted;
mod watch;
