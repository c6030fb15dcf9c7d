//! All grid sizes: the workgroups of each dispatch, as a list that the kernels read.
//!
//! The kernels use a list instead of the grid's coordinates because members of a population differ in all sizes: every
//! workgroup has work, except in the short batch at an epoch's end.

use super::kernels::Kernel;
use super::passes::Pass;
use super::tiles::Ways;
use crate::population::tables::ChunkKind;
use crate::population::{BlockSize, Buffer, EVALUATION_ROWS, Member, Population};
use crate::step::ops::percentiles;
use crate::step::{Op, Product, StepKind, watch};

/// One workgroup's job; the kernel defines the last three words.
pub type Job = [u32; 4];

/// Rows per workgroup of `batch_norm_inference.wgsl`.
pub(super) const INFERENCE_ROWS: usize = 64;
/// Rows and inputs per workgroup of `gather.wgsl`.
pub(super) const GATHER_TILE: (usize, usize) = (4, 256);
/// Rows per workgroup of `loss.wgsl`.
pub(super) const LOSS_ROWS: usize = 64;
/// Marks a block of a vector: its size is a length.
pub(super) const VECTOR: u32 = 1 << 31;
/// A block of a matrix: its size is `rows << BLOCK_ROWS_SHIFT | columns`.
pub(super) const BLOCK_ROWS_SHIFT: u32 = 8;
/// A chunk: `length | kind << CHUNK_KIND_SHIFT`.
pub(super) const CHUNK_KIND_SHIFT: u32 = 16;

/// Which of a member's operations are fused.
#[derive(Clone, Copy)]
struct Way<'a> {
    ways: &'a Ways,
    member: &'a Member,
}

impl Way<'_> {
    /// Whether a layer's product, forward and backward, is fused with the operation after it.
    fn fused(self, layer: usize) -> bool {
        let hidden = self.member.layers[layer].is_hidden();
        let output = || {
            let binds = Kernel::Output.definition().bindings.len();
            self.member.outputs() <= self.ways.output.n() && binds <= self.ways.bindings
        };
        self.member.sub_models() == 1
            && self.member.walk.batch <= self.ways.fused_rows
            && (hidden || output())
    }
    /// Whether the gradient of a layer's weights is fused with the optimiser.
    fn descent(self, layer: usize) -> bool {
        // Without a product, its vector alone is fused.
        let weights = self.member.layers[layer].products().map_or(1, |products| products.weights());
        weights <= self.ways.fused_weights
            && self.member.training.clip_norm.is_none()
            && Kernel::Descent.definition().bindings.len() <= self.ways.bindings
    }
}

/// The jobs of one dispatch in a step of `kind`, in any order.
pub fn jobs(population: &Population, kind: StepKind, pass: Pass, ways: &Ways) -> Vec<Job> {
    let mut jobs = Vec::new();
    for (at, member) in population.members.iter().enumerate() {
        let layers = member.layers.len();
        if layers == 0 {
            continue;
        }
        let way = Way { ways, member };
        let rows = match kind {
            StepKind::Train | StepKind::Watch => member.walk.batch,
            StepKind::Evaluate => member.capacity,
        };
        let id = at as u32;
        let layer_id = |layer: usize| (at * population.layers + layer) as u32;
        let width = |layer: usize| member.layers[layer].outputs as usize;
        let hidden = |layer: usize| layer + 1 < layers;
        let mut tiles = |layer: usize, m: usize, n: usize, step: (usize, usize), numbered: bool| {
            for i in (0..m).step_by(step.0) {
                for j in (0..n).step_by(step.1) {
                    let (i, j) = if numbered { (i / step.0, j / step.1) } else { (i, j) };
                    jobs.push([layer_id(layer), id, i as u32, j as u32]);
                }
            }
        };
        let product = (ways.product.m(), ways.product.n());
        let features = (ways.features.n(), 1);
        let inference = (INFERENCE_ROWS, ways.features.n());
        let fused = |layer: usize| way.fused(layer);
        match pass {
            Pass::One(op) => match op {
                Op::Gather => tiles(0, rows, member.inputs(), GATHER_TILE, false),
                Op::Matmul { product: which, layer } => {
                    for l in (0..layers).filter(|&l| layer.contains(l)) {
                        let Some(of) = member.layers[l].products() else { continue };
                        let rows = rows * of.rows;
                        // Each product begins with a tile of its own.
                        let all = |n: usize| match of.count {
                            1 => n,
                            count => count * n.next_multiple_of(product.1),
                        };
                        let (i, o) = (of.inputs, all(of.outputs));
                        match which {
                            Product::Forward if !fused(l) => tiles(l, rows, o, product, true),
                            Product::BackwardInput if !fused(l - 1) => tiles(l, rows, all(i), product, true),
                            Product::BackwardWeight if !way.descent(l) => tiles(l, i, o, product, true),
                            _ => {}
                        }
                    }
                }
                Op::BatchNorm { layer, .. } if hidden(layer) && !fused(layer) => {
                    tiles(layer, width(layer), 1, features, false)
                }
                Op::BatchNormInference { layer } if hidden(layer) && !fused(layer) => {
                    tiles(layer, rows, width(layer), inference, false)
                }
                Op::BatchNormBackward { layer } if layer < layers && !fused(layer) => {
                    tiles(layer, width(layer), 1, features, false)
                }
                Op::BatchNorm { .. } | Op::BatchNormBackward { .. } | Op::BatchNormInference { .. } => {}
                Op::Loss if !fused(layers - 1) => tiles(layers - 1, rows, 1, (LOSS_ROWS, 1), false),
                Op::Loss => {}
                Op::Percentiles { layer, normalized } if layer < layers => {
                    let base = population.bases[at][Buffer::Looks as usize];
                    if percentiles::looks_at(&member.layers[layer], normalized) {
                        for of_unit in [false, true] {
                            let to = base + watch::place(layer, normalized, of_unit);
                            jobs.push([layer_id(layer), id, to as u32, u32::from(of_unit)]);
                        }
                    }
                }
                Op::Percentiles { .. } => {}
                Op::Record { .. } => jobs.push([layer_id(0), id, 0, 0]),
                Op::GradNorm => jobs.extend(blocks(population, at, |layer| !way.descent(layer))),
                Op::Update => jobs.extend(chunks(population, at, |layer| !way.descent(layer))),
            },
            Pass::Hidden { layer, kind } if hidden(layer) && fused(layer) => match kind {
                StepKind::Train | StepKind::Watch => tiles(layer, width(layer), 1, features, false),
                StepKind::Evaluate => tiles(layer, rows, width(layer), inference, false),
            },
            Pass::HiddenBackward { layer } if hidden(layer) && fused(layer) => {
                tiles(layer, width(layer), 1, features, false)
            }
            Pass::Output if fused(layers - 1) => jobs.push([layer_id(layers - 1), id, 0, 0]),
            Pass::Hidden { .. } | Pass::HiddenBackward { .. } | Pass::Output => {}
            Pass::Descent => jobs.extend(blocks(population, at, |layer| way.descent(layer))),
        }
    }
    jobs
}

/// Most jobs that a dispatch can have, for any members in its slots.
///
/// A member has at least [`EVALUATION_ROWS`] rows, so the number of units of its layers is at most the size of its Z
/// divided by that. n elements have ⌈n / t⌉ <= n / t + 1 tiles; a product of two such sums has four terms, each bounded
/// by a role's size.
pub fn capacity(population: &Population, pass: Pass, ways: &Ways) -> usize {
    if !population.refillable {
        return jobs(population, StepKind::Evaluate, pass, ways).len();
    }
    let slots = population.len();
    let size = |buffer: Buffer| population.sizes[buffer as usize];
    let (rows, z, acts, params) =
        (size(Buffer::Index), size(Buffer::Z), size(Buffer::Acts), size(Buffer::Params));
    let (outputs, inputs) = (z / EVALUATION_ROWS, acts / EVALUATION_ROWS);
    // Sum over members of ⌈m / tm⌉ ⌈n / tn⌉, where `area` bounds the sum of m n.
    let tiles = |area: usize, m: usize, n: usize, tile: (usize, usize), layers: usize| {
        area.div_ceil(tile.0 * tile.1) + m.div_ceil(tile.0) + n.div_ceil(tile.1) + slots * layers
    };
    // Sub-models are rows of a product, or have products of their own.
    let layers = population.layers * population.sub_models;
    let product = (ways.product.m(), ways.product.n());
    let all_rows = outputs / ways.features.n() + slots;
    let some_rows = tiles(z, rows, outputs, (INFERENCE_ROWS, ways.features.n()), 1);
    match pass {
        Pass::One(op) => match op {
            Op::Gather => tiles(acts, rows, inputs, GATHER_TILE, 1),
            Op::Matmul { product: Product::BackwardWeight, .. } => {
                tiles(params, inputs, outputs, product, layers)
            }
            // A layer's input is the Z of the layer before; the first layer has no gradient of its inputs.
            Op::Matmul { .. } => tiles(z, rows * layers, outputs, product, layers),
            Op::BatchNorm { .. } | Op::BatchNormBackward { .. } => all_rows,
            Op::BatchNormInference { .. } => some_rows,
            Op::Loss => rows / LOSS_ROWS + slots,
            Op::Percentiles { .. } => 2 * slots,
            Op::Record { .. } => slots,
            Op::GradNorm => size(Buffer::Partials),
            // At most as many as there are blocks, which are never longer.
            Op::Update => size(Buffer::Partials),
        },
        Pass::Hidden { kind: StepKind::Train | StepKind::Watch, .. } | Pass::HiddenBackward { .. } => {
            all_rows
        }
        Pass::Hidden { kind: StepKind::Evaluate, .. } => some_rows,
        Pass::Output => slots,
        Pass::Descent => size(Buffer::Partials),
    }
}

/// A work list in the work buffer: a header of one job's size with the number of jobs, then the jobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkList {
    /// Offset in bytes.
    pub offset: u64,
    /// Most jobs.
    pub capacity: usize,
}

impl WorkList {
    /// Bytes of the whole list.
    pub fn bytes(&self) -> u64 {
        ((self.capacity + 1) * size_of::<Job>()) as u64
    }
}

/// Lists of these capacities in sequence, each at a multiple of `align` bytes, and their total bytes.
pub fn arrange(capacities: impl Iterator<Item = usize>, align: u64) -> (Vec<WorkList>, u64) {
    let mut end: u64 = 0;
    let lists = capacities
        .map(|capacity| {
            let list = WorkList { offset: end.next_multiple_of(align), capacity };
            end = list.offset + list.bytes();
            list
        })
        .collect();
    (lists, end)
}

/// The jobs that initialise the members of `slots`: their chunks.
pub fn initial(population: &Population, slots: impl Iterator<Item = usize>) -> Vec<Job> {
    slots.flat_map(|slot| chunks(population, slot, |_| true)).collect()
}

/// A member's chunks in some layers, as (layer, length | kind << 16, start, number).
fn chunks(population: &Population, at: usize, of: impl Fn(usize) -> bool) -> impl Iterator<Item = Job> {
    let base = population.bases[at][Buffer::Params as usize];
    let chunks = population.members[at].chunks.iter().enumerate().filter(move |(_, chunk)| of(chunk.layer));
    chunks.map(move |(number, chunk)| {
        let kind: ChunkKind = chunk.kind;
        [
            (at * population.layers + chunk.layer) as u32,
            chunk.len as u32 | (kind as u32) << CHUNK_KIND_SHIFT,
            (base + chunk.start) as u32,
            number as u32,
        ]
    })
}

/// A member's blocks in some layers, as (layer, start, size, number).
fn blocks(population: &Population, at: usize, of: impl Fn(usize) -> bool) -> impl Iterator<Item = Job> {
    let base = population.bases[at][Buffer::Params as usize];
    let blocks = population.members[at].blocks.iter().enumerate().filter(move |(_, block)| of(block.layer));
    blocks.map(move |(number, block)| {
        let size = match block.size {
            BlockSize::Matrix { rows, columns, .. } => (rows << BLOCK_ROWS_SHIFT | columns) as u32,
            BlockSize::Vector(length) => length as u32 | VECTOR,
        };
        let layer = (at * population.layers + block.layer) as u32;
        [layer, (base + block.start) as u32, size, number as u32]
    })
}
