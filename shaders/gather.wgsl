// x [B, I] = rows of the data, scaled and embedded; their numbers into `index`.
//
// A row stands at a position of the epoch's permutation of the training rows that are not held out (training), or in
// stored order (evaluation, windows).
// Bytes lie four to a word: (byte - shift) * factor, both per feature. They are not embedded: input i is feature i.
// Grid: one workgroup of LANES for GATHER_ROWS rows x GATHER_INPUTS inputs. No reductions.

override BYTES: bool = true;

@group(1) @binding(0) var<storage, read> layers: array<Layer>;
@group(1) @binding(1) var<storage, read> steps: array<Step>;
@group(1) @binding(2) var<storage, read> work: Work; // (layer, member, first row, first input)
@group(1) @binding(3) var<storage, read> data: array<u32>;
@group(1) @binding(4) var<storage, read> scaling: array<vec2f>; // (shift, factor) of each feature
@group(1) @binding(5) var<storage, read> inputs: array<Input>;
@group(1) @binding(6) var<storage, read_write> index: array<u32>;
@group(1) @binding(7) var<storage, read_write> acts: array<f32>;

// Inputs of an invocation: neighbours where they are bytes of one word, else LANES apart.
const PER_LANE: u32 = 4u;
const LANES: u32 = GATHER_INPUTS / PER_LANE;

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
    let end = min(job.z + GATHER_ROWS, step.rows);
    let shuffled = (step.flags & SHUFFLED) != 0u;
    var key = vec4u(0u);
    if shuffled {
        key = stream_key(layer.member, SHUFFLE, 0u, step.epoch);
    }
    let words = BYTES && layer.inputs % 4u == 0u;
    for (var b = job.z; b < end; b++) {
        var row = step.first + b;
        if shuffled {
            row = permuted(key, layer.member.train_rows, row);
            if row >= layer.member.held_out {
                row += layer.member.held_out_rows;
            }
        }
        if job.w + lane == 0u {
            index[layer.member.first_row + b] = row;
        }
        let source = row * layer.member.features;
        let to = layer.x + b * layer.inputs;
        let f = job.w + PER_LANE * lane;
        if words && f < layer.inputs {
            let word = data[(source + f) / 4u];
            for (var i = 0u; i < PER_LANE; i++) {
                let shift_factor = scaling[f + i];
                acts[to + f + i] = (f32((word >> (8u * i)) & 0xffu) - shift_factor.x) * shift_factor.y;
            }
        } else if !words {
            for (var f = job.w + lane; f < min(job.w + GATHER_INPUTS, layer.inputs); f += LANES) {
                var value = 0.0;
                if BYTES {
                    let at_data = source + f;
                    let byte = (data[at_data / 4u] >> (8u * (at_data % 4u))) & 0xffu;
                    value = (f32(byte) - scaling[f].x) * scaling[f].y;
                } else if layer.member.embeds != 0u {
                    let input = inputs[layer.member.first_input + f];
                    value = bitcast<f32>(data[source + input.feature]);
                    if input.kind == BIN {
                        value = clamp((value - input.low) * input.factor, 0.0, 1.0);
                    }
                } else {
                    value = bitcast<f32>(data[source + f]);
                }
                acts[to + f] = value;
            }
        }
    }
}
