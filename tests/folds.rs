//! Folds for validation: a single model holds out one of them, and each seed of a sweep another.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::common::sweep::{ends_with, lines};

const SETTINGS: &[&str] = &["--hidden", "12", "--bn", "--epochs", "3", "--device", "cpu"];

fn json(args: &[&str]) -> Value {
    let output = ends_with(0, [args, &["--json"]].concat());
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {args:?}"))
}

fn told(output: &std::process::Output) -> String {
    String::from_utf8_lossy(&output.stderr).replace("\n        ", " ")
}

#[test]
fn a_model_holds_out_one_fold_and_is_evaluated_on_it() {
    let dir = tempfile::tempdir().unwrap();
    let folder = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let mut hits = 0.0;
    for (name, folds) in [("0", "4"), ("1", "1/4"), ("2", "2/4"), ("3", "3/4")] {
        let run = folder(name);
        let output = ends_with(0, [&["train"], SETTINGS, &["--folds", folds, "--json", "-o", &run]].concat());
        let expected = format!("4 folds of 404 rows; fold {name}, from 0, is held out for validation");
        assert!(told(&output).contains(&expected), "{}", told(&output));
        let result: Value = serde_json::from_slice(&output.stdout).unwrap();
        // 1,617 rows are outside the test part.
        for (split, rows) in [("val", 404), ("train", 1213), ("test", 180)] {
            let found = json(&["eval", &run, "--split", split]);
            assert_eq!(found["rows"], rows, "{split} of {folds}");
            if split != "train" {
                assert_eq!(found["loss"], result[format!("{split}_loss")], "{split} of {folds}");
                assert_eq!(found["acc"], result[format!("{split}_acc")], "{split} of {folds}");
            }
        }
        hits += result["val_acc"].as_f64().unwrap() * 404.0;
        // Its settings repeat it, and it resumes.
        let config = Path::new(&run).join("config.toml");
        assert!(fs::read_to_string(&config).unwrap().contains(&format!("\nfolds = \"{folds}\"\n")));
        ends_with(0, ["resume", &run, "--quiet"]);
        let again = folder(&format!("{name} again"));
        ends_with(0, ["train", "--config", config.to_str().unwrap(), "-o", &again, "--quiet"]);
        let bytes = |run: &str| fs::read(Path::new(run).join("best.safetensors")).unwrap();
        assert_eq!(bytes(&run), bytes(&again), "{folds}");
    }
    // Whole numbers of hits: each fold has these rows.
    assert!((hits - hits.round()).abs() < 1e-6, "{hits}");
}

#[test]
fn each_seed_of_a_sweep_holds_out_the_next_fold_and_the_ensemble_is_selected_by_all_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("sweep");
    let sweep = run.to_str().unwrap();
    let asked = [
        "--folds",
        "4",
        "--lr",
        "0.003,0.01,0.03",
        "--seeds",
        "2",
        "--final-seeds",
        "4",
        "--keep-models",
        "6",
    ];
    let output =
        ends_with(0, [&["sweep"], SETTINGS, &asked, &["--seed", "5", "--json", "-o", sweep]].concat());
    assert!(told(&output).contains("4 folds of 404 rows; the trainings of each seed"), "{}", told(&output));
    let result: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(fs::read_to_string(run.join("config.toml")).unwrap().contains("\nfolds = \"4\"\n"));

    // Seeds 5 and 6 are those of the search; 7 to 10 those of the final comparison.
    let mut losses: BTreeMap<u64, BTreeMap<u64, f64>> = BTreeMap::new();
    let mut finalists = BTreeSet::new();
    for record in lines(&run) {
        let [trial, seed] = ["trial", "seed"].map(|key| record[key].as_u64().unwrap());
        let fold = (seed - 5) % 4;
        let folder = run.join(format!("models/trial-{trial}-seed-{seed}"));
        let text = fs::read_to_string(folder.join("config.toml")).unwrap();
        let expected = if fold == 0 { "folds = \"4\"".into() } else { format!("folds = \"{fold}/4\"") };
        assert!(text.contains(&expected), "{text}");
        let found = json(&["eval", folder.to_str().unwrap(), "--split", "val"]);
        assert_eq!(found["rows"], 404);
        let (found, then) = (found["loss"].as_f64().unwrap(), record["val_loss"].as_f64().unwrap());
        assert!((found / then - 1.0).abs() < 1e-5, "{trial} {seed}: {found} {then}");
        if seed >= 7 {
            finalists.insert(trial);
        }
        losses.entry(trial).or_default().insert(seed, then);
    }
    assert!(finalists.len() >= 2, "{finalists:?}");
    for seed in ["6", "9"] {
        let trial = finalists.first().unwrap().to_string();
        ends_with(0, ["repro", sweep, "--trial", &trial, "--seed", seed]);
    }

    let ensemble = &result["ensemble"];
    let shares = ensemble["models"].as_array().unwrap();
    let trials: BTreeSet<u64> = shares.iter().map(|share| share["trial"].as_u64().unwrap()).collect();
    assert!(trials.is_subset(&finalists), "{trials:?} of {finalists:?}");
    // All models of a setting have the same share.
    assert_eq!(ensemble["of"], 4 * finalists.len(), "{ensemble}");
    let weight: f64 = shares.iter().map(|share| share["weight"].as_f64().unwrap()).sum();
    assert!((weight - 1.0).abs() < 1e-9);
    for trial in &trials {
        let of: Vec<f64> = shares
            .iter()
            .filter(|share| share["trial"] == *trial)
            .map(|share| share["weight"].as_f64().unwrap())
            .collect();
        assert!(of.len() == 4 && of.iter().all(|weight| *weight == of[0]), "{of:?}");
    }
    let text = ensemble["run"].as_str().unwrap();
    let refused = ends_with(1, ["eval", text, "--split", "val"]);
    assert!(told(&refused).contains("held out other rows"), "{}", told(&refused));
    let test = json(&["eval", text, "--split", "test"]);
    assert_eq!(test["rows"], 180);
    assert!(test["loss"].as_f64().unwrap() < 0.5, "{test}");
    // Each finalist held out each of the four folds, which are of one size, with one of its new seeds.
    let mean = |trial: &u64| (7..11).map(|seed| losses[trial][&seed]).sum::<f64>() / 4.0;
    let best = finalists.iter().map(mean).fold(f64::INFINITY, f64::min);
    let alone = ensemble["val_loss_alone"].as_f64().unwrap();
    assert!((alone / best - 1.0).abs() < 1e-5, "{alone} {best}");
    assert!(ensemble["val_loss"].as_f64().unwrap() <= alone, "{ensemble}");
}

#[test]
fn folds_that_cannot_be_are_refused() {
    for (args, expected) in [
        (&["train", "--folds", "1"][..], "2 to 64"),
        (&["train", "--folds", "65"], "2 to 64"),
        (&["train", "--folds", "4/4"], "0/10 to 9/10"),
        (&["sweep", "--lr", "1,2", "--folds", "x"], "a number of folds"),
        (&["train", "--folds", "4", "--val-each", "0.1", "--ensemble", "3"], "drop one of them"),
    ] {
        let told = told(&ends_with(2, args.iter().copied()));
        assert!(told.contains(expected), "{args:?}: {told}");
    }
    let dir = tempfile::tempdir().unwrap();
    let output = dir.path().join("run");
    let args =
        ["train", "--folds", "4", "--val-split", "0.2", "--epochs", "1", "-o", output.to_str().unwrap()];
    let told = told(&ends_with(0, args));
    assert!(told.contains("--val-split has no effect beside --folds"), "{told}");
}
