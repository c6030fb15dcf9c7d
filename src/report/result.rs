//! The result of a training: the one object of `train --json`.

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::run::Score;

/// How a training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// All epochs or steps are done.
    Completed,
    /// Ended early: the validation loss no longer improved, or the time was up.
    Stopped,
    /// The loss became NaN or infinite; the last good checkpoint is kept.
    Diverged,
    /// Interrupted by a signal; `bngpu resume` continues.
    Interrupted,
}

/// Loss and score of a model on one set of rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluation {
    pub loss: f64,
    pub score: Score,
}

/// One training and its evaluation. In JSON, the keys of a missing split are null, and so is NaN.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainResult {
    pub status: Status,
    /// Folder of the run.
    pub run: String,
    /// Name of the adapter or processor.
    pub device: String,
    /// `cpu` or `gpu`.
    pub engine: String,
    pub seed: u64,
    /// Models whose predictions are averaged; 1 without an ensemble.
    pub members: u64,
    /// Number of trained parameters of all members: weights, biases, γ and β.
    pub params: u64,
    pub epochs: u64,
    pub steps: u64,
    /// Seconds of training.
    pub train_s: f64,
    pub samples_per_s: f64,
    /// Whether the score keys are `rmse` and `r2`, not `acc`.
    pub regression: bool,
    pub val: Option<Evaluation>,
    pub test: Option<Evaluation>,
    /// Accuracy of the majority class, or rmse of the mean; both taken from the training rows.
    pub baseline: Option<f64>,
}

impl Serialize for TrainResult {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("status", &self.status)?;
        map.serialize_entry("run", &self.run)?;
        map.serialize_entry("device", &self.device)?;
        map.serialize_entry("engine", &self.engine)?;
        map.serialize_entry("seed", &self.seed)?;
        map.serialize_entry("members", &self.members)?;
        map.serialize_entry("params", &self.params)?;
        map.serialize_entry("epochs", &self.epochs)?;
        map.serialize_entry("steps", &self.steps)?;
        map.serialize_entry("train_s", &self.train_s)?;
        map.serialize_entry("samples_per_s", &self.samples_per_s)?;
        let unknown = if self.regression {
            Score::Regression { rmse: f64::NAN, r2: f64::NAN }
        } else {
            Score::Accuracy(f64::NAN)
        };
        for (split, evaluation) in [("val", self.val), ("test", self.test)] {
            map.serialize_entry(&format!("{split}_loss"), &evaluation.map(|found| found.loss))?;
            for (name, value) in evaluation.map_or(unknown, |found| found.score).fields() {
                map.serialize_entry(&format!("{split}_{name}"), &value)?;
            }
        }
        map.serialize_entry("baseline", &self.baseline)?;
        map.end()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub fn result() -> TrainResult {
        TrainResult {
            status: Status::Completed,
            run: "runs/2026-11-22-153012-digits".into(),
            device: "cpu".into(),
            engine: "cpu".into(),
            seed: 0,
            members: 1,
            params: 26_378,
            epochs: 20,
            steps: 460,
            train_s: 1.29,
            samples_per_s: 22_312.0,
            regression: false,
            val: Some(Evaluation { loss: 0.0912, score: Score::Accuracy(0.9722) }),
            test: Some(Evaluation { loss: 0.085, score: Score::Accuracy(0.9778) }),
            baseline: Some(0.1011),
        }
    }

    #[test]
    fn the_json_keys_match_the_contract() {
        let text = serde_json::to_string(&result()).unwrap();
        assert_eq!(
            text,
            "{\"status\":\"completed\",\"run\":\"runs/2026-11-22-153012-digits\",\"device\":\"cpu\",\
             \"engine\":\"cpu\",\"seed\":0,\"members\":1,\"params\":26378,\"epochs\":20,\"steps\":460,\
             \"train_s\":1.29,\"samples_per_s\":22312.0,\"val_loss\":0.0912,\"val_acc\":0.9722,\"test_loss\":0.085,\
             \"test_acc\":0.9778,\"baseline\":0.1011}"
        );
    }

    #[test]
    fn a_regression_has_its_own_keys_and_unknown_values_are_null() {
        let score = Score::Regression { rmse: f64::NAN, r2: f64::NEG_INFINITY };
        let result = TrainResult {
            regression: true,
            val: None,
            test: Some(Evaluation { loss: f64::NAN, score }),
            status: Status::Diverged,
            ..result()
        };
        let text = serde_json::to_string(&result).unwrap();
        assert!(
            text.contains(
                "\"val_loss\":null,\"val_rmse\":null,\"val_r2\":null,\
                 \"test_loss\":null,\"test_rmse\":null,\"test_r2\":null,\"baseline\":0.1011"
            ),
            "{text}"
        );
        assert!(text.starts_with("{\"status\":\"diverged\""), "{text}");
    }
}
