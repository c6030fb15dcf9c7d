// Loss and hit of each row, and the gradient of the batch's mean loss at the output, into dz [B, O].
//
// Cross-entropy: loss = ln sum e^(z - max) - (z_y - max), dz = (softmax(z) - onehot(y)) / B; a hit is the
// largest output, the first of equals, being the class's. Squared error: (z - t)^2, dz = 2 (z - t) / B.
// Grid: one workgroup of LOSS_ROWS for as many rows, one row for each invocation. Order of sums: outputs ascending.

@group(1) @binding(0) var<storage, read> layers: array<Layer>;
@group(1) @binding(1) var<storage, read> steps: array<Step>;
@group(1) @binding(2) var<storage, read> work: Work; // (output layer, member, first row, -)
@group(1) @binding(3) var<storage, read> targets: array<u32>;
@group(1) @binding(4) var<storage, read> index: array<u32>;
@group(1) @binding(5) var<storage, read> z: array<f32>;
@group(1) @binding(6) var<storage, read_write> dz: array<f32>;
@group(1) @binding(7) var<storage, read_write> row_loss: array<vec2f>;

@compute @workgroup_size(LOSS_ROWS)
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
    let rows = steps[now.slot * now.members + job.y].rows;
    if job.z + lane < rows {
        loss_of(layers[job.x], rows, job.z + lane);
    }
}
