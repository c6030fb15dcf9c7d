//! The part of the trials that a process trains, from a flag or from the environment of a cluster job.

use std::fmt::{self, Display};
use std::str::FromStr;

use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize, Serializer};

use super::config_error::ConfigError;

/// Maximum number of parts.
pub const MAX_SHARDS: u32 = 65_536;

/// A part of the trials, by number: every one that leaves the remainder `index` when divided by `count`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// From 0.
    pub index: u32,
    /// Number of parts, 1 to 65,536.
    pub count: u32,
}

impl FromStr for Shard {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || "expected a part I/N: the first of four is 0/4, the last 3/4".to_string();
        let (index, count) = text.trim().split_once('/').ok_or_else(expected)?;
        let number = |text: &str| text.trim().parse::<u32>().map_err(|_| expected());
        let (index, count) = (number(index)?, number(count)?);
        match (index, count) {
            (_, 0) => Err("the number of parts is 0; write for example 0/4, the first of four".into()),
            _ if count > MAX_SHARDS => {
                Err(format!("the number of parts is {count}; write {MAX_SHARDS} or fewer"))
            }
            _ if index < count => Ok(Shard { index, count }),
            _ => Err(format!(
                "parts are counted from 0; write 0/{count} to {}/{count}, or more parts",
                count - 1
            )),
        }
    }
}

impl Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index, self.count)
    }
}

impl Serialize for Shard {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Shard {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// The shard that the environment names: a task of a Slurm job array (`SLURM_ARRAY_TASK_ID`, counted from
/// `SLURM_ARRAY_TASK_MIN` in steps of `SLURM_ARRAY_TASK_STEP`, of `SLURM_ARRAY_TASK_COUNT`), or of an indexed
/// Kubernetes job (`JOB_COMPLETION_INDEX` of `BNGPU_SHARDS` or `JOB_COMPLETIONS`); none outside both.
///
/// # Errors
/// If it names a part but not the number of parts, or if one of them is not a whole number.
pub fn shard_of(env: impl Fn(&str) -> Option<String>) -> Result<Option<Shard>, ConfigError> {
    let number = |name: &str| match env(name).filter(|text| !text.trim().is_empty()) {
        None => Ok(None),
        Some(text) => text.trim().parse::<u32>().map(Some).map_err(|_| ConfigError::NoShard {
            problem: format!("{name} is {text:?}, not a whole number; set it to one"),
        }),
    };
    let unknown = |problem: String| Err(ConfigError::NoShard { problem });
    let slurm = "SLURM_ARRAY_TASK_ID";
    let (name, index, count) = if let Some(id) = number(slurm)? {
        let first = number("SLURM_ARRAY_TASK_MIN")?.unwrap_or(0);
        let step = number("SLURM_ARRAY_TASK_STEP")?.unwrap_or(1).max(1);
        let Some(index) = id.checked_sub(first) else {
            return unknown(format!("{slurm} {id} is below SLURM_ARRAY_TASK_MIN {first}; correct both"));
        };
        let Some(count) = number("SLURM_ARRAY_TASK_COUNT")? else {
            return unknown(format!("{slurm} is {id}, but SLURM_ARRAY_TASK_COUNT is not set; set it"));
        };
        (slurm, index / step, count)
    } else if let Some(index) = number("JOB_COMPLETION_INDEX")? {
        let count = match number("BNGPU_SHARDS")? {
            Some(count) => Some(count),
            None => number("JOB_COMPLETIONS")?,
        };
        let Some(count) = count else {
            return unknown(format!(
                "JOB_COMPLETION_INDEX is {index}, but BNGPU_SHARDS is not set; set it to the job's completions"
            ));
        };
        ("JOB_COMPLETION_INDEX", index, count)
    } else {
        return Ok(None);
    };
    if count > MAX_SHARDS {
        return unknown(format!("{name} is of {count} parts, but the limit is {MAX_SHARDS}; use fewer"));
    }
    match index < count {
        true => Ok(Some(Shard { index, count })),
        false => {
            unknown(format!("{name} gives part {index} (counted from 0), but there are only {count} parts"))
        }
    }
}
