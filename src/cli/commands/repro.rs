//! `bngpu repro`: repeats one training of a sweep alone and compares it bit for bit.

use std::sync::Arc;

use serde_json::json;

use crate::base::text::{counted, duration, listed};
use crate::cli::{Exit, ReproArgs};
use crate::engine::{DeviceRequest, DeviceSource, lanes};
use crate::report::stdout;
use crate::run::RunDir;
use crate::spec::SweepRequest;
use crate::sweep::{Again, Stage, TRIALS, TrialRecord, TrialStatus, params_text, read_trials, train_again};
use crate::train::{Events, MemberState, Problem, Stop};

use super::sweep::{check_data, request_of};
use super::{Failure, load_data, result, start_log, tell, warn};

pub fn run(args: ReproArgs) -> Result<Exit, Failure> {
    let reporting = args.common.reporting;
    start_log(reporting.log, reporting.quiet);
    let dir = RunDir::open(&args.sweep)?;
    let request = request_of(&dir)?;
    let record = record(&dir, &request, args.trial, args.seed)?;
    let Some(then) = record.weights.clone().filter(|_| record.status != TrialStatus::Failed) else {
        let text = format!(
            "trial {} with seed {} has no weights to compare with: it {}: {}",
            record.trial,
            record.seed,
            if record.status == TrialStatus::Diverged { "diverged" } else { "failed" },
            record.reason.as_deref().unwrap_or("no reason is recorded")
        );
        return Err(Failure::Usage(text));
    };
    let training = request.run_request(&record.params, record.seed)?;
    let dataset = load_data(&training, &training.data.source)?;
    check_data(&dir, &dir.read_env()?, &dataset)?;
    let problem = Problem::new(dataset);
    let source = device(&request, &record, args.common.device.as_deref())?;
    tell("device", source.why());
    if source.name() != record.device {
        tell(
            "note",
            &format!(
                "the sweep trained it on {}: another device may give different last bits",
                record.device
            ),
        );
    }
    let seed = record.seed;
    tell("trial", &format!("{}, seed {seed}: {}", record.trial, params_text(&record.params)));
    let factory = source.factory();
    let stop = Stop::on_signals(Exit::Interrupted.code());
    let again = train_again(factory.as_ref(), &problem, &training, &record, &mut Console, &stop)?;
    let Some(Again { state: MemberState { state, .. }, weights: now, same }) = again else {
        return Ok(Exit::Interrupted);
    };
    let epochs = counted(state.epochs, "epoch");
    let verdict = if same { "the same, bit for bit" } else { "NOT the same" };
    let text = format!(
        "weights in the sweep  {then}\nweights now           {now}\n{verdict}, after {epochs} in {}",
        duration(state.train_s)
    );
    result(text, reporting.json)?;
    if reporting.json {
        let json = json!({
            "run": args.sweep.display().to_string(),
            "device": factory.name(),
            "trial": record.trial,
            "seed": seed,
            "epochs": state.epochs,
            "weights_then": then,
            "weights": now,
            "same": same,
        });
        stdout::print(&format!("{json}\n")).map_err(Failure::Stdout)?;
    }
    if same {
        return Ok(Exit::Done);
    }
    if factory.name() != record.device {
        warn(format!("note    only {} can reproduce the bits of the sweep", record.device));
    }
    Ok(Exit::Error)
}

/// The requested record: that of the search, if the search used the seed.
fn record(
    dir: &RunDir,
    request: &SweepRequest,
    trial: u64,
    seed: Option<u64>,
) -> Result<TrialRecord, Failure> {
    let records = read_trials(&dir.path().join(TRIALS))?;
    let of_trial: Vec<&TrialRecord> = records.iter().filter(|record| record.trial == trial).collect();
    let found = match seed {
        Some(seed) => of_trial.iter().find(|record| record.seed == seed),
        None => of_trial.iter().find(|record| record.stage == Stage::Search),
    };
    found.map(|record| (*record).clone()).ok_or_else(|| {
        let seeds: Vec<String> = of_trial.iter().map(|record| record.seed.to_string()).collect();
        Failure::Usage(match (seeds.is_empty(), seed) {
            (false, Some(seed)) => {
                format!("trial {trial} was not trained with seed {seed}; its seeds are {}", listed(&seeds))
            }
            _ => format!(
                "the sweep has no trial {trial} that ended; it has {}, numbered from 0",
                counted(request.trials, "trial")
            ),
        })
    })
}

/// The requested device, else the one that trained the record.
fn device(
    request: &SweepRequest,
    record: &TrialRecord,
    asked: Option<&str>,
) -> Result<Arc<dyn DeviceSource>, Failure> {
    let using = request.base.device_use();
    if let Some(device) = asked {
        return Ok(lanes::source(&DeviceRequest { device, using })?);
    }
    match lanes::source_again(&record.device, using)? {
        Some(source) => Ok(source),
        None => {
            tell("note", &format!("this machine has no {}: using --device auto", record.device));
            Ok(lanes::source(&DeviceRequest { device: "auto", using })?)
        }
    }
}

/// Prints the messages of the training.
struct Console;

impl Events for Console {
    fn message(&mut self, text: &str) {
        warn(text);
    }
}
