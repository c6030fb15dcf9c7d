// Each member's record of a step, and the clipping scale of its gradients.
//
// Clipping by the global norm (Pascanu et al. 2013, arXiv 1211.5063): scale = min(1, c / (|g| + CLIP_EPS)).
// Grid: one workgroup of LANES for a member. Order of sums: each lane adds its elements ascending (lane,
// lane + LANES, ...), then the upper half of the lanes is added to the lower half until one is left.

override TRAIN: bool = true;

@group(1) @binding(0) var<storage, read> layers: array<Layer>;
@group(1) @binding(1) var<storage, read> steps: array<Step>;
@group(1) @binding(2) var<storage, read> work: Work; // (layer, member, -, -)
@group(1) @binding(3) var<storage, read> row_loss: array<vec2f>;
@group(1) @binding(4) var<storage, read> partials: array<f32>;
@group(1) @binding(5) var<storage, read_write> state: array<State>;
@group(1) @binding(6) var<storage, read_write> records: array<Record>;

const LANES: u32 = 64u;

var<workgroup> sums: array<vec3f, LANES>; // loss, hits, squares

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
    let slot = now.slot * now.members + job.y;
    let step = steps[slot];
    if step.rows == 0u {
        return;
    }
    let m = layers[job.x].member;
    var sum = vec3f(0.0);
    for (var b = lane; b < step.rows; b += LANES) {
        sum += vec3f(row_loss[m.first_row + b], 0.0);
    }
    if TRAIN {
        for (var c = lane; c < m.partials; c += LANES) {
            sum.z += partials[m.first_partial + c];
        }
    }
    sums[lane] = sum;
    for (var half = LANES / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if lane < half {
            sums[lane] += sums[lane + half];
        }
    }
    if lane > 0u {
        return;
    }
    sum = sums[0];
    let norm = sqrt(sum.z);
    if !is_finite(sum.x) || !is_finite(norm) {
        atomicMin(&state[job.y].first_bad, step.step);
    }
    if TRAIN {
        let scale = m.clip_norm / (norm + CLIP_EPS);
        state[job.y].scale = select(1.0, scale, m.clip_norm > 0.0 && scale < 1.0);
    }
    records[slot].loss = sum.x;
    records[slot].hits = u32(sum.y);
    records[slot].grad_norm = norm;
    let bad = atomicLoad(&state[job.y].first_bad);
    // What the optimiser made of this step shows in the next, whether or not it has run by now.
    records[slot].first_bad = select(bad, FINITE, TRAIN && bad > step.step);
    records[slot].step = step.step;
    records[slot].rows = step.rows;
    records[slot].nonce = step.nonce;
}
