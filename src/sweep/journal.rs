//! `study.journal`: a sweep as Optuna's `JournalStorage` reads it (the format of its `JournalFileBackend`), so that
//! Optuna, its samplers and optuna-dashboard take over where the sweep ends.
//!
//! The file is a list of operations, one JSON object a line, that Optuna plays back. The first lines make the study;
//! each of the others is one trial that has ended, as `study.add_trial` writes it. No line refers to another trial
//! by its place in the file, and making a study that is there already does nothing: the journals of the shards of
//! one sweep, concatenated (`cat a/study.journal b/study.journal`), are the journal of the whole sweep. (Do not
//! concatenate journals of different sweeps: the first study would get all trials.)
//!
//! One Optuna trial is one trial of the sweep with all its seeds. Optuna numbers trials by their place in the file; the
//! attribute `trial` has the sweep's number.
//!
//! Source: Optuna 5.0, `optuna/storages/journal/_storage.py` and `_file.py`, `optuna/distributions.py`.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::export::{Exported, Exporter};
use super::{Stage, TrialRecord, TrialStatus};
use crate::base::write_whole;
use crate::run::RunError;
use crate::spec::{Dimension, Domain, Objective, Scale, Space, SweepRequest};
use crate::train::StopReason;

/// `JournalOperation`: what a line does.
#[derive(Clone, Copy)]
enum Operation {
    CreateStudy = 0,
    SetStudyUserAttr = 2,
    SetStudySystemAttr = 3,
    CreateTrial = 4,
}

/// `TrialState`: how a trial ended, over all its seeds.
#[derive(Clone, Copy)]
enum End {
    Complete = 1,
    Pruned = 2,
    Fail = 3,
}

/// The first study of a file has this number.
const STUDY: u64 = 0;

/// A line of the journal. Optuna writes a random process name as `worker_id`; any name but the reader's works.
fn line(operation: Operation, fields: Value) -> String {
    let mut line = json!({ "op_code": operation as u64, "worker_id": "bngpu" });
    if let (Some(line), Value::Object(fields)) = (line.as_object_mut(), fields) {
        line.extend(fields);
    }
    format!("{line}\n")
}

/// File name in the folder of a sweep.
pub const JOURNAL: &str = "study.journal";

/// Writes Optuna's journal, trial by trial.
pub struct Optuna;

impl Exporter for Optuna {
    fn begin(&self, sweep: &Exported, records: &[TrialRecord]) -> Result<(), RunError> {
        let text = OptunaStudy::of(sweep).journal(records);
        Ok(write_whole(&sweep.dir.join(JOURNAL), text.as_bytes())?)
    }

    fn trial(&self, sweep: &Exported, records: &[TrialRecord]) -> Result<(), RunError> {
        append(&sweep.dir.join(JOURNAL), &OptunaStudy::of(sweep).trial_line(records))
    }
}

/// The Optuna study of a sweep.
#[derive(Clone, Debug, PartialEq)]
pub struct OptunaStudy<'a> {
    /// The same in all shards, which makes them one study.
    pub name: String,
    pub objective: Objective,
    pub space: &'a Space,
    /// User attributes; the same in all shards.
    pub attrs: Map<String, Value>,
}

impl<'a> OptunaStudy<'a> {
    fn of(sweep: &Exported<'a>) -> OptunaStudy<'a> {
        OptunaStudy::new(sweep.request, sweep.config, sweep.fingerprint)
    }

    /// The study of `request`; `config` is its text (`config.toml`), `fingerprint` that of its data. The same for
    /// every shard: it is named after the data and a hash of the configuration without the shard.
    pub fn new(request: &'a SweepRequest, config: &str, fingerprint: &str) -> OptunaStudy<'a> {
        let config = without_shard(config);
        let hash: String =
            Sha256::digest(config.as_bytes()).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
        let source = Path::new(&request.base.data.source).file_name();
        let source = source.map_or("data".into(), |name| name.to_string_lossy());
        let attrs = [
            ("bngpu_version", env!("CARGO_PKG_VERSION").into()),
            ("config", config.into()),
            ("data_fingerprint", fingerprint.into()),
        ];
        OptunaStudy {
            name: format!("{source}-{hash}"),
            objective: request.objective,
            space: &request.space,
            attrs: attrs.map(|(key, value)| (key.to_owned(), value)).into_iter().collect(),
        }
    }

    /// The lines that make the study: its direction, the name of its value, its attributes.
    pub fn header(&self) -> String {
        // StudyDirection: 1 minimises, 2 maximises.
        let (direction, metric) = match self.objective {
            Objective::ValLoss => (1, "val_loss"),
            Objective::ValAcc => (2, "val_acc"),
        };
        let study = json!({ "study_name": self.name, "directions": [direction] });
        let metrics = json!({ "study_id": STUDY, "system_attr": { "study:metric_names": [metric] } });
        let mut text = line(Operation::CreateStudy, study) + &line(Operation::SetStudySystemAttr, metrics);
        for (key, value) in &self.attrs {
            let attr = Map::from_iter([(key.clone(), value.clone())]);
            text += &line(Operation::SetStudyUserAttr, json!({ "study_id": STUDY, "user_attr": attr }));
        }
        text
    }

    /// The line of one trial that has ended: `records` are all its trainings.
    ///
    /// Its value is the mean of the objective over the seeds of the search, its intermediate values are that of each
    /// epoch that all of them had. It is complete if it completed or patience ended it; pruned, with its last
    /// intermediate value as its value, if something else stopped it; failed if a seed diverged, failed or gave no
    /// value. Settings that it does not have (a β without Adam) are left out.
    pub fn trial_line(&self, records: &[TrialRecord]) -> String {
        let search = search(records);
        let intermediate = intermediate_values(&search, self.objective);
        let (end, value) = outcome(&search, self.objective, &intermediate);

        let mut distributions = Map::new();
        let mut params = Map::new();
        let given = search.first().map(|record| &record.params);
        for dimension in &self.space.dimensions {
            let value = given.and_then(|params| params.get(&dimension.key));
            if let Some(internal) = value.and_then(|value| internal_value(&dimension.domain, value)) {
                distributions.insert(dimension.key.clone(), distribution(dimension).to_string().into());
                params.insert(dimension.key.clone(), internal);
            }
        }
        let intermediate: Map<String, Value> =
            intermediate.into_iter().map(|(epoch, value)| (epoch.to_string(), value.into())).collect();
        let fields = json!({
            "study_id": STUDY,
            "datetime_start": time(search.iter().map(|record| record.started).fold(f64::NAN, f64::min)),
            "state": end as u64,
            "value": value,
            "values": null,
            "datetime_complete": time(search.iter().map(|record| record.ended).fold(f64::NAN, f64::max)),
            "distributions": distributions,
            "params": params,
            "user_attrs": user_attrs(&search, records),
            "system_attrs": {},
            "intermediate_values": intermediate,
        });
        line(Operation::CreateTrial, fields)
    }

    /// The whole journal: the header and all trials in `records` by their numbers.
    pub fn journal(&self, records: &[TrialRecord]) -> String {
        let mut sorted = records.to_vec();
        sorted.sort_by_key(|record| record.trial);
        let trials = sorted.chunk_by(|a, b| a.trial == b.trial);
        self.header() + &trials.map(|records| self.trial_line(records)).collect::<String>()
    }
}

/// The text of a `config.toml` without the line of its shard.
pub fn without_shard(config: &str) -> String {
    let is_shard = |line: &str| line.split_once('=').is_some_and(|(key, _)| key.trim() == "shard");
    config.split_inclusive('\n').filter(|line| !is_shard(line)).collect()
}

/// The trainings of the search, by their seeds.
fn search(records: &[TrialRecord]) -> Vec<&TrialRecord> {
    let mut search: Vec<&TrialRecord> = records.iter().filter(|r| r.stage == Stage::Search).collect();
    search.sort_by_key(|record| record.seed);
    search
}

/// Appends `lines` to the journal at `path`, which is created if missing, and flushes them to disk.
///
/// Optuna ignores an incomplete last line, so it may read at the same time. After a crash the last line may be
/// incomplete: rewrite the journal from the trials ([`OptunaStudy::journal`]) before appending.
///
/// # Errors
/// [`RunError::File`].
fn append(path: &Path, lines: &str) -> Result<(), RunError> {
    let file = File::options().create(true).append(true).open(path);
    let done = file.and_then(|mut file| file.write_all(lines.as_bytes()).and_then(|()| file.sync_data()));
    done.map_err(|cause| RunError::io("write", path, cause))
}

/// The mean of the numbers; none if one is missing or there are none.
fn mean(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let values: Vec<f64> = values.collect::<Option<_>>()?;
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    mean.is_finite().then_some(mean)
}

/// `(epoch, mean)` of each epoch at which all trainings have the objective, in order.
fn intermediate_values(search: &[&TrialRecord], objective: Objective) -> Vec<(u64, f64)> {
    let Some(first) = search.first() else { return Vec::new() };
    let at = |record: &TrialRecord, epoch: u64| {
        let point = record.curve.iter().find(|point| point.epoch == epoch)?;
        match objective {
            Objective::ValLoss => point.val_loss,
            Objective::ValAcc => point.val_score,
        }
    };
    let epochs = first.curve.iter().map(|point| point.epoch);
    epochs.filter_map(|epoch| Some((epoch, mean(search.iter().map(|r| at(r, epoch)))?))).collect()
}

/// End and value of a trial.
fn outcome(search: &[&TrialRecord], objective: Objective, intermediate: &[(u64, f64)]) -> (End, Option<f64>) {
    let any = |status| search.iter().any(|record| record.status == status);
    if any(TrialStatus::Failed) || any(TrialStatus::Diverged) {
        return (End::Fail, None);
    }
    if search.iter().any(|record| unfinished(record)) {
        // As `study.tell` does for a pruned trial.
        return (End::Pruned, intermediate.last().map(|&(_, value)| value));
    }
    let value = mean(search.iter().map(|record| match objective {
        Objective::ValLoss => record.val_loss,
        Objective::ValAcc => record.val_acc.or(record.val_r2),
    }));
    (if value.is_some() { End::Complete } else { End::Fail }, value)
}

/// Whether something other than its own patience stopped it.
fn unfinished(record: &TrialRecord) -> bool {
    let patience = matches!(record.stop_reason(), Some(StopReason::Patience { .. }));
    record.status == TrialStatus::Stopped && !patience
}

/// User attributes of a trial, for the dashboard and its filters; unknown ones are left out.
fn user_attrs(search: &[&TrialRecord], records: &[TrialRecord]) -> Map<String, Value> {
    let mut attrs = Map::new();
    let mut put = |key: &str, value: Value| {
        if !value.is_null() {
            attrs.insert(key.into(), value);
        }
    };
    let Some(first) = search.first() else { return attrs };
    // The worst end among its seeds counts for the trial.
    let gravity = |record: &&&TrialRecord| match record.status {
        TrialStatus::Completed => 0,
        TrialStatus::Stopped => 1 + u8::from(unfinished(record)),
        TrialStatus::Diverged => 3,
        TrialStatus::Failed => 4,
    };
    let gravest = search.iter().max_by_key(gravity).unwrap_or(first);
    put("trial", first.trial.into());
    put("seeds", search.iter().map(|record| record.seed).collect());
    put("status", json!(gravest.status));
    put("reason", gravest.reason.clone().into());
    put("epochs", search.iter().map(|record| record.epochs).max().into());
    put("parameters", first.parameters.into());
    put("wall_s", search.iter().map(|record| record.wall_s).sum::<f64>().into());
    put("device", first.device.clone().into());
    put("val_loss", mean(search.iter().map(|record| record.val_loss)).into());
    put("val_acc", mean(search.iter().map(|record| record.val_acc)).into());
    put("val_rmse", mean(search.iter().map(|record| record.val_rmse)).into());
    put("val_r2", mean(search.iter().map(|record| record.val_r2)).into());

    let mut last: Vec<&TrialRecord> = records.iter().filter(|r| r.stage == Stage::Final).collect();
    last.sort_by_key(|record| record.seed);
    if !last.is_empty() {
        put("final_seeds", last.iter().map(|record| record.seed).collect());
        put("final_val_loss", mean(last.iter().map(|record| record.val_loss)).into());
        put("test_loss", mean(last.iter().map(|record| record.test_loss)).into());
        put("test_acc", mean(last.iter().map(|record| record.test_acc)).into());
        put("test_rmse", mean(last.iter().map(|record| record.test_rmse)).into());
        put("test_r2", mean(last.iter().map(|record| record.test_r2)).into());
    }
    attrs
}

/// A dimension as Optuna's distribution. Optuna has no scale `ema`; it becomes uniform.
fn distribution(dimension: &Dimension) -> Value {
    match &dimension.domain {
        Domain::Set(choices) => {
            json!({ "name": "CategoricalDistribution", "attributes": { "choices": choices } })
        }
        Domain::Range { low, high, scale, integer: true } => json!({
            "name": "IntDistribution",
            "attributes": { "log": *scale == Scale::Log, "step": 1, "low": *low as i64, "high": *high as i64 },
        }),
        Domain::Range { low, high, scale, integer: false } => json!({
            "name": "FloatDistribution",
            "attributes": { "step": null, "low": low, "high": high, "log": *scale == Scale::Log },
        }),
    }
}

/// A value as Optuna stores it: the number itself, or its index in the set. None if it is outside the domain.
fn internal_value(domain: &Domain, value: &Value) -> Option<Value> {
    match domain {
        Domain::Set(choices) => {
            let same = |choice: &Value| match (choice.as_f64(), value.as_f64()) {
                // 1 and 1.0 are the same value.
                (Some(choice), Some(value)) => choice == value,
                _ => choice == value,
            };
            choices.iter().position(same).map(Value::from)
        }
        Domain::Range { low, high, .. } => {
            value.as_f64().filter(|x| (low..=high).contains(&x)).map(Value::from)
        }
    }
}

/// A Unix time in seconds as Optuna writes it; null if it is not a valid time.
fn time(seconds: f64) -> Value {
    let microseconds = seconds.is_finite().then_some((seconds * 1e6).round() as i64);
    let timestamp = microseconds.and_then(|us| jiff::Timestamp::from_microsecond(us).ok());
    timestamp.map(|time| time.strftime("%Y-%m-%dT%H:%M:%S.%6f+00:00").to_string()).into()
}

#[cfg(test)]
mod tests;
