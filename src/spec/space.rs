//! The search space: the values of each hyperparameter that is not fixed.

use serde_json::{Map, Value};

use super::hyperparameter::owned;
use super::scale::Scale;
use super::text::value_text;

/// The values of one trial: each searched hyperparameter's key (the flag without `--`) with a number, a switch or a
/// text. An architecture is a text that joins its layers by `-`: `256-128`, `100x3`.
pub type Params = Map<String, Value>;

/// Largest number of settings of a sweep.
pub const MAX_TRIALS: u64 = 1_000_000;

/// The values that one hyperparameter can have.
#[derive(Clone, Debug, PartialEq)]
pub enum Domain {
    /// Any of these, in the given order.
    Set(Vec<Value>),
    /// low ≤ x ≤ high; whole numbers only where `integer`.
    Range { low: f64, high: f64, scale: Scale, integer: bool },
}

/// One searched hyperparameter.
#[derive(Clone, Debug, PartialEq)]
pub struct Dimension {
    /// The flag without `--`.
    pub key: String,
    /// Its values.
    pub domain: Domain,
}

/// All searched hyperparameters, in the order of the flags of `train`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Space {
    /// One for each searched hyperparameter.
    pub dimensions: Vec<Dimension>,
}

impl Domain {
    /// The value at `u`, 0 ≤ u < 1: equal parts of [0, 1) for the values of a set, the inverse of the distribution
    /// function for a range. In a range of whole numbers, n has the part from n - 1/2 to n + 1/2 on the scale.
    pub fn at(&self, u: f64) -> Value {
        match self {
            Domain::Set(values) => {
                let index = (u * values.len() as f64) as usize;
                values[index.min(values.len() - 1)].clone()
            }
            Domain::Range { low, high, scale, integer } => {
                let (low, high) = (*low, *high);
                let (from, to) = span(low, high, *scale, *integer);
                let x = scale.back(from + u * (to - from));
                match integer {
                    true => Value::from(x.round().clamp(low, high) as u64),
                    false => Value::from(x.clamp(low, high)),
                }
            }
        }
    }

    /// The position of a value in [0, 1), the inverse of [`Domain::at`]; for a set, the middle of its part. None if the
    /// domain lacks the value.
    pub fn position(&self, value: &Value) -> Option<f64> {
        match self {
            Domain::Set(values) => {
                let index = values.iter().position(|other| other == value)?;
                Some((index as f64 + 0.5) / values.len() as f64)
            }
            Domain::Range { low, high, scale, integer } => {
                let x = value.as_f64().filter(|x| (*low..=*high).contains(x))?;
                let (from, to) = span(*low, *high, *scale, *integer);
                Some(((scale.forward(x) - from) / (to - from)).clamp(0.0, 1.0 - f64::EPSILON))
            }
        }
    }

    /// The ends of the positions that [`Domain::at`] maps to a value; both are its position in a range of real numbers.
    /// None if the domain lacks the value.
    pub fn part(&self, value: &Value) -> Option<(f64, f64)> {
        let at = self.position(value)?;
        match self {
            Domain::Set(values) => {
                let (index, of) = ((at * values.len() as f64).floor(), values.len() as f64);
                Some((index / of, (index + 1.0) / of))
            }
            Domain::Range { integer: false, .. } => Some((at, at)),
            Domain::Range { low, high, scale, integer: true } => {
                let x = value.as_f64()?;
                let (from, to) = span(*low, *high, *scale, true);
                let end = |x: f64| (scale.forward(x) - from) / (to - from);
                Some((end(x - 0.5), end(x + 0.5)))
            }
        }
    }

    /// The first value of a set, the low end of a range.
    pub fn first(&self) -> Value {
        match self {
            Domain::Set(values) => values[0].clone(),
            Domain::Range { .. } => self.ends()[0].clone(),
        }
    }

    /// All values of a set, the two ends of a range.
    pub fn ends(&self) -> Vec<Value> {
        match self {
            Domain::Set(values) => values.clone(),
            Domain::Range { low, high, integer: true, .. } => {
                vec![(*low as u64).into(), (*high as u64).into()]
            }
            Domain::Range { low, high, .. } => vec![(*low).into(), (*high).into()],
        }
    }
}

/// The ends of a range on its scale; a whole number has half of one on each side.
fn span(low: f64, high: f64, scale: Scale, integer: bool) -> (f64, f64) {
    let margin = if integer { 0.5 } else { 0.0 };
    (scale.forward(low - margin), scale.forward(high + margin))
}

/// Whether a setting belongs to the choices in `params`; true if `params` lacks its choice.
pub(super) fn is_owned(key: &str, params: &Params) -> bool {
    owned().filter(|(setting, ..)| *setting == key).all(|(_, choice, owners)| {
        params.get(choice).is_none_or(|chosen| owners.contains(&value_text(chosen).as_str()))
    })
}

impl Space {
    /// The dimension of a hyperparameter, if it is searched.
    pub fn get(&self, key: &str) -> Option<&Dimension> {
        self.dimensions.iter().find(|dimension| dimension.key == key)
    }

    /// A value for each dimension, without the settings of choices that were not made: SGD has no β1.
    pub fn params(&self, mut value: impl FnMut(usize, &Dimension) -> Value) -> Params {
        let mut params = Params::new();
        for (index, dimension) in self.dimensions.iter().enumerate() {
            // Always called, so that no dimension's value depends on the other values.
            let value = value(index, dimension);
            if is_owned(&dimension.key, &params) {
                params.insert(dimension.key.clone(), value);
            }
        }
        params
    }

    /// Number of distinct combinations of a space of sets, without the settings of other choices; none if it exceeds 64
    /// bits, or if there is a range.
    pub fn grid_len(&self) -> Option<u64> {
        count(&self.dimensions, &mut Params::new())
    }

    /// Combination `index` of the grid: the last dimension varies fastest. None beyond the last.
    pub fn grid_point(&self, mut index: u64) -> Option<Params> {
        let mut params = Params::new();
        for (at, dimension) in self.dimensions.iter().enumerate() {
            let Domain::Set(values) = &dimension.domain else { return None };
            if !is_owned(&dimension.key, &params) {
                continue;
            }
            let rest = &self.dimensions[at + 1..];
            let found = values.iter().find(|value| {
                params.insert(dimension.key.clone(), (*value).clone());
                match count(rest, &mut params) {
                    Some(below) if below <= index => {
                        index -= below;
                        false
                    }
                    _ => true,
                }
            });
            found?;
        }
        (index == 0).then_some(params)
    }
}

/// Number of combinations of these dimensions with the choices in `params`.
fn count(dimensions: &[Dimension], params: &mut Params) -> Option<u64> {
    let Some((first, rest)) = dimensions.split_first() else { return Some(1) };
    let Domain::Set(values) = &first.domain else { return None };
    if !is_owned(&first.key, params) {
        return count(rest, params);
    }
    if !owned().any(|(_, choice, _)| *choice == first.key) {
        return count(rest, params)?.checked_mul(values.len() as u64);
    }
    let mut sum = 0u64;
    for value in values {
        params.insert(first.key.clone(), value.clone());
        sum = sum.checked_add(count(rest, params)?)?;
    }
    params.remove(&first.key);
    Some(sum)
}
