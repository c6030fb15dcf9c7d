//! The searched hyperparameters as axes of charts: numbers on a scale, or categories.

use serde_json::{Value, json};

use super::numbers::exact;
use super::trials::Trial;
use crate::spec::{Scale, hyperparameter};

/// Numbers that include 0 and otherwise span more than this factor are shown as categories.
const WIDE: f64 = 50.0;

/// The axis of one hyperparameter.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Axis {
    pub key: String,
    pub kind: Kind,
    /// One value for each trial; none if the trial lacks the hyperparameter.
    pub values: Vec<Option<Value>>,
}

/// The scale of an axis.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Linear,
    Log,
    /// On the scale of 1/(1 - β).
    Ema,
    /// The values as texts, in their order.
    Category(Vec<String>),
}

/// The axes of `trials`, in the order of `space` (the table `[space]` of the configuration), then of appearance.
pub(super) fn axes(trials: &[Trial], space: Option<&toml::Table>) -> Vec<Axis> {
    let used = |key: &str| trials.iter().any(|trial| trial.params.contains_key(key));
    let mut keys: Vec<&str> = Vec::new();
    let listed = space.into_iter().flat_map(|space| space.keys()).filter(|key| used(key));
    let found = trials.iter().flat_map(|trial| trial.params.keys());
    for key in listed.chain(found) {
        if !keys.contains(&key.as_str()) {
            keys.push(key);
        }
    }
    keys.into_iter().map(|key| Axis::new(key, trials, space.and_then(|space| space.get(key)))).collect()
}

impl Axis {
    fn new(key: &str, trials: &[Trial], domain: Option<&toml::Value>) -> Axis {
        let values: Vec<Option<Value>> = trials.iter().map(|trial| trial.params.get(key).cloned()).collect();
        let kind = kind(key, values.iter().flatten(), domain);
        Axis { key: key.to_owned(), kind, values }
    }

    /// The axis for the script: categories as indices into the list, numbers unchanged.
    pub fn to_json(&self) -> Value {
        let (scale, categories) = match &self.kind {
            Kind::Linear => ("linear", None),
            Kind::Log => ("log", None),
            Kind::Ema => ("ema", None),
            Kind::Category(categories) => ("category", Some(categories)),
        };
        let value = |value: &Option<Value>| match (value, categories) {
            (None, _) => Value::Null,
            (Some(value), Some(known)) => json!(known.iter().position(|text| *text == shown(value))),
            (Some(value), None) => value.as_f64().map_or(Value::Null, exact),
        };
        let values: Vec<Value> = self.values.iter().map(value).collect();
        json!({ "key": self.key, "scale": scale, "categories": categories, "values": values })
    }
}

/// A value as the page shows it: on and off for switches.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Bool(true) => "on".into(),
        Value::Bool(false) => "off".into(),
        Value::String(text) => text.clone(),
        Value::Number(number) => number.as_f64().map_or_else(|| number.to_string(), plain),
        other => other.to_string(),
    }
}

/// The shortest text of a number: "0.001", "1e-5".
fn plain(x: f64) -> String {
    let (plain, powers) = (x.to_string(), format!("{x:e}"));
    if powers.len() < plain.len() { powers } else { plain }
}

fn kind<'a>(key: &str, values: impl Iterator<Item = &'a Value>, domain: Option<&toml::Value>) -> Kind {
    let values: Vec<&Value> = values.collect();
    let numbers: Option<Vec<f64>> =
        values.iter().map(|value| value.as_f64().filter(|x| x.is_finite())).collect();
    let Some(mut numbers) = numbers.filter(|numbers| !numbers.is_empty()) else {
        return Kind::Category(categories(&values, domain));
    };
    // A range states its scale.
    match domain.and_then(toml::Value::as_str).map(str::trim) {
        Some(range) if range.ends_with(":log") => return Kind::Log,
        Some(range) if range.ends_with(":ema") => return Kind::Ema,
        Some(range) if range.contains("..") => return Kind::Linear,
        _ => {}
    }
    // For a set, the values decide.
    numbers.sort_by(f64::total_cmp);
    numbers.dedup();
    let (low, high) = (numbers[0], numbers[numbers.len() - 1]);
    let smallest = numbers.iter().copied().find(|x| *x > 0.0).unwrap_or(high);
    let decays = hyperparameter(key).is_some_and(|of| of.scale == Scale::Ema);
    if decays && low >= 0.0 && high < 1.0 {
        Kind::Ema
    } else if low > 0.0 && high >= 8.0 * low {
        Kind::Log
    } else if low == 0.0 && high >= WIDE * smallest && numbers.len() <= 12 {
        Kind::Category(numbers.into_iter().map(plain).collect())
    } else {
        Kind::Linear
    }
}

/// The distinct values: off before on, a set in its given order, others in order of appearance.
fn categories(values: &[&Value], domain: Option<&toml::Value>) -> Vec<String> {
    let mut listed: Vec<String> = match domain {
        Some(toml::Value::Array(set)) => set.iter().map(crate::spec::text).collect(),
        Some(toml::Value::String(set)) => set.split(',').map(|text| text.trim().to_owned()).collect(),
        _ => Vec::new(),
    };
    let mut found: Vec<String> = Vec::new();
    for text in values.iter().map(|value| shown(value)) {
        if !found.contains(&text) {
            found.push(text);
        }
    }
    if values.iter().all(|value| value.is_boolean()) {
        listed = vec!["off".into(), "on".into()];
    }
    let place = |text: &String| listed.iter().position(|known| known == text).unwrap_or(listed.len());
    found.sort_by_key(place);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind_of(key: &str, values: &[Value], domain: Option<&str>) -> Kind {
        let domain = domain.map(|text| format!("x = {text}").parse::<toml::Table>().unwrap()["x"].clone());
        kind(key, values.iter(), domain.as_ref())
    }

    #[test]
    fn the_scale_comes_from_the_range_or_else_from_the_values() {
        let lr = [json!(0.02), json!(0.05)];
        assert_eq!(kind_of("lr", &lr, Some("\"1e-4..1e-1:log\"")), Kind::Log);
        assert_eq!(kind_of("lr", &lr, Some("\"0..0.5\"")), Kind::Linear);
        assert_eq!(kind_of("lr", &[json!(0.1), json!(0.001)], None), Kind::Log);
        assert_eq!(kind_of("dropout", &[json!(0.1), json!(0.5)], None), Kind::Linear);
        assert_eq!(kind_of("beta1", &[json!(0.8), json!(0.9)], None), Kind::Ema);
        assert_eq!(kind_of("momentum", &[json!(0.8), json!(0.99)], Some("\"0.5..0.99:ema\"")), Kind::Ema);
        let with_zero = [json!(1e-2), json!(0), json!(1e-5)];
        assert_eq!(
            kind_of("l2", &with_zero, None),
            Kind::Category(vec!["0".into(), "1e-5".into(), "0.01".into()])
        );
    }

    #[test]
    fn categories_stand_in_the_order_of_the_set() {
        let values = [json!("tanh"), json!("relu"), json!("tanh"), json!("silu")];
        let of = |domain| kind_of("activation", &values, domain);
        let texts = |texts: [&str; 3]| Kind::Category(texts.map(String::from).to_vec());
        assert_eq!(of(None), texts(["tanh", "relu", "silu"]));
        assert_eq!(of(Some("[\"relu\", \"tanh\", \"silu\"]")), texts(["relu", "tanh", "silu"]));
        assert_eq!(of(Some("\"silu, relu,tanh\"")), texts(["silu", "relu", "tanh"]));
        let switch = kind_of("bn", &[json!(true), json!(false)], Some("\"both\""));
        assert_eq!(switch, Kind::Category(vec!["off".into(), "on".into()]));
    }
}
