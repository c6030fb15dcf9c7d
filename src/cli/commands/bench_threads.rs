//! `bngpu bench --threads 1,2,4`: how the CPU engine's time depends on the number of threads.

use std::sync::Arc;

use serde_json::json;

use super::{Failure, tell};
use crate::base::text::{Align, columns};
use crate::bench::threads::{Constants, ThreadsModel, ThreadsTime, on_threads};
use crate::bench::{Bench, Case, table};
use crate::cli::{BenchArgs, Exit};
use crate::engine::CpuFactory;
use crate::engine::cpu::threads::cores;
use crate::report::stdout;
use crate::spec::Precision;

/// Measures each of `threads` that this machine has cores for, and prints the model beside it.
///
/// # Errors
/// If another device is named, and errors of the engine.
pub fn run(args: &BenchArgs, cases: &[Case], threads: &[u32]) -> Result<Exit, Failure> {
    if !["auto", "cpu"].contains(&args.device.to_lowercase().as_str()) {
        let text =
            format!("--threads with several numbers measures the CPU engine; drop --device {}", args.device);
        return Err(Failure::Usage(text));
    }
    if args.baseline.is_some() || args.tune || args.precision != Precision::F32 {
        let text = "--threads with several numbers takes none of --baseline, --tune and --precision f16";
        return Err(Failure::Usage(text.into()));
    }
    let cores = cores();
    let mut threads: Vec<usize> = threads.iter().map(|&threads| threads as usize).collect();
    threads.sort_unstable();
    threads.dedup();
    let factory = CpuFactory::default();
    // The constants are those of one core.
    let ceilings = on_threads(1, || Bench::new(&factory, args.seconds).map(|bench| bench.ceilings))??;
    let constants = Constants::measure(ceilings.bytes, cores);
    let data = Arc::new(table());
    let mut times: Vec<ThreadsTime> = Vec::new();
    for case in cases {
        tell("bench", &format!("{}: {}, its operations on one thread", case.name, case.describe()));
        let model = on_threads(1, || ThreadsModel::measure(case, &data, constants, args.seconds))??;
        let models = if args.models.is_empty() { case.usual_models() } else { &args.models };
        for &models in models {
            for &threads in &threads {
                let measured = if threads <= cores {
                    let text = format!("{}: {models} at once on {threads} threads", case.name);
                    tell("bench", &text);
                    let step = || {
                        Bench::with(&factory, data.clone(), ceilings, args.seconds).step(case, models, true)
                    };
                    Some(on_threads(threads, step)??.ms)
                } else {
                    None
                };
                times.push(model.time(models, threads, measured));
            }
        }
    }
    let text = match args.reporting.json {
        true => format!("{:#}\n", json!({ "cores": cores, "constants": constants, "steps": times })),
        false => text(&times, constants, cores),
    };
    stdout::print(&text).map_err(Failure::Stdout)?;
    Ok(Exit::Done)
}

fn text(times: &[ThreadsTime], constants: Constants, cores: usize) -> String {
    let mut rows = vec![
        ["a training step of", "threads", "ms", "model, ms", "speed-up", "team"].map(String::from).to_vec(),
    ];
    for time in times {
        let alone = times.iter().find(|t| (t.case, t.members) == (time.case, time.members));
        let speedup = alone.map_or(1.0, |alone| alone.model_ms / time.model_ms);
        rows.push(vec![
            format!("{} x {}", time.members, time.case),
            time.threads.to_string(),
            time.ms.map_or("-".into(), |ms| format!("{ms:.3}")),
            format!("{:.3}", time.model_ms),
            format!("{speedup:.2}"),
            time.team.to_string(),
        ]);
    }
    let align = [vec![Align::Left], vec![Align::Right; 5]].concat();
    format!(
        "{}\nMeasured on {cores} cores at most; the model knows the operations' times on one thread, {:.0} ns for a cache \
         line\nfrom core to core, and {:.1} GB/s of copies for each core. Its speed-up is against the first line.\n",
        columns(&rows, &align),
        1e9 * constants.transfer_s,
        constants.core_bytes / 1e9
    )
}
