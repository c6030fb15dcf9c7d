//! Signals and kills: a run interrupted at any moment can be resumed, and ends in the weights of the uninterrupted run.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use bngpu::run::{ModelFile, RunDir};

/// Settings common to all trainings.
const ARGS: &[&str] = &["--hidden", "24,16", "--bn", "--schedule", "cosine", "--dropout", "0.05", "--quiet"];
const WATCH: &str = "--watch=activations,gradients";
/// Long enough to be interrupted (a second or so), with several epochs.
const CPU: &[&str] = &["--device", "cpu", "--batch-size", "8", "--epochs", "120", WATCH];
const ENSEMBLE: &[&str] =
    &["--device", "cpu", "--batch-size", "8", "--epochs", "60", "--ensemble", "3", "--val-each", "0.1"];
/// The same on the best GPU of the machine, software or not.
const GPU: &[&str] = &["--device", "gpu", "--batch-size", "64", "--epochs", "24", WATCH];
const GPU_ENSEMBLE: &[&str] =
    &["--device", "gpu", "--batch-size", "64", "--epochs", "16", "--ensemble", "3", "--val-each", "0.1"];

/// By default a process uses all cores, and 50 processes would wait for each other.
fn bngpu(command: &str) -> Command {
    let mut process = Command::new(env!("CARGO_BIN_EXE_bngpu"));
    process.arg(command).env("RAYON_NUM_THREADS", "1").stderr(Stdio::null()).stdout(Stdio::null());
    process
}

fn train(device: &[&str], folder: &Path) -> Command {
    let mut process = bngpu("train");
    process.args(ARGS).args(device).arg("-o").arg(folder);
    process
}

fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill").args([format!("-{name}"), child.id().to_string()]).status().unwrap();
    assert!(sent.success(), "the training was over before the signal");
}

/// Completes the run: resumes it, or trains if there is no run yet.
fn finish(device: &[&str], folder: &Path) {
    let code = if folder.join("config.toml").exists() {
        bngpu("resume").arg(folder).status().unwrap().code()
    } else {
        train(device, folder).status().unwrap().code()
    };
    assert_eq!(code, Some(0), "{}", folder.display());
}

/// Epoch, step, training loss and validation loss, as bits.
type Line = (u64, u64, u64, Option<u64>);

/// Tensors of both files, moments included; the record; and the looks, as in the file.
fn outcome(folder: &Path) -> (Vec<ModelFile>, Vec<Line>, Vec<String>) {
    let files = ["best.safetensors", "last.safetensors"].map(|name| {
        let mut file = ModelFile::load(&folder.join(name)).unwrap();
        file.metadata.clear(); // times of the clock
        file.members.iter_mut().for_each(|member| member.settings.clear());
        file
    });
    let metrics = RunDir::open(folder).unwrap().read_metrics().unwrap().0;
    let record =
        metrics.iter().map(|m| (m.epoch, m.step, m.train_loss.to_bits(), m.val_loss.map(f64::to_bits)));
    let text = std::fs::read_to_string(folder.join("metrics.jsonl")).unwrap();
    let looks = text.lines().filter(|line| line.contains("\"watch\"")).map(String::from).collect();
    (files.into(), record.collect(), looks)
}

#[test]
fn signals_write_a_checkpoint_and_resume_continues() {
    after_signals(CPU);
}

#[test]
#[ignore = "needs a GPU; scripts/test includes it"]
fn signals_write_a_checkpoint_and_resume_continues_gpu() {
    after_signals(GPU);
}

#[test]
fn fifty_runs_killed_and_resumed_equal_the_uninterrupted_run() {
    after_kills(CPU, 50);
}

#[test]
fn ensembles_killed_and_resumed_equal_the_uninterrupted_run() {
    after_kills(ENSEMBLE, 12);
}

#[test]
#[ignore = "needs a GPU; scripts/test includes it"]
fn ensembles_killed_and_resumed_equal_the_uninterrupted_run_gpu() {
    after_kills(GPU_ENSEMBLE, 6);
}

#[test]
#[ignore = "needs a GPU; scripts/test includes it"]
fn runs_killed_and_resumed_equal_the_uninterrupted_run_gpu() {
    after_kills(GPU, 15);
}

fn after_signals(device: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let whole = dir.path().join("whole");
    assert!(train(device, &whole).status().unwrap().success());
    let expected = outcome(&whole);
    assert!(expected.2.len() > 20, "{} looks", expected.2.len());
    for name in ["INT", "TERM"] {
        let part = dir.path().join(name);
        let mut child = train(device, &part).spawn().unwrap();
        let start = Instant::now();
        while !part.join("metrics.jsonl").exists() {
            assert!(start.elapsed() < Duration::from_secs(20), "no epoch within 20 s");
            std::thread::sleep(Duration::from_millis(2));
        }
        signal(&child, name);
        assert_eq!(child.wait().unwrap().code(), Some(130), "{name}");
        let last = ModelFile::load(&part.join("last.safetensors")).unwrap();
        assert!(last.metadata["state"].contains("\"ended\":null"), "{}", last.metadata["state"]);
        finish(device, &part);
        assert!(outcome(&part) == expected, "{name}: different weights than uninterrupted");
    }
}

fn after_kills(device: &[&str], kills: u64) {
    let dir = tempfile::tempdir().unwrap();
    let whole = dir.path().join("whole");
    let start = Instant::now();
    assert!(train(device, &whole).status().unwrap().success());
    let length = start.elapsed();
    let expected = outcome(&whole);
    let (mut within, mut twice) = (0, 0);
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut share = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random >> 11) as f64 / (1u64 << 53) as f64
    };
    for nth in 0..kills {
        let part = dir.path().join(format!("{nth}"));
        let mut process = train(device, &part);
        loop {
            let mut child = process.spawn().unwrap();
            std::thread::sleep(length.mul_f64(share()));
            // SIGKILL
            child.kill().unwrap();
            let killed = child.wait().unwrap().code().is_none();
            within += u64::from(killed && part.join("metrics.jsonl").exists());
            // Some are killed again while they resume.
            if !killed || !part.join("config.toml").exists() || share() < 0.7 {
                break;
            }
            twice += 1;
            process = bngpu("resume");
            process.arg(&part);
        }
        finish(device, &part);
        assert!(outcome(&part) == expected, "kill {nth}: different weights than uninterrupted");
        std::fs::remove_dir_all(&part).unwrap();
    }
    println!(
        "{device:?}: {kills} runs killed, {within} times within the training, {twice} times more while resuming"
    );
    assert!(within >= kills * 3 / 10, "only {within} of the kills hit the training after a checkpoint");
}
