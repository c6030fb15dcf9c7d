// What a device can do at most: multiply-adds in registers (MODE 0), a copy (1), nothing (2).
//
// Grid: workgroups of 64; MODE 0: each invocation 32 sums of 256 multiply-adds; MODE 1: one element each.

override MODE: u32 = 0u;

@group(0) @binding(0) var<storage, read> source: array<f32>;
@group(0) @binding(1) var<storage, read_write> sink: array<f32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
    let at = id.y * grid.x * 64u + id.x;
    if MODE == 0u {
        let factor = vec4f(source[0]);
        let term = vec4f(source[1]);
        //#for s 0..8
        var sum$s = vec4f(f32(at) + $s.0);
        //#end
        for (var turn = 0u; turn < 256u; turn++) {
            //#for s 0..8
            sum$s = fma(sum$s, factor, term);
            //#end
        }
        var sum = vec4f(0.0);
        //#for s 0..8
        sum += sum$s;
        //#end
        sink[at] = sum.x + sum.y + sum.z + sum.w;
    } else if MODE == 1u {
        sink[at] = source[at];
    }
}
