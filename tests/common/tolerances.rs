//! Every tolerance of the tests, with its derivation.
//!
//! u is the unit roundoff, 2⁻⁵³ in f64 and 2⁻²⁴ in f32. A sum of n products in any order is off by at most
//! γ_n = n·u/(1 - n·u) times the sum of the absolute products (Higham 2002, "Accuracy and Stability of
//! Numerical Algorithms", section 3.1); rounding errors of mixed signs give about √n·u.

use super::close::Tolerance;

/// Unit roundoff of f32.
pub const U32: f64 = 1.0 / (1u64 << 24) as f64;

/// f64 against PyTorch's f64: the bound that the project promises. Both are off by less than γ_n with n of a few
/// thousand (sums of up to 257 terms through 4 layers, forward and backward): 1e-12 of the terms. Divisions by the
/// fixtures' smallest batch deviations, about 1e-2, may raise this to 1e-10.
pub const PYTORCH_F64: Tolerance = Tolerance { abs: 1e-9, rel: 1e-9 };

/// f64 against f64 results that the fixture stores rounded to f32: u₃₂, and as much again.
pub const ROUNDED_TO_F32: Tolerance = Tolerance { abs: 1e-9, rel: 2.0 * U32 };

/// f64 against PyTorch's f64 after five optimiser steps. The step table holds lr, the two bias corrections and
/// the weights' decay in f32, each off by u₃₂ = 6e-8 of itself at most. Adam's updates are at most lr = 1e-2:
/// 5 · 3 u₃₂ · 1e-2 = 9e-9. SGD's are lr·‖buffer‖∞ ≤ 0.1 · 0.5 with lr alone in f32: 5 · u₃₂ · 0.05 = 1.5e-8;
/// later gradients see it once more at most: 3e-8. 1 - lr·decay, just below 1, is off by u₃₂ / 2: five steps of
/// it move W by 5/2 · u₃₂ = 1.5e-7 of itself.
pub const PYTORCH_F64_STEPS: Tolerance = Tolerance { abs: 3e-8, rel: 1.5e-7 };

/// f32 against PyTorch's f64, values whose terms have the size `scale`: the longest sums have n = 257 terms,
/// √n·u = 16 u; forward and backward through 4 layers is a chain of 16 products and normalisations, whose errors
/// add like a random walk, √16 = 4: 64 u = 4e-6 of the scale.
pub fn pytorch_f32(scale: f64) -> Tolerance {
    Tolerance { abs: 64.0 * U32 * scale, rel: 64.0 * U32 }
}

/// x̂ in f32 of columns far from zero against f64 (the project's promise: 1e-4 relative). Differences from the
/// first row are exact to u·|x - x₀|, so the error does not depend on the offset; close to x̂ = 0 it is that of
/// the mean. Its sum of n differences of d σ is off by about √n·u·d; the mean's own correction (or a sum by
/// halves) leaves a few u·d, 2e-6 for d = 30 (a first row 30 σ away), with as much again from each z - x₀ - mean.
pub const HARD_VARIANCE_F32: Tolerance = Tolerance { abs: 1e-5, rel: 1e-4 };

/// The same through the running statistics: mean + remainder carry 2⁻⁴⁸ of the offset, each step of the average
/// adds u of the *difference* to its batch mean, and z - mean is exact to u·σ.
pub const HARD_VARIANCE_RUNNING_F32: Tolerance = Tolerance { abs: 2e-5, rel: 1e-4 };

/// Gradients against Richardson's extrapolation R = (4·D(h/2) - D(h))/3 of two central differences. Its
/// truncation error is O(h⁴), far below |D(h) - D(h/2)|, which is added for each parameter by itself; rounding
/// of the loss L gives 2·u·c·|L|/h with c about 100 operations deep: 2·1.1e-16·100·(1 + |L|)/1e-5 = 2e-9.
pub fn differences(spread: f64, loss: f64) -> Tolerance {
    Tolerance { abs: spread + 2e-9 * (1.0 + loss.abs()), rel: 1e-8 }
}
/// Step of the differences.
pub const DIFFERENCE_STEP: f64 = 2e-5;
/// If D(h) and D(h/2) differ by more than this times (1 + |gradient|), the parameter is at a kink (of a rectifier) or
/// at a nearly singular normalisation (D(h) - D(h/2) = h²/8 · f''': a third derivative beyond 2e4): it is left out and
/// counted.
pub const DIFFERENCE_SPREAD: f64 = 1e-6;
/// Largest fraction of the parameters that may be left out.
pub const DIFFERENCE_LEFT_OUT: f64 = 0.02;

/// A loss curve in f32 against f64. Every step's rounding errors change the weights, and training amplifies earlier
/// changes, so the distance of two f32 engines from f64 grows with the steps at the same rate, that of the derivative
/// of the training map, whatever the order of the sums. It is therefore measured with the f32 CPU engine. The bound at
/// a step is the CPU engine's largest distance up to that step times [`Trajectory::FACTOR`].
pub struct Trajectory {
    exact: Vec<f64>,
    allowed: Vec<f64>,
}

impl Trajectory {
    /// The GPU's sums may add one product after another (errors of up to n·u) where the CPU's add blocks; its
    /// exponentials are off by 3 + 2|x| units (Vulkan) where the CPU's are by one; the distance of one training is
    /// one sample of a random size.
    /// (Measured: 1 times the CPU's own distance on lavapipe, whatever the seed.)
    pub const FACTOR: f64 = 8.0;

    /// From the curves of the f64 and the f32 CPU engine.
    pub fn new(exact: &[f64], single: &[f64]) -> Trajectory {
        assert_eq!(exact.len(), single.len());
        let mut most = 0.0f64;
        let allowed = exact.iter().zip(single).map(|(e, s)| {
            // Even if both agree in the first steps, the loss itself is rounded.
            most = most.max((e - s).abs()).max(4.0 * U32 * e.abs());
            Self::FACTOR * most
        });
        Trajectory { allowed: allowed.collect(), exact: exact.to_vec() }
    }

    /// Largest allowed error of a step.
    pub fn allowed(&self, step: usize) -> f64 {
        self.allowed[step]
    }

    /// The step with the largest error relative to its bound, and that ratio; NaN and wrong lengths are errors.
    pub fn worst(&self, found: &[f64]) -> Result<(usize, f64), String> {
        if found.len() != self.exact.len() {
            return Err(format!("{} steps where {} were expected", found.len(), self.exact.len()));
        }
        let ratios = found.iter().zip(&self.exact).zip(&self.allowed).map(|((f, e), a)| (f - e).abs() / a);
        let ratios: Vec<f64> = ratios.collect();
        if let Some(step) = ratios.iter().position(|ratio| ratio.is_nan()) {
            return Err(format!("the loss of step {step} is {}", found[step]));
        }
        let worst = (0..ratios.len()).max_by(|&a, &b| ratios[a].total_cmp(&ratios[b]));
        worst.map(|step| (step, ratios[step])).ok_or_else(|| "no steps".into())
    }
}
