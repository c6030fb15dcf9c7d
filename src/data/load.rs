//! Loads the data of a request for training.

use super::csv::Expect;
use super::encode::{ColumnEncoding, Fitted, Scaling};
use super::error::{list, shorten};
use super::locate::locate;
use super::preprocessing::{Inputs, Preprocessing, TrainedOn};
use super::raw::{Raw, RawFeatures, TargetColumn, digest, hex};
use super::scale::{ByteScaling, Scale};
use super::split::{Fractions, Parts, assign};
use super::table::{Column, Table};
use super::target::{self, TargetEncoding};
use super::{DataError, Dataset, Features, LoadRequest, Split, Task, TaskKind, read_raw};
use crate::base::text::{count, counted, listed};
use crate::spec::PartialConfig;

/// Minimum number of training rows.
const MIN_TRAIN: usize = 2;

/// Loads, splits, encodes and scales a source.
///
/// # Errors
/// [`DataError`] with file, row and column if the request or the data are invalid.
///
/// ```
/// use bngpu::data::{LoadRequest, load};
/// use bngpu::spec::RunRequest;
///
/// let request = RunRequest::from_toml("data = 'digits'\nval-split = 0.2", "settings".as_ref())?;
/// let digits = load(&LoadRequest::from(&request.data))?;
/// assert_eq!((digits.n_features, digits.split.test), (64, 180));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn load(request: &LoadRequest) -> Result<Dataset, DataError> {
    let fractions = Fractions { val: request.val_split, test: request.test_split }.check()?;
    let located = locate(&request.source, request.data_dir.as_deref())?;
    let wanted = request.target.as_deref();
    let expect = Expect { names: wanted.into_iter().collect(), text: None };
    let mut raw = read_raw(&located, &expect, wanted)?;
    raw.choose_target(wanted)?;
    let target = raw.target.take().ok_or_else(|| no_target(&raw))?;
    let mut notes = std::mem::take(&mut raw.notes);

    let images = matches!(raw.features, RawFeatures::Bytes { .. });
    let (kind, note) = target::decide(&raw, &target, images, request.task)?;
    notes.extend(note);
    let kept: Vec<usize> = (0..raw.rows).filter(|row| !target.column.is_missing(*row)).collect();
    if kept.len() < raw.rows {
        notes.push(format!(
            "{} without a target ({:?}) left out",
            counted((raw.rows - kept.len()) as u64, "row"),
            target.name
        ));
    }
    if kept.len() == 1 {
        let remedy = "give more rows, below the header if there is one";
        return Err(DataError::file(&raw.file, "holds one row, expected at least two", remedy));
    }
    let task = match kind {
        TaskKind::Classify => Task::Classify { classes: target::classes(&raw, &target)? },
        TaskKind::Regress => Task::Regress,
    };
    let class = target::class_of_rows(&raw, &target, &task)?;
    check_classes(&raw, &target, &task, &kept, &class, fractions)?;
    let parts = assign(&raw, &kept, |row| class[row], fractions, request.seed);
    check_parts(&raw, &parts)?;
    let split_notes = split_notes(&raw, &parts, fractions);
    note_unseen_classes(&task, &class, &parts, &mut notes);

    let (scale, clamp, constant) = match &task {
        Task::Classify { .. } if request.clamp == Some(true) => {
            let what = "--clamp limits predicted numbers, but the target is classes";
            let remedy = "drop --clamp, or use --task regress if the classes are numbers";
            return Err(DataError::column(&raw.file, &target.name, what, remedy));
        }
        Task::Classify { classes } => {
            let most = target::majority(&class, &parts.train, classes.len());
            (Scale::IDENTITY, None, most.map(|class| class as f64))
        }
        Task::Regress => {
            let values = target::values(&raw, &target)?;
            let (moments, scale) =
                target::fit_values(&raw, &target, values, &parts.train, request.standardize)?;
            (scale, target::fit_range(values, &parts.train, request.clamp), Some(moments.mean))
        }
    };
    let text = matches!(target.column, Column::Text { .. });
    let encoding =
        TargetEncoding { name: target.name.clone(), index: target.index, text, scale, clamp, constant };
    let scaling = match (request.standardize, request.clip_inputs) {
        (false, _) => Scaling::None,
        (true, false) => Scaling::Standard,
        (true, true) => Scaling::Clipped,
    };
    let split = Split { train: parts.train.len(), val: parts.val.len(), test: parts.test.len() };
    let preprocessing = Preprocessing {
        inputs: fit_inputs(&mut raw, &parts.train, scaling, &mut notes)?,
        task: task.clone(),
        target: encoding,
        trained_on: TrainedOn {
            source: located.source(),
            content: hex(&raw.content),
            val_split: request.val_split,
            test_split: request.test_split,
            seed: request.seed,
            split,
        },
    };

    let order = parts.ordered();
    let targets = target::encode(&raw, &target, &task, scale, &order)?;
    let fingerprint = fingerprint(&preprocessing, &order);
    let features = match &raw.features {
        RawFeatures::Bytes { data, n_features, .. } => {
            let image = |row: &usize| &data[row * n_features..(row + 1) * n_features];
            Features::Bytes(order.iter().flat_map(image).copied().collect())
        }
        // Categories that only validation or test rows have are usual, so they get no note.
        RawFeatures::Table(_) => Features::Floats(preprocessing.encode(&raw, &order, &mut Vec::new())?),
    };
    Ok(Dataset {
        name: located.name,
        source: request.source.clone(),
        task,
        n_features: preprocessing.n_features(),
        features,
        targets,
        split,
        preprocessing,
        fingerprint,
        notes,
        split_notes,
    })
}

fn no_target(raw: &Raw) -> DataError {
    DataError::file(
        &raw.file,
        "has no labels to train on",
        "add them: an idx1 file beside the images, an array y in the .npz, a target column in the table",
    )
}

/// Refuses a class of one row: it cannot be both trained and tested.
fn check_classes(
    raw: &Raw,
    target: &TargetColumn,
    task: &Task,
    kept: &[usize],
    class: &[usize],
    fractions: Fractions,
) -> Result<(), DataError> {
    let Task::Classify { classes } = task else { return Ok(()) };
    if raw.given.is_some() || (fractions.val == 0.0 && fractions.test == 0.0) {
        return Ok(());
    }
    let mut counts = vec![0usize; classes.len()];
    kept.iter().for_each(|row| counts[class[*row]] += 1);
    let single: Vec<&str> =
        classes.iter().zip(&counts).filter(|(_, n)| **n < 2).map(|(c, _)| c.as_str()).collect();
    let Some(first) = single.first() else { return Ok(()) };
    let row = kept.iter().find(|row| &classes[class[**row]] == first).copied().unwrap_or(0);
    let more = if single.len() > 1 {
        format!(" (and {} more such classes)", single.len() - 1)
    } else {
        String::new()
    };
    let what =
        format!("class {:?} has one row only{more}; a stratified split needs two of each", shorten(first));
    let remedy = "leave the row out, merge the class with another, use --task regress if these are numbers, or \
                  set --val-split 0 --test-split 0";
    Err(DataError::cell(&raw.file, raw.place(row), &target.name, what, remedy))
}

fn check_parts(raw: &Raw, parts: &Parts) -> Result<(), DataError> {
    let n = parts.train.len();
    if n < MIN_TRAIN {
        let what = format!("{n} training rows, expected at least {MIN_TRAIN}");
        return Err(DataError::file(
            &raw.file,
            what,
            "give more rows, or smaller --val-split and --test-split",
        ));
    }
    Ok(())
}

/// Parts without rows, with the consequence, and split flags that were set but are ignored, because the source has its
/// own parts.
fn split_notes(raw: &Raw, parts: &Parts, asked: Fractions) -> Vec<String> {
    let default = PartialConfig::defaults();
    let [_, val, test] = raw.given.unwrap_or_default();
    let all = [
        (
            ("validation", parts.val.len(), "early stopping is off, and the last weights count as the best"),
            ("--val-split", val, asked.val, default.val_split),
        ),
        (
            ("test", parts.test.len(), "no test score is reported"),
            ("--test-split", test, asked.test, default.test_split),
        ),
    ];
    let mut notes = Vec::new();
    for ((part, rows, consequence), (flag, given, share, default)) in all {
        if rows == 0 {
            let why = if share > 0.0 { "too few rows for a" } else { "no" };
            notes.push(format!("{why} {part} part: {consequence}"));
        }
        if given > 0 && default.is_some_and(|d| d.0 != share) {
            notes.push(format!("{flag} {share} is ignored: the source has its own {part} part"));
        }
    }
    notes
}

fn note_unseen_classes(task: &Task, class: &[usize], parts: &Parts, notes: &mut Vec<String>) {
    let Task::Classify { classes } = task else { return };
    let mut seen = vec![false; classes.len()];
    parts.train.iter().for_each(|row| seen[class[*row]] = true);
    let unseen: Vec<&str> = classes.iter().zip(seen).filter(|(_, s)| !s).map(|(c, _)| c.as_str()).collect();
    if !unseen.is_empty() {
        notes.push(format!("no training row is of class {}: it cannot be learned", list(&unseen)));
    }
}

/// Fits the scaling of bytes, or each column's encoding; removes columns without information from the table.
fn fit_inputs(
    raw: &mut Raw,
    train: &[usize],
    scaling: Scaling,
    notes: &mut Vec<String>,
) -> Result<Inputs, DataError> {
    match &mut raw.features {
        RawFeatures::Bytes { data, n_features, full_scale } => Ok(Inputs::Bytes(match scaling {
            Scaling::None => ByteScaling::unit(*n_features, *full_scale),
            Scaling::Standard | Scaling::Clipped => ByteScaling::fit(data, *n_features, train),
        })),
        RawFeatures::Table(table) => {
            let (source_columns, named) = (table.columns.len(), table.named);
            let columns = fit_columns(table, train, scaling, notes)?;
            Ok(Inputs::Columns { columns, source_columns, named })
        }
    }
}

fn fit_columns(
    table: &mut Table,
    train: &[usize],
    scaling: Scaling,
    notes: &mut Vec<String>,
) -> Result<Vec<ColumnEncoding>, DataError> {
    let (mut encodings, mut kept) = (Vec::new(), Vec::new());
    let (mut constant, mut missing, mut rare) = (Vec::new(), Vec::new(), Vec::new());
    for (position, (name, column)) in table.names.iter().zip(&table.columns).enumerate() {
        match ColumnEncoding::fit(&table.file, name, position, column, train, scaling)? {
            Fitted::Kept { encoding, imputed, folded } => {
                if encoding.scales.iter().all(|s| s.factor == 0.0) {
                    constant.push(format!("{:?}", shorten(name)));
                }
                missing.extend(
                    (imputed > 0).then(|| format!("{:?} ({})", shorten(name), count(imputed as u64))),
                );
                rare.extend((folded > 0).then(|| format!("{:?} ({})", shorten(name), count(folded as u64))));
                encodings.push(encoding);
                kept.push(true);
            }
            Fitted::Dropped(why) => {
                notes.push(format!("column {name:?} left out: {why}"));
                kept.push(false);
            }
        }
    }
    let mut tell = |what: &str, columns: &[String]| {
        if !columns.is_empty() {
            notes.push(format!("{what}: {}", listed(columns)));
        }
    };
    tell("constant in the training rows, so set to 0", &constant);
    tell("missing numbers filled with the training median", &missing);
    tell("rare categories grouped as \"other\"", &rare);
    if encodings.is_empty() {
        return Err(DataError::file(
            &table.file,
            "has no column left to learn from besides the target",
            "add columns, or choose another --target",
        ));
    }
    let mut keep = kept.iter();
    table.columns.retain(|_| *keep.next().unwrap_or(&true));
    let mut keep = kept.iter();
    table.names.retain(|_| *keep.next().unwrap_or(&true));
    Ok(encodings)
}

/// A hash of content, row order and encoding, but not of the source's path, nor of what the network does not see.
fn fingerprint(preprocessing: &Preprocessing, order: &[usize]) -> String {
    let mut seen = preprocessing.clone();
    seen.trained_on.source.clear();
    (seen.target.clamp, seen.target.constant) = (None, None);
    let described = serde_json::to_vec(&seen).unwrap_or_default();
    let rows: Vec<u8> = order.iter().flat_map(|row| (*row as u64).to_le_bytes()).collect();
    hex(&digest(&[b"bngpu data 1", &described, &rows]))
}
