//! A small training on the digits, and its events, for tests of whole trainings.

use std::sync::Arc;
use std::time::Duration;

use bngpu::data::{LoadRequest, load};
use bngpu::engine::EngineFactory;
use bngpu::engine::gpu::adapters::{self, AdapterSummary};
use bngpu::engine::gpu::{GpuFactory, GpuOptions};
use bngpu::population::Population;
use bngpu::run::RunError;
use bngpu::spec::{
    Activation, BatchNorm, BestEpoch, Embed, Init, Length, Network, Optimizer, Schedule, Training,
};
use bngpu::train::{Checkpoint, Events, MemberCheckpoint, Pace, Problem, Stop, TrainError, Trainer, member};

use super::gpu;

/// The embedded digits; `test_split` of them are left out.
pub fn digits(test_split: f64) -> Problem {
    let request = LoadRequest {
        source: "digits".into(),
        target: None,
        table: Default::default(),
        task: None,
        val_split: 0.1,
        test_split,
        folds: None,
        folds_of_tables: false,
        standardize: true,
        clip_inputs: true,
        clamp: None,
        seed: 0,
        data_dir: None,
    };
    Problem::new(load(&request).expect("the digits are embedded"))
}

/// Covers every kind of state that a fault could lose: moments, running statistics, dropout, a schedule, short batches.
pub fn training(steps: u64) -> Training {
    Training {
        network: Network {
            embed: Embed::None,
            sub_models: 1,
            hidden: vec![9, 7],
            activation: Activation::Relu,
            batch_norm: Some(BatchNorm::default()),
            dropout: 0.1,
            init: Init::He,
        },
        optimizer: Optimizer::Adam { beta1: 0.9, beta2: 0.999, eps: 1e-8 },
        lr: 1e-2,
        l2: 1e-4,
        weight_decay: 1e-2,
        schedule: Schedule::Cosine,
        warmup: 3,
        clip_norm: Some(3.0),
        batch_size: 30,
        length: Length::Steps(steps),
        patience: None,
        max_time: None,
        best_epoch: BestEpoch::Lowest,
        seed: 5,
    }
}

/// Checkpoints as often as possible, no pauses.
pub const EAGER: Pace = Pace {
    store_every: Duration::ZERO,
    read_every: Duration::ZERO,
    epoch_every: Duration::ZERO,
    share: 1.0,
    backoff: Duration::ZERO,
};
/// Checkpoints only at the end, so that a fault loses everything.
pub const LAZY: Pace = Pace {
    epoch_every: Duration::ZERO,
    store_every: Duration::from_secs(3600),
    read_every: Duration::from_secs(3600),
    share: 1.0,
    backoff: Duration::ZERO,
};

/// A factory of engines on the test adapter.
pub fn factory(options: GpuOptions) -> GpuFactory {
    let info = gpu::adapter().get_info();
    let same = |a: &AdapterSummary| (&a.name, a.vendor, a.device) == (&info.name, info.vendor, info.device);
    let found = adapters::list().unwrap_or_else(|none| panic!("{none}"));
    let (summary, _) = found.into_iter().find(|(a, _)| same(a)).expect("the test adapter is listed");
    GpuFactory::new(summary, "the test selects it".into(), options)
}

/// Records all events.
#[derive(Default)]
pub struct Told {
    pub messages: Vec<String>,
    pub checkpoints: Vec<Checkpoint>,
}

impl Events for Told {
    fn message(&mut self, text: &str) {
        self.messages.push(text.into());
    }
    fn checkpoint(
        &mut self,
        _: &Population,
        checkpoint: &[Option<MemberCheckpoint>],
    ) -> Result<(), RunError> {
        self.checkpoints.push(checkpoint.to_vec());
        Ok(())
    }
    fn checkpoint_path(&self) -> Option<std::path::PathBuf> {
        Some("runs/test/last.safetensors".into())
    }
}

/// Trains one model until it ends or fails.
pub fn train(
    factory: &dyn EngineFactory,
    training: &Training,
    problem: &Problem,
    pace: Pace,
) -> (Result<(), TrainError>, Told) {
    let mut told = Told::default();
    let member = member(training, problem).expect("a possible training");
    let population = Arc::new(Population::new(vec![member]));
    let trainer = Trainer::new(factory, population, problem, Vec::new(), pace, &mut told);
    let result = trainer.and_then(|mut trainer| trainer.run(&mut told, &Stop::default()));
    (result.map(|done| assert!(done, "no stop was requested")), told)
}

/// Asserts that two trainings ended with the same bits: weights, moments, running statistics, losses of every epoch.
#[track_caller]
pub fn assert_same(found: &Told, expected: &Told, what: &str) {
    let [found, expected] = [found, expected].map(|told| {
        let last = told.checkpoints.last().unwrap_or_else(|| panic!("{what}: no checkpoint"));
        last[0].as_ref().unwrap_or_else(|| panic!("{what}: no member"))
    });
    assert_same_member(found, expected, what);
}

/// Asserts that a member ended with the same bits.
#[track_caller]
pub fn assert_same_member(found: &MemberCheckpoint, expected: &MemberCheckpoint, what: &str) {
    let bits = |member: &MemberCheckpoint| {
        let weights = &member.weights;
        // The batch statistics after the running ones only matter within their step.
        [&weights.params, &weights.moments].map(|v| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>())
    };
    assert!(bits(found) == bits(expected), "{what}: different weights than undisturbed");
    let epochs = |member: &MemberCheckpoint| {
        let history = member.history.iter();
        let bits = history.map(|m| (m.step, m.train_loss.to_bits(), m.val_loss.map(f64::to_bits)));
        bits.collect::<Vec<_>>()
    };
    assert_eq!(epochs(found), epochs(expected), "{what}: different record than undisturbed");
    assert_eq!(found.best, expected.best, "{what}: different best model than undisturbed");
    assert_eq!(found.state.ended, expected.state.ended, "{what}: different end than undisturbed");
}
