// Batch normalisation by the running statistics, and activation, of a hidden layer [B, O].
//
// xhat = ((z - running_mean) - its remainder) / sqrt(running_var + eps), a = f(gamma xhat + beta).
// Grid: one workgroup of 16 x 16 for 64 rows x 16 features. No reductions.

@group(1) @binding(0) var<storage, read> layers: array<Layer>;
@group(1) @binding(1) var<storage, read> steps: array<Step>;
@group(1) @binding(2) var<storage, read> work: Work; // (layer, member, first row, first feature)
@group(1) @binding(3) var<storage, read> params: array<f32>;
@group(1) @binding(4) var<storage, read> stats: array<f32>;
@group(1) @binding(5) var<storage, read_write> z: array<f32>;
@group(1) @binding(6) var<storage, read_write> acts: array<f32>;
@group(1) @binding(7) var<storage, read_write> state: array<State>;

const FEATURES: u32 = 16;
const LANES: u32 = 16;
const TILE_ROWS: u32 = 64;

@compute @workgroup_size(FEATURES, LANES)
fn main(
    @builtin(workgroup_id) workgroup: vec3u,
    @builtin(num_workgroups) grid: vec3u,
    @builtin(local_invocation_id) local: vec3u,
) {
    let at = flat(workgroup, grid);
    if at >= work.count {
        return;
    }
    let job = work.jobs[at];
    let layer = layers[job.x];
    let step = steps[now.slot * now.members + job.y];
    let rows = min(step.rows, job.z + TILE_ROWS);
    let o = layer.outputs;
    let f = job.w + local.x;
    if f >= o {
        return;
    }
    var mean = 0.0;
    var rest = 0.0;
    var rstd = 1.0;
    var gamma = 1.0;
    var beta = 0.0;
    var finite = true;
    if (layer.flags & NORMALIZED) != 0u {
        mean = stats[layer.stats + f];
        rest = stats[layer.stats + o + f];
        let running_var = stats[layer.stats + 2u * o + f];
        rstd = 1.0 / sqrt(running_var + layer.member.bn_eps);
        // An infinite variance would make zeros of everything.
        finite = is_finite(running_var);
        gamma = params[layer.b + f];
        beta = params[layer.beta + f];
    }
    for (var b = job.z + local.y; b < rows; b += LANES) {
        let at_z = b * o + f;
        let xhat = ((z[layer.z + at_z] - mean) - rest) * rstd;
        // A rectifier may hide what is not finite.
        finite = finite && is_finite(xhat);
        z[layer.z + at_z] = xhat;
        acts[layer.a + at_z] = activate(layer.activation, gamma * xhat + beta);
    }
    if !finite && step.rows > 0u {
        atomicMin(&state[job.y].first_bad, step.step);
    }
}
