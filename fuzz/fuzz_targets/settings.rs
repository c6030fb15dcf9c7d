//! Settings of a run and of a sweep, as TOML.
#![no_main]

use std::path::Path;

use bngpu::spec::{PartialConfig, RunRequest, SweepRequest};

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = RunRequest::from_toml(text, Path::new("fuzz.toml"));
    let _ = PartialConfig::from_toml(text, Path::new("fuzz.toml"));
    let _ = SweepRequest::from_toml(text, Path::new("fuzz.toml"));
});
