use std::fs;

use serde_json::json;

use super::*;
use crate::spec::{Dimension, Scale};
use crate::sweep::{CurvePoint, test_study};

/// TensorBoard 2.21's files of the study below (`tests/fixtures/tensorboard_events.py`).
const STUDY: &[u8] = include_bytes!("../../../tests/fixtures/tensorboard-study.events");
const TRIAL: &[u8] = include_bytes!("../../../tests/fixtures/tensorboard-trial.events");

fn space() -> Space {
    let set = |values: Value| Domain::Set(values.as_array().unwrap().clone());
    let dimensions = [
        ("lr", Domain::Range { low: 1e-4, high: 1e-1, scale: Scale::Log, integer: false }),
        ("hidden", set(json!(["64x2", "256-128"]))),
        ("bn", set(json!([true, false]))),
        ("batch-size", set(json!([32, 64]))),
    ];
    let dimension = |(key, domain): (&str, Domain)| Dimension { key: key.into(), domain };
    Space { dimensions: dimensions.into_iter().map(dimension).collect() }
}

fn record() -> TrialRecord {
    let point = |epoch, train_loss, val_loss, val_score| CurvePoint {
        epoch,
        step: 10 * epoch,
        train_loss: Some(train_loss),
        val_loss,
        val_score: Some(val_score),
    };
    TrialRecord {
        ended: 1764000004.25,
        curve: vec![point(1, 0.75, Some(0.7), 0.875), point(2, 0.5, None, 0.9)],
        ..test_study::record(
            7,
            json!({ "lr": 0.01, "hidden": "64x2", "bn": false, "batch-size": 32 }),
            3,
            &[0.7, 0.8],
            0.9,
        )
    }
}

#[test]
fn the_files_equal_those_of_tensorboard_itself() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("tensorboard");
    write(&at, &space(), &[record()]).unwrap();
    assert_eq!(fs::read(at.join(FILE)).unwrap(), STUDY);
    assert_eq!(fs::read(at.join("trial-7").join(FILE)).unwrap(), TRIAL);
    // A second write gives the same files and no others.
    write(&at, &space(), &[record()]).unwrap();
    assert_eq!(fs::read_dir(&at).unwrap().count(), 2);
    assert_eq!(fs::read_dir(at.join("trial-7")).unwrap().count(), 1);
}

#[test]
fn the_seeds_of_a_trial_are_sessions_of_one_group_and_finalists_are_left_out() {
    let dir = tempfile::tempdir().unwrap();
    let second = TrialRecord { seed: 4, ..record() };
    let finalist = TrialRecord { seed: 5, stage: Stage::Final, ..record() };
    write(dir.path(), &space(), &[record(), second, finalist]).unwrap();
    let mut seeds: Vec<_> =
        fs::read_dir(dir.path().join("trial-7")).unwrap().map(|seed| seed.unwrap().file_name()).collect();
    seeds.sort();
    assert_eq!(seeds, ["seed-3", "seed-4"]);
    for seed in seeds {
        assert_eq!(fs::read(dir.path().join("trial-7").join(seed).join(FILE)).unwrap(), TRIAL);
    }
}

#[test]
fn a_trial_that_diverged_before_its_first_epoch_failed() {
    let dir = tempfile::tempdir().unwrap();
    let diverged =
        TrialRecord { status: TrialStatus::Diverged, curve: Vec::new(), epochs: 0, steps: 0, ..record() };
    write(dir.path(), &space(), &[diverged]).unwrap();
    let bytes = fs::read(dir.path().join("trial-7").join(FILE)).unwrap();
    // STATUS_FAILURE (2) in field 1 of the session's end, 11 bytes long: a varint and a double in field 2.
    assert!(bytes.windows(4).any(|window| window == [0x22, 11, 0x08, 2]));
}

#[test]
fn an_empty_study_has_a_file() {
    let dir = tempfile::tempdir().unwrap();
    write(dir.path(), &Space::default(), &[]).unwrap();
    assert!(dir.path().join(FILE).is_file());
}

#[test]
fn the_checksum_is_a_masked_crc_32c() {
    // RFC 3720, B.4: CRC-32C of 32 zero bytes is 8a9136aa; rotated and shifted by hand.
    assert_eq!(crc32c::crc32c(&[0; 32]), 0x8a91_36aa);
    assert_eq!(masked_crc(&[0; 32]), 0x0fd7_fffa);
}
