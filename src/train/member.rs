//! From the training that is asked for to a member of a population.

use crate::population::{Loss, Member};
use crate::spec::Training;

use super::{Problem, TrainError};

/// Lays out a member for `problem`.
///
/// # Errors
/// [`TrainError::NoStep`], [`TrainError::TooLong`], [`TrainError::TooLarge`].
pub fn member(training: &Training, problem: &Problem) -> Result<Member, TrainError> {
    let (rows, inputs) = (problem.split.train, problem.table.features);
    check_size(training, problem.loss, inputs, rows)?;
    let member = Member::new(training, problem.loss, inputs, rows)
        .ok_or(TrainError::NoStep { rows, batch: training.batch_size.min(rows) })?;
    match member.total_steps() {
        steps if steps > u64::from(u32::MAX) => Err(TrainError::TooLong { steps }),
        _ => Ok(member),
    }
}

/// Whether a member's roles of memory are within offsets of 32 bits.
///
/// # Errors
/// [`TrainError::TooLarge`] if not.
pub fn check_size(training: &Training, loss: Loss, inputs: usize, rows: usize) -> Result<(), TrainError> {
    let widths: Vec<u128> = ([inputs].iter().chain(&training.network.hidden).chain(&[loss.outputs()]))
        .map(|&units| units as u128)
        .collect();
    let weights: u128 = widths.windows(2).map(|pair| (pair[0] + 3) * (pair[1] + 4)).sum();
    let batch = training.batch_size.min(rows).max(256) as u128;
    for (what, elements) in
        [("weights and moments", 2 * weights), ("activations", batch * widths.iter().sum::<u128>())]
    {
        if elements > u128::from(u32::MAX) {
            return Err(TrainError::TooLarge { what, elements });
        }
    }
    Ok(())
}
