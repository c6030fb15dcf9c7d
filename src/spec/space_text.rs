//! Sets and ranges as typed: `0.1,0.01`, `1e-4..1e-1:log`, or an array of a file.
//!
//! Each single value is read by the parser of its flag of `train`.

use std::str::FromStr;

use serde_json::Value;
use thiserror::Error;

use super::hyperparameter::{Hyperparameter, Kind, hyperparameter};
use super::network::{Embed, Init};
use super::scale::Scale;
use super::space::Domain;
use super::text::value_text;
use super::values::{Count, Hidden, Real};

/// What is wrong with a set or a range.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SpaceProblem {
    #[error("it has no value; write one or more, for example {example}")]
    Empty { example: &'static str },
    #[error("a value before or after a comma is missing; write for example {example}")]
    EmptyItem { example: &'static str },
    #[error("{item:?} is not a valid value; {expected}")]
    Value { item: String, expected: String },
    #[error("{item} is listed twice; keep one of them (--seeds repeats every trial)")]
    Duplicate { item: String },
    #[error("a set cannot hold a range; write either values, for example {example}, or one range LOW..HIGH")]
    RangeInSet { example: &'static str },
    #[error("only numbers have ranges; write a set, for example {example}")]
    NoRange { example: &'static str },
    #[error("a set has no scale; write the values alone, for example {example}, or a range LOW..HIGH{scale}")]
    ScaleOfSet { scale: String, example: &'static str },
    #[error("a range has two ends; write LOW..HIGH, for example 1e-4..1e-1:log")]
    NoEnd,
    #[error("the range runs backwards; write {high}..{low}")]
    Reversed { low: String, high: String },
    #[error("the range holds one value; write {low} alone, or change one end")]
    Point { low: String },
    #[error("the scale {scale:?} is unknown; write :log, :ema, or nothing for a uniform range")]
    Scale { scale: String },
    #[error("a logarithmic range must begin above 0; write for example 1e-5..1e-1:log, or leave :log out")]
    Log,
    #[error(
        ":ema is for decay rates, from 0 to below 1; write for example 0.9..0.999:ema, or leave :ema out"
    )]
    Ema,
    #[error("{item} is not a finite number; write one, for example {example}")]
    NotFinite { item: String, example: &'static str },
    #[error("expected a value, a text such as {example:?}, or an array of values")]
    Type { example: &'static str },
}

/// Completes the message about an unknown architecture.
const ARCHITECTURES: &str = "expected architectures, for example 64x2 or 256-128 (- joins the layers of one), or none; at most \
                             64 layers of 1 to 65536 units";

/// The values that a text, a value or an array stands for, given by a flag or a file.
///
/// # Errors
/// The first problem in them.
pub(super) fn domain_of(key: &str, given: &toml::Value) -> Result<Domain, SpaceProblem> {
    // Flags and files have already refused other keys.
    let of = hyperparameter(key).unwrap_or_else(|| unreachable!("{key} is no hyperparameter"));
    match given {
        toml::Value::String(text) => of.domain(text),
        toml::Value::Array(items) => of.set(items.iter().map(|item| of.item(item))),
        other => of.set(std::iter::once(of.item(other))),
    }
}

impl Hyperparameter {
    /// The values that a text stands for.
    fn domain(&self, text: &str) -> Result<Domain, SpaceProblem> {
        let (text, example) = (text.trim(), self.example_set);
        if text.is_empty() {
            return Err(SpaceProblem::Empty { example });
        }
        if self.kind == Kind::Switch && text.eq_ignore_ascii_case("both") {
            return Ok(Domain::Set(vec![false.into(), true.into()]));
        }
        if !text.contains("..") {
            return self.set(text.split(',').map(|item| self.value(item)));
        }
        if text.contains(',') {
            return Err(SpaceProblem::RangeInSet { example });
        }
        match self.kind {
            Kind::Real(_) => self.range(text, false),
            Kind::Whole(_) => self.range(text, true),
            Kind::Switch | Kind::Name(_) | Kind::Init | Kind::Embed | Kind::Architecture => {
                Err(SpaceProblem::NoRange { example })
            }
        }
    }

    fn set(&self, items: impl Iterator<Item = Result<Value, SpaceProblem>>) -> Result<Domain, SpaceProblem> {
        let mut values: Vec<Value> = Vec::new();
        for item in items {
            let item = item?;
            if values.contains(&item) {
                return Err(SpaceProblem::Duplicate { item: value_text(&item) });
            }
            values.push(item);
        }
        if values.is_empty() {
            Err(SpaceProblem::Empty { example: self.example_set })
        } else {
            Ok(Domain::Set(values))
        }
    }

    /// One value of a file.
    fn item(&self, item: &toml::Value) -> Result<Value, SpaceProblem> {
        let example = self.example_set;
        match (item, self.kind) {
            (toml::Value::String(text), _) if text.contains("..") => {
                Err(SpaceProblem::RangeInSet { example })
            }
            (toml::Value::String(text), _) => self.value(text),
            (toml::Value::Boolean(on), Kind::Switch) => Ok((*on).into()),
            (toml::Value::Integer(_) | toml::Value::Float(_), Kind::Real(_) | Kind::Whole(_)) => {
                self.value(&item.to_string())
            }
            (toml::Value::Integer(units), Kind::Architecture) => self.value(&units.to_string()),
            (toml::Value::Array(layers), Kind::Architecture) => {
                let layers: Vec<String> = layers.iter().map(ToString::to_string).collect();
                self.value(&if layers.is_empty() { "none".into() } else { layers.join("-") })
            }
            _ => Err(SpaceProblem::Type { example }),
        }
    }

    fn range(&self, text: &str, integer: bool) -> Result<Domain, SpaceProblem> {
        let (low, rest) = text.split_once("..").ok_or(SpaceProblem::NoEnd)?;
        let (high, scale) = rest.split_once(':').unwrap_or((rest, "linear"));
        if low.trim().is_empty() || high.trim().is_empty() {
            return Err(SpaceProblem::NoEnd);
        }
        let scale = match scale.trim().to_ascii_lowercase().as_str() {
            "linear" => Scale::Linear,
            "log" => Scale::Log,
            "ema" => Scale::Ema,
            other => return Err(SpaceProblem::Scale { scale: other.into() }),
        };
        let number = |text: &str| Ok(self.value(text)?.as_f64().unwrap_or(f64::NAN));
        let (low, high): (f64, f64) = (number(low)?, number(high)?);
        if low > high {
            return Err(SpaceProblem::Reversed { low: low.to_string(), high: high.to_string() });
        }
        if low == high {
            return Err(SpaceProblem::Point { low: low.to_string() });
        }
        match scale {
            Scale::Log if low <= 0.0 => Err(SpaceProblem::Log),
            Scale::Ema if integer || low < 0.0 || high >= 1.0 => Err(SpaceProblem::Ema),
            _ => Ok(Domain::Range { low, high, scale, integer }),
        }
    }

    /// One value, read by the parser of its flag.
    fn value(&self, item: &str) -> Result<Value, SpaceProblem> {
        let (item, example) = (item.trim(), self.example_set);
        let wrong = |expected: String| SpaceProblem::Value { item: item.into(), expected };
        if item.is_empty() {
            return Err(SpaceProblem::EmptyItem { example });
        }
        let not_a_number = |expected: String| match item.rsplit_once(':') {
            Some((_, scale)) => SpaceProblem::ScaleOfSet { scale: format!(":{scale}"), example },
            None => wrong(expected),
        };
        match self.kind {
            Kind::Real(_) => match Real::from_str(item).map_err(not_a_number)?.0 {
                number if number.is_finite() => Ok(number.into()),
                _ => Err(SpaceProblem::NotFinite { item: item.into(), example }),
            },
            Kind::Whole(_) => Ok(Count::from_str(item).map_err(not_a_number)?.0.into()),
            Kind::Switch => match item.to_ascii_lowercase().as_str() {
                "on" | "true" => Ok(true.into()),
                "off" | "false" => Ok(false.into()),
                _ => Err(wrong("expected on, off or both".into())),
            },
            Kind::Name(names) => match names.iter().find(|name| name.eq_ignore_ascii_case(item)) {
                Some(name) => Ok((*name).into()),
                None => Err(wrong(format!("expected one of {}", names.join(", ")))),
            },
            Kind::Init => Ok(Init::from_str(item).map_err(wrong)?.to_string().into()),
            Kind::Embed => Ok(Embed::from_str(item).map_err(wrong)?.to_string().into()),
            Kind::Architecture => match Hidden::from_str(&item.replace('-', ",")) {
                Ok(Hidden(layers)) => Ok(architecture(&layers).into()),
                Err(_) => Err(wrong(ARCHITECTURES.into())),
            },
        }
    }
}

/// A value of `train`'s configuration as a value of a trial.
pub(super) fn to_json(key: &str, value: &toml::Value) -> Value {
    match value {
        toml::Value::Array(layers) if is_architecture(key) => {
            let units =
                |layer: &toml::Value| layer.as_integer().and_then(|units| usize::try_from(units).ok());
            architecture(&layers.iter().filter_map(units).collect::<Vec<_>>()).into()
        }
        toml::Value::Boolean(on) => Value::from(*on),
        toml::Value::Integer(number) => Value::from(*number),
        toml::Value::Float(number) => Value::from(*number),
        other => Value::from(other.as_str().map_or_else(|| other.to_string(), str::to_owned)),
    }
}

/// A value of a trial as a value of `train`'s configuration; none if no trial can have it.
pub(crate) fn to_toml(key: &str, value: &Value) -> Option<toml::Value> {
    match value {
        Value::String(text) if is_architecture(key) => Some(text.replace('-', ",").into()),
        Value::String(text) => Some(text.as_str().into()),
        Value::Bool(on) => Some((*on).into()),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => Some(whole.into()),
            None => number.as_f64().map(Into::into),
        },
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn is_architecture(key: &str) -> bool {
    hyperparameter(key).is_some_and(|hyperparameter| hyperparameter.kind == Kind::Architecture)
}

/// The text of an architecture; consecutive equal layers are counted: `100x3`, `256-64x2`, `none`.
fn architecture(layers: &[usize]) -> String {
    if layers.is_empty() {
        return "none".into();
    }
    let runs = layers.chunk_by(|a, b| a == b).map(|run| match run.len() {
        1 => run[0].to_string(),
        times => format!("{}x{times}", run[0]),
    });
    runs.collect::<Vec<_>>().join("-")
}

impl Domain {
    /// The text under `[space]` of a file: an array, or a range in quotes.
    pub(super) fn to_toml(&self) -> String {
        match self {
            Domain::Set(values) => {
                let values: Vec<String> = values
                    .iter()
                    .map(|value| match value {
                        Value::String(text) => toml::Value::from(text.as_str()).to_string(),
                        Value::Number(number) if number.is_f64() => {
                            format!("{:?}", number.as_f64().unwrap_or_default())
                        }
                        other => other.to_string(),
                    })
                    .collect();
                format!("[{}]", values.join(", "))
            }
            Domain::Range { low, high, scale, integer: true } => {
                format!("\"{}..{}{}\"", *low as u64, *high as u64, scale.suffix())
            }
            Domain::Range { low, high, scale, .. } => format!("\"{low:?}..{high:?}{}\"", scale.suffix()),
        }
    }
}
