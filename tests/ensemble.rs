//! Ensembles from end to end: their predictions are the averages of their members', each of which is a run of its own.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use bngpu::run::{ModelFile, RunDir};
use serde_json::Value;

const MEMBERS: usize = 3;

fn bngpu(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bngpu"));
    command.env_remove("BNGPU_DATA").env("NO_COLOR", "1").args(args).output().unwrap()
}

#[track_caller]
fn ends_with(code: i32, args: &[&str]) -> Output {
    let output = bngpu(args);
    let told = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {told}");
    assert!(!told.contains("internal error"), "{told}");
    output
}

#[track_caller]
fn json(args: &[&str]) -> Value {
    let output = ends_with(0, args);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{e}: {args:?}"))
}

/// Trains an ensemble, and each of its members alone; the folders.
fn train(dir: &Path, settings: &[&str]) -> (String, Vec<String>, Value) {
    let name = |name: &str| dir.join(name).to_str().unwrap().to_owned();
    let together = name("together");
    let common = [&["train"], settings, &["--split-seed", "7", "--quiet"]].concat();
    let members = MEMBERS.to_string();
    let result =
        json(&[&common[..], &["--seed", "7", "--ensemble", &members, "--json", "-o", &together]].concat());
    let alone = |m: usize| {
        let (folder, seed) = (name(&format!("alone{m}")), (7 + m).to_string());
        ends_with(0, &[&common[..], &["--seed", &seed, "-o", &folder]].concat());
        folder
    };
    (together, (0..MEMBERS).map(alone).collect(), result)
}

/// What `predict` writes for each row, by the latest weights: probabilities, or the value.
fn predictions(run: &str, data: &str) -> Vec<Vec<f64>> {
    let output =
        ends_with(0, &["predict", run, "--data", data, "--json", "--weights", "last", "--device", "cpu"]);
    let row = |line: &str| -> Vec<f64> {
        let line: Value = serde_json::from_str(line).unwrap();
        match line.get("probabilities") {
            Some(p) => p.as_object().unwrap().values().map(|p| p.as_f64().unwrap()).collect(),
            None => vec![line["value"].as_f64().unwrap()],
        }
    };
    String::from_utf8(output.stdout).unwrap().lines().map(row).collect()
}

#[track_caller]
fn assert_averaged(together: &[Vec<f64>], alone: &[Vec<Vec<f64>>], tolerance: f64) {
    assert!(alone.iter().all(|of| of.len() == together.len()));
    let mut apart: f64 = 0.0;
    for (row, found) in together.iter().enumerate() {
        for (o, &found) in found.iter().enumerate() {
            let mean = alone.iter().map(|of| of[row][o]).sum::<f64>() / alone.len() as f64;
            assert!((found - mean).abs() <= tolerance, "row {row}, output {o}: {found} is not {mean}");
            apart = apart.max((alone[0][row][o] - mean).abs());
        }
    }
    assert!(apart > 1e3 * tolerance, "the members agree: nothing was averaged");
}

#[test]
fn an_ensemble_averages_the_probabilities_of_its_members() {
    let dir = tempfile::tempdir().unwrap();
    let settings = ["--hidden", "12", "--bn", "--lr", "0.01", "--epochs", "3", "--device", "cpu"];
    let (together, alone, result) = train(dir.path(), &settings);
    assert_eq!((&result["members"], &result["seed"]), (&3.into(), &7.into()));
    assert_eq!(result["params"], 3 * (64 * 12 + 24 + 120 + 10));

    // Each member has the weights of a run with its seed, bit for bit.
    let load = |run: &str| ModelFile::load(&Path::new(run).join("last.safetensors")).unwrap();
    let file = load(&together);
    for (m, (member, folder)) in file.members.iter().zip(&alone).enumerate() {
        let alone = load(folder).members.remove(0);
        assert_eq!((&member.layers, &member.optimizer), (&alone.layers, &alone.optimizer), "member {m}");
        assert_eq!(member.weight, 1.0 / 3.0);
        // Its settings repeat that run.
        assert_eq!(member.settings, alone.settings, "member {m}");
    }
    assert_ne!(file.members[0].layers, file.members[1].layers);

    let of = |run: &String| predictions(run, "digits");
    let alone: Vec<_> = alone.iter().map(of).collect();
    // Probabilities, rounded to 32 bits as logarithms.
    assert_averaged(&of(&together), &alone, 1e-6);

    // One line an epoch; the best one is that of the evaluation.
    let metrics = RunDir::open(Path::new(&together)).unwrap().read_metrics().unwrap().0;
    assert_eq!(metrics.iter().map(|m| m.epoch).collect::<Vec<_>>(), [1, 2, 3]);
    let lowest = metrics.iter().map(|m| m.val_loss.unwrap()).fold(f64::INFINITY, f64::min);
    assert!((result["val_loss"].as_f64().unwrap() / lowest - 1.0).abs() < 1e-5, "{result} {lowest}");
    for part in ["val", "test"] {
        let eval = json(&["eval", &together, "--split", part, "--json"]);
        assert_eq!(eval["members"], 3);
        for metric in ["loss", "acc"] {
            let (found, trained) = (&eval[metric], &result[format!("{part}_{metric}")]);
            assert_eq!(found, trained, "{part} {metric}");
        }
    }
    let told = String::from_utf8(ends_with(0, &["eval", &together]).stderr).unwrap();
    assert!(told.contains("ensemble of 3"), "{told}");
    ends_with(0, &["report", &together]);
    let page = fs::read_to_string(Path::new(&together).join("report.html")).unwrap();
    assert!(page.contains("ensemble of 3 such networks") && page.contains("--ensemble 3"), "no ensemble");
}

#[test]
fn models_that_hold_out_rows_of_their_own_are_validated_on_all_of_them() {
    let dir = tempfile::tempdir().unwrap();
    let folder = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let settings = ["--hidden", "12", "--bn", "--lr", "0.01", "--epochs", "3", "--device", "cpu"];
    let run = folder("run");
    let trained = ends_with(
        0,
        &[&["train"], &settings[..], &["--ensemble", "4", "--val-each", "0.1", "--json", "-o", &run]]
            .concat(),
    );
    let told = String::from_utf8_lossy(&trained.stderr);
    // A tenth of 1,617 rows each.
    assert!(told.contains("each of the 4 models holds out 162 validation rows of its own"), "{told}");
    let result: Value = serde_json::from_slice(&trained.stdout).unwrap();
    let metrics = RunDir::open(Path::new(&run)).unwrap().read_metrics().unwrap().0;
    let lowest = metrics.iter().map(|m| m.val_loss.unwrap()).fold(f64::INFINITY, f64::min);
    assert!((result["val_loss"].as_f64().unwrap() / lowest - 1.0).abs() < 1e-5, "{result} {lowest}");

    let eval = json(&["eval", &run, "--json"]);
    assert_eq!((&eval["loss"], &eval["acc"]), (&result["test_loss"], &result["test_acc"]));
    assert_eq!(json(&["eval", &run, "--split", "train", "--json"])["rows"], 1617);
    let refused = ends_with(1, &["eval", &run, "--split", "val"]);
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(told.contains("held out other rows") && told.contains("--split test"), "{told}");

    // The settings repeat it; a single model has no folds.
    let config = Path::new(&run).join("config.toml");
    assert!(fs::read_to_string(&config).unwrap().contains("\nval-each = 0.1\n"));
    let again = folder("again");
    ends_with(0, &["train", "--config", config.to_str().unwrap(), "-o", &again, "--quiet"]);
    let bytes = |run: &str| fs::read(Path::new(run).join("best.safetensors")).unwrap();
    assert_eq!(bytes(&run), bytes(&again));
    let single = folder("single");
    ends_with(0, &[&["train"], &settings[..], &["--val-each", "0.1", "-o", &single, "--quiet"]].concat());
    assert!(!fs::read_to_string(Path::new(&single).join("config.toml")).unwrap().contains("val-each"));
    let told = ends_with(2, &["sweep", "--lr", "1,2", "--val-each", "0.1"]).stderr;
    assert!(String::from_utf8_lossy(&told).contains("bngpu train --ensemble"));
}

/// A table whose target is never negative, so that predictions are limited to its range.
fn write_table(path: &Path) {
    let mut text = String::from("a,b,y\n");
    let mut state = 1u64;
    let mut random = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 33) as f64 / f64::from(1u32 << 31)
    };
    for _ in 0..300 {
        let (a, b) = (random(), random());
        text += &format!("{a:.5},{b:.5},{:.5}\n", (a - b).powi(2) + 0.1 * random());
    }
    fs::write(path, text).unwrap();
}

#[test]
fn on_a_table_each_model_holds_out_rows_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let folder = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let data = folder("t.csv");
    write_table(Path::new(&data));
    let common = ["train", "--data", &data, "--epochs", "2", "--hidden", "8", "--device", "cpu"];
    let with = |name: &str, flags: &[&str]| {
        let run = folder(name);
        let output = ends_with(0, &[&common[..], flags, &["--json", "-o", &run]].concat());
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        (run, told, serde_json::from_slice::<Value>(&output.stdout).unwrap())
    };
    // 270 rows are outside the test part. Each model holds out a twentieth of them, or the share that is asked for.
    for (name, flags, each) in [
        ("usual", &[][..], "14"),
        ("asked", &["--val-each", "0.1"], "27"),
        ("all", &["--val-each", "0.8"], "45"),
    ] {
        let (run, told, _) = with(name, flags);
        let expected = format!("each of the 6 models holds out {each} validation rows");
        assert!(told.contains(&expected), "{told}");
        // Its files say the same.
        ends_with(0, &["resume", &run, "--quiet"]);
        let again = folder(&format!("{name} again"));
        let config = Path::new(&run).join("config.toml");
        ends_with(0, &["train", "--config", config.to_str().unwrap(), "-o", &again, "--quiet"]);
        let bytes = |run: &str| fs::read(Path::new(run).join("best.safetensors")).unwrap();
        assert_eq!(bytes(&run), bytes(&again), "{name}");
    }
    // Half of the rows for each of two: all of them, whose variance is that of the file.
    let (_, _, halves) = with("halves", &["--ensemble", "2", "--val-each", "0.5", "--test-split", "0"]);
    let text = fs::read_to_string(&data).unwrap();
    let y: Vec<f64> =
        text.lines().skip(1).map(|line| line.rsplit(',').next().unwrap().parse().unwrap()).collect();
    let mean = y.iter().sum::<f64>() / y.len() as f64;
    let variance = y.iter().map(|y| (y - mean).powi(2)).sum::<f64>() / y.len() as f64;
    let [rmse, r2] = ["val_rmse", "val_r2"].map(|key| halves[key].as_f64().unwrap());
    assert!((r2 - (1.0 - rmse * rmse / variance)).abs() < 1e-4, "{halves}");

    for (name, flags, note) in [
        ("shared", &["--val-split", "0.2"][..], None),
        ("both", &["--val-split", "0.2", "--val-each", "0.1"], Some("--val-split has no effect")),
        ("single", &["--ensemble", "1", "--val-each", "0.1"], Some("--val-each has no effect")),
        ("plain", &["--preset", "plain"], None),
        ("many", &["--ensemble", "64", "--test-split", "0.8"], Some("too few rows for each to have its own")),
    ] {
        let told = with(name, flags).1.replace("\n        ", " ");
        match note {
            Some(note) => assert!(told.contains(note), "{name}: {told}"),
            None => assert!(!told.contains("holds out") && !told.contains("no effect"), "{name}: {told}"),
        }
    }
    let told = ends_with(0, &["train", "--epochs", "1", "--device", "cpu", "-o", &folder("digits")]).stderr;
    assert!(!String::from_utf8_lossy(&told).contains("validation rows"));
    let told = ends_with(2, &["lr-find", "--val-each", "0.1"]).stderr;
    assert!(String::from_utf8_lossy(&told).contains("lr-find trains one model"));
}

#[test]
fn an_ensemble_of_a_regression_averages_values_and_limits_their_mean() {
    let dir = tempfile::tempdir().unwrap();
    let data = dir.path().join("t.csv");
    write_table(&data);
    let data = data.to_str().unwrap();
    for (name, clamp) in [("free", "--no-clamp"), ("limited", "--clamp")] {
        let folder = dir.path().join(name);
        fs::create_dir(&folder).unwrap();
        let settings = ["--data", data, "--preset", "plain", clamp, "--hidden", "8", "--epochs", "4"];
        let settings = [&settings[..], &["--device", "cpu"]].concat();
        let (together, alone, result) = train(&folder, &settings);
        let found = predictions(&together, data);
        if clamp == "--no-clamp" {
            let alone: Vec<_> = alone.iter().map(|run| predictions(run, data)).collect();
            assert_averaged(&found, &alone, 1e-6);
        } else {
            assert!(found.iter().all(|p| p[0] >= 0.0), "{found:?}");
        }
        // The epoch's numbers, those at the end and those of `eval` are of the same predictions.
        let metrics = RunDir::open(Path::new(&together)).unwrap().read_metrics().unwrap().0;
        let lowest = metrics.iter().map(|m| m.val_loss.unwrap()).fold(f64::INFINITY, f64::min);
        let val = result["val_loss"].as_f64().unwrap();
        assert!((val / lowest - 1.0).abs() < 1e-5, "{name}: {val} {lowest}");
        let eval = json(&["eval", &together, "--split", "test", "--json"]);
        for metric in ["loss", "rmse", "r2"] {
            assert_eq!(eval[metric], result[format!("test_{metric}")], "{name} {metric}");
        }
    }
}

#[test]
fn one_member_is_a_run_as_any() {
    let dir = tempfile::tempdir().unwrap();
    let name = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    let settings = ["train", "--hidden", "8", "--epochs", "2", "--device", "cpu", "--quiet"];
    ends_with(0, &[&settings[..], &["-o", &name("plain")]].concat());
    ends_with(0, &[&settings[..], &["--ensemble", "1", "-o", &name("one")]].concat());
    let read = |run: &str, file: &str| fs::read(dir.path().join(run).join(file)).unwrap();
    // The others hold times of the clock.
    for file in ["config.toml", "best.safetensors"] {
        assert!(read("plain", file) == read("one", file), "{file}");
    }
    assert!(!String::from_utf8_lossy(&read("one", "config.toml")).contains("ensemble"));
}

#[test]
fn an_ensemble_that_ended_is_not_trained_again_and_another_number_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("x");
    let out = run.to_str().unwrap();
    let settings =
        ["train", "--hidden", "8", "--bn", "--epochs", "2", "--ensemble", "2", "--device", "cpu", "--quiet"];
    let told = ends_with(0, &[&settings[..], &["-o", out]].concat()).stdout;
    assert!(String::from_utf8_lossy(&told).contains("next"), "no summary");
    let told = ends_with(0, &["resume", out]).stderr;
    let told = String::from_utf8_lossy(&told);
    assert!(told.contains("nothing to resume") && told.contains("ensemble of 2"), "{told}");
    let config = run.join("config.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(&config, text.replace("ensemble = 2", "ensemble = 3")).unwrap();
    let told = ends_with(1, &["resume", out]).stderr;
    assert!(
        String::from_utf8_lossy(&told).contains("config.toml: does not hold the settings"),
        "{}",
        String::from_utf8_lossy(&told)
    );
}

#[test]
fn a_diverged_ensemble_names_its_member() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("x").to_str().unwrap().to_owned();
    let settings =
        ["train", "--optimizer", "sgd", "--lr", "1e30", "--ensemble", "2", "--device", "cpu", "-o", &out];
    let told = ends_with(4, &settings).stderr;
    let told = String::from_utf8_lossy(&told);
    assert!(told.contains("at step 2 in member 0 of the ensemble, which has seed 0"), "{told}");
    // It is evaluated by its last good checkpoint, as a model alone.
    let told = ends_with(0, &["eval", &out]).stderr;
    assert!(String::from_utf8_lossy(&told).contains("using last.safetensors of step 0"));
    ends_with(4, &["resume", &out]);
}

#[test]
fn the_library_trains_an_ensemble_without_a_folder() {
    use bngpu::data::{LoadRequest, Part, load};
    use bngpu::engine::CpuFactory;
    use bngpu::spec::RunRequest;
    use bngpu::train::{Session, Stop};
    let settings = "hidden = '8'\nbn = true\nepochs = 2\nensemble = 3\ndevice = 'cpu'";
    let request = RunRequest::from_toml(settings, "settings".as_ref()).unwrap();
    let dataset = load(&LoadRequest::from(&request.data)).unwrap();
    let session = Session::new(request, dataset, Box::new(CpuFactory::default())).unwrap();
    assert_eq!((session.members().len(), session.parameters()), (3, 3 * session.member().parameters()));
    let outcome = session.train(&mut (), &Stop::default()).unwrap();
    let model = outcome.model.unwrap();
    assert_eq!(model.members(), 3);
    let rows = model.preprocessing.read("digits", None, Part::Test).unwrap();
    let outputs = model.outputs(&CpuFactory::default(), rows).unwrap();
    for row in outputs.chunks_exact(10) {
        let sum: f64 = row.iter().map(|&z| f64::from(z).exp()).sum();
        assert!((sum - 1.0).abs() < 1e-5, "{sum}");
    }
    assert!(outcome.evaluations.iter().all(Option::is_some));
}

#[test]
#[ignore = "needs a GPU; scripts/test includes it"]
fn an_ensemble_on_a_gpu_has_the_members_of_runs_alone() {
    let dir = tempfile::tempdir().unwrap();
    let settings = ["--hidden", "12", "--bn", "--lr", "0.01", "--epochs", "2", "--device", "gpu"];
    let (together, alone, result) = train(dir.path(), &settings);
    let load = |run: &str| ModelFile::load(&Path::new(run).join("last.safetensors")).unwrap();
    for (member, folder) in load(&together).members.iter().zip(&alone) {
        assert_eq!(member.layers, load(folder).members[0].layers);
    }
    let eval = json(&["eval", &together, "--device", "gpu", "--json"]);
    assert_eq!(eval["loss"], result["test_loss"]);
}
