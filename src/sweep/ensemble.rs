//! The ensemble at the end of a sweep: its kept models, weighted by greedy selection on the validation rows.

use std::path::PathBuf;

use serde::Serialize;

use crate::data::Part;
use crate::run::Score;
use crate::train::Stored;

use super::files::SweepFiles;
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
    /// Loss on the validation rows, which selected it: too optimistic.
    pub val_loss: f64,
    /// Loss of the best model alone on the same rows.
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
        let rows = problem.split.range(Part::Val);
        let mut predictions = Vec::with_capacity(models.len());
        for (_, stored) in &models {
            let population = stored.population(problem)?;
            let mut inference = stored.inference(factory.as_ref(), population, problem, None)?;
            predictions.push(problem.predictions(&inference.outputs(rows.clone())?));
        }
        let targets = problem.targets(Part::Val);
        let Some(selected) = selection::select(&predictions, &targets, ROUNDS) else { return Ok(None) };
        let weighted = models.iter().zip(&selected.weights).filter(|(_, weight)| **weight > 0.0);
        let chosen: Vec<(&(TrainingId, Stored), f64)> =
            weighted.map(|(model, weight)| (model, *weight)).collect();
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
            of: models.len(),
            val_loss: selected.loss,
            val_loss_alone: selected.best_alone,
            test,
        }))
    }
}
