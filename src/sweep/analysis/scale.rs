//! Where a value lies in its range.

use serde_json::Value;

use crate::spec::{Domain, Scale};

/// `x` on the scale: what is uniform there. Ema is ln 1/(1 - β).
pub(super) fn on_scale(x: f64, scale: Scale) -> f64 {
    match scale {
        Scale::Linear => x,
        Scale::Log => libm::log(x),
        Scale::Ema => -libm::log1p(-x),
    }
}

/// The inverse of [`on_scale`].
pub(super) fn from_scale(y: f64, scale: Scale) -> f64 {
    match scale {
        Scale::Linear => y,
        Scale::Log => libm::exp(y),
        Scale::Ema => -libm::expm1(-y),
    }
}

/// The place of `value` in a range on its scale: 0 at its low end, 1 at its high end. None for a set, for what is not
/// a number, and where the range is one point.
pub(super) fn place(value: &Value, domain: &Domain) -> Option<f64> {
    let Domain::Range { low, high, scale, .. } = domain else { return None };
    let [low, high, x] = [*low, *high, value.as_f64()?].map(|x| on_scale(x, *scale));
    Some((x - low) / (high - low)).filter(|place| place.is_finite())
}
