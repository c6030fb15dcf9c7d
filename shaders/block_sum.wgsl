// Blocks of the parameters, and the sum of squares of a block of the gradients.
//
// A block is 32 x 32 of a weight matrix, or 1,024 of a vector, seen as 32 x 32: TILE_M and TILE_N. Order of sums: in each
// column 8 partial sums, of the rows r, r + 8, ... ascending, then these ascending; then the columns ascending. So the
// bits do not depend on how many lanes share a block.

const COLUMN_PARTS: u32 = 8u; // partial sums of a column
const OWN_OF_BLOCK: u32 = COLUMN_PARTS / LANES_M; // of them an invocation's: of its rows i, i + this, ...
const NOWHERE: u32 = 0xffffffffu;

var<workgroup> of_columns: array<f32, BLOCK_SIDE>;

// What a job covers: its first parameter, and rows and columns, or the length of a vector.
struct Block {
    first: u32,
    stride: u32,
    rows: u32,
    columns: u32,
    length: u32,
}

// job = (layer, first, rows << BLOCK_ROWS_SHIFT | columns, or length | VECTOR, -)
fn block_of(job: vec4u, outputs: u32) -> Block {
    let rows = job.z >> BLOCK_ROWS_SHIFT;
    var block = Block(job.y, outputs, rows, job.z & ((1u << BLOCK_ROWS_SHIFT) - 1u), rows * outputs);
    // One return: FXC takes a second for divergent flow, and refuses the barriers that follow (X3663).
    if (job.z & VECTOR) != 0u {
        let length = job.z & ~VECTOR;
        block = Block(job.y, BLOCK_SIDE, (length + BLOCK_SIDE - 1u) / BLOCK_SIDE, min(length, BLOCK_SIDE), length);
    }
    return block;
}

// Where element (r, c) stands in params.
fn element(block: Block, r: u32, c: u32) -> u32 {
    let at = r * block.stride + c;
    return select(NOWHERE, block.first + at, r < block.rows && c < block.columns && at < block.length);
}

// Keeps the sum of squares of an invocation's part of column j.
fn keep_column(sum: f32, j: u32, lane: u32) {
    let total = sum_over_rows(vec2f(sum, 0.0), lane).x;
    if row_of(lane, 0u) == 0u {
        of_columns[col_of(lane, j)] = total;
    }
}

// The sum over the columns that were kept.
fn sum_of_columns(block: Block) -> f32 {
    workgroupBarrier();
    var total = 0.0;
    for (var c = 0u; c < block.columns; c++) {
        total += of_columns[c];
    }
    return total;
}
