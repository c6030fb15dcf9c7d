//! What is asked for: network, training, data; every default and all validation stand here.

mod check;
mod config;
mod config_error;
mod document;
mod network;
mod resolve;
mod shard;
mod space;
mod space_text;
mod sweep;
mod sweep_config;
mod sweep_own;
mod sweep_resolve;
#[cfg(test)]
mod tests;
mod training;
mod values;

pub use check::Problem;
pub use config::PartialConfig;
pub(crate) use config::any_case;
pub use config_error::{ConfigError, Place};
pub use network::{Activation, BatchNorm, Init, Network};
pub(crate) use resolve::text;
pub use resolve::{DataRequest, DeviceUse, RunRequest, resolve};
pub use shard::{Shard, shard_of};
pub use space::{Dimension, Domain, MAX_TRIALS, Params, SEARCHABLE, Scale, Space};
pub use space_text::SpaceProblem;
pub use sweep::{Halving, Objective, Strategy, SweepRequest};
pub use sweep_config::{Devices, PartialSweep, SPACE_SYNTAX, SweepOptions};
pub use sweep_resolve::resolve_sweep;
pub use training::{Length, Optimizer, Schedule, Training};
pub use values::{
    Bytes, Count, Hidden, LogLevel, MAX_LAYERS, MAX_UNITS, OptimizerKind, Precision, Real, Seed, TaskKind,
    Time, Watched,
};
