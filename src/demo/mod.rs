//! Demonstrations: each measures one claim about batch normalisation or tuning, and judges it by what it measured.
//!
//! To add one: a file here with a type that is a [`Demo`], and a line in [`ALL`].

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
mod statistics;
mod steps;
#[cfg(test)]
mod tests;

pub use files::{Files, result, write};
pub use lab::{Ask, Course, Lab, LabError, Plan, Point, Scored, Settings, Tally, log_spaced};

use serde_json::Value;

use crate::report::figure::Figure;
use crate::report::language::Text;
use crate::text;

/// Every demonstration, in the order in which they are best read.
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
    /// On the command line.
    fn name(&self) -> &'static str;

    /// The claim, one sentence.
    fn claim(&self) -> Text;

    /// Hidden layers that its networks have at least; none if they have layers of their own whatever was asked for.
    fn fewest_layers(&self) -> Option<usize> {
        Some(1)
    }

    /// Measures it.
    ///
    /// # Errors
    /// Of the device, or where the data do not allow it.
    fn run(&self, lab: &Lab) -> Result<Finding, LabError>;
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Finding {
    pub figure: Figure,
    /// What was trained, and what the figure shows: sentences.
    pub caption: Text,
    /// The numbers, a row each; the first row is the heading.
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

/// What a measurement says of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It holds on these data, with these settings.
    Holds,
    /// It does not.
    Fails,
    /// The measurement cannot tell.
    Unclear,
}

impl Outcome {
    /// In words.
    pub fn text(self) -> Text {
        match self {
            Outcome::Holds => text!("holds here", "在此成立"),
            Outcome::Fails => text!("does not hold here", "在此不成立"),
            Outcome::Unclear => text!("inconclusive here", "在此无法判断"),
        }
    }
}

/// Measures a demonstration; and says what holds for all of them: whether anything was learnt, and who diverged.
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
            "No network surely learnt anything here: the best of {trained} scores {best}, guessing {chance}, and below {learnt} it may be luck. ",
            "这里没有网络确实学到东西：{trained} 个网络中最好的得分为 {best}，猜测为 {chance}，低于 {learnt} 可能只是运气。"
        );
        finding.verdict.outcome = Outcome::Unclear;
        finding.verdict.sentence = nothing + finding.verdict.sentence;
    }
    if diverged > 0 {
        finding.caption = finding.caption
            + text!(
                " {diverged} of the {trained} networks diverged: they became infinite.",
                "{trained} 个网络中有 {diverged} 个发散（变为无穷大）。"
            );
    }
    if lab.problem()?.is_regression() {
        finding.caption = finding.caption
            + text!(
                " Scores are R²: 100 % is a perfect fit, 0 % the mean, and below 0 worse than that.",
                "得分为 R²：100 % 为完美拟合，0 % 为取均值，低于 0 则更差。"
            );
    }
    Ok(finding)
}

/// The demonstration of this name.
pub fn find(name: &str) -> Option<&'static dyn Demo> {
    ALL.iter().copied().find(|demo| demo.name() == name)
}
