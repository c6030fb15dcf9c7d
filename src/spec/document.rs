//! A TOML file with the places of its keys, so that every error names its line.

use std::fs;
use std::path::Path;

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, Deserializer, Error};

use super::config_error::ConfigError;

/// The text of a configuration file.
///
/// # Errors
/// [`ConfigError::Read`].
pub(super) fn read_file(path: &Path) -> Result<String, ConfigError> {
    fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_path_buf(), source })
}

/// A file that is TOML.
pub(super) struct Document<'a> {
    text: &'a str,
    path: &'a Path,
    root: Spanned<DeTable<'a>>,
}

impl<'a> Document<'a> {
    /// # Errors
    /// [`ConfigError::Syntax`].
    pub fn parse(text: &'a str, path: &'a Path) -> Result<Self, ConfigError> {
        let root = DeTable::parse(text).map_err(|e| ConfigError::Syntax {
            path: path.to_path_buf(),
            line: line(text, start(&e)),
            problem: e.message().into(),
        })?;
        Ok(Document { text, path, root })
    }

    /// The keys at the top level.
    pub fn root(&self) -> &DeTable<'a> {
        self.root.get_ref()
    }

    /// Checks that every key is known; `otherwise` is the advice if no known key is near.
    ///
    /// # Errors
    /// [`ConfigError::UnknownKey`].
    pub fn check_keys(
        &self,
        table: &DeTable<'_>,
        known: &[String],
        otherwise: &'static str,
    ) -> Result<(), ConfigError> {
        match table.keys().find(|key| !known.iter().any(|known| known == key.get_ref())) {
            None => Ok(()),
            Some(key) => {
                let (line, key) = (line(self.text, key.span().start), key.get_ref().to_string());
                let (path, nearest) = (self.path.to_path_buf(), nearest(&key, known));
                Err(ConfigError::UnknownKey { path, line, nearest, key, otherwise })
            }
        }
    }

    /// The values of a part of the file.
    ///
    /// # Errors
    /// [`ConfigError::WrongType`].
    pub fn read<T: DeserializeOwned>(&self, table: DeTable<'a>) -> Result<T, ConfigError> {
        let spanned = Spanned::new(self.root.span(), table.clone());
        T::deserialize(Deserializer::from(spanned)).map_err(|e| {
            let at = start(&e);
            let key = table.iter().find(|(_, value)| value.span().contains(&at));
            let key = key.map_or("?".into(), |(key, _)| key.get_ref().to_string());
            let path = self.path.to_path_buf();
            ConfigError::WrongType { path, line: line(self.text, at), key, problem: e.message().into() }
        })
    }
}

/// Line, from 1, of a byte of the text.
fn line(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|&byte| byte == b'\n').count()
}

fn start(error: &Error) -> usize {
    error.span().map_or(0, |span| span.start)
}

/// The known key nearest to `key` in edits, if they are few for its length.
pub(super) fn nearest(key: &str, known: &[String]) -> Option<String> {
    let key = key.to_lowercase().replace('_', "-");
    let known = known.iter().map(|known| (edits(&key, known), known));
    let (edits, known) = known.min()?;
    (edits <= 1 + key.chars().count() / 3).then(|| known.clone())
}

/// Levenshtein's distance: insertions, deletions and substitutions that turn `a` into `b`.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, &to) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
