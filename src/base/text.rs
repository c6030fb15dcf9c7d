//! Numbers, sizes, times and tables as text; text of others without control characters.

use std::borrow::Cow;

/// Separates thousands: `12345` is "12,345".
///
/// ```
/// assert_eq!(bngpu::base::text::count(12345), "12,345");
/// ```
pub fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `n` with its noun: "1 epoch", "1,200 epochs".
pub fn counted(n: u64, noun: &str) -> String {
    counted_as(n, noun, &format!("{noun}s"))
}

/// `n` with the form of its noun, for an irregular plural: "1 class", "10 classes".
pub fn counted_as(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(n), if n == 1 { one } else { many })
}

/// Bytes with an SI prefix (1 kB = 1,000 B) and three digits: "512 B", "1.05 MB".
///
/// ```
/// assert_eq!(bngpu::base::text::bytes(1_054_000), "1.05 MB");
/// ```
pub fn bytes(n: u64) -> String {
    scaled(n as f64, " ") + "B"
}

/// A rate with an SI prefix and three digits: "930", "21.3k", "1.20M".
pub fn rate(per_s: f64) -> String {
    scaled(per_s, "").trim_end().to_owned()
}

/// Three digits, `gap`, and an SI prefix. NaN and negative numbers become "?".
fn scaled(x: f64, gap: &str) -> String {
    if !(0.0..f64::INFINITY).contains(&x) {
        return "?".into();
    }
    if x < 999.5 {
        return format!("{x:.0}{gap}");
    }
    let prefixes = ["k", "M", "G", "T", "P", "E"];
    let mut x = x / 1000.0;
    let mut at = 0;
    while x >= 999.5 && at + 1 < prefixes.len() {
        x /= 1000.0;
        at += 1;
    }
    let decimals = if x < 9.995 { 2 } else { usize::from(x < 99.95) };
    format!("{x:.decimals$}{gap}{}", prefixes[at])
}

/// Seconds in readable units: "85 ms", "1.3 s", "42 s", "1m 05s", "2h 03m", "4d 07h".
pub fn duration(seconds: f64) -> String {
    if !(0.0..1e15).contains(&seconds) {
        return "?".into();
    }
    let whole = seconds.round() as u64;
    match whole {
        _ if seconds < 0.9995 => format!("{:.0} ms", seconds * 1e3),
        _ if seconds < 9.95 => format!("{seconds:.1} s"),
        0..60 => format!("{whole} s"),
        60..3600 => format!("{}m {:02}s", whole / 60, whole % 60),
        3600..86_400 => format!("{}h {:02}m", whole / 3600, whole / 60 % 60),
        _ => format!("{}d {:02}h", whole / 86_400, whole / 3600 % 24),
    }
}

/// A measured number with four significant digits in five to seven columns: "0.1234", "12.34", "1.23e-5".
///
/// ```
/// assert_eq!(bngpu::base::text::number(1.234e-5), "1.23e-5");
/// ```
pub fn number(x: f64) -> String {
    let size = x.abs();
    if x.is_nan() {
        "nan".into()
    } else if x.is_infinite() {
        if x > 0.0 { "inf".into() } else { "-inf".into() }
    } else if size != 0.0 && !(1e-3..99_999.5).contains(&size) {
        format!("{x:.2e}")
    } else {
        let decimals = [0.99995, 9.9995, 99.995, 999.95].iter().filter(|&&limit| size < limit).count();
        format!("{x:.decimals$}")
    }
}

/// A share of 1 in per cent, two decimals: "97.22 %".
pub fn percent(share: f64) -> String {
    if share.is_finite() { format!("{:.2} %", 100.0 * share) } else { number(share) }
}

/// `text` for a terminal or a page: control characters, except line ends and tabs, and characters that turn the direction
/// of text or are invisible are written as escapes. Names, paths and labels come from other people's files.
///
/// ```
/// assert_eq!(bngpu::base::text::printable("a\u{1b}[31m\nb"), "a\\u{1b}[31m\nb");
/// ```
pub fn printable(text: &str) -> Cow<'_, str> {
    escaped(text, |c| is_treacherous(c) && !matches!(c, '\n' | '\t'))
}

/// The same for a text within a line: line ends and tabs are escapes too.
pub fn in_line(text: &str) -> Cow<'_, str> {
    escaped(text, is_treacherous)
}

/// Control characters, line separators, marks of direction (Unicode Annex 9, "Trojan Source", CVE-2021-42574) and the
/// byte order mark.
fn is_treacherous(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

fn escaped(text: &str, is_escaped: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match is_escaped(c) {
            true => out.extend(c.escape_default()),
            false => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// The first 60 characters of a name or a cell.
pub fn shorten(text: &str) -> String {
    match text.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// A name in a line of text: its first 60 characters, as [`in_line`] shows them.
pub fn name(text: &str) -> String {
    in_line(&shorten(text)).into_owned()
}

/// The first few of `items`, joined by ", ", and how many more there are.
///
/// ```
/// let names: Vec<String> = (0..30).map(|n| n.to_string()).collect();
/// assert!(bngpu::base::text::listed(&names).ends_with("18, 19 and 10 more"));
/// ```
pub fn listed<S: AsRef<str>>(items: &[S]) -> String {
    let mut text = items.iter().take(SHOWN).map(AsRef::as_ref).collect::<Vec<_>>().join(", ");
    if items.len() > SHOWN {
        text += &format!(" and {} more", count((items.len() - SHOWN) as u64));
    }
    text
}

/// Items of a list that a person sees.
pub const SHOWN: usize = 20;

/// `text` after `heading`, broken at words into lines of at most `width` columns, the later ones indented as far as
/// the heading reaches.
pub fn wrapped(heading: &str, text: &str, width: usize) -> String {
    let indent = heading.chars().count();
    let (mut lines, mut line) = (heading.to_owned(), indent);
    for (at, word) in text.split_whitespace().enumerate() {
        let length = word.chars().count();
        if at > 0 && line + 1 + length > width {
            lines += &format!("\n{:indent$}", "");
            line = indent;
        } else if at > 0 {
            lines.push(' ');
            line += 1;
        }
        lines += word;
        line += length;
    }
    lines
}

/// Alignment of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
}

/// Lines of `rows`, each column as wide as its widest cell, two spaces before each. Missing cells are empty.
pub fn columns(rows: &[Vec<String>], align: &[Align]) -> String {
    let cell = |row: &Vec<String>, at: usize| row.get(at).cloned().unwrap_or_default();
    let width = |at: usize| rows.iter().map(|row| cell(row, at).chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..align.len()).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (at, (&width, align)) in widths.iter().zip(align).enumerate() {
            let cell = cell(row, at);
            line += &match align {
                Align::Left => format!("  {cell:<width$}"),
                Align::Right => format!("  {cell:>width$}"),
            };
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_words_with_a_hanging_indent() {
        let text = wrapped("device  ", "native CPU engine, because there is no GPU", 31);
        assert_eq!(text, "device  native CPU engine,\n        because there is no GPU");
        let long = "x".repeat(90);
        assert_eq!(wrapped("note    ", &long, 40), format!("note    {long}"));
    }

    #[test]
    fn thousands_are_separated() {
        let of = [0, 7, 999, 1000, 12_345, 1_234_567, u64::MAX].map(count);
        assert_eq!(of, ["0", "7", "999", "1,000", "12,345", "1,234,567", "18,446,744,073,709,551,615"]);
        assert_eq!(counted(1, "epoch") + ", " + &counted(1200, "step"), "1 epoch, 1,200 steps");
        assert_eq!([1, 10].map(|n| counted_as(n, "class", "classes")), ["1 class", "10 classes"]);
    }

    #[test]
    fn sizes_and_rates_keep_three_digits() {
        let of = [0, 999, 1000, 1_054_000, 99_960_000, 999_600_000, u64::MAX].map(bytes);
        assert_eq!(of, ["0 B", "999 B", "1.00 kB", "1.05 MB", "100 MB", "1.00 GB", "18.4 EB"]);
        let of = [0.0, 930.2, 999.6, 21_345.0, 1.2e6, f64::NAN, f64::INFINITY, -1.0].map(rate);
        assert_eq!(of, ["0", "930", "1.00k", "21.3k", "1.20M", "?", "?", "?"]);
    }

    #[test]
    fn times_have_readable_units() {
        let of =
            [0.0, 0.085, 1.29, 9.96, 42.4, 59.6, 65.0, 3599.6, 7380.0, 370_800.0, f64::NAN].map(duration);
        assert_eq!(
            of,
            ["0 ms", "85 ms", "1.3 s", "10 s", "42 s", "1m 00s", "1m 05s", "1h 00m", "2h 03m", "4d 07h", "?"]
        );
    }

    #[test]
    fn numbers_keep_four_digits() {
        let of = [0.0, 0.12344, 1.23456, 9.99996, 123.456, 12345.6, 1e6, 1.234e-5, -0.5].map(number);
        assert_eq!(
            of,
            ["0.0000", "0.1234", "1.235", "10.00", "123.5", "12346", "1.00e6", "1.23e-5", "-0.5000"]
        );
        assert_eq!([f64::NAN, f64::INFINITY, -f64::INFINITY].map(number), ["nan", "inf", "-inf"]);
        assert_eq!([0.97222, 1.0, f64::NAN].map(percent), ["97.22 %", "100.00 %", "nan"]);
    }

    #[test]
    fn what_could_deceive_a_reader_is_escaped_and_all_else_stays() {
        assert_eq!(printable("a\u{1b}[2J\r\u{7f}\u{9b}\nb\tc"), "a\\u{1b}[2J\\r\\u{7f}\\u{9b}\nb\tc");
        assert_eq!(in_line("a\nb\tc\0"), "a\\nb\\tc\\u{0}");
        assert_eq!(printable("x\u{202e}cod\u{2066}\u{feff}"), "x\\u{202e}cod\\u{2066}\\u{feff}");
        for text in ["", "naïve, 日本, עברית, 👩\u{200d}🔬", "R²\u{a0}±"] {
            assert_eq!(printable(text), text);
            assert!(matches!(in_line(text), Cow::Borrowed(_)));
        }
    }

    #[test]
    fn columns_are_aligned_and_end_without_spaces() {
        let rows = [vec!["a".into(), "1".into()], vec!["γβ".into(), "1,000".into()], vec!["c".into()]];
        assert_eq!(columns(&rows, &[Align::Left, Align::Right]), "  a       1\n  γβ  1,000\n  c\n");
    }
}
