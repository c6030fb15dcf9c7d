//! The columns of a table as text: what each is taken for, and what it holds.

use crate::base::text::{Align, columns, count};
use crate::data::{ColumnReport, Role, Values};

/// Most characters of a name, an example or a value.
const WIDTH: usize = 28;

/// One line for each of `reports`: name, type, what it becomes, missing, distinct, example.
pub fn table(reports: &[ColumnReport]) -> String {
    let head = ["column", "type", "becomes", "missing", "distinct", "example"].map(str::to_owned);
    let line = |report: &ColumnReport| {
        vec![
            short(&report.name),
            report.kind.name().to_owned(),
            becomes(report),
            count(report.missing as u64),
            count(report.distinct as u64),
            short(&report.example),
        ]
    };
    let rows: Vec<Vec<String>> = std::iter::once(head.to_vec()).chain(reports.iter().map(line)).collect();
    columns(&rows, &[Align::Left, Align::Left, Align::Left, Align::Right, Align::Right, Align::Left])
}

/// The table, with what each column holds: a histogram, or the commonest values.
pub fn described(reports: &[ColumnReport]) -> String {
    let head = ["column", "type", "read", "missing", "distinct", "values"].map(str::to_owned);
    let line = |report: &ColumnReport| {
        let read = match report.role {
            Role::Input => report.reading.clone(),
            role => [role_of(role), report.reading.as_str()].join(" ").trim_end().to_owned(),
        };
        vec![
            short(&report.name),
            report.kind.name().to_owned(),
            read,
            count(report.missing as u64),
            count(report.distinct as u64),
            values(report),
        ]
    };
    let rows: Vec<Vec<String>> = std::iter::once(head.to_vec()).chain(reports.iter().map(line)).collect();
    columns(&rows, &[Align::Left, Align::Left, Align::Left, Align::Right, Align::Right, Align::Left])
}

fn role_of(role: Role) -> &'static str {
    match role {
        Role::Input => "",
        Role::Target => "target",
        Role::LeftOut => "left out",
        Role::Kept => "kept",
    }
}

fn becomes(report: &ColumnReport) -> String {
    let what = match report.role {
        Role::Input => report.encoding.as_str(),
        role => role_of(role),
    };
    if report.reading.is_empty() { what.to_owned() } else { format!("{what} ({})", report.reading) }
}

/// A histogram with the ends of its range, or the commonest values and their rows.
fn values(report: &ColumnReport) -> String {
    match &report.values {
        Values::Histogram { rows, .. } => {
            let [least, largest] = ends(report);
            format!("{} {least} to {largest}", bars(rows))
        }
        Values::Commonest(common) => {
            let shown =
                common.iter().map(|(text, rows)| format!("{} ({})", short(text), count(*rows as u64)));
            shown.take(3).collect::<Vec<_>>().join(", ")
        }
        Values::None => String::new(),
    }
}

fn ends(report: &ColumnReport) -> [String; 2] {
    let Values::Histogram { least, largest, .. } = &report.values else { return Default::default() };
    match report.kind {
        crate::data::ColumnType::Date => [crate::data::time_text(*least), crate::data::time_text(*largest)],
        _ => [number(*least), number(*largest)],
    }
}

/// A whole number as it is; of others at most six digits: an overview, not a value.
fn number(x: f64) -> String {
    if x.fract() == 0.0 && x.abs() < 1e12 {
        return x.to_string();
    }
    let rounded: f64 = format!("{x:.5e}").parse().unwrap_or(x);
    let text = rounded.to_string();
    if text.len() <= 12 { text } else { format!("{x:.4e}") }
}

/// Rows in each bin as eighths of a character's height; a bin with any row shows.
fn bars(rows: &[usize]) -> String {
    const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let most = rows.iter().copied().max().unwrap_or(0).max(1);
    let bar = |n: &usize| match n {
        0 => ' ',
        n => BARS[(n * BARS.len()).div_ceil(most).clamp(1, BARS.len()) - 1],
    };
    rows.iter().map(bar).collect()
}

fn short(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if plain.chars().count() <= WIDTH {
        return plain;
    }
    plain.chars().take(WIDTH - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_show_every_row_and_scale_to_the_most() {
        assert_eq!(bars(&[0, 1, 500, 1000]), " ▁▄█");
        assert_eq!(bars(&[]), "");
        assert_eq!(number(1_234_567.891), "1234570");
        assert_eq!(number(0.1 + 0.2), "0.3");
        assert_eq!(number(1e300), "1.0000e300");
    }
}
