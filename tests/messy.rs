//! What people's files really contain: each kind of column is taken for what it is, or refused with its readings.

use std::fmt::Write as _;

use bngpu::data::{
    ColumnReport, ColumnType, DataError, Description, LoadRequest, Part, Role, Targets, Values, describe,
    load,
};
use bngpu::spec::{AskedColumn, TableRequest};

use crate::common::files::request;

const ROWS: usize = 60;

/// A file of `rows` below `head`.
fn write(folder: &tempfile::TempDir, name: &str, text: impl AsRef<[u8]>) -> LoadRequest {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    request(path)
}

/// A table with the column `x` of these cells, between a number that varies and a class.
fn table(cells: &[String], separator: char) -> String {
    let mut text = format!("u{separator}x{separator}class\n");
    for (row, cell) in cells.iter().enumerate() {
        let quoted = format!("\"{}\"", cell.replace('"', "\"\""));
        let class = if row * 7 % 5 < 2 { "red" } else { "blue" };
        writeln!(text, "{}{separator}{quoted}{separator}{class}", row * 37 % 101).unwrap();
    }
    text
}

fn described(
    cells: &[String],
    separator: char,
    asked: &[&str],
) -> Result<(ColumnReport, Description), DataError> {
    let folder = tempfile::tempdir().unwrap();
    let mut request = write(&folder, "t.csv", table(cells, separator));
    request.table.columns = asked.iter().map(|text| text.parse::<AskedColumn>().unwrap()).collect();
    let description = describe(&request)?;
    let report = description.columns.iter().find(|column| column.name == "x").unwrap().clone();
    Ok((report, description))
}

fn cells(of: impl Fn(usize) -> String) -> Vec<String> {
    (0..ROWS).map(of).collect()
}

/// The range of a column of numbers or dates.
fn range(report: &ColumnReport) -> [f64; 2] {
    match report.values {
        Values::Histogram { least, largest, .. } => [least, largest],
        _ => panic!("{report:?}"),
    }
}

/// 0.25, 1.25, … in an order that does not count.
fn some(row: usize) -> f64 {
    (row * 37 % ROWS) as f64 + 0.25
}

#[test]
fn numbers_however_they_are_written() {
    type Cell = fn(usize) -> String;
    let cases: &[(&str, char, Cell, [f64; 2], usize)] = &[
        ("plain", ',', |i| some(i).to_string(), [0.25, 59.25], 0),
        ("plus", ',', |i| format!("+{}", some(i)), [0.25, 59.25], 0),
        ("exponent", ',', |i| format!("{:e}", some(i)), [0.25, 59.25], 0),
        ("thousands", ',', |i| format!("{},{:03}.5", i + 1, i * 16), [1000.5, 60_944.5], 0),
        ("thousands without decimals", ',', |i| format!("{},{:03}", i + 1, i * 16), [1000.0, 60_944.0], 0),
        ("millions", ';', |i| format!("{}.000.0{:02}", i + 1, i), [1_000_000.0, 60_000_059.0], 0),
        ("decimal comma in semicolons", ';', |i| some(i).to_string().replace('.', ","), [0.25, 59.25], 0),
        ("decimal comma, quoted", ',', |i| some(i).to_string().replace('.', ","), [0.25, 59.25], 0),
        ("decimal comma in tabs", '\t', |i| some(i).to_string().replace('.', ","), [0.25, 59.25], 0),
        ("dollar", ',', |i| format!("${}", some(i)), [0.25, 59.25], 0),
        ("dollar with thousands", ',', |i| format!("${},{:03}.00", i + 1, i), [1000.0, 60_059.0], 0),
        ("euro behind", ';', |i| format!("{} €", some(i).to_string().replace('.', ",")), [0.25, 59.25], 0),
        ("currency code", ',', |i| format!("USD {}", some(i)), [0.25, 59.25], 0),
        ("percent", ',', |i| format!("{}%", some(i)), [0.25, 59.25], 0),
        ("percent apart", ',', |i| format!("{} %", some(i)), [0.25, 59.25], 0),
        ("kg", ',', |i| format!("{} kg", some(i)), [0.25, 59.25], 0),
        ("kg together", ',', |i| format!("{}kg", some(i)), [0.25, 59.25], 0),
        (
            "days",
            ',',
            |i| if i * 37 % ROWS == 0 { "1 day".into() } else { format!("{} days", i * 37 % ROWS + 1) },
            [1.0, 60.0],
            0,
        ),
        (
            "brackets",
            ',',
            |i| if i % 2 == 0 { format!("({})", some(i)) } else { some(i).to_string() },
            [-58.25, 59.25],
            0,
        ),
        (
            "minus behind",
            ',',
            |i| if i % 2 == 0 { format!("{}-", some(i)) } else { some(i).to_string() },
            [-58.25, 59.25],
            0,
        ),
        ("Unicode minus", ',', |i| format!("−{}", some(i)), [-59.25, -0.25], 0),
        (
            "magnitudes",
            ',',
            |i| if i % 2 == 0 { format!("{}K", some(i)) } else { format!("{}M", some(i)) },
            [250.0, 59.25e6],
            0,
        ),
        ("spaces", ',', |i| format!("{} {:03}", i + 1, i), [1000.0, 60_059.0], 0),
        ("apostrophes", ',', |i| format!("{}'{:03}", i + 1, i), [1000.0, 60_059.0], 0),
        ("spaces around", ',', |i| format!("  {} ", some(i)), [0.25, 59.25], 0),
        (
            "a few unknown",
            ',',
            |i| if i % 20 == 0 { "unknown".into() } else { some(i).to_string() },
            [1.25, 59.25],
            3,
        ),
        (
            "many unknown",
            ',',
            |i| if i % 3 == 0 { "unknown".into() } else { some(i).to_string() },
            [1.25, 59.25],
            20,
        ),
        ("dashes", ',', |i| if i % 7 == 0 { "--".into() } else { some(i).to_string() }, [1.25, 59.25], 9),
        ("one dash", ',', |i| if i % 7 == 0 { "-".into() } else { some(i).to_string() }, [1.25, 59.25], 9),
        ("point", ',', |i| if i % 7 == 0 { ".".into() } else { some(i).to_string() }, [1.25, 59.25], 9),
        (
            "errors of a spreadsheet",
            ',',
            |i| ["#DIV/0!", "#VALUE!"].get(i % 9).map_or_else(|| some(i).to_string(), |t| (*t).into()),
            [0.0, 0.0],
            14,
        ),
        ("nil", ',', |i| if i % 9 == 0 { "nil".into() } else { some(i).to_string() }, [1.25, 59.25], 7),
        ("TBD", ',', |i| if i % 9 == 0 { "TBD".into() } else { some(i).to_string() }, [1.25, 59.25], 7),
        ("star", ',', |i| if i % 9 == 0 { "*".into() } else { some(i).to_string() }, [1.25, 59.25], 7),
        (
            "a word of its own",
            ',',
            |i| if i % 9 == 0 { "kaputt".into() } else { some(i).to_string() },
            [1.25, 59.25],
            7,
        ),
        (
            "\\N of MySQL",
            ',',
            |i| if i % 9 == 0 { "\\N".into() } else { some(i).to_string() },
            [1.25, 59.25],
            7,
        ),
        ("NA", ',', |i| if i % 9 == 0 { "NA".into() } else { some(i).to_string() }, [1.25, 59.25], 7),
        (
            "unknown among dollars",
            ',',
            |i| if i % 9 == 0 { "ask".into() } else { format!("${}", some(i)) },
            [1.25, 59.25],
            7,
        ),
    ];
    for (name, separator, cell, expected, missing) in cases {
        let (report, _) = described(&cells(cell), *separator, &[]).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!((report.kind, report.missing), (ColumnType::Number, *missing), "{name}: {report:?}");
        if expected != &[0.0, 0.0] {
            assert_eq!(range(&report), *expected, "{name}");
        }
    }
}

#[test]
fn a_marker_is_named_in_a_note() {
    for share in [3, 6, 20] {
        let cells = cells(|i| if i % share == 0 { "unknown".into() } else { some(i).to_string() });
        let (_, description) = described(&cells, ',', &[]).unwrap();
        let note = description.notes.iter().find(|note| note.contains("unknown")).expect("no note");
        assert!(note.contains("missing") && note.contains(&(ROWS / share).to_string()), "{note}");
    }
}

#[test]
fn what_has_two_readings_is_refused_and_can_be_answered() {
    type Cell = fn(usize) -> String;
    let cases: &[(&str, char, Cell, &[&str])] = &[
        (
            "1.234 beside semicolons",
            ';',
            |i| format!("{}.{:03}", i + 1, i * 16),
            &["x=number:point", "x=number:comma"],
        ),
        (
            "1,234 beside semicolons",
            ';',
            |i| format!("{},{:03}", i + 1, i * 16),
            &["x=number:point", "x=number:comma"],
        ),
        (
            "decimal points and commas",
            ',',
            |i| if i % 2 == 0 { format!("{i},5") } else { format!("{i}.5") },
            &["x=number:comma"],
        ),
        (
            "day or month",
            ',',
            |i| format!("{:02}/{:02}/2024", 1 + i % 12, 1 + i % 11),
            &["x=date:dmy", "x=date:mdy"],
        ),
        (
            "with dashes",
            ',',
            |i| format!("{:02}-{:02}-2024", 1 + i % 12, 1 + i % 11),
            &["x=date:dmy", "x=date:mdy"],
        ),
        (
            "a code among few numbers",
            ',',
            |i| ["1", "2", "3", "4", "X"][i % 5].into(),
            &["x=number", "x=category"],
        ),
        (
            "typing errors",
            ',',
            |i| if i < 6 { format!("{i}O{i}") } else { some(i).to_string() },
            &["x=number", "x=category"],
        ),
        (
            "two units",
            ',',
            |i| if i % 2 == 0 { format!("{} kg", some(i)) } else { format!("{} g", some(i)) },
            &["x=category"],
        ),
        (
            "percent and shares",
            ',',
            |i| if i % 2 == 0 { format!("{}%", some(i)) } else { format!("{}", some(i)) },
            &["x=category"],
        ),
    ];
    for (name, separator, cell, answers) in cases {
        let cells = cells(cell);
        let error =
            described(&cells, *separator, &[]).err().unwrap_or_else(|| panic!("{name} is taken")).to_string();
        assert!(error.contains("\"x\""), "{name}: {error}");
        for answer in *answers {
            assert!(error.contains(answer), "{name}: {error} does not offer {answer}");
            let found = described(&cells, *separator, &[answer]);
            assert!(found.is_ok() || name == &"typing errors", "{name} with {answer}: {:?}", found.err());
        }
    }
    let cells = cells(|i| format!("{}.{:03}", i + 1, i * 16));
    let of = |asked: &str| range(&described(&cells, ';', &[asked]).unwrap().0);
    assert_eq!(of("x=number:point"), [1.0, 60.944]);
    assert_eq!(of("x=number:comma"), [1000.0, 60_944.0]);
}

#[test]
fn truth_values_are_0_and_1_in_any_words() {
    for words in [
        ["false", "true"],
        ["False", "True"],
        ["FALSE", "TRUE"],
        ["no", "yes"],
        ["No", "Yes"],
        ["n", "y"],
        ["F", "T"],
        ["0", "1"],
        ["0.0", "1.0"],
        ["off", "on"],
    ] {
        let (report, _) = described(&cells(|i| words[i * 3 % 7 % 2].into()), ',', &[]).unwrap();
        assert_eq!((report.kind, range(&report)), (ColumnType::Boolean, [0.0, 1.0]), "{words:?}");
    }
    // A third word makes them categories.
    let (report, _) = described(&cells(|i| ["yes", "no", "perhaps"][i % 3].into()), ',', &[]).unwrap();
    assert_eq!(report.kind, ColumnType::Category);
}

#[test]
fn dates_and_times_in_the_usual_forms() {
    let day = 86_400.0;
    // 2024-02-01 to 2024-03-31
    let first = 1_706_745_600.0;
    type Cell = fn(i32, i32) -> String;
    let cases: &[(&str, Cell)] = &[
        ("iso", |m, d| format!("2024-{m:02}-{d:02}")),
        ("iso with time", |m, d| format!("2024-{m:02}-{d:02}T00:00:00")),
        ("iso in UTC", |m, d| format!("2024-{m:02}-{d:02}T00:00:00Z")),
        ("slashes", |m, d| format!("2024/{m}/{d}")),
        ("points", |m, d| format!("{d:02}.{m:02}.2024")),
        ("points, short", |m, d| format!("{d}.{m}.24")),
        ("day first", |m, d| format!("{d:02}/{m:02}/2024")),
        ("month first", |m, d| format!("{m:02}/{d:02}/2024")),
        ("named month", |m, d| format!("{d} {} 2024", ["", "Jan", "Feb", "Mar"][m as usize])),
        ("named month first", |m, d| {
            format!("{} {d}, 2024", ["", "January", "February", "March"][m as usize])
        }),
        ("dashes with names", |m, d| format!("{d:02}-{}-24", ["", "JAN", "FEB", "MAR"][m as usize])),
        ("digits", |m, d| format!("2024{m:02}{d:02}")),
        ("pandas", |m, d| format!("2024-{m:02}-{d:02} 00:00:00")),
        ("zone", |m, d| format!("2024-{m:02}-{d:02} 05:30:00+05:30")),
    ];
    for (name, cell) in cases {
        let cells = cells(|i| {
            let i = (i * 37 % ROWS) as i32;
            if i < 29 { cell(2, i + 1) } else { cell(3, i - 28) }
        });
        let (report, _) = described(&cells, ',', &[]).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(report.kind, ColumnType::Date, "{name}: {report:?}");
        assert_eq!(range(&report), [first, first + 59.0 * day], "{name}");
    }
    let (report, _) = described(&cells(|i| format!("{}:{:02}", i * 7 % 24, i)), ',', &[]).unwrap();
    assert_eq!(report.kind, ColumnType::Date, "times of day");
    let gaps = cells(|i| if i % 9 == 0 { "unknown".into() } else { format!("2024-01-{:02}", i % 28 + 1) });
    let (report, description) = described(&gaps, ',', &[]).unwrap();
    assert_eq!((report.kind, report.missing), (ColumnType::Date, 7));
    assert!(description.notes.iter().any(|note| note.contains("unknown")), "{:?}", description.notes);
}

#[test]
fn identifiers_indices_texts_and_constants_are_left_out() {
    let word = |i: usize| ["ox", "elk", "bee", "ant", "cod", "emu", "fox"][i % 7];
    type Cell<'a> = Box<dyn Fn(usize) -> String + 'a>;
    let cases: Vec<(&str, Cell, ColumnType)> = vec![
        ("from 0", Box::new(|i| i.to_string()), ColumnType::Index),
        ("from 1", Box::new(|i| (i + 1).to_string()), ColumnType::Index),
        ("as floats", Box::new(|i| format!("{i}.0")), ColumnType::Index),
        ("names", Box::new(|i| format!("{} {}", word(i), word(i * i).len() * i)), ColumnType::Identifier),
        ("padded", Box::new(|i| format!("{:06}", i * 7919 % 1000)), ColumnType::Identifier),
        (
            "uuids",
            Box::new(|i| format!("{:08x}-{:04x}", i * 0x9e37_79b9 % 0xffff_ffff, i)),
            ColumnType::Identifier,
        ),
        (
            "beyond 2^53",
            Box::new(|i| (9_007_199_254_740_993u64 + 2 * i as u64).to_string()),
            ColumnType::Identifier,
        ),
        (
            "sentences",
            Box::new(|i| format!("the {} saw {} {}s near the {}", word(i), i, word(i + 1), word(i / 7))),
            ColumnType::Text,
        ),
        ("constant number", Box::new(|_| "5".into()), ColumnType::Constant),
        ("constant text", Box::new(|_| "same".into()), ColumnType::Constant),
        ("constant date", Box::new(|_| "2024-01-01".into()), ColumnType::Constant),
        ("empty", Box::new(|_| String::new()), ColumnType::Empty),
        ("all NA", Box::new(|_| "NA".into()), ColumnType::Empty),
    ];
    for (name, cell, kind) in cases {
        let (report, _) = described(&cells(cell), ',', &[]).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!((report.kind, report.role), (kind, Role::LeftOut), "{name}: {report:?}");
    }
}

#[test]
fn categories_stay_categories() {
    type Cell = fn(usize) -> String;
    let cases: &[(&str, Cell)] = &[
        ("words", |i| ["red", "green", "blue"][i % 3].into()),
        ("grades", |i| ["A", "B", "C", "D"][i % 4].into()),
        ("codes with zeros in front", |i| format!("0{}", 10 + i % 9)),
        ("codes of letters and digits", |i| format!("{}{}", ["A", "B"][i % 2], i % 8)),
        ("mixed codes", |i| if i % 3 == 0 { format!("{}A", 10 + i % 7) } else { format!("{}", 20 + i % 8) }),
        ("ranges", |i| ["0-18", "18-65", "65+"][i % 3].into()),
        ("ordinals", |i| ["1st", "2nd", "3rd"][i % 3].into()),
        ("drives", |i| ["2WD", "4WD"][i % 2].into()),
        ("few sizes in two units", |i| ["500 g", "1 kg", "2 kg"][i % 3].into()),
        ("versions", |i| format!("1.{}.{}", i % 3, i % 4)),
        ("addresses", |i| format!("10.0.0.{}", i % 6)),
        ("yes, no and both", |i| ["yes", "no", "both"][i % 3].into()),
        ("mostly words", |i| if i % 4 == 0 { "7".into() } else { ["up", "down"][i % 2].into() }),
    ];
    for (name, cell) in cases {
        let (report, _) = described(&cells(cell), ',', &[]).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(report.kind, ColumnType::Category, "{name}: {report:?}");
    }
}

#[test]
fn named_identifiers_are_left_out_and_named_columns_are_obeyed() {
    let folder = tempfile::tempdir().unwrap();
    for name in
        ["Id", "PassengerId", "customer_id", "user id", "__index_level_0__", "Unnamed: 0", "customerID"]
    {
        let mut text = format!("{name},x,y\n");
        (0..ROWS).for_each(|i| writeln!(text, "{},{},{}", 1000 + i * 31 % 997, some(i), i * 7 % 3).unwrap());
        let request = write(&folder, "t.csv", text);
        let data = load(&request).unwrap();
        assert_eq!(data.n_features, 1, "{name}: {:?}", data.columns);
        assert!(
            data.notes.iter().any(|note| note.contains(name) && note.contains("left out")),
            "{:?}",
            data.notes
        );
        let asked = LoadRequest {
            table: TableRequest {
                columns: vec![format!("{name}=number").parse().unwrap()],
                ..TableRequest::default()
            },
            ..request.clone()
        };
        assert_eq!(load(&asked).unwrap().n_features, 2, "{name}");
        let dropped =
            LoadRequest { table: TableRequest { drop: vec!["x".into()], ..asked.table.clone() }, ..asked };
        assert_eq!(load(&dropped).unwrap().n_features, 1, "{name}");
    }
}

#[test]
fn the_last_column_that_is_no_index_is_the_target() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = String::from("x,species,__index_level_0__\n");
    (0..ROWS).for_each(|i| writeln!(text, "{},{},{}", some(i), ["a", "b"][i * 3 % 5 % 2], i * 2).unwrap());
    let data = load(&write(&folder, "t.csv", text)).unwrap();
    assert_eq!((data.preprocessing.target_name(), data.n_features), ("species", 1));
}

#[test]
fn a_gap_at_predict_gets_the_training_median() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = String::from("year,km,price\n");
    (0..ROWS)
        .for_each(|i| writeln!(text, "{},{},{}", 1990 + i * 37 % 41, i * 11 % 59, 1000 + i * i).unwrap());
    let data =
        load(&LoadRequest { val_split: 0.0, test_split: 0.0, ..write(&folder, "t.csv", text) }).unwrap();
    let mut years: Vec<usize> = (0..ROWS).map(|i| 1990 + i * 37 % 41).collect();
    years.sort_unstable();
    let median = (years[29] + years[30]) as f64 / 2.0;
    let new = write(&folder, "new.csv", format!("year,km\n{median},5\n,5\n0,5\n"));
    let rows = data.preprocessing.read(&new.source, None, Part::All).unwrap();
    assert_eq!(rows.features[0], rows.features[2]);
    assert!(rows.features[4] < -2.0);
    assert!(
        rows.notes.iter().any(|note| note.contains("missing") && note.contains("year")),
        "{:?}",
        rows.notes
    );
}

#[test]
fn a_target_with_a_marker_leaves_its_rows_out() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = String::from("x,y\n");
    (0..ROWS).for_each(|i| {
        let y = if i % 7 == 0 { "unknown".into() } else { format!("${}.5", i * 13 % 50) };
        writeln!(text, "{},\"{y}\"", some(i)).unwrap();
    });
    let data = load(&write(&folder, "t.csv", text)).unwrap();
    let Targets::Values(values) = &data.targets else { panic!("classes") };
    assert_eq!(values.len(), ROWS - 9);
    assert!(data.notes.iter().any(|note| note.contains("unknown")), "{:?}", data.notes);
}

#[test]
fn truth_values_of_one_frame_are_the_same_in_every_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, words: [&str; 2], classes: [&str; 2]| {
        let mut text = String::from("flag,x,y\n");
        (0..ROWS).for_each(|i| {
            writeln!(text, "{},{},{}", words[i * 3 % 7 % 2], some(i), classes[i * 5 % 11 % 2]).unwrap();
        });
        write(&folder, name, text)
    };
    let train = file("a.csv", ["True", "False"], ["False", "True"]);
    let data = load(&train).unwrap();
    let whole = data.preprocessing.read_labelled(&train.source, None, Part::All).unwrap();
    for (at, (words, classes)) in
        [(["true", "false"], ["false", "true"]), (["1", "0"], ["0", "1"]), (["YES", "NO"], ["no", "yes"])]
            .into_iter()
            .enumerate()
    {
        let other = file(&format!("{at}.csv"), words, classes);
        let rows = data.preprocessing.read_labelled(&other.source, None, Part::All).unwrap();
        assert_eq!((&rows.features, &rows.targets), (&whole.features, &whole.targets), "{words:?}");
    }
}

#[test]
fn leaks_are_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = String::from("x,code,again,y\n");
    (0..200).for_each(|i| {
        let class = i * 7 % 5 % 2;
        writeln!(
            text,
            "{},{},{},{}",
            i * 37 % 101,
            ["p", "q"][class],
            class as f64 * 3.0 + (i % 9) as f64 / 10.0,
            ["a", "b"][class]
        )
        .unwrap();
    });
    let data = load(&write(&folder, "t.csv", text)).unwrap();
    for column in ["code", "again"] {
        let warned =
            data.notes.iter().any(|note| note.contains(&format!("{column:?}")) && note.contains("alone"));
        assert!(warned, "{column}: {:?}", data.notes);
    }
    assert!(!data.notes.iter().any(|note| note.contains("\"x\" alone")), "{:?}", data.notes);
}

#[test]
fn another_unit_at_predict_is_noted() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, factor: f64| {
        let mut text = String::from("metres,x,y\n");
        (0..ROWS)
            .for_each(|i| writeln!(text, "{},{},{}", some(i) * factor, i * 11 % 17, i * 7 % 13).unwrap());
        write(&folder, name, text)
    };
    let data = load(&file("m.csv", 1.0)).unwrap();
    let rows =
        |factor| data.preprocessing.read(&file("n.csv", factor).source, None, Part::All).unwrap().notes;
    assert!(
        rows(1000.0).iter().any(|note| note.contains("metres") && note.contains("unit")),
        "{:?}",
        rows(1000.0)
    );
    assert!(!rows(1.5).iter().any(|note| note.contains("unit")), "{:?}", rows(1.5));
}

#[test]
fn ignored_columns_may_be_anything_at_predict() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = String::from("a,b,junk,y\n");
    (0..ROWS).for_each(|i| writeln!(text, "{},{},{i}.5,{}", some(i), i * 11 % 17, i * 7 % 13).unwrap());
    let mut request = write(&folder, "t.csv", text);
    request.table.drop = vec!["junk".into()];
    let data = load(&request).unwrap();
    let predict =
        |text: &str| data.preprocessing.read(&write(&folder, "n.csv", text).source, None, Part::All);
    let plain = predict("a,b\n1,2\n3,4\n").unwrap().features;
    for text in [
        "a,b,junk\n1,2,inf\n3,4,1\n",
        "a,b,junk,junk\n1,2,3,4\n3,4,5,6\n",
        "junk,b,a,y\n[1],2,1,?\nx,4,3,?\n",
        "b,other,a\n2,1e999,1\n4,,3\n",
    ] {
        assert_eq!(predict(text).unwrap().features, plain, "{text:?}");
    }
    for (text, expected) in [
        ("a,a,b\n1,1,2\n", "two columns"),
        ("a,b\n1,inf\n", "out of range"),
        ("a,b\nx,1\ny,2\n", "is not a number"),
    ] {
        let error = predict(text).unwrap_err().to_string();
        assert!(error.contains(expected), "{text:?}: {error}");
    }
}

/// Found by a hostile reader; each was silently wrong.
#[test]
fn what_looks_like_one_thing_and_is_another() {
    let of = |cell: fn(usize) -> String, separator| {
        described(&cells(cell), separator, &[]).map(|(report, _)| report)
    };
    // Whole prices in Switzerland and Germany are no negative numbers.
    for (cell, separator) in [
        (
            (|i| if i % 2 == 0 { format!("{}.-", i + 1) } else { format!("{}.50", i + 1) })
                as fn(usize) -> String,
            '\t',
        ),
        (|i| if i % 2 == 0 { format!("{},-", i + 1) } else { format!("{},50", i + 1) }, ';'),
        (|i| format!("CHF {}'{:03}.-", i + 1, i), ','),
        (
            |i| {
                if i % 2 == 0 {
                    format!("Rs {}/-", i * 37 % ROWS + 1)
                } else {
                    format!("Rs {}", i * 37 % ROWS + 1)
                }
            },
            ',',
        ),
    ] {
        let report = of(cell, separator).unwrap();
        assert!(report.kind == ColumnType::Number && range(&report)[0] >= 1.0, "{report:?}");
    }
    // Words for true and false of different pairs are categories.
    for words in [["N", "F"], ["Y", "T"], ["no", "f"]] {
        let (report, _) = described(&cells(|i| words[i * 3 % 7 % 2].into()), ',', &[]).unwrap();
        assert_eq!(report.kind, ColumnType::Category, "{words:?}");
    }
    // These are asked about.
    for cell in [
        (|i| format!("20-{:02}-{:02}", i % 12 + 1, i % 28 + 1)) as fn(usize) -> String,
        |i| if i % 2 == 0 { "8:10".into() } else { format!("2024-03-{:02} 14:05", i % 28 + 1) },
        |i| if i % 2 == 0 { format!("{}/12/2024", i % 12 + 14) } else { format!("12/{}/2024", i % 12 + 14) },
    ] {
        let error = of(cell, ',').unwrap_err().to_string();
        assert!(error.contains("--column"), "{error}");
    }
    // One padded number makes no codes, nor does a frequent word make categories of many numbers.
    let report = of(|i| if i == 7 { "05".into() } else { (i * 37 % 47 + 18).to_string() }, ',').unwrap();
    assert_eq!((report.kind, range(&report)[0]), (ColumnType::Number, 5.0));
    let report = of(|i| if i % 5 < 3 { "k. A.".into() } else { some(i).to_string() }, ',').unwrap();
    assert_eq!((report.kind, report.missing), (ColumnType::Number, 36));
    let report =
        of(|i| ["€14.5M", "€565K", "€0", "€1.2M"].get(i % 5).map_or(format!("€{i}K"), |t| (*t).into()), ',')
            .unwrap();
    assert_eq!((report.kind, range(&report)), (ColumnType::Number, [0.0, 14.5e6]));
    let report = of(|i| format!("2024-03-{:02} 12:00:{:02},123", i % 28 + 1, i % 60), ',').unwrap();
    assert_eq!(report.kind, ColumnType::Date);
    // A note says how years of two digits are read.
    let (_, description) =
        described(&cells(|i| format!("{:02}.{:02}.{:02}", i % 28 + 1, i % 12 + 1, 60 + i % 30)), ',', &[])
            .unwrap();
    assert!(description.notes.iter().any(|note| note.contains("1969 to 2068")), "{:?}", description.notes);
}

#[test]
fn decimal_commas_in_one_column_question_those_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = String::from("weight\tprice\ty\n");
    (0..ROWS).for_each(|i| {
        writeln!(text, "{},{:03}\t{},{:02}\t{}", i % 9 + 1, i * 7, i, i % 90 + 5, i % 7).unwrap()
    });
    let error = describe(&write(&folder, "t.tsv", text)).unwrap_err().to_string();
    assert!(error.contains("weight") && error.contains("number:comma"), "{error}");
}

#[test]
fn one_row_is_read_as_in_a_larger_file() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = String::from("sales\tx\ty\n");
    (0..ROWS).for_each(|i| {
        let sales =
            if i % 3 == 0 { format!("{}.{:03}", i + 1, i * 7) } else { format!("{},{:02}", i, i % 90) };
        writeln!(text, "{sales}\t{}\t{}", some(i), i % 7).unwrap();
    });
    let data = load(&write(&folder, "t.tsv", text)).unwrap();
    let predict =
        |text: &str| data.preprocessing.read(&write(&folder, "n.tsv", text).source, None, Part::All).unwrap();
    let many = predict("sales\tx\n1.234\t0.5\n2.500,00\t0.6\n").features;
    let one = predict("sales\tx\n1.234\t0.5\n").features;
    assert_eq!(one, many[..2]);
}

#[test]
fn empty_and_unnamed_columns_at_the_end_are_no_targets() {
    let folder = tempfile::tempdir().unwrap();
    for end in [",,", ",,redo"] {
        let mut text = String::from("a,b,y,,\n");
        (0..ROWS).for_each(|i| {
            let end = if i % 4 == 0 { end } else { ",," };
            writeln!(text, "{},{},{}{end}", some(i), i * 11 % 17, ["p", "q"][i * 5 % 11 % 2]).unwrap();
        });
        let data = load(&write(&folder, "t.csv", text)).unwrap();
        assert_eq!(data.preprocessing.target_name(), "y", "{end:?}");
    }
}

#[test]
fn words_for_true_in_the_target_are_one_class() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = String::from("x,y\n");
    (0..ROWS).for_each(|i| writeln!(text, "{},{}", some(i), ["Yes", "no", "yes", "No"][i % 4]).unwrap());
    let data = load(&write(&folder, "t.csv", text)).unwrap();
    assert_eq!(data.task.n_outputs(), 2);
}

/// The target's decimal commas are evidence as those of an input are, in training as in `describe`.
#[test]
fn decimal_commas_of_the_target_question_the_inputs() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = String::from("weight\tx\tprice\n");
    (0..ROWS).for_each(|i| {
        writeln!(text, "{},{:03}\t{}\t{},{:02}", i % 9 + 1, i * 7, some(i), i, i % 90 + 5).unwrap()
    });
    let request = write(&folder, "t.tsv", text);
    let (described, loaded) =
        (describe(&request).unwrap_err().to_string(), load(&request).unwrap_err().to_string());
    assert!(described.contains("weight") && described.contains("number:comma"), "{described}");
    assert_eq!(described, loaded);
}

/// A number of JSON stays 1.234 beside texts and under a model whose file had decimal commas.
#[test]
fn typed_numbers_have_one_reading() {
    let folder = tempfile::tempdir().unwrap();
    let line =
        |x: &str, i: usize| format!("{{\"x\": {x}, \"u\": {}, \"y\": {}}}\n", i * 37 % 101, i * 7 % 13);
    let mixed = |i: usize| match i % 2 {
        0 => line(&format!("\"{},{}\"", i + 1, i % 9 + 1), i),
        _ => line(&format!("{}.{:03}", i % 9 + 1, i * 7 + 1), i),
    };
    let text: String = (0..ROWS).map(mixed).collect();
    let error = describe(&write(&folder, "mixed.jsonl", text)).unwrap_err().to_string();
    assert!(error.contains("decimal points and commas"), "{error}");

    let mut text = String::from("x;u;y\n");
    (0..ROWS).for_each(|i| writeln!(text, "{},{};{};{}", i, i % 90 + 5, i * 37 % 101, i * 7 % 13).unwrap());
    let data = load(&write(&folder, "t.csv", text)).unwrap();
    let first = |name: &str, text: &str| {
        let rows = data.preprocessing.read(&write(&folder, name, text).source, None, Part::All).unwrap();
        rows.features[0]
    };
    let expected = first("a.csv", "x;u\n1,234;5\n");
    assert_eq!(first("b.jsonl", "{\"x\": 1.234, \"u\": 5}\n"), expected);
    assert_eq!(first("c.jsonl", "{\"x\": \"1,234\", \"u\": 5}\n"), expected);
    assert_ne!(first("d.jsonl", "{\"x\": 1234, \"u\": 5}\n"), expected);
}

#[test]
fn shares_without_their_percent_sign_are_refused_at_predict() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, unit: &str| {
        let mut text = String::from("share,x,y\n");
        (0..ROWS).for_each(|i| writeln!(text, "{}{unit},{},{}", some(i), i * 11 % 17, i * 7 % 13).unwrap());
        write(&folder, name, text)
    };
    for (unit, is_refused) in [("%", true), (" %", true), (" kg", false), ("€", false)] {
        let data = load(&file("t.csv", unit)).unwrap();
        let read =
            |name: &str, unit: &str| data.preprocessing.read(&file(name, unit).source, None, Part::All);
        assert!(read("same.csv", unit).unwrap().notes.is_empty(), "{unit}");
        match read("bare.csv", "") {
            Err(error) => assert!(is_refused && error.to_string().contains("share"), "{unit}: {error}"),
            Ok(rows) => {
                assert!(!is_refused, "{unit}");
                assert!(rows.notes.iter().any(|note| note.contains("none: taken as in")), "{:?}", rows.notes);
            }
        }
    }
}

#[test]
fn months_and_dates_of_sap() {
    let month = |sign: char| cells(|row| format!("{:02}{sign}{}", row % 12 + 1, 2010 + row * 7 % 13));
    for cells in [month('.'), month('/'), month('-')] {
        let (report, _) = described(&cells, ',', &[]).unwrap();
        assert_eq!(report.kind, ColumnType::Date, "{}", cells[0]);
        // `date -u -d 2010-01-01 +%s`, and of 2022-12-01 at most
        assert_eq!(range(&report)[0], 1_262_304_000.0, "{}", cells[0]);
    }
    let day = |row: usize| format!("2024{:02}{:02}", row % 12 + 1, row * 7 % 28 + 1);
    for (none, cells) in [
        ("99991231", cells(|row| if row % 5 == 0 { "99991231".into() } else { day(row) })),
        ("00000000", cells(|row| if row % 5 == 0 { "00000000".into() } else { day(row) })),
        ("0", cells(|row| if row % 5 == 0 { "0".into() } else { day(row) })),
    ] {
        let (report, description) = described(&cells, ',', &[]).unwrap();
        assert_eq!((report.kind, report.missing), (ColumnType::Date, 12), "{none}");
        assert!(description.notes.iter().any(|note| note.contains("99991231")), "{:?}", description.notes);
        assert!(range(&report)[0] >= 1_704_067_200.0 && range(&report)[1] < 1_735_689_600.0, "{report:?}");
    }
}

#[test]
fn a_last_column_that_is_mostly_empty_is_no_target_unless_named() {
    let folder = tempfile::tempdir().unwrap();
    let mut text = String::from("x,price,remark\n");
    (0..ROWS).for_each(|i| {
        writeln!(text, "{},{},{}", some(i), i * 11 % 17, if i % 9 == 0 { ["a", "b"][i % 2] } else { "" })
            .unwrap();
    });
    let mut request = write(&folder, "t.csv", text);
    for error in [load(&request).unwrap_err().to_string(), describe(&request).unwrap_err().to_string()] {
        assert!(error.contains("remark") && error.contains("--target"), "{error}");
    }
    request.target = Some("remark".into());
    assert!(describe(&request).is_ok());
    request.target = Some("price".into());
    assert_eq!(load(&request).unwrap().preprocessing.target_name(), "price");
}

/// Three columns of 60 rows: `number`, `x`, `y`.
fn with_numbers(separator: char, cell: impl Fn(usize) -> String) -> String {
    let mut text = format!("number{separator}x{separator}y\n");
    for i in 0..ROWS {
        writeln!(text, "{}{separator}{}{separator}{}", cell(i), i * 11 % 17, i * 7 % 13).unwrap();
    }
    text
}

#[test]
fn numbers_that_mark_missing_values_are_missing_in_every_column() {
    let folder = tempfile::tempdir().unwrap();
    let marked = |i: usize| if i.is_multiple_of(6) { "-999".to_owned() } else { some(i).to_string() };
    let json =
        |i: usize| format!("{{\"number\": {}, \"x\": {}, \"y\": {}}}\n", marked(i), i * 11 % 17, i % 13);
    let dollars = |i: usize| if i.is_multiple_of(6) { "-999".to_owned() } else { format!("${}", some(i)) };
    let files = [
        ("t.csv", with_numbers(',', marked)),
        ("t.jsonl", (0..ROWS).map(json).collect()),
        ("dollars.csv", with_numbers(',', dollars)),
    ];
    for (name, text) in files {
        for marker in ["-999", "-999.0", "unknown"] {
            let mut request = write(&folder, name, &text);
            request.table.missing = vec![marker.to_owned()];
            let missing = describe(&request).unwrap().columns[0].missing;
            // A cell beside amounts of money is a text: only the marker as it is written.
            let expected = match marker {
                "-999" => 10,
                "-999.0" if name != "dollars.csv" => 10,
                _ => 0,
            };
            assert_eq!(missing, expected, "{name}, {marker}");
        }
    }
    // At predict, as in training.
    let mut request = write(&folder, "t.csv", with_numbers(',', marked));
    request.table.missing = vec!["-999".into()];
    let data = load(&request).unwrap();
    let predict = |cell: &str| {
        let new = write(&folder, "n.csv", format!("number,x\n{cell},3\n"));
        data.preprocessing.read(&new.source, None, Part::All).unwrap().features
    };
    assert_eq!(predict("-999"), predict(""));
    assert_ne!(predict("-999"), predict("-998"));
}

#[test]
fn numbers_of_another_dialect_are_refused_at_predict() {
    let folder = tempfile::tempdir().unwrap();
    let read = |training: (&str, String), text: &str| {
        let data = load(&write(&folder, training.0, training.1)).unwrap();
        data.preprocessing.read(&write(&folder, "n.csv", text).source, None, Part::All)
    };
    let points = || ("points.csv", with_numbers(',', |i| format!("{}.{:03}", i + 1, i * 16)));
    let commas = || ("commas.csv", with_numbers(';', |i| format!("{},{:02}", i + 1, i)));
    let percent = || ("percent.csv", with_numbers(',', |i| format!("{}%", some(i))));
    let dates = || ("dates.csv", with_numbers(',', |i| format!("2024-{:02}-{:02}", i % 12 + 1, i % 28 + 1)));
    let days_first =
        || ("days.csv", with_numbers(',', |i| format!("{:02}.{:02}.2024", i % 28 + 1, i % 12 + 1)));
    for (training, text, part_of_error) in [
        (points(), "number;x\n1.500;3\n", "may be 1.5 or 1500"),
        (points(), "number;x\n1.500;3\n", "may be 1.5 or 1500"),
        (commas(), "number,x\n1.850,3\n", "may be 1.85 or 1850"),
        (percent(), "number,x\n0.5,3\n5%,3\n", "different units"),
        (dates(), "number,x\n2024-05-05,3\n14:30,3\n", "times of day"),
        (dates(), "number,x\n03/04/2024,3\n", "the day or the month first"),
    ] {
        let error = read(training, text).map(|rows| rows.features).unwrap_err().to_string();
        assert!(error.contains(part_of_error) && error.contains("\"number\""), "{text}{error}");
    }
    for (training, same, text) in [
        (points(), "number,x\n1.5,3\n", "number;x\n1,50;3\n"),
        (points(), "number,x\n1234.5,3\n", "number,x\n\"1,234.5\",3\n"),
        (commas(), "number;x\n1,85;3\n", "number,x\n1.85,3\n"),
        (percent(), "number,x\n5%,3\n0%,3\n", "number,x\n5%,3\n0,3\n"),
        (dates(), "number,x\n2024-03-23,3\n", "number,x\n03/23/2024,3\n"),
        (dates(), "number,x\n2024-03-23,3\n", "number,x\n23.03.2024,3\n"),
        (days_first(), "number,x\n2024-03-04,3\n", "number,x\n04.03.2024,3\n"),
    ] {
        let (name, file) = training;
        let of = |text: &str| read((name, file.clone()), text).unwrap().features;
        assert_eq!(of(same), of(text), "{name}: {text}");
    }
}

/// What the user said of the training file holds for files that are written like it.
#[test]
fn an_answer_in_training_holds_at_predict() {
    let folder = tempfile::tempdir().unwrap();
    for (separator, asked, text, same) in [
        (';', "number=number:point", "number;x\n1.234;3\n", "number;x\n1.2340;3\n"),
        (';', "number=number:comma", "number;x\n1.234;3\n", "number;x\n1234;3\n"),
        (',', "number=number:comma", "number,x\n\"1,234\",3\n", "number,x\n\"1,2340\",3\n"),
    ] {
        let sign = if separator == ',' { ',' } else { '.' };
        let cell = |i: usize| format!("\"{}{sign}{:03}\"", i + 1, i * 16);
        let mut request = write(&folder, "t.csv", with_numbers(separator, cell));
        request.table.columns = vec![asked.parse::<AskedColumn>().unwrap()];
        let data = load(&request).unwrap();
        let read = |text: &str| {
            data.preprocessing.read(&write(&folder, "n.csv", text).source, None, Part::All).unwrap().features
        };
        assert_eq!(read(text), read(same), "{asked}");
    }
}

#[test]
fn parts_of_a_table_are_written_in_one_dialect() {
    for (first, second) in [("1.csv", "2.csv"), ("2.csv", "1.csv")] {
        let folder = tempfile::tempdir().unwrap();
        write(&folder, first, with_numbers(',', |i| (i + 1).to_string()));
        write(&folder, second, with_numbers(';', |i| format!("{},{:03}", i + 1, i * 16)));
        let error = describe(&request(folder.path())).unwrap_err().to_string();
        assert!(error.contains("semicolons between its cells") && error.contains("2.csv"), "{error}");
    }
}

#[test]
fn a_row_of_totals_and_a_missing_header_are_said() {
    let folder = tempfile::tempdir().unwrap();
    let of = |last: &str| {
        let mut text = with_numbers(',', |i| ["red", "green", "blue"][i % 3].to_owned());
        writeln!(text, "{last},999,5").unwrap();
        load(&write(&folder, "t.csv", text)).unwrap()
    };
    let says = |notes: &[String]| notes.iter().any(|note| note.contains("line 62 may be totals"));
    for last in ["Total", "TOTAL:", "Grand total", "Summe"] {
        assert!(says(&of(last).notes), "{last}");
    }
    assert!(!says(&of("red").notes) && !says(&of("totally").notes));
    let data = of("red");
    let read = |text: &str| data.preprocessing.read(&write(&folder, "n.csv", text).source, None, Part::All);
    let (with, without) = (read("number,x\nred,3\nblue,5\n").unwrap(), read("red,3\nblue,5\n").unwrap());
    assert_eq!(with.features, without.features);
    assert_eq!(with.notes, [""; 0]);
    assert!(
        without.notes.iter().any(|note| note.starts_with("no header") && note.contains("\"number\", \"x\""))
    );
}

#[test]
fn a_few_different_whole_numbers_are_no_classes() {
    let folder = tempfile::tempdir().unwrap();
    for (targets, is_class) in [
        (vec![105_227, 99_000, 230_000, 187_500, 150_000], false),
        (vec![1, 2, 3, 1, 2, 3], true),
        (vec![0, 1, 0, 1, 1, 0], true),
    ] {
        let mut text = String::from("x,y\n");
        targets.iter().enumerate().for_each(|(i, y)| writeln!(text, "{},{y}", some(i)).unwrap());
        let mut request = write(&folder, "t.csv", text);
        (request.val_split, request.test_split) = (0.0, 0.0);
        let data = load(&request).unwrap();
        assert_eq!(matches!(data.targets, Targets::Classes(_)), is_class, "{targets:?}");
    }
}

#[test]
fn a_json_file_of_different_keys_is_refused_before_it_fills_the_memory() {
    let folder = tempfile::tempdir().unwrap();
    let lines =
        |n: usize| -> String { (0..n).map(|i| format!("{{\"k{i}\":1.5,\"y\":{}}}\n", i % 7)).collect() };
    let array = format!("[{}]", lines(8_000).trim_end().replace('\n', ","));
    for (name, text) in [("t.jsonl", lines(8_000)), ("t.json", array), ("t.jsonl", lines(100_000))] {
        let error = describe(&write(&folder, name, text)).unwrap_err().to_string();
        assert!(error.contains("different keys"), "{error}");
    }
    // Sparse, as real files are: 200 keys, of which each row has three.
    let text: String = (0..2_000)
        .map(|i| format!("{{\"k{}\":1.5,\"k{}\":2,\"y\":{}}}\n", i % 200, i * 7 % 199 + 200, i % 7))
        .collect();
    let mut request = write(&folder, "sparse.jsonl", text);
    request.target = Some("y".into());
    assert_eq!(describe(&request).unwrap().columns.len(), 400);
}
