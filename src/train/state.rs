//! The training state: everything that a resumption needs besides the weights.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::population::Member;
use crate::run::{EpochMetrics, LayerTensors, Look};

use super::StopReason;
use super::model::Weights;

/// One member's training; JSON in the metadata of `last.safetensors`, where every f64 keeps its bits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingState {
    /// Steps done.
    pub step: u64,
    /// Completed epochs: evaluated and in the metrics.
    pub epochs: u64,
    /// Sums of the current epoch.
    pub open: EpochSums,
    /// Lowest validation loss so far.
    pub best: Option<Best>,
    /// Epochs since the lowest validation loss.
    pub epochs_since_best: u64,
    /// Number of rows trained on, repeats included.
    pub rows: u64,
    /// Seconds spent in training steps.
    pub train_s: f64,
    /// Seconds since the beginning, including evaluation and checkpoints, excluding pauses before a resumption.
    pub wall_s: f64,
    /// How the training ended; none while it continues.
    pub ended: Option<Ended>,
}

impl TrainingState {
    /// Whether its counts are those of a training of `member`.
    pub(super) fn fits(&self, member: &Member) -> bool {
        let TrainingState { step, epochs, open, best, epochs_since_best, rows, train_s, wall_s, ended: _ } =
            self;
        let is_time = |seconds: f64| (0.0..1e12).contains(&seconds);
        let best = best.is_none_or(|best| best.epoch <= *epochs && best.step <= member.total_steps());
        *step <= member.total_steps()
            && *epochs <= member.total_steps()
            && open.steps <= *step
            && open.rows <= *rows
            && open.hits <= open.rows
            && u128::from(*rows) <= u128::from(member.total_steps()) * member.walk.batch as u128
            && epochs_since_best <= epochs
            && best
            && [*train_s, *wall_s, open.train_s].into_iter().all(is_time)
    }
}

/// Sums over the steps of an epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochSums {
    pub steps: u64,
    pub rows: u64,
    pub hits: u64,
    pub loss: f64,
    /// Sum of the gradient norms.
    pub grad_norm: f64,
    pub train_s: f64,
}

/// The epoch with the lowest validation loss.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Best {
    /// From 1.
    pub epoch: u64,
    /// Steps done by then.
    pub step: u64,
    pub val_loss: f64,
}

/// Why a training ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", deny_unknown_fields)]
pub enum Ended {
    /// All steps are done.
    Completed,
    /// Ended early.
    Stopped { reason: StopReason },
    /// NaN or infinity in this step, from 1. The weights are those of the last good checkpoint.
    Diverged {
        step: u64,
        /// The member of an ensemble in which they are; all of them end with it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        member: Option<usize>,
    },
}

/// One member on the host: its state, its record, its best model.
#[derive(Clone, Debug, Default)]
pub struct MemberState {
    pub state: TrainingState,
    pub history: Vec<EpochMetrics>,
    /// Looks at the layers, if the member is watched.
    pub looks: Vec<Look>,
    /// The model of `state.best`; none if a file already has it.
    pub best: Option<Arc<Vec<LayerTensors>>>,
}

/// A checkpoint of one member on the host, which can resume in any slot of any population, on any engine.
#[derive(Clone, Debug)]
pub struct MemberCheckpoint {
    pub state: TrainingState,
    pub history: Vec<EpochMetrics>,
    pub looks: Vec<Look>,
    /// As in [`MemberState`].
    pub best: Option<Arc<Vec<LayerTensors>>>,
    /// The member's own regions.
    pub weights: Weights,
}

impl MemberCheckpoint {
    /// The member's state, without the weights.
    pub fn member(&self) -> MemberState {
        MemberState {
            state: self.state.clone(),
            history: self.history.clone(),
            looks: self.looks.clone(),
            best: self.best.clone(),
        }
    }
}

/// A checkpoint of a population, `[K]`; none for a vacant slot and for a member before its first checkpoint.
pub type Checkpoint = Vec<Option<MemberCheckpoint>>;

/// The weights of each slot's checkpoint, `[K]`.
pub(super) fn saved(checkpoint: &[Option<MemberCheckpoint>]) -> Vec<Option<&Weights>> {
    checkpoint.iter().map(|good| good.as_ref().map(|good| &good.weights)).collect()
}
