//! Slots are vacated and filled while the others keep the same bits. Suites for any engine.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use bngpu::data::Part;
use bngpu::engine::EngineFactory;
use bngpu::population::tables::StepRow;
use bngpu::population::{Buffer, Member, Population, Room, training_step};
use bngpu::spec::{Length, Training};
use bngpu::step::StepKind;
use bngpu::train::{
    Advance, Arrival, Ended, MemberCheckpoint, MemberState, Pace, Problem, Stop, Trainer, member,
};

use super::close::assert_same_bits;
use super::invariance::{region, snapshot};
use super::probe::Make;
use super::random_population::{Case, Rng, Space, random_member, random_training};
use super::training::{LAZY, Told, assert_same_member, train};

/// Members come and go in an engine: neighbours keep every bit, a new member has the same bits as in an engine of its
/// own, and the slot's previous memory is never read.
pub fn a_refill_touches_its_slot_alone(make: &Make, seed: u64) {
    const SLOTS: usize = 4;
    let case = Case::random(seed, &Space::of_members(SLOTS));
    let rng = &mut Rng(seed);
    let loss = case.population.members[0].loss;
    let mut newcomer = || Arc::new(random_member(rng, &Space::TILES, loss, &*case.table, case.train_rows));
    let others: Vec<Arc<Member>> = (0..12).map(|_| newcomer()).collect();
    let all: Vec<&Member> = case.population.members.iter().chain(&others).map(|m| &**m).collect();
    let mut population = Population::with_room(SLOTS, Room::for_members(&all, SLOTS));
    let mut engine = make(Arc::new(population.clone()), case.table.clone());
    engine.initialize().expect("initialises");
    for buffer in Buffer::ALL.into_iter().filter(|buffer| *buffer != Buffer::State) {
        let stale = if buffer == Buffer::Index { 0.0 } else { f32::NAN };
        engine.write(buffer, &vec![stale; population.sizes[buffer as usize]]).expect("writes");
    }
    let nobody = engine.run(StepKind::Train, &[StepRow::IDLE; SLOTS]).expect("runs nothing");
    assert!(nobody.iter().all(|record| record.rows == 0));

    // The steps done by each slot's member, and an engine with that member alone.
    let mut made = [0; SLOTS];
    let mut alone: Vec<Option<_>> = (0..SLOTS).map(|_| None).collect();
    let mut waiting: VecDeque<Arc<Member>> = case.population.members.iter().cloned().chain(others).collect();
    let (mut placed, mut round) = (0, 0);
    while !waiting.is_empty() {
        let slots: Vec<usize> = if round == 0 { (0..SLOTS).collect() } else { vec![round % SLOTS] };
        round += 1;
        let before = snapshot(&mut *engine);
        for &slot in &slots {
            population.vacate(slot);
            made[slot] = 0;
            alone[slot] = None;
            if let Some(member) = waiting.pop_front() {
                if population.place(slot, member.clone()) {
                    let own = Arc::new(Population::new(vec![member]));
                    let mut engine = make(own.clone(), case.table.clone());
                    engine.initialize().expect("initialises");
                    alone[slot] = Some((own, engine));
                    placed += 1;
                } else {
                    waiting.push_back(member);
                }
            }
        }
        let now = Arc::new(population.clone());
        engine.refill(&now, &slots).unwrap_or_else(|e| panic!("case {seed}, round {round}: {e}"));
        let after = snapshot(&mut *engine);
        for (slot, alone) in alone.iter_mut().enumerate() {
            let what = format!("case {seed}, round {round}, slot {slot}");
            match (alone, slots.contains(&slot)) {
                (Some((own, engine)), true) => {
                    let fresh = snapshot(&mut **engine);
                    for buffer in [Buffer::Params, Buffer::Moments, Buffer::Stats, Buffer::State] {
                        let (got, expected) =
                            (region(&after, &now, slot, buffer), region(&fresh, own, 0, buffer));
                        assert_same_bits(got, expected, &format!("{what}: {buffer:?} of a new member"));
                    }
                }
                (Some(_), false) => {
                    for buffer in Buffer::ALL {
                        let (got, expected) =
                            (region(&after, &now, slot, buffer), region(&before, &now, slot, buffer));
                        assert_same_bits(got, expected, &format!("{what}: {buffer:?} of a neighbour"));
                    }
                }
                (None, _) => {}
            }
        }
        let step = |slot: usize, s: u64| {
            let m = &now.members[slot];
            training_step(&m.training, &m.walk, s, 1000)
        };
        let steps: Vec<StepRow> = (0..3)
            .flat_map(|s| (0..SLOTS).map(move |slot| (slot, s)))
            .map(|(slot, s)| if now.is_vacant(slot) { StepRow::IDLE } else { step(slot, made[slot] + s) })
            .collect();
        let records = engine.run(StepKind::Train, &steps).expect("trains");
        let trained = snapshot(&mut *engine);
        for (slot, alone) in alone.iter_mut().enumerate() {
            let Some((own, engine)) = alone else { continue };
            let own_steps: Vec<StepRow> = (0..3).map(|s| step(slot, made[slot] + s)).collect();
            let own_records = engine.run(StepKind::Train, &own_steps).expect("trains");
            let what = format!("case {seed}, round {round}, slot {slot}, trained");
            for (got, expected) in records.iter().skip(slot).step_by(SLOTS).zip(&own_records) {
                assert!(bytemuck::bytes_of(got) == bytemuck::bytes_of(expected), "{what}: {got:?}");
            }
            let expected = snapshot(&mut **engine);
            for buffer in [Buffer::Params, Buffer::Moments, Buffer::Stats, Buffer::State] {
                let (got, expected) =
                    (region(&trained, &now, slot, buffer), region(&expected, own, 0, buffer));
                assert_same_bits(got, expected, &format!("{what}: {buffer:?}"));
            }
            made[slot] += 3;
        }
    }
    assert_eq!(placed, 16);
}

/// Trainings with different settings, of a few dozen steps each.
pub fn stream_of(count: usize, seed: u64) -> Vec<Training> {
    let rng = &mut Rng(seed);
    let mut draw = || {
        let mut training = random_training(rng, &Space { batches: &[7, 16, 31, 64, 323], ..Space::TILES });
        training.length = Length::Steps(rng.between(2, 40) as u64);
        training.patience = rng.chance(0.2).then_some(2);
        training
    };
    (0..count).map(|_| draw()).collect()
}

/// The result of each training alone.
pub fn each_alone(
    factory: &dyn EngineFactory,
    trainings: &[Training],
    problem: &Problem,
) -> Vec<MemberCheckpoint> {
    let alone = |training: &Training| {
        let (result, told) = train(factory, training, problem, LAZY);
        result.unwrap_or_else(|e| panic!("{training:?}: {e}"));
        told.checkpoints.last().and_then(|last| last[0].clone()).expect("a checkpoint")
    };
    trainings.iter().map(alone).collect()
}

/// Passes `trainings` through the slots of two trainers, and moves some of them half-way. Returns the results and the
/// number of moves.
pub fn stream(
    factory: &dyn EngineFactory,
    trainings: &[Training],
    problem: &Problem,
    pace: Pace,
    seed: u64,
) -> (Vec<MemberCheckpoint>, usize) {
    const SLOTS: [usize; 2] = [5, 2];
    let rng = &mut Rng(seed);
    let members: Vec<Arc<Member>> =
        trainings.iter().map(|t| Arc::new(member(t, problem).expect("a possible training"))).collect();
    let all: Vec<&Member> = members.iter().map(|m| &**m).collect();
    let mut told = Told::default();
    let mut trainers = SLOTS.map(|slots| {
        let population = Population::with_room(slots, Room::for_members(&all, slots));
        Trainer::new(factory, population, problem, Vec::new(), pace, &mut told)
            .unwrap_or_else(|e| panic!("{e}"))
    });
    let mut waiting: VecDeque<(usize, Option<MemberCheckpoint>)> =
        (0..members.len()).map(|nth| (nth, None)).collect();
    let mut inside: [BTreeMap<usize, usize>; 2] = Default::default();
    let mut done: Vec<Option<MemberCheckpoint>> = vec![None; members.len()];
    let mut moved = 0;
    while done.iter().any(Option::is_none) {
        for (trainer, inside) in trainers.iter_mut().zip(&mut inside) {
            // Fills vacant slots from the waiting list.
            let vacant: Vec<usize> = trainer.population().vacant().collect();
            let mut who = BTreeMap::new();
            let arrivals = vacant.into_iter().map_while(|slot| {
                let (nth, from) = waiting.pop_front()?;
                who.insert(slot, nth);
                Some(Arrival { slot, member: members[nth].clone(), from })
            });
            let left = trainer.put_all(arrivals.collect(), &mut told).unwrap_or_else(|e| panic!("{e}"));
            for Arrival { slot, from, .. } in left {
                let nth = who.remove(&slot).expect("it came from here");
                waiting.push_back((nth, from));
            }
            inside.append(&mut who);

            let went = trainer.advance(&mut told, &Stop::default()).unwrap_or_else(|e| panic!("{e}"));
            assert!(went != Advance::Interrupted);
            assert_eq!(went == Advance::Idle, inside.is_empty());
            let ended = |slot: &usize| trainer.members()[*slot].state.ended.is_some();
            let over: Vec<usize> = inside.keys().copied().filter(ended).collect();
            check_best_models(trainer, &over, &mut told);
            for slot in over {
                let taken = trainer.take(slot, &mut told).unwrap_or_else(|e| panic!("{e}"));
                done[inside.remove(&slot).expect("the slot has a member")] = taken;
            }
            let going = inside.keys().copied().collect::<Vec<_>>();
            if let (false, true) = (going.is_empty(), rng.chance(0.3)) {
                let slot = going[rng.between(0, going.len() - 1)];
                let step = trainer.members()[slot].state.step;
                let taken = trainer.take(slot, &mut told).unwrap_or_else(|e| panic!("{e}")).expect("there");
                assert_eq!(taken.state.step, step, "taken at its step");
                waiting.push_back((inside.remove(&slot).expect("the slot has a member"), Some(taken)));
                moved += 1;
            }
        }
    }
    (done.into_iter().flatten().collect(), moved)
}

/// Checks that the best models have their recorded validation losses.
fn check_best_models(trainer: &mut Trainer, slots: &[usize], told: &mut Told) {
    let found = trainer.evaluate_best(slots, Part::Val, told).unwrap_or_else(|e| panic!("{e}"));
    for (&slot, found) in slots.iter().zip(found) {
        let MemberState { state, .. } = &trainer.members()[slot];
        let bits = |loss: f64| loss.to_bits();
        let expected = state.best.map(|best| bits(best.val_loss));
        assert_eq!(found.map(|(loss, _)| bits(loss)), expected, "slot {slot}: loss of the best model");
    }
}

/// Asserts that a stream gives the same results as each training alone.
pub fn assert_as_alone(found: &[MemberCheckpoint], alone: &[MemberCheckpoint], what: &str) {
    assert_eq!(found.len(), alone.len());
    for (nth, (found, alone)) in found.iter().zip(alone).enumerate() {
        assert!(!matches!(alone.state.ended, None | Some(Ended::Diverged { .. })), "{:?}", alone.state);
        assert_same_member(found, alone, &format!("{what}, member {nth}"));
    }
}
