//! Members that are one ensemble.

use super::faulty::{Fault, FaultyFactory};
use super::*;
use crate::data::Part;
use crate::data::Split;
use crate::run::Score;
use crate::step::memory::{Table, Values};
use crate::train::model::{self, layers};
use crate::train::{Best, Origin, Stepper, Stored, member_of_fold};

/// Trainings that differ by their seeds alone.
fn seeds(training: &Training, members: u64) -> Vec<Training> {
    (0..members).map(|n| Training { seed: training.nth_seed(n), ..training.clone() }).collect()
}

/// Trains an ensemble from a checkpoint, or from the beginning.
fn train_together(trainings: &[Training], problem: &Problem, from: Checkpoint) -> (Checkpoint, Told) {
    let member = |(nth, training)| member_of_fold(training, problem, nth).unwrap();
    let members: Vec<Member> = trainings.iter().enumerate().map(member).collect();
    let mut told = Told::default();
    let factory = CpuFactory::default();
    let population = Population::new(members);
    let trainer = Trainer::new(&factory, population, problem, from, EAGER, &mut told).unwrap();
    assert!(trainer.as_ensemble().run(&mut told, &Stop::default()).unwrap());
    (told.checkpoints.last().unwrap().clone(), told)
}

/// Outputs of a model by itself.
fn outputs(training: &Training, weights: &Weights, problem: &Problem, part: Part) -> Vec<f32> {
    let factory = CpuFactory::default();
    let population = Arc::new(Population::new(vec![member(training, problem).unwrap()]));
    let mut stepper = Stepper::new(&factory, population, problem.table.clone(), Duration::ZERO);
    stepper.set_up(&[Some(weights)]).unwrap();
    stepper.outputs(0, problem.split.range(part)).unwrap()
}

/// Mean loss and accuracy of averaged probabilities, from the definition.
fn averaged(outputs: &[Vec<f32>], shares: &[f64], targets: &[u32]) -> (f64, f64) {
    let classes = outputs[0].len() / targets.len();
    let (mut loss, mut hits) = (0.0, 0);
    for (row, &target) in targets.iter().enumerate() {
        let mut p = vec![0.0; classes];
        for (of, share) in outputs.iter().zip(shares) {
            let e: Vec<f64> = of[row * classes..][..classes].iter().map(|&z| f64::from(z).exp()).collect();
            let sum: f64 = e.iter().sum();
            p.iter_mut().zip(e).for_each(|(p, e)| *p += share * e / sum);
        }
        loss -= p[target as usize].ln();
        let best = (0..classes).max_by(|&a, &b| p[a].total_cmp(&p[b])).unwrap();
        hits += usize::from(best == target as usize);
    }
    (loss / targets.len() as f64, hits as f64 / targets.len() as f64)
}

#[track_caller]
fn assert_near(found: f64, expected: f64) {
    assert!((found - expected).abs() <= 1e-6 * expected.abs(), "{found} is not {expected}");
}

#[test]
fn members_keep_the_bits_of_trainings_alone_and_the_record_is_that_of_all() {
    let problem = problem();
    let trainings = seeds(&training(), 3);
    let (end, told) = train_together(&trainings, &problem, Vec::new());
    let alone: Vec<Checkpoint> =
        trainings.iter().map(|training| train(std::slice::from_ref(training), &problem).0).collect();
    let [end, alone] = [end, alone.concat()].map(|all| all.into_iter().flatten().collect::<Vec<_>>());
    for (found, expected) in end.iter().zip(&alone) {
        assert_same_weights(&found.weights, &expected.weights, "a member");
    }
    assert!(end[0].weights != end[1].weights, "the seeds give the same weights");
    let history = &end[0].history;
    assert_eq!(history.iter().map(|m| m.step).collect::<Vec<_>>(), [11, 22, 33, 38]);
    assert_eq!(
        told.epochs.iter().map(|(at, m)| (*at, *m)).collect::<Vec<_>>(),
        history.iter().map(|m| (0, *m)).collect::<Vec<_>>()
    );
    for (epoch, found) in history.iter().enumerate() {
        let mean = |of: &dyn Fn(&EpochMetrics) -> f64| {
            alone.iter().map(|member| of(&member.history[epoch])).sum::<f64>() / 3.0
        };
        assert_eq!(found.train_loss, mean(&|m| m.train_loss));
        assert_eq!(found.grad_norm, mean(&|m| m.grad_norm));
        assert_eq!(found.train_score, Score::Accuracy(mean(&|m| m.train_score.fields()[0].1)));
        // The averaged prediction is better than the mean member: cross-entropy is convex.
        assert!(found.val_loss.unwrap() < mean(&|m| m.val_loss.unwrap()), "{found:?}");
    }
    // The last epoch's numbers on the validation rows, from the outputs of each member alone.
    let of = |(training, end): (&Training, &MemberCheckpoint)| {
        outputs(training, &end.weights, &problem, Part::Val)
    };
    let outputs: Vec<_> = trainings.iter().zip(&alone).map(of).collect();
    let targets = &problem.table.targets[problem.split.range(Part::Val)];
    let (loss, accuracy) = averaged(&outputs, &[1.0 / 3.0; 3], targets);
    assert_near(history[3].val_loss.unwrap(), loss);
    assert_eq!(history[3].val_score, Some(Score::Accuracy(accuracy)));
    // Negative control.
    let (two, _) = averaged(&outputs[..2], &[0.5; 2], targets);
    assert!((two - loss).abs() > 1e-4 * loss);
}

/// A problem whose rows are these of another, with the last `val` of those before the test rows for validation.
fn of_rows(problem: &Problem, rows: &[usize], val: usize) -> Problem {
    let table = &*problem.table;
    let Values::Bytes { values, shift, factor } = &table.values else { panic!("digits are bytes") };
    let picked = rows.iter().flat_map(|row| &values[row * table.features..][..table.features]).copied();
    let values = Values::Bytes { values: picked.collect(), shift: shift.clone(), factor: factor.clone() };
    let targets = rows.iter().map(|row| table.targets[*row]).collect();
    let table = Table { values, features: table.features, quantiles: table.quantiles.clone(), targets };
    let split =
        Split { train: rows.len() - val - problem.split.test, val, test: problem.split.test, folds: 0 };
    let mut problem = problem.clone();
    (problem.table, problem.split) = (Arc::new(table), split);
    problem
}

#[test]
fn members_that_hold_out_rows_of_their_own_are_trainings_on_all_others() {
    let problem = Problem::new(dataset_of(Some(Folds { count: 3, share: 0.1 })));
    let split = problem.split;
    assert_eq!((split.folds, split.train, split.val), (3, 323, 36));
    let trainings = seeds(&training(), 3);
    let (end, _) = train_together(&trainings, &problem, Vec::new());
    let end: Vec<MemberCheckpoint> = end.into_iter().flatten().collect();
    let (mut losses, mut hits) = (Vec::new(), Vec::new());
    for (nth, (training, found)) in trainings.iter().zip(&end).enumerate() {
        let held_out = split.held_out(nth);
        let others = (0..split.train + split.val).filter(|row| !held_out.contains(row));
        let rows: Vec<usize> = others.chain(held_out.clone()).chain(split.range(Part::Test)).collect();
        let alone = of_rows(&problem, &rows, split.val);
        let (expected, _) = train(std::slice::from_ref(training), &alone);
        let expected = expected.into_iter().flatten().next().unwrap();
        assert_same_weights(&found.weights, &expected.weights, "a member");
        losses.push(expected.history.iter().map(|m| m.val_loss.unwrap()).collect::<Vec<_>>());
        hits.push(expected.history.last().unwrap().val_score.unwrap().fields()[0].1);
    }
    for (epoch, found) in end[0].history.iter().enumerate() {
        assert_near(found.val_loss.unwrap(), losses.iter().map(|of| of[epoch]).sum::<f64>() / 3.0);
    }
    assert_near(
        end[0].history.last().unwrap().val_score.unwrap().fields()[0].1,
        hits.iter().sum::<f64>() / 3.0,
    );
}

#[test]
fn a_member_with_a_fold_is_one_of_the_rows_in_another_order() {
    let problem = Problem::new(dataset_of(Some(Folds::of_all(4))));
    let split = problem.split;
    assert_eq!((split.folds, split.train, split.val), (4, 270, 89));
    // All in one population, each with its own validation rows.
    let members: Vec<Member> =
        (0..4).map(|nth| member_of_fold(&training(), &problem, nth).unwrap()).collect();
    let mut told = Told::default();
    let factory = CpuFactory::default();
    let mut trainer =
        Trainer::new(&factory, Population::new(members), &problem, Vec::new(), EAGER, &mut told).unwrap();
    assert!(trainer.run(&mut told, &Stop::default()).unwrap());
    let found = told.checkpoints.last().unwrap().clone();
    for (nth, found) in found.into_iter().flatten().enumerate() {
        let held_out = split.held_out(nth);
        let others = (0..split.train + split.val).filter(|row| !held_out.contains(row));
        let rows: Vec<usize> = others.chain(held_out.clone()).chain(split.range(Part::Test)).collect();
        let (alone, _) = train(&[training()], &of_rows(&problem, &rows, split.val));
        let expected = alone.into_iter().flatten().next().unwrap();
        assert_same_weights(&found.weights, &expected.weights, "a member");
        let losses = |of: &MemberCheckpoint| of.history.iter().map(|m| m.val_loss).collect::<Vec<_>>();
        assert_eq!(losses(&found), losses(&expected), "{nth}");
        assert_eq!(found.best, expected.best);
    }
}

#[test]
fn the_averaged_prediction_decides_the_best_epoch_and_the_end_of_all() {
    let problem = problem();
    let long = Training { length: Length::Epochs(200), lr: 3e-2, patience: Some(2), ..training() };
    let (end, _) = train_together(&seeds(&long, 3), &problem, Vec::new());
    let end: Vec<MemberCheckpoint> = end.into_iter().flatten().collect();
    let (state, history) = (&end[0].state, &end[0].history);
    assert!(state.epochs < 200, "{state:?}");
    assert_eq!(state.ended, Some(Ended::Stopped { reason: StopReason::Patience { epochs: 2 } }));
    let lowest = history.iter().min_by(|a, b| a.val_loss.partial_cmp(&b.val_loss).unwrap()).unwrap();
    assert_eq!(
        state.best.map(|best| (best.epoch, Some(best.val_loss))),
        Some((lowest.epoch, lowest.val_loss))
    );
    assert_eq!(state.epochs, lowest.epoch + 2);
    for member in &end {
        let same = (&member.state.best, &member.state.ended, member.state.wall_s, &member.history);
        assert_eq!(same, (&state.best, &state.ended, state.wall_s, history));
        assert!(member.best.is_some());
    }
    assert_ne!(end[0].best, end[1].best);
}

#[test]
fn the_last_epoch_may_be_the_best_of_a_training_that_reaches_its_end() {
    let problem = problem();
    // The rate stays high, so that the lowest loss is not that of the last epoch.
    let last = Training {
        length: Length::Epochs(40),
        lr: 3e-2,
        schedule: Schedule::Constant,
        best_epoch: BestEpoch::Last,
        ..training()
    };
    let lowest = Training { best_epoch: BestEpoch::Lowest, ..last.clone() };
    let ensemble = |training: &Training| {
        let (end, _) = train_together(&seeds(training, 2), &problem, Vec::new());
        end.into_iter().flatten().next().unwrap()
    };
    let alone = |training: &Training| {
        let (end, _) = train(std::slice::from_ref(training), &problem);
        end.into_iter().flatten().next().unwrap()
    };
    for (last, lowest) in [(alone(&last), alone(&lowest)), (ensemble(&last), ensemble(&lowest))] {
        let (of_last, of_lowest) = (last.state.best.unwrap(), lowest.state.best.unwrap());
        let loss = |at: u64| last.history[at as usize - 1].val_loss.unwrap();
        assert_eq!((of_last.epoch, of_last.step, of_last.val_loss), (40, last.state.step, loss(40)));
        assert!(of_lowest.epoch < 40 && of_lowest.val_loss < of_last.val_loss, "{of_lowest:?} {of_last:?}");
        // The same training; the best model is its state at the end.
        assert_same_weights(&last.weights, &lowest.weights, "the same");
        let member = member(&training(), &problem).unwrap();
        let now = layers(&member, &model::ALONE, &last.weights.params, &last.weights.stats);
        assert_eq!(last.best.as_deref(), Some(&now));
        assert_ne!(last.best, lowest.best);
    }
    // Stopped early, it has the lowest loss.
    let patient = alone(&Training { patience: Some(2), ..last });
    assert!(patient.state.epochs < 40, "{:?}", patient.state);
    assert_eq!(patient.state.best.unwrap().epoch + 2, patient.state.epochs);
}

#[test]
fn the_time_limit_ends_all_members_at_the_same_step() {
    let problem = problem();
    let short =
        Training { max_time: Some(Duration::from_millis(30)), length: Length::Epochs(5000), ..training() };
    let (end, _) = train_together(&seeds(&short, 3), &problem, Vec::new());
    let states: Vec<_> = end.iter().flatten().map(|member| &member.state).collect();
    assert_eq!(states[0].ended, Some(Ended::Stopped { reason: StopReason::MaxTime }));
    for state in &states {
        assert_eq!(
            (state.step, state.epochs, state.wall_s),
            (states[0].step, states[0].epochs, states[0].wall_s)
        );
    }
}

#[test]
fn a_member_that_diverges_ends_the_ensemble_and_is_named() {
    let problem = problem();
    let trainings = seeds(&training(), 3);
    let (start, _) = train_together(
        &trainings.iter().map(|t| Training { length: Length::Steps(5), ..t.clone() }).collect::<Vec<_>>(),
        &problem,
        Vec::new(),
    );
    let go_on = |spoil: &dyn Fn(&mut Weights)| {
        let mut from = start.clone();
        from.iter_mut().flatten().for_each(|member| member.state.ended = None);
        spoil(&mut from[1].as_mut().unwrap().weights);
        let (end, told) = train_together(&trainings, &problem, from);
        let states: Vec<_> = end.into_iter().flatten().map(|member| member.state).collect();
        assert!(states.iter().all(|state| (&state.ended, state.step) == (&states[0].ended, states[0].step)));
        (states[0].clone(), told)
    };
    // Negative control.
    assert_eq!(go_on(&|_| {}).0.ended, Some(Ended::Completed));
    // In a training step, and only in the outputs on the validation rows, by a negative running variance.
    let (state, told) = go_on(&|weights| weights.params.fill(1e30));
    assert_eq!((state.ended, state.step), (Some(Ended::Diverged { step: 6, member: Some(1) }), 5));
    assert_eq!(told.epochs, []);
    let (state, _) = go_on(&|weights| weights.stats.fill(-1e6));
    assert!(matches!(state.ended, Some(Ended::Diverged { step: 11, member: Some(1) })), "{state:?}");
}

#[test]
fn an_ensemble_that_meets_faults_ends_in_identical_weights() {
    let problem = problem();
    let trainings = seeds(&Training { length: Length::Epochs(2), ..training() }, 2);
    let (expected, _) = train_together(&trainings, &problem, Vec::new());
    let run = |faults: &[(usize, Fault)]| {
        let factory = FaultyFactory::default();
        factory.script.faults.borrow_mut().extend(faults.iter().copied());
        let members: Vec<Member> = trainings.iter().map(|t| member(t, &problem).unwrap()).collect();
        let mut told = Told::default();
        let population = Population::new(members);
        let trainer = Trainer::new(&factory, population, &problem, Vec::new(), EAGER, &mut told).unwrap();
        trainer.as_ensemble().run(&mut told, &Stop::default()).unwrap();
        assert_eq!(factory.script.met.get(), faults.len());
        assert_same(told.checkpoints.last().unwrap(), &expected, &format!("{faults:?}"));
        factory.script.calls.get()
    };
    let calls = run(&[]);
    // A call at the end of an epoch among them: every seventh, and the last ten.
    for at in (0..calls).step_by(7).chain(calls - 10..calls) {
        run(&[(at, [Fault::Lost, Fault::Timeout][at % 2])]);
    }
}

/// A model in memory, trained for a few steps.
fn stored(training: &Training, problem: &Problem) -> (Stored, Weights) {
    let (end, _) = train(std::slice::from_ref(training), problem);
    let (dataset, weights) = (dataset(), one(&end).weights.clone());
    let request = RunRequest { training: training.clone(), ..request() };
    let member = member(training, problem).unwrap();
    let origin = Origin::new(&request, [64, 10], dataset.preprocessing.clone(), dataset.fingerprint, true);
    let tensors = layers(&member, &model::ALONE, &weights.params, &weights.stats);
    let file = origin.best_model(vec![tensors], Best { epoch: 1, step: 5, val_loss: 1.0 });
    (Stored::in_memory(file, request, dataset.preprocessing), weights)
}

#[test]
fn models_of_other_shapes_predict_together() {
    let problem = problem();
    let short = Training { length: Length::Steps(5), ..training() };
    // Batches of 256 rows, and of 300.
    let mut wide = Training { batch_size: 300, seed: 9, ..short.clone() };
    wide.network.hidden = vec![20];
    let trainings = [short, wide];
    let models = trainings.each_ref().map(|training| stored(training, &problem).0);
    let shares = [0.3, 0.7];
    let together = Stored::together(&[(&models[0], shares[0]), (&models[1], shares[1])]).unwrap();
    assert_eq!((together.members(), together.request.ensemble), (2, 2));

    // From a file, as any run.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run");
    let run = crate::run::RunDir::create(Some(&path), "x").unwrap();
    run.write_config(&together.request.to_toml()).unwrap();
    together.save(&path.join("best.safetensors")).unwrap();
    let read = Stored::load(&run, crate::run::RunFile::Best).unwrap();
    assert_eq!(read.file, together.file);

    let factory = CpuFactory::default();
    // All 1,438 test rows: several batches of either member.
    let rows = problem.split.range(Part::Test);
    let of = |stored: &Stored| {
        let population = stored.population(&problem).unwrap();
        let mut inference = stored.inference(&factory, population, &problem, None).unwrap();
        (inference.outputs(rows.clone()).unwrap(), inference.evaluate(Part::Test).unwrap().unwrap())
    };
    let alone: Vec<Vec<f32>> = models.iter().map(|model| of(model).0).collect();
    let (outputs, (loss, score)) = of(&read);
    let targets = &problem.table.targets[rows.clone()];
    let (expected, accuracy) = averaged(&alone, &shares, targets);
    assert_near(loss, expected);
    assert_eq!(score, Score::Accuracy(accuracy));
    let (again, _) = averaged(&[outputs], &[1.0], targets);
    assert_near(again, expected);
    // Negative control: other weights.
    assert!((averaged(&alone, &[0.7, 0.3], targets).0 - expected).abs() > 1e-3);

    // An ensemble of ensembles.
    let nested = Stored::together(&[(&together, 0.5), (&models[0], 0.5)]).unwrap();
    assert_eq!(nested.file.members.iter().map(|m| m.weight).collect::<Vec<_>>(), [0.15, 0.35, 0.5]);
}

#[test]
fn models_that_do_not_belong_together_are_refused() {
    let problem = problem();
    let short = Training { length: Length::Steps(5), ..training() };
    let (model, _) = stored(&short, &problem);
    let error = |models: &[(&Stored, f64)]| Stored::together(models).unwrap_err().to_string();
    assert!(error(&[]).contains("no members"));
    assert!(error(&[(&model, 0.5), (&model, 0.4)]).contains("sum to 0.9"));
    assert!(error(&[(&model, 1.5), (&model, -0.5)]).contains("weight of members.0 is 1.5"));
    let mut other = model.clone();
    other.file.metadata.insert("data_fingerprint".into(), "other".into());
    assert!(error(&[(&model, 0.5), (&other, 0.5)]).contains("other data"));
    assert_eq!(Stored::together(&[(&model, 1.0)]).unwrap().members(), 1);
}
