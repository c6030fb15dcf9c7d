//! Loss and hits of stored rows by the running statistics, and the outputs themselves.

use std::ops::Range;

use crate::engine::{Engine, EngineError};
use crate::population::tables::{Record, StepRow};
use crate::population::{Buffer, Population, evaluation_step};
use crate::step::StepKind;

use super::Stop;
use super::problem::Sums;

/// Numbers the evaluations of a process, so that each is seen to be the one that was asked for.
#[derive(Debug, Default)]
pub(crate) struct Canary(u32);

impl Canary {
    fn next(&mut self) -> u32 {
        self.0 = self.0.wrapping_add(1);
        self.0
    }
}

/// Fails if a record does not belong to the step that was asked for.
pub(super) fn check(device: &str, asked: &StepRow, got: &Record) -> Result<(), EngineError> {
    if (got.step, got.rows) == (asked.step, asked.rows) {
        return Ok(());
    }
    Err(EngineError::Canary { device: device.into(), expected: asked.step, got: got.step })
}

/// Sums of `members` over the stored rows `rows`; others rest. A member's sums do not depend on the others.
/// `None` where it was asked to stop on the way. NaN and infinity are in the loss, as they come.
pub(crate) fn evaluate(
    engine: &mut dyn Engine,
    population: &Population,
    members: &[usize],
    rows: Range<usize>,
    canary: &mut Canary,
    stop: &Stop,
) -> Result<Option<Vec<Sums>>, EngineError> {
    let k = population.len();
    let capacity = |&member: &usize| population.members[member].capacity;
    let longest = members.iter().map(|member| rows.len().div_ceil(capacity(member))).max().unwrap_or(0);
    let mut sums = vec![Sums::default(); members.len()];
    let mut at = 0;
    while at < longest {
        if stop.asked() {
            return Ok(None);
        }
        let count = engine.pace(StepKind::Evaluate).clamp(1, longest - at);
        let mut steps = vec![StepRow::IDLE; count * k];
        for (s, steps) in steps.chunks_exact_mut(k).enumerate() {
            let step = canary.next();
            for member in members {
                let first = rows.start + (at + s) * capacity(member);
                let len = capacity(member).min(rows.end.saturating_sub(first));
                if len > 0 {
                    steps[*member] = StepRow { step, ..evaluation_step(first, len) };
                }
            }
        }
        let records = engine.run(StepKind::Evaluate, &steps)?;
        for (steps, records) in steps.chunks_exact(k).zip(records.chunks_exact(k)) {
            for (member, sums) in members.iter().zip(&mut sums) {
                let (asked, got) = (&steps[*member], &records[*member]);
                if asked.rows > 0 {
                    check(&engine.info().device, asked, got)?;
                    sums.loss += f64::from(got.loss);
                    sums.hits += u64::from(got.hits);
                    sums.rows += u64::from(got.rows);
                }
            }
        }
        at += count;
    }
    Ok(Some(sums))
}

/// Outputs `[rows, O]` of a population of one member for the stored rows, before any softmax.
pub(super) fn outputs(
    engine: &mut dyn Engine,
    population: &Population,
    rows: Range<usize>,
    canary: &mut Canary,
) -> Result<Vec<f32>, EngineError> {
    let (member, base) = (&population.members[0], &population.bases[0]);
    let o = member.outputs();
    let z = base[Buffer::Z as usize] + member.layers.last().map_or(0, |l| l.z as usize);
    let mut all = Vec::with_capacity(rows.len() * o);
    for first in rows.clone().step_by(member.capacity) {
        let len = member.capacity.min(rows.end - first);
        let step = StepRow { step: canary.next(), ..evaluation_step(first, len) };
        let records = engine.run(StepKind::Evaluate, &[step])?;
        check(&engine.info().device, &step, &records[0])?;
        all.append(&mut engine.read_region(Buffer::Z, z..z + len * o)?);
    }
    Ok(all)
}
