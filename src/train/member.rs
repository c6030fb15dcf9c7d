//! From a training's settings to a member of a population.

use crate::population::{Member, check_size};
use crate::spec::Training;

use super::{Problem, TrainError};

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
