//! The steps of a member: their rows, learning rates and bias corrections.
//!
//! They are pure functions of the member's settings and its step number, computed in f64 on the host for every engine,
//! so engines need no powers or cosines and cannot disagree.

use std::f64::consts::PI;

use crate::spec::{Optimizer, Schedule, Training};

use super::tables::StepRow;

/// A member's walk through its training rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Walk {
    /// Training rows.
    pub rows: usize,
    /// Rows of a full batch.
    pub batch: usize,
    /// Steps of one epoch.
    pub steps_per_epoch: u64,
    /// Whether a last batch of one row is left out of each epoch because BN cannot use it.
    pub drops_single_row: bool,
}

impl Walk {
    /// The walk of a member with `batch_size` over `rows` rows; `None` if no step is possible (no rows, or one row with
    /// batch normalisation).
    pub fn new(rows: usize, batch_size: usize, batch_norm: bool) -> Option<Walk> {
        let batch = batch_size.min(rows);
        let drops_single_row = batch_norm && batch > 0 && rows % batch == 1 && rows > 1;
        if batch == 0 || (batch_norm && batch == 1) {
            return None;
        }
        let steps_per_epoch =
            (rows / batch + usize::from(!rows.is_multiple_of(batch) && !drops_single_row)) as u64;
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
    let cosine = |from: f64, to: f64, x: f64| to + (from - to) * (1.0 + libm::cos(PI * x)) / 2.0;
    let scheduled = training.lr
        * match training.schedule {
            Schedule::Constant => 1.0,
            Schedule::Step if at < 0.5 => 1.0,
            Schedule::Step if at < 0.75 => 0.1,
            Schedule::Step => 0.01,
            Schedule::Exponential => libm::pow(0.01, at),
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
    let correction = |beta: f64| if beta == 0.0 { 1.0 } else { -1.0 / libm::expm1(t * libm::log(beta)) };
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
///
/// Its `step` is 0. If the record's `first_bad` matters, set it to the number of training steps done, so that a fault
/// found in evaluation is not blamed on the first step.
pub fn evaluation_step(first: usize, rows: usize) -> StepRow {
    StepRow { first: first as u32, rows: rows as u32, ..StepRow::IDLE }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::population::random::{permuted, shuffle_keys};
    use crate::spec::{Activation, BestEpoch, Embed, Init, Length, Network};

    fn training(schedule: Schedule, lr: f64, warmup: u64) -> Training {
        Training {
            network: Network {
                embed: Embed::None,
                sub_models: 1,
                hidden: vec![],
                activation: Activation::Relu,
                batch_norm: None,
                dropout: 0.0,
                init: Init::He,
            },
            optimizer: Optimizer::Adam { beta1: 0.9, beta2: 0.999, eps: 1e-8 },
            lr,
            l2: 0.0,
            weight_decay: 0.1,
            schedule,
            warmup,
            clip_norm: None,
            batch_size: 8,
            length: Length::Steps(100),
            patience: None,
            max_time: None,
            best_epoch: BestEpoch::Lowest,
            seed: 1,
        }
    }

    #[track_caller]
    fn assert_rate(schedule: Schedule, warmup: u64, step: u64, total: u64, expected: f64) {
        let got = learning_rate(&training(schedule, 0.5, warmup), step, total);
        assert!((got - expected).abs() <= 1e-15 + 1e-13 * expected, "{schedule:?} {step}: {got} {expected}");
    }

    #[test]
    fn cosine_is_pytorchs_cosine_annealing() {
        // torch.optim.lr_scheduler.CosineAnnealingLR(SGD(lr=0.5), T_max=10): 0.5 (1 + cos(π t / 10)) / 2
        for (step, lr) in
            [(0, 0.5), (1, 0.4877641290737884), (3, 0.3969463130731183), (5, 0.25), (9, 0.012235870926211617)]
        {
            assert_rate(Schedule::Cosine, 0, step, 10, lr);
        }
    }

    #[test]
    fn one_cycle_has_pytorchs_constants() {
        // OneCycleLR(max_lr=0.5): starts at max/25, peaks at 30 %, ends towards max/25/1e4. PyTorch's phases are
        // a step shorter (it puts the peak on step 0.3 T - 1 and the end on step T - 1).
        assert_rate(Schedule::OneCycle, 0, 0, 1000, 0.5 / 25.0);
        assert_rate(Schedule::OneCycle, 0, 150, 1000, 0.5 * (1.0 / 25.0 + 1.0) / 2.0);
        assert_rate(Schedule::OneCycle, 0, 300, 1000, 0.5);
        assert_rate(Schedule::OneCycle, 0, 650, 1000, 0.5 * (1.0 + 4e-6) / 2.0);
        assert_rate(Schedule::OneCycle, 0, 1000, 1000, 0.5 / 250_000.0);
    }

    #[test]
    fn step_and_exponential_schedules_decay_as_defined() {
        for (step, factor) in [(0, 1.0), (49, 1.0), (50, 0.1), (74, 0.1), (75, 0.01), (99, 0.01)] {
            assert_rate(Schedule::Step, 0, step, 100, 0.5 * factor);
        }
        for (step, factor) in [(0, 1.0), (50, 0.1), (100, 0.01)] {
            assert_rate(Schedule::Exponential, 0, step, 100, 0.5 * factor);
        }
        assert_rate(Schedule::Constant, 0, 99, 100, 0.5);
        assert_rate(Schedule::Constant, 0, 0, 0, 0.5);
    }

    #[test]
    fn warm_up_rises_to_the_schedule() {
        for (step, lr) in [(0, 0.125), (1, 0.25), (2, 0.375), (3, 0.5), (4, 0.5)] {
            assert_rate(Schedule::Constant, 4, step, 100, lr);
        }
        assert_rate(Schedule::Step, 4, 60, 100, 0.05);
    }

    #[test]
    fn bias_corrections_are_those_of_adam() {
        let t = training(Schedule::Constant, 0.5, 0);
        let walk = Walk::new(80, 8, false).expect("a walk");
        for step in [0u64, 1, 9, 999, 1_000_000] {
            let row = training_step(&t, &walk, step, 2_000_000);
            let power = |beta: f64| beta.powi(step as i32 + 1);
            assert_eq!(row.correction1, (1.0 / (1.0 - power(0.9))) as f32);
            assert_eq!(row.correction2, (1.0 / (1.0 - power(0.999))) as f32);
            assert_eq!(row.keep, 0.95);
            assert_eq!((row.step, row.rows), (step as u32, 8));
        }
    }

    #[test]
    fn every_row_occurs_exactly_once_per_epoch() {
        for rows in 1..80usize {
            for batch in [1, 2, 3, 7, 8, 40, 79, 1000] {
                for batch_norm in [false, true] {
                    let Some(walk) = Walk::new(rows, batch, batch_norm) else {
                        assert!(batch_norm && (batch == 1 || rows == 1), "{rows} rows, batch {batch}");
                        continue;
                    };
                    for epoch in 0..3 {
                        let keys = shuffle_keys(rows as u64, epoch as u32);
                        let mut seen = vec![0; rows];
                        for step in 0..walk.steps_per_epoch {
                            let (e, first, len) = walk.batch_of(epoch * walk.steps_per_epoch + step);
                            assert_eq!(e, epoch);
                            assert!(len > 0 && !(batch_norm && len == 1), "{walk:?} step {step}");
                            (first..first + len)
                                .for_each(|p| seen[permuted(keys, rows as u32, p as u32) as usize] += 1);
                        }
                        let total: usize = seen.iter().sum();
                        assert_eq!(total, walk.rows_per_epoch(), "{walk:?}");
                        assert!(seen.iter().all(|&n| n <= 1), "{walk:?}: {seen:?}");
                        assert_eq!(walk.drops_single_row, total < rows, "{walk:?}");
                    }
                }
            }
        }
        assert_eq!(Walk::new(0, 8, false), None);
        assert_eq!(Walk::new(8, 0, false), None);
    }
}
