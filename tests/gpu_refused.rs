//! A device refuses kernels: the engine uses another layout with the same bits, then separate kernels, then, for
//! `--device auto`, another device. A named device that cannot be used is an error.

use std::sync::{Arc, OnceLock};

use bngpu::engine::gpu::adapters::{
    self, AdapterFeatures, AdapterKind, AdapterLimits, AdapterSummary, Backend,
};
use bngpu::engine::gpu::tiles::{Abilities, Shape, Tile, Ways};
use bngpu::engine::gpu::{GpuEngine, GpuOptions};
use bngpu::engine::{DeviceSource, lanes};
use bngpu::engine::{Engine, EngineError, EngineFactory, EngineInfo};
use bngpu::population::tables::Record;
use bngpu::population::{Buffer, Member, Population};
use bngpu::step::{StepKind, plan};
use bngpu::train::TrainError;

use crate::common::random_population::{Case, Space};
use crate::common::training::{EAGER, assert_same, digits, factory, train, training};
use crate::common::{gpu, refill};

/// The ways of the test device, for the functions that refuse some of them.
static STRICT: OnceLock<Ways> = OnceLock::new();
static FULL: OnceLock<Ways> = OnceLock::new();

/// The usual tile of every shape.
fn tiles_of(ways: &OnceLock<Ways>, tile: Option<Tile>) -> bool {
    ways.get().is_some_and(|ways| [ways.product, ways.features, ways.block].map(Some).contains(&tile))
}

fn all_tiles_of_features(_: &str, tile: Option<Tile>) -> bool {
    let all = Tile::candidates(Shape::Features, &Abilities::default());
    tile.is_some_and(|tile| all.contains(&tile))
}

fn usual_tiles_of_full(_: &str, tile: Option<Tile>) -> bool {
    tiles_of(&FULL, tile)
}

fn usual_product_of_strict(_: &str, tile: Option<Tile>) -> bool {
    STRICT.get().is_some_and(|ways| tile == Some(ways.product))
}

fn fused(kernel: &str, _: Option<Tile>) -> bool {
    ["hidden", "hidden inference", "hidden backward", "output", "descent"].contains(&kernel)
}

fn hidden(kernel: &str, _: Option<Tile>) -> bool {
    kernel == "hidden"
}

fn loss(kernel: &str, _: Option<Tile>) -> bool {
    kernel == "loss"
}

fn everything(_: &str, _: Option<Tile>) -> bool {
    true
}

/// Some steps, an evaluation, and one step operation by operation, on an engine of its own device.
fn run(case: &Case, options: GpuOptions) -> (Vec<Record>, Vec<Vec<u32>>, EngineInfo) {
    let device = gpu::device(options);
    let mut engine = GpuEngine::new(device, case.population.clone(), case.table.clone()).expect("an engine");
    engine.initialize().expect("initialises");
    let mut records = engine.run(StepKind::Train, &case.training_steps(0, 4)).expect("trains");
    records.extend(engine.run(StepKind::Evaluate, &case.evaluation_steps()).expect("evaluates"));
    for op in plan(&case.population, StepKind::Train) {
        engine.run_op(op, &case.training_steps(4, 5)).unwrap_or_else(|e| panic!("{op:?}: {e}"));
    }
    let roles = [Buffer::Params, Buffer::Moments, Buffer::Stats, Buffer::RowLoss, Buffer::State];
    let bits = roles.map(|role| -> Vec<u32> {
        engine.read(role).expect("reads").iter().map(|v: &f32| v.to_bits()).collect()
    });
    (records, bits.to_vec(), engine.info().clone())
}

#[test]
#[ignore = "needs a GPU; scripts/test includes it"]
fn another_layout_gives_the_same_bits_and_is_recorded() {
    let device = gpu::device(gpu::strict());
    STRICT.set(device.ways).expect("set once");
    let full = GpuOptions { checked: true, ..GpuOptions::default() };
    FULL.set(gpu::device(full).ways).expect("set once");
    // The ways in use at the end, as in env.json.
    let ways = |info: &EngineInfo| -> Ways {
        serde_json::from_value(info.details["ways"].clone()).expect("ways are recorded")
    };
    let mut gone = Vec::new();
    // Networks of sub-models and clipped gradients need no fused kernels.
    let fuses = |m: &Arc<Member>| m.sub_models() == 1 && m.training.clip_norm.is_none();
    let cases = (1..).map(|seed| Case::random(seed, &Space::TILES));
    for case in cases.filter(|case| case.population.members.iter().any(fuses)).take(3) {
        let seed = case.seed;
        type Refuse = fn(&str, Option<Tile>) -> bool;
        let refusals: [(&str, GpuOptions, Refuse); 5] = [
            ("the usual product", gpu::strict(), usual_product_of_strict),
            ("all usual tiles", full, usual_tiles_of_full),
            ("fused kernels", gpu::strict(), fused),
            ("fused kernels", full, fused),
            ("one fused kernel", gpu::strict(), hidden),
        ];
        for (what, options, refuse) in refusals {
            let (records, bits, before) = run(&case, options);
            assert_eq!(before.details.get("refused_kernels"), None);
            let (found, found_bits, info) = run(&case, GpuOptions { refuse: Some(refuse), ..options });
            assert!(found == records && found_bits == bits, "case {seed}: different bits without {what}");
            let Some(refused) = info.details.get("refused_kernels").and_then(|list| list.as_array()) else {
                // A population without hidden layers does not need that kernel.
                assert_eq!(what, "one fused kernel", "case {seed}: nothing refused");
                continue;
            };
            let ways = ways(&info);
            for one in refused {
                let tile: Option<Tile> = serde_json::from_value(one["tile"].clone()).expect("a tile");
                assert!(refuse(one["kernel"].as_str().expect("a name"), tile), "{one}");
                assert!(one["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{one}");
            }
            if what.contains("fused") {
                assert!(ways.fused_rows == 0 || ways.fused_weights == 0, "{what}: {ways:?}");
            }
            if what.contains("usual") {
                assert_ne!(
                    ways.product,
                    if options.default_limits { device.ways.product } else { FULL.get().unwrap().product }
                );
            }
            gone.push((what, ways));
        }
    }
    eprintln!("changed ways {} times: {gone:?}", gone.len());
    assert!(gone.len() > 11, "{}", gone.len());
    // If all kernels are refused in all tiles of a shape, no ways are left.
    let refuse = Some(all_tiles_of_features as fn(&str, Option<Tile>) -> bool);
    let device = gpu::device(GpuOptions { refuse, ..gpu::strict() });
    let case = Case::random(1, &Space::TILES);
    let error = GpuEngine::new(device, case.population.clone(), case.table.clone()).map(drop);
    assert!(matches!(error, Err(EngineError::Refused { .. })), "{error:?}");
}

/// Later members need kernels that earlier ones did not, so kernels may be refused in the middle of a training.
#[test]
#[ignore = "needs a GPU; scripts/test includes it"]
fn a_kernel_refused_during_a_training_changes_no_member() {
    let plain = factory(gpu::strict());
    let problem = digits(0.8);
    let trainings = refill::stream_of(12, 3);
    let alone = refill::each_alone(&plain, &trainings, &problem);
    let refusing = factory(GpuOptions { refuse: Some(fused), ..gpu::strict() });
    let (found, _) = refill::stream(&refusing, &trainings, &problem, EAGER, 0);
    refill::assert_as_alone(&found, &alone, "fused kernels refused");
}

/// After a driver reset, the refused kernels are not tried again.
#[test]
#[ignore = "needs a GPU; scripts/test includes it"]
fn a_lost_device_keeps_its_layouts() {
    let plain = factory(gpu::strict());
    let (problem, training) = (digits(0.8), training(20));
    let (result, expected) = train(&plain, &training, &problem, EAGER);
    result.expect("trains");
    let refusing = factory(GpuOptions { refuse: Some(fused), ..gpu::strict() });
    let member = bngpu::train::member(&training, &problem).expect("a possible training");
    let population = Arc::new(Population::new(vec![member]));
    let details = || refusing.build(&population, &problem.table).expect("an engine").info().details.clone();
    let first = details();
    refusing.lose_device();
    assert_eq!(details(), first);
    let (result, told) = train(&refusing, &training, &problem, EAGER);
    result.expect("trains");
    assert_same(&told, &expected, "fused kernels refused");
}

/// The test adapter, presented as a hardware GPU so that `auto` takes it.
fn as_hardware() -> AdapterSummary {
    let info = gpu::adapter().get_info();
    let found = adapters::list().unwrap_or_else(|none| panic!("{none}"));
    let same = |a: &AdapterSummary| (&a.name, a.vendor, a.device) == (&info.name, info.vendor, info.device);
    let (mut summary, _) = found.into_iter().find(|(a, _)| same(a)).expect("the test adapter is listed");
    (summary.index, summary.kind, summary.problem) = (0, AdapterKind::Discrete, None);
    summary
}

#[test]
#[ignore = "needs a GPU; scripts/test includes it"]
fn auto_falls_back_to_the_cpu_and_a_named_device_is_an_error() {
    let adapter = as_hardware();
    let (problem, training) = (digits(0.8), training(20));
    let source = |wanted: &str, refuse: fn(&str, Option<Tile>) -> bool| {
        let options = GpuOptions { refuse: Some(refuse), ..gpu::strict() };
        lanes::among(Ok(vec![adapter.clone()]), wanted, options).expect("a device")
    };
    let (result, on_cpu) = train(source("cpu", loss).factory().as_ref(), &training, &problem, EAGER);
    result.expect("trains");
    for refuse in [loss as fn(&str, Option<Tile>) -> bool, everything] {
        let auto = source("auto", refuse).factory();
        assert_eq!(auto.name(), adapter.name);
        let (result, told) = train(auto.as_ref(), &training, &problem, EAGER);
        result.unwrap_or_else(|e| panic!("{e}"));
        assert_same(&told, &on_cpu, "auto");
        assert_eq!((auto.name(), told.messages.len()), ("native CPU engine", 0));
        for part in ["no usable discrete or integrated GPU", adapter.name.as_str(), "it refused the kernel"] {
            assert!(auto.why().contains(part), "{part} is missing: {}", auto.why());
        }
        assert!(auto.reason().starts_with("there is no usable"), "{}", auto.reason());
        for named in ["gpu", "0", adapter.name.as_str()] {
            let (result, _) = train(source(named, refuse).factory().as_ref(), &training, &problem, EAGER);
            let Err(TrainError::Engine(error @ EngineError::Refused { .. })) = result else {
                panic!("--device {named}: {result:?}")
            };
            assert!(error.to_string().contains("another --device"), "{error}");
        }
    }
}

/// A benchmark or a demonstration does not change its device halfway.
#[test]
#[ignore = "needs a GPU; scripts/test includes it"]
fn auto_stays_on_a_device_that_has_made_an_engine() {
    let adapter = as_hardware();
    fn percentiles(kernel: &str, _: Option<Tile>) -> bool {
        kernel.starts_with("percentiles")
    }
    let options = GpuOptions { refuse: Some(percentiles), ..gpu::strict() };
    let source = lanes::among(Ok(vec![adapter.clone()]), "auto", options).expect("a device");
    let case = Case::random(1, &Space::of_members(2));
    let watched = Arc::new(case.population.watched());
    let auto = source.factory();
    auto.build(&case.population, &case.table).map(drop).expect("an engine");
    let error = auto.build(&watched, &case.table).map(drop).expect_err("the kernel is refused");
    assert!(error.to_string().contains("percentiles"), "{error}");
    assert_eq!(auto.name(), adapter.name);
    // If the first kernel were refused, it would take another device.
    let auto = source.factory();
    auto.build(&watched, &case.table).map(drop).expect("an engine");
    assert_eq!(auto.name(), "native CPU engine");
}

#[test]
fn auto_tries_all_adapters_then_the_cpu() {
    let adapter = |index: usize, kind: AdapterKind, name: &str| AdapterSummary {
        index,
        name: name.into(),
        kind,
        backend: Backend::Vulkan,
        driver: String::new(),
        driver_info: String::new(),
        vendor: 0,
        device: 0,
        pci_bus: String::new(),
        limits: AdapterLimits {
            memory: None,
            max_buffer: 1 << 30,
            max_binding: 1 << 30,
            storage_buffers: 8,
            workgroup_memory: 16384,
            workgroup_invocations: 256,
            workgroups_per_dimension: 65535,
            subgroup_sizes: (32, 32),
        },
        features: AdapterFeatures::default(),
        problem: None,
    };
    let all = vec![
        adapter(0, AdapterKind::Discrete, "A"),
        adapter(1, AdapterKind::Discrete, "B"),
        adapter(2, AdapterKind::Integrated, "C"),
        adapter(3, AdapterKind::Software, "llvmpipe"),
    ];
    let refused = |source: &dyn DeviceSource| EngineError::Refused {
        device: source.name().into(),
        what: "the kernel 'loss'".into(),
        reason: "error X3663:\n  thread sync".into(),
    };
    let mut source = lanes::among(Ok(all.clone()), "auto", GpuOptions::default()).expect("a device");
    let mut taken = vec![source.name().to_owned()];
    for _ in 0..3 {
        source = source.after(refused(&*source)).expect("another device");
        taken.push(source.name().to_owned());
    }
    assert_eq!(taken, ["A", "B", "C", "native CPU engine"]);
    for name in ["A", "B", "C"] {
        let part = format!("{name}: it refused the kernel 'loss': error X3663: thread sync");
        assert!(source.why().contains(&part), "{part} is missing: {}", source.why());
    }
    // There is no other choice after the CPU, after other faults, and for a named device.
    assert!(source.after(refused(&*source)).is_err());
    let named = lanes::among(Ok(all.clone()), "B", GpuOptions::default()).expect("a device");
    assert!(named.after(refused(&*named)).is_err());
    let auto = lanes::among(Ok(all), "auto", GpuOptions::default()).expect("a device");
    let lost = EngineError::Lost { device: "A".into(), reason: "a reset".into() };
    assert!(matches!(auto.after(lost), Err(EngineError::Lost { .. })));
}
