//! Writes and reads the named tensors of a safetensors file.

use std::collections::BTreeMap;

use safetensors::{Dtype, SafeTensors};

use super::{ModelFault, seal};

/// The `safetensors` reader refuses longer headers.
const LONGEST_HEADER: usize = 100_000_000;

/// Tensors to write, in the order of the file.
#[derive(Default)]
pub(super) struct TensorList<'a>(Vec<(String, Vec<usize>, &'a [f32])>);

impl<'a> TensorList<'a> {
    /// Adds a tensor of `shape`, slowest dimension first; refuses data of another length.
    pub fn put(&mut self, name: String, shape: &[usize], data: &'a [f32]) -> Result<(), ModelFault> {
        let expected = shape.iter().try_fold(1usize, |n, &size| n.checked_mul(size));
        if expected != Some(data.len()) {
            let found = data.len();
            return Err(inconsistent(format!("{name} has {found} elements, but its shape is {shape:?}")));
        }
        self.0.push((name, shape.to_vec(), data));
        Ok(())
    }

    /// The whole file, sealed. The same tensors and metadata always give the same bytes.
    pub fn to_bytes(&self, metadata: &BTreeMap<String, String>) -> Result<Vec<u8>, ModelFault> {
        let header = self.header(metadata).to_string();
        // The format requires the tensors to be aligned to eight bytes.
        let length = header.len().next_multiple_of(8);
        if length > LONGEST_HEADER {
            return Err(inconsistent(format!(
                "{length} bytes of metadata do not fit into a safetensors file"
            )));
        }
        let elements: usize = self.0.iter().map(|(_, _, data)| data.len()).sum();
        let mut bytes = Vec::with_capacity(8 + length + 4 * elements);
        bytes.extend((length as u64).to_le_bytes());
        bytes.extend(header.as_bytes());
        bytes.resize(8 + length, b' ');
        for value in self.0.iter().flat_map(|(_, _, data)| data.iter()) {
            bytes.extend(value.to_le_bytes());
        }
        seal::seal(&mut bytes)?;
        Ok(bytes)
    }

    /// The JSON header: the seal's keys, the metadata in the order of their keys, then name, type, shape and place
    /// of each tensor. (The crate's own writer takes the metadata from a hash map, in random order.)
    fn header(&self, metadata: &BTreeMap<String, String>) -> serde_json::Value {
        let mut notes = serde_json::Map::new();
        notes.insert(seal::FORMAT_KEY.into(), seal::FORMAT.into());
        notes.insert(seal::DIGEST_KEY.into(), seal::ZEROS.into());
        for (key, value) in metadata.iter().filter(|(key, _)| !is_reserved(key)) {
            notes.insert(key.clone(), value.as_str().into());
        }
        let mut header = serde_json::Map::new();
        header.insert("__metadata__".into(), notes.into());
        let mut start = 0;
        for (name, shape, data) in &self.0 {
            let end = start + 4 * data.len();
            let entry = serde_json::json!({ "dtype": "F32", "shape": shape, "data_offsets": [start, end] });
            header.insert(name.clone(), entry);
            start = end;
        }
        header.into()
    }
}

/// Tensors of a file whose seal is intact; each is taken once.
pub(super) struct Tensors<'a> {
    file: SafeTensors<'a>,
    left: BTreeMap<String, ()>,
}

impl<'a> Tensors<'a> {
    /// Checks the seal of `bytes`, then reads the tensors and the metadata (without the seal's keys).
    pub fn open(bytes: &'a [u8]) -> Result<(Tensors<'a>, BTreeMap<String, String>), ModelFault> {
        seal::check(bytes)?;
        let unreadable = |error: safetensors::SafeTensorError| inconsistent(format!("unreadable: {error}"));
        let (_, header) = SafeTensors::read_metadata(bytes).map_err(unreadable)?;
        let metadata = header.metadata().iter().flatten();
        let metadata = metadata.filter(|(key, _)| !is_reserved(key));
        let metadata = metadata.map(|(key, value)| (key.clone(), value.clone())).collect();
        let file = SafeTensors::deserialize(bytes).map_err(unreadable)?;
        let left = file.names().into_iter().map(|name| (name.to_owned(), ())).collect();
        Ok((Tensors { file, left }, metadata))
    }

    /// Whether a tensor with this prefix has not been taken yet.
    pub fn any_left(&self, prefix: &str) -> bool {
        self.left.range(prefix.to_owned()..).next().is_some_and(|(name, ())| name.starts_with(prefix))
    }

    /// Takes the tensor `name`, which must exist, of type f32 and of this shape.
    pub fn take(&mut self, name: String, shape: &[usize]) -> Result<Vec<f32>, ModelFault> {
        let tensor = self.file.tensor(&name).map_err(|_| inconsistent(format!("{name} is missing")))?;
        if tensor.dtype() != Dtype::F32 || tensor.shape() != shape {
            let (dtype, found) = (tensor.dtype(), tensor.shape());
            return Err(inconsistent(format!("{name} is {dtype:?} {found:?}, expected F32 {shape:?}")));
        }
        self.left.remove(&name);
        let words = tensor.data().chunks_exact(4);
        Ok(words.map(|word| f32::from_le_bytes([word[0], word[1], word[2], word[3]])).collect())
    }

    /// Takes the tensor `name` if it exists.
    pub fn take_optional(&mut self, name: String, shape: &[usize]) -> Result<Option<Vec<f32>>, ModelFault> {
        if self.left.contains_key(&name) { self.take(name, shape).map(Some) } else { Ok(None) }
    }

    /// Refuses a file with tensors that were not taken.
    pub fn finish(self) -> Result<(), ModelFault> {
        match self.left.keys().next() {
            None => Ok(()),
            Some(name) => Err(inconsistent(format!("{name} belongs to no layer of its architecture"))),
        }
    }
}

fn is_reserved(key: &str) -> bool {
    key == seal::FORMAT_KEY || key == seal::DIGEST_KEY
}

fn inconsistent(what: String) -> ModelFault {
    ModelFault::Inconsistent(what)
}
