//! Errors in the files of a run: what, where, and what to do.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::base::FileError;

/// A file or folder of a run that cannot be read, written or trusted.
#[derive(Debug, Error)]
pub enum RunError {
    /// An error of the operating system.
    #[error(transparent)]
    File(#[from] FileError),

    /// A model file that is damaged, foreign or inconsistent.
    #[error("{}: {fault}; {}", path.display(), model_remedy(path, fault))]
    Model { path: PathBuf, fault: ModelFault },

    /// A line of `metrics.jsonl` that cannot be read.
    #[error("{}, line {line}: {what}; delete the line, or delete the file to start a new record", path.display())]
    Metrics { path: PathBuf, line: usize, what: String },

    /// A file of a run with invalid content.
    #[error("{}: {what}; {remedy}", path.display())]
    Content { path: PathBuf, what: String, remedy: &'static str },

    /// A path that is not a run.
    #[error("{} {what}; {remedy}", path.display())]
    NotARun { path: PathBuf, what: String, remedy: String },

    /// A file that is missing from a run.
    #[error("the run {} has no {file}; {remedy}", run.display())]
    Missing { run: PathBuf, file: &'static str, remedy: &'static str },

    /// The requested folder already holds a run.
    #[error(
        "{} already holds a run ({found}); set --output to another folder, delete this one, \
         or continue it with `bngpu resume {}`",
        path.display(), path.display()
    )]
    Occupied { path: PathBuf, found: &'static str },

    /// Another process writes this run.
    #[error(
        "another process is writing the run {}; wait until it ends, stop it, or use another folder",
        path.display()
    )]
    Locked { path: PathBuf },
}

impl RunError {
    /// Wraps an error of the operating system: `doing` is a verb ("write", "create the folder").
    pub(crate) fn io(doing: &'static str, path: &Path, cause: io::Error) -> RunError {
        FileError::new(doing, path, cause).into()
    }
}

/// The remedy for a refused model file, to follow the fault.
fn model_remedy(path: &Path, fault: &ModelFault) -> &'static str {
    let is = |name: &str| path.file_name().is_some_and(|file| file == name);
    match fault {
        ModelFault::Foreign(_) | ModelFault::Format { .. } => fault.remedy(),
        _ if is("best.safetensors") => {
            "restore it from a copy, or train again; `bngpu eval` and `predict` take the run's latest weights \
             with --weights last"
        }
        _ if is("last.safetensors") => {
            "restore it from a copy, or train again; `bngpu eval` and `predict` take the run's best weights \
             with --weights best"
        }
        _ => fault.remedy(),
    }
}

/// Why the bytes of a model file are refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ModelFault {
    /// The file ends before its first tensor.
    #[error("the file is cut short ({bytes} bytes)")]
    Truncated { bytes: usize },
    /// The bytes have changed since they were written.
    #[error("its checksum does not match: the file was damaged, cut short or changed by another program")]
    Damaged,
    /// Not a file of weights that bngpu wrote.
    #[error("not a bngpu model: {0}")]
    Foreign(&'static str),
    /// Written in a format that this version does not support.
    #[error("its format is version {found:?}, but this program reads version {expected}")]
    Format { found: String, expected: &'static str },
    /// Tensors and architecture contradict each other.
    #[error("{0}")]
    Inconsistent(String),
}

impl ModelFault {
    /// The remedy.
    pub fn remedy(&self) -> &'static str {
        match self {
            ModelFault::Truncated { .. } | ModelFault::Damaged | ModelFault::Inconsistent(_) => {
                "restore it from a copy, or train again"
            }
            ModelFault::Foreign(_) => "give a run of `bngpu train`",
            ModelFault::Format { .. } => "read it with the version of bngpu that wrote it (see env.json)",
        }
    }
}
