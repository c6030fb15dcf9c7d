//! The command line: from arguments to requests; completions; exit codes.

mod args;
pub mod commands;
mod exit;
#[cfg(test)]
mod hyperparameter_tests;
#[cfg(test)]
mod preset_tests;
mod sweep_args;
#[cfg(test)]
mod sweep_tests;
#[cfg(test)]
mod tests;

use std::any::TypeId;
use std::borrow::Cow;
use std::ffi::OsString;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{CommandFactory, FromArgMatches};
use clap_complete::Shell;

pub use args::{
    BenchArgs, Cli, Command, CommonArgs, CompletionsArgs, DemoArgs, DescribeArgs, DevicesArgs, EvalArgs,
    LrFindArgs, MergeArgs, PredictArgs, ReportArgs, ReportingArgs, ReproArgs, ResumeArgs, SplitArg,
    SweepArgs, TrainArgs, WeightsArg,
};
pub use exit::Exit;
use sweep_args::any_case;

use crate::base::text::printable;
use crate::spec::{
    Bytes, ConfigError, Count, PartialConfig, PartialSweep, Real, RunRequest, Seed, SweepOptions,
    SweepRequest, resolve_over, resolve_sweep_over, shard_of, text,
};

/// The whole command line, with each default of `train` in its help. If a flag is given twice, the last one counts.
pub fn command() -> clap::Command {
    let mut defaults = PartialConfig::defaults().table().unwrap_or_default();
    defaults.extend(SweepOptions::defaults().table());
    let command = Cli::command().mut_subcommands(|command| command.mut_args(any_case));
    let with_defaults = |command: clap::Command| {
        let sweeps = matches!(command.get_name(), "sweep" | "auto");
        command.args_override_self(true).mut_args(|arg| {
            let default = arg.get_long().and_then(|long| defaults.get(long)).map(text);
            // In a sweep, commas separate architectures.
            let joined = sweeps && arg.get_long() == Some("hidden");
            let default = default.map(|text| if joined { text.replace(',', "-") } else { text });
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            // Accept negative numbers here: the check of the value refuses them with a better message.
            let arg = if is_number(&arg) { arg.allow_hyphen_values(true) } else { arg };
            match default {
                Some(default) => arg.help(format!("{help} [default: {default}]")),
                None => arg,
            }
        })
    };
    let not_of_lr_find = |arg: clap::Arg| match arg.get_long() {
        Some("lr" | "output" | "name" | "watch" | "ensemble" | "val-each") => arg.hide(true),
        Some("epochs") => arg.help("Passes over the training rows, instead of --steps"),
        Some("steps") => arg.help("Mini-batches to train at each rate [default: 300]"),
        _ => arg,
    };
    // The rest is accepted, too, but chosen by the data.
    let of_auto = |arg: clap::Arg| {
        let of_data = matches!(arg.get_help_heading(), Some("Data" | "Device" | "Output"));
        match arg.get_long() {
            Some("max-time") => arg.help("Time for everything, as 30s, 2m or 1h [default: 2m]"),
            Some("seed" | "help" | "threads") => arg,
            Some("watch") => arg.hide(true),
            _ => arg.hide(!of_data),
        }
    };
    let command = command.mut_subcommand("train", with_defaults).mut_subcommand("sweep", with_defaults);
    let command = command.mut_subcommand("auto", |auto| with_defaults(auto).mut_args(of_auto));
    command.mut_subcommand("lr-find", |lr_find| with_defaults(lr_find).mut_args(not_of_lr_find))
}

fn is_number(arg: &clap::Arg) -> bool {
    let of = arg.get_value_parser().type_id();
    let numbers = [TypeId::of::<Real>(), TypeId::of::<Count>(), TypeId::of::<Seed>(), TypeId::of::<Bytes>()];
    numbers.iter().any(|number| of == *number)
}

/// Parses the program's own arguments.
///
/// Wrong usage ends the process with [`Exit::Usage`] and a message, `--help` and `--version` with
/// [`Exit::Done`].
pub fn parse() -> Cli {
    try_parse_from(std::env::args_os()).unwrap_or_else(|error| {
        let text = error.render().to_string();
        // An argument may hold what a terminal would obey.
        if let (true, Cow::Owned(escaped)) = (error.use_stderr(), printable(&text)) {
            let _ = io::stderr().write_all(escaped.as_bytes());
            std::process::exit(error.exit_code());
        }
        error.exit()
    })
}

/// Parses arguments, the program's name first.
///
/// # Errors
/// clap's: wrong usage, or a request for help or the version.
pub fn try_parse_from<I, T>(args: I) -> Result<Cli, clap::Error>
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    Cli::from_arg_matches(&command().try_get_matches_from(args)?)
}

/// What was typed: flags, and the file of `--config`. The file is read once, as it may be a pipe.
#[derive(Clone, Debug)]
pub struct Typed<T> {
    pub flags: T,
    /// With its path.
    pub file: Option<(PathBuf, T)>,
}

impl<T> Typed<T> {
    fn read(
        flags: T,
        config: Option<PathBuf>,
        read: impl FnOnce(&Path) -> Result<T, ConfigError>,
    ) -> Result<Typed<T>, ConfigError> {
        let file = config.map(|path| read(&path).map(|config| (path, config))).transpose()?;
        Ok(Typed { flags, file })
    }

    /// Whether something holds for the flags or for the file.
    fn any(&self, is: impl Fn(&T) -> bool) -> bool {
        is(&self.flags) || self.file.as_ref().is_some_and(|(_, file)| is(file))
    }
}

impl TrainArgs {
    /// Reads the file of `--config`.
    ///
    /// # Errors
    /// If it cannot be used.
    pub fn typed(self) -> Result<Typed<PartialConfig>, ConfigError> {
        Typed::read(self.flags, self.config, PartialConfig::from_file)
    }

    /// The requested run: flags over `--config` over defaults.
    ///
    /// # Errors
    /// If the file or a value cannot be used; the program then ends with [`Exit::Usage`].
    pub fn request(self) -> Result<RunRequest, ConfigError> {
        self.typed()?.request_over("")
    }
}

impl Typed<PartialConfig> {
    /// The requested run, with the defaults of `preset`, the text of a file.
    ///
    /// # Errors
    /// As [`TrainArgs::request`].
    pub fn request_over(&self, preset: &str) -> Result<RunRequest, ConfigError> {
        let mut preset = PartialConfig::from_toml(preset, "preset".as_ref())?;
        // It records one model.
        if self.any(|config| config.watch.is_some()) {
            (preset.ensemble, preset.sub_models) = (None, None);
        }
        // Rows that are asked for are those of all models.
        if self.any(|config| config.val_split.is_some() || config.folds.is_some()) {
            preset.val_each = None;
        }
        let mut file = self.file.clone();
        if let (true, Some((_, file))) =
            (self.flags.val_split.is_some() || self.flags.folds.is_some(), &mut file)
        {
            file.val_each = None;
        }
        resolve_over(self.flags.clone(), file, preset)
    }
}

impl SweepArgs {
    /// Reads the file of `--config`.
    ///
    /// # Errors
    /// If it cannot be used.
    pub fn typed(self) -> Result<Typed<PartialSweep>, ConfigError> {
        Typed::read(self.flags, self.config, PartialSweep::from_file)
    }

    /// The requested sweep: flags over `--config` over defaults, with the shard from the environment if neither sets
    /// one.
    ///
    /// # Errors
    /// If the file or a value cannot be used; the program then ends with [`Exit::Usage`].
    pub fn request(self) -> Result<SweepRequest, ConfigError> {
        self.typed()?.request_over("")
    }
}

impl Typed<PartialSweep> {
    /// The requested sweep, with the defaults of `preset`, the text of a file.
    ///
    /// # Errors
    /// As [`SweepArgs::request`].
    pub fn request_over(&self, preset: &str) -> Result<SweepRequest, ConfigError> {
        let mut preset = PartialSweep::from_toml(preset, "preset".as_ref())?;
        // Rows that are asked for are those of all trainings.
        if self.any(PartialSweep::has_val_split) {
            preset.drop_folds();
        }
        // An explicit shard wins over the environment.
        let given = self.any(PartialSweep::has_shard);
        let shard = if given { None } else { shard_of(|name| std::env::var(name).ok())? };
        resolve_sweep_over(self.flags.clone(), self.file.clone(), preset, shard)
    }
}

/// Writes the completions of a shell.
///
/// # Errors
/// The writer's, a broken pipe among them.
pub fn completions(shell: Shell, out: &mut impl Write) -> io::Result<()> {
    // clap_complete panics if it cannot write, so write to memory first.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command(), "bngpu", &mut script);
    out.write_all(&script)
}
