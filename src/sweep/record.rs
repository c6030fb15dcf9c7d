//! The record of a training that has ended: one line of `trials.jsonl`.

use serde::{Deserialize, Serialize};

use crate::spec::Params;

/// How a trial ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrialStatus {
    /// All its epochs or steps are done.
    Completed,
    /// Ended early by halving, patience, a time limit or the user.
    Stopped,
    /// It reached NaN or infinity.
    Diverged,
    /// It could not be trained.
    #[default]
    Failed,
}

/// The purpose of a training.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// Compared with the others, on the validation rows alone.
    #[default]
    Search,
    /// A finalist trained with a new seed; only these trainings see the test rows.
    Final,
}

/// One epoch of a trial. Missing values and NaN are null.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CurvePoint {
    /// Epochs done, from 1.
    pub epoch: u64,
    pub step: u64,
    pub train_loss: Option<f64>,
    pub val_loss: Option<f64>,
    /// Accuracy, or R².
    pub val_score: Option<f64>,
}

/// One training of one trial (`trial`, `seed` and `stage` together identify it). Unknown and non-finite
/// numbers are None.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TrialRecord {
    /// Number of the trial in its study, from 0.
    pub trial: u64,
    pub params: Params,
    pub seed: u64,
    #[serde(default)]
    pub stage: Stage,
    pub status: TrialStatus,
    /// Why it did not complete.
    pub reason: Option<String>,
    pub epochs: u64,
    pub steps: u64,
    /// At the best epoch ([`BestEpoch`](crate::spec::BestEpoch)), as are all losses and scores below.
    pub val_loss: Option<f64>,
    /// Accuracy (classification).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub val_acc: Option<f64>,
    /// In the target's unit (regression).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub val_rmse: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub val_r2: Option<f64>,
    /// Finalists only, as are all test values.
    pub test_loss: Option<f64>,
    pub test_acc: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub test_rmse: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub test_r2: Option<f64>,
    pub best_epoch: Option<u64>,
    /// Trained parameters.
    pub parameters: u64,
    /// Seconds from its first step to its end, pauses left out.
    pub wall_s: f64,
    /// Lane on which it ended: "0", "1", ...
    pub queue: String,
    /// Device of that lane.
    pub device: String,
    /// Slot of the lane's population in which it ended.
    pub slot: u32,
    /// Unix time in seconds.
    pub started: f64,
    pub ended: f64,
    /// SHA-256 over the bits of the best model's tensors, in hexadecimal.
    pub weights: Option<String>,
    /// The objective at each rung of successive halving that it reached, lower is better.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub rungs: Vec<Option<f64>>,
    /// Its epochs. Long trainings omit some, but never the first, the last or the best.
    pub curve: Vec<CurvePoint>,
}
