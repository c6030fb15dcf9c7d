//! A trained model at work: evaluation and prediction.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use crate::data::Part;
use crate::engine::{Engine, EngineError, EngineFactory, EngineInfo};
use crate::population::{Member, Population};
use crate::run::{LayerTensors, Score};

use super::evaluate::{self, Canary};
use super::model::{self, Weights};
use super::{Problem, Stop, TrainError, trainer};

/// Most faults of the device.
const TRIES: u32 = 3;

/// One model on one engine, with data.
pub struct Inference<'a> {
    factory: &'a dyn EngineFactory,
    population: Arc<Population>,
    problem: &'a Problem,
    weights: Weights,
    engine: Box<dyn Engine>,
    canary: Canary,
}

impl<'a> Inference<'a> {
    /// Puts `layers` on an engine. None if the layers are not those of `member`.
    ///
    /// # Errors
    /// [`TrainError::Engine`] or [`TrainError::GaveUp`].
    pub fn new(
        factory: &'a dyn EngineFactory,
        member: Member,
        problem: &'a Problem,
        layers: &[LayerTensors],
    ) -> Option<Result<Inference<'a>, TrainError>> {
        let population = Arc::new(Population::new(vec![member]));
        let mut weights = Weights::zeros(&population.sizes);
        if !model::put_layers(&population.members[0], &population.bases[0], layers, &mut weights) {
            return None;
        }
        let build = || build(factory, &population, problem, &weights);
        let engine = match tries(factory, |_| build()) {
            Ok(engine) => engine,
            Err(error) => return Some(Err(error)),
        };
        Some(Ok(Inference { factory, problem, weights, engine, canary: Canary::default(), population }))
    }

    /// What it runs on.
    pub fn info(&self) -> &EngineInfo {
        self.engine.info()
    }

    /// Mean loss and score of the rows of `part`; none where it has no rows.
    ///
    /// # Errors
    /// [`TrainError::Engine`] or [`TrainError::GaveUp`].
    pub fn evaluate(&mut self, part: Part) -> Result<Option<(f64, Score)>, TrainError> {
        let rows = self.problem.split.range(part);
        if rows.is_empty() {
            return Ok(None);
        }
        let never = Stop::default();
        let sums = self.with_tries(|engine, population, canary| {
            evaluate::evaluate(engine, population, &[0], rows.clone(), canary, &never)
        })?;
        Ok(sums.map(|sums| self.problem.evaluation(part, &sums[0])))
    }

    /// Outputs `[rows, O]` before any softmax, for stored rows.
    ///
    /// # Errors
    /// [`TrainError::Engine`] or [`TrainError::GaveUp`].
    pub fn outputs(&mut self, rows: Range<usize>) -> Result<Vec<f32>, TrainError> {
        self.with_tries(|engine, population, canary| {
            evaluate::outputs(engine, population, rows.clone(), canary)
        })
    }

    /// Runs `what`, after a fault again on a new engine.
    fn with_tries<T>(
        &mut self,
        what: impl Fn(&mut dyn Engine, &Population, &mut Canary) -> Result<T, EngineError>,
    ) -> Result<T, TrainError> {
        let factory = self.factory;
        tries(factory, |again| {
            if again {
                self.engine = build(factory, &self.population, self.problem, &self.weights)?;
            }
            what(self.engine.as_mut(), &self.population, &mut self.canary)
        })
    }
}

fn build(
    factory: &dyn EngineFactory,
    population: &Arc<Population>,
    problem: &Problem,
    weights: &Weights,
) -> Result<Box<dyn Engine>, EngineError> {
    let mut engine = factory.build(population, &problem.table)?;
    engine.initialize()?;
    trainer::put(engine.as_mut(), weights)?;
    Ok(engine)
}

/// Calls `what(false)`, and after transient faults `what(true)`.
fn tries<T>(
    factory: &dyn EngineFactory,
    mut what: impl FnMut(bool) -> Result<T, EngineError>,
) -> Result<T, TrainError> {
    let mut tries = 0;
    loop {
        match what(tries > 0) {
            Ok(value) => return Ok(value),
            Err(cause) if !cause.is_transient() => return Err(cause.into()),
            Err(cause) if tries == TRIES => {
                return Err(TrainError::GaveUp { cause, tries, checkpoint: None });
            }
            Err(cause) => {
                tries += 1;
                log::warn!("{cause}; trying again");
                factory.soften();
                std::thread::sleep(Duration::from_millis(500) * tries);
            }
        }
    }
}
