//! Tables of records whose findings are known.

mod budget;
mod importance;
mod ranking;
mod winner;
mod work;

use serde_json::{Value, json};

use crate::spec::{
    Dimension, Domain, Halving, Objective, Params, PartialConfig, Scale, Space, Strategy, SweepRequest,
    resolve,
};
use crate::sweep::{CurvePoint, Stage, TrialRecord, TrialStatus};
use crate::train::StopReason;

/// A random search over one learning rate, 20 epochs.
pub fn request(trials: u64, seeds: u32) -> SweepRequest {
    let domain = Domain::Range { low: 1e-4, high: 1e-1, scale: Scale::Log, integer: false };
    SweepRequest {
        base: resolve(PartialConfig::default(), None).unwrap(),
        settings: Params::new(),
        space: Space { dimensions: vec![Dimension { key: "lr".into(), domain }] },
        strategy: Strategy::Random,
        trials,
        seeds,
        halving: None,
        objective: Objective::ValLoss,
        finalists: 3,
        final_seeds: 3,
        more_seeds: false,
        queues: None,
        all_devices: false,
        population: None,
        max_time: None,
        shard: None,
        keep: 1,
        tensorboard: false,
    }
}

pub fn halving() -> Option<Halving> {
    Some(Halving { eta: 3, min_epochs: 2 })
}

pub fn params(pairs: Value) -> Params {
    pairs.as_object().unwrap().clone()
}

/// A completed training of the search.
pub fn record(trial: u64, seed: u64, val_loss: f64) -> TrialRecord {
    TrialRecord {
        trial,
        params: params(json!({ "lr": 0.001 })),
        seed,
        stage: Stage::Search,
        status: TrialStatus::Completed,
        reason: None,
        epochs: 20,
        steps: 460,
        val_loss: Some(val_loss),
        val_acc: Some(1.0 - val_loss / 2.0),
        val_rmse: None,
        val_r2: None,
        test_loss: None,
        test_acc: None,
        test_rmse: None,
        test_r2: None,
        best_epoch: Some(20),
        parameters: 1000,
        wall_s: 1.0,
        queue: "0".into(),
        device: "cpu".into(),
        slot: 0,
        started: 100.0,
        ended: 101.0,
        weights: None,
        rungs: Vec::new(),
        curve: vec![CurvePoint {
            epoch: 1,
            step: 23,
            train_loss: None,
            val_loss: Some(val_loss + 1.0),
            val_score: None,
        }],
    }
}

pub fn halved(trial: u64, val_loss: f64, epochs: u64) -> TrialRecord {
    let reason = Some(StopReason::Halving { epochs }.to_string());
    TrialRecord { status: TrialStatus::Stopped, reason, epochs, ..record(trial, 0, val_loss) }
}

pub fn diverged(trial: u64, seed: u64) -> TrialRecord {
    TrialRecord { status: TrialStatus::Diverged, val_loss: None, val_acc: None, ..record(trial, seed, 0.0) }
}

pub fn last(trial: u64, seed: u64, val_loss: f64) -> TrialRecord {
    let (test_loss, test_acc) = (Some(val_loss + 0.02), Some(0.9));
    TrialRecord { stage: Stage::Final, test_loss, test_acc, ..record(trial, seed, val_loss) }
}

pub fn close(a: f64, b: f64, tolerance: f64) {
    assert!((a - b).abs() <= tolerance, "{a} is not {b} within {tolerance}");
}

/// Uniform numbers from 0 to below 1 that a few lines of any language repeat (Knuth's MMIX constants).
pub struct Uniform(pub u64);

impl Uniform {
    pub fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / 2_f64.powi(53)
    }
}
