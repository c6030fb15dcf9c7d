//! Whether a preprocessing read from a model file can be applied: a file may be whole and still contradict itself.

use std::collections::HashSet;

use super::encode::{ColumnEncoding, Kind, Numbers, code_inputs};
use super::preprocessing::{Inputs, Preprocessing, TrainedOn};
use super::scale::Scale;
use super::target::TargetEncoding;
use super::types::Reading;
use super::{Split, Task};
use crate::spec::{Embed, MAX_ENSEMBLE};

/// Nothing, or what contradicts the rest, to follow "its preprocessing is invalid: ".
type Check = Result<(), String>;

fn ensure(holds: bool, what: impl FnOnce() -> String) -> Check {
    if holds { Ok(()) } else { Err(what()) }
}

impl Preprocessing {
    /// Checks that its parts fit together and its numbers can be computed with.
    ///
    /// # Errors
    /// The first contradiction.
    pub fn check(&self) -> Result<(), String> {
        let Preprocessing { task, inputs, target, trained_on } = self;
        inputs.check()?;
        if let Task::Classify { classes } = task {
            let different: HashSet<&String> = classes.iter().collect();
            ensure(classes.len() >= 2, || format!("{} classes, expected two or more", classes.len()))?;
            ensure(different.len() == classes.len(), || "two classes have the same name".into())?;
        }
        target.check(task)?;
        trained_on.check()
    }
}

impl Inputs {
    fn check(&self) -> Check {
        let (columns, source_columns, named) = match self {
            Inputs::Bytes(scaling) => {
                let (shifts, factors) = (scaling.shift.len(), scaling.factor.len());
                ensure(shifts == factors && shifts > 0, || {
                    format!("{shifts} shifts and {factors} factors of pixels")
                })?;
                let pixels = scaling.shape.map_or(shifts, |shape| shape.len());
                ensure(pixels == shifts, || format!("{shifts} shifts for images of {pixels} numbers"))?;
                let finite = scaling.shift.iter().chain(&scaling.factor).all(|x| x.is_finite());
                return ensure(finite, || "the scale of a pixel is not finite".into());
            }
            Inputs::Columns { columns, source_columns, named, reading: _ } => {
                (columns, *source_columns, *named)
            }
        };
        ensure(!columns.is_empty(), || "no columns".into())?;
        let (mut names, mut positions) = (HashSet::new(), HashSet::new());
        for column in columns {
            let at = column.position;
            column.check()?;
            ensure(at < source_columns, || {
                format!("column {:?} is at position {at} of {source_columns}", column.name)
            })?;
            ensure(positions.insert(at), || format!("two columns are at position {at}"))?;
            ensure(names.insert(&column.name) || !named, || {
                format!("two columns are named {:?}", column.name)
            })?;
        }
        Ok(())
    }
}

impl ColumnEncoding {
    fn check(&self) -> Check {
        let ColumnEncoding { name, position: _, reading, kind, scales, quantiles } = self;
        let wrong = |what: &str| format!("column {name:?}: {what}");
        let (inputs, finite) = match kind {
            Kind::Number(numbers) => (1 + usize::from(numbers.missing), numbers.check(name)?),
            Kind::Date { elapsed, cycles } => {
                let different = (1..cycles.len()).all(|at| !cycles[..at].contains(&cycles[at]));
                ensure(different, || wrong("a part of the calendar is listed twice"))?;
                (1 + 2 * cycles.len() + usize::from(elapsed.missing), elapsed.check(name)?)
            }
            Kind::Category { levels, coded, other, missing } => {
                let different: HashSet<&String> = levels.iter().chain(coded).collect();
                let listed = levels.len() + coded.len();
                ensure(different.len() == listed, || wrong("a category is listed twice"))?;
                (levels.len() + code_inputs(coded) + usize::from(*other) + usize::from(*missing), true)
            }
        };
        let fits = match (kind, reading) {
            (_, None) => !matches!(kind, Kind::Date { .. }),
            (Kind::Number(_), Some(reading)) => {
                matches!(reading, Reading::Number { .. } | Reading::Boolean)
            }
            (Kind::Date { .. }, Some(reading)) => matches!(reading, Reading::Date { .. }),
            (Kind::Category { .. }, Some(reading)) => reading.is_text(),
        };
        ensure(fits, || wrong("it is read as another type than it is encoded"))?;
        let found = scales.len();
        ensure(found == inputs && inputs > 0, || wrong(&format!("{found} scales for {inputs} inputs")))?;
        ensure(finite && scales.iter().all(|scale| scale.is_usable()), || {
            wrong("a number that is not finite")
        })?;
        let expected = if kind.numbers().is_some() { [0, Embed::QUANTILES] } else { [0, 0] };
        let found = quantiles.len();
        ensure(expected.contains(&found), || wrong(&format!("{found} quantiles, expected {}", expected[1])))?;
        let ascend = quantiles.iter().all(|q| q.is_finite()) && quantiles.is_sorted();
        ensure(ascend, || wrong("its quantiles do not ascend"))
    }
}

impl Numbers {
    /// Whether the median is finite.
    fn check(&self, name: &str) -> Result<bool, String> {
        let Numbers { median, missing: _, clip, range } = self;
        let wrong = |what: &str| format!("column {name:?}: {what}");
        ensure(clip.is_none_or(|clip| clip > 0.0 && clip.is_finite()), || wrong("the limit of clipping"))?;
        let ordered = range.is_none_or(|[low, high]| low <= high && low.is_finite() && high.is_finite());
        ensure(ordered, || wrong("the range of its numbers"))?;
        Ok(median.is_finite())
    }
}

impl Scale {
    /// Whether it gives finite numbers.
    fn is_usable(&self) -> bool {
        self.shift.is_finite() && self.factor.is_finite() && self.factor >= 0.0
    }
}

impl TargetEncoding {
    fn check(&self, task: &Task) -> Check {
        let TargetEncoding { name: _, index: _, text: _, reading, scale, clamp, constant } = self;
        let readable = matches!(reading, None | Some(Reading::Number { .. }));
        ensure(readable, || "the target is not read as numbers".into())?;
        let invertible = scale.is_usable() && (1.0 / scale.factor).is_finite();
        ensure(invertible, || format!("the target's scale is {} and {}", scale.shift, scale.factor))?;
        if let Some([low, high]) = clamp {
            ensure(low <= high && low.is_finite() && high.is_finite(), || {
                format!("the range of predictions is {low} to {high}")
            })?;
        }
        let Some(constant) = *constant else { return Ok(()) };
        let known = match task {
            Task::Classify { classes } => constant >= 0.0 && constant < classes.len() as f64,
            Task::Regress => constant.is_finite(),
        };
        ensure(known, || format!("the constant prediction is {constant}"))
    }
}

impl TrainedOn {
    fn check(&self) -> Check {
        let TrainedOn { source: _, content: _, val_split, test_split, val_each, fold, seed: _, split } = self;
        for (name, share) in [("validation", val_split), ("test", test_split)] {
            ensure((0.0..1.0).contains(share), || format!("the share of {name} rows is {share}"))?;
        }
        let Split { train, val, test, folds } = *split;
        let validated = train.saturating_add(val);
        let fits = match val_each {
            None => folds == 0,
            Some(share) => {
                let is_possible =
                    (2..=MAX_ENSEMBLE).contains(&folds) && val > 0 && *share > 0.0 && *share < 1.0;
                is_possible && val <= validated / folds
            }
        };
        ensure(fits, || format!("{folds} folds of {val} rows each, of {validated}"))?;
        let (nth, is_one) = (fold.unwrap_or(0), fold.is_none_or(|nth| nth < folds));
        ensure(is_one, || format!("fold {nth} of {folds}"))?;
        let all = train.checked_add(val).and_then(|rows| rows.checked_add(test));
        ensure(train > 0 && all.is_some_and(|rows| u32::try_from(rows).is_ok()), || {
            format!("{train} training, {val} validation and {test} test rows")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::raw::ImageShape;
    use super::super::scale::ByteScaling;
    use super::*;

    #[test]
    fn images_of_another_size_than_their_scale_are_refused() {
        for (width, height, channels, holds) in [
            (3, 2, 1, true),
            (1, 2, 3, true),
            (0, 2, 1, false),
            (3, 3, 1, false),
            (3, 2, 0, false),
            (u32::MAX, u32::MAX, u8::MAX, false),
        ] {
            let shape = Some(ImageShape { width, height, channels });
            let inputs = Inputs::Bytes(ByteScaling { shape, ..ByteScaling::unit(6, 255) });
            assert_eq!(inputs.check().is_ok(), holds, "{shape:?}");
        }
    }
}
