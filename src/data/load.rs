//! Loads the data of a request for training.

use rayon::prelude::*;

use super::columns::{self, ColumnReport, Named, Role};
use super::encode::{ColumnEncoding, Fitted, Scaling, Settings, Source, sample};
use super::error::list;
use super::locate::{Located, locate};
use super::preprocessing::{Inputs, Preprocessing, TableReading, TrainedOn};
use super::raw::{Raw, RawFeatures, TargetColumn, digest, hex};
use super::scale::{ByteScaling, Scale};
use super::split::{Fractions, Parts, assign};
use super::table::{Column, ReadOptions, Table};
use super::target::{self, TargetEncoding};
use super::types::{self, ColumnType, Decided, Reading};
use super::{DataError, Dataset, Features, LoadRequest, Split, Task, TaskKind, read_raw};
use crate::base::text::{count, counted, listed, shorten};
use crate::spec::{AskedType, Folds, PartialConfig, TableRequest};

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
    let mut raw = read_for_training(&located, request)?;
    let mut named = named(&raw, &request.table)?;
    if let RawFeatures::Table(table) = &raw.features {
        columns::check_names(table, (0..table.names.len()).filter(|at| named.roles[*at] == Role::Input))?;
    }
    let asked = raw.choose_target(wanted, &mut named)?;
    let target = raw.target.take().ok_or_else(|| no_target(&raw))?;
    let mut notes = std::mem::take(&mut raw.notes);
    let columns = raw.take_columns();
    let (goal, decided) = rayon::join(
        || Goal::decide(&raw, target, asked, request, fractions),
        || match &raw.features {
            RawFeatures::Table(table) => columns::decide_all(table, columns, &named),
            RawFeatures::Bytes { .. } => Ok(Vec::new()),
        },
    );
    let Goal { target, reading, task, class, parts, folds, notes: of_goal } = goal?;
    notes.extend(of_goal);
    let split_notes = split_notes(&raw, &parts, fractions, folds.is_some());

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
    let encoding = TargetEncoding {
        name: target.name.clone(),
        index: target.index,
        text,
        reading: Some(reading).filter(|reading| !reading.is_text() && *reading != Reading::default()),
        scale,
        clamp,
        constant,
    };
    let scaling = match (request.standardize, request.clip_inputs) {
        (false, _) => Scaling::None,
        (true, false) => Scaling::Standard,
        (true, true) => Scaling::Clipped,
    };
    let split =
        Split { train: parts.train.len(), val: parts.val.len(), test: parts.test.len(), folds: parts.folds };
    let values = leak_target(&target.column, &class);
    let is_class = matches!(task, Task::Classify { .. });
    let fitting = Fitting {
        train: &parts.train,
        settings: Settings { scaling, missing_indicator: request.table.missing_indicator },
        table: &request.table,
        target: &values,
        is_class,
    };
    let target_decided = Decided {
        kind: if is_class { ColumnType::Category } else { ColumnType::Number },
        reading: encoding.reading.clone().unwrap_or(if text { Reading::Text } else { Reading::default() }),
        column: target.column.clone(),
        notes: Vec::new(),
    };
    let (inputs, target_report) = rayon::join(
        || fitting.inputs(&mut raw, decided?, &mut notes),
        || columns::report(&target.name, &target_decided, Role::Target),
    );
    let (inputs, mut reports) = inputs?;
    if !reports.is_empty() {
        reports.insert(target.index.min(reports.len()), target_report);
    }
    let preprocessing = Preprocessing {
        inputs,
        task: task.clone(),
        target: encoding,
        trained_on: TrainedOn {
            source: located.source(),
            content: hex(&raw.content),
            val_split: request.val_split,
            test_split: request.test_split,
            val_each: folds.map(|folds| folds.share).filter(|_| parts.folds > 0),
            fold: None,
            seed: request.seed,
            split,
        },
    };

    let order = parts.ordered();
    let targets = target::encode(&raw, &target, &task, scale, &order)?;
    let (fingerprint, features) = rayon::join(
        || fingerprint(&preprocessing, &order),
        || match &raw.features {
            RawFeatures::Bytes { data, n_features, .. } => {
                let image = |row: &usize| &data[row * n_features..(row + 1) * n_features];
                Ok(Features::Bytes(order.iter().flat_map(image).copied().collect()))
            }
            // Categories that only validation or test rows have are usual, so they get no note.
            RawFeatures::Table(_) => {
                preprocessing.encode(&mut raw, &order, &mut Vec::new()).map(Features::Floats)
            }
        },
    );
    let features = features?;
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
        how: match &raw.features {
            RawFeatures::Table(table) => table.how.clone(),
            RawFeatures::Bytes { .. } => String::new(),
        },
        columns: reports,
        notes,
        split_notes,
    })
}

/// What is to be learned, and from which rows.
struct Goal {
    target: TargetColumn,
    reading: Reading,
    task: Task,
    /// The class of each row; 0 in a regression.
    class: Vec<usize>,
    parts: Parts,
    /// Asked for, and possible for such data.
    folds: Option<Folds>,
    notes: Vec<String>,
}

impl Goal {
    /// Decides what the target is, and which rows train.
    fn decide(
        raw: &Raw,
        mut target: TargetColumn,
        asked: Option<AskedType>,
        request: &LoadRequest,
        fractions: Fractions,
    ) -> Result<Goal, DataError> {
        let mut notes = Vec::new();
        let reading = read_target(raw, &mut target, asked.or(force(request.task)), &mut notes)?;
        let images = matches!(raw.features, RawFeatures::Bytes { .. });
        let (kind, note) = target::decide(raw, &target, images, request.task)?;
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
            TaskKind::Classify => Task::Classify { classes: target::classes(raw, &target)? },
            TaskKind::Regress => Task::Regress,
        };
        let class = target::class_of_rows(raw, &target, &task)?;
        check_classes(raw, &target, &task, &kept, &class, fractions)?;
        let folds = request.folds.filter(|asked| asked.is_used() && !(images && request.folds_of_tables));
        let parts = assign(raw, &kept, |row| class[row], fractions, folds, request.seed);
        check_parts(raw, &parts)?;
        note_unseen_classes(&task, &class, &parts, &mut notes);
        if matches!(task, Task::Classify { .. }) && raw.given.is_none() {
            notes.extend(columns::sorted_by_class(&target.name, &class, &kept));
        }
        Ok(Goal { target, reading, task, class, parts, folds, notes })
    }
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
fn split_notes(raw: &Raw, parts: &Parts, asked: Fractions, with_folds: bool) -> Vec<String> {
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
    if with_folds && parts.folds == 0 && !parts.val.is_empty() {
        let why = if val > 0 {
            "the source has its own"
        } else {
            "there are too few rows for each to have its own"
        };
        notes.push(format!("all models hold out the same validation rows: {why}"));
    }
    notes
}

fn note_unseen_classes(task: &Task, class: &[usize], parts: &Parts, notes: &mut Vec<String>) {
    let Task::Classify { classes } = task else { return };
    let mut seen = vec![false; classes.len()];
    parts.train.iter().for_each(|row| seen[class[*row]] = true);
    if parts.folds > 0 {
        // Other models train on those of the first.
        parts.val.iter().for_each(|row| seen[class[*row]] = true);
    }
    let unseen: Vec<&str> = classes.iter().zip(seen).filter(|(_, s)| !s).map(|(c, _)| c.as_str()).collect();
    if !unseen.is_empty() {
        notes.push(format!("no training row is of class {}: it cannot be learned", list(&unseen)));
    }
}

/// What the inputs are fitted on.
struct Fitting<'a> {
    train: &'a [usize],
    settings: Settings,
    table: &'a TableRequest,
    /// Classes or values of all rows, to find columns that tell them alone.
    target: &'a [f64],
    is_class: bool,
}

impl Fitting<'_> {
    /// Fits the scaling of bytes, or each column's type and encoding; removes columns that are left out from the table.
    fn inputs(
        &self,
        raw: &mut Raw,
        decided: Vec<(Decided, ColumnReport)>,
        notes: &mut Vec<String>,
    ) -> Result<(Inputs, Vec<ColumnReport>), DataError> {
        match &mut raw.features {
            RawFeatures::Bytes { data, n_features, full_scale, shape } => {
                let scaling = match self.settings.scaling {
                    Scaling::None => ByteScaling::unit(*n_features, *full_scale),
                    Scaling::Standard | Scaling::Clipped => ByteScaling::fit(data, *n_features, self.train),
                };
                Ok((Inputs::Bytes(ByteScaling { shape: *shape, ..scaling }), Vec::new()))
            }
            RawFeatures::Table(table) => {
                let (source_columns, named) = (decided.len(), table.named);
                let (columns, reports) = self.columns(table, decided, notes)?;
                let reading = TableReading {
                    header: self.table.header,
                    missing: self.table.missing.clone(),
                    dialect: Some(table.dialect),
                    keep: reports.iter().filter(|r| r.role == Role::Kept).map(|r| r.name.clone()).collect(),
                };
                Ok((Inputs::Columns { columns, source_columns, named, reading }, reports))
            }
        }
    }

    fn columns(
        &self,
        table: &mut Table,
        mut decided: Vec<(Decided, ColumnReport)>,
        notes: &mut Vec<String>,
    ) -> Result<(Vec<ColumnEncoding>, Vec<ColumnReport>), DataError> {
        // A table of a single column that counts is what it is for.
        let mut inputs: Vec<_> =
            decided.iter_mut().filter(|(_, report)| report.role == Role::Input).collect();
        if !inputs.iter().any(|(decided, _)| decided.kind.is_input()) {
            inputs.retain(|(decided, _)| decided.kind == ColumnType::Index);
            if let [(decided, report)] = inputs.as_mut_slice() {
                (decided.kind, report.kind) = (ColumnType::Number, ColumnType::Number);
                decided.notes.clear();
            }
        }
        let (mut encodings, mut kept, mut reports) = (Vec::new(), Vec::new(), Vec::new());
        let (mut constant, mut missing, mut rare) = (Vec::new(), Vec::new(), Vec::new());
        let sampled: Vec<usize> = sample(self.train, columns::MAX_LEAK_ROWS).copied().collect();
        let fitted: Vec<_> = decided
            .par_iter()
            .enumerate()
            .map(|(position, (decided, report))| {
                let is_input = report.role == Role::Input && decided.kind.is_input();
                is_input.then(|| self.fit(table, position, decided, &sampled))
            })
            .collect();
        for (position, ((decided, mut report), fitted)) in decided.into_iter().zip(fitted).enumerate() {
            let (name, role) = (table.names[position].as_str(), report.role);
            if role == Role::Input {
                notes.extend(decided.notes.iter().cloned());
            }
            if let Some((fitted, leak)) = fitted {
                match fitted? {
                    Fitted::Kept { encoding, imputed, folded } => {
                        if encoding.scales.iter().all(|s| s.factor == 0.0) {
                            constant.push(format!("{name:?}"));
                        }
                        missing
                            .extend((imputed > 0).then(|| format!("{name:?} ({})", count(imputed as u64))));
                        rare.extend((folded > 0).then(|| format!("{name:?} ({})", count(folded as u64))));
                        notes.extend(leak);
                        report.encoding = encoding.describe();
                        encodings.push(*encoding);
                        kept.push((table.names[position].clone(), decided.column));
                    }
                    Fitted::Dropped(why) => {
                        notes.push(format!("column {name:?} left out: {why}"));
                        report.role = Role::LeftOut;
                    }
                }
            } else if role == Role::Input {
                report.role = Role::LeftOut;
            }
            reports.push(report);
        }
        let mut tell = |what: &str, columns: &[String]| {
            if !columns.is_empty() {
                notes.push(format!("{what}: {}", listed(columns)));
            }
        };
        tell("constant in the training rows, so set to 0", &constant);
        tell("missing values filled with the training median", &missing);
        tell("rare categories grouped as \"other\"", &rare);
        if encodings.is_empty() {
            return Err(DataError::file(
                &table.file,
                "has no column left to learn from besides the target",
                "add columns, or choose another --target",
            ));
        }
        (table.names, table.columns) = kept.into_iter().unzip();
        Ok((encodings, reports))
    }

    /// The encoding of an input, and a warning of a leak in the rows `sampled`.
    fn fit(&self, table: &Table, position: usize, decided: &Decided, sampled: &[usize]) -> FittedInput {
        let (name, column) = (table.names[position].as_str(), &decided.column);
        let source = Source { table, name, position, reading: &decided.reading, column };
        let leak = columns::leak(name, column, self.target, self.is_class, sampled);
        (ColumnEncoding::fit(source, self.train, self.settings), leak)
    }
}

type FittedInput = (Result<Fitted, DataError>, Option<String>);

/// The columns that a request names; images have none.
fn named(raw: &Raw, request: &TableRequest) -> Result<Named, DataError> {
    match &raw.features {
        RawFeatures::Table(table) => columns::named(table, request),
        RawFeatures::Bytes { .. } => refuse_for_images(raw, request),
    }
}

/// Images have no columns to be named.
fn refuse_for_images(raw: &Raw, table: &TableRequest) -> Result<Named, DataError> {
    let TableRequest { columns, drop, keep, missing, header: _, missing_indicator: _, image_size: _ } = table;
    let given = [
        ("--column", columns.is_empty()),
        ("--drop", drop.is_empty()),
        ("--keep", keep.is_empty()),
        ("--missing", missing.is_empty()),
    ];
    match given.iter().find(|(_, is_empty)| !is_empty) {
        None => Ok(Named { asked: Vec::new(), roles: Vec::new() }),
        Some((flag, _)) => {
            let what = format!("is about the columns of a table, but {} holds images", raw.file);
            Err(DataError::setting(*flag, what, "leave it out"))
        }
    }
}

/// What `--task` asks of a target that is written as text.
fn force(task: Option<TaskKind>) -> Option<AskedType> {
    (task == Some(TaskKind::Classify)).then_some(AskedType::Category)
}

/// Reads the target: numbers as people write them become numbers, everything else stays as it is.
fn read_target(
    raw: &Raw,
    target: &mut TargetColumn,
    asked: Option<AskedType>,
    notes: &mut Vec<String>,
) -> Result<Reading, DataError> {
    // Classes may be any texts, and plain numbers are decided on by the task.
    let is_settled = match &target.column {
        Column::Text { .. } => asked == Some(AskedType::Category),
        Column::Number(_) => asked.is_none() || asked == Some(AskedType::Category),
        Column::Time(_) | Column::Other { .. } => false,
    };
    let as_it_is = match &target.column {
        Column::Text { .. } => Reading::Text,
        _ => Reading::default(),
    };
    if is_settled {
        return Ok(as_it_is);
    }
    let decided = columns::decide_target(raw, target, asked)?;
    let refuse = |what: String| {
        Err(DataError::column(
            &raw.file,
            &target.name,
            format!("the target {what}"),
            "expected classes or numbers; choose another column with --target",
        ))
    };
    match (decided.kind, &target.column) {
        (ColumnType::Date, _) => refuse("holds dates".into()),
        (ColumnType::Other, Column::Other { what, .. }) => refuse(format!("holds {what}")),
        (ColumnType::Number, _) => {
            notes.extend(decided.notes);
            target.column = decided.column;
            Ok(decided.reading)
        }
        // Truth values keep their words, which are the names of the classes: True and true are one of them.
        (ColumnType::Boolean, _) => {
            types::merge_truths(&mut target.column);
            Ok(as_it_is)
        }
        _ => Ok(as_it_is),
    }
}

/// The target as numbers, whatever the task: indices of classes, or values.
fn leak_target(column: &Column, class: &[usize]) -> Vec<f64> {
    match column {
        Column::Number(values) if class.iter().all(|class| *class == 0) => values.clone(),
        _ => class.iter().map(|class| *class as f64).collect(),
    }
}

/// A hash of content, row order and encoding, but not of the source's path, nor of what the network does not see.
fn fingerprint(preprocessing: &Preprocessing, order: &[usize]) -> String {
    let mut seen = preprocessing.clone();
    seen.trained_on.source.clear();
    (seen.target.clamp, seen.target.constant) = (None, None);
    if let Inputs::Columns { reading, .. } = &mut seen.inputs {
        reading.dialect = None;
    }
    let described = serde_json::to_vec(&seen).unwrap_or_default();
    let rows: Vec<u8> = order.iter().flat_map(|row| (*row as u64).to_le_bytes()).collect();
    hex(&digest(&[b"bngpu data 1", &described, &rows]))
}

/// What a source holds, before anything is split or fitted.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Description {
    /// As the user gave it.
    pub source: String,
    pub rows: usize,
    /// How a text file was read, in words.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub how: String,
    /// The columns of a table in their order; none for images.
    pub columns: Vec<ColumnReport>,
    /// Bytes of an image, if the source holds images.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pixels: Option<usize>,
    /// Notes for the user: columns left out, texts that count as missing.
    pub notes: Vec<String>,
}

/// Reads a source and decides what each column holds. The target is the one that training would take.
///
/// # Errors
/// Those of [`load`] that come before the target is looked at.
pub fn describe(request: &LoadRequest) -> Result<Description, DataError> {
    let located = locate(&request.source, request.data_dir.as_deref())?;
    let mut raw = read_for_training(&located, request)?;
    let mut notes = std::mem::take(&mut raw.notes);
    let mut named = named(&raw, &request.table)?;
    let asked = raw.choose_target(request.target.as_deref(), &mut named)?;
    let mut columns = Vec::new();
    let mut pixels = None;
    let mut how = String::new();
    let found = raw.take_columns();
    match &raw.features {
        RawFeatures::Bytes { n_features, .. } => pixels = Some(*n_features),
        RawFeatures::Table(table) => {
            how = table.how.clone();
            for (decided, mut report) in columns::decide_all(table, found, &named)? {
                if report.role == Role::Input && !decided.kind.is_input() {
                    report.role = Role::LeftOut;
                }
                columns.push(report);
                notes.extend(decided.notes);
            }
        }
    }
    let target = raw.target.as_ref().filter(|_| pixels.is_none());
    if let Some(target) = target {
        let decided = columns::decide_target(&raw, target, asked)?;
        columns
            .insert(target.index.min(columns.len()), columns::report(&target.name, &decided, Role::Target));
        notes.extend(decided.notes);
    }
    Ok(Description { source: request.source.clone(), rows: raw.rows, how, columns, pixels, notes })
}

fn read_for_training(located: &Located, request: &LoadRequest) -> Result<Raw, DataError> {
    let wanted = request.target.as_deref();
    let names = request.table.columns.iter().map(|column| column.name.as_str());
    let names: Vec<&str> = names.chain(wanted).chain(request.table.keep.iter().map(String::as_str)).collect();
    let as_text = |names: &[String], _named: bool| columns::as_text(&request.table, names);
    let options = ReadOptions {
        header: request.table.header,
        names: &names,
        texts: Some(&as_text),
        missing: &request.table.missing,
        image_size: request.table.image_size,
        image_shape: None,
    };
    let raw = read_raw(located, &options, wanted)?;
    match (request.table.image_size, &raw.features) {
        (None, _) | (_, RawFeatures::Bytes { shape: Some(_), .. }) => Ok(raw),
        _ => {
            let what = format!("is about images in files, but {} holds none", raw.file);
            Err(DataError::setting("--image-size", what, "leave it out"))
        }
    }
}
