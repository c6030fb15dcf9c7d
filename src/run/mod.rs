//! Files of a run: its folder, configuration, environment, metrics and weights.
//!
//! Every file is written whole (see [`crate::base::write_whole`]) and checked when read: a damaged or foreign file is
//! refused by name.

mod architecture;
mod dir;
mod env;
mod error;
mod metrics;
mod model_file;
mod seal;
mod tensors;

pub use architecture::Architecture;
pub use dir::{RunDir, RunFile};
pub use env::Environment;
pub use error::{ModelFault, RunError};
pub use metrics::{
    EpochMetrics, LayerLook, Look, Score, metrics_csv, metrics_jsonl, read_metrics, write_metrics,
};
pub use model_file::{
    BnTensors, LayerMoments, LayerTensors, ModelFile, ModelMember, Moments, OptimizerState,
};
