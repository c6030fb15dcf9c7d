//! The embedded data set: 1,797 handwritten digits of 8x8 pixels, 0 to 16 (see ATTRIBUTION.md).

use std::io::Read;

use flate2::read::GzDecoder;

use super::DataError;
use super::raw::{Raw, RawFeatures, TargetColumn, digest};
use super::table::Column;

const PACKED: &[u8] = include_bytes!("digits.csv.gz");
const PIXELS: usize = 64;

/// The set as bytes `[1797, 64]` with its labels.
pub(crate) fn read() -> Result<Raw, DataError> {
    let damaged = || DataError::file("digits", "the embedded data set is damaged", "build bngpu again");
    let mut text = String::new();
    GzDecoder::new(PACKED).read_to_string(&mut text).map_err(|_| damaged())?;
    let cells: Vec<u8> = text
        .split([',', '\n'])
        .filter(|c| !c.is_empty())
        .map(str::parse::<u8>)
        .collect::<Result<_, _>>()
        .map_err(|_| damaged())?;
    let rows = cells.chunks_exact(PIXELS + 1);
    if rows.len() == 0 || !rows.remainder().is_empty() {
        return Err(damaged());
    }
    let labels = rows.clone().map(|row| f64::from(row[PIXELS])).collect();
    let data: Vec<u8> = rows.clone().flat_map(|row| &row[..PIXELS]).copied().collect();
    Ok(Raw {
        file: "digits".into(),
        rows: rows.len(),
        content: digest(&[&cells]),
        features: RawFeatures::Bytes { data, n_features: PIXELS, full_scale: 16, shape: None },
        target: Some(TargetColumn { name: "label".into(), index: PIXELS, column: Column::Number(labels) }),
        holds_target: false,
        given: None,
        notes: Vec::new(),
        kept: Vec::new(),
        lines: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_set_equals_scikit_learns() {
        let raw = read().unwrap();
        let RawFeatures::Bytes { data, .. } = &raw.features else { panic!("not bytes") };
        assert_eq!((raw.rows, data.len()), (1797, 1797 * 64));
        assert_eq!(&data[..8], &[0, 0, 5, 13, 9, 1, 0, 0]);
        assert_eq!(data.iter().map(|b| u64::from(*b)).sum::<u64>(), 561_718);
        assert!(data.iter().all(|b| *b <= 16));
    }
}
