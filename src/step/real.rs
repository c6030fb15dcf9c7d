//! The number type of the CPU twins: f32 for training, f64 as the reference.

use std::fmt::Debug;
use std::ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub, SubAssign};

/// A matrix in a slice: element (r, c) is at `r * row_stride + c * col_stride`.
#[derive(Clone, Copy, Debug)]
pub struct Strides {
    pub row: usize,
    pub col: usize,
}

impl Strides {
    /// Row-major with `cols` columns.
    pub fn row_major(cols: usize) -> Strides {
        Strides { row: cols, col: 1 }
    }
    /// The transpose of a row-major matrix with `cols` columns.
    pub fn transposed(cols: usize) -> Strides {
        Strides { row: 1, col: cols }
    }
    /// Smallest slice that holds `rows` x `cols`.
    pub fn extent(self, rows: usize, cols: usize) -> usize {
        if rows == 0 || cols == 0 { 0 } else { (rows - 1) * self.row + (cols - 1) * self.col + 1 }
    }
}

/// f32 or f64.
pub trait Real:
    Copy
    + Default
    + Debug
    + PartialOrd
    + Send
    + Sync
    + 'static
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Neg<Output = Self>
    + AddAssign
    + SubAssign
    + MulAssign
{
    const ZERO: Self;
    const ONE: Self;
    fn from_f32(value: f32) -> Self;
    fn from_f64(value: f64) -> Self;
    fn to_f64(self) -> f64;
    fn to_f32(self) -> f32;
    fn exp(self) -> Self;
    fn exp_m1(self) -> Self;
    fn ln(self) -> Self;
    fn sqrt(self) -> Self;
    fn tanh(self) -> Self;
    /// The complementary error function.
    fn erfc(self) -> Self;
    fn abs(self) -> Self;
    fn is_finite(self) -> bool;
    /// Runs a kernel, compiled for the vectors of this type.
    fn run<K: Kernel>(kernel: K) -> K::Output;
    /// C `[m, n]` = A `[m, k]` · B `[k, n]`, added to C if `adds`; single-threaded, always in the same order.
    ///
    /// # Safety
    /// The pointers must be valid for the extents that shapes and strides span, and C must not overlap A or B.
    #[allow(clippy::too_many_arguments)]
    unsafe fn gemm(
        shape: [usize; 3],
        a: *const Self,
        a_strides: Strides,
        b: *const Self,
        b_strides: Strides,
        c: *mut Self,
        c_strides: Strides,
        adds: bool,
    );
}

macro_rules! real {
    ($t:ident, $exp:expr, $exp_m1:path, $ln:path, $tanh:path, $erfc:path, $gemm:path, $run:path) => {
        impl Real for $t {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            #[inline(always)]
            fn from_f32(value: f32) -> Self {
                value as $t
            }
            #[inline(always)]
            fn from_f64(value: f64) -> Self {
                value as $t
            }
            #[inline(always)]
            fn to_f64(self) -> f64 {
                self as f64
            }
            #[inline(always)]
            fn to_f32(self) -> f32 {
                self as f32
            }
            #[inline(always)]
            fn exp(self) -> Self {
                $exp(self)
            }
            #[inline(always)]
            fn exp_m1(self) -> Self {
                $exp_m1(self)
            }
            #[inline(always)]
            fn ln(self) -> Self {
                $ln(self)
            }
            #[inline(always)]
            fn sqrt(self) -> Self {
                <$t>::sqrt(self)
            }
            #[inline(always)]
            fn tanh(self) -> Self {
                $tanh(self)
            }
            #[inline(always)]
            fn erfc(self) -> Self {
                $erfc(self)
            }
            #[inline(always)]
            fn abs(self) -> Self {
                <$t>::abs(self)
            }
            #[inline(always)]
            fn is_finite(self) -> bool {
                <$t>::is_finite(self)
            }
            #[inline(always)]
            fn run<K: Kernel>(kernel: K) -> K::Output {
                $run(kernel)
            }
            unsafe fn gemm(
                [m, n, k]: [usize; 3],
                a: *const Self,
                a_strides: Strides,
                b: *const Self,
                b_strides: Strides,
                c: *mut Self,
                c_strides: Strides,
                adds: bool,
            ) {
                // SAFETY: the caller guarantees the extents.
                unsafe {
                    // The library's kernels expect column-major C. Row-major C is Cᵀ = Bᵀ Aᵀ in column-major order.
                    let by_rows = c_strides.col < c_strides.row;
                    let [m, n] = if by_rows { [n, m] } else { [m, n] };
                    let (left, right) = if by_rows { (b, a) } else { (a, b) };
                    let turned = |s: Strides| if by_rows { (s.row, s.col) } else { (s.col, s.row) };
                    let (left_strides, right_strides) =
                        if by_rows { (b_strides, a_strides) } else { (a_strides, b_strides) };
                    let (c_col, c_row) = turned(c_strides);
                    let (left_col, left_row) = turned(left_strides);
                    let (right_col, right_row) = turned(right_strides);
                    $gemm()(
                        m,
                        n,
                        k,
                        c,
                        c_col as isize,
                        c_row as isize,
                        adds,
                        left,
                        left_col as isize,
                        left_row as isize,
                        right,
                        right_col as isize,
                        right_row as isize,
                        1.0,
                        1.0,
                        false,
                        false,
                        false,
                        gemm_common::Parallelism::None,
                    )
                }
            }
        }
    };
}

// Training uses f32: libm instead of the system's C library, so that every system gives the same bits.
real!(
    f32,
    exp_f32,
    libm::expm1f,
    libm::logf,
    libm::tanhf,
    libm::erfcf,
    gemm_f32::gemm::f32::get_gemm_fn,
    vectorised
);
// f64 is the reference: its kernels are not worth compiling for three widths of vectors.
real!(
    f64,
    f64::exp,
    f64::exp_m1,
    f64::ln,
    f64::tanh,
    libm::erfc,
    gemm_f64::gemm::f64::get_gemm_fn,
    Kernel::call
);

/// e^x in f32 without a branch or a call, so that loops over it vectorise; within 2 units in the last place. Range
/// reduction by Cody & Waite, polynomial of degree 6 (Cephes `expf`).
#[inline(always)]
pub fn exp_f32(x: f32) -> f32 {
    const ROUND: f32 = 12_582_912.0; // 1.5 · 2²³: adding it rounds to an integer
    let clamped = if x < -87.3 { -87.3 } else { x };
    let clamped = if clamped > 88.72 { 88.72 } else { clamped };
    // The sum's lowest bits are the integer; a conversion would not vectorise.
    let sum = clamped * std::f32::consts::LOG2_E + ROUND;
    let n = sum - ROUND;
    let r = (clamped - n * 0.693_359_4) - n * -2.121_944_4e-4;
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_199_9e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let p = p * r * r + r + 1.0;
    // Two factors, since 2^n overflows the exponent at n = 128.
    let integer = |sum: f32| sum.to_bits().wrapping_sub(ROUND.to_bits());
    let power = |e: u32| f32::from_bits(e.wrapping_add(127) << 23);
    let half = integer(n * 0.5 + ROUND);
    let y = p * power(half) * power(integer(sum).wrapping_sub(half));
    if x > 88.72 {
        f32::INFINITY
    } else if x < -87.3 {
        0.0
    } else {
        y
    }
}

/// A loop for [`Real::run`]. `call` and its hot code must be `#[inline(always)]`: only inlined code is compiled for
/// wide vectors. It is a type, as closures cannot be forced inline.
pub use pulp::NullaryFnOnce as Kernel;

/// Runs a kernel, compiled for the widest vectors of the machine. The results are the same on all machines, since no
/// operation is fused or reordered.
#[inline(always)]
fn vectorised<K: Kernel>(kernel: K) -> K::Output {
    pulp::Arch::new().dispatch(kernel)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_close_to_f64_everywhere() {
        let mut worst = 0.0f64;
        for i in -873_000..887_000 {
            let x = i as f32 * 1e-4;
            let exact = (x as f64).exp();
            worst = worst.max(((exp_f32(x) as f64 - exact) / exact).abs());
        }
        assert!(worst <= 2.0 * f32::EPSILON as f64, "relative error {worst:e}");
        assert_eq!(exp_f32(0.0), 1.0);
        assert_eq!(exp_f32(3e38), f32::INFINITY);
        assert_eq!(exp_f32(-3e38), 0.0);
        assert!(exp_f32(f32::NAN).is_nan());
    }
}
