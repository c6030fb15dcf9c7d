//! What the program says and where, what it refuses to overwrite, and what it refuses to guess.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use bngpu::data::{LoadRequest, load};
use bngpu::engine::{DeviceRequest, lanes};
use bngpu::run::RunDir;
use bngpu::spec::SweepRequest;
use bngpu::sweep::files::SweepFiles;
use bngpu::sweep::{Observer, Request, Search, Stage, SweepEnd, SweepEvent, TrialStatus};
use bngpu::train::Stop;
use serde_json::Value;

use crate::common::sweep::difference;

fn bngpu<S: AsRef<std::ffi::OsStr>>(folder: &Path, args: impl IntoIterator<Item = S>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bngpu"));
    command.current_dir(folder).env_remove("BNGPU_DATA").env("NO_COLOR", "1").args(args).output().unwrap()
}

/// The words of a command line.
fn words(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

/// What a command prints on stdout and stderr; it must end with `code`.
#[track_caller]
fn said(
    folder: &Path,
    code: i32,
    args: impl IntoIterator<Item = impl AsRef<std::ffi::OsStr>>,
) -> [String; 2] {
    let output = bngpu(folder, args);
    let [out, err] = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert_eq!(output.status.code(), Some(code), "{out}\n{err}");
    assert!(!err.contains("internal error"), "{err}");
    [out, err]
}

/// A table of two numbers and a target with `classes`.
fn table(rows: usize, target: &str, classes: &[&str]) -> String {
    let mut text = format!("x,y,{target}\n");
    for i in 0..rows {
        let random = |salt: usize| ((i + salt) * 2_654_435_761 % 1000) as f64 / 500.0 - 1.0;
        text += &format!("{},{},{}\n", random(1), random(77), classes[i % classes.len()]);
    }
    text
}

/// Trains one small network on `data`.
#[track_caller]
fn train(folder: &Path, data: &str, run: &str) {
    let args = "train --preset plain --hidden 4 --epochs 1 --device cpu --quiet --data";
    said(folder, 0, [words(args), vec![data, "-o", run]].concat());
}

const PIECES: [&str; 3] = ["a", "b", "c"];

#[test]
fn parts_are_refused_of_a_file_that_the_model_may_have_been_trained_on() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let text = table(200, "kind", &PIECES);
    fs::write(at("d.csv"), &text).unwrap();
    train(dir.path(), "d.csv", "run");
    // Copies that are not the same bytes: other line ends, a line end more, one more column, one more row, an order.
    let lines: Vec<&str> = text.lines().collect();
    for (name, copy) in [
        ("crlf.csv", text.replace('\n', "\r\n")),
        ("end.csv", text.clone() + "\n"),
        ("column.csv", lines.iter().enumerate().map(|(at, line)| format!("{at},{line}\n")).collect()),
        ("row.csv", text.clone() + "0,0,a\n"),
        ("half.csv", lines[..101].join("\n")),
    ] {
        fs::write(at(name), copy).unwrap();
        for part in ["test", "val", "train"] {
            let [out, err] = said(dir.path(), 1, ["eval", "run", "--data", name, "--split", part]);
            assert!(
                err.contains(name) && err.contains("--split all") && out.is_empty(),
                "{name} {part}: {err}"
            );
        }
        let rows = if name == "half.csv" {
            "100"
        } else if name == "row.csv" {
            "201"
        } else {
            "200"
        };
        for split in
            [&["eval", "run", "--data", name][..], &["eval", "run", "--data", name, "--split", "all"]]
        {
            let [out, err] = said(dir.path(), 0, split);
            assert!(
                out.contains(&format!("all rows: {rows} rows")) && !err.contains("was trained on"),
                "{out}{err}"
            );
        }
    }
    // The same bytes elsewhere are the training file; its parts are known, and all of it is said to be seen.
    fs::copy(at("d.csv"), at("same.csv")).unwrap();
    let test = "test rows: 20 rows";
    for args in [&["eval", "run"][..], &["eval", "run", "--data", "same.csv", "--split", "test"]] {
        let [out, err] = said(dir.path(), 0, args);
        assert!(out.contains(test) && !err.contains("too good"), "{out}{err}");
    }
    let [out, err] = said(dir.path(), 0, ["eval", "run", "--data", "same.csv"]);
    assert!(out.contains("all rows: 200 rows") && err.contains("trained on 162 rows"), "{out}{err}");
}

#[test]
fn predictions_never_replace_the_data_or_the_model() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let text = table(60, "kind", &PIECES);
    fs::write(at("d.csv"), &text).unwrap();
    fs::create_dir(at("sub")).unwrap();
    train(dir.path(), "d.csv", "run");
    let absolute = at("d.csv").display().to_string();
    let mut outputs = vec!["d.csv", "./d.csv", "sub/../d.csv", &absolute];
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("d.csv", at("link.csv")).unwrap();
        fs::hard_link(at("d.csv"), at("hard.csv")).unwrap();
        outputs.extend(["link.csv", "hard.csv"]);
    }
    for output in outputs {
        let [_, err] = said(dir.path(), 2, ["predict", "run", "--data", "d.csv", "-o", output]);
        assert!(err.contains("is the data to predict, which would be overwritten"), "{output}: {err}");
        assert_eq!(fs::read_to_string(at("d.csv")).unwrap(), text, "{output}");
    }
    // By its name in the data folder.
    let [_, err] = said(dir.path(), 2, ["predict", "run", "--data", "d", "--data-dir", ".", "-o", "d.csv"]);
    assert!(err.contains("is the data to predict"), "{err}");
    let model = fs::read(at("run/best.safetensors")).unwrap();
    let [_, err] = said(dir.path(), 2, ["predict", "run", "--data", "d.csv", "-o", "run/best.safetensors"]);
    assert!(err.contains("is a file of the run"), "{err}");
    assert_eq!(fs::read(at("run/best.safetensors")).unwrap(), model);
    // Other files are replaced, as by other commands.
    fs::write(at("p.csv"), "old").unwrap();
    said(dir.path(), 0, ["predict", "run", "--data", "d.csv", "-o", "p.csv"]);
    assert_eq!(fs::read_to_string(at("p.csv")).unwrap().lines().count(), 61);
}

#[test]
fn predictions_bear_the_targets_name_and_no_formula() {
    let dir = tempfile::tempdir().unwrap();
    let classes = ["=1+1", "+ve", "@x", "\"-a,b\""];
    fs::write(dir.path().join("d.csv"), table(80, "=sum", &classes)).unwrap();
    train(dir.path(), "d.csv", "run");
    let [csv, _] = said(dir.path(), 0, ["predict", "run", "--data", "d.csv", "--quiet"]);
    let mut rows = csv::Reader::from_reader(csv.as_bytes());
    assert_eq!(rows.headers().unwrap(), vec!["row", "'=sum", "p_+ve", "p_-a,b", "p_=1+1", "p_@x"]);
    let found: Vec<String> = rows.records().map(|row| row.unwrap()[1].to_owned()).collect();
    assert_eq!(found.len(), 80);
    assert!(found.iter().all(|class| ["'=1+1", "'+ve", "'@x", "'-a,b"].contains(&&**class)), "{found:?}");
    // JSON is exact.
    let [json, _] = said(dir.path(), 0, ["predict", "run", "--data", "d.csv", "--json", "--quiet"]);
    for (line, class) in json.lines().zip(&found) {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["class"], class[1..]);
        assert!(line["probabilities"].as_object().unwrap().contains_key("=1+1"), "{line}");
    }
}

/// What a terminal would obey or hide.
const EVIL: &str = "e\u{1b}[31m\u{7}v\u{202e}il\u{2066}\u{9b}1m";

#[test]
fn control_characters_of_names_are_escaped_wherever_they_are_shown() {
    let dir = tempfile::tempdir().unwrap();
    let evil = |what: &str| format!("{EVIL}{what}");
    // Column names, the target, classes and, where the system allows it, the file and the run.
    let (data, run) = if cfg!(unix) { (evil(".csv"), evil(" run")) } else { ("d.csv".into(), "run".into()) };
    let mut text = table(80, &evil(" target"), &[&evil(" a"), &evil(" b")]);
    text = text.replacen("x,y", &format!("{},{}", evil(" x"), evil(" empty")), 1);
    // A column that is left out, so that a note names it.
    let text: String = text.lines().enumerate().fold(String::new(), |all, (at, line)| {
        let mut cells: Vec<&str> = line.split(',').collect();
        if at > 0 {
            cells[1] = "";
        }
        all + &cells.join(",") + "\n"
    });
    fs::write(dir.path().join(&data), &text).unwrap();
    let safe = |what: &str, said: [String; 2]| {
        for text in said {
            let bad: Vec<char> = text
                .chars()
                .filter(|c| (c.is_control() && *c != '\n') || "\u{202e}\u{2066}".contains(*c))
                .collect();
            assert!(bad.is_empty(), "{what}: {bad:?} in {text:?}");
        }
    };
    let args = "train --preset plain --hidden 4 --epochs 2 --device cpu --log debug --data";
    let trained = said(dir.path(), 0, [words(args), vec![&data, "-o", &run]].concat());
    assert!(trained[1].contains("\\u{1b}[31m"), "{trained:?}");
    safe("train", trained);
    safe("eval", said(dir.path(), 0, ["eval", &run]));
    safe("predict", said(dir.path(), 0, ["predict", &run, "--data", &data, "-o", "p.csv"]));
    // Files are exact.
    assert!(fs::read_to_string(dir.path().join("p.csv")).unwrap().contains(EVIL));
    safe("report", said(dir.path(), 0, ["report", &run, "-o", "page.html"]));
    let page = fs::read_to_string(dir.path().join("page.html")).unwrap();
    let (page, _) = page.split_once("<script").unwrap();
    assert!(!page.contains(['\u{1b}', '\u{202e}', '\u{2066}', '\u{9b}']), "{page}");
    // Errors, by every way into them.
    for args in [
        vec!["eval", &run, "--data", &evil("")],
        vec!["train", "--data", &data, "--target", &evil(" none"), "-o", "other"],
        vec!["train", "--config", &evil(".toml")],
        vec!["eval", &evil("")],
        vec!["predict", &run, "--data", "few.csv"],
        vec!["train", "--data", &data, "--task", "regress", "-o", "other"],
        vec!["train", &evil("")],
        vec!["train", "--lr", &evil("")],
        vec!["sweep", "--hidden", &evil("")],
    ] {
        fs::write(dir.path().join("few.csv"), "z\n1\n2\n").unwrap();
        let output = bngpu(dir.path(), &args);
        assert_ne!(output.status.code(), Some(0), "{args:?}");
        safe(
            &format!("{args:?}"),
            [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()),
        );
    }
}

#[cfg(unix)]
#[test]
fn a_name_with_a_line_break_forges_no_line() {
    let dir = tempfile::tempdir().unwrap();
    let forged = |name: &str| format!("{name}\nerror: forged");
    let (data, run) = (forged("d") + ".csv", forged("run"));
    // The line break is quoted, in the header and in the cells.
    let (target, class) = (format!("\"{}\"", forged("kind")), format!("\"{}\"", forged("a")));
    fs::write(dir.path().join(&data), table(80, &target, &[&class, "b"])).unwrap();
    let args = "train --preset plain --hidden 4 --epochs 2 --device cpu --log debug --data";
    let none = forged("none");
    for (code, args) in [
        (0, [words(args), vec![&data, "-o", &run]].concat()),
        (0, vec!["eval", &run]),
        (0, vec!["predict", &run, "--data", &data, "-o", &none]),
        (0, vec!["report", &run]),
        (0, vec!["resume", &run]),
        (1, vec!["eval", &none]),
        (1, vec!["eval", &run, "--data", &forged("other")]),
        (1, vec!["train", "--data", &data, "--target", &none, "-o", "x"]),
        (2, vec!["predict", &run, "--data", &data, "-o", &data]),
    ] {
        let output = said(dir.path(), code, &args);
        let is_forged = |text: &String| text.lines().any(|line| line.starts_with("error: forged"));
        assert!(!output.iter().any(is_forged), "{args:?}: {output:?}");
    }
}

#[test]
fn long_lists_are_shortened() {
    let dir = tempfile::tempdir().unwrap();
    // 300 constant columns, 300 with gaps, 300 that are empty.
    let names: Vec<String> = (0..900).map(|n| format!("c{n}")).chain(["x".into(), "kind".into()]).collect();
    let mut text = names.join(",") + "\n";
    for row in 0..40 {
        let cell = |n: usize| match n / 300 {
            0 => "7".to_owned(),
            1 if (row + n).is_multiple_of(7) => String::new(),
            1 => ((row * n) % 13).to_string(),
            _ => String::new(),
        };
        text +=
            &((0..900).map(cell).collect::<Vec<_>>().join(",") + &format!(",{row},{}\n", PIECES[row % 3]));
    }
    fs::write(dir.path().join("d.csv"), &text).unwrap();
    let args = words("train --preset plain --hidden 4 --epochs 1 --device cpu --data d.csv -o run");
    let [_, err] = said(dir.path(), 0, args);
    assert!(err.contains("280 more"), "{err}");
    assert!(err.len() < 8000, "{} bytes: {err}", err.len());
    fs::write(dir.path().join("few.csv"), "z,kind\n1,a\n2,b\n").unwrap();
    let [_, err] = said(dir.path(), 1, ["predict", "run", "--data", "few.csv"]);
    assert!(err.contains("more") && err.len() < 2000, "{} bytes: {err}", err.len());
}

#[test]
fn results_go_to_stdout_and_all_else_to_stderr() {
    let dir = tempfile::tempdir().unwrap();
    let commands = [
        ("train", "train --hidden 8 --epochs 3 --device cpu -o OUT", "trained 3 epochs"),
        ("eval", "eval quiet-train", "test rows: 180 rows, loss"),
        ("lr-find", "lr-find --device cpu --hidden 8 --steps 20 --rates 4", "usable"),
        (
            "sweep",
            "sweep --device cpu --hidden 8 --epochs 2 --lr 1e-3,1e-2 --finalists 0 -o OUT",
            "2 completed",
        ),
        ("predict", "predict quiet-train --data digits", "row,label"),
    ];
    for (name, command, result) in commands {
        let with = |label: &str, more: &str| {
            let command = command.replace("OUT", &format!("{label}-{name}"));
            said(dir.path(), 0, words(&format!("{command} {more}")))
        };
        for (label, more) in [("quiet", "--quiet"), ("silent", "-q --log off")] {
            let [out, err] = with(label, more);
            assert!(out.contains(result) && err.is_empty(), "{name} {more}: {out}\n{err}");
        }
        let [out, err] = with("loud", "");
        assert!(out.contains(result) && !err.contains(result), "{name}: {out}\n{err}");
        assert!(err.contains("device  ") && !out.contains("device  "), "{name}: {out}\n{err}");
        let [out, err] = with("json", "--json -q");
        assert!(!out.contains("trained 3 epochs") && err.is_empty(), "{name}: {out}\n{err}");
        out.lines().for_each(|line| drop(serde_json::from_str::<Value>(line).unwrap()));
    }
    // Warnings stay with --quiet, and go with --log off.
    fs::remove_file(dir.path().join("quiet-train/best.safetensors")).unwrap();
    let [_, err] = said(dir.path(), 0, words("eval quiet-train -q"));
    assert!(err.contains("has no best.safetensors"), "{err}");
    let [_, err] = said(dir.path(), 0, words("eval quiet-train -q --log off"));
    assert_eq!(err, "");
    // Errors that end the command stay.
    let [out, err] = said(dir.path(), 1, words("eval no-such-run -q --log off"));
    assert!(err.contains("no-such-run") && out.is_empty(), "{err}");
}

#[test]
fn the_summary_the_json_and_the_page_count_the_same_trials() {
    let dir = tempfile::tempdir().unwrap();
    // Some trials of two seeds are stopped by halving, some diverge, and finalists are trained again.
    let args = "sweep --device cpu --hidden 8 --optimizer sgd --no-bn --lr 1e-3,1e-2,3e-2,0.1,0.2,1e30 --seeds 2 --epochs 4 \
                --halving --finalists 2 --final-seeds 2 --json -o s";
    let [json, summary] = said(dir.path(), 0, words(args));
    let json: Value = serde_json::from_str(&json).unwrap();
    let of = |key: &str| json[key].as_u64().unwrap();
    assert!(of("diverged") > 0 && of("stopped") > 0 && of("completed") > 0 && of("trials") == 6, "{json}");
    let page = fs::read_to_string(dir.path().join("s/report.html")).unwrap();
    for key in ["completed", "stopped", "diverged"] {
        assert!(summary.contains(&format!("{} {key}", of(key))), "{key}: {summary}");
        assert!(page.contains(&format!("<dt>{key}</dt><dd>{}</dd>", of(key))), "{key}: {json}");
    }
    let trainings = fs::read_to_string(dir.path().join("s/trials.jsonl")).unwrap().lines().count();
    assert!(summary.contains(&format!("{trainings} trainings")), "{summary}");
    assert!(page.contains(&format!("<dt>Trainings</dt><dd>{trainings}</dd>")), "{trainings}");
}

/// Asks to finish early once the final comparison has done some epochs.
#[derive(Default)]
struct FinishFinals {
    epochs: Mutex<BTreeMap<(u64, u64), u64>>,
    finals: AtomicBool,
    asked: AtomicBool,
}

impl Observer for FinishFinals {
    fn event(&self, event: SweepEvent) {
        match event {
            SweepEvent::Started { stage: Stage::Final, .. } => self.finals.store(true, Ordering::SeqCst),
            SweepEvent::Epoch { trial, seed, epoch, .. } if self.finals.load(Ordering::SeqCst) => {
                self.epochs.lock().unwrap().insert((trial, seed), epoch);
            }
            _ => {}
        }
    }

    fn request(&self) -> Option<Request> {
        let epochs: u64 = self.epochs.lock().unwrap().values().sum();
        let now = epochs >= 9 && !self.asked.swap(true, Ordering::SeqCst);
        now.then_some(Request::FinishEarly)
    }
}

#[test]
fn a_final_comparison_that_is_ended_early_has_no_unfinished_finalist_and_is_resumed() {
    let dir = tempfile::tempdir().unwrap();
    let settings = "data = 'digits'\nepochs = 4\ndevice = 'cpu'\nfinalists = 2\nfinal-seeds = 4\npopulation = 2\nhidden = 8\n\
                    [space]\nlr = [1e-3, 1e-2, 3e-2]";
    let run = |name: &str, observer: &dyn Observer| {
        let request = SweepRequest::from_toml(settings, "settings".as_ref()).unwrap();
        let dataset = load(&LoadRequest::from(&request.base.data)).unwrap();
        let using = request.base.device_use();
        let device = lanes::source(&DeviceRequest { device: "cpu", using }).unwrap();
        let search = Search::new(request, dataset, vec![device]).unwrap();
        let path = dir.path().join(name);
        let files = match path.exists() {
            true => {
                let folder = RunDir::open_to_write(&path).unwrap();
                let env = folder.read_env().unwrap();
                SweepFiles::open(folder, &search.request, &search.preprocessing, env)
            }
            false => {
                let folder = RunDir::create(Some(&path), "s").unwrap();
                SweepFiles::create(folder, &search.request, &search.preprocessing, search.environment())
            }
        };
        let files = Mutex::new(files.unwrap());
        let end = search.run(&files, observer, &Stop::default()).unwrap();
        let files = files.into_inner().unwrap();
        let records = bngpu::sweep::Store::records(&files).to_vec();
        drop(files.into_dir());
        (end, records, search)
    };
    let finals = |records: &[bngpu::sweep::TrialRecord]| -> Vec<TrialStatus> {
        records.iter().filter(|r| r.stage == Stage::Final).map(|r| r.status).collect()
    };
    let (end, whole, _) = run("whole", &());
    assert_eq!((end, finals(&whole)), (SweepEnd::Completed, vec![TrialStatus::Completed; 8]));
    let (end, part, search) = run("part", &FinishFinals::default());
    assert_eq!(end, SweepEnd::Stopped);
    let done = finals(&part);
    assert!((1..8).contains(&done.len()) && done.iter().all(|s| *s == TrialStatus::Completed), "{done:?}");
    assert!(fs::read_dir(dir.path().join("part/unfinished")).unwrap().count() > 0);
    let analysis = bngpu::sweep::analysis::Analysis::new(&search.request, &part);
    assert!(analysis.finals.iter().all(|finalist| finalist.status == TrialStatus::Completed));
    // Resumed, it is the uninterrupted sweep.
    let (end, again, _) = run("part", &());
    assert_eq!((end, finals(&again)), (SweepEnd::Completed, vec![TrialStatus::Completed; 8]));
    assert_eq!(difference(&dir.path().join("whole"), &dir.path().join("part")), None);
}
