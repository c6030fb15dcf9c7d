//! How large a member may be.

use super::{EVALUATION_ROWS, Loss};
use crate::spec::Training;

/// A member does not fit offsets of 32 bits.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the network needs {elements} numbers for its {what}, the limit is {}; use fewer or smaller --hidden layers{}",
    u32::MAX, if *what == "activations" { ", or a smaller --batch-size" } else { "" }
)]
pub struct TooLarge {
    what: &'static str,
    elements: u128,
}

/// Whether each role of memory of a member that trains on `rows` rows of `inputs` features is within offsets of 32 bits.
///
/// # Errors
/// If not.
pub fn check_size(training: &Training, loss: Loss, inputs: usize, rows: usize) -> Result<(), TooLarge> {
    let widths: Vec<u128> = ([inputs].iter().chain(&training.network.hidden).chain(&[loss.outputs()]))
        .map(|&units| units as u128)
        .collect();
    let weights: u128 = widths.windows(2).map(|pair| (pair[0] + 3) * (pair[1] + 4)).sum();
    let batch = training.batch_size.min(rows).max(EVALUATION_ROWS) as u128;
    for (what, elements) in
        [("weights and moments", 2 * weights), ("activations", batch * widths.iter().sum::<u128>())]
    {
        if elements > u128::from(u32::MAX) {
            return Err(TooLarge { what, elements });
        }
    }
    Ok(())
}
