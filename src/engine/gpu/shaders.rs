//! The kernels: which files a shader is made of, its constants, its tile, what it binds.

use sha2::{Digest, Sha256};

use super::passes::Pass;
use super::tiles::{Abilities, Cooperative, Family, Shape, Tile, Ways};
use crate::population::Buffer;
use crate::step::{Op, Product, StepKind};

/// What a kernel binds, in the order of its bindings in group 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binding {
    /// The layer table, with each member's constants.
    Layers,
    /// The step table of the submit.
    Steps,
    /// The list of the operation's workgroups.
    Work,
    /// Feature values of the data.
    Data,
    /// (shift, factor) of each feature.
    Scaling,
    /// Targets of the data.
    Targets,
    /// What the steps report.
    Records,
    /// A role of memory, read.
    Read(Buffer),
    /// A role of memory, read and written.
    Write(Buffer),
}

impl Binding {
    /// Whether the kernel writes it.
    pub fn is_written(self) -> bool {
        matches!(self, Binding::Write(_) | Binding::Records)
    }
}

/// One kernel: a shader with its constants.
#[derive(Clone, Copy, Debug)]
pub struct Kernel {
    pub name: &'static str,
    /// The file in `shaders/`.
    pub file: &'static str,
    /// Its text and the texts put in front of it, after those of its tile.
    parts: &'static [&'static str],
    /// Which of a device's tiles its workgroups are, if any.
    pub shape: Option<Shape>,
    /// Whether it multiplies, too.
    multiplies: bool,
    /// Values of its `override`s.
    pub constants: &'static [(&'static str, f64)],
    pub bindings: &'static [Binding],
}

macro_rules! shader {
    ($name:literal) => {
        include_str!(concat!("../../../shaders/", $name, ".wgsl"))
    };
}

const TABLES: &str = shader!("tables");
const RANDOM: &str = shader!("random");
const ACTIVATION: &str = shader!("activation");
const LINEAR: &str = shader!("linear");

const LANES_WORKGROUP: &str = shader!("lanes_workgroup");
const LANES_SUBGROUP: &str = shader!("lanes_subgroup");
const TILE: &str = shader!("tile");
const TILE_WORKGROUP: &str = shader!("tile_workgroup");
const TILE_SUBGROUP: &str = shader!("tile_subgroup");
const TILE_COOPERATIVE: &str = shader!("tile_cooperative");

use Binding::{Data, Layers, Read, Records, Scaling, Steps, Targets, Work, Write};

const GATHER: Kernel = Kernel {
    name: "gather",
    file: "gather.wgsl",
    parts: &[RANDOM, shader!("gather")],
    shape: None,
    multiplies: false,
    constants: &[],
    bindings: &[Layers, Steps, Work, Data, Scaling, Write(Buffer::Index), Write(Buffer::Acts)],
};
const MATMUL: Kernel = Kernel {
    name: "matmul",
    file: "matmul.wgsl",
    parts: &[shader!("matmul")],
    shape: Some(Shape::Product),
    multiplies: true,
    constants: &[],
    bindings: &[],
};
const BATCH_NORM: Kernel = Kernel {
    name: "batch norm",
    file: "batch_norm.wgsl",
    parts: &[RANDOM, ACTIVATION, LINEAR, shader!("batch_norm")],
    shape: Some(Shape::Features),
    multiplies: true,
    constants: &[("WITH_PRODUCT", 0.0)],
    bindings: &[
        Layers,
        Steps,
        Work,
        Read(Buffer::Params),
        Write(Buffer::Stats),
        Write(Buffer::Z),
        Write(Buffer::Acts),
        Write(Buffer::State),
    ],
};
const BATCH_NORM_INFERENCE: Kernel = Kernel {
    name: "batch norm inference",
    file: "batch_norm_inference.wgsl",
    parts: &[ACTIVATION, LINEAR, shader!("batch_norm_inference")],
    bindings: &[
        Layers,
        Steps,
        Work,
        Read(Buffer::Params),
        Read(Buffer::Stats),
        Write(Buffer::Z),
        Write(Buffer::Acts),
        Write(Buffer::State),
    ],
    ..BATCH_NORM
};
const BATCH_NORM_BACKWARD: Kernel = Kernel {
    name: "batch norm backward",
    file: "batch_norm_backward.wgsl",
    parts: &[RANDOM, ACTIVATION, shader!("batch_norm_backward")],
    bindings: &[
        Layers,
        Steps,
        Work,
        Read(Buffer::Params),
        Read(Buffer::Stats),
        Read(Buffer::Z),
        Write(Buffer::Dz),
        Write(Buffer::Grads),
    ],
    ..BATCH_NORM
};
const RECORD: Kernel = Kernel {
    name: "record",
    file: "record.wgsl",
    parts: &[shader!("record")],
    shape: None,
    multiplies: false,
    constants: &[],
    bindings: &[
        Layers,
        Steps,
        Work,
        Read(Buffer::RowLoss),
        Read(Buffer::Partials),
        Write(Buffer::State),
        Records,
    ],
};

const PERCENTILES: Kernel = Kernel {
    name: "percentiles",
    file: "percentiles.wgsl",
    parts: &[shader!("percentiles")],
    shape: None,
    multiplies: false,
    constants: &[],
    bindings: &[Layers, Steps, Work, Read(Buffer::Params), Read(Buffer::Z), Write(Buffer::Looks)],
};

/// The text of `shaders/ceiling.wgsl`, which is no operation's.
pub fn ceiling() -> String {
    let mut text = String::new();
    expand(shader!("ceiling"), &[], &mut text);
    text
}

/// Every kernel.
pub const KERNELS: [Kernel; 22] = [
    Kernel { name: "gather bytes", constants: &[("BYTES", 1.0)], ..GATHER },
    Kernel { name: "gather floats", constants: &[("BYTES", 0.0)], ..GATHER },
    Kernel {
        name: "matmul forward",
        constants: &[("PRODUCT", 0.0)],
        bindings: &[
            Layers,
            Steps,
            Work,
            Read(Buffer::Acts),
            Read(Buffer::Params),
            Read(Buffer::Params),
            Write(Buffer::Z),
        ],
        ..MATMUL
    },
    Kernel {
        name: "matmul backward input",
        constants: &[("PRODUCT", 1.0), ("RIGHT_ALONG_K", 1.0)],
        bindings: &[
            Layers,
            Steps,
            Work,
            Read(Buffer::Acts),
            Read(Buffer::Params),
            Read(Buffer::Params),
            Write(Buffer::Dz),
        ],
        ..MATMUL
    },
    Kernel {
        name: "matmul backward weight",
        constants: &[("PRODUCT", 2.0), ("LEFT_ALONG_K", 0.0)],
        bindings: &[
            Layers,
            Steps,
            Work,
            Read(Buffer::Acts),
            Read(Buffer::Dz),
            Read(Buffer::Params),
            Write(Buffer::Grads),
        ],
        ..MATMUL
    },
    BATCH_NORM,
    BATCH_NORM_INFERENCE,
    Kernel {
        name: "loss",
        file: "loss.wgsl",
        parts: &[ACTIVATION, shader!("row_loss"), shader!("loss")],
        shape: None,
        multiplies: false,
        constants: &[],
        bindings: &[
            Layers,
            Steps,
            Work,
            Targets,
            Read(Buffer::Index),
            Read(Buffer::Z),
            Write(Buffer::Dz),
            Write(Buffer::RowLoss),
        ],
    },
    BATCH_NORM_BACKWARD,
    Kernel {
        name: "gradient norm",
        file: "grad_norm.wgsl",
        parts: &[shader!("block_sum"), shader!("grad_norm")],
        shape: Some(Shape::Block),
        multiplies: false,
        constants: &[],
        bindings: &[Layers, Steps, Work, Read(Buffer::Grads), Write(Buffer::Partials)],
    },
    Kernel { name: "record training", constants: &[("TRAIN", 1.0)], ..RECORD },
    Kernel { name: "record evaluation", constants: &[("TRAIN", 0.0)], ..RECORD },
    Kernel {
        name: "update",
        file: "update.wgsl",
        parts: &[shader!("optimizer"), shader!("update")],
        shape: None,
        multiplies: false,
        constants: &[],
        bindings: &[
            Layers,
            Steps,
            Work,
            Read(Buffer::Grads),
            Write(Buffer::Params),
            Write(Buffer::Moments),
            Write(Buffer::State),
        ],
    },
    Kernel {
        name: "initialize",
        file: "initialize.wgsl",
        parts: &[RANDOM, shader!("initialize")],
        shape: None,
        multiplies: false,
        constants: &[],
        bindings: &[
            Layers,
            Work,
            Write(Buffer::Params),
            Write(Buffer::Moments),
            Write(Buffer::Stats),
            Write(Buffer::State),
        ],
    },
    Kernel { name: "hidden", constants: &[("WITH_PRODUCT", 1.0)], ..BATCH_NORM },
    Kernel { name: "hidden inference", constants: &[("WITH_PRODUCT", 1.0)], ..BATCH_NORM_INFERENCE },
    Kernel { name: "hidden backward", constants: &[("WITH_PRODUCT", 1.0)], ..BATCH_NORM_BACKWARD },
    Kernel {
        name: "output",
        file: "output.wgsl",
        parts: &[ACTIVATION, LINEAR, shader!("row_loss"), shader!("output")],
        shape: Some(Shape::Output),
        constants: &[],
        bindings: &[
            Layers,
            Steps,
            Work,
            Targets,
            Read(Buffer::Index),
            Read(Buffer::Params),
            Read(Buffer::Acts),
            Write(Buffer::Z),
            Write(Buffer::Dz),
            Write(Buffer::RowLoss),
            Write(Buffer::Grads),
        ],
        ..BATCH_NORM
    },
    Kernel {
        name: "descent",
        file: "descent.wgsl",
        parts: &[shader!("block_sum"), shader!("optimizer"), shader!("descent")],
        shape: Some(Shape::Block),
        multiplies: true,
        constants: &[],
        bindings: &[
            Layers,
            Steps,
            Work,
            Read(Buffer::Acts),
            Read(Buffer::Dz),
            Read(Buffer::Grads),
            Write(Buffer::Params),
            Write(Buffer::Moments),
            Write(Buffer::Partials),
            Write(Buffer::State),
        ],
    },
    Kernel {
        name: "batch norm, watched",
        constants: &[("WITH_PRODUCT", 0.0), ("TRACKS", 0.0)],
        ..BATCH_NORM
    },
    Kernel { name: "percentiles of Z", constants: &[("NORMALIZED_Z", 0.0)], ..PERCENTILES },
    Kernel { name: "percentiles after batch norm", constants: &[("NORMALIZED_Z", 1.0)], ..PERCENTILES },
];

/// Position in [`KERNELS`] of the kernel that runs `pass`; `bytes` where the data are bytes.
pub fn kernel_of(pass: Pass, bytes: bool) -> usize {
    match pass {
        Pass::One(op) => match op {
            Op::Gather => usize::from(!bytes),
            Op::Matmul { product: Product::Forward, .. } => 2,
            Op::Matmul { product: Product::BackwardInput, .. } => 3,
            Op::Matmul { product: Product::BackwardWeight, .. } => 4,
            Op::BatchNorm { tracks: true, .. } => 5,
            Op::BatchNorm { tracks: false, .. } => 19,
            Op::BatchNormInference { .. } => 6,
            Op::Loss => 7,
            Op::BatchNormBackward { .. } => 8,
            Op::GradNorm => 9,
            Op::Record { kind: StepKind::Train } => 10,
            Op::Record { kind: StepKind::Evaluate | StepKind::Watch } => 11,
            Op::Percentiles { normalized: false, .. } => 20,
            Op::Percentiles { normalized: true, .. } => 21,
            Op::Update => 12,
        },
        Pass::Hidden { kind: StepKind::Train | StepKind::Watch, .. } => 14,
        Pass::Hidden { kind: StepKind::Evaluate, .. } => 15,
        Pass::HiddenBackward { .. } => 16,
        Pass::Output => OUTPUT,
        Pass::Descent => DESCENT,
    }
}

/// Position in [`KERNELS`] of the kernel that fills a member's memory.
pub const INITIALIZE: usize = 13;
/// Of those that bind more than every device can.
pub const OUTPUT: usize = 17;
pub const DESCENT: usize = 18;

/// A kernel with one of the layouts that a device may take for it: one shader.
#[derive(Clone, Copy, Debug)]
pub struct Variant {
    pub kernel: &'static Kernel,
    pub tile: Option<Tile>,
}

impl Variant {
    /// The kernel and its layout, as letters, digits and hyphens.
    pub fn name(&self) -> String {
        let layout = self.tile.map_or_else(String::new, |tile| format!(" {tile}"));
        let text = format!("{}{layout}", self.kernel.name).replace(", ", " ");
        text.replace(' ', "-")
    }

    /// Whether a GPU takes this layout until `bngpu bench --tune` finds a better one.
    pub fn is_usual(&self) -> bool {
        let usual = Ways::usual(&Abilities::default());
        self.kernel.shape.is_none_or(|shape| self.tile == Some(usual.tile(shape)))
    }
}

/// Every kernel in every layout that any device may take.
pub fn variants() -> Vec<Variant> {
    let subgroups = [None, Some(4), Some(8), Some(16), Some(32), Some(64)];
    let in_f32 = subgroups.map(|subgroup| Abilities { subgroup, ..Abilities::default() });
    let cooperative = [(8, 8), (8, 32), (16, 32), (16, 64)];
    let in_f16 = cooperative.map(|(size, subgroup)| Abilities {
        cooperative: Some(Cooperative { size, subgroup }),
        ..Abilities::default()
    });
    let mut all = Vec::new();
    for kernel in &KERNELS {
        let Some(shape) = kernel.shape else {
            all.push(Variant { kernel, tile: None });
            continue;
        };
        let mut tiles = Vec::new();
        for tile in in_f32.iter().chain(&in_f16).flat_map(|can| Tile::candidates(shape, can)) {
            if !tiles.contains(&tile) {
                tiles.push(tile);
            }
        }
        all.extend(tiles.into_iter().map(|tile| Variant { kernel, tile: Some(tile) }));
    }
    all
}

/// SHA-256 of the names, constants and texts of all [`variants`]: it changes when any shader does.
pub fn fingerprint() -> String {
    let mut hash = Sha256::new();
    for variant in variants() {
        let Kernel { constants, .. } = variant.kernel;
        hash.update(format!("{} {constants:?}\n{}", variant.name(), variant.kernel.source(variant.tile)));
    }
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Kernel {
    /// The text of [`Kernel::source`] as the WGSL standard wants it: naga 30 knows subgroups, but refuses the directive
    /// that enables them.
    pub fn standard_source(&self, tile: Option<Tile>) -> String {
        let source = self.source(tile);
        let enable = if source.contains("subgroupBroadcast") { "enable subgroups;\n" } else { "" };
        format!("{enable}{source}")
    }

    /// The WGSL text for workgroups of `tile`, registers written out.
    pub fn source(&self, tile: Option<Tile>) -> String {
        let (bounds, family) =
            tile.map_or((Vec::new(), Family::Workgroup), |tile| (tile.constants(), tile.family()));
        let (lanes, product) = match family {
            Family::Workgroup => (LANES_WORKGROUP, TILE_WORKGROUP),
            Family::Subgroup => (LANES_SUBGROUP, TILE_SUBGROUP),
            Family::Cooperative(_) => (LANES_WORKGROUP, TILE_COOPERATIVE),
        };
        let mut text = String::new();
        if let Family::Cooperative(Cooperative { size, .. }) = family {
            text.push_str("enable f16;\nenable wgpu_cooperative_matrix;\n");
            for (name, of) in [("Left", "f16, A"), ("Right", "f16, B"), ("Sums", "f32, C")] {
                text.push_str(&format!("alias {name} = coop_mat{size}x{size}<{of}>;\n"));
            }
        }
        for (name, value) in &bounds {
            text.push_str(&format!("const {name}: u32 = {value}u;\n"));
        }
        let mut parts = vec![TABLES];
        if self.shape.is_some() {
            parts.extend([lanes, TILE]);
        }
        if self.multiplies {
            parts.push(product);
        }
        for part in parts.iter().chain(self.parts) {
            expand(part, &bounds, &mut text);
        }
        text
    }
}

/// Writes out the lines between `//#for NAME A..B` and its `//#end` once for each number, with `$NAME` replaced; A and B
/// are numbers or names of `bounds`, and loops stand in loops.
///
/// Private arrays indexed by a loop variable may end in slow memory; registers must be named one by one.
fn expand(text: &str, bounds: &[(&str, u32)], out: &mut String) {
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(head) = line.trim_start().strip_prefix("//#for ") else {
            out.push_str(line);
            out.push('\n');
            continue;
        };
        let (name, range) = head.split_once(' ').unwrap_or((head, "0..0"));
        let bound = |text: &str| -> u32 {
            let named = bounds.iter().find(|(name, _)| *name == text).map(|&(_, value)| value);
            named.or_else(|| text.parse().ok()).unwrap_or(0)
        };
        let (from, to) = range.split_once("..").map_or((0, 0), |(from, to)| (bound(from), bound(to)));
        let (mut body, mut depth) = (String::new(), 1);
        for line in lines.by_ref() {
            let line_ = line.trim_start();
            depth += usize::from(line_.starts_with("//#for "));
            depth -= usize::from(line_ == "//#end");
            if depth == 0 {
                break;
            }
            body.push_str(line);
            body.push('\n');
        }
        for value in from..to {
            expand(&body.replace(&format!("${name}"), &value.to_string()), bounds, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::population::tables::{LayerRow, MemberRow, Record, StepRow};
    use std::mem::{offset_of, size_of};

    fn parsed(name: &str, source: &str) -> naga::Module {
        naga::front::wgsl::parse_str(source)
            .unwrap_or_else(|e| panic!("{name}: {}", e.emit_to_string(source)))
    }

    fn module(kernel: &Kernel) -> naga::Module {
        let tile = kernel.shape.map(|shape| Tile::candidates(shape, &Abilities::default())[0]);
        parsed(kernel.name, &kernel.source(tile))
    }

    #[test]
    fn registers_are_written_out() {
        let text = "a\n  //#for r 0..N\n  let x$r = $ru;\n  //#for c 1..2\n  y$r_$c\n//#end\n  //#end\nb";
        let mut out = String::new();
        expand(text, &[("N", 2)], &mut out);
        assert_eq!(out, "a\n  let x0 = 0u;\n  y0_1\n  let x1 = 1u;\n  y1_1\nb\n");
    }

    #[test]
    fn every_variant_of_every_kernel_is_valid_and_needs_no_more_than_it_says() {
        for Variant { kernel, tile } in variants() {
            let source = kernel.source(tile);
            let flags = naga::valid::ValidationFlags::all();
            let mut needs = naga::valid::Capabilities::empty();
            if source.contains("subgroupBroadcast") {
                needs |= naga::valid::Capabilities::SUBGROUP;
            }
            if source.contains("enable wgpu_cooperative_matrix") {
                needs |= naga::valid::Capabilities::SHADER_FLOAT16;
                needs |= naga::valid::Capabilities::SHADER_FLOAT16_IN_FLOAT32;
                needs |= naga::valid::Capabilities::COOPERATIVE_MATRIX;
            }
            let mut validator = naga::valid::Validator::new(flags, needs);
            validator.subgroup_stages(naga::valid::ShaderStages::COMPUTE);
            validator.subgroup_operations(naga::valid::SubgroupOperationSet::all());
            if let Err(error) = validator.validate(&parsed(kernel.name, &source)) {
                panic!("{}: {}", kernel.name, error.emit_to_string(&source));
            }
        }
    }

    #[test]
    fn the_kernels_went_through_the_compilers_of_other_machines() {
        let checked = include_str!("../../../docs/kernels.md");
        assert!(
            checked.contains(&fingerprint()),
            "the shaders have changed since docs/kernels.md was written: run scripts/portability --write"
        );
    }

    #[test]
    fn bindings_stand_as_declared_and_within_the_default_limit() {
        for (at, kernel) in KERNELS.iter().enumerate() {
            let module = module(kernel);
            // Two are used only where a device allows more.
            let most = if [OUTPUT, DESCENT].contains(&at) { 11 } else { 8 };
            assert!(kernel.bindings.len() <= most, "{} binds too much", kernel.name);
            let mut found = vec![None; kernel.bindings.len()];
            for (_, variable) in module.global_variables.iter() {
                let Some(binding) = &variable.binding else { continue };
                if binding.group == 0 {
                    continue;
                }
                let naga::AddressSpace::Storage { access } = variable.space else {
                    panic!("{}: binding {} is no storage", kernel.name, binding.binding)
                };
                let written = access.contains(naga::StorageAccess::STORE);
                found[binding.binding as usize] = Some(written);
            }
            for (at, binding) in kernel.bindings.iter().enumerate() {
                assert_eq!(found[at], Some(binding.is_written()), "{}: binding {at}", kernel.name);
            }
        }
    }

    /// (name, offset) of the members of a WGSL struct, and its size.
    fn layout(name: &str) -> (Vec<(String, usize)>, usize) {
        let module = module(&KERNELS[5]);
        let (_, ty) = module
            .types
            .iter()
            .find(|(_, t)| t.name.as_deref() == Some(name))
            .unwrap_or_else(|| panic!("no struct {name}"));
        let naga::TypeInner::Struct { members, span } = &ty.inner else { panic!("{name} is no struct") };
        let names = members.iter().map(|m| (m.name.clone().unwrap_or_default(), m.offset as usize)).collect();
        (names, *span as usize)
    }

    macro_rules! assert_twins {
        ($rust:ty, $wgsl:literal, $extra:expr, [$($field:ident),* $(,)?]) => {{
            let (members, size) = layout($wgsl);
            assert_eq!(size, size_of::<$rust>() + $extra, "size of {}", $wgsl);
            $(
                let at = members.iter().find(|(n, _)| n == stringify!($field)).map(|(_, at)| *at);
                assert_eq!(at, Some(offset_of!($rust, $field)), "{}.{}", $wgsl, stringify!($field));
            )*
            let named: Vec<_> = members.iter().filter(|(n, _)| !n.starts_with("_pad")).collect();
            let count = [$(stringify!($field)),*].len() + usize::from($extra > 0);
            assert_eq!(named.len(), count, "fields of {}", $wgsl);
        }};
    }

    #[test]
    fn tables_are_laid_out_alike_in_rust_and_wgsl() {
        assert_twins!(
            MemberRow,
            "Member",
            0,
            [
                seed_lo,
                seed_hi,
                first_layer,
                layers,
                first_row,
                capacity,
                first_partial,
                partials,
                train_rows,
                outputs,
                loss,
                optimizer,
                decay1,
                decay2,
                rest1,
                rest2,
                eps,
                l2,
                clip_norm,
                drop_below,
                drop_scale,
                bn_eps,
                bn_momentum,
                id
            ]
        );
        assert_twins!(
            LayerRow,
            "Layer",
            size_of::<MemberRow>(),
            [inputs, outputs, flags, activation, w, b, beta, stats, x, a, z, init_std, depth]
        );
        assert_twins!(
            StepRow,
            "Step",
            0,
            [step, rows, first, epoch, flags, lr, correction1, correction2, keep, nonce]
        );
        // `Record` is used by `record.wgsl` alone, but declared for all.
        assert_twins!(Record, "Record", 0, [loss, hits, grad_norm, first_bad, step, rows, nonce]);
    }

    #[test]
    fn constants_are_those_of_the_rust_side() {
        use crate::population::random::{NORMAL_SCALE, Purpose};
        let number = |text: &str, name: &str| -> f64 {
            let line = text.lines().find(|l| l.starts_with(&format!("const {name}:"))).expect(name);
            line.split('=').nth(1).and_then(|v| v.trim().trim_end_matches(';').parse().ok()).expect(name)
        };
        assert_eq!(number(TABLES, "NORMALIZED"), LayerRow::NORMALIZED as f64);
        assert_eq!(number(TABLES, "HIDDEN"), LayerRow::HIDDEN as f64);
        assert_eq!(number(TABLES, "NOT_AFFINE"), LayerRow::NOT_AFFINE as f64);
        assert_eq!(number(TABLES, "SHUFFLED"), StepRow::SHUFFLED as f64);
        assert_eq!(number(RANDOM, "WEIGHTS"), Purpose::Weights as u32 as f64);
        assert_eq!(number(RANDOM, "SHUFFLE"), Purpose::Shuffle as u32 as f64);
        assert_eq!(number(RANDOM, "DROPOUT"), Purpose::Dropout as u32 as f64);
        assert!(RANDOM.contains(&format!("{:.7e}", NORMAL_SCALE)), "scale of normal numbers");
        for activation in crate::spec::Activation::ALL {
            let name = activation.name().to_uppercase().replace('-', "_");
            assert_eq!(number(ACTIVATION, &name), activation as u32 as f64);
        }
    }
}
