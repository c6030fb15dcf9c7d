//! Errors of the commands, with their exit codes.

use std::io;

use crate::base::FileError;
use crate::cli::Exit;
use crate::data::DataError;
use crate::demo::LabError;
use crate::engine::EngineError;
use crate::engine::gpu::adapters::ChooseError;
use crate::run::RunError;
use crate::spec::ConfigError;
use crate::sweep::SweepError;
use crate::sweep::merge::MergeError;
use crate::train::TrainError;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error(transparent)]
    Config(Box<ConfigError>),
    #[error(transparent)]
    Data(#[from] DataError),
    #[error(transparent)]
    NoDevice(#[from] ChooseError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(
        "{0} of {1} kernels do not agree with the CPU reference on this device; use another device or driver"
    )]
    SelfTest(usize, usize),
    #[error("{0} of {1} measurements took more than {2} times as long as in the baseline")]
    Slower(usize, usize, f64),
    #[error(transparent)]
    Train(Box<TrainError>),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    File(#[from] FileError),
    #[error(transparent)]
    Merge(Box<MergeError>),
    /// The data differ from those that the run was trained on.
    #[error(
        "the data {source_name} differ from those that the run {run} was trained on: fingerprint {then} then, \
         {now} now; restore the data, or train again"
    )]
    OtherData { run: String, source_name: String, then: String, now: String },
    /// A request that the data or the device do not allow.
    #[error("{0}")]
    Usage(String),
    /// The data do not allow a demonstration.
    #[error(transparent)]
    Demo(Box<LabError>),
    #[error("cannot write the result to stdout: {0}")]
    Stdout(#[source] io::Error),
}

impl Failure {
    /// The code to end with.
    pub fn exit(&self) -> Exit {
        match self {
            Failure::Config(_) | Failure::Usage(_) => Exit::Usage,
            Failure::Merge(error) if matches!(**error, MergeError::Config(_)) => Exit::Usage,
            Failure::NoDevice(_) | Failure::Engine(EngineError::Refused { .. }) => Exit::NoDevice,
            Failure::Train(error) if matches!(**error, TrainError::Engine(EngineError::Refused { .. })) => {
                Exit::NoDevice
            }
            _ => Exit::Error,
        }
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Failure::Config(Box::new(error))
    }
}

impl From<TrainError> for Failure {
    fn from(error: TrainError) -> Self {
        Failure::Train(Box::new(error))
    }
}

impl From<LabError> for Failure {
    fn from(error: LabError) -> Self {
        match error {
            LabError::Train(error) => error.into(),
            LabError::Engine(error) => error.into(),
            LabError::Source(error) => error.into(),
            // `demo` handles interruptions itself, with an exit code.
            LabError::Data(_) | LabError::Interrupted => Failure::Demo(Box::new(error)),
        }
    }
}

impl From<SweepError> for Failure {
    fn from(error: SweepError) -> Self {
        match error {
            SweepError::Config(error) => Failure::Config(error),
            SweepError::Engine(error) => Failure::Engine(error),
            SweepError::Train(error) => Failure::Train(error),
            SweepError::Run(error) => Failure::Run(error),
            SweepError::NoValidation | SweepError::Setting { .. } | SweepError::NoRoom { .. } => {
                Failure::Usage(error.to_string())
            }
        }
    }
}

impl From<MergeError> for Failure {
    fn from(error: MergeError) -> Self {
        Failure::Merge(Box::new(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_refuses_a_kernel_counts_as_no_such_device() {
        let refused = || EngineError::Refused {
            device: "D".into(),
            what: "the kernel 'loss'".into(),
            reason: "R".into(),
        };
        let lost = || EngineError::Lost { device: "D".into(), reason: "R".into() };
        assert_eq!(Failure::from(refused()).exit(), Exit::NoDevice);
        assert_eq!(Failure::from(TrainError::from(refused())).exit(), Exit::NoDevice);
        assert_eq!(Failure::from(LabError::Engine(refused())).exit(), Exit::NoDevice);
        assert_eq!(Failure::from(TrainError::from(lost())).exit(), Exit::Error);
        assert!(refused().to_string().contains("cpu always works"));
    }
}
