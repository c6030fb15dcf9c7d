//! The loss curves of the running trainings and of the best one.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Block, Borders, Chart, Dataset, GraphType};

use super::board::{Best, Board};
use super::curve::Curve;
use super::member::{Key, Member};
use super::theme::Theme;
use crate::base::text::{count, number};

/// Maximum number of curves beside the best and the selected one; more would be indistinguishable.
const OTHERS: usize = 24;
/// The axis is logarithmic from this ratio of the largest to the smallest loss.
const WIDE: f64 = 8.0;

/// The curves, from back to front, and their axes.
#[derive(Debug)]
struct Curves {
    others: Vec<Vec<(f64, f64)>>,
    selected: Vec<(f64, f64)>,
    best: Vec<(f64, f64)>,
    log: bool,
    /// Ends of the axis, as base-10 logarithms if `log`.
    y: [f64; 2],
    x: [f64; 2],
}

/// Draws the curves into `area`.
pub fn draw(
    frame: &mut Frame,
    area: Rect,
    board: &Board,
    best: Option<&Best>,
    selected: Option<(Key, &Curve)>,
    theme: Theme,
) {
    let curves = Curves::new(board, best, selected);
    let mut title = vec![Span::styled(" validation loss ", theme.title())];
    let (marker, own) = (theme.marker(), theme.selected_marker());
    let mut legend = |name: &'static str, marker, style, there: bool| {
        if there {
            title.extend([Span::styled(theme.sample(marker), style), Span::raw(name)]);
        }
    };
    legend("best ", marker, theme.good(), best.is_some());
    legend("selected ", own, theme.accent(), selected.is_some());
    legend("others ", marker, theme.dim(), !curves.others.is_empty());
    if curves.log {
        title.push(Span::styled("log scale ", theme.dim()));
    }
    let block = Block::new().borders(Borders::TOP).border_style(theme.dim()).title(Line::from(title));
    if curves.is_empty() {
        let text = Line::styled(" no epoch is complete yet", theme.dim());
        let inner = block.inner(area);
        frame.render_widget(block, area);
        frame.render_widget(text, inner);
        return;
    }
    let set = |data, marker, style| {
        Dataset::default().graph_type(GraphType::Line).marker(marker).style(style).data(data)
    };
    let mut sets: Vec<Dataset> = curves.others.iter().map(|data| set(data, marker, theme.dim())).collect();
    sets.push(set(&curves.best, marker, theme.good()));
    sets.push(set(&curves.selected, own, theme.accent()));
    let value = |y: f64| number(if curves.log { 10f64.powf(y) } else { y });
    let [low, high] = curves.y;
    let tall = area.height >= 9;
    let labels = if tall { vec![low, 0.5 * (low + high), high] } else { vec![low, high] };
    let labels: Vec<Line> = labels.into_iter().map(|y| Line::styled(value(y), theme.dim())).collect();
    let y = Axis::default().bounds(curves.y).labels(labels).style(theme.dim());
    let epoch = |x: f64| Line::styled(count(x as u64), theme.dim());
    let last = Line::styled(format!("epoch {}", count(curves.x[1] as u64)), theme.dim());
    let x = Axis::default().bounds(curves.x).labels([epoch(curves.x[0]), last]).style(theme.dim());
    frame.render_widget(Chart::new(sets).block(block).x_axis(x).y_axis(y).legend_position(None), area);
}

impl Curves {
    fn new(board: &Board, best: Option<&Best>, selected: Option<(Key, &Curve)>) -> Curves {
        let mut running: Vec<&Member> = board.members().map(|(_, member)| member).collect();
        let loss = |member: &Member| member.val_loss.unwrap_or(f64::INFINITY);
        running.sort_by(|a, b| loss(a).total_cmp(&loss(b)));
        let chosen = [best.map(|best| best.key), selected.map(|(key, _)| key)];
        running.retain(|member| !chosen.contains(&Some(member.key)) && !member.curve.points().is_empty());
        // A sample of many, from the best to the worst.
        let every = running.len().div_ceil(OTHERS).max(1);
        let running = running.iter().step_by(every);
        let mut others: Vec<Vec<_>> = running.map(|member| member.curve.points().to_vec()).collect();
        let mut selected = selected.map_or(Vec::new(), |(_, curve)| curve.points().to_vec());
        let mut best = best.map_or(Vec::new(), |best| best.curve.points().to_vec());
        let all = || others.iter().chain([&selected, &best]).flatten();
        let mut values: Vec<f64> = all().map(|&(_, y)| y).collect();
        values.sort_by(f64::total_cmp);
        let last = all().map(|&(x, _)| x).fold(2.0, f64::max);
        let (Some(&low), Some(&top)) = (values.first(), values.last()) else {
            return Curves { others, selected, best, log: false, y: [0.0, 1.0], x: [1.0, last] };
        };
        // A diverging curve would flatten the others: the axis ends where nearly all values do, but includes the
        // whole best curve.
        let nearly_all = values[(values.len() - 1) * 95 / 100];
        let needed = best.iter().map(|&(_, y)| y).fold(nearly_all, f64::max);
        let high = if top > 2.0 * needed { needed } else { top };
        let log = low > 0.0 && high / low >= WIDE;
        if log {
            let curves = others.iter_mut().chain([&mut selected, &mut best]);
            curves.flatten().for_each(|(_, y)| *y = y.log10());
        }
        let (low, high) = if log { (low.log10(), high.log10()) } else { (low, high) };
        // Equal values also need a margin.
        let margin = if high > low { 0.02 * (high - low) } else { 0.05 * high.abs().max(1e-9) };
        Curves { others, selected, best, log, y: [low - margin, high + margin], x: [1.0, last] }
    }

    fn is_empty(&self) -> bool {
        self.best.is_empty() && self.selected.is_empty() && self.others.is_empty()
    }
}
