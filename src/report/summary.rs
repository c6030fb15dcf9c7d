//! The summaries before and after a training: the model, and the outcome.

use std::fmt;

use super::{Status, TrainResult};
use crate::base::shell_word;
use crate::base::text::{
    Align, bytes, columns, count, counted, duration, in_line, name, number, percent, rate, wrapped,
};
use crate::run::Score;
use crate::spec::{LayerKind, LayerShape, Optimizer, Products, Training};

/// Layers, shapes, parameters and memory of a model; `Display` gives a table of at most 80 columns.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelSummary {
    layers: Vec<LayerSummary>,
    /// Models like this one that train together.
    members: u64,
    /// Number of trained parameters of all members: weights, biases, γ and β.
    pub parameters: u64,
    /// An estimate; set it to what the engine reports, if available.
    pub memory: Memory,
}

/// Bytes on the device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    pub parameters: u64,
    pub optimizer: u64,
    /// Activations of one batch.
    pub activations: u64,
}

#[derive(Clone, Debug, PartialEq)]
struct LayerSummary {
    /// "linear 64 -> 128 + BN + relu"
    what: String,
    /// Weights, and the rest: bias, or γ and β.
    weights: u64,
    others: u64,
}

impl ModelSummary {
    /// The model of `training`, from `inputs` features to `outputs` units.
    ///
    /// Memory counts f32 values: the parameters, as many again for each moment of the optimiser, and for one batch Z
    /// and A of every hidden layer and Z of the output layer.
    pub fn new(training: &Training, inputs: usize, outputs: usize) -> ModelSummary {
        let network = &training.network;
        let activation = network.activation.name();
        let dropout = (network.dropout > 0.0).then(|| format!(" + dropout {}", network.dropout));
        let dropout = dropout.unwrap_or_default();
        let mut units = 0;
        let layer = |layer: &LayerShape| {
            let sub_models = layer.sub_models;
            let bn = if layer.normalized { " + BN" } else { "" };
            let is_output = layer.kind == LayerKind::Output;
            units += layer.outputs as u64 * if is_output { 1 } else { 2 };
            let Some(Products { inputs, outputs, .. }) = layer.products() else {
                let what = format!("{} inputs, scaled for each of {sub_models} sub-models", layer.inputs);
                return LayerSummary { what, weights: layer.outputs as u64, others: 0 };
            };
            let linear = format!("linear {inputs} -> {outputs}");
            LayerSummary {
                what: match is_output {
                    false => format!("{linear}{bn} + {activation}{dropout}"),
                    true if sub_models > 1 => format!("{linear}, one for each sub-model"),
                    true => linear,
                },
                weights: layer.products().map_or(0, |products| products.weights()) as u64,
                others: layer.outputs as u64 * if layer.normalized { 2 } else { 1 },
            }
        };
        let layers: Vec<LayerSummary> = network.layers(inputs, outputs).iter().map(layer).collect();
        let parameters = layers.iter().map(|layer| layer.weights + layer.others).sum();
        let moments = match training.optimizer {
            Optimizer::Adam { .. } => 2,
            Optimizer::Sgd { momentum, .. } => u64::from(momentum != 0.0),
            Optimizer::RmsProp { .. } => 1,
        };
        let memory = Memory {
            parameters: 4 * parameters,
            optimizer: 4 * moments * parameters,
            activations: 4 * units * training.batch_size as u64,
        };
        ModelSummary { layers, members: 1, parameters, memory }
    }

    /// The same for an ensemble of `members` such models.
    pub fn in_ensemble(mut self, members: usize) -> ModelSummary {
        let members = members as u64;
        let Memory { parameters, optimizer, activations } = &mut self.memory;
        for size in [&mut self.parameters, parameters, optimizer, activations] {
            *size *= members;
        }
        ModelSummary { members: self.members * members, ..self }
    }
}

impl fmt::Display for ModelSummary {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let others = |layer: &LayerSummary| count(layer.others);
        let width = self.layers.iter().map(|layer| others(layer).len()).max().unwrap_or(0);
        let mut rows = vec![["", "layer", "parameters"].map(String::from).to_vec()];
        let mut first = 1;
        // Consecutive equal layers share a line.
        for group in self.layers.chunk_by(|a, b| a == b) {
            let last = first + group.len() - 1;
            let layer = &group[0];
            rows.push(vec![
                if first == last { first.to_string() } else { format!("{first}-{last}") },
                layer.what.clone(),
                format!("{} + {:>width$}", count(layer.weights), others(layer)),
            ]);
            first = last + 1;
        }
        f.write_str(&columns(&rows, &[Align::Right, Align::Left, Align::Right]))?;
        let memory = &self.memory;
        if self.members > 1 {
            let each = counted(self.parameters / self.members, "parameter");
            writeln!(f, "  ensemble of {} such networks with {each} each", self.members)?;
        }
        writeln!(
            f,
            "  {}\n  memory: parameters {}, optimiser {}, a batch's activations {}",
            counted(self.parameters, "parameter"),
            bytes(memory.parameters),
            bytes(memory.optimizer),
            bytes(memory.activations)
        )
    }
}

/// A row of the table at the end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SplitSummary {
    /// "train", "val" or "test".
    pub name: &'static str,
    pub rows: usize,
    pub loss: f64,
    pub score: Score,
    /// On these rows: accuracy of the training rows' majority class, or rmse of their mean.
    pub baseline: f64,
}

/// A sentence on the parts, (name, score, score of a constant prediction), on which a model is worse than a constant
/// prediction; none if there are no such parts.
pub fn worse_than_constant(parts: &[(&str, Score, f64)]) -> Option<String> {
    let is_worse = |score: Score, baseline: f64| match score {
        Score::Accuracy(accuracy) => accuracy < baseline,
        Score::Regression { rmse, .. } => rmse > baseline,
    };
    let worse: Vec<_> = parts.iter().filter(|(_, score, baseline)| is_worse(*score, *baseline)).collect();
    let (_, score, _) = worse.first()?;
    let names: Vec<&str> =
        worse.iter().map(|(name, ..)| if *name == "val" { "validation" } else { *name }).collect();
    let what = match score {
        Score::Accuracy(_) => "less accurate than one that always predicts the majority class",
        Score::Regression { .. } => "less accurate than one that always predicts the mean",
    };
    Some(match names.as_slice() {
        // Of a file that training did not see.
        ["all"] => format!(
            "on all rows, this model is {what}: check that their columns are those of the training data"
        ),
        names => format!(
            "on the {} rows, this model is {what}: try more --epochs or another --lr (`bngpu lr-find` shows which can \
             learn)",
            names.join(" and ")
        ),
    })
}

/// The outcome of a training; `Display` gives the text.
#[derive(Clone, Debug)]
pub struct EndSummary<'a> {
    pub result: &'a TrainResult,
    pub splits: &'a [SplitSummary],
    /// The epoch whose weights were evaluated, if it is not the last.
    pub best_epoch: Option<u64>,
    /// Name of the target; an rmse is in its unit.
    pub target: Option<&'a str>,
}

impl fmt::Display for EndSummary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let result = self.result;
        let how = match result.status {
            Status::Completed => "trained",
            Status::Stopped => "stopped early after",
            Status::Diverged => "diverged after",
            Status::Interrupted => "interrupted after",
        };
        let (epochs, steps) = (counted(result.epochs, "epoch"), counted(result.steps, "step"));
        let (time, speed) = (duration(result.train_s), rate(result.samples_per_s));
        writeln!(f, "{how} {epochs}, {steps} in {time} ({speed} samples/s)")?;
        if result.status == Status::Diverged {
            writeln!(f, "the loss became NaN or infinite; the last good checkpoint is kept")?;
        }
        if let Some(epoch) = self.best_epoch {
            writeln!(f, "weights of epoch {}, the best by validation loss", count(epoch))?;
        }
        if !self.splits.is_empty() {
            write!(f, "\n{}", self.table())?;
        }
        let run = shell_word(&result.run);
        writeln!(f, "\nrun   {}", in_line(&result.run))?;
        match result.status {
            Status::Completed | Status::Stopped => {
                // `eval` uses the test rows by default.
                let has = |part: &str| self.splits.iter().any(|split| split.name == part);
                let eval = match (has("test"), has("val")) {
                    (true, _) => Some(format!("bngpu eval {run}")),
                    (false, true) => Some(format!("bngpu eval {run} --split val")),
                    (false, false) => None,
                };
                let next = eval.into_iter().chain([format!("bngpu predict {run} --data FILE")]);
                next.zip(["next", ""]).try_for_each(|(line, head)| writeln!(f, "{head:<6}{line}"))
            }
            Status::Diverged => {
                writeln!(f, "next  train again with a smaller --lr, with --clip-norm or with --bn")
            }
            Status::Interrupted => writeln!(f, "next  bngpu resume {run}"),
        }
    }
}

impl EndSummary<'_> {
    fn table(&self) -> String {
        let head: &[&str] = if self.result.regression {
            &["", "rows", "loss", "rmse", "R²", "rmse of the mean"]
        } else {
            &["", "rows", "loss", "accuracy", "majority class"]
        };
        let mut rows = vec![head.iter().map(|&cell| cell.to_owned()).collect::<Vec<_>>()];
        for split in self.splits {
            let mut row = vec![split.name.to_owned(), count(split.rows as u64), number(split.loss)];
            match split.score {
                Score::Accuracy(accuracy) => row.extend([percent(accuracy), percent(split.baseline)]),
                Score::Regression { rmse, r2 } => {
                    row.extend([number(rmse), number(r2), number(split.baseline)]);
                }
            }
            rows.push(row);
        }
        let mut align = vec![Align::Right; head.len()];
        align[0] = Align::Left;
        let mut text = columns(&rows, &align);
        if let (true, Some(target)) = (self.result.regression, self.target) {
            text += &format!("  rmse in units of {}\n", name(target));
        }
        let parts: Vec<_> =
            self.splits.iter().map(|split| (split.name, split.score, split.baseline)).collect();
        if let Some(sentence) = worse_than_constant(&parts) {
            text += &format!("\n{}\n", wrapped("note    ", &sentence, 80));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::result::tests::result;
    use crate::spec::{Activation, BatchNorm, BestEpoch, Embed, Init, Length, Network, Schedule};

    fn training(hidden: &[usize]) -> Training {
        Training {
            network: Network {
                embed: Embed::None,
                sub_models: 1,
                hidden: hidden.to_vec(),
                activation: Activation::Relu,
                batch_norm: Some(BatchNorm::default()),
                dropout: 0.25,
                init: Init::He,
            },
            optimizer: Optimizer::Adam { beta1: 0.9, beta2: 0.999, eps: 1e-8 },
            lr: 1e-3,
            l2: 0.0,
            weight_decay: 0.0,
            schedule: Schedule::Constant,
            warmup: 0,
            clip_norm: None,
            batch_size: 64,
            length: Length::Epochs(20),
            patience: None,
            max_time: None,
            best_epoch: BestEpoch::Lowest,
            seed: 0,
        }
    }

    fn assert_text(found: &str, expected: &str) {
        assert!(found == expected, "found:\n{found}\nexpected:\n{expected}");
        assert!(found.lines().all(|line| line.chars().count() <= 80), "{found}");
    }

    #[test]
    fn the_model_is_a_table() {
        let summary = ModelSummary::new(&training(&[128, 128, 128]), 64, 10);
        assert_eq!(summary.parameters, 8192 + 2 * 16_384 + 1280 + 3 * 256 + 10);
        assert_eq!(summary.memory.activations, 4 * 64 * (3 * 2 * 128 + 10));
        assert_text(
            &summary.to_string(),
            "\
             \x20      layer                                           parameters\n\
             \x20   1  linear 64 -> 128 + BN + relu + dropout 0.25    8,192 + 256\n\
             \x20 2-3  linear 128 -> 128 + BN + relu + dropout 0.25  16,384 + 256\n\
             \x20   4  linear 128 -> 10                               1,280 +  10\n\
             \x20 43,018 parameters\n\
             \x20 memory: parameters 172 kB, optimiser 344 kB, a batch's activations 199 kB\n",
        );
    }

    #[test]
    fn the_summary_of_an_ensemble_counts_all_members() {
        let text = ModelSummary::new(&training(&[]), 64, 10).in_ensemble(8).to_string();
        let end = "  ensemble of 8 such networks with 650 parameters each\n  5,200 parameters\n  memory: parameters \
                   20.8 kB, optimiser 41.6 kB, a batch's activations 20.5 kB\n";
        assert!(text.ends_with(end), "{text}");
        assert_eq!(
            ModelSummary::new(&training(&[]), 64, 10).in_ensemble(1).to_string().matches("ensemble").count(),
            0
        );
    }

    #[test]
    fn wide_models_fit_into_eighty_columns() {
        let mut training = training(&[8192, 8192]);
        training.batch_size = 65_536;
        training.network.activation = Activation::LeakyRelu;
        let text = ModelSummary::new(&training, 10_000, 1_000).to_string();
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }

    #[test]
    fn a_linear_model_is_one_line() {
        let text = ModelSummary::new(&training(&[]), 64, 10).to_string();
        assert!(text.contains("1  linear 64 -> 10    640 + 10\n"), "{text}");
    }

    #[test]
    fn the_end_summary_lists_every_split() {
        let split = |name, rows, loss, accuracy, baseline| SplitSummary {
            name,
            rows,
            loss,
            score: Score::Accuracy(accuracy),
            baseline,
        };
        let splits = [
            split("train", 1437, 0.00213, 1.0, 0.1016),
            split("val", 180, 0.0912, 0.9722, 0.1),
            split("test", 180, 0.085, 0.9778, 0.1011),
        ];
        let result = result();
        let summary = EndSummary { result: &result, splits: &splits, best_epoch: Some(14), target: None };
        assert_text(
            &summary.to_string(),
            "\
             trained 20 epochs, 460 steps in 1.3 s (22.3k samples/s)\n\
             weights of epoch 14, the best by validation loss\n\
             \n\
             \x20         rows    loss  accuracy  majority class\n\
             \x20 train  1,437  0.0021  100.00 %         10.16 %\n\
             \x20 val      180  0.0912   97.22 %         10.00 %\n\
             \x20 test     180  0.0850   97.78 %         10.11 %\n\
             \n\
             run   runs/2026-11-22-153012-digits\n\
             next  bngpu eval runs/2026-11-22-153012-digits\n\
             \x20     bngpu predict runs/2026-11-22-153012-digits --data FILE\n",
        );
    }

    #[test]
    fn a_model_worse_than_a_constant_says_so() {
        let accuracy = Score::Accuracy;
        assert_eq!(worse_than_constant(&[("val", accuracy(0.9), 0.8), ("test", accuracy(0.8), 0.8)]), None);
        assert_eq!(worse_than_constant(&[("test", accuracy(0.8), f64::NAN)]), None);
        let both =
            worse_than_constant(&[("val", accuracy(0.7), 0.8), ("test", accuracy(0.79), 0.8)]).unwrap();
        assert!(
            both.starts_with("on the validation and test rows") && both.contains("majority class"),
            "{both}"
        );
        let score = |rmse| Score::Regression { rmse, r2: 0.0 };
        assert_eq!(worse_than_constant(&[("test", score(1.0), 1.0)]), None);
        let split =
            |name, rmse| SplitSummary { name, rows: 20, loss: 1.0, score: score(rmse), baseline: 1.5 };
        let result = TrainResult { regression: true, ..result() };
        let splits = [split("val", 1.0), split("test", 1.6)];
        let text =
            EndSummary { result: &result, splits: &splits, best_epoch: None, target: None }.to_string();
        assert!(
            text.contains("note    on the test rows, this model is less accurate than one that"),
            "{text}"
        );
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    }

    #[test]
    fn a_regression_shows_its_unit() {
        let score = Score::Regression { rmse: 0.5321, r2: 0.7912 };
        let splits = [SplitSummary { name: "test", rows: 2064, loss: 0.283, score, baseline: 1.1538 }];
        let result = TrainResult { regression: true, ..result() };
        let summary =
            EndSummary { result: &result, splits: &splits, best_epoch: None, target: Some("MedHouseVal") };
        assert_text(
            &summary.to_string(),
            "\
             trained 20 epochs, 460 steps in 1.3 s (22.3k samples/s)\n\
             \n\
             \x20        rows    loss    rmse      R²  rmse of the mean\n\
             \x20 test  2,064  0.2830  0.5321  0.7912             1.154\n\
             \x20 rmse in units of MedHouseVal\n\
             \n\
             run   runs/2026-11-22-153012-digits\n\
             next  bngpu eval runs/2026-11-22-153012-digits\n\
             \x20     bngpu predict runs/2026-11-22-153012-digits --data FILE\n",
        );
    }

    #[test]
    fn every_end_says_what_to_do_next() {
        for (status, next) in [
            (Status::Stopped, "next  bngpu predict 'my runs/a' --data FILE\n"),
            (Status::Interrupted, "next  bngpu resume 'my runs/a'\n"),
            (Status::Diverged, "next  train again with a smaller --lr"),
        ] {
            let result = TrainResult { status, run: "my runs/a".into(), ..result() };
            let text =
                EndSummary { result: &result, splits: &[], best_epoch: None, target: None }.to_string();
            assert!(text.contains(next), "{text}");
            assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        }
    }
}
