//! The four invariants on the CPU engine in f32, as defined in `common/invariance.rs`.

use std::sync::Arc;

use bngpu::engine::Engine;
use bngpu::engine::cpu::CpuEngine;
use bngpu::population::{Buffer, Loss, Member, Population, training_step};
use bngpu::spec::{Activation, BatchNorm, Embed, Init, Network, Optimizer, Training};
use bngpu::step::StepKind;
use bngpu::step::memory::Table;

use crate::common::close::assert_same_bits;
use crate::common::invariance;
use crate::common::random_population::{Rng, plain, random_table};

fn make(population: Arc<Population>, table: Arc<Table>) -> Box<dyn Engine> {
    Box::new(CpuEngine::<f32>::new(population, table))
}

#[test]
fn a_member_has_the_same_bits_alone_and_in_any_slot() {
    invariance::alone_is_any_slot(&make, 1, &(0..64).collect::<Vec<_>>());
    invariance::alone_is_any_slot(&make, 2, &(0..64).collect::<Vec<_>>());
}

#[test]
fn members_with_other_recipes_have_the_same_bits_as_alone() {
    (0..4).for_each(|seed| invariance::recipes_do_not_mix(&make, seed));
}

#[test]
fn a_hundred_repeats_are_identical() {
    invariance::repeats_are_identical(&make, 3, 100);
}

#[test]
fn division_into_calls_does_not_matter() {
    (0..12).for_each(|seed| invariance::division_does_not_matter(&make, seed));
}

#[test]
fn evaluation_and_pauses_do_not_change_training() {
    (0..12).for_each(|seed| invariance::evaluation_and_pauses_do_not_change_training(&make, seed));
}

#[test]
fn poison_between_steps_is_found_and_contained() {
    let injections: usize = (0..24).map(|s| invariance::poison_is_found_and_contained(&make, s)).sum();
    eprintln!("{injections} injections between steps, all found");
    assert!(injections > 500, "{injections}");
}

#[test]
fn poison_within_a_step_is_found() {
    let injections: usize = (0..24).map(|s| invariance::poison_within_a_step_is_found(&make, s)).sum();
    eprintln!("{injections} injections within a step, all found");
    assert!(injections > 500, "{injections}");
}

#[test]
fn fixed_gamma_and_beta_do_not_change() {
    invariance::fixed_gamma_and_beta_do_not_change(&make);
}

#[test]
fn stale_memory_is_never_read() {
    (0..12).for_each(|seed| invariance::stale_memory_is_never_read(&make, seed));
}

#[test]
fn a_bad_row_is_found_at_its_step() {
    (0..24).for_each(|seed| invariance::a_bad_row_is_found_at_its_step(&make, seed));
}

#[test]
fn small_and_flat_batches_stay_finite() {
    invariance::small_and_flat_batches_stay_finite(&make);
}

/// Products, sums and updates give the same bits for any number of threads. The widths are cut into halves, columns and
/// rows, some with one row or one column left over.
#[test]
fn threads_do_not_matter() {
    const ROWS: usize = 300;
    let network = |hidden: &[usize], activation, batch_norm| Network {
        embed: Embed::None,
        sub_models: if activation == Activation::Silu { 3 } else { 1 },
        hidden: hidden.to_vec(),
        activation,
        batch_norm,
        dropout: 0.2,
        init: Init::He,
    };
    let adam = |network, batch| Training {
        optimizer: Optimizer::Adam { beta1: 0.9, beta2: 0.999, eps: 1e-8 },
        lr: 1e-3,
        l2: 1e-4,
        weight_decay: 1e-2,
        clip_norm: Some(1.0),
        ..plain(network, batch)
    };
    let norm = Some(BatchNorm::default());
    let classes = Loss::CrossEntropy { classes: 10 };
    let cases = [
        (
            classes,
            vec![
                adam(network(&[512, 257], Activation::Relu, norm), 128),
                Training { lr: 1e-2, ..plain(network(&[512, 257], Activation::Tanh, None), 100) },
            ],
        ),
        (Loss::SquaredError, vec![adam(network(&[513, 1, 130], Activation::Silu, norm), 61)]),
        // The last batch of each epoch has one row.
        (classes, vec![adam(network(&[2048, 33], Activation::Elu, None), 299)]),
    ];
    for (loss, trainings) in cases {
        same_bits_on(&[2, 3, 5, 6, 8, 16, 34], loss, &trainings, 700, ROWS);
    }
}

/// Small layers, too, whose parts are so small that the library of products may treat them otherwise.
#[test]
fn threads_do_not_matter_for_random_networks() {
    let mut random = Rng(16);
    for case in 0..30 {
        let layers = random.between(1, 3);
        let network = Network {
            embed: Embed::None,
            sub_models: if case % 3 == 0 { random.between(2, 9) } else { 1 },
            hidden: (0..layers).map(|_| random.between(1, 90)).collect(),
            activation: Activation::Relu,
            batch_norm: (case % 2 == 0).then(BatchNorm::default),
            dropout: 0.0,
            init: Init::He,
        };
        let loss = Loss::CrossEntropy { classes: random.between(2, 30) };
        let training = plain(network, random.between(2, 140));
        let threads = [random.between(2, 4), random.between(5, 16)];
        same_bits_on(&threads, loss, &[training], random.between(1, 120), 200);
    }
}

/// Trains a few steps by one thread and by teams on each of `threads`, and compares all memory.
fn same_bits_on(threads: &[usize], loss: Loss, trainings: &[Training], features: usize, rows: usize) {
    let table = Arc::new(random_table(&mut Rng(9), rows, features, loss, true));
    let members = trainings.iter().map(|t| Member::new(t, loss, features, rows).expect("a step is possible"));
    let population = Arc::new(Population::new(members.collect::<Vec<_>>()));
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("a thread pool");
        pool.install(|| {
            let mut engine = CpuEngine::<f32>::new(population.clone(), table.clone());
            engine.initialize().expect("initialises");
            // Chosen by their speed, teams of more threads than cores would not last.
            engine.fix_teams((threads / population.len()).max(1));
            for s in 0..6 {
                let steps: Vec<_> =
                    population.members.iter().map(|m| training_step(&m.training, &m.walk, s, 6)).collect();
                engine.run(StepKind::Train, &steps).expect("runs");
            }
            Buffer::ALL.map(|buffer| engine.read(buffer).expect("reads"))
        })
    };
    let expected = run(1);
    for &threads in threads {
        let got = run(threads);
        for buffer in Buffer::ALL {
            let what = format!("{loss:?}, {trainings:?}: {buffer:?} on {threads} threads");
            assert_same_bits(&got[buffer as usize], &expected[buffer as usize], &what);
        }
    }
}
