//! The activations and their derivatives. Twin of `shaders/activation.wgsl`.

use crate::step::real::Real;

/// A non-linearity y -> f(y).
pub trait Function {
    /// f(y)
    fn value<R: Real>(y: R) -> R;
    /// f'(y)
    fn derivative<R: Real>(y: R) -> R;
}

/// Runs `$body` with `$f` as the activation of number `$number`, so that the branch is taken once per layer instead of
/// once per element.
#[macro_export]
#[doc(hidden)]
macro_rules! with_activation {
    ($number:expr, $f:ident => $body:expr) => {{
        use $crate::spec::Activation;
        use $crate::step::ops::activation as functions;
        match Activation::ALL[$number as usize] {
            Activation::Relu => {
                type $f = functions::Relu;
                $body
            }
            Activation::Sigmoid => {
                type $f = functions::Sigmoid;
                $body
            }
            Activation::Tanh => {
                type $f = functions::Tanh;
                $body
            }
            Activation::LeakyRelu => {
                type $f = functions::LeakyRelu;
                $body
            }
            Activation::Elu => {
                type $f = functions::Elu;
                $body
            }
            Activation::Gelu => {
                type $f = functions::Gelu;
                $body
            }
            Activation::Silu => {
                type $f = functions::Silu;
                $body
            }
            Activation::Identity => {
                type $f = functions::Identity;
                $body
            }
        }
    }};
}

pub struct Relu;
impl Function for Relu {
    #[inline(always)]
    fn value<R: Real>(y: R) -> R {
        // Written so that NaN stays NaN.
        if y < R::ZERO { R::ZERO } else { y }
    }
    #[inline(always)]
    fn derivative<R: Real>(y: R) -> R {
        if y > R::ZERO { R::ONE } else { R::ZERO }
    }
}

/// 1 / (1 + e^-y) without overflow on either side.
#[inline(always)]
fn sigmoid<R: Real>(y: R) -> R {
    let t = (-y.abs()).exp();
    let low = t / (R::ONE + t);
    let high = R::ONE / (R::ONE + t);
    if y < R::ZERO { low } else { high }
}

pub struct Sigmoid;
impl Function for Sigmoid {
    #[inline(always)]
    fn value<R: Real>(y: R) -> R {
        sigmoid(y)
    }
    #[inline(always)]
    fn derivative<R: Real>(y: R) -> R {
        // s (1 - s), from the small side: no cancellation.
        let t = (-y.abs()).exp();
        t / ((R::ONE + t) * (R::ONE + t))
    }
}

pub struct Tanh;
impl Function for Tanh {
    #[inline(always)]
    fn value<R: Real>(y: R) -> R {
        y.tanh()
    }
    #[inline(always)]
    fn derivative<R: Real>(y: R) -> R {
        // 1 - tanh² = 4 t / (1 + t)² with t = e^(-2|y|)
        let t = (R::from_f32(-2.0) * y.abs()).exp();
        R::from_f32(4.0) * t / ((R::ONE + t) * (R::ONE + t))
    }
}

/// Slope of the leaky rectifier below zero.
pub const LEAK: f64 = 0.01;

pub struct LeakyRelu;
impl Function for LeakyRelu {
    #[inline(always)]
    fn value<R: Real>(y: R) -> R {
        if y > R::ZERO { y } else { R::from_f64(LEAK) * y }
    }
    #[inline(always)]
    fn derivative<R: Real>(y: R) -> R {
        if y > R::ZERO { R::ONE } else { R::from_f64(LEAK) }
    }
}

pub struct Elu;
impl Function for Elu {
    #[inline(always)]
    fn value<R: Real>(y: R) -> R {
        if y > R::ZERO { y } else { y.exp_m1() }
    }
    #[inline(always)]
    fn derivative<R: Real>(y: R) -> R {
        if y > R::ZERO { R::ONE } else { y.exp() }
    }
}

/// Φ(y), the normal distribution function.
#[inline(always)]
fn normal_cdf<R: Real>(y: R) -> R {
    R::from_f64(0.5) * (y * R::from_f64(-std::f64::consts::FRAC_1_SQRT_2)).erfc()
}

pub struct Gelu;
impl Function for Gelu {
    #[inline(always)]
    fn value<R: Real>(y: R) -> R {
        let cdf = normal_cdf(y);
        // 0 · -∞ far on the left would be NaN.
        if cdf == R::ZERO { R::ZERO } else { y * cdf }
    }
    #[inline(always)]
    fn derivative<R: Real>(y: R) -> R {
        // φ(y) vanishes in every precision beyond 40; y² would overflow.
        let near = if y.abs() < R::from_f32(40.0) { y } else { R::ZERO };
        let density = R::from_f64(0.398_942_280_401_432_7) * (R::from_f64(-0.5) * near * near).exp();
        normal_cdf(y) + near * density
    }
}

pub struct Silu;
impl Function for Silu {
    #[inline(always)]
    fn value<R: Real>(y: R) -> R {
        let s = sigmoid(y);
        if s == R::ZERO { R::ZERO } else { y * s }
    }
    #[inline(always)]
    fn derivative<R: Real>(y: R) -> R {
        // s + y s (1 - s)
        let t = (-y.abs()).exp();
        let slope = t / ((R::ONE + t) * (R::ONE + t));
        let product = if slope == R::ZERO { R::ZERO } else { y * slope };
        sigmoid(y) + product
    }
}

pub struct Identity;
impl Function for Identity {
    #[inline(always)]
    fn value<R: Real>(y: R) -> R {
        y
    }
    #[inline(always)]
    fn derivative<R: Real>(_: R) -> R {
        R::ONE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Activation;

    fn value<R: Real>(number: u32, y: R) -> R {
        with_activation!(number, F => F::value(y))
    }
    fn derivative<R: Real>(number: u32, y: R) -> R {
        with_activation!(number, F => F::derivative(y))
    }

    #[test]
    fn derivatives_agree_with_central_differences() {
        for activation in Activation::ALL {
            for i in -200..200 {
                let y = i as f64 * 0.05 + 0.013;
                let h = 1e-5;
                let numeric = (value(activation as u32, y + h) - value(activation as u32, y - h)) / (2.0 * h);
                let exact = derivative(activation as u32, y);
                assert!((numeric - exact).abs() < 1e-8, "{}'({y}): {numeric} {exact}", activation.name());
            }
        }
    }

    #[test]
    fn extremes_give_no_nan_in_either_precision() {
        for activation in Activation::ALL {
            for y in [0.0f32, -0.0, 1e-30, 1000.0, -1000.0, 3e38, -3e38, f32::MAX, f32::MIN] {
                for v in [
                    value(activation as u32, y) as f64,
                    derivative(activation as u32, y) as f64,
                    value(activation as u32, y as f64),
                    derivative(activation as u32, y as f64),
                ] {
                    assert!(v.is_finite(), "{} at {y}: {v}", activation.name());
                }
            }
        }
    }

    #[test]
    fn single_precision_follows_double() {
        for activation in Activation::ALL {
            for i in -4000..4000 {
                let y = i as f32 * 0.005;
                // Derivatives of GELU and SiLU are sums of terms of up to 0.3 that cancel near their minimum.
                for (single, double, abs) in [
                    (value(activation as u32, y), value(activation as u32, y as f64), 1e-9),
                    (derivative(activation as u32, y), derivative(activation as u32, y as f64), 1.2e-7),
                ] {
                    let error = (single as f64 - double).abs();
                    assert!(
                        error <= 2e-6 * double.abs() + abs * (1.0 + y.abs() as f64),
                        "{} at {y}: {single} {double}",
                        activation.name()
                    );
                }
            }
        }
    }
}
