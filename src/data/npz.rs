//! `.npz` archives of named arrays.
//!
//! Reads the arrays `x_train, y_train, x_test, y_test[, x_val, y_val]` of an archive, or one pair of `x` and `y`,
//! by their usual names (see [`INPUTS`] and [`LABELS`]; case does not matter).

use std::fs::File;
use std::io::{BufReader, Cursor, Read, Seek};
use std::path::Path;

use zip::ZipArchive;
use zip::result::ZipError;

use super::DataError;
use super::array::{Array, Values, read_npy};
use super::error::list;
use super::file::Source;
use super::raw::Raw;

const INPUTS: [&str; 6] = ["x", "data", "images", "image", "features", "inputs"];
const LABELS: [&str; 6] = ["y", "target", "targets", "labels", "label", "classes"];
const PARTS: [&[&str]; 3] = [&["train"], &["val", "valid", "validation"], &["test"]];

/// An `.npz`; `target` names the array of labels. For prediction, labels may be missing (then there is no target).
pub(crate) fn read(path: &Path, target: Option<&str>) -> Result<Raw, DataError> {
    let source = Source::open(path)?;
    let name = source.name.clone();
    let no_archive = |e: ZipError| {
        DataError::file(&name, format!("is not an .npz archive ({e})"), "write it with numpy.savez")
    };
    let (file, packed): (Box<dyn Archive>, u64) = match source.length.filter(|_| !source.is_packed()) {
        Some(length) => {
            let file = File::open(path).map_err(|e| DataError::io(path, e))?;
            (Box::new(BufReader::new(file)), length)
        }
        None => {
            let bytes = source.read()?;
            let length = bytes.len() as u64;
            (Box::new(Cursor::new(bytes)), length)
        }
    };
    let mut archive = ZipArchive::new(file).map_err(no_archive)?;
    let mut arrays = Vec::new();
    for entry in archive.file_names() {
        arrays.extend(entry.map_err(no_archive)?.strip_suffix(".npy").map(str::to_owned));
    }
    let chosen = choose(&name, &arrays, target)?;
    let (mut x, mut y): (Option<Array>, Option<(String, Array)>) = (None, None);
    let mut counts = [0; 3];
    for (part, inputs, labels) in &chosen {
        let inputs_array = read_array(&name, &mut archive, inputs, packed)?;
        counts[*part] = inputs_array.shape.first().copied().unwrap_or(0);
        if let Some(labels) = labels {
            let array = flat(read_array(&name, &mut archive, labels, packed)?);
            if array.shape.first() != Some(&counts[*part]) || array.shape.len() != 1 {
                let what =
                    format!("labels of shape {:?}, but {inputs:?} has {} rows", array.shape, counts[*part]);
                let remedy = "expected one label per row; turn one-hot labels into numbers with argmax";
                return Err(DataError::column(&name, labels, what, remedy));
            }
            match &mut y {
                None => y = Some((labels.clone(), array)),
                Some((_, all)) => append(&name, labels, all, array)?,
            }
        }
        match &mut x {
            None => x = Some(inputs_array),
            Some(all) => {
                let inputs_array =
                    Array { values: like(&name, inputs, &all.values, inputs_array.values)?, ..inputs_array };
                append(&name, inputs, all, inputs_array)?;
            }
        }
    }
    let x = x.ok_or_else(|| no_inputs(&name, &arrays))?;
    let given = (chosen.len() > 1).then_some(counts);
    Raw::from_arrays(&name, x, y, given, source.digest()?)
}

/// A file, or its unpacked content.
trait Archive: Read + Seek {}

impl<T: Read + Seek> Archive for T {}

/// (part, inputs, labels) of the arrays to read, in the order train, val, test.
type Chosen = Vec<(usize, String, Option<String>)>;

fn choose(file: &str, arrays: &[String], target: Option<&str>) -> Result<Chosen, DataError> {
    let find = |wanted: &str| arrays.iter().find(|a| a.eq_ignore_ascii_case(wanted)).cloned();
    let of_part = |names: &[&str], part: &str| {
        names.iter().find_map(|n| find(&format!("{n}_{part}")).or_else(|| find(&format!("{part}_{n}"))))
    };
    let mut chosen = Chosen::new();
    for (part, part_names) in PARTS.iter().enumerate() {
        for name in *part_names {
            if let (Some(x), None) = (of_part(&INPUTS, name), chosen.iter().find(|c| c.0 == part)) {
                chosen.push((part, x, of_part(&LABELS, name)));
            }
        }
    }
    if chosen.iter().any(|c| c.0 == 0) {
        let some_labels = chosen.iter().any(|c| c.2.is_some());
        if let Some((_, x, _)) = chosen.iter().find(|c| some_labels && c.2.is_none()) {
            let what = format!("has {x:?} but no labels for it; its arrays are {}", list(arrays));
            return Err(DataError::file(file, what, "add them, or remove the inputs"));
        }
        return Ok(chosen);
    }
    let labels = match target {
        Some(name) => Some(find(name).ok_or_else(|| {
            DataError::column(
                file,
                name,
                format!("no such array of labels; there are {}", list(arrays)),
                "set --target to one of these names",
            )
        })?),
        None => LABELS.iter().find_map(|n| find(n)),
    };
    let inputs = INPUTS.iter().find_map(|n| find(n)).ok_or_else(|| no_inputs(file, arrays))?;
    Ok(vec![(0, inputs, labels)])
}

fn no_inputs(file: &str, arrays: &[String]) -> DataError {
    DataError::file(
        file,
        format!("has no array of inputs; its arrays are {}", list(arrays)),
        "name them x and y, or x_train, y_train, x_test and y_test",
    )
}

/// Reads one array, at most as large as deflate can unpack from the archive's `packed` bytes.
fn read_array(
    file: &str,
    archive: &mut ZipArchive<Box<dyn Archive>>,
    name: &str,
    packed: u64,
) -> Result<Array, DataError> {
    let place = format!("{file}, array {name:?}");
    let bad = |e: String| DataError::file(&place, e, "write it with numpy.savez or savez_compressed");
    let mut entry =
        archive.by_name(&format!("{name}.npy")).map_err(|e| bad(format!("cannot be unpacked ({e})")))?;
    let size = entry.size();
    if size > packed.saturating_mul(1040).saturating_add(4096) {
        return Err(bad(format!("claims {size} bytes, more than the archive can hold: it is damaged")));
    }
    let failed = |e| bad(format!("cannot be unpacked ({e}): the archive is damaged"));
    read_npy(&place, &mut entry, Some(size), &failed)
}

/// Turns `[N, 1]` into `[N]`.
fn flat(mut array: Array) -> Array {
    while array.shape.len() > 1 && array.shape.last() == Some(&1) {
        array.shape.pop();
    }
    array
}

/// The values of a further part as those of the parts before it: bytes for bytes.
///
/// # Errors
/// Pixels from 0 to 255 in one part and from 0 to 1 in the other, and bytes in one part only where the other's numbers are
/// none.
fn like(file: &str, name: &str, before: &Values, more: Values) -> Result<Values, DataError> {
    let refuse = |what: &str| {
        Err(DataError::column(
            file,
            name,
            format!("{what}, unlike the part before it"),
            "write all parts with one type",
        ))
    };
    let whole = |v: &f64| (0.0..=255.0).contains(v) && v.fract() == 0.0;
    match (before, more) {
        (Values::Bytes(_), Values::Numbers(more))
            if more.iter().all(whole) && more.iter().any(|v| *v > 1.0) =>
        {
            Ok(Values::Bytes(more.iter().map(|v| *v as u8).collect()))
        }
        (Values::Bytes(_), Values::Numbers(_)) => refuse("holds numbers that are no bytes from 0 to 255"),
        (Values::Numbers(_), Values::Bytes(_)) => refuse("holds bytes"),
        (Values::Numbers(before), Values::Numbers(more)) => {
            let bytes = |v: &[f64]| v.iter().all(whole) && v.iter().any(|v| *v > 1.0);
            let shares =
                |v: &[f64]| v.iter().all(|v| (0.0..=1.0).contains(v)) && v.iter().any(|v| v.fract() != 0.0);
            match () {
                () if bytes(before) && shares(&more) => refuse("holds numbers from 0 to 1"),
                () if shares(before) && bytes(&more) => refuse("holds whole numbers from 0 to 255"),
                () => Ok(Values::Numbers(more)),
            }
        }
        (_, more) => Ok(more),
    }
}

fn append(file: &str, name: &str, all: &mut Array, more: Array) -> Result<(), DataError> {
    let same_shape = all.shape.get(1..) == more.shape.get(1..);
    let rows = more.shape.first().copied().unwrap_or(0);
    match (&mut all.values, more.values) {
        _ if !same_shape => {
            return Err(DataError::column(
                file,
                name,
                format!(
                    "rows of shape {:?}, but the previous part has {:?}",
                    more.shape.get(1..),
                    all.shape.get(1..)
                ),
                "use one row shape for all parts",
            ));
        }
        (Values::Bytes(a), Values::Bytes(b)) => a.extend(b),
        (Values::Texts(a), Values::Texts(b)) => a.extend(b),
        (values, more) => {
            let before = std::mem::replace(values, Values::Numbers(Vec::new()));
            let (Some(mut a), Some(b)) = (before.into_numbers(), more.into_numbers()) else {
                return Err(DataError::column(
                    file,
                    name,
                    "text in one part, numbers in another",
                    "write both with one type",
                ));
            };
            a.extend(b);
            *values = Values::Numbers(a);
        }
    }
    all.shape[0] += rows;
    Ok(())
}
