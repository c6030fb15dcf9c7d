//! The environment of a run: `env.json`.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The environment of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// Version of bngpu.
    pub version: String,
    /// The program and its arguments as typed.
    pub command_line: Vec<String>,
    /// Local time with its offset and zone, to the second.
    pub started: String,
    pub os: String,
    pub arch: String,
    /// Cores that this process may use.
    pub cores: usize,
    /// Engine, adapter, driver and limits, as the engine describes itself.
    pub engine: Value,
    /// Identifies the data: the same rows give the same fingerprint.
    pub data_fingerprint: String,
    /// What each column of a table was taken for, as `bngpu describe --json` has it; null for images.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub columns: Value,
}

impl Environment {
    /// The environment of this process, now.
    pub fn now(engine: Value, data_fingerprint: impl Into<String>) -> Environment {
        Environment {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            // Lossy on purpose: a record to read, not to run.
            command_line: std::env::args_os().map(|arg| arg.to_string_lossy().into_owned()).collect(),
            started: jiff::Zoned::now().strftime("%Y-%m-%dT%H:%M:%S%:z[%Q]").to_string(),
            os: std::env::consts::OS.to_owned(),
            arch: std::env::consts::ARCH.to_owned(),
            cores: num_cpus::get(),
            engine,
            data_fingerprint: data_fingerprint.into(),
            columns: Value::Null,
        }
    }
}
