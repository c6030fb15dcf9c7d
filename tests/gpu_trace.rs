//! A trace is self-contained: a minimal player repeats it on a new device, from the file alone.

use std::collections::BTreeMap;
use std::sync::Arc;

use bngpu::engine::gpu::trace::{NOW, Part, Recorder, Trace, TracedKernel};
use bngpu::engine::gpu::{Device, GpuEngine, GpuOptions};
use bngpu::engine::{Engine, self_test};
use bngpu::population::tables::StepRow;
use bngpu::population::{Buffer, evaluation_step, training_step};
use bngpu::step::StepKind;

use crate::common::gpu;

/// Runs initialisation, two steps of training in one submit, an evaluation and a watched step; `record` records them.
fn run(device: &Arc<Device>, case: u32, record: bool) -> (Option<Trace>, Vec<Vec<u32>>) {
    let (population, table) = self_test::population(case);
    let steps = |s: u64| population.members.iter().map(move |m| training_step(&m.training, &m.walk, s, 100));
    let train: Vec<StepRow> = (0..2).flat_map(steps).collect();
    let evaluate = vec![evaluation_step(7, table.rows() - 7); population.len()];
    let watch: Vec<StepRow> = steps(2).collect();
    let all = [(StepKind::Train, train), (StepKind::Evaluate, evaluate), (StepKind::Watch, watch)];
    let mut engine = GpuEngine::new(device.clone(), population.clone(), table).expect("an engine");
    let mut trace = None;
    if record {
        let mut recorder = Recorder::new(&mut engine);
        recorder.initialize().expect("initialises");
        all.iter().for_each(|(kind, steps)| recorder.run(*kind, steps).expect("runs"));
        let mut file = Vec::new();
        recorder.finish().write(&mut file).expect("writes");
        trace = Some(Trace::read(file.as_slice()).expect("reads"));
    } else {
        engine.initialize().expect("initialises");
        for (kind, steps) in &all {
            engine.run(*kind, steps).expect("runs");
        }
    }
    let bits = |role| engine.read(role).expect("reads").iter().map(|v: &f32| v.to_bits()).collect();
    (trace, Buffer::ALL.map(bits).to_vec())
}

/// The pipelines of a trace's kernels on a device.
struct Player<'a> {
    device: &'a Device,
    pipelines: Vec<wgpu::ComputePipeline>,
}

impl<'a> Player<'a> {
    fn new(device: &'a Device, trace: &Trace) -> Player<'a> {
        let pipelines = trace.header.kernels.iter().map(|kernel| Player::compile(device, kernel)).collect();
        Player { device, pipelines }
    }

    fn compile(device: &Device, kernel: &TracedKernel) -> wgpu::ComputePipeline {
        let wgsl = kernel.wgsl.strip_prefix("enable subgroups;\n").unwrap_or(&kernel.wgsl);
        let constants: Vec<(&str, f64)> = kernel.constants.iter().map(|(n, &v)| (n.as_str(), v)).collect();
        let entry = |(at, kind): (usize, &String)| wgpu::BindGroupLayoutEntry {
            binding: at as u32,
            visibility: wgpu::ShaderStages::COMPUTE,
            ty: wgpu::BindingType::Buffer {
                ty: wgpu::BufferBindingType::Storage { read_only: kind == "read-only-storage" },
                has_dynamic_offset: false,
                min_binding_size: None,
            },
            count: None,
        };
        let entries: Vec<_> = kernel.bindings.iter().enumerate().map(entry).collect();
        let raw = &device.device;
        let made = device.scoped(&kernel.name, || {
            let own = raw.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor {
                label: None,
                entries: &entries,
            });
            let layout = raw.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label: None,
                bind_group_layouts: &[Some(&device.now_layout), Some(&own)],
                immediate_size: 0,
            });
            let module = raw.create_shader_module(wgpu::ShaderModuleDescriptor {
                label: None,
                source: wgpu::ShaderSource::Wgsl(wgsl.into()),
            });
            raw.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: None,
                layout: Some(&layout),
                module: &module,
                entry_point: Some("main"),
                compilation_options: wgpu::PipelineCompilationOptions {
                    constants: &constants,
                    ..Default::default()
                },
                cache: None,
            })
        });
        made.unwrap_or_else(|e| panic!("{e}"))
    }

    /// Plays a part in one submit and returns the names of the buffers that differ.
    fn differing<'t>(&self, trace: &'t Trace, part: &Part) -> Vec<&'t str> {
        let (raw, header) = (&self.device.device, &trace.header);
        let buffers: Vec<wgpu::Buffer> = header
            .buffers
            .iter()
            .zip(&part.before)
            .enumerate()
            .map(|(at, (buffer, &before))| {
                let kind = if at == NOW { wgpu::BufferUsages::UNIFORM } else { wgpu::BufferUsages::STORAGE };
                let made = raw.create_buffer(&wgpu::BufferDescriptor {
                    label: None,
                    size: buffer.size,
                    usage: kind | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST,
                    mapped_at_creation: false,
                });
                self.device.queue.write_buffer(&made, 0, trace.contents(at, before));
                made
            })
            .collect();
        let part_of = |buffer: usize, offset, size| {
            let size = wgpu::BufferSize::new(size);
            wgpu::BindingResource::Buffer(wgpu::BufferBinding { buffer: &buffers[buffer], offset, size })
        };
        let group = |layout: &wgpu::BindGroupLayout, entries: &[wgpu::BindGroupEntry]| {
            raw.create_bind_group(&wgpu::BindGroupDescriptor { label: None, layout, entries })
        };
        let now = [wgpu::BindGroupEntry { binding: 0, resource: part_of(NOW, 0, 16) }];
        let now = group(&self.device.now_layout, &now);
        let mut expected: BTreeMap<usize, u64> = part.before.iter().copied().enumerate().collect();
        let mut encoder = raw.create_command_encoder(&Default::default());
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            for dispatch in &part.dispatches {
                let pipeline = &self.pipelines[dispatch.kernel];
                let bound = dispatch.bindings.iter().map(|b| part_of(b.buffer, b.offset, b.size)).enumerate();
                let entries: Vec<_> = bound
                    .map(|(at, resource)| wgpu::BindGroupEntry { binding: at as u32, resource })
                    .collect();
                pass.set_pipeline(pipeline);
                pass.set_bind_group(0, &now, &[dispatch.now]);
                pass.set_bind_group(1, &group(&pipeline.get_bind_group_layout(1), &entries), &[]);
                pass.dispatch_workgroups(dispatch.grid[0], dispatch.grid[1], 1);
                expected.extend(dispatch.after.iter().map(|contents| (contents.buffer, contents.at)));
            }
        }
        self.device.queue.submit([encoder.finish()]);
        let differs = |&(&buffer, &at): &(&usize, &u64)| {
            let size = header.buffers[buffer].size;
            let staging = self.device.staging("a buffer", size).expect("memory");
            let mut encoder = raw.create_command_encoder(&Default::default());
            encoder.copy_buffer_to_buffer(&buffers[buffer], 0, &staging, 0, size);
            let same = |found: &[u8]| found == trace.contents(buffer, at);
            !self.device.submit_and_read(encoder.finish(), &staging, size, "a part", same).expect("reads")
        };
        expected.iter().filter(differs).map(|(&at, _)| header.buffers[at].name.as_str()).collect()
    }
}

/// The default limits of WebGPU, and the full limits of the test adapter.
fn options() -> [GpuOptions; 2] {
    [gpu::strict(), GpuOptions { checked: true, ..GpuOptions::default() }]
}

#[test]
#[ignore = "needs a GPU; scripts/test includes it"]
fn a_new_device_repeats_a_trace_bit_for_bit() {
    for (options, case) in options().into_iter().zip([0, 1]) {
        let device = gpu::device(options);
        let (trace, recorded) = run(&device, case, true);
        let (_, ordinary) = run(&device, case, false);
        assert!(recorded == ordinary, "case {case}: recording changes what the steps compute");

        let trace = trace.expect("a trace");
        let fresh = gpu::device(options);
        let mut player = Player::new(&fresh, &trace);
        let names: Vec<&str> = trace.header.parts.iter().map(|part| part.name.as_str()).collect();
        assert_eq!(names, ["initialize", "train", "evaluate", "watch"]);
        for part in &trace.header.parts {
            assert_eq!(player.differing(&trace, part), [""; 0], "case {case}, {}", part.name);
            let mut written = part.dispatches.iter().flat_map(|dispatch| &dispatch.after);
            assert!(written.any(|c| c.at != part.before[c.buffer]), "{} changes nothing", part.name);
        }
        if case == 0 {
            changes_are_found(&mut player, trace);
        }
    }
}

/// The negative control: a changed weight and a changed constant are detected.
fn changes_are_found(player: &mut Player, mut trace: Trace) {
    let train = trace.header.parts[1].clone();
    let params = trace.header.buffers.iter().position(|b| b.name == "the parameters").expect("a role");
    let weight = train.before[params] as usize;
    trace.blobs[weight + 2] ^= 0x40;
    assert!(player.differing(&trace, &train).contains(&"a batch's Z"), "a changed weight is not detected");
    trace.blobs[weight + 2] ^= 0x40;
    assert_eq!(player.differing(&trace, &train), [""; 0]);

    let record = trace.header.kernels.iter().position(|k| k.name == "record training").expect("a kernel");
    *trace.header.kernels[record].constants.get_mut("TRAIN").expect("a constant") = 0.0;
    player.pipelines[record] = Player::compile(player.device, &trace.header.kernels[record]);
    assert!(player.differing(&trace, &train).contains(&"the records"), "a changed constant is not detected");
}
