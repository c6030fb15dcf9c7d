// The optimiser (optimizer.wgsl) on the gradients in memory.
//
// Grid: one workgroup of CHUNK_LANES for a chunk (population::CHUNK). No reductions.

@group(1) @binding(0) var<storage, read> layers: array<Layer>;
@group(1) @binding(1) var<storage, read> steps: array<Step>;
@group(1) @binding(2) var<storage, read> work: Work; // (layer, length | kind << CHUNK_KIND_SHIFT, start, -)
@group(1) @binding(3) var<storage, read> grads: array<f32>;
@group(1) @binding(4) var<storage, read_write> params: array<f32>;
@group(1) @binding(5) var<storage, read_write> moments: array<vec2f>;
@group(1) @binding(6) var<storage, read_write> state: array<State>;

const CHUNK_LANES: u32 = 256u;

@compute @workgroup_size(CHUNK_LANES)
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
    let member = layers[job.x].member;
    let step = steps[now.slot * now.members + member.id];
    if step.rows == 0u {
        return;
    }
    let length = job.y & ((1u << CHUNK_KIND_SHIFT) - 1u);
    let keep = select(1.0, step.keep, (job.y >> CHUNK_KIND_SHIFT) == WEIGHT);
    let scale = state[member.id].scale;
    var finite = true;
    for (var i = lane; i < length; i += CHUNK_LANES) {
        let before = Parameter(params[job.z + i], moments[job.z + i]);
        let after = descend(member, step, keep, grads[job.z + i] * scale, before);
        params[job.z + i] = after.p;
        moments[job.z + i] = after.moments;
        finite = finite && all_finite(after);
    }
    if !finite {
        atomicMin(&state[member.id].first_bad, step.step + 1u);
    }
}
