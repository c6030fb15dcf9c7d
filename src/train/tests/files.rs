//! Interrupted at any point and resumed from the files: the weights of the uninterrupted run.

use std::path::Path;

use super::*;
use crate::run::{Architecture, RunDir, RunFile};
use crate::spec::Watched;
use crate::train::{Origin, RunFiles, Stored};

fn origin(has_val: bool) -> Origin {
    let (request, dataset) = (request(), dataset());
    Origin {
        architecture: Architecture::new(&request.training.network, 64, 10),
        config: request.to_toml(),
        preprocessing: dataset.preprocessing,
        fingerprint: dataset.fingerprint,
        has_val,
        watch: vec![Watched::Activations, Watched::Gradients],
    }
}

/// Stores as [`RunFiles`] does, and stops after a given number of checkpoints.
struct Stored_ {
    files: RunFiles,
    told: Told,
}

impl Events for Stored_ {
    fn checkpoint(
        &mut self,
        population: &Population,
        checkpoint: &[Option<MemberCheckpoint>],
    ) -> Result<(), RunError> {
        self.files.write(&population.members[0], one(checkpoint))?;
        self.told.checkpoint(population, checkpoint)
    }
}

/// Resumes in `folder`, or starts there, until `stop_at` checkpoints are stored; returns whether the training ended.
fn go(folder: &Path, problem: &Problem, stop_at: Option<usize>) -> bool {
    let population = population_of(&[training()], problem);
    let (dir, from) = if folder.join("config.toml").exists() {
        let dir = RunDir::open_to_write(folder).unwrap();
        let stored = Stored::load(&dir, RunFile::Last).unwrap();
        let from = stored.checkpoint(&dir, &population.members[0]).unwrap();
        (dir, Some(from))
    } else {
        let dir = RunDir::create(Some(folder), "x").unwrap();
        dir.write_config(&request().to_toml()).unwrap();
        (dir, None)
    };
    let stop = Stop::default();
    let told = Told { stop_at: stop_at.map(|at| (at, stop.clone())), ..Told::default() };
    let files = RunFiles::new(dir, origin(problem.split.val > 0));
    let mut events = Stored_ { files, told };
    let factory = CpuFactory::default();
    let mut trainer = Trainer::new(&factory, population, problem, vec![from], EAGER, &mut events).unwrap();
    trainer.store(&mut events).unwrap();
    trainer.run(&mut events, &stop).unwrap()
}

fn read(folder: &Path, file: RunFile) -> Stored {
    Stored::load(&RunDir::open(folder).unwrap(), file).unwrap()
}

fn assert_same_run(found: &Path, expected: &Path, what: &str) {
    let (last, best) = (read(found, RunFile::Last), read(found, RunFile::Best));
    let (expected_last, expected_best) = (read(expected, RunFile::Last), read(expected, RunFile::Best));
    assert_eq!(last.file.layers, expected_last.file.layers, "{what}");
    assert_eq!(last.file.optimizer, expected_last.file.optimizer, "{what}");
    assert_eq!(best.file.layers, expected_best.file.layers, "{what}");
    assert_eq!(best.best().unwrap(), expected_best.best().unwrap(), "{what}");
    let metrics = |folder| {
        let (metrics, looks) = RunDir::open(folder).unwrap().read_metrics().unwrap();
        assert_eq!(looks.len(), 17, "{what}");
        (timeless(&TrainingState::default(), &metrics).1, looks)
    };
    assert_eq!(metrics(found), metrics(expected), "{what}");
}

fn without_val() -> Problem {
    let mut problem = problem();
    problem.split.test += std::mem::take(&mut problem.split.val);
    problem
}

#[test]
fn resuming_from_every_checkpoint_equals_the_uninterrupted_run() {
    for problem in [problem(), without_val()] {
        let dir = tempfile::tempdir().unwrap();
        let whole = dir.path().join("whole");
        assert!(go(&whole, &problem, None));
        let mut ended = false;
        for at in 2.. {
            let part = dir.path().join(format!("part{at}"));
            ended = go(&part, &problem, Some(at));
            if ended {
                break;
            }
            assert!(go(&part, &problem, None));
            assert_same_run(&part, &whole, &format!("interrupted at checkpoint {at}"));
        }
        assert!(ended);
        // Interrupted after every checkpoint.
        let pieces = dir.path().join("pieces");
        let mut times = 0;
        while !go(&pieces, &problem, Some(2)) {
            times += 1;
        }
        assert!(times > 3, "{times}");
        assert_same_run(&pieces, &whole, "interrupted again and again");
    }
}

/// Killed between two of the three writes of a checkpoint: each mixture of older and newer files.
#[test]
fn resuming_after_a_kill_between_two_files_equals_the_uninterrupted_run() {
    let problem = problem();
    let dir = tempfile::tempdir().unwrap();
    let whole = dir.path().join("whole");
    assert!(go(&whole, &problem, None));
    for older in 2..6 {
        for newer in older + 1..8 {
            let (a, b) =
                (dir.path().join(format!("a{older}-{newer}")), dir.path().join(format!("b{older}-{newer}")));
            go(&a, &problem, Some(older));
            go(&b, &problem, Some(newer));
            for name in ["metrics.jsonl", "metrics.csv", "best.safetensors"] {
                if b.join(name).exists() {
                    std::fs::copy(b.join(name), a.join(name)).unwrap();
                }
            }
            assert!(go(&a, &problem, None));
            assert_same_run(&a, &whole, &format!("state {older}, other files {newer}"));
        }
    }
}

#[test]
fn the_best_model_has_no_state_and_evaluates_as_in_training() {
    use crate::data::Part;
    let problem = problem();
    let dir = tempfile::tempdir().unwrap();
    assert!(go(dir.path().join("run").as_path(), &problem, None));
    let best = read(&dir.path().join("run"), RunFile::Best);
    assert!(best.file.optimizer.is_none() && !best.file.metadata.contains_key("state"));
    let metrics = RunDir::open(&dir.path().join("run")).unwrap().read_metrics().unwrap().0;
    let of_best = metrics[best.best().unwrap().0 as usize - 1];
    let factory = CpuFactory::default();
    let population = population_of(&[training()], &problem);
    let mut model = best.inference(&factory, population, &problem, None).unwrap();
    let (loss, score) = model.evaluate(Part::Val).unwrap().unwrap();
    // The file stores the running mean in f32, without its remainder.
    assert!((loss - of_best.val_loss.unwrap()).abs() <= 1e-6 * loss, "{loss} {of_best:?}");
    assert_eq!(Some(score), of_best.val_score);
}
