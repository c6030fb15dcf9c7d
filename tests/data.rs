//! Every format gives the same data; scaling is exact; preprocessing is fitted on the training rows alone; the parts
//! of a source are found again.

use std::collections::HashSet;
use std::path::Path;

use crate::common::files::{Cells, Random, gz, idx, npy, npz, parquet, request, zip, zst};
use bngpu::data::{Dataset, Features, LoadRequest, Part, Preprocessing, Targets, Task, TaskKind, load};

fn floats(data: &Dataset) -> &[f32] {
    match &data.features {
        Features::Floats(values) => values,
        Features::Bytes(_) => panic!("bytes, floats were expected"),
    }
}

fn classes(data: &Dataset) -> &[u32] {
    match &data.targets {
        Targets::Classes(classes) => classes,
        Targets::Values(_) => panic!("values, classes were expected"),
    }
}

fn write(folder: &tempfile::TempDir, name: &str, bytes: &[u8]) -> LoadRequest {
    std::fs::write(folder.path().join(name), bytes).unwrap();
    request(folder.path().join(name))
}

/// A random table: numbers of all magnitudes, some missing; texts, some missing; a class.
struct RandomTable {
    numbers: Vec<[Option<f64>; 2]>,
    texts: Vec<Option<&'static str>>,
    classes: Vec<&'static str>,
}

impl RandomTable {
    fn new(rows: usize, seed: u64) -> Self {
        let mut random = Random(seed * 2 + 1);
        let mut number = |scale: f64| (random.below(7) > 0).then(|| random.unit() * scale);
        let numbers = (0..rows).map(|_| [number(1e-3), number(1e6)]).collect();
        let texts = ["plain", "with, comma", "with \"quote\"", "zwei\nZeilen", "ü"];
        RandomTable {
            numbers,
            texts: (0..rows).map(|_| texts.get(random.below(6)).copied()).collect(),
            classes: (0..rows).map(|i| ["no", "yes", "maybe"][i % 3]).collect(),
        }
    }

    fn csv(&self, separator: &str, line_end: &str) -> String {
        let cell = |n: Option<f64>| n.map_or(String::new(), |n| n.to_string());
        let quoted = |t: &str| format!("\"{}\"", t.replace('"', "\"\""));
        let mut csv = ["small", "large", "text", "class"].join(separator) + line_end;
        for ((n, text), class) in self.numbers.iter().zip(&self.texts).zip(&self.classes) {
            let text = text.map_or("NA".into(), quoted);
            csv += &([cell(n[0]), cell(n[1]), text, quoted(class)].join(separator) + line_end);
        }
        csv
    }

    fn parquet(&self) -> Vec<u8> {
        let column = |c: usize| Cells::Double(self.numbers.iter().map(|n| n[c]).collect());
        parquet(&[
            ("small", column(0)),
            ("large", column(1)),
            ("text", Cells::Text(self.texts.clone())),
            ("class", Cells::Text(self.classes.iter().map(|c| Some(*c)).collect())),
        ])
    }
}

#[test]
fn csv_variants_and_parquet_give_the_same_data() {
    let folder = tempfile::tempdir().unwrap();
    for seed in 0..20 {
        let table = RandomTable::new(30 + 11 * seed as usize, seed);
        let plain = load(&write(&folder, "a.csv", table.csv(",", "\n").as_bytes())).unwrap();
        assert_eq!(plain.task, Task::Classify { classes: ["maybe", "no", "yes"].map(String::from).to_vec() });
        let crlf = format!("\u{feff}{}", table.csv(",", "\r\n"));
        for (name, bytes) in [
            ("crlf.csv", crlf.clone().into_bytes()),
            ("packed.csv.gz", gz(crlf.as_bytes())),
            ("packed.csv.zst", zst(crlf.as_bytes())),
            ("packed.csv", zip(&[("table.csv", crlf.as_bytes())])),
            ("utf16.csv", crlf.encode_utf16().flat_map(u16::to_le_bytes).collect()),
            ("semicolon.csv", table.csv(";", "\n").into_bytes()),
            ("bar.csv", table.csv("|", "\n").into_bytes()),
            ("tab.tsv", table.csv("\t", "\n").into_bytes()),
            ("table.parquet", table.parquet()),
            ("packed.parquet.gz", gz(&table.parquet())),
        ] {
            let other = load(&write(&folder, name, &bytes)).unwrap();
            assert_eq!(other.features, plain.features, "{name}, seed {seed}");
            assert_eq!(other.targets, plain.targets, "{name}, seed {seed}");
            assert_eq!(other.split, plain.split);
        }
    }
}

#[test]
fn arrays_give_the_same_data_as_text() {
    let folder = tempfile::tempdir().unwrap();
    for seed in 0..20 {
        let (mut random, rows, columns) = (Random(seed + 1), 20 + 7 * seed as usize, 1 + seed as usize % 5);
        let x: Vec<f32> = (0..rows * columns).map(|_| random.unit() as f32).collect();
        let y: Vec<i32> = (0..rows).map(|i| i as i32 % 3 - 1).collect();
        let csv: String = x
            .chunks(columns)
            .zip(&y)
            .map(|(x, y)| {
                x.iter().map(|v| format!("{},", f64::from(*v))).collect::<String>() + &format!("{y}\n")
            })
            .collect();
        let text = load(&write(&folder, "a.csv", csv.as_bytes())).unwrap();
        assert_eq!(text.task, Task::Classify { classes: ["-1", "0", "1"].map(String::from).to_vec() });
        let x_bytes: Vec<u8> = x.iter().flat_map(|v| v.to_le_bytes()).collect();
        let y_bytes: Vec<u8> = y.iter().flat_map(|v| v.to_le_bytes()).collect();
        let arrays = [
            ("X", npy("<f4", &format!("({rows}, {columns})"), &x_bytes)),
            ("target", npy("<i4", &format!("({rows}, 1)"), &y_bytes)),
        ];
        let joined: Vec<u8> = x
            .chunks(columns)
            .zip(&y)
            .flat_map(|(x, y)| x.iter().map(|v| f64::from(*v)).chain([f64::from(*y)]).collect::<Vec<_>>())
            .flat_map(f64::to_le_bytes)
            .collect();
        for (name, bytes) in
            [("a.npz", npz(&arrays)), ("a.npy", npy("<f8", &format!("({rows}, {})", columns + 1), &joined))]
        {
            let other = load(&write(&folder, name, &bytes)).unwrap();
            assert_eq!(other.features, text.features, "{name}, seed {seed}");
            assert_eq!(other.targets, text.targets, "{name}, seed {seed}");
        }
    }
}

#[test]
fn folders_and_archives_of_images_stay_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = Random(5);
    let images: Vec<u8> = (0..60 * 12).map(|_| random.below(256) as u8).collect();
    let labels: Vec<u8> = (0..60).map(|i| i % 4).collect();
    let (x, y) = ((&images[..480], &images[480..]), (&labels[..40], &labels[40..]));
    let files = [
        ("train-images-idx3-ubyte", idx(8, &[40, 3, 4], x.0)),
        ("train-labels-idx1-ubyte.gz", gz(&idx(8, &[40], y.0))),
        ("t10k-images-idx3-ubyte.gz", gz(&idx(8, &[20, 3, 4], x.1))),
        ("t10k-labels-idx1-ubyte", idx(8, &[20], y.1)),
    ];
    files.iter().for_each(|(name, bytes)| drop(write(&folder, name, bytes)));
    let data = load(&request(folder.path())).unwrap();
    assert_eq!((data.split.train, data.split.val, data.split.test), (36, 4, 20));
    let Features::Bytes(bytes) = &data.features else { panic!("not bytes") };
    assert_eq!(&bytes[40 * 12..], x.1, "the test part keeps its order");
    assert_eq!(classes(&data)[40..], labels[40..].iter().map(|l| u32::from(*l)).collect::<Vec<_>>());
    assert!(data.preprocessing.byte_scaling().is_some());

    let archive = npz(&[
        ("x_train", npy("|u1", "(40, 3, 4)", x.0)),
        ("y_train", npy("|u1", "(40,)", y.0)),
        ("x_test", npy("|u1", "(20, 3, 4)", x.1)),
        ("y_test", npy("|u1", "(20,)", y.1)),
    ]);
    let other = load(&write(&folder, "images.npz", &archive)).unwrap();
    assert_eq!((&other.features, &other.targets), (&data.features, &data.targets));

    // Without a test set of its own, one is split off.
    std::fs::remove_file(folder.path().join("t10k-images-idx3-ubyte.gz")).unwrap();
    std::fs::remove_file(folder.path().join("t10k-labels-idx1-ubyte")).unwrap();
    let split = load(&request(folder.path())).unwrap().split;
    assert_eq!((split.train, split.val, split.test), (32, 4, 4));
}

#[test]
fn standardised_columns_agree_with_f64_at_every_offset() {
    let folder = tempfile::tempdir().unwrap();
    let mut random = Random(77);
    let offsets = [0.0, 1.0, -1e4, 1e6, 1e-6];
    let rows: Vec<[f64; 5]> = (0..500).map(|_| offsets.map(|o| o + random.unit() * 1.7)).collect();
    let csv: String =
        rows.iter().map(|r| r.map(|v| v.to_string()).join(",") + &format!(",{}\n", r[0] * 3.0)).collect();
    let clipped = load(&write(&folder, "a.csv", csv.as_bytes())).unwrap();
    let data = load(&LoadRequest { clip_inputs: false, ..write(&folder, "a.csv", csv.as_bytes()) }).unwrap();
    assert_eq!(data.task, Task::Regress);
    // Clipping is of the standardised values, in f64.
    for (got, x) in floats(&clipped).iter().zip(floats(&data)) {
        let x = f64::from(*x);
        let expected = x / (1.0 + (x / 3.0).powi(2)).sqrt();
        // Two roundings to f32 of values below 4.
        assert!((f64::from(*got) - expected).abs() <= 4e-7, "{x}: {got}");
    }
    assert_ne!(clipped.fingerprint, data.fingerprint);
    let (values, train) = (floats(&data), data.split.train);
    for f in 0..5 {
        let column: Vec<f64> = values.iter().skip(f).step_by(5).map(|v| f64::from(*v)).collect();
        let mean = column[..train].iter().sum::<f64>() / train as f64;
        let var = column[..train].iter().map(|v| (v - mean).powi(2)).sum::<f64>() / train as f64;
        assert!(mean.abs() < 1e-6 && (var - 1.0).abs() < 1e-6, "column {f}: {mean} {var}");
    }
    // Each column agrees with the textbook formula in f64; an offset of 1e6 costs six of its 16 digits.
    let kept: HashSet<u64> = (0..train).map(|r| u64::from(values[r * 5].to_bits())).collect();
    let source: Vec<&[f64; 5]> = {
        let all = data.preprocessing.read(data.preprocessing.source(), None, Part::All).unwrap();
        (0..500)
            .filter(|r| kept.contains(&u64::from(all.features[r * 5].to_bits())))
            .map(|r| &rows[r])
            .collect()
    };
    assert_eq!(source.len(), train);
    for f in 0..5 {
        let mean = source.iter().map(|r| r[f]).sum::<f64>() / train as f64;
        let std = (source.iter().map(|r| (r[f] - mean).powi(2)).sum::<f64>() / train as f64).sqrt();
        for (row, raw) in source.iter().enumerate() {
            let (expected, got) = ((raw[f] - mean) / std, f64::from(values[row * 5 + f]));
            assert!(
                (expected - got).abs() <= 1e-7 + 1e-7 * expected.abs(),
                "row {row}, column {f}: {expected} {got}"
            );
        }
    }
    // The target comes back in its own units.
    let Targets::Values(targets) = &data.targets else { panic!("not values") };
    for (row, raw) in source.iter().enumerate() {
        let back = data.preprocessing.target_to_units(f64::from(targets[row]));
        assert!((back - raw[0] * 3.0).abs() < 1e-6, "row {row}: {back}");
    }
    let baseline = data.baseline(Part::Train).unwrap();
    assert!((baseline - data.preprocessing.target_scale()).abs() < 1e-6, "{baseline}");
}

#[test]
fn bytes_are_scaled_alike_on_host_and_device() {
    for standardize in [true, false] {
        let data = load(&LoadRequest { standardize, ..request("digits") }).unwrap();
        let Features::Bytes(bytes) = &data.features else { panic!("not bytes") };
        let (shift, factor) = data.preprocessing.byte_scaling().unwrap();
        for part in [Part::Train, Part::Val, Part::Test] {
            let rows = data.preprocessing.read_labelled("digits", None, part).unwrap();
            let range = data.split.range(part);
            assert_eq!(rows.rows, range.len());
            for (i, x) in rows.features.iter().enumerate() {
                let (byte, f) = (bytes[range.start * 64 + i], i % 64);
                assert_eq!(x.to_bits(), ((f32::from(byte) - shift[f]) * factor[f]).to_bits());
            }
            assert_eq!(rows.targets, Some(Targets::Classes(classes(&data)[range].to_vec())));
        }
        if !standardize {
            assert_eq!((shift[3], factor[3]), (0.0, 1.0 / 16.0));
        }
    }
}

/// The encoding without its fields about the source.
fn learned(preprocessing: &Preprocessing) -> serde_json::Value {
    let mut json = serde_json::to_value(preprocessing).unwrap();
    json.as_object_mut().unwrap().remove("trained_on");
    json
}

#[test]
fn encodings_do_not_depend_on_val_or_test_rows() {
    let folder = tempfile::tempdir().unwrap();
    for seed in 0..20 {
        let mut table = RandomTable::new(120, seed);
        table.classes.iter_mut().for_each(|c| *c = if *c == "maybe" { "no" } else { *c });
        let ask = |table: &RandomTable| {
            load(&LoadRequest { seed, ..write(&folder, "a.csv", table.csv(",", "\n").as_bytes()) }).unwrap()
        };
        let before = ask(&table);
        let is_train: HashSet<Vec<u32>> = rows_of(&before, Part::Train);
        let all = before.preprocessing.read(before.preprocessing.source(), None, Part::All).unwrap();
        // Change every cell of every other row beyond recognition.
        let mut changed = 0;
        for row in 0..120 {
            let bits: Vec<u32> = all.features[row * before.n_features..(row + 1) * before.n_features]
                .iter()
                .map(|v| v.to_bits())
                .collect();
            if !is_train.contains(&bits) {
                table.numbers[row] = [Some(1e12), None];
                table.texts[row] = Some("never seen");
                changed += 1;
            }
        }
        assert!(changed >= 15, "{changed}");
        let after = ask(&table);
        assert_eq!(learned(&before.preprocessing), learned(&after.preprocessing), "seed {seed}");
        let n = before.split.train * before.n_features;
        assert_eq!(floats(&before)[..n], floats(&after)[..n], "seed {seed}");
        assert_ne!(before.fingerprint, after.fingerprint);
    }
}

fn rows_of(data: &Dataset, part: Part) -> HashSet<Vec<u32>> {
    let width = data.n_features;
    data.split
        .range(part)
        .map(|r| floats(data)[r * width..][..width].iter().map(|v| v.to_bits()).collect())
        .collect()
}

#[test]
fn preprocessing_survives_json_and_finds_its_rows_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut table = RandomTable::new(200, 3);
    table.classes[17] = "NA";
    let csv = table.csv(",", "\n").replace("\"NA\"\n", "NA\n");
    let data = load(&write(&folder, "a.csv", csv.as_bytes())).unwrap();
    assert!(data.notes.iter().any(|n| n.contains("1 row without a target")), "{:?}", data.notes);
    let json = serde_json::to_string(&data.preprocessing).unwrap();
    let back: Preprocessing = serde_json::from_str(&json).unwrap();
    assert_eq!(back, data.preprocessing);
    assert_eq!(back.input_names().len(), data.n_features);
    for part in [Part::Train, Part::Val, Part::Test] {
        let rows = back.read_labelled(back.source(), None, part).unwrap();
        let range = data.split.range(part);
        assert_eq!(rows.features, floats(&data)[range.start * data.n_features..range.end * data.n_features]);
        assert_eq!(rows.targets, Some(Targets::Classes(classes(&data)[range].to_vec())));
    }
    // A prediction keeps every row, in the file's order, target or not.
    let all = back.read(back.source(), None, Part::All).unwrap();
    assert_eq!((all.rows, all.targets), (200, None));
    // Columns in another order, one too many, none for the target: matched by name.
    let shuffled: String = std::iter::once("text,extra,large,small\n".to_owned())
        .chain(table.numbers.iter().zip(&table.texts).map(|(n, text)| {
            let cell = |n: Option<f64>| n.map_or("?".into(), |n| n.to_string());
            let text = text.map_or("".into(), |t| format!("\"{}\"", t.replace('"', "\"\"")));
            format!("{text},9,{},{}\n", cell(n[1]), cell(n[0]))
        }))
        .collect();
    std::fs::write(folder.path().join("b.csv"), shuffled).unwrap();
    let other = back.read(&folder.path().join("b.csv").display().to_string(), None, Part::All).unwrap();
    assert_eq!((other.features, other.targets), (all.features, None));
}

#[test]
fn split_and_fingerprint_depend_on_seed_and_content_alone() {
    let base = load(&request("digits")).unwrap();
    let again = load(&request("digits")).unwrap();
    assert_eq!((&base.features, &base.fingerprint), (&again.features, &again.fingerprint));
    let other = load(&LoadRequest { seed: 1, ..request("digits") }).unwrap();
    assert_ne!(base.fingerprint, other.fingerprint);
    assert_eq!(base.split, other.split);
    let plain = load(&LoadRequest { standardize: false, ..request("digits") }).unwrap();
    assert_eq!(base.features, plain.features);
    assert_ne!(base.fingerprint, plain.fingerprint);
    for part in [Part::Train, Part::Val, Part::Test] {
        let part = base.split.range(part);
        let mut counts = [0; 10];
        classes(&base)[part.clone()].iter().for_each(|c| counts[*c as usize] += 1);
        let share = part.len() as f64 / 10.0;
        assert!(counts.iter().all(|n| (f64::from(*n) - share).abs() < 2.0 + 0.05 * share), "{counts:?}");
    }
}

#[test]
fn empty_parts_give_notes() {
    let none = load(&LoadRequest { val_split: 0.0, test_split: 0.0, ..request("digits") }).unwrap();
    assert_eq!((none.split.train, none.split.val, none.split.test), (1797, 0, 0));
    let notes = &none.split_notes;
    assert!(notes.len() == 2 && notes[0].contains("early stopping is off"), "{notes:?}");
    assert_eq!(none.baseline(Part::Test), None);
}

#[test]
fn an_ignored_split_flag_gives_a_note() {
    let folder = tempfile::tempdir().unwrap();
    let part = |rows: u8| (npy("|u1", &format!("({rows}, 2, 2)"), &vec![1; 4 * usize::from(rows)]), rows);
    let arrays = |(x, rows): (Vec<u8>, u8)| {
        (x, npy("|u1", &format!("({rows},)"), &(0..rows).map(|i| i % 2).collect::<Vec<_>>()))
    };
    let ((x, y), (x_test, y_test)) = (arrays(part(40)), arrays(part(20)));
    let archive = npz(&[("x_train", x), ("y_train", y), ("x_test", x_test), ("y_test", y_test)]);
    let told = |val_split, test_split| {
        load(&LoadRequest { val_split, test_split, ..write(&folder, "a.npz", &archive) }).unwrap().split_notes
    };
    assert_eq!(told(0.1, 0.3), ["--test-split 0.3 is ignored: the source has its own test part"]);
    assert!(told(0.2, 0.1).is_empty(), "the validation part is split off");
}

/// The inputs and notes of a table in which `cell` makes the second of three columns.
fn with_cells(separator: &str, cell: impl Fn(usize) -> String) -> Dataset {
    let folder = tempfile::tempdir().unwrap();
    let csv = (0..60).fold(["a", "b", "kind"].join(separator) + "\n", |csv, i| {
        csv + &([(i * 37 % 61).to_string(), cell(i), ["x", "y"][i % 2].into()].join(separator) + "\n")
    });
    load(&write(&folder, "a.csv", csv.as_bytes())).unwrap()
}

#[test]
fn markers_of_missing_numbers_are_read_as_missing() {
    let empty = with_cells(",", |i| if i % 5 == 0 { String::new() } else { format!("{i}.5") });
    assert_eq!(empty.preprocessing.input_names(), ["a", "b", "b is missing"]);
    let markers = "? na N/A n.a. #n/a <NA> NaN NULL - . None MISSING";
    for marker in markers.split(' ') {
        let marked = with_cells(",", |i| if i % 5 == 0 { marker.into() } else { format!("{i}.5") });
        assert_eq!(marked.features, empty.features, "{marker:?}");
    }
    // In a text column some of them are classes: + and -, none and some.
    let signs = with_cells(",", |i| ["+", "-", "none"][i % 3].into());
    assert_eq!(signs.preprocessing.input_names(), ["a", "b=+", "b=-", "b=none"]);
}

#[test]
fn a_trained_model_reads_missing_numbers_and_decimal_commas() {
    let folder = tempfile::tempdir().unwrap();
    let trained = with_cells(",", |i| if i % 5 == 0 { "-".into() } else { format!("{i}.5") }).preprocessing;
    let rows = |name: &str, csv: &str| {
        std::fs::write(folder.path().join(name), csv).unwrap();
        trained.read(&folder.path().join(name).display().to_string(), None, Part::All).unwrap().features
    };
    assert_eq!(rows("marked.csv", "a,b\n1,-\n"), rows("empty.csv", "a,b\n1,\n"));
    assert_eq!(rows("comma.csv", "a;b\n1;2,5\n"), rows("point.csv", "a,b\n1,2.5\n"));
}

#[test]
fn decimal_commas_are_read_if_semicolons_separate_cells() {
    let points = with_cells(",", |i| format!("-{i}.5e1"));
    let commas = with_cells(";", |i| format!("-{i},5e1"));
    assert_eq!((commas.features, commas.notes), (points.features, points.notes));
    let lists = with_cells(";", |i| ["1,2", "1,2,3"][i % 2].into());
    assert_eq!(lists.preprocessing.input_names(), ["a", "b=1,2", "b=1,2,3"]);
}

#[test]
fn empty_texts_of_parquet_are_missing() {
    let folder = tempfile::tempdir().unwrap();
    let of = |empty: Option<&'static str>| {
        let texts = (0..60).map(|i| if i % 5 == 0 { empty } else { Some(["u", "v"][i % 2]) }).collect();
        let kinds = (0..60).map(|i| Some(["x", "y"][i / 2 % 2])).collect();
        let bytes = parquet(&[("text", Cells::Text(texts)), ("kind", Cells::Text(kinds))]);
        load(&write(&folder, "a.parquet", &bytes)).unwrap()
    };
    assert_eq!(of(Some("")).features, of(None).features);
    assert_eq!(of(Some("")).preprocessing.input_names(), ["text=u", "text=v", "text is missing"]);
}

#[test]
fn the_target_determines_the_task() {
    let folder = tempfile::tempdir().unwrap();
    let of = |cell: &dyn Fn(usize) -> String, task| {
        let csv: String = (0..200).map(|i| format!("{},{}\n", i * i % 97, cell(i))).collect();
        load(&LoadRequest { task, ..write(&folder, "a.csv", csv.as_bytes()) }).unwrap().task.n_outputs()
    };
    assert_eq!(of(&|i| (i % 20).to_string(), None), 20);
    assert_eq!(of(&|i| (i % 21).to_string(), None), 1);
    assert_eq!(of(&|i| (i % 20).to_string(), Some(TaskKind::Regress)), 1);
    assert_eq!(of(&|i| (i % 21).to_string(), Some(TaskKind::Classify)), 21);
    assert_eq!(of(&|i| (i % 2 == 0).to_string(), None), 2);
    assert_eq!(of(&|i| format!("{}.5", i % 2), None), 1);
    // Sorted by size, not by text; 1.0 is 1.
    let csv: String = (0..60).map(|i| format!("{i},{}\n", ["10", "9.0", "-1"][i % 3])).collect();
    let task = load(&write(&folder, "b.csv", csv.as_bytes())).unwrap().task;
    assert_eq!(task, Task::Classify { classes: ["-1", "9", "10"].map(String::from).to_vec() });
}

#[test]
fn digits_can_be_predicted_from_a_table() {
    let folder = tempfile::tempdir().unwrap();
    let data = load(&request("digits")).unwrap();
    let Features::Bytes(bytes) = &data.features else { panic!("not bytes") };
    let csv: String = bytes
        .chunks(64)
        .take(5)
        .map(|r| r.iter().map(u8::to_string).collect::<Vec<_>>().join(",") + "\n")
        .collect();
    std::fs::write(folder.path().join("d.csv"), csv).unwrap();
    let path = folder.path().join("d.csv");
    let rows = data.preprocessing.read(&path.display().to_string(), None, Part::All).unwrap();
    let own = data.preprocessing.read("digits", None, Part::Train).unwrap();
    assert_eq!(rows.features, own.features[..5 * 64]);
    assert!(Path::new(&path).exists());
}

#[test]
fn parts_of_an_archive_have_one_scale() {
    let folder = tempfile::tempdir().unwrap();
    let bytes = |n: usize| (0..n * 4).map(|i| (i * 37 % 251) as u8).collect::<Vec<_>>();
    let floats = |n: usize, factor: f64| {
        bytes(n).iter().flat_map(|b| (f64::from(*b) * factor).to_le_bytes()).collect::<Vec<_>>()
    };
    let classes =
        |n: usize| npy("|u1", &format!("({n},)"), &(0..n).map(|i| (i % 2) as u8).collect::<Vec<_>>());
    let pixels = |n: usize| npy("|u1", &format!("({n}, 2, 2)"), &bytes(n));
    let numbers = |n: usize, factor: f64| npy("<f8", &format!("({n}, 2, 2)"), &floats(n, factor));
    let file = |train: Vec<u8>, test: Vec<u8>| {
        let (y_train, y_test) = (classes(20), classes(8));
        let archive = npz(&[("x_train", train), ("y_train", y_train), ("x_test", test), ("y_test", y_test)]);
        load(&write(&folder, "a.npz", &archive))
    };
    let same = file(pixels(20), pixels(8)).unwrap();
    let whole = file(pixels(20), numbers(8, 1.0)).unwrap();
    assert_eq!(same.features, whole.features);
    for (train, test, what) in [
        (pixels(20), numbers(8, 1.0 / 255.0), "numbers that are no bytes"),
        (numbers(20, 1.0 / 255.0), pixels(8), "holds bytes"),
        (numbers(20, 1.0 / 255.0), numbers(8, 1.0), "whole numbers from 0 to 255"),
        (numbers(20, 1.0), numbers(8, 1.0 / 255.0), "numbers from 0 to 1"),
    ] {
        let error = file(train, test).unwrap_err().to_string();
        assert!(error.contains(what) && error.contains("x_test"), "{error}");
    }
}
