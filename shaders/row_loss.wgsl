// The loss of one row, for loss.wgsl and output.wgsl. They declare targets, index, z, dz and row_loss.

fn loss_of(layer: Layer, rows: u32, b: u32) {
    let goal = targets[index[layer.member.first_row + b]];
    let o = layer.outputs;
    let base = layer.z + b * o;
    let over_rows = 1.0 / f32(rows);
    var report = vec2f(0.0); // loss, hit
    switch layer.member.loss {
        case CROSS_ENTROPY: { report = cross_entropy(base, o, goal, over_rows, over_rows); }
        case SQUARED_ERROR: {
            let error = z[base] - bitcast<f32>(goal);
            dz[base] = 2.0 * error * over_rows;
            report = vec2f(error * error, 0.0);
        }
        default: { report = vec2f(not_a_number(layer.member.loss), 0.0); }
    }
    row_loss[layer.member.first_row + b] = report;
}

// (loss, hit) of a row of o outputs whose class is `goal`; dz = softmax(z) over_rows, less `one` at the class.
fn cross_entropy(base: u32, o: u32, goal: u32, over_rows: f32, one: f32) -> vec2f {
    var best = 0u;
    var largest = z[base];
    for (var i = 1u; i < o; i++) {
        let value = z[base + i];
        if value > largest {
            largest = value;
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
        dz[base + i] = dz[base + i] * scale - select(0.0, one, i == goal);
    }
    let loss = log(sum) - (z[base + goal] - largest);
    return vec2f(loss, select(0.0, 1.0, best == goal));
}
