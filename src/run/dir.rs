//! The folder of a run: created once, reopened later, written by one process at a time.

use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::{Environment, EpochMetrics, Look, RunError, metrics};
use crate::base::{TEMPORARY_SUFFIX, write_whole};

/// A file of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunFile {
    /// The resolved configuration.
    Config,
    /// Version, command, device and data of the run.
    Env,
    /// One line for each epoch, and one for each watched step.
    MetricsJsonl,
    /// The epochs as a table.
    MetricsCsv,
    /// The model with the best validation loss.
    Best,
    /// The latest model, with the optimiser's state.
    Last,
    /// The HTML report.
    Report,
}

impl RunFile {
    pub const ALL: [RunFile; 7] = [
        RunFile::Config,
        RunFile::Env,
        RunFile::MetricsJsonl,
        RunFile::MetricsCsv,
        RunFile::Best,
        RunFile::Last,
        RunFile::Report,
    ];

    /// The file name.
    pub fn name(self) -> &'static str {
        match self {
            RunFile::Config => "config.toml",
            RunFile::Env => "env.json",
            RunFile::MetricsJsonl => "metrics.jsonl",
            RunFile::MetricsCsv => "metrics.csv",
            RunFile::Best => "best.safetensors",
            RunFile::Last => "last.safetensors",
            RunFile::Report => "report.html",
        }
    }

    /// The remedy if the file is missing.
    fn remedy(self) -> &'static str {
        match self {
            RunFile::Best | RunFile::Last => {
                "the run ended before its first checkpoint: train again with `bngpu train --config`"
            }
            RunFile::Report => "create it with `bngpu report`",
            _ => "the folder is incomplete: restore the file, or train again",
        }
    }
}

/// Locked by the process that writes. The lock ends with the process; the file stays.
const LOCK: &str = ".lock";
/// Default folder of runs.
const RUNS: &str = "runs";
/// Maximum bytes of a folder name that come from the data's name.
const LONGEST_NAME: usize = 60;

/// The folder of a run. If created or opened for writing, it is locked until dropped.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    _lock: Option<File>,
}

impl RunDir {
    /// Creates the folder of a new run and locks it: `output`, or `runs/<local date and time>-<name>`.
    ///
    /// Errors: [`RunError::Occupied`] if `output` holds a run, [`RunError::Locked`], [`RunError::File`].
    pub fn create(output: Option<&Path>, name: &str) -> Result<RunDir, RunError> {
        match output {
            Some(path) => RunDir::create_at(path),
            None => RunDir::create_dated(Path::new(RUNS), name, jiff::Zoned::now().datetime()),
        }
    }

    /// Creates `<parent>/<time>-<name>`, with the suffix -2, -3, ... if taken.
    fn create_dated(parent: &Path, name: &str, time: jiff::civil::DateTime) -> Result<RunDir, RunError> {
        fs::create_dir_all(parent).map_err(|error| RunError::io("create the folder", parent, error))?;
        let stem = format!("{}-{}", time.strftime("%Y-%m-%d-%H%M%S"), slug(name));
        let mut path = parent.join(&stem);
        let mut n = 2;
        // Only one of two processes in the same second can create the folder.
        while let Err(error) = fs::create_dir(&path) {
            if error.kind() != ErrorKind::AlreadyExists {
                return Err(RunError::io("create the folder", &path, error));
            }
            path = parent.join(format!("{stem}-{n}"));
            n += 1;
        }
        RunDir::create_at(&path)
    }

    fn create_at(path: &Path) -> Result<RunDir, RunError> {
        fs::create_dir_all(path).map_err(|error| RunError::io("create the folder", path, error))?;
        let lock = lock(path)?;
        RunDir::check_free(path)?;
        clear_temporary_files(path);
        Ok(RunDir { path: path.to_owned(), _lock: lock })
    }

    /// Checks that a new run can use the folder `path`, without creating it.
    ///
    /// Errors: [`RunError::Occupied`] if it holds a run.
    pub fn check_free(path: &Path) -> Result<(), RunError> {
        Self::check_none_of(path, RunFile::ALL)
    }

    /// The same for output other than a run; an earlier report may be there.
    ///
    /// Errors: [`RunError::Occupied`] if the folder holds a run.
    pub fn check_no_run(path: &Path) -> Result<(), RunError> {
        Self::check_none_of(path, RunFile::ALL.into_iter().filter(|file| *file != RunFile::Report))
    }

    fn check_none_of(path: &Path, files: impl IntoIterator<Item = RunFile>) -> Result<(), RunError> {
        let taken = files.into_iter().map(RunFile::name).chain(["trials.jsonl", "study.journal"]);
        match taken.into_iter().find(|name| path.join(name).exists()) {
            Some(found) => Err(RunError::Occupied { path: path.to_owned(), found }),
            None => Ok(()),
        }
    }

    /// Opens a run to read it.
    ///
    /// Errors: [`RunError::NotARun`] if there is no folder or it holds no run.
    pub fn open(path: &Path) -> Result<RunDir, RunError> {
        check_is_run(path)?;
        Ok(RunDir { path: path.to_owned(), _lock: None })
    }

    /// Opens a run to continue it: locks it and removes files that a killed process left half-written.
    ///
    /// Errors: as [`RunDir::open`], and [`RunError::Locked`].
    pub fn open_to_write(path: &Path) -> Result<RunDir, RunError> {
        check_is_run(path)?;
        let lock = lock(path)?;
        clear_temporary_files(path);
        Ok(RunDir { path: path.to_owned(), _lock: lock })
    }

    /// The folder as it was given.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of `file`, which need not exist.
    pub fn file(&self, file: RunFile) -> PathBuf {
        self.path.join(file.name())
    }

    /// The path of `file`; [`RunError::Missing`] with a remedy if it does not exist.
    pub fn existing(&self, file: RunFile) -> Result<PathBuf, RunError> {
        let path = self.file(file);
        if path.is_file() {
            return Ok(path);
        }
        Err(RunError::Missing { run: self.path.clone(), file: file.name(), remedy: file.remedy() })
    }

    /// Writes `config.toml`.
    pub fn write_config(&self, toml: &str) -> Result<(), RunError> {
        Ok(write_whole(&self.file(RunFile::Config), toml.as_bytes())?)
    }

    /// Reads `config.toml` as text.
    pub fn read_config(&self) -> Result<String, RunError> {
        read_text(&self.existing(RunFile::Config)?)
    }

    /// Writes `env.json`.
    pub fn write_env(&self, env: &Environment) -> Result<(), RunError> {
        let path = self.file(RunFile::Env);
        let text = serde_json::to_string_pretty(env);
        let text = text.map_err(|error| RunError::io("write", &path, error.into()))?;
        Ok(write_whole(&path, (text + "\n").as_bytes())?)
    }

    /// Reads `env.json`.
    pub fn read_env(&self) -> Result<Environment, RunError> {
        let path = self.existing(RunFile::Env)?;
        serde_json::from_str(&read_text(&path)?).map_err(|error| RunError::Content {
            path,
            what: format!("not a valid record of a run's environment ({error})"),
            remedy: "restore the file, or train again",
        })
    }

    /// Writes `metrics.jsonl` and `metrics.csv`.
    pub fn write_metrics(&self, epochs: &[EpochMetrics], looks: &[Look]) -> Result<(), RunError> {
        let [jsonl, csv] = [RunFile::MetricsJsonl, RunFile::MetricsCsv].map(|file| self.file(file));
        metrics::write_metrics(&jsonl, &csv, epochs, looks)
    }

    /// Reads the epochs and watched steps of `metrics.jsonl`; none if the file does not exist.
    pub fn read_metrics(&self) -> Result<(Vec<EpochMetrics>, Vec<Look>), RunError> {
        metrics::read_metrics(&self.file(RunFile::MetricsJsonl))
    }
}

/// Locks the run at `path` for this process; `None` if the file system has no locks.
fn lock(path: &Path) -> Result<Option<File>, RunError> {
    let name = path.join(LOCK);
    let file = File::options().create(true).truncate(false).write(true).open(&name);
    let file = file.map_err(|error| RunError::io("open", &name, error))?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(RunError::Locked { path: path.to_owned() }),
        Err(TryLockError::Error(error)) if error.kind() == ErrorKind::Unsupported => {
            log::warn!(
                "{}: the file system has no locks; make sure that no other process writes this run",
                path.display()
            );
            Ok(None)
        }
        Err(TryLockError::Error(error)) => Err(RunError::io("lock", &name, error)),
    }
}

/// Checks that `path` is a run; the error says what it is instead.
fn check_is_run(path: &Path) -> Result<(), RunError> {
    let not_a_run =
        |what: &str, remedy: String| RunError::NotARun { path: path.to_owned(), what: what.into(), remedy };
    if path.is_file() {
        let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let remedy = match folder.join(RunFile::Config.name()).is_file() {
            true => format!("give the run's folder, {}", folder.display()),
            false => format!("give the folder of a run, as `bngpu train` prints it at its end ({RUNS}/...)"),
        };
        return Err(not_a_run("is a file", remedy));
    }
    if !path.is_dir() {
        let meant = Path::new(RUNS).join(path);
        let remedy = if path.is_relative() && meant.is_dir() {
            format!("did you mean {}?", meant.display())
        } else {
            format!("give the folder of a run, as `bngpu train` prints it at its end ({RUNS}/...)")
        };
        return Err(not_a_run("does not exist", remedy));
    }
    if !path.join(RunFile::Config.name()).is_file() {
        let remedy = format!("give the folder that `bngpu train` printed at its end ({RUNS}/...)");
        return Err(not_a_run("is not a run (it has no config.toml)", remedy));
    }
    Ok(())
}

/// Removes files that a killed process left half-written. Failures are harmless.
fn clear_temporary_files(path: &Path) {
    let Ok(entries) = fs::read_dir(path) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let name = name.as_encoded_bytes();
        if name.starts_with(b".") && name.ends_with(TEMPORARY_SUFFIX.as_bytes()) {
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn read_text(path: &Path) -> Result<String, RunError> {
    fs::read_to_string(path).map_err(|error| RunError::io("read", path, error))
}

/// `name` as a part of a file name: letters, digits, `-`, `_` and `.`; any other character becomes a hyphen.
fn slug(name: &str) -> String {
    let name = Path::new(name).file_name().unwrap_or(OsStr::new("")).to_string_lossy();
    let keep = |c: char| if c.is_alphanumeric() || "-_.".contains(c) { c } else { '-' };
    let mut slug: String = name.chars().map(keep).collect();
    while slug.len() > LONGEST_NAME {
        slug.pop();
    }
    let slug = slug.trim_matches(['-', '.']);
    if slug.is_empty() { "run".into() } else { slug.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn time() -> jiff::civil::DateTime {
        jiff::civil::date(2026, 11, 22).at(15, 30, 12, 0)
    }

    #[test]
    fn a_new_run_is_named_by_time_and_data_and_numbered_where_taken() {
        let dir = tempfile::tempdir().unwrap();
        let runs = dir.path().join("runs");
        let names: Vec<_> = (0..3)
            .map(|_| RunDir::create_dated(&runs, "digits", time()).unwrap())
            .map(|run| run.path().file_name().unwrap().to_string_lossy().into_owned())
            .collect();
        assert_eq!(
            names,
            ["2026-11-22-153012-digits", "2026-11-22-153012-digits-2", "2026-11-22-153012-digits-3"]
        );
    }

    #[test]
    fn names_of_data_become_valid_file_names() {
        assert_eq!(slug("/data/My table (1).csv"), "My-table--1-.csv");
        assert_eq!(slug("../.."), "run");
        assert_eq!(slug("..."), "run");
        assert!(slug(&"ü".repeat(500)).len() <= LONGEST_NAME);
    }

    #[test]
    fn an_empty_folder_is_accepted_and_one_with_a_run_refused() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunDir::create(Some(dir.path()), "digits").unwrap();
        run.write_config("seed = 0\n").unwrap();
        drop(run);
        let text = RunDir::create(Some(dir.path()), "digits").unwrap_err().to_string();
        assert!(
            text.contains("already holds a run (config.toml)") && text.contains("bngpu resume"),
            "{text}"
        );
    }

    #[test]
    fn a_file_in_the_way_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("taken");
        fs::write(&path, "").unwrap();
        let text = RunDir::create(Some(&path), "digits").unwrap_err().to_string();
        assert!(text.contains("taken") && text.contains("in the way"), "{text}");
    }

    #[test]
    fn a_run_that_was_killed_before_its_first_file_can_be_made_again() {
        let dir = tempfile::tempdir().unwrap();
        drop(RunDir::create(Some(dir.path()), "digits").unwrap());
        let left = dir.path().join(format!(".config.toml.x{TEMPORARY_SUFFIX}"));
        fs::write(&left, "half").unwrap();
        RunDir::create(Some(dir.path()), "digits").unwrap();
        assert!(!left.exists());
    }

    #[test]
    fn two_writers_of_one_run_are_refused_and_readers_are_not() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunDir::create(Some(dir.path()), "digits").unwrap();
        run.write_config("").unwrap();
        let text = RunDir::open_to_write(dir.path()).unwrap_err().to_string();
        assert!(text.contains("another process is writing the run"), "{text}");
        assert!(text.contains(&dir.path().display().to_string()), "{text}");
        RunDir::open(dir.path()).unwrap();
        drop(run);
        RunDir::open_to_write(dir.path()).unwrap();
    }

    #[test]
    fn a_path_that_is_not_a_run_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("best.safetensors");
        fs::write(&file, "").unwrap();
        for (path, expected) in [
            (dir.path().join("none"), "does not exist"),
            (dir.path().to_owned(), "has no config.toml"),
            (file.clone(), "is a file; give the folder of a run, as"),
        ] {
            let text = RunDir::open(&path).unwrap_err().to_string();
            assert!(text.contains(expected), "{text}");
        }
        fs::write(dir.path().join("config.toml"), "").unwrap();
        let text = RunDir::open(&file).unwrap_err().to_string();
        let folder = dir.path().display();
        assert!(text.contains(&format!("is a file; give the run's folder, {folder}")), "{text}");
    }

    #[test]
    fn a_missing_checkpoint_says_what_to_do() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunDir::create(Some(dir.path()), "digits").unwrap();
        let text = run.existing(RunFile::Best).unwrap_err().to_string();
        assert!(text.contains("has no best.safetensors; the run ended before"), "{text}");
    }

    #[test]
    fn configuration_environment_and_metrics_round_trip() {
        let dir = tempfile::tempdir().unwrap();
        let run = RunDir::create(Some(dir.path()), "digits").unwrap();
        run.write_config("seed = 1\n").unwrap();
        assert_eq!(run.read_config().unwrap(), "seed = 1\n");
        let env = Environment::now(serde_json::json!({ "name": "cpu" }), "sha256:00");
        run.write_env(&env).unwrap();
        assert_eq!(run.read_env().unwrap(), env);
        assert!(env.cores >= 1 && !env.command_line.is_empty());
        assert_eq!(run.read_metrics().unwrap(), (vec![], vec![]));
        fs::write(run.file(RunFile::Env), "{}").unwrap();
        let text = run.read_env().unwrap_err().to_string();
        assert!(text.contains("env.json") && text.contains("restore the file"), "{text}");
    }
}
