//! Batch normalisation with very small batches, where it breaks down.

use std::ops::Neg;

use serde_json::json;

use super::networks::{ADAM, BOTH, colour, dots, name, steps_of, with_activation};
use super::statistics::{all_above_zero, difference_of_rounded, mean, percent_pm, points_pm};
use super::{Course, Demo, Finding, Lab, LabError, Outcome, Plan, Verdict};
use crate::base::text::count;
use crate::report::figure::{Axis, Figure, Panel, Shape};
use crate::report::language::Text;
use crate::spec::{Activation, Training};
use crate::sweep::analysis::Estimate;
use crate::text;

pub struct BatchSize;

const SIZES: [usize; 10] = [2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];
/// Index of a usual size, 64.
const USUAL: usize = 5;
const LR: f64 = 1e-3;

/// The smallest size from which on BN is never clearly worse.
fn recovers(sizes: &[usize], behind: &[Option<Estimate>]) -> Option<usize> {
    let is_behind = |e: &Option<Estimate>| e.is_some_and(|e| e.is_below_zero());
    let first = behind.iter().rposition(is_behind).map_or(0, |last| last + 1);
    sizes.get(first).copied()
}

impl Demo for BatchSize {
    fn name(&self) -> &'static str {
        "batch-size"
    }

    fn claim(&self) -> Text {
        text!(
            "BN breaks down in very small batches: the statistics of two rows mean little",
            "批量很小时 BN 会失效：两个样本的统计量几乎没有意义"
        )
    }

    fn run(&self, lab: &Lab) -> Result<Finding, LabError> {
        let problem = lab.problem()?;
        let seeds = lab.seeds(5);
        let epochs = lab.pick(10, 3);
        let rows = problem.split.train;
        // A batch cannot have more rows than the data.
        let sizes: Vec<usize> = SIZES.into_iter().filter(|&size| size <= rows).collect();
        let mut plan = Plan::default();
        for bn in BOTH {
            for &size in &sizes {
                for &seed in &seeds {
                    let base = with_activation(lab.training(bn, LR, seed), Activation::Relu);
                    let training = Training { optimizer: ADAM, batch_size: size, ..base };
                    plan.members.push((training, vec![steps_of(epochs, rows, size)]));
                }
            }
        }
        let courses = lab.train(problem, &plan, self.name())?;
        let scores: Vec<Vec<f64>> = courses
            .chunks_exact(seeds.len())
            .map(|courses| courses.iter().map(Course::final_score).collect())
            .collect();
        let (plain, normalized) = scores.split_at(sizes.len());
        let step = lab.score_step()?;
        let behind: Vec<Option<Estimate>> =
            plain.iter().zip(normalized).map(|(plain, bn)| difference_of_rounded(plain, bn, step)).collect();

        let mut panel = Panel::new(
            text!("score by batch size", "不同批量大小的得分"),
            Axis::log(text!("batch size", "批量大小")),
            lab.score_axis()?,
        );
        let mut table = vec![
            [text!("batch size", "批量大小")]
                .into_iter()
                .chain(sizes.iter().map(|&n| Text::same(count(n as u64))))
                .collect(),
        ];
        for (bn, scores) in [(false, plain), (true, normalized)] {
            let at = sizes.iter().zip(scores);
            let points = at.clone().map(|(&n, y)| (n as f64, mean(y.iter().copied()))).collect();
            let band = at.map(|(&n, y)| {
                let (low, high) =
                    y.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &y| (l.min(y), h.max(y)));
                (n as f64, low, high)
            });
            panel = panel.with(Text::default(), colour(bn), Shape::Band(band.collect()));
            panel = panel.with(name(bn), colour(bn), dots(bn, points));
            let row = scores.iter().map(|y| Text::same(percent_pm(y)));
            table.push([name(bn)].into_iter().chain(row).collect::<Vec<Text>>());
        }
        let outcome = all_above_zero(&[behind[0].map(Estimate::neg)]);
        let two = behind[0].as_ref().map_or("-".into(), points_pm);
        let usual = behind.get(USUAL).and_then(Option::as_ref).map_or("-".into(), points_pm);
        let sentence = text!(
            "BN changes the score by {two} points at batch size 2 and by {usual} at batch size 64",
            "BN 带来的得分变化：批量大小为 2 时 {two} 个百分点，为 64 时 {usual} 个百分点"
        );
        // Says nothing if small batches are inconclusive or a size has no interval.
        let told = outcome != Outcome::Unclear
            && behind.iter().flatten().all(|e| e.ci95.is_some_and(f64::is_finite));
        let rest = match recovers(&sizes, &behind).filter(|_| told) {
            Some(n) => {
                text!("; from size {n} on it is never clearly worse.", "；从 {n} 起不再明显变差。")
            }
            None => text!(".", "。"),
        };
        let sentence = sentence + rest;
        let n = seeds.len();
        let caption = lab.layers()
            + text!(
                " ReLU units, Adam with α = {LR}, {epochs} epochs at every batch size, so all networks see the same number of rows; {n} seeds: mean and range.",
                " ReLU 单元，Adam，α = {LR}，每种批量大小都训练 {epochs} 轮，因此所见样本数相同；{n} 个种子的均值与取值范围。"
            );
        Ok(Finding {
            figure: Figure { panels: vec![panel], columns: 1 },
            caption,
            table,
            verdict: Verdict { outcome, sentence },
            numbers: json!({ "seeds": seeds, "sizes": sizes, "without": plain, "with": normalized, "difference": behind }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bn_recovers_above_the_last_size_at_which_it_is_worse() {
        let sure = |mean: f64| Some(Estimate { mean, ci95: Some(0.01) });
        assert_eq!(recovers(&SIZES, &[sure(-0.2), sure(-0.1), sure(0.0), sure(0.1)]), Some(8));
        assert_eq!(recovers(&SIZES, &[sure(0.2)]), Some(2));
        assert_eq!(recovers(&SIZES, &[sure(-0.2); 10]), None);
        assert_eq!(recovers(&SIZES[..2], &[sure(0.1), sure(-0.2)]), None, "no larger size was tried");
    }
}
