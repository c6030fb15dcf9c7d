//! The program from end to end: arguments, exit codes, files, signals.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use bngpu::run::{ModelFile, RunDir};
use serde_json::Value;

/// A small training that takes part of a second.
const SMALL: &[&str] = &["--hidden", "12", "--bn", "--lr", "0.01", "--epochs", "3", "--device", "cpu"];

fn bngpu() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bngpu"));
    command.env_remove("BNGPU_DATA").env("NO_COLOR", "1");
    command
}

fn run<I: AsRef<std::ffi::OsStr>>(args: impl IntoIterator<Item = I>) -> Output {
    bngpu().args(args).output().unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The one JSON object on stdout.
fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {}", stderr(output)))
}

#[track_caller]
fn assert_code(output: &Output, code: i32) {
    assert_eq!(output.status.code(), Some(code), "{}", stderr(output));
    assert!(!stderr(output).contains("internal error"), "{}", stderr(output));
}

/// Trains into `folder`, which must succeed.
#[track_caller]
fn train(folder: &Path, args: &[&str]) -> Output {
    let output = bngpu().arg("train").args(args).arg("-o").arg(folder).output().unwrap();
    assert_code(&output, 0);
    output
}

/// Tensors of both model files, and of the optimiser.
fn models(folder: &Path) -> Vec<ModelFile> {
    let load = |name: &str| {
        let mut file = ModelFile::load(&folder.join(name)).unwrap();
        // The metadata also hold clock times.
        file.metadata.clear();
        file.members.iter_mut().for_each(|member| member.settings.clear());
        file
    };
    vec![load("best.safetensors"), load("last.safetensors")]
}

/// The record without what depends on the clock.
fn record(folder: &Path) -> Vec<(u64, u64, f64, Option<f64>)> {
    let metrics = RunDir::open(folder).unwrap().read_metrics().unwrap().0;
    metrics.iter().map(|m| (m.epoch, m.step, m.train_loss, m.val_loss)).collect()
}

fn text(path: PathBuf) -> String {
    fs::read_to_string(path).unwrap()
}

#[test]
fn train_prints_one_object_and_writes_the_files_of_a_run() {
    let dir = tempfile::tempdir().unwrap();
    let run_dir = dir.path().join("a");
    let output = train(&run_dir, &[SMALL, &["--json"]].concat());
    let result = json(&output);
    let keys: Vec<&str> = result.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        keys.join(" "),
        "status run device engine seed members params epochs steps train_s samples_per_s \
         val_loss val_acc test_loss test_acc baseline"
    );
    assert_eq!(result["status"], "completed");
    assert_eq!(result["engine"], "cpu");
    assert_eq!(result["epochs"], 3);
    assert_eq!(result["params"], 64 * 12 + 24 + 120 + 10);
    assert!(result["test_acc"].as_f64().unwrap() > 0.5, "{result}");
    for file in
        ["config.toml", "env.json", "metrics.jsonl", "metrics.csv", "best.safetensors", "last.safetensors"]
    {
        assert!(run_dir.join(file).is_file(), "{file}");
    }
    assert_eq!(record(&run_dir).len(), 3);
    let told = stderr(&output);
    for part in ["device  ", "data    digits", "64 -> 12 + BN", "majority class", "next  bngpu eval"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    // Without --json, the summary goes to stdout.
    let printed = train(&dir.path().join("b"), SMALL);
    let (printed, told) = (String::from_utf8_lossy(&printed.stdout).into_owned(), stderr(&printed));
    assert!(
        printed.starts_with("trained 3 epochs, 69 steps in ") && printed.contains("majority class"),
        "{printed}"
    );
    assert!(told.contains("device  ") && !told.contains("majority class"), "{told}");
}

/// Watched steps stand between the epochs, change nothing else, and have plausible values.
fn watches(device: &str) {
    let dir = tempfile::tempdir().unwrap();
    let [plain, both, one] = ["plain", "both", "one"].map(|name| dir.path().join(name));
    let args = ["--hidden", "12", "--bn", "--lr", "0.01", "--epochs", "3", "--device", device];
    let args = [&args[..], &["--dropout", "0.2", "--clip-norm", "1"]].concat();
    train(&plain, &args);
    train(&both, &[&args[..], &["--watch", "Activations,gradients"]].concat());
    train(&one, &["--config", both.join("config.toml").to_str().unwrap(), "--watch", "gradients"]);
    assert_eq!((models(&both), record(&both)), (models(&plain), record(&plain)));
    assert!(text(both.join("config.toml")).contains("watch = [\"activations\", \"gradients\"]"));
    let lines = |run: &Path| -> Vec<Value> {
        text(run.join("metrics.jsonl")).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let all = lines(&both);
    let looks: Vec<&Value> = all.iter().filter(|line| line.get("watch").is_some()).collect();
    let steps: Vec<u64> = looks.iter().map(|look| look["step"].as_u64().unwrap()).collect();
    assert_eq!(steps, [0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 18, 22, 26, 32, 38, 46, 56, 68]);
    // Three epochs of 23 steps: the look of step 22 is before the first epoch's line, that of 26 after it.
    let epochs: Vec<usize> = (0..all.len()).filter(|&at| all[at].get("epoch").is_some()).collect();
    assert_eq!(epochs, [14, 18, 22]);
    assert_eq!(text(both.join("metrics.csv")).lines().count(), 1 + 3);
    for look in &looks {
        let layers = look["watch"].as_array().unwrap();
        assert_eq!(layers.len(), 2);
        for (at, layer) in layers.iter().enumerate() {
            assert_eq!(layer["layer"], at + 1);
            for key in ["z", "y", "unit_z", "unit_y"] {
                let values: Vec<f64> =
                    layer[key].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
                assert!(values.len() == 5 && values.is_sorted(), "{key}: {values:?}");
            }
            assert_eq!(layer["z"] == layer["y"], at == 1, "{layer}");
            assert!(layer["weight_grad_norm"].as_f64() > Some(0.0), "{layer}");
            assert!(layer["vector_grad_norm"].as_f64() > Some(0.0), "{layer}");
        }
    }
    // With batch normalisation the median is near 0 at first, and the 5 and 95 % percentiles are beyond -1 and 1.
    let first: Vec<f64> =
        looks[0]["watch"][0]["y"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
    assert!(first[2].abs() < 0.2 && first[0] < -1.0 && first[4] > 1.0, "{first:?}");
    let gradients = lines(&one);
    let of = |look: &Value| {
        look["watch"]
            .as_array()
            .map(|layers| layers.iter().map(|l| l["weight_grad_norm"].clone()).collect::<Vec<_>>())
    };
    assert_eq!(gradients.iter().map(of).collect::<Vec<_>>(), all.iter().map(of).collect::<Vec<_>>());
    assert!(gradients[0]["watch"][0].get("z").is_none(), "{}", gradients[0]);
}

#[test]
fn watched_steps_stand_between_the_epochs() {
    watches("cpu");
}

#[test]
#[ignore = "needs a GPU; scripts/test includes it"]
fn watched_steps_stand_between_the_epochs_gpu() {
    watches("gpu");
}

#[test]
fn the_configuration_of_a_run_repeats_it_bit_for_bit() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    train(&a, &[SMALL, &["--dropout", "0.1", "--schedule", "cosine", "--optimizer", "rmsprop"]].concat());
    train(&b, &["--config", a.join("config.toml").to_str().unwrap()]);
    assert_eq!(models(&a), models(&b));
    assert_eq!(record(&a), record(&b));
    assert_eq!(text(a.join("config.toml")), text(b.join("config.toml")));
}

#[test]
fn each_kind_of_error_has_its_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("x");
    let o = out.to_str().unwrap();
    for (code, args, words) in [
        (2, vec!["train", "--no-such-flag"], "no-such-flag"),
        (2, vec!["train", "-o", o, "--lr", "-1"], "--lr"),
        (2, vec!["train", "-o", o, "--config", "no-such.toml"], "no-such.toml"),
        (1, vec!["train", "-o", o, "--data", "no-such-data"], "no-such-data"),
        (
            1,
            vec!["train", "-o", o, "--device", "cpu", "--test-split", "0", "--hidden", "65536x3"],
            "--hidden",
        ),
        (5, vec!["train", "-o", o, "--device", "no such device"], "no such device"),
        (5, vec!["train", "-o", o, "--device", "cpu", "--precision", "f16"], "cooperative matrices"),
        (2, vec!["train", "-o", o, "--precision", "f8"], "f16"),
        (1, vec!["eval", o], "does not exist"),
        (1, vec!["predict", o, "--data", "digits"], "does not exist"),
        (1, vec!["resume", o], "does not exist"),
    ] {
        let output = run(&args);
        assert_code(&output, code);
        assert!(stderr(&output).contains(words), "{args:?}: {}", stderr(&output));
        assert!(output.stdout.is_empty(), "{args:?}");
        assert!(!out.exists(), "{args:?} left a folder");
    }
}

#[test]
fn a_training_that_diverges_keeps_its_last_good_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("x");
    let args = ["--device", "cpu", "--optimizer", "sgd", "--lr", "1e30", "--no-bn", "--json"];
    let output = bngpu().arg("train").args(args).arg("-o").arg(&out).output().unwrap();
    assert_code(&output, 4);
    assert_eq!(json(&output)["status"], "diverged");
    let told = stderr(&output);
    assert!(told.contains("diverged: NaN or infinity at step 2"), "{told}");
    assert!(told.contains("last.safetensors (step 0)"), "{told}");
    let last = ModelFile::load(&out.join("last.safetensors")).unwrap();
    assert_eq!(last.non_finite(), None);
    let again = run(["resume", out.to_str().unwrap()]);
    assert_code(&again, 4);
    assert!(stderr(&again).contains("nothing to resume"), "{}", stderr(&again));
}

#[test]
fn a_diverged_run_is_evaluated_by_its_last_good_checkpoint() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("x");
    let args = ["--device", "cpu", "--optimizer", "sgd", "--lr", "1e30", "--no-bn"];
    assert_code(&bngpu().arg("train").args(args).arg("-o").arg(&out).output().unwrap(), 4);
    let run_ = out.to_str().unwrap();
    for command in [&["eval", run_][..], &["predict", run_, "--data", "digits"]] {
        let output = run(command);
        assert_code(&output, 0);
        assert!(stderr(&output).contains("using last.safetensors of step 0"), "{}", stderr(&output));
    }
    let refused = run(["eval", run_, "--weights", "best"]);
    assert_code(&refused, 1);
}

#[test]
fn the_latest_weights_are_usable_if_the_best_are_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("x");
    train(&out, SMALL);
    fs::write(out.join("best.safetensors"), "no model").unwrap();
    let run_ = out.to_str().unwrap();
    let refused = run(["eval", run_]);
    assert_code(&refused, 1);
    assert!(stderr(&refused).contains("--weights last"), "{}", stderr(&refused));
    assert_code(&run(["eval", run_, "--weights", "last"]), 0);
}

#[test]
fn a_trained_run_without_its_latest_state_is_not_trained_again() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("x");
    train(&out, SMALL);
    fs::remove_file(out.join("last.safetensors")).unwrap();
    for file in ["metrics.jsonl", "best.safetensors"] {
        let output = run(["resume", out.to_str().unwrap()]);
        assert_code(&output, 1);
        let told = stderr(&output);
        assert!(told.contains("last.safetensors") && told.contains("restore it"), "{file}: {told}");
        if file == "metrics.jsonl" {
            fs::remove_file(out.join(file)).unwrap();
        }
    }
}

#[cfg(unix)]
#[test]
fn predictions_are_written_into_a_pipe() {
    use std::os::unix::fs::FileTypeExt;
    let dir = tempfile::tempdir().unwrap();
    let (out, pipe) = (dir.path().join("x"), dir.path().join("pipe"));
    train(&out, SMALL);
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let from = pipe.clone();
    let reader = std::thread::spawn(move || fs::read_to_string(from).unwrap());
    let output = run(["predict", out.to_str().unwrap(), "--data", "digits", "-o", pipe.to_str().unwrap()]);
    assert_code(&output, 0);
    // If the pipe were replaced, its reader would wait for ever.
    assert!(fs::symlink_metadata(&pipe).unwrap().file_type().is_fifo());
    let text = reader.join().unwrap();
    assert!(text.starts_with("row,label,p_0,") && text.lines().count() == 1798);
}

#[test]
fn a_run_is_repeated_from_any_folder() {
    let dir = tempfile::tempdir().unwrap();
    table(&dir.path().join("t.csv"), "label");
    let other = tempfile::tempdir().unwrap();
    let output = bngpu()
        .current_dir(&dir)
        .args([
            "train",
            "--data",
            "t.csv",
            "-o",
            "a",
            "--device",
            "CPU",
            "--epochs",
            "1",
            "--activation",
            "Tanh",
        ])
        .output()
        .unwrap();
    assert_code(&output, 0);
    let config = dir.path().join("a/config.toml");
    let output =
        bngpu().current_dir(&other).args(["train", "-o", "b", "--config"]).arg(&config).output().unwrap();
    assert_code(&output, 0);
    assert_eq!(text(config), text(other.path().join("b/config.toml")));
    assert!(text(dir.path().join("a/config.toml")).contains(&*dir.path().join("t.csv").to_string_lossy()));
}

#[test]
fn a_missing_device_of_training_is_replaced_with_a_note() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("x");
    train(&out, SMALL);
    let env = out.join("env.json");
    let mut changed: Value = serde_json::from_str(&text(env.clone())).unwrap();
    changed["engine"]["device"] = "Voodoo 2".into();
    fs::write(&env, changed.to_string()).unwrap();
    let run_ = out.to_str().unwrap();
    for command in [&["eval", run_][..], &["predict", run_, "--data", "digits"], &["resume", run_]] {
        let output = run(command);
        assert_code(&output, 0);
        assert!(stderr(&output).contains("no Voodoo 2"), "{}", stderr(&output));
    }
    // A missing device in --device is an error.
    assert_code(&run(["eval", run_, "--device", "Voodoo 2"]), 5);
}

#[test]
fn quiet_and_log_control_the_messages() {
    let dir = tempfile::tempdir().unwrap();
    let a = dir.path().join("a");
    let output = train(&a, &[SMALL, &["--json", "--quiet"]].concat());
    assert_eq!(stderr(&output), "");
    let output = train(&dir.path().join("b"), &[SMALL, &["--log", "debug", "--test-split", "0"]].concat());
    let told = stderr(&output);
    for part in ["INFO", "digits loaded in", "engine on native CPU engine", "checkpoint of step", "steps in"]
    {
        assert!(told.contains(part), "{part}: {told}");
    }
    // The suggested command works.
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let next = printed.lines().find_map(|line| line.strip_prefix("next  bngpu ")).unwrap();
    assert!(next.ends_with("--split val"), "{next}");
    assert_code(&run(next.split(' ')), 0);
    // An occupied folder is refused before anything is read.
    let output = run(["train", "--data", "no-such-data", "-o", a.to_str().unwrap()]);
    assert!(stderr(&output).contains("already holds a run"), "{}", stderr(&output));
}

#[test]
fn resuming_a_finished_run_repeats_its_result() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("x");
    let first = json(&train(&out, &[SMALL, &["--json"]].concat()));
    let before = models(&out);
    let again = run(["resume", out.to_str().unwrap(), "--json"]);
    assert_code(&again, 0);
    assert!(stderr(&again).contains("nothing to resume"), "{}", stderr(&again));
    assert_eq!(json(&again), first);
    assert_eq!(models(&out), before);
}

#[test]
fn damaged_and_foreign_files_are_named_and_refused() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("x");
    train(&out, SMALL);
    let refused = |command: &[&str], words: &[&str]| {
        let output = run(command);
        assert_code(&output, 1);
        words.iter().for_each(|word| assert!(stderr(&output).contains(word), "{word}: {}", stderr(&output)));
    };
    let run_ = out.to_str().unwrap();
    for (file, commands) in [
        ("last.safetensors", vec![vec!["resume", run_]]),
        (
            "best.safetensors",
            vec![vec!["resume", run_], vec!["eval", run_], vec!["predict", run_, "--data", "digits"]],
        ),
    ] {
        let whole = fs::read(out.join(file)).unwrap();
        let mut damaged = whole.clone();
        damaged[whole.len() / 2] ^= 1;
        for (content, word) in [(damaged, "checksum"), (whole[..whole.len() / 2].to_vec(), "cut short")] {
            fs::write(out.join(file), &content).unwrap();
            commands.iter().for_each(|command| refused(command, &[file, word]));
        }
        fs::write(out.join(file), &whole).unwrap();
    }
    // Files of another run are refused.
    let other = dir.path().join("other");
    train(&other, &[SMALL, &["--lr", "0.5"]].concat());
    for file in ["config.toml", "best.safetensors"] {
        let ours = fs::read(out.join(file)).unwrap();
        fs::copy(other.join(file), out.join(file)).unwrap();
        refused(&["resume", run_], &[file, "restore the file"]);
        fs::write(out.join(file), ours).unwrap();
    }
    let env = text(out.join("env.json"));
    let mut other: Value = serde_json::from_str(&env).unwrap();
    let ours = other["data_fingerprint"].as_str().unwrap().to_owned();
    other["data_fingerprint"] = "0123abcd".into();
    fs::write(out.join("env.json"), other.to_string()).unwrap();
    refused(&["resume", run_], &["digits", "0123abcd", &ours]);
    fs::write(out.join("env.json"), env).unwrap();
    assert_code(&run(["resume", run_]), 0);
}

/// `x,y,word,label,value`: the label and the value follow from the rest, with a gap here and there.
fn table(path: &Path, target: &str) {
    let mut text = format!("x,y,word,{target}\n");
    for i in 0..400u64 {
        let random = |salt: u64| ((i + salt) * 2_654_435_761 % 1000) as f64 / 500.0 - 1.0;
        let (x, y) = (random(1), random(77));
        let word = ["red", "green, dark", "blue"][i as usize % 3];
        let shift = if word == "blue" { 1.0 } else { 0.0 };
        let end = match target {
            "label" if x + y + shift > 0.3 => "\"yes, sir\"".to_owned(),
            "label" => "no".to_owned(),
            _ => (100.0 + 20.0 * (x + y + shift)).to_string(),
        };
        let x = if i % 29 == 0 { String::new() } else { x.to_string() };
        text += &format!("{x},{y},\"{word}\",{end}\n");
    }
    fs::write(path, text).unwrap();
}

#[test]
fn predictions_add_up_to_the_evaluation() {
    let dir = tempfile::tempdir().unwrap();
    let (data, out) = (dir.path().join("t.csv"), dir.path().join("x"));
    table(&data, "label");
    let data = data.to_str().unwrap();
    let args = ["--data", data, "--preset", "plain", "--device", "cpu", "--bn", "--epochs", "30"];
    train(&out, &[&args[..], &["--batch-size", "16"]].concat());
    let run_ = out.to_str().unwrap();
    let eval = json(&run(["eval", run_, "--data", data, "--json"]));
    assert_eq!((&eval["rows"], &eval["split"]), (&400.into(), &"all".into()));
    assert!(eval["acc"].as_f64().unwrap() > 0.9, "{eval}");

    let file = dir.path().join("p.csv");
    let output = run(["predict", run_, "--data", data, "-o", file.to_str().unwrap()]);
    assert_code(&output, 0);
    assert!(output.stdout.is_empty());
    let mut rows = csv::Reader::from_path(&file).unwrap();
    assert_eq!(rows.headers().unwrap(), vec!["row", "label", "p_no", "p_yes, sir"]);
    let mut truth = csv::Reader::from_path(data).unwrap();
    let (mut hits, mut loss, mut n) = (0, 0.0, 0);
    for (row, truth) in rows.records().zip(truth.records()) {
        let (row, truth) = (row.unwrap(), truth.unwrap());
        let class = &truth[3];
        hits += usize::from(&row[1] == class);
        loss -= row[if class == "no" { 2 } else { 3 }].parse::<f64>().unwrap().ln();
        n += 1;
    }
    assert_eq!(n, 400);
    assert_eq!(hits as f64 / 400.0, eval["acc"].as_f64().unwrap());
    assert!((loss / 400.0 - eval["loss"].as_f64().unwrap()).abs() < 1e-5, "{loss} {eval}");

    let lines = run(["predict", run_, "--data", data, "--json"]);
    let lines: Vec<Value> = String::from_utf8(lines.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 400);
    let p = lines[7]["probabilities"].as_object().unwrap();
    assert!((p.values().map(|p| p.as_f64().unwrap()).sum::<f64>() - 1.0).abs() < 1e-12);
    assert_eq!(lines[7]["row"], 7);
    // The split of the training is found again, without --data.
    let test = json(&run(["eval", run_, "--json"]));
    assert_eq!((&test["rows"], &test["split"]), (&40.into(), &"test".into()));
}

#[test]
fn a_huge_batch_holds_all_training_rows() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("x");
    train(&out, &[SMALL, &["--batch-size", "4294967295"]].concat());
    for args in [&["eval"][..], &["predict", "--data", "digits"]] {
        let output = bngpu().args(args).arg(&out).output().unwrap();
        assert_code(&output, 0);
    }
}

#[test]
fn a_regression_is_reported_in_its_own_units() {
    let dir = tempfile::tempdir().unwrap();
    let (data, out) = (dir.path().join("t.csv"), dir.path().join("x"));
    table(&data, "value");
    let data = data.to_str().unwrap();
    let args = ["--data", data, "--preset", "plain", "--device", "cpu", "--bn", "--epochs", "40", "--json"];
    let result = json(&train(&out, &[&args[..], &["--batch-size", "16"]].concat()));
    let number = |key: &str| result[key].as_f64().unwrap();
    assert!(number("test_rmse") < 0.5 * number("baseline"), "{result}");
    assert!(number("test_r2") > 0.8 && number("val_r2") > 0.8, "{result}");
    let run_ = out.to_str().unwrap();
    let eval = json(&run(["eval", run_, "--data", data, "--json"]));
    let output = run(["predict", run_, "--data", data]);
    let mut rows = csv::Reader::from_reader(&output.stdout[..]);
    assert_eq!(rows.headers().unwrap(), vec!["row", "value"]);
    let mut truth = csv::Reader::from_path(data).unwrap();
    let errors = rows.records().zip(truth.records());
    let number = |text: &str| text.parse::<f64>().unwrap();
    let errors = errors.map(|(row, truth)| (number(&row.unwrap()[1]) - number(&truth.unwrap()[3])).powi(2));
    let rmse = (errors.sum::<f64>() / 400.0).sqrt();
    assert!((rmse / eval["rmse"].as_f64().unwrap() - 1.0).abs() < 1e-4, "{rmse} {eval}");
}

#[test]
fn closed_output_is_no_error() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("x");
    train(&out, SMALL);
    let mut child = bngpu()
        .args(["predict", out.to_str().unwrap(), "--data", "digits"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_code(&output, 0);
    assert!(!stderr(&output).contains("error"), "{}", stderr(&output));
    // Nor is a closed stderr.
    let mut child = bngpu()
        .args(["train", "-o", dir.path().join("y").to_str().unwrap()])
        .args(SMALL)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn completions_are_written() {
    let output = run(["completions", "bash"]);
    assert_code(&output, 0);
    assert!(String::from_utf8_lossy(&output.stdout).contains("--bn-momentum"));
}
