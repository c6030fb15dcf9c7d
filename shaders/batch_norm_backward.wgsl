// dA -> dZ of a layer [B, O], in place: dropout, activation, batch normalisation; dgamma and dbeta, or db.
//
// dy = dA * mask * f'(y); dbeta = sum dy, dgamma = sum dy xhat;
// dz = gamma / sqrt(var + eps) * (dy - mean(dy) - xhat mean(dy xhat)).  Without normalisation dz = dy, db = sum dy.
// Ioffe & Szegedy 2015, arXiv 1502.03167, section 3, simplified to one centred form.
//
// Grid: one workgroup of 16 x 16 owns all rows of 16 features. Order of sums: each lane its rows ascending
// (lane, lane + 16, ...), then the 16 lanes ascending.

@group(1) @binding(0) var<storage, read> layers: array<Layer>;
@group(1) @binding(1) var<storage, read> steps: array<Step>;
@group(1) @binding(2) var<storage, read> work: Work; // (layer, member, first feature, -)
@group(1) @binding(3) var<storage, read> params: array<f32>;
@group(1) @binding(4) var<storage, read> stats: array<f32>;
@group(1) @binding(5) var<storage, read> z: array<f32>;
@group(1) @binding(6) var<storage, read_write> dz: array<f32>;
@group(1) @binding(7) var<storage, read_write> grads: array<f32>;

const FEATURES: u32 = 16;
const LANES: u32 = 16;

var<workgroup> sums: array<vec2f, 256>; // [LANES, FEATURES]

// Sum over the lanes of one feature.
fn reduce(value: vec2f, lane: u32, feature: u32) -> vec2f {
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
    let normalized = (layer.flags & NORMALIZED) != 0u;
    let hidden = (layer.flags & HIDDEN) != 0u;
    var gamma = 1.0;
    var beta = 0.0;
    if normalized {
        gamma = params[layer.b + f];
        beta = params[layer.beta + f];
    }
    let below = select(0u, layer.member.drop_below, hidden);
    var key = vec4u(0u);
    if below > 0u {
        key = stream_key(layer.member, DROPOUT, layer.depth, step.step);
    }

    var sum = vec2f(0.0); // dy, dy xhat
    for (var b = lane; b < step.rows && inside; b += LANES) {
        let at_z = b * o + f;
        let xhat = z[layer.z + at_z];
        var dy = dz[layer.z + at_z];
        if hidden {
            dy *= activate_slope(layer.activation, gamma * xhat + beta);
        }
        if below > 0u {
            dy = select(dy * layer.member.drop_scale, 0.0, words(key, at_z).x < below);
        }
        dz[layer.z + at_z] = dy;
        sum += vec2f(dy, dy * xhat);
    }
    let total = reduce(sum, lane, local.x);
    if lane == 0u && inside {
        if normalized {
            grads[layer.b + f] = total.y;
            grads[layer.beta + f] = total.x;
        } else {
            grads[layer.b + f] = total.x;
        }
    }
    if !normalized {
        return;
    }
    // An invocation reads back only what it wrote itself.
    let mean = total / f32(step.rows);
    let scale = gamma * stats[layer.stats + 4u * o + f];
    for (var b = lane; b < step.rows && inside; b += LANES) {
        let at_z = layer.z + b * o + f;
        dz[at_z] = scale * ((dz[at_z] - mean.x) - z[at_z] * mean.y);
    }
}
