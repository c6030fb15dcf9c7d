//! What can go wrong with the files of a run: what, where, and what to do.

use std::io;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::base::FileError;

/// A file or folder of a run that cannot be read, written or trusted.
#[derive(Debug, Error)]
pub enum RunError {
    /// The operating system refused.
    #[error(transparent)]
    File(#[from] FileError),

    /// A file of weights that is damaged, foreign or contradicts itself.
    #[error("{}: {fault}; {}", path.display(), model_remedy(path, fault))]
    Model { path: PathBuf, fault: ModelFault },

    /// A line of `metrics.jsonl` that cannot be read.
    #[error("{}, line {line}: {what}; delete the line, or the file to begin the record anew", path.display())]
    Metrics { path: PathBuf, line: usize, what: String },

    /// A file of a run whose content is not what it should be.
    #[error("{}: {what}; {remedy}", path.display())]
    Content { path: PathBuf, what: String, remedy: &'static str },

    /// A path that is given as a run and is none.
    #[error("{} {what}; {remedy}", path.display())]
    NotARun { path: PathBuf, what: String, remedy: String },

    /// A file that the run should hold is not there.
    #[error("the run {} has no {file}; {remedy}", run.display())]
    Missing { run: PathBuf, file: &'static str, remedy: &'static str },

    /// The folder asked for holds a run already.
    #[error(
        "{} holds a run already ({found}); give --output another folder, delete this one, \
         or go on with it by `bngpu resume {}`",
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
    /// Wraps what the operating system said: `doing` is a verb ("write", "create the folder").
    pub(crate) fn io(doing: &'static str, path: &Path, cause: io::Error) -> RunError {
        FileError::new(doing, path, cause).into()
    }
}

/// What to do about a model file that is refused, to be put behind the fault.
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
    /// The bytes are not those that were written.
    #[error("its checksum does not match: the file is damaged, cut short or was changed by another program")]
    Damaged,
    /// Not a file of weights that bngpu wrote.
    #[error("not a bngpu model: {0}")]
    Foreign(&'static str),
    /// Written in a format that this version does not know.
    #[error("its format is version {found:?}, this program reads version {expected}")]
    Format { found: String, expected: &'static str },
    /// Tensors and architecture contradict each other.
    #[error("{0}")]
    Inconsistent(String),
}

impl ModelFault {
    /// What to do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            ModelFault::Truncated { .. } | ModelFault::Damaged | ModelFault::Inconsistent(_) => {
                "restore it from a copy, or train again"
            }
            ModelFault::Foreign(_) => "give a run that `bngpu train` made",
            ModelFault::Format { .. } => "read it with the version of bngpu that wrote it (see env.json)",
        }
    }
}
