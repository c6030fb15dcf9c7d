//! From a sweep as typed to a request: flags over file over defaults, then every check.

use std::path::{Path, PathBuf};

use super::asked::Asked;
use super::config_error::ConfigError;
use super::given::Given;
use super::shard::Shard;
use super::sweep::SweepRequest;
use super::sweep_config::{PartialSweep, SweepOptions};
use super::sweep_own::Own;

/// The sweep that flags and a file (with its path) describe: flags over the file over the defaults. `shard` is that of
/// the environment, used if neither flags nor file name one.
///
/// A choice among the flags replaces the file's choice together with the settings that belong to it.
///
/// # Errors
/// If a set or a range cannot be parsed, one of its values is out of its range, a setting belongs to a choice that no
/// trial makes, or the sweep's own settings do not fit each other; the message names the flag or the file's key, and
/// what to write.
pub fn resolve_sweep(
    flags: PartialSweep,
    file: Option<(PathBuf, PartialSweep)>,
    shard: Option<Shard>,
) -> Result<SweepRequest, ConfigError> {
    resolve_sweep_over(flags, file, PartialSweep::default(), shard)
}

/// As [`resolve_sweep`], with the defaults of `preset` in place of the usual ones.
///
/// # Errors
/// As [`resolve_sweep`].
pub fn resolve_sweep_over(
    flags: PartialSweep,
    file: Option<(PathBuf, PartialSweep)>,
    preset: PartialSweep,
    shard: Option<Shard>,
) -> Result<SweepRequest, ConfigError> {
    let (path, file) = file.unwrap_or_default();
    let own = Given::new(
        flags.options.table(),
        file.options.table(),
        path.clone(),
        preset.options.clone().over(SweepOptions::defaults()).table(),
    );
    let asked = Asked::new(flags, file, preset, path)?;
    asked.check_supported()?;
    asked.check_choices()?;
    asked.check_values()?;
    let mut base = asked.request(&asked.longest())?;
    let max_time = base.training.max_time.take();
    Own { given: &own, options: own.config()?, asked: &asked, base: &base }.request(max_time, shard)
}

impl SweepRequest {
    /// Reads what [`SweepRequest::to_toml`] writes, or any configuration file of a sweep; `path` names it in errors.
    /// It does not read a shard from the environment.
    ///
    /// # Errors
    /// As [`resolve_sweep`].
    pub fn from_toml(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let file = PartialSweep::from_toml(text, path)?;
        resolve_sweep(PartialSweep::default(), Some((path.to_path_buf(), file)), None)
    }

    /// Reads the `config.toml` of a sweep's folder: as [`SweepRequest::from_toml`], with the settings of older versions.
    ///
    /// # Errors
    /// As [`resolve_sweep`].
    pub fn of_run(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let mut file = PartialSweep::from_toml(text, path)?;
        file.fixed = file.fixed.of_run();
        resolve_sweep(PartialSweep::default(), Some((path.to_path_buf(), file)), None)
    }
}
