//! Dispatches of a step: pipeline, bind group, work list, grid.

use crate::engine::EngineError;

use super::kernels::{Binding, Kernel};
use super::tiles::Ways;
use super::window::DataWindow;
use super::work::WorkList;
use super::{Device, EngineBuffers, work};

/// One dispatch of a step.
pub struct Dispatch {
    pub kernel: Kernel,
    pub list: WorkList,
    /// Made when it first has work.
    ready: Option<Ready>,
    /// None without work.
    pub grid: Option<(u32, u32)>,
}

/// The pass and bind group that a dispatch is recorded with.
struct Ready {
    pipeline: wgpu::ComputePipeline,
    bind_group: wgpu::BindGroup,
}

impl Dispatch {
    /// A dispatch of a kernel, without work yet.
    pub(super) fn new(kernel: Kernel, list: WorkList) -> Dispatch {
        Dispatch { kernel, list, ready: None, grid: None }
    }

    /// Records the dispatch if it has work.
    pub(super) fn record(&self, pass: &mut wgpu::ComputePass) {
        let (Some((columns, rows)), Some(ready)) = (self.grid, &self.ready) else { return };
        pass.set_pipeline(&ready.pipeline);
        pass.set_bind_group(1, &ready.bind_group, &[]);
        pass.dispatch_workgroups(columns, rows, 1);
    }

    /// Writes the work list.
    pub(super) fn write_jobs(&mut self, sources: &Sources, jobs: &[work::Job]) -> Result<(), EngineError> {
        let (device, list) = (sources.device, self.list);
        debug_assert!(jobs.len() <= list.capacity, "{} jobs where {} fit", jobs.len(), list.capacity);
        if jobs.is_empty() {
            self.grid = None;
            return Ok(());
        }
        if self.ready.is_none() {
            self.ready = Some(sources.ready(self.kernel, list)?);
        }
        self.grid = Some(fold(device, jobs.len())?);
        device.queue.write_buffer(
            sources.work,
            list.offset,
            bytemuck::bytes_of(&[jobs.len() as u32, 0, 0, 0]),
        );
        let first = list.offset + size_of::<work::Job>() as u64;
        device.queue.write_buffer(sources.work, first, bytemuck::cast_slice(jobs));
        Ok(())
    }
}

/// The buffers that kernels bind.
pub(super) struct Sources<'a> {
    pub device: &'a Device,
    pub ways: &'a Ways,
    pub buffers: &'a EngineBuffers,
    pub work: &'a wgpu::Buffer,
    pub roles: &'a [wgpu::Buffer],
    pub data: &'a DataWindow,
}

impl Sources<'_> {
    fn ready(&self, kernel: Kernel, list: WorkList) -> Result<Ready, EngineError> {
        let pipeline = self.device.pipeline(kernel, self.ways)?;
        let kernel = kernel.definition();
        let entries: Vec<_> = kernel
            .bindings
            .iter()
            .enumerate()
            .map(|(at, &binding)| {
                let resource = wgpu::BindingResource::Buffer(self.bound(binding, list));
                wgpu::BindGroupEntry { binding: at as u32, resource }
            })
            .collect();
        let bind_group = self.device.scoped(kernel.name, || {
            self.device.device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some(kernel.name),
                layout: &pipeline.get_bind_group_layout(1),
                entries: &entries,
            })
        })?;
        Ok(Ready { pipeline, bind_group })
    }

    /// The part of a buffer that a dispatch binds.
    pub(super) fn bound(&self, binding: Binding, list: WorkList) -> wgpu::BufferBinding<'_> {
        let (buffers, data) = (self.buffers, self.data);
        let (buffer, offset, size) = match binding {
            Binding::Layers => (&buffers.layers, 0, None),
            Binding::Steps => (&buffers.steps, 0, None),
            Binding::Work => (self.work, list.offset, wgpu::BufferSize::new(list.bytes())),
            Binding::Data => (&data.values, 0, None),
            Binding::Scaling => (&data.scaling, 0, None),
            Binding::Targets => (&data.targets, 0, None),
            Binding::Records => (&buffers.records, 0, None),
            Binding::Read(role) | Binding::Write(role) => (&self.roles[role as usize], 0, None),
        };
        wgpu::BufferBinding { buffer, offset, size }
    }
}

/// A grid of at least `jobs` workgroups, less than one row in excess, within the device's limit for each dimension.
pub(super) fn fold(device: &Device, jobs: usize) -> Result<(u32, u32), EngineError> {
    let allowed = device.limits.max_compute_workgroups_per_dimension;
    let widest = device.options.max_workgroups.map_or(allowed, |most| most.clamp(1, allowed)) as usize;
    let rows = jobs.div_ceil(widest);
    if rows > widest {
        return Err(EngineError::Unsupported {
            device: device.name(),
            what: format!("{jobs} workgroups are more than {widest} x {widest}; use fewer or smaller models"),
        });
    }
    Ok((jobs.div_ceil(rows) as u32, rows as u32))
}
