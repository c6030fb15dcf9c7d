use super::cells::Cells;
use super::*;
use crate::data::raw::digest;
use crate::data::table::{Column, MISSING, plain_number};

/// Reads the table in `bytes`, in blocks of about `block` bytes.
fn read_in_blocks(bytes: &[u8], options: &ReadOptions, block: usize) -> Result<Read, DataError> {
    let read = Reader { input: &Input::Bytes("t.csv", bytes), options, block }.read()?;
    assert_eq!(read.content, digest(&[bytes]));
    Ok(read)
}

fn read(bytes: &[u8]) -> Read {
    read_in_blocks(bytes, &ReadOptions::default(), BLOCK).unwrap()
}

fn table(text: &str) -> Table {
    read(text.as_bytes()).table
}

fn error(bytes: &[u8]) -> String {
    match read_in_blocks(bytes, &ReadOptions::default(), BLOCK) {
        Ok(read) => panic!("{:?} is read as {:?}", String::from_utf8_lossy(bytes), read.table),
        Err(error) => error.to_string(),
    }
}

/// A column as texts: a number as it is written shortest, a missing cell as nothing.
fn cells(column: &Column) -> Vec<String> {
    match column {
        Column::Number(values) => {
            values.iter().map(|v| if v.is_nan() { String::new() } else { v.to_string() }).collect()
        }
        Column::Text { levels, codes } => {
            codes.iter().map(|code| levels.get(*code as usize).cloned().unwrap_or_default()).collect()
        }
        column => panic!("{column:?}"),
    }
}

/// "n" for each column of numbers, "t" for each of text.
fn types(table: &Table) -> String {
    table.columns.iter().map(|c| if matches!(c, Column::Number(_)) { 'n' } else { 't' }).collect()
}

#[test]
fn quotes_crlf_bom_and_missing_cells() {
    let t = table("\u{feff}a,\"b,c\",d\r\n1,\"x \"\"y\"\"\nz\",?\r\n-2.5e3,,NA\r\n\r\n,w,7\r\n");
    assert_eq!(t.names, ["a", "b,c", "d"]);
    assert_eq!((t.rows, t.named), (3, true));
    assert_eq!(t.lines.as_deref(), Some(&[2, 4, 6][..]));
    assert_eq!(t.how, "comma separated, the first line names the columns");
    assert_eq!(cells(&t.columns[0]), ["1", "-2500", ""]);
    assert_eq!(cells(&t.columns[2]), ["", "", "7"]);
    let Column::Text { levels, codes } = &t.columns[1] else { panic!("not text") };
    assert_eq!(levels, &["x \"y\"\nz", "w"]);
    assert_eq!(codes, &[0, MISSING, 1]);
}

#[test]
fn headers_are_found() {
    let many = |head: &str, row: fn(usize) -> String| (0..30).fold(head.to_owned(), |text, i| text + &row(i));
    let class = |i: usize| ["a", "b"][i / 2 % 2];
    let cases: Vec<(String, bool)> = [
        // Text over numbers.
        ("a,b\n1,2\n3,4\n", true),
        ("a;b\n1;2\n", true),
        ("a\tb\n1\t2\n", true),
        ("label,0,1\n3,10,20\n4,30,40\n", true),
        ("country,1990,1991\n3,10,20\n4,30,40\n", true),
        ("name,400.5,401.2,403\n3,1.5,2,9\n4,3,4,9\n", true),
        ("-,size\n1,2\n3,4\n", true),
        (",size,\n1,2,3\n3,4,5\n", true),
        ("\"x\",\"y\"\n1,2\n", true),
        ("名前,値\n1,2\n3,4\n", true),
        // Text over what is like a number, a date or a boolean.
        ("price,n\n\"$1,000\",a\n$5,b\n", true),
        ("weight,kind\n70 kg,a\n80 kg,b\n", true),
        ("when,kind\n2024-01-01,a\n2024-01-02,b\n", true),
        ("ok,kind\nTrue,a\nFalse,b\nTrue,a\n", true),
        ("x,y\n1,a\nunknown,b\n2,a\n3,b\n", true),
        // Dates over numbers.
        ("2020-01,2020-02\n10,20\n30,40\n", true),
        // Rows without names.
        ("1,2\n3,4\n", false),
        ("5.1,3.5,setosa\n4.9,3.0,setosa\n", false),
        ("red,1\nblue,2\n", false),
        ("colour,1\nred,2\n", false),
        ("-,5,3\n1,2,3\n", false),
        ("unknown,5.2\n3,4\n5,6\n", false),
        ("maybe,3\nyes,4\nno,5\n", false),
        ("2024-01-01,5\n2024-01-02,7\n", false),
        ("?,1\n2,3\n", false),
        ("$5,a\n$7,b\n$9,a\n", false),
        // Texts alone.
        ("colour,size\nred,big\nblue,big\n", true),
        ("red,big\nblue,big\nred,small\n", false),
        // Counts: pandas' names of an array's columns, or numbers.
        ("0,1,2\n1.5,0.4,0.9\n2.5,1.8,0.7\n", true),
        ("1,2,3\n1.5,0.4,0.9\n2.5,1.8,0.7\n", true),
        (",0,1,2\n0,1.5,0.4,0.9\n1,2.5,1.8,0.7\n", true),
        (",0,1\n0,5,4\n1,2,8\n", true),
        ("0,1,2\n5,a,9\n7,b,8\n", true),
        ("0,1,2,3,4,5\n7,3,0,0,9,1\n5,0,0,8,2,1\n", true),
        ("0,1,2\n1,2,3\n2,3,4\n", false),
        ("0,1,2\n3,4,5\n6,7,8\n", false),
        ("0,1\n1,0\n0,1\n1,1\n", false),
        ("0,1\n1,5.3\n2,4.5\n3,9.1\n", false),
        ("0,2,1\n1.5,0.4,0.9\n2.5,1.8,0.7\n", false),
        ("0\n1\n2\n", false),
    ]
    .map(|(text, header)| (text.to_owned(), header))
    .into_iter()
    .chain([
        (many("label,2,1\n", |i| format!("{},{}.5,{}\n", ["a", "b"][i / 2 % 2], i * 7 % 5, i % 3)), true),
        (many("rare,2.5,1\n", |i| format!("{},{}.5,{}\n", ["a", "b"][i / 2 % 2], i * 7 % 5, i % 3)), false),
        (many("0,1\n", |i| format!("{}.25,{}\n", i * 7 % 5, ["a", "b"][i / 2 % 2])), true),
    ])
    .collect();
    assert_eq!(class(2), "b");
    for (text, header) in &cases {
        assert_eq!(table(text).named, *header, "{text}");
        for forced in [false, true] {
            let options = ReadOptions { header: Some(forced), ..ReadOptions::default() };
            assert_eq!(read_in_blocks(text.as_bytes(), &options, BLOCK).unwrap().table.named, forced);
        }
    }
    assert_eq!(table("red,1\nblue,2\n").rows, 2);
    assert_eq!(cells(&table("red,1\nblue,2\n").columns[1]), ["1", "2"]);
    assert_eq!(table(",0,1\n0,5,4\n1,2,8\n").names, ["Unnamed: 0", "0", "1"]);
    assert_eq!(table("a,a\n1,2\n").names, ["a", "a"]);
}

#[test]
fn names_that_are_looked_for_make_a_header() {
    for (text, names, header) in [
        ("colour,size\nred,size\nblue,big\n", &["colour"][..], true),
        ("label,2,1\na,-0.5,1\nb,1.5,0\na,1.2,1\n", &["1"], true),
        ("a,2,1\na,-0.5,1\nb,1.5,0\na,1.2,1\n", &["1"], false),
        ("7,1,3\n4,0,2\n5,1,2\n", &["1"], false),
        ("2,0,1\n4,0,2\n5,1,2\n", &["0", "1", "2"], true),
        ("2,0,1\n4,0,2\n5,1,2\n", &["0", "1", "3"], false),
    ] {
        let options = ReadOptions { names, ..ReadOptions::default() };
        assert_eq!(
            read_in_blocks(text.as_bytes(), &options, BLOCK).unwrap().table.named,
            header,
            "{text}{names:?}"
        );
    }
}

#[test]
fn separators_are_found() {
    for (text, how, columns, rows) in [
        ("a,b\n1,2\n3,4\n", "comma", 2, 2),
        ("a;b\n1,5;2\n2,5;3\n", "semicolon", 2, 2),
        ("1,5;2,5\n2,5;3,5\n", "semicolon", 2, 2),
        ("a\tb\n1,5\t2\n2,5\t3\n", "tab", 2, 2),
        ("a|b|c\nx,y|1|2\nz,w|3|4\n", "separated by |", 3, 2),
        ("name;text\n1;Hello, world\n2;One, two, three\n", "semicolon", 2, 2),
        ("text,n\n\"a;b\",1\n\"c;d\",2\n", "comma", 2, 2),
        ("a b c\n1 2 3\n4 5 6\n", "spaces", 3, 2),
        ("  1.5   2.5  x\n 10.5  12.5  y\n", "spaces", 3, 2),
        ("1.5\t 2.5 \"x y\"\n3 4 z\n", "spaces", 3, 2),
        ("when,x\n2024-01-01 10:00,1\n2024-01-02 11:00,2\n", "comma", 2, 2),
        ("who,age\nAnn Lee,31\nBob Roe,45\n", "comma", 2, 2),
        ("who\nAnn Lee\nBob Roe\n", "comma", 1, 2),
        ("n\n1\n2\n", "comma", 1, 2),
        ("sep=;\na;b,c\n1;2\n", "semicolon separated (as its first line says)", 2, 1),
        ("\"sep=|\"\r\na|b\r\n1|2\r\n", "separated by | (as", 2, 1),
        ("sep=\t\na\tb\n1\t2\n", "tab", 2, 1),
        ("a, b, c\n1, 2, 3\n4, \"x, y\", 6\n", "comma", 3, 2),
    ] {
        let t = table(text);
        assert!(t.how.contains(how), "{text}{}", t.how);
        assert_eq!((t.columns.len(), t.rows), (columns, rows), "{text}");
    }
    let t = table("sep=;\na;b\n1;2\n3;x\n");
    assert_eq!(
        (t.lines.as_deref(), t.names.as_slice()),
        (Some(&[3, 4][..]), &["a", "b"].map(String::from)[..])
    );
    let t = table("a, b, c\n1, 2, 3\n4, \"x, y\", 6\n");
    assert_eq!((t.names.as_slice(), types(&t).as_str()), (&["a", "b", "c"].map(String::from)[..], "ntn"));
    assert_eq!(cells(&t.columns[1]), ["2", "x, y"]);
    let t = table(" a   \"b c\"\n\n 1.5  x\n 22.5  \"y  z\"  \n");
    assert_eq!(
        (t.names.as_slice(), t.lines.as_deref()),
        (&["a", "b c"].map(String::from)[..], Some(&[3, 4][..]))
    );
    assert_eq!(
        (cells(&t.columns[0]), cells(&t.columns[1])),
        (vec!["1.5".into(), "22.5".into()], vec!["x".into(), "y  z".to_owned()])
    );
}

#[test]
fn encodings_are_found() {
    let text = "größe,art\n1,é\n2,ü\n";
    let expected = cells(&table(text).columns[1]);
    let utf16 = |swap: bool, bom: bool| -> Vec<u8> {
        let units = "\u{feff}".encode_utf16().filter(|_| bom).chain(text.encode_utf16());
        units.flat_map(|unit| if swap { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
    };
    let latin: Vec<u8> = text.chars().map(|c| c as u32 as u8).collect();
    for (bytes, name) in [
        (utf16(false, true), "UTF-16"),
        (utf16(true, true), "UTF-16"),
        (utf16(false, false), "UTF-16"),
        (utf16(true, false), "UTF-16"),
        (latin, "Windows-1252"),
        (text.as_bytes().to_vec(), ""),
    ] {
        for block in [1, 7, BLOCK] {
            let read = read_in_blocks(&bytes, &ReadOptions::default(), block).unwrap();
            assert_eq!(read.table.names, ["größe", "art"]);
            assert_eq!(cells(&read.table.columns[1]), expected);
            assert!(read.table.how.contains(name), "{}", read.table.how);
            assert_eq!(read.notes.is_empty(), name != "Windows-1252");
        }
    }
    // Late in the file: read again as Windows-1252 if all before is ASCII, else refused.
    let mut late = "a,b\n".to_owned() + &"1,x\n".repeat(200_000);
    let mut bytes = [late.as_bytes(), b"2,caf\xe9\n"].concat();
    let read = super::tests::read(&bytes);
    assert_eq!((read.table.rows, read.notes.len()), (200_001, 1));
    assert_eq!(cells(&read.table.columns[1]).last().unwrap(), "café");
    late.insert_str(4, "0,é\n");
    bytes.splice(4..4, "0,é\n".bytes());
    assert!(error(&bytes).contains("line 200003: is not UTF-8"), "{}", error(&bytes));
    assert!(error(b"a,b\n0,\xc3\xa9\n1,\xe9\n").contains("line 3: is not UTF-8"));
}

#[test]
fn what_is_not_a_table_is_refused() {
    let mut nul = ("a,b\n".to_owned() + &"1,x\n".repeat(200_000)).into_bytes();
    let at = nul.len() - 2;
    nul[at] = 0;
    for (bytes, words) in [
        (&b"\n\r\n\n"[..], "no rows"),
        (b"\xef\xbb\xbf", "no rows"),
        (b"\xef\xbb\xbfa,b\n", "header but no rows"),
        (b"\xff\xfea\0,\0b\0\n\0", "header but no rows"),
        (b"\xff\xfea\0,\0b\0\n\0x", "damaged UTF-16"),
        (b"a,b,c\n1,2,3\n4,5\n", "line 3: 2 cells, but line 1 has 3"),
        (b"a,b\r\n1,2\r\n\r\n3,4,5\r\n", "line 4: 3 cells, but line 1 has 2"),
        (b"a,b\n\"x\ny\",1\n2\n", "line 4: 1 cell, but line 1 has 2"),
        (b"a,b\n1,2,3\n1,5,6\n", "line 2: 3 cells, but line 1 has 2"),
        (b"a,b\n1,2\n3,\"4\n5,6\n", "line 3: a quote is opened but not closed"),
        (b"a,b\n1,x\n2,\"yes, \"really\"\"\n3,x\n", "line 3: a quoted cell continues"),
        (b"\"a\" b,c\n1,2\n", "line 1: a quoted cell continues"),
        (b"\x7fELF\0\0\0\x01", "binary"),
        (b"PK\x03\x04rest", "spreadsheet"),
        (b"PAR1xxxxPAR1", "Parquet"),
        (b"\x93NUMPY\x01\0", "NumPy"),
        (&nul, "line 200001: holds a NUL byte"),
    ] {
        let error = error(bytes);
        assert!(error.contains(words), "{error}");
    }
    let wide = "a,".repeat(MAX_COLUMNS + 1) + "\n";
    assert!(error(wide.as_bytes()).contains("columns"));
}

#[test]
fn a_separator_at_the_end_of_every_line_is_left_out() {
    for text in ["a,b,\n1,2,\n3,4,\n", "a,b\n1,2,\n3,4,\n"] {
        let read = read(text.as_bytes());
        assert_eq!(
            (read.table.names.as_slice(), types(&read.table).as_str()),
            (&["a", "b"].map(String::from)[..], "nn")
        );
        assert_eq!(read.notes, [TRAILING]);
    }
    assert!(error(b"a,b\n1,2,\n3,4\n").contains("line 3: 2 cells, but line 2 has 3"));
    let t = table("a,b,\n1,2,\n3,4,5\n");
    assert_eq!(t.names, ["a", "b", "Unnamed: 2"]);
    // R's write.table
    let t = table("\"x\" \"kind\"\n\"1\" 5.1 \"a\"\n\"2\" 4.9 \"b\"\n");
    assert_eq!(t.names, ["Unnamed: 0", "x", "kind"]);
    assert_eq!((types(&t).as_str(), t.named, t.rows), ("nnt", true, 2));
}

#[test]
fn what_is_no_plain_number_makes_a_column_text() {
    for (text, expected) in [
        ("x,y\n1,2\n1.5,x\n", "nt"),
        ("x,y\n1,007\n1.5,010\n", "nt"),
        ("x,y\n1,9007199254740992\n2,3\n", "nn"),
        ("x,y\n1,12345678901234567890\n2,3\n", "nt"),
        ("x,y\ninf,1e999\n-inf,+3\n", "nn"),
        ("x,y\n1,\"2\"\n2,\" 3 \"\n", "nn"),
        ("x,y\nNA,?\n,1\n", "nn"),
        ("x;y\n1,5;2\n2,5;3\n", "tn"),
        // With semicolons, points may separate thousands.
        ("x;y\n1.234;2\n12.345;3\n", "tn"),
        ("x;y\n1.234;2\n12.345;3.5\n", "tn"),
        ("x;y\n1.234;2\n12.3456;3\n", "nn"),
        ("x;y\n0.234;2\n1.234;3\n", "nn"),
        ("x;y\n-1.234;2\n12;3\n", "tn"),
        ("x,y\n1.234,2\n12.345,3\n", "nn"),
        ("1.234;2\n12.345;3\n", "tn"),
        ("0.234;2\n12.345;3\n", "nn"),
        ("12.345.678;2\n12.345;3\n", "tn"),
    ] {
        for block in [1, BLOCK] {
            let t = read_in_blocks(text.as_bytes(), &ReadOptions::default(), block).unwrap().table;
            assert_eq!(types(&t), expected, "{text}");
        }
    }
    assert_eq!(cells(&table("x,y\n01.50,1\n1.50,2\n").columns[0]), ["01.50", "1.50"]);
    let missing = ["Unknown".to_owned(), "--".to_owned()];
    let options = ReadOptions { missing: &missing, ..ReadOptions::default() };
    let t = read_in_blocks(b"x,y\n1,a\nunknown,--\n2,b\n", &options, BLOCK).unwrap().table;
    assert_eq!(
        (types(&t).as_str(), cells(&t.columns[1])),
        ("nt", vec!["a".into(), String::new(), "b".into()])
    );
}

/// Text after 300,000 rows of numbers: the exact texts of all rows.
#[test]
fn text_late_in_the_file_keeps_the_exact_texts() {
    let n = 300_000;
    for header in [true, false] {
        let mut text = if header { "x,y,z\n".to_owned() } else { "0.10,5,2.50\n".into() };
        (0..n).for_each(|i| text += &format!("1.{}0,{i},2.50\n", i % 3));
        text += "late,7,2.5\n";
        let t = table(&text);
        assert_eq!((types(&t).as_str(), t.rows), ("tnn", n + 1 + usize::from(!header)));
        let Column::Text { levels, codes } = &t.columns[0] else { panic!("not text") };
        let first: &[&str] = if header { &[] } else { &["0.10"] };
        assert_eq!(levels, &[first, &["1.00", "1.10", "1.20", "late"]].concat());
        assert_eq!(codes.len(), t.rows);
        assert_eq!(*codes.last().unwrap() as usize, levels.len() - 1);
    }
    // Missing cells alone before the text need no second reading; text in the first line alone makes a column text.
    let text = "a,b\n".to_owned() + &",1\n".repeat(n) + "x,2\n";
    let t = table(&text);
    assert_eq!((types(&t).as_str(), cells(&t.columns[0]).last().map(String::as_str)), ("tn", Some("x")));
    let text = "oops,1.5\n".to_owned() + &"2,2.5\n".repeat(n);
    let t = table(&text);
    assert_eq!((types(&t).as_str(), t.named, t.rows), ("tn", false, n + 1));
    assert_eq!(&cells(&t.columns[0])[..2], ["oops", "2"]);
}

#[test]
fn a_column_can_be_forced_to_text() {
    let wanted = |text: bool| if text { Texts::All } else { Texts::NoNumbers };
    let force = |names: &[String], _: bool| names.iter().map(|n| wanted(n == "zip" || n == "0")).collect();
    let options = ReadOptions { texts: Some(&force), ..ReadOptions::default() };
    for (text, levels) in [
        ("zip,x\n007,1\n010,2\n", &["007", "010"][..]),
        ("zip,x\n7.0,1\n7,2\n", &["7.0", "7"]),
        ("zip,x\nNA,1\n,2\n", &[]),
        ("7.0,1\n5,9\n7,2\n5,1\n", &["7.0", "5", "7"]),
        ("7.0,1\n5,9\n7.0,2\n5,1\n", &["7.0", "5"]),
        ("5,1\n7,9\n", &["5", "7"]),
    ] {
        for block in [1, 8, BLOCK] {
            let t = read_in_blocks(text.as_bytes(), &options, block).unwrap().table;
            assert_eq!(types(&t), "tn", "{text}");
            assert!(
                matches!(&t.columns[0], Column::Text { levels: found, .. } if found == levels),
                "{:?}",
                t.columns[0]
            );
        }
    }
    // Text that is not forced after all becomes numbers.
    let force = |names: &[String], named: bool| vec![wanted(!named); names.len()];
    let options = ReadOptions { texts: Some(&force), ..ReadOptions::default() };
    assert_eq!(types(&read_in_blocks(b"a,b\n1,2\n", &options, BLOCK).unwrap().table), "nn");
}

/// xorshift64*
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % n
    }

    fn of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }

    fn number(&mut self) -> String {
        let digits = |random: &mut Random, n: usize| {
            (0..n).map(|_| (b'0' + random.below(10) as u8) as char).collect::<String>()
        };
        let (whole, fraction) = (self.below(10), self.below(12));
        let whole = digits(self, whole);
        match self.below(8) {
            0 => whole,
            1 => format!("-{whole}.{}", digits(self, fraction)),
            2 => format!("{}.{}", digits(self, 1), digits(self, 17)),
            3 => format!("{}e{}{}", digits(self, 2), self.of(&["", "-", "+"]), self.below(30)),
            4 => digits(self, 18),
            5 => format!("0.{}", digits(self, 20)),
            _ => format!("{}.{}", whole, digits(self, fraction)),
        }
    }
}

#[test]
fn numbers_are_read_as_by_the_standard_library() {
    let mut random = Random(7);
    let mut n_numbers = 0;
    let mut cells: Vec<String> = (0..200_000).map(|_| random.number()).collect();
    cells.extend(
        [
            "0",
            "-0",
            "-0.0",
            ".",
            "-",
            ".5",
            "5.",
            "-.5",
            "1e5",
            "9007199254740993",
            "0.1",
            "1.7976931348623157e308",
            "5e-324",
            "00",
            "0x1",
            "1_0",
            "+1",
            "--1",
            "1.2.3",
            "infinity",
        ]
        .map(String::from),
    );
    let rules = Rules { separator: b',', width: 2, missing: &[] };
    for cell in cells {
        let text = format!("{cell},1\n");
        let parsed = parse(&text, &rules, &[Mode::Number; 2]).unwrap();
        match (&parsed.columns[0], plain_number(&cell)) {
            (Cells::Number(numbers), Some(expected)) => {
                n_numbers += 1;
                assert_eq!(numbers.values[0].to_bits(), expected.to_bits(), "{cell}");
            }
            (Cells::Number(numbers), None) => {
                assert!(cell.is_empty() && numbers.values[0].is_nan(), "{cell}")
            }
            (Cells::Text { levels, .. }, None) => assert_eq!(levels.texts, [cell]),
            (column, expected) => panic!("{cell}: {column:?}, {expected:?}"),
        }
    }
    assert!(n_numbers > 100_000, "{n_numbers}");
}

/// A table of random texts and numbers, with the cells as they should be read.
fn random_table(random: &mut Random) -> (String, Vec<Vec<String>>) {
    let (rows, columns) = (1 + random.below(12), 2 + random.below(4));
    let separator = random.of(&[",", ";", "\t", "|"]);
    let line_end = random.of(&["\n", "\r\n", "\r"]);
    let is_text: Vec<bool> = (0..columns).map(|_| random.below(2) == 0).collect();
    let mut text = (0..columns).map(|c| format!("name {c}")).collect::<Vec<_>>().join(separator) + line_end;
    let mut expected = vec![Vec::new(); columns];
    for _ in 0..rows {
        if random.below(5) == 0 {
            text += line_end;
        }
        let mut line = Vec::new();
        for (c, is_text) in is_text.iter().enumerate() {
            let cell = match is_text {
                false => random.of(&["1", "-2.5", "0.125", "3000", ""]),
                true => random.of(&[
                    "x",
                    "a,b",
                    "c;d",
                    "say \"hi\"",
                    "\"",
                    "zwölf",
                    "two\nlines",
                    "cr\rlf\r\n",
                    "it's 5\" long",
                    "",
                    "t\tab",
                    "p|q",
                    "\"\",\"\"",
                ]),
            };
            let plain = !cell.contains(['"', '\n', '\r']) && !cell.contains(separator);
            let quoted = !plain || random.below(4) == 0;
            let written = if quoted { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_owned() };
            let spaces = |random: &mut Random| " ".repeat(random.below(8).saturating_sub(5));
            line.push(format!("{}{written}{}", spaces(random), spaces(random)));
            expected[c].push(cell.trim().to_owned());
        }
        // A line without anything is blank.
        text += &line.join(separator);
        text += line_end;
    }
    let ends = random.below(3) > 0;
    let end = text.trim_end_matches(line_end).len();
    if !ends && expected.iter().any(|column| column.last().is_some_and(|cell| !cell.is_empty())) {
        text.truncate(end);
    }
    (text, expected)
}

/// Written with all that CSV allows, and read in blocks of every size.
#[test]
fn random_tables_are_read_as_written_whatever_the_blocks() {
    let mut random = Random(3);
    for table in 0..150 {
        let (text, expected) = random_table(&mut random);
        let options = ReadOptions { header: Some(true), ..ReadOptions::default() };
        let whole = read_in_blocks(text.as_bytes(), &options, BLOCK).map(|read| read.table);
        let Ok(whole) = whole else { panic!("table {table}: {text:?}: {}", whole.unwrap_err()) };
        let found = whole.columns.len() == expected.len() && whole.names[0] == "name 0";
        assert!(found, "table {table}: {text:?}: {}", whole.how);
        for (column, expected) in whole.columns.iter().zip(&expected) {
            assert_eq!(&cells(column), expected, "table {table}: {text:?}");
        }
        for block in (1..text.len().min(50)).chain([text.len() - 1, text.len()]) {
            let cut = read_in_blocks(text.as_bytes(), &options, block).unwrap().table;
            assert_eq!(
                (&cut.lines, &cut.names, &cut.how),
                (&whole.lines, &whole.names, &whole.how),
                "{text:?} {block}"
            );
            for (a, b) in cut.columns.iter().zip(&whole.columns) {
                assert_eq!(
                    (cells(a), types(&cut)),
                    (cells(b), types(&whole)),
                    "table {table}, blocks of {block}"
                );
            }
        }
    }
}

#[test]
fn runs_of_spaces_are_cut_alike_whatever_the_blocks() {
    let mut random = Random(5);
    for _ in 0..60 {
        let mut text = "n kind  m\n".to_owned();
        let rows = 3 + random.below(6);
        let mut expected = [const { Vec::new() }; 3];
        for _ in 0..rows {
            for (c, cells) in
                [["1", "-2.5", "300"], ["x", "two words", "say \"hi\""], ["4", "5", "0.5"]].iter().enumerate()
            {
                let cell = random.of(cells);
                let quoted = cell.contains([' ', '"']) || random.below(4) == 0;
                text += random.of(if c == 0 { &["", " ", "   "] } else { &[" ", "  ", "\t", " \t "] });
                text += &if quoted { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell.to_owned() };
                expected[c].push(cell.to_owned());
            }
            text += random.of(&["\n", "  \n", "\n\n", "\r\n", " \t\n"]);
        }
        for block in (1..text.len()).chain([BLOCK]) {
            let t = read_in_blocks(text.as_bytes(), &ReadOptions::default(), block).unwrap().table;
            assert_eq!(
                (t.names.as_slice(), t.rows),
                (&["n", "kind", "m"].map(String::from)[..], rows),
                "{text:?}"
            );
            assert_eq!([0, 1, 2].map(|c| cells(&t.columns[c])), expected, "{text:?}");
        }
    }
}

/// The `csv` package as a second opinion on what the cells are: any bytes of a small alphabet.
#[test]
fn random_bytes_are_cut_as_by_the_csv_package() {
    let mut random = Random(11);
    let mut n_read = 0;
    for _ in 0..10_000 {
        let n = 1 + random.below(30);
        let bytes: Vec<u8> = (0..n).map(|_| b"a1\",,\n\r\n\"x"[random.below(10)]).collect();
        let text = [&b"h,h\n"[..], &bytes].concat();
        let options = ReadOptions { header: Some(true), ..ReadOptions::default() };
        let Ok(read) = read_in_blocks(&text, &options, 1 + random.below(9)) else { continue };
        // Its separator may be another, and the csv package accepts more.
        if read.table.columns.len() != 2 || !read.notes.is_empty() || read.table.names != ["h", "h"] {
            continue;
        }
        n_read += 1;
        let mut reader = ::csv::ReaderBuilder::new().from_reader(text.as_slice());
        let records: Vec<::csv::StringRecord> = reader.records().map(Result::unwrap).collect();
        assert_eq!(read.table.rows, records.len(), "{:?}", String::from_utf8_lossy(&text));
        for (c, column) in read.table.columns.iter().enumerate() {
            let expected: Vec<&str> = records.iter().map(|record| record[c].trim()).collect();
            assert_eq!(cells(column), expected, "{:?}", String::from_utf8_lossy(&text));
        }
    }
    assert!(n_read > 100, "{n_read}");
}
