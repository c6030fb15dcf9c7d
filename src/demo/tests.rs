use super::networks::{ADAM, training};
use super::*;
use crate::data::{Dataset, LoadRequest, Part, load};
use crate::engine::CpuFactory;
use crate::report::language::Lang;
use crate::spec::Training;
use crate::train::Stop;

fn digits(ask: &Ask) -> Result<Dataset, LabError> {
    let request = LoadRequest {
        source: "digits".into(),
        target: None,
        task: None,
        val_split: ask.val_split,
        test_split: 0.1,
        standardize: ask.standardize,
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
fn a_member_does_not_know_who_else_is_in_the_lab_or_looks_at_it() {
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
        // It has learnt; and its layers were seen: two hidden ones and the output.
        let (first, last) = (&courses[2].points[0], courses[2].last().unwrap());
        assert!(last.test.score > 0.8 && first.test.score < 0.4, "{first:?} {last:?}");
        assert!(last.train.unwrap().loss < first.train.unwrap().loss && last.val.is_none());
        assert!(last.batch_loss.is_finite() && first.batch_loss.is_nan());
        assert_eq!(last.layers.len(), 3);
        // Normalised: the median of what the first sigmoid layer takes is near 0.
        assert!(last.layers[0].after.0[2].abs() < 0.5, "{:?}", last.layers[0]);
        let by_batch = last.by_batch.unwrap();
        // By running statistics the same rows, all of them: 180 test rows are two batches of 90.
        assert!((by_batch[0].score - last.test.score).abs() < 0.1, "{by_batch:?} {last:?}");
        assert_eq!(by_batch[1], last.test);
        // Without BN batches do not matter.
        let plain = courses[0].last().unwrap();
        assert!((plain.by_batch.unwrap()[0].loss - plain.test.loss).abs() < 1e-5, "{plain:?}");
    });
}

#[test]
fn a_member_that_diverges_leaves_gaps_and_the_others_alone() {
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

#[test]
fn stopping_is_an_error_of_its_own() {
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
fn a_page_shows_figure_verdict_and_command_and_nothing_from_elsewhere() {
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
fn what_does_not_learn_does_not_move() {
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
fn hidden_layers_are_those_that_were_asked_for() {
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
