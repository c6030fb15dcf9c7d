//! The values that were given by flags and file, and where each comes from.

use std::path::PathBuf;

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::config_error::{ConfigError, Place};
use super::hyperparameter::owned;
use super::text::text;

/// The values that were given, by key, and where.
pub(super) struct Given {
    pub flags: Table,
    pub file: Table,
    pub path: PathBuf,
    pub defaults: Table,
}

impl Given {
    /// `path` is that of the file. A choice among the flags replaces the file's choice together with its settings.
    pub fn new(flags: Table, mut file: Table, path: PathBuf, defaults: Table) -> Self {
        if flags.contains_key("epochs") || flags.contains_key("steps") {
            file.remove("epochs");
            file.remove("steps");
        }
        for (setting, choice, owners) in owned() {
            if flags.get(choice).is_some_and(|chosen| !owners.contains(&text(chosen).as_str())) {
                file.remove(setting);
            }
        }
        Given { flags, file, path, defaults }
    }

    /// The error for a value out of its range.
    pub fn invalid(&self, key: &str, value: impl ToString, expected: impl ToString) -> ConfigError {
        let (value, expected) = (value.to_string(), expected.to_string());
        ConfigError::Invalid { place: self.place(key), value, expected }
    }

    pub fn place(&self, key: &str) -> Place {
        let (name, key) = (key, key.to_string());
        if self.flags.contains_key(name) {
            Place::Flag { key }
        } else if self.file.contains_key(name) {
            Place::File { key, path: self.path.clone() }
        } else {
            Place::Default { key }
        }
    }

    pub fn is_given(&self, key: &str) -> bool {
        self.flags.contains_key(key) || self.file.contains_key(key)
    }

    pub fn value(&self, key: &str) -> Option<&Value> {
        self.flags.get(key).or_else(|| self.file.get(key)).or_else(|| self.defaults.get(key))
    }

    /// Checks that no two settings exclude each other, and that each belongs to a choice that was made.
    ///
    /// # Errors
    /// [`ConfigError::TwoLengths`], [`ConfigError::Misplaced`].
    pub fn check_choices(&self) -> Result<(), ConfigError> {
        if self.is_given("epochs") && self.is_given("steps") {
            return Err(ConfigError::TwoLengths { epochs: self.place("epochs"), steps: self.place("steps") });
        }
        for (setting, choice, owners) in owned() {
            let chosen = self.value(choice).map(text).unwrap_or_default();
            if self.is_given(setting) && !owners.contains(&chosen.as_str()) {
                let place = self.place(setting);
                return Err(ConfigError::Misplaced { place, choice, owners, chosen });
            }
        }
        Ok(())
    }

    /// All values, defaults included.
    ///
    /// # Errors
    /// If a value does not have the type that `T` requires.
    pub fn config<T: DeserializeOwned>(&self) -> Result<T, ConfigError> {
        let mut all = self.defaults.clone();
        all.extend(self.file.clone());
        all.extend(self.flags.clone());
        all.try_into().map_err(|e: toml::de::Error| ConfigError::NotText { problem: e.message().into() })
    }
}
