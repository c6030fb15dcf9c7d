// Percentiles of a layer's Z [B, O], or, NORMALIZED_Z, of y = gamma xhat + beta, by nearest rank: of n values in order,
// the ceil(p n / 100)-th, for each p of PERCENTS.
//
// Radix selection: numbers become integers in the same order; four passes count them by their next 8 bits, highest
// first, each percentile among those that begin as it does. Integers alone are added up: the order does not matter.
//
// Grid: one workgroup for all units of a layer of a member, and one for its unit 0.

override NORMALIZED_Z: bool = false;

@group(1) @binding(0) var<storage, read> layers: array<Layer>;
@group(1) @binding(1) var<storage, read> steps: array<Step>;
@group(1) @binding(2) var<storage, read> work: Work; // (layer, member, where to, 1 of unit 0)
@group(1) @binding(3) var<storage, read> params: array<f32>;
@group(1) @binding(4) var<storage, read> z: array<f32>;
@group(1) @binding(5) var<storage, read_write> looks: array<u32>; // bits: a float may lose a NaN's

const LANES: u32 = 256;
const BINS: u32 = 256; // of 8 bits
const SIGN: u32 = 0x80000000u;

var<workgroup> bins: array<atomic<u32>, PERCENTILES * BINS>;
var<workgroup> prefixes: array<u32, PERCENTILES>; // the highest bits of each percentile's key, as far as they are known
var<workgroup> ranks: array<u32, PERCENTILES>; // among the values with these, from 1

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
    let width = select(layer.outputs, 1u, job.w == 1u);
    let n = min(step.rows, max(MOST_VALUES / width, 1u)) * width;
    if lane < PERCENTILES {
        var percents = PERCENTS;
        // ceil(p n / 100), which must not overflow.
        ranks[lane] = percents[lane] * (n / 100u) + (percents[lane] * (n % 100u) + 99u) / 100u;
        prefixes[lane] = 0u;
    }
    var known = 0u; // the bits of the prefixes
    for (var shift = 32u; shift > 0u; ) {
        shift -= 8u;
        for (var bin = lane; bin < PERCENTILES * BINS; bin += LANES) {
            atomicStore(&bins[bin], 0u);
        }
        workgroupBarrier();
        //#for p 0..PERCENTILES
        let prefix$p = prefixes[$p];
        //#end
        for (var i = lane; i < n; i += LANES) {
            let key = key_of(value(layer, i, width));
            let bin = (key >> shift) & (BINS - 1u);
            //#for p 0..PERCENTILES
            if ((key ^ prefix$p) & known) == 0u {
                atomicAdd(&bins[$p * BINS + bin], 1u);
            }
            //#end
        }
        workgroupBarrier();
        if lane < PERCENTILES {
            var rank = ranks[lane];
            var bin = 0u;
            for (; bin < BINS - 1u; bin++) {
                let count = atomicLoad(&bins[lane * BINS + bin]);
                if rank <= count {
                    break;
                }
                rank -= count;
            }
            ranks[lane] = rank;
            prefixes[lane] |= bin << shift;
        }
        known |= (BINS - 1u) << shift;
        workgroupBarrier();
    }
    if lane < PERCENTILES {
        let key = prefixes[lane];
        looks[job.z + lane] = select(~key, key ^ SIGN, key >= SIGN);
    }
}

// Value i of those that are looked at, `width` of each row.
fn value(layer: Layer, i: u32, width: u32) -> f32 {
    let f = i % width;
    let value = z[layer.z + i / width * layer.outputs + f];
    if NORMALIZED_Z {
        return params[layer.b + f] * value + params[layer.beta + f];
    }
    return value;
}

// Integers in the order of the numbers: -NaN, -infinity, ..., -0, 0, ..., infinity, NaN.
fn key_of(value: f32) -> u32 {
    let bits = bitcast<u32>(value);
    return select(bits | SIGN, ~bits, bits >= SIGN);
}
