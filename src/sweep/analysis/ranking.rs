//! Trials from the best to the worst, and the top group without a significant difference.

use std::collections::BTreeMap;

use serde::Serialize;

use super::student::{Estimate, paired};
use super::work::{Unit, length};
use crate::spec::{Objective, Params, SweepRequest};
use crate::sweep::schedule::rungs;
use crate::sweep::{Stage, TrialRecord, TrialStatus};
use crate::train::StopReason;

/// How far a training came that halving, a time limit or the user stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Unfinished {
    pub at: u64,
    pub of: u64,
    pub unit: Unit,
}

impl Unfinished {
    /// None if the training finished its schedule, diverged or failed.
    pub(super) fn of(record: &TrialRecord, request: &SweepRequest) -> Option<Unfinished> {
        let stopped = record.status == TrialStatus::Stopped;
        if !stopped || (record.is_finished() && halved_at(record, request).is_none()) {
            return None;
        }
        let (unit, at, of) = length(record, request);
        Some(Unfinished { at, of, unit })
    }
}

/// One trial over its seeds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ranked {
    pub trial: u64,
    pub params: Params,
    /// Diverged if one of its seeds diverged, else failed if one failed, else stopped if one was stopped.
    pub status: TrialStatus,
    pub seeds: Vec<u64>,
    pub diverged_seeds: Vec<u64>,
    /// The objective's mean over the seeds, in its own direction: a loss is better when low, an accuracy or R² when
    /// high. None if no seed has a value.
    pub value: Option<f64>,
    /// Half width of its 95 % interval (Student's t); none for one seed.
    pub ci95: Option<f64>,
    /// Mean over the seeds, as are the next three.
    pub val_loss: Option<f64>,
    pub val_acc: Option<f64>,
    pub val_rmse: Option<f64>,
    pub val_r2: Option<f64>,
    /// Most epochs among its seeds.
    pub epochs: u64,
    /// Epochs at which halving stopped it; None if it did not.
    pub halved_at: Option<u64>,
    /// Where it stopped, if one of its seeds did not finish its schedule; None if all did.
    pub unfinished: Option<Unfinished>,
    /// The minimised value of each seed that has one.
    #[serde(skip)]
    pub(super) costs: Vec<(u64, f64)>,
}

impl Ranked {
    /// Whether it has a value that may win: no seed diverged or failed.
    pub fn is_ranked(&self) -> bool {
        self.value.is_some() && matches!(self.status, TrialStatus::Completed | TrialStatus::Stopped)
    }

    /// The stage that it reached, so that it is compared with trials of the same stage: the whole schedule, or the
    /// last rung before it stopped.
    pub(super) fn reach(&self, request: &SweepRequest) -> u64 {
        let Some(Unfinished { at, .. }) = self.unfinished else { return u64::MAX };
        let rungs = request.halving.map(|halving| rungs(Some(halving), u64::MAX)).unwrap_or_default();
        rungs.into_iter().take_while(|&rung| rung <= at).last().unwrap_or(0)
    }

    /// Mean of the minimised values; infinite without one.
    pub(super) fn cost(&self) -> f64 {
        Estimate::of(&self.costs.iter().map(|(_, cost)| *cost).collect::<Vec<_>>())
            .map_or(f64::INFINITY, |found| found.mean)
    }

    /// A trial from its `records` in one stage, one for each seed.
    pub(super) fn new(records: &[&TrialRecord], request: &SweepRequest) -> Option<Ranked> {
        let first = records.first()?;
        let costs: Vec<(u64, f64)> = records
            .iter()
            .filter_map(|record| Some((record.seed, cost(record, request.objective)?)))
            .collect();
        let estimate = Estimate::of(&costs.iter().map(|(_, cost)| *cost).collect::<Vec<_>>());
        let any = |status| records.iter().any(|record| record.status == status);
        let status = [TrialStatus::Diverged, TrialStatus::Failed, TrialStatus::Stopped];
        let status = status.into_iter().find(|&status| any(status)).unwrap_or(TrialStatus::Completed);
        let mean = |value: fn(&TrialRecord) -> Option<f64>| mean(records, value);
        let diverged = records.iter().filter(|record| record.status == TrialStatus::Diverged);
        Some(Ranked {
            trial: first.trial,
            params: first.params.clone(),
            status,
            seeds: records.iter().map(|record| record.seed).collect(),
            diverged_seeds: diverged.map(|record| record.seed).collect(),
            value: estimate.map(|found| as_shown(found.mean, request.objective)),
            ci95: estimate.and_then(|found| found.ci95),
            val_loss: mean(|record| record.val_loss),
            val_acc: mean(|record| record.val_acc),
            val_rmse: mean(|record| record.val_rmse),
            val_r2: mean(|record| record.val_r2),
            epochs: records.iter().map(|record| record.epochs).max().unwrap_or(0),
            halved_at: records.iter().filter_map(|record| halved_at(record, request)).min(),
            unfinished: records
                .iter()
                .filter_map(|record| Unfinished::of(record, request))
                .min_by_key(|stopped| stopped.at),
            costs,
        })
    }
}

/// The minimised value: the validation loss, or the accuracy (R²) with its sign turned.
pub(super) fn cost(record: &TrialRecord, objective: Objective) -> Option<f64> {
    let value = match objective {
        Objective::ValLoss => record.val_loss,
        Objective::ValAcc => record.val_acc.or(record.val_r2).map(|score| -score),
    };
    value.filter(|value| value.is_finite())
}

/// A minimised value in the objective's own direction.
pub(super) fn as_shown(cost: f64, objective: Objective) -> f64 {
    match objective {
        Objective::ValLoss => cost,
        Objective::ValAcc => -cost,
    }
}

/// The mean over the records that have the value.
fn mean(records: &[&TrialRecord], value: impl Fn(&TrialRecord) -> Option<f64>) -> Option<f64> {
    estimate(records, value).map(|found| found.mean)
}

/// The mean with its interval over the records that have the value.
pub(super) fn estimate(
    records: &[&TrialRecord],
    value: impl Fn(&TrialRecord) -> Option<f64>,
) -> Option<Estimate> {
    let finite = |record: &&TrialRecord| value(record).filter(|value| value.is_finite());
    Estimate::of(&records.iter().filter_map(finite).collect::<Vec<f64>>())
}

/// Epochs at which successive halving stopped a training: its reason says so, or it has none and ended at a rung
/// (min_epochs·ηᵏ). Trainings stopped by patience, a time limit or the user do not count.
pub(super) fn halved_at(record: &TrialRecord, request: &SweepRequest) -> Option<u64> {
    let halving = request.halving.filter(|_| record.status == TrialStatus::Stopped)?;
    let eta = u64::from(halving.eta.max(2));
    let rungs = std::iter::successors(Some(halving.min_epochs.max(1)), |rung| rung.checked_mul(eta));
    let halved = match record.stop_reason() {
        Some(reason) => matches!(reason, StopReason::Halving { .. }),
        None => rungs.take_while(|&rung| rung <= record.epochs).any(|rung| rung == record.epochs),
    };
    halved.then_some(record.epochs)
}

/// The records of a stage by trial, each trial's by seed. If a trial and seed occur twice, the later record counts.
pub(super) fn by_trial(records: &[TrialRecord], stage: Stage) -> BTreeMap<u64, Vec<&TrialRecord>> {
    let mut once = BTreeMap::new();
    for record in records.iter().filter(|record| record.stage == stage) {
        once.insert((record.trial, record.seed), record);
    }
    let mut trials: BTreeMap<u64, Vec<&TrialRecord>> = BTreeMap::new();
    for ((trial, _), record) in once {
        trials.entry(trial).or_default().push(record);
    }
    trials
}

/// The trials of the search, best first.
///
/// First come trials that finished their schedule, then trials that halving, a time limit or the user stopped, the
/// latest rung first: a value after more epochs is not compared with one after fewer. Within each group the mean of the
/// objective over the seeds decides, then the validation loss, then the trial's number. Diverged trials (one seed is
/// enough: a setting that works only with luck does not win), failed ones and those without a value come last; none is
/// left out.
pub fn ranking(records: &[TrialRecord], request: &SweepRequest) -> Vec<Ranked> {
    let trials = by_trial(records, Stage::Search);
    let mut ranked: Vec<Ranked> =
        trials.values().filter_map(|records| Ranked::new(records, request)).collect();
    let class = |trial: &Ranked| match trial.status {
        _ if trial.is_ranked() => 0,
        TrialStatus::Diverged => 1,
        _ => 2,
    };
    ranked.sort_by(|a, b| {
        let key = |trial: &Ranked| (class(trial), std::cmp::Reverse(trial.reach(request)));
        // Accuracies of few rows are often equal.
        let loss = |trial: &Ranked| trial.val_loss.unwrap_or(f64::INFINITY);
        let costs = a.cost().total_cmp(&b.cost()).then(loss(a).total_cmp(&loss(b)));
        key(a).cmp(&key(b)).then(costs).then(a.trial.cmp(&b.trial))
    });
    ranked
}

/// The trials that a final comparison should train again with new seeds, best first.
///
/// With two seeds or more: the best, and those that went as far and whose difference from it, paired over the seeds
/// (the same seeds give the same initial weights and batches), has a 95 % interval (Student's t) that holds 0; at
/// least two where there are two. With one seed there is no test: the first that went as far as the best, and again
/// at least two. Never more than [`SweepRequest::finalists`].
pub fn finalists(records: &[TrialRecord], request: &SweepRequest) -> Vec<u64> {
    let ranked: Vec<Ranked> = ranking(records, request).into_iter().filter(Ranked::is_ranked).collect();
    let Some(best) = ranked.first() else { return Vec::new() };
    let several = request.seeds >= 2;
    let tied = |trial: &Ranked| {
        let difference = paired(&best.costs, &trial.costs);
        difference.is_none_or(|found| found.mean <= 0.0 || found.may_be_zero())
    };
    let comparable = ranked.iter().enumerate().filter(|(place, trial)| {
        let as_far = trial.reach(request) == best.reach(request);
        *place == 0 || (as_far && (!several || tied(trial)))
    });
    let mut places: Vec<usize> = comparable.map(|(place, _)| place).collect();
    if places.len() == 1 && ranked.len() > 1 {
        places.push(1);
    }
    places.into_iter().take(request.finalists as usize).map(|place| ranked[place].trial).collect()
}
