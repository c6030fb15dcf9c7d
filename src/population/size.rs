//! Limits on the size of a member.

use super::{EVALUATION_ROWS, Features, Loss};
use crate::spec::{LayerKind, LayerShape, Training};

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
    let layers = training.network.layers(inputs, loss.outputs());
    // W, and vectors of the units, each in whole fours.
    let parameters = |layer: &LayerShape| {
        let [i, o, s] = [layer.inputs, layer.outputs, layer.sub_models].map(|n| n as u128);
        let weights = match layer.kind {
            LayerKind::Scaling => 0,
            LayerKind::Hidden => (i / s) * (o / s),
            LayerKind::Output => i * (o / s),
        };
        weights + i + 3 * o + 12
    };
    let weights: u128 = layers.iter().map(parameters).sum();
    let units: u128 = inputs as u128 + layers.iter().map(|layer| layer.outputs as u128).sum::<u128>();
    let batch = training.batch_size.min(rows).max(EVALUATION_ROWS) as u128;
    for (what, elements) in [("weights and moments", 2 * weights), ("activations", batch * units)] {
        if elements > u128::from(u32::MAX) {
            return Err(TooLarge { what, elements });
        }
    }
    Ok(())
}
