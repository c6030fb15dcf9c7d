//! How many fewer steps a network with batch normalisation takes.

use serde_json::json;

use super::networks::{ADAM, BOTH, by_sgd, colour, name};
use super::statistics::{first_reaches, mean, percent_pm, times_pm};
use super::{Course, Demo, Finding, Lab, LabError, Outcome, Plan, Verdict, log_spaced};
use crate::base::text::count;
use crate::report::figure::{Axis, Colour, Figure, Panel, Shape};
use crate::report::language::Text;
use crate::spec::Training;
use crate::sweep::analysis::Estimate;
use crate::text;

pub struct Steps;

/// Distance from the best score that counts as reaching it: the best of many looks at few rows is partly luck.
const NEARLY: f64 = 0.01;

/// For each seed, log₁₀ of the steps of the plain network until nearly its best score, over the steps of the network
/// with BN until the same score.
///
/// Plain networks that do not reach `learnt` are left out.
fn fewer(plain: &[Course], normalized: &[Course], learnt: f64) -> Vec<f64> {
    let of = |(plain, normalized): (&Course, &Course)| {
        let (plain, normalized) = (plain.scores(), normalized.scores());
        let best = plain.iter().map(|p| p.1).filter(|y| y.is_finite()).fold(f64::NEG_INFINITY, f64::max);
        let steps = |curve: &[(f64, f64)]| first_reaches(curve, best - NEARLY).map(|steps| steps.max(1.0));
        let last = normalized.last().map_or(1.0, |p| p.0);
        // Not reached: count all steps.
        let times = steps(&plain).unwrap_or(last) / steps(&normalized).unwrap_or(last);
        (best >= learnt).then(|| times.log10())
    };
    plain.iter().zip(normalized).filter_map(of).collect()
}

/// "Several times": clearly fewer, and by this factor in the mean.
const SEVERAL: f64 = 2.0;

/// The majority of the settings decides.
fn judge(settings: &[Vec<f64>]) -> Outcome {
    let estimates: Vec<Estimate> = settings.iter().filter_map(|logs| Estimate::of(logs)).collect();
    let fewer = estimates.iter().filter(|e| e.is_above_zero() && e.mean >= SEVERAL.log10()).count();
    // Certainly less than that factor.
    let not = |e: &&Estimate| e.ci95.is_some_and(|half| e.mean + half < SEVERAL.log10());
    let not = estimates.iter().filter(not).count();
    match () {
        () if 2 * fewer > settings.len() => Outcome::Holds,
        () if 2 * not > settings.len() => Outcome::Fails,
        () => Outcome::Unclear,
    }
}

impl Demo for Steps {
    fn name(&self) -> &'static str {
        "steps"
    }

    fn claim(&self) -> Text {
        text!(
            "A network with BN comes within one point of the plain network's best score in several times fewer steps",
            "有 BN 的网络只需几分之一的步数，得分就能与无 BN 网络的最高得分相差不到一个百分点"
        )
    }

    fn run(&self, lab: &Lab) -> Result<Finding, LabError> {
        let problem = lab.problem()?;
        let (last, seeds) = (lab.pick(3_000, 20_000), lab.seeds(lab.pick(10, 5)));
        let looks = log_spaced(last, 16);
        type Change = fn(Training) -> Training;
        let settings: [(Text, Change); 4] = [
            (Text::same("SGD, α = 0.1"), |t| by_sgd(t, 0.1, None)),
            (text!("SGD, α = 1, weights of 0.01", "SGD，α = 1，权重 0.01"), |t| {
                by_sgd(t, 1.0, Some(0.01))
            }),
            (Text::same("SGD, α = 3"), |t| by_sgd(t, 3.0, None)),
            (Text::same("Adam, α = 0.001"), |t| Training { optimizer: ADAM, lr: 1e-3, ..t }),
        ];
        let trainings = settings.iter().flat_map(|(_, change)| {
            let seeds = &seeds;
            BOTH.into_iter()
                .flat_map(move |bn| seeds.iter().map(move |&seed| change(lab.training(bn, 0.1, seed))))
        });
        let courses = lab.train(problem, &Plan::new(trainings, &looks), self.name())?;
        let learnt = lab.learnt()?;
        let mut panels = Vec::new();
        let mut table = vec![vec![
            Text::default(),
            text!("best without BN", "无 BN 的最高得分"),
            text!("times fewer steps with BN", "步数之比（无 BN/有 BN）"),
            text!("at the end, with BN", "有 BN 的最终得分"),
        ]];
        let mut all = Vec::new();
        for ((title, _), courses) in settings.iter().zip(courses.chunks_exact(2 * seeds.len())) {
            let (plain, normalized) = courses.split_at(seeds.len());
            let logs = fewer(plain, normalized, learnt);
            let best: Vec<f64> =
                plain.iter().map(|c| c.scores().iter().map(|p| p.1).fold(f64::NAN, f64::max)).collect();
            let mut panel = Panel::new(
                title.clone(),
                Axis::log(text!("steps", "步数")).within(1.0, last as f64),
                lab.score_axis()?.within(0.0, 1.0),
            );
            let level = mean(best.iter().copied()) - NEARLY;
            let line = vec![(1.0, level), (last as f64, level)];
            panel = panel.with(
                text!("best without BN - 1 point", "无 BN 的最高得分 - 1 百分点"),
                Colour::Grey,
                Shape::Line(line),
            );
            for (bn, courses) in [(false, plain), (true, normalized)] {
                let curve =
                    looks.iter().enumerate().skip(1).map(|(at, &step)| {
                        (step as f64, mean(courses.iter().map(|c| c.points[at].test.score)))
                    });
                let curve: Vec<(f64, f64)> = curve.collect();
                panel = panel.with(
                    name(bn),
                    colour(bn),
                    if bn { Shape::Line(curve) } else { Shape::Dashed(curve) },
                );
            }
            panels.push(panel);
            let ends: Vec<f64> = normalized.iter().map(Course::final_score).collect();
            let row = [percent_pm(&best), times_pm(&logs), percent_pm(&ends)];
            table.push([title.clone()].into_iter().chain(row.map(Text::same)).collect());
            all.push(logs);
        }
        let outcome = judge(&all);
        let [slow, small, tuned, adam] = [0, 1, 2, 3].map(|at| times_pm(&all[at]));
        let sentence = text!(
            "With BN, the network comes within one point of the plain network's best score in this many times fewer steps: {slow} for SGD with α = 0.1, {small} for α = 1 and small initial weights, {tuned} for α = 3, {adam} for Adam (the paper reports 14 for an ImageNet network).",
            "要达到与无 BN 网络最高得分相差不到一个百分点的得分，无 BN 与有 BN 所需步数之比为：α = 0.1 的 SGD {slow}，α = 1 且初始权重很小时 {small}，α = 3 时 {tuned}，Adam {adam}（论文报告，在一个 ImageNet 网络上有 BN 的步数仅为 1/14）。"
        );
        let (n, steps) = (seeds.len(), count(last));
        let caption = lab.layers()
            + text!(
                " sigmoid units, batches of 60, {steps} steps; means of {n} seeds. Grey: one point below the mean of the best scores without BN. Times fewer: geometric mean over the seeds, with its 95 % interval; a network that does not reach the score within the {steps} steps counts as reaching it at the last one.",
                " sigmoid 单元，批量大小 60，{steps} 步；{n} 个种子的平均。灰线：无 BN 时最高得分的平均减一个百分点。步数之比为各种子的几何平均及其 95 % 置信区间；{steps} 步内未达到的按最后一步计。"
            );
        Ok(Finding {
            figure: Figure { panels, columns: 2 },
            caption,
            table,
            verdict: Verdict { outcome, sentence },
            numbers: json!({ "seeds": seeds, "log10_times_fewer": all }),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn most_settings_decide() {
        let (fewer, more, even) = (vec![0.5, 0.6, 0.55], vec![-0.5, -0.6, -0.55], vec![0.5, -0.5, 0.1]);
        assert_eq!(judge(&[fewer.clone(), fewer.clone(), even.clone()]), Outcome::Holds);
        assert_eq!(judge(&[more.clone(), more.clone(), even.clone()]), Outcome::Fails);
        assert_eq!(judge(&[even.clone(), even.clone(), fewer.clone()]), Outcome::Unclear);
        assert_eq!(judge(&[fewer.clone(), more, even]), Outcome::Unclear);
        let hardly = vec![0.02, 0.03, 0.025];
        assert_eq!(judge(&[hardly.clone(), hardly]), Outcome::Fails);
        assert_eq!(judge(&[fewer.clone(), fewer, vec![], vec![]]), Outcome::Unclear);
    }
}
