//! Random tables, written in every usual way: their types and values are recovered, or they are refused with a reason.
//!
//! `BNGPU_TABLES=20000` writes more of them.

use std::path::PathBuf;

use bngpu::data::{ColumnType, Features, LoadRequest, Role, Targets, Values, describe, load};

use crate::common::files::{Random, request};

const TABLES: u64 = 2000;

/// How cells are separated, lines end, and text is encoded.
struct Style {
    separator: char,
    line_end: &'static str,
    encoding: usize,
    header: bool,
    quote_all: bool,
}

const ENCODINGS: usize = 5;

impl Style {
    fn new(random: &mut Random) -> Style {
        Style {
            separator: [',', ';', '\t', '|'][random.below(4)],
            line_end: ["\n", "\r\n"][random.below(2)],
            encoding: random.below(ENCODINGS),
            header: random.below(5) > 0,
            quote_all: random.below(4) == 0,
        }
    }

    fn cell(&self, text: &str) -> String {
        if self.quote_all || text.contains([self.separator, '"', '\n', ' ']) {
            format!("\"{}\"", text.replace('"', "\"\""))
        } else {
            text.into()
        }
    }

    fn encoded(&self, text: &str) -> Vec<u8> {
        match self.encoding {
            0 | 1 => text.as_bytes().to_vec(),
            2 => ["\u{feff}", text].concat().into_bytes(),
            3 => "\u{feff}".encode_utf16().chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect(),
            // Windows-1252 agrees with Unicode in the characters that are used here, but for the euro.
            _ => text.chars().map(|c| if c == '€' { 0x80 } else { c as u32 as u8 }).collect(),
        }
    }
}

/// A column with what is true of it.
struct Column {
    kind: ColumnType,
    cells: Vec<String>,
    /// Of numbers, truth values and dates: the value; NaN is missing.
    values: Vec<f64>,
    /// What it is, for messages.
    what: &'static str,
}

const DAY: f64 = 86_400.0;

impl Column {
    fn new(random: &mut Random, rows: usize, style: &Style) -> Column {
        let mut column = match random.below(11) {
            0..=4 => Column::numbers(random, rows, style),
            5 => Column::truths(random, rows),
            6 | 7 => Column::dates(random, rows),
            8 => Column::categories(random, rows),
            9 => Column::identifiers(random, rows),
            _ => Column::constant(random, rows),
        };
        let may_miss = matches!(
            column.kind,
            ColumnType::Number | ColumnType::Boolean | ColumnType::Date | ColumnType::Category
        );
        if may_miss && random.below(3) == 0 {
            let mut markers = vec!["", "NA", "NaN", "null", "?", "N/A"];
            if matches!(column.kind, ColumnType::Number | ColumnType::Date) {
                markers.extend(["-", "--", "unknown", "none", "#N/A", "missing", "."]);
            }
            let marker = markers[random.below(markers.len())];
            let share = [20, 5, 3][random.below(3)];
            for row in 0..rows {
                // The first values stay, so that something is known of the column.
                if row > 3 && random.below(share) == 0 {
                    column.cells[row] = marker.into();
                    column.values[row] = f64::NAN;
                }
            }
        }
        column
    }

    fn numbers(random: &mut Random, rows: usize, style: &Style) -> Column {
        // Hundredths, so that every way of writing shows the whole value.
        let whole = random.below(3) == 0;
        let scale = [40, 2000, 5_000_000][random.below(3)];
        let signed = random.below(2) == 0;
        let value = |random: &mut Random| {
            let hundredths = if whole { 100 * random.below(scale) } else { random.below(100 * scale) };
            let value = hundredths as f64 / 100.0;
            if signed && random.below(2) == 0 { -value } else { value }
        };
        let values: Vec<f64> = (0..rows).map(|_| value(random)).collect();
        let comma = style.separator != ',' && random.below(3) == 0 || random.below(12) == 0;
        // Between commas and tabs, 1.234 is always a decimal number.
        let grouped = random.below(4) == 0 && (!whole || !comma || style.separator == ';');
        let [decimal, group] = if comma { [',', '.'] } else { ['.', ','] };
        let group = if random.below(3) == 0 { [' ', '\'', '\u{a0}'][random.below(3)] } else { group };
        let (what, before, after) = [
            ("plain", "", ""),
            ("plain", "", ""),
            ("plain", "", ""),
            ("dollars", "$", ""),
            ("euros", "", " €"),
            ("percent", "", "%"),
            ("kilograms", "", " kg"),
            ("pounds sterling", "£", ""),
            ("named unit", "", " points"),
        ][random.below(9)];
        let brackets = random.below(8) == 0;
        let exponent = what == "plain" && !grouped && !comma && random.below(6) == 0;
        let written = |value: &f64| {
            if exponent {
                return format!("{value:e}");
            }
            let (size, minus) =
                (value.abs(), if value.is_sign_negative() && *value != 0.0 { "-" } else { "" });
            let digits = if whole { format!("{size:.0}") } else { format!("{size:.2}") };
            let (int, fraction) = digits.split_once('.').unwrap_or((&digits, ""));
            let mut int = int.to_owned();
            if grouped {
                for at in (1..int.len()).rev().filter(|at| (int.len() - at) % 3 == 0).collect::<Vec<_>>() {
                    int.insert(at, group);
                }
            }
            let number = if fraction.is_empty() { int } else { format!("{int}{decimal}{fraction}") };
            if brackets && minus == "-" {
                format!("({before}{number}{after})")
            } else {
                format!("{minus}{before}{number}{after}")
            }
        };
        let cells = values.iter().map(written).collect();
        Column { kind: ColumnType::Number, cells, values, what }
    }

    fn truths(random: &mut Random, rows: usize) -> Column {
        let words =
            [["false", "true"], ["False", "True"], ["no", "yes"], ["N", "Y"], ["0", "1"], ["FALSE", "TRUE"]];
        let words = words[random.below(words.len())];
        let truths: Vec<usize> = (0..rows).map(|row| if row < 2 { row } else { random.below(2) }).collect();
        Column {
            kind: ColumnType::Boolean,
            cells: truths.iter().map(|truth| words[*truth].into()).collect(),
            values: truths.into_iter().map(|truth| truth as f64).collect(),
            what: "truth values",
        }
    }

    fn dates(random: &mut Random, rows: usize) -> Column {
        let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
        let form = random.below(8);
        let mut cells = Vec::new();
        let values = (0..rows)
            .map(|row| {
                // Day 13 and later decide the order of day and month.
                let (y, m, d) = (
                    1970 + random.below(60),
                    1 + random.below(12),
                    1 + if row == 0 { 20 } else { random.below(28) },
                );
                let (hour, minute) = (random.below(24), random.below(60));
                cells.push(match form {
                    0 => format!("{y}-{m:02}-{d:02}"),
                    1 => format!("{y}/{m}/{d}"),
                    2 => format!("{d:02}.{m:02}.{y}"),
                    3 => format!("{d:02}/{m:02}/{y}"),
                    4 => format!("{m}/{d}/{y}"),
                    5 => format!("{d} {} {y}", months[m - 1]),
                    6 => format!("{y}-{m:02}-{d:02} {hour:02}:{minute:02}"),
                    _ => format!("{y}-{m:02}-{d:02}T{hour:02}:{minute:02}:00Z"),
                });
                let time = if form >= 6 { (hour * 60 + minute) as f64 * 60.0 } else { 0.0 };
                days(y as i64, m as i64, d as i64) * DAY + time
            })
            .collect();
        Column { kind: ColumnType::Date, cells, values, what: "dates" }
    }

    fn categories(random: &mut Random, rows: usize) -> Column {
        let sets: [&[&str]; 5] = [
            &["red", "green", "blue"],
            &["A1", "B2", "C3", "D4"],
            &["klein", "groß", "mittel groß"],
            &["0-18", "18-65", "65+"],
            &["007", "010", "099"],
        ];
        let set = sets[random.below(sets.len())];
        let cells =
            (0..rows).map(|row| set[if row < set.len() { row } else { random.below(set.len()) }].into());
        Column {
            kind: ColumnType::Category,
            cells: cells.collect(),
            values: vec![0.0; rows],
            what: "categories",
        }
    }

    fn identifiers(random: &mut Random, rows: usize) -> Column {
        let form = random.below(3);
        let cells = (0..rows).map(|row| match form {
            0 => format!("user-{}", row * 7919 % 104_729),
            1 => format!("{:07}", row * 7919 % 104_729),
            _ => format!("{:x}-{row:x}", row * 2_654_435_761 % 4_294_967_296),
        });
        Column {
            kind: ColumnType::Identifier,
            cells: cells.collect(),
            values: vec![0.0; rows],
            what: "identifiers",
        }
    }

    fn constant(random: &mut Random, rows: usize) -> Column {
        let cell = ["7", "same", "2020-05-05", "true", "1.5"][random.below(5)];
        Column {
            kind: ColumnType::Constant,
            cells: vec![cell.into(); rows],
            values: vec![0.0; rows],
            what: "constant",
        }
    }
}

/// Days since 1970-01-01 of the Gregorian calendar, counted year by year.
fn days(year: i64, month: i64, day: i64) -> f64 {
    let leap = |y: i64| y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
    let years: i64 = (1970..year).map(|y| if leap(y) { 366 } else { 365 }).sum();
    let lengths = [31, if leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    (years + lengths[..month as usize - 1].iter().sum::<i64>() + day - 1) as f64
}

struct Table {
    style: Style,
    columns: Vec<Column>,
    target: Vec<f64>,
    text: String,
}

impl Table {
    fn new(seed: u64) -> Table {
        let mut random = Random(seed * 2 + 1);
        let rows = 30 + random.below(60);
        let style = Style::new(&mut random);
        let mut columns: Vec<Column> =
            (0..1 + random.below(5)).map(|_| Column::new(&mut random, rows, &style)).collect();
        // Something to learn from, whatever else there is.
        let values: Vec<f64> = (0..rows).map(|_| random.below(100_000) as f64).collect();
        let cells = values.iter().map(|v| v.to_string()).collect();
        columns.push(Column { kind: ColumnType::Number, cells, values, what: "plain" });
        let target: Vec<f64> = (0..rows).map(|_| random.below(1_000_000) as f64 + 0.5).collect();
        let names = ["größe", "a b", "x", "Preis", "when", "flag"];
        let mut text = String::new();
        let mut line = |cells: Vec<String>| {
            text += &cells.join(&style.separator.to_string());
            text += style.line_end;
        };
        if style.header {
            let names = (0..columns.len()).map(|at| style.cell(names[at]));
            line(names.chain(["target".into()]).collect());
        }
        for (row, target) in target.iter().enumerate() {
            let cells = columns.iter().map(|column| style.cell(&column.cells[row]));
            line(cells.chain([style.cell(&target.to_string())]).collect());
        }
        Table { style, columns, target, text }
    }

    /// Compares what is read with the truth; the reason if it is refused.
    fn check(&self, path: PathBuf, context: &str) -> Result<(), String> {
        std::fs::write(&path, self.style.encoded(&self.text)).unwrap();
        let request = LoadRequest { standardize: false, val_split: 0.0, test_split: 0.0, ..request(&path) };
        let description = describe(&request).map_err(|e| e.to_string())?;
        assert_eq!(description.rows, self.target.len(), "{context}");
        assert_eq!(description.columns.len(), self.columns.len() + 1, "{context}");
        for (column, report) in self.columns.iter().zip(&description.columns) {
            let what = column.what;
            assert_eq!(report.kind, column.kind, "{context}: {what} {:?}", report);
            let missing = column.values.iter().filter(|v| v.is_nan()).count();
            assert_eq!(report.missing, missing, "{context}: {what}");
            if let (ColumnType::Date, Values::Histogram { least, largest, .. }) =
                (column.kind, &report.values)
            {
                let known = || column.values.iter().copied().filter(|v| !v.is_nan());
                let range =
                    [known().fold(f64::INFINITY, f64::min), known().fold(f64::NEG_INFINITY, f64::max)];
                assert_eq!([*least, *largest], range, "{context}: {what}");
            }
        }
        let data = load(&request).map_err(|e| e.to_string())?;
        let Features::Floats(features) = &data.features else { panic!("{context}: images") };
        let Targets::Values(targets) = &data.targets else { panic!("{context}: classes") };
        let expected: Vec<f32> = self.target.iter().map(|v| *v as f32).collect();
        assert_eq!(targets, &expected, "{context}");
        let names = data.preprocessing.input_names();
        for (at, column) in self.columns.iter().enumerate() {
            let report = &data.columns[at];
            if !matches!(column.kind, ColumnType::Number | ColumnType::Boolean) || report.role != Role::Input
            {
                continue;
            }
            let input = names.iter().position(|name| *name == report.name).unwrap();
            for (row, value) in column.values.iter().enumerate().filter(|(_, v)| !v.is_nan()) {
                let found = features[row * data.n_features + input];
                assert_eq!(
                    found, *value as f32,
                    "{context}: {} row {row}: {:?}",
                    column.what, column.cells[row]
                );
            }
        }
        Ok(())
    }
}

#[test]
fn types_and_values_of_random_tables_are_recovered_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    let tables = std::env::var("BNGPU_TABLES").ok().and_then(|n| n.parse().ok()).unwrap_or(TABLES);
    let mut refused = Vec::new();
    for seed in 0..tables {
        let table = Table::new(seed);
        let context = format!("table {seed} ({:?})", table.text.lines().take(3).collect::<Vec<_>>());
        if let Err(why) = table.check(folder.path().join("table.csv"), &context) {
            // A refusal names the column and says how to answer it.
            assert!(why.contains("--column"), "{context}: {why}");
            refused.push(why);
        }
    }
    eprintln!("{} of {tables} tables refused, for example: {:?}", refused.len(), refused.first());
    assert!(
        (refused.len() as u64) < tables / 10,
        "{} of {tables} refused: {:#?}",
        refused.len(),
        &refused[..5]
    );
}
