//! A table in several files, which have the same columns.
//!
//! Files whose names begin with train, val or test are the parts of a split.

use std::collections::BTreeSet;

use super::DataError;
use super::error::list;
use super::join::{Joining, kind};
use super::locate::{Format, Located};
use super::raw::{Raw, RawFeatures, digest};
use super::table::{Column, ReadOptions, Table};
use crate::base::text::count;

/// Names of the parts of a split.
const SPLITS: [&[&str]; 3] = [&["train", "training"], &["val", "valid", "validation"], &["test"]];

/// The part of a split that a file's name tells: `test.csv`, `train-00000-of-00002.parquet`.
pub(super) fn split_of(name: &str) -> Option<usize> {
    let name = name.to_lowercase();
    let word = name.split(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or_default();
    SPLITS.iter().position(|names| names.contains(&word))
}

/// Reads the files by `read` and joins them.
pub(super) fn read(
    located: &Located,
    options: &ReadOptions,
    read: impl Fn(&Located, &ReadOptions) -> Result<Raw, DataError>,
) -> Result<Raw, DataError> {
    let file = located.path.display().to_string();
    let mut parts: Vec<(Option<usize>, &Located)> =
        located.parts.iter().map(|part| (split_of(&part.name), part)).collect();
    let is_split = parts.iter().any(|(split, _)| split.is_some_and(|split| split > 0))
        && parts.iter().any(|(split, _)| *split == Some(0));
    if let (true, Some((_, part))) = (is_split, parts.iter().find(|(split, _)| split.is_none())) {
        let what = format!("is neither train, val nor test, as others of {file} are");
        let remedy = "rename it, or give one file";
        return Err(DataError::file(&part.path.display().to_string(), what, remedy));
    }
    if is_split {
        parts.sort_by_key(|(split, _)| *split);
    }

    let mut options = *options;
    let (mut whole, mut given) = (None::<Whole>, [0; 3]);
    let (mut content, mut notes) = (Vec::new(), Vec::new());
    for (split, part) in parts {
        let raw = read(part, &options)?;
        content.push(raw.content);
        notes.extend(raw.notes);
        if let Some(split) = split.filter(|_| is_split) {
            given[split] += raw.rows;
        }
        let RawFeatures::Table(table) = raw.features else {
            return Err(DataError::file(&raw.file, "is not a table", "give it alone"));
        };
        match &mut whole {
            None => {
                // One header, one way to read it.
                options.header = Some(table.named).filter(|_| part.format == Format::Csv);
                whole = Some(Whole::new(table));
            }
            Some(whole) => whole.push(table, part.format)?,
        }
    }
    let Some(whole) = whole else {
        return Err(DataError::file(&file, "has no files", "expected parts of a table"));
    };
    let content = digest(&content.iter().map(|hash| &hash[..]).collect::<Vec<_>>());
    let given = is_split.then_some(given);
    Ok(Raw { given, notes, ..Raw::from_table(whole.finish(file), content) })
}

/// The table so far.
struct Whole {
    first: Table,
    columns: Vec<Joining>,
    /// What each column holds so far, and the file that said so.
    kinds: Vec<Option<(&'static str, String)>>,
}

impl Whole {
    fn new(mut first: Table) -> Whole {
        let columns = std::mem::take(&mut first.columns);
        let mut whole = Whole { kinds: vec![None; columns.len()], columns: Vec::new(), first };
        whole.columns.resize_with(columns.len(), Joining::default);
        let file = whole.first.file.clone();
        for (i, column) in columns.into_iter().enumerate() {
            whole.kinds[i] = kind(&column).map(|kind| (kind, file.clone()));
            whole.columns[i].push(column);
        }
        whole
    }

    fn push(&mut self, table: Table, format: Format) -> Result<(), DataError> {
        if table.dialect.may_have_commas != self.first.dialect.may_have_commas {
            // 1,234 and 1.234 would be read by the habits of another file.
            let how =
                |table: &Table| if table.dialect.may_have_commas { "semicolons" } else { "no semicolons" };
            let (has, first, other) = (how(&table), &self.first.file, how(&self.first));
            let what = format!("has {has} between its cells, but {first} has {other}");
            return Err(DataError::file(&table.file, what, "write the parts in one way"));
        }
        let order = self.order(&table)?;
        let mut columns: Vec<Option<Column>> = table.columns.into_iter().map(Some).collect();
        for (i, at) in order.into_iter().enumerate() {
            let Some(column) = columns.get_mut(at).and_then(Option::take) else { continue };
            // In text, what a part holds depends on its rows; elsewhere the file says it.
            let has_types = matches!(format, Format::Parquet | Format::Arrow);
            match (kind(&column), &self.kinds[i]) {
                (Some(found), Some((before, file))) if has_types && found != *before => {
                    let what = format!("holds {found}, but {before} in {file}");
                    let remedy = "write the parts with the same types";
                    return Err(DataError::column(&table.file, &self.first.names[i], what, remedy));
                }
                (Some(found), None) => self.kinds[i] = Some((found, table.file.clone())),
                _ => {}
            }
            self.columns[i].push(column);
        }
        self.first.rows += table.rows;
        Ok(())
    }

    /// Where each column is in another part.
    fn order(&self, table: &Table) -> Result<Vec<usize>, DataError> {
        let (names, first) = (&self.first.names, &self.first.file);
        if table.names == *names {
            return Ok((0..names.len()).collect());
        }
        let lacking: Vec<&String> = names.iter().filter(|name| !table.names.contains(name)).collect();
        let further: Vec<&String> = table.names.iter().filter(|name| !names.contains(name)).collect();
        let what = match (lacking.as_slice(), further.as_slice()) {
            ([], []) if table.names.len() == names.len() => {
                let place = |name| table.names.iter().position(|other| other == name).unwrap_or_default();
                let places: Vec<usize> = names.iter().map(place).collect();
                if places.iter().collect::<BTreeSet<_>>().len() == names.len() {
                    return Ok(places);
                }
                format!("has columns of the same name, in another order than {first}")
            }
            ([], []) => {
                let (has, expected) = (count(table.names.len() as u64), count(names.len() as u64));
                format!("has {has} columns, but {first} has {expected}")
            }
            ([], further) => format!("has columns that {first} lacks: {}", list(further)),
            (lacking, _) => format!("lacks columns of {first}: {}", list(lacking)),
        };
        Err(DataError::file(&table.file, what, "give files of the same columns"))
    }

    fn finish(self, file: String) -> Table {
        let columns = self.columns.into_iter().map(Joining::finish).collect();
        Table { file, columns, lines: None, ..self.first }
    }
}
