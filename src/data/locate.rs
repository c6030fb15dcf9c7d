//! Finds the file, folder, files or embedded data set that a user names.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::error::list;
use super::file::{Spooled, first_bytes};
use super::{DataError, idx};

/// Format of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// The embedded data set.
    Digits,
    /// A folder of IDX files.
    IdxFolder,
    /// One IDX file: images without labels.
    IdxFile,
    /// Text separated by commas, semicolons or tabs.
    Csv,
    Npz,
    Npy,
    Parquet,
    /// Arrow's file and stream formats; Feather version 2 is the first.
    Arrow,
    /// JSON Lines, or an array of objects.
    Json,
    /// Spreadsheets.
    Excel,
    Sqlite,
    /// Files of one format that are the parts of a table.
    Parts,
    /// Images in files: a folder for each class, or files alone.
    Images,
}

/// A source that was found.
#[derive(Clone, Debug)]
pub(crate) struct Located {
    pub format: Format,
    /// Empty for the embedded data set; a pattern for files that it matches.
    pub path: PathBuf,
    /// What is read of the file: a sheet, a table, or a query.
    pub selection: Option<String>,
    /// The files of [`Format::Parts`], or of images that a pattern matches, in the order of their rows.
    pub parts: Vec<Located>,
    /// Short name, for the run's folder.
    pub name: String,
    /// The file of what came on standard input or from a database, which lives as long as this.
    pub spooled: Option<Arc<Spooled>>,
}

impl Located {
    fn new(format: Format, path: &Path, name: String) -> Located {
        Located { format, path: path.to_owned(), selection: None, parts: Vec::new(), name, spooled: None }
    }

    /// The absolute path of this source, or `digits`, or `-`, or a connection string without its password.
    pub fn source(&self) -> String {
        if let Some(spooled) = &self.spooled {
            return spooled.source.clone();
        }
        if self.format == Format::Digits {
            return "digits".into();
        }
        let path =
            std::path::absolute(&self.path).unwrap_or_else(|_| self.path.clone()).display().to_string();
        match &self.selection {
            Some(selection) => format!("{path}{SELECTS}{selection}"),
            None => path,
        }
    }
}

/// Between a file and the part of it that is read.
const SELECTS: &str = "::";

/// Extensions of each format. Those of names in the data folder are tried in this order.
const EXTENSIONS: [(Format, &[&str]); 9] = [
    (Format::Csv, &["csv", "tsv", "txt", "data", "tab"]),
    (Format::Npz, &["npz"]),
    (Format::Npy, &["npy"]),
    (Format::Parquet, &["parquet", "pq"]),
    (Format::Arrow, &["feather", "arrow", "ipc", "arrows"]),
    (Format::Json, &["jsonl", "ndjson", "json"]),
    (Format::Excel, &["xlsx", "xlsm", "xlsb", "xls", "ods"]),
    (Format::Sqlite, &["sqlite", "sqlite3", "db", "db3"]),
    (Format::Images, &IMAGES),
];

/// Extensions of images.
pub(crate) const IMAGES: [&str; 6] = ["png", "jpg", "jpeg", "webp", "bmp", "gif"];

/// Extensions of packed files, after that of the format.
const PACKED: [&str; 5] = [".gz", ".zst", ".xz", ".bz2", ".zip"];

/// First bytes that tell the format, whatever the name is.
const MAGICS: [(Format, &[u8]); 9] = [
    (Format::Parquet, b"PAR1"),
    (Format::Npy, b"\x93NUMPY"),
    (Format::Arrow, b"ARROW1"),
    (Format::Arrow, b"FEA1"),
    (Format::Sqlite, b"SQLite format 3\0"),
    // A stream of Arrow: the marker of its first message.
    (Format::Arrow, &[0xff; 4]),
    (Format::Images, b"\x89PNG"),
    (Format::Images, b"\xff\xd8\xff"),
    (Format::Images, b"GIF8"),
];

/// Extensions that are not read: what they are, and what reads them.
const FOREIGN: [(&str, &str, &str); 17] = [
    ("rds", "an R object", "in R: write.csv(readRDS(\"FILE\"), \"FILE.csv\", row.names = FALSE)"),
    ("rdata", "R objects", "in R: load(\"FILE\"), then write.csv(NAME, \"FILE.csv\", row.names = FALSE)"),
    ("sav", "an SPSS file", "with pandas: pandas.read_spss(\"FILE\").to_parquet(\"FILE.parquet\")"),
    ("dta", "a Stata file", "with pandas: pandas.read_stata(\"FILE\").to_parquet(\"FILE.parquet\")"),
    ("sas7bdat", "a SAS file", "with pandas: pandas.read_sas(\"FILE\").to_parquet(\"FILE.parquet\")"),
    ("xpt", "a SAS file", "with pandas: pandas.read_sas(\"FILE\").to_parquet(\"FILE.parquet\")"),
    ("h5", "an HDF5 file", "with h5py: numpy.savez(\"FILE.npz\", x=file[\"x\"], y=file[\"y\"])"),
    ("hdf5", "an HDF5 file", "with h5py: numpy.savez(\"FILE.npz\", x=file[\"x\"], y=file[\"y\"])"),
    ("mat", "a MATLAB file", "with scipy: numpy.savez(\"FILE.npz\", **scipy.io.loadmat(\"FILE\"))"),
    ("pkl", "a Python pickle", "with pandas: pandas.read_pickle(\"FILE\").to_parquet(\"FILE.parquet\")"),
    ("pickle", "a Python pickle", "with pandas: pandas.read_pickle(\"FILE\").to_parquet(\"FILE.parquet\")"),
    ("orc", "an ORC file", "with pandas: pandas.read_orc(\"FILE\").to_parquet(\"FILE.parquet\")"),
    ("avro", "an Avro file", "with polars: polars.read_avro(\"FILE\").write_parquet(\"FILE.parquet\")"),
    ("xml", "an XML file", "with pandas: pandas.read_xml(\"FILE\").to_parquet(\"FILE.parquet\")"),
    ("html", "a web page", "with pandas: pandas.read_html(\"FILE\")[0].to_parquet(\"FILE.parquet\")"),
    (
        "arff",
        "a Weka file",
        "with scipy: pandas.DataFrame(scipy.io.arff.loadarff(\"FILE\")[0]).to_parquet(\"FILE.parquet\")",
    ),
    ("duckdb", "a DuckDB database", "with duckdb: COPY NAME TO 'FILE.parquet'"),
];

/// Formats for an error message.
pub(crate) const KNOWN: &str = "a table (.csv, .tsv, .parquet, .feather, .arrow, .jsonl, .json, .xlsx, .xls, .ods, \
                                .sqlite, .db), arrays (.npz, .npy), a folder or pattern of such tables, a folder \
                                of images for each class (.png, .jpg, .webp, .bmp, .gif), or a folder of IDX files";

/// Finds `source`: `digits`, `-` for standard input, `postgres://...` for a database, a path, a pattern of files, or a name in the data folders (`data_dir`, else
/// `$BNGPU_DATA`; then the platform's). After `::` stands what is read of the file, such as a sheet.
///
/// # Errors
/// [`DataError::NotFound`] lists every place searched; for an unsupported format, the error names the file.
pub(crate) fn locate(source: &str, data_dir: Option<&Path>) -> Result<Located, DataError> {
    if source == "digits" {
        return Ok(Located::new(Format::Digits, Path::new(""), "digits".into()));
    }
    if source == "-" {
        return stdin();
    }
    if is_connection(source) {
        return rows(source);
    }
    let mut looked = Vec::new();
    let path = Path::new(source);
    if !source.is_empty() && exists(path, &mut looked)? {
        return describe(path);
    }
    if let Some((file, selection)) = source.split_once(SELECTS) {
        let located = locate(file, data_dir)?;
        if !matches!(located.format, Format::Excel | Format::Sqlite) {
            let what = format!("{selection:?} after {SELECTS} names a sheet or a table, but it has none");
            return Err(DataError::file(file, what, format!("leave {SELECTS} out")));
        }
        let selection = Some(selection.trim().to_owned()).filter(|selection| !selection.is_empty());
        return Ok(Located { selection, ..located });
    }
    if source.contains(['*', '?', '[']) {
        return matching(source);
    }
    let bare = !source.is_empty() && path.components().count() == 1 && path.file_name().is_some();
    if bare {
        for folder in folders(data_dir) {
            let all = std::iter::once(String::new()).chain(suffixes());
            for candidate in all.map(|suffix| folder.join(format!("{source}{suffix}"))) {
                if exists(&candidate, &mut Vec::new())? {
                    return describe(&candidate);
                }
            }
            looked.push(format!("{}[.csv|.parquet|…]", folder.join(source).display()));
        }
    }
    Err(DataError::NotFound { name: source.into(), looked })
}

/// What comes on standard input: a table as text, if its first bytes are not those of another format.
fn stdin() -> Result<Located, DataError> {
    let spooled = Spooled::stdin()?;
    let path = spooled.path();
    let format = describe(&path).map_or(Format::Csv, |located| located.format);
    let located = Located::new(format, &path, "stdin".into());
    Ok(Located { spooled: Some(Arc::new(spooled)), ..located })
}

/// Whether a source is the connection string of a PostgreSQL database.
fn is_connection(source: &str) -> bool {
    ["postgres://", "postgresql://"].iter().any(|scheme| source.starts_with(scheme))
}

/// A table of a database, or the rows of a query, after the connection string and `::`.
#[cfg(feature = "postgres")]
fn rows(source: &str) -> Result<Located, DataError> {
    let (url, selection) = match source.split_once(SELECTS) {
        Some((url, selection)) => (url, Some(selection.trim()).filter(|selection| !selection.is_empty())),
        None => (source, None),
    };
    let spooled = super::postgres::spool(url, selection)?;
    let located = Located::new(Format::Csv, &spooled.path(), "postgres".into());
    Ok(Located { spooled: Some(Arc::new(spooled)), ..located })
}

#[cfg(not(feature = "postgres"))]
fn rows(source: &str) -> Result<Located, DataError> {
    let url = source.split(SELECTS).next().unwrap_or(source);
    let remedy = "build bngpu with --features postgres, or: psql -c \"COPY NAME TO STDOUT CSV HEADER\" | bngpu ... --data -";
    let host = url.rsplit('@').next().unwrap_or(url);
    Err(DataError::file(host, "this build does not read PostgreSQL", remedy))
}

/// What may follow a name in the data folder.
fn suffixes() -> impl Iterator<Item = String> {
    let packed = [Format::Csv, Format::Json];
    let tables = EXTENSIONS.into_iter().filter(|(format, _)| *format != Format::Images);
    tables.flat_map(move |(format, extensions)| {
        let first = if packed.contains(&format) { PACKED.as_slice() } else { &[] };
        let packed = first.iter().map(move |packed| format!(".{}{packed}", extensions[0]));
        extensions.iter().map(|extension| format!(".{extension}")).chain(packed)
    })
}

fn folders(data_dir: Option<&Path>) -> Vec<PathBuf> {
    let given = data_dir.map(Path::to_path_buf).or_else(|| std::env::var_os("BNGPU_DATA").map(PathBuf::from));
    let platform = directories::ProjectDirs::from("", "", "bngpu").map(|dirs| dirs.data_dir().to_path_buf());
    given.into_iter().chain(platform).collect()
}

fn exists(path: &Path, looked: &mut Vec<String>) -> Result<bool, DataError> {
    looked.push(path.display().to_string());
    path.try_exists().map_err(|e| DataError::io(path, e))
}

/// A name without its known extensions, and the last of these in lower case.
fn split_name(file_name: &str) -> (&str, String) {
    let mut stem = file_name;
    let strip = |stem: &mut &str, suffix: &str| {
        let at = stem.len().checked_sub(suffix.len()).filter(|at| *at > 0 && stem.is_char_boundary(*at));
        let found = at.filter(|at| stem[*at..].eq_ignore_ascii_case(suffix));
        found.map(|at| *stem = &stem[..at]).is_some()
    };
    PACKED.iter().any(|packed| strip(&mut stem, packed));
    let extension = stem.rsplit_once('.').map_or("", |(_, extension)| extension).to_lowercase();
    if EXTENSIONS.iter().any(|(_, extensions)| extensions.contains(&extension.as_str())) {
        strip(&mut stem, &format!(".{extension}"));
    }
    (stem, extension)
}

fn describe(path: &Path) -> Result<Located, DataError> {
    let file_name =
        path.canonicalize().ok().and_then(|p| p.file_name().map(|n| n.to_string_lossy().into_owned()));
    let file_name = file_name.unwrap_or_else(|| path.display().to_string());
    if path.is_dir() {
        return describe_folder(path, file_name);
    }
    let (name, extension) = split_name(&file_name);
    let located = |format| Ok(Located::new(format, path, name.to_owned()));
    let file = path.display().to_string();
    let first = first_bytes(path, 16)?;
    let by_name = EXTENSIONS.iter().find(|(_, all)| all.contains(&extension.as_str()));
    // The first column of a text table may be called PAR1.
    let is_binary = first.iter().any(|byte| byte.is_ascii_control() && !byte.is_ascii_whitespace());
    let mut by_bytes = MAGICS.iter().filter(|(_, magic)| first.starts_with(magic));
    if let (true, Some((format, _))) = (is_binary || by_name.is_none(), by_bytes.next()) {
        return located(*format);
    }
    if let Some((format, _)) = by_name {
        return located(*format);
    }
    if idx::is_idx_name(&file_name) {
        return located(Format::IdxFile);
    }
    if let Some((_, what, how)) = FOREIGN.iter().find(|(foreign, ..)| *foreign == extension) {
        let what = format!("unsupported file format: {what}");
        return Err(DataError::file(&file, what, format!("convert it {}", how.replace("FILE", &file_name))));
    }
    if first.starts_with(b"PK\x03\x04") {
        let is_zip = file_name.to_lowercase().ends_with(".zip");
        return located(if is_zip { Format::Csv } else { Format::Npz });
    }
    Err(DataError::file(&file, "unsupported file format", format!("expected {KNOWN}; rename or convert it")))
}

/// A folder of IDX files, of the parts of a table, or of images.
fn describe_folder(folder: &Path, name: String) -> Result<Located, DataError> {
    let io = |e| DataError::io(folder, e);
    let mut entries = Vec::new();
    for entry in fs::read_dir(folder).map_err(io)? {
        let entry = entry.map_err(io)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // Other programs leave files such as _SUCCESS and .DS_Store.
        if !name.starts_with(['.', '_']) {
            entries.push((name, entry.path()));
        }
    }
    entries.sort();
    let format = |name: &str| {
        let (_, extension) = split_name(name);
        EXTENSIONS.iter().find(|(_, all)| all.contains(&extension.as_str())).map(|(format, _)| *format)
    };
    let is_image = |(name, path): &(String, PathBuf)| path.is_dir() || format(name) == Some(Format::Images);
    // A text file in a folder may be anything.
    let is_text = |name: &str| ["txt", "data"].contains(&split_name(name).1.as_str());
    let is_table =
        |entry: &&(String, PathBuf)| !is_image(entry) && !is_text(&entry.0) && format(&entry.0).is_some();
    let tables = entries.iter().filter(is_table).count();
    if entries.iter().any(|(name, _)| idx::is_idx_name(name)) {
        return Ok(Located::new(Format::IdxFolder, folder, name));
    }
    if tables == 0 {
        let format = if entries.iter().any(is_image) { Format::Images } else { Format::IdxFolder };
        return Ok(Located::new(format, folder, name));
    }
    if tables < entries.len() {
        let others: Vec<&str> =
            entries.iter().filter(|entry| !is_table(entry)).map(|(name, _)| name.as_str()).collect();
        let file = folder.display().to_string();
        let what = format!("holds tables and other things: {}", list(&others));
        let remedy = format!("give a file of it, or a pattern such as '{file}/*.csv'");
        return Err(DataError::file(&file, what, remedy));
    }
    parts(folder, name, entries.into_iter().map(|(_, path)| path))
}

/// The files that a pattern matches.
fn matching(pattern: &str) -> Result<Located, DataError> {
    let refused = |e: glob::PatternError| {
        DataError::file(pattern, format!("is no valid pattern ({e})"), "use * and ? for parts of names")
    };
    let mut paths = Vec::new();
    for path in glob::glob(pattern).map_err(refused)? {
        paths.push(path.map_err(|e| DataError::io(e.path(), e.error().kind().into()))?);
    }
    paths.sort();
    if paths.is_empty() {
        let remedy = "check the pattern: * stands for any part of a name, ** for any folders";
        return Err(DataError::file(pattern, "no file matches", remedy));
    }
    let name = Path::new(pattern).parent().and_then(Path::file_name).map(|name| name.to_string_lossy());
    let name = name.filter(|name| !name.contains(['*', '?', '['])).map_or("parts".into(), |name| name.into());
    parts(Path::new(pattern), name, paths.into_iter())
}

/// Files of one format as the parts of a table, or as images.
fn parts(path: &Path, name: String, files: impl Iterator<Item = PathBuf>) -> Result<Located, DataError> {
    let parts = files.map(|file| describe(&file)).collect::<Result<Vec<_>, _>>()?;
    if parts.iter().all(|part| part.format == Format::Images && !part.path.is_dir()) {
        return Ok(Located { parts, ..Located::new(Format::Images, path, name) });
    }
    let parts = match <[Located; 1]>::try_from(parts) {
        Ok([part]) => return Ok(part),
        Err(parts) => parts,
    };
    let tables = [Format::Csv, Format::Parquet, Format::Arrow, Format::Json];
    let format = parts.first().map(|part| part.format);
    for part in &parts {
        let file = part.path.display().to_string();
        if !tables.contains(&part.format) {
            let what = "cannot be a part of a table";
            let remedy = "parts are CSV, Parquet, Arrow or JSON Lines files; give this file alone";
            return Err(DataError::file(&file, what, remedy));
        }
        if Some(part.format) != format {
            let first = parts[0].path.display();
            let remedy = "give the files of one format by a pattern such as 'FOLDER/*.parquet'";
            return Err(DataError::file(&file, format!("is of another format than {first}"), remedy));
        }
    }
    Ok(Located { parts, ..Located::new(Format::Parts, path, name) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_names_in_the_data_folder_and_lists_where_it_looked() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("wine.csv"), "a,b\n1,2\n").unwrap();
        let found = locate("wine", Some(dir.path())).unwrap();
        assert_eq!((found.format, found.name.as_str()), (Format::Csv, "wine"));
        let error = locate("beer", Some(dir.path())).unwrap_err().to_string();
        assert!(error.contains("beer") && error.contains(&dir.path().display().to_string()), "{error}");
        assert!(error.contains("digits"), "{error}");
    }

    #[test]
    fn digits_is_embedded() {
        assert_eq!(locate("digits", None).unwrap().format, Format::Digits);
        assert_eq!(locate("digits", None).unwrap().source(), "digits");
    }

    #[test]
    fn a_format_is_known_by_its_first_bytes_else_by_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let format = |name: &str, bytes: &[u8]| {
            std::fs::write(dir.path().join(name), bytes).unwrap();
            let found = describe(&dir.path().join(name)).map(|found| (found.format, found.name));
            found.map_err(|e| e.to_string())
        };
        let is = |format: Format, name: &str| Ok((format, name.to_owned()));
        assert_eq!(format("a.csv", b"a,b"), is(Format::Csv, "a"));
        assert_eq!(format("A.CSV", b"a,b"), is(Format::Csv, "A"));
        assert_eq!(split_name("A.CSV.GZ"), ("A", "csv".into()));
        assert_eq!(format("b.csv", b"SQLite format 3\0..."), is(Format::Sqlite, "b"));
        assert_eq!(format("c", b"PAR1"), is(Format::Parquet, "c"));
        assert_eq!(format("c.csv", b"PAR1\x15\x04"), is(Format::Parquet, "c"));
        assert_eq!(format("d.csv", b"PAR1,PAR2\n1,2\n"), is(Format::Csv, "d"));
        assert_eq!(format("d.ndjson", b"{}"), is(Format::Json, "d"));
        assert_eq!(split_name("d.v1.ndjson.zst"), ("d.v1", "ndjson".into()));
        assert_eq!(format("e.v2.xlsx", b"PK\x03\x04"), is(Format::Excel, "e.v2"));
        assert_eq!(format("f.feather", b"FEA1"), is(Format::Arrow, "f"));
        let error = format("g.dta", b"x").unwrap_err();
        assert!(error.contains("Stata") && error.contains("read_stata(\"g.dta\")"), "{error}");
        let error = format("h.xyz", b"x").unwrap_err();
        assert!(error.contains("unsupported") && error.contains(".xlsx"), "{error}");
    }

    #[test]
    fn a_sheet_or_table_stands_after_two_colons() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.xlsx"), "PK").unwrap();
        std::fs::write(dir.path().join("a.csv"), "a,b").unwrap();
        let file = dir.path().join("a.xlsx").display().to_string();
        let found = locate(&format!("{file}::Sheet 2"), None).unwrap();
        assert_eq!((found.format, found.selection.as_deref()), (Format::Excel, Some("Sheet 2")));
        assert_eq!(found.source(), format!("{file}::Sheet 2"));
        let error = locate(&format!("{}::x", dir.path().join("a.csv").display()), None).unwrap_err();
        assert!(error.to_string().contains("leave :: out"), "{error}");
    }

    #[test]
    fn folders_and_patterns_of_tables_are_parts() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.csv", "a.csv", "_SUCCESS", ".hidden"] {
            std::fs::write(dir.path().join(name), "a,b\n1,2\n").unwrap();
        }
        let names = |found: &Located| -> Vec<String> { found.parts.iter().map(|p| p.name.clone()).collect() };
        let folder = locate(&dir.path().display().to_string(), None).unwrap();
        assert_eq!((folder.format, names(&folder)), (Format::Parts, vec!["a".into(), "b".into()]));
        let pattern = dir.path().join("*.csv").display().to_string();
        let matched = locate(&pattern, None).unwrap();
        assert_eq!((matched.format, names(&matched)), (Format::Parts, vec!["a".into(), "b".into()]));
        assert_eq!(matched.source(), pattern);
        let one = locate(&dir.path().join("a*").display().to_string(), None).unwrap();
        assert_eq!((one.format, one.name.as_str()), (Format::Csv, "a"));
        let none = locate(&dir.path().join("c*").display().to_string(), None).unwrap_err();
        assert!(none.to_string().contains("no file matches"), "{none}");
        std::fs::write(dir.path().join("c.jsonl"), "{}").unwrap();
        let mixed = locate(&dir.path().display().to_string(), None).unwrap_err();
        assert!(mixed.to_string().contains("c.jsonl: is of another format"), "{mixed}");
        std::fs::write(dir.path().join("notes.md"), "hello").unwrap();
        let other = locate(&dir.path().display().to_string(), None).unwrap_err();
        assert!(other.to_string().contains("\"notes.md\""), "{other}");
    }
}
