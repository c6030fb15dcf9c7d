//! Watching of steps: suites for any engine.

use std::sync::Arc;

use bngpu::engine::{Engine, EngineError};
use bngpu::population::PERCENTS;
use bngpu::population::tables::{Record, StepRow};
use bngpu::population::{Buffer, Loss, Member, Population, training_step};
use bngpu::spec::{Activation, BatchNorm, Embed, Init, Network};
use bngpu::step::watch::{LayerWatch, MOST_VALUES, Percentiles};
use bngpu::step::{Op, StepKind};

use super::close::{Tolerance, assert_close, assert_same_bits};
use super::invariance::{Snapshot, region, snapshot};
use super::probe::Make;
use super::random_population::{Case, Rng, Space, plain, random_table};

fn engine(make: &Make, case: &Case) -> Box<dyn Engine> {
    let mut engine = make(case.population.clone(), case.table.clone());
    engine.initialize().expect("initialises");
    engine
}

fn watched(seed: u64, space: &Space) -> Case {
    let case = Case::random(seed, space);
    Case { population: Arc::new(case.population.watched()), ..case }
}

fn watch(engine: &mut dyn Engine, steps: &[StepRow]) -> Vec<Option<Vec<LayerWatch>>> {
    engine.watch(steps).unwrap_or_else(|e| panic!("watch: {e}"))
}

/// The bits of all watched values.
fn bits(seen: &[LayerWatch]) -> Vec<u32> {
    let of = |w: &LayerWatch| {
        let looks = [w.before, w.after, w.unit_before, w.unit_after];
        let norms = [w.weight_grad_norm, w.vector_grad_norm];
        looks.into_iter().flat_map(|look| look.0).chain(norms).map(f32::to_bits).collect::<Vec<_>>()
    };
    seen.iter().flat_map(of).collect()
}

/// Nearest rank, by its definition on sorted values.
fn percentiles(mut values: Vec<f32>) -> Percentiles {
    values.sort_by(f32::total_cmp);
    let n = values.len() as f64;
    Percentiles(PERCENTS.map(|p| values[(p as f64 * n / 100.0 - 1e-9).ceil() as usize - 1]))
}

/// Percentiles of values written as Z are, bit for bit, those of the sorted values: of Z itself, and scaled by γ.
/// `sizes` are (rows, units).
pub fn percentiles_are_those_of_sorted_values(make: &Make, sizes: &[(usize, usize)]) {
    type Draw = fn(&mut Rng) -> f32;
    let numbers: [(&str, Draw); 4] = [
        ("normal", |rng| rng.normal() as f32),
        ("ties", |rng| (2.0 * rng.normal()).round() as f32),
        ("equal", |_| -0.75),
        ("all bits", |rng| match rng.between(0, 9) {
            0 => f32::INFINITY,
            1 => f32::NEG_INFINITY,
            2 => 0.0,
            3 => -0.0,
            4 => f32::NAN,
            5 => -f32::NAN,
            _ => f32::from_bits(rng.bits() as u32),
        }),
    ];
    for &(rows, units) in sizes {
        let rng = &mut Rng(rows as u64);
        let network = Network {
            embed: Embed::None,
            sub_models: 1,
            hidden: vec![units],
            activation: Activation::Sigmoid,
            batch_norm: Some(BatchNorm::default()),
            dropout: 0.0,
            init: Init::Xavier,
        };
        let loss = Loss::SquaredError;
        let member = Member::new(&plain(network, rows), loss, 1, rows).expect("a step is possible");
        let layer = member.layers[0];
        let step = training_step(&member.training, &member.walk, 0, 10);
        let table = Arc::new(random_table(rng, rows, 1, loss, false));
        let mut engine = make(Arc::new(Population::new(vec![member]).watched()), table);
        engine.initialize().expect("initialises");
        // Powers of two: nothing is rounded.
        let gamma: Vec<f32> = (0..units).map(|f| [2.0, -0.5, 1.0][f % 3]).collect();
        engine.write_region(Buffer::Params, layer.b as usize, &gamma).expect("writes");
        for (name, number) in &numbers {
            let z: Vec<f32> = (0..rows * units).map(|_| number(rng)).collect();
            engine.write_region(Buffer::Z, layer.z as usize, &z).expect("writes");
            for normalized in [false, true] {
                // A NaN may have changed in the multiplication, and a subnormal number may be zero.
                if normalized && *name == "all bits" {
                    continue;
                }
                engine.run_op(Op::Percentiles { layer: 0, normalized }, &[step]).expect("runs");
                let all = engine.read(Buffer::Looks).expect("reads");
                let at = if normalized { 2 * PERCENTS.len() } else { 0 };
                let value = |i: usize| if normalized { gamma[i % units] * z[i] + 0.0 } else { z[i] };
                // In larger layers only the first rows are watched.
                let looked = rows.min(MOST_VALUES / units) * units;
                let expected = [
                    percentiles((0..looked).map(value).collect()),
                    percentiles((0..rows).map(|b| value(b * units)).collect()),
                ];
                for (look, expected) in all[at..].chunks(PERCENTS.len()).zip(expected) {
                    let what = format!("{rows} x {units}, {name}, normalized {normalized}");
                    assert_same_bits(look, &expected.0, &what);
                }
            }
        }
    }
}

/// Training has the same bits with and without a look before, whether or not the population can be watched.
pub fn watching_does_not_change_training(make: &Make, seed: u64) {
    const STEPS: u64 = 8;
    let case = watched(seed, &Space::of_members(4));
    let go = |case: &Case, looks: bool| -> (Vec<Record>, Snapshot) {
        let mut engine = engine(make, case);
        let mut records = Vec::new();
        for s in 0..STEPS {
            let steps = case.training_steps(s, s + 1);
            if looks {
                let seen = watch(&mut *engine, &steps);
                assert!(seen.iter().all(Option::is_some));
            }
            records.extend(engine.run(StepKind::Train, &steps).expect("runs"));
        }
        (records, snapshot(&mut *engine))
    };
    let unwatched = Case { population: Case::random(seed, &Space::of_members(4)).population, ..case.clone() };
    let (records, memory) = go(&unwatched, false);
    for looks in [false, true] {
        let (again, memory_again) = go(&case, looks);
        assert!(records.iter().zip(&again).all(|(a, b)| bytemuck::bytes_of(a) == bytemuck::bytes_of(b)));
        for m in 0..case.population.len() {
            for buffer in Buffer::ALL.into_iter().filter(|&buffer| buffer != Buffer::Looks) {
                assert_same_bits(
                    region(&memory_again, &case.population, m, buffer),
                    region(&memory, &case.population, m, buffer),
                    &format!("case {seed}, member {m}, {buffer:?}, looked at {looks}"),
                );
            }
        }
    }
    let mut engine = engine(make, &unwatched);
    let refused = engine.watch(&case.training_steps(0, 1));
    assert!(matches!(refused, Err(EngineError::Unsupported { .. })), "{refused:?}");
}

/// A look at a member alone equals the look at it among others, in any slot.
pub fn slots_do_not_matter(make: &Make, seed: u64) {
    const MEMBERS: usize = 8;
    let many = watched(seed, &Space::of_members(MEMBERS));
    let see = |case: &Case| {
        let mut engine = engine(make, case);
        engine.run(StepKind::Train, &case.training_steps(0, 5)).expect("runs");
        watch(&mut *engine, &case.training_steps(5, 6))
    };
    let seen = see(&many);
    for (slot, seen) in seen.iter().enumerate() {
        let alone = see(&many.alone(slot));
        let (seen, alone) = (seen.as_deref().expect("seen"), alone[0].as_deref().expect("seen"));
        assert_eq!(seen.len(), many.population.members[slot].layers.len());
        assert_eq!(bits(seen), bits(alone), "case {seed}, slot {slot}");
    }
}

/// A look agrees with the memory after it, and with the next step.
pub fn looks_agree_with_the_memory(make: &Make, seed: u64) {
    let case = watched(seed, &Space::of_members(4));
    let mut engine = engine(make, &case);
    engine.run(StepKind::Train, &case.training_steps(0, 3)).expect("runs");
    let mut steps = case.training_steps(3, 4);
    steps[1].rows = 0;
    let seen = watch(&mut *engine, &steps);
    assert!(seen[1].is_none());
    let memory = snapshot(&mut *engine);
    let records = engine.run(StepKind::Train, &steps).expect("runs");
    for slot in [0, 2, 3] {
        let (member, rows) = (&case.population.members[slot], steps[slot].rows as usize);
        let seen = seen[slot].as_deref().expect("seen");
        let floats = |buffer| region(&memory, &case.population, slot, buffer);
        let what = format!("case {seed}, member {slot}");
        for (layer, (l, seen)) in member.layers.iter().zip(seen).enumerate() {
            let what = format!("{what}, layer {layer}");
            if l.products().is_none() {
                assert_eq!((seen.before, seen.after), Default::default(), "{what}: its inputs are no Z");
                continue;
            }
            let (o, z) = (l.outputs as usize, &floats(Buffer::Z)[l.z as usize..]);
            let params = |at: u32, f: usize| f64::from(floats(Buffer::Params)[at as usize + f]);
            let y = |b: usize, f: usize| {
                let z = f64::from(z[b * o + f]);
                let y = if l.is_normalized() { params(l.b, f) * z + params(l.beta, f) } else { z };
                y as f32
            };
            let all = percentiles((0..rows * o).map(|i| y(i / o, i % o)).collect());
            let unit = percentiles((0..rows).map(|b| y(b, 0)).collect());
            let near = |got: Percentiles, expected: Percentiles, reach: f64, what: &str| {
                let tolerance = Tolerance { abs: 1e-5 * reach, rel: 1e-5 };
                assert_close(&got.0.map(f64::from), &expected.0.map(f64::from), tolerance, what);
            };
            near(seen.after, all, 1.0, &format!("{what}, y"));
            near(seen.unit_after, unit, 1.0, &format!("{what}, y of unit 0"));
            if l.is_normalized() && params(l.b, 0) > 0.0 {
                // Batch normalisation of one unit keeps the order of its values.
                let stats = |row: usize| f64::from(floats(Buffer::Stats)[l.stats as usize + row * o]);
                let [mean, rstd] = [stats(3), stats(4)];
                let y = |z: f32| params(l.b, 0) * (f64::from(z) - mean) * rstd + params(l.beta, 0);
                let reach = 1.0 + mean.abs() * rstd;
                near(
                    Percentiles(seen.unit_before.0.map(|z| y(z) as f32)),
                    unit,
                    reach,
                    &format!("{what}, Z"),
                );
            } else if !l.is_normalized() {
                assert_eq!((seen.before, seen.unit_before), (seen.after, seen.unit_after), "{what}");
            }
            let norm = |at: u32, len: usize| {
                let squares =
                    floats(Buffer::Grads)[at as usize..][..len].iter().map(|&g| f64::from(g).powi(2));
                squares.sum::<f64>()
            };
            let beta = if l.is_normalized() { norm(l.beta, o) } else { 0.0 };
            let weights = l.products().map_or(0, |products| products.weights());
            let expected = [norm(l.w, weights), norm(l.b, o) + beta].map(|squares| (squares + 0.0).sqrt());
            let got = [seen.weight_grad_norm, seen.vector_grad_norm].map(f64::from);
            assert_close(&got, &expected, Tolerance { abs: 0.0, rel: 1e-5 }, &format!("{what}, norms"));
        }
        let squares =
            |w: &LayerWatch| f64::from(w.weight_grad_norm).powi(2) + f64::from(w.vector_grad_norm).powi(2);
        let total = seen.iter().map(squares).sum::<f64>().sqrt();
        let step = f64::from(records[slot].grad_norm);
        assert_close(
            &[total],
            &[step],
            Tolerance { abs: 0.0, rel: 1e-5 },
            &format!("{what}, norm of the step"),
        );
    }
}
