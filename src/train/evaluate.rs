//! Evaluates stored rows: loss and hits, by running or batch statistics, and outputs.

use std::ops::Range;

use crate::data::Part;
use crate::engine::EngineError;
use crate::population::tables::StepRow;
use crate::population::{Buffer, evaluation_step};
use crate::run::Score;
use crate::step::StepKind;

use super::problem::Sums;
use super::stepper::Stepper;
use super::{Problem, Stop};

impl Stepper<'_> {
    /// The number of the next evaluation step.
    fn next_evaluation(&mut self) -> u32 {
        self.evaluations = self.evaluations.wrapping_add(1);
        self.evaluations
    }

    /// Sums of `members` over the stored rows `rows`; the other members stay idle. A member's sums do not depend on the
    /// others. `None` if `stop` was set on the way. NaN and infinity stay in the loss.
    pub fn evaluate(
        &mut self,
        members: &[usize],
        rows: Range<usize>,
        stop: &Stop,
    ) -> Result<Option<Vec<Sums>>, EngineError> {
        let batches = members.iter().map(|&member| self.population().members[member].capacity).collect();
        self.sums(StepKind::Evaluate, members, rows, batches, stop)
    }

    /// As [`Stepper::evaluate`], but each `batch` rows are normalised by their own statistics. The population must be
    /// watched.
    pub fn evaluate_by_batch(
        &mut self,
        members: &[usize],
        rows: Range<usize>,
        batch: usize,
        stop: &Stop,
    ) -> Result<Option<Vec<Sums>>, EngineError> {
        self.sums(StepKind::Watch, members, rows, vec![batch; members.len()], stop)
    }

    fn sums(
        &mut self,
        kind: StepKind,
        members: &[usize],
        rows: Range<usize>,
        batches: Vec<usize>,
        stop: &Stop,
    ) -> Result<Option<Vec<Sums>>, EngineError> {
        let k = self.population().len();
        let longest = batches.iter().map(|&batch| rows.len().div_ceil(batch)).max().unwrap_or(0);
        let mut sums = vec![Sums::default(); members.len()];
        let mut at = 0;
        while at < longest {
            if stop.asked() {
                return Ok(None);
            }
            let count = self.engine()?.pace(kind).clamp(1, longest - at);
            let mut steps = vec![StepRow::IDLE; count * k];
            for (s, steps) in steps.chunks_exact_mut(k).enumerate() {
                // Dropout depends on the step number, but evaluation has no dropout.
                let step = if kind == StepKind::Evaluate { self.next_evaluation() } else { 0 };
                for (&member, batch) in members.iter().zip(&batches) {
                    let first = rows.start + (at + s) * batch;
                    let len = (*batch).min(rows.end.saturating_sub(first));
                    if len > 0 {
                        steps[member] = StepRow { step, ..evaluation_step(first, len) };
                    }
                }
            }
            let records = self.engine()?.run_checked(kind, &steps)?;
            for (steps, records) in steps.chunks_exact(k).zip(records.chunks_exact(k)) {
                for (&member, sums) in members.iter().zip(&mut sums) {
                    if steps[member].rows > 0 {
                        sums.loss += f64::from(records[member].loss);
                        sums.hits += u64::from(records[member].hits);
                        sums.rows += u64::from(records[member].rows);
                    }
                }
            }
            at += count;
        }
        Ok(Some(sums))
    }

    /// Mean loss and score of the predictions of `members` for all rows of `part`.
    pub fn evaluations(
        &mut self,
        members: &[usize],
        part: Part,
        problem: &Problem,
    ) -> Result<Vec<(f64, Score)>, EngineError> {
        let rows = problem.split.range(part);
        if problem.is_clamped() {
            let of = |&k: &usize| Ok(problem.evaluation_of_outputs(part, &self.outputs(k, rows.clone())?));
            return members.iter().map(of).collect();
        }
        let sums = self.evaluate(members, rows, &Stop::default())?.unwrap_or_default();
        Ok(sums.iter().map(|sums| problem.evaluation(part, sums)).collect())
    }

    /// Outputs `[rows, O]` of the member in slot `k` for the stored rows, before any softmax; the others stay idle.
    pub fn outputs(&mut self, k: usize, rows: Range<usize>) -> Result<Vec<f32>, EngineError> {
        let population = self.population().clone();
        let (member, base) = (&population.members[k], &population.bases[k]);
        let mut steps = vec![StepRow::IDLE; population.len()];
        let o = member.outputs();
        let z = base[Buffer::Z as usize] + member.layers.last().map_or(0, |l| l.z as usize);
        let mut all = Vec::with_capacity(rows.len() * o);
        for first in rows.clone().step_by(member.capacity) {
            let len = member.capacity.min(rows.end - first);
            steps[k] = StepRow { step: self.next_evaluation(), ..evaluation_step(first, len) };
            self.engine()?.run_checked(StepKind::Evaluate, &steps)?;
            all.append(&mut self.engine()?.read_region(Buffer::Z, z..z + len * o)?);
        }
        Ok(all)
    }
}
