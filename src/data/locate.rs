//! Finds the file, folder or embedded data set that a user names.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::file::Spooled;
use super::{DataError, file};

/// Format of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// The embedded data set.
    Digits,
    /// A folder of IDX files.
    IdxFolder,
    /// One IDX file: images without labels.
    IdxFile,
    /// Comma, semicolon or tab separated text.
    Csv,
    Npz,
    Npy,
    Parquet,
    /// Arrow's file and stream formats; Feather version 2 is the first.
    Arrow,
}

/// A source that was found.
#[derive(Clone, Debug)]
pub(crate) struct Located {
    pub format: Format,
    /// Empty for the embedded data set.
    pub path: PathBuf,
    /// Short name, for the run's folder.
    pub name: String,
    /// The file of what came on standard input, which lives as long as this.
    pub spooled: Option<Arc<Spooled>>,
}

impl Located {
    /// The absolute path of this source, or `digits`, or `-`.
    pub fn source(&self) -> String {
        if self.spooled.is_some() {
            return "-".into();
        }
        if self.format == Format::Digits {
            return "digits".into();
        }
        std::path::absolute(&self.path).unwrap_or_else(|_| self.path.clone()).display().to_string()
    }
}

const EXTENSIONS: [&str; 8] = [".csv", ".csv.gz", ".npz", ".npy", ".parquet", ".tsv", ".feather", ".arrow"];

/// Finds `source`: `digits`, `-` for standard input, a path, or a name in the data folders (`data_dir`, else `$BNGPU_DATA`; then the
/// platform's).
///
/// # Errors
/// [`DataError::NotFound`] lists every place searched; for an unsupported format, the error names the file.
pub(crate) fn locate(source: &str, data_dir: Option<&Path>) -> Result<Located, DataError> {
    if source == "digits" {
        return Ok(Located {
            format: Format::Digits,
            path: PathBuf::new(),
            name: "digits".into(),
            spooled: None,
        });
    }
    if source == "-" {
        return stdin();
    }
    let mut looked = Vec::new();
    let path = Path::new(source);
    if !source.is_empty() && exists(path, &mut looked)? {
        return describe(path);
    }
    let bare = !source.is_empty() && path.components().count() == 1 && path.file_name().is_some();
    if bare {
        for folder in folders(data_dir) {
            let suffixes = std::iter::once("").chain(EXTENSIONS);
            for candidate in suffixes.map(|suffix| folder.join(format!("{source}{suffix}"))) {
                if exists(&candidate, &mut Vec::new())? {
                    return describe(&candidate);
                }
            }
            looked.push(folder.join(format!("{source}[{}]", EXTENSIONS.join("|"))).display().to_string());
        }
    }
    Err(DataError::NotFound { name: source.into(), looked })
}

/// What comes on standard input: a table as text, if its first bytes are not those of another format.
fn stdin() -> Result<Located, DataError> {
    let spooled = Spooled::stdin()?;
    let path = spooled.path();
    let format = describe(&path).map_or(Format::Csv, |located| located.format);
    Ok(Located { format, path, name: "stdin".into(), spooled: Some(Arc::new(spooled)) })
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

fn describe(path: &Path) -> Result<Located, DataError> {
    let file_name =
        path.canonicalize().ok().and_then(|p| p.file_name().map(|n| n.to_string_lossy().into_owned()));
    let file_name = file_name.unwrap_or_else(|| path.display().to_string());
    let lower = file_name.to_lowercase();
    let stem = EXTENSIONS.iter().filter_map(|e| lower.strip_suffix(e)).map(str::len).min();
    let name =
        file_name[..stem.filter(|n| file_name.is_char_boundary(*n)).unwrap_or(file_name.len())].to_owned();
    let located =
        |format| Ok(Located { format, path: path.to_path_buf(), name: name.clone(), spooled: None });
    if path.is_dir() {
        return located(Format::IdxFolder);
    }
    let plain = lower.strip_suffix(".gz").unwrap_or(&lower);
    match plain.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "csv" | "tsv" | "txt" | "data" => located(Format::Csv),
        "npz" => located(Format::Npz),
        "npy" => located(Format::Npy),
        "parquet" | "pq" => located(Format::Parquet),
        "feather" | "arrow" | "ipc" | "arrows" => located(Format::Arrow),
        _ if super::idx::is_idx_name(&lower) => located(Format::IdxFile),
        _ => match file::first_bytes(path, 16)?.as_slice() {
            [b'P', b'A', b'R', b'1', ..] => located(Format::Parquet),
            [b'A', b'R', b'R', b'O', b'W', b'1', ..] => located(Format::Arrow),
            [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => located(Format::Npy),
            [b'P', b'K', 3, 4, ..] => located(Format::Npz),
            _ => Err(DataError::file(
                &path.display().to_string(),
                "unsupported file format",
                format!("expected one of {} or a folder of IDX files; rename it", EXTENSIONS.join(" ")),
            )),
        },
    }
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
}
