// x [B, F] = rows of the data, scaled; their numbers into `index`.
//
// A row stands at a position of the epoch's permutation (training), or in stored order (evaluation, windows).
// Bytes lie four to a word: (byte - shift) * factor, both per feature.
// Grid: one workgroup of 64 for 16 rows x 64 features. No reductions.

override BYTES: bool = true;

@group(1) @binding(0) var<storage, read> layers: array<Layer>;
@group(1) @binding(1) var<storage, read> steps: array<Step>;
@group(1) @binding(2) var<storage, read> work: Work; // (layer, member, first row, first feature)
@group(1) @binding(3) var<storage, read> data: array<u32>;
@group(1) @binding(4) var<storage, read> scaling: array<vec2f>; // (shift, factor) of each feature
@group(1) @binding(5) var<storage, read_write> index: array<u32>;
@group(1) @binding(6) var<storage, read_write> acts: array<f32>;

const TILE_ROWS: u32 = 16;
const TILE_FEATURES: u32 = 64;

var<workgroup> tile_rows: array<u32, TILE_ROWS>;

@compute @workgroup_size(TILE_FEATURES)
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
    if job.z >= step.rows {
        return;
    }
    let rows = min(TILE_ROWS, step.rows - job.z);
    if lane < rows {
        let b = job.z + lane;
        var row = step.first + b;
        if (step.flags & SHUFFLED) != 0u {
            let key = stream_key(layer.member, SHUFFLE, 0u, step.epoch);
            row = permuted(key, layer.member.train_rows, row);
        }
        tile_rows[lane] = row;
        if job.w == 0u {
            index[layer.member.first_row + b] = row;
        }
    }
    workgroupBarrier();
    let f = job.w + lane;
    if f >= layer.inputs {
        return;
    }
    for (var r = 0u; r < rows; r++) {
        let base = tile_rows[r] * layer.inputs + f;
        var value = 0.0;
        if BYTES {
            let byte = (data[base / 4u] >> (8u * (base % 4u))) & 0xffu;
            value = (f32(byte) - scaling[f].x) * scaling[f].y;
        } else {
            value = bitcast<f32>(data[base]);
        }
        acts[layer.x + (job.z + r) * layer.inputs + f] = value;
    }
}
