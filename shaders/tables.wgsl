// The tables that describe a population: members, layers, steps.
//
// Part of every kernel, after the constants of src/engine/gpu/constants.rs. Twins of src/population/tables.rs; a test
// compares their layouts.

struct Member {
    seed_lo: u32,
    seed_hi: u32,
    first_layer: u32,
    layers: u32,
    first_row: u32,
    capacity: u32,
    first_partial: u32,
    partials: u32,
    train_rows: u32,
    outputs: u32,
    loss: u32,
    optimizer: u32,
    decay1: f32,
    decay2: f32,
    rest1: f32,
    rest2: f32,
    eps: f32,
    l2: f32,
    clip_norm: f32,
    drop_below: u32,
    drop_scale: f32,
    bn_eps: f32,
    bn_momentum: f32,
    id: u32,
    features: u32,
    first_input: u32,
    embeds: u32,
    held_out: u32,
    held_out_rows: u32,
}

// One input of a member's network.
struct Input {
    feature: u32,
    kind: u32,
    low: f32,
    factor: f32,
}

// One layer, with the constants of its member.
struct Layer {
    inputs: u32,
    outputs: u32,
    flags: u32,
    activation: u32,
    w: u32,
    b: u32,
    beta: u32,
    stats: u32,
    x: u32,
    a: u32,
    z: u32,
    init_std: f32,
    depth: u32,
    sub_models: u32,
    _pad0: u32,
    _pad1: u32,
    member: Member,
}

// What one member does in one step.
struct Step {
    step: u32,
    rows: u32,
    first: u32,
    epoch: u32,
    flags: u32,
    lr: f32,
    correction1: f32,
    correction2: f32,
    keep: f32,
    nonce: u32,
    _pad0: u32,
    _pad1: u32,
}

// What one member reports of one step.
struct Record {
    loss: f32,
    hits: u32,
    grad_norm: f32,
    first_bad: u32,
    step: u32,
    rows: u32,
    nonce: u32,
    _pad: u32,
}

// One member's clipping scale, and the first step at which it was not finite.
struct State {
    scale: f32,
    first_bad: atomic<u32>,
}

// The workgroups of one operation: how many, and what each does.
struct Work {
    count: u32,
    jobs: array<vec4u>,
}

// Which step of the submit this is.
struct Now {
    slot: u32,
    members: u32,
    _pad0: u32,
    _pad1: u32,
}

@group(0) @binding(0) var<uniform> now: Now;

// Index of a workgroup in a grid that was folded because one dimension holds at most 65,535.
fn flat(workgroup: vec3u, grid: vec3u) -> u32 {
    return workgroup.y * grid.x + workgroup.x;
}

// Whether v is neither NaN nor infinite, by its bits: comparisons may assume that there is no NaN.
fn is_finite(v: f32) -> bool {
    return (bitcast<u32>(v) & 0x7f800000u) != 0x7f800000u;
}

// NaN: the result for a number that is no variant. The number keeps it from being a constant expression.
fn not_a_number(number: u32) -> f32 {
    return bitcast<f32>(0x7fc00000u | number);
}
