//! Splits rows into training, validation and test parts: stratified, and fixed by the seed alone.
//!
//! A hash of (seed, purpose, row) decides each row's part, so the split does not depend on a generator's version or
//! on the order of execution.

use rayon::prelude::*;

use super::DataError;
use super::raw::Raw;

/// Rows of each part, ascending.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parts {
    pub train: Vec<usize>,
    pub val: Vec<usize>,
    pub test: Vec<usize>,
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
        parts.val = take(&mut parts.train, &class, fractions.val, seed, 1);
    }
    parts
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
        }
    }

    #[test]
    fn no_class_loses_its_last_row() {
        let mut train = vec![0, 1, 2, 3];
        let test = take(&mut train, |row| row, 0.5, 0, 0);
        assert_eq!((train.len(), test.len()), (4, 0));
        let mut none: Vec<usize> = Vec::new();
        assert!(take(&mut none, |_| 0, 0.5, 0, 0).is_empty());
    }
}
