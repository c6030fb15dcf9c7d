use serde_json::json;

use super::*;
use crate::spec::{Dimension, Domain, Shard, Space};
use crate::sweep::TrialStatus;
use crate::sweep::journal::JOURNAL;
use crate::sweep::test_study::{record, request};

const CONFIG: &str = "# a sweep\ndata = 'digits'\ntrials = 4\n";

/// Reads only the shard of `config.toml`.
fn parse(text: &str, _: &Path) -> Result<SweepRequest, ConfigError> {
    let domain = Domain::Set(vec![json!(0.1), json!(0.01)]);
    let mut request = request(Space { dimensions: vec![Dimension { key: "lr".into(), domain }] }, 4);
    let shard = text.lines().find_map(|line| line.strip_prefix("shard = \"")?.strip_suffix('"'));
    request.shard = shard.map(|shard| {
        let (index, count) = shard.split_once('/').unwrap();
        Shard { index: index.parse().unwrap(), count: count.parse().unwrap() }
    });
    Ok(request)
}

/// Trial `trial` with `seed`; of the trials, 2 is the best, then 1, 3, 0.
fn trained(trial: u64, seed: u64) -> TrialRecord {
    let loss = [0.9, 0.3, 0.2, 0.4][trial as usize];
    let lr = if trial.is_multiple_of(2) { 0.1 } else { 0.01 };
    TrialRecord {
        weights: Some(format!("{trial}{seed}")),
        ..record(trial, json!({ "lr": lr }), seed, &[1.0, loss], 0.5)
    }
}

/// The folder of a sweep with these lines; every trial's weights are kept.
fn folder(parent: &Path, name: &str, config: &str, records: &[TrialRecord]) -> PathBuf {
    let path = parent.join(name);
    let dir = RunDir::create(Some(&path), "x").unwrap();
    for record in records {
        let model = path.join(MODELS).join(format!("trial-{}-seed-{}", record.trial, record.seed));
        fs::create_dir_all(&model).unwrap();
        fs::write(model.join("best.safetensors"), record.weights.as_deref().unwrap_or("")).unwrap();
    }
    fs::write(path.join(TRIALS), records.iter().map(json_line).collect::<String>()).unwrap();
    dir.write_env(&Environment::now(json!({ "device": name }), "sha256:00")).unwrap();
    dir.write_config(config).unwrap();
    path
}

fn shard(parent: &Path, index: u64, records: &[TrialRecord]) -> PathBuf {
    folder(parent, &format!("shard-{index}"), &format!("{CONFIG}shard = \"{index}/2\"\n"), records)
}

/// The trainings of shard `index` of 2, in the order in which they happened to end.
fn half(index: u64) -> Vec<TrialRecord> {
    vec![trained(index + 2, 1), trained(index, 0), trained(index + 2, 0), trained(index, 1)]
}

fn whole(parent: &Path) -> PathBuf {
    let records: Vec<_> = [half(0), half(1)].concat();
    folder(parent, "whole", CONFIG, &records)
}

fn text(result: Result<Merged, MergeError>) -> String {
    result.unwrap_err().to_string()
}

#[test]
fn merged_shards_equal_the_undivided_sweep() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let shards = [shard(dir.path(), 1, &half(1)), shard(dir.path(), 0, &half(0))];
    let merged = merge(&shards, &at("merged"), false, parse).unwrap();
    assert_eq!((merged.trials, merged.completed, merged.trainings, merged.models), (4, 4, 8, 3));
    assert_eq!((merged.missing.as_str(), merged.notes.len()), ("", 0));
    merge(&[whole(dir.path())], &at("sorted"), false, parse).unwrap();
    for name in ["config.toml", TRIALS, JOURNAL] {
        let read = |folder: &str| fs::read_to_string(at(folder).join(name)).unwrap();
        assert_eq!(read("merged"), read("sorted"), "{name}");
    }
    assert_eq!(fs::read_to_string(at("merged/config.toml")).unwrap(), CONFIG);
    let keys: Vec<_> = read_trials(&at("merged").join(TRIALS)).unwrap().iter().map(key).collect();
    assert!(keys.is_sorted() && keys.len() == 8);
    let env = RunDir::open(&at("merged")).unwrap().read_env().unwrap();
    assert_eq!(env.engine, json!([{ "device": "shard-1" }, { "device": "shard-0" }]));
    // Three are kept in all: two of trial 2 from one half, and one of trial 1 from the other.
    let mut models: Vec<_> =
        fs::read_dir(at("merged/models")).unwrap().map(|model| model.unwrap().file_name()).collect();
    models.sort();
    assert_eq!(models, ["trial-1-seed-0", "trial-2-seed-0", "trial-2-seed-1"]);
    assert_eq!(fs::read(at("merged/models/trial-2-seed-1/best.safetensors")).unwrap(), b"21");
}

#[test]
fn missing_trainings_are_named_and_partial_merges_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let zero = shard(dir.path(), 0, &half(0)[1..]);
    let out = dir.path().join("merged");
    let message = text(merge(std::slice::from_ref(&zero), &out, false, parse));
    for words in ["1/2", "given shards (1)", "trial 2, seed 1", "--partial"] {
        assert!(message.contains(words), "{words:?} is not in: {message}");
    }
    assert!(!out.exists());
    let merged = merge(&[zero], &out, true, parse).unwrap();
    assert!(merged.missing.contains("1/2"), "{}", merged.missing);
    assert_eq!(merged.trainings, 3);
}

#[test]
fn missing_weights_are_noted() {
    let dir = tempfile::tempdir().unwrap();
    let whole = whole(dir.path());
    fs::remove_dir_all(whole.join(MODELS).join("trial-2-seed-0")).unwrap();
    fs::remove_dir_all(whole.join(MODELS).join("trial-0-seed-0")).unwrap();
    let merged = merge(&[whole], &dir.path().join("merged"), false, parse).unwrap();
    assert_eq!(merged.models, 2);
    assert!(merged.notes.len() == 1 && merged.notes[0].contains("trial 2, seed 0"), "{:?}", merged.notes);
}

#[test]
fn a_shard_that_was_run_twice_must_agree_with_itself() {
    let dir = tempfile::tempdir().unwrap();
    let shards = [shard(dir.path(), 0, &half(0)[..1]), shard(dir.path(), 1, &half(1))];
    let again = folder(dir.path(), "again", &format!("{CONFIG}shard = \"0/2\"\n"), &half(0));
    let out = dir.path().join("merged");
    let all = [shards.as_slice(), &[again]].concat();
    assert_eq!(merge(&all, &out, false, parse).unwrap().trainings, 8);

    let mut other = half(0);
    other[0].weights = Some("ffff".into());
    let other = folder(dir.path(), "other", &format!("{CONFIG}shard = \"0/2\"\n"), &other);
    let message = text(merge(&[shards.as_slice(), &[other]].concat(), &dir.path().join("no"), false, parse));
    for words in ["shard-0 and ", "other do not agree", "trial 2, seed 1", "weights 21", "ffff"] {
        assert!(message.contains(words), "{words:?} is not in: {message}");
    }
}

#[test]
fn parts_of_different_sweeps_are_refused_with_their_differences() {
    let dir = tempfile::tempdir().unwrap();
    let zero = shard(dir.path(), 0, &half(0));
    let out = dir.path().join("merged");
    let refused = |other: PathBuf, words: &[&str]| {
        let message = text(merge(&[zero.clone(), other], &out, true, parse));
        for word in words {
            assert!(message.contains(word), "{word:?} is not in: {message}");
        }
        assert!(!out.exists());
    };
    let config = CONFIG.replace('4', "5") + "lr = 1\nshard = \"1/2\"\n[space]\nlr = [1]\n";
    let other = folder(dir.path(), "config", &config, &half(1));
    refused(
        other,
        &["not parts of one sweep", "lr (none and 1)", "space.lr (none and [1])", "trials (4 and 5)"],
    );
    let other = folder(dir.path(), "count", &format!("{CONFIG}shard = \"1/3\"\n"), &half(1));
    refused(other, &["shard (0/2 and 1/3)"]);
    refused(whole(dir.path()), &["shard (0/2 and the whole)"]);
    let other = shard(dir.path(), 1, &half(1));
    let dir_of_other = RunDir::open(&other).unwrap();
    dir_of_other.write_env(&Environment::now(json!({}), "sha256:11")).unwrap();
    refused(other, &["different data", "sha256:00", "sha256:11"]);
    refused(zero.join("../shard-0"), &["given twice"]);
    let train = folder(dir.path(), "train", CONFIG, &[]);
    fs::remove_file(train.join(TRIALS)).unwrap();
    refused(train, &["no trials.jsonl"]);
}

#[test]
fn a_folder_that_holds_a_run_is_not_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    let whole = whole(dir.path());
    let message = text(merge(std::slice::from_ref(&whole), &whole, false, parse));
    assert!(message.contains("already holds a run"), "{message}");
}

#[test]
fn the_weights_of_the_best_trainings_and_of_all_finalists_are_kept() {
    let diverged = TrialRecord { status: TrialStatus::Diverged, ..trained(3, 0) };
    let stopped = TrialRecord { status: TrialStatus::Stopped, ..record(4, json!({}), 0, &[0.1], 0.5) };
    let finalist = TrialRecord { stage: Stage::Final, ..trained(1, 7) };
    let records = [trained(0, 0), trained(1, 0), trained(1, 1), finalist, diverged, stopped];
    let names = |keep| -> Vec<_> {
        kept(&records, Objective::ValLoss, keep).into_iter().map(|record| name(key(record))).collect()
    };
    assert_eq!(names(2), ["trial 4, seed 0", "trial 1, seed 0", "trial 1, seed 7 (final)"]);
    assert_eq!(names(9).len(), 5);
    let merged = count(&records, &parse(CONFIG, Path::new("config.toml")).unwrap());
    assert_eq!((merged.trials, merged.completed, merged.stopped, merged.diverged), (4, 2, 1, 1));
}
