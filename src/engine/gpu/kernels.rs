//! The kernels: the files of each shader, its constants, its tile, its bindings, and the pass it runs.

use super::passes::Pass;
use super::tiles::Shape;
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
    /// A role of memory, read only.
    Read(Buffer),
    /// A role of memory, read and written.
    Write(Buffer),
}

impl Binding {
    /// Whether the kernel writes the binding.
    pub fn is_written(self) -> bool {
        matches!(self, Binding::Write(_) | Binding::Records)
    }
}

/// A kernel: a shader with its constants.
#[derive(Clone, Copy, Debug)]
pub struct Definition {
    pub name: &'static str,
    /// The file in `shaders/`.
    pub file: &'static str,
    /// Its text and the texts included before it, after those of its tile.
    pub(super) parts: &'static [&'static str],
    /// The shape of its workgroups' tiles; none for a kernel without layouts.
    pub shape: Option<Shape>,
    /// Whether it includes a matrix product.
    pub(super) multiplies: bool,
    /// Values of its `override`s.
    pub constants: &'static [(&'static str, f64)],
    pub bindings: &'static [Binding],
}

/// The operations that a fused kernel runs at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fused {
    /// A layer's product and the operations after it, for batches of few rows.
    Rows,
    /// The gradient of a layer's weights and the optimiser, for layers with few weights.
    Weights,
}

macro_rules! kernels {
    ($($kernel:ident),* $(,)?) => {
        /// Every kernel of a step, and the kernel that initialises members.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kernel {
            $($kernel),*
        }

        impl Kernel {
            /// Every kernel.
            pub const ALL: &[Kernel] = &[$(Kernel::$kernel),*];
        }
    };
}

kernels! {
    GatherBytes,
    GatherFloats,
    MatmulForward,
    MatmulBackwardInput,
    MatmulBackwardWeight,
    BatchNorm,
    BatchNormInference,
    Loss,
    BatchNormBackward,
    GradNorm,
    RecordTraining,
    RecordEvaluation,
    Update,
    Initialize,
    Hidden,
    HiddenInference,
    HiddenBackward,
    Output,
    Descent,
    BatchNormWatched,
    PercentilesOfZ,
    PercentilesAfterBatchNorm,
}

impl Kernel {
    /// The kernel that runs `pass`; `bytes` if the data are bytes.
    pub fn of(pass: Pass, bytes: bool) -> Kernel {
        match pass {
            Pass::One(op) => match op {
                Op::Gather if bytes => Kernel::GatherBytes,
                Op::Gather => Kernel::GatherFloats,
                Op::Matmul { product: Product::Forward, .. } => Kernel::MatmulForward,
                Op::Matmul { product: Product::BackwardInput, .. } => Kernel::MatmulBackwardInput,
                Op::Matmul { product: Product::BackwardWeight, .. } => Kernel::MatmulBackwardWeight,
                Op::BatchNorm { tracks: true, .. } => Kernel::BatchNorm,
                Op::BatchNorm { tracks: false, .. } => Kernel::BatchNormWatched,
                Op::BatchNormInference { .. } => Kernel::BatchNormInference,
                Op::Loss => Kernel::Loss,
                Op::BatchNormBackward { .. } => Kernel::BatchNormBackward,
                Op::GradNorm => Kernel::GradNorm,
                Op::Record { kind: StepKind::Train } => Kernel::RecordTraining,
                Op::Record { kind: StepKind::Evaluate | StepKind::Watch } => Kernel::RecordEvaluation,
                Op::Percentiles { normalized: false, .. } => Kernel::PercentilesOfZ,
                Op::Percentiles { normalized: true, .. } => Kernel::PercentilesAfterBatchNorm,
                Op::Update => Kernel::Update,
            },
            Pass::Hidden { kind: StepKind::Train | StepKind::Watch, .. } => Kernel::Hidden,
            Pass::Hidden { kind: StepKind::Evaluate, .. } => Kernel::HiddenInference,
            Pass::HiddenBackward { .. } => Kernel::HiddenBackward,
            Pass::Output => Kernel::Output,
            Pass::Descent => Kernel::Descent,
        }
    }

    /// The operations that it fuses; none if it runs a single one.
    pub(super) fn fuses(self) -> Option<Fused> {
        match self {
            Kernel::Hidden | Kernel::HiddenInference | Kernel::HiddenBackward | Kernel::Output => {
                Some(Fused::Rows)
            }
            Kernel::Descent => Some(Fused::Weights),
            Kernel::GatherBytes
            | Kernel::GatherFloats
            | Kernel::MatmulForward
            | Kernel::MatmulBackwardInput
            | Kernel::MatmulBackwardWeight
            | Kernel::BatchNorm
            | Kernel::BatchNormInference
            | Kernel::Loss
            | Kernel::BatchNormBackward
            | Kernel::GradNorm
            | Kernel::RecordTraining
            | Kernel::RecordEvaluation
            | Kernel::Update
            | Kernel::Initialize
            | Kernel::BatchNormWatched
            | Kernel::PercentilesOfZ
            | Kernel::PercentilesAfterBatchNorm => None,
        }
    }

    /// Its name, in messages and files.
    pub fn name(self) -> &'static str {
        self.definition().name
    }

    /// The parts of its shader.
    pub fn definition(self) -> Definition {
        match self {
            Kernel::GatherBytes => {
                Definition { name: "gather bytes", constants: &[("BYTES", 1.0)], ..GATHER }
            }
            Kernel::GatherFloats => {
                Definition { name: "gather floats", constants: &[("BYTES", 0.0)], ..GATHER }
            }
            Kernel::MatmulForward => Definition {
                name: "matmul forward",
                constants: &[("PRODUCT", Product::Forward as u32 as f64)],
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
            Kernel::MatmulBackwardInput => Definition {
                name: "matmul backward input",
                constants: &[("PRODUCT", Product::BackwardInput as u32 as f64), ("RIGHT_ALONG_K", 1.0)],
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
            Kernel::MatmulBackwardWeight => Definition {
                name: "matmul backward weight",
                constants: &[("PRODUCT", Product::BackwardWeight as u32 as f64), ("LEFT_ALONG_K", 0.0)],
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
            Kernel::BatchNorm => BATCH_NORM,
            Kernel::BatchNormInference => BATCH_NORM_INFERENCE,
            Kernel::Loss => Definition {
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
            Kernel::BatchNormBackward => BATCH_NORM_BACKWARD,
            Kernel::GradNorm => Definition {
                name: "gradient norm",
                file: "grad_norm.wgsl",
                parts: &[PRODUCTS, shader!("block_sum"), shader!("grad_norm")],
                shape: Some(Shape::Block),
                multiplies: false,
                constants: &[],
                bindings: &[Layers, Steps, Work, Read(Buffer::Grads), Write(Buffer::Partials)],
            },
            Kernel::RecordTraining => {
                Definition { name: "record training", constants: &[("TRAIN", 1.0)], ..RECORD }
            }
            Kernel::RecordEvaluation => {
                Definition { name: "record evaluation", constants: &[("TRAIN", 0.0)], ..RECORD }
            }
            Kernel::Update => Definition {
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
            Kernel::Initialize => Definition {
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
            Kernel::Hidden => {
                Definition { name: "hidden", constants: &[("WITH_PRODUCT", 1.0)], ..BATCH_NORM }
            }
            Kernel::HiddenInference => Definition {
                name: "hidden inference",
                constants: &[("WITH_PRODUCT", 1.0)],
                ..BATCH_NORM_INFERENCE
            },
            Kernel::HiddenBackward => Definition {
                name: "hidden backward",
                constants: &[("WITH_PRODUCT", 1.0)],
                ..BATCH_NORM_BACKWARD
            },
            Kernel::Output => Definition {
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
            Kernel::Descent => Definition {
                name: "descent",
                file: "descent.wgsl",
                parts: &[PRODUCTS, shader!("block_sum"), shader!("optimizer"), shader!("descent")],
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
            Kernel::BatchNormWatched => Definition {
                name: "batch norm, watched",
                constants: &[("WITH_PRODUCT", 0.0), ("TRACKS", 0.0)],
                ..BATCH_NORM
            },
            Kernel::PercentilesOfZ => {
                Definition { name: "percentiles of Z", constants: &[("NORMALIZED_Z", 0.0)], ..PERCENTILES }
            }
            Kernel::PercentilesAfterBatchNorm => Definition {
                name: "percentiles after batch norm",
                constants: &[("NORMALIZED_Z", 1.0)],
                ..PERCENTILES
            },
        }
    }
}

const RANDOM: &str = shader!("random");
const ACTIVATION: &str = shader!("activation");
const LINEAR: &str = shader!("linear");
const PRODUCTS: &str = shader!("products");
const SCALE: &str = shader!("scale");

use Binding::{Data, Layers, Read, Records, Scaling, Steps, Targets, Work, Write};

const GATHER: Definition = Definition {
    name: "gather",
    file: "gather.wgsl",
    parts: &[RANDOM, shader!("gather")],
    shape: None,
    multiplies: false,
    constants: &[],
    bindings: &[
        Layers,
        Steps,
        Work,
        Data,
        Scaling,
        Read(Buffer::Inputs),
        Write(Buffer::Index),
        Write(Buffer::Acts),
    ],
};
const MATMUL: Definition = Definition {
    name: "matmul",
    file: "matmul.wgsl",
    parts: &[PRODUCTS, shader!("matmul")],
    shape: Some(Shape::Product),
    multiplies: true,
    constants: &[],
    bindings: &[],
};
const BATCH_NORM: Definition = Definition {
    name: "batch norm",
    file: "batch_norm.wgsl",
    parts: &[RANDOM, ACTIVATION, LINEAR, SCALE, shader!("batch_norm")],
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
const BATCH_NORM_INFERENCE: Definition = Definition {
    name: "batch norm inference",
    file: "batch_norm_inference.wgsl",
    parts: &[ACTIVATION, LINEAR, SCALE, shader!("batch_norm_inference")],
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
const BATCH_NORM_BACKWARD: Definition = Definition {
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
const RECORD: Definition = Definition {
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

const PERCENTILES: Definition = Definition {
    name: "percentiles",
    file: "percentiles.wgsl",
    parts: &[shader!("percentiles")],
    shape: None,
    multiplies: false,
    constants: &[],
    bindings: &[Layers, Steps, Work, Read(Buffer::Params), Read(Buffer::Z), Write(Buffer::Looks)],
};
