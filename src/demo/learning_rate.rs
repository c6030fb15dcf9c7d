//! The range of learning rates over which each network trains.

use serde_json::json;

use super::networks::{BOTH, by_sgd, colour, dots, name};
use super::statistics::{
    all_above_zero, decades, decades_step, estimate_pm, mean, number_pm, scores_at, times_pm, usable,
};
use super::{Course, Demo, Finding, Lab, LabError, Plan, Verdict};
use crate::base::geomspace;
use crate::base::text::{count, number};
use crate::report::figure::{Axis, Colour, Figure, Panel, Shape};
use crate::report::language::Text;
use crate::sweep::analysis::Estimate;
use crate::text;

pub struct LearningRate;

const RATES: usize = 40;
const FROM: f64 = 1e-4;
const TO: f64 = 1e3;

/// For one seed, in powers of ten: how much wider the range with BN is, and how much higher it ends if both networks
/// train at some of the `rates`.
fn wider(rates: &[f64], plain: Option<(f64, f64)>, normalized: Option<(f64, f64)>) -> (f64, Option<f64>) {
    let higher = plain.zip(normalized).map(|(plain, bn)| decades(rates, Some((plain.1, bn.1))));
    (decades(rates, normalized) - decades(rates, plain), higher)
}

impl Demo for LearningRate {
    fn name(&self) -> &'static str {
        "learning-rate"
    }

    fn claim(&self) -> Text {
        text!(
            "BN widens the range of learning rates at which a network trains, and makes larger ones usable",
            "BN 拓宽了可用学习率的范围，并使更大的学习率可用"
        )
    }

    fn run(&self, lab: &Lab) -> Result<Finding, LabError> {
        let problem = lab.problem()?;
        let seeds = lab.seeds(3);
        let rates = geomspace(FROM, TO, RATES);
        let last = lab.pick(400, 2_000);
        let trainings = BOTH.into_iter().flat_map(|bn| {
            let (rates, seeds) = (&rates, &seeds);
            seeds.iter().flat_map(move |&seed| {
                rates.iter().map(move |&lr| by_sgd(lab.training(bn, lr, seed), lr, None))
            })
        });
        let courses = lab.train(problem, &Plan::new(trainings, &[last]), self.name())?;
        let scores: Vec<f64> = courses.iter().map(Course::final_score).collect();
        let chance = lab.chance()?;
        let best = scores.iter().copied().filter(|y| y.is_finite()).fold(chance, f64::max);
        let level = (chance + best) / 2.0;
        let (plain, normalized) = scores.split_at(seeds.len() * RATES);
        let ranges = |scores: &[f64]| -> Vec<Option<(f64, f64)>> {
            scores.chunks_exact(RATES).map(|scores| usable(&rates, scores, level)).collect()
        };
        let (plain_ranges, bn_ranges) = (ranges(plain), ranges(normalized));
        let (wider, higher): (Vec<f64>, Vec<Option<f64>>) =
            plain_ranges.iter().zip(&bn_ranges).map(|(plain, bn)| wider(&rates, *plain, *bn)).unzip();
        let higher: Vec<f64> = higher.into_iter().flatten().collect();
        let [wide, high] = [&wider, &higher].map(|values| Estimate::of_rounded(values, decades_step(&rates)));
        let outcome = all_above_zero(&[wide, high]);

        let mut panel = Panel::new(
            text!("score by learning rate", "不同学习率的得分"),
            Axis::log(text!("learning rate α", "学习率 α")),
            lab.score_axis()?.within(0.0, 1.0),
        )
        .with(
            text!("usable above", "高于此线为可用"),
            Colour::Grey,
            Shape::Line(vec![(FROM, level), (TO, level)]),
        );
        let mut table = vec![vec![
            Text::default(),
            text!("smallest usable α", "最小可用 α"),
            text!("largest usable α", "最大可用 α"),
            text!("powers of ten", "跨越的数量级"),
        ]];
        for (bn, scores, ranges) in [(false, plain, &plain_ranges), (true, normalized, &bn_ranges)] {
            let at = |rate: usize| scores_at(scores, RATES, rate);
            let points = rates.iter().enumerate().map(|(r, &lr)| (lr, mean(at(r)))).collect();
            let band = rates.iter().enumerate().map(|(r, &lr)| {
                (lr, at(r).fold(f64::INFINITY, f64::min), at(r).fold(f64::NEG_INFINITY, f64::max))
            });
            panel = panel.with(Text::default(), colour(bn), Shape::Band(band.collect()));
            panel = panel.with(name(bn), colour(bn), dots(bn, points));
            let logs = |of: fn((f64, f64)) -> f64| -> Vec<f64> {
                ranges.iter().flatten().map(|&range| of(range)).collect()
            };
            let row = [
                times_pm(&logs(|r| r.0.log10())),
                times_pm(&logs(|r| r.1.log10())),
                number_pm(&logs(|r| (r.1 / r.0).log10())),
            ];
            table.push([name(bn)].into_iter().chain(row.map(Text::same)).collect());
        }
        let (wide, high) = (wide.as_ref().map_or("-".into(), estimate_pm), times_pm(&higher));
        let sentence = text!(
            "With BN, the usable range of α is {wide} powers of ten wider, and its upper end is {high} times that without BN.",
            "有 BN 时，α 的可用范围宽了 {wide} 个数量级，其最大值是无 BN 时的 {high} 倍。"
        );
        let (n, steps) = (seeds.len(), count(last));
        let (from, to) = (number(FROM), number(TO));
        let caption = lab.layers()
            + text!(
                " sigmoid units, batches of 60, gradient descent with {RATES} rates, {steps} steps, {n} seeds each: mean and range. A rate is usable if the score covers at least half of the way from chance to the best score, there and at all rates up to the network's best. A diverged network scores 0; the largest rates are compared only if both networks have one. Rates from {from} to {to} were tried; a range that ends there may be wider.",
                " sigmoid 单元，批量大小 60，梯度下降，{RATES} 个学习率，{steps} 步，各 {n} 个种子的均值与取值范围。若某学习率及其与该网络最佳学习率之间的所有学习率，得分都达到从随机水平到全体最高得分的一半以上，则为可用。发散的网络得分计为 0；仅当两个网络都有可用学习率时才比较其最大值。只尝试了 {from} 到 {to}，止于两端的范围实际可能更宽。"
            );
        Ok(Finding {
            figure: Figure { panels: vec![panel], columns: 1 },
            caption,
            table,
            verdict: Verdict { outcome, sentence },
            numbers: json!({
                "seeds": seeds, "rates": rates, "level": level, "without": plain, "with": normalized,
                "powers_of_ten_wider": wider, "log10_times_higher": higher,
            }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_compared_seed_by_seed() {
        let rates = geomspace(FROM, TO, RATES);
        let (wider, higher) = super::wider(&rates, Some((0.1, 1.0)), Some((0.01, 10.0)));
        let step = 7.0 / 39.0;
        assert!((wider - 2.0).abs() < step && (higher.expect("both train") - 1.0).abs() < step);
        let (wider, higher) = super::wider(&rates, None, Some((0.01, 10.0)));
        assert!(wider > 2.8 && higher.is_none());
    }
}
