//! Grid, random search and successive halving at the same budget; α on a linear and on a logarithmic scale.

use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use serde_json::json;

use super::networks::layers;
use super::statistics::{all_above_zero, difference, mean, percent_pm, points_pm};
use super::{Course, Demo, Finding, Lab, LabError, Plan, Verdict};
use crate::base::text::count;
use crate::report::figure::{Axis, Colour, Figure, Panel, Shape};
use crate::report::language::Text;
use crate::spec::{Activation, Embed, Halving, Init, Network, Optimizer, Training};
use crate::sweep::analysis::Estimate;
use crate::sweep::schedule::{Rung, rungs};
use crate::text;

/// Ranges to search, on logarithmic scales: α, units of a layer, 1 - β₁.
const RANGES: [(f64, f64); 3] = [(1e-4, 1.0), (4.0, 64.0), (0.01, 0.3)];
/// Length of a full training and rungs of halving, in budget units.
const FULL: u64 = 27;
const HALVING: Halving = Halving { eta: 3, min_epochs: 3 };
/// Values of each setting in the grids; their cubes are the budgets, in full trainings.
const GRIDS: [usize; 2] = [2, 3];
/// Random settings of each study, and how many of them are also trained with α from a linear scale.
const POOL: usize = 56;
const LINEAR: usize = 16;
/// Random orders over which results are averaged.
const ORDERS: u64 = 200;

pub struct GridOrRandom;

/// One training: its losses at each rung and at its end, and its score.
#[derive(Clone, Debug)]
struct Trial {
    /// Validation losses, infinite once it has diverged.
    losses: Vec<f64>,
    /// Score on the test rows.
    score: f64,
}

/// Values of the three settings.
type Point = [f64; 3];

impl Demo for GridOrRandom {
    fn name(&self) -> &'static str {
        "grid-or-random"
    }

    fn claim(&self) -> Text {
        text!(
            "For the same budget, random search finds better settings than a grid, and halving better ones still; α belongs on a logarithmic scale",
            "预算相同时，随机搜索优于网格搜索，逐次减半更优；α 应按对数尺度取值"
        )
    }

    fn run(&self, lab: &Lab) -> Result<Finding, LabError> {
        let problem = lab.validated_problem()?;
        let (unit, seeds) = (lab.pick(30, 100), lab.seeds(10));
        let mut looks: Vec<u64> = rungs(Some(HALVING), FULL).iter().map(|rung| rung * unit).collect();
        looks.push(FULL * unit);
        // Each study has its own settings and a grid with a random offset.
        let studies: Vec<Vec<Point>> = seeds.iter().map(|&seed| settings(seed)).collect();
        let members = studies.iter().zip(&seeds);
        let trainings =
            members.flat_map(|(points, &seed)| points.iter().map(move |point| training(lab, point, seed)));
        let plan = Plan { val_score: true, ..Plan::new(trainings, &looks) };
        let courses = lab.train(problem, &plan, self.name())?;
        let trials: Vec<Trial> = courses.iter().map(Trial::of).collect();
        let chance = lab.chance()?;
        let studies: Vec<(&[Point], &[Trial])> =
            studies.iter().map(Vec::as_slice).zip(trials.chunks(studies[0].len())).collect();

        let budgets: Vec<usize> = (1..=GRIDS[1].pow(3)).collect();
        let small = GRIDS[0].pow(3);
        let [pool, linear, coarse, fine] = parts();
        let expected = |part: &std::ops::Range<usize>, halve: bool| -> Vec<Vec<f64>> {
            let of =
                |(_, trials): &(&[Point], &[Trial])| expected(&trials[part.clone()], halve, &budgets, chance);
            studies.iter().map(of).collect()
        };
        let (random, halved, linearly) =
            (expected(&pool, false), expected(&pool, true), expected(&linear, false));
        let grids = [&coarse, &fine].map(|part| {
            let best = |(_, trials): &(&[Point], &[Trial])| best(&trials[part.clone()]).unwrap_or(chance);
            studies.iter().map(best).collect::<Vec<f64>>()
        });
        let at = |curves: &[Vec<f64>], budget: usize| {
            curves.iter().map(|curve| curve[budget - 1]).collect::<Vec<f64>>()
        };
        let changes = [
            difference(&grids[0], &at(&random, small)),
            difference(&at(&random, small), &at(&halved, small)),
            difference(&at(&linearly, small), &at(&random, small)),
        ];
        let outcome = all_above_zero(&changes);
        let later = difference(&grids[1], &at(&random, GRIDS[1].pow(3)));
        let n = seeds.len();
        let points = |change: &Option<Estimate>| change.as_ref().map_or("-".into(), points_pm);
        let [over_grid, over_random, over_linear] = changes.each_ref().map(points);
        let (later, large) = (points(&later), GRIDS[1].pow(3));
        let sentence = text!(
            "With a budget of {small} full trainings, random search ends {over_grid} points above a grid ({later} with a budget of {large}), halving {over_random} above random search, and a logarithmic scale of α {over_linear} above a linear one ({n} independent studies).",
            "预算为 {small} 次完整训练时，随机搜索比网格高 {over_grid} 个百分点（预算为 {large} 次时 {later}），逐次减半比随机搜索高 {over_random}，α 按对数尺度比按线性尺度高 {over_linear}（{n} 次独立实验）。"
        );

        let score = || lab.score_axis();
        let x = Axis::log(text!("budget, full trainings", "预算（完整训练次数）"))
            .within(1.0, large as f64 * 1.1);
        let mut found = Panel::new(text!("(a) best by budget", "(a) 最佳结果随预算的变化"), x, score()?);
        // Budgets that every study reaches.
        let curve = |curves: &[Vec<f64>]| -> Vec<(f64, f64)> {
            let of = |&budget: &usize| (budget as f64, at(curves, budget));
            let all =
                budgets.iter().map(of).filter(|(_, scores)| scores.iter().all(|score| score.is_finite()));
            all.map(|(budget, scores)| (budget, mean(scores))).collect()
        };
        let names = [
            text!("random", "随机"),
            text!("grid", "网格"),
            text!("halving", "逐次减半"),
            text!("random, linear α", "随机，α 线性"),
        ];
        let grid =
            GRIDS.iter().zip(&grids).map(|(k, scores)| (k.pow(3) as f64, mean(scores.iter().copied())));
        let shapes = [
            Shape::Line(curve(&random)),
            Shape::Circles(grid.collect()),
            Shape::Line(curve(&halved)),
            Shape::Dashed(curve(&linearly)),
        ];
        for (at, shape) in shapes.into_iter().enumerate() {
            found = found.with(names[at].clone(), Colour::nth(at), shape);
        }
        let alpha = || Axis::log(Text::same("α")).within(RANGES[0].0, RANGES[0].1);
        let scores = |part: &std::ops::Range<usize>| {
            let of = studies
                .iter()
                .flat_map(|(points, trials)| points[part.clone()].iter().zip(&trials[part.clone()]));
            scattered(of.map(|(point, trial)| (point[0], trial.score)))
        };
        let every = Panel::new(text!("(b) every training", "(b) 每次训练"), alpha(), score()?)
            .with(names[0].clone(), Colour::nth(0), scores(&pool))
            .with(names[3].clone(), Colour::nth(3), scores(&linear));
        let units = Axis::log(text!("units of a layer", "每层单元数"));
        let first = studies[0].0;
        let tried = |points: &[Point]| scattered(points.iter().map(|point| (point[0], point[1])));
        let places = Panel::new(
            text!("(c) settings of {large} trainings", "(c) {large} 次训练的设置"),
            alpha(),
            units,
        )
        .with(names[0].clone(), Colour::nth(0), tried(&first[..large]))
        .with(names[1].clone(), Colour::nth(1), tried(&first[fine.clone()]));

        let row = |name: &Text, scores: [Vec<f64>; 2]| {
            let cell = |scores: &Vec<f64>| match scores.iter().all(|score| score.is_finite()) {
                true => Text::same(percent_pm(scores)),
                false => Text::same("-"),
            };
            [name.clone()].into_iter().chain(scores.iter().map(cell)).collect::<Vec<Text>>()
        };
        let both = |curves: &[Vec<f64>]| [at(curves, small), at(curves, large)];
        let trainings = |budget: usize| text!("{budget} full trainings", "{budget} 次完整训练");
        let table = vec![
            vec![Text::default(), trainings(small), trainings(large)],
            row(&names[0], both(&random)),
            row(&names[1], grids.clone()),
            row(&names[2], both(&halved)),
            row(&names[3], both(&linearly)),
        ];
        let (full, tries, eta) = (count(FULL * unit), POOL, HALVING.eta);
        let [(a0, a1), (u0, u1), (b0, b1)] = RANGES;
        let (b0, b1) = (1.0 - b0, 1.0 - b1);
        let caption = layers(lab.depth())
            + text!(
                " of {u0} to {u1} sigmoid units without BN (with BN, the choice of α matters less), batches of 32, Adam with α from {a0} to {a1} and β₁ from {b1} to {b0}; a full training has {full} steps. {n} studies, each with {tries} random settings of its own, drawn in {ORDERS} orders, and grids with a random offset. The setting with the lowest validation loss is chosen, and its test score is shown. (a) By budget, means over the studies; halving keeps 1 of {eta} trials at 1/9 and 1/3 of a training. (b) Every random setting. (c) The first study, projected along β₁: a grid tries few values of each setting.",
                "，每层 {u0} 至 {u1} 个 sigmoid 单元，无 BN（有 BN 时对 α 不太敏感），批量大小 32，Adam，α 为 {a0} 至 {a1}，β₁ 为 {b1} 至 {b0}，完整训练为 {full} 步。{n} 次独立实验，每次各有 {tries} 组随机设置（以 {ORDERS} 种次序抽取）和带随机偏移的网格。选取验证损失最小的设置，给出其测试得分。(a) 得分随预算的变化，各次实验的均值；逐次减半在训练的 1/9 与 1/3 处保留 1/{eta}。(b) 全部随机设置。(c) 第一次实验，沿 β₁ 方向投影：网格对每个超参数只试少数几个值。"
            );
        Ok(Finding {
            figure: Figure { panels: vec![found, every, places], columns: 3 },
            caption,
            table,
            verdict: Verdict { outcome, sentence },
            numbers: json!({
                "seeds": seeds,
                "budgets": budgets,
                "random": random,
                "halving": halved,
                "random_linear": linearly,
                "grid": GRIDS.iter().zip(&grids).map(|(k, scores)| json!([k.pow(3), scores])).collect::<Vec<_>>(),
            }),
        })
    }
}

impl Trial {
    fn of(course: &Course) -> Trial {
        let loss = |p: &super::Point| p.val.map(|val| val.loss).filter(|loss| loss.is_finite());
        let losses = course.points.iter().map(|p| loss(p).unwrap_or(f64::INFINITY)).collect();
        Trial { losses, score: course.final_score() }
    }

    fn end(&self) -> f64 {
        self.losses.last().copied().unwrap_or(f64::INFINITY)
    }
}

/// Index ranges of the settings of a study: random, random with a linear α, the grids.
fn parts() -> [std::ops::Range<usize>; 4] {
    let mut first = 0;
    [POOL, LINEAR, GRIDS[0].pow(3), GRIDS[1].pow(3)].map(|count| {
        first += count;
        first - count..first
    })
}

/// The settings of one study, in the order of [`parts`].
fn settings(seed: u64) -> Vec<Point> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut draw = || [0; 3].map(|_| rng.random::<f64>());
    let random: Vec<[f64; 3]> = (0..POOL).map(|_| draw()).collect();
    let offset = draw();
    let on_log =
        |share: [f64; 3]| [0, 1, 2].map(|at| RANGES[at].0 * (RANGES[at].1 / RANGES[at].0).powf(share[at]));
    let linear = |share: &[f64; 3]| {
        let [_, units, beta] = on_log(*share);
        [RANGES[0].0 + share[0] * (RANGES[0].1 - RANGES[0].0), units, beta]
    };
    let grid = |k: usize| {
        let place = move |at: usize, number: usize| (number as f64 + offset[at]) / k as f64;
        (0..k.pow(3)).map(move |n| [place(0, n % k), place(1, n / k % k), place(2, n / k / k)])
    };
    let logarithmic = random.iter().copied().map(on_log);
    let grids = GRIDS.into_iter().flat_map(grid).map(on_log);
    logarithmic.chain(random[..LINEAR].iter().map(linear)).chain(grids).collect()
}

fn training(lab: &Lab, &[lr, units, rest]: &Point, seed: u64) -> Training {
    Training {
        network: Network {
            embed: Embed::None,
            sub_models: 1,
            hidden: vec![units.round() as usize; lab.depth()],
            activation: Activation::Sigmoid,
            batch_norm: None,
            dropout: 0.0,
            init: Init::Xavier,
        },
        optimizer: Optimizer::Adam { beta1: 1.0 - rest, beta2: 0.999, eps: 1e-8 },
        batch_size: 32,
        ..lab.training(false, lr, seed)
    }
}

/// The score of the training with the least validation loss; none if all have diverged.
fn best(trials: &[Trial]) -> Option<f64> {
    let finite = trials.iter().filter(|trial| trial.end().is_finite());
    finite.min_by(|a, b| a.end().total_cmp(&b.end())).map(|trial| trial.score)
}

/// The expected score of the chosen setting at each budget: the mean over orders of the trials. An order without a
/// finite loss scores `chance`. NaN if the trials do not use up the budget in half of the orders.
fn expected(trials: &[Trial], halve: bool, budgets: &[usize], chance: f64) -> Vec<f64> {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut order: Vec<&Trial> = trials.iter().collect();
    let mut found = vec![Vec::new(); budgets.len()];
    for _ in 0..ORDERS {
        order.shuffle(&mut rng);
        let ends = if halve { halving(&order) } else { one_by_one(&order) };
        let total = ends.last().map_or(0, |&(cost, _)| cost);
        for (found, &budget) in found.iter_mut().zip(budgets) {
            let budget = budget as u64 * FULL;
            let within = ends.iter().take_while(|&&(cost, _)| cost <= budget).filter_map(|(_, trial)| *trial);
            let chosen =
                within.filter(|trial| trial.end().is_finite()).min_by(|a, b| a.end().total_cmp(&b.end()));
            if budget <= total {
                found.push(chosen.map_or(chance, |trial| trial.score));
            }
        }
    }
    let enough = |found: Vec<f64>| if found.len() as u64 > ORDERS / 2 { mean(found) } else { f64::NAN };
    found.into_iter().map(enough).collect()
}

/// (budget used so far, the trial if it was trained in full) after each trial.
type Ends<'a> = Vec<(u64, Option<&'a Trial>)>;

fn one_by_one<'a>(order: &[&'a Trial]) -> Ends<'a> {
    order.iter().zip(1..).map(|(&trial, number)| (number * FULL, Some(trial))).collect()
}

/// Trials one after the other, by the rule of `bngpu sweep --halving` for those after its first bracket: one goes on if
/// it is among the best 1/η of those so far.
fn halving<'a>(order: &[&'a Trial]) -> Ends<'a> {
    let rungs = rungs(Some(HALVING), FULL);
    let mut reached = vec![Rung::default(); rungs.len()];
    let (mut ends, mut cost) = (Vec::new(), 0);
    for &trial in order {
        let mut at_rungs = rungs.iter().zip(&trial.losses).zip(&mut reached);
        let stopped = at_rungs.find_map(|((&epochs, &loss), rung)| {
            let passes = rung.passes(loss, HALVING.eta as usize);
            (!passes).then_some(epochs)
        });
        cost += stopped.unwrap_or(FULL);
        ends.push((cost, stopped.is_none().then_some(trial)));
    }
    ends
}

/// Points without a line between them.
fn scattered(points: impl Iterator<Item = (f64, f64)>) -> Shape {
    Shape::Dots(points.flat_map(|point| [point, (f64::NAN, f64::NAN)]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A trial with these losses at 3, 9 and 27, and 1 minus the last one as its score.
    fn trial(losses: [f64; 3]) -> Trial {
        Trial { losses: losses.to_vec(), score: 1.0 - losses[2] }
    }

    #[test]
    fn settings_stay_in_their_ranges_and_on_their_scales() {
        let points = settings(7);
        let [pool, linear, coarse, fine] = parts();
        assert_eq!((points.len(), fine.end), (107, 107));
        for point in &points {
            assert!(
                point.iter().zip(RANGES).all(|(value, (low, high))| (low..=high).contains(value)),
                "{point:?}"
            );
        }
        let below =
            |part: std::ops::Range<usize>| points[part].iter().filter(|point| point[0] < 0.01).count();
        // Half of the logarithmic range and a hundredth of the linear one.
        assert!((17..=39).contains(&below(pool)) && below(linear) <= 2);
        let values = |part: std::ops::Range<usize>, at: usize| {
            let mut values: Vec<u64> = points[part].iter().map(|point| point[at].to_bits()).collect();
            values.sort_unstable();
            values.dedup();
            values.len()
        };
        assert_eq!([0, 1, 2].map(|at| values(coarse.clone(), at)), [2; 3]);
        assert_eq!([0, 1, 2].map(|at| values(fine.clone(), at)), [3; 3]);
        assert_ne!(settings(8), points);
    }

    #[test]
    fn halving_costs_the_epochs_it_trains() {
        let (good, bad) = (trial([0.4, 0.3, 0.2]), trial([0.8, 0.7, 0.6]));
        let better = trial([0.3, 0.2, 0.1]);
        let ends = halving(&[&good, &bad, &better]);
        // The first is the best of one; the second stops at 3; the third is the best of three.
        assert_eq!(ends.iter().map(|&(cost, _)| cost).collect::<Vec<_>>(), [27, 30, 57]);
        assert_eq!(ends.iter().map(|(_, trial)| trial.is_some()).collect::<Vec<_>>(), [true, false, true]);
        let lost = trial([f64::INFINITY; 3]);
        assert_eq!(halving(&[&lost]).last().map(|&(cost, trial)| (cost, trial.is_some())), Some((3, false)));
    }

    #[test]
    fn the_expected_best_is_the_mean_over_orders() {
        let trials = [trial([0.0, 0.0, 0.4]), trial([0.0, 0.0, 0.2])];
        let found = expected(&trials, false, &[1, 2, 3], 0.1);
        // 0.6 or 0.8 after one, 0.8 after both; there is no third. 200 orders: standard error 0.007.
        assert!(
            (found[0] - 0.7).abs() < 0.03 && (found[1] - 0.8).abs() < 1e-12 && found[2].is_nan(),
            "{found:?}"
        );
        let lost = [trial([f64::INFINITY; 3])];
        assert_eq!(expected(&lost, false, &[1], 0.25), [0.25]);
        assert_eq!((best(&lost), best(&trials)), (None, Some(0.8)));
    }
}
