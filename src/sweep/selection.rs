//! Weights of an ensemble by greedy selection with replacement, from the mean of the best models on (Caruana et al. 2004,
//! "Ensemble selection from libraries of models", sections 2.1 and 2.2).
//!
//! Validation rows are few, and a selection that takes every gain on them fits their noise: on tables of 1,000 to 5,000
//! rows, the equal mean of all kept models was better on new rows than the selection of the paper
//! (docs/quality.md). So only what is worth more than its standard error counts: a model is left out, or taken again, if
//! the rows show that clearly.

use crate::data::Targets;
use crate::spec::MAX_ENSEMBLE;

/// Rounds after which a longer path seldom finds a better ensemble.
pub const ROUNDS: usize = 50;

/// Models and their weights in an ensemble.
#[derive(Clone, Debug, PartialEq)]
pub struct Selection {
    /// `[M]`: the share of the rounds that chose each model. They sum to 1; a model that was not chosen has 0.
    pub weights: Vec<f64>,
    /// Loss of the ensemble: mean cross-entropy, or mean squared error.
    pub loss: f64,
    /// Loss of the best model alone.
    pub best_alone: f64,
}

/// Selects from models with these `predictions`, `[M][N, O]` on rows that were not trained on: probabilities of the
/// classes, or values. None if no model has a finite loss. Of more than [`MAX_ENSEMBLE`] models, the best are taken.
///
/// It begins with the mean of the best n models by their own loss, with the largest n that is not clearly worse than the
/// best n. Then it adds, in each of at most `rounds` rounds, the model that gives the lowest loss together with those before
/// it, again and again, while that is clearly better. Clear is a mean difference, row by row, above its standard error.
///
/// # Panics
/// If the predictions of a model are not of the targets' rows.
pub fn select(predictions: &[Vec<f64>], targets: &Targets, rounds: usize) -> Option<Selection> {
    let relevant: Vec<Vec<f64>> = predictions.iter().map(|of| relevant(of, targets)).collect();
    let alone: Vec<f64> = relevant.iter().map(|of| mean(&losses(of, 1, targets))).collect();
    let mut order: Vec<usize> = (0..relevant.len()).filter(|&model| alone[model].is_finite()).collect();
    order.sort_by(|&a, &b| alone[a].total_cmp(&alone[b]));
    order.truncate(MAX_ENSEMBLE);
    let best_alone = alone[*order.first()?];
    let plus = |sums: &[f64], model: usize| -> Vec<f64> {
        sums.iter().zip(&relevant[model]).map(|(sum, p)| sum + p).collect()
    };
    // The mean of the best 1, 2, ... models.
    let mut sums = vec![vec![0.0; targets.len()]];
    for &model in &order {
        sums.push(plus(&sums[sums.len() - 1], model));
    }
    let prefixes: Vec<Vec<f64>> = (1..sums.len()).map(|n| losses(&sums[n], n, targets)).collect();
    let best = (0..prefixes.len()).min_by(|&a, &b| mean(&prefixes[a]).total_cmp(&mean(&prefixes[b])))?;
    let first = (0..prefixes.len()).rev().find(|&n| !is_clear(&prefixes[n], &prefixes[best])).unwrap_or(best);
    let mut counts = vec![0u32; relevant.len()];
    order[..=first].iter().for_each(|&model| counts[model] = 1);
    let (mut sums, mut now) = (sums.swap_remove(first + 1), prefixes[first].clone());
    for _ in 0..rounds {
        let chosen = counts.iter().sum::<u32>() as usize;
        let of = |&model: &usize| (losses(&plus(&sums, model), chosen + 1, targets), model);
        let next = order.iter().map(of).min_by(|a, b| mean(&a.0).total_cmp(&mean(&b.0)));
        let Some((losses, model)) = next.filter(|(losses, _)| is_clear(&now, losses)) else { break };
        sums = plus(&sums, model);
        counts[model] += 1;
        now = losses;
    }
    let chosen = f64::from(counts.iter().sum::<u32>());
    let weights = counts.into_iter().map(|count| f64::from(count) / chosen).collect();
    Some(Selection { weights, loss: mean(&now), best_alone })
}

/// Whether losses `worse` exceed `better`, row by row, by more than the standard error of the mean difference.
fn is_clear(worse: &[f64], better: &[f64]) -> bool {
    let n = worse.len() as f64;
    let differences: Vec<f64> = worse.iter().zip(better).map(|(worse, better)| worse - better).collect();
    let by = mean(&differences);
    let variance =
        differences.iter().map(|difference| (difference - by).powi(2)).sum::<f64>() / (n - 1.0).max(1.0);
    by > (variance / n).sqrt()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The part of the predictions that the loss depends on, `[N]`: the probability of the true class, or the value.
fn relevant(predictions: &[f64], targets: &Targets) -> Vec<f64> {
    let n = targets.len();
    match targets {
        Targets::Classes(classes) => {
            let outputs = predictions.len() / n.max(1);
            assert_eq!(predictions.len(), outputs * n, "probabilities for {n} rows");
            (classes.iter().zip(predictions.chunks_exact(outputs.max(1))))
                .map(|(&class, row)| row[class as usize])
                .collect()
        }
        Targets::Values(_) => {
            assert_eq!(predictions.len(), n, "values for {n} rows");
            predictions.to_vec()
        }
    }
}

/// Loss of each row where the `models` chosen so far sum to `sums`.
fn losses(sums: &[f64], models: usize, targets: &Targets) -> Vec<f64> {
    let models = models as f64;
    match targets {
        Targets::Classes(_) => sums.iter().map(|sum| -libm::log(sum / models)).collect(),
        Targets::Values(values) => {
            sums.iter().zip(values).map(|(sum, &value)| (sum / models - f64::from(value)).powi(2)).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sweep::draw::{Purpose, generator, uniform};

    /// Loss of a weighted ensemble, from the definition.
    fn loss_of(weights: &[f64], predictions: &[Vec<f64>], targets: &Targets) -> f64 {
        let outputs = predictions[0].len() / targets.len();
        let at = |row: usize, o: usize| -> f64 {
            weights.iter().zip(predictions).map(|(w, of)| w * of[row * outputs + o]).sum()
        };
        let of_row = |row: usize| match targets {
            Targets::Classes(classes) => -at(row, classes[row] as usize).ln(),
            Targets::Values(values) => (at(row, 0) - f64::from(values[row])).powi(2),
        };
        (0..targets.len()).map(of_row).sum::<f64>() / targets.len() as f64
    }

    /// `[M][N, O]` at random, normalised to probabilities for several outputs.
    fn at_random(seed: u64, models: usize, n: usize, outputs: usize) -> Vec<Vec<f64>> {
        let mut random = generator(seed, Purpose::Random, 0, 0);
        let mut row = || {
            let raw: Vec<f64> = (0..outputs).map(|_| 0.01 + uniform(&mut random)).collect();
            let sum: f64 = if outputs == 1 { 1.0 } else { raw.iter().sum() };
            raw.into_iter().map(move |p| p / sum).collect::<Vec<_>>()
        };
        (0..models).map(|_| (0..n).flat_map(|_| row()).collect()).collect()
    }

    /// Values that a model predicts for targets 0: `bias` plus noise of standard deviation `noise`.
    fn noisy(seed: u64, rows: usize, bias: f64, noise: f64) -> Vec<f64> {
        let mut random = generator(seed, Purpose::Random, 0, 0);
        let mut normal = || (0..12).map(|_| uniform(&mut random)).sum::<f64>() - 6.0;
        (0..rows).map(|_| bias + noise * normal()).collect()
    }

    #[test]
    fn the_reported_losses_are_those_of_the_weights() {
        for seed in 0..40 {
            let classes = Targets::Classes((0..7).map(|row| (row + seed as u32) % 3).collect());
            let values =
                Targets::Values((0..7).map(|row| (row as f32 * 0.37 + seed as f32 * 0.11) % 1.0).collect());
            for (targets, outputs) in [(classes, 3), (values, 1)] {
                let predictions = at_random(seed, 4, 7, outputs);
                let found = select(&predictions, &targets, 9).unwrap();
                assert!((found.weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
                let loss = loss_of(&found.weights, &predictions, &targets);
                assert!((found.loss - loss).abs() < 1e-12, "{found:?} {loss}");
                let alone = (0..4).map(|model| {
                    let mut one = [0.0; 4];
                    one[model] = 1.0;
                    loss_of(&one, &predictions, &targets)
                });
                let alone = alone.fold(f64::INFINITY, f64::min);
                assert!((found.best_alone - alone).abs() < 1e-12, "{found:?} {alone}");
            }
        }
    }

    #[test]
    fn models_that_are_alike_have_equal_weights_however_few_the_rows() {
        for (seed, rows) in [(1, 20), (2, 60), (3, 500)] {
            let models: Vec<Vec<f64>> =
                (0..9).map(|model| noisy(100 * seed + model, rows, 0.0, 1.0)).collect();
            let targets = Targets::Values(vec![0.0; rows]);
            let found = select(&models, &targets, ROUNDS).unwrap();
            let used = found.weights.iter().filter(|weight| **weight > 0.0).count();
            assert!(used >= 8, "{rows} rows: {:?}", found.weights);
            assert!(found.loss < 0.3 * found.best_alone, "{found:?}");
        }
    }

    #[test]
    fn clearly_worse_models_are_left_out_and_clearly_better_ones_count_more() {
        // Two good models, three whose errors are ten times as large and all to one side.
        let rows = 400;
        let mut models: Vec<Vec<f64>> = (0..2).map(|model| noisy(model, rows, 0.0, 0.3)).collect();
        models.extend((2..5).map(|model| noisy(model, rows, 3.0, 0.3)));
        let targets = Targets::Values(vec![0.0; rows]);
        assert_eq!(select(&models, &targets, ROUNDS).unwrap().weights, [0.5, 0.5, 0.0, 0.0, 0.0]);
        // A model with a bias to the other side is worth having, again and again.
        let models = [noisy(1, rows, 1.0, 0.1), noisy(2, rows, -2.0, 0.1)];
        let found = select(&models, &targets, ROUNDS).unwrap();
        assert!((found.weights[0] - 2.0 / 3.0).abs() < 0.02, "{found:?}");
    }

    #[test]
    fn models_that_err_to_both_sides_are_averaged() {
        let targets = Targets::Values(vec![1.0, 2.0]);
        let found = select(&[vec![9.0, 9.0], vec![0.5, 1.0], vec![1.5, 3.0]], &targets, ROUNDS).unwrap();
        assert_eq!(found, Selection { weights: vec![0.0, 0.5, 0.5], loss: 0.0, best_alone: 0.625 });
    }

    #[test]
    fn an_ensemble_has_no_more_models_than_a_run_can_have() {
        // Noise around the targets, of which more models average more away.
        let targets = Targets::Values(vec![0.51; 200]);
        let found = select(&at_random(1, MAX_ENSEMBLE + 9, 200, 1), &targets, ROUNDS).unwrap();
        let chosen = found.weights.iter().filter(|weight| **weight > 0.0).count();
        assert_eq!(chosen, MAX_ENSEMBLE);
        assert!((found.weights.iter().sum::<f64>() - 1.0).abs() < 1e-9);
    }

    #[test]
    fn models_without_a_finite_loss_are_not_chosen() {
        let targets = Targets::Values(vec![1.0]);
        let found = select(&[vec![f64::NAN], vec![f64::INFINITY], vec![3.0]], &targets, ROUNDS).unwrap();
        assert_eq!(found.weights, [0.0, 0.0, 1.0]);
        assert_eq!(select(&[vec![f64::NAN]], &targets, ROUNDS), None);
        assert_eq!(select(&[], &targets, ROUNDS), None);
        // The true class has probability 0 in one model: alone its loss is infinite.
        let classes = Targets::Classes(vec![0, 1]);
        let found = select(&[vec![1.0, 0.0, 1.0, 0.0], vec![0.4, 0.6, 0.6, 0.4]], &classes, 2).unwrap();
        assert_eq!(found.best_alone, -(0.4f64.ln()));
        assert_eq!(found.weights, [0.0, 1.0]);
    }
}
