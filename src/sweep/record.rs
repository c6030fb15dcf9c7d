//! What is kept of a trial that has ended: one line of `trials.jsonl`.

use serde::{Deserialize, Serialize};

use crate::spec::Params;

/// How a trial ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrialStatus {
    /// All its epochs or steps are done.
    Completed,
    /// Before that: by halving, patience, a time limit or a person.
    Stopped,
    /// NaN or infinity.
    Diverged,
    /// It could not be trained.
    #[default]
    Failed,
}

/// What a trial was trained for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// To be compared with the others, on the validation rows alone.
    #[default]
    Search,
    /// Once more, with a seed that the search had not, to compare the finalists; these alone see the test rows.
    Final,
}

/// One epoch of a trial. What is NaN or does not exist is null.
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

/// One training of one trial (`trial`, `seed` and `stage` together identify it). Numbers that are unknown or not
/// finite are none.
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
    /// At the epoch with the lowest validation loss, as is all that follows.
    pub val_loss: Option<f64>,
    /// Accuracy (classes).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub val_acc: Option<f64>,
    /// In the target's unit (numbers).
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub val_rmse: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub val_r2: Option<f64>,
    /// The test rows are for finalists alone.
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
    /// Its epochs; of a long training some are left out, never the first, the last and the best.
    pub curve: Vec<CurvePoint>,
}
