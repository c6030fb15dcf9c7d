//! One stage of a sweep on all its lanes.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::engine::DeviceSource;
use crate::train::TrainError;

use super::event::SweepEvent;
use super::lane::{self, LaneEnd, StageContext, lock};
use super::plan::Slots;

/// Times that a lane is set up again after its device gave up.
const REVIVALS: u32 = 2;

/// One lane: a device of its own, with the slots of its population.
#[derive(Clone, Debug)]
pub struct LanePlan {
    pub source: Arc<dyn DeviceSource>,
    pub slots: Slots,
}

/// How a stage ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StageEnd {
    /// Every training has ended.
    Done,
    /// By Ctrl-C; what was under way is stored.
    Interrupted,
}

/// Trains what the schedule of `shared` has, each of several lanes in a thread of its own.
///
/// A lane whose device fails gives its trainings back; it is set up again twice, then the other lanes go on alone.
///
/// # Errors
/// [`TrainError`] of the files, or of the last lane's device.
pub fn run(shared: &StageContext, lanes: &[LanePlan]) -> Result<StageEnd, TrainError> {
    let errors = Mutex::new(Vec::new());
    let interrupted = AtomicBool::new(false);
    let work = &|at: usize, plan: &LanePlan| match caught(shared, || one(shared, at, plan)) {
        Ok(LaneEnd::Done) => {}
        Ok(LaneEnd::Interrupted) => interrupted.store(true, Ordering::SeqCst),
        Err(error) => {
            if matches!(error, TrainError::Run(_)) {
                // What cannot be stored must not go on elsewhere.
                shared.stop.ask();
            }
            lock(&errors).push(error);
            shared.changed.notify_all();
        }
    };
    match lanes {
        // Also where there are no threads, in a browser.
        [lane] => work(0, lane),
        lanes => std::thread::scope(|scope| {
            for (at, plan) in lanes.iter().enumerate() {
                let thread = std::thread::Builder::new().name(format!("lane {at}"));
                if let Err(error) = thread.spawn_scoped(scope, move || work(at, plan)) {
                    shared.observer.event(SweepEvent::Message(format!("lane {at} cannot start: {error}")));
                }
            }
        }),
    }
    let mut errors = errors.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(at) = errors.iter().position(|error| matches!(error, TrainError::Run(_))) {
        return Err(errors.swap_remove(at));
    }
    if interrupted.load(Ordering::SeqCst) {
        return Ok(StageEnd::Interrupted);
    }
    match errors.pop() {
        Some(error) if !lock(&shared.desk).scheduler.is_done() => Err(error),
        _ => Ok(StageEnd::Done),
    }
}

/// Runs a lane. If it panics, the others stop with checkpoints instead of waiting for what it trained, and the panic goes
/// on when they have.
fn caught<T>(shared: &StageContext, lane: impl FnOnce() -> T) -> T {
    std::panic::catch_unwind(AssertUnwindSafe(lane)).unwrap_or_else(|panic| {
        shared.stop.ask();
        shared.changed.notify_all();
        resume_unwind(panic)
    })
}

/// A lane from its beginning to its end, set up again after faults.
fn one(shared: &StageContext, at: usize, plan: &LanePlan) -> Result<LaneEnd, TrainError> {
    let mut revivals = 0;
    loop {
        // The device was settled when the sweep was planned.
        let factory = plan.source.factory_of_it_alone();
        match lane::run(shared, at, factory.as_ref(), plan.slots) {
            Err(TrainError::GaveUp { cause, .. }) if revivals < REVIVALS => {
                revivals += 1;
                let text = format!("lane {at}: {cause}; set up again, {revivals} of {REVIVALS}");
                shared.observer.event(SweepEvent::Message(text));
            }
            end => return end,
        }
    }
}
