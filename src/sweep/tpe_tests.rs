//! Proposals: a joint optimum, trials that run, repeats, and the same bits everywhere.

use std::path::Path;

use serde_json::Value;

use super::schedule::{Next, Scheduler, TrainingId};
use super::tpe::propose;
use super::*;
use crate::spec::{Dimension, Domain, Params, Scale, Space, SweepRequest};

fn range(key: &str) -> Dimension {
    let domain = Domain::Range { low: 0.0, high: 1.0, scale: Scale::Linear, integer: false };
    Dimension { key: key.into(), domain }
}

fn number(params: &Params, key: &str) -> f64 {
    params[key].as_f64().unwrap()
}

fn told(trial: u64, params: Params, value: f64) -> Told {
    Told { trial, params, value: Some(value), rung: 1 }
}

/// Each dimension estimated without the others.
fn propose_each(space: &Space, seed: u64, trial: u64, known: &[Told]) -> Params {
    let mut all = Params::new();
    for (number, dimension) in space.dimensions.iter().enumerate() {
        let own = Space { dimensions: vec![dimension.clone()] };
        let of =
            |params: &Params| Params::from_iter([(dimension.key.clone(), params[&dimension.key].clone())]);
        let known: Vec<Told> = known.iter().map(|t| Told { params: of(&t.params), ..t.clone() }).collect();
        all.extend(propose(&own, seed + 1000 * number as u64, trial, &known, &[]));
    }
    all
}

type Propose = fn(&Space, u64, u64, &[Told]) -> Params;

const JOINT: Propose = |space, seed, trial, known| propose(space, seed, trial, known, &[]);

#[test]
fn settings_that_depend_on_each_other_are_found_sooner_than_by_each_dimension_alone() {
    // Hartmann's function of six variables (Surjanovic & Bingham), whose lowest value is -3.32237.
    let keys = ["dropout", "lr", "eps", "l2", "weight-decay", "clip-norm"];
    let space = Space { dimensions: keys.map(range).to_vec() };
    let hartmann = |params: &Params| {
        let x = keys.map(|key| number(params, key));
        let a = [
            [10.0, 3.0, 17.0, 3.5, 1.7, 8.0],
            [0.05, 10.0, 17.0, 0.1, 8.0, 14.0],
            [3.0, 3.5, 1.7, 10.0, 17.0, 8.0],
            [17.0, 8.0, 0.05, 10.0, 0.1, 14.0],
        ];
        let p = [
            [0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886],
            [0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991],
            [0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650],
            [0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381],
        ];
        let exponent = |i: usize| (0..6).map(|j| a[i][j] * (x[j] - p[i][j]).powi(2)).sum::<f64>();
        -[1.0, 1.2, 3.0, 3.2].iter().enumerate().map(|(i, alpha)| alpha * (-exponent(i)).exp()).sum::<f64>()
    };
    let regret = |propose: Propose| {
        let one = |seed: u64| {
            let mut known: Vec<Told> = Vec::new();
            for trial in 0..100 {
                let from = if trial < 10 { &[] } else { &known[..] };
                let params = propose(&space, seed, trial, from);
                let value = hartmann(&params);
                known.push(told(trial, params, value));
            }
            known.iter().filter_map(|t| t.value).fold(f64::INFINITY, f64::min) + 3.32237
        };
        (0..20).map(one).sum::<f64>() / 20.0
    };
    let (joint, each) = (regret(JOINT), regret(propose_each));
    println!("{joint:.4} against {each:.4}");
    assert!(joint < 0.8 * each, "{joint} against {each}");
}

#[test]
fn trials_that_run_together_differ() {
    let space = Space { dimensions: vec![range("lr"), range("l2")] };
    // One narrow optimum: without knowledge of each other, all proposals are near it.
    let known: Vec<Told> = (0..50)
        .map(|i| {
            let params = propose(&space, 5, i, &[], &[]);
            let value = (number(&params, "lr") - 0.6).powi(2) + (number(&params, "l2") - 0.3).powi(2);
            told(i, params, value)
        })
        .collect();
    let spread = |knows: bool| {
        let mut running: Vec<Params> = Vec::new();
        for trial in 50..66 {
            let others = if knows { &running[..] } else { &[] };
            running.push(propose(&space, 5, trial, &known, others));
        }
        let distance = |a: &Params, b: &Params| {
            (number(a, "lr") - number(b, "lr")).hypot(number(a, "l2") - number(b, "l2"))
        };
        let nearest = running.iter().enumerate().map(|(i, a)| {
            let others = running.iter().enumerate().filter(|(j, _)| *j != i);
            others.map(|(_, b)| distance(a, b)).fold(f64::INFINITY, f64::min)
        });
        nearest.sum::<f64>() / running.len() as f64
    };
    let (liar, blind) = (spread(true), spread(false));
    println!("{liar:.4} against {blind:.4}");
    assert!(liar > 1.3 * blind, "{liar} against {blind}");
}

#[test]
fn a_running_trial_is_not_proposed_again() {
    let values = Domain::Set([1, 2, 3, 4].map(Value::from).to_vec());
    let space = Space { dimensions: vec![Dimension { key: "lr".into(), domain: values }] };
    let of = |lr: u64| Params::from_iter([("lr".into(), lr.into())]);
    for seed in 0..20 {
        let found = propose(&space, seed, 12, &[told(0, of(1), 0.0), told(1, of(2), 1.0)], &[of(3)]);
        assert_eq!(found, of(4));
    }
}

#[test]
fn a_proposal_has_the_settings_of_its_choice_and_learns_within_it() {
    let choice = Domain::Set(vec!["adam".into(), "sgd".into()]);
    let mut momentum = range("momentum");
    momentum.domain = Domain::Range { low: 0.0, high: 0.9, scale: Scale::Linear, integer: false };
    let space = Space {
        dimensions: vec![
            Dimension { key: "optimizer".into(), domain: choice },
            range("lr"),
            range("beta1"),
            momentum,
        ],
    };
    // Adam is better, near beta1 0.8; a momentum never matters.
    let value = |params: &Params| match params.get("beta1") {
        Some(beta1) => (beta1.as_f64().unwrap() - 0.8).abs(),
        None => 2.0 + number(params, "momentum"),
    };
    let mut known: Vec<Told> = Vec::new();
    for trial in 0..80 {
        let from = if trial < 10 { &[] } else { &known[..] };
        let params = propose(&space, 2, trial, from, &[]);
        let adam = params["optimizer"] == "adam";
        assert_eq!((params.contains_key("beta1"), params.contains_key("momentum")), (adam, !adam));
        let value = value(&params);
        known.push(told(trial, params, value));
    }
    let late = &known[40..];
    let adam: Vec<&Told> = late.iter().filter(|told| told.params["optimizer"] == "adam").collect();
    let near = adam.iter().filter(|told| (number(&told.params, "beta1") - 0.8).abs() < 0.2).count();
    assert!(adam.len() > 25 && near > 25, "{} of 40 are Adam, {near} near 0.8", adam.len());
}

/// A request whose trials learn, with several trials at once.
fn request(population: u64) -> SweepRequest {
    let toml = format!(
        "strategy = 'tpe'\nseed = 4\ntrials = 60\npopulation = {population}\n[space]\nlr = '1e-4..1e-1:log'\n\
         hidden = '8,16,32,64'\nbatch-size = '16..256:log'\noptimizer = 'adam,sgd'\nmomentum = '0..0.9'"
    );
    SweepRequest::from_toml(&toml, Path::new("sweep.toml")).unwrap()
}

fn objective(params: &Params) -> f64 {
    let width: f64 = params["hidden"].as_str().unwrap().parse().unwrap();
    (number(params, "lr").log10() + 2.0).abs() + 8.0 / width
}

/// The settings of all trials. `pick` chooses which of the running trials ends next; after each trial of `restarts`, the
/// process starts again.
fn sweep(population: u64, slots: usize, pick: fn(usize, u64) -> usize, restarts: &[u64]) -> Vec<Params> {
    let new = || {
        let study = Study::new(&request(population)).unwrap();
        Scheduler::<()>::new(Box::new(study), 0..60, vec![0], None, 1, 1)
    };
    let mut scheduler = new();
    let mut all = vec![Params::new(); 60];
    let (mut running, mut ended, mut step) = (Vec::new(), Vec::new(), 0);
    while ended.len() < 60 {
        while running.len() < slots
            && let Next::Train { id, params, .. } = scheduler.next_training()
        {
            all[id.trial as usize] = params;
            running.push(id);
        }
        let id: TrainingId = running.remove(pick(running.len(), step));
        step += 1;
        scheduler.ended(id, Some(objective(&all[id.trial as usize])));
        ended.push(id);
        if restarts.contains(&id.trial) {
            // As after a crash: running trials start again, and the next process knows the others.
            scheduler = new();
            running.clear();
            for id in &ended {
                let params = &all[id.trial as usize];
                scheduler.restore_ended(*id, params, &[], Some(objective(params)));
            }
        }
    }
    all
}

#[test]
fn proposals_depend_on_neither_time_nor_interruptions() {
    let first = |_, _| 0;
    let some: fn(usize, u64) -> usize = |n, step| (step * 2_654_435_761 % 1009) as usize % n;
    for population in [1, 4] {
        let expected = sweep(population, 1, first, &[]);
        for slots in 1..=population as usize {
            assert_eq!(sweep(population, slots, some, &[]), expected, "{slots} slots");
            assert_eq!(
                sweep(population, slots, some, &[3, 17, 18, 40]),
                expected,
                "{slots} slots, restarted"
            );
        }
        let distinct: std::collections::HashSet<String> =
            expected.iter().map(|params| serde_json::to_string(params).unwrap()).collect();
        assert_eq!(distinct.len(), 60);
    }
    assert_ne!(sweep(1, 1, first, &[]), sweep(4, 1, first, &[]));
}

#[test]
fn proposals_have_the_same_bits_on_every_system() {
    let all = sweep(4, 4, |_, _| 0, &[]);
    let text = |at: usize| serde_json::to_string(&all[at]).unwrap();
    assert_eq!(
        [text(20), text(59)],
        [
            r#"{"hidden":"64","optimizer":"adam","lr":0.02072108566888773,"batch-size":152}"#,
            r#"{"hidden":"64","optimizer":"adam","lr":0.007070740978696389,"batch-size":43}"#
        ]
    );
}
