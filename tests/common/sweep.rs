//! Runs sweeps with the program, and compares their records.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

/// Fields that depend on clocks and lanes, not on the study.
const CIRCUMSTANCES: [&str; 5] = ["wall_s", "queue", "slot", "started", "ended"];

/// `bngpu` with `args`, without output.
pub fn bngpu<'a>(args: impl IntoIterator<Item = &'a str>) -> Command {
    let mut process = Command::new(env!("CARGO_BIN_EXE_bngpu"));
    process.args(args).stdin(Stdio::null()).stderr(Stdio::null()).stdout(Stdio::null());
    process
}

/// Runs the program to its end and returns its output.
#[track_caller]
pub fn output<'a>(args: impl IntoIterator<Item = &'a str>) -> Output {
    bngpu(args).stderr(Stdio::piped()).stdout(Stdio::piped()).output().unwrap()
}

/// Runs the program to its end, and fails with its output if the exit code is not `code`.
#[track_caller]
pub fn ends_with<'a>(code: i32, args: impl IntoIterator<Item = &'a str>) -> Output {
    let output = output(args);
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    output
}

/// The complete lines of `trials.jsonl`.
pub fn lines(sweep: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(sweep.join("trials.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Every training by (stage, trial, seed), without [`CIRCUMSTANCES`]; fails on duplicates.
pub fn trials(sweep: &Path) -> BTreeMap<(String, u64, u64), Value> {
    let mut all = BTreeMap::new();
    for mut line in lines(sweep) {
        let key = (
            line["stage"].as_str().unwrap().to_owned(),
            line["trial"].as_u64().unwrap(),
            line["seed"].as_u64().unwrap(),
        );
        let fields = line.as_object_mut().unwrap();
        CIRCUMSTANCES.iter().for_each(|key| drop(fields.remove(*key)));
        assert_eq!(all.insert(key.clone(), line), None, "{key:?} is recorded twice");
    }
    all
}

/// The first difference of two sweeps' trainings.
pub fn difference(a: &Path, b: &Path) -> Option<String> {
    let (a, b) = (trials(a), trials(b));
    let keys: std::collections::BTreeSet<_> = a.keys().chain(b.keys()).collect();
    let differs = |key: &&&(String, u64, u64)| a.get(key) != b.get(key);
    let key = keys.iter().find(differs)?;
    let (Some(one), Some(other)) = (a.get(key), b.get(key)) else {
        let whole = if a.contains_key(key) { "first" } else { "second" };
        return Some(format!("{key:?} is only in the {whole}"));
    };
    let fields = one.as_object().unwrap().keys().filter(|&field| one[field] != other[field]);
    let text: Vec<String> = fields.map(|f| format!("{f}: {} and {}", one[f], other[f])).collect();
    Some(format!("{key:?} {}", text.join("\n")))
}
