//! One open device: its queue, its faults, bounded waits, readback.

use std::collections::HashMap;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_intrusive::channel::shared::channel;
use serde_json::json;

use super::adapters::{self, AdapterKind};
use super::cache::PipelineCache;
use super::kernels::Kernel;
use super::refused::Refused;
use super::tiles::{Abilities, Tile, Ways};
use super::tune;
use crate::base::panics;
use crate::engine::cpu::threads;
use crate::engine::{EngineError, EngineInfo};
use crate::spec::Precision;

/// Options of a device.
#[derive(Clone, Copy, Debug)]
pub struct GpuOptions {
    /// Shaders keep their bounds checks.
    pub checked: bool,
    /// Requests only the default limits of WebGPU.
    pub default_limits: bool,
    /// Most bytes of data on the device; larger data stream through a window.
    pub data_memory: Option<u64>,
    /// Target duration of a submit.
    pub submit: Duration,
    /// Time after which a submit counts as hung.
    pub timeout: Duration,
    /// Number of timeouts to wait for a software adapter: it computes on the processor, which may have other work, so a
    /// late submit is rarely lost.
    pub patience: u32,
    /// Most workgroups in one dimension of a grid, if below the device's limit.
    pub max_workgroups: Option<u32>,
    /// Ways to use instead of the device's usual ones.
    pub ways: Option<Ways>,
    /// Precision of the operands of matrix products.
    pub precision: Precision,
    /// For tests: whether the device refuses a kernel, by its name, in a layout.
    pub refuse: Option<fn(&str, Option<Tile>) -> bool>,
}

impl Default for GpuOptions {
    fn default() -> Self {
        GpuOptions {
            checked: cfg!(debug_assertions),
            default_limits: false,
            data_memory: None,
            submit: Duration::from_millis(100),
            timeout: Duration::from_secs(60),
            patience: 10,
            max_workgroups: None,
            ways: None,
            precision: Precision::F32,
            refuse: None,
        }
    }
}

/// Serialises device and pipeline creation: drivers do not support it for several devices at once (wgpu#10234).
static MAKING: Mutex<()> = Mutex::new(());

/// Bytes of one piece of an upload.
const UPLOAD: usize = 32 << 20;

/// Faults outside of calls, oldest first.
#[derive(Debug, Default)]
struct Faults {
    lost: Option<String>,
    error: Option<wgpu::Error>,
}

/// An open device.
pub struct Device {
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
    pub limits: wgpu::Limits,
    /// The name of the driver, as it reports it.
    pub driver: String,
    /// The adapter computes on the CPU.
    pub software: bool,
    pub options: GpuOptions,
    pub info: EngineInfo,
    faults: Arc<Mutex<Faults>>,
    /// Whether a submit took longer than the timeout since the flag was last read.
    late: AtomicBool,
    /// Layout of group 0, which selects the step of the submit.
    pub now_layout: wgpu::BindGroupLayout,
    /// The properties that ways depend on.
    pub can: Abilities,
    /// How kernels are laid out and which operations are fused, unless layers are large.
    pub ways: Ways,
    /// Kernels that the driver refused.
    pub(super) refused: Refused,
    /// Compiled when first needed, kept for all engines of the device.
    pipelines: Mutex<HashMap<(Kernel, Option<Tile>), wgpu::ComputePipeline>>,
    /// The pipeline cache, if the driver has one.
    cache: Option<PipelineCache>,
}

/// Key of a kernel in [`Device::pipelines`].
fn key(kernel: Kernel, ways: &Ways) -> (Kernel, Option<Tile>) {
    (kernel, kernel.definition().shape.map(|shape| ways.tile(shape)))
}

/// Name of a kernel in messages.
fn the_kernel(kernel: Kernel) -> String {
    format!("the kernel '{}'", kernel.name())
}

impl Device {
    /// Opens a device of `adapter`.
    pub fn open(adapter: &wgpu::Adapter, options: GpuOptions) -> Result<Device, EngineError> {
        let about = adapter.get_info();
        let limits = if options.default_limits { wgpu::Limits::default() } else { adapter.limits() };
        let mut features = match options.default_limits {
            true => wgpu::Features::empty(),
            false => adapter.features() & (wgpu::Features::SUBGROUP | wgpu::Features::PIPELINE_CACHE),
        };
        let mut experimental_features = wgpu::ExperimentalFeatures::disabled();
        let cooperative = match options.precision {
            Precision::F32 => None,
            Precision::F16 => {
                let unsupported = || EngineError::Unsupported {
                    device: about.name.clone(),
                    what: adapters::NO_HALVES.into(),
                };
                features |= adapters::HALVES;
                // SAFETY: only one kernel uses the experimental features; it is compared with its twin like any other.
                experimental_features = unsafe { wgpu::ExperimentalFeatures::enabled() };
                Some(adapters::halves(adapter).ok_or_else(unsupported)?)
            }
        };
        let sizes = (about.subgroup_min_size, about.subgroup_max_size);
        let subgroup = (features.contains(wgpu::Features::SUBGROUP) && sizes.0 == sizes.1).then_some(sizes.0);
        let request = wgpu::DeviceDescriptor {
            label: Some("bngpu"),
            required_features: features,
            required_limits: limits.clone(),
            memory_hints: wgpu::MemoryHints::Performance,
            experimental_features,
            ..Default::default()
        };
        let _one = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
        let (device, queue) = pollster::block_on(adapter.request_device(&request)).map_err(|e| {
            EngineError::Refused { device: about.name.clone(), what: "to open".into(), reason: e.to_string() }
        })?;
        let faults = Arc::new(Mutex::new(Faults::default()));
        let on_lost = faults.clone();
        device.set_device_lost_callback(move |reason, message| {
            let text = if message.is_empty() { format!("{reason:?}") } else { message };
            on_lost.lock().unwrap_or_else(PoisonError::into_inner).lost.get_or_insert(text);
        });
        let on_error = faults.clone();
        device.on_uncaptured_error(Arc::new(move |error| {
            on_error.lock().unwrap_or_else(PoisonError::into_inner).error.get_or_insert(error);
        }));
        let kind = adapters::kind(about.device_type, &about.name, &about.driver);
        let info = EngineInfo {
            engine: "gpu",
            device: about.name.clone(),
            details: json!({
                "backend": about.backend.to_string(),
                "kind": kind,
                "driver": about.driver,
                "driver_info": about.driver_info,
                "vendor": about.vendor,
                "device": about.device,
                "limits": {
                    "max_buffer_size": limits.max_buffer_size,
                    "max_storage_buffer_binding_size": limits.max_storage_buffer_binding_size,
                    "max_compute_workgroup_storage_size": limits.max_compute_workgroup_storage_size,
                    "max_compute_workgroups_per_dimension": limits.max_compute_workgroups_per_dimension,
                },
                "checked_shaders": options.checked,
                "precision": options.precision,
            }),
        };
        let now_layout = device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
            label: Some("now"),
            entries: &[wgpu::BindGroupLayoutEntry {
                binding: 0,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty: wgpu::BindingType::Buffer {
                    ty: wgpu::BufferBindingType::Uniform,
                    has_dynamic_offset: true,
                    min_binding_size: wgpu::BufferSize::new(16),
                },
                count: None,
            }],
        });
        let pipelines = Mutex::default();
        let software = kind == AdapterKind::Software;
        let bindings = limits.max_storage_buffers_per_shader_stage as usize;
        let driver = adapters::driver(&about);
        // The defaults of WebGPU are requested so that every device behaves alike.
        let can = Abilities { software, subgroup, bindings, cooperative };
        let kept = || tune::kept(&about.name, &driver, &can).filter(|_| !options.default_limits);
        let ways = options.ways.or_else(kept).unwrap_or_else(|| Ways::usual(&can));
        // Pipelines of ways under trial are not worth caching.
        let keeps = features.contains(wgpu::Features::PIPELINE_CACHE) && options.ways.is_none();
        let cache = if keeps { PipelineCache::open(&device, &about) } else { None };
        let device = Device {
            device,
            queue,
            driver,
            software,
            limits,
            options,
            info,
            faults,
            late: AtomicBool::new(false),
            now_layout,
            can,
            ways,
            refused: Refused::default(),
            pipelines,
            cache,
        };
        Ok(device)
    }

    /// Name in messages.
    pub fn name(&self) -> String {
        self.info.device.clone()
    }

    /// The fault since the last call, if any. A lost device stays lost.
    pub fn check(&self) -> Result<(), EngineError> {
        // A loss is only reported by the callback, which only runs in a poll.
        let polled = panics::caught(|| self.device.poll(wgpu::PollType::Poll));
        if let Some(reason) = self.loss(polled.err()) {
            return Err(EngineError::Lost { device: self.name(), reason });
        }
        let error = self.faults.lock().unwrap_or_else(PoisonError::into_inner).error.take();
        error.map_or(Ok(()), |error| Err(self.fault(error, "a submit")))
    }

    /// Why the device is lost, if it is; `panic` is a panic of wgpu during a poll in which the driver reported a loss.
    fn loss(&self, panic: Option<String>) -> Option<String> {
        let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
        if let (None, Some(panic)) = (&faults.lost, panic) {
            faults.lost = Some(panic);
        }
        faults.lost.clone()
    }

    fn fault(&self, error: wgpu::Error, what: &str) -> EngineError {
        match error {
            wgpu::Error::OutOfMemory { .. } => {
                EngineError::OutOfMemory { device: self.name(), what: what.into() }
            }
            wgpu::Error::Validation { description, .. } | wgpu::Error::Internal { description, .. } => {
                // Objects of a lost device are invalid. The loss is reported once its last work is done.
                let timeout = Some(self.options.timeout);
                let wait = wgpu::PollType::Wait { submission_index: None, timeout };
                let polled = panics::caught(|| self.device.poll(wait));
                match self.loss(polled.err()) {
                    Some(reason) => EngineError::Lost { device: self.name(), reason },
                    None => {
                        EngineError::Refused { device: self.name(), what: what.into(), reason: description }
                    }
                }
            }
        }
    }

    /// Runs `make` and returns the error that wgpu reports in it.
    pub fn scoped<T>(&self, what: &str, make: impl FnOnce() -> T) -> Result<T, EngineError> {
        self.check()?;
        let scopes =
            [wgpu::ErrorFilter::Internal, wgpu::ErrorFilter::Validation, wgpu::ErrorFilter::OutOfMemory]
                .map(|filter| self.device.push_error_scope(filter));
        let made = make();
        // Pops all scopes, innermost first: wgpu panics if they end in another order.
        let errors: Vec<_> =
            scopes.into_iter().rev().filter_map(|scope| pollster::block_on(scope.pop())).collect();
        self.check()?;
        match errors.into_iter().next() {
            Some(error) => Err(self.fault(error, what)),
            None => Ok(made),
        }
    }

    /// The pipeline of a kernel in the layout of `ways`.
    pub fn pipeline(&self, kernel: Kernel, ways: &Ways) -> Result<wgpu::ComputePipeline, EngineError> {
        self.prepare([kernel].into_iter(), ways)?;
        Ok(self.pipelines()[&key(kernel, ways)].clone())
    }

    /// Makes the missing pipelines of these kernels, on all cores.
    pub fn prepare(&self, kernels: impl Iterator<Item = Kernel>, ways: &Ways) -> Result<(), EngineError> {
        let mut missing: Vec<_> = kernels.map(|kernel| key(kernel, ways)).collect();
        missing.sort_by_key(|&(kernel, _)| kernel);
        missing.dedup();
        missing.retain(|key| !self.pipelines().contains_key(key));
        if missing.is_empty() {
            return Ok(());
        }
        let _one = MAKING.lock().unwrap_or_else(PoisonError::into_inner);
        let next = AtomicUsize::new(0);
        let work = || -> Result<(), EngineError> {
            while let Some(&key) = missing.get(next.fetch_add(1, Ordering::Relaxed)) {
                let made = self.compile(key).inspect_err(|error| {
                    if let EngineError::Refused { what, reason, .. } = error
                        && *what == the_kernel(key.0)
                    {
                        self.refused.add(key.0, key.1, reason);
                    }
                })?;
                self.pipelines().insert(key, made);
            }
            Ok(())
        };
        let cores = threads::count().min(missing.len());
        std::thread::scope(|scope| {
            let others: Vec<_> = (1..cores).map(|_| scope.spawn(work)).collect();
            let own = work();
            let others =
                others.into_iter().map(|other| other.join().unwrap_or_else(|panic| resume_unwind(panic)));
            others.fold(own, |all, other| all.and(other))
        })?;
        if let Some(cache) = &self.cache {
            cache.save();
        }
        Ok(())
    }

    fn pipelines(&self) -> MutexGuard<'_, HashMap<(Kernel, Option<Tile>), wgpu::ComputePipeline>> {
        self.pipelines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn compile(&self, (kernel, tile): (Kernel, Option<Tile>)) -> Result<wgpu::ComputePipeline, EngineError> {
        let definition = kernel.definition();
        let text = match self.options.refuse {
            // Fails as a real refusal does.
            Some(refuse) if refuse(definition.name, tile) => "no WGSL: a test has the kernel refused".into(),
            _ => kernel.source(tile),
        };
        self.scoped(&the_kernel(kernel), || {
            let source = wgpu::ShaderModuleDescriptor {
                label: Some(definition.name),
                source: wgpu::ShaderSource::Wgsl(text.into()),
            };
            let checks = if self.options.checked {
                wgpu::ShaderRuntimeChecks::checked()
            } else {
                wgpu::ShaderRuntimeChecks::unchecked()
            };
            // SAFETY: every index of every kernel is bounded by the tables, which `work` and `Population` derive from
            // the sizes of the buffers; tests run the kernels with checks.
            let module = unsafe { self.device.create_shader_module_trusted(source, checks) };
            let entries: Vec<_> = definition
                .bindings
                .iter()
                .enumerate()
                .map(|(at, binding)| wgpu::BindGroupLayoutEntry {
                    binding: at as u32,
                    visibility: wgpu::ShaderStages::COMPUTE,
                    ty: wgpu::BindingType::Buffer {
                        ty: wgpu::BufferBindingType::Storage { read_only: !binding.is_written() },
                        has_dynamic_offset: false,
                        min_binding_size: None,
                    },
                    count: None,
                })
                .collect();
            let own = self.device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
                label: Some(definition.name),
                entries: &entries,
            });
            let layout = self.device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label: Some(definition.name),
                bind_group_layouts: &[Some(&self.now_layout), Some(&own)],
                immediate_size: 0,
            });
            self.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(definition.name),
                layout: Some(&layout),
                module: &module,
                entry_point: Some("main"),
                compilation_options: wgpu::PipelineCompilationOptions {
                    constants: definition.constants,
                    zero_initialize_workgroup_memory: false,
                },
                cache: self.cache.as_ref().map(|cache| &cache.raw),
            })
        })
    }

    /// A storage buffer of `bytes` bytes, zeroed.
    pub fn storage(&self, label: &str, bytes: u64) -> Result<wgpu::Buffer, EngineError> {
        let limit = self.limits.max_storage_buffer_binding_size.min(self.limits.max_buffer_size);
        if bytes > limit {
            return Err(EngineError::Unsupported {
                device: self.name(),
                what: format!(
                    "{label} needs {bytes} bytes in one buffer, but the device binds at most {limit}; \
                     use fewer hidden units, a smaller --batch-size, or --device cpu"
                ),
            });
        }
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        self.scoped(&format!("a buffer of {bytes} bytes for {label}"), || {
            self.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some(label),
                size: bytes.next_multiple_of(16).max(16),
                usage,
                mapped_at_creation: false,
            })
        })
    }

    /// Writes `bytes` into `buffer` from byte `start` on, in pieces, so that the driver need not hold a second copy of
    /// all.
    pub fn write(&self, buffer: &wgpu::Buffer, start: u64, bytes: &[u8]) -> Result<(), EngineError> {
        for (at, piece) in bytes.chunks(UPLOAD).enumerate() {
            self.queue.write_buffer(buffer, start + (at * UPLOAD) as u64, piece);
            if bytes.len() > UPLOAD {
                self.queue.submit([]);
            }
        }
        self.check()
    }

    /// A host-readable buffer for copies of `bytes` bytes.
    pub fn staging(&self, label: &str, bytes: u64) -> Result<wgpu::Buffer, EngineError> {
        self.scoped(&format!("{bytes} bytes to read {label} back"), || {
            self.device.create_buffer(&wgpu::BufferDescriptor {
                label: Some(label),
                size: bytes.next_multiple_of(16).max(16),
                usage: wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
                mapped_at_creation: false,
            })
        })
    }

    /// Submits, waits for the device, and returns the first `bytes` bytes of `staging`.
    pub fn submit_and_read<T>(
        &self,
        commands: wgpu::CommandBuffer,
        staging: &wgpu::Buffer,
        bytes: u64,
        what: &str,
        read: impl FnOnce(&[u8]) -> T,
    ) -> Result<T, EngineError> {
        let index = self.queue.submit([commands]);
        let (sender, receiver) = channel(1);
        staging.map_async(wgpu::MapMode::Read, 0..bytes, move |result| {
            // The receiver is gone only if this function has given up already.
            let _ = sender.try_send(result);
        });
        self.wait(index, what)?;
        // The wait has run the callback, unless the mapping itself failed.
        let mapped = receiver.try_receive().map_err(|_| self.timed_out(what))?;
        let lost = |reason: String| EngineError::Lost { device: self.name(), reason };
        mapped.map_err(|e| lost(e.to_string()))?;
        let view = staging.get_mapped_range(0..bytes).map_err(|e| lost(e.to_string()))?;
        let value = read(&view);
        drop(view);
        staging.unmap();
        Ok(value)
    }

    /// Whether a submit took longer than the timeout since the last call.
    pub(super) fn was_late(&self) -> bool {
        self.late.swap(false, Ordering::Relaxed)
    }

    /// Waits until the device has finished a submit, at most as long as the options allow.
    pub(super) fn wait(&self, index: wgpu::SubmissionIndex, what: &str) -> Result<(), EngineError> {
        let lost = |reason: String| EngineError::Lost { device: self.name(), reason };
        let timeout = self.options.timeout;
        let most = if self.software { self.options.patience.max(1) } else { 1 };
        let start = Instant::now();
        for nth in 1..=most {
            let wait = wgpu::PollType::Wait { submission_index: Some(index.clone()), timeout: Some(timeout) };
            // wgpu panics if the driver reports a loss here; `check` then reports it.
            let polled = panics::caught(|| self.device.poll(wait)).map_err(|panic| self.loss(Some(panic)));
            self.check()?;
            match polled {
                Ok(Err(wgpu::PollError::Timeout)) if nth == most => break,
                Ok(Err(wgpu::PollError::Timeout)) => {
                    self.late.store(true, Ordering::Relaxed);
                    if nth == 1 {
                        log::warn!(
                            "{} did not finish {what} within {} s; a software adapter shares the processor with other \
                             work: waiting up to {} s, then using shorter submits",
                            self.name(),
                            timeout.as_secs_f64(),
                            (timeout * most).as_secs_f64()
                        );
                    }
                }
                Ok(Err(refused)) => return Err(lost(refused.to_string())),
                Ok(Ok(_)) | Err(_) => {
                    if nth > 1 {
                        log::info!("{what} took {:.1} s", start.elapsed().as_secs_f64());
                    }
                    return Ok(());
                }
            }
        }
        Err(self.timed_out(what))
    }

    /// Gives up on a submit that may never end.
    fn timed_out(&self, what: &str) -> EngineError {
        // Dropping a queue waits for its work without a limit, so this one is never dropped.
        std::mem::forget(self.queue.clone());
        EngineError::Timeout {
            device: self.name(),
            what: what.into(),
            seconds: (self.options.timeout * if self.software { self.options.patience.max(1) } else { 1 })
                .as_secs_f64(),
        }
    }
}
