// Batch normalisation by the running statistics, and activation, of a hidden layer [B, O]; before it, WITH_PRODUCT,
// Z = X W. A layer that SCALES only multiplies (scale.wgsl).
//
// xhat = ((z - running_mean) - its remainder) / sqrt(running_var + eps), a = f(gamma xhat + beta).
// Grid: one workgroup for INFERENCE_ROWS rows of TILE_N features (lanes_*.wgsl). No reductions but the product's.

override WITH_PRODUCT: bool = false;

@group(1) @binding(0) var<storage, read> layers: array<Layer>;
@group(1) @binding(1) var<storage, read> steps: array<Step>;
@group(1) @binding(2) var<storage, read> work: Work; // (layer, member, first row, first feature)
@group(1) @binding(3) var<storage, read> params: array<f32>;
@group(1) @binding(4) var<storage, read> stats: array<f32>;
@group(1) @binding(5) var<storage, read_write> z: array<f32>;
@group(1) @binding(6) var<storage, read_write> acts: array<f32>;
@group(1) @binding(7) var<storage, read_write> state: array<State>;

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
    let step = steps[now.slot * now.members + job.y];
    if job.z >= step.rows {
        return;
    }
    let o = layer.outputs;
    let end = min(step.rows, job.z + INFERENCE_ROWS);
    if !WITH_PRODUCT && (layer.flags & SCALES) != 0u {
        for (var j = 0u; j < col_count(o - job.w); j++) {
            let f = job.w + col_of(lane, j);
            if f < o && !scale_column(layer, f, job.z + row_of(lane, 0u), end) {
                atomicMin(&state[layer.member.id].first_bad, step.step);
            }
        }
        return;
    }
    if WITH_PRODUCT {
        linear(layer, job.z, end, job.w, lane);
        // An invocation reads below only what it wrote here.
    }
    for (var j = 0u; j < col_count(o - job.w); j++) {
        let f = job.w + col_of(lane, j);
        if f < o {
            column(layer, step, f, job.z + row_of(lane, 0u), end);
        }
    }
}

// One feature, rows first, first + LANES_M, ... before end.
fn column(layer: Layer, step: Step, f: u32, first: u32, end: u32) {
    let o = layer.outputs;
    var mean = 0.0;
    var rest = 0.0;
    var rstd = 1.0;
    var gamma = 1.0;
    var beta = 0.0;
    var finite = true;
    if (layer.flags & NORMALIZED) != 0u {
        mean = stats[layer.stats + RUNNING_MEAN * o + f];
        rest = stats[layer.stats + RUNNING_MEAN_REST * o + f];
        let running_var = stats[layer.stats + RUNNING_VAR * o + f];
        rstd = 1.0 / sqrt(running_var + layer.member.bn_eps);
        // An infinite variance would make zeros of everything.
        finite = is_finite(running_var);
        gamma = params[layer.b + f];
        beta = params[layer.beta + f];
    }
    for (var b = first; b < end; b += LANES_M) {
        let at_z = b * o + f;
        let xhat = ((z[layer.z + at_z] - mean) - rest) * rstd;
        // A rectifier may hide what is not finite.
        finite = finite && is_finite(xhat);
        z[layer.z + at_z] = xhat;
        acts[layer.a + at_z] = activate(layer.activation, gamma * xhat + beta);
    }
    if !finite {
        atomicMin(&state[layer.member.id].first_bad, step.step);
    }
}
