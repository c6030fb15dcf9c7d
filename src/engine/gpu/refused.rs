//! Kernels that a device refused, and the ways around them.
//!
//! A driver's compiler may refuse a kernel in one layout and accept it in another. All layouts give the same bits
//! (`tiles`), so the engine uses another one and reports it. The device fails only if no layout is left.

use std::iter::once;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};

use super::kernels::{Fused, Kernel};
use super::tiles::{Abilities, Shape, Tile, Ways};

/// A kernel that a device refused in one layout.
#[derive(Clone, Debug)]
struct Refusal {
    kernel: Kernel,
    tile: Option<Tile>,
    reason: String,
}

/// The kernels that an adapter has refused so far. Clones share one list, so a reopened device avoids the same kernels.
#[derive(Clone, Debug, Default)]
pub(super) struct Refused(Arc<Mutex<Vec<Refusal>>>);

impl Refused {
    fn list(&self) -> MutexGuard<'_, Vec<Refusal>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a kernel in a layout, with the driver's reason.
    pub fn add(&self, kernel: Kernel, tile: Option<Tile>, reason: &str) {
        let reason = brief(reason);
        log::info!("refused: the kernel '{}'{}: {reason}", kernel.name(), layout(tile));
        self.list().push(Refusal { kernel, tile, reason });
    }

    /// `ways` without the refused kernels: first with other tiles, then with separate kernels instead of fused ones.
    /// None if nothing is left.
    pub fn around(&self, ways: Ways, can: &Abilities) -> Option<Ways> {
        around(ways, &self.list(), can)
    }

    /// The refused kernels and the reasons, in one line, from the refusal `first` on.
    pub fn describe(&self, first: usize) -> String {
        let list = self.list();
        let one = |r: &Refusal| format!("the kernel '{}'{} ({})", r.kernel.name(), layout(r.tile), r.reason);
        list.iter().skip(first).map(one).collect::<Vec<_>>().join(", ")
    }

    /// Number of refusals.
    pub fn len(&self) -> usize {
        self.list().len()
    }

    /// The list for `env.json`; none if nothing was refused.
    pub fn details(&self) -> Option<Value> {
        let one = |r: &Refusal| json!({ "kernel": r.kernel.name(), "tile": r.tile, "reason": r.reason });
        let all: Vec<Value> = self.list().iter().map(one).collect();
        (!all.is_empty()).then_some(Value::Array(all))
    }
}

/// See [`Refused::around`]. A refused kernel without layouts is not avoided here.
fn around(ways: Ways, refused: &[Refusal], can: &Abilities) -> Option<Ways> {
    // Separates as few operations as possible.
    let fused = [ways, Ways { fused_weights: 0, ..ways }, Ways { fused_rows: 0, ..ways }, ways.separate()];
    fused.into_iter().find_map(|ways| {
        let runs = |kernel: Kernel| match kernel.fuses() {
            Some(Fused::Rows) => ways.fused_rows > 0,
            Some(Fused::Weights) => ways.fused_weights > 0,
            None => true,
        };
        let tile = |shape: Shape| {
            let is_refused = |tile: &Tile| {
                let same = |r: &Refusal| r.kernel.definition().shape == Some(shape) && r.tile == Some(*tile);
                refused.iter().any(|r| same(r) && runs(r.kernel))
            };
            once(ways.tile(shape)).chain(Tile::candidates(shape, can)).find(|tile| !is_refused(tile))
        };
        let (product, features) = (tile(Shape::Product)?, tile(Shape::Features)?);
        let (output, block) = (tile(Shape::Output)?, tile(Shape::Block)?);
        Some(Ways { product, features, output, block, ..ways })
    })
}

/// The differences of `after` from `before`, for messages.
pub(super) fn difference(before: &Ways, after: &Ways) -> String {
    let tile = |shape: Shape| {
        let name = match shape {
            Shape::Product => "products",
            Shape::Features => "features",
            Shape::Output => "outputs",
            Shape::Block => "blocks of weights",
        };
        let (was, is) = (before.tile(shape), after.tile(shape));
        (was != is).then(|| format!("{name}{}", layout(Some(is))))
    };
    let rows =
        (before.fused_rows != after.fused_rows).then(|| "products and batch norm by separate kernels".into());
    let weights = (before.fused_weights != after.fused_weights)
        .then(|| "gradients and optimiser by separate kernels".into());
    Shape::ALL.into_iter().filter_map(tile).chain(rows).chain(weights).collect::<Vec<_>>().join(", ")
}

/// " in 8x8 lanes of 8x8 depth 16"; empty for a kernel without layouts.
fn layout(tile: Option<Tile>) -> String {
    tile.map_or_else(String::new, |tile| format!(" in {tile}"))
}

/// Characters of a driver's message that are kept.
const BRIEF: usize = 300;

/// A driver's message on one line, shortened.
pub(crate) fn brief(reason: &str) -> String {
    let line = reason.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(BRIEF) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAN: Abilities = Abilities { software: false, subgroup: Some(32), cooperative: None, bindings: 16 };

    fn refused(kernels: &[(&str, Option<Tile>)]) -> Vec<Refusal> {
        let one = |&(name, tile): &(&str, Option<Tile>)| {
            let kernel = *Kernel::ALL.iter().find(|kernel| kernel.name() == name).expect(name);
            Refusal { kernel, tile, reason: "a test".into() }
        };
        kernels.iter().map(one).collect()
    }

    #[test]
    fn a_refused_tile_leads_to_the_next_candidate_and_leaves_the_rest() {
        let usual = Ways::usual(&CAN);
        let products = Tile::candidates(Shape::Product, &CAN);
        assert_eq!(around(usual, &[], &CAN), Some(usual));
        let first = refused(&[("matmul forward", Some(products[0]))]);
        assert_eq!(around(usual, &first, &CAN), Some(Ways { product: products[1], ..usual }));
        let three = refused(&[
            ("matmul forward", Some(products[0])),
            ("matmul backward input", Some(products[1])),
            ("matmul forward", Some(products[2])),
        ]);
        assert_eq!(around(usual, &three, &CAN), Some(Ways { product: products[3], ..usual }));
    }

    #[test]
    fn a_fused_kernel_without_a_tile_leads_to_separate_kernels() {
        let usual = Ways::usual(&CAN);
        let all = |name: &'static str, shape: Shape| -> Vec<(&str, Option<Tile>)> {
            Tile::candidates(shape, &CAN).into_iter().map(|tile| (name, Some(tile))).collect()
        };
        let descent = refused(&all("descent", Shape::Block));
        assert_eq!(around(usual, &descent, &CAN), Some(Ways { fused_weights: 0, ..usual }));
        for (name, shape) in [
            ("hidden", Shape::Features),
            ("hidden inference", Shape::Features),
            ("hidden backward", Shape::Features),
            ("output", Shape::Output),
        ] {
            let rows = refused(&all(name, shape));
            assert_eq!(around(usual, &rows, &CAN), Some(Ways { fused_rows: 0, ..usual }), "{name}");
            let both = [rows, descent.clone()].concat();
            assert_eq!(around(usual, &both, &CAN), Some(usual.separate()), "{name}");
        }
    }

    #[test]
    fn no_ways_are_left_if_a_separate_kernel_has_no_tile() {
        let usual = Ways::usual(&CAN);
        let all: Vec<_> = Tile::candidates(Shape::Features, &CAN)
            .into_iter()
            .map(|tile| ("batch norm backward", Some(tile)))
            .collect();
        assert_eq!(around(usual, &refused(&all), &CAN), None);
        assert!(around(usual, &refused(&all[1..]), &CAN).is_some());
    }

    #[test]
    fn a_long_message_of_a_driver_becomes_one_short_line() {
        assert_eq!(brief(" error X3663:\n   thread sync\n"), "error X3663: thread sync");
        let long = brief(&"é\n".repeat(1000));
        assert_eq!((long.chars().count(), long.contains('\n')), (BRIEF + 1, false));
    }
}
