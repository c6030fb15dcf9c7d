//! Measures the device's peak rates by `shaders/ceiling.wgsl`.

use std::time::Instant;

use super::Device;
use super::constants::ceiling::{LANES, Mode, TURNS, VECTORS};
use super::shaders::ceiling;
use crate::engine::Ceilings;
use crate::engine::EngineError;

/// Operations per invocation and unit of work.
const FLOPS: f64 = 2.0 * 4.0 * VECTORS as f64 * TURNS as f64;

/// Target seconds of a measurement.
const ENOUGH: f64 = 0.1;

/// Measures the ceilings, best of a few.
///
/// # Errors
/// Any error of the device.
pub(super) fn measure(device: &Device) -> Result<Ceilings, EngineError> {
    let limit = device.limits.max_storage_buffer_binding_size.min(64 << 20);
    let lanes = u64::from(LANES);
    let groups = (limit / 4 / lanes).min(device.limits.max_compute_workgroups_per_dimension as u64);
    let bytes = 4 * lanes * groups;
    let (source, sink) = (device.storage("a source", bytes)?, device.storage("a copy", bytes)?);
    device.write(&source, 0, bytemuck::bytes_of(&[0.999_999f32, 1e-6]))?;
    let staging = device.staging("a copy", 4)?;
    let time = |mode: Mode, groups: u64| -> Result<f64, EngineError> {
        let pipeline = device.scoped("a ceiling", || {
            let module = device.device.create_shader_module(wgpu::ShaderModuleDescriptor {
                label: Some("ceiling"),
                source: wgpu::ShaderSource::Wgsl(ceiling().into()),
            });
            device.device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some("ceiling"),
                layout: None,
                module: &module,
                entry_point: Some("main"),
                compilation_options: wgpu::PipelineCompilationOptions {
                    constants: &[("MODE", f64::from(mode as u32))],
                    zero_initialize_workgroup_memory: false,
                },
                cache: None,
            })
        })?;
        let layout = pipeline.get_bind_group_layout(0);
        // All modes bind both buffers, as they share a layout.
        let group = device.scoped("a ceiling", || {
            device.device.create_bind_group(&wgpu::BindGroupDescriptor {
                label: Some("ceiling"),
                layout: &layout,
                entries: &[
                    wgpu::BindGroupEntry { binding: 0, resource: source.as_entire_binding() },
                    wgpu::BindGroupEntry { binding: 1, resource: sink.as_entire_binding() },
                ],
            })
        })?;
        let run = |times: u32| -> Result<f64, EngineError> {
            let start = Instant::now();
            let mut encoder = device.device.create_command_encoder(&Default::default());
            {
                let mut pass = encoder.begin_compute_pass(&Default::default());
                pass.set_pipeline(&pipeline);
                pass.set_bind_group(0, &group, &[]);
                (0..times).for_each(|_| pass.dispatch_workgroups(groups as u32, 1, 1));
            }
            encoder.copy_buffer_to_buffer(&sink, 0, &staging, 0, 4);
            device.submit_and_read(encoder.finish(), &staging, 4, "a ceiling", |_| ())?;
            Ok(start.elapsed().as_secs_f64())
        };
        let mut times = 1;
        while run(times)? < ENOUGH && times < 1 << 16 {
            times *= 2;
        }
        let mut best = f64::INFINITY;
        for _ in 0..3 {
            best = best.min(run(times)? / times as f64);
        }
        Ok(best)
    };
    let work = groups.min(1 << 12);
    Ok(Ceilings {
        flops: FLOPS * (lanes * work) as f64 / time(Mode::MultiplyAdd, work)?,
        bytes: 2.0 * bytes as f64 / time(Mode::Copy, groups)?,
        dispatch_s: time(Mode::Nothing, 1)?,
    })
}
