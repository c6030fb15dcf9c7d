//! The winner, how certain it is, and how much of its lead was luck.

use std::collections::BTreeMap;

use serde::Serialize;

use super::ranking::{Ranked, Unfinished, as_shown, by_trial, estimate};
use super::student::{Estimate, paired};
use crate::spec::{Objective, Params, SweepRequest};
use crate::sweep::{Stage, TrialRecord, TrialStatus};

/// One trial of the final comparison: new seeds, and the test rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finalist {
    pub trial: u64,
    /// As in [`Ranked`], over the final seeds.
    pub status: TrialStatus,
    pub seeds: Vec<u64>,
    /// The objective on the validation rows, in its own direction.
    pub value: Option<Estimate>,
    pub test_loss: Option<Estimate>,
    pub test_acc: Option<Estimate>,
    pub test_rmse: Option<Estimate>,
    pub test_r2: Option<Estimate>,
    /// How much worse than the winner, paired over the seeds; positive is worse. None for the winner itself.
    pub behind: Option<Estimate>,
}

/// How much better the winner looked than it is, in the objective's unit; positive is too optimistic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Optimism {
    /// The value that the search chose it by, against the value with new seeds: the luck of selection. None without a
    /// final comparison.
    pub search: Option<f64>,
    /// Its value on the validation rows, against that on the test rows, for the same models. None without test rows.
    pub test: Option<f64>,
}

/// The best trial.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Winner {
    pub trial: u64,
    pub params: Params,
    /// Whether the values come from new seeds. Otherwise they are the search's, and too optimistic.
    pub confirmed: bool,
    /// How far it came, if no training of the sweep finished its schedule.
    pub unfinished: Option<Unfinished>,
    /// Seeds over which the values are means.
    pub seeds: Vec<u64>,
    /// The objective's mean, in its own direction.
    pub value: f64,
    /// Half width of the objective's 95 % interval over the seeds; none for one seed.
    pub val_ci95: Option<f64>,
    pub val_loss: Option<f64>,
    pub val_acc: Option<f64>,
    pub val_rmse: Option<f64>,
    pub val_r2: Option<f64>,
    pub test_loss: Option<Estimate>,
    pub test_acc: Option<Estimate>,
    pub test_rmse: Option<Estimate>,
    pub test_r2: Option<Estimate>,
    /// Trials that are indistinguishable from it: their difference, paired over the seeds, has a 95 % interval that
    /// contains 0. With one seed, all that it is compared with.
    pub ties: Vec<u64>,
    pub optimism: Optimism,
}

/// The records of the final comparison by trial. Trainings that a time limit or the user stopped do not count, nor
/// do trials of which no training finished.
fn of_finals<'a>(records: &'a [TrialRecord], request: &SweepRequest) -> BTreeMap<u64, Vec<&'a TrialRecord>> {
    let mut trials = by_trial(records, Stage::Final);
    trials.retain(|_, records| {
        records.retain(|record| Unfinished::of(record, request).is_none());
        !records.is_empty()
    });
    trials
}

/// The final comparison, best first: by the mean of the objective, diverged and failed ones
/// last. Unfinished ones are no finalists. Empty if there was none.
pub fn finals(records: &[TrialRecord], request: &SweepRequest) -> Vec<Finalist> {
    let trials = of_finals(records, request);
    let mut trials: Vec<(Ranked, &Vec<&TrialRecord>)> =
        trials.values().filter_map(|records| Some((Ranked::new(records, request)?, records))).collect();
    trials.sort_by(|(a, _), (b, _)| {
        let key = |trial: &Ranked| (!trial.is_ranked(), trial.value.is_none());
        key(a).cmp(&key(b)).then(a.cost().total_cmp(&b.cost())).then(a.trial.cmp(&b.trial))
    });
    let best = trials.first().map(|(trial, _)| trial.costs.clone()).unwrap_or_default();
    let finalist = |(place, (trial, records)): (usize, &(Ranked, &Vec<&TrialRecord>))| Finalist {
        trial: trial.trial,
        status: trial.status,
        seeds: trial.seeds.clone(),
        value: trial.value.map(|mean| Estimate { mean, ci95: trial.ci95 }),
        test_loss: estimate(records, |record| record.test_loss),
        test_acc: estimate(records, |record| record.test_acc),
        test_rmse: estimate(records, |record| record.test_rmse),
        test_r2: estimate(records, |record| record.test_r2),
        behind: if place == 0 { None } else { paired(&best, &trial.costs) },
    };
    trials.iter().enumerate().map(finalist).collect()
}

/// The best of the final comparison; without one, or if none of it has a value, the best of the search,
/// which is then not confirmed. It has finished its schedule, unless none has. None if no trial has a value that may
/// win. `ranked` is the ranking of the same records.
pub fn winner(records: &[TrialRecord], request: &SweepRequest, ranked: &[Ranked]) -> Option<Winner> {
    let finals = finals(records, request);
    let trials = of_finals(records, request);
    let confirmed = finals.first().and_then(|first| {
        let trial = Ranked::new(trials.get(&first.trial)?, request)?;
        trial.is_ranked().then_some((first, trial))
    });
    let Some((first, trial)) = confirmed else {
        let best = ranked.first().filter(|trial| trial.is_ranked())?;
        let others = ranked[1..]
            .iter()
            .filter(|trial| trial.is_ranked() && trial.reach(request) == best.reach(request));
        let tied =
            |trial: &&Ranked| paired(&best.costs, &trial.costs).is_none_or(|found| found.may_be_zero());
        // With one seed, every trial that went as far would be named.
        let ties =
            if best.costs.len() < 2 { Vec::new() } else { others.filter(tied).map(|t| t.trial).collect() };
        return Some(of(best, false, ties));
    };
    let may_win = |other: &&Finalist| other.value.is_some() && other.status != TrialStatus::Diverged;
    let tied = |other: &&Finalist| other.behind.is_none_or(|found| found.may_be_zero());
    let ties = finals[1..].iter().filter(may_win).filter(tied).map(|other| other.trial).collect();
    let mut winner = of(&trial, true, ties);
    winner.test_loss = first.test_loss;
    winner.test_acc = first.test_acc;
    winner.test_rmse = first.test_rmse;
    winner.test_r2 = first.test_r2;
    let searched =
        ranked.iter().find(|other| other.trial == trial.trial).filter(|other| other.value.is_some());
    // Other folds are other rows, which may be easier.
    let same_rows = request.base.data.fold.is_none();
    winner.optimism.search = searched.filter(|_| same_rows).map(|other| trial.cost() - other.cost());
    let test = match request.objective {
        Objective::ValLoss => first.test_loss,
        Objective::ValAcc => first.test_acc.or(first.test_r2),
    };
    // `as_shown` is its own inverse.
    winner.optimism.test = test.map(|test| as_shown(test.mean, request.objective) - trial.cost());
    Some(winner)
}

fn of(trial: &Ranked, confirmed: bool, ties: Vec<u64>) -> Winner {
    Winner {
        trial: trial.trial,
        params: trial.params.clone(),
        confirmed,
        unfinished: trial.unfinished,
        seeds: trial.costs.iter().map(|(seed, _)| *seed).collect(),
        value: trial.value.unwrap_or(f64::NAN),
        val_ci95: trial.ci95,
        val_loss: trial.val_loss,
        val_acc: trial.val_acc,
        val_rmse: trial.val_rmse,
        val_r2: trial.val_r2,
        test_loss: None,
        test_acc: None,
        test_rmse: None,
        test_r2: None,
        ties,
        optimism: Optimism::default(),
    }
}
