// Sum of squares of each chunk of the gradients.
//
// Grid: one workgroup of 256 for a chunk of at most 1,024. Order of sums: each lane its elements ascending
// (lane, lane + 256, ...), then halves are folded.

@group(1) @binding(0) var<storage, read> layers: array<Layer>;
@group(1) @binding(1) var<storage, read> steps: array<Step>;
@group(1) @binding(2) var<storage, read> work: Work; // (layer, length | kind << 16, start, chunk)
@group(1) @binding(3) var<storage, read> grads: array<f32>;
@group(1) @binding(4) var<storage, read_write> partials: array<f32>;

const LANES: u32 = 256;

var<workgroup> sums: array<f32, LANES>;

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
    let member = layers[job.x].member;
    if steps[now.slot * now.members + member.id].rows == 0u {
        return;
    }
    let length = job.y & 0xffffu;
    var sum = 0.0;
    for (var i = lane; i < length; i += LANES) {
        let g = grads[job.z + i];
        sum += g * g;
    }
    sums[lane] = sum;
    for (var half = LANES / 2u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if lane < half {
            sums[lane] += sums[lane + half];
        }
    }
    if lane == 0u {
        partials[member.first_chunk + job.w] = sums[0];
    }
}
