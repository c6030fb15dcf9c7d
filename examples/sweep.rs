//! Tunes a network without a folder: `cargo run --release --example sweep`.

use std::error::Error;
use std::sync::Mutex;

use bngpu::data::{LoadRequest, load};
use bngpu::engine::DeviceRequest;
use bngpu::engine::lanes;
use bngpu::spec::SweepRequest;
use bngpu::sweep::analysis::Analysis;
use bngpu::sweep::{Memory, Observer, Search, Store, SweepEvent, params_text};
use bngpu::train::Stop;

/// Prints each training as it ends.
struct Console;

impl Observer for Console {
    fn event(&self, event: SweepEvent) {
        if let SweepEvent::Ended { record, .. } = event {
            let loss = record.val_loss.unwrap_or(f64::NAN);
            println!("trial {:2}  {:?}  val loss {loss:.4}", record.trial, record.status);
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    // The keys are the flags of `bngpu sweep`; [space] holds sets and ranges.
    let settings = "data = 'digits'\nbn = true\nepochs = 9\ntrials = 12\nhalving = true\ndevice = 'cpu'\n\
                    [space]\nlr = '1e-4..1e-1:log'\nhidden = ['32', '64x2']";
    let request = SweepRequest::from_toml(settings, "settings".as_ref())?;
    let dataset = load(&LoadRequest::from(&request.base.data))?;
    let using = request.base.device_use();
    let device = lanes::source(&DeviceRequest { device: &request.base.device, using })?;

    let search = Search::new(request, dataset, vec![device])?;
    println!("{} trainings, about {:.1} s", search.trainings(), search.seconds);
    let records = Mutex::new(Memory::default());
    search.run(&records, &Console, &Stop::default())?;

    let records = records.into_inner()?;
    let analysis = Analysis::new(&search.request, records.records());
    let winner = analysis.winner.ok_or("no trial has a value")?;
    println!("best: trial {}, {}", winner.trial, params_text(&winner.params));
    Ok(())
}
