//! Every hyperparameter, from the flag to the request and back: its samples, its flag, its owner.

use std::path::Path;

use super::*;
use crate::spec::{HYPERPARAMETERS, Hyperparameter, Kind, Params, hyperparameter};

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

/// The flags that let a hyperparameter be used: its owner, and what `check.rs` wants beside it.
fn company(of: &Hyperparameter) -> Vec<String> {
    let owner = of.owner.iter().map(|owner| match hyperparameter(owner.choice) {
        Some(choice) => flag(choice, owner.values[0]),
        None => panic!("{}: its owner {} is no hyperparameter", of.key, owner.choice),
    });
    let beside = (of.key == "nesterov").then(|| "--momentum=0.5".to_owned());
    owner.chain(beside).collect()
}

fn with(mut company: Vec<String>, flag: String) -> Vec<String> {
    company.push(flag);
    company
}

/// A value as the top level of a file has it.
fn in_file(of: &Hyperparameter, value: &str) -> String {
    match (of.kind, value) {
        (Kind::Switch, "on") => "true".into(),
        (Kind::Switch, "off") => "false".into(),
        (Kind::Real(_) | Kind::Whole(_), _) => value.into(),
        (Kind::Architecture, _) => format!("'{}'", value.replace('-', ",")),
        _ => format!("'{}'", value.to_ascii_lowercase()),
    }
}

#[test]
fn every_valid_sample_round_trips_through_flag_file_and_trial() {
    for of in &HYPERPARAMETERS {
        assert!(!of.valid.is_empty() && !of.invalid.is_empty(), "{} has no samples", of.key);
        for value in of.valid {
            let what = format!("--{} {value}", of.key);
            let run = train(&with(company(of), flag(of, value))).unwrap_or_else(|e| panic!("{what}: {e}"));
            let read = |toml: &str| {
                let path = Path::new("c.toml");
                let file = PartialConfig::from_toml(toml, path).unwrap_or_else(|e| panic!("{what}: {e}"));
                resolve(PartialConfig::default(), Some((path.into(), file))).unwrap()
            };
            assert_eq!(read(&run.to_toml()), run, "{what}\n{}", run.to_toml());

            // The same value typed in a file, over what it needs beside.
            let mut table: toml::Table = train(&company(of)).unwrap().to_toml().parse().unwrap();
            let typed: toml::Table = format!("{} = {}", of.key, in_file(of, value)).parse().unwrap();
            table.extend(typed);
            // A default that follows another value does not stand in the file.
            if of.key == "activation" {
                table.remove("init");
            }
            assert_eq!(read(&table.to_string()), run, "{what}");

            // As the one value of a sweep, and as the value of a trial.
            let fixed = sweep(&with(company(of), format!("--{}={value}", of.key)));
            let fixed = fixed.unwrap_or_else(|e| panic!("{what}: {e}"));
            assert_eq!(fixed.base, run, "{what}");
            let both = format!("--{}={}", of.key, of.example_set);
            let study = sweep(&with(company(of), both)).unwrap_or_else(|e| panic!("{what}: {e}"));
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
                assert_eq!(trial, train(&with(company(of), flag(of, &text))).unwrap(), "{what}: {text}");
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
            named(train(&with(company(of), format!("--{}={value}", of.key))).expect_err(&what));
            named(sweep(&with(company(of), format!("--{}={value}", of.key))).expect_err(&what));
            let set = format!("--{}={value},{}", of.key, of.valid[0]);
            named(sweep(&with(company(of), set)).expect_err(&what));

            let toml = train(&company(of)).unwrap().to_toml();
            let line = format!("{} = {}", of.key, in_file(of, value));
            let mut lines: Vec<&str> =
                toml.lines().filter(|other| !other.starts_with(&format!("{} =", of.key))).collect();
            lines.push(&line);
            let path = Path::new("c.toml");
            let refused = PartialConfig::from_toml(&lines.join("\n"), path)
                .and_then(|file| resolve(PartialConfig::default(), Some((path.into(), file))));
            named(refused.expect_err(&what).to_string());
        }
    }
}

#[test]
fn every_flag_of_the_network_and_the_training_is_a_hyperparameter_or_listed_here() {
    const NOT_SEARCHED: [&str; 5] = ["epochs", "steps", "patience", "max-time", "seed"];
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
            Kind::Init | Kind::Architecture => assert!(names.is_empty(), "{}", of.key),
        }
    }
}
