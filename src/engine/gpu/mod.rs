//! The GPU engine: the only module that uses wgpu.
//!
//! The engine makes everything at its start: buffers, pipelines, bind groups, the list of dispatches. A call of `run`
//! writes the step table, records all steps into one submit and reads their records back. When members come and go,
//! only the contents of the tables and of the work lists change; their space was reserved.

/// The text of `shaders/NAME.wgsl`.
macro_rules! shader {
    ($name:literal) => {
        include_str!(concat!("../../../shaders/", $name, ".wgsl"))
    };
}

pub mod adapters;
mod cache;
mod ceilings;
mod constants;
mod device;
mod dispatch;
mod factory;
pub mod kernels;
pub mod passes;
mod readback;
mod refused;
pub mod shaders;
pub mod tiles;
pub mod trace;
mod tune;
mod window;
pub mod work;

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

pub use device::{Device, GpuOptions};
pub use factory::GpuFactory;
pub(crate) use refused::brief;

use super::{Engine, EngineError, EngineInfo, Pacer};
use crate::base::quantile;
use crate::engine::Ceilings;
use crate::population::tables::{InputRow, LayerRow, MemberRow, Record, StepRow};
use crate::population::{Buffer, Member, Population};
use crate::spec::Precision;
use crate::step::memory::Table;
use crate::step::{Op, StepKind, plan};
use dispatch::{Dispatch, Sources, fold};
use kernels::Kernel;
use passes::{Pass, passes};
use tiles::Ways;
use window::DataWindow;
use work::WorkList;

/// A layer as the kernels see it: with its member's constants.
#[repr(C)]
#[derive(Clone, Copy, bytemuck::Pod, bytemuck::Zeroable)]
struct DeviceLayer {
    layer: LayerRow,
    member: MemberRow,
}

/// Most bytes of the step table of one submit.
const STEP_TABLE_BYTES: usize = 4 << 20;
/// Most steps of one submit.
const LONGEST_SUBMIT: usize = 1024;
/// Most loop iterations of an invocation on a software adapter (llvmpipe silently stops at 65,535).
const SOFTWARE_ITERATIONS: usize = 60_000;

/// The engine's buffers other than the roles of memory.
struct EngineBuffers {
    layers: wgpu::Buffer,
    steps: wgpu::Buffer,
    work: wgpu::Buffer,
    records: wgpu::Buffer,
    records_staging: wgpu::Buffer,
    /// For reading roles back; it grows as needed.
    roles_staging: Option<wgpu::Buffer>,
    now_group: wgpu::BindGroup,
}

/// The dispatches of an engine, and the memory of their work lists.
struct Lists {
    work: wgpu::Buffer,
    dispatches: HashMap<(StepKind, Pass), Dispatch>,
    initialize: Dispatch,
}

/// The GPU engine.
pub struct GpuEngine {
    device: Arc<Device>,
    info: EngineInfo,
    ways: Ways,
    /// The ways to use if no kernel is refused.
    wanted: Ways,
    population: Arc<Population>,
    roles: Vec<wgpu::Buffer>,
    buffers: EngineBuffers,
    data: DataWindow,
    dispatches: HashMap<(StepKind, Pass), Dispatch>,
    initialize: Dispatch,
    plans: [Vec<Pass>; StepKind::COUNT],
    pacers: [Pacer; StepKind::COUNT],
    /// Distance of two entries of the `now` buffer.
    now_stride: u32,
    /// Steps that fit into the step table.
    longest: usize,
    submits: u32,
    /// Kernels that the device had refused when the ways were chosen.
    refused: usize,
}

impl GpuEngine {
    /// An engine for `population` on `table`, with zeroed memory and compiled pipelines.
    pub fn new(
        device: Arc<Device>,
        population: Arc<Population>,
        table: Arc<Table>,
    ) -> Result<GpuEngine, EngineError> {
        population.members.iter().try_for_each(|member| supported(&device, member))?;
        let start = Instant::now();
        let k = population.len();
        let longest = (STEP_TABLE_BYTES / (k * size_of::<StepRow>())).clamp(1, LONGEST_SUBMIT);
        let roles = Buffer::ALL
            .iter()
            .map(|&role| {
                device
                    .storage(contents(role), 4 * population.sizes[role as usize].max(InputRow::WORDS) as u64)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let data = DataWindow::new(&device, &population, table)?;

        let bytes = (k * population.layers).max(1) * size_of::<DeviceLayer>();
        let layers = device.storage("the layer table", bytes as u64)?;
        let steps = device.storage("the step table", (longest * k * size_of::<StepRow>()) as u64)?;
        let records_bytes = (longest * k * size_of::<Record>()) as u64;
        let records = device.storage("the records", records_bytes)?;
        let records_staging = device.staging("the records", records_bytes)?;

        let layers_of = population.members.iter().flat_map(|member| &member.layers);
        let largest = layers_of.filter_map(LayerRow::products).map(|products| products.weights()).max();
        let hidden = |member: &Member| {
            let layers = member.layers.iter().filter(|layer| layer.is_hidden());
            layers.map(|layer| layer.outputs as usize).max().unwrap_or(0)
        };
        let columns = population.members.iter().map(|member| hidden(member)).sum();
        let wanted = device.ways.for_population(largest.unwrap_or(0), columns, &device.can);
        let refused = device.refused.len();
        let ways = device.refused.around(wanted, &device.can).unwrap_or(wanted);
        let plans = StepKind::ALL.map(|kind| passes(&plan(&population, kind)));
        let Lists { work, dispatches, initialize } = lists(&device, &population, &plans, &data, &ways)?;

        let now_stride = device.limits.min_uniform_buffer_offset_alignment.max(16);
        let now_group = now(&device, longest, now_stride, k as u32)?;
        let buffers =
            EngineBuffers { layers, steps, work, records, records_staging, roles_staging: None, now_group };

        let pacer = Pacer::new(device.options.submit.as_secs_f64(), longest);
        let mut engine = GpuEngine {
            info: info(&device, &ways),
            device,
            ways,
            wanted,
            roles,
            buffers,
            data,
            dispatches,
            initialize,
            plans,
            pacers: [pacer; StepKind::COUNT],
            now_stride,
            longest,
            submits: 0,
            refused,
            population,
        };
        engine.describe(0..k)?;
        let ms = 1e3 * start.elapsed().as_secs_f64();
        log::info!("{}: ready, pipelines compiled, in {ms:.0} ms", engine.device.name());
        Ok(engine)
    }

    /// The buffers that dispatches bind, and the dispatches.
    fn parts(&mut self) -> (Sources<'_>, &mut HashMap<(StepKind, Pass), Dispatch>, &mut Dispatch) {
        let GpuEngine { device, ways, roles, buffers, data, dispatches, initialize, .. } = self;
        (Sources { device, ways, work: &buffers.work, buffers, roles, data }, dispatches, initialize)
    }

    /// Writes the tables of the members in `slots`, and all work lists.
    fn describe(&mut self, slots: impl Iterator<Item = usize>) -> Result<(), EngineError> {
        let population = &self.population;
        for slot in slots {
            let (member, layers) = population.rows(slot);
            let rows: Vec<_> = layers.into_iter().map(|layer| DeviceLayer { layer, member }).collect();
            let offset = slot * population.layers * size_of::<DeviceLayer>();
            self.device.queue.write_buffer(&self.buffers.layers, offset as u64, bytemuck::cast_slice(&rows));
            let inputs = bytemuck::cast_slice(&population.members[slot].inputs);
            let offset = 4 * population.region(slot, Buffer::Inputs).start as u64;
            self.device.queue.write_buffer(&self.roles[Buffer::Inputs as usize], offset, inputs);
        }
        while let Err(error) = self.list() {
            self.go_around(error)?;
        }
        self.device.check()
    }

    /// Writes all work lists.
    fn list(&mut self) -> Result<(), EngineError> {
        let (population, ways) = (self.population.clone(), self.ways);
        let (sources, dispatches, _) = self.parts();
        let lists: Vec<_> = dispatches
            .iter_mut()
            .map(|(&(kind, pass), dispatch)| (dispatch, work::jobs(&population, kind, pass, &ways.of(kind))))
            .collect();
        let needed = lists.iter().filter(|(_, jobs)| !jobs.is_empty()).map(|(dispatch, _)| dispatch.kernel);
        sources.device.prepare(needed.chain([Kernel::Initialize]), &ways)?;
        for (dispatch, jobs) in lists {
            dispatch.write_jobs(&sources, &jobs)?;
        }
        Ok(())
    }

    /// After `error`: switches to other ways, without the kernels that the device refused. Memory stays, and so do the
    /// bits of all results; work lists must be written again.
    ///
    /// # Errors
    /// `error`, if it is not a refused kernel or no ways are left.
    fn go_around(&mut self, error: EngineError) -> Result<(), EngineError> {
        if !matches!(error, EngineError::Refused { .. }) {
            return Err(error);
        }
        let known = self.refused;
        self.refused = self.device.refused.len();
        let found = self.device.refused.around(self.wanted, &self.device.can);
        let Some(ways) = found.filter(|&ways| ways != self.ways) else { return Err(error) };
        log::warn!(
            "{} refused {}; using instead: {}. Results stay bit-identical, but steps may be slower",
            self.device.name(),
            self.device.refused.describe(known),
            refused::difference(&self.ways, &ways)
        );
        let made = lists(&self.device, &self.population, &self.plans, &self.data, &ways)?;
        (self.buffers.work, self.dispatches, self.initialize) = (made.work, made.dispatches, made.initialize);
        (self.info, self.ways) = (info(&self.device, &ways), ways);
        Ok(())
    }

    /// Initialises the members in `slots`.
    fn initialize_slots(&mut self, slots: impl Iterator<Item = usize>) -> Result<(), EngineError> {
        let jobs = work::initial(&self.population, slots);
        let (sources, _, initialize) = self.parts();
        initialize.write_jobs(&sources, &jobs)?;
        let mut encoder = self.device.device.create_command_encoder(&Default::default());
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            self.record(&mut pass, &self.initialize, 0);
        }
        self.device.queue.submit([encoder.finish()]);
        self.device.check()
    }

    /// For tests: loses the device, as a driver's reset would.
    pub fn lose_device(&self) {
        self.device.device.destroy();
    }

    /// Dispatches of one step.
    pub fn dispatches(&self, kind: StepKind) -> usize {
        self.passes(kind).len()
    }

    /// The dispatches of one step that have work, in order.
    pub fn passes(&self, kind: StepKind) -> Vec<Pass> {
        let has_work = |pass: &&Pass| {
            self.dispatches.get(&(kind, **pass)).is_some_and(|dispatch| dispatch.grid.is_some())
        };
        self.plans[kind as usize].iter().filter(has_work).copied().collect()
    }

    /// Seconds of `times` dispatches of `pass` in sequence, on the present memory, as in a step of `kind`, `steps`
    /// (`[K]`), including the submit and the wait for it.
    ///
    /// # Errors
    /// Any error of the device.
    pub fn time(
        &mut self,
        kind: StepKind,
        pass: Pass,
        steps: &[StepRow],
        times: usize,
    ) -> Result<f64, EngineError> {
        self.upload_steps(steps);
        let start = Instant::now();
        let mut encoder = self.device.device.create_command_encoder(&Default::default());
        if let Some(dispatch) = self.dispatches.get(&(kind, pass)) {
            let mut compute = encoder.begin_compute_pass(&Default::default());
            (0..times).for_each(|_| self.record(&mut compute, dispatch, 0));
        }
        let staging = &self.buffers.records_staging;
        encoder.copy_buffer_to_buffer(&self.buffers.records, 0, staging, 0, 4);
        self.device.submit_and_read(encoder.finish(), staging, 4, "a dispatch", |_| ())?;
        Ok(start.elapsed().as_secs_f64())
    }

    /// Uploads `steps` (`[S, K]`, at most `longest` steps) and, if the data stream, their rows.
    fn upload_steps(&mut self, steps: &[StepRow]) {
        self.submits = self.submits.wrapping_add(1);
        let mut rows = steps.to_vec();
        self.data.fill(&self.device, &self.population, &mut rows);
        rows.iter_mut().for_each(|row| row.nonce = self.submits);
        self.device.queue.write_buffer(&self.buffers.steps, 0, bytemuck::cast_slice(&rows));
    }

    fn record(&self, pass: &mut wgpu::ComputePass, dispatch: &Dispatch, slot: usize) {
        if dispatch.grid.is_some() {
            pass.set_bind_group(0, &self.buffers.now_group, &[slot as u32 * self.now_stride]);
            dispatch.record(pass);
        }
    }

    /// One submit of at most `longest` steps.
    fn submit(&mut self, kind: StepKind, steps: &[StepRow]) -> Result<Vec<Record>, EngineError> {
        let k = self.population.len();
        let start = Instant::now();
        self.upload_steps(steps);
        let bytes = std::mem::size_of::<Record>() as u64 * steps.len() as u64;
        let mut encoder = self.device.device.create_command_encoder(&Default::default());
        encoder.clear_buffer(&self.buffers.records, 0, Some(bytes));
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            for slot in 0..steps.len() / k {
                for pass_ in &self.plans[kind as usize] {
                    if let Some(dispatch) = self.dispatches.get(&(kind, *pass_)) {
                        self.record(&mut pass, dispatch, slot);
                    }
                }
            }
        }
        encoder.copy_buffer_to_buffer(&self.buffers.records, 0, &self.buffers.records_staging, 0, bytes);
        let mut records = self.device.submit_and_read(
            encoder.finish(),
            &self.buffers.records_staging,
            bytes,
            "a submit",
            bytemuck::pod_collect_to_vec::<u8, Record>,
        )?;
        for (record, step) in records.iter_mut().zip(steps).filter(|(_, step)| step.rows > 0) {
            if (record.nonce, record.step, record.rows) != (self.submits, step.step, step.rows) {
                return Err(EngineError::Canary {
                    device: self.device.name(),
                    expected: step.step,
                    got: record.step,
                });
            }
            record.nonce = 0;
        }
        let (count, seconds) = (steps.len() / k, start.elapsed().as_secs_f64());
        let work = self.population.work(|slot| steps[slot].rows > 0);
        if self.device.was_late() {
            self.pacers.iter_mut().for_each(Pacer::shorten);
        }
        self.pacers[kind as usize].learn(count, work, seconds);
        let pace = self.pacers[kind as usize].pace();
        log::debug!(
            "submit {}: {count} {kind:?} steps in {:.1} ms, next {pace}",
            self.submits,
            1e3 * seconds
        );
        Ok(records)
    }
}

impl Engine for GpuEngine {
    fn info(&self) -> &EngineInfo {
        &self.info
    }

    fn population(&self) -> &Arc<Population> {
        &self.population
    }

    fn precision(&self) -> Precision {
        self.device.options.precision
    }

    fn supports(&self, member: &Member) -> Result<(), EngineError> {
        supported(&self.device, member)
    }

    fn initialize(&mut self) -> Result<(), EngineError> {
        self.initialize_slots(0..self.population.len())
    }

    fn refill(&mut self, population: &Arc<Population>, slots: &[usize]) -> Result<(), EngineError> {
        slots.iter().try_for_each(|&slot| self.supports(&population.members[slot]))?;
        self.population = population.clone();
        self.describe(slots.iter().copied())?;
        let work = population.work(|_| true);
        self.pacers.iter_mut().for_each(|pacer| pacer.expect(work));
        self.initialize_slots(slots.iter().copied())
    }

    fn run(&mut self, kind: StepKind, steps: &[StepRow]) -> Result<Vec<Record>, EngineError> {
        let k = self.population.len();
        let mut records = Vec::with_capacity(steps.len());
        let mut rest = steps;
        while !rest.is_empty() {
            let fits = self.data.steps_that_fit(rest, k).min(self.longest).min(self.pace(kind).max(1));
            let (now, later) = rest.split_at((fits * k).min(rest.len()));
            records.extend(self.submit(kind, now)?);
            rest = later;
        }
        Ok(records)
    }

    fn ceilings(&mut self) -> Result<Ceilings, EngineError> {
        ceilings::measure(&self.device)
    }

    fn profile(&mut self, steps: &[StepRow], seconds: f64) -> Result<Vec<(Vec<Op>, f64)>, EngineError> {
        let passes = self.passes(StepKind::Train);
        let each = seconds / passes.len().max(1) as f64;
        let mut parts = Vec::with_capacity(passes.len());
        for pass in passes {
            // Enough dispatches to make the cost of the submit negligible.
            let (mut times, mut took) = (1, self.time(StepKind::Train, pass, steps, 1)?);
            while took < each / 8.0 && times < LONGEST_SUBMIT {
                times *= 2;
                took = self.time(StepKind::Train, pass, steps, times)?;
            }
            let mut all = vec![took];
            for _ in 0..4 {
                all.push(self.time(StepKind::Train, pass, steps, times)?);
            }
            parts.push((pass.ops(self.population.layers), quantile(&mut all, 0.5) / times as f64));
        }
        Ok(parts)
    }

    fn pace(&self, kind: StepKind) -> usize {
        self.pacers[kind as usize].pace()
    }

    fn run_op(&mut self, op: Op, steps: &[StepRow]) -> Result<(), EngineError> {
        self.upload_steps(steps);
        // Uses the kernel of this operation alone, for all members.
        let pass = Pass::One(op);
        let kernel = Kernel::of(pass, self.data.is_bytes());
        while let Err(error) = self.device.prepare([kernel].into_iter(), &self.ways) {
            self.go_around(error)?;
            self.describe(0..0)?;
        }
        // The kind of step does not matter here.
        let jobs = work::jobs(&self.population, StepKind::Evaluate, pass, &self.ways.separate());
        let list = WorkList { offset: 0, capacity: jobs.len() };
        let work = self.device.storage("a work list", list.bytes())?;
        let mut dispatch = Dispatch::new(kernel, list);
        let (mut sources, ..) = self.parts();
        sources.work = &work;
        dispatch.write_jobs(&sources, &jobs)?;
        let mut encoder = self.device.device.create_command_encoder(&Default::default());
        {
            let mut pass = encoder.begin_compute_pass(&Default::default());
            self.record(&mut pass, &dispatch, 0);
        }
        // A submit of its own: hundreds of queued operations would look like a hang.
        let submit = self.device.queue.submit([encoder.finish()]);
        self.device.wait(submit, "an operation")
    }

    fn read_regions(&mut self, regions: &[(Buffer, Range<usize>)]) -> Result<Vec<Vec<f32>>, EngineError> {
        self.read_back(regions)
    }

    fn write_region(&mut self, buffer: Buffer, start: usize, values: &[f32]) -> Result<(), EngineError> {
        self.device.write(&self.roles[buffer as usize], 4 * start as u64, bytemuck::cast_slice(values))
    }
}

/// The engine's description: the device, and the kernels it refused.
fn info(device: &Device, ways: &Ways) -> EngineInfo {
    let mut info = device.info.clone();
    if let (Some(refused), Some(details)) = (device.refused.details(), info.details.as_object_mut()) {
        details.insert("refused_kernels".into(), refused);
        details.insert("ways".into(), serde_json::to_value(ways).unwrap_or_default());
    }
    info
}

/// The dispatches of all steps of `plans` by `ways`, with space for the longest possible work lists.
fn lists(
    device: &Device,
    population: &Population,
    plans: &[Vec<Pass>; StepKind::COUNT],
    data: &DataWindow,
    ways: &Ways,
) -> Result<Lists, EngineError> {
    let kinds = StepKind::ALL.into_iter().zip(plans);
    let all: Vec<(StepKind, Pass)> =
        kinds.flat_map(|(kind, plan)| plan.iter().map(move |&pass| (kind, pass))).collect();
    let capacity = |&(kind, pass): &(_, Pass)| work::capacity(population, pass, &ways.of(kind));
    // The last list is for the chunks of new members; they have no more chunks than blocks.
    let chunks = population.sizes[Buffer::Partials as usize];
    let capacities: Vec<usize> = all.iter().map(capacity).chain([chunks]).collect();
    // Later lists can then not be refused.
    capacities.iter().try_for_each(|&capacity| fold(device, capacity.max(1)).map(drop))?;
    let (mut lists, bytes) =
        work::arrange(capacities.into_iter(), device.limits.min_storage_buffer_offset_alignment as u64);
    let work = device.storage("the work lists", bytes)?;
    let bytes = data.is_bytes();
    let initialize = Dispatch::new(Kernel::Initialize, lists.pop().unwrap_or_default());
    let made = all.iter().zip(lists).filter(|(_, list)| list.capacity > 0);
    let dispatches = made.map(|(&key, list)| (key, Dispatch::new(Kernel::of(key.1, bytes), list))).collect();
    Ok(Lists { work, dispatches, initialize })
}

/// Whether every kernel can handle a member's sizes on this device.
fn supported(device: &Device, member: &Member) -> Result<(), EngineError> {
    if !device.software {
        return Ok(());
    }
    let products = || member.layers.iter().filter_map(LayerRow::products);
    let widest = products().map(|of| of.inputs.max(of.outputs)).max().unwrap_or(0);
    let rows = products().map(|of| of.rows).max().unwrap_or(1);
    // A product loads and adds each term, in tiles, and writes 64 elements at the end; in half precision it first finds
    // the largest, and loads more.
    let product = |terms: usize| match device.options.precision {
        Precision::F32 => 2 * terms + terms / 16 + 96,
        Precision::F16 => 8 * terms + terms / 4 + 1024,
    };
    let loops = [
        ("the widest layer's units", product(widest)),
        ("the rows of a batch", product(rows * member.walk.batch)),
        ("the classes, in passes,", (4 * member.sub_models() - 1) * member.outputs()),
    ];
    match loops.into_iter().find(|(_, count)| *count > SOFTWARE_ITERATIONS) {
        None => Ok(()),
        Some((what, count)) => Err(EngineError::Unsupported {
            device: device.name(),
            what: format!(
                "{what} need {count} loop iterations, more than a software adapter can run \
                 ({SOFTWARE_ITERATIONS}); use --device cpu"
            ),
        }),
    }
}

/// The contents of a role of memory, for messages.
fn contents(role: Buffer) -> &'static str {
    match role {
        Buffer::Params => "the parameters",
        Buffer::Grads => "the gradients",
        Buffer::Moments => "the optimiser's moments",
        Buffer::Stats => "the statistics of batch normalisation",
        Buffer::Acts => "a batch's activations",
        Buffer::Z => "a batch's Z",
        Buffer::Dz => "a batch's gradients",
        Buffer::Index => "a batch's rows",
        Buffer::RowLoss => "a batch's losses",
        Buffer::Partials => "the partial sums",
        Buffer::State => "the members' state",
        Buffer::Looks => "what is watched",
        Buffer::Inputs => "the embeddings",
    }
}

/// A storage buffer that holds `bytes`.
fn upload(device: &Device, label: &str, bytes: &[u8]) -> Result<wgpu::Buffer, EngineError> {
    let buffer = device.storage(label, bytes.len() as u64)?;
    device.write(&buffer, 0, bytes)?;
    Ok(buffer)
}

/// The contents of the `now` buffer.
fn now_bytes(longest: usize, stride: u32, members: u32) -> Vec<u8> {
    let mut bytes = vec![0u8; longest * stride as usize];
    for slot in 0..longest {
        let words = [slot as u32, members, 0, 0];
        bytes[slot * stride as usize..][..16].copy_from_slice(bytemuck::bytes_of(&words));
    }
    bytes
}

/// The uniform that selects the step of the submit for a dispatch, by a dynamic offset.
fn now(device: &Device, longest: usize, stride: u32, members: u32) -> Result<wgpu::BindGroup, EngineError> {
    let bytes = now_bytes(longest, stride, members);
    device.scoped("the step counter", || {
        let buffer = device.device.create_buffer(&wgpu::BufferDescriptor {
            label: Some("now"),
            size: bytes.len() as u64,
            usage: wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        device.queue.write_buffer(&buffer, 0, &bytes);

        device.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some("now"),
            layout: &device.now_layout,
            entries: &[wgpu::BindGroupEntry {
                binding: 0,
                resource: wgpu::BindingResource::Buffer(wgpu::BufferBinding {
                    buffer: &buffer,
                    offset: 0,
                    size: wgpu::BufferSize::new(16),
                }),
            }],
        })
    })
}
