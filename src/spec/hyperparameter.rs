//! The hyperparameters: what a sweep can vary.
//!
//! To add one: a row in `config.rs` (flag, help, default), an entry here, and a field of the request, which the compiler
//! then requires in `resolve.rs` and `check.rs`. The search, `[space]` of files, the axes of the report and the tests
//! that try every sample follow from the entry.

use super::network::Activation;
use super::range::Range;
use super::scale::Scale;
use super::training::{OptimizerKind, Schedule};

/// The values of a hyperparameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A real number.
    Real(Range),
    /// A whole number below 2³²; none is any.
    Whole(Option<Range>),
    /// On or off.
    Switch,
    /// One of these names, in any case.
    Name(&'static [&'static str]),
    /// he, xavier or normal:STD.
    Init,
    /// none or ple:BINS.
    Embed,
    /// Hidden units of each layer; a sweep joins the layers by `-`.
    Architecture,
}

/// The choice that a hyperparameter belongs to: β1 belongs to Adam.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The key of the choice: `optimizer`.
    pub choice: &'static str,
    /// The values of the choice that use the hyperparameter; switches are on or off.
    pub values: &'static [&'static str],
}

/// One hyperparameter. Its flag, help and default stand in `config.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hyperparameter {
    /// The flag without `--`, which is the key of a file and of a trial's parameters.
    pub key: &'static str,
    /// Type and range of its values.
    pub kind: Kind,
    /// None if it is always used.
    pub owner: Option<Owner>,
    /// Natural scale of its numbers.
    pub scale: Scale,
    /// A value, for messages.
    pub example: &'static str,
    /// A set, for messages.
    pub example_set: &'static str,
    /// Values that are valid, for tests.
    pub valid: &'static [&'static str],
    /// Values that are invalid, for tests: out of range or of another type.
    pub invalid: &'static [&'static str],
}

const ADAM: Option<Owner> = Some(Owner { choice: "optimizer", values: &["adam"] });
const ADAM_OR_RMSPROP: Option<Owner> = Some(Owner { choice: "optimizer", values: &["adam", "rmsprop"] });
const SGD: Option<Owner> = Some(Owner { choice: "optimizer", values: &["sgd"] });
const RMSPROP: Option<Owner> = Some(Owner { choice: "optimizer", values: &["rmsprop"] });
const BN: Option<Owner> = Some(Owner { choice: "bn", values: &["on"] });

/// Every hyperparameter, in the order of the flags of `train`. A random sweep draws by their places: add at the end, so
/// that the draws of the others stay.
pub static HYPERPARAMETERS: [Hyperparameter; 25] = [
    Hyperparameter {
        key: "hidden",
        kind: Kind::Architecture,
        owner: None,
        scale: Scale::Linear,
        example: "64x2",
        example_set: "64x2,256-128",
        valid: &["none", "64", "64x2", "256-128"],
        invalid: &["0", "65537", "2x65", "wide"],
    },
    Hyperparameter {
        key: "activation",
        kind: Kind::Name(&Activation::NAMES),
        owner: None,
        scale: Scale::Linear,
        example: "relu",
        example_set: "relu,tanh",
        valid: &["relu", "leaky-relu", "GELU"],
        invalid: &["rlu"],
    },
    Hyperparameter {
        key: "bn",
        kind: Kind::Switch,
        owner: None,
        scale: Scale::Linear,
        example: "on",
        example_set: "both",
        valid: &["on", "off"],
        invalid: &["maybe"],
    },
    Hyperparameter {
        key: "bn-eps",
        kind: Kind::Real(Range::Positive),
        owner: BN,
        scale: Scale::Log,
        example: "1e-5",
        example_set: "1e-8,1e-5",
        valid: &["1e-8", "1e-5"],
        invalid: &["0", "-1e-5", "1e-50", "inf"],
    },
    Hyperparameter {
        key: "bn-momentum",
        kind: Kind::Real(Range::Share),
        owner: BN,
        scale: Scale::Linear,
        example: "0.1",
        example_set: "0.1,0.3",
        valid: &["0.1", "1"],
        invalid: &["0", "1.1", "-0.1"],
    },
    Hyperparameter {
        key: "dropout",
        kind: Kind::Real(Range::BelowOne),
        owner: None,
        scale: Scale::Linear,
        example: "0.2",
        example_set: "0.1,0.3",
        valid: &["0", "0.5", "0.999999"],
        invalid: &["1", "-0.5"],
    },
    Hyperparameter {
        key: "init",
        kind: Kind::Init,
        owner: None,
        scale: Scale::Linear,
        example: "normal:0.01",
        example_set: "he,normal:0.01",
        valid: &["he", "xavier", "normal:0.02", "Normal:1e-30"],
        invalid: &["normal:0", "normal:-1", "normal", "orthogonal"],
    },
    Hyperparameter {
        key: "optimizer",
        kind: Kind::Name(&OptimizerKind::NAMES),
        owner: None,
        scale: Scale::Linear,
        example: "adam",
        example_set: "adam,sgd",
        valid: &["adam", "sgd", "RMSprop"],
        invalid: &["adamw"],
    },
    Hyperparameter {
        key: "lr",
        kind: Kind::Real(Range::Positive),
        owner: None,
        scale: Scale::Log,
        example: "1e-3",
        example_set: "1e-3,1e-2",
        valid: &["1e-37", "1e-3", "0.1", "10"],
        invalid: &["0", "-1", "inf", "1e39", "1e-60"],
    },
    Hyperparameter {
        key: "beta1",
        kind: Kind::Real(Range::BelowOne),
        owner: ADAM,
        scale: Scale::Ema,
        example: "0.9",
        example_set: "0.9,0.99",
        valid: &["0", "0.9", "0.9995"],
        invalid: &["1", "-0.1", "0.99999999999"],
    },
    Hyperparameter {
        key: "beta2",
        kind: Kind::Real(Range::BelowOne),
        owner: ADAM,
        scale: Scale::Ema,
        example: "0.999",
        example_set: "0.9,0.99",
        valid: &["0", "0.999", "0.9999"],
        invalid: &["1", "-0.1", "0.99999999999"],
    },
    Hyperparameter {
        key: "eps",
        kind: Kind::Real(Range::Positive),
        owner: ADAM_OR_RMSPROP,
        scale: Scale::Log,
        example: "1e-8",
        example_set: "1e-8,1e-5",
        valid: &["1e-8", "0.001"],
        invalid: &["0", "-1", "1e-60"],
    },
    Hyperparameter {
        key: "momentum",
        kind: Kind::Real(Range::BelowOne),
        owner: SGD,
        scale: Scale::Linear,
        example: "0.9",
        example_set: "0.9,0.99",
        valid: &["0", "0.9", "0.99"],
        invalid: &["1", "-0.9"],
    },
    Hyperparameter {
        key: "nesterov",
        kind: Kind::Switch,
        owner: SGD,
        scale: Scale::Linear,
        example: "on",
        example_set: "both",
        valid: &["on", "off"],
        invalid: &["maybe"],
    },
    Hyperparameter {
        key: "rms-alpha",
        kind: Kind::Real(Range::BelowOne),
        owner: RMSPROP,
        scale: Scale::Ema,
        example: "0.99",
        example_set: "0.9,0.99",
        valid: &["0", "0.9", "0.99"],
        invalid: &["1", "-0.1"],
    },
    Hyperparameter {
        key: "l2",
        kind: Kind::Real(Range::NotNegative),
        owner: None,
        scale: Scale::Log,
        example: "1e-4",
        example_set: "1e-3,1e-2",
        valid: &["0", "1e-4", "0.123456789012345678"],
        invalid: &["-1e-4", "inf"],
    },
    Hyperparameter {
        key: "weight-decay",
        kind: Kind::Real(Range::NotNegative),
        owner: None,
        scale: Scale::Log,
        example: "0.01",
        example_set: "1e-3,1e-2",
        valid: &["0", "0.01"],
        invalid: &["-0.01", "inf"],
    },
    Hyperparameter {
        key: "schedule",
        kind: Kind::Name(&Schedule::NAMES),
        owner: None,
        scale: Scale::Linear,
        example: "cosine",
        example_set: "constant,cosine",
        valid: &["constant", "one-cycle", "Cosine"],
        invalid: &["onecycle"],
    },
    Hyperparameter {
        key: "warmup",
        kind: Kind::Whole(None),
        owner: None,
        scale: Scale::Linear,
        example: "100",
        example_set: "0,100",
        valid: &["0", "100", "4294967295"],
        invalid: &["-1", "0.5", "4294967296"],
    },
    Hyperparameter {
        key: "clip-norm",
        kind: Kind::Real(Range::Positive),
        owner: None,
        scale: Scale::Log,
        example: "1",
        example_set: "1,5",
        valid: &["1", "0.5"],
        invalid: &["0", "-1", "inf"],
    },
    Hyperparameter {
        key: "batch-size",
        kind: Kind::Whole(Some(Range::Count)),
        owner: None,
        scale: Scale::Log,
        example: "64",
        example_set: "32,64,128",
        valid: &["1", "64", "4294967295"],
        invalid: &["0", "-1", "64.5", "5000000000"],
    },
    Hyperparameter {
        key: "bn-affine",
        kind: Kind::Switch,
        owner: BN,
        scale: Scale::Linear,
        example: "on",
        example_set: "both",
        valid: &["on", "off"],
        invalid: &["maybe"],
    },
    Hyperparameter {
        key: "embed",
        kind: Kind::Embed,
        owner: None,
        scale: Scale::Linear,
        example: "ple:16",
        example_set: "none,ple:16",
        valid: &["none", "ple:2", "PLE:64"],
        invalid: &["ple", "ple:1", "ple:65", "periodic"],
    },
    Hyperparameter {
        key: "epochs",
        kind: Kind::Whole(Some(Range::Count)),
        owner: None,
        scale: Scale::Log,
        example: "20",
        example_set: "10,20,40",
        valid: &["1", "20", "4294967295"],
        invalid: &["0", "-1", "2.5", "4294967296"],
    },
    Hyperparameter {
        key: "sub-models",
        kind: Kind::Whole(Some(Range::Count)),
        owner: None,
        scale: Scale::Log,
        example: "8",
        example_set: "1,8",
        valid: &["1", "8", "64"],
        invalid: &["0", "-1", "2.5", "65"],
    },
];

/// The keys of [`HYPERPARAMETERS`], in the same order.
pub const SEARCHABLE: [&str; HYPERPARAMETERS.len()] = {
    let mut keys = [""; HYPERPARAMETERS.len()];
    let mut at = 0;
    while at < keys.len() {
        keys[at] = HYPERPARAMETERS[at].key;
        at += 1;
    }
    keys
};

/// The choices that own hyperparameters. `config.toml` of a sweep lists the settings of a choice in this order.
pub(super) const CHOICES: [&str; 2] = ["optimizer", "bn"];

/// The hyperparameter with this key; none if a sweep cannot vary it.
pub fn hyperparameter(key: &str) -> Option<&'static Hyperparameter> {
    HYPERPARAMETERS.iter().find(|hyperparameter| hyperparameter.key == key)
}

/// Whether the key is that of a hyperparameter.
pub(super) fn is_searchable(key: &str) -> bool {
    hyperparameter(key).is_some()
}

/// The hyperparameters that belong to a choice: (setting, choice, values of the choice that use it).
pub(super) fn owned() -> impl Iterator<Item = (&'static str, &'static str, &'static [&'static str])> {
    CHOICES.iter().flat_map(|choice| {
        let of_choice = |h: &'static Hyperparameter| Some((h.key, h.owner?));
        let owned = HYPERPARAMETERS.iter().filter_map(of_choice);
        owned
            .filter(move |(_, owner)| owner.choice == *choice)
            .map(|(key, owner)| (key, owner.choice, owner.values))
    })
}
