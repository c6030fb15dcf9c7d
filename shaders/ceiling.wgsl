// Peak rates of a device: multiply-adds in registers (MODE MULTIPLY_ADD), a copy (COPY), nothing (NOTHING).
//
// Grid: workgroups of CEILING_LANES. MULTIPLY_ADD: each invocation computes 4 CEILING_VECTORS sums of CEILING_TURNS
// multiply-adds. COPY: one element each.

override MODE: u32 = MULTIPLY_ADD;

@group(0) @binding(0) var<storage, read> source: array<f32>;
@group(0) @binding(1) var<storage, read_write> sink: array<f32>;

@compute @workgroup_size(CEILING_LANES)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) grid: vec3u) {
    let at = id.y * grid.x * CEILING_LANES + id.x;
    if MODE == MULTIPLY_ADD {
        let factor = vec4f(source[0]);
        let term = vec4f(source[1]);
        //#for s 0..CEILING_VECTORS
        var sum$s = vec4f(f32(at) + $s.0);
        //#end
        for (var turn = 0u; turn < CEILING_TURNS; turn++) {
            //#for s 0..CEILING_VECTORS
            sum$s = fma(sum$s, factor, term);
            //#end
        }
        var sum = vec4f(0.0);
        //#for s 0..CEILING_VECTORS
        sum += sum$s;
        //#end
        sink[at] = sum.x + sum.y + sum.z + sum.w;
    } else if MODE == COPY {
        sink[at] = source[at];
    }
}
