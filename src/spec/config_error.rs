//! Errors of a configuration: every message says where, what, and what to write.

use std::fmt::{self, Display};
use std::io;
use std::path::PathBuf;

use thiserror::Error;

use super::space_text::SpaceProblem;
use super::strategy::Strategy;

/// A configuration that cannot be used. The program exits with 2.
#[derive(Debug, Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read the configuration {}: {source}; --config takes a TOML file", path.display())]
    Read { path: PathBuf, source: io::Error },

    /// The file is not TOML.
    #[error("{}, line {line}: not valid TOML: {problem}", path.display())]
    Syntax { path: PathBuf, line: usize, problem: String },

    /// A key that no flag has.
    #[error("{}, line {line}: unknown key `{key}`; {}", path.display(), match nearest {
        Some(nearest) => format!("did you mean `{nearest}`?"),
        None => (*otherwise).into(),
    })]
    UnknownKey { path: PathBuf, line: usize, key: String, nearest: Option<String>, otherwise: &'static str },

    /// A value of a wrong type.
    #[error("{}, line {line}: `{key}`: {problem}", path.display())]
    WrongType { path: PathBuf, line: usize, key: String, problem: String },

    /// A value out of its range, alone or beside the others.
    #[error("{place} is {value}; {expected}")]
    Invalid { place: Place, value: String, expected: String },

    /// A setting of a choice that was not made.
    #[error("{place} is a setting of {}, but {choice} is {chosen}; drop it, or use {}",
        flag(choice, &owners.join(" or ")), flag(choice, owners.first().unwrap_or(&"")))]
    Misplaced { place: Place, choice: &'static str, owners: &'static [&'static str], chosen: String },

    /// Two lengths of the training.
    #[error("{epochs} and {steps} are both given; keep one of them")]
    TwoLengths { epochs: Place, steps: Place },

    /// A set or a range that cannot be read.
    #[error("{place} is {text:?}: {problem}")]
    Space { place: Place, text: String, problem: Box<SpaceProblem> },

    /// A key both at the top level and under `[space]`.
    #[error("{}: `{key}` is both at the top level and under [space]; keep one of them", path.display())]
    Twice { path: PathBuf, key: String },

    /// A strategy that needs `--trials`.
    #[error(
        "--trials is needed with --strategy {}: write how many settings to try, for example --trials 64, or a time \
         limit, for example --max-time 10m",
        strategy.name()
    )]
    NoTrials { strategy: Strategy },

    /// A grid that is too large.
    #[error(
        "the grid has {size}; write --trials N to train a part of it, or use --strategy random --trials N"
    )]
    Grid { size: String },

    /// The environment names no valid shard.
    #[error("the shard of this sweep is unknown: {problem}; or write --shard I/N, for example --shard 0/4")]
    NoShard { problem: String },

    /// A path that TOML cannot hold.
    #[error("a path cannot be written to config.toml: {problem}; use names that are valid UTF-8")]
    NotText { problem: String },
}

/// The flag that makes a choice; switches take no value.
fn flag(choice: &str, chosen: &str) -> String {
    match chosen {
        "on" => format!("--{choice}"),
        _ => format!("--{choice} {chosen}"),
    }
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// The flag `--key`.
    Flag { key: String },
    /// The key of a configuration file.
    File { key: String, path: PathBuf },
    /// Neither: the default.
    Default { key: String },
}

impl Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Flag { key } => write!(f, "--{key}"),
            Place::File { key, path } => write!(f, "`{key}` in {}", path.display()),
            Place::Default { key } => write!(f, "the default of --{key}"),
        }
    }
}
