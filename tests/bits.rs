//! The same settings give the same weights as in earlier versions, bit for bit.
//!
//! The digests were recorded with commit e1f5ea9, which did not clip inputs: hence `--no-clip-inputs` for tables. It had no
//! presets, either: hence `--preset plain`. Those of `table.csv` are newer, because it standardised one-hot inputs. A change
//! that has to alter them says so in CHANGELOG.md.

use std::path::Path;
use std::process::Command;

use sha2::{Digest, Sha256};

use crate::common::files::Random;
use crate::common::sweep::lines;

/// Arguments, and digests of the best and the latest weights.
const TRAININGS: &[(&str, &str, &str)] = &[
    ("--epochs 2 --hidden 24,12", "77b836b91c09320d", "da6542abb64a7755"),
    ("--epochs 2 --hidden 24,12 --bn", "c3c36c69305b7909", "8788e8a6d72964c3"),
    (
        "--epochs 2 --hidden 24,12 --bn --no-bn-affine --activation elu",
        "483d1bc2a6acc42a",
        "4b97a4721d9c896f",
    ),
    ("--epochs 2 --hidden 24,12 --bn --activation sigmoid", "1a49b67040070e89", "e1379714ffaee8ff"),
    ("--epochs 2 --hidden 24,12 --bn --activation gelu", "fd4a9a403b85c907", "a1195376926950e5"),
    ("--epochs 2 --hidden 24,12 --bn --activation silu", "ebef7b120b18706f", "be218f71c80b044f"),
    (
        "--epochs 2 --hidden 24,12 --bn --dropout 0.2 --l2 1e-3 --clip-norm 1",
        "af506cb0eba01b73",
        "1d252b13fa6d378d",
    ),
    (
        "--epochs 2 --hidden 24,12 --bn --weight-decay 0.01 --schedule cosine --warmup 10",
        "553789308328a985",
        "ea137550c29ba980",
    ),
    (
        "--epochs 2 --hidden 24,12 --optimizer sgd --momentum 0.9 --nesterov --lr 0.05 --schedule one-cycle",
        "eb8d20380fbcfc4a",
        "7c5f5bd6c62e432a",
    ),
    (
        "--epochs 2 --hidden 24,12 --optimizer rmsprop --schedule exponential",
        "ea07de1f29266499",
        "d8907f42bc76db01",
    ),
    ("--epochs 2 --hidden 24,12 --bn --watch activations,gradients", "c3c36c69305b7909", "8788e8a6d72964c3"),
    ("--epochs 2 --hidden none", "b4bbf931e9260b64", "28bc1d6ca7d9e595"),
    (
        "--epochs 1 --hidden 20x4 --bn --init normal:0.05 --batch-size 7",
        "469f639c37a5dcdc",
        "0182510834e42cfa",
    ),
    (
        "--data numbers.csv --target y --preset plain --no-clip-inputs --epochs 3 --hidden 24,12 --bn",
        "055e313883fbcd08",
        "0a959c624713dc63",
    ),
    (
        "--data numbers.csv --target y --preset plain --no-clip-inputs --epochs 2",
        "daf54317e2845495",
        "272a925d943d96d3",
    ),
    (
        "--data table.csv --target y --preset plain --no-clip-inputs --epochs 3 --hidden 24,12 --bn",
        "9ef6cce97da921d5",
        "de6c94bb5b1abf54",
    ),
    (
        "--data table.csv --target y --preset plain --no-clip-inputs --steps 37 --hidden 16 --schedule step --seed 5",
        "b122d50dd4b49003",
        "6bdf6bf33b9fa5c6",
    ),
];

/// Arguments, and the digest of all trainings: their epochs and weights. The first is newer than the others: its first
/// trials are compared with each other since then, so one stops earlier and another is a finalist.
const SWEEPS: &[(&str, &str)] = &[
    (
        "--bn --lr 1e-4..1e-1:log --beta1 0.8..0.99:ema --hidden 16,16x2 --trials 9 --epochs 9 --halving --finalists 2 --final-seeds 2",
        "acb57d6dcfbc4b13",
    ),
    ("--strategy tpe --lr 1e-4..1e-1:log --bn both --trials 6 --epochs 2 --population 2", "867faf1e1b1ad386"),
    ("--lr 1e-3,1e-2 --batch-size 32,64 --seeds 2 --epochs 2 --hidden 16", "9ca8470cddad3b02"),
    (
        "--data table.csv --target y --no-clip-inputs --strategy sobol --lr 1e-3..1e-1:log --dropout 0..0.4 --trials 6 --epochs 2 --hidden 12 --bn",
        "13ae8b35962ef613",
    ),
];

/// First 8 bytes of SHA-256, hexadecimal.
fn short(digest: Sha256) -> String {
    digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// The digest of a model's tensors, without its metadata.
fn tensors(path: &Path) -> String {
    let bytes = std::fs::read(path).unwrap();
    let (length, rest) = bytes.split_at(8);
    let (header, data) = rest.split_at(u64::from_le_bytes(length.try_into().unwrap()) as usize);
    let mut header: serde_json::Value = serde_json::from_slice(header).unwrap();
    header.as_object_mut().unwrap().remove("__metadata__");
    short(Sha256::new().chain_update(header.to_string()).chain_update(data))
}

/// `table.csv` with numbers, missing numbers and a category, and `numbers.csv` with numbers only.
fn write_tables(folder: &Path) {
    let mut random = Random(1);
    let mut text = String::from("a,b,c,color,y\n");
    let mut numbers = String::from("a,b,c,y\n");
    for row in 0..600 {
        let [a, b, c] = [0; 3].map(|_| random.unit());
        let color = ["red", "green", "blue"][random.below(3)];
        let third = if row % 37 == 0 { String::new() } else { format!("{c:.4}") };
        let y = 2.0 * a - b * c + f64::from(u8::from(color == "red"));
        text += &format!("{a:.4},{b:.4},{third},{color},{y:.4}\n");
        numbers += &format!("{a:.4},{b:.4},{c:.4},{y:.4}\n");
    }
    std::fs::write(folder.join("table.csv"), text).unwrap();
    std::fs::write(folder.join("numbers.csv"), numbers).unwrap();
}

fn bngpu(folder: &Path, args: &str) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bngpu"));
    let output = command.args(args.split(' ')).args(["--quiet", "-o", "out"]).current_dir(folder);
    let output = output.output().unwrap();
    assert!(output.status.success(), "{args}: {}", String::from_utf8_lossy(&output.stderr));
}

/// Whether this machine can repeat the digests: matrix products sum in an order that depends on the width of vectors.
fn has_recorded_arithmetic() -> bool {
    #[cfg(target_arch = "x86_64")]
    let wide = std::arch::is_x86_feature_detected!("avx512f");
    #[cfg(not(target_arch = "x86_64"))]
    let wide = false;
    if !wide {
        eprintln!("left out: the digests were recorded with AVX-512");
    }
    wide
}

#[test]
fn trainings_have_the_recorded_weights() {
    if !has_recorded_arithmetic() {
        return;
    }
    for (args, best, last) in TRAININGS {
        let folder = tempfile::tempdir().unwrap();
        write_tables(folder.path());
        bngpu(folder.path(), &format!("train --device cpu {args}"));
        let found =
            ["best", "last"].map(|name| tensors(&folder.path().join(format!("out/{name}.safetensors"))));
        assert_eq!(found, [*best, *last], "{args}");
    }
}

#[test]
fn sweeps_have_the_recorded_weights() {
    if !has_recorded_arithmetic() {
        return;
    }
    for (args, expected) in SWEEPS {
        let folder = tempfile::tempdir().unwrap();
        write_tables(folder.path());
        bngpu(folder.path(), &format!("sweep --device cpu {args}"));
        let field = |line: &serde_json::Value| {
            ["stage", "trial", "seed", "epochs", "weights"].map(|key| line[key].to_string()).join(" ")
        };
        let mut all: Vec<String> = lines(&folder.path().join("out")).iter().map(field).collect();
        all.sort();
        let found = short(Sha256::new().chain_update(all.join("\n")));
        assert_eq!(found, *expected, "{args}");
    }
}
