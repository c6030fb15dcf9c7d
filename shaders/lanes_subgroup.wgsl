// The lanes of a subgroup: LANES_N invocations, each with all RM rows and RN columns of a tile.
//
// Declares what lanes_workgroup.wgsl declares, for devices whose subgroups have one size: a workgroup is one subgroup.
// LANES_M is 1: an invocation owns all rows of its columns, so no sum needs another invocation.

const LANES: u32 = LANES_N;
const TILE_M: u32 = RM;
const TILE_N: u32 = LANES_N * RN;

// Row i and column j of this invocation, counted from the tile's first.
fn row_of(lane: u32, i: u32) -> u32 {
    return i;
}
fn col_of(lane: u32, j: u32) -> u32 {
    return lane + LANES_N * j;
}

// Rows that an invocation has at most where m rows are left.
fn row_count(m: u32) -> u32 {
    return min(RM, m);
}

// Sum of one column over the invocations that share it: there is one.
fn sum_over_rows(value: vec2f, lane: u32) -> vec2f {
    return vec2f(0.0) + value;
}
