//! `bngpu sweep` and related commands, as a user runs them.

use std::path::Path;

use serde_json::Value;

use crate::common::sweep::{difference, ends_with, lines, output, trials};

/// The nine trials, on the embedded digits.
const NINE: &str = "--bn --lr 0.1,0.01,0.001 --beta1 0.8,0.88,0.9 --hidden 30x3 --epochs 3 --finalists 2 \
                    --final-seeds 2 --quiet";

fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

/// Runs a sweep with NINE and `more` into `folder`.
fn nine(folder: &Path, more: &str) {
    let folder = folder.display().to_string();
    let args = [words("sweep"), words(NINE), words(more), vec!["-o", &folder]].concat();
    ends_with(0, args);
}

#[test]
fn nine_trials_are_one_population_and_have_the_same_weights_on_two_queues_in_shards_and_alone() {
    same_weights_everywhere("--device cpu");
}

#[test]
#[ignore = "needs a GPU; scripts/test includes it"]
fn nine_trials_have_the_same_weights_everywhere_gpu() {
    same_weights_everywhere("--device gpu");
}

fn same_weights_everywhere(device: &str) {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    nine(&at("one"), device);
    let found = trials(&at("one"));
    let search = found.keys().filter(|(stage, ..)| stage == "search").count();
    assert_eq!((search, found.len()), (9, 9 + 4));
    // One population: all of them began before any ended.
    let times = lines(&at("one"));
    let of = |key: &str| {
        let search = times.iter().filter(|line| line["stage"] == "search");
        search.map(|line| line[key].as_f64().unwrap()).collect::<Vec<_>>()
    };
    let last_start = of("started").into_iter().fold(f64::MIN, f64::max);
    let first_end = of("ended").into_iter().fold(f64::MAX, f64::min);
    assert!(last_start <= first_end, "{last_start} {first_end}");

    nine(&at("two"), &format!("{device} --queues 2"));
    assert_eq!(difference(&at("one"), &at("two")), None);
    let queues: std::collections::BTreeSet<String> =
        lines(&at("two")).iter().map(|line| line["queue"].as_str().unwrap().to_owned()).collect();
    assert_eq!(queues.len(), 2, "{queues:?}");
    nine(&at("refilled"), &format!("{device} --population 2"));
    assert_eq!(difference(&at("one"), &at("refilled")), None);

    nine(&at("a"), &format!("{device} --shard 0/2"));
    nine(&at("b"), &format!("{device} --shard 1/2"));
    let path = |name: &str| at(name).display().to_string();
    ends_with(0, ["merge", &path("a"), &path("b"), "-o", &path("merged")]);
    ends_with(0, ["resume", "--quiet", &path("merged")]);
    assert_eq!(difference(&at("one"), &at("merged")), None);

    for trial in ["0", "4", "8"] {
        let said = ends_with(0, ["repro", &path("two"), "--trial", trial, "--json"]);
        let said: Value = serde_json::from_slice(&said.stdout).unwrap();
        let expected = &found[&("search".into(), trial.parse().unwrap(), 0)]["weights"];
        assert_eq!((&said["same"], &said["weights"]), (&Value::Bool(true), expected));
    }
}

#[test]
fn repro_reports_a_changed_trial() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("sweep");
    nine(&folder, "--device cpu");
    let text = std::fs::read_to_string(folder.join("trials.jsonl")).unwrap();
    std::fs::write(folder.join("trials.jsonl"), text.replace("\"lr\":0.001", "\"lr\":0.0010001")).unwrap();
    let path = folder.display().to_string();
    let said = ends_with(1, ["repro", &path, "--trial", "8"]);
    assert!(String::from_utf8_lossy(&said.stdout).contains("NOT the same"));
    let said = ends_with(2, ["repro", &path, "--trial", "9"]);
    assert!(String::from_utf8_lossy(&said.stderr).contains("no trial 9"));
}

#[test]
fn wrong_folders_and_flags_are_refused_with_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run").display().to_string();
    ends_with(0, ["train", "--epochs", "1", "--device", "cpu", "--quiet", "-o", &run]);
    for (code, args, expected) in [
        (2, vec!["repro", &run, "--trial", "0"], "is the run of one training, not a sweep"),
        (2, vec!["lr-find", "-o", &run], "lr-find writes no folder"),
        (2, vec!["lr-find", "--lr", "0.1"], "write --from and --to"),
        (2, vec!["lr-find", "--watch", "gradients"], "use --watch with `bngpu train`"),
        (2, vec!["sweep", "--trials", "5"], "no flag has a set or a range"),
    ] {
        let said = ends_with(code, args.iter().copied());
        let text = String::from_utf8_lossy(&said.stderr);
        assert!(text.contains(expected), "{args:?}: {text}");
    }
}

#[test]
fn other_commands_accept_the_kept_models() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("sweep");
    nine(&folder, "--device cpu --keep-models 3");
    let mut models: Vec<_> =
        std::fs::read_dir(folder.join("models")).unwrap().map(|entry| entry.unwrap().path()).collect();
    models.sort();
    assert_eq!(models.len(), 3 + 4, "{models:?}");
    let records = lines(&folder);
    for model in &models {
        let name = model.file_name().unwrap().to_str().unwrap();
        let record = records
            .iter()
            .find(|line| format!("trial-{}-seed-{}", line["trial"], line["seed"]) == name)
            .unwrap();
        let path = model.display().to_string();
        let said = ends_with(0, ["eval", &path, "--split", "val", "--json"]);
        let said: Value = serde_json::from_slice(&said.stdout).unwrap();
        // `eval` sums the rows in chunks of another size.
        let (loss, recorded) = (said["loss"].as_f64().unwrap(), record["val_loss"].as_f64().unwrap());
        assert!((loss - recorded).abs() <= 1e-6 * recorded, "{name}: {loss} {recorded}");
        assert_eq!(said["acc"], record["val_acc"], "{name}");
        if record["stage"] == "final" {
            let said = ends_with(0, ["eval", &path, "--json"]);
            let said: Value = serde_json::from_slice(&said.stdout).unwrap();
            assert_eq!(said["acc"], record["test_acc"], "{name}");
        } else {
            assert!(record["test_acc"].is_null() && record["test_loss"].is_null(), "{name}");
        }
    }
    // The winner again, by `train` and its own configuration.
    let config = models[0].join("config.toml").display().to_string();
    let again = dir.path().join("again");
    ends_with(0, ["train", "--config", &config, "--quiet", "-o", &again.display().to_string()]);
    let weights = |folder: &Path| {
        let mut file = bngpu::run::ModelFile::load(&folder.join("best.safetensors")).unwrap();
        file.metadata.clear();
        file.members.iter_mut().for_each(|member| member.settings.clear());
        file
    };
    assert_eq!(weights(&models[0]), weights(&again));
}

#[test]
fn a_limited_sweep_uses_its_time_keeps_to_it_and_compares_finalists() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("sweep");
    let limit = 8.0;
    let begin = std::time::Instant::now();
    let args = words(
        "sweep --device cpu --lr 1e-4..1e-1:log --hidden 16,32x2 --schedule cosine --epochs 9 --halving \
         --max-time 8s --quiet --json -o",
    );
    let said = ends_with(0, [args, vec![folder.to_str().unwrap()]].concat());
    let took = begin.elapsed().as_secs_f64();
    // Other tests run beside this one, so its end is not exact here.
    assert!((0.5 * limit..=2.0 * limit).contains(&took), "{took}");
    let said: Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!(said["best"]["unfinished"], Value::Null, "{said}");
    let winner = said["best"]["trial"].as_u64().unwrap();
    let records = lines(&folder);
    let finals: Vec<_> = records.iter().filter(|line| line["stage"] == "final").collect();
    assert!(finals.iter().any(|line| line["trial"] != finals[0]["trial"]), "two are compared: {finals:?}");
    let finished = |line: &&Value| line["trial"] == winner && line["status"] == "completed";
    assert!(records.iter().any(|line| finished(&line)), "trial {winner}: {records:?}");
    // Kept models are of finished trainings.
    for model in std::fs::read_dir(folder.join("models")).unwrap() {
        let name = model.unwrap().file_name().into_string().unwrap();
        let of = |line: &&Value| format!("trial-{}-seed-{}", line["trial"], line["seed"]) == name;
        assert_eq!(records.iter().find(of).unwrap()["status"], "completed", "{name}");
    }
}

#[test]
fn a_limit_that_is_too_short_is_an_error_that_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("sweep");
    let args = words("sweep --device cpu --lr 1e-3,1e-2 --max-time 1ms -o");
    let said = ends_with(1, [args, vec![folder.to_str().unwrap()]].concat());
    let said = String::from_utf8_lossy(&said.stdout);
    assert!(said.contains("--max-time 1ms is too short to train anything"), "{said}");
}

/// A sweep with an ensemble, and with models that are damaged before it is summed up again.
#[test]
fn a_sweep_ends_with_the_ensemble_of_its_models_that_can_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("sweep");
    let path = folder.display().to_string();
    let args = "sweep --device cpu --hidden 16,24,32 --lr 1e-2,2e-2 --epochs 6 --finalists 2 --final-seeds 3 --keep-models 4 --json -o";
    let said = ends_with(0, [words(args), vec![&path]].concat());
    let text = String::from_utf8_lossy(&said.stderr);
    assert!(text.contains("ensemble") && text.contains("(the ensemble)"), "{text}");
    let json = |output: std::process::Output| -> Value { serde_json::from_slice(&output.stdout).unwrap() };
    let first = json(said)["ensemble"].clone();
    let number = |of: &Value, key: &str| of[key].as_f64().unwrap_or_else(|| panic!("{key}: {of}"));
    let check = |of: &Value| {
        let weights = of["models"].as_array().unwrap().iter().map(|model| number(model, "weight"));
        let weights: Vec<f64> = weights.collect();
        assert!(weights.len() > 1 && (weights.iter().sum::<f64>() - 1.0).abs() < 1e-9, "{of}");
        let val = json(ends_with(0, ["eval", of["run"].as_str().unwrap(), "--split", "val", "--json"]));
        assert!((number(&val, "loss") / number(of, "val_loss") - 1.0).abs() < 1e-5, "{val} {of}");
        let eval = json(ends_with(0, ["eval", of["run"].as_str().unwrap(), "--json"]));
        assert_eq!(
            (number(&eval, "loss"), number(&eval, "acc")),
            (number(of, "test_loss"), number(of, "test_acc"))
        );
    };
    check(&first);
    assert_eq!(first["of"], 4 + 6);
    for command in ["report", "resume"] {
        let said = ends_with(2, [command, first["run"].as_str().unwrap()]);
        let said = String::from_utf8_lossy(&said.stderr);
        assert!(said.contains("is the ensemble at the end of a sweep"), "{said}");
    }
    let names = || {
        let mut names: Vec<_> =
            std::fs::read_dir(folder.join("models")).unwrap().map(|entry| entry.unwrap().path()).collect();
        names.sort();
        names
    };
    let largest = &first["models"][0];
    let damaged = format!("models/trial-{}-seed-{}", largest["trial"], largest["seed"]);
    let file = folder.join(damaged).join("best.safetensors");
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    let said = ends_with(0, ["resume", &path, "--json"]);
    let text = String::from_utf8_lossy(&said.stderr);
    assert!(text.contains("best.safetensors") && text.contains("goes without it"), "{text}");
    let second = json(said)["ensemble"].clone();
    check(&second);
    assert_eq!(second["of"], 9);
    assert!(
        second["models"]
            .as_array()
            .unwrap()
            .iter()
            .all(|model| model["trial"] != largest["trial"] || model["seed"] != largest["seed"])
    );
    // A single model is none, and the earlier ensemble does not stay.
    for model in &names()[1..] {
        std::fs::remove_file(model.join("best.safetensors")).unwrap();
    }
    let said = ends_with(0, ["resume", &path, "--json"]);
    assert_eq!(json(said)["ensemble"], Value::Null);
    assert!(!folder.join("ensemble").exists());
    // Nor has one shard of a sweep an ensemble.
    let shard = dir.path().join("shard").display().to_string();
    let said = ends_with(0, [words(args), vec![&shard, "--shard", "0/2"]].concat());
    assert_eq!(json(said)["ensemble"], Value::Null);
}

#[test]
fn diverged_trials_are_counted_and_the_others_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).display().to_string();
    let common = "sweep --device cpu --optimizer sgd --epochs 2 --quiet --json --finalists 0";
    let some = path("some");
    let said = ends_with(0, [words(common), vec!["--lr", "0.1,1e30", "-o", &some]].concat());
    let said: Value = serde_json::from_slice(&said.stdout).unwrap();
    assert_eq!((&said["completed"], &said["diverged"], &said["trials"]), (&1.into(), &1.into(), &2.into()));
    assert_eq!(said["best"]["params"]["lr"], 0.1);
    let diverged = lines(Path::new(&some)).into_iter().find(|line| line["status"] == "diverged").unwrap();
    assert!(diverged["reason"].as_str().unwrap().contains("NaN or infinity at step"), "{diverged}");
    let all = path("all");
    ends_with(4, [words(common), vec!["--lr", "1e30,1e31", "-o", &all]].concat());
}

#[test]
fn impossible_sweeps_are_refused_before_there_is_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("sweep").display().to_string();
    for (args, expected) in [
        ("--val-split 0", "write a share above 0"),
        ("--hidden 65536x64", "fewer or smaller --hidden layers"),
        ("--hidden 16,65536x9", "hidden 65536x9: the network needs"),
        ("--lr 1e-3..1e-1:log", "--trials"),
        ("--device nonsense", "no such device"),
    ] {
        let said = output([words("sweep --quiet"), words(args), vec!["-o", &folder]].concat());
        let text = String::from_utf8_lossy(&said.stderr);
        let code = if args.contains("device") { 5 } else { 2 };
        assert_eq!(said.status.code(), Some(code), "{args}: {text}");
        // On a machine without a Vulkan loader, no device has a name.
        let lacks_loader = code == 5 && text.contains("no Vulkan loader was found");
        assert!(text.contains(expected) || lacks_loader, "{args}: {text}");
        assert!(!Path::new(&folder).exists(), "{args}");
    }
}

#[test]
fn a_member_larger_than_memory_is_refused() {
    // 29 GB; a sweep takes half of what is free.
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let free = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:")?.trim().strip_suffix("kB"));
    if free.and_then(|free| free.trim().parse::<u64>().ok()).is_none_or(|kb| kb > 50 << 20) {
        println!("left out: this machine may have the memory");
        return;
    }
    let said = ends_with(2, words("sweep --device cpu --hidden 16,30000x3 --quiet"));
    let text = String::from_utf8_lossy(&said.stderr);
    assert!(
        text.contains("not enough memory for one member") && text.contains("fewer hidden units"),
        "{text}"
    );
}

#[test]
fn lr_find_reports_the_usable_range_with_and_without_batch_norm() {
    let args = "lr-find --device cpu --compare-bn --hidden 50x10 --activation sigmoid --optimizer sgd --rates 12 \
                --from 1e-3 --to 10 --quiet --json";
    let said = ends_with(0, words(args));
    let said: Value = serde_json::from_slice(&said.stdout).unwrap();
    let (plain, bn) = (&said["networks"][0], &said["networks"][1]);
    // Ten sigmoid layers do not train without batch normalisation, at any rate.
    assert_eq!((&plain["bn"], &plain["best"]), (&Value::Bool(false), &Value::Null), "{said}");
    let range = |key: &str| bn[key].as_f64().unwrap();
    assert!(range("lowest") <= range("best") && range("best") <= range("highest"), "{said}");
    assert!(range("highest") / range("lowest") > 3.0, "{said}");
}
