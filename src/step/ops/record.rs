//! What a member reports of a step, and how far its gradients are scaled down. Twin of
//! `shaders/record.wgsl`.
//!
//! Clipping by the global norm (Pascanu et al. 2013, arXiv 1211.5063): scale = min(1, c / (‖g‖ + 1e-6)), with
//! PyTorch's constant.

use crate::population::tables::Record;
use crate::step::StepKind;
use crate::step::memory::Context;
use crate::step::real::Real;

pub fn cpu<R: Real>(c: &mut Context<R>, kind: StepKind) {
    let rows = c.rows();
    let (mut loss, mut hits) = (R::ZERO, R::ZERO);
    for pair in c.memory.row_loss[..2 * rows].chunks_exact(2) {
        loss += pair[0];
        hits += pair[1];
    }
    let mut norm = R::ZERO;
    if kind == StepKind::Train {
        let mut squares = R::ZERO;
        c.memory.partials.iter().for_each(|&p| squares += p);
        norm = squares.sqrt();
        c.check(norm.is_finite());
        let limit = R::from_f64(c.member.training.clip_norm.unwrap_or(0.0));
        let scale = limit / (norm + R::from_f64(1e-6));
        c.memory.scale = if limit > R::ZERO && scale < R::ONE { scale } else { R::ONE };
    }
    // What the optimiser made of this step shows in the next: see `update`.
    let bad = c.memory.first_bad;
    let first_bad = if kind == StepKind::Train && bad > c.step.step { Record::FINITE } else { bad };
    c.memory.record = Record {
        loss: loss.to_f32(),
        hits: hits.to_f32() as u32,
        grad_norm: norm.to_f32(),
        first_bad,
        step: c.step.step,
        rows: c.step.rows,
        nonce: c.step.nonce,
        _pad: 0,
    };
}
