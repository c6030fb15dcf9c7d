//! The flags of `sweep`: those of `train`, with text for the values of hyperparameters, and the sweep's own.

use std::ffi::OsString;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Args, FromArgMatches};
use toml::Table;

use crate::spec::{Hyperparameter, Kind, PartialConfig, PartialSweep, SweepOptions, hyperparameter};

/// How sets and ranges are written, below the help.
pub(super) const SPACE_SYNTAX: &str = "\
Sets and ranges, for every flag under Network, and under Training from --optimizer to --epochs:
  --lr 0.1,0.01,0.001          a set
  --lr 1e-4..1e-1:log          a range, uniform in the logarithm
  --dropout 0..0.5             a range, uniform
  --beta1 0.9..0.9995:ema      a range, uniform in the logarithm of 1/(1-beta), the number of steps
                               remembered: as many values from 0.9 to 0.99 as from 0.99 to 0.999
  --batch-size 32..256:log     whole numbers, as for the flag
  --hidden 64x2,128x3,256-128  architectures; - joins the layers of one, none is a linear model
  --activation relu,tanh       names
  --bn both                    off and on; --bn alone is on
In a --config file, write single values at the top level, as for `train`, and sets and ranges
under [space], as the same text or as arrays: lr = \"1e-4..1e-1:log\", batch-size = [32, 64].";

/// Makes listed names match in any case.
pub(super) fn any_case(arg: Arg) -> Arg {
    let takes_value =
        arg.get_action().takes_values() && arg.get_num_args().is_none_or(|n| n.max_values() > 0);
    let listed = takes_value && arg.get_value_parser().possible_values().is_some();
    if listed { arg.ignore_case(true) } else { arg }
}

/// An argument of `train`, adapted to `sweep`: a hyperparameter takes the text of a set or a range.
fn argument(arg: &Arg) -> Arg {
    let given = arg.clone();
    let Some(Hyperparameter { kind, .. }) = arg.get_long().and_then(hyperparameter) else {
        return match arg.get_long() {
            Some("max-time") => {
                given.help("Stop the whole sweep after this time, as 10m or 1h30m [default: no limit]")
            }
            Some("patience") => {
                given.help("Stop a trial after N epochs without a better validation loss [default: never]")
            }
            Some("seed") => given.help("Seed of the study: determines its trials and all random numbers"),
            // `resolve_sweep` refuses it with a message of its own.
            Some("watch" | "ensemble" | "val-each") => given.hide(true),
            Some("output") => given.help("Folder of the sweep [default: runs/DATE-NAME]"),
            Some("name") => given.help("Name of the sweep [default: from the data]"),
            _ => given,
        };
    };
    let text = given.value_parser(clap::value_parser!(String));
    let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
    match kind {
        // Accept negative numbers here: the check of the value refuses them with a better message.
        Kind::Real(_) | Kind::Whole(_) => text.allow_hyphen_values(true),
        Kind::Switch => text.num_args(0..=1).value_name("on|off|both"),
        Kind::Architecture => text.help(
            "Architectures: 64x2 for two layers of 64, 256-128 for two unequal ones, none for a linear model; \
             commas separate architectures",
        ),
        Kind::Init | Kind::Embed => text,
        Kind::Name(names) => text.help(format!("{help}: {}", names.join(", "))),
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
        // The parser of `train` reads the other flags, from the text as typed.
        let mut written = Vec::new();
        for arg in train.get_arguments() {
            let (id, Some(long)) = (arg.get_id().as_str(), arg.get_long()) else { continue };
            if matches.value_source(id) != Some(ValueSource::CommandLine) {
                continue;
            }
            let negated = long.strip_prefix("no-").filter(|key| hyperparameter(key).is_some());
            if let Some(key) = negated {
                space.insert(key.into(), "off".into());
            } else if hyperparameter(long).is_some() {
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
        let fixed = train.mut_args(any_case).try_get_matches_from(written)?;
        let fixed = PartialConfig::from_arg_matches(&fixed)?;
        Ok(PartialSweep::new(fixed, space, SweepOptions::from_arg_matches(matches)?))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
