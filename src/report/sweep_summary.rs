//! The summary of a sweep in the terminal: how the trials ended, the best ones with their uncertainty, and what to do
//! next.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use super::Status;
use crate::base::shell_word;
use crate::base::text::{
    Align, SHOWN, columns, count, counted, duration, in_line, listed, number, percent, rate, wrapped,
};
use crate::run::Score;
use crate::spec::{Objective, Params};
use crate::sweep::Ensemble;
use crate::sweep::analysis::{Analysis, BudgetKind, Estimate, Unfinished, Unit, Winner, short};

/// Columns of a line.
const WIDTH: usize = 80;
/// Lines of the table of trials.
const TOP: usize = 5;
/// Characters of a bar of 100 %.
const BAR: f64 = 25.0;

/// The findings as text of at most 80 columns.
#[derive(Clone, Copy, Debug)]
pub struct SweepSummary<'a> {
    pub analysis: &'a Analysis,
    pub status: Status,
    /// Folder of the sweep.
    pub run: &'a str,
    /// Seconds of the whole sweep.
    pub wall_s: f64,
    /// Trainings that ended in earlier processes.
    pub earlier: u64,
    /// Folder of the winner's best model, if it was kept.
    pub model: Option<&'a Path>,
    /// The ensemble of the kept models, if there is one.
    pub ensemble: Option<&'a Ensemble>,
    /// Maximum number of trials in the final comparison.
    pub finalists: u32,
    /// Whether this is one shard of a sweep.
    pub shard: bool,
    /// Trainings of the final comparison that ended, and all of them, if the user ended it before.
    pub finals_left: Option<(u64, u64)>,
    /// The time limit, if it left out trials, and how many trials there were to be if that was asked.
    pub limit: Option<(Duration, Option<u64>)>,
}

impl fmt::Display for SweepSummary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if self.status == Status::Interrupted {
            writeln!(f, "interrupted; `bngpu resume` continues. Results so far:")?;
        }
        self.counts(f)?;
        if !self.analysis.ranking.is_empty() {
            write!(f, "\n{}", self.top())?;
        }
        // An unfinished search has no winner.
        if self.status == Status::Interrupted {
            return self.next(f);
        }
        match &self.analysis.winner {
            Some(winner) => self.winner(f, winner)?,
            None if self.analysis.counts.diverged > 0 => {
                writeln!(f, "\nno trial has a value: all diverged or failed; try a smaller --lr, or --bn")?
            }
            None => writeln!(f, "\nno trial has a value, so there is no best trial")?,
        }
        self.ensemble(f)?;
        self.importance(f)?;
        let mut heading = "note    ";
        for edge in &self.analysis.edges {
            let doubt = if self.analysis.may_not_matter(&edge.key) { " (it may not matter)" } else { "" };
            if heading.starts_with("note") {
                writeln!(f)?;
            }
            writeln!(f, "{}", wrapped(heading, &format!("{}{doubt}", edge.warning), WIDTH))?;
            heading = "        ";
        }
        if let Some(more) = self.worth() {
            writeln!(f, "\n{}", wrapped("more    ", &more, WIDTH))?;
        }
        self.next(f)
    }
}

impl SweepSummary<'_> {
    fn counts(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let (counts, work) = (&self.analysis.counts, &self.analysis.work);
        let ends = [
            (counts.completed, "completed"),
            (counts.stopped, "stopped"),
            (counts.diverged, "diverged"),
            (counts.failed, "failed"),
        ];
        let ends: Vec<String> =
            ends.iter().filter(|(n, _)| *n > 0).map(|(n, end)| format!("{} {end}", count(*n))).collect();
        let ends = if ends.is_empty() { "none has ended".into() } else { ends.join(", ") };
        writeln!(f, "{}: {ends}", counted(counts.trials, "trial"))?;
        if let Some((limit, _)) = self.limit.filter(|_| counts.trials == 0) {
            let limit = humantime::format_duration(limit);
            writeln!(f, "--max-time {limit} is too short to train anything; use a longer one")?;
        } else if let Some((limit, of)) = self.limit {
            let trials = match of {
                Some(of) => format!("{} of {}", count(counts.trials), counted(of, "trial")),
                None => counted(counts.trials, "trial"),
            };
            writeln!(f, "--max-time {} left time for {trials}", humantime::format_duration(limit))?;
        }
        if let Some((ended, of)) = self.finals_left {
            let (ended, of) = (count(ended), counted(of, "training"));
            let text = format!(
                "the final comparison was ended early, after {ended} of {of}; what is unfinished does not count, and \
                 `bngpu resume` finishes it"
            );
            writeln!(f, "{}", wrapped("", &text, WIDTH))?;
        }
        if counts.diverged > 0 && counts.trainings > counts.trials {
            writeln!(f, "a trial counts as diverged if any of its seeds diverged")?;
        }
        let trainings = counts.trainings + counts.final_trainings;
        let now = trainings.saturating_sub(self.earlier);
        let speed = now as f64 / self.wall_s;
        let (speed, unit) = if speed < 0.995 { (60.0 * speed, "min") } else { (speed, "s") };
        let speed = if speed < 99.95 { format!("{speed:.1}") } else { rate(speed) };
        let mut line = counted(trainings, "training");
        if self.earlier > 0 {
            line += &format!(", {} new", count(now));
        }
        line += &format!(" in {}", duration(self.wall_s));
        line += &format!(" ({speed} models/{unit})");
        if let Some(slots) = work.slots.as_ref().filter(|slots| slots.count > 1) {
            line += &format!(", {:.1} of {} slots in use", slots.mean, count(slots.count));
        }
        writeln!(f, "{line}")?;
        if work.halving_saved > 0 {
            let unit = if work.unit == Unit::Epochs { "epochs" } else { "steps" };
            let share = 100.0 * work.halving_saved as f64 / work.full as f64;
            let (trained, full) = (count(work.trained), count(work.full));
            writeln!(
                f,
                "halving saved {share:.0} % of the {unit}: {trained} were trained instead of {full}"
            )?;
        }
        Ok(())
    }

    /// "val loss", "val accuracy" or "val R²".
    fn objective(&self) -> &'static str {
        match (self.analysis.objective, self.analysis.regression) {
            (Objective::ValLoss, _) => "val loss",
            (Objective::ValAcc, false) => "val accuracy",
            (Objective::ValAcc, true) => "val R²",
        }
    }

    /// Whether the objective is shown as a percentage.
    fn in_percent(&self) -> bool {
        self.analysis.objective == Objective::ValAcc && !self.analysis.regression
    }

    fn top(&self) -> String {
        let mut rows = vec![["", "trial", "", self.objective(), "epochs"].map(String::from).to_vec()];
        let ranking = &self.analysis.ranking;
        for (place, trial) in ranking.iter().filter(|trial| trial.is_ranked()).take(TOP).enumerate() {
            let value = trial.value.map(|mean| Estimate { mean, ci95: trial.ci95 });
            rows.push(vec![
                (place + 1).to_string(),
                trial.trial.to_string(),
                cut(&self.settings(&trial.params), 42),
                estimate(value, self.in_percent()),
                count(trial.epochs),
            ]);
        }
        if rows.len() == 1 {
            return String::new();
        }
        columns(&rows, &[Align::Right, Align::Right, Align::Left, Align::Right, Align::Right])
    }

    /// "lr 0.001, hidden 128-64", the most important first.
    fn settings(&self, params: &Params) -> String {
        let shares = &self.analysis.importance.shares;
        let known = shares.iter().map(|share| share.key.as_str());
        let others =
            params.keys().map(String::as_str).filter(|key| shares.iter().all(|share| share.key != *key));
        let texts = known.chain(others).filter_map(|key| Some(format!("{key} {}", value(params.get(key)?)?)));
        texts.collect::<Vec<_>>().join(", ")
    }

    fn winner(&self, f: &mut fmt::Formatter, winner: &Winner) -> fmt::Result {
        let percent = self.in_percent();
        let say = |f: &mut fmt::Formatter, text: &str| writeln!(f, "{}", wrapped("        ", text, WIDTH));
        let settings = self.settings(&winner.params);
        let best = format!("trial {}: {settings}", winner.trial);
        writeln!(f, "\n{}", wrapped("best    ", &best, WIDTH))?;
        let value = Estimate { mean: winner.value, ci95: winner.val_ci95 };
        let seeds = counted(winner.seeds.len() as u64, if winner.confirmed { "new seed" } else { "seed" });
        let mut line = format!("{} {} ({seeds})", self.objective(), estimate(Some(value), percent));
        if let (Objective::ValLoss, Some(accuracy)) = (self.analysis.objective, winner.val_acc) {
            line += &format!(", accuracy {}", self::percent(accuracy));
        }
        say(f, &line)?;
        let tests = [("loss", winner.test_loss, false), ("accuracy", winner.test_acc, true)];
        let tests =
            tests.into_iter().chain([("rmse", winner.test_rmse, false), ("R²", winner.test_r2, false)]);
        let tests: Vec<String> = tests
            .filter_map(|(name, test, percent)| Some(format!("{name} {}", estimate(Some(test?), percent))))
            .collect();
        if !tests.is_empty() {
            say(f, &format!("test {}", tests.join(", ")))?;
        }
        if let Some(Unfinished { at, of, unit }) = winner.unfinished {
            let unit = unit.singular();
            let text = format!(
                "no training finished its schedule: this is the best of the unfinished ones, at {unit} {} of {}",
                count(at),
                count(of)
            );
            say(f, &text)?;
        }
        if !winner.confirmed {
            let remedy = match () {
                () if self.shard => {
                    "`bngpu merge` joins the shards, then `bngpu resume` trains the finalists"
                }
                () if self.status == Status::Stopped && self.finalists > 0 => {
                    "`bngpu resume` trains the best trials again with new seeds"
                }
                () => "--finalists trains the best trials again with new seeds",
            };
            say(
                f,
                &format!("not confirmed: these values chose the trial, so they are optimistic; {remedy}"),
            )?;
        }
        if !winner.ties.is_empty() {
            say(f, &format!("indistinguishable from {}", trials(&winner.ties)))?;
        }
        if winner.confirmed && winner.seeds.len() < 2 {
            say(f, "one new seed gives no interval; use --final-seeds 3 or more to compare finalists")?;
        }
        if let Some(search) = winner.optimism.search {
            let mut line = format!("optimism gap: search {}", signed(search, percent));
            if let Some(test) = winner.optimism.test {
                line += &format!(", validation against test {}", signed(test, percent));
            }
            say(f, &line)?;
        }
        self.finals(f)
    }

    fn finals(&self, f: &mut fmt::Formatter) -> fmt::Result {
        if self.analysis.finals.len() < 2 {
            return Ok(());
        }
        let score = if self.analysis.regression { "test R²" } else { "test accuracy" };
        let mut rows = vec![["", "trial", self.objective(), score, "behind"].map(String::from).to_vec()];
        for (place, trial) in self.analysis.finals.iter().enumerate() {
            rows.push(vec![
                (place + 1).to_string(),
                trial.trial.to_string(),
                estimate(trial.value, self.in_percent()),
                trial
                    .test_acc
                    .map_or_else(|| estimate(trial.test_r2, false), |test| estimate(Some(test), true)),
                trial.behind.map_or_else(String::new, |behind| estimate(Some(behind), self.in_percent())),
            ]);
        }
        write!(f, "\n{}", columns(&rows, &[Align::Right; 5]))
    }

    fn ensemble(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Some(ensemble) = self.ensemble else { return Ok(()) };
        let (models, of) = (ensemble.shares.len(), ensemble.of);
        writeln!(f, "\nensemble of {models} of the {of} kept models, weighted on the validation rows")?;
        let mut lines = vec![format!(
            "val loss {}; the best alone {}",
            number(ensemble.val_loss),
            number(ensemble.val_loss_alone)
        )];
        if let Some((loss, score)) = ensemble.test {
            let score = match score {
                Score::Accuracy(accuracy) => format!("accuracy {}", percent(accuracy)),
                Score::Regression { rmse, r2 } => format!("rmse {}, R² {}", number(rmse), number(r2)),
            };
            lines.push(format!("test loss {}, {score}", number(loss)));
        }
        lines.iter().try_for_each(|line| writeln!(f, "{}", wrapped("        ", line, WIDTH)))
    }

    fn importance(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let found = &self.analysis.importance;
        if found.shares.iter().all(|share| share.share.is_none()) {
            return Ok(());
        }
        let after =
            found.at_epoch.map(|epoch| format!(" after {}", counted(epoch, "epoch"))).unwrap_or_default();
        writeln!(f, "\nshare of the variance (of the rank by {}{after}), 95 % interval", self.objective())?;
        let whole = |share: f64| format!("{:.0}", 100.0 * share);
        let mut rows: Vec<Vec<String>> = Vec::new();
        for share in &found.shares {
            let Some(value) = share.share else {
                rows.push(vec![share.key.clone(), "?".into()]);
                continue;
            };
            let interval = share.ci95.map(|[low, high]| format!("{} to {} %", whole(low), whole(high)));
            let bar = "#".repeat((BAR * value).round() as usize);
            rows.push(vec![share.key.clone(), whole(value) + " %", interval.unwrap_or_default(), bar]);
        }
        if let Some(rest) = found.rest {
            rows.push(vec!["interactions, seeds".into(), whole(rest) + " %"]);
        }
        f.write_str(&columns(&rows, &[Align::Left, Align::Right, Align::Right, Align::Left]))
    }

    fn worth(&self) -> Option<String> {
        let worth = self.analysis.budget.worth?;
        let percent = self.in_percent();
        let (from, to) = (count(worth.from), count(worth.to));
        let objective = self.objective();
        if self.analysis.budget.kind == BudgetKind::Observed {
            let gain = difference(worth.gain, percent);
            return Some(format!("from {from} to {to} trials the best {objective} improved by {gain}"));
        }
        let gain = difference(worth.gain, percent);
        let interval = worth.gain_ci95.map(|[low, high]| {
            format!(" (95 %: {} to {})", difference(low, percent), difference(high, percent))
        });
        let last = format!(
            "from {from} to {to} trials the expected best {objective} improved by {gain}{}",
            interval.unwrap_or_default()
        );
        Some(match worth.next_gain {
            Some(next) => format!("{last}; as many again may bring {}", difference(next, percent)),
            None => format!("{last}; to go beyond this grid, add values"),
        })
    }

    fn next(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let run = shell_word(self.run);
        writeln!(f, "\nrun     {}", in_line(self.run))?;
        let page = Path::new(self.run).join("report.html").display().to_string();
        writeln!(f, "page    {}", in_line(&page))?;
        let mut lines = Vec::new();
        if self.status == Status::Interrupted {
            lines.push(format!("bngpu resume {run}"));
        } else {
            if self.finals_left.is_some() {
                lines.push(format!("bngpu resume {run} (finishes the final comparison)"));
            }
            if let Some(ensemble) = self.ensemble {
                let run = shell_word(&ensemble.run.display().to_string());
                lines.push(format!("bngpu predict {run} --data FILE (the ensemble)"));
            }
            if let Some(model) = self.model {
                lines.push(format!("bngpu predict {} --data FILE", shell_word(&model.display().to_string())));
            }
            if let Some(winner) = &self.analysis.winner {
                // The seed of the model that is named above.
                let seed = self.model.and_then(|model| model.to_str()?.rsplit_once("-seed-"));
                let seed = seed.map_or(String::new(), |(_, seed)| format!(" --seed {seed}"));
                lines.push(format!("bngpu repro {run} --trial {}{seed}", winner.trial));
            }
            if self.shard {
                lines.push("bngpu merge SHARD... -o DIR, when all shards have ended".into());
            }
        }
        let heads = std::iter::once("next").chain(std::iter::repeat(""));
        lines.iter().zip(heads).try_for_each(|(line, head)| writeln!(f, "{head:<8}{line}"))
    }
}

/// "0.0912 ± 0.0031", "97.22 ± 0.31 %", or without an interval.
fn estimate(found: Option<Estimate>, percent: bool) -> String {
    let Some(found) = found else { return "?".into() };
    match (percent, found.ci95) {
        (false, None) => number(found.mean),
        (false, Some(half)) => format!("{} ± {}", number(found.mean), number(half)),
        (true, None) => self::percent(found.mean),
        (true, Some(half)) => format!("{:.2} ± {:.2} %", 100.0 * found.mean, 100.0 * half),
    }
}

/// "0.0120", or "1.20 points" (percentage points).
fn difference(x: f64, percent: bool) -> String {
    if percent { format!("{:.2} points", 100.0 * x) } else { number(x) }
}

fn signed(x: f64, percent: bool) -> String {
    let sign = if x >= 0.0 { "+" } else { "" };
    format!("{sign}{}", difference(x, percent))
}

/// "trial 4", "trials 4 and 7", "trials 1, 4 and 7".
fn trials(all: &[u64]) -> String {
    let names: Vec<String> = all.iter().map(u64::to_string).collect();
    match names.split_last() {
        Some((last, [])) => format!("trial {last}"),
        Some(_) if names.len() > SHOWN => format!("trials {}", listed(&names)),
        Some((last, others)) => format!("trials {} and {last}", others.join(", ")),
        None => "none".into(),
    }
}

/// A hyperparameter's value as typed; none for null.
fn value(value: &serde_json::Value) -> Option<String> {
    Some(match value {
        serde_json::Value::Null => return None,
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Bool(on) => (if *on { "on" } else { "off" }).into(),
        other => other.as_f64().map_or_else(|| other.to_string(), |x| short(significant(x))),
    })
}

/// Rounded to four significant digits; whole numbers stay exact.
fn significant(x: f64) -> f64 {
    if x.fract() == 0.0 { x } else { format!("{x:.3e}").parse().unwrap_or(x) }
}

/// At most `width` characters; a text that was cut ends with "…".
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.into();
    }
    text.chars().take(width - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests;
