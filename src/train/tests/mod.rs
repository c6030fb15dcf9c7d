//! The loop on the CPU engine, with a tiny network on the digits.

mod ensemble;
mod faults;
pub(crate) mod faulty;
mod files;
mod model;
mod population;
mod refill;

use std::sync::Arc;
use std::time::Duration;

use crate::data::{Dataset, LoadRequest, load};
use crate::engine::CpuFactory;
use crate::population::{Member, Population};
use crate::run::{EpochMetrics, Look, RunError, metrics_jsonl};
use crate::spec::{
    Activation, BatchNorm, BestEpoch, Embed, Folds, Init, Length, Network, Optimizer, PartialConfig,
    RunRequest, Schedule, Training, resolve,
};

use super::model::Weights;
use super::{
    Checkpoint, Ended, Events, MemberCheckpoint, Pace, Problem, Stop, StopReason, Trainer, TrainingState,
    member,
};

/// Checkpoints as often as possible, no pauses.
pub(crate) const EAGER: Pace = Pace {
    store_every: Duration::ZERO,
    read_every: Duration::ZERO,
    epoch_every: Duration::ZERO,
    share: 1.0,
    backoff: Duration::ZERO,
};

fn dataset() -> Dataset {
    dataset_of(None)
}

fn dataset_of(folds: Option<Folds>) -> Dataset {
    load(&LoadRequest {
        source: "digits".into(),
        target: None,
        table: Default::default(),
        task: None,
        val_split: 0.1,
        test_split: 0.8,
        folds,
        folds_of_tables: false,
        standardize: true,
        clip_inputs: true,
        clamp: None,
        seed: 0,
        data_dir: None,
    })
    .unwrap()
}

/// 323 training rows, 36 validation rows.
pub(crate) fn problem() -> Problem {
    Problem::new(dataset())
}

/// Three and a half epochs of eleven steps.
fn training() -> Training {
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
        length: Length::Steps(38),
        patience: None,
        max_time: None,
        best_epoch: BestEpoch::Lowest,
        seed: 5,
    }
}

fn request() -> RunRequest {
    let request = resolve(PartialConfig::default(), None).unwrap();
    RunRequest { training: training(), ..request }
}

fn population_of(trainings: &[Training], problem: &Problem) -> Arc<Population> {
    let members: Vec<Member> = trainings.iter().map(|training| member(training, problem).unwrap()).collect();
    Arc::new(Population::new(members).watched())
}

/// Records all events.
#[derive(Default)]
struct Told {
    epochs: Vec<(usize, EpochMetrics)>,
    looks: Vec<(usize, Look)>,
    messages: Vec<String>,
    checkpoints: Vec<Checkpoint>,
    /// Requests a stop after this many checkpoints.
    stop_at: Option<(usize, Stop)>,
}

impl Events for Told {
    fn epoch(&mut self, member: usize, metrics: &EpochMetrics) {
        self.epochs.push((member, *metrics));
    }
    fn look(&mut self, member: usize, look: &Look) {
        self.looks.push((member, look.clone()));
    }
    fn message(&mut self, text: &str) {
        self.messages.push(text.into());
    }
    fn checkpoint(
        &mut self,
        _: &Population,
        checkpoint: &[Option<MemberCheckpoint>],
    ) -> Result<(), RunError> {
        self.checkpoints.push(checkpoint.to_vec());
        if let Some((at, stop)) = &self.stop_at
            && self.checkpoints.len() == *at
        {
            stop.ask();
        }
        Ok(())
    }
}

/// The checkpoint of the first slot.
#[track_caller]
fn one(checkpoint: &[Option<MemberCheckpoint>]) -> &MemberCheckpoint {
    checkpoint[0].as_ref().expect("a checkpoint")
}

/// Trains to the end; returns the last checkpoint and the events.
fn train(trainings: &[Training], problem: &Problem) -> (Checkpoint, Told) {
    let population = population_of(trainings, problem);
    let mut told = Told::default();
    let factory = CpuFactory::default();
    let mut trainer = Trainer::new(&factory, population, problem, Vec::new(), EAGER, &mut told).unwrap();
    assert!(trainer.run(&mut told, &Stop::default()).unwrap());
    drop(trainer);
    (told.checkpoints.last().unwrap().clone(), told)
}

/// A member's state and record without the times.
fn timeless(state: &TrainingState, history: &[EpochMetrics]) -> (TrainingState, Vec<EpochMetrics>) {
    let mut state = TrainingState { train_s: 0.0, wall_s: 0.0, ..state.clone() };
    state.open.train_s = 0.0;
    let metrics = history.iter();
    let metrics = metrics.map(|m| EpochMetrics { samples_per_s: 0.0, wall_s: 0.0, ..*m }).collect();
    (state, metrics)
}

/// Asserts that two trainings ended with the same bits.
#[track_caller]
fn assert_same(found: &[Option<MemberCheckpoint>], expected: &[Option<MemberCheckpoint>], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(expected) {
        let (Some(found), Some(expected)) = (found, expected) else { panic!("{what}: no checkpoint") };
        assert_same_member(found, expected, what);
    }
}

/// Asserts that a member reached the same state, bit for bit.
#[track_caller]
fn assert_same_member(found: &MemberCheckpoint, expected: &MemberCheckpoint, what: &str) {
    let of = |member: &MemberCheckpoint| timeless(&member.state, &member.history);
    assert_eq!(of(found), of(expected), "{what}");
    let looks = |member: &MemberCheckpoint| metrics_jsonl(&[], &member.looks);
    assert_eq!(looks(found), looks(expected), "{what}: looks");
    assert_same_weights(&found.weights, &expected.weights, what);
    assert_eq!(found.best, expected.best, "{what}: the best model");
}

#[track_caller]
fn assert_same_weights(found: &Weights, expected: &Weights, what: &str) {
    for (name, found, expected) in
        [("parameters", &found.params, &expected.params), ("moments", &found.moments, &expected.moments)]
    {
        assert_eq!(found.len(), expected.len(), "{what}: {name}");
        let differ = found.iter().zip(expected).position(|(a, b)| a.to_bits() != b.to_bits());
        assert_eq!(differ, None, "{what}: {name} differ at this place");
    }
}

#[test]
fn epochs_are_recorded_and_the_last_may_be_short() {
    let problem = problem();
    let (end, told) = train(&[training()], &problem);
    let MemberCheckpoint { state, history, best, .. } = one(&end);
    assert_eq!((state.step, state.epochs, state.ended.as_ref()), (38, 4, Some(&Ended::Completed)));
    assert_eq!(history.iter().map(|m| m.step).collect::<Vec<_>>(), [11, 22, 33, 38]);
    assert_eq!(told.epochs.iter().map(|(_, m)| *m).collect::<Vec<_>>(), *history);
    assert_eq!(state.rows, 3 * problem.split.train as u64 + 5 * 30);
    assert!(history[3].train_loss < history[0].train_loss, "{history:?}");
    let lowest = history.iter().min_by(|a, b| a.val_loss.partial_cmp(&b.val_loss).unwrap()).unwrap();
    let kept = state.best.unwrap();
    assert_eq!((kept.epoch, Some(kept.val_loss)), (lowest.epoch, lowest.val_loss));
    assert!(best.is_some());
}

#[test]
fn patience_ends_a_training() {
    let problem = problem();
    // With a tiny learning rate, nothing improves after the first epoch.
    let training = Training { patience: Some(2), lr: 1e-30, weight_decay: 0.0, ..training() };
    let training = Training { length: Length::Epochs(50), clip_norm: None, ..training };
    let training = Training { network: Network { batch_norm: None, ..training.network.clone() }, ..training };
    let (end, _) = train(&[training], &problem);
    let state = &one(&end).state;
    assert_eq!(state.epochs, 3);
    let Some(Ended::Stopped { reason }) = &state.ended else { panic!("{state:?}") };
    assert_eq!(*reason, StopReason::Patience { epochs: 2 });
}

#[test]
fn the_time_limit_closes_the_epoch_and_keeps_a_model() {
    let problem = problem();
    let limit = Some(Duration::ZERO);
    let training = Training { max_time: limit, length: Length::Epochs(50), ..training() };
    let (end, _) = train(&[Training { max_time: limit, ..training }], &problem);
    let MemberCheckpoint { state, .. } = one(&end);
    assert!(matches!(state.ended, Some(Ended::Stopped { .. })) && state.step < 550, "{state:?}");
}

#[test]
fn a_state_keeps_its_bits_in_json() {
    let problem = problem();
    let (_, told) = train(&[training()], &problem);
    assert!(told.checkpoints.iter().any(|c| one(c).state.open.steps > 0), "none within an epoch");
    for checkpoint in &told.checkpoints {
        let state = &one(checkpoint).state;
        let back: TrainingState = serde_json::from_str(&serde_json::to_string(state).unwrap()).unwrap();
        assert_eq!(back, *state);
    }
}

#[test]
fn impossible_trainings_are_refused_with_a_remedy() {
    let problem = problem();
    let error = |training: Training| member(&training, &problem).unwrap_err().to_string();
    assert!(error(Training { batch_size: 1, ..training() }).contains("--no-bn"));
    let hidden = vec![65_536, 65_536];
    let wide = Training { network: Network { hidden, ..training().network }, ..training() };
    assert!(error(wide).contains("--hidden"));
    assert!(error(Training { length: Length::Epochs(4_000_000_000), ..training() }).contains("too many"));
}
