// The output layer [B, O], O at most TILE_N: Z = X W + b, the loss and dZ of each row, db.
//
// Fuses matmul.wgsl, loss.wgsl and batch_norm_backward.wgsl. Grid: one workgroup for a member.
// Order of db's sums: 16 partial sums, of the rows r, r + 16, ... ascending, then these ascending.

@group(1) @binding(0) var<storage, read> layers: array<Layer>;
@group(1) @binding(1) var<storage, read> steps: array<Step>;
@group(1) @binding(2) var<storage, read> work: Work; // (output layer, member, -, -)
@group(1) @binding(3) var<storage, read> targets: array<u32>;
@group(1) @binding(4) var<storage, read> index: array<u32>;
@group(1) @binding(5) var<storage, read> params: array<f32>;
@group(1) @binding(6) var<storage, read> acts: array<f32>;
@group(1) @binding(7) var<storage, read_write> z: array<f32>;
@group(1) @binding(8) var<storage, read_write> dz: array<f32>;
@group(1) @binding(9) var<storage, read_write> row_loss: array<vec2f>;
@group(1) @binding(10) var<storage, read_write> grads: array<f32>;

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
    let rows = steps[now.slot * now.members + job.y].rows;
    if rows == 0u {
        return;
    }
    let o = layer.outputs;
    linear(layer, 0u, rows, 0u, lane);
    storageBarrier();
    workgroupBarrier();
    for (var b = lane; b < rows; b += LANES) {
        loss_of(layer, rows, b);
    }
    storageBarrier();
    workgroupBarrier();
    for (var j = 0u; j < col_count(o); j++) {
        let f = col_of(lane, j);
        var sum = 0.0;
        for (var p = 0u; p < OWN; p++) {
            var part = 0.0;
            for (var b = row_of(lane, 0u) + p; b < rows && f < o; b += PARTS) {
                part += dz[layer.z + b * o + f];
            }
            sum += part;
        }
        sum = sum_over_rows(vec2f(sum, 0.0), lane).x;
        if f < o && row_of(lane, 0u) == 0u {
            grads[layer.b + f] = sum;
        }
    }
}
