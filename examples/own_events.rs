//! Follows a training with custom events: stops at the first epoch with a validation accuracy of 95 %, and tests that
//! model.
//! `cargo run --release --example own_events`

use std::error::Error;

use bngpu::data::{LoadRequest, load};
use bngpu::engine::{DeviceRequest, choose};
use bngpu::run::{EpochMetrics, Score};
use bngpu::spec::RunRequest;
use bngpu::train::{Events, Session, Stop};

struct UntilGood {
    stop: Stop,
}

impl Events for UntilGood {
    fn epoch(&mut self, _member: usize, metrics: &EpochMetrics) {
        if let Some(Score::Accuracy(accuracy)) = metrics.val_score {
            println!("epoch {:2}  val accuracy {:.2} %", metrics.epoch, 100.0 * accuracy);
            if accuracy >= 0.95 {
                self.stop.ask();
            }
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let settings = "hidden = '64'\nbn = true\nlr = 1e-2\nepochs = 50\ndevice = 'cpu'";
    let request = RunRequest::from_toml(settings, "settings".as_ref())?;
    let dataset = load(&LoadRequest::from(&request.data))?;
    let device = choose(&DeviceRequest { device: &request.device, using: request.device_use() })?;
    let session = Session::new(request, dataset, device)?;

    let stop = Stop::default();
    let outcome = session.train(&mut UntilGood { stop: stop.clone() }, &stop)?;
    println!("stopped after {} epochs, {} steps", outcome.state.epochs, outcome.state.step);
    let [_, test] = outcome.evaluations;
    println!("test {:?}", test.ok_or("no test rows")?.1);
    Ok(())
}
