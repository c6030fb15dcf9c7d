//! Files of a demonstration: its figure as SVG and PNG, its numbers, a page.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::{Demo, Finding, page};
use crate::base::write_whole;
use crate::report::figure::{Figure, PngError, Theme, png, svg};
use crate::report::language::Lang;
use crate::run::RunError;

/// Debian's name of a package with a Chinese font.
const CHINESE_FONT: &str = "fonts-noto-cjk";

/// The files that were written.
#[derive(Clone, Debug, Default)]
pub struct Files {
    pub paths: Vec<PathBuf>,
    /// Notes for the user.
    pub notes: Vec<String>,
}

/// Writes the last of `findings` into `folder` (`NAME.svg`, `NAME.png`, `NAME.json`, the figure in the other
/// language), and all of them into `report.html`. `about` describes the data and the device.
///
/// # Errors
/// [`RunError`] of the file that could not be written.
pub fn write(
    folder: &Path,
    findings: &[(&dyn Demo, Finding)],
    lang: Lang,
    about: &Value,
) -> Result<Files, RunError> {
    let mut files = Files::default();
    if let Some((demo, finding)) = findings.last() {
        let place = |extension: &str| folder.join(format!("{}.{extension}", demo.name()));
        let drawn = svg(&finding.figure, lang, Theme::File);
        files.write(place("svg"), drawn.as_bytes())?;
        // Both languages from one measurement.
        let (other, extension) = match lang {
            Lang::En => (Lang::Zh, "zh.svg"),
            Lang::Zh => (Lang::En, "en.svg"),
        };
        // Left by an earlier run in the other language.
        let stale = match lang {
            Lang::En => "en.svg",
            Lang::Zh => "zh.svg",
        };
        match fs::remove_file(place(stale)) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(RunError::io("remove", &place(stale), error));
            }
            _ => {}
        }
        files.write(place(extension), svg(&finding.figure, other, Theme::File).as_bytes())?;
        match picture(&finding.figure, drawn, lang, &mut files.notes) {
            Ok(bytes) => files.write(place("png"), &bytes)?,
            Err(error) => files.note(format!("no PNG was written: {error}")),
        }
        let record = result(*demo, finding, lang, about);
        let text = serde_json::to_string_pretty(&record).unwrap_or_default();
        files.write(place("json"), text.as_bytes())?;
    }
    files.write(folder.join("report.html"), page::page(findings, lang, about).as_bytes())?;
    Ok(files)
}

impl Files {
    fn write(&mut self, path: PathBuf, bytes: &[u8]) -> Result<(), RunError> {
        write_whole(&path, bytes)?;
        self.paths.push(path);
        Ok(())
    }

    fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }
}

/// The figure as PNG; in English if no font has Chinese characters.
fn picture(figure: &Figure, drawn: String, lang: Lang, notes: &mut Vec<String>) -> Result<Vec<u8>, PngError> {
    match png(&drawn) {
        Err(PngError::NoFont(letter)) if lang != Lang::En => {
            let note = format!(
                "no installed font has '{letter}', so the PNG is in English; for Chinese, install a font such as \
                 Debian's {CHINESE_FONT}"
            );
            if !notes.contains(&note) {
                notes.push(note);
            }
            png(&svg(figure, Lang::En, Theme::File))
        }
        other => other,
    }
}

/// The finding as JSON.
pub fn result(demo: &dyn Demo, finding: &Finding, lang: Lang, about: &Value) -> Value {
    json!({
        "demo": demo.name(),
        "claim": demo.claim().of(lang),
        "measured_on": about,
        "verdict": finding.verdict.outcome,
        "sentence": finding.verdict.sentence.of(lang),
        "numbers": finding.numbers,
    })
}
