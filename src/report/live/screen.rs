//! The layout of the view in a terminal of any size.

use std::time::Instant;

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::Style;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Clear, Paragraph};

use super::board::{Best, Board, Lane};
use super::event::Request;
use super::theme::Theme;
use super::ui::{List, Ui};
use super::{chart, table, words};
use crate::base::text::{count, counted, duration, in_line, rate};

/// From this width, the table and the chart are side by side.
const WIDE: u16 = 110;
/// Maximum number of lanes listed.
const LANES: usize = 8;

const HELP: [(&str, &str); 8] = [
    ("↑ ↓  PgUp PgDn", "select a training (Home and End too)"),
    ("Tab", "switch between running and best trainings"),
    ("x", "stop the selected training; it counts as stopped"),
    ("f", "finish early: stop all trainings, then summarise"),
    ("q or Ctrl-C", "interrupt: write a checkpoint, resume later"),
    ("Ctrl-C again", "end now, without a checkpoint"),
    ("Ctrl-L", "redraw the screen"),
    ("?", "this help"),
];

/// Draws the view at `now`. `keys`: whether keys are read.
pub fn draw(frame: &mut Frame, board: &Board, ui: &mut Ui, theme: Theme, keys: bool, now: Instant) {
    let area = frame.area();
    let ranking = board.ranking();
    let best = ranking.first();
    let head = header(board, best, area, theme, now);
    let foot = footer(board, ui, keys, area, theme, now);
    let [top, body, bottom] = Layout::vertical([
        Constraint::Length(head.len() as u16),
        Constraint::Min(0),
        Constraint::Length(foot.len() as u16),
    ])
    .areas(area);
    frame.render_widget(Paragraph::new(head), top);
    frame.render_widget(Paragraph::new(foot), bottom);
    if area.width >= WIDE && body.height >= 10 {
        let [left, right] =
            Layout::horizontal([Constraint::Fill(5), Constraint::Fill(4)]).spacing(1).areas(body);
        let lanes = (board.lanes.len().min(LANES) + 1) as u16;
        let [above, below] = Layout::vertical([Constraint::Min(8), Constraint::Length(lanes)]).areas(right);
        table::draw(frame, left, board, &ranking, ui, theme);
        curves(frame, above, board, &ranking, ui, theme);
        lanes_of(frame, below, board, theme, now);
    } else {
        // A short table leaves the larger part to the chart.
        let rows = match ui.list {
            List::Running => slots(board) as u16,
            List::Best => ranking.len() as u16,
        };
        let chart = (body.height / 2).max(body.height.saturating_sub(rows.max(4) + 2));
        let chart = if body.height < 12 { 0 } else { chart };
        let [above, below] =
            Layout::vertical([Constraint::Length(chart.min(body.height)), Constraint::Min(0)]).areas(body);
        table::draw(frame, below, board, &ranking, ui, theme);
        if chart > 0 {
            curves(frame, above, board, &ranking, ui, theme);
        }
    }
    if ui.help {
        help(frame, theme);
    }
}

/// The chart, with the training that is selected in the current list.
fn curves(frame: &mut Frame, area: Rect, board: &Board, ranking: &[Best], ui: &Ui, theme: Theme) {
    let selected = ui.find(board).and_then(|(_, place)| board.member(place));
    let selected = selected.filter(|_| ui.list == List::Running).map(|member| (member.key, &member.curve));
    let other = ui.best_row(ranking.len()).filter(|_| ui.list == List::Best);
    let selected = selected.or(other.map(|row| (ranking[row].key, ranking[row].curve)));
    chart::draw(frame, area, board, ranking.first(), selected, theme);
}

fn header<'a>(board: &Board, best: Option<&Best>, area: Rect, theme: Theme, now: Instant) -> Vec<Line<'a>> {
    let mut lines = vec![progress(board, area.width, theme, now)];
    if area.height >= 10 {
        lines.push(counts(board, theme));
        lines.push(speed(board, now));
    }
    let label = Span::styled(" best  ", theme.title());
    let Some(best) = best else {
        lines.push(Line::from(vec![label, Span::styled("none yet", theme.dim())]));
        return lines;
    };
    let text = words::reached(board.aim, &best.reached);
    let trial = format!("{}  ", words::name(best.key));
    let at = format!("  epoch {}, {}", count(best.reached.epoch), best.standing.name());
    let value = Span::styled(text, theme.good());
    if area.height >= 10 {
        lines.push(Line::from(vec![label, Span::raw(trial), value, Span::styled(at, theme.dim())]));
        lines.push(Line::from(format!("       {}", words::params(best.params))));
    } else {
        lines.push(Line::from(vec![label, value]));
    }
    lines
}

fn slots(board: &Board) -> usize {
    board.lanes.iter().map(Lane::slots).sum()
}

/// " 12 of 64 trained ━━━━━━───── 18 %  1m 05s, 3m 12s left"
fn progress<'a>(board: &Board, width: u16, theme: Theme, now: Instant) -> Line<'a> {
    let (ended, share) = (board.counts().ended(), board.share());
    let before = format!(" {} of {} trained ", count(ended), count(board.trainings));
    let elapsed = duration(board.elapsed(now).as_secs().max(1) as f64);
    let left = words::left(board, now).map_or(String::new(), |left| format!(", {left}"));
    let after = format!(" {:>4}  {elapsed}{left} ", words::share(share));
    let room = usize::from(width).saturating_sub(before.chars().count() + after.chars().count());
    if room < 6 {
        return Line::from(format!("{before}{}{left}", words::share(share)));
    }
    let full = ((room as f64 * share) as usize).min(room);
    Line::from(vec![
        Span::styled(before, theme.title()),
        Span::styled("━".repeat(full), theme.accent()),
        Span::styled("─".repeat(room - full), theme.dim()),
        Span::raw(after),
    ])
}

fn counts<'a>(board: &Board, theme: Theme) -> Line<'a> {
    let counts = board.counts();
    let parts = [
        ("done", counts.done, theme.good()),
        ("running", counts.running, theme.accent()),
        ("waiting", counts.waiting, Style::new()),
        ("stopped", counts.stopped, Style::new()),
        ("diverged", counts.diverged, theme.warn()),
        ("failed", counts.failed, theme.bad()),
    ];
    let mut line = Line::from(" ");
    for (name, n, style) in parts {
        let style = if n == 0 { theme.dim() } else { style };
        line.push_span(Span::styled(format!("{name} {}", count(n)), style));
        line.push_span("  ");
    }
    line
}

fn speed<'a>(board: &Board, now: Instant) -> Line<'a> {
    let (speed, models) = (rate(board.samples_per_s()), words::models(board.models_per_s(now)));
    let busy =
        board.utilisation(now).map_or(String::new(), |share| format!(", {} in use", words::share(share)));
    let lanes = counted(board.lanes.len() as u64, "lane");
    let running = count(board.counts().running);
    Line::from(format!(
        " {speed} samples/s  {models}  {running}/{} slots on {lanes}{busy}",
        count(slots(board) as u64)
    ))
}

fn lanes_of(frame: &mut Frame, area: Rect, board: &Board, theme: Theme, now: Instant) {
    let title = Span::styled(" lanes ", theme.title());
    let block = Block::new().borders(Borders::TOP).border_style(theme.dim()).title(title);
    let line = |lane: &Lane| {
        let busy = board.lane_utilisation(lane, now).map_or("?".into(), words::share);
        let slots = format!("{}/{}", lane.members.len(), lane.slots());
        let speed = rate(lane.samples_per_s());
        Line::from(format!(" {:<3} {slots:>9} {busy:>5} {speed:>6}/s  {}", lane.info.name, lane.info.device))
    };
    let mut lines: Vec<Line> = board.lanes.iter().take(LANES).map(line).collect();
    if board.lanes.len() > LANES {
        lines[LANES - 1] = Line::styled(format!(" and {} more", board.lanes.len() - LANES + 1), theme.dim());
    }
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

/// The selected member, the latest message, and the keys.
fn footer<'a>(board: &Board, ui: &Ui, keys: bool, area: Rect, theme: Theme, now: Instant) -> Vec<Line<'a>> {
    let mut lines = Vec::new();
    let selected = ui.find(board).and_then(|(_, place)| board.member(place));
    if let Some(member) = selected.filter(|_| ui.list == List::Running && area.height >= 16) {
        let text = format!(" ▶ {}  {}", words::name(member.key), words::params(&member.params));
        lines.push(Line::styled(text, theme.accent()));
    }
    let message = board.messages().1.back();
    if let Some(message) = message.filter(|_| area.height >= 12) {
        lines.push(Line::styled(format!(" {}", in_line(&message.replace('\n', "  "))), theme.warn()));
    }
    let asked = match board.asked() {
        Some(Request::Interrupt) => {
            Some("interrupting: a checkpoint is being written; Ctrl-C again ends now")
        }
        Some(Request::FinishEarly) => Some("finishing early: trainings are stopping, then the summary"),
        _ => None,
    };
    if let Some(text) = ui.answer(now).or(asked) {
        lines.push(Line::styled(format!(" {text}"), theme.warn()));
    } else if area.height >= 6 {
        let text = match (keys, area.width) {
            (false, _) => " Ctrl-C interrupts",
            (true, ..40) => " ? help",
            (true, 40..76) => " ↑↓ select  x stop  f finish  q interrupt  ? help",
            (true, _) => " ↑↓ select  x stop it  f finish early  q interrupt  Tab best/running  ? help",
        };
        lines.push(Line::styled(text, theme.dim()));
    }
    lines
}

fn help(frame: &mut Frame, theme: Theme) {
    let lines: Vec<Line> = HELP.iter().map(|(key, text)| Line::from(format!(" {key:<15} {text}"))).collect();
    let area = frame.area();
    let (width, height) = (68.min(area.width), (lines.len() as u16 + 2).min(area.height));
    let area = area.centered(Constraint::Length(width), Constraint::Length(height));
    frame.render_widget(Clear, area);
    let block = Block::new().borders(Borders::ALL).title(Span::styled(" keys ", theme.title()));
    frame.render_widget(Paragraph::new(lines).block(block), area);
}
