// A tile of a matrix product, C [M, N] = A [M, K] . B [K, N], by one workgroup, through workgroup memory.
//
// Follows lanes_workgroup.wgsl; DEPTH of K at a time. Order of each sum: k ascending, one fused multiply-add each, so that
// the bits are those of any other tile. A kernel says where its operands are, left_value(i) and right_value(i), and
// along which dimension neighbours lie, LEFT_ALONG_K and RIGHT_ALONG_K.

const LOADS_A: u32 = TILE_M * DEPTH / LANES; // elements that an invocation brings
const LOADS_B: u32 = TILE_N * DEPTH / LANES;
const PITCH_M: u32 = TILE_M + 1u; // apart from a multiple of the banks
const PITCH_N: u32 = TILE_N + 1u;

var<workgroup> tile_a: array<f32, DEPTH * PITCH_M>; // [DEPTH, TILE_M]
var<workgroup> tile_b: array<f32, DEPTH * PITCH_N>; // [DEPTH, TILE_N]
// This invocation's part of C [RM, RN].
var<private> tile: array<f32, RM * RN>;

// Element (i, j) of this invocation's part.
fn product_at(i: u32, j: u32, lane: u32) -> f32 {
    return tile[i * RN + j];
}

// `tile` = A . B, where m rows and n columns are left from the tile's first on.
fn multiply(a: Operand, b: Operand, m: u32, n: u32, k: u32, lane: u32) {
    let row = lane / LANES_N;
    let col = lane % LANES_N;
    //#for i 0..RM
    //#for j 0..RN
    var c$i_$j = 0.0;
    //#end
    //#end
    for (var k0 = 0u; k0 < k; k0 += DEPTH) {
        // Loops of known length without a branch: drivers that unroll them issue all loads at once and wait for memory once.
        // Unrolled here, drivers that inline all functions take minutes to compile them.
        for (var i = 0u; i < LOADS_A; i++) {
            let at = place(lane + i * LANES, TILE_M, DEPTH, LEFT_ALONG_K);
            let value = left_value(a.base + min(at.x, m - 1u) * a.side + min(k0 + at.y, k - 1u) * a.depth);
            tile_a[at.y * PITCH_M + at.x] = select(0.0, value, at.x < m && k0 + at.y < k);
        }
        for (var i = 0u; i < LOADS_B; i++) {
            let at = place(lane + i * LANES, TILE_N, DEPTH, RIGHT_ALONG_K);
            let value = right_value(b.base + min(at.x, n - 1u) * b.side + min(k0 + at.y, k - 1u) * b.depth);
            tile_b[at.y * PITCH_N + at.x] = select(0.0, value, at.x < n && k0 + at.y < k);
        }
        workgroupBarrier();
        for (var d = 0u; d < DEPTH; d++) {
            let a_at = d * PITCH_M + row;
            let b_at = d * PITCH_N + col;
            //#for j 0..RN
            let b$j = tile_b[b_at + $ju * LANES_N];
            //#end
            //#for i 0..RM
            let a$i = tile_a[a_at + $iu * LANES_M];
            //#for j 0..RN
            c$i_$j = fma(a$i, b$j, c$i_$j);
            //#end
            //#end
        }
        workgroupBarrier();
    }
    //#for i 0..RM
    //#for j 0..RN
    tile[$iu * RN + $ju] = c$i_$j;
    //#end
    //#end
}
