//! What is asked for: network, training, data; every default and all validation stand here.

mod check;
mod config;
mod config_error;
mod document;
mod network;
mod resolve;
mod space;
mod sweep;
#[cfg(test)]
mod tests;
mod training;
mod values;

pub use check::Problem;
pub use config::PartialConfig;
pub use config_error::{ConfigError, Place};
pub use network::{Activation, BatchNorm, Init, Network};
pub(crate) use resolve::text;
pub use resolve::{DataRequest, RunRequest, resolve};
pub use space::{Dimension, Domain, Params, Scale, Space};
pub use sweep::{Halving, Objective, Shard, Strategy, SweepRequest};
pub use training::{Length, Optimizer, Schedule, Training};
pub use values::{
    Bytes, Count, Hidden, LogLevel, MAX_LAYERS, MAX_UNITS, OptimizerKind, Real, Seed, TaskKind, Time,
};
