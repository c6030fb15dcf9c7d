//! Ranges of numbers, and their wording in messages.
//!
//! Devices compute in 32 bits, so ranges are checked on the value rounded to 32 bits: an ε of 1e-60 is a zero there,
//! and an α of 1e39 an infinity.

/// A value that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    /// The flag without `--`.
    pub key: &'static str,
    /// The value as messages show it.
    pub value: String,
    /// What to write instead.
    pub expected: String,
}

/// Whether a value can be used.
pub(super) type Check = Result<(), Invalid>;

/// # Errors
/// [`Invalid`] unless `holds`.
pub(super) fn ensure(holds: bool, key: &'static str, value: impl ToString, expected: &str) -> Check {
    let invalid = || Invalid { key, value: value.to_string(), expected: expected.to_string() };
    if holds { Ok(()) } else { Err(invalid()) }
}

/// The numbers that a setting can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Range {
    /// 0 < x < ∞
    Positive,
    /// 0 ≤ x < ∞
    NotNegative,
    /// 0 ≤ x < 1
    BelowOne,
    /// 0 < x ≤ 1
    Share,
    /// 1 ≤ x < 2³², as counters on the device
    Count,
}

impl Range {
    /// Whether all its numbers are at most 1.
    pub fn ends_at_one(self) -> bool {
        match self {
            Range::BelowOne | Range::Share => true,
            Range::Positive | Range::NotNegative | Range::Count => false,
        }
    }

    /// Checks that `value` of the setting `key` is in the range; `example` is a value to write instead.
    ///
    /// # Errors
    /// [`Invalid`] if it is not.
    pub(super) fn check(self, key: &'static str, value: f64, example: &str) -> Check {
        let narrow = value as f32;
        let (holds, words) = match self {
            Range::Positive => (
                narrow.is_normal() && narrow > 0.0,
                "a number greater than 0 within the range of 32-bit floats,".to_owned(),
            ),
            Range::NotNegative => (
                narrow.is_finite() && value >= 0.0,
                "0 or a greater number within the range of 32-bit floats,".to_owned(),
            ),
            Range::BelowOne => (value >= 0.0 && narrow < 1.0, "a number from 0 to below 1,".to_owned()),
            Range::Share => (narrow > 0.0 && value <= 1.0, "a number above 0, at most 1,".to_owned()),
            Range::Count => {
                ((1.0..=f64::from(u32::MAX)).contains(&value), format!("1 or more, at most {},", u32::MAX))
            }
        };
        ensure(holds, key, value, &format!("write {words} for example {example}"))
    }
}
