//! Requests: network, training, data and sweep, from flags and files to complete, validated values.
//!
//! `config.rs` and `sweep_config.rs` list every setting with its help and default, `hyperparameter.rs` everything else
//! about the settings that a sweep can vary, `check.rs` every condition on them.

mod asked;
mod check;
mod column;
mod config;
mod config_error;
mod document;
mod given;
mod hyperparameter;
mod named;
mod network;
pub mod preset;
mod range;
mod request;
mod resolve;
mod scale;
mod settings;
mod shape;
mod shard;
mod space;
mod space_text;
mod strategy;
mod sweep;
mod sweep_config;
mod sweep_own;
mod sweep_resolve;
#[cfg(test)]
mod tests;
mod text;
mod training;
mod values;

pub use column::{AskedColumn, AskedType, DateOrder, TableRequest};
pub use config::PartialConfig;
pub use config_error::{ConfigError, Place};
pub use hyperparameter::{HYPERPARAMETERS, Hyperparameter, Kind, Owner, SEARCHABLE, hyperparameter};
pub use network::{Activation, BatchNorm, Embed, Init, MAX_SUB_MODELS, Network};
pub use range::{Invalid, Range};
pub use request::{DataRequest, DeviceUse, Folds, MAX_ENSEMBLE, RunRequest};
pub use resolve::{resolve, resolve_over};
pub use scale::Scale;
pub use shape::{LayerKind, LayerShape, Products};
pub use shard::{Shard, shard_of};
pub use space::{Dimension, Domain, MAX_TRIALS, Params, Space};
pub use space_text::SpaceProblem;
pub(crate) use space_text::to_toml;
pub use strategy::{Halving, Objective, Strategy};
pub use sweep::SweepRequest;
pub use sweep_config::{Devices, PartialSweep, SweepOptions};
pub use sweep_resolve::{resolve_sweep, resolve_sweep_over};
pub(crate) use text::{text, value_text};
pub use training::{BestEpoch, Length, Optimizer, OptimizerKind, Schedule, Training};
pub use values::{
    Bytes, Count, FoldOf, Hidden, ImageSize, LogLevel, MAX_LAYERS, MAX_UNITS, Precision, Real, Seed,
    TaskKind, Time, Watched,
};
