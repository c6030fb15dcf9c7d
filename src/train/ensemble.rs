//! Members that are one ensemble: their epochs end together, and the prediction of all of them decides.

use std::sync::Arc;
use std::time::Instant;

use crate::data::Part;
use crate::run::{EpochMetrics, Score};

use super::evaluate::Finite;
use super::mixture::equal;
use super::{Events, Stop, TrainError, Trainer};

impl Trainer<'_> {
    /// Treats the members as one ensemble. They must have the same length of training, batch size, patience and time
    /// limit, and start at the same step.
    ///
    /// The loss and score on the validation rows are those of the members' averaged predictions, or, where each member
    /// holds out rows of its own, of its own predictions for these. They decide the best epoch and the end for all.
    /// Every member's record is that of the ensemble: training losses, scores and gradient norms are means, samples are
    /// those of all members. Events are of the first member. A member that diverges ends them all.
    #[must_use]
    pub fn as_ensemble(mut self) -> Self {
        self.is_ensemble = self.members.len() > 1;
        self
    }

    /// As [`Trainer::close_epochs`], for all members of an ensemble.
    pub(super) fn close_epoch_together(
        &mut self,
        events: &mut dyn Events,
        stop: &Stop,
    ) -> Result<bool, TrainError> {
        let all: Vec<usize> = (0..self.members.len()).collect();
        let has_val = self.problem.split.val > 0;
        let joint = self.stepper.validation_sums(&equal(all.len()), self.problem, stop)?;
        let Some((sums, finite)) = joint else { return Ok(false) };
        let val = has_val.then(|| self.problem.evaluation(Part::Val, &sums));
        let improved = val.is_some_and(|(loss, _)| self.improves(0, loss));
        let models = if improved { self.stepper.read_models(&all)? } else { Vec::new() };
        if self.members[0].state.open.steps > 0 {
            if let Finite::Not(at) = finite {
                self.diverge_together(at, self.members[at].state.step);
                return Ok(true);
            }
            let now = Instant::now();
            let own: Vec<EpochMetrics> = all.iter().map(|&at| self.close_epoch(at, val, now)).collect();
            let metrics = mean(&own);
            self.members.iter_mut().for_each(|member| member.history.push(metrics));
            events.epoch(0, &metrics);
            for (member, model) in self.members.iter_mut().zip(models) {
                member.best = Some(Arc::new(model));
            }
        }
        for at in all {
            self.members[at].state.ended = self.end(at, has_val);
        }
        Ok(true)
    }

    /// Ends all members at step `step` (from 1), in which that of slot `at` diverged.
    pub(super) fn diverge_together(&mut self, at: usize, step: u64) {
        (0..self.members.len()).for_each(|other| self.diverge(other, step, Some(at)));
    }
}

/// The mean of the members' losses, and all their samples.
#[derive(Default)]
pub(super) struct Means {
    members: usize,
    losses: f64,
    pub samples_per_s: f64,
}

impl Means {
    pub fn add(&mut self, loss: f64, samples_per_s: f64) {
        self.members += 1;
        self.losses += loss;
        self.samples_per_s += samples_per_s;
    }

    pub fn loss(&self) -> f64 {
        self.losses / self.members as f64
    }
}

/// The record of an ensemble's epoch from those of its members.
fn mean(own: &[EpochMetrics]) -> EpochMetrics {
    let of = |value: &dyn Fn(&EpochMetrics) -> f64| own.iter().map(value).sum::<f64>() / own.len() as f64;
    let first = own[0];
    EpochMetrics {
        train_loss: of(&|m| m.train_loss),
        train_score: match first.train_score {
            Score::Accuracy(_) => Score::Accuracy(of(&|m| m.train_score.fields()[0].1)),
            Score::Regression { .. } => Score::Regression {
                rmse: of(&|m| m.train_score.fields()[0].1),
                r2: of(&|m| m.train_score.fields()[1].1),
            },
        },
        grad_norm: of(&|m| m.grad_norm),
        samples_per_s: own.iter().map(|m| m.samples_per_s).sum(),
        ..first
    }
}
