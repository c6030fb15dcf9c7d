//! Counter-based random numbers: pure functions of (seed, purpose, counter, index) that give the same integers on every
//! engine. The twin of `shaders/random.wgsl`.
//!
//! The mixing function is PCG4D (Jarzynski & Olano 2020, "Hash Functions for GPU Rendering", JCGT 9(3)).

/// The purpose of a stream of numbers; streams of different purposes are independent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Purpose {
    /// Initial weights of a layer.
    Weights = 1,
    /// Order of the training rows in an epoch.
    Shuffle = 2,
    /// The units that a layer drops in a step.
    Dropout = 3,
}

/// PCG4D: four words in, four well mixed words out.
#[inline(always)]
pub fn pcg4d(v: [u32; 4]) -> [u32; 4] {
    let [mut x, mut y, mut z, mut w] = v.map(|c| c.wrapping_mul(1_664_525).wrapping_add(1_013_904_223));
    for round in 0..2 {
        x = x.wrapping_add(y.wrapping_mul(w));
        y = y.wrapping_add(z.wrapping_mul(x));
        z = z.wrapping_add(x.wrapping_mul(y));
        w = w.wrapping_add(y.wrapping_mul(z));
        if round == 0 {
            x ^= x >> 16;
            y ^= y >> 16;
            z ^= z >> 16;
            w ^= w >> 16;
        }
    }
    [x, y, z, w]
}

/// The key of one stream: `sub` is the layer, `counter` the step or epoch.
#[inline(always)]
pub fn key(seed: u64, purpose: Purpose, sub: u32, counter: u32) -> [u32; 4] {
    pcg4d([seed as u32, (seed >> 32) as u32, (purpose as u32) << 16 | sub, counter])
}

/// The four words of a stream at `index`.
#[inline(always)]
pub fn words(key: [u32; 4], index: u32) -> [u32; 4] {
    pcg4d([key[0], key[1], key[2], key[3] ^ index])
}

/// 1 or -1, each with probability 1/2.
#[inline(always)]
pub fn sign(key: [u32; 4], index: u32) -> f32 {
    if words(key, index)[0] & 0x8000_0000 == 0 { 1.0 } else { -1.0 }
}

/// A standard normal number as a sum of 16 uniform 16-bit integers (Irwin-Hall), centred and scaled.
///
/// Integers only, and one exact conversion: every device gives the same bits. Excess kurtosis -0.075,
/// largest value 6.9.
#[inline(always)]
pub fn normal(key: [u32; 4], index: u32) -> f32 {
    let (a, b) = (words(key, 2 * index), words(key, 2 * index + 1));
    let mut sum = 0u32;
    for word in a.into_iter().chain(b) {
        sum += (word & 0xffff) + (word >> 16);
    }
    // 16 uniforms on 0..=65535: mean 16·32767.5, variance 16·(65536² - 1)/12.
    (sum as f32 - NORMAL_CENTRE) * NORMAL_SCALE
}

/// 16 · 32767.5
pub const NORMAL_CENTRE: f32 = 524_280.0;
/// 1 / √(16·(65536² - 1)/12)
pub const NORMAL_SCALE: f32 = 1.321_449_9e-5;

/// The eight round keys of an epoch's permutation.
#[inline(always)]
pub fn shuffle_keys(seed: u64, epoch: u32) -> [u32; 8] {
    let key = key(seed, Purpose::Shuffle, 0, epoch);
    let (a, b) = (words(key, 0), words(key, 1));
    [a[0], a[1], a[2], a[3], b[0], b[1], b[2], b[3]]
}

/// The row at `position` of the permutation of `0..n` given by `keys`.
///
/// Eight rounds of bijections on ⌈log2 n⌉ bits (add, multiply by an odd number, fold the high half into the
/// low one); results beyond n are mixed again (cycle walking), fewer than two walks on average.
#[inline(always)]
pub fn permuted(keys: [u32; 8], n: u32, position: u32) -> u32 {
    let bits = 32 - (n - 1).leading_zeros().min(31);
    let mask = if bits == 32 { u32::MAX } else { (1 << bits) - 1 };
    let fold = bits.div_ceil(2);
    let mut x = position;
    loop {
        for k in keys {
            x = x.wrapping_add(k) & mask;
            x = x.wrapping_mul(0x9e37_79b1 ^ (k >> 15 << 1)) & mask;
            x ^= x >> fold;
        }
        if x < n {
            return x;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permutations_are_bijective_for_every_small_n() {
        for n in 1..300u32 {
            let keys = shuffle_keys(7 + n as u64, 3);
            let mut seen = vec![false; n as usize];
            for position in 0..n {
                let row = permuted(keys, n, position) as usize;
                assert!(!seen[row], "n {n}: row {row} occurs twice");
                seen[row] = true;
            }
        }
    }

    /// χ² over (position, row) cells and over (row, successor) cells against uniform: 5 σ.
    #[test]
    fn permutations_look_uniform() {
        for n in [5u32, 16, 61] {
            let trials = 4000;
            let cells = (n * n) as usize;
            let (mut at, mut next) = (vec![0f64; cells], vec![0f64; cells]);
            for seed in 0..trials {
                let keys = shuffle_keys(seed, 1);
                for p in 0..n {
                    let row = permuted(keys, n, p);
                    at[(p * n + row) as usize] += 1.0;
                    next[(row * n + permuted(keys, n, (p + 1) % n)) as usize] += 1.0;
                }
            }
            let chi2 = |count: &[f64], expected: f64, skip_diagonal: bool| {
                count
                    .iter()
                    .enumerate()
                    .filter(|(i, _)| !(skip_diagonal && i / n as usize == i % n as usize))
                    .map(|(_, c)| (c - expected).powi(2) / expected)
                    .sum::<f64>()
            };
            let (nf, t) = (n as f64, trials as f64);
            for (value, freedom) in [
                (chi2(&at, t / nf, false), (nf - 1.0) * (nf - 1.0)),
                (chi2(&next, t / (nf - 1.0), true), nf * (nf - 1.0) - nf),
            ] {
                let sigmas = (value - freedom) / (2.0 * freedom).sqrt();
                assert!(sigmas.abs() < 5.0, "n {n}: χ² {value} for {freedom} degrees of freedom");
            }
        }
    }

    #[test]
    fn normal_numbers_have_the_moments_of_a_normal() {
        let key = key(1, Purpose::Weights, 0, 0);
        let n = 200_000;
        let x: Vec<f64> = (0..n).map(|i| normal(key, i) as f64).collect();
        let mean = x.iter().sum::<f64>() / n as f64;
        let var = x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n as f64;
        let lag1 = x.windows(2).map(|w| w[0] * w[1]).sum::<f64>() / n as f64;
        assert!(mean.abs() < 5.0 / (n as f64).sqrt(), "mean {mean}");
        assert!((var - 1.0).abs() < 5.0 * (2.0 / n as f64).sqrt(), "variance {var}");
        assert!(lag1.abs() < 5.0 / (n as f64).sqrt(), "correlation of neighbours {lag1}");
    }

    #[test]
    fn normal_scale_is_exact() {
        let exact = 1.0 / (16.0 * (65536f64.powi(2) - 1.0) / 12.0).sqrt();
        assert_eq!(NORMAL_SCALE, exact as f32);
    }
}
