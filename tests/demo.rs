//! `bngpu demo`: its list, its errors and its files.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn demo(args: &[&str], folder: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bngpu"));
    command.current_dir(folder).arg("demo").args(args).output().expect("runs")
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn the_list_has_every_demonstration_in_both_languages() {
    let folder = tempfile::tempdir().expect("a folder");
    let names = [
        "paper",
        "steps",
        "learning-rate",
        "depth",
        "init",
        "shift",
        "gamma-beta",
        "regulariser",
        "batch-size",
        "inference",
        "inputs",
        "grid-or-random",
        "beta",
        "sgd-or-adam",
    ];
    for (lang, word) in [("en", "with BN"), ("zh", "有 BN")] {
        let output = demo(&["--list", "--lang", lang], folder.path());
        let list = String::from_utf8_lossy(&output.stdout).into_owned();
        let found: Vec<&str> = list.lines().filter_map(|line| line.split_whitespace().next()).collect();
        assert_eq!(found, names, "{list}");
        assert!(output.status.success() && list.contains(word), "{list}");
    }
}

#[test]
fn invalid_requests_fail_with_a_reason() {
    let folder = tempfile::tempdir().expect("a folder");
    let table = folder.path().join("few.csv");
    std::fs::write(&table, "x,y\n1,a\n2,b\n").expect("writes");
    let table = table.to_str().expect("a path");
    std::fs::create_dir(folder.path().join("run")).expect("a folder");
    std::fs::write(folder.path().join("run/config.toml"), "").expect("writes");
    let rows: String = (0..60).map(|row| format!("{},{}\n", row % 7, ["a", "b"][row % 2])).collect();
    let sixty = folder.path().join("sixty.csv");
    std::fs::write(&sixty, format!("x,y\n{rows}")).expect("writes");
    let sixty = sixty.to_str().expect("a path");
    for (args, code, part) in [
        (vec!["nothing"], 2, "or one of paper"),
        (vec![], 2, "<NAME>"),
        (vec!["paper", "--seeds", "0"], 2, "1..=100"),
        (vec!["paper", "--lang", "fr"], 2, "possible values: en, zh"),
        (vec!["paper", "--data", "no-such-data"], 1, "no-such-data"),
        (vec!["paper", "--data", table], 1, "stratified split"),
        (vec!["paper", "--device", "no-such-device"], 5, "no-such-device"),
        // 6 of these rows are test rows, too few to judge by.
        (vec!["paper", "--data", sixty], 1, "needs at least 20"),
        (vec!["paper", "--output", "few.csv/x"], 1, "few.csv/x"),
        // A run's report is not overwritten.
        (vec!["paper", "--output", "run"], 1, "run already holds a run (config.toml)"),
        (vec!["paper", "--hidden", "none"], 2, "paper needs at least 1"),
        (vec!["shift", "--hidden", "64"], 2, "--hidden has 1 layer, but shift needs at least 2"),
        (vec!["depth", "--hidden", "64,64"], 2, "depth sets its own layers"),
    ] {
        let output = demo(&args, folder.path());
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", stderr(&output));
        assert!(stderr(&output).contains(part), "{args:?}: {}", stderr(&output));
    }
    assert!(!folder.path().join("demos/paper-digits").exists());
}

#[test]
fn noise_gives_an_inconclusive_verdict() {
    let folder = tempfile::tempdir().expect("a folder");
    // A class that no feature predicts: the parity of the row, of which only the half is given.
    let rows: String =
        (0..600).map(|row| format!("{},{}\n", row / 2 * 37 % 101, ["a", "b"][row % 2])).collect();
    std::fs::write(folder.path().join("noise;$(id).csv"), format!("x,y\n{rows}")).expect("writes");
    let output = demo(
        &["batch-size", "--data", "noise;$(id).csv", "--seeds", "2", "--json", "--device", "cpu", "-o", "o"],
        folder.path(),
    );
    assert!(output.status.success(), "{}", stderr(&output));
    let printed: Value = serde_json::from_slice(&output.stdout).expect("one object");
    assert_eq!(printed["verdict"], "unclear", "{printed}");
    let sentence = printed["sentence"].as_str().expect("a sentence");
    assert!(sentence.starts_with("No network clearly learnt anything"), "{sentence}");
    // The command is safe to paste.
    let command = printed["measured_on"]["commands"]["batch-size"].as_str().expect("a command");
    assert!(command.contains("--data 'noise;$(id).csv'"), "{command}");
}

#[test]
fn a_demonstration_writes_figure_numbers_and_page() {
    let folder = tempfile::tempdir().expect("a folder");
    let args = [
        "paper", "--seeds", "2", "--hidden", "20,10", "--json", "--quiet", "--lang", "zh", "--device", "cpu",
    ];
    // A second run uses the same folder.
    let [_, output] = [0, 1].map(|_| demo(&args, folder.path()));
    assert!(output.status.success(), "{}", stderr(&output));
    let printed: Value = serde_json::from_slice(&output.stdout).expect("one object");
    let place = folder.path().join("demos/paper-digits");
    let read = |name: &str| std::fs::read(place.join(name)).expect(name);
    let stored: Value = serde_json::from_slice(&read("paper.json")).expect("JSON");
    assert_eq!(printed, stored);
    assert!(
        ["holds", "fails", "unclear"].contains(&printed["verdict"].as_str().expect("a verdict")),
        "{printed}"
    );
    assert_eq!(printed["numbers"]["with"].as_array().map(Vec::len), Some(2));
    assert_eq!(&read("paper.png")[..8], b"\x89PNG\r\n\x1a\n");
    let (svg, page) = (String::from_utf8(read("paper.svg")), String::from_utf8(read("report.html")));
    let (svg, page) = (svg.expect("UTF-8"), page.expect("UTF-8"));
    assert!(svg.contains("步数") && !svg.contains("NaN"), "{svg:.300}");
    assert!(String::from_utf8_lossy(&read("paper.en.svg")).contains("steps"));
    let sentence = printed["sentence"].as_str().expect("a sentence");
    assert!(
        page.contains(sentence)
            && page.contains("bngpu demo paper --device cpu --seeds 2 --hidden 20,10 --lang zh")
    );
    assert!(page.contains("隐藏层依次有 20、10 个 sigmoid 单元"), "{page:.300}");
}
