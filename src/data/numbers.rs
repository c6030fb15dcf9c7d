//! Numbers as people write them: `1,234.5`, `1.234,5`, `$12`, `(300)`, `45 %`, `70 kg`, `1.2M`.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::table::plain_number;

/// How the numbers of a column are written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct NumberFormat {
    /// Whether the decimal sign is a comma, and a point separates thousands.
    #[serde(default, skip_serializing_if = "is_false")]
    pub comma: bool,
    /// What stands before or after the numbers: `$`, `kg`, `%`. It does not change the number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Whether `K`, `M` and `B` multiply by 10³, 10⁶ and 10⁹.
    #[serde(default, skip_serializing_if = "is_false")]
    pub magnitudes: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

impl NumberFormat {
    /// The number in a text; none if it is not one of this format.
    pub fn parse(&self, text: &str) -> Option<f64> {
        if let (false, Some(value)) = (self.comma, text.parse::<f64>().ok().filter(|v| !v.is_nan())) {
            return Some(value);
        }
        let parts = Parts::of(text)?;
        let unit = parts.unit();
        let factor = match magnitude(&unit) {
            Some(factor) if self.magnitudes => factor,
            _ if unit.is_empty() || Some(&unit) == self.unit.as_ref() => 1.0,
            _ if self.magnitudes && is_currency(&unit) => 1.0,
            _ => return None,
        };
        let size = body(parts.body, self.comma)? * factor;
        Some(if parts.negative { -size } else { size })
    }

    /// In words, for the table of columns: `with decimal commas, in kg`.
    pub fn describe(&self) -> String {
        let comma = self.comma.then(|| "with decimal commas".to_owned());
        let unit = self.unit.as_ref().map(|unit| format!("in {unit}"));
        let magnitudes = self.magnitudes.then(|| "K, M, B as powers of 1000".to_owned());
        [comma, unit, magnitudes].into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

/// What the texts of a column are as numbers.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Inferred {
    /// Numbers of one format, at least those of the texts that look like numbers at all.
    Numbers(NumberFormat),
    /// Each reading has its evidence, or none has.
    Ambiguous(Ambiguity),
    No,
}

/// Why numbers cannot be read for certain.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Ambiguity {
    /// `text` is one number if its sign is a decimal sign, another if it separates thousands.
    Sign { text: String, as_point: Option<f64>, as_comma: Option<f64> },
    /// `a` and `b` have different units, or one has none.
    Units { a: String, b: String },
}

/// Whether a text looks like a number in any format.
pub(crate) fn is_number_like(text: &str) -> bool {
    plain_number(text).is_some()
        || Parts::of(text)
            .is_some_and(|parts| body(parts.body, false).is_some() || body(parts.body, true).is_some())
}

/// Whether a text that looks like a number has no unit.
pub(crate) fn is_bare(text: &str) -> bool {
    plain_number(text).is_some() || Parts::of(text).is_some_and(|parts| parts.unit().is_empty())
}

/// Whether all of a plain number's digits fit both readings of its point: `1.234`, `12.345`, but not `0.123` or `1.23`.
pub(crate) fn is_ambiguous(text: &str, sign: char) -> bool {
    let text = text.trim_start_matches(['-', '+']);
    let Some((whole, rest)) = text.split_once(sign) else { return false };
    (1..=3).contains(&whole.len())
        && !whole.starts_with('0')
        && rest.len() == 3
        && text.bytes().all(|b| b.is_ascii_digit() || b == sign as u8)
}

/// Infers the format from texts, all of which look like numbers. `may_have_commas` tells that the
/// table has decimal commas elsewhere, or separates cells by semicolons as such tables do; `comma` is what the user says of the decimal sign.
pub(crate) fn infer<'a>(
    texts: impl Iterator<Item = &'a str> + Clone,
    may_have_commas: bool,
    comma: Option<bool>,
) -> Inferred {
    let (mut units, mut examples) = (BTreeSet::new(), Vec::new());
    // Texts that only one sign explains, and one that both do.
    let (mut points, mut commas) = (None, None);
    let (mut either_point, mut either_comma) = (None, None);
    for text in texts.clone() {
        let Some(parts) = Parts::of(text) else {
            // As `inf`.
            continue;
        };
        let unit = parts.unit();
        let is_zero = parts.body.bytes().all(|b| !(b'1'..=b'9').contains(&b));
        if !((unit.is_empty() || is_currency(&unit)) && is_zero) && units.insert(unit) {
            examples.push(text);
        }
        match (body(parts.body, false), body(parts.body, true)) {
            (None, None) => return Inferred::No,
            (Some(_), None) => points = points.or(Some(text)),
            (None, Some(_)) => commas = commas.or(Some(text)),
            (Some(a), Some(b)) if a != b => {
                if is_ambiguous(parts.body, '.') {
                    either_point = either_point.or(Some(text));
                } else if is_ambiguous(parts.body, ',') {
                    either_comma = either_comma.or(Some(text));
                } else if parts.body.contains('.') {
                    // 1234.567 or 0.123 as thousands would not be written so.
                    points = points.or(Some(text));
                } else {
                    commas = commas.or(Some(text));
                }
            }
            _ => {}
        }
    }
    let sign = |text: &str| {
        Inferred::Ambiguous(Ambiguity::Sign {
            text: text.to_owned(),
            as_point: NumberFormat { unit: unit_of(text), ..NumberFormat::default() }.parse(text),
            as_comma: NumberFormat { unit: unit_of(text), comma: true, ..NumberFormat::default() }
                .parse(text),
        })
    };
    let comma = match (comma, points, commas) {
        (Some(comma), ..) => comma,
        (None, Some(_), Some(text)) => return sign(text),
        (None, Some(_), None) => false,
        (None, None, Some(_)) => true,
        (None, None, None) => match (either_point, either_comma) {
            (Some(text), _) | (_, Some(text)) if may_have_commas => return sign(text),
            (Some(_), Some(text)) => return sign(text),
            // Between commas, whoever writes 1,234 quotes it: the comma is no decimal sign there.
            _ => false,
        },
    };
    let magnitudes = units.iter().any(|unit| magnitude(unit).is_some());
    let is_plain = |unit: &String| unit.is_empty() || is_currency(unit) || magnitude(unit).is_some();
    if magnitudes && units.iter().all(is_plain) {
        return Inferred::Numbers(NumberFormat { comma, unit: None, magnitudes: true });
    }
    // An amount without its currency is still an amount of it.
    if units.iter().any(|unit| is_currency(unit)) {
        units.remove("");
    }
    let mut units = units.into_iter();
    match (units.next(), units.next()) {
        (unit, None) => {
            let unit = unit.filter(|unit| !unit.is_empty());
            Inferred::Numbers(NumberFormat { comma, unit, magnitudes: false })
        }
        _ => Inferred::Ambiguous(Ambiguity::Units { a: examples[0].to_owned(), b: examples[1].to_owned() }),
    }
}

fn unit_of(text: &str) -> Option<String> {
    Parts::of(text).map(|parts| parts.unit()).filter(|unit| !unit.is_empty())
}

/// A number with what stands around it.
#[derive(Clone, Copy, Debug)]
struct Parts<'a> {
    negative: bool,
    prefix: &'a str,
    /// Digits with their signs, and an exponent.
    body: &'a str,
    suffix: &'a str,
    /// Whether there is a space before the suffix.
    apart: bool,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Option<Parts<'a>> {
        let text = text.trim();
        let (text, in_brackets) = match text.strip_prefix('(').and_then(|t| t.strip_suffix(')')) {
            Some(inner) => (inner.trim(), true),
            None => (text, false),
        };
        let (text, minus) = signed(text);
        let bytes = text.as_bytes();
        let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
        let start =
            (0..bytes.len()).find(|at| digit(*at) || (matches!(bytes[*at], b'.' | b',') && digit(at + 1)))?;
        let (prefix, rest) = (text.get(..start)?, text.get(start..)?);
        let (prefix, inner_minus) = match prefix.trim().strip_suffix(['-', '−', '–']) {
            Some(prefix) => (prefix.trim(), true),
            None => (prefix.trim(), false),
        };
        let length = body_length(rest);
        let body = rest[..length].trim_end();
        let suffix = &rest[length..];
        let apart = body.len() < length;
        let (suffix, after_minus) = match suffix.trim() {
            // 83,- and 5'115.- are whole prices in Germany, Austria and Switzerland; 500/- in India.
            "-" | "--" | "–" | "—" if body.ends_with([',', '.']) => ("", false),
            "/-" => ("", false),
            "-" | "−" | "–" => ("", true),
            suffix => (suffix, false),
        };
        let body = if body.len() > 1 { body.strip_suffix([',', '.']).unwrap_or(body) } else { body };
        if u8::from(in_brackets) + u8::from(minus) + u8::from(inner_minus) + u8::from(after_minus) > 1 {
            return None;
        }
        let parts =
            Parts { negative: in_brackets | minus | inner_minus | after_minus, prefix, body, suffix, apart };
        (parts.has_known_prefix() && parts.has_known_suffix()).then_some(parts)
    }

    fn has_known_prefix(&self) -> bool {
        self.prefix.is_empty() || is_currency(self.prefix)
    }

    fn has_known_suffix(&self) -> bool {
        let Parts { suffix, apart, .. } = *self;
        let is_word = || {
            suffix.chars().all(|c| c.is_alphabetic() || "/.²³°%".contains(c)) && suffix.chars().count() <= 16
        };
        suffix.is_empty()
            || (self.prefix.is_empty() && (is_currency(suffix) || UNITS.contains(&suffix)))
            || (apart && is_word() && self.prefix.is_empty())
            || self.magnitude().is_some()
    }

    /// What a `K`, `M` or `B` directly after the number multiplies it by.
    fn magnitude(&self) -> Option<f64> {
        magnitude(self.suffix).filter(|_| !self.apart)
    }

    /// The unit, in one way of writing.
    fn unit(&self) -> String {
        if self.magnitude().is_some() {
            return self.suffix.to_owned();
        }
        let unit = if self.prefix.is_empty() { self.suffix } else { self.prefix };
        // One day, two days.
        match unit
            .strip_suffix('s')
            .filter(|one| one.chars().count() > 2 && one.chars().all(char::is_alphabetic))
        {
            Some(one) => one.to_owned(),
            None => unit.to_owned(),
        }
    }
}

fn signed(text: &str) -> (&str, bool) {
    match text.strip_prefix(['-', '−', '–']) {
        Some(rest) => (rest.trim_start(), true),
        None => (text.strip_prefix('+').unwrap_or(text), false),
    }
}

/// Separators of thousands besides `,` and `.`.
const SPACES: [char; 6] = [' ', '\u{a0}', '\u{202f}', '\'', '’', '_'];

/// Bytes of the digits, signs and exponent at the start of `text`, with spaces after them.
fn body_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let mut end = 0;
    for (at, c) in text.char_indices() {
        let next = at + c.len_utf8();
        let is_exponent = matches!(c, 'e' | 'E')
            && at > 0
            && (digit(next) || (matches!(bytes.get(next), Some(b'-' | b'+')) && digit(next + 1)));
        if is_exponent {
            let digits = text[next + 1..].bytes().take_while(u8::is_ascii_digit).count();
            return next + 1 + digits;
        }
        if !(c.is_ascii_digit() || c == '.' || c == ',' || SPACES.contains(&c)) {
            break;
        }
        end = next;
    }
    end
}

/// The number of digits with signs: a decimal sign at most, and groups of three digits.
fn body(text: &str, comma: bool) -> Option<f64> {
    let decimal = if comma { ',' } else { '.' };
    let (mantissa, exponent) = match text.find(['e', 'E']) {
        Some(at) => (&text[..at], &text[at..]),
        None => (text, ""),
    };
    let (whole, fraction) = match mantissa.split_once(decimal) {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    if !fraction.unwrap_or_default().bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let digits = ungrouped(whole)?;
    if comma && digits.len() > 1 && digits.starts_with('0') {
        return None;
    }
    if digits.is_empty() && fraction.is_none_or(str::is_empty) {
        return None;
    }
    format!("{digits}.{}{exponent}", fraction.unwrap_or_default()).parse().ok()
}

/// The digits of a whole number without the separators of its thousands. (Of India, too: 12,34,567.)
fn ungrouped(whole: &str) -> Option<String> {
    let Some(separator) = whole.chars().find(|c| !c.is_ascii_digit()) else { return Some(whole.to_owned()) };
    if !(matches!(separator, ',' | '.') || SPACES.contains(&separator)) {
        return None;
    }
    let groups: Vec<&str> = whole.split(separator).collect();
    let sizes: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    let digits = groups.iter().all(|group| group.bytes().all(|b| b.is_ascii_digit()));
    let (first, rest) = sizes.split_first()?;
    let (last, middle) = rest.split_last()?;
    let thousands = (1..=3).contains(first) && *last == 3 && middle.iter().all(|size| *size == 3);
    let lakhs =
        separator == ',' && (1..=2).contains(first) && *last == 3 && middle.iter().all(|size| *size == 2);
    (digits && (thousands || lakhs) && !whole.starts_with('0')).then(|| groups.concat())
}

fn magnitude(suffix: &str) -> Option<f64> {
    match suffix {
        "k" | "K" => Some(1e3),
        "M" => Some(1e6),
        "B" | "bn" => Some(1e9),
        _ => None,
    }
}

fn is_currency(text: &str) -> bool {
    const CURRENCIES: [&str; 34] = [
        "$", "€", "£", "¥", "₹", "₽", "₩", "₺", "₪", "฿", "₫", "₴", "zł", "Kč", "kr", "kr.", "Rs", "Rs.",
        "R$", "US$", "A$", "C$", "Fr.", "USD", "EUR", "GBP", "JPY", "CNY", "INR", "CHF", "CAD", "AUD", "SEK",
        "BRL",
    ];
    CURRENCIES.contains(&text)
}

/// Units that may stand directly after a number. Others need a space before them.
const UNITS: [&str; 101] = [
    "%", "‰", "°", "°C", "°F", "K", "kg", "g", "mg", "µg", "t", "lb", "lbs", "oz", "km", "m", "cm", "mm",
    "µm", "nm", "mi", "ft", "in", "yd", "\"", "'", "s", "sec", "secs", "ms", "µs", "us", "ns", "min", "mins",
    "h", "hr", "hrs", "d", "day", "days", "w", "wk", "yr", "yrs", "y", "years", "months", "l", "L", "ml",
    "mL", "cl", "dl", "gal", "W", "kW", "MW", "Wh", "kWh", "MWh", "V", "mV", "kV", "A", "mA", "mAh", "Hz",
    "kHz", "MHz", "GHz", "bit", "KB", "kB", "MB", "GB", "TB", "MiB", "GiB", "Pa", "kPa", "hPa", "bar", "psi",
    "J", "kJ", "cal", "kcal", "km/h", "kmh", "mph", "m/s", "m²", "m2", "sqft", "px", "pt", "rpm", "dB",
    "ppm", "x",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn values(texts: &[&str], may_have_commas: bool) -> Result<Vec<f64>, Inferred> {
        match infer(texts.iter().copied(), may_have_commas, None) {
            Inferred::Numbers(format) => Ok(texts
                .iter()
                .map(|text| format.parse(text).unwrap_or_else(|| panic!("{text:?} as {format:?}")))
                .collect()),
            other => Err(other),
        }
    }

    #[test]
    fn numbers_as_people_write_them() {
        for (texts, expected) in [
            (&["1,234", "12,345,678.5", "7"][..], &[1234.0, 12_345_678.5, 7.0][..]),
            (&["1.234,5", "12,25", "1.234.567"], &[1234.5, 12.25, 1_234_567.0]),
            (&["0,123", "1,234"], &[0.123, 1.234]),
            (&["$1,200", "$900.50", "-$3", "($20)", "$0"], &[1200.0, 900.5, -3.0, -20.0, 0.0]),
            (&["12 €", "1.250,00 €", "0"], &[12.0, 1250.0, 0.0]),
            (&["EUR 5", "EUR 7.5"], &[5.0, 7.5]),
            (&["5%", "12.5 %", "0"], &[5.0, 12.5, 0.0]),
            (&["70 kg", "81kg", "-1e2 kg"], &[70.0, 81.0, -100.0]),
            (&["1 day", "2 days", "30 days"], &[1.0, 2.0, 30.0]),
            (&["1.2M", "300K", "15", "2B"], &[1.2e6, 3e5, 15.0, 2e9]),
            (&["1 234", "12\u{a0}345,6", "7\u{202f}000"], &[1234.0, 12_345.6, 7000.0]),
            (&["1'234.5", "2’000"], &[1234.5, 2000.0]),
            (&["12,34,567", "1,00,000"], &[1_234_567.0, 100_000.0]),
            (&["+5", "1.5e3", "-2E-2", ".5", "3."], &[5.0, 1500.0, -0.02, 0.5, 3.0]),
            (&["12-", "5.5"], &[-12.0, 5.5]),
            (&["−4", "4.25"], &[-4.0, 4.25]),
            (&["Rs. 500", "Rs. 1,000"], &[500.0, 1000.0]),
            (&["23.4 km/kg", "18 km/kg"], &[23.4, 18.0]),
        ] {
            assert_eq!(values(texts, false).as_deref(), Ok(expected), "{texts:?}");
        }
    }

    #[test]
    fn what_has_two_readings_is_ambiguous() {
        for (texts, may_have_commas) in [
            (&["1.234", "5.678"][..], true),
            (&["1,234", "5,678"], true),
            (&["1,5", "2.5"], false),
            (&["1.234", "1,234"], false),
            (&["5%", "0.25"], false),
            (&["5 kg", "300 g"], false),
            (&["3 cm", "4 mm", "5 cm"], false),
        ] {
            let found = values(texts, may_have_commas);
            assert!(matches!(found, Err(Inferred::Ambiguous(_))), "{texts:?}: {found:?}");
        }
        let Err(Inferred::Ambiguous(Ambiguity::Sign { text, as_point, as_comma })) = values(&["1.234"], true)
        else {
            panic!()
        };
        assert_eq!((text.as_str(), as_point, as_comma), ("1.234", Some(1.234), Some(1234.0)));
        // A third text decides it.
        assert_eq!(values(&["1.234", "0.5"], true), Ok(vec![1.234, 0.5]));
        assert_eq!(values(&["1.234", "0,5"], true), Ok(vec![1234.0, 0.5]));
        assert_eq!(
            infer(["1.234"].into_iter(), true, Some(true)),
            Inferred::Numbers(NumberFormat { comma: true, ..NumberFormat::default() })
        );
    }

    #[test]
    fn codes_words_and_dates_are_no_numbers() {
        for text in [
            "A4",
            "4WD",
            "1st",
            "12a",
            "B-52",
            "1,23,4",
            "1.2.3",
            "18-24",
            "2024-01-31",
            "12:30",
            "10 Downing Street",
            "--",
            "-",
            "",
            "%",
            "$",
            "1 2",
            "0x1F",
            "1e",
            "e5",
            "(5",
            "-(5)",
            "--5",
            "5--",
            "00,123",
            "C12",
            "１２",
        ] {
            assert!(!is_number_like(text), "{text}");
        }
    }
}
