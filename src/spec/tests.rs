//! Flags over file over defaults, and the message of each bad configuration.

use std::path::{Path, PathBuf};

use super::hyperparameter::CHOICES;
use super::*;

fn file(text: &str) -> Option<(PathBuf, PartialConfig)> {
    let path = PathBuf::from("c.toml");
    let config = PartialConfig::from_toml(text, &path).unwrap();
    Some((path, config))
}

fn flags(text: &str) -> PartialConfig {
    PartialConfig::from_toml(text, Path::new("flags")).unwrap()
}

#[track_caller]
fn assert_words(message: &str, words: &[&str]) {
    for word in words {
        assert!(message.contains(word), "{word:?} is not in: {message}");
    }
}

#[test]
fn clipping_unscaled_inputs_is_refused_where_a_flag_asks_for_it() {
    let message = resolve(flags("clip-inputs = true\nstandardize = false"), None).unwrap_err().to_string();
    assert_words(&message, &["--clip-inputs", "--no-standardize"]);
    // A file of all settings has the default of both.
    let request = resolve(flags("standardize = false"), None).unwrap();
    assert!(resolve(PartialConfig::default(), file(&request.to_toml())).is_ok());
    assert!(resolve(flags("standardize = false"), file("clip-inputs = true")).is_ok());
}

#[test]
fn the_configuration_of_an_earlier_version_neither_clips_nor_limits() {
    let settings = |config: PartialConfig| {
        let data = resolve(config.of_run(), None).unwrap().data;
        (data.clip_inputs, data.clamp)
    };
    assert_eq!(settings(flags("lr = 0.1")), (false, Some(false)));
    assert_eq!(settings(flags("clip-inputs = true")), (true, None));
    assert_eq!(settings(flags("clip-inputs = false\nclamp = true")), (false, Some(true)));
    let text = "trials = 4\n[space]\nlr = '1e-4..1e-1:log'";
    let sweep = |of: fn(&str, &Path) -> Result<SweepRequest, ConfigError>| {
        let data = of(text, Path::new("c.toml")).unwrap().base.data;
        (data.clip_inputs, data.clamp)
    };
    assert_eq!(sweep(SweepRequest::of_run), (false, Some(false)));
    assert_eq!(sweep(SweepRequest::from_toml), (true, None));
}

/// Values that parse but are invalid: the message names the flag, or the key and its file.
const OUT_OF_RANGE: &[(&str, &str, &[&str])] = &[
    ("lr = 0", "lr", &["greater than 0", "1e-3"]),
    ("lr = -1", "lr", &["-1", "greater than 0"]),
    ("lr = nan", "lr", &["NaN", "greater than 0"]),
    ("lr = inf", "lr", &["inf", "32-bit"]),
    ("lr = 1e39", "lr", &["32-bit"]),
    ("lr = 1e-60", "lr", &["32-bit"]),
    ("beta1 = 1", "beta1", &["below 1", "0.9"]),
    ("beta1 = -0.1", "beta1", &["below 1"]),
    ("beta2 = 0.99999999999", "beta2", &["below 1", "0.999"]),
    ("eps = 0", "eps", &["greater than 0", "1e-8"]),
    ("optimizer = 'rmsprop'\neps = -1", "eps", &["greater than 0"]),
    ("optimizer = 'rmsprop'\nrms-alpha = 1.0", "rms-alpha", &["below 1", "0.99"]),
    ("optimizer = 'sgd'\nmomentum = 1", "momentum", &["below 1", "0.9"]),
    ("optimizer = 'sgd'\nmomentum = nan", "momentum", &["NaN"]),
    ("optimizer = 'sgd'\nnesterov = true", "nesterov", &["momentum", "0.9"]),
    ("dropout = 1", "dropout", &["below 1", "0.2"]),
    ("dropout = -0.5", "dropout", &["-0.5"]),
    ("l2 = -1e-4", "l2", &["0 or a greater"]),
    ("l2 = inf", "l2", &["inf"]),
    ("weight-decay = -0.01", "weight-decay", &["0 or a greater", "0.01"]),
    ("clip-norm = 0", "clip-norm", &["greater than 0"]),
    ("clip-norm = -1", "clip-norm", &["-1"]),
    ("batch-size = 0", "batch-size", &["1 or more", "64"]),
    ("bn = true\nbatch-size = 1", "batch-size", &["2 or more", "--bn"]),
    ("bn = true\nbn-eps = 0", "bn-eps", &["greater than 0", "1e-5"]),
    ("bn = true\nbn-eps = 1e-50", "bn-eps", &["32-bit"]),
    ("bn = true\nbn-momentum = 0", "bn-momentum", &["above 0", "at most 1"]),
    ("bn = true\nbn-momentum = 1.1", "bn-momentum", &["1.1", "at most 1"]),
    ("init = 'normal:0'", "init", &["normal:0.01"]),
    ("init = 'normal:-1'", "init", &["normal:-1.0", "greater than 0"]),
    ("epochs = 0", "epochs", &["1 or more", "20"]),
    ("steps = 0", "steps", &["1 or more"]),
    ("steps = 500\nwarmup = 500", "warmup", &["less than the 500 steps"]),
    ("patience = 0", "patience", &["1 or more"]),
    ("max-time = '0s'", "max-time", &["above 0", "10m"]),
    ("max-time = '200years'", "max-time", &["200years", "136 years"]),
    ("val-split = 1", "val-split", &["below 1", "0.1"]),
    ("val-split = -0.1", "val-split", &["-0.1"]),
    ("test-split = 1.5", "test-split", &["1.5", "below 1"]),
    ("val-split = 0.5\ntest-split = 0.5", "test-split", &["--val-split 0.5", "sum", "below 1"]),
    ("val-split = nan", "val-split", &["NaN"]),
    ("val-each = 1", "val-each", &["below 1", "0.05"]),
    ("val-each = -0.1\nensemble = 2", "val-each", &["-0.1"]),
    ("val-each = 0.5\ntest-split = 0.5", "val-each", &["--test-split 0.5", "sum", "below 1"]),
    ("data-memory = 0", "data-memory", &["above 0", "512M"]),
    ("data = ''", "data", &["digits"]),
    ("target = ''", "target", &["column"]),
    ("device = ' '", "device", &["auto", "devices"]),
    ("name = '../up'", "name", &["../up", "letters"]),
    ("name = ''", "name", &["letters"]),
    ("name = '-o'", "name", &["letter or digit first"]),
    ("ensemble = 0", "ensemble", &["1 to 64"]),
    ("ensemble = 65", "ensemble", &["1 to 64"]),
    ("sub-models = 2\nwatch = ['gradients']", "sub-models", &["--watch records the layers of one model"]),
    ("sub-models = 65", "sub-models", &["1 to 64"]),
    ("ensemble = 2\nwatch = ['gradients']", "ensemble", &["--watch records the layers of one model"]),
];

#[test]
fn an_invalid_value_is_reported_with_its_place_and_remedy() {
    assert!(OUT_OF_RANGE.len() >= 40);
    for (text, key, words) in OUT_OF_RANGE {
        let by_flag = resolve(flags(text), None).expect_err(text).to_string();
        assert_words(&by_flag, words);
        assert_words(&by_flag, &[&format!("--{key} is ")]);
        let by_file = resolve(PartialConfig::default(), file(text)).expect_err(text).to_string();
        assert_words(&by_file, words);
        assert_words(&by_file, &[&format!("`{key}` in c.toml is ")]);
    }
}

#[test]
fn the_members_of_an_ensemble_are_runs_on_the_same_rows_with_seeds_in_order() {
    let run = resolve(flags("ensemble = 3\nseed = '18446744073709551614'\nlr = 0.5"), None).unwrap();
    let members = run.members();
    assert_eq!(members.iter().map(|run| run.training.seed).collect::<Vec<_>>(), [u64::MAX - 1, u64::MAX, 0]);
    for member in &members {
        assert_eq!((member.ensemble, member.data.split_seed, member.training.lr), (1, u64::MAX - 1, 0.5));
        let toml = member.to_toml();
        assert!(!toml.contains("ensemble"), "{toml}");
        assert_eq!(RunRequest::from_toml(&toml, Path::new("c.toml")).unwrap(), *member);
    }
    assert!(run.to_toml().contains("\nensemble = 3\n"));
    let one = resolve(flags("ensemble = 1"), None).unwrap();
    assert_eq!(one.members(), std::slice::from_ref(&one));
    assert_eq!(one.to_toml(), resolve(flags(""), None).unwrap().to_toml());
}

#[test]
fn settings_of_another_choice_are_refused() {
    for (text, words) in [
        ("momentum = 0.9", &["--momentum", "sgd", "is adam", "--optimizer sgd"][..]),
        ("nesterov = true", &["--nesterov", "--optimizer sgd"]),
        ("rms-alpha = 0.9", &["--rms-alpha", "rmsprop"]),
        ("optimizer = 'sgd'\nbeta1 = 0.9", &["--beta1", "adam", "is sgd", "--optimizer adam"]),
        ("optimizer = 'rmsprop'\nbeta2 = 0.9", &["--beta2", "adam", "is rmsprop"]),
        ("optimizer = 'sgd'\neps = 1e-8", &["--eps", "adam or rmsprop"]),
        ("bn-eps = 1e-5", &["--bn-eps", "--bn", "off"]),
        ("bn = false\nbn-momentum = 0.1", &["--bn-momentum", "--bn"]),
        ("epochs = 2\nsteps = 2", &["--epochs", "--steps", "keep one"]),
    ] {
        assert_words(&resolve(flags(text), None).expect_err(text).to_string(), words);
        let by_file = resolve(PartialConfig::default(), file(text)).expect_err(text).to_string();
        assert_words(&by_file, &["in c.toml"]);
    }
}

#[test]
fn an_error_in_a_file_names_the_file_the_line_and_the_key() {
    for (text, words) in [
        ("lr = 0.1\n\nbatch_size = 3", &["line 3", "`batch_size`", "did you mean `batch-size`"][..]),
        ("learning-rate = 1", &["line 1", "`learning-rate`", "bngpu train --help"]),
        ("hiden = [1]", &["`hidden`"]),
        ("no-bn = true", &["`no-bn`", "line 1"]),
        ("config = 'a.toml'", &["unknown key `config`"]),
        ("[network]\nbn = true", &["line 1", "`network`", "top level"]),
        ("epochs = 1\nlr = 'fast'", &["line 2", "`lr`", "fast", "a number"]),
        ("lr = '0.1'", &["line 1", "`lr`", "a number"]),
        ("lr = [0.1, 0.2]", &["`lr`", "a number"]),
        ("lr = true", &["`lr`", "a number"]),
        ("epochs = -1", &["`epochs`", "-1", "whole number"]),
        ("epochs = 2.5", &["`epochs`", "2.5", "whole number"]),
        ("epochs = 5000000000", &["`epochs`", "4294967295"]),
        ("hidden = [128, 'x']", &["line 1", "`hidden`"]),
        ("hidden = [0]", &["`hidden`", "1 to 65536"]),
        ("hidden = [-5]", &["`hidden`", "128,64"]),
        ("hidden = 'wide'", &["`hidden`", "wide", "128,64"]),
        ("activation = 'rlu'", &["`activation`", "rlu", "relu"]),
        ("activation = 3", &["`activation`", "line 1"]),
        ("optimizer = 'adamw'", &["`optimizer`", "adamw", "rmsprop"]),
        ("schedule = 'onecycle'", &["`schedule`", "one-cycle"]),
        ("init = 'orthogonal'", &["`init`", "normal:STD"]),
        ("bn = 'both'", &["`bn`", "boolean"]),
        ("bn = 1", &["`bn`", "boolean"]),
        ("max-time = 600", &["`max-time`", "10m"]),
        ("data-memory = -5", &["`data-memory`", "512M"]),
        ("data-memory = 'much'", &["`data-memory`", "512M"]),
        ("seed = -1", &["`seed`", "0 to 18446744073709551615"]),
        ("seed = '99999999999999999999'", &["`seed`", "18446744073709551615"]),
        ("data = 7", &["`data`", "string"]),
        ("log = 'loud'", &["`log`", "warn"]),
        ("watch = ['weights']", &["`watch`", "weights", "activations"]),
        ("epochs = 1\nlr = ", &["line 2", "not valid TOML"]),
        ("lr = 1\nlr = 2", &["line 2", "not valid TOML", "duplicate"]),
        ("lr == 1", &["line 1", "not valid TOML"]),
    ] {
        let message = PartialConfig::from_toml(text, Path::new("c.toml")).expect_err(text).to_string();
        assert_words(&message, words);
        assert_words(&message, &["c.toml, line "]);
    }
}

#[test]
fn a_file_with_a_byte_order_mark_and_crlf_reads_like_any_other() {
    let plain = PartialConfig::from_toml("epochs = 3\nlr = 0.5\n", Path::new("c.toml")).unwrap();
    let windows = "\u{feff}epochs = 3\r\nlr = 0.5\r\n";
    let config = PartialConfig::from_toml(windows, Path::new("c.toml")).unwrap();
    assert_eq!(format!("{config:?}"), format!("{plain:?}"));
    let bad = windows.replace("lr", "lrr");
    let message = PartialConfig::from_toml(&bad, Path::new("c.toml")).unwrap_err().to_string();
    assert_words(&message, &["c.toml, line 2", "lrr"]);
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let message = PartialConfig::from_file(Path::new("no/such.toml")).unwrap_err().to_string();
    assert_words(&message, &["no/such.toml", "--config"]);
    let folder = tempfile::tempdir().unwrap();
    assert!(PartialConfig::from_file(folder.path()).is_err());
    let binary = folder.path().join("binary.toml");
    std::fs::write(&binary, [0xff, 0xfe, 0]).unwrap();
    assert_words(&PartialConfig::from_file(&binary).unwrap_err().to_string(), &["binary.toml", "UTF-8"]);
}

#[test]
fn flags_win_over_the_file_and_the_file_over_defaults() {
    let run = resolve(flags("lr = 0.5"), file("lr = 0.1\nbatch-size = 7\nhidden = '9x2'")).unwrap();
    assert_eq!((run.training.lr, run.training.batch_size), (0.5, 7));
    assert_eq!(run.training.network.hidden, [9, 9]);
    assert_eq!(run.training.schedule, Schedule::Constant);
}

#[test]
fn a_choice_by_flag_replaces_the_files_choice_and_its_settings() {
    let first = resolve(flags("bn = true\nepochs = 3"), None).unwrap().to_toml();
    let run = resolve(flags("optimizer = 'sgd'\nbn = false\nsteps = 9"), file(&first)).unwrap();
    assert_eq!(run.training.optimizer, Optimizer::Sgd { momentum: 0.0, nesterov: false });
    assert_eq!((run.training.network.batch_norm, run.training.length), (None, Length::Steps(9)));
    let kept = resolve(flags("optimizer = 'rmsprop'"), file("eps = 1e-4\nbeta1 = 0.5")).unwrap();
    assert_eq!(kept.training.optimizer, Optimizer::RmsProp { alpha: 0.99, eps: 1e-4 });
    let message = resolve(flags("beta1 = 0.5"), file("optimizer = 'sgd'")).unwrap_err().to_string();
    assert_words(&message, &["--beta1", "sgd"]);
}

#[test]
fn values_at_the_edges_are_accepted() {
    for text in [
        "beta1 = 0\nbeta2 = 0",
        "batch-size = 1",
        "bn = true\nbatch-size = 2\nbn-momentum = 1",
        "dropout = 0.999999",
        "val-split = 0\ntest-split = 0",
        "hidden = '65536x64'",
        "hidden = []",
        "hidden = 128",
        "lr = 1e-37",
        "steps = 4294967295\nwarmup = 4294967294",
        "seed = 9223372036854775807",
        "max-time = '1ns'",
        "name = 'größe-1.5'",
        "data-memory = '1 GiB'",
    ] {
        resolve(flags(text), None).unwrap_or_else(|e| panic!("{text}: {e}"));
    }
}

#[test]
fn every_name_is_the_same_in_files() {
    for activation in Activation::ALL {
        assert_eq!(toml::Value::try_from(activation).unwrap().as_str(), Some(activation.name()));
    }
    for schedule in Schedule::ALL {
        assert_eq!(toml::Value::try_from(schedule).unwrap().as_str(), Some(schedule.name()));
    }
    for kind in OptimizerKind::ALL {
        assert_eq!(toml::Value::try_from(kind).unwrap().as_str(), Some(kind.name()));
    }
}

#[test]
fn owners_are_choices_that_exist_and_stand_before_their_settings() {
    for (at, of) in HYPERPARAMETERS.iter().enumerate() {
        let Some(owner) = of.owner else { continue };
        assert!(CHOICES.contains(&owner.choice), "{}: {}", of.key, owner.choice);
        let choice = HYPERPARAMETERS.iter().position(|other| other.key == owner.choice).unwrap();
        assert!(choice < at, "{} stands before its owner {}", of.key, owner.choice);
        match HYPERPARAMETERS[choice].kind {
            Kind::Name(names) => {
                assert!(owner.values.iter().all(|value| names.contains(value)), "{}", of.key)
            }
            Kind::Switch => assert_eq!(owner.values, ["on"], "{}", of.key),
            other => panic!("{} belongs to {other:?}", of.key),
        }
    }
}

#[test]
fn an_optimizer_writes_the_settings_that_it_owns_and_no_others() {
    for kind in OptimizerKind::ALL {
        let config = PartialConfig { optimizer: Some(kind), ..Default::default() };
        let run = resolve(config, None).unwrap();
        let table = PartialConfig::from(&run).table().unwrap();
        for of in &HYPERPARAMETERS {
            let Some(owner) = of.owner.filter(|owner| owner.choice == "optimizer") else { continue };
            let owned = owner.values.contains(&kind.name());
            assert_eq!(table.contains_key(of.key), owned, "{} of {}", of.key, kind.name());
        }
    }
}
