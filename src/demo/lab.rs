//! Trains many networks at once for demonstrations, and evaluates them along the way.

use std::cell::{Cell, OnceCell};
use std::ops::Range;
use std::sync::Arc;
use std::time::Instant;

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;

use super::networks;
use crate::data::{DataError, Dataset, Features, Part, Targets};
use crate::engine::{EngineError, EngineFactory};
use crate::population::Population;
use crate::report::figure::Axis;
use crate::report::language::Text;
use crate::run::{LayerTensors, Score};
use crate::spec::{Length, Training};
use crate::step::watch::LayerWatch;
use crate::text;
use crate::train::model::Weights;
use crate::train::{Cost, Pace, Problem, Stepper, Stop, Sums, TrainError, member};

/// Why a demonstration failed.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    #[error(transparent)]
    Train(#[from] TrainError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(transparent)]
    Source(#[from] DataError),
    /// The data do not suit the demonstration.
    #[error("{0}")]
    Data(String),
    /// Stopped by the user.
    #[error("interrupted")]
    Interrupted,
}

/// Fewest rows of a part that a demonstration can judge by.
const FEWEST: usize = 20;

/// The rows of each part in a fixed random order: demonstrations use subsets of them, and batches.
fn shuffled(mut dataset: Dataset) -> Dataset {
    let mut rng = ChaCha8Rng::seed_from_u64(0);
    let mut order: Vec<usize> = (0..dataset.targets.len()).collect();
    for part in [Part::Train, Part::Val, Part::Test] {
        order[dataset.split.range(part)].shuffle(&mut rng);
    }
    fn rows<T: Copy>(values: &[T], order: &[usize], width: usize) -> Vec<T> {
        order.iter().flat_map(|&row| &values[row * width..(row + 1) * width]).copied().collect()
    }
    let width = dataset.n_features;
    dataset.features = match &dataset.features {
        Features::Bytes(values) => Features::Bytes(rows(values, &order, width)),
        Features::Floats(values) => Features::Floats(rows(values, &order, width)),
    };
    dataset.targets = match &dataset.targets {
        Targets::Classes(classes) => Targets::Classes(rows(classes, &order, 1)),
        Targets::Values(values) => Targets::Values(rows(values, &order, 1)),
    };
    dataset
}

/// Totals over all networks of a demonstration.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    pub trained: usize,
    pub diverged: usize,
    /// The best score on the test rows at the end of a training.
    pub best: Option<f64>,
}

/// User-configurable settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Whether to run the long form.
    pub full: bool,
    /// The first seed.
    pub seed: u64,
    /// Number of seeds; None for the demonstration's default.
    pub seeds: Option<u32>,
    /// Units of each hidden layer.
    pub hidden: Vec<usize>,
}

impl Default for Settings {
    /// The network of Ioffe & Szegedy 2015, section 4.1: three layers of 100 units.
    fn default() -> Settings {
        Settings { full: false, seed: 0, seeds: None, hidden: vec![100; 3] }
    }
}

/// The device, the data and the settings of a demonstration.
pub struct Lab<'a> {
    factory: &'a dyn EngineFactory,
    load: &'a dyn Fn(&Ask) -> Result<Dataset, LabError>,
    problems: [OnceCell<Problem>; 3],
    settings: Settings,
    stop: &'a Stop,
    progress: &'a dyn Fn(f64, &str),
    tally: Cell<Tally>,
    pace: Pace,
}

/// How to load the data.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ask {
    /// Whether to scale each feature to mean 0 and variance 1.
    pub standardize: bool,
    /// Share of the training rows to hold out for validation.
    pub val_split: f64,
}

/// Networks that train together.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Trainings, each with the steps at which to look at it, ascending; it ends at the last.
    pub members: Vec<(Training, Vec<u64>)>,
    /// Whether to evaluate the training rows: [`Point::train`].
    pub train_score: bool,
    /// Whether to evaluate the validation rows: [`Point::val`].
    pub val_score: bool,
    /// Batch size for evaluating the test rows with batch statistics too: [`Point::by_batch`].
    pub by_batch: Option<usize>,
    /// Whether to watch layers: [`Point::layers`].
    pub watch: bool,
    /// Further rows of the table on which to evaluate each member at its end: [`Course::rows`].
    pub rows: Vec<Range<usize>>,
    /// Whether to read the weights at the end: [`Course::weights`].
    pub keep_weights: bool,
}

/// Loss and score on some rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scored {
    pub loss: f64,
    /// Accuracy, or R².
    pub score: f64,
}

impl Scored {
    /// A member that has diverged.
    const NOTHING: Scored = Scored { loss: f64::NAN, score: f64::NAN };
}

/// A member at one look.
#[derive(Clone, Debug)]
pub struct Point {
    /// Steps taken.
    pub step: u64,
    /// Mean loss of the mini-batches since the look before; NaN at step 0.
    pub batch_loss: f64,
    /// On the test rows; NaN once it has diverged.
    pub test: Scored,
    /// On the training rows, if the plan has `train_score`.
    pub train: Option<Scored>,
    /// On the validation rows, if the plan has `val_score`.
    pub val: Option<Scored>,
    /// On test rows with the statistics of their own batches, and on the same rows with running statistics, if the
    /// plan has `by_batch`.
    pub by_batch: Option<[Scored; 2]>,
    /// Each layer on the rows of the first mini-batch, if the plan has `watch`.
    pub layers: Vec<LayerWatch>,
}

/// The history of a member.
#[derive(Clone, Debug)]
pub struct Course {
    pub points: Vec<Point>,
    /// The step at which a value was not finite.
    pub diverged: Option<u64>,
    /// On the plan's further rows.
    pub rows: Vec<Scored>,
    /// Final weights, if the plan has `keep_weights`.
    pub weights: Vec<LayerTensors>,
}

impl Course {
    /// (steps, score on the test rows) at every look.
    pub fn scores(&self) -> Vec<(f64, f64)> {
        self.points.iter().map(|point| (point.step as f64, point.test.score)).collect()
    }

    /// The last look.
    pub fn last(&self) -> Option<&Point> {
        self.points.last()
    }

    /// The score on the test rows at the end; NaN if it has diverged.
    pub fn final_score(&self) -> f64 {
        self.last().map_or(f64::NAN, |point| point.test.score)
    }
}

impl Plan {
    /// `trainings` with the same looks for all.
    pub fn new(trainings: impl IntoIterator<Item = Training>, looks: &[u64]) -> Plan {
        let members = trainings.into_iter().map(|training| (training, looks.to_vec())).collect();
        Plan { members, ..Plan::default() }
    }
}

impl<'a> Lab<'a> {
    /// A lab on one device. `load` gives the data; `progress` receives the share of a training that is done, and its
    /// name.
    pub fn new(
        factory: &'a dyn EngineFactory,
        load: &'a dyn Fn(&Ask) -> Result<Dataset, LabError>,
        settings: Settings,
        stop: &'a Stop,
        progress: &'a dyn Fn(f64, &str),
    ) -> Lab<'a> {
        Lab {
            factory,
            load,
            problems: Default::default(),
            settings,
            stop,
            progress,
            tally: Cell::default(),
            pace: Pace::default(),
        }
    }

    /// This lab with another pace of reading weights back and of retrying after device faults.
    pub fn with_pace(self, pace: Pace) -> Lab<'a> {
        Lab { pace, ..self }
    }

    /// `long` with `--full`, else `usual`.
    pub fn pick<T>(&self, usual: T, long: T) -> T {
        if self.settings.full { long } else { usual }
    }

    /// The seeds to train with, `usual` of them by default.
    pub fn seeds(&self, usual: u32) -> Vec<u64> {
        let Settings { seed, seeds, .. } = self.settings;
        (0..u64::from(seeds.unwrap_or(usual))).map(|at| seed.wrapping_add(at)).collect()
    }

    /// A training of sigmoid units in the hidden layers of the settings, with mini-batches of 60, by plain gradient
    /// descent, as in Ioffe & Szegedy 2015, section 4.1.
    pub fn training(&self, batch_norm: bool, lr: f64, seed: u64) -> Training {
        networks::training(&self.settings.hidden, batch_norm, lr, seed)
    }

    /// Number of hidden layers of that network.
    pub fn depth(&self) -> usize {
        self.settings.hidden.len()
    }

    /// Those layers in words, without the kind of their units.
    pub fn layers(&self) -> Text {
        let hidden = &self.settings.hidden;
        match hidden[..] {
            [units, ..] if hidden.iter().all(|&other| other == units) => {
                networks::layers(hidden.len()) + text!(" of {units}", "，每层 {units} 个")
            }
            _ => {
                let units =
                    |separator| hidden.iter().map(usize::to_string).collect::<Vec<_>>().join(separator);
                let (en, zh) = (units(", "), units("、"));
                Text { en: format!("Hidden layers of {en}"), zh: format!("隐藏层依次有 {zh} 个") }
            }
        }
    }

    /// The data, each feature scaled to mean 0 and variance 1, without validation rows.
    ///
    /// # Errors
    /// If they cannot be read, or have no rows to test on.
    pub fn problem(&self) -> Result<&Problem, LabError> {
        self.loaded(0, &Ask { standardize: true, val_split: 0.0 })
    }

    /// [`Lab::problem`] with raw features.
    ///
    /// # Errors
    /// As [`Lab::problem`].
    pub fn raw_problem(&self) -> Result<&Problem, LabError> {
        self.loaded(1, &Ask { standardize: false, val_split: 0.0 })
    }

    /// [`Lab::problem`] with a tenth of the training rows held out for validation.
    ///
    /// # Errors
    /// As [`Lab::problem`].
    pub fn validated_problem(&self) -> Result<&Problem, LabError> {
        self.loaded(2, &Ask { standardize: true, val_split: 0.1 })
    }

    fn loaded(&self, at: usize, ask: &Ask) -> Result<&Problem, LabError> {
        let cell = &self.problems[at];
        if let Some(problem) = cell.get() {
            return Ok(problem);
        }
        let problem = Problem::new(shuffled((self.load)(ask)?));
        let few = |part: &str, rows: usize| {
            LabError::Data(format!(
                "the data have {rows} {part} rows, and a demonstration needs at least {FEWEST}; use data with more rows"
            ))
        };
        let (test, val) = (problem.split.test, problem.split.val);
        if test < FEWEST {
            return Err(few("test", test));
        }
        if ask.val_split > 0.0 && val < FEWEST {
            return Err(few("validation", val));
        }
        Ok(cell.get_or_init(|| problem))
    }

    /// Name of the score on an axis.
    pub fn score_label(&self) -> Result<Text, LabError> {
        Ok(match self.problem()?.is_regression() {
            true => text!("test R²", "测试集 R²"),
            false => text!("test accuracy", "测试集准确率"),
        })
    }

    /// The axis of scores. R² has no lower limit, so values below 0, worse than the mean, are not shown.
    ///
    /// # Errors
    /// As [`Lab::problem`].
    pub fn score_axis(&self) -> Result<Axis, LabError> {
        let axis = Axis::linear(self.score_label()?);
        Ok(if self.problem()?.is_regression() { axis.within(0.0, 1.0) } else { axis })
    }

    /// Score of a network that has learnt nothing: the share of the most frequent class of the test rows, or R² = 0.
    pub fn chance(&self) -> Result<f64, LabError> {
        let problem = self.problem()?;
        if problem.is_regression() {
            return Ok(0.0);
        }
        let classes = &problem.table.targets[problem.split.range(Part::Test)];
        let mut counts = vec![0u32; problem.loss.outputs()];
        classes.iter().for_each(|&class| counts[class as usize] += 1);
        Ok(f64::from(counts.into_iter().max().unwrap_or(0)) / classes.len() as f64)
    }

    /// Resolution of scores on the test rows: one row's share. 0 for R².
    ///
    /// # Errors
    /// As [`Lab::problem`].
    pub fn score_step(&self) -> Result<f64, LabError> {
        let problem = self.problem()?;
        Ok(if problem.is_regression() { 0.0 } else { 1.0 / problem.split.test as f64 })
    }

    /// The tally since the last call.
    pub fn take_tally(&self) -> Tally {
        self.tally.take()
    }

    /// The score above which a network has certainly learnt something: better than the luckiest of many random guesses.
    ///
    /// # Errors
    /// As [`Lab::problem`].
    pub fn learnt(&self) -> Result<f64, LabError> {
        let (chance, problem) = (self.chance()?, self.problem()?);
        if problem.is_regression() {
            return Ok(0.1);
        }
        // Four standard deviations of a share, and a tenth of what there is to learn.
        let luck = 4.0 * (chance * (1.0 - chance) / problem.split.test as f64).sqrt();
        Ok(chance + luck.max(0.1 * (1.0 - chance)))
    }

    /// Trains all members of `plan` together on `problem`, and returns their courses in its order. `what` names the
    /// training for progress reports.
    ///
    /// # Errors
    /// Faults of the device; [`LabError::Interrupted`].
    pub fn train(&self, problem: &Problem, plan: &Plan, what: &str) -> Result<Vec<Course>, LabError> {
        let members = plan
            .members
            .iter()
            .map(|(training, looks)| {
                let length = Length::Steps(looks.last().copied().unwrap_or(0));
                member(&Training { length, ..training.clone() }, problem)
            })
            .collect::<Result<Vec<_>, _>>()?;
        let mut population = Population::new(members);
        if plan.watch || plan.by_batch.is_some() {
            population = population.watched();
        }
        let population = Arc::new(population);
        let k = population.len();
        let stepper = Stepper::new(self.factory, population, problem.table.clone(), self.pace.backoff);
        let course = Course { points: Vec::new(), diverged: None, rows: Vec::new(), weights: Vec::new() };
        let mut experiment = Experiment {
            lab: self,
            problem,
            plan,
            stepper,
            courses: vec![course; k],
            standings: vec![Standing::default(); k],
            saved: vec![Saved::default(); k],
            read: Cost::now(),
        };
        experiment.run(what)?;
        let courses = experiment.courses;
        let mut tally = self.tally.get();
        tally.trained += courses.len();
        tally.diverged += courses.iter().filter(|course| course.diverged.is_some()).count();
        let scores = courses.iter().map(Course::final_score).filter(|score| score.is_finite());
        tally.best = scores.chain(tally.best).reduce(f64::max);
        self.tally.set(tally);
        Ok(courses)
    }
}

/// One training of a [`Plan`].
struct Experiment<'a> {
    lab: &'a Lab<'a>,
    problem: &'a Problem,
    plan: &'a Plan,
    stepper: Stepper<'a>,
    /// `[K]`, as are the next two.
    courses: Vec<Course>,
    standings: Vec<Standing>,
    /// State from which each member resumes after a device fault.
    saved: Vec<Saved>,
    /// Time and cost of the last save.
    read: Cost,
}

/// Progress of a member.
#[derive(Clone, Copy, Debug, Default)]
struct Standing {
    /// Steps taken.
    steps: u64,
    /// Sum of the losses since the last look, and their rows.
    loss: f64,
    rows: u64,
}

/// A member on the host.
#[derive(Clone, Debug, Default)]
struct Saved {
    standing: Standing,
    points: usize,
    diverged: Option<u64>,
    /// None before its first step.
    weights: Option<Weights>,
}

impl Saved {
    /// The weights of each member, `[K]`.
    fn weights(saved: &[Saved]) -> Vec<Option<&Weights>> {
        saved.iter().map(|saved| saved.weights.as_ref()).collect()
    }
}

impl Experiment<'_> {
    fn run(&mut self, what: &str) -> Result<(), LabError> {
        let all = &self.stepper.population().members;
        let total: u64 = all.iter().map(|member| member.total_steps()).sum();
        if let Err(error) = self.stepper.set_up(&[]) {
            self.recover(error)?;
        }
        loop {
            match self.go_on() {
                Ok(true) => {
                    let done: u64 = self.standings.iter().map(|standing| standing.steps).sum();
                    (self.lab.progress)(done as f64 / total.max(1) as f64, what);
                }
                Ok(false) => return Ok(()),
                Err(LabError::Engine(error)) => self.recover(error)?,
                Err(error) => return Err(error),
            }
        }
    }

    /// Looks at the members that are due, or trains the others further, or else ends the courses and returns false.
    fn go_on(&mut self) -> Result<bool, LabError> {
        let all = 0..self.courses.len();
        let steps = |k: usize| self.standings[k].steps;
        let due: Vec<usize> = all.clone().filter(|&k| self.next_look(k) == Some(steps(k))).collect();
        let active: Vec<usize> = all.filter(|&k| self.next_look(k).is_some()).collect();
        if !due.is_empty() {
            self.look(&due)?;
        } else if !active.is_empty() {
            self.advance(&active)?;
        } else {
            self.end()?;
            return Ok(false);
        }
        let Pace { read_every, share, .. } = self.lab.pace;
        // After a fault, every success is saved at once.
        if self.stepper.is_recovering() || self.read.is_due(read_every, share) {
            self.save()?;
        }
        Ok(true)
    }

    /// Saves each member's progress and changed weights.
    fn save(&mut self) -> Result<(), LabError> {
        let start = Instant::now();
        let has_moved = |&k: &usize| self.standings[k].steps > self.saved[k].standing.steps;
        let moved: Vec<usize> = (0..self.courses.len()).filter(has_moved).collect();
        let weights = self.stepper.read(&moved)?;
        for (&k, weights) in moved.iter().zip(weights) {
            self.saved[k].weights = Some(weights);
        }
        let mut progressed = !moved.is_empty();
        for ((saved, course), standing) in self.saved.iter_mut().zip(&self.courses).zip(&self.standings) {
            progressed |= course.points.len() > saved.points;
            saved.standing = *standing;
            saved.points = course.points.len();
            saved.diverged = course.diverged;
        }
        if progressed {
            self.stepper.progressed();
        }
        self.read = Cost::since(start);
        Ok(())
    }

    /// After a fault, sets up a new engine and restores every member from its last save.
    fn recover(&mut self, error: EngineError) -> Result<(), LabError> {
        let announce = &mut |error: &EngineError, _| log::warn!("{error}; trying again");
        self.stepper.recover(error, &Saved::weights(&self.saved), announce)?;
        for ((saved, course), standing) in self.saved.iter().zip(&mut self.courses).zip(&mut self.standings) {
            *standing = saved.standing;
            course.points.truncate(saved.points);
            course.diverged = saved.diverged;
        }
        Ok(())
    }

    /// Steps after which `k` is looked at next; None after its last look, or once it has diverged.
    fn next_look(&self, k: usize) -> Option<u64> {
        self.plan.members[k].1.get(self.courses[k].points.len()).copied()
    }

    /// Trains `active` up to the nearest look among them, or as far as one call should reach.
    fn advance(&mut self, active: &[usize]) -> Result<(), LabError> {
        if self.lab.stop.asked() {
            return Err(LabError::Interrupted);
        }
        let to_look =
            |&at: &usize| self.next_look(at).map_or(u64::MAX, |look| look - self.standings[at].steps);
        let nearest = active.iter().map(to_look).min().unwrap_or(1);
        let count = self.stepper.pace(nearest)?;
        let starts: Vec<_> = active.iter().map(|&at| (at, self.standings[at].steps)).collect();
        let submit = self.stepper.train(&starts, count)?;
        for &at in active {
            let standing = &mut self.standings[at];
            for record in submit.records(at) {
                standing.loss += f64::from(record.loss);
                standing.rows += u64::from(record.rows);
            }
            standing.steps += count as u64;
            if let Some(step) = submit.diverged(at) {
                self.give_up(at, step);
            }
        }
        Ok(())
    }

    /// Fills the remaining looks of a diverged member with NaN.
    fn give_up(&mut self, at: usize, step: u64) {
        let course = &mut self.courses[at];
        course.diverged = Some(step);
        let nothing = |wanted: bool| wanted.then_some(Scored::NOTHING);
        let left = &self.plan.members[at].1[course.points.len()..];
        course.points.extend(left.iter().map(|&step| Point {
            step,
            batch_loss: f64::NAN,
            test: Scored::NOTHING,
            train: nothing(self.plan.train_score),
            val: nothing(self.plan.val_score),
            by_batch: self.plan.by_batch.map(|_| [Scored::NOTHING; 2]),
            layers: Vec::new(),
        }));
    }

    /// Looks at the members that are `due`.
    fn look(&mut self, due: &[usize]) -> Result<(), LabError> {
        let test = self.evaluate(due, self.problem.split.range(Part::Test), Part::Test)?;
        let plan = self.plan;
        let mut also = |wanted: bool, part: Part| match wanted {
            true => self.evaluate(due, self.problem.split.range(part), part).map(Some),
            false => Ok(None),
        };
        let train = also(plan.train_score, Part::Train)?;
        let val = also(plan.val_score, Part::Val)?;
        let by_batch = match self.plan.by_batch {
            Some(rows) => Some(self.evaluate_by_batch(due, rows, &test)?),
            None => None,
        };
        let mut layers = vec![None; self.courses.len()];
        if self.plan.watch {
            // The same rows at every look, so only the network changes.
            layers = self.stepper.watch(&due.iter().map(|&at| (at, 0)).collect::<Vec<_>>())?;
        }
        for (number, &at) in due.iter().enumerate() {
            let Standing { steps, loss, rows } = self.standings[at];
            self.standings[at] = Standing { steps, ..Standing::default() };
            self.courses[at].points.push(Point {
                step: steps,
                batch_loss: loss / rows as f64,
                test: test[number],
                train: train.as_ref().map(|train| train[number]),
                val: val.as_ref().map(|val| val[number]),
                by_batch: by_batch.as_ref().map(|by_batch| by_batch[number]),
                layers: layers[at].take().unwrap_or_default(),
            });
        }
        Ok(())
    }

    /// Evaluates and reads each member at its end, as the plan says.
    fn end(&mut self) -> Result<(), LabError> {
        let all: Vec<usize> = (0..self.courses.len()).collect();
        let ranges = self.plan.rows.iter();
        let found = ranges.map(|rows| self.evaluate(&all, rows.clone(), Part::Test));
        let found = found.collect::<Result<Vec<_>, _>>()?;
        let models = if self.plan.keep_weights { self.stepper.read_models(&all)? } else { Vec::new() };
        for (k, course) in self.courses.iter_mut().enumerate() {
            let has_diverged = course.diverged.is_some();
            let scored = |found: &Vec<Scored>| if has_diverged { Scored::NOTHING } else { found[k] };
            course.rows = found.iter().map(scored).collect();
        }
        for (course, model) in self.courses.iter_mut().zip(models) {
            course.weights = model;
        }
        Ok(())
    }

    /// Loss and score of stored rows; R² uses the variance of `part`.
    fn evaluate(
        &mut self,
        members: &[usize],
        rows: Range<usize>,
        part: Part,
    ) -> Result<Vec<Scored>, LabError> {
        let sums = self.stepper.evaluate(members, rows, self.lab.stop)?;
        Ok(sums.ok_or(LabError::Interrupted)?.iter().map(|sums| self.scored(part, sums)).collect())
    }

    /// Loss and score of test rows, normalised in batches of `batch` rows by each batch's statistics, without an
    /// incomplete last batch; and of the same rows by running statistics (`test` if they are all test rows).
    fn evaluate_by_batch(
        &mut self,
        members: &[usize],
        batch: usize,
        test: &[Scored],
    ) -> Result<Vec<[Scored; 2]>, LabError> {
        let all = self.problem.split.range(Part::Test);
        let rows = all.start..all.end - all.len() % batch;
        let sums = self.stepper.evaluate_by_batch(members, rows.clone(), batch, self.lab.stop)?;
        let sums = sums.ok_or(LabError::Interrupted)?;
        let running = if rows == all { test.to_vec() } else { self.evaluate(members, rows, Part::Test)? };
        Ok(sums.iter().zip(running).map(|(sums, running)| [self.scored(Part::Test, sums), running]).collect())
    }

    fn scored(&self, part: Part, sums: &Sums) -> Scored {
        let (loss, score) = self.problem.evaluation(part, sums);
        let score = match score {
            Score::Accuracy(accuracy) => accuracy,
            Score::Regression { r2, .. } => r2,
        };
        Scored { loss, score }
    }
}

/// 0, about `per_decade` log-spaced whole numbers per power of ten below `last`, and `last`.
pub fn log_spaced(last: u64, per_decade: u32) -> Vec<u64> {
    let mut steps = vec![0];
    let at = |n: u32| 10f64.powf(f64::from(n) / f64::from(per_decade)).round() as u64;
    steps.extend((0..).map(at).take_while(|&step| step < last));
    steps.push(last);
    steps.dedup();
    steps
}
