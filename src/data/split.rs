//! Splits rows into training, validation and test parts: stratified, and fixed by the seed alone.
//!
//! A hash of (seed, purpose, row) decides each row's part, so the split does not depend on a generator's version or
//! on the order of execution.

use rayon::prelude::*;

use super::DataError;
use super::raw::Raw;
use crate::spec::Folds;

/// Rows of each part, ascending; with folds, the training rows end with those of the folds but the first, last one first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parts {
    pub train: Vec<usize>,
    pub val: Vec<usize>,
    pub test: Vec<usize>,
    /// See [`Split::folds`](super::Split).
    pub folds: usize,
}

impl Parts {
    /// train | val | test
    pub fn ordered(&self) -> Vec<usize> {
        [&self.train[..], &self.val, &self.test].concat()
    }
}

/// The requested fractions, both in [0, 1).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fractions {
    pub val: f64,
    pub test: f64,
}

impl Fractions {
    /// Refuses values outside [0, 1).
    pub fn check(self) -> Result<Self, DataError> {
        for (flag, value) in [("--val-split", self.val), ("--test-split", self.test)] {
            if !(0.0..1.0).contains(&value) {
                return Err(DataError::setting(
                    format!("{flag} {value}"),
                    "expected a fraction of the rows, 0 or more and less than 1",
                    "0.1 is usual; 0 leaves the part empty",
                ));
            }
        }
        Ok(self)
    }
}

/// Splits the rows `kept`; the source's own test and validation parts stay as they are.
pub(crate) fn assign(
    raw: &Raw,
    kept: &[usize],
    class: impl Fn(usize) -> usize,
    fractions: Fractions,
    wanted: Option<Folds>,
    seed: u64,
) -> Parts {
    let [train, val, _] = raw.given.unwrap_or([raw.rows, 0, 0]);
    let mut parts = Parts::default();
    for row in kept {
        match row {
            r if *r < train => parts.train.push(*r),
            r if *r < train + val => parts.val.push(*r),
            r => parts.test.push(*r),
        }
    }
    if parts.test.is_empty() {
        parts.test = take(&mut parts.train, &class, fractions.test, seed, 0);
    }
    if parts.val.is_empty() {
        let mut folds = folds(&mut parts.train, &class, wanted, seed).into_iter();
        parts.folds = folds.len();
        match folds.next() {
            Some(first) => {
                parts.val = first;
                folds.rev().for_each(|fold| parts.train.extend(fold));
            }
            None => parts.val = take(&mut parts.train, &class, fractions.val, seed, 1),
        }
    }
    parts
}

/// Removes the share of each model from `rows`, less if there are not so many, and returns them, each ascending: all of one
/// size, each class in proportion, give or take a row. The only row of a class stays. None if there are not two rows for
/// each model.
fn folds(
    rows: &mut Vec<usize>,
    class: impl Fn(usize) -> usize,
    wanted: Option<Folds>,
    seed: u64,
) -> Vec<Vec<usize>> {
    let Some(Folds { count: models, share }) = wanted.filter(Folds::is_used) else { return Vec::new() };
    let mut of_class = vec![0usize; rows.iter().map(|row| class(*row) + 1).max().unwrap_or(0)];
    rows.iter().for_each(|row| of_class[class(*row)] += 1);
    let (single, several): (Vec<usize>, Vec<usize>) = rows.iter().partition(|row| of_class[class(**row)] < 2);
    if several.len() / 2 < models {
        return Vec::new();
    }
    let size = ((rows.len() as f64 * share).round() as usize).clamp(1, several.len() / models);
    // By class, and within it by the hash: of this order, evenly spaced rows are dealt one by one.
    let mut cards: Vec<(usize, u64, usize)> =
        several.into_iter().map(|row| (class(row), hash(seed, 2, row as u64), row)).collect();
    cards.sort_unstable();
    let dealt_before = |at: usize| (at as u128 * (models * size) as u128 / cards.len() as u128) as usize;
    let mut folds = vec![Vec::with_capacity(size); models];
    *rows = single;
    for (at, (_, _, row)) in cards.iter().enumerate() {
        let nth = dealt_before(at);
        let to = if dealt_before(at + 1) > nth { &mut folds[nth % models] } else { &mut *rows };
        to.push(*row);
    }
    folds.iter_mut().for_each(|fold| fold.sort_unstable());
    rows.sort_unstable();
    folds
}

/// Removes `fraction` of `rows` and returns them, ascending: each class in proportion (largest remainders first), but
/// never its last row. `class` gives a row's class (all 0 for a regression).
///
/// A fraction above 0 takes at least one row if there are three or more.
pub(crate) fn take(
    rows: &mut Vec<usize>,
    class: impl Fn(usize) -> usize,
    fraction: f64,
    seed: u64,
    purpose: u64,
) -> Vec<usize> {
    let mut wanted = (rows.len() as f64 * fraction).round() as usize;
    if fraction > 0.0 && rows.len() >= 3 {
        wanted = wanted.max(1);
    }
    let n_classes = rows.iter().map(|row| class(*row) + 1).max().unwrap_or(0);
    let mut of_class = vec![Vec::new(); n_classes];
    for row in rows.iter() {
        of_class[class(*row)].push(*row);
    }
    let exact: Vec<f64> = of_class.iter().map(|r| r.len() as f64 * fraction).collect();
    let mut counts: Vec<usize> = exact.iter().map(|e| e.floor() as usize).collect();
    let mut order: Vec<usize> = (0..n_classes).filter(|c| !of_class[*c].is_empty()).collect();
    order.sort_by(|a, b| (exact[*b].fract()).total_cmp(&exact[*a].fract()).then(a.cmp(b)));
    let mut missing = wanted.saturating_sub(counts.iter().sum());
    while missing > 0 {
        let before = missing;
        for c in &order {
            if missing > 0 && counts[*c] + 1 < of_class[*c].len() {
                counts[*c] += 1;
                missing -= 1;
            }
        }
        if missing == before {
            break;
        }
    }
    let mut taken = Vec::with_capacity(wanted);
    for (rows, count) in of_class.iter().zip(counts) {
        let count = count.min(rows.len().saturating_sub(1));
        if count > 0 {
            let key = |row: &usize| (hash(seed, purpose, *row as u64), *row);
            // Hashes are uniform, so nearly all rows that are not taken are seen at once not to be.
            let share = count as f64 / rows.len() as f64;
            let limit = ((1.02 * share + 0.001) * 2f64.powi(64)) as u64;
            let mut keys: Vec<(u64, usize)> =
                rows.par_iter().map(key).filter(|(hash, _)| *hash <= limit).collect();
            if keys.len() <= count {
                keys = rows.par_iter().map(key).collect();
            }
            keys.select_nth_unstable(count);
            taken.extend(keys[..count].iter().map(|(_, row)| row));
        }
    }
    taken.sort_unstable();
    rows.sort_unstable();
    let mut next = taken.iter().copied().peekable();
    rows.retain(|row| next.next_if_eq(row).is_none());
    taken
}

/// SplitMix64's finaliser (Steele, Lea & Flood 2014) over seed, purpose and index in turn.
fn hash(seed: u64, purpose: u64, index: u64) -> u64 {
    fn mix(mut z: u64) -> u64 {
        z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    mix(mix(mix(seed) ^ purpose) ^ index)
}

#[cfg(test)]
mod tests {
    use super::super::{Part, Split};
    use super::*;

    #[test]
    fn every_row_is_in_one_part_and_classes_keep_their_share() {
        for seed in 0..50 {
            let n = 40 + 37 * seed as usize;
            let class = |row: usize| usize::from(row.is_multiple_of(10));
            let mut train: Vec<usize> = (0..n).collect();
            let test = take(&mut train, class, 0.2, seed, 0);
            let val = take(&mut train, class, 0.1, seed, 1);
            let mut all = [&train[..], &val, &test].concat();
            all.sort_unstable();
            assert_eq!(all, (0..n).collect::<Vec<_>>());
            assert_eq!(test.len(), (n as f64 * 0.2).round() as usize);
            let share = test.iter().filter(|r| class(**r) == 1).count() as f64 / test.len() as f64;
            assert!((share - 0.1).abs() <= 1.0 / test.len() as f64 + 0.01, "{share} of {n}");
        }
    }

    #[test]
    fn the_split_depends_on_the_seed_alone() {
        let draw = |seed| take(&mut (0..1000).collect(), |_| 0, 0.1, seed, 0);
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
        // Golden: a later version must draw the same rows, or `eval` would test on rows that were trained on.
        assert_eq!(&draw(0)[..5], [24, 28, 54, 85, 86]);
    }

    #[test]
    fn the_rows_with_the_least_hashes_are_taken() {
        for (n, fraction) in [(3, 0.1), (50, 0.02), (5000, 0.001), (20_000, 0.1), (20_000, 0.5), (999, 0.99)]
        {
            let mut rows: Vec<usize> = (0..n).collect();
            let taken = take(&mut rows, |_| 0, fraction, 7, 1);
            let mut all: Vec<usize> = (0..n).collect();
            all.sort_by_key(|row| hash(7, 1, *row as u64));
            let mut expected = all[..taken.len()].to_vec();
            expected.sort_unstable();
            assert_eq!(taken, expected, "{fraction} of {n}");
            let wanted = ((n as f64 * fraction).round() as usize).clamp(1, n - 1);
            assert_eq!(taken.len(), wanted, "{fraction} of {n}");
        }
    }

    #[test]
    fn folds_are_of_one_size_and_share_no_row_and_keep_the_shares_of_classes() {
        // The first class, the last one, and one row in 25 are the rarest.
        let classes: [fn(usize) -> usize; 3] = [
            |row| usize::from(!row.is_multiple_of(5)),
            |row| usize::from(row.is_multiple_of(5)),
            |row| [2, 0, 1, 0, 1][row % 5] * usize::from(!row.is_multiple_of(2)) + usize::from(row % 25 == 7),
        ];
        for (n, share, models, size) in [
            (100, 0.1, 8, 10),
            (103, 0.1, 8, 10),
            (1000, 0.05, 24, 41),
            (17, 0.1, 8, 2),
            (824, 0.05, 8, 41),
            (1617, 0.05, 8, 81),
            (9011, 0.05, 8, 451),
            (1000, 0.34, 2, 340),
            (1000, 0.5, 2, 500),
        ] {
            for class in classes {
                let mut train: Vec<usize> = (0..n).collect();
                let folds = folds(&mut train, class, Some(Folds { count: models, share }), 3);
                assert_eq!(folds.len(), models, "{n}");
                for fold in &folds {
                    assert_eq!(fold.len(), size, "{n}");
                    assert!(fold.is_sorted());
                    for kind in 0..3 {
                        let found = fold.iter().filter(|row| class(**row) == kind).count() as f64;
                        let expected =
                            (0..n).filter(|row| class(*row) == kind).count() as f64 * size as f64 / n as f64;
                        assert!((found - expected).abs() <= 1.5, "{found}, not {expected}: {share} of {n}");
                    }
                }
                let mut all = [train, folds.concat()].concat();
                all.sort_unstable();
                assert_eq!(all, (0..n).collect::<Vec<_>>());
            }
            let split = Split { train: n - size, val: size, test: 5, folds: models };
            let mut held_out: Vec<usize> = (0..models).flat_map(|nth| split.held_out(nth)).collect();
            held_out.sort_unstable();
            assert_eq!(held_out, split.validated().collect::<Vec<_>>());
            assert_eq!(split.held_out(0), split.range(Part::Val));
        }
        // Golden, as for the split.
        let two = Folds { count: 2, share: 0.005 };
        assert_eq!(folds(&mut (0..1000).collect(), |_| 0, Some(two), 0), GOLDEN);
        for (n, share, models) in
            [(15, 0.1, 8), (100, 0.0, 8), (100, 0.1, 1), (100, 0.1, 0), (9, 0.1, usize::MAX)]
        {
            let mut train: Vec<usize> = (0..n).collect();
            assert!(folds(&mut train, |_| 0, Some(Folds { count: models, share }), 3).is_empty());
            assert_eq!(train.len(), n);
        }
        // A class of one row is learned by all.
        let mut train: Vec<usize> = (0..100).collect();
        let halves = Folds { count: 2, share: 0.5 };
        let found = folds(&mut train, |row| usize::from(row == 42), Some(halves), 3);
        assert!(!found.concat().contains(&42) && train.contains(&42));
    }

    /// Every second of the rows 99, 199, ... in the order of their hashes, by a program in Python.
    const GOLDEN: [[usize; 5]; 2] = [[31, 273, 292, 303, 329], [173, 175, 258, 525, 986]];

    #[test]
    fn no_class_loses_its_last_row() {
        let mut train = vec![0, 1, 2, 3];
        let test = take(&mut train, |row| row, 0.5, 0, 0);
        assert_eq!((train.len(), test.len()), (4, 0));
        let mut none: Vec<usize> = Vec::new();
        assert!(take(&mut none, |_| 0, 0.5, 0, 0).is_empty());
    }
}
