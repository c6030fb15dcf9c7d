// The optimisers, on each parameter p with gradient g (scaled by clipping) and moments (m, v).
//
//   0 Adam      m = b1 m + (1 - b1) g, v = b2 v + (1 - b2) g^2, p -= lr m c1 / (sqrt(v c2) + eps),
//               c = 1 / (1 - b^t)                          Kingma & Ba 2014, arXiv 1412.6980, algorithm 1
//   1 SGD       m = momentum m + g, p -= lr m
//   2 Nesterov  m = momentum m + g, p -= lr (g + momentum m)
//   3 RMSprop   v = alpha v + (1 - alpha) g^2, p -= lr g / (sqrt(v) + eps)
//
// Weights are first multiplied by 1 - lr * weight decay (Loshchilov & Hutter 2017, arXiv 1711.05101).
// Grid: one workgroup of 256 for a chunk of at most 1,024. No reductions.

@group(1) @binding(0) var<storage, read> layers: array<Layer>;
@group(1) @binding(1) var<storage, read> steps: array<Step>;
@group(1) @binding(2) var<storage, read> work: Work; // (layer, length | kind << 16, start, chunk)
@group(1) @binding(3) var<storage, read> grads: array<f32>;
@group(1) @binding(4) var<storage, read_write> params: array<f32>;
@group(1) @binding(5) var<storage, read_write> moments: array<vec2f>;
@group(1) @binding(6) var<storage, read_write> state: array<State>;

const LANES: u32 = 256;
const ADAM: u32 = 0;
const NESTEROV: u32 = 2;
const RMSPROP: u32 = 3;

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
    let step = steps[now.slot * now.members + member.id];
    if step.rows == 0u {
        return;
    }
    let length = job.y & 0xffffu;
    let keep = select(1.0, step.keep, (job.y >> 16u) == 0u);
    let scale = state[member.id].scale;
    var finite = true;
    for (var i = lane; i < length; i += LANES) {
        let g = grads[job.z + i] * scale;
        var p = params[job.z + i] * keep;
        var m = moments[job.z + i].x;
        var v = moments[job.z + i].y;
        if member.optimizer == ADAM {
            m = member.decay1 * m + member.rest1 * g;
            v = member.decay2 * v + member.rest2 * (g * g);
            p -= step.lr * (m * step.correction1) / (sqrt(v * step.correction2) + member.eps);
        } else if member.optimizer == RMSPROP {
            v = member.decay1 * v + member.rest1 * (g * g);
            p -= step.lr * g / (sqrt(v) + member.eps);
        } else {
            m = member.decay1 * m + g;
            p -= step.lr * select(m, g + member.decay1 * m, member.optimizer == NESTEROV);
        }
        params[job.z + i] = p;
        moments[job.z + i] = vec2f(m, v);
        finite = finite && is_finite(p) && is_finite(m) && is_finite(v);
    }
    if !finite {
        atomicMin(&state[member.id].first_bad, step.step);
    }
}
