//! Files of a run: its folder, configuration, environment, metrics and weights.
//!
//! Every file is written whole (see [`crate::base::write_whole`]) and read with suspicion: what is damaged or comes from
//! elsewhere is named and refused.

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
pub use model_file::{BnTensors, LayerMoments, LayerTensors, ModelFile, Moments, OptimizerState};
