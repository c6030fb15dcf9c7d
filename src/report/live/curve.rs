//! A learning curve of bounded length.

/// Maximum number of points kept.
const MOST: usize = 96;

/// Values over epochs. A long curve keeps every second, fourth, ... epoch, and always the latest.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Curve {
    points: Vec<(f64, f64)>,
    /// Epochs from one kept point to the next; 0 means 1.
    stride: u64,
    /// Whether the last point is kept only as the latest: its epoch is no multiple of the stride.
    passing: bool,
}

impl Curve {
    /// Adds the value of an epoch. Ignores non-finite values, and epochs that are not after the last.
    pub fn push(&mut self, epoch: u64, value: f64) {
        let after = self.points.last().is_none_or(|&(last, _)| last < epoch as f64);
        if !value.is_finite() || !after {
            return;
        }
        if self.passing {
            self.points.pop();
        }
        self.points.push((epoch as f64, value));
        self.passing = self.points.len() > 1 && !epoch.is_multiple_of(self.stride.max(1));
        if self.points.len() > MOST {
            self.thin();
        }
    }

    fn thin(&mut self) {
        self.stride = 2 * self.stride.max(1);
        let (stride, last) = (self.stride as f64, self.points.len() - 1);
        let mut at = 0;
        self.points.retain(|&(epoch, _)| {
            at += 1;
            at == 1 || at == last + 1 || epoch % stride == 0.0
        });
        self.passing = self.points.last().is_some_and(|&(epoch, _)| epoch % stride != 0.0);
    }

    /// (epoch, value), ascending.
    pub fn points(&self) -> &[(f64, f64)] {
        &self.points
    }
}

impl FromIterator<(u64, f64)> for Curve {
    fn from_iter<I: IntoIterator<Item = (u64, f64)>>(points: I) -> Curve {
        let mut curve = Curve::default();
        points.into_iter().for_each(|(epoch, value)| curve.push(epoch, value));
        curve
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_keeps_its_first_and_its_latest_point_and_stays_short() {
        let mut curve = Curve::default();
        for epoch in 1..=100_000 {
            curve.push(epoch, 1.0 / epoch as f64);
            let points = curve.points();
            assert_eq!(points[0], (1.0, 1.0));
            assert_eq!(*points.last().unwrap(), (epoch as f64, 1.0 / epoch as f64));
            assert!(points.len() <= MOST && (epoch < 90 || points.len() >= MOST / 3), "{}", points.len());
        }
        assert!(curve.points().windows(2).all(|pair| pair[0].0 < pair[1].0));
        // All gaps but those at the ends are the stride.
        let points = curve.points();
        let gaps = points[1..points.len() - 1].windows(2).map(|pair| pair[1].0 - pair[0].0);
        assert!(gaps.into_iter().all(|gap| gap == curve.stride as f64));
    }

    #[test]
    fn a_short_curve_keeps_every_finite_value() {
        let values = [1.0, f64::NAN, 0.5, f64::INFINITY, 0.25];
        let curve: Curve = (1..).zip(values).collect();
        assert_eq!(curve.points(), [(1.0, 1.0), (3.0, 0.5), (5.0, 0.25)]);
        let again: Curve = [(1, 1.0), (2, 0.5), (2, 0.4), (1, 0.3)].into_iter().collect();
        assert_eq!(again.points(), [(1.0, 1.0), (2.0, 0.5)]);
    }
}
