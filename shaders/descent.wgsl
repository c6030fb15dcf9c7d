// The weights' gradient and the optimiser in one: dW = X^T dZ (+ lambda W) stays in registers.
//
// Fuses matmul.wgsl (BACKWARD_WEIGHT), grad_norm.wgsl and update.wgsl for members without gradient clipping: gradients of
// weights are never written. Gradients of biases, gamma and beta are read from grads.
// Grid: one workgroup for a block of block_sum.wgsl.

@group(1) @binding(0) var<storage, read> layers: array<Layer>;
@group(1) @binding(1) var<storage, read> steps: array<Step>;
@group(1) @binding(2) var<storage, read> work: Work; // (layer, first, size, block)
@group(1) @binding(3) var<storage, read> acts: array<f32>;
@group(1) @binding(4) var<storage, read> dz: array<f32>;
@group(1) @binding(5) var<storage, read> grads: array<f32>;
@group(1) @binding(6) var<storage, read_write> params: array<f32>;
@group(1) @binding(7) var<storage, read_write> moments: array<vec2f>;
@group(1) @binding(8) var<storage, read_write> partials: array<f32>;
@group(1) @binding(9) var<storage, read_write> state: array<State>;

const LEFT_ALONG_K: bool = false;
const RIGHT_ALONG_K: bool = false;

fn left_value(i: u32) -> f32 {
    return acts[i];
}
fn right_value(i: u32) -> f32 {
    return dz[i];
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
    let step = steps[now.slot * now.members + layer.member.id];
    if step.rows == 0u {
        return;
    }
    let products = products_of(layer);
    let weights = (job.z & VECTOR) == 0u;
    if weights {
        let size = products.inputs * products.outputs;
        let nth = (job.y - layer.w) / size;
        let i0 = (job.y - layer.w) % size / products.outputs;
        let o0 = (job.y - layer.w) % products.outputs;
        let x = Operand(layer.x + nth * products.inputs + i0, 1u, products.x_stride);
        let dz_ = Operand(layer.z + nth * products.outputs + o0, 1u, products.z_stride);
        multiply(x, dz_, products.inputs - i0, products.outputs - o0, step.rows * products.rows, lane);
    }
    let block = block_of(job, products.outputs);
    let keep = select(1.0, step.keep, weights);
    var finite = true;
    for (var j = 0u; j < col_count(block.columns); j++) {
        var sum = 0.0;
        for (var p = 0u; p < OWN_OF_BLOCK; p++) {
            var part = 0.0;
            for (var i = p; i < row_count(block.rows); i += OWN_OF_BLOCK) {
                let at_p = element(block, row_of(lane, i), col_of(lane, j));
                if at_p != NOWHERE {
                    let before = Parameter(params[at_p], moments[at_p]);
                    var g = product_at(i, j, lane);
                    if !weights {
                        g = grads[at_p];
                    } else if layer.member.l2 != 0.0 {
                        g += layer.member.l2 * before.p;
                    }
                    part += g * g;
                    let after = descend(layer.member, step, keep, g, before);
                    params[at_p] = after.p;
                    moments[at_p] = after.moments;
                    finite = finite && all_finite(after);
                }
            }
            sum += part;
        }
        keep_column(sum, j, lane);
    }
    let sum = sum_of_columns(block);
    if lane == 0u {
        partials[layer.member.first_partial + job.w] = sum;
    }
    if !finite {
        atomicMin(&state[layer.member.id].first_bad, step.step + 1u);
    }
}
