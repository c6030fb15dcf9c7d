//! Internal covariate shift, and test inputs whose distribution has shifted.

use std::sync::Arc;

use serde_json::json;

use super::networks::{BOTH, colour, dots, name};
use super::statistics::{all_above_zero, difference, mean, number_pm, percent_pm};
use super::{Course, Demo, Finding, Lab, LabError, Plan, Verdict, log_spaced};
use crate::base::text::count;
use crate::data::Part;
use crate::report::figure::{Axis, Figure, Panel};
use crate::report::language::Text;
use crate::step::memory::{Table, Values};
use crate::text;
use crate::train::Problem;

pub struct Shift;

const LR: f64 = 0.3;
/// Added to every standardised input of the test rows.
const SHIFTS: [f32; 5] = [0.0, 0.25, 0.5, 1.0, 2.0];
/// Factors of every standardised input of the test rows.
const SCALES: [f32; 6] = [0.125, 0.25, 0.5, 1.0, 2.0, 4.0];

/// Range of the median input of one unit of a layer over training, in units of the mean distance from its 15th to its
/// 85th percentile.
fn movement(course: &Course, layer: usize) -> f64 {
    let values: Vec<[f64; 3]> = course
        .points
        .iter()
        .filter_map(|p| p.layers.get(layer))
        .map(|l| [1, 2, 3].map(|at| f64::from(l.unit_after.0[at])))
        .collect();
    let medians = || values.iter().map(|v| v[1]);
    let range = medians().fold(f64::NEG_INFINITY, f64::max) - medians().fold(f64::INFINITY, f64::min);
    range / mean(values.iter().map(|v| v[2] - v[0]))
}

/// `problem` in floats, with one copy of the test rows for each (factor, shift) of `changes` appended to its table.
fn with_changed_rows(problem: &Problem, changes: &[(f32, f32)]) -> Problem {
    let table = &problem.table;
    let features = table.features;
    let mut values: Vec<f32> = match &table.values {
        Values::Floats(values) => values.clone(),
        Values::Bytes { values, shift, factor } => {
            let scaled =
                |(at, &byte): (usize, &u8)| (f32::from(byte) - shift[at % features]) * factor[at % features];
            values.iter().enumerate().map(scaled).collect()
        }
    };
    let mut targets = table.targets.clone();
    let test = problem.split.range(Part::Test);
    for &(scale, shift) in changes {
        let rows = test.start * features..test.end * features;
        let changed: Vec<f32> = values[rows].iter().map(|x| scale * x + shift).collect();
        values.extend(changed);
        targets.extend_from_slice(&table.targets[test.clone()]);
    }
    let mut changed = problem.clone();
    changed.table = Arc::new(Table {
        values: Values::Floats(values),
        targets,
        features,
        quantiles: table.quantiles.clone(),
    });
    changed
}

impl Demo for Shift {
    fn name(&self) -> &'static str {
        "shift"
    }

    fn claim(&self) -> Text {
        text!(
            "With BN, the inputs of the later layers keep their distribution while the earlier layers learn",
            "有 BN 时，前面的层在学习，后面各层的输入分布仍保持稳定"
        )
    }

    fn fewest_layers(&self) -> Option<usize> {
        // The inputs of the first layer do not move.
        Some(2)
    }

    fn run(&self, lab: &Lab) -> Result<Finding, LabError> {
        let changes: Vec<(f32, f32)> = SHIFTS
            .iter()
            .map(|&shift| (1.0, shift))
            .chain(SCALES.iter().map(|&scale| (scale, 0.0)))
            .collect();
        let problem = with_changed_rows(lab.problem()?, &changes);
        let seeds = lab.seeds(5);
        let last = lab.pick(3_000, 10_000);
        let looks = log_spaced(last, 8);
        let (all, test) = (problem.split.range(Part::All), problem.split.test);
        let rows = (0..changes.len()).map(|at| all.end + at * test..all.end + (at + 1) * test).collect();
        let trainings =
            BOTH.into_iter().flat_map(|bn| seeds.iter().map(move |&seed| lab.training(bn, LR, seed)));
        let plan = Plan { watch: true, rows, ..Plan::new(trainings, &looks) };
        let courses = lab.train(&problem, &plan, self.name())?;
        let (plain, normalized) = courses.split_at(seeds.len());
        let layers = lab.depth();
        let moved = |courses: &[Course], layer: usize| -> Vec<f64> {
            courses.iter().map(|course| movement(course, layer)).collect()
        };
        // Mean over the layers after the first.
        let later = |courses: &[Course]| -> Vec<f64> {
            courses.iter().map(|course| mean((1..layers).map(|layer| movement(course, layer)))).collect()
        };
        let (plain_moved, bn_moved) = (later(plain), later(normalized));
        let outcome = all_above_zero(&[difference(&bn_moved, &plain_moved)]);

        let mut movements = Panel::new(
            text!("movement of the layers' inputs", "各层输入的移动"),
            Axis::named(
                text!("hidden layer", "隐藏层"),
                (1..=layers).map(|layer| Text::same(layer.to_string())),
            ),
            Axis::linear(text!("movement of the median (spreads)", "中位数的移动（分布宽度）")),
        );
        let score = lab.score_label()?;
        let mut shifted = Panel::new(
            text!("test inputs shifted", "测试输入平移"),
            Axis::linear(text!("shift (standard deviations)", "平移（标准差）")),
            Axis::linear(score.clone()).within(0.0, 1.0),
        );
        let mut scaled = Panel::new(
            text!("test inputs scaled", "测试输入缩放"),
            Axis::log(text!("factor", "倍数")),
            Axis::linear(score).within(0.0, 1.0),
        );
        let mut table = vec![vec![
            Text::default(),
            text!("movement after layer 1", "第一层之后各层的移动"),
            text!("score unchanged", "未改变时的得分"),
            text!("shifted by 1", "平移 1"),
            text!("halved", "减半"),
        ]];
        for (bn, courses, moved_later) in [(false, plain, &plain_moved), (true, normalized, &bn_moved)] {
            let by_layer = (0..layers).map(|l| (l as f64, mean(moved(courses, l)))).collect();
            movements = movements.with(name(bn), colour(bn), dots(bn, by_layer));
            let scores =
                |at: usize| -> Vec<f64> { courses.iter().map(|course| course.rows[at].score).collect() };
            let points = |first: usize, places: &[f32]| -> Vec<(f64, f64)> {
                places.iter().enumerate().map(|(at, &x)| (f64::from(x), mean(scores(first + at)))).collect()
            };
            shifted = shifted.with(name(bn), colour(bn), dots(bn, points(0, &SHIFTS)));
            scaled = scaled.with(name(bn), colour(bn), dots(bn, points(SHIFTS.len(), &SCALES)));
            let row = [
                number_pm(moved_later),
                percent_pm(&scores(0)),
                percent_pm(&scores(3)),
                percent_pm(&scores(SHIFTS.len() + 2)),
            ];
            table.push([name(bn)].into_iter().chain(row.map(Text::same)).collect());
        }
        let at = |courses: &[Course], row: usize| {
            percent_pm(&courses.iter().map(|course| course.rows[row].score).collect::<Vec<f64>>())
        };
        let (plain_text, bn_text) = (number_pm(&plain_moved), number_pm(&bn_moved));
        let (plain_shifted, bn_shifted) = (at(plain, 3), at(normalized, 3));
        let sentence = text!(
            "After the first layer, the median input of the sigmoids moves by {bn_text} spreads with BN and {plain_text} without; with test inputs shifted by one standard deviation, the score is {bn_shifted} with BN and {plain_shifted} without: running statistics come from the training rows and do not follow the shift.",
            "第一层之后各层 sigmoid 输入的中位数移动：有 BN 时 {bn_text} 个分布宽度，无 BN 时 {plain_text}；测试输入平移一个标准差时，有 BN 的得分为 {bn_shifted}，无 BN 的为 {plain_shifted}：滑动统计量来自训练数据，不会随之改变。"
        );
        let (n, steps) = (seeds.len(), count(last));
        let caption = lab.layers()
            + text!(
                " sigmoid units, batches of 60, gradient descent with α = {LR}, {steps} steps, means of {n} seeds. Left: range of the median of one unit's input over the first batch during training, in spreads, where a spread is the mean distance from the 15th to the 85th percentile. Middle and right: score when all standardised inputs of the test rows are shifted or scaled by the same amount.",
                " sigmoid 单元，批量大小 60，α = {LR} 的梯度下降，{steps} 步，{n} 个种子的平均。左：某单元在第一个批次上的输入，其中位数在训练过程中的变化范围，以分布宽度（第 15 与第 85 百分位的平均间距）为单位。中、右：测试数据的全部标准化输入按同一幅度平移或缩放时的得分。"
            );
        Ok(Finding {
            figure: Figure { panels: vec![movements, shifted, scaled], columns: 3 },
            caption,
            table,
            verdict: Verdict { outcome, sentence },
            numbers: json!({
                "seeds": seeds, "movement_without": plain_moved, "movement_with": bn_moved,
                "shifts": SHIFTS, "scales": SCALES,
                "without": plain.iter().map(|c| c.rows.iter().map(|s| s.score).collect()).collect::<Vec<Vec<f64>>>(),
                "with": normalized.iter().map(|c| c.rows.iter().map(|s| s.score).collect()).collect::<Vec<Vec<f64>>>(),
            }),
        })
    }
}
