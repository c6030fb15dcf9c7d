//! Strategies: the dependencies and the spread of their trials, and the estimator's learning.

use std::collections::HashSet;
use std::path::Path;

use serde_json::Value;

use super::*;
use crate::spec::{Params, SweepRequest};

fn request(toml: &str) -> SweepRequest {
    SweepRequest::from_toml(toml, Path::new("sweep.toml")).unwrap_or_else(|e| panic!("{toml}\n{e}"))
}

fn study(toml: &str) -> Study {
    Study::new(&request(toml)).unwrap()
}

fn number(params: &Params, key: &str) -> f64 {
    params[key].as_f64().unwrap()
}

/// Greatest distance between the distribution of the numbers and `cdf`.
fn kolmogorov_smirnov(mut xs: Vec<f64>, cdf: impl Fn(f64) -> f64) -> f64 {
    xs.sort_by(f64::total_cmp);
    let n = xs.len() as f64;
    let distance =
        |(i, x): (usize, &f64)| (cdf(*x) - i as f64 / n).abs().max((cdf(*x) - (i + 1) as f64 / n).abs());
    xs.iter().enumerate().map(distance).fold(0.0, f64::max)
}

/// Warnock's formula of the L2 star discrepancy (Matoušek 1998), squared.
fn discrepancy(points: &[Vec<f64>]) -> f64 {
    let (n, d) = (points.len() as f64, points[0].len() as i32);
    let single: f64 = points.iter().map(|p| p.iter().map(|x| (1.0 - x * x) / 2.0).product::<f64>()).sum();
    let pair = |p: &[f64], q: &[f64]| p.iter().zip(q).map(|(x, y)| 1.0 - x.max(*y)).product::<f64>();
    let pairs: f64 = points.iter().map(|p| points.iter().map(|q| pair(p, q)).sum::<f64>()).sum();
    3f64.powi(-d) - 2.0 / n * single + pairs / (n * n)
}

#[test]
fn a_grid_is_the_product_of_its_sets_with_the_last_flag_fastest() {
    let study = study("[space]\nbeta1 = [0.8, 0.88, 0.9]\nlr = [0.1, 0.01, 0.001]");
    let points: Vec<_> = (0..study.len()).map(|i| study.params(i, &[], &[])).collect();
    let expected: Vec<_> = [0.1, 0.01, 0.001]
        .iter()
        .flat_map(|lr| [0.8, 0.88, 0.9].map(|beta1| serde_json::json!({"lr": lr, "beta1": beta1})))
        .map(|point| point.as_object().unwrap().clone())
        .collect();
    assert_eq!(points, expected);
}

#[test]
fn a_grid_counts_dependent_settings_only_with_their_choice() {
    let study = study(
        "[space]\nbn = 'both'\nbn-eps = [1e-8, 1e-5, 1e-3]\noptimizer = 'adam,sgd,rmsprop'\n\
         beta1 = [0.8, 0.9]\neps = [1e-8, 1e-7]\nmomentum = [0.0, 0.5, 0.9]\nlr = [0.1, 0.2]",
    );
    // bn: 1 + 3; optimizer: adam 2·2, sgd 3, rmsprop 2; lr: 2.
    assert_eq!(study.len(), (1 + 3) * (4 + 3 + 2) * 2);
    let points: Vec<_> = (0..study.len()).map(|i| study.params(i, &[], &[])).collect();
    let distinct: HashSet<String> =
        points.iter().map(|point| serde_json::to_string(point).unwrap()).collect();
    assert_eq!(distinct.len() as u64, study.len());
    for point in &points {
        assert_eq!(point.contains_key("bn-eps"), point["bn"] == true, "{point:?}");
        assert_eq!(point.contains_key("beta1"), point["optimizer"] == "adam", "{point:?}");
        assert_eq!(point.contains_key("eps"), point["optimizer"] != "sgd", "{point:?}");
        assert_eq!(point.contains_key("momentum"), point["optimizer"] == "sgd", "{point:?}");
    }
}

#[test]
fn a_part_of_a_grid_is_drawn_by_the_seed_without_repetition() {
    let part = |seed: u64, trials: u64| {
        let study = study(&format!(
            "seed = {seed}\ntrials = {trials}\n[space]\nlr = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]\n\
             dropout = [0.0, 0.1, 0.2, 0.3, 0.4]\nl2 = [0, 1e-4]"
        ));
        (0..trials).map(|i| serde_json::to_string(&study.params(i, &[], &[])).unwrap()).collect::<Vec<_>>()
    };
    let some = part(1, 59);
    assert_eq!(some.iter().collect::<HashSet<_>>().len(), 59);
    assert_eq!(part(1, 20), some[..20]);
    assert_ne!(part(2, 59), some);
}

#[test]
fn a_trial_is_the_same_whatever_the_number_of_trials_and_the_other_dimensions() {
    for strategy in ["random", "sobol", "tpe"] {
        let of = |trials: u64, more: &str| {
            study(&format!(
                "strategy = '{strategy}'\nseed = 7\ntrials = {trials}\n[space]\nlr = '1e-4..0.1:log'\n\
                 batch-size = '16..256:log'\n{more}"
            ))
        };
        let (short, long) = (of(5, ""), of(500, ""));
        for i in 0..5 {
            assert_eq!(short.params(i, &[], &[]), long.params(i, &[], &[]), "{strategy}");
        }
        assert_ne!(long.params(0, &[], &[]), long.params(1, &[], &[]), "{strategy}");
        if strategy != "sobol" {
            let wide = of(5, "dropout = '0..0.5'\nactivation = 'relu,tanh'\n");
            assert_eq!(number(&wide.params(3, &[], &[]), "lr"), number(&short.params(3, &[], &[]), "lr"));
        }
    }
}

/// ChaCha8 by another program (Python, checked with the known keystreams of a zero key): the key is seed, 1, trial,
/// number of the flag, as 64-bit words, and the number the upper 53 bits of the first output.
#[test]
fn random_trials_match_chacha8_on_every_system() {
    let study = study(
        "strategy = 'random'\nseed = 9\ntrials = 100\n[space]\nlr = '1e-4..0.1:log'\nbeta1 = '0.9..0.9995:ema'\n\
         batch-size = '16..256:log'\nactivation = 'relu,tanh,gelu'",
    );
    for (trial, lr, beta1, batch, activation) in [
        (0, 0.0014387092297178054, 0.9777975208538383, 102, "tanh"),
        (1, 0.03701817362507496, 0.9902245376662575, 90, "gelu"),
        (70, 0.010989713068548677, 0.9847049204980955, 36, "gelu"),
    ] {
        let params = study.params(trial, &[], &[]);
        // The exponentials of the two programs differ this much.
        let close = |key: &str, expected: f64| (number(&params, key) / expected - 1.0).abs() < 1e-13;
        assert!(close("lr", lr) && close("beta1", beta1), "{params:?}");
        assert_eq!(
            (params["batch-size"].as_i64(), params["activation"].as_str()),
            (Some(batch), Some(activation))
        );
    }
}

#[test]
fn ranges_follow_their_scale() {
    let n = 4000;
    for strategy in ["random", "sobol"] {
        let study = study(&format!(
            "strategy = '{strategy}'\nseed = 3\ntrials = {n}\n[space]\nlr = '1e-4..1e-1:log'\ndropout = '0.1..0.5'\n\
             beta1 = '0.9..0.9995:ema'\nbatch-size = '32..256'\nwarmup = '1..1000:log'"
        ));
        let trials: Vec<_> = (0..n).map(|i| study.params(i, &[], &[])).collect();
        let column = |key: &str| trials.iter().map(|trial| number(trial, key)).collect::<Vec<_>>();
        // Beyond this distance in 1 of 1,000 samples (Kolmogorov's distribution).
        let bound = 1.95 / (n as f64).sqrt();
        let check = |key: &str, cdf: &dyn Fn(f64) -> f64, slack: f64| {
            let distance = kolmogorov_smirnov(column(key), cdf);
            assert!(distance < bound + slack, "{strategy} {key}: {distance} is not below {}", bound + slack);
        };
        check("lr", &|x| (x / 1e-4).ln() / 1e3f64.ln(), 0.0);
        check("dropout", &|x| (x - 0.1) / 0.4, 0.0);
        check("beta1", &|x| (0.1 / (1.0 - x)).ln() / 200f64.ln(), 0.0);
        check("batch-size", &|x| (x - 31.5) / 225.0, 1.0 / 225.0);
        // The negative control: logarithmic numbers are not uniform.
        assert!(kolmogorov_smirnov(column("lr"), |x| (x - 1e-4) / 0.0999) > 0.3);
        let within = |key: &str, low: f64, high: f64| {
            assert!(column(key).iter().all(|x| (low..=high).contains(x)), "{strategy} {key}");
        };
        within("beta1", 0.9, 0.9995);
        within("batch-size", 32.0, 256.0);
        within("warmup", 1.0, 1000.0);
        assert!(trials.iter().all(|trial| trial["batch-size"].is_u64()));
    }
}

#[test]
fn sobol_sequences_are_more_even_than_random_draws() {
    let points = |strategy: &str, seed: u64| {
        let study = study(&format!(
            "strategy = '{strategy}'\nseed = {seed}\ntrials = 256\n[space]\ndropout = '0..0.5'\nbeta1 = '0..0.5'\n\
             beta2 = '0..0.5'"
        ));
        let at = |i| {
            ["dropout", "beta1", "beta2"].map(|key| 2.0 * number(&study.params(i, &[], &[]), key)).to_vec()
        };
        discrepancy(&(0..256).map(at).collect::<Vec<_>>())
    };
    for seed in 0..5 {
        let (sobol, random) = (points("sobol", seed), points("random", seed));
        assert!(sobol * 4.0 < random, "seed {seed}: {sobol} against {random}");
    }
    assert_ne!(points("sobol", 0), points("sobol", 1));
}

#[test]
fn every_value_of_a_set_comes_equally_often() {
    let study =
        study("strategy = 'random'\ntrials = 3000\n[space]\nactivation = 'relu,tanh,gelu'\nbn = 'both'");
    for (key, values) in [("activation", 3.0), ("bn", 2.0)] {
        let mut counts = std::collections::HashMap::<String, f64>::new();
        for i in 0..3000 {
            *counts.entry(study.params(i, &[], &[])[key].to_string()).or_default() += 1.0;
        }
        assert_eq!(counts.len() as f64, values);
        // Five standard deviations of a binomial distribution.
        let bound = 5.0 * (3000.0 / values * (1.0 - 1.0 / values)).sqrt();
        assert!(counts.values().all(|count| (count - 3000.0 / values).abs() < bound), "{counts:?}");
    }
}

/// Runs a study of the objective, and returns the best value.
fn best(toml: &str, objective: &dyn Fn(&Params) -> Option<f64>) -> f64 {
    let study = study(toml);
    let mut told: Vec<Told> = Vec::new();
    for trial in 0..study.len() {
        let (ended, running) = told.split_at(study.wants(trial).end as usize);
        let running: Vec<Params> = running.iter().map(|told: &Told| told.params.clone()).collect();
        let params = study.params(trial, ended, &running);
        let value = objective(&params);
        told.push(Told { trial, params, value, rung: 1 });
    }
    told.iter().filter_map(|told| told.value).fold(f64::INFINITY, f64::min)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    (values[values.len() / 2 - 1] + values[values.len() / 2]) / 2.0
}

#[test]
fn the_estimator_beats_random_draws() {
    /// A valley in ln lr and dropout.
    fn valley(params: &Params) -> Option<f64> {
        let (lr, dropout) = (number(params, "lr").log10(), number(params, "dropout"));
        Some((lr + 2.3).powi(2) + 4.0 * (dropout - 0.2).powi(2))
    }
    /// Branin's function, whose lowest value is 0.397887.
    fn branin(params: &Params) -> Option<f64> {
        use std::f64::consts::PI;
        let x = -5.0 + 15.0 * number(params, "beta1") / 0.9;
        let y = 15.0 * number(params, "beta2") / 0.9;
        let a = y - 5.1 / (4.0 * PI * PI) * x * x + 5.0 / PI * x - 6.0;
        Some(a * a + 10.0 * (1.0 - 1.0 / (8.0 * PI)) * x.cos() + 10.0)
    }
    /// One of two optimisers is better, each with a setting of its own; large rates diverge.
    fn conditional(params: &Params) -> Option<f64> {
        let lr = number(params, "lr").log10();
        let own = match params["optimizer"].as_str() {
            Some("adam") => (number(params, "beta1") - 0.3).abs(),
            _ => 0.2 + (number(params, "momentum") - 0.6).abs(),
        };
        let activation = if params["activation"] == "tanh" { 0.0 } else { 0.3 };
        (lr < -0.5).then_some((lr + 3.0).abs() + own + activation)
    }
    type Objective<'a> = &'a dyn Fn(&Params) -> Option<f64>;
    let cases: [(&str, &str, Objective); 3] = [
        ("valley", "lr = '1e-6..1:log'\ndropout = '0..0.9'", &valley),
        ("branin", "beta1 = '0..0.9'\nbeta2 = '0..0.9'", &branin),
        (
            "conditional",
            "optimizer = 'adam,sgd'\nlr = '1e-6..1:log'\nbeta1 = '0..0.9'\nmomentum = '0..0.9'\n\
             activation = 'relu,tanh,gelu,elu'",
            &conditional,
        ),
    ];
    for (name, space, objective) in cases {
        for population in [1, 8] {
            let of = |strategy: &str| {
                let run = |seed: u64| {
                    let toml = format!(
                        "strategy = '{strategy}'\nseed = {seed}\ntrials = 100\npopulation = {population}\n[space]\n{space}"
                    );
                    best(&toml, objective)
                };
                median((0..20).map(run).collect())
            };
            let (tpe, random) = (of("tpe"), of("random"));
            println!("{name}, {population} at once: {tpe:.5} against {random:.5}");
            assert!(tpe < random, "{name}, {population} at once: {tpe} against {random}");
        }
    }
}

#[test]
fn a_proposal_depends_on_the_results_and_not_on_their_order() {
    let toml = "strategy = 'tpe'\ntrials = 100\n[space]\nlr = '1e-4..0.1:log'\nactivation = 'relu,tanh,gelu'";
    let study = study(toml);
    assert_eq!((study.window(), study.wants(20), study.wants(60)), (24, 0..0, 0..36));
    let mut told: Vec<Told> = (0..36)
        .map(|trial| {
            let params = study.params(trial, &[], &[]);
            let value = (trial % 7 != 0).then(|| number(&params, "lr"));
            Told { trial, params, value, rung: 1 + trial % 3 }
        })
        .collect();
    let proposal = study.params(60, &told, &[]);
    assert_eq!(proposal, study.params(60, &told, &[]));
    told.reverse();
    assert_eq!(proposal, study.params(60, &told, &[]));
    told.iter_mut().for_each(|told| told.value = told.value.map(|value| -value));
    assert_ne!(proposal, study.params(60, &told, &[]));
    let running: Vec<Params> = (36..60).map(|i| study.params(i, &told, &[])).collect();
    assert_ne!(study.params(60, &told, &running), study.params(60, &told, &[]));
    let with = |text: &str| Study::new(&request(&format!("{text}\n{toml}"))).unwrap().window();
    assert_eq!((with("population = 8"), with("population = 8\nqueues = 3"), with("queues = 3")), (8, 24, 24));
    assert_eq!((with("population = 1"), with("population = 1\nqueues = 2")), (0, 2));
}

#[test]
fn trials_that_went_further_are_better_and_diverged_ones_last() {
    let space = "strategy = 'tpe'\npopulation = 1\ntrials = 200\n[space]\ndropout = '0..0.9'";
    let study = study(space);
    // Trials with a dropout near 0.7 went far, ones near 0 have the lowest values, ones near 0.3 diverged.
    let told: Vec<Told> = (0..60)
        .map(|trial| {
            let params = study.params(trial, &[], &[]);
            let dropout = number(&params, "dropout");
            let rung = if (dropout - 0.7).abs() < 0.1 { 9 } else { 1 };
            let value = ((dropout - 0.3).abs() > 0.1).then_some(dropout);
            Told { trial, params, value, rung }
        })
        .collect();
    let proposed: Vec<f64> = (100..140).map(|i| number(&study.params(i, &told, &[]), "dropout")).collect();
    let near = |at: f64| proposed.iter().filter(|x| (*x - at).abs() < 0.15).count();
    assert!(near(0.7) > 25 && near(0.3) < 5, "{proposed:?}");
}

#[test]
fn a_known_trial_is_not_proposed_again_while_there_are_others() {
    let study =
        study("strategy = 'tpe'\npopulation = 1\ntrials = 40\n[space]\nlr = [1, 2, 3, 4]\nl2 = [0, 1, 2, 3]");
    let mut told: Vec<Told> = Vec::new();
    for trial in 0..40 {
        let params = study.params(trial, &told[..study.wants(trial).end as usize], &[]);
        let value = Some(number(&params, "lr") + number(&params, "l2"));
        told.push(Told { trial, params, value, rung: 1 });
    }
    let distinct: HashSet<String> =
        told.iter().map(|told| serde_json::to_string(&told.params).unwrap()).collect();
    assert_eq!(distinct.len(), 16);
}

#[test]
fn an_estimate_spreads_the_requested_trials_over_the_grid() {
    let grid = study("[space]\nhidden = '8,16,32,64'\nlr = [1e-3, 1e-2]");
    let widths: Vec<Value> = grid.estimate(4).iter().map(|params| params["hidden"].clone()).collect();
    assert_eq!(widths, ["8", "16", "32", "64"]);
    assert_eq!(grid.estimate(100).len(), 8);
    let tpe = study("strategy = 'tpe'\ntrials = 500\n[space]\nlr = '1e-4..1e-1:log'");
    assert_eq!(tpe.estimate(16).len(), 16);
    assert_eq!(study("").estimate(3), [Params::new()]);
}
