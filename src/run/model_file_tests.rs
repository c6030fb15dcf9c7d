use std::fs;

use super::*;
use crate::spec::Activation;

/// A linear congruential generator (Knuth's MMIX constants): the tests need repeatability, not quality.
struct Lcg(u64);

impl Lcg {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        self.0 >> 33
    }

    fn tensor(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| f32::from_bits((self.next() as u32) << 1)).collect()
    }
}

/// 3 -> 4 (BN) -> 2, every bit of every tensor at random, optimiser state and remainders included.
fn model() -> ModelFile {
    let mut random = Lcg(7);
    let architecture = Architecture {
        inputs: 3,
        hidden: vec![4],
        outputs: 2,
        sub_models: 1,
        activation: Activation::LeakyRelu,
        bn_eps: Some(1e-8),
        bn_momentum: Some(0.1),
        dropout: 0.25,
    };
    let shapes = architecture.layers();
    let hidden = LayerTensors {
        shape: shapes[0],
        weight: random.tensor(12),
        bias: None,
        bn: Some(BnTensors {
            weight: random.tensor(4),
            bias: random.tensor(4),
            running_mean: random.tensor(4),
            running_mean_lo: Some(random.tensor(4)),
            running_var: random.tensor(4),
        }),
    };
    let last =
        LayerTensors { shape: shapes[1], weight: random.tensor(8), bias: Some(random.tensor(2)), bn: None };
    let mut moments = |n| Moments { m: random.tensor(n), v: random.tensor(n) };
    let optimizer = OptimizerState {
        layers: vec![
            LayerMoments {
                weight: moments(12),
                bias: None,
                bn_weight: Some(moments(4)),
                bn_bias: Some(moments(4)),
            },
            LayerMoments { weight: moments(8), bias: Some(moments(2)), ..LayerMoments::default() },
        ],
    };
    let mut model = ModelFile::new(&architecture, vec![hidden, last]);
    model.members[0].optimizer = Some(optimizer);
    model.members[0].settings = "lr = 0.5\n".into();
    model.metadata.insert("classes".into(), r#"["a \"b\"","ü\n"]"#.into());
    model
}

/// Equality of bits: NaN equals itself, -0.0 is not 0.0.
fn bits(model: &ModelFile) -> Vec<u8> {
    model.to_bytes().unwrap()
}

#[test]
fn round_trip_keeps_every_bit() {
    let mut model = model();
    let special = [-0.0, f32::from_bits(1), -f32::MIN_POSITIVE / 2.0, f32::INFINITY, f32::NEG_INFINITY];
    let nans = [0x7fc0_0000, 0x7f80_0001, 0xffff_ffff, 0xffc1_2345].map(f32::from_bits);
    let weight = &mut model.members[0].layers[0].weight;
    weight[..5].copy_from_slice(&special);
    weight[5..9].copy_from_slice(&nans);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("last.safetensors");
    model.save(&path).unwrap();
    let back = ModelFile::load(&path).unwrap();
    assert_eq!(bits(&back), bits(&model));
    let same = |a: &[f32], b: &[f32]| a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits());
    assert!(same(&back.members[0].layers[0].weight, &model.members[0].layers[0].weight));
    assert_eq!(back.metadata, model.metadata);
    assert_eq!(back.members[0].architecture, model.members[0].architecture);
    assert_eq!(back.members[0].settings, model.members[0].settings);
    assert_eq!(back.non_finite().unwrap(), "layers.0.weight[3] is inf");
}

#[test]
fn cut_short_at_every_byte_is_refused() {
    let bytes = bits(&model());
    for length in 0..bytes.len() {
        let fault = ModelFile::from_bytes(&bytes[..length]).unwrap_err();
        assert!(matches!(fault, ModelFault::Truncated { .. } | ModelFault::Damaged), "{length}: {fault}");
    }
    let longer = [&bytes[..], b"\0"].concat();
    assert_eq!(ModelFile::from_bytes(&longer), Err(ModelFault::Damaged));
}

#[test]
fn every_flipped_bit_is_refused() {
    let mut bytes = bits(&model());
    assert!(8 * bytes.len() > 10_000, "{}", bytes.len());
    for bit in 0..8 * bytes.len() {
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(ModelFile::from_bytes(&bytes).is_err(), "bit {bit}");
        bytes[bit / 8] ^= 1 << (bit % 8);
    }
    // Negative control: the file is read once all bits are flipped back.
    ModelFile::from_bytes(&bytes).unwrap();
}

#[test]
fn random_flips_of_several_bits_are_refused() {
    let bytes = bits(&model());
    let mut random = Lcg(3);
    for trial in 0..10_000 {
        let mut damaged = bytes.clone();
        for _ in 0..1 + random.next() % 4 {
            let bit = random.next() as usize % (8 * bytes.len());
            damaged[bit / 8] ^= 1 << (bit % 8);
        }
        assert!(damaged == bytes || ModelFile::from_bytes(&damaged).is_err(), "trial {trial}");
    }
}

#[test]
fn the_safetensors_crate_reads_it() {
    let bytes = bits(&model().model_only());
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    let mut names = file.names();
    names.sort_unstable();
    let expected = [
        "layers.0.bn.bias",
        "layers.0.bn.running_mean",
        "layers.0.bn.running_var",
        "layers.0.bn.weight",
        "layers.0.weight",
        "layers.1.bias",
        "layers.1.weight",
    ];
    assert_eq!(names, expected);
    assert_eq!(file.tensor("layers.0.weight").unwrap().shape(), [4, 3]);
    let offset = file.tensor("layers.0.weight").unwrap().data().as_ptr() as usize - bytes.as_ptr() as usize;
    assert_eq!(offset % 8, 0, "tensors begin at a multiple of eight bytes");
}

#[test]
fn optimiser_and_remainders_have_keys_of_their_own() {
    let bytes = bits(&model());
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    for name in [
        "optimizer.exp_avg.layers.0.weight",
        "optimizer.exp_avg_sq.layers.0.bn.bias",
        "optimizer.exp_avg.layers.1.bias",
        "state.layers.0.bn.running_mean_remainder",
    ] {
        assert!(file.tensor(name).is_ok(), "{name}");
    }
    let model_keys = file.names().iter().filter(|name| name.starts_with("layers.")).count();
    assert_eq!(model_keys, 7);
}

#[test]
fn an_optimiser_with_one_moment_keeps_it() {
    let mut model = model();
    for layer in &mut model.members[0].optimizer.as_mut().unwrap().layers {
        layer.weight.v.clear();
    }
    let back = ModelFile::from_bytes(&bits(&model)).unwrap();
    assert!(back.members[0].optimizer.as_ref().unwrap().layers[0].weight.v.is_empty());
    assert_eq!(bits(&back), bits(&model));
}

#[test]
fn foreign_files_and_versions_are_named() {
    let stranger = |bytes: &[u8]| ModelFile::from_bytes(bytes).unwrap_err();
    let data = 1f32.to_le_bytes();
    let view = safetensors::tensor::TensorView::new(safetensors::Dtype::F32, vec![1], &data).unwrap();
    let foreign = safetensors::serialize([("a", view)], None).unwrap();
    assert_eq!(stranger(&foreign), ModelFault::Foreign("a safetensors file of another program"));
    let text = b"a,b,c\n1,2,3\n4,5,6 and so on, a table that somebody mistook for a model";
    assert!(matches!(stranger(text), ModelFault::Foreign(_)));

    let header = br#"{"__metadata__":{"bngpu_format":"2"}}"#;
    let newer = [&(header.len() as u64).to_le_bytes()[..], header].concat();
    let fault = stranger(&newer);
    assert_eq!(fault, ModelFault::Format { found: "2".into(), expected: "1" });
    assert!(fault.remedy().contains("version"));
}

#[test]
fn the_error_names_file_cause_and_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("best.safetensors");
    let mut bytes = bits(&model());
    bytes.pop();
    fs::write(&path, bytes).unwrap();
    let text = ModelFile::load(&path).unwrap_err().to_string();
    assert!(text.contains("best.safetensors: its checksum does not match"), "{text}");
    assert!(text.contains("--weights last"), "{text}");
    let missing = ModelFile::load(&dir.path().join("none.safetensors")).unwrap_err().to_string();
    assert!(missing.contains("none.safetensors") && missing.contains("check the path"), "{missing}");
}

#[test]
fn contradictions_are_neither_written_nor_read() {
    type Spoil = fn(&mut ModelFile);
    let spoils: [(&str, Spoil); 9] = [
        ("layers.0.weight has 11 elements", |m| m.members[0].layers[0].weight.truncate(11)),
        ("layers.0.bn.running_var has 3 elements", |m| {
            m.members[0].layers[0].bn.as_mut().unwrap().running_var.pop();
        }),
        ("layers.1 does not match its architecture", |m| m.members[0].layers[1].shape.inputs = 5),
        ("layers.0 does not match its architecture", |m| m.members[0].layers[0].bn = None),
        ("bias or batch normalisation", |m| m.members[0].layers[0].bias = Some(vec![0.0; 4])),
        ("1 layers", |m| drop(m.members[0].layers.pop())),
        ("no members", |m| m.members.clear()),
        ("optimiser's state of layers.1", |m| m.members[0].optimizer.as_mut().unwrap().layers[1].bias = None),
        ("exp_avg_sq.layers.0.weight has 11", |m| {
            m.members[0].optimizer.as_mut().unwrap().layers[0].weight.v.pop();
        }),
    ];
    for (expected, spoil) in spoils {
        let mut model = model();
        spoil(&mut model);
        let text = model.to_bytes().unwrap_err().to_string();
        assert!(text.contains(expected), "{expected:?} is not in {text:?}");
    }

    // A sealed file whose tensors do not match its architecture.
    let weight = [0.0; 6];
    let mut list = TensorList::default();
    list.put("layers.0.weight".into(), &[3, 2], &weight).unwrap();
    let metadata = model().whole_metadata();
    let fault = ModelFile::from_bytes(&list.to_bytes(&BTreeMap::new()).unwrap()).unwrap_err();
    assert_eq!(fault.to_string(), "its metadata hold no architecture");
    let fault = ModelFile::from_bytes(&list.to_bytes(&metadata).unwrap()).unwrap_err();
    assert_eq!(fault.to_string(), "layers.0.weight is F32 [3, 2], expected F32 [4, 3]");

    let sealed = model();
    let mut list = sealed.tensors().unwrap();
    list.put("layers.7.weight".into(), &[3, 2], &weight).unwrap();
    let fault = ModelFile::from_bytes(&list.to_bytes(&metadata).unwrap()).unwrap_err();
    assert_eq!(fault.to_string(), "layers.7.weight belongs to no layer of its architecture");
}

#[test]
fn metadata_cannot_forge_the_seals_keys() {
    let mut model = model();
    model.metadata.insert("sha256".into(), "mine".into());
    model.metadata.insert("bngpu_format".into(), "9".into());
    let back = ModelFile::from_bytes(&bits(&model)).unwrap();
    assert!(!back.metadata.contains_key("sha256") && !back.metadata.contains_key("bngpu_format"));
}

#[test]
fn a_failed_save_keeps_the_old_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("last.safetensors");
    let mut model = model();
    model.save(&path).unwrap();
    let old = fs::read(&path).unwrap();
    model.members[0].layers.pop();
    model.save(&path).unwrap_err();
    assert_eq!(fs::read(&path).unwrap(), old);
}

/// The keys of the header of a file of one member, as they have always been.
#[test]
fn a_file_of_one_member_has_neither_a_list_nor_a_weight() {
    let text = String::from_utf8_lossy(&bits(&model())).into_owned();
    let start = r#"","architecture":"{\"inputs\":3,\"hidden\":[4],\"outputs\":2,"#;
    let end = r#""classes":"[\"a \\\"b\\\"\",\"ü\\n\"]","hyperparameters":"lr = 0.5\n"},"layers.0.weight":{"#;
    assert!(text.contains(start) && text.contains(end), "{text}");
    assert!(!text.contains("members"), "{text}");
}

/// Two members of other architectures, settings and weights.
fn ensemble() -> ModelFile {
    let mut file = model();
    let mut second = model().members.remove(0);
    second.architecture =
        Architecture { hidden: vec![], bn_eps: None, bn_momentum: None, ..second.architecture };
    let (weight, bias) = (vec![0.5; 6], Some(vec![-0.0, 1.0]));
    second.layers = vec![LayerTensors { shape: second.architecture.layers()[0], weight, bias, bn: None }];
    let m = |n| Moments { m: vec![1.0; n], v: Vec::new() };
    let moments = LayerMoments { weight: m(6), bias: Some(m(2)), ..LayerMoments::default() };
    second.optimizer = Some(OptimizerState { layers: vec![moments] });
    second.settings = "lr = 0.25\n".into();
    (file.members[0].weight, second.weight) = (0.1 + 0.2, 0.7);
    file.members.push(second);
    file
}

#[test]
fn an_ensemble_keeps_every_bit_of_its_members() {
    let file = ensemble();
    let bytes = bits(&file);
    let back = ModelFile::from_bytes(&bytes).unwrap();
    assert_eq!(bits(&back), bytes);
    assert_eq!(back.members[1], file.members[1]);
    assert_eq!(back.members[0].weight.to_bits(), (0.1f64 + 0.2).to_bits());
    assert_eq!((&back.members[0].settings, &back.metadata), (&file.members[0].settings, &file.metadata));
    let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    for name in [
        "members.0.layers.0.bn.weight",
        "members.1.layers.0.weight",
        "state.members.0.layers.0.bn.running_mean_remainder",
        "optimizer.exp_avg.members.1.layers.0.bias",
    ] {
        assert!(tensors.tensor(name).is_ok(), "{name} is not in {:?}", tensors.names());
    }
    let best = ModelFile::from_bytes(&bits(&back.model_only())).unwrap();
    assert!(best.members.iter().all(|member| member.optimizer.is_none()));
    let mut bad = file;
    bad.members[0].layers.iter_mut().for_each(|layer| layer.weight.fill(0.0));
    bad.members[0].layers[1].bias = Some(vec![0.0; 2]);
    bad.members[0].layers[0].bn = best.members[0].layers[0].bn.clone().map(|bn| BnTensors {
        weight: vec![0.0; 4],
        bias: vec![0.0; 4],
        running_mean: vec![0.0; 4],
        running_var: vec![0.0; 4],
        ..bn
    });
    assert_eq!(bad.non_finite(), None);
    bad.members[1].layers[0].weight[3] = f32::NAN;
    assert_eq!(bad.non_finite().unwrap(), "members.1.layers.0.weight[3] is NaN");
}

#[test]
fn impossible_ensembles_are_neither_written_nor_read() {
    type Spoil = fn(&mut ModelFile);
    let spoils: [(&str, Spoil); 8] = [
        ("weight of members.1 is NaN", |m| m.members[1].weight = f64::NAN),
        ("weight of members.0 is -0.3", |m| m.members[0].weight = -0.3),
        ("weight of members.0 is 0,", |m| m.members[0].weight = 0.0),
        ("weight of members.1 is inf", |m| m.members[1].weight = f64::INFINITY),
        ("sum to 0.8", |m| m.members[1].weight = 0.5),
        ("members.1 has other outputs", |m| m.members[1].architecture.outputs = 4),
        ("only some of its members", |m| m.members[1].optimizer = None),
        ("members.1.layers.0.weight has 5 elements", |m| m.members[1].layers[0].weight.truncate(5)),
    ];
    for (expected, spoil) in spoils {
        let mut file = ensemble();
        spoil(&mut file);
        let text = file.to_bytes().unwrap_err().to_string();
        assert!(text.contains(expected), "{expected:?} is not in {text:?}");
    }
}

#[test]
fn hostile_lists_of_members_are_refused() {
    let file = ensemble();
    let list = file.tensors().unwrap();
    let good = file.whole_metadata()[MEMBERS].clone();
    // Negative control.
    ModelFile::from_bytes(&list.to_bytes(&file.whole_metadata()).unwrap()).unwrap();
    let replaced = |from: &str, to: &str| {
        let text = good.replacen(from, to, 1);
        assert_ne!(text, good, "{from}");
        text
    };
    let entries: Vec<serde_json::Value> = serde_json::from_str(&good).unwrap();
    let only = |entries: &[serde_json::Value]| serde_json::to_string(entries).unwrap();
    for (text, expected) in [
        ("[]".into(), "fewer than two"),
        (only(&entries[..1]), "fewer than two"),
        (only(&[&entries[..], &entries[1..]].concat()), "sum to"),
        ("9999999999999".into(), "list of members is unusable"),
        ("{".into(), "list of members is unusable"),
        (replaced("0.7", "null"), "list of members is unusable"),
        (replaced("0.7", "-0.7"), "weight of members.1 is -0.7"),
        (replaced("0.7", "0.6"), "sum to"),
        (replaced("0.7", "1e999"), "list of members is unusable"),
        (replaced("\"weight\"", "\"share\""), "list of members is unusable"),
        (
            replaced("\"hyperparameters\":\"lr = 0.5\\n\"", "\"hyperparameters\":7"),
            "list of members is unusable",
        ),
        (replaced("\"hidden\":[4]", "\"hidden\":[0]"), "a layer without units"),
        (replaced("\"bn_eps\":1e-8", "\"bn_eps\":null"), "needs both bn_eps"),
        (
            replaced("\"hidden\":[4]", "\"hidden\":[4294967295]"),
            "members.0.layers.0.weight is F32 [4, 3], expected",
        ),
        (replaced("\"hidden\":[]", "\"hidden\":[4]"), "members.1.layers.0.weight is F32 [2, 3], expected"),
        (replaced("\"inputs\":3", "\"inputs\":18446744073709551615"), "sizes that no network has"),
        (replaced("\"outputs\":2", "\"outputs\":2,\"sub_models\":0"), "sizes that no network has"),
        (replaced("\"outputs\":2", "\"outputs\":2,\"sub_models\":65"), "sizes that no network has"),
        (
            replaced("\"outputs\":2", "\"outputs\":2,\"sub_models\":2"),
            "members.0.layers.0.weight is F32 [4, 3], expected F32 [2, 3]",
        ),
    ] {
        let metadata = BTreeMap::from([(MEMBERS.to_owned(), text.clone())]);
        let fault = ModelFile::from_bytes(&list.to_bytes(&metadata).unwrap()).unwrap_err();
        assert!(fault.to_string().contains(expected), "{expected:?} is not in {fault} for {text}");
    }
    // A member without tensors, and tensors without a member.
    let metadata = file.whole_metadata();
    let single = model();
    let fault = ModelFile::from_bytes(&single.tensors().unwrap().to_bytes(&metadata).unwrap()).unwrap_err();
    assert_eq!(fault.to_string(), "members.0.layers.0.weight is missing");
    let fault = ModelFile::from_bytes(&list.to_bytes(&single.whole_metadata()).unwrap()).unwrap_err();
    assert_eq!(fault.to_string(), "layers.0.weight is missing");
}
