//! `bngpu predict`.

use std::io::IsTerminal;
use std::path::Path;

use serde_json::{Map, Value};

use crate::base::text::{count, in_line};
use crate::base::{is_same_file, write_whole};
use crate::cli::{Exit, PredictArgs};
use crate::data::{Part, Preprocessing, Task, path_of};
use crate::report::stdout;
use crate::run::{RunDir, RunFile};
use crate::train::{largest, softmax};

use super::{Failure, device_of_run, in_single, open_model, say, start_log, tell, tell_notes, weights};

pub fn run(args: PredictArgs) -> Result<Exit, Failure> {
    let reporting = args.common.reporting;
    start_log(reporting.log, reporting.quiet);
    let dir = open_model(&args.run)?;
    let mut stored = weights(&dir, args.weights)?;
    stored.preprocessing.expect_header(args.header.given());
    let factory =
        device_of_run(&dir, args.common.device.as_deref(), &stored.request, in_single(&stored.request))?;

    let data_dir = args.data_dir.as_deref().or(stored.request.data.data_dir.as_deref());
    if let Some(output) = &args.output {
        refuse_input(output, path_of(&args.data, data_dir)?.as_deref(), &dir)?;
    }
    let mut rows = stored.preprocessing.read(&args.data, data_dir, Part::All)?;
    tell_notes(&std::mem::take(&mut rows.notes));
    let n = rows.rows;
    let kept = std::mem::take(&mut rows.kept);
    let outputs = stored.outputs(factory.as_ref(), rows)?;

    tell("device", factory.why());
    let text = match reporting.json {
        true => json_lines(&stored.preprocessing, &outputs, &kept),
        false => csv(&stored.preprocessing, &outputs, &kept),
    };
    match &args.output {
        Some(path) => {
            write_whole(path, text.as_bytes())?;
            let path = path.display().to_string();
            say(format!("predictions of {} rows written to {}", count(n as u64), in_line(&path)));
        }
        // Exact, except where a terminal would obey a label.
        None if std::io::stdout().is_terminal() => stdout::show(&text).map_err(Failure::Stdout)?,
        None => stdout::print(&text).map_err(Failure::Stdout)?,
    }
    Ok(Exit::Done)
}

/// A column that is carried into the predictions: its name, and the text of each row.
type Kept = (String, Vec<String>);

/// Refuses an output that is the data (or a file of their folder), or a file of the run.
fn refuse_input(output: &Path, data: Option<&Path>, run: &RunDir) -> Result<(), Failure> {
    let is_in = |folder: &Path| {
        let (output, folder) = (output.canonicalize(), folder.canonicalize());
        output.is_ok_and(|output| folder.is_ok_and(|folder| output.starts_with(folder)))
    };
    let is_data = data.is_some_and(|data| is_same_file(output, data) || (data.is_dir() && is_in(data)));
    let is_of_run = RunFile::ALL.iter().any(|file| is_same_file(output, &run.file(*file)));
    let what = match () {
        () if is_data => "the data to predict",
        () if is_of_run => "a file of the run",
        () => return Ok(()),
    };
    let text =
        format!("--output {} is {what}, which would be overwritten; write to another file", output.display());
    Err(Failure::Usage(text))
}

/// The target's name and a column `p_CLASS` for each class, or the target's name alone, after the number of the row,
/// from 0, and the kept columns. See [`cell`] for how text is written.
fn csv(preprocessing: &Preprocessing, outputs: &[f32], kept: &[Kept]) -> String {
    let mut text = String::from("row");
    kept.iter().for_each(|(name, _)| text += &format!(",{}", cell(name)));
    let begin = |row: usize| {
        let cells = kept.iter().map(|(_, cells)| format!(",{}", cell(&cells[row])));
        format!("{row}{}", cells.collect::<String>())
    };
    let target = preprocessing.target_name();
    match preprocessing.task() {
        Task::Classify { classes } => {
            let heads: Vec<String> = classes.iter().map(|class| format!("p_{class}")).collect();
            text += &format!(",{}", cell(&column(target, &heads, kept)));
            heads.iter().for_each(|head| text += &format!(",{}", cell(head)));
            text.push('\n');
            for (row, z) in outputs.chunks_exact(classes.len()).enumerate() {
                let p = softmax(z);
                text += &format!("{},{}", begin(row), cell(&classes[largest(z)]));
                p.iter().for_each(|p| text += &format!(",{:?}", *p as f32));
                text.push('\n');
            }
        }
        Task::Regress => {
            text += &format!(",{}\n", cell(&column(target, &[], kept)));
            for (row, &z) in outputs.iter().enumerate() {
                text += &format!("{},{:?}\n", begin(row), preprocessing.prediction(z));
            }
        }
    }
    text
}

/// The name of the column of predictions: that of the target, unless another column has it.
fn column(target: &str, others: &[String], kept: &[Kept]) -> String {
    let is_taken = |name: &str| {
        name == "row" || others.iter().chain(kept.iter().map(|(kept, _)| kept)).any(|other| other == name)
    };
    let names = std::iter::successors(Some(target.to_owned()), |name| Some(format!("predicted {name}")));
    names.into_iter().find(|name| !is_taken(name)).unwrap_or_default()
}

/// `{"row", "class", "probabilities": {class: p}}` or `{"row", "value"}`, one a line.
fn json_lines(preprocessing: &Preprocessing, outputs: &[f32], kept: &[Kept]) -> String {
    let line = |row: usize, fields: Vec<(&str, Value)>| {
        let mut map = Map::from_iter([("row".to_owned(), Value::from(row))]);
        if !kept.is_empty() {
            let cells = kept.iter().map(|(name, cells)| (name.clone(), Value::from(cells[row].as_str())));
            map.insert("kept".into(), Value::Object(cells.collect()));
        }
        map.extend(fields.into_iter().map(|(key, value)| (key.to_owned(), value)));
        format!("{}\n", Value::Object(map))
    };
    match preprocessing.task() {
        Task::Classify { classes } => (outputs.chunks_exact(classes.len()).enumerate())
            .map(|(row, z)| {
                let p = classes.iter().cloned().zip(softmax(z).into_iter().map(Value::from));
                let class = classes[largest(z)].as_str().into();
                line(row, vec![("class", class), ("probabilities", Value::Object(p.collect()))])
            })
            .collect(),
        Task::Regress => (outputs.iter().enumerate())
            .map(|(row, &z)| line(row, vec![("value", preprocessing.prediction(z).into())]))
            .collect(),
    }
}

/// A CSV field: quoted if necessary, and with an apostrophe before it if a spreadsheet would take it for a formula, as
/// OWASP recommends (<https://owasp.org/www-community/attacks/CSV_Injection>). Numbers stay as they are, and so does a
/// sign alone, which no spreadsheet computes.
fn cell(field: &str) -> String {
    let is_number = field.parse().is_ok_and(f64::is_finite);
    let is_formula =
        field.len() > 1 && field.starts_with(['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠']);
    let field = if is_formula && !is_number { format!("'{field}") } else { field.to_owned() };
    if field.contains(['"', ',', '\n', '\r', '\t']) || field.trim() != field {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_quoted_where_csv_needs_it() {
        assert_eq!(["a", "a,b", "a\"b", " a"].map(cell), ["a", "\"a,b\"", "\"a\"\"b\"", "\" a\""]);
    }

    #[test]
    fn a_text_that_a_spreadsheet_would_compute_has_an_apostrophe() {
        for (field, expected) in [
            ("=cmd", "'=cmd"),
            ("=HYPERLINK(\"x\",1)", "\"'=HYPERLINK(\"\"x\"\",1)\""),
            ("+ve", "'+ve"),
            ("-inf", "'-inf"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "\"'\t=1\""),
            ("\r=1", "\"'\r=1\""),
            ("＝1", "'＝1"),
            // Numbers, signs, and formulas that do not begin the text.
            ("-1.5", "-1.5"),
            ("+3e-2", "+3e-2"),
            ("+", "+"),
            ("-", "-"),
            ("p_=cmd", "p_=cmd"),
            ("'=cmd", "'=cmd"),
        ] {
            assert_eq!(cell(field), expected);
        }
    }

    #[test]
    fn the_column_of_predictions_has_a_name_of_its_own() {
        let others = ["p_a".to_owned(), "predicted p_a".to_owned()];
        assert_eq!(
            ["price", "row", "p_a"].map(|t| column(t, &others, &[])),
            ["price", "predicted row", "predicted predicted p_a"]
        );
    }
}
