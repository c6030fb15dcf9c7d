//! Lanes whose devices fail: every training ends once, with the same results as without faults.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Condvar, Mutex};

use super::lane::{Desk, LaneEnd, Sink, StageContext, lock, run};
use super::plan::Slots;
use super::schedule::{Scheduler, TrainingId};
use super::{Stage, Study, TrialRecord, TrialStatus};
use crate::engine::{CpuFactory, EngineFactory};
use crate::population::random::pcg4d;
use crate::population::{Member, Room};
use crate::run::RunError;
use crate::spec::{RunRequest, SweepRequest};
use crate::train::tests::faulty::{Fault, FaultyFactory};
use crate::train::tests::{EAGER, problem};
use crate::train::{MemberCheckpoint, MemberState, Pace, Problem, Stop, TrainError, member};

const REQUEST: &str = "
    bn = true
    strategy = 'random'
    trials = 10
    seeds = 2
    halving = true
    [space]
    lr = '1e-3..1e-1:log'
    hidden = ['9-7', '4', '12-5-3']
    batch-size = [16, 30]
    epochs = [2, 3, 4]
";

#[derive(Default)]
struct Records(Vec<TrialRecord>);

impl Sink for Records {
    fn progress(
        &mut self,
        _: TrainingId,
        _: &RunRequest,
        _: &Member,
        at: &MemberCheckpoint,
    ) -> Result<(), RunError> {
        assert!(at.state.ended.is_none());
        Ok(())
    }
    fn ended(
        &mut self,
        record: TrialRecord,
        _: Option<(&RunRequest, &Member, &MemberState)>,
    ) -> Result<(), RunError> {
        self.0.push(record);
        Ok(())
    }
}

/// Results that do not depend on time and lane, by training.
type Outcome = BTreeMap<TrainingId, (TrialStatus, u64, Option<f64>, Option<String>)>;

/// Trains until all is done. When a lane fails, the next factory takes over.
fn search(problem: &Problem, slots: usize, pace: Pace, factories: &[&dyn EngineFactory]) -> (Outcome, usize) {
    let request = SweepRequest::from_toml(REQUEST, Path::new("config.toml")).unwrap();
    let study = Study::new(&request).unwrap();
    let members: Vec<Member> = study
        .estimate(10)
        .iter()
        .map(|params| member(&request.run_request(params, 0).unwrap().training, problem).unwrap())
        .collect();
    let room = Room::for_members(&members.iter().collect::<Vec<_>>(), slots);
    let scheduler = Scheduler::new(Box::new(study), 0..10, vec![0, 1], request.halving, 4, 8);
    let sink = Mutex::new(Records::default());
    let shared = StageContext {
        request: &request,
        problem,
        stage: Stage::Search,
        desk: Mutex::new(Desk::new(scheduler, None)),
        changed: Condvar::new(),
        sink: &sink,
        observer: &(),
        stop: &Stop::default(),
        speed: None,
        round: Vec::new(),
        lanes: Vec::new(),
        finals: 0,
        pace,
    };
    let mut failed = 0;
    for factory in factories.iter().cycle().take(50) {
        match run(&shared, 0, *factory, Slots { slots, room }) {
            Ok(end) => {
                assert_eq!(end, LaneEnd::Done);
                break;
            }
            Err(TrainError::GaveUp { .. }) => failed += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert!(lock(&shared.desk).scheduler.is_done());
    let mut outcome = Outcome::new();
    for r in std::mem::take(&mut lock(&sink).0) {
        let id = TrainingId { trial: r.trial, seed: r.seed };
        let twice = outcome.insert(id, (r.status, r.epochs, r.val_loss, r.weights));
        assert_eq!(twice, None, "{id:?} ended twice");
    }
    (outcome, failed)
}

#[test]
fn device_faults_do_not_change_any_trial() {
    let problem = problem();
    let (expected, _) = search(&problem, 3, EAGER, &[&CpuFactory::default()]);
    assert_eq!(expected.len(), 20);
    let stopped = expected.values().filter(|(status, ..)| *status == TrialStatus::Stopped).count();
    assert!((6..=18).contains(&stopped), "{stopped} of 20 were stopped by halving");
    let mut met = 0;
    for seed in 0..30 {
        let factory = FaultyFactory::default();
        let kinds = [Fault::Lost, Fault::Timeout, Fault::OutOfMemory, Fault::Stale];
        for nth in 0..6 {
            let [at, kind, ..] = pcg4d([seed, nth, 7, 9]);
            factory.script.faults.borrow_mut().insert(at as usize % 1500, kinds[kind as usize % 4]);
        }
        let slots = 1 + seed as usize % 4;
        let (got, _) = search(&problem, slots, EAGER, &[&factory]);
        assert!(got == expected, "seed {seed}, {slots} slots: {got:?} {expected:?}");
        met += factory.script.met.get();
    }
    assert!(met > 60, "only {met} faults were met");
}

#[test]
fn a_lane_whose_device_is_gone_gives_its_trainings_to_another() {
    let problem = problem();
    let good = CpuFactory::default();
    let (expected, _) = search(&problem, 3, EAGER, &[&good]);
    for dead_from in [0, 1, 5, 60, 300, 700] {
        let factory = FaultyFactory::default();
        factory.script.dead_from.set(Some(dead_from));
        let (got, failed) = search(&problem, 3, EAGER, &[&factory, &good]);
        assert!(got == expected, "dead from call {dead_from}");
        assert!(failed == 1, "the lane failed {failed} times");
    }
}
