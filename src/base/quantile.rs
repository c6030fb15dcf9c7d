//! Order statistics.

/// The `q` quantile, 0 to 1, of at least one value: the one nearest to rank `q (n - 1)`. Sorts `values`.
///
/// ```
/// assert_eq!(bngpu::base::quantile(&mut [3.0, 1.0, 2.0], 0.5), 2.0);
/// ```
pub fn quantile(values: &mut [f64], q: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    values[((values.len() - 1) as f64 * q).round() as usize]
}
