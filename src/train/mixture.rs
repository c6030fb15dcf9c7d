//! The prediction of several models together.

use crate::population::Loss;

/// Below this, a mean of probabilities has lost digits to underflow, and the logarithms are added instead.
const TINY: f64 = 1e-280;

/// Appends the outputs `[rows, O]` of an ensemble whose members have these outputs (`[M][rows, O]`) and weights `[M]`,
/// which sum to 1: for classes the logarithm of the weighted mean of the members' probabilities, softmax(z), so that a
/// softmax gives this mean; for values their weighted mean.
///
/// It adds in 64 bits and in the order of the members. Each row depends on that row alone. A single member's outputs stay
/// as they are.
pub(super) fn mix(loss: Loss, weights: &[f64], outputs: &[&[f32]], into: &mut Vec<f32>) {
    if let [alone] = outputs {
        into.extend_from_slice(alone);
        return;
    }
    match loss {
        Loss::SquaredError => {
            let rows = outputs.first().map_or(0, |of| of.len());
            let mean =
                |row: usize| weights.iter().zip(outputs).map(|(w, of)| w * f64::from(of[row])).sum::<f64>();
            into.extend((0..rows).map(|row| mean(row) as f32));
        }
        Loss::CrossEntropy { classes } => {
            let rows = outputs.first().map_or(0, |of| of.len() / classes);
            // ln p of each member and class, and the mean of p.
            let mut logs = vec![0.0; outputs.len() * classes];
            let mut mean = vec![0.0; classes];
            for row in 0..rows {
                mean.fill(0.0);
                for ((weight, of), logs) in weights.iter().zip(outputs).zip(logs.chunks_exact_mut(classes)) {
                    let z = &of[row * classes..][..classes];
                    let most = f64::from(z[largest(z)]);
                    let sum: f64 = z.iter().map(|&z| libm::exp(f64::from(z) - most)).sum();
                    let norm = most + libm::log(sum);
                    for ((log, mean), &z) in logs.iter_mut().zip(&mut mean).zip(z) {
                        *log = f64::from(z) - norm;
                        *mean += weight * libm::exp(*log);
                    }
                }
                into.extend(mean.iter().enumerate().map(|(class, &mean)| {
                    let log = |m: usize| logs[m * classes + class];
                    if mean > TINY { libm::log(mean) as f32 } else { log_mean(weights, log) as f32 }
                }));
            }
        }
    }
}

/// The outputs `[rows, O]` of a network of sub-models with these outputs, `[rows, S, O]`: as [`mix`] has them.
pub(super) fn mix_sub_models(loss: Loss, sub_models: usize, outputs: &[f32]) -> Vec<f32> {
    let o = loss.outputs();
    let weights = vec![1.0 / sub_models as f64; sub_models];
    let mut into = Vec::with_capacity(outputs.len() / sub_models);
    for row in outputs.chunks_exact(sub_models * o) {
        let each: Vec<&[f32]> = row.chunks_exact(o).collect();
        mix(loss, &weights, &each, &mut into);
    }
    into
}

/// ln Σ w e^l, shifted by the largest l.
fn log_mean(weights: &[f64], log: impl Fn(usize) -> f64) -> f64 {
    let most = (0..weights.len()).map(&log).fold(f64::NEG_INFINITY, f64::max);
    let sum: f64 = weights.iter().enumerate().map(|(m, weight)| weight * libm::exp(log(m) - most)).sum();
    most + libm::log(sum)
}

/// e^z / Σ e^z in f64, shifted by the largest z.
pub(crate) fn softmax(z: &[f32]) -> Vec<f64> {
    let shift = f64::from(z[largest(z)]);
    let e: Vec<f64> = z.iter().map(|&z| libm::exp(f64::from(z) - shift)).collect();
    let sum: f64 = e.iter().sum();
    e.into_iter().map(|e| e / sum).collect()
}

/// Index of the largest output, the first of equals.
pub(crate) fn largest(z: &[f32]) -> usize {
    (0..z.len()).fold(0, |best, i| if z[i] > z[best] { i } else { best })
}

/// The weights of `members` equal ones.
pub(super) fn equal(members: usize) -> Vec<f64> {
    vec![1.0 / members as f64; members]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mixed(loss: Loss, weights: &[f64], outputs: &[&[f32]]) -> Vec<f32> {
        let mut into = Vec::new();
        mix(loss, weights, outputs, &mut into);
        into
    }

    fn by_definition(z: &[f32]) -> Vec<f64> {
        let e: Vec<f64> = z.iter().map(|&z| f64::from(z).exp()).collect();
        let sum: f64 = e.iter().sum();
        e.into_iter().map(|e| e / sum).collect()
    }

    #[test]
    fn softmax_takes_any_finite_outputs() {
        let p = softmax(&[3.0e38, -3.0e38, 3.0e38]);
        assert_eq!(p, [0.5, 0.0, 0.5]);
        let p = softmax(&[0.0, 1.0]);
        assert!((p[1] - 1.0 / (1.0 + (-1f64).exp())).abs() < 1e-15);
        assert_eq!(largest(&[1.0, 2.0, 2.0]), 1);
    }

    #[test]
    fn probabilities_are_averaged() {
        let (a, b) = ([0.5f32, -1.0, 2.0, 3.0, 3.0, -7.0], [4.0f32, 0.0, 0.25, -2.0, 1.0, 1.5]);
        let found = mixed(Loss::CrossEntropy { classes: 3 }, &[0.25, 0.75], &[&a, &b]);
        for row in 0..2 {
            let of = |z: &[f32]| by_definition(&z[3 * row..][..3]);
            let (a, b, found) = (of(&a), of(&b), &found[3 * row..][..3]);
            for class in 0..3 {
                let expected = 0.25 * a[class] + 0.75 * b[class];
                // A logarithm in 32 bits: half a unit in the last place.
                assert!(
                    (f64::from(found[class]).exp() / expected - 1.0).abs() < 1e-6,
                    "{found:?} {expected}"
                );
                assert!((by_definition(found)[class] - expected).abs() < 1e-6);
            }
        }
    }

    #[test]
    fn sub_models_are_averaged_row_by_row() {
        // Two rows, three sub-models.
        let z = [1.0f32, 2.0, 6.0, -3.0, 0.0, 0.0];
        assert_eq!(mix_sub_models(Loss::SquaredError, 3, &z), [3.0, -1.0]);
        let loss = Loss::CrossEntropy { classes: 2 };
        let z = [1.0f32, 2.0, 6.0, -3.0, 0.0, 0.5, 0.25, 0.0];
        let expected =
            [&z[..4], &z[4..]].map(|row| mixed(loss, &[0.5, 0.5], &[&row[..2], &row[2..]])).concat();
        assert_eq!(mix_sub_models(loss, 2, &z), expected);
    }

    #[test]
    fn values_are_averaged_and_one_member_keeps_its_bits() {
        assert_eq!(mixed(Loss::SquaredError, &[0.25, 0.75], &[&[1.0, -2.0], &[3.0, 2.0]]), [2.5, 1.0]);
        let z = [-0.0f32, 1e-40, 3.0];
        for loss in [Loss::SquaredError, Loss::CrossEntropy { classes: 3 }] {
            let found = mixed(loss, &[1.0], &[&z]);
            assert_eq!(found.iter().map(|z| z.to_bits()).collect::<Vec<_>>(), z.map(f32::to_bits));
        }
    }

    #[test]
    fn probabilities_too_small_for_a_float_have_finite_logarithms() {
        let (a, b) = ([0.0f32, 5000.0], [0.0f32, 5001.0]);
        let found = mixed(Loss::CrossEntropy { classes: 2 }, &[0.5, 0.5], &[&a, &b]);
        let expected = -5000.0 + (0.5 + 0.5 * (-1f64).exp()).ln();
        assert!((f64::from(found[0]) - expected).abs() < 1e-3, "{found:?} {expected}");
        assert_eq!(found[1], 0.0);
    }

    #[test]
    fn an_output_that_is_no_number_is_not_hidden_by_the_other_members() {
        for bad in [f32::NAN, f32::INFINITY] {
            let found = mixed(Loss::CrossEntropy { classes: 2 }, &[0.5, 0.5], &[&[0.0, bad], &[0.0, 1.0]]);
            assert!(found.iter().all(|z| !z.is_finite()), "{found:?}");
            let found = mixed(Loss::SquaredError, &[0.5, 0.5], &[&[bad], &[1.0]]);
            assert!(!found[0].is_finite(), "{found:?}");
        }
    }
}
