//! The place of a value in its range.

use serde_json::Value;

use crate::spec::Domain;

/// The place of `value` in a range on its scale: 0 at its low end, 1 at its high end. None for a set, for what is not
/// a number, and where the range is one point.
pub(super) fn place(value: &Value, domain: &Domain) -> Option<f64> {
    let Domain::Range { low, high, scale, .. } = domain else { return None };
    let [low, high, x] = [*low, *high, value.as_f64()?].map(|x| scale.forward(x));
    Some((x - low) / (high - low)).filter(|place| place.is_finite())
}
