//! The same table in every format: the same data, and weights that are the same bit for bit. Files that other programs
//! wrote (`foreign/make.py`), tables in parts, sheets and databases of several tables, images in folders.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use arrow_ipc::CompressionType;
use bngpu::data::{Dataset, Features, Part, load};
use bngpu::run::ModelFile;

use crate::common::files::{
    Cells, Random, Sheet, arrow, arrow_stream, batch, cell, csv, gz, jsonl, npy, npz, parquet, request,
    sheet, sqlite, xlsx,
};

type Columns = Vec<(&'static str, Cells)>;

/// Numbers of many magnitudes, some missing; whole numbers; with `text`, two columns of text; a class.
fn table(rows: usize, text: bool) -> Columns {
    let mut random = Random(7);
    let mut numbers = |scale: f64| {
        Cells::Double((0..rows).map(|_| (random.below(9) > 0).then(|| random.unit() * scale)).collect())
    };
    let mut columns = vec![("small", numbers(1e-3)), ("large", numbers(1e6))];
    columns.push(("whole", Cells::Long((0..rows).map(|_| Some(random.below(90) as i64 - 45)).collect())));
    let words = ["plain", "with, comma", "with \"quote\"", "ü", "<&>"];
    if text {
        let mut words =
            |n: usize| Cells::Text((0..rows).map(|_| words.get(random.below(n)).copied()).collect());
        columns.extend([("word", words(6)), ("other", words(3))]);
        columns.push((
            "class",
            Cells::Text((0..rows).map(|i| ["no", "yes", "maybe"].get(i % 3).copied()).collect()),
        ));
    } else {
        columns.push(("class", Cells::Long((0..rows).map(|i| Some(i as i64 % 3)).collect())));
    }
    columns
}

/// Rows `from..to`.
fn rows_of(columns: &Columns, from: usize, to: usize) -> Columns {
    let part = |cells: &Cells| match cells {
        Cells::Double(v) => Cells::Double(v[from..to].to_vec()),
        Cells::Long(v) => Cells::Long(v[from..to].to_vec()),
        Cells::Text(v) => Cells::Text(v[from..to].to_vec()),
        Cells::Binary(v) => Cells::Binary(v[from..to].to_vec()),
    };
    columns.iter().map(|(name, cells)| (*name, part(cells))).collect()
}

/// The table in every format that has names; the sources are what `--data` takes.
fn write_all(folder: &Path, columns: &Columns, rows: usize) -> Vec<String> {
    let mut sources = Vec::new();
    let mut write = |name: &str, bytes: &[u8]| {
        fs::create_dir_all(folder.join(name).parent().unwrap()).unwrap();
        fs::write(folder.join(name), bytes).unwrap();
        sources.push(folder.join(name).display().to_string());
    };
    let batches = [0..rows / 3, rows / 3..rows].map(|r| batch(&rows_of(columns, r.start, r.end)));
    let lines = jsonl(columns);
    write("t.csv", csv(columns, ",").as_bytes());
    write("t.tsv", csv(columns, "\t").as_bytes());
    write("t.csv.gz", &gz(csv(columns, ",").as_bytes()));
    write("t.jsonl", lines.as_bytes());
    write("t.json", format!("[{}]", lines.trim_end().replace("}\n{", "},\n{")).as_bytes());
    write("t.parquet", &parquet(columns));
    write("t.parquet.gz", &gz(&parquet(columns)));
    write("t.feather", &arrow(&batches, Some(CompressionType::LZ4_FRAME)));
    write("t.arrow", &arrow(&batches, Some(CompressionType::ZSTD)));
    write("plain.arrow", &arrow(&batches, None));
    write("t.arrows", &arrow_stream(&batches));
    write("t.xlsx", &xlsx(&[sheet("table", columns)]));
    let two = xlsx(&[sheet("first", &rows_of(columns, 0, 3)), sheet("second one", columns)]);
    write("two.xlsx", &two);
    for (kind, bytes) in
        [("parquet", parquet as fn(&[(&str, Cells)]) -> Vec<u8>), ("csv", |c| csv(c, ";").into())]
    {
        for (i, from) in [0, 40, 90].into_iter().enumerate() {
            let to = [40, 90, rows][i];
            write(&format!("{kind}-parts/part-{i}.{kind}"), &bytes(&rows_of(columns, from, to)));
        }
    }
    sources.retain(|source| !source.contains("-parts") && !source.ends_with("two.xlsx"));
    sqlite(&folder.join("t.sqlite"), "table", columns);
    let sources_of_parts = ["t.sqlite", "two.xlsx::second one", "parquet-parts", "csv-parts/*.csv"];
    sources.extend(sources_of_parts.map(|name| folder.join(name).display().to_string()));
    sources.push(format!("{}::SELECT * FROM \"table\"", folder.join("t.sqlite").display()));
    sources
}

/// The weights of a short training.
fn weights(folder: &Path, source: &str) -> ModelFile {
    let out = folder.join("run");
    let _ = fs::remove_dir_all(&out);
    let output = Command::new(env!("CARGO_BIN_EXE_bngpu"))
        .args([
            "train", "--device", "cpu", "--preset", "plain", "--hidden", "9", "--bn", "--epochs", "2",
            "--quiet",
        ])
        .args(["--target", "class", "--data", source, "-o"])
        .arg(&out)
        .output()
        .unwrap();
    assert!(output.status.success(), "{source}: {}", String::from_utf8_lossy(&output.stderr));
    let mut file = ModelFile::load(&out.join("best.safetensors")).unwrap();
    // The metadata also hold the path and clock times.
    file.metadata.clear();
    file.members.iter_mut().for_each(|member| member.settings.clear());
    file
}

#[test]
fn one_table_in_every_format_gives_the_same_weights() {
    for text in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let columns = table(150, text);
        let mut sources = write_all(folder.path(), &columns, 150);
        if !text {
            let column = |cells: &Cells| -> Vec<f64> {
                match cells {
                    Cells::Double(v) => v.iter().map(|v| v.unwrap_or(f64::NAN)).collect(),
                    Cells::Long(v) => v.iter().map(|v| v.unwrap() as f64).collect(),
                    _ => panic!("not numbers"),
                }
            };
            let numbers: Vec<Vec<f64>> = columns.iter().map(|(_, cells)| column(cells)).collect();
            let bytes = |columns: &[Vec<f64>]| -> Vec<u8> {
                let row = |row: usize| columns.iter().flat_map(move |column| column[row].to_le_bytes());
                (0..150).flat_map(row).collect()
            };
            let (x, y) =
                (npy("<f8", "(150, 3)", &bytes(&numbers[..3])), npy("<f8", "(150,)", &bytes(&numbers[3..])));
            let path = folder.path().join("t.npz");
            fs::write(&path, npz(&[("x", x), ("class", y)])).unwrap();
            sources.push(path.display().to_string());
        }
        assert!(sources.len() >= 17, "{}", sources.len());
        let first = weights(folder.path(), &sources[0]);
        for source in &sources[1..] {
            assert_eq!(weights(folder.path(), source), first, "{source}");
        }
    }
}

fn foreign(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/foreign").join(name)
}

/// Codes in a column with gaps are 7.0 in one format and 7 in another.
#[test]
fn codes_are_the_same_categories_in_every_format() {
    let folder = tempfile::tempdir().unwrap();
    let mut columns = table(150, true);
    let codes = |n: usize| (0..150).map(|i| (i % 11 != 5).then_some((i * 7 % n) as f64)).collect();
    // With an indicator each, and hashed.
    columns.splice(0..0, [("few", Cells::Double(codes(10))), ("some", Cells::Double(codes(70)))]);
    let mut first: Option<Dataset> = None;
    for source in write_all(folder.path(), &columns, 150) {
        let mut request = request(&source);
        request.table.columns = ["few=category", "some=category"].map(|asked| asked.parse().unwrap()).into();
        let data = load(&request).unwrap();
        let first = first.get_or_insert_with(|| load(&request).unwrap());
        assert_eq!((&data.features, &data.targets), (&first.features, &first.targets), "{source}");
        // A model of one format reads the others.
        let rows = first.preprocessing.read(&source, None, Part::All).unwrap();
        assert_eq!(rows.features, first.preprocessing.read(&first.source, None, Part::All).unwrap().features);
        assert!(!rows.notes.iter().any(|note| note.contains("category that is new")), "{:?}", rows.notes);
    }
}

#[test]
fn files_of_other_programs_give_the_same_data() {
    let names = [
        "pandas.parquet",
        "pandas.csv",
        "pandas.feather",
        "pandas.json",
        "pandas.jsonl",
        "polars.csv",
        "polars.parquet",
        "polars.arrow",
        "polars.ndjson",
        "pyarrow.parquet",
        "pyarrow.feather",
        "pyarrow.arrows",
        "openpyxl.xlsx",
        "xlsxwriter.xlsx",
        "odfpy.ods",
        "xlwt.xls",
        "sqlite3.db",
    ];
    let all: Vec<Dataset> = names.iter().map(|name| load(&request(foreign(name))).unwrap()).collect();
    for (name, data) in names.iter().zip(&all) {
        assert_eq!(data.preprocessing.input_names(), all[0].preprocessing.input_names(), "{name}");
        assert_eq!(data.features, all[0].features, "{name}");
        assert_eq!(data.targets, all[0].targets, "{name}");
    }
    // What one of them taught, the others are predicted by.
    let rows =
        all[0].preprocessing.read(&foreign("pandas.parquet").display().to_string(), None, Part::All).unwrap();
    for name in names {
        let other = all[0].preprocessing.read(&foreign(name).display().to_string(), None, Part::All).unwrap();
        assert_eq!(other.features, rows.features, "{name}");
        assert_eq!(other.targets, rows.targets, "{name}");
    }
}

/// R writes 15 digits of a number, row names if it is not told otherwise, and decimal commas in half of Europe.
#[test]
fn files_of_r_give_the_same_data_to_15_digits() {
    let expected = load(&request(foreign("pandas.csv"))).unwrap();
    let values = |data: &Dataset| match &data.features {
        Features::Floats(values) => values.clone(),
        Features::Bytes(_) => panic!("bytes"),
    };
    let names = ["r.csv", "r-row-names.csv", "r-csv2.csv", "r-table.tsv", "r-table.txt"];
    let all: Vec<Dataset> = names
        .iter()
        .map(|name| load(&request(foreign(name))).unwrap_or_else(|e| panic!("{name}: {e}")))
        .collect();
    for (name, data) in names.iter().zip(&all) {
        assert_eq!(data.preprocessing.input_names(), expected.preprocessing.input_names(), "{name}");
        assert_eq!(data.targets, expected.targets, "{name}");
        assert_eq!(data.features, all[0].features, "{name}");
        let near = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-6 * b.abs().max(1.0);
        assert!(values(data).iter().zip(&values(&expected)).all(near), "{name}");
    }
}

#[test]
fn files_named_for_a_split_are_its_parts() {
    let folder = tempfile::tempdir().unwrap();
    let columns = table(120, true);
    for (name, from, to) in [("train.csv", 0, 60), ("test.csv", 60, 90), ("valid.csv", 90, 120)] {
        fs::write(folder.path().join(name), csv(&rows_of(&columns, from, to), ",")).unwrap();
    }
    let data = load(&request(folder.path())).unwrap();
    assert_eq!((data.split.train, data.split.val, data.split.test), (60, 30, 30));
    fs::write(folder.path().join("more.csv"), csv(&rows_of(&columns, 0, 9), ",")).unwrap();
    let error = load(&request(folder.path())).unwrap_err().to_string();
    assert!(error.contains("more.csv") && error.contains("neither train, val nor test"), "{error}");
}

#[test]
fn parts_that_differ_are_refused() {
    let good: Columns = vec![("a", Cells::Long(vec![Some(1); 6])), ("y", Cells::Text(vec![Some("x"); 6]))];
    let refused = |bad: Columns, words: &[&str]| {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("0.parquet"), parquet(&good)).unwrap();
        fs::write(folder.path().join("1.parquet"), parquet(&bad)).unwrap();
        let error = load(&request(folder.path())).unwrap_err().to_string();
        words.iter().for_each(|word| assert!(error.contains(word), "{word}: {error}"));
    };
    let [a, y] = [good[0].clone(), good[1].clone()];
    refused(vec![a.clone()], &["1.parquet", "lacks columns", "\"y\""]);
    refused(vec![a.clone(), y.clone(), ("z", a.1.clone())], &["1.parquet", "\"z\""]);
    refused(vec![("a", y.1.clone()), y.clone()], &["1.parquet", "\"a\"", "text", "numbers in", "0.parquet"]);
    // The order of columns does not matter, nor an empty part, nor a column without a value.
    let folder = tempfile::tempdir().unwrap();
    let classes = Cells::Text((0..12).map(|i| ["x", "y"].get(i % 2).copied()).collect());
    let first: Columns =
        vec![("a", Cells::Long((0..12).map(|i| Some(i * i)).collect())), ("y", classes.clone())];
    let empty = Cells::Double(vec![None; 12]);
    for (name, columns) in [
        ("0", first.clone()),
        ("1", vec![("y", classes), ("a", empty)]),
        ("2", rows_of(&first, 0, 0)),
        ("3", first),
    ] {
        fs::write(folder.path().join(format!("{name}.parquet")), parquet(&columns)).unwrap();
    }
    let data = load(&request(folder.path())).unwrap();
    assert_eq!(data.split.train + data.split.val + data.split.test, 36);
}

#[test]
fn sheets_are_read_as_people_make_them() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("book.xlsx");
    let mut rows = vec![
        vec![],
        vec![String::new(), cell::text("share"), cell::text("when"), cell::text("ok"), cell::text("y")],
    ];
    for i in 0..30 {
        let share = if i == 7 { cell::error("#DIV/0!") } else { cell::percent(f64::from(i * i) / 100.0) };
        let class = cell::text(["a", "b"][i as usize % 2]);
        // 45292 is 2024-01-01.
        rows.push(vec![
            String::new(),
            share,
            cell::date(45292.5 + f64::from(i)),
            cell::boolean(i % 3 == 0),
            class,
        ]);
        // An empty row in between.
        rows.extend((i == 20).then(Vec::new));
    }
    rows.extend([vec![], vec![cell::text(" ")]]);
    fs::write(&path, xlsx(&[Sheet("Data", rows), Sheet("Notes", vec![vec![cell::text("hello")]])])).unwrap();
    let data = load(&request(&path)).unwrap();
    assert_eq!(data.split.train + data.split.val + data.split.test, 30);
    let notes = data.notes.join("\n");
    assert!(
        notes.contains("sheet \"Data\"") && notes.contains("\"Notes\"") && notes.contains("#DIV/0!"),
        "{notes}"
    );
    let names = data.preprocessing.input_names();
    assert!(
        names.iter().any(|name| name.contains("share")) && !names.iter().any(|n| n.contains("Unnamed")),
        "{names:?}"
    );

    let fails = |source: String, words: &[&str]| {
        let error = load(&request(source)).unwrap_err().to_string();
        words.iter().for_each(|word| assert!(error.contains(word), "{word}: {error}"));
    };
    fails(format!("{}::Dat", path.display()), &["no sheet \"Dat\"", "did you mean", "::Data"]);
    fails(format!("{}::Notes", path.display()), &["no rows"]);
    fs::write(&path, b"PK\x03\x04 and then something else").unwrap();
    fails(path.display().to_string(), &["book.xlsx", "cannot be read"]);

    // Two cells in opposite corners of the largest sheet that the old format can name: 2^32 cells between them.
    let mut bytes = fs::read(foreign("xlwt.xls")).unwrap();
    let numbers: Vec<usize> =
        (0..bytes.len() - 8).filter(|at| bytes[*at..].starts_with(&[3, 2, 14, 0])).collect();
    bytes[numbers[0] + 4..numbers[0] + 8].fill(0);
    bytes[numbers[1] + 4..numbers[1] + 8].fill(0xff);
    let path = folder.path().join("corners.xls");
    fs::write(&path, bytes).unwrap();
    fails(
        path.display().to_string(),
        &["corners.xls", "4,294,967,296 cells, nearly all of them empty", "delete the cells"],
    );
}

#[test]
fn databases_of_several_tables_ask_for_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("shop.db");
    let columns = table(90, true);
    sqlite(&path, "sales", &columns);
    sqlite(&path, "sales old", &rows_of(&columns, 0, 5));
    let source = |selection: &str| format!("{}{selection}", path.display());
    let fails = |selection: &str, words: &[&str]| {
        let error = load(&request(source(selection))).unwrap_err().to_string();
        words.iter().for_each(|word| assert!(error.contains(word), "{word}: {error}"));
    };
    fails("", &["2 tables", "\"sales\"", "\"sales old\"", "::sales"]);
    fails("::sails", &["no table \"sails\"", "::sales"]);
    fails("::SELECT nothing FROM sales", &["SELECT nothing", "nothing"]);
    fails("::WITH x AS (SELECT 1) DELETE FROM sales", &["change the database"]);
    fails("::SELECT * FROM sales WHERE whole > 1000", &["no rows"]);
    let whole = load(&request(source("::sales"))).unwrap();
    let some = load(&request(source("::SELECT * FROM sales WHERE whole > 0"))).unwrap();
    let rows = |data: &Dataset| data.split.train + data.split.val + data.split.test;
    assert!(rows(&whole) == 90 && (20..70).contains(&rows(&some)), "{} {}", rows(&whole), rows(&some));
    // The source that is stored with the model finds the same rows again.
    let again = some.preprocessing.read(some.preprocessing.source(), None, Part::All).unwrap();
    assert_eq!(again.rows, rows(&some));
    // A column whose name is not text.
    let mut bytes = fs::read(&path).unwrap();
    let places: Vec<usize> = (0..bytes.len() - 5).filter(|at| &bytes[*at..at + 5] == b"whole").collect();
    places.iter().for_each(|at| bytes[*at] = 0xff);
    fs::write(&path, &bytes).unwrap();
    fails("::sales", &["shop.db", "name is not UTF-8"]);
    fs::write(&path, b"SQLite format 3\0 and then something else").unwrap();
    fails("", &["shop.db", "cannot be read"]);
}

/// Every cut of a file, and every byte changed, is an error or a table: never a panic.
#[test]
fn damaged_files_never_panic() {
    let columns = table(20, true);
    let batches = [batch(&columns)];
    let folder = tempfile::tempdir().unwrap();
    sqlite(&folder.path().join("a.sqlite"), "a", &columns);
    let files = [
        ("a.feather", arrow(&batches, Some(CompressionType::LZ4_FRAME))),
        ("b.arrow", arrow(&batches, None)),
        ("c.arrows", arrow_stream(&batches)),
        ("d.jsonl", jsonl(&columns).into_bytes()),
        ("e.xlsx", xlsx(&[sheet("e", &columns)])),
        ("f.parquet", parquet(&columns)),
        ("g.sqlite", fs::read(folder.path().join("a.sqlite")).unwrap()),
    ];
    let mut random = Random(3);
    let (mut tried, mut refused) = (0, 0);
    for (name, good) in files {
        let path = folder.path().join(name);
        for i in 0..160 {
            let mut bytes = good.clone();
            let at = random.below(bytes.len());
            match i % 4 {
                0 => bytes.truncate(at),
                1 => bytes[at] ^= 1 << random.below(8),
                2 => bytes[at] = [0, 0xff, 0x7f, 0x80][random.below(4)],
                _ => {
                    let end = (at + 8).min(bytes.len());
                    bytes[at..end].fill(0xff);
                }
            }
            fs::write(&path, &bytes).unwrap();
            tried += 1;
            refused += usize::from(load(&request(&path)).is_err());
        }
    }
    assert!(refused > tried / 4, "{refused} of {tried}");
}

/// A PNG of one grey or three colour channels, whose brightness is that of its class.
fn image(width: u32, height: u32, colour: bool, class: u32, seed: u64) -> Vec<u8> {
    let mut random = Random(seed * 2 + 1);
    let mut pixel =
        |x: u32| (60 * class + 40 * u32::from(x % 2 == class % 2) + random.below(30) as u32) as u8;
    let mut bytes = std::io::Cursor::new(Vec::new());
    let kind = image::ImageFormat::Png;
    if colour {
        let pixels = image::RgbImage::from_fn(width, height, |x, y| image::Rgb([pixel(x), pixel(y), 9]));
        pixels.write_to(&mut bytes, kind).unwrap();
    } else {
        let pixels = image::GrayImage::from_fn(width, height, |x, _| image::Luma([pixel(x)]));
        pixels.write_to(&mut bytes, kind).unwrap();
    }
    bytes.into_inner()
}

fn write_image(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
fn folders_of_images_are_classes() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("pets");
    for i in 0..40 {
        let class = ["cat", "dog"][i % 2];
        write_image(&root.join(class).join(format!("{i}.png")), &image(5, 4, false, i as u32 % 2, i as u64));
    }
    let data = load(&request(&root)).unwrap();
    assert_eq!(data.task, bngpu::data::Task::Classify { classes: vec!["cat".into(), "dog".into()] });
    assert_eq!(data.n_features, 20);
    let Features::Bytes(bytes) = &data.features else { panic!("not bytes") };
    // The first row of the image with that class.
    assert!(bytes.len() == 40 * 20 && data.split.train + data.split.val + data.split.test == 40);

    // The same images in folders for the parts.
    let parts = folder.path().join("parts");
    for i in 0..40 {
        let part = ["train", "train", "val", "test"][i / 10];
        let class = ["cat", "dog"][i % 2];
        write_image(
            &parts.join(part).join(class).join(format!("{i}.png")),
            &image(5, 4, false, i as u32 % 2, i as u64),
        );
    }
    let given = load(&request(&parts)).unwrap();
    assert_eq!((given.split.train, given.split.val, given.split.test), (20, 10, 10));

    // Colour, and another size: brought to the size that is asked for, and to that of the model when it predicts.
    write_image(&root.join("cat/colour.png"), &image(10, 8, true, 0, 99));
    let error = load(&request(&root)).unwrap_err().to_string();
    assert!(error.contains("5x4 (40") && error.contains("10x8 (1, such as colour.png)"), "{error}");
    let mut sized = request(&root);
    sized.table.image_size = Some("5x4".parse().unwrap());
    let coloured = load(&sized).unwrap();
    assert_eq!(coloured.n_features, 60);
    assert!(coloured.notes.iter().any(|note| note.contains("1 of 41 images")), "{:?}", coloured.notes);
    let alone = root.join("cat/colour.png").display().to_string();
    let rows = data.preprocessing.read(&alone, None, Part::All).unwrap();
    assert_eq!((rows.rows, rows.features.len()), (1, 20));
    assert_eq!(rows.kept, [("file".to_owned(), vec![alone])]);
    let pattern = root.join("dog/*.png").display().to_string();
    assert_eq!(coloured.preprocessing.read(&pattern, None, Part::All).unwrap().rows, 20);

    // What is no image, or stands in the wrong place, is named.
    let refused = |path: PathBuf, bytes: &[u8], words: &[&str]| {
        write_image(&path, bytes);
        let error = load(&sized).unwrap_err().to_string();
        words.iter().for_each(|word| assert!(error.contains(word), "{word}: {error}"));
        fs::remove_file(path).unwrap();
    };
    refused(root.join("dog/notes.txt"), b"hello", &["notes.txt", "no image"]);
    refused(root.join("dog/bad.png"), b"hello", &["bad.png", "cannot be read as an image"]);
    refused(
        root.join("dog/cut.png"),
        &image(5, 4, false, 0, 1)[..60],
        &["cut.png", "cannot be read as an image"],
    );
    let huge = [b"GIF87a".as_slice(), &[0xff; 4], &[0; 6]].concat();
    refused(root.join("dog/huge.gif"), &huge, &["huge.gif", "65535 x 65535 pixels, but has 16 B"]);
    let empty = [b"GIF87a".as_slice(), &[3, 0, 0, 0], &[0; 6]].concat();
    refused(root.join("dog/empty.gif"), &empty, &["empty.gif", "3 x 0 pixels"]);
    refused(root.join("stray.png"), &image(5, 4, false, 0, 1), &["stray.png", "its class is unclear"]);
    let mut table = request(folder.path().join("a.csv"));
    table.table.image_size = sized.table.image_size;
    fs::write(folder.path().join("a.csv"), "a,b\n1,2\n3,4\n").unwrap();
    let error = load(&table).unwrap_err().to_string();
    assert!(error.contains("--image-size") && error.contains("leave it out"), "{error}");
}
