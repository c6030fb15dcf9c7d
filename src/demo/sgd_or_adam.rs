//! γ and β are parameters like any other: every gradient method learns them.

use serde_json::json;

use super::networks::{ADAM, SGD};
use super::statistics::{difference, mean, number_pm, percent_pm, points_pm};
use super::{Course, Demo, Finding, Lab, LabError, Outcome, Plan, Verdict, log_spaced};
use crate::base::text::{count, number};
use crate::report::figure::{Axis, Colour, Figure, Panel, Shape};
use crate::report::language::Text;
use crate::spec::{Optimizer, Training};
use crate::sweep::analysis::Estimate;
use crate::text;

/// The methods, each with the learning rates to choose from.
const METHODS: [(&str, Optimizer, [f64; 4]); 4] = [
    ("SGD", SGD, [0.1, 0.3, 1.0, 3.0]),
    ("momentum", Optimizer::Sgd { momentum: 0.9, nesterov: false }, [0.01, 0.03, 0.1, 0.3]),
    ("RMSprop", Optimizer::RmsProp { alpha: 0.99, eps: 1e-8 }, [3e-4, 1e-3, 3e-3, 1e-2]),
    ("Adam", ADAM, [1e-3, 3e-3, 1e-2, 3e-2]),
];
/// Powers of ten to try as Adam's ε, at its authors' learning rate.
const EPS_POWERS: std::ops::RangeInclusive<i32> = -10..=0;
const EPS_LR: f64 = 1e-3;
/// Index of its authors' ε, and of the ones compared with it.
const USUAL_EPS: usize = 2;
const COMPARED_EPS: [usize; 2] = [0, 4];
/// A difference of scores that does not matter.
const SMALL: f64 = 0.01;
/// Root mean square distance from their start at which γ and β count as moved.
const LEFT: f64 = 0.01;

pub struct SgdOrAdam;

/// Results of one method, a value for each seed.
#[derive(Clone, Debug)]
struct Found {
    /// Score beyond that of a network that has learnt nothing.
    gain: Vec<f64>,
    /// Root mean square of γ - 1 and of β.
    left: [Vec<f64>; 2],
}

impl Demo for SgdOrAdam {
    fn name(&self) -> &'static str {
        "sgd-or-adam"
    }

    fn claim(&self) -> Text {
        text!(
            "Any gradient method learns γ and β, as it learns weights, and Adam's ε needs no tuning",
            "γ 和 β 与权重一样，可用任何梯度方法学习；Adam 的 ε 无需调节"
        )
    }

    fn run(&self, lab: &Lab) -> Result<Finding, LabError> {
        let problem = lab.validated_problem()?;
        let (steps, seeds) = (lab.pick(1_000, 10_000), lab.seeds(lab.pick(5, 3)));
        let n = seeds.len();
        let looks = log_spaced(steps, 6);
        let eps: Vec<f64> = EPS_POWERS.map(|power| 10f64.powi(power)).collect();
        let of_methods =
            METHODS.iter().flat_map(|(_, optimizer, rates)| rates.iter().map(move |&lr| (*optimizer, lr)));
        let with_eps = |&eps: &f64| (Optimizer::Adam { beta1: 0.9, beta2: 0.999, eps }, EPS_LR);
        let settings: Vec<(Optimizer, f64)> = of_methods.chain(eps.iter().map(with_eps)).collect();
        let trainings = settings.iter().flat_map(|&(optimizer, lr)| {
            seeds.iter().map(move |&seed| Training { optimizer, ..lab.training(true, lr, seed) })
        });
        let plan = Plan { val_score: true, keep_weights: true, ..Plan::new(trainings, &looks) };
        let courses = lab.train(problem, &plan, self.name())?;
        // Grouped by setting.
        let courses: Vec<&[Course]> = courses.chunks(n).collect();
        let (tried, by_eps) = courses.split_at(settings.len() - eps.len());

        // Each method at the rate with the lowest validation loss.
        let rates = METHODS[0].2.len();
        let best: Vec<usize> = (0..METHODS.len())
            .map(|at| {
                (at * rates..(at + 1) * rates)
                    .min_by(|&a, &b| validation(tried[a]).total_cmp(&validation(tried[b])))
            })
            .map(Option::unwrap_or_default)
            .collect();
        let chance = lab.chance()?;
        let finals = |of: &[Course]| of.iter().map(Course::final_score).collect::<Vec<f64>>();
        let found: Vec<Found> = best
            .iter()
            .map(|&at| Found {
                gain: finals(tried[at]).iter().map(|score| score - chance).collect(),
                left: [0, 1]
                    .map(|which| tried[at].iter().map(|c| distance(&scale_shift(c)[which], which)).collect()),
            })
            .collect();
        let of_eps: Vec<Vec<f64>> = by_eps.iter().map(|of| finals(of)).collect();
        let changes: Vec<Option<Estimate>> =
            of_eps.iter().map(|scores| difference(&of_eps[USUAL_EPS], scores)).collect();
        let outcome = judge(&found, &COMPARED_EPS.map(|at| changes[at]));

        let names: Vec<Text> = METHODS.iter().map(|&(name, ..)| called(name)).collect();
        let reached: Vec<String> = best.iter().map(|&at| percent_pm(&finals(tried[at]))).collect();
        let [a, b, c, d] = [0, 1, 2, 3].map(|at| &reached[at]);
        let means = |which: usize| found.iter().map(move |of| mean(of.left[which].iter().copied()));
        let [gammas, betas] = [0, 1].map(|which| {
            let (least, most) =
                (means(which).fold(f64::INFINITY, f64::min), means(which).fold(0.0, f64::max));
            [number(least), number(most)]
        });
        let (gamma_least, gamma_most, beta_least, beta_most) = (&gammas[0], &gammas[1], &betas[0], &betas[1]);
        let near = |&at: &usize| changes[at].is_some_and(|change| change.mean.abs() <= SMALL);
        let harmless = (USUAL_EPS..eps.len()).take_while(near).last().unwrap_or(USUAL_EPS);
        let (first_eps, harmless) = (number(eps[0]), number(eps[harmless]));
        let at_one = changes.last().and_then(Option::as_ref).map_or("-".into(), points_pm);
        let sentence = text!(
            "Each at its best rate, SGD reaches {a}, SGD with momentum {b}, RMSprop {c} and Adam {d}; γ moves {gamma_least} to {gamma_most} from 1 and β {beta_least} to {beta_most} from 0 (root mean square); up to ε = {harmless}, Adam ends within a point of its score at ε = 1e-8, and at ε = 1 the change is {at_one} points.",
            "各方法均取最佳学习率时，SGD 达到 {a}，动量 SGD 达到 {b}，RMSprop 达到 {c}，Adam 达到 {d}；γ 偏离 1 的均方根为 {gamma_least} 至 {gamma_most}，β 偏离 0 为 {beta_least} 至 {beta_most}；ε 不超过 {harmless} 时，Adam 的得分与 ε = 1e-8 相差不到一个百分点，ε = 1 时变化 {at_one} 个百分点。"
        );

        let x = Axis::log(text!("steps", "步数")).within(1.0, steps as f64);
        let score = || lab.score_label().map(Axis::linear);
        let mut training = Panel::new(text!("(a) training", "(a) 训练"), x, score()?);
        let share = || Axis::linear(text!("units, sorted, %", "单元（排序后，%）")).within(0.0, 100.0);
        let mut gamma =
            Panel::new(text!("(b) γ at the end", "(b) 训练后的 γ"), share(), Axis::linear(Text::same("γ")));
        let mut beta =
            Panel::new(text!("(c) β at the end", "(c) 训练后的 β"), share(), Axis::linear(Text::same("β")));
        for (at, name) in names.iter().enumerate() {
            let (of, colour) = (tried[best[at]], Colour::nth(at));
            let drawn = |points| if at % 2 == 0 { Shape::Line(points) } else { Shape::Dashed(points) };
            let mean_at = |l: usize| mean(of.iter().map(|course| course.points[l].test.score));
            let curve = looks.iter().enumerate().map(|(l, &step)| (step as f64, mean_at(l))).collect();
            training = training.with(name.clone(), colour, drawn(curve));
            let [gammas, betas] =
                [0, 1].map(|which| of.iter().flat_map(|c| scale_shift(c)[which].clone()).collect());
            gamma = gamma.with(name.clone(), colour, drawn(quantiles(gammas)));
            beta = beta.with(name.clone(), colour, drawn(quantiles(betas)));
        }
        let points =
            eps.iter().zip(&of_eps).map(|(&eps, scores)| (eps, mean(scores.iter().copied()))).collect();
        let adam = (names[names.len() - 1].clone(), Colour::nth(names.len() - 1));
        let by_eps = Panel::new(text!("(d) Adam's ε", "(d) Adam 的 ε"), Axis::log(Text::same("ε")), score()?)
            .with(adam.0, adam.1, Shape::Dots(points));

        let mut table = vec![vec![
            Text::default(),
            Text::same("α"),
            lab.score_label()?,
            text!("γ - 1, root mean square", "γ - 1 的均方根"),
            text!("β, root mean square", "β 的均方根"),
        ]];
        for ((&at, name), found) in best.iter().zip(&names).zip(&found) {
            let [gamma, beta] = [0, 1].map(|which: usize| Text::same(number_pm(&found.left[which])));
            let score = Text::same(percent_pm(&finals(tried[at])));
            table.push(vec![name.clone(), Text::same(settings[at].1.to_string()), score, gamma, beta]);
        }
        let steps_text = count(steps);
        let caption = lab.layers()
            + text!(
                " sigmoid units with BN, batches of 60, {steps_text} steps, {n} seeds; each method at the best of {rates} learning rates by validation loss. (a) Means over the seeds. (b), (c) γ and β of all hidden units of all seeds, sorted; they start at 1 and 0. (d) Final score of Adam with α = {EPS_LR} and ε from {first_eps} to 1, means over the seeds.",
                " sigmoid 单元，有 BN，批量大小 60，{steps_text} 步，{n} 个种子；每种方法从 {rates} 个学习率中取验证损失最小者。(a) 各种子的均值。(b)、(c) 所有种子、所有隐藏单元的 γ 与 β（排序后），初值为 1 与 0。(d) Adam，α = {EPS_LR}，ε 从 {first_eps} 到 1 的最终得分，各种子的均值。"
            );
        let method = |((name, _, _), (&at, found)): (&(&str, _, _), (&usize, &Found))| {
            json!({
                "method": name, "lr": settings[at].1, "scores": finals(tried[at]),
                "gamma_left": found.left[0], "beta_left": found.left[1],
            })
        };
        Ok(Finding {
            figure: Figure { panels: vec![training, gamma, beta, by_eps], columns: 2 },
            caption,
            table,
            verdict: Verdict { outcome, sentence },
            numbers: json!({
                "seeds": seeds,
                "chance": chance,
                "methods": METHODS.iter().zip(best.iter().zip(&found)).map(method).collect::<Vec<_>>(),
                "eps": eps,
                "scores_by_eps": of_eps,
            }),
        })
    }
}

fn called(method: &str) -> Text {
    if method == "momentum" { text!("SGD with momentum", "动量 SGD") } else { Text::same(method) }
}

/// Mean validation loss at the end; infinite if a seed has diverged.
fn validation(courses: &[Course]) -> f64 {
    let losses = courses.iter().map(|c| c.last().and_then(|p| p.val).map_or(f64::NAN, |val| val.loss));
    let mean = losses.sum::<f64>() / courses.len() as f64;
    if mean.is_finite() { mean } else { f64::INFINITY }
}

/// γ and β of all units.
fn scale_shift(course: &Course) -> [Vec<f64>; 2] {
    let layers = || course.weights.iter().filter_map(|layer| layer.bn.as_ref());
    let wide = |values: &[f32]| values.iter().map(|&value| f64::from(value)).collect::<Vec<_>>();
    [layers().flat_map(|bn| wide(&bn.weight)).collect(), layers().flat_map(|bn| wide(&bn.bias)).collect()]
}

/// Root mean square distance of `values` from where they start: γ (`which` = 0) at 1, β at 0.
fn distance(values: &[f64], which: usize) -> f64 {
    let start = if which == 0 { 1.0 } else { 0.0 };
    mean(values.iter().map(|value| (value - start).powi(2))).sqrt()
}

/// (percentage of values that are not greater, value).
fn quantiles(mut values: Vec<f64>) -> Vec<(f64, f64)> {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    let at = |percent: usize| Some((percent as f64, *values.get(last * percent / 100)?));
    (0..=100).filter_map(at).collect()
}

/// Whether a mean is certainly above (true) or below (false) a limit.
fn beyond(estimate: Option<&Estimate>, limit: f64) -> Option<bool> {
    let estimate = estimate?;
    let half = estimate.ci95?;
    match estimate.mean {
        mean if mean - half > limit => Some(true),
        mean if mean + half < limit => Some(false),
        _ => None,
    }
}

/// The claim holds if every method learns at least half of what the best one learns, every γ and β moves from its
/// start, and no entry of `changes` (Adam's score with another ε) matters; it fails if one of these is certainly
/// false.
fn judge(found: &[Found], changes: &[Option<Estimate>]) -> Outcome {
    let of = |values: &[f64]| Estimate::of(values).filter(|estimate| estimate.mean.is_finite());
    let best = found.iter().filter_map(|found| of(&found.gain)).map(|gain| gain.mean).fold(0.0, f64::max);
    let mut answers = Vec::new();
    for found in found {
        // NaN: a method that diverges at every rate does not learn.
        answers.push(if found.gain.iter().any(|gain| gain.is_nan()) {
            Some(false)
        } else {
            beyond(of(&found.gain).as_ref(), best / 2.0)
        });
        answers.extend(found.left.iter().map(|left| beyond(of(left).as_ref(), LEFT)));
    }
    for change in changes {
        let matters = |limit: f64| change.as_ref().and_then(|change| beyond(Some(change), limit));
        answers.push(match (matters(SMALL), matters(-SMALL)) {
            (Some(true), _) | (_, Some(false)) => Some(false),
            (Some(false), Some(true)) => Some(true),
            _ => None,
        });
    }
    match () {
        () if answers.contains(&Some(false)) => Outcome::Fails,
        () if answers.contains(&None) => Outcome::Unclear,
        () => Outcome::Holds,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(gain: [f64; 3], gamma: [f64; 3]) -> Found {
        Found { gain: gain.to_vec(), left: [gamma.to_vec(), vec![0.2, 0.21, 0.22]] }
    }

    #[test]
    fn every_method_has_to_learn_and_gamma_and_beta_to_move() {
        let good = || found([0.85, 0.86, 0.87], [0.1, 0.11, 0.12]);
        let change = |mean: f64| [Some(Estimate { mean, ci95: Some(0.004) })];
        let judged = |other: Found, mean: f64| judge(&[good(), other], &change(mean));
        assert_eq!(judged(good(), 0.001), Outcome::Holds);
        assert_eq!(
            judged(found([0.10, 0.11, 0.12], [0.1, 0.11, 0.12]), 0.0),
            Outcome::Fails,
            "the other learns too little"
        );
        assert_eq!(
            judged(found([0.85, f64::NAN, 0.87], [0.1, 0.11, 0.12]), 0.0),
            Outcome::Fails,
            "the other diverges"
        );
        assert_eq!(judged(found([0.85, 0.86, 0.87], [1e-4, 2e-4, 3e-4]), 0.0), Outcome::Fails, "γ stays");
        assert_eq!(judged(good(), -0.02), Outcome::Fails, "ε matters");
        assert_eq!(judged(good(), 0.008), Outcome::Unclear, "ε may matter");
        assert_eq!(
            judged(found([0.85, 0.10, 0.87], [0.1, 0.11, 0.12]), 0.0),
            Outcome::Unclear,
            "seeds disagree"
        );
        let nothing = || found([-0.02, 0.00, 0.02], [0.1, 0.11, 0.12]);
        assert_eq!(judge(&[nothing(), nothing()], &change(0.0)), Outcome::Unclear, "no method learns");
    }

    #[test]
    fn distances_are_from_where_gamma_and_beta_start() {
        assert!((distance(&[1.0, 1.2, 0.6], 0) - (0.2f64 / 3.0).sqrt()).abs() < 1e-12);
        assert!((distance(&[0.3, -0.4], 1) - (0.125f64).sqrt()).abs() < 1e-12);
        let found = quantiles((0..=200).rev().map(f64::from).collect());
        assert_eq!(
            (found.len(), found[0], found[50], found[100]),
            (101, (0.0, 0.0), (50.0, 100.0), (100.0, 200.0))
        );
    }
}
