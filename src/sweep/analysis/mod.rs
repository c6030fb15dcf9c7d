//! Findings of a sweep and their uncertainty: pure functions of the records of its trials.
//!
//! Nothing here reads a file or uses a device, so that a running sweep, a finished one and merged shards are judged
//! by the same code.

mod budget;
mod edges;
mod importance;
mod ranking;
mod scale;
mod student;
#[cfg(test)]
pub(crate) mod tests;
mod winner;
mod work;

use serde::Serialize;

pub use budget::{Budget, BudgetKind, BudgetPoint, Worth, budget};
pub(crate) use edges::short;
pub use edges::{Edge, edges};
pub use importance::{Importance, Share, importance};
pub use ranking::{Ranked, Unfinished, finalists, ranking};
pub use student::Estimate;
pub use winner::{Finalist, Optimism, Winner, finals, winner};
pub use work::{Slots, Unit, Work, work};

use super::{Stage, TrialRecord, TrialStatus};
use crate::spec::{Objective, SweepRequest, TaskKind};

/// How the trials of the search ended. A trial over several seeds counts once, as [`Ranked::status`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    pub trials: u64,
    pub completed: u64,
    pub stopped: u64,
    pub diverged: u64,
    pub failed: u64,
    /// Trainings of the search: trials times seeds, as far as they have ended.
    pub trainings: u64,
    /// Trainings of the final comparison.
    pub final_trainings: u64,
}

/// All findings.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Analysis {
    pub objective: Objective,
    /// Whether the target is a number: rmse and R² instead of accuracy.
    pub regression: bool,
    pub counts: Counts,
    /// All trials of the search, best first.
    pub ranking: Vec<Ranked>,
    /// The final comparison, best first; empty if there was none.
    pub finals: Vec<Finalist>,
    pub winner: Option<Winner>,
    pub importance: Importance,
    /// Values of the winner at the ends of the space.
    pub edges: Vec<Edge>,
    pub budget: Budget,
    pub work: Work,
    /// Trainings of both stages that ended, over the seconds from the first start to the last end.
    pub models_per_s: Option<f64>,
}

impl Analysis {
    /// The findings of `records`, which may be in any order and of an unfinished sweep.
    pub fn new(request: &SweepRequest, records: &[TrialRecord]) -> Analysis {
        let ranking = ranking(records, request);
        let winner = winner(records, request, &ranking);
        let work = work(records, request);
        let counts = counts(&ranking, records);
        let trainings = (counts.trainings + counts.final_trainings) as f64;
        Analysis {
            objective: request.objective,
            regression: request.base.data.task == Some(TaskKind::Regress)
                || records.iter().any(|record| record.val_rmse.is_some() || record.val_r2.is_some()),
            counts,
            finals: finals(records, request),
            importance: importance(records, request),
            edges: winner.as_ref().map(|winner| edges(&winner.params, &request.space)).unwrap_or_default(),
            budget: budget(&ranking, request),
            models_per_s: work.slots.as_ref().map(|slots| trainings / slots.seconds),
            ranking,
            winner,
            work,
        }
    }

    /// Whether the importance of a hyperparameter may be 0: its interval reaches 0, or it is unknown.
    pub fn may_not_matter(&self, key: &str) -> bool {
        let share = self.importance.shares.iter().find(|share| share.key == key);
        share.and_then(|share| share.ci95).is_none_or(|[low, _]| low <= 0.0)
    }
}

fn counts(ranking: &[Ranked], records: &[TrialRecord]) -> Counts {
    let of = |status| ranking.iter().filter(|trial| trial.status == status).count() as u64;
    let trainings = ranking::by_trial(records, Stage::Final);
    Counts {
        trials: ranking.len() as u64,
        completed: of(TrialStatus::Completed),
        stopped: of(TrialStatus::Stopped),
        diverged: of(TrialStatus::Diverged),
        failed: of(TrialStatus::Failed),
        trainings: ranking.iter().map(|trial| trial.seeds.len() as u64).sum(),
        final_trainings: trainings.values().map(|records| records.len() as u64).sum(),
    }
}
