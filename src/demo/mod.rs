//! Demonstrations: each measures one claim about batch normalisation or tuning, and judges it by the measurement.
//!
//! To add one, implement [`Demo`] in a file here and add it to [`ALL`].

mod batch_size;
mod beta;
mod depth;
mod files;
mod gamma_beta;
mod grid_or_random;
mod inference;
mod init;
mod inputs;
mod lab;
mod learning_rate;
mod networks;
mod page;
mod paper;
mod regulariser;
mod sgd_or_adam;
mod shift;
pub(crate) mod statistics;
mod steps;
#[cfg(test)]
mod tests;

pub use files::{Files, result, write};
pub use lab::{Ask, Course, Lab, LabError, Plan, Point, Scored, Settings, Tally, log_spaced};

use serde_json::Value;

use crate::report::figure::Figure;
use crate::report::language::Text;
use crate::text;

/// Every demonstration, in reading order.
pub const ALL: &[&dyn Demo] = &[
    &paper::Paper,
    &steps::Steps,
    &learning_rate::LearningRate,
    &depth::Depth,
    &init::InitialWeights,
    &shift::Shift,
    &gamma_beta::GammaBeta,
    &regulariser::Regulariser,
    &batch_size::BatchSize,
    &inference::Inference,
    &inputs::Inputs,
    &grid_or_random::GridOrRandom,
    &beta::Beta,
    &sgd_or_adam::SgdOrAdam,
];

/// One claim, and how it is measured.
pub trait Demo: Sync {
    /// Its name on the command line.
    fn name(&self) -> &'static str;

    /// The claim, one sentence.
    fn claim(&self) -> Text;

    /// Fewest hidden layers that it needs; None if it has layers of its own and takes no `--hidden`.
    fn fewest_layers(&self) -> Option<usize> {
        Some(1)
    }

    /// Measures it.
    ///
    /// # Errors
    /// Faults of the device, or data that do not suit the measurement.
    fn run(&self, lab: &Lab) -> Result<Finding, LabError>;
}

/// The result of a demonstration.
#[derive(Clone, Debug)]
pub struct Finding {
    pub figure: Figure,
    /// Sentences that say what was trained and what the figure shows.
    pub caption: Text,
    /// The numbers as rows of cells; the first row is the heading.
    pub table: Vec<Vec<Text>>,
    pub verdict: Verdict,
    /// The numbers for other programs.
    pub numbers: Value,
}

/// Whether the claim holds here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub outcome: Outcome,
    /// One sentence, with the numbers that it rests on and their intervals.
    pub sentence: Text,
}

/// Whether a measurement supports a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It holds on these data, with these settings.
    Holds,
    /// It does not.
    Fails,
    /// The measurement is inconclusive.
    Unclear,
}

impl Outcome {
    /// The outcome in words.
    pub fn text(self) -> Text {
        match self {
            Outcome::Holds => text!("holds here", "在此成立"),
            Outcome::Fails => text!("does not hold here", "在此不成立"),
            Outcome::Unclear => text!("inconclusive here", "在此无法判断"),
        }
    }
}

/// Runs a demonstration. Its finding also says if no network learnt anything, and how many diverged.
///
/// # Errors
/// As [`Demo::run`].
pub fn measure(demo: &dyn Demo, lab: &Lab) -> Result<Finding, LabError> {
    lab.take_tally();
    let mut finding = demo.run(lab)?;
    let Tally { trained, diverged, best } = lab.take_tally();
    let (learnt, chance) = (lab.learnt()?, lab.chance()?);
    if best.is_none_or(|best| best < learnt) {
        let percent = |score: f64| format!("{:.2} %", 100.0 * score);
        let (best, learnt) = (best.map_or("-".into(), percent), percent(learnt));
        let chance = percent(chance);
        let nothing = text!(
            "No network clearly learnt anything: the best of {trained} scores {best}, chance is {chance}, and a score below {learnt} may be luck. ",
            "没有一个网络明确学到了东西：{trained} 个网络的最高得分为 {best}，随机水平为 {chance}，低于 {learnt} 的得分可能只是偶然。"
        );
        finding.verdict.outcome = Outcome::Unclear;
        finding.verdict.sentence = nothing + finding.verdict.sentence;
    }
    if diverged > 0 {
        finding.caption = finding.caption
            + text!(
                " {diverged} of the {trained} networks diverged (NaN or infinity).",
                "{trained} 个网络中有 {diverged} 个发散（出现 NaN 或无穷大）。"
            );
    }
    if lab.problem()?.is_regression() {
        finding.caption = finding.caption
            + text!(
                " Scores are R²: 100 % is a perfect fit, 0 % equals predicting the mean, and below 0 is worse.",
                "得分为 R²：100 % 为完美拟合，0 % 相当于始终预测均值，负值则更差。"
            );
    }
    Ok(finding)
}

/// The demonstration called `name`.
pub fn find(name: &str) -> Option<&'static dyn Demo> {
    ALL.iter().copied().find(|demo| demo.name() == name)
}
