//! Every hyperparameter, from the flag to the request and back: its samples, its flag, its owner.

use std::path::Path;

use super::*;
use crate::spec::{HYPERPARAMETERS, Hyperparameter, Kind, Params, hyperparameter, resolve};

/// The request of `train` with these flags, or the message.
fn train(flags: &[String]) -> Result<RunRequest, String> {
    let args = ["bngpu", "train"].map(String::from).into_iter().chain(flags.iter().cloned());
    match try_parse_from(args).map_err(|e| e.to_string())?.command {
        Command::Train(args) => args.request().map_err(|e| e.to_string()),
        other => panic!("train was parsed as {other:?}"),
    }
}

/// The request of `sweep` with these flags, or the message.
fn sweep(flags: &[String]) -> Result<SweepRequest, String> {
    let args = ["bngpu", "sweep"].map(String::from).into_iter().chain(flags.iter().cloned());
    match try_parse_from(args).map_err(|e| e.to_string())?.command {
        Command::Sweep(args) => args.request().map_err(|e| e.to_string()),
        other => panic!("sweep was parsed as {other:?}"),
    }
}

/// The flag that sets a value of `train`.
fn flag(of: &Hyperparameter, value: &str) -> String {
    match (of.kind, value) {
        (Kind::Switch, "on") => format!("--{}", of.key),
        (Kind::Switch, "off") => format!("--no-{}", of.key),
        (Kind::Architecture, _) => format!("--{}={}", of.key, value.replace('-', ",")),
        _ => format!("--{}={value}", of.key),
    }
}

/// A line of the top level of a file that sets a value.
fn line(of: &Hyperparameter, value: &str) -> String {
    let value = match (of.kind, value) {
        (Kind::Switch, "on") => "true".into(),
        (Kind::Switch, "off") => "false".into(),
        (Kind::Real(_) | Kind::Whole(_), _) if value.parse::<f64>().is_ok() => value.into(),
        (Kind::Architecture, _) => format!("'{}'", value.replace('-', ",")),
        (Kind::Name(_), _) => format!("'{}'", value.to_ascii_lowercase()),
        _ => format!("'{value}'"),
    };
    format!("{} = {value}\n", of.key)
}

/// The settings that a hyperparameter requires: its owner, and a momentum for Nesterov.
fn company(of: &Hyperparameter) -> Vec<(&'static Hyperparameter, &'static str)> {
    let find = |key: &str| hyperparameter(key).unwrap_or_else(|| panic!("{} needs {key}", of.key));
    let owner = of.owner.iter().map(|owner| (find(owner.choice), owner.values[0]));
    let beside = (of.key == "nesterov").then(|| (find("momentum"), "0.5"));
    owner.chain(beside).collect()
}

/// The flags that it requires, and this one.
fn with(of: &Hyperparameter, last: String) -> Vec<String> {
    company(of).into_iter().map(|(of, value)| flag(of, value)).chain([last]).collect()
}

/// The request of a file with the settings that it requires and this value, or the message.
fn file(of: &Hyperparameter, value: &str) -> Result<RunRequest, String> {
    let text: String =
        company(of).into_iter().chain([(of, value)]).map(|(of, value)| line(of, value)).collect();
    read(&text)
}

fn read(text: &str) -> Result<RunRequest, String> {
    let path = Path::new("c.toml");
    let file = PartialConfig::from_toml(text, path).map_err(|e| e.to_string())?;
    resolve(PartialConfig::default(), Some((path.into(), file))).map_err(|e| e.to_string())
}

#[test]
fn every_valid_sample_round_trips_through_flag_file_and_trial() {
    for of in &HYPERPARAMETERS {
        assert!(!of.valid.is_empty() && !of.invalid.is_empty(), "{} has no samples", of.key);
        for value in of.valid {
            let what = format!("--{} {value}", of.key);
            let run = train(&with(of, flag(of, value))).unwrap_or_else(|e| panic!("{what}: {e}"));
            assert_eq!(read(&run.to_toml()).as_ref(), Ok(&run), "{what}\n{}", run.to_toml());
            assert_eq!(file(of, value).as_ref(), Ok(&run), "{what}");

            // As the only value of a sweep, and as the value of a trial.
            let fixed = sweep(&with(of, format!("--{}={value}", of.key)));
            let fixed = fixed.unwrap_or_else(|e| panic!("{what}: {e}"));
            assert_eq!(fixed.base, run, "{what}");
            let both = format!("--{}={}", of.key, of.example_set);
            let study = sweep(&with(of, both)).unwrap_or_else(|e| panic!("{what}: {e}"));
            let dimension = study.space.get(of.key).unwrap_or_else(|| panic!("{what} is not searched"));
            let values = dimension.domain.ends();
            assert!(values.len() > 1, "{what}: {values:?}");
            for value in values {
                let params = Params::from_iter([(of.key.to_owned(), value.clone())]);
                let trial = study.run_request(&params, 0).unwrap_or_else(|e| panic!("{params:?}: {e}"));
                let text = match value {
                    serde_json::Value::Bool(on) => if on { "on" } else { "off" }.to_owned(),
                    serde_json::Value::String(text) => text,
                    other => other.to_string(),
                };
                assert_eq!(trial, train(&with(of, flag(of, &text))).unwrap(), "{what}: {text}");
            }
        }
    }
}

#[test]
fn every_invalid_sample_is_refused_by_flag_file_and_sweep_with_the_key_named() {
    for of in &HYPERPARAMETERS {
        let text = "x-y".to_owned();
        for value in of.invalid.iter().copied().chain([text.as_str()]) {
            let what = format!("--{} {value}", of.key);
            let named = |message: String| assert!(message.contains(of.key), "{what}: {message}");
            named(train(&with(of, format!("--{}={value}", of.key))).expect_err(&what));
            named(sweep(&with(of, format!("--{}={value}", of.key))).expect_err(&what));
            let set = format!("--{}={value},{}", of.key, of.valid[0]);
            named(sweep(&with(of, set)).expect_err(&what));

            named(file(of, value).expect_err(&what));
        }
    }
}

#[test]
fn every_flag_of_the_network_and_the_training_is_a_hyperparameter_or_listed_here() {
    const NOT_SEARCHED: [&str; 7] =
        ["steps", "patience", "max-time", "best-epoch", "seed", "ensemble", "preset"];
    let command = command();
    let train = command.find_subcommand("train").unwrap();
    let under = |arg: &&clap::Arg| matches!(arg.get_help_heading(), Some("Network" | "Training"));
    let longs = train.get_arguments().filter(under).filter_map(|arg| arg.get_long());
    let flags: Vec<&str> = longs.filter(|long| !long.starts_with("no-")).collect();
    let (other, found): (Vec<&str>, Vec<&str>) = flags.iter().partition(|flag| NOT_SEARCHED.contains(flag));
    assert_eq!(other, NOT_SEARCHED);
    // The order of the flags is the order of the list: random sweeps draw by it.
    assert_eq!(found, HYPERPARAMETERS.map(|of| of.key));
    for of in &HYPERPARAMETERS {
        let arg = train.get_arguments().find(|arg| arg.get_long() == Some(of.key)).unwrap();
        let names: Vec<String> =
            arg.get_possible_values().iter().map(|name| name.get_name().to_owned()).collect();
        match of.kind {
            Kind::Name(listed) => assert_eq!(names, listed, "{}", of.key),
            Kind::Switch => {
                let off = format!("no-{}", of.key);
                assert!(train.get_arguments().any(|arg| arg.get_long() == Some(&off)), "no --{off}");
            }
            Kind::Real(_) | Kind::Whole(_) => assert!(is_number(arg), "{}", of.key),
            Kind::Init | Kind::Embed | Kind::Architecture => assert!(names.is_empty(), "{}", of.key),
        }
    }
}
