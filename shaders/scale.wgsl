// The inputs of the sub-models [B, S I]: z = x, a = x times the factors of each sub-model, of rows `first`,
// first + LANES_M, ... before end; returns whether all are finite. Shared by kernels that declare acts, params and z.

fn scale_column(layer: Layer, f: u32, first: u32, end: u32) -> bool {
    let source = layer.x + f % layer.inputs;
    let factor = params[layer.b + f];
    var finite = true;
    for (var b = first; b < end; b += LANES_M) {
        let x = acts[source + b * layer.inputs];
        let a = factor * x;
        finite = finite && is_finite(a);
        z[layer.z + b * layer.outputs + f] = x;
        acts[layer.a + b * layer.outputs + f] = a;
    }
    return finite;
}
