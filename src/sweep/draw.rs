//! Random numbers of a study: a function of (study seed, purpose, trial, dimension) alone, the same on every system.
//!
//! Each has its own ChaCha8 generator (Bernstein 2008), so that the numbers of one dimension or trial do not depend on
//! how many numbers others drew.

use rand::rngs::ChaCha8Rng;
use rand::{Rng, SeedableRng};

/// The purpose of a stream; streams of different purposes are independent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Purpose {
    /// Values of independent trials.
    Random = 1,
    /// The scrambling of a Sobol sequence.
    Sobol = 2,
    /// The part of a grid to use.
    Grid = 3,
    /// Candidates of the Parzen estimator.
    Tpe = 4,
}

/// The generator of one purpose, trial and dimension.
pub fn generator(seed: u64, purpose: Purpose, trial: u64, dimension: u64) -> ChaCha8Rng {
    let mut key = [0; 32];
    for (bytes, word) in key.chunks_exact_mut(8).zip([seed, purpose as u64, trial, dimension]) {
        bytes.copy_from_slice(&word.to_le_bytes());
    }
    ChaCha8Rng::from_seed(key)
}

/// A number in [0, 1), of 53 random bits.
pub fn uniform(generator: &mut ChaCha8Rng) -> f64 {
    (generator.next_u64() >> 11) as f64 * (-53f64).exp2()
}

/// A whole number below `end`, by the high half of a product (Lemire 2019, arXiv 1805.10941, without the rejection: the
/// bias is below end / 2⁶⁴).
pub fn below(generator: &mut ChaCha8Rng, end: u64) -> u64 {
    ((u128::from(generator.next_u64()) * u128::from(end)) >> 64) as u64
}
