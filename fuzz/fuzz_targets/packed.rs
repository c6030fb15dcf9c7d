//! Packed tables; the first byte chooses how.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first() else { return };
    let endings = ["gz", "zst", "bz2", "xz", "zip"];
    bngpu_fuzz::read(&format!("fuzz.csv.{}", endings[usize::from(*first) % endings.len()]), rest);
});
