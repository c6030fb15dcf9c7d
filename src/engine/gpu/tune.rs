//! Which ways suit a device best, found by a stopwatch and kept in the cache folder for its adapter and driver.
//!
//! Whatever is found changes no bit of any result (`tiles`), so nothing is lost with the file.

use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::{Deserialize, Serialize};

use super::Device;
use super::cache::{self, place};
use super::tiles::{Shape, Tile, Ways};
use crate::engine::EngineError;

/// What a file holds.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    /// Of the program: kernels change.
    version: String,
    adapter: String,
    driver: String,
    ways: Ways,
}

/// The ways that were found for a device; none if nothing was, or what stands there cannot be used.
pub(super) fn kept(adapter: &str, driver: &str, subgroup: Option<u32>, bindings: usize) -> Option<Ways> {
    let path = place(adapter, driver, "json")?;
    match read(&path, adapter, driver, subgroup, bindings) {
        Ok(ways) => {
            log::info!("{adapter}: tuned by {}", path.display());
            Some(ways)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            log::warn!("{}: {error}; it is left aside, `bngpu bench --tune` makes it anew", path.display());
            None
        }
    }
}

fn read(
    path: &Path,
    adapter: &str,
    driver: &str,
    subgroup: Option<u32>,
    bindings: usize,
) -> io::Result<Ways> {
    let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_string());
    let kept: Kept = serde_json::from_slice(&fs::read(path)?)
        .map_err(|e| bad(&format!("is damaged, or of another version: {e}")))?;
    if (&*kept.version, &*kept.adapter, &*kept.driver) != (env!("CARGO_PKG_VERSION"), adapter, driver) {
        return Err(bad("is of another version, adapter or driver"));
    }
    // Nothing but what could have been found: a kernel of other sizes might not even compile.
    let known = |shape: Shape| Tile::candidates(shape, subgroup).contains(&kept.ways.tile(shape));
    if !Shape::ALL.into_iter().all(known) || kept.ways.bindings != bindings {
        return Err(bad("names ways that this device does not have"));
    }
    Ok(kept.ways)
}

/// Keeps the ways of a device.
///
/// # Errors
/// The file system's.
pub(super) fn keep(device: &Device, ways: Ways) -> io::Result<Option<PathBuf>> {
    let (adapter, driver) = (device.info.device.clone(), device.driver.clone());
    let Some(path) = place(&adapter, &driver, "json") else { return Ok(None) };
    let kept = Kept { version: env!("CARGO_PKG_VERSION").into(), adapter, driver, ways };
    let text = serde_json::to_string_pretty(&kept).map_err(io::Error::other)?;
    cache::keep(&path, text.as_bytes())?;
    Ok(Some(path))
}

/// How much less time another way must take to be better.
const BETTER: f64 = 0.97;

/// What one choice could be otherwise, where subgroups have a size.
type Choice = fn(Ways, Option<u32>) -> Vec<Ways>;

/// The best ways, from `start`: each choice in turn, by the seconds that `measure` gives for them.
///
/// # Errors
/// Those of the first measurement; ways that fail later are not taken.
pub(super) fn search(
    start: Ways,
    subgroup: Option<u32>,
    measure: &mut dyn FnMut(Ways) -> Result<f64, EngineError>,
) -> Result<Ways, EngineError> {
    let (mut best, mut seconds) = (start, measure(start)?);
    let choices: [Choice; 5] = [
        |w, s| Tile::candidates(Shape::Product, s).into_iter().map(|product| Ways { product, ..w }).collect(),
        |w, s| {
            Tile::candidates(Shape::Features, s).into_iter().map(|features| Ways { features, ..w }).collect()
        },
        |w, s| Tile::candidates(Shape::Block, s).into_iter().map(|block| Ways { block, ..w }).collect(),
        |w, _| [0, 64, 128, 256, 1024].map(|fused_rows| Ways { fused_rows, ..w }).to_vec(),
        |w, _| [0, 1 << 16, 1 << 19, usize::MAX].map(|fused_weights| Ways { fused_weights, ..w }).to_vec(),
    ];
    for choice in choices {
        for ways in choice(best, subgroup) {
            if ways == best {
                continue;
            }
            match measure(ways) {
                Ok(took) if took < BETTER * seconds => (best, seconds) = (ways, took),
                Ok(_) => {}
                Err(error) => log::info!("{ways:?}: {error}"),
            }
        }
    }
    Ok(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn usual() -> Ways {
        Ways::usual(true, Some(8), 16)
    }

    #[test]
    fn what_is_damaged_or_of_another_device_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("kept.json");
        let kept = |ways| Kept {
            version: env!("CARGO_PKG_VERSION").into(),
            adapter: "A".into(),
            driver: "D".into(),
            ways,
        };
        let text = serde_json::to_string(&kept(usual())).expect("JSON");
        let check = |text: &str| {
            fs::write(&path, text).expect("writes");
            read(&path, "A", "D", Some(8), 16)
        };
        assert_eq!(check(&text).expect("is whole"), usual());
        for end in 0..text.len() {
            assert!(check(&text[..end]).is_err(), "the first {end} bytes");
        }
        for (part, other) in
            [("\"A\"", "\"B\""), ("\"D\"", "\"E\""), ("\"columns\":4", "\"columns\":400"), ("16}", "8}")]
        {
            assert!(text.contains(part), "{part} in {text}");
            assert!(check(&text.replace(part, other)).is_err(), "{other} for {part}");
        }
    }

    #[test]
    fn the_search_takes_each_choice_that_saves_time_and_none_that_fails() {
        let product = Tile::candidates(Shape::Product, Some(8))[5];
        let mut measured = 0;
        let found = search(usual(), Some(8), &mut |ways| {
            measured += 1;
            if ways.fused_rows == 0 {
                return Err(EngineError::Refused {
                    device: "D".into(),
                    what: "W".into(),
                    reason: "R".into(),
                });
            }
            let factor = if ways.product == product { 0.5 } else { 1.0 };
            Ok(factor * if ways.fused_weights == 1 << 16 { 0.9 } else { 1.0 })
        });
        assert_eq!(found.expect("is found"), Ways { product, fused_weights: 1 << 16, ..usual() });
        assert!(measured > 12, "{measured}");
    }
}
