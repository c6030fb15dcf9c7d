//! Evenly spaced in the logarithm.

/// `n` values from `low` to `high`, both above 0, with a constant ratio.
///
/// ```
/// let rates = bngpu::base::geomspace(1e-3, 1e-1, 3);
/// assert!((rates[1] - 1e-2).abs() < 1e-15);
/// ```
pub fn geomspace(low: f64, high: f64, n: usize) -> Vec<f64> {
    let last = (n.max(2) - 1) as f64;
    (0..n).map(|at| low * libm::pow(high / low, at as f64 / last)).collect()
}
