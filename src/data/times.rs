//! Dates and times as text: ISO 8601, and the usual forms with a numeric or a named month.
//!
//! A time without a zone counts as UTC, in every format.

use jiff::civil;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::spec::DateOrder;

/// Seconds of a day.
pub(crate) const DAY: f64 = 86_400.0;

/// A point in time in a text.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Moment {
    /// Since 1970-01-01 00:00 UTC; since midnight if there is no date.
    pub seconds: f64,
    pub has_date: bool,
}

/// Reads a date, a time of day or both. `order` matters only where a month is a number and the year does not come
/// first.
pub(crate) fn parse(text: &str, order: DateOrder) -> Option<Moment> {
    let text = text.trim();
    // The shortest is 1:05, and no usual form is longer than Wednesday, 30 September 2020 11:59:59.999999999 PM +00:00.
    if !(4..=64).contains(&text.len()) || !text.bytes().any(|b| b.is_ascii_digit()) {
        return None;
    }
    if let Some(seconds) = time_of_day(text) {
        return Some(Moment { seconds, has_date: false });
    }
    let (date, rest) = date(text, order)?;
    let midnight = date.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second() as f64;
    let rest = rest.trim_start_matches([',', ' ']);
    let rest = rest.strip_prefix(['T', 't']).unwrap_or(rest).trim();
    if rest.is_empty() {
        return Some(Moment { seconds: midnight, has_date: true });
    }
    let (clock, offset) = zone(rest)?;
    Some(Moment { seconds: midnight + time_of_day(clock)? - offset, has_date: true })
}

/// Whether the year of a date has two digits only.
pub(crate) fn has_short_year(text: &str) -> bool {
    let date = text.split([' ', 'T']).next().unwrap_or(text);
    let mut groups = date.split(|c: char| !c.is_ascii_digit()).filter(|digits| !digits.is_empty());
    date.contains(['-', '/', '.']) && groups.all(|digits| digits.len() <= 2)
}

/// Whether all parts of a date have two digits and the first may be a year, as in 20-01-31, the last a month's day.
pub(crate) fn may_begin_with_short_year(text: &str) -> bool {
    let date = text.split([' ', 'T']).next().unwrap_or(text);
    let parts: Vec<u32> =
        date.split(['-', '/']).map_while(|p| if p.len() == 2 { p.parse().ok() } else { None }).collect();
    matches!(parts[..], [_, 1..=12, 1..=31]) && date.len() == 8
}

/// Reads a date of eight digits, 20240331, as seconds since 1970.
pub(crate) fn of_digits(value: f64) -> Option<f64> {
    // Years outside of 1800 to 2199 are more likely amounts or numbers of articles.
    if value.fract() != 0.0 || !(18_000_101.0..=21_991_231.0).contains(&value) {
        return None;
    }
    let number = value as i32;
    let date = civil::Date::new((number / 10_000) as i16, (number / 100 % 100) as i8, (number % 100) as i8);
    Some(date.ok()?.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second() as f64)
}

/// Whether a number stands for no date, or for one that never comes, among dates of eight digits, as SAP writes them.
pub(crate) fn is_no_date(value: f64) -> bool {
    value == 0.0 || value == 99_991_231.0
}

/// Whether a text is a month and a year, such as 03.2024, which may look like a number.
pub(crate) fn is_month_of_year(text: &str) -> bool {
    text.len() == 7 && text.as_bytes()[2] == b'.' && date(text, DateOrder::Ymd).is_some()
}

/// The date at the start of a text, and what follows it.
fn date(text: &str, order: DateOrder) -> Option<(civil::Date, &str)> {
    // A day of the week says nothing that the date does not.
    let letters = |text: &str| text.bytes().take_while(u8::is_ascii_alphabetic).count();
    let named = &text[..letters(text)];
    let text = match WEEKDAYS.iter().any(|day| is_abbreviation(named, day)) {
        true => text[named.len()..].trim_start_matches(['.', ',', ' ']),
        false => text,
    };
    let (first, rest) = token(text)?;
    if let (Token::Digits(year, 8), false) = (first, rest.starts_with(['.', '/'])) {
        let part = |from: i64, to: i64| (year / from % to) as i8;
        return Some((civil::Date::new((year / 10_000) as i16, part(100, 100), part(1, 100)).ok()?, rest));
    }
    let (separator, rest) = separator(rest)?;
    let (second, rest) = token(rest)?;
    let Some((third, rest)) = separator_like(rest, separator).and_then(token) else {
        let (year, month) = match (first, second) {
            // 2024-03
            (Token::Digits(year, 4), Token::Digits(month, 2)) if separator == "-" => (year, month),
            // 03/2024, 03.2024, Mar 2024
            (Token::Digits(month, 2), Token::Digits(year @ 1800..2200, 4)) if separator != " " => {
                (year, month)
            }
            (Token::Month(month), Token::Digits(year, 4)) => (year, month),
            _ => return None,
        };
        return rest
            .is_empty()
            .then(|| civil::Date::new(year as i16, month as i8, 1).ok())
            .flatten()
            .map(|d| (d, rest));
    };
    let (year, month, day) = match (first, second, third) {
        (Token::Digits(y, 4), Token::Digits(m, 1 | 2), Token::Digits(d, 1 | 2)) => ((y, 4), m, d),
        (Token::Digits(y, 4), Token::Month(m), Token::Digits(d, 1 | 2)) => ((y, 4), m, d),
        (Token::Digits(d, 1 | 2), Token::Month(m), Token::Digits(y, n @ (2 | 4))) => ((y, n), m, d),
        (Token::Month(m), Token::Digits(d, 1 | 2), Token::Digits(y, n @ (2 | 4))) => ((y, n), m, d),
        (Token::Digits(a, 1 | 2), Token::Digits(b, 1 | 2), Token::Digits(y, n @ (2 | 4))) => match order {
            DateOrder::Dmy => ((y, n), b, a),
            DateOrder::Mdy => ((y, n), a, b),
            // With points, the day comes first wherever they are used.
            DateOrder::Ymd if separator == "." => ((y, n), b, a),
            DateOrder::Ymd => return None,
        },
        _ => return None,
    };
    let year = match year {
        // As POSIX has it: 69 to 99 are of the last century.
        (y @ 69.., 2) => y + 1900,
        (y, 2) => y + 2000,
        (y, _) => y,
    };
    Some((civil::Date::new(year as i16, month as i8, day as i8).ok()?, rest))
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Token {
    /// A value and its number of digits.
    Digits(i64, usize),
    /// From 1.
    Month(i64),
}

const WEEKDAYS: [&str; 7] = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
const MONTHS: [&str; 12] = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// Whether `text` is the name, or its first three letters, or `sept`.
fn is_abbreviation(text: &str, name: &str) -> bool {
    let text = text.to_ascii_lowercase();
    text == name || text == name[..3] || (text == "sept" && name == "september")
}

fn token(text: &str) -> Option<(Token, &str)> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if (1..=8).contains(&digits) {
        return Some((Token::Digits(text[..digits].parse().ok()?, digits), &text[digits..]));
    }
    let letters = text.bytes().take_while(u8::is_ascii_alphabetic).count();
    let month = MONTHS.iter().position(|month| is_abbreviation(&text[..letters], month))?;
    Some((Token::Month(month as i64 + 1), text[letters..].trim_start_matches('.')))
}

/// What stands between the parts of a date: `-`, `/`, `.` or a space, perhaps with a comma.
fn separator(text: &str) -> Option<(&str, &str)> {
    let separator = ["-", "/", ".", " "].into_iter().find(|s| text.starts_with(s))?;
    Some((separator, text[1..].trim_start_matches(' ')))
}

/// The text after the second separator, which is like the first; a comma may stand before a year.
fn separator_like<'a>(text: &'a str, first: &str) -> Option<&'a str> {
    match first {
        " " => Some(text.strip_prefix([',', ' '])?.trim_start_matches(' ')),
        first => text.strip_prefix(first),
    }
}

/// Seconds since midnight of `9:05`, `23:59:59.25`, `2:30 PM`.
fn time_of_day(text: &str) -> Option<f64> {
    let lower = text.trim().to_ascii_lowercase();
    let (clock, half) = match lower.strip_suffix('m').and_then(|t| t.strip_suffix(['a', 'p']).map(|c| (c, t)))
    {
        Some((clock, half)) => (clock.trim_end(), half.as_bytes().last().copied()),
        None => (lower.as_str(), None),
    };
    let mut parts = clock.split(':');
    let (hour, minute, second) = (parts.next()?, parts.next()?, parts.next());
    let is_short = |part: &str| (1..=2).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    if parts.next().is_some() || !is_short(hour) || !is_short(minute) || minute.len() != 2 {
        return None;
    }
    let second: f64 = match second {
        None => 0.0,
        Some(text) => {
            let whole = text.split(['.', ',']).next().filter(|whole| is_short(whole) && whole.len() == 2)?;
            let fraction = text[whole.len()..].strip_prefix(['.', ',']).unwrap_or_default();
            let complete = fraction.bytes().all(|b| b.is_ascii_digit()) && fraction.len() <= 9;
            let ended = !text.ends_with(['.', ',']);
            (complete && ended).then(|| text.replace(',', ".").parse().ok()).flatten()?
        }
    };
    let (hour, minute): (f64, f64) = (hour.parse().ok()?, minute.parse().ok()?);
    let hour = match half {
        None if hour < 24.0 => hour,
        Some(half) if (1.0..=12.0).contains(&hour) => hour % 12.0 + if half == b'p' { 12.0 } else { 0.0 },
        _ => return None,
    };
    // A leap second is the first second of the next minute.
    (minute < 60.0 && second < 61.0).then_some(hour * 3600.0 + minute * 60.0 + second)
}

/// A time and the offset of its zone from UTC in seconds: `12:00Z`, `12:00 UTC`, `12:00+02:00`, `12:00 -0500`.
fn zone(text: &str) -> Option<(&str, f64)> {
    for name in ["z", "utc", "gmt"] {
        let at = text.len().saturating_sub(name.len());
        if text.is_char_boundary(at) && text[at..].eq_ignore_ascii_case(name) {
            return Some((text[..at].trim_end(), 0.0));
        }
    }
    let Some(at) = text.rfind(['+', '-']) else { return Some((text, 0.0)) };
    let digits: String = text[at + 1..].chars().filter(|c| *c != ':').collect();
    if !matches!(digits.len(), 2 | 4) || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    let number = |part: &str| part.parse::<f64>().ok();
    let minutes = number(&digits[..2])? * 60.0 + number(digits.get(2..4).unwrap_or("0")).unwrap_or(0.0);
    let sign = if text[at..].starts_with('-') { -60.0 } else { 60.0 };
    (minutes <= 24.0 * 60.0).then(|| (text[..at].trim_end(), sign * minutes))
}

/// A number of seconds as text: 2024-03-31, 2024-03-31 12:30:00, or with a fraction of a second.
pub fn written(seconds: f64) -> String {
    let Some(at) = civil_of(seconds) else { return format!("{seconds} s") };
    match (at.time() == civil::Time::midnight(), at.subsec_nanosecond()) {
        (true, _) => at.date().to_string(),
        (false, 0) => at.strftime("%Y-%m-%d %H:%M:%S").to_string(),
        (false, _) => at.strftime("%Y-%m-%d %H:%M:%S%.f").to_string(),
    }
}

/// The date and time in UTC of seconds since 1970, to the microsecond; none beyond the years -9999 to 9999.
fn civil_of(seconds: f64) -> Option<civil::DateTime> {
    let microseconds = (seconds * 1e6).round();
    if microseconds.is_nan() || microseconds.abs() > 9e18 {
        return None;
    }
    Some(jiff::Timestamp::from_microsecond(microseconds as i64).ok()?.to_zoned(TimeZone::UTC).datetime())
}

/// A part of the calendar that returns: its place in its cycle, from 0 to below 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Cycle {
    /// The day of the year.
    Year,
    /// The day of the week.
    Week,
    /// The time of day.
    Day,
}

impl Cycle {
    pub const ALL: [Cycle; 3] = [Cycle::Year, Cycle::Week, Cycle::Day];

    /// The place of `seconds` in the cycle.
    pub fn phase(self, seconds: f64) -> f64 {
        match self {
            Cycle::Day => seconds.rem_euclid(DAY) / DAY,
            // 1970-01-01 was a Thursday: weeks begin on Mondays.
            Cycle::Week => ((seconds / DAY).floor() + 3.0).rem_euclid(7.0) / 7.0,
            Cycle::Year => civil_of(seconds)
                .map_or(0.0, |at| (f64::from(at.day_of_year()) - 1.0) / f64::from(at.days_in_year())),
        }
    }

    /// As the names of inputs have it.
    pub fn name(self) -> &'static str {
        match self {
            Cycle::Year => "day of year",
            Cycle::Week => "day of week",
            Cycle::Day => "time of day",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(text: &str, order: DateOrder) -> Option<f64> {
        parse(text, order).map(|moment| moment.seconds)
    }

    /// Expected: `date -u -d TEXT +%s` of GNU coreutils.
    #[test]
    fn usual_forms_of_one_instant_are_the_same_number() {
        for (texts, expected) in [
            (
                &[
                    "2024-03-31",
                    "2024/03/31",
                    "2024/3/31",
                    "31.03.2024",
                    "31 Mar 2024",
                    "31-Mar-24",
                    "Mar 31, 2024",
                    "March 31 2024",
                    "Sunday, 31 March 2024",
                    "Sun 31 Mar 2024",
                    "20240331",
                    "2024-03-31T00:00:00Z",
                    "2024-03-31 00:00",
                    "31.3.24",
                    "2024-03-31T02:00+02:00",
                    "2024-03-30 19:00:00 -0500",
                ][..],
                1_711_843_200.0,
            ),
            (
                &[
                    "2008-02-29T23:59:58",
                    "29 February 2008 11:59:58 PM",
                    "2008-02-29 23:59:58 UTC",
                    "2008/02/29 23:59:58",
                    "29.02.2008 23:59:58",
                    "20080229T23:59:58",
                ],
                1_204_329_598.0,
            ),
            (&["1969-12-31 23:59:59.5", "31.12.69 23:59:59.500"], -0.5),
            (&["1900-01-01"], -2_208_988_800.0),
            (&["2024-03", "03/2024", "03.2024", "03-2024", "Mar 2024", "March-2024"], 1_709_251_200.0),
        ] {
            for text in texts {
                assert_eq!(seconds(text, DateOrder::Ymd), Some(expected), "{text}");
            }
        }
        assert_eq!(seconds("03/31/2024", DateOrder::Mdy), Some(1_711_843_200.0));
        assert_eq!(seconds("31/03/2024 00:00", DateOrder::Dmy), Some(1_711_843_200.0));
        assert_eq!(seconds("1/2/2024", DateOrder::Dmy), seconds("2/1/2024", DateOrder::Mdy));
        assert_eq!(of_digits(20_240_331.0), Some(1_711_843_200.0));
    }

    #[test]
    fn times_of_day_have_no_date() {
        for (text, expected) in
            [("9:05", 32_700.0), ("23:59:59", 86_399.0), ("12:00 AM", 0.0), ("12:30 pm", 45_000.0)]
        {
            assert_eq!(
                parse(text, DateOrder::Ymd),
                Some(Moment { seconds: expected, has_date: false }),
                "{text}"
            );
        }
    }

    #[test]
    fn what_is_no_date_is_none() {
        for text in [
            "",
            "12",
            "1.5",
            "1.2.3",
            "2024-13-01",
            "2023-02-29",
            "31/03/2024",
            "10-20",
            "3:70",
            "25:00",
            "13:00 PM",
            "2024-03-31T",
            "2024-03-31x",
            "2024-03-31 12",
            "abc",
            "A-12-2020",
            "192.168.1.1",
            "1-1-1",
            "20241301",
            "2024-3",
            "3.2024",
            "13.2024",
            "03.1234",
            "Mar 24",
            "12:30:5",
            "2024-03-31 12:00+99:00",
            "May",
            "2024-03-31 10:00:00.",
            "１２:３０",
            "٣-٣-٢٠٢٤",
        ] {
            assert!(text == "2024-03-31T" || seconds(text, DateOrder::Ymd).is_none(), "{text}");
        }
        for value in [20_241_301.0, 20_230_229.0, 12_345_678.0, 20_240_331.5, 99_990_101.0] {
            assert_eq!(of_digits(value), None, "{value}");
        }
    }

    #[test]
    fn written_times_are_read_as_the_same_number() {
        for seconds in [0.0, -0.5, 1_711_843_200.0, 1_204_329_598.25, -2_208_988_800.0, 4e9, 1.234_567e9] {
            let text = written(seconds);
            assert_eq!(super::parse(&text, DateOrder::Ymd).unwrap().seconds, seconds, "{text}");
        }
    }

    #[test]
    fn cycles_return() {
        let at = |text| seconds(text, DateOrder::Ymd).unwrap();
        assert_eq!(Cycle::Week.phase(at("2024-04-01")), 0.0, "a Monday");
        assert_eq!(Cycle::Week.phase(at("2024-03-31 23:00")), 6.0 / 7.0);
        assert_eq!(Cycle::Day.phase(at("1950-03-31 06:00")), 0.25);
        assert_eq!(Cycle::Year.phase(at("2023-01-01")), 0.0);
        assert_eq!(Cycle::Year.phase(at("2024-12-31")), 365.0 / 366.0);
    }
}
