//! Settings and dimensions as they are typed.

use crate::base::text::SHOWN;
use crate::spec::{Dimension, Domain, Params, value_text};

/// "lr 1e-4..1e-1:log", "beta1 0.8,0.9"; of a long set its first and last values and their number.
///
/// ```
/// use bngpu::spec::SweepRequest;
///
/// let request = SweepRequest::from_toml("trials = 4\n[space]\nlr = '1e-4..1e-1:log'", "settings".as_ref())?;
/// assert_eq!(bngpu::sweep::dimension_text(&request.space.dimensions[0]), "lr 1e-4..0.1:log");
/// # Ok::<(), bngpu::spec::ConfigError>(())
/// ```
pub fn dimension_text(dimension: &Dimension) -> String {
    let values = match &dimension.domain {
        Domain::Set(values) => {
            let texts: Vec<String> = values.iter().map(value_text).collect();
            match &texts[..] {
                [first, second, .., last] if texts.len() > SHOWN => {
                    format!("{first},{second},...,{last} ({} values)", texts.len())
                }
                all => all.join(","),
            }
        }
        Domain::Range { low, high, scale, .. } => {
            let (low, high) = (value_text(&(*low).into()), value_text(&(*high).into()));
            format!("{low}..{high}{}", scale.suffix())
        }
    };
    format!("{} {values}", dimension.key)
}

/// The values of a trial as they are typed: "lr 0.01, hidden 64x2".
///
/// ```
/// let params = serde_json::from_str(r#"{"lr": 0.01, "hidden": "64x2"}"#)?;
/// assert_eq!(bngpu::sweep::params_text(&params), "lr 0.01, hidden 64x2");
/// # Ok::<(), serde_json::Error>(())
/// ```
pub fn params_text(params: &Params) -> String {
    let one = |(key, value): (&String, &serde_json::Value)| format!("{key} {}", value_text(value));
    let all: Vec<String> = params.iter().map(one).collect();
    if all.is_empty() { "the shared settings".into() } else { all.join(", ") }
}
