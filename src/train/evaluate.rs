//! Evaluates stored rows: loss and hits, by running or batch statistics, and outputs.

use std::ops::Range;

use crate::data::Part;
use crate::engine::EngineError;
use crate::population::tables::StepRow;
use crate::population::{Buffer, evaluation_step};
use crate::run::Score;
use crate::step::StepKind;

use super::mixture::{mix, mix_sub_models};
use super::problem::Sums;
use super::stepper::Stepper;
use super::{Problem, Stop};

/// Whether all outputs of a population are finite.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finite {
    All,
    /// Those of the member in this slot are not.
    Not(usize),
}

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
        let rows = vec![rows; members.len()];
        self.evaluate_each(members, rows, stop)
    }

    /// As [`Stepper::evaluate`], each member over rows of its own.
    pub fn evaluate_each(
        &mut self,
        members: &[usize],
        rows: Vec<Range<usize>>,
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
        let rows = vec![rows; members.len()];
        self.sums(StepKind::Watch, members, rows, vec![batch; members.len()], stop)
    }

    fn sums(
        &mut self,
        kind: StepKind,
        members: &[usize],
        rows: Vec<Range<usize>>,
        batches: Vec<usize>,
        stop: &Stop,
    ) -> Result<Option<Vec<Sums>>, EngineError> {
        let k = self.population().len();
        let lengths = rows.iter().zip(&batches).map(|(rows, batch)| rows.len().div_ceil(*batch));
        let longest = lengths.max().unwrap_or(0);
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
                for ((&member, rows), batch) in members.iter().zip(&rows).zip(&batches) {
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

    /// The stored rows of `part`. Where there are folds, the validation rows of the member in slot `k` are those it holds out.
    pub fn rows_of(&self, k: usize, part: Part, problem: &Problem) -> Range<usize> {
        match part {
            Part::Val if problem.split.folds > 0 => self.population().members[k].held_out(),
            _ => problem.split.range(part),
        }
    }

    /// Mean loss and score of the predictions of `members` for all rows of `part`, as [`Stepper::rows_of`] has them.
    pub fn evaluations(
        &mut self,
        members: &[usize],
        part: Part,
        problem: &Problem,
    ) -> Result<Vec<(f64, Score)>, EngineError> {
        let rows: Vec<Range<usize>> = members.iter().map(|&k| self.rows_of(k, part, problem)).collect();
        if problem.is_clamped() {
            let of = |(&k, rows): (&usize, Range<usize>)| {
                let outputs = self.outputs(k, rows.clone())?;
                let mut sums = Sums::default();
                problem.add_outputs(rows, &outputs, &mut sums);
                Ok(problem.evaluation(part, &sums))
            };
            return members.iter().zip(rows).map(of).collect();
        }
        let sums = self.evaluate_each(members, rows, &Stop::default())?.unwrap_or_default();
        Ok(sums.iter().map(|sums| problem.evaluation(part, sums)).collect())
    }

    /// Outputs `[rows, O]` of the member in slot `k` for the stored rows, before any softmax; the others stay idle.
    pub fn outputs(&mut self, k: usize, rows: Range<usize>) -> Result<Vec<f32>, EngineError> {
        let member = self.population().members[k].clone();
        let mut all = Vec::with_capacity(rows.len() * member.outputs());
        for first in rows.clone().step_by(member.capacity) {
            let len = member.capacity.min(rows.end - first);
            self.outputs_of(&[(k, first..first + len)])?.iter_mut().for_each(|of| all.append(of));
        }
        Ok(all)
    }

    /// Outputs of some members, each for stored rows of its own, at most as many as it can hold.
    fn outputs_of(&mut self, parts: &[(usize, Range<usize>)]) -> Result<Vec<Vec<f32>>, EngineError> {
        let population = self.population().clone();
        let mut steps = vec![StepRow::IDLE; population.len()];
        let mut regions = Vec::with_capacity(parts.len());
        let step = self.next_evaluation();
        for (k, rows) in parts {
            let (member, base) = (&population.members[*k], &population.bases[*k]);
            steps[*k] = StepRow { step, ..evaluation_step(rows.start, rows.len()) };
            let z = base[Buffer::Z as usize] + member.layers.last().map_or(0, |l| l.z as usize);
            let units = member.sub_models() * member.outputs();
            regions.push((Buffer::Z, z..z + rows.len() * units));
        }
        self.engine()?.run_checked(StepKind::Evaluate, &steps)?;
        let mut outputs = self.engine()?.read_regions(&regions)?;
        for ((k, _), outputs) in parts.iter().zip(&mut outputs) {
            let member = &population.members[*k];
            if member.sub_models() > 1 {
                *outputs = mix_sub_models(member.loss, member.sub_models(), outputs);
            }
        }
        Ok(outputs)
    }

    /// Passes the outputs of all members together, as [`mix`] combines them, to `each`: with the stored rows they belong
    /// to, in their order, in pieces. Each member computes as it does alone, in batches of its own. The result names the
    /// first member with NaN or infinity, if any; it is `None` if `stop` was set on the way.
    pub fn mixed(
        &mut self,
        weights: &[f64],
        rows: Range<usize>,
        stop: &Stop,
        each: &mut dyn FnMut(Range<usize>, &[f32]),
    ) -> Result<Option<Finite>, EngineError> {
        let population = self.population().clone();
        let Some(loss) = population.members.first().map(|member| member.loss) else { return Ok(None) };
        let o = loss.outputs();
        // What each member has computed beyond the rows that are done.
        let mut ahead: Vec<Vec<f32>> = vec![Vec::new(); population.len()];
        let mut bad = None;
        let mut done = rows.start;
        let mut mixture = Vec::new();
        while done < rows.end {
            if stop.asked() {
                return Ok(None);
            }
            let behind = (0..population.len()).filter(|&k| ahead[k].is_empty());
            let part = |k: usize| (k, done..rows.end.min(done + population.members[k].capacity));
            let parts: Vec<_> = behind.map(part).collect();
            for ((k, _), outputs) in parts.iter().zip(self.outputs_of(&parts)?) {
                if outputs.iter().any(|z| !z.is_finite()) {
                    bad = Some(bad.map_or(*k, |bad: usize| bad.min(*k)));
                }
                ahead[*k] = outputs;
            }
            let len = ahead.iter().map(Vec::len).min().unwrap_or(0);
            let now: Vec<&[f32]> = ahead.iter().map(|of| &of[..len]).collect();
            mixture.clear();
            mix(loss, weights, &now, &mut mixture);
            each(done..done + len / o, &mixture);
            ahead.iter_mut().for_each(|of| drop(of.drain(..len)));
            done += len / o;
        }
        Ok(Some(bad.map_or(Finite::All, Finite::Not)))
    }

    /// Sums of an ensemble over the validation rows: of the predictions of all members together, or, where each member
    /// holds out rows of its own, of its predictions for these. `None` if `stop` was set on the way.
    pub fn validation_sums(
        &mut self,
        weights: &[f64],
        problem: &Problem,
        stop: &Stop,
    ) -> Result<Option<(Sums, Finite)>, EngineError> {
        let population = self.population().clone();
        let mut left: Vec<Range<usize>> =
            (0..population.len()).map(|k| self.rows_of(k, Part::Val, problem)).collect();
        if let Some(rows) = left.first().filter(|first| left.iter().all(|rows| rows == *first)) {
            return self.joint_sums(weights, problem, rows.clone(), stop);
        }
        // By member, so that the sum does not depend on the batches.
        let mut own = vec![Sums::default(); population.len()];
        let mut finite = Finite::All;
        loop {
            let next = |(k, rows): (usize, &Range<usize>)| {
                let rows = rows.start..rows.end.min(rows.start + population.members[k].capacity);
                (!rows.is_empty()).then_some((k, rows))
            };
            let parts: Vec<_> = left.iter().enumerate().filter_map(next).collect();
            if parts.is_empty() {
                break;
            }
            if stop.asked() {
                return Ok(None);
            }
            for ((k, rows), outputs) in parts.iter().zip(self.outputs_of(&parts)?) {
                if finite == Finite::All && outputs.iter().any(|z| !z.is_finite()) {
                    finite = Finite::Not(*k);
                }
                left[*k].start = rows.end;
                problem.add_outputs(rows.clone(), &outputs, &mut own[*k]);
            }
        }
        let mut sums = Sums::default();
        for of in own {
            sums.loss += of.loss;
            sums.hits += of.hits;
            sums.rows += of.rows;
        }
        Ok(Some((sums, finite)))
    }

    /// Sums of the predictions of all members together over the stored rows `rows`: see [`Stepper::mixed`].
    pub fn joint_sums(
        &mut self,
        weights: &[f64],
        problem: &Problem,
        rows: Range<usize>,
        stop: &Stop,
    ) -> Result<Option<(Sums, Finite)>, EngineError> {
        let mut sums = Sums::default();
        let add = &mut |rows, outputs: &[f32]| problem.add_outputs(rows, outputs, &mut sums);
        let finite = self.mixed(weights, rows, stop, add)?;
        Ok(finite.map(|finite| (sums, finite)))
    }
}
