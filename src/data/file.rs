//! Reads the content of a file: unpacked if it is gzip, zstd, bzip2 or xz, or a zip archive of one table, whatever its
//! name.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use flate2::bufread::{DeflateDecoder, MultiGzDecoder};
use flate2::{Crc, CrcReader};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::{DataError, memory};

/// Bytes read at a time while unpacking.
const STEP: usize = 1 << 20;

/// A file whose content can be read several times.
#[derive(Debug)]
pub(crate) struct Source {
    path: PathBuf,
    /// For messages.
    pub name: String,
    packing: Packing,
    /// Bytes of content as the file claims, where it does.
    pub length: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Packing {
    None,
    Gzip,
    Zstd,
    Bzip2,
    Xz,
    /// One file of a zip archive: where its `packed` bytes start, whether they are deflated, and their checksum.
    Zip {
        start: u64,
        packed: u64,
        deflated: bool,
        sum: u32,
    },
}

impl Packing {
    fn name(self) -> &'static str {
        match self {
            Packing::None => "not packed",
            Packing::Gzip => "gzip",
            Packing::Zstd => "zstd",
            Packing::Bzip2 => "bzip2",
            Packing::Xz => "xz",
            Packing::Zip { .. } => "zip",
        }
    }

    fn of(start: &[u8]) -> Packing {
        match start {
            [0x1f, 0x8b, ..] => Packing::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Packing::Zstd,
            // A table can begin with BZh; then come the first digits of pi, or of its square root.
            [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, 0x59, ..]
            | [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, 0x45, ..] => Packing::Bzip2,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Packing::Xz,
            _ => Packing::None,
        }
    }
}

/// Extensions of packed files.
const PACKED: [(&str, Packing); 4] =
    [(".gz", Packing::Gzip), (".zst", Packing::Zstd), (".bz2", Packing::Bzip2), (".xz", Packing::Xz)];

impl Source {
    /// A file, packed or not. A zip archive is taken as it is, since `.npz` and spreadsheets are such archives.
    pub fn open(path: &Path) -> Result<Source, DataError> {
        let name = name_of(path);
        let io = |e| DataError::io(path, e);
        let meta = fs::metadata(path).map_err(io)?;
        if meta.is_dir() {
            return Err(DataError::file(&name, "is a folder, expected a file", "give the file inside it"));
        }
        if !meta.is_file() {
            // Some formats are read more than once, and a pipe may never end.
            let remedy = "write it to a file first, or give it on standard input with --data -";
            return Err(DataError::file(&name, "is a pipe or a device, expected a file", remedy));
        }
        let mut start = Vec::new();
        let mut file = File::open(path).map_err(io)?;
        (&mut file).take(32).read_to_end(&mut start).map_err(io)?;
        if start.is_empty() {
            return Err(DataError::file(&name, "is empty", "check how it was written or copied"));
        }
        let packing = Packing::of(&start);
        let named = PACKED.iter().find(|(extension, _)| name.to_lowercase().ends_with(extension));
        if let (Packing::None, Some((extension, named))) = (packing, named) {
            let what = format!("is not {}, though its name ends in {extension}", named.name());
            return Err(DataError::file(&name, what, "rename it, or copy it again"));
        }
        let length = match packing {
            Packing::None => Some(meta.len()),
            Packing::Gzip => {
                let mut size = [0; 4];
                let end = file.seek(SeekFrom::End(-4)).and_then(|_| file.read_exact(&mut size));
                end.ok().map(|()| u64::from(u32::from_le_bytes(size)))
            }
            #[cfg(feature = "compression")]
            Packing::Zstd => zstd::zstd_safe::get_frame_content_size(&start).ok().flatten(),
            _ => None,
        };
        Ok(Source { path: path.to_path_buf(), name, packing, length })
    }

    /// The same, but a zip archive is opened and its only table taken.
    pub fn open_table(path: &Path) -> Result<Source, DataError> {
        let source = Source::open(path)?;
        let mut start = [0; 4];
        let is_zip = File::open(path).and_then(|mut file| file.read_exact(&mut start)).is_ok()
            && &start == b"PK\x03\x04";
        if is_zip { in_zip(source) } else { Ok(source) }
    }

    /// Whether it must be unpacked.
    pub fn is_packed(&self) -> bool {
        self.packing != Packing::None
    }

    /// The content from its start.
    pub fn reader(&self) -> Result<Box<dyn Read + Send>, DataError> {
        let io = |e| DataError::io(&self.path, e);
        let mut file = File::open(&self.path).map_err(io)?;
        if self.packing == Packing::None {
            return Ok(Box::new(file));
        }
        if let Packing::Zip { start, packed, deflated, sum } = self.packing {
            file.seek(SeekFrom::Start(start)).map_err(io)?;
            let packed = BufReader::with_capacity(1 << 17, file.take(packed));
            let content: Box<dyn Read + Send> =
                if deflated { Box::new(DeflateDecoder::new(packed)) } else { Box::new(packed) };
            return Ok(Box::new(Summed { content: CrcReader::new(content), sum }));
        }
        let packed = BufReader::with_capacity(1 << 17, file);
        match self.packing {
            Packing::Gzip => Ok(Box::new(MultiGzDecoder::new(packed))),
            packing => self.unpack(packing, packed),
        }
    }

    #[cfg(feature = "compression")]
    fn unpack(
        &self,
        packing: Packing,
        packed: impl BufRead + Send + 'static,
    ) -> Result<Box<dyn Read + Send>, DataError> {
        match packing {
            Packing::Zstd => {
                let decoder = zstd::stream::read::Decoder::with_buffer(packed);
                Ok(Box::new(decoder.map_err(|e| DataError::io(&self.path, e))?))
            }
            Packing::Bzip2 => Ok(Box::new(bzip2::bufread::MultiBzDecoder::new(packed))),
            _ => {
                // Its header says how much it needs.
                let limit = memory::available().map_or(u32::MAX, |left| (left >> 10).min(1 << 30) as u32);
                Ok(Box::new(lzma_rust2::XzReader::new_mem_limit(packed, true, limit)))
            }
        }
    }

    #[cfg(not(feature = "compression"))]
    fn unpack(&self, packing: Packing, _: impl BufRead) -> Result<Box<dyn Read + Send>, DataError> {
        let what = format!("is packed with {}, which this build does not read", packing.name());
        Err(DataError::file(&self.name, what, "build bngpu with its feature `compression`, or unpack it"))
    }

    /// The message for an error while reading, after `so_far` bytes of content.
    pub fn error(&self, error: io::Error, so_far: u64) -> DataError {
        match self.packing {
            Packing::None => DataError::io(&self.path, error),
            packing => DataError::file(
                &self.name,
                format!("is damaged {} ({error} after {so_far} bytes of content)", packing.name()),
                "copy or download it again",
            ),
        }
    }

    /// The whole content.
    pub fn read(&self) -> Result<Vec<u8>, DataError> {
        let mut reader = self.reader()?;
        let mut bytes = Vec::new();
        if let (Packing::None, Some(length)) = (self.packing, self.length) {
            memory::reserve(
                &self.name,
                &mut bytes,
                usize::try_from(length).unwrap_or(usize::MAX).saturating_add(1),
            )?;
        }
        loop {
            let more = STEP.min(bytes.len().max(1 << 12));
            memory::grow(&self.name, &mut bytes, more)?;
            let room = (bytes.capacity() - bytes.len()) as u64;
            let read = (&mut reader).take(room).read_to_end(&mut bytes);
            if read.map_err(|e| self.error(e, bytes.len() as u64))? == 0 {
                break;
            }
        }
        if bytes.is_empty() {
            return Err(self.is_empty());
        }
        Ok(bytes)
    }

    /// SHA-256 of the content: that of [`super::raw::digest`] for one part.
    pub fn digest(&self) -> Result<[u8; 32], DataError> {
        let (n, content) = self.hash(self.length)?;
        if Some(n) == self.length { Ok(content) } else { self.hash(Some(n)).map(|(_, content)| content) }
    }

    /// The bytes of content, and their hash if there are `expected` bytes.
    fn hash(&self, expected: Option<u64>) -> Result<(u64, [u8; 32]), DataError> {
        let (mut hash, mut reader) = (begin_hash(expected), self.reader()?);
        let (mut buffer, mut so_far) = (vec![0; 1 << 18], 0);
        loop {
            match reader.read(&mut buffer).map_err(|e| self.error(e, so_far))? {
                0 => return Ok((so_far, hash.finalize().into())),
                n => {
                    so_far += n as u64;
                    hash.update(&buffer[..n]);
                }
            }
        }
    }

    /// The error for content of no bytes.
    pub fn is_empty(&self) -> DataError {
        let what = if self.is_packed() { "is empty after unpacking" } else { "is empty" };
        DataError::file(&self.name, what, "check how it was written")
    }
}

/// The start of the hash of `length` bytes, whose number comes first.
pub(crate) fn begin_hash(length: Option<u64>) -> Sha256 {
    let mut hash = Sha256::new();
    hash.update(length.unwrap_or(0).to_le_bytes());
    hash
}

/// The whole content of `path`, unpacked if it is packed. A zip archive is taken as it is.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, DataError> {
    Source::open(path)?.read()
}

/// The first bytes of the content of `path`, at most `n`.
pub(crate) fn first_bytes(path: &Path, n: u64) -> Result<Vec<u8>, DataError> {
    let source = Source::open(path)?;
    let mut bytes = Vec::new();
    source.reader()?.take(n).read_to_end(&mut bytes).map_err(|e| source.error(e, bytes.len() as u64))?;
    Ok(bytes)
}

/// Content whose checksum is compared at its end.
struct Summed {
    content: CrcReader<Box<dyn Read + Send>>,
    sum: u32,
}

impl Read for Summed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.content.read(buffer)?;
        if n == 0 && !buffer.is_empty() && Crc::sum(self.content.crc()) != self.sum {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "wrong checksum"));
        }
        Ok(n)
    }
}

/// The only table of a zip archive.
#[cfg(feature = "npz")]
fn in_zip(source: Source) -> Result<Source, DataError> {
    use super::error::list;
    use zip::{CompressionMethod, ZipArchive};

    const TABLES: [&str; 6] = [".csv", ".tsv", ".txt", ".data", ".dat", ".tab"];
    let name = &source.name;
    let damaged = |e: zip::result::ZipError| {
        DataError::file(
            name,
            format!("is a damaged zip archive or spreadsheet ({e})"),
            "write or copy it again",
        )
    };
    let file = File::open(&source.path).map_err(|e| DataError::io(&source.path, e))?;
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(damaged)?;
    let mut files = Vec::new();
    for index in 0..archive.len() {
        let entry = archive.by_index_raw(index).map_err(damaged)?;
        let inner = entry.name().map_err(damaged)?.into_owned();
        let base = inner.rsplit('/').next().unwrap_or(&inner);
        // macOS adds a folder of its own.
        if entry.is_file() && !base.starts_with('.') && !inner.starts_with("__MACOSX/") {
            files.push((index, inner));
        }
    }
    if files.iter().any(|(_, inner)| inner == "[Content_Types].xml") {
        return Err(DataError::file(
            name,
            "is a spreadsheet, not text",
            "give it a name that ends in .xlsx, or save it as CSV",
        ));
    }
    let is_table = |inner: &str| TABLES.iter().any(|end| inner.to_lowercase().ends_with(end));
    let tables: Vec<&(usize, String)> = files.iter().filter(|(_, inner)| is_table(inner)).collect();
    let chosen = match (tables.as_slice(), files.as_slice()) {
        ([table], _) => *table,
        ([], [only]) => only,
        _ => {
            let names: Vec<&str> = files.iter().map(|(_, inner)| inner.as_str()).collect();
            let what = match names.len() {
                0 => "is a zip archive without files".to_owned(),
                _ => format!("is a zip archive with {}, expected one table", list(&names)),
            };
            return Err(DataError::file(name, what, "unpack it and give the file"));
        }
    };
    let entry = archive.by_index_raw(chosen.0).map_err(damaged)?;
    let start = entry.data_start();
    let (Some(start), false, CompressionMethod::Stored | CompressionMethod::Deflated) =
        (start, entry.encrypted(), entry.compression())
    else {
        let how = if entry.encrypted() {
            "encrypted".to_owned()
        } else {
            format!("packed by {}", entry.compression())
        };
        let what = format!("is a zip archive whose {:?} is {how}", chosen.1);
        return Err(DataError::file(name, what, "unpack it and give the file"));
    };
    let packing = Packing::Zip {
        start,
        packed: entry.compressed_size(),
        deflated: entry.compression() == CompressionMethod::Deflated,
        sum: entry.crc32(),
    };
    let length = Some(entry.size());
    Ok(Source { path: source.path.clone(), name: source.name.clone(), packing, length })
}

#[cfg(not(feature = "npz"))]
fn in_zip(source: Source) -> Result<Source, DataError> {
    let what = "is a zip archive or a spreadsheet, which this build does not read";
    Err(DataError::file(&source.name, what, "build bngpu with its feature `npz`, or unpack it"))
}

/// Names of files that hold what is read once: standard input, and the rows that a database sent.
const SPOOLED: [&str; 2] = [STDIN, ROWS];
const STDIN: &str = "standard input";
const ROWS: &str = "the rows of the database";

/// A path for messages.
pub(crate) fn name_of(path: &Path) -> String {
    let file_name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    if SPOOLED.contains(&file_name) { file_name.into() } else { path.display().to_string() }
}

/// What can be read once, in a file that lives as long as this value.
#[derive(Debug)]
pub(crate) struct Spooled {
    folder: TempDir,
    name: &'static str,
    /// As the user names it, without secrets.
    pub source: String,
}

impl Spooled {
    /// Reads standard input to its end.
    pub fn stdin() -> Result<Spooled, DataError> {
        let stdin = io::stdin();
        if io::IsTerminal::is_terminal(&stdin) {
            let what = "reads standard input, which is the terminal";
            return Err(DataError::setting(
                "--data -",
                what,
                "pipe a table into it, as in cat a.csv | bngpu ...",
            ));
        }
        Spooled::read(&mut stdin.lock(), STDIN, "-".into())
    }

    /// Reads the CSV, with a header, that a database sends.
    #[cfg(feature = "postgres")]
    pub fn rows(input: &mut impl Read, source: String) -> Result<Spooled, DataError> {
        Spooled::read(input, ROWS, source)
    }

    fn read(input: &mut impl Read, name: &'static str, source: String) -> Result<Spooled, DataError> {
        let folder = TempDir::with_prefix("bngpu-").map_err(|e| DataError::io(&std::env::temp_dir(), e))?;
        let spooled = Spooled { folder, name, source };
        let path = spooled.path();
        let copied = File::create_new(&path).and_then(|mut file| io::copy(input, &mut file));
        match copied {
            Ok(0) => Err(DataError::file(name, "is empty", "pipe a table into it")),
            Ok(_) => Ok(spooled),
            Err(e) => Err(DataError::io(&path, e)),
        }
    }

    /// The file.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join(self.name)
    }

    /// Whether its first line certainly names the columns.
    pub fn has_header(&self) -> bool {
        self.name == ROWS
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn written(name: &str, bytes: &[u8]) -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        (folder, path)
    }

    #[cfg(feature = "npz")]
    fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut writer = zip::ZipWriter::new(io::Cursor::new(Vec::new()));
        for (i, (name, bytes)) in files.iter().enumerate() {
            let method = [zip::CompressionMethod::Stored, zip::CompressionMethod::Deflated][i % 2];
            let options = zip::write::SimpleFileOptions::default().compression_method(method);
            writer.start_file(*name, options).unwrap();
            writer.write_all(bytes).unwrap();
        }
        writer.finish().unwrap().into_inner()
    }

    fn gz(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn gzip_is_unpacked_whatever_its_name_and_every_truncation_is_an_error() {
        let content: Vec<u8> =
            (0..100_000u32).flat_map(|i| format!("{i},{}\n", i % 7).into_bytes()).collect();
        let packed = gz(&content);
        let (_folder, path) = written("table.csv", &packed);
        assert_eq!(read(&path).unwrap(), content);
        assert_eq!(first_bytes(&path, 5).unwrap(), &content[..5]);
        // Two members in a row, as pigz and cat write them.
        let (_folder, path) = written("table.csv", &[packed.clone(), gz(b"more")].concat());
        let content = [&content[..], b"more"].concat();
        assert_eq!(read(&path).unwrap(), content);
        assert_eq!(Source::open(&path).unwrap().digest().unwrap(), super::super::raw::digest(&[&content]));
        for cut in [3, 10, packed.len() / 2, packed.len() - 9, packed.len() - 1] {
            let (_folder, path) = written("cut.csv.gz", &packed[..cut]);
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains("is damaged gzip ("), "{cut}: {error}");
        }
    }

    #[cfg(feature = "compression")]
    #[test]
    fn zstd_bzip2_and_xz_are_unpacked() {
        let content = b"a,b\n1,2\n".repeat(1000);
        let mut bz = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
        bz.write_all(&content).unwrap();
        let mut xz = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(1)).unwrap();
        xz.write_all(&content).unwrap();
        let packed = [zstd::encode_all(&content[..], 1).unwrap(), bz.finish().unwrap(), xz.finish().unwrap()];
        for (packed, (extension, packing)) in packed.iter().zip(&PACKED[1..]) {
            let (_folder, path) = written("table.csv", packed);
            assert_eq!(Source::open(&path).unwrap().packing, *packing);
            assert_eq!(read(&path).unwrap(), content, "{extension}");
            let (_folder, path) = written("cut.csv", &packed[..packed.len() - 5]);
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains("damaged") && error.contains(packing.name()), "{error}");
            let (_folder, path) = written(&format!("plain{extension}"), b"a,b\n");
            let error = read(&path).unwrap_err().to_string();
            assert!(error.contains(&format!("is not {}", packing.name())), "{error}");
        }
    }

    #[cfg(feature = "npz")]
    #[test]
    fn a_zip_archive_of_one_table_is_unpacked() {
        let content = b"a,b\n1,2\n".repeat(1000);
        let (_folder, path) = written(
            "x.zip",
            &zip(&[("README.md", b"hello"), ("data/t.csv", &content), ("__MACOSX/t.csv", b"x")]),
        );
        let source = Source::open_table(&path).unwrap();
        assert_eq!((source.length, source.read().unwrap()), (Some(8000), content.clone()));
        assert!(read(&path).unwrap().starts_with(b"PK"));
        for (files, word) in [
            (&[("a.csv", &b"1"[..]), ("b.csv", b"2")][..], "\"a.csv\", \"b.csv\""),
            (&[], "without files"),
            (&[("[Content_Types].xml", b"1"), ("xl/workbook.xml", b"2")], "spreadsheet"),
        ] {
            let (_folder, path) = written("x.zip", &zip(files));
            let error = if files.is_empty() {
                in_zip(Source::open(&path).unwrap())
            } else {
                Source::open_table(&path)
            };
            let error = error.unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
        let mut damaged = zip(&[("t.csv", b"a,b\n1,2\n3,4\n")]);
        let at = damaged.windows(3).position(|w| w == b"a,b").unwrap();
        damaged[at] ^= 1;
        let (_folder, path) = written("x.zip", &damaged);
        assert!(
            Source::open_table(&path).and_then(|s| s.read()).unwrap_err().to_string().contains("damaged zip")
        );
    }

    #[test]
    fn standard_input_is_kept_in_a_file_and_named() {
        let spooled = Spooled::read(&mut &b"a,b\n1,2\n"[..], STDIN, "-".into()).unwrap();
        let path = spooled.path();
        assert_eq!(read(&path).unwrap(), b"a,b\n1,2\n");
        assert_eq!(name_of(&path), "standard input");
        drop(spooled);
        assert!(!path.exists());
        assert!(
            Spooled::read(&mut &b""[..], STDIN, "-".into())
                .unwrap_err()
                .to_string()
                .contains("standard input: is empty")
        );
    }
}
