//! The CPU engine: the twins of all operations, in f32 (for training without a GPU) or f64 (the reference).
//!
//! Members share nothing, so each runs all the steps of a call by itself, on one thread. If there are fewer members than
//! threads, a [team](team_size) may work on each.

mod ceilings;
mod crew;
mod job;
mod room;
mod subnormal;
pub mod team_size;
pub mod threads;

use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rayon::prelude::*;
use serde_json::json;

use super::{Engine, EngineError, EngineInfo, Pacer};
use crate::base::quantile;
use crate::engine::Ceilings;
use crate::population::tables::{Record, StepRow};
use crate::population::{Buffer, Member, Population};
use crate::step::memory::{Context, Memory, Slabs, Table};
use crate::step::real::Real;
use crate::step::{Op, StepKind, ops, plan};

use job::{Job, Patience, Queue};
use subnormal::Flush;
use team_size::{Stretch, TeamSize};

pub(super) use room::{available, check_room};

/// Name of the engine in reports and records.
pub const NAME: &str = "native CPU engine";

/// Share of a call that it may begin late, so that the team comes together, and the least time for that.
const GATHERING: f64 = 0.02;
const AT_LEAST: Duration = Duration::from_micros(100);

/// A team breaks up when its leader has waited for more than this share of the time, and for longer than this: less
/// than a time slice of the system, more than chance.
const MOST_WAITING: (f64, Duration) = (1.0 / 3.0, Duration::from_micros(500));

/// The CPU engine.
pub struct CpuEngine<R> {
    population: Arc<Population>,
    table: Arc<Table>,
    memory: Vec<Memory<R>>,
    plans: [Vec<Op>; StepKind::COUNT],
    pacers: [Pacer; StepKind::COUNT],
    team_sizes: [TeamSize; StepKind::COUNT],
    /// The size of all teams, if it is not chosen by their speed.
    fixed: Option<usize>,
    info: EngineInfo,
}

impl<R: Real> CpuEngine<R> {
    /// An engine with zeroed memory.
    pub fn new(population: Arc<Population>, table: Arc<Table>) -> CpuEngine<R> {
        CpuEngine {
            memory: population.members.iter().map(|member| Memory::new(member)).collect(),
            plans: StepKind::ALL.map(|kind| plan(&population, kind)),
            pacers: [Pacer::new(0.1, 4096); StepKind::COUNT],
            team_sizes: Default::default(),
            fixed: None,
            info: EngineInfo {
                engine: "cpu",
                device: NAME.into(),
                details: json!({
                    "threads": threads::count(),
                    "instructions": format!("{:?}", pulp::Arch::new()),
                    "precision": std::any::type_name::<R>(),
                }),
            },
            population,
            table,
        }
    }

    /// Lets a team of `size` threads work on each member from now on, whatever its speed: for tests of teams. The pool
    /// must have so many threads for each member.
    pub fn fix_teams(&mut self, size: usize) {
        self.fixed = Some(size);
    }

    /// One member's memory.
    pub fn memory(&self, member: usize) -> &Memory<R> {
        &self.memory[member]
    }
    /// Every member's part of a range of a role: the member, its memory, the place in its region, and the place in the range.
    fn parts(
        &self,
        buffer: Buffer,
        range: &Range<usize>,
    ) -> impl Iterator<Item = (&Member, &Memory<R>, Range<usize>, Range<usize>)> {
        let of = move |(slot, memory)| {
            let (own, to) = overlap(&self.population.region(slot, buffer), range)?;
            Some((&*self.population.members[slot], memory, own, to))
        };
        self.memory.iter().enumerate().filter_map(of)
    }

    /// One member's memory, mutable.
    pub fn memory_mut(&mut self, member: usize) -> &mut Memory<R> {
        &mut self.memory[member]
    }

    /// Runs steps and, if `timed`, returns the seconds per step of each operation, in the first member's first thread.
    fn run_timed(&mut self, kind: StepKind, steps: &[StepRow], timed: bool) -> (Vec<Record>, Vec<f64>) {
        let start = Instant::now();
        let k = self.members();
        if steps.is_empty() {
            return (Vec::new(), Vec::new());
        }
        assert!(steps.len().is_multiple_of(k), "{} rows of steps for {k} members", steps.len());
        let is_active = |slot: usize| (0..steps.len() / k).any(|s| steps[s * k + slot].rows > 0);
        let active: Vec<usize> = (0..k).filter(|&slot| is_active(slot)).collect();
        let share = crew::share_of_threads();
        let threads = if self.fixed.is_some() { threads::count() } else { share.threads() };
        let work = |slot: &usize| self.population.members[*slot].work();
        let plan = &self.plans[kind as usize];
        // A team needs two meetings in a step.
        let most = match plan.len() {
            0 | 1 => 1,
            _ => team_size::most(threads, active.len(), active.iter().map(work).fold(0.0, f64::max)),
        };
        // The work of all members, as that of one team: they work at the same time.
        let step_work = active.iter().map(work).sum::<f64>() / active.len().max(1) as f64;
        let all_work = step_work * (steps.len() / k) as f64;
        let team_size = &mut self.team_sizes[kind as usize];
        let size = self.fixed.unwrap_or_else(|| team_size.choose(most, all_work));
        let patience = match self.fixed {
            Some(_) => Patience { together: Duration::MAX, apart: None },
            None => {
                let expected = team_size.expected(size, all_work).unwrap_or_default();
                Patience { together: expected.mul_f64(GATHERING).max(AT_LEAST), apart: Some(MOST_WAITING) }
            }
        };
        assert!(
            active.len() * size <= threads.max(active.len()),
            "{size} threads for each member of {threads}"
        );
        let jobs: Vec<Job<R>> = self
            .memory
            .iter_mut()
            .enumerate()
            .filter(|(slot, _)| is_active(*slot))
            .map(|(slot, memory)| {
                let own = steps.iter().skip(slot).step_by(k).copied().collect();
                Job::new(&self.population.members[slot], &self.table, Slabs::new(memory), own, size)
            })
            .collect();
        // All threads then end at about the same time.
        let pieces = if jobs.len() <= threads { 1 } else { (8 * threads / jobs.len()).clamp(1, 8) };
        let queue = Queue::new(&jobs, plan, pieces, patience, timed);
        let helpers = threads.min(jobs.len() * size).saturating_sub(1);
        // This thread leads the first job, as it need not be woken.
        let first = queue.take(None);
        crew::with_help(helpers, &|| queue.work(None), || queue.work(first));
        drop(share);
        let (mut records, mut times) = (vec![Record::default(); steps.len()], Vec::new());
        // The call lasts as long as its slowest job.
        let (mut slowest, mut broken) = (Vec::new(), false);
        let seconds = |stretches: &[Stretch]| stretches.iter().map(|stretch| stretch.seconds).sum::<f64>();
        for (at, (slot, job)) in active.into_iter().zip(jobs).enumerate() {
            let done = job.into_done();
            if at == 0 {
                times = done.times;
            }
            broken |= done.broken;
            if seconds(&done.stretches) > seconds(&slowest) {
                slowest = done.stretches;
            }
            records.iter_mut().skip(slot).step_by(k).zip(done.records).for_each(|(to, record)| *to = record);
        }
        if self.fixed.is_none() {
            slowest.iter_mut().for_each(|stretch| stretch.work *= step_work);
            team_size.learn(most, size, &slowest, broken);
        }
        let work = self.population.work(|slot| steps[slot].rows > 0);
        self.pacers[kind as usize].learn(steps.len() / k, work, start.elapsed().as_secs_f64());
        (records, times)
    }
}

impl<R: Real> Engine for CpuEngine<R> {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn population(&self) -> &Arc<Population> {
        &self.population
    }

    fn initialize(&mut self) -> Result<(), EngineError> {
        let members = self.population.members.par_iter();
        members.zip(&mut self.memory).for_each(|(member, memory)| ops::initialize::cpu(member, memory));
        Ok(())
    }

    fn ceilings(&mut self) -> Result<Ceilings, EngineError> {
        Ok(ceilings::measure())
    }

    fn profile(&mut self, steps: &[StepRow], seconds: f64) -> Result<Vec<(Vec<Op>, f64)>, EngineError> {
        let plan = self.plans[StepKind::Train as usize].clone();
        let mut times = vec![Vec::new(); plan.len()];
        let start = Instant::now();
        while times.iter().any(|of: &Vec<f64>| of.len() < 3) || start.elapsed().as_secs_f64() < seconds {
            let (_, step) = self.run_timed(StepKind::Train, &steps.repeat(self.pace(StepKind::Train)), true);
            times.iter_mut().zip(step).for_each(|(times, time)| times.push(time));
        }
        let median = |(op, mut times): (Op, Vec<f64>)| (vec![op], quantile(&mut times, 0.5));
        Ok(plan.into_iter().zip(times).map(median).collect())
    }

    fn run(&mut self, kind: StepKind, steps: &[StepRow]) -> Result<Vec<Record>, EngineError> {
        Ok(self.run_timed(kind, steps, false).0)
    }

    fn pace(&self, kind: StepKind) -> usize {
        self.pacers[kind as usize].pace()
    }

    fn run_op(&mut self, op: Op, steps: &[StepRow]) -> Result<(), EngineError> {
        let _flush = Flush::begin();
        for ((member, memory), &step) in self.population.members.iter().zip(&mut self.memory).zip(steps) {
            ops::run(op, &mut Context { member, step, table: &self.table, memory });
        }
        Ok(())
    }

    fn refill(&mut self, population: &Arc<Population>, slots: &[usize]) -> Result<(), EngineError> {
        self.population = population.clone();
        for &slot in slots {
            let member = &population.members[slot];
            self.memory[slot] = Memory::new(member);
            ops::initialize::cpu(member, &mut self.memory[slot]);
        }
        let work = population.work(|_| true);
        self.pacers.iter_mut().for_each(|pacer| pacer.expect(work));
        Ok(())
    }

    fn read_regions(&mut self, regions: &[(Buffer, Range<usize>)]) -> Result<Vec<Vec<f32>>, EngineError> {
        let read = |(buffer, range): &(Buffer, Range<usize>)| {
            let mut all = vec![0.0; range.len()];
            for (member, memory, own, to) in self.parts(*buffer, range) {
                let to = &mut all[to];
                match (buffer, memory.floats(*buffer)) {
                    (_, Some(values)) => {
                        to.iter_mut().zip(&values[own]).for_each(|(to, v)| *to = v.to_f32());
                    }
                    (Buffer::Index, _) => {
                        to.iter_mut().zip(&memory.index[own]).for_each(|(to, &v)| *to = f32::from_bits(v));
                    }
                    (Buffer::Inputs, _) => to.copy_from_slice(&bytemuck::cast_slice(&member.inputs)[own]),
                    _ => to.copy_from_slice(&state(memory)[own]),
                }
            }
            all
        };
        Ok(regions.iter().map(read).collect())
    }

    fn write_region(&mut self, buffer: Buffer, start: usize, values: &[f32]) -> Result<(), EngineError> {
        let range = start..start + values.len();
        for slot in 0..self.members() {
            let Some((own, from)) = overlap(&self.population.region(slot, buffer), &range) else { continue };
            let (memory, from) = (&mut self.memory[slot], &values[from]);
            if let Some(to) = memory.floats_mut(buffer) {
                to[own].iter_mut().zip(from).for_each(|(to, &v)| *to = R::from_f32(v));
            } else if buffer == Buffer::Index {
                memory.index[own].iter_mut().zip(from).for_each(|(to, v)| *to = v.to_bits());
            } else if buffer == Buffer::State {
                let mut now = state(memory);
                now[own].copy_from_slice(from);
                memory.scale = R::from_f32(now[0]);
                memory.first_bad = now[1].to_bits();
            }
        }
        Ok(())
    }
}

/// The contents of `State`.
fn state<R: Real>(memory: &Memory<R>) -> [f32; 2] {
    [memory.scale.to_f32(), f32::from_bits(memory.first_bad)]
}

/// The intersection of `region` and `range`, relative to the start of each.
fn overlap(region: &Range<usize>, range: &Range<usize>) -> Option<(Range<usize>, Range<usize>)> {
    let (start, end) = (region.start.max(range.start), region.end.min(range.end));
    let from = |base: usize| start - base..end - base;
    (start < end).then(|| (from(region.start), from(range.start)))
}
