//! `bngpu devices --self-test`: compares every kernel of a device with its twin in f64, on small populations that
//! together cover every activation, loss, optimiser and kind of data, with sizes around the edges of tiles.

use std::sync::Arc;

use super::compare::compare;
use super::{Engine, EngineError};
use crate::population::random::pcg4d;
use crate::population::{Loss, Member, Population, evaluation_step, training_step};
use crate::spec::{
    Activation, BatchNorm, BestEpoch, Embed, Init, Length, Network, Optimizer, Schedule, Training,
};
use crate::step::memory::{Table, Values};
use crate::step::{Op, StepKind};

/// One kernel's result.
#[derive(Clone, Debug)]
pub struct Outcome {
    pub kernel: String,
    /// Number of comparisons.
    pub runs: usize,
    /// Largest error over its bound; at most 1 is right.
    pub worst: f64,
    /// Place of the largest error, and the expected value.
    pub detail: String,
}

impl Outcome {
    /// Whether every element was within its bound.
    pub fn passed(&self) -> bool {
        self.worst <= 1.0
    }
}

/// Makes an engine for a population.
pub type Make<'a> = dyn Fn(&Arc<Population>, &Arc<Table>) -> Result<Box<dyn Engine>, EngineError> + 'a;

/// Compares all kernels of the engines made by `make`.
///
/// # Errors
/// If the engine fails to run.
pub fn self_test(make: &Make) -> Result<Vec<Outcome>, EngineError> {
    let mut outcomes: Vec<Outcome> = Vec::new();
    for case in 0..6 {
        let (population, table) = population(case);
        let mut engine = make(&population, &table)?;
        engine.initialize()?;
        let steps = |s: u64| -> Vec<_> {
            let members = population.members.iter();
            members.map(|m| training_step(&m.training, &m.walk, s, 100)).collect()
        };
        for s in 0..3 {
            engine.run(StepKind::Train, &steps(s))?;
        }
        let evaluation: Vec<_> = population.members.iter().map(|_| evaluation_step(7, ROWS - 7)).collect();
        let kinds =
            [(StepKind::Train, steps(3)), (StepKind::Evaluate, evaluation), (StepKind::Watch, steps(4))];
        for (kind, steps) in kinds {
            for deviation in compare(&mut *engine, &population, &table, kind, &steps)? {
                let kernel = name(deviation.op);
                let at = outcomes.iter().position(|o| o.kernel == kernel).unwrap_or_else(|| {
                    outcomes.push(Outcome { kernel, runs: 0, worst: 0.0, detail: String::new() });
                    outcomes.len() - 1
                });
                let outcome = &mut outcomes[at];
                outcome.runs += 1;
                if deviation.worst > outcome.worst {
                    outcome.worst = deviation.worst;
                    outcome.detail = deviation.detail;
                }
            }
        }
    }
    Ok(outcomes)
}

/// The kernel that runs an operation, without its layer.
pub fn name(op: Op) -> String {
    match op {
        Op::Matmul { product, .. } => format!("matmul {product:?}"),
        op => format!("{op:?}").split([' ', '{']).next().unwrap_or_default().to_string(),
    }
}

/// Rows of the data.
const ROWS: usize = 131;
/// Features of the data.
const FEATURES: usize = 67;

/// Four members that differ in all settings, and their data; `case` is below 6.
pub fn population(case: u32) -> (Arc<Population>, Arc<Table>) {
    let word = |index: usize, column: u32| pcg4d([case, column, index as u32, 7])[0];
    let loss = if case % 3 == 2 { Loss::SquaredError } else { Loss::CrossEntropy { classes: 10 } };
    let values = if case.is_multiple_of(2) {
        Values::Bytes {
            values: (0..ROWS * FEATURES).map(|i| word(i, 0) as u8).collect(),
            shift: vec![127.5; FEATURES],
            factor: vec![0.0135; FEATURES],
        }
    } else {
        Values::Floats((0..ROWS * FEATURES).map(|i| word(i, 0) as i32 as f32 / 1.2e9).collect())
    };
    let targets = (0..ROWS).map(|i| match loss {
        Loss::CrossEntropy { classes } => word(i, 1) % classes as u32,
        Loss::SquaredError => (word(i, 1) as i32 as f32 / 1e9).to_bits(),
    });
    let table = Table { values, features: FEATURES, quantiles: Vec::new(), targets: targets.collect() };
    let widths: [&[usize]; 4] = [&[65, 16], &[33, 17, 1], &[], &[64, 63, 15, 31]];
    let optimizers = [
        Optimizer::Adam { beta1: 0.9, beta2: 0.999, eps: 1e-8 },
        Optimizer::Sgd { momentum: 0.9, nesterov: false },
        Optimizer::Sgd { momentum: 0.9, nesterov: true },
        Optimizer::RmsProp { alpha: 0.99, eps: 1e-8 },
    ];
    let members = (0..4).filter_map(|k| {
        let at = case as usize + k;
        let training = Training {
            network: Network {
                embed: Embed::None,
                sub_models: 1,
                hidden: widths[k].to_vec(),
                activation: Activation::ALL[(2 * case as usize + k) % Activation::ALL.len()],
                batch_norm: (at % 3 != 1).then(BatchNorm::default),
                dropout: if at.is_multiple_of(2) { 0.25 } else { 0.0 },
                init: Init::He,
            },
            optimizer: optimizers[at % 4],
            lr: 1e-2,
            l2: if k == 1 { 1e-2 } else { 0.0 },
            weight_decay: if k == 2 { 1e-1 } else { 0.0 },
            schedule: Schedule::Constant,
            warmup: 0,
            clip_norm: (k == 3).then_some(0.5),
            batch_size: [64, 31, 2, 65][k],
            length: Length::Steps(100),
            patience: None,
            max_time: None,
            best_epoch: BestEpoch::Lowest,
            seed: at as u64,
        };
        Member::new(&training, loss, FEATURES, ROWS)
    });
    (Arc::new(Population::new(members.collect()).watched()), Arc::new(table))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::cpu::CpuEngine;

    #[test]
    fn the_cpu_engine_in_single_precision_passes() {
        let outcomes = self_test(&|population, table| {
            Ok(Box::new(CpuEngine::<f32>::new(population.clone(), table.clone())))
        });
        let outcomes = outcomes.expect("runs");
        assert_eq!(outcomes.len(), 12);
        for outcome in outcomes {
            assert!(outcome.passed(), "{}: {} at {}", outcome.kernel, outcome.worst, outcome.detail);
        }
    }
}
