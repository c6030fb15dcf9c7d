//! `bngpu predict`.

use serde_json::{Map, Value};

use crate::base::text::count;
use crate::base::write_whole;
use crate::cli::{Exit, PredictArgs};
use crate::data::{Part, Preprocessing, Task};
use crate::report::stdout;
use crate::train::{largest, softmax};

use super::{Failure, device_of_run, in_single, open_model, say, start_log, tell, weights};

pub fn run(args: PredictArgs) -> Result<Exit, Failure> {
    let reporting = args.common.reporting;
    start_log(reporting.log, reporting.quiet, reporting.json);
    let dir = open_model(&args.run)?;
    let stored = weights(&dir, args.weights)?;
    let factory =
        device_of_run(&dir, args.common.device.as_deref(), &stored.request, in_single(&stored.request))?;

    let data_dir = args.data_dir.as_deref().or(stored.request.data.data_dir.as_deref());
    let mut rows = stored.preprocessing.read(&args.data, data_dir, Part::All)?;
    for note in std::mem::take(&mut rows.notes) {
        tell("note", &note);
    }
    let n = rows.rows;
    let outputs = stored.outputs(factory.as_ref(), rows)?;

    tell("device", factory.why());
    let text = match reporting.json {
        true => json_lines(&stored.preprocessing, &outputs),
        false => csv(&stored.preprocessing, &outputs),
    };
    match &args.output {
        Some(path) => {
            write_whole(path, text.as_bytes())?;
            say(format!("predictions of {} rows written to {}", count(n as u64), path.display()));
        }
        None => stdout::print(&text).map_err(Failure::Stdout)?,
    }
    Ok(Exit::Done)
}

/// `row,class,p_<class>...` or `row,value`; rows count from 0.
fn csv(preprocessing: &Preprocessing, outputs: &[f32]) -> String {
    let mut text = String::new();
    match preprocessing.task() {
        Task::Classify { classes } => {
            let heads = classes.iter().map(|class| format!(",{}", quoted(&format!("p_{class}"))));
            text += &format!("row,class{}\n", heads.collect::<String>());
            for (row, z) in outputs.chunks_exact(classes.len()).enumerate() {
                let p = softmax(z);
                text += &format!("{row},{}", quoted(&classes[largest(z)]));
                p.iter().for_each(|p| text += &format!(",{:?}", *p as f32));
                text.push('\n');
            }
        }
        Task::Regress => {
            text += "row,value\n";
            for (row, &z) in outputs.iter().enumerate() {
                text += &format!("{row},{:?}\n", preprocessing.prediction(z));
            }
        }
    }
    text
}

/// `{"row", "class", "probabilities": {class: p}}` or `{"row", "value"}`, one a line.
fn json_lines(preprocessing: &Preprocessing, outputs: &[f32]) -> String {
    let line = |row: usize, fields: Vec<(&str, Value)>| {
        let mut map = Map::from_iter([("row".to_owned(), Value::from(row))]);
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

/// A CSV field, quoted if necessary.
fn quoted(field: &str) -> String {
    if field.contains(['"', ',', '\n', '\r']) || field.trim() != field {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn class_names_are_quoted_where_csv_needs_it() {
        assert_eq!(["a", "a,b", "a\"b", " a"].map(quoted), ["a", "\"a,b\"", "\"a\"\"b\"", "\" a\""]);
    }
}
