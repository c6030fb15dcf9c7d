// A planted fault: WGSL wants parentheses where * and & meet, naga does not mind. Tint finds it.

@group(1) @binding(0) var<storage, read_write> values: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32) {
    values[lane] = values[lane] * 3u & 7u;
}
