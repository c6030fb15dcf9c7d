//! `bngpu eval`.

use serde_json::{Map, Value};

use crate::base::text::{self, count, in_line, number, percent};
use crate::cli::{EvalArgs, Exit, SplitArg};
use crate::data::Part;
use crate::report::{stdout, worse_than_constant};
use crate::run::Score;
use crate::train::Problem;

use super::{Failure, device_of_run, in_single, open_model, result, start_log, tell, tell_notes, weights};

pub fn run(args: EvalArgs) -> Result<Exit, Failure> {
    let reporting = args.common.reporting;
    start_log(reporting.log, reporting.quiet);
    let dir = open_model(&args.run)?;
    let mut stored = weights(&dir, args.weights)?;
    stored.preprocessing.expect_header(args.header.given());
    let factory =
        device_of_run(&dir, args.common.device.as_deref(), &stored.request, in_single(&stored.request))?;

    let data_dir = args.data_dir.as_deref().or(stored.request.data.data_dir.as_deref());
    let part = match (args.split, &args.data) {
        (Some(SplitArg::Train), _) => Part::Train,
        (Some(SplitArg::Val), _) => Part::Val,
        (Some(SplitArg::Test), _) | (None, None) => Part::Test,
        (Some(SplitArg::All), _) | (None, Some(_)) => Part::All,
    };
    let source = args.data.as_deref().unwrap_or(stored.preprocessing.source());
    let mut rows = stored.preprocessing.read_labelled(source, data_dir, part)?;
    tell_notes(&std::mem::take(&mut rows.notes));
    let n = rows.rows;
    let baseline = rows.targets.as_ref().and_then(|targets| stored.preprocessing.baseline(targets, 0..n));
    let problem = Problem::of_rows(rows, &stored.preprocessing);

    let population = stored.population(&problem)?;
    let mut model = stored.inference(factory.as_ref(), population, &problem, None)?;
    // Sources without rows are refused when they are read.
    let nothing = (f64::NAN, Score::Accuracy(f64::NAN));
    let (loss, score) = model.evaluate(Part::Test)?.unwrap_or(nothing);

    tell("device", factory.why());
    if stored.members() > 1 {
        tell("model", &format!("ensemble of {}", stored.members()));
    }
    let good = match score {
        Score::Accuracy(accuracy) => format!("accuracy {}", percent(accuracy)),
        Score::Regression { rmse, r2 } => {
            let target = text::name(stored.preprocessing.target_name());
            format!("rmse {} (in units of {target}), R² {}", number(rmse), number(r2))
        }
    };
    let rows = count(n as u64);
    let which = if part == Part::All { "all".to_owned() } else { part.to_string() };
    let text = format!("{}, {which} rows: {rows} rows, loss {}, {good}", in_line(source), number(loss));
    result(text, reporting.json)?;
    if let Some(text) = baseline.and_then(|baseline| worse_than_constant(&[(name(part), score, baseline)])) {
        tell("note", &text);
    }
    if reporting.json {
        let mut json = Map::new();
        let mut put = |key: &str, value: Value| drop(json.insert(key.into(), value));
        put("run", args.run.display().to_string().into());
        put("device", model.info().device.clone().into());
        put("engine", model.info().engine.into());
        put("members", stored.members().into());
        put("data", source.into());
        put("split", name(part).into());
        put("rows", n.into());
        put("loss", loss.into());
        score.fields().into_iter().for_each(|(key, value)| put(key, value.into()));
        stdout::print(&format!("{}\n", Value::Object(json))).map_err(Failure::Stdout)?;
    }
    Ok(Exit::Done)
}

fn name(part: Part) -> &'static str {
    match part {
        Part::All => "all",
        Part::Train => "train",
        Part::Val => "val",
        Part::Test => "test",
    }
}
