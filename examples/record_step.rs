//! Records steps of a small population for `portability/replay.mjs`:
//! `cargo run --example record_step -- FILE [workgroup|separate|bindings|subgroup] [CASE]`.
//!
//! - `workgroup` uses tiles in workgroup memory and the default limits of WebGPU, as in any browser;
//! - `separate` is the same with a kernel for each operation;
//! - `bindings` uses the same tiles and as many storage buffers as the adapter allows, so more operations are fused;
//! - `subgroup` uses tiles in the registers of a subgroup, if the adapter has subgroups of one size only.
//!
//! CASE, 0 to 5, is a population of `bngpu devices --self-test`. The adapter is the first one that wgpu finds.

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::sync::Arc;

use bngpu::engine::gpu::tiles::{Shape, Tile, Ways};
use bngpu::engine::gpu::trace::Recorder;
use bngpu::engine::gpu::{Device, GpuEngine, GpuOptions, adapters};
use bngpu::engine::{Engine, self_test};
use bngpu::population::tables::StepRow;
use bngpu::population::{evaluation_step, training_step};
use bngpu::step::StepKind;

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let path = args.next().ok_or("usage: record_step FILE [workgroup|separate|bindings|subgroup] [CASE]")?;
    let layout = args.next().unwrap_or_else(|| "workgroup".into());
    let case = args.next().map_or(Ok(0), |case| case.parse())?;
    let (_, adapter) = adapters::list()?.into_iter().next().ok_or("no adapter")?;
    let default_limits = match layout.as_str() {
        "workgroup" | "separate" => true,
        "bindings" | "subgroup" => false,
        other => return Err(format!("unknown layout: {other}").into()),
    };
    let options = GpuOptions { default_limits, ..GpuOptions::default() };
    let can = Device::open(&adapter, options)?.can;
    // The usual tiles come first; those of subgroups come after those of workgroups.
    let tile = |shape: Shape| {
        let without = Tile::candidates(shape, &Default::default());
        let at = if layout == "subgroup" { without.len() } else { 0 };
        Tile::candidates(shape, &can).get(at).copied().ok_or("the adapter has no subgroups of one size")
    };
    let ways = Ways {
        product: tile(Shape::Product)?,
        features: tile(Shape::Features)?,
        output: tile(Shape::Output)?,
        block: tile(Shape::Block)?,
        ..Ways::usual(&can)
    };
    let ways = if layout == "separate" { ways.separate() } else { ways };
    let device = Arc::new(Device::open(&adapter, GpuOptions { ways: Some(ways), ..options })?);

    let (population, table) = self_test::population(case);
    let steps = |s: u64| population.members.iter().map(move |m| training_step(&m.training, &m.walk, s, 100));
    let evaluation: Vec<_> =
        population.members.iter().map(|_| evaluation_step(7, table.rows() - 7)).collect();
    let mut engine = GpuEngine::new(device, population.clone(), table)?;
    let mut recorder = Recorder::new(&mut engine);
    recorder.initialize()?;
    let some: Vec<StepRow> = (0..3).flat_map(steps).collect();
    recorder.engine().run(StepKind::Train, &some)?;
    // Two steps of one submit; the first member is idle in the second.
    let mut two: Vec<StepRow> = (3..5).flat_map(steps).collect();
    two[population.len()] = StepRow::IDLE;
    recorder.run(StepKind::Train, &two)?;
    recorder.run(StepKind::Evaluate, &evaluation)?;
    recorder.run(StepKind::Watch, &steps(5).collect::<Vec<_>>())?;

    let trace = recorder.finish();
    let mut file = BufWriter::new(File::create(&path)?);
    trace.write(&mut file)?;
    file.flush()?;
    let dispatches: usize = trace.header.parts.iter().map(|part| part.dispatches.len()).sum();
    println!("{}: {dispatches} dispatches of {} kernels", trace.header.device, trace.header.kernels.len());
    Ok(())
}
