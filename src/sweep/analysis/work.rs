//! The cost of the search: epochs, and the use of its slots.

use std::collections::BTreeSet;

use serde::Serialize;

use super::ranking::halved_at;
use crate::spec::{Length, SweepRequest};
use crate::sweep::{Stage, TrialRecord};

/// Most points of the series of slots.
const POINTS: usize = 100;

/// The unit of a training's length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    Epochs,
    Steps,
}

impl Unit {
    /// One of them.
    pub fn singular(self) -> &'static str {
        match self {
            Unit::Epochs => "epoch",
            Unit::Steps => "step",
        }
    }
}

/// Work of the search stage, over all its trainings.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Work {
    pub unit: Unit,
    /// Trained in total.
    pub trained: u64,
    /// The cost of training each of them to its end.
    pub full: u64,
    /// Not trained because halving stopped a training.
    pub halving_saved: u64,
    /// Not trained because a training ended early for another reason: patience, divergence, a time limit.
    pub others_saved: u64,
    pub slots: Option<Slots>,
}

/// Trainings that ran at the same time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Slots {
    /// Different slots that were used, over all lanes.
    pub count: u64,
    /// Mean number in use, from the first start to the last end.
    pub mean: f64,
    /// Seconds from the first start to the last end.
    pub seconds: f64,
    /// Mean number in use in equal parts of that time, in order.
    pub series: Vec<f64>,
}

/// What a training did, and the length of its schedule; that may itself be searched.
pub(super) fn length(record: &TrialRecord, request: &SweepRequest) -> (Unit, u64, u64) {
    let (unit, key, done, usual) = match request.base.training.length {
        Length::Epochs(epochs) => (Unit::Epochs, "epochs", record.epochs, epochs),
        Length::Steps(steps) => (Unit::Steps, "steps", record.steps, steps),
    };
    (unit, done, record.params.get(key).and_then(|value| value.as_u64()).unwrap_or(usual))
}

/// The work in `records`.
pub fn work(records: &[TrialRecord], request: &SweepRequest) -> Work {
    let unit = match request.base.training.length {
        Length::Epochs(_) => Unit::Epochs,
        Length::Steps(_) => Unit::Steps,
    };
    let mut work =
        Work { unit, trained: 0, full: 0, halving_saved: 0, others_saved: 0, slots: slots(records) };
    for record in records.iter().filter(|record| record.stage == Stage::Search) {
        let (_, trained, full) = length(record, request);
        let full = full.max(trained);
        work.trained += trained;
        work.full += full;
        match halved_at(record, request) {
            Some(_) => work.halving_saved += full - trained,
            None => work.others_saved += full - trained,
        }
    }
    work
}

/// The slots that all `records` used, those of the final comparison too. None if no time passed.
fn slots(records: &[TrialRecord]) -> Option<Slots> {
    let timed = |record: &&TrialRecord| record.started.is_finite() && record.ended >= record.started;
    let records: Vec<&TrialRecord> =
        records.iter().filter(timed).filter(|record| record.ended.is_finite()).collect();
    let first = records.iter().map(|record| record.started).reduce(f64::min)?;
    let last = records.iter().map(|record| record.ended).reduce(f64::max)?;
    let seconds = last - first;
    if seconds <= 0.0 {
        return None;
    }
    let count = records.iter().map(|record| (&record.queue, record.slot)).collect::<BTreeSet<_>>().len();
    let busy: f64 = records.iter().map(|record| record.ended - record.started).sum();
    let part = seconds / POINTS as f64;
    let mut series = vec![0.0; POINTS];
    for record in &records {
        let (from, to) = ((record.started - first) / part, (record.ended - first) / part);
        for (at, sum) in
            series.iter_mut().enumerate().skip(from as usize).take(to as usize + 1 - from as usize)
        {
            *sum += (to.min((at + 1) as f64) - from.max(at as f64)).max(0.0);
        }
    }
    Some(Slots { count: count as u64, mean: busy / seconds, seconds, series })
}
