//! `bngpu merge`: joins the shards of one sweep.
//!
//! The folders must be parts of one sweep, with the same data and the same configuration except for the shard. All its
//! trainings must be there. If two folders have the same training (a shard that was killed and run again elsewhere),
//! its weights must agree bit for bit.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::EXPORTERS;
use super::analysis::{Analysis, Counts};
use super::export::{Exported, whole_trials};
use super::files::{MODELS, folder};
use super::journal::without_shard;
use super::schedule::TrainingId;
use super::{Stage, TRIALS, TrialRecord, read_trials};
use crate::base::text::listed;
use crate::base::{FileError, write_whole};
use crate::run::{Environment, RunDir, RunError};
use crate::spec::{ConfigError, Objective, SweepRequest};

/// Most trainings that a message lists.
const MOST_NAMED: usize = 8;

/// Why sweeps cannot be joined.
#[derive(Debug, Error)]
pub enum MergeError {
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(
        "{} and {} are not parts of one sweep: {differences}; merge folders that differ only in --shard",
        first.display(), second.display()
    )]
    Configuration { first: PathBuf, second: PathBuf, differences: String },
    #[error(
        "{} and {} were trained on different data: fingerprints {first_print} and {second_print}; run the shards on \
         the same data",
        first.display(), second.display()
    )]
    Data { first: PathBuf, second: PathBuf, first_print: String, second_print: String },
    #[error("{} is given twice; give each folder once", path.display())]
    Twice { path: PathBuf },
    #[error(
        "{} and {} do not agree: {training} has weights {first_weights} in one and {second_weights} in the other; \
         find the right one with `bngpu repro` and leave the other folder out",
        first.display(), second.display()
    )]
    Weights {
        first: PathBuf,
        second: PathBuf,
        training: String,
        // Boxed: paths are larger on Windows, and clippy has a limit.
        first_weights: Box<str>,
        second_weights: Box<str>,
    },
    #[error(
        "{missing}; run the missing parts, or merge with --partial and train the rest with `bngpu resume`"
    )]
    Incomplete { missing: String },
}

/// The result of a merge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merged {
    /// Trials of the search, and how they ended (by the worst end among their seeds).
    pub trials: u64,
    pub completed: u64,
    pub stopped: u64,
    pub diverged: u64,
    pub failed: u64,
    /// Trainings of the search and of the final comparison.
    pub trainings: u64,
    /// Folders of weights that were copied.
    pub models: u64,
    /// Whether the final comparison is still to be made.
    pub no_finals: bool,
    /// The missing parts with `--partial`; empty if there are none.
    pub missing: String,
    /// Notes for the user.
    pub notes: Vec<String>,
}

/// The contents of one shard's folder.
struct Part {
    path: PathBuf,
    config: String,
    request: SweepRequest,
    env: Environment,
    records: Vec<TrialRecord>,
}

/// A training by its trial, seed and stage; the order of the merged `trials.jsonl`.
type Key = (u64, u64, bool);

fn key(record: &TrialRecord) -> Key {
    (record.trial, record.seed, record.stage == Stage::Final)
}

fn name((trial, seed, last): Key) -> String {
    format!("trial {trial}, seed {seed}{}", if last { " (final)" } else { "" })
}

/// Joins the sweeps in `folders` into the new folder `output`. `parse` reads the text of a `config.toml` (its path is
/// for the message). Missing trainings are named in the result if `partial`, else in the error.
///
/// # Errors
/// [`MergeError`]; nothing is written then, unless writing itself failed.
pub fn merge(
    folders: &[PathBuf],
    output: &Path,
    partial: bool,
    parse: impl Fn(&str, &Path) -> Result<SweepRequest, ConfigError>,
) -> Result<Merged, MergeError> {
    RunDir::check_free(output)?;
    let mut seen = BTreeSet::new();
    for path in folders {
        if !seen.insert(fs::canonicalize(path).unwrap_or_else(|_| path.clone())) {
            return Err(MergeError::Twice { path: path.clone() });
        }
    }
    let parts: Vec<Part> = folders.iter().map(|path| read(path, &parse)).collect::<Result<_, _>>()?;
    let Some(first) = parts.first() else {
        return Err(MergeError::Incomplete { missing: "no folder is given".into() });
    };
    parts.iter().skip(1).try_for_each(|part| check_same_sweep(first, part))?;
    let trainings = join(&parts)?;
    let missing = missing(&parts, &trainings);
    if !missing.is_empty() && !partial {
        return Err(MergeError::Incomplete { missing });
    }

    let records: Vec<TrialRecord> = trainings.values().map(|&(_, record)| record.clone()).collect();
    let dir = RunDir::create(Some(output), "merged")?;
    let mut merged = count(&records, &first.request);
    merged.missing = missing;
    merged.no_finals = first.request.finalists > 0 && records.iter().all(|r| r.stage == Stage::Search);
    copy_models(&parts, &trainings, &dir, &mut merged)?;
    let lines: String = records.iter().map(json_line).collect();
    write_whole(&dir.path().join(TRIALS), lines.as_bytes())?;
    let config = without_shard(&first.config);
    let fingerprint = &first.env.data_fingerprint;
    let sweep = Exported { dir: dir.path(), request: &first.request, config: &config, fingerprint };
    let whole = whole_trials(&records, &first.request);
    EXPORTERS.iter().try_for_each(|exporter| exporter.begin(&sweep, &whole))?;
    let engines: Vec<_> = parts.iter().map(|part| part.env.engine.clone()).collect();
    let engine =
        if engines.iter().all(|engine| *engine == engines[0]) { engines[0].clone() } else { engines.into() };
    dir.write_env(&Environment::now(engine, fingerprint))?;
    // Last, because a folder with a configuration counts as a whole run.
    dir.write_config(&config)?;
    Ok(merged)
}

fn read(
    path: &Path,
    parse: &impl Fn(&str, &Path) -> Result<SweepRequest, ConfigError>,
) -> Result<Part, MergeError> {
    let dir = RunDir::open(path)?;
    let trials = path.join(TRIALS);
    if !trials.is_file() {
        let remedy = "give folders of sweeps that have ended at least one trial".into();
        let what = "is not a sweep with results (it has no trials.jsonl)".into();
        return Err(RunError::NotARun { path: path.to_owned(), what, remedy }.into());
    }
    let config = dir.read_config()?;
    let request = parse(&config, &path.join("config.toml"))?;
    Ok(Part { path: path.to_owned(), request, config, env: dir.read_env()?, records: read_trials(&trials)? })
}

/// Whether both are parts of one sweep.
fn check_same_sweep(first: &Part, second: &Part) -> Result<(), MergeError> {
    let count = |part: &Part| part.request.shard.map_or(1, |shard| shard.count);
    let mut differences = differences(&without_shard(&first.config), &without_shard(&second.config));
    if count(first) != count(second) {
        let shard = |part: &Part| part.request.shard.map_or("the whole".into(), |shard| shard.to_string());
        differences.push(format!("shard ({} and {})", shard(first), shard(second)));
    }
    let (one, other) = (first.path.clone(), second.path.clone());
    if !differences.is_empty() {
        let differences = listed(&differences);
        return Err(MergeError::Configuration { first: one, second: other, differences });
    }
    let print = |part: &Part| part.env.data_fingerprint.clone();
    if print(first) != print(second) {
        let (first_print, second_print) = (print(first), print(second));
        return Err(MergeError::Data { first: one, second: other, first_print, second_print });
    }
    Ok(())
}

/// The lines in which two configurations differ, without comments: `lr (0.1 and 0.2)`.
fn differences(first: &str, second: &str) -> Vec<String> {
    let settings = |text: &str| {
        let mut table = String::new();
        let mut settings = BTreeMap::new();
        for line in text.lines().map(str::trim).filter(|line| !line.starts_with('#')) {
            if let Some((key, value)) = line.split_once('=') {
                settings.insert(format!("{table}{}", key.trim()), value.trim().to_owned());
            } else if let Some(name) = line.strip_prefix('[') {
                table = format!("{}.", name.trim_end_matches(']'));
            }
        }
        settings
    };
    let (first, second) = (settings(first), settings(second));
    let keys: BTreeSet<&String> = first.keys().chain(second.keys()).collect();
    let of = |settings: &BTreeMap<String, String>, key| settings.get(key).map_or("none", |v| v).to_owned();
    keys.into_iter()
        .filter(|key| first.get(*key) != second.get(*key))
        .map(|key| format!("{key} ({} and {})", of(&first, key), of(&second, key)))
        .collect()
}

/// Every training with the place of its folder in `parts`, each once.
fn join(parts: &[Part]) -> Result<BTreeMap<Key, (usize, &TrialRecord)>, MergeError> {
    let mut trainings: BTreeMap<Key, (usize, &TrialRecord)> = BTreeMap::new();
    for (at, part) in parts.iter().enumerate() {
        for record in &part.records {
            let Some(&(earlier, kept)) = trainings.get(&key(record)) else {
                trainings.insert(key(record), (at, record));
                continue;
            };
            if kept.weights != record.weights {
                let weights = |record: &TrialRecord| record.weights.as_deref().unwrap_or("none").into();
                return Err(MergeError::Weights {
                    first: parts[earlier].path.clone(),
                    second: part.path.clone(),
                    training: name(key(record)),
                    first_weights: weights(kept),
                    second_weights: weights(record),
                });
            }
        }
    }
    Ok(trainings)
}

/// The shards and trainings of the sweep that `trainings` lacks, in words; empty if there are none.
fn missing(parts: &[Part], trainings: &BTreeMap<Key, (usize, &TrialRecord)>) -> String {
    let request = &parts[0].request;
    let shards = request.shard.map_or(1, |shard| shard.count);
    let there: BTreeSet<u32> = parts.iter().map(|part| part.request.shard.map_or(0, |s| s.index)).collect();
    let absent: Vec<u32> = (0..shards).filter(|index| !there.contains(index)).collect();
    let mut missing = Vec::new();
    if !absent.is_empty() {
        let names = list(&absent, |index| format!("{index}/{shards}"));
        missing.push(format!("missing shards ({} of {shards}): {names}", absent.len()));
    }
    let first_seed = request.base.training.seed;
    let seeds = (0..u64::from(request.seeds)).map(|n| first_seed.wrapping_add(n));
    let seeds: Vec<u64> = seeds.collect();
    // Trainings of a missing shard are not listed one by one.
    let of_there = (0..request.trials).filter(|trial| there.contains(&((trial % u64::from(shards)) as u32)));
    let keys = of_there.flat_map(|trial| seeds.iter().map(move |&seed| (trial, seed, false)));
    let absent: Vec<Key> = keys.filter(|key| !trainings.contains_key(key)).collect();
    if !absent.is_empty() {
        let (n, names) = (absent.len(), list(&absent, |key| name(*key)));
        missing.push(format!("missing trainings of the given shards ({n}): {names}"));
    }
    missing.join("; ")
}

fn list<T>(items: &[T], name: impl Fn(&T) -> String) -> String {
    let named = items.iter().take(MOST_NAMED).map(name).collect::<Vec<_>>().join("; ");
    match items.len().checked_sub(MOST_NAMED) {
        None | Some(0) => named,
        Some(more) => format!("{named}; and {more} more"),
    }
}

/// How the trials ended, as the summary and the page of a sweep count them.
fn count(records: &[TrialRecord], request: &SweepRequest) -> Merged {
    let Counts { trials, completed, stopped, diverged, failed, .. } = Analysis::new(request, records).counts;
    Merged {
        trials,
        completed,
        stopped,
        diverged,
        failed,
        trainings: records.len() as u64,
        models: 0,
        no_finals: false,
        missing: String::new(),
        notes: Vec::new(),
    }
}

/// The trainings whose weights the undivided sweep would have kept: the best `keep` of the search, and all final ones.
fn kept(records: &[TrialRecord], objective: Objective, keep: usize) -> Vec<&TrialRecord> {
    let value = |record: &TrialRecord| record.value(objective);
    let mut best: Vec<(f64, &TrialRecord)> = records
        .iter()
        .filter(|record| record.stage == Stage::Search)
        .filter_map(|record| Some((value(record)?, record)))
        .collect();
    // Ties keep their order, by trial and seed.
    best.sort_by(|a, b| a.0.total_cmp(&b.0));
    let best = best.into_iter().take(keep).map(|(_, record)| record);
    best.chain(records.iter().filter(|record| record.stage == Stage::Final)).collect()
}

/// Copies the kept weights from the shards.
fn copy_models(
    parts: &[Part],
    trainings: &BTreeMap<Key, (usize, &TrialRecord)>,
    dir: &RunDir,
    merged: &mut Merged,
) -> Result<(), MergeError> {
    let request = &parts[0].request;
    let records: Vec<TrialRecord> = trainings.values().map(|&(_, record)| record.clone()).collect();
    for record in kept(&records, request.objective, request.keep as usize) {
        let folder = folder(TrainingId { trial: record.trial, seed: record.seed });
        // Any shard with this training may have its weights.
        let has = |part: &&Part| part.records.iter().any(|other| key(other) == key(record));
        let models = parts.iter().filter(has).map(|part| part.path.join(MODELS).join(&folder));
        match models.into_iter().find(|from| from.is_dir()) {
            Some(from) => {
                copy_folder(&from, &dir.path().join(MODELS).join(&folder))?;
                merged.models += 1;
            }
            None => merged
                .notes
                .push(format!("no shard has the weights of {}, which should be kept", name(key(record)))),
        }
    }
    Ok(())
}

fn copy_folder(from: &Path, to: &Path) -> Result<(), RunError> {
    let failed = |doing, path: &Path| {
        let path = path.to_owned();
        move |cause| RunError::io(doing, &path, cause)
    };
    fs::create_dir_all(to).map_err(failed("create the folder", to))?;
    for entry in fs::read_dir(from).map_err(failed("read", from))? {
        let entry = entry.map_err(failed("read", from))?;
        let (from, to) = (entry.path(), to.join(entry.file_name()));
        if from.is_dir() {
            copy_folder(&from, &to)?;
        } else {
            write_whole(&to, &fs::read(&from).map_err(failed("read", &from))?)?;
        }
    }
    Ok(())
}

/// A record as a line of `trials.jsonl`.
fn json_line(record: &TrialRecord) -> String {
    let line = serde_json::to_string(record);
    line.unwrap_or_else(|error| unreachable!("numbers and text are JSON: {error}")) + "\n"
}

#[cfg(test)]
mod tests;
