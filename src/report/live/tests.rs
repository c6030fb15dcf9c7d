//! The display of made-up sweeps.

use std::time::{Duration, Instant};

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use serde_json::json;

use super::board::{Aim, Board, Counts};
use super::event::{LaneInfo, Request, SweepEvent};
use super::lines::{self, Lines};
use super::member::Standing;
use super::screen;
use super::theme::Theme;
use super::ui::{List, Press, Ui};
use crate::spec::{Objective, Params};
use crate::sweep::{Stage, TrialRecord, TrialStatus};

const PLAIN: Theme = Theme { colours: false, braille: true };

/// A board, and the clock of its sweep.
struct Sweep {
    board: Board,
    start: Instant,
    now: Instant,
}

impl Sweep {
    fn new(trainings: u64, lanes: usize, slots: u32) -> Sweep {
        let now = Instant::now();
        let aim = Aim { objective: Objective::ValLoss, regression: false };
        let mut sweep = Sweep { board: Board::new(aim, now), start: now, now };
        let info = |n: usize| LaneInfo { name: n.to_string(), device: "native CPU engine".into(), slots };
        sweep.tell(SweepEvent::Planned {
            trials: trainings,
            trainings,
            finals: 0,
            lanes: (0..lanes).map(info).collect(),
        });
        sweep
    }

    fn tell(&mut self, event: SweepEvent) {
        self.board.apply(&event, self.now);
    }

    fn wait(&mut self, seconds: f64) {
        self.now += Duration::from_secs_f64(seconds);
    }

    fn begin(&mut self, lane: usize, slot: u32, trial: u64) {
        let (seed, stage, epochs, at) = (0, Stage::Search, 10, 0.0);
        let params = params(trial);
        self.tell(SweepEvent::Started { lane, slot, trial, seed, stage, params, epochs, at });
        self.tell(SweepEvent::Step { lane, slot, step: 1, loss: 2.0, samples_per_s: 1000.0 });
    }

    fn epoch(&mut self, lane: usize, slot: u32, trial: u64, epoch: u64, val_loss: f64) {
        let (seed, val_loss, val_score) = (0, Some(val_loss), Some(1.0 - 0.1 * val_loss));
        let train_loss = 0.5;
        self.tell(SweepEvent::Epoch { lane, slot, trial, seed, epoch, train_loss, val_loss, val_score });
    }

    fn end(&mut self, trial: u64, status: TrialStatus, val_loss: Option<f64>) {
        self.end_as(record(trial, status, val_loss));
    }

    fn end_as(&mut self, record: TrialRecord) {
        self.tell(SweepEvent::Ended { lane: 0, slot: record.slot, record: Box::new(record) });
    }

    fn best(&self) -> Option<(u64, f64, Standing)> {
        let best = self.board.ranking();
        best.first().map(|best| (best.key.trial, best.reached.val_loss, best.standing))
    }

    fn press(&mut self, ui: &mut Ui, code: KeyCode) -> Option<Press> {
        ui.press(KeyEvent::new(code, KeyModifiers::NONE), &mut self.board, self.now)
    }

    fn draw(&self, ui: &mut Ui, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| screen::draw(frame, &self.board, ui, PLAIN, true, self.now)).unwrap();
        let buffer = terminal.backend().buffer();
        let row =
            |y| (0..width).map(|x| buffer[(x, y)].symbol()).collect::<String>().trim_end().to_owned() + "\n";
        (0..height).map(row).collect()
    }
}

fn params(trial: u64) -> Params {
    json!({ "hidden": "100x3", "lr": 0.001 * (trial + 1) as f64 }).as_object().unwrap().clone()
}

fn record(trial: u64, status: TrialStatus, val_loss: Option<f64>) -> TrialRecord {
    serde_json::from_value(json!({
        "trial": trial, "params": params(trial), "seed": 0, "status": status, "reason": null, "epochs": 10,
        "steps": 230, "val_loss": val_loss, "val_acc": val_loss.map(|loss| 1.0 - 0.1 * loss), "test_loss": null,
        "test_acc": null, "best_epoch": 7, "parameters": 1, "wall_s": 1.0, "queue": "0", "device": "", "slot": 0,
        "started": 0.0, "ended": 1.0, "weights": null,
        "curve": [{"epoch": 1, "step": 23, "train_loss": 2.0, "val_loss": 2.0, "val_score": 0.5},
                  {"epoch": 10, "step": 230, "train_loss": 0.5, "val_loss": val_loss, "val_score": null}],
    }))
    .unwrap()
}

/// Eight trials in four slots of two lanes: two have ended, one of them diverged; four run; two wait.
fn half_way() -> Sweep {
    let mut sweep = Sweep::new(8, 2, 2);
    for (lane, slot, trial) in [(0, 0, 0), (0, 1, 1), (1, 0, 2), (1, 1, 3)] {
        sweep.begin(lane, slot, trial);
    }
    for epoch in 1..=10 {
        sweep.wait(1.0);
        for (lane, slot, trial) in [(0, 0, 0), (0, 1, 1), (1, 0, 2), (1, 1, 3)] {
            sweep.epoch(lane, slot, trial, epoch, (trial + 1) as f64 / epoch as f64);
        }
    }
    sweep.end(1, TrialStatus::Completed, Some(0.2));
    sweep.end(3, TrialStatus::Diverged, Some(0.1));
    sweep.begin(0, 1, 4);
    sweep.begin(1, 1, 5);
    sweep.epoch(0, 1, 4, 1, 0.75);
    sweep
}

#[test]
fn more_trainings_than_planned_are_never_more_than_all() {
    let mut sweep = Sweep::new(2, 1, 2);
    for trial in 0..3 {
        sweep.begin(0, 0, trial);
        sweep.end(trial, TrialStatus::Completed, Some(0.3));
    }
    sweep.begin(0, 1, 3);
    assert_eq!(
        (sweep.board.trainings, sweep.board.counts().ended(), sweep.board.counts().running),
        (4, 3, 1)
    );
    // A bar that was full does not run back.
    assert_eq!(sweep.board.share(), 1.0);
}

#[test]
fn the_share_of_the_work_never_falls() {
    let mut sweep = Sweep::new(4, 1, 4);
    let before = std::cell::Cell::new(0.0);
    let check = |sweep: &Sweep, what: &str| {
        let share = sweep.board.share();
        assert!((before.get()..=1.0).contains(&share), "{what}: {share} after {}", before.get());
        before.set(share);
    };
    for trial in 0..4 {
        sweep.begin(0, trial as u32, trial);
        sweep.epoch(0, trial as u32, trial, 9, 0.5);
        check(&sweep, "an epoch");
    }
    // A parked training starts from its epoch, which the board no longer has.
    sweep.tell(SweepEvent::Parked { trial: 3, seed: 0 });
    check(&sweep, "parked");
    sweep.end(0, TrialStatus::Completed, Some(0.3));
    check(&sweep, "ended");
    // The final comparison, or more time than was thought.
    sweep.tell(SweepEvent::Planned { trials: 4, trainings: 40, finals: 6, lanes: Vec::new() });
    check(&sweep, "a longer plan");
    assert!(before.get() > 0.8);
    sweep.tell(SweepEvent::Planned { trials: 4, trainings: 4, finals: 0, lanes: Vec::new() });
    (1..4).for_each(|trial| sweep.end(trial, TrialStatus::Completed, Some(0.3)));
    check(&sweep, "the end");
    assert_eq!(before.get(), 1.0);
}

#[test]
fn trainings_are_counted_by_state() {
    let mut sweep = half_way();
    let counts = sweep.board.counts();
    assert_eq!(counts, Counts { done: 1, running: 4, waiting: 2, diverged: 1, ..Counts::default() });
    sweep.tell(SweepEvent::Parked { trial: 0, seed: 0 });
    assert_eq!(sweep.board.counts(), Counts { running: 3, waiting: 3, ..counts });
    sweep.end(0, TrialStatus::Stopped, Some(0.1));
    sweep.end(2, TrialStatus::Failed, None);
    sweep.end(6, TrialStatus::Stopped, Some(0.9));
    let expected = Counts { done: 1, running: 2, waiting: 1, stopped: 2, diverged: 1, failed: 1 };
    assert_eq!(sweep.board.counts(), expected);
    assert_eq!(expected.ended(), 5);
}

#[test]
fn the_best_is_running_waiting_or_ended_and_never_diverged() {
    let mut sweep = Sweep::new(4, 1, 4);
    assert_eq!(sweep.best(), None);
    (0..4).for_each(|trial| sweep.begin(0, trial as u32, trial));
    sweep.epoch(0, 0, 0, 1, 0.5);
    sweep.epoch(0, 1, 1, 1, 0.3);
    sweep.epoch(0, 1, 1, 2, f64::NAN);
    assert_eq!(sweep.best(), Some((1, 0.3, Standing::Running)));
    // A late epoch of a training that has left the slot is ignored.
    sweep.epoch(0, 0, 9, 1, 0.0);
    assert_eq!(sweep.best(), Some((1, 0.3, Standing::Running)));
    sweep.end(1, TrialStatus::Diverged, Some(0.3));
    assert_eq!(sweep.best(), Some((0, 0.5, Standing::Running)));
    sweep.tell(SweepEvent::Parked { trial: 0, seed: 0 });
    assert_eq!(sweep.best(), Some((0, 0.5, Standing::Parked)));
    // A parked training continues its curve.
    sweep.begin(0, 2, 0);
    sweep.epoch(0, 2, 0, 2, 0.4);
    assert_eq!(sweep.best(), Some((0, 0.4, Standing::Running)));
    assert_eq!(sweep.board.member((0, 2)).unwrap().curve.points(), [(1.0, 0.5), (2.0, 0.4)]);
    sweep.end(0, TrialStatus::Completed, Some(0.4));
    assert_eq!(sweep.best(), Some((0, 0.4, Standing::Ended(TrialStatus::Completed))));
    // The final comparison is not the search.
    sweep.end_as(TrialRecord { stage: Stage::Final, ..record(2, TrialStatus::Completed, Some(0.01)) });
    assert_eq!(sweep.best().unwrap().0, 0);
}

#[test]
fn a_higher_accuracy_ranks_first() {
    let mut sweep = Sweep::new(4, 1, 4);
    sweep.board.aim.objective = Objective::ValAcc;
    let of =
        |trial, acc| TrialRecord { val_acc: Some(acc), ..record(trial, TrialStatus::Completed, Some(0.5)) };
    [of(0, 0.7), of(1, 0.9), of(2, 0.8)].into_iter().for_each(|record| sweep.end_as(record));
    let order: Vec<u64> = sweep.board.ranking().iter().map(|best| best.key.trial).collect();
    assert_eq!(order, [1, 2, 0]);
}

#[test]
fn speed_time_left_and_utilisation_follow_from_the_work() {
    let mut sweep = half_way();
    let close = |a: Option<f64>, b: f64| assert!((a.unwrap() - b).abs() < 1e-9, "{a:?} is not {b}");
    assert_eq!(sweep.board.samples_per_s(), 4000.0);
    // Two ended in ten seconds.
    close(sweep.board.models_per_s(sweep.now), 0.2);
    // Two ended, two have all epochs, one has one of ten: 4.1 of 8 in 10 s.
    assert!((sweep.board.share() - 4.1 / 8.0).abs() < 1e-12);
    close(sweep.board.left_s(sweep.now), 10.0 / 4.1 * 3.9);
    close(sweep.board.utilisation(sweep.now), 1.0);
    sweep.end(0, TrialStatus::Completed, Some(0.1));
    sweep.wait(10.0);
    // One slot of four was empty for half of the time.
    close(sweep.board.utilisation(sweep.now), 7.0 / 8.0);
    close(sweep.board.lane_utilisation(&sweep.board.lanes[0], sweep.now), 3.0 / 4.0);
}

#[test]
fn the_speed_excludes_trainings_from_before_a_resume() {
    let mut sweep = Sweep::new(20, 1, 1);
    (0..10).for_each(|trial| sweep.end(trial, TrialStatus::Completed, Some(1.0)));
    assert_eq!((sweep.board.models_per_s(sweep.now), sweep.board.left_s(sweep.now)), (None, None));
    sweep.begin(0, 0, 10);
    sweep.wait(5.0);
    sweep.end(10, TrialStatus::Completed, Some(1.0));
    assert_eq!(sweep.board.models_per_s(sweep.now), Some(0.2));
    assert_eq!(sweep.board.left_s(sweep.now), Some(45.0));
}

#[test]
fn a_hundred_thousand_trials_need_no_more_memory_than_a_thousand() {
    let size = |trials: u64| {
        let mut sweep = Sweep::new(trials, 1, 4);
        for trial in 0..trials {
            sweep.begin(0, (trial % 4) as u32, trial);
            sweep.epoch(0, (trial % 4) as u32, trial, 1, 1.0 + trial as f64);
            match trial % 3 {
                0 => sweep.end(trial, TrialStatus::Completed, Some(1.0 / (1 + trial) as f64)),
                1 => sweep.tell(SweepEvent::Parked { trial, seed: 0 }),
                _ => sweep.end(trial, TrialStatus::Stopped, Some(trial as f64)),
            }
            sweep.tell(SweepEvent::Message(format!("{:>6}", trial)));
        }
        assert_eq!(sweep.board.counts().waiting, (trials + 1) / 3);
        format!("{:?}", sweep.board).len()
    };
    let (small, large) = (size(1000), size(100_000));
    assert!(large < small * 5 / 4, "{small} {large}");
}

#[test]
fn keys_select_members_and_x_stops_the_one_last_drawn() {
    let mut sweep = half_way();
    let mut ui = Ui::default();
    sweep.draw(&mut ui, 80, 24);
    let place = |ui: &Ui, sweep: &Sweep| ui.find(&sweep.board).unwrap().1;
    let mut walk = |code, expected| {
        sweep.press(&mut ui, code);
        assert_eq!(place(&ui, &sweep), expected, "{code:?}");
    };
    walk(KeyCode::Up, (0, 0));
    walk(KeyCode::Down, (0, 1));
    walk(KeyCode::Down, (1, 0));
    walk(KeyCode::End, (1, 1));
    walk(KeyCode::Down, (1, 1));
    walk(KeyCode::PageUp, (0, 0));
    walk(KeyCode::PageDown, (1, 1));
    walk(KeyCode::Up, (1, 0));
    sweep.draw(&mut ui, 80, 24);
    let stop = Request::StopTrial { trial: 2, seed: 0 };
    assert_eq!(sweep.press(&mut ui, KeyCode::Char('x')), Some(Press::Ask(stop)));
    assert!(sweep.board.member((1, 0)).unwrap().stopping && !sweep.board.member((0, 0)).unwrap().stopping);
    assert!(sweep.draw(&mut ui, 80, 24).contains("stopping trial 2 seed 0"));
    assert_eq!(sweep.press(&mut ui, KeyCode::Char('x')), None, "once");
    // Another training took the slot after the last frame.
    sweep.end(2, TrialStatus::Stopped, Some(0.3));
    sweep.begin(1, 0, 6);
    assert_eq!(sweep.press(&mut ui, KeyCode::Char('x')), None);
    assert!(sweep.draw(&mut ui, 80, 24).contains("trial 2 seed 0 has left its slot"));
    assert_eq!(
        sweep.press(&mut ui, KeyCode::Char('x')),
        Some(Press::Ask(Request::StopTrial { trial: 6, seed: 0 }))
    );
    // With nothing to stop, nothing happens.
    let mut empty = Sweep::new(1, 1, 1);
    let mut ui = Ui::default();
    for code in [KeyCode::Char('x'), KeyCode::Down, KeyCode::PageUp, KeyCode::Tab, KeyCode::End] {
        assert_eq!(empty.press(&mut ui, code), None);
        empty.draw(&mut ui, 80, 24);
    }
}

#[test]
fn a_second_ctrl_c_ends_at_once_and_a_second_q_does_not() {
    let mut sweep = half_way();
    let mut ui = Ui::default();
    assert_eq!(sweep.press(&mut ui, KeyCode::Char('f')), Some(Press::Ask(Request::FinishEarly)));
    assert!(sweep.board.members().all(|(_, member)| member.stopping));
    assert_eq!(sweep.press(&mut ui, KeyCode::Char('f')), None);
    assert_eq!(sweep.press(&mut ui, KeyCode::Char('q')), Some(Press::Ask(Request::Interrupt)));
    assert_eq!(sweep.press(&mut ui, KeyCode::Char('q')), None);
    let ctrl_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(ui.press(ctrl_c, &mut sweep.board, sweep.now), Some(Press::ExitNow));
    let mut other = half_way();
    assert_eq!(ui.press(ctrl_c, &mut other.board, other.now), Some(Press::Ask(Request::Interrupt)));
    assert_eq!(ui.press(ctrl_c, &mut other.board, other.now), Some(Press::ExitNow));
}

#[test]
fn the_view_of_eighty_columns_matches_the_stored_screen() {
    let mut sweep = half_way();
    sweep.tell(SweepEvent::Message("the last batch of one row is dropped".into()));
    let text = sweep.draw(&mut Ui::default(), 80, 24);
    assert_eq!(text, include_str!("screen.txt"), "\n{text}");
}

#[test]
fn the_view_can_be_drawn_at_every_size() {
    let mut crowd = Sweep::new(1000, 40, 64);
    for lane in 0..40 {
        for slot in 0..64 {
            let trial = lane as u64 * 64 + u64::from(slot);
            crowd.begin(lane, slot, trial);
            (1..4).for_each(|epoch| {
                crowd.epoch(lane, slot, trial, epoch, [1.0, f64::INFINITY, 1e300][epoch as usize % 3])
            });
        }
    }
    let mut regression = half_way();
    regression.board.aim.regression = true;
    for sweep in [Sweep::new(0, 0, 0), Sweep::new(9, 1, 9), half_way(), crowd, regression] {
        for list in [List::Running, List::Best] {
            let mut ui = Ui::default();
            (ui.list, ui.help) = (list, true);
            for (width, height) in
                [(80, 24), (120, 40), (20, 5), (1, 1), (3, 30), (300, 3), (110, 15), (500, 200)]
            {
                sweep.draw(&mut ui, width, height);
                ui.help = !ui.help;
            }
        }
    }
    let text = half_way().draw(&mut Ui::default(), 20, 5);
    assert!(text.starts_with(" 2 of 8 trained 51 %\n best  val loss 0.1"), "{text}");
    let wide = half_way().draw(&mut Ui::default(), 120, 40);
    assert!(wide.contains(" lanes ") && wide.contains("2/2 100 %  2.00k/s  native CPU engine"), "{wide}");
}

#[test]
fn without_a_terminal_lines_are_rate_limited() {
    let mut sweep = Sweep::new(100, 1, 1);
    let mut lines = Lines::default();
    let mut said: Vec<(f64, String)> = Vec::new();
    for trial in 0..100 {
        sweep.begin(0, 0, trial);
        for _ in 0..10 {
            sweep.wait(0.1);
            let at = (sweep.now - sweep.start).as_secs_f64();
            said.extend(lines.due(&sweep.board, sweep.now).into_iter().map(|line| (at, line)));
        }
        // Every tenth trial is a new best.
        let loss = if trial % 10 == 0 { 1.0 / (trial + 1) as f64 } else { 5.0 };
        sweep.end(trial, TrialStatus::Completed, Some(loss));
    }
    let of = |start: &str| said.iter().filter(|(_, line)| line.starts_with(start)).collect::<Vec<_>>();
    assert_eq!(of("best").len(), 10);
    assert_eq!(
        of("best")[1].1,
        "best   trial 10 seed 0  val loss 0.0909  acc 99.09%  hidden 100x3  lr 0.011"
    );
    let progress = of("sweep");
    assert!((35..=50).contains(&progress.len()), "{}", progress.len());
    assert!(progress.windows(2).all(|pair| pair[1].0 - pair[0].0 > 1.99));
    assert_eq!(
        progress[0].1,
        "sweep  2 of 100 trained  1 running  1.00k samples/s  57.1 models/min  1m 43s left"
    );
    let last = lines.finish(&sweep.board, sweep.now);
    assert_eq!(last, ["sweep  100 of 100 trained  1.0 models/s"]);
}

#[test]
fn messages_are_printed_once_and_a_closed_pipe_is_no_error() {
    let mut sweep = Sweep::new(1, 1, 1);
    let mut lines = Lines::default();
    sweep.tell(SweepEvent::Message("one".into()));
    sweep.tell(SweepEvent::Message("two".into()));
    assert_eq!(lines.due(&sweep.board, sweep.now), ["one", "two"]);
    assert!(lines.due(&sweep.board, sweep.now).is_empty());
    (0..1000).for_each(|n| sweep.tell(SweepEvent::Message(n.to_string())));
    let told = lines.messages(&sweep.board);
    assert_eq!((told[0].as_str(), told[200].as_str()), ("(800 earlier messages are left out)", "999"));
    struct Closed;
    impl std::io::Write for Closed {
        fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
            Err(std::io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    lines::write(&mut Closed, &told);
}
