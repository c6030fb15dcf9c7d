//! All grid sizes: the workgroups of each operation, as a list that the kernels read.
//!
//! A list, and not the grid's coordinates, because members of one population differ in every size: no
//! workgroup is started that has nothing to do but for the short batch at an epoch's end.

use crate::population::tables::ChunkKind;
use crate::population::{Buffer, EVALUATION_ROWS, Population};
use crate::step::{Op, Product};

/// One workgroup's job; the last three words are the kernel's own.
pub type Job = [u32; 4];

/// Side of a tile of `matmul.wgsl`.
const MATMUL_TILE: usize = 64;
/// Features of a workgroup of the batch norm kernels.
const NORM_FEATURES: usize = 16;
/// Rows of a workgroup of `batch_norm_inference.wgsl`.
const INFERENCE_ROWS: usize = 64;
/// Rows and features of a workgroup of `gather.wgsl`.
const GATHER_TILE: (usize, usize) = (16, 64);
/// Rows of a workgroup of `loss.wgsl`.
const LOSS_ROWS: usize = 64;

/// The jobs of one operation, in an order that does not matter.
pub fn jobs(population: &Population, op: Op) -> Vec<Job> {
    let mut jobs = Vec::new();
    for (at, member) in population.members.iter().enumerate() {
        let layers = member.layers.len();
        if layers == 0 {
            continue;
        }
        let rows = member.capacity;
        let id = at as u32;
        let layer_id = |layer: usize| (at * population.layers + layer) as u32;
        let width = |layer: usize| member.layers[layer].outputs as usize;
        let mut tiles = |layer: usize, m: usize, n: usize, step: (usize, usize), numbered: bool| {
            for i in (0..m).step_by(step.0) {
                for j in (0..n).step_by(step.1) {
                    let (i, j) = if numbered { (i / step.0, j / step.1) } else { (i, j) };
                    jobs.push([layer_id(layer), id, i as u32, j as u32]);
                }
            }
        };
        let matmul = (MATMUL_TILE, MATMUL_TILE);
        match op {
            Op::Gather => tiles(0, rows, member.inputs, GATHER_TILE, false),
            Op::Matmul { product, layer } => {
                for l in (0..layers).filter(|&l| layer.contains(l)) {
                    let (i, o) = (member.layers[l].inputs as usize, width(l));
                    match product {
                        Product::Forward => tiles(l, rows, o, matmul, true),
                        Product::BackwardInput => tiles(l, rows, i, matmul, true),
                        Product::BackwardWeight => tiles(l, i, o, matmul, true),
                    }
                }
            }
            Op::BatchNorm { layer } if layer + 1 < layers => {
                tiles(layer, width(layer), 1, (NORM_FEATURES, 1), false)
            }
            Op::BatchNormBackward { layer } if layer < layers => {
                tiles(layer, width(layer), 1, (NORM_FEATURES, 1), false)
            }
            Op::BatchNormInference { layer } if layer + 1 < layers => {
                tiles(layer, rows, width(layer), (INFERENCE_ROWS, NORM_FEATURES), false)
            }
            Op::BatchNorm { .. } | Op::BatchNormBackward { .. } | Op::BatchNormInference { .. } => {}
            Op::Loss => tiles(layers - 1, rows, 1, (LOSS_ROWS, 1), false),
            Op::Record { .. } => jobs.push([layer_id(0), id, 0, 0]),
            Op::GradNorm | Op::Update => jobs.extend(chunks(population, at)),
        }
    }
    jobs
}

/// Jobs that an operation can ever have, whoever comes into the population's slots: lists are never longer.
///
/// A member has at least [`EVALUATION_ROWS`] rows, so the units of its layers are at most that part of its Z. Of n
/// elements, ⌈n / t⌉ <= n / t + 1 tiles; a product of two such sums has four terms, each bounded by a role's size.
pub fn capacity(population: &Population, op: Op, features: usize) -> usize {
    if !population.refillable {
        return jobs(population, op).len();
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
    let matmul = (MATMUL_TILE, MATMUL_TILE);
    match op {
        Op::Gather => (rows / GATHER_TILE.0 + slots) * features.div_ceil(GATHER_TILE.1),
        Op::Matmul { product: Product::BackwardWeight, .. } => {
            tiles(params, inputs, outputs, matmul, population.layers)
        }
        // What goes into a layer is the Z of the one before; nothing goes back into the data.
        Op::Matmul { .. } => tiles(z, rows * population.layers, outputs, matmul, population.layers),
        Op::BatchNorm { .. } | Op::BatchNormBackward { .. } => outputs / NORM_FEATURES + slots,
        Op::BatchNormInference { .. } => tiles(z, rows, outputs, (INFERENCE_ROWS, NORM_FEATURES), 1),
        Op::Loss => rows / LOSS_ROWS + slots,
        Op::Record { .. } => slots,
        Op::GradNorm | Op::Update => size(Buffer::Partials),
    }
}

/// Where a work list stands in the work buffer: a head of one job's size, which says how many there are, and the jobs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Bytes.
    pub offset: u64,
    /// Jobs, at most.
    pub capacity: usize,
}

impl Place {
    /// Bytes of the whole list.
    pub fn bytes(&self) -> u64 {
        ((self.capacity + 1) * size_of::<Job>()) as u64
    }
}

/// Places for lists of these capacities, each at a multiple of `align` bytes; and the bytes of all.
pub fn places(capacities: impl Iterator<Item = usize>, align: u64) -> (Vec<Place>, u64) {
    let mut end: u64 = 0;
    let places = capacities
        .map(|capacity| {
            let place = Place { offset: end.next_multiple_of(align), capacity };
            end = place.offset + place.bytes();
            place
        })
        .collect();
    (places, end)
}

/// The jobs that initialise the members of `slots`: their chunks.
pub fn initial(population: &Population, slots: impl Iterator<Item = usize>) -> Vec<Job> {
    slots.flat_map(|slot| chunks(population, slot)).collect()
}

/// A member's chunks as (layer, length | kind << 16, start, number).
fn chunks(population: &Population, at: usize) -> impl Iterator<Item = Job> {
    let base = population.bases[at][Buffer::Params as usize];
    population.members[at].chunks.iter().enumerate().map(move |(number, chunk)| {
        let kind: ChunkKind = chunk.kind;
        [
            (at * population.layers + chunk.layer) as u32,
            chunk.len as u32 | (kind as u32) << 16,
            (base + chunk.start) as u32,
            number as u32,
        ]
    })
}
