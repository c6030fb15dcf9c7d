//! The mild regularisation that batch normalisation brings, beside dropout and λ.

use std::ops::Neg;

use serde_json::json;

use super::networks::{ADAM, dots, steps_of, with_activation};
use super::statistics::{all_above_zero, difference, estimate_pm, mean, number_pm, percent_pm};
use super::{Course, Demo, Finding, Lab, LabError, Plan, Verdict};
use crate::base::text::count;
use crate::data::Split;
use crate::report::figure::{Axis, Colour, Figure, Panel};
use crate::report::language::Text;
use crate::spec::{Activation, Training};
use crate::sweep::analysis::Estimate;
use crate::text;

pub struct Regulariser;

const SIZES: [usize; 5] = [8, 16, 32, 64, 128];
const LR: f64 = 1e-3;
/// Training rows that are used; with many there is little to regularise.
const ROWS: usize = 400;

type Change = fn(Training) -> Training;

/// How the networks differ.
fn kinds() -> [(Text, Colour, Change); 6] {
    let plain: Change = |mut t| {
        t.network.batch_norm = None;
        t
    };
    let dropout: Change = |mut t| {
        t.network.batch_norm = None;
        t.network.dropout = 0.3;
        t
    };
    let l2: Change = |mut t| {
        t.network.batch_norm = None;
        t.l2 = 3e-3;
        t
    };
    let both: Change = |mut t| {
        t.network.dropout = 0.3;
        t
    };
    [
        (text!("without BN", "无 BN"), Colour::Vermillion, plain),
        (text!("with BN", "有 BN"), Colour::Blue, |t| t),
        (text!("dropout 0.3", "dropout 0.3"), Colour::Green, dropout),
        (text!("λ = 0.003", "λ = 0.003"), Colour::Orange, l2),
        (text!("BN and dropout", "BN 与 dropout"), Colour::Purple, both),
        (text!("BN and λ", "BN 与 λ"), Colour::Sky, |t| Training { l2: 3e-3, ..t }),
    ]
}

impl Demo for Regulariser {
    fn name(&self) -> &'static str {
        "regulariser"
    }

    fn claim(&self) -> Text {
        text!(
            "The noise of mini-batches makes BN a mild regulariser, more so in smaller batches",
            "小批量带来的噪声使 BN 具有轻微的正则化作用，批量越小作用越强"
        )
    }

    fn run(&self, lab: &Lab) -> Result<Finding, LabError> {
        let mut problem = lab.problem()?.clone();
        let all = problem.split;
        let train = ROWS.min(all.train);
        // The other training rows are not used.
        problem.split = Split { train, val: all.val + all.train - train, test: all.test, folds: 0 };
        let seeds = lab.seeds(8);
        let epochs = lab.pick(60, 100);
        let kinds = kinds();
        let mut plan = Plan { train_score: true, ..Plan::default() };
        for (_, _, change) in &kinds {
            for size in SIZES {
                for &seed in &seeds {
                    let base = with_activation(lab.training(true, LR, seed), Activation::Relu);
                    let training = change(Training { optimizer: ADAM, batch_size: size, ..base });
                    plan.members.push((training, vec![steps_of(epochs, train, size)]));
                }
            }
        }
        let courses = lab.train(&problem, &plan, self.name())?;
        let groups: Vec<&[Course]> = courses.chunks_exact(seeds.len()).collect();
        let gap = |course: &Course| {
            course.last().and_then(|p| Some(p.test.loss - p.train?.loss)).unwrap_or(f64::NAN)
        };
        let gaps: Vec<Vec<f64>> = groups.iter().map(|courses| courses.iter().map(gap).collect()).collect();
        let scores: Vec<Vec<f64>> =
            groups.iter().map(|courses| courses.iter().map(Course::final_score).collect()).collect();
        let of = |kind: usize, size: usize| kind * SIZES.len() + size;
        let by_bn = |size: usize| -> Vec<f64> {
            gaps[of(1, size)].iter().zip(&gaps[of(0, size)]).map(|(bn, plain)| bn - plain).collect()
        };
        let [small, large] = [0, SIZES.len() - 1].map(by_bn);
        let beyond = difference(&large, &small);
        let [small, large] = [small, large].map(|changes| Estimate::of(&changes));

        let axis = || Axis::log(text!("batch size", "批量大小"));
        let mut loss = Panel::new(
            text!("test loss minus training loss", "测试损失减训练损失"),
            axis(),
            Axis::linear(text!("loss difference", "损失之差")),
        );
        let mut score = Panel::new(text!("score", "得分"), axis(), lab.score_axis()?);
        let mut table = vec![vec![
            Text::default(),
            text!("gap, batches of 8", "差距，批量大小 8"),
            text!("gap, batches of 128", "差距，批量大小 128"),
            text!("score, batches of 8", "得分，批量大小 8"),
            text!("score, batches of 128", "得分，批量大小 128"),
        ]];
        for (kind, (name, colour, _)) in kinds.iter().enumerate() {
            let points = |values: &[Vec<f64>]| -> Vec<(f64, f64)> {
                let at = |(size, &rows): (usize, &usize)| {
                    (rows as f64, mean(values[of(kind, size)].iter().copied()))
                };
                SIZES.iter().enumerate().map(at).collect()
            };
            let bn = plan.members[kind * SIZES.len() * seeds.len()].0.network.batch_norm.is_some();
            loss = loss.with(name.clone(), *colour, dots(bn, points(&gaps)));
            score = score.with(name.clone(), *colour, dots(bn, points(&scores)));
            let (first, last) = (of(kind, 0), of(kind, SIZES.len() - 1));
            let row = [
                number_pm(&gaps[first]),
                number_pm(&gaps[last]),
                percent_pm(&scores[first]),
                percent_pm(&scores[last]),
            ];
            table.push([name.clone()].into_iter().chain(row.map(Text::same)).collect());
        }
        let outcome = all_above_zero(&[small.map(Estimate::neg), beyond.map(Estimate::neg)]);
        let told = |estimate: Option<Estimate>| estimate.as_ref().map_or("-".into(), estimate_pm);
        let [small, large, beyond] = [small, large, beyond].map(told);
        let sentence = text!(
            "BN changes the gap between test and training loss by {small} in batches of 8 and by {large} in batches of 128, a difference of {beyond}.",
            "BN 使测试损失与训练损失的差距改变：批量大小 8 时 {small}，批量大小 128 时 {large}，两者相差 {beyond}。"
        );
        let (n, rows) = (seeds.len(), count(train as u64));
        let caption = lab.layers()
            + text!(
                " ReLU units on {rows} training rows, Adam with α = {LR}, {epochs} epochs, means of {n} seeds. Left: test loss minus training loss, with running statistics and without dropout.",
                " ReLU 单元，{rows} 个训练样本，Adam，α = {LR}，{epochs} 轮，{n} 个种子的平均。左：测试损失减训练损失（用滑动统计量，不用 dropout）。"
            );
        Ok(Finding {
            figure: Figure { panels: vec![loss, score], columns: 2 },
            caption,
            table,
            verdict: Verdict { outcome, sentence },
            numbers: json!({ "seeds": seeds, "sizes": SIZES, "gaps": gaps, "scores": scores }),
        })
    }
}
