//! Vanishing and exploding gradients in deep networks.

use serde_json::{Value, json};

use super::networks::{BOTH, by_sgd, colour, dots, name, training, with_activation};
use super::statistics::{difference, mean, percent_pm};
use super::{Course, Demo, Finding, Lab, LabError, Outcome, Plan, Verdict};
use crate::base::text::{count, number};
use crate::report::figure::{Axis, Figure, Panel, Shape};
use crate::report::language::Text;
use crate::spec::{Activation, Training};
use crate::sweep::analysis::Estimate;
use crate::text;

pub struct Depth;

const DEPTHS: [usize; 5] = [1, 3, 10, 20, 50];
/// The depth whose gradients are shown; sigmoid networks of it are tried at [`MANY_RATES`].
const SHOWN: usize = 10;
const UNITS: usize = 100;
const ACTIVATIONS: [Activation; 3] = [Activation::Sigmoid, Activation::Tanh, Activation::Relu];
/// Learning rates for every other network.
const RATES: [f64; 3] = [0.01, 0.1, 1.0];
/// For the deepest networks without `--full`: they take most of the time.
const FEW_RATES: [f64; 1] = [0.1];
/// For ten sigmoid layers, so that no usable rate is missed.
const MANY_RATES: [f64; 11] = [1e-4, 3e-4, 1e-3, 3e-3, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0];
/// The rate at which gradients are shown.
const RATE: f64 = 0.1;
/// Shares of the way from chance to the best score that count as having learnt anything, and as trained.
const ANYTHING: f64 = 0.05;
const TRAINS: f64 = 0.9;

fn network(activation: Activation, depth: usize, bn: bool, lr: f64, seed: u64) -> Training {
    by_sgd(with_activation(training(&vec![UNITS; depth], bn, lr, seed), activation), lr, None)
}

/// Legend of the points in the upper and lower panels.
fn with_points(bn: bool) -> Text {
    name(bn) + text!(" (above: at the start; below: best rate)", "（上：开始时；下：最佳学习率）")
}

/// Holds if ten sigmoid layers train with BN in every seed, and without it at no rate and in no seed, and if
/// gradients vanish more without BN. `vanishes` is log₁₀ of the first layer's gradient over the last one's, with BN
/// minus without.
fn judge(plain: &[f64], normalized: &[f64], chance: f64, best: f64, vanishes: Option<Estimate>) -> Outcome {
    let level = |share: f64| chance + share * (best - chance);
    let learnt = |scores: &[f64]| scores.iter().filter(|&&score| score > level(ANYTHING)).count();
    let trains = normalized.iter().all(|&score| score >= level(TRAINS));
    match (learnt(plain), trains) {
        _ if vanishes.is_some_and(|by| by.is_below_zero()) => Outcome::Fails,
        (0, true) if vanishes.is_some_and(|by| by.is_above_zero()) => Outcome::Holds,
        (n, _) if n == plain.len() => Outcome::Fails,
        (0, false) if learnt(normalized) == 0 => Outcome::Fails,
        _ => Outcome::Unclear,
    }
}

impl Demo for Depth {
    fn name(&self) -> &'static str {
        "depth"
    }

    fn claim(&self) -> Text {
        text!(
            "BN makes deep networks trainable: without it, the gradients of sigmoid layers vanish",
            "BN 使深层网络可以训练：没有它，sigmoid 层的梯度在反向传播中消失"
        )
    }

    fn fewest_layers(&self) -> Option<usize> {
        None
    }

    fn run(&self, lab: &Lab) -> Result<Finding, LabError> {
        let problem = lab.problem()?;
        let seeds = lab.seeds(3);
        let last = lab.pick(200, 5_000);
        let rates_of = |activation: Activation, depth: usize| match (activation, depth) {
            (Activation::Sigmoid, SHOWN) => &MANY_RATES[..],
            (_, 50) => lab.pick(&FEW_RATES[..], &RATES[..]),
            _ => &RATES[..],
        };
        // One training per activation, depth, rate and seed, with and without BN.
        let mut keys = Vec::new();
        for activation in ACTIVATIONS {
            for depth in DEPTHS {
                for bn in BOTH {
                    for &lr in rates_of(activation, depth) {
                        keys.extend(seeds.iter().map(|&seed| (activation, depth, bn, lr, seed)));
                    }
                }
            }
        }
        let later = last / 4;
        let trainings =
            keys.iter().map(|&(activation, depth, bn, lr, seed)| network(activation, depth, bn, lr, seed));
        let plan = Plan { watch: true, ..Plan::new(trainings, &[0, later, last]) };
        let courses = lab.train(problem, &plan, self.name())?;
        let of = |activation: Activation, depth: usize, bn: bool| {
            keys.iter().zip(&courses).filter(move |(key, _)| (key.0, key.1, key.2) == (activation, depth, bn))
        };
        // Each seed's best score over the rates.
        let best = |activation: Activation, depth: usize, bn: bool| -> Vec<f64> {
            let score = |seed: u64| {
                let own =
                    of(activation, depth, bn).filter(|(key, _)| key.4 == seed).map(|(_, c)| c.final_score());
                own.filter(|score| score.is_finite()).fold(0.0, f64::max)
            };
            seeds.iter().map(|&seed| score(seed)).collect()
        };
        // The norm of a layer's gradient for each seed.
        let norm = |activation: Activation, bn: bool, look: usize, layer: usize| -> Vec<f64> {
            let norm = |course: &Course| {
                let layer = course.points[look].layers.get(layer);
                layer.map_or(f64::NAN, |layer| f64::from(layer.weight_grad_norm))
            };
            of(activation, SHOWN, bn).filter(|(key, _)| key.3 == RATE).map(|(_, c)| norm(c)).collect()
        };
        let norms = |activation: Activation, bn: bool, look: usize| -> Vec<(f64, f64)> {
            let at = |layer: usize| (layer as f64 + 1.0, mean(norm(activation, bn, look, layer)));
            (0..=SHOWN).map(at).collect()
        };
        let chance = lab.chance()?;
        let mut panels = Vec::new();
        for activation in ACTIVATIONS {
            let title = activation.name();
            let mut panel = Panel::new(
                text!("{title}: gradients of ten layers", "{title}：十层网络的梯度"),
                Axis::linear(text!("layer, from the input", "层（从输入起）")),
                Axis::log(text!("norm of dW", "dW 的范数")),
            );
            for bn in BOTH {
                let (start, end) = (norms(activation, bn, 0), norms(activation, bn, 1));
                panel = panel.with(with_points(bn), colour(bn), dots(bn, start));
                let after = count(later);
                let later_name = name(bn) + text!(", after {after} steps", "，{after} 步后");
                panel = panel.with(
                    later_name,
                    colour(bn),
                    if bn { Shape::Line(end) } else { Shape::Dashed(end) },
                );
            }
            panels.push(panel);
        }
        let mut table = vec![
            [Text::default()]
                .into_iter()
                .chain(DEPTHS.map(|d| text!("depth {d}", "{d} 层")))
                .collect::<Vec<Text>>(),
        ];
        let mut scores = Vec::new();
        for activation in ACTIVATIONS {
            let title = activation.name();
            let mut panel = Panel::new(
                text!("{title}: best score by depth", "{title}：不同深度的最高得分"),
                Axis::log(text!("hidden layers", "隐藏层数")).within(0.9, 60.0),
                lab.score_axis()?.within(0.0, 1.0),
            );
            for bn in BOTH {
                let all = DEPTHS.map(|depth| best(activation, depth, bn));
                let points = DEPTHS
                    .iter()
                    .zip(&all)
                    .map(|(&depth, scores)| (depth as f64, mean(scores.iter().copied())));
                let points = points.collect();
                let row = all.each_ref().map(|scores| Text::same(percent_pm(scores)));
                table.push([text!("{title} ", "{title} ") + name(bn)].into_iter().chain(row).collect());
                scores.push(json!({ "activation": title, "bn": bn, "depths": DEPTHS, "best": all }));
                panel = panel.with(with_points(bn), colour(bn), dots(bn, points));
            }
            panels.push(panel);
        }
        let (plain, normalized) =
            (best(Activation::Sigmoid, SHOWN, false), best(Activation::Sigmoid, SHOWN, true));
        let ratio = |bn: bool| {
            let norms = norms(Activation::Sigmoid, bn, 0);
            norms[0].1 / norms[SHOWN].1
        };
        let best_of_all =
            courses.iter().map(Course::final_score).filter(|y| y.is_finite()).fold(chance, f64::max);
        let log_ratios = |bn: bool| -> Vec<f64> {
            let [first, last] = [0, SHOWN].map(|layer| norm(Activation::Sigmoid, bn, 0, layer));
            first.iter().zip(&last).map(|(first, last)| (first / last).log10()).collect()
        };
        let vanishes = difference(&log_ratios(false), &log_ratios(true));
        let outcome = judge(&plain, &normalized, chance, best_of_all, vanishes);
        let (plain_best, bn_best) = (percent_pm(&plain), percent_pm(&normalized));
        let (plain_ratio, bn_ratio) = (number(ratio(false)), number(ratio(true)));
        let (n, chance_text) = (MANY_RATES.len(), percent_pm(&[chance]));
        let sentence = text!(
            "At the best of {n} learning rates, ten layers of {UNITS} sigmoid units reach {plain_best} without BN (chance is {chance_text}) and {bn_best} with it; at the start, the gradient of the first layer is {plain_ratio} times that of the last without BN and {bn_ratio} times with it.",
            "十层、每层 {UNITS} 个 sigmoid 单元的网络，在 {n} 个学习率中最佳者下的得分，无 BN 时为 {plain_best}（随机水平为 {chance_text}），有 BN 时为 {bn_best}；训练开始时，第一层权重的梯度是最后一层的 {plain_ratio} 倍（无 BN）和 {bn_ratio} 倍（有 BN）。"
        );
        let (seeds_n, steps) = (seeds.len(), count(last));
        let (low, high) = (MANY_RATES[0], MANY_RATES[n - 1]);
        let caption = text!(
            "Layers of {UNITS} units (sigmoid and tanh: Xavier initialisation, ReLU: He), batches of 60, gradient descent, {steps} steps, {seeds_n} seeds, α of 0.01, 0.1 and 1 (without --full, only 0.1 at 50 layers), and for ten sigmoid layers {n} rates from {low} to {high}. Above: norm of each layer's dW on one batch, mean over the seeds at α = {RATE}; layer 11 is the output. Below: each seed's best score over the rates, mean over the seeds.",
            "每层 {UNITS} 个单元（sigmoid 与 tanh 用 Xavier 初始化，ReLU 用 He 初始化），批量大小 60，梯度下降，{steps} 步，{seeds_n} 个种子，α 取 0.01、0.1 和 1（不加 --full 时 50 层只取 0.1），十层 sigmoid 网络另取从 {low} 到 {high} 的 {n} 个学习率。上：一个批次上各层 dW 的范数，α = {RATE} 时各种子的平均；第 11 层为输出层。下：各种子在所有学习率中最高得分的平均。"
        );
        let gradients: Vec<Value> = ACTIVATIONS
            .iter()
            .flat_map(|&activation| BOTH.map(|bn| json!({ "activation": activation.name(), "bn": bn, "start": norms(activation, bn, 0), "later": norms(activation, bn, 1) })))
            .collect();
        Ok(Finding {
            figure: Figure { panels, columns: 3 },
            caption,
            table,
            verdict: Verdict { outcome, sentence },
            numbers: json!({ "seeds": seeds, "rates": RATES, "rates_of_ten_sigmoid_layers": MANY_RATES, "scores": scores, "gradients": gradients }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_claim_holds_if_every_bn_network_and_no_plain_one_trains() {
        let sure = |mean: f64| Some(Estimate { mean, ci95: Some(0.1) });
        assert_eq!(judge(&[0.11, 0.11, 0.10], &[0.95, 0.96, 0.94], 0.11, 0.98, sure(4.0)), Outcome::Holds);
        assert_eq!(judge(&[0.9, 0.91, 0.9], &[0.95, 0.96, 0.94], 0.11, 0.98, sure(4.0)), Outcome::Fails);
        assert_eq!(judge(&[0.11, 0.91, 0.10], &[0.95, 0.96, 0.94], 0.11, 0.98, sure(4.0)), Outcome::Unclear);
        assert_eq!(judge(&[0.11, 0.11, 0.10], &[0.11, 0.11, 0.10], 0.11, 0.98, sure(4.0)), Outcome::Fails);
        // Gradients that vanish with BN as well, or a single seed.
        let judged = |vanishes| judge(&[0.11, 0.11], &[0.95, 0.96], 0.11, 0.98, vanishes);
        assert_eq!(judged(sure(0.05)), Outcome::Unclear);
        assert_eq!(judged(sure(-1.0)), Outcome::Fails);
        assert_eq!(judged(Some(Estimate { mean: 4.0, ci95: None })), Outcome::Unclear);
    }
}
