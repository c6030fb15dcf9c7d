use std::time::Duration;

use super::networks::{ADAM, training};
use super::*;
use crate::data::{Dataset, LoadRequest, Part, load};
use crate::engine::CpuFactory;
use crate::population::random::pcg4d;
use crate::report::language::Lang;
use crate::spec::Training;
use crate::train::tests::EAGER;
use crate::train::tests::faulty::{Fault, FaultyFactory};
use crate::train::{Pace, Problem, Stop, TrainError};

fn digits(ask: &Ask) -> Result<Dataset, LabError> {
    let request = LoadRequest {
        source: "digits".into(),
        target: None,
        table: Default::default(),
        task: None,
        val_split: ask.val_split,
        test_split: 0.1,
        folds: None,
        folds_of_tables: false,
        standardize: ask.standardize,
        clip_inputs: false,
        clamp: None,
        seed: 0,
        data_dir: None,
    };
    Ok(load(&request)?)
}

/// Runs `f` in a lab on the digits.
fn in_lab<T>(f: impl FnOnce(&Lab) -> T) -> T {
    let (factory, stop) = (CpuFactory::default(), Stop::default());
    f(&Lab::new(&factory, &digits, Settings::default(), &stop, &|_, _| ()))
}

fn small(bn: bool, seed: u64) -> Training {
    Training { optimizer: ADAM, ..training(&[16, 16], bn, 0.01, seed) }
}

#[test]
fn a_members_results_do_not_depend_on_other_members_or_looks() {
    in_lab(|lab| {
        let problem = lab.problem().unwrap();
        let quiet = Plan { keep_weights: true, ..Plan::new([small(true, 3)], &[40]) };
        let alone = lab.train(problem, &quiet, "").unwrap();
        let members = vec![
            (small(false, 1), vec![0, 7, 25]),
            (Training { batch_size: 17, ..small(true, 3) }, vec![60]),
            (small(true, 3), vec![0, 1, 2, 3, 10, 33, 40]),
        ];
        let rows = vec![problem.split.range(Part::Test)];
        let busy = Plan {
            members,
            train_score: true,
            by_batch: Some(90),
            watch: true,
            rows,
            keep_weights: true,
            ..Plan::default()
        };
        let courses = lab.train(problem, &busy, "").unwrap();
        assert_eq!(courses[2].weights, alone[0].weights);
        assert_ne!(courses[1].weights, alone[0].weights);
        let steps = |course: &Course| course.points.iter().map(|p| p.step).collect::<Vec<_>>();
        assert_eq!(steps(&courses[0]), [0, 7, 25]);
        assert_eq!(courses[2].rows[0], courses[2].last().unwrap().test);
        assert_eq!(courses[2].last().unwrap().test, alone[0].last().unwrap().test);
        // It has learnt, and its layers were watched: two hidden ones and the output.
        let (first, last) = (&courses[2].points[0], courses[2].last().unwrap());
        assert!(last.test.score > 0.8 && first.test.score < 0.4, "{first:?} {last:?}");
        assert!(last.train.unwrap().loss < first.train.unwrap().loss && last.val.is_none());
        assert!(last.batch_loss.is_finite() && first.batch_loss.is_nan());
        assert_eq!(last.layers.len(), 3);
        // Normalised: the median input of the first sigmoid layer is near 0.
        assert!(last.layers[0].after.0[2].abs() < 0.5, "{:?}", last.layers[0]);
        let by_batch = last.by_batch.unwrap();
        // Running statistics on the same rows, which are all: 180 test rows are two batches of 90.
        assert!((by_batch[0].score - last.test.score).abs() < 0.1, "{by_batch:?} {last:?}");
        assert_eq!(by_batch[1], last.test);
        // Without BN batches do not matter.
        let plain = courses[0].last().unwrap();
        assert!((plain.by_batch.unwrap()[0].loss - plain.test.loss).abs() < 1e-5, "{plain:?}");
    });
}

#[test]
fn a_diverged_member_scores_nan_and_the_others_train_on() {
    in_lab(|lab| {
        let problem = lab.problem().unwrap();
        let mut wild = small(false, 0);
        wild.network.activation = crate::spec::Activation::Relu;
        wild.optimizer = super::networks::SGD;
        wild.lr = 1e30;
        let plan = Plan { train_score: true, watch: true, ..Plan::new([wild, small(true, 0)], &[0, 20, 30]) };
        let courses = lab.train(problem, &plan, "").unwrap();
        assert!(courses[0].diverged.is_some_and(|step| step <= 20), "{:?}", courses[0].diverged);
        assert_eq!(courses[0].points.len(), 3);
        assert!(courses[0].final_score().is_nan() && courses[0].points[0].test.score.is_finite());
        assert!(courses[1].diverged.is_none() && courses[1].final_score() > 0.5);
    });
}

/// One member that diverges, two that train on, and every option of a plan.
fn demanding(problem: &Problem) -> Plan {
    let mut wild = small(false, 0);
    wild.network.activation = crate::spec::Activation::Relu;
    wild.optimizer = super::networks::SGD;
    wild.lr = 1e30;
    Plan {
        members: vec![
            (wild, vec![0, 20]),
            (small(true, 3), vec![0, 1, 2, 10, 33, 40]),
            (Training { batch_size: 17, ..small(true, 1) }, vec![7, 25]),
        ],
        train_score: true,
        by_batch: Some(50),
        watch: true,
        rows: vec![problem.split.range(Part::Test)],
        keep_weights: true,
        ..Plan::default()
    }
}

/// The courses of a demanding plan, each f64 with all its digits.
fn courses_on(factory: &FaultyFactory, pace: Pace) -> Result<String, LabError> {
    let stop = Stop::default();
    let lab = Lab::new(factory, &digits, Settings::default(), &stop, &|_, _| ()).with_pace(pace);
    let problem = lab.problem()?;
    lab.train(problem, &demanding(problem), "").map(|courses| format!("{courses:?}"))
}

#[test]
fn a_device_lost_twice_leaves_the_same_courses() {
    let lazy = Pace { read_every: Duration::from_secs(3600), ..EAGER };
    let mut expected: Option<String> = None;
    for (round, pace) in [(0, EAGER), (1, lazy)] {
        let clean = FaultyFactory::default();
        let courses = courses_on(&clean, pace).unwrap();
        assert_eq!(*expected.get_or_insert_with(|| courses.clone()), courses);
        let calls = clean.script.calls.get();
        for nth in 0..15 {
            let factory = FaultyFactory::default();
            let [first, second, ..] = pcg4d([nth, round, 5, 6]).map(|word| word as usize % calls);
            let kinds = [Fault::Lost, Fault::Timeout, Fault::Stale];
            let second = if first == second { first + 1 } else { second };
            factory
                .script
                .faults
                .borrow_mut()
                .extend([(first, kinds[nth as usize % 3]), (second, Fault::Lost)]);
            let found = courses_on(&factory, pace).unwrap();
            assert_eq!(factory.script.met.get(), 2, "calls {first} and {second} of {calls}");
            assert!(found == courses, "lost at calls {first} and {second} of {calls}");
        }
    }
}

#[test]
fn a_device_that_stays_lost_ends_a_demonstration() {
    let factory = FaultyFactory::default();
    factory.script.dead_from.set(Some(30));
    let ended = courses_on(&factory, EAGER);
    assert!(matches!(ended, Err(LabError::Train(TrainError::GaveUp { tries: 3, .. }))), "{ended:?}");
}

#[test]
fn a_stop_ends_training_as_interrupted() {
    let (factory, stop) = (CpuFactory::default(), Stop::default());
    stop.ask();
    let lab = Lab::new(&factory, &digits, Settings::default(), &stop, &|_, _| ());
    let plan = Plan::new([small(true, 0)], &[10]);
    assert!(matches!(lab.train(lab.problem().unwrap(), &plan, ""), Err(LabError::Interrupted)));
}

#[test]
fn looks_are_spaced_evenly_in_the_logarithm() {
    assert_eq!(log_spaced(100, 3), [0, 1, 2, 5, 10, 22, 46, 100]);
    assert_eq!(log_spaced(1, 5), [0, 1]);
}

#[test]
fn every_demonstration_has_a_name_and_a_claim_in_both_languages() {
    let mut names: Vec<&str> = ALL.iter().map(|demo| demo.name()).collect();
    for demo in ALL {
        let claim = demo.claim();
        assert!(find(demo.name()).is_some());
        assert!(!claim.en.is_empty() && claim.zh.chars().any(|c| c as u32 > 0x2e80), "{}", demo.name());
    }
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), ALL.len());
}

#[test]
fn a_page_shows_verdict_table_and_command_and_is_self_contained() {
    use crate::report::figure::Figure;
    use crate::text;
    let finding = Finding {
        figure: Figure::default(),
        caption: text!("<caption>", "说明"),
        table: vec![vec![text!("a", "甲")], vec![text!("1 < 2", "1 < 2")]],
        verdict: Verdict { outcome: Outcome::Fails, sentence: text!("by much", "差很多") },
        numbers: serde_json::json!({}),
    };
    let about =
        serde_json::json!({ "data": "<b>", "device": "d", "commands": { "paper": "bngpu demo paper" } });
    for (lang, words) in [(Lang::En, "does not hold here"), (Lang::Zh, "在此不成立")] {
        let page = super::page::page(&[(ALL[0], finding.clone())], lang, &about);
        assert!(
            page.contains(words) && page.contains("bngpu demo paper") && page.contains("1 &lt; 2"),
            "{page}"
        );
        assert!(
            !page.contains("<b>") && !page.contains("<script") && page.contains("default-src 'none'"),
            "{page}"
        );
    }
}

#[test]
fn a_layers_inputs_move_only_if_the_network_learns() {
    in_lab(|lab| {
        let problem = lab.problem().unwrap();
        let still = Training { lr: 1e-30, ..small(true, 1) };
        let plan = Plan { watch: true, ..Plan::new([still, small(true, 1)], &[0, 40]) };
        let courses = lab.train(problem, &plan, "").unwrap();
        let moves =
            |course: &Course| course.points[0].layers[1].unit_after != course.points[1].layers[1].unit_after;
        assert_eq!(courses.iter().map(moves).collect::<Vec<_>>(), [false, true]);
    });
}

#[test]
fn the_hidden_layers_are_those_of_the_settings() {
    let (factory, stop) = (CpuFactory::default(), Stop::default());
    for (hidden, en, zh) in [
        (vec![100; 3], "Three hidden layers of 100", "三个隐藏层，每层 100 个"),
        (vec![7], "One hidden layer of 7", "一个隐藏层，每层 7 个"),
        (vec![8; 12], "12 hidden layers of 8", "12 个隐藏层，每层 8 个"),
        (vec![64, 32], "Hidden layers of 64, 32", "隐藏层依次有 64、32 个"),
    ] {
        let settings = Settings { hidden: hidden.clone(), ..Settings::default() };
        let lab = Lab::new(&factory, &digits, settings, &stop, &|_, _| ());
        assert_eq!(lab.training(true, 0.1, 0).network.hidden, hidden);
        assert_eq!((lab.layers().of(Lang::En), lab.layers().of(Lang::Zh)), (en, zh));
    }
}
