// Loss and hit of each row, and the gradient of the batch's mean loss at the output, into dz [B, O].
//
// Cross-entropy: loss = ln sum e^(z - max) - (z_y - max), dz = (softmax(z) - onehot(y)) / B; a hit is the
// largest output, the first of equals, being the class's. Squared error: (z - t)^2, dz = 2 (z - t) / B.
// Each of S sub-models is trained by its own loss, dz / S; loss and hit are those of their mean probability or value.
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
    let layer = layers[job.x];
    let b = job.z + lane;
    if b >= rows {
        return;
    }
    if layer.sub_models == 1u {
        loss_of(layer, rows, b);
    } else {
        loss_of_sub_models(layer, rows, b);
    }
}

// The loss of one row, of all sub-models together.
fn loss_of_sub_models(layer: Layer, rows: u32, b: u32) {
    let goal = targets[index[layer.member.first_row + b]];
    let base = layer.z + b * layer.outputs;
    let over_rows = 1.0 / f32(rows * layer.sub_models);
    var report = vec2f(0.0); // loss, hit
    switch layer.member.loss {
        case CROSS_ENTROPY: {
            report = mean_cross_entropy(base, layer.member.outputs, layer.sub_models, goal, over_rows);
        }
        case SQUARED_ERROR: {
            var sum = 0.0;
            for (var s = 0u; s < layer.sub_models; s++) {
                let error = z[base + s] - bitcast<f32>(goal);
                dz[base + s] = 2.0 * error * over_rows;
                sum += error;
            }
            let error = sum / f32(layer.sub_models);
            report = vec2f(error * error, 0.0);
        }
        default: { report = vec2f(not_a_number(layer.member.loss), 0.0); }
    }
    row_loss[layer.member.first_row + b] = report;
}

// (loss, hit) of the mean probabilities of some sub-models with o outputs each; dz is that of each sub-model's own loss.
fn mean_cross_entropy(base: u32, o: u32, sub_models: u32, goal: u32, over_rows: f32) -> vec2f {
    // The least loss, and the probabilities of the class as shares of the largest.
    var least = 0.0;
    var sum = 0.0;
    var finite = true;
    for (var s = 0u; s < sub_models; s++) {
        let loss = cross_entropy(base + s * o, o, goal, over_rows, 0.0).x;
        // The other sub-models may hide it.
        finite = finite && is_finite(loss);
        if s == 0u {
            least = loss;
            sum = 1.0;
        } else if loss < least {
            sum = sum * exp_down(loss - least) + 1.0;
            least = loss;
        } else {
            sum += exp_down(least - loss);
        }
    }
    var best = 0u;
    var most = 0.0;
    for (var i = 0u; i < o; i++) {
        var probability = 0.0;
        for (var s = 0u; s < sub_models; s++) {
            probability += dz[base + s * o + i];
        }
        if i == 0u || probability > most {
            most = probability;
            best = i;
        }
    }
    for (var s = 0u; s < sub_models; s++) {
        dz[base + s * o + goal] -= over_rows;
    }
    let loss = select(not_a_number(sub_models), least - log(sum / f32(sub_models)), finite);
    return vec2f(loss, select(0.0, 1.0, best == goal));
}
