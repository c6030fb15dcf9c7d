//! Model files as bytes, and with a right checksum around a preprocessing that may lie.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = bngpu::run::ModelFile::from_bytes(bytes);
    bngpu_fuzz::preprocess(bytes);
});
