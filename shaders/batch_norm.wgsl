// Batch normalisation in training, activation and dropout of a hidden layer [B, O]; before it, WITH_PRODUCT, Z = X W. A
// layer that SCALES only multiplies (scale.wgsl).
//
// mean, var over the batch (biased), xhat = (z - mean) / sqrt(var + eps), y = gamma xhat + beta,
// a = f(y), dropped with probability p and scaled by 1 / (1 - p). z becomes xhat.
// Running statistics: r <- r + momentum (new - r), the variance unbiased, the mean as a sum of two numbers.
// Values are shifted by the batch's first row before they are summed; the variance is centred, and corrected
// by the mean of the centred values (Chan, Golub & LeVeque 1983).
// Ioffe & Szegedy 2015, arXiv 1502.03167, algorithm 1.
//
// Grid: one workgroup owns all rows of TILE_N features (lanes_*.wgsl). Order of sums: 16 partial sums, of the rows
// r, r + 16, ... ascending, then these ascending, however many lanes share them.

override WITH_PRODUCT: bool = false;
override TRACKS: bool = true; // the running statistics follow

@group(1) @binding(0) var<storage, read> layers: array<Layer>;
@group(1) @binding(1) var<storage, read> steps: array<Step>;
@group(1) @binding(2) var<storage, read> work: Work; // (layer, member, first feature, -)
@group(1) @binding(3) var<storage, read> params: array<f32>;
@group(1) @binding(4) var<storage, read_write> stats: array<f32>;
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
    if step.rows == 0u {
        return;
    }
    let o = layer.outputs;
    if !WITH_PRODUCT && (layer.flags & SCALES) != 0u {
        for (var j = 0u; j < col_count(o - job.z); j++) {
            let f = job.z + col_of(lane, j);
            if f < o && !scale_column(layer, f, row_of(lane, 0u), step.rows) {
                atomicMin(&state[layer.member.id].first_bad, step.step);
            }
        }
        return;
    }
    if WITH_PRODUCT {
        linear(layer, 0u, step.rows, job.z, lane);
        // Every invocation reads the first row.
        storageBarrier();
        workgroupBarrier();
    }
    for (var j = 0u; j < col_count(o - job.z); j++) {
        let f = job.z + col_of(lane, j);
        // A lane beyond the last feature repeats it and writes nothing, so that barriers stay uniform.
        column(layer, step, min(f, o - 1u), f < o, lane);
    }
}

// One feature: an invocation sees the rows row_of(lane, 0) + p, p below OWN, and every sixteenth after them.
fn column(layer: Layer, step: Step, f: u32, inside: bool, lane: u32) {
    let o = layer.outputs;
    let first = row_of(lane, 0u);
    var finite = true;
    var shift = 0.0;
    var mean = 0.0;
    var left = 0.0;
    var rstd = 1.0;
    var gamma = 1.0;
    var beta = 0.0;
    var running = 0.0;
    var low = 0.0;
    let normalized = (layer.flags & NORMALIZED) != 0u;
    let notes = normalized && first == 0u && inside; // the statistics
    let tracks = notes && TRACKS; // the running ones
    if normalized {
        let n = f32(step.rows);
        shift = z[layer.z + f];
        var sum = 0.0;
        for (var p = 0u; p < OWN; p++) {
            var part = 0.0;
            for (var b = first + p; b < step.rows; b += PARTS) {
                part += z[layer.z + b * o + f] - shift;
            }
            sum += part;
        }
        mean = sum_over_rows(vec2f(sum, 0.0), lane).x / n;
        var centred = vec2f(0.0); // what rounding left out of the mean, and squares
        for (var p = 0u; p < OWN; p++) {
            var part = vec2f(0.0);
            for (var b = first + p; b < step.rows; b += PARTS) {
                let d = (z[layer.z + b * o + f] - shift) - mean;
                part += vec2f(d, d * d);
            }
            centred += part;
        }
        centred = sum_over_rows(centred, lane);
        left = centred.x / n;
        // Rounding may leave less than nothing of a constant column; NaN stays NaN.
        let corrected = centred.y - left * centred.x;
        let squares = select(corrected, 0.0, corrected < 0.0);
        rstd = 1.0 / sqrt(squares / n + layer.member.bn_eps);
        gamma = params[layer.b + f];
        beta = params[layer.beta + f];
        if notes {
            stats[layer.stats + BATCH_MEAN * o + f] = shift + (mean + left);
            stats[layer.stats + BATCH_RSTD * o + f] = rstd;
        }
        if tracks {
            let momentum = layer.member.bn_momentum;
            running = stats[layer.stats + RUNNING_MEAN * o + f];
            let rest = stats[layer.stats + RUNNING_MEAN_REST * o + f];
            low = rest + momentum * (((shift - running) - rest) + (mean + left));
            let high = running + low;
            let running_var = stats[layer.stats + RUNNING_VAR * o + f];
            let new_var = running_var + momentum * (squares / (n - 1.0) - running_var);
            stats[layer.stats + RUNNING_MEAN * o + f] = high;
            stats[layer.stats + RUNNING_VAR * o + f] = new_var;
            finite = is_finite(high) && is_finite(new_var);
        }
    }
    // Every invocation has read the first row before it is overwritten.
    storageBarrier();
    workgroupBarrier();

    if tracks {
        // Fast2Sum's remainder, from the sum as it stands in memory: written as running + low, drivers simplify it to 0.
        stats[layer.stats + RUNNING_MEAN_REST * o + f] = low - (stats[layer.stats + RUNNING_MEAN * o + f] - running);
    }

    let below = layer.member.drop_below;
    var key = vec4u(0u);
    if below > 0u {
        key = stream_key(layer.member, DROPOUT, layer.depth, step.step);
    }
    for (var b = first; b < step.rows && inside; b += LANES_M) {
        let at_z = b * o + f;
        let value = z[layer.z + at_z];
        let xhat = (((value - shift) - mean) - left) * rstd;
        var a = 0.0;
        if normalized {
            z[layer.z + at_z] = xhat;
            a = activate(layer.activation, gamma * xhat + beta);
        } else {
            finite = finite && is_finite(value);
            a = activate(layer.activation, value);
        }
        if below > 0u {
            a = select(a * layer.member.drop_scale, 0.0, words(key, at_z).x < below);
        }
        acts[layer.a + at_z] = a;
    }
    if !finite {
        atomicMin(&state[layer.member.id].first_bad, step.step);
    }
}
