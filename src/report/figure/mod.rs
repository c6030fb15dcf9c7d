//! Figures as data; [`svg()`] and [`png()`] draw them.

mod axis;
mod png;
mod svg;

pub use axis::Axis;
pub use png::{PngError, png};
pub use svg::{Theme, svg};

use super::language::Text;

/// Panels side by side, with one legend for all.
#[derive(Clone, Debug, Default)]
pub struct Figure {
    pub panels: Vec<Panel>,
    /// Panels in a row.
    pub columns: usize,
}

/// One pair of axes.
#[derive(Clone, Debug)]
pub struct Panel {
    pub title: Text,
    pub x: Axis,
    pub y: Axis,
    /// Later ones are drawn over earlier ones.
    pub series: Vec<Series>,
}

/// One series of a panel. Series of the same name share a legend entry and should share a colour.
#[derive(Clone, Debug)]
pub struct Series {
    /// Empty: not in the legend.
    pub name: Text,
    pub colour: Colour,
    pub shape: Shape,
}

/// How a series is drawn. A point leaves a gap if a coordinate is not finite, or not above 0 on a logarithmic axis.
#[derive(Clone, Debug)]
pub enum Shape {
    Line(Vec<(f64, f64)>),
    Dashed(Vec<(f64, f64)>),
    /// A line with a disc at each point.
    Dots(Vec<(f64, f64)>),
    /// A dashed line with an open circle at each point.
    Circles(Vec<(f64, f64)>),
    /// Between two curves: (x, lower, upper).
    Band(Vec<(f64, f64, f64)>),
}

/// The colour-blind-safe palette of Okabe & Ito (2008), and grey.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Colour {
    Blue,
    Vermillion,
    Green,
    Orange,
    Purple,
    Sky,
    Grey,
}

impl Colour {
    /// The colours of numbered series, in order.
    pub const CYCLE: [Colour; 6] =
        [Colour::Blue, Colour::Vermillion, Colour::Green, Colour::Orange, Colour::Purple, Colour::Sky];

    /// The colour of series number `at`.
    pub fn nth(at: usize) -> Colour {
        Self::CYCLE[at % Self::CYCLE.len()]
    }
}

impl Shape {
    /// All points; for a band, those of both edges.
    fn points(&self) -> Vec<(f64, f64)> {
        match self {
            Shape::Line(points) | Shape::Dashed(points) | Shape::Dots(points) | Shape::Circles(points) => {
                points.clone()
            }
            Shape::Band(points) => points.iter().flat_map(|&(x, low, high)| [(x, low), (x, high)]).collect(),
        }
    }
}

impl Panel {
    /// A panel without series.
    pub fn new(title: Text, x: Axis, y: Axis) -> Panel {
        Panel { title, x, y, series: Vec::new() }
    }

    /// The y of every point.
    pub fn heights(&self) -> impl Iterator<Item = f64> {
        self.series.iter().flat_map(|series| series.shape.points()).map(|(_, y)| y)
    }

    /// Adds a series.
    #[must_use]
    pub fn with(mut self, name: Text, colour: Colour, shape: Shape) -> Panel {
        self.series.push(Series { name, colour, shape });
        self
    }
}

#[cfg(test)]
mod tests;
