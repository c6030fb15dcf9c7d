//! The benchmark networks and their data.

use std::borrow::Cow;
use std::sync::Arc;

use crate::population::random::pcg4d;
use crate::population::tables::StepRow;
use crate::population::{Loss, Member, Population, TooLarge, check_size};
use crate::spec::{
    Activation, BatchNorm, BestEpoch, Embed, Init, Length, Network, Optimizer, Schedule, Training,
};
use crate::step::memory::{Table, Values};

/// Rows of the data.
pub const ROWS: usize = 60_000;
/// Features of a row: MNIST's.
pub const FEATURES: usize = 784;
/// Cross-entropy over ten classes.
const LOSS: Loss = Loss::CrossEntropy { classes: 10 };
/// Steps of a training, more than are timed.
const TOTAL: u64 = 1 << 30;

/// A network on data of MNIST's shape, with Adam.
#[derive(Clone, Debug)]
pub struct Case {
    pub name: &'static str,
    pub hidden: Cow<'static, [usize]>,
    pub activation: Activation,
    pub batch: usize,
}

/// Small, medium and large.
pub static CASES: [Case; 3] = [
    Case::new("a", &[100, 100, 100], Activation::Sigmoid, 60),
    Case::new("b", &[512, 512], Activation::Relu, 256),
    Case::new("c", &[2048, 2048], Activation::Relu, 1024),
];

impl Case {
    const fn new(name: &'static str, hidden: &'static [usize], activation: Activation, batch: usize) -> Case {
        Case { name, hidden: Cow::Borrowed(hidden), activation, batch }
    }

    /// Any other network; `batch` is 2 or more.
    pub fn own(hidden: Vec<usize>, activation: Activation, batch: usize) -> Case {
        Case { name: "own", hidden: Cow::Owned(hidden), activation, batch }
    }

    /// Checks the size of a member.
    ///
    /// # Errors
    /// If it would be too large.
    pub fn check(&self) -> Result<(), TooLarge> {
        check_size(&self.training(0, true), LOSS, FEATURES, ROWS)
    }

    /// `784-100-100-100-10, sigmoid, batch 60`
    pub fn describe(&self) -> String {
        let widths: Vec<String> =
            [FEATURES].iter().chain(&*self.hidden).chain(&[10]).map(usize::to_string).collect();
        format!("{}, {}, batch {}", widths.join("-"), self.activation.name(), self.batch)
    }

    /// Numbers of models at once that are measured unless others are asked for.
    pub fn usual_models(&self) -> &'static [usize] {
        match self.name {
            "a" => &[1, 8, 64],
            "b" => &[1, 8],
            _ => &[1],
        }
    }

    /// Members that differ in their seeds.
    pub fn population(&self, members: usize, batch_norm: bool) -> Arc<Population> {
        // `Member::new` refuses only a batch of one row.
        let member = |seed| Member::new(&self.training(seed, batch_norm), LOSS, FEATURES, ROWS);
        Arc::new(Population::new((0..members as u64).filter_map(member).collect()))
    }

    fn training(&self, seed: u64, batch_norm: bool) -> Training {
        Training {
            network: Network {
                embed: Embed::None,
                sub_models: 1,
                hidden: self.hidden.to_vec(),
                activation: self.activation,
                batch_norm: batch_norm.then(BatchNorm::default),
                dropout: 0.0,
                init: Init::Xavier,
            },
            optimizer: Optimizer::Adam { beta1: 0.9, beta2: 0.999, eps: 1e-8 },
            lr: 1e-3,
            l2: 0.0,
            weight_decay: 0.0,
            schedule: Schedule::Constant,
            warmup: 0,
            clip_norm: None,
            batch_size: self.batch,
            length: Length::Steps(TOTAL),
            patience: None,
            max_time: None,
            best_epoch: BestEpoch::Lowest,
            seed,
        }
    }

    /// Training steps of all members.
    pub fn steps(population: &Population, from: u64, count: u64) -> Vec<StepRow> {
        let starts: Vec<_> = (0..population.len()).map(|slot| (slot, from)).collect();
        population.training_steps(&starts, count as usize)
    }
}

/// Random bytes whose mean depends on the class, so that there is something to learn.
pub fn table() -> Table {
    let class = |row: usize| (row % 10) as u32;
    let mut values = vec![0; ROWS * FEATURES];
    for (row, bytes) in values.chunks_exact_mut(FEATURES).enumerate() {
        for (feature, byte) in bytes.iter_mut().enumerate() {
            let noise = pcg4d([row as u32, feature as u32, 2, 3])[0] >> 25;
            *byte = (noise + (pcg4d([class(row), feature as u32, 4, 5])[0] >> 25)) as u8;
        }
    }
    Table {
        values: Values::Bytes { values, shift: vec![127.0; FEATURES], factor: vec![1.0 / 52.0; FEATURES] },
        features: FEATURES,
        quantiles: Vec::new(),
        targets: (0..ROWS).map(class).collect(),
    }
}
