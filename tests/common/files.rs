//! Writers of small data files, for tests of their readers.

use std::io::{Cursor, Write};
use std::path::Path;
use std::sync::Arc;

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

/// One column of a Parquet file; None is null.
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
