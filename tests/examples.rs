//! The examples run and print what they promise.

use std::path::Path;
use std::process::Command;

/// What an example prints, without its folder.
fn run(name: &str) -> String {
    let program = Path::new(env!("CARGO_BIN_EXE_bngpu"));
    let example =
        program.with_file_name("examples").join(name).with_extension(std::env::consts::EXE_EXTENSION);
    let output = Command::new(&example).output().unwrap_or_else(|e| panic!("{}: {e}", example.display()));
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    text
}

#[test]
fn train_writes_a_model_and_prints_its_test_score() {
    let text = run("train");
    // 64 x 64 + 64 x 64 weights with γ and β for each unit, and 64 x 10 weights with biases.
    assert!(text.starts_with(&format!("{} parameters on ", 2 * (64 * 64 + 128) + 64 * 10 + 10)), "{text}");
    assert!(
        text.contains("epoch 10") && text.contains("test loss ") && text.contains("weights in "),
        "{text}"
    );
}

#[test]
fn sweep_trains_every_trial_and_names_the_best() {
    let text = run("sweep");
    for trial in 0..12 {
        assert!(text.contains(&format!("trial {trial:2}  ")), "{text}");
    }
    assert!(text.lines().last().unwrap().starts_with("best: trial "), "{text}");
}

#[test]
fn own_events_end_a_training_early_with_its_best_model() {
    let text = run("own_events");
    let epochs = text.lines().filter(|line| line.starts_with("epoch ")).count();
    assert!(text.contains(&format!("stopped after {epochs} epochs")) && (1..50).contains(&epochs), "{text}");
    assert!(text.contains("test Accuracy(0.9"), "{text}");
}
