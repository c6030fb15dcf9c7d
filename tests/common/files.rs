//! Writers of small data files, for tests of their readers.

use std::io::{Cursor, Write};
use std::path::Path;
use std::sync::Arc;

use arrow_array::{ArrayRef, BinaryArray, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
use bngpu::data::LoadRequest;
use bngpu::spec::TableRequest;
use parquet::data_type::{ByteArray, ByteArrayType, DoubleType, Int64Type};
use parquet::file::writer::{SerializedColumnWriter, SerializedFileWriter};
use parquet::schema::parser::parse_message_type;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// The defaults of the command line, for a source.
pub fn request(source: impl AsRef<Path>) -> LoadRequest {
    LoadRequest {
        source: source.as_ref().display().to_string(),
        target: None,
        task: None,
        table: TableRequest::default(),
        val_split: 0.1,
        test_split: 0.1,
        folds: None,
        folds_of_tables: false,
        standardize: true,
        clip_inputs: true,
        clamp: None,
        seed: 0,
        data_dir: None,
    }
}

/// A version 1.0 `.npy`.
pub fn npy(descr: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    npy_header(&format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}"), data)
}

/// The same with any header.
pub fn npy_header(header: &str, data: &[u8]) -> Vec<u8> {
    [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), data].concat()
}

/// An `.npz` of ready `.npy` files.
pub fn npz(arrays: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, npy) in arrays {
        writer.start_file(format!("{name}.npy"), SimpleFileOptions::default()).unwrap();
        writer.write_all(npy).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// A zip archive.
pub fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        writer.start_file(*name, SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

pub fn zst(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

/// An IDX file: `kind` is the element type (8 is u8).
pub fn idx(kind: u8, dims: &[u32], data: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0, 0, kind, dims.len() as u8];
    dims.iter().for_each(|d| bytes.extend(d.to_be_bytes()));
    bytes.extend(data);
    bytes
}

pub fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// One column of a file whose cells have types; None is null.
#[derive(Clone)]
pub enum Cells {
    Double(Vec<Option<f64>>),
    Long(Vec<Option<i64>>),
    Text(Vec<Option<&'static str>>),
    Binary(Vec<Option<&'static [u8]>>),
}

/// A Parquet file of optional columns.
pub fn parquet(columns: &[(&str, Cells)]) -> Vec<u8> {
    let field = |(name, cells): &(&str, Cells)| match cells {
        Cells::Double(_) => format!("optional double {name};"),
        Cells::Long(_) => format!("optional int64 {name};"),
        Cells::Text(_) => format!("optional binary {name} (UTF8);"),
        Cells::Binary(_) => format!("optional binary {name};"),
    };
    let schema = format!("message table {{ {} }}", columns.iter().map(field).collect::<String>());
    let schema = Arc::new(parse_message_type(&schema).unwrap());
    let mut bytes = Vec::new();
    let mut writer = SerializedFileWriter::new(&mut bytes, schema, Default::default()).unwrap();
    let mut group = writer.next_row_group().unwrap();
    for (_, cells) in columns {
        let mut column = group.next_column().unwrap().unwrap();
        match cells {
            Cells::Double(v) => write_column::<DoubleType>(&mut column, v.to_vec()),
            Cells::Long(v) => write_column::<Int64Type>(&mut column, v.to_vec()),
            Cells::Text(v) => {
                let texts = v.iter().map(|t| t.map(ByteArray::from)).collect();
                write_column::<ByteArrayType>(&mut column, texts);
            }
            Cells::Binary(v) => {
                let texts = v.iter().map(|t| t.map(|t| ByteArray::from(t.to_vec()))).collect();
                write_column::<ByteArrayType>(&mut column, texts);
            }
        }
        column.close().unwrap();
    }
    group.close().unwrap();
    writer.close().unwrap();
    bytes
}

fn write_column<T: parquet::data_type::DataType>(
    column: &mut SerializedColumnWriter,
    cells: Vec<Option<T::T>>,
) {
    let levels: Vec<i16> = cells.iter().map(|c| i16::from(c.is_some())).collect();
    let values: Vec<T::T> = cells.into_iter().flatten().collect();
    column.typed::<T>().write_batch(&values, Some(&levels), None).unwrap();
}

impl Cells {
    fn len(&self) -> usize {
        match self {
            Cells::Double(v) => v.len(),
            Cells::Long(v) => v.len(),
            Cells::Text(v) => v.len(),
            Cells::Binary(v) => v.len(),
        }
    }

    fn array(&self) -> ArrayRef {
        match self {
            Cells::Double(v) => Arc::new(Float64Array::from(v.clone())),
            Cells::Long(v) => Arc::new(Int64Array::from(v.clone())),
            Cells::Text(v) => Arc::new(StringArray::from(v.clone())),
            Cells::Binary(v) => Arc::new(BinaryArray::from(v.clone())),
        }
    }

    /// A cell as JSON; null for bytes.
    fn json(&self, row: usize) -> serde_json::Value {
        match self {
            Cells::Double(v) => v[row].into(),
            Cells::Long(v) => v[row].into(),
            Cells::Text(v) => v[row].into(),
            Cells::Binary(_) => serde_json::Value::Null,
        }
    }
}

/// A batch of rows for the writers of Arrow and Parquet.
pub fn batch(columns: &[(&str, Cells)]) -> RecordBatch {
    RecordBatch::try_from_iter(columns.iter().map(|(name, cells)| (*name, cells.array()))).unwrap()
}

/// An Arrow file (Feather version 2), its buffers packed or not.
pub fn arrow(batches: &[RecordBatch], packed: Option<CompressionType>) -> Vec<u8> {
    let options = IpcWriteOptions::default().try_with_compression(packed).unwrap();
    let mut bytes = Vec::new();
    let mut writer = FileWriter::try_new_with_options(&mut bytes, &batches[0].schema(), options).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    writer.finish().unwrap();
    drop(writer);
    bytes
}

/// A stream of Arrow.
pub fn arrow_stream(batches: &[RecordBatch]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut writer = StreamWriter::try_new(&mut bytes, &batches[0].schema()).unwrap();
    batches.iter().for_each(|batch| writer.write(batch).unwrap());
    writer.finish().unwrap();
    drop(writer);
    bytes
}

/// JSON Lines; null cells are left out.
pub fn jsonl(columns: &[(&str, Cells)]) -> String {
    let row = |row: usize| {
        let cells = columns.iter().map(|(name, cells)| ((*name).to_owned(), cells.json(row)));
        serde_json::Value::Object(cells.filter(|(_, cell)| !cell.is_null()).collect()).to_string() + "\n"
    };
    (0..columns[0].1.len()).map(row).collect()
}

/// CSV; null cells are empty.
pub fn csv(columns: &[(&str, Cells)], separator: &str) -> String {
    let line = |cells: Vec<String>| cells.join(separator) + "\n";
    let cell = |cells: &Cells, row: usize| match cells.json(row) {
        serde_json::Value::Null => String::new(),
        serde_json::Value::String(text) => format!("\"{}\"", text.replace('"', "\"\"")),
        number => number.to_string(),
    };
    let row = |row: usize| line(columns.iter().map(|(_, cells)| cell(cells, row)).collect());
    line(columns.iter().map(|(name, _)| (*name).to_owned()).collect())
        + &(0..columns[0].1.len()).map(row).collect::<String>()
}

/// An SQLite database with a table.
pub fn sqlite(path: &Path, table: &str, columns: &[(&str, Cells)]) {
    let database = rusqlite::Connection::open(path).unwrap();
    let names = columns.iter().map(|(name, _)| format!("\"{name}\"")).collect::<Vec<_>>().join(", ");
    let marks = vec!["?"; columns.len()].join(", ");
    database.execute_batch(&format!("BEGIN; CREATE TABLE \"{table}\" ({names})")).unwrap();
    let mut insert = database.prepare(&format!("INSERT INTO \"{table}\" VALUES ({marks})")).unwrap();
    for row in 0..columns[0].1.len() {
        let cells = columns.iter().map(|(_, cells)| -> rusqlite::types::Value {
            match cells {
                Cells::Double(v) => v[row].into(),
                Cells::Long(v) => v[row].into(),
                Cells::Text(v) => v[row].map(str::to_owned).into(),
                Cells::Binary(v) => v[row].map(<[u8]>::to_vec).into(),
            }
        });
        insert.execute(rusqlite::params_from_iter(cells)).unwrap();
    }
    drop(insert);
    database.execute_batch("COMMIT").unwrap();
}

/// A sheet of an Excel workbook: its name and its cells by row. A cell is its XML; `""` is empty.
pub struct Sheet<'a>(pub &'a str, pub Vec<Vec<String>>);

/// Cells of a [`Sheet`].
pub mod cell {
    pub fn number(value: impl std::fmt::Display) -> String {
        format!("<c REF><v>{value}</v></c>")
    }

    pub fn text(value: &str) -> String {
        let escaped = value.replace('&', "&amp;").replace('<', "&lt;");
        format!("<c REF t=\"inlineStr\"><is><t xml:space=\"preserve\">{escaped}</t></is></c>")
    }

    pub fn boolean(value: bool) -> String {
        format!("<c REF t=\"b\"><v>{}</v></c>", u8::from(value))
    }

    pub fn error(value: &str) -> String {
        format!("<c REF t=\"e\"><v>{value}</v></c>")
    }

    /// `days` since 1900, shown as a date and time.
    pub fn date(days: f64) -> String {
        format!("<c REF s=\"1\"><v>{days}</v></c>")
    }

    /// A share, shown as a percentage.
    pub fn percent(value: f64) -> String {
        format!("<c REF s=\"2\"><v>{value}</v></c>")
    }
}

/// The sheet of a table.
pub fn sheet<'a>(name: &'a str, columns: &[(&str, Cells)]) -> Sheet<'a> {
    let header = columns.iter().map(|(name, _)| cell::text(name)).collect();
    let cell = |cells: &Cells, row: usize| match cells.json(row) {
        serde_json::Value::Null => String::new(),
        serde_json::Value::String(text) => cell::text(&text),
        number => cell::number(number),
    };
    let row = |row: usize| columns.iter().map(|(_, cells)| cell(cells, row)).collect();
    Sheet(name, std::iter::once(header).chain((0..columns[0].1.len()).map(row)).collect())
}

/// An Excel workbook.
pub fn xlsx(sheets: &[Sheet]) -> Vec<u8> {
    const MAIN: &str = "http://schemas.openxmlformats.org/spreadsheetml/2006/main";
    const LINK: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
    const PACKAGE: &str = "http://schemas.openxmlformats.org/package/2006";
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    let mut file = |name: &str, xml: String| {
        writer.start_file(name, SimpleFileOptions::default()).unwrap();
        write!(writer, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>{xml}").unwrap();
    };
    let column_name = |mut column: usize| {
        let mut name = String::new();
        loop {
            name.insert(0, char::from(b'A' + (column % 26) as u8));
            match column / 26 {
                0 => return name,
                more => column = more - 1,
            }
        }
    };
    let (mut list, mut links, mut types) = (String::new(), String::new(), String::new());
    for (i, Sheet(name, rows)) in (1..).zip(sheets) {
        list += &format!("<sheet name=\"{name}\" sheetId=\"{i}\" r:id=\"rId{i}\"/>");
        links += &format!(
            "<Relationship Id=\"rId{i}\" Type=\"{LINK}/worksheet\" Target=\"worksheets/sheet{i}.xml\"/>"
        );
        types += &format!(
            "<Override PartName=\"/xl/worksheets/sheet{i}.xml\" \
             ContentType=\"application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml\"/>"
        );
        let row = |(r, cells): (usize, &Vec<String>)| {
            let cell =
                |(c, cell): (usize, &String)| cell.replace("REF", &format!("r=\"{}{r}\"", column_name(c)));
            format!("<row r=\"{r}\">{}</row>", cells.iter().enumerate().map(cell).collect::<String>())
        };
        let rows: String = (1..).zip(rows).map(row).collect();
        file(
            &format!("xl/worksheets/sheet{i}.xml"),
            format!("<worksheet xmlns=\"{MAIN}\"><sheetData>{rows}</sheetData></worksheet>"),
        );
    }
    let last = sheets.len() + 1;
    links += &format!("<Relationship Id=\"rId{last}\" Type=\"{LINK}/styles\" Target=\"styles.xml\"/>");
    file(
        "xl/styles.xml",
        format!(
            "<styleSheet xmlns=\"{MAIN}\"><fonts><font/></fonts><fills><fill/></fills><borders><border/></borders>\
             <cellStyleXfs><xf numFmtId=\"0\"/></cellStyleXfs><cellXfs><xf numFmtId=\"0\"/>\
             <xf numFmtId=\"22\" applyNumberFormat=\"1\"/><xf numFmtId=\"10\" applyNumberFormat=\"1\"/></cellXfs></styleSheet>"
        ),
    );
    file(
        "xl/workbook.xml",
        format!("<workbook xmlns=\"{MAIN}\" xmlns:r=\"{LINK}\"><sheets>{list}</sheets></workbook>"),
    );
    file(
        "xl/_rels/workbook.xml.rels",
        format!("<Relationships xmlns=\"{PACKAGE}/relationships\">{links}</Relationships>"),
    );
    file(
        "_rels/.rels",
        format!(
            "<Relationships xmlns=\"{PACKAGE}/relationships\"><Relationship Id=\"rId1\" \
             Type=\"{LINK}/officeDocument\" Target=\"xl/workbook.xml\"/></Relationships>"
        ),
    );
    file(
        "[Content_Types].xml",
        format!(
            "<Types xmlns=\"{PACKAGE}/content-types\"><Default Extension=\"rels\" \
             ContentType=\"application/vnd.openxmlformats-package.relationships+xml\"/>\
             <Default Extension=\"xml\" ContentType=\"application/xml\"/>{types}</Types>"
        ),
    );
    writer.finish().unwrap().into_inner()
}

/// Random numbers that need no crate: xorshift64*.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// 0..n
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() >> 33) as usize % n
    }

    /// [-1, 1)
    pub fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }
}
