//! What each step of a member is: which rows, which learning rate, which bias corrections.
//!
//! All of it is a pure function of the member's description and its step number, computed in f64 on the host
//! for every engine, so that no engine needs a power or a cosine for it and none can disagree.

use std::f64::consts::PI;

use crate::spec::{Optimizer, Schedule, Training};

use super::tables::StepRow;

/// How a member walks through its training rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walk {
    /// Training rows.
    pub rows: usize,
    /// Rows of a full batch.
    pub batch: usize,
    /// Steps of one epoch.
    pub steps_per_epoch: u64,
    /// Whether the last batch of an epoch, of one row, is left out because BN cannot take it.
    pub drops_single_row: bool,
}

impl Walk {
    /// The walk of a member with `batch_size` over `rows` rows; `None` where not even one step is possible
    /// (no rows, or one row with batch normalisation).
    pub fn new(rows: usize, batch_size: usize, batch_norm: bool) -> Option<Walk> {
        let batch = batch_size.min(rows);
        let drops_single_row = batch_norm && batch > 0 && rows % batch == 1 && rows > 1;
        if batch == 0 || (batch_norm && batch == 1) {
            return None;
        }
        let steps_per_epoch = (rows / batch + usize::from(rows % batch != 0 && !drops_single_row)) as u64;
        Some(Walk { rows, batch, steps_per_epoch, drops_single_row })
    }

    /// Rows that an epoch trains on.
    pub fn rows_per_epoch(&self) -> usize {
        self.rows - usize::from(self.drops_single_row)
    }

    /// (epoch, first position in the epoch's order, number of rows) of step `step`, both from 0.
    pub fn batch_of(&self, step: u64) -> (u64, usize, usize) {
        let epoch = step / self.steps_per_epoch;
        let first = (step % self.steps_per_epoch) as usize * self.batch;
        (epoch, first, self.batch.min(self.rows - first))
    }
}

/// Learning rate of step `step` (from 0) of `total`.
pub fn learning_rate(training: &Training, step: u64, total: u64) -> f64 {
    let at = step as f64 / total.max(1) as f64;
    let cosine = |from: f64, to: f64, x: f64| to + (from - to) * (1.0 + (PI * x).cos()) / 2.0;
    let scheduled = training.lr
        * match training.schedule {
            Schedule::Constant => 1.0,
            Schedule::Step if at < 0.5 => 1.0,
            Schedule::Step if at < 0.75 => 0.1,
            Schedule::Step => 0.01,
            Schedule::Exponential => 0.01f64.powf(at),
            Schedule::Cosine => cosine(1.0, 0.0, at),
            Schedule::OneCycle if at < 0.3 => cosine(1.0 / 25.0, 1.0, at / 0.3),
            Schedule::OneCycle => cosine(1.0, 1.0 / 250_000.0, (at - 0.3) / 0.7),
        };
    if step < training.warmup { scheduled * (step + 1) as f64 / training.warmup as f64 } else { scheduled }
}

/// The row of the step table for training step `step` (from 0) of `total`.
pub fn training_step(training: &Training, walk: &Walk, step: u64, total: u64) -> StepRow {
    let (epoch, first, rows) = walk.batch_of(step);
    let lr = learning_rate(training, step, total);
    let t = (step + 1) as f64;
    // -expm1(t ln β) = 1 - β^t without cancellation at β near 1.
    let correction = |beta: f64| if beta == 0.0 { 1.0 } else { -1.0 / (t * beta.ln()).exp_m1() };
    let (c1, c2) = match training.optimizer {
        Optimizer::Adam { beta1, beta2, .. } => (correction(beta1), correction(beta2)),
        Optimizer::Sgd { .. } | Optimizer::RmsProp { .. } => (1.0, 1.0),
    };
    StepRow {
        step: step as u32,
        rows: rows as u32,
        first: first as u32,
        epoch: epoch as u32,
        flags: StepRow::SHUFFLED,
        lr: lr as f32,
        correction1: c1 as f32,
        correction2: c2 as f32,
        keep: (1.0 - lr * training.weight_decay) as f32,
        nonce: 0,
        _pad: [0; 2],
    }
}

/// The row of the step table that reads rows `first..first + rows` in their stored order.
pub fn evaluation_step(first: usize, rows: usize) -> StepRow {
    StepRow { first: first as u32, rows: rows as u32, ..StepRow::IDLE }
}
