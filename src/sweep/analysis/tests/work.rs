use super::*;
use crate::spec::Length;
use crate::sweep::analysis::{Analysis, Unit, work};

#[test]
fn skipped_epochs_are_counted_by_reason() {
    let mut request = request(4, 1);
    request.halving = halving();
    let mut lost = diverged(3, 0);
    lost.epochs = 5;
    let records = [record(0, 0, 0.1), halved(1, 0.2, 2), halved(2, 0.2, 6), lost, last(0, 1, 0.1)];
    let found = work(&records, &request);
    assert_eq!((found.unit, found.trained, found.full), (Unit::Epochs, 20 + 2 + 6 + 5, 80));
    assert_eq!((found.halving_saved, found.others_saved), (18 + 14, 15));
    request.base.training.length = Length::Steps(1000);
    let found = work(&records[..1], &request);
    assert_eq!((found.unit, found.trained, found.full), (Unit::Steps, 460, 1000));
}

#[test]
fn slots_in_use_are_a_mean_over_time() {
    // Slot 0 of lane 0 from 0 to 10 s, slot 1 from 0 to 5 s, slot 0 of lane 1 from 5 to 6 s.
    let timed = |trial, queue: &str, slot, started, ended| TrialRecord {
        queue: queue.into(),
        slot,
        started: 1e9 + started,
        ended: 1e9 + ended,
        ..record(trial, 0, 0.1)
    };
    let records = [timed(0, "0", 0, 0.0, 10.0), timed(1, "0", 1, 0.0, 5.0), timed(2, "1", 0, 5.0, 6.0)];
    let analysis = Analysis::new(&request(3, 1), &records);
    close(analysis.models_per_s.unwrap(), 0.3, 1e-12);
    let slots = analysis.work.slots.unwrap();
    assert_eq!((slots.count, slots.series.len()), (3, 100));
    close(slots.mean, 1.6, 1e-9);
    close(slots.series.iter().sum::<f64>() / 100.0, 1.6, 1e-9);
    for (at, expected) in [(0, 2.0), (49, 2.0), (50, 2.0), (59, 2.0), (60, 1.0), (99, 1.0)] {
        close(slots.series[at], expected, 1e-5);
    }
}
