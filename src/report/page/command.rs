//! The command line that trains one trial of a sweep alone.

use std::path::PathBuf;

use toml::{Table, Value};

use crate::base::shell_word;
use crate::spec::{Params, PartialConfig, RunRequest, resolve, text, to_toml};

/// Output settings are not part of a trial; a sweep's time limit does not apply to one.
const LEFT_OUT: [&str; 6] = ["output", "name", "json", "quiet", "log", "max-time"];

/// `bngpu train` with the training settings of `config` (a sweep's) and of `params`, and the seed; defaults are left
/// out. None if they are not valid settings of a training.
pub(super) fn train_command(config: &Table, params: &Params, seed: u64) -> Option<String> {
    let mut fixed = Table::new();
    for (key, value) in config {
        let one = Table::from_iter([(key.clone(), value.clone())]);
        // `train` takes neither a sweep's own keys nor sets of values.
        if !LEFT_OUT.contains(&key.as_str()) && one.try_into::<PartialConfig>().is_ok() {
            fixed.insert(key.clone(), value.clone());
        }
    }
    let mut chosen = Table::new();
    for (key, value) in params {
        chosen.insert(key.clone(), to_toml(key, value)?);
    }
    chosen.insert("seed".into(), seed_setting(seed));
    let all = PartialConfig::from(&resolved(&chosen, &fixed)?).table().ok()?;
    let mut command = "bngpu train".to_owned();
    for (key, value) in all.iter().filter(|(key, _)| !LEFT_OUT.contains(&key.as_str())) {
        // Leaves out a flag that changes nothing.
        let mut others = all.clone();
        others.remove(key);
        let anyway = resolved(&others, &Table::new()).map(|request| PartialConfig::from(&request).table());
        if anyway.and_then(Result::ok).is_some_and(|anyway| anyway.get(key) == Some(value)) {
            continue;
        }
        command += &match value {
            Value::Boolean(true) => format!(" --{key}"),
            Value::Boolean(false) => format!(" --no-{key}"),
            value => format!(" --{key} {}", shell_word(&flag_text(value))),
        };
    }
    Some(command)
}

/// The training of `chosen` over `fixed`.
fn resolved(chosen: &Table, fixed: &Table) -> Option<RunRequest> {
    let config = |table: &Table| table.clone().try_into::<PartialConfig>().ok();
    resolve(config(chosen)?, Some((PathBuf::from("config.toml"), config(fixed)?))).ok()
}

/// A seed as TOML can hold it.
fn seed_setting(seed: u64) -> Value {
    i64::try_from(seed).map_or_else(|_| Value::String(seed.to_string()), Value::Integer)
}

fn flag_text(value: &Value) -> String {
    match value {
        Value::Float(number) => format!("{number:?}"),
        Value::Array(items) if items.is_empty() => "none".into(),
        other => text(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli;

    fn config() -> Table {
        toml::from_str(
            "data = \"/data/it's a.csv\"\nhidden = [64, 64]\nbn = true\nbeta1 = 0.95\nlr = \"1e-4..1e-1:log\"\n\
             epochs = 7\nstrategy = \"random\"\ntrials = 64\nhalving = true\nmax-time = \"10m\"\noutput = \"s\"\n\
             [space]\nlr = \"1e-4..1e-1:log\"\n",
        )
        .unwrap()
    }

    fn params(json: serde_json::Value) -> Params {
        json.as_object().unwrap().clone()
    }

    #[test]
    fn the_command_lists_only_training_settings_that_differ_from_the_defaults() {
        let found = params(serde_json::json!({ "lr": 0.0123, "hidden": "256-128", "batch-size": 32 }));
        let data = shell_word("/data/it's a.csv");
        assert_eq!(
            train_command(&config(), &found, 3).unwrap(),
            format!(
                "bngpu train --data {data} --hidden 256,128 --bn --lr 0.0123 --beta1 0.95 --batch-size 32 --epochs 7 \
                 --seed 3"
            )
        );
    }

    #[test]
    fn settings_of_another_optimizer_are_left_out() {
        let found =
            params(serde_json::json!({ "optimizer": "sgd", "momentum": 0.9, "bn": false, "hidden": "none" }));
        let command = train_command(&config(), &found, 0).unwrap();
        assert!(command.contains("--optimizer sgd --momentum 0.9"), "{command}");
        assert!(!command.contains("beta1") && command.contains("--hidden none"), "{command}");
    }

    #[test]
    fn train_accepts_the_command() {
        let found =
            params(serde_json::json!({ "lr": 1e-4, "beta1": 0.91, "bn": true, "activation": "leaky-relu" }));
        let config =
            toml::from_str("data = \"digits\"\nval-split = 0.2\nclip-norm = 1.0\nstandardize = false")
                .unwrap();
        let command = train_command(&config, &found, u64::MAX).unwrap();
        cli::try_parse_from(command.split(' ')).unwrap_or_else(|e| panic!("{command}: {e}"));
    }

    #[test]
    fn invalid_settings_give_no_command() {
        for bad in [
            serde_json::json!({ "unknown": 1 }),
            serde_json::json!({ "lr": "high" }),
            serde_json::json!({ "lr": null }),
        ] {
            assert_eq!(train_command(&config(), &params(bad), 0), None);
        }
    }
}
