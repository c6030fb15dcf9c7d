//! An image of any kind: the content tells which.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bngpu_fuzz::read("fuzz.png", bytes));
