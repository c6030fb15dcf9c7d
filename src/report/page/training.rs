//! The page of one training.

use serde_json::{Map, Value, json};

use super::html::{card, chart, command_line, details, document, escape, facts};
use super::numbers::short;
use crate::base::text::{count, duration, number, percent, rate};
use crate::report::ModelSummary;
use crate::run::{Architecture, Environment, EpochMetrics, LayerLook, Look, Score};
use crate::spec::{BestEpoch, Length, PartialConfig, RunRequest, resolve};
use crate::step::watch::Percentiles;

const SCRIPT: &str = include_str!("training.js");
/// Maximum number of epochs in the charts; longer trainings are thinned evenly.
const MOST_EPOCHS: usize = 2000;

/// The inputs of a training's page.
#[derive(Clone, Copy, Debug)]
pub struct TrainingPage<'a> {
    /// Shown in the title.
    pub name: &'a str,
    /// The run's `config.toml`.
    pub config: &'a str,
    /// The run's `env.json`.
    pub env: Option<&'a Environment>,
    pub epochs: &'a [EpochMetrics],
    /// The records of `--watch`, if any.
    pub looks: &'a [Look],
    /// Architecture of the stored weights, if any.
    pub architecture: Option<&'a Architecture>,
    /// Models whose predictions are averaged; 1 without an ensemble.
    pub members: usize,
}

impl TrainingPage<'_> {
    /// The page.
    pub fn to_html(&self) -> String {
        let title = format!("Training {}", self.name);
        document(&title, &self.body(&title), &self.data(), SCRIPT)
    }

    fn is_regression(&self) -> bool {
        self.epochs.first().is_some_and(|epoch| matches!(epoch.train_score, Score::Regression { .. }))
    }

    fn has_val(&self) -> bool {
        self.epochs.iter().any(|epoch| epoch.val_loss.is_some())
    }

    /// The epoch whose weights are the best: see [`BestEpoch`]. Without validation rows, the one with the lowest training loss.
    fn best(&self) -> Option<&EpochMetrics> {
        if let (Some(last), Some(RunRequest { training, .. })) = (self.epochs.last(), self.request()) {
            let is_over = match training.length {
                Length::Epochs(epochs) => last.epoch >= epochs,
                Length::Steps(steps) => last.step >= steps,
            };
            if training.best_epoch == BestEpoch::Last && is_over {
                return Some(last);
            }
        }
        let loss = |epoch: &EpochMetrics| epoch.val_loss.unwrap_or(epoch.train_loss);
        let finite = self.epochs.iter().filter(|epoch| loss(epoch).is_finite());
        finite.min_by(|a, b| loss(a).total_cmp(&loss(b)))
    }

    fn request(&self) -> Option<RunRequest> {
        let config = PartialConfig::from_toml(self.config, std::path::Path::new("config.toml")).ok()?;
        resolve(PartialConfig::default(), Some(("config.toml".into(), config))).ok()
    }

    fn body(&self, title: &str) -> String {
        let mut body = format!("<h1>{}</h1>\n{}", escape(title), self.headline());
        if self.epochs.is_empty() {
            body += "<p>No epoch has ended yet.</p>";
        } else {
            body += "<div class=\"cards\">\n";
            let loss = "On the training rows (with dropout, as in training) and on the validation rows.";
            body += &chart("loss", "Loss", loss, "");
            if self.is_regression() {
                body += &chart("rmse", "Root mean squared error", "In the target's unit.", "");
                body += &chart("r2", "R²", "Explained share of the target's variance.", "");
            } else {
                body += &chart("acc", "Accuracy", "Share of the rows classified correctly.", "");
            }
            body += &chart("lr", "Learning rate", "At the last step of each epoch.", "");
            body +=
                &chart("grad_norm", "Gradient norm", "Euclidean, over all parameters, before clipping.", "");
            body += &chart("samples_per_s", "Throughput", "Training rows per second.", "");
            body += "</div>\n";
        }
        body += &self.watched();
        if let Some(model) = self.model() {
            body += &card("model", "Model", "", &format!("<pre>{}</pre>", escape(&model)));
        }
        body += &card("epochs", "Epochs", "", &self.table());
        let mut source = details("config.toml", self.config);
        if let Some(env) = self.env {
            source += &details("env.json", &serde_json::to_string_pretty(env).unwrap_or_default());
        }
        body + &card("source", "Configuration", "", &source)
    }

    /// Whether there are hidden layers with batch normalisation.
    fn normalizes(&self) -> bool {
        let network = self.request().map(|run| run.training.network);
        network.is_some_and(|network| network.batch_norm.is_some() && !network.hidden.is_empty())
    }

    /// The charts of `--watch`.
    fn watched(&self) -> String {
        let layers = || self.looks.iter().flat_map(|look| &look.watch);
        let (z, norms) = (layers().any(|l| l.z.is_some()), layers().any(|l| l.weight_grad_norm.is_some()));
        let bn = self.normalizes();
        let mut cards = String::new();
        if z {
            let about = "Percentiles over a batch and all units of each layer: median, 15 to 85, 5 to 95.";
            let title = if bn { "Z before batch normalisation" } else { "Z, the inputs of the activations" };
            cards += &chart("watch_z", title, about, "");
        }
        if z && bn {
            let about = "γ x̂ + β, the inputs of the activations: the same percentiles.";
            cards += &chart("watch_y", "After batch normalisation", about, "");
        }
        if norms {
            let about = "Euclidean norm of the gradient of each layer's W, before clipping.";
            cards += &chart("watch_w", "Gradients of the weights", about, "");
            let (title, about) = match bn {
                true => {
                    ("Gradients of γ and β", "The same for each layer's γ and β, and the output layer's b.")
                }
                false => ("Gradients of b", "The same for each layer's b."),
            };
            cards += &chart("watch_v", title, about, "");
        }
        if cards.is_empty() {
            cards
        } else {
            format!("<h2>Layers</h2>\n<div class=\"cards\">\n{cards}</div>\n")
        }
    }

    fn headline(&self) -> String {
        let mut lines: Vec<(String, String)> = Vec::new();
        let mut put = |name: &str, value: String| lines.push((name.to_owned(), value));
        if let Some(best) = self.best() {
            let split = if self.has_val() { "validation" } else { "training" };
            put("Best epoch", format!("{} of {}", count(best.epoch), count(self.epochs.len() as u64)));
            put(&format!("{split} loss"), number(best.val_loss.unwrap_or(best.train_loss)));
            for (name, value) in best.val_score.unwrap_or(best.train_score).fields() {
                put(&format!("{split} {}", score_name(name)), score_text(name, value));
            }
        }
        if let Some(last) = self.epochs.last() {
            put("Steps", count(last.step));
            put("Duration", duration(last.wall_s));
            put("Samples per second", rate(last.samples_per_s));
        }
        if self.members > 1 {
            put("Ensemble", format!("of {} models", self.members));
        }
        if let Some(env) = self.env {
            if let Some(device) = env.engine.get("device").and_then(Value::as_str) {
                put("Device", device.to_owned());
            }
            put("Started", env.started.clone());
        }
        let mut headline = facts(&lines);
        if self.epochs.last().is_some_and(|last| !last.train_loss.is_finite()) {
            headline +=
                "<p class=\"warning\">The training loss became NaN or infinite: the training diverged.</p>";
        }
        let config: toml::Table = self.config.parse().unwrap_or_default();
        let seed = self.request().map_or(0, |request| request.training.seed);
        if let Some(command) = super::command::train_command(&config, &Map::new(), seed) {
            headline += &format!("<p>Repeat this training:</p>{}", command_line(&command));
        }
        headline
    }

    /// Layers, parameters and memory.
    fn model(&self) -> Option<String> {
        let (request, shape) = (self.request()?, self.architecture?);
        let summary = ModelSummary::new(&request.training, shape.inputs, shape.outputs);
        Some(summary.in_ensemble(self.members).to_string())
    }

    /// The last epochs, latest first.
    fn table(&self) -> String {
        const LATEST: usize = 20;
        let names: Vec<&str> = match self.epochs.first() {
            Some(first) => first.train_score.fields().into_iter().map(|(name, _)| name).collect(),
            None => return "<p>None.</p>".into(),
        };
        let mut head =
            vec!["epoch".to_owned(), "step".into(), "learning rate".into(), "training loss".into()];
        head.extend(names.iter().map(|name| format!("training {}", score_name(name))));
        head.push("validation loss".into());
        head.extend(names.iter().map(|name| format!("validation {}", score_name(name))));
        head.extend(["gradient norm", "samples/s"].map(String::from));
        let row = |epoch: &EpochMetrics| {
            let scores =
                |score: Score| score.fields().into_iter().map(|(name, value)| score_text(name, value));
            let mut cells =
                vec![count(epoch.epoch), count(epoch.step), number(epoch.lr), number(epoch.train_loss)];
            cells.extend(scores(epoch.train_score));
            match (epoch.val_loss, epoch.val_score) {
                (Some(loss), Some(score)) => {
                    cells.push(number(loss));
                    cells.extend(scores(score));
                }
                _ => cells.extend(vec!["–".to_owned(); 1 + names.len()]),
            }
            cells.extend([number(epoch.grad_norm), rate(epoch.samples_per_s)]);
            format!(
                "<tr>{}</tr>",
                cells.iter().map(|cell| format!("<td>{}</td>", escape(cell))).collect::<String>()
            )
        };
        let left_out = self.epochs.len().saturating_sub(LATEST);
        let more = match left_out {
            0 => String::new(),
            n => format!("<p>{} earlier epochs are in metrics.csv.</p>", count(n as u64)),
        };
        format!(
            "<div class=\"scroll\"><table><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>{more}",
            head.iter().map(|name| format!("<th scope=\"col\">{name}</th>")).collect::<String>(),
            self.epochs.iter().rev().take(LATEST).map(row).collect::<String>()
        )
    }

    /// The data of the script, column by column; unknown values are null.
    fn data(&self) -> Value {
        let stride = self.epochs.len().div_ceil(MOST_EPOCHS).max(1);
        let last = self.epochs.len().saturating_sub(1);
        let best = self.best().map(|best| best.epoch);
        let kept = |(at, epoch): &(usize, &EpochMetrics)| {
            at % stride == 0 || *at == last || Some(epoch.epoch) == best
        };
        let shown: Vec<&EpochMetrics> = self.epochs.iter().enumerate().filter(kept).map(|(_, e)| e).collect();
        let mut columns: Map<String, Value> = Map::new();
        let mut put = |name: &str, of: &dyn Fn(&EpochMetrics) -> Value| {
            columns.insert(name.to_owned(), shown.iter().map(|epoch| of(epoch)).collect());
        };
        put("epoch", &|epoch| epoch.epoch.into());
        put("step", &|epoch| epoch.step.into());
        put("lr", &|epoch| short(Some(epoch.lr)));
        put("train_loss", &|epoch| short(Some(epoch.train_loss)));
        put("val_loss", &|epoch| short(epoch.val_loss));
        put("grad_norm", &|epoch| short(Some(epoch.grad_norm)));
        put("samples_per_s", &|epoch| short(Some(epoch.samples_per_s)));
        let names: &[&str] = if self.is_regression() { &["rmse", "r2"] } else { &["acc"] };
        for name in names {
            let of = |score: Option<Score>| {
                let fields = score.map(Score::fields).unwrap_or_default();
                short(fields.into_iter().find(|(known, _)| known == name).map(|(_, value)| value))
            };
            put(&format!("train_{name}"), &|epoch| of(Some(epoch.train_score)));
            put(&format!("val_{name}"), &|epoch| of(epoch.val_score));
        }
        json!({ "epochs": columns, "best": best, "has_val": self.has_val(), "looks": self.looks_data() })
    }

    /// Steps, counted from 1, and the columns of each layer; percentiles are `[5, steps]`.
    fn looks_data(&self) -> Value {
        let short = |value: f32| short(Some(f64::from(value)));
        let count = self.looks.iter().map(|look| look.watch.len()).max().unwrap_or(0);
        // The output layer's Z goes into the loss directly.
        let hidden = if self.normalizes() { count.saturating_sub(1) } else { 0 };
        let of_layer = |layer: usize| {
            let seen: Vec<&LayerLook> = self.looks.iter().filter_map(|look| look.watch.get(layer)).collect();
            let percentiles = |of: &dyn Fn(&LayerLook) -> Option<Percentiles>| -> Option<Vec<Vec<Value>>> {
                let all: Option<Vec<[f32; 5]>> = seen.iter().map(|look| Some(of(look)?.0)).collect();
                let all = all?;
                Some((0..5).map(|p| all.iter().map(|values| short(values[p])).collect()).collect())
            };
            let norms = |of: &dyn Fn(&LayerLook) -> Option<f32>| -> Option<Vec<Value>> {
                seen.iter().map(|look| of(look).map(short)).collect()
            };
            json!({
                "z": percentiles(&|look| look.z),
                "y": percentiles(&|look| look.y.filter(|_| layer < hidden)),
                "w": norms(&|look| look.weight_grad_norm),
                "v": norms(&|look| look.vector_grad_norm),
            })
        };
        let steps: Vec<u64> = self.looks.iter().map(|look| look.step + 1).collect();
        json!({ "step": steps, "layers": (0..count).map(of_layer).collect::<Vec<_>>() })
    }
}

fn score_name(name: &str) -> &'static str {
    match name {
        "acc" => "accuracy",
        "rmse" => "RMSE",
        _ => "R²",
    }
}

fn score_text(name: &str, value: f64) -> String {
    if name == "acc" { percent(value) } else { number(value) }
}
