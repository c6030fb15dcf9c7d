//! `bngpu sweep`.

use crate::cli::{Exit, SweepArgs};

use super::{Failure, start_log, warn};

pub fn run(args: SweepArgs) -> Result<Exit, Failure> {
    let request = args.request()?;
    start_log(request.base.log, request.base.quiet, request.base.json);
    warn(request.to_toml());
    Ok(Exit::Done)
}
