//! The page of a sweep.

use serde_json::{Value, json};

use super::Findings;
use super::axes::{Axis, axes, shown};
use super::command::train_command;
use super::html::{card, chart, command_line, details, document, escape, facts};
use super::numbers::{seconds, short, thinned};
use super::trials::{Trial, best, busy_seconds, gather, ranking};
use crate::base::text::{count, counted, duration, number, percent};
use crate::run::Environment;
use crate::spec::Objective;
use crate::sweep::{Stage, TrialRecord, TrialStatus};

const SCRIPT: &str = concat!(include_str!("sweep.js"), include_str!("trials.js"));
/// Rows of the table that is readable without a script.
const TOP: usize = 20;
/// Maximum number of points of all learning curves; minimum and maximum for one curve.
const CURVE_POINTS: usize = 100_000;
const POINTS_A_CURVE: (usize, usize) = (8, 60);
const STATUSES: [(TrialStatus, &str); 4] = [
    (TrialStatus::Completed, "completed"),
    (TrialStatus::Stopped, "stopped"),
    (TrialStatus::Diverged, "diverged"),
    (TrialStatus::Failed, "failed"),
];

/// The inputs of a sweep's page.
#[derive(Clone, Copy, Debug)]
pub struct SweepPage<'a> {
    /// Shown in the title.
    pub name: &'a str,
    /// The sweep's `config.toml`.
    pub config: &'a str,
    /// The sweep's `env.json`.
    pub env: Option<&'a Environment>,
    pub records: &'a [TrialRecord],
    pub findings: &'a Findings,
}

impl SweepPage<'_> {
    /// The page.
    pub fn to_html(&self) -> String {
        let config: toml::Table = self.config.parse().unwrap_or_default();
        let trials = gather(self.records);
        let axes = axes(&trials, config.get("space").and_then(toml::Value::as_table));
        let objective = match config.get("objective").and_then(toml::Value::as_str) {
            Some("val_acc") => Objective::ValAcc,
            _ => Objective::ValLoss,
        };
        let page = Parts { page: *self, config, trials, axes, objective };
        let title = format!("Sweep {}", self.name);
        // Without a trial there is nothing to draw.
        let script = if page.trials.is_empty() { "" } else { SCRIPT };
        document(&title, &page.body(&title), &page.data(), script)
    }
}

/// The page with its inputs parsed.
struct Parts<'a> {
    page: SweepPage<'a>,
    config: toml::Table,
    trials: Vec<Trial>,
    axes: Vec<Axis>,
    objective: Objective,
}

impl Parts<'_> {
    fn is_regression(&self) -> bool {
        self.page.records.iter().any(|record| record.val_r2.is_some() || record.val_rmse.is_some())
    }

    /// The names of (loss, score) on the validation rows.
    fn measures(&self) -> [&'static str; 2] {
        ["validation loss", if self.is_regression() { "validation R²" } else { "validation accuracy" }]
    }

    fn objective_name(&self) -> &'static str {
        self.measures()[usize::from(self.objective == Objective::ValAcc)]
    }

    /// A value of the objective with its unit.
    fn value_text(&self, value: f64) -> String {
        match self.objective {
            Objective::ValAcc if !self.is_regression() => percent(value),
            _ => number(value),
        }
    }

    fn winner(&self) -> Option<&Trial> {
        let named = self.page.findings.winner;
        let named = named.and_then(|winner| self.trials.iter().find(|trial| trial.number == winner));
        named.or_else(|| best(&self.trials, self.objective))
    }

    /// The HTML between header and footer.
    fn body(&self, title: &str) -> String {
        let mut body = format!("<h1>{}</h1>\n", escape(title));
        body += &self.headline();
        if self.trials.is_empty() {
            return body + "<p>No trial has ended yet.</p>";
        }
        let value = self.objective_name();
        body += "<div id=\"filter\" class=\"filter\" role=\"status\" hidden></div>\n<div class=\"cards\">\n";
        if !self.axes.is_empty() {
            body += &chart(
                "parallel",
                "Hyperparameters",
                &format!(
                    "One line per trial, coloured by its {value}. Drag along an axis to select a range: the other \
                     charts and the table follow. Click the axis to clear it."
                ),
                "<div class=\"legend\" data-legend></div>",
            );
        }
        body += &chart(
            "curves",
            "Learning curves",
            "One line per training of the search; the best trial is thick. Hover over a line to see its trial, click \
             to find it in the table.",
            "<div class=\"controls\"><label>Show <select id=\"curve-measure\"></select></label></div>",
        );
        if self.axes.len() >= 2 {
            body += &chart(
                "heatmap",
                "Two hyperparameters",
                &format!("Mean {value} of the trials in each cell; empty cells have no trial with a value."),
                "<div class=\"controls\"><label>Across <select id=\"heatmap-x\"></select></label>\
                 <label>Up <select id=\"heatmap-y\"></select></label></div>\
                 <div class=\"legend\" data-legend></div>",
            );
        }
        let findings = self.page.findings;
        if !findings.importance.is_empty() {
            let note =
                format!("Share of the variance of {value} that each explains alone, with 95 % intervals.");
            body += &chart("importance", "Importance", &note, "");
        }
        if !findings.expected_best.is_empty() {
            let note = format!("Expected best {value} by the number of trials drawn from this search.");
            body += &chart("expected", "Expected best against budget", &note, "");
        }
        body += &self.finalists();
        body += &chart(
            "lanes",
            "Lanes over time",
            "Each training in the slot where it ended; below, the number of slots in use. Drag the bar at the bottom \
             to zoom.",
            "",
        );
        body += "</div>\n";
        body += &card("trials", "Trials", "", &self.table());
        body += &card("source", "Configuration", "", &self.source());
        body
    }

    fn headline(&self) -> String {
        let findings = self.page.findings;
        let mut lines = findings.headline.clone();
        let mut put = |name: &str, value: String| lines.push((name.into(), value));
        let winner = self.winner();
        if let Some(winner) = winner.filter(|_| findings.headline.is_empty()) {
            let value = winner.value(self.objective).map_or("none".into(), |value| self.value_text(value));
            put("Best trial", winner.number.to_string());
            put(&format!("{}, mean of {}", self.objective_name(), counted(winner.seeds, "seed")), value);
        }
        let records = self.page.records;
        let (n, settings) = (records.len() as u64, self.trials.len() as u64);
        put("Trials", count(settings));
        if n != settings {
            put("Trainings", count(n));
        }
        for (status, name) in STATUSES {
            let of_it = self.trials.iter().filter(|trial| trial.status == status).count();
            if of_it > 0 || status == TrialStatus::Completed {
                put(name, count(of_it as u64));
            }
        }
        let busy = busy_seconds(records);
        if busy > 0.0 {
            put("Duration", duration(busy));
            put("Trainings per second", number(n as f64 / busy));
        }
        let mut devices: Vec<&str> = records.iter().map(|record| record.device.as_str()).collect();
        devices.sort_unstable();
        devices.dedup();
        if !devices.is_empty() {
            put(if devices.len() == 1 { "Device" } else { "Devices" }, devices.join(", "));
        }
        if let Some(env) = self.page.env {
            put("Started", env.started.clone());
        }
        let mut headline = facts(&lines);
        for warning in &findings.warnings {
            headline += &format!("<p class=\"warning\">{}</p>", escape(warning));
        }
        if let Some(winner) = winner
            && let Some(command) = train_command(&self.config, &winner.params, winner.seed)
        {
            headline += &format!("<p>Train trial {} alone:</p>{}", winner.number, command_line(&command));
        }
        headline
    }

    fn finalists(&self) -> String {
        let finalists = &self.page.findings.finalists;
        if finalists.is_empty() {
            return String::new();
        }
        let interval = |found: Option<super::Interval>| {
            found.map_or("–".into(), |Interval { mean, low, high }| {
                format!("{} [{}, {}]", self.value_text(mean), self.value_text(low), self.value_text(high))
            })
        };
        use super::Interval;
        let rows = finalists.iter().map(|finalist| {
            let cells = [
                finalist.trial.to_string(),
                finalist.seeds.to_string(),
                interval(Some(finalist.val)),
                interval(finalist.test),
            ];
            format!("<tr>{}</tr>", cells.map(|cell| format!("<td>{}</td>", escape(&cell))).concat())
        });
        let test = self.objective_name().replace("validation", "test");
        let head = ["trial", "new seeds", self.objective_name(), &test];
        let table = format!(
            "<div class=\"scroll\"><table><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>",
            head.map(|name| format!("<th scope=\"col\">{name}</th>")).concat(),
            rows.collect::<String>()
        );
        let note = "The best trials of the search, trained again with new seeds: mean and 95 % interval.";
        chart("finalists", "Finalists", note, &table)
    }

    /// The best trials, for readers without JavaScript; the script replaces them with all trials.
    fn table(&self) -> String {
        let mut head = vec!["trial".to_owned()];
        head.extend(self.axes.iter().map(|axis| axis.key.clone()));
        head.extend([self.objective_name(), "seeds", "epochs", "status", "reason"].map(String::from));
        let row = |at: usize| {
            let trial = &self.trials[at];
            let mut cells = vec![trial.number.to_string()];
            let params = self.axes.iter().map(|axis| trial.params.get(&axis.key).map_or("–".into(), shown));
            cells.extend(params);
            cells.push(trial.value(self.objective).map_or("–".into(), |value| self.value_text(value)));
            cells.extend([
                trial.seeds.to_string(),
                trial.epochs.to_string(),
                status_name(trial.status).into(),
            ]);
            cells.push(trial.reasons.join("; "));
            format!(
                "<tr>{}</tr>",
                cells.iter().map(|cell| format!("<td>{}</td>", escape(cell))).collect::<String>()
            )
        };
        let order = ranking(&self.trials, self.objective);
        let left_out = order.len().saturating_sub(TOP);
        let more = if left_out > 0 {
            format!("<p>JavaScript shows {} more.</p>", count(left_out as u64))
        } else {
            String::new()
        };
        format!(
            "<div id=\"table\"><div class=\"scroll\"><table><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>{more}</div>",
            head.iter().map(|name| format!("<th scope=\"col\">{}</th>", escape(name))).collect::<String>(),
            order.into_iter().take(TOP).map(row).collect::<String>()
        )
    }

    fn source(&self) -> String {
        let mut source = details("config.toml", self.page.config);
        if let Some(env) = self.page.env {
            source += &details("env.json", &serde_json::to_string_pretty(env).unwrap_or_default());
        }
        source
    }

    /// The data of the script, column by column.
    fn data(&self) -> Value {
        let column = |of: &dyn Fn(&Trial) -> Value| self.trials.iter().map(of).collect::<Vec<_>>();
        let findings = self.page.findings;
        json!({
            "objective": {
                "name": self.objective_name(),
                "of": if self.objective == Objective::ValAcc { "score" } else { "loss" },
            },
            "measures": self.measures(),
            "percent": !self.is_regression(),
            "winner": self.winner().map(|trial| trial.number),
            "statuses": STATUSES.map(|(_, name)| name),
            "params": self.axes.iter().map(Axis::to_json).collect::<Vec<_>>(),
            "trials": {
                "number": column(&|trial| trial.number.into()),
                "loss": column(&|trial| short(trial.loss)),
                "score": column(&|trial| short(trial.score)),
                "seeds": column(&|trial| trial.seeds.into()),
                "epochs": column(&|trial| trial.epochs.into()),
                "wall_s": column(&|trial| short(Some(trial.wall_s))),
                "parameters": column(&|trial| trial.parameters.into()),
                "status": column(&|trial| status_code(trial.status).into()),
                "reason": column(&|trial| trial.reasons.join("; ").into()),
            },
            "trainings": self.trainings(),
            "importance": findings.importance.iter().map(|found| {
                json!([found.key, short(Some(found.share)), short(Some(found.low)), short(Some(found.high))])
            }).collect::<Vec<_>>(),
            "expected": findings.expected_best.iter().map(|&(n, value)| {
                json!([short(Some(n)), short(Some(value))])
            }).collect::<Vec<_>>(),
            "finalists": findings.finalists,
        })
    }

    /// Every training: where and when it ran, and its curve. Lists of epochs are stored once.
    fn trainings(&self) -> Value {
        let records = self.page.records;
        let start = records.iter().map(|record| record.started).fold(f64::INFINITY, f64::min);
        let most = (CURVE_POINTS / records.len().max(1)).clamp(POINTS_A_CURVE.0, POINTS_A_CURVE.1);
        let mut epoch_lists: Vec<Vec<u64>> = Vec::new();
        let (mut epochs, mut losses, mut scores) = (Vec::new(), Vec::new(), Vec::new());
        for record in records {
            // The chart of curves omits the final comparison.
            let curve = if record.stage == Stage::Search { record.curve.as_slice() } else { &[] };
            let kept = thinned(curve, most);
            let list: Vec<u64> = kept.iter().map(|at| curve[*at].epoch).collect();
            let place = epoch_lists.iter().position(|known| *known == list).unwrap_or(epoch_lists.len());
            if place == epoch_lists.len() {
                epoch_lists.push(list);
            }
            epochs.push(place);
            losses.push(kept.iter().map(|at| short(curve[*at].val_loss)).collect::<Vec<_>>());
            scores.push(kept.iter().map(|at| short(curve[*at].val_score)).collect::<Vec<_>>());
        }
        let column = |of: &dyn Fn(&TrialRecord) -> Value| records.iter().map(of).collect::<Vec<_>>();
        json!({
            "trial": column(&|record| record.trial.into()),
            "seed": column(&|record| record.seed.to_string().into()),
            "final": column(&|record| u8::from(record.stage == Stage::Final).into()),
            "status": column(&|record| status_code(record.status).into()),
            "lane": column(&|record| record.queue.as_str().into()),
            "slot": column(&|record| record.slot.into()),
            "start": column(&|record| seconds(record.started - start)),
            "end": column(&|record| seconds(record.ended - start)),
            "epochs": epochs,
            "epoch_lists": epoch_lists,
            "loss": losses,
            "score": scores,
        })
    }
}

fn status_code(status: TrialStatus) -> usize {
    STATUSES.iter().position(|(known, _)| *known == status).unwrap_or(0)
}

fn status_name(status: TrialStatus) -> &'static str {
    STATUSES[status_code(status)].1
}
