//! Why a training stopped before its last step.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a training stopped before its last step. Files hold it as text, which reads back as the same reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
pub enum StopReason {
    /// The validation loss did not improve for this many epochs.
    Patience { epochs: u64 },
    /// Successive halving stopped it after this many epochs.
    Halving { epochs: u64 },
    /// `--max-time` was up.
    MaxTime,
    /// The user stopped this training of a sweep.
    ByHand,
    /// The user finished the sweep early.
    FinishedEarly,
    /// Anything else.
    Other(String),
}

const PATIENCE: [&str; 2] = ["the validation loss has not improved for ", " epochs"];
const HALVING: &str = "halving: not among the best after ";
const MAX_TIME: &str = "the time of --max-time is up";
const BY_HAND: &str = "stopped by hand";
const FINISHED_EARLY: &str = "the sweep was finished early";

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            StopReason::Patience { epochs } => write!(f, "{}{epochs}{}", PATIENCE[0], PATIENCE[1]),
            StopReason::Halving { epochs } => {
                write!(f, "{HALVING}{epochs} epoch{}", if *epochs == 1 { "" } else { "s" })
            }
            StopReason::MaxTime => f.write_str(MAX_TIME),
            StopReason::ByHand => f.write_str(BY_HAND),
            StopReason::FinishedEarly => f.write_str(FINISHED_EARLY),
            StopReason::Other(text) => f.write_str(text),
        }
    }
}

impl From<StopReason> for String {
    fn from(reason: StopReason) -> String {
        reason.to_string()
    }
}

impl From<&str> for StopReason {
    fn from(text: &str) -> StopReason {
        let patience = || {
            let epochs = text.strip_prefix(PATIENCE[0])?.strip_suffix(PATIENCE[1])?.parse().ok()?;
            Some(StopReason::Patience { epochs })
        };
        let halving = || {
            let epochs = text.strip_prefix(HALVING)?.split(' ').next()?.parse().ok()?;
            Some(StopReason::Halving { epochs })
        };
        match text {
            MAX_TIME => StopReason::MaxTime,
            BY_HAND => StopReason::ByHand,
            FINISHED_EARLY => StopReason::FinishedEarly,
            _ => patience().or_else(halving).unwrap_or_else(|| StopReason::Other(text.into())),
        }
    }
}

impl From<String> for StopReason {
    fn from(text: String) -> StopReason {
        text.as_str().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_reason_reads_back_as_the_reason() {
        let reasons = [
            StopReason::Patience { epochs: 5 },
            StopReason::Halving { epochs: 1 },
            StopReason::Halving { epochs: 27_000 },
            StopReason::MaxTime,
            StopReason::ByHand,
            StopReason::FinishedEarly,
            StopReason::Other("as in the sweep".into()),
        ];
        for reason in reasons {
            assert_eq!(StopReason::from(reason.to_string()), reason, "{reason}");
        }
        // As earlier versions wrote them.
        let halving = StopReason::from("halving: not among the best after 9 epochs");
        assert_eq!(halving, StopReason::Halving { epochs: 9 });
    }
}
