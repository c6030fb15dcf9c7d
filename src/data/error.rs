//! Errors in data: each message names the place, what was expected, and what to do.

use std::io;
use std::path::Path;

use thiserror::Error;

use super::locate::KNOWN;
pub(crate) use crate::base::text::shorten;
use crate::base::text::{SHOWN, count, listed};

/// Why data could not be loaded, in the user's terms.
#[derive(Debug, Error)]
pub enum DataError {
    /// Neither a file, a folder, nor a name in a data folder.
    #[error(
        "no data set {name:?}: looked at {}; give {KNOWN}, the name of a data set in the data folder \
         ($BNGPU_DATA), or `digits`", looked.join(", ")
    )]
    NotFound { name: String, looked: Vec<String> },
    /// An error of the operating system.
    #[error("{path}: {source}; {remedy}")]
    Io { path: String, source: io::Error, remedy: &'static str },
    /// An invalid file or folder.
    #[error("{file}: {what}; {remedy}")]
    File { file: String, what: String, remedy: String },
    /// An invalid row.
    #[error("{file}, {place}: {what}; {remedy}")]
    Row { file: String, place: String, what: String, remedy: String },
    /// An invalid column.
    #[error("{file}, column {:?}: {what}; {remedy}", shorten(column))]
    Column { file: String, column: String, what: String, remedy: String },
    /// An invalid cell.
    #[error("{file}, {place}, column {:?}: {what}; {remedy}", shorten(column))]
    Cell { file: String, place: String, column: String, what: String, remedy: String },
    /// A setting that does not fit the data.
    #[error("{setting}: {what}; {remedy}")]
    Setting { setting: String, what: String, remedy: String },
}

impl DataError {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        use io::ErrorKind::*;
        let remedy = match source.kind() {
            PermissionDenied => "make it readable for this user",
            NotFound => "check the path",
            IsADirectory => "give a file, or a folder of tables or images",
            _ => "check the file and its disk",
        };
        DataError::Io { path: path.display().to_string(), source, remedy }
    }

    pub(crate) fn file(file: &str, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        DataError::File { file: file.into(), what: what.into(), remedy: remedy.into() }
    }

    pub(crate) fn row(file: &str, place: String, what: impl Into<String>, remedy: impl Into<String>) -> Self {
        DataError::Row { file: file.into(), place, what: what.into(), remedy: remedy.into() }
    }

    pub(crate) fn column(
        file: &str,
        column: &str,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        DataError::Column {
            file: file.into(),
            column: column.into(),
            what: what.into(),
            remedy: remedy.into(),
        }
    }

    pub(crate) fn cell(
        file: &str,
        place: String,
        column: &str,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        let (what, remedy) = (what.into(), remedy.into());
        DataError::Cell { file: file.into(), place, column: column.into(), what, remedy }
    }

    pub(crate) fn setting(
        setting: impl Into<String>,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        DataError::Setting { setting: setting.into(), what: what.into(), remedy: remedy.into() }
    }
}

/// The first few of `names`, quoted, and how many more there are.
pub(crate) fn list<S: AsRef<str>>(names: &[S]) -> String {
    let shown: Vec<String> = names.iter().take(SHOWN).map(|n| format!("{:?}", shorten(n.as_ref()))).collect();
    match names.len().saturating_sub(SHOWN) {
        0 => listed(&shown),
        more => format!("{} and {} more", listed(&shown), count(more as u64)),
    }
}

/// The name in `names` that is nearest to the misspelt `wanted`, if any is near (Levenshtein distance, ignoring
/// case, of at most a third of its letters).
pub(crate) fn nearest<'a, S: AsRef<str>>(wanted: &str, names: &'a [S]) -> Option<&'a str> {
    let wanted: Vec<char> = wanted.to_lowercase().chars().take(100).collect();
    let near = |name: &str| {
        let name: Vec<char> = name.to_lowercase().chars().take(100).collect();
        let mut above: Vec<usize> = (0..=name.len()).collect();
        for (i, a) in wanted.iter().enumerate() {
            let mut row = vec![i + 1];
            for (j, b) in name.iter().enumerate() {
                row.push((above[j] + usize::from(a != b)).min(above[j + 1] + 1).min(row[j] + 1));
            }
            above = row;
        }
        above[name.len()]
    };
    names
        .iter()
        .map(|n| (near(n.as_ref()), n.as_ref()))
        .min()
        .filter(|(distance, _)| *distance <= wanted.len().div_ceil(3))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_finds_only_misspellings() {
        let names = ["age", "salary", "Country"];
        assert_eq!(nearest("salery", &names), Some("salary"));
        assert_eq!(nearest("country", &names), Some("Country"));
        assert_eq!(nearest("weight", &names), None);
        assert_eq!(nearest("x", &[] as &[&str]), None);
    }

    #[test]
    fn long_lists_and_cells_are_cut() {
        let names: Vec<String> = (0..30).map(|i| i.to_string()).collect();
        assert!(list(&names).ends_with("and 10 more"));
        assert_eq!(shorten(&"ä".repeat(80)).chars().count(), 61);
    }
}
