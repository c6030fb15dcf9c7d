//! Events of a running sweep, and the commands that it accepts.

use super::{Stage, TrialRecord};
use crate::spec::Params;

/// A lane: one device with its queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneInfo {
    pub name: String,
    pub device: String,
    /// Members that its population holds at once.
    pub slots: u32,
}

/// Something that happened in a sweep. Lanes are numbered from 0, in the order of [`SweepEvent::Planned`]; so are
/// the slots of each lane.
#[derive(Clone, Debug, PartialEq)]
pub enum SweepEvent {
    /// The plan. Sent again when it grows, for example by the final comparison.
    Planned {
        trials: u64,
        /// Trials times seeds and the final comparison, including those that ended before a sweep was resumed.
        trainings: u64,
        /// Trainings of the final comparison; until it begins, at most.
        finals: u64,
        lanes: Vec<LaneInfo>,
    },
    /// A training starts, or continues after it was parked.
    Started {
        lane: usize,
        slot: u32,
        trial: u64,
        seed: u64,
        stage: Stage,
        params: Params,
        /// Planned length; it may be stopped earlier.
        epochs: u64,
        /// Unix time in seconds.
        at: f64,
    },
    /// Steps of a member are done: `loss` is their mean, `samples_per_s` this member's share of the lane's work.
    Step { lane: usize, slot: u32, step: u64, loss: f64, samples_per_s: f64 },
    /// An epoch of a member is done.
    Epoch {
        lane: usize,
        slot: u32,
        trial: u64,
        seed: u64,
        /// Epochs done, from 1.
        epoch: u64,
        train_loss: f64,
        val_loss: Option<f64>,
        /// Accuracy, or R².
        val_score: Option<f64>,
    },
    /// A training left its slot and waits for its turn.
    Parked { trial: u64, seed: u64 },
    /// A training has ended. Those that ended before a sweep was resumed are sent before the first `Started`.
    Ended { lane: usize, slot: u32, record: Box<TrialRecord> },
    /// A message for the user.
    Message(String),
}

/// A command of the user to a running sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// End this training now; it counts as stopped.
    StopTrial { trial: u64, seed: u64 },
    /// Start no more trainings, stop the running ones, and summarise.
    FinishEarly,
    /// Write a checkpoint and exit; `resume` continues.
    Interrupt,
}

/// Watches a sweep while it runs. Called from the threads of all lanes.
pub trait Observer: Sync {
    /// Something happened.
    fn event(&self, event: SweepEvent);

    /// Commands of the user, the oldest first; each lane checks before every submit.
    fn request(&self) -> Option<Request> {
        None
    }
}

/// Ignores all events.
impl Observer for () {
    fn event(&self, _: SweepEvent) {}
}
