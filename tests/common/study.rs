//! A made-up sweep and a made-up training, the same at every call, for tests of their readers.

use bngpu::report::page::{Finalist, Findings, Importance, Interval};
use bngpu::run::{EpochMetrics, Look, Score};
use bngpu::spec::Params;
use bngpu::step::watch::{LayerWatch, Percentiles, next_look};
use bngpu::sweep::{CurvePoint, Stage, TrialRecord, TrialStatus};
use serde_json::{Value, json};

use super::files::Random;

/// A name that would run as a script, or end one, if it is not escaped.
pub const HOSTILE: &str =
    "</script><script>document.title='broken'</script><img src=x onerror=fail()>{{data}}\"'&";

pub const CONFIG: &str = "data = \"digits\"\nbn = true\nepochs = 20\nstrategy = \"random\"\nobjective = \"val_loss\"\n\
    [space]\nlr = \"1e-4..1e-1:log\"\nbeta1 = \"0.8..0.9995:ema\"\nhidden = \"64x2,128x3,256-128\"\n\
    dropout = \"0..0.5\"\nactivation = \"relu,tanh\"\n";
pub const GRID_CONFIG: &str = "data = \"digits\"\nbn = true\nepochs = 3\nstrategy = \"grid\"\n[space]\nlr = [0.1, 0.01, 0.001]\nbeta1 = [0.8, 0.88, 0.9]\n";

fn uniform(random: &mut Random) -> f64 {
    0.5 + 0.5 * random.unit()
}

/// Lanes of slots that take the next trial when they are free: (lane, slot, time at which it is free).
struct Lanes(Vec<(u32, u32, f64)>);

impl Lanes {
    fn new(lanes: u32, slots: u32) -> Lanes {
        Lanes(
            (0..lanes)
                .flat_map(|lane| (0..slots).map(move |slot| (lane, slot, 1e9 + 0.05 * f64::from(lane))))
                .collect(),
        )
    }

    /// Where and when a training of this many seconds runs.
    fn take(&mut self, seconds: f64) -> (u32, u32, f64) {
        let first = self.0.iter_mut().min_by(|a, b| a.2.total_cmp(&b.2)).unwrap();
        let taken = *first;
        first.2 += seconds;
        taken
    }
}

fn record(
    trial: u64,
    seed: u64,
    params: Params,
    epochs: u64,
    lanes: &mut Lanes,
    random: &mut Random,
) -> TrialRecord {
    let number = |key: &str, otherwise: f64| params.get(key).and_then(Value::as_f64).unwrap_or(otherwise);
    // A valley around lr = 0.01 and 1/(1 - beta1) = 10.
    let off = (number("lr", 0.01).log10() + 2.0).powi(2)
        + 0.3 * ((1.0 - number("beta1", 0.9)).log10() + 1.0).powi(2);
    let bottom = 0.05 + 0.15 * off + 0.1 * number("dropout", 0.0) + 0.01 * uniform(random);
    let luck = uniform(random);
    let (status, reason) = match luck {
        x if x < 0.06 => (TrialStatus::Diverged, Some("NaN in step 12")),
        x if x < 0.3 && epochs > 3 => {
            (TrialStatus::Stopped, Some("halving: not among the best after 7 epochs"))
        }
        x if x > 0.995 => (TrialStatus::Failed, Some("no memory for one member")),
        _ => (TrialStatus::Completed, None),
    };
    let done = match status {
        TrialStatus::Completed => epochs,
        TrialStatus::Stopped => epochs / 3 + 1,
        TrialStatus::Diverged => 2,
        TrialStatus::Failed => 0,
    };
    let loss_at = |epoch: u64, random: &mut Random| {
        let loss =
            bottom + 2.2 * (-0.35 * epoch as f64 * (1.0 - 0.2 * off.min(4.0))).exp() + 0.01 * uniform(random);
        (status != TrialStatus::Diverged || epoch < 2).then_some(loss)
    };
    let curve: Vec<CurvePoint> = (1..=done)
        .map(|epoch| {
            let val_loss = loss_at(epoch, random);
            CurvePoint {
                epoch,
                step: 23 * epoch,
                train_loss: val_loss.map(|loss| 0.8 * loss),
                val_loss,
                val_score: val_loss.map(|loss| (-loss).exp()),
            }
        })
        .collect();
    let val_loss = curve.iter().filter_map(|point| point.val_loss).min_by(f64::total_cmp);
    let wall_s = 0.02 + 0.03 * done as f64 * (0.7 + 0.6 * uniform(random));
    let (lane, slot, started) = lanes.take(wall_s);
    TrialRecord {
        trial,
        params,
        seed,
        stage: Stage::Search,
        status,
        reason: reason.map(String::from),
        epochs: done,
        steps: 23 * done,
        val_loss,
        val_acc: val_loss.map(|loss| (-loss).exp()),
        val_rmse: None,
        val_r2: None,
        test_loss: None,
        test_acc: None,
        test_rmse: None,
        test_r2: None,
        best_epoch: curve.iter().find(|point| point.val_loss == val_loss).map(|point| point.epoch),
        parameters: 26_378,
        wall_s,
        queue: lane.to_string(),
        device: "llvmpipe (LLVM 15.0.6, 256 bits)".into(),
        slot,
        started,
        ended: started + wall_s,
        weights: None,
        rungs: Vec::new(),
        curve,
    }
}

/// `trials` settings of a mixed space, each with this many seeds, on two lanes of 24 slots.
pub fn sweep(trials: u64, seeds: u64, epochs: u64) -> Vec<TrialRecord> {
    let (mut random, mut lanes) = (Random(7), Lanes::new(2, 24));
    let mut records = Vec::new();
    for trial in 0..trials {
        let mut params = Params::new();
        params.insert("lr".into(), json!(10f64.powf(-4.0 + 3.0 * uniform(&mut random))));
        // Only Adam has beta1.
        if trial % 4 > 0 {
            params.insert("beta1".into(), json!(1.0 - 0.2 * 400f64.powf(-uniform(&mut random))));
        }
        params.insert("hidden".into(), json!(["64x2", "128x3", "256-128"][random.below(3)]));
        params.insert("dropout".into(), json!(0.5 * uniform(&mut random)));
        params.insert("activation".into(), json!(["relu", "tanh"][random.below(2)]));
        params.insert("batch-size".into(), json!([32, 64, 128][random.below(3)]));
        for seed in 0..seeds {
            records.push(record(trial, seed, params.clone(), epochs, &mut lanes, &mut random));
        }
    }
    records
}

/// The nine trials of a grid of 3 x 3, one population.
pub fn grid() -> Vec<TrialRecord> {
    let (mut random, mut lanes) = (Random(11), Lanes::new(1, 9));
    let pairs = [0.1, 0.01, 0.001].into_iter().flat_map(|lr| [0.8, 0.88, 0.9].map(|beta1| (lr, beta1)));
    let mut records: Vec<_> = pairs
        .enumerate()
        .map(|(trial, (lr, beta1))| {
            let params =
                Params::from_iter([("lr".to_owned(), json!(lr)), ("beta1".to_owned(), json!(beta1))]);
            record(trial as u64, 0, params, 3, &mut lanes, &mut random)
        })
        .collect();
    records[0].status = TrialStatus::Diverged;
    records
}

/// Conclusions that use every part of the page.
pub fn findings() -> Findings {
    let interval = |mean: f64, half: f64| Interval { mean, low: mean - half, high: mean + half };
    let finalist = |trial, mean| Finalist {
        trial,
        seeds: 5,
        val: interval(mean, 0.008),
        test: Some(interval(mean + 0.02, 0.012)),
    };
    let importance =
        |key: &str, share| Importance { key: key.into(), share, low: 0.7 * share, high: 1.25 * share };
    Findings {
        winner: None,
        headline: vec![
            ("Winner".into(), "trial 17".into()),
            ("Validation loss, mean ± 95 %".into(), "0.0612 ± 0.008".into()),
            ("Test loss".into(), "0.0812".into()),
            ("Optimism gap".into(), "0.011".into()),
        ],
        importance: vec![importance("lr", 0.61), importance("beta1", 0.2), importance("dropout", 0.05)],
        warnings: vec!["The best lr lies on the upper edge of its range: widen it.".into()],
        expected_best: (0..30).map(|n| (1.25f64.powi(n), 0.06 + 0.5 * 0.8f64.powi(n))).collect(),
        finalists: vec![finalist(17, 0.061), finalist(3, 0.066), finalist(8, 0.068)],
    }
}

/// The epochs of a training with a cosine schedule.
pub fn training(epochs: u64, regression: bool) -> Vec<EpochMetrics> {
    let mut random = Random(5);
    let score = |loss: f64| match regression {
        true => Score::Regression { rmse: loss.sqrt(), r2: 1.0 - loss },
        false => Score::Accuracy((-loss).exp()),
    };
    (1..=epochs)
        .map(|epoch| {
            let part = epoch as f64 / epochs as f64;
            let train_loss = 0.02 + 1.5 * (-6.0 * part).exp() + 0.004 * random.unit().abs();
            let val_loss = train_loss + 0.03 + 0.03 * part + 0.01 * random.unit();
            EpochMetrics {
                epoch,
                step: 23 * epoch,
                lr: 1e-3 * (1.0 + (std::f64::consts::PI * part).cos()) / 2.0,
                train_loss,
                train_score: score(train_loss),
                val_loss: Some(val_loss),
                val_score: Some(score(val_loss)),
                grad_norm: 0.1 + train_loss,
                samples_per_s: 700e3 + 50e3 * random.unit(),
                wall_s: 0.002 * epoch as f64,
            }
        })
        .collect()
}

/// Watched values of `layers` layers over 50,000 steps: Z drifts more in deeper layers, and with batch normalisation
/// the inputs of the activations do not drift.
pub fn looks(layers: usize, normalized: bool) -> Vec<Look> {
    let mut random = Random(9);
    let steps = std::iter::successors(Some(0), |step| Some(next_look(step + 1, 50_000)));
    let mut of_layer = |step: u64, layer: usize| {
        let part = (step as f64 + 1.0).ln() / 11.0;
        let mut spread = |middle: f64, width: f64| {
            let shake = 0.05 * random.unit();
            Percentiles([-1.64, -1.04, 0.0, 1.04, 1.64].map(|q| (middle + shake + width * q) as f32))
        };
        let before = spread(-(layer as f64) * part, 0.3 + part * (1.0 + layer as f64));
        let after = if normalized && layer + 1 < layers { spread(0.1, 1.0 + part) } else { before };
        let norm = 0.3f64.powi((layers - layer) as i32) * (1.5 - part);
        LayerWatch {
            before,
            after,
            unit_before: before,
            unit_after: after,
            weight_grad_norm: norm as f32,
            vector_grad_norm: (0.2 * norm) as f32,
        }
    };
    let look = |step| Look::new(step, &(0..layers).map(|layer| of_layer(step, layer)).collect::<Vec<_>>());
    steps.take_while(|&step| step < 50_000).map(look).collect()
}
