//! The CPU engine: the twins of all operations, in f32 (for training without a GPU) or f64 (the reference).
//!
//! Members share nothing, so each runs all the steps of a call by itself. If there are fewer members than cores, a team
//! of threads works on each.

mod ceilings;
mod room;

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use rayon::prelude::*;
use serde_json::json;

use super::{Engine, EngineError, EngineInfo, Pacer};
use crate::base::quantile;
use crate::engine::Ceilings;
use crate::population::tables::{Record, StepRow};
use crate::population::{Buffer, Member, Population};
use crate::step::memory::{Context, Memory, Slabs, Table, View};
use crate::step::real::Real;
use crate::step::team::{self, Meeting, Rank};
use crate::step::{Op, StepKind, ops, plan};

pub(super) use room::{available, check_room};

/// Name of the engine in reports and records.
pub const NAME: &str = "native CPU engine";

/// The CPU engine.
pub struct CpuEngine<R> {
    population: Arc<Population>,
    table: Arc<Table>,
    memory: Vec<Memory<R>>,
    plans: [Vec<Op>; StepKind::COUNT],
    pacers: [Pacer; StepKind::COUNT],
    info: EngineInfo,
}

impl<R: Real> CpuEngine<R> {
    /// An engine with zeroed memory.
    pub fn new(population: Arc<Population>, table: Arc<Table>) -> CpuEngine<R> {
        CpuEngine {
            memory: population.members.iter().map(|member| Memory::new(member)).collect(),
            plans: StepKind::ALL.map(|kind| plan(&population, kind)),
            pacers: [Pacer::new(0.1, 4096); StepKind::COUNT],
            info: EngineInfo {
                engine: "cpu",
                device: NAME.into(),
                details: json!({
                    "threads": rayon::current_num_threads(),
                    "instructions": format!("{:?}", pulp::Arch::new()),
                    "precision": std::any::type_name::<R>(),
                }),
            },
            population,
            table,
        }
    }

    /// One member's memory.
    pub fn memory(&self, member: usize) -> &Memory<R> {
        &self.memory[member]
    }
    /// Every member's part of a range of a role: its memory, the place in its region, and the place in the range.
    fn parts(
        &self,
        buffer: Buffer,
        range: &Range<usize>,
    ) -> impl Iterator<Item = (&Memory<R>, Range<usize>, Range<usize>)> {
        let of = move |(slot, memory)| {
            let (own, to) = overlap(&self.population.region(slot, buffer), range)?;
            Some((memory, own, to))
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
        let plan = &self.plans[kind as usize];
        let threads = rayon::current_num_threads();
        let is_active = |slot: usize| (0..steps.len() / k).any(|s| steps[s * k + slot].rows > 0);
        let active: Vec<usize> = (0..k).filter(|&slot| is_active(slot)).collect();
        let work = |&slot: &usize| self.population.members[slot].work();
        let size = team::size(threads, active.len(), active.iter().map(work).fold(0.0, f64::max));
        let jobs: Vec<Job<R>> = active
            .iter()
            .map(|&slot| Job {
                member: &self.population.members[slot],
                table: &self.table,
                slabs: Slabs::new(&mut self.memory[slot]),
                steps: steps.iter().skip(slot).step_by(k).copied().collect(),
                meeting: Meeting::new(size),
                timed,
                done: Mutex::default(),
            })
            .collect();
        if size == 1 {
            jobs.par_iter().for_each(|job| job.work(plan, 0));
        } else {
            let _teams = team::hold();
            rayon::broadcast(|thread| {
                // There are at least `size` threads for each job.
                if let Some(job) = jobs.get(thread.index() / size) {
                    job.work(plan, thread.index() % size);
                }
            });
        }
        let (mut records, mut times) = (vec![Record::default(); steps.len()], Vec::new());
        for (slot, job) in active.into_iter().zip(jobs) {
            let (own, of_ops) = job.done.into_inner().unwrap_or_else(PoisonError::into_inner);
            if times.is_empty() {
                times = of_ops;
            }
            records.iter_mut().skip(slot).step_by(k).zip(own).for_each(|(to, record)| *to = record);
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
            for (memory, own, to) in self.parts(*buffer, range) {
                let to = &mut all[to];
                match (buffer, memory.floats(*buffer)) {
                    (_, Some(values)) => {
                        to.iter_mut().zip(&values[own]).for_each(|(to, v)| *to = v.to_f32());
                    }
                    (Buffer::Index, _) => {
                        to.iter_mut().zip(&memory.index[own]).for_each(|(to, &v)| *to = f32::from_bits(v));
                    }
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
            } else {
                let mut now = state(memory);
                now[own].copy_from_slice(from);
                memory.scale = R::from_f32(now[0]);
                memory.first_bad = now[1].to_bits();
            }
        }
        Ok(())
    }
}

/// One member's steps, shared by the threads of a team.
struct Job<'a, R> {
    member: &'a Member,
    table: &'a Table,
    slabs: Slabs<R>,
    steps: Vec<StepRow>,
    meeting: Meeting,
    /// Whether to time operations.
    timed: bool,
    /// The records, and the seconds of each operation.
    done: Mutex<(Vec<Record>, Vec<f64>)>,
}

impl<R: Real> Job<'_, R> {
    /// Runs one thread of the team.
    fn work(&self, plan: &[Op], rank: usize) {
        let _attendance = self.meeting.attend();
        let rank = Rank::new(rank, &self.meeting);
        let mut records = Vec::with_capacity(self.steps.len());
        let mut times = vec![0.0; plan.len()];
        for &step in &self.steps {
            let view = View { member: self.member, step, table: self.table, memory: &self.slabs, rank };
            let mut before = Instant::now();
            for (&op, time) in plan.iter().zip(&mut times) {
                ops::run_part(op, &view);
                self.meeting.wait();
                if !self.timed {
                    continue;
                }
                let now = Instant::now();
                *time += (now - before).as_secs_f64() / self.steps.len() as f64;
                before = now;
            }
            // SAFETY: no thread writes it before the next step's `Record`.
            let record = unsafe { self.slabs.record.part(0, 1)[0] };
            records.push(if step.rows > 0 { record } else { Record::default() });
        }
        if rank.is_first() {
            *self.done.lock().unwrap_or_else(PoisonError::into_inner) = (records, times);
        }
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
