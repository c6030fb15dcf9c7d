//! Predictions stay where training has been: clipped inputs, predictions within the range of the training targets, and a
//! note on a model that is worse than a constant.

use std::fs;
use std::path::Path;

use bngpu::run::ModelFile;
use serde_json::Value;

use crate::common::files::Random;
use crate::common::sweep::{ends_with, lines};

/// A training that takes part of a second, whose models share their validation rows.
const SMALL: &str =
    "--device cpu --hidden 16 --bn --epochs 12 --lr 0.01 --batch-size 16 --val-each 0 --json --quiet";

/// `a,b,y`: `rows` rows with inputs up to `size` in size, and y between `low` and `low` + 4 if `size` is 1.
fn write_table(path: &Path, rows: usize, size: f64, low: f64) {
    let mut random = Random(9);
    let mut text = String::from("a,b,y\n");
    for _ in 0..rows {
        let [a, b] = [0; 2].map(|_| size * random.unit());
        text += &format!("{a:.4},{b:.4},{:.4}\n", low + 2.0 + a + b);
    }
    fs::write(path, text).unwrap();
}

/// `command` for the run `out`, with further arguments; its JSON.
fn json(command: &str, out: &Path, args: &str) -> Value {
    let out = out.to_str().unwrap();
    let output = ends_with(0, command.split(' ').chain([out]).chain(args.split_whitespace()));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn train(data: &Path, out: &Path, args: &str) -> Value {
    let data = data.to_str().unwrap();
    json(&format!("train --data {data} {SMALL} {args} -o").replace("  ", " "), out, "")
}

/// Predictions of all rows of `data`.
fn predictions(out: &Path, data: &Path) -> Vec<f64> {
    let [out, data] = [out, data].map(|path| path.to_str().unwrap());
    let output = ends_with(0, ["predict", out, "--data", data]);
    let mut rows = csv::Reader::from_reader(&output.stdout[..]);
    rows.records().map(|row| row.unwrap()[1].parse().unwrap()).collect()
}

fn targets(data: &Path) -> Vec<f64> {
    let mut rows = csv::Reader::from_path(data).unwrap();
    rows.records().map(|row| row.unwrap()[2].parse().unwrap()).collect()
}

fn is_near(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-5 * b.abs()
}

fn number(json: &Value, key: &str) -> f64 {
    json[key].as_f64().unwrap_or_else(|| panic!("no number {key} in {json}"))
}

/// Asserts that the metrics of `eval` are those of the values that `predict` writes; `unit` is the standard deviation of
/// the training targets.
#[track_caller]
fn assert_evaluated_as_predicted(out: &Path, data: &Path, unit: f64) {
    let (found, truth) = (predictions(out, data), targets(data));
    let n = truth.len() as f64;
    let mse = found.iter().zip(&truth).map(|(p, y)| (p - y).powi(2)).sum::<f64>() / n;
    let mean = truth.iter().sum::<f64>() / n;
    let variance = truth.iter().map(|y| (y - mean).powi(2)).sum::<f64>() / n;
    let eval = json("eval", out, &format!("--json --data {}", data.display()));
    assert!(is_near(number(&eval, "rmse"), mse.sqrt()), "{mse} {eval}");
    assert!(is_near(1.0 - number(&eval, "r2"), mse / variance), "{mse} {variance} {eval}");
    assert!(is_near(number(&eval, "loss"), mse / unit.powi(2)), "{mse} {unit} {eval}");
}

/// The preprocessing that is stored with the best model.
fn preprocessing(out: &Path) -> Value {
    let file = ModelFile::load(&out.join("best.safetensors")).unwrap();
    serde_json::from_str(&file.metadata["preprocessing"]).unwrap()
}

#[test]
fn predictions_stay_within_the_range_of_the_training_targets() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let (near, far) = (path("near.csv"), path("far.csv"));
    write_table(&near, 400, 1.0, 0.1);
    write_table(&far, 200, 30.0, 0.1);
    for (name, args, is_clamped) in
        [("default", "", true), ("asked", "--clamp", true), ("free", "--no-clamp --no-clip-inputs", false)]
    {
        let out = path(name);
        let result = train(&near, &out, args);
        let target = &preprocessing(&out)["target"];
        let unit = 1.0 / number(&target["scale"], "factor");
        let found = predictions(&out, &far);
        if is_clamped {
            let [low, high] = [0, 1].map(|end| target["clamp"][end].as_f64().unwrap());
            let all = targets(&near);
            assert!(all.contains(&low) && all.contains(&high), "{target}");
            assert!(found.iter().all(|p| (low..=high).contains(p)), "{low} {high} {found:?}");
            assert!(found.contains(&low) && found.contains(&high), "nothing was clamped: {found:?}");
        } else {
            assert_eq!(target["clamp"], Value::Null);
            assert!(found.iter().any(|p| *p < 0.0), "{found:?}");
        }
        assert_evaluated_as_predicted(&out, &near, unit);
        assert_evaluated_as_predicted(&out, &far, unit);
        // The metrics at the end of the training are those of `eval`.
        for part in ["val", "test"] {
            let eval = json("eval", &out, &format!("--json --split {part}"));
            for metric in ["rmse", "r2", "loss"] {
                let trained = number(&result, &format!("{part}_{metric}"));
                assert!(is_near(trained, number(&eval, metric)), "{name}: {trained} {eval}");
            }
        }
    }
}

#[test]
fn predictions_are_limited_by_default_where_no_training_target_is_negative() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("t.csv");
    write_table(&data, 200, 1.0, -3.0);
    for (name, args, is_clamped) in [("default", "", false), ("asked", "--clamp", true)] {
        let out = dir.path().join(name);
        train(&data, &out, args);
        assert_eq!(preprocessing(&out)["target"]["clamp"].is_array(), is_clamped, "{name}");
    }
    let refused = ends_with(1, ["train", "--data", "digits", "--clamp", "--device", "cpu"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("--clamp") && said.contains("--task regress"), "{said}");
}

#[test]
fn the_test_metrics_of_a_sweep_are_those_of_its_model() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("t.csv");
    let out = dir.path().join("sweep");
    // Few training targets, so that test rows exceed their range.
    write_table(&data, 120, 1.0, 0.1);
    let (data, out_) = (data.to_str().unwrap(), out.to_str().unwrap());
    let args = format!(
        "sweep --data {data} --device cpu --hidden 16,8x2 --bn --lr 0.03,0.01 --epochs 30 --test-split 0.6 --val-split \
         0.3 --batch-size 16 --finalists 2 --final-seeds 2 --json --quiet -o {out_}"
    );
    ends_with(0, args.split_whitespace());
    let tested: Vec<f64> = lines(&out).iter().filter_map(|line| line["test_rmse"].as_f64()).collect();
    assert!(tested.len() >= 4, "{tested:?}");
    for model in fs::read_dir(out.join("models")).unwrap() {
        let model = model.unwrap().path();
        // Models of the search are not tested.
        if model.to_str().unwrap().ends_with("-seed-0") {
            continue;
        }
        let rmse = number(&json("eval", &model, "--json"), "rmse");
        assert!(tested.iter().any(|found| is_near(*found, rmse)), "{rmse} is not among {tested:?}");
    }
}

/// A run of a version without these guards: its files lack their keys.
#[test]
fn a_run_without_the_keys_continues_without_clipping_and_limits() {
    let dir = tempfile::tempdir().unwrap();
    let (data, out) = (dir.path().join("t.csv"), dir.path().join("old"));
    write_table(&data, 200, 1.0, 0.1);
    let trained = train(&data, &out, "--no-clip-inputs --no-clamp");
    let config = out.join("config.toml");
    let text = fs::read_to_string(&config).unwrap();
    let kept: Vec<&str> =
        text.lines().filter(|line| !line.starts_with("clip-inputs") && !line.starts_with("clamp")).collect();
    assert_eq!(kept.len() + 2, text.lines().count(), "{text}");
    fs::write(&config, kept.join("\n")).unwrap();
    for name in ["best.safetensors", "last.safetensors"] {
        let mut file = ModelFile::load(&out.join(name)).unwrap();
        let mut json: Value = serde_json::from_str(&file.metadata["preprocessing"]).unwrap();
        assert!(!json.to_string().contains("clip") && !json.to_string().contains("clamp"), "{json}");
        json["target"].as_object_mut().unwrap().remove("constant").unwrap();
        file.metadata.insert("preprocessing".into(), json.to_string());
        file.save(&out.join(name)).unwrap();
    }
    let resumed = json("resume --json", &out, "");
    for key in ["val_rmse", "test_rmse", "test_loss"] {
        assert_eq!(resumed[key], trained[key], "{key}");
    }
    let eval = json("eval", &out, "--json");
    assert!(is_near(number(&eval, "rmse"), number(&trained, "test_rmse")), "{eval} {trained}");
}

#[test]
fn a_model_that_is_worse_than_a_constant_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let (data, out) = (dir.path().join("t.csv"), dir.path().join("x"));
    let mut random = Random(4);
    let mut text = String::from("a,y\n");
    // Four of five rows are of one class, and the input is noise.
    (0..300)
        .for_each(|i| text += &format!("{:.4},{}\n", random.unit(), ["no", "yes"][usize::from(i % 5 == 0)]));
    fs::write(&data, text).unwrap();
    let (data, out_) = (data.to_str().unwrap(), out.to_str().unwrap());
    let untrained =
        format!("train --data {data} --device cpu --hidden 16 --epochs 1 --lr 1e-20 --seed 1 -o {out_}");
    let words = ["on the ", " rows, this model is less accurate than one that always", "lr-find"];
    let check = |output: std::process::Output| {
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).split_whitespace().collect::<Vec<_>>().join(" ");
        for word in words {
            assert!(said.contains(word.trim_end()), "{word}: {said}");
        }
    };
    check(ends_with(0, untrained.split(' ')));
    check(ends_with(0, ["eval", out_]));
}
