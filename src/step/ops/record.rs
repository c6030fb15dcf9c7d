//! The record of a member's step, and the scale of its clipped gradients. Twin of `shaders/record.wgsl`.
//!
//! Clipping by the global norm (Pascanu et al. 2013, arXiv 1211.5063): scale = min(1, c / (‖g‖ + 1e-6)), with
//! PyTorch's constant.

use std::sync::atomic::Ordering;

use crate::population::tables::Record;
use crate::population::{Buffer, Member};
use crate::step::StepKind;
use crate::step::bounds::{Bound, Observed, Output, U};
use crate::step::cost::{Cost, NUMBER};
use crate::step::memory::View;
use crate::step::real::Real;

/// Added to the norm of the gradients before the division.
pub const CLIP_EPS: f64 = 1e-6;

pub fn cpu<R: Real>(view: &View<R>, kind: StepKind) {
    if !view.rank.is_first() {
        return;
    }
    let (rows, memory) = (view.rows(), view.memory);
    let (mut loss, mut hits) = (R::ZERO, R::ZERO);
    // SAFETY: only the first thread does this operation.
    for pair in unsafe { memory.row_loss.part(0, 2 * rows) }.chunks_exact(2) {
        loss += pair[0];
        hits += pair[1];
    }
    let mut norm = R::ZERO;
    if kind == StepKind::Train {
        let mut squares = R::ZERO;
        // SAFETY: as above.
        unsafe { memory.partials.part(0, view.member.blocks.len()) }.iter().for_each(|&p| squares += p);
        norm = squares.sqrt();
        view.check(norm.is_finite());
        let limit = R::from_f64(view.member.training.clip_norm.unwrap_or(0.0));
        let scale = limit / (norm + R::from_f64(CLIP_EPS));
        let scale = if limit > R::ZERO && scale < R::ONE { scale } else { R::ONE };
        // SAFETY: as above.
        unsafe { memory.scale.part_mut(0, 1)[0] = scale };
    }
    // Non-finite results of this step's optimiser count for the next step: see `update`.
    let bad = memory.first_bad().load(Ordering::Relaxed);
    let first_bad = if kind == StepKind::Train && bad > view.step.step { Record::FINITE } else { bad };
    let record = Record {
        loss: loss.to_f32(),
        hits: hits.to_f32() as u32,
        grad_norm: norm.to_f32(),
        first_bad,
        step: view.step.step,
        rows: view.step.rows,
        nonce: view.step.nonce,
        _pad: 0,
    };
    // SAFETY: as above.
    unsafe { memory.record.part_mut(0, 1)[0] = record };
}

/// Name in reports.
pub const NAME: &str = "record";

/// Cost for `rows` rows.
pub fn cost(member: &Member, rows: f64) -> Cost {
    let partials = member.sizes[Buffer::Partials as usize] as f64;
    Cost { flops: 2.0 * rows + partials, bytes: NUMBER * (2.0 * rows + partials) }
}

/// Bound of the clipping scale.
pub fn bounds(_: &Observed) -> Vec<Output> {
    vec![Output::new(Buffer::State, 0, 1, Bound::Absolute(64.0 * U))]
}
