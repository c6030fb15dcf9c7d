//! Reads `trials.jsonl`: every training that has ended, one JSON object a line.

use std::collections::HashMap;
use std::path::Path;

use super::{Stage, TrialRecord};
use crate::run::RunError;

/// File name in the folder of a sweep.
pub const TRIALS: &str = "trials.jsonl";

/// Reads the trainings that `path` records, in the order in which they first ended.
///
/// If `trial`, `seed` and `stage` occur again, the last line counts. An unreadable last line without a line break is
/// the remnant of a killed process: it is left out, with a warning in the log. Empty lines are skipped.
///
/// Errors: [`RunError::File`]; [`RunError::Content`] with the number of a line that is not a record.
pub fn read_trials(path: &Path) -> Result<Vec<TrialRecord>, RunError> {
    let bytes = std::fs::read(path).map_err(|cause| RunError::io("read", path, cause))?;
    let mut records: Vec<TrialRecord> = Vec::new();
    let mut places = HashMap::new();
    let lines = bytes.split_inclusive(|&byte| byte == b'\n').enumerate();
    for (at, line) in lines.filter(|(_, line)| !line.trim_ascii().is_empty()) {
        let record: TrialRecord = match serde_json::from_slice(line) {
            Ok(record) => record,
            Err(_) if !line.ends_with(b"\n") => {
                log::warn!("{}, line {}: cut short, left out", path.display(), at + 1);
                break;
            }
            Err(error) => {
                return Err(RunError::Content {
                    path: path.to_owned(),
                    what: format!("line {} is not the record of a trial ({error})", at + 1),
                    remedy: "restore the file, or delete the line: `bngpu resume` trains that trial again",
                });
            }
        };
        let identity = (record.trial, record.seed, record.stage == Stage::Final);
        let place = *places.entry(identity).or_insert(records.len());
        match records.get_mut(place) {
            Some(earlier) => *earlier = record,
            None => records.push(record),
        }
    }
    Ok(records)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(trial: u64, seed: u64, stage: &str, val_loss: &str) -> String {
        format!(
            "{{\"trial\":{trial},\"params\":{{\"lr\":0.01}},\"seed\":{seed},\"stage\":\"{stage}\",\
             \"status\":\"completed\",\"reason\":null,\"epochs\":2,\"steps\":46,\"val_loss\":{val_loss},\
             \"test_loss\":null,\"test_acc\":null,\"best_epoch\":2,\"parameters\":10,\"wall_s\":1.5,\"queue\":\"0\",\
             \"device\":\"cpu\",\"slot\":0,\"started\":1.0,\"ended\":2.5,\"weights\":null,\"curve\":[]}}\n"
        )
    }

    fn read(text: impl AsRef<[u8]>) -> Result<Vec<TrialRecord>, RunError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(TRIALS);
        std::fs::write(&path, text).unwrap();
        read_trials(&path)
    }

    #[test]
    fn the_last_line_of_a_repeated_training_counts() {
        let lines = [
            line(0, 0, "search", "0.5"),
            line(1, 0, "search", "0.4"),
            line(0, 1, "search", "0.3"),
            line(0, 0, "final", "0.2"),
            line(0, 0, "search", "0.1"),
        ];
        let records = read(lines.concat()).unwrap();
        let losses: Vec<_> = records.iter().map(|record| (record.trial, record.val_loss.unwrap())).collect();
        assert_eq!(losses, [(0, 0.1), (1, 0.4), (0, 0.3), (0, 0.2)]);
    }

    #[test]
    fn a_torn_last_line_is_left_out_wherever_it_was_cut() {
        let (whole, last) = (line(0, 0, "search", "0.5"), line(1, 0, "search", "0.4"));
        for cut in 0..last.len() - 1 {
            let records = read(whole.clone() + &last[..cut]).unwrap();
            assert_eq!(records.len(), 1, "cut after {cut} bytes");
        }
        // A line that lacks only its line break counts.
        assert_eq!(read(whole + last.trim_end()).unwrap().len(), 2);
        assert_eq!(read("").unwrap(), []);
    }

    #[test]
    fn a_damaged_line_is_named() {
        let good = line(0, 0, "search", "0.5");
        for bad in [b"{\"trial\":1}".as_slice(), b"[]", b"\xff\x00", &good.as_bytes()[..40]] {
            let text = [good.as_bytes(), b"\n", bad, b"\n", good.as_bytes()].concat();
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains("trials.jsonl: line 3 is not the record of a trial"), "{error}");
        }
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = read_trials(Path::new("none/trials.jsonl")).unwrap_err().to_string();
        assert!(
            error.contains("cannot read none/trials.jsonl") && error.contains("check the path"),
            "{error}"
        );
    }
}
