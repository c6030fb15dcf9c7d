// A tile of a matrix product, C [M, N] = A [M, K] . B [K, N], by cooperative matrices of half precision.
//
// Follows lanes_workgroup.wgsl. Each operand is two f16, x = high + low / SPLIT with high = f16(x): 22 digits instead of
// the 24 of f32. In f32
//
//   A . B = A_high . B_high + (A_high . B_low + A_low . B_high) / SPLIT,
//
// what is left out is 2^-22 of |A| . |B|. Each row of A and each column of B is multiplied by the power of two that brings
// its largest element to 2^14, so that all are within f16 however small gradients are; C is divided by it again.
// Order of each sum: SIZE of K at a time, within those as the device has it, so that the bits are those of any other tile.

const SPLIT: f32 = 2048.0;
// Apart from a multiple of the banks, rows at multiples of 16 bytes.
const PITCH: u32 = DEPTH + 8u;

var<workgroup> left_high: array<f16, TILE_M * PITCH>;  // [TILE_M, DEPTH]
var<workgroup> left_low: array<f16, TILE_M * PITCH>;
var<workgroup> right_high: array<f16, TILE_N * PITCH>; // [TILE_N, DEPTH]
var<workgroup> right_low: array<f16, TILE_N * PITCH>;
var<workgroup> tile: array<f32, TILE_M * TILE_N>;
// The largest |x| of each row and column, as its bits; those of positive numbers are ordered as the numbers are.
var<workgroup> left_largest: array<atomic<u32>, TILE_M>;
var<workgroup> right_largest: array<atomic<u32>, TILE_N>;
// Invocations that look for it along K.
const LOOKING: u32 = 8u;

// What a row or column is multiplied by whose largest |x| has these bits.
fn scale(largest: u32) -> f32 {
    // 2^(14 - e) where the largest is 2^e or a little more, up to 2^126, whose inverse is a normal number, too.
    return bitcast<f32>(min(268u - (largest >> 23u), 253u) << 23u);
}

// (high, low) of x. By its bits: drivers take f32(f16(x)) for x.
fn split(x: f32) -> vec2<f16> {
    let high = unpack2x16float(pack2x16float(vec2f(x, 0.0))).x;
    return vec2<f16>(f16(high), f16(SPLIT * (x - high)));
}

// Element (i, j) of this invocation's part.
fn product_at(i: u32, j: u32, lane: u32) -> f32 {
    let row = row_of(lane, i);
    let col = col_of(lane, j);
    let left_scale = scale(atomicLoad(&left_largest[row]));
    let right_scale = scale(atomicLoad(&right_largest[col]));
    // One after the other: the product of both may be beyond f32.
    return tile[row * TILE_N + col] / left_scale / right_scale;
}

// `tile` = A . B, where m rows and n columns are left from the tile's first on.
fn multiply(a: Operand, b: Operand, m: u32, n: u32, k: u32, lane: u32) {
    for (var e = lane; e < max(TILE_M, TILE_N); e += LANES) {
        if e < TILE_M {
            atomicStore(&left_largest[e], 0u);
        }
        if e < TILE_N {
            atomicStore(&right_largest[e], 0u);
        }
    }
    workgroupBarrier();
    for (var e = lane; e < TILE_M * LOOKING; e += LANES) {
        let at = place(e, TILE_M, LOOKING, LEFT_ALONG_K);
        var largest = 0.0;
        if at.x < m {
            for (var d = at.y; d < k; d += LOOKING) {
                largest = max(largest, abs(left_value(a.base + at.x * a.side + d * a.depth)));
            }
        }
        atomicMax(&left_largest[at.x], bitcast<u32>(largest));
    }
    for (var e = lane; e < TILE_N * LOOKING; e += LANES) {
        let at = place(e, TILE_N, LOOKING, RIGHT_ALONG_K);
        var largest = 0.0;
        if at.x < n {
            for (var d = at.y; d < k; d += LOOKING) {
                largest = max(largest, abs(right_value(b.base + at.x * b.side + d * b.depth)));
            }
        }
        atomicMax(&right_largest[at.x], bitcast<u32>(largest));
    }
    workgroupBarrier();
    // The subgroup's part of the tile.
    let row = lane / SUBGROUP / SUBGROUPS_N * COOP_ROWS * SIZE;
    let col = lane / SUBGROUP % SUBGROUPS_N * COOP_COLUMNS * SIZE;
    //#for i 0..COOP_ROWS
    //#for j 0..COOP_COLUMNS
    var high$i_$j = Sums();
    var low$i_$j = Sums();
    //#end
    //#end
    for (var k0 = 0u; k0 < k; k0 += DEPTH) {
        for (var e = lane; e < TILE_M * DEPTH; e += LANES) {
            let at = place(e, TILE_M, DEPTH, LEFT_ALONG_K);
            var value = 0.0;
            if at.x < m && k0 + at.y < k {
                value = scale(atomicLoad(&left_largest[at.x])) * left_value(a.base + at.x * a.side + (k0 + at.y) * a.depth);
            }
            let halves = split(value);
            left_high[at.x * PITCH + at.y] = halves.x;
            left_low[at.x * PITCH + at.y] = halves.y;
        }
        for (var e = lane; e < TILE_N * DEPTH; e += LANES) {
            let at = place(e, TILE_N, DEPTH, RIGHT_ALONG_K);
            var value = 0.0;
            if at.x < n && k0 + at.y < k {
                value = scale(atomicLoad(&right_largest[at.x])) * right_value(b.base + at.x * b.side + (k0 + at.y) * b.depth);
            }
            let halves = split(value);
            right_high[at.x * PITCH + at.y] = halves.x;
            right_low[at.x * PITCH + at.y] = halves.y;
        }
        workgroupBarrier();
        for (var d = 0u; d < DEPTH; d += SIZE) {
            //#for j 0..COOP_COLUMNS
            let right_high$j = coopLoad<Right>(&right_high[(col + $ju * SIZE) * PITCH + d], PITCH);
            let right_low$j = coopLoad<Right>(&right_low[(col + $ju * SIZE) * PITCH + d], PITCH);
            //#end
            //#for i 0..COOP_ROWS
            let left_high$i = coopLoadT<Left>(&left_high[(row + $iu * SIZE) * PITCH + d], PITCH);
            let left_low$i = coopLoadT<Left>(&left_low[(row + $iu * SIZE) * PITCH + d], PITCH);
            //#for j 0..COOP_COLUMNS
            high$i_$j = coopMultiplyAdd(left_high$i, right_high$j, high$i_$j);
            low$i_$j = coopMultiplyAdd(left_high$i, right_low$j, low$i_$j);
            low$i_$j = coopMultiplyAdd(left_low$i, right_high$j, low$i_$j);
            //#end
            //#end
        }
        workgroupBarrier();
    }
    //#for i 0..COOP_ROWS
    //#for j 0..COOP_COLUMNS
    coopStoreT(high$i_$j + low$i_$j * (1.0 / SPLIT), &tile[(row + $iu * SIZE) * TILE_N + col + $ju * SIZE], TILE_N);
    //#end
    //#end
    workgroupBarrier();
}
