//! The three matrix products of a layer. Twin of `shaders/matmul.wgsl`.

use std::ops::Range;

use crate::population::tables::LayerRow;
use crate::population::{Buffer, Member};
use crate::spec::{Precision, Products};
use crate::step::bounds::{Bound, Observed, Output, U, sizes};
use crate::step::cost::{Cost, NUMBER};
use crate::step::memory::{Slab, View};
use crate::step::real::{Real, Strides};
use crate::step::team::{LONG, Rank};
use crate::step::{Layers, Product};

/// Number of columns from which C may be cut by columns: with short rows, threads would share cache lines.
pub const WIDE: usize = 512;
/// Elements of C up to which the library adds up dot products of rows of A and columns of B that are contiguous, as in
/// dZ · Wᵀ, in an order of their own.
const SMALL: usize = 256;
/// Elements of a cache line.
const LINE: usize = 16;

pub fn cpu<R: Real>(view: &View<R>, product: Product, layer: usize) {
    let layer_row = view.member.layers[layer];
    let Some(products) = layer_row.products() else { return };
    let Products { inputs, outputs, count, .. } = products;
    let (w, x, z) = (layer_row.w as usize, layer_row.x as usize, layer_row.z as usize);
    // Rows of the products: those of the batch, or of the sub-models that share W.
    let rows = view.rows() * products.rows;
    let memory = view.memory;
    for nth in 0..count {
        let (w, x, z) = (w + nth * inputs * outputs, x + nth * inputs, z + nth * outputs);
        let (x_stride, z_stride) = (products.x_stride(), products.z_stride());
        match product {
            Product::Forward => {
                let a = (&memory.acts, x, Strides::row_major(x_stride));
                let b = (&memory.params, w, Strides::row_major(outputs));
                let part = match half(view, &layer_row).filter(|_| !is_vector(rows, outputs)) {
                    Some(half) => by_halves(view, half, layer),
                    None => multiply(view, [rows, outputs, inputs], a, b, (&memory.z, z, z_stride)),
                };
                if !layer_row.is_normalized() {
                    add_bias(view, &layer_row, &products, nth, part);
                }
            }
            Product::BackwardInput => {
                let out = view.member.layers[layer - 1].z as usize + nth * inputs;
                let a = (&memory.dz, z, Strides::row_major(z_stride));
                let b = (&memory.params, w, Strides::transposed(outputs));
                multiply(view, [rows, inputs, outputs], a, b, (&memory.dz, out, x_stride));
            }
            Product::BackwardWeight => {
                let a = (&memory.acts, x, Strides::transposed(x_stride));
                let b = (&memory.dz, z, Strides::row_major(z_stride));
                let own = if is_vector(inputs, outputs) {
                    view.rank.all_or_none(inputs)
                } else {
                    view.rank.some_rows(inputs)
                };
                let out = (&memory.grads, w, outputs);
                multiply_part([own.clone(), 0..outputs], rows, a, b, out);
                if view.member.row.l2 != 0.0 {
                    let l2 = R::from_f64(view.member.training.l2);
                    let (at, len) = (w + own.start * outputs, own.len() * outputs);
                    // SAFETY: these rows are this thread's; no thread writes parameters now.
                    let (g, w) = unsafe { (memory.grads.part_mut(at, len), memory.params.part(at, len)) };
                    g.iter_mut().zip(w).for_each(|(g, &w)| *g += l2 * w);
                }
            }
        }
    }
}

/// This thread's half of the sums of a layer's product, where they are made in halves ([`by_halves`]).
#[inline(always)]
pub(super) fn half<'a, R: Real>(view: &View<'a, R>, layer: &LayerRow) -> Option<(usize, Rank<'a>)> {
    view.rank.half(layer.inputs as usize).filter(|_| layer.sub_models == 1)
}

/// Adds b to this thread's part, (rows, columns), of the `nth` product's Z.
fn add_bias<R: Real>(
    view: &View<R>,
    layer: &LayerRow,
    products: &Products,
    nth: usize,
    [rows, columns]: [Range<usize>; 2],
) {
    let (memory, stride) = (view.memory, products.z_stride());
    for row in rows {
        let unit = row % products.rows * products.outputs + nth * products.outputs + columns.start;
        // SAFETY: this part of Z is this thread's; no thread writes parameters now.
        let (z, bias) = unsafe {
            (
                memory.z.part_mut(
                    layer.z as usize + row * stride + nth * products.outputs + columns.start,
                    columns.len(),
                ),
                memory.params.part(layer.b as usize + unit, columns.len()),
            )
        };
        z.iter_mut().zip(bias).for_each(|(z, &b)| *z += b);
    }
}

/// Z = X W of a layer whose sums are two pieces, each computed by half of the threads: the half that has updated these
/// rows of W and gathered these features ([`super::gather`]). Large operands stay in their core's cache.
fn by_halves<R: Real>(view: &View<R>, (half, rank): (usize, Rank), layer: usize) -> [Range<usize>; 2] {
    let layer_row = view.member.layers[layer];
    let (batch, inputs, outputs, z) =
        (view.rows(), layer_row.inputs as usize, layer_row.outputs as usize, layer_row.z as usize);
    let memory = view.memory;
    let terms = inputs * half / 2..inputs * (half + 1) / 2;
    let a = (&memory.acts, layer_row.x as usize + terms.start, Strides::row_major(inputs));
    let b = (&memory.params, layer_row.w as usize + terms.start * outputs, Strides::row_major(outputs));
    // dz is unused in the forward pass.
    let out = if half == 0 { &memory.z } else { &memory.dz };
    multiply_part([rank.some_rows(batch), 0..outputs], terms.len(), a, b, (out, z, outputs));
    view.rank.meet();
    let own = view.rank.rows(batch);
    // SAFETY: these rows are this thread's.
    let (sum, part) = unsafe {
        (
            memory.z.part_mut(z + own.start * outputs, own.len() * outputs),
            memory.dz.part(z + own.start * outputs, own.len() * outputs),
        )
    };
    sum.iter_mut().zip(part).for_each(|(sum, &part)| *sum += part);
    [own, 0..outputs]
}

/// A matrix: its memory, its first element, its strides.
type Operand<'a, R> = (&'a Slab<R>, usize, Strides);
/// A row-major result: its memory, its first element, the distance of its rows.
type Out<'a, R> = (&'a Slab<R>, usize, usize);

/// Computes this thread's part, (rows, columns), of C `[m, n]` (row-major) = A `[m, k]` · B `[k, n]`. m are the rows of
/// the batch; C is cut by rows, or by columns if there are many.
fn multiply<R: Real>(
    view: &View<R>,
    [m, n, k]: [usize; 3],
    a: Operand<R>,
    b: Operand<R>,
    out: Out<R>,
) -> [Range<usize>; 2] {
    // Whether the library sums a small C and a large one in different orders, so that no cut may make C small.
    let differs = b.2.row == 1 && m * n > SMALL;
    // A single last column would be a vector.
    let last = if n.is_multiple_of(LINE) { LINE } else { n % LINE };
    let by_columns = n >= WIDE && n > m && last != 1 && !(differs && m * last <= SMALL);
    let part = match by_columns {
        _ if is_vector(m, n) => [view.rank.all_or_none(m), 0..n],
        true => [0..m, view.rank.share(n, LINE)],
        false if differs && view.rank.least_rows(m) * n <= SMALL => [view.rank.all_or_none(m), 0..n],
        false => [view.rank.some_rows(m), 0..n],
    };
    multiply_part(part.clone(), k, a, b, out);
    part
}

/// Whether C is one row or one column: the library then adds in an order that depends on the other side's length.
fn is_vector(m: usize, n: usize) -> bool {
    m == 1 || n == 1
}

/// Computes a part of C. Each element is the same sum for any cut. The library's order of sums depends on the shape in
/// three cases only: for more than [`LONG`] terms, which are therefore passed in pieces; for vectors ([`is_vector`]) and
/// for [`SMALL`] products, which do not arise from cutting larger ones.
fn multiply_part<R: Real>(
    [rows, columns]: [Range<usize>; 2],
    k: usize,
    (a, a_at, a_strides): Operand<R>,
    (b, b_at, b_strides): Operand<R>,
    (out, out_at, out_stride): Out<R>,
) {
    if rows.is_empty() || columns.is_empty() {
        return;
    }
    let strides = Strides::row_major(out_stride);
    let (a, a_len) = a.pointer(a_at + rows.start * a_strides.row);
    let (b, b_len) = b.pointer(b_at + columns.start * b_strides.col);
    let (out, out_len) = out.pointer(out_at + rows.start * out_stride + columns.start);
    let (m, n) = (rows.len(), columns.len());
    assert!(a_len >= a_strides.extent(m, k) && b_len >= b_strides.extent(k, n));
    assert!(out_len >= strides.extent(m, n));
    let pieces = k.div_ceil(LONG);
    for piece in 0..pieces {
        let (from, to) = (k * piece / pieces, k * (piece + 1) / pieces);
        let (a, b) = (a.wrapping_add(from * a_strides.col), b.wrapping_add(from * b_strides.row));
        // SAFETY: the extents are asserted. The threads' parts of C are disjoint and overlap neither A nor B, which no
        // thread writes now: if C is in A's slab, it belongs to another layer.
        unsafe { R::gemm([m, n, to - from], a, a_strides, b, b_strides, out, strides, piece > 0) };
    }
}

/// Name in reports.
pub fn name(product: Product, layers: Layers) -> String {
    let product = match product {
        Product::Forward => "XW",
        Product::BackwardInput => "dZ Wᵀ",
        Product::BackwardWeight => "Xᵀ dZ",
    };
    match layers {
        Layers::One(layer) => format!("{product} {}", layer + 1),
        Layers::All => format!("{product}, all layers"),
    }
}

/// Cost for `rows` rows. The first layer has no gradient of its inputs.
pub fn cost(member: &Member, rows: f64, product: Product, layers: Layers) -> Cost {
    let all = member.layers.iter().enumerate().filter(|&(at, _)| layers.contains(at));
    let all = all.filter(|&(at, _)| product != Product::BackwardInput || at > 0);
    let one = |(_, layer): (usize, &LayerRow)| {
        let products = layer.products()?;
        let (units, weights) = (f64::from(layer.inputs + layer.outputs), products.weights() as f64);
        Some(Cost {
            flops: 2.0 * rows * products.rows as f64 * weights,
            bytes: NUMBER * (rows * units + weights),
        })
    };
    all.filter_map(one).sum()
}

/// A sum of k products in any order: γ_k of the sum of the absolute products (Higham 2002, section 3.1), and one more
/// operation for the bias or λ W.
///
/// In half precision, each operand is split in two and off by 2^-22, and the product of the lesser parts is left out:
/// 12 u. Devices may truncate instead of rounding when they add: γ_2k. The lesser part is subnormal below 2^-28 of the
/// largest in its row, where it is off by at most 2^-50 of that.
pub fn bounds(observed: &Observed, product: Product, layers: Layers) -> Vec<Output> {
    let rows = observed.rows();
    let units = |units: usize| units as f64 * U * 1.01;
    // For k products a b, of the largest a and b.
    let bound = |k: usize, a: f64, b: f64| match observed.precision {
        Precision::F32 => Bound::OfAbsoluteValues(units(k + 3), 0.0),
        Precision::F16 => Bound::OfAbsoluteValues(units(2 * k + 15), k as f64 * 2f64.powi(-49) * a * b),
    };
    let one = |(at, layer): (usize, &LayerRow)| {
        let products = layer.products()?;
        let (inputs, outputs, z) = sizes(layer);
        let w = observed.largest_before(Buffer::Params, layer.w as usize, products.weights());
        let x = observed.largest_before(Buffer::Acts, layer.x as usize, rows * inputs);
        let dz = observed.largest_before(Buffer::Dz, z, rows * outputs);
        Some(match product {
            Product::Forward => Output::new(Buffer::Z, z, rows * outputs, bound(products.inputs, x, w)),
            Product::BackwardInput => {
                let z = observed.member.layers[at - 1].z as usize;
                Output::new(Buffer::Dz, z, rows * inputs, bound(products.outputs, dz, w))
            }
            Product::BackwardWeight => {
                let terms = rows * products.rows;
                Output::new(Buffer::Grads, layer.w as usize, products.weights(), bound(terms, x, dz))
            }
        })
    };
    let layers = observed.member.layers.iter().enumerate().filter(|&(at, _)| layers.contains(at));
    layers.filter_map(one).collect()
}
