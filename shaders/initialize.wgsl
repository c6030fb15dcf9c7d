// Initial parameters, moments and running statistics.
//
// W normal with the layer's standard deviation, factors 1 or -1, gamma 1, b and beta 0, moments 0; running mean 0, variance 1; what
// lies between tensors 0. Overwrites the slot's previous member.
// The same bits on every device: see random.wgsl.
// Grid: one workgroup of 256 for a chunk of at most 1,024 parameters. No reductions.

@group(1) @binding(0) var<storage, read> layers: array<Layer>;
@group(1) @binding(1) var<storage, read> work: Work; // (layer, length | kind << CHUNK_KIND_SHIFT, start, chunk)
@group(1) @binding(2) var<storage, read_write> params: array<f32>;
@group(1) @binding(3) var<storage, read_write> moments: array<vec2f>;
@group(1) @binding(4) var<storage, read_write> stats: array<f32>;
@group(1) @binding(5) var<storage, read_write> state: array<State>;

const LANES: u32 = 256u;

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
    let member = layer.member;
    let length = job.y & ((1u << CHUNK_KIND_SHIFT) - 1u);
    let kind = job.y >> CHUNK_KIND_SHIFT;
    if job.w == 0u && lane == 0u {
        state[member.id].scale = 1.0;
        atomicStore(&state[member.id].first_bad, FINITE);
    }
    let key = stream_key(member, WEIGHTS, layer.depth, 0u);
    // Tensors start on four elements, and chunks but the last of a tensor are a multiple of four long.
    for (var i = lane; i < up_to_four(length); i += LANES) {
        var p = 0.0;
        if i < length {
            switch kind {
                case WEIGHT: { p = normal(key, job.z + i - layer.w) * layer.init_std; }
                case FACTOR: {
                    p = select(1.0, -1.0, (words(key, job.z + i - layer.b).x & 0x80000000u) != 0u);
                }
                case GAMMA: {
                    p = 1.0;
                    reset_statistics(layer, job.z + i - layer.b);
                }
                case BIAS, BETA: { p = 0.0; }
                default: { p = not_a_number(kind); }
            }
        }
        params[job.z + i] = p;
        moments[job.z + i] = vec2f(0.0);
    }
}

// Statistics of one feature; the first one clears what lies after them, too.
fn reset_statistics(layer: Layer, f: u32) {
    let o = layer.outputs;
    for (var row = 0u; row < STATISTICS; row++) {
        stats[layer.stats + row * o + f] = select(0.0, 1.0, row == RUNNING_VAR);
    }
    if f == 0u {
        for (var rest = STATISTICS * o; rest < up_to_four(STATISTICS * o); rest++) {
            stats[layer.stats + rest] = 0.0;
        }
    }
}

fn up_to_four(length: u32) -> u32 {
    return (length + 3u) & ~3u;
}
