// Initial parameters, moments and running statistics.
//
// W normal with the layer's standard deviation, gamma 1, b and beta 0, moments 0; running mean 0, variance 1.
// The same bits on every device: see random.wgsl.
// Grid: one workgroup of 256 for a chunk of at most 1,024 parameters. No reductions.

@group(1) @binding(0) var<storage, read> layers: array<Layer>;
@group(1) @binding(1) var<storage, read> work: array<vec4u>; // (layer, length | kind << 16, start, chunk)
@group(1) @binding(2) var<storage, read_write> params: array<f32>;
@group(1) @binding(3) var<storage, read_write> moments: array<vec2f>;
@group(1) @binding(4) var<storage, read_write> stats: array<f32>;
@group(1) @binding(5) var<storage, read_write> state: array<State>;

const LANES: u32 = 256;
const WEIGHT: u32 = 0;
const GAMMA: u32 = 2;

@compute @workgroup_size(LANES)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_index) lane: u32,
) {
    let at = flat(workgroup, grid);
    if at >= arrayLength(&work) {
        return;
    }
    let job = work[at];
    let layer = layers[job.x];
    let member = layer.member;
    let length = job.y & 0xffffu;
    let kind = job.y >> 16u;
    if job.w == 0u && lane == 0u {
        state[member.id].scale = 1.0;
        atomicStore(&state[member.id].first_bad, 0xffffffffu);
    }
    let key = stream_key(member, WEIGHTS, layer.depth, 0u);
    for (var i = lane; i < length; i += LANES) {
        var p = 0.0;
        if kind == WEIGHT {
            p = normal(key, job.z + i - layer.w) * layer.init_std;
        } else if kind == GAMMA {
            p = 1.0;
            let f = job.z + i - layer.b;
            stats[layer.stats + f] = 0.0;
            stats[layer.stats + layer.outputs + f] = 0.0;
            stats[layer.stats + 2u * layer.outputs + f] = 1.0;
        }
        params[job.z + i] = p;
        moments[job.z + i] = vec2f(0.0);
    }
}
