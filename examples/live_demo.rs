//! The live view of a sweep, without a sweep: `cargo run --example live_demo -- [TRIALS] [LANES] [SLOTS] [EPOCHS]`.
//!
//! The losses are made up: they fall as a power of the epoch, some rise and diverge, and one trial in three is stopped
//! half-way.

use std::error::Error;
use std::io::IsTerminal;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bngpu::report::live::{Aim, Handle, LaneInfo, Live, LiveOptions, Request, SweepEvent, give_back};
use bngpu::spec::{Objective, Params};
use bngpu::sweep::{CurvePoint, Stage, TrialRecord, TrialStatus};
use bngpu::train::Stop;
use serde_json::json;

/// Time between two epochs of a member.
const EPOCH: Duration = Duration::from_millis(120);

/// A made-up training in a slot.
struct Demo {
    trial: u64,
    lr: f64,
    params: Params,
    epoch: u64,
    began: f64,
    curve: Vec<CurvePoint>,
}

fn main() -> Result<(), Box<dyn Error>> {
    let numbers = std::env::args().skip(1).map(|arg| arg.parse()).collect::<Result<Vec<u64>, _>>()?;
    let number = |at: usize, default| numbers.get(at).copied().unwrap_or(default);
    let (trials, lanes, slots, epochs) = (number(0, 64), number(1, 2), number(2, 8), number(3, 20));
    let (wants, asked) = mpsc::channel();
    let signals = Stop::on_signals_after(130, give_back);
    let live = Live::start(
        LiveOptions {
            aim: Aim { objective: Objective::ValLoss, regression: false },
            is_terminal: std::io::stderr().is_terminal(),
            quiet: false,
            at_once: 130,
        },
        wants,
    );
    let tell = live.handle();
    let info = |lane: u64| LaneInfo {
        name: lane.to_string(),
        device: "llvmpipe (LLVM 15.0.6, 256 bits)".into(),
        slots: slots as u32,
    };
    tell.tell(SweepEvent::Planned { trials, trainings: trials, lanes: (0..lanes).map(info).collect() });
    let mut places: Vec<Option<Demo>> = (0..lanes * slots).map(|_| None).collect();
    let (mut next, mut ended, mut ending) = (0, 0, None);
    while ended < trials && !(ending.is_some() && places.iter().all(Option::is_none)) {
        let mut stop = Vec::new();
        for request in asked.try_iter() {
            match request {
                Request::StopTrial { trial, .. } => stop.push(trial),
                all => ending = Some(all),
            }
        }
        if signals.asked() {
            ending = Some(Request::Interrupt);
        }
        for (at, place) in places.iter_mut().enumerate() {
            let (lane, slot) = (at / slots as usize, (at % slots as usize) as u32);
            if place.is_none() && next < trials && ending.is_none() {
                *place = Some(start(&tell, lane, slot, next, epochs));
                next += 1;
            }
            let Some(demo) = place else { continue };
            let stopped = ending.is_some() || stop.contains(&demo.trial);
            if let Some(record) = demo.go_on(&tell, lane, slot, epochs, stopped) {
                tell.tell(SweepEvent::Ended { lane, slot, record: Box::new(record) });
                *place = None;
                ended += 1;
            }
        }
        if std::env::var_os("DEMO_PANIC").is_some() && ended > 10 {
            panic!("a lane panics, as DEMO_PANIC requests");
        }
        thread::sleep(EPOCH);
    }
    live.finish();
    eprintln!("{ended} trainings ended; {}", ending.map_or("completed".into(), |how| format!("{how:?}")));
    Ok(())
}

/// A pseudo-random number in 0..1 that depends only on `n`.
fn noise(n: u64) -> f64 {
    let mixed = (n + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ (n << 17);
    (mixed.wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 11) as f64 / (1u64 << 53) as f64
}

fn start(tell: &Handle, lane: usize, slot: u32, trial: u64, epochs: u64) -> Demo {
    let lr = 10f64.powf(-4.0 + 3.0 * noise(trial));
    let params = json!({
        "hidden": (["64x2", "128x3", "256-128"][trial as usize % 3]), "activation": (["relu", "tanh"][trial as usize % 2]),
        "bn": trial.is_multiple_of(2), "lr": lr, "beta1": 0.9, "batch-size": 64,
    });
    let params = if let serde_json::Value::Object(map) = params { map } else { Params::new() };
    let at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64());
    tell.tell(SweepEvent::Started {
        lane,
        slot,
        trial,
        seed: 0,
        stage: Stage::Search,
        params: params.clone(),
        epochs,
        at,
    });
    if trial % 40 == 3 {
        tell.tell(SweepEvent::Message(format!("trial {trial}: the last batch of one row is dropped")));
    }
    Demo { trial, lr, params, epoch: 0, began: at, curve: Vec::new() }
}

impl Demo {
    /// Runs one epoch; returns the record after the last one.
    fn go_on(
        &mut self,
        tell: &Handle,
        lane: usize,
        slot: u32,
        epochs: u64,
        stop: bool,
    ) -> Option<TrialRecord> {
        let (trial, lr) = (self.trial, self.lr);
        self.epoch += 1;
        let diverges = trial % 13 == 7;
        let speed = 0.3 + lr.log10().abs() / 4.0;
        let floor = 0.05 + 0.1 * (lr.log10() + 2.5).abs();
        let mut loss =
            floor + 2.0 * (self.epoch as f64).powf(-speed) * (0.95 + 0.1 * noise(trial * 1000 + self.epoch));
        if diverges {
            loss *= 1.5f64.powi(self.epoch as i32);
        }
        let (epoch, score) = (self.epoch, 1.0 - 0.3 * loss.min(3.0));
        let samples_per_s = 21e3 * (0.9 + 0.2 * noise(trial + epoch));
        tell.tell(SweepEvent::Step { lane, slot, step: 23 * epoch, loss, samples_per_s });
        tell.tell(SweepEvent::Epoch {
            lane,
            slot,
            trial,
            seed: 0,
            epoch,
            train_loss: 0.9 * loss,
            val_loss: Some(loss),
            val_score: Some(score),
        });
        let [train_loss, val_loss, val_score] = [0.9 * loss, loss, score].map(Some);
        self.curve.push(CurvePoint { epoch, step: 23 * epoch, train_loss, val_loss, val_score });
        let status = match () {
            () if stop || (trial % 3 == 1 && epoch > epochs / 2) => TrialStatus::Stopped,
            () if diverges && epoch > epochs / 3 => TrialStatus::Diverged,
            () if epoch >= epochs => TrialStatus::Completed,
            () => return None,
        };
        let record = json!({
            "trial": trial, "params": self.params, "seed": 0, "status": status, "reason": null, "epochs": epoch,
            "steps": 23 * epoch, "val_loss": loss, "val_acc": score, "test_loss": null, "test_acc": null,
            "best_epoch": epoch, "parameters": 1000, "wall_s": 1.0, "queue": "0", "device": "", "slot": slot,
            "started": self.began, "ended": self.began + 1.0, "weights": null, "curve": self.curve,
        });
        serde_json::from_value(record).ok()
    }
}
