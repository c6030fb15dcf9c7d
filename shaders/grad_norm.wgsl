// Sum of squares of each block of the gradients: see block_sum.wgsl, where the order of the sums stands.
//
// Grid: one workgroup for a block.

@group(1) @binding(0) var<storage, read> layers: array<Layer>;
@group(1) @binding(1) var<storage, read> steps: array<Step>;
@group(1) @binding(2) var<storage, read> work: Work; // (layer, first, size, block)
@group(1) @binding(3) var<storage, read> grads: array<f32>;
@group(1) @binding(4) var<storage, read_write> partials: array<f32>;

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
    if steps[now.slot * now.members + layer.member.id].rows == 0u {
        return;
    }
    let block = block_of(job, products_of(layer).outputs);
    for (var j = 0u; j < col_count(block.columns); j++) {
        var sum = 0.0;
        for (var p = 0u; p < OWN_OF_BLOCK; p++) {
            var part = 0.0;
            for (var i = p; i < row_count(block.rows); i += OWN_OF_BLOCK) {
                let at_g = element(block, row_of(lane, i), col_of(lane, j));
                if at_g != NOWHERE {
                    let g = grads[at_g];
                    part += g * g;
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
}
