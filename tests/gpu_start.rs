//! The start of a GPU engine: pipelines are made on all cores, and the cache folder keeps files for later processes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use bngpu::engine::gpu::GpuOptions;
use bngpu::engine::gpu::kernels::Kernel;

use crate::common::gpu;

/// A short training with `cache` as the cache folder, on the GPU.
fn train(cache: &Path, run: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bngpu"));
    let args = "train --bn --hidden 16 --steps 4 --lr 1e-3 --device gpu --log info --output";
    command.env("BNGPU_CACHE", cache).args(args.split(' ')).arg(run);
    command
}

/// Its stderr, if it succeeds.
fn said(output: Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{text}");
    text
}

fn kept(cache: &Path) -> Option<PathBuf> {
    let files = fs::read_dir(cache).ok()?.map(|file| file.expect("an entry").path());
    let (kept, others): (Vec<_>, Vec<_>) =
        files.partition(|file| file.extension().is_some_and(|e| e == "pipelines"));
    assert!(others.is_empty() && kept.len() < 2, "{kept:?} {others:?}");
    kept.into_iter().next()
}

#[test]
#[ignore = "needs a GPU; scripts/test includes it"]
fn unusable_cached_pipelines_only_cause_a_warning() {
    let adapter = gpu::adapter();
    let folder = tempfile::tempdir().expect("a folder");
    let cache = folder.path().join("cache");
    let weights = |name: &str| {
        let run = folder.path().join(name);
        let text = said(train(&cache, &run).output().expect("runs"));
        (text, fs::read(run.join("best.safetensors")).expect("weights"))
    };
    let (_, first) = weights("first");
    if !adapter.features().contains(wgpu::Features::PIPELINE_CACHE) {
        eprintln!("left out: {} has no pipeline cache", adapter.get_info().name);
        assert_eq!(kept(&cache), None);
        return;
    }
    let path = kept(&cache).expect("pipelines are kept");
    let whole = fs::read(&path).expect("reads");
    let (text, again) = weights("again");
    assert!(!text.contains("ignored and rebuilt") && again == first, "{text}");

    let mut flipped = whole.clone();
    *flipped.last_mut().expect("not empty") ^= 1;
    let foreign = String::from_utf8_lossy(&whole).replacen("bngpu ", "bngpu 9", 1).into_bytes();
    let cases = [
        ("empty", Vec::new()),
        ("cut", whole[..whole.len() - 1].to_vec()),
        ("flipped", flipped),
        ("foreign", foreign),
    ];
    for (name, bytes) in cases {
        fs::write(&path, bytes).expect("writes");
        let (text, found) = weights(name);
        assert!(text.contains("ignored and rebuilt"), "{name}: {text}");
        assert!(found == first, "{name}: different weights");
        let (text, _) = weights(&format!("{name}-again"));
        assert!(!text.contains("ignored and rebuilt"), "{name}: it was not rebuilt: {text}");
    }

    // If the folder cannot be made, nothing is cached, and nothing fails.
    fs::remove_dir_all(&cache).expect("removes");
    fs::write(&cache, "").expect("writes");
    let (text, found) = weights("no-folder");
    assert!(text.contains("are not kept") && found == first, "{text}");
}

#[test]
#[ignore = "needs a GPU; scripts/test includes it"]
fn processes_that_cache_pipelines_at_once_leave_a_valid_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let cache = folder.path().join("cache");
    let start = |i: usize| train(&cache, &folder.path().join(i.to_string())).stderr(Stdio::piped()).spawn();
    let running: Vec<_> = (0..4).map(|i| start(i).expect("starts")).collect();
    for process in running {
        let text = said(process.wait_with_output().expect("ends"));
        assert!(!text.contains("ignored and rebuilt"), "{text}");
    }
    kept(&cache);
    let text = said(start(4).expect("starts").wait_with_output().expect("ends"));
    assert!(!text.contains("ignored and rebuilt"), "{text}");
}

/// Every pipeline of many devices: each device's from several threads at once, and several devices in turn.
#[test]
#[ignore = "needs a GPU; scripts/test includes it"]
fn pipelines_can_be_made_concurrently() {
    let device = gpu::device(GpuOptions::default());
    let most = device.ways.bindings;
    let kernels =
        || Kernel::ALL.iter().copied().filter(move |kernel| kernel.definition().bindings.len() <= most);
    assert!(most < 11 || kernels().count() == Kernel::ALL.len(), "{most} bindings");
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                for _ in 0..10 {
                    let device = gpu::device(GpuOptions::default());
                    device.prepare(kernels().chain(kernels()), &device.ways).expect("are made");
                    for kernel in kernels() {
                        device.pipeline(kernel, &device.ways).expect("is made");
                    }
                }
            });
        }
    });
}
