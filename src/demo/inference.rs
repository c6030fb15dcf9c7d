//! Running statistics against those of the test batch.

use serde_json::json;

use super::statistics::{difference_of_rounded, mean, percent_pm, points_pm};
use super::{Course, Demo, Finding, Lab, LabError, Outcome, Plan, Point, Scored, Verdict, log_spaced};
use crate::base::text::count;
use crate::report::figure::{Axis, Colour, Figure, Panel, Shape};
use crate::report::language::Text;
use crate::spec::BatchNorm;
use crate::sweep::analysis::Estimate;
use crate::text;

pub struct Inference;

/// Weights of the new batch in the running statistics; [`USUAL`] is the index of the usual one.
const MOMENTA: [f64; 5] = [0.001, 0.01, 0.1, 0.3, 1.0];
const USUAL: usize = 2;
/// Rows of a test batch.
const BATCH: usize = 60;
/// Scores closer than this count as the same.
const SAME: f64 = 0.01;
const LR: f64 = 0.3;

/// The claim holds if running statistics are certainly at most a point worse at the end.
fn judge(running_less_batch: Option<Estimate>) -> Outcome {
    match running_less_batch {
        Some(Estimate { mean, ci95: Some(half) }) if mean - half > -SAME => Outcome::Holds,
        Some(Estimate { mean, ci95: Some(half) }) if mean + half < -SAME => Outcome::Fails,
        _ => Outcome::Unclear,
    }
}

impl Demo for Inference {
    fn name(&self) -> &'static str {
        "inference"
    }

    fn claim(&self) -> Text {
        text!(
            "At test time, the running mean and variance work as well as those of the test batch",
            "测试时，滑动平均的均值和方差与测试批次自身的统计量一样好"
        )
    }

    fn run(&self, lab: &Lab) -> Result<Finding, LabError> {
        let problem = lab.problem()?;
        let batch = BATCH.min(problem.split.test);
        let seeds = lab.seeds(8);
        let last = lab.pick(2_000, 10_000);
        let looks = log_spaced(last, 6);
        let one = |momentum: f64, seed: u64| {
            let mut training = lab.training(true, LR, seed);
            training.network.batch_norm = Some(BatchNorm { momentum, ..BatchNorm::default() });
            training
        };
        let trainings = MOMENTA.into_iter().flat_map(|m| seeds.iter().map(move |&seed| one(m, seed)));
        let plan = Plan { by_batch: Some(batch), ..Plan::new(trainings, &looks) };
        let courses = lab.train(problem, &plan, self.name())?;
        let groups: Vec<&[Course]> = courses.chunks_exact(seeds.len()).collect();
        let running = |point: &Point| Some(point.by_batch?[1]);
        let by_batch = |point: &Point| Some(point.by_batch?[0]);
        let curve = |courses: &[Course], of: &dyn Fn(&Point) -> Option<Scored>| -> Vec<(f64, f64)> {
            let at = |look: usize| mean(courses.iter().filter_map(|c| Some(of(&c.points[look])?.score)));
            looks.iter().enumerate().skip(1).map(|(look, &step)| (step as f64, at(look))).collect()
        };
        let axis = || Axis::log(text!("steps", "步数")).within(1.0, last as f64);
        let score = lab.score_label()?;
        let mut kinds = Panel::new(
            text!("momentum 0.1", "动量 0.1"),
            axis(),
            Axis::linear(score.clone()).within(0.0, 1.0),
        );
        kinds = kinds
            .with(
                text!("statistics of the test batch", "测试批次的统计量"),
                Colour::Grey,
                Shape::Dashed(curve(groups[USUAL], &by_batch)),
            )
            .with(
                text!("running statistics, momentum 0.1", "滑动统计量，动量 0.1"),
                Colour::nth(USUAL),
                Shape::Line(curve(groups[USUAL], &running)),
            );
        let mut momenta = Panel::new(
            text!("running statistics by momentum", "不同动量的滑动统计量"),
            axis(),
            Axis::linear(score).within(0.0, 1.0),
        );
        let mut table = vec![vec![
            text!("momentum", "动量"),
            text!("running, after 100 steps", "滑动，100 步后"),
            text!("running, at the end", "滑动，最终"),
            text!("test batch's own, at the end", "批次自身，最终"),
            text!("difference in points", "差（百分点）"),
        ]];
        let early = looks.iter().position(|&step| step >= 100).unwrap_or(looks.len() - 1);
        let at = |courses: &[Course], look: usize, of: &dyn Fn(&Point) -> Option<Scored>| -> Vec<f64> {
            courses.iter().filter_map(|c| Some(of(&c.points[look])?.score)).collect()
        };
        let end = looks.len() - 1;
        let step = lab.score_step()?;
        let mut differences = Vec::new();
        for (number, (momentum, courses)) in MOMENTA.iter().zip(&groups).enumerate() {
            let name = text!("running statistics, momentum {momentum}", "滑动统计量，动量 {momentum}");
            momenta = momenta.with(name, Colour::nth(number), Shape::Line(curve(courses, &running)));
            let (own, its) = (at(courses, end, &running), at(courses, end, &by_batch));
            let gap = difference_of_rounded(&its, &own, step);
            let row = [percent_pm(&at(courses, early, &running)), percent_pm(&own), percent_pm(&its)];
            let gap_text = gap.as_ref().map_or("-".into(), points_pm);
            let cells = [momentum.to_string()].into_iter().chain(row).chain([gap_text]);
            table.push(cells.map(Text::same).collect());
            differences.push(gap);
        }
        let outcome = judge(differences[USUAL]);
        let gap = differences[USUAL].as_ref().map_or("-".into(), points_pm);
        let slow = percent_pm(&at(groups[0], early, &running));
        let usual = percent_pm(&at(groups[USUAL], early, &running));
        let early_steps = count(looks[early]);
        let sentence = text!(
            "With the usual momentum of 0.1, the score with running statistics differs by {gap} points from the score with the statistics of test batches of {batch} rows (one point less is allowed); after {early_steps} steps, running statistics give {usual}, and {slow} with a momentum of 0.001, which leaves them near their initial values.",
            "动量取常用的 0.1 时，用滑动统计量的最终得分与用测试批次（{batch} 个样本）自身统计量的得分相差 {gap} 个百分点（允许低一个百分点）；{early_steps} 步后，滑动统计量的得分为 {usual}，而动量为 0.001 时它们几乎仍停留在初值，得分为 {slow}。"
        );
        let (n, steps) = (seeds.len(), count(last));
        let caption = lab.layers()
            + text!(
                " sigmoid units with BN, batches of 60, gradient descent with α = {LR}, {steps} steps, means of {n} seeds. Momentum is the weight of the new batch. A single row has no batch statistics: a model that predicts single rows needs the running ones.",
                "有 BN 的 sigmoid 单元，批量大小 60，α = {LR} 的梯度下降，{steps} 步，{n} 个种子的平均。动量指新批次的权重。单个样本没有批次统计量：要对单个样本作预测，就需要滑动统计量。"
            );
        Ok(Finding {
            figure: Figure { panels: vec![momenta, kinds], columns: 2 },
            caption,
            table,
            verdict: Verdict { outcome, sentence },
            numbers: json!({ "seeds": seeds, "momenta": MOMENTA, "running_less_batch": differences }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_claim_holds_within_one_point() {
        let sure = |mean: f64| Some(Estimate { mean, ci95: Some(0.002) });
        assert_eq!(judge(sure(0.0)), Outcome::Holds);
        assert_eq!(judge(sure(-0.05)), Outcome::Fails);
        assert_eq!(judge(sure(-0.011)), Outcome::Unclear);
        assert_eq!(judge(None), Outcome::Unclear);
    }
}
