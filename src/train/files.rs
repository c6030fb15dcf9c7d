//! The files of a run of one member, or of an ensemble: written at each checkpoint, read by `resume`, `eval` and
//! `predict`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::data::{Preprocessing, Rows, Task};
use crate::engine::{Engine, EngineFactory};
use crate::population::{Features, Member, Population, check_size};
use crate::run::{
    Architecture, Environment, LayerTensors, Look, ModelFile, ModelMember, RunDir, RunError, RunFile,
};
use crate::spec::{PartialConfig, RunRequest, Training, Watched, resolve};

use super::mixture::equal;
use super::model::{self, Weights};
use super::{Best, Inference, MemberCheckpoint, MemberState, Problem, TrainError, TrainingState};

/// Keys of the metadata, besides those of the members.
const PREPROCESSING: &str = "preprocessing";
const CLASSES: &str = "classes";
const FINGERPRINT: &str = "data_fingerprint";
const STATE: &str = "state";
const BEST: &str = "best";

/// The origin of a model, or of the members of an ensemble; stored in the metadata of every model file.
#[derive(Clone, Debug)]
pub struct Origin {
    /// The members without their tensors.
    pub members: Vec<ModelMember>,
    /// The resolved configuration of the run, TOML.
    pub config: String,
    pub preprocessing: Preprocessing,
    pub fingerprint: String,
    /// Whether there are validation rows; without them, the latest model is the best.
    pub has_val: bool,
    /// The quantities that `--watch` records.
    pub watch: Vec<Watched>,
}

impl Origin {
    /// The origin of the run `request`, whose networks have `inputs` and `outputs`; its members have equal weights.
    pub fn new(
        request: &RunRequest,
        [inputs, outputs]: [usize; 2],
        preprocessing: Preprocessing,
        fingerprint: String,
        has_val: bool,
    ) -> Origin {
        let weights = equal(request.ensemble);
        let member = |(request, weight): (RunRequest, f64)| ModelMember {
            weight,
            settings: request.to_toml(),
            ..ModelMember::new(&Architecture::new(&request.training.network, inputs, outputs), Vec::new())
        };
        Origin {
            members: request.members().into_iter().zip(weights).map(member).collect(),
            config: request.to_toml(),
            preprocessing: preprocessing.of_fold(request.data.fold),
            fingerprint,
            has_val,
            watch: request.watch.clone(),
        }
    }

    /// The file of the members' `layers`.
    fn file(&self, layers: Vec<Vec<LayerTensors>>) -> ModelFile {
        let mut file = ModelFile { members: self.members.clone(), ..ModelFile::default() };
        file.members.iter_mut().zip(layers).for_each(|(member, layers)| member.layers = layers);
        let mut put = |key: &str, text: String| drop(file.metadata.insert(key.into(), text));
        put(PREPROCESSING, to_json(&self.preprocessing));
        if let Task::Classify { classes } = self.preprocessing.task() {
            put(CLASSES, to_json(classes));
        }
        put(FINGERPRINT, self.fingerprint.clone());
        file
    }

    /// The file of the best model, without the optimiser's state.
    pub(super) fn best_model(&self, layers: Vec<Vec<LayerTensors>>, of: Best) -> ModelFile {
        let mut file = self.file(layers).model_only();
        file.metadata.insert(BEST.into(), to_json(&of));
        file
    }
}

/// A value as one line of JSON: lists, numbers and text, nothing that JSON cannot hold.
fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// Most rows of a batch with a stored model.
const INFERENCE_ROWS: usize = 4096;

/// The path of a model in no file, for errors.
const IN_MEMORY: &str = "the model in memory";

/// Writes a run.
#[derive(Debug)]
pub struct RunFiles {
    dir: RunDir,
    origin: Origin,
    /// Step of the model in `best.safetensors`, if this process wrote it.
    best_step: Option<u64>,
}

impl RunFiles {
    /// For a folder that is locked by this process.
    pub fn new(dir: RunDir, origin: Origin) -> RunFiles {
        RunFiles { dir, origin, best_step: None }
    }

    /// The folder.
    pub fn dir(&self) -> &RunDir {
        &self.dir
    }

    /// Path of the latest state.
    pub fn last(&self) -> PathBuf {
        self.dir.file(RunFile::Last)
    }

    /// Writes the metrics, then the best model, then the latest with the state. Each file is replaced as a whole, and
    /// the latest comes last, so the files it refers to are there. The members of an ensemble share their metrics.
    ///
    /// # Errors
    /// [`RunError`] if a file cannot be written; the previous files are still intact.
    pub fn write(&mut self, members: &[(&Member, &MemberCheckpoint)]) -> Result<(), RunError> {
        let Some((_, MemberCheckpoint { state, history, looks, .. })) = members.first() else {
            return Ok(());
        };
        let layers = |(member, at): &(&Member, &MemberCheckpoint)| {
            model::layers(member, &model::ALONE, &at.weights.params, &at.weights.stats)
        };
        let layers: Vec<_> = members.iter().map(layers).collect();
        let looks: Vec<Look> = looks.iter().map(|look| look.only(&self.origin.watch)).collect();
        if !history.is_empty() || !looks.is_empty() || self.dir.file(RunFile::MetricsJsonl).exists() {
            self.dir.write_metrics(history, &looks)?;
        }
        let best = || members.iter().map(|(_, at)| at.best.as_deref().cloned()).collect::<Option<Vec<_>>>();
        if !self.origin.has_val {
            let now = Best { epoch: state.epochs, step: state.step, val_loss: f64::NAN };
            self.write_best(layers.clone(), now)?;
        } else if let Some(of) = state.best
            && self.best_step != Some(of.step)
            && let Some(best) = best()
        {
            self.write_best(best, of)?;
            self.best_step = Some(of.step);
        }
        let mut last = self.origin.file(layers);
        for (stored, (member, at)) in last.members.iter_mut().zip(members) {
            stored.optimizer = Some(model::optimizer(member, &model::ALONE, &at.weights.moments));
        }
        let states: Vec<&TrainingState> = members.iter().map(|(_, at)| &at.state).collect();
        let states = if let [state] = states[..] { to_json(state) } else { to_json(&states) };
        last.metadata.insert(STATE.into(), states);
        last.save(&self.last())?;
        log::debug!("step {} stored in {}", state.step, self.last().display());
        Ok(())
    }

    /// Writes the metrics and the best model of a training of one member that has ended, without a state to resume
    /// from.
    ///
    /// # Errors
    /// As [`RunFiles::write`].
    pub fn write_model(&mut self, member: &MemberState) -> Result<(), RunError> {
        self.dir.write_metrics(&member.history, &member.looks)?;
        match (&member.best, member.state.best) {
            (Some(best), Some(of)) => self.write_best(vec![best.to_vec()], of),
            _ => Ok(()),
        }
    }

    fn write_best(&self, layers: Vec<Vec<LayerTensors>>, of: Best) -> Result<(), RunError> {
        self.origin.best_model(layers, of).save(&self.dir.file(RunFile::Best))
    }
}

/// A model file of a run, read: one model, or an ensemble, whose prediction is that of its members together.
#[derive(Clone, Debug)]
pub struct Stored {
    path: PathBuf,
    pub file: ModelFile,
    /// How it was trained; for an ensemble, how its first member was, with the number of members.
    pub request: RunRequest,
    /// How each member was trained.
    trainings: Vec<Training>,
    pub preprocessing: Preprocessing,
}

impl Stored {
    /// A model that is in no file.
    pub(super) fn in_memory(file: ModelFile, request: RunRequest, preprocessing: Preprocessing) -> Stored {
        let trainings = request.members().into_iter().map(|member| member.training).collect();
        Stored { path: IN_MEMORY.into(), file, request, trainings, preprocessing }
    }

    /// One ensemble of several models, each with its weight; the weights sum to 1. Its members are those of all models,
    /// which may differ in their settings, but not in their data.
    ///
    /// # Errors
    /// [`RunError`] if there is no model, the weights do not sum to 1, or the models are of other data.
    pub fn together(models: &[(&Stored, f64)]) -> Result<Stored, RunError> {
        let path = Path::new(IN_MEMORY);
        let Some((first, _)) = models.first() else { return Err(unusable(path, "it has no members".into())) };
        // Where each holds out another fold, none is that of all.
        let encoding = |stored: &Stored| to_json(&stored.preprocessing.clone().of_fold(None));
        let fold = |stored: &Stored| stored.request.data.fold;
        let one_fold = models.iter().all(|(stored, _)| fold(stored) == fold(first));
        let of_first = encoding(first);
        let mut together = Stored { path: path.into(), trainings: Vec::new(), ..(*first).clone() };
        together.file = first.file.model_only();
        together.file.members.clear();
        together.file.metadata.remove(STATE);
        for (stored, weight) in models {
            if stored.fingerprint() != first.fingerprint() || encoding(stored) != of_first {
                let what = format!("{} was trained on other data than the first", stored.path.display());
                return Err(unusable(path, what));
            }
            for mut member in stored.file.model_only().members {
                member.weight *= weight;
                together.file.members.push(member);
            }
            together.trainings.extend(stored.trainings.iter().cloned());
        }
        together.request.ensemble = together.members();
        if !one_fold {
            together.preprocessing = together.preprocessing.of_fold(None);
            together.file.metadata.insert(PREPROCESSING.into(), to_json(&together.preprocessing));
        }
        // Refuses wrong weights.
        let fault = |fault| RunError::Model { path: path.into(), fault };
        together.file.to_bytes().map(drop).map_err(fault)?;
        Ok(together)
    }

    /// Writes a run of this model alone, without a state to resume from, into a new folder. An ensemble of
    /// [`Stored::together`] has no best epoch of its own; that of its first model stands for it.
    ///
    /// # Errors
    /// [`RunError`] if a file cannot be written.
    pub fn write_run(&self, dir: &RunDir, env: &Environment) -> Result<(), RunError> {
        let config = self.request.to_toml();
        let settings = config.split_once('\n').map_or("", |(_, settings)| settings);
        dir.write_config(&format!("# Several models as one: the settings of the first.\n{settings}"))?;
        dir.write_env(env)?;
        self.file.save(&dir.file(RunFile::Best))
    }

    /// Writes the model to `path` as a whole.
    ///
    /// # Errors
    /// [`RunError`] if it cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), RunError> {
        self.file.save(path)
    }

    /// Reads `file` of a run.
    ///
    /// # Errors
    /// [`RunError`] if the file is missing, damaged, of another program, or holds NaN or infinity.
    pub fn load(dir: &RunDir, file: RunFile) -> Result<Stored, RunError> {
        let path = dir.existing(file)?;
        let file = ModelFile::load(&path)?;
        if let Some(where_) = file.non_finite() {
            return Err(unusable(&path, where_));
        }
        if let Some(where_) = file.negative_variance() {
            return Err(unusable(&path, where_));
        }
        let preprocessing: Preprocessing = json(&path, &file, PREPROCESSING)?;
        let invalid = |what: String| unusable(&path, format!("its {PREPROCESSING} is invalid: {what}"));
        preprocessing.check().map_err(invalid)?;
        if let Task::Classify { classes } = preprocessing.task()
            && json::<Vec<String>>(&path, &file, CLASSES)? != *classes
        {
            return Err(unusable(&path, format!("its {CLASSES} are not those of its {PREPROCESSING}")));
        }
        let (outputs, found) = (preprocessing.task().n_outputs(), file.members.first());
        if let Some(other) = found.map(|member| member.architecture.outputs).filter(|&found| found != outputs)
        {
            return Err(unusable(
                &path,
                format!("its network has {other} outputs, its {PREPROCESSING} {outputs}"),
            ));
        }
        let request = |member: &ModelMember| {
            PartialConfig::from_toml(&member.settings, &path)
                .and_then(|config| resolve(PartialConfig::default(), Some((path.clone(), config))))
                .map_err(|error| unusable(&path, format!("its hyperparameters are invalid: {error}")))
        };
        let requests: Vec<RunRequest> = file.members.iter().map(request).collect::<Result<_, _>>()?;
        let trainings = requests.iter().map(|request| request.training.clone()).collect();
        let first = requests.into_iter().next().ok_or_else(|| unusable(&path, "it has no members".into()))?;
        let request = RunRequest { ensemble: file.members.len(), ..first };
        Ok(Stored { path, file, request, trainings, preprocessing })
    }

    /// The number of models whose predictions are averaged.
    pub fn members(&self) -> usize {
        self.file.members.len()
    }

    /// The epoch of `best.safetensors`.
    ///
    /// # Errors
    /// If it is not there.
    pub fn best(&self) -> Result<(u64, u64), RunError> {
        #[derive(serde::Deserialize)]
        struct Place {
            epoch: u64,
            step: u64,
        }
        let place: Place = json(&self.path, &self.file, BEST)?;
        Ok((place.epoch, place.step))
    }

    /// The training state in `last.safetensors`, of the first member.
    ///
    /// # Errors
    /// If the file has none.
    pub fn state(&self) -> Result<TrainingState, RunError> {
        Ok(self.states()?.swap_remove(0))
    }

    /// The training state of every member; those of an ensemble are at the same step.
    fn states(&self) -> Result<Vec<TrainingState>, RunError> {
        if self.members() == 1 {
            return Ok(vec![json(&self.path, &self.file, STATE)?]);
        }
        let states: Vec<TrainingState> = json(&self.path, &self.file, STATE)?;
        let at = |state: &TrainingState| {
            let TrainingState { step, epochs, open, best, epochs_since_best, ended, .. } = state.clone();
            (step, epochs, open.steps, best, epochs_since_best, ended)
        };
        let wrong = |what: &str| Err(unusable(&self.path, format!("its {STATE} is invalid: {what}")));
        if states.len() != self.members() {
            return wrong("not one for each member");
        }
        if states.iter().any(|state| at(state) != at(&states[0])) {
            return wrong("its members are at different steps");
        }
        Ok(states)
    }

    /// Fingerprint of the training data.
    pub fn fingerprint(&self) -> &str {
        self.file.metadata.get(FINGERPRINT).map(String::as_str).unwrap_or_default()
    }

    /// The checkpoint in `last.safetensors`, for `members`; later metrics are dropped.
    ///
    /// # Errors
    /// If it does not fit these members.
    pub fn checkpoint(&self, dir: &RunDir, members: &[&Member]) -> Result<Vec<MemberCheckpoint>, RunError> {
        let states = self.states()?;
        if members.len() != states.len() {
            return Err(self.wrong_model());
        }
        let (mut history, mut looks) = dir.read_metrics()?;
        history.retain(|metrics| metrics.epoch <= states[0].epochs);
        // The look at the next step will be taken again.
        looks.retain(|look| look.step < states[0].step);
        let checkpoint = |((state, member), stored): ((TrainingState, &&Member), &ModelMember)| {
            if !state.fits(member) {
                return Err(unusable(
                    &self.path,
                    format!("its {STATE} is invalid: its counts contradict each other"),
                ));
            }
            let mut weights = Weights::zeros(&member.sizes);
            let fits = model::put_layers(member, &model::ALONE, &stored.layers, &mut weights)
                && (stored.optimizer.as_ref())
                    .is_some_and(|o| model::put_optimizer(member, &model::ALONE, o, &mut weights));
            if !fits {
                return Err(self.wrong_model());
            }
            let (history, looks) = (history.clone(), looks.clone());
            Ok(MemberCheckpoint { state, history, looks, best: None, weights })
        };
        states.into_iter().zip(members).zip(&self.file.members).map(checkpoint).collect()
    }

    /// The error for tensors that do not match the configuration.
    fn wrong_model(&self) -> RunError {
        unusable(&self.path, "its tensors do not match its hyperparameters".into())
    }

    /// The model on `engine`, or on a new one if `None`, with the data of `problem`.
    ///
    /// # Errors
    /// If the tensors do not fit the population's members, or the device fails.
    pub fn inference<'a>(
        &self,
        factory: &'a dyn EngineFactory,
        population: Arc<Population>,
        problem: &'a Problem,
        engine: Option<Box<dyn Engine>>,
    ) -> Result<Inference<'a>, TrainError> {
        Inference::new(factory, population, problem, &self.file.members, engine)
            .unwrap_or_else(|| Err(self.wrong_model().into()))
    }

    /// Outputs `[N, O]` of `rows`: before any softmax, or the scaled value ([`Preprocessing::prediction`] turns it into
    /// the target's unit). Those of an ensemble are the logarithms of the weighted means of its members' probabilities,
    /// so that a softmax gives these means, or the weighted means of their values.
    ///
    /// # Errors
    /// [`TrainError`] of the device, or if the tensors do not match the model's settings.
    pub fn outputs(&self, factory: &dyn EngineFactory, rows: Rows) -> Result<Vec<f32>, TrainError> {
        let n = rows.rows;
        let problem = Problem::of_rows(rows, &self.preprocessing);
        self.inference(factory, self.population(&problem)?, &problem, None)?.outputs(0..n)
    }

    /// A population of the members of this model alone, for rows other than its training rows.
    ///
    /// # Errors
    /// If the settings allow no such model.
    pub fn population(&self, problem: &Problem) -> Result<Arc<Population>, RunError> {
        let (rows, loss) = (self.preprocessing.train_rows(), problem.loss);
        // A file that claims a large batch must not reserve memory for it.
        let few_rows = |training: &Training| Training {
            batch_size: training.batch_size.min(INFERENCE_ROWS),
            ..training.clone()
        };
        let features = Features::from(&*problem.table);
        let member = |(training, stored): (&Training, &ModelMember)| {
            // The layout follows the settings, so these must not be larger than the tensors that the file holds.
            let inputs = features.inputs(training.network.embed);
            if Architecture::new(&training.network, inputs, loss.outputs()) != stored.architecture {
                return Err(self.wrong_model());
            }
            let training = &few_rows(training);
            check_size(training, loss, features, rows).map_err(|e| unusable(&self.path, e.to_string()))?;
            Member::new(training, loss, features, rows).ok_or_else(|| self.wrong_model())
        };
        let members = self.trainings.iter().zip(&self.file.members).map(member);
        Ok(Arc::new(Population::new(members.collect::<Result<Vec<_>, _>>()?)))
    }
}

fn json<T: DeserializeOwned>(path: &Path, file: &ModelFile, key: &str) -> Result<T, RunError> {
    let text = file.metadata.get(key).ok_or_else(|| unusable(path, format!("its metadata has no {key}")))?;
    serde_json::from_str(text).map_err(|error| unusable(path, format!("its {key} is invalid: {error}")))
}

fn unusable(path: &Path, what: String) -> RunError {
    RunError::Content {
        path: path.into(),
        what,
        remedy: "use a copy of the file, or train again with `bngpu train --config` of its config.toml",
    }
}
