//! Sets and ranges as they are typed: `0.1,0.01`, `1e-4..1e-1:log`, or an array of a file.
//!
//! Each single value is read by the one parser that `train` has for the flag.

use std::any::TypeId;
use std::error::Error as _;
use std::ffi::OsString;

use clap::{Args, FromArgMatches};
use serde_json::Value;
use thiserror::Error;

use super::config::any_case;
use super::space::{Domain, SEARCHABLE, Scale, value_text};
use super::{Count, PartialConfig, Real};

/// What is wrong with a set or a range.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SpaceProblem {
    #[error("it has no value; write one or more, for example {example}")]
    Empty { example: &'static str },
    #[error("a value between its commas is missing; write for example {example}")]
    EmptyItem { example: &'static str },
    #[error("{item:?} is none of its values; {expected}")]
    Value { item: String, expected: String },
    #[error("{item} stands twice; keep one of them, for --seeds repeats every trial")]
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
    #[error("the range holds one value; write {low} alone, or another end")]
    Point { low: String },
    #[error("the scale {scale:?} is unknown; write :log, :ema, or nothing for a uniform range")]
    Scale { scale: String },
    #[error("a logarithmic range begins above 0; write for example 1e-5..1e-1:log, or leave :log out")]
    Log,
    #[error(
        ":ema is for decay rates, from 0 to below 1; write for example 0.9..0.999:ema, or leave :ema out"
    )]
    Ema,
    #[error("{item} is no finite number; write one, for example {example}")]
    NotFinite { item: String, example: &'static str },
    #[error("expected a value, a text such as {example:?}, or an array of values")]
    Type { example: &'static str },
}

/// What a hyperparameter's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Real,
    Whole,
    Switch,
    Text,
}

/// What an argument of `train` takes.
pub(super) fn kind(arg: &clap::Arg) -> Kind {
    let of = arg.get_value_parser().type_id();
    if of == TypeId::of::<Real>() {
        Kind::Real
    } else if of == TypeId::of::<Count>() {
        Kind::Whole
    } else if of == TypeId::of::<bool>() {
        Kind::Switch
    } else {
        Kind::Text
    }
}

/// Sets of each hyperparameter, for messages.
fn example(key: &str) -> &'static str {
    match key {
        "hidden" => "64x2,256-128",
        "activation" => "relu,tanh",
        "bn" | "bn-affine" | "nesterov" => "both",
        "init" => "he,normal:0.01",
        "optimizer" => "adam,sgd",
        "schedule" => "constant,cosine",
        "warmup" => "0,100",
        "batch-size" => "32,64,128",
        "bn-eps" | "eps" => "1e-8,1e-5",
        "bn-momentum" | "dropout" => "0.1,0.3",
        "beta1" | "beta2" | "momentum" | "rms-alpha" => "0.9,0.99",
        "clip-norm" => "1,5",
        _ => "1e-3,1e-2",
    }
}

/// Reads values as `train` does.
pub(super) struct Reader {
    command: clap::Command,
}

impl Reader {
    pub fn new() -> Self {
        let command = PartialConfig::augment_args(clap::Command::new("train").no_binary_name(true));
        Reader { command: command.mut_args(any_case) }
    }

    /// The values that a flag's text stands for.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn domain(&self, key: &str, text: &str) -> Result<Domain, SpaceProblem> {
        let (text, example) = (text.trim(), example(key));
        let kind = self.kind(key);
        if text.is_empty() {
            return Err(SpaceProblem::Empty { example });
        }
        if kind == Kind::Switch && text.eq_ignore_ascii_case("both") {
            return Ok(Domain::Set(vec![false.into(), true.into()]));
        }
        if !text.contains("..") {
            return self.set(key, text.split(',').map(|item| self.value(key, item)));
        }
        if text.contains(',') {
            return Err(SpaceProblem::RangeInSet { example });
        }
        match kind {
            Kind::Real | Kind::Whole => self.range(key, text, kind == Kind::Whole),
            Kind::Switch | Kind::Text => Err(SpaceProblem::NoRange { example }),
        }
    }

    /// The values that a file's text, value or array stands for.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn domain_of(&self, key: &str, given: &toml::Value) -> Result<Domain, SpaceProblem> {
        match given {
            toml::Value::String(text) => self.domain(key, text),
            toml::Value::Array(items) => self.set(key, items.iter().map(|item| self.item(key, item))),
            other => self.set(key, std::iter::once(self.item(key, other))),
        }
    }

    fn set(
        &self,
        key: &str,
        items: impl Iterator<Item = Result<Value, SpaceProblem>>,
    ) -> Result<Domain, SpaceProblem> {
        let mut values: Vec<Value> = Vec::new();
        for item in items {
            let item = item?;
            if values.contains(&item) {
                return Err(SpaceProblem::Duplicate { item: value_text(&item) });
            }
            values.push(item);
        }
        if values.is_empty() {
            Err(SpaceProblem::Empty { example: example(key) })
        } else {
            Ok(Domain::Set(values))
        }
    }

    fn item(&self, key: &str, item: &toml::Value) -> Result<Value, SpaceProblem> {
        let example = example(key);
        let wrong = Err(SpaceProblem::Type { example });
        match (item, self.kind(key)) {
            (toml::Value::String(text), _) if text.contains("..") => {
                Err(SpaceProblem::RangeInSet { example })
            }
            (toml::Value::String(text), _) => self.value(key, text),
            (toml::Value::Boolean(on), Kind::Switch) => Ok((*on).into()),
            (toml::Value::Integer(_) | toml::Value::Float(_), Kind::Real | Kind::Whole) => {
                self.value(key, &item.to_string())
            }
            (toml::Value::Integer(units), _) if key == "hidden" => self.value(key, &units.to_string()),
            (toml::Value::Array(layers), _) if key == "hidden" => {
                let layers: Vec<String> = layers.iter().map(ToString::to_string).collect();
                self.value(key, &if layers.is_empty() { "none".into() } else { layers.join("-") })
            }
            _ => wrong,
        }
    }

    fn range(&self, key: &str, text: &str, integer: bool) -> Result<Domain, SpaceProblem> {
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
        let number = |text: &str| Ok(self.value(key, text)?.as_f64().unwrap_or(f64::NAN));
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

    fn arg(&self, key: &str) -> Option<&clap::Arg> {
        self.command.get_arguments().find(|arg| arg.get_long() == Some(key))
    }

    fn kind(&self, key: &str) -> Kind {
        self.arg(key).map_or(Kind::Text, kind)
    }

    /// One value.
    fn value(&self, key: &str, item: &str) -> Result<Value, SpaceProblem> {
        let (item, example) = (item.trim(), example(key));
        let wrong = |expected: String| SpaceProblem::Value { item: item.into(), expected };
        if item.is_empty() {
            return Err(SpaceProblem::EmptyItem { example });
        }
        if self.kind(key) == Kind::Switch {
            return match item.to_ascii_lowercase().as_str() {
                "on" | "true" => Ok(true.into()),
                "off" | "false" => Ok(false.into()),
                _ => Err(wrong("expected on, off or both".into())),
            };
        }
        let typed = if key == "hidden" { item.replace('-', ",") } else { item.to_owned() };
        let parsed = self.command.clone().try_get_matches_from([OsString::from(format!("--{key}={typed}"))]);
        let matches = parsed.map_err(|error| {
            let scale = item.rsplit_once(':').map(|(_, scale)| format!(":{scale}"));
            match (scale, self.kind(key)) {
                (Some(scale), Kind::Real | Kind::Whole) => SpaceProblem::ScaleOfSet { scale, example },
                _ => wrong(self.expected(key, &error)),
            }
        })?;
        let config = PartialConfig::from_arg_matches(&matches).map_err(|e| wrong(e.to_string()))?;
        let table = config.table().map_err(|e| wrong(e.to_string()))?;
        match table.get(key) {
            Some(toml::Value::Float(number)) if !number.is_finite() => {
                Err(SpaceProblem::NotFinite { item: item.into(), example })
            }
            Some(value) => Ok(to_json(key, value)),
            None => Err(wrong(format!("expected for example {example}"))),
        }
    }

    /// What the parser of `train` says.
    fn expected(&self, key: &str, error: &clap::Error) -> String {
        if key == "hidden" {
            return "expected architectures, for example 64x2 or 256-128 (- joins the layers of one), or none; at most \
                    64 layers of 1 to 65536 units"
                .into();
        }
        let names = self.arg(key).map(clap::Arg::get_possible_values).unwrap_or_default();
        match error.source() {
            Some(source) if names.is_empty() => source.to_string(),
            _ => {
                let names: Vec<&str> = names.iter().map(|name| name.get_name()).collect();
                format!("expected one of {}", names.join(", "))
            }
        }
    }
}

/// A value of `train`'s configuration as one of a trial.
pub(super) fn to_json(key: &str, value: &toml::Value) -> Value {
    match value {
        toml::Value::Array(layers) if key == "hidden" => {
            Value::from(architecture(&layers.iter().filter_map(toml::Value::as_integer).collect::<Vec<_>>()))
        }
        toml::Value::Boolean(on) => Value::from(*on),
        toml::Value::Integer(number) => Value::from(*number),
        toml::Value::Float(number) => Value::from(*number),
        other => Value::from(other.as_str().map_or_else(|| other.to_string(), str::to_owned)),
    }
}

/// A value of a trial as one of `train`'s configuration; none for what is no value of a trial.
pub(super) fn to_toml(key: &str, value: &Value) -> Option<toml::Value> {
    match value {
        Value::String(text) if key == "hidden" => Some(text.replace('-', ",").into()),
        Value::String(text) => Some(text.as_str().into()),
        Value::Bool(on) => Some((*on).into()),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => Some(whole.into()),
            None => number.as_f64().map(Into::into),
        },
        _ => None,
    }
}

/// Layers of equal width are counted: `100x3`, `256-64x2`, `none`.
fn architecture(layers: &[i64]) -> String {
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
    /// As `[space]` of a file has it: an array, or a range in quotes.
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

/// Whether a key is a hyperparameter.
pub(super) fn is_searchable(key: &str) -> bool {
    SEARCHABLE.contains(&key)
}
