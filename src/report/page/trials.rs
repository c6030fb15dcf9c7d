//! The trainings of a sweep, grouped by trial, with means over the seeds.

use std::collections::BTreeMap;

use crate::spec::{Objective, Params};
use crate::sweep::{Stage, TrialRecord, TrialStatus};

/// One trial and the results of its trainings in the search.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Trial {
    pub number: u64,
    pub params: Params,
    /// The first of its seeds.
    pub seed: u64,
    /// Number of trainings.
    pub seeds: u64,
    /// The worst status of its trainings.
    pub status: TrialStatus,
    /// Distinct reasons, in order.
    pub reasons: Vec<String>,
    /// Maximum over its trainings.
    pub epochs: u64,
    /// Sum over its trainings.
    pub wall_s: f64,
    pub parameters: u64,
    /// Validation loss, mean over the trainings that have one.
    pub loss: Option<f64>,
    /// Accuracy or R², likewise.
    pub score: Option<f64>,
}

/// Accuracy, or R² of a regression, on the validation rows.
fn score(record: &TrialRecord) -> Option<f64> {
    record.val_acc.or(record.val_r2).filter(|score| score.is_finite())
}

/// The trials of the search among `records`, by number.
pub(super) fn gather(records: &[TrialRecord]) -> Vec<Trial> {
    let mut trainings: BTreeMap<u64, Vec<&TrialRecord>> = BTreeMap::new();
    for record in records.iter().filter(|record| record.stage == Stage::Search) {
        trainings.entry(record.trial).or_default().push(record);
    }
    trainings.into_iter().map(|(number, trainings)| Trial::new(number, &trainings)).collect()
}

impl Trial {
    /// `trainings` is not empty.
    fn new(number: u64, trainings: &[&TrialRecord]) -> Trial {
        let mut reasons: Vec<String> = Vec::new();
        for reason in trainings.iter().filter_map(|training| training.reason.as_ref()) {
            if !reasons.contains(reason) {
                reasons.push(reason.clone());
            }
        }
        let worst = trainings.iter().map(|training| training.status).max_by_key(|status| severity(*status));
        let of_all = |value: fn(&TrialRecord) -> Option<f64>| mean(trainings.iter().filter_map(|t| value(t)));
        Trial {
            number,
            params: trainings.first().map(|training| training.params.clone()).unwrap_or_default(),
            seed: trainings.iter().map(|training| training.seed).min().unwrap_or(0),
            seeds: trainings.len() as u64,
            status: worst.unwrap_or(TrialStatus::Failed),
            reasons,
            epochs: trainings.iter().map(|training| training.epochs).max().unwrap_or(0),
            wall_s: trainings.iter().map(|training| training.wall_s).sum(),
            parameters: trainings.iter().map(|training| training.parameters).max().unwrap_or(0),
            loss: of_all(|training| training.val_loss.filter(|loss| loss.is_finite())),
            score: of_all(score),
        }
    }

    /// The value to compare trials by.
    pub fn value(&self, objective: Objective) -> Option<f64> {
        match objective {
            Objective::ValLoss => self.loss,
            Objective::ValAcc => self.score,
        }
    }
}

/// Indices into `trials`, best value first, trials without a value last.
pub(super) fn ranking(trials: &[Trial], objective: Objective) -> Vec<usize> {
    let badness = |at: &usize| {
        trials[*at].value(objective).map_or(f64::INFINITY, |value| match objective {
            Objective::ValLoss => value,
            Objective::ValAcc => -value,
        })
    };
    let mut order: Vec<usize> = (0..trials.len()).collect();
    order.sort_by(|a, b| badness(a).total_cmp(&badness(b)));
    order
}

/// The best trial by its mean, among the completed ones if there are any.
pub(super) fn best(trials: &[Trial], objective: Objective) -> Option<&Trial> {
    let order = ranking(trials, objective);
    let valued = || order.iter().map(|at| &trials[*at]).filter(|trial| trial.value(objective).is_some());
    valued().find(|trial| trial.status == TrialStatus::Completed).or_else(|| valued().next())
}

/// As [`crate::sweep::analysis::Ranked::status`].
fn severity(status: TrialStatus) -> u8 {
    match status {
        TrialStatus::Completed => 0,
        TrialStatus::Stopped => 1,
        TrialStatus::Failed => 2,
        TrialStatus::Diverged => 3,
    }
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (n, sum) = values.fold((0u32, 0.0), |(n, sum), value| (n + 1, sum + value));
    (n > 0).then(|| sum / f64::from(n))
}

/// Seconds in which at least one training ran, without the pauses between interruption and resumption.
pub(super) fn busy_seconds(records: &[TrialRecord]) -> f64 {
    let mut spans: Vec<(f64, f64)> = records.iter().map(|record| (record.started, record.ended)).collect();
    spans.retain(|(start, end)| end > start);
    spans.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut busy, mut until) = (0.0, f64::NEG_INFINITY);
    for (start, end) in spans {
        busy += (end - start.max(until)).max(0.0);
        until = until.max(end);
    }
    busy
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn record(trial: u64, seed: u64, val_loss: Option<f64>) -> TrialRecord {
        TrialRecord {
            trial,
            params: Params::from_iter([("lr".to_owned(), 0.01.into())]),
            seed,
            stage: Stage::Search,
            status: TrialStatus::Completed,
            reason: None,
            epochs: 2,
            steps: 46,
            val_loss,
            val_acc: val_loss.map(|loss| 1.0 - loss),
            val_rmse: None,
            val_r2: None,
            test_loss: None,
            test_acc: None,
            test_rmse: None,
            test_r2: None,
            best_epoch: Some(2),
            parameters: 10,
            wall_s: 1.0,
            queue: "0".into(),
            device: "cpu".into(),
            slot: 0,
            started: 0.0,
            ended: 1.0,
            weights: None,
            rungs: Vec::new(),
            curve: Vec::new(),
        }
    }

    #[test]
    fn seeds_are_averaged_and_the_final_comparison_is_left_out() {
        let mut records = vec![
            record(1, 0, Some(0.5)),
            record(0, 0, Some(0.25)),
            record(1, 1, Some(0.25)),
            record(1, 2, None),
            record(1, 3, Some(0.0)),
        ];
        records[3].status = TrialStatus::Diverged;
        records[3].reason = Some("NaN at step 3".into());
        records[4].stage = Stage::Final;
        let trials = gather(&records);
        assert_eq!(trials.iter().map(|trial| trial.number).collect::<Vec<_>>(), [0, 1]);
        let second = &trials[1];
        assert_eq!((second.seeds, second.loss, second.score), (3, Some(0.375), Some(0.625)));
        assert_eq!((second.status, second.reasons.len()), (TrialStatus::Diverged, 1));
    }

    #[test]
    fn the_best_trial_is_a_completed_one_and_trials_without_a_value_come_last() {
        let mut records = vec![
            record(0, 0, None),
            record(1, 0, Some(0.1)),
            record(2, 0, Some(0.2)),
            record(3, 0, Some(0.3)),
        ];
        records[1].status = TrialStatus::Stopped;
        let trials = gather(&records);
        for objective in [Objective::ValLoss, Objective::ValAcc] {
            assert_eq!(ranking(&trials, objective), [1, 2, 3, 0]);
            assert_eq!(best(&trials, objective).unwrap().number, 2);
        }
        assert_eq!(best(&trials[..1], Objective::ValLoss), None);
        assert_eq!(best(&trials[..2], Objective::ValLoss).unwrap().number, 1);
    }

    #[test]
    fn pauses_are_not_counted_as_work() {
        let spans = [(0.0, 4.0), (1.0, 2.0), (3.0, 5.0), (10.0, 11.0), (7.0, 6.0)];
        let records = spans.map(|(started, ended)| TrialRecord { started, ended, ..record(0, 0, None) });
        assert_eq!(busy_seconds(&records), 6.0);
        assert_eq!(busy_seconds(&[]), 0.0);
    }
}
