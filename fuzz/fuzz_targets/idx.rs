//! IDX images.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bngpu_fuzz::read("fuzz.idx3-ubyte", bytes));
