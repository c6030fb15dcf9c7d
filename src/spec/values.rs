//! Values as typed: one type for each kind of value, read from the command line (`FromStr`, which clap uses) and from
//! TOML (serde), with one text for what is expected.
//!
//! This file turns a text into a number or a list; `check.rs` checks its range.

use std::fmt::{self, Display};
use std::marker::PhantomData;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::named::named;
use super::network::{Embed, Init};

/// Most hidden layers of a network.
pub const MAX_LAYERS: usize = 64;
/// Most hidden units of a layer.
pub const MAX_UNITS: usize = 65_536;

/// What the model predicts for a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum TaskKind {
    /// A class: softmax and cross-entropy.
    Classify,
    /// A number: mean squared error.
    Regress,
}

/// What `--watch` records.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Watched {
    /// percentiles of each layer's Z, before and after batch normalisation
    Activations,
    /// norms of each layer's gradients
    Gradients,
}

named! {
    /// Precision of the operands of matrix products; sums are f32.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    #[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
    pub enum Precision {
        /// single precision
        #[default]
        F32 = "f32",
        /// pairs of half precision, on a GPU with cooperative matrices: 22 binary digits instead of 24
        F16 = "f16",
    }
}

/// Which messages go to stderr.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "cli", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum LogLevel {
    Off,
    Error,
    #[default]
    Warn,
    Info,
    Debug,
    Trace,
}

impl From<LogLevel> for log::LevelFilter {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Off => log::LevelFilter::Off,
            LogLevel::Error => log::LevelFilter::Error,
            LogLevel::Warn => log::LevelFilter::Warn,
            LogLevel::Info => log::LevelFilter::Info,
            LogLevel::Debug => log::LevelFilter::Debug,
            LogLevel::Trace => log::LevelFilter::Trace,
        }
    }
}

/// clap reads these by their names; `--help` lists the names alone.
#[cfg(feature = "cli")]
mod value_enum {
    use clap::ValueEnum;
    use clap::builder::PossibleValue;

    use super::super::network::Activation;
    use super::super::training::Schedule;

    macro_rules! listed {
        ($($type:ty),*) => {$(
            impl ValueEnum for $type {
                fn value_variants<'a>() -> &'a [Self] {
                    &Self::ALL
                }
                fn to_possible_value(&self) -> Option<PossibleValue> {
                    Some(PossibleValue::new(self.name()))
                }
            }
        )*};
    }
    listed!(Activation, Schedule);
}

/// A number, as `0.001` or `1e-3`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Real(pub f64);

/// A count: a whole number that fits the device's 32 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Count(pub u32);

/// A seed, 64 bits; in TOML, whose integers end at 2⁶³ - 1, larger ones are text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(pub u64);

/// An amount of memory in bytes; `K M G T` are powers of 1024.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(pub u64);

/// A time, as `10m` or `1h 30m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time(pub Duration);

/// Width and height of images in pixels, as `32` or `32x24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ImageSize {
    pub width: u32,
    pub height: u32,
}

/// A number of folds, and one of them, from 0: `3/10`, or `10` for the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoldOf {
    pub nth: u32,
    pub of: u32,
}

/// Units of each hidden layer, first to last: `128,64`, `100x3`, `none`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hidden(pub Vec<usize>);

/// The forms in which TOML may hold a value, besides its text on the command line, and their description.
trait Typed: FromStr<Err = String> {
    /// Completes "expected …".
    const EXPECTED: &'static str;
    /// Whether TOML may hold it as text.
    const TEXT: bool = false;
    /// Whether TOML may hold it as a number.
    const NUMBER: bool = false;
    /// Whether TOML may hold it as a list of whole numbers.
    const LIST: bool = false;
}

fn expected<T: Typed>() -> String {
    format!("expected {}", T::EXPECTED)
}

impl Typed for Real {
    const EXPECTED: &'static str = "a number, for example 0.5 or 1e-3";
    const NUMBER: bool = true;
}

impl FromStr for Real {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        text.trim().parse().map(Real).map_err(|_| expected::<Self>())
    }
}

impl Typed for Count {
    const EXPECTED: &'static str = "a whole number from 0 to 4294967295, for example 64";
    const NUMBER: bool = true;
}

impl FromStr for Count {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        text.trim().parse().map(Count).map_err(|_| expected::<Self>())
    }
}

impl Typed for Seed {
    const EXPECTED: &'static str =
        "a whole number from 0 to 18446744073709551615 (in quotes in a file if above 9223372036854775807)";
    const TEXT: bool = true;
    const NUMBER: bool = true;
}

impl FromStr for Seed {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        text.trim().parse().map(Seed).map_err(|_| expected::<Self>())
    }
}

impl Typed for Bytes {
    const EXPECTED: &'static str = "an amount of memory below 8 EiB, for example 512M or 2G (powers of 1024)";
    const TEXT: bool = true;
    const NUMBER: bool = true;
}

impl FromStr for Bytes {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let upper = text.trim().to_ascii_uppercase();
        let digits = upper.trim_end_matches(|c: char| !c.is_ascii_digit());
        let shift = match upper[digits.len()..].trim() {
            "" | "B" => 0,
            "K" | "KB" | "KIB" => 10,
            "M" | "MB" | "MIB" => 20,
            "G" | "GB" | "GIB" => 30,
            "T" | "TB" | "TIB" => 40,
            _ => return Err(expected::<Self>()),
        };
        digits
            .parse::<u64>()
            .ok()
            .and_then(|amount| amount.checked_mul(1 << shift))
            .filter(|&bytes| i64::try_from(bytes).is_ok())
            .map(Bytes)
            .ok_or_else(expected::<Self>)
    }
}

impl Typed for Time {
    const EXPECTED: &'static str = "a time with its unit, for example 30s, 10m or 1h30m";
    const TEXT: bool = true;
}

impl FromStr for Time {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        humantime::parse_duration(text.trim()).map(Time).map_err(|_| expected::<Self>())
    }
}

impl Typed for Hidden {
    const EXPECTED: &'static str = "hidden units of each layer, for example 128,64 or 100x3 (three layers of 100), \
         or none for a linear model; at most 64 layers of 1 to 65536 units";
    const TEXT: bool = true;
    const NUMBER: bool = true;
    const LIST: bool = true;
}

impl FromStr for Hidden {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let mut layers = Vec::new();
        if !text.is_empty() && !text.eq_ignore_ascii_case("none") {
            for part in text.split(',') {
                let (units, times) = part.split_once(['x', 'X']).unwrap_or((part, "1"));
                let number = |t: &str| t.trim().parse::<usize>().map_err(|_| expected::<Self>());
                let (units, times) = (number(units)?, number(times)?);
                let fits =
                    (1..=MAX_UNITS).contains(&units) && (1..=MAX_LAYERS - layers.len()).contains(&times);
                if !fits {
                    return Err(expected::<Self>());
                }
                layers.extend(std::iter::repeat_n(units, times));
            }
        }
        Ok(Hidden(layers))
    }
}

impl Typed for ImageSize {
    const EXPECTED: &'static str = "a size of 1 to 4096 pixels, for example 32, or 32x24 (width x height)";
    const TEXT: bool = true;
    const NUMBER: bool = true;
}

impl FromStr for ImageSize {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (width, height) = text.split_once(['x', 'X']).unwrap_or((text, text));
        let number = |text: &str| text.trim().parse().ok().filter(|n| (1..=4096).contains(n));
        let size = number(width).zip(number(height));
        size.map(|(width, height)| ImageSize { width, height }).ok_or_else(expected::<Self>)
    }
}

impl Display for ImageSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}", self.width, self.height)
    }
}

impl Typed for FoldOf {
    const EXPECTED: &'static str =
        "a number of folds, for example 10, or one of them as I/N, from 0/10 to 9/10";
    const TEXT: bool = true;
    const NUMBER: bool = true;
}

impl FromStr for FoldOf {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (nth, of) = text.split_once('/').unwrap_or(("0", text));
        let number = |text: &str| text.trim().parse::<u32>().ok();
        let fold = number(nth).zip(number(of)).map(|(nth, of)| FoldOf { nth, of });
        fold.filter(|fold| fold.nth < fold.of.max(1)).ok_or_else(expected::<Self>)
    }
}

impl Display for FoldOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.nth {
            0 => write!(f, "{}", self.of),
            nth => write!(f, "{nth}/{}", self.of),
        }
    }
}

impl Typed for Init {
    const EXPECTED: &'static str = "he, xavier or normal:STD, for example normal:0.01";
    const TEXT: bool = true;
}

impl FromStr for Init {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim().to_ascii_lowercase().as_str() {
            "he" => Ok(Init::He),
            "xavier" => Ok(Init::Xavier),
            other => other
                .strip_prefix("normal:")
                .and_then(|std| std.trim().parse().ok())
                .map(Init::Normal)
                .ok_or_else(expected::<Self>),
        }
    }
}

impl Display for Init {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Init::He => f.write_str("he"),
            Init::Xavier => f.write_str("xavier"),
            Init::Normal(std) => write!(f, "normal:{std:?}"),
        }
    }
}

impl Typed for Embed {
    const EXPECTED: &'static str = "none or ple:BINS with 2 to 64 bins, for example ple:16";
    const TEXT: bool = true;
}

impl FromStr for Embed {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.trim().to_ascii_lowercase().as_str() {
            "none" => Ok(Embed::None),
            other => other
                .strip_prefix("ple:")
                .and_then(|bins| bins.trim().parse().ok())
                .filter(|bins| (2..=Embed::MAX_BINS).contains(bins))
                .map(Embed::Ple)
                .ok_or_else(expected::<Self>),
        }
    }
}

impl Display for Embed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Embed::None => f.write_str("none"),
            Embed::Ple(bins) => write!(f, "ple:{bins}"),
        }
    }
}

/// Reads any [`Typed`] value from TOML by way of its text.
struct TypedVisitor<T>(PhantomData<T>);

impl<T: Typed> TypedVisitor<T> {
    fn parse<E: de::Error>(self, allowed: bool, text: &str, found: de::Unexpected<'_>) -> Result<T, E> {
        match text.parse() {
            Ok(value) if allowed => Ok(value),
            _ => Err(E::invalid_value(found, &self)),
        }
    }
}

impl<'de, T: Typed> Visitor<'de> for TypedVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(T::EXPECTED)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        self.parse(T::TEXT, text, de::Unexpected::Str(text))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
        self.parse(T::NUMBER, &number.to_string(), de::Unexpected::Signed(number))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<T, E> {
        self.parse(T::NUMBER, &number.to_string(), de::Unexpected::Float(number))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<T, A::Error> {
        let mut texts = Vec::new();
        loop {
            match items.next_element::<i64>() {
                Ok(Some(item)) => texts.push(item.to_string()),
                Ok(None) => return self.parse(T::LIST, &texts.join(","), de::Unexpected::Seq),
                Err(_) => return Err(de::Error::invalid_value(de::Unexpected::Seq, &self)),
            }
        }
    }
}

macro_rules! typed_serde {
    ($($type:ty => |$value:ident| $written:expr),* $(,)?) => {$(
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(TypedVisitor(PhantomData))
            }
        }
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let $value = self;
                $written.serialize(serializer)
            }
        }
    )*};
}
typed_serde! {
    Real => |real| real.0,
    Count => |count| count.0,
    Bytes => |bytes| bytes.0,
    Time => |time| humantime::format_duration(time.0).to_string(),
    Hidden => |hidden| hidden.0,
    ImageSize => |size| size.to_string(),
    FoldOf => |fold| fold.to_string(),
    Init => |init| init.to_string(),
    Embed => |embed| embed.to_string(),
    Seed => |seed| SeedText(seed.0),
}

/// A seed as TOML can hold it.
struct SeedText(u64);

impl Serialize for SeedText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match i64::try_from(self.0) {
            Ok(small) => serializer.serialize_i64(small),
            Err(_) => serializer.collect_str(&self.0),
        }
    }
}
