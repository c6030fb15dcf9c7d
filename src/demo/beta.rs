//! The memory of an average with β: 1/(1 - β) steps.

use serde_json::json;

use super::statistics::{difference, mean, number_pm, points_pm};
use super::{Course, Demo, Finding, Lab, LabError, Outcome, Plan, Verdict, log_spaced};
use crate::base::text::{count, number};
use crate::report::figure::{Axis, Colour, Figure, Panel, Shape};
use crate::report::language::Text;
use crate::spec::{Optimizer, Training};
use crate::sweep::analysis::Estimate;
use crate::text;

/// Two pairs, the same distance apart.
const PAIRS: [[f64; 2]; 2] = [[0.9, 0.9005], [0.999, 0.9995]];
const COLOURS: [Colour; 4] = [Colour::Blue, Colour::Orange, Colour::Purple, Colour::Green];
const LR: f64 = 1.0;
const ADAM_LR: f64 = 1e-3;
/// A difference of scores too small to see.
const UNSEEN: f64 = 0.005;

pub struct Beta;

impl Demo for Beta {
    fn name(&self) -> &'static str {
        "beta"
    }

    fn claim(&self) -> Text {
        text!(
            "An average with β remembers about 1/(1 - β) steps: raising β from 0.9 to 0.9005 changes nothing, from 0.999 to 0.9995 a lot",
            "系数为 β 的移动平均约记住 1/(1 - β) 步：β 由 0.9 增至 0.9005 几乎没有影响，由 0.999 增至 0.9995 影响很大"
        )
    }

    fn run(&self, lab: &Lab) -> Result<Finding, LabError> {
        let problem = lab.problem()?;
        let (steps, seeds) = (lab.pick(2_000, 10_000), lab.seeds(lab.pick(5, 3)));
        let looks = log_spaced(steps, 8);
        let betas = PAIRS.as_flattened();
        let each = |by: fn(&Lab, f64, u64) -> Training| {
            betas
                .iter()
                .flat_map(|&beta| seeds.iter().map(move |&seed| by(lab, beta, seed)))
                .collect::<Vec<_>>()
        };
        let trainings = [each(along_the_average), each(by_adam)].concat();
        let courses = lab.train(problem, &Plan::new(trainings, &looks), self.name())?;
        // By method, then by β.
        let courses: Vec<Vec<&[Course]>> = courses
            .chunks(betas.len() * seeds.len())
            .map(|of_way| of_way.chunks(seeds.len()).collect())
            .collect();
        let areas: Vec<Vec<Vec<f64>>> =
            courses.iter().map(|way| way.iter().map(|of| of.iter().map(area).collect()).collect()).collect();
        let change = |way: usize, pair: usize| difference(&areas[way][2 * pair], &areas[way][2 * pair + 1]);
        let outcome = judge(change(0, 0).as_ref(), change(0, 1).as_ref());
        let [near, far, adam] = [(0, 0), (0, 1), (1, 1)]
            .map(|(way, pair)| change(way, pair).as_ref().map_or("-".into(), points_pm));
        let [[a, b], [c, d]] = PAIRS;
        let [of_a, of_b, of_c, of_d] = [a, b, c, d].map(|beta| number(memory(beta)));
        let sentence = text!(
            "Raising β from {a} to {b} extends the average's memory from {of_a} to {of_b} steps and changes the mean score over training by {near} points; from {c} to {d}, the memory grows from {of_c} to {of_d} steps and the score changes by {far} points ({adam} with Adam, which corrects the start of its averages).",
            "β 由 {a} 增至 {b} 时，移动平均记住的步数由 {of_a} 增至 {of_b}，训练全程的平均得分变化 {near} 个百分点；β 由 {c} 增至 {d} 时，步数由 {of_c} 增至 {of_d}，得分变化 {far} 个百分点（Adam 会修正平均的起始偏差，变化为 {adam}）。"
        );

        let last = 10_000;
        let responses =
            |beta: f64| log_spaced(last, 20).into_iter().map(move |t| (t as f64, response(beta, t)));
        let mut panels = vec![four(
            text!("(a) average after a jump from 0 to 1", "(a) 输入由 0 跳到 1 时的移动平均"),
            Axis::log(text!("steps since the jump", "跳变后的步数")).within(1.0, last as f64),
            Axis::linear(text!("average", "移动平均")).within(0.0, 1.02),
            |at| (Vec::new(), responses(betas[at]).collect()),
        )];
        let titles = [
            text!("(b) training along the average of the gradients", "(b) 沿梯度的移动平均训练"),
            text!("(c) training with Adam, β₁ = β", "(c) 用 Adam 训练，β₁ = β"),
        ];
        for (way, title) in courses.iter().zip(titles) {
            let x = Axis::log(text!("steps", "步数")).within(1.0, steps as f64);
            panels.push(four(title, x, lab.score_axis()?.within(0.0, 1.0), |at| {
                let scores = |l: usize| way[at].iter().map(move |course| course.points[l].test.score);
                let mean = |(l, &step): (usize, &u64)| (step as f64, mean(scores(l)));
                let range = |(l, &step): (usize, &u64)| {
                    let least = scores(l).fold(f64::INFINITY, f64::min);
                    (step as f64, least, scores(l).fold(f64::NEG_INFINITY, f64::max))
                };
                (looks.iter().enumerate().map(range).collect(), looks.iter().enumerate().map(mean).collect())
            }));
        }

        let percents = |values: &[f64]| {
            Text::same(number_pm(&values.iter().map(|value| 100.0 * value).collect::<Vec<_>>()))
        };
        let mut table = vec![vec![
            Text::same("β"),
            text!("1/(1 - β), steps", "1/(1 - β)（步）"),
            text!("mean score over training, %", "训练全程的平均得分（%）"),
            text!("with Adam, %", "用 Adam（%）"),
        ]];
        for (at, &beta) in betas.iter().enumerate() {
            let [along, adam] = [0, 1].map(|way: usize| percents(&areas[way][at]));
            table.push(vec![Text::same(beta.to_string()), Text::same(number(memory(beta))), along, adam]);
        }
        let (n, steps_text) = (seeds.len(), count(steps));
        let average = text!(
            "(a) The exponentially weighted average v ← β v + (1 - β) θ of a θ that jumps from 0 to 1: after 1/(1 - β) steps it has gone 63 % of the way. (b), (c) ",
            "(a) 指数加权平均 v ← β v + (1 - β) θ，θ 由 0 跳到 1：1/(1 - β) 步后走完 63 %。(b)、(c) "
        );
        let networks = text!(
            " sigmoid units with BN, batches of 60, {steps_text} steps, {n} seeds: mean and range. (b) W ← W - α v, where v is the average of the gradients and α = {LR}; (c) Adam with α = {ADAM_LR} and β₂ = 0.999. The mean over training is taken at log-spaced steps.",
            " sigmoid 单元，有 BN，批量大小 60，{steps_text} 步，{n} 个种子的均值与取值范围。(b) W ← W - α v，v 为梯度的移动平均，α = {LR}；(c) Adam，α = {ADAM_LR}，β₂ = 0.999。训练全程的平均得分取自按对数等间隔的各步。"
        );
        let caption = average + lab.layers() + networks;
        let scores = |of: &&[Course]| of.iter().map(Course::scores).collect::<Vec<_>>();
        Ok(Finding {
            figure: Figure { panels, columns: 3 },
            caption,
            table,
            verdict: Verdict { outcome, sentence },
            numbers: json!({
                "seeds": seeds,
                "beta": betas,
                "remembered": betas.iter().map(|&beta| memory(beta)).collect::<Vec<_>>(),
                "mean_scores": { "average": areas[0], "adam": areas[1] },
                "scores": {
                    "average": courses[0].iter().map(scores).collect::<Vec<_>>(),
                    "adam": courses[1].iter().map(scores).collect::<Vec<_>>(),
                },
            }),
        })
    }
}

/// W ← W - α v with v ← β v + (1 - β) dW: the engine's momentum, m ← β m + dW, is v/(1 - β).
fn along_the_average(lab: &Lab, beta: f64, seed: u64) -> Training {
    let optimizer = Optimizer::Sgd { momentum: beta, nesterov: false };
    Training { optimizer, ..lab.training(true, LR * (1.0 - beta), seed) }
}

fn by_adam(lab: &Lab, beta1: f64, seed: u64) -> Training {
    Training {
        optimizer: Optimizer::Adam { beta1, beta2: 0.999, eps: 1e-8 },
        ..lab.training(true, ADAM_LR, seed)
    }
}

/// A panel with a band and a curve for each β.
fn four(
    title: Text,
    x: Axis,
    y: Axis,
    drawn: impl Fn(usize) -> (Vec<(f64, f64, f64)>, Vec<(f64, f64)>),
) -> Panel {
    let all: Vec<_> = (0..COLOURS.len()).map(drawn).collect();
    let mut panel = Panel::new(title, x, y);
    for ((band, _), colour) in all.iter().zip(COLOURS) {
        panel = panel.with(Text::default(), colour, Shape::Band(band.clone()));
    }
    for (at, ((_, line), colour)) in all.into_iter().zip(COLOURS).enumerate() {
        let shape = if at % 2 == 0 { Shape::Line(line) } else { Shape::Dashed(line) };
        panel = panel.with(Text::same(format!("β = {}", PAIRS.as_flattened()[at])), colour, shape);
    }
    panel
}

/// Steps that an average with `beta` remembers.
fn memory(beta: f64) -> f64 {
    1.0 / (1.0 - beta)
}

/// v after t steps of v ← β v + (1 - β) θ from 0, with θ = 1.
fn response(beta: f64, t: u64) -> f64 {
    1.0 - beta.powf(t as f64)
}

/// Mean score over the log-spaced looks after step 0.
fn area(course: &Course) -> f64 {
    let scores = course.points.iter().filter(|p| p.step > 0).map(|p| p.test.score);
    scores.clone().sum::<f64>() / scores.count() as f64
}

/// `near` and `far` are the changes of the score in the two pairs. The claim holds if the far change is
/// certainly larger, and fails if it is certainly not larger or too small to see.
fn judge(near: Option<&Estimate>, far: Option<&Estimate>) -> Outcome {
    let bounds = |change: Option<&Estimate>| {
        let change = change?;
        let half = change.ci95?;
        let (least, most) = ((change.mean.abs() - half).max(0.0), change.mean.abs() + half);
        most.is_finite().then_some((least, most))
    };
    match (bounds(near), bounds(far)) {
        (Some((near, _)), Some((_, far))) if near >= far.min(UNSEEN) || far < UNSEEN => Outcome::Fails,
        (Some((_, near)), Some((far, _))) if far > near && near < UNSEEN => Outcome::Holds,
        _ => Outcome::Unclear,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_average_covers_63_percent_of_a_jump_within_its_memory() {
        assert!((memory(0.9005) - 10.050_251).abs() < 1e-6 && (memory(0.9995) - 2_000.0).abs() < 1e-6);
        // (1 - 1/n)^n for n = 10 and n = 1,000.
        assert!((response(0.9, 10) - 0.651_321_559_9).abs() < 1e-9);
        assert!((response(0.999, 1_000) - 0.632_304_575).abs() < 1e-9);
        assert_eq!(response(0.9, 0), 0.0);
    }

    #[test]
    fn the_verdict_rests_on_the_two_intervals() {
        let change = |mean: f64, half: f64| Some(Estimate { mean, ci95: Some(half) });
        let judged = |near: Option<Estimate>, far: Option<Estimate>| judge(near.as_ref(), far.as_ref());
        assert_eq!(judged(change(0.001, 0.002), change(-0.05, 0.02)), Outcome::Holds);
        assert_eq!(judged(change(0.001, 0.002), change(-0.05, 0.048)), Outcome::Unclear);
        assert_eq!(judged(change(0.000, 0.001), change(0.001, 0.002)), Outcome::Fails, "none is seen");
        assert_eq!(judged(change(0.0001, 0.0001), change(0.0005, 0.0002)), Outcome::Fails, "none matters");
        assert_eq!(judged(change(0.05, 0.01), change(0.10, 0.01)), Outcome::Fails, "both are seen");
        assert_eq!(judged(change(0.090, 0.010), change(-0.03, 0.02)), Outcome::Fails, "the wrong one");
        assert_eq!(judged(None, change(0.05, 0.01)), Outcome::Unclear);
        assert_eq!(judged(change(f64::NAN, f64::NAN), change(0.05, 0.01)), Outcome::Unclear);
        let one_seed = Some(Estimate { mean: 0.0, ci95: None });
        assert_eq!(judged(one_seed, change(0.05, 0.01)), Outcome::Unclear);
    }
}
