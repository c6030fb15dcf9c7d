//! An array of any shape, and NumPy's `.npy` form of it.
//!
//! The header is parsed here, not by a library: it is short, and its claims are checked against the file's size
//! before anything is allocated.
//! <https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html>

use std::io::{self, Read};

use super::table::{Cell, Column, ColumnBuilder};
use super::{DataError, memory};

/// Values `[shape…]`, row-major.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Array {
    pub shape: Vec<usize>,
    pub values: Values,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Values {
    /// u8, as stored
    Bytes(Vec<u8>),
    /// any other number
    Numbers(Vec<f64>),
    Texts(Vec<String>),
}

impl Values {
    fn reserve(&mut self, file: &str, items: usize) -> Result<(), DataError> {
        match self {
            Values::Bytes(bytes) => memory::reserve(file, bytes, items),
            Values::Numbers(numbers) => memory::reserve(file, numbers, items),
            Values::Texts(texts) => memory::reserve(file, texts, items),
        }
    }

    pub fn into_numbers(self) -> Option<Vec<f64>> {
        match self {
            Values::Bytes(bytes) => Some(bytes.into_iter().map(f64::from).collect()),
            Values::Numbers(numbers) => Some(numbers),
            Values::Texts(_) => None,
        }
    }

    /// A column of these values. Infinite numbers stay; the target's checks find them.
    pub fn into_column(self) -> Column {
        match self {
            Values::Texts(texts) => {
                let mut builder = ColumnBuilder::text();
                texts.iter().for_each(|text| builder.push(Cell::Text(text)));
                builder.finish()
            }
            numbers => Column::Number(numbers.into_numbers().unwrap_or_default()),
        }
    }
}

const MAX_HEADER: usize = 1 << 16;
/// Bytes that are decoded at a time.
const STEP: usize = 1 << 20;

/// Parses a whole `.npy`; `file` is for messages.
#[cfg(test)]
pub(crate) fn parse_npy(file: &str, bytes: &[u8]) -> Result<Array, DataError> {
    read_npy(file, &mut &*bytes, Some(bytes.len() as u64), &|e| {
        DataError::file(file, e.to_string(), "check it")
    })
}

/// Reads a `.npy` of `length` bytes, if that is known, so that it is in memory once; `file` is for messages, `failed` is
/// the error of a failed read.
pub(crate) fn read_npy(
    file: &str,
    reader: &mut dyn Read,
    length: Option<u64>,
    failed: &dyn Fn(io::Error) -> DataError,
) -> Result<Array, DataError> {
    let bad = |what: String| DataError::file(file, what, "write it with numpy.save, without pickle");
    let mut start = Vec::new();
    (&mut *reader).take(MAX_HEADER as u64 + 16).read_to_end(&mut start).map_err(failed)?;
    let (dtype, fortran, shape, at) =
        parse_start(&start, length.unwrap_or(start.len() as u64)).map_err(bad)?;
    let items = shape
        .iter()
        .try_fold(1usize, |n, d| n.checked_mul(*d))
        .filter(|n| n.checked_mul(dtype.size).is_some())
        .ok_or_else(|| bad(format!("claims the shape {shape:?}, which does not fit into memory")))?;
    let needed = items * dtype.size;
    let wrong = |length: u64| {
        let text = &dtype.text;
        bad(format!("has {length} bytes of data, but shape {shape:?} of {text} needs {needed}"))
    };
    let known = length.map(|length| length.saturating_sub(at as u64));
    if let Some(length) = known.filter(|length| *length != needed as u64) {
        return Err(wrong(length));
    }
    // Their rows or columns are copied once more when they are put in order.
    let size = if dtype.is_byte() { 2 } else { 16 };
    memory::check(file, (items as u64).saturating_mul(size))?;
    let mut data = (&start[at..]).chain(reader);
    let mut values = dtype.no_values();
    let mut buffer = Vec::new();
    let (step, mut n_bytes) = (dtype.size * (STEP / dtype.size).max(1), 0);
    values.reserve(file, items)?;
    while n_bytes < needed {
        buffer.clear();
        let wanted = step.min(needed - n_bytes);
        let got = (&mut data).take(wanted as u64).read_to_end(&mut buffer).map_err(failed)?;
        n_bytes += got;
        if got < wanted {
            return Err(wrong(n_bytes as u64));
        }
        dtype.append(&buffer, &mut values).map_err(bad)?;
    }
    // Also finds damage at the end of what is packed.
    let more = io::copy(&mut data, &mut io::sink()).map_err(failed)?;
    if more > 0 {
        return Err(wrong(n_bytes as u64 + more));
    }
    let array = Array { shape, values };
    Ok(if fortran { array.into_row_major() } else { array })
}

/// Element type, whether column-major, shape, and where the data start; `length` is that of the file.
fn parse_start(bytes: &[u8], length: u64) -> Result<(Dtype, bool, Vec<usize>, usize), String> {
    let Some(rest) = bytes.strip_prefix(b"\x93NUMPY") else {
        return Err("is not a NumPy array: its first bytes are not \\x93NUMPY".into());
    };
    let (header_length, start) = match rest {
        [1, _, a, b, ..] => (u16::from_le_bytes([*a, *b]) as usize, 4),
        [2 | 3, _, a, b, c, d, ..] => (u32::from_le_bytes([*a, *b, *c, *d]) as usize, 6),
        [version, ..] if !(1..=3).contains(version) => {
            return Err(format!("has format version {version}, expected 1 to 3"));
        }
        _ => return Err(format!("is cut off after {length} bytes")),
    };
    let header = rest.get(start..start + header_length.min(MAX_HEADER + 1)).filter(|h| h.len() <= MAX_HEADER);
    let Some(header) = header else {
        return Err(format!(
            "is cut off or damaged: the header needs {header_length} bytes, the file has {length}"
        ));
    };
    let header = std::str::from_utf8(header).map_err(|_| "has a header that is not text".to_owned())?;
    let (dtype, fortran, shape) = parse_header(header).map_err(|what| format!("{what} in {header:.200?}"))?;
    Ok((dtype, fortran, shape, bytes.len() - rest.len() + start + header_length))
}

/// An element type, such as `<f8`.
struct Dtype {
    text: String,
    big_endian: bool,
    kind: char,
    size: usize,
}

impl Dtype {
    fn parse(text: &str) -> Result<Dtype, String> {
        let unknown = || {
            format!("has elements of type {text:?}, expected integers, floats, booleans or fixed-length text")
        };
        let mut chars = text.chars();
        let order = chars.next().ok_or_else(unknown)?;
        let kind = chars.next().ok_or_else(unknown)?;
        if kind == 'O' {
            return Err("has Python objects (pickle) as elements".into());
        }
        let count: usize = chars.as_str().parse().map_err(|_| unknown())?;
        let size = match kind {
            'U' => count.checked_mul(4).ok_or_else(unknown)?,
            _ => count,
        };
        let known = matches!((kind, size), ('b', 1) | ('i' | 'u', 1 | 2 | 4 | 8) | ('f', 2 | 4 | 8))
            || matches!(kind, 'U' | 'S') && (1..=1 << 16).contains(&size);
        if !known || !"<>|=".contains(order) {
            return Err(unknown());
        }
        Ok(Dtype { text: text.into(), big_endian: order == '>', kind, size })
    }

    fn is_byte(&self) -> bool {
        (self.kind, self.size) == ('u', 1)
    }

    fn no_values(&self) -> Values {
        match self.kind {
            _ if self.is_byte() => Values::Bytes(Vec::new()),
            'U' | 'S' => Values::Texts(Vec::new()),
            _ => Values::Numbers(Vec::new()),
        }
    }

    /// Appends whole items.
    fn append(&self, data: &[u8], values: &mut Values) -> Result<(), String> {
        let items = data.chunks_exact(self.size);
        match values {
            Values::Bytes(bytes) => bytes.extend_from_slice(data),
            Values::Texts(texts) => {
                for item in items {
                    texts.push(self.text_of(item)?);
                }
            }
            Values::Numbers(numbers) => numbers.extend(items.map(|item| self.number(item))),
        }
        Ok(())
    }

    fn text_of(&self, item: &[u8]) -> Result<String, String> {
        let text = if self.kind == 'S' {
            String::from_utf8(item.to_vec()).map_err(|_| "has text that is not UTF-8".to_owned())?
        } else {
            let code = |c: &[u8]| match (self.big_endian, [c[0], c[1], c[2], c[3]]) {
                (false, c) => char::from_u32(u32::from_le_bytes(c)),
                (true, c) => char::from_u32(u32::from_be_bytes(c)),
            };
            let chars = item.chunks_exact(4).map(code).collect::<Option<String>>();
            chars.ok_or_else(|| "has text that is not Unicode".to_owned())?
        };
        Ok(text.trim_end_matches('\0').to_owned())
    }

    fn number(&self, item: &[u8]) -> f64 {
        let mut bytes = [0; 8];
        bytes[..item.len()].copy_from_slice(item);
        if self.big_endian {
            bytes[..item.len()].reverse();
        }
        let bits = u64::from_le_bytes(bytes);
        match (self.kind, self.size) {
            ('i', 1) => f64::from(bits as i8),
            ('i', 2) => f64::from(bits as i16),
            ('i', 4) => f64::from(bits as i32),
            ('i', _) => bits as i64 as f64,
            ('f', 2) => half_to_f64(bits as u16),
            ('f', 4) => f64::from(f32::from_bits(bits as u32)),
            ('f', _) => f64::from_bits(bits),
            _ => bits as f64,
        }
    }
}

/// IEEE 754 binary16.
fn half_to_f64(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    let size = match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1.0 + fraction / 1024.0) * 2f64.powi(exponent - 15),
    };
    if bits >> 15 == 1 { -size } else { size }
}

/// `{'descr': '<f8', 'fortran_order': False, 'shape': (3, 4), }`
fn parse_header(header: &str) -> Result<(Dtype, bool, Vec<usize>), String> {
    let after = |key: &str| {
        let at = header.find(&format!("'{key}'")).or(header.find(&format!("\"{key}\"")));
        at.map(|at| header[at + key.len() + 2..].trim_start().trim_start_matches(':').trim_start())
            .ok_or_else(|| format!("has no {key:?}"))
    };
    let descr = after("descr")?;
    let quote = descr.chars().next().filter(|c| matches!(c, '\'' | '"'));
    let descr = quote.and_then(|quote| descr[1..].split_once(quote));
    let (descr, _) = descr.ok_or("has structured elements, expected one array of numbers")?;
    let fortran = after("fortran_order")?;
    let fortran = match () {
        _ if fortran.starts_with("True") => true,
        _ if fortran.starts_with("False") => false,
        _ => return Err("has no valid fortran_order".into()),
    };
    let shape =
        after("shape")?.strip_prefix('(').and_then(|s| s.split_once(')')).ok_or("has no valid shape")?.0;
    let shape: Vec<usize> = shape
        .split(',')
        .map(str::trim)
        .filter(|d| !d.is_empty())
        .map(|d| d.trim_end_matches('L').parse().map_err(|_| format!("has the invalid size {d:?}")))
        .collect::<Result<_, _>>()?;
    if shape.len() > 32 {
        return Err(format!("has {} dimensions", shape.len()));
    }
    Ok((Dtype::parse(descr)?, fortran, shape))
}

impl Array {
    /// Converts from column-major (Fortran) to row-major order.
    fn into_row_major(self) -> Array {
        fn reorder<T: Clone>(shape: &[usize], from: &[T]) -> Vec<T> {
            let mut index = vec![0; shape.len()];
            let mut to = Vec::with_capacity(from.len());
            for _ in 0..from.len() {
                let at = shape.iter().zip(&index).rev().fold(0, |at, (size, i)| at * size + i);
                to.push(from[at].clone());
                for (i, size) in index.iter_mut().zip(shape).rev() {
                    *i += 1;
                    if *i < *size {
                        break;
                    }
                    *i = 0;
                }
            }
            to
        }
        let values = match &self.values {
            Values::Bytes(v) => Values::Bytes(reorder(&self.shape, v)),
            Values::Numbers(v) => Values::Numbers(reorder(&self.shape, v)),
            Values::Texts(v) => Values::Texts(reorder(&self.shape, v)),
        };
        Array { shape: self.shape, values }
    }
}

/// Writes `values` as version 1.0 `.npy`, for tests.
#[cfg(test)]
pub(crate) fn write_npy(descr: &str, fortran: bool, shape: &[usize], data: &[u8]) -> Vec<u8> {
    let order = if fortran { "True" } else { "False" };
    let shape = shape.iter().map(|d| format!("{d},")).collect::<String>();
    let header = format!("{{'descr': '{descr}', 'fortran_order': {order}, 'shape': ({shape}), }}\n");
    [b"\x93NUMPY\x01\x00", &(header.len() as u16).to_le_bytes()[..], header.as_bytes(), data].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn element_types_and_orders() {
        let cases: [(&str, Vec<u8>, Vec<f64>); 8] = [
            ("<f8", [1.5f64, -0.1].map(f64::to_le_bytes).concat(), vec![1.5, -0.1]),
            (">f4", [1.5f32, -2.0].map(f32::to_be_bytes).concat(), vec![1.5, -2.0]),
            ("<f2", vec![0, 0x3e, 0, 0xc0], vec![1.5, -2.0]),
            ("|i1", vec![255, 3], vec![-1.0, 3.0]),
            ("<i8", [-5i64, 9].map(i64::to_le_bytes).concat(), vec![-5.0, 9.0]),
            (">u2", [1u16, 65535].map(u16::to_be_bytes).concat(), vec![1.0, 65535.0]),
            ("<u8", [7u64, 8].map(u64::to_le_bytes).concat(), vec![7.0, 8.0]),
            ("|b1", vec![0, 1], vec![0.0, 1.0]),
        ];
        for (descr, data, expected) in cases {
            let array = parse_npy("a.npy", &write_npy(descr, false, &[2], &data)).unwrap();
            assert_eq!(array.values, Values::Numbers(expected), "{descr}");
        }
        let text = "ab\0é\0\0".chars().flat_map(|c| (c as u32).to_le_bytes()).collect::<Vec<_>>();
        let array = parse_npy("a.npy", &write_npy("<U3", false, &[2], &text)).unwrap();
        assert_eq!(array.values, Values::Texts(vec!["ab".into(), "é".into()]));
    }

    #[test]
    fn fortran_order_becomes_row_major() {
        let array = parse_npy("a.npy", &write_npy("|u1", true, &[2, 3], &[1, 4, 2, 5, 3, 6])).unwrap();
        assert_eq!(array.values, Values::Bytes(vec![1, 2, 3, 4, 5, 6]));
    }

    #[test]
    fn every_truncation_is_an_error() {
        let whole = write_npy("<f8", false, &[2, 2], &[0; 32]);
        for end in 0..whole.len() {
            assert!(parse_npy("a.npy", &whole[..end]).is_err(), "cut at {end}");
        }
        assert!(parse_npy("a.npy", &whole).is_ok());
    }
}
