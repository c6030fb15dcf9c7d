//! A member's result depends only on its own settings and the data: suites for any engine.
//!
//! Everything is compared bit for bit: parameters, moments, statistics, activations, gradients, records.

use std::sync::Arc;

use bngpu::engine::Engine;
use bngpu::population::random::shuffle_keys;
use bngpu::population::tables::{ChunkKind, LayerRow, Record, StepRow};
use bngpu::population::{Buffer, Loss, Member, Population, evaluation_step, training_step};
use bngpu::spec::{Activation, BatchNorm, Embed, Init, Network, Optimizer, Training};
use bngpu::step::memory::Values;
use bngpu::step::{Layers, Op, Product, StepKind, plan};

use super::close::assert_same_bits;
use super::probe::Make;
use super::random_population::{Case, Rng, Space, network, plain, random_table};

/// Roles that a step starts from; a step writes all others before it reads them.
const PERSISTENT: [Buffer; 3] = [Buffer::Params, Buffer::Moments, Buffer::Stats];

/// All of an engine's memory, role by role.
pub type Snapshot = Vec<Vec<f32>>;

pub fn snapshot(engine: &mut dyn Engine) -> Snapshot {
    Buffer::ALL.iter().map(|&b| engine.read(b).unwrap_or_else(|e| panic!("read {b:?}: {e}"))).collect()
}

fn restore(engine: &mut dyn Engine, snapshot: &Snapshot) {
    for (&buffer, values) in Buffer::ALL.iter().zip(snapshot) {
        engine.write(buffer, values).unwrap_or_else(|e| panic!("write {buffer:?}: {e}"));
    }
}

/// One member's region of a role.
pub fn region<'a>(
    snapshot: &'a Snapshot,
    population: &Population,
    member: usize,
    buffer: Buffer,
) -> &'a [f32] {
    let at = population.bases[member][buffer as usize];
    &snapshot[buffer as usize][at..at + population.members[member].sizes[buffer as usize]]
}

fn first_bad(snapshot: &Snapshot, population: &Population, member: usize) -> u32 {
    region(snapshot, population, member, Buffer::State)[1].to_bits()
}

fn engine(make: &Make, case: &Case) -> Box<dyn Engine> {
    let mut engine = make(case.population.clone(), case.table.clone());
    engine.initialize().expect("initialises");
    engine
}

fn run(engine: &mut dyn Engine, kind: StepKind, steps: &[StepRow]) -> Vec<Record> {
    let records = engine.run(kind, steps).unwrap_or_else(|e| panic!("{kind:?}: {e}"));
    assert_eq!(records.len(), steps.len());
    records
}

#[track_caller]
fn assert_same_records(got: &[Record], expected: &[Record], what: &str) {
    assert_eq!(got.len(), expected.len(), "{what}: number of records");
    for (i, (g, e)) in got.iter().zip(expected).enumerate() {
        let same = bytemuck::bytes_of(g) == bytemuck::bytes_of(e);
        assert!(same, "{what}: record [{i}] is {g:?} where {e:?} was expected");
    }
}

/// A member alone gets the same bits as in each of `slots` of a ragged population of 64, after 20 steps and an
/// evaluation.
pub fn alone_is_any_slot(make: &Make, seed: u64, slots: &[usize]) {
    alone_is_together(make, &Case::random(seed, &Space::of_members(64)), slots);
}

/// The same for members that embed the same features differently, or not at all, with sub-models or without.
pub fn recipes_do_not_mix(make: &Make, seed: u64) {
    let many = Case::of_recipes(seed);
    let count = many.population.len();
    let mut inputs: Vec<usize> = many.population.members.iter().map(|member| member.inputs()).collect();
    inputs.sort_unstable();
    inputs.dedup();
    assert!(inputs.len() > 3 && many.embedding() == count * 4 / 5, "{inputs:?}");
    assert_eq!((count, many.of_sub_models()), (64, 45));
    alone_is_together(make, &many, &(0..count).collect::<Vec<_>>());
}

fn alone_is_together(make: &Make, many: &Case, slots: &[usize]) {
    const STEPS: u64 = 20;
    let (seed, count) = (many.seed, many.population.len());
    let go = |case: &Case| {
        let mut engine = engine(make, case);
        let train = run(&mut *engine, StepKind::Train, &case.training_steps(0, STEPS));
        let evaluate = run(&mut *engine, StepKind::Evaluate, &case.evaluation_steps());
        ([train, evaluate], snapshot(&mut *engine))
    };
    let (records, memory) = go(many);
    for &slot in slots {
        let alone = many.alone(slot);
        let (alone_records, alone_memory) = go(&alone);
        let what =
            format!("case {seed}, slot {slot} of {count} ({:?})", many.population.members[slot].training);
        for (records, alone) in records.iter().zip(&alone_records) {
            let of_slot: Vec<Record> = records.iter().copied().skip(slot).step_by(count).collect();
            assert_same_records(&of_slot, alone, &what);
        }
        for buffer in Buffer::ALL {
            assert_same_bits(
                region(&memory, &many.population, slot, buffer),
                region(&alone_memory, &alone.population, 0, buffer),
                &format!("{what}, {buffer:?}"),
            );
        }
    }
}

/// The same steps give the same bits, `repeats` times, each on a new engine.
pub fn repeats_are_identical(make: &Make, seed: u64, repeats: usize) {
    let case = Case::random(seed, &Space::TILES);
    let go = || {
        let mut engine = engine(make, &case);
        let records = run(&mut *engine, StepKind::Train, &case.training_steps(0, 5));
        (records, snapshot(&mut *engine))
    };
    let (records, memory) = go();
    for repeat in 1..repeats {
        let (again, memory_again) = go();
        assert_same_records(&again, &records, &format!("case {seed}, repeat {repeat}"));
        for buffer in Buffer::ALL {
            let (got, expected) = (&memory_again[buffer as usize], &memory[buffer as usize]);
            assert_same_bits(got, expected, &format!("case {seed}, repeat {repeat}, {buffer:?}"));
        }
    }
}

/// The division of steps into calls of `run`, and of operations into calls of `run_op`, does not matter.
pub fn division_does_not_matter(make: &Make, seed: u64) {
    const STEPS: u64 = 24;
    let case = Case::random(seed, &Space::TILES);
    let go = |parts: &[u64]| {
        let mut engine = engine(make, &case);
        let (mut at, mut records) = (0, Vec::new());
        for part in parts {
            records.extend(run(&mut *engine, StepKind::Train, &case.training_steps(at, at + part)));
            at += part;
        }
        assert_eq!(at, STEPS);
        (records, snapshot(&mut *engine))
    };
    let (records, memory) = go(&[STEPS]);
    let same_memory = |got: &Snapshot, what: &str| {
        for buffer in Buffer::ALL {
            assert_same_bits(&got[buffer as usize], &memory[buffer as usize], &format!("{what}, {buffer:?}"));
        }
    };
    for parts in [&[1; STEPS as usize][..], &[5, 1, 7, 11], &[23, 1], &[1, 23]] {
        let what = format!("case {seed}, steps divided as {parts:?}");
        let (again, memory_again) = go(parts);
        assert_same_records(&again, &records, &what);
        same_memory(&memory_again, &what);
    }
    let mut engine = engine(make, &case);
    let k = case.population.len();
    for steps in case.training_steps(0, STEPS).chunks_exact(k) {
        for op in plan(&case.population, StepKind::Train) {
            engine.run_op(op, steps).unwrap_or_else(|e| panic!("{op:?}: {e}"));
        }
    }
    same_memory(&snapshot(&mut *engine), &format!("case {seed}, operation by operation"));
}

/// An evaluation between training steps, or a member's pause, changes nothing that training reads.
pub fn evaluation_and_pauses_do_not_change_training(make: &Make, seed: u64) {
    let case = Case::random(seed, &Space::of_members(4));
    let k = case.population.len();
    let steps = case.training_steps(0, 8);
    let mut straight = engine(make, &case);
    let records = run(&mut *straight, StepKind::Train, &steps);
    let memory = snapshot(&mut *straight);

    let mut broken = engine(make, &case);
    for (at, step) in steps.chunks_exact(k).enumerate() {
        // Even members first, then odd ones; an idle member reports nothing.
        for half in 0..2 {
            let rows: Vec<StepRow> =
                (0..k).map(|m| if m % 2 == half { step[m] } else { StepRow::IDLE }).collect();
            let got = run(&mut *broken, StepKind::Train, &rows);
            for m in 0..k {
                let expected = if m % 2 == half { records[at * k + m] } else { Record::default() };
                assert_same_records(&got[m..=m], &[expected], &format!("case {seed}, step {at}, member {m}"));
            }
        }
        run(&mut *broken, StepKind::Evaluate, &case.evaluation_steps());
    }
    let memory_broken = snapshot(&mut *broken);
    for m in 0..k {
        for buffer in [Buffer::Params, Buffer::Moments] {
            let (got, expected) = (
                region(&memory_broken, &case.population, m, buffer),
                region(&memory, &case.population, m, buffer),
            );
            assert_same_bits(got, expected, &format!("case {seed}, member {m}, {buffer:?}"));
        }
    }
}

const POISONS: [f32; 3] = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY];

/// Elements of `member` in `buffer` that a step first reads and then writes back: `(start, len)`.
fn persistent_places(member: &Member, buffer: Buffer) -> Vec<(usize, usize)> {
    let chunks = member.chunks.iter().map(|c| (c.start, c.len));
    match buffer {
        Buffer::Params => chunks.collect(),
        Buffer::Moments => chunks.map(|(start, len)| (2 * start, 2 * len)).collect(),
        Buffer::Stats => {
            let normalized = member.layers.iter().filter(|l| l.is_normalized());
            normalized.map(|l| (l.stats as usize, 3 * l.outputs as usize)).collect()
        }
        _ => Vec::new(),
    }
}

/// NaN and infinities written between two steps into parameters, moments and running statistics of one member are found
/// at the next step; the other members keep the bits of a clean run. Returns the number of injections.
pub fn poison_is_found_and_contained(make: &Make, seed: u64) -> usize {
    const BEFORE: u64 = 3;
    const AFTER: u64 = 6;
    let case = Case::random(seed, &Space::of_members(4));
    let (population, k) = (&*case.population, case.population.len());
    let mut engine = engine(make, &case);
    run(&mut *engine, StepKind::Train, &case.training_steps(0, BEFORE));
    let start = snapshot(&mut *engine);
    let steps = case.training_steps(BEFORE, AFTER);
    let clean_records = run(&mut *engine, StepKind::Train, &steps);
    let clean = snapshot(&mut *engine);
    (0..k).for_each(|m| {
        assert_eq!(first_bad(&clean, population, m), Record::FINITE, "case {seed}, member {m}")
    });

    let rng = &mut Rng(seed);
    let mut injections = 0;
    for victim in 0..k {
        for buffer in PERSISTENT {
            for (from, len) in persistent_places(&population.members[victim], buffer) {
                let place = from + rng.pick(&[0, len - 1, rng.clone().between(0, len - 1)]);
                let poison = rng.pick(&POISONS);
                let what = format!("case {seed}: {poison} in {buffer:?}[{place}] of member {victim}");
                injections += 1;
                restore(&mut *engine, &start);
                let mut values = start[buffer as usize].clone();
                values[population.bases[victim][buffer as usize] + place] = poison;
                engine.write(buffer, &values).expect("writes");
                let records = run(&mut *engine, StepKind::Train, &steps);
                let after = snapshot(&mut *engine);
                // A fault in the update counts for the next step.
                let bad = first_bad(&after, population, victim);
                assert!((BEFORE as u32..=BEFORE as u32 + 1).contains(&bad), "{what}: first bad step {bad}");
                for (s, (got, expected)) in
                    records.chunks_exact(k).zip(clean_records.chunks_exact(k)).enumerate()
                {
                    let noted = got[victim].first_bad;
                    let expected_note = if BEFORE as u32 + s as u32 >= bad { bad } else { Record::FINITE };
                    assert_eq!(noted, expected_note, "{what}: record {s}");
                    for m in (0..k).filter(|&m| m != victim) {
                        let what = format!("{what}: record {s} of member {m}");
                        assert_same_records(&got[m..=m], &expected[m..=m], &what);
                    }
                }
                assert_others_untouched(&after, &clean, population, victim, &what);
            }
        }
    }
    injections
}

fn assert_others_untouched(
    after: &Snapshot,
    clean: &Snapshot,
    population: &Population,
    victim: usize,
    what: &str,
) {
    for m in (0..population.len()).filter(|&m| m != victim) {
        for buffer in Buffer::ALL {
            let (got, expected) =
                (region(after, population, m, buffer), region(clean, population, m, buffer));
            assert_same_bits(got, expected, &format!("{what}: {buffer:?} of member {m}"));
        }
    }
}

/// Memory that a step writes before it reads may hold anything: filling it with NaN changes no bit of the result, not
/// even behind a short batch's last row.
pub fn stale_memory_is_never_read(make: &Make, seed: u64) {
    let case = Case::random(seed, &Space::of_members(8));
    let population = &*case.population;
    let k = population.len();
    let rounds = population.members.iter().map(|m| m.walk.steps_per_epoch).max().unwrap_or(1) + 1;
    let mut engine = engine(make, &case);
    let mut clean = engine.initialize().map(|()| Vec::new()).expect("initialises");
    for s in 0..rounds {
        clean.extend(run(&mut *engine, StepKind::Train, &case.training_steps(s, s + 1)));
    }
    let expected = snapshot(&mut *engine);
    engine.initialize().expect("initialises");
    for s in 0..rounds {
        for buffer in Buffer::ALL.into_iter().filter(|b| !PERSISTENT.contains(b) && *b != Buffer::State) {
            let stale = if buffer == Buffer::Index { 0.0 } else { f32::NAN };
            engine.write(buffer, &vec![stale; population.sizes[buffer as usize]]).expect("writes");
        }
        let records = run(&mut *engine, StepKind::Train, &case.training_steps(s, s + 1));
        let expected = &clean[s as usize * k..][..k];
        assert_same_records(&records, expected, &format!("case {seed}, step {s} on stale memory"));
    }
    let got = snapshot(&mut *engine);
    for m in 0..k {
        for buffer in PERSISTENT {
            let what = format!("case {seed}, member {m}, {buffer:?} after steps on stale memory");
            assert_same_bits(
                region(&got, population, m, buffer),
                region(&expected, population, m, buffer),
                &what,
            );
        }
    }
}

/// The element that an operation has written last, in the first row, in which a fault would show.
fn written_by(op: Op, layers: &[LayerRow]) -> Option<(Buffer, u32)> {
    let last = layers.len() - 1;
    // Nothing reads what has no product, before it is written anew or later in the step.
    let multiplies = |l: usize| layers.get(l).is_some_and(|layer| layer.products().is_some());
    match op {
        Op::Gather => Some((Buffer::Acts, layers[0].x)),
        Op::Matmul { product: Product::Forward, layer: Layers::One(l) } if multiplies(l) => {
            Some((Buffer::Z, layers[l].z))
        }
        Op::Matmul { product: Product::BackwardInput, layer: Layers::One(l) } if l <= last => {
            Some((Buffer::Dz, layers[l - 1].z))
        }
        Op::Matmul { product: Product::BackwardWeight, .. } => Some((Buffer::Grads, layers[last].w)),
        Op::BatchNorm { layer, .. } if layer < last => Some((Buffer::Acts, layers[layer].a)),
        Op::Loss => Some((Buffer::Dz, layers[last].z)),
        Op::BatchNormBackward { layer } if multiplies(layer) => Some((Buffer::Dz, layers[layer].z)),
        Op::GradNorm => Some((Buffer::Partials, 0)),
        Op::Record { .. } => Some((Buffer::State, 0)),
        _ => None,
    }
}

/// NaN and +∞ written into the results of each operation of a step are found in that step. Dropout is off, as a dropped
/// unit may rightly hide anything. Returns the number of injections.
pub fn poison_within_a_step_is_found(make: &Make, seed: u64) -> usize {
    let mut case = Case::random(seed, &Space::of_members(4));
    let members = case.population.members.iter().map(|m| {
        let mut training = m.training.clone();
        training.network.dropout = 0.0;
        Member::new(&training, m.loss, m.features, case.train_rows).expect("a step is possible")
    });
    case.population = Arc::new(Population::new(members.collect()));
    let population = &*case.population;
    let mut engine = engine(make, &case);
    run(&mut *engine, StepKind::Train, &case.training_steps(0, 2));
    let start = snapshot(&mut *engine);
    let steps = case.training_steps(2, 3);
    run(&mut *engine, StepKind::Train, &steps);
    let clean = snapshot(&mut *engine);
    let ops = plan(population, StepKind::Train);
    let mut injections = 0;
    for (at, &op) in ops.iter().enumerate() {
        for (victim, member) in population.members.iter().enumerate() {
            let Some((buffer, place)) = written_by(op, &member.layers) else { continue };
            for poison in [f32::NAN, f32::INFINITY] {
                if buffer == Buffer::State && poison == f32::INFINITY {
                    continue; // A gradient of 0 times ∞ is NaN, but there may be none.
                }
                injections += 1;
                restore(&mut *engine, &start);
                for (i, &op) in ops.iter().enumerate() {
                    engine.run_op(op, &steps).expect("runs");
                    if i == at {
                        let mut values = engine.read(buffer).expect("reads");
                        values[population.bases[victim][buffer as usize] + place as usize] = poison;
                        engine.write(buffer, &values).expect("writes");
                    }
                }
                let after = snapshot(&mut *engine);
                let what = format!("case {seed}: {poison} in {buffer:?} of member {victim} after {op:?}");
                // A fault in the update counts for the next step.
                let expected = if matches!(op, Op::Record { .. }) { 3 } else { 2 };
                assert_eq!(first_bad(&after, population, victim), expected, "{what}: {:?}", member.training);
                assert_others_untouched(&after, &clean, population, victim, &what);
            }
        }
    }
    injections
}

/// NaN in one row of the data is found by each member at the step that trains on that row, not before.
pub fn a_bad_row_is_found_at_its_step(make: &Make, seed: u64) {
    let mut case = Case::random(seed, &Space { bytes: false, ..Space::of_members(6) });
    let rng = &mut Rng(seed);
    let row = rng.between(0, case.train_rows - 1);
    let mut table = (*case.table).clone();
    if let Values::Floats(values) = &mut table.values {
        values[row * table.features + rng.between(0, table.features - 1)] = f32::NAN;
    }
    case.table = Arc::new(table);
    const STEPS: u64 = 12;
    let mut engine = engine(make, &case);
    run(&mut *engine, StepKind::Train, &case.training_steps(0, STEPS));
    let after = snapshot(&mut *engine);
    for (m, member) in case.population.members.iter().enumerate() {
        let reads = |s: &u64| {
            let (epoch, first, rows) = member.walk.batch_of(*s);
            let keys = shuffle_keys(member.training.seed, epoch as u32);
            (first..first + rows).any(|p| member.row.training_row(keys, p as u32) == row as u32)
        };
        let expected = (0..STEPS).find(reads).map_or(Record::FINITE, |s| s as u32);
        assert_eq!(first_bad(&after, &case.population, m), expected, "case {seed}, member {m}, row {row}");
    }
}

/// Batches of two, constant columns, short last batches, a dropped single row: results are finite, and the records have
/// the expected rows.
pub fn small_and_flat_batches_stay_finite(make: &Make) {
    const ROWS: usize = 41;
    let loss = Loss::CrossEntropy { classes: 3 };
    let mut table = random_table(&mut Rng(5), ROWS, 6, loss, false);
    if let Values::Floats(values) = &mut table.values {
        values.chunks_exact_mut(6).for_each(|row| row.copy_from_slice(&[3.25, -1e4, 0.0, 1e6, 7e-3, 1.0]));
    }
    let flat = Arc::new(table);
    let varied = Arc::new(random_table(&mut Rng(6), ROWS, 6, loss, false));
    let member = |batch: usize, batch_norm: Option<BatchNorm>, activation: Activation| {
        let network = Network { init: Init::He, ..network(vec![7, 5], activation, batch_norm) };
        let training = Training { lr: 1e-3, ..plain(network, batch) };
        Member::new(&training, loss, 6, ROWS).expect("a step is possible")
    };
    let bn = Some(BatchNorm::default());
    // (batch, BN, rows of each step of an epoch)
    for (batch, batch_norm, epoch) in [
        (2, bn, vec![2; 20]),
        (2, None, [vec![2; 20], vec![1]].concat()),
        (8, bn, vec![8; 5]),
        (8, None, vec![8, 8, 8, 8, 8, 1]),
        (7, bn, vec![7, 7, 7, 7, 7, 6]),
        (39, bn, vec![39, 2]),
        (1000, bn, vec![41]),
        (1, None, vec![1; 41]),
    ] {
        for table in [&flat, &varied] {
            let members: Vec<Member> =
                Activation::ALL.iter().map(|&activation| member(batch, batch_norm, activation)).collect();
            let k = members.len();
            let population = Arc::new(Population::new(members));
            let mut engine = make(population.clone(), table.clone());
            engine.initialize().expect("initialises");
            for s in 0..2 * epoch.len() as u64 {
                let row = |m: &Arc<Member>| training_step(&m.training, &m.walk, s, 1000);
                let steps: Vec<StepRow> = population.members.iter().map(row).collect();
                let records = run(&mut *engine, StepKind::Train, &steps);
                for (m, record) in records.iter().enumerate() {
                    let what =
                        format!("batch {batch}, {batch_norm:?}, {}, step {s}", Activation::ALL[m].name());
                    assert_eq!(record.rows, epoch[s as usize % epoch.len()], "{what}: rows");
                    assert_eq!(u64::from(record.step), s, "{what}: canary");
                    let finite = record.loss.is_finite() && record.first_bad == Record::FINITE;
                    // Data at 1e6 may overflow a network without normalisation.
                    let may_overflow = Arc::ptr_eq(table, &flat) && batch_norm.is_none();
                    assert!(finite || may_overflow, "{what}: {record:?}");
                }
                if batch_norm.is_some() && Arc::ptr_eq(table, &flat) {
                    let memory = snapshot(&mut *engine);
                    for m in 0..k {
                        let l = population.members[m].layers[0];
                        let z = region(&memory, &population, m, Buffer::Z);
                        let xhat = &z[l.z as usize..][..records[m].rows as usize * l.outputs as usize];
                        assert!(xhat.iter().all(|&x| x == 0.0), "batch {batch}, step {s}: x̂ of equal rows");
                    }
                }
            }
            let evaluation = vec![evaluation_step(0, ROWS); k];
            let records = run(&mut *engine, StepKind::Evaluate, &evaluation);
            assert!(records.iter().all(|r| r.rows == ROWS as u32), "{records:?}");
        }
    }
}

/// Untrained γ and β stay at 1 and 0 under any optimiser, and all other gradients are, bit for bit, those of the same
/// network with trained γ and β at 1 and 0.
pub fn fixed_gamma_and_beta_do_not_change(make: &Make) {
    const ROWS: usize = 41;
    let loss = Loss::CrossEntropy { classes: 3 };
    let table = Arc::new(random_table(&mut Rng(8), ROWS, 6, loss, false));
    let optimizers = [
        Optimizer::Adam { beta1: 0.9, beta2: 0.999, eps: 1e-8 },
        Optimizer::Sgd { momentum: 0.9, nesterov: true },
        Optimizer::RmsProp { alpha: 0.99, eps: 1e-8 },
    ];
    let member = |activation: Activation, optimizer: Optimizer, affine: bool| {
        let batch_norm = Some(BatchNorm { affine, ..BatchNorm::default() });
        let network = Network {
            embed: Embed::None,
            sub_models: 1,
            hidden: vec![70, 5],
            activation,
            batch_norm,
            dropout: 0.2,
            init: Init::He,
        };
        let training = Training { optimizer, lr: 1e-2, l2: 1e-3, weight_decay: 0.1, ..plain(network, 8) };
        Member::new(&training, loss, 6, ROWS).expect("a step is possible")
    };
    let pairs =
        Activation::ALL.iter().flat_map(|&a| optimizers.map(|o| [true, false].map(|f| member(a, o, f))));
    let population = Arc::new(Population::new(pairs.flatten().collect()));
    let mut engine = make(population.clone(), table);
    engine.initialize().expect("initialises");
    let mut train = |steps: std::ops::Range<u64>| {
        for step in steps {
            let row = |m: &Arc<Member>| training_step(&m.training, &m.walk, step, 1000);
            run(&mut *engine, StepKind::Train, &population.members.iter().map(row).collect::<Vec<_>>());
        }
        snapshot(&mut *engine)
    };
    let (first, later) = (train(0..1), train(1..20));
    for fixed in (1..population.len()).step_by(2) {
        for chunk in &population.members[fixed].chunks {
            let of = |memory: &Snapshot, member: usize, buffer: Buffer| -> Vec<f32> {
                region(memory, &population, member, buffer)[chunk.start..][..chunk.len].to_vec()
            };
            let what = format!(
                "{:?}: {:?} of layer {}",
                population.members[fixed].training, chunk.kind, chunk.layer
            );
            let [trained_grads, grads] = [fixed - 1, fixed].map(|m| of(&first, m, Buffer::Grads));
            let stays = match chunk.kind {
                ChunkKind::Gamma => 1.0,
                ChunkKind::Beta => 0.0,
                ChunkKind::Weight | ChunkKind::Bias | ChunkKind::Factor => {
                    assert_same_bits(&grads, &trained_grads, &what);
                    continue;
                }
            };
            assert!(trained_grads.iter().any(|&g| g != 0.0), "{what}");
            assert!(grads.iter().all(|&g| g == 0.0), "{what}: {grads:?}");
            let [trained, params] = [fixed - 1, fixed].map(|m| of(&later, m, Buffer::Params));
            assert!(
                params.iter().all(|&p| p == stays) && trained.iter().any(|&p| p != stays),
                "{what}: {params:?}"
            );
        }
    }
}
