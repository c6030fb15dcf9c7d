//! Trains one network without a folder: `cargo run --release --example train`.

use std::error::Error;

use bngpu::data::{LoadRequest, load};
use bngpu::engine::{DeviceRequest, choose};
use bngpu::run::EpochMetrics;
use bngpu::spec::RunRequest;
use bngpu::train::{Events, Session, Stop};

/// Prints every fifth epoch.
struct Console;

impl Events for Console {
    fn epoch(&mut self, _member: usize, metrics: &EpochMetrics) {
        if metrics.epoch.is_multiple_of(5) {
            println!("epoch {:2}  train loss {:.4}", metrics.epoch, metrics.train_loss);
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    // The keys are the flags of `bngpu train`.
    let settings = "data = 'digits'\nhidden = '64,64'\nbn = true\nlr = 3e-3\nepochs = 10\ndevice = 'cpu'";
    let request = RunRequest::from_toml(settings, "settings".as_ref())?;
    let dataset = load(&LoadRequest::from(&request.data))?;
    let device = choose(&DeviceRequest { device: &request.device, using: request.device_use() })?;

    let session = Session::new(request, dataset, device)?;
    println!("{} parameters on {}", session.member().parameters(), session.device());
    let outcome = session.train(&mut Console, &Stop::default())?;

    let [_, test] = outcome.evaluations;
    let (loss, score) = test.ok_or("no test rows")?;
    println!("test loss {loss:.4}, {score:?}");
    if let Some(model) = outcome.model {
        let path = std::env::temp_dir().join("bngpu-example.safetensors");
        model.save(&path)?;
        println!("weights in {}", path.display());
    }
    Ok(())
}
