//! All grid sizes: the workgroups of each operation, as a list that the kernels read.
//!
//! A list, and not the grid's coordinates, because members of one population differ in every size: no
//! workgroup is started that has nothing to do but for the short batch at an epoch's end.

use crate::population::tables::ChunkKind;
use crate::population::{Buffer, Population};
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
    let mut first_layer = 0;
    for (at, member) in population.members.iter().enumerate() {
        let layers = member.layers.len();
        let rows = member.capacity;
        let id = at as u32;
        let layer_id = |layer: usize| (first_layer + layer) as u32;
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
            Op::GradNorm | Op::Update => jobs.extend(chunks(population, at, first_layer)),
        }
        first_layer += layers;
    }
    jobs
}

/// A member's chunks as (layer, length | kind << 16, start, number).
fn chunks(population: &Population, at: usize, first_layer: usize) -> impl Iterator<Item = Job> {
    let base = population.bases[at][Buffer::Params as usize];
    population.members[at].chunks.iter().enumerate().map(move |(number, chunk)| {
        let kind: ChunkKind = chunk.kind;
        [
            (first_layer + chunk.layer) as u32,
            chunk.len as u32 | (kind as u32) << 16,
            (base + chunk.start) as u32,
            number as u32,
        ]
    })
}
