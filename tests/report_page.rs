//! The page of a sweep and of a training: its size, its safety, and its charts as Chromium draws them.

use std::path::{Path, PathBuf};
use std::process::Command;

use bngpu::report::page::{Findings, SweepPage, TrainingPage};
use bngpu::sweep::TrialRecord;
use serde_json::{Value, json};

use crate::common::study;

const MEGABYTE: usize = 1_000_000;

fn sweep_page(config: &str, records: &[TrialRecord], findings: &Findings) -> String {
    SweepPage { name: "lr and more", config, env: None, records, findings }.to_html()
}

/// The block of data that the scripts draw.
fn data_of(html: &str) -> Value {
    let (_, rest) = html.split_once("<script type=\"application/json\" id=\"data\">").unwrap();
    let (json, _) = rest.split_once("</script>").unwrap();
    serde_json::from_str(json).unwrap()
}

#[test]
fn a_thousand_trials_stay_under_five_megabytes() {
    for (records, name) in [
        (study::sweep(1000, 1, 20), "1,000 trials of 20 epochs"),
        (study::sweep(1000, 1, 1000), "1,000 trials of 1,000 epochs"),
        (study::sweep(1000, 5, 20), "1,000 trials of 5 seeds"),
    ] {
        let html = sweep_page(study::CONFIG, &records, &study::findings());
        eprintln!("{name}: {:.2} MB", html.len() as f64 / 1e6);
        assert!(html.len() < 5 * MEGABYTE, "{name}: {} bytes", html.len());
    }
}

#[test]
fn the_data_of_the_page_match_the_records() {
    let records = study::sweep(40, 2, 20);
    let data = data_of(&sweep_page(study::CONFIG, &records, &Findings::default()));
    assert_eq!(data["trials"]["number"].as_array().unwrap().len(), 40);
    let (trainings, record) = (&data["trainings"], &records[41]);
    assert_eq!((&trainings["trial"][41], &trainings["seed"][41]), (&json!(record.trial), &json!("1")));
    let close = |found: &Value, expected: f64| {
        let found = found.as_f64().unwrap();
        assert!((found - expected).abs() <= 5e-5 * expected.abs(), "{found} is not {expected}");
    };
    close(&trainings["loss"][41][0], record.curve[0].val_loss.unwrap());
    // Each pair of seeds is averaged.
    let losses: Vec<f64> = records[40..42].iter().filter_map(|record| record.val_loss).collect();
    close(&data["trials"]["loss"][20], losses.iter().sum::<f64>() / losses.len() as f64);
    let scales: Vec<_> =
        data["params"].as_array().unwrap().iter().map(|p| (&p["key"], &p["scale"])).collect();
    let expected = [
        ("lr", "log"),
        ("beta1", "ema"),
        ("hidden", "category"),
        ("dropout", "linear"),
        ("activation", "category"),
        ("batch-size", "linear"),
    ];
    let expected: Vec<_> = expected.iter().map(|(key, scale)| (json!(key), json!(scale))).collect();
    assert_eq!(scales, expected.iter().map(|(key, scale)| (key, scale)).collect::<Vec<_>>());
    // The winner is the best trial of the records.
    let best = (0..40).min_by(|a, b| {
        let loss = |trial: &u64| {
            let of_it: Vec<_> = records.iter().filter(|record| record.trial == *trial).collect();
            let completed = of_it.iter().all(|record| record.status == bngpu::sweep::TrialStatus::Completed);
            let sum: f64 = of_it.iter().map(|record| record.val_loss.unwrap_or(f64::INFINITY)).sum();
            if completed { sum } else { f64::INFINITY }
        };
        loss(a).total_cmp(&loss(b))
    });
    assert_eq!(data["winner"], json!(best.unwrap()));
}

#[test]
fn without_a_script_the_page_shows_the_headline_and_the_best_twenty() {
    let records = study::sweep(60, 1, 20);
    let html = sweep_page(study::CONFIG, &records, &study::findings());
    let (body, _) = html.split_once("<script type=\"application/json\"").unwrap();
    let (_, table) = body.split_once("<div id=\"table\">").unwrap();
    assert_eq!(table.matches("<tr>").count(), 1 + 20);
    for text in ["Optimism gap", "0.0612 ± 0.008", "widen it", "bngpu train --", "<dt>stopped</dt>"] {
        assert!(body.contains(text), "{text}");
    }
}

#[test]
fn hostile_text_is_escaped() {
    let html = hostile_sweep();
    let (body, _) = html.split_once("<script type=\"application/json\"").unwrap();
    assert!(!body.contains("<script") && !body.contains("<img"), "unescaped in the body");
    let data = data_of(&html);
    assert!(data["params"].as_array().unwrap().iter().any(|param| param["key"] == study::HOSTILE));
}

/// A sweep in which every text is hostile.
fn hostile_sweep() -> String {
    let mut records = study::sweep(30, 1, 5);
    for record in &mut records {
        record.params.insert(study::HOSTILE.into(), json!(format!("{}{}", study::HOSTILE, record.trial % 3)));
        record.reason = Some(study::HOSTILE.into());
        record.queue = study::HOSTILE.into();
        record.device = study::HOSTILE.into();
    }
    let mut findings = study::findings();
    findings.headline.push((study::HOSTILE.into(), study::HOSTILE.into()));
    findings.warnings.push(study::HOSTILE.into());
    findings.importance[0].key = study::HOSTILE.into();
    let config = format!("# {}\n{}", study::HOSTILE, study::CONFIG);
    SweepPage { name: study::HOSTILE, config: &config, env: None, records: &records, findings: &findings }
        .to_html()
}

fn training_page(epochs: u64, regression: bool) -> String {
    let epochs = study::training(epochs, regression);
    let config = "data = \"digits\"\nbn = true\nschedule = \"cosine\"\n";
    let looks = study::looks(4, true);
    TrainingPage {
        name: "digits",
        config,
        env: None,
        epochs: &epochs,
        looks: &looks,
        architecture: None,
        members: 1,
    }
    .to_html()
}

/// Runs `bngpu report` with these arguments: its exit code and stderr.
fn report(args: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_bngpu")).arg("report").args(args).output().unwrap();
    assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn jsonl(records: &[TrialRecord]) -> String {
    records.iter().map(|record| serde_json::to_string(record).unwrap() + "\n").collect()
}

#[test]
fn the_command_writes_the_page_of_a_sweep_and_skips_a_torn_line() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().to_str().unwrap();
    let records = study::grid();
    let text = jsonl(&records);
    std::fs::write(dir.path().join("config.toml"), study::GRID_CONFIG).unwrap();
    std::fs::write(dir.path().join("trials.jsonl"), &text[..text.len() - 30]).unwrap();
    let (code, told) = report(&[run]);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("line 9: cut short, left out") && told.contains("report.html"), "{told}");
    let html = std::fs::read_to_string(dir.path().join("report.html")).unwrap();
    assert_eq!(data_of(&html)["trials"]["number"], json!([0, 1, 2, 3, 4, 5, 6, 7]));

    std::fs::write(dir.path().join("trials.jsonl"), text.replacen("\"seed\":0", "\"seed\":-1", 1)).unwrap();
    let other = dir.path().join("other.html");
    let (code, told) = report(&[run, "-o", other.to_str().unwrap(), "--quiet"]);
    assert!(code == Some(1) && told.contains("trials.jsonl: line 1 is not the record of a trial"), "{told}");
    assert!(!other.exists());
}

#[test]
fn the_command_writes_the_page_of_a_training_to_the_given_file() {
    let dir = tempfile::tempdir().unwrap();
    let (run, page) = (dir.path().join("run"), dir.path().join("page.html"));
    let files = bngpu::run::RunDir::create(Some(&run), "digits").unwrap();
    files.write_config("data = \"digits\"\nbn = true\nhidden = [32]\n").unwrap();
    let (code, told) = report(&[run.to_str().unwrap()]);
    assert!(code == Some(1) && told.contains("has no metrics.jsonl"), "{told}");
    files.write_metrics(&study::training(7, true), &study::looks(7, true)).unwrap();
    let (code, told) = report(&[run.to_str().unwrap(), "--output", page.to_str().unwrap(), "--quiet"]);
    assert_eq!((code, told.as_str()), (Some(0), ""));
    assert!(!run.join("report.html").exists());
    let data = data_of(&std::fs::read_to_string(page).unwrap());
    assert_eq!(data["epochs"]["step"], json!([23, 46, 69, 92, 115, 138, 161]));
    assert_eq!(data["epochs"]["val_r2"].as_array().unwrap().len(), 7);
    let looks = study::looks(7, true);
    assert_eq!(data["looks"]["step"], json!(looks.iter().map(|look| look.step + 1).collect::<Vec<_>>()));
    let (layers, last) = (data["looks"]["layers"].as_array().unwrap(), looks.len() - 1);
    let close = |found: &Value, expected: Option<f32>| {
        let (found, expected) = (found.as_f64().unwrap(), f64::from(expected.unwrap()));
        assert!((found - expected).abs() <= 5e-5 * expected.abs(), "{found} is not {expected}");
    };
    assert_eq!(layers.len(), 7);
    for (layer, seen) in layers.iter().zip(&looks[last].watch) {
        close(&layer["z"][4][last], seen.z.map(|z| z.0[4]));
        close(&layer["w"][last], seen.weight_grad_norm);
        close(&layer["v"][last], seen.vector_grad_norm);
    }
    close(&layers[2]["y"][1][last], looks[last].watch[2].y.map(|y| y.0[1]));
    // The output layer has no batch normalisation after its Z.
    assert!(layers[6]["y"].is_null());
}

#[test]
fn a_folder_without_results_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let (code, told) = report(&[&at("none")]);
    assert!(code == Some(1) && told.contains("does not exist"), "{told}");
    let (code, told) = report(&[&at("")]);
    assert!(code == Some(1) && told.contains("is not a run"), "{told}");
    std::fs::write(at("config.toml"), study::GRID_CONFIG).unwrap();
    let (code, told) = report(&[&at("")]);
    assert!(code == Some(1) && told.contains("no trial has ended yet"), "{told}");
}

/// Chromium from `$CHROMIUM`, else from the path.
fn chromium() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = || {
        let names = ["chromium", "chromium-browser", "google-chrome", "chrome"];
        std::env::split_paths(&path)
            .flat_map(|folder| names.map(|name| folder.join(name)))
            .find(|candidate| candidate.is_file())
    };
    let found = std::env::var_os("CHROMIUM").map(PathBuf::from).or_else(on_path);
    found.expect("Chromium: run `apt install chromium`, or set CHROMIUM=FILE")
}

/// `html` without its scripts.
fn markup(html: &str) -> String {
    let mut parts = html.split("<script");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |markup, part| markup + part.split_once("</script>").map_or("", |(_, after)| after))
}

/// The elements of the page after its scripts ran; `script` runs last and can simulate a reader.
fn opened(chromium: &Path, html: &str, script: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    // The page stays there after the test, for people to look at.
    let test = std::thread::current().name().unwrap_or("page").replace("::", "-");
    let page = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}.html"));
    // The script of ECharts contains the tag, too.
    let (before, after) = html.rsplit_once("</body>").unwrap();
    std::fs::write(&page, format!("{before}<script>{script}</script></body>{after}")).unwrap();
    let profile = format!("--user-data-dir={}", dir.path().join("profile").display());
    let output = Command::new(chromium)
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-background-networking"])
        .args(["--disable-component-update", "--disable-sync", "--disable-dev-shm-usage", "--no-first-run"])
        .args(["--window-size=1400,1000", "--virtual-time-budget=20000", "--dump-dom", &profile])
        .arg(format!("file://{}", page.display()))
        .output()
        .unwrap_or_else(|error| panic!("{}: {error}", chromium.display()));
    let dom = String::from_utf8_lossy(&output.stdout).into_owned();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(dom.contains("id=\"script-errors\""), "Chromium gave no page: {}\n{told}", output.status);
    markup(&dom)
}

/// The content of the element that begins with `start`.
fn element<'a>(dom: &'a str, start: &str, end: &str) -> &'a str {
    let (_, rest) = dom.split_once(start).unwrap_or_else(|| panic!("the page has no {start}"));
    rest.split_once(end).unwrap_or((rest, "")).0
}

fn assert_no_error(dom: &str) {
    let errors = element(dom, "<p id=\"script-errors\"", "</p>");
    assert!(errors.contains("hidden"), "a script failed: {errors}");
}

/// Asserts that each of `charts` has an SVG with at least this many marks.
fn assert_drawn(dom: &str, charts: &[(&str, usize)]) {
    assert_no_error(dom);
    for (id, least) in charts {
        let tag = element(dom, &format!("id=\"chart-{id}\""), ">");
        let svg = element(element(dom, &format!("id=\"chart-{id}\""), "</section>"), "<svg", "</svg>");
        let marks = svg.matches("<path").count() + svg.matches("<polyline").count();
        assert!(marks >= *least, "{id}: {marks} of {least} marks; {tag}");
    }
}

#[test]
#[ignore = "needs Chromium; scripts/test includes it"]
fn in_chromium_it_draws_every_chart_of_a_grid() {
    let chromium = chromium();
    let html = sweep_page(study::GRID_CONFIG, &study::grid(), &study::findings());
    let dom = opened(&chromium, &html, "");
    let all = [
        ("parallel", 9),
        ("curves", 9),
        ("heatmap", 9),
        ("importance", 3),
        ("expected", 1),
        ("finalists", 3),
        ("lanes", 9),
    ];
    assert_drawn(&dom, &all);
    assert_eq!(dom.matches("class=\"pickable").count(), 9);
}

#[test]
#[ignore = "needs Chromium; scripts/test includes it"]
fn in_chromium_a_brush_filters_the_other_charts_and_the_table() {
    let chromium = chromium();
    let records = study::sweep(200, 1, 20);
    let html = sweep_page(study::CONFIG, &records, &study::findings());
    // The lower half of the learning rates, in decades.
    let script = "parallel.dispatchAction({ type: 'axisAreaSelect', parallelAxisId: \
        parallel.getModel().getComponent('parallelAxis', 0).id, intervals: [[-4.2, -2.5]] }); \
        document.body.dataset.curves = drawnCurves.length;";
    let dom = opened(&chromium, &html, script);
    assert_drawn(&dom, &[("parallel", 200), ("curves", 20), ("heatmap", 5), ("lanes", 200)]);
    let low = |record: &&TrialRecord| record.params["lr"].as_f64().unwrap().log10() <= -2.5;
    let (below, curves) = (
        records.iter().filter(low).count(),
        records.iter().filter(low).filter(|record| record.val_loss.is_some()).count(),
    );
    assert!(
        dom.contains(&format!("{below} of 200 trials are shown")),
        "{}",
        element(&dom, "id=\"filter\"", "</div>")
    );
    assert!(dom.contains(&format!("page 1 of {}, {below} of 200 trials", below.div_ceil(25))));
    assert!(dom.contains(&format!("data-curves=\"{curves}\"")), "{}", element(&dom, "<body", ">"));
}

#[test]
#[ignore = "needs Chromium; scripts/test includes it"]
fn in_chromium_it_draws_a_thousand_trials() {
    let chromium = chromium();
    let html = sweep_page(study::CONFIG, &study::sweep(1000, 1, 20), &study::findings());
    // Sorting and selecting also work.
    let script = "document.querySelector('[data-column=\"1\"]').click(); pick(500, true);";
    let dom = opened(&chromium, &html, script);
    assert_drawn(&dom, &[("parallel", 1000), ("curves", 900), ("heatmap", 50), ("lanes", 1000)]);
    assert_eq!(dom.matches("class=\"pickable").count(), 25);
    assert_eq!(dom.matches("class=\"pickable picked\"").count(), 1);
}

#[test]
#[ignore = "needs Chromium; scripts/test includes it"]
fn in_chromium_hostile_names_run_no_script() {
    let chromium = chromium();
    // Every tooltip.
    let script = "const tips = [...charts.values()].flatMap(({ chart }) => { \
        const { tooltip: [{ formatter }], series } = chart.getOption(); \
        return series.filter(({ data }) => data?.length).map(({ name, type, data: [value] }) => { \
            const point = { dataIndex: 0, seriesName: name, seriesType: type, value, marker: '' }; \
            try { return formatter(point); } catch { return formatter([point]); } }); }); \
        document.body.append(Object.assign(document.createElement('div'), { id: 'tips', innerHTML: tips.join('<hr>') }));";
    let dom = opened(&chromium, &hostile_sweep(), script);
    assert_drawn(&dom, &[("parallel", 30), ("lanes", 30)]);
    let tips = element(&dom, "<div id=\"tips\">", "</div>");
    assert!(tips.matches("<hr>").count() >= 7 && tips.contains("&lt;img"), "{tips}");
    assert!(!dom.contains("<title>broken"), "a script from a name ran");
    assert!(!dom.contains("<img"), "an element from a name is in the page");
}

#[test]
#[ignore = "needs Chromium; scripts/test includes it"]
fn in_chromium_it_draws_every_chart_of_a_training() {
    let chromium = chromium();
    for (regression, scores) in [(false, &["acc"][..]), (true, &["rmse", "r2"])] {
        let dom = opened(&chromium, &training_page(20, regression), "");
        let charts = ["loss", "lr", "grad_norm", "samples_per_s"];
        let mut all: Vec<_> = charts.iter().chain(scores).map(|id| (*id, 2)).collect();
        // Two bands and a median per layer, or one line.
        all.extend([("watch_z", 3 * 4), ("watch_y", 3 * 3), ("watch_w", 4), ("watch_v", 4)]);
        assert_drawn(&dom, &all);
    }
}

#[test]
#[ignore = "needs Chromium; scripts/test includes it"]
fn in_chromium_a_script_error_is_shown_on_the_page() {
    let chromium = chromium();
    let dom = opened(&chromium, &training_page(3, false), "nothing.of.the.kind();");
    assert!(element(&dom, "<p id=\"script-errors\"", "</p>").contains("nothing is not defined"));
}
