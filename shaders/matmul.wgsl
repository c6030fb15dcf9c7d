// C [M, N] = A [M, K] . B [K, N]: the three products of a layer, chosen by PRODUCT.
//
//   0 forward          Z  [B, O] = X  [B, I] . W  [I, O]   (+ b where the layer is not normalised)
//   1 backward input   dA [B, I] = dZ [B, O] . W^T         into dz of the layer before
//   2 backward weight  dW [I, O] = X^T [I, B] . dZ [B, O]  (+ lambda W)
//
// Grid: one workgroup of 8 x 8 for a tile of 64 x 64 of C; each invocation keeps 8 x 8 of it in registers.
// A and B pass through workgroup memory, 16 of K at a time. Order of each sum: k ascending.

override PRODUCT: u32 = 0u;

@group(1) @binding(0) var<storage, read> layers: array<Layer>;
@group(1) @binding(1) var<storage, read> steps: array<Step>;
@group(1) @binding(2) var<storage, read> work: Work; // (layer, member, tile of M, tile of N)
@group(1) @binding(3) var<storage, read> left: array<f32>;   // acts; acts; acts
@group(1) @binding(4) var<storage, read> right: array<f32>;  // params; params; dz
@group(1) @binding(5) var<storage, read> params: array<f32>;
@group(1) @binding(6) var<storage, read_write> result: array<f32>; // z; dz; grads

const TILE: u32 = 64;   // rows and columns of C in a workgroup
const DEPTH: u32 = 16;  // of K at a time
const SIDE: u32 = 8;    // of C in an invocation, and invocations in a row
const LANES: u32 = 64;

var<workgroup> tile_a: array<f32, 1024>; // [DEPTH, TILE]
var<workgroup> tile_b: array<f32, 1024>; // [DEPTH, TILE]

// Element i of this invocation's part of a tile of A. Neighbours read neighbouring addresses: along K, or M.
fn load_a(layer: Layer, m: u32, k: u32, m0: u32, k0: u32, lane: u32, i: u32) {
    var at_k = i;
    var at_m = lane;
    if PRODUCT != 2u {
        at_k = lane % DEPTH;
        at_m = lane / DEPTH + i * (LANES / DEPTH);
    }
    var value = 0.0;
    if m0 + at_m < m && k0 + at_k < k {
        if PRODUCT == 0u {
            value = left[layer.x + (m0 + at_m) * k + k0 + at_k];
        } else if PRODUCT == 1u {
            value = result[layer.z + (m0 + at_m) * k + k0 + at_k];
        } else {
            value = left[layer.x + (k0 + at_k) * m + m0 + at_m];
        }
    }
    tile_a[at_k * TILE + at_m] = value;
}

// The same of B.
fn load_b(layer: Layer, n: u32, k: u32, n0: u32, k0: u32, lane: u32, i: u32) {
    var at_k = i;
    var at_n = lane;
    if PRODUCT == 1u {
        at_k = lane % DEPTH;
        at_n = lane / DEPTH + i * (LANES / DEPTH);
    }
    var value = 0.0;
    if n0 + at_n < n && k0 + at_k < k {
        if PRODUCT == 0u {
            value = right[layer.w + (k0 + at_k) * n + n0 + at_n];
        } else if PRODUCT == 1u {
            value = right[layer.w + (n0 + at_n) * k + k0 + at_k];
        } else {
            value = right[layer.z + (k0 + at_k) * n + n0 + at_n];
        }
    }
    tile_b[at_k * TILE + at_n] = value;
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
    let m0 = job.z * TILE;
    let n0 = job.w * TILE;
    var m = rows;
    var n = layer.outputs;
    var k = layer.inputs;
    var target_at = layer.z;
    if PRODUCT == 1u {
        n = layer.inputs;
        k = layer.outputs;
        target_at = layers[job.x - 1u].z;
    }
    if PRODUCT == 2u {
        m = layer.inputs;
        k = rows;
        target_at = layer.w;
    }
    if rows == 0u || m0 >= m {
        return;
    }

    let row = (lane / SIDE) * SIDE;
    let col = (lane % SIDE) * SIDE;
    //#for r 0..8
    var sum$r_lo = vec4f(0.0);
    var sum$r_hi = vec4f(0.0);
    //#end
    for (var k0 = 0u; k0 < k; k0 += DEPTH) {
        // A loop, and not written out: drivers that inline all functions compile the latter for minutes.
        for (var i = 0u; i < TILE * DEPTH / LANES; i++) {
            load_a(layer, m, k, m0, k0, lane, i);
            load_b(layer, n, k, n0, k0, lane, i);
        }
        workgroupBarrier();
        for (var kk = 0u; kk < DEPTH; kk++) {
            let a_at = kk * TILE + row;
            let b_at = kk * TILE + col;
            let b_lo = vec4f(tile_b[b_at], tile_b[b_at + 1u], tile_b[b_at + 2u], tile_b[b_at + 3u]);
            let b_hi = vec4f(tile_b[b_at + 4u], tile_b[b_at + 5u], tile_b[b_at + 6u], tile_b[b_at + 7u]);
            //#for r 0..8
            let a$r = tile_a[a_at + $ru];
            sum$r_lo += a$r * b_lo;
            sum$r_hi += a$r * b_hi;
            //#end
        }
        workgroupBarrier();
    }
    //#for r 0..8
    store_row(layer, target_at, m0 + row + $ru, n0 + col, m, n, sum$r_lo, sum$r_hi);
    //#end
}

// Writes eight neighbours of one row of C.
fn store_row(layer: Layer, target_at: u32, r: u32, c: u32, m: u32, n: u32, lo: vec4f, hi: vec4f) {
    if r >= m {
        return;
    }
    for (var i = 0u; i < SIDE; i++) {
        store(layer, target_at, r, c + i, n, select(lo, hi, i >= 4u)[i % 4u]);
    }
}

fn store(layer: Layer, target_at: u32, r: u32, c: u32, n: u32, sum: f32) {
    if c >= n {
        return;
    }
    var value = sum;
    if PRODUCT == 0u && (layer.flags & NORMALIZED) == 0u {
        value += params[layer.b + c];
    }
    if PRODUCT == 2u {
        value += layer.member.l2 * params[layer.w + r * n + c];
    }
    result[target_at + r * n + c] = value;
}
