//! What an analysis of a sweep found, as the page shows it.

use serde::Serialize;

/// Conclusions about a sweep. Values are those of the objective; what is empty is left out of the page.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Findings {
    /// Number of the best trial; none is decided by the mean over its seeds.
    pub winner: Option<u64>,
    /// Names and values to stand first: winner, mean with its interval, test, optimism gap.
    pub headline: Vec<(String, String)>,
    pub importance: Vec<Importance>,
    /// Sentences.
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
