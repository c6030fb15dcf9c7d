//! The state of a running sweep, built from events; independent of the terminal.
//!
//! Its size depends on the slots of the lanes, not on the number of trials: a training that has left its slot is only
//! counted, or is one of the few leaders.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use super::event::{LaneInfo, Request, SweepEvent};
use super::member::{Key, Leader, Leaders, Member, Reached, Standing};
use crate::spec::Objective;
use crate::sweep::{TrialRecord, TrialStatus};

/// Maximum number of messages kept.
const MESSAGES: usize = 200;

/// The goal of a sweep, as far as the display depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Aim {
    pub objective: Objective,
    /// The targets are numbers, not classes: the score is R², not accuracy.
    pub regression: bool,
}

/// Number of trainings in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub done: u64,
    pub running: u64,
    /// Not started, or parked.
    pub waiting: u64,
    pub stopped: u64,
    pub diverged: u64,
    pub failed: u64,
}

impl Counts {
    /// Trainings that ended, in any way.
    pub fn ended(&self) -> u64 {
        self.done + self.stopped + self.diverged + self.failed
    }
}

/// A lane and the members in its slots.
#[derive(Clone, Debug)]
pub struct Lane {
    pub info: LaneInfo,
    pub members: BTreeMap<u32, Member>,
    /// Time in use, summed over its slots, up to `counted`.
    busy: Duration,
    counted: Instant,
}

impl Lane {
    /// Training samples per second of all its members.
    pub fn samples_per_s(&self) -> f64 {
        self.members.values().map(|member| member.samples_per_s).sum()
    }

    /// Number of slots, or of members if there are more.
    pub fn slots(&self) -> usize {
        self.members.len().max(self.info.slots as usize)
    }

    /// Adds the busy time; call it before the members change.
    fn count(&mut self, now: Instant) {
        self.busy += now.saturating_duration_since(self.counted) * self.members.len() as u32;
        self.counted = self.counted.max(now);
    }

    fn busy_s(&self, now: Instant) -> f64 {
        let since = now.saturating_duration_since(self.counted) * self.members.len() as u32;
        (self.busy + since).as_secs_f64()
    }
}

/// The best training so far.
#[derive(Clone, Copy, Debug)]
pub struct Best<'a> {
    pub key: Key,
    pub params: &'a crate::spec::Params,
    pub reached: Reached,
    pub standing: Standing,
    pub curve: &'a super::curve::Curve,
}

/// The state of a sweep.
#[derive(Clone, Debug)]
pub struct Board {
    pub aim: Aim,
    pub trials: u64,
    pub trainings: u64,
    pub lanes: Vec<Lane>,
    /// Counts of the trainings that ended.
    ended: Counts,
    leaders: Leaders,
    messages: VecDeque<String>,
    /// Number of messages so far, discarded ones included.
    told: u64,
    began: Instant,
    /// When the first training started here, and until then the work done (in trainings) and the trainings ended.
    first: Option<(Instant, f64, u64)>,
    asked: Option<Request>,
    /// The largest share of the work so far: a bar does not run backwards when the plan grows or a training is parked.
    share: f64,
}

impl Board {
    /// An empty board of a sweep that starts `now`.
    pub fn new(aim: Aim, now: Instant) -> Board {
        Board {
            aim,
            trials: 0,
            trainings: 0,
            lanes: Vec::new(),
            ended: Counts::default(),
            leaders: Leaders::default(),
            messages: VecDeque::new(),
            told: 0,
            began: now,
            first: None,
            asked: None,
            share: 0.0,
        }
    }

    /// Applies an event of time `now`. An inconsistent event (an epoch of an empty slot) changes nothing.
    pub fn apply(&mut self, event: &SweepEvent, now: Instant) {
        match event {
            SweepEvent::Planned { trials, trainings, finals: _, lanes } => {
                (self.trials, self.trainings) = (*trials, *trainings);
                for (at, info) in lanes.iter().enumerate() {
                    self.lane(at, now).info = info.clone();
                }
            }
            SweepEvent::Started { lane, slot, trial, seed, stage, params, epochs, at: _ } => {
                let key = Key::new(*trial, *seed, *stage);
                if self.first.is_none() {
                    self.first = Some((now, self.work(), self.ended.ended()));
                }
                let mut member = Member::new(key, params.clone(), *epochs, now);
                if let Some(parked) = self.leaders.remove(key) {
                    (member.best, member.curve) = (Some(parked.reached), parked.curve);
                    member.epoch = member.curve.points().last().map_or(0, |&(epoch, _)| epoch as u64);
                }
                member.stopping = self.asked.is_some();
                let lane = self.lane(*lane, now);
                lane.count(now);
                lane.members.insert(*slot, member);
            }
            SweepEvent::Step { lane, slot, step: _, loss, samples_per_s } => {
                if let Some(member) = self.member_mut(*lane, *slot) {
                    member.train_loss = Some(*loss);
                    member.samples_per_s = if samples_per_s.is_finite() { *samples_per_s } else { 0.0 };
                }
            }
            SweepEvent::Epoch { lane, slot, trial, seed, epoch, train_loss, val_loss, val_score } => {
                if let Some(member) = self.member_mut(*lane, *slot)
                    && (member.key.trial, member.key.seed) == (*trial, *seed)
                {
                    member.epoch(*epoch, *train_loss, *val_loss, *val_score);
                }
            }
            SweepEvent::Parked { trial, seed } => {
                if let Some(member) = self.take(|key| (key.trial, key.seed) == (*trial, *seed), now) {
                    self.park(member);
                }
            }
            SweepEvent::Ended { lane: _, slot: _, record } => self.end(record, now),
            SweepEvent::Message(text) => {
                self.told += 1;
                self.messages.push_back(text.clone());
                if self.messages.len() > MESSAGES {
                    self.messages.pop_front();
                }
            }
        }
        self.count_all();
    }

    /// Records a request of the user, to show it until it is done.
    pub fn ask(&mut self, request: Request) {
        let all = !matches!(request, Request::StopTrial { .. });
        if all && self.asked != Some(Request::Interrupt) {
            self.asked = Some(request);
        }
        for member in self.lanes.iter_mut().flat_map(|lane| lane.members.values_mut()) {
            let (trial, seed) = (member.key.trial, member.key.seed);
            member.stopping |= all || request == Request::StopTrial { trial, seed };
        }
    }

    /// [`Request::FinishEarly`] or [`Request::Interrupt`], once requested.
    pub fn asked(&self) -> Option<Request> {
        self.asked
    }

    /// If there is time, a final comparison has more trainings than were planned.
    fn count_all(&mut self) {
        let running: u64 = self.lanes.iter().map(|lane| lane.members.len() as u64).sum();
        self.trainings = self.trainings.max(self.ended.ended() + running);
        let share = if self.trainings == 0 { 0.0 } else { self.work() / self.trainings as f64 };
        self.share = self.share.max(share.min(1.0));
    }

    fn end(&mut self, record: &TrialRecord, now: Instant) {
        let key = Key::new(record.trial, record.seed, record.stage);
        let member = self.take(|other| other == key, now);
        let parked = self.leaders.remove(key);
        let count = match record.status {
            TrialStatus::Completed => &mut self.ended.done,
            TrialStatus::Stopped => &mut self.ended.stopped,
            TrialStatus::Diverged => &mut self.ended.diverged,
            TrialStatus::Failed => &mut self.ended.failed,
        };
        *count += 1;
        let ranks = matches!(record.status, TrialStatus::Completed | TrialStatus::Stopped);
        if let (true, false, Some(reached)) = (ranks, key.is_final, Reached::of(record)) {
            let seen = member.map(|member| member.curve).or(parked.map(|parked| parked.curve));
            let stored = || {
                let point = |at: &crate::sweep::CurvePoint| Some((at.epoch, at.val_loss?));
                record.curve.iter().filter_map(point).collect()
            };
            let leader = Leader {
                key,
                params: record.params.clone(),
                reached,
                standing: Standing::Ended(record.status),
                curve: seen.filter(|curve| !curve.points().is_empty()).unwrap_or_else(stored),
            };
            self.leaders.enter(leader, self.aim.objective);
        }
    }

    fn park(&mut self, member: Member) {
        if let (Some(reached), false) = (member.best, member.key.is_final) {
            let Member { key, params, curve, .. } = member;
            let leader = Leader { key, params, reached, standing: Standing::Parked, curve };
            self.leaders.enter(leader, self.aim.objective);
        }
    }

    /// Removes the member with this key from its slot.
    fn take(&mut self, is: impl Fn(Key) -> bool, now: Instant) -> Option<Member> {
        for lane in &mut self.lanes {
            let slot = lane.members.iter().find_map(|(&slot, member)| is(member.key).then_some(slot));
            if let Some(slot) = slot {
                lane.count(now);
                return lane.members.remove(&slot);
            }
        }
        None
    }

    /// The lane with this number, created if missing.
    fn lane(&mut self, at: usize, now: Instant) -> &mut Lane {
        while self.lanes.len() <= at {
            let info = LaneInfo { name: self.lanes.len().to_string(), device: String::new(), slots: 0 };
            let (members, busy) = (BTreeMap::new(), Duration::ZERO);
            self.lanes.push(Lane { info, members, busy, counted: now });
        }
        &mut self.lanes[at]
    }

    fn member_mut(&mut self, lane: usize, slot: u32) -> Option<&mut Member> {
        self.lanes.get_mut(lane)?.members.get_mut(&slot)
    }

    /// The member of a slot.
    pub fn member(&self, (lane, slot): (usize, u32)) -> Option<&Member> {
        self.lanes.get(lane)?.members.get(&slot)
    }

    /// Lane, slot and member of every running training, ordered by lane and slot.
    pub fn members(&self) -> impl Iterator<Item = ((usize, u32), &Member)> {
        let lanes = self.lanes.iter().enumerate();
        lanes.flat_map(|(at, lane)| lane.members.iter().map(move |(&slot, member)| ((at, slot), member)))
    }

    pub fn counts(&self) -> Counts {
        let running = self.lanes.iter().map(|lane| lane.members.len() as u64).sum();
        let waiting = self.trainings.saturating_sub(self.ended.ended() + running);
        Counts { running, waiting, ..self.ended }
    }

    /// The best trainings of the search, best first: running, waiting, completed or stopped.
    pub fn ranking(&self) -> Vec<Best<'_>> {
        let cost = |best: &Best| best.reached.cost(self.aim.objective);
        let running = self.members().filter(|(_, member)| !member.key.is_final).filter_map(|(_, member)| {
            let (key, params, curve) = (member.key, &member.params, &member.curve);
            Some(Best { key, params, reached: member.best?, standing: Standing::Running, curve })
        });
        let mut all: Vec<Best> = self.leaders().chain(running).filter(|best| cost(best).is_some()).collect();
        let place = |best: &Best| (cost(best).unwrap_or(f64::INFINITY), best.key);
        all.sort_by(|a, b| {
            let ((a, first), (b, second)) = (place(a), place(b));
            a.total_cmp(&b).then(first.cmp(&second))
        });
        all
    }

    /// The best trainings that are not running.
    pub fn leaders(&self) -> impl Iterator<Item = Best<'_>> {
        self.leaders.all().iter().map(|leader| {
            let Leader { key, params, reached, standing, curve } = leader;
            Best { key: *key, params, reached: *reached, standing: *standing, curve }
        })
    }

    /// Training samples per second of all members.
    pub fn samples_per_s(&self) -> f64 {
        self.lanes.iter().map(Lane::samples_per_s).sum()
    }

    /// Trainings that ended per second since the first started here; none before one has ended.
    pub fn models_per_s(&self, now: Instant) -> Option<f64> {
        let (first, _, before) = self.first?;
        let (ended, time) = (self.ended.ended() - before, now.saturating_duration_since(first));
        (ended > 0 && !time.is_zero()).then(|| ended as f64 / time.as_secs_f64())
    }

    pub fn elapsed(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.began)
    }

    /// Number of trainings done; a running one counts as its share of epochs.
    fn work(&self) -> f64 {
        self.ended.ended() as f64 + self.members().map(|(_, member)| member.share()).sum::<f64>()
    }

    /// Share of all the work that is done; it never falls.
    pub fn share(&self) -> f64 {
        self.share
    }

    /// Seconds left at the mean speed since the first training started; none while the speed is unknown.
    pub fn left_s(&self, now: Instant) -> Option<f64> {
        let (first, before, _) = self.first?;
        let (done, time) = (self.work() - before, now.saturating_duration_since(first).as_secs_f64());
        let left = (self.trainings as f64 - self.work()).max(0.0);
        (done > 0.0).then(|| time / done * left)
    }

    /// Share of the slots' time in use, since the first training started.
    pub fn utilisation(&self, now: Instant) -> Option<f64> {
        let time = now.saturating_duration_since(self.first?.0).as_secs_f64();
        let slots: usize = self.lanes.iter().map(Lane::slots).sum();
        let busy: f64 = self.lanes.iter().map(|lane| lane.busy_s(now)).sum();
        (time > 0.0 && slots > 0).then(|| (busy / (time * slots as f64)).min(1.0))
    }

    /// [`Board::utilisation`] of one lane.
    pub fn lane_utilisation(&self, lane: &Lane, now: Instant) -> Option<f64> {
        let time = now.saturating_duration_since(self.first?.0).as_secs_f64() * lane.slots() as f64;
        (time > 0.0).then(|| (lane.busy_s(now) / time).min(1.0))
    }

    /// Number of messages so far, and the latest ones, oldest first.
    pub fn messages(&self) -> (u64, &VecDeque<String>) {
        (self.told, &self.messages)
    }
}
