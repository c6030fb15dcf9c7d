//! Decides which training of a sweep runs next, waits or stops, without threads, devices and files.
//!
//! Successive halving after ASHA (Li et al. 2018, arXiv 1810.05934), made independent of time. The first trials are a
//! *bracket*: at each rung they are compared with each other, and the best 1/η go on. A later trial goes on from a
//! rung if it is among the best 1/η of the trials *up to its own number* that reached the rung. Until each of those
//! has reached it or can no longer reach it, a trial waits outside of its slot (`park`), and others take the slot. So
//! which trials stop, and where, depends on the study alone: not on the number of slots, lanes or devices, on speed,
//! or on interruptions. Trials wait only for the bracket and for lower numbers, so none waits forever.
//!
//! With a time limit, some trials are left out; the decisions pass over them.

use std::collections::{BTreeMap, BTreeSet};

use super::study::Study;
use super::tpe::Told;
use crate::spec::{Halving, Params, Strategy};

/// Most trials of the bracket.
const BRACKET: usize = 27;
/// How many trials are tried when the next one does not fit into the time.
const AHEAD: usize = 8;

/// One training of a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrainingId {
    pub trial: u64,
    pub seed: u64,
}

/// The source of the trials' settings.
pub trait Proposals: Send {
    /// The settings of a trial; `told` are all trials numbered below `trial` - [`Proposals::window`], in order, and
    /// `running` the settings of those from there to `trial`, which may not have ended.
    fn params(&self, trial: u64, told: &[Told], running: &[Params]) -> Params;
    /// How many trials may run before the next proposal waits for results; None if proposals use no results.
    fn window(&self) -> Option<u64>;
}

impl Proposals for Study {
    fn params(&self, trial: u64, told: &[Told], running: &[Params]) -> Params {
        Study::params(self, trial, told, running)
    }
    fn window(&self) -> Option<u64> {
        (self.strategy() == Strategy::Tpe).then(|| Study::window(self))
    }
}

/// The next action of a lane with a free slot.
#[derive(Debug)]
pub enum Next<P> {
    /// Train this one, from the beginning or from where it was parked.
    Train { id: TrainingId, params: Params, from: Option<P> },
    /// Nothing now; try again after a change.
    Wait,
    /// Nothing is left.
    Done,
}

/// The decision for a training that has closed an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    GoOn,
    /// It has to wait for others: take it out of its slot and [`Scheduler::park`] it.
    Park,
    /// Halving ends it here.
    Stop,
}

/// One seed of a trial.
#[derive(Clone, Debug, Default)]
struct Training {
    /// Objective at each rung reached, infinite if it diverged.
    rungs: Vec<f64>,
    /// Objective at its end.
    ended: Option<f64>,
    /// It will not start.
    left_out: bool,
}

#[derive(Clone, Debug)]
struct Trial {
    number: u64,
    params: Option<Params>,
    trainings: Vec<Training>,
    /// Number of rungs that it may pass.
    passed: usize,
    /// The rung that it may not pass.
    stopped: Option<usize>,
}

/// The trials that reached a rung, in the order of their numbers.
#[derive(Clone, Debug, Default)]
pub struct Rung {
    /// Position of the first trial that is not decided here.
    frontier: usize,
    /// Objectives of those before it, ascending.
    values: Vec<f64>,
}

impl Rung {
    /// Adds the objective of the next trial. Whether that trial passes: it is among the best 1/η so far.
    pub fn passes(&mut self, value: f64, eta: usize) -> bool {
        let place = self.values.partition_point(|&other| other <= value);
        self.values.insert(place, value);
        is_among_best(place, self.values.len(), eta, value)
    }
}

/// Whether a trial at this place of `of` is among the best 1/η, and has a value.
fn is_among_best(place: usize, of: usize, eta: usize, value: f64) -> bool {
    place < (of / eta).max(1) && value.is_finite()
}

/// See the module. `P` is the stored state of a parked training.
pub struct Scheduler<P> {
    proposals: Box<dyn Proposals>,
    seeds: Vec<u64>,
    /// Epochs of each rung, ascending, all below the full length.
    rungs: Vec<u64>,
    eta: usize,
    trials: Vec<Trial>,
    decided: Vec<Rung>,
    /// Length of the bracket.
    bracket: usize,
    /// Trainings that were never started, as (round, position, seed's index).
    fresh: BTreeSet<(usize, usize, usize)>,
    /// Whether each seed is a round of its own.
    by_seed: bool,
    ready: BTreeMap<TrainingId, Option<P>>,
    parked: BTreeMap<TrainingId, P>,
    dropped: Vec<(TrainingId, P)>,
    running: BTreeSet<TrainingId>,
    /// With this many parked trainings, no new ones start.
    most_parked: usize,
}

/// Trials of the bracket: the largest power of η up to 27, which every rung divides without a remainder. Trials whose
/// values wait for the results of others cannot be among them: `window` is [`Proposals::window`].
fn bracket(eta: usize, trials: usize, window: Option<u64>) -> usize {
    let powers = std::iter::successors(Some(eta.max(2)), |&power| power.checked_mul(eta.max(2)));
    let largest = powers.take_while(|&power| power <= BRACKET).last().unwrap_or(eta);
    let free =
        window.map_or(usize::MAX, |window| usize::try_from(window).unwrap_or(usize::MAX).saturating_add(1));
    largest.min(free).min(trials)
}

/// Epochs of the rungs below `epochs`: `min_epochs`, and η times as many from one to the next.
pub fn rungs(halving: Option<Halving>, epochs: u64) -> Vec<u64> {
    let Some(Halving { eta, min_epochs }) = halving else { return Vec::new() };
    let next = |&rung: &u64| rung.checked_mul(eta.into());
    std::iter::successors(Some(min_epochs), next).take_while(|&rung| rung < epochs).collect()
}

impl<P> Scheduler<P> {
    /// A scheduler of `trials` (ascending), each with all `seeds`, of `epochs` epochs in full.
    pub fn new(
        proposals: Box<dyn Proposals>,
        trials: impl IntoIterator<Item = u64>,
        seeds: Vec<u64>,
        halving: Option<Halving>,
        epochs: u64,
        most_parked: usize,
    ) -> Scheduler<P> {
        let trial = |number| Trial {
            number,
            params: None,
            trainings: vec![Training::default(); seeds.len()],
            passed: 0,
            stopped: None,
        };
        let trials: Vec<Trial> = trials.into_iter().map(trial).collect();
        let fresh = (0..trials.len()).flat_map(|at| (0..seeds.len()).map(move |s| (0, at, s))).collect();
        let rungs = rungs(halving, epochs);
        let eta = halving.map_or(1, |h| h.eta as usize);
        let bracket = if rungs.is_empty() { 0 } else { bracket(eta, trials.len(), proposals.window()) };
        // Otherwise the bracket would wait for trials that may not start.
        let most_parked = most_parked.max(bracket * seeds.len()).max(1);
        Scheduler {
            proposals,
            decided: vec![Rung::default(); rungs.len()],
            bracket,
            eta,
            rungs,
            seeds,
            trials,
            fresh,
            ready: BTreeMap::new(),
            parked: BTreeMap::new(),
            dropped: Vec::new(),
            running: BTreeSet::new(),
            by_seed: false,
            most_parked,
        }
    }

    /// Starts the first seed of all trials, then the second of all, and so on.
    pub fn by_seed(mut self) -> Scheduler<P> {
        self.by_seed = true;
        self.fresh = self.fresh.iter().map(|&(_, at, s)| (s, at, s)).collect();
        self
    }

    /// Epochs of the rungs.
    pub fn rungs(&self) -> &[u64] {
        &self.rungs
    }

    /// The training for a free slot: first those that may continue, then the lowest number not yet started.
    pub fn next_training(&mut self) -> Next<P> {
        self.next_admitted(&mut |_, _| true)
    }

    /// As [`Scheduler::next_training`], but starts only what `admits` allows: the next trial or, if it is refused, one
    /// of a few that follow; those before it are left out. If all are refused, the bracket starts no more trials, so
    /// that it can be decided, and once nothing runs, what the parked trainings wait for, and then all that is left, is
    /// left out.
    pub fn next_admitted(&mut self, admits: &mut dyn FnMut(TrainingId, &Params) -> bool) -> Next<P> {
        loop {
            if let Some((id, from)) = self.ready.pop_first() {
                let params = self.params_of(id.trial).unwrap_or_default();
                self.running.insert(id);
                return Next::Train { id, params, from };
            }
            let idle = self.running.is_empty();
            let Some(&(_, first, _)) = self.fresh.first() else {
                return if idle && self.parked.is_empty() { Next::Done } else { Next::Wait };
            };
            // After a resume, those that are parked may wait for trainings that have not started.
            if self.parked.len() >= self.most_parked && !idle {
                return Next::Wait;
            }
            let mut refused: Vec<usize> = Vec::new();
            for (at, id) in self.next_few() {
                let Some(params) = self.params(at) else { break };
                if admits(id, &params) {
                    refused.into_iter().for_each(|at| self.leave_out(at..at + 1));
                    self.start_fresh(id);
                    return Next::Train { id, params, from: None };
                }
                refused.push(at);
            }
            let last_parked = self.parked.keys().filter_map(|&id| Some(self.place(id)?.0)).max();
            match () {
                // Its values wait for results.
                () if refused.is_empty() => return Next::Wait,
                () if first < self.bracket => self.leave_out(0..self.bracket),
                // Those that are parked wait for these.
                () if idle && last_parked.is_some_and(|last| first <= last) => {
                    self.leave_out(0..last_parked.map_or(0, |last| last + 1));
                }
                () if idle => self.leave_out(0..self.trials.len()),
                () => return Next::Wait,
            }
        }
    }

    /// The first trainings of the trials of which [`Scheduler::next_admitted`] starts one; none if any is under way.
    pub fn ahead(&mut self) -> Vec<(TrainingId, Params)> {
        if !(self.running.is_empty() && self.ready.is_empty() && self.parked.is_empty()) {
            return Vec::new();
        }
        self.next_few().into_iter().map_while(|(at, id)| Some((id, self.params(at)?))).collect()
    }

    /// The first training of each of the next few trials, with the trial's position; of one trial where each seed is a
    /// round of its own.
    fn next_few(&self) -> Vec<(usize, TrainingId)> {
        let mut few: Vec<(usize, TrainingId)> = Vec::new();
        for &(_, at, s) in self.fresh.iter().take(AHEAD * self.seeds.len()) {
            if few.iter().all(|(other, _)| *other != at) {
                few.push((at, TrainingId { trial: self.trials[at].number, seed: self.seeds[s] }));
            }
        }
        if self.by_seed {
            few.truncate(1);
        }
        few
    }

    fn start_fresh(&mut self, id: TrainingId) {
        if let Some((at, s)) = self.place(id) {
            self.fresh.remove(&self.key(at, s));
        }
        self.running.insert(id);
    }

    /// Leaves out the trainings of the trials at these positions that have not started.
    fn leave_out(&mut self, positions: std::ops::Range<usize>) {
        let trials = &mut self.trials;
        self.fresh.retain(|(_, at, s)| {
            let leaves = positions.contains(at);
            trials[*at].trainings[*s].left_out |= leaves;
            !leaves
        });
        self.decide();
    }

    /// Trials that have started or may start.
    pub fn begun_or_left(&self) -> u64 {
        self.trials.iter().filter(|trial| !trial.is_left_out()).count() as u64
    }

    /// Takes back a training of [`Scheduler::next_training`] that has no room now, or whose lane is lost.
    pub fn give_back(&mut self, id: TrainingId, from: Option<P>) {
        self.running.remove(&id);
        self.ready.insert(id, from);
    }

    /// `id` has closed `epoch`; `value` is its objective so far, lower is better. A repeated call after a fault
    /// gives the same answer.
    pub fn epoch(&mut self, id: TrainingId, epoch: u64, value: f64) -> Decision {
        let Some(rung) = self.rungs.iter().position(|&rung| rung == epoch) else { return Decision::GoOn };
        let Some((at, s)) = self.place(id) else { return Decision::GoOn };
        let seen = &mut self.trials[at].trainings[s].rungs;
        if seen.len() == rung {
            seen.push(if value.is_finite() { value } else { f64::INFINITY });
            self.decide();
        }
        self.verdict(at, rung)
    }

    fn verdict(&self, at: usize, rung: usize) -> Decision {
        let trial = &self.trials[at];
        match trial.stopped {
            Some(last) if last <= rung => Decision::Stop,
            _ if trial.passed > rung => Decision::GoOn,
            _ => Decision::Park,
        }
    }

    /// Parks a training that has to wait.
    pub fn park(&mut self, id: TrainingId, what: P) {
        self.running.remove(&id);
        self.parked.insert(id, what);
        self.unpark();
    }

    /// Parked trainings that halving has ended, to be recorded.
    pub fn dropped(&mut self) -> Vec<(TrainingId, P)> {
        std::mem::take(&mut self.dropped)
    }

    /// `id` has ended, for whatever reason; `value` is its objective, lower is better, none if
    /// it diverged or failed.
    pub fn ended(&mut self, id: TrainingId, value: Option<f64>) {
        self.running.remove(&id);
        self.ready.remove(&id);
        self.parked.remove(&id);
        if let Some((at, s)) = self.place(id) {
            self.fresh.remove(&self.key(at, s));
            let value = value.filter(|value| value.is_finite()).unwrap_or(f64::INFINITY);
            self.trials[at].trainings[s].ended.get_or_insert(value);
            self.decide();
        }
    }

    /// Restores a training that ended in an earlier process, with its settings and its objectives at the rungs.
    pub fn restore_ended(
        &mut self,
        id: TrainingId,
        params: &Params,
        rungs: &[Option<f64>],
        value: Option<f64>,
    ) {
        if let Some((at, s)) = self.place(id) {
            self.trials[at].params.get_or_insert_with(|| params.clone());
            let values = rungs.iter().map(|value| value.unwrap_or(f64::INFINITY));
            self.trials[at].trainings[s].rungs = values.take(self.rungs.len()).collect();
            self.ended(id, value);
        }
    }

    /// Restores an unfinished training of an earlier process: `params` are its settings, `rungs` its objectives at the
    /// rungs, the last of which is where it stands if `at_rung`.
    pub fn restore_begun(&mut self, id: TrainingId, params: &Params, rungs: &[f64], at_rung: bool, from: P) {
        let Some((at, s)) = self.place(id) else { return };
        if !self.fresh.remove(&self.key(at, s)) {
            return;
        }
        self.trials[at].params.get_or_insert_with(|| params.clone());
        let rungs = &rungs[..rungs.len().min(self.rungs.len())];
        self.trials[at].trainings[s].rungs =
            rungs.iter().map(|value| if value.is_finite() { *value } else { f64::INFINITY }).collect();
        if at_rung {
            self.parked.insert(id, from);
        } else {
            self.ready.insert(id, Some(from));
        }
        self.decide();
    }

    /// Settings of a trial, None while they wait for results.
    pub fn params_of(&mut self, trial: u64) -> Option<Params> {
        let at = self.trials.binary_search_by_key(&trial, |t| t.number).ok()?;
        self.params(at)
    }

    /// Takes a running training out for good; it has not ended.
    pub fn leave(&mut self, id: TrainingId) {
        self.running.remove(&id);
        if let Some((at, s)) = self.place(id) {
            self.trials[at].trainings[s].left_out = true;
            self.decide();
        }
    }

    /// Starts no new trainings from now on: the others are decided among themselves.
    pub fn close(&mut self) {
        if !self.fresh.is_empty() {
            self.leave_out(0..self.trials.len());
        }
    }

    /// Takes a waiting training, to be recorded as stopped. None if it does not wait.
    pub fn withdraw(&mut self, id: TrainingId) -> Option<P> {
        match self.ready.remove(&id) {
            Some(Some(from)) => Some(from),
            Some(None) => {
                self.ready.insert(id, None);
                None
            }
            None => self.parked.remove(&id),
        }
    }

    /// Takes all parked trainings, to be recorded as stopped; with [`Scheduler::close`], this ends a search.
    pub fn drain(&mut self) -> Vec<(TrainingId, P)> {
        let ready = std::mem::take(&mut self.ready).into_iter().filter_map(|(id, from)| Some((id, from?)));
        let all: Vec<_> = ready.chain(std::mem::take(&mut self.parked)).collect();
        all
    }

    /// Waiting trainings, in or out of the queue, with their stored state.
    pub fn waiting(&self) -> impl Iterator<Item = (TrainingId, &P)> {
        let ready = self.ready.iter().filter_map(|(id, from)| Some((*id, from.as_ref()?)));
        ready.chain(self.parked.iter().map(|(id, what)| (*id, what)))
    }

    /// The objectives of a training at the rungs that it reached.
    pub fn rung_values(&self, id: TrainingId) -> &[f64] {
        self.place(id).map_or(&[], |(at, s)| &self.trials[at].trainings[s].rungs)
    }

    /// Trainings that are parked.
    pub fn parked(&self) -> usize {
        self.parked.len()
    }

    /// Whether everything has ended, also what [`Scheduler::dropped`] has yet to return.
    pub fn is_done(&self) -> bool {
        let waits = !self.ready.is_empty() || !self.parked.is_empty() || !self.dropped.is_empty();
        self.fresh.is_empty() && self.running.is_empty() && !waits
    }

    /// The key of a training in `fresh`.
    fn key(&self, at: usize, s: usize) -> (usize, usize, usize) {
        (if self.by_seed { s } else { 0 }, at, s)
    }

    fn place(&self, id: TrainingId) -> Option<(usize, usize)> {
        let at = self.trials.binary_search_by_key(&id.trial, |trial| trial.number).ok()?;
        Some((at, self.seeds.iter().position(|&seed| seed == id.seed)?))
    }

    /// The settings of the trial at a position; None while they wait for results.
    fn params(&mut self, at: usize) -> Option<Params> {
        if self.trials[at].params.is_none() {
            let number = self.trials[at].number;
            let (mut told, mut running) = (Vec::new(), Vec::new());
            if let Some(window) = self.proposals.window() {
                let ended = self.trials[..at].partition_point(|trial| trial.number + window < number);
                let below = self.trials[..ended].iter().filter(|trial| !trial.is_left_out());
                told = below.map(|trial| trial.told(&self.rungs)).collect::<Option<Vec<_>>>()?;
                // Each wants results of lower trials only, so this ends.
                for before in ended..at {
                    if !self.trials[before].is_left_out() {
                        running.push(self.params(before)?);
                    }
                }
            }
            self.trials[at].params = Some(self.proposals.params(number, &told, &running));
        }
        self.trials[at].params.clone()
    }

    /// Decides what can be decided, rung by rung: the bracket, then the others in the order of their numbers.
    fn decide(&mut self) {
        for rung in 0..self.rungs.len() {
            if self.decided[rung].frontier < self.bracket && !self.decide_bracket(rung) {
                // Nothing passes a later rung before this one.
                break;
            }
            let decided = &mut self.decided[rung];
            while let Some(trial) = self.trials.get_mut(decided.frontier) {
                if trial.stopped.is_none() && trial.passed >= rung && !trial.is_left_out() {
                    let Some(value) = trial.value_at(rung) else { break };
                    match decided.passes(value, self.eta) {
                        true => trial.passed = rung + 1,
                        false => trial.stopped = Some(rung),
                    }
                } else if trial.stopped.is_none() && !trial.is_left_out() {
                    // The rung before is not decided yet.
                    break;
                }
                decided.frontier += 1;
            }
        }
        self.unpark();
    }

    /// Decides a rung for the bracket. False if one of it may still reach the rung.
    fn decide_bracket(&mut self, rung: usize) -> bool {
        let mut reached = Vec::new();
        for (at, trial) in self.trials[..self.bracket].iter().enumerate() {
            if trial.is_left_out() || trial.stopped.is_some() {
                continue;
            }
            match trial.value_at(rung).filter(|_| trial.passed >= rung) {
                Some(value) => reached.push((value, at)),
                None => return false,
            }
        }
        reached.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        for (place, (value, at)) in reached.iter().enumerate() {
            match is_among_best(place, reached.len(), self.eta, *value) {
                true => self.trials[*at].passed = rung + 1,
                false => self.trials[*at].stopped = Some(rung),
            }
        }
        let values = reached.into_iter().map(|(value, _)| value).collect();
        self.decided[rung] = Rung { frontier: self.bracket, values };
        true
    }

    /// Moves trainings that need not wait any more out of `parked`.
    fn unpark(&mut self) {
        let ids: Vec<_> = self.parked.keys().copied().collect();
        for id in ids {
            let Some((at, s)) = self.place(id) else { continue };
            let Some(rung) = self.trials[at].trainings[s].rungs.len().checked_sub(1) else { continue };
            let verdict = self.verdict(at, rung);
            if verdict != Decision::Park
                && let Some(what) = self.parked.remove(&id)
            {
                match verdict {
                    Decision::Stop => self.dropped.push((id, what)),
                    _ => drop(self.ready.insert(id, Some(what))),
                }
            }
        }
    }
}

impl Trial {
    /// Mean objective of all seeds at a rung; None if one has yet to reach it. A seed that ended before counts with
    /// its final value.
    fn value_at(&self, rung: usize) -> Option<f64> {
        let of = |t: &Training| t.rungs.get(rung).copied().or(t.ended);
        self.taken().map(of).sum::<Option<f64>>().map(|sum| sum / self.taken().count().max(1) as f64)
    }

    /// Its trainings without those left out.
    fn taken(&self) -> impl Iterator<Item = &Training> {
        self.trainings.iter().filter(|training| !training.left_out)
    }

    fn is_left_out(&self) -> bool {
        self.taken().next().is_none()
    }

    fn told(&self, rungs: &[u64]) -> Option<Told> {
        let ends = self.taken().map(|t| t.ended).collect::<Option<Vec<_>>>()?;
        let mean = ends.iter().sum::<f64>() / ends.len() as f64;
        let rung = self.stopped.map_or(u64::MAX, |rung| rungs[rung]);
        let params = self.params.clone().unwrap_or_default();
        Some(Told { trial: self.number, params, value: mean.is_finite().then_some(mean), rung })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use rand::rngs::ChaCha8Rng;
    use rand::seq::SliceRandom;
    use rand::{RngExt, SeedableRng};

    use super::*;

    struct Numbers(Option<u64>);

    impl Proposals for Numbers {
        fn params(&self, trial: u64, told: &[Told], running: &[Params]) -> Params {
            Params::from_iter([
                ("trial".into(), trial.into()),
                ("told".into(), told.len().into()),
                ("running".into(), running.iter().map(|params| params["trial"].clone()).collect()),
            ])
        }
        fn window(&self) -> Option<u64> {
            self.0
        }
    }

    const HALVING: Option<Halving> = Some(Halving { eta: 3, min_epochs: 1 });

    /// The objective of a training after some epochs.
    type Objective = dyn Fn(TrainingId, u64) -> f64;

    /// (epochs, whether it was stopped) of every training, after a run in `slots` slots in which, at each tick, the
    /// trainings of a random choice of slots close an epoch, and which is occasionally killed and restored.
    fn run(
        trials: u64,
        seeds: &[u64],
        epochs: u64,
        objective: &Objective,
        slots: usize,
        mut random: Option<ChaCha8Rng>,
    ) -> BTreeMap<TrainingId, (u64, bool)> {
        let new = || {
            Scheduler::<u64>::new(
                Box::new(Numbers(None)),
                0..trials,
                seeds.to_vec(),
                HALVING,
                epochs,
                4 * slots,
            )
        };
        let mut scheduler = new();
        let mut running: Vec<(TrainingId, u64)> = Vec::new();
        let mut ends = BTreeMap::new();
        for _ in 0..100_000 {
            while running.len() < slots
                && let Next::Train { id, from, .. } = scheduler.next_training()
            {
                running.push((id, from.unwrap_or(0)));
            }
            if running.is_empty() && scheduler.is_done() {
                return ends;
            }
            if let Some(random) = &mut random {
                running.shuffle(random);
            }
            let share = random.as_mut().map_or(running.len(), |r| r.random_range(0..=running.len()));
            let mut turn: VecDeque<_> = running.drain(..share).collect();
            while let Some((id, epoch)) = turn.pop_front() {
                let epoch = epoch + 1;
                if epoch == epochs {
                    scheduler.ended(id, Some(objective(id, epoch)));
                    assert_eq!(ends.insert(id, (epoch, false)), None, "{id:?} ends once");
                    continue;
                }
                match scheduler.epoch(id, epoch, objective(id, epoch)) {
                    Decision::GoOn => running.push((id, epoch)),
                    Decision::Park => scheduler.park(id, epoch),
                    Decision::Stop => {
                        scheduler.ended(id, Some(objective(id, epoch)));
                        assert_eq!(ends.insert(id, (epoch, true)), None, "{id:?} ends once");
                    }
                }
                for (id, epoch) in scheduler.dropped() {
                    scheduler.ended(id, Some(objective(id, epoch)));
                    assert_eq!(ends.insert(id, (epoch, true)), None, "{id:?} ends once");
                }
            }
            if random.as_mut().is_some_and(|r| r.random_bool(0.02)) {
                // Killed: ended trainings are known; running ones are at some earlier epoch or lost.
                let random = random.as_mut().expect("it is there");
                let waiting: Vec<_> = scheduler.waiting().map(|(id, epoch)| (id, *epoch)).collect();
                let begun: Vec<_> = running.drain(..).chain(waiting).collect();
                scheduler = new();
                let rungs = scheduler.rungs().to_vec();
                let at = |id, epoch: u64| -> Vec<f64> {
                    rungs.iter().filter(|&&r| r <= epoch).map(|&r| objective(id, r)).collect()
                };
                let mut order: Vec<_> = ends.clone().into_iter().collect();
                order.shuffle(random);
                for (id, (epoch, _)) in order {
                    let values: Vec<_> = at(id, epoch).into_iter().map(Some).collect();
                    scheduler.restore_ended(id, &Params::default(), &values, Some(objective(id, epoch)));
                }
                for (id, epoch) in begun {
                    let epoch = random.random_range(0..=epoch);
                    if epoch > 0 {
                        let at_rung = rungs.contains(&epoch);
                        scheduler.restore_begun(id, &Params::default(), &at(id, epoch), at_rung, epoch);
                    }
                }
                for (id, epoch) in scheduler.dropped() {
                    scheduler.ended(id, Some(objective(id, epoch)));
                    assert_eq!(ends.insert(id, (epoch, true)), None, "{id:?} ends once");
                }
            }
        }
        panic!("the schedule does not end");
    }

    #[test]
    fn stopping_depends_on_the_study_alone() {
        let objective: &Objective = &|id, epoch| {
            let hash = (id.trial * 7919 + id.seed * 104_729 + 13) * 2_654_435_761 % 1009;
            hash as f64 / epoch as f64
        };
        for seeds in [&[0][..], &[5, 6, 7]] {
            let alone = run(60, seeds, 20, objective, 1, None);
            assert_eq!(alone.len(), 60 * seeds.len());
            assert!(alone.values().filter(|(_, stopped)| *stopped).count() > 30 * seeds.len());
            for slots in [2, 7, 64] {
                assert_eq!(run(60, seeds, 20, objective, slots, None), alone, "{slots} slots");
                for seed in 0..20 {
                    let random = Some(ChaCha8Rng::seed_from_u64(seed));
                    assert_eq!(run(60, seeds, 20, objective, slots, random), alone, "{slots} slots, {seed}");
                }
            }
        }
    }

    /// The rule, written down directly: rung by rung, the bracket of 27 and then the trials in order.
    #[test]
    fn halving_keeps_the_best_third_of_the_bracket_and_then_of_the_trials_up_to_each() {
        let value =
            |trial: u64, epoch: u64| ((trial * 7919 + 13) * 2_654_435_761 % 1009) as f64 + 1.0 / epoch as f64;
        let mut expected = vec![20; 60];
        let mut alive: Vec<u64> = (0..60).collect();
        for rung in [1, 3, 9] {
            let bracket = alive.iter().filter(|&&trial| trial < 27).count();
            let passes = |at: usize| {
                let own = value(alive[at], rung);
                let compared = if at < bracket { bracket } else { at + 1 };
                let others = alive[..compared].iter().enumerate().filter(|(other, _)| *other != at);
                let before = |(other, trial): &(usize, &u64)| {
                    let value = value(**trial, rung);
                    value < own || (value == own && *other < at)
                };
                others.filter(before).count() < (compared / 3).max(1)
            };
            let (on, off): (Vec<_>, Vec<_>) = (0..alive.len()).partition(|&at| passes(at));
            off.iter().for_each(|&at| expected[alive[at] as usize] = rung);
            alive = on.iter().map(|&at| alive[at]).collect();
        }
        let got = run(60, &[0], 20, &move |id, epoch| value(id.trial, epoch), 5, None);
        let got: Vec<u64> = got.values().map(|(epochs, _)| *epochs).collect();
        assert_eq!(got, expected);
        let reached = |epochs| expected.iter().filter(|&&e| e >= epochs).count();
        assert!((15..=26).contains(&reached(3)) && (1..=8).contains(&reached(20)), "{expected:?}");
        assert_eq!(expected[..27].iter().filter(|&&epochs| epochs >= 3).count(), 9);
        assert_eq!(expected[..27].iter().filter(|&&epochs| epochs == 20).count(), 1);
    }

    #[test]
    fn a_bad_first_trial_is_stopped_at_the_first_rung() {
        let objective: &Objective = &|id, _| if id.trial == 0 { 0.217 } else { 0.111 };
        for trials in [2, 5, 27, 60] {
            let got = run(trials, &[0], 20, objective, 3, None);
            assert_eq!(got[&TrainingId { trial: 0, seed: 0 }], (1, true), "{trials} trials");
            assert_eq!(got[&TrainingId { trial: 1, seed: 0 }], (20, false), "{trials} trials");
        }
    }

    #[test]
    fn the_bracket_is_the_largest_power_of_eta_up_to_27_that_can_start_without_results() {
        assert_eq!([2, 3, 4, 5, 30].map(|eta| bracket(eta, 100, None)), [16, 27, 16, 25, 30]);
        assert_eq!((bracket(3, 12, None), bracket(3, 100, Some(4)), bracket(3, 0, None)), (12, 5, 0));
    }

    #[test]
    fn a_learning_strategy_with_a_small_window_halves_to_its_end() {
        for window in 0..4 {
            let mut s = Scheduler::<u64>::new(Box::new(Numbers(Some(window))), 0..9, vec![0], HALVING, 9, 1);
            let mut epochs = BTreeMap::new();
            for _ in 0..1000 {
                let Next::Train { id, from, .. } = s.next_training() else { break };
                let mut epoch = from.unwrap_or(0);
                let ends = loop {
                    epoch += 1;
                    if epoch == 9 {
                        break true;
                    }
                    match s.epoch(id, epoch, id.trial as f64) {
                        Decision::GoOn => {}
                        Decision::Stop => break true,
                        Decision::Park => break false,
                    }
                };
                if ends {
                    s.ended(id, Some(id.trial as f64));
                    epochs.insert(id.trial, epoch);
                } else {
                    s.park(id, epoch);
                }
                for (id, epoch) in s.dropped() {
                    s.ended(id, Some(id.trial as f64));
                    epochs.insert(id.trial, epoch);
                }
            }
            assert!(s.is_done(), "{epochs:?}");
            assert_eq!((epochs.len(), epochs[&0], epochs[&8]), (9, 9, 1));
        }
    }

    #[test]
    fn trials_without_time_are_left_out_and_the_bracket_is_decided_without_them() {
        let mut s = Scheduler::<u64>::new(Box::new(Numbers(None)), 0..40, vec![0], HALVING, 9, 8);
        let id = |trial| TrainingId { trial, seed: 0 };
        // Trial 1 is too long; trial 2 is not.
        let next = |s: &mut Scheduler<u64>, no: &dyn Fn(u64) -> bool| match s
            .next_admitted(&mut |id, _| !no(id.trial))
        {
            Next::Train { id, .. } => Some(id.trial),
            _ => None,
        };
        assert_eq!(next(&mut s, &|trial| trial == 1), Some(0));
        assert_eq!(next(&mut s, &|trial| trial == 1), Some(2));
        assert_eq!((s.epoch(id(0), 1, 0.5), s.epoch(id(2), 1, 0.4)), (Decision::Park, Decision::Park));
        s.park(id(0), 1);
        s.park(id(2), 1);
        // Nothing fits any more: the two are compared with each other.
        assert_eq!(next(&mut s, &|_| true), Some(2));
        let dropped: Vec<u64> = s.dropped().into_iter().map(|(id, _)| id.trial).collect();
        assert_eq!(dropped, [0]);
        s.ended(id(0), Some(0.5));
        // Later, there is time for trials after the bracket.
        assert_eq!(next(&mut s, &|_| false), Some(27));
        assert_eq!(s.epoch(id(27), 1, 0.45), Decision::Stop, "third of three");
        s.ended(id(27), Some(0.45));
        assert_eq!(next(&mut s, &|_| true), None);
        assert!(!s.is_done(), "trial 2 runs");
        s.ended(id(2), Some(0.1));
        assert!(matches!(s.next_admitted(&mut |_, _| false), Next::Done));
        assert!(s.is_done());
        assert_eq!(s.begun_or_left(), 3);
    }

    #[test]
    fn parked_trainings_of_an_earlier_process_do_not_wait_for_what_never_starts() {
        let new = |most_parked| {
            let mut s =
                Scheduler::<u64>::new(Box::new(Numbers(None)), 0..40, vec![0], HALVING, 9, most_parked);
            let id = |trial| TrainingId { trial, seed: 0 };
            for trial in 0..27 {
                let value = trial as f64;
                s.restore_ended(id(trial), &Params::default(), &[Some(value)], Some(value));
            }
            // 27 has not begun; those after it are at the first rung.
            for trial in 28..38 {
                s.restore_begun(id(trial), &Params::default(), &[0.5], true, 1);
            }
            assert_eq!(s.parked(), 10);
            s
        };
        // There is no time for it.
        let mut s = new(100);
        let next = s.next_admitted(&mut |_, _| false);
        assert!(
            matches!(next, Next::Train { id: TrainingId { trial: 28, .. }, from: Some(1), .. }),
            "{next:?}"
        );
        assert_eq!(s.begun_or_left(), 39, "the last two may still start");
        // As many are parked as may be, but they wait for it.
        let mut s = new(1);
        s.most_parked = 10;
        let next = s.next_training();
        assert!(matches!(next, Next::Train { id: TrainingId { trial: 27, .. }, .. }), "{next:?}");
        assert!(matches!(s.next_training(), Next::Wait), "no more than needed");
    }

    #[test]
    fn a_schedule_is_not_done_before_its_dropped_trainings_are_recorded() {
        let mut s = Scheduler::<u64>::new(Box::new(Numbers(None)), 0..9, vec![0], HALVING, 9, 8);
        for trial in 0..2 {
            assert!(matches!(s.next_training(), Next::Train { .. }));
            let id = TrainingId { trial, seed: 0 };
            assert_eq!(s.epoch(id, 1, f64::INFINITY), Decision::Park);
            s.park(id, 1);
        }
        assert!(matches!(s.next_admitted(&mut |_, _| false), Next::Done));
        assert!(!s.is_done());
        assert_eq!(s.dropped().len(), 2);
        assert!(s.is_done());
    }

    #[test]
    fn the_seeds_of_a_comparison_start_one_after_another() {
        let mut s =
            Scheduler::<()>::new(Box::new(Numbers(None)), [4, 7], vec![1, 2, 3], None, 9, 8).by_seed();
        let mut order = Vec::new();
        while let Next::Train { id, .. } = s.next_admitted(&mut |id, _| id.seed < 3) {
            order.push((id.trial, id.seed));
        }
        assert_eq!(order, [(4, 1), (7, 1), (4, 2), (7, 2)]);
        for (trial, seed) in order {
            s.ended(TrainingId { trial, seed }, Some(0.1));
        }
        assert!(matches!(s.next_admitted(&mut |_, _| false), Next::Done));
    }

    #[test]
    fn a_trial_that_ended_early_counts_and_a_diverged_one_never_passes() {
        let mut s = Scheduler::<()>::new(Box::new(Numbers(None)), 0..6, vec![0], HALVING, 9, 8);
        let id = |trial| TrainingId { trial, seed: 0 };
        for _ in 0..6 {
            assert!(matches!(s.next_training(), Next::Train { .. }));
        }
        assert!(matches!(s.next_training(), Next::Wait));
        assert_eq!(s.epoch(id(2), 1, 0.1), Decision::Park);
        s.park(id(2), ());
        s.ended(id(0), None);
        s.ended(id(3), None);
        s.ended(id(4), None);
        s.ended(id(5), None);
        assert_eq!(s.epoch(id(1), 1, 0.3), Decision::GoOn, "the second best of six, four of which diverged");
        assert!(matches!(
            s.next_training(),
            Next::Train { id: TrainingId { trial: 2, .. }, from: Some(()), .. }
        ));
        assert_eq!(s.epoch(id(1), 1, 0.3), Decision::GoOn, "the same call again");
        assert_eq!(s.epoch(id(1), 2, 0.2), Decision::GoOn);
        s.ended(id(1), Some(0.2));
        assert_eq!(s.epoch(id(2), 3, 0.25), Decision::Stop, "trial 1 ended at 0.2, by patience");
        s.ended(id(2), Some(0.25));
        assert!(matches!(s.next_training(), Next::Done));
    }

    #[test]
    fn a_learning_strategy_receives_exactly_the_trials_below_its_window() {
        let mut s = Scheduler::<()>::new(Box::new(Numbers(Some(2))), 0..6, vec![0], None, 9, 8);
        let mut begun = Vec::new();
        let mut begin = |s: &mut Scheduler<()>| {
            while let Next::Train { id, params, .. } = s.next_training() {
                let running: Vec<u64> = serde_json::from_value(params["running"].clone()).unwrap();
                begun.push((id.trial, params["told"].as_u64().unwrap(), running));
            }
            begun.len()
        };
        let id = |trial| TrainingId { trial, seed: 0 };
        assert_eq!(begin(&mut s), 3);
        s.ended(id(2), Some(1.0));
        s.ended(id(1), Some(1.0));
        assert_eq!(begin(&mut s), 3, "trial 3 waits for trial 0");
        s.ended(id(0), Some(1.0));
        assert_eq!(begin(&mut s), 6);
        let expected = [
            (0, 0, vec![]),
            (1, 0, vec![0]),
            (2, 0, vec![0, 1]),
            (3, 1, vec![1, 2]),
            (4, 2, vec![2, 3]),
            (5, 3, vec![3, 4]),
        ];
        assert_eq!(begun, expected);
    }

    #[test]
    fn a_learning_strategy_receives_the_settings_of_restored_trials() {
        struct First;
        impl Proposals for First {
            fn params(&self, _: u64, told: &[Told], _: &[Params]) -> Params {
                told.iter().map(|told| (told.trial.to_string(), told.params["lr"].clone())).collect()
            }
            fn window(&self) -> Option<u64> {
                Some(0)
            }
        }
        let mut s = Scheduler::<u8>::new(Box::new(First), 0..4, vec![0], None, 9, 8);
        let id = |trial| TrainingId { trial, seed: 0 };
        let lr = |lr: f64| Params::from_iter([("lr".into(), lr.into())]);
        s.restore_ended(id(0), &lr(0.1), &[], Some(1.0));
        s.restore_begun(id(1), &lr(0.2), &[], false, 5);
        let Next::Train { id: first, params, from } = s.next_training() else { panic!() };
        assert_eq!((first, params, from), (id(1), lr(0.2), Some(5)));
        s.ended(id(1), Some(0.5));
        let Next::Train { id: second, params, .. } = s.next_training() else { panic!() };
        let told = Params::from_iter([("0".into(), 0.1.into()), ("1".into(), 0.2.into())]);
        assert_eq!((second, params), (id(2), told));
    }

    #[test]
    fn returned_trainings_come_first_and_a_closed_schedule_starts_none() {
        let mut s = Scheduler::<u8>::new(Box::new(Numbers(None)), [3, 7, 11], vec![1], None, 9, 8);
        let Next::Train { id, .. } = s.next_training() else { panic!() };
        assert_eq!(id, TrainingId { trial: 3, seed: 1 });
        s.give_back(id, Some(9));
        assert!(matches!(
            s.next_training(),
            Next::Train { id: TrainingId { trial: 3, .. }, from: Some(9), .. }
        ));
        s.give_back(id, Some(9));
        s.close();
        assert_eq!(s.drain(), [(id, 9)]);
        assert!(s.is_done() && matches!(s.next_training(), Next::Done));
    }

    #[test]
    fn rungs_grow_by_eta_below_the_full_length() {
        assert_eq!(rungs(HALVING, 28), [1, 3, 9, 27]);
        assert_eq!(rungs(HALVING, 27), [1, 3, 9]);
        assert!(rungs(HALVING, 1).is_empty() && rungs(None, 100).is_empty());
        assert_eq!(rungs(Some(Halving { eta: 2, min_epochs: 1 << 63 }), u64::MAX), [1 << 63]);
    }
}
