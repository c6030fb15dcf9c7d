//! How the time of a step depends on the number of threads: measured as far as this machine has cores, and by a model
//! beyond.
//!
//! Three things decide. *Work*: each operation takes what it takes on one thread, times the largest share that a thread
//! of a team gets; shares are those of [`Rank`], so an operation over 16 blocks of rows gains nothing from a 17th
//! thread. *Meetings*: a team meets after each operation, and its threads pass one cache line around, so a meeting costs
//! a transfer for each thread; between two sockets a transfer takes three times as long. *Traffic*: where the members
//! do not fit into the caches, a step cannot be faster than its bytes. Members are spread over threads first, without a
//! meeting; what threads are left work in teams, of the size that the engine would keep.

use std::sync::Arc;
use std::thread;
use std::time::Instant;

use serde::Serialize;

use super::{Case, cost};
use crate::base::quantile;
use crate::engine::cpu::CpuEngine;
use crate::engine::cpu::team_size::{self, GAIN};
use crate::engine::{Engine, EngineError};
use crate::population::Member;
use crate::population::tables::LayerRow;
use crate::step::meeting::Meeting;
use crate::step::memory::Table;
use crate::step::team::{LONG, Rank};
use crate::step::{Layers, Op, Product, StepKind, plan};

/// Threads of one socket in the model; more are on two.
pub const SOCKET: usize = 32;
/// A transfer between sockets against one within a socket: published latencies are 50 to 60 and 130 to 200 ns.
const FAR: f64 = 3.0;
/// Second-level cache of a core and third-level cache of a socket, in bytes.
const CACHES: [f64; 2] = [2e6, 3.2e7];
/// Sustained memory traffic of a socket with eight channels of DDR5, in bytes per second.
const SOCKET_BYTES: f64 = 2e11;
/// Meetings of one measurement.
const MEETINGS: usize = 20_000;

/// Time of a step of a case at a number of threads.
#[derive(Clone, Debug, Serialize)]
pub struct ThreadsTime {
    pub case: &'static str,
    pub network: String,
    pub members: usize,
    pub threads: usize,
    /// Milliseconds of a step of all members; none beyond this machine's cores.
    pub ms: Option<f64>,
    pub model_ms: f64,
    /// Threads of a member's team in the model.
    pub team: usize,
}

/// The constants of the model.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Constants {
    /// Seconds in which a cache line passes from one core to another.
    pub transfer_s: f64,
    /// Bytes per second that one core copies.
    pub core_bytes: f64,
}

impl Constants {
    /// Measures them, on two threads; without a second core the transfer takes 60 ns, as published.
    pub fn measure(core_bytes: f64, cores: usize) -> Constants {
        let transfer_s = if cores < 2 { 6e-8 } else { meeting(2) / 2.0 };
        Constants { transfer_s, core_bytes }
    }

    /// Seconds of a meeting of `of` threads.
    fn meeting(&self, of: usize) -> f64 {
        match of {
            1 => 0.0,
            2..=SOCKET => self.transfer_s * of as f64,
            _ => self.transfer_s * of as f64 * FAR,
        }
    }
}

/// Seconds of a meeting of `of` threads that do nothing else: the median of some measurements.
fn meeting(of: usize) -> f64 {
    let mut times: Vec<f64> = (0..7)
        .map(|_| {
            let meeting = Meeting::new(of);
            let start = Instant::now();
            thread::scope(|scope| {
                for rank in 0..of {
                    let meeting = &meeting;
                    scope.spawn(move || (0..MEETINGS).for_each(|_| meeting.wait(rank)));
                }
            });
            start.elapsed().as_secs_f64() / MEETINGS as f64
        })
        .collect();
    quantile(&mut times, 0.5)
}

/// A case with the measured times of its operations on one thread.
pub struct ThreadsModel<'a> {
    case: &'a Case,
    member: Arc<Member>,
    /// Seconds of each operation of a member's step on one thread.
    operations: Vec<(Op, f64)>,
    /// Bytes of a member's step, and of its memory.
    traffic: f64,
    memory: f64,
    constants: Constants,
}

impl<'a> ThreadsModel<'a> {
    /// Times the operations on one thread for about `seconds`.
    ///
    /// # Errors
    /// [`EngineError`], never of the CPU engine.
    pub fn measure(
        case: &'a Case,
        table: &Arc<Table>,
        constants: Constants,
        seconds: f64,
    ) -> Result<ThreadsModel<'a>, EngineError> {
        let population = case.population(1, true);
        let mut engine = CpuEngine::<f32>::new(population.clone(), table.clone());
        engine.initialize()?;
        engine.run_checked(StepKind::Train, &Case::steps(&population, 0, 2))?;
        let parts = engine.profile(&Case::steps(&population, 2, 1), seconds)?;
        let operations =
            parts.into_iter().flat_map(|(ops, s)| ops.into_iter().map(move |op| (op, s))).collect();
        Ok(ThreadsModel {
            case,
            member: population.members[0].clone(),
            operations,
            traffic: cost(&population, &plan(&population, StepKind::Train), table).bytes,
            memory: population.bytes() as f64,
            constants,
        })
    }

    /// The time of a step of `members` on `threads`.
    pub fn time(&self, members: usize, threads: usize, ms: Option<f64>) -> ThreadsTime {
        let (team, mut seconds) = self.seconds(members, threads);
        let sockets = threads.div_ceil(SOCKET).min(2) as f64;
        if self.memory * members as f64 > CACHES[0] * threads as f64 + CACHES[1] * sockets {
            let bytes = (self.constants.core_bytes * threads as f64).min(SOCKET_BYTES * sockets);
            seconds = seconds.max(self.traffic * members as f64 / bytes);
        }
        ThreadsTime {
            case: self.case.name,
            network: self.case.describe(),
            members,
            threads,
            ms,
            model_ms: 1e3 * seconds,
            team,
        }
    }

    /// (threads of a team, seconds of a step) without the limit of memory.
    fn seconds(&self, members: usize, threads: usize) -> (usize, f64) {
        if members >= threads {
            // In pieces, all threads end at about the same time.
            return (1, self.team(1) * members as f64 / threads as f64);
        }
        let most = team_size::most(threads, members, self.member.work());
        let mut best = (1, self.team(1));
        while 2 * best.0 <= most {
            let next = self.team(2 * best.0);
            if best.1 < GAIN * next {
                break;
            }
            best = (2 * best.0, next);
        }
        best
    }

    /// Seconds of one member's step by a team of `of`.
    fn team(&self, of: usize) -> f64 {
        let meeting = Meeting::new(of);
        let part = |&(op, seconds): &(Op, f64)| {
            let share = (0..of).map(|rank| self.share(op, Rank::new(rank, &meeting))).fold(0.0, f64::max);
            seconds * share + self.meetings(op) as f64 * self.constants.meeting(of)
        };
        self.operations.iter().map(part).sum()
    }

    /// Meetings in and after an operation.
    fn meetings(&self, op: Op) -> usize {
        match op {
            Op::BatchNorm { .. } => 3,
            Op::BatchNormBackward { .. } => 2,
            Op::Matmul { product: Product::Forward, layer: Layers::One(layer) } => {
                // Long sums are made by two halves of the team.
                let inputs = self.member.layers.get(layer).map_or(0, |layer| layer.inputs as usize);
                1 + usize::from((LONG + 1..=2 * LONG).contains(&inputs))
            }
            _ => 1,
        }
    }

    /// A thread's share of an operation.
    fn share(&self, op: Op, rank: Rank) -> f64 {
        let (rows, layers) = (self.member.walk.batch, &self.member.layers);
        let of = |part: std::ops::Range<usize>, all: usize| part.len() as f64 / all.max(1) as f64;
        // Where each layer's weights are cut by its inputs.
        let by_inputs = || {
            let products = || layers.iter().filter_map(LayerRow::products);
            let all: f64 = products().map(|l| l.weights() as f64).sum();
            let own = products().map(|l| l.weights() as f64 * of(rank.some_rows(l.inputs), l.inputs));
            own.sum::<f64>() / all
        };
        match op {
            Op::Matmul { product: Product::BackwardWeight, .. } | Op::GradNorm | Op::Update => by_inputs(),
            Op::Matmul { product, layer } => {
                let Layers::One(layer) = layer else { return 1.0 };
                let Some(of_layer) = layers.get(layer).and_then(LayerRow::products) else { return 0.0 };
                let rows = rows * of_layer.rows;
                let columns = if product == Product::Forward { of_layer.outputs } else { of_layer.inputs };
                if columns >= crate::step::ops::matmul::WIDE && columns > rows {
                    of(rank.share(columns, 16), columns)
                } else {
                    of(rank.some_rows(rows), rows)
                }
            }
            Op::Record { .. } | Op::Percentiles { .. } => f64::from(u8::from(rank.is_first())),
            _ => of(rank.rows(rows), rows),
        }
    }
}

/// Runs `work` with `threads` threads.
///
/// # Errors
/// [`EngineError::Refused`] if they cannot be started.
pub fn on_threads<T: Send>(threads: usize, work: impl FnOnce() -> T + Send) -> Result<T, EngineError> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = pool.map_err(|error| EngineError::Refused {
        device: crate::engine::cpu::NAME.into(),
        what: format!("{threads} threads"),
        reason: error.to_string(),
    })?;
    Ok(pool.install(work))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::CASES;

    fn model(case: usize) -> ThreadsModel<'static> {
        let population = CASES[case].population(1, true);
        let operations = plan(&population, StepKind::Train).into_iter().map(|op| (op, 1e-3)).collect();
        ThreadsModel {
            case: &CASES[case],
            member: population.members[0].clone(),
            operations,
            traffic: 1e6,
            memory: 1e6,
            constants: Constants { transfer_s: 1e-7, core_bytes: 1e10 },
        }
    }

    #[test]
    fn members_scale_to_as_many_threads_as_there_are() {
        for case in 0..3 {
            let model = model(case);
            let alone = model.time(64, 1, None).model_ms;
            for threads in [2, 8, 64] {
                let time = model.time(64, threads, None);
                assert!((alone / time.model_ms / threads as f64 - 1.0).abs() < 0.01, "{time:?}");
            }
        }
    }

    #[test]
    fn a_team_gains_no_more_than_the_blocks_of_a_batch_allow_and_meetings_limit_it() {
        let model = model(1);
        let speedup = |of| model.team(1) / model.team(of);
        assert!(speedup(2) > 1.7 && speedup(2) <= 2.0, "{}", speedup(2));
        assert!(speedup(16) > speedup(2) && speedup(16) < 16.0);
        // Sixteen blocks of rows; and the only one who writes the record.
        assert!(speedup(64) < 1.3 * speedup(16), "{} {}", speedup(16), speedup(64));
        let mut slow = model;
        slow.constants.transfer_s = 1e-3;
        assert_eq!(slow.time(1, 8, None).team, 1);
    }
}
