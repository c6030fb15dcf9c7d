//! An archive of arrays.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bngpu_fuzz::read("fuzz.npz", bytes));
