//! The three matrix products of a layer. Twin of `shaders/matmul.wgsl`.

use rayon::prelude::*;

use crate::step::Product;
use crate::step::memory::Context;
use crate::step::real::{Real, Strides};

/// Multiply-adds below which a product is not worth a second core.
const PIECE: usize = 1 << 20;

pub fn cpu<R: Real>(c: &mut Context<R>, product: Product, layer: usize) {
    let l = c.member.layers[layer];
    let (n, i, o) = (c.rows(), l.inputs as usize, l.outputs as usize);
    let (w, x, z) = (l.w as usize, l.x as usize, l.z as usize);
    let m = &mut *c.memory;
    match product {
        Product::Forward => {
            let out = &mut m.z[z..][..n * o];
            multiply(
                [n, o, i],
                &m.acts[x..],
                Strides::row_major(i),
                &m.params[w..],
                Strides::row_major(o),
                out,
            );
            if !l.is_normalized() {
                let bias = &m.params[l.b as usize..][..o];
                for row in out.chunks_exact_mut(o) {
                    row.iter_mut().zip(bias).for_each(|(z, &b)| *z += b);
                }
            }
        }
        Product::BackwardInput => {
            // The layer before stands before this one in memory.
            let (before, dz) = m.dz.split_at_mut(z);
            let out = &mut before[c.member.layers[layer - 1].z as usize..][..n * i];
            multiply([n, i, o], dz, Strides::row_major(o), &m.params[w..], Strides::transposed(o), out);
        }
        Product::BackwardWeight => {
            let out = &mut m.grads[w..][..i * o];
            multiply([i, o, n], &m.acts[x..], Strides::transposed(i), &m.dz[z..], Strides::row_major(o), out);
            if c.member.row.l2 != 0.0 {
                let l2 = R::from_f64(c.member.training.l2);
                out.iter_mut().zip(&m.params[w..]).for_each(|(g, &w)| *g += l2 * w);
            }
        }
    }
}

/// C `[m, n]` (row-major) = A `[m, k]` · B `[k, n]`, cut along the longer side of C into pieces for the cores.
///
/// The cut depends on the shape alone, so the result does not depend on the number of cores.
fn multiply<R: Real>(
    [m, n, k]: [usize; 3],
    a: &[R],
    a_strides: Strides,
    b: &[R],
    b_strides: Strides,
    c: &mut [R],
) {
    assert!(a.len() >= a_strides.extent(m, k) && b.len() >= b_strides.extent(k, n) && c.len() == m * n);
    let c_strides = Strides::row_major(n);
    let by_rows = m >= n;
    let side = if by_rows { m } else { n };
    let piece = side.div_ceil((m * n * k / PIECE).clamp(1, 16)).next_multiple_of(16);
    let shared = SharedMut(c.as_mut_ptr());
    let run = |at: usize| {
        let len = piece.min(side - at);
        let (shape, a_at, b_at, c_at) = if by_rows {
            ([len, n, k], at * a_strides.row, 0, at * c_strides.row)
        } else {
            ([m, len, k], 0, at * b_strides.col, at * c_strides.col)
        };
        // SAFETY: lengths are asserted above; pieces cover disjoint rows or columns of C, which is borrowed
        // mutably and overlaps neither A nor B.
        unsafe {
            R::gemm(
                shape,
                a.as_ptr().add(a_at),
                a_strides,
                b.as_ptr().add(b_at),
                b_strides,
                shared.get().add(c_at),
                c_strides,
            )
        }
    };
    match side <= piece {
        true => run(0),
        false => (0..side.div_ceil(piece)).into_par_iter().for_each(|p| run(p * piece)),
    }
}

/// A pointer that pieces of one product share, each writing its own part.
struct SharedMut<R>(*mut R);
// SAFETY: `multiply` hands disjoint parts to the threads.
unsafe impl<R: Send> Sync for SharedMut<R> {}
impl<R> SharedMut<R> {
    fn get(&self) -> *mut R {
        self.0
    }
}
