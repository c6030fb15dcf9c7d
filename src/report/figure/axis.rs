//! One axis: its label, scale, range and ticks.

use crate::report::language::{Lang, Text};

/// Above this number of decades, a logarithmic axis has ticks at powers of ten only.
const FEW_DECADES: f64 = 1.8;
/// Approximate number of ticks of an axis.
const TICKS: f64 = 6.0;

/// An axis of a panel.
#[derive(Clone, Debug)]
pub struct Axis {
    /// Name and unit.
    pub label: Text,
    pub log: bool,
    /// None fits the data.
    pub range: Option<(f64, f64)>,
    /// Named values, shown instead of numbers.
    pub names: Vec<(f64, Text)>,
}

impl Axis {
    /// A linear axis that fits the data.
    pub fn linear(label: Text) -> Axis {
        Axis { label, log: false, range: None, names: Vec::new() }
    }

    /// A logarithmic axis that fits the data.
    pub fn log(label: Text) -> Axis {
        Axis { log: true, ..Axis::linear(label) }
    }

    /// One place for each name, at 0, 1, 2, ...
    pub fn named(label: Text, names: impl IntoIterator<Item = Text>) -> Axis {
        let names: Vec<(f64, Text)> =
            names.into_iter().enumerate().map(|(at, name)| (at as f64, name)).collect();
        let range = Some((-0.5, names.len() as f64 - 0.5));
        Axis { range, names, ..Axis::linear(label) }
    }

    /// Fixes the range: from `low` to `high`.
    #[must_use]
    pub fn within(mut self, low: f64, high: f64) -> Axis {
        self.range = Some((low, high));
        self
    }

    /// The position of a value on the axis, its logarithm on a logarithmic one; none if not finite.
    pub(super) fn place(&self, value: f64) -> Option<f64> {
        let place = if self.log { value.log10() } else { value };
        place.is_finite().then_some(place)
    }

    /// The range of positions that is shown, with a margin around the data.
    pub(super) fn span(&self, values: impl Iterator<Item = f64>) -> (f64, f64) {
        if let Some((low, high)) = self.range
            && let (Some(low), Some(high)) = (self.place(low), self.place(high))
            && low < high
        {
            return (low, high);
        }
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for place in values.filter_map(|value| self.place(value)) {
            (low, high) = (low.min(place), high.max(place));
        }
        if low > high {
            return (0.0, 1.0);
        }
        let margin = if high > low { 0.03 * (high - low) } else { 0.5 };
        (low - margin, high + margin)
    }

    /// Positions and texts of the ticks within `span`.
    pub(super) fn ticks(&self, span: (f64, f64), lang: Lang) -> Vec<(f64, String)> {
        let shown = |place: f64| place >= span.0 - 1e-9 && place <= span.1 + 1e-9;
        if !self.names.is_empty() {
            let named =
                self.names.iter().filter_map(|(at, name)| Some((self.place(*at)?, name.of(lang).to_owned())));
            return named.filter(|(place, _)| shown(*place)).collect();
        }
        if self.log {
            return log_ticks(span).into_iter().filter(|(place, _)| shown(*place)).collect();
        }
        let step = nice((span.1 - span.0) / TICKS);
        let first = (span.0 / step - 1e-9).ceil() as i64;
        let last = (span.1 / step + 1e-9).floor() as i64;
        (first..=last).map(|at| at as f64 * step).map(|value| (value, plain(value, step))).collect()
    }
}

/// Rounds up to 1, 2 or 5 times a power of ten.
fn nice(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * power >= step * (1.0 - 1e-9));
    factor.unwrap_or(10.0) * power
}

/// Powers of ten, every n-th over many decades; over few decades, also 2 and 5 times those.
fn log_ticks(span: (f64, f64)) -> Vec<(f64, String)> {
    let decades = span.1 - span.0;
    let every = (decades / TICKS).ceil().max(1.0) as i32;
    let (first, last) = (span.0.floor() as i32, span.1.ceil() as i32);
    let mut ticks = Vec::new();
    for power in (first..=last).filter(|power| power.rem_euclid(every) == 0) {
        for factor in if decades <= FEW_DECADES { &[1.0, 2.0, 5.0][..] } else { &[1.0] } {
            let place = f64::from(power) + f64::log10(*factor);
            ticks.push((place, power_text(*factor, power)));
        }
    }
    ticks
}

/// `factor · 10^power` as the label of a tick.
fn power_text(factor: f64, power: i32) -> String {
    if (-3..=5).contains(&power) {
        let value = factor * 10f64.powi(power);
        return if power >= 0 {
            crate::base::text::count(value.round() as u64)
        } else {
            format!("{value:.0$}", power.unsigned_abs() as usize)
        };
    }
    let raised: String = power.to_string().chars().map(superscript).collect();
    if factor == 1.0 { format!("10{raised}") } else { format!("{factor}·10{raised}") }
}

fn superscript(c: char) -> char {
    match c {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        digit => digit.to_digit(10).and_then(|d| char::from_u32(0x2070 + d)).unwrap_or(digit),
    }
}

/// A value of a linear axis, with the digits that its step needs.
fn plain(value: f64, step: f64) -> String {
    let decimals = (-step.log10().floor()).clamp(0.0, 9.0) as usize;
    let text = format!("{value:.decimals$}");
    // Thousands are separated in whole numbers.
    let Ok(whole) = text.parse::<i64>() else {
        return if text.trim_start_matches(['-', '0', '.']).is_empty() {
            text.trim_start_matches('-').into()
        } else {
            text
        };
    };
    let sign = if whole < 0 { "-" } else { "" };
    format!("{sign}{}", crate::base::text::count(whole.unsigned_abs()))
}
