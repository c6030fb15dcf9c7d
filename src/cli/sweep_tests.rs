//! Sweeps from flags and files to the request and back, and the message for each bad one.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use super::*;
use crate::spec::{
    Domain, Halving, Length, Optimizer, Params, SEARCHABLE, Scale, Shard, Strategy, SweepOptions, resolve,
};
use crate::sweep::Study;

/// The message that a user sees: clap's or the request's.
fn sweep(args: &str) -> Result<SweepRequest, String> {
    let args = ["bngpu", "sweep"].into_iter().chain(args.split_whitespace());
    let cli = try_parse_from(args).map_err(|e| {
        assert_eq!(e.exit_code(), 2);
        e.to_string()
    })?;
    match cli.command {
        Command::Sweep(sweep) => sweep.request().map_err(|e| e.to_string()),
        other => panic!("sweep was parsed as {other:?}"),
    }
}

#[track_caller]
fn request(args: &str) -> SweepRequest {
    sweep(args).unwrap_or_else(|e| panic!("{args}: {e}"))
}

fn file(text: &str) -> Result<SweepRequest, String> {
    SweepRequest::from_toml(text, Path::new("s.toml")).map_err(|e| e.to_string())
}

#[track_caller]
fn domain(args: &str, key: &str) -> Domain {
    request(args).space.get(key).unwrap_or_else(|| panic!("{args}: {key} is not searched")).domain.clone()
}

fn set<T: Into<serde_json::Value>>(values: impl IntoIterator<Item = T>) -> Domain {
    Domain::Set(values.into_iter().map(Into::into).collect())
}

#[test]
fn sets_and_ranges_are_read_in_every_form() {
    let range = |low, high, scale, integer| Domain::Range { low, high, scale, integer };
    for (args, key, expected) in [
        ("--lr 0.1,1e-2,0.001", "lr", set([0.1, 0.01, 0.001])),
        ("--lr 1e-4..1e-1:log --trials 3", "lr", range(1e-4, 0.1, Scale::Log, false)),
        ("--dropout 0..0.5 --trials 3", "dropout", range(0.0, 0.5, Scale::Linear, false)),
        ("--dropout .1...5:linear --trials 3", "dropout", range(0.1, 0.5, Scale::Linear, false)),
        ("--beta1 0.9..0.9995:EMA --trials 3", "beta1", range(0.9, 0.9995, Scale::Ema, false)),
        ("--lr 0.1..0.9:ema --trials 3", "lr", range(0.1, 0.9, Scale::Ema, false)),
        ("--batch-size 32,64,128", "batch-size", set([32, 64, 128])),
        ("--batch-size 32..256:log --trials 3", "batch-size", range(32.0, 256.0, Scale::Log, true)),
        ("--hidden 64x2,128x3,256-128", "hidden", set(["64x2", "128x3", "256-128"])),
        ("--hidden 64-64,7,none,9x2-8x1-8", "hidden", set(["64x2", "7", "none", "9x2-8x2"])),
        ("--activation relu,TANH", "activation", set(["relu", "tanh"])),
        ("--init he,normal:0.01", "init", set(["he", "normal:0.01"])),
        ("--bn both", "bn", set([false, true])),
        ("--bn=both --lr 1", "bn", set([false, true])),
        ("--bn on,off", "bn", set([true, false])),
        ("--no-bn --bn both", "bn", set([false, true])),
        ("--optimizer sgd --momentum 0.9 --nesterov both", "nesterov", set([false, true])),
    ] {
        assert_eq!(domain(args, key), expected, "{args}");
    }
}

#[test]
fn single_values_are_not_searched() {
    let one =
        request("--lr 0.5 --hidden 100x3 --bn --optimizer sgd --momentum 0.9 --nesterov --batch-size 7");
    assert!(one.space.dimensions.is_empty());
    assert_eq!((one.trials, one.strategy), (1, Strategy::Grid));
    let training = &one.base.training;
    assert_eq!((training.lr, training.batch_size), (0.5, 7));
    assert_eq!(training.network.hidden, [100; 3]);
    assert!(training.network.batch_norm.is_some());
    assert_eq!(training.optimizer, Optimizer::Sgd { momentum: 0.9, nesterov: true });
    assert!(request("--bn both --no-bn").base.training.network.batch_norm.is_none());
    assert!(request("--bn --lr 0.1").base.training.network.batch_norm.is_some());
    // Without any flag everything is as for `train`.
    let Command::Train(train) = try_parse_from(["bngpu", "train"]).unwrap().command else {
        panic!("not train")
    };
    assert_eq!(request("").base, train.request().unwrap());
}

#[test]
fn trainings_may_differ_in_length() {
    for args in ["--epochs 9,27,3", "--epochs 3..27 --trials 4", "--epochs 9,27,3 --halving --min-epochs 27"]
    {
        let request = request(args);
        assert_eq!(request.base.training.length, Length::Epochs(27), "{args}");
        for epochs in [3, 9, 27] {
            let params = Params::from_iter([("epochs".to_owned(), epochs.into())]);
            assert_eq!(request.run_request(&params, 0).unwrap().training.length, Length::Epochs(epochs));
        }
    }
    // One way to give the length replaces the other.
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("c.toml");
    let with = |text: &str, args: &str| {
        std::fs::write(&config, text).unwrap();
        request(&format!("--config {} {args}", config.display()))
    };
    let steps = with("[space]\nepochs = [3, 9]\nlr = [1, 2]\n", "--steps 7");
    assert_eq!((steps.base.training.length, steps.trials), (Length::Steps(7), 2));
    let epochs = with("steps = 7\n[space]\nlr = [1, 2]\n", "--epochs 3,9");
    assert_eq!((epochs.base.training.length, epochs.trials), (Length::Epochs(9), 4));
    assert_eq!(with("[space]\nepochs = [3, 9]\n", "--epochs 5").base.training.length, Length::Epochs(5));
}

#[test]
fn the_sweeps_own_settings_have_the_defaults_of_the_interface() {
    let plain = request("--lr 0.1,0.2");
    assert_eq!((plain.seeds, plain.finalists, plain.final_seeds, plain.keep), (1, 3, 5, 10));
    assert_eq!((plain.halving, plain.shard, plain.queues, plain.population), (None, None, None, None));
    let halving = request("--lr 0.1,0.2 --halving").halving;
    assert_eq!(halving, Some(Halving { eta: 3, min_epochs: 1 }));
    let full = request(
        "--lr 0.1..0.2 --trials 30 --strategy sobol --seeds 3 --halving --eta 2 --min-epochs 4 --objective val_acc \
         --finalists 2 --final-seeds 7 --queues 2 --devices all --population 9 --keep-models 0 --tensorboard --shard 2/3 \
         --max-time 10m --epochs 30 --patience 4 --seed 5 --split-seed 8 --data digits --quiet --output o --name n",
    );
    assert_eq!((full.strategy, full.trials, full.seeds), (Strategy::Sobol, 30, 3));
    assert_eq!(full.halving, Some(Halving { eta: 2, min_epochs: 4 }));
    assert_eq!((full.finalists, full.final_seeds, full.keep), (2, 7, 0));
    assert_eq!((full.queues, full.population, full.all_devices), (Some(2), Some(9), true));
    assert_eq!((full.max_time, full.base.training.max_time), (Some(Duration::from_secs(600)), None));
    assert_eq!(full.base.training.length, Length::Epochs(30));
    assert_eq!(full.base.training.patience, Some(4));
    assert_eq!((full.base.training.seed, full.base.data.split_seed), (5, 8));
    assert_eq!(full.shard, Some(Shard { index: 2, count: 3 }));
    assert!(full.base.quiet && full.tensorboard);
    assert_eq!(request("--shard 0/1").shard, None);
    assert_eq!(request("--seed 6 --lr 1,2").base.data.split_seed, 6);
}

/// Sweeps of every kind, for the round trip through a file.
const SWEEPS: &[&str] = &[
    "",
    "--lr 0.1,0.01,0.001 --beta1 0.8,0.88,0.9 --bn --hidden 100x3 --epochs 3",
    "--hidden 64x2,none,256-128 --activation relu,tanh --seeds 2",
    "--activation relu,tanh --init he",
    "--activation relu,tanh --init he,normal:1e-30,xavier",
    "--bn both --bn-eps 1e-5 --batch-size 32..256:log --trials 4",
    "--optimizer adam,sgd --beta1 0.8 --momentum 0.9 --lr 1e-4..1e-1:log --trials 4",
    "--optimizer sgd,rmsprop --momentum 0.5..0.9 --nesterov both --eps 1e-3 --trials 4 --strategy tpe",
    "--optimizer sgd,adam --seed 18446744073709551000 --split-seed 3",
    "--lr 1e-8..0.123456789012345678 --strategy sobol --trials 100 --shard 1/4 --objective val_acc",
    "--lr 1,2 --halving --eta 2 --min-epochs 2 --finalists 0 --keep-models 3 --queues 2 --population 7 --tensorboard",
    "--lr 1,2 --devices all --max-time 90s --patience 2 --steps 50 --final-seeds 2 --name x",
    "--lr 1e-3..1:log --max-time 2m --strategy sobol",
    "--epochs 9,3,27 --halving --min-epochs 12",
    "--epochs 5..50:log --lr 1,2 --trials 3 --patience 2",
    "--schedule constant,cosine --warmup 0,100 --clip-norm 1..5:log --l2 0,1e-4 --weight-decay 0..0.1 --trials 3",
    "--lr 1,2,3,4 --trials 3 --strategy grid --device cpu --data a.csv --target y --data-memory 3K",
];

#[test]
fn a_sweep_round_trips_through_its_configuration() {
    for args in SWEEPS {
        let first = request(args);
        let toml = first.to_toml();
        let again = file(&toml).unwrap_or_else(|e| panic!("{args}: {e}\n{toml}"));
        assert_eq!(again, first, "{args}\n{toml}");
        assert_eq!(again.to_toml(), toml);
        let path = tempfile::tempdir().unwrap();
        let path = path.path().join("config.toml");
        std::fs::write(&path, &toml).unwrap();
        assert_eq!(request(&format!("--config {}", path.display())), first, "{args}");
    }
}

#[test]
fn a_time_limit_may_decide_the_number_of_trials() {
    for strategy in ["random", "sobol", "tpe"] {
        let open = request(&format!("--lr 1e-3..1:log --max-time 2m --strategy {strategy}"));
        assert!(open.is_open() && open.trials == 10_000, "{strategy}: {}", open.trials);
        assert!(!open.to_toml().contains("trials"), "{}", open.to_toml());
    }
    let asked = request("--lr 1e-3..1:log --max-time 2m --trials 64");
    assert_eq!((asked.trials, asked.is_open()), (64, false));
    assert_eq!(request("--lr 1,2 --max-time 2m").trials, 2, "a grid has its own number");
}

#[test]
fn the_shard_is_the_last_key_and_can_be_left_out() {
    let whole = request("--lr 1,2,3");
    let part = request("--lr 1,2,3 --shard 1/2");
    assert_ne!(part, whole);
    assert_eq!(part.without_shard(), whole);
    assert_eq!(part.to_toml().replace("shard = \"1/2\"\n", ""), whole.to_toml());
    let top = part.to_toml().split("\n[space]").next().unwrap().to_owned();
    assert_eq!(top.lines().rfind(|line| !line.is_empty()), Some("shard = \"1/2\""));
}

#[test]
fn train_repeats_every_trial_from_its_configuration() {
    let mut seen = BTreeSet::new();
    for args in SWEEPS {
        let sweep = request(args);
        let study = Study::new(&sweep).unwrap();
        for i in 0..study.len().min(20) {
            let params = study.params(i, &[], &[]);
            let run =
                sweep.run_request(&params, 77 + i).unwrap_or_else(|e| panic!("{args}: {params:?}: {e}"));
            assert_eq!((run.training.seed, run.data.split_seed), (77 + i, sweep.base.data.split_seed));
            let length = params.get("epochs").and_then(|epochs| epochs.as_u64()).map(Length::Epochs);
            let length = length.unwrap_or(sweep.base.training.length);
            assert_eq!((run.training.max_time, run.training.length), (None, length));
            let config = PartialConfig::from_toml(&run.to_toml(), Path::new("c.toml")).unwrap();
            let again = resolve(PartialConfig::default(), Some(("c.toml".into(), config))).unwrap();
            assert_eq!(again, run, "{args}: {params:?}");
            // The configuration holds every value of the trial as it was drawn.
            let table: toml::Table = run.to_toml().parse().unwrap();
            for (key, value) in &params {
                seen.insert(key.clone());
                let written = &table[key];
                let equal = match value {
                    serde_json::Value::Bool(on) => written.as_bool() == Some(*on),
                    serde_json::Value::Number(n) => {
                        written.as_float().or(written.as_integer().map(|n| n as f64)) == n.as_f64()
                    }
                    serde_json::Value::String(text) if key == "hidden" => {
                        let layers = written.as_array().unwrap().len();
                        layers == if text == "none" { 0 } else { layers }
                    }
                    other => written.as_str() == other.as_str(),
                };
                assert!(equal, "{args}: {key} is {written} of {value}");
            }
        }
    }
    assert!(seen.len() >= 15, "{seen:?}");
}

#[test]
fn settings_of_a_searched_choice_reach_the_trials_that_have_it() {
    let sweep = request("--optimizer sgd,adam,rmsprop --beta1 0.8 --momentum 0.5 --bn both --bn-eps 1e-3");
    let run = |text: &str| {
        let params: Params = serde_json::from_str(text).unwrap();
        sweep.run_request(&params, 0).unwrap().training
    };
    let adam = run(r#"{"optimizer": "adam", "bn": true}"#);
    assert_eq!(adam.optimizer, Optimizer::Adam { beta1: 0.8, beta2: 0.999, eps: 1e-8 });
    assert_eq!(adam.network.batch_norm.map(|bn| bn.eps), Some(1e-3));
    let sgd = run(r#"{"optimizer": "sgd", "bn": false}"#);
    assert_eq!(sgd.optimizer, Optimizer::Sgd { momentum: 0.5, nesterov: false });
    assert_eq!(sgd.network.batch_norm, None);
    assert_eq!(run(r#"{"optimizer": "rmsprop"}"#).optimizer, Optimizer::RmsProp { alpha: 0.99, eps: 1e-8 });
    // The default initialisation is the activation's, unless one is given.
    let init = |args: &str, activation: &str| {
        let params: Params = serde_json::from_str(&format!(r#"{{"activation": "{activation}"}}"#)).unwrap();
        request(args).run_request(&params, 0).unwrap().training.network.init.to_string()
    };
    assert_eq!(init("--activation relu,tanh", "tanh"), "xavier");
    assert_eq!(init("--activation tanh,relu", "relu"), "he");
    assert_eq!(init("--activation relu,tanh --init he", "tanh"), "he");
}

#[test]
fn flags_win_over_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.toml");
    std::fs::write(
        &path,
        "epochs = 3\nl2 = 0.1\nseeds = 2\n[space]\nlr = '1e-4..1e-1:log'\nbatch-size = [32, 64]\nbeta1 = [0.8, 0.9]\n\
         hidden = [[64, 64], '128-32', 7, []]\nbn = 'both'\n",
    )
    .unwrap();
    let with = |args: &str| request(&format!("--config {} {args}", path.display()));
    let file = with("--trials 5");
    assert_eq!(file.space.get("hidden").unwrap().domain, set(["64x2", "128-32", "7", "none"]));
    assert_eq!((file.base.training.l2, file.seeds), (0.1, 2));
    assert_eq!(file.strategy, Strategy::Random);
    assert_eq!(with("--trials 5 --seeds 4").seeds, 4);
    let flags = with("--lr 0.5 --l2 0,1 --steps 9 --optimizer sgd --no-bn --trials 5");
    assert_eq!(flags.base.training.lr, 0.5);
    assert_eq!(flags.space.get("l2").unwrap().domain, set([0.0, 1.0]));
    let keys: Vec<&str> = flags.space.dimensions.iter().map(|d| d.key.as_str()).collect();
    assert_eq!(keys, ["hidden", "l2", "batch-size"]);
}

/// Bad flags, and words that the message must contain. All end with exit code 2.
const BAD_FLAGS: &[(&str, &[&str])] = &[
    ("--lr=", &["--lr", "no value", "1e-3,1e-2"]),
    ("--lr 0.1,,0.2", &["--lr", "missing", "1e-3,1e-2"]),
    ("--lr 0.1,", &["--lr", "missing"]),
    ("--lr 0.1..0.01:log --trials 3", &["--lr", "backwards", "0.01..0.1"]),
    ("--lr 0.1..0.1 --trials 3", &["--lr", "one value", "write 0.1"]),
    ("--lr 0..0.1:log --trials 3", &["--lr", "above 0", "1e-5..1e-1:log"]),
    ("--lr -1..0.1:log --trials 3", &["--lr", "above 0"]),
    ("--lr -1..0.1 --trials 3", &["--lr is -1", "greater than 0"]),
    ("--lr 0,0.1", &["--lr is 0", "greater than 0"]),
    ("--lr ..0.1 --trials 3", &["--lr", "two ends", "LOW..HIGH"]),
    ("--lr 0.1.. --trials 3", &["--lr", "two ends"]),
    ("--lr 0.1..fast --trials 3", &["--lr", "fast", "expected a number"]),
    ("--lr 0.1..0.2:sqrt --trials 3", &["--lr", "sqrt", ":log, :ema"]),
    ("--lr 0.1,0.2:log", &["--lr", "a set has no scale", "LOW..HIGH:log"]),
    ("--lr 0.001,0.1..0.2", &["--lr", "cannot hold a range"]),
    ("--lr 0.1,0.10", &["--lr", "0.1 is listed twice", "--seeds"]),
    ("--lr nan,0.1", &["--lr", "nan is not a finite number"]),
    ("--lr 0.1..inf --trials 3", &["--lr", "inf is not a finite number"]),
    ("--lr 0.1,fast", &["--lr", "fast", "1e-3"]),
    ("--lr 0.5..1.5:ema --trials 3", &["--lr", ":ema", "below 1", "0.9..0.999:ema"]),
    ("--beta1 0.9..1:ema --trials 3", &["--beta1", "below 1"]),
    ("--beta1 -0.1..0.9:ema --trials 3", &["--beta1", "from 0 to below 1"]),
    ("--beta1 0.9,1", &["--beta1 is 1", "below 1, for example 0.9"]),
    ("--beta2 0.9..1.5 --trials 3", &["--beta2 is 1.5", "below 1"]),
    ("--optimizer adam,sgd --beta1 1", &["--beta1 is 1", "below 1"]),
    ("--dropout 0..1 --trials 3", &["--dropout is 1", "below 1"]),
    ("--activation relu..tanh --trials 3", &["--activation", "only numbers have ranges", "relu,tanh"]),
    ("--hidden 64..128 --trials 3", &["--hidden", "only numbers have ranges", "64x2,256-128"]),
    ("--bn on..off --trials 3", &["--bn", "only numbers have ranges", "both"]),
    ("--bn maybe", &["--bn", "maybe", "on, off or both"]),
    ("--activation rlu,relu", &["--activation", "rlu", "relu, sigmoid, tanh"]),
    ("--hidden 64x2,x3", &["--hidden", "x3", "256-128"]),
    ("--hidden 64x2,64-64", &["--hidden", "64x2 is listed twice"]),
    ("--batch-size 32,64.5", &["--batch-size", "64.5", "whole number"]),
    ("--batch-size 2.5..8 --trials 3", &["--batch-size", "2.5", "whole number"]),
    ("--batch-size 8..64:ema --trials 3", &["--batch-size", ":ema"]),
    ("--batch-size 0,32", &["--batch-size is 0", "1 or more"]),
    ("--batch-size 1,32 --bn", &["--batch-size is 1", "2 or more with --bn"]),
    ("--batch-size 1..32 --bn both --trials 3", &["--batch-size is 1", "2 or more with --bn"]),
    ("--optimizer sgd --momentum 0,0.9 --nesterov both", &["--nesterov", "momentum above 0"]),
    ("--optimizer sgd --beta1 0.8,0.9", &["--beta1", "optimizer is sgd", "--optimizer adam"]),
    ("--optimizer sgd,rmsprop --beta1 0.8,0.9", &["--beta1", "sgd or rmsprop", "--optimizer adam"]),
    ("--bn-momentum 0.1,0.2", &["--bn-momentum", "bn is off", "use --bn"]),
    ("--epochs 5,10 --steps 7", &["--epochs", "--steps", "both given"]),
    ("--epochs 5,10 --halving --min-epochs 11", &["--min-epochs is 11", "1 to 10"]),
    ("--epochs 0..9 --trials 3", &["--epochs is 0", "1 or more"]),
    ("--steps 100 --warmup 10,100", &["--warmup is 100", "less than the 100 steps"]),
    ("--lr 1,2 --trials 0", &["--trials is 0", "1 or more"]),
    ("--lr 1,2 --l2 0,1 --trials 5", &["--trials is 5", "the grid has 4", "--seeds"]),
    ("--lr 0.1..1", &["--trials is needed", "random", "--trials 64"]),
    ("--lr 1,2 --strategy tpe", &["--trials is needed", "tpe"]),
    ("--lr 0.1..1 --strategy grid --trials 4", &["--lr is a range", "sets only", "--strategy random"]),
    ("--lr 0.1..1 --strategy sobol --trials 65537", &["--trials is 65537", "65536 or fewer"]),
    ("--lr 0.1..1 --trials 1000001", &["--trials is 1000001", "1000000 or fewer"]),
    ("--lr 1,2 --strategy bayes", &["--strategy", "bayes", "sobol"]),
    ("--lr 1,2 --objective acc", &["--objective", "val_loss", "val_acc"]),
    ("--lr 1,2 --seeds 0", &["--seeds is 0", "1 or more"]),
    ("--lr 1,2 --seeds 2 --seed 18446744073709551615", &["--seed is 18446744073709551615", "at most"]),
    ("--lr 1,2 --halving --eta 1", &["--eta is 1", "2 or more"]),
    ("--lr 1,2 --eta 3", &["--eta", "halving is off", "use --halving"]),
    ("--lr 1,2 --min-epochs 3", &["--min-epochs", "use --halving"]),
    ("--lr 1,2 --halving --min-epochs 21", &["--min-epochs is 21", "1 to 20"]),
    ("--lr 1,2 --halving --min-epochs 0", &["--min-epochs is 0", "1 to 20"]),
    ("--lr 1,2 --halving --steps 100", &["--steps is 100", "--epochs"]),
    ("--lr 1,2 --epochs 1 --steps 100", &["--epochs", "--steps", "keep one"]),
    ("--lr 1,2 --shard 4/4", &["--shard", "0/4 to 3/4"]),
    ("--lr 1,2 --shard 0/0", &["--shard", "0/4"]),
    ("--lr 1,2 --shard 2", &["--shard", "I/N", "0/4"]),
    ("--lr 1,2 --shard=-1/4", &["--shard", "I/N"]),
    ("--lr 1,2 --shard 1/2 --strategy tpe --trials 4", &["--shard is 1/2", "random or sobol"]),
    ("--lr 1,2 --population 0", &["--population is 0", "1 or more"]),
    ("--lr 1,2 --queues 0", &["--queues is 0", "1 or more"]),
    ("--lr 1,2 --devices foo", &["--devices", "foo", "all"]),
    ("--lr 1,2 --devices all --device cpu", &["--device is cpu", "--devices all"]),
    ("--lr 1,2 --keep-models many", &["--keep-models", "many", "whole number"]),
    ("--lr 1,2 --seeds 1000000000", &["--seeds is 1000000000", "at most 1000,"]),
    ("--lr 1,2 --final-seeds 1000000000", &["--final-seeds is 1000000000", "at most 1000,"]),
    ("--lr 1,2 --finalists 4294967295", &["--finalists is 4294967295", "at most 1000,"]),
    ("--lr 1,2 --queues 65", &["--queues is 65", "at most 64,"]),
    ("--lr 1,2 --population 65537", &["--population is 65537", "at most 65536,"]),
    ("--lr 1,2 --keep-models 4294967295", &["--keep-models is 4294967295", "at most 1000000,"]),
    ("--lr 1,2 --halving --eta 4294967295", &["--eta is 4294967295", "at most 1000,"]),
    ("--lr 1,2 --shard 0/65537", &["--shard", "65536 or fewer"]),
    ("--lr 0.1..1 --trials 1000000 --seeds 2", &["--seeds is 2", "2000000 trainings", "write 1 or fewer"]),
    ("--lr 0.1..1 --max-time 1m --seeds 101", &["--seeds is 101", "write 100 or fewer", "fewer --trials"]),
    ("--lr 1,2 --finalists -1", &["--finalists"]),
    ("--lr 1,2 --final-seeds 0", &["--final-seeds is 0", "1 or more"]),
    ("--lr 1,2 --finalists 0 --final-seeds 3", &["--final-seeds is 3", "--finalists 0"]),
    ("--lr 1,2 --val-split 0", &["--val-split is 0", "above 0"]),
    ("--lr 1,2 --steps 3,4", &["--steps", "whole number"]),
    ("--lr 1,2 --learning-rate 3", &["--learning-rate"]),
    ("--lr 1,2 --watch gradients", &["--watch is gradients", "bngpu train --watch"]),
    ("--lr 1,2 --ensemble 4", &["--ensemble is 4", "bngpu train --ensemble"]),
    ("--lr 1,2 --config no/such.toml", &["no/such.toml", "--config"]),
];

/// Bad files, and words that the message must contain.
const BAD_FILES: &[(&str, &[&str])] = &[
    ("watch = ['activations']\nspace.lr = '1,2'", &["`watch` in s.toml", "bngpu train --watch"]),
    ("ensemble = 1\nspace.lr = '1,2'", &["`ensemble` in s.toml", "bngpu train --ensemble"]),
    ("[space]\n\nlearning-rate = '1,2'", &["s.toml, line 3", "learning-rate", "one value, at the top level"]),
    ("[space]\nbatch_size = [1, 2]", &["line 2", "`batch_size`", "did you mean `batch-size`"]),
    ("[space]\npatience = [1, 2]", &["line 2", "`patience`"]),
    ("trails = 4\n[space]\nlr = [1, 2]", &["line 1", "`trails`", "did you mean `trials`"]),
    ("frobnicate = 4", &["line 1", "`frobnicate`", "bngpu sweep --help", "[space]"]),
    ("lr = 0.1\n[space]\nlr = [1, 2]", &["s.toml", "`lr` is both", "keep one"]),
    ("lr = '1e-4..1e-1:log'", &["line 1", "`lr`", "[space]"]),
    ("lr = [0.1, 0.2]", &["line 1", "`lr`", "[space]"]),
    ("space = 'lr'", &["line 1", "`space`"]),
    ("[space]\nlr = []", &["`lr` in s.toml", "no value"]),
    ("[space]\nlr = [0.1, 'x']", &["`lr` in s.toml", "\"x\"", "expected a number"]),
    ("[space]\nlr = [0.1, true]", &["`lr` in s.toml", "expected a value"]),
    ("[space]\nlr = [0.1, '0.2..0.3']", &["`lr` in s.toml", "cannot hold a range"]),
    ("[space]\nlr = [0.1, nan]", &["`lr` in s.toml", "finite"]),
    ("[space]\nlr = {low = 1, high = 2}", &["`lr` in s.toml", "expected a value"]),
    ("[space]\nactivation = [3]", &["`activation` in s.toml", "relu,tanh"]),
    ("[space]\nhidden = ['64x2', [0]]", &["`hidden` in s.toml", "1 to 65536"]),
    ("[space]\nbeta1 = [0.5, 1]", &["`beta1` in s.toml is 1", "below 1"]),
    ("optimizer = 'sgd'\n[space]\nbeta1 = [0.5, 0.6]", &["`beta1` in s.toml", "--optimizer adam"]),
    ("trials = -1", &["line 1", "`trials`", "whole number"]),
    ("trials = 0", &["`trials` in s.toml is 0", "1 or more"]),
    ("strategy = 'gird'", &["line 1", "`strategy`", "grid"]),
    ("shard = '4/4'", &["line 1", "`shard`", "0/4 to 3/4"]),
    ("devices = 'foo'", &["line 1", "`devices`", "all"]),
    ("halving = 1", &["line 1", "`halving`", "boolean"]),
    ("[space]\nlr = [1, 2", &["line 2", "not valid TOML"]),
];

#[test]
fn every_bad_sweep_is_refused_with_place_and_remedy() {
    assert!(BAD_FLAGS.len() >= 70 && BAD_FILES.len() >= 25);
    let check = |what: &str, result: Result<SweepRequest, String>, words: &[&str]| {
        let message = result.err().unwrap_or_else(|| panic!("{what}: accepted"));
        for word in words {
            assert!(message.contains(word), "{what}: {word:?} is not in: {message}");
        }
    };
    for (args, words) in BAD_FLAGS {
        check(args, sweep(args), words);
    }
    for (text, words) in BAD_FILES {
        check(text, file(text), words);
    }
}

#[test]
fn every_count_of_a_sweep_has_a_limit() {
    for arg in command().find_subcommand("sweep").unwrap().get_arguments() {
        let is_count = arg.get_value_parser().type_id() == std::any::TypeId::of::<crate::spec::Count>();
        let Some(key) = arg.get_long().filter(|_| is_count && arg.get_help_heading() == Some("Sweep")) else {
            continue;
        };
        let halving = if matches!(key, "eta" | "min-epochs") { "--halving" } else { "" };
        let message = sweep(&format!("--lr 0.1..1 --trials 9 {halving} --{key} 4294967295")).unwrap_err();
        assert!(
            message.contains(&format!("--{key} is 4294967295; ")) && message.contains("write"),
            "{message}"
        );
    }
}

#[test]
fn a_grid_too_large_to_walk_is_refused() {
    let values: Vec<String> = (1..=101).map(|n| format!("{}", f64::from(n) / 1000.0)).collect();
    let values = values.join(",");
    let three = format!("--lr {values} --l2 {values} --dropout {values}");
    let message = sweep(&three).unwrap_err();
    assert!(message.contains("1030301 combinations") && message.contains("--trials N"), "{message}");
    assert_eq!(request(&format!("{three} --trials 50")).trials, 50);
    let keys = [
        "lr",
        "l2",
        "dropout",
        "beta1",
        "beta2",
        "eps",
        "weight-decay",
        "clip-norm",
        "bn-eps",
        "bn-momentum",
    ];
    let all: String = keys.iter().map(|key| format!("--{key} {values} ")).collect();
    let message = sweep(&format!("--bn {all} --trials 9")).unwrap_err();
    assert!(message.contains("64 bits"), "{message}");
}

#[test]
fn a_sweep_with_a_range_is_random_and_a_sweep_of_seeds_is_a_grid() {
    let seeds = request("--seeds 5");
    assert_eq!((seeds.strategy, seeds.trials, seeds.seeds), (Strategy::Grid, 1, 5));
    assert!(seeds.space.dimensions.is_empty());
    assert_eq!(Study::new(&seeds).unwrap().params(0, &[], &[]), Params::new());
    assert_eq!(request("--lr 1,2 --l2 0..1 --trials 9").strategy, Strategy::Random);
}

#[test]
fn the_shard_is_read_from_slurm_and_from_indexed_jobs() {
    use crate::spec::shard_of;
    let of = |vars: &[(&str, &str)]| {
        shard_of(|name| vars.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).into()))
            .map_err(|e| e.to_string())
    };
    let (id, min, step, count) =
        ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_MIN", "SLURM_ARRAY_TASK_STEP", "SLURM_ARRAY_TASK_COUNT");
    let part = |index, count| Ok(Some(Shard { index, count }));
    assert_eq!(of(&[]), Ok(None));
    assert_eq!(of(&[(id, "3"), (count, "4")]), part(3, 4));
    assert_eq!(of(&[(id, "4"), (min, "1"), (count, "4")]), part(3, 4));
    assert_eq!(of(&[(id, "7"), (min, "1"), (step, "2"), (count, "4")]), part(3, 4));
    assert_eq!(of(&[("JOB_COMPLETION_INDEX", "2"), ("BNGPU_SHARDS", "3")]), part(2, 3));
    assert_eq!(of(&[("JOB_COMPLETION_INDEX", "2"), ("JOB_COMPLETIONS", "5")]), part(2, 5));
    for (vars, words) in [
        (&[(id, "3")][..], &[count, "set it", "--shard I/N"][..]),
        (&[(id, "x"), (count, "4")], &[id, "\"x\"", "whole number"]),
        (&[(id, "4"), (count, "4")], &[id, "part 4", "only 4"]),
        (&[(id, "0"), (min, "1"), (count, "4")], &["below", min]),
        (&[("JOB_COMPLETION_INDEX", "2")], &["BNGPU_SHARDS", "--shard 0/4"]),
    ] {
        let message = of(vars).unwrap_err();
        assert!(words.iter().all(|word| message.contains(word)), "{message}");
    }
}

#[test]
fn the_flags_are_those_of_train_and_the_sweeps_own_with_every_default_in_the_help() {
    let of = |name: &str| command().find_subcommand(name).unwrap().clone();
    let longs = |command: &clap::Command| -> BTreeSet<String> {
        command.get_arguments().filter_map(|arg| arg.get_long().map(String::from)).collect()
    };
    let (mut train, sweep, auto) = (longs(&of("train")), longs(&of("sweep")), longs(&of("auto")));
    assert!(train.remove("preset"));
    assert_eq!(auto, sweep);
    let own: BTreeSet<String> = SweepOptions::keys().into_iter().collect();
    assert_eq!(sweep, train.union(&own).cloned().collect());
    assert!(SEARCHABLE.iter().all(|key| train.contains(*key)));
    // In the order of the flags.
    let order: Vec<String> =
        PartialConfig::keys().into_iter().filter(|k| SEARCHABLE.contains(&&**k)).collect();
    assert_eq!(order, SEARCHABLE);
    let mut defaults = PartialConfig::defaults().table().unwrap();
    defaults.extend(SweepOptions::defaults().table());
    for arg in of("sweep").get_arguments() {
        let Some(default) = arg.get_long().and_then(|long| defaults.get(long)) else { continue };
        let help = arg.get_help().unwrap().to_string();
        assert!(help.contains(&format!("[default: {}]", text(default).replace(',', "-"))), "{help}");
    }
    let help = of("sweep").render_long_help().to_string();
    for words in
        ["--lr 1e-4..1e-1:log", "0.9..0.9995:ema", "1/(1-beta)", "--bn both", "[space]", "[default: 128-128]"]
    {
        assert!(help.contains(words), "{words} is not in\n{help}");
    }
}
