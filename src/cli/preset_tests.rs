//! Presets are defaults: flags and files win over each of their values, whatever belongs to what.

use std::time::Duration;

use super::*;
use crate::spec::preset::{self, Preset, Problem, Target};
use crate::spec::{BestEpoch, Domain, Folds, Length, Optimizer, Strategy};
use crate::sweep::Study;

/// Training rows of small and large tables.
const ROWS: [usize; 6] = [0, 20, 1_000, 5_000, 20_000, 1_000_000];

/// A regression on this many training rows.
fn table(rows: usize) -> Problem {
    Problem { rows, ..Problem::default() }
}

fn train(preset: &str, args: &str) -> Result<RunRequest, String> {
    let args = ["bngpu", "train"].into_iter().chain(args.split_whitespace());
    let Command::Train(train) = try_parse_from(args).unwrap().command else { panic!("not train") };
    train.typed().and_then(|typed| typed.request_over(preset)).map_err(|error| error.to_string())
}

fn sweep(preset: &str, args: &str) -> Result<SweepRequest, String> {
    let args = ["bngpu", "auto"].into_iter().chain(args.split_whitespace());
    let Command::Auto(auto) = try_parse_from(args).unwrap().command else { panic!("not auto") };
    auto.typed().and_then(|typed| typed.request_over(preset)).map_err(|error| error.to_string())
}

fn auto(args: &str) -> SweepRequest {
    sweep(&preset::auto(table(5_000)), args).unwrap_or_else(|error| panic!("{args}: {error}"))
}

fn best(args: &str) -> RunRequest {
    train(&Preset::Best.train(table(1_000)), args).unwrap_or_else(|error| panic!("{args}: {error}"))
}

/// A file with this text, and the flag that names it.
fn file(text: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("f.toml");
    std::fs::write(&path, text).unwrap();
    (folder, format!("--config {}", path.display()))
}

#[test]
fn presets_are_valid_for_tables_of_any_size() {
    let targets = [Target::Value, Target::TwoClasses, Target::Classes];
    for (rows, target) in ROWS.into_iter().flat_map(|rows| targets.map(|target| (rows, target))) {
        let problem = Problem { rows, target, is_table: true };
        for preset in Preset::ALL {
            let run = train(&preset.train(problem), "").unwrap();
            assert_eq!(run.ensemble > 1, preset != Preset::Plain, "{rows} {}", preset.name());
            assert_eq!(run == train("", "").unwrap(), preset == Preset::Plain);
        }
        for is_table in [true, false] {
            let request = sweep(&preset::auto(Problem { is_table, ..problem }), "").unwrap();
            assert_eq!(request.space.get("embed").is_some(), is_table);
            let shares = is_table && (1_500..10_000).contains(&rows) && target == Target::TwoClasses;
            assert_eq!(request.space.get("sub-models").is_some(), shares);
            assert!(request.is_open() && request.max_time.is_some());
            // Halving compares trainings of one length.
            assert_ne!(request.halving.is_some(), request.space.get("epochs").is_some());
            assert_eq!(request.halving.is_none(), request.seeds == 3);
            let keeps_last = request.base.training.best_epoch == BestEpoch::Last;
            assert_eq!(keeps_last, rows < 1_500 && target == Target::Value, "{rows} rows");
            // Its folder repeats it without the preset.
            let toml = request.to_toml();
            assert_eq!(SweepRequest::from_toml(&toml, "c.toml".as_ref()).unwrap(), request, "{toml}");
            let study = Study::new(&request).unwrap();
            for trial in 0..50 {
                request.run_request(&study.params(trial, &[], &[]), trial).unwrap();
            }
        }
    }
}

#[test]
fn flags_of_train_win_over_a_preset() {
    let usual = best("");
    assert!(usual.training.network.batch_norm.is_some());
    assert_eq!(best("--steps 100").training.length, Length::Steps(100));
    assert_eq!(best("--epochs 3").training.length, Length::Epochs(3));
    assert_eq!(best("--no-bn").training.network.batch_norm, None);
    assert_eq!(best("--bn-eps 1e-3").training.network.batch_norm.unwrap().eps, 1e-3);
    assert_eq!(best("--ensemble 2").ensemble, 2);
    assert_eq!(best("--ensemble 1").ensemble, 1);
    assert_eq!(best("--hidden none").training.network.hidden, [0; 0]);
    // Validation rows that are asked for are those of all models.
    let folds = |flags| best(flags).data.folds.filter(Folds::is_used);
    let of = |count, share| Some(Folds { count, share });
    assert_eq!(
        [folds(""), folds("--ensemble 2"), folds("--val-each 0.2")],
        [of(18, 0.05), of(2, 0.05), of(18, 0.2)]
    );
    for flags in ["--ensemble 1", "--val-each 0", "--val-split 0.2", "--watch gradients"] {
        assert_eq!(folds(flags), None, "{flags}");
    }
    let sgd = best("--optimizer sgd --momentum 0.9").training.optimizer;
    assert_eq!(sgd, Optimizer::Sgd { momentum: 0.9, nesterov: false });
    // Everything else is the preset's.
    let more = best("--lr 0.5");
    assert_eq!(RunRequest { training: usual.training.clone(), ..more.clone() }, usual);
    assert_eq!((more.training.lr, &more.training.network), (0.5, &usual.training.network));
    // Layers are recorded of one model.
    assert_eq!(best("--watch gradients").ensemble, 1);
    let two = Problem { target: Target::TwoClasses, ..table(9_000) };
    let (shared, watched) =
        ["", "--watch gradients"].map(|flags| train(&Preset::Default.train(two), flags).unwrap()).into();
    let counts = |run: &RunRequest| (run.ensemble, run.training.network.sub_models);
    assert_eq!((counts(&shared), counts(&watched)), ((4, 4), (1, 1)));
    let error = train(&Preset::Best.train(table(9)), "--watch gradients --ensemble 3").unwrap_err();
    assert!(error.contains("--ensemble is 3") && error.contains("--watch"), "{error}");
    let error = train(&Preset::Best.train(table(9)), "--beta1 0.8 --optimizer sgd").unwrap_err();
    assert!(error.contains("--beta1 is a setting of --optimizer adam"), "{error}");
}

#[test]
fn files_win_over_a_preset() {
    let (_folder, config) = file("steps = 7\nbn = false\nensemble = 3\nwatch = []\noptimizer = 'sgd'\n");
    let run = best(&config);
    assert_eq!((run.training.length, run.ensemble), (Length::Steps(7), 1.max(run.ensemble)));
    assert_eq!(run.training.network.batch_norm, None);
    assert_eq!(best(&format!("{config} --epochs 2")).training.length, Length::Epochs(2));

    let (_folder, config) = file("lr = 0.5\nhalving = false\nsteps = 40\n[space]\nhidden = ['8', '8x2']\n");
    let request = auto(&config);
    assert_eq!((request.base.training.lr, request.halving), (0.5, None));
    assert_eq!(request.base.training.length, Length::Steps(40));
    assert!(request.space.get("lr").is_none());
    let Domain::Set(hidden) = &request.space.get("hidden").unwrap().domain else { panic!("not a set") };
    assert_eq!(hidden.len(), 2);
    assert!(auto(&format!("{config} --lr 1e-3..1e-1:log")).space.get("lr").is_some());
}

#[test]
fn flags_of_sweep_win_over_the_preset_of_auto() {
    let usual = auto("");
    let halving = usual.halving.unwrap();
    let searched = |request: &SweepRequest, key: &str| request.space.get(key).is_some();
    assert_eq!(usual.max_time, Some(Duration::from_secs(120)));

    let steps = auto("--steps 500");
    assert_eq!((steps.halving, steps.base.training.length), (None, Length::Steps(500)));
    let error = sweep(&preset::auto(table(5_000)), "--steps 500 --halving").unwrap_err();
    assert!(error.contains("--steps is 500") && error.contains("--halving"), "{error}");
    for epochs in [1, 2, 300] {
        let request = auto(&format!("--epochs {epochs}"));
        assert_eq!(request.base.training.length, Length::Epochs(epochs));
        assert_eq!(request.halving.unwrap().min_epochs, halving.min_epochs.min(epochs));
    }
    let error = sweep(&preset::auto(table(5_000)), "--epochs 5 --min-epochs 6").unwrap_err();
    assert!(error.contains("--min-epochs is 6; write 1 to 5"), "{error}");

    // Few rows: no halving, and trainings of several lengths.
    let few = |args: &str| sweep(&preset::auto(table(1_000)), args).unwrap();
    assert_eq!((few("").halving, few("").base.training.length), (None, Length::Epochs(120)));
    assert!(searched(&few(""), "epochs") && !searched(&few("--epochs 50"), "epochs"));
    assert_eq!(few("--epochs 50").base.training.length, Length::Epochs(50));
    assert!(!searched(&few("--steps 500"), "epochs"));
    assert_eq!(few("--halving").halving.unwrap().min_epochs, 1);

    let plain = auto("--no-bn");
    assert!(!searched(&plain, "bn") && plain.base.training.network.batch_norm.is_none());
    assert!(!plain.to_toml().contains("bn-eps"), "{}", plain.to_toml());
    assert_eq!(auto("--bn").base.training.network.batch_norm.unwrap().eps, 1e-5);
    let sgd = auto("--optimizer sgd,adam --momentum 0,0.9");
    assert!(searched(&sgd, "momentum") && searched(&sgd, "lr"));
    let hidden = auto("--hidden 64 --batch-size 7 --embed none");
    assert!(["hidden", "batch-size", "embed"].iter().all(|key| !searched(&hidden, key)));
    assert_eq!((hidden.base.training.network.hidden, hidden.base.training.batch_size), (vec![64], 7));
    assert_eq!(auto("--finalists 0 --keep-models 0 --seeds 2").finalists, 0);
    assert_eq!(auto("--trials 9 --max-time 1h").trials, 9);
    assert_eq!(auto("--shard 1/3").shard.unwrap().count, 3);
    for strategy in ["sobol", "tpe"] {
        assert!(auto(&format!("--strategy {strategy}")).is_open());
    }
    let error = sweep(&preset::auto(table(5_000)), "--strategy grid").unwrap_err();
    assert!(error.starts_with("the default of --lr is a range; a grid takes sets only"), "{error}");
    assert_eq!(auto("--strategy grid --lr 1e-3,1e-2 --l2 0,1e-3").strategy, Strategy::Grid);
    let error = sweep(&preset::auto(table(5_000)), "--ensemble 8").unwrap_err();
    assert!(error.contains("--ensemble is 8"), "{error}");
}

#[test]
fn a_preset_drops_what_no_choice_uses() {
    let preset = "halving = true\n[space]\noptimizer = 'adam,sgd'\nbeta1 = '0.8..0.9'\nmomentum = '0,0.9'\n";
    let with = |args: &str| sweep(preset, &format!("--trials 1 {args}")).unwrap();
    let keys = |request: &SweepRequest| -> Vec<String> {
        request.space.dimensions.iter().map(|dimension| dimension.key.clone()).collect()
    };
    assert_eq!(keys(&with("")), ["optimizer", "beta1", "momentum"]);
    assert_eq!(keys(&with("--optimizer sgd")), ["momentum"]);
    let (_folder, config) = file("optimizer = 'rmsprop'\n");
    assert_eq!(keys(&with(&config)), [""; 0]);
    // What a file says of a choice that it does not make is an error still.
    let (_folder, config) = file("optimizer = 'rmsprop'\n[space]\nbeta1 = [0.5, 0.6]\n");
    let error = sweep(preset, &format!("--trials 1 {config}")).unwrap_err();
    assert!(error.contains("`beta1`") && error.contains("rmsprop"), "{error}");
}
