//! The files of a run of one member: written at each checkpoint, read by `resume`, `eval` and `predict`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::data::{Preprocessing, Rows, Task};
use crate::engine::{Engine, EngineFactory};
use crate::population::{Member, Population};
use crate::run::{Architecture, LayerTensors, Look, ModelFile, RunDir, RunError, RunFile};
use crate::spec::{PartialConfig, RunRequest, Watched, resolve};

use super::model::{self, Weights};
use super::{Best, Inference, MemberCheckpoint, MemberState, Problem, TrainError, TrainingState};

/// Keys of the metadata, besides the architecture's.
const HYPERPARAMETERS: &str = "hyperparameters";
const PREPROCESSING: &str = "preprocessing";
const CLASSES: &str = "classes";
const FINGERPRINT: &str = "data_fingerprint";
const STATE: &str = "state";
const BEST: &str = "best";

/// The origin of a model, stored in the metadata of every model file.
#[derive(Clone, Debug)]
pub struct Origin {
    pub architecture: Architecture,
    /// The resolved configuration, TOML.
    pub config: String,
    pub preprocessing: Preprocessing,
    pub fingerprint: String,
    /// Whether there are validation rows; without them, the latest model is the best.
    pub has_val: bool,
    /// The quantities that `--watch` records.
    pub watch: Vec<Watched>,
}

impl Origin {
    fn file(&self, layers: Vec<LayerTensors>) -> ModelFile {
        let mut file = ModelFile::new(&self.architecture, layers);
        let mut put = |key: &str, text: String| drop(file.metadata.insert(key.into(), text));
        put(HYPERPARAMETERS, self.config.clone());
        put(PREPROCESSING, to_json(&self.preprocessing));
        if let Task::Classify { classes } = self.preprocessing.task() {
            put(CLASSES, to_json(classes));
        }
        put(FINGERPRINT, self.fingerprint.clone());
        file
    }

    /// The file of the best model, without the optimiser's state.
    pub(super) fn best_model(&self, layers: &[LayerTensors], of: Best) -> ModelFile {
        let mut file = self.file(layers.to_vec()).model_only();
        file.metadata.insert(BEST.into(), to_json(&of));
        file
    }
}

/// A value as one line of JSON: lists, numbers and text, nothing that JSON cannot hold.
fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

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
    /// the latest comes last, so the files it refers to are there.
    ///
    /// # Errors
    /// [`RunError`] if a file cannot be written; the previous files are still intact.
    pub fn write(&mut self, member: &Member, checkpoint: &MemberCheckpoint) -> Result<(), RunError> {
        let MemberCheckpoint { state, history, looks, best, weights } = checkpoint;
        let layers = model::layers(member, &model::ALONE, &weights.params, &weights.stats);
        let looks: Vec<Look> = looks.iter().map(|look| look.only(&self.origin.watch)).collect();
        if !history.is_empty() || !looks.is_empty() || self.dir.file(RunFile::MetricsJsonl).exists() {
            self.dir.write_metrics(history, &looks)?;
        }
        if !self.origin.has_val {
            let now = Best { epoch: state.epochs, step: state.step, val_loss: f64::NAN };
            self.write_best(&layers, now)?;
        } else if let (Some(best), Some(of)) = (best, state.best)
            && self.best_step != Some(of.step)
        {
            self.write_best(best, of)?;
            self.best_step = Some(of.step);
        }
        let mut last = self.origin.file(layers);
        last.optimizer = Some(model::optimizer(member, &model::ALONE, &weights.moments));
        last.metadata.insert(STATE.into(), to_json(state));
        last.save(&self.last())?;
        log::debug!("step {} stored in {}", state.step, self.last().display());
        Ok(())
    }

    /// Writes the metrics and the best model of a training that has ended, without a state to resume from.
    ///
    /// # Errors
    /// As [`RunFiles::write`].
    pub fn write_model(&mut self, member: &MemberState) -> Result<(), RunError> {
        self.dir.write_metrics(&member.history, &member.looks)?;
        match (&member.best, member.state.best) {
            (Some(best), Some(of)) => self.write_best(best, of),
            _ => Ok(()),
        }
    }

    fn write_best(&self, layers: &[LayerTensors], of: Best) -> Result<(), RunError> {
        self.origin.best_model(layers, of).save(&self.dir.file(RunFile::Best))
    }
}

/// A model file of a run, read.
#[derive(Clone, Debug)]
pub struct Stored {
    path: PathBuf,
    pub file: ModelFile,
    /// How it was trained.
    pub request: RunRequest,
    pub preprocessing: Preprocessing,
}

impl Stored {
    /// A model that is in no file.
    pub(super) fn in_memory(file: ModelFile, request: RunRequest, preprocessing: Preprocessing) -> Stored {
        Stored { path: "the model in memory".into(), file, request, preprocessing }
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
        let preprocessing: Preprocessing = json(&path, &file, PREPROCESSING)?;
        let config = file.metadata.get(HYPERPARAMETERS).map(String::as_str).unwrap_or_default();
        let request = PartialConfig::from_toml(config, &path)
            .and_then(|config| resolve(PartialConfig::default(), Some((path.clone(), config))))
            .map_err(|error| unusable(&path, format!("its hyperparameters are invalid: {error}")))?;
        Ok(Stored { path, file, request, preprocessing })
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

    /// The training state in `last.safetensors`.
    ///
    /// # Errors
    /// If the file has none.
    pub fn state(&self) -> Result<TrainingState, RunError> {
        json(&self.path, &self.file, STATE)
    }

    /// Fingerprint of the training data.
    pub fn fingerprint(&self) -> &str {
        self.file.metadata.get(FINGERPRINT).map(String::as_str).unwrap_or_default()
    }

    /// The checkpoint in `last.safetensors`, for `member`; later metrics are dropped.
    ///
    /// # Errors
    /// If it does not fit this member.
    pub fn checkpoint(&self, dir: &RunDir, member: &Member) -> Result<MemberCheckpoint, RunError> {
        let state = self.state()?;
        let mut weights = Weights::zeros(&member.sizes);
        let fits = model::put_layers(member, &model::ALONE, &self.file.layers, &mut weights)
            && (self.file.optimizer.as_ref())
                .is_some_and(|o| model::put_optimizer(member, &model::ALONE, o, &mut weights));
        if !fits {
            return Err(self.wrong_model());
        }
        let (mut history, mut looks) = dir.read_metrics()?;
        history.retain(|metrics| metrics.epoch <= state.epochs);
        // The look at the next step will be taken again.
        looks.retain(|look| look.step < state.step);
        Ok(MemberCheckpoint { state, history, looks, best: None, weights })
    }

    /// The error for tensors that do not match the configuration.
    fn wrong_model(&self) -> RunError {
        unusable(&self.path, "its tensors do not match its hyperparameters".into())
    }

    /// The model on `engine`, or on a new one if `None`, with the data of `problem`.
    ///
    /// # Errors
    /// If the tensors do not fit the population's only member, or the device fails.
    pub fn inference<'a>(
        &self,
        factory: &'a dyn EngineFactory,
        population: Arc<Population>,
        problem: &'a Problem,
        engine: Option<Box<dyn Engine>>,
    ) -> Result<Inference<'a>, TrainError> {
        Inference::new(factory, population, problem, &self.file.layers, engine)
            .unwrap_or_else(|| Err(self.wrong_model().into()))
    }

    /// Outputs `[N, O]` of `rows`: before any softmax, or the scaled value ([`Preprocessing::prediction`] turns it into
    /// the target's unit).
    ///
    /// # Errors
    /// [`TrainError`] of the device, or if the tensors do not match the model's settings.
    pub fn outputs(&self, factory: &dyn EngineFactory, rows: Rows) -> Result<Vec<f32>, TrainError> {
        let n = rows.rows;
        let problem = Problem::of_rows(rows, &self.preprocessing);
        self.inference(factory, self.population(&problem)?, &problem, None)?.outputs(0..n)
    }

    /// A population of this model alone, for rows other than its training rows.
    ///
    /// # Errors
    /// If the settings allow no such model.
    pub fn population(&self, problem: &Problem) -> Result<Arc<Population>, RunError> {
        let training = &self.request.training;
        // Row capacity as in training, even if `--batch-size` was larger than the data.
        let rows = self.preprocessing.train_rows();
        let member = Member::new(training, problem.loss, &*problem.table, rows);
        Ok(Arc::new(Population::new(vec![member.ok_or_else(|| self.wrong_model())?])))
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
