// Batch normalisation in training, activation and dropout of a hidden layer [B, O].
//
// mean, var over the batch (biased), xhat = (z - mean) / sqrt(var + eps), y = gamma xhat + beta,
// a = f(y), dropped with probability p and scaled by 1 / (1 - p). z becomes xhat.
// Running statistics: r <- r + momentum (new - r), the variance unbiased, the mean as a sum of two numbers.
// Values are shifted by the batch's first row before they are summed; the variance is centred, and corrected
// by the mean of the centred values (Chan, Golub & LeVeque 1983).
// Ioffe & Szegedy 2015, arXiv 1502.03167, algorithm 1.
//
// Grid: one workgroup of 16 x 16 owns all rows of 16 features. Order of sums: each lane its rows ascending
// (lane, lane + 16, ...), then the 16 lanes ascending.

@group(1) @binding(0) var<storage, read> layers: array<Layer>;
@group(1) @binding(1) var<storage, read> steps: array<Step>;
@group(1) @binding(2) var<storage, read> work: Work; // (layer, member, first feature, -)
@group(1) @binding(3) var<storage, read> params: array<f32>;
@group(1) @binding(4) var<storage, read_write> stats: array<f32>;
@group(1) @binding(5) var<storage, read_write> z: array<f32>;
@group(1) @binding(6) var<storage, read_write> acts: array<f32>;
@group(1) @binding(7) var<storage, read_write> state: array<State>;

const FEATURES: u32 = 16;
const LANES: u32 = 16;

var<workgroup> sums: array<vec2f, 256>; // [LANES, FEATURES]

// Sum over the lanes of one feature.
fn reduce(value: vec2f, lane: u32, feature: u32) -> vec2f {
    workgroupBarrier();
    sums[lane * FEATURES + feature] = value;
    workgroupBarrier();
    var total = vec2f(0.0);
    for (var i = 0u; i < LANES; i++) {
        total += sums[i * FEATURES + feature];
    }
    return total;
}

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
    if step.rows == 0u {
        return;
    }
    let o = layer.outputs;
    let lane = local.y;
    // A lane beyond the last feature repeats it and writes nothing, so that barriers stay uniform.
    let inside = job.z + local.x < o;
    let f = min(job.z + local.x, o - 1u);
    var finite = true;

    var shift = 0.0;
    var mean = 0.0;
    var left = 0.0;
    var rstd = 1.0;
    var gamma = 1.0;
    var beta = 0.0;
    var running = 0.0;
    var low = 0.0;
    let keeps = (layer.flags & NORMALIZED) != 0u && lane == 0u && inside; // the running statistics
    if (layer.flags & NORMALIZED) != 0u {
        let n = f32(step.rows);
        shift = z[layer.z + f];
        var sum = 0.0;
        for (var b = lane; b < step.rows; b += LANES) {
            sum += z[layer.z + b * o + f] - shift;
        }
        mean = reduce(vec2f(sum, 0.0), lane, local.x).x / n;
        var centred = vec2f(0.0); // what rounding left out of the mean, and squares
        for (var b = lane; b < step.rows; b += LANES) {
            let d = (z[layer.z + b * o + f] - shift) - mean;
            centred += vec2f(d, d * d);
        }
        centred = reduce(centred, lane, local.x);
        left = centred.x / n;
        // Rounding may leave less than nothing of a constant column; NaN stays NaN.
        let corrected = centred.y - left * centred.x;
        let squares = select(corrected, 0.0, corrected < 0.0);
        rstd = 1.0 / sqrt(squares / n + layer.member.bn_eps);
        gamma = params[layer.b + f];
        beta = params[layer.beta + f];
        if keeps {
            let momentum = layer.member.bn_momentum;
            running = stats[layer.stats + f];
            let rest = stats[layer.stats + o + f];
            low = rest + momentum * (((shift - running) - rest) + (mean + left));
            let high = running + low;
            let running_var = stats[layer.stats + 2u * o + f];
            let new_var = running_var + momentum * (squares / (n - 1.0) - running_var);
            stats[layer.stats + f] = high;
            stats[layer.stats + 2u * o + f] = new_var;
            stats[layer.stats + 3u * o + f] = shift + (mean + left);
            stats[layer.stats + 4u * o + f] = rstd;
            finite = is_finite(high) && is_finite(new_var);
        }
    }
    // Everybody has read the first row before it is overwritten.
    storageBarrier();
    workgroupBarrier();

    if keeps {
        // Fast2Sum's remainder, from the sum as it stands in memory: seen as running + low, drivers simplify it to 0.
        stats[layer.stats + o + f] = low - (stats[layer.stats + f] - running);
    }

    let below = layer.member.drop_below;
    var key = vec4u(0u);
    if below > 0u {
        key = stream_key(layer.member, DROPOUT, layer.depth, step.step);
    }
    for (var b = lane; b < step.rows && inside; b += LANES) {
        let at_z = b * o + f;
        let value = z[layer.z + at_z];
        let xhat = (((value - shift) - mean) - left) * rstd;
        var a = 0.0;
        if (layer.flags & NORMALIZED) != 0u {
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
        atomicMin(&state[job.y].first_bad, step.step);
    }
}
