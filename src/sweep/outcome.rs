//! Fills the record of a member that has ended, and compares records.

use sha2::{Digest, Sha256};

use crate::run::{EpochMetrics, LayerTensors, Score};
use crate::spec::Objective;
use crate::train::{Ended, MemberState, StopReason};

use super::record::{CurvePoint, TrialRecord, TrialStatus};

/// Approximate number of epochs kept of a curve.
const CURVE: usize = 100;

impl Objective {
    /// The objective, lower is better; None if unknown or not finite.
    pub fn value(self, val_loss: Option<f64>, val_score: Option<f64>) -> Option<f64> {
        let value = match self {
            Objective::ValLoss => val_loss,
            Objective::ValAcc => val_score.map(|score| -score),
        };
        value.filter(|value| value.is_finite())
    }
}

impl TrialRecord {
    /// Why it stopped early, if it did and the record says why.
    pub fn stop_reason(&self) -> Option<StopReason> {
        self.reason.as_deref().filter(|_| self.status == TrialStatus::Stopped).map(StopReason::from)
    }

    /// Whether it finished its own schedule: completed, or ended by patience. A training that halving, a time limit
    /// or the user stopped did not, and its learning rate may still be high.
    pub fn is_finished(&self) -> bool {
        use StopReason::{ByHand, FinishedEarly, Halving, MaxTime};
        match self.status {
            TrialStatus::Completed => true,
            TrialStatus::Stopped => {
                !matches!(self.stop_reason(), Some(Halving { .. } | MaxTime | ByHand | FinishedEarly))
            }
            TrialStatus::Diverged | TrialStatus::Failed => false,
        }
    }

    /// The objective, lower is better; none if the training diverged or failed.
    pub fn value(&self, objective: Objective) -> Option<f64> {
        let usable = matches!(self.status, TrialStatus::Completed | TrialStatus::Stopped);
        objective.value(self.val_loss, self.val_acc.or(self.val_r2)).filter(|_| usable)
    }
}

/// The score that objectives and curves use: accuracy, or R².
pub fn score_value(score: Score) -> f64 {
    match score {
        Score::Accuracy(accuracy) => accuracy,
        Score::Regression { r2, .. } => r2,
    }
}

/// The epoch with the lowest validation loss among the first `epochs`.
pub fn best_of(history: &[EpochMetrics], epochs: u64) -> Option<&EpochMetrics> {
    let finite = |m: &&EpochMetrics| m.epoch <= epochs && m.val_loss.is_some_and(f64::is_finite);
    let better = |a: &&EpochMetrics, b: &&EpochMetrics| {
        a.val_loss.unwrap_or(f64::NAN).total_cmp(&b.val_loss.unwrap_or(f64::NAN))
    };
    history.iter().filter(finite).min_by(better)
}

/// The objective after `epochs` epochs, lower is better: that of the best epoch until then.
pub fn value_at(objective: Objective, history: &[EpochMetrics], epochs: u64) -> Option<f64> {
    let best = best_of(history, epochs)?;
    objective.value(best.val_loss, best.val_score.map(score_value))
}

/// The objective at each of `rungs` that the history reaches.
pub fn values_at(objective: Objective, history: &[EpochMetrics], rungs: &[u64]) -> Vec<Option<f64>> {
    let reached = history.last().map_or(0, |last| last.epoch);
    rungs.iter().filter(|&&rung| rung <= reached).map(|&rung| value_at(objective, history, rung)).collect()
}

/// Fills in status, epochs, losses and curve from a member's state.
pub fn fill(record: &mut TrialRecord, member: &MemberState, objective: Objective, rungs: &[u64]) {
    let state = &member.state;
    (record.status, record.reason) = match &state.ended {
        Some(Ended::Completed) => (TrialStatus::Completed, None),
        Some(Ended::Stopped { reason }) => (TrialStatus::Stopped, Some(reason.to_string())),
        Some(Ended::Diverged { step, .. }) => {
            (TrialStatus::Diverged, Some(format!("NaN or infinity at step {step}")))
        }
        None => (TrialStatus::Failed, Some("it did not end".into())),
    };
    (record.epochs, record.steps) = (state.epochs, state.step);
    if let Some(Ended::Diverged { step, .. }) = state.ended {
        record.steps = step;
    }
    // One that ends by itself at a rung is not compared there with others.
    let by_itself = match &state.ended {
        Some(Ended::Stopped { reason }) => {
            matches!(reason, StopReason::Patience { .. } | StopReason::MaxTime)
        }
        other => matches!(other, Some(Ended::Completed)),
    };
    let compared = rungs.partition_point(|&rung| rung < state.epochs || !by_itself);
    record.rungs = values_at(objective, &member.history, &rungs[..compared]);
    record.curve = curve(&member.history, rungs);
    record.wall_s = state.wall_s;
    let kept = state.best.and_then(|best| member.history.iter().find(|metrics| metrics.epoch == best.epoch));
    if let Some(best) = kept.or_else(|| best_of(&member.history, u64::MAX)) {
        record.best_epoch = Some(best.epoch);
        record.val_loss = best.val_loss.and_then(finite);
        match best.val_score {
            Some(Score::Accuracy(accuracy)) => record.val_acc = finite(accuracy),
            Some(Score::Regression { rmse, r2 }) => {
                (record.val_rmse, record.val_r2) = (finite(rmse), finite(r2))
            }
            None => {}
        }
    }
    record.weights = member.best.as_ref().map(|layers| digest(layers));
}

/// Fills in the best model's results on the test rows.
pub fn fill_test(record: &mut TrialRecord, loss: f64, score: Score) {
    record.test_loss = finite(loss);
    match score {
        Score::Accuracy(accuracy) => record.test_acc = finite(accuracy),
        Score::Regression { rmse, r2 } => (record.test_rmse, record.test_r2) = (finite(rmse), finite(r2)),
    }
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

/// Some of the epochs, always including the first, the last, the best and those of the rungs.
fn curve(history: &[EpochMetrics], rungs: &[u64]) -> Vec<CurvePoint> {
    let every = history.len().div_ceil(CURVE).max(1);
    let best = best_of(history, u64::MAX).map(|best| best.epoch);
    let is_kept = |at: usize, epoch: u64| {
        at.is_multiple_of(every) || at + 1 == history.len() || Some(epoch) == best || rungs.contains(&epoch)
    };
    let kept = history.iter().enumerate().filter(|(at, m)| is_kept(*at, m.epoch));
    kept.map(|(_, m)| CurvePoint {
        epoch: m.epoch,
        step: m.step,
        train_loss: finite(m.train_loss),
        val_loss: m.val_loss.and_then(finite),
        val_score: m.val_score.map(score_value).and_then(finite),
    })
    .collect()
}

/// SHA-256 over the bits of a model's tensors as in `best.safetensors`: for each layer W `[O, I]`, then b, or γ, β,
/// running mean and running variance, as little-endian f32.
pub fn digest(layers: &[LayerTensors]) -> String {
    let mut hash = Sha256::new();
    let mut add = |values: &[f32]| values.iter().for_each(|v| hash.update(v.to_le_bytes()));
    for layer in layers {
        add(&layer.weight);
        add(layer.bias.as_deref().unwrap_or_default());
        if let Some(bn) = &layer.bn {
            add(&bn.weight);
            add(&bn.bias);
            add(&bn.running_mean);
            add(&bn.running_var);
        }
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep::test_study;

    #[test]
    fn a_training_that_ends_by_itself_at_a_rung_is_not_compared_there() {
        let score = Score::Accuracy(0.5);
        let epoch = |(at, val_loss): (usize, &f64)| EpochMetrics {
            epoch: at as u64 + 1,
            step: 10 * (at as u64 + 1),
            lr: 0.1,
            train_loss: 1.0,
            train_score: score,
            val_loss: Some(*val_loss),
            val_score: Some(score),
            grad_norm: 1.0,
            samples_per_s: 1.0,
            wall_s: 1.0,
        };
        // The lowest loss is that of epoch 2; a training that keeps its last weights ends with 3.
        let history: Vec<EpochMetrics> = [4.0, 2.0, 3.0].iter().enumerate().map(epoch).collect();
        let rungs = |ended: Ended| {
            let mut member = MemberState { history: history.clone(), ..MemberState::default() };
            (member.state.epochs, member.state.ended) = (3, Some(ended));
            let mut record = test_study::record(0, serde_json::json!({}), 0, &[1.0], 0.5);
            fill(&mut record, &member, Objective::ValLoss, &[1, 3, 9]);
            record.rungs
        };
        let stopped = |reason| Ended::Stopped { reason };
        assert_eq!(rungs(Ended::Completed), [Some(4.0)]);
        assert_eq!(rungs(stopped(StopReason::Patience { epochs: 1 })), [Some(4.0)]);
        assert_eq!(rungs(stopped(StopReason::MaxTime)), [Some(4.0)]);
        assert_eq!(rungs(stopped(StopReason::Halving { epochs: 3 })), [Some(4.0), Some(2.0)]);
        assert_eq!(rungs(stopped(StopReason::ByHand)), [Some(4.0), Some(2.0)]);
        assert_eq!(rungs(Ended::Diverged { step: 35, member: None }), [Some(4.0), Some(2.0)]);
    }
}
