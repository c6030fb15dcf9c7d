//! Records the inputs and results of a device in a step, so that another WebGPU implementation can repeat the step and
//! compare the bits. `portability/replay.mjs` is such a player; `tests/gpu_trace.rs` has one in Rust.
//!
//! # The file
//! - 8 bytes: the length of the header, a little-endian integer;
//! - the header: a [`Header`] as JSON, followed by spaces up to a multiple of 16 bytes;
//! - the blobs: bytes that the header points into. Offsets count from the first blob and are multiples of 16.
//!
//! The names in the header are those of the WebGPU API. All parts of a file share the buffers and the kernels. A part
//! is self-contained: it has the contents of all buffers before its first dispatch and, after each dispatch, those of
//! the buffers that the dispatch may write. Equal contents are stored once.
//!
//! # A dispatch
//! Bind group 0 has one binding: 16 bytes of the uniform buffer [`NOW`] at the dynamic offset `now`. Bind group 1 has the
//! bindings of the dispatch, numbered from 0, of the types that its kernel lists. The entry point is `main`.
//!
//! Offsets follow the alignments of the recording device. The default alignment, 256, suits every player; a trace of a
//! device with smaller ones needs a player that allows them.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::dispatch::{Dispatch, Sources};
use super::kernels::{Binding, Kernel};
use super::passes::Pass;
use super::{GpuEngine, contents, now_bytes, work};
use crate::engine::EngineError;
use crate::population::Buffer;
use crate::population::tables::{Record, StepRow};
use crate::step::StepKind;

/// Value of [`Header::format`].
pub const FORMAT: &str = "bngpu trace 1";
/// Index in [`Header::buffers`] of the uniform buffer.
pub const NOW: usize = 0;
/// Alignment of blobs.
const ALIGN: usize = 16;

/// A recording.
#[derive(Clone, Debug, PartialEq)]
pub struct Trace {
    pub header: Header,
    /// The contents that the header refers to.
    pub blobs: Vec<u8>,
}

/// The description of a recording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Header {
    pub format: String,
    /// The device and driver that computed the results.
    pub device: String,
    pub driver: String,
    /// Features that a player must request.
    pub features: Vec<String>,
    /// Size of the subgroups that the kernels require, if any.
    pub subgroup_size: Option<u32>,
    /// Limits that a player must request if the defaults are lower (for an alignment: higher).
    pub limits: BTreeMap<String, u64>,
    pub buffers: Vec<TracedBuffer>,
    pub kernels: Vec<TracedKernel>,
    pub parts: Vec<Part>,
}

/// A buffer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TracedBuffer {
    pub name: String,
    pub size: u64,
    /// `uniform` or `storage`.
    pub usage: String,
}

/// A compute pipeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TracedKernel {
    pub name: String,
    pub wgsl: String,
    /// Values of its `override`s.
    pub constants: BTreeMap<String, f64>,
    /// `read-only-storage` or `storage`, for each binding of group 1.
    pub bindings: Vec<String>,
}

/// Dispatches that run in sequence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// `initialize`, or the kind of its steps.
    pub name: String,
    /// Offset of the contents of each buffer before the first dispatch.
    pub before: Vec<u64>,
    pub dispatches: Vec<TracedDispatch>,
}

/// A dispatch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TracedDispatch {
    /// Index in [`Header::kernels`].
    pub kernel: usize,
    /// Dynamic offset of bind group 0.
    pub now: u32,
    /// The bindings of group 1.
    pub bindings: Vec<TracedBinding>,
    /// Workgroups in x and y; one in z.
    pub grid: [u32; 2],
    /// The buffers that it may write, with their contents after it.
    pub after: Vec<Contents>,
}

/// The part of a buffer that a dispatch binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TracedBinding {
    /// Index in [`Header::buffers`].
    pub buffer: usize,
    pub offset: u64,
    pub size: u64,
}

/// The contents of a buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    /// Index in [`Header::buffers`].
    pub buffer: usize,
    /// Offset of its bytes in the blobs.
    pub at: u64,
}

impl Trace {
    /// The contents of a buffer that begin at `at`.
    pub fn contents(&self, buffer: usize, at: u64) -> &[u8] {
        &self.blobs[at as usize..][..self.header.buffers[buffer].size as usize]
    }

    /// Writes the file.
    pub fn write(&self, mut to: impl Write) -> io::Result<()> {
        let mut header = serde_json::to_vec(&self.header)?;
        header.resize((8 + header.len()).next_multiple_of(ALIGN) - 8, b' ');
        to.write_all(&(header.len() as u64).to_le_bytes())?;
        to.write_all(&header)?;
        to.write_all(&self.blobs)
    }

    /// Reads a file.
    pub fn read(mut from: impl Read) -> io::Result<Trace> {
        let mut length = [0; 8];
        from.read_exact(&mut length)?;
        let mut header = Vec::new();
        from.by_ref().take(u64::from_le_bytes(length)).read_to_end(&mut header)?;
        let header = serde_json::from_slice(&header)?;
        let mut blobs = Vec::new();
        from.read_to_end(&mut blobs)?;
        Ok(Trace { header, blobs })
    }
}

/// Records the work of an engine.
pub struct Recorder<'a> {
    engine: &'a mut GpuEngine,
    /// All buffers of the engine except the uniform, in the order of the header.
    buffers: Vec<wgpu::Buffer>,
    /// Index in the header of each kernel recorded so far.
    kernels: HashMap<Kernel, usize>,
    /// Offset of the blobs with a given hash.
    stored: HashMap<[u8; 32], u64>,
    trace: Trace,
}

impl<'a> Recorder<'a> {
    /// A recorder of `engine`, with nothing recorded yet.
    pub fn new(engine: &'a mut GpuEngine) -> Recorder<'a> {
        let (buffers, data) = (&engine.buffers, &engine.data);
        let roles = Buffer::ALL.iter().map(|&role| (contents(role), &engine.roles[role as usize]));
        let others = [
            ("the layer table", &buffers.layers),
            ("the step table", &buffers.steps),
            ("the work lists", &buffers.work),
            ("the records", &buffers.records),
            ("the data", &data.values),
            ("the scaling of the data", &data.scaling),
            ("the targets", &data.targets),
        ];
        let named: Vec<_> = roles.chain(others).collect();
        let traced =
            |name: &str, size, usage: &str| TracedBuffer { name: name.into(), size, usage: usage.into() };
        let now = traced("now", engine.longest as u64 * u64::from(engine.now_stride), "uniform");
        let storage = named.iter().map(|(name, buffer)| traced(name, buffer.size(), "storage"));
        let device = &engine.device;
        let header = Header {
            format: FORMAT.into(),
            device: device.name(),
            driver: device.driver.clone(),
            features: Vec::new(),
            subgroup_size: None,
            limits: BTreeMap::from([
                ("minUniformBufferOffsetAlignment".into(), engine.now_stride.into()),
                (
                    "minStorageBufferOffsetAlignment".into(),
                    device.limits.min_storage_buffer_offset_alignment.into(),
                ),
            ]),
            buffers: std::iter::once(now).chain(storage).collect(),
            kernels: Vec::new(),
            parts: Vec::new(),
        };
        let buffers = named.iter().map(|(_, buffer)| (*buffer).clone()).collect();
        let trace = Trace { header, blobs: Vec::new() };
        Recorder { buffers, kernels: HashMap::new(), stored: HashMap::new(), trace, engine }
    }

    /// The engine, for work that is not recorded.
    pub fn engine(&mut self) -> &mut GpuEngine {
        self.engine
    }

    /// The recording.
    pub fn finish(self) -> Trace {
        self.trace
    }

    /// Records [`initialize`](crate::engine::Engine::initialize).
    ///
    /// # Errors
    /// Any error of the device.
    pub fn initialize(&mut self) -> Result<(), EngineError> {
        let jobs = work::initial(&self.engine.population, 0..self.engine.population.len());
        let (sources, _, initialize) = self.engine.parts();
        initialize.write_jobs(&sources, &jobs)?;
        self.part("initialize", &[(None, 0)])
    }

    /// Records `steps` (`[S, K]`) of `kind` as one submit.
    ///
    /// # Errors
    /// [`EngineError::Unsupported`] if one submit cannot hold the steps, and any error of the device.
    pub fn run(&mut self, kind: StepKind, steps: &[StepRow]) -> Result<(), EngineError> {
        let engine = &mut *self.engine;
        let k = engine.population.len();
        let count = steps.len() / k;
        if count > engine.longest || count > engine.data.steps_that_fit(steps, k) {
            let what = format!("{count} steps do not fit into one submit");
            return Err(EngineError::Unsupported { device: engine.device.name(), what });
        }
        engine.upload_steps(steps);
        let mut encoder = engine.device.device.create_command_encoder(&Default::default());
        encoder.clear_buffer(&engine.buffers.records, 0, Some((steps.len() * size_of::<Record>()) as u64));
        engine.device.queue.submit([encoder.finish()]);
        let passes = engine.passes(kind);
        let all: Vec<_> =
            (0..count).flat_map(|slot| passes.iter().map(move |&pass| (Some((kind, pass)), slot))).collect();
        self.part(&format!("{kind:?}").to_lowercase(), &all)
    }

    /// Runs dispatches (`None` is initialisation), each for a slot of the step table, and records them.
    fn part(
        &mut self,
        name: &str,
        dispatches: &[(Option<(StepKind, Pass)>, usize)],
    ) -> Result<(), EngineError> {
        let engine = &*self.engine;
        let now = now_bytes(engine.longest, engine.now_stride, engine.population.len() as u32);
        let mut before = vec![self.store(&now)];
        let all: Vec<usize> = (NOW + 1..self.trace.header.buffers.len()).collect();
        before.extend(self.snapshot(&all)?.iter().map(|contents| contents.at));
        let mut part = Part { name: name.into(), before, dispatches: Vec::new() };
        for &(which, slot) in dispatches {
            if let Some(traced) = self.dispatch(which, slot)? {
                part.dispatches.push(traced);
            }
        }
        self.trace.header.parts.push(part);
        Ok(())
    }

    /// Runs one dispatch and records it, if it has work.
    fn dispatch(
        &mut self,
        which: Option<(StepKind, Pass)>,
        slot: usize,
    ) -> Result<Option<TracedDispatch>, EngineError> {
        let engine = &*self.engine;
        let dispatch = match which {
            None => Some(&engine.initialize),
            Some(key) => engine.dispatches.get(&key),
        };
        let Some((dispatch, (columns, rows))) = dispatch.and_then(|d| Some((d, d.grid?))) else {
            return Ok(None);
        };
        let mut encoder = engine.device.device.create_command_encoder(&Default::default());
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            engine.record(&mut pass, dispatch, slot);
        }
        engine.device.queue.submit([encoder.finish()]);
        let bindings = self.bindings(dispatch);
        let is_written = dispatch.kernel.definition().bindings.iter().map(|binding| binding.is_written());
        let written: Vec<usize> =
            bindings.iter().zip(is_written).filter(|(_, is)| *is).map(|(b, _)| b.buffer).collect();
        let now = slot as u32 * engine.now_stride;
        Ok(Some(TracedDispatch {
            kernel: self.kernel(dispatch.kernel),
            now,
            bindings,
            grid: [columns, rows],
            after: self.snapshot(&written)?,
        }))
    }

    /// The bindings of a dispatch.
    #[expect(clippy::expect_used, reason = "kernels are bound to buffers of the engine only")]
    fn bindings(&self, dispatch: &Dispatch) -> Vec<TracedBinding> {
        let GpuEngine { device, ways, roles, buffers, data, .. } = &*self.engine;
        let sources = Sources { device, ways, work: &buffers.work, buffers, roles, data };
        let traced = |&binding| {
            let bound = sources.bound(binding, dispatch.list);
            let at = self.buffers.iter().position(|buffer| buffer == bound.buffer);
            let buffer = NOW + 1 + at.expect("a buffer of the engine");
            let size = bound.size.map_or(bound.buffer.size() - bound.offset, |size| size.get());
            TracedBinding { buffer, offset: bound.offset, size }
        };
        dispatch.kernel.definition().bindings.iter().map(traced).collect()
    }

    /// Index of a kernel in the header.
    fn kernel(&mut self, kernel: Kernel) -> usize {
        if let Some(&at) = self.kernels.get(&kernel) {
            return at;
        }
        let definition = kernel.definition();
        let wgsl = kernel.standard_source(definition.shape.map(|shape| self.engine.ways.tile(shape)));
        let header = &mut self.trace.header;
        if wgsl.starts_with("enable subgroups;") && header.features.is_empty() {
            header.features.push("subgroups".into());
            header.subgroup_size = self.engine.device.can.subgroup;
        }
        let most = header.limits.entry("maxStorageBuffersPerShaderStage".into()).or_default();
        *most = (*most).max(definition.bindings.len() as u64);
        let kind = |binding: &Binding| match binding.is_written() {
            true => "storage".to_owned(),
            false => "read-only-storage".to_owned(),
        };
        header.kernels.push(TracedKernel {
            name: definition.name.into(),
            wgsl,
            constants: definition.constants.iter().map(|&(name, value)| (name.into(), value)).collect(),
            bindings: definition.bindings.iter().map(kind).collect(),
        });
        let at = header.kernels.len() - 1;
        self.kernels.insert(kernel, at);
        at
    }

    /// Reads whole buffers back in one submit and stores their contents.
    fn snapshot(&mut self, buffers: &[usize]) -> Result<Vec<Contents>, EngineError> {
        let device = &self.engine.device;
        let raw = |buffer: usize| &self.buffers[buffer - NOW - 1];
        let total = buffers.iter().map(|&buffer| raw(buffer).size()).sum();
        let staging = device.staging("a trace", total)?;
        let mut encoder = device.device.create_command_encoder(&Default::default());
        let mut to = 0;
        for &buffer in buffers {
            encoder.copy_buffer_to_buffer(raw(buffer), 0, &staging, to, raw(buffer).size());
            to += raw(buffer).size();
        }
        let bytes = device.submit_and_read(encoder.finish(), &staging, total, "a trace", <[u8]>::to_vec)?;
        let mut rest = bytes.as_slice();
        let mut found = Vec::with_capacity(buffers.len());
        for &buffer in buffers {
            let (own, others) = rest.split_at(raw(buffer).size() as usize);
            rest = others;
            found.push((buffer, own));
        }
        Ok(found.into_iter().map(|(buffer, own)| Contents { buffer, at: self.store(own) }).collect())
    }

    /// Offset of `bytes` in the blobs.
    fn store(&mut self, bytes: &[u8]) -> u64 {
        let blobs = &mut self.trace.blobs;
        *self.stored.entry(Sha256::digest(bytes).into()).or_insert_with(|| {
            let at = blobs.len();
            blobs.extend_from_slice(bytes);
            blobs.resize(blobs.len().next_multiple_of(ALIGN), 0);
            at as u64
        })
    }
}
