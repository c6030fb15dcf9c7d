use super::*;
use crate::sweep::analysis::Analysis;

#[test]
fn new_seeds_choose_the_winner() {
    // Trial 0 won the search by luck.
    let records = [
        record(0, 0, 0.20),
        record(1, 0, 0.25),
        record(2, 0, 0.26),
        last(0, 1, 0.40),
        last(0, 2, 0.42),
        last(0, 3, 0.44),
        last(1, 1, 0.30),
        last(1, 2, 0.31),
        last(1, 3, 0.35),
        last(2, 1, 0.31),
        last(2, 2, 0.30),
        last(2, 3, 0.36),
    ];
    let found = Analysis::new(&request(3, 1), &records);
    let winner = found.winner.unwrap();
    assert_eq!((winner.trial, winner.confirmed, winner.seeds.clone()), (1, true, vec![1, 2, 3]));
    close(winner.value, 0.32, 1e-12);
    // np.std([0.30, 0.31, 0.35], ddof=1)/np.sqrt(3)*scipy.stats.t.ppf(0.975, 2)
    close(winner.val_ci95.unwrap(), 0.065_724_106_077_284_25, 1e-9);
    assert_eq!(winner.ties, [2]);
    close(winner.optimism.search.unwrap(), 0.07, 1e-12);
    close(winner.optimism.test.unwrap(), 0.02, 1e-12);
    close(winner.test_loss.unwrap().mean, 0.34, 1e-12);
    let order: Vec<u64> = found.finals.iter().map(|trial| trial.trial).collect();
    assert_eq!(order, [1, 2, 0]);
    assert_eq!(found.finals[0].behind, None);
    close(found.finals[2].behind.unwrap().mean, 0.1, 1e-12);
    assert_eq!((found.counts.trainings, found.counts.final_trainings), (3, 9));
}

#[test]
fn optimism_of_an_accuracy_has_the_same_sign() {
    let mut request = request(1, 1);
    request.objective = Objective::ValAcc;
    // Accuracies: 0.95 by the search, 0.92 with new seeds, 0.90 on the test rows.
    let records = [record(0, 0, 0.10), last(0, 1, 0.16), last(0, 2, 0.16)];
    let winner = Analysis::new(&request, &records).winner.unwrap();
    close(winner.value, 0.92, 1e-12);
    close(winner.optimism.search.unwrap(), 0.03, 1e-12);
    close(winner.optimism.test.unwrap(), 0.02, 1e-12);
}

#[test]
fn a_finalist_that_diverges_does_not_win() {
    let mut lost = last(0, 2, 0.01);
    lost.status = TrialStatus::Diverged;
    let records =
        [record(0, 0, 0.1), record(1, 0, 0.2), last(0, 1, 0.1), lost, last(1, 1, 0.2), last(1, 2, 0.2)];
    let winner = Analysis::new(&request(2, 1), &records).winner.unwrap();
    assert_eq!((winner.trial, winner.ties.len()), (1, 0));
}

#[test]
fn without_a_final_comparison_the_winner_is_not_confirmed() {
    let records = [record(0, 0, 0.3), record(0, 1, 0.32), record(1, 0, 0.31), record(1, 1, 0.30)];
    let winner = Analysis::new(&request(2, 2), &records).winner.unwrap();
    assert_eq!((winner.trial, winner.confirmed, winner.ties.clone()), (1, false, vec![0]));
    assert!(winner.val_ci95.is_some() && winner.test_loss.is_none());
    assert_eq!(winner.optimism.search, None);
    let one = Analysis::new(&request(2, 1), &[record(0, 0, 0.3), record(1, 0, 0.2)]).winner.unwrap();
    assert_eq!((one.trial, one.val_ci95, one.ties.len()), (1, None, 0));
    assert_eq!(Analysis::new(&request(1, 1), &[diverged(0, 0)]).winner, None);
    assert_eq!(Analysis::new(&request(1, 1), &[]).winner, None);
}

#[test]
fn findings_are_json_with_null_for_numbers_that_are_not_finite() {
    let mut bad = diverged(1, 0);
    bad.val_loss = Some(f64::NAN);
    let records = [record(0, 0, 0.3), bad, last(0, 1, 0.3)];
    let found = serde_json::to_value(Analysis::new(&request(2, 1), &records)).unwrap();
    assert_eq!(found["counts"]["diverged"], 1);
    assert_eq!(found["winner"]["trial"], 0);
    assert_eq!(found["ranking"][1]["value"], Value::Null);
}

fn cut(record: TrialRecord) -> TrialRecord {
    let reason = Some(StopReason::MaxTime.to_string());
    TrialRecord { status: TrialStatus::Stopped, reason, epochs: 11, ..record }
}

#[test]
fn the_winner_has_finished_its_schedule() {
    let records = [cut(record(0, 0, 0.1)), record(1, 0, 0.3), cut(record(2, 0, 0.2))];
    let winner = Analysis::new(&request(3, 1), &records).winner.unwrap();
    assert_eq!((winner.trial, winner.unfinished), (1, None));
    let patience = Some(StopReason::Patience { epochs: 3 }.to_string());
    let ended = TrialRecord { status: TrialStatus::Stopped, reason: patience, ..record(0, 0, 0.1) };
    let winner = Analysis::new(&request(2, 1), &[ended, record(1, 0, 0.3)]).winner.unwrap();
    assert_eq!((winner.trial, winner.unfinished), (0, None));
}

#[test]
fn where_nothing_finished_the_winner_says_so() {
    let found = Analysis::new(&request(2, 1), &[cut(record(0, 0, 0.1)), cut(record(1, 0, 0.3))]);
    let winner = found.winner.unwrap();
    let unfinished = winner.unfinished.unwrap();
    assert_eq!((winner.trial, unfinished.at, unfinished.of), (0, 11, 20));
}

#[test]
fn a_finalist_that_the_time_limit_cut_does_not_win() {
    let records = [record(0, 0, 0.1), record(1, 0, 0.2), cut(last(0, 1, 0.05)), last(1, 1, 0.2)];
    let winner = Analysis::new(&request(2, 1), &records).winner.unwrap();
    assert_eq!((winner.trial, winner.confirmed, winner.unfinished), (1, true, None));
    // Of a trial with several seeds, only the finished ones count.
    let records = [
        record(0, 0, 0.1),
        record(1, 0, 0.2),
        last(0, 1, 0.3),
        last(1, 1, 0.2),
        last(1, 2, 0.2),
        cut(last(0, 2, 0.01)),
    ];
    let winner = Analysis::new(&request(2, 1), &records).winner.unwrap();
    assert_eq!((winner.trial, winner.seeds.clone()), (1, vec![1, 2]));
    // Where none of the comparison finished, the search decides.
    let records = [record(0, 0, 0.1), record(1, 0, 0.2), cut(last(0, 1, 0.3)), cut(last(1, 1, 0.2))];
    let winner = Analysis::new(&request(2, 1), &records).winner.unwrap();
    assert_eq!((winner.trial, winner.confirmed, winner.unfinished), (0, false, None));
}
