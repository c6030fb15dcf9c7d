//! Weights of an ensemble, by greedy selection with replacement (Caruana et al. 2004, "Ensemble selection from libraries
//! of models").

use crate::data::Targets;

/// Rounds after which a longer path seldom finds a better ensemble.
pub const ROUNDS: usize = 50;

/// Losses that differ by this share are equal: the same mean of more models differs by the rounding of its sum.
const ROUNDING: f64 = 1e-12;

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

/// The ensemble of the lowest loss on the path that begins with the best model and adds, in each of at most `rounds`
/// rounds, the model that gives the lowest loss together with those before it; a model may be added again. Of equal
/// losses, the first model and the shorter path count.
///
/// `predictions` are `[M][N, O]` on rows that were not trained on: probabilities of the classes, or values. None if no
/// model has a finite loss.
///
/// # Panics
/// If the predictions of a model are not of the targets' rows.
pub fn select(predictions: &[Vec<f64>], targets: &Targets, rounds: usize) -> Option<Selection> {
    let relevant: Vec<Vec<f64>> = predictions.iter().map(|of| relevant(of, targets)).collect();
    let (n, models) = (targets.len(), relevant.len());
    // The sums of what the chosen models predict, row by row.
    let mut sums = vec![0.0; n];
    let mut counts = vec![0u32; models];
    let mut best: Option<(f64, Vec<u32>)> = None;
    let mut best_alone = f64::NAN;
    for round in 1..=rounds {
        let of =
            |model: usize| loss(sums.iter().zip(&relevant[model]).map(|(sum, p)| sum + p), round, targets);
        let losses = (0..models).map(|model| (of(model), model)).filter(|(loss, _)| loss.is_finite());
        let Some((loss, chosen)) = losses.min_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1))) else {
            break;
        };
        sums.iter_mut().zip(&relevant[chosen]).for_each(|(sum, p)| *sum += p);
        counts[chosen] += 1;
        if round == 1 {
            best_alone = loss;
        }
        if best.as_ref().is_none_or(|(lowest, _)| loss < *lowest * (1.0 - ROUNDING)) {
            best = Some((loss, counts.clone()));
        }
    }
    let (loss, counts) = best?;
    let chosen = f64::from(counts.iter().sum::<u32>());
    let weights = counts.into_iter().map(|count| f64::from(count) / chosen).collect();
    Some(Selection { weights, loss, best_alone })
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

/// Mean loss where the `models` chosen so far sum to `sums`.
fn loss(sums: impl Iterator<Item = f64>, models: usize, targets: &Targets) -> f64 {
    let models = models as f64;
    let total: f64 = match targets {
        Targets::Classes(_) => sums.map(|sum| -libm::log(sum / models)).sum(),
        Targets::Values(values) => {
            sums.zip(values).map(|(sum, &value)| (sum / models - f64::from(value)).powi(2)).sum()
        }
    };
    total / targets.len() as f64
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

    /// The selection by its description: the whole path first, each step by trying all models.
    fn by_brute_force(predictions: &[Vec<f64>], targets: &Targets, rounds: usize) -> (Vec<f64>, f64) {
        let shares = |path: &[usize]| -> Vec<f64> {
            let count = |model| path.iter().filter(|&&chosen| chosen == model).count();
            (0..predictions.len()).map(|model| count(model) as f64 / path.len() as f64).collect()
        };
        let of = |path: &[usize]| loss_of(&shares(path), predictions, targets);
        let mut path: Vec<usize> = Vec::new();
        for _ in 0..rounds {
            let longer = |model: usize| [&path[..], &[model]].concat();
            let next = (0..predictions.len()).min_by(|&a, &b| of(&longer(a)).total_cmp(&of(&longer(b))));
            path.push(next.unwrap());
        }
        let ends = (1..=path.len()).min_by(|&a, &b| of(&path[..a]).total_cmp(&of(&path[..b])));
        let best = &path[..ends.unwrap()];
        (shares(best), of(best))
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

    #[test]
    fn the_selection_is_that_of_brute_force() {
        let mut mixed = 0;
        for seed in 0..40 {
            let classes = Targets::Classes((0..7).map(|row| (row + seed as u32) % 3).collect());
            let values =
                Targets::Values((0..7).map(|row| (row as f32 * 0.37 + seed as f32 * 0.11) % 1.0).collect());
            for (targets, outputs) in [(classes, 3), (values, 1)] {
                let predictions = at_random(seed, 4, 7, outputs);
                let found = select(&predictions, &targets, 9).unwrap();
                let (weights, loss) = by_brute_force(&predictions, &targets, 9);
                assert_eq!(found.weights, weights, "seed {seed}, {outputs} outputs");
                assert!((found.loss - loss).abs() < 1e-12, "{found:?} {loss}");
                assert!((found.weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
                let alone = (0..4).map(|model| {
                    let mut one = [0.0; 4];
                    one[model] = 1.0;
                    loss_of(&one, &predictions, &targets)
                });
                let alone = alone.fold(f64::INFINITY, f64::min);
                assert!((found.best_alone - alone).abs() < 1e-12 && found.loss <= found.best_alone);
                mixed += usize::from(weights.iter().filter(|w| **w > 0.0).count() > 1);
            }
        }
        assert!(mixed > 40, "only {mixed} of 80 selections have several models");
    }

    #[test]
    fn models_that_err_to_both_sides_are_averaged() {
        let targets = Targets::Values(vec![1.0, 2.0]);
        let found = select(&[vec![9.0, 9.0], vec![0.5, 1.0], vec![1.5, 3.0]], &targets, ROUNDS).unwrap();
        assert_eq!(found, Selection { weights: vec![0.0, 0.5, 0.5], loss: 0.0, best_alone: 0.625 });
    }

    #[test]
    fn a_model_that_nothing_improves_stays_alone_and_the_first_of_equals_is_chosen() {
        let targets = Targets::Classes(vec![0, 1]);
        let right = vec![0.9, 0.1, 0.2, 0.8];
        let wrong = vec![0.1, 0.9, 0.8, 0.2];
        let found = select(&[wrong.clone(), right.clone(), right.clone()], &targets, ROUNDS).unwrap();
        assert_eq!(found.weights, [0.0, 1.0, 0.0]);
        assert_eq!(found.loss, found.best_alone);
        assert_eq!(select(&[right], &targets, ROUNDS).unwrap().weights, [1.0]);
    }

    #[test]
    fn models_without_a_finite_loss_are_not_chosen() {
        let targets = Targets::Values(vec![1.0]);
        let found = select(&[vec![f64::NAN], vec![f64::INFINITY], vec![3.0]], &targets, ROUNDS).unwrap();
        assert_eq!(found.weights, [0.0, 0.0, 1.0]);
        assert_eq!(select(&[vec![f64::NAN]], &targets, ROUNDS), None);
        assert_eq!(select(&[], &targets, ROUNDS), None);
        // The true class has probability 0 in one model, but not in both together.
        let classes = Targets::Classes(vec![0, 1]);
        let found = select(&[vec![1.0, 0.0, 1.0, 0.0], vec![0.4, 0.6, 0.6, 0.4]], &classes, 2).unwrap();
        assert_eq!(found.best_alone, -(0.4f64.ln()));
        assert_eq!(found.weights, [0.0, 1.0]);
    }
}
