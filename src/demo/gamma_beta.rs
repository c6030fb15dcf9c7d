//! Why batch normalisation has γ and β.

use serde_json::json;

use super::networks::{colour, name};
use super::statistics::{
    difference, difference_of_rounded, final_scores, mean, number_pm, percent_pm, points_pm,
};
use super::{Course, Demo, Finding, Lab, LabError, Outcome, Plan, Verdict, log_spaced};
use crate::base::text::count;
use crate::report::figure::{Axis, Colour, Figure, Panel, Shape};
use crate::report::language::Text;
use crate::spec::{Activation, BatchNorm};
use crate::sweep::analysis::Estimate;
use crate::text;

const ACTIVATIONS: [Activation; 2] = [Activation::Sigmoid, Activation::Relu];
/// The networks in the order of the members: BN with γ and β, BN without them, no BN.
const NETWORKS: [Option<bool>; 3] = [Some(true), Some(false), None];
const LR: f64 = 0.3;
/// A gain certainly below this counts as none.
const NO_BETTER: f64 = 0.01;

pub struct GammaBeta;

impl Demo for GammaBeta {
    fn name(&self) -> &'static str {
        "gamma-beta"
    }

    fn claim(&self) -> Text {
        text!(
            "Without γ and β, BN keeps sigmoids in their linear region, and the network is worse",
            "没有 γ 和 β 时，BN 把 sigmoid 限制在线性区，使网络性能下降"
        )
    }

    fn run(&self, lab: &Lab) -> Result<Finding, LabError> {
        let problem = lab.problem()?;
        let seeds = lab.seeds(5);
        let steps: u64 = lab.pick(1_500, 5_000);
        let looks = log_spaced(steps, 6);
        let mut plan = Plan { watch: true, ..Plan::default() };
        for activation in ACTIVATIONS {
            for affine in NETWORKS {
                plan.members.extend(seeds.iter().map(|&seed| {
                    let mut training = lab.training(false, LR, seed);
                    training.network.activation = activation;
                    training.network.init = activation.default_init();
                    training.network.batch_norm =
                        affine.map(|affine| BatchNorm { affine, ..BatchNorm::default() });
                    (training, looks.clone())
                }));
            }
        }
        let courses = lab.train(problem, &plan, self.name())?;
        let groups: Vec<&[Course]> = courses.chunks(seeds.len()).collect();
        let (sigmoid, relu) = groups.split_at(NETWORKS.len());
        let chance = lab.chance()?;
        let step = lab.score_step()?;
        let gain = |of: &[&[Course]]| {
            difference_of_rounded(&final_scores(of[1], chance), &final_scores(of[0], chance), step)
        };
        let (gain_sigmoid, gain_relu) = (gain(sigmoid), gain(relu));
        let widths: Vec<Vec<f64>> =
            sigmoid.iter().map(|courses| courses.iter().map(width).collect()).collect();
        let wider = difference(&widths[1], &widths[0]);
        let outcome = match (&gain_sigmoid, &wider) {
            (Some(gain), Some(wider)) => judge(gain, wider),
            _ => Outcome::Unclear,
        };
        let points = |e: &Option<Estimate>| e.as_ref().map_or("-".into(), points_pm);
        let (points_sigmoid, points_relu) = (points(&gain_sigmoid), points(&gain_relu));
        let (with, without) = (number_pm(&widths[0]), number_pm(&widths[1]));
        let all = count(steps);
        let sentence = text!(
            "After {all} steps, γ and β add {points_sigmoid} points with sigmoid units and {points_relu} with ReLU; the middle 70 % of the last sigmoids' inputs span {with} with γ and β and {without} without.",
            "{all} 步后，γ 和 β 使得分变化：sigmoid 网络 {points_sigmoid} 个百分点，ReLU 网络 {points_relu} 个百分点；最后一层 sigmoid 输入中间 70 % 的宽度，有 γ 和 β 时为 {with}，没有时为 {without}。"
        );

        let steps_axis = || Axis::log(text!("steps", "步数")).within(1.0, steps as f64);
        let curves = |title: Text, groups: &[&[Course]]| -> Result<Panel, LabError> {
            let mut panel = Panel::new(title, steps_axis(), lab.score_axis()?);
            // Curves with BN are drawn over the one without.
            for (affine, courses) in NETWORKS.into_iter().zip(groups).rev() {
                let score = |at: usize| mean(courses.iter().map(|course| course.points[at].test.score));
                let points = (0..looks.len()).map(|at| (looks[at] as f64, score(at))).collect();
                panel = panel.with(label(affine), paint(affine), line(affine, points));
            }
            Ok(panel)
        };
        let mut inputs = Panel::new(
            text!("(c) inputs of the sigmoids", "(c) sigmoid 的输入"),
            steps_axis(),
            Axis::linear(text!("input of the last sigmoids", "最后一层 sigmoid 的输入")),
        );
        for (affine, courses) in NETWORKS[..2].iter().zip(sigmoid) {
            for percentile in 1..=3 {
                let of = |at: usize| mean(courses.iter().map(|course| last_inputs(course, at)[percentile]));
                let points = (0..looks.len()).map(|at| (looks[at] as f64, of(at))).collect();
                inputs = inputs.with(label(*affine), paint(*affine), line(*affine, points));
            }
        }
        let panels = vec![
            curves(text!("(a) sigmoid", "(a) sigmoid"), sigmoid)?,
            curves(text!("(b) ReLU", "(b) ReLU"), relu)?,
            inputs,
        ];

        let mut table = vec![vec![
            Text::default(),
            text!("sigmoid", "sigmoid"),
            text!("ReLU", "ReLU"),
            text!("width of the sigmoids' inputs", "sigmoid 输入的宽度"),
        ]];
        for (at, affine) in NETWORKS.into_iter().enumerate() {
            table.push(vec![
                label(affine),
                Text::same(percent_pm(&final_scores(sigmoid[at], chance))),
                Text::same(percent_pm(&final_scores(relu[at], chance))),
                Text::same(number_pm(&widths[at])),
            ]);
        }
        let n = seeds.len();
        let caption = lab.layers()
            + text!(
                " units, batches of 60, gradient descent with α = {LR}, {all} steps, means of {n} seeds. Networks without γ and β keep them at 1 and 0 (bngpu train --no-bn-affine). (a), (b) Score over training with sigmoid units and with ReLU. (c) {{15, 50, 85}}th percentiles of the inputs of the last hidden layer's sigmoids; between -1 and 1 a sigmoid is nearly linear.",
                "单元，批量大小 60，α = {LR} 的梯度下降，{all} 步，{n} 个种子的均值。“无 γ 和 β”指它们固定为 1 和 0（bngpu train --no-bn-affine）。(a)、(b) sigmoid 与 ReLU 网络训练过程中的得分；(c) 最后一个隐藏层中 sigmoid 输入的第 {{15, 50, 85}} 百分位：在 -1 与 1 之间 sigmoid 近似线性。"
            );
        let curves = |groups: &[&[Course]]| -> Vec<Vec<Vec<(f64, f64)>>> {
            groups.iter().map(|courses| courses.iter().map(Course::scores).collect()).collect()
        };
        Ok(Finding {
            figure: Figure { panels, columns: 3 },
            caption,
            table,
            verdict: Verdict { outcome, sentence },
            numbers: json!({
                "seeds": seeds,
                "steps": looks,
                "networks": ["with gamma and beta", "without gamma and beta", "without BN"],
                "sigmoid": curves(sigmoid),
                "relu": curves(relu),
                "widths": widths,
            }),
        })
    }
}

fn label(affine: Option<bool>) -> Text {
    match affine {
        Some(true) => text!("with BN, γ and β", "有 BN，有 γ 和 β"),
        Some(false) => text!("with BN, no γ and β", "有 BN，无 γ 和 β"),
        None => name(false),
    }
}

fn paint(affine: Option<bool>) -> Colour {
    if affine == Some(false) { Colour::Green } else { colour(affine.is_some()) }
}

fn line(affine: Option<bool>, points: Vec<(f64, f64)>) -> Shape {
    if affine == Some(true) { Shape::Line(points) } else { Shape::Dashed(points) }
}

/// Percentiles of the last hidden layer's activation inputs at a look; NaN if there are none.
fn last_inputs(course: &Course, look: usize) -> [f64; 5] {
    let layers = course.points.get(look).map_or(&[][..], |point| &point.layers);
    let last = layers.len().checked_sub(2).map(|last| layers[last].after.0.map(f64::from));
    last.unwrap_or([f64::NAN; 5])
}

/// Distance from the 15th to the 85th percentile at the end.
fn width(course: &Course) -> f64 {
    let inputs = last_inputs(course, course.points.len().saturating_sub(1));
    inputs[3] - inputs[1]
}

/// `gain` is what γ and β add to the score of the sigmoid network, `wider` what they add to the width of its inputs.
fn judge(gain: &Estimate, wider: &Estimate) -> Outcome {
    let no_better = gain.ci95.is_some_and(|half| gain.mean + half < NO_BETTER);
    match () {
        () if no_better || wider.is_below_zero() => Outcome::Fails,
        () if gain.is_above_zero() && wider.is_above_zero() => Outcome::Holds,
        () => Outcome::Unclear,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_claim_needs_a_gain_and_wider_inputs() {
        let of = |mean: f64, half: f64| Estimate { mean, ci95: Some(half) };
        assert_eq!(judge(&of(0.02, 0.01), &of(1.0, 0.1)), Outcome::Holds);
        // Wider inputs with next to no gain, however certain; narrower inputs.
        assert_eq!(judge(&of(0.002, 0.001), &of(1.0, 0.1)), Outcome::Fails);
        assert_eq!(judge(&of(0.002, 0.004), &of(1.0, 0.1)), Outcome::Fails);
        assert_eq!(judge(&of(0.02, 0.01), &of(-1.0, 0.1)), Outcome::Fails);
        assert_eq!(judge(&of(0.02, 0.03), &of(1.0, 0.1)), Outcome::Unclear);
        assert_eq!(judge(&of(0.02, 0.01), &Estimate { mean: 1.0, ci95: None }), Outcome::Unclear);
    }
}
