//! Evaluation and prediction with a trained model.

use std::ops::Range;
use std::sync::Arc;

use crate::data::Part;
use crate::engine::{Engine, EngineError, EngineFactory, EngineInfo};
use crate::population::Population;
use crate::run::{ModelMember, Score};

use super::model::{self, Weights};
use super::stepper::Stepper;
use super::{Pace, Problem, Stop, TrainError};

/// One model, or the members of an ensemble together, on one engine, with data. Made by [`super::Stored::inference`].
pub struct Inference<'a> {
    stepper: Stepper<'a>,
    problem: &'a Problem,
    weights: Vec<Weights>,
    /// The members' weights in the prediction.
    shares: Vec<f64>,
}

impl<'a> Inference<'a> {
    /// Loads `members` into `engine`, or into a new one. None if they do not fit the population's members.
    pub(super) fn new(
        factory: &'a dyn EngineFactory,
        population: Arc<Population>,
        problem: &'a Problem,
        members: &[ModelMember],
        engine: Option<Box<dyn Engine>>,
    ) -> Option<Result<Inference<'a>, TrainError>> {
        if members.is_empty() || members.len() != population.len() {
            return None;
        }
        let weights = population.members.iter().zip(members).map(|(member, stored)| {
            let mut weights = Weights::zeros(&member.sizes);
            model::put_layers(member, &model::ALONE, &stored.layers, &mut weights).then_some(weights)
        });
        let weights = weights.collect::<Option<Vec<_>>>()?;
        let shares = members.iter().map(|member| member.weight).collect();
        let stepper = Stepper::new(factory, population, problem.table.clone(), Pace::default().backoff);
        let mut inference = Inference { stepper, problem, weights, shares };
        let saved: Vec<_> = inference.weights.iter().map(Some).collect();
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

    /// Mean loss and score of the predictions for the rows of `part`; none if it has no rows. Where the members held out
    /// validation rows of their own, each row of [`Part::Val`] is predicted by the member that did.
    ///
    /// # Errors
    /// [`TrainError::Engine`] or [`TrainError::GaveUp`].
    pub fn evaluate(&mut self, part: Part) -> Result<Option<(f64, Score)>, TrainError> {
        let rows = self.problem.split.range(part);
        if rows.is_empty() {
            return Ok(None);
        }
        let (problem, shares) = (self.problem, self.shares.clone());
        if shares.len() == 1 {
            return Ok(self.with_tries(|stepper| stepper.evaluations(&[0], part, problem))?.pop());
        }
        let never = Stop::default();
        let sums = self.with_tries(|stepper| match part {
            Part::Val => stepper.validation_sums(&shares, problem, &never),
            _ => stepper.joint_sums(&shares, problem, rows.clone(), &never),
        })?;
        Ok(sums.map(|(sums, _)| problem.evaluation(part, &sums)))
    }

    /// Outputs `[rows, O]` for stored rows, as [`super::Stored::outputs`].
    ///
    /// # Errors
    /// [`TrainError::Engine`] or [`TrainError::GaveUp`].
    pub fn outputs(&mut self, rows: Range<usize>) -> Result<Vec<f32>, TrainError> {
        let shares = self.shares.clone();
        self.with_tries(|stepper| {
            let mut all = Vec::new();
            let add = &mut |_, outputs: &[f32]| all.extend_from_slice(outputs);
            stepper.mixed(&shares, rows.clone(), &Stop::default(), add)?;
            Ok(all)
        })
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
        let saved: Vec<_> = self.weights.iter().map(Some).collect();
        self.stepper.recover(error, &saved, announce)
    }
}
