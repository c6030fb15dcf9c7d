//! Whole trainings on the GPU: they follow the CPU engine, and give the same results with a window of the data and with
//! either engine for prediction.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use bngpu::engine::Engine;
use bngpu::engine::cpu::CpuEngine;
use bngpu::population::{Population, evaluation_step, training_step};
use bngpu::run::ModelFile;
use bngpu::spec::{Activation, Length, Network, Training};
use bngpu::step::StepKind;
use bngpu::train::Problem;

use crate::common::gpu;
use crate::common::tolerances::Trajectory;
use crate::common::training::{digits, training};

const STEPS: u64 = 500;

/// The network of `facts.md`'s accuracy figures, made smaller: three sigmoid layers with BN, batches of 60.
fn network(lr: f64, seed: u64) -> Training {
    let network = Network {
        hidden: vec![32; 3],
        activation: Activation::Sigmoid,
        dropout: 0.0,
        init: bngpu::spec::Init::Xavier,
        ..training(0).network
    };
    Training {
        network,
        lr,
        seed,
        l2: 0.0,
        weight_decay: 0.0,
        schedule: bngpu::spec::Schedule::Constant,
        warmup: 0,
        clip_norm: None,
        batch_size: 60,
        length: Length::Steps(STEPS),
        ..training(0)
    }
}

/// Mean loss of every step, and the accuracy of the trained model on all rows.
fn follow(engine: &mut dyn Engine, population: &Population, problem: &Problem) -> (Vec<f64>, f64) {
    let member = &population.members[0];
    engine.initialize().expect("initialises");
    let steps: Vec<_> = (0..STEPS).map(|s| training_step(&member.training, &member.walk, s, STEPS)).collect();
    let records = engine.run(StepKind::Train, &steps).expect("trains");
    let losses = records.iter().map(|r| f64::from(r.loss) / f64::from(r.rows)).collect();
    let rows = problem.table.rows();
    let steps: Vec<_> = (0..rows)
        .step_by(member.capacity)
        .map(|at| evaluation_step(at, member.capacity.min(rows - at)))
        .collect();
    let records = engine.run(StepKind::Evaluate, &steps).expect("evaluates");
    (losses, records.iter().map(|r| f64::from(r.hits)).sum::<f64>() / rows as f64)
}

#[test]
#[ignore = "needs a GPU; scripts/test includes it"]
fn the_gpu_follows_the_cpus_loss_curve_over_500_steps() {
    let problem = digits(0.1);
    let population = |lr: f64, seed: u64| {
        let member = bngpu::train::member(&network(lr, seed), &problem).expect("a possible training");
        Arc::new(Population::new(vec![member]))
    };
    for seed in 0..3 {
        let population_ = population(1e-3, seed);
        let table = problem.table.clone();
        let mut exact = CpuEngine::<f64>::new(population_.clone(), table.clone());
        let (exact, accuracy) = follow(&mut exact, &population_, &problem);
        let mut single = CpuEngine::<f32>::new(population_.clone(), table.clone());
        let (single, _) = follow(&mut single, &population_, &problem);
        let mut engine = gpu::engine(&population_, &table, gpu::strict());
        let (found, found_accuracy) = follow(&mut engine, &population_, &problem);

        let trajectory = Trajectory::new(&exact, &single);
        let worst = trajectory.worst(&found).unwrap_or_else(|e| panic!("seed {seed}: {e}"));
        eprintln!(
            "seed {seed}: loss {:.4} to {:.4}, off by {:.2} of what is allowed at most (step {}, {:.1e} allowed); \
             accuracy {accuracy:.4} in f64, {found_accuracy:.4} on the GPU",
            exact[0],
            exact[STEPS as usize - 1],
            worst.1,
            worst.0,
            trajectory.allowed(worst.0)
        );
        assert!(worst.1 <= 1.0, "seed {seed}, step {}: {} times what is allowed", worst.0, worst.1);
        assert!((found_accuracy - accuracy).abs() <= 0.003, "{found_accuracy} where {accuracy} was expected");
        assert!(accuracy > 0.95, "{accuracy}");

        // The negative control: a learning rate off by a thousandth is detected.
        let other = population(1.001e-3, seed);
        let mut engine = gpu::engine(&other, &table, gpu::strict());
        let (off, _) = follow(&mut engine, &other, &problem);
        assert!(trajectory.worst(&off).is_ok_and(|worst| worst.1 > 1.0), "a wrong learning rate is not seen");
    }
}

/// Runs the program and returns its stdout.
fn bngpu(args: &[&str], folder: &Path) -> String {
    let output =
        Command::new(env!("CARGO_BIN_EXE_bngpu")).args(args).current_dir(folder).output().expect("starts");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{args:?}: {err}");
    out.into_owned()
}

const TRAIN: &[&str] =
    &["train", "--hidden", "32x3", "--bn", "--activation", "sigmoid", "--batch-size", "60", "--epochs", "4"];

#[test]
#[ignore = "needs a GPU; scripts/test includes it"]
fn a_window_of_the_data_gives_the_bits_of_resident_data() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, memory: &[&str]| {
        let place: &[&str] = &["--device", "gpu", "-o", name];
        bngpu(&[TRAIN, memory, place].concat(), dir.path());
        let path = dir.path().join(name).join("best.safetensors");
        // The configuration, in the metadata, includes the budget.
        let mut file = ModelFile::load(&path).unwrap();
        let config = &mut file.members[0].settings;
        *config = config.lines().filter(|line| !line.starts_with("data-memory")).collect();
        let clean = dir.path().join(format!("{name}.safetensors"));
        file.save(&clean).unwrap();
        std::fs::read(clean).unwrap()
    };
    let resident = file("resident", &[]);
    for memory in ["100K", "20K"] {
        assert!(file(memory, &["--data-memory", memory]) == resident, "--data-memory {memory}");
    }
}

/// Bound for softmax probabilities of one model on both engines. Errors of f32 through four layers, as in
/// `pytorch_f32`: 64 u of logits of at most 32, and a probability changes by at most a quarter of the change of its
/// logit.
const PROBABILITY: f64 = 64.0 / (1u64 << 24) as f64 * 32.0 / 4.0;

#[test]
#[ignore = "needs a GPU; scripts/test includes it"]
fn both_engines_predict_the_same() {
    let dir = tempfile::tempdir().unwrap();
    bngpu(&[TRAIN, &["--device", "gpu", "-o", "run"]].concat(), dir.path());
    let predictions = ["gpu", "cpu"].map(|device| {
        let text = bngpu(&["predict", "run", "--data", "digits", "--device", device], dir.path());
        let rows = text.lines().skip(1).map(|line| line.split(',').map(str::to_owned).collect::<Vec<_>>());
        rows.collect::<Vec<_>>()
    });
    let [found, expected] = &predictions;
    assert_eq!((found.len(), expected.len()), (1797, 1797));
    let mut worst = 0f64;
    for (found, expected) in found.iter().zip(expected) {
        assert_eq!((found.len(), found[0].as_str()), (12, expected[0].as_str()));
        let p = |row: &[String]| row[2..].iter().map(|p| p.parse().unwrap()).collect::<Vec<f64>>();
        let (p, q) = (p(found), p(expected));
        p.iter().zip(&q).for_each(|(a, b)| worst = worst.max((a - b).abs()));
        let largest = q.iter().copied().fold(0.0, f64::max);
        let near = q.iter().filter(|q| largest - **q <= 2.0 * PROBABILITY).count();
        assert!(found[1] == expected[1] || near > 1, "{found:?} where {expected:?} was expected");
    }
    eprintln!("probabilities differ by {worst:.1e}, allowed {PROBABILITY:.1e}");
    assert!(worst <= PROBABILITY, "{worst}");
}
