// Counter-based random numbers, the same integers as src/population/random.rs.
//
// PCG4D: Jarzynski & Olano 2020, "Hash Functions for GPU Rendering", JCGT 9(3).

fn pcg4d(seed: vec4u) -> vec4u {
    var v = seed * 1664525u + 1013904223u;
    v.x += v.y * v.w;
    v.y += v.z * v.x;
    v.z += v.x * v.y;
    v.w += v.y * v.z;
    v ^= v >> vec4u(16u);
    v.x += v.y * v.w;
    v.y += v.z * v.x;
    v.z += v.x * v.y;
    v.w += v.y * v.z;
    return v;
}

// Key of one stream: `sub` is the layer, `counter` the step or epoch.
fn stream_key(m: Member, purpose: u32, sub: u32, counter: u32) -> vec4u {
    return pcg4d(vec4u(m.seed_lo, m.seed_hi, (purpose << 16u) | sub, counter));
}

// The four words of a stream at `index`.
fn words(key: vec4u, index: u32) -> vec4u {
    return pcg4d(vec4u(key.xyz, key.w ^ index));
}

fn halves(v: vec4u) -> u32 {
    let s = (v & vec4u(0xffffu)) + (v >> vec4u(16u));
    return s.x + s.y + s.z + s.w;
}

// A standard normal number: 16 uniform 16-bit integers, summed, centred, scaled (Irwin-Hall).
fn normal(key: vec4u, index: u32) -> f32 {
    let sum = halves(words(key, 2u * index)) + halves(words(key, 2u * index + 1u));
    return (f32(sum) - NORMAL_CENTRE) * NORMAL_SCALE;
}

fn mix_round(x: u32, k: u32, mask: u32, fold: u32) -> u32 {
    let y = (((x + k) & mask) * (0x9e3779b1u ^ ((k >> 15u) << 1u))) & mask;
    return y ^ (y >> fold);
}

// Row at `position` of the epoch's permutation of 0..n.
fn permuted(key: vec4u, n: u32, position: u32) -> u32 {
    let bits = 32u - min(countLeadingZeros(n - 1u), 31u);
    var mask = 0xffffffffu;
    if bits < 32u {
        mask = (1u << bits) - 1u;
    }
    let fold = (bits + 1u) / 2u;
    let a = words(key, 0u);
    let b = words(key, 1u);
    var x = position;
    loop {
        x = mix_round(x, a.x, mask, fold);
        x = mix_round(x, a.y, mask, fold);
        x = mix_round(x, a.z, mask, fold);
        x = mix_round(x, a.w, mask, fold);
        x = mix_round(x, b.x, mask, fold);
        x = mix_round(x, b.y, mask, fold);
        x = mix_round(x, b.z, mask, fold);
        x = mix_round(x, b.w, mask, fold);
        if x < n {
            break;
        }
    }
    return x;
}
