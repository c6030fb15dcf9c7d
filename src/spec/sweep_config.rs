//! The configuration of a sweep as typed: the flags of `train`, of which each hyperparameter takes a set or a range,
//! and the sweep's own.
//!
//! No flag of `train` stands here a second time: the arguments are those of [`PartialConfig`], with text for the
//! values of hyperparameters.

use std::ffi::OsString;
use std::path::Path;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, FromArgMatches, ValueEnum};
use serde::{Deserialize, Serialize};
use toml::Table;
use toml::de::{DeTable, DeValue};

use super::document::{Document, read_file};
use super::space_text::{Kind, is_searchable, kind};
use super::values::Count;
use super::{ConfigError, Objective, PartialConfig, SEARCHABLE, Shard, Strategy};

const SWEEP: &str = "Sweep";

/// How sets and ranges are written, below the help.
pub const SPACE_SYNTAX: &str = "\
Sets and ranges, for every flag under Network, and under Training from --optimizer to --batch-size:
  --lr 0.1,0.01,0.001          a set
  --lr 1e-4..1e-1:log          a range, uniform in the logarithm
  --dropout 0..0.5             a range, uniform
  --beta1 0.9..0.9995:ema      a range, uniform in the logarithm of 1/(1-beta), the number of steps
                               remembered: as many values from 0.9 to 0.99 as from 0.99 to 0.999
  --batch-size 32..256:log     whole numbers, as the flag's
  --hidden 64x2,128x3,256-128  architectures; - joins the layers of one, none is a linear model
  --activation relu,tanh       names
  --bn both                    off and on; --bn alone is on
In the file of --config, single values stand at the top level as for `train`, sets and ranges
under [space], as the same text or as arrays: lr = \"1e-4..1e-1:log\", batch-size = [32, 64].";

/// `--devices`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Devices {
    /// every adapter and the CPU engine
    All,
}

/// The flags that `sweep` has and `train` has not, each given or not; keys of a file alike.
#[derive(Args, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct SweepOptions {
    /// How the values of the trials are chosen: every combination of sets, independent draws, a Sobol sequence, or a tree-structured Parzen estimator [default: grid where every space is a set, else random]
    #[arg(long, value_name = "NAME", help_heading = SWEEP)]
    pub strategy: Option<Strategy>,
    /// Settings to try; of a grid a part, drawn by --seed [default: the whole grid]
    #[arg(long, value_name = "N", help_heading = SWEEP)]
    pub trials: Option<Count>,
    /// Train each setting with this many seeds, from --seed on
    #[arg(long, value_name = "S", help_heading = SWEEP)]
    pub seeds: Option<Count>,
    /// Stop trials early by successive halving: at each rung one in --eta goes on
    #[arg(long, help_heading = SWEEP, num_args = 0, default_missing_value = "true")]
    pub halving: Option<bool>,
    /// Halving: one trial in this many goes on, this many times as far
    #[arg(long, value_name = "ETA", help_heading = SWEEP)]
    pub eta: Option<Count>,
    /// Halving: epochs of the first rung
    #[arg(long, value_name = "N", help_heading = SWEEP)]
    pub min_epochs: Option<Count>,
    /// What makes one trial better than another
    #[arg(long, value_name = "NAME", help_heading = SWEEP)]
    pub objective: Option<Objective>,
    /// Trials that are compared at the end with new seeds and on the test rows, at most; 0 leaves it out
    #[arg(long, value_name = "N", help_heading = SWEEP)]
    pub finalists: Option<Count>,
    /// New seeds of each finalist
    #[arg(long, value_name = "R", help_heading = SWEEP)]
    pub final_seeds: Option<Count>,
    /// Queues of each device [default: what was measured to be best]
    #[arg(long, value_name = "Q", help_heading = SWEEP)]
    pub queues: Option<Count>,
    /// Train on every adapter of the machine and on the CPU, instead of --device
    #[arg(long, value_name = "WHICH", help_heading = SWEEP)]
    pub devices: Option<Devices>,
    /// Models that train at once on a queue, at most [default: as many as memory and speed allow]
    #[arg(long, value_name = "K", help_heading = SWEEP)]
    pub population: Option<Count>,
    /// Trials whose weights are kept, the best ones
    #[arg(long, value_name = "N", help_heading = SWEEP)]
    pub keep: Option<Count>,
    /// Write TensorBoard event files of the trials that are kept
    #[arg(long, help_heading = SWEEP, num_args = 0, default_missing_value = "true")]
    pub tensorboard: Option<bool>,
    /// Only part I of N of the trials, from 0/N; read by itself from a Slurm job array or an indexed Kubernetes job (with BNGPU_SHARDS) [default: all]
    #[arg(long, value_name = "I/N", help_heading = SWEEP)]
    pub shard: Option<Shard>,
}

impl SweepOptions {
    /// Every default that does not depend on other values; each stands here alone.
    pub fn defaults() -> Self {
        SweepOptions {
            seeds: Some(Count(1)),
            halving: Some(false),
            eta: Some(Count(3)),
            min_epochs: Some(Count(1)),
            objective: Some(Objective::ValLoss),
            finalists: Some(Count(3)),
            final_seeds: Some(Count(5)),
            keep: Some(Count(10)),
            tensorboard: Some(false),
            ..Default::default()
        }
    }

    /// The given values by key.
    pub fn table(&self) -> Table {
        Table::try_from(self).unwrap_or_else(|e| unreachable!("numbers and names are valid TOML: {e}"))
    }

    /// Every key: the long flags.
    pub fn keys() -> Vec<String> {
        let command = Self::augment_args(clap::Command::new("keys"));
        command.get_arguments().filter_map(|arg| arg.get_long()).map(String::from).collect()
    }
}

/// Everything `sweep` can be told, each value given or not.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PartialSweep {
    /// What is not searched; of a file the single values of hyperparameters too.
    pub(super) fixed: PartialConfig,
    /// Values of hyperparameters by key, as typed.
    pub(super) space: Table,
    pub(super) options: SweepOptions,
}

impl PartialSweep {
    /// Whether it says which part of the trials is meant.
    pub fn has_shard(&self) -> bool {
        self.options.shard.is_some()
    }

    /// Reads a configuration file.
    ///
    /// # Errors
    /// If the file cannot be read, is not TOML, or has an unknown key or a value of a wrong type;
    /// all of them name the file, the latter three the line.
    pub fn from_file(path: &Path) -> Result<Self, ConfigError> {
        Self::from_toml(&read_file(path)?, path)
    }

    /// Reads the text of a configuration file; `path` names it in errors.
    ///
    /// # Errors
    /// As [`PartialSweep::from_file`], except that nothing is read.
    pub fn from_toml(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let document = Document::parse(text, path)?;
        let (train, own) = (PartialConfig::keys(), SweepOptions::keys());
        let known: Vec<String> = train.iter().chain(&own).cloned().chain(["space".into()]).collect();
        let otherwise = "the keys are the flags of `bngpu sweep --help` without --, at the top level or, with sets \
                         and ranges, under [space]";
        document.check_keys(document.root(), &known, otherwise)?;
        let (mut fixed, mut options, mut space) = (DeTable::new(), DeTable::new(), DeTable::new());
        for (key, value) in document.root() {
            let name = key.get_ref().as_ref();
            let (key, entry) = (key.clone(), value.clone());
            match value.get_ref() {
                DeValue::Table(table) if name == "space" => space = table.clone(),
                _ if name == "space" => {
                    drop(document.read::<SpaceTable>(DeTable::from_iter([(key, entry)]))?)
                }
                _ if own.iter().any(|own| own == name) => drop(options.insert(key, entry)),
                _ => drop(fixed.insert(key, entry)),
            }
        }
        let known = SEARCHABLE.map(String::from);
        let otherwise = "the keys of [space] are the hyperparameters of `bngpu sweep --help` without --; others take \
                         one value, at the top level";
        document.check_keys(&space, &known, otherwise)?;
        let fixed = document.read(fixed).map_err(|error| match error {
            ConfigError::WrongType { path, line, key, problem } if is_searchable(&key) => {
                let problem = format!("{problem}; sets and ranges stand under [space]");
                ConfigError::WrongType { path, line, key, problem }
            }
            other => other,
        })?;
        Ok(PartialSweep { fixed, space: document.read(space)?, options: document.read(options)? })
    }
}

/// What the key `space` must be.
#[derive(Deserialize)]
struct SpaceTable {
    #[expect(dead_code, reason = "read for its error alone")]
    space: Table,
}

/// An argument of `train` as `sweep` has it: a hyperparameter takes the text of a set or a range.
fn argument(arg: &Arg) -> Arg {
    let given = arg.clone();
    if !arg.get_long().is_some_and(is_searchable) {
        return match arg.get_long() {
            Some("max-time") => {
                given.help("Stop the whole sweep after this time, as 10m or 1h30m [default: no limit]")
            }
            Some("patience") => {
                given.help("Stop a trial after N epochs without a better validation loss [default: never]")
            }
            Some("seed") => {
                given.help("Number of the study: what is tried and everything random come from it")
            }
            // Named, where it is given, by the error of `resolve_sweep`.
            Some("watch") => given.hide(true),
            Some("output") => given.help("Folder of the sweep [default: runs/DATE-NAME]"),
            Some("name") => given.help("Name of the sweep [default: from the data]"),
            _ => given,
        };
    }
    let names: Vec<String> =
        arg.get_possible_values().iter().map(|name| name.get_name().to_owned()).collect();
    let text = given.value_parser(clap::value_parser!(String));
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    match kind(arg) {
        // A negative number reaches the check of its value, whose message says what to write.
        Kind::Real | Kind::Whole => text.allow_hyphen_values(true),
        Kind::Switch => text.num_args(0..=1).value_name("on|off|both"),
        Kind::Text if names.is_empty() && arg.get_long() == Some("hidden") => text.help(
            "Architectures: 64x2 for two layers of 64, 256-128 for two unequal ones, none for a linear model; \
             commas separate architectures",
        ),
        Kind::Text if names.is_empty() => text,
        Kind::Text => text.help(format!("{help}: {}", names.join(", "))),
    }
}

impl Args for PartialSweep {
    fn augment_args(command: clap::Command) -> clap::Command {
        let train = PartialConfig::augment_args(clap::Command::new("train"));
        let command = train.get_arguments().fold(command, |command, arg| command.arg(argument(arg)));
        SweepOptions::augment_args(command)
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for PartialSweep {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let train = PartialConfig::augment_args(clap::Command::new("train").no_binary_name(true));
        let mut space = Table::new();
        // What is not searched is read by the parser of `train`, from what was written.
        let mut written = Vec::new();
        for arg in train.get_arguments() {
            let (id, Some(long)) = (arg.get_id().as_str(), arg.get_long()) else { continue };
            if matches.value_source(id) != Some(ValueSource::CommandLine) {
                continue;
            }
            let negated = long.strip_prefix("no-").filter(|key| is_searchable(key));
            if let Some(key) = negated {
                space.insert(key.into(), "off".into());
            } else if is_searchable(long) {
                let text = matches.get_one::<String>(id).cloned().unwrap_or_default();
                space.insert(long.into(), text.into());
            } else {
                let takes_value = arg.get_action().takes_values()
                    && arg.get_num_args().is_none_or(|count| count.max_values() > 0);
                let value =
                    matches.get_raw(id).and_then(|mut values| values.next_back()).filter(|_| takes_value);
                let mut flag = OsString::from(format!("--{long}"));
                if let Some(value) = value {
                    flag.push("=");
                    flag.push(value);
                }
                written.push(flag);
            }
        }
        let fixed = train.mut_args(super::any_case).try_get_matches_from(written)?;
        Ok(PartialSweep {
            fixed: PartialConfig::from_arg_matches(&fixed)?,
            space,
            options: SweepOptions::from_arg_matches(matches)?,
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
