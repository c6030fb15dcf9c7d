//! The work of one call: the steps of each member, shared by the threads that are free.
//!
//! A member's steps are led by one thread at a time. Threads that find no member to lead join the team of one, if it has
//! seats: the leader works alone until all seats are taken, and alone again once it has waited too much for the others.

use std::hint::spin_loop;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::subnormal::Flush;
use super::team_size::Stretch;
use crate::population::Member;
use crate::population::tables::{Record, StepRow};
use crate::step::meeting::{Bell, Meeting};
use crate::step::memory::{Slabs, Table, View};
use crate::step::real::Real;
use crate::step::team::Rank;
use crate::step::{Op, ops};

/// A leader spins for so long before it yields.
const SPINNING: Duration = Duration::from_micros(100);

/// One member's steps.
pub struct Job<'a, R> {
    pub member: &'a Member,
    pub table: &'a Table,
    pub slabs: Slabs<R>,
    pub steps: Vec<StepRow>,
    team: Team,
    done: Mutex<Done>,
}

/// How long a leader waits for its team.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For all to come, before it begins alone.
    pub together: Duration,
    /// In meetings, before the team breaks up: as a share of the time, and at least; none for ever.
    pub apart: Option<(f64, Duration)>,
}

/// The results of a job.
#[derive(Debug, Default)]
pub struct Done {
    /// `[S]`
    pub records: Vec<Record>,
    /// Mean seconds of each operation, if they were timed.
    pub times: Vec<f64>,
    /// The leader's time by the size of its team; `work` counts steps.
    pub stretches: Vec<Stretch>,
    /// Whether the team broke up.
    pub broken: bool,
}

/// The threads beside a job's leader.
struct Team {
    meeting: Meeting,
    /// Seats that are free.
    free: AtomicUsize,
    /// Threads that have come, the leader not counted.
    here: AtomicUsize,
    /// [`GATHERING`], or [`CLOSED`], or 1 + the first step that the team does together.
    begin: Bell,
    /// Set by the leader before the last meeting of the team's last step.
    over: AtomicBool,
}

const GATHERING: usize = 0;
const CLOSED: usize = usize::MAX;

impl<'a, R: Real> Job<'a, R> {
    /// A job for a team of `size`.
    pub fn new(
        member: &'a Member,
        table: &'a Table,
        slabs: Slabs<R>,
        steps: Vec<StepRow>,
        size: usize,
    ) -> Job<'a, R> {
        let team = Team {
            meeting: Meeting::new(size),
            free: AtomicUsize::new(size - 1),
            here: AtomicUsize::new(0),
            begin: Bell::default(),
            over: AtomicBool::new(false),
        };
        Job { member, table, slabs, steps, team, done: Mutex::default() }
    }

    /// The results, once all threads have left it.
    pub fn into_done(self) -> Done {
        self.done.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn done(&self) -> MutexGuard<'_, Done> {
        self.done.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does the steps `range`, at first waiting for the team. With `timed`, the time of each operation is measured.
    pub fn lead(&self, plan: &[Op], range: Range<usize>, patience: Patience, timed: bool) {
        let team = &self.team;
        debug_assert!(team.meeting.of() == 1 || range == (0..self.steps.len()), "a team does all steps");
        let _attendance = team.meeting.attend();
        let _closing = Closing(team);
        let mut times = vec![0.0; if timed { plan.len() } else { 0 }];
        let (mut records, mut stretches) = (Vec::with_capacity(range.len()), Vec::new());
        let (mut rank, mut broken) = (Rank::ALONE, false);
        let (mut from, mut start) = (range.start, Instant::now());
        let mut stretch = |size: usize, steps: usize, start: Instant| {
            if steps > 0 {
                stretches.push(Stretch { size, work: steps as f64, seconds: start.elapsed().as_secs_f64() });
            }
        };
        team.gather(patience.together);
        for s in range.clone() {
            if rank.is_alone() && !broken && team.is_complete() {
                stretch(1, s - from, start);
                // Coming together at the beginning is a part of the team's time.
                start = if s == range.start { start } else { Instant::now() };
                (from, rank) = (s, Rank::new(0, &team.meeting));
                team.begin.ring(s + 1);
            }
            let leaves = || patience.apart.is_some_and(|most| team.must_break_up(start.elapsed(), most));
            records.push(self.step(plan, s, rank, &mut times, leaves));
            if !rank.is_alone() && team.over.load(Ordering::Relaxed) {
                stretch(team.meeting.of(), s + 1 - from, start);
                (from, start, rank, broken) = (s + 1, Instant::now(), Rank::ALONE, true);
            }
        }
        stretch(if rank.is_alone() { 1 } else { team.meeting.of() }, range.end - from, start);
        let mut done = self.done();
        times.iter_mut().for_each(|time| *time /= self.steps.len() as f64);
        done.records.append(&mut records);
        done.stretches.append(&mut stretches);
        done.times.resize(times.len(), 0.0);
        done.times.iter_mut().zip(times).for_each(|(all, time)| *all += time);
        done.broken |= broken;
    }

    /// Takes a seat of the team and works until the team is over; false if no seat is free.
    pub fn help(&self, plan: &[Op]) -> bool {
        let team = &self.team;
        let take = |free: usize| free.checked_sub(1);
        let Ok(free) = team.free.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take) else {
            return false;
        };
        let rank = Rank::new(team.meeting.of() - free, &team.meeting);
        let _attendance = team.meeting.attend();
        team.here.fetch_add(1, Ordering::Release);
        team.begin.wait(GATHERING);
        // It does not change again while the team works.
        let begin = team.begin.value();
        if begin != CLOSED {
            for s in begin - 1..self.steps.len() {
                self.step(plan, s, rank, &mut [], || false);
                if team.over.load(Ordering::Relaxed) {
                    break;
                }
            }
        }
        true
    }

    /// One thread's part of a step. `leaves` is asked before the last meeting, by the leader of a team.
    fn step(
        &self,
        plan: &[Op],
        s: usize,
        rank: Rank,
        times: &mut [f64],
        leaves: impl FnOnce() -> bool,
    ) -> Record {
        let step = self.steps[s];
        let view = View { member: self.member, step, table: self.table, memory: &self.slabs, rank };
        let mut before = Instant::now();
        let mut run = |at: usize, op: Op| {
            ops::run_part(op, &view);
            if let Some(time) = times.get_mut(at) {
                let now = Instant::now();
                *time += (now - before).as_secs_f64();
                before = now;
            }
        };
        let (last, others) = plan.split_last().map_or((None, plan), |(last, others)| (Some(last), others));
        for (at, &op) in others.iter().enumerate() {
            run(at, op);
            rank.meet();
        }
        if let Some(&last) = last {
            run(others.len(), last);
        }
        if !rank.is_alone() && rank.is_first() && leaves() {
            self.team.over.store(true, Ordering::Relaxed);
        }
        rank.meet();
        if step.rows == 0 || !rank.is_first() {
            return Record::default();
        }
        // SAFETY: only this thread or its team writes it, not before the next step.
        unsafe { self.slabs.record.part(0, 1)[0] }
    }
}

impl Team {
    /// Whether all seats are taken; never without seats.
    fn is_complete(&self) -> bool {
        self.meeting.of() > 1 && self.here.load(Ordering::Acquire) + 1 == self.meeting.of()
    }

    /// Waits for all, but not longer than `patience`.
    fn gather(&self, patience: Duration) {
        let start = Instant::now();
        while self.meeting.of() > 1 && !self.is_complete() && start.elapsed() < patience {
            if start.elapsed() < SPINNING { spin_loop() } else { std::thread::yield_now() }
        }
    }

    /// Whether the leader of a team that has worked for `time` has waited for more than a share of it, and than a least
    /// time.
    fn must_break_up(&self, time: Duration, (share, least): (f64, Duration)) -> bool {
        let waited = self.meeting.waited();
        waited > least && waited > time.mul_f64(share)
    }
}

/// Takes the seats away when the leader is done, and sends home who waits for a beginning.
struct Closing<'a>(&'a Team);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.0.free.store(0, Ordering::Relaxed);
        if self.0.begin.value() == GATHERING {
            self.0.begin.ring(CLOSED);
        }
    }
}

/// The jobs of a call, each in pieces, so that all threads end at about the same time.
pub struct Queue<'a, 'b, R> {
    pub jobs: &'b [Job<'a, R>],
    pub plan: &'b [Op],
    /// Steps of a piece.
    pub piece: usize,
    pub patience: Patience,
    pub timed: bool,
    /// Jobs without a leader, and their next steps.
    waiting: Mutex<Vec<(usize, usize)>>,
}

impl<'a, 'b, R: Real> Queue<'a, 'b, R> {
    /// All of `jobs`, in `pieces` each.
    pub fn new(
        jobs: &'b [Job<'a, R>],
        plan: &'b [Op],
        pieces: usize,
        patience: Patience,
        timed: bool,
    ) -> Queue<'a, 'b, R> {
        let steps = jobs.first().map_or(0, |job| job.steps.len());
        let waiting = Mutex::new((0..jobs.len()).map(|job| (job, 0)).collect());
        Queue { jobs, plan, piece: steps.div_ceil(pieces.max(1)).max(1), patience, timed, waiting }
    }

    /// Works as long as there is something to do: leads jobs, beginning with `first`, then helps with those of others.
    pub fn work(&self, first: Option<(usize, usize)>) {
        let _flush = Flush::begin();
        let mut now = first.or_else(|| self.take(None));
        while let Some((at, next)) = now {
            let job = &self.jobs[at];
            let end = (next + self.piece).min(job.steps.len());
            job.lead(self.plan, next..end, self.patience, self.timed);
            now = self.take((end < job.steps.len()).then_some((at, end)));
        }
        while self.jobs.iter().any(|job| job.help(self.plan)) {}
    }

    /// Puts `last` back, and takes the job with the most work left; the last one if there is no other.
    pub fn take(&self, last: Option<(usize, usize)>) -> Option<(usize, usize)> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        // At the end, so that it is taken if several have as much left.
        waiting.extend(last);
        let left = |&(at, next): &(usize, usize)| {
            (self.jobs[at].steps.len() - next) as f64 * self.jobs[at].member.work()
        };
        let most = waiting.iter().enumerate().max_by(|(_, a), (_, b)| left(a).total_cmp(&left(b)));
        let most = most.map(|(at, _)| at)?;
        Some(waiting.swap_remove(most))
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::bench::{Case, table};
    use crate::population::Buffer;
    use crate::spec::Activation;
    use crate::step::memory::Memory;
    use crate::step::{StepKind, ops, plan};

    const STEPS: u64 = 20;

    /// Steps of a member by a team of `size` whose helpers come `late`; its memory and the results.
    fn train(table: &Table, size: usize, patience: Patience, late: Duration) -> (Memory<f32>, Done) {
        let case = Case::own(vec![24, 17], Activation::Tanh, 64);
        let population = case.population(1, true);
        let plan = plan(&population, StepKind::Train);
        let mut memory = Memory::new(&population.members[0]);
        ops::initialize::cpu(&population.members[0], &mut memory);
        let steps = Case::steps(&population, 0, STEPS);
        let job = Job::new(&population.members[0], table, Slabs::new(&mut memory), steps, size);
        thread::scope(|scope| {
            for _ in 1..size {
                scope.spawn(|| {
                    thread::sleep(late);
                    while job.help(&plan) {}
                });
            }
            job.lead(&plan, 0..STEPS as usize, patience, false);
        });
        let done = job.into_done();
        (memory, done)
    }

    /// However a team gathers and breaks up, with more threads than cores, too.
    #[test]
    fn the_bits_do_not_depend_on_who_comes_and_when() {
        let whole = Patience { together: Duration::MAX, apart: None };
        let apart = Some((0.0, Duration::ZERO));
        let hasty = Patience { together: Duration::ZERO, apart };
        let brief = Patience { together: Duration::MAX, apart };
        let table = table();
        let (expected, _) = train(&table, 1, whole, Duration::ZERO);
        let (mut joined, mut broken) = (0, 0);
        for round in 0..16 {
            let size = [2, 3, 8][round % 3];
            let patience = [hasty, whole, brief, whole][round % 4];
            let (memory, done) = train(&table, size, patience, Duration::from_micros(50 * round as u64));
            let bits = |memory: &Memory<f32>, buffer| {
                memory.floats(buffer).unwrap().iter().map(|v| v.to_bits()).collect::<Vec<_>>()
            };
            for buffer in [Buffer::Params, Buffer::Moments, Buffer::Stats] {
                assert!(bits(&memory, buffer) == bits(&expected, buffer), "round {round}: {buffer:?}");
            }
            assert_eq!(done.records.len() as u64, STEPS);
            assert_eq!(done.stretches.iter().map(|stretch| stretch.work as u64).sum::<u64>(), STEPS);
            joined += usize::from(done.stretches.iter().any(|stretch| stretch.size == size));
            broken += usize::from(done.broken);
        }
        assert!(joined >= 8 && broken > 0, "{joined} of 16 teams came together, {broken} broke up");
    }
}
