//! TensorBoard event files of the best trials: the curves of each training, and HParams, which compares them.
//!
//! `tensorboard/events.out.tfevents...` describes the study (each hyperparameter with its domain, each metric);
//! `tensorboard/trial-N/` holds the training of trial N, or `tensorboard/trial-N/seed-S/` one of several. HParams
//! averages over the seeds of a trial.
//!
//! A file is a list of records, each `length u64, crc u32, bytes, crc u32` (little-endian), whose bytes are one
//! `Event` as protocol buffer. Source: TensorFlow, `core/lib/io/record_writer.h`; TensorBoard 2.21, `event.proto`,
//! `summary.proto`, `plugins/hparams/{plugin_data,api}.proto`.

use std::collections::BTreeMap;
use std::path::Path;

use prost::Message;
use serde_json::Value;

use self::proto::{Event, HParams, Summary, hparams, value};
use super::export::{Exported, Exporter};
use super::{Stage, TrialRecord, TrialStatus};
use crate::base::write_whole;
use crate::run::RunError;
use crate::spec::{Domain, Space};

mod proto;

/// File name of each run. The part after `tfevents` is arbitrary; a fixed one makes a rewrite replace the file.
const FILE: &str = "events.out.tfevents.0.bngpu";
/// Tags of the curves, also the metrics of HParams.
const TRAIN_LOSS: &str = "train/loss";
const VAL_LOSS: &str = "val/loss";
const VAL_SCORE: &str = "val/score";

/// The folder of event files in that of a sweep.
const FOLDER: &str = "tensorboard";

/// Writes event files at the end of a sweep, if it asks for them.
pub struct TensorBoard;

impl Exporter for TensorBoard {
    fn end(&self, sweep: &Exported, _: &[TrialRecord], kept: &[TrialRecord]) -> Result<(), RunError> {
        match sweep.request.tensorboard {
            true => write(&sweep.dir.join(FOLDER), &sweep.request.space, kept),
            false => Ok(()),
        }
    }
}

/// Writes the event files of `records` (trainings of the search; others are left out) into the folder `dir`, which is
/// created if missing.
///
/// # Errors
/// [`RunError::File`].
fn write(dir: &Path, space: &Space, records: &[TrialRecord]) -> Result<(), RunError> {
    let search: Vec<&TrialRecord> = records.iter().filter(|record| record.stage == Stage::Search).collect();
    let started = search.iter().map(|record| record.started).fold(f64::INFINITY, f64::min);
    let started = if started.is_finite() { started } else { 0.0 };
    write_events(dir, &[version(started), experiment(space, started)])?;
    for record in &search {
        let of_trial = dir.join(format!("trial-{}", record.trial));
        let single = search.iter().filter(|other| other.trial == record.trial).count() == 1;
        let folder = if single { of_trial } else { of_trial.join(format!("seed-{}", record.seed)) };
        write_events(&folder, &events(record))?;
    }
    Ok(())
}

/// All events of one training.
fn events(record: &TrialRecord) -> Vec<Event> {
    let mut events = vec![version(record.started), session_start(record)];
    for point in &record.curve {
        let values =
            [(TRAIN_LOSS, point.train_loss), (VAL_LOSS, point.val_loss), (VAL_SCORE, point.val_score)];
        let scalar = |(tag, value): (&str, Option<f64>)| {
            let value = value::Value::Simple(value? as f32);
            Some(proto::Value { tag: tag.into(), value: Some(value), ..Default::default() })
        };
        let value: Vec<_> = values.into_iter().filter_map(scalar).collect();
        // The end times of epochs are not recorded; epochs take about the same time.
        let share = point.step as f64 / record.steps.max(1) as f64;
        events.push(Event {
            wall_time: record.started + share * (record.ended - record.started),
            step: point.epoch as i64,
            what: Some(proto::event::What::Summary(Summary { value })),
        });
    }
    events.push(session_end(record));
    events
}

/// The first event of a file.
fn version(wall_time: f64) -> Event {
    let what = Some(proto::event::What::FileVersion("brain.Event:2".into()));
    Event { wall_time, step: 0, what }
}

/// The study for HParams.
fn experiment(space: &Space, started: f64) -> Event {
    let hparam_infos = space.dimensions.iter().map(|dimension| {
        let (kind, domain) = match &dimension.domain {
            Domain::Set(values) => {
                let kind = match values.first() {
                    Some(Value::Bool(_)) => proto::DataType::Bool,
                    Some(Value::Number(_)) => proto::DataType::Float64,
                    _ => proto::DataType::String,
                };
                let values = values.iter().filter_map(scalar).collect();
                (kind, hparams::Domain::Discrete(proto::ListValue { values }))
            }
            &Domain::Range { low, high, .. } => {
                let interval = proto::Interval { min_value: low, max_value: high };
                (proto::DataType::Float64, hparams::Domain::Interval(interval))
            }
        };
        proto::HParamInfo { name: dimension.key.clone(), kind: kind.into(), domain: Some(domain) }
    });
    let metric = |(tag, set): (&str, proto::DatasetType)| proto::MetricInfo {
        name: Some(proto::MetricName { group: String::new(), tag: tag.into() }),
        dataset_type: set.into(),
    };
    let metrics = [
        (VAL_LOSS, proto::DatasetType::Validation),
        (VAL_SCORE, proto::DatasetType::Validation),
        (TRAIN_LOSS, proto::DatasetType::Training),
    ];
    let experiment = proto::Experiment {
        time_created_secs: started,
        hparam_infos: hparam_infos.collect(),
        metric_infos: metrics.into_iter().map(metric).collect(),
    };
    hparams_event("_hparams_/experiment", hparams::Data::Experiment(experiment), started)
}

fn session_start(record: &TrialRecord) -> Event {
    let values = record.params.iter().filter_map(|(key, value)| Some((key.clone(), scalar(value)?)));
    let start = proto::SessionStartInfo {
        hparams: values.collect::<BTreeMap<_, _>>(),
        group_name: format!("trial-{}", record.trial),
        start_time_secs: record.started,
    };
    hparams_event("_hparams_/session_start_info", hparams::Data::SessionStart(start), record.started)
}

fn session_end(record: &TrialRecord) -> Event {
    let status = match record.status {
        TrialStatus::Completed | TrialStatus::Stopped => proto::Status::Success,
        TrialStatus::Diverged | TrialStatus::Failed => proto::Status::Failure,
    };
    let end = proto::SessionEndInfo { status: status.into(), end_time_secs: record.ended };
    hparams_event("_hparams_/session_end_info", hparams::Data::SessionEnd(end), record.ended)
}

/// HParams keeps its data in the metadata of a summary whose tensor has no elements.
fn hparams_event(tag: &str, data: hparams::Data, wall_time: f64) -> Event {
    let content = HParams { version: 0, data: Some(data) }.encode_to_vec();
    let plugin_data = proto::PluginData { plugin_name: "hparams".into(), content };
    let metadata = proto::SummaryMetadata { plugin_data: Some(plugin_data) };
    let shape = proto::TensorShape { dim: vec![proto::Dim { size: 0 }] };
    let nothing = proto::Tensor { dtype: proto::TensorType::Float.into(), shape: Some(shape) };
    let value = proto::Value {
        tag: tag.into(),
        metadata: Some(metadata),
        value: Some(value::Value::Tensor(nothing)),
    };
    let what = Some(proto::event::What::Summary(Summary { value: vec![value] }));
    Event { wall_time, step: 0, what }
}

/// A number, a switch or a text; none for anything else.
fn scalar(value: &Value) -> Option<proto::Scalar> {
    let kind = match value {
        Value::Number(number) => proto::scalar::Kind::Number(number.as_f64()?),
        Value::String(text) => proto::scalar::Kind::String(text.clone()),
        Value::Bool(on) => proto::scalar::Kind::Bool(*on),
        _ => return None,
    };
    Some(proto::Scalar { kind: Some(kind) })
}

fn write_events(folder: &Path, events: &[Event]) -> Result<(), RunError> {
    std::fs::create_dir_all(folder).map_err(|cause| RunError::io("create the folder", folder, cause))?;
    let bytes: Vec<u8> = events.iter().flat_map(|event| frame(&event.encode_to_vec())).collect();
    Ok(write_whole(&folder.join(FILE), &bytes)?)
}

/// `bytes` as a record: length, its checksum, the bytes, their checksum.
fn frame(bytes: &[u8]) -> Vec<u8> {
    let length = (bytes.len() as u64).to_le_bytes();
    [&length, &masked_crc(&length).to_le_bytes()[..], bytes, &masked_crc(bytes).to_le_bytes()].concat()
}

/// CRC-32C, rotated and shifted, because a plain CRC of data that contains CRCs is weak.
fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes).rotate_right(15).wrapping_add(0xa282_ead8)
}

#[cfg(test)]
mod tests;
