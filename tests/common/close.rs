//! Comparison of arrays: every element, NaN fails, a wrong length fails, the worst element is named.

/// Passes where |got - expected| <= abs + rel · |expected|.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    pub abs: f64,
    pub rel: f64,
}

impl Tolerance {
    /// Largest allowed error for an element of this size.
    pub fn allowed(self, expected: f64) -> f64 {
        self.abs + self.rel * expected.abs()
    }
}

/// `Err` names the worst element's place, both values and the allowed error.
pub fn close(got: &[f64], expected: &[f64], tolerance: Tolerance, what: &str) -> Result<(), String> {
    if got.len() != expected.len() {
        return Err(format!("{what}: {} elements where {} were expected", got.len(), expected.len()));
    }
    let excess = |i: usize| {
        let error = (got[i] - expected[i]).abs();
        let ratio = if error == 0.0 { 0.0 } else { error / tolerance.allowed(expected[i]) };
        if ratio.is_nan() { f64::INFINITY } else { ratio }
    };
    let bad = (0..got.len()).filter(|&i| excess(i) > 1.0).count();
    let Some(worst) = (0..got.len()).max_by(|&a, &b| excess(a).total_cmp(&excess(b))).filter(|_| bad > 0)
    else {
        return Ok(());
    };
    let (g, e) = (got[worst], expected[worst]);
    Err(format!(
        "{what}: {bad} of {} elements are off; the worst is [{worst}]: {g:e} where {e:e} was expected, \
         off by {:e}, allowed {:e} ({tolerance:?})",
        got.len(),
        (g - e).abs(),
        tolerance.allowed(e),
    ))
}

/// Panics with [`close`]'s message.
#[track_caller]
pub fn assert_close(got: &[f64], expected: &[f64], tolerance: Tolerance, what: &str) {
    if let Err(message) = close(got, expected, tolerance, what) {
        panic!("{message}");
    }
}

/// Passes where every element has the same bits.
#[track_caller]
pub fn assert_same_bits(got: &[f32], expected: &[f32], what: &str) {
    assert_eq!(got.len(), expected.len(), "{what}: number of elements");
    for (i, (g, e)) in got.iter().zip(expected).enumerate() {
        let (gb, eb) = (g.to_bits(), e.to_bits());
        assert!(gb == eb, "{what}: [{i}] is {g:e} ({gb:08x}) where {e:e} ({eb:08x}) was expected");
    }
}
