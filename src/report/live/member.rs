//! A training on the board: a running member, or one of the best.

use std::time::Instant;

use super::curve::Curve;
use crate::spec::{Objective, Params};
use crate::sweep::{Stage, TrialRecord, TrialStatus};

/// Identifies a training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    pub trial: u64,
    pub seed: u64,
    /// Whether it belongs to the final comparison.
    pub is_final: bool,
}

impl Key {
    pub fn new(trial: u64, seed: u64, stage: Stage) -> Key {
        Key { trial, seed, is_final: stage == Stage::Final }
    }
}

/// The validation results of a training at its epoch with the lowest loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reached {
    pub val_loss: f64,
    /// Accuracy, or R².
    pub score: Option<f64>,
    /// In the target's unit; known at the end of a regression.
    pub rmse: Option<f64>,
    pub epoch: u64,
}

impl Reached {
    /// The value to rank by, lower is better; none if unknown or not finite.
    pub fn cost(&self, objective: Objective) -> Option<f64> {
        let cost = match objective {
            Objective::ValLoss => Some(self.val_loss),
            Objective::ValAcc => self.score.map(|score| -score),
        };
        cost.filter(|cost| cost.is_finite())
    }

    /// The results of a training that has ended.
    pub fn of(record: &TrialRecord) -> Option<Reached> {
        Some(Reached {
            val_loss: record.val_loss?,
            score: record.val_acc.or(record.val_r2),
            rmse: record.val_rmse,
            epoch: record.best_epoch.unwrap_or(record.epochs),
        })
    }
}

/// A running training.
#[derive(Clone, Debug)]
pub struct Member {
    pub key: Key,
    pub params: Params,
    /// Epochs done, and in total.
    pub epoch: u64,
    pub epochs: u64,
    /// Mean loss of the latest steps, or of the latest epoch.
    pub train_loss: Option<f64>,
    pub val_loss: Option<f64>,
    pub val_score: Option<f64>,
    pub samples_per_s: f64,
    pub best: Option<Reached>,
    /// Whether the user has requested its stop.
    pub stopping: bool,
    /// Validation loss; training loss where there are no validation rows.
    pub curve: Curve,
    pub since: Instant,
}

impl Member {
    pub fn new(key: Key, params: Params, epochs: u64, since: Instant) -> Member {
        Member {
            key,
            params,
            epoch: 0,
            epochs,
            train_loss: None,
            val_loss: None,
            val_score: None,
            samples_per_s: 0.0,
            best: None,
            stopping: false,
            curve: Curve::default(),
            since,
        }
    }

    pub fn epoch(&mut self, epoch: u64, train_loss: f64, val_loss: Option<f64>, val_score: Option<f64>) {
        self.epoch = epoch;
        self.train_loss = Some(train_loss);
        (self.val_loss, self.val_score) = (val_loss, val_score);
        self.curve.push(epoch, val_loss.unwrap_or(train_loss));
        if let Some(val_loss) = val_loss
            && val_loss.is_finite()
            && self.best.is_none_or(|best| val_loss < best.val_loss)
        {
            self.best = Some(Reached { val_loss, score: val_score, rmse: None, epoch });
        }
    }

    /// Share of its epochs that is done.
    pub fn share(&self) -> f64 {
        if self.epochs == 0 { 0.0 } else { (self.epoch as f64 / self.epochs as f64).min(1.0) }
    }

    /// Status in one word.
    pub fn status(&self) -> &'static str {
        if self.stopping {
            "stopping"
        } else if self.key.is_final {
            "final"
        } else {
            "running"
        }
    }
}

/// The state of one of the best trainings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Running,
    Parked,
    Ended(TrialStatus),
}

impl Standing {
    pub fn name(self) -> &'static str {
        match self {
            Standing::Running => "running",
            Standing::Parked => "waiting",
            Standing::Ended(TrialStatus::Completed) => "done",
            Standing::Ended(TrialStatus::Stopped) => "stopped",
            Standing::Ended(TrialStatus::Diverged) => "diverged",
            Standing::Ended(TrialStatus::Failed) => "failed",
        }
    }
}

/// A training that has left its slot and is among the best.
#[derive(Clone, Debug)]
pub struct Leader {
    pub key: Key,
    pub params: Params,
    pub reached: Reached,
    pub standing: Standing,
    pub curve: Curve,
}

/// Maximum number of leaders kept.
const MOST: usize = 64;

/// The best trainings of the search that are not running, best first.
#[derive(Clone, Debug, Default)]
pub struct Leaders(Vec<Leader>);

impl Leaders {
    /// Adds a training unless enough better ones are kept.
    pub fn enter(&mut self, leader: Leader, objective: Objective) {
        self.remove(leader.key);
        let Some(cost) = leader.reached.cost(objective) else { return };
        let place = |other: &Leader| (other.reached.cost(objective).unwrap_or(f64::INFINITY), other.key);
        let at = self.0.partition_point(|other| place(other) < (cost, leader.key));
        self.0.insert(at, leader);
        self.0.truncate(MOST);
    }

    /// Removes a training.
    pub fn remove(&mut self, key: Key) -> Option<Leader> {
        let at = self.0.iter().position(|leader| leader.key == key)?;
        Some(self.0.remove(at))
    }

    pub fn all(&self) -> &[Leader] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leader(trial: u64, val_loss: f64, score: f64) -> Leader {
        Leader {
            key: Key::new(trial, 0, Stage::Search),
            params: Params::new(),
            reached: Reached { val_loss, score: Some(score), rmse: None, epoch: 1 },
            standing: Standing::Parked,
            curve: Curve::default(),
        }
    }

    #[test]
    fn leaders_are_the_best_in_order_whatever_the_order_of_entry() {
        for objective in [Objective::ValLoss, Objective::ValAcc] {
            let mut leaders = Leaders::default();
            // 7919 is prime, so that this is a permutation of 0..1000.
            for n in (0..1000).map(|n| n * 7919 % 1000) {
                // The lowest loss has the worst accuracy, so that the objectives differ.
                leaders.enter(leader(n, n as f64, n as f64 / 1000.0), objective);
            }
            let trials: Vec<u64> = leaders.all().iter().map(|leader| leader.key.trial).collect();
            let expected: Vec<u64> = match objective {
                Objective::ValLoss => (0..MOST as u64).collect(),
                Objective::ValAcc => (0..1000).rev().take(MOST).collect(),
            };
            assert_eq!(trials, expected);
        }
    }

    #[test]
    fn a_training_is_listed_once_and_nan_never() {
        let mut leaders = Leaders::default();
        leaders.enter(leader(1, 0.5, 0.1), Objective::ValLoss);
        leaders.enter(leader(1, 0.4, 0.1), Objective::ValLoss);
        leaders.enter(leader(2, f64::NAN, 0.9), Objective::ValLoss);
        assert_eq!(leaders.all().len(), 1);
        assert_eq!(leaders.all()[0].reached.val_loss, 0.4);
        leaders.enter(leader(0, 0.4, 0.1), Objective::ValLoss);
        assert_eq!(leaders.all()[0].key.trial, 0, "the first of equal ones leads");
    }
}
