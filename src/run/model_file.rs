//! A model on disk: weights, optimiser state and metadata in one sealed safetensors file.
//!
//! Model keys have PyTorch's names and layout and begin with `layers.`; all else is under `optimizer.` and
//! `state.`, so that a file without these two loads into a PyTorch module by `load_state_dict(strict=True)`.

use std::collections::BTreeMap;
use std::path::Path;

use super::tensors::{TensorList, Tensors};
use super::{Architecture, ModelFault, RunError};
use crate::base::write_whole;

/// Parameters and running statistics of one layer of `inputs` (I) and `outputs` (O) units.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LayerTensors {
    pub inputs: usize,
    pub outputs: usize,
    /// W `[O, I]`, PyTorch's layout.
    pub weight: Vec<f32>,
    /// b `[O]`; a batch-normalised layer has none.
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

/// A model as stored.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelFile {
    /// First to last.
    pub layers: Vec<LayerTensors>,
    pub optimizer: Option<OptimizerState>,
    /// Architecture, hyperparameters, classes, preprocessing, training state: JSON by key. The architecture is
    /// required ([`ModelFile::new`] adds it); `bngpu_format` and `sha256` belong to the file and are not kept.
    pub metadata: BTreeMap<String, String>,
}

impl ModelFile {
    /// A model without optimiser state; its metadata hold the architecture alone.
    pub fn new(architecture: &Architecture, layers: Vec<LayerTensors>) -> ModelFile {
        let metadata = BTreeMap::from([(Architecture::KEY.to_owned(), architecture.to_json())]);
        ModelFile { layers, optimizer: None, metadata }
    }

    /// The architecture in the metadata; [`ModelFault::Inconsistent`] if there is none.
    pub fn architecture(&self) -> Result<Architecture, ModelFault> {
        architecture_of(&self.metadata)
    }

    /// The model keys and metadata alone, as `best.safetensors` holds them: no optimiser state, no remainders.
    pub fn model_only(&self) -> ModelFile {
        let mut layers = self.layers.clone();
        layers.iter_mut().filter_map(|layer| layer.bn.as_mut()).for_each(|bn| bn.running_mean_lo = None);
        ModelFile { layers, optimizer: None, metadata: self.metadata.clone() }
    }

    /// The whole file. The same model always gives the same bytes.
    ///
    /// Errors: [`ModelFault::Inconsistent`] if the tensors do not have the shapes of the architecture.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ModelFault> {
        self.tensors()?.to_bytes(&self.metadata)
    }

    /// Reads what [`ModelFile::to_bytes`] wrote; anything else is refused before any of it is used.
    pub fn from_bytes(bytes: &[u8]) -> Result<ModelFile, ModelFault> {
        let (mut file, metadata) = Tensors::open(bytes)?;
        let architecture = architecture_of(&metadata)?;
        let layers: Vec<LayerTensors> = architecture
            .layers()
            .enumerate()
            .map(|(n, (inputs, outputs, bn))| take_layer(&mut file, n, inputs, outputs, bn))
            .collect::<Result<_, _>>()?;
        let optimizer = if file.any_left("optimizer.") {
            let moments = layers.iter().enumerate().map(|(n, layer)| take_moments(&mut file, n, layer));
            Some(OptimizerState { layers: moments.collect::<Result<_, _>>()? })
        } else {
            None
        };
        file.finish()?;
        Ok(ModelFile { layers, optimizer, metadata })
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
        let named = |n: usize, name: &str, data: &[f32]| {
            let at = data.iter().position(|value| !value.is_finite())?;
            Some(format!("layers.{n}.{name}[{at}] is {}", data[at]))
        };
        self.layers.iter().enumerate().find_map(|(n, layer)| {
            let bias = || named(n, "bias", layer.bias.as_ref()?);
            let bn = || {
                let bn = layer.bn.as_ref()?;
                named(n, "bn.weight", &bn.weight)
                    .or_else(|| named(n, "bn.bias", &bn.bias))
                    .or_else(|| named(n, "bn.running_mean", &bn.running_mean))
                    .or_else(|| named(n, "bn.running_var", &bn.running_var))
            };
            named(n, "weight", &layer.weight).or_else(bias).or_else(bn)
        })
    }

    /// Every tensor under its name, checked against the architecture.
    fn tensors(&self) -> Result<TensorList<'_>, ModelFault> {
        let architecture = self.architecture()?;
        let mut list = TensorList::default();
        let count = architecture.layers().count();
        if self.layers.len() != count {
            let found = self.layers.len();
            return Err(ModelFault::Inconsistent(format!(
                "{found} layers, but its architecture has {count}"
            )));
        }
        for (n, (layer, expected)) in self.layers.iter().zip(architecture.layers()).enumerate() {
            if (layer.inputs, layer.outputs, layer.bn.is_some()) != expected {
                return Err(ModelFault::Inconsistent(format!("layers.{n} does not match its architecture")));
            }
            put_layer(&mut list, n, layer)?;
        }
        let Some(state) = &self.optimizer else { return Ok(list) };
        if state.layers.len() != count {
            return Err(ModelFault::Inconsistent(
                "the optimiser's state has a different number of layers".into(),
            ));
        }
        for (n, (moments, layer)) in state.layers.iter().zip(&self.layers).enumerate() {
            put_moments(&mut list, n, moments, layer)?;
        }
        Ok(list)
    }
}

fn architecture_of(metadata: &BTreeMap<String, String>) -> Result<Architecture, ModelFault> {
    let missing = || ModelFault::Inconsistent("its metadata hold no architecture".into());
    Architecture::from_json(metadata.get(Architecture::KEY).ok_or_else(missing)?)
}

fn put_layer<'a>(list: &mut TensorList<'a>, n: usize, layer: &'a LayerTensors) -> Result<(), ModelFault> {
    let outputs = [layer.outputs];
    list.put(format!("layers.{n}.weight"), &[layer.outputs, layer.inputs], &layer.weight)?;
    match (&layer.bias, &layer.bn) {
        (Some(bias), None) => list.put(format!("layers.{n}.bias"), &outputs, bias),
        (None, Some(bn)) => {
            list.put(format!("layers.{n}.bn.weight"), &outputs, &bn.weight)?;
            list.put(format!("layers.{n}.bn.bias"), &outputs, &bn.bias)?;
            list.put(format!("layers.{n}.bn.running_mean"), &outputs, &bn.running_mean)?;
            list.put(format!("layers.{n}.bn.running_var"), &outputs, &bn.running_var)?;
            match &bn.running_mean_lo {
                Some(remainder) => list.put(remainder_name(n), &outputs, remainder),
                None => Ok(()),
            }
        }
        _ => Err(ModelFault::Inconsistent(format!(
            "layers.{n} must have either a bias or batch normalisation"
        ))),
    }
}

fn take_layer(
    file: &mut Tensors,
    n: usize,
    inputs: usize,
    outputs: usize,
    bn: bool,
) -> Result<LayerTensors, ModelFault> {
    let weight = file.take(format!("layers.{n}.weight"), &[outputs, inputs])?;
    let mut vector = |name: &str| file.take(format!("layers.{n}.{name}"), &[outputs]);
    if !bn {
        return Ok(LayerTensors { inputs, outputs, weight, bias: Some(vector("bias")?), bn: None });
    }
    let bn = BnTensors {
        weight: vector("bn.weight")?,
        bias: vector("bn.bias")?,
        running_mean: vector("bn.running_mean")?,
        running_var: vector("bn.running_var")?,
        running_mean_lo: file.take_optional(remainder_name(n), &[outputs])?,
    };
    Ok(LayerTensors { inputs, outputs, weight, bias: None, bn: Some(bn) })
}

fn put_moments<'a>(
    list: &mut TensorList<'a>,
    n: usize,
    moments: &'a LayerMoments,
    layer: &LayerTensors,
) -> Result<(), ModelFault> {
    let of_parameters = [layer.bias.is_some(), layer.bn.is_some(), layer.bn.is_some()];
    if [&moments.bias, &moments.bn_weight, &moments.bn_bias].map(Option::is_some) != of_parameters {
        return Err(ModelFault::Inconsistent(format!(
            "the optimiser's state of layers.{n} does not fit its parameters"
        )));
    }
    let (outputs, weight) = ([layer.outputs], [layer.outputs, layer.inputs]);
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
                list.put(moment_name(moment, n, name), shape, data)?;
            }
        }
    }
    Ok(())
}

fn take_moments(file: &mut Tensors, n: usize, layer: &LayerTensors) -> Result<LayerMoments, ModelFault> {
    let outputs = [layer.outputs];
    let mut moments = |name: &str, shape: &[usize]| -> Result<Moments, ModelFault> {
        let mut moment = |moment| {
            let data = file.take_optional(moment_name(moment, n, name), shape)?;
            Ok(data.unwrap_or_default())
        };
        Ok(Moments { m: moment("exp_avg")?, v: moment("exp_avg_sq")? })
    };
    Ok(LayerMoments {
        weight: moments("weight", &[layer.outputs, layer.inputs])?,
        bias: layer.bias.as_ref().map(|_| moments("bias", &outputs)).transpose()?,
        bn_weight: layer.bn.as_ref().map(|_| moments("bn.weight", &outputs)).transpose()?,
        bn_bias: layer.bn.as_ref().map(|_| moments("bn.bias", &outputs)).transpose()?,
    })
}

fn remainder_name(n: usize) -> String {
    format!("state.layers.{n}.bn.running_mean_remainder")
}

fn moment_name(moment: &str, n: usize, parameter: &str) -> String {
    format!("optimizer.{moment}.layers.{n}.{parameter}")
}

#[cfg(test)]
#[path = "model_file_tests.rs"]
mod tests;
