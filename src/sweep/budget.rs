//! What still fits into a limited time, without threads, devices and files.
//!
//! The cost of a training is predicted in *planned seconds*, by the speed that was measured before the sweep. Planned
//! seconds done per second of wall-clock time are the *rate*. It is measured all the time, so that a first measurement
//! at a busy moment, or a machine that becomes busy, corrects itself. A training starts if all that is under way, the
//! training itself and the final comparison are expected to end in time. Times are seconds since the command began.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use super::schedule::TrainingId;

/// Share of the limit that is kept for writing the report, and the least seconds of it.
const REPORT: (f64, f64) = (0.01, 0.05);
/// Seconds of the report per trial.
const REPORT_TRIAL_S: f64 = 0.0004;
/// Largest share of the limit that is kept for the fewest final trainings that can be compared.
const FEWEST_FINALS: f64 = 0.5;
/// Factor on the expected time of the final comparison.
const SPARE: f64 = 1.1;
/// The same if there is no time for that.
const HOPE: f64 = 0.7;
/// The same for a further round of the final comparison, which stops if it turns out to be too long.
const BOLD: f64 = 0.85;
/// Trainings that are under way may take this much longer than there is time before some are stopped.
const LATE: f64 = 1.15;
/// Least rate, as a share of the planned one: a slower measurement is a pause.
const LEAST_RATE: f64 = 0.05;
/// Largest share of the window that one measurement may be.
const ENTRY: f64 = 0.25;
/// Seconds between such checks.
const CHECK_S: f64 = 0.1;

/// What a budget has to know of a stage.
#[derive(Clone, Debug)]
pub struct Terms {
    /// When the command began.
    pub start: Instant,
    pub limit: Duration,
    /// Planned seconds per second, as planned or as measured by the stage before.
    pub rate: f64,
    /// How many times its planned seconds a training takes alone on the device: a full population shares it.
    pub parallel: f64,
    /// Trainings with which the device is busy.
    pub full: usize,
    /// Planned seconds of a training, on average.
    pub mean_s: f64,
    /// Parts of a training at which halving stops some, ascending, below 1.
    pub rungs: Vec<f64>,
    /// Halving lets one in this many go on.
    pub eta: f64,
    pub seeds: u64,
    /// Whether trainings are let in seed by seed, as in the final stage, and not trial by trial.
    pub by_seed: bool,
    /// Trainings that have ended before.
    pub trials: u64,
    /// Trials to compare at the end, and their seeds; none in the final stage.
    pub finals: Option<(u64, u64)>,
    /// Largest share of the limit that is kept for all of them.
    pub finals_share: f64,
    /// Planned seconds of the work after the last training: the predictions of the ensemble.
    pub after_s: f64,
}

/// A training that has begun, or will without a further question.
#[derive(Clone, Debug)]
struct Flight {
    /// Planned seconds of the whole training.
    cost: f64,
    /// Part that is done.
    done: f64,
    /// It waits at a rung.
    parked: bool,
    running: bool,
    /// The last rung that it reached (from 1), and its objective there.
    reached: usize,
    value: f64,
}

/// An ended trial, as far as the final comparison is concerned.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    trial: u64,
    /// Part of its schedule that it trained.
    done: f64,
    value: f64,
    cost: f64,
}

/// See the module.
#[derive(Clone, Debug)]
pub struct Budget {
    terms: Terms,
    flights: BTreeMap<TrainingId, Flight>,
    /// Trials, or seeds in the final stage, that were let in.
    admitted: BTreeSet<u64>,
    /// Trials, or seeds in the final stage, that were stopped.
    closed: BTreeSet<u64>,
    /// No trial fits, so one was let in anyway and no time is kept for a comparison.
    forced: bool,
    candidates: Vec<Candidate>,
    /// (seconds, planned seconds done in them), recent ones.
    window: VecDeque<(f64, f64)>,
    measured: (f64, f64),
    /// Planned seconds done since `last`.
    fresh: f64,
    last: f64,
    /// When it was last checked whether all that is under way will end in time.
    checked: f64,
}

impl Budget {
    pub fn new(mut terms: Terms) -> Budget {
        if !(terms.rate.is_finite() && terms.rate > 0.0) {
            terms.rate = 1.0;
        }
        let last = terms.start.elapsed().as_secs_f64();
        Budget {
            terms,
            flights: BTreeMap::new(),
            admitted: BTreeSet::new(),
            closed: BTreeSet::new(),
            forced: false,
            candidates: Vec::new(),
            window: VecDeque::new(),
            measured: (0.0, 0.0),
            fresh: 0.0,
            last,
            checked: last,
        }
    }

    /// Seconds since the command began.
    pub fn now(&self) -> f64 {
        self.terms.start.elapsed().as_secs_f64()
    }

    /// When the last training has to end: ensemble and report follow.
    pub fn end(&self) -> f64 {
        let limit = self.terms.limit.as_secs_f64();
        let trials = self.terms.trials + self.admitted.len() as u64;
        let report = (REPORT.0 * limit).max(REPORT.1) + REPORT_TRIAL_S * trials as f64;
        limit - (report + self.terms.after_s / self.rate()).min(limit / 4.0)
    }

    /// When the search should have ended, and when it ends at the latest: between them, only what has begun goes on.
    /// Before anything has begun, no time need be kept for a comparison.
    pub fn search_ends(&self) -> (f64, f64) {
        let (most, least) = self.reserve();
        let least = if self.has_begun() { least } else { 0.0 };
        (self.end() - most, self.end() - least)
    }

    /// Whether anything was let in, now or by an earlier process.
    pub fn has_begun(&self) -> bool {
        !self.admitted.is_empty()
    }

    /// Planned seconds per second, when the device is busy.
    pub fn rate(&self) -> f64 {
        let (seconds, work) = self.measured;
        let (length, planned) = (self.window_s(), self.terms.rate);
        let rate = (work + planned * (length - seconds).max(0.0)) / length.max(seconds);
        rate.max(LEAST_RATE * planned)
    }

    fn window_s(&self) -> f64 {
        (self.terms.limit.as_secs_f64() / 15.0).clamp(0.3, 8.0)
    }

    /// Seconds of trainings of `work` planned seconds in all, the longest of which has `longest`.
    fn seconds(&self, work: f64, longest: f64) -> f64 {
        // The last training to end leaves the device partly idle: at most all of its time, on average half.
        let (parallel, rate) = (self.terms.parallel.max(1.0), self.rate());
        (work + 0.5 * (parallel - 1.0) * longest).max(parallel * longest) / rate
    }

    /// Seconds kept for the final comparison: for as many seeds as fit into its share of the limit, and for the
    /// least that can be compared, two trials with one seed.
    fn reserve(&self) -> (f64, f64) {
        let Some((finalists, seeds)) = self.terms.finals.filter(|_| !self.forced) else { return (0.0, 0.0) };
        let limit = self.terms.limit.as_secs_f64();
        let known = self.candidates.len().min(finalists as usize);
        let costs = self.candidates.iter().take(known).map(|candidate| candidate.cost);
        let longest = costs.clone().fold(0.0, f64::max).max(if known == 0 { self.terms.mean_s } else { 0.0 });
        let unknown = finalists as f64 - known as f64;
        let one = (costs.sum::<f64>() + unknown * self.terms.mean_s) / finalists as f64;
        let time = |trials: u64, seeds: u64| SPARE * self.seconds(one * (trials * seeds) as f64, longest);
        // If the best are too long, shorter ones are compared.
        let least = time(finalists.min(2), 1).min(FEWEST_FINALS * limit);
        let rounds = (1..=seeds).rev().map(|seeds| time(finalists, seeds));
        let most =
            rounds.chain([least]).find(|&time| time <= self.terms.finals_share * limit).unwrap_or(least);
        (most.max(least), least)
    }

    /// Expected planned seconds of all that is under way and of a further `new` training, and the longest of them.
    fn expected(&self, new: &[f64]) -> (f64, f64) {
        let (rungs, eta) = (&self.terms.rungs, self.terms.eta.max(1.0));
        let fresh = new.iter().map(|&cost| (cost, 0.0, false));
        let flights = self.flights.values().map(|flight| (flight.cost, flight.done, flight.parked));
        let all: Vec<(f64, f64, bool)> = flights.chain(fresh).collect();
        let longest = all.iter().map(|(cost, done, _)| cost * (1.0 - done)).fold(0.0, f64::max);
        let (mut from, mut sum) = (0.0, 0.0);
        for (segment, to) in rungs.iter().copied().chain([1.0]).enumerate() {
            let (mut work, mut chance) = (0.0, 0.0);
            for &(cost, done, parked) in &all {
                let first = rungs.iter().filter(|&&rung| rung <= done + 1e-9).count();
                if segment < first {
                    continue;
                }
                let passes = segment - first + usize::from(parked);
                let p = eta.powi(-(passes.min(64) as i32));
                work += p * cost * (to - done.clamp(from, to));
                chance += p;
            }
            // At least one goes to the end.
            sum += if chance > 0.0 && chance < 1.0 { work / chance } else { work };
            from = to;
        }
        (sum, longest)
    }

    /// Whether a training of the search fits into the time. All seeds of a trial are let in together.
    pub fn admits(&mut self, id: TrainingId, cost: f64, now: f64) -> bool {
        if self.closed.contains(&id.trial) {
            return false;
        }
        if self.admitted.contains(&id.trial) {
            self.begin(id, cost, 0.0);
            return true;
        }
        let fits = self.fits(cost, now);
        if fits {
            self.admitted.insert(id.trial);
            self.begin(id, cost, 0.0);
        }
        fits
    }

    fn fits(&self, cost: f64, now: f64) -> bool {
        let (work, longest) = self.expected(&vec![cost; self.terms.seeds as usize]);
        self.seconds(work, longest) <= self.search_ends().0 - now
    }

    /// Sees to it that one of the next trials starts, with these costs of a training, as long as there is time and
    /// nothing has begun. If none fits, the time kept for the comparison is used; if that is not enough, the shortest
    /// is let in.
    pub fn force(&mut self, ahead: &[(TrainingId, f64)], now: f64) {
        if self.has_begun() || now >= self.end() || ahead.iter().any(|(_, cost)| self.fits(*cost, now)) {
            return;
        }
        let Some((id, _)) = ahead.iter().min_by(|(_, a), (_, b)| a.total_cmp(b)) else { return };
        self.forced = true;
        if !ahead.iter().any(|(_, cost)| self.fits(*cost, now)) {
            self.admitted.insert(id.trial);
        }
    }

    /// Whether a final training fits into the time: all trials with its seed are let in together, or none is.
    /// `round` has their costs. The first round always is; after a seed was stopped, none begins.
    pub fn admits_final(&mut self, id: TrainingId, cost: f64, round: &[f64], now: f64) -> bool {
        let (work, longest) = self.expected(round);
        let begins = self.closed.is_empty()
            && (self.admitted.is_empty() || BOLD * self.seconds(work, longest) <= self.end() - now);
        let fits = !self.closed.contains(&id.seed) && (self.admitted.contains(&id.seed) || begins);
        if fits {
            self.admitted.insert(id.seed);
            self.begin(id, cost, 0.0);
        }
        fits
    }

    /// The places of the finalists that fit, from the costs of the trials, best first: the first `wanted` of them, or
    /// the two best that fit if the best are too long. Empty if no two fit.
    pub fn finalists(&self, costs: &[f64], wanted: usize, now: f64) -> Vec<usize> {
        let left = self.end() - now;
        let time = |places: &[usize]| {
            let costs = places.iter().map(|&place| costs[place]);
            self.seconds(costs.clone().sum(), costs.fold(0.0, f64::max))
        };
        let least = costs.len().min(2);
        // If not even the shortest fit, the estimate may be too high.
        for spare in [SPARE, 1.0, HOPE] {
            let mut places = Vec::new();
            for place in 0..costs.len() {
                if places.len() >= least.max(1) && place >= wanted {
                    break;
                }
                places.push(place);
                if spare * time(&places) > left {
                    places.pop();
                }
            }
            if places.len() >= least {
                return places;
            }
        }
        Vec::new()
    }

    /// A training of which an earlier process has done a part, with its objectives at the rungs.
    pub fn resume(&mut self, id: TrainingId, cost: f64, done: f64, rungs: &[f64]) {
        self.admitted.insert(self.key(id));
        self.begin(id, cost, done);
        if let Some(&value) = rungs.last() {
            self.reached(id, rungs.len(), value);
        }
    }

    /// A training that ended in an earlier process: the others of its trial, or of its seed in the final stage, are
    /// let in.
    pub fn known(&mut self, id: TrainingId) {
        if self.admitted.insert(self.key(id)) {
            // `terms.trials` counts it already.
            self.terms.trials = self.terms.trials.saturating_sub(1);
        }
    }

    /// What is let in together: a trial, or a seed in the final stage.
    fn key(&self, id: TrainingId) -> u64 {
        if self.terms.by_seed { id.seed } else { id.trial }
    }

    fn begin(&mut self, id: TrainingId, cost: f64, done: f64) {
        self.flights.entry(id).or_insert(Flight {
            cost: cost.max(0.0),
            done,
            parked: false,
            running: false,
            reached: 0,
            value: f64::INFINITY,
        });
    }

    /// Training `id` runs, and the part `done` of it is done.
    pub fn progress(&mut self, id: TrainingId, done: f64) {
        let Some(flight) = self.flights.get_mut(&id) else { return };
        // What was done before it began here is known from its beginning.
        self.fresh += flight.cost * (done - flight.done).max(0.0);
        (flight.done, flight.parked, flight.running) = (done, false, true);
    }

    /// Measures the rate up to `now`. Only busy times count: a device that runs off is slower for no other reason.
    pub fn tick(&mut self, now: f64) {
        let took = now - self.last;
        let busy = self.flights.values().filter(|flight| flight.running).count() >= self.terms.full;
        if took < 0.02 && busy {
            return;
        }
        if busy && took > 0.0 {
            // A pause must not fill the whole window.
            let counted = took.min(ENTRY * self.window_s());
            let work = self.fresh * counted / took;
            self.window.push_back((counted, work));
            self.measured = (self.measured.0 + counted, self.measured.1 + work);
            while self.window.len() > 1 && self.measured.0 - self.window[0].0 >= self.window_s() {
                let (seconds, work) = self.window.pop_front().unwrap_or_default();
                self.measured = (self.measured.0 - seconds, self.measured.1 - work);
            }
        }
        (self.last, self.fresh) = (now, 0.0);
    }

    /// Training `id` reached a rung, numbered from 1, with this objective.
    pub fn reached(&mut self, id: TrainingId, rung: usize, value: f64) {
        if let Some(flight) = self.flights.get_mut(&id) {
            (flight.reached, flight.value) = (rung, value);
        }
    }

    /// Training `id` left its slot and waits.
    pub fn park(&mut self, id: TrainingId) {
        if let Some(flight) = self.flights.get_mut(&id) {
            (flight.parked, flight.running) = (true, false);
        }
    }

    /// Training `id` has ended, with this objective.
    pub fn ended(&mut self, id: TrainingId, finished: bool, value: Option<f64>) {
        let Some(flight) = self.flights.remove(&id) else { return };
        if let (Some(value), Some((finalists, _))) = (value, self.terms.finals) {
            let done = if finished { 1.0 } else { flight.done };
            let candidates = &mut self.candidates;
            candidates.retain(|other| other.trial != id.trial);
            candidates.push(Candidate { trial: id.trial, done, value, cost: flight.cost });
            candidates.sort_by(|a, b| b.done.total_cmp(&a.done).then(a.value.total_cmp(&b.value)));
            candidates.truncate(finalists as usize);
        }
    }

    /// The trial to stop because what is under way will not end in time: the least promising one. None if it will, or
    /// if there is only one.
    pub fn too_late(&mut self, now: f64) -> Option<u64> {
        if now - self.checked < CHECK_S {
            return None;
        }
        self.checked = now;
        let left = self.search_ends().1 - now;
        let trials: BTreeSet<u64> = self.flights.keys().map(|id| id.trial).collect();
        if trials.len() < 2 || self.expected(&[]).0 / self.rate() <= LATE * left {
            return None;
        }
        let worst = self.flights.iter().min_by(|(a, x), (b, y)| {
            let value = y.value.total_cmp(&x.value);
            x.reached.cmp(&y.reached).then(value).then(x.done.total_cmp(&y.done)).then(b.cmp(a))
        });
        let worst = worst.map(|(id, _)| id.trial);
        self.closed.extend(worst);
        worst
    }

    /// The final trainings to stop because what is under way will not end in time: those of the last seed, if there are
    /// several, so that the others can be compared. No more of that seed begin.
    pub fn too_late_round(&mut self, now: f64) -> Vec<TrainingId> {
        if now - self.checked < CHECK_S {
            return Vec::new();
        }
        self.checked = now;
        let seeds: BTreeSet<u64> = self.flights.keys().map(|id| id.seed).collect();
        let (work, longest) = self.expected(&[]);
        if seeds.len() < 2 || self.seconds(work, longest) <= LATE * (self.end() - now) {
            return Vec::new();
        }
        self.closed.extend(seeds.last());
        self.flights.keys().filter(|id| Some(&id.seed) == seeds.last()).copied().collect()
    }

    /// Trainings of a trial that are under way.
    pub fn of_trial(&self, trial: u64) -> Vec<TrainingId> {
        self.flights.keys().filter(|id| id.trial == trial).copied().collect()
    }

    /// About how many trials the search will have had.
    pub fn expected_trials(&self, now: f64) -> u64 {
        let (work, _) = self.expected(&[]);
        let left = ((self.search_ends().0 - now) * self.rate() - work).max(0.0);
        let (mut from, mut share) = (0.0, 0.0);
        for (passed, to) in self.terms.rungs.iter().copied().chain([1.0]).enumerate() {
            share += (to - from) * self.terms.eta.max(1.0).powi(-(passed as i32));
            from = to;
        }
        let one = self.terms.mean_s * share * self.terms.seeds as f64;
        self.admitted.len() as u64 + (left / one.max(1e-9)) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A limit of 100 s; trainings of 1 planned second, of which 2 are done in a second.
    fn terms() -> Terms {
        Terms {
            start: Instant::now(),
            limit: Duration::from_secs(100),
            rate: 2.0,
            parallel: 1.0,
            full: 1,
            mean_s: 1.0,
            rungs: Vec::new(),
            eta: 1.0,
            seeds: 1,
            by_seed: false,
            trials: 0,
            finals: None,
            finals_share: 1.0 / 3.0,
            after_s: 0.0,
        }
    }

    #[test]
    fn time_is_kept_for_what_follows_the_trainings() {
        let end = |after_s| Budget::new(Terms { after_s, ..terms() }).end();
        // At 2 planned seconds a second, and at most a quarter of the limit.
        close(end(0.0) - end(10.0), 5.0);
        close(end(1e6), 75.0);
    }

    #[test]
    fn the_last_round_stops_if_the_final_trainings_do_not_end_in_time() {
        let of = |trial, seed| TrainingId { trial, seed };
        let mut budget = Budget::new(terms());
        let round = [10.0, 10.0];
        for (trial, seed) in [(1, 5), (2, 5), (1, 6), (2, 6)] {
            assert!(budget.admits_final(of(trial, seed), 10.0, &round, 0.0));
        }
        // 40 planned seconds at 2 a second.
        assert!(budget.too_late_round(70.0).is_empty());
        assert_eq!(budget.too_late_round(85.0), [of(1, 6), of(2, 6)]);
        budget.ended(of(1, 6), false, None);
        budget.ended(of(2, 6), false, None);
        assert!(!budget.admits_final(of(3, 6), 10.0, &round, 85.0), "the seed does not start again");
        assert!(!budget.admits_final(of(1, 7), 0.1, &[0.1], 85.0), "nor does a later one");
        assert!(budget.admits_final(of(3, 5), 10.0, &round, 85.0));
        assert!(budget.too_late_round(95.0).is_empty(), "the first round goes on");
    }

    fn id(trial: u64) -> TrainingId {
        TrainingId { trial, seed: 0 }
    }

    fn begin(budget: &mut Budget, trials: u64, cost: f64) {
        for trial in 0..trials {
            assert!(budget.admits(id(trial), cost, 0.0));
        }
    }

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() <= 1e-6 * b.abs().max(1.0), "{a} {b}");
    }

    #[test]
    fn trials_start_as_long_as_all_that_is_under_way_fits() {
        let mut budget = Budget::new(terms());
        let begun = (0..1000).take_while(|&trial| budget.admits(id(trial), 1.0, 0.0)).count();
        // 2 planned seconds in each of almost 99 seconds.
        assert!((190..=198).contains(&begun), "{begun}");
        assert!(!budget.admits(id(2000), 1.0, 0.0) && !budget.admits(id(2001), 0.99, 50.0));
        budget.progress(id(0), 0.0);
        (0..50).for_each(|trial| budget.ended(id(trial), true, Some(0.5)));
        assert!(budget.admits(id(2002), 1.0, 0.0), "others have ended");
        assert!(!budget.admits(id(2003), 1.0, 99.5), "no time is left");
    }

    #[test]
    fn one_trial_always_starts_and_the_seeds_of_a_trial_start_together() {
        let with = || Budget::new(Terms { seeds: 3, finals: Some((2, 1)), mean_s: 50.0, ..terms() });
        let mut budget = with();
        assert!(!budget.admits(id(0), 1e6, 0.0), "the first has to fit, too");
        // One that fits is not kept back by longer ones before it.
        budget.force(&[(id(0), 1e6), (id(1), 1.0)], 0.0);
        assert!(!budget.admits(id(0), 1e6, 0.0) && budget.admits(id(1), 1.0, 0.0));
        assert!(budget.admits(TrainingId { trial: 1, seed: 1 }, 1.0, 98.0));
        // None fits: the shortest starts, and no other.
        let mut budget = with();
        budget.force(&[(id(0), 1e6), (id(1), 1e4), (id(2), 1e5)], 0.0);
        assert!(!budget.admits(id(0), 1e6, 0.0) && budget.admits(id(1), 1e4, 0.0));
        budget.force(&[(id(2), 1e5)], 0.0);
        assert!(!budget.admits(id(2), 1e5, 0.0));
        // There is time for a trial, but not for a comparison.
        let mut budget = with();
        assert!(!budget.admits(id(0), 10.0, 70.0) && budget.search_ends().1 > 98.0);
        budget.force(&[(id(0), 10.0)], 70.0);
        assert!(budget.admits(id(0), 10.0, 70.0) && budget.search_ends().1 > 98.0);
        // The limit is over.
        let mut budget = with();
        budget.force(&[(id(0), 10.0)], 99.9);
        assert!(!budget.has_begun() && !budget.admits(id(0), 10.0, 99.9));
    }

    #[test]
    fn halving_is_expected_to_stop_trials_but_never_the_last() {
        let thirds = Terms { rungs: vec![1.0 / 9.0, 1.0 / 3.0], eta: 3.0, ..terms() };
        let mut budget = Budget::new(thirds);
        begin(&mut budget, 9, 9.0);
        // 9 trials of 1, 3 of 2, 1 of 6 planned seconds.
        close(budget.expected(&[]).0, 21.0);
        for trial in 1..9 {
            budget.ended(id(trial), false, Some(1.0));
        }
        close(budget.expected(&[]).0, 9.0);
        budget.progress(id(0), 1.0 / 3.0);
        budget.park(id(0));
        close(budget.expected(&[]).0, 6.0);
    }

    #[test]
    fn the_rate_is_measured_while_the_device_is_busy() {
        let mut budget = Budget::new(Terms { full: 2, ..terms() });
        (0..3).for_each(|trial| budget.resume(id(trial), 100.0, 0.0, &[]));
        let start = budget.last;
        let go = |budget: &mut Budget, from: u32, to: u32, running: u64, each: f64| {
            for tenth in from..to {
                (0..running).for_each(|trial| {
                    budget.progress(id(trial), f64::from(tenth) * each / 100.0);
                });
                budget.tick(start + f64::from(tenth) / 10.0);
            }
            budget.rate()
        };
        // A machine that has become busy does a quarter: 2 trainings of 0.25 planned seconds in a second each.
        let rate = go(&mut budget, 0, 100, 2, 0.025);
        assert!((rate - 0.5).abs() < 0.01, "{rate}");
        // One training alone says nothing about a full device.
        budget.park(id(1));
        let rate = go(&mut budget, 100, 200, 1, 0.025);
        assert!((rate - 0.5).abs() < 0.01, "{rate}");
    }

    #[test]
    fn trainings_of_a_single_piece_count_and_a_pause_does_not_stop_the_rate() {
        let mut budget = Budget::new(Terms { limit: Duration::from_secs(1000), ..terms() });
        let start = budget.last;
        let mut time = 0.0;
        let mut train = |budget: &mut Budget, trial: u64, seconds: f64| {
            time += seconds;
            budget.resume(id(trial), 1.0, 0.0, &[]);
            budget.progress(id(trial), 1.0);
            budget.tick(start + time);
            budget.ended(id(trial), true, Some(0.5));
        };
        (0..100).for_each(|trial| train(&mut budget, trial, 0.25));
        assert!((budget.rate() - 4.0).abs() < 0.01, "{}", budget.rate());
        train(&mut budget, 100, 3600.0);
        assert!(budget.rate() > 2.5, "{}", budget.rate());
        (101..200).for_each(|trial| train(&mut budget, trial, 3600.0));
        close(budget.rate(), 0.05 * 2.0);
        let none = Budget::new(Terms { rate: f64::NAN, ..terms() });
        close(none.rate(), 1.0);
    }

    #[test]
    fn time_for_the_final_comparison_is_kept_from_the_start() {
        let with = |finals, mean_s| Budget::new(Terms { finals: Some(finals), mean_s, ..terms() }).reserve();
        // 15 trainings of 1 s at a rate of 2, and a tenth more; at least 2 trainings.
        let (most, least) = with((3, 5), 1.0);
        close(most, 1.1 * 15.0 / 2.0);
        close(least, 1.1 * 2.0 / 2.0);
        // Seeds are given up first: 2 x 3 x 9.9 s at a rate of 2 fit into a third of 100 s, 3 x 3 do not.
        close(with((3, 5), 9.9).0, 1.1 * 2.0 * 3.0 * 9.9 / 2.0);
        // Then finalists.
        close(with((3, 5), 25.0).0, 1.1 * 2.0 * 25.0 / 2.0);
        assert_eq!(with((3, 5), 60.0), (50.0, 50.0));
        // The costs of the best trials count as soon as they are known.
        let mut budget = Budget::new(Terms { finals: Some((2, 1)), ..terms() });
        for (trial, cost, value) in [(0, 4.0, 0.1), (1, 1.0, 0.3), (2, 2.0, 0.2)] {
            assert!(budget.admits(id(trial), cost, 0.0));
            budget.ended(id(trial), true, Some(value));
        }
        close(budget.reserve().0, 1.1 * (4.0 + 2.0) / 2.0);
    }

    #[test]
    fn the_least_promising_trial_stops_when_time_runs_out_but_never_the_last() {
        let halves = Terms { rungs: vec![0.5], eta: 2.0, ..terms() };
        let mut budget = Budget::new(halves);
        begin(&mut budget, 3, 20.0);
        for (trial, value) in [(0, 0.3), (1, 0.1), (2, 0.2)] {
            budget.progress(id(trial), 0.6);
            budget.reached(id(trial), 1, value);
        }
        // 24 planned seconds at a rate of 2 take 12 s.
        assert_eq!(budget.too_late(50.0), None);
        assert_eq!(budget.too_late(92.0), Some(0));
        assert_eq!(budget.too_late(92.05), None, "not looked at twice within a moment");
        budget.ended(id(0), false, Some(0.3));
        assert_eq!(budget.too_late(95.0), Some(2));
        budget.ended(id(2), false, Some(0.2));
        assert_eq!(budget.too_late(97.0), None);
        assert!(!budget.admits(TrainingId { trial: 2, seed: 1 }, 0.0, 97.0), "nor do its other seeds start");
    }

    #[test]
    fn after_a_resume_the_furthest_stop_last_and_what_had_begun_is_let_in() {
        let halves = Terms { rungs: vec![0.25, 0.5], eta: 2.0, seeds: 2, ..terms() };
        let mut budget = Budget::new(halves);
        budget.resume(id(0), 50.0, 0.5, &[0.4, 0.3]);
        budget.resume(id(1), 50.0, 0.3, &[0.1]);
        budget.resume(id(2), 50.0, 0.2, &[]);
        assert_eq!(budget.too_late(95.0), Some(2));
        budget.ended(id(2), false, None);
        assert_eq!(budget.too_late(96.0), Some(1));
        budget.known(id(7));
        assert!(budget.admits(TrainingId { trial: 7, seed: 1 }, 1.0, 97.0), "its other seed has a record");
        assert!(!budget.admits(id(8), 1.0, 97.0));
        // In the final stage, seeds are let in.
        let mut budget = Budget::new(Terms { by_seed: true, ..terms() });
        budget.resume(TrainingId { trial: 3, seed: 5 }, 10.0, 0.5, &[]);
        assert!(budget.admits_final(TrainingId { trial: 4, seed: 5 }, 10.0, &[10.0, 10.0], 98.0));
        assert!(!budget.admits_final(TrainingId { trial: 4, seed: 3 }, 10.0, &[10.0, 10.0], 98.0));
    }

    #[test]
    fn finalists_and_their_seeds_are_as_many_as_fit() {
        let mut budget = Budget::new(terms());
        let costs = [10.0, 10.0, 10.0];
        assert_eq!(budget.finalists(&costs, 3, 10.0), [0, 1, 2]);
        assert_eq!(budget.finalists(&costs, 2, 10.0), [0, 1]);
        assert_eq!(budget.finalists(&costs, 3, 86.0), [0, 1]);
        assert!(budget.finalists(&costs, 3, 95.0).is_empty());
        // The best is too long: the next two that fit.
        assert_eq!(budget.finalists(&[50.0, 5.0, 40.0, 6.0, 1.0], 3, 92.0), [1, 3]);
        assert_eq!(budget.finalists(&costs[..1], 3, 10.0), [0]);
        assert!(budget.finalists(&[], 3, 10.0).is_empty());
        let seed = |trial, seed| TrainingId { trial, seed };
        let mut rounds = 0;
        for round in 0..9 {
            rounds +=
                u64::from((0..3).all(|trial| budget.admits_final(seed(trial, round), 10.0, &costs, 40.0)));
        }
        // 15 s each in 59 s; a further round may take a little longer than there is time.
        assert_eq!(rounds, 4);
        assert!(budget.admits_final(seed(1, 2), 10.0, &costs, 98.0), "a round is not begun by halves");
    }

    #[test]
    fn the_expected_number_of_trials_follows_the_rate() {
        let mut budget = Budget::new(terms());
        let trials = budget.expected_trials(0.0);
        assert!((190..=198).contains(&trials), "{trials}");
        let halving = Terms { rungs: vec![0.25], eta: 4.0, ..terms() };
        // A trial is expected to take 1/4 + 3/4 · 1/4.
        let trials = Budget::new(halving).expected_trials(0.0) as f64;
        assert!((trials - 198.0 / (7.0 / 16.0)).abs() < 10.0, "{trials}");
        budget.terms.rate = 1.0;
        assert!((95..=99).contains(&budget.expected_trials(0.0)));
    }
}
