//! Evaluation and prediction with a trained model.

use std::ops::Range;
use std::sync::Arc;

use crate::data::Part;
use crate::engine::{Engine, EngineError, EngineFactory, EngineInfo};
use crate::population::Population;
use crate::run::{LayerTensors, Score};

use super::model::{self, Weights};
use super::stepper::Stepper;
use super::{Pace, Problem, TrainError};

/// One model on one engine, with data. Made by [`super::Stored::inference`].
pub struct Inference<'a> {
    stepper: Stepper<'a>,
    problem: &'a Problem,
    weights: Weights,
}

impl<'a> Inference<'a> {
    /// Loads `layers` into `engine`, or into a new one. None if the layers do not fit the population's only member.
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
        let stepper = Stepper::new(factory, population, problem.table.clone(), Pace::default().backoff);
        let mut inference = Inference { stepper, problem, weights };
        let saved = [Some(&inference.weights)];
        let ready = match engine {
            Some(engine) => inference.stepper.take_over(engine, &saved),
            None => inference.stepper.set_up(&saved),
        };
        let ready = ready.or_else(|error| inference.recover(error));
        Some(ready.map(|()| inference))
    }

    /// The engine's device.
    pub fn info(&self) -> &EngineInfo {
        self.stepper.info()
    }

    /// Mean loss and score of the predictions for the rows of `part`; none if it has no rows.
    ///
    /// # Errors
    /// [`TrainError::Engine`] or [`TrainError::GaveUp`].
    pub fn evaluate(&mut self, part: Part) -> Result<Option<(f64, Score)>, TrainError> {
        let rows = self.problem.split.range(part);
        if rows.is_empty() {
            return Ok(None);
        }
        let problem = self.problem;
        Ok(self.with_tries(|stepper| stepper.evaluations(&[0], part, problem))?.pop())
    }

    /// Outputs `[rows, O]` before any softmax, for stored rows.
    ///
    /// # Errors
    /// [`TrainError::Engine`] or [`TrainError::GaveUp`].
    pub fn outputs(&mut self, rows: Range<usize>) -> Result<Vec<f32>, TrainError> {
        self.with_tries(|stepper| stepper.outputs(0, rows.clone()))
    }

    /// Runs `what`; after a fault, again on a new engine.
    fn with_tries<T>(
        &mut self,
        what: impl Fn(&mut Stepper) -> Result<T, EngineError>,
    ) -> Result<T, TrainError> {
        loop {
            match what(&mut self.stepper) {
                Ok(value) => {
                    self.stepper.progressed();
                    return Ok(value);
                }
                Err(error) => self.recover(error)?,
            }
        }
    }

    fn recover(&mut self, error: EngineError) -> Result<(), TrainError> {
        let announce = &mut |error: &EngineError, _| log::warn!("{error}; trying again");
        self.stepper.recover(error, &[Some(&self.weights)], announce)
    }
}
