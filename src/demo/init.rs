//! How much the scale of the initial weights matters.

use serde_json::json;

use super::networks::{BOTH, by_sgd, colour, dots, name, with_activation};
use super::statistics::{
    all_above_zero, decades, decades_step, estimate_pm, mean, number_pm, scores_at, usable,
};
use super::{Course, Demo, Finding, Lab, LabError, Plan, Verdict};
use crate::base::geomspace;
use crate::base::text::{count, number};
use crate::report::figure::{Axis, Figure, Panel};
use crate::report::language::Text;
use crate::spec::Activation;
use crate::sweep::analysis::Estimate;
use crate::text;

pub struct InitialWeights;

const SCALES: usize = 17;
const FROM: f64 = 1e-4;
const TO: f64 = 1e1;
/// Share of the way from chance to the best score that counts as trained.
const TRAINED: f64 = 0.9;

impl Demo for InitialWeights {
    fn name(&self) -> &'static str {
        "init"
    }

    fn claim(&self) -> Text {
        text!("With BN, the scale of the initial weights matters little", "有 BN 时，初始权重的尺度影响很小")
    }

    fn run(&self, lab: &Lab) -> Result<Finding, LabError> {
        let problem = lab.problem()?;
        let seeds = lab.seeds(3);
        let scales = geomspace(FROM, TO, SCALES);
        let last = lab.pick(600, 3_000);
        let kinds = [(Activation::Sigmoid, 1.0), (Activation::Relu, 0.1)];
        let trainings = kinds.into_iter().flat_map(|(activation, lr)| {
            let (scales, seeds) = (&scales, &seeds);
            BOTH.into_iter().flat_map(move |bn| {
                seeds.iter().flat_map(move |&seed| {
                    let base = with_activation(lab.training(bn, lr, seed), activation);
                    scales.iter().map(move |&std| by_sgd(base.clone(), lr, Some(std)))
                })
            })
        });
        let courses = lab.train(problem, &Plan::new(trainings, &[last]), self.name())?;
        let scores: Vec<f64> = courses.iter().map(Course::final_score).collect();
        let chance = lab.chance()?;
        let best = scores.iter().copied().filter(|y| y.is_finite()).fold(chance, f64::max);
        let level = chance + TRAINED * (best - chance);
        let width = |scores: &[f64]| decades(&scales, usable(&scales, scores, level));
        let mut panels = Vec::new();
        let mut table =
            vec![vec![Text::default(), text!("trainable scales, powers of ten", "可训练的尺度跨越的数量级")]];
        let mut all = Vec::new();
        for ((activation, lr), scores) in kinds.into_iter().zip(scores.chunks_exact(2 * seeds.len() * SCALES))
        {
            let activation = activation.name();
            let mut panel = Panel::new(
                text!("{activation}, α = {lr}", "{activation}，α = {lr}"),
                Axis::log(text!("standard deviation of the initial weights", "初始权重的标准差")),
                lab.score_axis()?.within(0.0, 1.0),
            );
            let mut widths = Vec::new();
            for (bn, scores) in BOTH.into_iter().zip(scores.chunks_exact(seeds.len() * SCALES)) {
                let mean_at = |(at, &std)| (std, mean(scores_at(scores, SCALES, at)));
                let points = scales.iter().enumerate().map(mean_at).collect();
                panel = panel.with(name(bn), colour(bn), dots(bn, points));
                let own: Vec<f64> = scores.chunks_exact(SCALES).map(width).collect();
                let bn = name(bn);
                let title = text!("{activation} ", "{activation} ") + bn;
                table.push(vec![title, Text::same(number_pm(&own))]);
                widths.push(own);
            }
            all.push(widths[0].iter().zip(&widths[1]).map(|(plain, bn)| bn - plain).collect::<Vec<f64>>());
            panels.push(panel);
        }
        let wider = [0, 1].map(|at| Estimate::of_rounded(&all[at], decades_step(&scales)));
        let outcome = all_above_zero(&wider);
        let [sigmoid, relu] = wider.map(|wider| wider.as_ref().map_or("-".into(), estimate_pm));
        let reached = number(100.0 * level);
        let sentence = text!(
            "With BN, the scales of the initial weights at which the network reaches {reached} % span {sigmoid} more powers of ten with sigmoid units and {relu} more with ReLU.",
            "有 BN 时，能使网络达到 {reached} % 的初始权重尺度范围变宽：sigmoid 宽 {sigmoid} 个数量级，ReLU 宽 {relu} 个数量级。"
        );
        let (n, steps) = (seeds.len(), count(last));
        let (from, to) = (number(FROM), number(TO));
        let caption = lab.layers()
            + text!(
                " units, batches of 60, gradient descent, {steps} steps, means of {n} seeds; all weights from N(0, σ²). A scale is trainable if the score covers nine tenths of the way from chance to the best score. Scales from {from} to {to} were tried; a range that ends there may be wider.",
                "单元，批量大小 60，梯度下降，{steps} 步，{n} 个种子的平均；全部权重取自 N(0, σ²)。得分达到从随机水平到全体最高得分的九成，即为可训练。只尝试了 {from} 到 {to}，止于两端的范围实际可能更宽。"
            );
        Ok(Finding {
            figure: Figure { panels, columns: 2 },
            caption,
            table,
            verdict: Verdict { outcome, sentence },
            numbers: json!({ "seeds": seeds, "scales": scales, "scores": scores, "powers_of_ten_wider": all }),
        })
    }
}
