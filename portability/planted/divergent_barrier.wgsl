// A planted fault: a barrier after some invocations have returned. naga does not look; Tint and FXC do.

@group(1) @binding(0) var<storage, read_write> values: array<u32>;

var<workgroup> shared_values: array<u32, 64>;

@compute @workgroup_size(64)
fn main(@builtin(local_invocation_index) lane: u32) {
    if values[lane] == 0u {
        return;
    }
    shared_values[lane] = values[lane];
    workgroupBarrier();
    values[lane] = shared_values[63u - lane];
}
