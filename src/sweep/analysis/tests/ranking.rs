use super::*;
use crate::sweep::analysis::{finalists, ranking};

fn order(records: &[TrialRecord], request: &SweepRequest) -> Vec<u64> {
    ranking(records, request).iter().map(|trial| trial.trial).collect()
}

#[test]
fn the_mean_over_the_seeds_decides() {
    let records = [
        record(0, 0, 0.1),
        record(0, 1, 0.9),
        record(1, 0, 0.4),
        record(1, 1, 0.5),
        record(2, 0, 0.45),
        record(2, 1, 0.45),
    ];
    let found = ranking(&records, &request(3, 2));
    assert_eq!(found.iter().map(|trial| trial.trial).collect::<Vec<_>>(), [1, 2, 0]);
    close(found[0].value.unwrap(), 0.45, 1e-15);
    // scipy.stats.sem([0.4, 0.5])*scipy.stats.t.ppf(0.975, 1)
    close(found[0].ci95.unwrap(), 0.635_310_236_808_734_6, 1e-9);
}

#[test]
fn accuracy_is_better_when_high() {
    let mut request = request(2, 1);
    request.objective = Objective::ValAcc;
    let with = |trial, loss, acc| TrialRecord { val_acc: Some(acc), ..record(trial, 0, loss) };
    let records = [with(0, 0.1, 0.8), with(1, 0.2, 0.9)];
    assert_eq!(order(&records, &request), [1, 0]);
    assert_eq!(ranking(&records, &request)[0].value, Some(0.9));
    let r2 = |trial, r2| TrialRecord { val_acc: None, val_r2: Some(r2), ..record(trial, 0, 0.5) };
    assert_eq!(order(&[r2(0, 0.2), r2(1, 0.7)], &request), [1, 0]);
}

#[test]
fn halved_trials_stand_behind_those_that_went_further_and_lost_ones_are_last() {
    let mut request = request(8, 1);
    request.halving = halving();
    let mut failed = record(7, 0, 0.0);
    (failed.status, failed.val_loss, failed.val_acc) = (TrialStatus::Failed, None, None);
    let mut patience = record(6, 0, 0.55);
    (patience.status, patience.reason, patience.epochs) =
        (TrialStatus::Stopped, Some(StopReason::Patience { epochs: 2 }.to_string()), 2);
    let records = [
        failed,
        diverged(0, 0),
        halved(1, 0.01, 2),
        halved(2, 0.3, 6),
        halved(3, 0.2, 6),
        record(4, 0, 0.6),
        record(5, 0, 0.5),
        patience,
    ];
    assert_eq!(order(&records, &request), [5, 6, 4, 3, 2, 1, 0, 7]);
}

#[test]
fn an_end_at_a_rung_without_a_reason_counts_as_halving() {
    let mut request = request(3, 1);
    let without = |trial, epochs| TrialRecord { reason: None, ..halved(trial, 0.1, epochs) };
    let records = [without(0, 6), without(1, 7)];
    let at = |request: &SweepRequest| {
        let mut found = ranking(&records, request);
        found.sort_by_key(|trial| trial.trial);
        found.iter().map(|trial| trial.halved_at).collect::<Vec<_>>()
    };
    assert_eq!(at(&request), [None, None]);
    request.halving = halving();
    assert_eq!(at(&request), [Some(6), None]);
}

#[test]
fn one_diverged_seed_makes_a_diverged_trial() {
    let records = [record(0, 0, 0.01), diverged(0, 1), record(1, 0, 0.5), record(1, 1, 0.6)];
    let found = ranking(&records, &request(2, 2));
    assert_eq!((found[0].trial, found[1].trial), (1, 0));
    assert_eq!((found[1].status, &found[1].diverged_seeds), (TrialStatus::Diverged, &vec![1]));
    assert_eq!(found[1].value, Some(0.01));
}

#[test]
fn a_repeated_record_counts_once() {
    let records = [record(0, 0, 0.3), record(0, 0, 0.3), record(0, 1, 0.5)];
    let found = ranking(&records, &request(1, 2));
    assert_eq!(found[0].seeds, [0, 1]);
    close(found[0].value.unwrap(), 0.4, 1e-15);
}

#[test]
fn finalists_are_those_indistinguishable_from_the_best() {
    // Seeds shift all trials alike; trial 1 is worse by 0.01 ± 0.012 (scipy.stats.ttest_rel: p = 0.07), trial 2 by
    // 0.02 on each of them, trial 3 is noise.
    let shift = [0.0, 0.3, -0.2];
    let of = |trial: u64, behind: [f64; 3]| {
        (0..3).map(move |seed| record(trial, seed as u64, 0.5 + shift[seed] + behind[seed]))
    };
    let records: Vec<TrialRecord> = of(0, [0.0; 3])
        .chain(of(1, [0.005, 0.01, 0.015]))
        .chain(of(2, [0.0201, 0.02, 0.0199]))
        .chain(of(3, [0.3, -0.2, 0.1]))
        .chain(of(4, [0.5, 0.5, 0.51]))
        .collect();
    let mut request = request(5, 3);
    assert_eq!(finalists(&records, &request), [0, 1, 3]);
    request.finalists = 2;
    assert_eq!(finalists(&records, &request), [0, 1]);
    request.finalists = 0;
    assert!(finalists(&records, &request).is_empty());
}

#[test]
fn at_least_two_trials_are_compared_again() {
    let records = [record(0, 0, 0.1), record(0, 1, 0.11), record(1, 0, 0.5), record(1, 1, 0.51)];
    assert_eq!(finalists(&records, &request(2, 2)), [0, 1]);
    assert_eq!(finalists(&records[..2], &request(1, 2)), [0]);
    assert!(finalists(&[diverged(0, 0), diverged(0, 1)], &request(1, 2)).is_empty());
}

#[test]
fn with_one_seed_the_first_of_the_last_rung_are_compared_again() {
    let mut request = request(5, 1);
    request.halving = halving();
    let records =
        [record(0, 0, 0.4), record(1, 0, 0.3), halved(2, 0.1, 6), halved(3, 0.2, 2), diverged(4, 0)];
    assert_eq!(finalists(&records, &request), [1, 0]);
}

#[test]
fn trials_that_did_not_finish_stand_behind_those_that_did() {
    let mut request = request(4, 1);
    let cut = |trial, loss, epochs| TrialRecord {
        status: TrialStatus::Stopped,
        reason: Some(StopReason::MaxTime.to_string()),
        epochs,
        ..record(trial, 0, loss)
    };
    let records = [cut(0, 0.1, 11), record(1, 0, 0.5), cut(2, 0.2, 19), cut(3, 0.01, 3)];
    assert_eq!(order(&records, &request), [1, 3, 0, 2], "without rungs, their values decide");
    request.halving = halving();
    // The rungs are at 2, 6 and 18 epochs.
    assert_eq!(order(&records, &request), [1, 2, 0, 3]);
    // Yet they are finalists: those are trained in full.
    assert_eq!(finalists(&records, &request), [1, 2]);
}
