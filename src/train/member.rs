//! From a training's settings to a member of a population.

use crate::population::{Member, check_size};
use crate::spec::Training;

use super::{Problem, TrainError};

/// Lays out the member for `problem` that is number `nth`, from 0, of an ensemble.
///
/// # Errors
/// As [`member`].
pub fn member_of_ensemble(training: &Training, problem: &Problem, nth: usize) -> Result<Member, TrainError> {
    let held_out = problem.split.held_out(nth);
    Ok(member(training, problem)?.holding_out(held_out))
}

/// Lays out a member for `problem`.
///
/// # Errors
/// [`TrainError::NoStep`], [`TrainError::TooLong`], [`TrainError::TooLarge`].
pub fn member(training: &Training, problem: &Problem) -> Result<Member, TrainError> {
    let (rows, features) = (problem.split.train, &*problem.table);
    check_size(training, problem.loss, features, rows)?;
    let member = Member::new(training, problem.loss, features, rows)
        .ok_or(TrainError::NoStep { rows, batch: training.batch_size.min(rows) })?;
    match member.total_steps() {
        steps if steps > u64::from(u32::MAX) => Err(TrainError::TooLong { steps }),
        _ => Ok(member),
    }
}
