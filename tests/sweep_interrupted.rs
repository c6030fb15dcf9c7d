//! Sweeps killed at any moment: each training ends once, in the weights of the undisturbed sweep.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::files::Random;
use crate::common::sweep::{bngpu, difference, lines};

/// A mixed space with halving (at epochs 1 and 3, where some trainings end by themselves), trainings that wait, two
/// seeds of each trial, and a final comparison.
const ARGS: &[&str] = &[
    "sweep",
    "--hidden",
    "16,32-16,24x3",
    "--bn",
    "both",
    "--activation",
    "relu,tanh",
    "--batch-size",
    "16,64",
    "--lr",
    "1e-3..1e-1:log",
    "--strategy",
    "random",
    "--trials",
    "16",
    "--seeds",
    "2",
    "--epochs",
    "3,6,9",
    "--halving",
    "--finalists",
    "2",
    "--final-seeds",
    "2",
    "--population",
    "6",
    "--device",
    "cpu",
    "--quiet",
];

/// Members that embed the same table differently, with sub-models or without.
const RECIPES: &[&str] = &[
    "sweep",
    "--data",
    "table.csv",
    "--embed",
    "none,ple:4,ple:16",
    "--sub-models",
    "1,3",
    "--hidden",
    "16,24x2",
    "--lr",
    "1e-3..1e-1:log",
    "--strategy",
    "random",
    "--trials",
    "14",
    "--epochs",
    "9",
    "--halving",
    "--finalists",
    "2",
    "--final-seeds",
    "2",
    "--folds",
    "3",
    "--population",
    "4",
    "--device",
    "cpu",
    "--quiet",
];

fn start(folder: &Path, more: &[&str]) -> Command {
    start_of(ARGS, folder, more)
}

fn start_of(args: &[&str], folder: &Path, more: &[&str]) -> Command {
    let mut process = bngpu(args.iter().copied());
    process.args(more).arg("-o").arg(folder).env("BNGPU_CHECKPOINT_EVERY", "20ms");
    process
}

fn resume(folder: &Path) -> Command {
    let mut process = bngpu(["resume", "--quiet"]);
    process.arg(folder).env("BNGPU_CHECKPOINT_EVERY", "20ms");
    process
}

#[test]
fn sweeps_killed_at_random_and_resumed_equal_the_undisturbed_one() {
    let dir = tempfile::tempdir().unwrap();
    let (kills, between) = after_kills(dir.path(), ARGS, 10);
    assert!(kills >= 10 && between >= 3, "{kills} kills, {between} between two ends");
}

#[test]
fn sweeps_of_recipes_killed_and_resumed_equal_the_undisturbed_one() {
    let dir = tempfile::tempdir().unwrap();
    let mut random = Random(5);
    let mut text = String::from("a,b,color,y\n");
    for _ in 0..400 {
        let (a, b, color) = (random.unit(), random.unit(), random.below(3));
        text += &format!("{a:.4},{b:.4},c{color},{:.4}\n", (9.0 * a).sin() + b * color as f64);
    }
    std::fs::write(dir.path().join("table.csv"), text).unwrap();
    let (kills, between) = after_kills(dir.path(), RECIPES, 5);
    assert!(kills >= 5 && between >= 1, "{kills} kills, {between} between two ends");
    // Each embedding was trained to the end or stopped at a rung, with sub-models and without, and each trial is the same
    // alone.
    let whole = dir.path().join("whole");
    let records = lines(&whole);
    let mut seen = std::collections::BTreeMap::new();
    for record in records.iter().filter(|record| record["stage"] == "search") {
        let params = &record["params"];
        let recipe = (params["embed"].as_str().unwrap(), params["sub-models"].as_u64().unwrap());
        seen.insert(recipe, record["trial"].to_string());
    }
    let recipes = ["none", "ple:16", "ple:4"].into_iter().flat_map(|embed| [(embed, 1), (embed, 3)]);
    assert_eq!(seen.keys().copied().collect::<Vec<_>>(), recipes.collect::<Vec<_>>());
    for trial in seen.values() {
        let mut repro = bngpu(["repro", whole.to_str().unwrap(), "--trial", trial]);
        assert_eq!(repro.status().unwrap().code(), Some(0), "trial {trial}");
    }
}

/// Kills `sweeps` sweeps at random moments, some several times, resumes them and compares them with the undisturbed one
/// in `dir`/whole. The number of kills, and of those between two ends of trainings.
fn after_kills(dir: &Path, args: &[&str], sweeps: u64) -> (u64, u64) {
    let start = |folder: &Path, more: &[&str]| {
        let mut process = start_of(args, folder, more);
        process.current_dir(dir);
        process
    };
    let whole = dir.join("whole");
    let begin = Instant::now();
    assert!(start(&whole, &[]).status().unwrap().success());
    let length = begin.elapsed();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut share = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 11) as f64 / (1u64 << 53) as f64
    };
    let (mut kills, mut between) = (0, 0);
    for nth in 0..sweeps {
        let part = dir.join(nth.to_string());
        // Some resume with other lanes.
        let mut process = start(&part, if nth % 2 == 0 { &[] } else { &["--queues", "2"] });
        loop {
            let mut child = process.spawn().unwrap();
            std::thread::sleep(length.mul_f64(share() * 0.7));
            child.kill().unwrap(); // SIGKILL
            let killed = child.wait().unwrap().code().is_none();
            kills += u64::from(killed);
            let ended = if part.join("trials.jsonl").exists() { whole_lines(&part) } else { 0 };
            between += u64::from(killed && ended > 0);
            if !killed || (part.join("config.toml").exists() && share() < 0.4) {
                break;
            }
            process = match part.join("config.toml").exists() {
                true => resume(&part),
                false => start(&part, &[]),
            };
        }
        let end = resume(&part).stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8_lossy(&end.stderr);
        assert_eq!(end.status.code(), Some(0), "sweep {nth}: {said}");
        assert_eq!(difference(&whole, &part), None, "sweep {nth}");
        assert!(!part.join("unfinished").exists(), "sweep {nth}");
    }
    println!(
        "{sweeps} sweeps of {} trainings killed {kills} times, {between} between two ends",
        lines(&whole).len()
    );
    (kills, between)
}

fn whole_lines(sweep: &Path) -> usize {
    let text = std::fs::read_to_string(sweep.join("trials.jsonl")).unwrap_or_default();
    text.matches('\n').count()
}

#[test]
fn a_sweep_killed_between_its_first_two_files_starts_over() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, part) = (dir.path().join("whole"), dir.path().join("part"));
    assert!(start(&whole, &[]).status().unwrap().success());
    std::fs::create_dir(&part).unwrap();
    std::fs::copy(whole.join("config.toml"), part.join("config.toml")).unwrap();
    let end = resume(&part).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(end.status.code(), Some(0), "{}", String::from_utf8_lossy(&end.stderr));
    assert_eq!(difference(&whole, &part), None);
    // Trainings without env.json cannot be resumed.
    std::fs::remove_file(part.join("env.json")).unwrap();
    assert_eq!(resume(&part).status().unwrap().code(), Some(1));
}

#[test]
fn an_interrupted_sweep_stores_what_it_has_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (whole, part) = (dir.path().join("whole"), dir.path().join("part"));
    assert!(start(&whole, &[]).status().unwrap().success());
    for name in ["INT", "TERM"] {
        let mut child = start(&part, &[]).spawn().unwrap();
        let begin = Instant::now();
        while !part.join("trials.jsonl").exists() || whole_lines(&part) == 0 {
            assert!(begin.elapsed() < Duration::from_secs(60), "no training ended within 60 s");
            std::thread::sleep(Duration::from_millis(2));
        }
        let sent = Command::new("kill").args([format!("-{name}"), child.id().to_string()]).status().unwrap();
        assert!(sent.success(), "the sweep was over before the signal");
        assert_eq!(child.wait().unwrap().code(), Some(130));
        assert!(part.join("unfinished").exists() && part.join("report.html").exists());
        assert_eq!(resume(&part).status().unwrap().code(), Some(0));
        assert_eq!(difference(&whole, &part), None);
        // A second resume finds nothing to do.
        assert_eq!(resume(&part).status().unwrap().code(), Some(0));
        assert_eq!(difference(&whole, &part), None);
        std::fs::remove_dir_all(&part).unwrap();
    }
}
