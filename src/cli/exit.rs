//! How the program ends: the codes that scripts read.

use std::process::{ExitCode, Termination};

/// The exit codes of every command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// An error that none of the others names.
    Error = 1,
    /// Wrong usage or configuration; clap ends with the same code.
    Usage = 2,
    /// Some trials of a sweep failed, the others are done.
    SomeTrialsFailed = 3,
    /// The loss became NaN or infinite; the last good checkpoint stands.
    Diverged = 4,
    /// No such device.
    NoDevice = 5,
    /// Interrupted, checkpoint written; `resume` goes on. 128 + SIGINT, as shells count.
    Interrupted = 130,
}

impl Exit {
    /// The number that the system sees.
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
