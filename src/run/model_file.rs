//! A model on disk, or an ensemble: weights, optimiser state and metadata in one sealed safetensors file.
//!
//! Model keys have PyTorch's names and layout and begin with `layers.`; all else is under `optimizer.` and
//! `state.`, so that a file without these two loads into a PyTorch module by `load_state_dict(strict=True)`. In an
//! ensemble, `members.M.` stands before each `layers.`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::tensors::{TensorList, Tensors};
use super::{Architecture, ModelFault, RunError};
use crate::base::write_whole;
use crate::spec::LayerShape;

/// Parameters and running statistics of one layer of I inputs and O units.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerTensors {
    pub shape: LayerShape,
    /// W `[O, I]`, PyTorch's layout; see [`LayerShape::weight`] for sub-models.
    pub weight: Vec<f32>,
    /// b `[O]`; neither a batch-normalised layer has one, nor one that scales.
    pub bias: Option<Vec<f32>>,
    /// Batch normalisation, if the layer has it.
    pub bn: Option<BnTensors>,
}

/// Batch normalisation of one layer, each `[O]`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BnTensors {
    /// γ
    pub weight: Vec<f32>,
    /// β
    pub bias: Vec<f32>,
    pub running_mean: Vec<f32>,
    /// The part of the running mean beyond f32: the exact mean is `running_mean + running_mean_lo`.
    pub running_mean_lo: Option<Vec<f32>>,
    pub running_var: Vec<f32>,
}

/// The optimiser's state, layer by layer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct OptimizerState {
    pub layers: Vec<LayerMoments>,
}

/// The moments of one layer's parameters; `None` for parameters that the layer lacks.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LayerMoments {
    pub weight: Moments,
    pub bias: Option<Moments>,
    pub bn_weight: Option<Moments>,
    pub bn_bias: Option<Moments>,
}

/// First and second moment of one parameter, in its shape. Empty if the optimiser does not use it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Moments {
    /// `exp_avg` in PyTorch; SGD's momentum buffer.
    pub m: Vec<f32>,
    /// `exp_avg_sq` in PyTorch.
    pub v: Vec<f32>,
}

/// One model of a file.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelMember {
    /// Its share of the prediction; the shares of a file's members sum to 1.
    pub weight: f64,
    pub architecture: Architecture,
    /// The settings that it was trained with, TOML; empty if they are not known.
    pub settings: String,
    /// First to last.
    pub layers: Vec<LayerTensors>,
    pub optimizer: Option<OptimizerState>,
}

impl ModelMember {
    /// A model alone, without settings and optimiser state.
    pub fn new(architecture: &Architecture, layers: Vec<LayerTensors>) -> ModelMember {
        let (architecture, settings) = (architecture.clone(), String::new());
        ModelMember { weight: 1.0, architecture, settings, layers, optimizer: None }
    }
}

/// A model as stored, or an ensemble: several models whose predictions are averaged.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelFile {
    /// At least one. With several, the names of the tensors say which: `members.0.layers.0.weight`.
    pub members: Vec<ModelMember>,
    /// Classes, preprocessing, training state: JSON by key. The keys of the members, `architecture`, `hyperparameters`
    /// and `members`, and those of the file, `bngpu_format` and `sha256`, are not kept.
    pub metadata: BTreeMap<String, String>,
}

/// Keys of the metadata: the settings of a file's only member, and the list of several members.
const SETTINGS: &str = "hyperparameters";
const MEMBERS: &str = "members";
/// How far the sum of the weights may be from 1: far above the rounding of a sum, far below any weight.
const SUM_TOLERANCE: f64 = 1e-9;

/// A member in the list of several.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    weight: f64,
    architecture: Architecture,
    hyperparameters: String,
}

impl ModelFile {
    /// A model without optimiser state and metadata.
    pub fn new(architecture: &Architecture, layers: Vec<LayerTensors>) -> ModelFile {
        ModelFile { members: vec![ModelMember::new(architecture, layers)], metadata: BTreeMap::new() }
    }

    /// The model keys and metadata alone, as `best.safetensors` holds them: no optimiser state, no remainders.
    pub fn model_only(&self) -> ModelFile {
        let mut file = self.clone();
        for member in &mut file.members {
            member.optimizer = None;
            let bn = member.layers.iter_mut().filter_map(|layer| layer.bn.as_mut());
            bn.for_each(|bn| bn.running_mean_lo = None);
        }
        file
    }

    /// The whole file. The same model always gives the same bytes.
    ///
    /// Errors: [`ModelFault::Inconsistent`] if the tensors do not have the shapes of the architecture, or the weights of
    /// several members do not sum to 1.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ModelFault> {
        self.tensors()?.to_bytes(&self.whole_metadata())
    }

    /// The metadata with the keys of the members.
    fn whole_metadata(&self) -> BTreeMap<String, String> {
        let mut metadata = self.metadata.clone();
        remove_members(&mut metadata);
        if let [member] = &self.members[..] {
            metadata.insert(Architecture::KEY.into(), member.architecture.to_json());
            if !member.settings.is_empty() {
                metadata.insert(SETTINGS.into(), member.settings.clone());
            }
        } else {
            let entry = |member: &ModelMember| Entry {
                weight: member.weight,
                architecture: member.architecture.clone(),
                hyperparameters: member.settings.clone(),
            };
            let entries: Vec<Entry> = self.members.iter().map(entry).collect();
            // Strings, finite numbers and lists only, so this cannot fail.
            metadata.insert(MEMBERS.into(), serde_json::to_string(&entries).unwrap_or_default());
        }
        metadata
    }

    /// Reads what [`ModelFile::to_bytes`] wrote; anything else is refused before any of it is used.
    pub fn from_bytes(bytes: &[u8]) -> Result<ModelFile, ModelFault> {
        let (mut file, mut metadata) = Tensors::open(bytes)?;
        let mut members = read_members(&metadata)?;
        remove_members(&mut metadata);
        let of = members.len();
        for (m, member) in members.iter_mut().enumerate() {
            let layers = member.architecture.layers().into_iter().enumerate();
            let take = |(n, shape)| take_layer(&mut file, &Stem(of, m, n), shape);
            member.layers = layers.map(take).collect::<Result<_, _>>()?;
        }
        if file.any_left("optimizer.") {
            for (m, member) in members.iter_mut().enumerate() {
                let layers = member.layers.iter().enumerate();
                let moments = layers.map(|(n, layer)| take_moments(&mut file, &Stem(of, m, n), layer));
                member.optimizer = Some(OptimizerState { layers: moments.collect::<Result<_, _>>()? });
            }
        }
        file.finish()?;
        Ok(ModelFile { members, metadata })
    }

    /// Writes the file whole; the old one stays if anything fails.
    pub fn save(&self, path: &Path) -> Result<(), RunError> {
        let bytes = self.to_bytes().map_err(|fault| RunError::Model { path: path.to_owned(), fault })?;
        Ok(write_whole(path, &bytes)?)
    }

    /// Reads the file at `path`. NaN and infinity are accepted (see [`ModelFile::non_finite`]).
    ///
    /// Errors: [`RunError::File`] if it cannot be read, [`RunError::Model`] if it is damaged, cut short, of another
    /// program or version, or contradicts its architecture.
    pub fn load(path: &Path) -> Result<ModelFile, RunError> {
        let bytes = std::fs::read(path).map_err(|error| RunError::io("read", path, error))?;
        ModelFile::from_bytes(&bytes).map_err(|fault| RunError::Model { path: path.to_owned(), fault })
    }

    /// The first tensor of the model (not of the optimiser's state) that holds NaN or infinity, with the place:
    /// `layers.0.weight[12] is NaN`.
    pub fn non_finite(&self) -> Option<String> {
        let named = |stem: &Stem, name: &str, data: &[f32]| {
            let at = data.iter().position(|value| !value.is_finite())?;
            Some(format!("{stem}.{name}[{at}] is {}", data[at]))
        };
        let of = self.members.len();
        let layers = self.members.iter().enumerate().flat_map(|(m, member)| {
            member.layers.iter().enumerate().map(move |(n, layer)| (Stem(of, m, n), layer))
        });
        layers.into_iter().find_map(|(stem, layer)| {
            let bias = || named(&stem, "bias", layer.bias.as_ref()?);
            let bn = || {
                let bn = layer.bn.as_ref()?;
                named(&stem, "bn.weight", &bn.weight)
                    .or_else(|| named(&stem, "bn.bias", &bn.bias))
                    .or_else(|| named(&stem, "bn.running_mean", &bn.running_mean))
                    .or_else(|| named(&stem, "bn.running_var", &bn.running_var))
            };
            named(&stem, "weight", &layer.weight).or_else(bias).or_else(bn)
        })
    }

    /// The first running variance below 0, with the place: `layers.0.bn.running_var[12] is -1`.
    pub fn negative_variance(&self) -> Option<String> {
        let of = self.members.len();
        self.members.iter().enumerate().find_map(|(m, member)| {
            member.layers.iter().enumerate().find_map(|(n, layer)| {
                let variances = &layer.bn.as_ref()?.running_var;
                let at = variances.iter().position(|&variance| variance < 0.0)?;
                Some(format!("{}.bn.running_var[{at}] is {}", Stem(of, m, n), variances[at]))
            })
        })
    }

    /// Every tensor under its name, checked against the architecture.
    fn tensors(&self) -> Result<TensorList<'_>, ModelFault> {
        check_members(&self.members)?;
        let mut list = TensorList::default();
        let of = self.members.len();
        for (m, member) in self.members.iter().enumerate() {
            let (architecture, layers) = (&member.architecture, &member.layers);
            let count = architecture.layers().len();
            if layers.len() != count {
                let found = layers.len();
                return Err(inconsistent(format!("{found} layers, but its architecture has {count}")));
            }
            for (n, (layer, expected)) in layers.iter().zip(architecture.layers()).enumerate() {
                let stem = Stem(of, m, n);
                if layer.shape != expected || layer.bn.is_some() != expected.normalized {
                    return Err(inconsistent(format!("{stem} does not match its architecture")));
                }
                put_layer(&mut list, &stem, layer)?;
            }
        }
        for (m, member) in self.members.iter().enumerate() {
            let Some(state) = &member.optimizer else { continue };
            if state.layers.len() != member.layers.len() {
                return Err(inconsistent("the optimiser's state has a different number of layers".into()));
            }
            for (n, (moments, layer)) in state.layers.iter().zip(&member.layers).enumerate() {
                put_moments(&mut list, &Stem(of, m, n), moments, layer)?;
            }
        }
        Ok(list)
    }
}

/// The beginning of the names of a layer's tensors: of how many members which one, and the layer.
struct Stem(usize, usize, usize);

impl fmt::Display for Stem {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Stem(members, m, n) = self;
        if *members == 1 { write!(f, "layers.{n}") } else { write!(f, "members.{m}.layers.{n}") }
    }
}

/// The members that the metadata describe, without tensors.
fn read_members(metadata: &BTreeMap<String, String>) -> Result<Vec<ModelMember>, ModelFault> {
    let member = |weight: f64, architecture: Architecture, settings: String| ModelMember {
        weight,
        settings,
        ..ModelMember::new(&architecture, Vec::new())
    };
    let Some(list) = metadata.get(MEMBERS) else {
        let missing = || inconsistent("its metadata hold no architecture".into());
        let architecture = Architecture::from_json(metadata.get(Architecture::KEY).ok_or_else(missing)?)?;
        let settings = metadata.get(SETTINGS).cloned().unwrap_or_default();
        return Ok(vec![member(1.0, architecture, settings)]);
    };
    let entries: Vec<Entry> = serde_json::from_str(list)
        .map_err(|error| inconsistent(format!("its list of members is unusable: {error}")))?;
    if entries.len() < 2 {
        return Err(inconsistent("its list of members has fewer than two".into()));
    }
    let of = |entry: Entry| {
        entry.architecture.check()?;
        Ok(member(entry.weight, entry.architecture, entry.hyperparameters))
    };
    let members: Vec<ModelMember> = entries.into_iter().map(of).collect::<Result<_, _>>()?;
    check_members(&members)?;
    Ok(members)
}

/// Removes what [`ModelFile::members`] holds.
fn remove_members(metadata: &mut BTreeMap<String, String>) {
    [Architecture::KEY, SETTINGS, MEMBERS].iter().for_each(|key| drop(metadata.remove(*key)));
}

/// Refuses models that cannot be averaged.
fn check_members(members: &[ModelMember]) -> Result<(), ModelFault> {
    let Some(first) = members.first() else { return Err(inconsistent("it has no members".into())) };
    for (m, member) in members.iter().enumerate() {
        // NaN is not in the range.
        if !(member.weight > 0.0 && member.weight <= 1.0) {
            return Err(inconsistent(format!(
                "the weight of members.{m} is {}, expected above 0, at most 1",
                member.weight
            )));
        }
        // Embeddings of the same features have different numbers of inputs.
        if member.architecture.outputs != first.architecture.outputs {
            return Err(inconsistent(format!("members.{m} has other outputs than members.0")));
        }
        if member.optimizer.is_some() != first.optimizer.is_some() {
            return Err(inconsistent("only some of its members have an optimiser's state".into()));
        }
    }
    let sum: f64 = members.iter().map(|member| member.weight).sum();
    if (sum - 1.0).abs() > SUM_TOLERANCE {
        return Err(inconsistent(format!("the weights of its members sum to {sum}, expected 1")));
    }
    Ok(())
}

fn inconsistent(what: String) -> ModelFault {
    ModelFault::Inconsistent(what)
}

fn put_layer<'a>(list: &mut TensorList<'a>, stem: &Stem, layer: &'a LayerTensors) -> Result<(), ModelFault> {
    let outputs = [layer.shape.outputs];
    list.put(format!("{stem}.weight"), &layer.shape.weight(), &layer.weight)?;
    match (&layer.bias, &layer.bn) {
        (None, None) if !layer.shape.has_bias() => Ok(()),
        (Some(bias), None) if layer.shape.has_bias() => list.put(format!("{stem}.bias"), &outputs, bias),
        (None, Some(bn)) => {
            list.put(format!("{stem}.bn.weight"), &outputs, &bn.weight)?;
            list.put(format!("{stem}.bn.bias"), &outputs, &bn.bias)?;
            list.put(format!("{stem}.bn.running_mean"), &outputs, &bn.running_mean)?;
            list.put(format!("{stem}.bn.running_var"), &outputs, &bn.running_var)?;
            match &bn.running_mean_lo {
                Some(remainder) => list.put(remainder_name(stem), &outputs, remainder),
                None => Ok(()),
            }
        }
        _ => Err(inconsistent(format!("{stem} must have either a bias or batch normalisation"))),
    }
}

fn take_layer(file: &mut Tensors, stem: &Stem, shape: LayerShape) -> Result<LayerTensors, ModelFault> {
    let weight = file.take(format!("{stem}.weight"), &shape.weight())?;
    let mut vector = |name: &str| file.take(format!("{stem}.{name}"), &[shape.outputs]);
    if !shape.normalized {
        let bias = shape.has_bias().then(|| vector("bias")).transpose()?;
        return Ok(LayerTensors { shape, weight, bias, bn: None });
    }
    let bn = BnTensors {
        weight: vector("bn.weight")?,
        bias: vector("bn.bias")?,
        running_mean: vector("bn.running_mean")?,
        running_var: vector("bn.running_var")?,
        running_mean_lo: file.take_optional(remainder_name(stem), &[shape.outputs])?,
    };
    Ok(LayerTensors { shape, weight, bias: None, bn: Some(bn) })
}

fn put_moments<'a>(
    list: &mut TensorList<'a>,
    stem: &Stem,
    moments: &'a LayerMoments,
    layer: &LayerTensors,
) -> Result<(), ModelFault> {
    let of_parameters = [layer.bias.is_some(), layer.bn.is_some(), layer.bn.is_some()];
    if [&moments.bias, &moments.bn_weight, &moments.bn_bias].map(Option::is_some) != of_parameters {
        return Err(inconsistent(format!("the optimiser's state of {stem} does not fit its parameters")));
    }
    let (outputs, weight) = ([layer.shape.outputs], layer.shape.weight());
    let parameters = [
        ("weight", Some(&moments.weight), &weight[..]),
        ("bias", moments.bias.as_ref(), &outputs),
        ("bn.weight", moments.bn_weight.as_ref(), &outputs),
        ("bn.bias", moments.bn_bias.as_ref(), &outputs),
    ];
    for (name, moments, shape) in parameters {
        let Some(Moments { m, v }) = moments else { continue };
        for (moment, data) in [("exp_avg", m), ("exp_avg_sq", v)] {
            if !data.is_empty() {
                list.put(moment_name(moment, stem, name), shape, data)?;
            }
        }
    }
    Ok(())
}

fn take_moments(file: &mut Tensors, stem: &Stem, layer: &LayerTensors) -> Result<LayerMoments, ModelFault> {
    let outputs = [layer.shape.outputs];
    let mut moments = |name: &str, shape: &[usize]| -> Result<Moments, ModelFault> {
        let mut moment = |moment| {
            let data = file.take_optional(moment_name(moment, stem, name), shape)?;
            Ok(data.unwrap_or_default())
        };
        Ok(Moments { m: moment("exp_avg")?, v: moment("exp_avg_sq")? })
    };
    Ok(LayerMoments {
        weight: moments("weight", &layer.shape.weight())?,
        bias: layer.bias.as_ref().map(|_| moments("bias", &outputs)).transpose()?,
        bn_weight: layer.bn.as_ref().map(|_| moments("bn.weight", &outputs)).transpose()?,
        bn_bias: layer.bn.as_ref().map(|_| moments("bn.bias", &outputs)).transpose()?,
    })
}

fn remainder_name(stem: &Stem) -> String {
    format!("state.{stem}.bn.running_mean_remainder")
}

fn moment_name(moment: &str, stem: &Stem, parameter: &str) -> String {
    format!("optimizer.{moment}.{stem}.{parameter}")
}

#[cfg(test)]
#[path = "model_file_tests.rs"]
mod tests;
