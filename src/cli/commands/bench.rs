//! `bngpu bench`: how fast this machine trains, compared with its peak.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Failure, bench_threads, start_log, tell};
use crate::base::text::{Align, columns};
use crate::bench::{Bench, CASES, Case, OperationTime, StepTime};
use crate::cli::{BenchArgs, Exit};
use crate::engine::Ceilings;
use crate::engine::{DeviceRequest, EngineFactory, choose};
use crate::report::stdout;
use crate::spec::{DeviceUse, Precision};
use crate::train::TrainError;

/// Runs the command.
///
/// # Errors
/// If there is no such device or case, the baseline cannot be read, or a line is slower than it.
pub fn run(args: BenchArgs, threads: &[u32]) -> Result<Exit, Failure> {
    start_log(args.reporting.log, args.reporting.quiet);
    let usage = |what: String| Err(Failure::Usage(what));
    if !(args.seconds > 0.0 && args.seconds <= 3600.0) {
        return usage(format!("--seconds {}: must be more than 0 and at most 3600", args.seconds));
    }
    if !(args.tolerance >= 1.0 && args.tolerance.is_finite()) {
        return usage(format!("--tolerance {}: must be at least 1", args.tolerance));
    }
    if let Some(models) = args.models.iter().find(|&&models| !(1..=4096).contains(&models)) {
        return usage(format!("--models {models}: must be between 1 and 4096"));
    }
    let mut cases: Vec<Case> = Vec::new();
    match &args.hidden {
        Some(hidden) => {
            let case = Case::own(hidden.0.clone(), args.activation, args.batch_size as usize);
            case.check().map_err(TrainError::from)?;
            cases.push(case);
        }
        None => {
            for name in &args.case {
                match CASES.iter().find(|case| case.name.eq_ignore_ascii_case(name.trim())) {
                    Some(case) => cases.push(case.clone()),
                    None => return usage(format!("--case {name}: must be a, b or c")),
                }
            }
        }
    }
    if threads.len() > 1 {
        return bench_threads::run(&args, &cases, threads);
    }
    let using = DeviceUse { precision: args.precision, ..DeviceUse::default() };
    let factory = choose(&DeviceRequest { device: &args.device, using })?;
    let read = |path: &Path| Baseline::read(path, &cases, factory.name(), args.precision);
    let baseline = args.baseline.as_deref().map(read).transpose()?;
    tell("device", factory.why());
    if args.tune {
        tell("bench", "finding the best kernel sizes");
        let found = Bench::tune(&*factory, args.seconds)?;
        tell("tuned", found.as_deref().unwrap_or("this device has no kernel sizes to choose"));
    }
    let measured = measure(&*factory, &args, &cases)?;
    let slower = baseline.as_ref().map(|baseline| measured.against(baseline, args.tolerance));
    let text = match args.reporting.json {
        true => format!("{:#}\n", measured.object(&*factory, args.precision)),
        false => measured.table(baseline.as_ref()),
    };
    stdout::print(&text).map_err(Failure::Stdout)?;
    match slower {
        Some((slower, all)) if slower > 0 => Err(Failure::Slower(slower, all, args.tolerance)),
        _ => Ok(Exit::Done),
    }
}

/// The measurements.
struct Measured {
    ceilings: Ceilings,
    steps: Vec<StepTime>,
    operations: Vec<OperationTime>,
}

fn measure(factory: &dyn EngineFactory, args: &BenchArgs, cases: &[Case]) -> Result<Measured, Failure> {
    let bench = Bench::new(factory, args.seconds)?;
    let (mut steps, mut operations) = (Vec::new(), Vec::new());
    for case in cases {
        let models = if args.models.is_empty() { case.usual_models() } else { &args.models };
        for &models in models {
            tell("bench", &format!("{}: {}, {models} at once", case.name, case.describe()));
            steps.push(bench.step(case, models, true)?);
        }
        if !args.brief {
            steps.push(bench.step(case, 1, false)?);
            operations.extend(bench.operations(case)?);
        }
    }
    Ok(Measured { ceilings: bench.ceilings, steps, operations })
}

/// The compared part of an earlier output of `bench --json`.
#[derive(Deserialize)]
struct Baseline {
    device: String,
    precision: Precision,
    steps: Vec<StepBefore>,
    operations: Vec<OperationBefore>,
}

#[derive(Deserialize)]
struct StepBefore {
    network: String,
    members: usize,
    batch_norm: bool,
    ms: f64,
}

#[derive(Deserialize)]
struct OperationBefore {
    network: String,
    name: String,
    ms: f64,
}

impl Baseline {
    /// Reads the baseline of these networks on this device.
    fn read(path: &Path, cases: &[Case], device: &str, precision: Precision) -> Result<Baseline, Failure> {
        let bad = |what: String| Failure::Usage(format!("--baseline {}: {what}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|e| bad(e.to_string()))?;
        let read: Baseline = serde_json::from_str(&text)
            .map_err(|e| bad(format!("is not what `bench --json` prints: {e}")))?;
        if (&*read.device, read.precision) != (device, precision) {
            let (then, now) = (read.precision.name(), precision.name());
            return Err(bad(format!("was measured on {} in {then}, not on {device} in {now}", read.device)));
        }
        let mut all = read.steps.iter().map(|s| s.ms).chain(read.operations.iter().map(|o| o.ms));
        if let Some(ms) = all.find(|ms| !(ms.is_finite() && *ms > 0.0)) {
            return Err(bad(format!("has a time of {ms} ms")));
        }
        let known = |case: &Case| read.steps.iter().any(|step| step.network == case.describe());
        if cases.iter().any(known) { Ok(read) } else { Err(bad("has none of these networks".into())) }
    }

    /// Milliseconds of a step.
    fn step(&self, step: &StepTime) -> Option<f64> {
        let same = |s: &&StepBefore| {
            (&s.network, s.members, s.batch_norm) == (&step.network, step.members, step.batch_norm)
        };
        self.steps.iter().find(same).map(|s| s.ms)
    }

    /// Milliseconds of an operation.
    fn operation(&self, operation: &OperationTime) -> Option<f64> {
        let same = |o: &&OperationBefore| (&o.network, &o.name) == (&operation.network, &operation.name);
        self.operations.iter().find(same).map(|o| o.ms)
    }
}

impl Measured {
    /// (lines that took more than `tolerance` times as long, lines in both)
    fn against(&self, baseline: &Baseline, tolerance: f64) -> (usize, usize) {
        let steps = self.steps.iter().filter_map(|s| Some(s.ms / baseline.step(s)?));
        let operations = self.operations.iter().filter_map(|o| Some(o.ms / baseline.operation(o)?));
        let ratios: Vec<f64> = steps.chain(operations).collect();
        (ratios.iter().filter(|&&ratio| ratio > tolerance).count(), ratios.len())
    }

    fn object(&self, factory: &dyn EngineFactory, precision: Precision) -> Value {
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "device": factory.name(),
            "reason": factory.reason(),
            "precision": precision,
            "ceilings": self.ceilings,
            "steps": self.steps,
            "operations": self.operations,
        })
    }

    fn table(&self, baseline: Option<&Baseline>) -> String {
        let Ceilings { flops, bytes, dispatch_s } = self.ceilings;
        let dispatch = match dispatch_s {
            0.0 => String::new(),
            seconds => format!(", {:.1} us a dispatch", 1e6 * seconds),
        };
        let mut text = format!(
            "Peak of this device: {:.0} GFLOP/s in registers, {:.1} GB/s copied{dispatch}\n\n",
            flops / 1e9,
            bytes / 1e9
        );
        let percent = |part: f64| format!("{:.0} %", 100.0 * part);
        let ratio = |now: f64, before: Option<f64>| before.map_or("-".into(), |b| format!("{:.2}", now / b));
        let right = |n: usize| [vec![Align::Left], vec![Align::Right; n]].concat();
        let mut head = ["a training step of", "ms", "quartiles", "samples/s", "GFLOP/s", "of peak"]
            .map(String::from)
            .to_vec();
        let mut rows: Vec<Vec<String>> = Vec::new();
        for step in &self.steps {
            let norm = if step.batch_norm { "" } else { ", no batch norm" };
            let [low, high] = step.ms_quartiles;
            let mut row = vec![
                format!("{} x {}{norm}", step.members, step.case),
                format!("{:.3}", step.ms),
                format!("{low:.3}-{high:.3}"),
                format!("{:.0}", step.samples_per_s),
                format!("{:.1}", step.gflops),
                percent(step.of_flops),
            ];
            row.extend(baseline.map(|b| ratio(step.ms, b.step(step))));
            rows.push(row);
        }
        head.extend(baseline.map(|_| "x baseline".into()));
        rows.insert(0, head);
        text += &columns(&rows, &right(5 + usize::from(baseline.is_some())));
        for (case, share) in self.shares() {
            text += &format!("\nBatch normalisation takes {} of a step of {case}.", percent(share));
        }
        if !self.operations.is_empty() {
            let mut head =
                ["of one step", "ms", "GFLOP/s", "of peak", "GB/s", "of peak"].map(String::from).to_vec();
            head.extend(baseline.map(|_| "x baseline".into()));
            let mut rows = vec![head];
            for operation in &self.operations {
                let mut row = vec![
                    format!("{}: {}", operation.case, operation.name),
                    format!("{:.4}", operation.ms),
                    format!("{:.1}", operation.gflops),
                    percent(operation.of_flops),
                    format!("{:.1}", operation.gbytes_per_s),
                    percent(operation.of_bytes),
                ];
                row.extend(baseline.map(|b| ratio(operation.ms, b.operation(operation))));
                rows.push(row);
            }
            text += "\n\n";
            text += &columns(&rows, &right(5 + usize::from(baseline.is_some())));
            text += "\nAbove 100 % of the peak GB/s, bytes come from caches.\n";
        }
        text
    }

    /// The share of a step that batch normalisation adds, case by case.
    fn shares(&self) -> Vec<(&'static str, f64)> {
        let with = self.steps.iter().filter(|s| s.members == 1 && s.batch_norm);
        let without = |case: &str| {
            let same = |s: &&StepTime| s.case == case && s.members == 1 && !s.batch_norm;
            self.steps.iter().find(same).map(|s| s.ms)
        };
        with.filter_map(|s| Some((s.case, 1.0 - without(s.case)? / s.ms))).collect()
    }
}
