//! Standardised inputs against raw ones.

use serde_json::json;

use super::networks::{BOTH, by_sgd, colour, name, paper, with_activation};
use super::statistics::{mean, number_pm, percent_pm, spaced, usable};
use super::{Course, Demo, Finding, Lab, LabError, Outcome, Plan, Verdict};
use crate::report::figure::{Axis, Figure, Panel, Shape};
use crate::report::language::Text;
use crate::report::text::count;
use crate::spec::Activation;
use crate::sweep::analysis::Estimate;
use crate::text;

pub struct Inputs;

const RATES: usize = 22;
const FROM: f64 = 1e-5;
const TO: f64 = 1e2;
/// Share of the way from chance to the best of all that counts as trained.
const TRAINED: f64 = 0.9;

/// `wider` is, for each seed, by how many powers of ten standardised inputs widen the usable range without BN.
fn judge(wider: &[f64]) -> Outcome {
    match Estimate::of(wider).filter(|estimate| !estimate.may_be_zero()) {
        Some(estimate) if estimate.mean > 0.0 => Outcome::Holds,
        Some(_) => Outcome::Fails,
        None => Outcome::Unclear,
    }
}

impl Demo for Inputs {
    fn name(&self) -> &'static str {
        "inputs"
    }

    fn claim(&self) -> Text {
        text!(
            "Standardised inputs make training easier, and BN does for every layer what they do for the first",
            "标准化的输入使训练更容易，而 BN 对每一层做了标准化对第一层所做的事"
        )
    }

    fn run(&self, lab: &Lab) -> Result<Finding, LabError> {
        let seeds = lab.seeds(5);
        let rates = spaced(FROM, TO, RATES);
        let last = lab.pick(400, 2_000);
        let trainings = BOTH.into_iter().flat_map(|bn| {
            let (rates, seeds) = (&rates, &seeds);
            seeds.iter().flat_map(move |&seed| {
                let base = with_activation(paper(bn, 0.1, seed), Activation::Relu);
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
        let width =
            |scores: &[f64]| usable(&rates, scores, level).map_or(0.0, |(low, high)| (high / low).log10());
        let half = seeds.len() * RATES;
        let widths = |scores: &[f64]| -> Vec<f64> { scores.chunks_exact(RATES).map(width).collect() };
        let mut panels = Vec::new();
        let mut table = vec![vec![
            Text::default(),
            text!("usable α, powers of ten", "可用 α 的数量级"),
            text!("best score", "最好成绩"),
        ]];
        let titles = [text!("raw inputs", "原始输入"), text!("standardised inputs", "标准化输入")];
        let mut all = Vec::new();
        for (title, scores) in titles.into_iter().zip([&raw, &standardized]) {
            let mut panel = Panel::new(
                title.clone(),
                Axis::log(text!("learning rate α", "学习率 α")),
                Axis::linear(lab.score_label()?).within(0.0, 1.0),
            );
            for (bn, scores) in BOTH.into_iter().zip(scores.chunks_exact(half)) {
                let at = |rate: usize| {
                    scores.iter().skip(rate).step_by(RATES).map(|&y| if y.is_finite() { y } else { 0.0 })
                };
                let points: Vec<(f64, f64)> =
                    rates.iter().enumerate().map(|(r, &lr)| (lr, mean(at(r)))).collect();
                panel = panel.with(
                    name(bn),
                    colour(bn),
                    if bn { Shape::Dots(points) } else { Shape::Circles(points) },
                );
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
        let less = |a: &[f64], b: &[f64]| -> Vec<f64> { a.iter().zip(b).map(|(a, b)| b - a).collect() };
        let (plain_wider, bn_wider) = (less(&all[0], &all[2]), less(&all[1], &all[3]));
        let outcome = judge(&plain_wider);
        let (plain, bn) = (number_pm(&plain_wider), number_pm(&bn_wider));
        let raw_bn = number_pm(&all[1]);
        let raw_plain = number_pm(&all[0]);
        let sentence = text!(
            "Standardised inputs widen the range of usable rates by {plain} powers of ten without BN and by {bn} with it; on raw inputs the range is {raw_plain} without and {raw_bn} with BN.",
            "标准化输入使可用学习率的范围加宽：无 BN 时 {plain} 个数量级，有 BN 时 {bn} 个；在原始输入上，无 BN 时范围为 {raw_plain}，有 BN 时为 {raw_bn}。"
        );
        let (n, steps) = (seeds.len(), count(last));
        let caption = text!(
            "Three hidden layers of 100 ReLU units, batches of 60, gradient descent with {RATES} rates, {steps} steps, means of {n} seeds. A rate is usable if the score comes nine tenths of the way from chance to the best of all. A network that became infinite counts as 0.",
            "三个隐藏层，每层 100 个 ReLU 单元，批大小 60，{RATES} 个学习率的梯度下降，{steps} 步，{n} 个种子的平均。成绩达到从随机水平到全体最好成绩的九成的学习率为可用。发散的网络计为 0。"
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_over_seeds_decides() {
        assert_eq!(judge(&[1.0, 1.2, 0.9]), Outcome::Holds);
        assert_eq!(judge(&[-1.0, -1.2, -0.9]), Outcome::Fails);
        assert_eq!(judge(&[0.0, 0.0, 0.0]), Outcome::Unclear);
    }
}
