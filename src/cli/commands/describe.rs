//! `bngpu describe`.

use crate::base::text::{count, counted};
use crate::cli::{DescribeArgs, Exit};
use crate::data::{LoadRequest, describe};
use crate::report::stdout;
use crate::spec::{PartialConfig, TableRequest, resolve};

use super::{Failure, columns, start_log, tell};

pub fn run(args: DescribeArgs) -> Result<Exit, Failure> {
    let reporting = args.reporting;
    start_log(reporting.log, reporting.quiet);
    let target = args.flags.target.clone();
    let defaults = resolve(PartialConfig::default(), None)?;
    let request = LoadRequest {
        source: args.source,
        target,
        table: TableRequest::from(args.flags),
        data_dir: args.data_dir,
        ..LoadRequest::from(&defaults.data)
    };
    let description = describe(&request)?;
    if reporting.json {
        let json = serde_json::to_string(&description).unwrap_or_default();
        stdout::print(&format!("{json}\n")).map_err(Failure::Stdout)?;
        return Ok(Exit::Done);
    }
    let rows = counted(description.rows as u64, "row");
    let what = match description.pixels {
        Some(pixels) => format!("images of {} bytes", count(pixels as u64)),
        None => counted(description.columns.len() as u64, "column"),
    };
    let how = if description.how.is_empty() { String::new() } else { format!("; {}", description.how) };
    tell("data", &format!("{}: {rows}, {what}{how}", description.source));
    description.notes.iter().for_each(|note| tell("note", note));
    if !description.columns.is_empty() {
        stdout::print(&columns::described(&description.columns)).map_err(Failure::Stdout)?;
    }
    Ok(Exit::Done)
}
