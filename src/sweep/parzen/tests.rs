//! Densities: their definitions by other functions, their integrals, and draws that follow them.

use serde_json::json;
use statrs::distribution::{ChiSquared, Continuous, ContinuousCDF, Normal};

use super::super::draw::{Purpose, generator};
use super::*;
use crate::spec::{Dimension, Scale};

fn dimension(key: &str, domain: Domain) -> Dimension {
    Dimension { key: key.into(), domain }
}

fn range(low: f64, high: f64, integer: bool) -> Domain {
    Domain::Range { low, high, scale: Scale::Linear, integer }
}

fn set(values: Value) -> Domain {
    Domain::Set(values.as_array().unwrap().clone())
}

fn params(value: Value) -> Params {
    value.as_object().unwrap().clone()
}

/// Each kind of dimension. `beta1` belongs to one value of `optimizer`, `momentum` to the other.
fn space() -> Space {
    Space {
        dimensions: vec![
            dimension("dropout", set(json!([0.2, 0.0, 0.1]))),
            dimension("optimizer", set(json!(["adam", "sgd"]))),
            dimension("lr", range(0.0, 1.0, false)),
            dimension("beta1", range(0.0, 0.5, false)),
            dimension("momentum", set(json!(["a", "b", "c", "d"]))),
            dimension("warmup", range(1.0, 4.0, true)),
        ],
    }
}

fn trials() -> Vec<Params> {
    vec![
        params(json!({"dropout": 0.0, "optimizer": "adam", "lr": 0.9, "beta1": 0.4, "warmup": 1})),
        params(json!({"dropout": 0.2, "optimizer": "sgd", "lr": 0.05, "momentum": "c", "warmup": 4})),
        params(json!({"dropout": 0.0, "optimizer": "adam", "lr": 0.8, "beta1": 0.1, "warmup": 2})),
    ]
}

fn close(found: f64, expected: f64, relative: f64) {
    assert!((found - expected).abs() <= relative * expected.abs(), "{found} is not {expected}");
}

/// Whether the counts could come from these probabilities, in all but 1 of 10,000 samples.
fn fits(counts: &[f64], probabilities: &[f64]) -> bool {
    let n: f64 = counts.iter().sum();
    let statistic: f64 = counts.iter().zip(probabilities).map(|(c, p)| (c - n * p).powi(2) / (n * p)).sum();
    statistic < ChiSquared::new(counts.len() as f64 - 1.0).unwrap().inverse_cdf(0.9999)
}

#[test]
fn kernels_match_the_distributions_of_another_library() {
    for (mean, deviation) in [(0.5, 0.15), (0.0, 0.02), (0.97, 0.3), (0.3, 1.0)] {
        let kernel = Kernel::normal(mean, deviation);
        let normal = Normal::new(mean, deviation).unwrap();
        let inside = normal.cdf(1.0) - normal.cdf(0.0);
        for at in [0.0, 0.1, 0.33, 0.5, 0.9, 0.999] {
            close(kernel.density(Place { at, from: at, to: at }), normal.pdf(at) / inside, 1e-9);
            let (from, to) = (at * 0.9, at * 0.9 + 0.1);
            // Of an interval, the mean.
            let n = 20_000;
            let points = (0..n).map(|i| from + (to - from) * (f64::from(i) + 0.5) / f64::from(n));
            let mean = points.map(|x| normal.pdf(x)).sum::<f64>() / f64::from(n) / inside;
            let found = kernel.density(Place { at, from, to });
            assert!((found - mean).abs() <= 1e-12 + 1e-6 * mean, "{found} is not {mean}");
        }
    }
    // Far on the right, where 1 - Φ has no digits left.
    close(normal_mass(9.0, 10.0), Normal::standard().sf(9.0) - Normal::standard().sf(10.0), 1e-9);
}

#[test]
fn a_mixture_is_the_weighted_sum_of_the_products_of_its_kernels() {
    let (space, trials) = (space(), trials());
    let weights = [0.5, 2.0, 1.0];
    let weighted: Vec<_> = weights.into_iter().zip(&trials).collect();
    let mixture = Mixture::new(&space, &weighted, 3.0);
    let x = params(json!({"dropout": 0.1, "optimizer": "adam", "lr": 0.7, "beta1": 0.25, "warmup": 2}));
    // Three trials in six dimensions, two of them with a beta1.
    let truncated = |mean: f64, deviation: f64, from: f64, to: f64| {
        let normal = Normal::new(mean, deviation).unwrap();
        let inside = normal.cdf(1.0) - normal.cdf(0.0);
        match from == to {
            true => normal.pdf(from) / inside,
            false => (normal.cdf(to) - normal.cdf(from)) / (inside * (to - from)),
        }
    };
    let number = |mean, from, to| truncated(mean, 0.2 * 3f64.powf(-0.1), from, to);
    let beta1 = |mean| truncated(mean, 0.2 * 2f64.powf(-0.1), 0.5, 0.5);
    let (third, two_thirds) = (1.0 / 3.0, 2.0 / 3.0);
    // e = 1/4: the own value of two has (1 + 1/4)/(1 + 2/4), relative to 1/2.
    let (same, other) = (2.0 * 5.0 / 6.0, 2.0 / 6.0);
    let products = [
        number(1.0 / 6.0, third, two_thirds)
            * same
            * number(0.9, 0.7, 0.7)
            * beta1(0.8)
            * number(0.125, 0.25, 0.5),
        // It lacks beta1.
        number(5.0 / 6.0, third, two_thirds) * other * number(0.05, 0.7, 0.7) * number(0.875, 0.25, 0.5),
        number(1.0 / 6.0, third, two_thirds)
            * same
            * number(0.8, 0.7, 0.7)
            * beta1(0.2)
            * number(0.375, 0.25, 0.5),
        1.0,
    ];
    let sum: f64 = [0.5, 2.0, 1.0, 3.0].iter().zip(products).map(|(weight, product)| weight * product).sum();
    close(mixture.density(&x), sum / 6.5, 1e-9);
}

#[test]
fn densities_integrate_to_1_over_all_choices() {
    let (space, trials) = (space(), trials());
    for n in [0, 1, 3] {
        let mixture = Mixture::new(&space, &trials[..n].iter().map(|x| (0.7, x)).collect::<Vec<_>>(), 1.0);
        let middles = |n: u32| (0..n).map(move |i| (f64::from(i) + 0.5) / f64::from(n));
        let mut sum = 0.0;
        // `at` maps equal parts to the values of sets and ranges of whole numbers, so these are all of them.
        for (dropout, warmup) in middles(3).flat_map(|a| middles(4).map(move |b| (a, b))) {
            for (optimizer, lr) in middles(2).flat_map(|a| middles(100).map(move |b| (a, b))) {
                let owned = if optimizer < 0.5 { 100 } else { 4 };
                for own in middles(owned) {
                    let at = [dropout, optimizer, lr, own, own, warmup];
                    let x = space.params(|j, dimension| dimension.domain.at(at[j]));
                    sum += mixture.density(&x) / f64::from(3 * 4 * 2 * 100 * owned);
                }
            }
        }
        assert!((sum - 1.0).abs() < 1e-3, "{n} trials: {sum}");
    }
}

#[test]
fn draws_follow_the_density() {
    let (space, trials) = (space(), trials());
    let mixture = Mixture::new(&space, &trials.iter().map(|x| (2.0, x)).collect::<Vec<_>>(), 1.0);
    let random = &mut generator(3, Purpose::Tpe, 0, 0);
    // 2 optimizers, of which only one has a beta1, times 4 parts of lr, 2 of beta1 and 3 dropouts.
    let cell = |x: &Params| {
        let lr = (4.0 * x["lr"].as_f64().unwrap()) as usize;
        let own = match x.get("beta1") {
            Some(beta1) => usize::from(beta1.as_f64().unwrap() > 0.25),
            None => 2 + usize::from(x["momentum"] == "c"),
        };
        let dropout = (10.0 * x["dropout"].as_f64().unwrap()).round() as usize;
        (lr * 4 + own) * 3 + dropout
    };
    let mut counts = vec![0.0; 48];
    for _ in 0..40_000 {
        counts[cell(&mixture.draw(random))] += 1.0;
    }
    // The probabilities, by the densities of points from the prior.
    let prior = Mixture::new(&space, &[], 1.0);
    let mut probabilities = vec![0.0; 48];
    let n = 2_000_000;
    for _ in 0..n {
        let x = prior.draw(random);
        probabilities[cell(&x)] += mixture.density(&x) / f64::from(n);
    }
    assert!(fits(&counts, &probabilities), "{counts:?} {probabilities:?}");
    // The negative control: the same counts do not fit the prior.
    let mut uniform = vec![0.0; 48];
    (0..100_000).for_each(|_| uniform[cell(&prior.draw(random))] += 1e-5);
    assert!(!fits(&counts, &uniform));
}

/// Correlation of pairs of numbers.
fn correlation(pairs: &[(f64, f64)]) -> f64 {
    let n = pairs.len() as f64;
    let (x, y) = pairs.iter().fold((0.0, 0.0), |(x, y), pair| (x + pair.0 / n, y + pair.1 / n));
    let moment = |f: fn(f64, f64) -> f64| pairs.iter().map(|pair| f(pair.0 - x, pair.1 - y)).sum::<f64>();
    moment(|x, y| x * y) / (moment(|x, _| x * x) * moment(|_, y| y * y)).sqrt()
}

#[test]
fn draws_keep_which_values_occurred_together() {
    let space =
        Space { dimensions: ["lr", "beta1"].map(|key| dimension(key, range(0.0, 1.0, false))).to_vec() };
    // A ridge: every number occurs, but only with its like.
    let trials: Vec<Params> =
        (0..20).map(|i| f64::from(i) / 20.0).map(|x| params(json!({"lr": x, "beta1": x}))).collect();
    let weighted: Vec<_> = trials.iter().map(|x| (1.0, x)).collect();
    let random = &mut generator(1, Purpose::Tpe, 0, 0);
    let mut draws = |mixture: &Mixture, other: &Mixture| {
        let pair = |_| (mixture.draw(random)["lr"].clone(), other.draw(random)["beta1"].clone());
        let number = |(x, y): (Value, Value)| (x.as_f64().unwrap(), y.as_f64().unwrap());
        (0..2000).map(pair).map(number).collect::<Vec<_>>()
    };
    let joint = Mixture::new(&space, &weighted, 1.0);
    // Pairs of different draws have the densities of the single dimensions.
    assert!(correlation(&draws(&joint, &joint)).abs() < 0.1);
    let pairs: Vec<(f64, f64)> = (0..2000)
        .map(|_| joint.draw(random))
        .map(|x| (x["lr"].as_f64().unwrap(), x["beta1"].as_f64().unwrap()))
        .collect();
    assert!(correlation(&pairs) > 0.6, "{}", correlation(&pairs));
}

#[test]
fn values_have_the_part_that_is_mapped_to_them() {
    for domain in [set(json!([3, 1, 2])), range(2.0, 9.0, true)] {
        for value in domain.ends() {
            let (from, to) = domain.part(&value).unwrap();
            for u in [from + 1e-9, 0.5 * (from + to), to - 1e-9] {
                assert_eq!(domain.at(u), value);
            }
            assert!(domain.at((to + 1e-9) % 1.0) != value && domain.at((from + 1.0 - 1e-9) % 1.0) != value);
        }
    }
    assert_eq!(range(0.0, 2.0, false).part(&json!(0.5)), Some((0.25, 0.25)));
    assert_eq!(range(0.0, 2.0, false).part(&json!(3.0)), None);
}
