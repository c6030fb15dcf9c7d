//! Bad data and bad requests: each must be an error whose message says where, what and what to do; none may
//! panic.

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use crate::common::files::{Cells, gz, idx, npy, npy_header, npz, parquet, request, zip, zst};
use bngpu::data::{DataError, LoadRequest, Part, TaskKind, load};

/// Checks the message and counts the case.
struct Cases {
    folder: tempfile::TempDir,
    seen: HashSet<String>,
}

impl Cases {
    fn new() -> Self {
        Cases { folder: tempfile::tempdir().unwrap(), seen: HashSet::new() }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        std::fs::write(self.path(name), bytes).unwrap();
    }

    /// `attempt` must fail with a message that holds all `words`.
    fn fails<T>(&mut self, case: &str, words: &[&str], attempt: impl FnOnce(&Path) -> Result<T, DataError>) {
        assert!(self.seen.insert(case.to_owned()), "the case {case:?} is listed twice");
        let result = catch_unwind(AssertUnwindSafe(|| attempt(self.folder.path())));
        let Ok(result) = result else { panic!("{case}: panicked") };
        let Err(error) = result else { panic!("{case}: was accepted") };
        let message = error.to_string();
        for word in words {
            assert!(message.contains(word), "{case}: {word:?} is not in {message:?}");
        }
        assert!(message.contains("; ") || message.contains("give"), "{case}: no remedy in {message:?}");
        assert!(message.len() < 1500, "{case}: {} bytes of message", message.len());
    }

    /// A file of these bytes; the message must contain its name.
    fn file(&mut self, case: &str, name: &str, bytes: &[u8], words: &[&str]) {
        self.file_with(case, name, bytes, words, |_| {});
    }

    fn file_with(
        &mut self,
        case: &str,
        name: &str,
        bytes: &[u8],
        words: &[&str],
        change: impl FnOnce(&mut LoadRequest),
    ) {
        self.write(name, bytes);
        let words = [words, &[name]].concat();
        self.fails(case, &words, |folder| {
            let mut request = request(folder.join(name));
            change(&mut request);
            load(&request)
        });
    }

    /// A folder of these files.
    fn folder(&mut self, case: &str, files: &[(&str, Vec<u8>)], words: &[&str]) {
        let name = case.replace(|c: char| !c.is_alphanumeric(), "-");
        std::fs::create_dir_all(self.path(&name)).unwrap();
        files.iter().for_each(|(file, bytes)| self.write(&format!("{name}/{file}"), bytes));
        self.fails(case, &[words, &[&name]].concat(), |folder| load(&request(folder.join(&name))));
    }

    fn at_least(&self, n: usize) {
        println!("{} bad inputs", self.seen.len());
        assert!(self.seen.len() >= n, "{} cases only", self.seen.len());
    }
}

fn f64s(values: &[f64]) -> Vec<u8> {
    values.iter().flat_map(|v| v.to_le_bytes()).collect()
}

/// 20 rows of a number and a class.
fn good_csv() -> String {
    (0..20).fold("size,kind\n".into(), |csv, i| csv + &format!("{i},{}\n", ["a", "b"][i % 2]))
}

#[test]
fn bad_text_tables_are_refused() {
    let mut c = Cases::new();
    c.file("empty file", "empty.csv", b"", &["is empty"]);
    c.file("only line ends", "blank.csv", b"\n\r\n\n", &["no rows"]);
    c.file("only a byte order mark", "bom.csv", b"\xef\xbb\xbf", &["no rows"]);
    c.file("one line", "one.csv", b"1,2\n", &["rows"]);
    c.file("one row after a header", "header.csv", b"a,b\n1,2.5\n", &["row"]);
    c.file("a header and no row", "heads.csv", b"a,b,c\n", &["holds a header but no rows"]);
    c.file("ragged, too few", "few.csv", b"a,b,c\n1,2,3\n4,5\n", &["line 3", "2 cells", "3"]);
    c.file("ragged, too many", "many.csv", b"a,b\r\n1,2\r\n\r\n3,4,5\r\n", &["line 4", "3 cells"]);
    c.file("ragged after a quoted line end", "quoted.csv", b"a,b\n\"x\ny\",1\n2\n", &["line 4", "1 cell,"]);
    c.file("open quote", "quote.csv", b"a,b\n1,2\n3,\"4\n5,6\n", &["line 3", "quote"]);
    c.file("two encodings", "both.csv", b"a,b\n1,\xc3\xa9\n2,\xe9\n", &["line 3", "not UTF-8", "save"]);
    c.file("half a character of UTF-16", "utf16.csv", b"\xff\xfea\0,\0b\0\n\0x", &["damaged UTF-16"]);
    c.file("a NUL byte", "nul.csv", b"a,b\n1,caf\0\n2,a long text without any\n", &["line 2", "NUL"]);
    c.file("binary", "binary.csv", b"\x7fELF\0\0\0\x01", &["binary"]);
    c.file("a spreadsheet", "sheet.csv", b"PK\x03\x04rest", &["spreadsheet"]);
    c.file("Parquet called csv", "p.csv", b"PAR1xxxxPAR1", &["Parquet"]);
    c.file("a NumPy array called csv", "n.csv", b"\x93NUMPY\x01\0", &["numpy.save"]);
    c.file("two columns of one name", "twice.csv", b"a,b,a\n1,2,3\n4,5,6\n", &["\"a\"", "columns 0 and 2"]);
    c.file("infinity", "inf.csv", b"a,b\n1,2.5\n-inf,3\n4,5\n", &["line 3", "\"a\"", "infinite"]);
    c.file("overflow", "1e999.csv", b"a,b\n1,2.5\n3,1e999\n", &["line 3", "\"b\"", "too large"]);
    c.file(
        "beyond f64's squares",
        "huge.csv",
        b"a,b\n1e300,1.5\n-1e300,2\n3,3.25\n4,4\n5,5\n",
        &["\"a\"", "large"],
    );
    c.file("no column but the target", "single.csv", b"a\n1.5\n2.5\n3.5\n4\n5\n", &["no column left"]);
    c.file("only ids", "ids.csv", ids().as_bytes(), &["no column left", "--target"]);
    c.file(
        "only empty columns",
        "na.csv",
        b"a,b\n?,1\nNA,2\n,1\nnull,2\nNaN,1\nn/a,2\n",
        &["no column left"],
    );
    c.file(
        "an empty target",
        "notarget.csv",
        b"a,b\n1,\n2,NA\n3,?\n",
        &["\"b\"", "cells are empty", "--target"],
    );
    c.file("one class", "oneclass.csv", b"a,b\n1,x\n2,x\n3,x\n", &["\"b\"", "one class", "\"x\""]);
    c.file("a class of one row", "lone.csv", lone().as_bytes(), &["line 22", "\"kind\"", "\"c\"", "one row"]);
    c.file_with(
        "a constant to predict",
        "const.csv",
        b"a,b\n1,7\n2,7\n3,7\n",
        &["\"b\"", "same number"],
        |r| {
            r.task = Some(TaskKind::Regress);
        },
    );
    c.file_with(
        "text to regress",
        "text.csv",
        good_csv().as_bytes(),
        &["line 2", "\"kind\"", "\"a\""],
        |r| {
            r.task = Some(TaskKind::Regress);
        },
    );
    c.file_with(
        "one text among numbers to regress",
        "slip.csv",
        b"a,b\n1,2\n2,3.5\n3,x4\n4,5\n",
        &["line 4", "\"b\"", "\"x4\""],
        |r| r.task = Some(TaskKind::Regress),
    );
    let marks = [(5, "a"), (6, "-"), (7, "b"), (8, "c"), (9, ""), (298, "d")];
    let words = ["294 of 298", "line 7 \"a\", line 9 \"b\", line 10 \"c\" and 1 other text"];
    c.file("several slips", "slips.csv", slips(&marks).as_bytes(), &words);
    c.file(
        "a quote within a cell",
        "inner.csv",
        b"a,b\n1,x\n2,\"yes, \"really\"\"\n3,x\n",
        &["line 3", "quote"],
    );
    let classes: String = (0..140_000).map(|i| format!("{i},{}\n", i / 2)).collect();
    c.file_with("too many classes", "classes.csv", classes.as_bytes(), &["65536", "--task regress"], |r| {
        r.task = Some(TaskKind::Classify);
    });
    let good = good_csv();
    c.file_with("unknown target", "t1.csv", good.as_bytes(), &["\"colour\"", "\"size\"", "\"kind\""], |r| {
        r.target = Some("colour".into());
    });
    c.file_with(
        "slip in the target",
        "t2.csv",
        good.as_bytes(),
        &["\"knid\"", "did you mean", "\"kind\""],
        |r| {
            r.target = Some("knid".into());
        },
    );
    c.file_with("target position too large", "t3.csv", good.as_bytes(), &["\"2\"", "no such target"], |r| {
        r.target = Some("2".into());
    });
    c.file_with("target position without a header", "t4.csv", b"1,2.5\n3,4.5\n", &["\"9\"", "0 to 1"], |r| {
        r.target = Some("9".into());
    });
    c.file_with("negative target position", "t5.csv", good.as_bytes(), &["\"-1\"", "no such target"], |r| {
        r.target = Some("-1".into());
    });
    c.file("gzip cut off", "cut.csv.gz", &gz(good.as_bytes())[..30], &["damaged gzip", "again"]);
    c.file("gzip of nothing", "nothing.csv.gz", &gz(b""), &["empty after unpacking"]);
    c.file("not gzip", "plain.csv.gz", good.as_bytes(), &["not gzip", ".gz"]);
    let mut wrong_sum = gz(good.as_bytes());
    let at = wrong_sum.len() - 6;
    wrong_sum[at] ^= 1;
    c.file("gzip with a wrong checksum", "sum.csv.gz", &wrong_sum, &["damaged gzip"]);
    let two = zip(&[("a.csv", good.as_bytes()), ("b.csv", good.as_bytes())]);
    c.file("a zip archive of two tables", "two.csv.zip", &two, &["\"a.csv\", \"b.csv\"", "unpack"]);
    c.file("zstd cut off", "cut.csv.zst", &zst(good.as_bytes())[..40], &["damaged zstd", "again"]);
    c.file("not bzip2", "plain.csv.bz2", good.as_bytes(), &["not bzip2", ".bz2"]);
    c.file("unknown format", "data.xyz", b"hello", &["unsupported file format", ".parquet"]);
    c.at_least(46);
}

/// Rows that differ only in an id.
fn ids() -> String {
    (0..30).fold("id,kind\n".into(), |csv, i| csv + &format!("u-{i},{}\n", ["a", "b"][i % 2]))
}

/// 300 rows of two numbers and a class; some cells of the second are replaced.
fn slips(marks: &[(usize, &str)]) -> String {
    (0..300).fold("a,b,kind\n".into(), |csv, i| {
        let mark = marks.iter().find(|(row, _)| *row == i);
        let cell = mark.map_or(format!("{}.5", i % 50), |(_, cell)| (*cell).to_owned());
        csv + &format!("{i},{cell},{}\n", ["x", "y"][i % 2])
    })
}

fn lone() -> String {
    good_csv() + "20,c\n"
}

#[test]
fn bad_requests_are_refused() {
    let mut c = Cases::new();
    c.write("good.csv", good_csv().as_bytes());
    for (case, val, test, words) in [
        ("negative validation part", -0.1, 0.1, ["--val-split", "-0.1"]),
        ("validation part of 1", 1.0, 0.1, ["--val-split", "less than 1"]),
        ("test part of NaN", 0.1, f64::NAN, ["--test-split", "NaN"]),
        ("test part above 1", 0.1, 20.0, ["--test-split", "20"]),
        ("infinite test part", 0.1, f64::INFINITY, ["--test-split", "inf"]),
    ] {
        c.fails(case, &words, |folder| {
            load(&LoadRequest { val_split: val, test_split: test, ..request(folder.join("good.csv")) })
        });
    }
    c.fails("no such file", &["nowhere.csv", "looked at", "digits"], |_| {
        load(&request("/nowhere/nowhere.csv"))
    });
    c.fails("no such name", &["\"wine\"", "wine[.csv"], |folder| {
        load(&LoadRequest { data_dir: Some(folder.into()), ..request("wine") })
    });
    c.fails("no name", &["\"\""], |_| load(&request("")));
    c.fails("a name with a zero byte", &["a\0b"], |_| load(&request("a\0b")));
    c.fails("a target of images that have labels", &["digits", "\"3\"", "--target"], |_| {
        load(&LoadRequest { target: Some("3".into()), ..request("digits") })
    });
    c.fails("a target beyond 32 bits", &["line 3", "\"b\"", "32-bit"], |folder| {
        std::fs::write(folder.join("far.csv"), "a,b\n1,1.5\n2,2e39\n3,3\n4,-1\n").unwrap();
        load(&LoadRequest { standardize: false, ..request(folder.join("far.csv")) })
    });
    c.fails("two rows left of nothing", &["good2.csv", "training rows"], |folder| {
        std::fs::write(folder.join("good2.csv"), "a,b\n1,1.5\n2,2.5\n3,3\n").unwrap();
        load(&LoadRequest { val_split: 0.5, test_split: 0.5, ..request(folder.join("good2.csv")) })
    });
    #[cfg(unix)]
    {
        c.fails("a device", &["/dev/null", "expected a file"], |_| load(&request("/dev/null")));
        use std::os::unix::fs::PermissionsExt;
        c.write("secret.csv", b"a,b\n1,2\n");
        let path = c.path("secret.csv");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o0)).unwrap();
        // Root can read every file, so there is nothing to refuse.
        if std::fs::read(&path).is_err() {
            c.fails("no permission", &["secret.csv", "readable"], |_| load(&request(&path)));
        }
    }
    c.at_least(10);
}

#[test]
fn bad_image_folders_are_refused() {
    let mut c = Cases::new();
    let images = |n: u32| idx(8, &[n, 2, 2], &vec![7; 4 * n as usize]);
    let labels = |n: u32| idx(8, &[n], &(0..n).map(|i| (i % 2) as u8).collect::<Vec<_>>());
    const X: &str = "train-images-idx3-ubyte";
    const Y: &str = "train-labels-idx1-ubyte";
    c.folder("empty folder", &[], &["empty folder"]);
    c.folder("folder of other files", &[("notes.txt", b"hi".to_vec())], &["or IDX files, only", "notes.txt"]);
    c.folder("hidden files", &[(".DS_Store", b"x".to_vec())], &["empty folder"]);
    c.folder("no labels", &[(X, images(20))], &["no labels"]);
    c.folder("no images", &[(Y, labels(20))], &["no images"]);
    c.folder("counts differ", &[(X, images(20)), (Y, labels(19))], &["19 labels", "20 images"]);
    c.folder("magic", &[(X, b"\x89PNG\r\n".to_vec()), (Y, labels(20))], &[X, "starts with"]);
    c.folder("element type", &[(X, idx(0x42, &[20, 2, 2], &[7; 80])), (Y, labels(20))], &[X, "0x42"]);
    c.folder("no dimensions", &[(X, idx(8, &[], &[7; 80])), (Y, labels(20))], &[X, "0 dimensions"]);
    c.folder("200 dimensions", &[(X, vec![0, 0, 8, 200, 1]), (Y, labels(20))], &[X, "200 dimensions"]);
    c.folder("cut off", &[(X, images(20)[..50].to_vec()), (Y, labels(20))], &[X, "34 bytes", "80 bytes"]);
    c.folder("too long", &[(X, [images(20), vec![0; 3]].concat()), (Y, labels(20))], &[X, "83 bytes"]);
    c.folder(
        "absurd size",
        &[(X, idx(8, &[u32::MAX; 6], &[])), (Y, labels(20))],
        &[X, "more than fits into memory"],
    );
    c.folder("huge claim", &[(X, idx(8, &[u32::MAX, 1], &[1])), (Y, labels(20))], &[X, "4294967295"]);
    c.folder("images of no pixels", &[(X, idx(8, &[20, 0], &[])), (Y, labels(20))], &["shape [20, 0]"]);
    c.folder(
        "no images at all",
        &[(X, idx(8, &[0, 2, 2], &[])), (Y, idx(8, &[0], &[]))],
        &["shape [0, 2, 2]"],
    );
    c.folder("one label only", &[(X, images(20)), (Y, idx(8, &[20], &[3; 20]))], &["one class", "\"3\""]);
    c.folder(
        "gzip cut",
        &[("train-images-idx3-ubyte.gz", gz(&images(20))[..20].to_vec()), (Y, labels(20))],
        &["gzip"],
    );
    c.folder(
        "two training sets",
        &[(X, images(20)), ("more-images-idx3-ubyte", images(3)), (Y, labels(20))],
        &["both images"],
    );
    let other = idx(8, &[4, 3, 3], &[7; 36]);
    c.folder(
        "sizes differ",
        &[
            (X, images(20)),
            (Y, labels(20)),
            ("t10k-images-idx3-ubyte", other),
            ("t10k-labels-idx1-ubyte", labels(4)),
        ],
        &["t10k-images", "[3, 3]", "[2, 2]"],
    );
    c.folder(
        "test part without labels",
        &[(X, images(20)), (Y, labels(20)), ("t10k-images-idx3-ubyte", images(4))],
        &["t10k-images", "no labels"],
    );
    c.file("labels given as images", "x-idx1-ubyte", &labels(20), &["labels and no images"]);
    c.file("images without a folder", "x-idx3-ubyte", &images(20), &["no labels"]);
    std::fs::create_dir(c.path("folder.csv")).unwrap();
    c.fails("a folder called csv", &["folder.csv", "empty folder"], |folder| {
        load(&request(folder.join("folder.csv")))
    });
    c.at_least(23);
}

#[test]
fn bad_arrays_are_refused() {
    let mut c = Cases::new();
    let x = npy("<f8", "(3, 2)", &f64s(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.5]));
    let y = npy("<i8", "(3,)", &[0; 24]);
    c.file("npy: magic", "a.npy", b"hello world", &["NUMPY"]);
    c.file("npy: version", "b.npy", b"\x93NUMPY\x09\0\x10\0", &["version 9"]);
    c.file("npy: header length", "c.npy", b"\x93NUMPY\x02\0\xff\xff\xff\xff{", &["4294967295"]);
    c.file("npy: header cut", "d.npy", &x[..20], &["cut off"]);
    c.file("npy: data cut", "e.npy", &x[..x.len() - 1], &["47 bytes", "48"]);
    c.file(
        "npy: absurd shape",
        "f.npy",
        &npy("<f8", "(9999999999, 9999999999)", &[]),
        &["not fit into memory"],
    );
    c.file("npy: huge shape", "g.npy", &npy("<f8", "(99999999, 99999)", &[]), &["99999999"]);
    let empty = npy("<f8", "(0, 4611686018427387904, 8)", &[]);
    c.file("npy: a size that overflows", "g0.npy", &empty, &["shape [0, 4611686018427387904, 8]"]);
    c.file("npy: negative shape", "h.npy", &npy("<f8", "(-3, 2)", &[]), &["\"-3\""]);
    c.file(
        "npy: no shape",
        "i.npy",
        &npy_header("{'descr': '<f8', 'fortran_order': False}", &[]),
        &["shape"],
    );
    c.file("npy: no order", "j.npy", &npy_header("{'descr': '<f8', 'shape': (1,)}", &[]), &["fortran_order"]);
    c.file("npy: pickle", "k.npy", &npy("|O", "(3, 2)", &[]), &["pickle"]);
    c.file("npy: complex", "l.npy", &npy("<c16", "(3, 2)", &[]), &["<c16"]);
    let records = "{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (3,)}";
    c.file("npy: records", "m.npy", &npy_header(records, &[]), &["structured"]);
    c.file("npy: one dimension", "n.npy", &npy("<f8", "(2,)", &f64s(&[1.0, 2.0])), &["shape [2]"]);
    c.file("npy: no rows", "o.npy", &npy("<f8", "(0, 5)", &[]), &["shape [0, 5]"]);
    c.file(
        "npy: infinity",
        "p.npy",
        &npy("<f8", "(2, 2)", &f64s(&[1.0, 2.0, f64::INFINITY, 1.0])),
        &["row 1", "\"0\"", "infinite"],
    );
    c.file("npy: images alone", "q.npy", &npy("|u1", "(2, 2, 2)", &[0; 8]), &["no labels"]);
    c.file("npy: text", "r.npy", &npy("<U1", "(1, 2)", &[97, 0, 0, 0, 98, 0, 0, 0]), &["text"]);
    c.file("npz: no zip", "a.npz", b"hello", &["not an .npz archive"]);
    c.file("npz: cut", "b.npz", &npz(&[("x", x.clone()), ("y", y.clone())])[..100], &["not an .npz archive"]);
    c.file(
        "npz: no inputs",
        "c.npz",
        &npz(&[("weights", x.clone()), ("y", y.clone())]),
        &["\"weights\"", "x_train"],
    );
    c.file("npz: no labels", "d.npz", &npz(&[("x", x.clone())]), &["no labels"]);
    c.file(
        "npz: lengths",
        "e.npz",
        &npz(&[("x", x.clone()), ("y", npy("<i8", "(2,)", &[0; 16]))]),
        &["\"y\"", "[2]", "3 rows"],
    );
    c.file(
        "npz: one-hot labels",
        "f.npz",
        &npz(&[("x", x.clone()), ("y", npy("|u1", "(3, 2)", &[0; 6]))]),
        &["\"y\"", "argmax"],
    );
    c.file(
        "npz: damaged array",
        "g.npz",
        &npz(&[("x", b"junk".to_vec()), ("y", y.clone())]),
        &["\"x\"", "NUMPY"],
    );
    let some = [("x_train", x.clone()), ("y_train", y.clone()), ("x_test", x.clone())];
    c.file("npz: test part without labels", "h.npz", &npz(&some), &["\"x_test\"", "no labels"]);
    let wide = npy("<f8", "(1, 3)", &f64s(&[1.0, 2.0, 3.0]));
    let shapes = [
        ("x_train", x.clone()),
        ("y_train", y.clone()),
        ("x_test", wide),
        ("y_test", npy("<i8", "(1,)", &[0; 8])),
    ];
    c.file("npz: shapes of parts", "i.npz", &npz(&shapes), &["\"x_test\"", "[3]", "[2]"]);
    let infinite = npy("<f8", "(3,)", &f64s(&[1.0, f64::NEG_INFINITY, 2.0]));
    c.file("npz: infinite target", "j.npz", &npz(&[("x", x.clone()), ("y", infinite)]), &["row 1", "\"y\""]);
    c.file_with("npz: unknown labels", "k.npz", &npz(&[("x", x), ("y", y)]), &["\"z\"", "\"y\""], |r| {
        r.target = Some("z".into());
    });
    c.at_least(30);
}

#[test]
fn bad_parquet_files_are_refused() {
    let mut c = Cases::new();
    let table = |last: Cells| {
        parquet(&[("a", Cells::Double((0..6).map(|i| Some(f64::from(i))).collect())), ("b", last)])
    };
    let good = table(Cells::Text(vec![Some("x"), Some("y"), Some("x"), Some("y"), None, Some("x")]));
    c.file("parquet: magic", "a.parquet", b"hello", &["PAR1"]);
    c.file("parquet: cut", "b.parquet", &good[..good.len() / 2], &["cut off"]);
    c.file("parquet: nothing inside", "c.parquet", b"PAR1PAR1", &["PAR1"]);
    let mut footer = good.clone();
    let at = footer.len() - 8;
    footer[at..at + 4].copy_from_slice(&u32::MAX.to_le_bytes());
    c.file("parquet: footer length", "d.parquet", &footer, &["cannot be decoded"]);
    c.file(
        "parquet: no rows",
        "e.parquet",
        &parquet(&[("a", Cells::Long(vec![])), ("b", Cells::Long(vec![]))]),
        &["no rows"],
    );
    let mut infinite: Vec<Option<f64>> = (0..6).map(|i| Some(f64::from(i))).collect();
    infinite[4] = Some(f64::INFINITY);
    c.file(
        "parquet: infinity",
        "f.parquet",
        &table(Cells::Double(infinite)),
        &["row 4", "\"b\"", "infinite"],
    );
    c.file(
        "parquet: binary",
        "g.parquet",
        &table(Cells::Binary(vec![Some(b"\xff\xfe"); 6])),
        &["\"b\"", "binary"],
    );
    c.file(
        "parquet: nulls alone",
        "h.parquet",
        &table(Cells::Long(vec![None; 6])),
        &["\"b\"", "cells are empty", "--target"],
    );
    c.file_with("parquet: unknown target", "i.parquet", &good, &["\"q\"", "\"a\"", "\"b\""], |r| {
        r.target = Some("q".into());
    });
    c.at_least(9);
}

#[test]
fn damage_at_any_byte_never_panics() {
    let c = Cases::new();
    let numbers = Cells::Double((0..20).map(|i| Some(f64::from(i))).collect());
    let texts = Cells::Text((0..20).map(|i| ["x", "y"].get(i % 3).copied()).collect());
    let x = npy("<f4", "(8, 2)", &(0..16).flat_map(|i| (i as f32).to_le_bytes()).collect::<Vec<_>>());
    let y = npy("|u1", "(8,)", &[0, 1, 0, 1, 0, 1, 0, 1]);
    let files = [
        ("a.parquet", parquet(&[("a", numbers), ("b", texts)])),
        ("a.npz", npz(&[("x", x.clone()), ("y", y)])),
        ("a.npy", x),
        ("a.csv", good_csv().into_bytes()),
        ("a.csv.gz", gz(good_csv().as_bytes())),
        ("a-idx3-ubyte", idx(8, &[2, 2, 2], &[1; 8])),
    ];
    let mut tried = 0;
    for (name, good) in files {
        for at in 0..good.len() {
            for flip in [0x01, 0x55, 0xff] {
                let mut damaged = good.clone();
                damaged[at] ^= flip;
                c.write(name, &damaged);
                let request = request(c.path(name));
                assert!(catch_unwind(|| load(&request).map(drop)).is_ok(), "{name}, byte {at} ^ {flip:#x}");
                tried += 1;
            }
            c.write(name, &good[..at]);
            let request = request(c.path(name));
            assert!(catch_unwind(|| load(&request).map(drop)).is_ok(), "{name}, cut at {at}");
        }
    }
    println!("{tried} damaged files");
}

#[test]
fn bad_rows_for_a_trained_model_are_refused() {
    let mut c = Cases::new();
    let mut csv = String::from("size,colour,kind\n");
    (0..40).for_each(|i| {
        csv += &format!("{},{},{}\n", i * 7 % 41, ["red", "blue"][i / 2 % 2], ["a", "b"][i % 2])
    });
    c.write("train.csv", csv.as_bytes());
    let trained = load(&request(c.path("train.csv"))).unwrap().preprocessing;
    let digits = load(&request("digits")).unwrap().preprocessing;
    let mut predict = |case: &str, name: &str, text: &str, words: &[&str]| {
        c.write(name, text.as_bytes());
        let words = [words, &[name]].concat();
        c.fails(case, &words, |folder| {
            trained.read(&folder.join(name).display().to_string(), None, Part::All)
        });
    };
    predict("a column is gone", "p1.csv", "size,kind\n1,a\n2,b\n", &["\"colour\"", "lacks"]);
    predict(
        "text where numbers were",
        "p2.csv",
        "size,colour\nsmall,red\nbig,red\n",
        &["\"size\"", "\"small\"", "not a number"],
    );
    predict(
        "a slip among missing cells",
        "p8.csv",
        "size,colour\n-,red\nbig,red\n",
        &["\"big\"", "not a number"],
    );
    predict("infinity to predict", "p3.csv", "size,colour\n1,red\ninf,red\n", &["line 3", "\"size\""]);
    predict("too few columns without a header", "p4.csv", "1\n2\n", &["1 columns", "2 and the target"]);
    predict("beyond 32 bits", "p5.csv", "size,colour\n1,red\n1e200,red\n", &["line 3", "\"size\"", "32-bit"]);
    predict("an empty file to predict", "p6.csv", "", &["empty"]);
    predict("a header alone", "p7.csv", "size,colour\n", &["no rows"]);
    c.write("e1.csv", b"size,colour\n1,red\n2,blue\n");
    c.fails("no target to evaluate", &["e1.csv", "\"kind\"", "lacks"], |folder| {
        trained.read_labelled(&folder.join("e1.csv").display().to_string(), None, Part::All)
    });
    c.write("e2.csv", b"size,colour,kind\n1,red,a\n2,blue,zebra\n");
    c.fails("a class that training did not have", &["e2.csv", "line 3", "\"kind\"", "\"zebra\""], |folder| {
        trained.read_labelled(&folder.join("e2.csv").display().to_string(), None, Part::All)
    });
    c.write("train.csv", (csv + "99,red,a\n").as_bytes());
    c.fails("the source has changed", &["train.csv", "changed"], |folder| {
        trained.read_labelled(&folder.join("train.csv").display().to_string(), None, Part::Test)
    });
    c.write("images-idx3-ubyte", &idx(8, &[2, 3, 3], &[1; 18]));
    c.fails("images of another size", &["images-idx3", "9 pixels", "64"], |folder| {
        digits.read(&folder.join("images-idx3-ubyte").display().to_string(), None, Part::All)
    });
    let row = |cell: &str| format!("{cell}{}\n", ",0".repeat(63));
    c.write("pixels.csv", (row("3") + &row("300")).as_bytes());
    c.fails("no pixel", &["pixels.csv", "line 2", "300"], |folder| {
        digits.read(&folder.join("pixels.csv").display().to_string(), None, Part::All)
    });
    c.write("missing.csv", (row("3") + &row("")).as_bytes());
    c.fails("a missing pixel", &["missing.csv", "line 2"], |folder| {
        digits.read(&folder.join("missing.csv").display().to_string(), None, Part::All)
    });
    c.at_least(13);
}
