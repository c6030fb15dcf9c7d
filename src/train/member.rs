//! From a training's settings to a member of a population.

use crate::population::{Member, check_size};
use crate::spec::{RunRequest, Training};

use super::{Problem, TrainError};

/// Lays out the member for `problem` that the run of one model trains.
///
/// # Errors
/// As [`member`].
pub fn member_of_run(request: &RunRequest, problem: &Problem) -> Result<Member, TrainError> {
    member_of_fold(&request.training, problem, request.fold_of(0))
}

/// Lays out a member for `problem` that holds out the fold `nth`, from 0, if there are folds.
///
/// # Errors
/// As [`member`].
pub fn member_of_fold(training: &Training, problem: &Problem, nth: usize) -> Result<Member, TrainError> {
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
