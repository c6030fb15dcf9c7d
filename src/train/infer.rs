//! A trained model at work: evaluation and prediction.

use std::ops::Range;
use std::sync::Arc;

use crate::data::Part;
use crate::engine::{Engine, EngineError, EngineFactory, EngineInfo};
use crate::population::Population;
use crate::run::{LayerTensors, Score};

use super::evaluate::{self, Canary};
use super::model::{self, Weights};
use super::recovery::{self, TRIES};
use super::{Pace, Problem, Stop, TrainError};

/// One model on one engine, with data. Made by [`super::Stored::inference`].
pub struct Inference<'a> {
    factory: &'a dyn EngineFactory,
    population: Arc<Population>,
    problem: &'a Problem,
    weights: Weights,
    /// None after a fault.
    engine: Option<Box<dyn Engine>>,
    info: EngineInfo,
    canary: Canary,
}

impl<'a> Inference<'a> {
    /// Puts `layers` on `engine`, or on a new one. None if the layers are not those of the population's only member.
    pub(super) fn new(
        factory: &'a dyn EngineFactory,
        population: Arc<Population>,
        problem: &'a Problem,
        layers: &[LayerTensors],
        engine: Option<Box<dyn Engine>>,
    ) -> Option<Result<Inference<'a>, TrainError>> {
        let member = &population.members[0];
        let mut weights = Weights::zeros(&member.sizes);
        if !model::put_layers(member, &model::ALONE, layers, &mut weights) {
            return None;
        }
        let mut given = engine;
        let engine = tries(factory, || {
            let mut engine = match given.take() {
                Some(engine) => engine,
                None => factory.build(&population, &problem.table)?,
            };
            recovery::put(engine.as_mut(), &population, 0, &weights)?;
            Ok(engine)
        });
        Some(engine.map(|engine| {
            let (info, canary) = (engine.info().clone(), Canary::default());
            Inference { factory, problem, weights, engine: Some(engine), info, canary, population }
        }))
    }

    /// What it runs on.
    pub fn info(&self) -> &EngineInfo {
        &self.info
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
        tries(self.factory, || {
            // What fails does not come back.
            let mut engine = match self.engine.take() {
                Some(engine) => engine,
                None => {
                    let mut engine = self.factory.build(&self.population, &self.problem.table)?;
                    recovery::put(engine.as_mut(), &self.population, 0, &self.weights)?;
                    engine
                }
            };
            let value = what(engine.as_mut(), &self.population, &mut self.canary)?;
            self.engine = Some(engine);
            Ok(value)
        })
    }
}

/// Calls `what` until it goes well, at most three times more after transient faults.
fn tries<T>(
    factory: &dyn EngineFactory,
    mut what: impl FnMut() -> Result<T, EngineError>,
) -> Result<T, TrainError> {
    let mut tries = 0;
    loop {
        match what() {
            Ok(value) => return Ok(value),
            Err(cause) if !cause.is_transient() => return Err(cause.into()),
            Err(cause) if tries == TRIES => {
                return Err(TrainError::GaveUp { cause, tries, checkpoint: None });
            }
            Err(cause) => {
                tries += 1;
                log::warn!("{cause}; trying again");
                factory.soften();
                std::thread::sleep(Pace::default().backoff * tries);
            }
        }
    }
}
