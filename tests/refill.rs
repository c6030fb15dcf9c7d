//! Refills slots while other members continue, on the CPU engine; the suites are in `common/refill.rs`.

use std::sync::Arc;

use bngpu::engine::cpu::CpuEngine;
use bngpu::engine::gpu::passes::passes;
use bngpu::engine::gpu::tiles::{Abilities, Ways};
use bngpu::engine::gpu::work;
use bngpu::engine::{CpuFactory, Engine};
use bngpu::population::{Member, Population, Room};
use bngpu::step::memory::Table;
use bngpu::step::{Op, StepKind, plan};

use crate::common::random_population::{Case, Rng, Space, random_member};
use crate::common::refill;
use crate::common::training::{EAGER, LAZY, digits};

fn make(population: Arc<Population>, table: Arc<Table>) -> Box<dyn Engine> {
    Box::new(CpuEngine::<f32>::new(population, table))
}

#[test]
fn a_refill_touches_its_slot_alone() {
    (0..12).for_each(|seed| refill::a_refill_touches_its_slot_alone(&make, seed));
}

#[test]
fn a_stream_of_members_through_a_few_slots_trains_each_as_if_alone() {
    let (factory, problem) = (CpuFactory::default(), digits(0.8));
    for seed in 0..3 {
        let trainings = refill::stream_of(40, seed);
        let alone = refill::each_alone(&factory, &trainings, &problem);
        for pace in [EAGER, LAZY] {
            let (found, moved) = refill::stream(&factory, &trainings, &problem, pace, seed);
            assert!(moved > 10, "{moved}");
            refill::assert_as_alone(&found, &alone, &format!("stream {seed}"));
        }
    }
}

/// The GPU's work lists have a fixed length: no mixture of members that fits the room has more jobs.
#[test]
fn work_lists_are_never_too_short() {
    let mut closest: f64 = 0.0;
    let ways = [true, false].map(|software| {
        let subgroup = software.then_some(8);
        Ways::usual(&Abilities { software, subgroup, bindings: 16, cooperative: None })
    });
    let ways =
        [ways[0], ways[1], ways[0].separate(), Ways { fused_rows: 100, fused_weights: 2000, ..ways[1] }];
    for seed in 0..40 {
        let case = Case::random(seed, &Space::of_members(30));
        let mut all: Vec<Arc<Member>> = case.population.members.clone();
        let rng = &mut Rng(seed);
        let loss = all[0].loss;
        // The worst case is one row and one column more than whole tiles.
        let worst = Space { widths: &[65, 129, 1], batches: &[257, 321], ..Space::TILES };
        all.extend(
            (0..10).map(|_| Arc::new(random_member(rng, &worst, loss, &*case.table, case.train_rows))),
        );
        let slots = rng.between(1, 12);
        let some: Vec<&Member> = all.iter().map(|m| &**m).collect();
        let mut population = Population::with_room(slots, Room::for_members(&some, slots));
        for _ in 0..60 {
            let slot = rng.between(0, slots - 1);
            if rng.chance(0.2) {
                population.vacate(slot);
            } else {
                let _ = population.place(slot, all[rng.between(0, all.len() - 1)].clone());
            }
            let ops: Vec<Op> = StepKind::ALL.iter().flat_map(|&kind| plan(&population, kind)).collect();
            for (pass, ways) in passes(&ops).into_iter().flat_map(|pass| ways.map(|ways| (pass, ways))) {
                let jobs = work::jobs(&population, StepKind::Evaluate, pass, &ways).len();
                let most = work::capacity(&population, pass, &ways);
                assert!(jobs <= most, "case {seed}, {pass:?}: {jobs} jobs, room for {most}");
                closest = closest.max(jobs as f64 / most.max(1) as f64);
            }
        }
    }
    assert!(closest > 0.8, "the fullest list has only {closest} of its length");
}
