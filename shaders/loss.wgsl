// Loss and hit of each row, and the gradient of the batch's mean loss at the output, into dz [B, O].
//
// Cross-entropy: loss = ln sum e^(z - max) - (z_y - max), dz = (softmax(z) - onehot(y)) / B; a hit is the
// largest output, the first of equals, being the class's. Squared error: (z - t)^2, dz = 2 (z - t) / B.
// Grid: one workgroup of 64 for 64 rows, an invocation a row. Order of sums: outputs ascending.

@group(1) @binding(0) var<storage, read> layers: array<Layer>;
@group(1) @binding(1) var<storage, read> steps: array<Step>;
@group(1) @binding(2) var<storage, read> work: Work; // (output layer, member, first row, -)
@group(1) @binding(3) var<storage, read> targets: array<u32>;
@group(1) @binding(4) var<storage, read> index: array<u32>;
@group(1) @binding(5) var<storage, read> z: array<f32>;
@group(1) @binding(6) var<storage, read_write> dz: array<f32>;
@group(1) @binding(7) var<storage, read_write> row_loss: array<vec2f>;

@compute @workgroup_size(64)
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
    let rows = steps[now.slot * now.members + job.y].rows;
    let b = job.z + lane;
    if b >= rows {
        return;
    }
    let goal = targets[index[layer.member.first_row + b]];
    let o = layer.outputs;
    let base = layer.z + b * o;
    let over_rows = 1.0 / f32(rows);
    if layer.member.loss == 1u {
        let error = z[base] - bitcast<f32>(goal);
        dz[base] = 2.0 * error * over_rows;
        row_loss[layer.member.first_row + b] = vec2f(error * error, 0.0);
        return;
    }
    var best = 0u;
    var largest = z[base];
    for (var i = 1u; i < o; i++) {
        if z[base + i] > largest {
            largest = z[base + i];
            best = i;
        }
    }
    var sum = 0.0;
    for (var i = 0u; i < o; i++) {
        let e = exp_down(z[base + i] - largest);
        dz[base + i] = e;
        sum += e;
    }
    let scale = over_rows / sum;
    for (var i = 0u; i < o; i++) {
        dz[base + i] = dz[base + i] * scale - select(0.0, over_rows, i == goal);
    }
    let loss = log(sum) - (z[base + goal] - largest);
    row_loss[layer.member.first_row + b] = vec2f(loss, select(0.0, 1.0, best == goal));
}
