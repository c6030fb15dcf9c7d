//! Operations that are ready to be recorded: pipeline, bind group, work list, grid.

use crate::engine::EngineError;

use super::shaders::{Binding, KERNELS};
use super::window::DataWindow;
use super::{Device, Shared, work};

/// One operation, ready to be recorded.
pub struct Dispatch {
    pub pipeline: wgpu::ComputePipeline,
    pub bind_group: wgpu::BindGroup,
    pub place: work::Place,
    /// None where there is nothing to do.
    pub grid: Option<(u32, u32)>,
}

/// A dispatch of a kernel, with nothing to do yet.
pub(super) fn dispatch(
    device: &Device,
    kernel: usize,
    shared: &Shared,
    roles: &[wgpu::Buffer],
    data: &DataWindow,
    place: work::Place,
) -> Result<Dispatch, EngineError> {
    let pipeline = device.pipeline(kernel)?.clone();
    let kernel_info = &KERNELS[kernel];
    let entries: Vec<_> = kernel_info
        .bindings
        .iter()
        .enumerate()
        .map(|(at, binding)| {
            let resource = match binding {
                Binding::Layers => shared.layers.as_entire_binding(),
                Binding::Steps => shared.steps.as_entire_binding(),
                Binding::Work => wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                    buffer: &shared.work,
                    offset: place.offset,
                    size: wgpu::BufferSize::new(place.bytes()),
                }),
                Binding::Data => data.values.as_entire_binding(),
                Binding::Scaling => data.scaling.as_entire_binding(),
                Binding::Targets => data.targets.as_entire_binding(),
                Binding::Records => shared.records.as_entire_binding(),
                Binding::Read(role) | Binding::Write(role) => roles[*role as usize].as_entire_binding(),
            };
            wgpu::BindGroupEntry { binding: at as u32, resource }
        })
        .collect();
    let bind_group = device.scoped(kernel_info.name, || {
        device.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(kernel_info.name),
            layout: &pipeline.get_bind_group_layout(1),
            entries: &entries,
        })
    })?;
    Ok(Dispatch { pipeline, bind_group, place, grid: None })
}

/// Writes the work list of a dispatch.
pub(super) fn list(
    device: &Device,
    work: &wgpu::Buffer,
    dispatch: &mut Dispatch,
    jobs: &[work::Job],
) -> Result<(), EngineError> {
    let place = dispatch.place;
    debug_assert!(jobs.len() <= place.capacity, "{} jobs where {} fit", jobs.len(), place.capacity);
    dispatch.grid = if jobs.is_empty() { None } else { Some(fold(device, jobs.len())?) };
    device.queue.write_buffer(work, place.offset, bytemuck::bytes_of(&[jobs.len() as u32, 0, 0, 0]));
    let first = place.offset + size_of::<work::Job>() as u64;
    device.queue.write_buffer(work, first, bytemuck::cast_slice(jobs));
    Ok(())
}

/// A grid of at least `jobs` workgroups, and of less than one row more, within the device's limit for each dimension.
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
