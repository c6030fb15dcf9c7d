//! From what a sweep was told to what it is to do: flags over file over defaults, then every check.

use std::path::PathBuf;

use serde_json::Value;
use toml::Table;

use super::resolve::{BELONGS, Given};
use super::space::{MAX_TRIALS, Params, SEARCHABLE};
use super::space_text::{Reader, is_searchable, to_json, to_toml};
use super::sweep_config::SweepOptions;
use super::{
    ConfigError, Count, Dimension, Domain, Halving, Length, Objective, PartialConfig, PartialSweep, Place,
    RunRequest, Shard, Space, Strategy, SweepRequest, text,
};

/// Most settings of a Sobol sequence.
const MAX_SOBOL: u64 = 65_536;

/// What is asked for: flags over the file (and its path) over the defaults; `shard` is what the environment says, and
/// counts where neither flags nor file have one.
///
/// A choice among the flags replaces the file's choice together with the settings that only that had.
///
/// # Errors
/// If a set or a range cannot be understood, a value anywhere in it is out of its range, a setting belongs to
/// something that no trial has, or the sweep's own settings do not fit each other; the message names the flag or the
/// file's key, and what to write.
pub fn resolve_sweep(
    flags: PartialSweep,
    file: Option<(PathBuf, PartialSweep)>,
    shard: Option<Shard>,
) -> Result<SweepRequest, ConfigError> {
    let (path, file) = file.unwrap_or_default();
    let own = Given::new(
        flags.options.table(),
        file.options.table(),
        path.clone(),
        SweepOptions::defaults().table(),
    );
    let asked = Asked::new(flags, file, path)?;
    asked.check_choices()?;
    asked.check_values()?;
    let mut base = asked.request(&Params::new())?;
    let max_time = base.training.max_time.take();
    Own { given: &own, options: own.config()?, asked: &asked, base: &base }.request(max_time, shard)
}

/// The hyperparameters that were asked for, and where.
struct Asked {
    /// Single values of the flags, and of the file.
    flags: Table,
    file: Table,
    path: PathBuf,
    defaults: Table,
    /// What is searched, in the order of [`SEARCHABLE`], and whether a flag says so.
    dimensions: Vec<(Dimension, bool)>,
}

impl Asked {
    fn new(flags: PartialSweep, file: PartialSweep, path: PathBuf) -> Result<Self, ConfigError> {
        let reader = Reader::new();
        let read = |space: Table, place: &dyn Fn(String) -> Place| {
            let domain = |(key, given): (String, toml::Value)| match reader.domain_of(&key, &given) {
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
            defaults: PartialConfig::defaults().table()?,
            dimensions: Vec::new(),
        };
        if let Some(key) = file.space.keys().find(|key| asked.file.contains_key(*key)) {
            return Err(ConfigError::Twice { path, key: key.clone() });
        }
        let by_file = read(file.space, &|key| Place::File { key, path: path.clone() })?;
        let by_flags = read(flags.space, &|key| Place::Flag { key })?;
        for (domains, by_flag) in [(by_file, false), (by_flags, true)] {
            for (key, domain) in domains {
                asked.insert(key, domain, by_flag);
            }
        }
        // A choice among the flags drops the settings in the file that it has no use for.
        for (setting, choice, owners) in BELONGS {
            let chosen_by_flag = asked.flags.contains_key(choice)
                || asked.dimensions.iter().any(|(dimension, by_flag)| *by_flag && dimension.key == choice);
            if chosen_by_flag
                && !asked.possible(choice).iter().any(|chosen| owners.contains(&chosen.as_str()))
            {
                asked.file.remove(setting);
                asked.dimensions.retain(|(dimension, by_flag)| *by_flag || dimension.key != setting);
            }
        }
        let order = |key: &str| SEARCHABLE.iter().position(|other| *other == key);
        asked.dimensions.sort_by_key(|(dimension, _)| order(&dimension.key));
        Ok(asked)
    }

    fn insert(&mut self, key: String, domain: Domain, by_flag: bool) {
        self.file.remove(&key);
        self.dimensions.retain(|(dimension, _)| dimension.key != key);
        let single = match &domain {
            Domain::Set(values) if values.len() == 1 => to_toml(&key, &values[0]),
            _ => None,
        };
        match single {
            Some(value) if by_flag => drop(self.flags.insert(key, value)),
            Some(value) => drop(self.file.insert(key, value)),
            None => self.dimensions.push((Dimension { key, domain }, by_flag)),
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
            Some(domain) => domain.ends().iter().map(super::space::value_text).collect(),
            None => self.single(choice).map(text).into_iter().collect(),
        }
    }

    fn place(&self, key: &str) -> Place {
        let (name, key) = (key, key.to_string());
        let searched = self.dimensions.iter().find(|(dimension, _)| dimension.key == name);
        if self.flags.contains_key(name) || searched.is_some_and(|(_, by_flag)| *by_flag) {
            Place::Flag { key }
        } else if self.file.contains_key(name) || searched.is_some() {
            Place::File { key, path: self.path.clone() }
        } else {
            Place::Default { key }
        }
    }

    /// Whether each given setting belongs to something that a trial has.
    fn check_choices(&self) -> Result<(), ConfigError> {
        for (setting, choice, owners) in BELONGS {
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

    /// Whether every value of every set, and both ends of every range, can be trained beside all others: each is tried
    /// in the strictest company that the space has for it.
    fn check_values(&self) -> Result<(), ConfigError> {
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
            for (_, choice, owners) in BELONGS.iter().filter(|(setting, ..)| *setting == dimension.key) {
                let chosen = self.domain(choice).map(Domain::ends).unwrap_or_default();
                let owner =
                    chosen.into_iter().find(|v| owners.contains(&super::space::value_text(v).as_str()));
                picks.extend(owner.map(|owner| (choice.to_string(), owner)));
            }
            for value in dimension.domain.ends() {
                picks.insert(dimension.key.clone(), value);
                self.request(&picks)?;
            }
        }
        Ok(())
    }

    /// The training with these values, and the first value of what is searched beside.
    fn request(&self, picks: &Params) -> Result<RunRequest, ConfigError> {
        let (mut flags, mut file) = (self.flags.clone(), self.file.clone());
        for (dimension, by_flag) in &self.dimensions {
            let key = &dimension.key;
            let value = picks.get(key).cloned().unwrap_or_else(|| dimension.domain.first());
            let table = if *by_flag { &mut flags } else { &mut file };
            table.extend(to_toml(key, &value).map(|value| (key.clone(), value)));
        }
        drop_unowned(&mut [&mut flags, &mut file], &self.defaults);
        Given::new(flags, file, self.path.clone(), self.defaults.clone()).run_request()
    }

    /// See [`SweepRequest::settings`].
    fn settings(&self) -> Params {
        let mut settings = Params::new();
        let mut add = |key: &str, value: Option<&toml::Value>| {
            settings.extend(value.map(|value| (key.to_owned(), to_json(key, value))));
        };
        if self.domain("activation").is_some() && self.domain("init").is_none() {
            add("init", self.single("init"));
        }
        for (setting, choice, owners) in BELONGS {
            let varies = self.domain(choice).is_some() && self.domain(setting).is_none();
            if varies && self.possible(choice).iter().any(|chosen| owners.contains(&chosen.as_str())) {
                add(setting, self.single(setting));
            }
        }
        settings
    }
}

/// Takes out the settings of what is not chosen; the tables are in the order in which they count.
fn drop_unowned(tables: &mut [&mut Table], defaults: &Table) {
    for (setting, choice, owners) in BELONGS {
        let chosen = tables.iter().find_map(|table| table.get(choice)).or_else(|| defaults.get(choice));
        let chosen = chosen.map(text).unwrap_or_default();
        if !owners.contains(&chosen.as_str()) {
            tables.iter_mut().for_each(|table| drop(table.remove(setting)));
        }
    }
}

/// The sweep's own settings beside the rest.
struct Own<'a> {
    given: &'a Given,
    options: SweepOptions,
    asked: &'a Asked,
    base: &'a RunRequest,
}

impl Own<'_> {
    fn request(
        &self,
        max_time: Option<std::time::Duration>,
        shard: Option<Shard>,
    ) -> Result<SweepRequest, ConfigError> {
        let options = &self.options;
        let space = Space { dimensions: self.asked.dimensions.iter().map(|(d, _)| d.clone()).collect() };
        let strategy = self.strategy(&space)?;
        let trials = self.trials(&space, strategy)?;
        let count = |value: Option<Count>| value.map_or(0, |count| count.0);
        for (key, value) in [
            ("seeds", options.seeds),
            ("final-seeds", options.final_seeds),
            ("queues", options.queues),
            ("population", options.population),
        ] {
            if value == Some(Count(0)) {
                let expected = match key {
                    "queues" | "population" => "write 1 or more, or leave it out",
                    _ => "write 1 or more, for example 5",
                };
                return Err(self.given.invalid(key, 0, expected));
            }
        }
        let (seed, seeds) = (self.base.training.seed, u64::from(count(options.seeds)));
        if seed.checked_add(seeds).is_none() {
            let expected =
                format!("write at most {}, so that --seeds {seeds} have numbers", u64::MAX - seeds);
            return Err(self.asked_invalid("seed", seed, &expected));
        }
        let (finalists, final_seeds) = (count(options.finalists), count(options.final_seeds));
        if finalists == 0 && self.given.is_given("final-seeds") {
            let expected = "but --finalists 0 has no final comparison; drop one of them";
            return Err(self.given.invalid("final-seeds", final_seeds, expected));
        }
        if options.devices.is_some() && !matches!(self.asked.place("device"), Place::Default { .. }) {
            let expected = "but --devices all takes every device; drop one of them";
            return Err(self.asked_invalid("device", &self.base.device, expected));
        }
        if self.base.data.val_split == 0.0 {
            let expected =
                "a sweep compares its trials on the validation rows: write a share above 0, for example 0.1";
            return Err(self.asked_invalid("val-split", 0, expected));
        }
        let shard = options.shard.or(shard).filter(|shard| shard.count > 1);
        if let (Strategy::Tpe, Some(shard)) = (strategy, shard) {
            let expected = "but tpe learns from all trials, which no part has; write --strategy random or sobol, or drop \
                            the shard";
            return Err(match self.given.is_given("shard") {
                true => self.given.invalid("shard", shard, expected),
                false => {
                    ConfigError::NoShard { problem: format!("the environment makes it {shard}, {expected}") }
                }
            });
        }
        Ok(SweepRequest {
            base: self.base.clone(),
            space,
            settings: self.asked.settings(),
            strategy,
            trials,
            seeds: count(options.seeds),
            halving: self.halving()?,
            objective: options.objective.unwrap_or(Objective::ValLoss),
            finalists,
            final_seeds,
            queues: options.queues.map(|queues| queues.0),
            all_devices: options.devices.is_some(),
            population: options.population.map(|models| models.0),
            max_time,
            shard,
            keep: count(options.keep),
            tensorboard: options.tensorboard == Some(true),
        })
    }

    fn asked_invalid(&self, key: &str, value: impl ToString, expected: &str) -> ConfigError {
        let (place, value) = (self.asked.place(key), value.to_string());
        ConfigError::Invalid { place, value, expected: expected.into() }
    }

    fn strategy(&self, space: &Space) -> Result<Strategy, ConfigError> {
        let range = space.dimensions.iter().find(|d| matches!(d.domain, Domain::Range { .. }));
        match (self.options.strategy, range) {
            (Some(Strategy::Grid), Some(range)) => Err(self.asked_invalid(
                &range.key,
                "a range",
                "a grid has sets only: write its values, for example 0.1,0.2, or use --strategy random, sobol or tpe",
            )),
            (Some(strategy), _) => Ok(strategy),
            (None, Some(_)) => Ok(Strategy::Random),
            (None, None) => Ok(Strategy::Grid),
        }
    }

    fn trials(&self, space: &Space, strategy: Strategy) -> Result<u64, ConfigError> {
        let given = self.options.trials.map(|trials| u64::from(trials.0));
        let invalid = |expected: String| Err(self.given.invalid("trials", given.unwrap_or(0), expected));
        if given == Some(0) {
            return invalid("write 1 or more, for example 64".into());
        }
        if strategy == Strategy::Grid {
            let grid = space.grid_len();
            return match (given, grid) {
                (Some(trials), Some(grid)) if trials > grid => invalid(format!(
                    "the grid has {grid}: write {grid} or fewer, or leave it out; --seeds repeats trials"
                )),
                (Some(trials), Some(_)) if trials <= MAX_TRIALS => Ok(trials),
                (None, Some(grid)) if grid <= MAX_TRIALS => Ok(grid),
                (Some(trials), Some(_)) => Err(self.given.invalid("trials", trials, at_most(MAX_TRIALS))),
                (_, None) => {
                    Err(ConfigError::Grid { size: "more combinations than 64 bits can count".into() })
                }
                (None, Some(grid)) => Err(ConfigError::Grid { size: format!("{grid} combinations") }),
            };
        }
        let limit = if strategy == Strategy::Sobol { MAX_SOBOL } else { MAX_TRIALS };
        match given {
            None => Err(ConfigError::NoTrials { strategy: strategy.name() }),
            Some(trials) if trials > limit => invalid(at_most(limit)),
            Some(trials) => Ok(trials),
        }
    }

    fn halving(&self) -> Result<Option<Halving>, ConfigError> {
        let options = &self.options;
        let (eta, min_epochs) = (options.eta.map_or(0, |n| n.0), options.min_epochs.map_or(0, |n| n.0));
        if options.halving != Some(true) {
            for key in ["eta", "min-epochs"] {
                if self.given.is_given(key) {
                    let (place, chosen) = (self.given.place(key), "off".into());
                    return Err(ConfigError::Misplaced { place, choice: "halving", owners: &["on"], chosen });
                }
            }
            return Ok(None);
        }
        if eta < 2 {
            let expected = "one trial in so many goes on: write 2 or more, for example 3";
            return Err(self.given.invalid("eta", eta, expected));
        }
        match self.base.training.length {
            Length::Steps(steps) => {
                let expected = "but --halving counts epochs: write --epochs instead, or drop --halving";
                Err(self.asked_invalid("steps", steps, expected))
            }
            Length::Epochs(epochs) if min_epochs == 0 || u64::from(min_epochs) > epochs => {
                let expected =
                    format!("write 1 to {epochs}, the epochs of a whole training, or more --epochs");
                Err(self.given.invalid("min-epochs", min_epochs, expected))
            }
            Length::Epochs(_) => Ok(Some(Halving { eta, min_epochs: min_epochs.into() })),
        }
    }
}

fn at_most(limit: u64) -> String {
    format!("write {limit} or fewer")
}

impl SweepRequest {
    /// The complete, validated request of one training: these values beside what is the same in all trials.
    ///
    /// # Errors
    /// If a value is of a wrong type or out of its range, which those of the sweep's own trials are not.
    pub fn run_request(&self, params: &Params, seed: u64) -> Result<RunRequest, ConfigError> {
        let defaults = PartialConfig::defaults().table()?;
        let mut base = self.base.clone();
        base.training.seed = seed;
        let mut table = self.shared_table(&base)?;
        for (key, value) in self.settings.iter().chain(params).filter(|(key, _)| is_searchable(key)) {
            table.extend(to_toml(key, value).map(|value| (key.clone(), value)));
        }
        drop_unowned(&mut [&mut table], &defaults);
        let request = Given::new(table, Table::new(), PathBuf::new(), defaults).run_request()?;
        let RunRequest { json, quiet, log, .. } = self.base;
        Ok(RunRequest { json, quiet, log, ..request })
    }

    /// What all trials share of `base`: without what is searched, and without what depends on that.
    pub(super) fn shared_table(&self, base: &RunRequest) -> Result<Table, ConfigError> {
        let mut table = PartialConfig::from(base).table()?;
        table.retain(|key, _| {
            let depends = BELONGS
                .iter()
                .any(|(setting, choice, _)| *setting == key && self.space.get(choice).is_some())
                || (key == "init" && self.space.get("activation").is_some());
            !depends && self.space.get(key).is_none()
        });
        Ok(table)
    }
}
