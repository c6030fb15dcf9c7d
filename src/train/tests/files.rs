//! Interrupted at any point and resumed from the files: the weights of the uninterrupted run.

use std::path::Path;

use super::*;
use crate::run::{RunDir, RunFile};
use crate::spec::Watched;
use crate::train::{Origin, RunFiles, Stored};

/// A run of one watched member, or an ensemble.
fn request_of(members: usize) -> RunRequest {
    let watch = if members == 1 { vec![Watched::Activations, Watched::Gradients] } else { Vec::new() };
    RunRequest { ensemble: members, watch, ..request() }
}

fn origin(members: usize, has_val: bool) -> Origin {
    let dataset = dataset();
    Origin::new(&request_of(members), [64, 10], dataset.preprocessing, dataset.fingerprint, has_val)
}

fn population_of_run(members: usize, problem: &Problem) -> Arc<Population> {
    let runs = request_of(members).members();
    let population =
        Population::new(runs.iter().map(|run| member(&run.training, problem).unwrap()).collect());
    Arc::new(if members == 1 { population.watched() } else { population })
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
        let members = population.members.iter().zip(checkpoint);
        let members: Vec<_> = members.map(|(member, at)| (member.as_ref(), at.as_ref().unwrap())).collect();
        self.files.write(&members)?;
        self.told.checkpoint(population, checkpoint)
    }
}

/// Resumes in `folder`, or starts there, until `stop_at` checkpoints are stored; returns whether the training ended.
fn go(folder: &Path, members: usize, problem: &Problem, stop_at: Option<usize>) -> bool {
    let population = population_of_run(members, problem);
    let (dir, from) = if folder.join("config.toml").exists() {
        let dir = RunDir::open_to_write(folder).unwrap();
        let stored = Stored::load(&dir, RunFile::Last).unwrap();
        let of: Vec<&Member> = population.members.iter().map(Arc::as_ref).collect();
        let from = stored.checkpoint(&dir, &of).unwrap();
        (dir, from.into_iter().map(Some).collect())
    } else {
        let dir = RunDir::create(Some(folder), "x").unwrap();
        dir.write_config(&request_of(members).to_toml()).unwrap();
        (dir, Vec::new())
    };
    let stop = Stop::default();
    let told = Told { stop_at: stop_at.map(|at| (at, stop.clone())), ..Told::default() };
    let files = RunFiles::new(dir, origin(members, problem.split.val > 0));
    let mut events = Stored_ { files, told };
    let factory = CpuFactory::default();
    let trainer = Trainer::new(&factory, population, problem, from, EAGER, &mut events).unwrap();
    let mut trainer = trainer.as_ensemble();
    trainer.store(&mut events).unwrap();
    trainer.run(&mut events, &stop).unwrap()
}

fn read(folder: &Path, file: RunFile) -> Stored {
    Stored::load(&RunDir::open(folder).unwrap(), file).unwrap()
}

fn assert_same_run(found: &Path, expected: &Path, what: &str) {
    let (last, best) = (read(found, RunFile::Last), read(found, RunFile::Best));
    let (expected_last, expected_best) = (read(expected, RunFile::Last), read(expected, RunFile::Best));
    // Layers, moments and weights of every member.
    assert_eq!(last.file.members, expected_last.file.members, "{what}");
    assert_eq!(best.file.members, expected_best.file.members, "{what}");
    assert_eq!(best.best().unwrap(), expected_best.best().unwrap(), "{what}");
    let metrics = |folder| {
        let (metrics, looks) = RunDir::open(folder).unwrap().read_metrics().unwrap();
        assert_eq!(looks.len(), if last.members() == 1 { 17 } else { 0 }, "{what}");
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
    for (members, problem) in [(1, problem()), (1, without_val()), (3, problem()), (3, without_val())] {
        let go = |folder: &Path, problem: &Problem, stop_at| go(folder, members, problem, stop_at);
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
    after_kills_between_files(1);
}

#[test]
fn an_ensemble_resumes_after_a_kill_between_two_files_as_if_uninterrupted() {
    after_kills_between_files(2);
}

fn after_kills_between_files(members: usize) {
    let go = |folder: &Path, problem: &Problem, stop_at| go(folder, members, problem, stop_at);
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
    assert!(go(dir.path().join("run").as_path(), 1, &problem, None));
    let best = read(&dir.path().join("run"), RunFile::Best);
    assert!(best.file.members[0].optimizer.is_none() && !best.file.metadata.contains_key("state"));
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

#[test]
fn a_state_whose_members_disagree_is_refused() {
    let problem = problem();
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    assert!(!go(&run, 2, &problem, Some(3)));
    let population = population_of_run(2, &problem);
    let of: Vec<&Member> = population.members.iter().map(Arc::as_ref).collect();
    let open = RunDir::open(&run).unwrap();
    let good = read(&run, RunFile::Last);
    let error = |stored: &Stored, of: &[&Member]| stored.checkpoint(&open, of).unwrap_err().to_string();
    // Negative control.
    assert_eq!(good.checkpoint(&open, &of).unwrap().len(), 2);
    assert!(error(&good, &of[..1]).contains("do not match its hyperparameters"));
    let spoilt = |change: &dyn Fn(&mut Vec<serde_json::Value>)| {
        let mut stored = good.clone();
        let mut states = serde_json::from_str(&stored.file.metadata["state"]).unwrap();
        change(&mut states);
        stored.file.metadata.insert("state".into(), serde_json::to_string(&states).unwrap());
        error(&stored, &of)
    };
    assert!(spoilt(&|states| drop(states.pop())).contains("not one for each member"));
    assert!(spoilt(&|states| states[1]["step"] = 3.into()).contains("different steps"));
    assert!(spoilt(&|states| states[1]["epochs"] = 900.into()).contains("different steps"));
    assert!(spoilt(&|states| states[0] = 1.into()).contains("its state is invalid"));
}

/// A file claims a network larger than its tensors: it is refused before memory is reserved for it.
#[test]
fn settings_larger_than_the_tensors_are_refused() {
    let problem = problem();
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    assert!(!go(&run, 2, &problem, Some(3)));
    let mut stored = read(&run, RunFile::Last);
    assert_eq!(stored.population(&problem).unwrap().len(), 2);
    let settings = &mut stored.file.members[1].settings;
    assert!(settings.contains("hidden = [9, 7]"), "{settings}");
    *settings = settings.replace("hidden = [9, 7]", "hidden = [65536, 65536]");
    stored.save(&run.join("last.safetensors")).unwrap();
    let error = read(&run, RunFile::Last).population(&problem).unwrap_err().to_string();
    assert!(error.contains("its tensors do not match its hyperparameters"), "{error}");
}
