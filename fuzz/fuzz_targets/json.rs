//! JSON Lines, or an array of objects.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| bngpu_fuzz::read("fuzz.jsonl", bytes));
