// The activations and their derivatives. Twin: src/step/ops/activation.rs.
//
// Portable across drivers: exponents stay in range, small arguments use a series, NaN stays NaN.

// e^x for x <= 0, 0 where it would be below the normal numbers.
fn exp_down(x: f32) -> f32 {
    return select(exp(max(x, -87.0)), 0.0, x < -87.0);
}

// e^y - 1 for y <= 0.
fn expm1_down(y: f32) -> f32 {
    if y > -0.35 {
        return y * (1.0 + y * (0.5 + y * (0.16666667 + y * (0.041666668 + y * (0.008333334
            + y * (0.0013888889 + y * 0.0001984127))))));
    }
    return exp_down(y) - 1.0;
}

fn sigmoid(y: f32) -> f32 {
    let t = exp_down(-abs(y));
    return select(1.0, t, y < 0.0) / (1.0 + t);
}

// sigmoid'(y) = t / (1 + t)^2, t = e^-|y|
fn sigmoid_slope(y: f32) -> f32 {
    let t = exp_down(-abs(y));
    return t / ((1.0 + t) * (1.0 + t));
}

fn tanh_safe(y: f32) -> f32 {
    let x = abs(y);
    if x < 0.3 {
        let s = y * y;
        return y * (1.0 + s * (-0.33333334 + s * (0.13333334 + s * (-0.053968254 + s * (0.021869488
            - s * 0.008863236)))));
    }
    let t = exp_down(-2.0 * x);
    return sign(y) * (1.0 - t) / (1.0 + t);
}

// The normal distribution function by erfc's Chebyshev fit (Press et al., Numerical Recipes, erfcc):
// relative error 1.2e-7 everywhere.
fn normal_cdf(y: f32) -> f32 {
    let x = min(abs(y) * 0.70710678, 13.0);
    let t = 1.0 / (1.0 + 0.5 * x);
    let p = -1.26551223 + t * (1.00002368 + t * (0.37409196 + t * (0.09678418 + t * (-0.18628806
        + t * (0.27886807 + t * (-1.13520398 + t * (1.48851587 + t * (-0.82215223 + t * 0.17087277))))))));
    let tail = 0.5 * t * exp_down(-x * x + p);
    return select(1.0 - tail, tail, y < 0.0);
}

fn activate(kind: u32, y: f32) -> f32 {
    switch kind {
        case RELU: { return select(y, 0.0, y < 0.0); }
        case SIGMOID: { return sigmoid(y); }
        case TANH: { return tanh_safe(y); }
        case LEAKY_RELU: { return select(LEAK * y, y, y > 0.0); }
        case ELU: {
            if y > 0.0 {
                return y;
            }
            return expm1_down(y);
        }
        case GELU: {
            let cdf = normal_cdf(y);
            return select(y * cdf, 0.0, cdf == 0.0);
        }
        case SILU: {
            let s = sigmoid(y);
            return select(y * s, 0.0, s == 0.0);
        }
        case IDENTITY: { return y; }
        default: { return not_a_number(kind); }
    }
}

fn activate_slope(kind: u32, y: f32) -> f32 {
    switch kind {
        case RELU: { return select(0.0, 1.0, y > 0.0); }
        case SIGMOID: { return sigmoid_slope(y); }
        case TANH: { return 4.0 * sigmoid_slope(2.0 * y); }
        case LEAKY_RELU: { return select(LEAK, 1.0, y > 0.0); }
        case ELU: { return select(exp_down(min(y, 0.0)), 1.0, y > 0.0); }
        case GELU: {
            let near = select(0.0, y, abs(y) < 40.0);
            return normal_cdf(y) + near * 0.3989422804 * exp_down(-0.5 * near * near);
        }
        case SILU: {
            let slope = sigmoid_slope(y);
            return sigmoid(y) + select(y * slope, 0.0, slope == 0.0);
        }
        case IDENTITY: { return 1.0; }
        default: { return not_a_number(kind); }
    }
}
