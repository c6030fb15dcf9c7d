// Z = X W (+ b where the layer is not normalised), of rows `first` to `end` and the features of a workgroup from f0 on:
// shared by the kernels that use Z. They declare acts, params and z. An invocation writes the rows
// row_of(lane, i) of its features alone.

const LEFT_ALONG_K: bool = true;
const RIGHT_ALONG_K: bool = false;

fn left_value(i: u32) -> f32 {
    return acts[i];
}
fn right_value(i: u32) -> f32 {
    return params[i];
}

fn linear(layer: Layer, first: u32, end: u32, f0: u32, lane: u32) {
    let o = layer.outputs;
    let b = Operand(layer.w + f0, 1u, o);
    for (var m0 = first; m0 < end; m0 += TILE_M) {
        let a = Operand(layer.x + m0 * layer.inputs, layer.inputs, 1u);
        multiply(a, b, end - m0, o - f0, layer.inputs, lane);
        for (var j = 0u; j < col_count(o - f0); j++) {
            let f = f0 + col_of(lane, j);
            if f < o {
                var bias = 0.0;
                if (layer.flags & NORMALIZED) == 0u {
                    bias = params[layer.b + f];
                }
                for (var i = 0u; i < row_count(end - m0); i++) {
                    let r = m0 + row_of(lane, i);
                    if r < end {
                        z[layer.z + r * o + f] = product_at(i, j, lane) + bias;
                    }
                }
            }
        }
    }
}
