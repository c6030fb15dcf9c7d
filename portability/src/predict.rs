//! What a training step should take on GPUs that are not here: a prediction from workgroups, lanes and waits, no figure.
//!
//! A workgroup of a product goes through K in parts of DEPTH. For each part it waits once for memory (all its loads are on
//! their way together), and issues for each invocation DEPTH (RM RN + RM + RN) instructions, multiply-adds and reads of
//! workgroup memory, and about eight for each element that it brings. A unit (SM, CU, Xe core, core) hides the wait of
//! one workgroup behind the issue of the others that it holds:
//!
//! ```text
//! part  = max(wait + issue, resident * issue)
//! step  = sum over dispatches of (start + rounds * parts * part + tail)
//! ```
//!
//! where `resident` are the workgroups that a unit holds at once, and `rounds` how often the device is filled. Normalising,
//! the activation and the optimiser are the `tail`: each of its passes over the rows is a wait and its instructions.

use bngpu::engine::gpu::passes::Pass;
use bngpu::engine::gpu::tiles::{Abilities, Shape, Tile, Ways};
use bngpu::step::{Op, Product, StepKind};

use crate::steps::{self, Dispatch};

/// A GPU as its data sheet has it; the waits are what microbenchmarks of its kind publish, rounded.
struct Gpu {
    name: &'static str,
    units: f64,
    /// Multiply-adds of a unit a cycle.
    lanes: f64,
    ghz: f64,
    /// Cycles until a load from the second-level cache arrives.
    wait: f64,
    /// Bytes of workgroup memory, and invocations, that a unit holds.
    memory: f64,
    invocations: f64,
}

const GPUS: [Gpu; 8] = [
    gpu("NVIDIA H100", 132.0, 128.0, 1.75, 270.0, 228.0, 2048.0),
    gpu("NVIDIA RTX 4060", 24.0, 128.0, 2.46, 270.0, 100.0, 1536.0),
    gpu("AMD RX 7900 XTX", 96.0, 64.0, 2.5, 320.0, 64.0, 1024.0),
    gpu("AMD RX 6600", 28.0, 64.0, 2.49, 320.0, 64.0, 1024.0),
    gpu("Intel Arc A770", 32.0, 128.0, 2.1, 350.0, 128.0, 1024.0),
    gpu("Intel Iris Xe 96", 6.0, 128.0, 1.3, 350.0, 128.0, 896.0),
    gpu("Apple M1", 8.0, 128.0, 1.28, 300.0, 60.0, 1024.0),
    gpu("Apple M3 Max", 40.0, 128.0, 1.6, 300.0, 60.0, 1024.0),
];

const fn gpu(
    name: &'static str,
    units: f64,
    lanes: f64,
    ghz: f64,
    wait: f64,
    kib: f64,
    invocations: f64,
) -> Gpu {
    Gpu { name, units, lanes, ghz, wait, memory: 1024.0 * kib, invocations }
}

/// Microseconds of a dispatch and the barrier before it.
const START_US: f64 = 2.0;
/// Instructions for each element that an invocation brings: its address, its bounds, the load, the store.
const BRING: f64 = 8.0;
/// Cycles of the two barriers of a part, and of reading what the others stored.
const MEET: f64 = 120.0;

/// Prints, for each GPU and layout, microseconds of a step of case a at K = 1 and of a model at K = 64.
pub fn predict() {
    let usual = steps::usual();
    let can = Abilities { bindings: usual.bindings, ..Abilities::default() };
    let features =
        Tile::candidates(Shape::Features, &can).into_iter().map(|features| Ways { features, ..usual });
    let blocks =
        Tile::candidates(Shape::Block, &can).into_iter().skip(1).map(|block| Ways { block, ..usual });
    let all: Vec<Ways> = features.chain(blocks).collect();
    let heads = all.iter().map(|ways| match *ways == usual {
        true => "as usual".to_owned(),
        false if ways.block == usual.block => format!("features {}", ways.features),
        false => format!("blocks {}", ways.block),
    });
    println!("| | {} |", heads.collect::<Vec<_>>().join(" | "));
    println!("|---|{}", "---|".repeat(all.len()));
    let dispatches = |members: usize| -> Vec<Vec<Dispatch>> {
        all.iter().map(|ways| steps::dispatches("a", members, StepKind::Train, ways)).collect()
    };
    let (one, many) = (dispatches(1), dispatches(64));
    let hidden = |of: &[Dispatch]| {
        of.iter().find(|d| matches!(d.pass, Pass::Hidden { .. })).map_or(0, |d| d.workgroups)
    };
    let groups: Vec<String> =
        one.iter().zip(&many).map(|(one, many)| format!("{}; {}", hidden(one), hidden(many))).collect();
    println!("| workgroups of a hidden layer, K = 1; 64 | {} |", groups.join(" | "));
    for gpu in &GPUS {
        let times = all.iter().enumerate().map(|(at, ways)| {
            let (t1, t64) = (step_us(gpu, &one[at], ways), step_us(gpu, &many[at], ways) / 64.0);
            format!("{t1:.0}; {t64:.1}")
        });
        println!("| {} ({} units) | {} |", gpu.name, gpu.units, times.collect::<Vec<_>>().join(" | "));
    }
}

fn step_us(gpu: &Gpu, dispatches: &[Dispatch], ways: &Ways) -> f64 {
    dispatches.iter().map(|dispatch| START_US + dispatch_cycles(gpu, dispatch, ways) / (1e3 * gpu.ghz)).sum()
}

/// Inputs, outputs and rows of case a, by layer.
const WIDTHS: [f64; 5] = [784.0, 100.0, 100.0, 100.0, 10.0];
const ROWS: f64 = 60.0;

fn dispatch_cycles(gpu: &Gpu, dispatch: &Dispatch, ways: &Ways) -> f64 {
    let groups = dispatch.workgroups as f64;
    // (layout, length of K, passes of the tail over an invocation's part)
    let (tile, depth, passes) = match dispatch.pass {
        Pass::Hidden { layer, .. } => (ways.features, WIDTHS[layer], 4.0),
        Pass::HiddenBackward { layer } => (ways.features, WIDTHS[layer + 2], 3.0),
        Pass::Output => (ways.output, WIDTHS[3], 4.0),
        Pass::Descent => (ways.block, ROWS, 2.0),
        Pass::One(Op::Matmul { product: Product::BackwardWeight, .. }) => (ways.product, ROWS, 1.0),
        Pass::One(Op::Matmul { .. }) => (ways.product, WIDTHS[3], 1.0),
        // Gather and record: a few loads.
        Pass::One(_) => return rounds(groups, gpu.units * 8.0) * 2.0 * (gpu.wait + MEET),
    };
    let shape = tile.workgroup_shape().unwrap_or_default();
    let (lanes, own) = (shape.lanes as f64, (shape.rows * shape.columns) as f64);
    let share = lanes / gpu.lanes;
    let brought = (tile.m() + tile.n()) as f64 * shape.depth as f64 / lanes;
    let issue = share * (shape.depth as f64 * (own + (shape.rows + shape.columns) as f64) + BRING * brought);
    let memory = 4.0 * shape.depth as f64 * (tile.m() + tile.n() + 2) as f64 + 8.0 * lanes;
    let fits = (gpu.memory / memory).min(gpu.invocations / lanes).floor().max(1.0);
    let resident = (groups / gpu.units).ceil().min(fits);
    let part = (gpu.wait + MEET + issue).max(resident * issue);
    let tail = passes * (gpu.wait + MEET + share * own * 12.0).max(resident * share * own * 12.0);
    rounds(groups, gpu.units * resident) * ((depth / shape.depth as f64).ceil() * part + tail)
}

fn rounds(groups: f64, at_once: f64) -> f64 {
    (groups / at_once).ceil()
}
