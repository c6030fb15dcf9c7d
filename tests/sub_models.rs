//! Networks of sub-models from end to end: what is trained, evaluated, predicted and stored.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use bngpu::run::ModelFile;
use serde_json::Value;

use crate::common::random_population::Rng;

fn bngpu(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bngpu"));
    command.env_remove("BNGPU_DATA").env("NO_COLOR", "1").current_dir(folder).args(args).output().unwrap()
}

#[track_caller]
fn said(folder: &Path, args: &[&str]) -> String {
    let output = bngpu(folder, args);
    assert_eq!(output.status.code(), Some(0), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A table of two numbers, whose target is a kind or a value.
fn table(path: &Path, seed: u64, rows: usize, kinds: bool) {
    let rng = &mut Rng(seed);
    let mut text = String::from("a,b,y\n");
    for _ in 0..rows {
        let (a, b) = (rng.normal(), rng.normal());
        let y = (2.0 * a).sin() + b * b;
        let y = if kinds { format!("k{}", (y + 1.0).clamp(0.0, 2.0) as u32) } else { format!("{y:.4}") };
        text += &format!("{a:.4},{b:.4},{y}\n");
    }
    fs::write(path, text).unwrap();
}

const TRAIN: &[&str] = &[
    "train",
    "--preset",
    "plain",
    "--data",
    "train.csv",
    "--sub-models",
    "3",
    "--bn",
    "--hidden",
    "12,9",
    "--lr",
    "1e-2",
    "--batch-size",
    "32",
    "--dropout",
    "0.1",
    "--device",
    "cpu",
    "--quiet",
    "--epochs",
    "6",
];

#[test]
fn the_score_is_that_of_the_mean_prediction() {
    for kinds in [true, false] {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path();
        table(&folder.join("train.csv"), 1, 400, kinds);
        table(&folder.join("new.csv"), 2, 300, kinds);
        said(folder, &[TRAIN, &["-o", "run"]].concat());
        let eval = said(folder, &["eval", "run", "--data", "new.csv", "--json"]);
        let eval: Value = serde_json::from_str(&eval).unwrap();
        let predicted = said(folder, &["predict", "run", "--data", "new.csv", "--json"]);
        let new = fs::read_to_string(folder.join("new.csv")).unwrap();
        let truth: Vec<&str> = new.lines().skip(1).map(|line| line.rsplit(',').next().unwrap()).collect();
        let loss = |(line, truth): (&str, &&str)| {
            let line: Value = serde_json::from_str(line).unwrap();
            match kinds {
                true => -line["probabilities"][*truth].as_f64().unwrap().ln(),
                false => (line["value"].as_f64().unwrap() - truth.parse::<f64>().unwrap()).powi(2),
            }
        };
        let losses: Vec<f64> = predicted.lines().zip(&truth).map(loss).collect();
        assert_eq!(losses.len(), truth.len());
        let mean = losses.iter().sum::<f64>() / losses.len() as f64;
        let (found, expected) = match kinds {
            true => (eval["loss"].as_f64().unwrap(), mean),
            false => (eval["rmse"].as_f64().unwrap(), mean.sqrt()),
        };
        assert!((found - expected).abs() < 1e-5 * (1.0 + expected), "{eval}: {expected}");
        // A network that has learned nothing has a loss of ln 3, or a deviation of 1.6.
        assert!(expected < if kinds { 0.8 } else { 1.0 }, "{expected}");
    }
}

#[test]
fn a_run_is_repeated_bit_by_bit_and_its_file_has_the_shared_weights_once() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    table(&folder.join("train.csv"), 3, 300, true);
    said(folder, &[TRAIN, &["-o", "one"]].concat());
    said(folder, &["train", "--config", "one/config.toml", "--quiet", "-o", "two"]);
    let member = |run: &str| {
        let mut file = ModelFile::load(&folder.join(run).join("last.safetensors")).unwrap();
        assert_eq!(file.members.len(), 1);
        file.members.remove(0)
    };
    let (model, again) = (member("one"), member("two"));
    assert!(model.layers == again.layers && model.optimizer == again.optimizer);
    let shapes: Vec<[usize; 2]> = model.layers.iter().map(|layer| layer.shape.weight()).collect();
    // The factors [S, I]; the shared weights [O, I]; the output layers [S O, I].
    assert_eq!(shapes, [[3, 2], [12, 2], [9, 12], [9, 9]]);
    let vectors: Vec<usize> = model.layers.iter().filter_map(|l| Some(l.bn.as_ref()?.weight.len())).collect();
    assert_eq!(vectors, [36, 27]);
}
