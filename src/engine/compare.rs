//! Compares each operation of an engine with its twin in f64, on the same memory.
//!
//! Before an operation, the f64 engine copies the engine's memory; both run it. Then every element that the operation
//! writes must be within its bound, and every other element must have kept its bits.

use std::sync::Arc;

use super::cpu::CpuEngine;
use super::{Engine, EngineError};
use crate::population::tables::StepRow;
use crate::population::{Buffer, Population};
use crate::step::bounds::{Bound, Observed, Output};
use crate::step::memory::Table;
use crate::step::{Op, StepKind, plan};

/// Loss in sums of up to 1,024 terms on devices that flush subnormal numbers to zero, as WGSL allows.
const FLUSHED: f64 = 1024.0 * f32::MIN_POSITIVE as f64;

/// The largest deviation of an operation from its twin.
#[derive(Clone, Debug)]
pub struct Deviation {
    pub op: Op,
    /// Error over its bound; at most 1 passes. Infinite if an element outside the output changed, or is not finite.
    pub worst: f64,
    /// Place and values.
    pub detail: String,
}

/// Compares all operations of one step (`[K]`) of `kind`, in order. The engine continues from its own results.
pub fn compare(
    engine: &mut dyn Engine,
    population: &Arc<Population>,
    table: &Arc<Table>,
    kind: StepKind,
    steps: &[StepRow],
) -> Result<Vec<Deviation>, EngineError> {
    let mut truth = CpuEngine::<f64>::new(population.clone(), table.clone());
    let mut deviations = Vec::new();
    for op in plan(population, kind) {
        let before = snapshot(engine)?;
        restore(&mut truth, &before, |v| v)?;
        let magnitudes = if matches!(op, Op::Matmul { .. }) {
            let mut absolute = CpuEngine::<f64>::new(population.clone(), table.clone());
            restore(&mut absolute, &before, f32::abs)?;
            absolute.run_op(op, steps)?;
            Some(absolute)
        } else {
            None
        };
        engine.run_op(op, steps)?;
        truth.run_op(op, steps)?;
        let after = snapshot(engine)?;
        let mut deviation = Deviation { op, worst: 0.0, detail: String::new() };
        for (id, member) in population.members.iter().enumerate() {
            let outputs = op.bounds(&Observed {
                member,
                step: &steps[id],
                after: truth.memory(id),
                before: &before,
                bases: &population.bases[id],
                precision: engine.precision(),
            });
            for buffer in Buffer::ALL {
                let base = population.bases[id][buffer as usize];
                let own = base..base + member.sizes[buffer as usize];
                let (was, got) = (&before[buffer as usize][own.clone()], &after[buffer as usize][own]);
                check(&mut deviation, &outputs, buffer, (was, got), &truth, magnitudes.as_ref(), id);
            }
        }
        deviations.push(deviation);
    }
    Ok(deviations)
}

fn snapshot(engine: &mut dyn Engine) -> Result<Vec<Vec<f32>>, EngineError> {
    Buffer::ALL.iter().map(|&buffer| engine.read(buffer)).collect()
}

fn restore(
    engine: &mut dyn Engine,
    snapshot: &[Vec<f32>],
    change: impl Fn(f32) -> f32,
) -> Result<(), EngineError> {
    for (&buffer, values) in Buffer::ALL.iter().zip(snapshot) {
        let bits = matches!(buffer, Buffer::Index | Buffer::State);
        let changed: Vec<f32> = values.iter().map(|&v| if bits { v } else { change(v) }).collect();
        engine.write(buffer, &changed)?;
    }
    Ok(())
}

/// Compares one member's region of one role.
fn check(
    deviation: &mut Deviation,
    outputs: &[Output],
    buffer: Buffer,
    (was, got): (&[f32], &[f32]),
    truth: &CpuEngine<f64>,
    magnitudes: Option<&CpuEngine<f64>>,
    id: usize,
) {
    let mut owner = vec![None; got.len()];
    for output in outputs.iter().filter(|o| o.buffer == buffer) {
        owner[output.range.clone()].fill(Some(output));
    }
    for (at, output) in owner.into_iter().enumerate() {
        let (expected, ratio) = match output {
            None => {
                let same = was[at].to_bits() == got[at].to_bits();
                (was[at] as f64, if same { 0.0 } else { f64::INFINITY })
            }
            Some(output) => {
                let memory = truth.memory(id);
                let expected = match (memory.floats(buffer), buffer) {
                    (Some(values), _) => values[at],
                    (None, Buffer::Index) => f32::from_bits(memory.index[at]) as f64,
                    (None, _) => [memory.scale, f32::from_bits(memory.first_bad) as f64][at],
                };
                let allowed = match output.bound {
                    Bound::Exact => 0.0,
                    Bound::Absolute(most) => most,
                    Bound::OfAbsoluteValues(factor, more) => {
                        let magnitude = magnitudes.and_then(|m| m.memory(id).floats(buffer));
                        more + factor * magnitude.map_or(0.0, |values| values[at])
                    }
                };
                // Compares bits first: integers may look like NaN.
                let same = got[at].to_bits() == (expected as f32).to_bits() || got[at] as f64 == expected;
                let error = (got[at] as f64 - expected).abs();
                (expected, if same { 0.0 } else { error / (allowed + FLUSHED) })
            }
        };
        let ratio = if ratio.is_nan() { f64::INFINITY } else { ratio };
        if ratio > deviation.worst {
            deviation.worst = ratio;
            deviation.detail =
                format!("{buffer:?}[{at}] of member {id}: {:e} where {expected:e} was expected", got[at]);
        }
    }
}
