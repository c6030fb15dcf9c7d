//! Records and requests that the tests of this folder share.

use serde_json::Value;

use super::{CurvePoint, Stage, TrialRecord, TrialStatus};
use crate::spec::{Objective, PartialConfig, Space, Strategy, SweepRequest, resolve};

/// A trial with one epoch of ten steps for each of `val_loss`; its best is the last.
pub fn record(trial: u64, params: Value, seed: u64, val_loss: &[f64], val_acc: f64) -> TrialRecord {
    let point = |(n, &loss): (usize, &f64)| CurvePoint {
        epoch: n as u64 + 1,
        step: 10 * (n as u64 + 1),
        train_loss: Some(0.0),
        val_loss: Some(loss),
        val_score: Some(val_acc),
    };
    TrialRecord {
        trial,
        params: params.as_object().unwrap().clone(),
        seed,
        stage: Stage::Search,
        status: TrialStatus::Completed,
        reason: None,
        epochs: val_loss.len() as u64,
        steps: 10 * val_loss.len() as u64,
        val_loss: val_loss.last().copied(),
        val_acc: val_loss.last().map(|_| val_acc),
        val_rmse: None,
        val_r2: None,
        test_loss: None,
        test_acc: None,
        test_rmse: None,
        test_r2: None,
        best_epoch: Some(val_loss.len() as u64),
        parameters: 9000,
        wall_s: 1.5,
        queue: "0".into(),
        device: "cpu".into(),
        slot: 0,
        started: 1764000000.25,
        ended: 1764000001.0,
        weights: None,
        rungs: Vec::new(),
        curve: val_loss.iter().enumerate().map(point).collect(),
    }
}

/// A random search of `trials` trials with two seeds, of which three are kept.
pub fn request(space: Space, trials: u64) -> SweepRequest {
    SweepRequest {
        base: resolve(PartialConfig::default(), None).unwrap(),
        settings: crate::spec::Params::new(),
        space,
        strategy: Strategy::Random,
        trials,
        seeds: 2,
        halving: None,
        objective: Objective::ValLoss,
        finalists: 0,
        final_seeds: 0,
        more_seeds: false,
        queues: None,
        all_devices: false,
        population: None,
        max_time: None,
        shard: None,
        keep: 3,
        tensorboard: false,
    }
}
