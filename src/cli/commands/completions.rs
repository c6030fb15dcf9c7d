//! `bngpu completions`.

use crate::cli::{CompletionsArgs, Exit, completions};
use crate::report::stdout;

use super::Failure;

pub fn run(args: CompletionsArgs) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    completions(args.shell, &mut script).map_err(Failure::Stdout)?;
    stdout::print(&String::from_utf8_lossy(&script)).map_err(Failure::Stdout)?;
    Ok(Exit::Done)
}
