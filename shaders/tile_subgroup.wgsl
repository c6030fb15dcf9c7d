// A tile of a matrix product, C [M, N] = A [M, K] . B [K, N], by one subgroup, in registers alone.
//
// Follows lanes_subgroup.wgsl. For each k a lane loads the elements of RM / LANES_N rows of A, of which each is broadcast
// in turn, and RN elements of B: (RM / LANES_N + RN) loads for RM RN multiply-adds. Order of each sum: k ascending, one
// fused multiply-add each: the bits of tile_workgroup.wgsl, which declares the same.

// C [RM, RN, LANES]: an invocation reads back only what it wrote. (Software drivers take twice as long to compile a private
// array that is read in a loop.)
var<workgroup> tile: array<f32, RM * RN * LANES>;

// Element (i, j) of this invocation's part.
fn product_at(i: u32, j: u32, lane: u32) -> f32 {
    return tile[(i * RN + j) * LANES + lane];
}

// `tile` = A . B, where m rows and n columns are left from the tile's first on.
fn multiply(a: Operand, b: Operand, m: u32, n: u32, k: u32, lane: u32) {
    // Beyond the edge, the last row or column is repeated; its results are not stored.
    //#for g 0..ROW_GROUPS
    var a_at$g = a.base + min($gu * LANES_N + lane, m - 1u) * a.side;
    //#end
    //#for j 0..RN
    var b_at$j = b.base + min($ju * LANES_N + lane, n - 1u) * b.side;
    //#end
    //#for g 0..ROW_GROUPS
    //#for l 0..LANES_N
    //#for j 0..RN
    var c$g_$l_$j = 0.0;
    //#end
    //#end
    //#end
    for (var d = 0u; d < k; d++) {
        //#for j 0..RN
        let b$j = right_value(b_at$j);
        b_at$j += b.depth;
        //#end
        //#for g 0..ROW_GROUPS
        let a$g = left_value(a_at$g);
        a_at$g += a.depth;
        //#for l 0..LANES_N
        let a$g_$l = subgroupBroadcast(a$g, $lu);
        //#for j 0..RN
        c$g_$l_$j = fma(a$g_$l, b$j, c$g_$l_$j);
        //#end
        //#end
        //#end
    }
    //#for g 0..ROW_GROUPS
    //#for l 0..LANES_N
    //#for j 0..RN
    tile[(($gu * LANES_N + $lu) * RN + $ju) * LANES + lane] = c$g_$l_$j;
    //#end
    //#end
    //#end
}
