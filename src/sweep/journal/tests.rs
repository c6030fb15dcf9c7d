use std::collections::BTreeMap;

use super::*;
use crate::sweep::test_study::{record, request};

/// Optuna 5.0's journal of the study below (`tests/fixtures/optuna_journal.py`).
const OPTUNA: &str = include_str!("../../../tests/fixtures/optuna.journal");

fn space() -> Space {
    let set = |values: Value| Domain::Set(values.as_array().unwrap().clone());
    let range = |low, high, scale, integer| Domain::Range { low, high, scale, integer };
    let dimensions = [
        ("lr", range(1e-4, 1e-1, Scale::Log, false)),
        ("beta1", range(0.8, 0.9995, Scale::Ema, false)),
        ("hidden", set(json!(["64x2", "256-128"]))),
        ("bn", set(json!([true, false]))),
        ("batch-size", set(json!([32, 64, 128]))),
        ("warmup", range(0.0, 100.0, Scale::Linear, true)),
        ("step-epochs", range(1.0, 64.0, Scale::Log, true)),
    ];
    let dimension = |(key, domain): (&str, Domain)| Dimension { key: key.into(), domain };
    Space { dimensions: dimensions.into_iter().map(dimension).collect() }
}

/// The records of the study that Optuna wrote, in any order.
fn records() -> Vec<TrialRecord> {
    let params = json!({
        "lr": 0.1 + 0.2 - 0.29, "beta1": 0.99, "hidden": "256-128", "bn": false,
        "batch-size": 128.0, "warmup": 7, "step-epochs": 8,
    });
    let few = |lr: f64| json!({ "lr": lr, "hidden": "64x2", "bn": true });
    let best = TrialRecord { ended: 1764000004.5, ..record(0, params.clone(), 0, &[1.0, 0.125], 1.0) };
    let pruned = TrialRecord {
        status: TrialStatus::Stopped,
        reason: Some("halving at epoch 1".into()),
        ended: 1764000002.000001,
        ..record(1, few(1e-4), 0, &[2.0], 0.5)
    };
    let diverged = TrialRecord {
        status: TrialStatus::Diverged,
        reason: Some("the loss is NaN".into()),
        ..record(2, few(0.1), 0, &[], 0.0)
    };
    let finalist = TrialRecord {
        stage: Stage::Final,
        test_loss: Some(0.5),
        test_acc: Some(0.875),
        ..record(0, params.clone(), 2, &[0.5, 0.25], 0.9)
    };
    vec![pruned, finalist, record(0, params, 1, &[0.5, 0.25], 0.875), diverged, best]
}

fn study(space: &Space, objective: Objective) -> OptunaStudy<'_> {
    let attrs = Map::from_iter([("bngpu_version".to_owned(), json!("0.1.0"))]);
    OptunaStudy { name: "digits".into(), objective, space, attrs }
}

/// The lines as Optuna reads them: without the writer's name, distributions unpacked, parameters as floats.
fn understood(text: &str) -> Vec<BTreeMap<String, Value>> {
    let understand = |line: &str| {
        let mut fields: BTreeMap<String, Value> = serde_json::from_str(line).unwrap();
        fields.remove("worker_id").unwrap();
        for (_, param) in fields.get_mut("params").and_then(Value::as_object_mut).into_iter().flatten() {
            *param = param.as_f64().unwrap().into();
        }
        let distributions = fields.get_mut("distributions").and_then(Value::as_object_mut);
        for (_, distribution) in distributions.into_iter().flatten() {
            *distribution = serde_json::from_str(distribution.as_str().unwrap()).unwrap();
        }
        fields
    };
    text.lines().map(understand).collect()
}

#[test]
fn the_journal_equals_that_of_optuna_itself() {
    let ours = study(&space(), Objective::ValLoss).journal(&records());
    let (ours, optunas) = (understood(&ours), understood(OPTUNA));
    assert_eq!(ours.len(), 6);
    for (ours, optunas) in ours.iter().zip(&optunas) {
        assert_eq!(ours, optunas);
    }
    assert_eq!(ours.len(), optunas.len());
}

#[test]
fn concatenated_shards_equal_the_whole() {
    let of = |keep: fn(u64) -> bool| {
        let part: Vec<_> = records().into_iter().filter(|record| keep(record.trial)).collect();
        study(&space(), Objective::ValLoss).journal(&part)
    };
    let whole = of(|_| true);
    let parts = of(|trial| trial % 2 == 0) + &of(|trial| trial % 2 == 1);
    let trials = |text: &str| {
        let mut lines: Vec<String> =
            text.lines().filter(|line| line.contains("\"op_code\":4")).map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(trials(&parts), trials(&whole));
    assert_eq!(trials(&whole).len(), 3);
    // No line refers to a trial by its place, which a shard before it would shift.
    assert!(!whole.contains("trial_id"), "{whole}");
}

#[test]
fn accuracy_is_maximised_and_its_mean_is_the_value() {
    assert!(study(&space(), Objective::ValAcc).header().contains("\"directions\":[2]"));
    let records = records();
    let of_first: Vec<_> = records.into_iter().filter(|record| record.trial == 0).collect();
    let line = &understood(&study(&space(), Objective::ValAcc).trial_line(&of_first))[0];
    assert_eq!(line["value"], json!(0.9375));
    assert_eq!(line["intermediate_values"], json!({ "1": 0.9375, "2": 0.9375 }));
}

#[test]
fn patience_completes_a_trial_and_a_stop_by_hand_prunes_it() {
    let stopped = |reason: &str| TrialRecord {
        status: TrialStatus::Stopped,
        reason: Some(reason.into()),
        ..record(0, json!({}), 0, &[0.25, 0.5], 0.5)
    };
    let state =
        |record| understood(&study(&space(), Objective::ValLoss).trial_line(&[record]))[0]["state"].clone();
    assert_eq!(state(stopped("the validation loss has not improved for 3 epochs")), 1);
    assert_eq!(state(stopped("stopped by hand")), 2);
    assert_eq!(state(TrialRecord { reason: None, ..stopped("") }), 2);
}

#[test]
fn a_trial_without_a_finite_value_fails_and_writes_no_nan() {
    let empty = TrialRecord { val_loss: None, ..record(0, json!({}), 0, &[], 0.5) };
    let infinite = record(0, json!({}), 1, &[f64::MAX], 0.5);
    let second = TrialRecord { seed: 2, ..infinite.clone() };
    for records in
        [vec![empty.clone()], vec![record(0, json!({}), 1, &[1.0], 0.5), empty], vec![infinite, second]]
    {
        let text = study(&space(), Objective::ValLoss).trial_line(&records);
        let line = &understood(&text)[0];
        assert_eq!((&line["state"], &line["value"]), (&json!(3), &Value::Null), "{text}");
        assert_eq!(line["intermediate_values"], json!({}), "{text}");
    }
}

#[test]
fn intermediate_values_cover_only_epochs_of_every_seed() {
    let pair = [record(0, json!({}), 0, &[1.0, 2.0, 3.0], 0.5), record(0, json!({}), 1, &[3.0, 4.0], 0.5)];
    let line = &understood(&study(&space(), Objective::ValLoss).trial_line(&pair))[0];
    assert_eq!(line["intermediate_values"], json!({ "1": 2.0, "2": 3.0 }));
}

#[test]
fn numbers_come_back_bit_for_bit() {
    for lr in [0.1 + 0.2 - 0.29, 1e-4f64.next_up(), 0.1f64.next_down()] {
        let line =
            study(&space(), Objective::ValLoss).trial_line(&[record(0, json!({ "lr": lr }), 0, &[lr], 0.5)]);
        let line = &understood(&line)[0];
        assert_eq!(line["params"]["lr"].as_f64().map(f64::to_bits), Some(lr.to_bits()));
        assert_eq!(line["value"].as_f64().map(f64::to_bits), Some(lr.to_bits()));
    }
}

#[test]
fn values_outside_the_space_are_left_out() {
    let line = study(&space(), Objective::ValLoss).trial_line(&[record(
        0,
        json!({ "lr": 0.5, "hidden": "7", "other": 1 }),
        0,
        &[1.0],
        0.5,
    )]);
    assert_eq!(understood(&line)[0]["params"], json!({}));
}

#[test]
fn lines_are_appended_and_a_refusal_names_the_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("study.journal");
    append(&path, "a\n").unwrap();
    append(&path, "b\n").unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "a\nb\n");
    let text = append(dir.path(), "c\n").unwrap_err().to_string();
    assert!(text.contains(&dir.path().display().to_string()), "{text}");
}

#[test]
fn a_study_has_one_name_in_all_shards_and_another_with_other_settings() {
    let config = "data = 'digits'\ntrials = 9\nshard = \"0/2\"\n[space]\nlr = [1]\n";
    let request = request(space(), 9);
    let first = OptunaStudy::new(&request, config, "sha256:00");
    assert_eq!(first, OptunaStudy::new(&request, &config.replace("0/2", "1/2"), "sha256:00"));
    assert!(first.name.starts_with("digits-"), "{}", first.name);
    assert_ne!(first.name, OptunaStudy::new(&request, &config.replace('9', "8"), "sha256:00").name);
    assert_eq!(first.attrs["config"], "data = 'digits'\ntrials = 9\n[space]\nlr = [1]\n");
}
