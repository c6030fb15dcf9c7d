//! Each operation of an engine against its twin in f64, on the same memory.
//!
//! Before an operation, the f64 engine takes over the engine's memory; both run it; then every element that the
//! operation writes must be within its bound, and every other element must have kept its bits.

use std::ops::Range;
use std::sync::Arc;

use super::cpu::CpuEngine;
use super::{Engine, EngineError};
use crate::population::PERCENTS;
use crate::population::tables::{LayerRow, StepRow};
use crate::population::{Buffer, Population};
use crate::spec::{Optimizer, Precision};
use crate::step::memory::Table;
use crate::step::watch;
use crate::step::{Op, Product, StepKind, plan};

/// Unit roundoff of f32.
const U: f64 = 1.0 / (1u64 << 24) as f64;
/// What sums of up to 1,024 terms lose where a device flushes subnormal numbers to zero, as WGSL allows.
const FLUSHED: f64 = 1024.0 * f32::MIN_POSITIVE as f64;

/// Where an operation was furthest from its twin.
#[derive(Clone, Debug)]
pub struct Deviation {
    pub op: Op,
    /// Error over its bound: at most 1 is right. Infinite where a number should not have been touched, or is
    /// not finite.
    pub worst: f64,
    /// Place and values.
    pub detail: String,
}

/// What an operation may write, and how far each element may be off.
struct Output {
    buffer: Buffer,
    /// In the member's region.
    range: Range<usize>,
    bound: Bound,
}

/// How far an element may be off.
enum Bound {
    /// Not at all.
    Exact,
    /// This much.
    Absolute(f64),
    /// (a, b): a of each element's own, as the operation gives it on absolute values, and b.
    OfAbsoluteValues(f64, f64),
}

/// Compares all operations of one step (`[K]`) of `kind`, in order. The engine goes on from its own results.
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
            let outputs = outputs(op, &steps[id], &truth, id, &before, population, engine.precision());
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
                // As bits first: integers may look like NaN.
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

/// What `op` writes for one member, with each bound's derivation.
fn outputs(
    op: Op,
    step: &StepRow,
    truth: &CpuEngine<f64>,
    id: usize,
    before: &[Vec<f32>],
    population: &Population,
    precision: Precision,
) -> Vec<Output> {
    let n = step.rows as usize;
    if n == 0 {
        return Vec::new();
    }
    let (memory, member) = (truth.memory(id), &*population.members[id]);
    let output =
        |buffer, start: usize, len: usize, bound| Output { buffer, range: start..start + len, bound };
    let largest = |values: &[f64]| values.iter().fold(0.0f64, |m, v| m.max(v.abs()));
    let old = |buffer: Buffer, start: usize, len: usize| {
        let at = population.bases[id][buffer as usize] + start;
        before[buffer as usize][at..at + len].iter().fold(0.0f64, |m, v| m.max(v.abs() as f64))
    };
    let floats = |buffer: Buffer| memory.floats(buffer).map_or(&[][..], |v| &v[..]);
    let sizes = |l: &LayerRow| (l.inputs as usize, l.outputs as usize, l.z as usize);
    let last = member.layers.len() - 1;
    match op {
        // The same few f32 operations on both sides.
        Op::Gather => vec![
            output(Buffer::Acts, 0, n * member.inputs, Bound::Exact),
            output(Buffer::Index, 0, n, Bound::Exact),
        ],
        // A sum of k products in any order: γ_k of the sum of the absolute products (Higham 2002, section 3.1),
        // and one more operation for the bias or λ W. Of pairs of halves each is off by 2^-22, and the product of their
        // lesser parts is left out: 12 u; devices may cut off instead of rounding when they add: γ_2k. The lesser
        // part is subnormal below 2^-28 of the largest in its row: at most 2^-50 of that off.
        Op::Matmul { product, layer } => {
            let layers = member.layers.iter().enumerate().filter(|(at, _)| layer.contains(*at));
            layers
                .map(|(at, l)| {
                    let (i, o, z) = sizes(l);
                    let units = |units: usize| units as f64 * U * 1.01;
                    // Of k products a b, of the largest a and b.
                    let bound = |k: usize, a: f64, b: f64| match precision {
                        Precision::F32 => Bound::OfAbsoluteValues(units(k + 3), 0.0),
                        Precision::F16 => {
                            Bound::OfAbsoluteValues(units(2 * k + 15), k as f64 * 2f64.powi(-49) * a * b)
                        }
                    };
                    let weights = old(Buffer::Params, l.w as usize, i * o);
                    let inputs = old(Buffer::Acts, l.x as usize, n * i);
                    let gradients = old(Buffer::Dz, z, n * o);
                    match product {
                        Product::Forward => output(Buffer::Z, z, n * o, bound(i, inputs, weights)),
                        Product::BackwardInput => {
                            let z = member.layers[at - 1].z as usize;
                            output(Buffer::Dz, z, n * i, bound(o, gradients, weights))
                        }
                        Product::BackwardWeight => {
                            output(Buffer::Grads, l.w as usize, i * o, bound(n, inputs, gradients))
                        }
                    }
                })
                .collect()
        }
        // Sums of n differences from the first row are off by about √n u of the largest, which is at most 2√n σ;
        // x̂ by as much over σ: 2 n u at worst, corrected in the second pass: 64 u (1 + |x̂|). The activation's
        // exponential may be off by 3 + 2|y| units (Vulkan, precision of exp): 64 u (1 + |y|) more, and γ and β
        // scale both.
        Op::BatchNorm { layer, tracks } if layer < last => {
            let l = &member.layers[layer];
            let (_, o, z) = sizes(l);
            let scale = |bound: f64| 256.0 * U * (1.0 + bound);
            let a = largest(&floats(Buffer::Acts)[l.a as usize..][..n * o]);
            let xhat = largest(&floats(Buffer::Z)[z..][..n * o]);
            let affine = if l.is_normalized() {
                let params = floats(Buffer::Params);
                1.0 + largest(&params[l.b as usize..][..o]) + largest(&params[l.beta as usize..][..o])
            } else {
                1.0
            };
            let reach = member.row.drop_scale as f64 * affine * (1.0 + xhat);
            let mut all = vec![output(Buffer::Acts, l.a as usize, n * o, Bound::Absolute(scale(a + reach)))];
            if l.is_normalized() {
                all.push(output(Buffer::Z, z, n * o, Bound::Absolute(scale(xhat))));
                for f in if tracks { 0 } else { 3 * o }..5 * o {
                    let at = l.stats as usize + f;
                    let row = f / o;
                    let value = floats(Buffer::Stats)[at].abs();
                    // The remainder of the mean is whatever rounding left: bounded by the mean's own.
                    let means = largest(&floats(Buffer::Stats)[l.stats as usize..][..2 * o]);
                    let spread = old(Buffer::Z, z, n * o);
                    let size = match row {
                        0 | 1 | 3 => means + spread,
                        // r + m (new - r): each step of it is rounded at the size of the old value.
                        2 => value + old(Buffer::Stats, at, 1),
                        _ => value,
                    };
                    all.push(output(Buffer::Stats, at, 1, Bound::Absolute(64.0 * U * size)));
                }
            }
            all
        }
        Op::BatchNormInference { layer } if layer < last => {
            let l = &member.layers[layer];
            let (_, o, z) = sizes(l);
            let a = largest(&floats(Buffer::Acts)[l.a as usize..][..n * o]);
            let xhat = largest(&floats(Buffer::Z)[z..][..n * o]);
            let affine = if l.is_normalized() {
                1.0 + largest(&floats(Buffer::Params)[l.b as usize..][..o])
            } else {
                1.0
            };
            let bound = Bound::Absolute(256.0 * U * (1.0 + a + affine * xhat));
            let mut all = vec![output(Buffer::Acts, l.a as usize, n * o, bound)];
            if l.is_normalized() {
                all.push(output(Buffer::Z, z, n * o, Bound::Absolute(256.0 * U * (1.0 + xhat))));
            }
            all
        }
        // The exponential and the logarithm are off by a few units of the largest difference of outputs
        // (Vulkan: 3 + 2|x| units for exp, 2^-21 for log near 1); probabilities are at most 1 over the rows.
        Op::Loss => {
            let l = &member.layers[last];
            let (_, o, z) = sizes(l);
            let reach = 1.0 + largest(&floats(Buffer::RowLoss)[..2 * n]);
            let dz = largest(&floats(Buffer::Dz)[z..][..n * o]).max(1.0 / n as f64);
            vec![
                output(Buffer::RowLoss, 0, 2 * n, Bound::Absolute(64.0 * U * reach)),
                output(Buffer::Dz, z, n * o, Bound::Absolute(64.0 * U * (1.0 + reach) * dz)),
            ]
        }
        // dy is dA times a slope (off by 64 u, as the activation); the two sums have n terms of at most
        // max|dy| · max(1, |x̂|): √n u each; dz is γ rstd times a difference of such means.
        Op::BatchNormBackward { layer } if layer <= last => {
            let l = &member.layers[layer];
            let (_, o, z) = sizes(l);
            let xhat = 1.0 + old(Buffer::Z, z, n * o);
            let dy = old(Buffer::Dz, z, n * o) * 2.0 * member.row.drop_scale as f64;
            let sum = 256.0 * U * dy * xhat * n as f64;
            let params = floats(Buffer::Params);
            let (scale, length) = if l.is_normalized() {
                let rstd = largest(&floats(Buffer::Stats)[l.stats as usize + 4 * o..][..o]);
                (largest(&params[l.b as usize..][..o]) * rstd * xhat, 2)
            } else {
                (1.0, 1)
            };
            let mut all = vec![output(Buffer::Dz, z, n * o, Bound::Absolute(256.0 * U * dy * scale * xhat))];
            all.push(output(Buffer::Grads, l.b as usize, o, Bound::Absolute(sum)));
            if length == 2 {
                all.push(output(Buffer::Grads, l.beta as usize, o, Bound::Absolute(sum)));
            }
            all
        }
        Op::BatchNorm { .. } | Op::BatchNormInference { .. } | Op::BatchNormBackward { .. } => Vec::new(),
        // At most 1,024 squares, all positive, in sums of 4, then 8, then 32.
        Op::GradNorm => (0..member.blocks.len())
            .map(|at| {
                let value = floats(Buffer::Partials)[at];
                output(Buffer::Partials, at, 1, Bound::Absolute(46.0 * U * value + f32::MIN_POSITIVE as f64))
            })
            .collect(),
        // Elements of the data. Those of γ x̂ + β are rounded twice, and no percentile moves by more than its data.
        Op::Percentiles { layer, normalized } if layer <= last => {
            let l = &member.layers[layer];
            if normalized && !l.is_normalized() {
                return Vec::new();
            }
            let bound = if normalized {
                let (_, o, z) = sizes(l);
                let params = |at: u32| old(Buffer::Params, at as usize, o);
                2.0 * U * (params(l.b) * old(Buffer::Z, z, n * o) + params(l.beta))
            } else {
                0.0
            };
            let looks = [false, true].map(|of_unit| watch::place(layer, normalized, of_unit));
            let output = |at| output(Buffer::Looks, at, PERCENTS.len(), Bound::Absolute(bound));
            looks.into_iter().map(output).collect()
        }
        Op::Percentiles { .. } => Vec::new(),
        Op::Record { .. } => vec![output(Buffer::State, 0, 1, Bound::Absolute(64.0 * U))],
        // Few operations on each element. m may cancel, so its error is relative to its terms; it enters p through
        // the rate dp/dm, and so do v's relative error and the roundings of the step itself.
        Op::Update => {
            let (lr, tiny) = (step.lr as f64, f32::MIN_POSITIVE as f64);
            let mut all = Vec::new();
            for at in member.chunks.iter().flat_map(|c| c.start..c.start + c.len) {
                let p = floats(Buffer::Params)[at].abs() + old(Buffer::Params, at, 1);
                let g = floats(Buffer::Grads)[at].abs() * memory.scale.abs();
                let m = old(Buffer::Moments, 2 * at, 1) + g;
                let v = floats(Buffer::Moments)[2 * at + 1].abs();
                let rate = match member.training.optimizer {
                    Optimizer::Adam { eps, .. } => {
                        lr * step.correction1 as f64 / ((v * step.correction2 as f64).sqrt() + eps)
                    }
                    Optimizer::Sgd { .. } => 2.0 * lr,
                    Optimizer::RmsProp { eps, .. } => lr / (v.sqrt() + eps),
                };
                let p = 4.0 * U * p + 64.0 * U * rate * m + tiny;
                all.push(output(Buffer::Params, at, 1, Bound::Absolute(p)));
                all.push(output(Buffer::Moments, 2 * at, 1, Bound::Absolute(8.0 * U * m + tiny)));
                all.push(output(Buffer::Moments, 2 * at + 1, 1, Bound::Absolute(8.0 * U * v + tiny)));
            }
            all
        }
    }
}
