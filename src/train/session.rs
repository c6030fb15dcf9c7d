//! One training, of a model or of an ensemble, from data and settings to an evaluated model.
//!
//! [`Session::new`] checks the request against the data, [`Session::start`] prepares the device, and [`Started::run`] trains
//! and evaluates. In between, [`Started::keep_in`] gives the training a folder; without one, the model stays in memory.

use std::path::PathBuf;
use std::sync::Arc;

use crate::data::{Dataset, Part};
use crate::engine::{EngineFactory, EngineInfo};
use crate::population::{Member, Population};
use crate::run::{Environment, EpochMetrics, Look, RunDir, RunError, RunFile, Score};
use crate::spec::RunRequest;

use super::{
    Best, Checkpoint, Ended, Events, MemberCheckpoint, Origin, Pace, Problem, RunFiles, Stop, Stored,
    TrainError, Trainer, TrainingState, member_of_fold, model,
};

/// A training whose settings and data have been checked.
pub struct Session {
    pub request: RunRequest,
    pub problem: Problem,
    /// One member, or those of the ensemble.
    population: Arc<Population>,
    factory: Box<dyn EngineFactory>,
    origin: Origin,
    /// Score of a model that has learned nothing (accuracy of the majority class, or the rmse of the mean) on the
    /// validation and test rows, if any.
    pub baselines: [Option<f64>; 2],
    /// What each column was taken for, for the record.
    columns: serde_json::Value,
}

impl Session {
    /// Checks everything that can be checked before a folder is created.
    ///
    /// # Errors
    /// [`TrainError`] if these settings allow no step on these data.
    pub fn new(
        request: RunRequest,
        dataset: Dataset,
        factory: Box<dyn EngineFactory>,
    ) -> Result<Session, TrainError> {
        let baselines = [Part::Val, Part::Test].map(|part| dataset.baseline(part));
        let (preprocessing, fingerprint) = (dataset.preprocessing.clone(), dataset.fingerprint.clone());
        let columns = dataset.columns_record();
        let problem = Problem::new(dataset);
        let members = request.members();
        let member =
            |(nth, of): (usize, &RunRequest)| member_of_fold(&of.training, &problem, request.fold_of(nth));
        let members: Vec<Member> = members.iter().enumerate().map(member).collect::<Result<_, _>>()?;
        let shape = [members[0].inputs(), problem.loss.outputs()];
        let origin = Origin::new(&request, shape, preprocessing, fingerprint, problem.split.val > 0);
        let mut population = Population::new(members);
        if !request.watch.is_empty() {
            population = population.watched();
        }
        Ok(Session {
            request,
            problem,
            population: Arc::new(population),
            factory,
            origin,
            baselines,
            columns,
        })
    }

    /// The model as a member of the population: its layers, steps and sizes. Those of an ensemble's members are the same.
    pub fn member(&self) -> &Member {
        &self.population.members[0]
    }

    /// The model, or the members of the ensemble.
    pub fn members(&self) -> Vec<&Member> {
        self.population.members.iter().map(Arc::as_ref).collect()
    }

    /// Number of trained parameters of all members.
    pub fn parameters(&self) -> usize {
        self.population.members.iter().map(|member| member.parameters()).sum()
    }

    /// Whether there are validation rows.
    pub fn has_val(&self) -> bool {
        self.origin.has_val
    }

    /// The device chosen for `--device`, and why, in one line.
    pub fn device(&self) -> &str {
        self.factory.why()
    }

    /// Name of the target column, for messages.
    pub fn target_name(&self) -> &str {
        self.origin.preprocessing.target_name()
    }

    /// Prepares the device and sets the members to `from` (`[K]`), or to their initial weights.
    ///
    /// # Errors
    /// [`TrainError::Engine`] or [`TrainError::GaveUp`].
    pub fn start(
        &self,
        from: Option<Vec<MemberCheckpoint>>,
        events: &mut dyn Events,
    ) -> Result<Started<'_>, TrainError> {
        let from: Checkpoint = from.unwrap_or_default().into_iter().map(Some).collect();
        let was_over = from.iter().flatten().any(|from| from.state.ended.is_some());
        let (factory, population) = (self.factory.as_ref(), self.population.clone());
        let trainer = Trainer::new(factory, population, &self.problem, from, Pace::default(), events)?;
        let trainer = trainer.as_ensemble();
        Ok(Started { session: self, trainer, files: None, was_over })
    }

    /// Trains and evaluates without a folder.
    ///
    /// # Errors
    /// As [`Session::start`] and [`Started::run`].
    pub fn train(&self, events: &mut dyn Events, stop: &Stop) -> Result<Outcome, TrainError> {
        self.start(None, events)?.run(events, stop)
    }
}

/// A training whose device is ready.
pub struct Started<'a> {
    session: &'a Session,
    trainer: Trainer<'a>,
    /// None without a folder.
    files: Option<RunFiles>,
    was_over: bool,
}

impl Started<'_> {
    /// The engine's device.
    pub fn info(&self) -> &EngineInfo {
        self.trainer.info()
    }

    /// Whether it resumes from a finished training: [`Started::run`] then only evaluates.
    pub fn was_over(&self) -> bool {
        self.was_over
    }

    /// Keeps the run in a new folder: writes its configuration, environment and a first checkpoint.
    ///
    /// # Errors
    /// [`TrainError::Run`] if a file cannot be written; a device error while the checkpoint is read.
    pub fn keep_in(&mut self, dir: RunDir) -> Result<(), TrainError> {
        let origin = &self.session.origin;
        dir.write_config(&origin.config)?;
        let engine = serde_json::to_value(self.trainer.info()).unwrap_or_default();
        let columns = self.session.columns.clone();
        dir.write_env(&Environment { columns, ..Environment::now(engine, &origin.fingerprint) })?;
        self.go_on_in(dir);
        self.trainer.store(&mut Recorder { files: self.files.as_mut(), events: &mut () })
    }

    /// Continues the run in its existing folder.
    pub fn go_on_in(&mut self, dir: RunDir) {
        self.files = Some(RunFiles::new(dir, self.session.origin.clone()));
    }

    /// Trains until the end or until `stop`, then evaluates the best model (the latest, without validation rows) on the
    /// validation and test rows. A diverged training is not evaluated, nor is an interrupted one that can be resumed
    /// from its folder.
    ///
    /// # Errors
    /// [`TrainError::Engine`] or [`TrainError::GaveUp`] for the device, after the last good checkpoint was stored;
    /// [`TrainError::Run`] for the files.
    pub fn run(mut self, events: &mut dyn Events, stop: &Stop) -> Result<Outcome, TrainError> {
        if !self.was_over {
            self.trainer.run(&mut Recorder { files: self.files.as_mut(), events }, stop)?;
        }
        let Started { session, trainer, files, was_over } = self;
        let (end, info) = (trainer.members()[0].clone(), trainer.info().clone());
        let mut outcome = Outcome {
            history: end.history,
            state: end.state,
            info,
            was_over,
            model: None,
            best_epoch: None,
            evaluations: [None, None],
            last: files.as_ref().map(RunFiles::last),
        };
        let is_evaluated = match outcome.state.ended {
            Some(Ended::Completed | Ended::Stopped { .. }) => true,
            Some(Ended::Diverged { .. }) => false,
            // In a folder, `bngpu resume` continues it.
            None => files.is_none(),
        };
        if !is_evaluated {
            return Ok(outcome);
        }
        let model = match files {
            Some(files) => Some(Stored::load(files.dir(), RunFile::Best)?),
            None => session.model_in_memory(&trainer, &outcome.state),
        };
        let Some(model) = model else { return Ok(outcome) };
        outcome.best_epoch = Some(model.best()?.0);
        let population = session.population.clone();
        let engine = trainer.into_engine();
        let mut inference =
            model.inference(session.factory.as_ref(), population, &session.problem, engine)?;
        outcome.evaluations = [inference.evaluate(Part::Val)?, inference.evaluate(Part::Test)?];
        outcome.model = Some(model);
        Ok(outcome)
    }
}

impl Session {
    /// The best model of a training without a folder, or else the weights of the latest checkpoint.
    fn model_in_memory(&self, trainer: &Trainer, state: &TrainingState) -> Option<Stored> {
        let best = || trainer.members().iter().map(|member| member.best.as_deref().cloned()).collect();
        let best: Option<Vec<_>> = state.best.and_then(|_| best());
        let (layers, of) = match (best, state.best) {
            (Some(layers), Some(of)) => (layers, of),
            _ => {
                let latest = |(slot, member): (usize, &Arc<Member>)| {
                    let weights = &trainer.checkpoint(slot)?.weights;
                    Some(model::layers(member, &model::ALONE, &weights.params, &weights.stats))
                };
                let layers = self.population.members.iter().enumerate().map(latest);
                let of = Best { epoch: state.epochs, step: state.step, val_loss: f64::NAN };
                (layers.collect::<Option<Vec<_>>>()?, of)
            }
        };
        let file = self.origin.best_model(layers, of);
        Some(Stored::in_memory(file, self.request.clone(), self.origin.preprocessing.clone()))
    }
}

/// Outcome of a training.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The final training state, of the first member of an ensemble; `state.ended` says how the training ended, none if it
    /// was interrupted.
    pub state: TrainingState,
    /// Metrics of every epoch.
    pub history: Vec<EpochMetrics>,
    /// The device that ran the steps.
    pub info: EngineInfo,
    /// Whether the training had ended before this process began.
    pub was_over: bool,
    /// The best model by validation loss (the latest, without validation rows); none if it was not evaluated.
    pub model: Option<Stored>,
    /// The epoch of that model, from 1.
    pub best_epoch: Option<u64>,
    /// Mean loss and score of that model on the validation and test rows, if any.
    pub evaluations: [Option<(f64, Score)>; 2],
    /// The file of the last good checkpoint, if there is a folder.
    pub last: Option<PathBuf>,
}

/// Stores checkpoints and forwards all events.
struct Recorder<'a> {
    files: Option<&'a mut RunFiles>,
    events: &'a mut dyn Events,
}

impl Events for Recorder<'_> {
    fn step(&mut self, member: usize, step: u64, loss: f64, samples_per_s: f64) {
        self.events.step(member, step, loss, samples_per_s);
    }

    fn epoch(&mut self, member: usize, metrics: &EpochMetrics) {
        self.events.epoch(member, metrics);
    }

    fn look(&mut self, member: usize, look: &Look) {
        self.events.look(member, look);
    }

    fn message(&mut self, text: &str) {
        self.events.message(text);
    }

    fn checkpoint(
        &mut self,
        population: &Population,
        checkpoint: &[Option<MemberCheckpoint>],
    ) -> Result<(), RunError> {
        let members = population.members.iter().zip(checkpoint);
        let members: Option<Vec<_>> =
            members.map(|(member, at)| Some((member.as_ref(), at.as_ref()?))).collect();
        if let (Some(files), Some(members)) = (&mut self.files, members) {
            files.write(&members)?;
        }
        self.events.checkpoint(population, checkpoint)
    }

    fn checkpoint_path(&self) -> Option<PathBuf> {
        match &self.files {
            Some(files) => Some(files.last()),
            None => self.events.checkpoint_path(),
        }
    }
}
