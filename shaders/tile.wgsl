// Shared by kernels that own tiles, with either kind of lanes. Follows lanes_*.wgsl.

// A matrix: its first element in this tile, the distance of neighbours along M (or N), and along K.
struct Operand {
    base: u32,
    side: u32,
    depth: u32,
}

// Columns that an invocation has at most where n columns are left; row_count(m) is the same of rows. Loops end there, and
// not at RN and RM: drivers that unroll loops of known length take seconds to compile the latter.
fn col_count(n: u32) -> u32 {
    return min(RN, (n + LANES_N - 1u) / LANES_N);
}

const PARTS: u32 = 16u;              // partial sums of a column of all rows of a batch
const OWN: u32 = PARTS / LANES_M;    // of them an invocation's
