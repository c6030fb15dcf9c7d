//! K members that train together, as tables and a memory layout.

pub mod inputs;
pub mod random;
mod room;
mod schedule;
mod size;
pub mod tables;

use std::ops::Range;
use std::sync::Arc;

pub use inputs::Features;
pub use room::Room;
pub use schedule::{Walk, evaluation_step, learning_rate, training_step};
pub use size::{TooLarge, check_size};

use crate::spec::{
    Activation, BestEpoch, Embed, Init, LayerKind, LayerShape, Length, Network, Optimizer, Products,
    Schedule, Training,
};
use tables::{ChunkKind, InputRow, LayerRow, LossKind, MemberRow, OptimizerKind, Statistic, StepRow};

/// The percentiles that are watched.
pub const PERCENTS: [usize; 5] = [5, 15, 50, 85, 95];

/// Elements of a layer in [`Looks`](Buffer::Looks): for Z and for γ x̂ + β, each for all units and for unit 0.
pub const LOOK: usize = 4 * PERCENTS.len();

/// The prediction task of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Loss {
    /// Softmax cross-entropy over this many classes.
    CrossEntropy { classes: usize },
    /// Squared error of one value.
    SquaredError,
}

impl Loss {
    /// Outputs of the network.
    pub fn outputs(self) -> usize {
        match self {
            Loss::CrossEntropy { classes } => classes,
            Loss::SquaredError => 1,
        }
    }
}

/// The roles of memory. Each is one buffer of the population; a member's region in it is contiguous.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(usize)]
pub enum Buffer {
    /// W `[I, O]`, then b `[O]` or γ `[O]` and β `[O]`, layer by layer; the factors `[O]` of a layer that scales.
    Params,
    /// Gradients, laid out as `Params`.
    Grads,
    /// The optimiser's moments (m, v) in pairs, two for each parameter.
    Moments,
    /// For each normalised layer `[5, O]`: running mean, its remainder, running variance; batch mean, 1/√(σ² + ε).
    Stats,
    /// Inputs of all layers: x `[B, F]`, then a `[B, O]` of each hidden layer.
    Acts,
    /// Z `[B, O]` of each layer; x̂ after normalisation.
    Z,
    /// Gradient with respect to each layer's activated output `[B, O]`, then, in place, to its Z.
    Dz,
    /// Data row of each row of the batch (bits of u32).
    Index,
    /// Loss and hit (1 or 0) of each row of the batch, in pairs.
    RowLoss,
    /// Sum of squares of each [`Block`] of the gradients.
    Partials,
    /// Scale of the gradients (clipping), first bad step (bits of u32): two for each member.
    State,
    /// Results of [`crate::step::watch`], `[layers, LOOK]`, for watched members.
    Looks,
    /// Where its inputs come from, `[I]` of [`tables::InputRow`] (bits); empty for a member whose inputs are the
    /// features. It is never changed by a step.
    Inputs,
}

impl Buffer {
    /// Every role, in order.
    pub const ALL: [Buffer; 13] = [
        Buffer::Params,
        Buffer::Grads,
        Buffer::Moments,
        Buffer::Stats,
        Buffer::Acts,
        Buffer::Z,
        Buffer::Dz,
        Buffer::Index,
        Buffer::RowLoss,
        Buffer::Partials,
        Buffer::State,
        Buffer::Looks,
        Buffer::Inputs,
    ];
    /// Number of roles.
    pub const COUNT: usize = Self::ALL.len();
}

/// Elements (4 bytes each) of every role.
pub type Sizes = [usize; Buffer::COUNT];

/// A run of a member's parameters that is updated together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// First parameter, in the member's region.
    pub start: usize,
    /// Parameters, at most [`CHUNK`].
    pub len: usize,
    pub kind: ChunkKind,
    /// Layer within the member.
    pub layer: usize,
}

/// Most parameters of a chunk, which one workgroup updates.
pub const CHUNK: usize = 1024;

/// A part of a member's parameters whose gradients' squares are summed together: up to [`Block::SIDE`] rows and columns
/// of a weight matrix, or as many elements of a vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Layer within the member.
    pub layer: usize,
    /// First parameter, in the member's region.
    pub start: usize,
    pub size: BlockSize,
}

/// What a [`Block`] covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockSize {
    /// Rows and columns of a matrix whose rows are `stride` apart.
    Matrix { rows: usize, columns: usize, stride: usize },
    /// Elements.
    Vector(usize),
}

impl Block {
    /// Most rows and columns.
    pub const SIDE: usize = 32;

    /// Its contiguous runs of parameters, in the member's region.
    pub fn runs(self) -> impl Iterator<Item = std::ops::Range<usize>> {
        let (rows, len, stride) = match self.size {
            BlockSize::Matrix { rows, columns, stride } => (rows, columns, stride),
            BlockSize::Vector(len) => (1, len, 0),
        };
        (0..rows).map(move |r| self.start + r * stride..self.start + r * stride + len)
    }

    /// The blocks of W `[inputs, outputs]` at `start`.
    fn of_matrix(layer: usize, start: usize, inputs: usize, outputs: usize) -> impl Iterator<Item = Block> {
        let firsts = move |side: usize| (0..side).step_by(Self::SIDE);
        firsts(inputs).flat_map(move |i| {
            firsts(outputs).map(move |o| Block {
                layer,
                start: start + i * outputs + o,
                size: BlockSize::Matrix {
                    rows: Self::SIDE.min(inputs - i),
                    columns: Self::SIDE.min(outputs - o),
                    stride: outputs,
                },
            })
        })
    }

    /// The blocks of a vector of `len` elements at `start`.
    fn of_vector(layer: usize, start: usize, len: usize) -> impl Iterator<Item = Block> {
        let most = Self::SIDE * Self::SIDE;
        let size = move |at: usize| BlockSize::Vector(most.min(len - at));
        (0..len).step_by(most).map(move |at| Block { layer, start: start + at, size: size(at) })
    }
}

/// Elements of a slot in `State`.
const STATE: usize = 2;

/// Fewest rows that a member's activations can hold, so that evaluation need not use small batches.
pub const EVALUATION_ROWS: usize = 256;

/// One model of a population: its settings, and its memory layout (offsets within its own regions).
#[derive(Clone, Debug)]
pub struct Member {
    pub training: Training,
    pub loss: Loss,
    /// F, features of the data.
    pub features: usize,
    /// Where the network's inputs come from, `[I]`; empty if they are the features.
    pub inputs: Vec<InputRow>,
    /// Its batches of training rows.
    pub walk: Walk,
    /// Rows that its activations can hold.
    pub capacity: usize,
    /// Its row of the member table; the `first_*` fields are 0.
    pub row: MemberRow,
    /// Its rows of the layer table; offsets count from its own regions.
    pub layers: Vec<LayerRow>,
    pub chunks: Vec<Chunk>,
    /// The blocks, in the order of `Partials`.
    pub blocks: Vec<Block>,
    pub sizes: Sizes,
}

impl Member {
    /// Lays out a member that trains on `train_rows` rows of these features.
    ///
    /// `None` where no step is possible: no training rows, or a batch of one row with batch normalisation.
    pub fn new<'a>(
        training: &Training,
        loss: Loss,
        features: impl Into<Features<'a>>,
        train_rows: usize,
    ) -> Option<Member> {
        let (network, features) = (&training.network, features.into());
        let input_rows = inputs::rows(network.embed, features);
        let inputs = inputs::count(&input_rows, features);
        let walk = Walk::new(train_rows, training.batch_size, network.batch_norm.is_some())?;
        let capacity = walk.batch.max(EVALUATION_ROWS);
        let mut sizes: Sizes = [0; Buffer::COUNT];
        let mut take = |buffer: Buffer, elements: usize| {
            let start = sizes[buffer as usize];
            // Tensors start on 16 bytes, so that shaders may load four elements at once.
            sizes[buffer as usize] += elements.next_multiple_of(4);
            start as u32
        };
        let (mut layers, mut chunks, mut blocks) = (Vec::new(), Vec::new(), Vec::new());
        let affine = network.batch_norm.is_none_or(|bn| bn.affine);
        let mut x = take(Buffer::Acts, capacity * inputs);
        for (depth, shape) in network.layers(inputs, loss.outputs()).into_iter().enumerate() {
            let LayerShape { kind, sub_models, inputs: i, outputs: o, normalized } = shape;
            let (products, hidden) = (shape.products(), kind != LayerKind::Output);
            let mut param = |kind: ChunkKind, len: usize| {
                let start = take(Buffer::Params, len);
                chunks.extend((0..len).step_by(CHUNK).map(|at| Chunk {
                    start: start as usize + at,
                    len: CHUNK.min(len - at),
                    kind,
                    layer: depth,
                }));
                match (kind, products) {
                    (ChunkKind::Weight, Some(Products { inputs, outputs, count, .. })) => {
                        for nth in 0..count {
                            let start = start as usize + nth * inputs * outputs;
                            blocks.extend(Block::of_matrix(depth, start, inputs, outputs));
                        }
                    }
                    _ => blocks.extend(Block::of_vector(depth, start as usize, len)),
                }
                start
            };
            let w = products.map_or(0, |products| param(ChunkKind::Weight, products.weights()));
            let vector = match kind {
                LayerKind::Scaling => ChunkKind::Factor,
                _ if normalized => ChunkKind::Gamma,
                _ => ChunkKind::Bias,
            };
            let b = param(vector, o);
            let beta = if normalized { param(ChunkKind::Beta, o) } else { 0 };
            let stats = if normalized { take(Buffer::Stats, Statistic::COUNT * o) } else { 0 };
            let a = if hidden { take(Buffer::Acts, capacity * o) } else { 0 };
            let z = take(Buffer::Z, capacity * o);
            layers.push(LayerRow {
                inputs: i as u32,
                outputs: o as u32,
                flags: if normalized { LayerRow::NORMALIZED } else { 0 }
                    | if hidden { LayerRow::HIDDEN } else { 0 }
                    | if normalized && !affine { LayerRow::NOT_AFFINE } else { 0 }
                    | if kind == LayerKind::Scaling { LayerRow::SCALES } else { 0 },
                activation: match kind {
                    LayerKind::Scaling => Activation::Identity,
                    LayerKind::Hidden | LayerKind::Output => network.activation,
                } as u32,
                w,
                b,
                beta,
                stats,
                x,
                a,
                z,
                init_std: products.map_or(0.0, |of| network.init.std(of.inputs, of.outputs)) as f32,
                depth: depth as u32,
                sub_models: sub_models as u32,
                _pad: [0; 2],
            });
            x = a;
        }
        for (buffer, elements) in [
            (Buffer::Grads, sizes[Buffer::Params as usize]),
            (Buffer::Moments, 2 * sizes[Buffer::Params as usize]),
            (Buffer::Dz, sizes[Buffer::Z as usize]),
            (Buffer::Index, capacity),
            (Buffer::RowLoss, 2 * capacity),
            (Buffer::Partials, blocks.len()),
            (Buffer::State, STATE),
            (Buffer::Inputs, InputRow::WORDS * input_rows.len()),
        ] {
            sizes[buffer as usize] = elements;
        }
        let row = MemberRow {
            features: features.count as u32,
            embeds: u32::from(!input_rows.is_empty()),
            ..member_row(training, loss, train_rows, layers.len(), blocks.len(), capacity)
        };
        Some(Member {
            training: training.clone(),
            loss,
            features: features.count,
            inputs: input_rows,
            walk,
            capacity,
            row,
            layers,
            chunks,
            blocks,
            sizes,
        })
    }

    /// The same member on more rows, of which it leaves out the stored rows `rows`: it trains on as many as before, the
    /// first ones that are not left out.
    #[must_use]
    pub fn holding_out(mut self, rows: Range<usize>) -> Member {
        (self.row.held_out, self.row.held_out_rows) = (rows.start as u32, rows.len() as u32);
        self
    }

    /// The stored rows that it leaves out.
    pub fn held_out(&self) -> Range<usize> {
        let first = self.row.held_out as usize;
        first..first + self.row.held_out_rows as usize
    }

    /// The member of a vacant slot. It has no layers and takes no memory except its slot's state.
    fn nobody() -> Member {
        let network = Network {
            embed: Embed::None,
            sub_models: 1,
            hidden: Vec::new(),
            activation: Activation::Relu,
            batch_norm: None,
            dropout: 0.0,
            init: Init::He,
        };
        let training = Training {
            network,
            optimizer: Optimizer::Sgd { momentum: 0.0, nesterov: false },
            lr: 0.0,
            l2: 0.0,
            weight_decay: 0.0,
            schedule: Schedule::Constant,
            warmup: 0,
            clip_norm: None,
            batch_size: 1,
            length: Length::Steps(0),
            patience: None,
            max_time: None,
            best_epoch: BestEpoch::Lowest,
            seed: 0,
        };
        let mut sizes: Sizes = [0; Buffer::COUNT];
        sizes[Buffer::State as usize] = STATE;
        Member {
            training,
            loss: Loss::SquaredError,
            features: 0,
            inputs: Vec::new(),
            walk: Walk { rows: 0, batch: 0, steps_per_epoch: 1, drops_single_row: false },
            capacity: 0,
            row: MemberRow::default(),
            layers: Vec::new(),
            chunks: Vec::new(),
            blocks: Vec::new(),
            sizes,
        }
    }

    /// The same member with room for the results of [`crate::step::StepKind::Watch`].
    pub fn watched(&self) -> Member {
        let mut member = self.clone();
        member.sizes[Buffer::Looks as usize] = self.layers.len() * LOOK;
        member
    }

    /// Number of trained parameters.
    pub fn parameters(&self) -> usize {
        self.chunks.iter().map(|c| c.len).sum()
    }

    /// Steps of the whole training.
    pub fn total_steps(&self) -> u64 {
        match self.training.length {
            Length::Epochs(epochs) => epochs.saturating_mul(self.walk.steps_per_epoch),
            Length::Steps(steps) => steps,
        }
    }

    /// Approximate work of a step: terms of its products, for all rows of a batch.
    pub fn work(&self) -> f64 {
        let terms = |of: Products| of.rows * of.weights();
        let products: usize = self.layers.iter().filter_map(LayerRow::products).map(terms).sum();
        products as f64 * self.walk.batch as f64
    }

    /// I, inputs of the network.
    pub fn inputs(&self) -> usize {
        inputs::count(&self.inputs, self.features.into())
    }

    /// Outputs of the network, as of one of its sub-models.
    pub fn outputs(&self) -> usize {
        self.loss.outputs()
    }

    /// S, its sub-models; 1 if it has none.
    pub fn sub_models(&self) -> usize {
        self.training.network.sub_models
    }
}

fn member_row(
    training: &Training,
    loss: Loss,
    train_rows: usize,
    layers: usize,
    blocks: usize,
    capacity: usize,
) -> MemberRow {
    let network = &training.network;
    let batch_norm = network.batch_norm.unwrap_or_default();
    let (optimizer, decay1, decay2, eps) = match training.optimizer {
        Optimizer::Adam { beta1, beta2, eps } => (OptimizerKind::Adam, beta1, beta2, eps),
        Optimizer::Sgd { momentum, nesterov } => {
            let kind = if nesterov { OptimizerKind::Nesterov } else { OptimizerKind::Sgd };
            (kind, momentum, 0.0, 0.0)
        }
        Optimizer::RmsProp { alpha, eps } => (OptimizerKind::RmsProp, alpha, 0.0, eps),
    };
    MemberRow {
        seed_lo: training.seed as u32,
        seed_hi: (training.seed >> 32) as u32,
        first_layer: 0,
        layers: layers as u32,
        first_row: 0,
        capacity: capacity as u32,
        first_partial: 0,
        partials: blocks as u32,
        train_rows: train_rows as u32,
        outputs: loss.outputs() as u32,
        loss: match loss {
            Loss::CrossEntropy { .. } => LossKind::CrossEntropy as u32,
            Loss::SquaredError => LossKind::SquaredError as u32,
        },
        optimizer: optimizer as u32,
        decay1: decay1 as f32,
        decay2: decay2 as f32,
        rest1: (1.0 - decay1) as f32,
        rest2: (1.0 - decay2) as f32,
        eps: eps as f32,
        l2: training.l2 as f32,
        clip_norm: training.clip_norm.unwrap_or(0.0) as f32,
        drop_below: (network.dropout * 2f64.powi(32)) as u32,
        drop_scale: (1.0 / (1.0 - network.dropout)) as f32,
        bn_eps: batch_norm.eps as f32,
        bn_momentum: batch_norm.momentum as f32,
        id: 0,
        features: 0,
        first_input: 0,
        embeds: 0,
        held_out: 0,
        held_out_rows: 0,
    }
}

/// K slots in one memory, each with a member or vacant.
#[derive(Clone, Debug)]
pub struct Population {
    /// `[K]`; a vacant slot has a member without layers.
    pub members: Vec<Arc<Member>>,
    /// Where each member's region of each role starts: `[K]` of [`Sizes`].
    pub bases: Vec<Sizes>,
    /// Elements of every role: those of all members, and free ones.
    pub sizes: Sizes,
    /// Most layers of a member.
    pub layers: usize,
    /// Most sub-models of a member.
    pub sub_models: usize,
    /// Whether slots can be filled later: see [`Population::with_room`].
    pub refillable: bool,
}

impl Population {
    /// Puts members one after another, without gaps or room for more.
    pub fn new<M: Into<Arc<Member>>>(members: Vec<M>) -> Population {
        let members: Vec<Arc<Member>> = members.into_iter().map(M::into).collect();
        let mut sizes: Sizes = [0; Buffer::COUNT];
        let bases = members
            .iter()
            .map(|member| {
                let base = sizes;
                sizes.iter_mut().zip(member.sizes).for_each(|(total, own)| *total += own);
                base
            })
            .collect();
        let layers = members.iter().map(|member| member.layers.len()).max().unwrap_or(0);
        let sub_models = members.iter().map(|member| member.sub_models()).max().unwrap_or(1);
        Population { members, bases, sizes, layers, sub_models, refillable: false }
    }

    /// The same members, watched ([`crate::step::StepKind::Watch`]), without room for others.
    pub fn watched(&self) -> Population {
        Population::new(self.members.iter().map(|member| member.watched()).collect())
    }

    /// Whether its members are watched.
    pub fn is_watched(&self) -> bool {
        self.sizes[Buffer::Looks as usize] > 0
    }

    /// Number of slots, including vacant ones.
    pub fn len(&self) -> usize {
        self.members.len()
    }
    /// Whether there are no slots.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Bytes of memory for all roles.
    pub fn bytes(&self) -> u64 {
        4 * self.sizes.iter().map(|&elements| elements as u64).sum::<u64>()
    }

    /// The region of `buffer` of the member in `slot`.
    pub fn region(&self, slot: usize, buffer: Buffer) -> std::ops::Range<usize> {
        let start = self.bases[slot][buffer as usize];
        start..start + self.members[slot].sizes[buffer as usize]
    }

    /// `[count, K]` training steps of some members, each given as its slot and its next step; the others stay idle.
    pub fn training_steps(&self, starts: &[(usize, u64)], count: usize) -> Vec<StepRow> {
        let mut steps = vec![StepRow::IDLE; count * self.len()];
        for &(slot, start) in starts {
            let member = &self.members[slot];
            for (step, row) in (start..).zip(steps.chunks_exact_mut(self.len())) {
                row[slot] = training_step(&member.training, &member.walk, step, member.total_steps());
            }
        }
        steps
    }

    /// Approximate work of a step of the slots in `active`: see [`Member::work`].
    pub fn work(&self, active: impl Fn(usize) -> bool) -> f64 {
        self.members.iter().enumerate().filter(|(slot, _)| active(*slot)).map(|(_, m)| m.work()).sum()
    }

    /// The rows of `slot` in the member table and in the layer table, with absolute offsets. The layers of slot k start
    /// at `k * layers`.
    pub fn rows(&self, slot: usize) -> (MemberRow, Vec<LayerRow>) {
        let (member, base) = (&self.members[slot], &self.bases[slot]);
        let at = |buffer: Buffer| base[buffer as usize] as u32;
        let row = MemberRow {
            id: slot as u32,
            first_layer: (slot * self.layers) as u32,
            first_row: at(Buffer::Index),
            first_partial: at(Buffer::Partials),
            first_input: at(Buffer::Inputs) / InputRow::WORDS as u32,
            ..member.row
        };
        let layer = |l: &LayerRow| LayerRow {
            w: l.w + at(Buffer::Params),
            b: l.b + at(Buffer::Params),
            beta: l.beta + at(Buffer::Params),
            stats: l.stats + at(Buffer::Stats),
            x: l.x + at(Buffer::Acts),
            a: l.a + at(Buffer::Acts),
            z: l.z + at(Buffer::Z),
            ..*l
        };
        (row, member.layers.iter().map(layer).collect())
    }
}
