//! The modules of the source and the allowed directions of their dependencies, as drawn in ARCHITECTURE.md.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Each module and the modules it may use.
const ROOMS: [(&str, &[&str]); 13] = [
    ("base", &[]),
    ("spec", &["base"]),
    ("data", &["base", "spec"]),
    ("population", &["base", "spec"]),
    ("step", &["base", "spec", "population"]),
    ("engine", &["base", "spec", "population", "step"]),
    ("run", &["base", "spec", "step"]),
    ("train", &["base", "spec", "data", "population", "step", "engine", "run"]),
    ("sweep", &["base", "spec", "data", "population", "step", "engine", "run", "train"]),
    ("bench", &["base", "spec", "population", "step", "engine"]),
    ("report", &["base", "spec", "step", "run", "sweep"]),
    ("demo", &["base", "spec", "data", "population", "step", "engine", "run", "train", "sweep", "report"]),
    (
        "cli",
        &[
            "base",
            "spec",
            "data",
            "population",
            "step",
            "engine",
            "run",
            "train",
            "sweep",
            "bench",
            "report",
            "demo",
        ],
    ),
];

/// The text of a file without comments and tests.
fn code(text: &str) -> String {
    let end = text.find("#[cfg(test)]\nmod tests {").unwrap_or(text.len());
    let lines = text[..end].lines().map(|line| line.split("//").next().unwrap_or_default());
    lines.collect::<Vec<_>>().join("\n")
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        match path.is_dir() {
            true if name != "tests" => files(&path, found),
            false if name.ends_with(".rs") && !name.contains("test") => found.push(path),
            _ => {}
        }
    }
}

/// The module names after each `crate::`, one or several in braces.
fn rooms_used(code: &str) -> BTreeSet<String> {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    let mut used = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(list) => {
                used.extend(list[..list.find('}').unwrap()].split(',').map(|item| word(item.trim())))
            }
            None => drop(used.insert(word(rest))),
        }
    }
    used
}

/// Forbidden dependencies, as "module/file uses module".
fn wrong_arrows(sources: &[(String, String)]) -> Vec<String> {
    let allowed: BTreeMap<&str, &[&str]> = ROOMS.into_iter().collect();
    let mut wrong = Vec::new();
    for (path, code) in sources {
        let room = path.split('/').next().unwrap();
        let Some(allowed) = allowed.get(room) else {
            wrong.push(format!("{path} is in no module of this list"));
            continue;
        };
        for used in rooms_used(code) {
            let is_room = ROOMS.iter().any(|(room, _)| *room == used);
            if is_room && used != room && !allowed.contains(&used.as_str()) {
                wrong.push(format!("{path} uses {used}"));
            }
        }
    }
    wrong
}

fn sources() -> Vec<(String, String)> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    files(&src, &mut found);
    let relative = |path: &PathBuf| {
        let path = path.strip_prefix(&src).unwrap();
        path.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
    };
    let in_rooms = found.iter().filter(|path| path.parent() != Some(&src));
    in_rooms.map(|path| (relative(path), code(&fs::read_to_string(path).unwrap()))).collect()
}

#[test]
fn modules_use_only_the_modules_below_them() {
    let sources = sources();
    assert!(sources.len() > 200, "{}", sources.len());
    assert_eq!(wrong_arrows(&sources), Vec::<String>::new());
}

#[test]
fn an_upward_dependency_is_found() {
    let source = |code: &str| vec![("data/csv.rs".to_owned(), code.to_owned())];
    assert_eq!(wrong_arrows(&source("use crate::report::text;")), ["data/csv.rs uses report"]);
    assert_eq!(wrong_arrows(&source("use crate::{base::text, cli};")), ["data/csv.rs uses cli"]);
    assert!(wrong_arrows(&source("use crate::spec::Real;")).is_empty());
    assert_eq!(wrong_arrows(&[("attic/a.rs".into(), String::new())]).len(), 1);
}

#[test]
fn no_module_is_above_itself() {
    // Each module's list names earlier modules only, so no two modules can use each other.
    for (at, (room, allowed)) in ROOMS.iter().enumerate() {
        for used in *allowed {
            assert!(ROOMS[..at].iter().any(|(earlier, _)| earlier == used), "{room} uses {used}");
        }
    }
}
