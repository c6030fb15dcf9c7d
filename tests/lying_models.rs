//! Model files that are whole, with a right checksum, and contradict themselves: each is refused with the file's name,
//! without a panic, and before memory is reserved for what it claims.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use bngpu::run::ModelFile;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Memory that a command may ask for, in kB. The tables and the networks are tiny.
const MEMORY_KB: u64 = 4 << 20;

/// Runs the program; on Linux with [`MEMORY_KB`] at most.
fn bngpu(folder: &Path, args: &[&str]) -> Output {
    let program = env!("CARGO_BIN_EXE_bngpu");
    let mut command = if cfg!(target_os = "linux") {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -v {MEMORY_KB}; exec \"$0\" \"$@\""), program]);
        command
    } else {
        Command::new(program)
    };
    command.current_dir(folder).env("RAYON_NUM_THREADS", "2").args(args).output().unwrap()
}

/// Trains a classifier and a regression with every kind of column.
fn models(folder: &Path) {
    let mut text = String::from("a,b,city,kind,price\n");
    for i in 0..120 {
        let gap = if i % 9 == 0 { String::new() } else { (i * 37 % 101).to_string() };
        let (city, kind) = (["Rome", "Oslo", "Bern"][i % 3], ["x", "y", "z"][i % 3]);
        text += &format!("{gap},{}.5,{city},{kind},{}.25\n", i * 13 % 29, i * 7 % 50);
    }
    fs::write(folder.join("d.csv"), text).unwrap();
    for (run, target) in [("classes", "kind"), ("numbers", "price")] {
        let args =
            ["train", "--preset", "plain", "--bn", "--hidden", "5", "--embed", "ple:4", "--epochs", "2"];
        let args = [&args[..], &["--device", "cpu", "-q", "--data", "d.csv", "--target", target, "-o", run]];
        let output = bngpu(folder, &args.concat());
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// The value at a path of keys and indices: `inputs.columns.columns.0.scales`.
fn at<'a>(value: &'a mut Value, path: &str) -> &'a mut Value {
    path.split('.').filter(|key| !key.is_empty()).fold(value, |value, key| match key.parse::<usize>() {
        Ok(index) if value.is_array() => &mut value[index],
        _ => value
            .as_object_mut()
            .unwrap_or_else(|| panic!("{path}"))
            .get_mut(key)
            .unwrap_or_else(|| panic!("{path}")),
    })
}

/// Changes one value of the JSON under `key` of a file's metadata.
fn lie(file: &mut ModelFile, key: &str, path: &str, change: impl FnOnce(&mut Value)) {
    let text = file.metadata.get_mut(key).unwrap();
    let mut value: Value = serde_json::from_str(text).unwrap();
    change(at(&mut value, path));
    *text = value.to_string();
}

/// A change of a model file that leaves it whole.
type Lie = fn(&mut ModelFile);

/// Column 0 is a number with gaps, column 2 a category.
macro_rules! of {
    ($key:literal, $path:literal, $value:expr) => {
        (concat!($key, " ", $path), (|file| lie(file, $key, $path, |value| *value = $value)) as Lie)
    };
}

/// A split of models that hold out rows of their own, of a model that says nothing of their share.
fn folded(folds: u64) -> Value {
    json!({ "train": 20, "val": 2, "test": 2, "folds": folds })
}

#[test]
fn models_that_contradict_themselves_are_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    models(dir.path());
    let many = || json!(vec![json!({ "shift": 0.0, "factor": 1.0 }); 50]);
    let lies: Vec<(&str, &str, Lie)> = [
        ("classes", of!("preprocessing", "task.classify.classes", json!([]))),
        ("classes", of!("preprocessing", "task.classify.classes", json!(["x"]))),
        ("classes", of!("preprocessing", "task.classify.classes", json!(["x", "y"]))),
        ("classes", of!("preprocessing", "task.classify.classes", json!(["x", "x", "y"]))),
        ("classes", of!("preprocessing", "task", json!("regress"))),
        ("numbers", of!("preprocessing", "task", json!({ "classify": { "classes": ["a", "b"] } }))),
        ("classes", of!("preprocessing", "inputs.columns.columns", json!([]))),
        ("classes", of!("preprocessing", "inputs.columns.columns.0.scales", json!([]))),
        ("classes", of!("preprocessing", "inputs.columns.columns.1.scales", json!([]))),
        ("classes", of!("preprocessing", "inputs.columns.columns.2.scales.0.factor", json!(-1.0))),
        ("classes", of!("preprocessing", "inputs.columns.columns.0.scales.0.shift", Value::Null)),
        ("classes", of!("preprocessing", "inputs.columns.columns.0.quantiles", json!([0.0, 1.0]))),
        ("classes", of!("preprocessing", "inputs.columns.columns.0.quantiles.3", json!(1e300))),
        ("classes", of!("preprocessing", "inputs.columns.columns.0.quantiles.3", json!(99.0))),
        ("classes", of!("preprocessing", "inputs.columns.columns.0.position", json!(7_000_000))),
        ("classes", of!("preprocessing", "inputs.columns.columns.0.position", json!(-1))),
        ("classes", of!("preprocessing", "inputs.columns.columns.0.position", json!(1))),
        ("classes", of!("preprocessing", "inputs.columns.columns.0.median", Value::Null)),
        ("classes", of!("preprocessing", "inputs.columns.columns.0.clip", json!(0.0))),
        ("classes", of!("preprocessing", "inputs.columns.columns.0.missing", json!(false))),
        ("classes", of!("preprocessing", "inputs.columns.columns.2.levels", json!([]))),
        ("classes", of!("preprocessing", "inputs.columns.columns.2.levels.0", json!("Rome"))),
        ("classes", of!("preprocessing", "inputs.columns.columns.0.name", json!("b"))),
        ("classes", of!("preprocessing", "inputs.columns.source_columns", json!(0))),
        ("classes", of!("preprocessing", "target.constant", json!(3.0))),
        ("numbers", of!("preprocessing", "target.scale.factor", json!(0.0))),
        ("numbers", of!("preprocessing", "target.clamp", json!([2.0, 1.0]))),
        ("classes", of!("preprocessing", "trained_on.split.train", json!(u64::MAX))),
        ("classes", of!("preprocessing", "trained_on.split.train", json!(0))),
        ("classes", of!("preprocessing", "trained_on.split.test", json!(-3))),
        ("classes", of!("preprocessing", "trained_on.val_split", json!(7.0))),
        ("classes", of!("preprocessing", "trained_on.split", folded(3))),
        ("classes", of!("preprocessing", "trained_on.split", folded(1 << 63))),
        ("classes", of!("classes", "", json!(["x", "y"]))),
        ("classes", of!("classes", "", json!("x"))),
        ("classes", ("no classes", |file| drop(file.metadata.remove("classes")))),
        ("classes", ("no preprocessing", |file| drop(file.metadata.remove("preprocessing")))),
        (
            "classes",
            ("other units", |file| {
                let settings = &mut file.members[0].settings;
                *settings = settings.replace("hidden = [5]", "hidden = [65536, 65536]");
            }),
        ),
        (
            "classes",
            ("another embedding", |file| {
                let settings = &mut file.members[0].settings;
                *settings = settings.replace("ple:4", "ple:64");
            }),
        ),
        (
            "classes",
            ("sub-models", |file| {
                let settings = &mut file.members[0].settings;
                *settings = settings.replace("sub-models = 1", "sub-models = 4");
            }),
        ),
        ("classes", ("no settings", |file| file.members[0].settings.clear())),
        (
            "classes",
            ("a negative variance", |file| {
                file.members[0].layers[0].bn.as_mut().unwrap().running_var[1] = -1.0;
            }),
        ),
        ("classes", ("NaN", |file| file.members[0].layers[1].weight[0] = f32::NAN)),
        ("classes", ("a rate of -1", |file| file.members[0].architecture.dropout = -1.0)),
        ("classes", ("no epsilon", |file| file.members[0].architecture.bn_eps = Some(0.0))),
    ]
    .map(|(run, (name, change))| (run, name, change))
    .to_vec();
    assert!(lies.len() > 40);
    for (run, what, change) in &lies {
        refuses(dir.path(), run, what, change);
    }
    // Scales of 50 inputs where the network takes fewer.
    refuses(dir.path(), "classes", "many scales", |file| {
        lie(file, "preprocessing", "inputs.columns.columns.2.scales", |value| *value = many());
    });
    println!("{} lying models", lies.len() + 1);
}

/// Changes `best.safetensors` of a run, seals it again, and checks that `eval` and `predict` refuse it.
fn refuses(folder: &Path, run: &str, what: &str, change: impl FnOnce(&mut ModelFile)) {
    let path = folder.join(run).join("best.safetensors");
    let whole = fs::read(&path).unwrap();
    let mut file = ModelFile::load(&path).unwrap();
    change(&mut file);
    file.save(&path).unwrap();
    for args in [&["eval", run][..], &["predict", run, "--data", "d.csv"], &["eval", run, "--data", "d.csv"]]
    {
        refused(&bngpu(folder, args), what);
    }
    // Negative control: the file as it was is accepted.
    fs::write(&path, &whole).unwrap();
    assert_eq!(bngpu(folder, &["predict", run, "--data", "d.csv", "-q"]).status.code(), Some(0), "{what}");
}

#[track_caller]
fn refused(output: &Output, what: &str) {
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{what}: {said}");
    assert!(said.contains(".safetensors") && !said.contains("internal error"), "{what}: {said}");
}

#[test]
fn batches_that_a_model_claims_reserve_no_memory() {
    let dir = tempfile::tempdir().unwrap();
    models(dir.path());
    let path = dir.path().join("classes/best.safetensors");
    let mut file = ModelFile::load(&path).unwrap();
    let settings = &mut file.members[0].settings;
    assert!(settings.contains("batch-size = 64"), "{settings}");
    *settings = settings.replace("batch-size = 64", "batch-size = 80000000");
    lie(&mut file, "preprocessing", "trained_on.split.train", |rows| *rows = json!(80_000_000));
    file.save(&path).unwrap();
    let output = bngpu(dir.path(), &["predict", "classes", "--data", "d.csv", "-q"]);
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn states_that_contradict_themselves_are_not_resumed() {
    let dir = tempfile::tempdir().unwrap();
    models(dir.path());
    let path = dir.path().join("classes/last.safetensors");
    let whole = fs::read(&path).unwrap();
    for (key, value) in [
        ("step", json!(u64::MAX)),
        ("step", json!(-1)),
        ("epochs", json!(u64::MAX)),
        ("rows", json!(u64::MAX)),
        ("open.steps", json!(9)),
        ("open.rows", json!(u64::MAX)),
        ("open.hits", json!(u64::MAX)),
        ("epochs_since_best", json!(u64::MAX)),
        ("wall_s", json!(1e300)),
        ("train_s", json!(-1.0)),
        ("best", json!({ "epoch": u64::MAX, "step": u64::MAX, "val_loss": 0.0 })),
        ("ended", json!("never")),
    ] {
        let mut file = ModelFile::load(&path).unwrap();
        let text = file.metadata.get_mut("state").unwrap();
        let mut state: Value = serde_json::from_str(text).unwrap();
        // It goes on from its beginning.
        (state["step"], state["epochs"], state["rows"], state["ended"]) =
            (json!(0), json!(0), json!(0), Value::Null);
        (state["best"], state["epochs_since_best"]) = (Value::Null, json!(0));
        *at(&mut state, key) = value;
        *text = state.to_string();
        file.save(&path).unwrap();
        refused(&bngpu(dir.path(), &["resume", "classes", "-q"]), key);
        fs::write(&path, &whole).unwrap();
    }
    assert_eq!(bngpu(dir.path(), &["resume", "classes", "-q"]).status.code(), Some(0));
}

/// A file with this header (after the checksum) and `data`, sealed as bngpu seals it.
fn sealed(header: &str, data: &[u8]) -> Vec<u8> {
    let start = format!("{{\"__metadata__\":{{\"bngpu_format\":\"1\",\"sha256\":\"{}\"", "0".repeat(64));
    let mut header = start + header;
    header += &" ".repeat(header.len().next_multiple_of(8) - header.len());
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    let place = bytes.windows(64).position(|window| window == [b'0'; 64]).unwrap();
    bytes[place..place + 64].copy_from_slice(digest.as_bytes());
    bytes
}

#[test]
fn headers_that_promise_more_than_the_file_holds_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    models(dir.path());
    let path = dir.path().join("classes/best.safetensors");
    let network = |inputs: u64, hidden: &str, outputs: u64| {
        let text = json!({
            "inputs": inputs, "hidden": serde_json::from_str::<Value>(hidden).unwrap(), "outputs": outputs,
            "activation": "relu", "bn_eps": null, "bn_momentum": null, "dropout": 0.0,
        });
        format!(",\"architecture\":{}}}", Value::from(text.to_string()))
    };
    let tensor = |shape: &str, start: u64, end: u64| {
        format!(
            ",\"layers.0.weight\":{{\"dtype\":\"F32\",\"shape\":{shape},\"data_offsets\":[{start},{end}]}}}}"
        )
    };
    let huge = u64::MAX;
    for (what, header) in [
        ("no tensors", network(2, "[]", 2) + "}"),
        ("a shape beyond 64 bits", network(huge, "[]", huge) + &tensor(&format!("[{huge},{huge}]"), 0, 16)),
        ("a shape beyond the file", network(1 << 40, "[]", 2) + &tensor("[2,1099511627776]", 0, 16)),
        ("offsets beyond the file", network(2, "[]", 2) + &tensor("[2,2]", 0, 1 << 60)),
        ("offsets that go back", network(2, "[]", 2) + &tensor("[2,2]", 16, 0)),
        ("a negative shape", network(2, "[]", 2) + &tensor("[-2,-2]", 0, 16)),
        ("an empty shape", network(2, "[]", 2) + &tensor("[]", 0, 4)),
        ("layers without units", network(0, "[0,0]", 0) + "}"),
        ("a layer of 2^63 units", network(2, "[9223372036854775808]", 2) + "}"),
        ("a million layers", network(2, &format!("[{}1]", "1,".repeat(1_000_000)), 2) + "}"),
        ("a million members", {
            let one = json!({ "weight": 1e-6, "hyperparameters": "", "architecture":
                { "inputs": 1, "hidden": [], "outputs": 1, "activation": "relu", "bn_eps": null, "bn_momentum": null, "dropout": 0.0 } });
            let list = format!("[{}{one}]", format!("{one},").repeat(99_999));
            format!(",\"members\":{}}}}}", Value::from(list))
        }),
        ("deep JSON", format!(",\"architecture\":{}}}}}", Value::from("[".repeat(100_000)))),
    ] {
        fs::write(&path, sealed(&header, &[0; 16])).unwrap();
        for args in [&["eval", "classes"][..], &["predict", "classes", "--data", "d.csv"]] {
            refused(&bngpu(dir.path(), args), what);
        }
        // The page is made without the layers of a file that cannot be read.
        let output = bngpu(dir.path(), &["report", "classes"]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!said.contains("internal error") && output.status.code() == Some(0), "{what}: {said}");
    }
}
