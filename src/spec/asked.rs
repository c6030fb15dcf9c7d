//! The hyperparameters of a sweep: single values and what is searched, flags over file over defaults.

use std::path::PathBuf;

use serde_json::Value;
use toml::Table;

use super::config::PartialConfig;
use super::config_error::{ConfigError, Place};
use super::given::Given;
use super::hyperparameter::{SEARCHABLE, owned};
use super::request::RunRequest;
use super::space::{Dimension, Domain, Params};
use super::space_text::{domain_of, to_json, to_toml};
use super::sweep_config::PartialSweep;
use super::text::{text, value_text};

/// The hyperparameters of a sweep, and where each is set.
pub(super) struct Asked {
    /// Single values of the flags, and of the file.
    flags: Table,
    file: Table,
    path: PathBuf,
    defaults: Table,
    /// What is searched, in the order of [`SEARCHABLE`], and what says so.
    pub dimensions: Vec<(Dimension, Source)>,
}

/// What sets a value; a later one wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    Default,
    File,
    Flag,
}

impl Asked {
    /// `preset` has the defaults that differ from the usual ones.
    pub fn new(
        flags: PartialSweep,
        file: PartialSweep,
        preset: PartialSweep,
        path: PathBuf,
    ) -> Result<Self, ConfigError> {
        let read = |space: Table, place: &dyn Fn(String) -> Place| {
            let domain = |(key, given): (String, toml::Value)| match domain_of(&key, &given) {
                Ok(domain) => Ok((key, domain)),
                Err(problem) => {
                    Err(ConfigError::Space { place: place(key), text: text(&given), problem: problem.into() })
                }
            };
            space.into_iter().map(domain).collect::<Result<Vec<_>, _>>()
        };
        let mut asked = Asked {
            flags: flags.fixed.table()?,
            file: file.fixed.table()?,
            path: path.clone(),
            defaults: preset.fixed.over(PartialConfig::defaults()).table()?,
            dimensions: Vec::new(),
        };
        if let Some(key) = file.space.keys().find(|key| asked.file.contains_key(*key)) {
            return Err(ConfigError::Twice { path, key: key.clone() });
        }
        let by_default = read(preset.space, &|key| Place::Default { key })?;
        let by_file = read(file.space, &|key| Place::File { key, path: path.clone() })?;
        let by_flags = read(flags.space, &|key| Place::Flag { key })?;
        let by_default = by_default.into_iter().filter(|(key, _)| !asked.file.contains_key(key)).collect();
        let all = [(by_default, Source::Default), (by_file, Source::File), (by_flags, Source::Flag)];
        for (domains, source) in all {
            for (key, domain) in domains {
                asked.insert(key, domain, source);
            }
        }
        // A choice among the flags drops the settings in the file that it does not use, and any choice drops defaults.
        for (setting, choice, owners) in owned() {
            if asked.possible(choice).iter().any(|chosen| owners.contains(&chosen.as_str())) {
                continue;
            }
            let stays = match asked.source(choice) {
                Source::Flag => Source::Flag,
                Source::File | Source::Default => Source::File,
            };
            asked.dimensions.retain(|(dimension, source)| {
                dimension.key != setting || *source == Source::Flag || *source == stays
            });
            if stays == Source::Flag {
                asked.file.remove(setting);
            }
        }
        // One way to give the length replaces the other.
        let steps = asked.source("steps");
        if asked.single("steps").is_some() {
            let stays = |(dimension, source): &(Dimension, Source)| {
                dimension.key != "epochs" || *source == steps || *source == Source::Flag
            };
            asked.dimensions.retain(stays);
        }
        let order = |key: &str| SEARCHABLE.iter().position(|other| *other == key);
        asked.dimensions.sort_by_key(|(dimension, _)| order(&dimension.key));
        Ok(asked)
    }

    fn insert(&mut self, key: String, domain: Domain, source: Source) {
        self.file.remove(&key);
        self.dimensions.retain(|(dimension, _)| dimension.key != key);
        let single = match &domain {
            Domain::Set(values) if values.len() == 1 => to_toml(&key, &values[0]),
            _ => None,
        };
        match single {
            Some(value) => drop(self.table(source).insert(key, value)),
            None => self.dimensions.push((Dimension { key, domain }, source)),
        }
    }

    /// The single values of a source.
    fn table(&mut self, source: Source) -> &mut Table {
        match source {
            Source::Default => &mut self.defaults,
            Source::File => &mut self.file,
            Source::Flag => &mut self.flags,
        }
    }

    /// What sets the value of `key`, or searches it.
    fn source(&self, key: &str) -> Source {
        let searched = self.dimensions.iter().find(|(dimension, _)| dimension.key == key);
        match searched {
            Some((_, source)) => *source,
            None if self.flags.contains_key(key) => Source::Flag,
            None if self.file.contains_key(key) => Source::File,
            None => Source::Default,
        }
    }

    fn domain(&self, key: &str) -> Option<&Domain> {
        self.dimensions.iter().map(|(dimension, _)| dimension).find(|d| d.key == key).map(|d| &d.domain)
    }

    fn single(&self, key: &str) -> Option<&toml::Value> {
        self.flags.get(key).or_else(|| self.file.get(key)).or_else(|| self.defaults.get(key))
    }

    /// All values that a choice has in the trials.
    fn possible(&self, choice: &str) -> Vec<String> {
        match self.domain(choice) {
            Some(domain) => domain.ends().iter().map(value_text).collect(),
            None => self.single(choice).map(text).into_iter().collect(),
        }
    }

    pub fn place(&self, key: &str) -> Place {
        let source = self.source(key);
        let key = key.to_string();
        match source {
            Source::Flag => Place::Flag { key },
            Source::File => Place::File { key, path: self.path.clone() },
            Source::Default => Place::Default { key },
        }
    }

    /// Refuses `watch`, `ensemble` and `val-each`, which a sweep does not support.
    ///
    /// # Errors
    /// [`ConfigError::Invalid`].
    pub fn check_supported(&self) -> Result<(), ConfigError> {
        let watch =
            "a sweep does not record layers: drop it, or train one trial alone with `bngpu train --watch`";
        let ensemble = "the trials of a sweep are single models: drop it, and train the best trial with `bngpu train --ensemble`";
        for (key, expected) in [("watch", watch), ("ensemble", ensemble), ("val-each", ensemble)] {
            if let Some(value) = self.flags.get(key).or_else(|| self.file.get(key)) {
                let (place, value) = (self.place(key), text(value));
                return Err(ConfigError::Invalid { place, value, expected: expected.into() });
            }
        }
        Ok(())
    }

    /// Checks that each given setting belongs to a choice of at least one trial.
    ///
    /// # Errors
    /// [`ConfigError::Misplaced`].
    pub fn check_choices(&self) -> Result<(), ConfigError> {
        for (setting, choice, owners) in owned() {
            let possible = self.possible(choice);
            let place = self.place(setting);
            let is_given = !matches!(place, Place::Default { .. });
            if is_given && !possible.iter().any(|chosen| owners.contains(&chosen.as_str())) {
                let chosen = possible.join(" or ");
                return Err(ConfigError::Misplaced { place, choice, owners, chosen });
            }
        }
        Ok(())
    }

    /// Checks every value of every set, and both ends of every range, with the strictest other values of the space.
    pub fn check_values(&self) -> Result<(), ConfigError> {
        let mut company = Params::new();
        for key in ["bn", "nesterov"] {
            if let Some(on) =
                self.domain(key).and_then(|domain| domain.ends().into_iter().find(|v| *v == true))
            {
                company.insert(key.into(), on);
            }
        }
        for key in ["momentum", "batch-size"] {
            let number = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
            let ends = self.domain(key).map(Domain::ends).unwrap_or_default();
            if let Some(least) = ends.into_iter().min_by(|a, b| number(a).total_cmp(&number(b))) {
                company.insert(key.into(), least);
            }
        }
        for (dimension, _) in &self.dimensions {
            let mut picks = company.clone();
            for (_, choice, owners) in owned().filter(|(setting, ..)| *setting == dimension.key) {
                let chosen = self.domain(choice).map(Domain::ends).unwrap_or_default();
                let owner = chosen.into_iter().find(|v| owners.contains(&value_text(v).as_str()));
                picks.extend(owner.map(|owner| (choice.to_string(), owner)));
            }
            for value in dimension.domain.ends() {
                picks.insert(dimension.key.clone(), value);
                self.request(&picks)?;
            }
        }
        Ok(())
    }

    /// The length of the longest trainings, if lengths differ: halving and plans go by it.
    pub fn longest(&self) -> Params {
        let number = |value: &Value| value.as_u64().unwrap_or(0);
        let longest = self.domain("epochs").and_then(|domain| domain.ends().into_iter().max_by_key(number));
        longest.map(|epochs| ("epochs".to_owned(), epochs)).into_iter().collect()
    }

    /// The training with these values, and the first value of every other dimension.
    ///
    /// # Errors
    /// The first invalid value.
    pub fn request(&self, picks: &Params) -> Result<RunRequest, ConfigError> {
        let (mut flags, mut file, mut defaults) =
            (self.flags.clone(), self.file.clone(), self.defaults.clone());
        for (dimension, source) in &self.dimensions {
            let key = &dimension.key;
            let value = picks.get(key).cloned().unwrap_or_else(|| dimension.domain.first());
            let table = match source {
                Source::Default => &mut defaults,
                Source::File => &mut file,
                Source::Flag => &mut flags,
            };
            table.extend(to_toml(key, &value).map(|value| (key.clone(), value)));
        }
        drop_unowned(&mut [&mut flags, &mut file], &defaults);
        Given::new(flags, file, self.path.clone(), defaults).run_request()
    }

    /// See [`SweepRequest::settings`].
    pub fn settings(&self) -> Params {
        let mut settings = Params::new();
        let mut add = |key: &str, value: Option<&toml::Value>| {
            settings.extend(value.map(|value| (key.to_owned(), to_json(key, value))));
        };
        if self.domain("activation").is_some() && self.domain("init").is_none() {
            add("init", self.single("init"));
        }
        for (setting, choice, owners) in owned() {
            let varies = self.domain(choice).is_some() && self.domain(setting).is_none();
            if varies && self.possible(choice).iter().any(|chosen| owners.contains(&chosen.as_str())) {
                add(setting, self.single(setting));
            }
        }
        settings
    }
}

/// Removes the settings of choices that were not made. A choice in an earlier table wins.
pub(super) fn drop_unowned(tables: &mut [&mut Table], defaults: &Table) {
    for (setting, choice, owners) in owned() {
        let chosen = tables.iter().find_map(|table| table.get(choice)).or_else(|| defaults.get(choice));
        let chosen = chosen.map(text).unwrap_or_default();
        if !owners.contains(&chosen.as_str()) {
            tables.iter_mut().for_each(|table| drop(table.remove(setting)));
        }
    }
}
