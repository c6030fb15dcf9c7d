use serde_json::json;

use super::*;
use crate::spec::{Dimension, Domain, SweepRequest};
use crate::sweep::TrialRecord;
use crate::sweep::analysis::tests::{diverged, halved, halving, last, params, record, request};

fn text(request: &SweepRequest, records: &[TrialRecord], status: Status) -> String {
    let text = summary(&Analysis::new(request, records), status).to_string();
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    text
}

fn summary<'a>(analysis: &'a Analysis, status: Status) -> SweepSummary<'a> {
    SweepSummary {
        analysis,
        status,
        run: "runs/s",
        wall_s: 2.5,
        earlier: 0,
        model: None,
        ensemble: None,
        finalists: 3,
        shard: false,
        finals_left: None,
        limit: None,
    }
}

fn with_lr(lr: f64, record: TrialRecord) -> TrialRecord {
    TrialRecord { params: params(json!({ "lr": lr })), ..record }
}

#[test]
fn a_small_sweep_has_the_expected_summary() {
    let mut records: Vec<TrialRecord> = (0..16)
        .map(|trial| {
            let place = f64::from(trial as u32) / 15.0;
            let lr = 10_f64.powf(3.0 * place - 4.0);
            let (started, ended) = (100.0, 101.25);
            let slot = trial as u32;
            TrialRecord { slot, started, ended, ..with_lr(lr, record(trial, 0, 0.9 - 0.6 * place)) }
        })
        .collect();
    records[3] = with_lr(3.98e-4, TrialRecord { slot: 3, ended: 101.25, ..diverged(3, 0) });
    for seed in 1..=3 {
        let noise = 0.005 * seed as f64;
        let timed = |slot, record| TrialRecord { slot, started: 101.25, ended: 102.5, ..record };
        let slot = seed as u32;
        records.push(timed(slot, with_lr(0.1, last(15, seed, 0.31 + noise))));
        records.push(timed(slot + 3, with_lr(0.0631, last(14, seed, 0.34 - noise / 2.0))));
    }
    let found = text(&request(16, 1), &records, Status::Completed);
    assert!(found == EXPECTED, "found:\n{found}\nexpected:\n{EXPECTED}");
}

#[test]
fn the_summary_shows_the_ensemble_and_how_to_use_it() {
    let share = |trial| crate::sweep::Share { trial, seed: 0, weight: 0.5 };
    let of = |test| Ensemble {
        run: "runs/s/ensemble".into(),
        shares: vec![share(0), share(1)],
        of: 12,
        val_loss: 0.25,
        val_loss_alone: 0.3,
        test,
    };
    let analysis = Analysis::new(&request(2, 1), &[record(0, 0, 0.3), record(1, 0, 0.4)]);
    let text = |ensemble: &Ensemble, status| {
        SweepSummary { ensemble: Some(ensemble), ..summary(&analysis, status) }.to_string()
    };
    let found = text(&of(Some((0.5, Score::Accuracy(0.875)))), Status::Completed);
    let head = "\nensemble of 2 of the 12 kept models, weighted on the validation rows\n        \
                val loss 0.2500; the best alone 0.3000\n";
    assert!(found.contains(&format!("{head}        test loss 0.5000, accuracy 87.50 %\n")), "{found}");
    assert!(found.contains("next    bngpu predict runs/s/ensemble --data FILE (the ensemble)\n"), "{found}");
    let found = text(&of(Some((0.5, Score::Regression { rmse: 12.0, r2: 0.75 }))), Status::Stopped);
    assert!(found.contains("test loss 0.5000, rmse 12.00, R² 0.7500\n"), "{found}");
    let found = text(&of(None), Status::Completed);
    assert!(found.contains(head) && !found.contains("test loss"), "{found}");
    assert!(!text(&of(None), Status::Interrupted).contains("ensemble"));
}

#[test]
fn a_final_comparison_ended_early_is_stated_and_can_be_finished() {
    let analysis = Analysis::new(&request(2, 1), &[record(0, 0, 0.3), record(1, 0, 0.4), last(0, 1, 0.3)]);
    let found =
        SweepSummary { finals_left: Some((1, 10)), ..summary(&analysis, Status::Stopped) }.to_string();
    let words = found.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words.contains("the final comparison was ended early, after 1 of 10 trainings;"), "{found}");
    assert!(found.contains("next    bngpu resume runs/s (finishes the final comparison)\n"), "{found}");
    assert!(found.lines().all(|line| line.chars().count() <= 80), "{found}");
}

#[test]
fn the_summary_states_what_halving_saved() {
    let mut request = request(3, 1);
    request.halving = halving();
    let found = text(&request, &[record(0, 0, 0.3), halved(1, 0.4, 2), halved(2, 0.2, 6)], Status::Completed);
    assert!(found.contains("halving saved 53 % of the epochs: 28 were trained instead of 60\n"), "{found}");
    assert!(found.contains("3 trials: 1 completed, 2 stopped\n"), "{found}");
    assert!(found.contains("best    trial 0: lr 0.001\n"), "{found}");
    assert!(found.contains("not confirmed"), "{found}");
}

#[test]
fn a_time_limit_and_an_unfinished_winner_are_stated() {
    let reason = Some("the time of --max-time is up".into());
    let status = crate::sweep::TrialStatus::Stopped;
    let cut = TrialRecord { status, reason, epochs: 11, ..record(0, 0, 0.3) };
    let analysis = Analysis::new(&request(64, 1), &[cut]);
    let mut summary = summary(&analysis, Status::Stopped);
    summary.limit = Some((Duration::from_secs(90), Some(64)));
    let text = summary.to_string();
    assert!(text.contains("\n--max-time 1m 30s left time for 1 of 64 trials\n"), "{text}");
    let words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let unfinished =
        "no training finished its schedule: this is the best of the unfinished ones, at epoch 11 of 20";
    assert!(words.contains(unfinished), "{text}");
    summary.limit = Some((Duration::from_secs(90), None));
    assert!(summary.to_string().contains("\n--max-time 1m 30s left time for 1 trial\n"));
    let nothing = Analysis::new(&request(64, 1), &[]);
    summary.analysis = &nothing;
    let text = summary.to_string();
    assert!(
        text.contains("\n--max-time 1m 30s is too short to train anything; use a longer one\n"),
        "{text}"
    );
}

#[test]
fn an_interrupted_sweep_shows_the_resume_command() {
    let found = text(&request(3, 1), &[], Status::Interrupted);
    assert!(
        found.starts_with("interrupted; `bngpu resume` continues. Results so far:\n0 trials: none"),
        "{found}"
    );
    // An unfinished search has no winner.
    let some = text(&request(3, 1), &[record(0, 0, 0.3)], Status::Interrupted);
    assert!(!some.contains("\nbest ") && !some.contains("not confirmed"), "{some}");
    let page = Path::new("runs/s").join("report.html");
    let end = format!("run     runs/s\npage    {}\nnext    bngpu resume runs/s\n", page.display());
    assert!(found.ends_with(&end), "{found}");
}

#[test]
fn many_hyperparameters_and_accuracies_fit_into_eighty_columns() {
    let mut request = request(40, 2);
    request.objective = Objective::ValAcc;
    let keys = ["lr", "beta1", "beta2", "weight-decay", "hidden", "activation", "batch-size", "bn"];
    request.space.dimensions = keys
        .map(|key| Dimension { key: key.into(), domain: Domain::Set(vec![json!(1), json!(2), json!(3)]) })
        .to_vec();
    let of = |trial: u64| {
        let level = |n: u64| 1 + (trial / 3_u64.pow(n as u32 % 3) + n) % 3;
        let pairs = keys.iter().enumerate().map(|(n, key)| (key.to_string(), json!(level(n as u64))));
        let mut params: Params = pairs.collect();
        params["hidden"] = json!("1024-1024-512-512-256-256-128-128");
        params["bn"] = json!(true);
        let loss = 0.1 + 0.01 * trial as f64;
        [0, 1].map(|seed| TrialRecord {
            params: params.clone(),
            ..record(trial, seed, loss + 0.003 * seed as f64)
        })
    };
    let mut records: Vec<TrialRecord> = (0..40).flat_map(of).collect();
    let finals: Vec<TrialRecord> = records
        .iter()
        .take(6)
        .map(|record| TrialRecord {
            params: record.params.clone(),
            ..last(record.trial, record.seed + 2, 0.2)
        })
        .collect();
    records.extend(finals);
    let found = text(&request, &records, Status::Completed);
    assert!(found.contains("indistinguishable from trials 1 and 2"), "{found}");
    assert!(found.contains("val accuracy 90.00 ± 0.00 % (2 new seeds)"), "{found}");
    assert!(found.contains("points"), "{found}");
}

#[test]
fn a_regression_shows_its_scores() {
    let of = |trial, seed, loss: f64| TrialRecord {
        val_acc: None,
        val_rmse: Some(loss.sqrt()),
        val_r2: Some(1.0 - loss),
        ..record(trial, seed, loss)
    };
    let end = |record: TrialRecord| TrialRecord {
        stage: crate::sweep::Stage::Final,
        test_loss: record.val_loss,
        test_rmse: Some(0.5),
        test_r2: Some(0.75),
        ..record
    };
    let records =
        [of(0, 0, 0.2), of(1, 0, 0.3), end(of(0, 1, 0.25)), end(of(0, 2, 0.26)), end(of(1, 1, 0.3))];
    let found = text(&request(2, 1), &records, Status::Completed);
    assert!(found.contains("rmse 0.5000 ± 0.0000, R² 0.7500 ± 0.0000\n"), "{found}");
    assert!(found.contains("test R²"), "{found}");
}

const EXPECTED: &str = "\
16 trials: 15 completed, 1 diverged
22 trainings in 2.5 s (8.8 models/s), 11.0 of 16 slots in use

     trial              val loss  epochs
  1     15  lr 0.1        0.3000      20
  2     14  lr 0.0631     0.3400      20
  3     13  lr 0.03981    0.3800      20
  4     12  lr 0.02512    0.4200      20
  5     11  lr 0.01585    0.4600      20

best    trial 15: lr 0.1
        val loss 0.3200 ± 0.0124 (3 new seeds), accuracy 84.00 %
        test loss 0.3400 ± 0.0124, accuracy 90.00 ± 0.00 %
        indistinguishable from trial 14
        optimism gap: search +0.0200, validation against test +0.0200

     trial         val loss   test accuracy           behind
  1     15  0.3200 ± 0.0124  90.00 ± 0.00 %
  2     14  0.3350 ± 0.0062  90.00 ± 0.00 %  0.0150 ± 0.0186

share of the variance (of the rank by val loss), 95 % interval
  lr                   96 %  91 to 99 %  ########################
  interactions, seeds   4 %

note    --lr 0.1 is at the upper end of 1e-4..0.1:log: try larger values, for
        example --lr 1e-4..1:log

more    from 8 to 16 trials the expected best val loss improved by 0.0356 (95 %:
        0.0042 to 0.0837); as many again may bring 0.0209

run     runs/s
page    runs/s/report.html
next    bngpu repro runs/s --trial 15
";
