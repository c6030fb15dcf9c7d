//! Limits on the size of a member.

use super::{EVALUATION_ROWS, Features, Loss};
use crate::spec::Training;

/// A member exceeds 32-bit offsets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the network needs {elements} numbers for its {what}, but the limit is {}; use fewer or smaller --hidden layers{}",
    u32::MAX, if *what == "activations" { ", or a smaller --batch-size" } else { "" }
)]
pub struct TooLarge {
    what: &'static str,
    elements: u128,
}

/// Checks that the memory roles of a member that trains on `rows` rows of these features fit 32-bit offsets.
///
/// # Errors
/// [`TooLarge`] if one does not.
pub fn check_size<'a>(
    training: &Training,
    loss: Loss,
    features: impl Into<Features<'a>>,
    rows: usize,
) -> Result<(), TooLarge> {
    let inputs = features.into().inputs(training.network.embed);
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
