// dA -> dZ of a layer [B, O], in place: dropout, activation, batch normalisation; dgamma and dbeta, or db. Before it,
// WITH_PRODUCT, dA = dZ' W'^T of the layer after it, whose values have a prime.
//
// dy = dA * mask * f'(y); dbeta = sum dy, dgamma = sum dy xhat;
// dz = gamma / sqrt(var + eps) * (dy - mean(dy) - xhat mean(dy xhat)).  Without normalisation dz = dy, db = sum dy.
// NOT_AFFINE: dgamma and dbeta are 0. SCALES: the gradient of the factors, sum dA x.
// Ioffe & Szegedy 2015, arXiv 1502.03167, section 3, simplified to one centred form.
//
// Grid: one workgroup owns all rows of TILE_N features (lanes_*.wgsl). Order of sums: 16 partial sums, of the rows
// r, r + 16, ... ascending, then these ascending, however many lanes share them.

override WITH_PRODUCT: bool = false;

@group(1) @binding(0) var<storage, read> layers: array<Layer>;
@group(1) @binding(1) var<storage, read> steps: array<Step>;
@group(1) @binding(2) var<storage, read> work: Work; // (layer, member, first feature, -)
@group(1) @binding(3) var<storage, read> params: array<f32>;
@group(1) @binding(4) var<storage, read> stats: array<f32>;
@group(1) @binding(5) var<storage, read> z: array<f32>;
@group(1) @binding(6) var<storage, read_write> dz: array<f32>;
@group(1) @binding(7) var<storage, read_write> grads: array<f32>;

const LEFT_ALONG_K: bool = true;
const RIGHT_ALONG_K: bool = true;

fn left_value(i: u32) -> f32 {
    return dz[i];
}
fn right_value(i: u32) -> f32 {
    return params[i];
}

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
    if WITH_PRODUCT {
        let next = layers[job.x + 1u];
        let k = next.outputs;
        let b = Operand(next.w + job.z * k, k, 1u);
        for (var m0 = 0u; m0 < step.rows; m0 += TILE_M) {
            multiply(Operand(next.z + m0 * k, k, 1u), b, step.rows - m0, o - job.z, k, lane);
            for (var j = 0u; j < col_count(o - job.z); j++) {
                let f = job.z + col_of(lane, j);
                for (var i = 0u; i < row_count(step.rows - m0); i++) {
                    let r = m0 + row_of(lane, i);
                    if f < o && r < step.rows {
                        dz[layer.z + r * o + f] = product_at(i, j, lane);
                    }
                }
            }
        }
        // An invocation reads below only what it wrote here.
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
    let normalized = (layer.flags & NORMALIZED) != 0u;
    let hidden = (layer.flags & HIDDEN) != 0u;
    var gamma = 1.0;
    var beta = 0.0;
    if normalized {
        gamma = params[layer.b + f];
        beta = params[layer.beta + f];
    }
    let scales = (layer.flags & SCALES) != 0u;
    let below = select(0u, layer.member.drop_below, hidden && !scales);
    var key = vec4u(0u);
    if below > 0u {
        key = stream_key(layer.member, DROPOUT, layer.depth, step.step);
    }

    var sum = vec2f(0.0); // dy, dy xhat
    for (var p = 0u; p < OWN; p++) {
        var part = vec2f(0.0);
        for (var b = first + p; b < step.rows && inside; b += PARTS) {
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
            part += vec2f(dy, dy * xhat);
        }
        sum += part;
    }
    let total = sum_over_rows(sum, lane);
    if first == 0u && inside {
        if normalized {
            let fixed = (layer.flags & NOT_AFFINE) != 0u;
            grads[layer.b + f] = select(total.y, 0.0, fixed);
            grads[layer.beta + f] = select(total.x, 0.0, fixed);
        } else {
            // Where the layer scales, z holds x.
            grads[layer.b + f] = select(total.x, total.y, scales);
        }
    }
    if !normalized {
        return;
    }
    // An invocation reads back only what it wrote itself.
    let mean = total / f32(step.rows);
    let scale = gamma * stats[layer.stats + BATCH_RSTD * o + f];
    for (var b = first; b < step.rows && inside; b += LANES_M) {
        let at_z = layer.z + b * o + f;
        dz[at_z] = scale * ((dz[at_z] - mean.x) - z[at_z] * mean.y);
    }
}
