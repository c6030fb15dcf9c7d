//! Figure 1 of Ioffe & Szegedy 2015 (arXiv 1502.03167, section 4.1).

use serde_json::json;

use super::networks::{colour, name};
use super::statistics::{
    all_above_zero, difference, difference_of_rounded, mean, number_pm, percent_pm, points_pm,
};
use super::{Course, Demo, Finding, Lab, LabError, Plan, Verdict, log_spaced};
use crate::base::text::count;
use crate::report::figure::{Axis, Colour, Figure, Panel, Shape};
use crate::report::language::Text;
use crate::spec::Init;
use crate::text;

/// Steps of the paper, and for small data, which a network memorises much sooner.
const STEPS: [u64; 2] = [50_000, 10_000];
/// Seeds for each of them; small data have few test rows.
const SEEDS: [u32; 2] = [3, 8];
/// Most training rows of small data.
const SMALL: usize = 10_000;
/// Number of evenly spaced looks; the paper's axes are linear.
const LOOKS: u64 = 100;
/// The same for all networks, as in the paper, which gives neither the rate nor the scale of its "small random
/// Gaussian values".
const LR: f64 = 1.0;
const STD: f64 = 0.01;
/// Steps at which the networks are compared.
const COMPARED: [u64; 2] = [1_000, 10_000];
/// Indices of the 15th, 50th and 85th percentiles.
const SHOWN: [usize; 3] = [1, 2, 3];

pub struct Paper;

impl Demo for Paper {
    fn name(&self) -> &'static str {
        "paper"
    }

    fn claim(&self) -> Text {
        text!(
            "Figure 1 of the paper: with BN the network learns faster and better, and the inputs of its sigmoids keep their distribution",
            "论文图 1：有 BN 的网络学得更快更好，其 sigmoid 的输入分布保持稳定"
        )
    }

    fn run(&self, lab: &Lab) -> Result<Finding, LabError> {
        let problem = lab.problem()?;
        let is_small = usize::from(problem.split.train <= SMALL);
        let (last, seeds) = (STEPS[is_small], lab.seeds(SEEDS[is_small]));
        let mut looks = log_spaced(last, 8);
        looks.extend((1..=LOOKS).map(|at| at * last / LOOKS).chain(COMPARED));
        looks.sort_unstable();
        looks.dedup();
        let one = |bn: bool, seed: u64| {
            let mut training = lab.training(bn, LR, seed);
            training.network.init = Init::Normal(STD);
            training
        };
        let trainings = [false, true].into_iter().flat_map(|bn| seeds.iter().map(move |&seed| one(bn, seed)));
        let plan = Plan { watch: true, ..Plan::new(trainings, &looks) };
        let courses = lab.train(problem, &plan, self.name())?;
        let (plain, normalized) = courses.split_at(seeds.len());

        let score = |courses: &[Course], step: u64| -> Vec<f64> {
            let of = |course: &Course| {
                course.points.iter().find(|p| p.step == step).map_or(f64::NAN, |p| p.test.score)
            };
            courses.iter().map(of).collect()
        };
        let drifts = [plain, normalized].map(|courses| courses.iter().map(drift).collect::<Vec<f64>>());
        let step = lab.score_step()?;
        let ahead = COMPARED.map(|at| difference_of_rounded(&score(plain, at), &score(normalized, at), step));
        let wanders = difference(&drifts[1], &drifts[0]);
        let outcome = all_above_zero(&[ahead[0], ahead[1], wanders]);
        let [early, late] = ahead.map(|ahead| ahead.as_ref().map_or("-".into(), points_pm));
        let end = percent_pm(&score(normalized, last));
        let end_plain = percent_pm(&score(plain, last));
        let [drift_plain, drift_bn] = drifts.each_ref().map(|drifts| number_pm(drifts));
        let sentence = text!(
            "With BN, the score is {early} points higher after 1,000 steps and {late} after 10,000, and ends at {end} (without BN: {end_plain}); the median input of the sigmoid moves by {drift_bn} spreads (without BN: {drift_plain}).",
            "有 BN 时，1,000 步后得分高 {early} 个百分点，10,000 步后高 {late} 个百分点，最终为 {end}，无 BN 时为 {end_plain}；sigmoid 输入的中位数移动了 {drift_bn} 个分布宽度，无 BN 时为 {drift_plain}。"
        );

        let steps = || Axis::linear(text!("steps", "步数")).within(0.0, last as f64);
        let mut accuracy = Panel::new(text!("(a) score", "(a) 得分"), steps(), lab.score_axis()?);
        let all = |at: usize, courses: &[Course]| mean(courses.iter().map(|c| c.points[at].test.score));
        let low = all(looks.iter().position(|&step| step >= COMPARED[0]).unwrap_or(0), plain);
        accuracy.y = accuracy.y.within((low - 0.05).clamp(0.0, 0.7), 1.0);
        for (bn, courses) in [(false, plain), (true, normalized)] {
            for course in courses {
                let shape = if bn { Shape::Line(course.scores()) } else { Shape::Dashed(course.scores()) };
                accuracy = accuracy.with(name(bn), colour(bn), shape);
            }
        }
        let input = || Axis::linear(text!("input of the sigmoid", "sigmoid 的输入"));
        let inputs = |title: Text, bn: bool, course: &Course| {
            let at = |percentile: usize| -> Vec<(f64, f64)> {
                let of = |layer: &crate::step::watch::LayerWatch| f64::from(layer.unit_after.0[percentile]);
                // The last hidden layer is the one before the output layer.
                let last = |p: &super::Point| {
                    Some((p.step as f64, of(p.layers.get(p.layers.len().checked_sub(2)?)?)))
                };
                course.points.iter().filter_map(last).collect()
            };
            let [low, middle, high] = SHOWN.map(at);
            let band = low.iter().zip(&high).map(|(&(x, low), &(_, high))| (x, low, high)).collect();
            let middle = if bn { Shape::Line(middle) } else { Shape::Dashed(middle) };
            Panel::new(title, steps(), input())
                .with(text!("15th to 85th percentile", "第 15 至 85 百分位"), Colour::Grey, Shape::Band(band))
                .with(name(bn), colour(bn), middle)
        };
        let mut panels = vec![accuracy];
        panels.push(inputs(text!("(b) without BN", "(b) 无 BN"), false, &plain[0]));
        panels.push(inputs(text!("(c) with BN", "(c) 有 BN"), true, &normalized[0]));
        share_range(&mut panels[1..]);

        let mut compared = vec![COMPARED[0], COMPARED[1], last];
        compared.dedup();
        let after = |&step: &u64| {
            let step = count(step);
            text!("{step} steps", "{step} 步")
        };
        let movement = text!("movement of the median", "中位数的移动");
        let mut table =
            vec![[Text::default()].into_iter().chain(compared.iter().map(after)).chain([movement]).collect()];
        for (bn, courses, drift) in [(false, plain, &drift_plain), (true, normalized, &drift_bn)] {
            let scores = compared.iter().map(|&at| Text::same(percent_pm(&score(courses, at))));
            table
                .push([name(bn)].into_iter().chain(scores).chain([Text::same(drift)]).collect::<Vec<Text>>());
        }
        let (n, steps_text) = (seeds.len(), count(last));
        let caption = lab.layers()
            + text!(
                " sigmoid units, weights from N(0, {STD}²), batches of 60, gradient descent with α = {LR}, {steps_text} steps, {n} seeds each. (a) Every seed. (b), (c) {{15, 50, 85}}th percentiles of the input of one sigmoid in the last hidden layer over the rows of the first batch, first seed. Movement: range of the median over training, in spreads, where a spread is the mean distance from the 15th to the 85th percentile.",
                " sigmoid 单元，初始权重取自 N(0, {STD}²)，批量大小 60，α = {LR} 的梯度下降，{steps_text} 步，各 {n} 个种子。(a) 全部种子。(b)、(c) 第一个种子：最后一个隐藏层中某个 sigmoid 的输入在第一个批次上的第 {{15, 50, 85}} 百分位。移动：训练过程中中位数的变化范围，以分布宽度（第 15 与第 85 百分位的平均间距）为单位。"
            );
        Ok(Finding {
            figure: Figure { panels, columns: 3 },
            caption,
            table,
            verdict: Verdict { outcome, sentence },
            numbers: json!({
                "seeds": seeds,
                "steps": looks,
                "without": plain.iter().map(Course::scores).collect::<Vec<_>>(),
                "with": normalized.iter().map(Course::scores).collect::<Vec<_>>(),
                "movement_without": drifts[0],
                "movement_with": drifts[1],
            }),
        })
    }
}

/// Range of the median input of one unit, in units of the mean distance between the outer percentiles.
fn drift(course: &Course) -> f64 {
    let watched = course.points.iter().filter_map(|p| p.layers.get(p.layers.len().checked_sub(2)?));
    let values: Vec<[f64; 3]> =
        watched.map(|layer| SHOWN.map(|at| f64::from(layer.unit_after.0[at]))).collect();
    let medians = || values.iter().map(|v| v[1]);
    let range = medians().fold(f64::NEG_INFINITY, f64::max) - medians().fold(f64::INFINITY, f64::min);
    range / mean(values.iter().map(|v| v[2] - v[0]))
}

/// The same y axis for all.
fn share_range(panels: &mut [Panel]) {
    let values = panels.iter().flat_map(Panel::heights).filter(|y| y.is_finite());
    let (low, high) =
        values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), y| (low.min(y), high.max(y)));
    if low < high {
        panels.iter_mut().for_each(|panel| panel.y = panel.y.clone().within(low, high));
    }
}
