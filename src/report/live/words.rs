//! Texts about trainings: parameters, values, rates.

use std::time::Instant;

use serde_json::Value;

use super::board::{Aim, Board};
use super::member::{Key, Reached};
use crate::base::text::{count, duration, number, rate};
use crate::spec::Params;

/// "lr 0.00123  hidden 100x3  bn": each searched hyperparameter; a switch as its flag.
pub fn params(params: &Params) -> String {
    let word = |(key, value): (&String, &Value)| match value {
        Value::Bool(true) => key.clone(),
        Value::Bool(false) => format!("no-{key}"),
        Value::Number(n) => match n.as_f64() {
            Some(x) if !n.is_u64() => format!("{key} {}", short(x)),
            _ => format!("{key} {n}"),
        },
        Value::String(text) => format!("{key} {text}"),
        other => format!("{key} {other}"),
    };
    params.iter().map(word).collect::<Vec<_>>().join("  ")
}

/// Four significant digits without trailing zeros: "0.001", "0.9995", "1.234e-5".
pub fn short(x: f64) -> String {
    let rounded: f64 = format!("{x:.3e}").parse().unwrap_or(x);
    let size = rounded.abs();
    if size != 0.0 && !(1e-3..1e6).contains(&size) { format!("{rounded:e}") } else { rounded.to_string() }
}

/// "trial 12 seed 0"; in the final comparison "final of trial 12 seed 7".
pub fn name(key: Key) -> String {
    let stage = if key.is_final { "final of " } else { "" };
    format!("{stage}trial {} seed {}", count(key.trial), key.seed)
}

/// Name of the score, for a column of seven characters.
pub fn score_name(aim: Aim) -> &'static str {
    if aim.regression { "R²" } else { "acc" }
}

/// "97.51%", or R² with four digits.
pub fn score(aim: Aim, score: f64) -> String {
    if aim.regression || !score.is_finite() { number(score) } else { format!("{:.2}%", 100.0 * score) }
}

/// "val loss 0.0812  acc 97.51%", "val loss 0.1234  rmse 0.3513  R² 0.8765".
pub fn reached(aim: Aim, reached: &Reached) -> String {
    let mut text = format!("val loss {}", number(reached.val_loss));
    if let Some(rmse) = reached.rmse {
        text += &format!("  rmse {}", number(rmse));
    }
    if let Some(value) = reached.score {
        text += &format!("  {} {}", score_name(aim), score(aim, value));
    }
    text
}

/// "0.33 models/s", "12 models/min"; slower ones per hour.
pub fn models(per_s: Option<f64>) -> String {
    match per_s {
        None => "? models/s".into(),
        Some(x) if x >= 9.995 => format!("{} models/s", rate(x)),
        Some(x) if x >= 0.995 => format!("{x:.1} models/s"),
        Some(x) if 60.0 * x >= 0.995 => format!("{:.1} models/min", 60.0 * x),
        Some(x) => format!("{:.1} models/h", 3600.0 * x),
    }
}

/// "3m 12s left"; none while unknown.
pub fn left(board: &Board, now: Instant) -> Option<String> {
    let seconds = board.left_s(now)?;
    // Whole seconds: it is an estimate, and changes all the time.
    let seconds = seconds.ceil();
    Some(if seconds < 9.5 { format!("{seconds:.0} s left") } else { duration(seconds) + " left" })
}

/// "97 %"
pub fn share(share: f64) -> String {
    // 100 % only when everything is done.
    let percent = if share < 1.0 { (100.0 * share).min(99.0) } else { 100.0 };
    format!("{percent:.0} %")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::spec::Objective;

    #[test]
    fn parameters_are_short_and_in_order() {
        let Value::Object(map) = json!({
            "lr": 0.00123456789, "beta1": 0.9, "beta2": 0.9995, "l2": 1.23456e-7, "batch-size": 64,
            "hidden": "100x3", "bn": true, "nesterov": false, "dropout": 0.0, "eps": 1e-8
        }) else {
            unreachable!()
        };
        assert_eq!(
            params(&map),
            "lr 0.001235  beta1 0.9  beta2 0.9995  l2 1.235e-7  batch-size 64  hidden 100x3  bn  no-nesterov  \
             dropout 0  eps 1e-8"
        );
        assert_eq!(params(&Params::new()), "");
    }

    #[test]
    fn regressions_have_rmse_and_r2() {
        let of = |regression| Aim { objective: Objective::ValLoss, regression };
        let at = |rmse| Reached { val_loss: 0.0812, score: Some(0.97511), rmse, epoch: 3 };
        assert_eq!(reached(of(false), &at(None)), "val loss 0.0812  acc 97.51%");
        assert_eq!(reached(of(true), &at(Some(0.3513))), "val loss 0.0812  rmse 0.3513  R² 0.9751");
    }

    #[test]
    fn slow_rates_are_per_minute_or_per_hour() {
        let of = [Some(1234.0), Some(2.5), Some(0.2), Some(0.001), None].map(models);
        assert_eq!(of, ["1.23k models/s", "2.5 models/s", "12.0 models/min", "3.6 models/h", "? models/s"]);
        assert_eq!([0.0, 0.996, 1.0].map(share), ["0 %", "99 %", "100 %"]);
    }
}
