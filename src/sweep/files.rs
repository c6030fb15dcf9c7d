//! The files of a sweep, written as its trainings end.
//!
//! `trials.jsonl` is the source of truth: a training has ended once its whole line is there. A kept model is written
//! before the line, and the state of an unfinished training is removed after it. So whenever the process ends,
//! `resume` finds each training ended once or not at all.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::base::patiently;
use crate::data::Preprocessing;
use crate::population::Member;
use crate::run::{Environment, RunDir, RunError, RunFile};
use crate::spec::{Objective, RunRequest, SweepRequest};
use crate::train::{MemberCheckpoint, MemberState, Origin, RunFiles, Stored};

use super::EXPORTERS;
use super::analysis::Winner;
use super::export::{Exported, Exporter, whole_trials};
use super::lane::Sink;
use super::record::{Stage, TrialRecord};
use super::run::Store;
use super::schedule::TrainingId;
use super::trials::{TRIALS, read_trials};

/// A run for each training whose weights are kept.
pub const MODELS: &str = "models";
/// The run of the ensemble of the kept models.
pub const ENSEMBLE: &str = "ensemble";
/// A run for each unfinished training.
const UNFINISHED: &str = "unfinished";

/// See the module.
pub struct SweepFiles {
    dir: RunDir,
    request: SweepRequest,
    preprocessing: Preprocessing,
    fingerprint: String,
    env: Environment,
    trials: File,
    records: Vec<TrialRecord>,
    /// Kept models of the search, all of finished trainings, best first.
    kept: Vec<(f64, TrainingId)>,
    begun: HashMap<TrainingId, RunFiles>,
}

/// `trial-3-seed-0`: the folder of a training.
pub fn folder(id: TrainingId) -> String {
    format!("trial-{}-seed-{}", id.trial, id.seed)
}

/// The folder in which a training's model is, if it was kept.
pub fn model(sweep: &Path, id: TrainingId) -> PathBuf {
    sweep.join(MODELS).join(folder(id))
}

/// The folder of the winner's kept model that did best on the validation rows.
pub fn best_model(
    sweep: &Path,
    records: &[TrialRecord],
    objective: Objective,
    winner: Option<&Winner>,
) -> Option<PathBuf> {
    let winner = winner?;
    let of = |record: &&TrialRecord| record.trial == winner.trial && winner.seeds.contains(&record.seed);
    let value = |record: &TrialRecord| record.value(objective).unwrap_or(f64::INFINITY);
    let mut records: Vec<&TrialRecord> = records.iter().filter(of).collect();
    records.sort_by(|a, b| value(a).total_cmp(&value(b)));
    let path = |r: &&TrialRecord| model(sweep, TrainingId { trial: r.trial, seed: r.seed });
    records.iter().map(path).find(|path| path.is_dir())
}

impl SweepFiles {
    /// Writes the first files of a new sweep.
    ///
    /// # Errors
    /// [`RunError`] if they cannot be written.
    pub fn create(
        dir: RunDir,
        request: &SweepRequest,
        preprocessing: &Preprocessing,
        env: Environment,
    ) -> Result<SweepFiles, RunError> {
        dir.write_config(&request.to_toml())?;
        dir.write_env(&env)?;
        SweepFiles::open(dir, request, preprocessing, env)
    }

    /// Resumes a sweep, or one that has no record yet. Removes what a killed process left half-written.
    ///
    /// # Errors
    /// [`RunError`] if a file is damaged or cannot be written.
    pub fn open(
        dir: RunDir,
        request: &SweepRequest,
        preprocessing: &Preprocessing,
        env: Environment,
    ) -> Result<SweepFiles, RunError> {
        let path = dir.path().join(TRIALS);
        let io = |what: &'static str, path: &Path| {
            let path = path.to_owned();
            move |error| RunError::io(what, &path, error)
        };
        let trials = File::options().create(true).append(true).open(&path).map_err(io("open", &path))?;
        mend(&path).map_err(io("write", &path))?;
        let records = read_trials(&path)?;
        let mut files = SweepFiles {
            request: request.clone(),
            preprocessing: preprocessing.clone(),
            fingerprint: env.data_fingerprint.clone(),
            env,
            trials,
            records,
            kept: Vec::new(),
            begun: HashMap::new(),
            dir,
        };
        #[cfg(not(feature = "tensorboard"))]
        if request.tensorboard {
            log::warn!("this build of bngpu writes no event files: it lacks the feature `tensorboard`");
        }
        files.clear()?;
        files.export_begin()?;
        Ok(files)
    }

    /// The folder.
    pub fn dir(&self) -> &RunDir {
        &self.dir
    }

    /// The records of the search whose models are kept.
    fn kept_records(&self) -> Vec<TrialRecord> {
        let is_kept = |r: &&TrialRecord| {
            self.kept.iter().any(|(_, id)| *id == TrainingId { trial: r.trial, seed: r.seed })
        };
        self.records.iter().filter(is_kept).cloned().collect()
    }

    /// The folder, including unfinished trainings.
    pub fn into_dir(self) -> RunDir {
        // Only an empty folder is removed.
        let _ = fs::remove_dir(self.dir.path().join(UNFINISHED));
        self.dir
    }

    /// Finishes the sweep: removes unfinished trainings.
    pub fn close(mut self) -> Result<RunDir, RunError> {
        self.begun.clear();
        let unfinished = self.dir.path().join(UNFINISHED);
        remove(&unfinished)?;
        Ok(self.dir)
    }

    /// Removes stale folders: states of trainings that have ended, and models of trainings that did not finish.
    fn clear(&mut self) -> Result<(), RunError> {
        let ended: HashMap<TrainingId, &TrialRecord> =
            self.records.iter().map(|r| (TrainingId { trial: r.trial, seed: r.seed }, r)).collect();
        let unfinished = self.dir.path().join(UNFINISHED);
        for name in entries(&unfinished) {
            if parse(&name).is_none_or(|id| ended.contains_key(&id)) {
                remove(&unfinished.join(name))?;
            }
        }
        let models = self.dir.path().join(MODELS);
        let mut kept = Vec::new();
        for name in entries(&models) {
            match parse(&name).and_then(|id| Some((id, ended.get(&id)?))) {
                Some((id, record)) if record.stage == Stage::Search && record.is_finished() => {
                    kept.push((record.value(self.request.objective).unwrap_or(f64::INFINITY), id));
                }
                Some((_, record)) if record.stage == Stage::Final => {}
                _ => remove(&models.join(name))?,
            }
        }
        self.kept = kept;
        self.evict()
    }

    /// Removes models of the search beyond the `keep` best.
    fn evict(&mut self) -> Result<(), RunError> {
        self.kept.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        while self.kept.len() > self.request.keep as usize {
            if let Some((_, id)) = self.kept.pop() {
                remove(&model(self.dir.path(), id))?;
            }
        }
        Ok(())
    }

    /// Whether to keep the model of a training for now.
    fn is_kept(&self, record: &TrialRecord) -> bool {
        let id = TrainingId { trial: record.trial, seed: record.seed };
        let value = record.value(self.request.objective).filter(|_| record.is_finished());
        let Some(value) = value else { return false };
        let better = |(other, by): &(f64, TrainingId)| other.total_cmp(&value).then(by.cmp(&id)).is_lt();
        record.stage == Stage::Final
            || self.kept.iter().filter(|other| better(other)).count() < self.request.keep as usize
    }

    fn origin(&self, request: &RunRequest, member: &Member) -> Origin {
        let shape = [member.inputs(), member.outputs()];
        Origin::new(request, shape, self.preprocessing.clone(), self.fingerprint.clone(), true)
    }

    /// Writes the run of an ended training, whole or not at all.
    fn write_model(
        &self,
        id: TrainingId,
        request: &RunRequest,
        member: &Member,
        state: &MemberState,
    ) -> Result<(), RunError> {
        write_run(&self.dir.path().join(MODELS), &folder(id), |dir| {
            dir.write_config(&request.to_toml())?;
            dir.write_env(&self.env)?;
            RunFiles::new(dir, self.origin(request, member)).write_model(state)
        })?;
        Ok(())
    }

    /// The models that are kept, of the search and of the final comparison. One that is damaged is left out.
    pub fn models(&self) -> Vec<(TrainingId, Stored)> {
        let models = self.dir.path().join(MODELS);
        let mut ids: Vec<TrainingId> = entries(&models).iter().filter_map(|name| parse(name)).collect();
        ids.sort_unstable();
        let load = |id| {
            let dir = RunDir::open(&model(self.dir.path(), id));
            match dir.and_then(|dir| Stored::load(&dir, RunFile::Best)) {
                Ok(stored) => Some((id, stored)),
                Err(error) => {
                    log::warn!("{error}; the ensemble goes without it");
                    None
                }
            }
        };
        ids.into_iter().filter_map(load).collect()
    }

    /// Writes the run of an ensemble, whole or not at all, in place of an earlier one. Returns its folder.
    ///
    /// # Errors
    /// [`RunError`] if it cannot be written.
    pub fn write_ensemble(&self, ensemble: &Stored) -> Result<PathBuf, RunError> {
        write_run(self.dir.path(), ENSEMBLE, |dir| ensemble.write_run(&dir, &self.env))
    }

    /// Removes the run of an earlier ensemble.
    ///
    /// # Errors
    /// [`RunError`] if that is not possible.
    pub fn remove_ensemble(&self) -> Result<(), RunError> {
        remove(&self.dir.path().join(format!(".{ENSEMBLE}")))?;
        remove(&self.dir.path().join(ENSEMBLE))
    }

    /// Calls `write` for each exporter.
    fn export(
        &self,
        write: impl Fn(&dyn Exporter, &Exported) -> Result<(), RunError>,
    ) -> Result<(), RunError> {
        let config = self.request.to_toml();
        let (dir, fingerprint) = (self.dir.path(), self.fingerprint.as_str());
        let sweep = Exported { dir, request: &self.request, config: &config, fingerprint };
        EXPORTERS.iter().try_for_each(|exporter| write(*exporter, &sweep))
    }

    /// Exports the trials all of whose seeds have been trained.
    fn export_begin(&self) -> Result<(), RunError> {
        let whole = whole_trials(&self.records, &self.request);
        self.export(|exporter, sweep| exporter.begin(sweep, &whole))
    }

    /// Exports a trial when the last of its trainings has ended.
    fn export_trial(&self, trial: u64) -> Result<(), RunError> {
        let of_trial = |r: &&TrialRecord| r.trial == trial && r.stage == Stage::Search;
        let records: Vec<TrialRecord> = self.records.iter().filter(of_trial).cloned().collect();
        if records.len() < self.request.seeds as usize {
            return Ok(());
        }
        self.export(|exporter, sweep| exporter.trial(sweep, &records))
    }

    /// Writes what other programs read of a sweep that has ended.
    ///
    /// # Errors
    /// [`RunError`] if a file cannot be written.
    pub fn export_end(&self) -> Result<(), RunError> {
        let kept = self.kept_records();
        self.export(|exporter, sweep| exporter.end(sweep, &self.records, &kept))
    }
}

/// Writes the run `parent/name` by `write`, whole or not at all, in place of an earlier one. Returns its folder.
fn write_run(
    parent: &Path,
    name: &str,
    write: impl FnOnce(RunDir) -> Result<(), RunError>,
) -> Result<PathBuf, RunError> {
    let (path, half) = (parent.join(name), parent.join(format!(".{name}")));
    remove(&half)?;
    write(RunDir::create(Some(&half), "")?)?;
    remove(&path)?;
    patiently(|| fs::rename(&half, &path)).map_err(|error| RunError::io("write", &path, error))?;
    Ok(path)
}

impl Sink for SweepFiles {
    fn progress(
        &mut self,
        id: TrainingId,
        request: &RunRequest,
        member: &Member,
        at: &MemberCheckpoint,
    ) -> Result<(), RunError> {
        if !self.begun.contains_key(&id) {
            let path = self.dir.path().join(UNFINISHED).join(folder(id));
            let dir = match RunDir::open_to_write(&path) {
                Ok(dir) => dir,
                Err(_) => {
                    remove(&path)?;
                    RunDir::create(Some(&path), "")?
                }
            };
            dir.write_config(&request.to_toml())?;
            self.begun.insert(id, RunFiles::new(dir, self.origin(request, member)));
        }
        match self.begun.get_mut(&id) {
            Some(files) => files.write(&[(member, at)]),
            None => Ok(()),
        }
    }

    fn ended(
        &mut self,
        record: TrialRecord,
        trained: Option<(&RunRequest, &Member, &MemberState)>,
    ) -> Result<(), RunError> {
        let id = TrainingId { trial: record.trial, seed: record.seed };
        if let Some((request, member, state)) = trained
            && state.best.is_some()
            && self.is_kept(&record)
        {
            self.write_model(id, request, member, state)?;
            if record.stage == Stage::Search {
                self.kept.push((record.value(self.request.objective).unwrap_or(f64::INFINITY), id));
            }
        }
        let path = self.dir.path().join(TRIALS);
        let line = serde_json::to_string(&record).unwrap_or_default() + "\n";
        let written = self.trials.write_all(line.as_bytes()).and_then(|()| self.trials.sync_data());
        written.map_err(|error| RunError::io("write", &path, error))?;
        let (trial, stage) = (record.trial, record.stage);
        self.records.push(record);
        if stage == Stage::Search {
            self.export_trial(trial)?;
        }
        self.evict()?;
        self.begun.remove(&id);
        remove(&self.dir.path().join(UNFINISHED).join(folder(id)))
    }
}

impl Store for SweepFiles {
    fn records(&self) -> &[TrialRecord] {
        &self.records
    }

    // A damaged training starts over.
    fn unfinished(&self) -> Vec<(TrainingId, RunDir, Stored)> {
        let names = entries(&self.dir.path().join(UNFINISHED));
        let load = |name: String| {
            let dir = RunDir::open(&self.dir.path().join(UNFINISHED).join(&name)).ok()?;
            let stored = Stored::load(&dir, RunFile::Last);
            match stored {
                Ok(stored) => Some((parse(&name)?, dir, stored)),
                Err(error) => {
                    log::warn!("{error}; this training starts over");
                    None
                }
            }
        };
        names.into_iter().filter_map(load).collect()
    }
}

/// Cuts off an incomplete last line.
fn mend(path: &Path) -> std::io::Result<()> {
    let text = fs::read(path)?;
    let whole = text.iter().rposition(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    if whole < text.len() {
        // Windows cannot truncate a file that is open for appending only.
        let file = File::options().write(true).open(path)?;
        file.set_len(whole as u64)?;
        file.sync_data()?;
    }
    Ok(())
}

/// Names in a folder; empty if it does not exist.
fn entries(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// The inverse of [`folder`].
fn parse(name: &str) -> Option<TrainingId> {
    let (trial, seed) = name.strip_prefix("trial-")?.split_once("-seed-")?;
    Some(TrainingId { trial: trial.parse().ok()?, seed: seed.parse().ok()? })
}

/// Removes a folder if it exists.
fn remove(folder: &Path) -> Result<(), RunError> {
    match patiently(|| fs::remove_dir_all(folder)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(RunError::io("remove", folder, error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_torn_last_line_is_cut_off_while_the_record_is_open_to_append() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(TRIALS);
        fs::write(&path, "{}\n{\"trial\":").unwrap();
        let mut trials = File::options().append(true).open(&path).unwrap();
        mend(&path).unwrap();
        trials.write_all(b"[]\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "{}\n[]\n");
    }
}
