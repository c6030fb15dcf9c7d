// C [M, N] = A [M, K] . B [K, N]: the three products of a layer, chosen by PRODUCT.
//
//   FORWARD          Z  [B, O] = X  [B, I] . W  [I, O]   (+ b where the layer is not normalised)
//   BACKWARD_INPUT   dA [B, I] = dZ [B, O] . W^T         into dz of the layer before
//   BACKWARD_WEIGHT  dW [I, O] = X^T [I, B] . dZ [B, O]  (+ lambda W)
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
    let rows = steps[now.slot * now.members + job.y].rows;
    let m0 = job.z * TILE_M;
    let n0 = job.w * TILE_N;
    var m = 0u;
    var n = 0u;
    var k = 0u;
    var a: Operand;
    var b: Operand;
    var out = 0u;
    if PRODUCT == FORWARD {
        m = rows;
        n = layer.outputs;
        k = layer.inputs;
        a = Operand(layer.x + m0 * k, k, 1u);
        b = Operand(layer.w + n0, 1u, n);
        out = layer.z;
    }
    if PRODUCT == BACKWARD_INPUT {
        m = rows;
        n = layer.inputs;
        k = layer.outputs;
        a = Operand(layer.z + m0 * k, k, 1u);
        b = Operand(layer.w + n0 * k, k, 1u);
        out = layers[job.x - 1u].z;
    }
    if PRODUCT == BACKWARD_WEIGHT {
        m = layer.inputs;
        n = layer.outputs;
        k = rows;
        a = Operand(layer.x + m0, 1u, m);
        b = Operand(layer.z + n0, 1u, n);
        out = layer.w;
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
                    value += params[layer.b + c];
                }
                if PRODUCT == BACKWARD_WEIGHT && layer.member.l2 != 0.0 {
                    value += layer.member.l2 * params[layer.w + r * n + c];
                }
                result[out + r * n + c] = value;
            }
        }
    }
}
