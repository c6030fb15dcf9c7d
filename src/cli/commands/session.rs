//! What `train` and `resume` share: from data and configuration to the summary at the end.

use std::path::PathBuf;
use std::sync::Arc;

use crate::base::text::{count, counted};
use crate::cli::Exit;
use crate::data::{Dataset, Part, Task};
use crate::engine::{Engine, EngineFactory, EngineInfo};
use crate::population::{Member, Population};
use crate::report::{
    EndSummary, Evaluation, ModelSummary, Progress, SplitSummary, Status, TrainResult, stdout,
};
use crate::run::{Architecture, Environment, EpochMetrics, RunDir, RunError, RunFile};
use crate::spec::RunRequest;
use crate::train::{
    Ended, Events, MemberCheckpoint, Origin, Pace, Problem, RunFiles, Stop, Stored, Trainer, TrainingState,
    member,
};

use super::{Failure, say, stderr_is_terminal, tell, terminal_width, warn};

/// A training that is known to be possible.
pub struct Session {
    request: RunRequest,
    problem: Problem,
    population: Arc<Population>,
    factory: Box<dyn EngineFactory>,
    origin: Origin,
    /// Of (val, test), where they have rows.
    baselines: [Option<f64>; 2],
    /// What is told of the data.
    about: Vec<(&'static str, String)>,
}

/// The folder of a run.
pub struct Place {
    pub dir: RunDir,
    /// The device that the run began on; none, its first files are still to be written.
    pub began_on: Option<String>,
}

impl Session {
    /// Checks everything that can be checked before there is a folder.
    ///
    /// # Errors
    /// If no step can be made.
    pub fn new(
        request: RunRequest,
        dataset: Dataset,
        factory: Box<dyn EngineFactory>,
    ) -> Result<Session, Failure> {
        let about = about(&dataset);
        let baselines = [Part::Val, Part::Test].map(|part| dataset.baseline(part));
        let (preprocessing, fingerprint) = (dataset.preprocessing.clone(), dataset.fingerprint.clone());
        let problem = Problem::new(dataset);
        let member = member(&request.training, &problem)?;
        let (inputs, outputs) = (member.inputs, member.outputs());
        let origin = Origin {
            architecture: Architecture::new(&request.training.network, inputs, outputs),
            config: request.to_toml(),
            preprocessing,
            fingerprint,
            has_val: problem.split.val > 0,
            watch: request.watch.clone(),
        };
        let mut population = Population::new(vec![member]);
        if !request.watch.is_empty() {
            population = population.watched();
        }
        let population = Arc::new(population);
        Ok(Session { request, problem, population, factory, origin, baselines, about })
    }

    /// The one member.
    pub fn member(&self) -> &Member {
        &self.population.members[0]
    }

    /// Whether there are validation rows.
    pub fn has_val(&self) -> bool {
        self.origin.has_val
    }

    /// Says what is going to be done: device, data, model.
    pub fn introduce(&self) {
        tell("device", self.factory.why());
        if self.request.quiet {
            return;
        }
        self.about.iter().for_each(|(heading, text)| tell(heading, text));
        let (training, member) = (&self.request.training, &self.population.members[0]);
        say(format!("model\n{}", ModelSummary::new(training, member.inputs, member.outputs())));
        if member.walk.drops_single_row {
            let dropped = "the last batch of an epoch would have one row, which batch normalisation cannot take: dropped";
            tell("note", dropped);
        }
        if training.patience.is_some() && !self.has_val() {
            tell("note", "--patience has no effect without validation rows");
        }
    }

    /// Trains in the folder that `place` gives, from a checkpoint or from the beginning, evaluates the best model
    /// and tells the result.
    ///
    /// # Errors
    /// Of the device and of the files.
    pub fn train(
        self,
        place: impl FnOnce() -> Result<Place, RunError>,
        from: Option<MemberCheckpoint>,
    ) -> Result<Exit, Failure> {
        let member = &self.population.members[0];
        let epochs = member.total_steps().div_ceil(member.walk.steps_per_epoch);
        let progress = {
            // Log lines would tear a bar apart.
            let bar = stderr_is_terminal() && log::max_level() <= log::LevelFilter::Warn;
            Progress::new(member.total_steps(), epochs, bar, self.request.quiet, terminal_width)
        };
        let mut console = Console { files: None, progress };
        let is_over = from.as_ref().is_some_and(|from| from.state.ended.is_some());
        if let Some(from) = &from {
            console.progress.resume_at(from.state.step, from.history.last());
        }
        let stop = Stop::on_signals(Exit::Interrupted.code());
        let (factory, population) = (self.factory.as_ref(), self.population.clone());
        let mut trainer =
            Trainer::new(factory, population, &self.problem, vec![from], Pace::default(), &mut console)?;
        let Place { dir, began_on } = place()?;
        let run = dir.path().display().to_string();
        if began_on.is_none() {
            dir.write_config(&self.origin.config)?;
            let engine = serde_json::to_value(trainer.info()).unwrap_or_default();
            dir.write_env(&Environment::now(engine, &self.origin.fingerprint))?;
        }
        let best = dir.file(RunFile::Best);
        console.files = Some(RunFiles::new(dir, self.origin.clone()));
        match began_on {
            None => trainer.store(&mut console)?,
            Some(then) if then != trainer.info().device => tell(
                "note",
                &format!(
                    "the run began on {then} and goes on on {}: the last bits may differ from an \
                 uninterrupted run's",
                    trainer.info().device
                ),
            ),
            Some(_) => {}
        }
        let done = is_over || trainer.run(&mut console, &stop)?;
        console.progress.finish();
        let (state, info) = (trainer.members()[0].state.clone(), trainer.info().clone());
        if is_over {
            say(format!("the run {run} has ended already: nothing to go on with"));
        }
        if let Some(Ended::Stopped { reason }) = &state.ended {
            say(format!("stopped: {reason}"));
        }
        let status = status(&state, done);
        let mut result = self.result(&state, &info, status, run);
        if let Some(Ended::Diverged { step }) = state.ended {
            result.steps = step;
            warn(format!("diverged: NaN or infinity at step {}", count(step)));
            if let Some(files) = &console.files {
                let (last, at) = (files.last(), count(state.step));
                warn(format!("the last good checkpoint is {} (step {at})", last.display()));
            }
        }
        let mut splits = Vec::new();
        let mut best_epoch = None;
        if matches!(status, Status::Completed | Status::Stopped)
            && best.exists()
            && let Some(files) = &console.files
        {
            let stored = Stored::load(files.dir(), RunFile::Best)?;
            let epoch = stored.best()?.0;
            best_epoch = (epoch != state.epochs).then_some(epoch);
            splits = self.evaluate(&stored, trainer.into_engine(), &mut result)?;
        }
        let target = Some(self.origin.preprocessing.target_name());
        say(EndSummary { result: &result, splits: &splits, best_epoch, target }.to_string());
        if self.request.json {
            let json = serde_json::to_string(&result).unwrap_or_default();
            stdout::print(&(json + "\n")).map_err(Failure::Stdout)?;
        }
        Ok(match status {
            Status::Completed | Status::Stopped => Exit::Done,
            Status::Diverged => Exit::Diverged,
            Status::Interrupted => Exit::Interrupted,
        })
    }

    /// Evaluates a model on the validation and the test rows.
    fn evaluate(
        &self,
        stored: &Stored,
        engine: Option<Box<dyn Engine>>,
        result: &mut TrainResult,
    ) -> Result<Vec<SplitSummary>, Failure> {
        let population = self.population.clone();
        let mut model = stored.inference(self.factory.as_ref(), population, &self.problem, engine)?;
        let parts = [("val", Part::Val, self.baselines[0]), ("test", Part::Test, self.baselines[1])];
        let mut splits = Vec::new();
        for (name, part, baseline) in parts {
            let Some((loss, score)) = model.evaluate(part)? else { continue };
            match part {
                Part::Val => result.val = Some(Evaluation { loss, score }),
                _ => result.test = Some(Evaluation { loss, score }),
            }
            let rows = self.problem.split.range(part).len();
            splits.push(SplitSummary { name, rows, loss, score, baseline: baseline.unwrap_or(f64::NAN) });
        }
        Ok(splits)
    }

    fn result(&self, state: &TrainingState, info: &EngineInfo, status: Status, run: String) -> TrainResult {
        TrainResult {
            status,
            run,
            device: info.device.clone(),
            engine: info.engine.into(),
            seed: self.request.training.seed,
            params: self.population.members[0].parameters() as u64,
            epochs: state.epochs,
            steps: state.step,
            train_s: state.train_s,
            samples_per_s: state.rows as f64 / state.train_s.max(1e-9),
            regression: self.problem.is_regression(),
            val: None,
            test: None,
            baseline: self.baselines[1].or(self.baselines[0]),
        }
    }
}

fn status(state: &TrainingState, done: bool) -> Status {
    match &state.ended {
        Some(Ended::Completed) => Status::Completed,
        Some(Ended::Stopped { .. }) => Status::Stopped,
        Some(Ended::Diverged { .. }) => Status::Diverged,
        None => {
            debug_assert!(!done);
            Status::Interrupted
        }
    }
}

/// The data in a few lines.
pub(super) fn about(dataset: &Dataset) -> Vec<(&'static str, String)> {
    let split = &dataset.split;
    let rows = |n: usize| count(n as u64);
    let what = match &dataset.task {
        Task::Classify { classes } => counted(classes.len() as u64, "class").replace("classs", "classes"),
        Task::Regress => format!("regression of {}", dataset.preprocessing.target_name()),
    };
    let all = split.train + split.val + split.test;
    let text = format!(
        "{}: {} rows of {}, {what}; train {}, val {}, test {}",
        dataset.source,
        rows(all),
        counted(dataset.n_features as u64, "feature"),
        rows(split.train),
        rows(split.val),
        rows(split.test)
    );
    let mut lines = vec![("data", text)];
    lines.extend(dataset.notes.iter().map(|note| ("note", note.clone())));
    lines
}

/// Events of a run, on stderr and in its files.
struct Console {
    /// None until the folder is there.
    files: Option<RunFiles>,
    progress: Progress,
}

impl Events for Console {
    fn step(&mut self, _: usize, step: u64, loss: f64, samples_per_s: f64) {
        self.progress.step(step, loss, samples_per_s);
    }

    fn epoch(&mut self, _: usize, metrics: &EpochMetrics) {
        self.progress.epoch(metrics);
    }

    fn message(&mut self, text: &str) {
        self.progress.message(text);
    }

    fn checkpoint(
        &mut self,
        population: &Population,
        checkpoint: &[Option<MemberCheckpoint>],
    ) -> Result<(), RunError> {
        match (&mut self.files, checkpoint) {
            (Some(files), [Some(checkpoint)]) => files.write(&population.members[0], checkpoint),
            _ => Ok(()),
        }
    }

    fn checkpoint_path(&self) -> Option<PathBuf> {
        self.files.as_ref().map(RunFiles::last)
    }
}
