//! Converts between an engine's memory and stored tensors: the only module with both layouts.
//!
//! An engine keeps W `[I, O]` and the moments in pairs; a file keeps W `[O, I]`, as PyTorch does, and each moment
//! separately. Values are only copied, so a round trip keeps every bit.

use crate::population::tables::LayerRow;
use crate::population::{Buffer, Member, Sizes};
use crate::run::{BnTensors, LayerMoments, LayerTensors, Moments, OptimizerState};
use crate::spec::{LayerShape, Optimizer, Products};
use crate::step::memory::Memory;
use crate::step::ops::initialize;

/// The state of a member, or of a whole population, that outlives a step: one vector for each role.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Weights {
    pub params: Vec<f32>,
    pub moments: Vec<f32>,
    pub stats: Vec<f32>,
}

impl Weights {
    /// All zeros, for a member or a population with these sizes.
    pub fn zeros(sizes: &Sizes) -> Weights {
        let of = |buffer: Buffer| vec![0.0; sizes[buffer as usize]];
        Weights { params: of(Buffer::Params), moments: of(Buffer::Moments), stats: of(Buffer::Stats) }
    }

    /// The initial values of `member`, the same on every engine.
    pub fn initial(member: &Member) -> Weights {
        let mut memory = Memory::<f32>::new(member);
        initialize::cpu(member, &mut memory);
        Weights { params: memory.params, moments: memory.moments, stats: memory.stats }
    }
}

/// Region offsets of a member stored by itself.
pub const ALONE: Sizes = [0; Buffer::COUNT];

/// The tensors of a member whose regions start at `base`.
pub fn layers(member: &Member, base: &Sizes, params: &[f32], stats: &[f32]) -> Vec<LayerTensors> {
    let params = &params[base[Buffer::Params as usize]..];
    let stats = &stats[base[Buffer::Stats as usize]..];
    let tensors = |l: &LayerRow| {
        let shape = l.shape();
        let o = shape.outputs;
        let vector = |from: &[f32], start: u32, nth: usize| from[start as usize + nth * o..][..o].to_vec();
        let bn = shape.normalized.then(|| BnTensors {
            weight: vector(params, l.b, 0),
            bias: vector(params, l.beta, 0),
            running_mean: vector(stats, l.stats, 0),
            running_mean_lo: Some(vector(stats, l.stats, 1)),
            running_var: vector(stats, l.stats, 2),
        });
        let (start, count) = weight(l);
        LayerTensors {
            weight: to_file(&shape, &params[start..][..count]),
            bias: shape.has_bias().then(|| vector(params, l.b, 0)),
            bn,
            shape,
        }
    };
    member.layers.iter().map(tensors).collect()
}

/// The first element and the number of a layer's weights in its member's parameters: W, or its factors.
fn weight(l: &LayerRow) -> (usize, usize) {
    match l.products() {
        Some(products) => (l.w as usize, products.weights()),
        None => (l.b as usize, l.outputs as usize),
    }
}

/// W `[I, O]` of each product as a file has it, `[O, I]`; factors stay as they are.
fn to_file(shape: &LayerShape, values: &[f32]) -> Vec<f32> {
    let Some(Products { inputs, outputs, .. }) = shape.products() else { return values.to_vec() };
    values.chunks_exact(inputs * outputs).flat_map(|w| transposed(w, inputs, outputs)).collect()
}

/// The inverse of [`to_file`].
fn from_file(shape: &LayerShape, values: &[f32]) -> Vec<f32> {
    let Some(Products { inputs, outputs, .. }) = shape.products() else { return values.to_vec() };
    values.chunks_exact(inputs * outputs).flat_map(|w| transposed(w, outputs, inputs)).collect()
}

/// The optimiser's memory of a member whose regions start at `base`; moments that its optimiser does not use are empty.
pub fn optimizer(member: &Member, base: &Sizes, moments: &[f32]) -> OptimizerState {
    let moments = &moments[base[Buffer::Moments as usize]..];
    let used = used(member.training.optimizer);
    let of = |(start, count): (usize, usize), turn: &dyn Fn(&[f32]) -> Vec<f32>| {
        let pairs = &moments[2 * start..][..2 * count];
        let one = |nth: usize| {
            let values: Vec<f32> = pairs.iter().skip(nth).step_by(2).copied().collect();
            if used[nth] { turn(&values) } else { Vec::new() }
        };
        Moments { m: one(0), v: one(1) }
    };
    let layer = |l: &LayerRow| {
        let shape = l.shape();
        let vector = |start: u32| of((start as usize, shape.outputs), &|values| values.to_vec());
        LayerMoments {
            weight: of(weight(l), &|values| to_file(&shape, values)),
            bias: shape.has_bias().then(|| vector(l.b)),
            bn_weight: shape.normalized.then(|| vector(l.b)),
            bn_bias: shape.normalized.then(|| vector(l.beta)),
        }
    };
    OptimizerState { layers: member.layers.iter().map(layer).collect() }
}

/// The inverse of [`layers`]; a remainder that is not stored becomes 0. False if the tensors do not fit the member.
#[must_use]
pub fn put_layers(member: &Member, base: &Sizes, tensors: &[LayerTensors], into: &mut Weights) -> bool {
    let params = &mut into.params[base[Buffer::Params as usize]..];
    let stats = &mut into.stats[base[Buffer::Stats as usize]..];
    if tensors.len() != member.layers.len() {
        return false;
    }
    member.layers.iter().zip(tensors).all(|(l, tensors)| {
        let (shape, (start, count)) = (l.shape(), weight(l));
        let o = shape.outputs;
        let mut fits = tensors.shape == shape && tensors.weight.len() == count;
        if !fits {
            return false;
        }
        params[start..][..count].copy_from_slice(&from_file(&shape, &tensors.weight));
        let mut put = |to: &mut [f32], start: usize, values: &[f32]| {
            fits &= values.len() == o;
            to[start..][..o].iter_mut().zip(values).for_each(|(to, v)| *to = *v);
        };
        match (&tensors.bn, &tensors.bias) {
            (None, None) if !shape.normalized && !shape.has_bias() => {}
            (Some(bn), None) if shape.normalized => {
                put(params, l.b as usize, &bn.weight);
                put(params, l.beta as usize, &bn.bias);
                let at = l.stats as usize;
                put(stats, at, &bn.running_mean);
                let zeros = vec![0.0; o];
                put(stats, at + o, bn.running_mean_lo.as_deref().unwrap_or(&zeros));
                put(stats, at + 2 * o, &bn.running_var);
            }
            (None, Some(bias)) if shape.has_bias() => put(params, l.b as usize, bias),
            _ => fits = false,
        }
        fits
    })
}

/// The inverse of [`optimizer`]. False if the moments do not fit the member.
#[must_use]
pub fn put_optimizer(member: &Member, base: &Sizes, state: &OptimizerState, into: &mut Weights) -> bool {
    let all = &mut into.moments[base[Buffer::Moments as usize]..];
    let used = used(member.training.optimizer);
    let mut put =
        |(start, count): (usize, usize), turn: &dyn Fn(&[f32]) -> Vec<f32>, moments: Option<&Moments>| {
            let Some(moments) = moments else { return false };
            let pairs = &mut all[2 * start..][..2 * count];
            [&moments.m, &moments.v].into_iter().zip(used).enumerate().all(|(nth, (values, used))| {
                if values.len() != if used { count } else { 0 } {
                    return false;
                }
                let values = if used { turn(values) } else { Vec::new() };
                pairs.iter_mut().skip(nth).step_by(2).zip(values).for_each(|(to, v)| *to = v);
                true
            })
        };
    state.layers.len() == member.layers.len()
        && member.layers.iter().zip(&state.layers).all(|(l, moments)| {
            let shape = l.shape();
            let mut vector = |start: u32, moments: &Option<Moments>| {
                put((start as usize, shape.outputs), &|values| values.to_vec(), moments.as_ref())
            };
            let others = match (shape.normalized, shape.has_bias()) {
                (true, _) => vector(l.b, &moments.bn_weight) && vector(l.beta, &moments.bn_bias),
                (false, true) => vector(l.b, &moments.bias),
                (false, false) => true,
            };
            others && put(weight(l), &|values| from_file(&shape, values), Some(&moments.weight))
        })
}

/// Which of (m, v) an optimiser uses.
fn used(optimizer: Optimizer) -> [bool; 2] {
    match optimizer {
        Optimizer::Adam { .. } => [true, true],
        Optimizer::Sgd { .. } => [true, false],
        Optimizer::RmsProp { .. } => [false, true],
    }
}

/// Transposes `[rows, columns]` to `[columns, rows]`.
fn transposed(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    if rows == 1 || columns == 1 {
        return values.to_vec();
    }
    let mut out = Vec::with_capacity(values.len());
    for column in 0..columns {
        out.extend((0..rows).map(|row| values[row * columns + column]));
    }
    out
}
