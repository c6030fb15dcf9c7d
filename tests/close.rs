//! What the comparison of arrays must reject.

use crate::common::close::{Tolerance, close};

const TOLERANCE: Tolerance = Tolerance { abs: 1e-6, rel: 1e-5 };

#[test]
fn one_corrupted_element_is_rejected_and_named() {
    let expected: Vec<f64> = (0..1000).map(|i| (i as f64 * 0.37).sin()).collect();
    assert_eq!(close(&expected, &expected, TOLERANCE, "y"), Ok(()));
    for corrupted in [0.5, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e-4] {
        for place in [0, 617, 999] {
            let mut got = expected.clone();
            got[place] = if corrupted == 1e-4 { got[place] + 1e-4 } else { corrupted };
            let message = close(&got, &expected, TOLERANCE, "y").expect_err("must be rejected");
            assert!(
                message.contains(&format!("1 of 1000 elements are off; the worst is [{place}]")),
                "{message}"
            );
        }
    }
}

#[test]
fn nan_or_infinity_on_either_side_and_wrong_lengths_are_rejected() {
    let nan = f64::NAN;
    for (got, expected) in [
        (vec![nan], vec![nan]),
        (vec![0.0], vec![nan]),
        (vec![1.0], vec![f64::INFINITY]),
        (vec![f64::INFINITY], vec![f64::NEG_INFINITY]),
        (vec![], vec![0.0]),
        (vec![0.0, 0.0], vec![0.0]),
    ] {
        assert!(close(&got, &expected, TOLERANCE, "y").is_err(), "{got:?} against {expected:?}");
    }
}

#[test]
fn the_bound_is_the_sum_of_absolute_and_relative_terms() {
    let at = |got: f64, expected: f64| close(&[got], &[expected], TOLERANCE, "y").is_ok();
    assert!(at(100.0 + 1.0009e-3, 100.0) && !at(100.0 + 1.0011e-3, 100.0));
    assert!(at(0.99e-6, 0.0) && !at(1.01e-6, 0.0));
}
