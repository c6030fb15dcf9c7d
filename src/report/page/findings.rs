//! The results of a sweep's analysis, as the page shows them.

use serde::Serialize;

use crate::base::text::{listed, number};
use crate::spec::Objective;
use crate::sweep::analysis::{self, Analysis, Estimate, Unfinished, Winner};

/// Conclusions about a sweep. Values are of the objective; the page omits empty parts.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Findings {
    /// Number of the best trial; if none, the page takes the best mean over seeds.
    pub winner: Option<u64>,
    /// Names and values of the headline: winner, mean with its interval, test, optimism gap.
    pub headline: Vec<(String, String)>,
    pub importance: Vec<Importance>,
    /// One sentence each.
    pub warnings: Vec<String>,
    /// (trials tried, expected value of the best of them).
    pub expected_best: Vec<(f64, f64)>,
    /// Best first.
    pub finalists: Vec<Finalist>,
}

/// How much of the objective's variance a hyperparameter explains, alone.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Importance {
    pub key: String,
    /// 0 to 1.
    pub share: f64,
    /// 95 % interval.
    pub low: f64,
    pub high: f64,
}

/// A trial that was trained again with new seeds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Finalist {
    pub trial: u64,
    /// New seeds.
    pub seeds: u32,
    pub val: Interval,
    pub test: Option<Interval>,
}

/// A mean and its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    pub mean: f64,
    pub low: f64,
    pub high: f64,
}

impl From<&Analysis> for Findings {
    fn from(analysis: &Analysis) -> Findings {
        let interval = |found: Estimate| {
            let half = found.ci95.unwrap_or(f64::NAN);
            Interval { mean: found.mean, low: found.mean - half, high: found.mean + half }
        };
        let regression = analysis.regression;
        let finalists = analysis.finals.iter().filter_map(|finalist| {
            let test = match analysis.objective {
                Objective::ValLoss => finalist.test_loss,
                Objective::ValAcc if regression => finalist.test_r2,
                Objective::ValAcc => finalist.test_acc,
            };
            Some(Finalist {
                trial: finalist.trial,
                seeds: finalist.seeds.len() as u32,
                val: interval(finalist.value?),
                test: test.map(interval),
            })
        });
        let share = |share: &analysis::Share| {
            let [low, high] = share.ci95.unwrap_or([f64::NAN; 2]);
            Some(Importance { key: share.key.clone(), share: share.share?, low, high })
        };
        Findings {
            winner: analysis.winner.as_ref().map(|winner| winner.trial),
            headline: analysis.winner.as_ref().map(|winner| headline(analysis, winner)).unwrap_or_default(),
            importance: analysis.importance.shares.iter().filter_map(share).collect(),
            warnings: analysis.edges.iter().map(|edge| edge.warning.clone()).collect(),
            expected_best: analysis.budget.points.iter().map(|p| (p.trials as f64, p.best)).collect(),
            finalists: finalists.collect(),
        }
    }
}

/// The headline about the winner.
fn headline(analysis: &Analysis, winner: &Winner) -> Vec<(String, String)> {
    let plus_minus = |mean: f64, half: Option<f64>, percent: bool| {
        let one = |x: f64| if percent { format!("{:.2} %", 100.0 * x) } else { number(x) };
        half.map_or_else(|| one(mean), |half| format!("{} ± {}", one(mean), one(half)))
    };
    let acc = analysis.objective == Objective::ValAcc && !analysis.regression;
    let name = match (analysis.objective, analysis.regression) {
        (Objective::ValLoss, _) => "validation loss",
        (Objective::ValAcc, false) => "validation accuracy",
        (Objective::ValAcc, true) => "validation R²",
    };
    let seeds = if winner.confirmed { "new seeds" } else { "not confirmed" };
    let n = winner.seeds.len();
    let mut lines = vec![
        ("winner".to_owned(), format!("trial {}", winner.trial)),
        (format!("{name} ({n} {seeds})"), plus_minus(winner.value, winner.val_ci95, acc)),
    ];
    if let Some(Unfinished { at, of, unit }) = winner.unfinished {
        let unit = unit.singular();
        lines.push(("no training finished; the best stands at".into(), format!("{unit} {at} of {of}")));
    }
    let mut put = |name: &str, found: Option<Estimate>, percent: bool| {
        if let Some(found) = found {
            lines.push((name.into(), plus_minus(found.mean, found.ci95, percent)));
        }
    };
    put("test accuracy", winner.test_acc, true);
    put("test rmse", winner.test_rmse, false);
    put("test R²", winner.test_r2, false);
    if let Some(gap) = winner.optimism.search {
        lines.push(("optimism of the search".into(), plus_minus(gap, None, acc)));
    }
    if !winner.ties.is_empty() {
        let ties: Vec<String> = winner.ties.iter().map(u64::to_string).collect();
        lines.push(("indistinguishable from".into(), format!("trial {}", listed(&ties))));
    }
    lines
}
