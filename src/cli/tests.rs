//! The command line from the flag to the request, and its help.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use clap_complete::Shell;

use super::*;
use crate::spec::{Init, Length, Optimizer, resolve};

fn train_args(args: &[&str]) -> Result<TrainArgs, clap::Error> {
    let cli = try_parse_from(["bngpu", "train"].iter().chain(args))?;
    match cli.command {
        Command::Train(train) => Ok(*train),
        other => panic!("train was parsed as {other:?}"),
    }
}

fn request(args: &[&str]) -> RunRequest {
    train_args(args).unwrap().request().unwrap()
}

fn train_command() -> clap::Command {
    command().find_subcommand("train").unwrap().clone()
}

/// Flags that together set every key to a value other than its default.
const EVERY_FLAG: &[&[&str]] = &[
    &["--data", "wine.csv"],
    &["--target", "quality"],
    &["--column", "zip=category"],
    &["--column", "a b=date:dmy", "--column", "c=number"],
    &["--drop", "name,2"],
    &["--keep", "id"],
    &["--missing", "unknown,--"],
    &["--image-size", "32"],
    &["--header"],
    &["--no-header"],
    &["--no-missing-indicator"],
    &["--task", "regress"],
    &["--val-split", "0.25"],
    &["--ensemble", "8", "--val-each", "0.05"],
    &["--folds", "3/10"],
    &["--best-epoch", "last"],
    &["--test-split", "0"],
    &["--split-seed", "7"],
    &["--no-standardize"],
    &["--no-clip-inputs"],
    &["--clamp"],
    &["--no-clamp"],
    &["--data-memory", "512M"],
    &["--data-dir", "/data/sets"],
    &["--hidden", "256,100x3"],
    &["--activation", "leaky-relu"],
    &["--bn"],
    &["--bn", "--bn-eps", "1e-5"],
    &["--bn", "--bn-momentum", "1"],
    &["--bn", "--no-bn-affine"],
    &["--embed", "ple:16"],
    &["--sub-models", "8"],
    &["--dropout", "0.3"],
    &["--init", "normal:0.02"],
    &["--optimizer", "sgd"],
    &["--lr", "3e-4"],
    &["--beta1", "0.85"],
    &["--beta2", "0.9995"],
    &["--eps", "1e-6"],
    &["--optimizer", "sgd", "--momentum", "0.9"],
    &["--optimizer", "sgd", "--momentum", "0.9", "--nesterov"],
    &["--optimizer", "rmsprop", "--rms-alpha", "0.9"],
    &["--l2", "0.123456789012345678"],
    &["--weight-decay", "0.01"],
    &["--schedule", "one-cycle"],
    &["--warmup", "100"],
    &["--clip-norm", "5"],
    &["--batch-size", "60"],
    &["--epochs", "3"],
    &["--steps", "50000"],
    &["--patience", "4"],
    &["--max-time", "1h30m"],
    &["--seed", "18446744073709551615"],
    &["--ensemble", "64"],
    &["--precision", "f16"],
    &["--device", "Radeon"],
    &["--output", "runs/a"],
    &["--name", "first-try_2"],
    &["--watch", "gradients"],
    &["--json"],
    &["--quiet"],
    &["--log", "debug"],
];

/// The keys that `config.toml` leaves out: the output folder and the reporting.
const NOT_WRITTEN: [&str; 4] = ["output", "json", "quiet", "log"];

#[test]
fn every_flag_reaches_the_request_and_round_trips_through_toml() {
    let default = request(&[]);
    let mut seen = BTreeSet::new();
    for args in EVERY_FLAG {
        let run = request(args);
        assert_ne!(run, default, "{args:?} changes nothing");
        let flag = args.iter().rev().find_map(|arg| arg.strip_prefix("--")).unwrap();
        let key = flag.strip_prefix("no-").unwrap_or(flag);
        seen.insert(key.to_string());

        let path = PathBuf::from("config.toml");
        let file = PartialConfig::from_toml(&run.to_toml(), &path).unwrap();
        let mut again = resolve(PartialConfig::default(), Some((path, file))).unwrap();
        if NOT_WRITTEN.contains(&key) {
            assert_eq!(again, default, "{args:?}");
            again = RunRequest {
                output: run.output.clone(),
                json: run.json,
                quiet: run.quiet,
                log: run.log,
                ..again
            };
        }
        assert_eq!(again, run, "{args:?}\n{}", run.to_toml());
        assert_eq!(again.to_toml(), run.to_toml());
    }
    assert_eq!(seen, PartialConfig::keys().into_iter().collect(), "EVERY_FLAG lacks a flag");
}

#[test]
fn every_flag_is_a_key_of_the_file_with_the_same_meaning() {
    for args in EVERY_FLAG {
        let flags = train_args(args).unwrap().flags;
        let table = flags.table().unwrap();
        let path = PathBuf::from("c.toml");
        let file = PartialConfig::from_toml(&toml::to_string(&table).unwrap(), &path).unwrap();
        let from_file = resolve(PartialConfig::default(), Some((path, file))).unwrap();
        assert_eq!(from_file, resolve(flags, None).unwrap(), "{args:?}");
    }
}

#[test]
fn many_flags_at_once_round_trip() {
    let run = request(&[
        "--data",
        "wine.csv",
        "--bn",
        "--hidden",
        "none",
        "--optimizer",
        "rmsprop",
        "--seed",
        "9223372036854775808",
        "--max-time",
        "90s",
        "--steps",
        "10",
        "--init",
        "normal:1e-30",
        "--data-memory",
        "3K",
    ]);
    let file = PartialConfig::from_toml(&run.to_toml(), Path::new("c.toml")).unwrap();
    assert_eq!(resolve(PartialConfig::default(), Some(("c.toml".into(), file))).unwrap(), run);
    assert_eq!(run.data.data_memory, Some(3072));
    assert!(run.training.network.hidden.is_empty());
}

#[test]
fn random_numbers_round_trip_bit_for_bit() {
    use rand::{RngExt, SeedableRng, rngs::SmallRng};
    let mut random = SmallRng::seed_from_u64(1);
    for _ in 0..300 {
        let lr = format!("{:e}", random.random::<f64>() * 10f64.powi(random.random_range(-20..20)));
        let seed = random.random::<u64>().to_string();
        let l2 = random.random::<f64>().to_string();
        let run = request(&["--lr", &lr, "--seed", &seed, "--l2", &l2]);
        let file = PartialConfig::from_toml(&run.to_toml(), Path::new("c.toml")).unwrap();
        assert_eq!(resolve(PartialConfig::default(), Some(("c.toml".into(), file))).unwrap(), run);
        assert_eq!(run.training.lr.to_bits(), lr.parse::<f64>().unwrap().to_bits());
    }
}

#[test]
fn defaults_are_those_of_the_interface() {
    let run = request(&[]);
    let training = &run.training;
    assert_eq!(training.network.hidden, [128, 128]);
    assert_eq!(training.network.batch_norm, None);
    assert_eq!(training.network.init, Init::He);
    assert_eq!(training.optimizer, Optimizer::Adam { beta1: 0.9, beta2: 0.999, eps: 1e-8 });
    assert_eq!((training.lr, training.batch_size, training.length), (1e-3, 64, Length::Epochs(20)));
    assert_eq!((run.data.source.as_str(), run.device.as_str()), ("digits", "auto"));
    assert_eq!(request(&["--activation", "tanh"]).training.network.init, Init::Xavier);
    assert_eq!(request(&["--steps", "7"]).training.length, Length::Steps(7));
}

#[test]
fn the_last_of_a_flag_and_its_negation_wins() {
    let bn = |args: &[&str]| request(args).training.network.batch_norm.is_some();
    assert!(bn(&["--bn"]) && bn(&["--no-bn", "--bn"]));
    assert!(!bn(&[]) && !bn(&["--bn", "--no-bn"]) && !bn(&["--bn", "--no-bn", "--no-bn"]));
    assert!(!request(&["--standardize", "--no-standardize"]).data.standardize);
    assert!(request(&["--no-standardize", "--standardize"]).data.standardize);
    assert_eq!(request(&["--lr", "1", "--lr", "2"]).training.lr, 2.0);
    let sgd = ["--optimizer", "sgd", "--momentum", "0.9", "--no-nesterov", "--nesterov"];
    assert_eq!(request(&sgd).training.optimizer, Optimizer::Sgd { momentum: 0.9, nesterov: true });
}

#[test]
fn negative_numbers_are_refused_with_their_range() {
    for args in [["--lr", "-1"], ["--lr", "-1e-3"], ["--lr", "-inf"], ["--lr", "-.5"], ["--l2", "-1e-4"]] {
        let message = train_args(&args).unwrap().request().unwrap_err().to_string();
        assert!(message.starts_with(args[0]) && message.contains("; write "), "{message}");
    }
}

#[test]
fn hidden_layers_are_read_in_every_form() {
    for (text, units) in [
        ("128,64", vec![128, 64]),
        ("100x3", vec![100; 3]),
        ("256,100x3", vec![256, 100, 100, 100]),
        (" 8 , 4X2 ", vec![8, 4, 4]),
        ("none", vec![]),
        ("", vec![]),
    ] {
        assert_eq!(request(&["--hidden", text]).training.network.hidden, units, "{text:?}");
    }
}

#[test]
fn every_argument_of_every_command_has_help() {
    let mut count = 0;
    for sub in command().get_subcommands() {
        assert!(sub.get_about().is_some(), "{} has no description", sub.get_name());
        for arg in sub.get_arguments() {
            let help = arg
                .get_help()
                .unwrap_or_else(|| panic!("{} of {} has no help", arg.get_id(), sub.get_name()));
            assert!(!help.to_string().is_empty());
            count += 1;
        }
    }
    assert!(count > 60, "{count} arguments seen");
}

#[test]
fn every_flag_of_train_has_a_heading_and_shows_its_default() {
    let defaults = PartialConfig::defaults().table().unwrap();
    let mut shown = 0;
    for arg in train_command().get_arguments() {
        let Some(long) = arg.get_long() else { continue };
        assert!(arg.get_help_heading().is_some(), "--{long} has no heading");
        if let Some(default) = defaults.get(long) {
            let expected = format!("[default: {}]", text(default));
            let help = arg.get_help().unwrap().to_string();
            assert!(help.ends_with(&expected), "--{long}: {help}");
            assert_eq!(help.matches("[default").count(), 1, "--{long}: {help}");
            shown += 1;
        }
    }
    assert_eq!(shown, defaults.len());
    let help = train_command().render_help().to_string();
    for words in
        ["Data:", "Network:", "Training:", "Device:", "Output:", "[default: 128,128]", "[default: 1e-8]"]
    {
        assert!(help.contains(words), "{words} is not in\n{help}");
    }
}

#[test]
fn flags_are_the_keys_and_config() {
    let command = train_command();
    let flags: BTreeSet<_> = command.get_arguments().filter_map(|arg| arg.get_long()).collect();
    let keys = PartialConfig::keys();
    let mut expected: BTreeSet<_> = keys.iter().map(String::as_str).collect();
    expected.extend([
        "no-bn",
        "no-bn-affine",
        "no-standardize",
        "no-clip-inputs",
        "no-clamp",
        "no-header",
        "no-missing-indicator",
        "no-nesterov",
        "config",
        "preset",
    ]);
    assert_eq!(flags, expected);
}

#[test]
fn claps_own_checks_accept_the_definition() {
    command().debug_assert();
}

#[test]
fn wrong_usage_names_the_flag_and_what_to_write() {
    for (args, words) in [
        (&["train", "--lr", "fast"][..], &["--lr", "expected a number", "1e-3"][..]),
        (&["train", "--epochs", "1.5"], &["--epochs", "whole number"]),
        (&["train", "--epochs", "-3"], &["--epochs", "whole number"]),
        (&["train", "--batch-size", "5000000000"], &["--batch-size", "4294967295"]),
        (&["train", "--hidden", "100x"], &["--hidden", "100x3"]),
        (&["train", "--hidden", "64-32"], &["--hidden", "128,64"]),
        (&["train", "--hidden", "0"], &["--hidden", "1 to 65536"]),
        (&["train", "--hidden", "65537"], &["--hidden", "65536"]),
        (&["train", "--hidden", "2x65"], &["--hidden", "64 layers"]),
        (&["train", "--hidden", "2x64,2"], &["--hidden", "64 layers"]),
        (&["train", "--hidden", "2x18446744073709551615"], &["--hidden", "64 layers"]),
        (&["train", "--hidden", "64,,64"], &["--hidden", "128,64"]),
        (&["train", "--activation", "rlu"], &["--activation", "relu", "silu"]),
        (&["train", "--optimizer", "adamw"], &["--optimizer", "adam", "rmsprop"]),
        (&["train", "--schedule", "cosin"], &["--schedule", "cosine"]),
        (&["train", "--init", "normal"], &["--init", "normal:0.01"]),
        (&["train", "--task", "cluster"], &["--task", "classify", "regress"]),
        (&["train", "--max-time", "10"], &["--max-time", "10m"]),
        (&["train", "--data-memory", "lots"], &["--data-memory", "512M"]),
        (&["train", "--data-memory", "9000000T"], &["--data-memory", "512M"]),
        (&["train", "--data-memory", "-1"], &["--data-memory", "512M"]),
        (&["train", "--seed", "-1"], &["--seed", "0 to 18446744073709551615"]),
        (&["train", "--log", "loud"], &["--log", "warn", "trace"]),
        (&["train", "--learning-rate", "1"], &["--learning-rate"]),
        (&["train", "--output", ""], &["--output", "expected a path"]),
        (&["train", "--bn=both"], &["--bn"]),
        (&["eval"], &["RUN"]),
        (&["predict", "runs/a"], &["--data"]),
        (&["completions", "cmd"], &["bash", "zsh", "fish"]),
        (&["tain"], &["train"]),
    ] {
        let error = try_parse_from(["bngpu"].iter().chain(args)).unwrap_err();
        assert_eq!(error.exit_code(), i32::from(Exit::Usage.code()), "{args:?}");
        let message = error.to_string();
        for word in words {
            assert!(message.contains(word), "{args:?}: {word:?} is not in\n{message}");
        }
    }
}

#[cfg(unix)]
#[test]
fn a_path_that_is_not_text_is_wrong_usage() {
    use std::os::unix::ffi::OsStringExt;
    let path = OsString::from_vec(vec![b'a', 0xff]);
    let error = try_parse_from(["bngpu".into(), "train".into(), "--output".into(), path]).unwrap_err();
    assert_eq!(error.exit_code(), 2, "{error}");
}

#[test]
fn help_and_version_exit_with_code_0() {
    for args in [&["bngpu", "--help"][..], &["bngpu", "--version"], &["bngpu", "train", "-h"]] {
        assert_eq!(try_parse_from(args).unwrap_err().exit_code(), 0, "{args:?}");
    }
    assert_eq!(try_parse_from(["bngpu"]).unwrap_err().exit_code(), 2);
}

#[test]
fn the_other_commands_parse() {
    let parse = |args: &[&str]| try_parse_from(["bngpu"].iter().chain(args)).unwrap().command;
    let Command::Eval(eval) = parse(&["eval", "runs/a", "--split", "val", "--json", "--device", "cpu"])
    else {
        panic!("not eval")
    };
    assert_eq!((eval.split, eval.common.device.as_deref()), (Some(SplitArg::Val), Some("cpu")));
    assert!(eval.common.reporting.json);
    let Command::Predict(predict) = parse(&["predict", "runs/a", "--data", "x.csv", "-o", "y.csv"]) else {
        panic!("not predict")
    };
    assert_eq!(predict.output, Some("y.csv".into()));
    assert!(matches!(parse(&["resume", "runs/a", "--quiet"]), Command::Resume(_)));
    assert!(matches!(parse(&["merge", "a", "b", "-o", "c", "--partial"]), Command::Merge(_)));
    assert!(matches!(parse(&["devices", "--self-test"]), Command::Devices(d) if d.self_test));
}

#[test]
fn completions_for_every_shell_contain_the_flags() {
    for &shell in Shell::value_variants() {
        let mut script = Vec::new();
        completions(shell, &mut script).unwrap();
        let script = String::from_utf8(script).unwrap();
        for word in ["batch-size", "no-standardize", "devices"] {
            assert!(script.contains(word), "{shell} lacks {word}");
        }
    }
}

#[test]
fn a_broken_pipe_of_completions_is_an_error_and_no_panic() {
    let mut nowhere: &mut [u8] = &mut [0; 8];
    assert!(completions(Shell::Bash, &mut nowhere).is_err());
}
