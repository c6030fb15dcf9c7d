//! Initial parameters, moments and running statistics of a member. Twin of `shaders/initialize.wgsl`.

use crate::population::Member;
use crate::population::random::{Purpose, key, normal, sign};
use crate::population::tables::{ChunkKind, Record, Statistic};
use crate::step::memory::Memory;
use crate::step::real::Real;

pub fn cpu<R: Real>(member: &Member, memory: &mut Memory<R>) {
    for chunk in &member.chunks {
        let layer = member.layers[chunk.layer];
        let params = &mut memory.params[chunk.start..][..chunk.len];
        match chunk.kind {
            ChunkKind::Weight => {
                let key = key(member.training.seed, Purpose::Weights, chunk.layer as u32, 0);
                let first = chunk.start as u32 - layer.w;
                for (index, w) in (first..).zip(params) {
                    *w = R::from_f32(normal(key, index) * layer.init_std);
                }
            }
            ChunkKind::Factor => {
                let key = key(member.training.seed, Purpose::Weights, chunk.layer as u32, 0);
                let first = chunk.start as u32 - layer.b;
                for (index, factor) in (first..).zip(params) {
                    *factor = R::from_f32(sign(key, index));
                }
            }
            ChunkKind::Gamma => params.fill(R::ONE),
            ChunkKind::Bias | ChunkKind::Beta => params.fill(R::ZERO),
        }
    }
    memory.moments.fill(R::ZERO);
    memory.stats.fill(R::ZERO);
    for layer in member.layers.iter().filter(|l| l.is_normalized()) {
        let o = layer.outputs as usize;
        memory.stats[layer.stats as usize + Statistic::RunningVar.start(o)..][..o].fill(R::ONE);
    }
    memory.scale = R::ONE;
    memory.first_bad = Record::FINITE;
}
