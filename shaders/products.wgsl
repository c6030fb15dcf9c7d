// The matrix products of a layer: `count` of them, one after another in W, side by side in X and Z. Twin of
// spec::Products.

struct Products {
    inputs: u32,
    outputs: u32,
    count: u32,
    rows: u32, // rows of X for each row of the batch
    x_stride: u32,
    z_stride: u32,
}

fn products_of(layer: Layer) -> Products {
    let inputs = layer.inputs / layer.sub_models;
    let outputs = layer.outputs / layer.sub_models;
    let hidden = (layer.flags & HIDDEN) != 0u;
    let count = select(layer.sub_models, 1u, hidden);
    return Products(inputs, outputs, count, select(1u, layer.sub_models, hidden), count * inputs, count * outputs);
}
