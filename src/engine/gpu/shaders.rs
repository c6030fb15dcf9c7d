//! The kernels: which files a shader is made of, its constants, what it binds.

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
    /// Its text and the texts put in front of it.
    parts: &'static [&'static str],
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

use Binding::{Data, Layers, Read, Records, Scaling, Steps, Targets, Work, Write};

const GATHER: &[Binding] = &[Layers, Steps, Work, Data, Scaling, Write(Buffer::Index), Write(Buffer::Acts)];
const RECORD: &[Binding] =
    &[Layers, Steps, Work, Read(Buffer::RowLoss), Read(Buffer::Partials), Write(Buffer::State), Records];

/// Every kernel.
pub const KERNELS: [Kernel; 14] = [
    Kernel {
        name: "gather bytes",
        file: "gather.wgsl",
        parts: &[TABLES, RANDOM, shader!("gather")],
        constants: &[("BYTES", 1.0)],
        bindings: GATHER,
    },
    Kernel {
        name: "gather floats",
        file: "gather.wgsl",
        parts: &[TABLES, RANDOM, shader!("gather")],
        constants: &[("BYTES", 0.0)],
        bindings: GATHER,
    },
    Kernel {
        name: "matmul forward",
        file: "matmul.wgsl",
        parts: &[TABLES, shader!("matmul")],
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
    },
    Kernel {
        name: "matmul backward input",
        file: "matmul.wgsl",
        parts: &[TABLES, shader!("matmul")],
        constants: &[("PRODUCT", 1.0)],
        bindings: &[
            Layers,
            Steps,
            Work,
            Read(Buffer::Acts),
            Read(Buffer::Params),
            Read(Buffer::Params),
            Write(Buffer::Dz),
        ],
    },
    Kernel {
        name: "matmul backward weight",
        file: "matmul.wgsl",
        parts: &[TABLES, shader!("matmul")],
        constants: &[("PRODUCT", 2.0)],
        bindings: &[
            Layers,
            Steps,
            Work,
            Read(Buffer::Acts),
            Read(Buffer::Dz),
            Read(Buffer::Params),
            Write(Buffer::Grads),
        ],
    },
    Kernel {
        name: "batch norm",
        file: "batch_norm.wgsl",
        parts: &[TABLES, RANDOM, ACTIVATION, shader!("batch_norm")],
        constants: &[],
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
    },
    Kernel {
        name: "batch norm inference",
        file: "batch_norm_inference.wgsl",
        parts: &[TABLES, ACTIVATION, shader!("batch_norm_inference")],
        constants: &[],
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
    },
    Kernel {
        name: "loss",
        file: "loss.wgsl",
        parts: &[TABLES, ACTIVATION, shader!("loss")],
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
    Kernel {
        name: "batch norm backward",
        file: "batch_norm_backward.wgsl",
        parts: &[TABLES, RANDOM, ACTIVATION, shader!("batch_norm_backward")],
        constants: &[],
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
    },
    Kernel {
        name: "gradient norm",
        file: "grad_norm.wgsl",
        parts: &[TABLES, shader!("grad_norm")],
        constants: &[],
        bindings: &[Layers, Steps, Work, Read(Buffer::Grads), Write(Buffer::Partials)],
    },
    Kernel {
        name: "record training",
        file: "record.wgsl",
        parts: &[TABLES, shader!("record")],
        constants: &[("TRAIN", 1.0)],
        bindings: RECORD,
    },
    Kernel {
        name: "record evaluation",
        file: "record.wgsl",
        parts: &[TABLES, shader!("record")],
        constants: &[("TRAIN", 0.0)],
        bindings: RECORD,
    },
    Kernel {
        name: "update",
        file: "update.wgsl",
        parts: &[TABLES, shader!("update")],
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
        parts: &[TABLES, RANDOM, shader!("initialize")],
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
];

/// Position in [`KERNELS`] of the kernel that runs `op`; `bytes` where the data are bytes.
pub fn kernel_of(op: Op, bytes: bool) -> usize {
    match op {
        Op::Gather => usize::from(!bytes),
        Op::Matmul { product: Product::Forward, .. } => 2,
        Op::Matmul { product: Product::BackwardInput, .. } => 3,
        Op::Matmul { product: Product::BackwardWeight, .. } => 4,
        Op::BatchNorm { .. } => 5,
        Op::BatchNormInference { .. } => 6,
        Op::Loss => 7,
        Op::BatchNormBackward { .. } => 8,
        Op::GradNorm => 9,
        Op::Record { kind: StepKind::Train } => 10,
        Op::Record { kind: StepKind::Evaluate } => 11,
        Op::Update => 12,
    }
}

/// Position in [`KERNELS`] of the kernel that fills a member's memory.
pub const INITIALIZE: usize = 13;

impl Kernel {
    /// The WGSL text, register tiles written out.
    pub fn source(&self) -> String {
        let mut text = String::new();
        for part in self.parts {
            text.push_str(&expand(part));
            text.push('\n');
        }
        text
    }
}

/// Writes out the lines between `//#for NAME A..B` and `//#end` once for each number, with `$NAME` replaced.
///
/// Private arrays indexed by a loop variable may end in slow memory; registers must be named one by one.
fn expand(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        let Some(head) = line.trim_start().strip_prefix("//#for ") else {
            out.push_str(line);
            out.push('\n');
            continue;
        };
        let (name, range) = head.split_once(' ').unwrap_or((head, "0..0"));
        let bounds = range.split_once("..").and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
        let (from, to): (u32, u32) = bounds.unwrap_or((0, 0));
        let body: Vec<&str> = lines.by_ref().take_while(|l| l.trim() != "//#end").collect();
        for value in from..to {
            for line in &body {
                out.push_str(&line.replace(&format!("${name}"), &value.to_string()));
                out.push('\n');
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::population::tables::{LayerRow, MemberRow, Record, StepRow};
    use std::mem::{offset_of, size_of};

    fn module(kernel: &Kernel) -> naga::Module {
        naga::front::wgsl::parse_str(&kernel.source())
            .unwrap_or_else(|e| panic!("{}: {}", kernel.name, e.emit_to_string(&kernel.source())))
    }

    #[test]
    fn registers_are_written_out() {
        let text = "a\n  //#for r 0..2\n  let x$r = $ru;\n  //#end\nb";
        assert_eq!(expand(text), "a\n  let x0 = 0u;\n  let x1 = 1u;\nb\n");
    }

    #[test]
    fn every_kernel_is_valid_and_needs_no_optional_capability() {
        for kernel in &KERNELS {
            let flags = naga::valid::ValidationFlags::all();
            let mut validator = naga::valid::Validator::new(flags, naga::valid::Capabilities::empty());
            if let Err(error) = validator.validate(&module(kernel)) {
                panic!("{}: {}", kernel.name, error.emit_to_string(&kernel.source()));
            }
        }
    }

    #[test]
    fn bindings_stand_as_declared_and_within_the_default_limit() {
        for kernel in &KERNELS {
            let module = module(kernel);
            assert!(kernel.bindings.len() <= 8, "{} binds too much", kernel.name);
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
                first_chunk,
                chunks,
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
