//! Faults of a real device: lost, out of memory, too slow. They end in the weights of the undisturbed run, or in an
//! error with a remedy; never in a panic.

use std::cell::Cell;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bngpu::engine::gpu::{GpuEngine, GpuFactory, GpuOptions};
use bngpu::engine::{Engine, EngineError, EngineFactory, EngineInfo};
use bngpu::population::tables::{Record, StepRow};
use bngpu::population::{Buffer, Population};
use bngpu::spec::{Network, Training};
use bngpu::step::memory::Table;
use bngpu::step::{Op, StepKind};
use bngpu::train::{Pace, TrainError};

use crate::common::random_population::{Case, Rng, Space};
use crate::common::training::{EAGER, LAZY, Told, assert_same, digits, factory, train, training};
use crate::common::{gpu, refill};

/// When to lose the device, and the events: shared by a factory and its engines.
struct Plan {
    calls: Cell<usize>,
    /// The call of an engine before which the device is lost.
    lose_at: Cell<Option<usize>>,
    softened: Cell<usize>,
}

/// Makes engines by the real factory, and loses the device at one call.
struct Losing {
    inner: Rc<GpuFactory>,
    plan: Rc<Plan>,
}

impl Losing {
    fn new(inner: GpuFactory, lose_at: Option<usize>) -> Losing {
        let plan = Plan { calls: Cell::new(0), lose_at: Cell::new(lose_at), softened: Cell::new(0) };
        Losing { inner: Rc::new(inner), plan: Rc::new(plan) }
    }
}

impl EngineFactory for Losing {
    fn build(
        &self,
        population: &Arc<Population>,
        table: &Arc<Table>,
    ) -> Result<Box<dyn Engine>, EngineError> {
        let inner = self.inner.build(population, table)?;
        Ok(Box::new(OnLosing { inner, factory: self.inner.clone(), plan: self.plan.clone() }))
    }
    fn soften(&self) {
        self.plan.softened.set(self.plan.softened.get() + 1);
        self.inner.soften();
    }
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn why(&self) -> &str {
        self.inner.why()
    }
}

struct OnLosing {
    inner: Box<dyn Engine>,
    factory: Rc<GpuFactory>,
    plan: Rc<Plan>,
}

impl OnLosing {
    fn call(&mut self) -> &mut dyn Engine {
        let call = self.plan.calls.get();
        self.plan.calls.set(call + 1);
        if self.plan.lose_at.get() == Some(call) {
            self.plan.lose_at.set(None);
            self.factory.lose_device();
        }
        self.inner.as_mut()
    }
}

impl Engine for OnLosing {
    fn info(&self) -> &EngineInfo {
        self.inner.info()
    }
    fn population(&self) -> &Arc<Population> {
        self.inner.population()
    }
    fn initialize(&mut self) -> Result<(), EngineError> {
        self.call().initialize()
    }
    fn run(&mut self, kind: StepKind, steps: &[StepRow]) -> Result<Vec<Record>, EngineError> {
        self.call().run(kind, steps)
    }
    /// Short, to make many calls.
    fn pace(&self, _: StepKind) -> usize {
        3
    }
    fn run_op(&mut self, op: Op, steps: &[StepRow]) -> Result<(), EngineError> {
        self.call().run_op(op, steps)
    }
    fn refill(&mut self, population: &Arc<Population>, slots: &[usize]) -> Result<(), EngineError> {
        self.call().refill(population, slots)
    }
    /// One region at a time, to make many calls.
    fn read_regions(&mut self, regions: &[(Buffer, Range<usize>)]) -> Result<Vec<Vec<f32>>, EngineError> {
        regions.iter().map(|(buffer, range)| self.call().read_region(*buffer, range.clone())).collect()
    }
    fn write_region(&mut self, buffer: Buffer, start: usize, values: &[f32]) -> Result<(), EngineError> {
        self.call().write_region(buffer, start, values)
    }
}

/// Number of points at which the device is lost, with eager and lazy checkpoints in turn.
const POINTS: u64 = 50;

#[test]
#[ignore = "needs a GPU; scripts/test includes it"]
fn a_device_lost_at_fifty_random_points_ends_in_identical_weights() {
    let (problem, training) = (digits(0.8), training(38));
    let run = |lose_at: Option<usize>, pace: Pace| -> (Told, Rc<Plan>) {
        let losing = Losing::new(factory(gpu::strict()), lose_at);
        let (result, told) = train(&losing, &training, &problem, pace);
        result.unwrap_or_else(|e| panic!("lost at call {lose_at:?}: {e}"));
        (told, losing.plan)
    };
    let clean = [EAGER, LAZY].map(|pace| run(None, pace));
    assert_same(&clean[0].0, &clean[1].0, "lazily");
    let rng = &mut Rng(7);
    for nth in 0..POINTS as usize {
        let (expected, plan) = &clean[nth % 2];
        let at = rng.between(0, plan.calls.get() - 1);
        let (told, plan) = run(Some(at), [EAGER, LAZY][nth % 2]);
        let what = format!("lost at call {at}");
        assert_eq!((plan.lose_at.get(), plan.softened.get()), (None, 1), "{what}: number of faults");
        assert!(told.messages.len() == 1 && told.messages[0].contains("lost"), "{what}: {:?}", told.messages);
        assert_same(&told, expected, &what);
    }
    eprintln!(
        "{POINTS} losses, at {} and {} possible points",
        clean[0].1.calls.get(),
        clean[1].1.calls.get()
    );
}

/// The same while members come and go, or move to another slot.
#[test]
#[ignore = "needs a GPU; scripts/test includes it"]
fn a_device_lost_while_members_come_and_go_ends_in_identical_weights() {
    let problem = digits(0.8);
    let trainings = refill::stream_of(12, 5);
    let real = factory(gpu::strict());
    let alone = refill::each_alone(&real, &trainings, &problem);
    let run = |lose_at: Option<usize>, pace: Pace| {
        let losing = Losing::new(factory(gpu::strict()), lose_at);
        let (found, moved) = refill::stream(&losing, &trainings, &problem, pace, 5);
        assert!(moved > 3, "{moved}");
        refill::assert_as_alone(&found, &alone, &format!("lost at call {lose_at:?}"));
        assert_eq!(losing.plan.lose_at.get(), None);
        (losing.plan.calls.get(), losing.plan.softened.get())
    };
    let rng = &mut Rng(11);
    for pace in [EAGER, LAZY] {
        let (calls, _) = run(None, pace);
        for _ in 0..3 {
            let (_, softened) = run(Some(rng.between(0, calls - 1)), pace);
            // Both trainers use the same device, unless one of them had ended.
            assert!((1..=2).contains(&softened), "{softened}");
        }
    }
}

/// Every call on a lost device returns an error that says so, and so do later calls.
#[test]
#[ignore = "needs a GPU; scripts/test includes it"]
fn a_lost_device_fails_every_call() {
    let device = gpu::device(gpu::strict());
    let case = Case::random(3, &Space::of_members(2));
    let make = || GpuEngine::new(device.clone(), case.population.clone(), case.table.clone());
    let mut engine = make().expect("an engine");
    engine.initialize().expect("initialises");
    engine.run(StepKind::Train, &case.training_steps(0, 3)).expect("runs");
    let values = engine.read(Buffer::Params).expect("reads");
    engine.lose_device();
    for _ in 0..2 {
        let steps = case.training_steps(3, 4);
        let op = Op::Gather;
        let results: [(&str, Result<(), EngineError>); 8] = [
            ("write", engine.write(Buffer::Params, &values)),
            ("run_op", engine.run_op(op, &steps)),
            ("initialize", engine.initialize()),
            ("run", engine.run(StepKind::Train, &steps).map(drop)),
            ("evaluate", engine.run(StepKind::Evaluate, &case.evaluation_steps()).map(drop)),
            ("read", engine.read(Buffer::Params).map(drop)),
            ("refill", engine.refill(&case.population, &[0])),
            ("make", make().map(drop)),
        ];
        for (call, result) in results {
            assert!(matches!(result, Err(EngineError::Lost { .. })), "{call}: {result:?}");
        }
    }
}

/// The device is lost while a long submit runs on it.
#[test]
#[ignore = "needs a GPU; scripts/test includes it"]
fn a_device_lost_during_a_submit_is_detected() {
    let device = gpu::device(gpu::strict());
    let case = Case::random(5, &Space::of_members(5));
    let mut engine =
        GpuEngine::new(device.clone(), case.population.clone(), case.table.clone()).expect("an engine");
    engine.initialize().expect("initialises");
    let lost = std::thread::scope(|scope| {
        scope.spawn(|| {
            std::thread::sleep(Duration::from_millis(150));
            device.device.destroy();
        });
        (0..1000)
            .find_map(|s| engine.run(StepKind::Train, &case.training_steps(100 * s, 100 * s + 100)).err())
    });
    assert!(matches!(lost, Some(EngineError::Lost { .. })), "{lost:?}");
}

/// The timeout is too short for an epoch in one submit: submits become shorter, and the weights stay the same.
#[test]
#[ignore = "needs a GPU; scripts/test includes it"]
fn a_timeout_leads_to_shorter_submits() {
    let options = GpuOptions { submit: Duration::from_secs(30), ..gpu::strict() };
    let patient = factory(options);
    let problem = digits(0.1);
    let network = Network { hidden: vec![150, 150], ..training(0).network };
    let training = Training { network, ..training(150) };
    let (result, expected) = train(&patient, &training, &problem, EAGER);
    result.expect("trains");
    // The longest submit is an epoch.
    let member = bngpu::train::member(&training, &problem).expect("a possible training");
    let population = Arc::new(Population::new(vec![member]));
    let mut engine = patient.build(&population, &problem.table).expect("an engine");
    let member = &population.members[0];
    let step = |s| bngpu::population::training_step(&member.training, &member.walk, s, 150);
    let steps: Vec<_> = (0..member.walk.steps_per_epoch).map(step).collect();
    let mut length = Duration::MAX;
    for _ in 0..6 {
        // The first submits are divided until the pace is known.
        let start = Instant::now();
        engine.run(StepKind::Train, &steps).expect("runs");
        length = length.min(start.elapsed());
    }
    drop(engine);
    let timeout = (length / 3).max(Duration::from_millis(20));
    let options = GpuOptions { timeout, patience: 1, submit: 2 * length, ..options };
    let (result, told) = train(&factory(options), &training, &problem, EAGER);
    result.unwrap_or_else(|e| panic!("{e}; {:?}", told.messages));
    eprintln!("an epoch takes {length:?}; {} times not done within {timeout:?}", told.messages.len());
    assert!(told.messages.iter().all(|text| text.contains("did not finish")), "{:?}", told.messages);
    assert_same(&told, &expected, "after timeouts");
    // A fast device finishes an epoch before the shortest sensible timeout.
    assert!(!told.messages.is_empty() || length < Duration::from_millis(40), "no submit took too long");
}

/// A timeout of zero: three tries, then an error with the checkpoint and a remedy.
#[test]
#[ignore = "needs a GPU; scripts/test includes it"]
fn a_device_that_always_times_out_ends_the_training() {
    let options = GpuOptions { timeout: Duration::ZERO, patience: 1, ..gpu::strict() };
    let hopeless = factory(options);
    let network = Network { hidden: vec![500, 500], ..training(0).network };
    let training = Training { network, batch_size: 300, ..training(20) };
    let (result, told) = train(&hopeless, &training, &digits(0.8), EAGER);
    let Err(error @ TrainError::GaveUp { tries: 3, .. }) = result else { panic!("{result:?}") };
    let text = error.to_string();
    for part in ["did not finish", "3 tries", "runs/test/last.safetensors", "--device cpu"] {
        assert!(text.contains(part), "{part} is missing: {text}");
    }
    // A submit that is done before the first poll counts as progress and resets the tries.
    assert!(told.messages.len() >= 3, "{:?}", told.messages);
}

/// A software adapter shares the processor, so a late submit is not treated as lost. The next submits are shorter.
#[test]
#[ignore = "needs a GPU; scripts/test includes it"]
fn a_late_submit_of_a_software_adapter_is_not_a_fault() {
    let options = GpuOptions { submit: Duration::from_secs(30), ..gpu::strict() };
    if !gpu::device(options).software {
        eprintln!("left out: the adapter is hardware");
        return;
    }
    let problem = digits(0.1);
    let network = Network { hidden: vec![150, 150], ..training(0).network };
    let training = Training { network, ..training(60) };
    let impatient = GpuOptions { timeout: Duration::from_millis(2), patience: 300_000, ..options };
    let [patient, impatient] = [options, impatient].map(factory);
    let [expected, told] = [&patient, &impatient].map(|factory| {
        let (result, told) = train(factory, &training, &problem, EAGER);
        result.unwrap_or_else(|e| panic!("{e}; {:?}", told.messages));
        told
    });
    assert_eq!(told.messages, [""; 0], "no fault");
    assert_same(&told, &expected, "after late submits");

    let member = bngpu::train::member(&training, &problem).expect("a possible training");
    let population = Arc::new(Population::new(vec![member]));
    let member = &population.members[0];
    let steps: Vec<_> =
        (0..20).map(|s| bngpu::population::training_step(&member.training, &member.walk, s, 60)).collect();
    let paces = [&patient, &impatient].map(|factory| {
        let mut engine = factory.build(&population, &problem.table).expect("an engine");
        engine.initialize().expect("initialises");
        (0..4).for_each(|_| drop(engine.run(StepKind::Train, &steps).expect("runs")));
        engine.pace(StepKind::Train)
    });
    eprintln!("steps in a submit: {paces:?} with all and with little patience");
    assert!(paces[0] > paces[1], "{paces:?}");

    // Patience is limited, too.
    let options = GpuOptions { timeout: Duration::from_millis(1), patience: 3, ..options };
    let mut engine = factory(options).build(&population, &problem.table).expect("an engine");
    engine.initialize().expect("initialises");
    let error = engine.run(StepKind::Train, &steps).expect_err("kernels are compiled for longer than that");
    assert!(matches!(error, EngineError::Timeout { seconds, .. } if seconds == 0.003), "{error}");
}

/// After a fault, submits are steered to a quarter of the time.
#[test]
#[ignore = "needs a GPU; scripts/test includes it"]
fn softened_engines_make_shorter_submits() {
    let options = GpuOptions { submit: Duration::from_millis(400), ..gpu::strict() };
    let factory = factory(options);
    let problem = digits(0.1);
    let training =
        Training { network: Network { hidden: vec![64, 64], ..training(0).network }, ..training(1000) };
    let member = bngpu::train::member(&training, &problem).expect("a possible training");
    let population = Arc::new(Population::new(vec![member]));
    let member = &population.members[0];
    let mut paces = Vec::new();
    for _ in 0..3 {
        let mut engine = factory.build(&population, &problem.table).expect("an engine");
        engine.initialize().expect("initialises");
        // The median of several, as the machine may have other work.
        let mut seen: Vec<usize> = (0..9)
            .map(|_| {
                let count = engine.pace(StepKind::Train).min(200) as u64;
                let step = |s| bngpu::population::training_step(&member.training, &member.walk, s, 1000);
                let steps: Vec<_> = (0..count).map(step).collect();
                engine.run(StepKind::Train, &steps).expect("runs");
                engine.pace(StepKind::Train)
            })
            .skip(4)
            .collect();
        seen.sort_unstable();
        paces.push(seen[2]);
        factory.soften();
    }
    eprintln!("steps in a submit, softened repeatedly: {paces:?}");
    // A sixteenth is expected; but the machine may have other work, and a submit has at least one step.
    assert!(3 * paces[2] < paces[0], "{paces:?}");
}

/// A model too large for one buffer is refused with its size and a remedy, and the device stays usable.
#[test]
#[ignore = "needs a GPU; scripts/test includes it"]
fn a_model_that_is_too_large_is_refused_with_its_size() {
    let device = gpu::device(gpu::strict());
    let wide =
        Training { network: Network { hidden: vec![8000, 8000], ..training(0).network }, ..training(3) };
    let problem = digits(0.8);
    let member = bngpu::train::member(&wide, &problem).expect("a possible training");
    let population = Arc::new(Population::new(vec![member]));
    let result = GpuEngine::new(device.clone(), population, problem.table.clone()).map(drop);
    let Err(error @ EngineError::Unsupported { .. }) = result else { panic!("{result:?}") };
    assert!(!error.is_transient());
    let text = error.to_string();
    for part in ["parameters", "bytes", "--device cpu", "fewer hidden units"] {
        assert!(text.contains(part), "{part} is missing: {text}");
    }
    let case = Case::random(3, &Space::of_members(2));
    let mut engine =
        GpuEngine::new(device, case.population.clone(), case.table.clone()).expect("the device is usable");
    engine.initialize().expect("initialises");
    engine.run(StepKind::Train, &case.training_steps(0, 3)).expect("runs");
}

/// More memory than available: an error with the size, or memory that the driver overcommits; the device stays usable.
#[test]
#[ignore = "needs a GPU; scripts/test includes it"]
fn memory_that_runs_out_is_an_error_with_its_size() {
    let device = gpu::device(GpuOptions { checked: true, ..GpuOptions::default() });
    let bytes = device.limits.max_storage_buffer_binding_size.min(device.limits.max_buffer_size);
    let (mut held, mut failed) = (Vec::new(), None);
    // A driver may promise unused memory without limit.
    while failed.is_none() && (held.len() as u64 * bytes) < 1 << 44 && held.len() < 4096 {
        match device.storage("a test", bytes) {
            Ok(buffer) => held.push(buffer),
            Err(error) => failed = Some(error),
        }
    }
    let gigabytes = (held.len() as u64 * bytes) >> 30;
    eprintln!("{gigabytes} GiB given in {} buffers, then: {failed:?}", held.len());
    drop(held);
    if let Some(error) = failed {
        assert!(matches!(error, EngineError::OutOfMemory { .. }), "{error:?}");
        assert!(error.to_string().contains(&bytes.to_string()), "{error}");
        assert!(error.is_transient());
    }
    let case = Case::random(3, &Space::of_members(2));
    let mut engine =
        GpuEngine::new(device, case.population.clone(), case.table.clone()).expect("the device is usable");
    engine.initialize().expect("initialises");
    engine.run(StepKind::Train, &case.training_steps(0, 3)).expect("runs");
}
