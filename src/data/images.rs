//! Images in files: PNG, JPEG, WebP, BMP and GIF (its first frame).
//!
//! A folder holds a folder for each class, or folders train, val and test of such. Files given alone have no classes.
//! An image becomes bytes `[height, width, channels]`: one channel if all are grey, else red, green and blue;
//! transparency is left out, and the orientation that cameras note is applied.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufReader, Cursor};
use std::path::{Path, PathBuf};

use ::image::imageops::FilterType;
use ::image::metadata::Orientation;
use ::image::{DynamicImage, ImageDecoder, ImageReader};
use rayon::prelude::*;

use super::error::list;
use super::locate::{IMAGES, Located};
use super::parts::split_of;
use super::raw::{ImageShape, Raw, RawFeatures, TargetColumn, digest};
use super::table::{Cell, ColumnBuilder, ReadOptions};
use super::{DataError, memory};
use crate::base::panics;
use crate::base::text::{self, count};

/// Files that systems leave in folders.
const IGNORED: [&str; 2] = ["thumbs.db", "desktop.ini"];

/// An image that was found.
struct Entry {
    path: PathBuf,
    /// 0 to 2: train, val, test.
    split: Option<usize>,
    class: Option<String>,
}

/// Size and kind of an image, from its header.
#[derive(Clone, Copy)]
struct Header {
    size: (u32, u32),
    channels: u8,
}

/// Reads images: in the shape that a model takes, else in the size that is asked for, else in their common size.
pub(crate) fn read(located: &Located, options: &ReadOptions) -> Result<Raw, DataError> {
    let file = located.path.display().to_string();
    let mut entries = Vec::new();
    if !located.parts.is_empty() {
        entries.extend(located.parts.iter().map(|part| Entry::alone(part.path.clone())));
    } else if located.path.is_dir() {
        entries = list_folder(&located.path)?;
    } else {
        entries.push(Entry::alone(located.path.clone()));
    }
    entries.sort_by_key(|entry| entry.split);
    if entries.is_empty() {
        return Err(DataError::file(&file, "holds no images", "expected a folder of images for each class"));
    }
    let headers: Vec<Header> =
        entries.par_iter().map(|entry| header(&entry.path)).collect::<Result<_, _>>()?;
    let shape = match options.image_shape {
        Some(shape) => shape,
        None => {
            let asked = options.image_size.map(|size| (size.width, size.height));
            let (width, height) = asked.map_or_else(|| common_size(&file, &entries, &headers), Ok)?;
            let channels = headers.iter().map(|header| header.channels).max().unwrap_or(1);
            ImageShape { width, height, channels }
        }
    };
    let n_features = shape.len();
    let mut data: Vec<u8> = Vec::new();
    memory::reserve(&file, &mut data, n_features.saturating_mul(entries.len()))?;
    data.resize(n_features * entries.len(), 0);
    let hashes: Vec<[u8; 32]> = data
        .par_chunks_mut(n_features)
        .zip(&entries)
        .map(|(image, entry)| decode(&entry.path, shape, image))
        .collect::<Result<_, _>>()?;

    let resized = headers.iter().filter(|header| header.size != (shape.width, shape.height)).count();
    let note =
        format!("{} of {} images resized to {shape}", count(resized as u64), count(entries.len() as u64));
    let mut content = Vec::new();
    for (entry, hash) in entries.iter().zip(hashes) {
        let class = entry.class.as_deref().unwrap_or_default();
        content.push(digest(&[&[entry.split.map_or(0, |split| split as u8 + 1)], class.as_bytes(), &hash]));
    }
    let mut given = [0; 3];
    entries.iter().filter_map(|entry| entry.split).for_each(|split| given[split] += 1);
    let mut files = ColumnBuilder::text();
    entries.iter().for_each(|entry| files.push(Cell::Text(&entry.path.display().to_string())));
    let labelled = entries.iter().all(|entry| entry.class.is_some());
    let target = labelled.then(|| {
        let mut labels = ColumnBuilder::text();
        entries.iter().for_each(|entry| labels.push(Cell::Text(entry.class.as_deref().unwrap_or_default())));
        TargetColumn { name: "class".into(), index: n_features, column: labels.finish() }
    });
    Ok(Raw {
        file,
        rows: entries.len(),
        features: RawFeatures::Bytes { data, n_features, full_scale: 255, shape: Some(shape) },
        target,
        holds_target: false,
        given: (given[0] > 0 && given[1] + given[2] > 0).then_some(given),
        content: digest(&content.iter().map(|hash| &hash[..]).collect::<Vec<_>>()),
        notes: (resized > 0).then_some(note).into_iter().collect(),
        kept: vec![("file".into(), files.finish())],
        lines: None,
    })
}

impl Entry {
    fn alone(path: PathBuf) -> Entry {
        Entry { path, split: None, class: None }
    }
}

/// Whether a file name is that of an image.
fn is_image(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    IMAGES.contains(&extension.as_str())
}

/// Folders and files of a folder, sorted by name, without hidden ones.
fn entries_of(folder: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>), DataError> {
    let io = |e| DataError::io(folder, e);
    let (mut folders, mut files) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(folder).map_err(io)? {
        let entry = entry.map_err(io)?;
        let (path, name) = (entry.path(), entry.file_name().to_string_lossy().to_lowercase());
        if name.starts_with('.') || IGNORED.contains(&name.as_str()) {
            continue;
        }
        if path.is_dir() {
            folders.push(path);
        } else if is_image(&path) {
            files.push(path);
        } else {
            let what = "is no image, but stands in a folder of images";
            let remedy = format!("move it away; images are .{}", IMAGES.join(", ."));
            return Err(DataError::file(&path.display().to_string(), what, remedy));
        }
    }
    folders.sort();
    files.sort();
    Ok((folders, files))
}

fn name_of(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The images of a folder with their parts and classes.
fn list_folder(root: &Path) -> Result<Vec<Entry>, DataError> {
    let (folders, _) = entries_of(root)?;
    let split = |folder: &PathBuf| {
        let name = name_of(folder);
        split_of(&name).filter(|_| name.chars().all(|c| c.is_ascii_alphabetic()))
    };
    let splits: Vec<Option<usize>> = folders.iter().map(split).collect();
    if !splits.contains(&Some(0)) || splits.iter().flatten().count() < 2 {
        return list_classes(root, None);
    }
    let mut entries = Vec::new();
    for (folder, split) in folders.iter().zip(splits) {
        let Some(split) = split else {
            let what = "stands beside folders train, val and test, but is none of them";
            return Err(DataError::file(&folder.display().to_string(), what, "move it away or rename it"));
        };
        entries.extend(list_classes(folder, Some(split))?);
    }
    Ok(entries)
}

/// The images of a folder for each class, or of a folder of images alone.
fn list_classes(root: &Path, split: Option<usize>) -> Result<Vec<Entry>, DataError> {
    let (folders, files) = entries_of(root)?;
    if let (Some(file), Some(folder)) = (files.first(), folders.first()) {
        let what = format!("stands beside folders such as {:?}: its class is unclear", name_of(folder));
        let remedy = "move it into the folder of its class";
        return Err(DataError::file(&file.display().to_string(), what, remedy));
    }
    let mut entries: Vec<Entry> = files.into_iter().map(|path| Entry { path, split, class: None }).collect();
    for folder in folders {
        let class = name_of(&folder);
        let mut open = vec![folder.clone()];
        let before = entries.len();
        while let Some(next) = open.pop() {
            let (mut folders, files) = entries_of(&next)?;
            entries.extend(files.into_iter().map(|path| Entry { path, split, class: Some(class.clone()) }));
            folders.reverse();
            open.extend(folders);
        }
        if entries.len() == before {
            let what = "holds no images";
            return Err(DataError::file(
                &folder.display().to_string(),
                what,
                "add some, or remove the folder",
            ));
        }
    }
    Ok(entries)
}

fn bad(path: &Path, e: impl std::fmt::Display) -> DataError {
    let what = format!("cannot be read as an image ({e})");
    DataError::file(&path.display().to_string(), what, "copy it again, or remove it")
}

/// Bytes of pixels that a file may claim for each of its own. No format but WebP packs a picture of one colour better.
const CLAIM_PER_BYTE: u64 = 16 << 10;

fn header(path: &Path) -> Result<Header, DataError> {
    let io = |e| DataError::io(path, e);
    let file = fs::File::open(path).map_err(io)?;
    let length = file.metadata().map_err(io)?.len();
    let read = panics::caught(|| {
        let mut decoder = ImageReader::new(BufReader::new(file)).with_guessed_format()?.into_decoder()?;
        let (width, height) = decoder.dimensions();
        let turned = is_turned(decoder.orientation()?);
        let size = if turned { (height, width) } else { (width, height) };
        let channels = if decoder.color_type().has_color() { 3 } else { 1 };
        ::image::ImageResult::Ok(Header { size, channels })
    });
    let header = read.map_err(|_| bad(path, "it is damaged"))?.map_err(|e| bad(path, e))?;
    let (width, height) = header.size;
    if width == 0 || height == 0 {
        return Err(bad(path, format!("it has {width} x {height} pixels")));
    }
    let claimed = 4 * u64::from(width) * u64::from(height);
    if !memory::is_plausible(claimed, length, CLAIM_PER_BYTE) {
        return Err(bad(
            path,
            format!("it claims {width} x {height} pixels, but has {}", text::bytes(length)),
        ));
    }
    Ok(header)
}

fn is_turned(orientation: Orientation) -> bool {
    use Orientation::*;
    matches!(orientation, Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH)
}

/// The size that all images have.
fn common_size(file: &str, entries: &[Entry], headers: &[Header]) -> Result<(u32, u32), DataError> {
    let mut sizes: BTreeMap<(u32, u32), (usize, usize)> = BTreeMap::new();
    for (i, header) in headers.iter().enumerate() {
        sizes.entry(header.size).or_insert((0, i)).0 += 1;
    }
    let mut sizes: Vec<_> = sizes.into_iter().collect();
    sizes.sort_by_key(|(_, (images, first))| (usize::MAX - images, *first));
    let [((width, height), _), _, ..] = sizes.as_slice() else {
        return Ok(headers.first().map_or((1, 1), |header| header.size));
    };
    let sizes: Vec<String> = sizes
        .iter()
        .map(|((width, height), (images, first))| {
            format!(
                "{width}x{height} ({}, such as {})",
                count(*images as u64),
                name_of(&entries[*first].path)
            )
        })
        .collect();
    let what = format!("has images of {} different sizes: {}", sizes.len(), list(&sizes));
    let remedy = format!("set --image-size, for example to {width}x{height}: all are then resized to it");
    Err(DataError::file(file, what, remedy))
}

/// Decodes an image into `bytes`, and gives the hash of the file.
fn decode(path: &Path, shape: ImageShape, bytes: &mut [u8]) -> Result<[u8; 32], DataError> {
    let file = fs::read(path).map_err(|e| DataError::io(path, e))?;
    let hash = digest(&[&file]);
    let read = panics::caught(|| {
        let mut decoder = ImageReader::new(Cursor::new(file)).with_guessed_format()?.into_decoder()?;
        let orientation = decoder.orientation()?;
        let mut image = DynamicImage::from_decoder(decoder)?;
        image.apply_orientation(orientation);
        if (image.width(), image.height()) != (shape.width, shape.height) {
            image = image.resize_exact(shape.width, shape.height, FilterType::Triangle);
        }
        ::image::ImageResult::Ok(match shape.channels {
            1 => image.into_luma8().into_raw(),
            _ => image.into_rgb8().into_raw(),
        })
    });
    let pixels = read.map_err(|_| bad(path, "it is damaged"))?.map_err(|e| bad(path, e))?;
    if pixels.len() != bytes.len() {
        return Err(bad(path, "its header and its pixels differ in size"));
    }
    bytes.copy_from_slice(&pixels);
    Ok(hash)
}
