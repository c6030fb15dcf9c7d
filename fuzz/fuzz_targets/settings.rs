//! Settings of a run and of a sweep, as TOML.
#![no_main]

use std::path::Path;

use bngpu::spec::{PartialConfig, PartialSweepConfig, RunRequest};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = RunRequest::from_toml(text, Path::new("fuzz.toml"));
    let _ = PartialConfig::from_toml(text, Path::new("fuzz.toml"));
    let _ = PartialSweepConfig::from_toml(text, Path::new("fuzz.toml"));
});
