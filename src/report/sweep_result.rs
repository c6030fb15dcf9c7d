//! The result of a sweep: the one object of `sweep --json`.

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::Status;
use crate::sweep::Ensemble;
use crate::sweep::analysis::{Analysis, Counts, Winner};

/// A sweep and its best trial. In JSON, unknown values and NaN are null.
#[derive(Clone, Debug, PartialEq)]
pub struct SweepResult {
    pub status: Status,
    /// Folder of the sweep.
    pub run: String,
    /// Name of the adapter or processor; several are joined by ", ".
    pub device: String,
    pub counts: Counts,
    /// Trainings per second of `wall_s`, final comparison included.
    pub models_per_s: f64,
    /// Seconds of the whole sweep.
    pub wall_s: f64,
    /// Whether the score keys of the best trial are `rmse` and `r2`, not `acc`.
    pub regression: bool,
    /// None if no trial has a value.
    pub best: Option<Winner>,
    /// The ensemble of the kept models, if there is one.
    pub ensemble: Option<Ensemble>,
}

impl SweepResult {
    /// The result of a sweep of `wall_s` seconds, from its `analysis`.
    pub fn new(analysis: &Analysis, status: Status, run: &str, device: &str, wall_s: f64) -> SweepResult {
        let counts = analysis.counts;
        SweepResult {
            status,
            run: run.into(),
            device: device.into(),
            counts,
            models_per_s: (counts.trainings + counts.final_trainings) as f64 / wall_s,
            wall_s,
            regression: analysis.regression,
            best: analysis.winner.clone(),
            ensemble: None,
        }
    }
}

impl Serialize for SweepResult {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("status", &self.status)?;
        map.serialize_entry("run", &self.run)?;
        map.serialize_entry("device", &self.device)?;
        map.serialize_entry("trials", &self.counts.trials)?;
        map.serialize_entry("completed", &self.counts.completed)?;
        map.serialize_entry("stopped", &self.counts.stopped)?;
        map.serialize_entry("diverged", &self.counts.diverged)?;
        map.serialize_entry("failed", &self.counts.failed)?;
        map.serialize_entry("models_per_s", &self.models_per_s)?;
        map.serialize_entry("wall_s", &self.wall_s)?;
        let best = self.best.as_ref().map(|winner| Best { winner, regression: self.regression });
        map.serialize_entry("best", &best)?;
        if let Some(ensemble) = &self.ensemble {
            map.serialize_entry("ensemble", &Together(ensemble))?;
        }
        map.end()
    }
}

struct Together<'a>(&'a Ensemble);

impl Serialize for Together<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Ensemble { run, shares, of, val_loss, val_loss_alone, test } = self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("run", &run.display().to_string())?;
        map.serialize_entry("models", shares)?;
        map.serialize_entry("of", of)?;
        map.serialize_entry("val_loss", val_loss)?;
        map.serialize_entry("val_loss_alone", val_loss_alone)?;
        map.serialize_entry("test_loss", &test.map(|(loss, _)| loss))?;
        for (name, value) in test.iter().flat_map(|(_, score)| score.fields()) {
            map.serialize_entry(&format!("test_{name}"), &value)?;
        }
        map.end()
    }
}

struct Best<'a> {
    winner: &'a Winner,
    regression: bool,
}

impl Serialize for Best<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let winner = self.winner;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("trial", &winner.trial)?;
        map.serialize_entry("params", &winner.params)?;
        // Only if no training finished its schedule.
        if let Some(unfinished) = &winner.unfinished {
            map.serialize_entry("unfinished", unfinished)?;
        }
        // The values are means over this many seeds.
        map.serialize_entry("seeds", &winner.seeds.len())?;
        map.serialize_entry("val_loss", &winner.val_loss)?;
        if self.regression {
            map.serialize_entry("val_rmse", &winner.val_rmse)?;
            map.serialize_entry("val_r2", &winner.val_r2)?;
        } else {
            map.serialize_entry("val_acc", &winner.val_acc)?;
        }
        map.serialize_entry("val_ci95", &winner.val_ci95)?;
        if self.regression {
            map.serialize_entry("test_rmse", &winner.test_rmse.map(|test| test.mean))?;
            map.serialize_entry("test_r2", &winner.test_r2.map(|test| test.mean))?;
        } else {
            map.serialize_entry("test_acc", &winner.test_acc.map(|test| test.mean))?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::Score;
    use crate::sweep::analysis::tests::{diverged, last, record, request};
    use crate::sweep::{Share, TrialRecord};

    fn text(records: &[TrialRecord]) -> String {
        let analysis = Analysis::new(&request(2, 1), records);
        let result = SweepResult::new(&analysis, Status::Completed, "runs/s", "cpu", 2.0);
        serde_json::to_string(&result).unwrap()
    }

    #[test]
    fn the_json_keys_match_the_contract() {
        let found = text(&[record(0, 0, 0.25), diverged(1, 0), last(0, 1, 0.5), last(0, 2, 0.5)]);
        assert_eq!(
            found,
            "{\"status\":\"completed\",\"run\":\"runs/s\",\"device\":\"cpu\",\"trials\":2,\"completed\":1,\
             \"stopped\":0,\"diverged\":1,\"failed\":0,\"models_per_s\":2.0,\"wall_s\":2.0,\
             \"best\":{\"trial\":0,\"params\":{\"lr\":0.001},\"seeds\":2,\"val_loss\":0.5,\"val_acc\":0.75,\
             \"val_ci95\":0.0,\"test_acc\":0.9}}"
        );
    }

    #[test]
    fn the_ensemble_follows_the_best_trial() {
        let share = |trial, weight| Share { trial, seed: 7, weight };
        let ensemble = Ensemble {
            run: "runs/s/ensemble".into(),
            shares: vec![share(3, 0.75), share(1, 0.25)],
            of: 5,
            val_loss: 0.5,
            val_loss_alone: 0.625,
            test: Some((0.75, Score::Accuracy(0.875))),
        };
        let analysis = Analysis::new(&request(2, 1), &[record(0, 0, 0.25)]);
        let result = SweepResult::new(&analysis, Status::Completed, "runs/s", "cpu", 2.0);
        let text = |ensemble| serde_json::to_string(&SweepResult { ensemble, ..result.clone() }).unwrap();
        let end = "\"ensemble\":{\"run\":\"runs/s/ensemble\",\"models\":[{\"trial\":3,\"seed\":7,\"weight\":0.75},\
                   {\"trial\":1,\"seed\":7,\"weight\":0.25}],\"of\":5,\"val_loss\":0.5,\"val_loss_alone\":0.625,";
        let with = text(Some(ensemble.clone()));
        assert!(with.ends_with(&format!("{end}\"test_loss\":0.75,\"test_acc\":0.875}}}}")), "{with}");
        // A table without test rows.
        let without = text(Some(Ensemble { test: None, ..ensemble }));
        assert!(without.ends_with(&format!("{end}\"test_loss\":null}}}}")), "{without}");
    }

    #[test]
    fn a_regression_has_its_own_keys_and_unknown_values_are_null() {
        let regression =
            TrialRecord { val_acc: None, val_rmse: Some(0.5), val_r2: Some(0.75), ..record(0, 0, 0.25) };
        let found = text(&[regression]);
        let best = "\"best\":{\"trial\":0,\"params\":{\"lr\":0.001},\"seeds\":1,\"val_loss\":0.25,\
                    \"val_rmse\":0.5,\"val_r2\":0.75,\"val_ci95\":null,\"test_rmse\":null,\"test_r2\":null}}";
        assert!(found.ends_with(best), "{found}");
        let none = text(&[diverged(0, 0)]);
        assert!(none.ends_with("\"best\":null}"), "{none}");
    }
}
