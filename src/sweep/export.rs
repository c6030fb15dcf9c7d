//! Files of a sweep for other programs.
//!
//! To add one: a file with a type that implements [`Exporter`], and a line of [`super::EXPORTERS`].

use std::collections::HashMap;
use std::path::Path;

use super::{Stage, TrialRecord};
use crate::run::RunError;
use crate::spec::SweepRequest;

/// A sweep as exporters see it.
#[derive(Clone, Copy, Debug)]
pub struct Exported<'a> {
    /// Folder of the sweep.
    pub dir: &'a Path,
    pub request: &'a SweepRequest,
    /// Text of its `config.toml`.
    pub config: &'a str,
    /// Of its data.
    pub fingerprint: &'a str,
}

/// Writes one kind of file into the folder of a sweep.
///
/// # Errors
/// All functions return [`RunError::File`] if it cannot be written.
pub trait Exporter: Sync {
    /// The sweep starts or resumes: `records` are all trainings of the trials that have ended.
    fn begin(&self, _: &Exported, _records: &[TrialRecord]) -> Result<(), RunError> {
        Ok(())
    }

    /// A trial of the search has ended: `records` are its trainings, one per seed.
    fn trial(&self, _: &Exported, _records: &[TrialRecord]) -> Result<(), RunError> {
        Ok(())
    }

    /// The sweep has ended: `records` are all its trainings, `kept` those of the search with a kept model.
    fn end(&self, _: &Exported, _records: &[TrialRecord], _kept: &[TrialRecord]) -> Result<(), RunError> {
        Ok(())
    }
}

/// The trainings of the trials all of whose seeds have been trained.
pub(super) fn whole_trials(records: &[TrialRecord], request: &SweepRequest) -> Vec<TrialRecord> {
    let mut seeds: HashMap<u64, u32> = HashMap::new();
    let search = records.iter().filter(|record| record.stage == Stage::Search);
    search.for_each(|record| *seeds.entry(record.trial).or_default() += 1);
    let is_whole = |record: &&TrialRecord| seeds.get(&record.trial) >= Some(&request.seeds);
    records.iter().filter(is_whole).cloned().collect()
}
