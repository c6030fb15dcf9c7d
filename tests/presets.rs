//! `bngpu auto`, and the presets of `bngpu train`.

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::time::Instant;

use bngpu::run::ModelFile;
use bngpu::spec::preset::{Preset, Problem, Target};
use serde_json::Value;

use crate::common::files::Random;
#[cfg(unix)]
use crate::common::sweep::{bngpu, lines};
use crate::common::sweep::{ends_with, output};

const ROWS: usize = 300;

/// Houses: numbers, text, a missing cell in some rows, and a price or a class that follow from the others.
fn write_table(path: &Path, target: &str) {
    let mut random = Random(7);
    let mut text = format!("area,age,town,garden,{target}\n");
    for row in 0..ROWS {
        let (area, age) = (60.0 + 40.0 * random.unit(), 50.0 + 50.0 * random.unit());
        let town = ["Ulm", "Bonn", "Jena"][random.below(3)];
        let garden =
            if row % 23 == 5 { String::new() } else { format!("{:.1}", 100.0 + 100.0 * random.unit()) };
        let price = 3.0 * area - age + if town == "Bonn" { 80.0 } else { 0.0 } + 10.0 * random.unit();
        let target = match target {
            "price" => format!("{price:.1}"),
            _ => if price > 180.0 { "dear" } else { "cheap" }.into(),
        };
        writeln!(text, "{area:.1},{age:.1},{town},{garden},{target}").unwrap();
    }
    fs::write(path, text).unwrap();
}

#[track_caller]
fn json(args: &[&str]) -> Value {
    let output = ends_with(0, args.iter().copied());
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {args:?}"))
}

/// The settings of a run.
fn config(run: &Path) -> toml::Table {
    fs::read_to_string(run.join("config.toml")).unwrap().parse().unwrap()
}

/// The tensors of the latest weights.
fn weights(run: &Path) -> ModelFile {
    let mut file = ModelFile::load(&run.join("last.safetensors")).unwrap();
    file.metadata.clear();
    file.members.iter_mut().for_each(|member| member.settings.clear());
    file
}

#[test]
fn auto_gives_an_ensemble_within_its_time_that_eval_and_predict_take() {
    let dir = tempfile::tempdir().unwrap();
    // With folds, as usual, and without.
    for (target, score, more) in [("price", "rmse", &[][..]), ("class", "acc", &["--val-split", "0.1"])] {
        let (data, run) = (dir.path().join(format!("{target}.csv")), dir.path().join(target));
        write_table(&data, target);
        let (data, out) = (data.to_str().unwrap(), run.to_str().unwrap());
        let limit = 10.0;
        let begin = Instant::now();
        // Short trainings, so that several trials of three end on a busy machine, too.
        let args = ["--max-time", "10s", "--epochs", "1", "--device", "cpu", "--quiet", "--json", "-o", out];
        let result = json(&[&["auto", "--data", data, "--target", target], &args[..], more].concat());
        let took = begin.elapsed().as_secs_f64();
        // Other tests run beside this one, so its end is not exact here.
        assert!((0.4 * limit..=2.5 * limit).contains(&took), "{took}");
        let ensemble = &result["ensemble"];
        let number = |key: &str| ensemble[key].as_f64().unwrap_or_else(|| panic!("{key}: {result}"));
        let models = ensemble["models"].as_array().unwrap();
        let weights: Vec<f64> = models.iter().map(|model| model["weight"].as_f64().unwrap()).collect();
        assert!(models.len() >= 2 && number("of") >= models.len() as f64, "{ensemble}");
        assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-9 && weights.iter().all(|w| *w > 0.0));
        assert!(weights.is_sorted_by(|a, b| a >= b), "{weights:?}");

        assert_eq!(Path::new(ensemble["run"].as_str().unwrap()), run.join("ensemble"));
        let eval = json(&["eval", ensemble["run"].as_str().unwrap(), "--json"]);
        assert_eq!(eval["rows"], 30);
        for key in ["loss", score] {
            assert_eq!(eval[key].as_f64(), Some(number(&format!("test_{key}"))), "{key}: {eval} {ensemble}");
        }
        let on_val = ["eval", ensemble["run"].as_str().unwrap(), "--split", "val", "--json"];
        let told = output(on_val);
        if more.is_empty() && told.status.code() == Some(1) {
            // There was time for a second fold.
            assert!(String::from_utf8_lossy(&told.stderr).contains("held out other rows"));
        } else {
            let eval = json(&on_val);
            let val = eval["loss"].as_f64().unwrap();
            assert!((val / number("val_loss") - 1.0).abs() < 1e-4, "{eval} {ensemble}");
        }
        let predicted = ends_with(0, ["predict", &format!("{out}/ensemble"), "--data", data]);
        assert_eq!(String::from_utf8(predicted.stdout).unwrap().lines().count(), 1 + ROWS);
    }
}

#[cfg(unix)]
#[test]
fn an_interrupted_auto_is_resumed_and_ends_with_an_ensemble() {
    let dir = tempfile::tempdir().unwrap();
    let (data, run) = (dir.path().join("t.csv"), dir.path().join("run"));
    write_table(&data, "price");
    let (data, out) = (data.to_str().unwrap(), run.to_str().unwrap());
    let args = ["auto", "--data", data, "--max-time", "10s", "--epochs", "1", "--device", "cpu", "--quiet"];
    let mut child = bngpu([&args[..], &["-o", out]].concat()).spawn().unwrap();
    let begin = Instant::now();
    while !run.join("trials.jsonl").exists() || lines(&run).is_empty() {
        assert!(begin.elapsed().as_secs() < 60, "no training ended within 60 s");
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let id = child.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(!run.join("ensemble").exists());
    let before = lines(&run).len();
    let result = json(&["resume", out, "--quiet", "--json"]);
    assert!(lines(&run).len() > before && result["status"] == "completed" || result["status"] == "stopped");
    let eval = json(&["eval", &format!("{out}/ensemble"), "--json"]);
    assert_eq!(eval["loss"], result["ensemble"]["test_loss"], "{result}");
}

#[test]
fn auto_takes_images_too_and_refuses_rows_that_no_trial_can_be_compared_on() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("digits");
    let args = ["--trials", "3", "--epochs", "2", "--finalists", "0", "--device", "cpu", "--quiet", "--json"];
    let result = json(&[&["auto", "-o", out.to_str().unwrap()], &args[..]].concat());
    assert_eq!((&result["trials"], &result["best"]["params"]["embed"]), (&3.into(), &Value::Null));
    let none = dir.path().join("none");
    let said = ends_with(2, ["auto", "--val-split", "0", "-o", none.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&said.stderr);
    assert!(said.contains("--val-split is 0") && !none.exists(), "{said}");
}

#[test]
fn a_table_trains_the_default_preset_and_digits_the_plain_one() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("t.csv");
    write_table(&data, "price");
    let data = data.to_str().unwrap();
    let train = |name: &str, args: &[&str]| {
        let out = dir.path().join(name);
        let common = ["train", "--device", "cpu", "-o", out.to_str().unwrap()];
        let said = ends_with(0, [&common[..], args].concat());
        (out, String::from_utf8(said.stderr).unwrap())
    };
    let (table, said) = train("table", &["--data", data]);
    assert!(said.contains("preset  default") && said.contains("--preset plain"), "{said}");
    let (found, rows) = (config(&table), ROWS - 30 - 27);
    let problem = Problem { rows, target: Target::Value, is_table: true };
    let preset: toml::Table = Preset::Default.train(problem).parse().unwrap();
    assert!(found["ensemble"].as_integer() == Some(6) && found["embed"].as_str() == Some("ple:16"));
    for (key, value) in &preset {
        // The file has the layers as a list, the preset as text.
        assert!(found[key] == *value || key == "hidden", "{key}: {} is not {value}", found[key]);
    }
    assert_eq!(weights(&table).members.len(), 6);

    let (digits, said) = train("digits", &["--epochs", "1"]);
    assert!(!said.contains("preset"), "{said}");
    let found = config(&digits);
    assert!(found.get("ensemble").is_none() && found["embed"].as_str() == Some("none"));
    assert_eq!(found["bn"].as_bool(), Some(false));
    // By name, it is for digits, too.
    let args = ["--preset", "default", "--epochs", "1", "--ensemble", "2", "--hidden", "8"];
    assert_eq!(config(&train("named", &args).0)["bn"].as_bool(), Some(true));

    let small = ["--data", data, "--hidden", "8", "--steps", "20"];
    let flags = [&small[..], &["--no-bn", "--ensemble", "2", "--quiet"]].concat();
    let (flags, said) = train("flags", &flags);
    assert!(!said.contains("preset"), "{said}");
    let found = config(&flags);
    assert_eq!((found["steps"].as_integer(), found["ensemble"].as_integer()), (Some(20), Some(2)));
    assert!(found.get("epochs").is_none() && found["bn"].as_bool() == Some(false));
    assert_eq!(found["dropout"], preset["dropout"]);
    // A setting of the batch normalisation that the preset brings.
    let (bn, _) = train("bn", &[&small[..], &["--bn-eps", "1e-3", "--ensemble", "1"]].concat());
    assert_eq!(config(&bn)["bn-eps"].as_float(), Some(1e-3));
    // Layers are recorded of one model.
    let (watched, _) = train("watched", &[&small[..], &["--watch", "gradients"]].concat());
    assert!(config(&watched).get("ensemble").is_none());

    let (plain, said) = train("plain", &[&small[..], &["--preset", "plain"]].concat());
    assert!(!said.contains("preset"), "{said}");
    let found = config(&plain);
    assert!(found.get("ensemble").is_none() && found["embed"].as_str() == Some("none"));
    // Its file repeats it: a file describes the whole training.
    let file = plain.join("config.toml");
    let (again, _) = train("again", &["--config", file.to_str().unwrap()]);
    assert_eq!(config(&again), found);
    assert!(weights(&again) == weights(&plain));
    // One with few keys, too, has the usual defaults.
    let file = dir.path().join("few.toml");
    fs::write(&file, format!("data = '{data}'\nhidden = '8'\nsteps = 20\n")).unwrap();
    let (few, _) = train("few", &["--config", file.to_str().unwrap()]);
    assert!(weights(&few) == weights(&plain));
    let (best, _) =
        train("best", &["--config", file.to_str().unwrap(), "--preset", "best", "--ensemble", "2"]);
    assert_eq!((config(&best)["bn"].as_bool(), config(&best)["steps"].as_integer()), (Some(true), Some(20)));
}

/// The data decide the defaults, so a request is made twice; a pipe can be read only once.
#[cfg(unix)]
#[test]
fn a_configuration_may_come_through_a_pipe() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("f.toml");
    fs::write(&file, "hidden = [16]\nbn = true\nepochs = 1\n").unwrap();
    let out = dir.path().join("run");
    let args = ["train", "--config", "/dev/stdin", "--device", "cpu", "--quiet", "-o", out.to_str().unwrap()];
    let mut pipe =
        std::process::Command::new("cat").arg(&file).stdout(std::process::Stdio::piped()).spawn().unwrap();
    let ended = bngpu(args).stdin(pipe.stdout.take().unwrap()).output().unwrap();
    pipe.wait().unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let found = config(&out);
    assert_eq!(found["hidden"].as_array().unwrap().len(), 1);
    assert_eq!((found["epochs"].as_integer(), found["bn"].as_bool()), (Some(1), Some(true)));
}
