//! The ensemble at the end of a sweep: its kept models, weighted by greedy selection on the validation rows.
//!
//! Without folds, all models are selected one by one. With folds, a model has seen the rows that others held out, so settings
//! are selected: a setting's prediction for a fold is that of its models which held it out. After a final comparison, its models
//! alone are selected from: those of the search won by their luck on one fold, and often have the weights of an early epoch.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use serde::Serialize;

use crate::data::Part;
use crate::engine::EngineFactory;
use crate::run::Score;
use crate::spec::MAX_ENSEMBLE;
use crate::train::Stored;

use super::files::SweepFiles;
use super::record::Stage;
use super::schedule::TrainingId;
use super::search::{Search, SweepError};
use super::selection::{self, ROUNDS};

/// A training in the ensemble of a sweep.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Share {
    pub trial: u64,
    pub seed: u64,
    /// Its share of the prediction.
    pub weight: f64,
}

/// The ensemble of a sweep's kept models.
#[derive(Clone, Debug, PartialEq)]
pub struct Ensemble {
    /// Its run, which `eval` and `predict` accept.
    pub run: PathBuf,
    /// Its models, the largest share first.
    pub shares: Vec<Share>,
    /// The models that it was selected from.
    pub of: usize,
    /// Loss on the validation rows, which selected it: too optimistic. With folds, of the models that held out each row.
    pub val_loss: f64,
    /// Loss of the best model alone on the same rows; with folds, of the models of the best setting.
    pub val_loss_alone: f64,
    /// Mean loss and score on the test rows, if any.
    pub test: Option<(f64, Score)>,
}

impl Search {
    /// Selects the ensemble of the models in `files`, and writes its run in place of an earlier one. None if there are
    /// fewer than two models, one of them is clearly better than any ensemble, or this is one shard of a sweep.
    ///
    /// # Errors
    /// [`SweepError`] of the files and of the first device.
    pub fn ensemble(&self, files: &SweepFiles) -> Result<Option<Ensemble>, SweepError> {
        files.remove_ensemble()?;
        let Some(lane) = self.lanes.first().filter(|_| self.request.shard.is_none()) else { return Ok(None) };
        let models: Vec<(TrainingId, Stored)> = files.models();
        if models.len() < 2 {
            return Ok(None);
        }
        let factory = lane.source.factory_of_it_alone();
        let problem = &self.problem;
        let has_folds = problem.split.folds > 0;
        let fold = |stored: &Stored| stored.request.data.fold.filter(|_| has_folds).unwrap_or(0);
        let of_fold: Vec<(TrainingId, usize)> =
            models.iter().map(|(id, stored)| (*id, fold(stored))).collect();
        let Candidates { candidates, folds } = if has_folds {
            candidates(&of_fold, &self.seeds(Stage::Search))
        } else {
            Candidates { candidates: (0..models.len()).map(|model| vec![model]).collect(), folds: vec![0] }
        };
        let mut predictions = Vec::with_capacity(candidates.len());
        for candidate in &candidates {
            let mut of_all = Vec::new();
            for &nth in &folds {
                let held_out = candidate.iter().filter(|&&model| of_fold[model].1 == nth);
                let stored: Vec<&Stored> = held_out.map(|&model| &models[model].1).collect();
                of_all.extend(self.mean_prediction(factory.as_ref(), &stored, nth)?);
            }
            predictions.push(of_all);
        }
        let rows: Vec<_> = folds.iter().map(|&nth| problem.split.held_out(nth)).collect();
        let Some(selected) = selection::select(&predictions, &problem.targets(&rows), ROUNDS) else {
            return Ok(None);
        };
        let weighted: Vec<(&Vec<usize>, f64)> =
            candidates.iter().zip(selected.weights).filter(|(_, weight)| *weight > 0.0).collect();
        let most = MAX_ENSEMBLE / weighted.len().max(1);
        let of_candidate = |(candidate, weight): (&Vec<usize>, f64)| {
            let count = candidate.len().min(most);
            candidate[..count]
                .iter()
                .map(|&model| (&models[model], weight / count as f64))
                .collect::<Vec<_>>()
        };
        let chosen: Vec<(&(TrainingId, Stored), f64)> = weighted.into_iter().flat_map(of_candidate).collect();
        if chosen.len() < 2 {
            return Ok(None);
        }
        let stored: Vec<(&Stored, f64)> =
            chosen.iter().map(|((_, stored), weight)| (stored, *weight)).collect();
        let together = Stored::together(&stored)?;
        let population = together.population(problem)?;
        let test = together.inference(factory.as_ref(), population, problem, None)?.evaluate(Part::Test)?;
        let share = |((id, _), weight): &(&(TrainingId, Stored), f64)| Share {
            trial: id.trial,
            seed: id.seed,
            weight: *weight,
        };
        let mut shares: Vec<Share> = chosen.iter().map(share).collect();
        shares.sort_by(|a, b| b.weight.total_cmp(&a.weight));
        let run = files.write_ensemble(&together)?;
        Ok(Some(Ensemble {
            run,
            shares,
            of: candidates.iter().map(Vec::len).sum(),
            val_loss: selected.loss,
            val_loss_alone: selected.best_alone,
            test,
        }))
    }

    /// The mean of what `models` predict for the rows of fold `nth`, or for the validation rows where there are no folds.
    fn mean_prediction(
        &self,
        factory: &dyn EngineFactory,
        models: &[&Stored],
        nth: usize,
    ) -> Result<Vec<f64>, SweepError> {
        let problem = &self.problem;
        let mut mean = Vec::new();
        for stored in models {
            let mut inference = stored.inference(factory, stored.population(problem)?, problem, None)?;
            let found = problem.predictions(&inference.outputs(problem.split.held_out(nth))?);
            mean.resize(found.len(), 0.0);
            mean.iter_mut().zip(found).for_each(|(mean, p)| *mean += p / models.len() as f64);
        }
        Ok(mean)
    }
}

/// What an ensemble is selected from where there are folds.
#[derive(Debug, PartialEq)]
struct Candidates {
    /// The models of each setting, by their position.
    candidates: Vec<Vec<usize>>,
    /// The folds that each of the settings held out in some model.
    folds: Vec<usize>,
}

/// The models with seeds that are not `searched`, or else all, by setting, and the folds that the settings have in common.
/// The settings with the most folds come first; a setting that shares no fold with those before it is left out. Each of
/// `models` comes with the fold that it held out.
fn candidates(models: &[(TrainingId, usize)], searched: &[u64]) -> Candidates {
    let is_final = |id: &TrainingId| !searched.contains(&id.seed);
    let has_finals = models.iter().any(|(id, _)| is_final(id));
    let mut of_trial: BTreeMap<u64, (Vec<usize>, BTreeSet<usize>)> = BTreeMap::new();
    for (model, (id, fold)) in models.iter().enumerate() {
        if !has_finals || is_final(id) {
            let (models, folds) = of_trial.entry(id.trial).or_default();
            models.push(model);
            folds.insert(*fold);
        }
    }
    let mut settings: Vec<_> = of_trial.into_values().collect();
    settings.sort_by_key(|(_, folds)| std::cmp::Reverse(folds.len()));
    let mut common: Option<BTreeSet<usize>> = None;
    let mut candidates = Vec::new();
    for (models, folds) in settings {
        let both = common.as_ref().map_or(folds.clone(), |common| common & &folds);
        if !both.is_empty() {
            common = Some(both);
            candidates.push(models);
        }
    }
    Candidates { candidates, folds: common.unwrap_or_default().into_iter().collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(models: &[(u64, u64, usize)]) -> Candidates {
        let models: Vec<_> =
            models.iter().map(|&(trial, seed, fold)| (TrainingId { trial, seed }, fold)).collect();
        candidates(&models, &[5])
    }

    #[test]
    fn finalists_are_compared_on_the_folds_that_all_of_them_held_out() {
        // Trial 1 was kept by the search alone, trial 3 has one fold less, trial 2 was not kept by the search.
        let models = [(0, 5, 0), (0, 6, 1), (0, 7, 2), (1, 5, 0), (2, 6, 1), (2, 7, 2), (3, 5, 0), (3, 6, 1)];
        let expected = Candidates { candidates: vec![vec![1, 2], vec![4, 5], vec![7]], folds: vec![1] };
        assert_eq!(of(&models), expected);
        // A setting that shares no fold with those before it is left out.
        assert_eq!(
            of(&[(0, 6, 1), (0, 7, 2), (1, 8, 3)]),
            Candidates { candidates: vec![vec![0, 1]], folds: vec![1, 2] }
        );
    }

    #[test]
    fn without_a_final_comparison_all_settings_are_compared_on_the_folds_of_the_search() {
        let expected = Candidates { candidates: vec![vec![0], vec![1], vec![2]], folds: vec![0] };
        assert_eq!(of(&[(0, 5, 0), (1, 5, 0), (4, 5, 0)]), expected);
        assert_eq!(of(&[]), Candidates { candidates: Vec::new(), folds: Vec::new() });
    }
}
