//! `bngpu train`.

use crate::cli::{Exit, TrainArgs};
use crate::run::RunDir;

use super::session::{Place, Session};
use super::{Failure, load_data, start_log};

pub fn run(args: TrainArgs) -> Result<Exit, Failure> {
    let request = args.request()?;
    start_log(request.log);
    let dataset = load_data(&request, &request.data.source)?;
    let name = request.name.clone().unwrap_or_else(|| dataset.name.clone());
    let output = request.output.clone();
    let session = Session::new(request, dataset)?;
    session.introduce();
    // The folder is made when nothing else can be wrong any more.
    session.train(|| Ok(Place { dir: RunDir::create(output.as_deref(), &name)?, began_on: None }), None)
}
