//! `bngpu bench`: its output, and the comparison with a baseline.

use std::process::{Command, Output};

use serde_json::{Value, json};

fn bench(args: &[&str]) -> Output {
    let all = ["bench", "--device", "cpu", "--case", "a", "--seconds", "0.05"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_bngpu"));
    command.args(all).args(args).output().expect("runs")
}

#[test]
fn a_measurement_slower_than_the_baseline_fails_and_others_pass() {
    let first = bench(&["--models", "1", "--json"]);
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    let mut measured: Value = serde_json::from_slice(&first.stdout).expect("one object");
    assert!(measured["ceilings"]["flops"].as_f64().is_some_and(|v| v > 1e8), "{measured}");
    let steps = measured["steps"].as_array().expect("steps");
    assert_eq!(steps.iter().map(|s| s["batch_norm"] == true).collect::<Vec<_>>(), [true, false]);
    let operations = measured["operations"].as_array().expect("operations");
    assert_eq!(operations.len(), 20, "{operations:?}");
    for line in steps.iter().chain(operations) {
        assert!(line["ms"].as_f64().is_some_and(|ms| ms > 0.0), "{line}");
    }

    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("baseline.json");
    let against = |baseline: &Value| {
        std::fs::write(&file, baseline.to_string()).expect("writes");
        let path = file.to_str().expect("a path");
        // Machines are noisy, so the tolerance is wide.
        bench(&["--models", "1", "--brief", "--baseline", path, "--tolerance", "20"])
    };
    let same = against(&measured);
    assert!(same.status.success(), "{}", String::from_utf8_lossy(&same.stderr));
    let table = String::from_utf8(same.stdout).expect("text");
    assert!(table.contains("x baseline") && table.contains("1 x a"), "{table}");

    let ms = measured["steps"][0]["ms"].as_f64().expect("ms");
    measured["steps"][0]["ms"] = json!(ms / 1000.0);
    let slower = against(&measured);
    assert_eq!(slower.status.code(), Some(1));
    let message = String::from_utf8_lossy(&slower.stderr).into_owned();
    assert!(message.contains("1 of 1 measurements took more than 20 times"), "{message}");

    for (key, value, part) in [
        ("/device", json!("another"), "was measured on another in f32, not on"),
        ("/precision", json!("f16"), "in f16, not on"),
        ("/steps/0/ms", json!(-1.0), "a time of -1 ms"),
        ("/steps/0/network", json!("784-1-10, relu, batch 2"), "none of these networks"),
        ("/steps", json!(null), "is not what `bench --json` prints"),
    ] {
        let mut other = measured.clone();
        *other.pointer_mut(key).expect(key) = value;
        if key.contains("network") {
            other["steps"].as_array_mut().expect("steps").truncate(1);
        }
        let output = against(&other);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{key}: {message}");
        assert!(message.contains(part), "{key}: {message}");
    }
}

#[test]
fn a_custom_network_is_measured_and_one_that_is_too_large_is_refused() {
    let bench = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bngpu"));
        command.args(["bench", "--device", "cpu", "--seconds", "0.05"]).args(args).output().expect("runs")
    };
    let output =
        bench(&["--hidden", "20,10", "--activation", "tanh", "--batch-size", "32", "--brief", "--json"]);
    let measured: Value = serde_json::from_slice(&output.stdout).expect("one object");
    let step = &measured["steps"][0];
    assert_eq!(step["network"], "784-20-10-10, tanh, batch 32");
    // 3 products per weight and row, 2 in the first layer (no gradient of the data); a multiply-add counts as two.
    let products = 2.0 * 32.0 * (2.0 * 784.0 * 20.0 + 3.0 * 20.0 * 10.0 + 3.0 * 10.0 * 10.0) / 1e9;
    let gflop = step["gflop"].as_f64().expect("a number");
    assert!(gflop > products && gflop < 1.5 * products, "{gflop} {products}");
    // Deep networks amplify rounding errors; the check allows for that.
    assert!(bench(&["--hidden", "50x40", "--brief"]).status.success());
    let large = bench(&["--hidden", "65536x3"]);
    let message = String::from_utf8_lossy(&large.stderr).into_owned();
    assert!(large.status.code() == Some(1) && message.contains("--hidden"), "{message}");
}

#[test]
fn the_cpu_engine_has_nothing_to_tune() {
    let output = bench(&["--models", "1", "--brief", "--tune"]);
    let message = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && message.contains("no kernel sizes to choose"), "{message}");
}

#[test]
fn invalid_arguments_are_wrong_usage() {
    for (args, part) in [
        (vec!["--case", "d"], "must be a, b or c"),
        (vec!["--models", "0"], "between 1 and 4096"),
        (vec!["--seconds", "0"], "more than 0"),
        (vec!["--seconds", "NaN"], "more than 0"),
        (vec!["--baseline", "/nowhere.json"], "/nowhere.json"),
        (vec!["--baseline", "Cargo.toml"], "is not what `bench --json` prints"),
        (vec!["--baseline", "Cargo.toml", "--tolerance", "0.5"], "at least 1"),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bngpu"));
        let output = command.args(["bench", "--device", "cpu"]).args(&args).output().expect("runs");
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{args:?}: {message}");
        assert!(message.contains(part), "{args:?}: {message}");
    }
}
