//! The learning problem: the data as the engines take them, the loss, and the scores.

use std::ops::Range;
use std::sync::Arc;

use crate::data::{Dataset, Features, Part, Preprocessing, Rows, Split, Targets, Task, within};
use crate::population::Loss;
use crate::run::Score;
use crate::step::memory::{Table, Values};

use super::mixture::{largest, softmax};

/// Data, loss and scores.
#[derive(Clone, Debug)]
pub struct Problem {
    pub table: Arc<Table>,
    pub split: Split,
    pub loss: Loss,
    /// The range of the outputs that predictions are limited to (regression).
    output_range: Option<[f64; 2]>,
    /// Size of one unit of a scaled target in the user's units (regression).
    target_scale: f64,
    /// Variance of the targets of (train, all validation rows, test) about their own mean (regression).
    variances: [f64; 3],
}

/// Sums over some rows, as engines report them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sums {
    pub loss: f64,
    pub hits: u64,
    pub rows: u64,
}

impl Problem {
    /// Loss of a model that has learnt nothing: ln of the number of classes, or the variance of scaled targets, 1.
    pub fn chance_loss(&self) -> f64 {
        match self.loss {
            Loss::CrossEntropy { classes } => (classes as f64).ln(),
            Loss::SquaredError => 1.0,
        }
    }

    /// The problem that a data set poses.
    pub fn new(dataset: Dataset) -> Problem {
        let values = match dataset.features {
            Features::Floats(values) => Values::Floats(values),
            Features::Bytes(values) => {
                let scaling = dataset.preprocessing.byte_scaling();
                let (shift, factor) = scaling.map(|(s, f)| (s.to_vec(), f.to_vec())).unwrap_or_default();
                Values::Bytes { values, shift, factor }
            }
        };
        Problem::of(values, &dataset.targets, dataset.split, &dataset.preprocessing)
    }

    /// Some rows, all of them in the test part; without targets, losses and scores are meaningless.
    pub fn of_rows(rows: Rows, preprocessing: &Preprocessing) -> Problem {
        let split = Split { test: rows.rows, ..Split::default() };
        let targets = rows.targets.unwrap_or_else(|| Targets::Classes(vec![0; rows.rows]));
        Problem::of(Values::Floats(rows.features), &targets, split, preprocessing)
    }

    fn of(values: Values, targets: &Targets, split: Split, preprocessing: &Preprocessing) -> Problem {
        let (bits, variances) = match targets {
            Targets::Classes(classes) => (classes.clone(), [0.0; 3]),
            Targets::Values(values) => (
                values.iter().map(|v| v.to_bits()).collect(),
                [split.range(Part::Train), split.validated(), split.range(Part::Test)]
                    .map(|rows| variance(&values[rows])),
            ),
        };
        Problem {
            table: Arc::new(Table {
                values,
                features: preprocessing.n_features(),
                quantiles: preprocessing.quantiles(),
                targets: bits,
            }),
            split,
            loss: match preprocessing.task() {
                Task::Classify { classes } => Loss::CrossEntropy { classes: classes.len() },
                Task::Regress => Loss::SquaredError,
            },
            output_range: preprocessing.output_range(),
            target_scale: preprocessing.target_scale(),
            variances,
        }
    }

    /// Whether this is regression.
    pub fn is_regression(&self) -> bool {
        self.loss == Loss::SquaredError
    }

    /// Whether predictions are limited to a range. Then the sums of the engines, which are of the outputs as they are,
    /// are not those of the predictions; `add_outputs` gives these.
    pub fn is_clamped(&self) -> bool {
        self.output_range.is_some()
    }

    /// The predictions that outputs `[rows, O]` stand for: the probability of each class `[rows, O]`, or scaled values
    /// `[rows]`, limited where predictions are.
    pub fn predictions(&self, outputs: &[f32]) -> Vec<f64> {
        let value = |&z: &f32| self.output_range.map_or(f64::from(z), |range| within(f64::from(z), range));
        match self.loss {
            Loss::SquaredError => outputs.iter().map(value).collect(),
            Loss::CrossEntropy { classes } => outputs.chunks_exact(classes).flat_map(softmax).collect(),
        }
    }

    /// The targets of the stored rows `rows`, range by range.
    pub fn targets(&self, rows: &[Range<usize>]) -> Targets {
        let targets = rows.iter().flat_map(|rows| &self.table.targets[rows.clone()]).copied();
        match self.loss {
            Loss::CrossEntropy { .. } => Targets::Classes(targets.collect()),
            Loss::SquaredError => Targets::Values(targets.map(f32::from_bits).collect()),
        }
    }

    /// Adds the predictions that the outputs `[rows, O]` for the stored rows `rows` stand for, row by row: the sums do not
    /// depend on how rows are divided into calls.
    pub(super) fn add_outputs(&self, rows: Range<usize>, outputs: &[f32], sums: &mut Sums) {
        let targets = &self.table.targets[rows];
        for (z, &target) in outputs.chunks_exact(self.loss.outputs()).zip(targets) {
            sums.rows += 1;
            match self.loss {
                Loss::CrossEntropy { .. } => {
                    let (best, target) = (largest(z), target as usize);
                    let most = f64::from(z[best]);
                    let above = |z: f32| f64::from(z) - most;
                    let sum: f64 = z.iter().map(|&z| libm::exp(above(z))).sum();
                    sums.loss += libm::log(sum) - above(z[target]);
                    sums.hits += u64::from(best == target);
                }
                Loss::SquaredError => {
                    let z = f64::from(z[0]);
                    let z = self.output_range.map_or(z, |range| within(z, range));
                    sums.loss += (z - f64::from(f32::from_bits(target))).powi(2);
                }
            }
        }
    }

    /// Mean loss and score of sums over rows of `part`: accuracy, or rmse in the target's unit and
    /// R² = 1 - mean squared error / variance. NaN where there are no rows.
    pub fn evaluation(&self, part: Part, sums: &Sums) -> (f64, Score) {
        let loss = sums.loss / sums.rows as f64;
        let score = match self.loss {
            Loss::CrossEntropy { .. } => Score::Accuracy(sums.hits as f64 / sums.rows as f64),
            Loss::SquaredError => {
                let variance = match part {
                    Part::Train => self.variances[0],
                    Part::Val => self.variances[1],
                    Part::Test => self.variances[2],
                    Part::All => f64::NAN,
                };
                Score::Regression { rmse: loss.sqrt() * self.target_scale, r2: 1.0 - loss / variance }
            }
        };
        (loss, score)
    }
}

fn variance(values: &[f32]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().map(|&v| f64::from(v)).sum::<f64>() / n;
    values.iter().map(|&v| (f64::from(v) - mean).powi(2)).sum::<f64>() / n
}
