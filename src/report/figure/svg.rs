//! A figure as SVG, by plotters.

use std::borrow::Cow;
use std::collections::HashMap;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, ValueFormatter};
use plotters::element::DashedPathElement;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::{Colour, Figure, Panel, Shape};
use crate::base::text::in_line;
use crate::report::language::{self, Lang};

/// Pixels of a panel.
const PANEL: (u32, u32) = (460, 330);
/// Minimum width of a panel on a page, in pixels; a narrower page scrolls.
const SMALLEST: usize = 320;
/// Pixels of a line of the legend.
const LEGEND_LINE: i32 = 22;
const FONT: f64 = 14.0;
/// Approximate width of a Latin letter as a share of the font size; Chinese characters are square.
const LETTER: f64 = 0.56;

/// Where a figure is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theme {
    /// In its own file, on white.
    File,
    /// In a page whose style sheet defines `--ink`, `--dim`, `--line` and `--blue`, `--vermillion` and so on.
    Page,
}

const INK: RGBColor = RGBColor(0x1a, 0x1d, 0x21);
const DIM: RGBColor = RGBColor(0x5b, 0x64, 0x70);
const LINE: RGBColor = RGBColor(0xdf, 0xe3, 0xe8);

fn rgb(colour: Colour) -> RGBColor {
    match colour {
        Colour::Blue => RGBColor(0x00, 0x72, 0xb2),
        Colour::Vermillion => RGBColor(0xd5, 0x5e, 0x00),
        Colour::Green => RGBColor(0x00, 0x9e, 0x73),
        Colour::Orange => RGBColor(0xe6, 0x9f, 0x00),
        Colour::Purple => RGBColor(0xcc, 0x79, 0xa7),
        Colour::Sky => RGBColor(0x56, 0xb4, 0xe9),
        Colour::Grey => RGBColor(0x8a, 0x92, 0x9c),
    }
}

/// The variable in a page's style sheet for each colour of a file.
const NAMES: [(&str, &str); 10] = [
    ("#1A1D21", "var(--ink)"),
    ("#5B6470", "var(--dim)"),
    ("#DFE3E8", "var(--line)"),
    ("#0072B2", "var(--blue)"),
    ("#D55E00", "var(--vermillion)"),
    ("#009E73", "var(--green)"),
    ("#E69F00", "var(--orange)"),
    ("#CC79A7", "var(--purple)"),
    ("#56B4E9", "var(--sky)"),
    ("#8A929C", "var(--grey)"),
];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

/// Draws `figure`.
pub fn svg(figure: &Figure, lang: Lang, theme: Theme) -> String {
    let figure = &printed(figure);
    let columns = figure.columns.clamp(1, figure.panels.len().max(1));
    let rows = figure.panels.len().div_ceil(columns);
    let width = PANEL.0 * columns as u32;
    let keys = legend(figure, lang);
    let lines = place_keys(&keys, width as i32).last().map_or(0, |&(_, line)| line + 1);
    let top = LEGEND_LINE * lines + if lines > 0 { 8 } else { 0 };
    let size = (width, PANEL.1 * rows as u32 + top as u32);
    let mut text = String::new();
    {
        let root = SVGBackend::with_string(&mut text, size).into_drawing_area();
        // Writing to memory cannot fail, and `PANEL` leaves plotters enough room for the layout.
        let drawn = draw(&root, figure, &keys, top, columns, lang, theme).and_then(|()| root.present());
        if let Err(error) = drawn {
            log::warn!("a figure could not be drawn: {error}");
        }
    }
    finish(&text, theme, &title(figure, lang), SMALLEST * columns)
}

/// The figure with every text as it is shown: control characters are not valid in SVG.
fn printed(figure: &Figure) -> Figure {
    let text = |text: &mut language::Text| {
        for text in [&mut text.en, &mut text.zh] {
            if let Cow::Owned(shown) = in_line(text) {
                *text = shown;
            }
        }
    };
    let mut figure = figure.clone();
    for panel in &mut figure.panels {
        text(&mut panel.title);
        for axis in [&mut panel.x, &mut panel.y] {
            text(&mut axis.label);
            axis.names.iter_mut().for_each(|(_, name)| text(name));
        }
        panel.series.iter_mut().for_each(|series| text(&mut series.name));
    }
    figure
}

/// The title for screen readers.
fn title(figure: &Figure, lang: Lang) -> String {
    figure.panels.iter().map(|panel| panel.title.of(lang)).collect::<Vec<_>>().join("; ")
}

/// Makes the SVG scale with the page, and adds the title and the page's colours.
fn finish(svg: &str, theme: Theme, title: &str, least: usize) -> String {
    let title = title.replace('&', "&amp;").replace('<', "&lt;");
    let body = svg.split_once('>').map_or("", |(_, body)| body);
    let head = svg.split_once('>').map_or("", |(head, _)| head);
    let size = |name: &str| {
        head.split_once(&format!("{name}=\""))
            .and_then(|(_, rest)| rest.split_once('"'))
            .map_or("0", |(v, _)| v)
    };
    let (width, height) = (size("width"), size("height"));
    let text = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         role=\"img\" style=\"min-width:{least}px\"><title>{title}</title>{body}"
    );
    match theme {
        Theme::File => text,
        Theme::Page => NAMES.iter().fold(text, |text, (colour, name)| text.replace(colour, name)),
    }
}

/// An entry of the legend.
struct Key {
    name: String,
    colour: Colour,
    shape: Shape,
}

/// One entry per name, drawn like its first series; a band only if no line has the name.
fn legend(figure: &Figure, lang: Lang) -> Vec<Key> {
    let mut keys: Vec<Key> = Vec::new();
    let mut known: HashMap<String, usize> = HashMap::new();
    for series in figure.panels.iter().flat_map(|panel| &panel.series) {
        let name = series.name.of(lang);
        if name.is_empty() {
            continue;
        }
        match known.get(name) {
            None => {
                known.insert(name.to_owned(), keys.len());
                let key = Key { name: name.to_owned(), colour: series.colour, shape: series.shape.clone() };
                keys.push(key);
            }
            Some(&at) if matches!(keys[at].shape, Shape::Band(_)) => keys[at].shape = series.shape.clone(),
            Some(_) => {}
        }
    }
    keys
}

/// Approximate width of a text in pixels.
fn width_of(text: &str, font: f64) -> i32 {
    let letters: f64 = text.chars().map(|c| if (c as u32) < 0x2e80 { LETTER } else { 1.0 }).sum();
    (font * letters).ceil() as i32
}

/// (left end, line) of each entry.
fn place_keys(keys: &[Key], width: i32) -> Vec<(i32, i32)> {
    let (mut x, mut line) = (60, 0);
    keys.iter()
        .map(|key| {
            let own = 40 + width_of(&key.name, FONT) + 22;
            if x + own > width && x > 60 {
                (x, line) = (60, line + 1);
            }
            let at = (x, line);
            x += own;
            at
        })
        .collect()
}

fn draw(
    root: &Area,
    figure: &Figure,
    keys: &[Key],
    top: i32,
    columns: usize,
    lang: Lang,
    theme: Theme,
) -> Drawn {
    if theme == Theme::File {
        root.fill(&WHITE)?;
    }
    let (width, _) = root.dim_in_pixel();
    for (key, (x, line)) in keys.iter().zip(place_keys(keys, width as i32)) {
        draw_key(root, key, (x, 8 + LEGEND_LINE * line + LEGEND_LINE / 2))?;
    }
    let (_, panels) = root.split_vertically(top);
    let rows = figure.panels.len().div_ceil(columns).max(1);
    for (area, panel) in panels.split_evenly((rows, columns)).iter().zip(&figure.panels) {
        draw_panel(area, panel, lang)?;
    }
    Ok(())
}

fn text(size: f64, colour: &RGBColor) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(colour)
}

fn draw_key(root: &Area, key: &Key, (x, y): (i32, i32)) -> Drawn {
    let colour = rgb(key.colour);
    let ends = [(x, y), (x + 32, y)];
    match &key.shape {
        Shape::Band(_) => {
            root.draw(&Rectangle::new([(x, y - 6), (x + 32, y + 6)], colour.mix(0.22).filled()))?
        }
        Shape::Line(_) => root.draw(&PathElement::new(ends, colour.stroke_width(2)))?,
        Shape::Dots(_) => {
            root.draw(&PathElement::new(ends, colour.stroke_width(2)))?;
            root.draw(&Circle::new((x + 16, y), 4, colour.filled()))?;
        }
        Shape::Dashed(_) => root.draw(&DashedPathElement::new(ends, 6, 4, colour.stroke_width(2)))?,
        Shape::Circles(_) => {
            root.draw(&DashedPathElement::new(ends, 6, 4, colour.stroke_width(2)))?;
            root.draw(&Circle::new((x + 16, y), 4, colour.stroke_width(2)))?;
        }
    }
    let style = text(FONT, &INK).pos(Pos::new(HPos::Left, VPos::Center));
    root.draw(&Text::new(key.name.clone(), (x + 40, y), style))
}

fn draw_panel(area: &Area, panel: &Panel, lang: Lang) -> Drawn {
    let values = || panel.series.iter().flat_map(|series| series.shape.points());
    let xs = panel.x.span(values().map(|(x, _)| x));
    // Points left or right of the panel do not extend its y range.
    let seen = |&(x, _): &(f64, f64)| panel.x.place(x).is_some_and(|x| (xs.0..=xs.1).contains(&x));
    let ys = panel.y.span(values().filter(seen).map(|(_, y)| y));
    let (x_ticks, y_ticks) = (panel.x.ticks(xs, lang), panel.y.ticks(ys, lang));
    let widest = y_ticks.iter().map(|(_, text)| width_of(text, 12.0)).max().unwrap_or(0);
    let mut chart = ChartBuilder::on(area)
        .caption(panel.title.of(lang), text(15.0, &INK))
        .margin(8)
        .margin_right(18)
        .x_label_area_size(46)
        .y_label_area_size(28 + widest)
        .build_cartesian_2d(Places { span: xs, ticks: &x_ticks }, Places { span: ys, ticks: &y_ticks })?;
    chart
        .configure_mesh()
        .bold_line_style(LINE)
        .light_line_style(TRANSPARENT)
        .axis_style(DIM)
        .label_style(text(12.0, &DIM))
        .axis_desc_style(text(13.0, &INK))
        .x_desc(panel.x.label.of(lang))
        .y_desc(panel.y.label.of(lang))
        .x_labels(x_ticks.len())
        .y_labels(y_ticks.len())
        .draw()?;
    // Nothing is drawn outside the axes: lines are clipped.
    let inside = |x: f64, y: f64| -> Option<(f64, f64)> {
        let (x, y) = (panel.x.place(x)?, panel.y.place(y)?);
        (xs.0..=xs.1).contains(&x).then_some((x, y))
    };
    let clamp = |(x, y): (f64, f64)| (x, y.clamp(ys.0, ys.1));
    for series in &panel.series {
        let colour = rgb(series.colour);
        if let Shape::Band(points) = &series.shape {
            for run in runs(points, |&(x, low, high)| Some((inside(x, low)?, inside(x, high)?))) {
                let there = run.iter().map(|(low, _)| clamp(*low));
                let back = run.iter().rev().map(|(_, high)| clamp(*high));
                let outline: Vec<_> = there.chain(back).collect();
                chart.draw_series([Polygon::new(outline, colour.mix(0.22).filled())])?;
            }
            continue;
        }
        let points = series.shape.points();
        for run in runs(&points, |&(x, y)| inside(x, y)) {
            for line in cut(&run, ys) {
                match series.shape {
                    Shape::Dashed(_) | Shape::Circles(_) => {
                        let dashed = DashedLineSeries::new(line, 6, 4, colour.stroke_width(2));
                        chart.draw_series(dashed)?;
                    }
                    _ => {
                        chart.draw_series(LineSeries::new(line, colour.stroke_width(2)))?;
                    }
                }
            }
            let shown = run.iter().copied().filter(|(_, y)| (ys.0..=ys.1).contains(y));
            match series.shape {
                Shape::Dots(_) => chart.draw_series(shown.map(|at| Circle::new(at, 4, colour.filled())))?,
                Shape::Circles(_) => {
                    chart.draw_series(shown.map(|at| Circle::new(at, 4, colour.stroke_width(2))))?
                }
                _ => continue,
            };
        }
    }
    Ok(())
}

/// A linear axis whose ticks are given.
struct Places<'a> {
    span: (f64, f64),
    ticks: &'a [(f64, String)],
}

impl Ranged for Places<'_> {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let share = (value - self.span.0) / (self.span.1 - self.span.0);
        from + (share * f64::from(to - from)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks.iter().map(|(place, _)| *place).collect()
    }

    fn range(&self) -> std::ops::Range<f64> {
        self.span.0..self.span.1
    }
}

impl ValueFormatter<f64> for Places<'_> {
    fn format(place: &f64) -> String {
        place.to_string()
    }

    fn format_ext(&self, place: &f64) -> String {
        let tick = self.ticks.iter().find(|(tick, _)| tick == place);
        tick.map_or(String::new(), |(_, text)| text.clone())
    }
}

/// The unbroken runs of points that have a `place`.
fn runs<T, P>(points: &[T], place: impl Fn(&T) -> Option<P>) -> Vec<Vec<P>> {
    let mut runs = vec![Vec::new()];
    for point in points {
        match (place(point), runs.last_mut()) {
            (Some(place), Some(run)) => run.push(place),
            _ => runs.push(Vec::new()),
        }
    }
    runs.retain(|run| !run.is_empty());
    runs
}

/// The parts of a line between two heights, cut exactly where it crosses them.
fn cut(line: &[(f64, f64)], (low, high): (f64, f64)) -> Vec<Vec<(f64, f64)>> {
    let mut parts: Vec<Vec<(f64, f64)>> = vec![Vec::new()];
    for pair in line.windows(2) {
        let (a, b) = (pair[0], pair[1]);
        let at = |y: f64| (y - a.1) / (b.1 - a.1);
        // Shares of the way from a to b that lie within.
        let (mut from, mut to) = (0f64, 1f64);
        if a.1 == b.1 {
            if !(low..=high).contains(&a.1) {
                continue;
            }
        } else {
            let (first, second) = if a.1 < b.1 { (at(low), at(high)) } else { (at(high), at(low)) };
            (from, to) = (from.max(first), to.min(second));
            if from >= to {
                continue;
            }
        }
        let point = |share: f64| match share {
            0.0 => a,
            1.0 => b,
            _ => (a.0 + share * (b.0 - a.0), (a.1 + share * (b.1 - a.1)).clamp(low, high)),
        };
        let (start, end) = (point(from), point(to));
        match parts.last_mut() {
            Some(part) if part.last() == Some(&start) => part.push(end),
            _ => parts.push(vec![start, end]),
        }
    }
    parts.retain(|part| !part.is_empty());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_clipped_at_the_range() {
        let line = [(0.0, 0.0), (1.0, 4.0), (2.0, 0.0), (3.0, -2.0)];
        let parts = cut(&line, (0.0, 1.0));
        assert_eq!(parts, [vec![(0.0, 0.0), (0.25, 1.0)], vec![(1.75, 1.0), (2.0, 0.0)]]);
        assert_eq!(cut(&[(0.0, 0.5), (1.0, 0.5)], (0.0, 1.0)), [vec![(0.0, 0.5), (1.0, 0.5)]]);
        assert!(cut(&[(0.0, 2.0), (1.0, 2.0)], (0.0, 1.0)).is_empty());
    }
}
