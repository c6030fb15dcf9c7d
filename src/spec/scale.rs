//! Scales of ranges of numbers.

/// Distribution of the numbers of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Uniform.
    Linear,
    /// Uniform in ln x.
    Log,
    /// Uniform in ln 1/(1 - β): the logarithm of the number of steps that a moving average remembers. From 0.9 to
    /// 0.9995 as many values lie between 0.9 and 0.99 (10 to 100 steps) as between 0.99 and 0.999 (100 to 1000).
    Ema,
}

impl Scale {
    /// The value on the scale, where ranges are uniform. `libm` gives the same bits on every system.
    pub fn forward(self, x: f64) -> f64 {
        match self {
            Scale::Linear => x,
            Scale::Log => libm::log(x),
            Scale::Ema => -libm::log1p(-x),
        }
    }

    /// The inverse of [`Scale::forward`].
    pub fn back(self, y: f64) -> f64 {
        match self {
            Scale::Linear => y,
            Scale::Log => libm::exp(y),
            Scale::Ema => -libm::expm1(-y),
        }
    }

    /// Its suffix in the text of a range: `1e-4..1e-1:log`.
    pub fn suffix(self) -> &'static str {
        match self {
            Scale::Linear => "",
            Scale::Log => ":log",
            Scale::Ema => ":ema",
        }
    }
}
