// C [M, N] = A [M, K] . B [K, N]: the three products of a layer, chosen by PRODUCT.
//
//   FORWARD          Z  [B, O] = X  [B, I] . W  [I, O]   (+ b where the layer is not normalised)
//   BACKWARD_INPUT   dA [B, I] = dZ [B, O] . W^T         into dz of the layer before
//   BACKWARD_WEIGHT  dW [I, O] = X^T [I, B] . dZ [B, O]  (+ lambda W)
//
// A layer of sub-models that share W is one product of more rows; one whose sub-models have their own has a product for
// each (products.wgsl), whose tiles of N follow each other.
//
// Grid: one workgroup for a tile of C (tile_workgroup.wgsl, tile_subgroup.wgsl or tile_cooperative.wgsl, which say the
// order of the sums).

override PRODUCT: u32 = FORWARD;

@group(1) @binding(0) var<storage, read> layers: array<Layer>;
@group(1) @binding(1) var<storage, read> steps: array<Step>;
@group(1) @binding(2) var<storage, read> work: Work; // (layer, member, tile of M, tile of N)
@group(1) @binding(3) var<storage, read> left: array<f32>;   // acts; acts; acts
@group(1) @binding(4) var<storage, read> right: array<f32>;  // params; params; dz
@group(1) @binding(5) var<storage, read> params: array<f32>;
@group(1) @binding(6) var<storage, read_write> result: array<f32>; // z; dz; grads

override LEFT_ALONG_K: bool = true;
override RIGHT_ALONG_K: bool = false;

fn left_value(i: u32) -> f32 {
    if PRODUCT == BACKWARD_INPUT {
        return result[i];
    }
    return left[i];
}

fn right_value(i: u32) -> f32 {
    return right[i];
}

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = flat(workgroup, grid);
    if at >= work.count {
        return;
    }
    let job = work.jobs[at];
    let layer = layers[job.x];
    let products = products_of(layer);
    let rows = steps[now.slot * now.members + job.y].rows * products.rows;
    let m0 = job.z * TILE_M;
    let tiles = (select(products.outputs, products.inputs, PRODUCT == BACKWARD_INPUT) + TILE_N - 1u) / TILE_N;
    let nth = job.w / tiles;
    let n0 = job.w % tiles * TILE_N;
    let x = layer.x + nth * products.inputs;
    let z = layer.z + nth * products.outputs;
    let w = layer.w + nth * products.inputs * products.outputs;
    var m = 0u;
    var n = 0u;
    var k = 0u;
    var a: Operand;
    var b: Operand;
    var out = 0u;
    var stride = 0u;
    if PRODUCT == FORWARD {
        m = rows;
        n = products.outputs;
        k = products.inputs;
        a = Operand(x + m0 * products.x_stride, products.x_stride, 1u);
        b = Operand(w + n0, 1u, n);
        out = z;
        stride = products.z_stride;
    }
    if PRODUCT == BACKWARD_INPUT {
        m = rows;
        n = products.inputs;
        k = products.outputs;
        a = Operand(z + m0 * products.z_stride, products.z_stride, 1u);
        b = Operand(w + n0 * k, k, 1u);
        out = layers[job.x - 1u].z + nth * n;
        stride = products.x_stride;
    }
    if PRODUCT == BACKWARD_WEIGHT {
        m = products.inputs;
        n = products.outputs;
        k = rows;
        a = Operand(x + m0, 1u, products.x_stride);
        b = Operand(z + n0, 1u, products.z_stride);
        out = w;
        stride = n;
    }
    if rows == 0u || m0 >= m {
        return;
    }
    multiply(a, b, m - m0, n - n0, k, lane);
    for (var i = 0u; i < row_count(m - m0); i++) {
        for (var j = 0u; j < col_count(n - n0); j++) {
            let r = m0 + row_of(lane, i);
            let c = n0 + col_of(lane, j);
            if r < m && c < n {
                var value = product_at(i, j, lane);
                if PRODUCT == FORWARD && (layer.flags & NORMALIZED) == 0u {
                    var unit = nth * n + c;
                    if products.rows > 1u {
                        unit += r % products.rows * n;
                    }
                    value += params[layer.b + unit];
                }
                if PRODUCT == BACKWARD_WEIGHT && layer.member.l2 != 0.0 {
                    value += layer.member.l2 * params[w + r * n + c];
                }
                result[out + r * stride + c] = value;
            }
        }
    }
}
