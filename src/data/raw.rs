//! The common result of all formats: features as stored, a target, and the source's own parts.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::DataError;
use super::array::{Array, Values};
use super::columns::{self, Named, Role};
use super::table::{Column, Table};
use crate::base::text::count;
use crate::spec::AskedType;

/// A source as read, rows ordered train | val | test if it has such parts.
#[derive(Clone, Debug)]
pub(crate) struct Raw {
    /// For messages.
    pub file: String,
    pub features: RawFeatures,
    pub rows: usize,
    pub target: Option<TargetColumn>,
    /// Whether the target is a column of the table, because the format does not mark it.
    pub holds_target: bool,
    /// Rows of the source's own train, val and test parts.
    pub given: Option<[usize; 3]>,
    /// SHA-256 of the content.
    pub content: [u8; 32],
    pub notes: Vec<String>,
    /// Columns that are carried into the predictions, as texts.
    pub kept: Vec<(String, Column)>,
    /// Line of each row in a text file, kept when the target is moved out of the table.
    pub lines: Option<Vec<u64>>,
}

#[derive(Clone, Debug)]
pub(crate) enum RawFeatures {
    /// `[rows, n_features]`, row-major; `full_scale` is the largest possible pixel value.
    Bytes {
        data: Vec<u8>,
        n_features: usize,
        full_scale: u8,
        /// Of images in files.
        shape: Option<ImageShape>,
    },
    Table(Table),
}

/// Shape of images as inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ImageShape {
    pub width: u32,
    pub height: u32,
    /// 1 is grey, 3 red, green and blue.
    pub channels: u8,
}

impl ImageShape {
    /// Bytes of an image.
    pub fn len(&self) -> usize {
        (self.width as usize).saturating_mul(self.height as usize).saturating_mul(self.channels.into())
    }
}

impl std::fmt::Display for ImageShape {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        let kind = if self.channels == 1 { "grey" } else { "colour" };
        write!(f, "{}x{} pixels, {kind}", self.width, self.height)
    }
}

/// The target column.
#[derive(Clone, Debug)]
pub(crate) struct TargetColumn {
    pub name: String,
    /// Position among all columns of the source.
    pub index: usize,
    pub column: Column,
}

impl Raw {
    /// From a table that still includes its target.
    pub fn from_table(table: Table, content: [u8; 32]) -> Raw {
        Raw {
            file: table.file.clone(),
            rows: table.rows,
            lines: table.lines.clone(),
            features: RawFeatures::Table(table),
            target: None,
            holds_target: true,
            given: None,
            content,
            notes: Vec::new(),
            kept: Vec::new(),
        }
    }

    /// Bytes for u8 images `[N, …]`, a table of numbers otherwise; `y` `[N]` is the target.
    pub fn from_arrays(
        file: &str,
        x: Array,
        y: Option<(String, Array)>,
        given: Option<[usize; 3]>,
        content: [u8; 32],
    ) -> Result<Raw, DataError> {
        let rows = x.shape.first().copied().unwrap_or(0);
        if x.shape.len() < 2 || x.shape.contains(&0) {
            return Err(DataError::file(
                file,
                format!("its inputs have shape {:?}", x.shape),
                "expected [rows, features] or [rows, height, width], none of them 0",
            ));
        }
        let n_features: usize = x.shape.iter().skip(1).product();
        let features = match x.values {
            Values::Bytes(data) => RawFeatures::Bytes { data, n_features, full_scale: 255, shape: None },
            Values::Numbers(values) => {
                if let Some(i) = values.iter().position(|v| v.is_infinite()) {
                    return Err(DataError::cell(
                        file,
                        format!("row {}", i / n_features),
                        &(i % n_features).to_string(),
                        "an infinite number",
                        "expected finite numbers; NaN marks a missing value",
                    ));
                }
                RawFeatures::Table(Table::from_matrix(file, &values, n_features))
            }
            Values::Texts(_) => {
                return Err(DataError::file(
                    file,
                    "its inputs are text",
                    "expected numbers; write a table with text columns as CSV or Parquet",
                ));
            }
        };
        let target = y
            .map(|(name, y)| {
                if y.shape != [rows] {
                    return Err(DataError::column(
                        file,
                        &name,
                        format!("labels of shape {:?} for {rows} rows of inputs", y.shape),
                        "expected one label per row: [rows]",
                    ));
                }
                let column = y.values.into_column();
                Ok(TargetColumn { name, index: n_features, column })
            })
            .transpose()?;
        Ok(Raw {
            file: file.into(),
            features,
            rows,
            target,
            holds_target: false,
            given,
            content,
            notes: Vec::new(),
            kept: Vec::new(),
            lines: None,
        })
    }

    /// "line 17" of a text file, "row 16" (from 0) elsewhere.
    pub fn place(&self, row: usize) -> String {
        match self.lines.as_ref().and_then(|lines| lines.get(row)) {
            Some(line) => format!("line {line}"),
            None => format!("row {row}"),
        }
    }

    /// Moves all columns out of the table; images have none.
    pub fn take_columns(&mut self) -> Vec<Column> {
        match &mut self.features {
            RawFeatures::Table(table) => std::mem::take(&mut table.columns),
            RawFeatures::Bytes { .. } => Vec::new(),
        }
    }

    /// Moves column `index` out of the table and makes it the target.
    pub fn take_target(&mut self, index: usize) {
        if let RawFeatures::Table(table) = &mut self.features {
            let (name, column) = (table.names.remove(index), table.columns.remove(index));
            self.target = Some(TargetColumn { name, index, column });
        }
    }

    /// Moves the column of `--target` out of the table: a name, or a position from 0; by default the last column that
    /// is not left out and does not number the rows. Its place in `named` goes with it; returns what it is asked to be.
    pub fn choose_target(
        &mut self,
        wanted: Option<&str>,
        named: &mut Named,
    ) -> Result<Option<AskedType>, DataError> {
        if let (Some(TargetColumn { name, .. }), Some(wanted)) = (&self.target, wanted)
            && !name.eq_ignore_ascii_case(wanted)
        {
            let what = format!("no such target; the source has its own labels, {name:?}");
            return Err(DataError::column(&self.file, wanted, what, "leave --target out"));
        }
        let RawFeatures::Table(table) = &self.features else { return Ok(None) };
        if self.target.is_some() || !self.holds_target {
            return Ok(None);
        }
        let index = match wanted {
            Some(wanted) => columns::find(table, "--target", wanted)?,
            None => columns::default_target(table, &named.roles).ok_or_else(|| {
                DataError::file(
                    &self.file,
                    "has no column that can be the target",
                    "expected inputs and a target column",
                )
            })?,
        };
        if named.roles[index] != Role::Input {
            let what = "it is the target, but --drop or --keep names it";
            return Err(DataError::column(
                &self.file,
                &table.names[index],
                what,
                "choose another with --target",
            ));
        }
        let column = &table.columns[index];
        let missing = column.n_missing();
        if wanted.is_none() && 2 * missing > column.len() {
            let what = format!(
                "the last column is the target unless --target names another, but {} of its {} cells are empty",
                count(missing as u64),
                count(column.len() as u64)
            );
            let remedy = "say which column is to be predicted: --target NAME";
            return Err(DataError::column(&self.file, &table.names[index], what, remedy));
        }
        named.roles.remove(index);
        let asked = named.asked.remove(index);
        self.take_target(index);
        Ok(asked)
    }
}

/// SHA-256 over the parts, each preceded by its length.
pub(crate) fn digest(parts: &[&[u8]]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hasher.finalize().into()
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}
