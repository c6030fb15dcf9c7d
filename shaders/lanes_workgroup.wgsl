// The lanes of a workgroup: LANES_M x LANES_N invocations, each with RM rows and RN columns of a tile.
//
// Part of kernels that own tiles, unless they use lanes_subgroup.wgsl, which declares the same names. Row i of an invocation
// is LANES_M below row i - 1, column j LANES_N right of column j - 1.

const LANES: u32 = LANES_M * LANES_N;
const TILE_M: u32 = LANES_M * RM;
const TILE_N: u32 = LANES_N * RN;

var<workgroup> over_rows: array<vec2f, LANES>; // [LANES_M, LANES_N]

// Row i and column j of this invocation, counted from the tile's first.
fn row_of(lane: u32, i: u32) -> u32 {
    return lane / LANES_N + LANES_M * i;
}
fn col_of(lane: u32, j: u32) -> u32 {
    return lane % LANES_N + LANES_N * j;
}

// Rows that an invocation has at most where m rows are left.
fn row_count(m: u32) -> u32 {
    return min(RM, (m + LANES_M - 1u) / LANES_M);
}

// (side, depth) of element e of a matrix of `sides` x `depths` where neighbours in memory follow along K, or else along the
// side: invocations that take one after the other then read neighbours.
fn place(e: u32, sides: u32, depths: u32, along_k: bool) -> vec2u {
    if along_k {
        return vec2u(e / depths, e % depths);
    }
    return vec2u(e % sides, e / sides);
}

// Sum of one column over the invocations that share it, in the order of their rows.
fn sum_over_rows(value: vec2f, lane: u32) -> vec2f {
    workgroupBarrier();
    over_rows[lane] = value;
    workgroupBarrier();
    var total = vec2f(0.0);
    for (var i = 0u; i < LANES_M; i++) {
        total += over_rows[i * LANES_N + lane % LANES_N];
    }
    return total;
}
