//! The tables: running trainings by lane and slot, and the best trainings.

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Row, Table, TableState};

use super::board::{Aim, Best, Board};
use super::theme::Theme;
use super::ui::{List, Ui};
use super::words;
use crate::base::text::{count, number, rate};

/// A column: heading, width and rank. If room is short, the column with the highest rank is dropped first.
struct Column(&'static str, u16, u8);

/// Minimum width of the parameters; with less room they are not shown.
const PARAMS: u16 = 12;
/// Marks the selected row.
const MARK: &str = "▶ ";

/// Draws the list that is chosen in `ui`, and records there what was drawn.
pub fn draw(frame: &mut Frame, area: Rect, board: &Board, ranking: &[Best], ui: &mut Ui, theme: Theme) {
    match ui.list {
        List::Running => running(frame, area, board, ui, theme),
        List::Best => best(frame, area, board, ranking, ui, theme),
    }
}

fn running(frame: &mut Frame, area: Rect, board: &Board, ui: &mut Ui, theme: Theme) {
    let score = words::score_name(board.aim);
    let columns = [
        Column("lane", 4, 5),
        Column("slot", 4, 4),
        Column("trial", 6, 0),
        Column("seed", 5, 6),
        Column("epoch", 9, 1),
        Column("val loss", 8, 0),
        Column(score, 7, 2),
        Column("samp/s", 6, 7),
        Column("status", 8, 3),
    ];
    let at = ui.resolve(board);
    let view = View::new(area, at.map_or(0, |(row, _)| row), board.counts().running as usize, ui);
    let rows = board.members().skip(view.first).take(view.rows).map(|((lane, slot), member)| {
        let cells = vec![
            board.lanes[lane].info.name.clone(),
            slot.to_string(),
            member.key.trial.to_string(),
            member.key.seed.to_string(),
            format!("{}/{}", member.epoch, member.epochs),
            member.val_loss.map_or("-".into(), number),
            member.val_score.map_or("-".into(), |value| words::score(board.aim, value)),
            rate(member.samples_per_s),
            member.status().into(),
        ];
        let style = match member.stopping {
            true => theme.warn(),
            false if member.val_loss.is_some_and(|loss| !loss.is_finite()) => theme.bad(),
            false => Style::new(),
        };
        (cells, words::params(&member.params), style)
    });
    let title = format!(" running {} ", count(board.counts().running));
    table(frame, area, &columns, rows, at.map(|(row, _)| row), &view, (title, " Tab: the best "), theme);
}

fn best(frame: &mut Frame, area: Rect, board: &Board, ranking: &[Best], ui: &mut Ui, theme: Theme) {
    let Aim { regression, .. } = board.aim;
    let score = words::score_name(board.aim);
    let mut columns = vec![
        Column("rank", 4, 3),
        Column("trial", 6, 0),
        Column("seed", 5, 5),
        Column("val loss", 8, 0),
        Column(score, 7, 1),
        Column("epoch", 6, 4),
        Column("status", 8, 2),
    ];
    if regression {
        columns.insert(4, Column("rmse", 7, 1));
    }
    let at = ui.best_row(ranking.len());
    let view = View::new(area, at.unwrap_or(0), ranking.len(), ui);
    let rows = ranking.iter().enumerate().skip(view.first).take(view.rows).map(|(rank, best)| {
        let mut cells = vec![
            (rank + 1).to_string(),
            best.key.trial.to_string(),
            best.key.seed.to_string(),
            number(best.reached.val_loss),
            best.reached.score.map_or("-".into(), |value| words::score(board.aim, value)),
            best.reached.epoch.to_string(),
            best.standing.name().into(),
        ];
        if regression {
            cells.insert(4, best.reached.rmse.map_or("-".into(), number));
        }
        (cells, words::params(best.params), if rank == 0 { theme.good() } else { Style::new() })
    });
    let title = format!(" best {} ", ranking.len());
    table(frame, area, &columns, rows, at, &view, (title, " Tab: running "), theme);
}

/// The visible rows.
struct View {
    first: usize,
    rows: usize,
}

impl View {
    /// Scrolls no further than needed to show row `at` of `all`.
    fn new(area: Rect, at: usize, all: usize, ui: &mut Ui) -> View {
        // Two lines are for the title and the headings.
        let rows = usize::from(area.height.saturating_sub(2));
        let first = ui.first.min(all.saturating_sub(rows)).max((at + 1).saturating_sub(rows)).min(at);
        (ui.first, ui.page) = (first, rows.max(1));
        View { first, rows }
    }
}

/// Cells, parameters and style of a row.
type RowText = (Vec<String>, String, Style);

#[expect(clippy::too_many_arguments, reason = "shared by both tables")]
fn table(
    frame: &mut Frame,
    area: Rect,
    columns: &[Column],
    rows: impl Iterator<Item = RowText>,
    selected: Option<usize>,
    view: &View,
    (title, hint): (String, &'static str),
    theme: Theme,
) {
    let kept = fit(columns, area.width.saturating_sub(MARK.chars().count() as u16));
    let used: u16 = kept.iter().map(|&at| columns[at].1 + 1).sum();
    let room = area.width.saturating_sub(used + MARK.chars().count() as u16);
    let with_params = room >= PARAMS;
    let mut widths: Vec<Constraint> = kept.iter().map(|&at| Constraint::Length(columns[at].1)).collect();
    if with_params {
        widths.push(Constraint::Length(room));
    }
    let cell = |at: usize, text: String| {
        let last = columns[at].0 == "status";
        Line::from(text).alignment(if last { Alignment::Left } else { Alignment::Right })
    };
    let rows = rows.map(|(cells, params, style)| {
        let mut cells: Vec<Line> = kept.iter().map(|&at| cell(at, cells[at].clone())).collect();
        if with_params {
            cells.push(Line::from(params));
        }
        Row::new(cells).style(style)
    });
    let mut header: Vec<Line> = kept.iter().map(|&at| cell(at, columns[at].0.into())).collect();
    if with_params {
        header.push(Line::from("parameters"));
    }
    let block = Block::new()
        .borders(Borders::TOP)
        .border_style(theme.dim())
        .title(Span::styled(title, theme.title()))
        .title(Line::styled(hint, theme.dim()).right_aligned());
    let mut state = TableState::new().with_selected(selected.map(|row| row - view.first));
    let table = Table::new(rows, widths)
        .header(Row::new(header).style(theme.dim()))
        .block(block)
        .highlight_symbol(MARK)
        .highlight_spacing(ratatui::widgets::HighlightSpacing::Always)
        .row_highlight_style(theme.selected());
    frame.render_stateful_widget(table, area, &mut state);
}

/// The columns that fit into `width`, in their order.
fn fit(columns: &[Column], width: u16) -> Vec<usize> {
    let mut kept: Vec<usize> = (0..columns.len()).collect();
    let wide = |kept: &[usize]| kept.iter().map(|&at| columns[at].1 + 1).sum::<u16>() > width + 1;
    while kept.len() > 1 && wide(&kept) {
        let least = kept.iter().copied().max_by_key(|&at| columns[at].2);
        kept.retain(|&at| Some(at) != least);
    }
    kept
}
