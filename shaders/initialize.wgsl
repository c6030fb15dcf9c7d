// Initial parameters, moments and running statistics.
//
// W normal with the layer's standard deviation, gamma 1, b and beta 0, moments 0; running mean 0, variance 1; what
// lies between tensors 0. Nothing is left of whoever was there before.
// The same bits on every device: see random.wgsl.
// Grid: one workgroup of 256 for a chunk of at most 1,024 parameters. No reductions.

@group(1) @binding(0) var<storage, read> layers: array<Layer>;
@group(1) @binding(1) var<storage, read> work: Work; // (layer, length | kind << 16, start, chunk)
@group(1) @binding(2) var<storage, read_write> params: array<f32>;
@group(1) @binding(3) var<storage, read_write> moments: array<vec2f>;
@group(1) @binding(4) var<storage, read_write> stats: array<f32>;
@group(1) @binding(5) var<storage, read_write> state: array<State>;

const LANES: u32 = 256;
const WEIGHT: u32 = 0;
const GAMMA: u32 = 2;
const STATS: u32 = 5;    // rows of a layer's statistics
const VARIANCE: u32 = 2; // the running one

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
    let length = job.y & 0xffffu;
    let kind = job.y >> 16u;
    if job.w == 0u && lane == 0u {
        state[member.id].scale = 1.0;
        atomicStore(&state[member.id].first_bad, 0xffffffffu);
    }
    let key = stream_key(member, WEIGHTS, layer.depth, 0u);
    // Tensors start on four elements, and chunks but the last of a tensor are a multiple of four long.
    for (var i = lane; i < up_to_four(length); i += LANES) {
        var p = 0.0;
        if kind == WEIGHT && i < length {
            p = normal(key, job.z + i - layer.w) * layer.init_std;
        } else if kind == GAMMA && i < length {
            p = 1.0;
            let f = job.z + i - layer.b;
            for (var row = 0u; row < STATS; row++) {
                stats[layer.stats + row * layer.outputs + f] = select(0.0, 1.0, row == VARIANCE);
            }
            if f == 0u {
                for (var rest = STATS * layer.outputs; rest < up_to_four(STATS * layer.outputs); rest++) {
                    stats[layer.stats + rest] = 0.0;
                }
            }
        }
        params[job.z + i] = p;
        moments[job.z + i] = vec2f(0.0);
    }
}

fn up_to_four(length: u32) -> u32 {
    return (length + 3u) & ~3u;
}
