//! One stage of a sweep on all its lanes.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::engine::DeviceSource;
use crate::train::TrainError;

use super::event::SweepEvent;
use super::lane::{self, LaneEnd, StageContext, lock};
use super::plan::Slots;

/// How many times a lane is set up again after its device failed.
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
    /// Ended by Ctrl-C; running trainings are stored.
    Interrupted,
}

/// Trains the schedule of `shared`; several lanes have a thread each.
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
                // A training that cannot be stored must not continue elsewhere.
                shared.stop.ask();
            }
            lock(&errors).push(error);
            shared.changed.notify_all();
        }
    };
    match lanes {
        // Works without threads, as in a browser.
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

/// Runs a lane. If it panics, the others stop with checkpoints instead of waiting for its trainings, and the panic
/// then continues.
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
        // The device was chosen when the sweep was planned.
        let factory = plan.source.factory_of_it_alone();
        match lane::run(shared, at, factory.as_ref(), plan.slots) {
            Err(TrainError::GaveUp { cause, .. }) if revivals < REVIVALS => {
                revivals += 1;
                let text = format!("lane {at}: {cause}; setting it up again ({revivals} of {REVIVALS})");
                shared.observer.event(SweepEvent::Message(text));
            }
            end => return end,
        }
    }
}
