//! Random populations: networks, hyperparameters, batch sizes and data, from a seed.

use std::sync::Arc;

use bngpu::population::tables::StepRow;
use bngpu::population::{Features, Loss, Member, Population, evaluation_step, training_step};
use bngpu::spec::{
    Activation, BatchNorm, BestEpoch, Embed, Init, Length, Network, Optimizer, Schedule, Training,
};
use bngpu::step::memory::{Table, Values};

/// SplitMix64 (Steele, Lea & Flood 2014): a separate generator, so that the tests share no random numbers with the
/// tested code.
#[derive(Clone, Debug)]
pub struct Rng(pub u64);

impl Rng {
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    /// In [0, 1).
    pub fn uniform(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 53) as f64
    }
    /// In `low..=high`.
    pub fn between(&mut self, low: usize, high: usize) -> usize {
        low + (self.bits() % (high - low + 1) as u64) as usize
    }
    pub fn chance(&mut self, p: f64) -> bool {
        self.uniform() < p
    }
    pub fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.between(0, from.len() - 1)]
    }
    /// Log-uniform in [low, high).
    pub fn log(&mut self, low: f64, high: f64) -> f64 {
        low * (high / low).powf(self.uniform())
    }
    /// Standard normal (Box & Muller 1958).
    pub fn normal(&mut self) -> f64 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (2.0 * std::f64::consts::PI * self.uniform()).cos()
    }
}

/// The distribution of random populations.
#[derive(Clone, Debug)]
pub struct Space {
    /// Fewest and most members.
    pub members: (usize, usize),
    /// Most hidden layers.
    pub depth: usize,
    /// Widths of layers and of the data.
    pub widths: &'static [usize],
    pub batches: &'static [usize],
    /// Fewest and most training rows.
    pub rows: (usize, usize),
    /// Whether some tables hold bytes.
    pub bytes: bool,
    /// Whether some members use clipping, decay, warm-up and schedules.
    pub training: bool,
}

impl Space {
    /// Small networks in which every derivative can be taken numerically.
    pub const TINY: Space = Space {
        members: (1, 5),
        depth: 4,
        widths: &[1, 2, 3, 4, 5, 6, 7, 8, 9],
        batches: &[2, 3, 4, 5, 6, 7, 8, 9],
        rows: (9, 20),
        bytes: false,
        training: false,
    };
    /// Critical shapes for kernels: 1, primes, the sizes of tiles and their neighbours.
    pub const TILES: Space = Space {
        members: (1, 5),
        depth: 4,
        widths: &[1, 2, 3, 5, 7, 13, 15, 16, 17, 31, 32, 33, 37, 63, 64, 65],
        batches: &[1, 2, 3, 5, 7, 15, 16, 17, 31, 32, 33, 61, 63, 64, 65],
        rows: (40, 200),
        bytes: true,
        training: true,
    };
    /// As [`Space::TILES`] with this many members.
    pub fn of_members(members: usize) -> Space {
        Space { members: (members, members), ..Space::TILES }
    }
}

/// A random population and the data that it trains on.
#[derive(Clone, Debug)]
pub struct Case {
    /// Names the case in messages, and reproduces it.
    pub seed: u64,
    pub population: Arc<Population>,
    pub table: Arc<Table>,
    /// Training rows; the table has more, for evaluation.
    pub train_rows: usize,
}

impl Case {
    /// Draws a case.
    pub fn random(seed: u64, space: &Space) -> Case {
        let rng = &mut Rng(seed);
        let train_rows = rng.between(space.rows.0, space.rows.1);
        let inputs = rng.pick(space.widths);
        let loss = match rng.between(0, 3) {
            0 => Loss::SquaredError,
            _ => Loss::CrossEntropy { classes: rng.pick(space.widths).max(2) },
        };
        let bytes = space.bytes && rng.chance(0.5);
        let table = random_table(rng, train_rows + 23, inputs, loss, bytes);
        let members = rng.between(space.members.0, space.members.1);
        let members = (0..members).map(|_| random_member(rng, space, loss, &table, train_rows)).collect();
        Case { seed, population: Arc::new(Population::new(members)), table: Arc::new(table), train_rows }
    }

    /// 64 members that differ in everything, with each embedding and each number of sub-models about equally often, on a
    /// table whose features are encoded or not.
    pub fn of_recipes(seed: u64) -> Case {
        let (rng, space) = (&mut Rng(seed), &Space::TILES);
        let (train_rows, loss) = (rng.between(60, 120), Loss::CrossEntropy { classes: 3 });
        let table = loop {
            let table = random_table(rng, train_rows + 23, 13, loss, false);
            if table.quantiles.iter().any(Vec::is_empty) && !table.quantiles.iter().all(Vec::is_empty) {
                break table;
            }
        };
        let member = |at: usize| loop {
            let mut training = random_training(rng, space);
            training.network.embed = EMBEDS[at % EMBEDS.len()];
            training.network.sub_models = [1, 2, 4, 8][at / EMBEDS.len() % 4];
            if let Some(member) = Member::new(&training, loss, &table, train_rows) {
                return member;
            }
        };
        let members: Vec<Member> = (0..64).map(member).collect();
        Case { seed, population: Arc::new(Population::new(members)), table: Arc::new(table), train_rows }
    }

    /// Members whose inputs are more than the features.
    pub fn embedding(&self) -> usize {
        self.population.members.iter().filter(|member| member.inputs() > self.table.features).count()
    }

    /// Members that have sub-models.
    pub fn of_sub_models(&self) -> usize {
        self.population.members.iter().filter(|member| member.sub_models() > 1).count()
    }

    /// The same data, with one of its members alone.
    pub fn alone(&self, member: usize) -> Case {
        let members = vec![self.population.members[member].clone()];
        Case { population: Arc::new(Population::new(members)), ..self.clone() }
    }

    /// Training steps `from..to` of all members, `[S, K]`, of 1,000 in all.
    pub fn training_steps(&self, from: u64, to: u64) -> Vec<StepRow> {
        let row = |s: u64, m: &Member| training_step(&m.training, &m.walk, s, 1000);
        (from..to).flat_map(|s| self.population.members.iter().map(move |m| row(s, m))).collect()
    }

    /// Steps of all members that evaluate every row of the table, `[S, K]`; each member's batch is the same.
    pub fn evaluation_steps(&self) -> Vec<StepRow> {
        let (rows, batch) = (self.table.rows(), 256);
        let starts = (0..rows).step_by(batch);
        starts
            .flat_map(|at| (0..self.population.len()).map(move |_| evaluation_step(at, batch.min(rows - at))))
            .collect()
    }
}

/// Embeddings of random members.
const EMBEDS: [Embed; 5] = [Embed::None, Embed::Ple(2), Embed::Ple(5), Embed::Ple(16), Embed::Ple(64)];

/// Sub-models of random members that have some.
const SUB_MODELS: [usize; 3] = [2, 3, 5];

/// Rows of bytes with a scaling, or of normal numbers; with classes that depend on the values, or real targets.
pub fn random_table(rng: &mut Rng, rows: usize, features: usize, loss: Loss, bytes: bool) -> Table {
    let values = if bytes {
        Values::Bytes {
            values: (0..rows * features).map(|_| (rng.bits() >> 56) as u8).collect(),
            shift: (0..features).map(|_| (127.0 + 10.0 * rng.normal()) as f32).collect(),
            factor: (0..features).map(|_| (0.01 + 0.01 * rng.uniform()) as f32).collect(),
        }
    } else {
        Values::Floats((0..rows * features).map(|_| rng.normal() as f32).collect())
    };
    let targets = (0..rows)
        .map(|_| match loss {
            Loss::CrossEntropy { classes } => rng.between(0, classes - 1) as u32,
            Loss::SquaredError => (rng.normal() as f32).to_bits(),
        })
        .collect();
    let quantiles = match values {
        Values::Bytes { .. } => Vec::new(),
        Values::Floats(_) => (0..features).map(|_| random_quantiles(rng)).collect(),
    };
    Table { values, features, quantiles, targets }
}

/// Quantiles of normal numbers, of few different numbers, or none.
fn random_quantiles(rng: &mut Rng) -> Vec<f32> {
    let of: fn(&mut Rng) -> f32 = match rng.between(0, 3) {
        0 => return Vec::new(),
        1 => |rng| rng.between(0, 3) as f32 - 1.0,
        _ => |rng| rng.normal() as f32,
    };
    let mut quantiles: Vec<f32> = (0..Embed::QUANTILES).map(|_| of(rng)).collect();
    quantiles.sort_by(f32::total_cmp);
    quantiles
}

/// A member that can take a step on `train_rows` rows.
pub fn random_member<'a>(
    rng: &mut Rng,
    space: &Space,
    loss: Loss,
    features: impl Into<Features<'a>> + Copy,
    train_rows: usize,
) -> Member {
    loop {
        let training = random_training(rng, space);
        // Some members hold out a window of these rows.
        let of_rows = &mut Rng(training.seed);
        let held_out = if of_rows.chance(0.3) { of_rows.between(0, train_rows / 3) } else { 0 };
        let first = of_rows.between(0, train_rows - held_out);
        if let Some(member) = Member::new(&training, loss, features, train_rows - held_out) {
            return member.holding_out(first..first + held_out);
        }
    }
}

/// A training whose network and hyperparameters are drawn from `space`.
pub fn random_training(rng: &mut Rng, space: &Space) -> Training {
    let depth = rng.between(0, space.depth);
    let batch_norm = rng.chance(0.6).then(|| BatchNorm {
        eps: rng.pick(&[1e-8, 1e-5, 1e-3]),
        momentum: rng.pick(&[0.1, 0.01, 0.5, 1.0]),
        affine: rng.chance(0.75),
    });
    let activation = rng.pick(&Activation::ALL);
    let network = Network {
        embed: rng.pick(&EMBEDS),
        sub_models: if rng.chance(0.3) { rng.pick(&SUB_MODELS) } else { 1 },
        hidden: (0..depth).map(|_| rng.pick(space.widths)).collect(),
        activation,
        batch_norm,
        dropout: if rng.chance(0.3) { rng.pick(&[0.1, 0.25, 0.5]) } else { 0.0 },
        init: rng.pick(&[Init::He, Init::Xavier, Init::Normal(0.3)]),
    };
    let optimizer = match rng.between(0, 5) {
        0 => Optimizer::Sgd { momentum: 0.0, nesterov: false },
        1 => Optimizer::Sgd { momentum: 0.9, nesterov: false },
        2 => Optimizer::Sgd { momentum: 0.8, nesterov: true },
        3 => Optimizer::RmsProp { alpha: rng.pick(&[0.99, 0.9]), eps: 1e-8 },
        4 => Optimizer::Adam { beta1: rng.pick(&[0.0, 0.5]), beta2: 0.95, eps: 1e-4 },
        _ => Optimizer::Adam { beta1: 0.9, beta2: 0.999, eps: 1e-8 },
    };
    let some = |rng: &mut Rng, p: f64| space.training && rng.chance(p);
    Training {
        network,
        optimizer,
        lr: rng.log(1e-4, 1e-2),
        l2: if rng.chance(0.4) { rng.log(1e-4, 1e-1) } else { 0.0 },
        weight_decay: if some(rng, 0.3) { rng.log(1e-3, 1.0) } else { 0.0 },
        schedule: if some(rng, 0.5) { rng.pick(&Schedule::ALL) } else { Schedule::Constant },
        warmup: if some(rng, 0.3) { rng.between(1, 30) as u64 } else { 0 },
        clip_norm: some(rng, 0.3).then(|| rng.log(1e-2, 10.0)),
        batch_size: rng.pick(space.batches),
        length: Length::Steps(1000),
        patience: None,
        max_time: None,
        best_epoch: BestEpoch::Lowest,
        seed: rng.bits(),
    }
}

/// A base network: Xavier, without embedding, sub-models and dropout.
pub fn network(hidden: Vec<usize>, activation: Activation, batch_norm: Option<BatchNorm>) -> Network {
    Network {
        embed: Embed::None,
        sub_models: 1,
        hidden,
        activation,
        batch_norm,
        dropout: 0.0,
        init: Init::Xavier,
    }
}

/// Base settings: plain SGD at 0.1, Xavier, no regularisation, seed 1.
pub fn plain(network: Network, batch_size: usize) -> Training {
    Training {
        network,
        optimizer: Optimizer::Sgd { momentum: 0.0, nesterov: false },
        lr: 0.1,
        l2: 0.0,
        weight_decay: 0.0,
        schedule: Schedule::Constant,
        warmup: 0,
        clip_norm: None,
        batch_size,
        length: Length::Steps(1000),
        patience: None,
        max_time: None,
        best_epoch: BestEpoch::Lowest,
        seed: 1,
    }
}
