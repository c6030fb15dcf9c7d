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
pub use lab::{Ask, Course, Lab, LabError, Plan, Point, Scored, log_spaced};

use serde_json::Value;

use crate::report::figure::Figure;
use crate::report::language::Text;

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
            Outcome::Holds => crate::text!("holds here", "在此成立"),
            Outcome::Fails => crate::text!("does not hold here", "在此不成立"),
            Outcome::Unclear => crate::text!("cannot be told here", "在此无法判断"),
        }
    }
}

/// The demonstration of this name.
pub fn find(name: &str) -> Option<&'static dyn Demo> {
    ALL.iter().copied().find(|demo| demo.name() == name)
}
