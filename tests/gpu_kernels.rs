//! Compares every kernel with its twin in f64, on the same memory, over random ragged populations.

use std::collections::BTreeMap;
use std::sync::Arc;

use bngpu::engine::compare::{Deviation, compare};
use bngpu::engine::cpu::CpuEngine;
use bngpu::engine::gpu::passes::passes;
use bngpu::engine::gpu::tiles::{Shape, Tile, Ways};
use bngpu::engine::gpu::work::jobs;
use bngpu::engine::gpu::{Device, GpuEngine, GpuOptions};
use bngpu::engine::{Engine, self_test};
use bngpu::population::tables::Record;
use bngpu::population::{Buffer, Loss, Member, Population, training_step};
use bngpu::spec::{Activation, Embed, Init, Network, Precision};
use bngpu::step::{Op, StepKind, plan};

use crate::common::gpu;
use crate::common::random_population::{Case, Rng, Space, plain, random_table};

/// Number of populations; each has up to five members, which differ in all settings.
const CASES: u64 = 160;

#[test]
#[ignore = "needs a GPU; scripts/test includes it"]
fn every_kernel_follows_its_twin() {
    let strict = gpu::device(gpu::strict());
    let full = gpu::device(GpuOptions { checked: true, ..GpuOptions::default() });
    let mut worst: BTreeMap<String, Deviation> = BTreeMap::new();
    let (mut members, mut embedding, mut of_sub_models, mut left_out) = (0, 0, 0, 0);
    for seed in 0..CASES {
        if !stays_finite(&Case::random(seed, &Space::TILES), 5) {
            left_out += 1;
            continue;
        }
        let mut case = Case::random(seed, &Space::TILES);
        case.population = Arc::new(case.population.watched());
        members += case.population.len();
        embedding += case.embedding();
        of_sub_models += case.of_sub_models();
        let device = if seed.is_multiple_of(2) { &strict } else { &full };
        let mut engine = GpuEngine::new(device.clone(), case.population.clone(), case.table.clone())
            .unwrap_or_else(|e| panic!("case {seed}: {e}"));
        engine.initialize().expect("initialises");
        // Runs a few steps, so that no value is still initial.
        engine.run(StepKind::Train, &case.training_steps(0, 3)).expect("runs");
        let steps = [
            (StepKind::Train, case.training_steps(3, 4)),
            (StepKind::Evaluate, case.evaluation_steps()[..case.population.len()].to_vec()),
            (StepKind::Watch, case.training_steps(4, 5)),
        ];
        for (kind, steps) in steps {
            let deviations = compare(&mut engine, &case.population, &case.table, kind, &steps)
                .unwrap_or_else(|e| panic!("case {seed}: {e}"));
            for deviation in deviations {
                let name = self_test::name(deviation.op);
                assert!(
                    deviation.worst <= 1.0,
                    "case {seed}, {:?}: {} times its bound at {}",
                    deviation.op,
                    deviation.worst,
                    deviation.detail
                );
                let entry = worst.entry(name).or_insert_with(|| deviation.clone());
                if deviation.worst > entry.worst {
                    *entry = deviation;
                }
            }
        }
    }
    eprintln!("{CASES} populations, {left_out} left out, {members} members; largest error over its bound:");
    assert!(left_out < CASES / 50, "{left_out} populations diverge in their first steps");
    // Gathering has no error bound: the bins of both engines have the same bits.
    assert!(embedding > CASES as usize, "only {embedding} of {members} members embed their features");
    assert!(of_sub_models > CASES as usize / 3, "only {of_sub_models} of {members} members have sub-models");
    for (name, deviation) in &worst {
        eprintln!("  {name:24} {:.3}", deviation.worst);
    }
    assert_eq!(worst.len(), 12, "operations compared: {:?}", worst.keys());
}

/// Whether the values of all members stay in the range of f32 for so many steps: there is nothing to compare after that.
fn stays_finite(case: &Case, steps: u64) -> bool {
    let mut engine = CpuEngine::<f32>::new(case.population.clone(), case.table.clone());
    engine.initialize().expect("initialises");
    let records = engine.run(StepKind::Train, &case.training_steps(0, steps)).expect("runs");
    records.iter().all(|record| record.first_bad == Record::FINITE)
}

/// The negative control: one corrupted element of any role is found.
#[test]
#[ignore = "needs a GPU; scripts/test includes it"]
fn a_corrupted_element_is_found() {
    struct Corrupt {
        inner: GpuEngine,
        buffer: Buffer,
    }
    impl Engine for Corrupt {
        fn info(&self) -> &bngpu::engine::EngineInfo {
            self.inner.info()
        }
        fn population(&self) -> &Arc<Population> {
            self.inner.population()
        }
        fn initialize(&mut self) -> Result<(), bngpu::engine::EngineError> {
            self.inner.initialize()
        }
        fn run(
            &mut self,
            kind: StepKind,
            steps: &[bngpu::population::tables::StepRow],
        ) -> Result<Vec<bngpu::population::tables::Record>, bngpu::engine::EngineError> {
            self.inner.run(kind, steps)
        }
        fn pace(&self, kind: StepKind) -> usize {
            self.inner.pace(kind)
        }
        fn run_op(
            &mut self,
            op: Op,
            steps: &[bngpu::population::tables::StepRow],
        ) -> Result<(), bngpu::engine::EngineError> {
            self.inner.run_op(op, steps)?;
            let mut values = self.inner.read(self.buffer)?;
            values[0] += 0.001 * (1.0 + values[0].abs());
            self.inner.write(self.buffer, &values)
        }
        fn refill(
            &mut self,
            population: &Arc<Population>,
            slots: &[usize],
        ) -> Result<(), bngpu::engine::EngineError> {
            self.inner.refill(population, slots)
        }
        fn read_regions(
            &mut self,
            regions: &[(Buffer, std::ops::Range<usize>)],
        ) -> Result<Vec<Vec<f32>>, bngpu::engine::EngineError> {
            self.inner.read_regions(regions)
        }
        fn write_region(
            &mut self,
            buffer: Buffer,
            start: usize,
            values: &[f32],
        ) -> Result<(), bngpu::engine::EngineError> {
            self.inner.write_region(buffer, start, values)
        }
    }
    let device = gpu::device(gpu::strict());
    let case = Case::random(1, &Space::of_members(2));
    let steps = case.training_steps(0, 1);
    for buffer in
        [Buffer::Params, Buffer::Grads, Buffer::Moments, Buffer::Acts, Buffer::Z, Buffer::Dz, Buffer::RowLoss]
    {
        let engine = GpuEngine::new(device.clone(), case.population.clone(), case.table.clone());
        let mut engine = Corrupt { inner: engine.expect("an engine"), buffer };
        engine.initialize().expect("initialises");
        let deviations =
            compare(&mut engine, &case.population, &case.table, StepKind::Train, &steps).expect("runs");
        for found in deviations {
            assert!(found.worst > 1.0, "{buffer:?} corrupted without being found: {found:?}");
        }
    }
}

/// A window of the data, of any size, and unchecked shaders give the same bits as resident data and checked shaders.
#[test]
#[ignore = "needs a GPU; scripts/test includes it"]
fn windows_and_unchecked_shaders_give_the_same_bits() {
    for seed in 0..12 {
        let case = Case::random(seed, &Space::TILES);
        let run = |options: GpuOptions| {
            let mut engine = gpu::engine(&case.population, &case.table, options);
            engine.initialize().expect("initialises");
            let mut records = engine.run(StepKind::Train, &case.training_steps(0, 30)).expect("trains");
            records.extend(engine.run(StepKind::Evaluate, &case.evaluation_steps()).expect("evaluates"));
            let state =
                [Buffer::Params, Buffer::Moments, Buffer::Stats].map(|b| engine.read(b).expect("reads"));
            (records, state.map(|v| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>()))
        };
        let expected = run(gpu::strict());
        for data_memory in [0, 10_000, 1 << 30] {
            let options =
                GpuOptions { checked: false, data_memory: Some(data_memory), ..GpuOptions::default() };
            assert!(run(options) == expected, "case {seed}, {data_memory} bytes of data memory");
        }
    }
}

/// All tiles and all fusions of operations give the same bits.
#[test]
#[ignore = "needs a GPU; scripts/test includes it"]
fn all_ways_give_the_same_bits() {
    let options = GpuOptions { checked: true, ..GpuOptions::default() };
    let device = gpu::device(options);
    let tiles = |shape: Shape| Tile::candidates(shape, &device.can);
    let mut ways = vec![device.ways, device.ways.separate()];
    for (fused_rows, fused_weights) in [(0, 0), (usize::MAX, usize::MAX), (40, 900)] {
        let either = Ways { fused_rows, fused_weights, ..device.ways };
        ways.extend(tiles(Shape::Product).into_iter().map(|product| Ways { product, ..either }));
        ways.extend(tiles(Shape::Features).into_iter().map(|features| Ways { features, ..either }));
        ways.extend(tiles(Shape::Output).into_iter().map(|output| Ways { output, ..either }));
        ways.extend(tiles(Shape::Block).into_iter().map(|block| Ways { block, ..either }));
    }
    let devices: Vec<Arc<Device>> =
        ways.iter().map(|&ways| gpu::device(GpuOptions { ways: Some(ways), ..options })).collect();
    for seed in 0..8 {
        let case = Case::random(seed, &Space::TILES);
        let run = |device: &Arc<Device>| {
            let mut engine = GpuEngine::new(device.clone(), case.population.clone(), case.table.clone())
                .unwrap_or_else(|e| panic!("case {seed}: {e}"));
            engine.initialize().expect("initialises");
            let mut records = engine.run(StepKind::Train, &case.training_steps(0, 4)).expect("runs");
            records.extend(engine.run(StepKind::Evaluate, &case.evaluation_steps()).expect("runs"));
            let roles = [Buffer::Params, Buffer::Moments, Buffer::Stats, Buffer::RowLoss, Buffer::State];
            let bits = |role| -> Vec<u32> {
                engine.read(role).expect("reads").iter().map(|v: &f32| v.to_bits()).collect()
            };
            (records, roles.map(bits))
        };
        let expected = run(&devices[0]);
        for (device, ways) in devices.iter().zip(&ways).skip(1) {
            assert!(run(device) == expected, "case {seed}: different bits with {ways:?}");
        }
    }
    eprintln!("{} ways agree", ways.len());
}

/// Products in half precision follow their twin within the stated bound, with the same bits for all tiles; a device
/// without them reports an error.
#[test]
#[ignore = "needs a GPU; scripts/test includes it"]
fn half_precision_follows_its_twin() {
    let adapter = gpu::adapter();
    let options = GpuOptions { checked: true, precision: Precision::F16, ..GpuOptions::default() };
    let usual = match Device::open(&adapter, options) {
        Ok(device) => Arc::new(device),
        Err(error) => {
            assert!(error.to_string().contains("cooperative matrices"), "{error}");
            eprintln!("left out: {error}");
            return;
        }
    };
    let tiles = Tile::candidates(Shape::Product, &usual.can);
    let devices: Vec<Arc<Device>> = tiles
        .into_iter()
        .map(|product| Ways { product, ..usual.ways })
        .map(|ways| gpu::device(GpuOptions { ways: Some(ways), ..options }))
        .collect();
    let (mut worst, mut close) = (0.0f64, 0.0f64);
    for seed in 0..60 {
        let case = Case::random(seed, &Space::TILES);
        let make = |device: &Arc<Device>| {
            GpuEngine::new(device.clone(), case.population.clone(), case.table.clone()).expect("an engine")
        };
        let run = |device: &Arc<Device>| {
            let mut engine = make(device);
            engine.initialize().expect("initialises");
            let records = engine.run(StepKind::Train, &case.training_steps(0, 3)).expect("runs");
            let params = engine.read(Buffer::Params).expect("reads");
            (records, params.iter().map(|v| v.to_bits()).collect::<Vec<_>>(), engine)
        };
        let (records, bits, mut engine) = run(&devices[0]);
        for other in &devices[1..] {
            let (other_records, other_bits, _) = run(other);
            assert!(other_records == records && other_bits == bits, "case {seed}: {:?}", other.ways);
        }
        let steps = case.training_steps(3, 4);
        for d in compare(&mut engine, &case.population, &case.table, StepKind::Train, &steps).expect("runs") {
            assert!(d.worst <= 1.0, "case {seed}, {:?}: {} times its bound at {}", d.op, d.worst, d.detail);
            worst = worst.max(if matches!(d.op, Op::Matmul { .. }) { d.worst } else { 0.0 });
        }
        // The same steps in single precision must give different bits, or half precision was not used.
        let single = gpu::device(GpuOptions { checked: true, ..GpuOptions::default() });
        let (single, _, _) = run(&single);
        let differs = |(a, b): (&Record, &Record)| f64::from((a.loss - b.loss).abs() / (1.0 + b.loss.abs()));
        close = records.iter().zip(&single).map(differs).filter(|d| d.is_finite()).fold(close, f64::max);
    }
    eprintln!("products {worst:.3} of their bound; losses {close:.1e} from single precision after 3 steps");
    assert!(close > 0.0 && close < 1e-3, "{close}");
}

/// Work lists longer than a dimension of the grid are folded into rows, and the last row is rarely full: every kernel
/// follows its twin, and gives the same bits as an unfolded grid.
#[test]
#[ignore = "needs a GPU; scripts/test includes it"]
fn folded_grids_leave_nothing_out() {
    let device = |max_workgroups| gpu::device(GpuOptions { max_workgroups, ..gpu::strict() });
    let [folded, unfolded] = [Some(12), None].map(device);
    let mut longest = 0;
    // Lists of at most 12 x 12 workgroups.
    let space = Space { members: (1, 2), widths: &[1, 15, 16, 17, 33, 64, 65, 129], ..Space::TILES };
    for seed in 0..30 {
        let case = Case::random(seed, &space);
        let ops: Vec<Op> = StepKind::ALL.iter().flat_map(|&kind| plan(&case.population, kind)).collect();
        let longest_of = |ways: &Ways| {
            let all = passes(&ops)
                .into_iter()
                .map(|pass| jobs(&case.population, StepKind::Evaluate, pass, ways).len());
            all.max().unwrap_or(0).max(case.population.sizes[Buffer::Partials as usize])
        };
        let most = longest_of(&folded.ways);
        let make = |device: &Arc<Device>| {
            GpuEngine::new(device.clone(), case.population.clone(), case.table.clone())
        };
        let made = make(&folded);
        if most > 144 {
            let error = made.map(drop).expect_err("more than fits").to_string();
            assert!(error.contains("12 x 12"), "case {seed}: {error}");
            continue;
        }
        let (Ok(mut engine), Ok(mut plain)) = (made, make(&unfolded)) else {
            panic!("case {seed}: no engine")
        };
        longest = longest.max(most);
        let mut bits = [&mut engine, &mut plain].map(|engine| {
            engine.initialize().expect("initialises");
            let records = engine.run(StepKind::Train, &case.training_steps(0, 3)).expect("runs");
            let params = engine.read(Buffer::Params).expect("reads");
            (records, params.iter().map(|v| v.to_bits()).collect::<Vec<_>>())
        });
        let (found, expected) = bits.split_at_mut(1);
        assert!(found == expected, "case {seed}: different bits than unfolded");
        if longest_of(&folded.ways.separate()) > 144 {
            continue;
        }
        for (kind, steps) in [
            (StepKind::Train, case.training_steps(3, 4)),
            (StepKind::Evaluate, case.evaluation_steps()[..case.population.len()].to_vec()),
        ] {
            let deviations = compare(&mut engine, &case.population, &case.table, kind, &steps).expect("runs");
            for d in deviations {
                assert!(
                    d.worst <= 1.0,
                    "case {seed}, {:?}: {} times its bound at {}",
                    d.op,
                    d.worst,
                    d.detail
                );
            }
        }
    }
    eprintln!("work lists of up to {longest} in grids 12 wide");
    assert!(longest > 100, "{longest}");
}

/// Layers of more than a million weights use other ways on software adapters, with the same bits.
#[test]
#[ignore = "needs a GPU; scripts/test includes it"]
fn large_layers_give_the_same_bits() {
    let options = GpuOptions::default();
    let device = gpu::device(options);
    let loss = Loss::CrossEntropy { classes: 3 };
    let network = Network {
        embed: Embed::None,
        sub_models: 1,
        hidden: vec![1025],
        activation: Activation::Relu,
        batch_norm: None,
        dropout: 0.0,
        init: Init::He,
    };
    let table = Arc::new(random_table(&mut Rng(1), 1024, 40, loss, false));
    let member = Member::new(&plain(network, 8), loss, 1024, 40).expect("a step is possible");
    let population = Arc::new(Population::new(vec![member]));
    let run = |ways: Option<Ways>| {
        let device = gpu::device(GpuOptions { ways, ..options });
        let mut engine = GpuEngine::new(device, population.clone(), table.clone()).expect("an engine");
        engine.initialize().expect("initialises");
        let training = &population.members[0];
        let steps: Vec<_> =
            (0..3).map(|s| training_step(&training.training, &training.walk, s, 100)).collect();
        let records = engine.run(StepKind::Train, &steps).expect("runs");
        let params: Vec<u32> =
            engine.read(Buffer::Params).expect("reads").iter().map(|v| v.to_bits()).collect();
        (engine.dispatches(StepKind::Train), records, params)
    };
    let (usual, together) = (run(None), run(Some(Ways { fused_weights: usize::MAX, ..device.ways })));
    assert!(usual.1 == together.1 && usual.2 == together.2, "other bits");
    assert!(usual.0 > together.0, "{} and {} dispatches", usual.0, together.0);
}

/// A software adapter silently stops long loops, so members that need too many iterations are refused.
#[test]
#[ignore = "needs a GPU; scripts/test includes it"]
fn too_long_loops_are_refused_on_software_adapters() {
    let device = gpu::device(GpuOptions::default());
    if !device.software {
        eprintln!("left out: the adapter is hardware");
        return;
    }
    let loss = Loss::CrossEntropy { classes: 2 };
    let network = |width| Network {
        embed: Embed::None,
        sub_models: 1,
        hidden: vec![width],
        activation: Activation::Relu,
        batch_norm: None,
        dropout: 0.0,
        init: Init::He,
    };
    let table = Arc::new(random_table(&mut Rng(1), 8, 2, loss, false));
    for (width, runs) in [(1000, true), (60_000, false)] {
        let member = Member::new(&plain(network(width), 8), loss, 2, 8).expect("a step is possible");
        let population = Arc::new(Population::new(vec![member]));
        match GpuEngine::new(device.clone(), population, table.clone()) {
            Ok(_) => assert!(runs, "{width} units"),
            Err(error) => assert!(!runs && error.to_string().contains("loop iterations"), "{width}: {error}"),
        }
    }
}
