//! Folders of IDX files, MNIST's format, gzipped or not.
//!
//! Two zero bytes, the element type, the number of dimensions, each dimension as a big-endian u32, the values:
//! <http://yann.lecun.com/exdb/mnist/>. Files of one dimension are labels, others images. A name with `t10k`
//! or `test` belongs to the test part, one with `val` to the validation part, others to the training part.

use std::fs;
use std::path::{Path, PathBuf};

use super::array::{Array, Values};
use super::error::list;
use super::raw::{Raw, digest};
use super::{DataError, file, memory};

/// Whether a file name is that of an IDX file: `train-images-idx3-ubyte`, `digits.idx1-ubyte.gz`, `labels.idx`, …
pub(crate) fn is_idx_name(name: &str) -> bool {
    let name = name.to_lowercase();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    name.ends_with("byte") && name.contains("idx") || name.ends_with(".idx")
}

/// One IDX file as an array.
pub(crate) fn parse(file: &str, bytes: &[u8]) -> Result<Array, DataError> {
    let bad =
        |what: String| DataError::file(file, what, "expected an IDX file (MNIST's format); copy it again");
    let [0, 0, kind, n_dims, rest @ ..] = bytes else {
        let start = &bytes[..bytes.len().min(4)];
        return Err(bad(format!(
            "starts with {start:02x?}, but an IDX file starts with 00 00, the type and the number of dimensions"
        )));
    };
    let size = match kind {
        0x08 | 0x09 => 1,
        0x0b => 2,
        0x0c | 0x0d => 4,
        0x0e => 8,
        _ => return Err(bad(format!("has elements of type {kind:#04x}, expected 08, 09, 0b, 0c, 0d or 0e"))),
    };
    let n_dims = usize::from(*n_dims);
    let Some((dims, data)) = rest.split_at_checked(4 * n_dims).filter(|_| (1..=8).contains(&n_dims)) else {
        return Err(bad(format!("claims {n_dims} dimensions in {} bytes", bytes.len())));
    };
    let shape: Vec<usize> =
        dims.chunks_exact(4).map(|d| u32::from_be_bytes([d[0], d[1], d[2], d[3]]) as usize).collect();
    let needed = shape.iter().try_fold(size, |n: usize, d| n.checked_mul(*d));
    if needed != Some(data.len()) {
        let needed = needed.map_or("more than fits into memory".into(), |n| format!("{n} bytes"));
        return Err(bad(format!("has {} bytes of data, but shape {shape:?} needs {needed}", data.len())));
    }
    // Rows are copied once more when they are put in order.
    memory::check(file, data.len() as u64 / size as u64 * if *kind == 0x08 { 2 } else { 16 })?;
    let values = match kind {
        0x08 => Values::Bytes(data.to_vec()),
        0x09 => Values::Numbers(data.iter().map(|b| f64::from(*b as i8)).collect()),
        0x0b => numbers(data, |b: [u8; 2]| f64::from(i16::from_be_bytes(b))),
        0x0c => numbers(data, |b: [u8; 4]| f64::from(i32::from_be_bytes(b))),
        0x0d => numbers(data, |b: [u8; 4]| f64::from(f32::from_be_bytes(b))),
        _ => numbers(data, f64::from_be_bytes),
    };
    Ok(Array { shape, values })
}

fn numbers<const N: usize>(data: &[u8], number: impl Fn([u8; N]) -> f64) -> Values {
    Values::Numbers(data.as_chunks::<N>().0.iter().map(|item| number(*item)).collect())
}

/// One file of images, for prediction.
pub(crate) fn read_file(path: &Path) -> Result<Raw, DataError> {
    let name = path.display().to_string();
    let bytes = file::read(path)?;
    let images = parse(&name, &bytes)?;
    if images.shape.len() < 2 {
        return Err(DataError::file(&name, "holds labels and no images", "give the folder that holds both"));
    }
    Raw::from_arrays(&name, images, None, None, digest(&[&bytes]))
}

/// Images and labels of one part.
#[derive(Default)]
struct PartFiles {
    images: Option<(String, Array)>,
    labels: Option<(String, Array)>,
}

/// A folder of images with labels. For prediction, labels may be missing (then there is no target).
pub(crate) fn read_folder(folder: &Path) -> Result<Raw, DataError> {
    let name = folder.display().to_string();
    let mut parts: [PartFiles; 3] = Default::default();
    let mut content = Vec::new();
    for path in idx_files(folder)? {
        let file = path.display().to_string();
        let base = path.file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
        let bytes = file::read(&path)?;
        let array = parse(&file, &bytes)?;
        let part = match () {
            _ if base.contains("t10k") || base.contains("test") => 2,
            _ if base.contains("val") => 1,
            _ => 0,
        };
        let is_labels = array.shape.len() == 1;
        let place = if is_labels { &mut parts[part].labels } else { &mut parts[part].images };
        if let Some((other, _)) = place {
            return Err(DataError::file(
                &name,
                format!("{other} and {file} are both {}", if is_labels { "labels" } else { "images" }),
                "keep one set of images in a folder",
            ));
        }
        *place = Some((file, array));
        content.push(digest(&[&[part as u8, u8::from(is_labels)], &bytes]));
    }
    let content = digest(&content.iter().map(|d| &d[..]).collect::<Vec<_>>());
    join(&name, parts, content)
}

/// Joins the parts: train | val | test.
fn join(folder: &str, parts: [PartFiles; 3], content: [u8; 32]) -> Result<Raw, DataError> {
    let mut counts = [0; 3];
    let (mut x, mut y): (Option<Array>, Option<Array>) = (None, None);
    let labelled = parts.iter().any(|p| p.labels.is_some());
    for (count, part) in counts.iter_mut().zip(parts) {
        let (images, labels) = match (part.images, part.labels) {
            (None, None) => continue,
            (Some(images), Some(labels)) => (images, Some(labels)),
            (Some(images), None) if !labelled => (images, None),
            (Some((file, _)), None) => {
                return Err(DataError::file(&file, "has no labels beside it", "add its idx1 file"));
            }
            (None, Some((file, _))) => {
                return Err(DataError::file(&file, "has no images beside it", "add its idx3 file"));
            }
        };
        let (file, images) = images;
        *count = images.shape[0];
        if let Some((label_file, labels)) = labels {
            if labels.shape[0] != *count {
                return Err(DataError::file(
                    &label_file,
                    format!("has {} labels for the {count} images of {file}", labels.shape[0]),
                    "give the labels that belong to the images",
                ));
            }
            append(&label_file, &mut y, labels)?;
        }
        append(&file, &mut x, images)?;
    }
    let Some(x) = x else {
        return Err(DataError::file(folder, "holds no images", "add files like train-images-idx3-ubyte"));
    };
    let given = (counts[1] + counts[2] > 0 && counts[0] > 0).then_some(counts);
    Raw::from_arrays(folder, x, y.map(|y| ("label".into(), y)), given, content)
}

fn append(file: &str, all: &mut Option<Array>, more: Array) -> Result<(), DataError> {
    let Some(all) = all else {
        *all = Some(more);
        return Ok(());
    };
    match (&mut all.values, more.values) {
        _ if all.shape[1..] != more.shape[1..] => Err(DataError::file(
            file,
            format!(
                "has images of shape {:?}, but earlier parts have {:?}",
                &more.shape[1..],
                &all.shape[1..]
            ),
            "use one image size for all parts",
        )),
        (Values::Bytes(a), Values::Bytes(b)) => {
            a.extend(b);
            all.shape[0] += more.shape[0];
            Ok(())
        }
        (Values::Numbers(a), Values::Numbers(b)) => {
            a.extend(b);
            all.shape[0] += more.shape[0];
            Ok(())
        }
        _ => Err(DataError::file(
            file,
            "has a different element type than the previous part",
            "write all parts with one element type",
        )),
    }
}

/// The IDX files of a folder, sorted; `x.gz` is skipped if there is `x`.
fn idx_files(folder: &Path) -> Result<Vec<PathBuf>, DataError> {
    let io = |e| DataError::io(folder, e);
    let mut names = Vec::new();
    for entry in fs::read_dir(folder).map_err(io)? {
        let name = entry.map_err(io)?.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') {
            names.push(name);
        }
    }
    names.sort();
    let files: Vec<PathBuf> = names
        .iter()
        .filter(|n| is_idx_name(n))
        .filter(|n| {
            n.strip_suffix(".gz")
                .is_none_or(|plain| names.binary_search_by(|n| n.as_str().cmp(plain)).is_err())
        })
        .map(|n| folder.join(n))
        .collect();
    if !files.is_empty() {
        return Ok(files);
    }
    let what = match names.len() {
        0 => "is an empty folder".to_owned(),
        _ => format!("holds no tables, images or IDX files, only {}", list(&names)),
    };
    Err(DataError::file(
        &folder.display().to_string(),
        what,
        "expected names like train-images-idx3-ubyte.gz and train-labels-idx1-ubyte.gz, or a folder of images for each class",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idx_names_are_recognised() {
        for name in ["train-images-idx3-ubyte", "t10k-labels-idx1-ubyte.gz", "a.idx3-ubyte", "x.idx"] {
            assert!(is_idx_name(name), "{name}");
        }
        for name in ["README", "idx.csv", "a.npz"] {
            assert!(!is_idx_name(name), "{name}");
        }
    }

    #[test]
    fn every_truncation_is_an_error() {
        let whole = [&[0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 3][..], &[7; 12]].concat();
        assert_eq!(parse("x", &whole).unwrap().shape, [2, 2, 3]);
        for end in 0..whole.len() {
            assert!(parse("x", &whole[..end]).is_err(), "cut at {end}");
        }
        let big_endian = [&[0, 0, 0x0c, 1, 0, 0, 0, 1][..], &(-2i32).to_be_bytes()].concat();
        assert_eq!(parse("x", &big_endian).unwrap().values, Values::Numbers(vec![-2.0]));
    }
}
