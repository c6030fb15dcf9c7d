//! What a training step of the benchmark's networks dispatches: its kernels, and the workgroups of each.

use bngpu::bench::CASES;
use bngpu::engine::gpu::kernels::Kernel;
use bngpu::engine::gpu::passes::{Pass, passes};
use bngpu::engine::gpu::tiles::{Abilities, Ways};
use bngpu::engine::gpu::work::jobs;
use bngpu::step::{StepKind, plan};

/// Storage buffers that a kernel may bind on a GPU: more than any kernel does.
const BINDINGS: usize = 16;

/// The ways of a GPU that was not tuned.
pub fn usual() -> Ways {
    Ways::usual(&Abilities { bindings: BINDINGS, ..Abilities::default() })
}

/// One dispatch of a step: its kernel, and its workgroups.
pub struct Dispatch {
    pub kernel: Kernel,
    pub pass: Pass,
    pub workgroups: usize,
}

/// The dispatches of one step of `members` models of the benchmark's case `name`, by `ways`.
pub fn dispatches(name: &str, members: usize, kind: StepKind, ways: &Ways) -> Vec<Dispatch> {
    let Some(case) = CASES.iter().find(|case| case.name == name) else { return Vec::new() };
    let population = case.population(members, true);
    let plan = passes(&plan(&population, kind));
    let all = plan.into_iter().map(|pass| Dispatch {
        kernel: Kernel::of(pass, true),
        pass,
        workgroups: jobs(&population, kind, pass, ways).len(),
    });
    all.filter(|dispatch| dispatch.workgroups > 0).collect()
}

/// The kernels whose pipelines a training of case a needs before its first step.
pub fn of_case_a() -> Vec<Kernel> {
    let kinds = [StepKind::Train, StepKind::Evaluate];
    let all = kinds.into_iter().flat_map(|kind| dispatches("a", 1, kind, &usual()));
    let mut kernels: Vec<_> = all.map(|dispatch| dispatch.kernel).chain([Kernel::Initialize]).collect();
    kernels.sort_unstable();
    kernels.dedup();
    kernels
}
