//! `bngpu demo`: claims about batch normalisation and tuning, measured.

use std::cell::RefCell;
use std::fs;
use std::path::PathBuf;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use crate::base::shell_word;
use crate::base::text::{Align, columns, count, counted, duration, wrapped};
use crate::cli::{DemoArgs, Exit};
use crate::data::{Dataset, LoadRequest, Part, load};
use crate::demo::{self, Ask, Demo, Finding, Lab, LabError, Settings};
use crate::engine::{DeviceRequest, choose};
use crate::report::language::{Lang, Text};
use crate::report::stdout;
use crate::run::{RunDir, RunError};
use crate::spec::{DeviceUse, PartialConfig};
use crate::text;
use crate::train::Stop;

use super::{Failure, result, start_log, stderr_is_terminal, tell, tell_notes, terminal_width, warn};

/// The name for all demonstrations.
const ALL: &str = "all";

pub fn run(args: DemoArgs) -> Result<Exit, Failure> {
    let reporting = &args.reporting;
    start_log(reporting.log, reporting.quiet);
    if args.list {
        return list(args.lang, reporting.json);
    }
    let name = args.name.clone().unwrap_or_default();
    let demos: Vec<&dyn Demo> = match demo::find(&name) {
        Some(demo) => vec![demo],
        None if name == ALL => demo::ALL.to_vec(),
        None => {
            let names: Vec<&str> = demo::ALL.iter().map(|demo| demo.name()).collect();
            return Err(Failure::Usage(format!(
                "no demonstration is named {name:?}; write {ALL} or one of {}",
                names.join(", ")
            )));
        }
    };
    let left_out: Vec<String> = demos.iter().filter_map(|demo| unfit(*demo, &args)).collect();
    let demos: Vec<&dyn Demo> = demos.into_iter().filter(|demo| unfit(*demo, &args).is_none()).collect();
    if demos.is_empty() {
        return Err(Failure::Usage(left_out.join("; ")));
    }
    let factory = choose(&DeviceRequest { device: &args.device, using: DeviceUse::default() })?;
    tell("device", factory.why());
    let usual = Ask { standardize: true, val_split: 0.0 };
    let dataset = data(&args, &usual)?;
    let described = describe(&dataset);
    tell("data", described.of(args.lang));
    tell_notes(&dataset.notes);
    let folder = args.output.clone().unwrap_or_else(|| {
        let target = args.target.iter().map(|target| format!("-{}", plain(target)));
        PathBuf::from("demos").join(format!("{name}-{}{}", dataset.name, target.collect::<String>()))
    });
    // Check the folder before measuring. If it holds a run, that has its own report there.
    RunDir::check_no_run(&folder)?;
    let unwritable = |error| RunError::io("write into the folder", &folder, error);
    fs::create_dir_all(&folder).map_err(unwritable)?;
    tempfile::tempfile_in(&folder).map_err(unwritable)?;
    left_out.iter().for_each(|why| warn(format!("{why}; left out")));
    let first = RefCell::new(Some(dataset));
    // Reuse the data set that was read above.
    let load = |ask: &Ask| match first.borrow_mut().take_if(|_| *ask == usual) {
        Some(dataset) => Ok(dataset),
        None => data(&args, ask),
    };
    let stop = Stop::on_signals(Exit::Interrupted.code());
    let bar = bar(reporting.quiet);
    let progress = |share: f64, what: &str| {
        bar.set_message(what.to_owned());
        bar.set_position((1000.0 * share) as u64);
    };
    let unasked = Settings::default();
    let settings = Settings {
        full: args.full,
        seed: args.seed,
        seeds: args.seeds,
        hidden: args.hidden.as_ref().map_or(unasked.hidden, |hidden| hidden.0.clone()),
    };
    let lab = Lab::new(factory.as_ref(), &load, settings, &stop, &progress);
    let mut findings: Vec<(&dyn Demo, Finding)> = Vec::new();
    let mut about = json!({
        "data": described.of(args.lang),
        "device": factory.name(),
        "seconds": {},
        "commands": {},
    });
    let (mut notes, mut failed) = (Vec::new(), None);
    for demo in demos {
        let start = Instant::now();
        let finding = match demo::measure(demo, &lab) {
            Ok(finding) => finding,
            Err(LabError::Interrupted) => {
                bar.finish_and_clear();
                let done = match findings.len() {
                    0 => "nothing was written".to_owned(),
                    n => format!("{} in {}", counted(n as u64, "demonstration"), folder.display()),
                };
                warn(format!("interrupted: {done}"));
                return Ok(Exit::Interrupted);
            }
            // Other demonstrations may work with these data.
            Err(LabError::Data(what)) if name == ALL => {
                bar.suspend(|| warn(format!("{}: {what}", demo.name())));
                failed.get_or_insert(LabError::Data(what));
                continue;
            }
            Err(error) => return Err(error.into()),
        };
        let seconds = start.elapsed().as_secs_f64();
        bar.suspend(|| show(demo, &finding, args.lang, seconds, reporting.json))?;
        about["seconds"][demo.name()] = json!(seconds);
        about["commands"][demo.name()] = json!(command(&args, demo.name()));
        findings.push((demo, finding));
        // Write after each demonstration, so that its result is kept if a later one fails.
        notes.extend(demo::write(&folder, &findings, args.lang, &about)?.notes);
    }
    bar.finish_and_clear();
    notes.sort();
    notes.dedup();
    notes.iter().for_each(|note| tell("note", note));
    if !findings.is_empty() {
        tell("page", &folder.join("report.html").display().to_string());
    }
    if reporting.json {
        let results: Vec<Value> =
            findings.iter().map(|(demo, finding)| demo::result(*demo, finding, args.lang, &about)).collect();
        let json =
            if name == ALL { Value::Array(results) } else { results.into_iter().next().unwrap_or_default() };
        stdout::print(&format!("{json}\n")).map_err(Failure::Stdout)?;
    }
    failed.map_or(Ok(Exit::Done), |error| Err(error.into()))
}

fn list(lang: Lang, as_json: bool) -> Result<Exit, Failure> {
    if as_json {
        let one = |demo: &&dyn Demo| json!({ "name": demo.name(), "claim": demo.claim().of(lang) });
        let all: Vec<Value> = demo::ALL.iter().map(one).collect();
        stdout::print(&format!("{}\n", Value::Array(all))).map_err(Failure::Stdout)?;
        return Ok(Exit::Done);
    }
    let rows: Vec<Vec<String>> =
        demo::ALL.iter().map(|demo| vec![demo.name().into(), demo.claim().of(lang).into()]).collect();
    stdout::show(&columns(&rows, &[Align::Left, Align::Left])).map_err(Failure::Stdout)?;
    Ok(Exit::Done)
}

/// Why a demonstration does not support the requested hidden layers; `None` if it does.
fn unfit(demo: &dyn Demo, args: &DemoArgs) -> Option<String> {
    let (name, layers) = (demo.name(), args.hidden.as_ref()?.0.len());
    match demo.fewest_layers() {
        None => Some(format!("{name} sets its own layers: leave --hidden out")),
        Some(fewest) if layers < fewest => Some(format!(
            "--hidden has {}, but {name} needs at least {fewest}",
            counted(layers as u64, "layer")
        )),
        Some(_) => None,
    }
}

/// Loads the data of a demonstration.
fn data(args: &DemoArgs, ask: &Ask) -> Result<Dataset, LabError> {
    let test_split = PartialConfig::defaults().test_split.map_or(0.1, |share| share.0);
    Ok(load(&LoadRequest {
        source: args.data.clone(),
        target: args.target.clone(),
        table: Default::default(),
        task: None,
        val_split: ask.val_split,
        test_split,
        folds: None,
        folds_of_tables: false,
        standardize: ask.standardize,
        // The claims are about standardised inputs as they are.
        clip_inputs: false,
        clamp: None,
        // Networks differ in their seeds, not in their data.
        seed: 0,
        data_dir: args.data_dir.clone(),
    })?)
}

/// The data, for the page.
fn describe(dataset: &Dataset) -> Text {
    let rows = |part| count(dataset.split.range(part).len() as u64);
    let (name, features) = (&dataset.name, count(dataset.n_features as u64));
    let (train, test) = (rows(Part::Train), rows(Part::Test));
    text!(
        "{name}, {features} features, {train} training rows, {test} test rows",
        "{name}，{features} 个特征，{train} 个训练样本，{test} 个测试样本"
    )
}

/// A column's name, reduced to characters that a folder's name may have.
fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_alphanumeric() { c } else { '-' }).collect()
}

/// The command that repeats the measurement.
fn command(args: &DemoArgs, name: &str) -> String {
    let mut words = vec!["bngpu demo".to_owned(), name.to_owned()];
    let mut flag = |flag: &str, value: Option<String>| words.extend(value.map(|v| format!("{flag} {v}")));
    flag("--data", (args.data != "digits").then(|| shell_word(&args.data)));
    flag("--data-dir", args.data_dir.as_ref().map(|dir| shell_word(&dir.display().to_string())));
    flag("--target", args.target.as_deref().map(shell_word));
    flag("--device", (args.device != "auto").then(|| shell_word(&args.device)));
    flag("--seeds", args.seeds.map(|n| n.to_string()));
    flag("--seed", (args.seed != 0).then(|| args.seed.to_string()));
    flag(
        "--hidden",
        args.hidden
            .as_ref()
            .map(|hidden| hidden.0.iter().map(usize::to_string).collect::<Vec<_>>().join(",")),
    );
    flag("--lang", (args.lang == Lang::Zh).then(|| "zh".into()));
    if args.full {
        words.push("--full".into());
    }
    words.join(" ")
}

/// Prints the findings.
fn show(demo: &dyn Demo, finding: &Finding, lang: Lang, seconds: f64, json: bool) -> Result<(), Failure> {
    let heading = format!("\n{}: {} ({})", demo.name(), demo.claim().of(lang), duration(seconds));
    let rows: Vec<Vec<String>> =
        finding.table.iter().map(|row| row.iter().map(|cell| cell.of(lang).to_owned()).collect()).collect();
    let width = rows.iter().map(Vec::len).max().unwrap_or(0);
    let align: Vec<Align> = (0..width).map(|at| if at == 0 { Align::Left } else { Align::Right }).collect();
    let verdict = &finding.verdict;
    let verdict = format!("{}: {}", verdict.outcome.text().of(lang), verdict.sentence.of(lang));
    let verdict = wrapped("verdict ", &verdict, terminal_width());
    result(format!("{heading}\n{}{verdict}", columns(&rows, &align)), json)
}

/// A progress bar on a terminal, nothing elsewhere.
fn bar(quiet: bool) -> ProgressBar {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let ci = !matches!(variable("CI").as_str(), "" | "0" | "false");
    if quiet || ci || !stderr_is_terminal() || variable("TERM") == "dumb" {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(1000), ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{msg:16} [{bar:30}] {percent:>3} %  {eta} left");
    if let Ok(style) = style {
        bar.set_style(style.progress_chars("=> "));
    }
    bar
}
