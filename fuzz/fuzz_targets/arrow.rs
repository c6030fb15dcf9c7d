//! An Arrow file or stream.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bngpu_fuzz::read("fuzz.arrow", bytes));
