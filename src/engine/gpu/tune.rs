//! Finds the fastest ways for a device by measurement, and stores them in the cache folder for its adapter and driver.
//!
//! Ways do not change the bits of any result (`tiles`), so losing the file costs only time.

use std::path::{Path, PathBuf};
use std::{fs, io};

use serde::{Deserialize, Serialize};

use super::cache::{self, place};
use super::tiles::{Abilities, Shape, Tile, Ways};
use crate::engine::EngineError;

/// The contents of a file.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    /// Version of the program, as kernels change.
    version: String,
    adapter: String,
    driver: String,
    ways: Ways,
}

/// The stored ways of a device; none if there are none, or the file cannot be used.
pub(super) fn kept(adapter: &str, driver: &str, can: &Abilities) -> Option<Ways> {
    let path = place(adapter, driver, kind(can))?;
    match read(&path, adapter, driver, can) {
        Ok(ways) => {
            log::info!("{adapter}: tuned by {}", path.display());
            Some(ways)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            log::warn!("{}: {error}; ignored; `bngpu bench --tune` rebuilds it", path.display());
            None
        }
    }
}

/// The extension of the file.
fn kind(can: &Abilities) -> &'static str {
    if can.cooperative.is_some() { "f16.json" } else { "json" }
}

fn read(path: &Path, adapter: &str, driver: &str, can: &Abilities) -> io::Result<Ways> {
    let bad = |what: &str| io::Error::new(io::ErrorKind::InvalidData, what.to_string());
    let kept: Kept = serde_json::from_slice(&fs::read(path)?)
        .map_err(|e| bad(&format!("is damaged, or of another version: {e}")))?;
    if (&*kept.version, &*kept.adapter, &*kept.driver) != (env!("CARGO_PKG_VERSION"), adapter, driver) {
        return Err(bad("is of another version, adapter or driver"));
    }
    // Accepts only ways that tuning can find: a kernel of other sizes might not even compile.
    if !kept.ways.suit(can) {
        return Err(bad("names ways that this device does not have"));
    }
    Ok(kept.ways)
}

/// Stores the ways of a device.
///
/// # Errors
/// Errors of the file system.
pub(super) fn keep(adapter: &str, driver: &str, can: &Abilities, ways: Ways) -> io::Result<Option<PathBuf>> {
    let Some(path) = place(adapter, driver, kind(can)) else { return Ok(None) };
    let (adapter, driver) = (adapter.into(), driver.into());
    let kept = Kept { version: env!("CARGO_PKG_VERSION").into(), adapter, driver, ways };
    let text = serde_json::to_string_pretty(&kept).map_err(io::Error::other)?;
    cache::keep(&path, text.as_bytes())?;
    Ok(Some(path))
}

/// Relative saving of time from which other ways count as better.
const BETTER: f64 = 0.97;

/// The alternatives of one choice.
type Choice = fn(Ways, &Abilities) -> Vec<Ways>;

/// Finds the best ways, starting from the usual ones, one choice at a time. `measure` returns the seconds and the ways
/// that ran, which differ if the device refused a kernel.
///
/// # Errors
/// An error of the first measurement; ways that fail later are skipped.
pub(super) fn search(
    can: &Abilities,
    measure: &mut dyn FnMut(Ways) -> Result<(Ways, f64), EngineError>,
) -> Result<Ways, EngineError> {
    let (mut best, mut seconds) = measure(Ways::usual(can))?;
    log::info!("{seconds:.4} ms by {best}");
    let choices: [Choice; 6] = [
        |w, c| Tile::candidates(Shape::Product, c).into_iter().map(|product| Ways { product, ..w }).collect(),
        |w, c| {
            Tile::candidates(Shape::Features, c).into_iter().map(|features| Ways { features, ..w }).collect()
        },
        |w, c| Tile::candidates(Shape::Output, c).into_iter().map(|output| Ways { output, ..w }).collect(),
        |w, c| Tile::candidates(Shape::Block, c).into_iter().map(|block| Ways { block, ..w }).collect(),
        |w, _| [0, 64, 128, 256, 1024].map(|fused_rows| Ways { fused_rows, ..w }).to_vec(),
        |w, _| [0, 1 << 16, 1 << 19, usize::MAX].map(|fused_weights| Ways { fused_weights, ..w }).to_vec(),
    ];
    for choice in choices {
        for ways in choice(best, can).into_iter().filter(|ways| ways.suit(can)) {
            if ways == best {
                continue;
            }
            let measured = measure(ways);
            if let Ok((ran, took)) = measured {
                log::info!("{took:.4} ms by {ran}");
            }
            match measured {
                Ok((ran, took)) if took < BETTER * seconds => (best, seconds) = (ran, took),
                Ok(_) => {}
                Err(error) => log::info!("{ways}: {error}"),
            }
        }
    }
    Ok(best)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAN: Abilities = Abilities { software: true, subgroup: Some(8), cooperative: None, bindings: 16 };

    #[test]
    fn damaged_files_and_files_of_other_devices_are_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("kept.json");
        let kept = |ways| Kept {
            version: env!("CARGO_PKG_VERSION").into(),
            adapter: "A".into(),
            driver: "D".into(),
            ways,
        };
        let text = serde_json::to_string(&kept(Ways::usual(&CAN))).expect("JSON");
        let check = |text: &str| {
            fs::write(&path, text).expect("writes");
            read(&path, "A", "D", &CAN)
        };
        assert_eq!(check(&text).expect("is whole"), Ways::usual(&CAN));
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
        let product = Tile::candidates(Shape::Product, &CAN)[5];
        let mut measured = 0;
        let found = search(&CAN, &mut |ways| {
            measured += 1;
            if ways.fused_rows == 0 {
                return Err(EngineError::Refused {
                    device: "D".into(),
                    what: "W".into(),
                    reason: "R".into(),
                });
            }
            let factor = if ways.product == product { 0.5 } else { 1.0 };
            Ok((ways, factor * if ways.fused_weights == 1 << 16 { 0.9 } else { 1.0 }))
        });
        assert_eq!(found.expect("is found"), Ways { product, fused_weights: 1 << 16, ..Ways::usual(&CAN) });
        assert!(measured > 12, "{measured}");
    }

    #[test]
    fn the_search_keeps_the_ways_that_ran_not_those_that_were_refused() {
        let tiles = Tile::candidates(Shape::Product, &CAN);
        // The device accepts products only with the last tile.
        let ran = |ways| Ways { product: tiles[tiles.len() - 1], ..ways };
        let found = search(&CAN, &mut |ways| Ok((ran(ways), if ways.fused_rows == 64 { 0.5 } else { 1.0 })));
        assert_eq!(found.expect("is found"), Ways { fused_rows: 64, ..ran(Ways::usual(&CAN)) });
    }
}
