//! Exit codes of the program.

use std::process::{ExitCode, Termination};

/// The exit codes of every command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Any other error.
    Error = 1,
    /// Wrong usage or configuration; clap uses the same code.
    Usage = 2,
    /// Some trials of a sweep failed, the others are done.
    SomeTrialsFailed = 3,
    /// The loss became NaN or infinite; the last good checkpoint is kept.
    Diverged = 4,
    /// No such device.
    NoDevice = 5,
    /// Interrupted, with a checkpoint for `resume`. 128 + SIGINT, as in shells.
    Interrupted = 130,
}

impl Exit {
    /// The code as a number.
    pub fn code(self) -> u8 {
        self as u8
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.code())
    }
}

impl Termination for Exit {
    fn report(self) -> ExitCode {
        self.into()
    }
}

#[cfg(test)]
mod tests {
    use super::Exit;

    #[test]
    fn codes_are_those_of_the_interface() {
        let all = [
            Exit::Done,
            Exit::Error,
            Exit::Usage,
            Exit::SomeTrialsFailed,
            Exit::Diverged,
            Exit::NoDevice,
            Exit::Interrupted,
        ];
        assert_eq!(all.map(Exit::code), [0, 1, 2, 3, 4, 5, 130]);
    }
}
