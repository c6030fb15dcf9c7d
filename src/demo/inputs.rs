//! Standardised inputs against raw ones.

use serde_json::json;

use super::networks::{BOTH, by_sgd, colour, dots, name, with_activation};
use super::statistics::{
    all_above_zero, decades, decades_step, difference_of_rounded, estimate_pm, mean, number_pm, percent_pm,
    scores_at, usable,
};
use super::{Course, Demo, Finding, Lab, LabError, Plan, Verdict};
use crate::base::geomspace;
use crate::base::text::{count, number};
use crate::report::figure::{Axis, Figure, Panel};
use crate::report::language::Text;
use crate::spec::Activation;
use crate::text;

pub struct Inputs;

const RATES: usize = 22;
const FROM: f64 = 1e-5;
const TO: f64 = 1e2;
/// Share of the way from chance to the best score that counts as trained.
const TRAINED: f64 = 0.9;

impl Demo for Inputs {
    fn name(&self) -> &'static str {
        "inputs"
    }

    fn claim(&self) -> Text {
        text!(
            "Standardised inputs widen the range of usable learning rates, and BN, which standardises the inputs of every layer, widens it further",
            "标准化输入可拓宽可用学习率的范围；BN 标准化每一层的输入，使范围进一步拓宽"
        )
    }

    fn run(&self, lab: &Lab) -> Result<Finding, LabError> {
        let seeds = lab.seeds(5);
        let rates = geomspace(FROM, TO, RATES);
        let last = lab.pick(400, 2_000);
        let trainings = BOTH.into_iter().flat_map(|bn| {
            let (rates, seeds) = (&rates, &seeds);
            seeds.iter().flat_map(move |&seed| {
                let base = with_activation(lab.training(bn, 0.1, seed), Activation::Relu);
                rates.iter().map(move |&lr| by_sgd(base.clone(), lr, None))
            })
        });
        let plan = Plan::new(trainings, &[last]);
        let scores_on = |problem| -> Result<Vec<f64>, LabError> {
            Ok(lab.train(problem, &plan, self.name())?.iter().map(Course::final_score).collect())
        };
        let (raw, standardized) = (scores_on(lab.raw_problem()?)?, scores_on(lab.problem()?)?);
        let chance = lab.chance()?;
        let finite = raw.iter().chain(&standardized).copied().filter(|y| y.is_finite());
        let best = finite.fold(chance, f64::max);
        let level = chance + TRAINED * (best - chance);
        let width = |scores: &[f64]| decades(&rates, usable(&rates, scores, level));
        let half = seeds.len() * RATES;
        let widths = |scores: &[f64]| -> Vec<f64> { scores.chunks_exact(RATES).map(width).collect() };
        let mut panels = Vec::new();
        let mut table = vec![vec![
            Text::default(),
            text!("usable α, powers of ten", "可用 α 的数量级"),
            text!("best score", "最高得分"),
        ]];
        let titles = [text!("raw inputs", "原始输入"), text!("standardised inputs", "标准化输入")];
        let mut all = Vec::new();
        for (title, scores) in titles.into_iter().zip([&raw, &standardized]) {
            let mut panel = Panel::new(
                title.clone(),
                Axis::log(text!("learning rate α", "学习率 α")),
                lab.score_axis()?.within(0.0, 1.0),
            );
            for (bn, scores) in BOTH.into_iter().zip(scores.chunks_exact(half)) {
                let mean_at = |(at, &lr)| (lr, mean(scores_at(scores, RATES, at)));
                let points = rates.iter().enumerate().map(mean_at).collect();
                panel = panel.with(name(bn), colour(bn), dots(bn, points));
                let own = widths(scores);
                let best = scores.chunks_exact(RATES).map(|s| s.iter().copied().fold(f64::NAN, f64::max));
                let cells = [number_pm(&own), percent_pm(&best.collect::<Vec<f64>>())];
                let bn = name(bn);
                let row = title.clone() + text!(", ", "，") + bn;
                table.push([row].into_iter().chain(cells.map(Text::same)).collect());
                all.push(own);
            }
            panels.push(panel);
        }
        let wider =
            |from: usize, to: usize| difference_of_rounded(&all[from], &all[to], decades_step(&rates));
        let (plain, bn, by_bn) = (wider(0, 2), wider(1, 3), wider(2, 3));
        let outcome = all_above_zero(&[plain, by_bn]);
        let [plain, bn, by_bn] =
            [plain, bn, by_bn].map(|wider| wider.as_ref().map_or("-".into(), estimate_pm));
        let raw_bn = number_pm(&all[1]);
        let raw_plain = number_pm(&all[0]);
        let sentence = text!(
            "Standardised inputs widen the range of usable rates by {plain} powers of ten without BN and by {bn} with it; on standardised inputs, BN widens it by {by_bn}; on raw inputs, the range is {raw_plain} without BN and {raw_bn} with it.",
            "标准化输入使可用学习率的范围加宽：无 BN 时 {plain} 个数量级，有 BN 时 {bn} 个；在标准化输入上，BN 又使其加宽 {by_bn} 个数量级；在原始输入上，无 BN 时范围为 {raw_plain}，有 BN 时为 {raw_bn}。"
        );
        let (n, steps) = (seeds.len(), count(last));
        let (from, to) = (number(FROM), number(TO));
        let caption = lab.layers()
            + text!(
                " ReLU units, batches of 60, gradient descent with {RATES} rates, {steps} steps, means of {n} seeds. A rate is usable if the score covers nine tenths of the way from chance to the best score. A diverged network scores 0. Rates from {from} to {to} were tried; a range that ends there may be wider.",
                " ReLU 单元，批量大小 60，梯度下降，{RATES} 个学习率，{steps} 步，{n} 个种子的平均。得分达到从随机水平到全体最高得分的九成，该学习率即为可用。发散的网络得分计为 0。只尝试了 {from} 到 {to}，止于两端的范围实际可能更宽。"
            );
        Ok(Finding {
            figure: Figure { panels, columns: 2 },
            caption,
            table,
            verdict: Verdict { outcome, sentence },
            numbers: json!({ "seeds": seeds, "rates": rates, "raw": raw, "standardised": standardized, "widths": all }),
        })
    }
}
