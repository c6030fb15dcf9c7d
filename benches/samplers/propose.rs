//! Speaks for a sampler to `compare.py`: `propose SWEEP.toml` proposes the trials of that sweep, by its study and
//! scheduler.
//!
//! A line `ask` on the standard input gives the next trial as a line of JSON, `{"trial": 0, "params": {...}}`, or `null`
//! if it waits for results or none is left. A line `tell TRIAL VALUE` ends a trial; lower values are better.

use std::error::Error;
use std::io::{BufRead, Write};
use std::path::PathBuf;

use bngpu::spec::SweepRequest;
use bngpu::sweep::Study;
use bngpu::sweep::schedule::{Next, Scheduler, TrainingId};

fn main() -> Result<(), Box<dyn Error>> {
    let path = PathBuf::from(std::env::args().nth(1).ok_or("give the file of a sweep")?);
    let request = SweepRequest::from_toml(&std::fs::read_to_string(&path)?, &path)?;
    let study = Study::new(&request)?;
    let trials = 0..study.len();
    let mut scheduler = Scheduler::<()>::new(Box::new(study), trials, vec![0], None, 1, 1);
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["ask"] => {
                let answer = match scheduler.next_training() {
                    Next::Train { id, params, .. } => {
                        serde_json::json!({"trial": id.trial, "params": params})
                    }
                    Next::Wait | Next::Done => serde_json::Value::Null,
                };
                println!("{answer}");
                std::io::stdout().flush()?;
            }
            ["tell", trial, value] => {
                scheduler.ended(TrainingId { trial: trial.parse()?, seed: 0 }, Some(value.parse()?));
            }
            _ => return Err(format!("{line}: write ask, or tell TRIAL VALUE").into()),
        }
    }
    Ok(())
}
