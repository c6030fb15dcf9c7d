//! The record of a training: epochs in `metrics.jsonl` and `metrics.csv`, and watched steps between the epochs in
//! `metrics.jsonl`.

use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::RunError;
use crate::base::{is_held, write_whole};
use crate::spec::Watched;
use crate::step::watch::{LayerWatch, Percentiles};

/// The score of a model on a set of rows, besides its loss.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Score {
    /// Share of the rows whose class is right, 0 to 1.
    Accuracy(f64),
    /// Root of the mean squared error, in the target's unit, and the coefficient of determination R².
    Regression { rmse: f64, r2: f64 },
}

impl Score {
    /// `(name, value)` of each number; files and `--json` put the split's name before the name.
    pub fn fields(self) -> Vec<(&'static str, f64)> {
        match self {
            Score::Accuracy(acc) => vec![("acc", acc)],
            Score::Regression { rmse, r2 } => vec![("rmse", rmse), ("r2", r2)],
        }
    }

    /// A score of the same kind with NaN for every number.
    pub fn nan(self) -> Score {
        match self {
            Score::Accuracy(_) => Score::Accuracy(f64::NAN),
            Score::Regression { .. } => Score::Regression { rmse: f64::NAN, r2: f64::NAN },
        }
    }
}

/// One line of the record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EpochMetrics {
    /// Epochs done, from 1.
    pub epoch: u64,
    /// Steps done since the beginning of the training.
    pub step: u64,
    /// Learning rate of the last step.
    pub lr: f64,
    pub train_loss: f64,
    pub train_score: Score,
    /// `None` without a validation set.
    pub val_loss: Option<f64>,
    pub val_score: Option<Score>,
    /// ‖gradient‖₂ over all parameters, before clipping.
    pub grad_norm: f64,
    pub samples_per_s: f64,
    /// Seconds since the beginning of the training, including those before a resumption.
    pub wall_s: f64,
}

impl EpochMetrics {
    /// Keys and values in the order of the files. NaN and infinity, which JSON lacks, become null.
    fn fields(&self) -> Map<String, Value> {
        let mut fields = Map::new();
        let mut put = |key: String, value: Value| drop(fields.insert(key, value));
        put("epoch".into(), self.epoch.into());
        put("step".into(), self.step.into());
        put("lr".into(), self.lr.into());
        put("train_loss".into(), self.train_loss.into());
        for (name, value) in self.train_score.fields() {
            put(format!("train_{name}"), value.into());
        }
        put("val_loss".into(), self.val_loss.into());
        let val_score = self.val_score.unwrap_or(self.train_score.nan());
        for (name, value) in val_score.fields() {
            put(format!("val_{name}"), value.into());
        }
        put("grad_norm".into(), self.grad_norm.into());
        put("samples_per_s".into(), self.samples_per_s.into());
        put("wall_s".into(), self.wall_s.into());
        fields
    }

    /// The inverse of [`EpochMetrics::fields`]; the error names the key.
    fn from_fields(fields: &Map<String, Value>) -> Result<EpochMetrics, String> {
        let value = |key: &str| fields.get(key).ok_or(format!("{key:?} is missing"));
        let count = |key: &str| {
            let value = value(key)?;
            value.as_u64().ok_or(format!("{key:?} must be a whole number, it is {value}"))
        };
        let optional = |key: &str| match value(key)? {
            Value::Null => Ok(None),
            value => {
                value.as_f64().map(Some).ok_or(format!("{key:?} must be a number or null, it is {value}"))
            }
        };
        let number = |key: &str| Ok::<_, String>(optional(key)?.unwrap_or(f64::NAN));
        let regression = fields.contains_key("train_rmse");
        let score = |split: &str| -> Result<Option<Score>, String> {
            if !regression {
                return Ok(optional(&format!("{split}_acc"))?.map(Score::Accuracy));
            }
            let (rmse, r2) = (optional(&format!("{split}_rmse"))?, optional(&format!("{split}_r2"))?);
            let or_nan = |value: Option<f64>| value.unwrap_or(f64::NAN);
            let any = rmse.is_some() || r2.is_some();
            Ok(any.then(|| Score::Regression { rmse: or_nan(rmse), r2: or_nan(r2) }))
        };
        let unknown = if regression {
            Score::Regression { rmse: f64::NAN, r2: f64::NAN }
        } else {
            Score::Accuracy(f64::NAN)
        };
        let val_score = score("val")?;
        // A diverged validation loss is null too; a score beside it says that there is a validation set.
        let val_loss = optional("val_loss")?.or(val_score.map(|_| f64::NAN));
        Ok(EpochMetrics {
            epoch: count("epoch")?,
            step: count("step")?,
            lr: number("lr")?,
            train_loss: number("train_loss")?,
            train_score: score("train")?.unwrap_or(unknown),
            val_loss,
            val_score,
            grad_norm: number("grad_norm")?,
            samples_per_s: number("samples_per_s")?,
            wall_s: number("wall_s")?,
        })
    }
}

/// The watched values of one step, on a line of their own.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Look {
    /// The watched step, from 0: the number of steps done before it.
    pub step: u64,
    /// One entry for each layer.
    pub watch: Vec<LayerLook>,
}

/// The watched values of one layer; `None` if not requested.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerLook {
    /// From 1; the output layer is the last.
    pub layer: usize,
    /// Percentiles of Z and of the activation's input, over all units and of the first unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub z: Option<Percentiles>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub y: Option<Percentiles>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit_z: Option<Percentiles>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unit_y: Option<Percentiles>,
    /// Norms of the gradients of W, and of γ and β or b, before clipping.
    #[serde(default, deserialize_with = "number", skip_serializing_if = "Option::is_none")]
    pub weight_grad_norm: Option<f32>,
    #[serde(default, deserialize_with = "number", skip_serializing_if = "Option::is_none")]
    pub vector_grad_norm: Option<f32>,
}

/// Reads a number; null is NaN.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f32>, D::Error> {
    Ok(Some(Option::deserialize(deserializer)?.unwrap_or(f32::NAN)))
}

impl Look {
    /// All values that an engine recorded in `step`.
    pub fn new(step: u64, layers: &[LayerWatch]) -> Look {
        let of_layer = |(at, seen): (usize, &LayerWatch)| LayerLook {
            layer: at + 1,
            z: Some(seen.before),
            y: Some(seen.after),
            unit_z: Some(seen.unit_before),
            unit_y: Some(seen.unit_after),
            weight_grad_norm: Some(seen.weight_grad_norm),
            vector_grad_norm: Some(seen.vector_grad_norm),
        };
        Look { step, watch: layers.iter().enumerate().map(of_layer).collect() }
    }

    /// The requested values alone.
    pub fn only(&self, asked: &[Watched]) -> Look {
        let mut look = self.clone();
        for layer in &mut look.watch {
            if !asked.contains(&Watched::Activations) {
                (layer.z, layer.y, layer.unit_z, layer.unit_y) = (None, None, None, None);
            }
            if !asked.contains(&Watched::Gradients) {
                (layer.weight_grad_norm, layer.vector_grad_norm) = (None, None);
            }
        }
        look
    }
}

/// `metrics.jsonl`: one JSON object a line, in the order of the steps.
pub fn metrics_jsonl(epochs: &[EpochMetrics], looks: &[Look]) -> String {
    let (mut text, mut looks) = (String::new(), looks.iter().peekable());
    let line = |look: &Look| serde_json::to_string(look).unwrap_or_default() + "\n";
    for epoch in epochs {
        while let Some(look) = looks.next_if(|look| look.step < epoch.step) {
            text += &line(look);
        }
        text += &(Value::Object(epoch.fields()).to_string() + "\n");
    }
    text + &looks.map(line).collect::<String>()
}

/// `metrics.csv`: the same keys as header, null as an empty field. Every number reads back as the same f64.
pub fn metrics_csv(epochs: &[EpochMetrics]) -> String {
    let Some(first) = epochs.first() else { return String::new() };
    let header: Vec<String> = first.fields().keys().cloned().collect();
    let row = |epoch: &EpochMetrics| {
        let field = |value: &Value| if value.is_null() { String::new() } else { value.to_string() };
        epoch.fields().values().map(field).collect::<Vec<_>>().join(",")
    };
    let rows = std::iter::once(header.join(",")).chain(epochs.iter().map(row));
    rows.map(|row| row + "\n").collect()
}

/// Writes both files, whole.
pub fn write_metrics(
    jsonl: &Path,
    csv: &Path,
    epochs: &[EpochMetrics],
    looks: &[Look],
) -> Result<(), RunError> {
    write_whole(jsonl, metrics_jsonl(epochs, looks).as_bytes())?;
    match write_whole(csv, metrics_csv(epochs).as_bytes()) {
        // The CSV only repeats the record, so a spreadsheet that has it open must not end the training.
        Err(error) if is_held(&error.cause) => {
            log::warn!("{}: not updated, another program has it open", csv.display());
            Ok(())
        }
        result => Ok(result?),
    }
}

/// Reads the epochs and watched steps of `metrics.jsonl`; none if the file does not exist.
///
/// Null is read as NaN, in `val_*` as "no validation set". Errors: [`RunError::File`], or [`RunError::Metrics`] with
/// the line.
pub fn read_metrics(path: &Path) -> Result<(Vec<EpochMetrics>, Vec<Look>), RunError> {
    match std::fs::read(path) {
        Ok(text) => parse_jsonl(path, &text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Default::default()),
        Err(error) => Err(RunError::io("read", path, error)),
    }
}

/// Parses `text`; `path` is for the error.
fn parse_jsonl(path: &Path, text: &[u8]) -> Result<(Vec<EpochMetrics>, Vec<Look>), RunError> {
    let (mut epochs, mut looks) = (Vec::new(), Vec::new());
    let lines = text.split(|&byte| byte == b'\n').enumerate();
    for (n, line) in lines.filter(|(_, line)| !line.trim_ascii().is_empty()) {
        let fields: Result<Map<String, Value>, String> =
            serde_json::from_slice(line).map_err(|error| format!("not a JSON object ({error})"));
        let read = fields.and_then(|fields| match fields.contains_key("watch") {
            true => {
                let look =
                    serde_json::from_value(Value::Object(fields)).map_err(|error| error.to_string())?;
                looks.push(look);
                Ok(())
            }
            false => EpochMetrics::from_fields(&fields).map(|epoch| epochs.push(epoch)),
        });
        read.map_err(|what| RunError::Metrics { path: path.to_owned(), line: n + 1, what })?;
    }
    Ok((epochs, looks))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(n: u64) -> EpochMetrics {
        EpochMetrics {
            epoch: n,
            step: 23 * n,
            lr: 1e-3,
            train_loss: 0.1 + 0.2,
            train_score: Score::Accuracy(1.0 / 3.0),
            val_loss: Some(5e-324),
            val_score: Some(Score::Accuracy(0.95)),
            grad_norm: 1.7976931348623157e308,
            samples_per_s: 21_345.678,
            wall_s: -0.0,
        }
    }

    fn round_trip(epochs: &[EpochMetrics]) -> Vec<EpochMetrics> {
        let dir = tempfile::tempdir().unwrap();
        let (jsonl, csv) = (dir.path().join("metrics.jsonl"), dir.path().join("metrics.csv"));
        write_metrics(&jsonl, &csv, epochs, &[]).unwrap();
        read_metrics(&jsonl).unwrap().0
    }

    #[test]
    fn looks_stand_between_the_epochs_and_keep_the_requested_values() {
        let seen = LayerWatch {
            before: Percentiles([f32::NEG_INFINITY, -0.1, 1e-45, 16_777_217.0, f32::NAN]),
            weight_grad_norm: f32::INFINITY,
            ..LayerWatch::default()
        };
        let both = [Watched::Activations, Watched::Gradients];
        for asked in [&both[..], &both[..1], &both[1..]] {
            let looks =
                [0, 1, 23, 30, 99].map(|step| Look::new(step, &[seen.clone(), seen.clone()]).only(asked));
            let text = metrics_jsonl(&[epoch(1), epoch(2)], &looks);
            let steps: Vec<Value> = text
                .lines()
                .map(|line| serde_json::from_str::<Value>(line).unwrap()["step"].clone())
                .collect();
            assert_eq!(steps, [0, 1, 23, 23, 30, 46, 99]);
            let line: Value = serde_json::from_str(text.lines().nth(3).unwrap()).unwrap();
            let layer = &line["watch"][1];
            assert_eq!(layer["layer"], 2);
            let (activations, gradients) = (asked.contains(&both[0]), asked.contains(&both[1]));
            assert_eq!(
                (layer.get("z").is_some(), layer.get("vector_grad_norm").is_some()),
                (activations, gradients)
            );
            if activations {
                assert!(layer["z"][0].is_null() && layer["z"][4].is_null());
                assert!(text.contains("[null,-0.1,1e-45,16777216.0,null]"), "{text}");
            }
            if gradients {
                assert_eq!(layer.get("weight_grad_norm"), Some(&Value::Null));
            }
            let (epochs, again) = parse_jsonl(Path::new("metrics.jsonl"), text.as_bytes()).unwrap();
            assert_eq!(epochs, [epoch(1), epoch(2)]);
            assert_eq!(metrics_jsonl(&epochs, &again), text);
        }
    }

    #[test]
    fn numbers_round_trip_exactly() {
        let mut epochs: Vec<EpochMetrics> = (1..=3).map(epoch).collect();
        epochs[1].val_loss = None;
        epochs[1].val_score = None;
        assert_eq!(round_trip(&epochs), epochs);
        assert!(round_trip(&epochs)[0].wall_s.is_sign_negative());

        let mut bits = 0x3ff0_0000_0000_0001_u64;
        for _ in 0..1000 {
            bits = bits.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            let train_loss = f64::from_bits(bits);
            let text = metrics_jsonl(&[EpochMetrics { train_loss, ..epoch(1) }], &[]);
            let back = parse_jsonl(Path::new("metrics.jsonl"), text.as_bytes()).unwrap().0[0].train_loss;
            assert!(back.to_bits() == bits || !train_loss.is_finite(), "{train_loss:e}");
        }
    }

    #[test]
    fn regression_has_its_own_keys() {
        let score = Score::Regression { rmse: 0.5, r2: -0.25 };
        let epoch = EpochMetrics { train_score: score, val_score: Some(score), ..epoch(1) };
        assert_eq!(round_trip(&[epoch]), [epoch]);
        let header = metrics_csv(&[epoch]).lines().next().unwrap().to_owned();
        assert_eq!(
            header,
            "epoch,step,lr,train_loss,train_rmse,train_r2,val_loss,val_rmse,val_r2,grad_norm,samples_per_s,wall_s"
        );
    }

    #[test]
    fn keys_keep_their_names_and_order() {
        let text = metrics_jsonl(&[epoch(1)], &[]);
        assert_eq!(
            text,
            "{\"epoch\":1,\"step\":23,\"lr\":0.001,\"train_loss\":0.30000000000000004,\
             \"train_acc\":0.3333333333333333,\"val_loss\":5e-324,\"val_acc\":0.95,\
             \"grad_norm\":1.7976931348623157e+308,\"samples_per_s\":21345.678,\"wall_s\":-0.0}\n"
        );
    }

    #[test]
    fn a_diverged_epoch_is_valid_json_and_an_empty_field() {
        let diverged = EpochMetrics {
            train_loss: f64::NAN,
            grad_norm: f64::INFINITY,
            val_loss: Some(f64::NEG_INFINITY),
            ..epoch(1)
        };
        let text = metrics_jsonl(&[diverged], &[]);
        let value: Value = serde_json::from_str(&text).unwrap();
        assert!(value["train_loss"].is_null() && value["grad_norm"].is_null());
        assert!(metrics_csv(&[diverged]).contains("0.001,,0.33"));
        let back = round_trip(&[diverged])[0];
        assert!(back.train_loss.is_nan() && back.val_loss.is_some_and(f64::is_nan));
    }

    #[test]
    fn a_missing_file_gives_no_epochs_and_a_bad_line_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.jsonl");
        assert_eq!(read_metrics(&path).unwrap(), (vec![], vec![]));
        let good = metrics_jsonl(&[epoch(1)], &[]);
        for (bad, expected) in [
            (good[..40].to_owned(), "not a JSON object"),
            ("[1]".into(), "not a JSON object"),
            (good.replace("\"step\":23", "\"step\":-23"), "\"step\" must be a whole number, it is -23"),
            (good.replace("\"lr\":0.001", "\"lr\":\"high\""), "\"lr\" must be a number or null"),
            (good.replace("train_loss", "loss"), "\"train_loss\" is missing"),
            ("\u{0}\u{ff}".into(), "not a JSON object"),
            (r#"{"step":1,"watch":[{"layer":1,"z":[1,2]}]}"#.into(), "invalid length 2"),
        ] {
            std::fs::write(&path, format!("{good}\n{bad}\n")).unwrap();
            let text = read_metrics(&path).unwrap_err().to_string();
            assert!(text.contains("metrics.jsonl, line 3") && text.contains(expected), "{text}");
        }
    }
}
