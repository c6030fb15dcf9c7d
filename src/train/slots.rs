//! Adds and removes members while the others train.

use std::sync::Arc;
use std::time::Instant;

use crate::data::Part;
use crate::engine::EngineError;
use crate::population::{Member, Population};
use crate::run::Score;

use super::model::{self, Weights};
use super::pace::Clock;
use super::state::saved;
use super::{Ended, Events, MemberCheckpoint, MemberState, Stop, StopReason, TrainError, Trainer};

/// A member on its way into a slot.
#[derive(Clone, Debug)]
pub struct Arrival {
    pub slot: usize,
    pub member: Arc<Member>,
    /// Checkpoint to resume from; none starts from the initial weights.
    pub from: Option<MemberCheckpoint>,
}

/// The position of a member before a fault.
struct Goal {
    slot: usize,
    step: u64,
    epochs: u64,
    ended: Option<Ended>,
}

impl Trainer<'_> {
    /// Whether the device can train `member` at all.
    ///
    /// # Errors
    /// [`EngineError::Unsupported`] if not.
    pub fn supports(&self, member: &Member) -> Result<(), EngineError> {
        self.stepper.supports(member)
    }

    /// Puts a member into `slot`, replacing any member there, at its initial weights or at `from`. False if there is no
    /// room at present; nothing has changed then.
    ///
    /// # Errors
    /// As [`Trainer::run`]; [`EngineError::Unsupported`] as [`Trainer::supports`]; nothing has changed then.
    pub fn put(
        &mut self,
        slot: usize,
        member: impl Into<Arc<Member>>,
        from: Option<MemberCheckpoint>,
        events: &mut dyn Events,
    ) -> Result<bool, TrainError> {
        let arrival = Arrival { slot, member: member.into(), from };
        Ok(self.put_all(vec![arrival], events)?.is_empty())
    }

    /// Puts several members at once, in their order, as [`Trainer::put`] does. Returns those without room.
    ///
    /// # Errors
    /// As [`Trainer::put`].
    pub fn put_all(
        &mut self,
        arrivals: Vec<Arrival>,
        events: &mut dyn Events,
    ) -> Result<Vec<Arrival>, TrainError> {
        arrivals.iter().try_for_each(|arrival| self.supports(&arrival.member))?;
        let mut population = Population::clone(self.population());
        let (mut slots, mut left) = (Vec::new(), Vec::new());
        for arrival in arrivals {
            if !population.place(arrival.slot, arrival.member.clone()) {
                left.push(arrival);
                continue;
            }
            let Arrival { slot, from, .. } = arrival;
            self.members[slot] = from.as_ref().map(MemberCheckpoint::member).unwrap_or_default();
            self.clocks[slot] = Clock::after(self.members[slot].state.wall_s, Instant::now());
            self.checkpoint[slot] = from;
            slots.push(slot);
        }
        if !slots.is_empty() {
            self.refill(population, &slots, events)?;
        }
        Ok(left)
    }

    fn refill(
        &mut self,
        population: Population,
        slots: &[usize],
        events: &mut dyn Events,
    ) -> Result<(), TrainError> {
        match self.stepper.refill(Arc::new(population), slots, &saved(&self.checkpoint)) {
            Ok(()) => Ok(()),
            // The new engine starts the new members at their checkpoints.
            Err(error) => self.recover(error, events),
        }
    }

    /// Ends the member of a slot at its current step; take it out next. (After a device fault in between, it resumes
    /// from its last checkpoint.)
    pub fn stop(&mut self, slot: usize, reason: StopReason) {
        self.members[slot].state.ended.get_or_insert(Ended::Stopped { reason });
    }

    /// Takes the member out of a slot with its current state. A diverged member has the weights of its last checkpoint.
    /// None if the slot is vacant.
    ///
    /// # Errors
    /// As [`Trainer::run`].
    pub fn take(
        &mut self,
        slot: usize,
        events: &mut dyn Events,
    ) -> Result<Option<MemberCheckpoint>, TrainError> {
        if self.population().is_vacant(slot) {
            return Ok(None);
        }
        self.secure(&[slot], events)?;
        let taken = self.checkpoint[slot].take();
        self.vacate(slot, events)?;
        Ok(taken)
    }

    /// Takes the member out of a slot without reading from the device.
    ///
    /// # Errors
    /// As [`Trainer::run`].
    pub fn vacate(&mut self, slot: usize, events: &mut dyn Events) -> Result<(), TrainError> {
        self.checkpoint[slot] = None;
        self.members[slot] = MemberState::default();
        let mut population = Population::clone(self.population());
        population.vacate(slot);
        self.refill(population, &[slot], events)
    }

    /// The last checkpoint of a slot's member; none before the first.
    pub fn checkpoint(&self, slot: usize) -> Option<&MemberCheckpoint> {
        self.checkpoint[slot].as_ref()
    }

    /// Mean loss and score of the best model so far of each of `slots` on the rows of `part`; none without a best model
    /// or rows. Training then continues unchanged.
    ///
    /// # Errors
    /// As [`Trainer::run`].
    pub fn evaluate_best(
        &mut self,
        slots: &[usize],
        part: Part,
        events: &mut dyn Events,
    ) -> Result<Vec<Option<(f64, Score)>>, TrainError> {
        let rows = self.problem.split.range(part);
        let with_best: Vec<usize> =
            slots.iter().copied().filter(|&k| self.members[k].best.is_some()).collect();
        if rows.is_empty() || with_best.is_empty() {
            return Ok(vec![None; slots.len()]);
        }
        let found = loop {
            // The checkpoints first get the current state, so a fault loses nothing.
            self.secure(&with_best, events)?;
            match self.evaluations_of_best(&with_best, part) {
                Ok(found) => break found,
                Err(error) => self.recover(error, events)?,
            }
        };
        let of = |slot| with_best.iter().position(|&k| k == slot);
        Ok(slots.iter().map(|&k| of(k).map(|at| found[at])).collect())
    }

    /// Loads each best model into its member's place on the device, and evaluates there.
    fn evaluations_of_best(&mut self, slots: &[usize], part: Part) -> Result<Vec<(f64, Score)>, EngineError> {
        for &k in slots {
            let member = self.member(k);
            let mut weights = Weights::zeros(&member.sizes);
            let layers = self.members[k].best.as_deref().map_or(&[][..], Vec::as_slice);
            let fits = model::put_layers(member, &model::ALONE, layers, &mut weights);
            debug_assert!(fits, "the model does not fit its member");
            self.stepper.put(k, &weights)?;
        }
        let found = self.stepper.evaluations(slots, part, self.problem)?;
        for &k in slots {
            if let Some(good) = &self.checkpoint[k] {
                self.stepper.put(k, &good.weights)?;
            }
        }
        Ok(found)
    }

    /// Takes checkpoints of the members in `slots` at their current step. After a fault, each is trained again by
    /// itself until it reaches that step.
    fn secure(&mut self, slots: &[usize], events: &mut dyn Events) -> Result<(), TrainError> {
        let goals: Vec<Goal> = slots
            .iter()
            .map(|&slot| {
                let state = &self.members[slot].state;
                Goal { slot, step: state.step, epochs: state.epochs, ended: state.ended.clone() }
            })
            .collect();
        loop {
            match self.take_checkpoint_of(slots) {
                Ok(()) => return Ok(()),
                Err(error) => self.recover(error, events)?,
            }
            while let Err(error) = self.repeat(&goals, events) {
                match error {
                    TrainError::Engine(error) => self.recover(error, events)?,
                    error => return Err(error),
                }
            }
        }
    }

    /// Trains members again up to their goals after a fault.
    fn repeat(&mut self, goals: &[Goal], events: &mut dyn Events) -> Result<(), TrainError> {
        for Goal { slot, step, epochs, ended } in goals {
            let slot = *slot;
            loop {
                let state = &self.members[slot].state;
                if !self.is_active(slot) || (state.step, state.epochs) >= (*step, *epochs) {
                    break;
                }
                if self.must_close(slot) || state.step == *step {
                    self.close_epochs(&[slot], events, &Stop::default())?;
                } else {
                    self.train(&[slot], step - state.step, events)?;
                    // As in the main loop: progress after a fault is saved.
                    self.take_checkpoint_of(&[slot])?;
                }
            }
            let now = &mut self.members[slot].state.ended;
            *now = now.take().or_else(|| ended.clone());
        }
        Ok(())
    }
}
